//! What operators hear of, and credentials that are not accepted, as they are stored.

use prost::Message;

use super::Reason;

/// An alarm: at most one a minute, whatever happens.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Alarmed {
    /// From 1.
    #[prost(uint64, tag = "1")]
    pub number: u64,
    /// Log time, in milliseconds.
    #[prost(int64, tag = "2")]
    pub at_ms: i64,
    /// Dead letters since the last one.
    #[prost(uint64, tag = "3")]
    pub count: u64,
    /// Why, of the newest of them.
    #[prost(enumeration = "Reason", tag = "4")]
    pub reason: i32,
    /// CloudEvents id of the newest of them.
    #[prost(string, tag = "5")]
    pub output_id: String,
    /// What was said, of an alarm about credentials.
    #[prost(string, tag = "6")]
    pub why: String,
}

/// Our credentials are missing or not accepted (S3.16): outputs wait, and one a minute finds out whether that is over.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Misconfigured {
    /// Log time at which it showed, in milliseconds.
    #[prost(int64, tag = "1")]
    pub since_ms: i64,
    /// No attempt is made before, in milliseconds of log time.
    #[prost(int64, tag = "2")]
    pub probe_at_ms: i64,
    /// What was said last.
    #[prost(string, tag = "3")]
    pub why: String,
    /// CloudEvents id of the output that brought it out.
    #[prost(string, tag = "4")]
    pub output_id: String,
    /// Whether operators have been told, or are about to be.
    #[prost(bool, tag = "5")]
    pub alarmed: bool,
}

/// The open alarm is closed.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct AlarmTold {}
