//! What came back of one attempt, and what it means for the next.
//!
//! The line that matters runs between "certainly not done" and "nobody knows": only the first may be given up as a
//! failure; of the second the destination may have acted already (S3.09).

use std::{collections::BTreeMap, time::Duration};

use aftercall_actors::contract::event::Kept;
use serde_json::Value;

use super::record::FinalStatus;

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

impl Answer {
    /// Whether the body is JSON with something in it to look at: text, HTML or a body that is cut is not.
    #[must_use]
    pub const fn is_structured(&self) -> bool {
        match self.body {
            Value::Object(_) | Value::Array(_) => true,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    /// Whether the status says that it was done.
    #[must_use]
    pub fn is_2xx(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why an attempt brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing was sent, and sending the same again cannot help: a template, a field policy or a size forbids it.
    #[error("not sent: {0}")]
    Unsendable(String),
    /// Nothing was sent for want of something that may come back: a token, a recipient.
    #[error("not sent yet: {0}")]
    NotReady(String),
    /// Nothing was sent because what lets us in is missing or refused: a secret, a login, the client's credentials at
    /// the token endpoint. It is the same for every output, until somebody mends it (S3.16).
    #[error("not sent, our credentials are not right: {0}")]
    Misconfigured(String),
    /// The destination was not reached, so it has done nothing.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// No answer in time. The destination may have done it.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection broke after the request was on its way. The destination may have done it.
    #[error("connection lost before the answer: {0}")]
    Lost(String),
    /// An answer came, longer than is taken, and was not read (S5.05). The destination may have done it.
    #[error("the answer is longer than {0} bytes and was refused")]
    TooLong(usize),
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
            Self::Timeout(_) | Self::Lost(_) | Self::TooLong(_) | Self::InDoubt { .. } => true,
            Self::Unsendable(_) | Self::NotReady(_) | Self::Misconfigured(_) | Self::Connect(_) => {
                false
            }
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
    /// Neither a yes nor a no, and another attempt would be answered alike: a person has to look (S3.08, S3.16).
    Unclear {
        /// In words, for people.
        why: String,
        /// Whether it may have been done: 409 can mean that it was, by an attempt before.
        unknown: bool,
    },
    /// Our credentials are not accepted: about the destination, not about this output, which waits (S3.16).
    Misconfigured {
        /// In words, for people.
        why: String,
        /// What the answer means if others are let in all the same, and so is about this output alone; `None` without
        /// an answer.
        alone: Option<FinalStatus>,
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
    /// The ids that the destination has given it.
    pub kept: Kept,
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
