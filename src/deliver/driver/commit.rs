//! Records on their way into the line, and what follows once they stand there.

use std::sync::Arc;

use futures::FutureExt as _;
use tokio::time::Instant;

use super::{Committed, Driver, Errand, Stage};
use crate::{
    deliver::{
        line::trim,
        state::{Action, Batch},
    },
    planted::{Bug, is_planted},
};

impl Driver {
    pub(super) fn begin_record(&mut self, mut batch: Batch) {
        let Some(line) = self.line.take() else {
            return;
        };
        self.too_early(&mut batch);
        let records = line.record(&batch.facts);
        self.records += 1;
        let log = Arc::clone(&self.log);
        self.commit = Some(
            async move {
                let (line, _) = line.write(log, records).await?;
                let checkpoint = None;
                Ok(Committed {
                    line,
                    batch,
                    checkpoint,
                })
            }
            .boxed_local(),
        );
    }

    pub(super) fn begin_checkpoint(&mut self, bytes_max: usize) {
        let Some(line) = self.line.take() else {
            return;
        };
        let (steps, batch) = self.machine.checkpoint();
        let records = line.checkpoint(steps, bytes_max);
        self.records = 0;
        self.checkpoint_at = Instant::now();
        self.marked_at = self.checkpoint_at;
        let (log, destination) = (Arc::clone(&self.log), Arc::clone(&self.destination));
        let is_last = self.stage == Stage::Closing;
        self.commit = Some(
            async move {
                let (line, first) = line.write(Arc::clone(&log), records).await?;
                if is_last {
                    // Nobody is left to do it beside something else.
                    trim(log, destination, first).await;
                }
                Ok(Committed {
                    line,
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
                Action::Tell { .. } | Action::Alarm(_) => told,
            });
            let early: Vec<Action> = early.collect();
            self.perform(early);
        }
    }

    pub(super) fn committed(&mut self, committed: Committed) {
        let Committed {
            line,
            batch,
            checkpoint,
        } = committed;
        self.line = Some(line);
        for fact in &batch.facts {
            self.account.committed(fact, self.stored_at(fact));
        }
        if self.stage != Stage::Closing {
            self.perform(batch.actions);
        }
        if let Some(before) = checkpoint {
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
