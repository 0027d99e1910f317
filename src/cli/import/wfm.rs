//! `aftercall import wfm`: exports of workforce management.
//!
//! While one batch is on its way the next one is read; two are never on their way together, so that the first of two
//! values stays the first. Everything that can be wrong with a file as a whole is looked at before the first row of the
//! first file is stored. What was done is noted beside the file (`note`); the same file again is then known by its
//! bytes, and an interrupted one goes on.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aftercall_actors::time::EventTime;
use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;
use xxhash_rust::xxh3::Xxh3;

use super::{
    super::{
        Failure, LogArgs, Setting,
        publish::{log_name, style},
        terminal,
    },
    note::Note,
    report::Report,
};
use crate::{
    app::Bus,
    config::{WfmColumns, import::export_name},
    ingest::wfm::{Export, Import, ReadError, Rows, Taken},
    log::{self, AppendError, Appended, Log, NewEvent},
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
on, and the exit code is 3. What was imported is noted in FILE.imported: the same file again adds nothing, and an
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
    /// Say what would be imported and what is wrong, and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Import files that were imported before
    #[arg(long)]
    again: bool,
    /// Print what was done as JSON, one line a file
    #[arg(long)]
    json: bool,
}

/// Events given to the log at once, at least: a row's stay together.
const BATCH: usize = 2_000;

/// How long the log may stay away before a run ends; another run goes on from there.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bad rows of a file that are reported one by one; the summary has them all.
const REPORTED_MAX: u64 = 20;

/// How far an export's time may lie ahead of this machine's clock.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// A file that can be imported.
struct Job {
    path: PathBuf,
    export: Export,
    /// Length and hash of its bytes; `None` for standard input.
    bytes: Option<(u64, String)>,
}

/// Rows read together, and their events.
#[derive(Default)]
struct Batch {
    events: Vec<(Origin, NewEvent)>,
    /// Rows read so far, from the first of the file.
    rows: u64,
    /// Why nothing comes after these.
    end: Option<Result<(), ReadError>>,
}

/// Where an event comes from.
#[derive(Clone, Copy)]
enum Origin {
    /// The row that ends at this count of rows.
    Value { row: u64 },
    /// A bad row.
    Bad,
}

impl Wfm {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        let config = setting.with_log(&self.log)?.config;
        let mut columns = config.import.wfm.clone();
        if let Some(name) = &self.export {
            columns.export.clone_from(name);
        }
        let prepared = self.files.iter().map(|path| self.prepare(path, &columns));
        let jobs: Vec<Job> = prepared.collect::<Result<_, _>>().map_err(Failure::usage)?;
        let (mut bad, mut unread) = (0, Vec::new());
        bus.block_on(async {
            let mut log = None;
            for job in &jobs {
                let mut run = Run::new(job, &columns, log_name(&config.log.place), &self);
                if !self.dry_run && !run.report.imported_before && log.is_none() {
                    log = Some(bus.open_log(&config.log).await?);
                }
                let result = if run.report.imported_before {
                    Ok(None)
                } else {
                    run.import(log.as_ref(), &columns).await
                };
                run.bar.finish_and_clear();
                run.report.print(self.json)?;
                bad += run.report.found.bad + run.report.refused;
                unread.extend(result?);
            }
            Ok::<_, anyhow::Error>(())
        })?;
        match (bad, unread.as_slice()) {
            (0, []) => Ok(()),
            (n, []) => Err(Failure::bad_input(format!("{n} rows were left out"))),
            (_, unread) => Err(Failure::bad_input(unread.join("; "))),
        }
    }

    /// Everything that is to be known of a file before any is imported.
    fn prepare(&self, path: &Path, columns: &WfmColumns) -> anyhow::Result<Job> {
        let shown = path.display().to_string();
        let is_stdin = path.as_os_str() == "-";
        let (written, bytes) = if is_stdin {
            (None, None)
        } else {
            let look = || {
                let length = File::open(path)?.metadata()?;
                let hash = hash_of(path)?;
                Ok::<_, io::Error>((length.modified()?, (length.len(), hash)))
            };
            let (written, bytes) = look().with_context(|| shown.clone())?;
            (Some(milliseconds(written)), Some(bytes))
        };
        let recorded_at = self.recorded_at.or(written).context(
            "-: nothing tells when an export on standard input was made; say it with --recorded-at",
        )?;
        if recorded_at > milliseconds(SystemTime::now() + AHEAD) {
            anyhow::bail!(
                "{shown}: recorded at {recorded_at}, which is still to come, so no correction would ever count; say \
                 the right time with --recorded-at"
            );
        }
        let name = path.file_name().map(|name| name.to_string_lossy());
        let file = name.map_or_else(|| shown.clone(), std::borrow::Cow::into_owned);
        let version = self.export_version.clone();
        let export = Export {
            name: columns.export.clone(),
            version: version.or_else(|| (!is_stdin).then(|| file.clone())),
            file,
            recorded_at,
        };
        if !is_stdin {
            let file = File::open(path).with_context(|| shown.clone())?;
            Rows::open(file, columns).with_context(|| shown.clone())?;
        }
        Ok(Job {
            path: path.to_owned(),
            export,
            bytes,
        })
    }
}

/// The import of one file.
struct Run<'a> {
    job: &'a Job,
    name: String,
    note: Option<Note>,
    bar: ProgressBar,
    report: Report,
    started: Instant,
}

impl<'a> Run<'a> {
    fn new(job: &'a Job, columns: &WfmColumns, log: String, command: &Wfm) -> Self {
        let name = job.path.display().to_string();
        let note = job.bytes.as_ref().map(|(length, hash)| {
            let how = format!("{length} {hash} {:?} {columns:?}", job.export);
            let identity = format!("{:032x}", xxhash_rust::xxh3::xxh3_128(how.as_bytes()));
            Note::of(&job.path, log, identity)
        });
        let before = note.as_ref().and_then(Note::before);
        let before = before.filter(|_| !command.again && !command.dry_run);
        let report = Report {
            file: name.clone(),
            recorded_at: job.export.recorded_at.to_string(),
            export_version: job.export.version.clone(),
            dry_run: command.dry_run,
            imported_before: before.is_some_and(|entry| entry.done),
            rows_before: before.map_or(0, |entry| entry.rows),
            done: before.is_some_and(|entry| entry.done),
            ..Report::default()
        };
        let bar = match &job.bytes {
            Some((length, _)) => ProgressBar::new(*length).with_style(style(
                "{wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} {msg}",
            )),
            None => ProgressBar::new_spinner().with_style(style(
                "{spinner} {decimal_bytes} read, {decimal_bytes_per_sec}, {msg}",
            )),
        };
        Self {
            job,
            name,
            note,
            bar,
            report,
            started: Instant::now(),
        }
    }

    /// Reads the file, and stores what is in it if there is a log. Says from where on it could not be read, if so.
    async fn import(
        &mut self,
        log: Option<&Log>,
        columns: &WfmColumns,
    ) -> anyhow::Result<Option<String>> {
        let input: Box<dyn Read> = match &self.job.bytes {
            Some(_) => Box::new(File::open(&self.job.path).with_context(|| self.name.clone())?),
            None => Box::new(io::stdin()),
        };
        let rows =
            Rows::open(self.bar.wrap_read(input), columns).with_context(|| self.name.clone())?;
        let mut import = Import::new(rows, self.job.export.clone(), columns.clone());
        let result = self.carry(log, &mut import).await;
        self.report.found = import.tally().clone();
        self.report.seconds = self.started.elapsed().as_secs_f64();
        let end = result?;
        if let Err(error) = end {
            return match error {
                ReadError::Io(_) => Err(anyhow::Error::new(error).context(self.name.clone())),
                ReadError::Form { .. } | ReadError::Broken { .. } => {
                    Ok(Some(format!("{}: {error}", self.name)))
                }
            };
        }
        if let Some((length, hash)) = &self.job.bytes {
            let now = fs::metadata(&self.job.path).with_context(|| self.name.clone())?;
            if now.len() != *length || hash_of(&self.job.path)? != *hash {
                anyhow::bail!(
                    "{}: changed while it was imported; import it again",
                    self.name
                );
            }
        }
        self.report.done = true;
        if log.is_some() {
            self.write_note(self.report.found.rows, true);
        }
        Ok(None)
    }

    /// From the file to the log, batch by batch. The end is how reading ended; an error, that the log failed.
    async fn carry(
        &mut self,
        log: Option<&Log>,
        import: &mut Import,
    ) -> anyhow::Result<Result<(), ReadError>> {
        let mut batch = self.read(import);
        loop {
            let storing = log.map(|log| {
                let log = Arc::clone(log);
                let events = batch
                    .events
                    .iter()
                    .map(|(_, event)| event.clone())
                    .collect();
                // A task of its own, so that it is on its way while this one reads on.
                tokio::spawn(
                    async move { log::retry::append(log.as_ref(), events, PATIENCE).await },
                )
            });
            let next = match batch.end {
                Some(_) => Batch::default(),
                None => self.read(import),
            };
            if let Some(storing) = storing {
                let answers = storing.await?;
                self.acknowledge(&batch.events, answers)?;
                self.write_note(batch.rows, false);
            }
            self.bar.set_message(format!("row {}", batch.rows));
            if let Some(end) = batch.end {
                return Ok(end);
            }
            batch = next;
        }
    }

    /// The next rows' events, without those of rows that a run before has stored.
    fn read(&self, import: &mut Import) -> Batch {
        let mut batch = Batch::default();
        while batch.events.len() < BATCH && batch.end.is_none() {
            let taken = import.next_row();
            batch.rows = import.tally().rows;
            let is_new = batch.rows > self.report.rows_before;
            match taken {
                Ok(Some(Taken::Good(events))) if is_new => {
                    let origin = Origin::Value { row: batch.rows };
                    batch.events.extend(events.into_iter().map(|e| (origin, e)));
                }
                Ok(Some(Taken::Bad(bad, event))) if is_new => {
                    if import.tally().bad <= REPORTED_MAX {
                        let text = format!("{}:{bad}", self.name);
                        self.bar.suspend(|| terminal::complain(&text));
                    }
                    batch.events.extend(event.map(|e| (Origin::Bad, e)));
                }
                Ok(Some(Taken::Good(_) | Taken::Bad(..))) => {}
                Ok(None) => batch.end = Some(Ok(())),
                Err(error) => batch.end = Some(Err(error)),
            }
        }
        batch
    }

    fn acknowledge(
        &mut self,
        sent: &[(Origin, NewEvent)],
        answers: Vec<Result<Appended, AppendError>>,
    ) -> anyhow::Result<()> {
        let mut unknown = None;
        for ((origin, _), answer) in sent.iter().zip(answers) {
            match (origin, answer) {
                (Origin::Value { .. }, Ok(appended)) if appended.duplicate => {
                    self.report.duplicates += 1;
                }
                (Origin::Value { .. }, Ok(_)) => self.report.stored += 1,
                (Origin::Bad, Ok(_)) => {}
                (Origin::Value { row }, Err(AppendError::Refused(why))) => {
                    self.report.refused += 1;
                    let text = format!("{}: row {row}: refused by the log: {why}", self.name);
                    self.bar.suspend(|| terminal::complain(&text));
                }
                // It stands in the summary all the same.
                (Origin::Bad, Err(AppendError::Refused(why))) => {
                    let text = format!(
                        "{}: not in quarantine: refused by the log: {why}",
                        self.name
                    );
                    self.bar.suspend(|| terminal::complain(&text));
                }
                (_, Err(AppendError::Unknown(why))) => unknown = Some(why),
            }
        }
        match unknown {
            None => Ok(()),
            Some(why) => Err(anyhow::anyhow!(
                "{}: not confirmed within {PATIENCE:?}: {why}; run it again to go on",
                self.name
            )),
        }
    }

    /// A note that cannot be written costs the next run its time, and nothing else.
    fn write_note(&mut self, rows: u64, done: bool) {
        let Some(note) = &mut self.note else { return };
        if let Err(error) = note.write(rows, done) {
            let text = format!(
                "{}: what was imported cannot be noted beside it ({error}); the next import reads it from the start",
                self.name
            );
            self.bar.suspend(|| terminal::complain(&text));
            self.note = None;
        }
    }
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(format!("{:032x}", hash.digest128()));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
}

fn milliseconds(time: SystemTime) -> EventTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    EventTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
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
