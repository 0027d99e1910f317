//! How far an agent has come in one tier: every stage and every input, pair by pair.
//!
//! ```text
//!            approval needed ┌───────────┐ approved
//!          ┌────────────────►│ Awaiting  ├──────────┐
//!          │                 └─────┬─────┘          │
//! ┌────────┴─┐ reached             │declined   ┌────▼─────┐ unclear ┌────────┐
//! │   Open   ├─────────────────────┼──────────►│  Locked  ├────────►│ Review │
//! └──▲────▲──┘                     │           └──┬────┬──┘         └─┬───┬──┘
//!    │    │ issued, or approved    │     rejected │    │ issued       │   │
//!    │    └────────────────────────┼──────────────┼────┴──────────────┘   │
//!    │ new points on a later day,  │   ┌──────────▼┐   rejected, declined │
//!    └─────────────────────────────┴──►│ Rejected  │◄─────────────────────┘
//!      approved                        └───────────┘
//! ```
//!
//! Only an explicit no leads to `Rejected`, and so to another claim under another id: the provider's (`rejected`), or a
//! person's. What is not known stays where it is, under its id.
//!
//! The table only says what follows; `redemption` moves the points and speaks. What becomes of a reward once it is
//! issued is `issued`'s.

use crate::{
    contract::{
        event::{KEPT_BYTES_MAX, KEPT_MAX, Kept},
        time::LogTime,
    },
    rewards::points::{Part, Workday},
};

/// A reward that is to be had: what it costs, and where its points came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// How many of this tier came before.
    pub ordinal: u32,
    /// What is given.
    pub reward_type: Box<str>,
    /// Points it costs.
    pub points: i64,
    /// Log time of the claim, or of the request once it was made.
    pub at: LogTime,
    /// Its points, out of the window for as long as the claim stands: so they neither leave with their workday nor
    /// count for another reward. None once it is rejected.
    pub parts: Vec<Part>,
    /// Version of the export that the newest of its points from an export came with, for the provider.
    pub export_version: Option<Box<str>>,
    /// What the provider calls its own side of it, by name, for asking it back.
    pub kept: Kept,
}

impl Claim {
    /// Keeps the ids that the provider has given it, up to [`KEPT_MAX`]; of one name the newest.
    pub(super) fn keep(&mut self, kept: &Kept) {
        for (name, id) in kept {
            let has_room = self.kept.len() < KEPT_MAX || self.kept.contains_key(name);
            if has_room && name.len().max(id.len()) <= KEPT_BYTES_MAX {
                self.kept.insert(name.clone(), id.clone());
            }
        }
    }
}

/// Where an agent stands in a tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Points count towards the threshold.
    #[default]
    Open,
    /// Reached; a person is to agree before anything is requested.
    Awaiting(Claim),
    /// Requested: `LOCKED_FOR_REDEMPTION` until the outcome comes back (S3.04).
    Locked(Claim),
    /// The provider's answer is not known, and will not come by itself (S3.08).
    Review(Claim),
    /// Not given. Waits for new points on a later workday than `on`, or for a person, before it asks again.
    Rejected {
        /// What was not given; its points are back in the window.
        claim: Claim,
        /// Workday of the rejection, in log time.
        on: Workday,
    },
}

/// What can happen to a tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The threshold is reached, and the points are taken.
    Reached {
        /// What is claimed.
        claim: Claim,
        /// Whether a person has to agree.
        approval: bool,
    },
    /// The provider has given the reward.
    Issued,
    /// The provider refused it.
    Rejected,
    /// Delivery gave up without knowing (`needs_review`), or something was said that is neither yes nor no to a request:
    /// of an order that is `cancelled`, another attempt may still be out.
    Unclear,
    /// A person agreed.
    Approved,
    /// A person refused.
    Declined,
    /// Points were taken away that this claim rests on.
    Short,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Late, repeated, or not for this stage: the stage stands, and operations can count it.
    Ignore,
    /// The stage stands, as it should.
    Stay,
    /// Tell people that their approval is waited for.
    Ask,
    /// Ask the provider.
    Request,
    /// The points are spent; the reward is the agent's.
    Give(Claim),
    /// The reward is the agent's although it had counted as rejected: its points are still to be taken, and
    /// administration hears of it.
    GiveLate(Claim),
    /// The points come back.
    Release(Claim),
    /// The points come back, and administration hears that the provider refused.
    Refuse(Claim),
    /// Tell administration that a person has to look.
    Park,
    /// The tier is free again, without this claim: look whether it is reached.
    Reopen(Claim),
}

impl Stage {
    /// The claim it is about.
    #[must_use]
    pub const fn claim(&self) -> Option<&Claim> {
        match self {
            Self::Open => None,
            Self::Awaiting(claim)
            | Self::Locked(claim)
            | Self::Review(claim)
            | Self::Rejected { claim, .. } => Some(claim),
        }
    }

    pub(super) const fn claim_mut(&mut self) -> Option<&mut Claim> {
        match self {
            Self::Open => None,
            Self::Awaiting(claim)
            | Self::Locked(claim)
            | Self::Review(claim)
            | Self::Rejected { claim, .. } => Some(claim),
        }
    }

    /// Points that stand still in it.
    #[must_use]
    pub fn held(&self) -> i64 {
        match self {
            Self::Awaiting(claim) | Self::Locked(claim) | Self::Review(claim) => claim.points,
            Self::Open | Self::Rejected { .. } => 0,
        }
    }

    /// Points and time of the reward that is being asked for, which limits count.
    #[must_use]
    pub const fn requested(&self) -> Option<&Claim> {
        match self {
            Self::Locked(claim) | Self::Review(claim) => Some(claim),
            Self::Open | Self::Awaiting(_) | Self::Rejected { .. } => None,
        }
    }

    /// Whether a threshold reached now is acted on. After a rejection it takes new points on a later workday: a
    /// provider that has nothing to give is asked once a day at most, and not at all while nothing is earned.
    #[must_use]
    pub fn is_evaluated(&self, today: Workday, has_new_points: bool) -> bool {
        match self {
            Self::Open => true,
            Self::Rejected { on, .. } => has_new_points && today > *on,
            Self::Awaiting(_) | Self::Locked(_) | Self::Review(_) => false,
        }
    }

    /// The stage after `input` on workday `today`, and what is to be done.
    #[must_use]
    pub fn after(self, input: Input, today: Workday, now: LogTime) -> (Self, Step) {
        let rejected = |claim: &Claim| Self::Rejected {
            claim: Claim {
                parts: Vec::new(),
                ..claim.clone()
            },
            on: today,
        };
        match (self, input) {
            (Self::Open | Self::Rejected { .. }, Input::Reached { claim, approval }) => {
                if approval {
                    (Self::Awaiting(claim), Step::Ask)
                } else {
                    (Self::Locked(claim), Step::Request)
                }
            }
            // Points that arrive meanwhile are kept in the window; `is_evaluated` keeps this from happening.
            (
                stage @ (Self::Awaiting(_) | Self::Locked(_) | Self::Review(_)),
                Input::Reached { .. },
            ) => (stage, Step::Ignore),

            // There is nothing they could be about.
            (
                Self::Open,
                Input::Issued
                | Input::Rejected
                | Input::Unclear
                | Input::Approved
                | Input::Declined,
            ) => (Self::Open, Step::Ignore),
            (Self::Open, Input::Short) => (Self::Open, Step::Stay),

            (Self::Awaiting(claim), Input::Approved) => {
                let claim = Claim { at: now, ..claim };
                (Self::Locked(claim), Step::Request)
            }
            (Self::Awaiting(claim), Input::Declined) => (rejected(&claim), Step::Release(claim)),
            // No provider was asked yet: it is no longer earned.
            (Self::Awaiting(claim), Input::Short) => (Self::Open, Step::Release(claim)),
            // Nothing was asked, so there can be no answer.
            (Self::Awaiting(claim), Input::Issued | Input::Rejected | Input::Unclear) => {
                (Self::Awaiting(claim), Step::Ignore)
            }

            (Self::Locked(claim), Input::Issued) => (Self::Open, Step::Give(claim)),
            (Self::Locked(claim), Input::Rejected) => (rejected(&claim), Step::Refuse(claim)),
            (Self::Locked(claim), Input::Unclear) => (Self::Review(claim), Step::Park),
            // While the provider is being asked, only the answer counts.
            (Self::Locked(claim), Input::Approved | Input::Declined) => {
                (Self::Locked(claim), Step::Ignore)
            }
            // It may be given already: what is lacking is settled when the outcome is known.
            (Self::Locked(claim), Input::Short) => (Self::Locked(claim), Step::Stay),

            (Self::Review(claim), Input::Issued | Input::Approved) => {
                (Self::Open, Step::Give(claim))
            }
            (Self::Review(claim), Input::Rejected) => (rejected(&claim), Step::Refuse(claim)),
            (Self::Review(claim), Input::Declined) => (rejected(&claim), Step::Release(claim)),
            (Self::Review(claim), Input::Unclear) => (Self::Review(claim), Step::Ignore),
            (Self::Review(claim), Input::Short) => (Self::Review(claim), Step::Stay),

            // A person thought it was not given, and it was.
            (Self::Rejected { claim, .. }, Input::Issued) => (Self::Open, Step::GiveLate(claim)),
            (Self::Rejected { claim, .. }, Input::Approved) => (Self::Open, Step::Reopen(claim)),
            (stage @ Self::Rejected { .. }, Input::Rejected | Input::Unclear | Input::Declined) => {
                (stage, Step::Ignore)
            }
            (stage @ Self::Rejected { .. }, Input::Short) => (stage, Step::Stay),
        }
    }
}
