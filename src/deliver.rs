//! Delivery: takes outputs from the log to the world outside, each at least once under an identity, each with exactly
//! one verdict, and none held up by another's destination.
//!
//! What goes where, and how:
//!
//! | file | idea |
//! |---|---|
//! | `parcel` | an output as a destination sees it |
//! | `destination`, `policy` | what the configuration says of a destination, checked; how it is driven |
//! | `load` | both files at once, checked against each other, to couriers |
//! | `file`, `rehearsal`, `examples` | reads `destinations.toml`, and tries it on an example of each output |
//! | `payout` | whether each reward has one destination that answers, over rules and destinations together |
//! | `alarms` | whether operators hear of a destination that gives up, over all destinations together |
//! | `surroundings` | the certificates and secrets that both point at, as they are here and now |
//! | `selector` | which outputs a destination takes |
//! | `scope`, `template`, `expression` | the variables of the configuration's texts, and what is made of them |
//!
//! One attempt:
//!
//! | file | idea |
//! |---|---|
//! | `courier` | one output to one destination, once: fields, form, credentials, answer |
//! | `fields` | what of an output may leave, and in what form; what is struck from answers and logs |
//! | `message`, `recipients` | what people are told of an output, and who those people are |
//! | `channel` | HTTP, SMTP, and the manners of Slack and Teams |
//! | `credentials`, `mac` | how a request shows who sends it; signatures and keyed hashes |
//! | `conceal` | what was shown to a vendor, struck from what it says |
//! | `secret_ref`, `secret` | where a secret is kept, and reading it as it is now |
//! | `answer`, `judge` | what came back, and what that means |
//! | `listing` | everything a destination knows of rewards, for `ledger verify` |
//!
//! A destination's life:
//!
//! | file | idea |
//! |---|---|
//! | `state` | what is known of its deliveries, and what comes next: decides, purely |
//! | `record`, `line` | the same as it stands in the log, fenced |
//! | `driver`, `pull`, `tell`, `carry` | performs what `state` decides: reads, sends, tells of verdicts |
//! | `host` | the actix actor around it, supervised |
//! | `letter` | outputs given up, and what operators decide about them |
//! | `board`, `account` | what it says of itself, for people and for metrics |

pub mod account;
pub mod alarms;
pub mod answer;
pub mod board;
pub mod carry;
pub mod channel;
pub mod conceal;
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
pub mod listing;
pub mod load;
pub mod mac;
pub mod message;
pub mod parcel;
pub mod payout;
pub mod policy;
pub mod proof;
pub mod pull;
pub mod recipients;
pub mod record;
pub mod rehearsal;
pub mod scope;
pub mod secret;
pub mod secret_ref;
pub mod selector;
pub mod state;
pub mod surroundings;
pub mod tell;
pub mod template;
