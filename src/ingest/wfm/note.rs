//! What of a file has been imported into which log, noted beside it (`FILE.imported`).
//!
//! The note saves work and decides nothing: an import without it gives no point twice, since an actor knows what it
//! has. So a folder that cannot be written to, or a note that is lost, is no fault. An entry holds for the same bytes
//! read in the same way (mapping, version, time of record); for anything else the file is another one.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// How far one file has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Hash of the file's bytes and of how they are read.
    pub identity: String,
    /// Rows that are durable in the log, from the first.
    pub rows: u64,
    /// Whether these are all.
    pub done: bool,
}

/// The note beside one file, for one log.
pub(super) struct Note {
    path: PathBuf,
    log: String,
    entries: BTreeMap<String, Entry>,
    /// How the file is read now.
    identity: String,
}

impl Note {
    /// Reads the note beside `file`. One that is missing or unreadable is empty.
    pub(super) fn of(file: &Path, log: String, identity: String) -> Self {
        let mut path = file.as_os_str().to_owned();
        path.push(".imported");
        let path = PathBuf::from(path);
        let read = fs::read(&path).ok();
        let entries = read.and_then(|text| serde_json::from_slice(&text).ok());
        Self {
            entries: entries.unwrap_or_default(),
            path,
            log,
            identity,
        }
    }

    /// How far this very import has come before; `None`: it has not begun.
    pub(super) fn before(&self) -> Option<&Entry> {
        let entry = self.entries.get(&self.log);
        entry.filter(|entry| entry.identity == self.identity)
    }

    /// Notes that the first `rows` are durable. Replaces the old note whole, so that a crash leaves one of the two.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&mut self, rows: u64, done: bool) -> io::Result<()> {
        let entry = Entry {
            identity: self.identity.clone(),
            rows,
            done,
        };
        self.entries.insert(self.log.clone(), entry);
        let mut part = self.path.clone().into_os_string();
        part.push(".part");
        fs::write(&part, serde_json::to_vec(&self.entries)?)?;
        fs::rename(&part, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_holds_for_one_log_and_the_same_bytes_read_the_same_way() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.csv");
        let note = |log: &str, identity: &str| Note::of(&file, log.into(), identity.into());
        let mut first = note("one", "x");
        assert_eq!(first.before(), None);
        first.write(7, false).unwrap();
        let entry = |rows, done| Entry {
            identity: "x".into(),
            rows,
            done,
        };
        assert_eq!(note("one", "x").before(), Some(&entry(7, false)));
        assert_eq!(note("one", "y").before(), None);
        assert_eq!(note("two", "x").before(), None);
        note("two", "x").write(9, true).unwrap();
        assert_eq!(note("one", "x").before(), Some(&entry(7, false)));
        assert_eq!(note("two", "x").before(), Some(&entry(9, true)));
        fs::write(dir.path().join("a.csv.imported"), "not ours").unwrap();
        assert_eq!(note("one", "x").before(), None);
    }
}
