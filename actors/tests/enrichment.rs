//! Lookups for alerts: recording and summary, asked after until found, lost, or for too long (S2.08, S2.12).

mod common;

use aftercall_actors::{
    contract::event::Body,
    effect::{Effect, Ignored},
};
use common::{lookups::*, *};
use serde_json::{Value, json};

const EVERY_MS: i64 = 30 * SECOND_MS;

#[test]
fn s2_08_an_alert_goes_at_once_and_asks_for_recording_and_summary() {
    let mut agent = Stage::asking_agent();
    let effects = agent.apply(0, low("r1"));
    assert_eq!(
        told(&effects),
        [
            "alert.raised low_csat:r1",
            "enrichment.requested enrich:low_csat:r1:recording:1",
            "enrichment.requested enrich:low_csat:r1:summary:1",
        ]
    );
    let alert = data(&effects[..1]);
    assert_eq!(alert["recording"], json!({ "status": "pending" }));
    assert_eq!(alert["missing"], json!(["recording", "summary"]));
    assert_eq!(
        data(&effects[1..2]),
        json!({ "alert_id": "low_csat:r1", "interaction_id": "i1", "fields": ["recording"] })
    );
    assert_eq!(agent.deadline(), Some(FOR_MS));
}

#[test]
fn s2_07_only_a_channel_known_to_have_no_transcript_is_asked_for_no_summary() {
    for (channel, asks) in [
        ("voice", false),
        ("callback", false),
        ("video", false),
        ("chat", true),
        ("message", true),
        ("email", true),
        ("other", true),
    ] {
        let mut agent = Stage::asking_agent();
        let effects = agent.apply(0, survey("r1", json!({ "csat": 1, "channel": channel })));
        let missing = data(&effects[..1])["missing"].clone();
        let (expected, named) = match asks {
            true => (3, json!(["recording", "summary"])),
            false => (2, json!(["recording"])),
        };
        assert_eq!((effects.len(), missing), (expected, named), "{channel}");
    }
}

#[test]
fn s2_08_what_is_found_updates_the_alert_once() {
    let mut agent = Stage::asking_agent();
    agent.apply(0, low("r1"));
    let effects = agent.apply(1, found_recording(1));
    assert_eq!(told(&effects), ["alert.updated low_csat:r1:u1"]);
    let alert = data(&effects);
    assert_eq!(
        alert["recording"],
        json!({ "status": "available", "url": "https://r/1" })
    );
    assert_eq!(alert["missing"], json!(["summary"]));
    assert_eq!(
        agent.apply(2, found_recording(1)),
        ignored(Ignored::UnknownRequest)
    );
    let effects = agent.apply(
        3,
        answer("summary", 1, "available", json!({ "summary": "Fee" })),
    );
    assert_eq!(told(&effects), ["alert.updated low_csat:r1:u2"]);
    let alert = data(&effects);
    assert_eq!(alert["summary"], "Fee");
    assert_eq!(alert["missing"], json!([]));
    assert_eq!(alert["recording"]["url"], "https://r/1");
    // Raised when it was, whatever was found since.
    assert_eq!(alert["raised_at"], "2026-11-20T10:00:00.000Z");
    assert_eq!(agent.deadline(), None);
}

#[test]
fn s2_08_a_pending_recording_is_asked_after_30_seconds_after_the_last_question() {
    let mut agent = voice_alert();
    assert_eq!(agent.apply(2_000, pending(1)), []);
    assert_eq!(agent.deadline(), Some(EVERY_MS));
    assert_eq!(agent.wake(EVERY_MS - 1), []);
    assert_eq!(
        told(&agent.wake(EVERY_MS)),
        ["enrichment.requested enrich:low_csat:r1:recording:2"]
    );
    // One question at a time: until its answer, only the end is due.
    assert_eq!(agent.deadline(), Some(FOR_MS));
    assert_eq!(agent.wake(2 * EVERY_MS), []);
    // An answer that took longer than that: the next goes at once.
    assert_eq!(
        told(&agent.apply(2 * EVERY_MS, pending(2))),
        ["enrichment.requested enrich:low_csat:r1:recording:3"]
    );
    // And the one after, 30 s after it.
    assert_eq!(agent.apply(2 * EVERY_MS + 1, pending(3)), []);
    assert_eq!(agent.deadline(), Some(3 * EVERY_MS));
}

#[test]
fn s2_08_after_five_minutes_it_is_final_with_a_pending_recording_and_nothing_follows() {
    let mut agent = voice_alert();
    let mut number = 1;
    loop {
        agent.apply(number * EVERY_MS - 1, pending(number));
        if number * EVERY_MS == FOR_MS {
            break;
        }
        let asked = agent.wake(number * EVERY_MS);
        number += 1;
        let next = format!("enrichment.requested enrich:low_csat:r1:recording:{number}");
        assert_eq!(told(&asked), [next]);
    }
    assert_eq!(number, 10);
    assert_eq!(agent.deadline(), Some(FOR_MS));
    assert_eq!(agent.wake(FOR_MS - 1), []);
    let effects = agent.wake(FOR_MS);
    assert_eq!(told(&effects), ["alert.updated low_csat:r1:u1"]);
    let alert = data(&effects);
    assert_eq!(alert["recording"], json!({ "status": "pending" }));
    assert_eq!(alert["interaction_id"], "i1");
    assert_eq!(alert["missing"], json!(["recording"]));
    assert_eq!(agent.deadline(), None);
    assert_eq!(
        agent.apply(FOR_MS + 1, found_recording(10)),
        ignored(Ignored::UnknownRequest)
    );
}

#[test]
fn s2_08_a_recording_found_one_tick_before_the_end_counts_and_one_at_it_does_not() {
    let mut agent = voice_alert();
    let effects = agent.apply(FOR_MS - 1, found_recording(1));
    assert_eq!(told(&effects), ["alert.updated low_csat:r1:u1"]);
    assert_eq!(data(&effects)["recording"]["status"], "available");

    let mut agent = voice_alert();
    let effects = agent.apply(FOR_MS, found_recording(1));
    assert_eq!(
        told(&effects),
        ["alert.updated low_csat:r1:u1", "ignored unknown_request"]
    );
    assert_eq!(data(&effects[..1])["recording"]["status"], "pending");
}

#[test]
fn s2_08_a_recording_that_failed_or_was_deleted_ends_the_polling() {
    for status in ["failed", "deleted"] {
        let mut agent = voice_alert();
        let effects = agent.apply(1, answer("recording", 1, status, Value::Null));
        assert_eq!(told(&effects), ["alert.updated low_csat:r1:u1"]);
        let alert = data(&effects);
        assert_eq!(alert["recording"], json!({ "status": "unavailable" }));
        assert_eq!(alert["missing"], json!(["recording"]));
        assert_eq!(agent.deadline(), None);
        assert_eq!(agent.wake(FOR_MS), []);
    }
}

#[test]
fn s2_08_a_recording_that_is_there_without_a_link_is_still_pending() {
    for response in [
        Value::Null,
        json!({}),
        json!({ "url": null }),
        json!({ "url": " " }),
        json!({ "url": 7 }),
        json!("https://r/1"),
    ] {
        let mut agent = voice_alert();
        let there = answer("recording", 1, "available", response.clone());
        assert_eq!(agent.apply(1, there), [], "{response}");
        assert_eq!(agent.deadline(), Some(EVERY_MS));
    }
}

#[test]
fn s2_08_a_link_too_long_to_pass_on_is_none() {
    for (length, status) in [(2_048, "available"), (2_049, "unavailable")] {
        let mut agent = voice_alert();
        let url = json!({ "url": "u".repeat(length) });
        let effects = agent.apply(1, answer("recording", 1, "available", url));
        let alert = data(&effects[effects.len() - 1..]);
        assert_eq!(alert["recording"]["status"], status);
        let counted = effects.contains(&Effect::Ignore(Ignored::TooLarge));
        assert_eq!(counted, length > 2_048);
    }
}

#[test]
fn s2_12_a_lookup_that_fails_is_counted_and_tried_again() {
    for status in ["unknown", "rejected", "no such word"] {
        let mut agent = voice_alert();
        assert_eq!(
            agent.apply(1, answer("recording", 1, status, Value::Null)),
            ignored(Ignored::LookupFailed)
        );
        assert_eq!(agent.deadline(), Some(EVERY_MS));
        assert_eq!(agent.wake(EVERY_MS).len(), 1);
        assert_eq!(
            told(&agent.apply(EVERY_MS + 1, found_recording(2))),
            ["alert.updated low_csat:r1:u1"]
        );
    }
}

#[test]
fn s2_12_lookups_that_nobody_answers_end_with_what_is_known() {
    let mut agent = Stage::asking_agent();
    agent.apply(0, low("r1"));
    assert_eq!(agent.wake(FOR_MS - 1), []);
    let effects = agent.wake(FOR_MS);
    assert_eq!(told(&effects), ["alert.updated low_csat:r1:u1"]);
    assert_eq!(data(&effects)["missing"], json!(["recording", "summary"]));
}

#[test]
fn s2_12_a_summary_that_never_comes_is_not_said_to_be_missing_twice() {
    let mut agent = Stage::asking_agent();
    agent.apply(0, low("r1"));
    agent.apply(1, found_recording(1));
    assert_eq!(agent.wake(FOR_MS), []);
    assert_eq!(agent.deadline(), None);

    let mut agent = Stage::asking_agent();
    agent.apply(0, low("r1"));
    agent.apply(1, found_recording(1));
    assert_eq!(
        agent.apply(2, answer("summary", 1, "failed", Value::Null)),
        []
    );
    assert_eq!(agent.deadline(), None);
}

#[test]
fn s2_07_a_summary_is_cut_after_1000_characters() {
    for (given, kept) in [(999, 999), (1_000, 1_000), (1_001, 1_000)] {
        let mut agent = Stage::asking_agent();
        agent.apply(0, low("r1"));
        let text = json!({ "summary": "é".repeat(given) });
        let effects = agent.apply(1, answer("summary", 1, "available", text));
        assert_eq!(data(&effects)["summary"], "é".repeat(kept));
    }
}

fn pending(number: i64) -> Body {
    answer("recording", number, "pending", Value::Null)
}
