//! The pure core of aftercall: every decision, as values.
//!
//! Nothing here reads a clock, draws a random number, does I/O, awaits, or iterates in hash order. `now` and
//! the rules arrive with the event; so the state at any log position is a function of the log, and replay,
//! simulation and exact recovery follow (`docs/ARCHITECTURE.md`, ideas 1 and 2). The host in `src/shard` drives it.
//!
//! - [`contract`]: events in, outputs out, and the checked values they consist of
//! - [`actor`]: an agent or a customer, as the host sees it
//! - [`turn`]: what an actor is given besides the event, and where it puts its effects
//! - [`effect`]: what an actor asks of its host
//! - [`agent`]: survey responses, eNPS and survey requests of one agent, bot or queue
//! - [`customer`]: history, segments, profile and identity of one customer
//! - [`responses`]: which owner a survey response belongs to, and which of its versions are new
//! - [`alerts`]: alerts to supervisors, administrators and operators, and the lookups that complete them
//! - [`rewards`]: points, the rewards they are redeemed for, and an agent's statement of both
//! - [`rules`]: the rule file: its conditions and settings, compiled
//! - [`dedupe`]: business keys an actor has seen, so that the same thing counts once
//! - [`stored`]: the stored form of an actor, whole or by what has changed
//! - [`breaker`]: the circuit breaker of a destination

pub mod actor;
pub mod agent;
pub mod alerts;
pub mod breaker;
pub mod contract;
pub mod customer;
pub mod dedupe;
pub mod effect;
pub mod responses;
pub mod rewards;
pub mod rules;
pub mod stored;
pub mod turn;
