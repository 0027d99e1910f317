//! `aftercall ledger`: every movement of points and rewards, worked out from the log.
//!
//! Everything here only reads, so it works beside a running service as well as without one.

use aftercall_actors::contract::time::LogTime;
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use jiff::{ToSpan as _, civil::Date, tz::TimeZone};

use super::{Failure, LogArgs, Setting, publish::style};
use crate::{app::Bus, ledger::Books};

mod agent;
mod export;
mod verify;

/// Show, export and verify every movement of points and rewards
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  aftercall ledger agent a-17
  aftercall ledger agent a-17 --from 2026-11-01 --to 2026-11-30 --json
  aftercall ledger export --from 2026-01-01 --to 2026-12-31 --out 2026.parquet
  aftercall ledger verify

The ledger is worked out from the event log, from its first event on: nothing else is stored that could say something
else, and the log has to be kept (log.retention_age, log.retention_bytes) for as long as its ledger is wanted. While it
is made, what the lines come to is compared with what each agent has; exit code 1 if that is not the same.

Dates are days of log time in UTC, and the last one is included. `aftercall ledger export --help` explains every kind of
line and every column.")]
pub(super) struct Ledger {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Agent(agent::Agent),
    Export(export::Export),
    Verify(verify::Verify),
}

impl Ledger {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        match self.action {
            Action::Agent(command) => command.run(setting, bus),
            Action::Export(command) => command.run(setting, bus),
            Action::Verify(command) => command.run(setting, bus),
        }
    }
}

/// Which days.
#[derive(Clone, Copy, Debug, Default, Args)]
struct Days {
    /// First day, UTC, by log time [default: the log's first]
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Last day, included [default: the log's last]
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
}

impl Days {
    /// The first moment, and the first one behind the last.
    fn bounds(self) -> Result<(Option<LogTime>, Option<LogTime>), Failure> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            let text = format!("--from {from} is later than --to {to}");
            return Err(Failure::usage(anyhow::Error::msg(text)));
        }
        let end = self.to.map(|day| day.saturating_add(1.day()));
        Ok((self.from.map(midnight), end.map(midnight)))
    }
}

fn midnight(day: Date) -> LogTime {
    let moment = TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0));
    // Only the calendar's last days have no moment: that is later than any event.
    LogTime(moment.map_or(i64::MAX, |moment| moment.as_millisecond()))
}

/// How far a walk has come; on standard error, and only if that is a terminal.
fn bar(until: u64) -> ProgressBar {
    ProgressBar::new(until).with_style(style(
        "{bar:30} event {human_pos} of {human_len}, {eta} left",
    ))
}

/// Books that do not add up are a fault, whatever was printed.
fn adds_up(books: &Books) -> Result<(), Failure> {
    let Some(first) = books.differences.first() else {
        return Ok(());
    };
    let total = books.differences_total;
    Err(anyhow::anyhow!("the books do not add up in {total} places; the first: {first}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_day_is_included_to_its_last_millisecond() {
        let day = |text: &str| text.parse::<Date>().ok();
        let bounds = |from, to| {
            let (from, end) = Days { from, to }.bounds().ok()?;
            Some((from.map(|t| t.to_string()), end.map(|t| t.to_string())))
        };
        let one = day("2026-11-30");
        let expected = ["2026-11-30T00:00:00.000Z", "2026-12-01T00:00:00.000Z"];
        let [from, end] = expected.map(|text| Some(text.to_owned()));
        assert_eq!(bounds(one, one), Some((from, end)));
        assert_eq!(bounds(None, None), Some((None, None)));
        assert_eq!(bounds(day("2026-12-01"), one), None);
    }
}
