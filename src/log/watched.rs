//! A log of which every call is accounted for, whoever makes it: the one place where a fault that lasts is noticed.
//!
//! Around any of the logs, it changes nothing of what they answer. Neighbours: `health` keeps the accounts,
//! `app` puts this around the log it opens.

use std::sync::Arc;

use aftercall_actors::contract::time::LogTime;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};

use super::{
    AppendError, Appended, Bounds, CommitError, EventLog, EventReader, Finding, Kept, Lane,
    LaneFences, Log, LogError, NewDead, NewEvent, NewOutput, OutputMark, PartitionId, Position,
    RawEvent, Seq, Stored, StoredDead, StoredOutput, TailFrom,
    health::{Health, Outcome, Who, Work},
};
use crate::planted::{Bug, is_planted};

/// A log and the account of what it fails at.
pub struct WatchedLog {
    log: Log,
    health: Arc<Health>,
}

impl WatchedLog {
    /// The log with an account of its own, or itself if it has one.
    #[must_use]
    pub fn around(log: Log) -> Log {
        if log.health().is_some() {
            return log;
        }
        Arc::new(Self {
            log,
            health: Arc::default(),
        })
    }

    async fn reading<T>(
        &self,
        work: Work,
        call: impl Future<Output = Result<T, LogError>> + Send,
    ) -> Result<T, LogError> {
        self.asking(work, Who::All, call).await
    }

    /// Opens what is read item by item. That it is open is no answer of the log yet.
    async fn opening<T>(
        &self,
        work: Work,
        call: impl Future<Output = Result<T, LogError>> + Send,
    ) -> Result<T, LogError> {
        let attempt = self.health.begin(work, Who::All);
        let opened = call.await;
        attempt.ended(match Outcome::of(&opened) {
            Outcome::Done => Outcome::Refused,
            failed => failed,
        });
        opened
    }

    async fn asking<T>(
        &self,
        work: Work,
        who: Who<'_>,
        call: impl Future<Output = Result<T, LogError>> + Send,
    ) -> Result<T, LogError> {
        let attempt = self.health.begin(work, who);
        let answer = call.await;
        attempt.ended(Outcome::of(&answer));
        answer
    }

    async fn committing<T>(
        &self,
        work: Work,
        who: Who<'_>,
        call: impl Future<Output = Result<T, CommitError>> + Send,
    ) -> Result<T, CommitError> {
        let attempt = self.health.begin(work, who);
        let answer = call.await;
        let passes_over = work == Work::Commit && is_planted(Bug::UncommittedPassesOver);
        attempt.ended(match &answer {
            Ok(_) | Err(CommitError::Fenced) => Outcome::Done,
            Err(CommitError::Unknown(_)) if passes_over => Outcome::Refused,
            Err(CommitError::Unknown(words)) => Outcome::Failed(words),
            Err(CommitError::Refused(_)) => Outcome::Refused,
        });
        answer
    }

    /// The items of a stream, each of which is an answer of the log.
    fn items<T: 'static>(
        &self,
        work: Work,
        items: BoxStream<'static, Result<T, LogError>>,
    ) -> BoxStream<'static, Result<T, LogError>> {
        let health = Arc::clone(&self.health);
        items
            .inspect(move |item| match Outcome::of(item) {
                Outcome::Done => health.succeeded(work, Who::All),
                Outcome::Failed(words) => health.failed(work, Who::All, words),
                Outcome::Refused => {}
            })
            .boxed()
    }
}

/// What reading from a lane, or writing into it, counts as.
const fn of_lane(lane: Lane, kinds: Work, dead: Work) -> Work {
    match lane {
        Lane::Out(_) => kinds,
        Lane::Dead => dead,
    }
}

#[async_trait]
impl EventLog for WatchedLog {
    fn name(&self) -> &'static str {
        self.log.name()
    }

    fn fault(&self) -> Option<String> {
        self.log.fault()
    }

    fn is_shared(&self) -> bool {
        self.log.is_shared()
    }

    fn doubts(&self) -> u64 {
        self.log.doubts()
    }

    async fn output_kept(
        &self,
        partition: PartitionId,
        lane: Lane,
        mark: OutputMark,
    ) -> Result<Kept, LogError> {
        self.log.output_kept(partition, lane, mark).await
    }

    fn partition_count(&self) -> u16 {
        self.log.partition_count()
    }

    fn record_bytes_max(&self) -> usize {
        self.log.record_bytes_max()
    }

    fn now(&self) -> LogTime {
        self.log.now()
    }

    fn clock_note(&self) -> Option<String> {
        self.log.clock_note()
    }

    fn health(&self) -> Option<&Health> {
        Some(&self.health)
    }

    async fn close(&self) -> Result<(), LogError> {
        self.log.close().await
    }

    async fn findings(&self) -> Result<Vec<Finding>, LogError> {
        self.log.findings().await
    }

    async fn append(&self, events: Vec<NewEvent>) -> Vec<Result<Appended, AppendError>> {
        if events.is_empty() {
            return Vec::new();
        }
        let attempt = self.health.begin(Work::StoreEvents, Who::All);
        let answers = self.log.append(events).await;
        let unknown = answers.iter().find_map(|answer| match answer {
            Err(AppendError::Unknown(words)) => Some(words),
            Ok(_) | Err(AppendError::Refused(_)) => None,
        });
        attempt.ended(match unknown {
            Some(words) => Outcome::Failed(words),
            None if answers.iter().any(Result::is_ok) => Outcome::Done,
            None => Outcome::Refused,
        });
        answers
    }

    async fn bounds(&self) -> Result<Bounds, LogError> {
        self.reading(Work::Reach, self.log.bounds()).await
    }

    async fn event_at(&self, position: Position) -> Result<Option<RawEvent>, LogError> {
        self.reading(Work::ReadEvents, self.log.event_at(position))
            .await
    }

    async fn read(&self, from: Position) -> Result<Box<dyn EventReader>, LogError> {
        let reader = self.reading(Work::ReadEvents, self.log.read(from)).await?;
        Ok(Box::new(WatchedReader {
            reader,
            health: Arc::clone(&self.health),
        }))
    }

    async fn journal_head(&self, partition: PartitionId) -> Result<Option<Stored>, LogError> {
        self.reading(Work::ReadJournal, self.log.journal_head(partition))
            .await
    }

    async fn journal_append(
        &self,
        partition: PartitionId,
        expected: Seq,
        record: Bytes,
    ) -> Result<Seq, CommitError> {
        let call = self.log.journal_append(partition, expected, record);
        self.committing(Work::Commit, Who::Partition(partition), call)
            .await
    }

    async fn journal_scan(
        &self,
        partition: PartitionId,
        from: Seq,
        to: Seq,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        let call = self.log.journal_scan(partition, from, to);
        let records = self.reading(Work::ReadJournal, call).await?;
        Ok(self.items(Work::ReadJournal, records))
    }

    async fn journal_trim(&self, partition: PartitionId, before: Seq) -> Result<(), LogError> {
        // As for deliveries.
        self.log.journal_trim(partition, before).await
    }

    async fn snapshot_append(&self, partition: PartitionId, chunk: Bytes) -> Result<Seq, LogError> {
        let call = self.log.snapshot_append(partition, chunk);
        self.asking(Work::WriteSnapshots, Who::Partition(partition), call)
            .await
    }

    async fn snapshot_scan(
        &self,
        partition: PartitionId,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        let call = self.log.snapshot_scan(partition);
        let chunks = self.reading(Work::ReadSnapshots, call).await?;
        Ok(self.items(Work::ReadSnapshots, chunks))
    }

    async fn snapshot_trim(&self, partition: PartitionId, before: Seq) -> Result<(), LogError> {
        let call = self.log.snapshot_trim(partition, before);
        self.asking(Work::WriteSnapshots, Who::Partition(partition), call)
            .await
    }

    async fn output_mark(
        &self,
        partition: PartitionId,
        lane: Lane,
    ) -> Result<Option<OutputMark>, LogError> {
        let work = of_lane(lane, Work::ReadOutputs, Work::ReadDead);
        self.reading(work, self.log.output_mark(partition, lane))
            .await
    }

    async fn outputs_append(
        &self,
        partition: PartitionId,
        fences: &mut LaneFences,
        outputs: &[NewOutput],
    ) -> Result<usize, CommitError> {
        let lane = outputs.first().map(|output| output.lane);
        let work = lane.map_or(Work::Publish, |lane| {
            of_lane(lane, Work::Publish, Work::WriteDead)
        });
        let call = self.log.outputs_append(partition, fences, outputs);
        self.committing(work, Who::Partition(partition), call).await
    }

    async fn outputs_tail(
        &self,
        lanes: &[Lane],
        from: TailFrom,
    ) -> Result<BoxStream<'static, Result<StoredOutput, LogError>>, LogError> {
        let call = self.log.outputs_tail(lanes, from);
        let outputs = self.opening(Work::ReadOutputs, call).await?;
        Ok(self.items(Work::ReadOutputs, outputs))
    }

    async fn output_at(&self, seq: Seq) -> Result<Option<StoredOutput>, LogError> {
        self.reading(Work::ReadOutputs, self.log.output_at(seq))
            .await
    }

    async fn outputs_last(&self) -> Result<Seq, LogError> {
        self.reading(Work::ReadOutputs, self.log.outputs_last())
            .await
    }

    async fn delivery_head(&self, destination: &str) -> Result<Option<Stored>, LogError> {
        self.reading(Work::ReadDeliveries, self.log.delivery_head(destination))
            .await
    }

    async fn delivery_append(
        &self,
        destination: &str,
        expected: Seq,
        record: Bytes,
    ) -> Result<Seq, CommitError> {
        let call = self.log.delivery_append(destination, expected, record);
        self.committing(Work::WriteDeliveries, Who::Destination(destination), call)
            .await
    }

    async fn delivery_scan(
        &self,
        destination: &str,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        let call = self.log.delivery_scan(destination);
        let records = self.reading(Work::ReadDeliveries, call).await?;
        Ok(self.items(Work::ReadDeliveries, records))
    }

    async fn delivery_trim(&self, destination: &str, before: Seq) -> Result<(), LogError> {
        // Whoever trims passes over a failure, so it is no work that waits.
        self.log.delivery_trim(destination, before).await
    }

    async fn dead_append(&self, destination: &str, entry: NewDead) -> Result<Seq, AppendError> {
        let attempt = self
            .health
            .begin(Work::WriteDead, Who::Destination(destination));
        let answer = self.log.dead_append(destination, entry).await;
        attempt.ended(match &answer {
            Ok(_) => Outcome::Done,
            Err(AppendError::Unknown(words)) => Outcome::Failed(words),
            Err(AppendError::Refused(_)) => Outcome::Refused,
        });
        answer
    }

    async fn dead_at(&self, seq: Seq) -> Result<Option<StoredDead>, LogError> {
        self.reading(Work::ReadDead, self.log.dead_at(seq)).await
    }

    async fn dead_scan(
        &self,
        destination: Option<&str>,
    ) -> Result<BoxStream<'static, Result<StoredDead, LogError>>, LogError> {
        let entries = self
            .reading(Work::ReadDead, self.log.dead_scan(destination))
            .await?;
        Ok(self.items(Work::ReadDead, entries))
    }

    async fn dead_tail(
        &self,
        destination: &str,
        after: Seq,
    ) -> Result<BoxStream<'static, Result<StoredDead, LogError>>, LogError> {
        let call = self.log.dead_tail(destination, after);
        let entries = self.opening(Work::ReadDead, call).await?;
        Ok(self.items(Work::ReadDead, entries))
    }
}

struct WatchedReader {
    reader: Box<dyn EventReader>,
    health: Arc<Health>,
}

#[async_trait]
impl EventReader for WatchedReader {
    async fn next(&mut self, max: usize) -> Result<Vec<RawEvent>, LogError> {
        // It may wait for an event for as long as none comes, so this is no try that hangs.
        let answer = self.reader.next(max).await;
        match Outcome::of(&answer) {
            Outcome::Done => self.health.succeeded(Work::ReadEvents, Who::All),
            Outcome::Failed(words) => self.health.failed(Work::ReadEvents, Who::All, words),
            Outcome::Refused => {}
        }
        answer
    }
}
