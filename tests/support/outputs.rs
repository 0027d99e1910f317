//! Outputs in a log's stream, as a shard's relay puts them there.

#![allow(dead_code, reason = "each test uses its part of this")]

use aftercall::{
    envelope::{Origin, output_attributes},
    log::{EventLog, Lane, LaneFences, NewOutput, PartitionId},
};
use aftercall_actors::contract::{key::Side, output::Kind};
use serde_json::Value;

/// The partition that all of them come from.
pub const PARTITION: PartitionId = PartitionId {
    side: Side::Agent,
    index: 0,
};

/// Writes outputs of one kind.
pub struct Outputs {
    kind: Kind,
    event_type: &'static str,
    fences: LaneFences,
    commit: u64,
}

impl Outputs {
    /// A writer that begins with an empty lane.
    pub fn new(kind: Kind, event_type: &'static str) -> Self {
        Self {
            kind,
            event_type,
            fences: LaneFences::default(),
            commit: 0,
        }
    }

    /// Stores outputs, each with its id and data.
    pub async fn store(&mut self, log: &dyn EventLog, outputs: &[(String, Value)]) {
        let outputs: Vec<NewOutput> = outputs
            .iter()
            .map(|(id, data)| {
                self.commit += 1;
                let origin = Origin {
                    partition: PARTITION,
                    subject: "agent/7",
                    time: log.now(),
                    cause: "test 1",
                    rules_version: "1",
                    commit: self.commit,
                };
                NewOutput {
                    lane: Lane::Out(self.kind),
                    commit: self.commit,
                    ordinal: 0,
                    attributes: output_attributes(self.event_type, id, &origin),
                    payload: data.to_string().into(),
                }
            })
            .collect();
        let mut stored = 0;
        while stored < outputs.len() {
            let rest = &outputs[stored..];
            stored += log
                .outputs_append(PARTITION, &mut self.fences, rest)
                .await
                .expect("a log without faults takes outputs");
        }
    }
}
