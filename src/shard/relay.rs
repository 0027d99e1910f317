//! Publishes committed outputs: in order, each once, through crashes and changes of owner.
//!
//! A lane's last message says how far the lane is, and every write is fenced by it. So a relay that lost an
//! answer, or follows another owner's, reads the marks and goes on behind them; the server's dedupe window
//! plays no part. What a commit says is fixed by the journal, so two relays of one partition can only agree.
//!
//! A log can lose the end of its outputs and keep the journal. Records say what stood in the lanes; where a lane is behind
//! that, at a taking over or after a doubt, what is missing is read from the journal and published again.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aftercall_actors::contract::output::Kind;
use backoff::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use futures::StreamExt as _;
use prometheus::IntGauge;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    log::{
        CommitError, EventLog, Kept, Lane, LaneFences, LaneMarks, LogError, NewOutput, OutputMark,
        PartitionId, Seq, mark,
        retry::{doubling, next_pause},
    },
    planted::{Bug, is_planted},
    shard::{
        engine::{Publishable, Relayed, publishable},
        record::Record,
        recovery::retry,
    },
    telemetry::metrics,
};

/// Outputs the relay takes in before it lets commits wait.
const WAITING_MAX: usize = 1_000;

/// Outputs offered to the log at once.
const WRITE_MAX: usize = 1_000;

/// Commits that are remembered while they wait.
const COMMITS_MAX: usize = 4_096;

/// Commits with quarantined input that wait for their way out; what comes then is read from the journal later.
const DEAD_COMMITS_MAX: usize = 16;

/// Quarantined input taken in at once.
const DEAD_WAITING_MAX: usize = 64;

/// Before quarantined input is tried again.
const DEAD_PAUSES: ExponentialBuilder =
    doubling(Duration::from_millis(100), Duration::from_secs(30));

/// A partition that ends waits this long for quarantined input.
const DEAD_LAST_TRY: Duration = Duration::from_secs(1);

/// Lanes of outputs proper.
const KINDS: [Lane; Kind::ALL.len()] = {
    let mut lanes = [Lane::Dead; Kind::ALL.len()];
    let mut number = 0;
    while number < lanes.len() {
        lanes[number] = Lane::Out(Kind::ALL[number]);
        number += 1;
    }
    lanes
};

/// Pause before a record is read again,
const PAUSE: Duration = Duration::from_millis(20);

/// and after a write that failed.
const PAUSES: ExponentialBuilder = doubling(PAUSE, Duration::from_secs(1));

/// A relay with nothing to do looks this often whether there is cause for doubt.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Journal sequences looked through at first for the record from which on outputs are lost; four times as many each time
/// after.
const LOOKED_THROUGH: Seq = 256;

/// Outputs of one commit, on their way.
#[derive(Debug)]
pub struct Committed {
    /// The commit, and where it stands in the journal.
    pub at: Relayed,
    /// Its outputs, in order.
    pub outputs: Vec<Publishable>,
}

/// How far a relay is: written by the relay, read by the engine's host.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Inner>);

#[derive(Clone, Copy, Debug, Default)]
struct Inner {
    relayed: Relayed,
    lanes: LaneMarks,
    /// The first commit with quarantined input that does not stand yet.
    dead_from: Option<u64>,
    /// Whether quarantined input was left to be read from the journal.
    dead_behind: bool,
    /// Journal sequence of the last commit taken in.
    taken: Seq,
    /// The last commit whose outputs proper all stand.
    published: u64,
}

impl Progress {
    /// A relay that has got to `relayed`, with this in the lanes.
    #[must_use]
    pub fn starting_at(relayed: Relayed, lanes: LaneMarks) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner {
            relayed,
            lanes,
            taken: relayed.seq,
            ..Inner::default()
        })))
    }

    /// Notes what stands in the lanes. What stood there and is lost is still to be there again.
    fn note(&self, lanes: &[Lane], marks: &LaneMarks) {
        let known = &mut self.inner().lanes;
        for lane in lanes.iter().map(|lane| lane.index()) {
            if place(marks[lane]) >= place(known[lane]) {
                known[lane] = marks[lane];
            }
        }
    }

    /// The last commit whose outputs all stand, and the last output of each lane. Written and read on one thread.
    #[must_use]
    pub fn get(&self) -> (Relayed, LaneMarks) {
        let Inner { relayed, lanes, .. } = *self.inner();
        (relayed, lanes)
    }

    /// The last commit whose outputs proper all stand: quarantined input may take longer.
    #[must_use]
    pub fn published(&self) -> u64 {
        let Inner {
            relayed, published, ..
        } = *self.inner();
        published.max(relayed.commit)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Plain values: whatever panicked while holding them left them readable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a lane's last output among those to come; before all of them if there is none.
fn place(mark: Option<OutputMark>) -> Option<(u64, u32)> {
    mark.map(|mark| (mark.commit, mark.ordinal))
}

/// Why a relay gave up: the partition must stop.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The log refuses an output for good.
    #[error("log refuses output {ordinal} of commit {commit}: {why}")]
    Refused {
        /// Its commit.
        commit: u64,
        /// Its place.
        ordinal: u32,
        /// What the log said.
        why: String,
    },
    /// The journal has lost what was stored in it: the partition has to be taken over anew.
    #[error("it ends at record {last}, and one at {taken} had been stored")]
    JournalLost {
        /// Where it ends now.
        last: Seq,
        /// The last record that was published from.
        taken: Seq,
    },
    /// A lane cannot be read.
    #[error("lane cannot be read: {0}")]
    Lane(#[from] LogError),
}

/// Publishes what comes through `commits` until the channel closes and everything is out. What stood in the lanes, and
/// no longer does because the log lost it, is read from the journal and published again first.
///
/// Quarantined input goes its own way: where its stream is full, or refuses it, it is tried again for as long as it takes,
/// and holds up nothing else. It stays in the journal until then.
///
/// # Errors
/// If an output can never be stored.
pub async fn relay(
    log: &dyn EventLog,
    partition: PartitionId,
    commits: mpsc::Receiver<Committed>,
    progress: Arc<Progress>,
) -> Result<(), RelayError> {
    let (to_dead, dead) = mpsc::channel(DEAD_COMMITS_MAX);
    let mut quarantine = std::pin::pin!(quarantine(log, partition, dead, Arc::clone(&progress)));
    let publishing = publish(log, partition, commits, (to_dead, progress));
    let done = tokio::select! {
        biased;
        done = publishing => done,
        // It goes on for as long as anything may come.
        () = &mut quarantine => Ok(()),
    };
    done?;
    // What it does not get rid of now is in the journal.
    let _ = tokio::time::timeout(DEAD_LAST_TRY, quarantine).await;
    Ok(())
}

/// Publishes the outputs of all kinds.
async fn publish(
    log: &dyn EventLog,
    partition: PartitionId,
    mut commits: mpsc::Receiver<Committed>,
    (to_dead, progress): (mpsc::Sender<Committed>, Arc<Progress>),
) -> Result<(), RelayError> {
    let mut relay = Relay::new(log, partition, &KINDS, progress);
    relay.look().await?;
    let mut pauses = PAUSES.build();
    loop {
        if relay.queue.outputs.is_empty() {
            match tokio::time::timeout(LOOK_EVERY, commits.recv()).await {
                Ok(Some(committed)) => relay.take(committed, &to_dead).await?,
                Ok(None) => return Ok(()),
                Err(_) => {}
            }
        }
        while relay.queue.outputs.len() < WAITING_MAX
            && let Ok(committed) = commits.try_recv()
        {
            relay.take(committed, &to_dead).await?;
        }
        relay.show();
        if log.doubts() != relay.doubts {
            relay.look().await?;
        }
        if !relay.queue.outputs.is_empty() {
            if relay.write().await? {
                pauses = PAUSES.build();
            } else {
                tokio::time::sleep(next_pause(&mut pauses)).await;
                relay.look().await?;
            }
        }
        // Before the wait for the next commit: what is out is no backlog, however long nothing comes.
        relay.show();
    }
}

/// Publishes quarantined input, however long that takes.
async fn quarantine(
    log: &dyn EventLog,
    partition: PartitionId,
    mut commits: mpsc::Receiver<Committed>,
    progress: Arc<Progress>,
) {
    let mut relay = Relay::new(log, partition, &[Lane::Dead], progress);
    let mut trouble = Trouble::default();
    let mut is_sure = false;
    loop {
        let outcome = async {
            if !is_sure || log.doubts() != relay.doubts {
                // Once, and not until it can be read: others wait for nothing here.
                log.output_mark(partition, Lane::Dead).await?;
                relay.look().await?;
            }
            if relay.queue.outputs.is_empty() && relay.progress.inner().dead_behind {
                // What comes from now on is handed on, or says so once more.
                relay.progress.inner().dead_behind = false;
                let mark = relay.queue.marks[Lane::Dead.index()];
                let from = mark.map_or(0, |mark| mark.commit);
                let outcome = relay.publish_again(from, false).await;
                relay.progress.inner().dead_behind |= !matches!(outcome, Ok(true));
                return outcome;
            }
            match relay.queue.outputs.is_empty() {
                true => Ok(true),
                false => relay.write().await,
            }
        };
        let outcome = outcome.await;
        is_sure = matches!(outcome, Ok(true));
        let waits = !relay.queue.outputs.is_empty() || relay.progress.inner().dead_behind;
        match outcome {
            Ok(true) => trouble.ends(partition),
            // All else is in the log's own account.
            Err(error @ RelayError::Refused { .. }) => trouble.is_refused(partition, &error),
            Ok(false) | Err(_) => {}
        }
        if !is_sure {
            if waits {
                metrics().quarantine_untold.inc();
            }
            tokio::time::sleep(next_pause(&mut trouble.pauses)).await;
        }
        relay.progress.note(&[Lane::Dead], &relay.queue.marks);
        while relay.queue.outputs.len() < DEAD_WAITING_MAX
            && let Ok(committed) = commits.try_recv()
        {
            relay.take_dead(committed).await;
        }
        if relay.progress.inner().dead_behind {
            continue;
        }
        let first = relay.queue.outputs.front().map(|output| output.commit);
        relay.progress.inner().dead_from = first;
        if first.is_some() {
            continue;
        }
        match tokio::time::timeout(LOOK_EVERY, commits.recv()).await {
            Ok(Some(committed)) => {
                relay
                    .progress
                    .inner()
                    .dead_from
                    .get_or_insert(committed.at.commit);
                relay.take_dead(committed).await;
            }
            Ok(None) => return,
            Err(_) => {}
        }
    }
}

/// Quarantined input that the log does not take: counted, and tried again later each time.
#[derive(Debug)]
struct Trouble {
    pauses: ExponentialBackoff,
    /// Since when it is said that the log refuses it.
    refused: Option<Instant>,
}

impl Default for Trouble {
    fn default() -> Self {
        Self {
            pauses: DEAD_PAUSES.build(),
            refused: None,
        }
    }
}

impl Trouble {
    fn is_refused(&mut self, partition: PartitionId, why: &RelayError) {
        if self.refused.is_none() {
            self.refused = Some(Instant::now());
            tracing::warn!(
                %partition,
                %why,
                "quarantined input is refused by the log: it stays in the journal and is tried again"
            );
        }
    }

    fn ends(&mut self, partition: PartitionId) {
        if let Some(since) = self.refused {
            let seconds = since.elapsed().as_secs();
            tracing::info!(%partition, seconds, "quarantined input is taken by the log again");
        }
        *self = Self::default();
    }
}

/// Publishes to some lanes of one partition.
struct Relay<'a> {
    log: &'a dyn EventLog,
    partition: PartitionId,
    lanes: &'a [Lane],
    progress: Arc<Progress>,
    backlog: IntGauge,
    queue: Queue,
    /// The log's doubts when the lanes were last looked at.
    doubts: u64,
}

impl<'a> Relay<'a> {
    fn new(
        log: &'a dyn EventLog,
        partition: PartitionId,
        lanes: &'a [Lane],
        progress: Arc<Progress>,
    ) -> Self {
        let (_, marks) = progress.get();
        Self {
            log,
            partition,
            lanes,
            progress,
            backlog: metrics().relay_backlog(&partition.to_string()),
            queue: Queue {
                marks,
                ..Queue::default()
            },
            doubts: 0,
        }
    }

    /// Takes a commit in, and hands on what of it is quarantined input.
    async fn take(
        &mut self,
        mut committed: Committed,
        to_dead: &mpsc::Sender<Committed>,
    ) -> Result<(), LogError> {
        let is_dead = |publishable: &mut Publishable| publishable.output.lane == Lane::Dead;
        let dead: Vec<Publishable> = committed.outputs.extract_if(.., is_dead).collect();
        self.hand_on(committed.at, dead, to_dead);
        let outputs = self.missing(committed.outputs).await?;
        self.queue.take(committed.at, outputs);
        Ok(())
    }

    fn hand_on(&self, at: Relayed, outputs: Vec<Publishable>, to_dead: &mpsc::Sender<Committed>) {
        let mut progress = self.progress.inner();
        progress.taken = progress.taken.max(at.seq);
        if outputs.is_empty() {
            return;
        }
        progress.dead_from.get_or_insert(at.commit);
        if progress.dead_behind || to_dead.try_send(Committed { at, outputs }).is_err() {
            progress.dead_behind = true;
        }
    }

    /// Takes in a commit's quarantined input. Where it cannot be known whether some of it stands, it is read from the
    /// journal later.
    async fn take_dead(&mut self, committed: Committed) {
        match self.missing(committed.outputs).await {
            // How far everything is, the other relay keeps account of.
            Ok(outputs) => self.queue.outputs.extend(outputs),
            Err(_) => self.progress.inner().dead_behind = true,
        }
    }

    /// Those of a commit's outputs that do not stand. One that stood as another commit's is looked at: of the lane's last
    /// one it cannot be told whether that came after the loss of it.
    async fn missing(&self, outputs: Vec<Publishable>) -> Result<Vec<NewOutput>, LogError> {
        let mut missing = Vec::new();
        let mut is_settled = false;
        for Publishable { output, stood } in outputs {
            if stands(&self.queue.marks, &output) {
                continue;
            }
            if let Some(stood) = stood.map(|stood| stood.mark()) {
                if stood.seq == 0 {
                    continue;
                }
                let (log, partition, lane) = (self.log, self.partition, output.lane);
                let kept = match is_settled {
                    false => mark::kept(log, partition, lane, stood).await?,
                    true => retry(|| log.output_kept(partition, lane, stood)).await?,
                };
                if kept != Kept::Lost || is_planted(Bug::StoodTakenToStand) {
                    continue;
                }
                is_settled = true;
            }
            missing.push(output);
        }
        Ok(missing)
    }

    /// Accounts for what is out.
    fn show(&mut self) {
        self.progress.note(self.lanes, &self.queue.marks);
        let mut progress = self.progress.inner();
        progress.published = match self.queue.outputs.front() {
            Some(output) => output.commit.saturating_sub(1),
            None => self.queue.newest,
        };
        if let Some(relayed) = self.queue.relayed(progress.dead_from) {
            progress.relayed = relayed;
        }
        let waiting = i64::try_from(self.queue.outputs.len());
        self.backlog.set(waiting.unwrap_or(i64::MAX));
    }

    /// Offers what waits to the log. `false`: it is not known what of it was stored.
    async fn write(&mut self) -> Result<bool, RelayError> {
        let some = self.queue.outputs.len().min(WRITE_MAX);
        let Some(next) = self.queue.outputs.front() else {
            return Ok(true);
        };
        let (commit, ordinal) = (next.commit, next.ordinal);
        let queue = &mut self.queue;
        let outcome = self
            .log
            .outputs_append(
                self.partition,
                &mut queue.fences,
                &queue.outputs.make_contiguous()[..some],
            )
            .await;
        match outcome {
            Ok(stored) => {
                for output in queue.outputs.drain(..stored) {
                    let lane = output.lane.index();
                    queue.marks[lane] = Some(OutputMark {
                        seq: queue.fences[lane],
                        commit: output.commit,
                        ordinal: output.ordinal,
                    });
                    if let Lane::Out(kind) = output.lane {
                        metrics().output(kind).inc();
                    }
                }
                Ok(true)
            }
            Err(CommitError::Refused(why)) => Err(RelayError::Refused {
                commit,
                ordinal,
                why,
            }),
            Err(CommitError::Fenced | CommitError::Unknown(_)) => Ok(false),
        }
    }

    /// Reads the marks; what the log has lost is published again before anything else.
    async fn look(&mut self) -> Result<(), RelayError> {
        loop {
            self.doubts = self.log.doubts();
            let Some(commit) = self.read_marks().await? else {
                return Ok(());
            };
            // What waits is newer, and goes out behind it.
            let waiting = std::mem::take(&mut self.queue.outputs);
            let is_done = self.publish_again(commit, true).await;
            self.queue.outputs.extend(waiting);
            let is_done = is_done?;
            let marks = &self.queue.marks;
            self.queue.outputs.retain(|output| !stands(marks, output));
            if is_done {
                return Ok(());
            }
        }
    }

    /// Reads where the lanes stand. The answer is the commit from which on outputs are lost, if any are.
    async fn read_marks(&mut self) -> Result<Option<u64>, LogError> {
        let mut lost: Option<u64> = None;
        for lane in self.lanes.iter().copied() {
            let index = lane.index();
            let mut found = retry(|| self.log.output_mark(self.partition, lane)).await?;
            self.queue.fences[index] = found.map_or(0, |mark| mark.seq);
            // A lane of which an earlier look found something lost is still lacking it.
            let known = [self.progress.get().1[index], self.queue.marks[index]]
                .into_iter()
                .max_by_key(|mark| place(*mark))
                .flatten();
            if let Some(known) = known
                && place(found) < Some((known.commit, known.ordinal))
            {
                match mark::kept(self.log, self.partition, lane, known).await? {
                    // Removed is not lost: the lane goes on where it was.
                    Kept::Stands | Kept::Removed => found = Some(known),
                    Kept::Lost if is_planted(Bug::LostOutputsStayLost) => found = Some(known),
                    Kept::Lost => {
                        let from = found.map_or(0, |mark| mark.commit);
                        lost = Some(lost.map_or(from, |lost| lost.min(from)));
                    }
                }
            }
            self.queue.marks[index] = found;
        }
        let marks = &self.queue.marks;
        self.queue.outputs.retain(|output| !stands(marks, output));
        Ok(lost)
    }

    /// Publishes from the journal what of `commit` and later ones does not stand. `false`: the lanes have to be read again.
    /// Nothing waits in the queue after it: what is left when it breaks off comes from the journal again.
    async fn publish_again(&mut self, commit: u64, is_lost: bool) -> Result<bool, RelayError> {
        let is_done = self.publish_from(commit, is_lost).await;
        self.queue.outputs.clear();
        is_done
    }

    async fn publish_from(&mut self, commit: u64, is_lost: bool) -> Result<bool, RelayError> {
        let taken = self.progress.inner().taken;
        let from = self.record_of(commit, taken).await?;
        if is_lost {
            metrics().log_losses("outputs").inc();
        }
        let is_quarantine = self.lanes == [Lane::Dead];
        let at_once = if is_quarantine {
            DEAD_WAITING_MAX
        } else {
            WRITE_MAX
        };
        let (mut again, mut last) = (0, 0);
        let mut records = retry(|| self.log.journal_scan(self.partition, from, taken)).await?;
        loop {
            let record = match records.next().await {
                Some(Ok(stored)) => {
                    last = stored.seq;
                    Some(Record::read(&stored.bytes).map_err(|error| {
                        LogError::Corrupt(format!("journal record {}: {error}", stored.seq))
                    })?)
                }
                Some(Err(error)) if error.is_transient() => return Ok(false),
                Some(Err(error)) => return Err(error.into()),
                None => None,
            };
            if let Some(record) = &record {
                let mut outputs = publishable(self.partition, record);
                outputs.retain(|said| self.lanes.contains(&said.output.lane));
                let missing = self.missing(outputs).await?;
                self.queue.outputs.extend(missing);
            }
            let is_last = record.is_none();
            if is_last && last < taken {
                return Err(RelayError::JournalLost { last, taken });
            }
            while self.queue.outputs.len() >= at_once || (is_last && !self.queue.outputs.is_empty())
            {
                let waiting = self.queue.outputs.len();
                match self.write().await {
                    Ok(true) => {}
                    failed => return failed,
                }
                again += waiting - self.queue.outputs.len();
            }
            if is_last {
                if is_lost {
                    tracing::error!(
                        partition = %self.partition,
                        from_commit = commit,
                        outputs = again,
                        "the log had lost outputs that stood: they are published again"
                    );
                }
                return Ok(true);
            }
        }
    }

    /// A journal sequence at or before the record of `commit`.
    async fn record_of(&self, commit: u64, taken: Seq) -> Result<Seq, RelayError> {
        let (mut to, mut width) = (taken, LOOKED_THROUGH);
        loop {
            let from = to.saturating_sub(width).max(1);
            let mut records = retry(|| self.log.journal_scan(self.partition, from, to)).await?;
            if from == 1 {
                return Ok(from);
            }
            if let Some(stored) = records.next().await {
                let stored = match stored {
                    Ok(stored) => stored,
                    Err(error) if error.is_transient() => {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                let record = Record::read(&stored.bytes).map_err(|error| {
                    LogError::Corrupt(format!("journal record {}: {error}", stored.seq))
                })?;
                if record.commit <= commit {
                    return Ok(stored.seq);
                }
            }
            (to, width) = (from, width.saturating_mul(4));
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    outputs: VecDeque<NewOutput>,
    /// Commits taken in and not known to be out, oldest first.
    commits: VecDeque<Relayed>,
    marks: LaneMarks,
    fences: LaneFences,
    /// The last commit taken in.
    newest: u64,
}

impl Queue {
    fn take(&mut self, at: Relayed, outputs: Vec<NewOutput>) {
        self.newest = self.newest.max(at.commit);
        self.commits.push_back(at);
        let marks = &self.marks;
        let missing = outputs.into_iter();
        self.outputs
            .extend(missing.filter(|output| !stands(marks, output)));
    }

    /// Drops the commits that are out and returns the last of them. `dead_from`: the first with quarantined input that is
    /// not.
    fn relayed(&mut self, dead_from: Option<u64>) -> Option<Relayed> {
        let waiting = self.outputs.front().map(|output| output.commit);
        let waiting = waiting.into_iter().chain(dead_from).min();
        let waiting = waiting.unwrap_or(u64::MAX);
        let mut last = None;
        while let Some(at) = self.commits.front().filter(|at| at.commit < waiting) {
            last = Some(*at);
            self.commits.pop_front();
        }
        // While something waits for long, some of those behind it are enough to go on from.
        if self.commits.len() > COMMITS_MAX {
            let mut number = 0;
            self.commits.retain(|_| {
                number += 1;
                number % 2 == 0 || number > COMMITS_MAX
            });
        }
        last
    }
}

/// Whether an output is already in its lane.
fn stands(marks: &LaneMarks, output: &NewOutput) -> bool {
    place(marks[output.lane.index()]) >= Some((output.commit, output.ordinal))
}
