//! Alerts to those who operate the system: one for each incident, not one for each thing that failed in it.
//!
//! - [`dead_letters`]: a destination that gives up on outputs
//! - [`imports`]: an import of which rows were left out

pub mod dead_letters;
pub mod imports;
