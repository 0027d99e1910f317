//! Taking a partition over: fence the former owner, then compute what it knew.
//!
//! The newest complete generation, then the states in later journal records, then (in `drive.rs`) replay from the
//! floor. Everything read is checked against everything else: hashes along the journal, commit numbers that follow each
//! other but where the journal had lost its end, the log's end against the committed position, and the event there.
//!
//! An event log that lost its end (a power loss before it had synced) is no reason to stop: what was said stays said,
//! with the states of those who said it, and the journal goes on from the last event at which both agree, so that
//! whatever stands behind it now is applied. What is applied a second time the actors know by its ids.
//!
//! A journal that lost its end is gone on with as well: the events say again what the lost records said. What of it stands
//! in the lanes is not published again, and numbers of commits that were lost are not given to others.

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::{
    actor::StateError,
    contract::{output::Kind, time::LogTime},
    responses::{self, Responses},
    rules::RuleSet,
};
use bytes::Bytes;
use futures::StreamExt as _;
use prost::Message as _;

use crate::log::{
    CommitError, EventLog, EventMark, Kept, Lane, LaneMarks, LogError, OutputMark, PartitionId,
    Position, Seq, Stored, TailFrom,
    mark::{self, Standing},
};
use crate::planted::{Bug, is_planted};

use super::{
    checksum,
    engine::{Head, LOGIC, Publishable, Relayed, Said, Start, Woken, publishable},
    record::{self, FORMAT_PLAIN, LaneRecord, Record, RecordError, StateRecord, Stood, link},
    snapshot::{self, Manifest, Needed, Packer, Piece},
    table::{RestoredDeadline, Table},
};

/// Wait for an output that stood a moment ago.
const OUTPUTS_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// The stream of quarantined input is asked so often before it is done without.
const DEAD_TRIES: u32 = 10;

/// Journal records looked through at first for one whose event the log still holds; four times as many each time after.
const LOOKED_THROUGH: Seq = 64;

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
    pub unrelayed: Vec<(Relayed, Vec<Publishable>)>,
    /// Where the event log was found to have lost its end by this taking over: the position that had been committed.
    pub rewound_from: Option<Position>,
    /// Where the journal was found to have lost its end: the last commit that was left.
    pub lost_after: Option<u64>,
}

pub use crate::log::retry::{READ_PAUSE as RETRY_PAUSE, read as retry};

/// Who takes a partition over, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Taking<'a> {
    /// Rules of a partition that never had an owner.
    pub genesis: &'a RuleSet,
    /// The newest commit that this process knows of; 0 if it knows of none.
    pub known: u64,
    /// The process.
    pub owner: u64,
}

impl<'a> From<&'a RuleSet> for Taking<'a> {
    /// By a process without a name that knows nothing.
    fn from(genesis: &'a RuleSet) -> Self {
        Self {
            genesis,
            known: 0,
            owner: 0,
        }
    }
}

/// Takes `partition` over and loads its state.
///
/// # Errors
/// If the partition must not run: see [`RecoveryError`]. A log that cannot be reached is waited for.
pub async fn recover(
    log: &dyn EventLog,
    partition: PartitionId,
    taking: Taking<'_>,
) -> Result<Recovered, RecoveryError> {
    let mut taking = taking;
    loop {
        let (head, record) = loop {
            match acquire(log, partition, taking).await {
                Err(RecoveryError::Log(error)) if error.is_transient() => {
                    tracing::warn!(%partition, %error, "taking over starts again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                outcome => break outcome?,
            }
        };
        let outcome = loop {
            match load(log, partition, &head, &record).await {
                Err(RecoveryError::Log(error)) if error.is_transient() => {
                    tracing::debug!(%partition, %error, "loading starts again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                outcome => break outcome,
            }
        };
        let Err(RecoveryError::Chain { why, .. }) = &outcome else {
            return outcome;
        };
        let newest = retry(|| log.journal_head(partition)).await?;
        if newest.is_some_and(|newest| newest.seq >= head.seq) {
            return outcome;
        }
        tracing::error!(%partition, why, "the journal lost its end while it was read: taking over starts again");
        taking.known = taking.known.max(record.commit);
    }
}

/// Computes what the former owner knew, from what stands up to our own record.
pub(super) async fn load(
    log: &dyn EventLog,
    partition: PartitionId,
    head: &Head,
    record: &Record,
) -> Result<Recovered, RecoveryError> {
    let mut table = Table::new(partition.side);
    let mut generation = load_generation(log, partition, (head, record), &mut table).await?;
    let segments = generation.as_mut().map(|g| std::mem::take(&mut g.segments));
    let segments = segments.unwrap_or_default();
    let segments = segments.iter().map(|(number, bytes)| (*number, &bytes[..]));
    let responses = Responses::restore(segments)?;
    let manifest_seq = generation.as_ref().map(|g| g.manifest_seq);
    let mut packer = generation.as_ref().map_or_else(Packer::default, |g| {
        Packer::after(manifest_seq, g.full_bytes, g.differences, Some(g.needed))
    });
    let base = generation.map(|g| g.manifest);

    let mut floor = base.as_ref().map_or(0, |manifest| manifest.floor);

    let floor_seq = base.as_ref().map_or(0, |manifest| manifest.journal_seq);
    let lost_from = record.lost_from;
    let from = floor_seq.min(record.relayed_seq);
    let from = from.min(lost_from.unwrap_or(from));
    let mut gaps = Gaps::default();
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
        if lost_from.is_some_and(|from| seq > from) {
            gaps.see(&read);
        }
        if seq > floor_seq && read.rewound_from > 0 {
            // Positions of before and after this record are not the same events. A difference to a generation of before
            // would say otherwise.
            table.rewind(read.position);
            floor = floor.min(read.position);
            packer = Packer::default();
        }
        if !read.genesis_rules.is_empty() {
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
            // What of it stands in the lanes the relay sees there.
            let outputs = publishable(partition, &read);
            if !outputs.is_empty() || seq == head.seq {
                unrelayed.push((relayed, outputs));
            }
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
    let bounds = retry(|| log.bounds()).await?;
    if floor < bounds.last && floor + 1 < bounds.first {
        let (wanted, first) = (floor + 1, bounds.first);
        return Err(LogError::Trimmed { wanted, first }.into());
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
            owner: record.owner,
            mark: record.mark(),
            committed: record.position,
            relayed: Relayed {
                commit: record.relayed,
                seq: record.relayed_seq,
            },
            lanes: LaneRecord::marks(&record.lanes),
            said: match lost_from {
                Some(from) => gaps.said(log, partition, (from, bounds.last)).await?,
                None => Said::default(),
            },
            head: head.clone(),
            left_out,
            woken: record.woken.clone().map(|last| Woken {
                last,
                now: LogTime(record.time_ms),
            }),
        },
        packer,
        unrelayed,
        rewound_from: (record.rewound_from > 0).then_some(record.rewound_from),
        lost_after: record.lost_after,
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
    taking: Taking<'_>,
) -> Result<(Head, Record), RecoveryError> {
    /// Two owners that start together fence each other a few times at most.
    const TRIES_MAX: u32 = 20;
    let mut mine: Option<(Bytes, Record)> = None;
    let mut fenced = 0;
    while fenced < TRIES_MAX {
        // Before the head: what stands by then was committed before, by what owner there is meanwhile.
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
        let mut record = match &stored {
            None => first_record(taking.genesis),
            Some(Stored { seq, bytes }) => {
                let last = Record::read(bytes)
                    .map_err(|error| RecoveryError::Record { seq: *seq, error })?;
                let agreed = agreed(log, partition, *seq, &last).await?;
                next_owner(&last, bytes, agreed)
            }
        };
        // Outputs are published from committed records only: what stands of newer commits shows that records are lost.
        record.owner = taking.owner;
        let newest = published.max(taking.known);
        if newest >= record.commit && !is_planted(Bug::LostCommitsNumberedAgain) {
            tracing::error!(
                %partition,
                newest,
                left = record.commit - 1,
                "the journal has lost its end: what its records said is worked out again from the events"
            );
            record.lost_after = Some(record.commit - 1);
            record.lost_from.get_or_insert(expected);
            // More than was ever given, in records that are lost as well: commits come slower than milliseconds.
            let clock = u64::try_from(log.now().0).unwrap_or(0);
            record.commit = newest.max(clock) + 1;
        }
        record.format = record.format_needed();
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

/// The record by which the next owner takes over: at the same position, unless the log no longer agrees with it there.
fn next_owner(last: &Record, bytes: &[u8], agreed: Option<(EventMark, Seq)>) -> Record {
    let here = agreed.map_or_else(|| last.mark(), |(mark, _)| mark);
    let agreed = agreed.map(|(_, seq)| seq);
    Record {
        position: here.position,
        identity: Bytes::copy_from_slice(&here.identity.to_be_bytes()),
        stored_ms: here.time.map(|time| time.0),
        rewound_from: agreed.map_or(0, |_| last.position),
        lost_after: None,
        lost_from: agreed.into_iter().chain(last.lost_from).min(),
        woken: last.woken.clone().filter(|_| agreed.is_none()),
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
    if next.commit != commit + 1 && next.lost_after != Some(*commit) {
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

/// Where the event log no longer holds what the journal's newest record says was applied: the newest event at which both
/// agree, and the record that names it.
async fn agreed(
    log: &dyn EventLog,
    partition: PartitionId,
    seq: Seq,
    last: &Record,
) -> Result<Option<(EventMark, Seq)>, RecoveryError> {
    let standing = mark::settled(log, &last.mark()).await?;
    let Err(lost) = standing.holds(last.position) else {
        return Ok(None);
    };
    let (mark, named) = newest_agreed(log, partition, seq).await?;
    tracing::error!(
        %partition,
        committed = last.position,
        agreed = mark.position,
        reason = %lost,
        "what stands in the log behind the position at which it agrees with the journal is applied as new; what was \
         said of the events that are lost stays said"
    );
    Ok(Some((mark, named)))
}

/// The newest of the events that the journal names, from record `to` back, that the log still holds. None of them: then
/// the log begins anew, and everything in it is new.
async fn newest_agreed(
    log: &dyn EventLog,
    partition: PartitionId,
    mut to: Seq,
) -> Result<(EventMark, Seq), RecoveryError> {
    let bounds = retry(|| log.bounds()).await?;
    // What retention has removed was applied: nothing else can be told of it.
    let beginning = EventMark {
        position: bounds.first - 1,
        ..EventMark::default()
    };
    let mut width = LOOKED_THROUGH;
    loop {
        let from = to.saturating_sub(width).max(1);
        let mut marks: Vec<(EventMark, Seq)> = Vec::new();
        let mut records = retry(|| log.journal_scan(partition, from, to)).await?;
        while let Some(stored) = records.next().await {
            let Stored { seq, bytes } = stored?;
            let read =
                Record::read(&bytes).map_err(|error| RecoveryError::Record { seq, error })?;
            marks.push((read.mark(), seq));
        }
        // Of those that name the same event the first: what comes behind it may come again.
        marks.dedup_by_key(|(mark, _)| *mark);
        for (mark, seq) in marks.into_iter().rev() {
            if mark.position < bounds.first {
                return Ok((beginning, 0));
            }
            if mark.position <= bounds.last
                && retry(|| mark::look(log, &mark)).await? == Standing::Same
            {
                return Ok((mark, seq));
            }
        }
        if from == 1 {
            return Ok((beginning, 0));
        }
        (to, width) = (from - 1, width.saturating_mul(4));
    }
}

/// The newest commit any of whose outputs stands in a lane; 0 if there is none.
async fn newest_commit_published(
    log: &dyn EventLog,
    partition: PartitionId,
) -> Result<u64, LogError> {
    let mut newest = 0;
    for lane in Lane::all() {
        let mark = match lane {
            Lane::Out(_) => retry(|| log.output_mark(partition, lane)).await?,
            Lane::Dead => last_quarantined(log, partition).await.unwrap_or_default(),
        };
        newest = newest.max(mark.map_or(0, |mark| mark.commit));
    }
    Ok(newest)
}

/// The last quarantined input that stands. Where it goes can be out of order, and holds up nothing else: it is not asked
/// for without end.
async fn last_quarantined(
    log: &dyn EventLog,
    partition: PartitionId,
) -> Result<Option<OutputMark>, LogError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match log.output_mark(partition, Lane::Dead).await {
            Err(_) if tries < DEAD_TRIES => tokio::time::sleep(RETRY_PAUSE).await,
            answer => return answer,
        }
    }
}

/// Where the journal, or the event log, had lost its end and was gone on with, and what was said behind it has not all been
/// said again.
#[derive(Default)]
struct Gaps {
    /// The last commit before each of them, and the first one after it.
    commits: Vec<(u64, u64)>,
    /// What stood in the lanes when the last record before the first of them was written.
    lanes: LaneMarks,
    /// What was said again since, as what it stood.
    said_again: BTreeSet<(Lane, u64, u32)>,
    /// Whether events that were applied are applied once more, and the input among them that is quarantined already, by id
    /// and data: no actor knows it.
    is_rewound: bool,
    quarantined: Vec<(String, Bytes, Stood)>,
}

impl Gaps {
    /// Takes note of a record behind the first of them, in order.
    fn see(&mut self, record: &Record) {
        if let Some(left) = record.lost_after {
            if self.commits.is_empty() {
                self.lanes = LaneRecord::marks(&record.lanes);
            }
            self.commits.push((left, record.commit));
        }
        self.is_rewound |= record.rewound_from > 0;
        for (output, ordinal) in record.outputs.iter().zip(0..) {
            if output.lane() == Some(Lane::Dead) {
                let stood = Stood {
                    commit: record.commit,
                    ordinal,
                    seq: 0,
                };
                let said = (output.id.clone(), output.data.clone(), stood);
                self.quarantined.push(said);
            }
            if let (Some(lane), Some(stood)) = (output.lane(), output.stood) {
                self.said_again.insert((lane, stood.commit, stood.ordinal));
            }
        }
    }

    /// What stands in the lanes of commits that the journal has lost, and was not said again.
    async fn said(
        &self,
        log: &dyn EventLog,
        partition: PartitionId,
        (lost_from, until): (Seq, Position),
    ) -> Result<Said, RecoveryError> {
        let mut said = Said::again(lost_from, until);
        if self.is_rewound {
            for (id, data, stood) in &self.quarantined {
                said.add(Lane::Dead, (id, data), *stood);
            }
        }
        if self.commits.is_empty() {
            return Ok(said);
        }
        let kinds = Kind::ALL.map(Lane::Out);
        self.add_standing(log, partition, &kinds, &mut said).await?;
        if let Err(error) = last_quarantined(log, partition).await {
            tracing::warn!(%partition, %error, "input that was quarantined may be quarantined once more");
            return Ok(said);
        }
        self.add_standing(log, partition, &[Lane::Dead], &mut said)
            .await?;
        Ok(said)
    }

    /// The same of lanes whose outputs are counted together.
    async fn add_standing(
        &self,
        log: &dyn EventLog,
        partition: PartitionId,
        lanes: &[Lane],
        said: &mut Said,
    ) -> Result<(), RecoveryError> {
        let lost = |commit| {
            let mut gaps = self.commits.iter();
            gaps.any(|(left, next)| (left + 1..*next).contains(&commit))
        };
        let mut end = 0;
        for lane in lanes {
            let mark = retry(|| log.output_mark(partition, *lane)).await?;
            end = end.max(mark.map_or(0, |mark| mark.seq));
        }
        let mut seq = stands_before(log, partition, (lanes, &self.lanes)).await?;
        let mut outputs = retry(|| log.outputs_tail(lanes, TailFrom::After(seq))).await?;
        while seq < end {
            // They may be lost while they are read: then it is begun again.
            let next = tokio::time::timeout(OUTPUTS_WAIT, outputs.next()).await;
            let stored = match next {
                Ok(Some(Ok(stored))) => stored,
                Ok(Some(Err(error))) if error.is_transient() => {
                    outputs = retry(|| log.outputs_tail(lanes, TailFrom::After(seq))).await?;
                    continue;
                }
                Ok(Some(Err(error))) => return Err(error.into()),
                Ok(None) | Err(_) => {
                    let why = format!("outputs up to {end} stood, and none comes after {seq}");
                    return Err(LogError::Unreachable(why).into());
                }
            };
            seq = stored.seq;
            let stood = Stood {
                commit: stored.commit,
                ordinal: stored.ordinal,
                seq,
            };
            let place = (stored.lane, stood.commit, stood.ordinal);
            if stored.partition == partition
                && lost(stood.commit)
                && !self.said_again.contains(&place)
            {
                let id = stored.headers.get("ce-id").unwrap_or_default();
                let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy();
                said.add(stored.lane, (&id, &stored.payload), stood);
            }
        }
        Ok(())
    }
}

/// A sequence behind which everything stands that was said after what a record says of some lanes: outputs that it names
/// may be lost, and stand elsewhere since.
async fn stands_before(
    log: &dyn EventLog,
    partition: PartitionId,
    (lanes, marks): (&[Lane], &LaneMarks),
) -> Result<Seq, RecoveryError> {
    let known = lanes.iter().copied();
    let mut known: Vec<(Lane, OutputMark)> = known
        .filter_map(|lane| Some((lane, marks[lane.index()]?)))
        .collect();
    known.sort_unstable_by_key(|(_, mark)| std::cmp::Reverse(mark.seq));
    for (lane, mark) in known {
        // Behind one that retention removed nothing is missing either.
        if mark::kept(log, partition, lane, mark).await? != Kept::Lost {
            return Ok(mark.seq);
        }
    }
    Ok(0)
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

/// Whether the journal still holds what a generation was closed behind.
async fn is_committed(
    log: &dyn EventLog,
    partition: PartitionId,
    manifest: &Manifest,
    (head, record): (&Head, &Record),
) -> Result<bool, RecoveryError> {
    if is_planted(Bug::SnapshotAheadOfMark) {
        return Ok(true);
    }
    // Of before it was kept, only the position tells.
    let (from, to) = match manifest.closed_seq {
        0 if manifest.floor <= record.position => return Ok(true),
        0 => (manifest.journal_seq, head.seq),
        seq => (seq, seq),
    };
    let mut records = retry(|| log.journal_scan(partition, from.max(1), to)).await?;
    while let Some(stored) = records.next().await {
        let Stored { seq, bytes } = stored?;
        let read = Record::read(&bytes).map_err(|error| RecoveryError::Record { seq, error })?;
        let holds = match manifest.closed_seq {
            0 => manifest.floor <= read.position.max(read.rewound_from),
            _ => manifest.closed_link == link(&bytes),
        };
        if holds {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Loads the newest generation whose every part is there; older ones stand in for it otherwise. A generation is closed
/// once all in it is committed: where that commit is not in the journal, the journal has lost its end, and what was said up
/// to there is worked out again, from before.
async fn load_generation(
    log: &dyn EventLog,
    partition: PartitionId,
    (head, record): (&Head, &Record),
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
    let mut beyond = None;
    let mut found = None;
    for (seq, manifest) in manifests.iter().rev() {
        let Some(chain) = chain(*seq, &manifests, &chunks) else {
            continue;
        };
        if is_committed(log, partition, manifest, (head, record)).await? {
            found = Some(chain);
            break;
        }
        tracing::error!(
            %partition,
            floor = manifest.floor,
            committed = record.position,
            "the journal has lost the end that a snapshot was closed behind"
        );
        beyond = beyond.or(Some(chain));
    }
    if found.is_none() && beyond.is_some() && retry(|| log.bounds()).await?.first > 1 {
        // The events it was made of are gone.
        tracing::error!(
            %partition,
            "what was said of events before that snapshot and is lost cannot be worked out again"
        );
        found = beyond;
    }
    let Some(chain) = found else { return Ok(None) };
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

const _: () = assert!(record::FORMAT == 4, "a new format needs its golden file");
