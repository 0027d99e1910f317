//! Input in shapes other than CloudEvents, turned into events of the contract and carried into the log.
//!
//! Reading is apart from carrying: bytes become events and findings without a log or a clock, and what stores them is
//! told both. So a command (`cli::import`), an HTTP endpoint and a watched directory share all of it. `envelope` checks
//! the events that are made.

pub mod wfm;
