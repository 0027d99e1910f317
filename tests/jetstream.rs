//! What only a real JetStream server can show: its partition function, its batches, and what is left of a write when
//! the server dies, keeps its answer, or was set up by someone else.

#[path = "jetstream/cluster.rs"]
mod cluster;
#[path = "jetstream/delivery.rs"]
mod delivery;
#[path = "jetstream/faults.rs"]
mod faults;
#[path = "jetstream/fixtures.rs"]
mod fixtures;
#[path = "support/nats.rs"]
mod nats;
#[path = "jetstream/outputs.rs"]
mod outputs;
#[path = "jetstream/reading.rs"]
mod reading;
#[path = "jetstream/settings.rs"]
mod settings;
#[path = "jetstream/speakers.rs"]
mod speakers;
