//! What stands in the journal: one record per commit, chained by hash.
//!
//! A record says how far the partition has applied the log, which outputs that caused, and the state of every
//! actor that spoke; so what was said and who said it are stored together or not at all (DESIGN, idea 3).
//! Fields are only ever added; `tests/golden` holds records of every format version.

use aftercall_actors::contract::{output::Kind, time::LogTime};
use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::{
    envelope,
    log::{
        EventMark, Lane, LaneMarks, OutputMark, Position, Seq, checksum,
        stored::{self, Stored},
    },
};

pub use crate::log::{mark::identity, stored::RecordError};

/// The newest format this program knows; it is written where a commit falls between two actors that one event wakes: whom
/// such a record calls woken an older program would wake again.
pub const FORMAT: u32 = 4;

/// The format where a log had lost its end: what such a record says of what comes again an older program must not pass
/// over.
pub const FORMAT_LOSS: u32 = 3;

/// The format where a record holds changes of states, or leaves one out.
pub const FORMAT_CHANGES: u32 = 2;

/// The format of all other records, which every version of the program reads.
pub const FORMAT_PLAIN: u32 = 1;

/// One commit.
#[derive(Clone, PartialEq, Message)]
pub struct Record {
    /// Format version.
    #[prost(uint32, tag = "1")]
    pub format: u32,
    /// Times the partition changed hands, this owner's taking over included.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// From 1, one more each time; more only where the journal had lost its end (`lost_after`).
    #[prost(uint64, tag = "3")]
    pub commit: u64,
    /// SHA-256 of the previous record's bytes; empty in the first.
    #[prost(bytes = "bytes", tag = "4")]
    pub previous: Bytes,
    /// Every event up to here is applied, and nothing beyond.
    #[prost(uint64, tag = "5")]
    pub position: Position,
    /// Identity of the event at `position`, 16 bytes big-endian: finds a log that was rolled back and written anew.
    #[prost(bytes = "bytes", tag = "6")]
    pub identity: Bytes,
    /// Log time the partition has reached, in milliseconds; never goes back.
    #[prost(int64, tag = "7")]
    pub time_ms: i64,
    /// Version of the rules active at `position`.
    #[prost(string, tag = "8")]
    pub rules: String,
    /// Version of the program.
    #[prost(string, tag = "9")]
    pub logic: String,
    /// All outputs of commits up to this one stood in their lanes when the record was written.
    #[prost(uint64, tag = "10")]
    pub relayed: u64,
    /// Journal sequence of commit `relayed`.
    #[prost(uint64, tag = "11")]
    pub relayed_seq: Seq,
    /// What the events caused, in order.
    #[prost(message, repeated, tag = "12")]
    pub outputs: Vec<OutputRecord>,
    /// The actors that spoke, as of `position`; a large one by what has changed in it.
    #[prost(message, repeated, tag = "13")]
    pub states: Vec<StateRecord>,
    /// The rule file's text, in a partition's first record only: what holds before any `rules.activated`.
    #[prost(string, tag = "14")]
    pub genesis_rules: String,
    /// Actors that spoke whose states were too large to stand here, too: replay comes to them, and says again what
    /// they said.
    #[prost(string, repeated, tag = "16")]
    pub left_out: Vec<String>,
    /// When the log stored the event at `position`, in milliseconds: two events may have the same body.
    #[prost(int64, optional, tag = "20")]
    pub stored_ms: Option<i64>,
    /// Set where the event log had lost its end: the position the journal had reached. `position` is then the last one at
    /// which both agree, and what stands behind it is applied, whatever stood there before.
    #[prost(uint64, tag = "21")]
    pub rewound_from: Position,
    /// The last output of each lane that stood there when the record was written: what is missing of them later was lost.
    #[prost(message, repeated, tag = "22")]
    pub lanes: Vec<LaneRecord>,
    /// Set where the journal itself had lost its end: the commit it follows. Numbers between were given to commits that
    /// are lost, and are not given again.
    #[prost(uint64, optional, tag = "23")]
    pub lost_after: Option<u64>,
    /// The process that wrote it: two that take over at once write different bytes. 0 where that was not kept.
    #[prost(fixed64, tag = "24")]
    pub owner: u64,
    /// Sequence of the last record before the journal, or the event log, lost its end, for as long as what was said behind
    /// it is still being said again; 0 if nothing is left before that.
    #[prost(uint64, optional, tag = "25")]
    pub lost_from: Option<Seq>,
    /// Set where the event behind `position` has moved time on to `time_ms` and woken some of those who were due by then,
    /// and not yet the others: the last of them. What they said stands here and in records before.
    #[prost(message, optional, tag = "26")]
    pub woken: Option<WokenRecord>,
}

/// An actor that was woken. Those due at a moment are woken earliest first, and by key where they are due at once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct WokenRecord {
    /// Log time at which it had wanted to be woken, in milliseconds.
    #[prost(int64, tag = "1")]
    pub due_ms: i64,
    /// The actor, as in an output's subject.
    #[prost(string, tag = "2")]
    pub key: String,
}

/// An output as committed; envelope and all are derived from it and its record.
#[derive(Clone, PartialEq, Message)]
pub struct OutputRecord {
    /// Place of its lane in `Lane::all`.
    #[prost(uint32, tag = "1")]
    pub lane: u32,
    /// CloudEvents id.
    #[prost(string, tag = "2")]
    pub id: String,
    /// CloudEvents type.
    #[prost(string, tag = "3")]
    pub output_type: String,
    /// CloudEvents subject: the actor's key; empty if it is no actor's.
    #[prost(string, tag = "4")]
    pub subject: String,
    /// Log time of the cause, in milliseconds.
    #[prost(int64, tag = "5")]
    pub time_ms: i64,
    /// CloudEvents source of the event that caused it.
    #[prost(string, tag = "6")]
    pub cause_source: String,
    /// CloudEvents id of the event that caused it.
    #[prost(string, tag = "7")]
    pub cause_id: String,
    /// Version of the rules it was made under.
    #[prost(string, tag = "8")]
    pub rules: String,
    /// Data, as JSON.
    #[prost(bytes = "bytes", tag = "9")]
    pub data: Bytes,
    /// Set where it was said again, and stood already as this: after the journal had lost the commit that said it first, or
    /// after the event log had lost its end and what is left of it was applied once more.
    #[prost(message, optional, tag = "10")]
    pub stood: Option<Stood>,
}

/// An output by its place in a lane.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Stood {
    /// The commit that it was published with.
    #[prost(uint64, tag = "1")]
    pub commit: u64,
    /// Its place in that commit.
    #[prost(uint32, tag = "2")]
    pub ordinal: u32,
    /// Its sequence; 0 where the journal holds that commit, which sees to it.
    #[prost(uint64, tag = "3")]
    pub seq: Seq,
}

impl Stood {
    /// What the lane says of it.
    #[must_use]
    pub const fn mark(&self) -> OutputMark {
        OutputMark {
            seq: self.seq,
            commit: self.commit,
            ordinal: self.ordinal,
        }
    }
}

/// The last output known to stand in a lane.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct LaneRecord {
    /// Place of the lane in `Lane::all`.
    #[prost(uint32, tag = "1")]
    pub lane: u32,
    /// Its sequence.
    #[prost(uint64, tag = "2")]
    pub seq: Seq,
    /// Its commit.
    #[prost(uint64, tag = "3")]
    pub commit: u64,
    /// Its place in that commit.
    #[prost(uint32, tag = "4")]
    pub ordinal: u32,
}

impl LaneRecord {
    /// What a record says of its lanes.
    #[must_use]
    pub fn of(marks: &LaneMarks) -> Vec<Self> {
        let known = (0..).zip(marks).filter_map(|(lane, mark)| {
            let OutputMark {
                seq,
                commit,
                ordinal,
            } = (*mark)?;
            Some(Self {
                lane,
                seq,
                commit,
                ordinal,
            })
        });
        known.collect()
    }

    /// The other way; lanes that this program does not know are left out.
    #[must_use]
    pub fn marks(records: &[Self]) -> LaneMarks {
        let mut marks = LaneMarks::default();
        for record in records {
            let slot = usize::try_from(record.lane).ok();
            if let Some(slot) = slot.and_then(|lane| marks.get_mut(lane)) {
                *slot = Some(OutputMark {
                    seq: record.seq,
                    commit: record.commit,
                    ordinal: record.ordinal,
                });
            }
        }
        marks
    }
}

impl OutputRecord {
    /// The lane it goes to, if this program knows it.
    #[must_use]
    pub fn lane(&self) -> Option<Lane> {
        let index = usize::try_from(self.lane).ok()?;
        match Kind::ALL.get(index) {
            Some(kind) => Some(Lane::Out(*kind)),
            None if index == Lane::Dead.index() => Some(Lane::Dead),
            None => None,
        }
    }

    /// The event that caused it, as the attribute names it; empty if that could not be read.
    #[must_use]
    pub fn cause(&self) -> String {
        if self.cause_id.is_empty() {
            return String::new();
        }
        envelope::cause(&self.cause_source, &self.cause_id)
    }

    /// Log time of the cause.
    #[must_use]
    pub const fn time(&self) -> LogTime {
        LogTime(self.time_ms)
    }
}

/// An actor's stored state.
#[derive(Clone, PartialEq, Message)]
pub struct StateRecord {
    /// The actor, as in an output's subject.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its state, as `Actor::encode` wrote it; empty where `changes` stand.
    #[prost(bytes = "bytes", tag = "2")]
    pub state: Bytes,
    /// What has changed in it, as `Actor::encode_changes` wrote it.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub changes: Option<Bytes>,
    /// Position of the state in the log that the changes begin at: they fit to it and to any later one.
    #[prost(uint64, tag = "4")]
    pub since: Position,
}

impl Stored for Record {
    const NAME: &'static str = "journal record";
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

    /// The event at its position.
    #[must_use]
    pub fn mark(&self) -> EventMark {
        EventMark {
            position: self.position,
            identity: self.identity(),
            time: self.stored_ms.map(LogTime),
        }
    }

    /// The identity as a number; 0 while nothing has been applied.
    #[must_use]
    pub fn identity(&self) -> u128 {
        self.identity
            .as_ref()
            .try_into()
            .map_or(0, u128::from_be_bytes)
    }

    /// The format that says all of it: an older program must not read past what it does not know.
    #[must_use]
    pub fn format_needed(&self) -> u32 {
        let has_changes = self.states.iter().any(|state| state.changes.is_some());
        let says_again = self.outputs.iter().any(|output| output.stood.is_some());
        let is_behind_loss = self.rewound_from > 0 || self.lost_after.is_some();
        if self.woken.is_some() {
            FORMAT
        } else if says_again || is_behind_loss || self.lost_from.is_some() {
            FORMAT_LOSS
        } else if has_changes || !self.left_out.is_empty() {
            FORMAT_CHANGES
        } else {
            FORMAT_PLAIN
        }
    }

    /// The bytes to store.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        checksum::add(self.encode_to_vec())
    }
}

/// The link to a record: SHA-256 of its bytes.
#[must_use]
pub fn link(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&Sha256::digest(bytes))
}
