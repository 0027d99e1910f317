//! What the dead-letter lines say, read from their beginning: open letters, closed cases, quarantined events.

use aftercall_actors::contract::time::LogTime;
use futures::StreamExt;
use serde_json::Value;

use crate::{
    cli::render,
    delivery::dead_letter::{
        Decision, Entry, Unreadable,
        fold::{Case, Letters, Open},
    },
    log::{DeadPlace, Log, LogError, StoredDead},
};

/// An event that was set aside, as its entry tells.
#[derive(Clone, Debug)]
pub(super) struct Quarantined {
    /// The entry's CloudEvents id, `dead:<position>`.
    pub(super) id: String,
    /// When it was set aside.
    pub(super) at: LogTime,
    /// Why.
    pub(super) reason: String,
    /// The same in words.
    pub(super) detail: String,
    /// The entry's data: the original among it.
    pub(super) data: Value,
}

impl Quarantined {
    fn read(stored: &StoredDead) -> Self {
        let data: Value = serde_json::from_slice(&stored.payload).unwrap_or(Value::Null);
        let text = |name: &str| data[name].as_str().unwrap_or("-").to_owned();
        Self {
            id: render::decoded(&stored.headers, "ce-id").into_owned(),
            at: stored.time,
            reason: text("reason"),
            detail: text("detail"),
            data,
        }
    }
}

/// Everything read.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) letters: Letters,
    pub(super) quarantined: Vec<Quarantined>,
    pub(super) unreadable: Vec<Unreadable>,
}

/// What an id stands for.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A letter that waits for a decision.
    Open(&'a Open),
    /// What was decided about one.
    Closed(&'a Decision),
    /// A quarantined event.
    Event(&'a Quarantined),
}

impl Book {
    /// Reads one destination's line, or all of them and the quarantine.
    pub(super) async fn read(log: &Log, line: Option<&str>) -> Result<Self, LogError> {
        let mut entries = log.dead_scan(line).await?;
        let mut book = Self::default();
        while let Some(stored) = entries.next().await {
            book.take(&stored?);
        }
        Ok(book)
    }

    fn take(&mut self, stored: &StoredDead) {
        match stored.place {
            DeadPlace::Event(_) => self.quarantined.push(Quarantined::read(stored)),
            DeadPlace::Delivery(_) => match Entry::read(stored) {
                Ok(entry) => {
                    self.letters.take(stored.seq, &entry);
                }
                Err(unreadable) => self.unreadable.push(unreadable),
            },
        }
    }

    /// Whatever goes by this id: a letter's number, else an output's or an event's id. An output can have been given
    /// up by several destinations.
    pub(super) fn find(&self, id: &str) -> Vec<Found<'_>> {
        let number: Option<u64> = id.parse().ok();
        let by_number = self.letters.open().find(|open| Some(open.seq) == number);
        if let Some(open) = by_number {
            return vec![Found::Open(open)];
        }
        let cases = self.letters.cases().filter_map(|case| match case {
            Case::Open(open) => (open.output_id == id).then_some(Found::Open(open)),
            Case::Closed(decision) => {
                let meant = decision.output_id == id || Some(decision.letter) == number;
                meant.then_some(Found::Closed(decision))
            }
        });
        let events = self.quarantined.iter().filter(|event| event.id == id);
        cases.chain(events.map(Found::Event)).collect()
    }
}
