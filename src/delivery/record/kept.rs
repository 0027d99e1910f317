//! What a checkpoint says: everything that is known of a destination, in steps that begin its journal anew.

use aftercall_actors::contract::event::Kept;
use prost::Message;

use super::{
    Alarmed, AttemptRecord, BreakerRecord, Case, Cursor, Misconfigured, Settled, Started, Taken,
};
use crate::log::Seq;

/// What there is one of in a destination.
#[derive(Clone, PartialEq, Message)]
pub struct Checkpoint {
    /// How far outputs and dead letters were looked at.
    #[prost(message, required, tag = "1")]
    pub cursor: Cursor,
    /// The next item's place in line.
    #[prost(uint64, tag = "2")]
    pub place_next: u64,
    /// The breaker.
    #[prost(message, required, tag = "3")]
    pub breaker: BreakerRecord,
    /// Nothing is sent before, in milliseconds of log time.
    #[prost(int64, tag = "4")]
    pub paused_until_ms: i64,
    /// The rate limit admits the next attempt then, in microseconds of log time.
    #[prost(int64, tag = "5")]
    pub free_at_us: i64,
    /// Dead letters no alarm has spoken of, as the next alarm would.
    #[prost(message, required, tag = "6")]
    pub unalarmed: Alarmed,
    /// The alarm that has to be told.
    #[prost(message, optional, tag = "7")]
    pub alarm: Option<Alarmed>,
    /// Cases decided lately, oldest first.
    #[prost(message, repeated, tag = "8")]
    pub decided: Vec<Case>,
    /// Lanes that are not free yet.
    #[prost(message, repeated, tag = "9")]
    pub lanes: Vec<LaneRecord>,
    /// Whether our credentials are right, as far as is known.
    #[prost(message, optional, tag = "10")]
    pub misconfigured: Option<Misconfigured>,
    /// When the newest attempt began that showed that they are, in milliseconds of log time.
    #[prost(int64, optional, tag = "11")]
    pub let_in_from_ms: Option<i64>,
    /// How much lower outputs stand now than they are counted: more each time the log lost its end.
    #[prost(uint64, tag = "12")]
    pub outputs_lower: Seq,
    /// The same of dead letters.
    #[prost(uint64, tag = "13")]
    pub dead_lower: Seq,
    /// Dead letters and decisions stored up to then were looked at before the log last lost some, in milliseconds; not set
    /// if it never did.
    #[prost(int64, optional, tag = "14")]
    pub dead_seen_ms: Option<i64>,
}

/// One of the places within a destination that has a rate of its own: a channel of Slack's.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct LaneRecord {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its rate admits the next attempt then, in microseconds of log time.
    #[prost(int64, tag = "2")]
    pub free_at_us: i64,
    /// Nothing is sent there before, in milliseconds of log time.
    #[prost(int64, tag = "3")]
    pub paused_until_ms: i64,
}

/// An unfinished item.
#[derive(Clone, PartialEq, Message)]
pub struct Item {
    /// The output.
    #[prost(message, required, tag = "1")]
    pub taken: Taken,
    /// 1, and one more for every time an operator had it retried.
    #[prost(uint32, tag = "2")]
    pub round: u32,
    /// Its place in line among all items.
    #[prost(uint64, tag = "3")]
    pub place: u64,
    /// Attempts begun.
    #[prost(uint32, tag = "4")]
    pub attempts: u32,
    /// Attempts that failed and count.
    #[prost(uint32, tag = "5")]
    pub failures: u32,
    /// Whether it is not known of an attempt if the destination acted on it.
    #[prost(bool, tag = "6")]
    pub unknown: bool,
    /// Log time of the first attempt, in milliseconds; later by as long as our credentials were not accepted since.
    #[prost(int64, optional, tag = "7")]
    pub first_at_ms: Option<i64>,
    /// The next attempt is made no earlier, in milliseconds of log time.
    #[prost(int64, tag = "8")]
    pub due_at_ms: i64,
    /// The attempt that is out.
    #[prost(message, optional, tag = "9")]
    pub flight: Option<Started>,
    /// The verdict, if it has one.
    #[prost(message, optional, tag = "10")]
    pub settled: Option<Settled>,
    /// The first and the last attempts that ended.
    #[prost(message, repeated, tag = "11")]
    pub notes: Vec<AttemptRecord>,
    /// JSON to be handed in with the next attempt: what of it is done, and what is left.
    #[prost(string, optional, tag = "12")]
    pub progress: Option<String>,
    /// Log time at which our credentials were last not accepted for it, in milliseconds.
    #[prost(int64, optional, tag = "13")]
    pub refused_at_ms: Option<i64>,
    /// Whether an attempt may have been more than a knock at the door: see [`super::Seen::is_asked`].
    #[prost(bool, tag = "14")]
    pub asked: bool,
    /// The ids that the destination has given it, by name.
    #[prost(btree_map = "string, string", tag = "15")]
    pub kept: Kept,
    /// Whether the log has lost its output, which is to be published again: it waits for the copy.
    #[prost(bool, tag = "16")]
    pub missing: bool,
}

/// What is remembered of a thread.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Memory {
    /// Its key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// JSON to be handed in with its next output.
    #[prost(string, optional, tag = "2")]
    pub handle: Option<String>,
    /// Log time of the last attempt's start, in milliseconds.
    #[prost(int64, optional, tag = "3")]
    pub started_at_ms: Option<i64>,
    /// Its newest output ever taken.
    #[prost(uint64, tag = "4")]
    pub newest: Seq,
    /// Log time at which it was last of use, in milliseconds.
    #[prost(int64, tag = "5")]
    pub touched_ms: i64,
    /// What identifies the content that was said last.
    #[prost(fixed64, optional, tag = "6")]
    pub said: Option<u64>,
}
