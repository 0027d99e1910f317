//! Reads the log once for all partitions of the process: each event is decoded once, then shared.
//!
//! The reader follows the slowest partition (a feed waits until its partition has room), so memory stays bounded
//! and the log keeps what is not yet applied. A partition that has ended is passed over; the others go on.

use std::{sync::Arc, time::Duration};

use futures::future::{LocalBoxFuture, join_all};
use tokio::sync::watch;

use super::{
    batch::{BATCH_EVENTS_MAX, Feed, route},
    board::Board,
    memory::MemoryBound,
};
use crate::{
    log::{Log, LogError, Position},
    telemetry::metrics,
};

/// Where feeds of one partition go.
pub trait Inlet {
    /// Hands a feed over; ready when the partition has room for the next one. `false` if it has ended.
    fn feed(&self, feed: Feed) -> LocalBoxFuture<'static, bool>;
}

/// Pause before reading on after the log could not be reached.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Pause while actors take all the memory they may,
const MEMORY_PAUSE: Duration = Duration::from_millis(100);

/// and how often: by then all that can be is on the disk. What comes is applied all the same.
const MEMORY_PAUSES: u32 = 10;

/// Reads from behind `floor` until told to stop.
///
/// # Errors
/// If events are missing: no partition may go on.
pub async fn read(
    log: Log,
    floor: Position,
    inlets: Vec<Option<Box<dyn Inlet>>>,
    board: Arc<Board>,
    memory: Arc<MemoryBound>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), LogError> {
    let stopped = async move {
        // A dropped sender is a stop as well.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    tokio::select! {
        biased;
        () = stopped => Ok(()),
        never = read_on(log, floor, inlets, board, memory) => never.map(|_: std::convert::Infallible| ()),
    }
}

async fn read_on(
    log: Log,
    floor: Position,
    mut inlets: Vec<Option<Box<dyn Inlet>>>,
    board: Arc<Board>,
    memory: Arc<MemoryBound>,
) -> Result<std::convert::Infallible, LogError> {
    let mut next = floor + 1;
    loop {
        let mut reader = match log.read(next).await {
            Ok(reader) => reader,
            Err(error) => {
                pause_if_transient(error).await?;
                continue;
            }
        };
        loop {
            wait_for_memory(&memory, &board).await;
            let raws = match reader.next(BATCH_EVENTS_MAX).await {
                Ok(raws) => raws,
                Err(error) => {
                    pause_if_transient(error).await?;
                    break;
                }
            };
            let Some(last) = raws.last().map(|raw| raw.position) else {
                continue;
            };
            if raws[0].position != next {
                return Err(LogError::Gap {
                    expected: next,
                    found: raws[0].position,
                });
            }
            next = last + 1;
            metrics().events_read.inc_by(raws.len() as u64);
            board.set_read(last);
            let feeds = route(raws, log.partition_count());
            let handing = inlets.iter().zip(feeds).map(|(inlet, feed)| {
                let inlet = inlet.as_ref().map(|inlet| inlet.feed(feed));
                async move {
                    match inlet {
                        Some(fed) => fed.await,
                        None => false,
                    }
                }
            });
            let alive = join_all(handing).await;
            for (inlet, alive) in inlets.iter_mut().zip(alive) {
                if !alive {
                    *inlet = None;
                }
            }
        }
    }
}

/// Waits a little where the log cannot be reached.
///
/// # Errors
/// The error, if waiting does not help against it.
pub(super) async fn pause_if_transient(error: LogError) -> Result<(), LogError> {
    if !error.is_transient() {
        return Err(error);
    }
    tracing::debug!(%error, "reading goes on when the log can be reached");
    tokio::time::sleep(RETRY_PAUSE).await;
    Ok(())
}

/// Gives the partitions time to put quiet actors on the disk.
async fn wait_for_memory(memory: &MemoryBound, board: &Board) {
    for _ in 0..MEMORY_PAUSES {
        if !memory.is_short() {
            break;
        }
        tokio::time::sleep(MEMORY_PAUSE).await;
    }
    let crowded = memory.is_short();
    match (board.set_crowded(crowded), crowded) {
        (false, true) => {
            metrics().memory_waits.inc();
            tracing::error!(
                bytes = memory.bytes(),
                bytes_max = memory.bytes_max(),
                "actors take all the memory they may, those on the disk not counted: reading goes on slowly, and events by \
                 HTTP are refused; raise engine.memory_max"
            );
        }
        (true, false) => tracing::info!("actors have room again"),
        (false, false) | (true, true) => {}
    }
}
