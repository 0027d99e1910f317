//! Delivery: takes outputs from the log to the world outside, each at least once under an identity, each with exactly
//! one verdict, and none held up by another's destination.
//!
//! | file | idea |
//! |---|---|
//! | `parcel` | an output as a destination sees it |
//! | `answer` | what came back of one attempt, and what that means |
//! | `host` | the actor of a destination: supervision, and the word to stop |
//! | `driver` | a destination's life as one loop: performs what the state machine decides |
//! | `state` | what is known of a destination's deliveries, and what comes next: decides, purely |
//! | `record`, `line` | the same as it stands in the log, and writing it there with a fence |
//! | `pull`, `tell` | what comes from the log, and what goes back into it |
//! | `account`, `board` | what monitoring sees |
//! | `letter` | outputs given up, and what operators decide about them |
//! | `carry` | what a driver needs of whoever takes outputs away: the courier, or a simulation's world |
//! | `courier` | one output to one destination, once: fields, form, credentials, answer |
//! | `channel` | HTTP, SMTP, and the manners of Slack and Teams |
//! | `message` | what people are told of an output, and how each channel writes it |
//! | `recipients` | who those people are |
//! | `policy` | how a destination is driven: limits, retries, breaker, merging, outcomes |
//! | `destination` | what the configuration says of a destination, checked |
//! | `selector` | which outputs it takes |
//! | `scope`, `template`, `expression` | the variables of the configuration's texts, and what is made of them |
//! | `fields` | what of an output may leave, and in what form; what is struck from answers and logs |
//! | `secret_ref`, `secret` | where a secret is kept, and reading it as it is now |
//! | `credentials` | how a request shows who sends it |
//! | `mac` | signatures and keyed hashes |
//! | `file` | reads `destinations.toml`; `rehearsal` tries it on `examples` |
//! | `judge` | what an answer means |

pub mod account;
pub mod answer;
pub mod board;
pub mod carry;
pub mod channel;
pub mod courier;
pub mod credentials;
pub mod destination;
pub mod driver;
pub mod examples;
pub mod expression;
pub mod fields;
pub mod file;
pub mod host;
pub mod judge;
pub mod letter;
pub mod line;
pub mod mac;
pub mod message;
pub mod parcel;
pub mod policy;
pub mod pull;
pub mod recipients;
pub mod record;
pub mod rehearsal;
pub mod scope;
pub mod secret;
pub mod secret_ref;
pub mod selector;
pub mod state;
pub mod tell;
pub mod template;
