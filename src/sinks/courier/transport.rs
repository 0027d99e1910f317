//! How a destination's durable queue drives its courier.

use std::collections::BTreeSet;

use aftercall_actors::contract::output::{Kind, Severity};
use async_trait::async_trait;
use serde_json::Value;

use super::Courier;
use crate::{
    delivery::{
        attempt::{Attempt, Fault},
        parcel::Parcel,
        policy::{Policy, Start},
        transport::{Transport, Turn},
    },
    log::Lane,
};

#[async_trait]
impl Transport for Courier {
    fn name(&self) -> &str {
        &self.destination().name
    }

    fn policy(&self) -> &Policy {
        &self.destination().policy
    }

    fn alarm(&self) -> Option<Severity> {
        self.destination().alarm
    }

    fn start(&self) -> Start {
        self.destination().start
    }

    fn credentials(&self) -> u64 {
        Self::fingerprint(self)
    }

    fn lanes(&self) -> Vec<Lane> {
        let types = self.destination().selector.types();
        let kinds: BTreeSet<Kind> = types.filter_map(Kind::of).collect();
        kinds.into_iter().map(Lane::Out).collect()
    }

    fn selects(&self, parcel: &Parcel) -> bool {
        self.destination().selector.selects(parcel)
    }

    fn thread(&self, parcel: &Parcel) -> Result<Option<String>, Fault> {
        Self::thread(self, parcel)
    }

    async fn lanes_of(&self, parcel: &Parcel, handle: Option<&Value>, turn: &Turn) -> Vec<String> {
        Self::lanes_of(self, parcel, handle, turn).await
    }

    async fn attempt(&self, parcel: &Parcel, handle: Option<&Value>, turn: Turn) -> Attempt {
        Self::take_turn(self, parcel, handle, turn).await
    }
}
