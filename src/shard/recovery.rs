//! Taking a partition over: fence the former owner, then compute what it knew.
//!
//! The newest complete generation, then the states in later journal records, then (in `drive.rs`) replay from the
//! floor. Everything read is checked against everything else: hashes along the journal, commit numbers without
//! holes, the log's end against the committed position, and the identity of the event there.

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::{
    actor::StateError,
    responses::{self, Responses},
    rules::RuleSet,
    time::LogTime,
};
use bytes::Bytes;
use futures::StreamExt as _;
use prost::Message as _;

use crate::log::{
    CommitError, EventLog, Lane, LogError, NewOutput, PartitionId, Position, Seq, Stored,
};
use crate::planted::{Bug, is_planted};

use super::{
    checksum,
    engine::{Head, LOGIC, Relayed, Start, publishable},
    record::{self, FORMAT_PLAIN, Record, RecordError, StateRecord, identity, link},
    snapshot::{self, Manifest, Needed, Packer, Piece},
    table::{RestoredDeadline, Table},
};

/// Why a partition cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A journal record cannot be trusted.
    #[error("journal record {seq}: {error}")]
    Record {
        /// Its sequence.
        seq: Seq,
        /// What is wrong.
        error: RecordError,
    },
    /// The journal's chain is broken.
    #[error("journal is broken at record {seq}: {why}")]
    Chain {
        /// Sequence of the record that does not follow.
        seq: Seq,
        /// What does not fit.
        why: String,
    },
    /// The event log is not the one the journal was written against.
    #[error("event log does not fit the journal: {0}")]
    Identity(String),
    /// A stored actor cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The rules stored with the state do not compile (any more).
    #[error("rules stored with the state cannot be used: {0}")]
    Rules(String),
    /// Another owner keeps taking over as well.
    #[error("another owner took the partition over at the same time")]
    Fenced,
    /// The log refused the record.
    #[error("log refused to record the taking over: {0}")]
    Refused(String),
}

/// A partition taken over.
#[derive(Debug)]
pub struct Recovered {
    /// What the engine starts from.
    pub start: Start,
    /// Goes on with the snapshots.
    pub packer: Packer,
    /// Outputs of committed records that may not stand in their lanes yet, in order, and the commits they end at.
    pub unrelayed: Vec<(Relayed, Vec<NewOutput>)>,
}

pub use crate::log::retry::{READ_PAUSE as RETRY_PAUSE, read as retry};

/// Takes `partition` over and loads its state. `genesis` holds where the partition never had an owner.
///
/// # Errors
/// If the partition must not run: see [`RecoveryError`]. A log that cannot be reached is waited for.
pub async fn recover(
    log: &dyn EventLog,
    partition: PartitionId,
    genesis: &RuleSet,
) -> Result<Recovered, RecoveryError> {
    let (head, record) = acquire(log, partition, genesis).await?;
    loop {
        match load(log, partition, &head, &record).await {
            Err(RecoveryError::Log(error)) if error.is_transient() => {
                tracing::debug!(%partition, %error, "loading starts again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// Computes what the former owner knew, from what stands up to our own record.
pub(super) async fn load(
    log: &dyn EventLog,
    partition: PartitionId,
    head: &Head,
    record: &Record,
) -> Result<Recovered, RecoveryError> {
    check_against_events(log, record).await?;
    let mut table = Table::new(partition.side);
    let mut generation = load_generation(log, partition, &mut table).await?;
    let segments = generation.as_mut().map(|g| std::mem::take(&mut g.segments));
    let segments = segments.unwrap_or_default();
    let segments = segments.iter().map(|(number, bytes)| (*number, &bytes[..]));
    let responses = Responses::restore(segments)?;
    let manifest_seq = generation.as_ref().map(|g| g.manifest_seq);
    let packer = generation.as_ref().map_or_else(Packer::default, |g| {
        Packer::after(manifest_seq, g.full_bytes, g.differences, Some(g.needed))
    });
    let base = generation.map(|g| g.manifest);

    let floor = base.as_ref().map_or(0, |manifest| manifest.floor);
    check_against_snapshot(log, partition, head, record, floor).await?;
    let bounds = retry(|| log.bounds()).await?;
    if floor < bounds.last && floor + 1 < bounds.first {
        let (wanted, first) = (floor + 1, bounds.first);
        return Err(LogError::Trimmed { wanted, first }.into());
    }

    let floor_seq = base.as_ref().map_or(0, |manifest| manifest.journal_seq);
    let from = floor_seq.min(record.relayed_seq);
    let mut genesis_rules = None;
    let mut left_out = BTreeSet::new();
    let mut unrelayed = Vec::new();
    let mut previous: Option<(u64, Bytes)> = None;
    let mut records = retry(|| log.journal_scan(partition, from.max(1), head.seq)).await?;
    let mut last_seq = 0;
    while let Some(stored) = records.next().await {
        let Stored { seq, bytes } = stored?;
        last_seq = seq;
        let read = Record::read(&bytes).map_err(|error| RecoveryError::Record { seq, error })?;
        check_follows(&previous, &read, seq)?;
        if read.commit == 1 {
            genesis_rules = Some(read.genesis_rules.clone());
        }
        let forgotten = is_planted(Bug::OutputAgainOnReplay);
        if seq > floor_seq && !forgotten {
            take_states(&mut table, &read, &mut left_out)?;
        }
        if read.commit > record.relayed {
            let relayed = Relayed {
                commit: read.commit,
                seq,
            };
            unrelayed.push((relayed, publishable(partition, &read)));
        }
        previous = Some((read.commit, link(&bytes)));
    }
    if last_seq != head.seq {
        let why = format!(
            "the newest readable record is {last_seq}, the head is {}",
            head.seq
        );
        return Err(RecoveryError::Chain { seq: head.seq, why });
    }

    let (rules_text, origin) = match (&base, genesis_rules) {
        (Some(manifest), _) => (manifest.rules.clone(), manifest.rules_version.clone()),
        (None, Some(text)) => (text, "genesis".to_owned()),
        (None, None) => {
            let why = "its first record and every snapshot are gone".to_owned();
            return Err(RecoveryError::Chain { seq: from, why });
        }
    };
    let rules = RuleSet::parse(&rules_text, &origin)
        .map_err(|error| RecoveryError::Rules(error.to_string()))?;
    Ok(Recovered {
        start: Start {
            partition,
            table,
            responses,
            rules,
            now: LogTime(
                base.as_ref()
                    .map_or(i64::MIN, |manifest| manifest.floor_time_ms),
            ),
            floor,
            epoch: record.epoch,
            identity: record.identity(),
            committed: record.position,
            relayed: Relayed {
                commit: record.relayed,
                seq: record.relayed_seq,
            },
            head: head.clone(),
            left_out,
        },
        packer,
        unrelayed,
    })
}

/// Takes in the states of a record. One whose state is left out, or to which nothing fits that is held, is worked out from
/// the events, until a record has it whole.
fn take_states(
    table: &mut Table,
    record: &Record,
    left_out: &mut BTreeSet<String>,
) -> Result<(), StateError> {
    for StateRecord {
        key,
        state,
        changes,
        since,
    } in &record.states
    {
        let is_held = match changes {
            Some(changes) => table.fold(key, changes, (*since, record.position))?,
            None => {
                let deadline = RestoredDeadline::AskState;
                table.restore(key, state, record.position, deadline, true)?;
                true
            }
        };
        match is_held {
            true => left_out.remove(key),
            false => left_out.insert(key.clone()),
        };
    }
    left_out.extend(record.left_out.iter().cloned());
    Ok(())
}

/// Commits a record of our own on top of whatever stands: from then on no former owner can commit.
async fn acquire(
    log: &dyn EventLog,
    partition: PartitionId,
    genesis: &RuleSet,
) -> Result<(Head, Record), RecoveryError> {
    /// Two owners that start together fence each other a few times at most.
    const TRIES_MAX: u32 = 20;
    let mut mine: Option<(Bytes, Record)> = None;
    let mut fenced = 0;
    while fenced < TRIES_MAX {
        // Before the head: what stands by then was committed before, whoever goes on meanwhile.
        let published = newest_commit_published(log, partition).await?;
        let stored = retry(|| log.journal_head(partition)).await?;
        if let (Some(stored), Some((bytes, record))) = (&stored, &mine)
            && stored.bytes == *bytes
        {
            let head = Head {
                seq: stored.seq,
                commit: record.commit,
                link: link(bytes),
            };
            return Ok((head, record.clone()));
        }
        let expected = stored.as_ref().map_or(0, |stored| stored.seq);
        let record = match &stored {
            None => first_record(genesis),
            Some(Stored { seq, bytes }) => {
                let last = Record::read(bytes)
                    .map_err(|error| RecoveryError::Record { seq: *seq, error })?;
                next_owner(&last, bytes)
            }
        };
        // Outputs are published from committed records only. We would give the number out again, and say again what
        // the lost records said; and nothing may be written, or the next try would find all in order.
        if published >= record.commit {
            let why = format!(
                "outputs of commit {published} stand, the journal ends at commit {}: records are lost",
                record.commit - 1
            );
            return Err(RecoveryError::Chain { seq: expected, why });
        }
        let bytes = record.to_bytes();
        match log.journal_append(partition, expected, bytes.clone()).await {
            Ok(seq) => {
                let head = Head {
                    seq,
                    commit: record.commit,
                    link: link(&bytes),
                };
                return Ok((head, record));
            }
            Err(CommitError::Refused(why)) => return Err(RecoveryError::Refused(why)),
            Err(error @ (CommitError::Fenced | CommitError::Unknown(_))) => {
                // A log that is full or gives no answer is no other owner: it is waited for.
                fenced += u32::from(matches!(error, CommitError::Fenced));
                tokio::time::sleep(RETRY_PAUSE).await;
                mine = Some((bytes, record));
            }
        }
    }
    Err(RecoveryError::Fenced)
}

fn first_record(genesis: &RuleSet) -> Record {
    Record {
        format: FORMAT_PLAIN,
        epoch: 1,
        commit: 1,
        time_ms: i64::MIN,
        rules: genesis.version().to_owned(),
        logic: LOGIC.to_owned(),
        genesis_rules: genesis.text().to_owned(),
        ..Record::default()
    }
}

fn next_owner(last: &Record, bytes: &[u8]) -> Record {
    Record {
        format: FORMAT_PLAIN,
        epoch: last.epoch + 1,
        commit: last.commit + 1,
        previous: link(bytes),
        logic: LOGIC.to_owned(),
        outputs: Vec::new(),
        states: Vec::new(),
        genesis_rules: String::new(),
        left_out: Vec::new(),
        ..last.clone()
    }
}

fn check_follows(
    previous: &Option<(u64, Bytes)>,
    next: &Record,
    seq: Seq,
) -> Result<(), RecoveryError> {
    let Some((commit, hash)) = previous else {
        return Ok(());
    };
    if next.commit != commit + 1 {
        let why = format!(
            "commit {} follows commit {commit}: records are lost",
            next.commit
        );
        return Err(RecoveryError::Chain { seq, why });
    }
    if next.previous != hash {
        let why = format!("it names another predecessor than commit {commit}");
        return Err(RecoveryError::Chain { seq, why });
    }
    Ok(())
}

/// The event log must hold what the journal says was applied, and it must be the same event.
async fn check_against_events(log: &dyn EventLog, record: &Record) -> Result<(), RecoveryError> {
    if record.position == 0 {
        return Ok(());
    }
    let bounds = retry(|| log.bounds()).await?;
    if bounds.last < record.position {
        return Err(RecoveryError::Identity(format!(
            "it ends at position {}, the journal has committed {}: acknowledged events were lost",
            bounds.last, record.position
        )));
    }
    // Trimmed by retention: its absence proves nothing.
    let Some(event) = retry(|| log.event_at(record.position)).await? else {
        return Ok(());
    };
    if identity(&event.payload) == record.identity() {
        Ok(())
    } else {
        Err(RecoveryError::Identity(format!(
            "another event stands at committed position {}: the log was rolled back and written anew",
            record.position
        )))
    }
}

/// The newest commit any of whose outputs stands in a lane; 0 if there is none.
async fn newest_commit_published(
    log: &dyn EventLog,
    partition: PartitionId,
) -> Result<u64, LogError> {
    let mut newest = 0;
    for lane in Lane::all() {
        let mark = retry(|| log.output_mark(partition, lane)).await?;
        newest = newest.max(mark.map_or(0, |mark| mark.commit));
    }
    Ok(newest)
}

/// A snapshot is closed once its floor is committed; one that goes beyond the journal shows that the journal's end
/// was lost, and with it perhaps words that nobody would say any more.
async fn check_against_snapshot(
    log: &dyn EventLog,
    partition: PartitionId,
    head: &Head,
    record: &Record,
    floor: Position,
) -> Result<(), RecoveryError> {
    if floor <= record.position {
        return Ok(());
    }
    let newest = retry(|| log.journal_head(partition)).await?;
    if newest.is_some_and(|newest| newest.seq > head.seq) {
        // Another owner has taken over since, and went on: our first commit will find out.
        return Ok(());
    }
    Err(RecoveryError::Chain {
        seq: head.seq,
        why: format!(
            "a snapshot stands at position {floor}, the journal ended at {}: records are lost",
            record.position
        ),
    })
}

struct Generation {
    manifest: Manifest,
    /// Segments of the responses, the newest form of each.
    segments: BTreeMap<u64, Bytes>,
    manifest_seq: Seq,
    full_bytes: usize,
    differences: u32,
    /// What the full one that it begins with needs.
    needed: Needed,
}

/// Loads the newest generation whose every part is there; older ones stand in for it otherwise.
async fn load_generation(
    log: &dyn EventLog,
    partition: PartitionId,
    table: &mut Table,
) -> Result<Option<Generation>, RecoveryError> {
    let mut chunks: BTreeMap<Seq, Bytes> = BTreeMap::new();
    let mut manifests: BTreeMap<Seq, Manifest> = BTreeMap::new();
    let mut pieces = retry(|| log.snapshot_scan(partition)).await?;
    while let Some(stored) = pieces.next().await {
        let Stored { seq, bytes } = stored?;
        // A damaged piece makes its generation incomplete; an older one and a longer replay take its place.
        let piece = checksum::holds(&bytes).then(|| Piece::decode(bytes.clone()));
        match piece {
            Some(Ok(Piece {
                format: 1..=snapshot::FORMAT,
                manifest: Some(manifest),
                ..
            })) => {
                manifests.insert(seq, manifest);
            }
            Some(Ok(Piece {
                format: 1..=snapshot::FORMAT,
                ..
            })) => {
                chunks.insert(seq, bytes);
            }
            Some(Ok(_) | Err(_)) | None => {
                tracing::warn!(%partition, seq, "snapshot piece cannot be read")
            }
        }
    }
    let chain = manifests
        .iter()
        .rev()
        .find_map(|(seq, _)| chain(*seq, &manifests, &chunks));
    let Some(chain) = chain else { return Ok(None) };
    let mut full_bytes = 0;
    let mut segments = BTreeMap::new();
    let first = chain
        .first()
        .and_then(|seq| Some((*seq, manifests.get(seq)?)));
    let needed = first.map(|(seq, full)| Needed {
        piece: full.chunks.first().copied().unwrap_or(seq),
        record: full.journal_seq,
    });
    // The beginning of a state that goes on in the next part.
    let mut begun = Vec::new();
    for manifest in chain.iter().filter_map(|seq| manifests.get(seq)) {
        for bytes in manifest.chunks.iter().filter_map(|seq| chunks.get(seq)) {
            full_bytes += bytes.len();
            // Decoded once before: that it is whole is known.
            for mut actor in Piece::decode(bytes.clone()).unwrap_or_default().actors {
                begun.extend_from_slice(&actor.state);
                if actor.goes_on {
                    continue;
                }
                if begun.len() > actor.state.len() {
                    actor.state = Bytes::copy_from_slice(&begun);
                }
                begun.clear();
                let deadline = RestoredDeadline::Known(actor.deadline_ms.map(LogTime));
                if is_planted(Bug::DedupeForgottenOnRestart) {
                    continue;
                }
                if let Some(number) = responses::number_of(&actor.key) {
                    segments.insert(number, actor.state);
                    continue;
                }
                table.restore(&actor.key, &actor.state, actor.as_of, deadline, false)?;
            }
        }
    }
    let newest = chain
        .last()
        .and_then(|seq| Some((*seq, manifests.get(seq)?.clone())));
    let newest = newest.zip(needed);
    Ok(newest.map(|((manifest_seq, manifest), needed)| Generation {
        manifest,
        needed,
        segments,
        manifest_seq,
        full_bytes,
        differences: u32::try_from(chain.len() - 1).unwrap_or(u32::MAX),
    }))
}

/// Manifests from the full generation to the one at `seq`, if nothing of any of them is missing.
fn chain(
    seq: Seq,
    manifests: &BTreeMap<Seq, Manifest>,
    chunks: &BTreeMap<Seq, Bytes>,
) -> Option<Vec<Seq>> {
    let mut chain = vec![seq];
    loop {
        let manifest = manifests.get(chain.last()?)?;
        if !manifest
            .chunks
            .iter()
            .all(|chunk| chunks.contains_key(chunk))
        {
            return None;
        }
        if manifest.is_full() {
            chain.reverse();
            return Some(chain);
        }
        // A base always came first; anything else would be a loop.
        (manifest.base < *chain.last()?).then(|| chain.push(manifest.base))?;
    }
}

const _: () = assert!(record::FORMAT == 2, "a new format needs its golden file");
