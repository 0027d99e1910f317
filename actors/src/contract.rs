//! The public contract: what comes in, what goes out, and the checked values that both consist of.
//!
//! - [`event`]: one type an event
//! - [`output`]: one type an output
//! - [`value`]: texts and numbers that are in range once they are read
//! - [`identifier`]: what names a customer: ids, phone numbers, mail addresses
//! - [`key`]: the actor that an event is for, and its partition
//! - [`time`]: log time and event time, apart by type
//! - [`plausible`]: times and numbers whose type is right and whose value cannot be
//! - [`object`]: JSON objects that are read from objects only

pub mod event;
pub mod identifier;
pub mod key;
pub mod object;
pub mod output;
pub mod plausible;
pub mod time;
pub mod value;
