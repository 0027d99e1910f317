//! An output on its way to a destination: its identity, its place in the log and its data.

use std::collections::BTreeMap;

use aftercall_actors::contract::{output::Kind, time::LogTime};
use serde_json::Value;

use crate::log::{Lane, Seq, StoredOutput};

/// An output as destinations, filters and templates see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parcel {
    /// Its sequence in the output stream: what delivery keeps its place by.
    pub seq: Seq,
    /// CloudEvents `id`, derived from what the output means: the idempotency key of every attempt.
    pub id: String,
    /// What sort of output.
    pub kind: Kind,
    /// CloudEvents `type`, such as `alert.raised`.
    pub event_type: String,
    /// CloudEvents `subject`: the actor's key, such as `agent/7`.
    pub subject: String,
    /// When the log stored it.
    pub stored_at: LogTime,
    /// The other CloudEvents attributes by name, without the `ce-`: `source`, `time`, `cause`, `rulesversion`, ...
    pub attributes: BTreeMap<String, String>,
    /// Its data.
    pub data: Value,
}

/// A stored output that is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("output {seq} cannot be read: {why}")]
pub struct Unreadable {
    /// Its sequence.
    pub seq: Seq,
    /// What is wrong.
    pub why: String,
}

impl Parcel {
    /// Reads a stored output.
    ///
    /// # Errors
    /// If its headers lack an id, a type or a subject, or its data is not JSON. The program itself stored it, so that
    /// is damage, or another program's message in our stream.
    pub fn read(stored: &StoredOutput) -> Result<Self, Unreadable> {
        let unreadable = |why: &str| Unreadable {
            seq: stored.seq,
            why: why.to_owned(),
        };
        let Lane::Out(kind) = stored.lane else {
            return Err(unreadable("it is quarantined input, which goes nowhere"));
        };
        let mut attributes: BTreeMap<String, String> = stored
            .headers
            .pairs()
            .into_iter()
            .filter_map(|(name, value)| {
                let name = name.to_ascii_lowercase();
                let name = name.strip_prefix("ce-")?;
                let value = percent_encoding::percent_decode_str(&value).decode_utf8_lossy();
                Some((name.to_owned(), value.into_owned()))
            })
            .collect();
        let mut take = |name: &str| {
            attributes
                .remove(name)
                .ok_or_else(|| unreadable(&format!("the header ce-{name} is missing")))
        };
        Ok(Self {
            seq: stored.seq,
            id: take("id")?,
            kind,
            event_type: take("type")?,
            subject: take("subject")?,
            stored_at: stored.time,
            attributes,
            data: serde_json::from_slice(&stored.payload)
                .map_err(|error| unreadable(&format!("its data is not JSON: {error}")))?,
        })
    }
}
