//! Records on their way into the journal, and what follows once they stand there.

use std::sync::Arc;

use futures::FutureExt as _;
use tokio::time::Instant;

use super::{Committed, Driver, Errand, Stage, Uncommitted};
use crate::{
    delivery::{
        journal::{Journal, JournalError, trim},
        state::{Action, Batch},
    },
    log::Seq,
    planted::{Bug, is_planted},
    telemetry::metrics,
};

impl Driver {
    pub(super) fn begin_record(&mut self, mut batch: Batch) {
        let Some(journal) = self.journal.take() else {
            return;
        };
        self.too_early(&mut batch);
        let records = journal.record(&batch.facts);
        self.records += 1;
        let log = Arc::clone(&self.log);
        self.commit = Some(
            async move {
                let kept = journal.clone();
                match journal.write(log, records).await {
                    Ok((journal, _)) => Ok(Committed {
                        journal,
                        batch,
                        checkpoint: None,
                    }),
                    Err(error) => Err(Uncommitted {
                        journal: kept,
                        batch,
                        error,
                    }),
                }
            }
            .boxed_local(),
        );
    }

    /// A record that could not be written. Where the log has lost the end of the journal, all that is known is written anew
    /// behind what is left.
    pub(super) fn uncommitted(&mut self, uncommitted: Uncommitted) -> Result<(), JournalError> {
        let Uncommitted {
            journal,
            batch,
            error,
        } = uncommitted;
        let JournalError::Lost { head } = error else {
            return Err(error);
        };
        self.write_anew(journal, head, batch);
        Ok(())
    }

    /// Writes a checkpoint behind what the log has left of the journal; `batch` is what was not committed with it.
    pub(super) fn write_anew(&mut self, journal: Journal, head: Seq, batch: Batch) {
        metrics().log_losses("deliveries").inc();
        tracing::error!(
            destination = %self.destination,
            left = head,
            "the log had lost delivery records: all that is known is written anew"
        );
        self.journal = Some(journal.cut(head));
        if is_planted(Bug::LostRecordsNotWrittenAnew) {
            return self.begin_record(batch);
        }
        self.again = batch;
        self.begin_checkpoint(self.log.record_bytes_max() / 2);
    }

    pub(super) fn begin_checkpoint(&mut self, bytes_max: usize) {
        let Some(journal) = self.journal.take() else {
            return;
        };
        let (steps, mut batch) = self.machine.checkpoint();
        let mut again = std::mem::take(&mut self.again);
        again.facts.append(&mut batch.facts);
        again.actions.append(&mut batch.actions);
        let batch = again;
        let records = journal.checkpoint(steps, bytes_max);
        self.records = 0;
        self.checkpoint_at = Instant::now();
        self.marked_at = self.checkpoint_at;
        let (log, destination) = (Arc::clone(&self.log), Arc::clone(&self.destination));
        let is_last = self.stage == Stage::Closing;
        let mut checkpoints = self.kept.clone();
        self.commit = Some(
            async move {
                let kept = journal.clone();
                let (journal, first) = match journal.write(Arc::clone(&log), records).await {
                    Ok(written) => written,
                    Err(error) => {
                        return Err(Uncommitted {
                            journal: kept,
                            batch,
                            error,
                        });
                    }
                };
                // Nothing else is done any more, beside which it could be.
                if is_last && let Some(before) = checkpoints.before(first, Instant::now()) {
                    trim(log, destination, before).await;
                }
                Ok(Committed {
                    journal,
                    batch,
                    checkpoint: (!is_last).then_some(first),
                })
            }
            .boxed_local(),
        );
    }

    /// The bugs the simulation has to find.
    fn too_early(&mut self, batch: &mut Batch) {
        let (told, sent) = (
            is_planted(Bug::ToldBeforeCommit),
            is_planted(Bug::SentBeforeCommit),
        );
        if told || sent {
            let early = batch.actions.extract_if(.., |action| match action {
                Action::Send { .. } => sent,
                Action::Report { .. } | Action::Alarm(_) => told,
            });
            let early: Vec<Action> = early.collect();
            self.perform(early);
        }
    }

    pub(super) fn committed(&mut self, committed: Committed) {
        let Committed {
            journal,
            batch,
            checkpoint,
        } = committed;
        self.journal = Some(journal);
        for fact in &batch.facts {
            self.account.committed(fact, self.stored_at(fact));
        }
        if self.stage != Stage::Closing {
            self.perform(batch.actions);
        }
        let before = checkpoint.and_then(|first| self.kept.before(first, Instant::now()));
        if let Some(before) = before {
            let trimming = trim(Arc::clone(&self.log), Arc::clone(&self.destination), before);
            self.errands
                .push(trimming.map(|()| Ok(Errand::Trimmed)).boxed_local());
        }
        let items = self.machine.state().items();
        for fact in &batch.facts {
            if let Some(seq) = fact.ends()
                && !items.contains_key(&seq)
            {
                self.parcels.remove(&seq);
            }
        }
    }
}
