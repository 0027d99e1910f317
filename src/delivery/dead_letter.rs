//! Dead letters and what operators decide about them: their form in the log.
//!
//! A letter is a CloudEvent `delivery.dead`, written by a destination's driver for an output it gave up: the output
//! whole, why, and each attempt. A decision is a CloudEvent `delivery.decision`, written by an operator behind it:
//! retry or drop. Nothing is ever changed or removed; which letters are still open follows from reading the line
//! (`fold`). Both are named by destination, output and round, so that writing one again after a crash, or deciding
//! twice, does nothing.

use std::collections::BTreeMap;

use aftercall_actors::contract::{output::Kind, time::LogTime};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    attempt::{Attempt, Verdict},
    parcel::Parcel,
};
use crate::{
    envelope,
    log::{DeadPlace, Headers, NewDead, Seq, StoredDead},
};

pub mod fold;
mod form;

#[cfg(test)]
mod tests;

/// CloudEvents type of a letter.
pub const LETTER: &str = "delivery.dead";

/// CloudEvents type of a decision.
pub const DECISION: &str = "delivery.decision";

/// Attempts a letter tells of: the first few, which show how it began, and the last ones.
pub const ATTEMPTS_KEPT: usize = 20;

/// Of these, the first.
const FIRST_KEPT: usize = 3;

/// Longest excerpt of an answer, in characters.
pub const EXCERPT_CHARS_MAX: usize = 500;

/// Why an output was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The destination said no, and would say it again.
    Rejected,
    /// Every attempt failed, and certainly did nothing.
    Failed,
    /// The attempts or the time ran out, and of at least one attempt nobody knows what it did (S3.09).
    Unknown,
    /// It could not be sent as it is: a template, the field policy or its size forbids it.
    Unsendable,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 4] = [
        Self::Rejected,
        Self::Failed,
        Self::Unknown,
        Self::Unsendable,
    ];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Unsendable => "unsendable",
        }
    }
}

/// One attempt, as a letter tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptNote {
    /// Number within the round, from 1.
    pub number: u32,
    /// When it was started: log time.
    #[serde(with = "form::log_time")]
    pub at: LogTime,
    /// What came of it, in words.
    pub cause: String,
    /// HTTP status or SMTP reply code; none without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The answer's body, at most [`EXCERPT_CHARS_MAX`] characters of it. Scrubbed by whoever received it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Whether the destination may have acted on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

impl AttemptNote {
    /// What is worth keeping of a finished attempt.
    #[must_use]
    pub fn of(number: u32, at: LogTime, attempt: &Attempt) -> Self {
        let (status, answer) = match &attempt.result {
            Ok(answer) => (Some(answer.status), excerpt(&answer.body)),
            Err(_) => (None, None),
        };
        let (cause, unknown) = match &attempt.verdict {
            Verdict::Delivered => ("delivered".to_owned(), false),
            Verdict::Rejected { why } | Verdict::Misconfigured { why, .. } => (why.clone(), false),
            Verdict::Unclear { why, unknown } => (why.clone(), *unknown),
            Verdict::Again { why, unknown, .. } => (why.clone(), *unknown),
        };
        Self {
            number,
            at,
            cause: form::cut(&cause),
            status,
            answer,
            unknown,
        }
    }

    /// An attempt of which nothing is known but that it was started: the process ended before its answer.
    #[must_use]
    pub fn interrupted(number: u32, at: LogTime) -> Self {
        Self {
            number,
            at,
            cause: "interrupted: the program ended before the answer".to_owned(),
            status: None,
            answer: None,
            unknown: true,
        }
    }

    /// Adds this to a round's notes, of which [`ATTEMPTS_KEPT`] are kept; numbers show what was left out.
    pub fn add_to(self, notes: &mut Vec<Self>) {
        if notes.len() >= ATTEMPTS_KEPT {
            notes.remove(FIRST_KEPT);
        }
        notes.push(self);
    }
}

/// The beginning of an answer's body; none if there is no body.
#[must_use]
pub fn excerpt(body: &Value) -> Option<String> {
    match body {
        Value::Null => None,
        Value::String(text) => Some(form::cut(text)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(form::cut(&body.to_string()))
        }
    }
}

/// The output a letter is about: a [`Parcel`], as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Its sequence among the outputs.
    pub seq: Seq,
    /// CloudEvents id.
    pub id: String,
    /// Kind.
    #[serde(with = "form::kind")]
    pub kind: Kind,
    /// CloudEvents type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// CloudEvents subject.
    pub subject: String,
    /// When the log stored it.
    #[serde(with = "form::log_time")]
    pub stored_at: LogTime,
    /// The other attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Data; absent if it was too large to be repeated here: the output itself still has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl Output {
    /// The output as it was taken for delivery, if its data is here.
    #[must_use]
    pub fn parcel(self) -> Option<Parcel> {
        Some(Parcel {
            seq: self.seq,
            id: self.id,
            kind: self.kind,
            event_type: self.event_type,
            subject: self.subject,
            stored_at: self.stored_at,
            attributes: self.attributes,
            data: self.data?,
        })
    }
}

impl From<Parcel> for Output {
    fn from(parcel: Parcel) -> Self {
        Self {
            seq: parcel.seq,
            id: parcel.id,
            kind: parcel.kind,
            event_type: parcel.event_type,
            subject: parcel.subject,
            stored_at: parcel.stored_at,
            attributes: parcel.attributes,
            data: Some(parcel.data),
        }
    }
}

/// An output that was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// The destination it was for.
    pub destination: String,
    /// How often the output has been taken up: 1 for the first time, one more with each retry by an operator.
    pub round: u32,
    /// Why it was given up.
    pub reason: Reason,
    /// The same in words.
    pub detail: String,
    /// When: log time.
    #[serde(with = "form::log_time")]
    pub at: LogTime,
    /// Why an operator may not have it tried again; none: they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_retryable: Option<String>,
    /// Attempts of this round in all.
    pub attempts_total: u32,
    /// Attempts of this round: the first and the last of them ([`AttemptNote::add_to`]).
    pub attempts: Vec<AttemptNote>,
    /// What was to be delivered.
    pub output: Output,
}

/// What an operator wants done about a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// A new round for the same output, under the same idempotency key.
    Retry,
    /// Nothing more.
    Drop,
}

impl Choice {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Drop => "drop",
        }
    }
}

/// An operator's decision about one letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What is wanted.
    pub choice: Choice,
    /// The letter's destination.
    pub destination: String,
    /// The letter's sequence.
    pub letter: Seq,
    /// The letter's output: its CloudEvents id.
    pub output_id: String,
    /// The letter's output: its sequence.
    pub output_seq: Seq,
    /// The round that the letter ended. A retry makes the next one.
    pub round: u32,
    /// Who decided.
    pub by: String,
    /// When, by the log's clock.
    #[serde(with = "form::log_time")]
    pub at: LogTime,
}

/// An entry of a destination's dead-letter line.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// Written by the driver.
    Letter(Box<Letter>),
    /// Written by an operator.
    Decision(Decision),
}

/// An entry that is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dead letter {seq} cannot be read: {why}")]
pub struct Unreadable {
    /// Its sequence.
    pub seq: Seq,
    /// What is wrong.
    pub why: String,
}

impl Letter {
    /// The entry to store. If it would exceed `bytes_max` ([`crate::log::EventLog::record_bytes_max`]), the output's
    /// data is left out.
    ///
    /// # Errors
    /// If it cannot be written as JSON; plain data always can.
    pub fn entry(&self, bytes_max: usize) -> Result<NewDead, serde_json::Error> {
        let id = name("dead", &self.destination, self.round, &self.output.id);
        let mut payload = serde_json::to_vec(self)?;
        if payload.len() > bytes_max {
            let output = Output {
                data: None,
                ..self.output.clone()
            };
            payload = serde_json::to_vec(&Self {
                output,
                ..self.clone()
            })?;
        }
        Ok(entry(LETTER, id, &self.output.subject, self.at, payload))
    }
}

impl Decision {
    /// The entry to store. All decisions about one letter have one message id, so that of two at the same time the
    /// log takes the first.
    ///
    /// # Errors
    /// As [`Letter::entry`].
    pub fn entry(&self) -> Result<NewDead, serde_json::Error> {
        let id = name("decision", &self.destination, self.round, &self.output_id);
        let payload = serde_json::to_vec(self)?;
        Ok(entry(DECISION, id, &self.destination, self.at, payload))
    }
}

impl Entry {
    /// Reads an entry of a destination's line.
    ///
    /// # Errors
    /// If it is quarantined input, of another type, for another destination than its line's, or not in the form.
    pub fn read(stored: &StoredDead) -> Result<Self, Unreadable> {
        let unreadable = |why: String| Unreadable {
            seq: stored.seq,
            why,
        };
        let DeadPlace::Delivery(line) = &stored.place else {
            return Err(unreadable("it is quarantined input, not a letter".into()));
        };
        let malformed = |error: serde_json::Error| unreadable(error.to_string());
        let (entry, destination) = match stored.headers.get("ce-type") {
            Some(LETTER) => {
                let letter: Letter = serde_json::from_slice(&stored.payload).map_err(malformed)?;
                let destination = letter.destination.clone();
                (Self::Letter(Box::new(letter)), destination)
            }
            Some(DECISION) => {
                let decision: Decision =
                    serde_json::from_slice(&stored.payload).map_err(malformed)?;
                let destination = decision.destination.clone();
                (Self::Decision(decision), destination)
            }
            Some(other) => return Err(unreadable(format!("its type is {other}"))),
            None => return Err(unreadable("the header ce-type is missing".into())),
        };
        if destination != *line {
            return Err(unreadable(format!(
                "it is for {destination}, and stands in the line of {line}"
            )));
        }
        Ok(entry)
    }
}

/// Unambiguous, since neither a destination nor a number holds a colon.
fn name(what: &str, destination: &str, round: u32, output_id: &str) -> String {
    format!("{what}:{destination}:{round}:{output_id}")
}

fn entry(event_type: &str, id: String, subject: &str, at: LogTime, payload: Vec<u8>) -> NewDead {
    let id_header = envelope::to_header(&id);
    let subject = envelope::to_header(subject);
    let time = at.to_string();
    let headers = Headers::from_pairs([
        ("ce-specversion", envelope::SPECVERSION),
        ("ce-id", &*id_header),
        ("ce-source", "aftercall/deliver"),
        ("ce-type", event_type),
        ("ce-subject", &*subject),
        ("ce-time", &time),
        ("content-type", envelope::JSON),
    ]);
    NewDead {
        // As a header holds it: the log may keep it in one.
        message_id: id_header.into_owned(),
        headers,
        payload: Bytes::from(payload),
    }
}
