//! Who a customer is to the customer data platform (S5.01 to S5.03, S5.05).

mod common;

use aftercall_actors::{
    actor::Actor,
    contract::{
        event::{Body, OutcomeKind},
        key::{Key, Side},
        value::{self, Id},
    },
    customer::identity::{ATTRIBUTES_BYTES_MAX, Known, Resolution},
    effect::Ignored,
    rules::RuleSet,
};
use common::*;
use serde_json::{Value, json};

#[test]
fn s5_01_the_start_of_an_interaction_asks_who_the_customer_is_once() {
    let mut customer = Stage::asking_customer();
    let effects = customer.apply(0, started("i1"));
    assert_eq!(told(&effects), ["identity.requested identity:i1"]);
    assert_eq!(
        data(&effects),
        json!({
            "interaction_id": "i1", "channel": "voice", "identifier": "c1", "identifier_type": "customer_id",
            "customer": { "customer_id": "c1" },
        })
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
fn s5_11_the_first_identifier_in_the_configured_order_resolves_the_customer() {
    let all = json!({
        "customer_id": "c1", "phone": "+49 30 123456", "email": "Ann@Example.com", "cdp_user_id": "u7",
    });
    let withheld = json!({ "customer_id": "c1", "phone": "anonymous", "email": "a@b" });
    const SHIPPED: &str = r#"["phone", "email", "customer_id", "cdp_user_id"]"#;
    for (order, customer, expected) in [
        (SHIPPED, &all, json!(["+4930123456", "phone"])),
        (
            r#"["email", "phone"]"#,
            &all,
            json!(["ann@example.com", "email"]),
        ),
        (r#"["customer_id"]"#, &all, json!(["c1", "customer_id"])),
        (
            r#"["cdp_user_id", "phone"]"#,
            &all,
            json!(["u7", "cdp_user_id"]),
        ),
        (SHIPPED, &withheld, json!(["a@b", "email"])),
        (
            r#"["phone", "customer_id"]"#,
            &withheld,
            json!(["c1", "customer_id"]),
        ),
    ] {
        let mut stage = Stage::new(Key::Customer("c1"), asking_with(SHIPPED, order));
        let asked = data(&stage.apply(0, started_by(customer)));
        assert_eq!(
            json!([asked["identifier"], asked["identifier_type"]]),
            expected
        );
        assert_eq!(asked["customer"], *customer, "as it was");
    }
    let mut stage = Stage::new(Key::Customer("c1"), asking_with(SHIPPED, r#"["phone"]"#));
    assert_eq!(
        stage.apply(0, started_by(&withheld)),
        ignored(Ignored::NoIdentifier)
    );
    assert!(stage.is_blank(0));
}

#[test]
fn s5_11_s5_13_a_caller_without_a_customer_id_is_resolved_and_what_they_did_is_tracked() {
    for (start, end) in [
        (
            json!({ "phone": "+4930123456" }),
            json!({ "phone": "+49 30 123456", "email": "a@b" }),
        ),
        (
            json!({ "email": "a@b" }),
            json!({ "email": "A@B", "phone": "anonymous" }),
        ),
    ] {
        let started = started_by(&start);
        let key = key_of(&started);
        let mut caller = Stage::new(key, RuleSet::default_rules());
        let effects = caller.apply(0, started);
        assert_eq!(told(&effects), ["identity.requested identity:i1"]);
        let body = completed("i1", 1, json!({ "disposition": "sold", "customer": end }));
        assert_eq!(key_of(&body), key);
        // No profile to update, and the owner counts that.
        assert_eq!(caller.apply(1, body), []);
        let response = json!({ "confidence_score": 0.95, "user_id": "u1" });
        let answer = outcome(
            OutcomeKind::Identity,
            &key.to_string(),
            "identity:i1",
            "resolved",
            response,
        );
        assert_eq!(key_of(&answer), key);
        let effects = caller.apply(2, answer);
        assert_eq!(
            told(&effects),
            ["interaction.outcome outcome:i1:1795168500001"]
        );
        assert_eq!(data(&effects)["user_id"], "u1");
        let changed = json!({ "interaction_id": "i1", "updated_at": NOW_MS + 3, "disposition": "x", "customer": start });
        let changed = Body::InteractionUpdated(serde_json::from_value(changed).unwrap());
        assert_eq!(key_of(&changed), key);
        assert_eq!(told(&caller.apply(3, changed)).len(), 1);
        // Known to the next interaction as well, also while the platform is away (S5.03).
        let body = completed("i2", 4, json!({ "disposition": "sold", "customer": end }));
        assert_eq!(
            told(&caller.apply(4, body)),
            ["interaction.outcome outcome:i2:1795168500004"]
        );
        let bytes = caller.encoded();
        assert_eq!(
            Actor::decode(Side::Customer, "x", &bytes).unwrap(),
            caller.actor
        );
    }
}

#[test]
fn s5_11_the_token_of_a_caller_is_that_of_no_customer_and_no_key_shows_the_number() {
    let body = started_by(&json!({ "phone": "+4930123456" }));
    let key = key_of(&body);
    assert_eq!((key.token().as_str(), key.side()), ("_", Side::Customer));
    for partitions in [1, 8, 64] {
        assert_eq!(
            key.partition(partitions),
            Key::Unassigned.partition(partitions)
        );
    }
    let text = key.to_string();
    assert!(text.starts_with("caller/") && !text.contains("4930123456"));
    assert_eq!(value::key_of(&text), Some(key));
    for other in [
        "caller/",
        "caller/1",
        "caller/+4930123456",
        "caller/00000000000000000000000000000ABC",
    ] {
        assert_eq!(value::key_of(other), None, "{other}");
    }
    for customer in [json!({ "phone": "anonymous" }), json!({})] {
        assert_eq!(started_by(&customer).customer(), None, "{customer}");
    }
}

fn started_by(customer: &Value) -> Body {
    let data = json!({
        "interaction_id": "i1", "channel": "voice", "started_at": NOW_MS, "queue_id": "q1", "customer": customer,
    });
    Body::InteractionStarted(serde_json::from_value(data).unwrap())
}

/// The caller's key, which borrows nothing.
fn key_of(body: &Body) -> Key<'static> {
    match body.customer() {
        Some(Key::Caller(hash)) => Key::Caller(hash),
        other => panic!("{other:?}"),
    }
}

#[test]
fn s5_02_only_a_confidence_above_nine_tenths_is_accepted() {
    for (confidence, accepted) in [
        (json!(0.900_000_000_000_000_1), true),
        (json!(0.91), true),
        (json!(1), true),
        (json!(1.0), true),
        (json!(1.000_000_000_000_000_2), false),
        (json!(95), false),
        (json!(-1), false),
        (json!(true), false),
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

fn ended(interaction_id: &str, ended_after_ms: i64, disposition: &str) -> Body {
    completed(
        interaction_id,
        ended_after_ms,
        json!({ "disposition": disposition }),
    )
}
