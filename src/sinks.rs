//! Where outputs go: the channels, a folder each, and what they share. Called by a destination's queue
//! (`crate::delivery`) through its transport trait, which `courier` implements.
//!
//! A channel:
//!
//! | folder | idea |
//! |---|---|
//! | `http` | any HTTP system: what it can be asked |
//! | `slack` | Slack's Web API and incoming webhooks: calls, messages |
//! | `teams` | Microsoft Teams Workflows webhooks: card, what a 200 says |
//! | `email` | mail over SMTP: letters, addresses, the server |
//!
//! What they share, and what knows no channel:
//!
//! | file | idea |
//! |---|---|
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
//!
//! What puts them together:
//!
//! | file | idea |
//! |---|---|
//! | `destination` | what the configuration says of a destination, checked |
//! | `courier` | one output to one destination, once: fields, form, credentials, answer |
//! | `file`, `rehearsal`, `examples` | reads `destinations.toml`, and tries it on an example of each output |
//! | `load` | both files at once, checked against each other, to couriers |
//! | `payout` | whether each reward has one destination that answers, over rules and destinations together |
//! | `alarms` | whether operators hear of a destination that gives up, over all destinations together |
//! | `surroundings` | the certificates and secrets that both point at, as they are here and now |

pub mod alarms;
pub mod client;
pub mod conceal;
pub mod courier;
pub mod credentials;
pub mod destination;
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
pub mod recipients;
pub mod rehearsal;
pub mod scope;
pub mod secret;
pub mod secret_ref;
pub mod selector;
pub mod slack;
pub mod surroundings;
pub mod teams;
pub mod template;
