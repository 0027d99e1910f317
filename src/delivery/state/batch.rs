//! What goes into the machine and comes out of it: outputs and decisions in, facts and actions out.

use aftercall_actors::contract::{output::Kind, time::LogTime};
use serde_json::Value;

use crate::{
    delivery::{
        record::{Alarmed, Case, Fact, Item, Spot, Taken},
        transport::Turn,
    },
    log::Seq,
};

/// What is to be done once a batch is committed.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Makes an attempt; its result comes back through [`super::Machine::finished`].
    Send {
        /// The item.
        seq: Seq,
        /// Its number, and what is known of those before it.
        turn: Turn,
        /// What the last success of its thread left for it.
        handle: Option<Value>,
    },
    /// Tells of a verdict: the outcome event, the dead letter. Then [`super::Machine::told`].
    Report {
        /// The item, as it will stay until then.
        item: Box<Item>,
    },
    /// Tells operators of dead letters. Then [`super::Machine::alarm_told`].
    Alarm(Alarmed),
}

/// Facts that belong together, and what follows from them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// To be committed, in order.
    pub facts: Vec<Fact>,
    /// To be done after that.
    pub actions: Vec<Action>,
}

/// An output that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Find {
    /// Its sequence.
    pub seq: Seq,
    /// Its CloudEvents id.
    pub id: String,
    /// What sort of output.
    pub kind: Kind,
    /// Its CloudEvents type.
    pub event_type: String,
    /// Its CloudEvents subject.
    pub subject: String,
    /// When the log stored it.
    pub stored_at: LogTime,
    /// Its thread, or why that cannot be found out.
    pub thread: Result<Option<String>, String>,
    /// What identifies it wherever it stands, if it says.
    pub spot: Option<Spot>,
    /// Where it stands, if that is not `seq`.
    pub at: Seq,
}

/// An operator's word about a case: a round of an output that ended with a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its sequence among the dead letters.
    pub seq: Seq,
    /// The case.
    pub case: Case,
    /// The output, if it is to be tried again.
    pub retry: Option<Find>,
}

impl Find {
    /// Where it stands.
    pub(super) const fn stands_at(&self) -> Seq {
        match self.at {
            0 => self.seq,
            at => at,
        }
    }

    /// The fact of taking an output, and what makes it hopeless from the start.
    pub(super) fn taken(self, now: LogTime) -> (Taken, Option<String>) {
        let (thread, faulty) = match self.thread {
            Ok(thread) => (thread, None),
            Err(why) => (None, Some(why)),
        };
        let taken = Taken {
            seq: self.seq,
            id: self.id,
            subject: self.subject,
            thread,
            stored_at_ms: self.stored_at.0,
            at_ms: now.0,
            event_type: self.event_type,
            kind: u32::try_from(self.kind.index()).unwrap_or(u32::MAX),
            spot: self.spot,
            at: self.at,
        };
        (taken, faulty)
    }
}
