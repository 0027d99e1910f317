//! `aftercall dead`: what was given up, and what is to be done about it.
//!
//! Everything here reads the log and appends decisions to it; the service follows them. So it works beside a running
//! service, on the embedded log as on NATS, and equally while none is running: decisions wait for it.

use clap::{Args, Subcommand, builder::PossibleValuesParser};

use super::{Failure, LogArgs, Setting};
use crate::{
    app::Bus,
    delivery::dead_letter::{Choice, Reason},
    envelope,
};

mod book;
mod decide;
mod ls;
mod show;

/// List dead letters, look at one, have them tried again or put away
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  aftercall dead ls --destination rewards
  aftercall dead show 17
  aftercall dead retry 17 18
  aftercall dead retry --destination crm --reason failed --all
  aftercall dead drop 19 --by ann

A dead letter is an output that a destination refused, or that was given up after its last attempt. `retry` has the
same output tried again under the same idempotency key, so a destination that has done it already does it only once;
`drop` puts the letter away. Both may be said while the service runs or while it does not: it acts on them when it
reads them. Input that could not be processed is listed with them (where: event); it can only be corrected and sent
again by its source.

A letter's id is its number, or the id of its output.")]
pub(super) struct Dead {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the letters that wait for a decision, and quarantined events
    Ls(ls::Ls),
    /// Show one letter: why, every attempt, the output, and what was decided
    Show(show::Show),
    /// Have outputs tried again, under the same idempotency key
    Retry(decide::Decide),
    /// Put letters away: nothing more is done about them
    Drop(decide::Decide),
}

/// Which of them.
#[derive(Debug, Default, Args)]
struct Filter {
    /// Only of these destinations; quarantined events are left out
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    destination: Vec<String>,
    /// Only those given up for these reasons
    #[arg(long, value_name = "REASON", value_delimiter = ',', value_parser = reasons())]
    reason: Vec<String>,
}

/// Reasons of letters, then those of quarantined events.
fn reasons() -> PossibleValuesParser {
    let letters = Reason::ALL.map(Reason::name);
    let events = envelope::Reason::ALL.map(envelope::Reason::name);
    PossibleValuesParser::new(letters.into_iter().chain(events))
}

impl Filter {
    const fn is_empty(&self) -> bool {
        self.destination.is_empty() && self.reason.is_empty()
    }

    /// The one destination whose line needs reading, if it is one.
    fn line(&self) -> Option<&str> {
        match self.destination.as_slice() {
            [one] => Some(one),
            [] | [_, _, ..] => None,
        }
    }

    /// Whether something of this place (none: quarantined input) and reason is wanted.
    fn takes(&self, destination: Option<&str>, reason: &str) -> bool {
        let place = match destination {
            Some(name) => self.destination.is_empty() || self.destination.iter().any(|d| d == name),
            None => self.destination.is_empty(),
        };
        place && (self.reason.is_empty() || self.reason.iter().any(|r| r == reason))
    }
}

impl Dead {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        match self.action {
            Action::Ls(command) => command.run(setting, bus),
            Action::Show(command) => command.run(setting, bus),
            Action::Retry(command) => command.run(Choice::Retry, setting, bus),
            Action::Drop(command) => command.run(Choice::Drop, setting, bus),
        }
    }
}
