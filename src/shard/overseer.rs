//! Looks once a second whether work gets done: how far the log goes, what it fails at, what does not get on.
//!
//! Partitions and the log keep accounts of what they do (`board`, `log::health`); a process in which nothing is done
//! writes none. So this asks the log how far it goes even when nobody reads, tries what was last heard to fail and may
//! not be tried by anyone else, and gives the one line when something stands still and the one when it goes on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    board::{Board, Stall},
    ticker::Ticker,
};
use crate::{
    log::{
        Log,
        health::{STALL, Who, Work},
    },
    planted::{PanicIn, panic_if_planted},
};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks until dropped.
pub async fn oversee(log: Log, board: Arc<Board>, ticker: Arc<Ticker>) {
    let mut said = BTreeMap::new();
    loop {
        panic_if_planted(PanicIn::Overseer);
        if let Ok(bounds) = log.bounds().await {
            board.set_log_end(bounds.last);
            // Nothing to read is no trouble in reading.
            if let Some(health) = log.health()
                && board.read() >= bounds.last
            {
                health.succeeded(Work::ReadEvents, Who::All);
            }
        }
        if let Some(health) = log.health() {
            // Whoever stores events or reads outputs may have given up, and not come again before we say it works.
            if health.is_failing(Work::StoreEvents) {
                ticker.ask();
            }
            if health.is_failing(Work::ReadOutputs) {
                // Its account is kept where it is asked.
                let _ = log.outputs_last().await;
            }
            health.look();
        }
        say(&mut said, board.stalls(STALL));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn say(said: &mut BTreeMap<Stall, usize>, stalls: BTreeMap<Stall, (String, usize)>) {
    said.retain(|kind, partitions| {
        let goes_on = !stalls.contains_key(kind);
        if goes_on {
            match kind {
                Stall::Apply => tracing::info!(partitions, "events are applied again"),
                Stall::Commit => tracing::info!(partitions, "partitions commit again"),
                Stall::Publish => tracing::info!(partitions, "outputs are published again"),
                Stall::Timer => tracing::info!(partitions, "timers go on again"),
            }
        }
        !goes_on
    });
    for (kind, (text, partitions)) in stalls {
        let before = said.insert(kind, partitions);
        if before.is_none() {
            tracing::warn!(partitions, "{text}");
        }
    }
}
