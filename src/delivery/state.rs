//! What is known of one destination's deliveries: a fold over the facts in its journal (`record`).
//!
//! Facts come from two places and meet the same [`State::apply`]: `machine` decides new ones while the driver runs,
//! recovery reads old ones from the log. So what is true after a restart is what was true before it, by construction.
//! No clock, no I/O, no randomness: every fact brings its time.
//!
//! | file | idea |
//! |---|---|
//! | `machine` | decides which facts come next, and what to do once they are committed |
//! | `batch` | what goes into the machine, and what comes out |
//! | `bound` | no wait is longer than its interval from now |
//! | `access` | whether our credentials are accepted, and what waits while they are not |
//! | `conclusion` | what an attempt's end means for its item |
//! | `weigh` | what an attempt's result says of the item and of the destination |
//! | `due` | which of the items that may start goes first |
//! | `threads` | order and memory of outputs about the same thing |
//! | `places` | where outputs and dead letters stand, by more than their sequences |
//! | `pace` | waits before retries, and spacing under a rate limit |

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aftercall_actors::{
    breaker::{Breaker, Input, Pass},
    contract::time::LogTime,
};

use super::{
    policy::Policy,
    record::{
        Alarmed, AttemptRecord, BreakerSignal, Case, Checkpoint, Cursor, Ended, Fact, Found, Item,
        Merged, Misconfigured, Moved, Reason, Reopened, Reported, Seen, Settled, Sighting, Started,
        Step, Taken,
    },
};
use crate::log::Seq;

mod access;
mod batch;
mod bound;
mod conclusion;
mod due;
mod machine;
mod pace;
mod places;
mod threads;
mod weigh;

#[cfg(test)]
mod tests;

pub use batch::{Action, Batch, Decision, Find};
pub use machine::{Machine, Question};
pub use places::Places;

use access::Access;
use due::{Class, Due};
use pace::{Lanes, Spacing};
use threads::Threads;

/// Attempts shown of an item: the first few, which say how it began,
const NOTES_FIRST: usize = 3;

/// and the last ones.
const NOTES_LAST: usize = 17;

/// From so many items on it is counted how many of them have no verdict.
const UNSETTLED_COUNTED: usize = 500;

/// Cases decided lately that are remembered, so that of several decisions about one the first counts.
const DECIDED_MAX: usize = 1_000;

/// A fact that cannot follow the ones before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("output {seq}: {why}")]
pub struct Misfit {
    /// The item's output.
    pub seq: Seq,
    /// What does not fit.
    pub why: &'static str,
}

/// One destination, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    policy: Policy,
    cursor: Cursor,
    places: Places,
    items: BTreeMap<Seq, Item>,
    /// Of these, how many wait for a copy of their output.
    missing: usize,
    place_next: u64,
    threads: Threads,
    /// Items that may start as soon as their time has come: the first of each thread, none that is out.
    due: Due,
    /// Items without a verdict by the time that their deadlines count from: their first attempt, or where they are
    /// awaited when they were taken.
    begun: BTreeSet<(LogTime, Seq)>,
    flights: usize,
    breaker: Breaker,
    access: Access,
    paused_until: LogTime,
    spacing: Spacing,
    lanes: Lanes,
    /// Dead letters no alarm has spoken of; its time and number are the last alarm's.
    unalarmed: Alarmed,
    alarm: Option<Alarmed>,
    decided: VecDeque<Case>,
}

impl State {
    /// A destination that looks at what comes after `looked`.
    #[must_use]
    pub fn new(policy: Policy, cursor: Cursor) -> Self {
        Self {
            threads: Threads::new(policy.merge.as_ref().map(|merge| merge.every)),
            spacing: Spacing::new(policy.limits.rate.filter(|_| !policy.limits.by_lane)),
            lanes: Lanes::new(policy.limits.rate.filter(|_| policy.limits.by_lane)),
            policy,
            cursor,
            places: Places::default(),
            items: BTreeMap::new(),
            missing: 0,
            place_next: 0,
            due: Due::default(),
            begun: BTreeSet::new(),
            flights: 0,
            breaker: Breaker::default(),
            access: Access::default(),
            paused_until: LogTime(i64::MIN),
            unalarmed: Alarmed {
                at_ms: i64::MIN,
                ..Alarmed::default()
            },
            alarm: None,
            decided: VecDeque::new(),
        }
    }

    /// How far outputs and dead letters were looked at.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Where outputs and dead letters stand.
    #[must_use]
    pub const fn places(&self) -> &Places {
        &self.places
    }

    /// The unfinished items, by the sequence of their outputs.
    #[must_use]
    pub const fn items(&self) -> &BTreeMap<Seq, Item> {
        &self.items
    }

    /// Items without a verdict.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        // Of few it need not be known how many.
        match self.items.len() {
            few if few < UNSETTLED_COUNTED => few,
            _ => self
                .items
                .values()
                .filter(|item| item.settled.is_none())
                .count(),
        }
    }

    /// Items that wait for a copy of their output, which the log had lost.
    #[must_use]
    pub const fn missing(&self) -> usize {
        self.missing
    }

    /// Attempts that are out.
    #[must_use]
    pub const fn flights(&self) -> usize {
        self.flights
    }

    /// The breaker.
    #[must_use]
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Our credentials are missing or not accepted; `None`: they are, as far as is known.
    #[must_use]
    pub const fn misconfigured(&self) -> Option<&Misconfigured> {
        self.access.misconfigured.as_ref()
    }

    /// Nothing is sent before.
    #[must_use]
    pub const fn paused_until(&self) -> LogTime {
        self.paused_until
    }

    /// What the destination wants handed in with the next output of a thread: JSON.
    #[must_use]
    pub fn handle(&self, thread: &str) -> Option<&str> {
        self.threads.handle(thread)
    }

    /// What identifies the content that an output of a thread said last.
    #[must_use]
    pub fn said(&self, thread: &str) -> Option<u64> {
        self.threads.said(thread)
    }

    /// Takes one fact.
    ///
    /// # Errors
    /// If it does not fit: the journal was not written by this program, or a part of it is lost. The state is then of no
    /// further use.
    pub fn apply(&mut self, fact: &Fact) -> Result<(), Misfit> {
        match fact {
            Fact::Cursor(cursor) => {
                self.cursor.output = self.cursor.output.max(cursor.output);
                self.cursor.dead = self.cursor.dead.max(cursor.dead);
                Ok(())
            }
            Fact::Taken(taken) => self.taken(taken),
            Fact::Reopened(reopened) => self.reopened(reopened),
            Fact::Dropped(dropped) => {
                self.cursor.dead = self.cursor.dead.max(dropped.decision);
                self.decide(dropped.case);
                Ok(())
            }
            Fact::Started(started) => self.started(started),
            Fact::Ended(ended) => self.ended(ended),
            Fact::Settled(settled) => self.settled(settled),
            Fact::Merged(merged) => self.merged(*merged),
            Fact::Reported(reported) => self.reported(*reported),
            Fact::Alarmed(alarmed) => {
                self.alarmed(alarmed);
                Ok(())
            }
            Fact::AlarmTold(_) => {
                self.alarm = None;
                Ok(())
            }
            Fact::Checkpoint(standing) => {
                self.stand(standing);
                Ok(())
            }
            Fact::Held(item) => self.hold(item.clone()),
            Fact::Sighted(sighted) => {
                self.places.sighted(sighted);
                Ok(())
            }
            Fact::Moved(moved) => {
                self.moved(moved);
                Ok(())
            }
            Fact::Found(found) => self.found(*found),
            Fact::Remembered(memory) => {
                self.threads.remember(memory);
                Ok(())
            }
        }
    }

    /// Steps that say all of this anew to a blank state: folding them gives this state again.
    #[must_use]
    pub fn checkpoint(&self) -> Vec<Step> {
        let standing = Checkpoint {
            cursor: self.cursor,
            place_next: self.place_next,
            breaker: (&self.breaker).into(),
            paused_until_ms: self.paused_until.0,
            free_at_us: self.spacing.free_at_us,
            unalarmed: self.unalarmed.clone(),
            alarm: self.alarm.clone(),
            decided: self.decided.iter().copied().collect(),
            lanes: self.lanes.records(),
            misconfigured: self.access.misconfigured.clone(),
            let_in_from_ms: self.access.let_in_from.map(|at| at.0),
            outputs_lower: self.places.outputs_lower(),
            dead_lower: self.places.dead_lower(),
            dead_seen_ms: self.places.dead_seen().map(|at| at.0),
        };
        let mut items: Vec<&Item> = self.items.values().collect();
        items.sort_unstable_by_key(|item| item.place);
        let memories = self.threads.memories().map(Fact::Remembered);
        let items = items.into_iter().cloned().map(Fact::Held);
        [Fact::Checkpoint(standing)]
            .into_iter()
            .chain(self.places.facts())
            .chain(memories)
            .chain(items)
            .map(Step::from)
            .collect()
    }

    fn stand(&mut self, standing: &Checkpoint) {
        self.cursor = standing.cursor;
        self.place_next = standing.place_next;
        self.breaker = (&standing.breaker).into();
        self.paused_until = LogTime(standing.paused_until_ms);
        self.spacing.free_at_us = standing.free_at_us;
        self.unalarmed = standing.unalarmed.clone();
        self.alarm.clone_from(&standing.alarm);
        self.decided = standing.decided.iter().copied().collect();
        self.lanes.remember(&standing.lanes);
        self.places.stand(standing);
        self.access = Access {
            misconfigured: standing.misconfigured.clone(),
            let_in_from: standing.let_in_from_ms.map(LogTime),
        };
    }

    /// An alarm about credentials speaks of no dead letter: those before it are still to be spoken of.
    fn alarmed(&mut self, alarmed: &Alarmed) {
        self.alarm = Some(alarmed.clone());
        let (number, at_ms) = (alarmed.number, alarmed.at_ms);
        if alarmed.reason() == Reason::Misconfigured {
            self.access.alarmed();
            (self.unalarmed.number, self.unalarmed.at_ms) = (number, at_ms);
        } else {
            self.unalarmed = Alarmed {
                number,
                at_ms,
                ..Alarmed::default()
            };
        }
    }

    fn taken(&mut self, taken: &Taken) -> Result<(), Misfit> {
        self.cursor.output = self.cursor.output.max(taken.seq);
        if let Some(spot) = taken.spot {
            self.places.see(Sighting {
                spot,
                at: taken.stands_at(),
                stored_ms: Some(taken.stored_at_ms),
            });
        }
        let place = self.next_place();
        self.hold(Item {
            round: 1,
            due_at_ms: taken.at_ms,
            taken: taken.clone(),
            place,
            ..Item::default()
        })
    }

    fn reopened(&mut self, reopened: &Reopened) -> Result<(), Misfit> {
        self.cursor.dead = self.cursor.dead.max(reopened.decision);
        self.decide(Case {
            output: reopened.taken.seq,
            round: reopened.round.saturating_sub(1),
        });
        let place = self.next_place();
        self.hold(Item {
            round: reopened.round,
            due_at_ms: reopened.taken.at_ms,
            taken: reopened.taken.clone(),
            place,
            ..Item::default()
        })
    }

    /// The log had lost its end. Numbers go on where they were, so none is given to another output; items whose outputs
    /// are lost wait for the copies, and so do dead letters that repeat them. A copy that never comes is not waited for
    /// longer than an attempt that never succeeds.
    fn moved(&mut self, moved: &Moved) {
        self.places.moved(self.cursor, moved);
        let Some(behind) = moved.output else { return };
        let lost = self
            .items
            .values_mut()
            .filter(|item| item.taken.spot.is_some() && item.taken.stands_at() > behind);
        for item in lost {
            let seq = item.taken.seq;
            item.missing = true;
            self.due.remove(seq);
            if item.settled.is_none() && item.first_at_ms.is_none() && moved.at_ms > 0 {
                item.first_at_ms = Some(moved.at_ms);
                self.begun.insert((LogTime(moved.at_ms), seq));
            }
        }
        self.missing = self.items.values().filter(|item| item.missing).count();
    }

    fn found(&mut self, found: Found) -> Result<(), Misfit> {
        let Found { seq, at, spot } = found;
        let item = self.items.get_mut(&seq).ok_or(Misfit {
            seq,
            why: "found and not known",
        })?;
        item.taken.at = at;
        item.taken.spot = spot.or(item.taken.spot);
        self.missing -= usize::from(std::mem::take(&mut item.missing));
        if let Some(first) = item.first_at_ms
            && item.attempts == 0
            && item.settled.is_none()
            && !self.policy.is_awaited()
        {
            // Its time runs from its first attempt again.
            item.first_at_ms = None;
            self.begun.remove(&(LogTime(first), seq));
        }
        self.arm(seq);
        Ok(())
    }

    fn remove(&mut self, seq: Seq) {
        if let Some(item) = self.items.remove(&seq) {
            self.missing -= usize::from(item.missing);
        }
    }

    fn decide(&mut self, case: Case) {
        if self.decided.len() >= DECIDED_MAX {
            self.decided.pop_front();
        }
        self.decided.push_back(case);
    }

    const fn next_place(&mut self) -> u64 {
        let place = self.place_next;
        self.place_next += 1;
        place
    }

    fn hold(&mut self, mut item: Item) -> Result<(), Misfit> {
        let seq = item.taken.seq;
        if self.items.contains_key(&seq) {
            let why = "taken while it is unfinished";
            return Err(Misfit { seq, why });
        }
        if item.settled.is_none() {
            if let Some(thread) = &item.taken.thread {
                self.threads.join(thread, seq);
            }
            if self.policy.is_awaited() && item.first_at_ms.is_none() {
                item.first_at_ms = Some(item.taken.at_ms);
            }
            if let Some(first) = item.first_at_ms {
                self.begun.insert((LogTime(first), seq));
            }
        }
        self.flights += usize::from(item.flight.is_some());
        self.missing += usize::from(item.missing);
        self.items.insert(seq, item);
        self.arm(seq);
        Ok(())
    }

    fn started(&mut self, started: &Started) -> Result<(), Misfit> {
        let Started {
            seq, at_ms, probe, ..
        } = *started;
        let at = LogTime(at_ms);
        let item = waiting(&mut self.items, seq, "started while it does not wait")?;
        item.attempts += 1;
        item.flight = Some(started.clone());
        if item.first_at_ms.is_none() {
            item.first_at_ms = Some(at_ms);
            self.begun.insert((at, seq));
        }
        if let Some(thread) = &item.taken.thread {
            self.threads.started(thread, at);
        }
        if probe {
            // Told by the fact, so that it holds whatever policy reads it.
            self.breaker = Breaker::HalfOpen;
        }
        self.due.remove(seq);
        self.flights += 1;
        self.spacing.note(at);
        self.lanes.note(&started.lanes, at);
        Ok(())
    }

    fn ended(&mut self, ended: &Ended) -> Result<(), Misfit> {
        let seq = ended.seq;
        let at = LogTime(ended.note.ended_at_ms);
        let why = "an attempt ended that was not out";
        let item = self.items.get_mut(&seq).ok_or(Misfit { seq, why })?;
        let flight = item.flight.take().ok_or(Misfit { seq, why })?;
        let seen = ended.note.seen();
        item.failures += u32::from(ended.counts);
        item.unknown |= seen == Seen::Unknown;
        item.asked |= seen.is_asked();
        item.kept.extend(ended.kept.clone());
        if seen == Seen::Misconfigured {
            item.refused_at_ms = Some(at.0);
        }
        note(&mut item.notes, &ended.note);
        if let Some(again_at_ms) = ended.again_at_ms {
            item.due_at_ms = again_at_ms;
        }
        if ended.progress.is_some() {
            item.progress.clone_from(&ended.progress);
        }
        if let Some(thread) = &item.taken.thread {
            if let Some(handle) = &ended.handle {
                self.threads.set_handle(thread, handle, at);
            }
            if let Some(said) = ended.said {
                self.threads.set_said(thread, said, at);
            }
        }
        let output_id = &item.taken.id;
        if let Some(since) = self.access.learn(LogTime(flight.at_ms), ended, output_id) {
            self.put_off(since, at);
        }
        self.flights -= 1;
        let pass = if flight.probe {
            Pass::Probe
        } else {
            Pass::Ordinary
        };
        let input = match ended.sign() {
            BreakerSignal::Withdrawn => Input::Withdrawn(pass),
            BreakerSignal::Up => Input::Succeeded(pass),
            BreakerSignal::Down => Input::Failed(pass),
        };
        self.breaker.apply(at, &self.policy.breaker, input);
        if let Some(pause_until_ms) = ended.pause_until_ms {
            let until = LogTime(pause_until_ms);
            match ended.lanes.as_slice() {
                [] => self.paused_until = self.paused_until.max(until),
                lanes => self.lanes.pause(lanes, until),
            }
        }
        if ended.again_at_ms.is_some() {
            self.arm(seq);
        }
        Ok(())
    }

    /// Deadlines have not run from `since` to `until` (S3.16), but for those of what is awaited.
    fn put_off(&mut self, since: LogTime, until: LogTime) {
        if self.policy.is_awaited() {
            return;
        }
        for (first, seq) in std::mem::take(&mut self.begun) {
            let later = first.plus_ms(until.since_ms(since.max(first)).max(0));
            if let Some(item) = self.items.get_mut(&seq) {
                item.first_at_ms = Some(later.0);
            }
            self.begun.insert((later, seq));
        }
    }

    fn settled(&mut self, settled: &Settled) -> Result<(), Misfit> {
        let seq = settled.seq;
        let item = waiting(&mut self.items, seq, "settled while it does not wait")?;
        item.settled = Some(settled.clone());
        if settled.has_letter() {
            self.unalarmed.count += 1;
            self.unalarmed.reason = settled.reason;
            self.unalarmed.output_id.clone_from(&item.taken.id);
        }
        self.leave_line(seq, LogTime(settled.at_ms));
        if !settled.is_to_tell() {
            self.remove(seq);
        }
        Ok(())
    }

    fn merged(&mut self, merged: Merged) -> Result<(), Misfit> {
        let seq = merged.seq;
        waiting(&mut self.items, seq, "merged while it does not wait")?;
        self.leave_line(seq, LogTime(merged.at_ms));
        self.remove(seq);
        Ok(())
    }

    fn reported(&mut self, reported: Reported) -> Result<(), Misfit> {
        let seq = reported.seq;
        match self.items.get(&seq) {
            Some(item) if item.settled.is_some() => {
                self.remove(seq);
                Ok(())
            }
            Some(_) | None => {
                let why = "told of without a verdict";
                Err(Misfit { seq, why })
            }
        }
    }

    /// The item is not attempted again; the next of its thread may be.
    fn leave_line(&mut self, seq: Seq, at: LogTime) {
        self.due.remove(seq);
        let Some(item) = self.items.get(&seq) else {
            return;
        };
        if let Some(first) = item.first_at_ms {
            self.begun.remove(&(LogTime(first), seq));
        }
        if let Some(thread) = &item.taken.thread
            && let Some(next) = self.threads.leave(thread, seq, at)
        {
            self.arm(next);
        }
    }

    /// Puts an item among those that may start, if it may.
    fn arm(&mut self, seq: Seq) {
        let Some(item) = self.items.get(&seq) else {
            return;
        };
        if item.flight.is_some() || item.settled.is_some() || item.missing {
            return;
        }
        let mut at = LogTime(item.due_at_ms);
        if let Some(thread) = &item.taken.thread {
            if !self.threads.is_first(thread, seq) {
                return;
            }
            at = at.max(self.threads.free_at(thread));
        }
        self.due.insert(seq, at, item.place, Class::of(item));
    }
}

/// An item that is neither out nor settled.
fn waiting<'a>(
    items: &'a mut BTreeMap<Seq, Item>,
    seq: Seq,
    why: &'static str,
) -> Result<&'a mut Item, Misfit> {
    items
        .get_mut(&seq)
        .filter(|item| item.flight.is_none() && item.settled.is_none())
        .ok_or(Misfit { seq, why })
}

/// Keeps the first and the last attempts of many: an item can be tried for days.
fn note(notes: &mut Vec<AttemptRecord>, note: &AttemptRecord) {
    if notes.len() >= NOTES_FIRST + NOTES_LAST {
        notes.remove(NOTES_FIRST);
    }
    notes.push(note.clone());
}
