//! The log of a simulation: everything in memory, time virtual, faults from a seed.
//!
//! [`World`] is what lasts; a [`MemoryLog`] is one client of it, and there can be several, as there are when two
//! processes both believe that a partition is theirs. Each operation awaits before and after its effect, so
//! ending the task of a client at any await is a crash there. The engine under test sees nothing but `EventLog`.
//!
//! Deterministic in a current-thread runtime with paused time: ordered maps, one sequence of draws, first come
//! first served.

use std::collections::VecDeque;

use aftercall_actors::time::LogTime;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};

use super::{
    AppendError, Appended, Bounds, CommitError, EventLog, EventReader, Finding, Lane, LaneFences,
    Level, LogError, NewEvent, NewOutput, OutputMark, PartitionId, Position, RawEvent, Seq, Stored,
    StoredOutput, TailFrom,
};

mod faults;
mod store;
mod world;

#[cfg(test)]
mod tests;

pub use faults::Faults;
pub use store::WorldOutput;
pub use world::World;

use faults::Fate;

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
        if self.world.is_disconnected() {
            return Err(disconnected());
        }
        let found = self.world.see(look);
        self.world.travel().await;
        Ok(found)
    }
}

fn disconnected() -> LogError {
    LogError::Unreachable("simulated disconnect".into())
}

fn too_large(what: &str, bytes: usize) -> Option<String> {
    (bytes > RECORD_BYTES_MAX)
        .then(|| format!("{what} of {bytes} bytes is above {RECORD_BYTES_MAX}"))
}

const ANSWER_LOST: &str = "simulated loss of the answer";
const REQUEST_LOST: &str = "simulated loss of the request";
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
        RECORD_BYTES_MAX
    }

    fn now(&self) -> LogTime {
        self.world.now()
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
        self.world.travel().await;
        let write = move |store: &mut store::Store, _: LogTime| {
            store.journal_append(partition, expected, record)
        };
        let answer = match self.world.fate() {
            Fate::Answered => self.world.write(write),
            Fate::AnswerLost => {
                let _lost = self.world.write(write);
                Err(CommitError::Unknown(ANSWER_LOST.into()))
            }
            Fate::RequestLost => Err(CommitError::Unknown(REQUEST_LOST.into())),
            Fate::Late { after_ms } => {
                self.world.write_later(after_ms, move |store, now| {
                    let _lost = write(store, now);
                });
                Err(CommitError::Unknown(LATE.into()))
            }
        };
        self.world.travel().await;
        answer
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

    async fn snapshot_append(&self, partition: PartitionId, chunk: Bytes) -> Result<Seq, LogError> {
        if let Some(text) = too_large("a chunk", chunk.len()) {
            return Err(LogError::Settings(text));
        }
        self.world.travel().await;
        let write =
            move |store: &mut store::Store, _: LogTime| store.snapshot_append(partition, chunk);
        let answer = match self.world.fate() {
            Fate::Answered => Ok(self.world.write(write)),
            Fate::AnswerLost => {
                self.world.write(write);
                Err(LogError::Unreachable(ANSWER_LOST.into()))
            }
            Fate::RequestLost => Err(LogError::Unreachable(REQUEST_LOST.into())),
            Fate::Late { after_ms } => {
                self.world.write_later(after_ms, move |store, now| {
                    write(store, now);
                });
                Err(LogError::Unreachable(LATE.into()))
            }
        };
        self.world.travel().await;
        answer
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
        self.world.travel().await;
        let answer = match self.world.fate() {
            Fate::Answered => {
                self.world
                    .write(|store, _| store.snapshot_trim(partition, before));
                Ok(())
            }
            Fate::AnswerLost => {
                self.world
                    .write(|store, _| store.snapshot_trim(partition, before));
                Err(LogError::Unreachable(ANSWER_LOST.into()))
            }
            Fate::RequestLost => Err(LogError::Unreachable(REQUEST_LOST.into())),
            Fate::Late { after_ms } => {
                self.world.write_later(after_ms, move |store, _| {
                    store.snapshot_trim(partition, before);
                });
                Err(LogError::Unreachable(LATE.into()))
            }
        };
        self.world.travel().await;
        answer
    }

    async fn output_mark(
        &self,
        partition: PartitionId,
        lane: Lane,
    ) -> Result<Option<OutputMark>, LogError> {
        self.ask(|store| store.output_mark(partition, lane)).await
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
        self.world.travel().await;
        let prefix = &outputs[..self.world.share(outputs.len())];
        let mut moved = *fences;
        let answer = match self.world.fate() {
            Fate::Answered => self
                .world
                .write(|store, now| store.outputs_append(now, partition, &mut moved, prefix))
                .map(|()| prefix.len()),
            Fate::AnswerLost => {
                let _lost = self
                    .world
                    .write(|store, now| store.outputs_append(now, partition, &mut moved, prefix));
                Err(CommitError::Unknown(ANSWER_LOST.into()))
            }
            Fate::RequestLost => Err(CommitError::Unknown(REQUEST_LOST.into())),
            Fate::Late { after_ms } => {
                let prefix = prefix.to_vec();
                self.world.write_later(after_ms, move |store, now| {
                    let _lost = store.outputs_append(now, partition, &mut moved, &prefix);
                });
                Err(CommitError::Unknown(LATE.into()))
            }
        };
        self.world.travel().await;
        if answer.is_ok() {
            *fences = moved;
        }
        answer
    }

    async fn outputs_tail(
        &self,
        lanes: &[Lane],
        from: TailFrom,
    ) -> Result<BoxStream<'static, Result<StoredOutput, LogError>>, LogError> {
        let after = self
            .ask(|store| match from {
                TailFrom::Start => 0,
                TailFrom::Now => store.output_last(),
            })
            .await?;
        let lanes = lanes.to_vec();
        let tail = stream::unfold((self.world.clone(), after), move |(world, after)| {
            let lanes = lanes.clone();
            async move {
                world.travel().await;
                if world.is_disconnected() {
                    return Some((Err(disconnected()), (world, after)));
                }
                let wanted = |lane| lanes.is_empty() || lanes.contains(&lane);
                let output = world
                    .wait(|store| {
                        let mut newer = store.outputs.range(after + 1..).map(|(_, o)| o);
                        newer
                            .find(|stored| wanted(stored.output.lane))
                            .map(WorldOutput::stored)
                    })
                    .await;
                let seq = output.seq;
                Some((Ok(output), (world, seq)))
            }
        });
        Ok(tail.boxed())
    }
}

impl MemoryLog {
    /// Decides and carries out the fate of one event.
    fn append_one(&self, event: NewEvent) -> Result<Appended, AppendError> {
        if let Some(text) = too_large("an event", event.payload.len()) {
            return Err(AppendError::Refused(text));
        }
        let count = self.partition_count();
        if let Some(after_ms) = self.world.duplicate_after_ms() {
            let again = event.clone();
            self.world.write_later(after_ms, move |store, now| {
                store.append_again(count, now, again);
            });
        }
        match self.world.fate() {
            Fate::Answered => Ok(self
                .world
                .write(|store, now| store.append(count, now, event))),
            Fate::AnswerLost => {
                self.world
                    .write(|store, now| store.append(count, now, event));
                Err(AppendError::Unknown(ANSWER_LOST.into()))
            }
            Fate::RequestLost => Err(AppendError::Unknown(REQUEST_LOST.into())),
            Fate::Late { after_ms } => {
                self.world.write_later(after_ms, move |store, now| {
                    store.append(count, now, event);
                });
                Err(AppendError::Unknown(LATE.into()))
            }
        }
    }

    /// Records already found, one by one, with a chance of a disconnect before each.
    fn deliver(&self, found: VecDeque<Stored>) -> BoxStream<'static, Result<Stored, LogError>> {
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
        if self.world.is_disconnected() {
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
        events.truncate(self.world.share(events.len()));
        self.world.travel().await;
        self.next += events.len() as u64;
        Ok(events)
    }
}
