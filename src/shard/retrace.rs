//! A partition's state, worked out by somebody who does not own it: nothing is written, no owner is fenced.
//!
//! Two ways lead to the state at the committed position. [`Retrace::stored`] goes recovery's way: newest generation,
//! states in later journal records, replay of the rest. [`Retrace::anew`] applies every event from the first one on.
//! What both find must be the same; where it is not, something stored was damaged, or the logic changed. `ledger` is
//! made of the second and checked against the first.

use std::{collections::BTreeSet, sync::Arc};

use aftercall_actors::{
    actor::Actor,
    contract::{key::Key, time::LogTime},
    responses::Responses,
    rules::RuleSet,
};
use futures::StreamExt as _;

use super::{
    batch::{BATCH_EVENTS_MAX, Feed, route},
    engine::{Engine, EngineError, Head, Relayed, Said, Start},
    reader::pause_if_transient,
    record::{Record, link},
    recovery::{RecoveryError, load, retry},
    table::Table,
    witness::Witness,
};
use crate::log::{EventMark, LaneMarks, Log, LogError, PartitionId, Position, mark};

/// Why a state cannot be worked out.
#[derive(Debug, thiserror::Error)]
pub enum RetraceError {
    /// What is stored cannot be read or does not fit together.
    #[error("{partition}: {error}")]
    Recovery {
        /// Of which partition.
        partition: PartitionId,
        /// What is wrong.
        error: RecoveryError,
    },
    /// An actor's stored state cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Retention has taken the beginning.
    #[error(
        "events before position {first} are gone, and with them what balances began with: keep the event log \
         (log.retention_age, log.retention_bytes) for as long as its ledger is wanted"
    )]
    Trimmed {
        /// The first position still held.
        first: Position,
    },
}

/// Partitions on their way to the positions they had committed when this began.
pub struct Retrace {
    log: Log,
    engines: Vec<Traced>,
}

#[derive(Debug)]
struct Traced {
    partition: PartitionId,
    engine: Engine,
    /// Position up to which its journal speaks.
    until: Position,
}

impl Retrace {
    /// Goes recovery's way. `genesis` holds where a partition never had an owner.
    ///
    /// # Errors
    /// If what is stored cannot be read or does not fit together. A service that runs beside it trims what it has
    /// replaced, so a reading that finds something gone begins again.
    pub async fn stored(
        log: &Log,
        partitions: &[PartitionId],
        genesis: &RuleSet,
    ) -> Result<Self, RetraceError> {
        Self::from_stored(log, partitions, genesis, None).await
    }

    /// As [`Retrace::stored`], and then on to the last event of the log: what the state will be once all that stands
    /// there now has been applied.
    ///
    /// # Errors
    /// As [`Retrace::stored`].
    pub async fn ahead(
        log: &Log,
        partitions: &[PartitionId],
        genesis: &RuleSet,
    ) -> Result<Self, RetraceError> {
        let last = retry(|| log.bounds()).await?.last;
        Self::from_stored(log, partitions, genesis, Some(last)).await
    }

    /// On to `until`, or to what each partition has committed.
    async fn from_stored(
        log: &Log,
        partitions: &[PartitionId],
        genesis: &RuleSet,
        until: Option<Position>,
    ) -> Result<Self, RetraceError> {
        // What is said on the way is not collected: nobody commits it.
        let quiet = until.map(|_| Position::MAX);
        let mut engines = Vec::new();
        for &partition in partitions {
            let (engine, committed) = match stored(log, partition).await? {
                Some(mut start) => {
                    let committed = start.committed;
                    start.committed = quiet.unwrap_or(committed);
                    (Engine::new(start), committed)
                }
                // An owner to come would begin with what is still held.
                None => (blank(partition, genesis.clone(), quiet.unwrap_or(0)), 0),
            };
            engines.push(Traced {
                partition,
                engine,
                until: until.unwrap_or(committed),
            });
        }
        let log = Arc::clone(log);
        Ok(Self { log, engines })
    }

    /// Begins with the first event.
    ///
    /// # Errors
    /// If the log cannot be read, or no longer holds its first event or the journals' first records.
    pub async fn anew(
        log: &Log,
        partitions: &[PartitionId],
        genesis: &RuleSet,
    ) -> Result<Self, RetraceError> {
        let bounds = retry(|| log.bounds()).await?;
        if bounds.first > 1 {
            let first = bounds.first;
            return Err(RetraceError::Trimmed { first });
        }
        let mut engines = Vec::new();
        for &partition in partitions {
            let fault = |error| RetraceError::Recovery { partition, error };
            let (rules, until) = match ends(log, partition).await.map_err(fault)? {
                Some((first, last)) => {
                    let rules = RuleSet::parse(&first.genesis_rules, "genesis");
                    let rules = rules.map_err(|e| fault(RecoveryError::Rules(e.to_string())))?;
                    (rules, last.position)
                }
                None => (genesis.clone(), 0),
            };
            engines.push(Traced {
                partition,
                engine: blank(partition, rules, Position::MAX),
                until,
            });
        }
        let log = Arc::clone(log);
        Ok(Self { log, engines })
    }

    /// The last position any of them will come to.
    #[must_use]
    pub fn until(&self) -> Position {
        self.engines.iter().map(|t| t.until).max().unwrap_or(0)
    }

    /// Brings no partition further than `position`: for comparing two retraces of a service that goes on meanwhile.
    pub fn stop_at(&mut self, position: impl Fn(PartitionId) -> Position) {
        for traced in &mut self.engines {
            traced.until = traced.until.min(position(traced.partition));
        }
    }

    /// Up to where a partition is brought.
    #[must_use]
    pub fn end_of(&self, partition: PartitionId) -> Position {
        let mut found = self.engines.iter().filter(|t| t.partition == partition);
        found.next().map_or(0, |traced| traced.until)
    }

    /// Reads the log and brings every partition to its end, or to where `witness`, looking on, has seen enough;
    /// `progress` is told the position.
    ///
    /// # Errors
    /// If events are missing, or a stored actor cannot be read. A log that cannot be reached is waited for.
    pub async fn run(
        &mut self,
        witness: &mut impl Witness,
        mut progress: impl FnMut(Position),
    ) -> Result<(), RetraceError> {
        let count = self.log.partition_count();
        let until = self.until();
        let places: Vec<usize> = self
            .engines
            .iter()
            .map(|t| place(t.partition, count))
            .collect();
        let floors = self.engines.iter().map(|t| t.engine.applied());
        let mut next = floors.min().unwrap_or(0) + 1;
        while next <= until {
            let mut reader = match self.log.read(next).await {
                Ok(reader) => reader,
                Err(error) => {
                    pause_if_transient(error).await?;
                    continue;
                }
            };
            while next <= until {
                // Everything up to `until` is stored, so this never waits for what is still to come.
                let raws = match reader.next(BATCH_EVENTS_MAX).await {
                    Ok(raws) => raws,
                    Err(error) => {
                        pause_if_transient(error).await?;
                        break;
                    }
                };
                next = raws.last().map_or(next, |raw| raw.position + 1);
                let feeds = route(raws, count);
                for (traced, place) in self.engines.iter_mut().zip(&places) {
                    if let Some(feed) = feeds.get(*place) {
                        traced.engine.offer(up_to(feed, traced.until));
                        traced.engine.apply_seen(witness)?;
                    }
                }
                let passed = next.min(until + 1) - 1;
                progress(passed);
                if witness.passed(passed).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Every actor as it is now, by key: in the order of partitions, in each by key.
    ///
    /// # Errors
    /// If a stored state cannot be read.
    pub fn actors(
        &mut self,
        mut each: impl FnMut(PartitionId, Key<'_>, Actor, LogTime),
    ) -> Result<(), RetraceError> {
        for Traced {
            partition, engine, ..
        } in &mut self.engines
        {
            for (text, bytes) in engine.states() {
                let Some(key) = aftercall_actors::contract::value::key_of(&text) else {
                    continue;
                };
                let actor =
                    Actor::decode(partition.side, &text, &bytes).map_err(EngineError::from)?;
                each(*partition, key, actor, engine.now);
            }
        }
        Ok(())
    }

    /// The rules a partition has in force, and the log time it has come to.
    #[must_use]
    pub fn standing(&self, partition: PartitionId) -> Option<(&RuleSet, LogTime)> {
        let mut found = self.engines.iter().filter(|t| t.partition == partition);
        found
            .next()
            .map(|traced| (&traced.engine.rules, traced.engine.now))
    }
}

/// A feed's entries up to a position.
fn up_to(feed: &Feed, until: Position) -> Feed {
    let entries = &feed.batch.entries;
    let is_in = |pick: &&u16| entries[usize::from(**pick)].position <= until;
    Feed {
        batch: Arc::clone(&feed.batch),
        picks: feed.picks.iter().filter(is_in).copied().collect(),
    }
}

fn place(partition: PartitionId, count: u16) -> usize {
    PartitionId::all(count)
        .position(|p| p == partition)
        .unwrap_or(usize::MAX)
}

/// An engine that has seen nothing. What it says up to `quiet_until` is not collected.
fn blank(partition: PartitionId, rules: RuleSet, quiet_until: Position) -> Engine {
    Engine::new(Start {
        partition,
        table: Table::new(partition.side),
        responses: Responses::default(),
        rules,
        now: LogTime(i64::MIN),
        floor: 0,
        epoch: 0,
        owner: 0,
        head: Head::default(),
        committed: quiet_until,
        mark: EventMark::default(),
        relayed: Relayed::default(),
        lanes: LaneMarks::default(),
        said: Said::default(),
        left_out: BTreeSet::new(),
        woken: None,
    })
}

/// How often a reading begins again beside a service that trims.
const TRIES_MAX: u32 = 5;

/// As recovery would find it; `None` if the partition never had an owner.
async fn stored(log: &Log, partition: PartitionId) -> Result<Option<Start>, RetraceError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let Some(stored) = retry(|| log.journal_head(partition)).await? else {
            return Ok(None);
        };
        let seq = stored.seq;
        let fault = |error| RetraceError::Recovery { partition, error };
        let record = Record::read(&stored.bytes)
            .map_err(|error| fault(RecoveryError::Record { seq, error }))?;
        let head = Head {
            seq,
            commit: record.commit,
            link: link(&stored.bytes),
        };
        // A service that takes over puts this right; here nothing is written.
        let standing = mark::settled(log.as_ref(), &record.mark()).await?;
        if let Err(lost) = standing.holds(record.position) {
            return Err(fault(RecoveryError::Identity(lost.to_string())));
        }
        match load(log.as_ref(), partition, &head, &record).await {
            Ok(recovered) => return Ok(Some(recovered.start)),
            Err(error) if tries < TRIES_MAX => {
                tracing::debug!(%partition, %error, "reading begins again");
                tokio::time::sleep(super::recovery::RETRY_PAUSE).await;
            }
            Err(error) => return Err(fault(error)),
        }
    }
}

/// The journal's first and last record.
async fn ends(
    log: &Log,
    partition: PartitionId,
) -> Result<Option<(Record, Record)>, RecoveryError> {
    let Some(last) = retry(|| log.journal_head(partition)).await? else {
        return Ok(None);
    };
    let read = |stored: &crate::log::Stored| {
        Record::read(&stored.bytes).map_err(|error| RecoveryError::Record {
            seq: stored.seq,
            error,
        })
    };
    let mut records = retry(|| log.journal_scan(partition, 1, last.seq)).await?;
    let first = match records.next().await {
        Some(first) => first?,
        None => last.clone(),
    };
    let record = read(&first)?;
    if record.genesis_rules.is_empty() {
        return Err(RecoveryError::Chain {
            seq: first.seq,
            why: format!(
                "its first record held is commit {}: the rules it began with are gone",
                record.commit
            ),
        });
    }
    Ok(Some((record, read(&last)?)))
}
