//! What becomes of a reward after it was issued: every standing and every input, pair by pair (S3.12).
//!
//! ```text
//! Issued ──short──► Reversing ──reversed──► Reversed ◄─┐
//!  ▲   │              │    │ unclear                   │ reversed after all
//!  │   │              │    ▼                           │
//!  │   │              │  Review ──refused, declined──► Debt
//!  │   │              └────────refused─────────────────►┘
//!  │   │ the provider says that it is cancelled, has bounced or failed
//!  │   ├──────────────────► Held ──declined──┐
//!  │   │ the same, and the  │                ▼
//!  │   │ program frees      │ issued,    Cancelled
//!  │   └────────────────────┼───────────────►┘ │
//!  └────────────────────────┴──────────────────┘ issued again
//!                             approved
//! ```
//!
//! What is taken back is known to be gone: a reward that we asked back, or that its provider cancelled. One that
//! bounced or failed has not reached the agent, and whether its money is spent cannot be known here; so a
//! program says whether that frees the points (`on_cancelled`), and while a reward is being asked back only the answer
//! to that counts.

use super::stage::Claim;
use crate::{contract::time::LogTime, rewards::points::Workday};

/// A reward that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedReward {
    /// Place of its tier in the agent's list.
    pub tier: usize,
    /// What it cost, and where these points came from.
    pub claim: Claim,
    /// Log time of the outcome that said so.
    pub at: LogTime,
    /// How it stands.
    pub standing: IssuedStatus,
    /// How often its provider has said that the agent does not have it after all.
    pub doubts: u32,
}

/// How an issued reward stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuedStatus {
    /// It is the agent's.
    Issued,
    /// The provider is asked to take it back.
    Reversing,
    /// Whether it was taken back is not known, and will not come by itself.
    Review,
    /// Taken back; its points came back.
    Reversed,
    /// The provider would not take it back: what is lacking became a debt.
    Debt,
    /// The provider says that the agent does not have it after all; its points stay spent until a person decides.
    Held {
        /// Whether it was [`Self::Debt`] before: then it is not asked back again.
        owed: bool,
    },
    /// The agent does not have it after all; its points came back.
    Cancelled {
        /// As of `Held`.
        owed: bool,
        /// Since when its tier waits for new points on a later workday, or for a person, before it asks again. So a
        /// provider whose cards all bounce is asked once a day at most.
        waits: Option<Workday>,
    },
}

/// What can happen to an issued reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The balance is below zero, and this is the latest reward that can be taken back.
    Short,
    /// The provider took it back: because we asked, or by itself (`reversed`, `cancelled`).
    TakenBack {
        /// Whether the program frees points without a person, where no reversal was asked for.
        frees: bool,
    },
    /// The provider would not.
    Refused,
    /// Of the reversal: delivery gave up without knowing, or said a word that is not known.
    Unclear,
    /// It did not reach the agent (`bounced`, `failed`), or something was said that does not go with `issued`.
    Undelivered {
        /// As of `TakenBack`; never with words that are not known.
        frees: bool,
    },
    /// The provider says `issued`, once more.
    Issued,
    /// A person says that it was taken back; of one that is held, that the agent has it.
    Approved,
    /// A person says that it will not be; of one that is held, that the agent does not have it.
    Declined,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Late, repeated, or not for this standing: operations can count it.
    Ignore,
    /// Ask the provider to take it back.
    Reverse,
    /// Its points come back.
    Return,
    /// What is lacking becomes a debt, and administration hears of it.
    Owe,
    /// Tell administration that a person has to look whether it was taken back.
    Park,
    /// Tell administration that a person has to look whether the agent has it.
    Doubt,
    /// Its points come back, and administration hears of it.
    Free,
    /// It stands: look whether it has to be taken back.
    Keep,
    /// It stands, and administration hears of it.
    Restore,
    /// It is the agent's again: its points are taken once more, and administration hears of it.
    Retake,
    /// Its tier waits no longer: look whether it is reached.
    Reopen,
}

impl IssuedStatus {
    /// Whether limits count it: what was taken back was not had.
    #[must_use]
    pub const fn counts(self) -> bool {
        match self {
            Self::Issued | Self::Reversing | Self::Review | Self::Debt | Self::Held { .. } => true,
            Self::Reversed | Self::Cancelled { .. } => false,
        }
    }

    /// Whether its points may still come back by what is asked or said already.
    #[must_use]
    pub const fn is_coming(self) -> bool {
        match self {
            Self::Reversing | Self::Review | Self::Held { .. } => true,
            Self::Issued | Self::Reversed | Self::Debt | Self::Cancelled { .. } => false,
        }
    }

    /// Since when its tier waits.
    #[must_use]
    pub const fn waits(self) -> Option<Workday> {
        match self {
            Self::Cancelled { waits, .. } => waits,
            Self::Issued
            | Self::Reversing
            | Self::Review
            | Self::Reversed
            | Self::Debt
            | Self::Held { .. } => None,
        }
    }

    /// What it is if the agent has it: one whose reversal was refused is not asked back again.
    const fn kept(owed: bool) -> Self {
        if owed { Self::Debt } else { Self::Issued }
    }

    const fn cancelled(owed: bool, today: Workday) -> Self {
        Self::Cancelled {
            owed,
            waits: Some(today),
        }
    }

    /// The standing after `input` on workday `today`, and what is to be done.
    #[must_use]
    pub const fn after(self, input: Input, today: Workday) -> (Self, Step) {
        match (self, input) {
            (Self::Issued, Input::Short) => (Self::Reversing, Step::Reverse),
            // No reversal was asked for.
            (
                Self::Issued,
                Input::TakenBack { frees: true } | Input::Undelivered { frees: true },
            ) => (Self::cancelled(false, today), Step::Free),
            (
                Self::Issued,
                Input::TakenBack { frees: false } | Input::Undelivered { frees: false },
            ) => (Self::Held { owed: false }, Step::Doubt),
            (
                Self::Issued,
                Input::Refused | Input::Unclear | Input::Issued | Input::Approved | Input::Declined,
            ) => (Self::Issued, Step::Ignore),

            (Self::Reversing, Input::TakenBack { .. }) => (Self::Reversed, Step::Return),
            (Self::Reversing, Input::Refused) => (Self::Debt, Step::Owe),
            (Self::Reversing, Input::Unclear) => (Self::Review, Step::Park),
            // While the provider is being asked, only the answer counts.
            (
                Self::Reversing,
                Input::Short
                | Input::Undelivered { .. }
                | Input::Issued
                | Input::Approved
                | Input::Declined,
            ) => (Self::Reversing, Step::Ignore),

            (Self::Review, Input::TakenBack { .. } | Input::Approved) => {
                (Self::Reversed, Step::Return)
            }
            (Self::Review, Input::Refused | Input::Declined) => (Self::Debt, Step::Owe),
            (
                Self::Review,
                Input::Short | Input::Unclear | Input::Undelivered { .. } | Input::Issued,
            ) => (Self::Review, Step::Ignore),

            // Refused first, and done all the same: the points come back and pay the debt.
            (Self::Debt, Input::TakenBack { .. }) => (Self::Reversed, Step::Return),
            (Self::Debt, Input::Undelivered { frees: true }) => {
                (Self::cancelled(true, today), Step::Free)
            }
            (Self::Debt, Input::Undelivered { frees: false }) => {
                (Self::Held { owed: true }, Step::Doubt)
            }
            (
                Self::Debt,
                Input::Short
                | Input::Refused
                | Input::Unclear
                | Input::Issued
                | Input::Approved
                | Input::Declined,
            ) => (Self::Debt, Step::Ignore),

            (
                Self::Reversed,
                Input::Short
                | Input::TakenBack { .. }
                | Input::Refused
                | Input::Unclear
                | Input::Undelivered { .. }
                | Input::Issued
                | Input::Approved
                | Input::Declined,
            ) => (Self::Reversed, Step::Ignore),

            // It had been asked back, so this is the answer, after all.
            (Self::Held { owed: true }, Input::TakenBack { .. }) => (Self::Reversed, Step::Return),
            (
                Self::Held { owed },
                Input::TakenBack { frees: true } | Input::Undelivered { frees: true },
            ) => (Self::cancelled(owed, today), Step::Free),
            (Self::Held { owed }, Input::Issued) => (Self::kept(owed), Step::Restore),
            (Self::Held { owed }, Input::Approved) => (Self::kept(owed), Step::Keep),
            (Self::Held { owed }, Input::Declined) => (Self::cancelled(owed, today), Step::Return),
            (
                held @ Self::Held { .. },
                Input::Short
                | Input::TakenBack { frees: false }
                | Input::Undelivered { frees: false }
                | Input::Refused
                | Input::Unclear,
            ) => (held, Step::Ignore),

            (Self::Cancelled { owed, .. }, Input::Issued) => (Self::kept(owed), Step::Retake),
            (
                Self::Cancelled {
                    owed,
                    waits: Some(_),
                },
                Input::Approved,
            ) => (Self::Cancelled { owed, waits: None }, Step::Reopen),
            (
                cancelled @ Self::Cancelled { .. },
                Input::Short
                | Input::TakenBack { .. }
                | Input::Refused
                | Input::Unclear
                | Input::Undelivered { .. }
                | Input::Approved
                | Input::Declined,
            ) => (cancelled, Step::Ignore),
        }
    }
}
