//! Imports inside the service, by HTTP and from the watched folder: what `carry` does, counted, logged and stopped with
//! the process.
//!
//! A file is read on a thread of its own (a blocking one: `desk` and `watch` see to that), its events are appended on
//! the runtime named at the start, and no partition's thread has part in it. A stop is heeded between two batches.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use aftercall_actors::rules::RuleSet;
use tokio::runtime::Handle;

use super::{
    BadRow, Report,
    carry::{self, CarryError, Onlooker, Purpose, Target},
    job::Job,
    preview::Preview,
    tell::tell_refused,
};
use crate::{
    config::WfmColumns,
    log::Log,
    telemetry::{imports::ImportResult, metrics},
};

/// What imports into one log have in common.
pub struct Importer {
    target: Target,
    columns: WfmColumns,
    stopping: AtomicBool,
}

/// What came of an import: what was done, and why that was not all.
pub type Carried = (Report, Result<(), CarryError>);

impl Importer {
    /// Imports into `log`, which notes beside files name `log_name`, by `columns`; appends run on `runtime`.
    #[must_use]
    pub fn new(log: &Log, log_name: String, columns: WfmColumns, runtime: Handle) -> Arc<Self> {
        let target = Target {
            log: Arc::clone(log),
            name: log_name,
            runtime,
        };
        Arc::new(Self {
            target,
            columns,
            stopping: AtomicBool::new(false),
        })
    }

    /// How rows are read.
    #[must_use]
    pub const fn columns(&self) -> &WfmColumns {
        &self.columns
    }

    /// From now on imports end between two batches.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether [`Importer::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Imports a file. Blocks.
    pub fn store(&self, job: &Job, columns: &WfmColumns, noted: bool) -> Carried {
        let purpose = Purpose::Store {
            target: &self.target,
            noted,
            again: false,
        };
        let (report, result) = carry::carry(job, columns, purpose, self);
        account(&report, result.as_ref());
        (report, result)
    }

    /// Says what an import would do. Blocks.
    pub fn preview(&self, job: &Job, columns: &WfmColumns) -> Carried {
        // Every partition of a running service has an owner, so what it began with does not matter.
        let genesis = RuleSet::default_rules();
        let found = Preview::of(&self.target.log, &genesis);
        let mut preview = match self.target.runtime.block_on(found) {
            Ok(preview) => preview,
            Err(error) => Preview::without(error.to_string()),
        };
        carry::carry(job, columns, Purpose::Preview(&mut preview), self)
    }

    /// Counts a file that is refused as a whole.
    pub fn refuse(&self, file: &str, why: &str) {
        metrics().imports.ended(ImportResult::Refused);
        tracing::warn!(file, why, "import refused");
    }

    /// Tells operators of a file that was refused, whose sender is not there to be told.
    ///
    /// # Errors
    /// If the log did not confirm.
    pub fn tell_refused(
        &self,
        file: &str,
        bytes: &super::job::Bytes,
        why: &str,
    ) -> Result<(), CarryError> {
        tell_refused(&self.target, file, bytes, &self.columns, why)
    }
}

/// Counts an import and logs it. Rows count with the import that comes to their end.
fn account(report: &Report, result: Result<&(), &CarryError>) {
    if report.imported_before {
        return;
    }
    let found = &report.found;
    let ended = match result {
        Ok(()) => ImportResult::Done,
        Err(error) if error.is_the_files() && found.rows == 0 => ImportResult::Refused,
        Err(error) if error.is_the_files() => ImportResult::CutOff,
        Err(_) => ImportResult::Interrupted,
    };
    metrics().imports.ended(ended);
    if ended != ImportResult::Interrupted {
        let good = found.rows.saturating_sub(found.bad);
        metrics().imports.rows(good, found.bad);
    }
    let (file, rows, bad) = (&*report.file, found.rows, found.bad);
    let (stored, duplicates, seconds) = (report.stored, report.duplicates, report.seconds);
    match result {
        Ok(()) => {
            tracing::info!(file, rows, bad, stored, duplicates, seconds, "imported");
        }
        Err(error) => {
            tracing::warn!(file, rows, bad, stored, duplicates, %error, "not imported whole");
        }
    }
}

impl Onlooker for Importer {
    fn row(&self, _: u64) {}

    // The quarantine has it; what stands in rows is nothing for the log of a process.
    fn bad_row(&self, _: u64, _: &BadRow) {}

    fn complain(&self, text: &str) {
        tracing::warn!("{text}");
    }

    fn stops(&self) -> bool {
        self.is_stopping()
    }
}
