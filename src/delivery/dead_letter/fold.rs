//! Which letters still wait for a decision: what follows from reading the dead-letter lines from their beginning.
//!
//! A letter opens its output's case, a decision closes it, and a letter of a later round opens it again. What repeats
//! an earlier entry (the log's window against repetition is two minutes, a crash may be longer) changes nothing.
//! Order matters only within a destination, so lines of several may come mixed.

use std::collections::BTreeMap;

use aftercall_actors::contract::time::LogTime;

use super::{Choice, Decision, Entry, Letter, Reason};
use crate::log::Seq;

/// What is kept of an open letter: enough to list and choose it. The whole stands in the log under `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The letter's sequence.
    pub seq: Seq,
    /// When it was given up.
    pub at: LogTime,
    /// Destination.
    pub destination: String,
    /// The output's CloudEvents id.
    pub output_id: String,
    /// The output's sequence.
    pub output_seq: Seq,
    /// The output's CloudEvents type.
    pub event_type: String,
    /// The output's CloudEvents subject.
    pub subject: String,
    /// The round that ended.
    pub round: u32,
    /// Attempts of that round.
    pub attempts_total: u32,
    /// Why it was given up.
    pub reason: Reason,
    /// The same in words.
    pub detail: String,
    /// Why it may not be tried again, if so.
    pub not_retryable: Option<String>,
}

impl Open {
    /// The letter that stands in the log under `seq`.
    #[must_use]
    pub fn of(seq: Seq, letter: &Letter) -> Self {
        Self {
            seq,
            at: letter.at,
            destination: letter.destination.clone(),
            output_id: letter.output.id.clone(),
            output_seq: letter.output.seq,
            event_type: letter.output.event_type.clone(),
            subject: letter.output.subject.clone(),
            round: letter.round,
            attempts_total: letter.attempts_total,
            reason: letter.reason,
            detail: letter.detail.clone(),
            not_retryable: letter.not_retryable.clone(),
        }
    }

    /// A decision about it.
    #[must_use]
    pub fn decide(&self, choice: Choice, by: &str, at: LogTime) -> Decision {
        Decision {
            choice,
            destination: self.destination.clone(),
            letter: self.seq,
            output_id: self.output_id.clone(),
            output_seq: self.output_seq,
            round: self.round,
            by: by.to_owned(),
            at,
        }
    }
}

/// Where an output's case stands after its latest round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Case {
    /// Waits for a decision.
    Open(Box<Open>),
    /// Decided, and so.
    Closed(Decision),
}

impl Case {
    /// The round it is about.
    #[must_use]
    pub fn round(&self) -> u32 {
        match self {
            Self::Open(open) => open.round,
            Self::Closed(decision) => decision.round,
        }
    }
}

/// The cases of all outputs that were ever given up, by destination and output id.
#[derive(Clone, Debug, Default)]
pub struct Letters {
    cases: BTreeMap<(String, String), Case>,
}

impl Letters {
    /// Takes the next entry, which stands in the log under `seq`. Says whether it changed anything: a repetition, or a
    /// decision that came second, does not.
    pub fn take(&mut self, seq: Seq, entry: &Entry) -> bool {
        match entry {
            Entry::Letter(letter) => {
                let key = (letter.destination.clone(), letter.output.id.clone());
                if let Some(case) = self.cases.get(&key)
                    && case.round() >= letter.round
                {
                    return false;
                }
                let open = Open::of(seq, letter);
                self.cases.insert(key, Case::Open(Box::new(open)));
                true
            }
            Entry::Decision(decision) => {
                let key = (decision.destination.clone(), decision.output_id.clone());
                let applies = match self.cases.get(&key) {
                    Some(Case::Open(open)) => open.round == decision.round,
                    Some(Case::Closed(before)) => before.round < decision.round,
                    // Its letter is no longer held; a repetition of that one must not open it again.
                    None => true,
                };
                if applies {
                    self.cases.insert(key, Case::Closed(decision.clone()));
                }
                applies
            }
        }
    }

    /// The case of an output at a destination, if it was ever given up.
    #[must_use]
    pub fn case(&self, destination: &str, output_id: &str) -> Option<&Case> {
        self.cases
            .get(&(destination.to_owned(), output_id.to_owned()))
    }

    /// Every case.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.values()
    }

    /// The letters that wait for a decision, by destination and output id.
    pub fn open(&self) -> impl Iterator<Item = &Open> {
        self.cases.values().filter_map(|case| match case {
            Case::Open(open) => Some(&**open),
            Case::Closed(_) => None,
        })
    }
}
