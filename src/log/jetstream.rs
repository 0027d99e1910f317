//! The event log on NATS JetStream: the one for production, clustered if the server is.
//!
//! Six streams behind the port's six logs, and one more for raw vendor payloads; quarantined input stands with the dead
//! letters. Exclusion between
//! two owners of a partition is the server's check of a subject's last sequence, and nothing else: no lease, no clock.
//! What the server was measured to do, and where it bites, stands in the module that deals with it.

use std::{
    num::{NonZeroU16, NonZeroUsize},
    path::PathBuf,
    time::{Duration, Instant},
};

use aftercall_actors::contract::time::LogTime;
use async_nats::jetstream::stream::Info;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::{
    AppendError, Appended, Bounds, CommitError, EventLog, EventReader, Finding, Kept, Lane,
    LaneFences, LogError, NewDead, NewEvent, NewOutput, OutputMark, PartitionId, Position,
    RawEvent, Seq, Stored, StoredDead, StoredOutput, TailFrom, clock::Clock, dead,
};

mod answers;
mod atomic;
mod events;
mod findings;
mod follower;
mod groups;
mod guard;
mod letters;
mod link;
mod outputs;
mod records;
mod streams;
mod subjects;

pub use link::Login;
pub use outputs::{COMMIT_HEADER, ORDINAL_HEADER};

use events::Events;
use letters::Letters;
use link::Link;
use outputs::Outputs;
use records::Records;

/// Partitions a side of a log made without a wish.
const PARTITIONS: NonZeroU16 = NonZeroU16::MIN.saturating_add(7);
/// Largest record, whatever the server would take: the client and the server hold several of them in memory.
const RECORD_BYTES_MAX: usize = 1 << 20;
/// Wait for the replicas of a stream to choose a leader, and pause between two looks.
const LEADER_WAIT: Duration = Duration::from_secs(6);
const LEADER_PAUSE: Duration = Duration::from_millis(250);
/// Room for the headers of a record.
const RECORD_HEADER_BYTES: usize = 4 << 10;

/// Where the server is, and how the streams are made if they do not exist.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `nats://host:4222`, or `tls://...`; several servers of one cluster with commas between them.
    pub url: String,
    /// How the server knows us.
    pub login: Login,
    /// Certificates to trust besides the system's own (PEM).
    pub root_certificates: Option<PathBuf>,
    /// Partitions a side. A log that exists keeps its own count.
    pub partitions: NonZeroU16,
    /// Replicas of every stream.
    pub replicas: NonZeroUsize,
    /// How long events are kept; without limit if none.
    pub max_age: Option<Duration>,
    /// How many bytes of events are kept; without limit if none.
    pub max_bytes: Option<u64>,
    /// Whether missing streams are made; if not, a missing one is an error.
    pub make: bool,
    /// The server's monitoring port, `http://host:8222`: shows how often it writes to the disk for good.
    pub monitoring_url: Option<String>,
}

impl Settings {
    /// Settings for a server at `url`, everything else as by default.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            login: Login::default(),
            root_certificates: None,
            partitions: PARTITIONS,
            replicas: NonZeroUsize::MIN,
            max_age: None,
            max_bytes: None,
            make: true,
            monitoring_url: None,
        }
    }
}

/// An [`EventLog`] on a JetStream server.
#[derive(Debug)]
pub struct JetStreamLog {
    link: Link,
    clock: Clock,
    settings: Settings,
    partitions: u16,
    differences: Vec<streams::Difference>,
    events: Events,
    journal: Records,
    snapshots: Records,
    outputs: Outputs,
    deliveries: Records,
    letters: Letters,
}

impl JetStreamLog {
    /// Connects, checks version and streams, and makes the streams that are missing.
    ///
    /// The client's own work runs on the tokio runtime this is called on, so that runtime must live as long as the log.
    ///
    /// # Errors
    /// [`LogError::Unreachable`] if no server answers; [`LogError::Settings`] if the server is too old, does not let us
    /// in, or has a stream that would break a guarantee.
    pub async fn connect(settings: Settings) -> Result<Self, LogError> {
        let link = Link::connect(&settings).await?;
        findings::check_version(&link.client.server_info().version)?;
        let streams::Streams {
            partitions,
            differences,
        } = streams::ensure(&link, &settings).await?;
        let handle = async |name: &'static str| {
            let stream = link.api.get_stream_no_info(name).await;
            stream.map_err(|error| answers::unreachable(&error))
        };
        let records = async |name| Ok(Records::new(link.clone(), name, handle(name).await?));
        let log = Self {
            events: Events::new(link.clone(), handle(subjects::EVENTS).await?, partitions),
            journal: records(subjects::JOURNAL).await?,
            snapshots: records(subjects::SNAPSHOT).await?,
            deliveries: records(subjects::DELIVERY).await?,
            letters: Letters::new(link.clone(), handle(subjects::DEAD).await?),
            outputs: Outputs::new(
                link.clone(),
                handle(subjects::OUT).await?,
                handle(subjects::DEAD).await?,
            ),
            link,
            clock: Clock::starting_after(LogTime(0)),
            settings,
            partitions,
            differences,
        };
        Ok(log)
    }

    /// How a stream is. That none of its replicas leads is believed only if it lasts: they choose one in a moment.
    async fn settled_info(&self, name: &str) -> Result<Info, LogError> {
        let began = Instant::now();
        loop {
            let stream = self.link.api.get_stream(name).await;
            let stream = stream.map_err(|error| answers::unreachable(&error))?;
            let info = stream.cached_info();
            if !findings::has_no_leader(info) || began.elapsed() >= LEADER_WAIT {
                return Ok(info.clone());
            }
            tokio::time::sleep(LEADER_PAUSE).await;
        }
    }

    async fn append_fenced(
        &self,
        records: &Records,
        subject: String,
        expected: Seq,
        record: Bytes,
    ) -> Result<Seq, CommitError> {
        if record.len() > self.record_bytes_max() {
            return Err(CommitError::Refused(too_large(
                record.len(),
                self.record_bytes_max(),
            )));
        }
        records.append(subject, Some(expected), record).await
    }
}

#[async_trait]
impl EventLog for JetStreamLog {
    fn name(&self) -> &'static str {
        "jetstream"
    }

    fn partition_count(&self) -> u16 {
        self.partitions
    }

    fn record_bytes_max(&self) -> usize {
        let payload_max = self.link.client.max_payload();
        payload_max
            .min(RECORD_BYTES_MAX)
            .saturating_sub(RECORD_HEADER_BYTES)
    }

    fn now(&self) -> LogTime {
        self.clock.now()
    }

    fn clock_note(&self) -> Option<String> {
        self.clock.note()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn doubts(&self) -> u64 {
        self.link.doubts()
    }

    async fn findings(&self) -> Result<Vec<Finding>, LogError> {
        let mut infos = Vec::new();
        for name in [
            subjects::EVENTS,
            subjects::JOURNAL,
            subjects::SNAPSHOT,
            subjects::OUT,
            subjects::DEAD,
            subjects::DELIVERY,
        ] {
            infos.push(self.settled_info(name).await?);
        }
        let mut list = findings::server(&self.link.client.server_info());
        list.extend(findings::streams(&infos));
        list.extend(findings::leaderless(&infos));
        list.push(findings::sync_mode(&self.settings).await);
        list.push(guard::finding(&self.settings).await);
        list.extend(findings::differences(&self.differences));
        Ok(list)
    }

    async fn append(&self, events: Vec<NewEvent>) -> Vec<Result<Appended, AppendError>> {
        self.events.append(events).await
    }

    async fn bounds(&self) -> Result<Bounds, LogError> {
        self.events.bounds().await
    }

    async fn event_at(&self, position: Position) -> Result<Option<RawEvent>, LogError> {
        self.events.at(position).await
    }

    async fn read(&self, from: Position) -> Result<Box<dyn EventReader>, LogError> {
        self.events.read(from).await
    }

    async fn journal_head(&self, partition: PartitionId) -> Result<Option<Stored>, LogError> {
        self.journal.head(&subjects::journal(partition)).await
    }

    async fn journal_append(
        &self,
        partition: PartitionId,
        expected: Seq,
        record: Bytes,
    ) -> Result<Seq, CommitError> {
        self.append_fenced(
            &self.journal,
            subjects::journal(partition),
            expected,
            record,
        )
        .await
    }

    async fn journal_scan(
        &self,
        partition: PartitionId,
        from: Seq,
        to: Seq,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        self.journal
            .scan(subjects::journal(partition), from, to)
            .await
    }

    async fn journal_trim(&self, _: PartitionId, _: Seq) -> Result<(), LogError> {
        // Append only, and nobody here may delete from it: the stream's limits do.
        Ok(())
    }

    async fn snapshot_append(&self, partition: PartitionId, chunk: Bytes) -> Result<Seq, LogError> {
        if chunk.len() > self.record_bytes_max() {
            return Err(LogError::Settings(too_large(
                chunk.len(),
                self.record_bytes_max(),
            )));
        }
        self.snapshots
            .append(subjects::snapshot(partition), None, chunk)
            .await
            .map_err(|error| match error {
                CommitError::Refused(text) => LogError::Settings(text),
                CommitError::Fenced | CommitError::Unknown(_) => {
                    LogError::Unreachable(error.to_string())
                }
            })
    }

    async fn snapshot_scan(
        &self,
        partition: PartitionId,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        self.snapshots
            .scan(subjects::snapshot(partition), 1, Seq::MAX)
            .await
    }

    async fn snapshot_trim(&self, partition: PartitionId, before: Seq) -> Result<(), LogError> {
        self.snapshots
            .trim(subjects::snapshot(partition), before)
            .await
    }

    async fn output_mark(
        &self,
        partition: PartitionId,
        lane: Lane,
    ) -> Result<Option<OutputMark>, LogError> {
        self.outputs.mark(partition, lane).await
    }

    async fn output_kept(
        &self,
        partition: PartitionId,
        lane: Lane,
        mark: OutputMark,
    ) -> Result<Kept, LogError> {
        self.outputs.kept(partition, lane, mark).await
    }

    async fn outputs_append(
        &self,
        partition: PartitionId,
        fences: &mut LaneFences,
        outputs: &[NewOutput],
    ) -> Result<usize, CommitError> {
        self.outputs.append(partition, fences, outputs).await
    }

    async fn outputs_tail(
        &self,
        lanes: &[Lane],
        from: TailFrom,
    ) -> Result<BoxStream<'static, Result<StoredOutput, LogError>>, LogError> {
        self.outputs.tail(lanes, from).await
    }

    async fn output_at(&self, seq: Seq) -> Result<Option<StoredOutput>, LogError> {
        self.outputs.at(seq).await
    }

    async fn outputs_last(&self) -> Result<Seq, LogError> {
        self.outputs.last().await
    }

    async fn delivery_head(&self, destination: &str) -> Result<Option<Stored>, LogError> {
        dead::known_destination(destination)?;
        self.deliveries.head(&subjects::delivery(destination)).await
    }

    async fn delivery_append(
        &self,
        destination: &str,
        expected: Seq,
        record: Bytes,
    ) -> Result<Seq, CommitError> {
        dead::check_destination(destination).map_err(CommitError::Refused)?;
        let subject = subjects::delivery(destination);
        self.append_fenced(&self.deliveries, subject, expected, record)
            .await
    }

    async fn delivery_scan(
        &self,
        destination: &str,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        dead::known_destination(destination)?;
        let subject = subjects::delivery(destination);
        self.deliveries.scan(subject, 1, Seq::MAX).await
    }

    async fn delivery_trim(&self, destination: &str, before: Seq) -> Result<(), LogError> {
        // Also because the server would take a filter in its place, and purge what it matches.
        dead::known_destination(destination)?;
        self.deliveries
            .trim(subjects::delivery(destination), before)
            .await
    }

    async fn dead_append(&self, destination: &str, entry: NewDead) -> Result<Seq, AppendError> {
        dead::check_destination(destination).map_err(AppendError::Refused)?;
        self.letters.append(destination, entry).await
    }

    async fn dead_at(&self, seq: Seq) -> Result<Option<StoredDead>, LogError> {
        self.letters.at(seq).await
    }

    async fn dead_scan(
        &self,
        destination: Option<&str>,
    ) -> Result<BoxStream<'static, Result<StoredDead, LogError>>, LogError> {
        if let Some(destination) = destination {
            dead::known_destination(destination)?;
        }
        self.letters.scan(destination).await
    }

    async fn dead_tail(
        &self,
        destination: &str,
        after: Seq,
    ) -> Result<BoxStream<'static, Result<StoredDead, LogError>>, LogError> {
        dead::known_destination(destination)?;
        Ok(self.letters.tail(destination, after))
    }
}

fn too_large(bytes: usize, bytes_max: usize) -> String {
    format!("a record of {bytes} bytes; at most {bytes_max} are taken")
}
