//! What becomes of a reward after it was issued: every standing and every input, pair by pair (S3.12).
//!
//! ```text
//! Issued ──short──► Reversing ──reversed──► Reversed ◄─┐
//!                     │    │ unclear                   │ reversed after all
//!                     │    ▼                           │
//!                     │  Review ──refused, declined──► Debt
//!                     └────────refused─────────────────►┘
//! ```

use super::stage::Claim;
use crate::time::LogTime;

/// A reward that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Place of its tier in the agent's list.
    pub tier: usize,
    /// What it cost, and where these points came from.
    pub claim: Claim,
    /// Log time of the outcome that said so.
    pub at: LogTime,
    /// How it stands.
    pub standing: Standing,
}

/// How an issued reward stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
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
}

/// What can happen to an issued reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The balance is below zero, and this is the latest reward that can be taken back.
    Short,
    /// The provider took it back.
    Reversed,
    /// The provider would not.
    Refused,
    /// Delivery gave up without knowing, or said a word nobody knows.
    Unclear,
    /// A person says that it was taken back.
    Approved,
    /// A person says that it will not be.
    Declined,
    /// The outcome of the request, once more.
    Repeated,
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
    /// Tell administration that somebody has to look.
    Park,
}

impl Standing {
    /// Whether limits count it: what was taken back was not had.
    #[must_use]
    pub const fn counts(self) -> bool {
        match self {
            Self::Issued | Self::Reversing | Self::Review | Self::Debt => true,
            Self::Reversed => false,
        }
    }

    /// Whether its points may still come back by what was asked already.
    #[must_use]
    pub const fn is_coming(self) -> bool {
        match self {
            Self::Reversing | Self::Review => true,
            Self::Issued | Self::Reversed | Self::Debt => false,
        }
    }

    /// The standing after `input`, and what is to be done.
    #[must_use]
    pub const fn after(self, input: Input) -> (Self, Step) {
        match (self, input) {
            (Self::Issued, Input::Short) => (Self::Reversing, Step::Reverse),
            // Nobody asked to take it back.
            (
                Self::Issued,
                Input::Reversed
                | Input::Refused
                | Input::Unclear
                | Input::Approved
                | Input::Declined
                | Input::Repeated,
            ) => (Self::Issued, Step::Ignore),

            (Self::Reversing, Input::Reversed) => (Self::Reversed, Step::Return),
            (Self::Reversing, Input::Refused) => (Self::Debt, Step::Owe),
            (Self::Reversing, Input::Unclear) => (Self::Review, Step::Park),
            // While the provider is being asked, nobody can know better.
            (
                Self::Reversing,
                Input::Short | Input::Approved | Input::Declined | Input::Repeated,
            ) => (Self::Reversing, Step::Ignore),

            (Self::Review, Input::Reversed | Input::Approved) => (Self::Reversed, Step::Return),
            (Self::Review, Input::Refused | Input::Declined) => (Self::Debt, Step::Owe),
            (Self::Review, Input::Short | Input::Unclear | Input::Repeated) => {
                (Self::Review, Step::Ignore)
            }

            // Refused first, and done all the same: the points come back and pay the debt.
            (Self::Debt, Input::Reversed) => (Self::Reversed, Step::Return),
            (
                Self::Debt,
                Input::Short
                | Input::Refused
                | Input::Unclear
                | Input::Approved
                | Input::Declined
                | Input::Repeated,
            ) => (Self::Debt, Step::Ignore),

            (
                Self::Reversed,
                Input::Short
                | Input::Reversed
                | Input::Refused
                | Input::Unclear
                | Input::Approved
                | Input::Declined
                | Input::Repeated,
            ) => (Self::Reversed, Step::Ignore),
        }
    }
}
