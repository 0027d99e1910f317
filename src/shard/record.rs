//! What stands in the journal: one record per commit, chained by hash.
//!
//! A record says how far the partition has applied the log, which outputs that caused, and the state of every
//! actor that spoke; so what was said and who said it are stored together or not at all (DESIGN, idea 3).
//! Fields are only ever added; `tests/golden` holds records of every format version.

use aftercall_actors::{output::Kind, time::LogTime};
use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::{
    envelope,
    log::{
        Lane, Position, Seq, checksum,
        stored::{self, Stored},
    },
};

pub use crate::log::stored::RecordError;

/// The newest format this program knows; it is written where a record holds changes of states, or leaves one out.
pub const FORMAT: u32 = 2;

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
    /// Consecutive from 1.
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
        if has_changes || !self.left_out.is_empty() {
            FORMAT
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

/// The identity of an event: 128-bit hash of its body. Damage and replacement are found, not malice.
#[must_use]
pub fn identity(payload: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(payload)
}
