//! A courier as the driver of its destination sees it.

use async_trait::async_trait;
use serde_json::Value;

use super::Courier;
use crate::{
    deliver::{
        answer::{Attempt, Fault},
        carry::{Carry, Start},
        parcel::Parcel,
        policy::Policy,
    },
    log::Lane,
};

#[async_trait]
impl Carry for Courier {
    fn name(&self) -> &str {
        &self.destination.name
    }

    fn policy(&self) -> &Policy {
        &self.destination.policy
    }

    fn start(&self) -> Start {
        self.destination.start
    }

    fn lanes(&self) -> Vec<Lane> {
        self.destination.selector.kinds().map(Lane::Out).collect()
    }

    fn selects(&self, parcel: &Parcel) -> bool {
        self.destination.selector.selects(parcel)
    }

    fn thread(&self, parcel: &Parcel) -> Result<Option<String>, Fault> {
        Courier::thread(self, parcel)
    }

    async fn attempt(&self, parcel: &Parcel, handle: Option<&Value>, number: u32) -> Attempt {
        Courier::attempt(self, parcel, handle, number).await
    }
}
