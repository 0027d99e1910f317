//! Random lives: whatever happens to an agent, its book adds up, says what the agent said, and tells of each reward a
//! story that can be.

use std::collections::BTreeMap;

use aftercall_actors::{contract::output::Output, effect::Effect, rewards::redemption::reward_id};
use proptest::{prelude::*, strategy::ValueTree as _};

use super::*;

/// 30 workdays, so that a life sees points leave.
const WINDOW: i64 = 30;

#[derive(Clone, Debug)]
enum Happens {
    /// A metric's points of a workday, so many days back.
    Row {
        back: i64,
        metric: usize,
        points: i32,
    },
    /// A grant or a violation; the same `id` is a repetition.
    Adjusted { id: u8, points: i32, back: i64 },
    /// A revision of one of a few responses.
    Stars {
        response: u8,
        revision: u32,
        csat: u8,
    },
    /// What became of the `nth` latest reward of a tier, or of its reversal.
    Answer {
        tier: usize,
        nth: u32,
        is_reversal: bool,
        word: usize,
    },
    /// A person's decision on it.
    Decided {
        tier: usize,
        nth: u32,
        approve: bool,
    },
    /// Time goes by.
    Days(i64),
    /// Another rule set: programs on or off, with and without approval.
    Rules(usize),
}

const WORDS: [&str; 9] = [
    "issued",
    "issued",
    "rejected",
    "needs_review",
    "reversed",
    "refused",
    "cancelled",
    "bounced",
    "failed",
];
const TIERS: [&str; 2] = ["t100", "t250"];
const METRICS: [&str; 3] = ["points", "more", "survey"];

fn happens() -> impl Strategy<Value = Happens> {
    let day = 0i64..WINDOW + 3;
    prop_oneof![
        6 => (day.clone(), 0..METRICS.len(), -40i32..160)
            .prop_map(|(back, metric, points)| Happens::Row { back, metric, points }),
        4 => (any::<u8>(), -200i32..120, day).prop_map(|(id, points, back)| Happens::Adjusted { id, points, back }),
        2 => (0u8..3, 0u32..3, 1u8..6)
            .prop_map(|(response, revision, csat)| Happens::Stars { response, revision, csat }),
        9 => (0..TIERS.len(), 0u32..3, any::<bool>(), 0..WORDS.len())
            .prop_map(|(tier, nth, is_reversal, word)| Happens::Answer { tier, nth, is_reversal, word }),
        4 => (0..TIERS.len(), 0u32..3, any::<bool>())
            .prop_map(|(tier, nth, approve)| Happens::Decided { tier, nth, approve }),
        2 => (0i64..50).prop_map(Happens::Days),
        1 => (0usize..5).prop_map(Happens::Rules),
    ]
}

fn rule_sets() -> Vec<RuleSet> {
    let cap = "cap = { rewards = 1, per = \"45d\" }\n";
    let sets = [
        ("true", "none", ""),
        ("true", "always", ""),
        ("true", "over_cap", cap),
        ("false", "none", ""),
        ("true", "none\"\non_cancelled = \"free", ""),
    ];
    let parse = |(enabled, approval, cap): (&str, &str, &str)| {
        let text = format!(
            "[points]\nwindow = \"{WINDOW}d\"\n[[rule]]\nname = \"points\"\non = \"wfm.metric.recorded\"\n\
             when = \"true\"\npoints = \"event.value\"\n[[rule]]\nname = \"stars\"\n\
             on = \"survey.response.created\"\nwhen = \"event.csat == 5\"\npoints = 10\n\
             [[program]]\nname = \"p\"\nenabled = {enabled}\napproval = \"{approval}\"\n\
             [[program.tier]]\nname = \"t250\"\nthreshold = 250\nreward_type = \"x\"\n{cap}\
             [[program.tier]]\nname = \"t100\"\nthreshold = 100\nreward_type = \"x\"\n{cap}"
        );
        RuleSet::parse(&text, "test").unwrap()
    };
    sets.map(parse).into()
}

struct Life {
    till: Till,
    sets: Vec<RuleSet>,
    after_ms: i64,
    number: u32,
    /// The last line of each reward.
    stories: BTreeMap<String, Kind>,
    kinds: BTreeMap<Kind, u32>,
    sum: i64,
}

impl Life {
    fn new() -> Self {
        let sets = rule_sets();
        Self {
            till: Till::new(sets[0].clone()),
            sets,
            after_ms: 0,
            number: 0,
            stories: BTreeMap::new(),
            kinds: BTreeMap::new(),
            sum: 0,
        }
    }

    fn live(&mut self, happens: &Happens) {
        self.number += 1;
        self.after_ms += 1;
        let now_ms = NOW_MS + self.after_ms;
        let body = match *happens {
            Happens::Row {
                back,
                metric,
                points,
            } => {
                let day = jiff::Timestamp::from_millisecond(now_ms - back * DAY_MS).unwrap();
                let day = &day.to_string()[..10];
                wfm(day, METRICS[metric], f64::from(points), None)
            }
            Happens::Adjusted { id, points, back } => {
                adjusted(&id.to_string(), points, now_ms - back * DAY_MS)
            }
            Happens::Stars {
                response,
                revision,
                csat,
            } => {
                let fields = json!({"csat": csat, "revision": revision, "submitted_at": now_ms});
                survey(&format!("s{response}"), fields)
            }
            Happens::Answer {
                tier,
                nth,
                is_reversal,
                word,
            } => {
                let suffix = if is_reversal { REVERSE } else { "" };
                let Some(id) = self.reward(tier, nth) else {
                    return;
                };
                reward_outcome(&format!("{id}{suffix}"), WORDS[word])
            }
            Happens::Decided { tier, nth, approve } => {
                let Some(id) = self.reward(tier, nth) else {
                    return;
                };
                decided(&id, if approve { "approve" } else { "reject" })
            }
            Happens::Days(days) => {
                self.after_ms += days * DAY_MS;
                return;
            }
            Happens::Rules(set) => {
                self.till.rules = self.sets[set].clone();
                return;
            }
        };
        let (lines, effects) = self.till.act(self.after_ms, body);
        self.read(&lines, &effects);
    }

    /// The `nth` latest reward that was ever claimed of a tier.
    fn reward(&self, tier: usize, nth: u32) -> Option<String> {
        let mut tiers = self.till.agent().rewards().tiers().iter();
        let found = tiers.find(|found| *found.tier == *TIERS[tier])?;
        let ordinal = found.claimed.checked_sub(nth + 1)?;
        Some(reward_id("p", "a1", TIERS[tier], ordinal))
    }

    fn read(&mut self, lines: &[Entry], effects: &[Effect]) {
        let is_decided = lines
            .iter()
            .any(|line| matches!(line.kind, Kind::Approved | Kind::Declined));
        // Whether a reward had counted as not given.
        let gone = |kind: &Kind| {
            use Kind::{Approved, Cancelled, Declined, Rejected};
            matches!(kind, Approved | Cancelled | Declined | Rejected)
        };
        let before: Vec<(String, bool)> = self
            .stories
            .iter()
            .map(|(id, kind)| (id.clone(), gone(kind) && !is_decided))
            .collect();
        for line in lines {
            self.sum += line.points;
            assert_eq!(line.balance, self.sum);
            assert!(line.held >= 0 && line.debt >= 0, "{line:?}");
            *self.kinds.entry(line.kind).or_default() += 1;
            if let Some(id) = &line.reward_id {
                let before = self.stories.insert(id.clone(), line.kind);
                assert!(follows(before, line.kind), "{before:?}, then {line:?}");
            }
        }
        assert_eq!(self.sum, self.till.agent().points());
        // What was asked and what administration was told, in the order in which it was said.
        let said: Vec<String> = effects.iter().filter_map(words).collect();
        let booked = lines.iter().filter_map(|line| {
            let id = line.reward_id.as_ref()?;
            let word = match line.kind {
                Kind::Requested => "requested",
                Kind::ReversalRequested => "reversal",
                Kind::Awaiting => "reward_awaiting_approval",
                Kind::NeedsReview | Kind::ReversalNeedsReview => "reward_needs_review",
                Kind::Rejected => "reward_rejected",
                Kind::ReversalRefused => "reward_reversal_refused",
                Kind::CancellationNeedsReview => "reward_cancelled",
                // A person who decides need not be told.
                Kind::Cancelled if !is_decided => "reward_cancelled",
                Kind::Restored if !is_decided => "reward_issued_after_all",
                Kind::Issued if before.contains(&(id.clone(), true)) => "reward_issued_after_all",
                _silent => return None,
            };
            Some(format!("{word} {id}"))
        });
        let mut booked: Vec<String> = booked.collect();
        let mut said_sorted = said.clone();
        // Tiers are claimed highest first and stand in the order of their first claims.
        booked.sort();
        said_sorted.sort();
        assert_eq!(booked, said_sorted);
    }
}

fn words(effect: &Effect) -> Option<String> {
    let Effect::Emit { id, output } = effect else {
        return None;
    };
    let id = id.strip_suffix(REVERSE).unwrap_or(id);
    // The second time, a number stands behind it.
    let id = match id.match_indices(':').nth(1) {
        Some((end, _)) => &id[..end],
        None => id,
    };
    Some(match output {
        Output::RewardRequested(_) => format!("requested {id}"),
        Output::RewardReversalRequested(_) => format!("reversal {id}"),
        _alert => {
            let (rule, id) = id.split_once(':')?;
            format!("{rule} {id}")
        }
    })
}

/// Whether a line can come after another about the same reward.
fn follows(before: Option<Kind>, kind: Kind) -> bool {
    use Kind::*;
    let Some(before) = before else {
        return kind == Claimed;
    };
    let allowed: &[Kind] = match before {
        Claimed => &[Awaiting, Requested],
        Awaiting => &[Approved, Declined, Withdrawn],
        Requested => &[Issued, Rejected, NeedsReview],
        NeedsReview => &[Approved, Declined, Rejected, Issued],
        // Before a request, after a review, of a rejected one, or of a reversal.
        Approved => &[Requested, Issued, Approved, Reversed, Restored],
        Declined => &[Approved, Issued, ReversalRefused, Cancelled],
        Rejected => &[Approved, Issued],
        // Taken back at once where its reversal had been refused before.
        Issued | Restored => &[
            ReversalRequested,
            CancellationNeedsReview,
            Cancelled,
            Reversed,
        ],
        CancellationNeedsReview => &[Approved, Declined, Restored, Cancelled, Reversed],
        Cancelled => &[Approved, Issued],
        ReversalRequested => &[Reversed, ReversalRefused, ReversalNeedsReview],
        ReversalNeedsReview => &[Approved, Declined, Reversed, ReversalRefused],
        ReversalRefused => &[Reversed, CancellationNeedsReview, Cancelled],
        Withdrawn | Reversed => &[],
        Earned | Replaced | Adjusted | Expired | DebtPaid => &[],
    };
    allowed.contains(&kind)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]
    /// What is earned is what is left, what expired and what was spent; after every step, and by every line.
    #[test]
    fn s3_13_s3_14_the_books_of_a_life_add_up(life in prop::collection::vec(happens(), 1..80)) {
        let mut agent = Life::new();
        for happens in &life {
            agent.live(happens);
        }
        let (sum, lines) = (agent.sum, agent.kinds.values().sum::<u32>());
        let books = agent.till.closed();
        prop_assert_eq!(books.lines, u64::from(lines));
        if let Some(account) = books.accounts.get("a1") {
            prop_assert_eq!(account.balance.points(), sum);
        }
    }
}

/// So that the property is about something.
#[test]
fn lives_see_every_kind_of_line() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let lives = prop::collection::vec(happens(), 60..80);
    let mut seen: BTreeMap<Kind, u32> = BTreeMap::new();
    for _ in 0..1_500 {
        let life = lives.new_tree(&mut runner).unwrap().current();
        let mut agent = Life::new();
        for happens in &life {
            agent.live(happens);
        }
        for (kind, times) in agent.kinds {
            *seen.entry(kind).or_default() += times;
        }
    }
    for kind in Kind::ALL {
        assert!(
            seen.get(&kind).is_some_and(|times| *times > 20),
            "{kind}: {seen:?}"
        );
    }
}
