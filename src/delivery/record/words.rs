//! The words of a delivery record: what came of an attempt, how an item ended, and why. Numbers in the log, labels in
//! metrics and dead letters; a number is never given another meaning.

use prost::Enumeration;

/// What an attempt says about the destination as a whole: an input to its breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum BreakerSignal {
    /// Nothing.
    Withdrawn = 0,
    /// It is there, and up to it.
    Up = 1,
    /// It is not.
    Down = 2,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum Seen {
    /// Nobody knows: no answer in time, a connection lost, a process that ended.
    Unknown = 0,
    /// Success.
    Delivered = 1,
    /// A no that stays a no.
    Rejected = 2,
    /// An answer that makes another attempt worth while.
    Failed = 3,
    /// 429.
    Throttled = 4,
    /// No connection.
    Unreached = 5,
    /// Not sent, for want of something that may come back.
    NotReady = 6,
    /// Not sent, and never will be.
    Unsendable = 7,
    /// Our credentials are missing or not accepted.
    Misconfigured = 8,
}

impl Seen {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::Unknown,
        Self::Delivered,
        Self::Rejected,
        Self::Failed,
        Self::Throttled,
        Self::Unreached,
        Self::NotReady,
        Self::Unsendable,
        Self::Misconfigured,
    ];

    /// The label in metrics and dead letters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Throttled => "throttled",
            Self::Unreached => "unreached",
            Self::NotReady => "not_ready",
            Self::Unsendable => "unsendable",
            Self::Misconfigured => "misconfigured",
        }
    }

    /// Whether the destination was asked to act, for all that is known: what was not sent, did not arrive, or was
    /// turned away at the door has certainly not been done.
    #[must_use]
    pub const fn is_asked(self) -> bool {
        match self {
            Self::Unknown | Self::Delivered | Self::Rejected | Self::Failed => true,
            Self::Throttled
            | Self::Unreached
            | Self::NotReady
            | Self::Unsendable
            | Self::Misconfigured => false,
        }
    }
}

/// How an item ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum FinalStatus {
    /// Given up.
    Failed = 0,
    /// Refused for good.
    Rejected = 1,
    /// Done.
    Delivered = 2,
}

impl FinalStatus {
    /// The label in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Delivered => "delivered",
        }
    }
}

/// Why an item was not delivered: the words of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum Reason {
    /// It was.
    None = 0,
    /// The destination refused it.
    Rejected = 1,
    /// Its attempts or its time ran out, and none of them did anything.
    Failed = 2,
    /// The same, and of at least one attempt nobody knows what it did (S3.09).
    Unknown = 3,
    /// It cannot be sent: a template, a field policy or a size forbids it, or retention has removed it.
    Unsendable = 4,
    /// Of an alarm only: nothing was given up, our credentials are missing or not accepted.
    Misconfigured = 5,
}

impl Reason {
    /// Of an item whose attempts or time ran out.
    #[must_use]
    pub const fn given_up(unknown: bool) -> Self {
        if unknown { Self::Unknown } else { Self::Failed }
    }

    /// The label in metrics and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Unsendable => "unsendable",
            Self::Misconfigured => "misconfigured",
        }
    }
}
