//! `aftercall import`: files of other systems, as events.

use clap::{Args, Subcommand};

use super::{Failure, Setting};
use crate::app::Bus;

mod wfm;

/// Import files of other systems
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  aftercall import wfm --dry-run export.csv
  aftercall import wfm --nats nats://127.0.0.1:4222 exports/*.csv.gz")]
pub(super) struct Import {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Wfm(wfm::Wfm),
}

impl Import {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        match self.what {
            What::Wfm(command) => command.run(setting, bus),
        }
    }
}
