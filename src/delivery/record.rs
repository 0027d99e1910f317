//! What stands in a destination's journal: steps, each a fact that is never taken back.
//!
//! The steps of a record hold together or not at all, and folding them in order (`state`) gives what the driver
//! knew; a checkpoint is a record (or a few) whose steps say all of it anew, so that what stands before can go. Steps
//! carry their results (when to try again, what a verdict was), so that a later configuration reads an older journal
//! the way it was meant. Fields are only ever added; `tests/golden` holds records of every format version.

use aftercall_actors::contract::event::Kept;
use bytes::Bytes;
use prost::{Message, Oneof};

use crate::log::{
    Seq, checksum,
    stored::{self, Stored},
};

mod alarm;
mod breaker;
mod kept;
mod place;
mod words;

pub use crate::log::stored::RecordError;
pub use alarm::{AlarmTold, Alarmed, Misconfigured};
pub use breaker::BreakerRecord;
pub use kept::{Checkpoint, Item, LaneRecord, Memory};
pub use place::{Found, LaneKey, Moved, Sighted, Sighting, Spot, holds};
pub use words::{BreakerSignal, FinalStatus, Reason, Seen};

/// The format this program writes.
pub const FORMAT: u32 = 1;

/// One commit of a destination.
#[derive(Clone, PartialEq, Message)]
pub struct Record {
    /// Format version.
    #[prost(uint32, tag = "1")]
    pub format: u32,
    /// Times the destination changed hands, this owner's taking over included.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Consecutive from 1: a hole is a loss.
    #[prost(uint64, tag = "3")]
    pub number: u64,
    /// Who wrote it: two processes that take over at once write different bytes.
    #[prost(fixed64, tag = "4")]
    pub owner: u64,
    /// Version of the program.
    #[prost(string, tag = "5")]
    pub logic: String,
    /// Which piece of a checkpoint this is; none: the steps go on from the record before.
    #[prost(message, optional, tag = "6")]
    pub piece: Option<Piece>,
    /// What happened, in order.
    #[prost(message, repeated, tag = "7")]
    pub steps: Vec<Step>,
    /// What only this journal knows, the same in all its records: outcomes are told with a proof made of it (`proof`).
    /// Empty in records from before there were proofs.
    #[prost(bytes = "bytes", tag = "8")]
    pub key: Bytes,
}

/// A checkpoint's place for one of its records.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Piece {
    /// From 0.
    #[prost(uint32, tag = "1")]
    pub index: u32,
    /// How many there are. They follow each other without another record between them.
    #[prost(uint32, tag = "2")]
    pub count: u32,
}

/// One fact.
#[derive(Clone, PartialEq, Message)]
pub struct Step {
    /// The fact; none if this program does not know it.
    #[prost(
        oneof = "Fact",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17"
    )]
    pub fact: Option<Fact>,
}

/// What can happen in the life of a destination's deliveries.
#[derive(Clone, PartialEq, Oneof)]
pub enum Fact {
    /// Outputs and dead letters were looked at and passed over.
    #[prost(message, tag = "1")]
    Cursor(Cursor),
    /// An output became an item.
    #[prost(message, tag = "2")]
    Taken(Taken),
    /// A dead letter became an item again.
    #[prost(message, tag = "3")]
    Reopened(Reopened),
    /// An attempt is about to be made.
    #[prost(message, tag = "4")]
    Started(Started),
    /// An attempt has ended, or nobody knows how it did.
    #[prost(message, tag = "5")]
    Ended(Ended),
    /// An item has its verdict.
    #[prost(message, tag = "6")]
    Settled(Settled),
    /// A newer output of the same thread makes an item needless.
    #[prost(message, tag = "7")]
    Merged(Merged),
    /// Everyone who had to know of a verdict does.
    #[prost(message, tag = "8")]
    Reported(Reported),
    /// Operators are to hear of dead letters.
    #[prost(message, tag = "9")]
    Alarmed(Alarmed),
    /// They have.
    #[prost(message, tag = "10")]
    AlarmTold(AlarmTold),
    /// Checkpoint: what there is one of.
    #[prost(message, tag = "11")]
    Checkpoint(Checkpoint),
    /// Checkpoint: an unfinished item.
    #[prost(message, tag = "12")]
    Held(Item),
    /// Checkpoint: what is remembered of a thread.
    #[prost(message, tag = "13")]
    Remembered(Memory),
    /// An operator wants nothing more of a dead letter.
    #[prost(message, tag = "14")]
    Dropped(Dropped),
    /// What was looked at, by what identifies it wherever it stands.
    #[prost(message, tag = "15")]
    Sighted(Sighted),
    /// The log had lost its end, and the destination found its place again.
    #[prost(message, tag = "16")]
    Moved(Moved),
    /// An item's output, lost and published again, was found.
    #[prost(message, tag = "17")]
    Found(Found),
}

impl From<Fact> for Step {
    fn from(fact: Fact) -> Self {
        Self { fact: Some(fact) }
    }
}

impl Fact {
    /// The item this ends, or gives its verdict.
    #[must_use]
    pub const fn ends(&self) -> Option<Seq> {
        match self {
            Self::Reported(reported) => Some(reported.seq),
            Self::Settled(settled) => Some(settled.seq),
            Self::Merged(merged) => Some(merged.seq),
            Self::Cursor(_)
            | Self::Taken(_)
            | Self::Reopened(_)
            | Self::Dropped(_)
            | Self::Started(_)
            | Self::Ended(_)
            | Self::Alarmed(_)
            | Self::AlarmTold(_)
            | Self::Checkpoint(_)
            | Self::Held(_)
            | Self::Sighted(_)
            | Self::Moved(_)
            | Self::Found(_)
            | Self::Remembered(_) => None,
        }
    }
}

/// All up to here was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Cursor {
    /// Sequence among the outputs.
    #[prost(uint64, tag = "1")]
    pub output: Seq,
    /// Sequence among the dead letters.
    #[prost(uint64, tag = "2")]
    pub dead: Seq,
}

/// An output that is to be delivered.
#[derive(Clone, PartialEq, Message)]
pub struct Taken {
    /// Its sequence among the outputs, counted on behind those of a log that lost its end: the item's name from here on.
    #[prost(uint64, tag = "1")]
    pub seq: Seq,
    /// Its CloudEvents id.
    #[prost(string, tag = "2")]
    pub id: String,
    /// Its CloudEvents subject: the actor that emitted it.
    #[prost(string, tag = "3")]
    pub subject: String,
    /// What it is about, if order within that matters.
    #[prost(string, optional, tag = "4")]
    pub thread: Option<String>,
    /// When the log stored the output, in milliseconds.
    #[prost(int64, tag = "5")]
    pub stored_at_ms: i64,
    /// Log time of the taking, in milliseconds.
    #[prost(int64, tag = "6")]
    pub at_ms: i64,
    /// Its CloudEvents type.
    #[prost(string, tag = "7")]
    pub event_type: String,
    /// Place of its kind in `Kind::ALL`.
    #[prost(uint32, tag = "8")]
    pub kind: u32,
    /// What identifies it wherever it stands; not set by programs that did not keep it, and of outputs of letters.
    #[prost(message, optional, tag = "9")]
    pub spot: Option<Spot>,
    /// Where it stands among the outputs, if that is not `seq`: the log had lost its end and gave sequences out again.
    #[prost(uint64, tag = "10")]
    pub at: Seq,
}

impl Taken {
    /// Where its output stands.
    #[must_use]
    pub const fn stands_at(&self) -> Seq {
        match self.at {
            0 => self.seq,
            at => at,
        }
    }
}

/// An operator wants a dead letter tried again.
#[derive(Clone, PartialEq, Message)]
pub struct Reopened {
    /// The item as it would be taken anew.
    #[prost(message, required, tag = "1")]
    pub taken: Taken,
    /// 2 for the first retry, since the first life was round 1.
    #[prost(uint32, tag = "2")]
    pub round: u32,
    /// Sequence of the decision among the dead letters.
    #[prost(uint64, tag = "3")]
    pub decision: Seq,
}

/// An operator has closed a dead letter's case.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Dropped {
    /// Sequence of the decision among the dead letters.
    #[prost(uint64, tag = "1")]
    pub decision: Seq,
    /// The case.
    #[prost(message, required, tag = "2")]
    pub case: Case,
}

/// One life of an output that ended with a dead letter. Of several decisions about it the first counts.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Case {
    /// Its sequence among the outputs.
    #[prost(uint64, tag = "1")]
    pub output: Seq,
    /// Its round.
    #[prost(uint32, tag = "2")]
    pub round: u32,
}

/// Attempt begun. Which one it is follows from those before.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Started {
    /// The item.
    #[prost(uint64, tag = "1")]
    pub seq: Seq,
    /// Log time, in milliseconds.
    #[prost(int64, tag = "2")]
    pub at_ms: i64,
    /// Whether it finds out if the destination is back.
    #[prost(bool, tag = "3")]
    pub probe: bool,
    /// Names of the lanes it takes a place in, where each has a rate of its own.
    #[prost(string, repeated, tag = "4")]
    pub lanes: Vec<String>,
}

/// Attempt ended.
#[derive(Clone, PartialEq, Message)]
pub struct Ended {
    /// The item.
    #[prost(uint64, tag = "1")]
    pub seq: Seq,
    /// What came of it, for people and for the dead letter.
    #[prost(message, required, tag = "2")]
    pub note: AttemptRecord,
    /// Whether it counts among the attempts that may fail.
    #[prost(bool, tag = "3")]
    pub counts: bool,
    /// What it says about the destination.
    #[prost(enumeration = "BreakerSignal", tag = "4")]
    pub sign: i32,
    /// The next attempt is made no earlier, in milliseconds of log time; not set if there is none.
    #[prost(int64, optional, tag = "5")]
    pub again_at_ms: Option<i64>,
    /// Nothing is sent to the destination before, in milliseconds of log time.
    #[prost(int64, optional, tag = "6")]
    pub pause_until_ms: Option<i64>,
    /// JSON to be handed in with the next output of the thread.
    #[prost(string, optional, tag = "7")]
    pub handle: Option<String>,
    /// JSON to be handed in with the next attempt at the same output: what of it is done, and what is left.
    #[prost(string, optional, tag = "8")]
    pub progress: Option<String>,
    /// What identifies the content that was said, for the next output of the thread to tell whether it says more.
    #[prost(fixed64, optional, tag = "9")]
    pub said: Option<u64>,
    /// The lanes that the pause is for; none: the whole destination.
    #[prost(string, repeated, tag = "10")]
    pub lanes: Vec<String>,
    /// Our credentials are not accepted: from now on one attempt at a time is made, and none before this, in
    /// milliseconds of log time.
    #[prost(int64, optional, tag = "11")]
    pub probe_at_ms: Option<i64>,
    /// The ids that the destination has given the item, by name.
    #[prost(btree_map = "string, string", tag = "12")]
    pub kept: Kept,
}

/// One attempt, as a dead letter shows it.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct AttemptRecord {
    /// From 1 in each round.
    #[prost(uint32, tag = "1")]
    pub attempt: u32,
    /// Log time of its start, in milliseconds.
    #[prost(int64, tag = "2")]
    pub started_at_ms: i64,
    /// Log time of its end, in milliseconds.
    #[prost(int64, tag = "3")]
    pub ended_at_ms: i64,
    /// What came of it.
    #[prost(enumeration = "Seen", tag = "4")]
    pub seen: i32,
    /// Status of the answer; 0 if there was none.
    #[prost(uint32, tag = "5")]
    pub status: u32,
    /// In words; empty if there is nothing to say.
    #[prost(string, tag = "6")]
    pub why: String,
    /// The beginning of the answer's body; not set if there was none, or of a success.
    #[prost(string, optional, tag = "7")]
    pub answer: Option<String>,
}

/// A verdict.
#[derive(Clone, PartialEq, Message)]
pub struct Settled {
    /// The item.
    #[prost(uint64, tag = "1")]
    pub seq: Seq,
    /// Log time, in milliseconds.
    #[prost(int64, tag = "2")]
    pub at_ms: i64,
    /// The verdict.
    #[prost(enumeration = "FinalStatus", tag = "3")]
    pub ending: i32,
    /// Why it was not delivered.
    #[prost(enumeration = "Reason", tag = "4")]
    pub reason: i32,
    /// The same in words.
    #[prost(string, tag = "5")]
    pub why: String,
    /// `status` of the outcome event; not set: none is sent.
    #[prost(string, optional, tag = "6")]
    pub outcome: Option<String>,
    /// JSON for the outcome event's `response`.
    #[prost(string, optional, tag = "7")]
    pub response: Option<String>,
}

impl Settled {
    /// Whether a dead letter is written: for all that was not delivered.
    #[must_use]
    pub fn has_letter(&self) -> bool {
        match self.ending() {
            FinalStatus::Failed | FinalStatus::Rejected => true,
            FinalStatus::Delivered => false,
        }
    }

    /// Whether anyone is to hear of it.
    #[must_use]
    pub fn is_to_tell(&self) -> bool {
        self.has_letter() || self.outcome.is_some()
    }
}

/// Item overtaken.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Merged {
    /// The item.
    #[prost(uint64, tag = "1")]
    pub seq: Seq,
    /// The output that says it better.
    #[prost(uint64, tag = "2")]
    pub by: Seq,
    /// Log time, in milliseconds.
    #[prost(int64, tag = "3")]
    pub at_ms: i64,
}

/// Item finished.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Reported {
    /// The item.
    #[prost(uint64, tag = "1")]
    pub seq: Seq,
}

impl Stored for Record {
    const NAME: &'static str = "delivery record";
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// If it is damaged or of a newer format.
    pub fn read(bytes: &Bytes) -> Result<Self, RecordError> {
        stored::read(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        checksum::add(self.encode_to_vec())
    }
}
