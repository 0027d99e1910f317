//! `aftercall publish`: events from a file or a pipe into the log, each once.
//!
//! While one batch is on its way the next one is read and checked; two batches are never on their way together, so
//! that events keep the order of the file. After each acknowledged batch the place reached is noted beside the file
//! (`progress`), and a second run goes on from there.

use std::{
    fs::File,
    io::{self, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{
    Failure, LogArgs, Setting,
    terminal::{self, Out},
};
use crate::{
    app::Bus,
    envelope::{Incoming, Reject, ndjson},
    log::{self, AppendError, Appended, Log, NewEvent},
};

mod progress;

use progress::{Counter, Counting, Place, Progress};

/// Publish events from a file: one CloudEvent (structured, JSON) a line
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  aftercall publish events.ndjson
  zcat events.ndjson.gz | aftercall publish --nats nats://127.0.0.1:4222 -

A bad line is reported to stderr as file:line with the reason and left out; the exit code is then 3. The place
reached is kept in FILE.progress: an interrupted run goes on from there, and a finished one adds nothing again.
From - (standard input) nothing is kept.

What only aftercall says (outcomes, decisions about rewards, dead letters) is left out as well, unless --own is given:
on NATS the server lets only the service's user store it.")]
pub(super) struct Publish {
    #[command(flatten)]
    log: LogArgs,
    /// File with one event a line, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Store what only aftercall says as well, as its own: to move a log, or to answer in a destination's place
    #[arg(long)]
    own: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// Events given to the log at once.
const BATCH: usize = 500;

/// How long the log may stay away before a run ends; another run goes on from there.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run did.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Line after which this run began.
    resumed_after_line: u64,
    /// Events stored by this run.
    stored: u64,
    /// Events that already stood there.
    duplicates: u64,
    /// Lines left out.
    bad: u64,
    /// Whether the whole file has been read.
    done: bool,
    /// Length of this run.
    seconds: f64,
}

/// A line that holds an event, on its way.
struct Waiting {
    line: u64,
    event: NewEvent,
}

/// What was read at once: good events, and how far that was.
#[derive(Default)]
struct Batch {
    waiting: Vec<Waiting>,
    end: Option<Place>,
}

impl Publish {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        let config = setting.with_log(&self.log)?.config;
        let started = Instant::now();
        let from_stdin = self.file.as_os_str() == "-";
        let mut source = if from_stdin {
            Source::stdin()
        } else {
            Source::file(&self.file, config.log.place.name())?
        };
        source.own = self.own;
        let mut summary = Summary {
            resumed_after_line: source.lines_before,
            ..Summary::default()
        };
        let result = if source.nothing_left {
            summary.done = true;
            source.say_published();
            Ok(())
        } else {
            bus.block_on(async {
                let log = bus.open_log(&config.log).await?;
                publish(&log, &mut source, &mut summary).await
            })
        };
        source.bar.finish_and_clear();
        summary.seconds = started.elapsed().as_secs_f64();
        self.print(&summary)?;
        result?;
        match summary.bad {
            0 => Ok(()),
            n => Err(Failure::bad_input(format!("{n} lines were left out"))),
        }
    }

    fn print(&self, summary: &Summary) -> anyhow::Result<()> {
        let mut out = Out::new();
        if self.json {
            out.json(summary)?;
        } else {
            let Summary {
                resumed_after_line,
                stored,
                duplicates,
                bad,
                done,
                seconds,
            } = summary;
            let from = match resumed_after_line {
                0 => String::new(),
                line => format!(" (from line {} on)", line + 1),
            };
            let end = if *done {
                ""
            } else {
                "; not finished, run it again to go on"
            };
            out.line(format_args!(
                "{stored} events stored, {duplicates} already there, {bad} lines bad, {seconds:.1} s{from}{end}"
            ))?;
        }
        out.flush()
    }
}

async fn publish(log: &Log, source: &mut Source, summary: &mut Summary) -> anyhow::Result<()> {
    let mut batch = source.read(summary)?;
    while let Some(end) = batch.end.take() {
        let events = batch
            .waiting
            .iter()
            .map(|waiting| waiting.event.clone())
            .collect();
        // A task of its own, so that it is on its way while this one reads on.
        let storing = tokio::spawn({
            let log = std::sync::Arc::clone(log);
            async move { log::retry::append(log.as_ref(), events, PATIENCE).await }
        });
        let next = source.read(summary);
        let answers = storing.await?;
        source.acknowledge(&batch.waiting, answers, summary)?;
        source.note(end, false)?;
        batch = next?;
    }
    source.finish()?;
    summary.done = true;
    Ok(())
}

/// Where events come from, and how far that is read.
struct Source {
    name: String,
    lines: ndjson::Lines<Counting>,
    counter: Counter,
    progress: Option<Progress>,
    bar: ProgressBar,
    lines_before: u64,
    nothing_left: bool,
    own: bool,
}

impl Source {
    fn stdin() -> Self {
        let counter = Counter::default();
        let reader = Box::new(BufReader::with_capacity(1 << 18, io::stdin()));
        Self {
            name: "-".to_owned(),
            lines: ndjson::Lines::new(Counting::new(reader, counter.clone())),
            counter,
            progress: None,
            bar: ProgressBar::new_spinner().with_style(style(
                "{spinner} {decimal_bytes} read, {decimal_bytes_per_sec}, {msg}",
            )),
            lines_before: 0,
            nothing_left: false,
            own: false,
        }
    }

    /// A file, from where a former run into the log named `log` has come to.
    fn file(path: &Path, log: String) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let unreadable = |error| Failure::usage(anyhow::Error::new(error).context(name.clone()));
        let mut file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let (progress, counter) = Progress::resume(path, log).map_err(Failure::usage)?;
        let place = counter.place();
        file.seek(SeekFrom::Start(place.offset))
            .map_err(unreadable)?;
        let reader = Box::new(BufReader::with_capacity(1 << 18, file));
        let bar = ProgressBar::new(length).with_style(style(
            "{wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} {msg}",
        ));
        bar.set_position(place.offset);
        Ok(Self {
            name,
            lines: ndjson::Lines::resume(
                Counting::new(reader, counter.clone()),
                place.line,
                place.offset,
            ),
            counter,
            nothing_left: place.offset == length && length > 0,
            lines_before: place.line,
            own: false,
            progress: Some(progress),
            bar,
        })
    }

    /// The next good events, at most [`BATCH`]; bad lines on the way are reported. Without an end there was nothing
    /// more to read.
    fn read(&mut self, summary: &mut Summary) -> anyhow::Result<Batch> {
        let mut batch = Batch::default();
        let mut any = false;
        while batch.waiting.len() < BATCH {
            let Some(line) = self.lines.next() else {
                break;
            };
            let line =
                line.map_err(|error| anyhow::anyhow!("{}: cannot be read: {error}", self.name))?;
            any = true;
            let event = line.event.and_then(Incoming::check);
            let event = event.and_then(|event| match self.own && event.body().is_own() {
                true => event.into_own_event(),
                false => event.into_new_event(),
            });
            match event {
                Ok(event) => batch.waiting.push(Waiting {
                    line: line.number,
                    event,
                }),
                Err(reject) => self.report(line.number, &reject, summary),
            }
        }
        if any {
            batch.end = Some(self.counter.place());
        }
        Ok(batch)
    }

    fn report(&self, line: u64, reject: &Reject, summary: &mut Summary) {
        summary.bad += 1;
        let name = &self.name;
        self.bar
            .suspend(|| terminal::complain(&format!("{name}:{line}: {reject}")));
    }

    fn acknowledge(
        &self,
        batch: &[Waiting],
        answers: Vec<Result<Appended, AppendError>>,
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        let mut unknown = None;
        for (waiting, answer) in batch.iter().zip(answers) {
            match answer {
                Ok(appended) if appended.duplicate => summary.duplicates += 1,
                Ok(_) => summary.stored += 1,
                Err(AppendError::Refused(why)) => {
                    summary.bad += 1;
                    let text = format!("{}:{}: refused by the log: {why}", self.name, waiting.line);
                    self.bar.suspend(|| terminal::complain(&text));
                }
                Err(AppendError::Unknown(why)) => unknown = Some((waiting.line, why)),
            }
        }
        match unknown {
            None => Ok(()),
            Some((line, why)) => Err(anyhow::anyhow!(
                "{}:{line}: not confirmed within {PATIENCE:?}: {why}; run it again to go on",
                self.name
            )),
        }
    }

    /// Notes that everything up to `place` is durable.
    fn note(&mut self, place: Place, done: bool) -> anyhow::Result<()> {
        self.bar.set_position(place.offset);
        self.bar.set_message(format!("line {}", place.line));
        match &mut self.progress {
            Some(progress) => Ok(progress.note(place, done)?),
            None => Ok(()),
        }
    }

    fn say_published(&self) {
        let note = self.progress.as_ref().map_or(Path::new(""), Progress::path);
        terminal::complain(&format!(
            "{} was published before ({} lines); remove {} to publish it again",
            self.name,
            self.lines_before,
            note.display()
        ));
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.note(self.counter.place(), true)
    }
}

/// The style of a progress bar.
pub(super) fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a wrong one shows as the default bar.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
