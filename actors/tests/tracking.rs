//! How interactions of resolved customers ended, told once that is final (S5.06, S5.07).

mod common;

use aftercall_actors::{
    actor::Actor,
    contract::{
        event::Body,
        key::{Key, Side},
    },
    effect::{Effect, Ignored},
};
use common::*;
use serde_json::json;

const WAIT_MS: i64 = 900 * SECOND_MS;

#[test]
fn s5_06_the_outcome_of_a_resolved_customers_interaction_is_told_at_once() {
    let mut customer = sure();
    let effects = customer.apply(10, ended("i1", 0, "sold"));
    assert_eq!(
        told(&effects),
        [
            "profile.updated profile:c1:i1:1795168500000",
            "interaction.outcome outcome:i1:1795168500000",
        ]
    );
    assert_eq!(
        data(&effects[1..]),
        json!({
            "user_id": "u1", "interaction_id": "i1", "interaction_type": "chat", "outcome": "sold",
            "duration_s": 300.0, "agent_id": "a1", "timestamp": "2026-11-20T10:00:00.000Z",
        })
    );
    assert_eq!(customer.deadline(), None);
}

#[test]
fn s5_06_the_events_own_user_id_goes_before_the_accepted_one() {
    for (mut customer, user) in [(sure(), "u7"), (Stage::asking_customer(), "u7")] {
        let more = json!({
            "disposition": "sold", "duration_s": 12.5,
            "customer": { "customer_id": "c1", "cdp_user_id": "u7" },
        });
        let effects = customer.apply(10, completed("i1", 0, more));
        let outcome = data(&effects[1..]);
        assert_eq!(outcome["user_id"], user);
        assert_eq!(outcome["duration_s"], 12.5);
    }
}

#[test]
fn s5_06_without_a_resolved_user_nothing_is_told_and_that_is_counted() {
    let mut unsure = Stage::asking_customer();
    unsure.apply(0, started("i1"));
    unsure.apply(
        0,
        resolved("i1", json!({ "confidence_score": 0.9, "user_id": "u1" })),
    );
    for mut customer in [Stage::asking_customer(), unsure] {
        let effects = customer.apply(1, ended("i1", 0, "sold"));
        assert_eq!(
            told(&effects),
            [
                "profile.updated profile:c1:i1:1795168500000",
                "ignored no_user"
            ]
        );
        assert_eq!(customer.deadline(), None);
    }
}

#[test]
fn s5_06_a_stale_user_is_still_one() {
    let mut customer = sure();
    customer.apply(10, started("i2"));
    customer.apply(11, failed("i2"));
    assert_eq!(told(&customer.apply(12, ended("i2", 0, "sold"))).len(), 2);
}

#[test]
fn s4_04_s5_06_the_same_completion_again_is_told_once() {
    let mut customer = sure();
    customer.apply(10, ended("i1", 0, "sold"));
    assert_eq!(
        customer.apply(11, ended("i1", 0, "sold")),
        ignored(Ignored::Duplicate)
    );
    // After a transfer it begins again, and ends again. The profile is merged; the outcome is its own.
    let moved = json!({ "disposition": "sold", "started_at": NOW_MS });
    assert_eq!(
        told(&customer.apply(12, completed("i1", 1, moved))),
        ["interaction.outcome outcome:i1:1795168800000"]
    );
}

#[test]
fn s4_01_s5_06_a_completion_that_updates_no_profile_is_told_all_the_same_once() {
    let vip = asking_with("queues = []", "queues = [\"vip\"]");
    let mut customer = Stage::new(Key::Customer("c1"), vip.clone());
    let user =
        json!({ "customer": { "customer_id": "c1", "cdp_user_id": "u7" }, "disposition": "x" });
    let body = || completed("i1", 0, user.clone());
    assert_eq!(
        told(&customer.apply(0, body())),
        [
            "ignored not_listed",
            "interaction.outcome outcome:i1:1795168500000"
        ]
    );
    assert_eq!(
        told(&customer.apply(1, body())),
        ["ignored not_listed", "ignored duplicate"]
    );
    let mut stranger = Stage::new(Key::Customer("c1"), vip);
    assert_eq!(
        told(&stranger.apply(0, completed("i1", 0, json!({})))),
        ["ignored not_listed", "ignored no_user"]
    );
    assert!(stranger.is_blank(0));
}

#[test]
fn s5_07_without_a_disposition_it_waits_fifteen_minutes_for_one() {
    for (after_ms, outcome) in [(WAIT_MS - 1, Some("sold")), (WAIT_MS, None)] {
        let mut customer = sure();
        let effects = customer.apply(0, completed("i1", 0, json!({})));
        assert_eq!(told(&effects).len(), 1, "only the profile");
        assert_eq!(customer.deadline(), Some(WAIT_MS));
        assert!(!customer.is_blank(10 * DAY_MS));
        let effects = outcomes(&customer.apply(after_ms, updated("i1", after_ms, "sold")));
        assert_eq!(
            told(&effects[..1]),
            ["interaction.outcome outcome:i1:1795168500000"],
            "{after_ms}"
        );
        assert_eq!(data(&effects[..1])["outcome"].as_str(), outcome);
        assert_eq!(customer.deadline(), None);
        // What came after the wait was over is a change of what was told.
        let late = match outcome {
            Some(_) => vec![],
            None => vec![format!(
                "interaction.outcome outcome:i1:1795168500000:{}",
                NOW_MS + after_ms
            )],
        };
        assert_eq!(told(&effects[1..]), late);
    }
}

/// The outcomes among the effects.
fn outcomes(effects: &[Effect]) -> Vec<Effect> {
    effects
        .iter()
        .filter(|effect| is_outcome(effect))
        .cloned()
        .collect()
}

#[test]
fn s5_13_a_disposition_that_changes_again_is_told_again_under_an_id_of_its_own() {
    let mut customer = sure();
    customer.apply(0, ended("i1", 0, "sold"));
    let change = |customer: &mut Stage, at_ms: i64, disposition: &str| {
        outcomes(&customer.apply(at_ms, updated("i1", at_ms, disposition)))
    };
    let effects = change(&mut customer, 20, "returned");
    assert_eq!(
        told(&effects),
        ["interaction.outcome outcome:i1:1795168500000:1795168800020"]
    );
    assert_eq!(
        data(&effects),
        json!({
            "user_id": "u1", "interaction_id": "i1", "interaction_type": "chat", "outcome": "returned",
            "duration_s": 300.0, "agent_id": "a1", "timestamp": "2026-11-20T10:00:00.000Z",
        })
    );
    // As it was, the same event again, and what says nothing: no news.
    assert_eq!(change(&mut customer, 30, "returned"), []);
    assert_eq!(
        outcomes(&customer.apply(31, updated("i1", 20, "returned"))),
        []
    );
    assert_eq!(change(&mut customer, 32, "no disposition"), []);
    // Back to what it was is a change too; one from before it is not.
    let effects = change(&mut customer, 40, "sold");
    assert_eq!(
        told(&effects),
        ["interaction.outcome outcome:i1:1795168500000:1795168800040"]
    );
    assert_eq!(data(&effects)["outcome"], "sold");
    let late = customer.apply(41, updated("i1", 35, "kept"));
    assert!(
        told(&late).contains(&"ignored superseded".to_owned()),
        "{late:?}"
    );
    assert_eq!(outcomes(&late), []);
}

#[test]
fn s5_13_changes_are_told_until_one_tick_before_their_time_is_over() {
    for (after_ms, count) in [(DAY_MS - 1, 1), (DAY_MS, 0)] {
        let mut customer = sure();
        customer.apply(2, ended("i1", 0, "sold"));
        let bytes = customer.encoded();
        customer.actor = Actor::decode(Side::Customer, "c1", &bytes).unwrap();
        assert_eq!(customer.encoded(), bytes);
        let effects = customer.apply(2 + after_ms, updated("i1", 9, "returned"));
        assert_eq!(outcomes(&effects).len(), count, "{after_ms}");
    }
    let rules = asking_with("changes = \"1d\"", "changes = \"0s\"");
    let mut customer = Stage::new(Key::Customer("c1"), rules);
    let user =
        json!({ "customer": { "customer_id": "c1", "cdp_user_id": "u7" }, "disposition": "x" });
    customer.apply(0, completed("i1", 0, user));
    assert_eq!(outcomes(&customer.apply(1, updated("i1", 1, "y"))), []);
}

#[test]
fn s5_13_of_more_outcomes_than_are_remembered_the_oldest_is_told_of_no_more() {
    let mut customer = sure();
    for n in 0..17 {
        customer.apply(10, ended(&n.to_string(), n, "sold"));
    }
    for (interaction, count) in [("0", 0), ("1", 1), ("16", 1)] {
        let effects = customer.apply(20, updated(interaction, 20, "returned"));
        assert_eq!(outcomes(&effects).len(), count, "{interaction}");
    }
}

#[test]
fn s5_13_a_completion_before_the_answer_is_told_once_the_user_is_known() {
    for after_ms in [1, WAIT_MS - 1] {
        let mut customer = Stage::asking_customer();
        customer.apply(0, started("i1"));
        let effects = customer.apply(0, ended("i1", 0, "sold"));
        assert_eq!(
            told(&effects),
            ["profile.updated profile:c1:i1:1795168500000"]
        );
        assert_eq!(customer.deadline(), Some(WAIT_MS));
        assert!(!customer.is_blank(10 * DAY_MS));
        let bytes = customer.encoded();
        customer.actor = Actor::decode(Side::Customer, "c1", &bytes).unwrap();
        assert_eq!(customer.encoded(), bytes);
        let effects = customer.apply(after_ms, answered(0.95));
        assert_eq!(
            told(&effects),
            ["interaction.outcome outcome:i1:1795168500000"]
        );
        assert_eq!(
            (&data(&effects)["user_id"], &data(&effects)["outcome"]),
            (&json!("u1"), &json!("sold"))
        );
        assert_eq!(customer.deadline(), None);
    }
}

#[test]
fn s5_13_an_answer_after_the_wait_comes_too_late_and_that_is_counted() {
    let mut customer = Stage::asking_customer();
    customer.apply(0, started("i1"));
    customer.apply(0, ended("i1", 0, "sold"));
    assert_eq!(customer.wake(WAIT_MS - 1), []);
    assert_eq!(told(&customer.wake(WAIT_MS)), ["ignored no_user"]);
    assert_eq!(customer.apply(WAIT_MS, answered(0.95)), []);
    // The wait is over also where the answer itself brings the time.
    let mut customer = Stage::asking_customer();
    customer.apply(0, started("i1"));
    customer.apply(0, ended("i1", 0, "sold"));
    assert_eq!(
        told(&customer.apply(WAIT_MS, answered(0.95))),
        ["ignored no_user"]
    );
}

#[test]
fn s5_13_what_is_without_both_waits_for_both_in_either_order() {
    for answer_first in [true, false] {
        let mut customer = Stage::asking_customer();
        customer.apply(0, started("i1"));
        customer.apply(0, completed("i1", 0, json!({})));
        let mut steps = [answered(0.95), updated("i1", 5_000, "sold")];
        if !answer_first {
            steps.reverse();
        }
        let [first, second] = steps;
        assert_eq!(outcomes(&customer.apply(5_000, first)), []);
        assert_eq!(customer.deadline(), Some(WAIT_MS));
        let effects = outcomes(&customer.apply(10_000, second));
        assert_eq!(
            told(&effects),
            ["interaction.outcome outcome:i1:1795168500000"]
        );
        assert_eq!(data(&effects)["outcome"], "sold");
    }
    // Known in time, and no disposition: it goes out as it is.
    let mut customer = Stage::asking_customer();
    customer.apply(0, started("i1"));
    customer.apply(0, completed("i1", 0, json!({})));
    customer.apply(1, answered(0.95));
    assert_eq!(
        told(&customer.wake(WAIT_MS)),
        ["interaction.outcome outcome:i1:1795168500000"]
    );
}

#[test]
fn s5_06_s5_13_an_answer_that_knows_nobody_ends_the_wait_unless_another_is_to_come() {
    for answer in [answered(0.9), failed("i1")] {
        let mut customer = Stage::asking_customer();
        customer.apply(0, started("i1"));
        customer.apply(0, ended("i1", 0, "sold"));
        let effects = customer.apply(1, answer.clone());
        assert_eq!(
            told(&effects).last().map(String::as_str),
            Some("ignored no_user")
        );
        assert_eq!(customer.deadline(), None);
        // Another question is out: its answer is waited for.
        let mut customer = Stage::asking_customer();
        customer.apply(0, started("i1"));
        customer.apply(0, started("i2"));
        customer.apply(0, ended("i1", 0, "sold"));
        customer.apply(1, answer);
        assert_eq!(customer.deadline(), Some(WAIT_MS));
        let sure = json!({ "confidence_score": 0.95, "user_id": "u1" });
        let effects = customer.apply(2, resolved("i2", sure));
        assert_eq!(
            told(&effects),
            ["interaction.outcome outcome:i1:1795168500000"]
        );
    }
}

fn answered(confidence: f64) -> Body {
    resolved(
        "i1",
        json!({ "confidence_score": confidence, "user_id": "u1" }),
    )
}

#[test]
fn s5_07_a_literal_no_disposition_counts_as_none_in_any_case_and_by_the_rules() {
    for literal in ["No Disposition", "NO DISPOSITION", " no disposition"] {
        let mut customer = sure();
        assert_eq!(
            outcomes(&customer.apply(10, ended("i1", 0, literal))),
            [],
            "{literal}"
        );
        assert_eq!(
            outcomes(&customer.apply(11, updated("i1", 11, literal))),
            []
        );
        let effects = customer.wake(10 + WAIT_MS);
        let outcome = outcomes(&effects);
        assert_eq!(data(&outcome).get("outcome"), None);
    }
    let rules = asking_with("[\"No Disposition\"]", "[\"-\", \"ohne Abschluß\"]");
    let user = json!({ "customer_id": "c1", "cdp_user_id": "u7" });
    for (literal, is_told) in [
        ("-", false),
        ("OHNE ABSCHLUß", false),
        ("No Disposition", true),
    ] {
        let mut customer = Stage::new(Key::Customer("c1"), rules.clone());
        let more = json!({ "disposition": literal, "customer": user });
        assert_eq!(
            outcomes(&customer.apply(0, completed("i1", 0, more))).len(),
            usize::from(is_told)
        );
    }
}

#[test]
fn s5_07_when_no_disposition_comes_it_goes_out_as_it_is() {
    let mut customer = sure();
    customer.apply(0, completed("i1", 0, json!({ "disposition": " " })));
    assert_eq!(customer.wake(WAIT_MS - 1), []);
    let effects = customer.wake(WAIT_MS);
    assert_eq!(
        told(&effects),
        ["interaction.outcome outcome:i1:1795168500000"]
    );
    assert_eq!(data(&effects).get("outcome"), None);
    assert_eq!(customer.wake(2 * WAIT_MS), []);
}

#[test]
fn s5_07_updates_without_a_disposition_or_of_another_interaction_settle_nothing() {
    let mut customer = sure();
    customer.apply(0, completed("i1", 0, json!({})));
    assert_eq!(customer.apply(1, updated("i2", 1, "sold")), []);
    assert_eq!(customer.apply(2, updated("i1", 2, "")), []);
    assert_eq!(customer.apply(2, updated("i1", 2, "No Disposition")), []);
    assert_eq!(customer.deadline(), Some(WAIT_MS));
    // Each leg of an interaction waits for itself; its disposition is that of all.
    let moved = json!({ "started_at": NOW_MS });
    customer.apply(5 * SECOND_MS, completed("i1", 5 * SECOND_MS, moved));
    assert_eq!(
        told(&customer.apply(5 * SECOND_MS + 1, updated("i1", 3, "sold"))),
        [
            "interaction.outcome outcome:i1:1795168500000",
            "interaction.outcome outcome:i1:1795168800000",
        ]
    );
}

#[test]
fn s5_07_a_disposition_that_comes_before_its_completion_is_remembered_as_long() {
    for (after_ms, outcome) in [(WAIT_MS - 1, Some("sold")), (WAIT_MS, None)] {
        let mut customer = sure();
        assert_eq!(customer.apply(0, updated("i1", 0, "kept")), []);
        assert_eq!(customer.apply(0, updated("i1", 0, "sold")), []);
        assert_eq!(customer.deadline(), None);
        let mut effects = customer.apply(after_ms, completed("i1", 0, json!({})));
        assert_eq!(customer.deadline().is_none(), outcome.is_some());
        effects.extend(customer.wake(after_ms + WAIT_MS));
        assert_eq!(data(&effects[1..2])["outcome"].as_str(), outcome);
    }
}

#[test]
fn s5_07_a_completions_own_disposition_goes_before_an_earlier_one() {
    let mut customer = sure();
    customer.apply(0, updated("i1", 0, "kept"));
    let effects = customer.apply(1, ended("i1", 0, "sold"));
    assert_eq!(data(&effects[1..])["outcome"], "sold");
}

#[test]
fn s5_07_early_dispositions_are_few_and_short_and_forgotten() {
    let mut customer = Stage::asking_customer();
    for n in 0..17 {
        assert_eq!(customer.apply(0, updated(&n.to_string(), 0, "sold")), []);
    }
    let long = "d".repeat(257);
    assert_eq!(
        customer.apply(0, updated("long", 0, &long)),
        ignored(Ignored::TooLarge)
    );
    assert!(!customer.is_blank(WAIT_MS - 1));
    assert!(customer.is_blank(WAIT_MS));
    let user = || json!({ "customer": { "customer_id": "c1", "cdp_user_id": "u7" } });
    for (interaction, settled) in [("0", false), ("1", true), ("16", true), ("long", false)] {
        let effects = customer.apply(0, completed(interaction, 0, user()));
        let settles = effects.iter().any(is_outcome);
        assert_eq!(settles, settled, "{interaction}");
    }
}

#[test]
fn s5_07_a_wait_of_nothing_tells_at_once() {
    let rules = asking_with("wait = \"15m\"", "wait = \"0s\"");
    let mut customer = Stage::new(Key::Customer("c1"), rules);
    let user = json!({ "customer": { "customer_id": "c1", "cdp_user_id": "u7" } });
    let effects = customer.apply(0, completed("i1", 0, user));
    assert_eq!(data(&effects[1..]).get("outcome"), None);
}

#[test]
fn s5_07_a_completion_that_waits_longer_than_it_is_remembered_is_told_once() {
    let rules = asking_with("dedupe = \"1h\"\n# Queues", "dedupe = \"1m\"\n# Queues");
    let mut customer = Stage::new(Key::Customer("c1"), rules);
    let user = json!({ "customer": { "customer_id": "c1", "cdp_user_id": "u7" } });
    customer.apply(0, completed("i1", 0, user.clone()));
    let effects = customer.apply(60 * SECOND_MS, completed("i1", 0, user));
    assert_eq!(
        told(&effects),
        [
            "profile.updated profile:c1:i1:1795168500000",
            "ignored duplicate"
        ]
    );
    assert_eq!(customer.wake(WAIT_MS).len(), 1);
}

#[test]
fn s5_07_more_completions_than_wait_send_the_oldest_early_and_lose_none() {
    let rules = asking_with("merge = \"5s\"", "merge = \"1h\"");
    let mut customer = Stage::new(Key::Customer("c1"), rules);
    let user = json!({ "customer": { "customer_id": "c1", "cdp_user_id": "u7" } });
    for n in 0..64 {
        customer.apply(n, completed(&n.to_string(), n, user.clone()));
    }
    let effects = customer.apply(64, completed("64", 64, user));
    assert_eq!(
        told(&effects),
        [
            "ignored wait_overflow",
            "interaction.outcome outcome:0:1795168500000"
        ]
    );
    let late = customer.wake(WAIT_MS + 64);
    assert_eq!(late.iter().filter(|effect| is_outcome(effect)).count(), 64);
}

#[test]
fn s5_06_off_nothing_is_told_or_counted() {
    let mut customer = Stage::customer();
    let user = json!({ "customer": { "customer_id": "c1", "cdp_user_id": "u7" } });
    assert_eq!(
        told(&customer.apply(0, completed("i1", 0, user))),
        ["profile.updated profile:c1:i1:1795168500000"]
    );
    assert_eq!(customer.apply(1, started("i2")), []);
}

fn is_outcome(effect: &Effect) -> bool {
    matches!(effect, Effect::Emit { id, .. } if id.starts_with("outcome:"))
}

fn ended(interaction_id: &str, ended_after_ms: i64, disposition: &str) -> Body {
    completed(
        interaction_id,
        ended_after_ms,
        json!({ "disposition": disposition }),
    )
}
