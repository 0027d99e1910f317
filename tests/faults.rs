//! Faults of a log, one by one: the partitions concerned stop within a second and say which fault it is, the others
//! go on, and nothing is said twice or wrongly. DESIGN, "What may fail, and what then".
//!
//! On the log in memory with virtual time, where a fault can be placed to the byte; two of them once more with the
//! built program, on SQLite and on NATS. The simulation does not cover these: it plays troubles that the system
//! must survive, these are the ones it must not pass over.

#[path = "faults/damage.rs"]
mod damage;
#[path = "faults/events.rs"]
mod events;
#[path = "faults/fixtures.rs"]
mod fixtures;
#[path = "support/nats.rs"]
mod nats;
#[path = "faults/oversized.rs"]
mod oversized;
#[path = "faults/owners.rs"]
mod owners;
#[path = "support/process.rs"]
mod process;
#[path = "faults/program.rs"]
mod program;
#[path = "faults/ready.rs"]
mod ready;
#[path = "support/reference.rs"]
mod reference;
#[path = "faults/relay.rs"]
mod relay;
#[path = "support/service.rs"]
mod service;
#[path = "support/states.rs"]
mod states;
#[path = "support/unhappy.rs"]
mod unhappy;
