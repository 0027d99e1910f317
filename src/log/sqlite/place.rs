//! Whether the open file still is the one at its path.
//!
//! A file that is removed or replaced while it is open takes every write and keeps none: what it answers then is gone with
//! the process. One that is cut short holds no more what it did. So the writer looks before each answer, and the service
//! once a second.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::log::LogError;

/// The first bytes of every SQLite file.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Bytes of a SQLite file's header.
const HEADER_BYTES: usize = 100;

/// Device and number of a file.
type Identity = (u64, u64);

/// An open file's place. Clones share what was found.
#[derive(Clone, Debug)]
pub(super) struct Place {
    path: PathBuf,
    file: Identity,
    wal: Option<Identity>,
    /// Its length when it was longest: SQLite makes a file shorter only when it is told to, which it never is.
    bytes: Arc<AtomicU64>,
    /// What was wrong first: it stays wrong, whatever comes to the path later.
    fault: Arc<OnceLock<String>>,
}

impl Place {
    /// That of a file that has just been opened, its write-ahead log with it.
    ///
    /// # Errors
    /// If the file is gone already.
    pub(super) fn of(path: &Path) -> Result<Self, LogError> {
        let file = found(path).map_err(|error| {
            LogError::Settings(format!("cannot look at {}: {error}", path.display()))
        })?;
        Ok(Self {
            file: file.identity,
            bytes: Arc::new(AtomicU64::new(file.bytes)),
            wal: found(&beside(path, "-wal")).ok().map(|wal| wal.identity),
            path: path.to_owned(),
            fault: Arc::default(),
        })
    }

    /// Why nothing that is written is kept any more, if it is so.
    pub(super) fn fault(&self) -> Option<String> {
        if let Some(fault) = self.fault.get() {
            return Some(fault.clone());
        }
        let fault = self.look()?;
        Some(self.fault.get_or_init(|| fault).clone())
    }

    fn look(&self) -> Option<String> {
        let wal = beside(&self.path, "-wal");
        let gone = |path: &Path, found: &io::Result<Found>, opened: Identity| {
            let path = path.display();
            match found {
                Ok(found) if found.identity == opened => None,
                Ok(_) => Some(format!(
                    "{path} was replaced while it was open: nothing written since is kept; start again to use what is there"
                )),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!(
                    "{path} was removed while it was open: nothing written since is kept; put it back before a new start"
                )),
                // Not to be seen is not gone.
                Err(_) => None,
            }
        };
        // Known before the look: others look at the same time.
        let before = self.bytes.load(Ordering::Relaxed);
        let file = found(&self.path);
        gone(&self.path, &file, self.file)
            .or_else(|| self.cut(before, file.ok()?.bytes))
            .or_else(|| gone(&wal, &found(&wal), self.wal?))
    }

    /// Whether the file has become shorter.
    fn cut(&self, before: u64, bytes: u64) -> Option<String> {
        self.bytes.fetch_max(bytes, Ordering::Relaxed);
        (bytes < before).then(|| {
            format!(
                "{} was cut from {before} to {bytes} bytes while it was open: nothing written since is kept; put it back \
                 from a copy",
                self.path.display()
            )
        })
    }
}

/// Refuses a file that lacks what it should hold. One that is not there is none of these.
///
/// # Errors
/// [`LogError::Corrupt`] with what is missing.
pub(super) fn check(path: &Path) -> Result<(), LogError> {
    let shown = path.display();
    let Ok(metadata) = fs::metadata(path) else {
        return Ok(());
    };
    let bytes = metadata.len();
    if bytes == 0 {
        return Err(LogError::Corrupt(format!(
            "{shown} is empty, and a log never is: put it back from a copy, or remove it to begin a new log"
        )));
    }
    let wal = fs::metadata(beside(path, "-wal")).map(|metadata| metadata.len());
    if wal.is_err() && beside(path, "-shm").exists() {
        return Err(LogError::Corrupt(format!(
            "{shown}-wal is gone, which held what was written last: put it back, or remove {shown}-shm to go on with what is \
             left and lose the rest"
        )));
    }
    let header = header(path)
        .map_err(|error| LogError::Settings(format!("cannot read {shown}: {error}")))?;
    let is_sqlite = header.starts_with(&MAGIC[..header.len().min(MAGIC.len())]);
    if !is_sqlite {
        // Another program's: said by who opens it.
        return Ok(());
    }
    let needed = pages(&header).map_or(HEADER_BYTES as u64, |(size, count)| size * count);
    // Pages that are missing at the end can still be in the write-ahead log.
    let is_whole = bytes >= needed || (bytes >= HEADER_BYTES as u64 && wal.unwrap_or(0) > 0);
    if is_whole {
        return Ok(());
    }
    Err(LogError::Corrupt(format!(
        "{shown} is damaged: it has {bytes} bytes of {needed}, so its end is cut off; put it back from a copy"
    )))
}

/// Whether a file is SQLite's at all.
pub(super) fn is_sqlite(path: &Path) -> bool {
    header(path).is_ok_and(|header| header.starts_with(MAGIC))
}

/// A path with something behind its name.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

/// What stands at a path.
struct Found {
    identity: Identity,
    bytes: u64,
}

fn found(path: &Path) -> io::Result<Found> {
    let metadata = fs::metadata(path)?;
    Ok(Found {
        identity: (metadata.dev(), metadata.ino()),
        bytes: metadata.len(),
    })
}

fn header(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let file = fs::File::open(path)?;
    file.take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    Ok(header)
}

/// Size and number of pages, as the header has them.
fn pages(header: &[u8]) -> Option<(u64, u64)> {
    let size = u16::from_be_bytes(header.get(16..18)?.try_into().ok()?);
    let count = u32::from_be_bytes(header.get(28..32)?.try_into().ok()?);
    // The largest does not fit the field.
    let size = if size == 1 { 1 << 16 } else { u64::from(size) };
    Some((size, u64::from(count)))
}
