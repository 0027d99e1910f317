//! Holds the book against everything that should say the same: the stored agents, the outputs, the providers (S3.14).
//!
//! The book is made anew from the first event (`watch`), so what it is compared with has no part in it:
//!
//! | file | compares |
//! |---|---|
//! | `watch` | the lines of each step with the agent after it; each claim with its threshold |
//! | `states` | each agent with its stored form, in terms of money and then to the byte |
//! | `outcomes` | each outcome with the destination that is said to have told it |
//! | `outputs` | each request and reversal with the output stream: there once, and as the book has it |
//! | `deliveries` | each request with its destination: what it is past, it delivers, or has told what became of it |
//! | `provider` | each reward with what a destination that can be asked (`[destination.list]`) says of it |
//!
//! A service may run meanwhile. What can move is read in the order in which it moves, so that nothing that is merely
//! on its way shows as a difference: first how far the log is and what providers have, then how far outputs stand,
//! then how far the journals go; the book covers all of these. What has moved since the first is left to the next
//! verification.

mod deliveries;
mod outcomes;
mod outputs;
mod provider;
mod states;
mod watch;

use std::{collections::BTreeMap, fmt};

use aftercall_actors::{
    contract::{
        key::Side,
        time::{EventTime, LogTime},
    },
    rules::RuleSet,
};
use serde::Serialize;

use crate::{
    delivery::journal::JournalError,
    log::{Log, LogError, PartitionId, Position, retry::read},
    shard::{
        record::{Record, RecordError},
        retrace::{Retrace, RetraceError},
        witness::Nobody,
    },
    sinks::{courier::Courier, http::listing::ListingError},
};
use deliveries::Deliverer;
use provider::Provider;
use watch::Watch;

/// What was compared with the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// An agent after an event.
    Books,
    /// A claim's threshold.
    Claims,
    /// An agent's stored state.
    State,
    /// What told an outcome.
    Outcomes,
    /// The output stream.
    Outputs,
    /// A destination's delivery records.
    Deliveries,
    /// A provider's list.
    Provider,
}

impl Check {
    /// The name in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Books => "books",
            Self::Claims => "claims",
            Self::State => "state",
            Self::Outcomes => "outcomes",
            Self::Outputs => "outputs",
            Self::Deliveries => "deliveries",
            Self::Provider => "provider",
        }
    }
}

/// One thing that the book and another say differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Discrepancy {
    /// What was compared.
    pub check: Check,
    /// The agent, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The reward, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reward_id: Option<String>,
    /// The destination, if one says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Where in the event log the book has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// What the book says.
    pub book: String,
    /// What the other says.
    pub found: String,
}

impl Discrepancy {
    const fn new(check: Check, book: String, found: String) -> Self {
        Self {
            check,
            agent_id: None,
            reward_id: None,
            destination: None,
            position: None,
            book,
            found,
        }
    }

    fn of_agent(self, id: &str) -> Self {
        let agent_id = Some(id.to_owned());
        Self { agent_id, ..self }
    }

    fn of_reward(self, id: &str) -> Self {
        let reward_id = Some(id.to_owned());
        Self { reward_id, ..self }
    }

    fn by(self, destination: &str) -> Self {
        let destination = Some(destination.to_owned());
        Self {
            destination,
            ..self
        }
    }

    fn at(self, position: Position) -> Self {
        Self {
            position: Some(position),
            ..self
        }
    }
}

impl fmt::Display for Discrepancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.check.name())?;
        if let Some(destination) = &self.destination {
            write!(f, " {destination}")?;
        }
        if let Some(agent) = &self.agent_id {
            write!(f, ", agent {agent}")?;
        }
        if let Some(reward) = &self.reward_id {
            write!(f, ", reward {reward}")?;
        }
        if let Some(position) = self.position {
            write!(f, ", position {position}")?;
        }
        write!(f, ": the book says {}; found {}", self.book, self.found)
    }
}

/// What was compared, and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Last position of the event log that the book covers.
    pub position: Position,
    /// Agents that have an account.
    pub agents: u64,
    /// Actors whose stored form was compared: agents, and whoever else has work without one.
    pub actors: u64,
    /// Lines of the book.
    pub entries: u64,
    /// Points that all agents have together.
    pub points: i64,
    /// Rewards ever claimed.
    pub rewards: u64,
    /// Of these: those that their agents have.
    pub issued: u64,
    /// Of these: neither given nor refused yet, or being taken back.
    pub open: u64,
    /// Requests and reversals in the output stream.
    pub outputs: u64,
    /// Committed and not published yet.
    pub unpublished: u64,
    /// What providers list.
    pub providers: BTreeMap<String, Listed>,
    /// Differences.
    pub differences: u64,
}

/// A provider's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Orders in it.
    pub orders: u64,
    /// Rewards that were held against it.
    pub compared: u64,
    /// Rewards that are open, or moved meanwhile, and were not.
    pub open: u64,
}

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A partition cannot be worked out.
    #[error(transparent)]
    Retrace(#[from] RetraceError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A journal's record cannot be read.
    #[error("{partition}: journal record {seq}: {error}")]
    Record {
        /// Of which partition.
        partition: PartitionId,
        /// Its sequence.
        seq: u64,
        /// What is wrong.
        error: RecordError,
    },
    /// A destination's newest delivery record cannot be read.
    #[error("destination {destination}: delivery record {seq}: {error}")]
    Delivery {
        /// Its name.
        destination: String,
        /// The record's sequence.
        seq: u64,
        /// What is wrong.
        error: RecordError,
    },
    /// A destination's delivery records cannot be read.
    #[error("destination {destination}: {error}")]
    Line {
        /// Its name.
        destination: String,
        /// Why.
        error: JournalError,
    },
    /// A destination's list cannot be had.
    #[error("destination {destination}: {error}")]
    List {
        /// Its name.
        destination: String,
        /// Why.
        error: ListingError,
    },
}

/// Compares all there is. Each difference goes to `report` as it is found; `progress` is told how far the book is:
/// the position reached, and the last one. Takes the memory of all agents twice, of what is known of each reward (about
/// 1 KiB), and of the providers' lists.
///
/// # Errors
/// If the log, or a provider's list, cannot be read to its end. Differences found until then have been reported.
pub async fn verify(
    log: &Log,
    genesis: &RuleSet,
    couriers: &[Courier],
    mut report: impl FnMut(Discrepancy),
    mut progress: impl FnMut(Position, Position),
) -> Result<Summary, VerifyError> {
    let count = log.partition_count();
    let partitions: Vec<PartitionId> = PartitionId::of(Side::Agent, count).collect();
    let mut differences = 0;
    let mut report = |discrepancy: Discrepancy| {
        differences += 1;
        report(discrepancy);
    };

    let settled = read(|| log.bounds()).await?.last;
    let mut providers = Vec::new();
    for courier in couriers {
        let span = span(log).await?;
        providers.extend(Provider::ask(courier, &span).await?);
    }
    let mut deliverers = Vec::new();
    for courier in couriers {
        deliverers.extend(Deliverer::of(log, courier).await?);
    }
    let mut published = BTreeMap::new();
    for &partition in &partitions {
        let position = published_to(log, partition).await?;
        published.insert(partition.index, position);
    }
    let last = outputs::last(log, &partitions).await?;
    let mut stored = Retrace::stored(log, &partitions, genesis).await?;
    let mut anew = Retrace::anew(log, &partitions, genesis).await?;
    // The service may have gone on between the two.
    anew.stop_at(|partition| stored.end_of(partition));

    let until = anew.until();
    let mut watch = Watch::new(count, &mut report);
    anew.run(&mut watch, |position| progress(position, until))
        .await?;
    stored.run(&mut Nobody, |_| {}).await?;
    let mut book = watch.finish();

    let ends = partitions.iter().map(|partition| stored.end_of(*partition));
    let end = ends.min().unwrap_or(0);
    let actors = states::compare(&mut stored, &mut anew, &mut report)?;
    drop((stored, anew));
    outcomes::compare(log, std::mem::take(&mut book.heard), &mut report).await?;
    let outputs = outputs::compare(
        log,
        last,
        &published,
        &mut book.said,
        (&mut providers, &mut deliverers),
        &mut report,
    )
    .await?;
    let mut summary = Summary {
        position: until,
        agents: book.books.accounts.len() as u64,
        actors,
        entries: book.books.lines,
        points: book.books.accounts.values().fold(0, |sum, account| {
            sum.saturating_add(account.balance.points())
        }),
        rewards: book.rewards.len() as u64,
        outputs: outputs.found,
        unpublished: outputs.unpublished,
        ..Summary::default()
    };
    for reward in book.rewards.values() {
        summary.issued += u64::from(reward.standing.is_issued());
        summary.open += u64::from(reward.standing.is_open());
    }
    let unknown = deliveries::unknown(&deliverers, &book.rewards, settled);
    deliveries::compare(log, unknown, end, &mut report).await?;
    for provider in providers {
        let name = provider.name.clone();
        let listed = provider.compare(&book.rewards, settled, &mut report);
        summary.providers.insert(name, listed);
    }
    summary.differences = differences;
    Ok(summary)
}

/// The times of the book, as lists are asked for: its first event's and now.
async fn span(log: &Log) -> Result<(String, String), LogError> {
    let first = read(|| log.event_at(1)).await?;
    let text = |time: LogTime| EventTime(time.0).to_string();
    let now = log.now();
    Ok((text(first.map_or(now, |event| event.time)), text(now)))
}

/// Up to which position everything a partition said stands in the output stream for certain.
async fn published_to(log: &Log, partition: PartitionId) -> Result<Position, VerifyError> {
    let fault = |seq, error| VerifyError::Record {
        partition,
        seq,
        error,
    };
    let Some(head) = read(|| log.journal_head(partition)).await? else {
        return Ok(0);
    };
    let seq = Record::read(&head.bytes)
        .map_err(|error| fault(head.seq, error))?
        .relayed_seq;
    if seq == 0 {
        return Ok(0);
    }
    let mut found = read(|| log.journal_scan(partition, seq, seq)).await?;
    match futures::StreamExt::next(&mut found).await {
        Some(stored) => {
            let stored = stored?;
            let record = Record::read(&stored.bytes).map_err(|error| fault(stored.seq, error))?;
            Ok(record.position)
        }
        None => Ok(0),
    }
}
