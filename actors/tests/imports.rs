//! Imports that left something out: what alerts, once, and what the alert says (S3.02).

mod common;

use aftercall_actors::{
    actor::Actor,
    alerts::operator::imports::DEDUPE_MS,
    contract::{
        event::{Body, OutcomeKind},
        key::{Key, Side},
    },
    effect::Ignored,
    rules::RuleSet,
};
use common::{NOW_MS, Stage, data, ignored, outcome, told};
use serde_json::{Value, json};

fn left_out(import_id: &str, more: Value) -> Body {
    let mut data = json!({
        "import_id": import_id, "source": "wfm/emea", "file": "export.csv", "rows": 1_000, "bad": 12,
        "first": "line 7, column adherence: bad_value: found `n/a`", "at": NOW_MS,
    });
    for (name, value) in more.as_object().unwrap() {
        data[name] = value.clone();
    }
    Body::ImportQuarantined(serde_json::from_value(data).unwrap())
}

fn nobody() -> Stage {
    Stage::new(Key::Unassigned, RuleSet::default_rules())
}

#[test]
fn s3_02_rows_that_are_left_out_raise_one_alert_that_names_the_first() {
    let mut nobody = nobody();
    let effects = nobody.apply(0, left_out("i1", json!({})));
    assert_eq!(told(&effects), ["alert.raised bad_rows:i1"]);
    assert_eq!(
        data(&effects),
        json!({
            "alert_id": "bad_rows:i1", "rule": "bad_rows", "severity": "warning",
            "audience": "operations", "owner": "queue/_", "keywords": [], "recording": { "status": "unavailable" },
            "summary": "export.csv: 12 of 1,000 rows were left out, see the quarantine; first: line 7, column \
                        adherence: bad_value: found `n/a`",
            "missing": [], "raised_at": "2026-11-20T10:00:00.000Z",
        })
    );
}

#[test]
fn s3_02_the_same_import_alerts_again_after_24_hours_and_not_a_tick_before() {
    let mut nobody = nobody();
    nobody.apply(0, left_out("i1", json!({})));
    let again = |nobody: &mut Stage, after_ms| nobody.apply(after_ms, left_out("i1", json!({})));
    for after_ms in [0, 1, DEDUPE_MS - 1] {
        assert_eq!(
            again(&mut nobody, after_ms),
            ignored(Ignored::AlreadyAlerted)
        );
    }
    assert!(!nobody.is_blank(DEDUPE_MS - 1));
    assert!(nobody.is_blank(DEDUPE_MS));
    assert_eq!(
        told(&again(&mut nobody, DEDUPE_MS)),
        ["alert.raised bad_rows:i1"]
    );
    let other = nobody.apply(DEDUPE_MS, left_out("i2", json!({})));
    assert_eq!(told(&other), ["alert.raised bad_rows:i2"]);
}

#[test]
fn s3_02_the_alert_says_what_was_not_read_and_is_bounded() {
    let summary = |more: Value| {
        let effects = nobody().apply(0, left_out("i1", more));
        data(&effects)["summary"].as_str().unwrap().to_owned()
    };
    let first = "; first: line 7, column adherence: bad_value: found `n/a`";
    assert_eq!(
        summary(json!({ "rows": 1, "bad": 1 })),
        format!("export.csv: 1 of 1 row was left out, see the quarantine{first}")
    );
    assert_eq!(
        summary(json!({ "rows": 1_234_567, "bad": 1 })),
        format!("export.csv: 1 of 1,234,567 rows was left out, see the quarantine{first}")
    );
    let refused = json!({ "rows": 0, "bad": 0, "first": null, "unread": "line 1: nothing in it" });
    assert_eq!(
        summary(refused),
        "export.csv: refused, nothing of it was imported: line 1: nothing in it"
    );
    let cut_off =
        |bad: u32| summary(json!({ "bad": bad, "unread": "cannot be read from line 9 on: x" }));
    assert_eq!(
        cut_off(0),
        "export.csv: cannot be read from line 9 on: x, and the rest was not imported"
    );
    assert_eq!(
        cut_off(999),
        format!(
            "export.csv: cannot be read from line 9 on: x, and the rest was not imported; 999 of 1,000 rows were left \
             out, see the quarantine{first}"
        )
    );
    let long = "é".repeat(301);
    let said = summary(json!({ "file": long, "first": long }));
    assert_eq!(said.matches('é').count(), 600);
}

#[test]
fn s3_02_an_import_id_of_any_length_makes_an_alert_whose_outcome_is_no_stranger() {
    for id in ["i1", &"x".repeat(256)] {
        let mut nobody = nobody();
        let effects = nobody.apply(0, left_out(id, json!({})));
        let alert = data(&effects)["alert_id"].as_str().unwrap().to_owned();
        assert!(alert.len() <= 224, "{alert}");
        let delivered =
            |id: &str| outcome(OutcomeKind::Alert, "queue/_", id, "delivered", Value::Null);
        assert_eq!(nobody.apply(DEDUPE_MS - 1, delivered(&alert)), []);
        assert_eq!(
            nobody.apply(DEDUPE_MS, delivered(&alert)),
            ignored(Ignored::UnknownRequest)
        );
        assert_eq!(
            nobody.apply(0, delivered("bad_rows:i9")),
            ignored(Ignored::UnknownRequest)
        );
    }
}

#[test]
fn imports_that_have_alerted_survive_being_stored() {
    let mut nobody = nobody();
    nobody.apply(0, left_out("i1", json!({})));
    nobody.apply(7, left_out("i2", json!({})));
    let read = Actor::decode(Side::Agent, "queue/_", &nobody.encoded()).unwrap();
    assert_eq!(read, nobody.actor);
}
