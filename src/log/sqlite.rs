//! The embedded log: one SQLite file, nothing to install, nothing to run beside it.
//!
//! `file` knows the tables, `writer` is the one thread that writes and syncs (group commit), `batch` says what a
//! write does, `ids` remembers message ids, `checkpoint` tidies up, `pool` and `reads` read on threads of their own. Several processes may
//! have the file open: each transaction takes SQLite's write lock, and all fences and positions are settled inside
//! it. SQLite was chosen because nothing that stores is tested more, and because anyone can open the file.

use std::{
    fs,
    num::NonZeroU16,
    path::{Path, PathBuf},
};

use aftercall_actors::time::LogTime;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::watch;

use super::{
    AppendError, Appended, Bounds, CommitError, EventLog, EventReader, Finding, Headers, Lane,
    LaneFences, Level, LogError, NewEvent, NewOutput, OutputMark, PartitionId, Position, RawEvent,
    Route, Seq, Stored, StoredOutput, TailFrom,
};

mod batch;
mod checkpoint;
mod file;
mod ids;
mod pool;
mod reads;
mod writer;

pub use file::FILE;

use batch::{EventRow, Fenced, OutputRow};
use checkpoint::Checkpoints;
use ids::MessageId;
use pool::Pool;
use reads::Table;
use writer::Writer;

/// Partitions a side of a new file, if nothing else is asked for. (A zero here would not compile.)
pub const PARTITION_COUNT_DEFAULT: NonZeroU16 = NonZeroU16::new(8).unwrap();

/// Largest record, event or output it takes, in bytes. One transaction should stay far below what a checkpoint
/// moves at once.
const RECORD_BYTES_MAX: usize = 4 << 20;

/// Snapshot chunks removed in one transaction, so that commits get in between.
const TRIM_CHUNKS: usize = 16;

/// What can be chosen when the file is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqliteSettings {
    /// Partitions a side. `None` takes what the file has, or [`PARTITION_COUNT_DEFAULT`] for a new one.
    pub partition_count: Option<NonZeroU16>,
}

/// An open embedded log. Dropping it ends its threads once they have written what was given to them.
#[derive(Debug)]
pub struct SqliteLog {
    path: PathBuf,
    partition_count: u16,
    writer: Writer,
    pool: Pool,
    stored: watch::Receiver<()>,
}

impl SqliteLog {
    /// Opens the log in `folder`, or makes folder and log. Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`LogError::Settings`] if the folder cannot be used, the file there is not a log of this format, or it was
    /// made with another partition count than asked for.
    pub fn open(folder: &Path, settings: SqliteSettings) -> Result<Self, LogError> {
        fs::create_dir_all(folder).map_err(|error| {
            LogError::Settings(format!("cannot make folder {}: {error}", folder.display()))
        })?;
        let path = folder.join(FILE);
        let (connection, partition_count) =
            file::open_to_write(&path, settings.partition_count, PARTITION_COUNT_DEFAULT)?;
        let pool = Pool::start(&path)?;
        let checkpoints = Checkpoints::start(file::open_to_checkpoint(&path)?)?;
        let (touch, stored) = watch::channel(());
        Ok(Self {
            writer: Writer::start(connection, checkpoints, touch)?,
            path,
            partition_count,
            pool,
            stored,
        })
    }

    fn row(&self, event: NewEvent) -> Result<EventRow, AppendError> {
        if let Some(text) = too_large("an event", event.payload.len()) {
            return Err(AppendError::Refused(text));
        }
        let (agent, customer) = match event.destination.route(self.partition_count) {
            Route::Pair { agent, customer } => (Some(agent), Some(customer)),
            Route::All => (None, None),
        };
        Ok(EventRow {
            id: MessageId::of(&event.message_id),
            agent,
            customer,
            headers: event.headers.to_block(),
            payload: event.payload,
        })
    }

    /// Size of the file and of its write-ahead log, in bytes.
    fn size_bytes(&self) -> u64 {
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        length(&self.path) + length(Path::new(&wal))
    }
}

fn too_large(what: &str, bytes: usize) -> Option<String> {
    (bytes > RECORD_BYTES_MAX)
        .then(|| format!("{what} of {bytes} bytes is above {RECORD_BYTES_MAX}"))
}

fn committed<T>(answer: Result<Result<T, Fenced>, LogError>) -> Result<T, CommitError> {
    match answer {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Fenced)) => Err(CommitError::Fenced),
        Err(error) => Err(CommitError::Unknown(error.to_string())),
    }
}

#[async_trait]
impl EventLog for SqliteLog {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn partition_count(&self) -> u16 {
        self.partition_count
    }

    fn record_bytes_max(&self) -> usize {
        RECORD_BYTES_MAX
    }

    fn now(&self) -> LogTime {
        file::system_time()
    }

    async fn findings(&self) -> Result<Vec<Finding>, LogError> {
        let journal_mode: String = self
            .pool
            .ask(|connection| {
                connection
                    .pragma_query_value(None, "journal_mode", |row| row.get(0))
                    .map_err(file::fault)
            })
            .await?;
        // A setting of the connection that writes, so that one must be asked.
        let synchronous = self.writer.write(0, |batch| batch.synchronous()).await?;
        let is_safe = journal_mode == "wal" && synchronous == 2;
        let finding = |level, subject: &str, text: String| Finding {
            level,
            subject: subject.into(),
            text,
        };
        Ok(vec![
            finding(
                Level::Good,
                "file",
                format!(
                    "{}, {} bytes, {} partitions a side, SQLite {}",
                    self.path.display(),
                    self.size_bytes(),
                    self.partition_count,
                    rusqlite::version()
                ),
            ),
            finding(
                if is_safe { Level::Good } else { Level::Bad },
                "sync mode",
                format!(
                    "journal_mode {journal_mode}, synchronous {synchronous}: a write is answered once it is on the disk only with wal and 2 (FULL)"
                ),
            ),
            finding(
                Level::Risk,
                "replicas",
                "one machine, one disk: survives a crash and a power failure, not the loss of the disk; for more use NATS with three replicas".into(),
            ),
            finding(
                Level::Risk,
                "retention",
                "nothing is removed but old snapshots: the file grows with every event and output, so watch the disk".into(),
            ),
        ])
    }

    async fn append(&self, events: Vec<NewEvent>) -> Vec<Result<Appended, AppendError>> {
        if events.is_empty() {
            return Vec::new();
        }
        let mut rows = Vec::with_capacity(events.len());
        let mut bytes = 0;
        // A refused event keeps its place among the answers.
        let taken: Vec<Result<(), AppendError>> = events
            .into_iter()
            .map(|event| {
                let row = self.row(event)?;
                bytes += row.headers.len() + row.payload.len();
                rows.push(row);
                Ok(())
            })
            .collect();
        let stored = self
            .writer
            .write(bytes, move |batch| batch.append(&rows))
            .await;
        match stored {
            Ok(stored) => {
                let mut stored = stored.into_iter();
                let unanswered = || AppendError::Unknown("the writer gave too few answers".into());
                taken
                    .into_iter()
                    .map(|taken| taken.and_then(|()| stored.next().ok_or_else(unanswered)))
                    .collect()
            }
            Err(error) => {
                let unknown = AppendError::Unknown(error.to_string());
                taken
                    .into_iter()
                    .map(|taken| taken.and_then(|()| Err(unknown.clone())))
                    .collect()
            }
        }
    }

    async fn bounds(&self) -> Result<Bounds, LogError> {
        self.pool.ask(|connection| reads::bounds(connection)).await
    }

    async fn event_at(&self, position: Position) -> Result<Option<RawEvent>, LogError> {
        self.pool
            .ask(move |connection| reads::event_at(connection, position))
            .await
    }

    async fn read(&self, from: Position) -> Result<Box<dyn EventReader>, LogError> {
        let from = from.max(1);
        let Bounds { first, .. } = self.bounds().await?;
        if from < first {
            return Err(LogError::Trimmed {
                wanted: from,
                first,
            });
        }
        let reader = reads::Reader::new(self.pool.clone(), self.stored.clone(), from);
        Ok(Box::new(reader))
    }

    async fn journal_head(&self, partition: PartitionId) -> Result<Option<Stored>, LogError> {
        self.pool
            .ask(move |connection| reads::last_record(connection, Table::Journal, partition))
            .await
    }

    async fn journal_append(
        &self,
        partition: PartitionId,
        expected: Seq,
        record: Bytes,
    ) -> Result<Seq, CommitError> {
        if let Some(text) = too_large("a record", record.len()) {
            return Err(CommitError::Refused(text));
        }
        let partition = partition.to_string();
        committed(
            self.writer
                .write(record.len(), move |batch| {
                    batch.journal_append(&partition, expected, &record)
                })
                .await,
        )
    }

    async fn journal_scan(
        &self,
        partition: PartitionId,
        from: Seq,
        to: Seq,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        Ok(reads::scan(
            self.pool.clone(),
            Table::Journal,
            partition,
            from,
            to,
        ))
    }

    async fn snapshot_append(&self, partition: PartitionId, chunk: Bytes) -> Result<Seq, LogError> {
        if let Some(text) = too_large("a chunk", chunk.len()) {
            return Err(LogError::Settings(text));
        }
        let partition = partition.to_string();
        self.writer
            .write(chunk.len(), move |batch| {
                batch.snapshot_append(&partition, &chunk)
            })
            .await
    }

    async fn snapshot_scan(
        &self,
        partition: PartitionId,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        // What is held now, and not what another generation adds meanwhile.
        let last = self
            .pool
            .ask(move |connection| reads::last_record(connection, Table::Snapshot, partition))
            .await?;
        Ok(match last {
            Some(last) => reads::scan(self.pool.clone(), Table::Snapshot, partition, 1, last.seq),
            None => stream::empty().boxed(),
        })
    }

    async fn snapshot_trim(&self, partition: PartitionId, before: Seq) -> Result<(), LogError> {
        let name = partition.to_string();
        loop {
            let name = name.clone();
            let removed = self
                .writer
                .write(RECORD_BYTES_MAX, move |batch| {
                    batch.snapshot_trim(&name, before, TRIM_CHUNKS)
                })
                .await?;
            if removed < TRIM_CHUNKS {
                return Ok(());
            }
        }
    }

    async fn output_mark(
        &self,
        partition: PartitionId,
        lane: Lane,
    ) -> Result<Option<OutputMark>, LogError> {
        self.pool
            .ask(move |connection| batch::output_mark(connection, &partition.to_string(), lane))
            .await
    }

    async fn outputs_append(
        &self,
        partition: PartitionId,
        fences: &mut LaneFences,
        outputs: &[NewOutput],
    ) -> Result<usize, CommitError> {
        let mut rows = Vec::with_capacity(outputs.len());
        let mut bytes = 0;
        for output in outputs {
            if let Some(text) = too_large("an output", output.payload.len()) {
                return Err(CommitError::Refused(text));
            }
            let attributes = output.attributes.iter().map(|(n, v)| (*n, v.as_str()));
            let row = OutputRow {
                lane: output.lane,
                commit: output.commit,
                ordinal: output.ordinal,
                headers: Headers::from_pairs(attributes).to_block(),
                payload: output.payload.clone(),
            };
            bytes += row.headers.len() + row.payload.len();
            rows.push(row);
        }
        if rows.is_empty() {
            return Ok(0);
        }
        let (partition, expected) = (partition.to_string(), *fences);
        *fences = committed(
            self.writer
                .write(bytes, move |batch| {
                    batch.outputs_append(&partition, &expected, &rows)
                })
                .await,
        )?;
        Ok(outputs.len())
    }

    async fn outputs_tail(
        &self,
        lanes: &[Lane],
        from: TailFrom,
    ) -> Result<BoxStream<'static, Result<StoredOutput, LogError>>, LogError> {
        let after = match from {
            TailFrom::Start => 0,
            TailFrom::Now => {
                self.pool
                    .ask(|connection| reads::output_last(connection))
                    .await?
            }
        };
        Ok(reads::tail(
            self.pool.clone(),
            self.stored.clone(),
            lanes,
            after,
        ))
    }
}
