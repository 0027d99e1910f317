//! One partition's life: take over, then apply, commit, relay and snapshot until told to stop.
//!
//! The loop performs what the engine decides. One commit is in flight while the next batch is applied; the relay
//! publishes behind it; a snapshot piece is written when nothing more urgent is. All of it is one task: dropped
//! at any await, it leaves nothing that recovery cannot read from the log. The simulation runs this same code.

use std::{sync::Arc, time::Duration};

use aftercall_actors::rules::RuleSet;
use backoff::{BackoffBuilder as _, ExponentialBuilder};
use futures::future::{FutureExt as _, LocalBoxFuture, OptionFuture};
use tokio::{sync::mpsc, time::Instant};

use super::{
    answering::Answering,
    ask::Asked,
    batch::Feed,
    board::{Board, Standing, State},
    engine::{Engine, EngineError, Sealed},
    memory::MemoryBound,
    recovery::{Recovered, RecoveryError, Taking, recover, retry},
    relay::{Committed, Progress, RelayError, relay},
    snapshot::{Generation, Needed, Packer, Write},
    ticker::Ticker,
};
use crate::{
    log::{
        CommitError, EventLog, EventMark, Log, LogError, PartitionId, Position, Seq,
        owner::Owner,
        retry::{doubling, next_pause},
    },
    planted::{Bug, PanicIn, is_planted, panic_if_planted},
    supervise::Panicked,
    telemetry::{SnapshotKind, metrics},
};

/// The journal falls at most this far behind what has been applied, while nothing is said.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// A generation begins this long after the last one ended,
const SNAPSHOT_EVERY: Duration = Duration::from_secs(30);

/// or once this many positions have gone by, so that replay stays short.
const SNAPSHOT_POSITIONS: Position = 250_000;

/// A stopping process spends at most this long on a last snapshot.
const FINAL_SNAPSHOT_MAX: Duration = Duration::from_secs(2);

/// Between tries to commit. A log without room is not helped by being asked fifty times a second.
const COMMIT_PAUSES: ExponentialBuilder =
    doubling(Duration::from_millis(20), Duration::from_secs(1));

/// Commits waiting for the relay before the next one has to wait.
const RELAY_COMMITS_MAX: usize = 4;

/// What a partition shares with the rest of its process.
#[derive(Clone)]
pub struct Surroundings {
    /// The log.
    pub log: Log,
    /// Where it accounts for itself.
    pub board: Arc<Board>,
    /// Moves time on.
    pub ticker: Arc<Ticker>,
    /// Memory all partitions share.
    pub memory: Arc<MemoryBound>,
    /// Rules of a partition that never had an owner.
    pub genesis: RuleSet,
    /// This process.
    pub owner: Arc<Owner>,
}

/// Why a partition no longer runs.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// It was told to stop, and everything it applied is committed and published.
    #[error("stopped as asked")]
    AsAsked,
    /// Another owner has taken over: found out at a commit.
    #[error("another owner has committed: {0}")]
    Fenced(String),
    /// It cannot be taken over.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// A stored actor cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An output cannot be stored.
    #[error(transparent)]
    Relay(RelayError),
    /// The log refuses a commit for good.
    #[error("log refuses commit {commit}: {why}")]
    Refused {
        /// Its number.
        commit: u64,
        /// What the log said.
        why: String,
    },
    /// The journal has lost what was stored in it: the partition has to be taken over anew.
    #[error("the journal has lost its end: {0}")]
    JournalLost(String),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A mistake of the program: what it had in memory is gone, and what was committed stands.
    #[error("its host {0}")]
    Panicked(#[from] Panicked),
}

impl From<RelayError> for Ended {
    fn from(error: RelayError) -> Self {
        match error {
            RelayError::JournalLost { .. } => Self::JournalLost(error.to_string()),
            RelayError::Refused { .. } | RelayError::Lane(_) => Self::Relay(error),
        }
    }
}

impl Ended {
    /// Says on the board, and in the program's log, how the partition ended.
    pub fn show(&self, board: &Board, partition: PartitionId) {
        let state = match self {
            Self::AsAsked => {
                board.release(partition);
                return tracing::debug!(%partition, "partition released");
            }
            Self::Fenced(_) | Self::Recovery(RecoveryError::Fenced) => State::Fenced,
            Self::JournalLost(_) => {
                metrics().log_losses("journal").inc();
                tracing::error!(%partition, reason = %self, "the partition is taken over anew");
                return board.ask_anew(partition, self);
            }
            Self::Recovery(_)
            | Self::Engine(_)
            | Self::Relay(_)
            | Self::Refused { .. }
            | Self::Log(_)
            | Self::Panicked(_) => State::Stopped,
        };
        tracing::error!(%partition, reason = %self, "partition ended");
        board.end(partition, state, self);
    }
}

/// A partition that has been taken over and waits for events from behind its floor on.
pub struct Acquired {
    /// Replay begins behind this position.
    pub floor: Position,
    /// The event at the committed position.
    pub committed: EventMark,
    recovered: Recovered,
}

/// Takes the partition over and says so on the board.
///
/// # Errors
/// If it must not run.
pub async fn acquire(around: &Surroundings, partition: PartitionId) -> Result<Acquired, Ended> {
    let taking = Taking {
        genesis: &around.genesis,
        known: around.board.commit(partition),
        owner: around.owner.id(),
    };
    panic_if_planted(PanicIn::TakeOver);
    let recovered = recover(&*around.log, partition, taking).await?;
    let start = &recovered.start;
    around.board.update(partition, |status| {
        (status.state, status.reason) = (State::Recovering, None);
        status.epoch = start.epoch;
        status.commit = start.head.commit;
        status.applied = start.floor;
        status.committed = start.committed;
        status.rules = start.rules.version().to_owned();
    });
    if let Some(from) = recovered.rewound_from {
        around.board.note_loss(partition, from, start.committed);
    }
    Ok(Acquired {
        floor: start.floor,
        committed: start.mark,
        recovered,
    })
}

/// Runs a partition until it is told to stop or must, and answers questions about its actors meanwhile.
pub async fn drive(
    around: Surroundings,
    acquired: Acquired,
    mut feeds: mpsc::Receiver<Feed>,
    questions: mpsc::Receiver<Asked>,
) -> Ended {
    let Recovered {
        start,
        packer,
        unrelayed,
        rewound_from: _,
        lost_after: _,
    } = acquired.recovered;
    let partition = start.partition;
    let progress = Progress::starting_at(start.relayed, start.lanes);
    let (to_relay, commits) = mpsc::channel(RELAY_COMMITS_MAX.max(unrelayed.len()));
    for (at, outputs) in unrelayed {
        if to_relay.try_send(Committed { at, outputs }).is_err() {
            unreachable!("the channel was made large enough for what recovery found");
        }
    }
    let log = Arc::clone(&around.log);
    let relaying = relay(&*log, partition, commits, Arc::clone(&progress));
    let mut engine = Engine::new(start);
    engine.set_record_bytes_max(around.log.record_bytes_max());
    let mut partition = Partition {
        engine,
        packer,
        progress,
        to_relay: Some(to_relay),
        commit: None,
        piece: None,
        marked_at: Instant::now(),
        generation_at: Instant::now(),
        generation_position: acquired.floor,
        finishing: None,
        answering: Answering::new(questions),
        shelving_failed: false,
        around,
    };
    let ended = partition.run(&mut feeds, relaying).await;
    partition.flush_metrics();
    partition.around.memory.set(partition.engine.partition, 0);
    ended
}

struct Partition {
    around: Surroundings,
    engine: Engine,
    packer: Packer,
    progress: Arc<Progress>,
    /// Gone once no commit will follow.
    to_relay: Option<mpsc::Sender<Committed>>,
    commit: Option<LocalBoxFuture<'static, Result<(Sealed, Seq), Ended>>>,
    piece: Option<LocalBoxFuture<'static, (bool, Result<Seq, LogError>)>>,
    marked_at: Instant,
    generation_at: Instant,
    generation_position: Position,
    /// Since when no more events come.
    finishing: Option<Instant>,
    answering: Answering,
    /// The disk did not take quiet actors.
    shelving_failed: bool,
}

impl Partition {
    async fn run(
        &mut self,
        feeds: &mut mpsc::Receiver<Feed>,
        relaying: impl Future<Output = Result<(), RelayError>>,
    ) -> Ended {
        let mut relaying = std::pin::pin!(relaying);
        loop {
            self.begin_commit();
            self.begin_piece();
            self.finish();
            self.account();
            panic_if_planted(PanicIn::Partition);
            let wake = self.wake_at();
            let outcome = tokio::select! {
                biased;
                done = OptionFuture::from(self.commit.as_mut()), if self.commit.is_some() => {
                    self.commit = None;
                    done.map_or(Ok(()), |done| done.map(|(sealed, seq)| self.committed(sealed, seq)))
                }
                done = &mut relaying => match done {
                    Ok(()) => return Ended::AsAsked,
                    Err(error) => Err(error.into()),
                },
                done = OptionFuture::from(self.piece.as_mut()), if self.piece.is_some() => {
                    self.piece = None;
                    if let Some((is_manifest, done)) = done {
                        self.piece_written(is_manifest, done);
                    }
                    Ok(())
                }
                feed = feeds.recv(), if self.engine.has_room() && self.finishing.is_none() => {
                    match feed {
                        Some(feed) => self.engine.offer(feed),
                        None => self.finishing = Some(Instant::now()),
                    }
                    Ok(())
                }
                () = self.answering.due() => Ok(()),
                () = tokio::time::sleep_until(wake) => Ok(()),
            };
            let applied = outcome.and_then(|()| Ok(self.engine.apply()?));
            if let Err(ended) = applied {
                return ended;
            }
            let memory = &self.around.memory;
            self.engine.responses.share(|items| memory.share(items));
            self.answering.step(&self.engine, &*self.around.log);
            if self.around.memory.is_short() {
                self.shelve();
            }
        }
    }

    /// Starts the next commit, if one is due and the one before is through.
    fn begin_commit(&mut self) {
        let Some(to_relay) = &self.to_relay else {
            return;
        };
        if self.commit.is_some() || to_relay.capacity() == 0 || !self.engine.is_recovered() {
            return;
        }
        let waited = self.marked_at.elapsed() >= MARK_EVERY || self.finishing.is_some();
        let mark_due = self.engine.is_ahead() && waited;
        if self.engine.has_outputs() || mark_due {
            self.engine.set_relayed(self.progress.get());
            let sealed = self.engine.seal();
            let log = Arc::clone(&self.around.log);
            let partition = self.engine.partition;
            self.commit = Some(commit(log, partition, sealed).boxed_local());
            self.marked_at = Instant::now();
        }
    }

    fn committed(&mut self, sealed: Sealed, seq: Seq) {
        self.engine.committed_at(&sealed, seq);
        let now = self.around.log.now();
        for cause in &sealed.causes {
            metrics()
                .publish_to_commit_seconds
                .observe(now.since_ms(*cause).max(0) as f64 / 1e3);
        }
        let at = super::engine::Relayed {
            commit: sealed.commit,
            seq,
        };
        if let Some(to_relay) = &self.to_relay
            && to_relay
                .try_send(Committed {
                    at,
                    outputs: sealed.outputs,
                })
                .is_err()
        {
            unreachable!("a commit begins only while the relay has room for it");
        }
        self.flush_metrics();
    }

    /// Packs a slice of a snapshot and starts writing a piece, if one is due and the one before is through.
    fn begin_piece(&mut self) {
        if self.piece.is_some() || !self.engine.is_recovered() {
            return;
        }
        if !self.packer.is_busy() {
            let applied = self.engine.applied();
            let due = self.finishing.is_some()
                || self.generation_at.elapsed() >= SNAPSHOT_EVERY
                || applied >= self.generation_position + SNAPSHOT_POSITIONS;
            if !due || applied == self.generation_position || self.engine.has_outputs() {
                return;
            }
            self.generation_position = applied;
            self.generation_at = Instant::now();
            self.packer.begin(&mut self.engine);
        }
        let chunk = self.packer.step(&mut self.engine);
        if let Some(error) = self.packer.take_failure() {
            let partition = self.engine.partition;
            tracing::error!(%partition, %error, "snapshot given up");
            self.packer.abandon();
            self.generation_at = Instant::now();
            return;
        }
        let is_manifest = chunk.is_none();
        let Some(Write { bytes, .. }) = chunk.or_else(|| self.packer.manifest(&self.engine)) else {
            return;
        };
        let log = Arc::clone(&self.around.log);
        let partition = self.engine.partition;
        self.piece = Some(
            async move { (is_manifest, log.snapshot_append(partition, bytes).await) }.boxed_local(),
        );
    }

    fn piece_written(&mut self, is_manifest: bool, outcome: Result<Seq, LogError>) {
        let partition = self.engine.partition;
        match outcome {
            Ok(seq) if is_manifest => {
                if let Some(Generation { full, trim_before }) = self.packer.manifest_written(seq) {
                    let kind = if full {
                        SnapshotKind::Full
                    } else {
                        SnapshotKind::Difference
                    };
                    metrics().snapshots(kind).inc();
                    metrics()
                        .snapshot_seconds
                        .observe(self.generation_at.elapsed().as_secs_f64());
                    self.around.board.update(partition, |status| {
                        status.snapshot_at = Some(Instant::now());
                    });
                    if let Some(before) = trim_before {
                        self.trim(before);
                    }
                }
                self.generation_at = Instant::now();
            }
            Ok(seq) => self.packer.chunk_written(seq),
            Err(error) => {
                tracing::debug!(%partition, %error, "snapshot given up");
                self.packer.abandon();
                self.generation_at = Instant::now();
            }
        }
    }

    /// Removes what a full generation made needless. Failing is harmless: the next one tries again.
    fn trim(&self, before: Needed) {
        let log = Arc::clone(&self.around.log);
        let partition = self.engine.partition;
        tokio::task::spawn_local(async move {
            if let Err(error) = log.snapshot_trim(partition, before.piece).await {
                tracing::debug!(%partition, %error, "old snapshots not removed");
            }
            if let Err(error) = log.journal_trim(partition, before.record).await {
                tracing::debug!(%partition, %error, "old journal records not removed");
            }
        });
    }

    /// Puts quiet actors on the disk.
    fn shelve(&mut self) {
        let shelved = self.engine.shelve_all(self.around.memory.folder());
        if let Err(error) = shelved
            && !std::mem::replace(&mut self.shelving_failed, true)
        {
            let (partition, folder) = (self.engine.partition, self.around.memory.folder());
            tracing::error!(%partition, %error, folder = %folder.display(), "quiet actors stay in memory (said once)");
        }
        self.account();
    }

    /// When to look again though nothing has come.
    fn wake_at(&self) -> Instant {
        const LOOK_EVERY: Duration = Duration::from_millis(250);
        let now = Instant::now();
        let mut wake = now + LOOK_EVERY;
        if self.packer.is_busy() && self.piece.is_none() && self.packer.has_more_to_sweep() {
            return now;
        }
        if let Some(deadline) = self.engine.next_deadline() {
            let due_in_ms = deadline.since_ms(self.around.log.now());
            match u64::try_from(due_in_ms) {
                Ok(ms) => wake = wake.min(now + Duration::from_millis(ms + 1)),
                // Due already: time moves on with the next event, or with a tick.
                Err(_) => self.around.ticker.ask(),
            }
        }
        wake
    }

    /// Once no event will follow and everything is committed and packed: lets the relay run dry, which ends the
    /// partition.
    fn finish(&mut self) {
        let Some(since) = self.finishing else { return };
        let engine = &self.engine;
        let committed = self.commit.is_none() && !engine.has_outputs() && !engine.is_ahead();
        let packed = self.piece.is_none() && !self.packer.is_busy();
        if !engine.is_recovered() || (committed && (packed || since.elapsed() > FINAL_SNAPSHOT_MAX))
        {
            self.to_relay = None;
        }
    }

    fn account(&mut self) {
        let engine = &self.engine;
        let (actors, actor_bytes) = engine.actors();
        let now = self.around.log.now();
        let standing = Standing {
            applied: engine.applied(),
            committed: engine.committed(),
            commit: engine.head().commit,
            published: self.progress.published(),
            due: engine.next_deadline().filter(|due| *due < now),
        };
        let end = self.around.board.log_end();
        self.around.memory.set(engine.partition, actor_bytes);
        self.around.board.update(engine.partition, |status| {
            status.stand(standing, end);
            if status.rules != engine.rules_version() {
                status.rules = engine.rules_version().to_owned();
            }
            if status.state == State::Recovering && engine.is_recovered() {
                status.state = State::Running;
            }
            status.commit = engine.head().commit;
            status.actors = actors as u64;
            status.actor_bytes = actor_bytes;
        });
    }

    fn flush_metrics(&mut self) {
        self.engine.tally.flush(self.engine.partition);
    }
}

/// Brings one record into the journal, or finds out who did.
async fn commit(
    log: Log,
    partition: PartitionId,
    mut sealed: Sealed,
) -> Result<(Sealed, Seq), Ended> {
    let began = Instant::now();
    let mut pauses = COMMIT_PAUSES.build();
    loop {
        match log
            .journal_append(partition, sealed.expected, sealed.bytes.clone())
            .await
        {
            Ok(seq) => return Ok(confirmed(partition, sealed, seq, began)),
            Err(CommitError::Refused(why)) => {
                return Err(Ended::Refused {
                    commit: sealed.commit,
                    why,
                });
            }
            Err(error @ (CommitError::Fenced | CommitError::Unknown(_))) => {
                metrics().unknown_commits.inc();
                tracing::debug!(%partition, commit = sealed.commit, %error, "reading the journal's head");
                if is_planted(Bug::CommitWithoutFence)
                    && let Some(head) = log.journal_head(partition).await?
                {
                    sealed.expected = head.seq;
                    continue;
                }
                match settle(&*log, partition, &sealed).await? {
                    Some(seq) => return Ok(confirmed(partition, sealed, seq, began)),
                    None => tokio::time::sleep(next_pause(&mut pauses)).await,
                }
            }
        }
    }
}

fn confirmed(partition: PartitionId, sealed: Sealed, seq: Seq, began: Instant) -> (Sealed, Seq) {
    metrics().commits(partition.side).inc();
    metrics()
        .commit_seconds
        .observe(began.elapsed().as_secs_f64());
    (sealed, seq)
}

/// Reads the head after a commit whose outcome is unknown: our record stands (its sequence), the one before still
/// does (nothing: try again), or another owner's.
async fn settle(
    log: &dyn EventLog,
    partition: PartitionId,
    sealed: &Sealed,
) -> Result<Option<Seq>, Ended> {
    let head = retry(|| log.journal_head(partition)).await?;
    match head {
        Some(head) if head.bytes == sealed.bytes => Ok(Some(head.seq)),
        Some(head) if head.seq == sealed.expected => Ok(None),
        Some(head) if head.seq < sealed.expected => Err(Ended::JournalLost(format!(
            "it ends at record {}, commit {} had been stored at {}",
            head.seq,
            sealed.commit - 1,
            sealed.expected
        ))),
        Some(head) => {
            metrics().fenced_commits.inc();
            Err(Ended::Fenced(format!(
                "journal record {} is not ours",
                head.seq
            )))
        }
        None => Err(Ended::JournalLost(format!(
            "it is empty, commit {} had been stored",
            sealed.commit - 1
        ))),
    }
}
