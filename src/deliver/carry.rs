//! What the driver of a destination needs of whoever takes outputs there.
//!
//! Two carry: the courier (templates, credentials, HTTP, SMTP), and the scripted world of the simulation, which fails,
//! hangs and lies as no vendor would dare to.

use async_trait::async_trait;
use serde_json::Value;

use super::{answer::Attempt, answer::Fault, parcel::Parcel, policy::Policy};
use crate::log::Lane;

/// Takes outputs to one destination.
#[async_trait]
pub trait Carry: Send + Sync + 'static {
    /// The destination's name: part of subjects in the log, label of metrics.
    fn name(&self) -> &str;

    /// How it is driven.
    fn policy(&self) -> &Policy;

    /// Where it begins the first time it ever runs.
    fn start(&self) -> Start;

    /// The lanes it takes outputs from; all kinds, if empty.
    fn lanes(&self) -> Vec<Lane>;

    /// Whether an output of these lanes is for it.
    fn selects(&self, parcel: &Parcel) -> bool;

    /// What an output is about, if order within that matters: outputs of one thread go one at a time.
    ///
    /// # Errors
    /// If that cannot be found out: the output is not sent.
    fn thread(&self, parcel: &Parcel) -> Result<Option<String>, Fault>;

    /// Makes attempt `number` (from 1) to deliver an output. `handle` is what the last success of its thread
    /// left. Always ends: it keeps its own timeouts. Dropped half way, its outcome is unknown.
    async fn attempt(&self, parcel: &Parcel, handle: Option<&Value>, number: u32) -> Attempt;
}

/// Where a destination begins the first time it ever runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With outputs made from then on.
    Now,
    /// With the oldest output the log still has.
    Beginning,
}
