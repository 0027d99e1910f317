//! Surveys in, alerts and points out (S2.04, S2.05, S2.07, S2.10, S3.03).

mod common;

use aftercall_actors::{
    effect::{Effect, Ignored},
    key::Key,
};
use common::*;
use serde_json::json;

#[test]
fn s2_07_an_alert_says_all_that_the_event_carries_and_what_is_missing() {
    let mut agent = Stage::agent();
    let effects = agent.apply(
        250,
        survey("r1", json!({ "csat": 2, "comment": "Very unprofessional" })),
    );
    assert_eq!(ids(&effects), ["critical_keyword:r1"]);
    assert_eq!(
        data(&effects),
        json!({
            "alert_id": "critical_keyword:r1", "rule": "critical_keyword", "severity": "critical",
            "owner": "agent/a1", "agent_id": "a1", "agent_name": "Ann", "queue_id": "q1",
            "interaction_id": "i1", "response_id": "r1", "csat": 2, "comment": "Very unprofessional",
            "keywords": ["unprofessional"], "recording": { "status": "unavailable" },
            "missing": [], "raised_at": "2026-11-20T10:00:00.250Z",
        })
    );
}

#[test]
fn s2_10_an_agent_without_a_name_is_named_by_id_and_the_name_is_missing() {
    let mut agent = Stage::agent();
    let effects = agent.apply(
        0,
        survey("r1", json!({ "csat": 1, "routing": { "agent_id": "a1" } })),
    );
    let alert = data(&effects);
    assert_eq!(alert["agent_id"], "a1");
    assert_eq!(alert.get("agent_name"), None);
    assert_eq!(alert["missing"], json!(["agent_name"]));
}

#[test]
fn s2_10_a_bot_a_queue_and_nobody_raise_alerts_of_their_own() {
    for (key, routing, owner) in [
        (Key::Bot("b1"), json!({ "bot_id": "b1" }), "bot/b1"),
        (Key::Queue("q1"), json!({ "queue_id": "q1" }), "queue/q1"),
        (Key::Nobody, json!({}), "queue/_"),
    ] {
        let mut stage = Stage::new(key, alone());
        let effects = stage.apply(0, survey("r1", json!({ "csat": 1, "routing": routing })));
        let alert = data(&effects);
        assert_eq!(alert["owner"], owner);
        assert_eq!(alert["missing"], json!([]));
        assert_eq!(alert.get("agent_id"), None);
    }
}

#[test]
fn s2_04_a_score_of_three_and_no_keyword_raise_nothing() {
    let mut agent = Stage::agent();
    assert_eq!(
        agent.apply(0, survey("r1", json!({ "csat": 3, "comment": "fine" }))),
        []
    );
    assert_eq!(
        ids(&agent.apply(0, survey("r2", json!({ "csat": 2 })))),
        ["low_csat:r2"]
    );
}

#[test]
fn s2_04_of_rules_alike_in_severity_the_first_alerts_with_the_keywords_of_all() {
    let rules = rules_and(
        r#"
        [[rule]]
        name = "second"
        on = "survey.response.created"
        when = 'mentions(event.comment, ["refund", "Unprofessional"])'
        alert = { severity = "critical" }
        "#,
    );
    let mut agent = Stage::new(Key::Agent("a1"), rules);
    let comment = "A refund for this unprofessional talk, or a lawsuit";
    let effects = agent.apply(0, survey("r1", json!({ "csat": 1, "comment": comment })));
    assert_eq!(ids(&effects), ["critical_keyword:r1"]);
    assert_eq!(
        data(&effects)["keywords"],
        json!(["lawsuit", "unprofessional", "refund", "Unprofessional"])
    );
}

#[test]
fn s2_04_a_comment_typed_otherwise_alerts_with_the_keywords_as_the_rule_spells_them() {
    let rules = rules_and(
        r#"
        [[rule]]
        name = "typed"
        on = "survey.response.created"
        when = '''mentions(event.comment, ["won't pay", "Δίκη", "محكمة"])'''
        alert = { severity = "critical" }
        "#,
    );
    let mut agent = Stage::new(Key::Agent("a1"), rules);
    let comment = "I won’t pay this bill. ΔΙΚΗ! محكـــمة";
    let effects = agent.apply(0, survey("r1", json!({ "csat": 4, "comment": comment })));
    assert_eq!(ids(&effects), ["typed:r1"]);
    assert_eq!(
        data(&effects)["keywords"],
        json!(["won't pay", "Δίκη", "محكمة"])
    );
}

#[test]
fn s2_05_a_response_alerts_once_until_one_tick_before_the_dedupe_time() {
    let mut agent = Stage::agent();
    let response = || survey("r1", json!({ "csat": 1 }));
    assert_eq!(ids(&agent.apply(0, response())), ["low_csat:r1"]);
    assert_eq!(agent.apply(1, response()), ignored(Ignored::Duplicate));
    assert_eq!(
        agent.apply(DAY_MS - 1, response()),
        ignored(Ignored::Duplicate)
    );
    assert!(!agent.is_blank(DAY_MS - 1));
    assert!(agent.is_blank(DAY_MS));
    assert_eq!(ids(&agent.apply(DAY_MS, response())), ["low_csat:r1"]);
}

#[test]
fn s2_05_a_later_revision_alerts_if_it_newly_qualifies_and_only_then() {
    let mut agent = Stage::agent();
    let revision =
        |revision: u32, csat: u8| survey("r1", json!({ "revision": revision, "csat": csat }));
    assert_eq!(agent.apply(0, revision(1, 4)), []);
    assert_eq!(agent.apply(1, revision(0, 1)), ignored(Ignored::Superseded));
    assert_eq!(agent.apply(2, revision(1, 1)), ignored(Ignored::Duplicate));
    assert_eq!(ids(&agent.apply(3, revision(2, 2))), ["low_csat:r1"]);
    assert_eq!(
        agent.apply(4, revision(3, 1)),
        ignored(Ignored::AlreadyAlerted)
    );
    // The last revision began the dedupe time anew.
    assert_eq!(
        agent.apply(DAY_MS + 3, revision(4, 1)),
        ignored(Ignored::AlreadyAlerted)
    );
}

#[test]
fn s2_05_log_time_that_jumps_back_alerts_nobody_twice() {
    let mut agent = Stage::agent();
    let response = || survey("r1", json!({ "csat": 1 }));
    assert_eq!(agent.apply(0, response()).len(), 1);
    assert_eq!(
        agent.apply(-2 * DAY_MS, response()),
        ignored(Ignored::Duplicate)
    );
}

#[test]
fn s2_07_a_comment_is_cut_after_4000_characters_not_within_one_and_says_so() {
    let comment = |chars: usize| "é".repeat(chars);
    let cut = comment(3_987) + "… (shortened)";
    for (given, kept) in [
        (3_999, comment(3_999)),
        (4_000, comment(4_000)),
        (4_001, cut.clone()),
        (50_000, cut),
    ] {
        let mut agent = Stage::agent();
        let effects = agent.apply(
            0,
            survey("r1", json!({ "csat": 1, "comment": comment(given) })),
        );
        let said = data(&effects)["comment"].clone();
        assert_eq!(said, kept, "{given}");
        assert!(said.as_str().unwrap().chars().count() <= 4_000);
    }
}

#[test]
fn s2_08_with_lookups_off_nothing_is_said_to_be_pending_or_not_known_yet() {
    let mut agent = Stage::agent();
    for channel in ["voice", "chat", "email"] {
        let effects = agent.apply(
            0,
            survey(channel, json!({ "csat": 1, "channel": channel, "routing": { "agent_id": "a1", "agent_name": "Ann" } })),
        );
        let alert = data(&effects);
        assert_eq!(alert["recording"], json!({ "status": "unavailable" }));
        assert_eq!(alert["missing"], json!([]));
    }
}

#[test]
fn s3_03_a_later_revision_replaces_the_points_the_earlier_gave() {
    let mut agent = Stage::agent();
    assert_eq!(agent.apply(0, survey("r1", json!({ "csat": 5 }))), []);
    assert_eq!(agent.points(), 10);
    // Submitted on another workday: taken back where it was given.
    let moved = json!({ "csat": 5, "revision": 1, "submitted_at": NOW_MS - DAY_MS });
    assert_eq!(agent.apply(1, survey("r1", moved)), []);
    assert_eq!(agent.points(), 10);
    assert_eq!(
        agent.apply(2, survey("r1", json!({ "csat": 4, "revision": 2 }))),
        []
    );
    assert_eq!(agent.points(), 0);
    assert!(agent.is_blank(DAY_MS + 2));
}

#[test]
fn s3_03_points_for_a_response_from_before_the_window_are_too_old_but_it_alerts() {
    let rules = rules_with("when = \"event.csat == 5\"", "when = \"event.csat == 1\"");
    let mut agent = Stage::new(Key::Agent("a1"), rules);
    let at = |days: i64| json!({ "csat": 1, "submitted_at": NOW_MS - days * DAY_MS });
    let effects = agent.apply(0, survey("old", at(91)));
    assert_eq!(ids(&effects), ["low_csat:old"]);
    assert_eq!(effects[1..], [Effect::Ignore(Ignored::TooOld)]);
    assert_eq!(agent.points(), 0);
    assert_eq!(agent.apply(0, survey("in", at(90))).len(), 1);
    assert_eq!(agent.points(), 10);
}

#[test]
fn an_agent_that_saw_only_interactions_is_as_new() {
    let mut agent = Stage::agent();
    assert_eq!(agent.apply(0, started("i1")), []);
    assert_eq!(agent.apply(0, completed("i1", 0, json!({}))), []);
    assert_eq!(agent.actor, Stage::agent().actor);
    assert_eq!(agent.deadline(), None);
}
