//! One actor, whichever family it is of: what a host needs of it.

use crate::{
    agent::Agent,
    contract::{event::Event, key::Side, time::LogTime},
    customer::Customer,
    responses::Share,
    rules::Settings,
    stored::changes::Mark,
    turn::Turn,
};

/// A stored state that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("state of {key} cannot be read: {why}")]
pub struct StateError {
    /// The actor.
    pub key: String,
    /// What is wrong.
    pub why: String,
}

/// An agent (or a bot, a queue, unassigned work) or a customer, as one value.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are customers: a box would cost each of them an allocation and save nothing"
)]
pub enum Actor {
    /// An owner of interactions. Boxed: there are a hundred times as many customers, and they are smaller.
    Agent(Box<Agent>),
    /// A customer.
    Customer(Customer),
}

impl Actor {
    /// An actor that has seen nothing.
    #[must_use]
    pub fn new(side: Side) -> Self {
        match side {
            Side::Agent => Self::Agent(Box::default()),
            Side::Customer => Self::Customer(Customer::default()),
        }
    }

    /// Applies one event that is for the actor whose turn it is.
    pub fn apply(&mut self, turn: &mut Turn<'_>, event: &Event) {
        match self {
            Self::Agent(agent) => agent.apply(turn, event),
            Self::Customer(customer) => customer.apply(turn, event),
        }
    }

    /// Applies this actor's share of a version of a survey or eNPS response, as [`Responses`] has judged it.
    ///
    /// [`Responses`]: crate::responses::Responses
    pub fn respond(&mut self, turn: &mut Turn<'_>, event: &Event, share: Share) {
        match self {
            Self::Agent(agent) => agent.respond(turn, event, share),
            // Responses have no part in customers.
            Self::Customer(customer) => customer.apply(turn, event),
        }
    }

    /// Does what is due at `turn.now`; afterwards the deadline lies later, or there is none.
    pub fn wake(&mut self, turn: &mut Turn<'_>) {
        match self {
            Self::Agent(agent) => agent.wake(turn),
            Self::Customer(customer) => customer.wake(turn),
        }
    }

    /// When this actor next wants to be woken, in log time.
    #[must_use]
    pub fn deadline(&self) -> Option<LogTime> {
        match self {
            Self::Agent(agent) => agent.deadline(),
            Self::Customer(customer) => customer.deadline(),
        }
    }

    /// Whether this actor, at `now`, will act as a new one: then a host may forget it.
    #[must_use]
    pub fn is_blank(&self, now: LogTime, settings: &Settings) -> bool {
        match self {
            Self::Agent(agent) => agent.is_blank(now, settings),
            Self::Customer(customer) => customer.is_blank(now, settings),
        }
    }

    /// Appends the state in its stored form.
    pub fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Self::Agent(agent) => agent.encode(into),
            Self::Customer(customer) => customer.encode(into),
        }
    }

    /// From here on changes are counted anew: what the actor is now has been stored.
    pub fn mark(&mut self) -> Mark {
        match self {
            Self::Agent(agent) => agent.mark(),
            Self::Customer(customer) => customer.mark(),
        }
    }

    /// Appends what has changed since the last [`Self::mark`], or since the actor was read; false if that were too many
    /// changes to list, and nothing is appended. `before` is what the mark found; without it all is written that does
    /// not list its changes.
    pub fn encode_changes(&self, before: Option<&Mark>, into: &mut Vec<u8>) -> bool {
        match self {
            Self::Agent(agent) => agent.encode_changes(before, into),
            Self::Customer(customer) => customer.encode_changes(before, into),
        }
    }

    /// Brings this actor to where the changes were written: it is as of the mark that they begin at, or later.
    ///
    /// # Errors
    /// If the bytes are no changes of an actor of this side. The actor is then of no further use.
    pub fn fold(&mut self, key: &str, changes: &[u8]) -> Result<(), StateError> {
        match self {
            Self::Agent(agent) => agent.fold(changes),
            Self::Customer(customer) => customer.fold(changes),
        }
        .map_err(|error| StateError {
            key: key.to_owned(),
            why: error.to_string(),
        })
    }

    /// Reads a stored state.
    ///
    /// # Errors
    /// If the bytes are no state of this side.
    pub fn decode(side: Side, key: &str, bytes: &[u8]) -> Result<Self, StateError> {
        match side {
            Side::Agent => Agent::decode(bytes).map(|agent| Self::Agent(Box::new(agent))),
            Side::Customer => Customer::decode(bytes).map(Self::Customer),
        }
        .map_err(|error| StateError {
            key: key.to_owned(),
            why: error.to_string(),
        })
    }
}
