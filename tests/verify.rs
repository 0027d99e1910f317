//! `aftercall ledger verify` as users run it: after a story with faults nothing differs, on SQLite and on a real
//! nats-server, beside a running service too; and whatever is planted is found.

#[path = "delivered/centre.rs"]
#[expect(dead_code, reason = "shared with the tests of delivery")]
mod centre;
#[path = "verify/copied.rs"]
mod copied;
#[path = "support/nats.rs"]
mod nats;
#[path = "verify/planted.rs"]
mod planted;
#[path = "cli/program.rs"]
#[expect(dead_code, reason = "shared with the tests of the command line")]
mod program;
#[path = "support/service.rs"]
mod service;
#[path = "delivered/settings.rs"]
mod settings;
#[path = "verify/story.rs"]
mod story;
#[path = "verify/told.rs"]
mod told;
#[path = "verify/undelivered.rs"]
mod undelivered;
