//! The durable side of a simulation: what stays when every client of it crashes, with its clock and its faults.
//!
//! Besides the clients there are two more ways in, both for tests: accessors that show all there is, and damage
//! that no client could do.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use aftercall_actors::contract::time::LogTime;
use bytes::Bytes;
use tokio::{
    sync::Notify,
    time::{Duration, Instant, sleep},
};

use super::{
    MemoryLog, WorldOutput,
    faults::{Dice, Fate, Faults, Outage},
    store::{Records, Store, stored},
};
use crate::log::{PartitionId, Position, RawEvent, Seq, Stored, StoredDead, clock::Pace};

/// Log time at which a simulation begins if nothing else is said: 2026-01-01T00:00:00Z.
const EPOCH: LogTime = LogTime(1_767_225_600_000);

/// A simulated log. Clones are handles to the same one.
///
/// Its clock is tokio's, counted from its first use: make it in a runtime with paused time, and a run depends on
/// nothing but the seed.
#[derive(Clone, Debug)]
pub struct World {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    partition_count: u16,
    record_bytes_max: AtomicUsize,
    inner: Mutex<Inner>,
    /// Wakes waiting readers in the order in which they came; tokio's `watch` would wake them in random order.
    stored: Notify,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    /// Log time at its first use.
    epoch: LogTime,
    faults: Faults,
    outage: Option<Outage>,
    dice: Dice,
    began: Option<Instant>,
    /// How often something was lost.
    doubts: u64,
    keeps_journals: bool,
    /// How far the machine's clock is off.
    clock_off_ms: i64,
    pace: Option<Pace>,
}

impl World {
    /// An empty log of `partition_count` partitions a side.
    #[must_use]
    pub fn new(partition_count: u16, faults: Faults) -> Self {
        Self::beginning(EPOCH, partition_count, faults)
    }

    /// The same, whose clock begins at another time.
    #[must_use]
    pub fn beginning(epoch: LogTime, partition_count: u16, faults: Faults) -> Self {
        let inner = Inner {
            epoch,
            store: Store::new(),
            faults,
            outage: None,
            dice: Dice::new(faults.seed),
            began: None,
            doubts: 0,
            keeps_journals: false,
            clock_off_ms: 0,
            pace: None,
        };
        Self {
            shared: Arc::new(Shared {
                partition_count,
                record_bytes_max: AtomicUsize::new(super::RECORD_BYTES_MAX),
                inner: Mutex::new(inner),
                stored: Notify::new(),
            }),
        }
    }

    /// One more client.
    #[must_use]
    pub fn client(&self) -> MemoryLog {
        MemoryLog::new(self.clone())
    }

    /// What goes wrong from now on; `Faults::default()` ends all trouble. Writes already on their way still arrive.
    pub fn set_faults(&self, faults: Faults) {
        let mut inner = self.inner();
        inner.faults = faults;
        inner.dice = Dice::new(faults.seed);
    }

    /// What is of no use from now on, besides what goes wrong; `None` ends it.
    pub fn set_outage(&self, outage: Option<Outage>) {
        self.inner().outage = outage;
    }

    /// Last position, journal sequence and output sequence: cheap to look at, and all that can grow but snapshots.
    #[must_use]
    pub fn totals(&self) -> (Position, Seq, Seq) {
        let store = &self.inner().store;
        (store.last, store.journal_seq, store.output_last())
    }

    /// Says from now on that records may be no longer than this; what stands stays. Larger ones are stored all the same:
    /// what is for the log's writers to keep to.
    pub fn set_record_bytes_max(&self, bytes: usize) {
        self.shared.record_bytes_max.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn record_bytes_max(&self) -> usize {
        self.shared.record_bytes_max.load(Ordering::Relaxed)
    }

    /// Partitions a side.
    #[must_use]
    pub fn partition_count(&self) -> u16 {
        self.shared.partition_count
    }

    /// The log's clock.
    #[must_use]
    pub fn now(&self) -> LogTime {
        self.inner().now()
    }

    /// Sets the machine's clock off by so much from now on.
    pub fn set_clock_off(&self, ms: i64) {
        self.inner().clock_off_ms = ms;
    }

    /// What is to be said of the machine's clock.
    pub(super) fn clock_note(&self) -> Option<String> {
        let mut inner = self.inner();
        let _ = inner.now();
        let leap = inner.pace.as_ref().and_then(Pace::leap);
        leap.map(|leap| leap.to_string())
    }

    /// Real time, which no clock of the simulation is off from.
    #[must_use]
    pub fn real_time(&self) -> LogTime {
        let inner = self.inner();
        let passed = inner.began.map_or(0, |began| began.elapsed().as_millis());
        inner
            .epoch
            .plus_ms(i64::try_from(passed).unwrap_or(i64::MAX))
    }

    /// Every event held, in order.
    #[must_use]
    pub fn events(&self) -> Vec<RawEvent> {
        self.inner().store.events.values().cloned().collect()
    }

    /// Every journal record of a partition there ever was, in order, those that were trimmed included.
    #[must_use]
    pub fn journal(&self, partition: PartitionId) -> Vec<Stored> {
        let inner = self.inner();
        let mut all = records(inner.store.archive.get(&partition));
        all.extend(records(inner.store.journals.get(&partition)));
        all.sort_by_key(|stored| stored.seq);
        all
    }

    /// Every journal record that a partition holds, in order.
    #[must_use]
    pub fn journal_held(&self, partition: PartitionId) -> Vec<Stored> {
        records(self.inner().store.journals.get(&partition))
    }

    /// Every snapshot chunk a partition holds, in order.
    #[must_use]
    pub fn snapshots(&self, partition: PartitionId) -> Vec<Stored> {
        records(self.inner().store.snapshots.get(&partition))
    }

    /// Every output, in the order in which they were stored.
    #[must_use]
    pub fn outputs(&self) -> Vec<WorldOutput> {
        self.inner().store.outputs.values().cloned().collect()
    }

    /// Every delivery record a destination holds, in order.
    #[must_use]
    pub fn delivery(&self, destination: &str) -> Vec<Stored> {
        self.inner().store.deliveries(destination)
    }

    /// Every dead letter and decision of every destination, in the order in which they were stored.
    #[must_use]
    pub fn dead(&self) -> Vec<StoredDead> {
        self.inner().store.dead.values().cloned().collect()
    }

    /// Removes the outputs with sequences below `before`, as retention does. The marks of their lanes stay.
    pub fn trim_outputs(&self, before: Seq) {
        let mut inner = self.inner();
        inner.store.outputs = inner.store.outputs.split_off(&before);
    }

    /// Removes events below `before`, as retention does.
    pub fn trim_events(&self, before: Position) {
        let mut inner = self.inner();
        let before = before.clamp(inner.store.first, inner.store.last + 1);
        inner.store.events = inner.store.events.split_off(&before);
        inner.store.first = before;
        drop(inner);
        self.shared.stored.notify_waiters();
    }

    /// Removes one event from the middle: a loss that readers must notice. Says whether it was there.
    pub fn lose_event(&self, position: Position) -> bool {
        self.inner().store.events.remove(&position).is_some()
    }

    /// Removes the events after `last` and lets their positions be given again, as a power loss does to a log
    /// that answers before it has synced.
    pub fn lose_events_after(&self, last: Position) {
        let mut inner = self.inner();
        inner.store.lose_events_after(last);
        inner.doubts += 1;
    }

    /// Removes the outputs after `last` and lets their sequences be given again.
    pub fn lose_outputs_after(&self, last: Seq) {
        let mut inner = self.inner();
        inner.store.lose_outputs_after(last);
        inner.doubts += 1;
    }

    /// Loses the dead letters and decisions after `last`: their sequences are given out again.
    pub fn lose_dead_after(&self, last: Seq) {
        let mut inner = self.inner();
        inner.store.lose_dead_after(last);
        inner.doubts += 1;
    }

    /// Removes the newest `count` records of all journals together, and lets their sequences be given again.
    pub fn lose_journals(&self, count: u64) {
        let mut inner = self.inner();
        inner.store.lose_journals(count);
        inner.doubts += 1;
    }

    /// Removes the newest `count` snapshot chunks of all partitions together, and lets their sequences be given again.
    pub fn lose_snapshots(&self, count: u64) {
        let mut inner = self.inner();
        inner.store.lose_snapshots(count);
        inner.doubts += 1;
    }

    /// Removes the newest `count` delivery records of all destinations together, and lets their sequences be given again.
    pub fn lose_deliveries(&self, count: u64) {
        let mut inner = self.inner();
        inner.store.lose_deliveries(count);
        inner.doubts += 1;
    }

    /// Keeps journals as they are from now on, as a log does that denies their removal.
    pub fn keep_journals(&self) {
        self.inner().keeps_journals = true;
    }

    pub(super) fn keeps_journals(&self) -> bool {
        self.inner().keeps_journals
    }

    pub(super) fn doubts(&self) -> u64 {
        self.inner().doubts
    }

    /// Flips a bit in the middle of a journal record. Says whether it was there.
    pub fn corrupt_journal(&self, partition: PartitionId, seq: Seq) -> bool {
        flip(self.inner().store.journals.get_mut(&partition), seq)
    }

    /// Removes a journal record. Says whether it was there.
    pub fn lose_journal(&self, partition: PartitionId, seq: Seq) -> bool {
        let mut inner = self.inner();
        let journal = inner.store.journals.get_mut(&partition);
        journal.is_some_and(|records| records.remove(&seq).is_some())
    }

    /// Flips a bit in the middle of a snapshot chunk. Says whether it was there.
    pub fn corrupt_snapshot(&self, partition: PartitionId, seq: Seq) -> bool {
        flip(self.inner().store.snapshots.get_mut(&partition), seq)
    }

    /// Looks at or changes the store, and wakes whoever waits for something to arrive.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Store, LogTime) -> T) -> T {
        let mut inner = self.inner();
        let now = inner.now();
        let result = change(&mut inner.store, now);
        drop(inner);
        self.shared.stored.notify_waiters();
        result
    }

    pub(super) fn see<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&self.inner().store)
    }

    /// Makes the change after a while, whether or not whoever asked for it still lives.
    pub(super) fn write_later(
        &self,
        after_ms: u64,
        change: impl FnOnce(&mut Store, LogTime) + Send + 'static,
    ) {
        let world = self.clone();
        let doubts = self.doubts();
        tokio::spawn(async move {
            sleep(Duration::from_millis(after_ms)).await;
            // What takes the end of a log takes what is on its way with it.
            if world.doubts() == doubts {
                world.write(change);
            }
        });
    }

    /// Waits until something is stored that `look` finds.
    pub(super) async fn wait<T>(&self, look: impl Fn(&Store) -> Option<T>) -> T {
        loop {
            let stored = self.shared.stored.notified();
            tokio::pin!(stored);
            // Listening begins before the look, so that nothing can arrive between the two.
            stored.as_mut().enable();
            if let Some(found) = self.see(&look) {
                return found;
            }
            stored.await;
        }
    }

    /// The way to the log or back from it: a place at which a task can be ended, and a delay.
    pub(super) async fn travel(&self) {
        let delay_ms = {
            let mut inner = self.inner();
            let max = inner.faults.delay_ms_max;
            inner.dice.up_to(max)
        };
        if delay_ms == 0 {
            tokio::task::yield_now().await;
        } else {
            sleep(Duration::from_millis(delay_ms)).await;
        }
    }

    /// Whether this is of no use now, alone or with all else.
    pub(super) fn is_out(&self, what: Outage) -> bool {
        let outage = self.inner().outage;
        outage == Some(what) || outage == Some(Outage::Unreachable)
    }

    pub(super) fn fate(&self) -> Fate {
        let mut inner = self.inner();
        let faults = inner.faults;
        inner.dice.fate(&faults)
    }

    /// Whether a read finds no connection this time.
    pub(super) fn is_disconnected(&self) -> bool {
        let mut inner = self.inner();
        let chances = inner.faults.reader_disconnect_per_mille;
        inner.dice.per_mille(chances)
    }

    /// After how long an event just stored is stored once more, if it is.
    pub(super) fn duplicate_after_ms(&self) -> Option<u64> {
        let mut inner = self.inner();
        let Faults {
            duplicate_append_per_mille,
            delay_ms_max,
            ..
        } = inner.faults;
        let duplicated = inner.dice.per_mille(duplicate_append_per_mille);
        duplicated.then(|| 1 + inner.dice.up_to(delay_ms_max.saturating_mul(20)))
    }

    /// How many of `count` things go through at once: all in a log without faults, else from one to all.
    pub(super) fn share(&self, count: usize) -> usize {
        let mut inner = self.inner();
        if count < 2 || !inner.faults.any() {
            return count;
        }
        // All of them half of the time: otherwise long batches would hardly ever get through whole.
        if inner.dice.per_mille(500) {
            return count;
        }
        let fewer = inner.dice.up_to(count as u64 - 1);
        count - usize::try_from(fewer).unwrap_or(0)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing under this lock panics half way through a change.
        self.shared
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn now(&mut self) -> LogTime {
        let began = *self.began.get_or_insert_with(Instant::now);
        let even_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let machine_ms = self
            .epoch
            .plus_ms(even_ms)
            .0
            .saturating_add(self.clock_off_ms);
        let epoch = self.epoch;
        let pace = self.pace.get_or_insert_with(|| Pace::new(epoch.0, 0));
        pace.now(machine_ms, even_ms)
    }
}

fn records(records: Option<&Records>) -> Vec<Stored> {
    let records = records.into_iter().flatten();
    records.map(|(seq, bytes)| stored(*seq, bytes)).collect()
}

fn flip(records: Option<&mut Records>, seq: Seq) -> bool {
    let Some(bytes) = records.and_then(|records| records.get_mut(&seq)) else {
        return false;
    };
    let mut damaged = bytes.to_vec();
    let middle = damaged.len() / 2;
    let Some(byte) = damaged.get_mut(middle) else {
        return false;
    };
    *byte ^= 1;
    *bytes = Bytes::from(damaged);
    true
}
