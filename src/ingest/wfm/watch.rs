//! The watched folder: whoever can put a file there has it imported, oldest first.
//!
//! Only looking tells what is in a folder on every system and every network share, so it is looked at every few
//! seconds. A file counts as whole once it was the same, in size and time, at two looks in a row; an upload that goes on
//! under its final name is left alone as long. `FILE.imported` beside a file says that it is done, `FILE.refused` why it
//! is not (an import that panics is refused as well); neither is tried again before it changes, or the service starts anew (its mapping may be another one then).
//! A thread of its own does all that: reading a file blocks, and nobody else is to wait for it.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, SystemTime},
};

use tokio::sync::oneshot;

use super::{
    carry::CarryError,
    job::{Bytes, Job, JobError, Said},
    service::Importer,
};
use crate::{
    planted::{PanicIn, panic_if_planted},
    supervise::caught_in,
};

/// Between two looks at the folder.
const LOOK: Duration = Duration::from_secs(2);

/// Files that are no exports, or not yet.
const LEFT_ALONE: [&str; 4] = [".imported", ".part", ".tmp", ".refused"];

/// What stands behind the name of the file with the reason.
const REFUSED: &str = ".refused";

/// A folder that cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// It is not there.
    #[error(
        "import.wfm.watch: {}: {why}; make the directory, or name another one",
        folder.display()
    )]
    NoFolder {
        /// The folder.
        folder: PathBuf,
        /// Why. Part of the message, so no source: a chain would say it twice.
        why: io::Error,
    },
    /// The system gives no thread.
    #[error("import.wfm.watch: no thread: {0}")]
    NoThread(io::Error),
}

/// Whether `folder` can be looked into now.
///
/// # Errors
/// If not, and why.
pub fn check(folder: &Path) -> Result<(), WatchError> {
    match fs::read_dir(folder) {
        Ok(_) => Ok(()),
        Err(why) => Err(WatchError::NoFolder {
            folder: folder.to_owned(),
            why,
        }),
    }
}

/// A folder that is watched.
pub struct Watching {
    importer: Arc<Importer>,
    wake: mpsc::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Watching {
    /// Begins to watch.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(importer: Arc<Importer>, folder: PathBuf) -> Result<Self, WatchError> {
        let (wake, woken) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let mut watch = Watch::new(Arc::clone(&importer), folder);
        thread::Builder::new()
            .name("import-watch".into())
            .spawn(move || {
                while !watch.importer.is_stopping() {
                    // A look that panics leaves its line, and the next one begins anew.
                    drop(caught_in(|| watch.look()));
                    // Whether somebody wakes it or is gone, the flag says what is to be done.
                    let _ = woken.recv_timeout(LOOK);
                }
                drop(end);
            })
            .map_err(WatchError::NoThread)?;
        Ok(Self {
            importer,
            wake,
            ended,
        })
    }

    /// Ends between two batches; what is begun goes on at the next start.
    pub async fn stop(self) {
        self.importer.stop();
        // If it has ended already there is nobody to wake, and nothing to wait for.
        let _ = self.wake.send(());
        let _ = self.ended.await;
    }
}

/// Size and time of last writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    length: u64,
    written: SystemTime,
}

/// What is known of a file.
#[derive(Debug)]
struct Known {
    /// As it was at the last look.
    look: Look,
    /// Whether there is nothing left to do as long as it stays so.
    settled: bool,
    /// What was said of it, so that it is said once.
    said: Option<String>,
}

struct Watch {
    importer: Arc<Importer>,
    folder: PathBuf,
    known: BTreeMap<PathBuf, Known>,
    is_gone: bool,
}

impl Watch {
    fn new(importer: Arc<Importer>, folder: PathBuf) -> Self {
        tracing::info!(folder = %folder.display(), "watching for exports");
        Self {
            importer,
            folder,
            known: BTreeMap::new(),
            is_gone: false,
        }
    }

    /// Looks once, and imports what is whole.
    fn look(&mut self) {
        panic_if_planted(PanicIn::Folder);
        let found = match files(&self.folder) {
            Ok(found) => found,
            Err(error) => {
                if !self.is_gone {
                    tracing::error!(folder = %self.folder.display(), %error, "watched folder cannot be read");
                }
                self.is_gone = true;
                return;
            }
        };
        if self.is_gone {
            tracing::info!(folder = %self.folder.display(), "watched folder is there again");
            self.is_gone = false;
        }
        for path in self.whole(&found) {
            if self.importer.is_stopping() {
                return;
            }
            if let Err(panicked) = caught_in(|| self.take(&path)) {
                let why = format!("importing it {panicked}: a mistake of the program");
                // It would panic at every look.
                if caught_in(|| self.refuse(&path, &why)).is_err() {
                    self.settle(&path);
                }
            }
        }
    }

    /// The files that stayed the same since the look before and are not settled, oldest first.
    fn whole(&mut self, found: &BTreeMap<PathBuf, Look>) -> Vec<PathBuf> {
        self.known.retain(|path, _| found.contains_key(path));
        let mut whole = Vec::new();
        for (path, look) in found {
            match self.known.get_mut(path) {
                Some(known) if known.look == *look => {
                    if !known.settled {
                        whole.push((look.written, path.clone()));
                    }
                }
                known => {
                    let said = known.and_then(|known| known.said.take());
                    let known = Known {
                        look: *look,
                        settled: false,
                        said,
                    };
                    self.known.insert(path.clone(), known);
                }
            }
        }
        whole.sort();
        whole.into_iter().map(|(_, path)| path).collect()
    }

    fn take(&mut self, path: &Path) {
        panic_if_planted(PanicIn::Import);
        let columns = self.importer.columns().clone();
        let job = match Job::of_file(path, Said::default(), &columns) {
            Ok(job) => job,
            Err(JobError::Io(error)) => return self.say(path, &error.to_string()),
            Err(
                error @ (JobError::Untimed
                | JobError::Ahead(_)
                | JobError::TooLarge(_)
                | JobError::Form(_)),
            ) => {
                return self.refuse(path, &error.to_string());
            }
        };
        let (report, result) = self.importer.store(&job, &columns, true);
        match result {
            // The log is full, or the like; its operators can help, and the next look goes on.
            Ok(()) if report.refused > 0 => {}
            Ok(()) => {
                self.remove_refusal(path);
                self.settle(path);
            }
            // Rows before that are in the log, and operators were told.
            Err(error @ CarryError::Unread(_)) => {
                self.write_refusal(path, &error.to_string());
                self.settle(path);
            }
            // Seen as new at the next look.
            Err(CarryError::Changed) => {
                self.known.remove(path);
            }
            // Logged; the next look goes on.
            Err(
                CarryError::Io(_)
                | CarryError::Unconfirmed(_)
                | CarryError::Stopped
                | CarryError::Broken(_),
            ) => {}
        }
    }

    /// A file that cannot be imported as it is: said beside it, in the log of the process, and to operators.
    fn refuse(&mut self, path: &Path, why: &str) {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let bytes = fs::File::open(path).and_then(Bytes::of_beginning);
        let told = match bytes {
            Ok(bytes) => self.importer.tell_refused(&file, &bytes, why),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = told {
            // Tried again at the next look, as a whole.
            return self.say(
                path,
                &format!("refused, and nobody can be told yet: {error}"),
            );
        }
        self.importer.refuse(&path.display().to_string(), why);
        self.write_refusal(path, why);
        self.settle(path);
    }

    fn settle(&mut self, path: &Path) {
        if let Some(known) = self.known.get_mut(path) {
            known.settled = true;
            known.said = None;
        }
    }

    /// Logs what stands in the way of a file, once as long as it is the same.
    fn say(&mut self, path: &Path, text: &str) {
        let Some(known) = self.known.get_mut(path) else {
            return;
        };
        if known.said.as_deref() != Some(text) {
            tracing::warn!(file = %path.display(), "{text}");
            known.said = Some(text.to_owned());
        }
    }

    fn write_refusal(&self, path: &Path, why: &str) {
        if let Err(error) = fs::write(beside(path), format!("{why}\n")) {
            tracing::warn!(file = %path.display(), %error, "the reason cannot be written beside it");
        }
    }

    fn remove_refusal(&self, path: &Path) {
        match fs::remove_file(beside(path)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "an old reason cannot be removed");
            }
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(REFUSED);
    name.into()
}

/// The files of a folder that may be exports.
fn files(folder: &Path) -> io::Result<BTreeMap<PathBuf, Look>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_left_alone(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        // What is gone again, or points nowhere, is not there.
        let Ok(about) = fs::metadata(&path) else {
            continue;
        };
        if about.is_file() {
            let look = Look {
                length: about.len(),
                written: about.modified()?,
            };
            found.insert(path, look);
        }
    }
    Ok(found)
}

fn is_left_alone(name: &str) -> bool {
    name.starts_with('.') || LEFT_ALONE.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests;
