//! Any HTTP system, and what it can be asked about the outputs it was sent.

pub mod listing;
