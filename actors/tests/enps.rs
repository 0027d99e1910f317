//! eNPS in, scores and coaching out (S1.07, S1.09).

mod common;

use aftercall_actors::{
    contract::{key::Key, output::Output},
    effect::{Effect, Ignored},
};
use common::*;
use serde_json::{Value, json};

#[test]
fn s1_07_a_response_is_scored_with_its_category_on_each_side_of_the_bounds() {
    let mut agent = Stage::agent();
    for (score, category) in [
        (0, "detractor"),
        (6, "detractor"),
        (7, "passive"),
        (8, "passive"),
        (9, "promoter"),
        (10, "promoter"),
    ] {
        let effects = agent.apply(0, enps(&score.to_string(), score, -5));
        assert_eq!(ids(&effects), [format!("enps:{score}")]);
        assert_eq!(
            data(&effects),
            json!({
                "response_id": score.to_string(), "agent_id": "a1", "raw_score": score,
                "category": category, "submitted_at": "2026-11-20T09:59:59.995Z",
                "metadata": { "queue_id": "q1", "wrap_up_code": "done" },
            })
        );
    }
}

#[test]
fn s1_08_a_response_is_scored_once_until_one_tick_before_the_dedupe_time() {
    let mut agent = Stage::agent();
    assert_eq!(ids(&agent.apply(0, enps("e1", 9, 0))), ["enps:e1"]);
    assert_eq!(
        agent.apply(DAY_MS - 1, enps("e1", 9, 0)),
        ignored(Ignored::Duplicate)
    );
    assert_eq!(ids(&agent.apply(DAY_MS, enps("e1", 9, 0))), ["enps:e1"]);
}

#[test]
fn s1_09_the_third_detractor_in_the_window_asks_for_coaching_with_its_evidence() {
    let mut agent = Stage::agent();
    agent.apply(0, enps("late", 3, 0));
    agent.apply(1, enps("early", 0, -HOUR_MS));
    agent.apply(2, enps("happy", 10, 0));
    let effects = agent.apply(3, enps("third", 6, 3));
    assert_eq!(
        ids(&effects),
        ["enps:third", "coaching:detractor_spike:third"]
    );
    assert_eq!(
        coaching(&effects),
        json!({
            "agent_id": "a1", "reason": "several detractor answers within the eNPS window",
            "rule": "detractor_spike", "evidence": ["early", "late", "third"],
        })
    );
}

#[test]
fn s1_09_a_share_below_one_half_is_no_spike() {
    let mut agent = Stage::agent();
    for n in 0..4 {
        agent.apply(0, enps(&format!("p{n}"), 8, 0));
    }
    for n in 0..3 {
        assert_eq!(agent.apply(0, enps(&format!("d{n}"), 0, 0)).len(), 1);
    }
    assert_eq!(agent.apply(0, enps("d3", 0, 0)).len(), 2);
}

#[test]
fn s1_09_a_spike_fires_when_it_begins_and_again_only_after_it_ended() {
    let mut agent = Stage::agent();
    let mut fires = |id: &str, score| agent.apply(0, enps(id, score, 0)).len() == 2;
    assert!(!fires("1", 0) && !fires("2", 0) && fires("3", 0));
    assert!(!fires("4", 0), "still holds");
    // Four of nine: over. Five of nine: it begins anew.
    assert!((5..10).all(|n| !fires(&n.to_string(), 9)));
    assert!(fires("10", 0));
}

#[test]
fn s1_09_a_spike_that_goes_on_fires_again_a_window_after_it_fired() {
    let mut agent = Stage::agent();
    let mut at = |n: i64, after_ms: i64| {
        let response = enps(&format!("{n}-{after_ms}"), 0, after_ms);
        agent.apply(after_ms, response).len() == 2
    };
    assert!(!at(1, 0) && !at(2, 0) && at(3, 0));
    assert!(!at(1, 3 * DAY_MS) && !at(2, 3 * DAY_MS) && !at(3, 3 * DAY_MS));
    assert!(!at(1, 7 * DAY_MS - 1));
    assert!(at(1, 7 * DAY_MS));
    assert!(!at(2, 7 * DAY_MS));
}

#[test]
fn s1_09_a_response_leaves_the_window_at_its_length() {
    let week_ms = 7 * DAY_MS;
    for (after_ms, outputs) in [(week_ms - 1, 2), (week_ms, 1)] {
        let mut agent = Stage::agent();
        agent.apply(0, enps("1", 0, 0));
        agent.apply(0, enps("2", 0, 1));
        assert_eq!(
            agent.apply(after_ms, enps("3", 0, after_ms)).len(),
            outputs,
            "{after_ms}"
        );
    }
}

#[test]
fn s1_09_a_response_from_the_future_counts_as_of_now_and_one_from_before_the_window_not_at_all() {
    let mut agent = Stage::agent();
    agent.apply(0, enps("1", 0, 30 * DAY_MS));
    let effects = agent.apply(0, enps("old", 0, -7 * DAY_MS));
    assert_eq!(ids(&effects), ["enps:old"]);
    assert_eq!(effects[1..], [Effect::Ignore(Ignored::TooOld)]);
    agent.apply(0, enps("2", 0, 0));
    // The one from the future has left with the rest: had it stayed, this were the third.
    assert_eq!(agent.apply(7 * DAY_MS, enps("3", 0, 7 * DAY_MS)).len(), 1);
    assert!(!agent.is_blank(14 * DAY_MS - 1));
    assert!(agent.is_blank(14 * DAY_MS));
}

#[test]
fn s1_09_a_rule_that_fired_is_remembered_though_its_responses_have_left() {
    let mut agent = Stage::agent();
    for n in 0..3 {
        agent.apply(0, enps(&n.to_string(), 0, -6 * DAY_MS));
    }
    // It fired at 0; the window is empty a day later.
    assert!(!agent.is_blank(7 * DAY_MS - 1));
    assert!(agent.is_blank(7 * DAY_MS));
}

#[test]
fn s1_09_evidence_names_the_newest_fifty() {
    let rules = rules_with("agent.detractors >= 3", "agent.detractors >= 60");
    let mut agent = Stage::new(Key::Agent("a1"), rules);
    let mut last = Vec::new();
    for n in 1..=60 {
        last = agent.apply(n, enps(&n.to_string(), 0, n));
    }
    let expected: Vec<String> = (11..=60).map(|n| n.to_string()).collect();
    assert_eq!(coaching(&last)["evidence"], json!(expected));
}

#[test]
fn s3_03_a_rule_may_give_points_for_an_enps_response() {
    let rules = rules_and(
        r#"
        [[rule]]
        name = "answered"
        on = "enps.response.submitted"
        when = "true"
        points = 2
        "#,
    );
    let mut agent = Stage::new(Key::Agent("a1"), rules);
    agent.apply(0, enps("1", 9, 0));
    agent.apply(0, enps("1", 9, 0));
    agent.apply(0, enps("2", 9, 0));
    assert_eq!(agent.points(), 4);
}

/// The coaching request behind the score.
fn coaching(effects: &[Effect]) -> Value {
    match effects {
        [
            _,
            Effect::Emit {
                output: output @ Output::CoachingRequested(_),
                ..
            },
        ] => json_of(output),
        other => panic!("no coaching: {other:?}"),
    }
}
