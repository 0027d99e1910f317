//! What an actor asks the world to do: plain data, compared in tests, performed by the host.

use crate::contract::output::Output;

/// One thing an actor wants done or counted.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "most effects are outputs, pushed once and read in place"
)]
pub enum Effect {
    /// Commits and publishes this output under this id. The id is derived from what the output means, never
    /// from an attempt.
    Emit {
        /// CloudEvents `id`.
        id: String,
        /// The data.
        output: Output,
    },
    /// Counts an event, or a part of one, that changed nothing.
    Ignore(Ignored),
    /// Counts a condition that could not be evaluated; the rule did not fire.
    RuleFailed {
        /// Name of the rule.
        rule: Box<str>,
        /// What went wrong.
        why: Box<str>,
    },
}

/// Why an event changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ignored {
    /// Its business key was seen within the dedupe time.
    Duplicate,
    /// A newer revision was already applied.
    Superseded,
    /// The same response has alerted before (S2.05).
    AlreadyAlerted,
    /// Its workday or time lies before the window.
    TooOld,
    /// Its queue or skills are not listed (S4.01).
    NotListed,
    /// No rule or window knows this metric.
    UnknownMetric,
    /// This actor has nothing to do with this type.
    NoPart,
    /// The dedupe memory was full and forgot its oldest entry early.
    DedupeOverflow,
    /// It names no customer, so there is no profile to update (S4.01).
    NoCustomer,
    /// An outcome or a decision that a reward is past, or not come to yet.
    LateOutcome,
    /// A decision on a reward whose program's kill switch is off, or that is gone from the rules.
    ProgramStopped,
    /// The customer has no resolved user id, so no outcome can be tracked (S5.06).
    NoUser,
    /// An outcome, or a decision, of no request that is open here: late, repeated or another's.
    UnknownRequest,
    /// A lookup came to nothing; what asked for it goes on without (S1.03, S2.12, S5.03).
    LookupFailed,
    /// More waited than is held, and the oldest went out early.
    WaitOverflow,
    /// Something that came with it was larger than is kept, and was left out.
    TooLarge,
    /// Segments were not decided again: other rules hold now, which read more of the completion than was kept.
    RulesChanged,
    /// It names the customer by nothing that the rules let ask by (S5.11).
    NoIdentifier,
}

impl Ignored {
    /// Every reason.
    pub const ALL: [Self; 18] = [
        Self::Duplicate,
        Self::Superseded,
        Self::AlreadyAlerted,
        Self::TooOld,
        Self::NotListed,
        Self::UnknownMetric,
        Self::NoPart,
        Self::DedupeOverflow,
        Self::NoCustomer,
        Self::LateOutcome,
        Self::ProgramStopped,
        Self::NoUser,
        Self::UnknownRequest,
        Self::LookupFailed,
        Self::WaitOverflow,
        Self::TooLarge,
        Self::RulesChanged,
        Self::NoIdentifier,
    ];

    /// The label in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Superseded => "superseded",
            Self::AlreadyAlerted => "already_alerted",
            Self::TooOld => "too_old",
            Self::NotListed => "not_listed",
            Self::UnknownMetric => "unknown_metric",
            Self::NoPart => "no_part",
            Self::DedupeOverflow => "dedupe_overflow",
            Self::NoCustomer => "no_customer",
            Self::LateOutcome => "late_outcome",
            Self::ProgramStopped => "program_stopped",
            Self::NoUser => "no_user",
            Self::UnknownRequest => "unknown_request",
            Self::LookupFailed => "lookup_failed",
            Self::WaitOverflow => "wait_overflow",
            Self::TooLarge => "too_large",
            Self::RulesChanged => "rules_changed",
            Self::NoIdentifier => "no_identifier",
        }
    }
}

/// Effects in the order they were asked for.
pub type Effects = Vec<Effect>;
