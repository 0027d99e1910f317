//! aftercall: events in, alerts, rewards and profile updates out, each committed exactly once.

pub mod app;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod desk;
pub mod envelope;
pub mod ingest;
pub mod ledger;
pub mod log;
pub mod planted;
pub mod sandbox;
pub mod schema;
pub mod shard;
pub mod sinks;
pub mod supervise;
pub mod telemetry;
pub mod traffic;
