//! What each partition last said of itself, and whether it gets on: read by `/readyz`, the metrics and the demo,
//! written by its host.
//!
//! Getting on is judged by what moves, not by what is tried: a partition that has events to apply, something to commit
//! or to publish, or an actor that is due, and does not come to the end of it, is a complaint, whatever the cause. The
//! causes that the log names stand in its own account (`log::health`).

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use aftercall_actors::contract::time::LogTime;
use tokio::time::Instant;

use crate::{
    log::{PartitionId, Position},
    planted::{Bug, is_planted},
    supervise::Panicked,
    telemetry::{metrics, status::StatusBoard},
};

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
    /// Number of the last commit.
    pub commit: u64,
    /// Version of the active rules.
    pub rules: String,
    /// Actors held, live and quiet.
    pub actors: u64,
    /// Bytes they are estimated to take.
    pub actor_bytes: u64,
    /// Since when there has been work that nothing came of.
    #[serde(skip)]
    waits: Waits,
    /// When the last snapshot generation was complete.
    #[serde(skip)]
    pub snapshot_at: Option<Instant>,
}

impl PartitionStatus {
    /// Whether this process has it, and nothing keeps it from going on.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        match self.state {
            State::Recovering | State::Running => true,
            State::Fenced | State::Stopped => false,
        }
    }
}

/// Since when each kind of work waits, if there is any: begun anew with every step that is made.
#[derive(Clone, Copy, Debug, Default)]
struct Waits {
    apply: Option<Instant>,
    commit: Option<Instant>,
    publish: Option<Instant>,
    /// The time that some actor waits for and that has come, and since when nothing was applied: ticks are events.
    timer: Option<(LogTime, Instant)>,
    /// Commits whose outputs all stand.
    published: u64,
}

/// How far a partition is.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Last position applied.
    pub applied: Position,
    /// Last position committed.
    pub committed: Position,
    /// Number of the last commit,
    pub commit: u64,
    /// and of the last one whose outputs all stand in their lanes.
    pub published: u64,
    /// The time some actor waits for, if it has come.
    pub due: Option<LogTime>,
}

impl PartitionStatus {
    /// Notes how far it is; `end` is as far as the log goes.
    pub fn stand(&mut self, at: Standing, end: Position) {
        let now = Instant::now();
        let waits = &mut self.waits;
        let moved = self.applied != at.applied;
        waits.apply = waiting(at.applied < end, moved, waits.apply, now);
        let committed = self.committed != at.committed;
        let is_ahead = at.applied > at.committed && !is_planted(Bug::UncommittedPassesOver);
        waits.commit = waiting(is_ahead, committed, waits.commit, now);
        let published = waits.published != at.published;
        waits.publish = waiting(at.commit > at.published, published, waits.publish, now);
        waits.timer = at.due.map(|due| match waits.timer {
            // A clock that goes ahead of the log's makes all deadlines seem due; time goes on all the same.
            Some((_, since)) if !moved => (due, since),
            Some(_) | None => (due, now),
        });
        waits.published = at.published;
        (self.applied, self.committed) = (at.applied, at.committed);
    }

    /// What it does not get on with, since when, if that is longer than `stall`.
    fn stalls(&self, end: Position, stall: Duration) -> Vec<(Stall, String)> {
        let Self {
            partition,
            applied,
            committed,
            waits,
            ..
        } = self;
        let long = |since: Option<Instant>| {
            let waited = since?.elapsed();
            (waited >= stall).then_some(waited.as_secs())
        };
        let mut stalls = Vec::new();
        if let Some(seconds) = long(waits.apply) {
            let lag = end.saturating_sub(*applied);
            let text = format!(
                "partition {partition} has {lag} positions to go and has not advanced for {seconds} s"
            );
            stalls.push((Stall::Apply, text));
        }
        if let Some(seconds) = long(waits.commit) {
            let text = format!(
                "partition {partition} has applied position {applied}, and nothing was committed for {seconds} s, the last time at {committed}"
            );
            stalls.push((Stall::Commit, text));
        }
        if let Some(seconds) = long(waits.publish) {
            let text = format!(
                "partition {partition} has commits that were not published for {seconds} s"
            );
            stalls.push((Stall::Publish, text));
        }
        // Behind the log's end, time goes on with the events.
        if let Some((due, since)) = waits.timer
            && waits.apply.is_none()
            && let Some(seconds) = long(Some(since))
        {
            let text = format!(
                "timers of partition {partition} stand still: one was due at {}, and time has not moved on for {seconds} s",
                rfc3339(due)
            );
            stalls.push((Stall::Timer, text));
        }
        stalls
    }
}

/// What a partition can fail to get on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stall {
    /// Applying events.
    Apply,
    /// Committing.
    Commit,
    /// Publishing.
    Publish,
    /// Waking actors.
    Timer,
}

fn waiting(has_work: bool, moved: bool, since: Option<Instant>, now: Instant) -> Option<Instant> {
    match since {
        _ if !has_work => None,
        Some(since) if !moved => Some(since),
        Some(_) | None => Some(now),
    }
}

fn rfc3339(time: LogTime) -> String {
    jiff::Timestamp::from_millisecond(time.0)
        .map_or_else(|_| format!("{time:?}"), |at| at.to_string())
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
    partitions: StatusBoard<PartitionId, PartitionStatus>,
    read: AtomicU64,
    end: AtomicU64,
    /// Where the event log had lost its end, by partition: the position committed, and the one that both agree on.
    losses: Mutex<BTreeMap<PartitionId, (Position, Position)>>,
    /// Why partitions are to be taken over anew.
    anew: Mutex<Option<String>>,
    /// Actors take more memory than they may, and nothing more of them can go to the disk.
    crowded: AtomicBool,
    /// Tasks of the process that panicked and are about to begin anew, and how they panicked.
    restarting: Mutex<BTreeMap<&'static str, String>>,
}

impl Board {
    /// A board on which every partition is recovering.
    #[must_use]
    pub fn new(partition_count: u16) -> Self {
        let blank = |partition| PartitionStatus {
            partition,
            state: State::Recovering,
            reason: None,
            epoch: 0,
            applied: 0,
            committed: 0,
            commit: 0,
            rules: String::new(),
            actors: 0,
            actor_bytes: 0,
            waits: Waits::default(),
            snapshot_at: None,
        };
        Self {
            partitions: StatusBoard::new(
                PartitionId::all(partition_count).map(|partition| (partition, blank(partition))),
            ),
            read: AtomicU64::new(0),
            end: AtomicU64::new(0),
            losses: Mutex::default(),
            anew: Mutex::default(),
            crowded: AtomicBool::new(false),
            restarting: Mutex::default(),
        }
    }

    /// Notes that the event log had lost its end when a partition was taken over.
    pub fn note_loss(&self, partition: PartitionId, committed: Position, agreed: Position) {
        metrics().log_losses("events").inc();
        let losses = self.losses.lock();
        let mut losses = losses.unwrap_or_else(PoisonError::into_inner);
        losses.insert(partition, (committed, agreed));
    }

    /// What operators should know of, and what keeps nothing from working.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let losses = self.losses.lock();
        let losses = losses.unwrap_or_else(PoisonError::into_inner);
        let note = |(partition, (committed, agreed)): (&PartitionId, &(Position, Position))| {
            format!(
                "partition {partition}: the event log had lost its end: what had been applied from position {} to \
                 {committed} is no longer there; what stands there now was applied as new",
                agreed + 1
            )
        };
        losses.iter().map(note).collect()
    }

    /// The newest commit of a partition that this process knows of.
    #[must_use]
    pub fn commit(&self, partition: PartitionId) -> u64 {
        let status = self.partitions.get(&partition);
        status.map_or(0, |status| status.commit)
    }

    /// Notes that a partition has ended and is to be taken over anew.
    pub fn ask_anew(&self, partition: PartitionId, reason: &impl fmt::Display) {
        self.end(partition, State::Recovering, reason);
        let anew = self.anew.lock();
        *anew.unwrap_or_else(PoisonError::into_inner) = Some(format!("{partition}: {reason}"));
    }

    /// Whether there is a partition that this process has.
    #[must_use]
    pub fn has_any_alive(&self) -> bool {
        self.partitions().iter().any(PartitionStatus::is_alive)
    }

    /// Asks for the partitions that another process has taken, since this one has the log.
    pub fn take_back(&self) {
        for status in self.partitions() {
            if status.state == State::Fenced {
                self.ask_anew(status.partition, &"another process had taken it");
            }
        }
    }

    /// Notes that another process has the log: partitions that run end.
    pub fn stand_by(&self, reason: &str) {
        for status in self.partitions() {
            if status.is_alive() {
                self.end(status.partition, State::Fenced, &reason);
            }
        }
        let anew = self.anew.lock();
        *anew.unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    /// Whether partitions are to be taken over anew.
    #[must_use]
    pub fn is_asked_anew(&self) -> bool {
        let anew = self.anew.lock();
        anew.unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Why partitions are to be taken over anew, if they are. Asked once.
    pub fn wants_anew(&self) -> Option<String> {
        let anew = self.anew.lock();
        anew.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes that partitions that run take over anew.
    pub fn begin_anew(&self, error: &impl fmt::Display) {
        for status in self.partitions() {
            if status.is_alive() {
                self.update(status.partition, |status| {
                    status.state = State::Recovering;
                    status.reason = Some(error.to_string());
                });
            }
        }
    }

    /// Changes one partition's account.
    pub fn update(&self, partition: PartitionId, change: impl FnOnce(&mut PartitionStatus)) {
        self.partitions.update(&partition, change);
    }

    /// Notes that a partition has ended for a reason of its own: it holds no actors any more.
    pub fn end(&self, partition: PartitionId, state: State, reason: &impl fmt::Display) {
        self.update(partition, |status| {
            status.state = state;
            status.reason = Some(reason.to_string());
            (status.actors, status.actor_bytes) = (0, 0);
        });
    }

    /// Notes that a partition has been released: it holds no actors any more.
    pub fn release(&self, partition: PartitionId) {
        self.update(partition, |status| {
            (status.actors, status.actor_bytes) = (0, 0);
        });
    }

    /// Notes that events cannot be read any more: without them no partition can advance.
    pub fn stop_all(&self, error: &impl fmt::Display) {
        for status in self.partitions() {
            if status.is_alive() {
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
        self.partitions.all()
    }

    /// Last position this process has read from the log.
    #[must_use]
    pub fn read(&self) -> Position {
        self.read.load(Ordering::Relaxed)
    }

    /// Notes the last position read.
    pub fn set_read(&self, position: Position) {
        self.read.store(position, Ordering::Relaxed);
        self.end.fetch_max(position, Ordering::Relaxed);
    }

    /// Notes that reading begins behind this position, anew where the log has lost its end: what was read beyond is no more.
    pub fn begin_reading(&self, floor: Position) {
        self.read.store(floor, Ordering::Relaxed);
        self.end.store(floor, Ordering::Relaxed);
    }

    /// Last position that the log is known to have: lag counts up to it, read or not.
    #[must_use]
    pub fn log_end(&self) -> Position {
        self.end.load(Ordering::Relaxed)
    }

    /// Notes how far the log goes by its own account; where it has lost its end, that is less than before.
    pub fn set_log_end(&self, position: Position) {
        if is_planted(Bug::LagUpToWhatWasRead) && position > self.read() {
            return;
        }
        self.end.store(position.max(self.read()), Ordering::Relaxed);
    }

    /// Whether actors take more memory than they may, though all that can be is on the disk.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    /// Notes that it is so, or no more. What it was before.
    pub fn set_crowded(&self, crowded: bool) -> bool {
        self.crowded.swap(crowded, Ordering::Relaxed)
    }

    /// Notes that a task which all partitions need has panicked and is about to begin anew; `None`: that it has.
    pub fn set_restarting(&self, task: &'static str, panicked: Option<&Panicked>) {
        let restarting = self.restarting.lock();
        let mut restarting = restarting.unwrap_or_else(PoisonError::into_inner);
        match panicked {
            Some(panicked) => restarting.insert(task, panicked.to_string()),
            None => restarting.remove(task),
        };
    }

    /// Why this process is not ready, or nothing if it is: a partition that is stopped or fenced, still recovering,
    /// or has work and has not got on with it for `stall`.
    #[must_use]
    pub fn complaints(&self, stall: Duration) -> Vec<String> {
        let end = self.log_end();
        let complaints = |status: PartitionStatus| {
            let PartitionStatus {
                partition, applied, ..
            } = status;
            let reason = status.reason.as_deref().unwrap_or("no reason given");
            match status.state {
                State::Stopped => vec![format!("partition {partition} is stopped: {reason}")],
                State::Fenced => vec![format!("partition {partition} has another owner: {reason}")],
                State::Recovering => vec![match &status.reason {
                    Some(reason) => format!(
                        "partition {partition} is recovering, at position {applied}: {reason}"
                    ),
                    None => format!("partition {partition} is recovering, at position {applied}"),
                }],
                State::Running => {
                    let stalls = status.stalls(end, stall).into_iter();
                    stalls.map(|(_, text)| text).collect()
                }
            }
        };
        let crowded = self.is_crowded().then(|| {
            "actors take all the memory they may, those on the disk not counted: reading goes on slowly, and events by \
             HTTP are refused; raise engine.memory_max"
                .to_owned()
        });
        let complaints = self.partitions().into_iter().flat_map(complaints);
        let restarting = self.restarting.lock();
        let restarting = restarting.unwrap_or_else(PoisonError::into_inner);
        let restarting = restarting
            .iter()
            .map(|(task, panicked)| format!("{task} {panicked}; it is about to begin anew"));
        complaints.chain(crowded).chain(restarting).collect()
    }

    /// What running partitions do not get on with, each kind in the words of the first, and how many they are.
    #[must_use]
    pub fn stalls(&self, stall: Duration) -> BTreeMap<Stall, (String, usize)> {
        let end = self.log_end();
        let mut found = BTreeMap::new();
        let running = self.partitions().into_iter();
        for status in running.filter(|status| status.state == State::Running) {
            for (kind, text) in status.stalls(end, stall) {
                found.entry(kind).or_insert((text, 0)).1 += 1;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_has_lost_its_end_goes_no_further_than_it_says() {
        let board = Board::new(1);
        board.set_log_end(60);
        board.set_read(55);
        board.set_log_end(57);
        assert_eq!(board.log_end(), 57);
        board.begin_reading(20);
        board.set_log_end(42);
        assert_eq!((board.read(), board.log_end()), (20, 42));
        // What was read since the log was asked counts.
        board.set_read(44);
        board.set_log_end(43);
        assert_eq!(board.log_end(), 44);
    }
}
