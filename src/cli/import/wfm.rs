//! `aftercall import wfm`: exports of workforce management.
//!
//! Everything that can be wrong with a file as a whole is looked at before the first row of the first file is stored.
//! `ingest::wfm::carry` does the rest; here are the arguments, the progress bar, and what is printed.

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::SystemTime,
};

use aftercall_actors::contract::time::EventTime;
use clap::Args;
use indicatif::ProgressBar;

use super::super::{
    Failure, LogArgs, Setting,
    publish::style,
    terminal::{self, Out},
};
use crate::{
    app::{self, Bus},
    config::{Config, WfmColumns, import::export_name},
    ingest::wfm::{
        BadRow, Report,
        carry::{CarryError, Onlooker, Purpose, Target, carry, imported_before},
        job::{Job, JobError, Said, milliseconds},
        preview::Preview,
    },
};

/// Import exports of workforce management: agent, workday and metrics in rows
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  aftercall import wfm --dry-run export.csv
  aftercall import wfm --nats nats://127.0.0.1:4222 exports/*.csv.gz
  ssh wfm cat export.json | aftercall import wfm --recorded-at 2026-11-20T05:00:00Z -

A file is CSV with a header, a JSON array of objects, or one JSON object a line, compressed with gzip or not; which, is
told from its first bytes. [import.wfm] in the configuration says which columns hold agent, workday and metrics. Each
value in a row becomes one event; an empty field says nothing.

Of two values for the same agent, workday and metric, the one recorded later counts, whatever is imported first. An
export is recorded at --recorded-at, or else when its file was last written. So an old file may be imported after a
newer one and changes nothing; but a copy made without keeping that time (cp without -p, a download) looks new: name
the time then. Of two in one file the first counts, and the second is a bad row.

A bad row is left out whole, reported as file:line, and put into quarantine (the first 1000 of a file); the others go
on, the exit code is 3, and operators are alerted (bad_rows). What was imported is noted in FILE.imported: the same file again adds nothing, and an
interrupted import goes on. Without the note all is stored again, and changes no points.")]
pub(super) struct Wfm {
    #[command(flatten)]
    log: LogArgs,
    /// Exports, or - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Name of the export [default: import.wfm.export]
    #[arg(long, value_name = "NAME", value_parser = |text: &str| export_name(text).map_err(|allowed| format!("allowed: {allowed}")))]
    export: Option<String>,
    /// Version of the export, which rewards name [default: the file's name]
    #[arg(long, value_name = "VERSION", value_parser = version)]
    export_version: Option<String>,
    /// When the export was made, such as 2026-11-20T05:00:00Z, or now [default: when the file was last written]
    #[arg(long, value_name = "TIME", value_parser = recorded_at)]
    recorded_at: Option<EventTime>,
    /// Say what would be imported and changed and what is wrong, and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Import files that were imported before
    #[arg(long)]
    again: bool,
    /// Print what was done as JSON, one line a file
    #[arg(long)]
    json: bool,
}

/// Bad rows of a file that are reported one by one; the summary has them all.
const REPORTED_MAX: u64 = 20;

impl Wfm {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        refuse_huge_pages();
        let config = setting.with_log(&self.log)?.config;
        let mut columns = config.import.wfm.clone();
        if let Some(name) = &self.export {
            columns.export.clone_from(name);
        }
        let prepared = self.files.iter().map(|path| self.prepare(path, &columns));
        let jobs: Vec<Job> = prepared.collect::<Result<_, _>>().map_err(Failure::usage)?;
        let (mut bad, mut unread) = (0, Vec::new());
        let mut work = Work {
            bus,
            config: &config,
            again: self.again,
            target: None,
        };
        let mut preview = match self.dry_run {
            true => Some(compare(bus, &config)?),
            false => None,
        };
        for job in &jobs {
            let painted = Painted::new(job);
            let (report, result) = match &mut preview {
                Some(preview) => carry(job, &columns, Purpose::Preview(preview), &painted),
                None => work.store(job, &columns, &painted)?,
            };
            painted.bar.finish_and_clear();
            print(&report, self.json)?;
            bad += report.found.bad + report.refused;
            match result {
                Ok(()) => {}
                Err(CarryError::Unread(error)) => unread.push(format!("{}: {error}", job.name)),
                Err(CarryError::Io(error)) => {
                    return Err(anyhow::Error::new(error).context(job.name.clone()).into());
                }
                Err(error) => return Err(anyhow::anyhow!("{}: {error}", job.name).into()),
            }
        }
        match (bad, unread.as_slice()) {
            (0, []) => Ok(()),
            (n, []) => Err(Failure::bad_input(format!("{n} rows were left out"))),
            (_, unread) => Err(Failure::bad_input(unread.join("; "))),
        }
    }

    /// Everything that is to be known of a file before any is imported.
    fn prepare(&self, path: &Path, columns: &WfmColumns) -> anyhow::Result<Job> {
        let said = Said {
            recorded_at: self.recorded_at,
            version: self.export_version.clone(),
        };
        let shown = path.display();
        let job = if path.as_os_str() == "-" {
            Job::of_stdin(said, columns)
        } else {
            Job::of_file(path, said, columns)
        };
        job.map_err(|error| match error {
            JobError::Untimed => anyhow::anyhow!("{shown}: {error}; say it with --recorded-at"),
            JobError::Ahead(_) => {
                anyhow::anyhow!("{shown}: {error}; say the right time with --recorded-at")
            }
            JobError::Io(_) | JobError::TooLarge(_) | JobError::Form(_) => {
                anyhow::Error::new(error).context(shown.to_string())
            }
        })
    }
}

/// Millions of small values that come and go on four threads fill few of the pages they touch; where pages are huge (2 MiB,
/// a setting of the machine) that costs an import some 40 MiB. Speed does not depend on them here: the log's disk is slower.
fn refuse_huge_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay as the machine has them");
    }
}

/// The agents to compare with. A log that is not there, or cannot be had, is no reason to say nothing.
fn compare(bus: &Bus, config: &Config) -> Result<Preview, Failure> {
    let rules = app::load_rules(config.rules.file.as_deref()).map_err(Failure::usage)?;
    let found = bus.block_on(async {
        let log = bus.open_existing_log(&config.log).await;
        let log = log.map_err(|error| error.to_string())?;
        let preview = Preview::of(&log, &rules).await;
        preview.map_err(|error| error.to_string())
    });
    Ok(found.unwrap_or_else(Preview::without))
}

/// Where files go; the log is opened for the first that needs it.
struct Work<'a> {
    bus: &'a Bus,
    config: &'a Config,
    again: bool,
    target: Option<Target>,
}

impl Work<'_> {
    fn store(
        &mut self,
        job: &Job,
        columns: &WfmColumns,
        painted: &Painted,
    ) -> anyhow::Result<(Report, Result<(), CarryError>)> {
        let name = self.config.log.place.name();
        if !self.again
            && let Some(report) = imported_before(job, columns, &name)
        {
            return Ok((report, Ok(())));
        }
        let target = match &mut self.target {
            Some(target) => target,
            none => none.insert(Target {
                log: self.bus.block_on(self.bus.open_log(&self.config.log))?,
                name,
                runtime: self.bus.handle().clone(),
            }),
        };
        let purpose = Purpose::Store {
            target,
            noted: true,
            again: self.again,
        };
        Ok(carry(job, columns, purpose, painted))
    }
}

/// A progress bar, and what it does not paint over.
struct Painted {
    name: String,
    bar: ProgressBar,
}

impl Painted {
    fn new(job: &Job) -> Self {
        let bar = match &job.bytes {
            Some(bytes) => ProgressBar::new(bytes.length).with_style(style(
                "{wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} {msg}",
            )),
            None => ProgressBar::new_spinner().with_style(style(
                "{spinner} {decimal_bytes} read, {decimal_bytes_per_sec}, {msg}",
            )),
        };
        let name = job.name.clone();
        Self { name, bar }
    }
}

impl Onlooker for Painted {
    fn input(&self, input: Box<dyn Read>) -> Box<dyn Read> {
        Box::new(self.bar.wrap_read(input))
    }

    fn row(&self, rows: u64) {
        self.bar.set_message(format!("row {rows}"));
    }

    fn bad_row(&self, number: u64, bad: &BadRow) {
        if number <= REPORTED_MAX {
            self.complain(&format!("{}:{bad}", self.name));
        }
    }

    fn complain(&self, text: &str) {
        self.bar.suspend(|| terminal::complain(text));
    }

    // Ctrl-C ends it, and the next run goes on by the note.
    fn stops(&self) -> bool {
        false
    }
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = Out::new();
    if json {
        out.json(report)?;
    } else {
        for line in report.lines() {
            out.line(line)?;
        }
    }
    out.flush()
}

fn recorded_at(text: &str) -> Result<EventTime, String> {
    match text {
        "now" => Ok(milliseconds(SystemTime::now())),
        text => text.parse(),
    }
}

fn version(text: &str) -> Result<String, String> {
    match text.len() {
        1..=256 => Ok(text.to_owned()),
        _ => Err("allowed: 1 to 256 bytes".to_owned()),
    }
}
