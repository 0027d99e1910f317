//! Other rules while something is under way: the kill switch, thresholds, names, approval (S3.04); and what resets
//! nothing (S3.13).

mod common;

use aftercall_actors::{
    actor::Actor,
    contract::key::Key,
    effect::Ignored,
    rewards::redemption::{REVERSE, Stage as Tier, reward_id},
    rules::RuleSet,
};
use common::*;
use serde_json::json;

#[test]
fn s3_04_the_kill_switch_in_each_stage_takes_the_outcome_and_asks_for_nothing() {
    // What was reached, what happened before the switch, what comes after it, and what is then free, held and said.
    let rejected = || format!("reward_rejected:{}", id(0));
    let review = || format!("reward_needs_review:{}", id(0));
    let after_all = || format!("reward_issued_after_all:{}", id(0));
    for (before, after, free, held, said) in [
        (None, Some("issued"), 600, 0, vec![]),
        (None, Some("rejected"), 1_100, 0, vec![rejected()]),
        (None, Some("needs_review"), 600, 500, vec![review()]),
        (None, None, 600, 500, vec![]),
        (Some("needs_review"), Some("issued"), 600, 0, vec![]),
        (
            Some("needs_review"),
            Some("rejected"),
            1_100,
            0,
            vec![rejected()],
        ),
        (Some("rejected"), Some("issued"), 600, 0, vec![after_all()]),
        (Some("issued"), None, 100, 500, vec![]),
    ] {
        let mut agent = rewarded();
        agent.apply(0, points("a", 1_100));
        if let Some(word) = before {
            agent.apply(1, reward_outcome(&id(0), word));
        }
        agent.rules = RuleSet::default_rules();
        let effects = after.map(|word| agent.apply(2, reward_outcome(&id(0), word)));
        assert_eq!(requests(&effects.unwrap_or_default()), said);
        // New points a day later: nothing is asked for.
        let next_day = DAY_MS;
        let more = adjusted("more", 700, NOW_MS + next_day);
        assert_eq!(requests(&agent.apply(next_day, more)), NONE);
        let found = (unclaimed(&agent), rewards(&agent).held());
        assert_eq!(found, (free + 700, held), "{before:?} {after:?}");
    }
}

#[test]
fn s3_04_the_kill_switch_while_a_claim_waits_lets_a_person_refuse_it_and_not_approve_it() {
    let mut agent = Stage::new(Key::Agent("a1"), program("approval = \"always\"\n", ""));
    agent.apply(0, points("a", 600));
    agent.rules = program("enabled = false\napproval = \"always\"\n", "");
    let before = agent.encoded();
    let stopped = agent.apply(1, decided(&id(0), "approve"));
    assert_eq!(stopped, ignored(Ignored::ProgramStopped));
    assert_eq!(agent.encoded(), before);
    assert_eq!(agent.apply(2, decided(&id(0), "reject")), []);
    assert_eq!((agent.points(), rewards(&agent).held()), (600, 0));
    // Approved after all: the tier is free, and nothing is asked for.
    assert_eq!(agent.apply(3, decided(&id(0), "approve")), []);
    assert_eq!(rewards(&agent).tiers()[0].stage, Tier::Open);
}

#[test]
fn s3_04_the_kill_switch_while_a_reward_is_taken_back_lets_it_be() {
    for (word, points_left, debt) in [("reversed", 470, 0), ("refused", -30, 30)] {
        let mut agent = rewarded();
        agent.apply(0, points("a", 500));
        agent.apply(1, reward_outcome(&id(0), "issued"));
        agent.apply(2, points("b", -30));
        agent.rules = RuleSet::default_rules();
        let id = id(0) + REVERSE;
        agent.apply(3, reward_outcome(&id, word));
        assert_eq!(
            (agent.points(), rewards(&agent).debt()),
            (points_left, debt)
        );
        assert_eq!(requests(&agent.apply(4, points("c", 1_000))), NONE);
        assert_eq!(agent.points(), points_left + 1_000);
    }
}

#[test]
fn s3_04_another_threshold_while_locked_leaves_the_claim_its_cost() {
    for (threshold, left, more) in [(600, 400, 200), (300, 100, 200)] {
        let mut agent = rewarded();
        agent.apply(0, points("a", 500));
        agent.rules = threshold_of(threshold);
        let before = agent.apply(1, points("b", left));
        assert_eq!(before, [], "locked");
        // What was asked for at 500 costs 500.
        let effects = agent.apply(2, reward_outcome(&id(0), "issued"));
        assert_eq!(requests(&effects), NONE);
        assert_eq!(agent.points(), i64::from(left));
        assert_eq!(requests(&agent.apply(3, points("c", more - 1))), NONE);
        let effects = agent.apply(4, points("d", 1));
        assert_eq!(requests(&effects), [id(1)]);
        assert_eq!(data(&effects)["points_consumed"], threshold);
    }
}

#[test]
fn s3_04_another_threshold_while_a_claim_waits_or_is_reversed_leaves_it_its_cost() {
    let mut agent = Stage::new(Key::Agent("a1"), program("approval = \"always\"\n", ""));
    agent.apply(0, points("a", 550));
    agent.rules = threshold_of(600);
    let effects = agent.apply(1, decided(&id(0), "approve"));
    assert_eq!(data(&effects)["points_consumed"], 500);
    agent.apply(2, reward_outcome(&id(0), "issued"));
    assert_eq!(agent.points(), 50);
    let effects = agent.apply(3, points("b", -51));
    assert_eq!(data(&effects)["points_consumed"], 500);
    agent.apply(4, reward_outcome(&(id(0) + REVERSE), "reversed"));
    assert_eq!(agent.points(), 499);
}

#[test]
fn s3_04_a_program_renamed_or_removed_while_locked_takes_its_outcome_and_the_new_one_begins_anew() {
    let renamed = |text: &str| text.replace("name = \"recognition\"", "name = \"praise\"");
    for (word, left) in [("issued", 499), ("rejected", 999)] {
        let mut agent = rewarded();
        agent.apply(0, points("a", 999));
        let text = renamed(enabled().text());
        agent.rules = RuleSet::parse(&text, "test").unwrap();
        let effects = agent.apply(1, reward_outcome(&id(0), word));
        let praise = |ordinal| reward_id("praise", "a1", "bronze", ordinal);
        let said = requests(&effects);
        match word {
            "issued" => assert_eq!(said, NONE),
            _ => assert_eq!(said, [format!("reward_rejected:{}", id(0)), praise(0)]),
        }
        assert_eq!(agent.points(), left, "{word}");
        if word == "issued" {
            assert_eq!(requests(&agent.apply(2, points("b", 1))), [praise(0)]);
        }
    }
    // No program at all.
    let mut agent = rewarded();
    agent.apply(0, points("a", 999));
    agent.rules = without_programs();
    assert_eq!(agent.apply(1, reward_outcome(&id(0), "issued")), []);
    assert_eq!(agent.points(), 499);
    assert_eq!(ids(&agent.apply(2, points("b", -500))), [id(0) + REVERSE]);
    // Back again, its ordinals go on.
    agent.apply(3, reward_outcome(&(id(0) + REVERSE), "reversed"));
    agent.rules = enabled();
    assert_eq!(requests(&agent.apply(4, points("c", 1))), [id(1)]);
}

#[test]
fn s3_04_approval_taken_away_or_demanded_leaves_what_is_under_way() {
    let mut agent = Stage::new(Key::Agent("a1"), program("approval = \"always\"\n", ""));
    agent.apply(0, points("a", 500));
    agent.rules = program("approval = \"none\"\n", "");
    assert_eq!(
        agent.apply(1, points("b", 500)),
        [],
        "it waits, and the next behind it"
    );
    let effects = agent.apply(2, decided(&id(0), "approve"));
    assert_eq!(requests(&effects), [id(0)]);
    agent.rules = program("approval = \"always\"\n", "");
    let effects = agent.apply(3, reward_outcome(&id(0), "issued"));
    let asks = format!("reward_awaiting_approval:{}", id(1));
    assert_eq!(
        requests(&effects),
        [asks],
        "asked for under the rules of now"
    );
}

#[test]
fn s3_04_a_cap_that_asks_above_counts_a_tick_before_its_end_and_not_at_it() {
    let cap = "cap = { rewards = 1, per = \"2d\" }\n";
    asks_within(2 * DAY_MS, "approval = \"over_cap\"\n", cap);
}

#[test]
fn s3_04_a_budget_counts_a_tick_before_its_periods_end_and_not_at_it() {
    let budget = "approval = \"over_cap\"\nbudget = { points = 999, per = \"1d\", agents = 1 }\n";
    asks_within(DAY_MS, budget, "");
}

/// A second reward waits for a person up to a tick before `period_ms` have passed, and not from then on.
fn asks_within(period_ms: i64, keys: &str, tier: &str) {
    for (after, waits) in [(period_ms - 1, true), (period_ms, false)] {
        let mut agent = Stage::new(Key::Agent("a1"), program(keys, tier));
        agent.apply(0, points("a", 500));
        agent.apply(1, reward_outcome(&id(0), "issued"));
        let effects = agent.apply(after, adjusted("b", 500, NOW_MS + after));
        let asks = format!("reward_awaiting_approval:{}", id(1));
        assert_eq!(requests(&effects), [if waits { asks } else { id(1) }]);
    }
}

#[test]
fn s3_04_a_limit_counts_from_the_request_and_not_from_the_claim_that_waited() {
    let cap = "cap = { rewards = 1, per = \"2d\" }\n";
    let rules = |approval: &str| program(&format!("approval = \"{approval}\"\n"), cap);
    for (after, claimed) in [(3 * DAY_MS - 1, false), (3 * DAY_MS, true)] {
        let mut agent = Stage::new(Key::Agent("a1"), rules("always"));
        agent.apply(0, points("a", 1_000));
        agent.apply(DAY_MS, decided(&id(0), "approve"));
        agent.rules = rules("none");
        agent.apply(DAY_MS + 1, reward_outcome(&id(0), "issued"));
        let effects = agent.apply(after, adjusted("b", 1, NOW_MS + after));
        assert_eq!(requests(&effects).len(), usize::from(claimed), "{after}");
    }
}

#[test]
fn s3_04_of_three_tiers_the_highest_reached_is_claimed_to_the_point() {
    let tiers = "[[program.tier]]\nname = \"silver\"\nthreshold = 1_000\nreward_type = \"x\"\n\
                 [[program.tier]]\nname = \"gold\"\nthreshold = 2_000\nreward_type = \"y\"\n";
    let of = |tier: &str| reward_id("recognition", "a1", tier, 0);
    for (sum, claimed) in [
        (499, vec![]),
        (500, vec!["bronze"]),
        (999, vec!["bronze"]),
        (1_000, vec!["silver"]),
        (1_499, vec!["silver"]),
        (1_500, vec!["silver", "bronze"]),
        (1_999, vec!["silver", "bronze"]),
        (2_000, vec!["gold"]),
        (3_499, vec!["gold", "silver"]),
        (3_500, vec!["gold", "silver", "bronze"]),
    ] {
        let mut agent = Stage::new(Key::Agent("a1"), program("", tiers));
        let expected: Vec<String> = claimed.iter().map(|tier| of(tier)).collect();
        assert_eq!(
            requests(&agent.apply(0, points("a", sum))),
            expected,
            "{sum}"
        );
    }
}

#[test]
fn s3_07_a_rejected_tier_is_asked_again_on_a_later_workday_of_the_zone() {
    // Midnight in Santiago is 03:00 UTC in November.
    let midnight = 17 * HOUR_MS;
    let zone = "time_zone = \"America/Santiago\"";
    let text = enabled().text().replace("time_zone = \"UTC\"", zone);
    for (after, asked) in [(midnight - 1, false), (midnight, true)] {
        let mut agent = Stage::new(Key::Agent("a1"), RuleSet::parse(&text, "test").unwrap());
        agent.apply(0, points("a", 500));
        agent.apply(1, reward_outcome(&id(0), "rejected"));
        let effects = agent.apply(after, points("b", 1));
        assert_eq!(requests(&effects).len(), usize::from(asked), "{after}");
    }
    // Rejected a tick after midnight, it waits for the next one.
    for (after, asked) in [(midnight + DAY_MS - 1, false), (midnight + DAY_MS, true)] {
        let mut agent = Stage::new(Key::Agent("a1"), RuleSet::parse(&text, "test").unwrap());
        agent.apply(0, points("a", 500));
        agent.apply(midnight, reward_outcome(&id(0), "rejected"));
        let effects = agent.apply(after, points("b", 1));
        assert_eq!(requests(&effects).len(), usize::from(asked), "{after}");
    }
}

#[test]
fn s3_13_a_state_that_was_stored_and_read_goes_on_the_same_from_every_stage() {
    let steps = [
        points("a", 1_700),
        reward_outcome(&id(0), "issued"),
        reward_outcome(&id(1), "needs_review"),
        points("b", -900),
        decided(&id(1), "approve"),
        reward_outcome(&(id(1) + REVERSE), "refused"),
        points("c", 100),
        reward_outcome(&(id(0) + REVERSE), "needs_review"),
        decided(&id(0), "approve"),
        points("d", 900),
        reward_outcome(&id(2), "rejected"),
    ];
    let (mut kept, mut read) = (rewarded(), rewarded());
    for (n, step) in steps.into_iter().enumerate() {
        let bytes = kept.encoded();
        read.actor = Actor::decode(read.key.side(), "a1", &bytes).unwrap();
        let n = n as i64;
        assert_eq!(kept.apply(n, step.clone()), read.apply(n, step));
        assert_eq!(kept.actor, read.actor);
        assert_eq!(kept.deadline(), read.deadline());
    }
}

#[test]
fn s3_13_a_transfer_to_another_queue_resets_nothing_while_locked_or_owing() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 500));
    let transfer = |n: u8| completed(&format!("i{n}"), 0, json!({ "queue_id": "another" }));
    let before = agent.encoded();
    assert_eq!(agent.apply(1, transfer(1)), []);
    assert_eq!(agent.encoded(), before);
    agent.apply(2, reward_outcome(&id(0), "issued"));
    agent.apply(3, points("b", -30));
    agent.apply(4, reward_outcome(&(id(0) + REVERSE), "refused"));
    let before = agent.encoded();
    assert_eq!(agent.apply(5, transfer(2)), []);
    assert_eq!(agent.encoded(), before);
}

fn threshold_of(threshold: u32) -> RuleSet {
    let text = enabled().text().to_owned();
    let changed = text.replace("threshold = 500", &format!("threshold = {threshold}"));
    assert_ne!(text, changed);
    RuleSet::parse(&changed, "test").unwrap()
}

fn without_programs() -> RuleSet {
    let text = enabled().text().to_owned();
    let (head, tail) = text.split_once("[[program]]").unwrap();
    let (_, rules) = tail.split_once("# Rules.").unwrap();
    RuleSet::parse(&format!("{head}# Rules.{rules}"), "test").unwrap()
}

/// Points that no claim holds.
fn unclaimed(agent: &Stage) -> i64 {
    agent.points() - rewards(agent).held()
}
