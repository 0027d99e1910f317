//! Which item goes next where each lane (a channel of Slack's) has a rate of its own (S2.11).
//!
//! Whom a message is for is looked up, so the machine does not know an item's lanes: it asks when the item is due, and
//! begins the attempt once its lanes are known and free. What was asked is not stored; the places that attempts took in
//! lanes are, with the fact that they began.

use aftercall_actors::contract::time::LogTime;
use serde_json::Value;

use super::Machine;
use crate::{delivery::transport::Turn, log::Seq};

/// Items whose lanes are asked for at once.
const ASKED_MAX: usize = 64;

/// How far the question for an item's lanes is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Asked,
    Told(Vec<String>),
}

/// An item whose lanes have to be known before it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The item.
    pub seq: Seq,
    /// The attempt that would be made.
    pub turn: Turn,
    /// What the last success of its thread left for it.
    pub handle: Option<Value>,
}

impl Machine {
    /// The items that are due and whose lanes are to be asked for now; the answers come through [`Machine::told_lanes`].
    pub fn questions(&mut self, now: LogTime) -> Vec<Question> {
        if !self.state.policy.limits.by_lane || self.stopping {
            return Vec::new();
        }
        let asked = self.lanes.values().filter(|ask| **ask == Ask::Asked);
        let room = ASKED_MAX.saturating_sub(asked.count());
        let due = self.state.due.ready(now);
        let unknown = due.filter(|seq| !self.lanes.contains_key(seq));
        let unknown: Vec<Seq> = unknown.take(room).collect();
        let questions = unknown.into_iter().filter_map(|seq| self.next_attempt(seq));
        let questions: Vec<Question> = questions.collect();
        for question in &questions {
            self.lanes.insert(question.seq, Ask::Asked);
        }
        questions
    }

    /// The lanes of an item.
    pub fn told_lanes(&mut self, seq: Seq, lanes: Vec<String>) {
        let waits = self.state.items.get(&seq).is_some_and(|item| {
            let is_over = item.settled.is_some() || item.flight.is_some();
            !is_over
        });
        if waits {
            self.lanes.insert(seq, Ask::Told(lanes));
        } else {
            self.lanes.remove(&seq);
        }
    }

    /// The next attempt at an item.
    pub(super) fn next_attempt(&self, seq: Seq) -> Option<Question> {
        let item = self.state.items.get(&seq)?;
        let thread = item.taken.thread.as_deref();
        let handle = thread.and_then(|thread| self.state.handle(thread));
        let json = |text: &str| serde_json::from_str(text).ok();
        Some(Question {
            seq,
            turn: Turn {
                number: item.attempts + 1,
                // How a round before this one ended nobody remembers here, so it counts as unknown.
                in_doubt: item.unknown || item.round > 1,
                unknown: item.unknown,
                kept: item.kept.clone(),
                progress: item.progress.as_deref().and_then(json),
                said: thread.and_then(|thread| self.state.said(thread)),
            },
            handle: handle.and_then(json),
        })
    }

    /// The item that goes first at `now`, as far as items and their lanes say.
    pub(super) fn ready(&self, now: LogTime) -> Option<Seq> {
        let mut due = self.state.due.ready(now);
        if !self.state.policy.limits.by_lane {
            return due.next();
        }
        due.find(|seq| match self.lanes.get(seq) {
            Some(Ask::Told(lanes)) => self.state.lanes.free_at(lanes) <= now,
            Some(Ask::Asked) | None => false,
        })
    }

    /// When the first item may start, or has to be asked for its lanes.
    pub(super) fn due_at(&self) -> Option<LogTime> {
        let state = &self.state;
        if !state.policy.limits.by_lane {
            return state.due.first_at();
        }
        let asked = self.lanes.values().filter(|ask| **ask == Ask::Asked);
        let can_ask = asked.count() < ASKED_MAX;
        let at = state
            .due
            .all()
            .filter_map(|(at, seq)| match self.lanes.get(&seq) {
                Some(Ask::Told(lanes)) => Some(at.max(state.lanes.free_at(lanes))),
                Some(Ask::Asked) => None,
                None => can_ask.then_some(at),
            });
        at.min()
    }
}
