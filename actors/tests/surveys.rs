//! Surveys in, alerts and points out (S2.04, S2.05, S2.07, S2.10, S3.03).

mod common;

use aftercall_actors::{
    actor::Actor,
    alerts::enrichment::TOLD_MAX,
    contract::{
        event::OutcomeKind,
        key::{Key, Side},
    },
    effect::{Effect, Ignored},
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
        (Key::Unassigned, json!({}), "queue/_"),
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
    assert_eq!(agent.apply(2, revision(1, 4)), ignored(Ignored::Duplicate));
    assert_eq!(ids(&agent.apply(3, revision(2, 2))), ["low_csat:r1"]);
    assert_eq!(
        agent.apply(4, revision(3, 2)),
        ignored(Ignored::AlreadyAlerted)
    );
    // The last revision began the dedupe time anew.
    assert_eq!(
        agent.apply(DAY_MS + 3, revision(4, 2)),
        ignored(Ignored::AlreadyAlerted)
    );
}

#[test]
fn s2_15_the_same_revision_with_other_content_is_evaluated_again() {
    let mut agent = Stage::agent();
    let comment = |text: &str| survey("r1", json!({ "csat": 4, "comment": text }));
    assert_eq!(agent.apply(0, survey("r1", json!({ "csat": 4 }))), []);
    let effects = agent.apply(1, comment("My lawyer says lawsuit"));
    assert_eq!(told(&effects), ["alert.raised critical_keyword:r1"]);
    // What was said before comes again: late, and not news.
    for (after_ms, again) in [
        (2, survey("r1", json!({ "csat": 4 }))),
        (3, comment("My lawyer says lawsuit")),
    ] {
        assert_eq!(
            agent.apply(after_ms, again),
            ignored(Ignored::Duplicate),
            "{after_ms}"
        );
    }
}

#[test]
fn s2_15_an_alert_is_updated_with_what_a_later_version_says() {
    let mut agent = Stage::agent();
    let low = survey("r1", json!({ "csat": 1 }));
    assert_eq!(told(&agent.apply(0, low)), ["alert.raised low_csat:r1"]);
    // A comment, and with it a second rule that is more severe.
    let effects = agent.apply(
        1,
        survey("r1", json!({ "csat": 1, "comment": "A lawsuit!" })),
    );
    assert_eq!(told(&effects), ["alert.updated low_csat:r1:u1"]);
    assert_eq!(
        data(&effects),
        json!({
            "alert_id": "low_csat:r1", "rule": "critical_keyword", "severity": "critical",
            "owner": "agent/a1", "agent_id": "a1", "agent_name": "Ann", "queue_id": "q1",
            "interaction_id": "i1", "response_id": "r1", "csat": 1, "comment": "A lawsuit!",
            "keywords": ["lawsuit"], "recording": { "status": "unavailable" },
            "missing": [], "raised_at": "2026-11-20T10:00:00.000Z",
        })
    );
    // Taken back in the next revision: the alert says so, and keeps its rank.
    let effects = agent.apply(2, survey("r1", json!({ "csat": 5, "revision": 7 })));
    assert_eq!(told(&effects), ["alert.updated low_csat:r1:u2"]);
    let alert = data(&effects);
    assert_eq!(
        (&alert["csat"], &alert["severity"], &alert["rule"]),
        (&json!(5), &json!("critical"), &json!("critical_keyword"))
    );
    assert_eq!(alert.get("comment"), None);
    assert_eq!(alert["keywords"], json!([]));
    assert_eq!(agent.points(), 10);
    // Nothing that people see.
    let effects = agent.apply(
        3,
        survey("r1", json!({ "csat": 5, "revision": 8, "survey_id": "s2" })),
    );
    assert_eq!(effects, []);
}

#[test]
fn s2_15_a_revision_may_be_a_time_in_milliseconds() {
    let mut agent = Stage::agent();
    let at = |revision: i64, csat: u8| survey("r1", json!({ "revision": revision, "csat": csat }));
    assert_eq!(agent.apply(0, at(NOW_MS, 4)), []);
    assert_eq!(
        agent.apply(1, at(NOW_MS - 1, 1)),
        ignored(Ignored::Superseded)
    );
    let effects = agent.apply(2, at(NOW_MS + 1, 1));
    assert_eq!(told(&effects), ["alert.raised low_csat:r1"]);
    assert_eq!(
        agent.apply(3, at(i64::MAX, 1)),
        ignored(Ignored::AlreadyAlerted)
    );
    // Stored and read.
    let read = Actor::decode(Side::Agent, "a1", &agent.encoded()).unwrap();
    assert_eq!(read, agent.actor);
}

#[test]
fn s2_15_an_update_says_what_the_lookups_found_before_and_after_their_end() {
    let mut agent = Stage::asking_agent();
    let effects = agent.apply(0, survey("r1", json!({ "csat": 1 })));
    assert_eq!(ids(&effects)[0], "low_csat:r1");
    let found = |field: &str, response| {
        let id = format!("enrich:low_csat:r1:{field}:1");
        outcome(
            OutcomeKind::Enrichment,
            "agent/a1",
            &id,
            "available",
            response,
        )
    };
    let effects = agent.apply(1, found("recording", json!({ "url": "https://r" })));
    assert_eq!(told(&effects), ["alert.updated low_csat:r1:u1"]);
    // The summary is still asked after.
    let effects = agent.apply(2, survey("r1", json!({ "csat": 1, "comment": "Rude" })));
    assert_eq!(told(&effects), ["alert.updated low_csat:r1:u2"]);
    assert_eq!(data(&effects)["recording"]["url"], "https://r");
    assert_eq!(data(&effects)["missing"], json!(["summary"]));
    let effects = agent.apply(3, found("summary", json!({ "summary": "Fee" })));
    assert_eq!(told(&effects), ["alert.updated low_csat:r1:u3"]);
    assert_eq!(data(&effects)["comment"], "Rude");
    assert_eq!(agent.deadline(), None);
    // Both are over, and what they found is said again.
    agent.actor = Actor::decode(Side::Agent, "a1", &agent.encoded()).unwrap();
    let effects = agent.apply(
        HOUR_MS,
        survey("r1", json!({ "csat": 2, "comment": "Rude" })),
    );
    assert_eq!(told(&effects), ["alert.updated low_csat:r1:u4"]);
    let alert = data(&effects);
    assert_eq!(alert["recording"]["url"], "https://r");
    assert_eq!(alert["summary"], "Fee");
    assert_eq!(alert["missing"], json!([]));
    assert_eq!(alert["raised_at"], "2026-11-20T10:00:00.000Z");
}

#[test]
fn s2_15_an_alert_that_is_held_goes_out_with_the_last_version() {
    let rules = asking_with("mode = \"send_then_update\"", "mode = \"hold\"");
    let mut agent = Stage::new(Key::Agent("a1"), rules);
    let effects = agent.apply(0, survey("r1", json!({ "csat": 1 })));
    assert!(ids(&effects).iter().all(|id| id.starts_with("enrich:")));
    assert_eq!(
        agent.apply(1, survey("r1", json!({ "csat": 1, "comment": "lawsuit" }))),
        []
    );
    let effects = agent.wake(300 * SECOND_MS);
    assert_eq!(told(&effects), ["alert.raised low_csat:r1"]);
    let alert = data(&effects);
    assert_eq!(
        (&alert["severity"], &alert["comment"]),
        (&json!("critical"), &json!("lawsuit"))
    );
    let effects = agent.apply(
        HOUR_MS,
        survey("r1", json!({ "csat": 2, "comment": "lawsuit" })),
    );
    assert_eq!(told(&effects), ["alert.updated low_csat:r1:u1"]);
}

#[test]
fn s2_15_of_more_alerts_than_are_kept_the_oldest_are_not_updated_and_that_is_counted() {
    let mut agent = Stage::agent();
    for n in 0..TOLD_MAX {
        let effects = agent.apply(0, survey(&n.to_string(), json!({ "csat": 1 })));
        assert_eq!(told(&effects), [format!("alert.raised low_csat:{n}")]);
    }
    let effects = agent.apply(0, survey("last", json!({ "csat": 1 })));
    assert_eq!(
        told(&effects),
        ["ignored dedupe_overflow", "alert.raised low_csat:last"]
    );
    assert_eq!(
        agent.apply(1, survey("0", json!({ "csat": 2 }))),
        ignored(Ignored::AlreadyAlerted)
    );
    let effects = agent.apply(1, survey("1", json!({ "csat": 2 })));
    assert_eq!(told(&effects), ["alert.updated low_csat:1:u1"]);
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
