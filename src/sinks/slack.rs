//! Slack: which call to make, and the form of its message.

pub mod call;
pub mod message;
