//! `aftercall ledger`: every movement of agents' points and rewards.

use clap::{Args, Subcommand};

use super::{Failure, Setting};
use crate::app::Bus;

mod verify;

/// Look at agents' points and rewards as a book, and check it
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  aftercall ledger verify --nats nats://127.0.0.1:4222")]
pub(super) struct Ledger {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Verify(verify::Verify),
}

impl Ledger {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        match self.action {
            Action::Verify(command) => command.run(setting, bus),
        }
    }
}
