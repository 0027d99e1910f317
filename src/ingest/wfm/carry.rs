//! Carrying a file into the log: for the command, for HTTP and for the watched folder alike.
//!
//! While one batch is on its way the next one is read; two are never on their way together, so that the first of two
//! values stays the first. Reading blocks, so this belongs on a thread that may wait; only the appends run elsewhere.
//! What is durable is noted beside the file (`note`): the same file again is then known by its bytes, and an
//! interrupted import goes on. At the end operators hear of what was left out (S3.02), before the note says that all is
//! done: so of two imports, one of which was cut off, at least one tells them, and the actor makes one alert of it.

use std::{
    cell::RefCell,
    fs::{self, File},
    io::{self, Read},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;

use super::{
    BadRow, Import, ReadError, Rows, Taken,
    job::{Bytes, Hasher, Job, identity},
    note::{Entry, Note},
    preview::Preview,
    report::Report,
    tell::{Told, tell},
};
use crate::{
    config::WfmColumns,
    log::{self, AppendError, Appended, Log, NewEvent},
};

/// Events given to the log at once, at least: a row's stay together.
const BATCH: usize = 2_000;

/// How long the log may stay away before an import ends; another one goes on from there.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The log that rows go into.
#[derive(Clone)]
pub struct Target {
    /// The log.
    pub log: Log,
    /// Its name in the notes beside files.
    pub name: String,
    /// Where appends run while the next rows are read.
    pub runtime: Handle,
}

/// What is to be done with the rows.
pub enum Purpose<'a> {
    /// Into the log, with a note beside the file or without.
    Store {
        /// The log.
        target: &'a Target,
        /// Whether a note beside the file says how far it has come.
        noted: bool,
        /// Whether a file is imported although its note says that it was.
        again: bool,
    },
    /// Nothing is stored; what would change is found out, if there is anything to compare with.
    Preview(&'a mut Preview),
}

/// Who looks on, and may end it.
pub trait Onlooker {
    /// What is read passes through here.
    fn input(&self, input: Box<dyn Read>) -> Box<dyn Read> {
        input
    }
    /// Everything up to this row is dealt with.
    fn row(&self, rows: u64);
    /// A row is left out; the place it has among those of the file, from 1.
    fn bad_row(&self, number: u64, bad: &BadRow);
    /// Something else to be known, with the file's name.
    fn complain(&self, text: &str);
    /// Whether it is to end between two batches.
    fn stops(&self) -> bool;
}

/// Why a file was not imported whole.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// Its bytes do not come.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It cannot be read, or not to its end; rows before that are durable.
    #[error(transparent)]
    Unread(ReadError),
    /// It is not what it was at the beginning.
    #[error("changed while it was imported; import it again")]
    Changed,
    /// The log did not confirm. The same import again goes on from there, or adds nothing twice.
    #[error("not confirmed within {PATIENCE:?}: {0}; run it again to go on")]
    Unconfirmed(String),
    /// The process stops. The same import again goes on from there.
    #[error("stopped on the way; run it again to go on")]
    Stopped,
    /// A mistake of this program.
    #[error("{0}")]
    Broken(String),
}

impl CarryError {
    /// Whether the file itself is at fault, so that the same again ends the same.
    #[must_use]
    pub const fn is_the_files(&self) -> bool {
        match self {
            Self::Unread(_) => true,
            Self::Io(_)
            | Self::Changed
            | Self::Unconfirmed(_)
            | Self::Stopped
            | Self::Broken(_) => false,
        }
    }
}

/// Imports a file. Blocks; must not be called on a runtime's thread.
///
/// The report says what was done in any case, the result why that was not all.
pub fn carry(
    job: &Job,
    columns: &WfmColumns,
    purpose: Purpose<'_>,
    onlooker: &dyn Onlooker,
) -> (Report, Result<(), CarryError>) {
    let mut run = Run::new(job, columns, purpose, onlooker);
    let result = if run.report.imported_before {
        Ok(())
    } else {
        run.import()
    };
    (run.report, result)
}

/// What is to say of a file that has been imported whole into the log that notes call `log`; `None` if it has not.
#[must_use]
pub fn imported_before(job: &Job, columns: &WfmColumns, log: &str) -> Option<Report> {
    let (path, bytes) = (job.path.as_ref()?, job.bytes.as_ref()?);
    let note = Note::of(path, log.to_owned(), identity(bytes, &job.export, columns));
    let before = note.before().filter(|entry| entry.done)?;
    Some(report(job, Some(before)))
}

/// What is known at the beginning.
fn report(job: &Job, before: Option<&Entry>) -> Report {
    Report {
        file: job.name.clone(),
        recorded_at: job.export.recorded_at.to_string(),
        export_version: job.export.version.clone(),
        imported_before: before.is_some_and(|entry| entry.done),
        rows_before: before.map_or(0, |entry| entry.rows),
        done: before.is_some_and(|entry| entry.done),
        ..Report::default()
    }
}

pub(super) type Answers = Vec<Result<Appended, AppendError>>;

/// A task of its own, so that it is on its way while rows are read.
pub(super) fn append(target: &Target, events: Vec<NewEvent>) -> tokio::task::JoinHandle<Answers> {
    let log = Arc::clone(&target.log);
    target
        .runtime
        .spawn(async move { log::retry::append(log.as_ref(), events, PATIENCE).await })
}

pub(super) fn wait(
    target: &Target,
    sending: tokio::task::JoinHandle<Answers>,
) -> Result<Answers, CarryError> {
    let answers = target.runtime.block_on(sending);
    // It breaks off with the runtime it is on, and that ends with the process.
    answers.map_err(|error| match error.is_cancelled() {
        true => CarryError::Stopped,
        false => CarryError::Broken(format!("storing broke off: {error}")),
    })
}

/// Rows read together, and their events.
#[derive(Default)]
struct Batch {
    events: Vec<(Origin, NewEvent)>,
    /// Rows read so far, from the first of the file.
    rows: u64,
    /// Why nothing comes after these.
    end: Option<Result<(), ReadError>>,
}

/// Where an event comes from.
#[derive(Clone, Copy)]
enum Origin {
    /// The row that ends at this count of rows.
    Value { row: u64 },
    /// A value that stands in the file again: most likely the log has it.
    Again,
    /// A bad row.
    Bad,
}

/// The import of one file.
struct Run<'a> {
    job: &'a Job,
    columns: &'a WfmColumns,
    purpose: Purpose<'a>,
    onlooker: &'a dyn Onlooker,
    note: Option<Note>,
    report: Report,
    started: Instant,
    /// Bytes read so far, where they are not known beforehand.
    hasher: Rc<RefCell<Hasher>>,
}

impl<'a> Run<'a> {
    fn new(
        job: &'a Job,
        columns: &'a WfmColumns,
        purpose: Purpose<'a>,
        onlooker: &'a dyn Onlooker,
    ) -> Self {
        let note = match (&purpose, &job.path, &job.bytes) {
            (
                Purpose::Store {
                    target,
                    noted: true,
                    ..
                },
                Some(path),
                Some(bytes),
            ) => {
                let identity = identity(bytes, &job.export, columns);
                Some(Note::of(path, target.name.clone(), identity))
            }
            _ => None,
        };
        let (dry_run, again) = match &purpose {
            Purpose::Store { again, .. } => (false, *again),
            Purpose::Preview(_) => (true, false),
        };
        let before = note.as_ref().and_then(Note::before);
        let before = before.filter(|_| !again);
        let report = Report {
            dry_run,
            ..report(job, before)
        };
        Self {
            job,
            columns,
            purpose,
            onlooker,
            note,
            report,
            started: Instant::now(),
            hasher: Rc::default(),
        }
    }

    fn import(&mut self) -> Result<(), CarryError> {
        let input: Box<dyn Read> = match &self.job.path {
            Some(path) => Box::new(File::open(path)?),
            None => Box::new(Hashing {
                input: io::stdin(),
                hasher: Rc::clone(&self.hasher),
            }),
        };
        let rows = Rows::open(self.onlooker.input(input), self.columns).map_err(unread)?;
        let mut import = Import::new(rows, self.job.export.clone(), self.columns.clone());
        let result = self.carry(&mut import);
        self.report.found = import.tally().clone();
        self.report.seconds = self.started.elapsed().as_secs_f64();
        if let Purpose::Preview(preview) = &self.purpose {
            self.report.changes = Some(preview.changes());
        }
        let end = result?;
        if let Err(ReadError::Io(error)) = end {
            return Err(error.into());
        }
        self.check_unchanged()?;
        self.tell(end.as_ref().err())?;
        end.map_err(unread)?;
        self.report.done = self.report.refused == 0;
        self.write_note(self.report.found.rows, true);
        Ok(())
    }

    /// From the file to the log, batch by batch. The end is how reading ended; an error, that storing did not.
    fn carry(&mut self, import: &mut Import) -> Result<Result<(), ReadError>, CarryError> {
        let mut batch = self.read(import);
        loop {
            let sending = match &mut self.purpose {
                Purpose::Store { target, .. } => {
                    let events = batch.events.iter().map(|(_, event)| event.clone());
                    Some((*target, append(target, events.collect())))
                }
                Purpose::Preview(preview) => {
                    for (origin, event) in &batch.events {
                        match origin {
                            Origin::Value { .. } => preview.apply(event),
                            Origin::Again | Origin::Bad => {}
                        }
                    }
                    None
                }
            };
            let next = match batch.end {
                Some(_) => Batch::default(),
                None => self.read(import),
            };
            if let Some((target, sending)) = sending {
                let answers = wait(target, sending)?;
                self.acknowledge(&batch.events, answers)?;
                self.write_note(batch.rows, false);
            }
            self.onlooker.row(batch.rows);
            if let Some(end) = batch.end {
                return Ok(end);
            }
            if self.onlooker.stops() {
                return Err(CarryError::Stopped);
            }
            batch = next;
        }
    }

    /// The next rows' events, without those of rows that a run before has stored.
    fn read(&self, import: &mut Import) -> Batch {
        let mut batch = Batch::default();
        while batch.events.len() < BATCH && batch.end.is_none() {
            let taken = import.next_row();
            batch.rows = import.tally().rows;
            let is_new = batch.rows > self.report.rows_before;
            match taken {
                Ok(Some(Taken::Good { new, again })) if is_new => {
                    let origin = Origin::Value { row: batch.rows };
                    batch.events.extend(new.into_iter().map(|e| (origin, e)));
                    let again = again.into_iter().map(|e| (Origin::Again, e));
                    batch.events.extend(again);
                }
                Ok(Some(Taken::Bad(bad, event))) if is_new => {
                    self.onlooker.bad_row(import.tally().bad, &bad);
                    batch.events.extend(event.map(|e| (Origin::Bad, e)));
                }
                Ok(Some(Taken::Good { .. } | Taken::Bad(..))) => {}
                Ok(None) => batch.end = Some(Ok(())),
                Err(error) => batch.end = Some(Err(error)),
            }
        }
        batch
    }

    fn acknowledge(
        &mut self,
        sent: &[(Origin, NewEvent)],
        answers: Answers,
    ) -> Result<(), CarryError> {
        let mut unknown = None;
        let name = &self.job.name;
        for ((origin, _), answer) in sent.iter().zip(answers) {
            match (origin, answer) {
                (Origin::Value { .. }, Ok(appended)) if appended.duplicate => {
                    self.report.duplicates += 1;
                }
                (Origin::Value { .. }, Ok(_)) => self.report.stored += 1,
                (Origin::Bad | Origin::Again, Ok(_)) => {}
                (Origin::Value { row }, Err(AppendError::Refused(why))) => {
                    self.report.refused += 1;
                    let text = format!("{name}: row {row}: refused by the log: {why}");
                    self.onlooker.complain(&text);
                }
                // Both stand in the summary all the same.
                (Origin::Again, Err(AppendError::Refused(_))) => {}
                (Origin::Bad, Err(AppendError::Refused(why))) => {
                    let text = format!("{name}: not in quarantine: refused by the log: {why}");
                    self.onlooker.complain(&text);
                }
                (_, Err(AppendError::Unknown(why))) => unknown = Some(why),
            }
        }
        unknown.map_or(Ok(()), |why| Err(CarryError::Unconfirmed(why)))
    }

    /// Someone may have written to it meanwhile; then nobody knows which rows came from which bytes.
    fn check_unchanged(&self) -> Result<(), CarryError> {
        let (Some(path), Some(bytes)) = (&self.job.path, &self.job.bytes) else {
            return Ok(());
        };
        let is_same =
            fs::metadata(path)?.len() == bytes.length && Bytes::of(File::open(path)?)? == *bytes;
        is_same.then_some(()).ok_or(CarryError::Changed)
    }

    /// Tells operators what was left out, if anything was.
    fn tell(&mut self, unread: Option<&ReadError>) -> Result<(), CarryError> {
        let Purpose::Store { target, .. } = self.purpose else {
            return Ok(());
        };
        let found = &self.report.found;
        if found.bad == 0 && unread.is_none() {
            return Ok(());
        }
        let read = self.hasher.borrow().finish();
        let bytes = self.job.bytes.as_ref().unwrap_or(&read);
        let id = identity(bytes, &self.job.export, self.columns);
        let told = Told {
            file: &self.job.export.file,
            rows: found.rows,
            bad: found.bad,
            first: found.first.clone(),
            unread: unread.map(ToString::to_string),
        };
        tell(target, &id, &self.job.export.name, told)?;
        self.report.import_id = Some(id);
        Ok(())
    }

    /// A note that cannot be written costs the next run its time, and nothing else.
    fn write_note(&mut self, rows: u64, done: bool) {
        if self.report.refused > 0 {
            // The next run goes on with the rows that the log would not take.
            return;
        }
        let Some(note) = &mut self.note else { return };
        if let Err(error) = note.write(rows, done) {
            let text = format!(
                "{}: what was imported cannot be noted beside it ({error}); the next import reads it from the start",
                self.job.name
            );
            self.onlooker.complain(&text);
            self.note = None;
        }
    }
}

fn unread(error: ReadError) -> CarryError {
    match error {
        ReadError::Io(error) => CarryError::Io(error),
        ReadError::Form { .. } | ReadError::Packed { .. } | ReadError::Broken { .. } => {
            CarryError::Unread(error)
        }
    }
}

/// Standard input, hashed on its way.
struct Hashing<R> {
    input: R,
    hasher: Rc<RefCell<Hasher>>,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        let bytes = into.get(..read).unwrap_or_default();
        self.hasher.borrow_mut().update(bytes);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
