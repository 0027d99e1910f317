//! Random lives of an agent against a spreadsheet (`common/ledger`): rows and their corrections, grants and
//! violations, answers of providers and of people, repeated and out of place, crashes, jumps of time.

mod common;
#[path = "common/ledger.rs"]
mod ledger;

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::{
    actor::Actor,
    effect::{Effect, Effects},
    event::Body,
    key::Key,
    output::Output,
    redemption::{REVERSE, reward_id},
    rules::RuleSet,
    statement::StageName,
    time::LogTime,
};
use common::*;
use ledger::{Entry, Ledger};
use proptest::{prelude::*, strategy::ValueTree as _};
use serde_json::json;

/// 30 workdays, so that a life sees points leave.
const WINDOW: i64 = 30;

const WORDS: [&str; 7] = [
    "issued",
    "issued",
    "issued",
    "rejected",
    "needs_review",
    "reversed",
    "reversed",
];

#[derive(Clone, Debug)]
enum Happens {
    /// The metric's points of a workday, so many days back.
    Row {
        back: i64,
        points: i32,
    },
    /// A grant or a violation; the same `id` is a repetition.
    Adjusted {
        id: u8,
        points: i32,
        back: i64,
    },
    FiveStars,
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
    Days(i64),
    /// The state is written, as a commit or a snapshot does.
    Stored,
    /// The process dies, and another goes on from what is stored and applies what came since.
    Crash,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (0i64..WINDOW + 3, -40i32..160).prop_map(|(back, points)| Happens::Row { back, points }),
        4 => (any::<u8>(), -160i32..120, 0i64..WINDOW + 3)
            .prop_map(|(id, points, back)| Happens::Adjusted { id, points, back }),
        1 => Just(Happens::FiveStars),
        5 => (0usize..4, any::<bool>(), 0usize..WORDS.len())
            .prop_map(|(nth, is_reversal, word)| Happens::Answer { nth, is_reversal, word }),
        2 => (0usize..3, any::<bool>()).prop_map(|(nth, approve)| Happens::Decided { nth, approve }),
        4 => Just(Happens::Settled),
        2 => (0i64..12).prop_map(Happens::Days),
        1 => Just(Happens::Stored),
        2 => Just(Happens::Crash),
    ]
}

/// Tiers' thresholds, the lowest first, and whether every threshold reached is claimed at once.
struct Variant {
    rules: RuleSet,
    tiers: &'static [i64],
    at_once: bool,
}

fn variants() -> [Variant; 4] {
    let variant = |keys: &str, cap: &str, tiers: &'static [i64], at_once| {
        let mut text = format!(
            "[points]\nwindow = \"{WINDOW}d\"\n[[rule]]\nname = \"points\"\non = \"wfm.metric.recorded\"\n\
             when = \"true\"\npoints = \"event.value\"\n[[rule]]\nname = \"stars\"\n\
             on = \"survey.response.created\"\nwhen = \"event.csat == 5\"\npoints = 10\n\
             [[program]]\nname = \"p\"\nenabled = true\n{keys}"
        );
        for threshold in tiers {
            text += &format!(
                "[[program.tier]]\nname = \"t{threshold}\"\nthreshold = {threshold}\nreward_type = \"x\"\n{cap}"
            );
        }
        Variant {
            rules: RuleSet::parse(&text, "test").unwrap(),
            tiers,
            at_once,
        }
    };
    let (none, always) = ("approval = \"none\"\n", "approval = \"always\"\n");
    // Longer than the window: what was issued is remembered longer than it may be taken back.
    let cap = "cap = { rewards = 1, per = \"45d\" }\n";
    [
        variant(none, "", &[100], true),
        variant(none, "", &[100, 250], true),
        variant(always, "", &[100], true),
        variant("approval = \"over_cap\"\n", cap, &[100], true),
    ]
}

/// An agent, its books, and what a crash would leave of it.
struct Life<'a> {
    variant: &'a Variant,
    stage: Stage,
    ledger: Ledger,
    rows: BTreeMap<i64, i64>,
    /// When each adjustment was seen: it is remembered three days longer than its workday counts.
    adjusted: BTreeMap<u8, i64>,
    said: BTreeSet<String>,
    stored: Vec<u8>,
    since: Vec<(i64, Body, Effects)>,
    after_ms: i64,
    number: i64,
}

const DAY_ZERO: i64 = NOW_MS / DAY_MS;

impl<'a> Life<'a> {
    fn new(variant: &'a Variant) -> Self {
        let stage = Stage::new(Key::Agent("a1"), variant.rules.clone());
        Self {
            variant,
            stored: stage.encoded(),
            stage,
            ledger: Ledger::default(),
            rows: BTreeMap::new(),
            adjusted: BTreeMap::new(),
            said: BTreeSet::new(),
            since: Vec::new(),
            after_ms: 0,
            number: 0,
        }
    }

    fn live(&mut self, happens: &Happens) {
        self.number += 1;
        self.after_ms += 1;
        let today = (NOW_MS + self.after_ms) / DAY_MS;
        let start = today - WINDOW;
        match *happens {
            Happens::Row { back, points } => {
                let day = today - back;
                let effects = self.apply(wfm(&date(day), "points", f64::from(points), None));
                if day < start {
                    return assert!(matches!(effects[..], [Effect::Ignore(_)]));
                }
                let old = self.rows.insert(day, points.into()).unwrap_or(0);
                self.points(today, day, i64::from(points) - old, &effects);
            }
            Happens::Adjusted { id, points, back } => {
                let day = today - back;
                let effects = self.apply(adjusted(&id.to_string(), points, day * DAY_MS + HOUR_MS));
                let seen = self.adjusted.get(&id);
                let is_new = seen.is_none_or(|at| self.after_ms - at >= (WINDOW + 3) * DAY_MS);
                let counts = day >= start && is_new;
                if counts {
                    self.adjusted.insert(id, self.after_ms);
                }
                self.points(today, day, if counts { points.into() } else { 0 }, &effects);
            }
            Happens::FiveStars => {
                let fields = json!({ "csat": 5, "submitted_at": NOW_MS + self.after_ms });
                let effects = self.apply(survey(&format!("s{}", self.number), fields));
                self.points(today, today, 10, &effects);
            }
            Happens::Answer {
                nth,
                is_reversal,
                word,
            } => {
                if let Some(place) = self.ledger.rewards.len().checked_sub(nth + 1) {
                    self.answer(today, place, is_reversal, WORDS[word]);
                }
            }
            Happens::Decided { nth, approve } => {
                if let Some(place) = self.ledger.rewards.len().checked_sub(nth + 1) {
                    let word = if approve { "approve" } else { "reject" };
                    self.answer(today, place, false, word);
                }
            }
            Happens::Settled => {
                let waits = |entry| match entry {
                    Entry::Awaiting => Some((false, "approve")),
                    Entry::Locked => Some((false, "issued")),
                    Entry::Reversing => Some((true, "reversed")),
                    _ => None,
                };
                let due = self.ledger.rewards.iter().enumerate();
                let mut due = due.filter_map(|(place, r)| Some((place, waits(r.entry)?)));
                if let Some((place, (is_reversal, word))) = due.next_back() {
                    self.answer(today, place, is_reversal, word);
                }
            }
            Happens::Days(days) => self.after_ms += days * DAY_MS,
            Happens::Stored => {
                self.stored = self.stage.encoded();
                self.since.clear();
            }
            Happens::Crash => {
                let before = self.stage.actor.clone();
                self.stage.actor =
                    Actor::decode(self.stage.key.side(), "a1", &self.stored).unwrap();
                for (after_ms, body, effects) in &self.since {
                    assert_eq!(&self.stage.apply(*after_ms, body.clone()), effects);
                }
                assert_eq!(self.stage.actor, before);
            }
        }
    }

    fn apply(&mut self, body: Body) -> Effects {
        let effects = self.stage.apply(self.after_ms, body.clone());
        self.since.push((self.after_ms, body, effects.clone()));
        effects
    }

    fn points(&mut self, today: i64, day: i64, change: i64, effects: &[Effect]) {
        self.ledger.pass_time(today, WINDOW);
        if change != 0 {
            self.ledger.earn(day, change);
        }
        self.ledger.pay_debt();
        self.ledger.withdraw();
        self.follow(effects, change > 0, change < 0);
        self.nothing_is_left_undone(change > 0, change < 0);
    }

    fn answer(&mut self, today: i64, place: usize, is_reversal: bool, word: &str) {
        let id = self.ledger.rewards[place].id.clone();
        let is_decision = matches!(word, "approve" | "reject");
        let body = match is_decision {
            true => decided(&id, word),
            false if is_reversal => reward_outcome(&format!("{id}{REVERSE}"), word),
            false => reward_outcome(&id, word),
        };
        let effects = self.apply(body);
        self.ledger.pass_time(today, WINDOW);
        // No provider says that of a request: a person has to look.
        let is_nonsense = !is_reversal && word == "reversed";
        let word = if is_nonsense { "needs_review" } else { word };
        let now_ms = NOW_MS + self.after_ms;
        if is_decision {
            self.ledger.withdraw();
        }
        if !self.ledger.answer(place, is_reversal, word, now_ms) {
            assert!(matches!(effects[..], [Effect::Ignore(_)]), "{effects:?}");
            return self.agrees();
        }
        let entry = self.ledger.rewards[place].entry;
        let moves_nothing = matches!(entry, Entry::Locked | Entry::Review | Entry::ReversalReview);
        if moves_nothing {
            self.follow(&effects, false, false);
            return;
        }
        self.ledger.pay_debt();
        self.ledger.withdraw();
        let claws = matches!(entry, Entry::Issued | Entry::Reversed);
        self.follow(&effects, false, claws);
        self.nothing_is_left_undone(false, claws);
    }

    /// Books what the actor said, and whether it may have.
    fn follow(&mut self, effects: &[Effect], gained: bool, claws: bool) {
        for effect in effects {
            let Effect::Emit { id, output } = effect else {
                assert!(matches!(effect, Effect::Ignore(_)), "{effect:?}");
                continue;
            };
            assert!(self.said.insert(id.clone()), "{id} twice");
            match output {
                Output::RewardRequested(reward) => {
                    let expected = reward_id("p", "a1", &reward.tier, reward.ordinal);
                    assert_eq!((id, &reward.reward_id), (&expected, &expected));
                    let approved = self
                        .ledger
                        .rewards
                        .iter()
                        .any(|r| r.id == *id && r.entry == Entry::Locked);
                    if approved {
                        assert!(self.ledger.free() >= 0, "{id} approved below its threshold");
                    } else {
                        self.ledger
                            .claim(id, reward.points_consumed, Entry::Locked, gained);
                    }
                }
                Output::AlertRaised(alert) if alert.rule == "reward_awaiting_approval" => {
                    let id = id.strip_prefix("reward_awaiting_approval:").unwrap();
                    self.ledger.claim(id, 100, Entry::Awaiting, gained);
                }
                Output::RewardReversalRequested(reward) => {
                    assert!(claws && self.ledger.covered() < 0, "{id} without need");
                    let now_ms = NOW_MS + self.after_ms;
                    let latest = self
                        .ledger
                        .latest(now_ms, WINDOW * DAY_MS)
                        .expect("one to take back");
                    assert_eq!(self.ledger.rewards[latest].id, reward.reward_id);
                    self.ledger.rewards[latest].entry = Entry::Reversing;
                }
                _alert => assert!(matches!(output, Output::AlertRaised(_)), "{output:?}"),
            }
        }
        self.agrees();
    }

    fn agrees(&self) {
        let rewards = rewards(&self.stage);
        let found = (self.stage.points(), rewards.held(), rewards.debt());
        let booked = (self.ledger.balance(), self.ledger.held(), self.ledger.debt);
        assert_eq!(found, booked, "balance, held, debt");
        self.is_told_as_booked();
        self.ledger.check();
    }

    /// The statement says what the books say, and its parts add up.
    fn is_told_as_booked(&self) {
        let Actor::Agent(agent) = &self.stage.actor else {
            panic!("a customer has no points");
        };
        let now = LogTime(NOW_MS + self.after_ms);
        let told = agent.statement("a1", now, self.stage.rules.settings());
        let days: i64 = told.days.iter().map(|day| day.points).sum();
        assert_eq!(days, told.available);
        assert_eq!(told.available + told.held - told.debt, told.balance);
        assert_eq!(
            (told.balance, told.held),
            (self.ledger.balance(), self.ledger.held())
        );
        let locks = told.locks.iter();
        let locked = locks.filter(|lock| lock.stage != StageName::Rejected);
        assert_eq!(locked.map(|lock| lock.points).sum::<i64>(), told.held);
    }

    fn nothing_is_left_undone(&self, gained: bool, claws: bool) {
        let now_ms = NOW_MS + self.after_ms;
        if claws && self.ledger.covered() < 0 {
            assert_eq!(
                self.ledger.latest(now_ms, WINDOW * DAY_MS),
                None,
                "not taken back"
            );
        }
        if self.variant.at_once {
            for cost in self.variant.tiers {
                let is_due = self.ledger.is_open(*cost, gained) && self.ledger.free() >= *cost;
                assert!(!is_due, "{cost} is reached and not claimed");
            }
        }
    }
}

fn date(day: i64) -> String {
    let days = jiff::Span::new().days(day);
    jiff::civil::date(1970, 1, 1)
        .saturating_add(days)
        .to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]
    /// S3.03 to S3.13: the balance is the spreadsheet's, no reward is claimed below its threshold or twice, and
    /// consumed, remaining and expired points are the earned ones.
    #[test]
    fn s3_04_s3_12_s3_13_a_life_adds_up(
        variant in 0usize..4,
        life in prop::collection::vec(happens(), 1..60),
    ) {
        thread_local!(static VARIANTS: [Variant; 4] = variants());
        VARIANTS.with(|variants| {
            let mut agent = Life::new(&variants[variant]);
            for happens in &life {
                agent.live(happens);
            }
        });
    }
}

/// So that the property is about something: every way a reward can go is gone in a thousand lives.
#[test]
fn lives_see_every_entry_and_every_rule() {
    assert_eq!(DAY_ZERO * DAY_MS + 10 * HOUR_MS, NOW_MS);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let lives = (0usize..4, prop::collection::vec(happens(), 40..60));
    let variants = variants();
    let (mut entries, mut rules) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..1_000 {
        let (variant, life) = lives.new_tree(&mut runner).unwrap().current();
        let mut agent = Life::new(&variants[variant]);
        for happens in &life {
            agent.live(happens);
            entries.extend(
                agent
                    .ledger
                    .rewards
                    .iter()
                    .map(|r| format!("{:?}", r.entry)),
            );
        }
        rules.extend(
            agent
                .said
                .iter()
                .filter_map(|id| Some(id.split_once(':')?.0.to_owned())),
        );
    }
    assert_eq!(entries.len(), 10, "{entries:?}");
    rules.retain(|rule| rule.starts_with("reward_"));
    let all = [
        "reward_awaiting_approval",
        "reward_needs_review",
        "reward_rejected",
        "reward_reversal_refused",
    ];
    assert_eq!(rules, all.map(str::to_owned).into());
}
