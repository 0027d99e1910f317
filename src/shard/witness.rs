//! Looking on while an engine applies events: what an actor was before a step and what it is after it.
//!
//! The service has no witness ([`Nobody`], which costs nothing). `retrace` lets one look on while a partition's past
//! is worked out again: the ledger makes its entries of what changed.

use std::ops::ControlFlow;

use aftercall_actors::{
    actor::Actor,
    contract::{event::Event, key::Key, time::LogTime},
    effect::Effect,
    rules::RuleSet,
};

use super::batch::Entry;
use crate::log::Position;

/// One step of one actor, done.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The event of the log at which it happened.
    pub entry: &'a Entry,
    /// The event that was applied; `None` if the actor was woken because its deadline had come.
    pub event: Option<&'a Event>,
    /// Log time, as the actor saw it.
    pub now: LogTime,
    /// The rules in force.
    pub rules: &'a RuleSet,
    /// The actor.
    pub key: Key<'a>,
    /// What it is now.
    pub actor: &'a Actor,
    /// What it said, in order.
    pub effects: &'a [Effect],
}

/// Who looks on.
pub trait Witness {
    /// An actor is about to take a step.
    fn before(&mut self, key: Key<'_>, actor: &Actor);
    /// It has.
    fn after(&mut self, step: &Step<'_>);
    /// Every actor has taken its steps up to this position. On a break nothing more is read.
    fn passed(&mut self, _: Position) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// No one.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Witness for Nobody {
    fn before(&mut self, _: Key<'_>, _: &Actor) {}
    fn after(&mut self, _: &Step<'_>) {}
}
