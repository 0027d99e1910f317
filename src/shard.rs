//! The host of actors: reads the log, applies events, commits what they caused, snapshots what stays quiet.

use std::sync::Arc;

use aftercall_actors::rules::RuleSet;

use crate::log::{AppendError, Log, LogError, Position};

pub mod board;

use board::Board;

/// What an operator may turn.
#[derive(Clone, Debug)]
pub struct HostSettings {
    /// Bound on the memory of resident actors, in bytes; reached, the reader waits and says so.
    pub actor_bytes_max: u64,
}

/// All partitions of this process, running.
pub struct Hosts {
    board: Arc<Board>,
}

impl Hosts {
    /// Takes over every partition and starts them; returns once each has been acquired or stopped.
    ///
    /// # Errors
    /// If the log cannot be read at all. A fault of one partition stops that one and shows on the board.
    pub async fn start(
        _log: Log,
        _settings: HostSettings,
        _rules: RuleSet,
    ) -> Result<Self, LogError> {
        Err(LogError::Settings("skeleton".into()))
    }

    /// How the partitions are.
    #[must_use]
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Makes `rules` active at a position of the log, unless they already are.
    ///
    /// # Errors
    /// If the log did not take the event.
    pub async fn activate(&self, _rules: &RuleSet) -> Result<Option<Position>, AppendError> {
        Ok(None)
    }

    /// Finishes what is in hand, snapshots, releases.
    pub async fn stop(self) {}
}
