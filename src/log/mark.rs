//! What is remembered of an event that was read, to tell later whether the log still holds it.
//!
//! A log that answers before it has synced can lose its end with the power, and give the positions out again. So a
//! position alone proves nothing: with it go the hash of the event's body and the time at which the log stored it, since
//! two events may say the same (ticks do).

use std::time::Duration;

use aftercall_actors::contract::time::LogTime;
use bytes::Bytes;
use prost::Message;

use super::{
    EventLog, Kept, Lane, LogError, OutputMark, PartitionId, Position, RawEvent, checksum, retry,
};

/// A log that seems to have lost something is looked at again this often,
const LOOKS: u32 = 5;

/// after such a pause each time: a server that has just become its leader may still be reading what it holds.
const LOOK_PAUSE: Duration = Duration::from_millis(400);

/// The identity of an event: 128-bit hash of its body. Damage and replacement are found, not malice.
#[must_use]
pub fn identity(payload: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(payload)
}

/// An event, as it is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventMark {
    /// Its place.
    pub position: Position,
    /// Hash of its body.
    pub identity: u128,
    /// When the log stored it; not known of journal records from before it was kept.
    pub time: Option<LogTime>,
}

impl EventMark {
    /// What is remembered of an event.
    #[must_use]
    pub fn of(event: &RawEvent) -> Self {
        Self {
            position: event.position,
            identity: identity(&event.payload),
            time: Some(event.time),
        }
    }

    /// Whether this is the event.
    #[must_use]
    pub fn is(&self, event: &RawEvent) -> bool {
        self.identity == identity(&event.payload) && self.time.is_none_or(|time| time == event.time)
    }
}

/// What the log has where an event was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// That event; or nothing was read.
    Same,
    /// Retention has removed it, which proves nothing.
    Trimmed,
    /// Nothing: the log ends before.
    Gone {
        /// Where it ends.
        last: Position,
    },
    /// Another event.
    Another,
}

impl Standing {
    /// Why the log is not what it was, if it is not.
    ///
    /// # Errors
    /// [`LogError::RolledBack`] where an event that was read is no longer there.
    pub fn holds(self, position: Position) -> Result<(), LogError> {
        match self {
            Self::Same | Self::Trimmed => Ok(()),
            Self::Gone { last } => Err(LogError::RolledBack(format!(
                "position {position} had been read, and it ends at position {last}: acknowledged events were lost"
            ))),
            Self::Another => Err(LogError::RolledBack(format!(
                "another event stands at position {position} than was read there: it was rolled back and written anew"
            ))),
        }
    }
}

/// Looks once.
///
/// # Errors
/// If the log cannot be read.
pub async fn look(log: &dyn EventLog, mark: &EventMark) -> Result<Standing, LogError> {
    if mark.position == 0 {
        return Ok(Standing::Same);
    }
    // A second time, should the position have been given out again between the two questions.
    for _ in 0..2 {
        if let Some(event) = log.event_at(mark.position).await? {
            return Ok(match mark.is(&event) {
                true => Standing::Same,
                false => Standing::Another,
            });
        }
        let bounds = log.bounds().await?;
        if bounds.last < mark.position {
            return Ok(Standing::Gone { last: bounds.last });
        }
        if mark.position < bounds.first {
            break;
        }
    }
    // Removed by retention; a hole in the middle is for those to find who have to read it.
    Ok(Standing::Trimmed)
}

/// Looks until it is sure, for as long as the log cannot be reached: that it has become shorter must be seen for a while.
///
/// # Errors
/// If the log cannot be read for good.
pub async fn settled(log: &dyn EventLog, mark: &EventMark) -> Result<Standing, LogError> {
    let mut looks = 0;
    loop {
        let standing = retry::read(|| look(log, mark)).await?;
        looks += 1;
        let is_shorter = matches!(standing, Standing::Gone { .. });
        if !is_shorter || looks >= LOOKS {
            return Ok(standing);
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// What others than the partitions need to know of a journal record.
#[derive(Clone, PartialEq, Message)]
pub struct Sealing {
    /// The number of its commit; as in the whole record.
    #[prost(uint64, tag = "3")]
    pub commit: u64,
    /// The process that wrote it, 0 where that was not kept; as in the whole record.
    #[prost(fixed64, tag = "24")]
    pub owner: u64,
}

impl Sealing {
    /// That of a record; `None` if it is damaged.
    #[must_use]
    pub fn of(record: &Bytes) -> Option<Self> {
        let whole = checksum::holds(record).then(|| Self::decode(record.clone()))?;
        whole.ok()
    }
}

/// What has become of the last output of a lane, looked at until it is sure, for as long as the log cannot be reached.
///
/// # Errors
/// If the log cannot be read for good.
pub async fn kept(
    log: &dyn EventLog,
    partition: PartitionId,
    lane: Lane,
    mark: OutputMark,
) -> Result<Kept, LogError> {
    let mut looks = 0;
    let mut before = None;
    loop {
        let kept = retry::read(|| log.output_kept(partition, lane, mark)).await?;
        looks += 1;
        match kept {
            Kept::Stands => return Ok(kept),
            // Twice, should its place have been given out again while it was looked for.
            Kept::Removed if before == Some(kept) => return Ok(kept),
            Kept::Removed => {}
            Kept::Lost if looks >= LOOKS => return Ok(kept),
            Kept::Lost => tokio::time::sleep(LOOK_PAUSE).await,
        }
        before = Some(kept);
    }
}
