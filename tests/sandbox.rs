//! The vendors of the sandbox: every quirk, on a clock the test moves, and every fault, over real HTTP.

#[path = "sandbox/chat.rs"]
mod chat;
#[path = "sandbox/customers.rs"]
mod customers;
#[path = "sandbox/desk.rs"]
mod desk;
#[path = "sandbox/failing.rs"]
mod failing;
#[path = "sandbox/fixtures.rs"]
mod fixtures;
#[path = "sandbox/money.rs"]
mod money;
#[path = "sandbox/program.rs"]
mod program;
#[path = "sandbox/tokens.rs"]
mod tokens;
#[path = "sandbox/wire.rs"]
mod wire;
