//! The log of a simulation: everything in memory, time virtual, faults from a seed.
//!
//! [`World`] is what lasts; a [`MemoryLog`] is one client of it, and there can be several, as there are when two
//! processes both believe that a partition is theirs. Each operation awaits before and after its effect, so
//! ending the task of a client at any await is a crash there. The engine under test sees nothing but `EventLog`.
//!
//! Deterministic in a current-thread runtime with paused time: ordered maps, one sequence of draws, first come
//! first served.

use std::{collections::VecDeque, sync::Arc};

use aftercall_actors::contract::time::LogTime;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};

use super::{
    AppendError, Appended, Bounds, CommitError, DeadPlace, EventLog, EventReader, Finding, Kept,
    Lane, LaneFences, Level, LogError, NewDead, NewEvent, NewOutput, OutputMark, PartitionId,
    Position, RawEvent, Seq, Stored, StoredDead, StoredOutput, TailFrom, dead,
};

mod faults;
mod store;
mod world;

#[cfg(test)]
mod tests;

pub use faults::{Faults, Outage, Part};
pub use store::WorldOutput;
pub use world::World;

use faults::Fate;

/// How long it takes a part that is full to say so.
const FULL_ANSWER: std::time::Duration = std::time::Duration::from_millis(5);

/// Largest record it takes, in bytes. NATS takes 1 MiB by default, so the simulation has no more.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// One client of a [`World`].
#[derive(Clone, Debug)]
pub struct MemoryLog {
    world: World,
}

impl MemoryLog {
    const fn new(world: World) -> Self {
        Self { world }
    }

    /// A look at the store, there and back.
    async fn ask<T>(&self, look: impl FnOnce(&store::Store) -> T + Send) -> Result<T, LogError>
    where
        T: Send,
    {
        self.world.travel().await;
        if self.world.is_out(Outage::Unreachable) || self.world.is_disconnected() {
            return Err(disconnected());
        }
        let found = self.world.see(look);
        self.world.travel().await;
        Ok(found)
    }

    /// A write, there and back; if there is no answer, why.
    async fn write<T>(
        &self,
        write: impl FnOnce(&mut store::Store, LogTime) -> T + Send + 'static,
    ) -> Result<T, &'static str> {
        self.world.travel().await;
        let answer = if self.world.is_out(Outage::Unreachable) {
            Err(REQUEST_LOST)
        } else {
            self.decide(write)
        };
        self.world.travel().await;
        answer
    }

    /// Whether a part takes anything more; if not, what a server would say.
    async fn room(&self, part: Part) -> Result<(), String> {
        if !self.world.is_out(Outage::Full(part)) {
            return Ok(());
        }
        self.world.travel().await;
        tokio::time::sleep(FULL_ANSWER).await;
        Err(FULL.to_owned())
    }

    /// Decides and carries out the fate of one write; if there is no answer, why.
    fn decide<T>(
        &self,
        write: impl FnOnce(&mut store::Store, LogTime) -> T + Send + 'static,
    ) -> Result<T, &'static str> {
        match self.world.fate() {
            Fate::Answered => Ok(self.world.write(write)),
            Fate::AnswerLost => {
                self.world.write(write);
                Err(ANSWER_LOST)
            }
            Fate::RequestLost => Err(REQUEST_LOST),
            Fate::Late { after_ms } => {
                self.world.write_later(after_ms, move |store, now| {
                    write(store, now);
                });
                Err(LATE)
            }
        }
    }
}

fn disconnected() -> LogError {
    LogError::Unreachable("simulated disconnect".into())
}

fn too_large(what: &str, bytes: usize) -> Option<String> {
    (bytes > RECORD_BYTES_MAX)
        .then(|| format!("{what} of {bytes} bytes is above {RECORD_BYTES_MAX}"))
}

/// How often a reader that stands still looks whether it may go on.
const STILL: std::time::Duration = std::time::Duration::from_millis(100);

const ANSWER_LOST: &str = "simulated loss of the answer";
const REQUEST_LOST: &str = "simulated loss of the request";
const FULL: &str = "simulated: maximum messages exceeded";
const LATE: &str = "simulated delay of the request";

#[async_trait]
impl EventLog for MemoryLog {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn partition_count(&self) -> u16 {
        self.world.partition_count()
    }

    fn record_bytes_max(&self) -> usize {
        self.world.record_bytes_max()
    }

    fn now(&self) -> LogTime {
        self.world.now()
    }

    fn clock_note(&self) -> Option<String> {
        self.world.clock_note()
    }

    fn doubts(&self) -> u64 {
        self.world.doubts()
    }

    async fn findings(&self) -> Result<Vec<Finding>, LogError> {
        Ok(vec![Finding {
            level: Level::Bad,
            subject: "durability".into(),
            text: "everything is lost with the process: for simulations only".into(),
        }])
    }

    async fn append(&self, events: Vec<NewEvent>) -> Vec<Result<Appended, AppendError>> {
        self.world.travel().await;
        let mut answers = Vec::with_capacity(events.len());
        let pause_at = self.world.share(events.len());
        for (index, event) in events.into_iter().enumerate() {
            if index == pause_at {
                self.world.travel().await;
            }
            answers.push(self.append_one(event));
        }
        self.world.travel().await;
        answers
    }

    async fn bounds(&self) -> Result<Bounds, LogError> {
        self.ask(store::Store::bounds).await
    }

    async fn event_at(&self, position: Position) -> Result<Option<RawEvent>, LogError> {
        self.ask(|store| store.events.get(&position).cloned()).await
    }

    async fn read(&self, from: Position) -> Result<Box<dyn EventReader>, LogError> {
        let next = from.max(1);
        // The only thing that can be wrong before anything is read.
        self.ask(|store| {
            let first = store.first;
            (next >= first).then_some(()).ok_or(LogError::Trimmed {
                wanted: next,
                first,
            })
        })
        .await??;
        Ok(Box::new(Reader {
            world: self.world.clone(),
            next,
        }))
    }

    async fn journal_head(&self, partition: PartitionId) -> Result<Option<Stored>, LogError> {
        self.ask(|store| store.journal_head(partition)).await
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
        self.room(Part::Journal)
            .await
            .map_err(CommitError::Unknown)?;
        self.write(move |store, _| store.journal_append(partition, expected, record))
            .await
            .unwrap_or_else(|why| Err(CommitError::Unknown(why.into())))
    }

    async fn journal_scan(
        &self,
        partition: PartitionId,
        from: Seq,
        to: Seq,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        let found = self
            .ask(|store| match store.journals.get(&partition) {
                Some(journal) if from <= to => journal
                    .range(from..=to)
                    .map(|(seq, bytes)| store::stored(*seq, bytes))
                    .collect(),
                Some(_) | None => VecDeque::new(),
            })
            .await?;
        Ok(self.deliver(found))
    }

    async fn journal_trim(&self, partition: PartitionId, before: Seq) -> Result<(), LogError> {
        if self.world.keeps_journals() {
            return Ok(());
        }
        self.write(move |store, _| store.journal_trim(partition, before))
            .await
            .map_err(|why| LogError::Unreachable(why.into()))
    }

    async fn snapshot_append(&self, partition: PartitionId, chunk: Bytes) -> Result<Seq, LogError> {
        if let Some(text) = too_large("a chunk", chunk.len()) {
            return Err(LogError::Settings(text));
        }
        self.room(Part::Snapshots)
            .await
            .map_err(LogError::Unreachable)?;
        self.write(move |store, _| store.snapshot_append(partition, chunk))
            .await
            .map_err(|why| LogError::Unreachable(why.into()))
    }

    async fn snapshot_scan(
        &self,
        partition: PartitionId,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        let found = self
            .ask(|store| {
                let chunks = store.snapshots.get(&partition).into_iter().flatten();
                chunks
                    .map(|(seq, bytes)| store::stored(*seq, bytes))
                    .collect()
            })
            .await?;
        Ok(self.deliver(found))
    }

    async fn snapshot_trim(&self, partition: PartitionId, before: Seq) -> Result<(), LogError> {
        self.write(move |store, _| store.snapshot_trim(partition, before))
            .await
            .map_err(|why| LogError::Unreachable(why.into()))
    }

    async fn output_mark(
        &self,
        partition: PartitionId,
        lane: Lane,
    ) -> Result<Option<OutputMark>, LogError> {
        self.ask(|store| store.output_mark(partition, lane)).await
    }

    async fn output_kept(
        &self,
        partition: PartitionId,
        lane: Lane,
        mark: OutputMark,
    ) -> Result<Kept, LogError> {
        self.ask(|store| store.output_kept(partition, lane, mark))
            .await
    }

    async fn outputs_append(
        &self,
        partition: PartitionId,
        fences: &mut LaneFences,
        outputs: &[NewOutput],
    ) -> Result<usize, CommitError> {
        let oversized = outputs
            .iter()
            .find_map(|output| too_large("an output", output.payload.len()));
        if let Some(text) = oversized {
            return Err(CommitError::Refused(text));
        }
        let part = match outputs.first().map(|output| output.lane) {
            Some(Lane::Dead) => Part::Dead,
            Some(Lane::Out(_)) | None => Part::Outputs,
        };
        self.room(part).await.map_err(CommitError::Unknown)?;
        self.world.travel().await;
        let prefix = outputs[..self.world.share(outputs.len())].to_vec();
        let stored = prefix.len();
        let mut moved = *fences;
        let answer = self.decide(move |store, now| {
            store.outputs_append(now, partition, &mut moved, &prefix)?;
            Ok(moved)
        });
        self.world.travel().await;
        *fences = answer.unwrap_or_else(|why| Err(CommitError::Unknown(why.into())))?;
        Ok(stored)
    }

    async fn outputs_tail(
        &self,
        lanes: &[Lane],
        from: TailFrom,
    ) -> Result<BoxStream<'static, Result<StoredOutput, LogError>>, LogError> {
        let lanes = from.lanes(lanes)?;
        let after = self
            .ask(|store| match from {
                TailFrom::Start => 0,
                TailFrom::Now => store.output_last(),
                TailFrom::After(seq) => seq,
            })
            .await?;
        Ok(self.follow(after, move |store, after| {
            let mut newer = store.outputs.range(after + 1..).map(|(_, output)| output);
            let found = newer.find(|stored| lanes.contains(&stored.output.lane))?;
            Some((found.seq, found.stored()))
        }))
    }

    async fn output_at(&self, seq: Seq) -> Result<Option<StoredOutput>, LogError> {
        self.ask(|store| {
            let found = store.outputs.get(&seq)?;
            (found.output.lane != Lane::Dead).then(|| found.stored())
        })
        .await
    }

    async fn outputs_last(&self) -> Result<Seq, LogError> {
        self.ask(store::Store::kinds_last).await
    }

    async fn delivery_head(&self, destination: &str) -> Result<Option<Stored>, LogError> {
        dead::known_destination(destination)?;
        self.ask(|store| store.delivery_head(destination)).await
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
        self.room(Part::Deliveries)
            .await
            .map_err(CommitError::Unknown)?;
        let destination = destination.to_owned();
        self.write(move |store, _| store.delivery_append(&destination, expected, record))
            .await
            .unwrap_or_else(|why| Err(CommitError::Unknown(why.into())))
    }

    async fn delivery_scan(
        &self,
        destination: &str,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        dead::known_destination(destination)?;
        let found = self.ask(|store| store.deliveries(destination)).await?;
        Ok(self.deliver(found.into()))
    }

    async fn delivery_trim(&self, destination: &str, before: Seq) -> Result<(), LogError> {
        dead::known_destination(destination)?;
        let destination = destination.to_owned();
        self.write(move |store, _| store.delivery_trim(&destination, before))
            .await
            .map_err(|why| LogError::Unreachable(why.into()))
    }

    async fn dead_append(&self, destination: &str, entry: NewDead) -> Result<Seq, AppendError> {
        dead::check_destination(destination).map_err(AppendError::Refused)?;
        if let Some(text) = too_large("a dead letter", entry.payload.len()) {
            return Err(AppendError::Refused(text));
        }
        self.room(Part::Dead).await.map_err(AppendError::Unknown)?;
        let destination = destination.to_owned();
        self.write(move |store, now| store.dead_append(now, destination, entry))
            .await
            .map_err(|why| AppendError::Unknown(why.into()))
    }

    async fn dead_at(&self, seq: Seq) -> Result<Option<StoredDead>, LogError> {
        self.ask(|store| store.dead.get(&seq).cloned()).await
    }

    async fn dead_scan(
        &self,
        destination: Option<&str>,
    ) -> Result<BoxStream<'static, Result<StoredDead, LogError>>, LogError> {
        if let Some(destination) = destination {
            dead::known_destination(destination)?;
        }
        let found = self.ask(|store| store.dead_of(destination)).await?;
        Ok(self.deliver(found.into()))
    }

    async fn dead_tail(
        &self,
        destination: &str,
        after: Seq,
    ) -> Result<BoxStream<'static, Result<StoredDead, LogError>>, LogError> {
        dead::known_destination(destination)?;
        // As in the other logs, a tail begins with a log that answers.
        self.ask(|_| ()).await?;
        let place = DeadPlace::Delivery(destination.to_owned());
        Ok(self.follow(after, move |store, after| {
            let mut newer = store.dead.range(after + 1..).map(|(_, entry)| entry);
            let found = newer.find(|entry| entry.place == place)?;
            Some((found.seq, found.clone()))
        }))
    }
}

impl MemoryLog {
    /// Decides and carries out the fate of one event.
    fn append_one(&self, event: NewEvent) -> Result<Appended, AppendError> {
        if let Some(text) = too_large("an event", event.payload.len()) {
            return Err(AppendError::Refused(text));
        }
        if self.world.is_out(Outage::Full(Part::Events)) {
            return Err(AppendError::Unknown(FULL.into()));
        }
        let count = self.partition_count();
        if let Some(after_ms) = self.world.duplicate_after_ms() {
            let again = event.clone();
            self.world.write_later(after_ms, move |store, now| {
                store.append_again(count, now, again);
            });
        }
        self.decide(move |store, now| store.append(count, now, event))
            .map_err(|why| AppendError::Unknown(why.into()))
    }

    /// Whatever `next` finds after a sequence, one by one, and what it will find later.
    fn follow<T: Send + 'static>(
        &self,
        after: Seq,
        next: impl Fn(&store::Store, Seq) -> Option<(Seq, T)> + Send + Sync + 'static,
    ) -> BoxStream<'static, Result<T, LogError>> {
        let state = (self.world.clone(), Arc::new(next), after);
        let tail = stream::unfold(state, |(world, next, after)| async move {
            world.travel().await;
            if world.is_disconnected() {
                return Some((Err(disconnected()), (world, next, after)));
            }
            let (seq, found) = world.wait(|store| next(store, after)).await;
            Some((Ok(found), (world, next, seq)))
        });
        tail.boxed()
    }

    /// Records already found, one by one, with a chance of a disconnect before each.
    fn deliver<T: Send + 'static>(
        &self,
        found: VecDeque<T>,
    ) -> BoxStream<'static, Result<T, LogError>> {
        let world = self.world.clone();
        let records = stream::unfold((world, found), |(world, mut found)| async move {
            let next = found.pop_front()?;
            tokio::task::yield_now().await;
            if world.is_disconnected() {
                return Some((Err(disconnected()), (world, VecDeque::new())));
            }
            Some((Ok(next), (world, found)))
        });
        records.boxed()
    }
}

/// Reads events one after the other. `next` moves only with what is returned, so a call given up loses nothing.
struct Reader {
    world: World,
    next: Position,
}

#[async_trait]
impl EventReader for Reader {
    async fn next(&mut self, max: usize) -> Result<Vec<RawEvent>, LogError> {
        self.world.travel().await;
        if self.world.is_out(Outage::Unreachable) || self.world.is_disconnected() {
            return Err(disconnected());
        }
        let from = self.next;
        let mut events = self
            .world
            .wait(|store| match store.read(from, max) {
                Ok(events) if events.is_empty() => None,
                found => Some(found),
            })
            .await?;
        while self.world.is_out(Outage::ReaderStill) {
            tokio::time::sleep(STILL).await;
        }
        events.truncate(self.world.share(events.len()));
        self.world.travel().await;
        self.next += events.len() as u64;
        Ok(events)
    }
}
