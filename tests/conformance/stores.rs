//! The stores under test.

use std::{num::NonZeroU16, path::PathBuf, sync::Arc};

use aftercall::log::{
    Log, Position,
    memory::{Faults, World},
    sqlite::{FILE, SqliteLog, SqliteSettings},
};
use async_trait::async_trait;
use tempfile::TempDir;

use crate::{Factory, PARTITION_COUNT};

pub async fn memory() -> World {
    World::new(PARTITION_COUNT, Faults::default())
}

#[async_trait]
impl Factory for World {
    async fn open(&self) -> Log {
        Arc::new(self.client())
    }

    /// A world outlives its clients as it is.
    async fn restart(&self) {}

    async fn trim_events(&self, before: Position) {
        World::trim_events(self, before);
    }
}

/// A folder of its own, gone with the test.
pub struct SqliteStore {
    folder: TempDir,
}

pub async fn sqlite() -> SqliteStore {
    SqliteStore {
        folder: tempfile::tempdir().expect("a folder"),
    }
}

#[async_trait]
impl Factory for SqliteStore {
    async fn open(&self) -> Log {
        let settings = SqliteSettings {
            partition_count: NonZeroU16::new(PARTITION_COUNT),
        };
        Arc::new(SqliteLog::open(self.folder.path(), settings).expect("opens"))
    }

    /// Nothing serves a file; opening it again is all there is.
    async fn restart(&self) {}

    /// As an operator with an SQL tool would.
    async fn trim_events(&self, before: Position) {
        let path: PathBuf = self.folder.path().join(FILE);
        let file = rusqlite::Connection::open(path).expect("opens");
        file.busy_timeout(std::time::Duration::from_secs(10))
            .expect("waits");
        file.execute(
            "DELETE FROM event WHERE position < ?1",
            [before.cast_signed()],
        )
        .expect("removes");
    }
}
