//! A destination's journal of records in the log: taken over, read, and written on.
//!
//! As with a partition's journal, the sequence of the newest record is the fence: of two processes that both believe
//! the destination is theirs, one writes, and the other finds out at its next record. A write without an answer is
//! settled by reading the head, before anything else.

use std::sync::Arc;

use aftercall_actors::contract::output::Kind;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;

use super::{
    policy::Start,
    proof,
    record::{Cursor, FORMAT, Fact, Piece, Record, RecordError, Sighted, Sighting, Spot, Step},
    state::{Misfit, State},
    transport::Transport,
};
use crate::{
    log::{
        CommitError, EventLog, Lane, Log, LogError, PartitionId, Seq, Stored,
        retry::{READ_PAUSE, read},
    },
    planted::{Bug, is_planted},
    telemetry::metrics,
};

/// What the program is, stamped on every record.
const LOGIC: &str = env!("CARGO_PKG_VERSION");

/// Lanes asked for their ends at once.
const ASKED_AT_ONCE: usize = 32;

/// Two owners that start together fence each other a few times at most.
const TRIES_MAX: u32 = 20;

/// Numbers left out where records were lost: more than there can be records of which it is not known if they stand.
const NUMBERS_LEFT_OUT: u64 = 1 << 16;

/// One owner's hold on a destination's journal: what the next record must follow.
#[derive(Clone, Debug)]
pub struct Journal {
    destination: Arc<str>,
    owner: u64,
    epoch: u64,
    /// Number of the newest record.
    number: u64,
    /// Its sequence: the fence.
    head: Seq,
    /// What outcomes are proven with.
    key: Bytes,
}

/// Why a destination cannot be driven on.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process delivers to it.
    #[error("another process has taken over: {0}")]
    Fenced(String),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A record cannot be trusted.
    #[error("delivery record {seq}: {error}")]
    Record {
        /// Its sequence.
        seq: Seq,
        /// What is wrong.
        error: RecordError,
    },
    /// Records are missing, or say what cannot be.
    #[error("delivery records are broken at {seq}: {why}")]
    Broken {
        /// Sequence of the record that does not follow.
        seq: Seq,
        /// What does not fit.
        why: String,
    },
    /// The log has lost records that stood in the journal of this owner, which still knows what they said.
    #[error("the log has lost delivery records: the line ends at {head}")]
    Lost {
        /// Sequence of the newest record that is left; 0 if none is.
        head: Seq,
    },
    /// The log refuses a record for good.
    #[error("log refuses a delivery record: {0}")]
    Refused(String),
}

impl Journal {
    /// Times the destination changed hands.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Sequence of the newest record.
    #[must_use]
    pub const fn head(&self) -> Seq {
        self.head
    }

    /// What outcomes are proven with: only who reads the journal knows it.
    #[must_use]
    pub const fn key(&self) -> &Bytes {
        &self.key
    }

    /// Takes a destination over and computes what its former owner knew.
    ///
    /// # Errors
    /// If it must not be driven. A log that cannot be reached is waited for.
    pub async fn take_over(
        log: &dyn EventLog,
        transport: &dyn Transport,
        owner: u64,
    ) -> Result<(Self, State), JournalError> {
        let destination: Arc<str> = transport.name().into();
        let mut mine: Option<Bytes> = None;
        let mut fenced = 0;
        while fenced < TRIES_MAX {
            let (last, state) = match load(log, transport).await {
                // Removed or not reachable while it was read: from the beginning.
                Err(JournalError::Log(error)) if error.is_transient() => {
                    tokio::time::sleep(READ_PAUSE).await;
                    continue;
                }
                loaded => loaded?,
            };
            if let (Some(last), Some(mine)) = (&last, &mine)
                && last.bytes == *mine
            {
                let journal = Self::at(destination, owner, last);
                return Ok((journal, state));
            }
            let (epoch, number, expected) = last.as_ref().map_or((0, 0, 0), |last| {
                (last.record.epoch, last.record.number, last.seq)
            });
            let key = match &last {
                Some(last) if !last.record.key.is_empty() => last.record.key.clone(),
                Some(_) | None => proof::new_key(&destination, owner),
            };
            let (piece, steps) = match last {
                Some(_) => (None, Vec::new()),
                // The first record ever is a checkpoint, so that a journal always begins with one.
                None => (Some(Piece { index: 0, count: 1 }), state.checkpoint()),
            };
            let record = Record {
                format: FORMAT,
                epoch: epoch + 1,
                number: number + 1,
                owner,
                logic: LOGIC.to_owned(),
                piece,
                steps,
                key,
            };
            let bytes = record.to_bytes();
            match log
                .delivery_append(&destination, expected, bytes.clone())
                .await
            {
                Ok(seq) => {
                    let last = Last { seq, bytes, record };
                    return Ok((Self::at(destination, owner, &last), state));
                }
                Err(CommitError::Refused(why)) => return Err(JournalError::Refused(why)),
                Err(error @ (CommitError::Fenced | CommitError::Unknown(_))) => {
                    // A log that takes nothing is no other owner: it is waited for.
                    fenced += u32::from(matches!(error, CommitError::Fenced));
                    mine = Some(bytes);
                    tokio::time::sleep(READ_PAUSE).await;
                }
            }
        }
        let why = "it keeps doing so".to_owned();
        Err(JournalError::Fenced(why))
    }

    fn at(destination: Arc<str>, owner: u64, last: &Last) -> Self {
        Self {
            destination,
            owner,
            epoch: last.record.epoch,
            number: last.record.number,
            head: last.seq,
            key: last.record.key.clone(),
        }
    }

    /// A record of facts, after the newest one.
    #[must_use]
    pub fn record(&self, facts: &[Fact]) -> Vec<Record> {
        vec![Record {
            steps: facts.iter().cloned().map(Step::from).collect(),
            ..self.blank(1)
        }]
    }

    /// A checkpoint, in as many records as it takes to keep each below about `bytes_max`.
    #[must_use]
    pub fn checkpoint(&self, steps: Vec<Step>, bytes_max: usize) -> Vec<Record> {
        let mut pieces: Vec<Vec<Step>> = vec![Vec::new()];
        let mut bytes = 0;
        for step in steps {
            let length = step.encoded_len() + 8;
            if bytes + length > bytes_max {
                pieces.push(Vec::new());
                bytes = 0;
            }
            bytes += length;
            if let Some(piece) = pieces.last_mut() {
                piece.push(step);
            }
        }
        let count = u32::try_from(pieces.len()).unwrap_or(u32::MAX);
        let numbered = (0..count).zip(1..).zip(pieces);
        numbered
            .map(|((index, ahead), steps)| Record {
                piece: Some(Piece { index, count }),
                steps,
                ..self.blank(ahead)
            })
            .collect()
    }

    fn blank(&self, ahead: u64) -> Record {
        Record {
            format: FORMAT,
            epoch: self.epoch,
            number: self.number + ahead,
            owner: self.owner,
            logic: LOGIC.to_owned(),
            piece: None,
            steps: Vec::new(),
            key: self.key.clone(),
        }
    }

    /// Brings records into the journal, or finds out who did. The answer holds the sequence of the first.
    ///
    /// # Errors
    /// If another owner has written, or the log can never take them.
    pub async fn write(
        mut self,
        log: Log,
        records: Vec<Record>,
    ) -> Result<(Self, Seq), JournalError> {
        let mut first = None;
        for record in records {
            self.write_one(&*log, &record).await?;
            first.get_or_insert(self.head);
        }
        let first = first.unwrap_or(self.head);
        Ok((self, first))
    }

    async fn write_one(&mut self, log: &dyn EventLog, record: &Record) -> Result<(), JournalError> {
        let began = tokio::time::Instant::now();
        let bytes = record.to_bytes();
        loop {
            let answer = log
                .delivery_append(&self.destination, self.head, bytes.clone())
                .await;
            let seq = match answer {
                Ok(seq) => Some(seq),
                Err(CommitError::Refused(why)) => return Err(JournalError::Refused(why)),
                Err(error @ (CommitError::Fenced | CommitError::Unknown(_))) => {
                    tracing::debug!(destination = %self.destination, %error, "reading the line's head");
                    self.settle(log, &bytes).await?
                }
            };
            if let Some(seq) = seq {
                self.head = seq;
                self.number = record.number;
                metrics()
                    .delivery
                    .commit_seconds
                    .observe(began.elapsed().as_secs_f64());
                return Ok(());
            }
            tokio::time::sleep(READ_PAUSE / 5).await;
        }
    }

    /// Reads the head after a write whose outcome is unknown: our record stands (its sequence), the one before still
    /// does (nothing: try again), or another owner's.
    async fn settle(
        &mut self,
        log: &dyn EventLog,
        bytes: &Bytes,
    ) -> Result<Option<Seq>, JournalError> {
        let head = read(|| log.delivery_head(&self.destination)).await?;
        let found = head.as_ref().map_or(0, |head| head.seq);
        match head {
            Some(head) if head.bytes == *bytes => Ok(Some(head.seq)),
            // A lost record that arrived late, where the log gave sequences out again: it was said anew.
            Some(head) if head.seq > self.head && self.is_late(&head) => {
                self.head = head.seq;
                Ok(None)
            }
            Some(head) if head.seq > self.head => {
                if is_planted(Bug::DeliveryWithoutFence) {
                    self.head = head.seq;
                    return Ok(None);
                }
                Err(JournalError::Fenced(format!(
                    "delivery record {} is not ours",
                    head.seq
                )))
            }
            Some(head) if head.seq == self.head => Ok(None),
            None if self.head == 0 => Ok(None),
            Some(_) | None => Err(JournalError::Lost { head: found }),
        }
    }

    /// Whether the journal ends before the newest record that this owner has written.
    #[must_use]
    pub const fn is_behind(&self, head: Seq) -> bool {
        head < self.head
    }

    /// Whether the newest record is another owner's: the log had lost ours, and theirs came to stand there or behind.
    #[must_use]
    pub fn is_anothers(&self, head: &Stored) -> bool {
        let record = Record::read(&head.bytes);
        let is_ours = record.is_ok_and(|record| record.owner == self.owner);
        head.seq >= self.head && !is_ours
    }

    /// Whether a record is one of ours from before the newest.
    fn is_late(&self, stored: &Stored) -> bool {
        let record = Record::read(&stored.bytes);
        record.is_ok_and(|record| {
            (record.owner, record.epoch) == (self.owner, self.epoch) && record.number <= self.number
        })
    }

    /// Goes on behind what the log has left of the journal. Numbers go on behind those of the lost records, so that a
    /// checkpoint has to come next: it says what they said.
    #[must_use]
    pub fn cut(self, head: Seq) -> Self {
        let number = self.number + NUMBERS_LEFT_OUT;
        Self {
            head,
            number,
            ..self
        }
    }
}

/// Removes what a checkpoint made needless. Failing is harmless: the next one tries again.
pub async fn trim(log: Log, destination: Arc<str>, before: Seq) {
    if let Err(error) = log.delivery_trim(&destination, before).await {
        tracing::warn!(%destination, %error, "old delivery records not removed");
    }
}

/// The newest record of a journal.
struct Last {
    seq: Seq,
    bytes: Bytes,
    record: Record,
}

/// Reads a journal and folds it.
async fn load(
    log: &dyn EventLog,
    transport: &dyn Transport,
) -> Result<(Option<Last>, State), JournalError> {
    let mut fold = Fold::new(transport);
    let mut records = log.delivery_scan(transport.name()).await?;
    while let Some(stored) = records.next().await {
        fold.take(stored?)?;
    }
    match (fold.last, fold.state) {
        (Some(last), Some(state)) => Ok((Some(last), state)),
        (Some(last), None) => Err(JournalError::Broken {
            seq: last.seq,
            why: "no checkpoint stands before it".to_owned(),
        }),
        (None, _) => {
            let (cursor, sighted) = beginning(log, transport).await?;
            let mut state = State::new(transport.policy().clone(), cursor);
            let fits = state.apply(&Fact::Sighted(sighted));
            fits.map_err(|misfit| JournalError::Broken {
                seq: 0,
                why: misfit.to_string(),
            })?;
            Ok((None, state))
        }
    }
}

/// What a destination's journal says, read without a change to it; `None` if it never ran.
///
/// # Errors
/// If the journal cannot be read.
pub async fn standing(
    log: &dyn EventLog,
    transport: &dyn Transport,
) -> Result<Option<State>, JournalError> {
    let (last, state) = load(log, transport).await?;
    Ok(last.map(|_| state))
}

/// Where a destination that never ran begins. Decisions about letters of a life that is gone are not for it.
/// With the place goes the last output of each lane, by which it can be found again.
async fn beginning(
    log: &dyn EventLog,
    transport: &dyn Transport,
) -> Result<(Cursor, Sighted), LogError> {
    let mut sighted = Sighted::default();
    let output = match transport.start() {
        Start::Now => {
            let last = log.outputs_last().await?;
            sighted.lanes = ends(log, last).await?;
            last
        }
        Start::Beginning => 0,
    };
    let mut dead = 0;
    let mut entries = log.dead_scan(Some(transport.name())).await?;
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        dead = dead.max(entry.seq);
        sighted.dead_ms = Some(entry.time.0);
    }
    Ok((Cursor { output, dead }, sighted))
}

/// The last output of each lane, as far as it stands at `last` or before.
async fn ends(log: &dyn EventLog, last: Seq) -> Result<Vec<Sighting>, LogError> {
    if last == 0 {
        return Ok(Vec::new());
    }
    let partitions = PartitionId::all(log.partition_count());
    let lanes = partitions.flat_map(|partition| Kind::ALL.map(|kind| (partition, kind)));
    let asking = futures::stream::iter(lanes).map(|(partition, kind)| async move {
        let mark = log.output_mark(partition, Lane::Out(kind)).await?;
        Ok(mark.map(|mark| Sighting {
            spot: Spot {
                side: partition.side as u32,
                partition: partition.index.into(),
                kind: u32::try_from(kind.index()).unwrap_or(u32::MAX),
                commit: mark.commit,
                ordinal: mark.ordinal,
            },
            at: mark.seq,
            stored_ms: None,
        }))
    });
    let found: Vec<Option<Sighting>> = asking.buffered(ASKED_AT_ONCE).try_collect().await?;
    let ends = found.into_iter().flatten();
    let mut ends: Vec<Sighting> = ends.filter(|sighting| sighting.at <= last).collect();
    // Whether the newest still stands is what is asked first.
    if let Some(newest) = ends.iter_mut().max_by_key(|sighting| sighting.at) {
        let stored = log.output_at(newest.at).await?;
        newest.stored_ms = stored.map(|stored| stored.time.0);
    }
    Ok(ends)
}

/// Folds records in order.
struct Fold<'a> {
    transport: &'a dyn Transport,
    /// Nothing before the first complete checkpoint.
    state: Option<State>,
    last: Option<Last>,
    /// A checkpoint that has begun.
    partial: Option<(State, Piece)>,
}

impl<'a> Fold<'a> {
    const fn new(transport: &'a dyn Transport) -> Self {
        Self {
            transport,
            state: None,
            last: None,
            partial: None,
        }
    }

    fn take(&mut self, stored: Stored) -> Result<(), JournalError> {
        let Stored { seq, bytes } = stored;
        let record = Record::read(&bytes).map_err(|error| JournalError::Record { seq, error })?;
        if let Some(last) = &mut self.last
            && last.record.owner == record.owner
            && last.record.epoch == record.epoch
            && record.number <= last.record.number
        {
            // The log had lost it and it arrived late: what it says was said anew before.
            (last.seq, last.bytes) = (seq, bytes);
            return Ok(());
        }
        self.check_follows(seq, &record)?;
        match record.piece {
            // A checkpoint that another owner's record interrupts is void; what stood before it still holds.
            None => {
                self.partial = None;
                if let Some(state) = &mut self.state {
                    fold(state, seq, &record.steps)?;
                }
            }
            Some(piece) => self.take_piece(seq, piece, &record.steps)?,
        }
        self.last = Some(Last { seq, bytes, record });
        Ok(())
    }

    fn take_piece(&mut self, seq: Seq, piece: Piece, steps: &[Step]) -> Result<(), JournalError> {
        let mut state = match self.partial.take() {
            Some((state, before))
                if before.index + 1 == piece.index && before.count == piece.count =>
            {
                state
            }
            _ if piece.index == 0 => State::new(self.transport.policy().clone(), Cursor::default()),
            // The journal was trimmed between the pieces of an older checkpoint: a newer one follows.
            _ if self.state.is_none() => return Ok(()),
            Some(_) | None => {
                let why = "a piece of a checkpoint follows no other".to_owned();
                return Err(JournalError::Broken { seq, why });
            }
        };
        fold(&mut state, seq, steps)?;
        if piece.index + 1 == piece.count {
            self.state = Some(state);
        } else {
            self.partial = Some((state, piece));
        }
        Ok(())
    }

    /// Numbers have no holes. But what was trimmed while it was read is no loss: a checkpoint says it again.
    fn check_follows(&mut self, seq: Seq, record: &Record) -> Result<(), JournalError> {
        let Some(last) = &self.last else {
            return Ok(());
        };
        if record.number == last.record.number + 1 && record.epoch >= last.record.epoch {
            return Ok(());
        }
        let begins_anew = record.piece.is_some_and(|piece| piece.index == 0);
        if record.number > last.record.number && begins_anew {
            self.state = None;
            self.partial = None;
            return Ok(());
        }
        Err(JournalError::Broken {
            seq,
            why: format!(
                "record {} of epoch {} follows record {} of epoch {}",
                record.number, record.epoch, last.record.number, last.record.epoch
            ),
        })
    }
}

fn fold(state: &mut State, seq: Seq, steps: &[Step]) -> Result<(), JournalError> {
    for step in steps {
        let broken = |why: String| JournalError::Broken { seq, why };
        let Some(fact) = &step.fact else {
            return Err(broken("it holds a fact this program does not know".into()));
        };
        state
            .apply(fact)
            .map_err(|misfit: Misfit| broken(misfit.to_string()))?;
    }
    Ok(())
}
