//! One file to be imported: what is to be known of it before its first row is stored.
//!
//! Everything that can be wrong with a file as a whole is looked at here. What it is, is its bytes and how they are
//! read (name of the export, version, time of record, mapping): the same again is the same import, whoever carries it
//! and whenever, and anything else another one.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aftercall_actors::contract::time::EventTime;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::{Export, ReadError, Rows};
use crate::config::WfmColumns;

/// How far an export's time may lie ahead of this machine's clock.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// Largest file that is read, in bytes: a hundred times the largest export known. One that only claims to be huge (a
/// sparse one) would otherwise be read for hours, and hold up those behind it.
pub const FILE_BYTES_MAX: u64 = 4 << 30;

/// Why a file cannot be imported at all. Nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Its bytes do not come.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No time of record was given, and a stream has none.
    #[error("nothing tells when an export on standard input was made")]
    Untimed,
    /// Its time of record is still to come.
    #[error("recorded at {0}, which is still to come, so no correction would ever count")]
    Ahead(EventTime),
    /// It is larger than any export that is read.
    #[error("{0} bytes; at most {FILE_BYTES_MAX} are read: is it an export? If it is, split it")]
    TooLarge(u64),
    /// It has none of the forms, or other columns than the mapping.
    #[error(transparent)]
    Form(ReadError),
}

/// The error of a first look; bytes that do not come are no fault of the form.
impl From<ReadError> for JobError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            form @ (ReadError::Form { .. }
            | ReadError::Packed { .. }
            | ReadError::Broken { .. }) => Self::Form(form),
        }
    }
}

/// What is said of a file besides what it holds.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// When the export was made; `None`: when the file was last written.
    pub recorded_at: Option<EventTime>,
    /// Its version; `None`: the file's name.
    pub version: Option<String>,
}

/// A file that can be imported.
#[derive(Clone, Debug)]
pub struct Job {
    /// As messages name it.
    pub name: String,
    /// Where it is; `None` for standard input.
    pub path: Option<PathBuf>,
    /// What holds for all of its rows.
    pub export: Export,
    /// Its bytes; `None` for standard input, whose are not known before they have come.
    pub bytes: Option<Bytes>,
}

/// The bytes of a file, as far as they tell it from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// How many.
    pub length: u64,
    /// Their hash (XXH3, 128 bit, hexadecimal).
    pub hash: String,
}

impl Job {
    /// The file at `path`, looked at.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_file(path: &Path, said: Said, columns: &WfmColumns) -> Result<Self, JobError> {
        let about = File::open(path)?.metadata()?;
        if about.len() > FILE_BYTES_MAX {
            return Err(JobError::TooLarge(about.len()));
        }
        // Before all of it is read: what is no export shows at once.
        Rows::open(File::open(path)?, columns)?;
        let bytes = Bytes::of(File::open(path)?)?;
        let shown = path.display().to_string();
        let file = path.file_name().map(|name| name.to_string_lossy());
        let file = file.map_or_else(|| shown.clone(), std::borrow::Cow::into_owned);
        let written = milliseconds(about.modified()?);
        let job = Self {
            name: shown,
            path: Some(path.to_owned()),
            export: Export {
                name: columns.export.clone(),
                version: said.version.or_else(|| Some(file.clone())),
                file,
                recorded_at: in_time(said.recorded_at.unwrap_or(written))?,
            },
            bytes: Some(bytes),
        };
        Ok(job)
    }

    /// What comes on standard input.
    ///
    /// # Errors
    /// If nobody says when it was recorded, or that is still to come.
    pub fn of_stdin(said: Said, columns: &WfmColumns) -> Result<Self, JobError> {
        Ok(Self {
            name: "-".to_owned(),
            path: None,
            export: Export {
                name: columns.export.clone(),
                version: said.version,
                file: "-".to_owned(),
                recorded_at: in_time(said.recorded_at.ok_or(JobError::Untimed)?)?,
            },
            bytes: None,
        })
    }

    /// A file that was received under no name of its own, and whose bytes were hashed while they came.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_upload(
        path: &Path,
        name: &str,
        bytes: Bytes,
        recorded_at: EventTime,
        version: Option<String>,
        columns: &WfmColumns,
    ) -> Result<Self, JobError> {
        let job = Self {
            name: name.to_owned(),
            path: Some(path.to_owned()),
            export: Export {
                name: columns.export.clone(),
                version,
                file: name.to_owned(),
                recorded_at: in_time(recorded_at)?,
            },
            bytes: Some(bytes),
        };
        Rows::open(File::open(path)?, columns)?;
        Ok(job)
    }
}

/// The import of these bytes in this way; its id, and that of its alert.
pub(super) fn identity(bytes: &Bytes, export: &Export, columns: &WfmColumns) -> String {
    let Bytes { length, hash } = bytes;
    let how = format!("{length} {hash} {export:?} {columns:?}");
    format!("{:032x}", xxh3_128(how.as_bytes()))
}

fn in_time(recorded_at: EventTime) -> Result<EventTime, JobError> {
    if recorded_at > milliseconds(SystemTime::now() + AHEAD) {
        return Err(JobError::Ahead(recorded_at));
    }
    Ok(recorded_at)
}

/// A moment of this machine's clock as event time.
#[must_use]
pub fn milliseconds(time: SystemTime) -> EventTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Bytes {
    /// What tells a file that is refused from another one: its beginning, and its length.
    ///
    /// # Errors
    /// If they do not come.
    pub fn of_beginning(file: File) -> io::Result<Self> {
        const READ_MAX: u64 = 16 << 20;
        let length = file.metadata()?.len();
        let read = Self::of(file.take(READ_MAX))?;
        Ok(Self { length, ..read })
    }

    /// Reads all of `input`.
    ///
    /// # Errors
    /// If they do not come.
    pub fn of(mut input: impl Read) -> io::Result<Self> {
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read = input.read(&mut buffer)?;
            if read == 0 {
                return Ok(hasher.finish());
            }
            hasher.update(buffer.get(..read).unwrap_or_default());
        }
    }
}

/// Hashes bytes while they come.
#[derive(Default)]
pub struct Hasher {
    length: u64,
    hash: Xxh3,
}

impl Hasher {
    /// The next ones.
    pub fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.hash.update(bytes);
    }

    /// All that came.
    #[must_use]
    pub fn finish(&self) -> Bytes {
        Bytes {
            length: self.length,
            hash: format!("{:032x}", self.hash.digest128()),
        }
    }
}
