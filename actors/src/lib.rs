//! The pure core of aftercall: every decision, as values.
//!
//! Nothing here reads a clock, draws a random number, does I/O, awaits, or iterates in hash order. `now` and
//! the rules arrive with the event; so the state at any log position is a function of the log, and replay,
//! simulation and exact recovery follow (DESIGN, ideas 1 and 2). The host in `src/shard` drives it.

pub mod actor;
pub mod agent;
pub mod alert;
pub mod breaker;
pub mod changes;
pub mod customer;
pub mod decided;
pub mod dedupe;
pub mod effect;
pub mod enps;
pub mod enrichment;
pub mod event;
pub mod history;
pub mod identifier;
pub mod identity;
pub mod imports;
pub mod key;
pub mod object;
pub mod output;
pub mod plausible;
pub mod points;
pub mod profile;
pub mod programs;
pub mod redemption;
pub mod responses;
pub mod rules;
pub mod segments;
pub mod state;
pub mod statement;
pub mod storms;
pub mod surveys;
pub mod time;
pub mod tokens;
pub mod tracking;
pub mod value;
mod wire;
