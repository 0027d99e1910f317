//! Moves log time on when nothing else arrives: a tick event for all partitions, at most one a second.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;

use crate::{
    envelope,
    log::{
        AppendError, Log,
        health::{Who, Work},
    },
    planted::{PanicIn, panic_if_planted},
};

/// Shortest time between two ticks of a process.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// Collects the wishes of all partitions.
#[derive(Debug, Default)]
pub struct Ticker {
    wanted: Notify,
}

impl Ticker {
    /// Asks for a tick: an actor is due.
    pub fn ask(&self) {
        self.wanted.notify_one();
    }

    /// Appends ticks as they are asked for; runs until dropped.
    pub async fn run(self: Arc<Self>, log: Log) {
        loop {
            self.wanted.notified().await;
            panic_if_planted(PanicIn::Ticker);
            for outcome in log.append(vec![envelope::tick_event(log.now())]).await {
                if let Err(AppendError::Refused(why)) = outcome
                    && let Some(health) = log.health()
                {
                    // A tick is small and well-formed: a log that refuses it takes nothing.
                    health.failed(Work::StoreEvents, Who::All, &why);
                }
            }
            tokio::time::sleep(TICK_EVERY).await;
        }
    }
}
