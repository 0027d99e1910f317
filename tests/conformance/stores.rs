//! The stores under test.

use std::sync::Arc;

use aftercall::log::{
    Log, Position,
    memory::{Faults, World},
};
use async_trait::async_trait;

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
