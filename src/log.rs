//! The port to the event log, and what goes through it.
//!
//! The engine in `shard` knows only this trait; `log/jetstream.rs`, `log/sqlite.rs` and `log/memory.rs`
//! implement it, and one conformance suite (`tests/conformance.rs`) holds them to the same words.
//!
//! Six logs stand behind it: the **events** (the truth, append only), one **journal** per partition (a record
//! per commit, fenced), **snapshots** per partition (packed generations), the **outputs** (one lane per
//! kind and partition, fenced as well, so that a lane's last message says how far it got), and for each destination
//! that outputs are delivered to its **delivery records** (fenced like a journal, trimmed behind a checkpoint) and
//! its **dead letters** (append only: what was given up, and what operators decided about it).

use std::{fmt, sync::Arc};

use aftercall_actors::contract::{key::Side, output::Kind, time::LogTime};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

pub mod checksum;
pub mod clock;
pub mod dead;
pub mod error;
pub mod headers;
pub mod health;
pub mod jetstream;
pub mod mark;
pub mod memory;
pub mod owner;
pub mod place;
pub mod private;
pub mod retry;
pub mod sqlite;
pub mod stored;
pub mod watched;

pub use dead::{DeadPlace, NewDead, StoredDead};
pub use error::{AppendError, CommitError, LogError};
pub use headers::Headers;
pub use mark::EventMark;
pub use place::{Destination, Route, Speaker};

/// Place of an event in the log: 1 for the first, without holes. 0 stands before the first.
pub type Position = u64;

/// Sequence of a stored message in the journal, the snapshots, the outputs, the delivery records or the dead letters,
/// each counted by itself: ascending, holes allowed. 0 means "none yet".
pub type Seq = u64;

/// One shard of the actors: a side and a number below the partition count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// Family of actors.
    pub side: Side,
    /// Number, from 0.
    pub index: u16,
}

impl PartitionId {
    /// All partitions of both sides, `count` a side.
    pub fn all(count: u16) -> impl Iterator<Item = Self> {
        Side::ALL
            .into_iter()
            .flat_map(move |side| Self::of(side, count))
    }

    /// The partitions of one side.
    pub fn of(side: Side, count: u16) -> impl Iterator<Item = Self> {
        (0..count).map(move |index| Self { side, index })
    }
}

/// `agent.3`, as in subjects and metrics.
impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.side, self.index)
    }
}

/// An event as the log holds it, not yet decoded.
#[derive(Clone, Debug)]
pub struct RawEvent {
    /// Place in the log.
    pub position: Position,
    /// When the log stored it.
    pub time: LogTime,
    /// Where its subject sends it.
    pub route: Route,
    /// Whose place it stands in.
    pub speaker: Speaker,
    /// Message headers: `ce-*` in binary mode, anything in structured mode.
    pub headers: Headers,
    /// Data in binary mode, the whole CloudEvent in structured mode.
    pub payload: Bytes,
}

/// An event to be stored.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Where it goes.
    pub destination: Destination,
    /// Headers to store with it.
    pub headers: Headers,
    /// Body.
    pub payload: Bytes,
    /// `source` and `id` in one string: two appends with the same one within two minutes store one event.
    /// A convenience against retries; the guarantee is the actor's own dedupe.
    pub message_id: String,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where the event stands.
    pub position: Position,
    /// Whether it already stood there under the same message id.
    pub duplicate: bool,
}

/// A stored journal record, snapshot chunk or delivery record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its sequence.
    pub seq: Seq,
    /// Its content, as written.
    pub bytes: Bytes,
}

/// One ordered line of outputs of a partition: a kind's, or the quarantine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// `cx.out.<kind>.<side>.<partition>`
    Out(Kind),
    /// `cx.dead.event.<side>.<partition>`: input that could not be processed.
    Dead,
}

impl Lane {
    /// How many there are.
    pub const COUNT: usize = Kind::ALL.len() + 1;

    /// Every lane, kinds first.
    pub fn all() -> impl Iterator<Item = Self> {
        Kind::ALL.into_iter().map(Self::Out).chain([Self::Dead])
    }

    /// Place among [`Lane::all`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Out(kind) => kind.index(),
            Self::Dead => Kind::ALL.len(),
        }
    }

    /// The kind's name, or `dead`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Out(kind) => kind.name(),
            Self::Dead => "dead",
        }
    }
}

/// An output on its way from a committed journal record to its lane.
#[derive(Clone, Debug, PartialEq)]
pub struct NewOutput {
    /// Its lane.
    pub lane: Lane,
    /// The commit it belongs to.
    pub commit: u64,
    /// Its place among the outputs of that commit, from 0.
    pub ordinal: u32,
    /// CloudEvents attributes and whatever else travels in headers, name and value.
    pub attributes: Vec<(&'static str, String)>,
    /// Data.
    pub payload: Bytes,
}

/// The last output that stands in a lane. Outputs of a lane are stored in order of (commit, ordinal), so all up
/// to this one are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputMark {
    /// Its sequence: the fence for the next one.
    pub seq: Seq,
    /// Its commit.
    pub commit: u64,
    /// Its place in that commit.
    pub ordinal: u32,
}

/// What has become of an output that stood in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It stands there.
    Stands,
    /// It was removed: by retention, or by an operator.
    Removed,
    /// The log has lost it: it ends before, or another output stands in its place.
    Lost,
}

/// The last output of each lane.
pub type LaneMarks = [Option<OutputMark>; Lane::COUNT];

/// The sequence each lane's next output expects to follow.
pub type LaneFences = [Seq; Lane::COUNT];

/// An output read back, for `tap`, `load` and the demo.
#[derive(Clone, Debug)]
pub struct StoredOutput {
    /// Its sequence.
    pub seq: Seq,
    /// When the log stored it.
    pub time: LogTime,
    /// Its lane.
    pub lane: Lane,
    /// The partition that made it.
    pub partition: PartitionId,
    /// The commit it belongs to; 0 if it does not say, and then it is none of ours.
    pub commit: u64,
    /// Its place among the outputs of that commit.
    pub ordinal: u32,
    /// CloudEvents attributes and the rest.
    pub headers: Headers,
    /// Data.
    pub payload: Bytes,
}

/// Where a tail begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailFrom {
    /// With the first output still held.
    Start,
    /// With the next output to be stored.
    Now,
    /// With the first output after this sequence: all that is still held of them, then those to come, without a hole
    /// and without one twice. Of kinds only: quarantined input is counted by itself.
    After(Seq),
}

impl TailFrom {
    /// The lanes a tail from here gives, of those asked for (all there can be, if empty).
    ///
    /// # Errors
    /// [`LogError::Settings`] if quarantined input is asked for behind a sequence together with outputs.
    fn lanes(self, asked: &[Lane]) -> Result<Vec<Lane>, LogError> {
        let numbered_apart = match self {
            Self::Start | Self::Now => false,
            Self::After(_) => true,
        };
        match asked {
            [] if numbered_apart => Ok(Kind::ALL.map(Lane::Out).into()),
            [] => Ok(Lane::all().collect()),
            [_] => Ok(asked.to_vec()),
            lanes if numbered_apart && lanes.contains(&Lane::Dead) => Err(LogError::Settings(
                "quarantined input is not counted with the outputs, so both cannot be followed from one sequence".into(),
            )),
            lanes => Ok(lanes.to_vec()),
        }
    }
}

/// Events held by the log: the first and the last position. `last` is 0 if there never was one; `first` is then 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// First position still held.
    pub first: Position,
    /// Last position stored.
    pub last: Position,
}

/// How much a finding about the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Good,
    /// Works, with a risk the operator should know.
    Risk,
    /// Must be put right.
    Bad,
}

/// One thing `doctor` and the start of `run` say about the log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What was looked at: `server version`, `sync mode`, `replicas`, ...
    pub subject: String,
    /// What was found, and what would be right.
    pub text: String,
}

/// Events from a position on, in order.
#[async_trait]
pub trait EventReader: Send {
    /// Waits for at least one event and returns what has arrived, at most `max`, contiguous with what came before.
    ///
    /// # Errors
    /// [`LogError::Gap`] and [`LogError::Trimmed`] end the reader. After [`LogError::Unreachable`] the next call
    /// goes on where this one stopped. A call that is given up loses nothing.
    async fn next(&mut self, max: usize) -> Result<Vec<RawEvent>, LogError>;
}

/// A handle to any of the three logs.
pub type Log = Arc<dyn EventLog>;

/// The event log with its journal, snapshots and outputs.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// `jetstream`, `sqlite` or `memory`.
    fn name(&self) -> &'static str;

    /// Partitions a side; fixed when the log is made.
    fn partition_count(&self) -> u16;

    /// Largest journal record or snapshot chunk it takes, in bytes.
    fn record_bytes_max(&self) -> usize;

    /// About what the log would stamp on an event now. Only for deciding when a tick is worth sending, and for
    /// latency figures; never for what an actor sees.
    fn now(&self) -> LogTime;

    /// Why nothing that is written is kept any more, if it is so: the process has to stop. Cheap enough for once a second.
    fn fault(&self) -> Option<String> {
        None
    }

    /// Whether several processes can have it open to run on it: nothing but the fences keeps them apart then.
    fn is_shared(&self) -> bool {
        false
    }

    /// The account of what it has failed at, where one is kept: around the log of a service ([`watched`]).
    fn health(&self) -> Option<&health::Health> {
        None
    }

    /// Leaves the log as it is best kept: nothing is written by this process any more.
    ///
    /// # Errors
    /// If that cannot be done; what is stored is stored all the same.
    async fn close(&self) -> Result<(), LogError> {
        Ok(())
    }

    /// What is to be said of this machine's clock, if it jumped (see [`clock`]).
    fn clock_note(&self) -> Option<String>;

    /// Counts how often the log may have lost what it had confirmed: a connection was lost, a reader broke. Whoever
    /// remembers what stood in it then looks whether it still does. Always the same where that cannot happen.
    fn doubts(&self) -> u64 {
        0
    }

    /// Version, settings, durability: what this log survives and what it does not.
    async fn findings(&self) -> Result<Vec<Finding>, LogError>;

    /// Stores events, in order, and returns one answer for each once it is durable.
    async fn append(&self, events: Vec<NewEvent>) -> Vec<Result<Appended, AppendError>>;

    /// First and last event held.
    async fn bounds(&self) -> Result<Bounds, LogError>;

    /// One event, if it is held.
    async fn event_at(&self, position: Position) -> Result<Option<RawEvent>, LogError>;

    /// Reads events from `from` on, those to come included.
    ///
    /// # Errors
    /// [`LogError::Trimmed`] if `from` is no longer held.
    async fn read(&self, from: Position) -> Result<Box<dyn EventReader>, LogError>;

    /// The newest journal record of a partition, from the log's leader (never a stale copy).
    async fn journal_head(&self, partition: PartitionId) -> Result<Option<Stored>, LogError>;

    /// Appends a journal record if the partition's newest one has sequence `expected` (0: none).
    async fn journal_append(
        &self,
        partition: PartitionId,
        expected: Seq,
        record: Bytes,
    ) -> Result<Seq, CommitError>;

    /// The partition's journal records with sequences from `from` to `to`, both included, in order.
    async fn journal_scan(
        &self,
        partition: PartitionId,
        from: Seq,
        to: Seq,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError>;

    /// Removes the partition's journal records with sequences below `before`, but for the first one held, which says what
    /// rules the partition began with: a full snapshot stands in for them. In a log whose retention is set there (NATS)
    /// nothing is removed. The fence stays where it is as long as `before` is not above the head.
    async fn journal_trim(&self, partition: PartitionId, before: Seq) -> Result<(), LogError>;

    /// Appends a snapshot chunk; not fenced, since a snapshot names the chunks that belong to it.
    async fn snapshot_append(&self, partition: PartitionId, chunk: Bytes) -> Result<Seq, LogError>;

    /// All snapshot chunks of a partition held now, in order.
    async fn snapshot_scan(
        &self,
        partition: PartitionId,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError>;

    /// Removes the partition's snapshot chunks with sequences below `before`.
    async fn snapshot_trim(&self, partition: PartitionId, before: Seq) -> Result<(), LogError>;

    /// The last output in a lane, from the log's leader.
    async fn output_mark(
        &self,
        partition: PartitionId,
        lane: Lane,
    ) -> Result<Option<OutputMark>, LogError>;

    /// What has become of an output that was the last one of its lane, asked of the log's leader. Logs that cannot lose
    /// their end apart from the journal know of none that is lost.
    async fn output_kept(
        &self,
        _partition: PartitionId,
        _lane: Lane,
        _mark: OutputMark,
    ) -> Result<Kept, LogError> {
        Ok(Kept::Removed)
    }

    /// Stores a prefix of `outputs` (at least one, in order, each lane's first one only if the lane's last
    /// message has the sequence `fences` says) and returns its length; `fences` moves on with what was stored.
    ///
    /// # Errors
    /// After any error read the marks again: a part may have been stored.
    async fn outputs_append(
        &self,
        partition: PartitionId,
        fences: &mut LaneFences,
        outputs: &[NewOutput],
    ) -> Result<usize, CommitError>;

    /// Outputs of all partitions in the lanes asked for (all, if empty), as they are stored.
    async fn outputs_tail(
        &self,
        lanes: &[Lane],
        from: TailFrom,
    ) -> Result<BoxStream<'static, Result<StoredOutput, LogError>>, LogError>;

    /// One output of a kind; `None` if there is none under this sequence, or retention has removed it.
    async fn output_at(&self, seq: Seq) -> Result<Option<StoredOutput>, LogError>;

    /// The sequence of the last output of any kind, from the log's leader; 0 if there never was one.
    async fn outputs_last(&self) -> Result<Seq, LogError>;

    /// The newest delivery record of a destination, from the log's leader.
    ///
    /// # Errors
    /// [`LogError::Settings`] if the name is none ([`dead::is_destination`]); so for every call with a destination.
    async fn delivery_head(&self, destination: &str) -> Result<Option<Stored>, LogError>;

    /// Appends a delivery record if the destination's newest one has sequence `expected` (0: none).
    ///
    /// # Errors
    /// As for [`EventLog::journal_append`]; after all but a refusal the head says what stands.
    async fn delivery_append(
        &self,
        destination: &str,
        expected: Seq,
        record: Bytes,
    ) -> Result<Seq, CommitError>;

    /// All delivery records of a destination held now, in order.
    async fn delivery_scan(
        &self,
        destination: &str,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError>;

    /// Removes the destination's delivery records with sequences below `before`: what a checkpoint at `before` says
    /// again. The fence stays where it is as long as `before` is not above the head.
    async fn delivery_trim(&self, destination: &str, before: Seq) -> Result<(), LogError>;

    /// Stores a dead letter or a decision about one. The same message id for the same destination within two minutes
    /// is stored once, and answered with the sequence it has; whoever reads folds away what comes later than that.
    async fn dead_append(&self, destination: &str, entry: NewDead) -> Result<Seq, AppendError>;

    /// One dead letter or decision of any destination, if it is held.
    async fn dead_at(&self, seq: Seq) -> Result<Option<StoredDead>, LogError>;

    /// The dead letters and decisions held now: of one destination, in order; or of all of them, each in its order,
    /// and with them the input that was quarantined (whose sequences are not those of letters everywhere).
    async fn dead_scan(
        &self,
        destination: Option<&str>,
    ) -> Result<BoxStream<'static, Result<StoredDead, LogError>>, LogError>;

    /// Dead letters and decisions of a destination with sequences above `after`: those held, then those to come.
    /// A transient fault is told and the stream goes on behind it.
    async fn dead_tail(
        &self,
        destination: &str,
        after: Seq,
    ) -> Result<BoxStream<'static, Result<StoredDead, LogError>>, LogError>;
}
