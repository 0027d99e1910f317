//! Survey tokens at wrap-up (S1.01, S1.03), and the alert of a storm of dead letters.

mod common;

use aftercall_actors::{
    actor::Actor,
    alerts::operator::dead_letters::STORM_MS,
    contract::{
        event::{Body, DeadLettered, OutcomeKind},
        key::{Key, Side},
    },
    effect::Ignored,
    rules::RuleSet,
};
use common::*;
use serde_json::{Value, json};

#[test]
fn s1_01_several_triggers_of_one_wrap_up_make_one_request() {
    let mut agent = Stage::asking_agent();
    let effects = agent.apply(0, wrapup("i1", "predicted"));
    assert_eq!(
        told(&effects),
        ["survey_token.requested survey_token:a1:i1"]
    );
    assert_eq!(
        data(&effects),
        json!({ "agent_id": "a1", "interaction_id": "i1", "session_id": "d1" })
    );
    for (after_ms, status) in [(1, "code_selected"), (2, "ended"), (HOUR_MS - 1, "ended")] {
        assert_eq!(
            agent.apply(after_ms, wrapup("i1", status)),
            ignored(Ignored::Duplicate),
            "{after_ms}"
        );
    }
    assert_eq!(
        told(&agent.apply(3, wrapup("i2", "ended"))),
        ["survey_token.requested survey_token:a1:i2"]
    );
}

#[test]
fn s1_01_a_wrap_up_is_remembered_until_one_tick_before_the_dedupe_time() {
    let mut agent = Stage::asking_agent();
    agent.apply(0, wrapup("i1", "ended"));
    assert!(!agent.is_blank(HOUR_MS - 1));
    assert!(agent.is_blank(HOUR_MS));
    assert_eq!(agent.apply(HOUR_MS, wrapup("i1", "ended")).len(), 1);
}

#[test]
fn s1_01_off_a_wrap_up_leaves_no_trace() {
    let mut agent = Stage::agent();
    assert_eq!(agent.apply(0, wrapup("i1", "ended")), []);
    assert_eq!(agent.actor, Stage::agent().actor);
}

#[test]
fn s1_03_a_token_that_does_not_come_is_counted_and_nothing_waits() {
    let mut agent = Stage::asking_agent();
    let id = ids(&agent.apply(0, wrapup("i1", "ended")))[0].to_owned();
    assert_eq!(agent.deadline(), None);
    assert_eq!(agent.apply(1, token(&id, "ready")), []);
    assert_eq!(
        agent.apply(2, token(&id, "unavailable")),
        ignored(Ignored::LookupFailed)
    );
    assert_eq!(
        agent.apply(3, token("survey_token:a1:i2", "ready")),
        ignored(Ignored::UnknownRequest)
    );
    assert_eq!(
        agent.apply(HOUR_MS, token(&id, "ready")),
        ignored(Ignored::UnknownRequest)
    );
}

#[test]
fn s1_01_the_id_of_a_request_is_one_that_an_outcome_can_name() {
    let mut agent = Stage::asking_agent();
    for length in [239, 240, 256] {
        let interaction = "i".repeat(length);
        let effects = agent.apply(0, wrapup(&interaction, "ended"));
        let id = ids(&effects)[0].to_owned();
        assert!(id.len() <= 256, "{length}");
        assert_eq!(id.contains('#'), length > 240, "{length}");
        assert_eq!(agent.apply(1, token(&id, "ready")), []);
    }
}

#[test]
fn an_agent_has_no_part_in_who_a_customer_is() {
    let mut agent = Stage::asking_agent();
    let body = outcome(
        OutcomeKind::Identity,
        "agent/a1",
        "identity:i1",
        "resolved",
        Value::Null,
    );
    assert_eq!(agent.apply(0, body), ignored(Ignored::NoPart));
}

#[test]
fn the_first_dead_letter_of_a_storm_raises_one_alert_that_says_what_happened() {
    let mut nobody = nobody();
    let effects = nobody.apply_as("d1", 0, dead_lettered("crm", 17, "no answer within 5 s"));
    assert_eq!(told(&effects), ["alert.raised dead_letters:crm:d1"]);
    assert_eq!(
        data(&effects),
        json!({
            "alert_id": "dead_letters:crm:d1", "rule": "dead_letters", "severity": "critical",
            "audience": "operations", "owner": "queue/_", "keywords": [],
            "recording": { "status": "unavailable" },
            "summary": "destination crm has given up on 17 outputs; last reason: no answer within 5 s",
            "missing": [], "raised_at": "2026-11-20T10:00:00.000Z",
        })
    );
    let one = nobody.apply_as("d2", 0, dead_lettered("slack", 1, &"x".repeat(201)));
    let summary = format!(
        "destination slack has given up on 1 output; last reason: {}",
        "x".repeat(200)
    );
    assert_eq!(data(&one)["summary"], summary);
}

#[test]
fn s3_16_credentials_that_are_not_accepted_alert_beside_a_storm_of_dead_letters() {
    let refused = |detail: Option<&str>| match dead_lettered("crm", 4, "misconfigured") {
        Body::DeadLettered(told) => Body::DeadLettered(DeadLettered {
            detail: detail.map(str::to_owned),
            ..told
        }),
        other => other,
    };
    let mut nobody = nobody();
    nobody.apply_as("d1", 0, dead_lettered("crm", 1, "x"));
    let effects = nobody.apply_as("d2", 0, refused(Some("answered 401")));
    assert_eq!(told(&effects), ["alert.raised misconfigured:crm:d2"]);
    let alert = data(&effects);
    assert_eq!(alert["rule"], "misconfigured");
    assert_eq!(
        alert["summary"],
        "destination crm does not accept our credentials, or they are missing: answered 401; 4 outputs and all later \
         ones wait, none is lost, and it goes on by itself once they are right"
    );
    // Once, as of a storm; and each goes on for itself.
    let again = told(&nobody.apply_as("d3", 1, refused(None)));
    assert_eq!(again, ["ignored already_alerted"]);
    let letter = told(&nobody.apply_as("d4", 1, dead_lettered("crm", 1, "x")));
    assert_eq!(letter, ["ignored already_alerted"]);
}

#[test]
fn a_storm_ends_fifteen_minutes_after_its_last_dead_letter() {
    let mut nobody = nobody();
    let mut tell =
        |id: &str, after_ms| told(&nobody.apply_as(id, after_ms, dead_lettered("crm", 1, "x")));
    assert_eq!(tell("d1", 0), ["alert.raised dead_letters:crm:d1"]);
    assert_eq!(tell("d2", STORM_MS - 1), ["ignored already_alerted"]);
    // It goes on for as long as they come.
    assert_eq!(tell("d3", 2 * STORM_MS - 2), ["ignored already_alerted"]);
    assert_eq!(
        tell("d4", 3 * STORM_MS - 2),
        ["alert.raised dead_letters:crm:d4"]
    );
}

#[test]
fn the_same_event_again_raises_nothing_even_after_its_storm() {
    let mut nobody = nobody();
    nobody.apply_as("d1", 0, dead_lettered("crm", 1, "x"));
    for after_ms in [1, STORM_MS, DAY_MS - 1] {
        assert_eq!(
            nobody.apply_as("d1", after_ms, dead_lettered("crm", 1, "x")),
            ignored(Ignored::Duplicate)
        );
    }
    assert!(!nobody.is_blank(DAY_MS - 1));
    assert!(nobody.is_blank(DAY_MS));
}

#[test]
fn each_destination_has_storms_of_its_own_and_no_endless_number_of_them() {
    let mut nobody = nobody();
    for n in 0..256 {
        let effects = nobody.apply_as(&n.to_string(), 0, dead_lettered(&n.to_string(), 1, "x"));
        assert_eq!(effects.len(), 1);
    }
    let effects = nobody.apply_as("more", 0, dead_lettered("more", 1, "x"));
    assert_eq!(
        told(&effects),
        [
            "ignored wait_overflow",
            "alert.raised dead_letters:more:more"
        ]
    );
}

#[test]
fn what_became_of_a_storms_alert_is_no_stranger() {
    let mut nobody = nobody();
    nobody.apply_as("d1", 0, dead_lettered("crm", 1, "x"));
    let delivered = |id: &str| outcome(OutcomeKind::Alert, "queue/_", id, "delivered", Value::Null);
    assert_eq!(nobody.apply(1, delivered("dead_letters:crm:d1")), []);
    assert_eq!(
        nobody.apply(1, delivered("dead_letters:crm:d2")),
        ignored(Ignored::UnknownRequest)
    );
}

#[test]
fn storms_and_tokens_survive_being_stored() {
    let mut nobody = nobody();
    nobody.apply_as("d1", 0, dead_lettered("crm", 1, "x"));
    nobody.apply_as("d2", 1, dead_lettered("slack", 1, "x"));
    nobody.apply(2, wrapup("i1", "ended"));
    let read = Actor::decode(Side::Agent, "queue/_", &nobody.encoded()).unwrap();
    assert_eq!(read, nobody.actor);
}

#[test]
fn a_destination_has_a_name_that_is_one() {
    let named = |name: &str| {
        serde_json::from_value::<aftercall_actors::contract::event::DeadLettered>(json!({
            "destination": name, "reason": "x", "count": 1, "output_id": "o", "at": 0,
        }))
    };
    for good in ["a", "crm-2_b", &"x".repeat(40)] {
        assert_eq!(&*named(good).unwrap().destination, good);
    }
    for bad in ["", "CRM", "c r", "a.b", "ü", &"x".repeat(41)] {
        let why = named(bad).unwrap_err().to_string();
        assert!(why.contains("is no destination"), "{bad}: {why}");
    }
}

fn nobody() -> Stage {
    Stage::new(Key::Unassigned, RuleSet::default_rules())
}

fn token(output_id: &str, status: &str) -> Body {
    let response = json!({ "expires_at": "2026-11-20T10:05:00Z" });
    outcome(
        OutcomeKind::SurveyToken,
        "agent/a1",
        output_id,
        status,
        response,
    )
}
