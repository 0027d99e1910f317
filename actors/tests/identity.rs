//! Who a customer is, and how their interactions ended (S5.01 to S5.03, S5.06, S5.07).

mod common;

use aftercall_actors::{
    actor::Actor,
    effect::{Effect, Ignored},
    event::{Body, OutcomeKind},
    identity::{ATTRIBUTES_BYTES_MAX, Known, Resolution},
    key::{Key, Side},
    value::Id,
};
use common::*;
use serde_json::{Value, json};

const WAIT_MS: i64 = 900 * SECOND_MS;

#[test]
fn s5_01_the_start_of_an_interaction_asks_who_the_customer_is_once() {
    let mut customer = Stage::asking_customer();
    let effects = customer.apply(0, started("i1"));
    assert_eq!(told(&effects), ["identity.requested identity:i1"]);
    assert_eq!(
        data(&effects),
        json!({ "interaction_id": "i1", "channel": "voice", "customer": { "customer_id": "c1" } })
    );
    assert_eq!(
        customer.apply(HOUR_MS - 1, started("i1")),
        ignored(Ignored::Duplicate)
    );
    assert!(!customer.is_blank(HOUR_MS - 1));
    assert!(customer.is_blank(HOUR_MS));
    assert_eq!(customer.apply(HOUR_MS, started("i1")).len(), 1);
    assert_eq!(customer.apply(HOUR_MS, started("i2")).len(), 1);
    assert_eq!(customer.deadline(), None);
}

#[test]
fn s5_02_only_a_confidence_above_nine_tenths_is_accepted() {
    for (confidence, accepted) in [
        (json!(0.900_000_000_000_000_1), true),
        (json!(0.91), true),
        (json!(1), true),
        (json!(0.9), false),
        (json!(0.899), false),
        (json!(0), false),
        (json!("0.99"), false),
        (Value::Null, false),
    ] {
        let mut customer = Stage::asking_customer();
        customer.apply(0, started("i1"));
        let response = json!({
            "confidence_score": confidence, "user_id": "u1", "attributes": { "tier": "gold" },
        });
        assert_eq!(customer.apply(1, resolved("i1", response)), []);
        let expected = match accepted {
            true => known("u1", Some(r#"{"tier":"gold"}"#), false),
            false => Resolution::Verify,
        };
        assert_eq!(resolution(&customer), expected, "{confidence}");
        if !accepted {
            let stored = String::from_utf8_lossy(&customer.encoded()).into_owned();
            assert!(!stored.contains("gold") && !stored.contains("u1"));
        }
    }
}

#[test]
fn s5_02_a_missing_confidence_asks_to_verify() {
    for response in [Value::Null, json!({}), json!({ "user_id": "u1" })] {
        let mut customer = Stage::asking_customer();
        customer.apply(0, started("i1"));
        assert_eq!(customer.apply(1, resolved("i1", response)), []);
        assert_eq!(resolution(&customer), Resolution::Verify);
    }
}

#[test]
fn s5_02_a_later_doubt_forgets_what_was_known() {
    let mut customer = sure();
    customer.apply(10, started("i2"));
    customer.apply(
        11,
        resolved("i2", json!({ "confidence_score": 0.5, "user_id": "u2" })),
    );
    assert_eq!(resolution(&customer), Resolution::Verify);
}

#[test]
fn s5_03_a_failure_leaves_what_was_known_marked_stale_else_a_guest() {
    let mut customer = Stage::asking_customer();
    customer.apply(0, started("i1"));
    assert_eq!(
        customer.apply(1, failed("i1")),
        ignored(Ignored::LookupFailed)
    );
    assert_eq!(resolution(&customer), Resolution::Guest);

    let mut customer = sure();
    customer.apply(10, started("i2"));
    assert_eq!(
        customer.apply(11, failed("i2")),
        ignored(Ignored::LookupFailed)
    );
    assert_eq!(resolution(&customer), known("u1", None, true));
    // The next answer makes it fresh again.
    customer.apply(20, started("i3"));
    customer.apply(
        21,
        resolved("i3", json!({ "confidence_score": 0.95, "user_id": "u1" })),
    );
    assert_eq!(resolution(&customer), known("u1", None, false));
}

#[test]
fn s5_03_a_confident_answer_without_a_usable_id_is_a_failure() {
    for user_id in [Value::Null, json!(""), json!(7), json!("u".repeat(257))] {
        let mut customer = Stage::asking_customer();
        customer.apply(0, started("i1"));
        let response = json!({ "confidence_score": 0.99, "user_id": user_id });
        assert_eq!(
            customer.apply(1, resolved("i1", response)),
            ignored(Ignored::LookupFailed)
        );
        assert_eq!(resolution(&customer), Resolution::Guest);
    }
}

#[test]
fn s5_03_what_is_known_holds_until_one_tick_before_its_time_is_over() {
    let mut customer = sure();
    assert!(!customer.is_blank(7 * DAY_MS - 1));
    assert!(customer.is_blank(7 * DAY_MS));
    for (after_ms, told_of) in [(7 * DAY_MS - 1, true), (7 * DAY_MS, false)] {
        let mut customer = sure();
        let effects = customer.apply(after_ms, ended("i2", after_ms, "sold"));
        let outcomes = told(&effects)
            .iter()
            .any(|one| one.starts_with("interaction.outcome"));
        assert_eq!(outcomes, told_of, "{after_ms}");
    }
    customer.apply(7 * DAY_MS, started("i9"));
    assert_eq!(resolution(&customer), Resolution::Guest);
}

#[test]
fn s5_01_outcomes_of_nothing_that_was_asked_are_counted() {
    let mut customer = sure();
    let before = customer.actor.clone();
    let answer = || json!({ "confidence_score": 0.99, "user_id": "u2" });
    // Answered before; never asked; not of this sort.
    for interaction in ["i1", "i2"] {
        assert_eq!(
            customer.apply(2, resolved(interaction, answer())),
            ignored(Ignored::UnknownRequest)
        );
    }
    for kind in [
        OutcomeKind::Alert,
        OutcomeKind::Enrichment,
        OutcomeKind::SurveyToken,
        OutcomeKind::Reward,
    ] {
        let body = outcome(kind, "customer/c1", "identity:i1", "resolved", answer());
        assert_eq!(customer.apply(2, body), ignored(Ignored::NoPart));
    }
    assert_eq!(customer.actor, before);
    // Forgotten with its question.
    let mut customer = Stage::asking_customer();
    customer.apply(0, started("i1"));
    assert_eq!(
        customer.apply(HOUR_MS, resolved("i1", answer())),
        ignored(Ignored::UnknownRequest)
    );
}

#[test]
fn s5_01_of_two_questions_the_newer_ones_answer_holds() {
    let mut customer = Stage::asking_customer();
    customer.apply(0, started("i1"));
    customer.apply(1, started("i2"));
    let answer = |user: &str| json!({ "confidence_score": 0.99, "user_id": user });
    customer.apply(2, resolved("i2", answer("u2")));
    assert_eq!(
        customer.apply(3, resolved("i1", answer("u1"))),
        ignored(Ignored::Superseded)
    );
    assert_eq!(resolution(&customer), known("u2", None, false));
}

#[test]
fn s5_05_attributes_too_large_to_keep_are_left_out_and_counted() {
    let empty = json!({ "note": "" }).to_string().len();
    for (length, kept) in [
        (ATTRIBUTES_BYTES_MAX, true),
        (ATTRIBUTES_BYTES_MAX + 1, false),
    ] {
        let mut customer = Stage::asking_customer();
        customer.apply(0, started("i1"));
        let attributes = json!({ "note": "x".repeat(length - empty) });
        let text = attributes.to_string();
        let response =
            json!({ "confidence_score": 0.99, "user_id": "u1", "attributes": attributes });
        let effects = customer.apply(1, resolved("i1", response));
        let (expected, counted) = match kept {
            true => (Some(&*text), Vec::new()),
            false => (None, ignored(Ignored::TooLarge)),
        };
        assert_eq!(resolution(&customer), known("u1", expected, false));
        assert_eq!(effects, counted);
    }
}

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

#[test]
fn identity_and_what_waits_survive_being_stored() {
    let mut customer = Stage::asking_customer();
    let store = |customer: &Stage| {
        let read = Actor::decode(Side::Customer, "c1", &customer.encoded()).unwrap();
        assert_eq!(read, customer.actor);
    };
    customer.apply(0, started("i1"));
    store(&customer);
    customer.apply(1, started("i2"));
    let response =
        json!({ "confidence_score": 0.99, "user_id": "u1", "attributes": { "tier": "gold" } });
    customer.apply(2, resolved("i2", response));
    store(&customer);
    customer.apply(3, failed("i1"));
    store(&customer);
    customer.apply(4, completed("i1", 0, json!({ "duration_s": 0.1 })));
    store(&customer);
    customer.apply(5, started("i3"));
    customer.apply(6, resolved("i3", json!({})));
    store(&customer);
}

fn is_outcome(effect: &Effect) -> bool {
    matches!(effect, Effect::Emit { id, .. } if id.starts_with("outcome:"))
}

fn resolution(stage: &Stage) -> Resolution {
    match &stage.actor {
        Actor::Customer(customer) => customer.resolution().clone(),
        Actor::Agent(_) => panic!("an agent is no customer"),
    }
}

fn known(user_id: &str, attributes: Option<&str>, stale: bool) -> Resolution {
    Resolution::Known(Known {
        user_id: Id::new(user_id).unwrap(),
        attributes: attributes.map(Into::into),
        stale,
    })
}

/// A customer whom the platform knows as `u1`.
fn sure() -> Stage {
    let mut customer = Stage::asking_customer();
    customer.apply(0, started("i1"));
    let response = json!({ "confidence_score": 0.95, "user_id": "u1" });
    assert_eq!(customer.apply(1, resolved("i1", response)), []);
    customer
}

fn resolved(interaction_id: &str, response: Value) -> Body {
    let id = format!("identity:{interaction_id}");
    outcome(
        OutcomeKind::Identity,
        "customer/c1",
        &id,
        "resolved",
        response,
    )
}

fn failed(interaction_id: &str) -> Body {
    let id = format!("identity:{interaction_id}");
    outcome(
        OutcomeKind::Identity,
        "customer/c1",
        &id,
        "failed",
        Value::Null,
    )
}

fn ended(interaction_id: &str, ended_after_ms: i64, disposition: &str) -> Body {
    completed(
        interaction_id,
        ended_after_ms,
        json!({ "disposition": disposition }),
    )
}
