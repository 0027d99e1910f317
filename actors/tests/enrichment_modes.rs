//! Lookups for alerts in the other modes, for revisions, strangers and many at once (S2.05, S2.08, S2.12).

mod common;

use aftercall_actors::{
    actor::Actor,
    alerts::enrichment::{OPEN_BYTES_MAX, OPEN_MAX},
    contract::{
        event::OutcomeKind,
        key::{Key, Side},
        output::Output,
    },
    effect::{Effect, Ignored},
    rules::RuleSet,
};
use common::{lookups::*, *};
use serde_json::{Value, json};

#[test]
fn s2_08_held_an_alert_goes_with_all_that_was_looked_up() {
    let mut agent = Stage::new(Key::Agent("a1"), hold());
    assert_eq!(
        told(&agent.apply(0, low("r1"))),
        [
            "enrichment.requested enrich:low_csat:r1:recording:1",
            "enrichment.requested enrich:low_csat:r1:summary:1",
        ]
    );
    assert_eq!(agent.apply(1, found_recording(1)), []);
    let effects = agent.apply(
        2,
        answer("summary", 1, "available", json!({ "summary": "Fee" })),
    );
    assert_eq!(told(&effects), ["alert.raised low_csat:r1"]);
    let alert = data(&effects);
    assert_eq!(alert["recording"]["status"], "available");
    assert_eq!(alert["summary"], "Fee");
    assert_eq!(alert["missing"], json!([]));
    assert_eq!(alert["raised_at"], "2026-11-20T10:00:00.000Z");
    assert_eq!(agent.deadline(), None);
}

#[test]
fn s2_08_held_an_alert_waits_five_minutes_at_most() {
    let mut agent = Stage::new(Key::Agent("a1"), hold());
    agent.apply(0, low("r1"));
    agent.apply(1, answer("summary", 1, "deleted", Value::Null));
    assert_eq!(agent.wake(FOR_MS - 1), []);
    let effects = agent.wake(FOR_MS);
    assert_eq!(told(&effects), ["alert.raised low_csat:r1"]);
    let alert = data(&effects);
    assert_eq!(alert["recording"], json!({ "status": "pending" }));
    assert_eq!(alert["missing"], json!(["recording", "summary"]));
    assert_eq!(agent.wake(2 * FOR_MS), []);
}

#[test]
fn s2_12_held_a_lost_recording_releases_the_alert() {
    let mut agent = Stage::new(Key::Agent("a1"), hold());
    agent.apply(0, survey("r1", json!({ "csat": 1, "channel": "voice" })));
    let effects = agent.apply(1, answer("recording", 1, "failed", Value::Null));
    assert_eq!(told(&effects), ["alert.raised low_csat:r1"]);
    assert_eq!(data(&effects)["recording"]["status"], "unavailable");
}

#[test]
fn s2_08_off_nobody_is_asked() {
    let off = asking_with("mode = \"send_then_update\"", "mode = \"off\"");
    let mut agent = Stage::new(Key::Agent("a1"), off);
    assert_eq!(
        told(&agent.apply(0, low("r1"))),
        ["alert.raised low_csat:r1"]
    );
    assert_eq!(agent.deadline(), None);
}

#[test]
fn s2_05_a_revision_of_a_response_that_alerted_begins_no_second_polling() {
    for rules in [RuleSet::default_rules(), hold()] {
        let mut agent = Stage::new(Key::Agent("a1"), rules);
        agent.apply(0, low("r1"));
        let revised = survey("r1", json!({ "csat": 1, "revision": 1 }));
        assert_eq!(agent.apply(1, revised), ignored(Ignored::AlreadyAlerted));
        assert_eq!(agent.wake(FOR_MS).len(), 1);
        assert_eq!(agent.deadline(), None);
    }
}

#[test]
fn s2_05_an_alert_raised_anew_while_it_is_looked_up_is_asked_for_once() {
    let short = asking_with("dedupe = \"24h\"", "dedupe = \"1m\"");
    let mut agent = Stage::new(Key::Agent("a1"), short);
    assert_eq!(agent.apply(0, low("r1")).len(), 3);
    let minute_ms = 60 * SECOND_MS;
    assert_eq!(
        told(&agent.apply(minute_ms, low("r1"))),
        ["alert.raised low_csat:r1"]
    );
    assert_eq!(agent.deadline(), Some(FOR_MS));
    assert_eq!(agent.wake(FOR_MS).len(), 1);
    assert_eq!(agent.deadline(), None);
}

#[test]
fn s2_12_outcomes_of_nothing_that_was_asked_are_counted() {
    let mut agent = voice_alert();
    let before = agent.actor.clone();
    for output_id in [
        "enrich:low_csat:r1:recording:2",
        "enrich:low_csat:r1:recording:01",
        "enrich:low_csat:r1:recording:+1",
        "enrich:low_csat:r1:recording",
        "enrich:low_csat:r1:summary:1",
        "enrich:low_csat:r2:recording:1",
        "low_csat:r1:recording:1",
        "x",
    ] {
        let body = outcome(
            OutcomeKind::Enrichment,
            "agent/a1",
            output_id,
            "available",
            json!({ "url": "u" }),
        );
        assert_eq!(
            agent.apply(1, body),
            ignored(Ignored::UnknownRequest),
            "{output_id}"
        );
    }
    assert_eq!(agent.actor, before);
}

#[test]
fn alert_outcomes_are_counted_if_the_alert_is_not_known() {
    let mut agent = Stage::asking_agent();
    agent.apply(0, low("r1"));
    agent.apply(0, survey("fine", json!({ "csat": 4 })));
    let long = "r".repeat(256);
    let effects = agent.apply(0, low(&long));
    let hashed = ids(&effects)[0].to_owned();
    let delivered =
        |id: &str| outcome(OutcomeKind::Alert, "agent/a1", id, "delivered", Value::Null);
    assert!(hashed.starts_with("low_csat:#"), "{hashed}");
    for known in ["low_csat:r1", "low_csat:r1:u1", &hashed] {
        assert_eq!(agent.apply(1, delivered(known)), [], "{known}");
    }
    for unknown in ["low_csat:fine", "low_csat:r2", "r1", "low_csat:r1:x1"] {
        assert_eq!(
            agent.apply(1, delivered(unknown)),
            ignored(Ignored::UnknownRequest),
            "{unknown}"
        );
    }
    // Forgotten with the response.
    assert_eq!(
        agent.apply(DAY_MS, delivered("low_csat:r1")),
        ignored(Ignored::UnknownRequest)
    );
}

#[test]
fn ids_of_questions_and_updates_are_ids_however_long_the_response_id_is() {
    for length in [1, 215, 216, 256] {
        let mut agent = Stage::asking_agent();
        let response = "r".repeat(length);
        let effects = agent.apply(0, low(&response));
        assert!(ids(&effects).iter().all(|id| id.len() <= 256), "{length}");
        let question = ids(&effects)[1].to_owned();
        let body = outcome(
            OutcomeKind::Enrichment,
            "agent/a1",
            &question,
            "available",
            json!({ "url": "u" }),
        );
        let effects = agent.apply(1, body);
        assert_eq!(ids(&effects).len(), 1);
        assert!(ids(&effects)[0].len() <= 256);
    }
}

#[test]
fn s2_12_more_alerts_than_are_held_end_the_oldest_early_and_lose_none() {
    let mut agent = Stage::asking_agent();
    for n in 0..OPEN_MAX {
        assert_eq!(agent.apply(0, low(&n.to_string())).len(), 3);
    }
    let effects = agent.apply(1, low("more"));
    assert_eq!(
        told(&effects[3..]),
        ["ignored wait_overflow", "alert.updated low_csat:0:u1"]
    );
    assert_eq!(agent.wake(FOR_MS).len(), OPEN_MAX - 1);
}

#[test]
fn s2_12_long_comments_end_the_oldest_early_too() {
    for text in ["ü", "\u{1}", "\\"] {
        comments_fit(&text.repeat(4_000));
    }
}

fn comments_fit(comment: &str) {
    let mut agent = Stage::new(Key::Agent("a1"), hold());
    let (mut raised, mut sent) = (0, 0);
    for n in 0..40 {
        let body = survey(&n.to_string(), json!({ "csat": 1, "comment": comment }));
        let effects = agent.apply(n, body);
        raised += effects.iter().filter(|e| is_raised(e)).count();
        sent += 1;
        assert!(agent.encoded().len() <= OPEN_BYTES_MAX, "{n}");
    }
    assert!(raised > 0);
    raised += agent
        .wake(FOR_MS + 40)
        .iter()
        .filter(|e| is_raised(e))
        .count();
    assert_eq!(raised, sent);
}

#[test]
fn s2_08_lookups_survive_being_stored() {
    for rules in [RuleSet::default_rules(), hold()] {
        let mut agent = Stage::new(Key::Agent("a1"), rules);
        agent.apply(
            0,
            survey(
                "r1",
                json!({ "csat": 1, "comment": "a \"lawsuit\" \u{1F600}" }),
            ),
        );
        agent.apply(
            1,
            outcome(
                OutcomeKind::Enrichment,
                "agent/a1",
                "enrich:critical_keyword:r1:recording:1",
                "pending",
                Value::Null,
            ),
        );
        let read = Actor::decode(Side::Agent, "a1", &agent.encoded()).unwrap();
        assert_eq!(read, agent.actor);
        assert_eq!(read.deadline(), agent.actor.deadline());
    }
}

fn is_raised(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Emit {
            output: Output::AlertRaised(_),
            ..
        }
    )
}

fn hold() -> RuleSet {
    asking_with("mode = \"send_then_update\"", "mode = \"hold\"")
}
