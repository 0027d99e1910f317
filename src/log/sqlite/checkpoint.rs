//! Moves what is committed from the write-ahead log into the file, beside the writer and not in its way.
//!
//! SQLite lets the writer do this at a commit, which then waits for all of it: a tail latency of tens of
//! milliseconds under load. Here a thread of its own goes over it every few megabytes. It can never quite catch up
//! with a writer that does not pause, so once the log is long the writer still does the little that is left, and
//! starts the log over.

use std::{sync::mpsc, thread};

use rusqlite::Connection;

use crate::log::LogError;

/// Bytes written between two rounds.
const ROUND_BYTES: usize = 4 << 20;

/// Counts what is written and wakes the thread.
#[derive(Debug)]
pub(super) struct Checkpoints {
    written_bytes: usize,
    due: mpsc::SyncSender<()>,
}

impl Checkpoints {
    /// Starts the thread. It ends when this is dropped.
    ///
    /// # Errors
    /// [`LogError::Unreachable`] if the system gives no thread.
    pub(super) fn start(connection: Connection) -> Result<Self, LogError> {
        let (due, rounds) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("log-checkpoint".into())
            .spawn(move || {
                for () in rounds {
                    // Passive: it waits for nobody, and nobody for it. What it leaves, the next round does.
                    let done =
                        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                    if let Err(error) = done {
                        tracing::warn!(%error, "checkpoint of the embedded log failed");
                    }
                }
            })
            .map_err(|error| LogError::Unreachable(error.to_string()))?;
        Ok(Self {
            written_bytes: 0,
            due,
        })
    }

    /// Notes that this much was committed.
    pub(super) fn written(&mut self, bytes: usize) {
        self.written_bytes += bytes;
        if self.written_bytes >= ROUND_BYTES {
            self.written_bytes = 0;
            // If a round is due already, it will see this too.
            let _already_due = self.due.try_send(());
        }
    }
}
