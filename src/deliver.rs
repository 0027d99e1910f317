//! Delivery: takes outputs from the log to the world outside, each at least once under an identity, each with exactly
//! one verdict, and none held up by another's destination.
//!
//! | file | idea |
//! |---|---|
//! | `parcel` | an output as a destination sees it |
//! | `answer` | what came back of one attempt, and what that means |
//! | `policy` | how a destination is driven: limits, retries, breaker, merging, outcomes |
//! | `destination` | what the configuration says of a destination, checked |
//! | `selector` | which outputs it takes |
//! | `scope`, `template`, `expression` | the variables of the configuration's texts, and what is made of them |
//! | `file` | reads `destinations.toml`; `rehearsal` tries it on `examples` |
//! | `secret_ref` | where a secret is kept |
//! | `judge` | what an answer means |

pub mod answer;
pub mod destination;
pub mod examples;
pub mod expression;
pub mod file;
pub mod judge;
pub mod parcel;
pub mod policy;
pub mod rehearsal;
pub mod scope;
pub mod secret_ref;
pub mod selector;
pub mod template;
