//! What can go wrong at the port, told apart by what the caller may do next.

use super::Position;

/// A fault of the log other than a refused commit.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogError {
    /// The log cannot be reached or did not answer; the same call can succeed later.
    #[error("log unreachable: {0}")]
    Unreachable(String),
    /// Events are missing in the middle: something was lost.
    #[error("log lost events: expected position {expected}, found {found}")]
    Gap {
        /// Next position that should have come.
        expected: Position,
        /// Position that came.
        found: Position,
    },
    /// The log's end was lost: where an event had been read, or a record written, there is none any more, or another one.
    #[error("log lost its end: {0}")]
    RolledBack(String),
    /// The events wanted were already removed by retention.
    #[error(
        "position {wanted} is gone: retention has trimmed the log up to {first}; raise the retention above the longest lag"
    )]
    Trimmed {
        /// Position asked for.
        wanted: Position,
        /// First one still held.
        first: Position,
    },
    /// What was read is not what was written.
    #[error("log is damaged: {0}")]
    Corrupt(String),
    /// The log's settings or version do not allow the guarantees.
    #[error("log cannot be used: {0}")]
    Settings(String),
}

impl LogError {
    /// Whether the same call can succeed later, so that waiting and trying again makes sense.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Gap { .. }
            | Self::RolledBack(_)
            | Self::Trimmed { .. }
            | Self::Corrupt(_)
            | Self::Settings(_) => false,
        }
    }
}

/// Why an event was not stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// It may or may not have been stored: append again with the same message id.
    #[error("no answer from the log: {0}")]
    Unknown(String),
    /// Certainly not stored, and trying again as it is will not help (too large, for example).
    #[error("refused by the log: {0}")]
    Refused(String),
}

/// Why a fenced write was not confirmed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// Another write stands where this one expected none. Read the head and compare before anything else: it may
    /// be our own, whose answer was lost.
    #[error("fenced: another write came first")]
    Fenced,
    /// It may or may not have been stored: read the head.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// Certainly not stored, and trying again as it is will not help (too large, for example).
    #[error("refused by the log: {0}")]
    Refused(String),
}
