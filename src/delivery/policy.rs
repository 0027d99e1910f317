//! How a destination is driven: plain, checked data, the same for every channel.

use std::{num::NonZeroU32, time::Duration};

use aftercall_actors::breaker;

/// Everything the driver of a destination needs to know of it; what is sent and where is the courier's affair.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How much at once and how fast.
    pub limits: Limits,
    /// When an attempt is made again, and when no more.
    pub retry: Retry,
    /// When the destination is left alone for a while.
    pub breaker: breaker::Policy,
    /// Newest-wins merging of outputs about the same thing; `None` delivers each.
    pub merge: Option<Merge>,
    /// What of the outcome goes back into the log; `None`: nothing.
    pub outcome: Option<OutcomeRule>,
}

/// Where a destination begins the first time it ever runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With outputs made from then on.
    Now,
    /// With the oldest output the log still has.
    Beginning,
}

/// How much at once and how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Attempts in flight at once.
    pub concurrency: NonZeroU32,
    /// Attempts begun within each period, spread evenly; `None`: no limit.
    pub rate: Option<Rate>,
    /// Whether each lane of the destination (a channel of Slack's) has this rate to itself (S2.11).
    pub by_lane: bool,
}

/// So many within so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Attempts.
    pub count: NonZeroU32,
    /// Within this.
    pub per: Duration,
}

/// When an attempt is made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all whose failure is certain (S1.02: 3, S3.08: 4).
    pub attempts: NonZeroU32,
    /// Wait before the second attempt; before jitter.
    pub first: Duration,
    /// What each further wait is multiplied by.
    pub factor: NonZeroU32,
    /// Longest wait; `Retry-After` may exceed it.
    pub max: Duration,
    /// An output not delivered this long after its first attempt is given up, known outcome or not; one that is awaited
    /// this long after it was taken.
    pub deadline: Duration,
    /// Whether attempts whose outcome nobody knows count among `attempts` (S1.02), or only the deadline ends them (S3.09).
    pub unknown_counts: bool,
}

/// Newest wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// At most one attempt per key within this (S4.05).
    pub every: Duration,
}

/// What goes back into the log once an output has its verdict, as an event to the actor that emitted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeRule {
    /// Event type: `reward.outcome`, `alert.outcome`, ...
    pub event_type: String,
    /// Its `status` for an output that was delivered.
    pub delivered: String,
    /// For one the destination rejected.
    pub rejected: String,
    /// For one given up after its last attempt, or whose outcome nobody knows.
    pub failed: String,
}

impl Policy {
    /// Whether an actor waits for what comes of it, and goes on without it: then it is of no use after its deadline,
    /// whatever kept it from being sent (S5.04).
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        let event_type = self.outcome.as_ref().map(|rule| &*rule.event_type);
        matches!(
            event_type,
            Some("identity.outcome" | "survey_token.outcome" | "enrichment.outcome")
        )
    }
}

impl OutcomeRule {
    /// Whether a rejection frees points, and so is never said lightly (S3.16).
    #[must_use]
    pub fn is_of_rewards(&self) -> bool {
        self.event_type == "reward.outcome"
    }
}
