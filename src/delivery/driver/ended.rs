//! How a driver can end.

use tokio::time::Instant;

use crate::{
    delivery::{
        journal::JournalError,
        metrics::show_state,
        status::{DestinationBoard, DriverState},
    },
    log::LogError,
};

/// Why a destination is no longer driven.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// It was told to stop.
    #[error("stopped as asked")]
    AsAsked,
    /// Its journal cannot be written on, or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Ended {
    /// Whether another process delivers.
    #[must_use]
    pub const fn is_fenced(&self) -> bool {
        matches!(self, Self::Journal(JournalError::Fenced(_)))
    }

    /// Says on the board, and in the program's log, how it ended.
    pub fn show(&self, board: &DestinationBoard, destination: &str) {
        let state = match self {
            Self::AsAsked => {
                show_state(destination, None);
                return tracing::debug!(destination, "deliveries released");
            }
            Self::Journal(JournalError::Fenced(_)) => DriverState::Fenced,
            Self::Journal(
                JournalError::Log(_)
                | JournalError::Record { .. }
                | JournalError::Broken { .. }
                | JournalError::Lost { .. }
                | JournalError::Refused(_),
            )
            | Self::Log(_) => DriverState::Stopped,
        };
        tracing::error!(destination, reason = %self, "deliveries ended");
        show_state(destination, Some(state));
        board.end(destination, state, self);
    }
}

/// Where a driver stands in stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Running,
    /// Nothing begins any more; what is out is waited for.
    Stopping {
        since: Instant,
    },
    /// The last checkpoint is on its way.
    Closing,
}
