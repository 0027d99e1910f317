//! How a driver can end.

use tokio::time::Instant;

use crate::{
    delivery::{
        journal::LineError,
        metrics::show_state,
        status::{Board, DriverState},
    },
    log::LogError,
};

/// Why a destination is no longer driven.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// It was told to stop.
    #[error("stopped as asked")]
    AsAsked,
    /// Its line cannot be written on, or read.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Ended {
    /// Whether another process delivers.
    #[must_use]
    pub const fn is_fenced(&self) -> bool {
        matches!(self, Self::Line(LineError::Fenced(_)))
    }

    /// Says on the board, and in the program's log, how it ended.
    pub fn show(&self, board: &Board, destination: &str) {
        let state = match self {
            Self::AsAsked => {
                show_state(destination, None);
                return tracing::debug!(destination, "deliveries released");
            }
            Self::Line(LineError::Fenced(_)) => DriverState::Fenced,
            Self::Line(
                LineError::Log(_)
                | LineError::Record { .. }
                | LineError::Broken { .. }
                | LineError::Lost { .. }
                | LineError::Refused(_),
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
