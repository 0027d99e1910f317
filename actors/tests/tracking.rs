//! How interactions of resolved customers ended, told once that is final (S5.06, S5.07).

mod common;

use aftercall_actors::{
    effect::{Effect, Ignored},
    event::Body,
    key::Key,
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
        let effects = customer.apply(after_ms, updated("i1", after_ms, "sold"));
        assert_eq!(
            told(&effects),
            ["interaction.outcome outcome:i1:1795168500000"],
            "{after_ms}"
        );
        assert_eq!(data(&effects)["outcome"].as_str(), outcome);
        assert_eq!(customer.deadline(), None);
        // Told once, whatever changes later.
        let late = customer.apply(after_ms + 1, updated("i1", after_ms + 1, "returned"));
        assert_eq!(late, []);
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
