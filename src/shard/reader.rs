//! Reads the log once for all partitions of the process: each event is decoded once, then shared.
//!
//! The reader follows the slowest partition (a feed waits until its partition has room), so memory stays bounded
//! and the log keeps what is not yet applied. A partition that has ended is passed over; the others go on.
//!
//! A log can lose its end while it is read, and give the positions out again. So after every doubt (a connection that was
//! lost), and every few seconds, the event last read is looked at again, before anything behind it is handed on; and what
//! the partitions had committed is compared as replay passes it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::{LocalBoxFuture, join_all};
use tokio::{sync::watch, time::Instant};

use super::{
    batch::{BATCH_EVENTS_MAX, Feed, route},
    board::Board,
    memory::MemoryBound,
};
use crate::{
    log::{
        EventMark, EventReader, Log, LogError, Position, RawEvent,
        mark::{self, Standing},
    },
    planted::{Bug, PanicIn, is_planted, panic_if_planted},
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

/// The event last read is looked at again this often, though nothing gave cause for doubt.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// With nothing to read it is looked this often whether partitions are to be taken over anew.
const ANEW_EVERY: Duration = Duration::from_millis(250);

/// From where on partitions want events.
#[derive(Clone, Debug, Default)]
pub struct Floors {
    /// Behind this position.
    pub floor: Position,
    /// What partitions have committed, by position: replay must come upon the same.
    committed: BTreeMap<Position, Vec<EventMark>>,
}

impl Floors {
    /// Of partitions with these floors and committed events; `None` if there are none.
    #[must_use]
    pub fn of(partitions: impl IntoIterator<Item = (Position, EventMark)>) -> Option<Self> {
        let mut floors: Option<Self> = None;
        for (floor, mark) in partitions {
            let floors = floors.get_or_insert_with(|| Self {
                floor,
                ..Self::default()
            });
            floors.floor = floors.floor.min(floor);
            // Where retention has removed the event nothing is known of it.
            if mark.identity != 0 {
                let marks = floors.committed.entry(mark.position).or_default();
                if !marks.contains(&mark) {
                    marks.push(mark);
                }
            }
        }
        floors
    }

    /// Compares what was read with what was committed.
    fn check(&mut self, events: &[RawEvent]) -> Result<(), LogError> {
        while let Some(entry) = self.committed.first_entry() {
            let (Some(first), Some(last)) = (events.first(), events.last()) else {
                break;
            };
            let position = *entry.key();
            if position > last.position {
                break;
            }
            let marks = entry.remove();
            let place = position.checked_sub(first.position);
            let event = place.and_then(|place| events.get(usize::try_from(place).ok()?));
            if let Some(event) = event
                && !marks.iter().all(|mark| mark.is(event))
            {
                Standing::Another.holds(position)?;
            }
        }
        Ok(())
    }
}

/// Why reading has ended.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Partitions are to be taken over anew.
    #[error("{0}")]
    Anew(String),
    /// Events are missing: no partition may go on, but where the log has lost its end they may once they have taken over
    /// anew.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl ReadError {
    /// Whether partitions go on once they have taken over anew.
    #[must_use]
    pub const fn is_anew(&self) -> bool {
        matches!(self, Self::Anew(_) | Self::Log(LogError::RolledBack(_)))
    }
}

/// Reads from behind the floors until told to stop.
///
/// # Errors
/// See [`ReadError`].
pub async fn read(
    log: Log,
    floors: Floors,
    inlets: Vec<Option<Box<dyn Inlet>>>,
    board: Arc<Board>,
    memory: Arc<MemoryBound>,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), ReadError> {
    board.begin_reading(floors.floor);
    let stopped = async move {
        // A dropped sender is a stop as well.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    tokio::select! {
        biased;
        () = stopped => Ok(()),
        never = read_on(log, floors, inlets, board, memory) => never.map(|_: std::convert::Infallible| ()),
    }
}

/// Waits until partitions are to be taken over anew, or to be told to stop.
///
/// # Errors
/// [`ReadError::Anew`] when they are.
pub async fn wait(board: &Board, mut stopping: watch::Receiver<bool>) -> Result<(), ReadError> {
    loop {
        if let Some(why) = board.wants_anew() {
            return Err(ReadError::Anew(why));
        }
        // A dropped sender is a stop as well.
        let stopped = stopping.wait_for(|stop| *stop);
        if tokio::time::timeout(ANEW_EVERY, stopped).await.is_ok() {
            return Ok(());
        }
    }
}

async fn read_on(
    log: Log,
    floors: Floors,
    mut inlets: Vec<Option<Box<dyn Inlet>>>,
    board: Arc<Board>,
    memory: Arc<MemoryBound>,
) -> Result<std::convert::Infallible, ReadError> {
    let mut place = Place::new(floors);
    loop {
        if let Some(why) = board.wants_anew() {
            return Err(ReadError::Anew(why));
        }
        let mut reader = match log.read(place.next).await {
            Ok(reader) => reader,
            Err(error) => {
                pause_if_transient(error).await?;
                continue;
            }
        };
        loop {
            panic_if_planted(PanicIn::Reader);
            wait_for_memory(&memory, &board).await;
            let raws = match place.read(&log, &board, &mut *reader).await {
                Ok(raws) => raws,
                Err(error) => {
                    pause_if_transient(error).await?;
                    break;
                }
            };
            if let Some(why) = board.wants_anew() {
                return Err(ReadError::Anew(why));
            }
            let Some(last) = raws.last().map(|raw| raw.position) else {
                continue;
            };
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

/// Where the reader is in the log. Outlives every connection.
struct Place {
    next: Position,
    floors: Floors,
    /// The event last read.
    last: EventMark,
    /// The log's doubts when it was last looked at, and when that was. `None` at first: since partitions looked what they
    /// had committed the log may have lost it.
    doubts: Option<u64>,
    looked_at: Instant,
}

impl Place {
    fn new(floors: Floors) -> Self {
        Self {
            next: floors.floor + 1,
            floors,
            last: EventMark::default(),
            doubts: None,
            looked_at: Instant::now(),
        }
    }

    /// Reads on. Nothing is given out while it is in doubt whether the log is still the one that was read.
    async fn read(
        &mut self,
        log: &Log,
        board: &Board,
        reader: &mut dyn EventReader,
    ) -> Result<Vec<RawEvent>, LogError> {
        if self.doubts.is_none() {
            self.look(log).await?;
        }
        let doubts = log.doubts();
        let mut reading = std::pin::pin!(reader.next(BATCH_EVENTS_MAX));
        // A reader that is given up half way would never come to mend what keeps it waiting.
        let read = loop {
            match tokio::time::timeout(LOOK_EVERY, &mut reading).await {
                Ok(read) => break read,
                Err(_) if board.is_asked_anew() => return Ok(Vec::new()),
                Err(_) => self.look(log).await?,
            }
        };
        let is_due = self.looked_at.elapsed() >= LOOK_EVERY;
        let in_doubt = Some(doubts) != self.doubts || log.doubts() != doubts;
        if is_due || in_doubt || read.is_err() {
            self.look(log).await?;
        }
        let raws = read?;
        let (Some(first), Some(last)) = (raws.first(), raws.last()) else {
            return Ok(raws);
        };
        if in_doubt && mark::settled(&**log, &EventMark::of(last)).await? != Standing::Same {
            let why = "what was read has been lost since, and is read again";
            return Err(LogError::Unreachable(why.to_owned()));
        }
        if first.position != self.next {
            return Err(LogError::Gap {
                expected: self.next,
                found: first.position,
            });
        }
        self.floors.check(&raws)?;
        self.next = last.position + 1;
        self.last = EventMark::of(last);
        Ok(raws)
    }

    /// Looks whether the event last read still stands where it stood.
    async fn look(&mut self, log: &Log) -> Result<(), LogError> {
        let doubts = Some(log.doubts());
        // Until replay has passed it, what was committed is the last thing known.
        let committed = self.floors.committed.last_key_value();
        let newest = committed.and_then(|(_, marks)| marks.first());
        let newest = newest.copied().unwrap_or(self.last);
        let standing = mark::settled(&**log, &newest).await?;
        if !is_planted(Bug::LostEndNotNoticed) {
            standing.holds(newest.position)?;
        }
        // Doubts that came up meanwhile are for the next look.
        (self.doubts, self.looked_at) = (doubts, Instant::now());
        Ok(())
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
