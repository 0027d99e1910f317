//! Points of an agent, and what they are redeemed for. Money rests on it.
//!
//! - [`points`]: the rolling window of workdays, by source
//! - [`programs`]: what points can be redeemed for, as the rule file says it
//! - [`redemption`]: claims, requests to the provider, issued rewards, reversals and debt
//! - [`statement`]: an agent's points and rewards for people to read

pub mod points;
pub mod programs;
pub mod redemption;
pub mod statement;
