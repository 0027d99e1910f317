//! What came back of one attempt, and what it means for the next.
//!
//! The line that matters runs between "certainly not done" and "nobody knows": only the first may be given up as a
//! failure; of the second the destination may have acted already (S3.09).

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

/// A complete answer of a vendor, whatever it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status, or the SMTP reply code.
    pub status: u16,
    /// Headers, names in lower case; of repeated ones the last.
    pub headers: BTreeMap<String, String>,
    /// The body: parsed if it is JSON, else a string; `null` if there was none.
    pub body: Value,
}

/// Why an attempt brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing was sent, and sending the same again cannot help: a template, a field policy or a size forbids it.
    #[error("not sent: {0}")]
    Unsendable(String),
    /// Nothing was sent for want of something that may come back: a token, a recipient, a secret.
    #[error("not sent yet: {0}")]
    NotReady(String),
    /// The destination was not reached, so it has done nothing.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// No answer in time. The destination may have done it.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection broke after the request was on its way. The destination may have done it.
    #[error("connection lost before the answer: {0}")]
    Lost(String),
    /// Nothing was sent: an earlier attempt may have been done, and asking whether it was has failed.
    #[error("an earlier attempt may have been done, and asking failed: {why}")]
    InDoubt {
        /// In words.
        why: String,
        /// The destination asked for at least this long before the next question (`Retry-After`).
        after: Option<Duration>,
        /// Whether this is a sign that the destination is not well.
        is_down: bool,
    },
}

impl Fault {
    /// Whether the destination may have acted on the request.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::Lost(_) | Self::InDoubt { .. } => true,
            Self::Unsendable(_) | Self::NotReady(_) | Self::Connect(_) => false,
        }
    }
}

/// What one attempt means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done, as the destination's success test says.
    Delivered,
    /// The destination says no, and would say it again: a 4xx, or a 2xx whose body refuses.
    Rejected {
        /// In words, for people.
        why: String,
    },
    /// Worth another attempt.
    Again {
        /// In words, for people.
        why: String,
        /// The destination asked for at least this long (`Retry-After`).
        after: Option<Duration>,
        /// Whether it may already have acted: such an attempt never ends as a plain failure.
        unknown: bool,
    },
}

/// One finished attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// What came back.
    pub result: Result<Answer, Fault>,
    /// What it means.
    pub verdict: Verdict,
    /// What the destination wants handed in with later outputs of the same `thread` (a Slack channel and timestamp).
    pub handle: Option<Value>,
    /// What the outcome event is to say instead of the policy's word, as the configuration computes it.
    pub status: Option<String>,
    /// What the outcome event is to carry of the answer, as the configuration picks it; scrubbed.
    pub response: Option<Value>,
    /// What of the output is done and what is left, for the next attempt at it; `None`: as before.
    pub progress: Option<Value>,
    /// What identifies the content that was said: a later output of the thread that says the same needs no saying.
    pub said: Option<u64>,
    /// The lanes that a `Retry-After` is for; none: the whole destination.
    pub lanes: Vec<String>,
}
