//! What a simulated log holds, and the rules by which writes get in. No faults and no waiting here.
//!
//! Journals, snapshots and outputs each draw their sequences from one counter for all partitions, delivery records and
//! dead letters from one for all destinations, so that holes are common and nobody comes to rely on there being none.

use std::collections::{BTreeMap, VecDeque};

use aftercall_actors::contract::time::LogTime;
use bytes::Bytes;

use crate::log::{
    Appended, Bounds, CommitError, DeadPlace, Headers, Kept, Lane, LaneFences, LogError, NewDead,
    NewEvent, NewOutput, OutputMark, PartitionId, Position, RawEvent, Seq, Stored, StoredDead,
    StoredOutput,
};

/// How long a message id is remembered, as in the real logs.
const DEDUPE_WINDOW_MS: i64 = 120_000;

/// An output as the simulated log holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldOutput {
    /// Its sequence.
    pub seq: Seq,
    /// When it was stored.
    pub time: LogTime,
    /// The partition that made it.
    pub partition: PartitionId,
    /// The output as it was given.
    pub output: NewOutput,
}

impl WorldOutput {
    pub(super) fn stored(&self) -> StoredOutput {
        let attributes = &self.output.attributes;
        StoredOutput {
            seq: self.seq,
            time: self.time,
            lane: self.output.lane,
            partition: self.partition,
            commit: self.output.commit,
            ordinal: self.output.ordinal,
            headers: Headers::from_pairs(attributes.iter().map(|(n, v)| (*n, v.as_str()))),
            payload: self.output.payload.clone(),
        }
    }
}

/// Records of one partition or destination, by sequence.
pub(super) type Records = BTreeMap<Seq, Bytes>;

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) events: BTreeMap<Position, RawEvent>,
    pub(super) first: Position,
    pub(super) last: Position,
    pub(super) time: LogTime,
    ids: BTreeMap<String, Position>,
    ids_by_age: VecDeque<(LogTime, String)>,
    pub(super) journals: BTreeMap<PartitionId, Records>,
    /// Journal records that were trimmed.
    pub(super) archive: BTreeMap<PartitionId, Records>,
    pub(super) journal_seq: Seq,
    pub(super) snapshots: BTreeMap<PartitionId, Records>,
    snapshot_seq: Seq,
    pub(super) outputs: BTreeMap<Seq, WorldOutput>,
    output_seq: Seq,
    marks: BTreeMap<(PartitionId, Lane), OutputMark>,
    deliveries: BTreeMap<String, Records>,
    delivery_seq: Seq,
    pub(super) dead: BTreeMap<Seq, StoredDead>,
    dead_seq: Seq,
    /// Destination and message id of each letter and decision, with the newest sequence it was stored under.
    dead_ids: BTreeMap<(String, String), Seq>,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            first: 1,
            ..Self::default()
        }
    }

    /// Log time never runs backwards, whatever the clock does.
    fn stamp(&mut self, now: LogTime) -> LogTime {
        self.time = self.time.max(now);
        self.time
    }

    pub(super) const fn bounds(&self) -> Bounds {
        Bounds {
            first: self.first,
            last: self.last,
        }
    }

    /// Stores an event, unless its message id stands already.
    pub(super) fn append(&mut self, count: u16, now: LogTime, event: NewEvent) -> Appended {
        let time = self.stamp(now);
        while let Some((stored, id)) = self.ids_by_age.front() {
            if time.since_ms(*stored) <= DEDUPE_WINDOW_MS {
                break;
            }
            self.ids.remove(id);
            self.ids_by_age.pop_front();
        }
        if let Some(position) = self.ids.get(&event.message_id) {
            return Appended {
                position: *position,
                duplicate: true,
            };
        }
        let id = event.message_id.clone();
        let position = self.append_again(count, now, event);
        self.ids.insert(id.clone(), position);
        self.ids_by_age.push_back((time, id));
        Appended {
            position,
            duplicate: false,
        }
    }

    /// Stores an event without a look at its message id.
    pub(super) fn append_again(&mut self, count: u16, now: LogTime, event: NewEvent) -> Position {
        self.last += 1;
        let stored = RawEvent {
            position: self.last,
            time: self.stamp(now),
            route: event.destination.route(count),
            speaker: event.destination.speaker(),
            headers: event.headers,
            payload: event.payload,
        };
        self.events.insert(self.last, stored);
        self.last
    }

    /// Forgets the events after `last` and their message ids, and gives their positions out again.
    pub(super) fn lose_events_after(&mut self, last: Position) {
        self.events.split_off(&(last + 1));
        self.last = self.last.min(last);
        let last = self.last;
        self.ids.retain(|_, position| *position <= last);
        let ids = &self.ids;
        self.ids_by_age.retain(|(_, id)| ids.contains_key(id));
    }

    /// At most `max` events from `from` on without a hole; none if there are none yet.
    pub(super) fn read(&self, from: Position, max: usize) -> Result<Vec<RawEvent>, LogError> {
        if from < self.first {
            return Err(LogError::Trimmed {
                wanted: from,
                first: self.first,
            });
        }
        let events: Vec<RawEvent> = self
            .events
            .range(from..)
            .zip(from..)
            .take_while(|((position, _), expected)| *position == expected)
            .take(max.max(1))
            .map(|((_, event), _)| event.clone())
            .collect();
        if events.is_empty() && from <= self.last {
            let next = self.events.range(from..).next();
            return Err(LogError::Gap {
                expected: from,
                found: next.map_or(self.last + 1, |(position, _)| *position),
            });
        }
        Ok(events)
    }

    pub(super) fn journal_head(&self, partition: PartitionId) -> Option<Stored> {
        let (seq, bytes) = self.journals.get(&partition)?.last_key_value()?;
        Some(stored(*seq, bytes))
    }

    pub(super) fn journal_append(
        &mut self,
        partition: PartitionId,
        expected: Seq,
        record: Bytes,
    ) -> Result<Seq, CommitError> {
        if self.journal_head(partition).map_or(0, |head| head.seq) != expected {
            return Err(CommitError::Fenced);
        }
        self.journal_seq += 1;
        let journal = self.journals.entry(partition).or_default();
        journal.insert(self.journal_seq, record);
        Ok(self.journal_seq)
    }

    pub(super) fn snapshot_append(&mut self, partition: PartitionId, chunk: Bytes) -> Seq {
        self.snapshot_seq += 1;
        let snapshots = self.snapshots.entry(partition).or_default();
        snapshots.insert(self.snapshot_seq, chunk);
        self.snapshot_seq
    }

    /// What is removed stays to be looked at by tests.
    pub(super) fn journal_trim(&mut self, partition: PartitionId, before: Seq) {
        if let Some(journal) = self.journals.get_mut(&partition)
            && let Some((first, record)) = journal.pop_first()
        {
            let held = journal.split_off(&before);
            let removed = std::mem::replace(journal, held);
            let archive = self.archive.entry(partition).or_default();
            archive.extend(removed);
            journal.insert(first, record);
        }
    }

    pub(super) fn snapshot_trim(&mut self, partition: PartitionId, before: Seq) {
        if let Some(chunks) = self.snapshots.get_mut(&partition) {
            *chunks = chunks.split_off(&before);
        }
    }

    pub(super) fn output_mark(&self, partition: PartitionId, lane: Lane) -> Option<OutputMark> {
        self.marks.get(&(partition, lane)).copied()
    }

    pub(super) fn output_kept(&self, partition: PartitionId, lane: Lane, mark: OutputMark) -> Kept {
        match self.outputs.get(&mark.seq) {
            Some(stored)
                if stored.partition == partition
                    && stored.output.lane == lane
                    && stored.output.commit == mark.commit
                    && stored.output.ordinal == mark.ordinal =>
            {
                Kept::Stands
            }
            Some(_) => Kept::Lost,
            None if mark.seq > self.output_seq => Kept::Lost,
            None => Kept::Removed,
        }
    }

    pub(super) fn lose_journals(&mut self, count: u64) {
        self.journal_seq = self.journal_seq.saturating_sub(count);
        lose_after(self.journals.values_mut(), self.journal_seq);
    }

    pub(super) fn lose_snapshots(&mut self, count: u64) {
        self.snapshot_seq = self.snapshot_seq.saturating_sub(count);
        lose_after(self.snapshots.values_mut(), self.snapshot_seq);
    }

    pub(super) fn lose_deliveries(&mut self, count: u64) {
        self.delivery_seq = self.delivery_seq.saturating_sub(count);
        lose_after(self.deliveries.values_mut(), self.delivery_seq);
    }

    /// Forgets the dead letters and decisions after `last`, and gives their sequences out again.
    pub(super) fn lose_dead_after(&mut self, last: Seq) {
        self.dead.split_off(&(last + 1));
        self.dead_seq = self.dead_seq.min(last);
        self.dead_ids.retain(|_, seq| *seq <= last);
    }

    /// Forgets the outputs after `last`, and gives their sequences out again.
    pub(super) fn lose_outputs_after(&mut self, last: Seq) {
        self.outputs.split_off(&(last + 1));
        self.output_seq = self.output_seq.min(last);
        self.marks.clear();
        for (seq, stored) in &self.outputs {
            let mark = OutputMark {
                seq: *seq,
                commit: stored.output.commit,
                ordinal: stored.output.ordinal,
            };
            self.marks
                .insert((stored.partition, stored.output.lane), mark);
        }
    }

    /// Stores all of `outputs`, or none if a lane's fence does not hold.
    pub(super) fn outputs_append(
        &mut self,
        now: LogTime,
        partition: PartitionId,
        fences: &mut LaneFences,
        outputs: &[NewOutput],
    ) -> Result<(), CommitError> {
        let fenced = outputs.iter().any(|output| {
            let mark = self.output_mark(partition, output.lane);
            mark.map_or(0, |mark| mark.seq) != fences[output.lane.index()]
        });
        if fenced {
            return Err(CommitError::Fenced);
        }
        let time = self.stamp(now);
        for output in outputs {
            self.output_seq += 1;
            let mark = OutputMark {
                seq: self.output_seq,
                commit: output.commit,
                ordinal: output.ordinal,
            };
            fences[output.lane.index()] = mark.seq;
            self.marks.insert((partition, output.lane), mark);
            let output = WorldOutput {
                seq: mark.seq,
                time,
                partition,
                output: output.clone(),
            };
            self.outputs.insert(mark.seq, output);
        }
        Ok(())
    }

    pub(super) const fn output_last(&self) -> Seq {
        self.output_seq
    }

    /// The sequence of the last output that is no quarantined input.
    pub(super) fn kinds_last(&self) -> Seq {
        let kinds = self
            .marks
            .iter()
            .filter(|((_, lane), _)| *lane != Lane::Dead);
        kinds.map(|(_, mark)| mark.seq).max().unwrap_or(0)
    }

    pub(super) fn delivery_head(&self, destination: &str) -> Option<Stored> {
        let (seq, bytes) = self.deliveries.get(destination)?.last_key_value()?;
        Some(stored(*seq, bytes))
    }

    pub(super) fn delivery_append(
        &mut self,
        destination: &str,
        expected: Seq,
        record: Bytes,
    ) -> Result<Seq, CommitError> {
        if self.delivery_head(destination).map_or(0, |head| head.seq) != expected {
            return Err(CommitError::Fenced);
        }
        self.delivery_seq += 1;
        let records = self.deliveries.entry(destination.to_owned()).or_default();
        records.insert(self.delivery_seq, record);
        Ok(self.delivery_seq)
    }

    pub(super) fn deliveries(&self, destination: &str) -> Vec<Stored> {
        let records = self.deliveries.get(destination).into_iter().flatten();
        records.map(|(seq, bytes)| stored(*seq, bytes)).collect()
    }

    pub(super) fn delivery_trim(&mut self, destination: &str, before: Seq) {
        if let Some(records) = self.deliveries.get_mut(destination) {
            *records = records.split_off(&before);
        }
    }

    /// Stores a letter or a decision, unless its message id stands already.
    pub(super) fn dead_append(&mut self, now: LogTime, destination: String, entry: NewDead) -> Seq {
        let time = self.stamp(now);
        let id = (destination.clone(), entry.message_id.clone());
        let same = self.dead_ids.get(&id).and_then(|seq| self.dead.get(seq));
        if let Some(same) = same
            && time.since_ms(same.time) <= DEDUPE_WINDOW_MS
        {
            return same.seq;
        }
        self.dead_seq += 1;
        let stored = StoredDead {
            seq: self.dead_seq,
            time,
            place: DeadPlace::Delivery(destination),
            message_id: entry.message_id,
            headers: entry.headers,
            payload: entry.payload,
        };
        self.dead.insert(stored.seq, stored);
        self.dead_ids.insert(id, self.dead_seq);
        self.dead_seq
    }

    /// The entries of a destination, or all there are with the quarantined input before them.
    pub(super) fn dead_of(&self, destination: Option<&str>) -> Vec<StoredDead> {
        let wanted = |entry: &&StoredDead| match (destination, &entry.place) {
            (Some(wanted), DeadPlace::Delivery(destination)) => destination == wanted,
            (Some(_), DeadPlace::Event(_)) => false,
            (None, DeadPlace::Delivery(_) | DeadPlace::Event(_)) => true,
        };
        let quarantined = self
            .outputs
            .values()
            .filter(|stored| destination.is_none() && stored.output.lane == Lane::Dead)
            .map(|stored| StoredDead::quarantined(stored.stored()));
        quarantined
            .chain(self.dead.values().filter(wanted).cloned())
            .collect()
    }
}

fn lose_after<'a>(all: impl Iterator<Item = &'a mut Records>, last: Seq) {
    for records in all {
        records.split_off(&(last + 1));
    }
}

pub(super) fn stored(seq: Seq, bytes: &Bytes) -> Stored {
    Stored {
        seq,
        bytes: bytes.clone(),
    }
}
