//! Delivery: takes outputs from the log to the world outside, each at least once under an identity, each with exactly
//! one verdict, and none held up by another's destination.
//!
//! | file | idea |
//! |---|---|
//! | `parcel` | an output as a destination sees it |
//! | `answer` | what came back of one attempt, and what that means |
//! | `letter` | outputs given up, and what operators decide about them |
//! | `policy` | how a destination is driven: limits, retries, breaker, merging, outcomes |
//! | `state` | what is known of a destination's deliveries, and what comes next: decides, purely |
//! | `record` | the same as it stands in the log |

pub mod account;
pub mod answer;
pub mod board;
pub mod carry;
pub mod driver;
pub mod host;
pub mod letter;
pub mod line;
pub mod parcel;
pub mod policy;
pub mod pull;
pub mod record;
pub mod state;
pub mod tell;
