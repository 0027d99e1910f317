//! What comes in shapes that are not ours, turned into events of the contract.
//!
//! Nothing here touches the log or a clock: bytes go in, events and findings come out, so a command, an HTTP endpoint
//! and a watched folder can share it. `cli::import` is the command; `envelope` checks the events that are made.

pub mod wfm;
