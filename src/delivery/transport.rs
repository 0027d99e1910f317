//! What takes outputs to a destination, as its driver sees it.
//!
//! There are two: the courier of `crate::sinks` (templates, credentials, HTTP, SMTP), and the scripted transport of the
//! simulation, which fails, hangs and lies as no vendor would dare to.

use aftercall_actors::contract::{event::Kept, output::Severity};
use async_trait::async_trait;
use serde_json::Value;

use super::{
    attempt::{Attempt, Fault},
    parcel::Parcel,
    policy::{Policy, Start},
};
use crate::log::Lane;

/// Which attempt at an output is made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// From 1 in each round.
    pub number: u32,
    /// Whether one before it may have been done, for all anybody knows: where the destination can be asked, it is
    /// asked first (S3.09).
    pub in_doubt: bool,
    /// Whether one before it in this round may have been done: what that makes of an answer, conditions can say. How
    /// former rounds ended is not remembered, so it is narrower than `in_doubt`.
    pub unknown: bool,
    /// The ids that answers to those before it have given the output.
    pub kept: Kept,
    /// What the attempts before it left of the output: those it was for are not told again.
    pub progress: Option<Value>,
    /// What identifies the content that the thread's last output said; see [`Attempt::said`].
    pub said: Option<u64>,
}

/// Takes outputs to one destination.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The destination's name: part of subjects in the log, label of metrics.
    fn name(&self) -> &str;

    /// How it is driven.
    fn policy(&self) -> &Policy;

    /// How much it matters to operators that it gives up on outputs; `None`: they are not told.
    fn alarm(&self) -> Option<Severity> {
        Some(Severity::Critical)
    }

    /// Where it begins the first time it ever runs.
    fn start(&self) -> Start;

    /// What lets us in, as it is now: another number once somebody has exchanged a secret, and nothing to guess it by.
    fn credentials(&self) -> u64 {
        0
    }

    /// The lanes it takes outputs from; all kinds, if empty.
    fn lanes(&self) -> Vec<Lane>;

    /// Whether an output of these lanes is for it.
    fn selects(&self, parcel: &Parcel) -> bool;

    /// What an output is about, if order within that matters: outputs of one thread go one at a time.
    ///
    /// # Errors
    /// If that cannot be found out: the output is not sent.
    fn thread(&self, parcel: &Parcel) -> Result<Option<String>, Fault>;

    /// The lanes that an attempt would take a place in, where each has a rate of its own; asked before it begins.
    /// Nothing may be sent for it. None: it may begin at once.
    async fn lanes_of(&self, _: &Parcel, _: Option<&Value>, _: &Turn) -> Vec<String> {
        Vec::new()
    }

    /// Makes an attempt to deliver an output. `handle` is what the last success of its thread left. Always ends: it
    /// keeps its own timeouts. Dropped half way, its outcome is unknown.
    async fn attempt(&self, parcel: &Parcel, handle: Option<&Value>, turn: Turn) -> Attempt;
}
