//! Events on their way from the reader to the partitions: decoded once, shared, never copied.

use std::sync::Arc;

use aftercall_actors::{
    contract::{
        event::{Body, Event},
        plausible::{self, Ahead},
        time::LogTime,
    },
    responses::Facts,
};
use bytes::Bytes;

use crate::{
    envelope::{self, Reject},
    log::{EventMark, Headers, Position, RawEvent, Route, Speaker},
    shard::record,
};

/// A message larger than this is kept as it was, should it turn out to cause more than a record takes.
const LARGE_BYTES: usize = 32 * 1024;

/// Events read together, in order and without holes.
#[derive(Debug)]
pub struct Batch {
    /// The events.
    pub entries: Vec<Entry>,
}

/// One event of the log, decoded or rejected.
#[derive(Debug)]
pub struct Entry {
    /// Place in the log.
    pub position: Position,
    /// When the log stored it.
    pub time: LogTime,
    /// Whose place it stands in.
    pub speaker: Speaker,
    /// Hash of its body.
    pub identity: u128,
    /// What it says, or why it cannot be processed.
    pub event: Result<Event, Reject>,
    /// Partition of its owner, where its owner lives.
    pub owner: u16,
    /// What decides about its response, if it is about one.
    pub response: Option<Facts>,
    /// How far ahead of its log time it is dated; empty if it is not, or if that is not to be looked at. The rules in
    /// force say how much is too much.
    pub ahead: Vec<Ahead>,
    /// The message as it was, kept only of what is or may be rejected: quarantine holds the original.
    pub original: Option<(Headers, Bytes)>,
}

impl Entry {
    /// Decodes an event of the log.
    #[must_use]
    pub fn decode(raw: RawEvent, partition_count: u16) -> Self {
        let event = envelope::decode(&raw, partition_count);
        let body = event.as_ref().ok().map(|event| &event.body);
        let owner = body.and_then(Body::owner);
        let ahead = match (&event, raw.speaker) {
            (Ok(event), Speaker::Anyone) => plausible::ahead(&event.body, raw.time),
            (Ok(_), Speaker::Service | Speaker::Unknown) | (Err(_), _) => Vec::new(),
        };
        let kept = event.is_err() || !ahead.is_empty() || raw.payload.len() > LARGE_BYTES;
        Self {
            owner: owner.map_or(0, |owner| owner.partition(partition_count)),
            response: body.and_then(Facts::of),
            position: raw.position,
            time: raw.time,
            speaker: raw.speaker,
            identity: record::identity(&raw.payload),
            original: kept.then_some((raw.headers, raw.payload)),
            ahead,
            event,
        }
    }

    /// What is remembered of it.
    #[must_use]
    pub const fn mark(&self) -> EventMark {
        EventMark {
            position: self.position,
            identity: self.identity,
            time: Some(self.time),
        }
    }

    /// CloudEvents source and id; empty where the event has none that can be read.
    #[must_use]
    pub fn name(&self) -> (&str, &str) {
        match &self.event {
            Ok(event) => (&event.source, &event.id),
            Err(_) => ("", ""),
        }
    }
}

/// A batch, and the numbers of those entries that are for one partition.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The events, for all partitions.
    pub batch: Arc<Batch>,
    /// Numbers of this partition's, ascending.
    pub picks: Vec<u16>,
}

/// Sorts a batch's entries by partition; the answer has the order of `PartitionId::all`.
#[must_use]
pub fn route(raws: Vec<RawEvent>, partition_count: u16) -> Vec<Feed> {
    let count = usize::from(partition_count);
    let mut picks: Vec<Vec<u16>> = vec![Vec::new(); 2 * count];
    let mut entries = Vec::with_capacity(raws.len());
    for (raw, number) in raws.into_iter().zip(0u16..) {
        let route = raw.route;
        let entry = Entry::decode(raw, partition_count);
        match (&entry.event, route) {
            (Ok(event), _) if event.body.is_for_all() => {
                picks.iter_mut().for_each(|p| p.push(number))
            }
            // Whose a response is, all partitions of the agents' side work out for themselves.
            (Ok(_), Route::Pair { .. }) if entry.response.is_some() => {
                picks.iter_mut().take(count).for_each(|p| p.push(number));
            }
            (Ok(event), Route::Pair { agent, customer }) => {
                if event.body.owner().is_some() {
                    picks[usize::from(agent) % count].push(number);
                }
                if event.body.customer().is_some() {
                    picks[count + usize::from(customer) % count].push(number);
                }
            }
            // A rejected event is for the one partition that sets it aside.
            (Err(_), Route::Pair { agent, .. }) => picks[usize::from(agent) % count].push(number),
            (_, Route::All) => picks[0].push(number),
        }
        entries.push(entry);
    }
    let batch = Arc::new(Batch { entries });
    picks
        .into_iter()
        .map(|picks| Feed {
            batch: Arc::clone(&batch),
            picks,
        })
        .collect()
}

/// Most events in a batch: their numbers fit the picks.
pub const BATCH_EVENTS_MAX: usize = 2_048;

const _: () = assert!(BATCH_EVENTS_MAX <= u16::MAX as usize);
