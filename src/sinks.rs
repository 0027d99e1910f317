//! Where outputs go: the channels, a folder each, and what they share. Called by a destination's queue
//! (`crate::delivery`) through its transport trait, which `courier` implements.
//!
//! A channel is a folder. Its module holds the struct of what its keys say, an `ABOUT` (name, keys, what an answer means
//! by default, rate) and a `read`, and implements two traits of `sink`: `Sink` for what was configured (secrets,
//! rehearsal, warnings) and `Sender` for its connection (send, lanes, show).
//!
//! | folder | channel |
//! |---|---|
//! | `http` | any HTTP system: a request, its fallbacks, what it can be asked |
//! | `slack` | Slack's Web API; in `slack/webhook`, incoming webhooks |
//! | `teams` | Microsoft Teams Workflows webhooks |
//! | `email` | mail over SMTP |
//!
//! To add one: write its folder, a `pub mod` line below, and its lines in `channel`, which is the one list of all
//! channels (the enum, its table, its one `match`); describe its keys in `config/destinations.toml`. The compiler and the
//! test of that reference say what is missing.
//!
//! What channels share, and what knows no channel:
//!
//! | file | idea |
//! |---|---|
//! | `sink` | what a channel has to say and do |
//! | `webhook` | a channel of which an output is one request to post |
//! | `sending` | one output on its way: what is known of it, and what came of it |
//! | `drafter` | what may be seen of an output, its people, secrets in addresses and headers |
//! | `progress` | an output that is for several: who has it, who is left |
//! | `shown` | what would leave, for people to look at, without credentials |
//! | `client` | HTTP client of one destination: TLS, limits, bodies of answers |
//! | `credentials` | how a request shows who sends it |
//! | `secret_ref`, `secret` | where a secret is kept, and reading it as it is now |
//! | `conceal` | what was shown to a vendor, struck from what it says |
//! | `page` | a page of HTML where a vendor's answer was due |
//! | `fields` | what of an output may leave, and in what form; what is struck from answers and logs |
//! | `recipients` | who the people are that a message is for |
//! | `message` | what people are told of an output, before a channel gives it its form |
//! | `selector` | which outputs a destination takes |
//! | `scope`, `template`, `expression` | the variables of the configuration's texts, and what is made of them |
//! | `judge` | what an answer means |
//! | `spec`, `reader` | requests, credentials and conditions as they are configured, and reading them |
//!
//! What puts them together:
//!
//! | file | idea |
//! |---|---|
//! | `channel` | the list of channels |
//! | `destination` | what the configuration says of a destination, checked |
//! | `courier` | one output to one destination, once: fields, sending, answer |
//! | `file`, `rehearsal`, `examples` | reads `destinations.toml`, and tries it on an example of each output |
//! | `load` | both files at once, checked against each other, to couriers |
//! | `payout` | whether each reward has one destination that answers, over rules and destinations together |
//! | `alarms` | whether operators hear of a destination that gives up, over all destinations together |
//! | `surroundings` | the certificates and secrets that both point at, as they are here and now |

pub mod alarms;
pub mod channel;
pub mod client;
pub mod conceal;
pub mod courier;
pub mod credentials;
pub mod destination;
mod drafter;
pub mod email;
pub mod examples;
pub mod expression;
pub mod fields;
pub mod file;
pub mod http;
pub mod judge;
pub mod load;
pub mod message;
pub mod page;
pub mod payout;
mod progress;
mod reader;
pub mod recipients;
pub mod rehearsal;
pub mod scope;
pub mod secret;
pub mod secret_ref;
pub mod selector;
mod sending;
pub mod shown;
mod sink;
pub mod slack;
pub mod spec;
pub mod surroundings;
pub mod teams;
pub mod template;
mod webhook;
