//! What each partition last said of itself: read by `/readyz`, the metrics and the demo, written by its host.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::log::{LogError, PartitionId, Position};

/// Where a partition stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Reads its journal and snapshot, or replays.
    Recovering,
    /// Applies events as they come.
    Running,
    /// Another owner commits in its place; this process holds no state of it.
    Fenced,
    /// A fault it must not pass over: an operator has to look.
    Stopped,
}

/// A partition's own account.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PartitionStatus {
    /// `agent.3`
    #[serde(serialize_with = "as_text")]
    pub partition: PartitionId,
    /// Where it stands.
    pub state: State,
    /// Why it is stopped or fenced.
    pub reason: Option<String>,
    /// Times this partition changed hands.
    pub epoch: u64,
    /// Last position applied.
    pub applied: Position,
    /// Last position committed.
    pub committed: Position,
    /// Version of the active rules.
    pub rules: String,
    /// Actors held, live and quiet.
    pub actors: u64,
    /// Bytes they are estimated to take.
    pub actor_bytes: u64,
    /// When `applied` last moved, or the partition last had nothing to do.
    #[serde(skip)]
    pub advanced_at: Instant,
    /// When the last snapshot generation was complete.
    #[serde(skip)]
    pub snapshot_at: Option<Instant>,
}

fn as_text<S: serde::Serializer>(
    partition: &PartitionId,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(partition)
}

/// The accounts of all partitions of this process, and how far the log goes.
#[derive(Debug)]
pub struct Board {
    partitions: Vec<Mutex<PartitionStatus>>,
    read: std::sync::atomic::AtomicU64,
    /// Actors take more memory than they may, and nothing more of them can go to the disk.
    crowded: std::sync::atomic::AtomicBool,
}

impl Board {
    /// A board on which every partition is recovering.
    #[must_use]
    pub fn new(partition_count: u16) -> Self {
        let advanced_at = Instant::now();
        let blank = |partition| PartitionStatus {
            partition,
            state: State::Recovering,
            reason: None,
            epoch: 0,
            applied: 0,
            committed: 0,
            rules: String::new(),
            actors: 0,
            actor_bytes: 0,
            advanced_at,
            snapshot_at: None,
        };
        Self {
            partitions: PartitionId::all(partition_count)
                .map(|p| Mutex::new(blank(p)))
                .collect(),
            read: std::sync::atomic::AtomicU64::new(0),
            crowded: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// Changes one partition's account.
    pub fn update(&self, partition: PartitionId, change: impl FnOnce(&mut PartitionStatus)) {
        let found = self
            .partitions
            .iter()
            .map(lock)
            .find(|status| status.partition == partition);
        if let Some(mut status) = found {
            change(&mut status);
        }
    }

    /// Notes that a partition has ended for a reason of its own: it holds no actors any more.
    pub fn end(&self, partition: PartitionId, state: State, reason: &impl fmt::Display) {
        self.update(partition, |status| {
            status.state = state;
            status.reason = Some(reason.to_string());
            (status.actors, status.actor_bytes) = (0, 0);
        });
    }

    /// Notes that events cannot be read any more: without them no partition can advance.
    pub fn stop_all(&self, error: &LogError) {
        for status in self.partitions() {
            if matches!(status.state, State::Recovering | State::Running) {
                self.update(status.partition, |status| {
                    status.state = State::Stopped;
                    status.reason = Some(error.to_string());
                });
            }
        }
    }

    /// All accounts, agents' partitions first.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionStatus> {
        self.partitions
            .iter()
            .map(|status| lock(status).clone())
            .collect()
    }

    /// Last position this process has read from the log.
    #[must_use]
    pub fn read(&self) -> Position {
        self.read.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Notes the last position read.
    pub fn set_read(&self, position: Position) {
        self.read
            .store(position, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether actors take more memory than they may, though all that can be is on the disk.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.crowded.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Notes that it is so, or no more. What it was before.
    pub fn set_crowded(&self, crowded: bool) -> bool {
        self.crowded
            .swap(crowded, std::sync::atomic::Ordering::Relaxed)
    }

    /// Why this process is not ready, or nothing if it is: a partition that is stopped or fenced, still recovering,
    /// or has work and has not advanced for `stall`.
    #[must_use]
    pub fn complaints(&self, stall: Duration) -> Vec<String> {
        let read = self.read();
        let complaint = |status: PartitionStatus| {
            let PartitionStatus {
                partition, applied, ..
            } = status;
            let reason = status.reason.as_deref().unwrap_or("no reason given");
            match status.state {
                State::Stopped => Some(format!("partition {partition} is stopped: {reason}")),
                State::Fenced => Some(format!("partition {partition} has another owner: {reason}")),
                State::Recovering => Some(format!(
                    "partition {partition} is recovering, at position {applied}"
                )),
                State::Running if applied < read && status.advanced_at.elapsed() > stall => {
                    Some(format!(
                        "partition {partition} has {} positions to go and has not advanced for {stall:?}",
                        read - applied
                    ))
                }
                State::Running => None,
            }
        };
        let crowded = self.is_crowded().then(|| {
            "actors take all the memory they may, those on the disk not counted: reading goes on slowly, and events by \
             HTTP are refused; raise engine.memory_max"
                .to_owned()
        });
        let complaints = self.partitions().into_iter().filter_map(complaint);
        complaints.chain(crowded).collect()
    }
}

fn lock(status: &Mutex<PartitionStatus>) -> MutexGuard<'_, PartitionStatus> {
    // A status is a plain value: whatever panicked while holding it left it readable.
    status.lock().unwrap_or_else(PoisonError::into_inner)
}
