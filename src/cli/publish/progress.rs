//! How far a file has been published, noted beside it, so that a second run adds nothing and an interrupted one goes on.
//!
//! An entry holds for one log and one beginning of the file: where the file was changed before the place reached, its
//! hash differs, and nobody can say what has been published; that is an error and not a guess.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

/// A place in a file: everything before it is durable in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Lines before it.
    pub line: u64,
    /// Bytes before it.
    pub offset: u64,
    /// Hash (XXH3, 128 bit, hexadecimal) of those bytes.
    pub hash: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    place: Place,
    /// Whether that was the end of the file.
    done: bool,
}

/// Why a run cannot go on where a former one was.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgressError {
    /// The file or its progress cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The note is not one of ours.
    #[error("{}: not readable as progress: {why}; remove it to publish the file from the start", path.display())]
    Unreadable {
        /// The note.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file is another one than it was.
    #[error(
        "{}: changed in what was already published (its first {offset} bytes); remove {} to publish it from the start",
        path.display(), note.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The note.
        note: PathBuf,
        /// Bytes published.
        offset: u64,
    },
}

/// The note beside a file.
pub(super) struct Progress {
    path: PathBuf,
    log: String,
    entries: BTreeMap<String, Entry>,
}

impl Progress {
    /// Reads the note beside `file` and checks that the file still begins as it did. The reader's counter then stands
    /// where the run into the log named `log` goes on.
    pub(super) fn resume(file: &Path, log: String) -> Result<(Self, Counter), ProgressError> {
        let mut path = file.as_os_str().to_owned();
        path.push(".progress");
        let path = PathBuf::from(path);
        let entries = match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|error| ProgressError::Unreadable {
                    path: path.clone(),
                    why: error.to_string(),
                })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(ProgressError::Io { path, source }),
        };
        let progress = Self { path, log, entries };
        let counter = Counter::default();
        let Some(entry) = progress.entries.get(&progress.log) else {
            return Ok((progress, counter));
        };
        let offset = entry.place.offset;
        let read = |source| ProgressError::Io {
            path: file.to_owned(),
            source,
        };
        let begin = File::open(file).map_err(read)?.take(offset);
        let mut begin = Counting::new(Box::new(BufReader::with_capacity(1 << 18, begin)), counter);
        io::copy(&mut begin, &mut io::sink()).map_err(read)?;
        if begin.counter.place() == entry.place {
            return Ok((progress, begin.counter));
        }
        Err(ProgressError::Changed {
            path: file.to_owned(),
            note: progress.path,
            offset,
        })
    }

    /// Where the note is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that all before `place` is durable; `done` at the end of the file. Replaces the old note whole, so that a
    /// crash leaves one of the two.
    pub(super) fn note(&mut self, place: Place, done: bool) -> Result<(), ProgressError> {
        self.entries.insert(self.log.clone(), Entry { place, done });
        let write = || {
            let mut part = self.path.clone().into_os_string();
            part.push(".part");
            let mut file = File::create(&part)?;
            serde_json::to_writer(&mut file, &self.entries)?;
            file.flush()?;
            if done {
                file.sync_all()?;
            }
            fs::rename(&part, &self.path)
        };
        write().map_err(|source| ProgressError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

/// Counts and hashes what a reader has consumed. Clones share the count.
#[derive(Clone, Default)]
pub(super) struct Counter(Arc<Mutex<Consumed>>);

#[derive(Clone, Default)]
struct Consumed {
    hash: Xxh3,
    bytes: u64,
    breaks: u64,
    last: Option<u8>,
}

impl Counter {
    /// The place the reader has reached.
    pub(super) fn place(&self) -> Place {
        let consumed = self.lock();
        Place {
            // A last line without a break is a line.
            line: consumed.breaks + u64::from(consumed.last.is_some_and(|byte| byte != b'\n')),
            offset: consumed.bytes,
            hash: format!("{:032x}", consumed.hash.digest128()),
        }
    }

    fn add(&self, bytes: &[u8]) {
        let mut consumed = self.lock();
        consumed.hash.update(bytes);
        consumed.bytes += bytes.len() as u64;
        consumed.breaks += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        consumed.last = bytes.last().copied().or(consumed.last);
    }

    fn lock(&self) -> MutexGuard<'_, Consumed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader that counts what is consumed of it.
pub(super) struct Counting {
    inner: Box<dyn BufRead>,
    counter: Counter,
}

impl Counting {
    /// Goes on counting in `counter`.
    pub(super) fn new(inner: Box<dyn BufRead>, counter: Counter) -> Self {
        Self { inner, counter }
    }
}

impl Read for Counting {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.counter.add(into.get(..read).unwrap_or_default());
        Ok(read)
    }
}

impl BufRead for Counting {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        // What is consumed was filled before, so this neither reads nor fails.
        if let Ok(buffer) = self.inner.fill_buf() {
            self.counter.add(buffer.get(..amount).unwrap_or(buffer));
        }
        self.inner.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "nats://n1:4222";

    fn read_lines(file: &Path, counter: Counter, lines: usize) -> Counter {
        let place = counter.place();
        let mut reader = BufReader::with_capacity(5, File::open(file).unwrap());
        reader
            .seek_relative(i64::try_from(place.offset).unwrap())
            .unwrap();
        let mut counting = Counting::new(Box::new(reader), counter);
        let mut line = String::new();
        for _ in 0..lines {
            counting.read_line(&mut line).unwrap();
        }
        counting.counter
    }

    #[test]
    fn a_second_run_goes_on_where_the_first_was_and_each_log_has_its_own_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("events");
        fs::write(&file, "one\ntwo\n\nthree").unwrap();
        let (mut progress, counter) = Progress::resume(&file, LOG.into()).unwrap();
        assert_eq!((counter.place().line, counter.place().offset), (0, 0));
        let place = read_lines(&file, counter, 2).place();
        assert_eq!((place.line, place.offset), (2, 8));
        progress.note(place.clone(), false).unwrap();

        let (mut progress, counter) = Progress::resume(&file, LOG.into()).unwrap();
        assert_eq!(counter.place(), place);
        let end = read_lines(&file, counter, 9).place();
        assert_eq!((end.line, end.offset), (4, 14));
        progress.note(end.clone(), true).unwrap();
        assert_eq!(Progress::resume(&file, LOG.into()).unwrap().1.place(), end);
        assert_eq!(
            Progress::resume(&file, "other".into())
                .unwrap()
                .1
                .place()
                .offset,
            0
        );
    }

    #[test]
    fn a_file_that_changed_or_shrank_in_what_was_published_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("events");
        fs::write(&file, "one\ntwo\nthree\n").unwrap();
        let (mut progress, counter) = Progress::resume(&file, LOG.into()).unwrap();
        progress
            .note(read_lines(&file, counter, 2).place(), false)
            .unwrap();

        fs::write(&file, "one\ntwo\nother end\n").unwrap();
        assert!(
            Progress::resume(&file, LOG.into()).is_ok(),
            "changed behind the place only"
        );
        for changed in ["one\nTwo\nthree\n", "one\ntw", ""] {
            fs::write(&file, changed).unwrap();
            let error = Progress::resume(&file, LOG.into())
                .err()
                .unwrap()
                .to_string();
            assert!(error.contains("its first 8 bytes"), "{error}");
        }
    }
}
