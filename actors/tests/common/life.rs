//! One agent's life beside its books (`ledger`): what happens to it, and that the two agree at every step.
//!
//! It plays the host as well: wakes the agent when it is due, keeps its state with what it said, takes snapshots, and
//! after a crash goes on from any of them by applying again what came since.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::{
    actor::Actor,
    contract::{event::Body, key::Key},
    effect::{Effect, Effects, Ignored},
    responses::Responses,
    rewards::redemption::{REVERSE, reward_id},
    rules::RuleSet,
};
use serde_json::json;

pub use self::families::{Family, families};
use crate::{
    common::*,
    ledger::{Entry, Ledger, Rules},
};

#[path = "life/books.rs"]
mod books;
#[path = "life/families.rs"]
mod families;

/// 30 workdays, so that a life sees points leave.
pub const WINDOW: i64 = 30;

/// What providers say.
pub const WORDS: [&str; 11] = [
    "issued",
    "issued",
    "issued",
    "rejected",
    "needs_review",
    "reversed",
    "reversed",
    "cancelled",
    "bounced",
    "failed",
    "PENDING",
];

#[derive(Clone, Debug)]
pub enum Happens {
    /// The metric's value of a workday, so many days back, as an export recorded it.
    Row {
        back: i64,
        value: i32,
        recorded: Option<i64>,
    },
    /// A grant or a violation; the same `id` is a repetition.
    Adjusted {
        id: u8,
        points: i32,
        back: i64,
    },
    /// So many more than pay the debt, or reach the lowest tier; or than leave all that was issued covered.
    Edge {
        is_loss: bool,
        more: i64,
    },
    /// A response, or a version of one: what its revision has said before is a repetition, and what it has not is a
    /// correction.
    Survey {
        id: u8,
        revision: u8,
        delights: bool,
    },
    /// What became of the `nth` latest reward, or of its reversal.
    Answer {
        nth: usize,
        is_reversal: bool,
        word: usize,
    },
    /// A person's decision on it.
    Decided {
        nth: usize,
        approve: bool,
    },
    /// The answer that is due, of the kind that mostly comes.
    Settled,
    /// An outcome of a reward of somebody else's.
    Stranger {
        word: usize,
    },
    /// The last event arrives once more.
    Again,
    /// Another rule set takes effect.
    Rules(usize),
    Hours(i64),
    /// Until the agent wants to be woken.
    UntilDue,
    /// A snapshot.
    Stored,
    /// The process dies; another goes on from this one of the states that are stored.
    Crash(usize),
}

/// One step of the log: what came, under which rules, and what was said.
struct Logged {
    after_ms: i64,
    set: usize,
    /// None for a wake.
    body: Option<Body>,
    effects: Effects,
}

/// What a host stores: the agent, and what its partition knows of responses, as of a place in the log.
struct Snapshot {
    from: usize,
    agent: Vec<u8>,
    responses: Vec<(u64, Vec<u8>)>,
}

impl Snapshot {
    fn of(from: usize, stage: &Stage) -> Self {
        let segments = stage.responses.segments_from(0);
        Self {
            from,
            agent: stage.encoded(),
            responses: segments.map(|(n, stored)| (n, stored.encode())).collect(),
        }
    }

    fn restore(&self, key: Key<'static>, rules: RuleSet) -> Stage {
        let segments = self.responses.iter();
        let segments = segments.map(|(number, bytes)| (*number, bytes.as_slice()));
        Stage {
            actor: Actor::decode(key.side(), "a1", &self.agent).unwrap(),
            responses: Responses::restore(segments).unwrap(),
            ..Stage::new(key, rules)
        }
    }
}

/// What is known of a response.
#[derive(Clone)]
struct Response {
    revision: u8,
    /// What this revision has said, and when that was submitted: a repetition says the same.
    said: BTreeMap<bool, i64>,
    given: i64,
    day: i64,
    /// When its last version came.
    at: i64,
}

/// An agent, its books, and what a crash would leave of it.
pub struct Life<'a> {
    family: &'a Family,
    /// Place of the rules in force.
    set: usize,
    /// Place of the rules in force when the agent was looked at last.
    looked: usize,
    stage: Stage,
    pub ledger: Ledger,
    rows: BTreeMap<i64, (i64, Option<i64>)>,
    /// When each adjustment was seen: it is remembered three days longer than its workday counts.
    adjusted: BTreeMap<usize, i64>,
    surveys: BTreeMap<u8, Response>,
    pub said: BTreeSet<String>,
    /// What was of interest: so that a life is about something.
    pub seen: BTreeSet<&'static str>,
    stored: Vec<Snapshot>,
    log: Vec<Logged>,
    last: Option<Body>,
    after_ms: i64,
}

impl<'a> Life<'a> {
    pub fn new(family: &'a Family) -> Self {
        let stage = Stage::new(Key::Agent("a1"), family.sets[0].rules.clone());
        Self {
            family,
            set: 0,
            looked: 0,
            stored: vec![Snapshot::of(0, &stage)],
            stage,
            ledger: Ledger::default(),
            rows: BTreeMap::new(),
            adjusted: BTreeMap::new(),
            surveys: BTreeMap::new(),
            said: BTreeSet::new(),
            seen: BTreeSet::new(),
            log: Vec::new(),
            last: None,
            after_ms: 0,
        }
    }

    fn view(&self) -> &'a Rules {
        let family = self.family;
        &family.sets[self.set].view
    }

    /// The workday at a time after [`NOW_MS`].
    fn day_at(&self, after_ms: i64) -> i64 {
        let at = jiff::Timestamp::from_millisecond(NOW_MS + after_ms).unwrap();
        let date = self.family.zone.to_datetime(at).date();
        let since = date.since(jiff::civil::date(1970, 1, 1)).unwrap();
        i64::from(since.get_days())
    }

    fn pass_time(&mut self) -> i64 {
        let today = self.day_at(self.after_ms);
        self.ledger.pass_time(NOW_MS + self.after_ms, today, WINDOW);
        today
    }

    pub fn live(&mut self, happens: &Happens) {
        self.after_ms += 1;
        match *happens {
            Happens::Hours(hours) => return self.wait_until(self.after_ms + hours * HOUR_MS),
            Happens::UntilDue => {
                if let Some(due) = self.stage.deadline() {
                    self.wait_until(due.max(self.after_ms));
                }
                return;
            }
            Happens::Stored => {
                let snapshot = Snapshot::of(self.log.len(), &self.stage);
                return self.stored.push(snapshot);
            }
            Happens::Crash(nth) => return self.crash(nth),
            Happens::Rules(set) => {
                self.set = set % self.family.sets.len();
                self.stage.rules = self.family.sets[self.set].rules.clone();
                self.last = None;
                return;
            }
            Happens::Row { .. }
            | Happens::Adjusted { .. }
            | Happens::Edge { .. }
            | Happens::Survey { .. }
            | Happens::Answer { .. }
            | Happens::Decided { .. }
            | Happens::Settled
            | Happens::Stranger { .. }
            | Happens::Again => {}
        }
        self.wait_until(self.after_ms);
        let today = self.day_at(self.after_ms);
        match *happens {
            Happens::Row {
                back,
                value,
                recorded,
            } => self.row(today - back, value, recorded),
            Happens::Adjusted { id, points, back } => {
                self.adjust(id.into(), points, today - back);
            }
            Happens::Edge { is_loss, more } => {
                self.pass_time();
                let tiers = self.view().tiers.iter();
                let lowest = tiers.map(|tier| tier.cost).min().unwrap_or_default();
                let ledger = &self.ledger;
                let to = match ledger.debt {
                    _ if is_loss => -ledger.covered(),
                    0 => lowest - ledger.free(),
                    debt => debt,
                };
                // An id of its own.
                let id = 1_000 + self.log.len();
                self.adjust(id, i32::try_from(to + more).unwrap(), today);
            }
            Happens::Survey {
                id,
                revision,
                delights,
            } => self.survey(id, revision, delights),
            Happens::Answer {
                nth,
                is_reversal,
                word,
            } => {
                if let Some(place) = self.ledger.rewards.len().checked_sub(nth + 1) {
                    self.answer(place, is_reversal, WORDS[word]);
                }
            }
            Happens::Decided { nth, approve } => {
                if let Some(place) = self.ledger.rewards.len().checked_sub(nth + 1) {
                    let word = if approve { "approve" } else { "reject" };
                    self.answer(place, false, word);
                }
            }
            Happens::Settled => self.settle(),
            Happens::Stranger { word } => {
                let theirs = reward_id("p", "a2", "a", 0);
                let id = if word % 2 == 0 {
                    theirs.clone()
                } else {
                    theirs + REVERSE
                };
                let effects = self.apply(reward_outcome(&id, WORDS[word]));
                assert_eq!(effects, ignored(Ignored::UnknownRequest));
                self.pass_time();
                self.agrees();
            }
            Happens::Again => self.again(),
            Happens::Hours(_)
            | Happens::UntilDue
            | Happens::Stored
            | Happens::Crash(_)
            | Happens::Rules(_) => {}
        }
    }

    fn row(&mut self, day: i64, value: i32, recorded: Option<i64>) {
        let effects = self.apply(wfm(&date(day), "points", f64::from(value), recorded));
        self.pass_time();
        if day < self.ledger.start {
            assert_eq!(effects, ignored(Ignored::TooOld));
            return self.agrees();
        }
        let points = i64::from(value) * self.family.sets[self.set].factor;
        let old = self.rows.get(&day).copied();
        let is_older = recorded.is_some() && old.is_some_and(|old| old.1 > recorded);
        if is_older {
            self.seen.insert("an older record");
            return self.points(day, 0, &effects);
        }
        self.rows.insert(day, (points, recorded));
        if old.is_some() {
            self.seen.insert("a re-export");
        }
        self.points(day, points - old.unwrap_or_default().0, &effects);
    }

    fn adjust(&mut self, id: usize, points: i32, day: i64) {
        // In each zone that is used, the afternoon of this day.
        let at_ms = day * DAY_MS + 15 * HOUR_MS;
        let effects = self.apply(adjusted(&id.to_string(), points, at_ms));
        self.pass_time();
        let seen = self.adjusted.get(&id);
        let is_new = seen.is_none_or(|until| self.after_ms >= *until);
        let counts = day >= self.ledger.start && is_new;
        if counts {
            let from = self.after_ms.max(at_ms - NOW_MS);
            // Of those that are remembered, a later one is no sooner forgotten.
            let until = from + (WINDOW + 3) * DAY_MS;
            let latest = self.adjusted.values().copied().max().unwrap_or(until);
            self.adjusted.insert(id, until.max(latest));
        }
        self.points(day, if counts { points.into() } else { 0 }, &effects);
    }

    fn survey(&mut self, id: u8, revision: u8, delights: bool) {
        let seen = self.surveys.get(&id);
        let seen = seen
            .filter(|seen| self.after_ms - seen.at < DAY_MS)
            .cloned();
        let same = seen.as_ref().filter(|seen| revision == seen.revision);
        let repeats = same.and_then(|seen| seen.said.get(&delights).copied());
        let submitted_at = repeats.unwrap_or(self.after_ms);
        let fields = json!({
            "csat": if delights { 5 } else { 4 }, "revision": revision,
            "submitted_at": NOW_MS + submitted_at,
        });
        let effects = self.apply(survey(&format!("s{id}"), fields));
        if repeats.is_some() {
            self.seen.insert("a repetition");
            assert_eq!(effects, ignored(Ignored::Duplicate));
            return;
        }
        if seen.as_ref().is_some_and(|seen| revision < seen.revision) {
            assert_eq!(effects, ignored(Ignored::Superseded));
            return;
        }
        let today = self.pass_time();
        let given = if delights { 10 } else { 0 };
        let mut change = given;
        let mut said = BTreeMap::new();
        if let Some(seen) = seen {
            if seen.day >= self.ledger.start {
                self.ledger.earn(seen.day, -seen.given);
                change -= seen.given;
            }
            if revision == seen.revision {
                self.seen.insert("a correction");
                said = seen.said;
            } else {
                self.seen.insert("a revision");
            }
        }
        said.insert(delights, submitted_at);
        self.ledger.earn(today, given);
        let version = Response {
            revision,
            said,
            given,
            day: today,
            at: self.after_ms,
        };
        self.surveys.insert(id, version);
        self.moved(change, &effects);
    }

    fn again(&mut self) {
        let Some(body) = self.last.clone() else {
            return;
        };
        let before = self.stage.actor.clone();
        let effects = self.apply(body.clone());
        assert!(!effects.is_empty());
        let is_ignored = |effect: &Effect| matches!(effect, Effect::Ignore(_));
        assert!(effects.iter().all(is_ignored), "{effects:?}");
        match body {
            // Its partition knows it again: neither it nor the time reaches the agent.
            Body::SurveyResponse(_) => assert_eq!(self.stage.actor, before),
            Body::RewardDecided(_) | Body::Outcome(..) => {
                self.pass_time();
                let is_withdrawn = self.withdraws(matches!(body, Body::RewardDecided(_)));
                self.ignored(&effects, is_withdrawn);
            }
            _too_old if effects == ignored(Ignored::TooOld) => {
                self.pass_time();
                self.agrees();
            }
            _moves_points => {
                self.pass_time();
                self.moved(0, &effects);
            }
        }
    }

    fn settle(&mut self) {
        let waits = |entry| match entry {
            Entry::Awaiting => Some((false, "approve")),
            Entry::Locked => Some((false, "issued")),
            Entry::Reversing => Some((true, "reversed")),
            _ => None,
        };
        let due = self.ledger.rewards.iter().enumerate();
        let mut due = due.filter_map(|(place, r)| Some((place, waits(r.entry)?)));
        if let Some((place, (is_reversal, word))) = due.next_back() {
            self.answer(place, is_reversal, word);
        }
    }

    /// Any state that was stored, as what came after it is still in the log.
    fn crash(&mut self, nth: usize) {
        let place = self.stored.len() - 1 - nth % self.stored.len();
        let stored = &self.stored[place];
        let mut stage = stored.restore(self.stage.key, self.stage.rules.clone());
        for logged in &self.log[stored.from..] {
            stage.rules = self.family.sets[logged.set].rules.clone();
            let effects = match &logged.body {
                Some(body) => stage.apply(logged.after_ms, body.clone()),
                None => stage.wake(logged.after_ms),
            };
            assert_eq!(effects, logged.effects);
        }
        assert_eq!(stage.actor, self.stage.actor);
        assert_eq!(stage.responses, self.stage.responses);
        stage.rules = self.stage.rules.clone();
        self.stage = stage;
    }

    fn apply(&mut self, body: Body) -> Effects {
        let effects = self.stage.apply(self.after_ms, body.clone());
        self.last = Some(body.clone());
        self.log(Some(body), &effects);
        effects
    }

    fn log(&mut self, body: Option<Body>, effects: &Effects) {
        self.log.push(Logged {
            after_ms: self.after_ms,
            set: self.set,
            body,
            effects: effects.clone(),
        });
        // Whoever spoke is stored in the journal with what it said.
        if effects.iter().any(|e| matches!(e, Effect::Emit { .. })) {
            let snapshot = Snapshot::of(self.log.len(), &self.stage);
            self.stored.push(snapshot);
        }
    }
}

fn civil(day: i64) -> jiff::civil::Date {
    jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(day))
}

fn date(day: i64) -> String {
    civil(day).to_string()
}
