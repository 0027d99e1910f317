//! The whole way: an event comes in over HTTP, `aftercall run` decides, its destinations deliver, and vendors do it.
//!
//! Nothing is played on our side: the built program as users start it, a real log, the destinations and the field
//! policy that ship with it. Only addresses and secrets are those of the sandbox, and patience is that of a busy
//! machine. What was done is judged by the vendors' ledger, what was decided by the log. Everything is waited for by
//! its effect; nothing rests on how long it takes.

#[path = "delivered/alerts.rs"]
mod alerts;
#[path = "delivered/centre.rs"]
mod centre;
#[path = "delivered/customers.rs"]
mod customers;
#[path = "delivered/letters.rs"]
mod letters;
#[path = "support/nats.rs"]
mod nats;
#[path = "cli/program.rs"]
#[expect(dead_code, reason = "shared with the tests of the command line")]
mod program;
#[path = "delivered/rewards.rs"]
mod rewards;
#[path = "support/service.rs"]
mod service;
#[path = "delivered/settings.rs"]
mod settings;
#[path = "delivered/several.rs"]
mod several;
