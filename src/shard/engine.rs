//! One partition's engine: what it has applied, what that caused, and the next record to commit.
//!
//! It decides; `drive.rs` performs. No I/O, no clock and no await here: events, committed sequences and a log
//! time go in, records and snapshot pieces come out. The same engine runs in production and under simulation.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    path::Path,
};

use aftercall_actors::{
    actor::StateError,
    contract::{
        event::{Body, Event},
        key::{Key, Side},
        output::{Kind, Output},
        plausible,
        time::LogTime,
        value::key_of,
    },
    effect::{Effect, Effects},
    responses::{self, Arrival, Facts, Responses, Share},
    rules::RuleSet,
    turn::Turn,
};
use bytes::Bytes;

use crate::{
    envelope::{self, Origin, Reason, Reject},
    log::{EventMark, Lane, LaneMarks, NewOutput, PartitionId, Position, Seq},
    planted::{Bug, is_planted, state_room},
    shard::{
        batch::{Entry, Feed},
        quarantine,
        record::{self, LaneRecord, OutputRecord, Record, StateRecord, Stood, WokenRecord},
        table::{Index, LIVE_MAX, Table, Written},
        tally::Tally,
        witness::{Nobody, Step, Witness},
    },
};

/// Most events a commit covers.
pub const COMMIT_EVENTS_MAX: usize = 500;

/// A commit takes no further event once outputs and states come to this many bytes, or to an eighth of a record.
pub const COMMIT_BYTES_MAX: usize = 128 * 1024;

/// What records are assumed to have room for, until the log in use has said so.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// How a record's room is divided. All bounds on what comes from outside together keep one event far below them; they
/// hold where those fail.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// What the log takes.
    record: usize,
}

impl Room {
    /// What a commit takes further events up to.
    fn commit(self) -> usize {
        COMMIT_BYTES_MAX.min(self.record / 8)
    }

    /// For outputs and states: the rest of a record is names, numbers and the checksum.
    const fn content(self) -> usize {
        self.record - self.record / 64 - 512
    }

    /// What outputs may come to, with those of one event or deadline more.
    const fn outputs(self) -> usize {
        self.content() / 10 * 6
    }

    /// What an entry of the quarantine may come to.
    const fn quarantined(self) -> usize {
        self.content() / 10 * 4
    }

    /// Longest state that is written whole each time.
    const fn whole_state(self) -> usize {
        self.record / 512
    }
}

/// What the program is, stamped on every record.
pub const LOGIC: &str = env!("CARGO_PKG_VERSION");

/// Where a partition's journal stands: what the next record must follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its sequence: the fence.
    pub seq: Seq,
    /// Its commit number.
    pub commit: u64,
    /// Hash of its bytes.
    pub link: Bytes,
}

/// A record ready to be committed, and what follows once it is.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Sequence the journal's newest record must have.
    pub expected: Seq,
    /// Commit number.
    pub commit: u64,
    /// The record.
    pub bytes: Bytes,
    /// Hash of the record.
    pub link: Bytes,
    /// Position it covers.
    pub position: Position,
    /// What to publish.
    pub outputs: Vec<Publishable>,
    /// Log time of each output's cause, for the latency figure.
    pub causes: Vec<LogTime>,
}

/// A fault that stops the partition: going on would break a promise.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A stored actor cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// One partition, in memory.
#[derive(Debug)]
pub struct Engine {
    pub(super) partition: PartitionId,
    pub(super) table: Table,
    /// As of exactly what has been applied.
    pub(super) responses: Responses,
    pub(super) rules: RuleSet,
    pub(super) now: LogTime,
    pub(super) applied: Position,
    /// The event at `applied`, or the one at the committed position until replay gets there.
    mark: EventMark,
    epoch: u64,
    owner: u64,
    head: Head,
    committed: Position,
    /// Up to here a former owner has committed: replay says nothing again.
    quiet_until: Position,
    relayed: Relayed,
    lanes: LaneMarks,
    said: Said,
    pending: Pending,
    feeds: VecDeque<(Feed, usize)>,
    effects: Effects,
    room: Room,
    /// Actors that replay hears again, since a record left their states out.
    left_out: BTreeSet<String>,
    /// The last one that the event behind `applied` has woken, if there are others that it has not woken yet.
    woken: Option<WokenRecord>,
    /// Those that a former owner had woken, until replay has come to them.
    rewaking: Option<Woken>,
    /// Counts for the metrics, handed over with each commit or when asked.
    pub tally: Tally,
}

/// How far the relay is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relayed {
    /// All outputs of commits up to this one stand in their lanes.
    pub commit: u64,
    /// Journal sequence of that commit.
    pub seq: Seq,
}

/// Outputs that replay says again, and that are not to be published twice: they stand though the journal has lost the
/// commits they were said in, or a commit before the replay says them already. Known by their ids, which follow from what they mean: an event that came later than the lost one
/// may lead to other words. Quarantined input is named by its position alone, where another event may stand since, so of
/// that the words count too.
#[derive(Clone, Debug, Default)]
pub struct Said {
    outputs: BTreeMap<SaidKey, VecDeque<Stood>>,
    /// The events up to here say them again.
    until: Position,
    /// The last record before the journal lost its end, unless that is made good.
    lost_from: Option<Seq>,
}

/// An output by lane, id and, where the same id can stand for other data, a hash of the data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SaidKey {
    lane: usize,
    id: String,
    data: u128,
}

impl SaidKey {
    /// Of an output with this id and data.
    #[must_use]
    pub fn of(lane: Lane, id: &str, data: &[u8]) -> Self {
        Self {
            lane: lane.index(),
            id: id.to_owned(),
            data: match lane {
                Lane::Out(_) => 0,
                Lane::Dead => record::identity(data),
            },
        }
    }
}

impl Said {
    /// Nothing yet, of what the journal lost behind record `lost_from` and the events up to `until` say again.
    #[must_use]
    pub fn again(lost_from: Seq, until: Position) -> Self {
        Self {
            outputs: BTreeMap::new(),
            until,
            lost_from: Some(lost_from),
        }
    }

    /// Takes note of one.
    pub fn add(&mut self, said: SaidKey, stood: Stood) {
        self.outputs.entry(said).or_default().push_back(stood);
    }

    /// Takes one of them out, if this is one.
    pub fn take(&mut self, lane: Lane, id: &str, data: &[u8]) -> Option<Stood> {
        if self.outputs.is_empty() {
            return None;
        }
        let key = SaidKey::of(lane, id, data);
        let known = self.outputs.get_mut(&key)?;
        let stood = known.pop_front();
        if known.is_empty() {
            self.outputs.remove(&key);
        }
        stood
    }
}

/// What has been applied and is in no record yet.
#[derive(Debug, Default)]
struct Pending {
    events: usize,
    bytes: usize,
    /// Of these, those of outputs.
    output_bytes: usize,
    outputs: Vec<OutputRecord>,
    speakers: BTreeSet<Index>,
}

/// What recovery found: everything an engine starts from.
#[derive(Debug)]
pub struct Start {
    /// Which partition.
    pub partition: PartitionId,
    /// The actors, each as of its own position.
    pub table: Table,
    /// Whose responses are, as of the floor; nothing on the customers' side.
    pub responses: Responses,
    /// Rules active at `floor`.
    pub rules: RuleSet,
    /// Log time at `floor`.
    pub now: LogTime,
    /// Replay begins behind this position.
    pub floor: Position,
    /// This owner's epoch.
    pub epoch: u64,
    /// The process that this owner is.
    pub owner: u64,
    /// The journal's head: this owner's own first record.
    pub head: Head,
    /// Position the journal has reached.
    pub committed: Position,
    /// The event there.
    pub mark: EventMark,
    /// How far the relay was.
    pub relayed: Relayed,
    /// What stood in the lanes then.
    pub lanes: LaneMarks,
    /// What stands there of commits that the journal has lost.
    pub said: Said,
    /// Actors whose states stand in no record, though they spoke.
    pub left_out: BTreeSet<String>,
    /// Set where a former owner had woken some of those who were due, and not yet the others.
    pub woken: Option<Woken>,
}

/// How far the waking of those due at a moment has come.
#[derive(Clone, Debug)]
pub struct Woken {
    /// The last one woken.
    pub last: WokenRecord,
    /// Log time at which they were woken.
    pub now: LogTime,
}

impl Engine {
    /// An engine at its floor.
    #[must_use]
    pub fn new(start: Start) -> Self {
        Self {
            partition: start.partition,
            table: start.table,
            responses: start.responses,
            rules: start.rules,
            now: start.now,
            applied: start.floor,
            mark: start.mark,
            epoch: start.epoch,
            owner: start.owner,
            head: start.head,
            committed: start.committed,
            quiet_until: start.committed,
            relayed: start.relayed,
            lanes: start.lanes,
            said: start.said,
            pending: Pending::default(),
            feeds: VecDeque::new(),
            effects: Vec::new(),
            room: Room {
                record: RECORD_BYTES_MAX,
            },
            left_out: start.left_out,
            woken: start.woken.as_ref().map(|woken| woken.last.clone()),
            rewaking: start.woken,
            tally: Tally::default(),
        }
    }

    /// Notes the largest record that the log takes, in bytes.
    pub fn set_record_bytes_max(&mut self, bytes: usize) {
        self.room.record = bytes;
    }

    /// Last position applied.
    #[must_use]
    pub const fn applied(&self) -> Position {
        self.applied
    }

    /// Last position committed.
    #[must_use]
    pub const fn committed(&self) -> Position {
        self.committed
    }

    /// Times the partition changed hands.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Version of the active rules.
    #[must_use]
    pub fn rules_version(&self) -> &str {
        self.rules.version()
    }

    /// Whether replay has caught up with what a former owner had committed.
    #[must_use]
    pub const fn is_recovered(&self) -> bool {
        self.applied >= self.quiet_until
    }

    /// Actors held, and about how many bytes they take.
    #[must_use]
    pub fn actors(&self) -> (usize, u64) {
        let bytes = self.table.bytes() + self.responses.bytes();
        (self.table.len(), bytes)
    }

    /// The earliest moment, in log time, at which an actor wants to be woken.
    #[must_use]
    pub fn next_deadline(&self) -> Option<LogTime> {
        self.table.next_deadline()
    }

    /// Whether another feed may be offered.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.feeds.is_empty()
    }

    /// Takes in events read from the log.
    pub fn offer(&mut self, feed: Feed) {
        self.feeds.push_back((feed, 0));
    }

    /// Applies what was offered until there is no more or a commit's worth is pending.
    ///
    /// # Errors
    /// If a stored actor cannot be read: the partition must stop.
    pub fn apply(&mut self) -> Result<(), EngineError> {
        self.apply_seen(&mut Nobody)
    }

    /// As [`Self::apply`], with somebody looking on.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_seen(&mut self, witness: &mut impl Witness) -> Result<(), EngineError> {
        while let Some((feed, mut next)) = self.feeds.pop_front() {
            while let Some(number) = feed.picks.get(next) {
                let place = usize::from(*number);
                if !is_planted(Bug::PassedOverLate) {
                    self.pass_over(&feed.batch.entries[..place]);
                }
                if self.is_full() {
                    self.feeds.push_front((feed, next));
                    return Ok(());
                }
                let entry = &feed.batch.entries[place];
                if entry.position > self.applied && !self.apply_entry(entry, witness)? {
                    self.feeds.push_front((feed, next));
                    return Ok(());
                }
                next += 1;
            }
            self.pass_over(&feed.batch.entries);
        }
        self.table.passivate(LIVE_MAX);
        Ok(())
    }

    /// What lies between and behind the picks is for other partitions: it counts as applied here. Before those who are due
    /// are woken as well: they may say more than a commit takes, and the commit has to stand behind all that is replayed.
    fn pass_over(&mut self, entries: &[Entry]) {
        if let Some(last) = entries.last().filter(|last| last.position > self.applied) {
            self.applied = last.position;
            self.mark = last.mark();
        }
    }

    /// Puts every actor on the disk, in a file in `folder`, but those whose states the next record holds: memory is short.
    ///
    /// # Errors
    /// If the disk does not take them: they stay in memory.
    pub fn shelve_all(&mut self, folder: &Path) -> io::Result<()> {
        let kept = &self.pending.speakers;
        self.table.passivate_but(0, kept);
        self.table.shelve(folder, kept)
    }

    /// Whether a commit's worth is pending. A batch without outputs needs no commit and never fills up.
    fn is_full(&mut self) -> bool {
        if self.pending.outputs.is_empty() {
            self.pending.events = 0;
        }
        self.pending.events >= COMMIT_EVENTS_MAX || self.pending.bytes >= self.room.commit()
    }

    /// Wakes who is due, then applies the event. `false` if a commit's worth was pending before it was all done (after
    /// a pause thousands can be due at once): the same entry goes on after the commit.
    fn apply_entry(
        &mut self,
        entry: &Entry,
        witness: &mut impl Witness,
    ) -> Result<bool, EngineError> {
        let live = self.is_live(entry.position);
        if live {
            self.wake_again(entry, witness)?;
        }
        self.now = self.now.max(entry.time);
        let mut last = None;
        for index in self.table.due(self.now, entry.position) {
            if self.is_full() {
                if let Some((at, index)) = last {
                    self.woken = Some(self.woken_record(at, index));
                }
                return Ok(false);
            }
            last = self.table.deadline(index).map(|at| (at, index));
            self.wake(index, entry, live, witness)?;
        }
        if live {
            self.woken = None;
        }
        let in_future = plausible::refused(&entry.ahead, &self.rules.settings().ahead_max);
        match &entry.event {
            Err(reject) => self.quarantine(entry, reject),
            Ok(event) if in_future.is_some() => {
                // Of the partitions that read it one sets it aside: its owner's, if it has one.
                let is_its = match event.body.owner() {
                    Some(_) => {
                        self.partition.side == Side::Agent && entry.owner == self.partition.index
                    }
                    None => self.partition.side == Side::Customer,
                };
                if let Some(why) = in_future
                    && is_its
                {
                    self.quarantine(entry, &Reject::new(Reason::InFuture, why));
                }
            }
            Ok(event) => {
                if let Body::RulesActivated(activated) = &event.body {
                    self.activate_rules(entry, activated);
                }
                match &entry.response {
                    Some(facts) if self.partition.side == Side::Agent => {
                        self.apply_response(entry, event, facts, witness)?;
                    }
                    Some(_) | None => {
                        let key = match self.partition.side {
                            Side::Agent => event.body.owner(),
                            Side::Customer => event.body.customer(),
                        };
                        if let Some(key) = key {
                            self.step(key, entry, event, None, witness)?;
                        }
                    }
                }
            }
        }
        self.applied = entry.position;
        self.mark = entry.mark();
        self.pending.events += 1;
        Ok(true)
    }

    /// Judges a version of a response, as every partition of the agents' side does, and tells this one's actors what of
    /// it is theirs: its owner first, then those who had it.
    fn apply_response(
        &mut self,
        entry: &Entry,
        event: &Event,
        facts: &Facts,
        witness: &mut impl Witness,
    ) -> Result<(), EngineError> {
        let is_local = entry.owner == self.partition.index;
        let local = event.body.owner().filter(|_| is_local);
        let ttl_ms = self.rules.settings().survey_dedupe_ms;
        let effects = &mut self.effects;
        let turn = self.responses.judge(
            facts,
            Arrival {
                now: self.now,
                ttl_ms,
                local,
            },
            effects,
        );
        self.count(entry);
        let Some(turn) = turn else {
            return Ok(());
        };
        if let Some(key) = local {
            self.step(key, entry, event, Some(turn.owner), witness)?;
        }
        for (name, share) in turn.others {
            if is_planted(Bug::FormerOwnerForgotten) {
                continue;
            }
            if let Some(key) = key_of(&name) {
                self.step(key, entry, event, Some(share), witness)?;
            }
        }
        Ok(())
    }

    /// Applies an event, or a share of it, to one actor, unless the actor's state already covers it.
    fn step(
        &mut self,
        key: Key<'_>,
        entry: &Entry,
        event: &Event,
        share: Option<Share>,
        witness: &mut impl Witness,
    ) -> Result<(), EngineError> {
        let index = self.table.find_or_make(key);
        if self.table.as_of(index) >= entry.position {
            return Ok(());
        }
        let (now, rules, effects) = (self.now, &self.rules, &mut self.effects);
        self.table.act(index, entry.position, |actor| {
            witness.before(key, actor);
            let mut turn = Turn::new(key, now, rules, effects);
            match share {
                Some(share) => actor.respond(&mut turn, event, share),
                None => actor.apply(&mut turn, event),
            }
            witness.after(&Step {
                entry,
                event: Some(event),
                now,
                rules,
                key,
                actor,
                effects,
            });
        })?;
        self.perform(index, entry, self.is_live(entry.position));
        if self.is_live(entry.position) {
            self.tally.applied += 1;
        }
        Ok(())
    }

    /// Wakes those whom a former owner had woken before it could apply the event: what they said then stands in its records,
    /// and where their states do as well they are not due any more.
    fn wake_again(&mut self, entry: &Entry, witness: &mut impl Witness) -> Result<(), EngineError> {
        let former = self.rewaking.take();
        let Some(Woken { last, now }) = former.filter(|_| !is_planted(Bug::WokenAgain)) else {
            return Ok(());
        };
        self.now = self.now.max(now);
        for index in self.table.due(now, entry.position) {
            let due = self.table.deadline(index);
            if due.is_some_and(|at| self.woken_record(at, index) <= last) {
                self.wake(index, entry, false, witness)?;
            }
        }
        Ok(())
    }

    /// An actor by when it wanted to be woken: they are woken in the order of these.
    fn woken_record(&self, at: LogTime, index: Index) -> WokenRecord {
        WokenRecord {
            due_ms: at.0,
            key: self.table.key_text(index).to_owned(),
        }
    }

    /// Wakes an actor before the event is applied: its state then covers all before the event, and not the event. What it
    /// says is not heard where it stands already.
    fn wake(
        &mut self,
        index: Index,
        entry: &Entry,
        is_heard: bool,
        witness: &mut impl Witness,
    ) -> Result<(), EngineError> {
        let (now, rules, effects) = (self.now, &self.rules, &mut self.effects);
        let key = self.table.key_text(index).to_owned();
        let Some(key) = key_of(&key) else {
            return Ok(());
        };
        self.table.act(index, entry.position - 1, |actor| {
            witness.before(key, actor);
            actor.wake(&mut Turn::new(key, now, rules, effects));
            witness.after(&Step {
                entry,
                event: None,
                now,
                rules,
                key,
                actor,
                effects,
            });
        })?;
        self.perform(index, entry, is_heard);
        Ok(())
    }

    /// Whether a position is new, and not one a former owner has spoken for.
    fn is_live(&self, position: Position) -> bool {
        position > self.quiet_until || is_planted(Bug::OutputAgainOnReplay)
    }

    /// Counts what was ignored before any actor took a step.
    fn count(&mut self, entry: &Entry) {
        let live = self.is_live(entry.position);
        for effect in std::mem::take(&mut self.effects) {
            if let (Effect::Ignore(reason), true) = (effect, live) {
                self.tally.ignore(reason);
            }
        }
    }

    /// Takes the effects of one actor's step, which is new (`live`) or one that a former owner has spoken for.
    fn perform(&mut self, index: Index, entry: &Entry, live: bool) {
        let mut said = Vec::new();
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                // The actor's state of that time was stored with what it said, so it would have been skipped here:
                // a word now means that the logic changed or is not deterministic.
                Effect::Emit { .. } if !live => {
                    let is_expected = self.left_out.contains(self.table.key_text(index));
                    self.tally.divergences += u64::from(!is_expected);
                }
                Effect::Emit { id, output } => said.push(self.output_of(index, entry, id, &output)),
                Effect::Ignore(reason) if live => self.tally.ignore(reason),
                Effect::RuleFailed { rule, why } if live => self.tally.rule_failed(rule, why),
                Effect::Ignore(_) | Effect::RuleFailed { .. } => {}
            }
        }
        if said.is_empty() {
            return;
        }
        let bytes = said.iter().map(output_bytes).sum::<usize>();
        if self.pending.speakers.insert(index) {
            let whole_max = self.room.whole_state();
            self.pending.bytes += self.table.written_bytes(index, whole_max) + 64;
        }
        if self.pending.output_bytes + bytes > self.room.outputs() {
            let detail = format!(
                "{} outputs of {} come to {bytes} bytes, more than a record takes",
                said.len(),
                self.table.key_text(index)
            );
            return self.quarantine(entry, &Reject::new(Reason::TooLarge, detail));
        }
        said.into_iter().for_each(|output| self.push(output));
    }

    fn output_of(&self, index: Index, entry: &Entry, id: String, output: &Output) -> OutputRecord {
        let mut data = Vec::with_capacity(384);
        output.write_json(&mut data);
        let (cause_source, cause_id) = entry.name();
        OutputRecord {
            stood: None,
            lane: Lane::Out(output.kind()).index() as u32,
            id,
            output_type: output.type_name().to_owned(),
            subject: self.table.key_text(index).to_owned(),
            time_ms: self.now.0,
            cause_source: cause_source.to_owned(),
            cause_id: cause_id.to_owned(),
            rules: self.rules.version().to_owned(),
            data: data.into(),
        }
    }

    fn push(&mut self, mut output: OutputRecord) {
        if let Some(lane) = output.lane() {
            output.stood = self.said.take(lane, &output.id, &output.data);
        }
        let bytes = output_bytes(&output);
        self.pending.bytes += bytes;
        self.pending.output_bytes += bytes;
        self.pending.outputs.push(output);
    }

    /// Sets aside an event that cannot be processed, in the same commit as everything else.
    fn quarantine(&mut self, entry: &Entry, reject: &Reject) {
        if self.is_live(entry.position) {
            self.tally.quarantine(reject, entry.position);
            let (rules, room) = (self.rules.version(), self.room.quarantined());
            let output = quarantine::output(entry, reject, self.now, rules, room);
            self.push(output);
        }
    }

    /// Makes a new rule set hold from here on; a bad one is set aside by one partition and the old one stays.
    fn activate_rules(
        &mut self,
        entry: &Entry,
        activated: &aftercall_actors::contract::event::RulesActivated,
    ) {
        match RuleSet::parse(&activated.rules, &activated.version) {
            Ok(rules) => self.rules = rules,
            Err(error) if quarantine::is_responsible(self.partition) => {
                self.quarantine(entry, &Reject::new(Reason::BadRules, error.to_string()));
            }
            Err(_) => {}
        }
    }

    /// Whether anything waits that a commit would make lasting.
    #[must_use]
    pub fn has_outputs(&self) -> bool {
        !self.pending.outputs.is_empty()
    }

    /// Whether the journal is behind what has been applied.
    #[must_use]
    pub const fn is_ahead(&self) -> bool {
        self.applied > self.committed
    }

    /// Notes how far the relay is, and what stands in the lanes; the next record says so.
    pub fn set_relayed(&mut self, (relayed, lanes): (Relayed, LaneMarks)) {
        (self.relayed, self.lanes) = (relayed, lanes);
    }

    /// Makes the record of everything applied since the last one. What an actor is comes after what it said: states that
    /// do not fit are left out, and recovery works them out from the events.
    pub fn seal(&mut self) -> Sealed {
        if self.applied >= self.said.until {
            // What the lost records said of events that are lost as well stays said.
            self.said = Said::default();
        }
        let pending = std::mem::take(&mut self.pending);
        let (states, left_out) = self.states_that_fit(&pending);
        let mut record = Record {
            format: record::FORMAT_PLAIN,
            epoch: self.epoch,
            commit: self.head.commit + 1,
            previous: self.head.link.clone(),
            position: self.applied.max(self.committed),
            identity: Bytes::copy_from_slice(&self.mark.identity.to_be_bytes()),
            stored_ms: self.mark.time.map(|time| time.0),
            rewound_from: 0,
            lanes: LaneRecord::of(&self.lanes),
            lost_after: None,
            owner: self.owner,
            lost_from: self.said.lost_from,
            time_ms: self.now.0,
            rules: self.rules.version().to_owned(),
            logic: LOGIC.to_owned(),
            relayed: self.relayed.commit,
            relayed_seq: self.relayed.seq,
            outputs: pending.outputs,
            states,
            genesis_rules: String::new(),
            left_out,
            woken: self.woken.clone(),
        };
        record.format = record.format_needed();
        let bytes = record.to_bytes();
        Sealed {
            expected: self.head.seq,
            commit: record.commit,
            link: record::link(&bytes),
            bytes,
            position: record.position,
            causes: record.outputs.iter().map(OutputRecord::time).collect(),
            outputs: publishable(self.partition, &record),
        }
    }

    /// The states of those who spoke, and the keys of those whose states do not fit. Those who asked for money first,
    /// then the smallest.
    fn states_that_fit(&mut self, pending: &Pending) -> (Vec<StateRecord>, Vec<String>) {
        let reward = Lane::Out(Kind::Reward).index() as u32;
        let rewarded: BTreeSet<&str> = pending
            .outputs
            .iter()
            .filter(|output| output.lane == reward)
            .map(|output| &*output.subject)
            .collect();
        let whole_max = self.room.whole_state();
        let mut found: Vec<(bool, usize, Index, Written)> = Vec::new();
        let (mut states, mut left_out) = (Vec::new(), Vec::new());
        for index in &pending.speakers {
            // One that cannot be read stops the partition when it is needed, and not what others said.
            let Ok(written) = self.table.written(*index, whole_max) else {
                left_out.push(self.table.key_text(*index).to_owned());
                continue;
            };
            let is_other = !rewarded.contains(self.table.key_text(*index));
            found.push((is_other, written.len(), *index, written));
        }
        found.sort_by_key(|(is_other, bytes, index, _)| (*is_other, *bytes, *index));
        let room = self.room.content().saturating_sub(pending.output_bytes);
        let mut room = room.min(state_room());
        for (_, bytes, index, written) in found {
            let key = self.table.key_text(index).to_owned();
            let needed = bytes + key.len() + STATE_BYTES;
            if needed > room {
                room = room.saturating_sub(key.len() + STATE_BYTES);
                self.tally.left_out += 1;
                if is_planted(Bug::LeftOutMarked) {
                    self.table.note_written(index);
                }
                left_out.push(key);
                continue;
            }
            room -= needed;
            self.table.note_written(index);
            states.push((index, state_record(key, written)));
        }
        // In the order of the table, as ever.
        states.sort_by_key(|(index, _)| *index);
        if is_planted(Bug::LeftOutUnsaid) {
            left_out.clear();
        }
        (
            states.into_iter().map(|(_, state)| state).collect(),
            left_out,
        )
    }

    /// Notes that a sealed record stands in the journal at `seq`.
    pub fn committed_at(&mut self, sealed: &Sealed, seq: Seq) {
        self.head = Head {
            seq,
            commit: sealed.commit,
            link: sealed.link.clone(),
        };
        self.committed = self.committed.max(sealed.position);
    }

    /// Every actor's stored form, by key, and that of the responses, by name; without those that cannot be read from the
    /// disk.
    pub fn states(&mut self) -> std::collections::BTreeMap<String, Vec<u8>> {
        let segments = self.responses.segments_from(0);
        let is_used = !self.responses.is_untouched();
        let segments = segments.filter(|_| is_used);
        let mut states: std::collections::BTreeMap<_, _> = segments
            .map(|(number, segment)| (responses::name_of(number), segment.encode()))
            .collect();
        let numbers = 0..self.table.len();
        states.extend(numbers.filter_map(|index| {
            let state = self.table.encode(index).ok()?;
            Some((self.table.key_text(index).to_owned(), state.into()))
        }));
        states
    }

    /// Longest piece of a snapshot, in bytes.
    pub(super) const fn piece_bytes_max(&self) -> usize {
        self.room.record / 2
    }

    /// The first record that recovery needs of what has been committed, besides those that a snapshot stands in for.
    pub(super) fn needed_from(&self) -> Seq {
        let needed = self.head.seq.min(self.relayed.seq);
        needed.min(self.said.lost_from.unwrap_or(needed))
    }

    /// The journal's head as this engine knows it.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }
}

/// What a state takes in a record besides itself and its key: tags, lengths, a position.
const STATE_BYTES: usize = 32;

fn state_record(key: String, written: Written) -> StateRecord {
    match written {
        Written::Whole(state) => StateRecord {
            key,
            state: state.into(),
            ..StateRecord::default()
        },
        Written::Changes { since, bytes } => StateRecord {
            key,
            changes: Some(bytes.into()),
            since,
            ..StateRecord::default()
        },
    }
}

/// What an output takes in a record.
fn output_bytes(output: &OutputRecord) -> usize {
    /// Tags, lengths and a time.
    const REST_BYTES: usize = 64;
    let texts = [
        &output.id,
        &output.output_type,
        &output.subject,
        &output.cause_source,
        &output.cause_id,
        &output.rules,
    ];
    texts.iter().map(|text| text.len()).sum::<usize>() + output.data.len() + REST_BYTES
}

/// An output of a record, as its lane takes it.
#[derive(Clone, Debug)]
pub struct Publishable {
    /// The output.
    pub output: NewOutput,
    /// As what it stood when it was said again.
    pub stood: Option<Stood>,
}

/// A record's outputs, as its lanes take them.
#[must_use]
pub fn publishable(partition: PartitionId, record: &Record) -> Vec<Publishable> {
    let numbered = record.outputs.iter().zip(0u32..);
    numbered
        .filter_map(|(output, ordinal)| {
            let stored = NewOutput {
                lane: output.lane()?,
                commit: record.commit,
                ordinal,
                attributes: envelope::output_attributes(
                    &output.output_type,
                    &output.id,
                    &Origin {
                        partition,
                        subject: &output.subject,
                        time: output.time(),
                        cause: &output.cause(),
                        rules_version: &output.rules,
                        commit: record.commit,
                    },
                ),
                payload: output.data.clone(),
            };
            Some(Publishable {
                output: stored,
                stood: output.stood,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
