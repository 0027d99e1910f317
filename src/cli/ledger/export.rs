//! `aftercall ledger export`: the book of all agents for other programs.

use std::{
    fs::{self, File},
    io::{self, BufWriter, IsTerminal as _, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use aftercall_actors::{contract::time::LogTime, rules::RuleSet};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;

use super::{Days, Failure, LogArgs, Setting, adds_up, bar};
use crate::{
    app::Bus,
    cli::terminal::{Closed, Out, is_screen},
    ledger::{
        Books, Entry, Walk, Who, columns,
        export::{self, Format},
    },
    log::Log,
};

/// Export every movement of points and rewards as CSV, NDJSON or Parquet
#[derive(Debug, Args)]
#[command(after_long_help = help())]
pub(super) struct Export {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    days: Days,
    /// How it is written [default: as FILE's name ends]
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<FormatArg>,
    /// Write to this file instead of standard output; it appears once it is whole
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// Comma-separated, with a header
    Csv,
    /// One JSON object a line
    Ndjson,
    /// Apache Parquet; for a file or a pipe
    Parquet,
}

const EXPLAINED: &str = "\
Examples:
  aftercall ledger export --from 2026-11-01 --to 2026-11-30 --out november.csv
  aftercall ledger export --out 2026.parquet --from 2026-01-01 --to 2026-12-31
  aftercall ledger export --format ndjson | jq 'select(.kind == \"issued\")'

Lines stand in the order of the log. Two exports of the same days are the same, byte for byte, whenever they are made.
`points` is what a line changes the balance by, and the balance is available + held - debt. Kinds:

  earned                 a metric or a survey gave points on a workday
  replaced               an export or a survey came again, or for another agent: the difference
  adjusted               a person or process gave or took points
  expired                a workday left the window; booked at the agent's next event
  claimed                a threshold was reached: its points are held
  awaiting               a person has to agree
  requested              the provider is asked for the reward
  approved, declined     a person has decided; a declined claim's points are available again
  issued                 the reward is the agent's, and paid for
  rejected               the provider refused; the points are available again
  withdrawn              no longer covered before anybody was asked; the points are available again
  needs_review           nobody knows whether it was issued
  reversal_requested     the provider is asked to take an issued reward back
  reversed               taken back; what it cost is available again
  reversal_needs_review  nobody knows whether it was taken back
  cancellation_needs_review
                         an issued reward is cancelled, has bounced or failed, its provider says; a person decides
  cancelled              the agent does not have it after all; what it cost comes back
  restored               the agent has it all the same
  reversal_refused       not taken back; what is lacking is a debt
  debt_paid              points paid off a debt

Columns, and fields of NDJSON (which leaves out what is empty):

";

const FORMATS: &str = "
In CSV (RFC 4180, UTF-8) a text that begins with = + - @ or a control character, which a spreadsheet would take for a
formula, has an apostrophe before it, and so has one that begins with an apostrophe: take one off each text that has
one. NDJSON and Parquet have texts as they are; in Parquet numbers are INT64, times TIMESTAMP in milliseconds and UTC,
dates DATE, texts STRING.";

fn help() -> String {
    format!("{EXPLAINED}{}{FORMATS}", columns::explained())
}

impl Export {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        let (from, end) = self.days.bounds()?;
        let format = self.format()?;
        let config = setting.with_log(&self.log)?.config;
        let (result, lines) = bus.block_on(async {
            let log = bus.open_existing_log(&config.log).await?;
            let job = Job { format, from, end };
            let Some(file) = &self.out else {
                let stdout = BufWriter::new(io::stdout());
                let (books, written) = job.write(&log, stdout, !is_screen()).await?;
                return Ok::<_, Failure>((adds_up(&books), written.lines));
            };
            let (part, into) = Part::create(file).with_context(|| cannot(file))?;
            let (books, written) = job.write(&log, into, true).await?;
            let result = adds_up(&books);
            if result.is_ok() {
                part.keep(written.into).with_context(|| cannot(file))?;
            }
            Ok((result, written.lines))
        })?;
        result?;
        if let Some(file) = &self.out {
            let mut out = Out::new();
            out.line(format_args!("{lines} lines in {}", file.display()))?;
            out.flush()?;
        }
        Ok(())
    }

    fn format(&self) -> Result<Format, Failure> {
        let by_name = || {
            let name = self.out.as_ref()?.extension()?.to_str()?;
            FormatArg::from_str(name, true).ok()
        };
        let usage = |text: &str| Failure::usage(anyhow::Error::msg(text.to_owned()));
        match self.format.or_else(by_name) {
            Some(FormatArg::Csv) => Ok(Format::Csv),
            Some(FormatArg::Ndjson) => Ok(Format::Ndjson),
            Some(FormatArg::Parquet) if self.out.is_none() && io::stdout().is_terminal() => {
                Err(usage("Parquet is not for a terminal: add --out FILE"))
            }
            Some(FormatArg::Parquet) => Ok(Format::Parquet),
            None => Err(usage(
                "which format? Add --format csv, ndjson or parquet, or name a --out FILE that ends so",
            )),
        }
    }
}

fn cannot(file: &Path) -> String {
    format!("{} cannot be written", file.display())
}

#[derive(Clone, Copy)]
struct Job {
    format: Format,
    from: Option<LogTime>,
    end: Option<LogTime>,
}

/// What was written, and where.
struct Written<W> {
    into: W,
    lines: u64,
}

impl Job {
    async fn write<W: Write + Send>(
        self,
        log: &Log,
        into: W,
        shows_progress: bool,
    ) -> Result<(Books, Written<W>), Failure> {
        // Rules of a partition that never had an owner, so of one without events.
        let genesis = RuleSet::default_rules();
        let walk = Walk::begin(log, &genesis, Who::Everybody).await?;
        let mut walk = walk.until(self.end);
        let mut export = export::Export::new(self.format, into).map_err(unwritten)?;
        let bar = match shows_progress {
            true => bar(walk.retrace.until()),
            false => ProgressBar::hidden(),
        };
        let (mut lines, mut failed) = (0, None);
        let sink = |entry: Entry| {
            if self.from.is_some_and(|from| entry.time < from) {
                return ControlFlow::Continue(());
            }
            lines += 1;
            match export.write(&entry) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let books = walk.run(sink, |position| bar.set_position(position)).await;
        bar.finish_and_clear();
        if let Some(error) = failed {
            return Err(unwritten(error));
        }
        let into = export.finish().map_err(unwritten)?;
        Ok((books?, Written { into, lines }))
    }
}

fn unwritten(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Closed.into(),
        _ => anyhow::Error::new(error)
            .context("the export cannot be written")
            .into(),
    }
}

/// A file on its way: under another name until it is whole, and gone if it never is.
struct Part {
    file: PathBuf,
    /// What it is called meanwhile; a pipe or a device is written to as it is.
    part: Option<PathBuf>,
}

impl Part {
    fn create(file: &Path) -> io::Result<(Self, BufWriter<File>)> {
        let is_other = fs::metadata(file).is_ok_and(|found| !found.is_file());
        let (part, into) = if is_other {
            (None, File::options().write(true).open(file)?)
        } else {
            let mut part = file.as_os_str().to_owned();
            part.push(".part");
            let part = PathBuf::from(part);
            let into = File::create(&part)?;
            (Some(part), into)
        };
        let file = file.to_owned();
        Ok((Self { file, part }, BufWriter::new(into)))
    }

    fn keep(mut self, into: BufWriter<File>) -> io::Result<()> {
        let into = into.into_inner().map_err(|error| error.into_error())?;
        let Some(part) = &self.part else {
            return Ok(());
        };
        into.sync_all()?;
        fs::rename(part, &self.file)?;
        self.part = None;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // What cannot be removed has a name that says what it is.
            let _ = fs::remove_file(part);
        }
    }
}
