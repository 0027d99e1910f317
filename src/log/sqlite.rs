//! The embedded log: one SQLite file, nothing to install, nothing to run beside it.
//!
//! `file` knows the tables, `writer` is the one thread that writes and syncs (group commit), `batch` says what a
//! write does, `ids` remembers message ids, `checkpoint` tidies up, `place` watches that the file stays where it is; `reads`, `records` and `lines` read, on the threads
//! of `pool`. Several processes may have the file open: each transaction takes SQLite's write lock, and all fences and positions are settled inside
//! it. SQLite was chosen because nothing that stores is tested more, and because anyone can open the file.

use std::{
    num::NonZeroU16,
    path::{Path, PathBuf},
    sync::Arc,
};

use aftercall_actors::contract::time::LogTime;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::sync::watch;

use super::{
    AppendError, Appended, Bounds, CommitError, EventLog, EventReader, Finding, Headers, Lane,
    LaneFences, LogError, NewDead, NewEvent, NewOutput, OutputMark, PartitionId, Position,
    RawEvent, Route, Seq, Speaker, Stored, StoredDead, StoredOutput, TailFrom, clock::Clock, dead,
    private,
};

mod batch;
mod checkpoint;
mod file;
mod findings;
mod ids;
mod lines;
mod place;
mod pool;
mod reads;
mod records;
mod writer;

pub use file::FILE;

use batch::{DeadRow, EventRow, Fenced, OutputRow};
use checkpoint::Checkpoints;
use ids::MessageId;
use place::Place;
use pool::Pool;
use records::Table;
use writer::Writer;

/// Partitions a side of a new file, if nothing else is asked for. (A zero here would not compile.)
pub const PARTITION_COUNT_DEFAULT: NonZeroU16 = NonZeroU16::new(8).unwrap();

/// Largest record, event or output it takes, in bytes. One transaction should stay far below what a checkpoint
/// moves at once.
const RECORD_BYTES_MAX: usize = 4 << 20;

/// Snapshot chunks removed in one transaction, so that commits get in between.
const TRIM_CHUNKS: usize = 16;

/// Journal or delivery records removed in one transaction: they are small, and come by the thousand.
const TRIM_RECORDS: usize = 512;

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
    place: Place,
    writer: Writer,
    clock: Arc<Clock>,
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
        private::make_dir(folder).map_err(|error| {
            LogError::Settings(format!("cannot make folder {}: {error}", folder.display()))
        })?;
        let path = folder.join(FILE);
        file::make_private(&path)?;
        let (connection, partition_count) =
            file::open_to_write(&path, settings.partition_count, PARTITION_COUNT_DEFAULT)?;
        let place = Place::of(&path)?;
        let pool = Pool::start(&path)?;
        let checkpoints = Checkpoints::start(file::open_to_checkpoint(&path)?)?;
        let (touch, stored) = watch::channel(());
        let clock = Arc::new(Clock::starting_after(file::last_time(&connection)?));
        Ok(Self {
            writer: Writer::start(
                connection,
                (checkpoints, place.clone()),
                Arc::clone(&clock),
                touch,
            )?,
            place,
            clock,
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
            own: event.destination.speaker() == Speaker::Service,
            agent,
            customer,
            headers: event.headers.to_block(),
            payload: event.payload,
        })
    }

    async fn append_fenced(
        &self,
        table: Table,
        key: String,
        expected: Seq,
        record: Bytes,
    ) -> Result<Seq, CommitError> {
        committed(
            self.writer
                .write(record.len(), move |batch| {
                    batch.append_fenced(table, &key, expected, &record)
                })
                .await,
        )
    }

    /// The records of `key` held now, and not what is added meanwhile.
    async fn held(
        &self,
        table: Table,
        key: String,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        let name = key.clone();
        let last = self
            .pool
            .ask(move |connection| records::last_record(connection, table, &name))
            .await?;
        Ok(match last {
            Some(last) => records::scan(self.pool.clone(), table, key, 1, last.seq),
            None => stream::empty().boxed(),
        })
    }

    /// Removes the records of `key` below `before`, `at_once` in a transaction.
    async fn trim(
        &self,
        table: Table,
        key: String,
        before: Seq,
        at_once: usize,
    ) -> Result<(), LogError> {
        loop {
            let name = key.clone();
            let removed = self
                .writer
                .write(RECORD_BYTES_MAX, move |batch| {
                    batch.trim(table, &name, before, at_once)
                })
                .await?;
            if removed < at_once {
                return Ok(());
            }
        }
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

    fn fault(&self) -> Option<String> {
        self.place.fault()
    }

    fn now(&self) -> LogTime {
        self.clock.now()
    }

    fn clock_note(&self) -> Option<String> {
        self.clock.note()
    }

    async fn close(&self) -> Result<(), LogError> {
        self.writer.fold().await
    }

    async fn findings(&self) -> Result<Vec<Finding>, LogError> {
        findings::of(self).await
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
            .ask(move |connection| {
                records::last_record(connection, Table::Journal, &partition.to_string())
            })
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
        self.append_fenced(Table::Journal, partition.to_string(), expected, record)
            .await
    }

    async fn journal_scan(
        &self,
        partition: PartitionId,
        from: Seq,
        to: Seq,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        let (pool, name) = (self.pool.clone(), partition.to_string());
        Ok(records::scan(pool, Table::Journal, name, from, to))
    }

    async fn journal_trim(&self, partition: PartitionId, before: Seq) -> Result<(), LogError> {
        self.trim(Table::Journal, partition.to_string(), before, TRIM_RECORDS)
            .await
    }

    async fn snapshot_append(&self, partition: PartitionId, chunk: Bytes) -> Result<Seq, LogError> {
        if let Some(text) = too_large("a chunk", chunk.len()) {
            return Err(LogError::Settings(text));
        }
        let partition = partition.to_string();
        self.writer
            .write(chunk.len(), move |batch| {
                batch.append_record(Table::Snapshot, &partition, &chunk)
            })
            .await
    }

    async fn snapshot_scan(
        &self,
        partition: PartitionId,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        self.held(Table::Snapshot, partition.to_string()).await
    }

    async fn snapshot_trim(&self, partition: PartitionId, before: Seq) -> Result<(), LogError> {
        self.trim(Table::Snapshot, partition.to_string(), before, TRIM_CHUNKS)
            .await
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
        let lanes = from.lanes(lanes)?;
        let (after, others) = match from {
            TailFrom::Start => (0, reads::POLL),
            TailFrom::Now => {
                let last = self.pool.ask(|connection| lines::output_last(connection));
                (last.await?, reads::POLL)
            }
            TailFrom::After(seq) => (seq, reads::POLL_RARE),
        };
        let (pool, stored) = (self.pool.clone(), self.stored.clone());
        Ok(lines::outputs_tail(pool, stored, others, &lanes, after))
    }

    async fn output_at(&self, seq: Seq) -> Result<Option<StoredOutput>, LogError> {
        self.pool
            .ask(move |connection| lines::output_at(connection, seq))
            .await
    }

    async fn outputs_last(&self) -> Result<Seq, LogError> {
        self.pool
            .ask(|connection| lines::kinds_last(connection))
            .await
    }

    async fn delivery_head(&self, destination: &str) -> Result<Option<Stored>, LogError> {
        dead::known_destination(destination)?;
        let name = destination.to_owned();
        self.pool
            .ask(move |connection| records::last_record(connection, Table::Delivery, &name))
            .await
    }

    async fn delivery_append(
        &self,
        destination: &str,
        expected: Seq,
        record: Bytes,
    ) -> Result<Seq, CommitError> {
        dead::check_destination(destination).map_err(CommitError::Refused)?;
        if let Some(text) = too_large("a record", record.len()) {
            return Err(CommitError::Refused(text));
        }
        self.append_fenced(Table::Delivery, destination.to_owned(), expected, record)
            .await
    }

    async fn delivery_scan(
        &self,
        destination: &str,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        dead::known_destination(destination)?;
        self.held(Table::Delivery, destination.to_owned()).await
    }

    async fn delivery_trim(&self, destination: &str, before: Seq) -> Result<(), LogError> {
        dead::known_destination(destination)?;
        let name = destination.to_owned();
        self.trim(Table::Delivery, name, before, TRIM_RECORDS).await
    }

    async fn dead_append(&self, destination: &str, entry: NewDead) -> Result<Seq, AppendError> {
        dead::check_destination(destination).map_err(AppendError::Refused)?;
        if let Some(text) = too_large("a dead letter", entry.payload.len()) {
            return Err(AppendError::Refused(text));
        }
        let row = DeadRow {
            destination: destination.to_owned(),
            message_id: entry.message_id,
            headers: entry.headers.to_block(),
            payload: entry.payload,
        };
        self.writer
            .write(row.headers.len() + row.payload.len(), move |batch| {
                batch.dead_append(&row)
            })
            .await
            .map_err(|error| AppendError::Unknown(error.to_string()))
    }

    async fn dead_at(&self, seq: Seq) -> Result<Option<StoredDead>, LogError> {
        self.pool
            .ask(move |connection| lines::dead_at(connection, seq))
            .await
    }

    async fn dead_scan(
        &self,
        destination: Option<&str>,
    ) -> Result<BoxStream<'static, Result<StoredDead, LogError>>, LogError> {
        if let Some(destination) = destination {
            dead::known_destination(destination)?;
        }
        lines::dead_scan(self.pool.clone(), destination.map(str::to_owned)).await
    }

    async fn dead_tail(
        &self,
        destination: &str,
        after: Seq,
    ) -> Result<BoxStream<'static, Result<StoredDead, LogError>>, LogError> {
        dead::known_destination(destination)?;
        let name = destination.to_owned();
        Ok(lines::dead_tail(self.pool.clone(), name, after))
    }
}
