//! The stored form of an actor: the format that journals and snapshots hold.
//!
//! - [`state`]: the messages of the format, and reading them
//! - `wire`: writing the same bytes straight from an actor's parts
//! - [`changes`]: an actor by what has changed since it was last stored

pub mod changes;
pub mod state;
pub(crate) mod wire;
