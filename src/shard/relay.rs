//! Publishes committed outputs: in order, each once, whoever crashes.
//!
//! A lane's last message says how far the lane is, and every write is fenced by it. So a relay that lost an
//! answer, or follows another owner's, reads the marks and goes on behind them; the server's dedupe window
//! plays no part. What a commit says is fixed by the journal, so two relays of one partition can only agree.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus::IntGauge;
use tokio::sync::mpsc;

use crate::{
    log::{CommitError, EventLog, Lane, LaneFences, LogError, NewOutput, OutputMark, PartitionId},
    shard::{engine::Relayed, recovery::retry},
    telemetry::metrics,
};

/// Outputs the relay takes in before it lets commits wait.
const WAITING_MAX: usize = 1_000;

/// Outputs offered to the log at once.
const WRITE_MAX: usize = 1_000;

/// Pause after a write that failed; doubled each time up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Outputs of one commit, on their way.
#[derive(Debug)]
pub struct Committed {
    /// The commit, and where it stands in the journal.
    pub at: Relayed,
    /// Its outputs, in order.
    pub outputs: Vec<NewOutput>,
}

/// How far a relay is: written by the relay, read by the engine's host.
#[derive(Debug, Default)]
pub struct Progress {
    commit: AtomicU64,
    seq: AtomicU64,
}

impl Progress {
    /// A relay that has got to `relayed`.
    #[must_use]
    pub fn starting_at(relayed: Relayed) -> Arc<Self> {
        let progress = Self::default();
        progress.set(relayed);
        Arc::new(progress)
    }

    fn set(&self, relayed: Relayed) {
        self.seq.store(relayed.seq, Ordering::Relaxed);
        self.commit.store(relayed.commit, Ordering::Relaxed);
    }

    /// The last commit whose outputs all stand. Written and read on one thread.
    #[must_use]
    pub fn get(&self) -> Relayed {
        Relayed {
            commit: self.commit.load(Ordering::Relaxed),
            seq: self.seq.load(Ordering::Relaxed),
        }
    }
}

/// Why a relay gave up: the partition must stop.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The log refuses an output for good.
    #[error("log refuses output {ordinal} of commit {commit}: {why}")]
    Refused {
        /// Its commit.
        commit: u64,
        /// Its place.
        ordinal: u32,
        /// What the log said.
        why: String,
    },
    /// A lane cannot be read.
    #[error("lane cannot be read: {0}")]
    Lane(#[from] LogError),
}

/// Publishes what comes through `commits` until the channel closes and everything is out.
///
/// # Errors
/// If an output can never be stored.
pub async fn relay(
    log: &dyn EventLog,
    partition: PartitionId,
    mut commits: mpsc::Receiver<Committed>,
    progress: Arc<Progress>,
) -> Result<(), RelayError> {
    let backlog = metrics().relay_backlog(&partition.to_string());
    let mut queue = Queue::default();
    queue.read_marks(log, partition).await?;
    let mut pause = PAUSE;
    loop {
        if queue.outputs.is_empty() {
            match commits.recv().await {
                Some(committed) => queue.take(committed),
                None => return Ok(()),
            }
        }
        while queue.outputs.len() < WAITING_MAX
            && let Ok(committed) = commits.try_recv()
        {
            queue.take(committed);
        }
        if let Some(relayed) = queue.relayed() {
            progress.set(relayed);
        }
        show(&backlog, &queue);
        let Some(next) = queue.outputs.front() else {
            continue;
        };
        let (commit, ordinal) = (next.commit, next.ordinal);
        let some = queue.outputs.len().min(WRITE_MAX);
        let outcome = log
            .outputs_append(
                partition,
                &mut queue.fences,
                &queue.outputs.make_contiguous()[..some],
            )
            .await;
        match outcome {
            Ok(stored) => {
                pause = PAUSE;
                for output in queue.outputs.drain(..stored) {
                    if let Lane::Out(kind) = output.lane {
                        metrics().output(kind).inc();
                    }
                }
            }
            Err(CommitError::Refused(why)) => {
                return Err(RelayError::Refused {
                    commit,
                    ordinal,
                    why,
                });
            }
            Err(CommitError::Fenced | CommitError::Unknown(_)) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
                queue.read_marks(log, partition).await?;
            }
        }
        if let Some(relayed) = queue.relayed() {
            progress.set(relayed);
        }
        // Before the wait for the next commit: what is out is no backlog, however long nothing comes.
        show(&backlog, &queue);
    }
}

fn show(backlog: &IntGauge, queue: &Queue) {
    backlog.set(i64::try_from(queue.outputs.len()).unwrap_or(i64::MAX));
}

#[derive(Debug, Default)]
struct Queue {
    outputs: VecDeque<NewOutput>,
    /// Commits taken in and not known to be out, oldest first.
    commits: VecDeque<Relayed>,
    marks: [Option<OutputMark>; Lane::COUNT],
    fences: LaneFences,
}

impl Queue {
    fn take(&mut self, committed: Committed) {
        self.commits.push_back(committed.at);
        let marks = &self.marks;
        self.outputs.extend(
            committed
                .outputs
                .into_iter()
                .filter(|output| !stands(marks, output)),
        );
    }

    async fn read_marks(
        &mut self,
        log: &dyn EventLog,
        partition: PartitionId,
    ) -> Result<(), LogError> {
        for lane in Lane::all() {
            let mark = retry(|| log.output_mark(partition, lane)).await?;
            self.fences[lane.index()] = mark.map_or(0, |mark| mark.seq);
            self.marks[lane.index()] = mark;
        }
        let marks = &self.marks;
        self.outputs.retain(|output| !stands(marks, output));
        Ok(())
    }

    /// Drops the commits that are out and returns the last of them.
    fn relayed(&mut self) -> Option<Relayed> {
        let waiting = self
            .outputs
            .front()
            .map_or(u64::MAX, |output| output.commit);
        let mut last = None;
        while let Some(at) = self.commits.front().filter(|at| at.commit < waiting) {
            last = Some(*at);
            self.commits.pop_front();
        }
        last
    }
}

/// Whether an output is already in its lane.
fn stands(marks: &[Option<OutputMark>; Lane::COUNT], output: &NewOutput) -> bool {
    marks[output.lane.index()]
        .is_some_and(|mark| (output.commit, output.ordinal) <= (mark.commit, mark.ordinal))
}
