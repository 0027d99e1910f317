//! Mail over SMTP: the form of a letter, its addresses, and the server that takes it.

pub mod address;
pub mod message;
pub mod smtp;
