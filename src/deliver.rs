//! Delivery: takes outputs from the log to the world outside, each at least once under an identity, each with exactly
//! one verdict, and none held up by another's destination.
//!
//! | file | idea |
//! |---|---|
//! | `parcel` | an output as a destination sees it |
//! | `answer` | what came back of one attempt, and what that means |
//! | `policy` | how a destination is driven: limits, retries, breaker, merging, outcomes |
//! | `fields` | what of an output may leave, and in what form; what is struck from answers and logs |
//! | `secret_ref`, `secret` | where a secret is kept, and reading it as it is now |
//! | `mac` | signatures and keyed hashes |

pub mod answer;
pub mod fields;
pub mod mac;
pub mod parcel;
pub mod policy;
pub mod secret;
pub mod secret_ref;
