//! Decides what happens next to a destination's deliveries: facts to commit, and what to do once they are.
//!
//! The driver tells it what came (an output, an attempt's end, an operator's decision) and asks it, at a time, what
//! may begin. Every decision is a fact, applied to the state at once and handed out in a [`Batch`]; its [`Action`]s
//! are for after the commit. So an attempt is on record before it is on the wire, and a verdict before anyone hears
//! of it; and if the commit turns out to be another owner's, all of this is dropped and none of it happened.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use aftercall_actors::{
    breaker::{Breaker, Pass},
    contract::time::LogTime,
};
use prost::Message as _;

use super::{
    Action, Batch, Decision, Find, Misfit, Places, State,
    conclusion::Conclusion,
    pace::{backoff, ms},
};
use crate::{
    delivery::{
        attempt::Attempt,
        policy::OutcomeRule,
        record::{
            AlarmTold, AttemptRecord, BreakerSignal, Case, Cursor, Dropped, Ended, Fact,
            FinalStatus, Found, Merged, Moved, Reason, Reopened, Reported, Seen, Settled, Sighting,
            Started, Step,
        },
    },
    log::Seq,
    planted::{Bug, is_planted},
};

mod asking;
mod upkeep;

pub use asking::Question;

use asking::Ask;
use upkeep::ALARM_EVERY_MS;

/// Unfinished items; beyond it outputs stay in the log.
const ITEMS_MAX: usize = 1_000;

/// The same where the newest output of a thread wins: then there is about one item a thread, whatever the backlog.
const ITEMS_MERGING_MAX: usize = 16_384;

/// Most facts of a batch.
const FACTS_MAX: usize = 2_000;

/// A state, and the facts that are not committed yet.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(super) state: State,
    pending: VecDeque<(Fact, Option<Action>)>,
    /// Actions of facts committed by a former owner, still to be done.
    owed: Vec<Action>,
    /// Outputs and dead letters passed over and in no fact yet.
    passed: Cursor,
    /// The same by what identifies them.
    sighted: Places,
    /// Takes and starts nothing more.
    stopping: bool,
    /// What lets us in is another than what was refused: the next attempt need not wait for its minute.
    has_new_credentials: bool,
    /// Lanes of items that are due, where each lane has a rate of its own. Not stored: they are asked for again.
    lanes: BTreeMap<Seq, Ask>,
    /// When it was last decided what may begin.
    decided_at: LogTime,
}

impl Machine {
    /// Goes on where a former owner's journal ends: attempts it never saw the end of have an outcome nobody knows, and
    /// verdicts it has not told of are told again.
    #[must_use]
    pub fn resume(mut state: State, now: LogTime) -> Self {
        state.bound_waits(now);
        let settled = state.items().values().filter(|i| i.settled.is_some());
        let mut owed: Vec<Action> = settled
            .map(|item| Action::Report {
                item: Box::new(item.clone()),
            })
            .collect();
        owed.extend(state.alarm.clone().map(Action::Alarm));
        let flying = state.items().values().filter(|i| i.flight.is_some());
        let flying: Vec<Seq> = flying.map(|item| item.taken.seq).collect();
        let mut machine = Self {
            passed: state.cursor(),
            sighted: Places::default(),
            state,
            pending: VecDeque::new(),
            owed,
            stopping: false,
            has_new_credentials: false,
            lanes: BTreeMap::new(),
            decided_at: now,
        };
        for seq in flying {
            machine.conclude(now, seq, Conclusion::interrupted());
        }
        machine
    }

    /// What is known.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// How far was looked, facts that are not handed out yet included: where to follow the log from.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        self.passed
    }

    /// From now on nothing is taken and no attempt begins.
    pub const fn stop(&mut self) {
        self.stopping = true;
    }

    /// Credentials were exchanged, or may have been: one attempt is made at once where they were not accepted.
    pub const fn try_credentials(&mut self) {
        self.has_new_credentials = true;
    }

    /// Whether there is room for another output. With a breaker that is open the backlog stays in the log; only where
    /// newer outputs replace older ones it is read on, since it collapses.
    #[must_use]
    pub fn wants_output(&self, now: LogTime) -> bool {
        if self.stopping {
            return false;
        }
        let state = &self.state;
        // What waits for a copy is kept waiting by nothing else.
        if state.policy.merge.is_some() || state.missing() > 0 {
            return state.items.len() < ITEMS_MERGING_MAX;
        }
        // Behind an open breaker too their time runs.
        if state.policy.is_awaited() {
            return state.items.len() < ITEMS_MERGING_MAX;
        }
        // Something has to find out whether it is back, and one output is enough for that.
        let probes = |from: LogTime| {
            now >= from && state.flights == 0 && state.due.first_at().is_none_or(|at| at > now)
        };
        let up = match &state.breaker {
            Breaker::Closed { .. } => self.probe_at().is_none_or(probes),
            Breaker::Open { until } => probes(*until),
            Breaker::HalfOpen => false,
        };
        // What has its verdict, and waits only for that to be told, holds up nothing: the log may not take a dead letter.
        up && state.unsettled() < ITEMS_MAX && state.items.len() < ITEMS_MERGING_MAX
    }

    /// Whether there is room for an operator's decision.
    #[must_use]
    pub fn wants_decision(&self) -> bool {
        !self.stopping && self.state.items.len() < ITEMS_MERGING_MAX
    }

    /// Where outputs and dead letters are to be followed from, as the log counts them now.
    #[must_use]
    pub const fn follows(&self) -> Cursor {
        let places = self.state.places();
        Cursor {
            output: self.passed.output.saturating_sub(places.outputs_lower()),
            dead: self.passed.dead.saturating_sub(places.dead_lower()),
        }
    }

    /// What is known of places, facts that are not handed out yet included.
    #[must_use]
    pub fn places(&self) -> Places {
        let mut places = self.state.places().clone();
        if let Some(sighted) = self.sighted.clone().take() {
            places.sighted(&sighted);
        }
        places
    }

    /// Takes note of an output that is looked at now. `false`: it is a copy of one that was, published again because the
    /// log had lost it. An item that waits for it can go on.
    pub fn sees(&mut self, sighting: Sighting) -> bool {
        let Sighting { spot, at, .. } = sighting;
        let is_copy = self.state.places().has_seen(&spot) || self.sighted.has_seen(&spot);
        self.sighted.see(sighting);
        if is_copy && !is_planted(Bug::CopiesDelivered) {
            let waits = self.state.items.values();
            let mut waits = waits.filter(|item| item.missing && item.taken.spot == Some(spot));
            let seq = waits.next().map(|item| item.taken.seq);
            if let Some(seq) = seq {
                let spot = None;
                self.commit(Fact::Found(Found { seq, at, spot }), None);
            }
            return false;
        }
        true
    }

    /// Whether an output is what an item waits for: said anew, where the journal had lost the commit as well.
    pub fn adopts(&mut self, find: &Find, at: Seq) -> bool {
        if self.state.missing() == 0 {
            return false;
        }
        let waits = self.state.items.values();
        let mut waits = waits.filter(|item| {
            let taken = &item.taken;
            item.missing && taken.id == find.id && taken.event_type == find.event_type
        });
        let seq = waits.next().map(|item| item.taken.seq);
        if let Some(seq) = seq {
            let spot = find.spot;
            self.commit(Fact::Found(Found { seq, at, spot }), None);
        }
        seq.is_some()
    }

    /// Takes note of when a dead letter or a decision was stored that is looked at now. `false`: it was looked at before
    /// the log lost its end.
    pub fn sees_dead(&mut self, at: LogTime) -> bool {
        self.sighted.see_dead(at);
        self.state.places().is_new_dead(at)
    }

    /// The log had lost its end.
    pub fn moved(&mut self, now: LogTime, moved: Moved) {
        // What was passed is counted on from.
        if self.has_passed() {
            let cursor = Fact::Cursor(self.passed);
            self.commit(cursor, None);
        }
        if let Some(sighted) = self.sighted.take() {
            self.commit(Fact::Sighted(sighted), None);
        }
        let at_ms = now.0;
        self.commit(Fact::Moved(Moved { at_ms, ..moved }), None);
    }

    /// An output that is not for this destination.
    pub fn pass(&mut self, seq: Seq) {
        self.passed.output = self.passed.output.max(seq);
    }

    /// An entry among the dead letters that asks for nothing.
    pub fn pass_dead(&mut self, seq: Seq) {
        self.passed.dead = self.passed.dead.max(seq);
    }

    /// An output for this destination; the answer is the item that it became.
    pub fn take(&mut self, now: LogTime, mut find: Find) -> Option<Seq> {
        if find.seq <= self.passed.output {
            return None;
        }
        if let Some(item) = self.state.items.get(&find.seq) {
            // An operator had it tried again where the log has lost that this destination was past it.
            let at = find.stands_at();
            if item.taken.id == find.id {
                let (seq, spot) = (find.seq, find.spot);
                self.commit(Fact::Found(Found { seq, at, spot }), None);
                self.pass(seq);
                return None;
            }
            // So is that number: those to come are counted on behind it.
            let last = self.state.items.last_key_value().map_or(0, |(seq, _)| *seq);
            self.passed.output = last;
            let output = Some(at.saturating_sub(1));
            self.moved(
                now,
                Moved {
                    output,
                    ..Moved::default()
                },
            );
            find.seq = at + self.state.places().outputs_lower();
            find.at = at;
        }
        self.passed.output = find.seq;
        let (taken, faulty) = find.taken(now);
        let seq = taken.seq;
        self.commit(Fact::Taken(taken), None);
        self.admit(now, seq, faulty);
        Some(seq)
    }

    /// An operator has decided about a dead letter. What is unfinished or was decided before stays as it is; but an
    /// item whose letter can be decided about has been told of, even if that is not on record yet.
    pub fn decided(&mut self, now: LogTime, decision: Decision) {
        let Decision { seq, case, retry } = decision;
        if seq <= self.passed.dead {
            return;
        }
        self.passed.dead = seq;
        if self.state.decided.contains(&case) {
            return;
        }
        if let Some(item) = self.state.items.get(&case.output) {
            let is_other = |find: &Find| find.id != item.taken.id;
            if item.settled.is_none()
                || item.round != case.round
                || retry.as_ref().is_some_and(is_other)
            {
                return;
            }
            self.reported(case);
        }
        let Some(find) = retry else {
            let decision = seq;
            return self.commit(Fact::Dropped(Dropped { decision, case }), None);
        };
        let (taken, faulty) = find.taken(now);
        let reopened = Reopened {
            taken,
            round: case.round + 1,
            decision: seq,
        };
        self.commit(Fact::Reopened(reopened), None);
        self.admit(now, case.output, faulty);
    }

    /// The result of an attempt that [`Action::Send`] asked for.
    pub fn finished(&mut self, now: LogTime, seq: Seq, attempt: &Attempt) {
        self.conclude(now, seq, Conclusion::of(attempt));
    }

    /// An attempt that [`Action::Send`] asked for was not made, since the log has lost the output.
    pub fn unmade(&mut self, now: LogTime, seq: Seq) {
        self.conclude(now, seq, Conclusion::unmade());
    }

    /// A verdict has been told of.
    pub fn reported(&mut self, case: Case) {
        let seq = case.output;
        let item = self.state.items.get(&seq);
        if item.is_some_and(|item| item.settled.is_some() && item.round == case.round) {
            self.commit(Fact::Reported(Reported { seq }), None);
        }
    }

    /// Operators have heard.
    pub fn alarm_told(&mut self) {
        self.commit(Fact::AlarmTold(AlarmTold {}), None);
    }

    /// Begins what may begin, and gives up what has lasted too long.
    pub fn decide(&mut self, now: LogTime) {
        if now < self.decided_at {
            self.state.bound_waits(now);
        }
        self.decided_at = now;
        self.expire(now);
        self.alarm(now);
        while let Some((seq, pass)) = self.startable(now) {
            let lanes = match self.lanes.remove(&seq) {
                Some(Ask::Told(lanes)) => lanes,
                Some(Ask::Asked) | None => Vec::new(),
            };
            let started = Started {
                seq,
                at_ms: now.0,
                probe: pass == Pass::Probe,
                lanes,
            };
            let Some(Question { turn, handle, .. }) = self.next_attempt(seq) else {
                return;
            };
            let action = Action::Send { seq, turn, handle };
            self.commit(Fact::Started(started), Some(action));
            self.has_new_credentials = false;
        }
    }

    /// When to decide again, though nothing has come until then.
    #[must_use]
    pub fn wake_at(&self) -> Option<LogTime> {
        let state = &self.state;
        let deadline_ms = ms(state.policy.retry.deadline);
        let mut begun = state.begun.iter();
        let expiry = begun.find_map(|(first, seq)| {
            let is_out = state.items.get(seq).is_some_and(|i| i.flight.is_some());
            (!is_out).then(|| first.plus_ms(deadline_ms))
        });
        let expiry = expiry.filter(|_| self.deadlines_run());
        let unalarmed = &state.unalarmed;
        let is_untold = state.misconfigured().is_some_and(|now| !now.alarmed);
        let alarm = ((unalarmed.count > 0 || is_untold) && state.alarm.is_none())
            .then(|| LogTime(unalarmed.at_ms).plus_ms(ALARM_EVERY_MS));
        [expiry, alarm, self.start_at()].into_iter().flatten().min()
    }

    /// Whether facts wait to be committed. Outputs passed over can wait longer than others: see `batch`.
    #[must_use]
    pub fn has_facts(&self) -> bool {
        !self.pending.is_empty() || !self.owed.is_empty()
    }

    /// Whether outputs were passed over that no fact speaks of.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.passed != self.state.cursor
    }

    /// The next batch: at most about so many bytes of what is pending, oldest first. When it is all of it, it also
    /// says how far was looked.
    pub fn batch(&mut self, bytes_max: usize) -> Batch {
        let mut batch = Batch::default();
        batch.actions.append(&mut self.owed);
        let mut bytes = 0;
        while let Some((fact, action)) = self.pending.pop_front() {
            // Its verdict follows, and the two hold together.
            let is_half = matches!(&fact, Fact::Ended(ended) if ended.again_at_ms.is_none());
            bytes += Step::from(fact.clone()).encoded_len();
            batch.facts.push(fact);
            batch.actions.extend(action);
            if !is_half && (bytes >= bytes_max || batch.facts.len() >= FACTS_MAX) {
                break;
            }
        }
        if self.pending.is_empty() && (self.has_passed() || !batch.facts.is_empty()) {
            if self.has_passed() {
                let cursor = Fact::Cursor(self.passed);
                self.apply(&cursor);
                batch.facts.push(cursor);
            }
            let sighted = self.sighted.take();
            if let Some(sighted) = sighted.and_then(|some| self.state.places().new_of(some)) {
                let sighted = Fact::Sighted(sighted);
                self.apply(&sighted);
                batch.facts.push(sighted);
            }
        }
        batch
    }

    /// Everything that is known, in steps that begin a journal anew; and what is to be done once they are committed.
    /// The facts that were pending are in it.
    pub fn checkpoint(&mut self) -> (Vec<Step>, Batch) {
        let mut batch = Batch::default();
        while self.has_facts() || self.has_passed() {
            let some = self.batch(usize::MAX);
            batch.facts.extend(some.facts);
            batch.actions.extend(some.actions);
        }
        (self.state.checkpoint(), batch)
    }

    /// The item that may start now, and in which capacity.
    fn startable(&self, now: LogTime) -> Option<(Seq, Pass)> {
        if self.start_at()? > now {
            return None;
        }
        let seq = self.ready(now)?;
        // Asked of a copy: the fact that it started is what changes the breaker.
        let pass = self.state.breaker.clone().admit(now)?;
        Some((seq, pass))
    }

    /// When the next attempt may begin; nothing if only a result can make one possible.
    fn start_at(&self) -> Option<LogTime> {
        let state = &self.state;
        let full = state.flights >= state.policy.limits.concurrency.get() as usize;
        let probing = matches!(state.breaker, Breaker::HalfOpen);
        let probe_at = self.probe_at();
        if self.stopping || full || probing || (probe_at.is_some() && state.flights > 0) {
            return None;
        }
        let due = self.due_at()?;
        let open = state.breaker.retry_at().unwrap_or(due);
        let start = due.max(open).max(state.paused_until);
        let start = probe_at.map_or(start, |probe_at| start.max(probe_at));
        Some(start.max(state.spacing.free_at()))
    }

    /// While credentials are not accepted: the next attempt may begin then, alone.
    fn probe_at(&self) -> Option<LogTime> {
        let probe_at = self.state.access.probe_at()?;
        Some(match self.has_new_credentials {
            true => LogTime(i64::MIN),
            false => probe_at,
        })
    }

    /// What follows at once from an item being there: it may be hopeless, or make others needless, or be so itself.
    fn admit(&mut self, now: LogTime, seq: Seq, faulty: Option<String>) {
        if let Some(why) = faulty {
            let conclusion = Conclusion {
                ending: Some((FinalStatus::Rejected, Reason::Unsendable)),
                ..Conclusion::new(Seen::Unsendable, BreakerSignal::Withdrawn, why)
            };
            return self.settle(now, seq, &conclusion);
        }
        let thread = self.state.items.get(&seq);
        let Some(thread) = thread.and_then(|item| item.taken.thread.clone()) else {
            return;
        };
        self.merge(now, &thread);
    }

    /// Takes note of an attempt's end, and decides what that means for the item.
    fn conclude(&mut self, now: LogTime, seq: Seq, mut conclusion: Conclusion) {
        let Some(item) = self.state.items.get(&seq) else {
            return;
        };
        let Some(started_at_ms) = item.flight.as_ref().map(|flight| flight.at_ms) else {
            return;
        };
        let retry = &self.state.policy.retry;
        let access = &self.state.access;
        let began = LogTime(started_at_ms);
        if let (Seen::Misconfigured, Some(ending), Some(refused)) =
            (conclusion.seen, conclusion.alone, item.refused_at_ms)
            && access.was_let_in_since(LogTime(refused))
        {
            conclusion.is_alone(ending);
        }
        let number = item.attempts;
        let counts = match conclusion.seen {
            Seen::Unknown => retry.unknown_counts,
            Seen::Failed | Seen::Throttled | Seen::Unreached => true,
            Seen::NotReady => !conclusion.unmade,
            Seen::Misconfigured => is_planted(Bug::MisconfiguredCounts),
            Seen::Delivered | Seen::Rejected | Seen::Unsendable => false,
        };
        // Others may have been let in meanwhile: then nothing is to be waited for.
        let shut_out = conclusion.seen == Seen::Misconfigured && !access.was_let_in_since(began);
        let still_out = access.misconfigured.is_some() && conclusion.sign != BreakerSignal::Up;
        let probe_at = (shut_out || still_out).then(|| access.probe_after(began, now));
        let failures = item.failures + u32::from(counts);
        let thread = item.taken.thread.clone();
        let overtaken = self.state.policy.merge.is_some()
            && thread
                .as_deref()
                .is_some_and(|thread| self.state.threads.newest(thread) > seq);
        let wait = match shut_out {
            // It is the destination that waits.
            true => Duration::ZERO,
            false => backoff(retry, &item.taken.id, number).max(conclusion.after),
        };
        let again_at = now.plus_ms(ms(wait));
        let first = item.first_at_ms.map_or(now, LogTime);
        let first = access.counting_from(first, now);
        let unknown = item.unknown || conclusion.seen == Seen::Unknown;
        let spent = counts && failures >= retry.attempts.get();
        let late = !shut_out && again_at >= first.plus_ms(ms(retry.deadline));
        if conclusion.ending.is_none() && !overtaken && (spent || late) {
            conclusion.ending = Some((FinalStatus::Failed, Reason::Failed));
        }
        if let Some((FinalStatus::Failed, reason)) = &mut conclusion.ending
            && unknown
        {
            // Whatever the last attempt was answered, one of them may have been done (S3.09).
            *reason = Reason::Unknown;
        }
        let again = conclusion.ending.is_none();
        let pause_until_ms = (conclusion.seen == Seen::Throttled)
            .then(|| now.plus_ms(ms(conclusion.pause)).0)
            .filter(|until| *until > now.0);
        let ended = Ended {
            seq,
            note: AttemptRecord {
                attempt: number,
                started_at_ms,
                ended_at_ms: now.0,
                seen: conclusion.seen.into(),
                status: conclusion.status,
                why: conclusion.why.clone(),
                answer: conclusion.answer.take(),
            },
            counts,
            sign: conclusion.sign.into(),
            again_at_ms: again.then_some(again_at.0),
            pause_until_ms,
            handle: conclusion.handle.take(),
            progress: conclusion.progress.take(),
            said: conclusion.said,
            lanes: match self.state.policy.limits.by_lane {
                true => std::mem::take(&mut conclusion.lanes),
                false => Vec::new(),
            },
            probe_at_ms: probe_at.map(|at| at.0),
            kept: std::mem::take(&mut conclusion.kept),
        };
        self.commit(Fact::Ended(ended), None);
        if !again {
            self.settle(now, seq, &conclusion);
        } else if let Some(thread) = thread {
            self.merge(now, &thread);
        }
    }

    fn settle(&mut self, now: LogTime, seq: Seq, conclusion: &Conclusion) {
        let Some((ending, reason)) = conclusion.ending else {
            return;
        };
        self.lanes.remove(&seq);
        let rule = self.state.policy.outcome.as_ref();
        let unknown = self.state.items.get(&seq).is_some_and(|i| i.unknown);
        let (ending, reason) = match (ending, reason) {
            // It cannot be sent any more, and may have been done before (S3.09).
            (FinalStatus::Rejected, Reason::Unsendable) if unknown => {
                (FinalStatus::Failed, Reason::Unknown)
            }
            // Nobody has said no: a person can mend what keeps it from being sent (S3.16).
            (FinalStatus::Rejected, Reason::Unsendable)
                if rule.is_some_and(OutcomeRule::is_of_rewards) =>
            {
                (FinalStatus::Failed, Reason::Unsendable)
            }
            as_it_is => as_it_is,
        };
        let outcome = rule.map(|rule| conclusion.word(rule, ending));
        let settled = Settled {
            seq,
            at_ms: now.0,
            ending: ending.into(),
            reason: reason.into(),
            why: conclusion.why.clone(),
            response: conclusion.response.clone().filter(|_| outcome.is_some()),
            outcome,
        };
        let tell = settled.is_to_tell();
        self.commit(Fact::Settled(settled), None);
        let item = self.state.items.get(&seq).filter(|_| tell);
        if let Some(item) = item.cloned().map(Box::new)
            && let Some((_, action)) = self.pending.back_mut()
        {
            *action = Some(Action::Report { item });
        }
    }

    fn commit(&mut self, fact: Fact, action: Option<Action>) {
        self.apply(&fact);
        self.pending.push_back((fact, action));
    }

    /// A fact of our own fits by construction; the simulation would show one that does not.
    fn apply(&mut self, fact: &Fact) {
        let fits: Result<(), Misfit> = self.state.apply(fact);
        debug_assert!(fits.is_ok(), "{fits:?}: {fact:?}");
    }
}
