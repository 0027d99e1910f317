//! Letters and decisions: there and back, their names, what is kept of attempts, and which letters are open.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::{
    fold::{Case, Letters, Open},
    *,
};
use crate::{
    delivery::attempt::{Answer, Fault},
    log::PartitionId,
};

const AT: LogTime = LogTime(1_795_163_400_250);

#[test]
fn a_letter_comes_back_as_it_was_written() {
    let letter = letter("crm", "alert:räsp 1", 2);
    let entry = letter.entry(usize::MAX).unwrap();
    assert_eq!(entry.message_id, "dead:crm:2:alert:r%C3%A4sp%201");
    let header = |name| entry.headers.get(name).map(str::to_owned);
    assert_eq!(header("ce-type").as_deref(), Some(LETTER));
    assert_eq!(header("ce-id").as_deref(), Some(&*entry.message_id));
    assert_eq!(
        header("ce-subject").as_deref(),
        Some("agent/p%C3%A4ivi%20m")
    );
    assert_eq!(
        header("ce-time").as_deref(),
        Some("2026-11-20T08:30:00.250Z")
    );
    assert_eq!(
        Entry::read(&stored("crm", 7, &entry)),
        Ok(Entry::Letter(Box::new(letter)))
    );
}

#[test]
fn a_letter_is_written_in_words_an_operator_can_read() {
    let entry = letter("crm", "a1", 1).entry(usize::MAX).unwrap();
    let written: Value = serde_json::from_slice(&entry.payload).unwrap();
    assert_eq!(
        written,
        json!({
            "destination": "crm",
            "round": 1,
            "reason": "unknown",
            "detail": "no answer within 45s",
            "at": "2026-11-20T08:30:00.250Z",
            "attempts_total": 2,
            "attempts": [
                {"number": 1, "at": "2026-11-20T08:30:00.250Z", "cause": "status 503", "status": 503,
                 "answer": "{\"error\":\"busy\"}"},
                {"number": 2, "at": "2026-11-20T08:30:01.250Z", "cause": "no answer within 45s", "unknown": true},
            ],
            "output": {
                "seq": 42, "id": "a1", "kind": "alert", "type": "alert.raised", "subject": "agent/päivi m",
                "stored_at": "2026-11-20T08:30:00.250Z", "attributes": {"cause": "/crm 7"}, "data": {"csat": 1},
            },
        })
    );
}

#[test]
fn a_letter_too_large_for_the_log_leaves_its_data_out() {
    let letter = letter("crm", "a1", 1);
    let whole = letter.entry(usize::MAX).unwrap().payload.len();
    let read = |bytes_max| {
        let entry = letter.entry(bytes_max).unwrap();
        match Entry::read(&stored("crm", 1, &entry)).unwrap() {
            Entry::Letter(letter) => letter.output,
            Entry::Decision(decision) => panic!("{decision:?}"),
        }
    };
    assert_eq!(read(whole), letter.output);
    let without = read(whole - 1);
    assert_eq!(without.data, None);
    assert_eq!(without.parcel(), None);
    let parcel = read(whole).parcel().unwrap();
    assert_eq!(parcel.data, json!({"csat": 1}));
    assert_eq!(Output::from(parcel), letter.output);
}

#[test]
fn a_decision_comes_back_and_all_about_one_letter_have_one_name() {
    let letter = letter("crm", "a1", 3);
    let retry = decide(&letter, 17, Choice::Retry, "ann", AT);
    let entry = retry.entry().unwrap();
    assert_eq!(entry.message_id, "decision:crm:3:a1");
    let drop = decide(&letter, 17, Choice::Drop, "ben", AT.plus_ms(1));
    assert_eq!(drop.entry().unwrap().message_id, entry.message_id);
    let written: Value = serde_json::from_slice(&entry.payload).unwrap();
    assert_eq!(
        written,
        json!({
            "choice": "retry", "destination": "crm", "letter": 17, "output_id": "a1", "output_seq": 42, "round": 3,
            "by": "ann", "at": "2026-11-20T08:30:00.250Z",
        })
    );
    assert_eq!(entry.headers.get("ce-type"), Some(DECISION));
    assert_eq!(
        Entry::read(&stored("crm", 18, &entry)),
        Ok(Entry::Decision(retry))
    );
}

#[test]
fn what_is_no_letter_of_its_line_is_unreadable_with_the_reason() {
    let entry = letter("crm", "a1", 1).entry(usize::MAX).unwrap();
    let good = stored("crm", 5, &entry);
    let why = |stored: &StoredDead| Entry::read(stored).unwrap_err().to_string();
    let other_line = stored("slack", 5, &entry);
    assert!(why(&other_line).contains("it is for crm, and stands in the line of slack"));
    let quarantined = StoredDead {
        place: DeadPlace::Event(PartitionId {
            side: aftercall_actors::contract::key::Side::Agent,
            index: 0,
        }),
        ..good.clone()
    };
    assert!(why(&quarantined).contains("quarantined input"));
    let typed = |headers: Headers| StoredDead {
        headers,
        ..good.clone()
    };
    assert!(why(&typed(Headers::Empty)).contains("ce-type is missing"));
    let other = Headers::from_pairs([("ce-type", "weather.changed")]);
    assert!(why(&typed(other)).contains("its type is weather.changed"));
    let broken = StoredDead {
        payload: Bytes::from_static(b"{}"),
        ..good
    };
    assert!(why(&broken).starts_with("dead letter 5 cannot be read: missing field"));
}

#[test]
fn s1_02_the_first_and_the_last_attempts_are_kept_and_their_numbers_tell() {
    let mut notes = Vec::new();
    for number in 1..=20 {
        AttemptNote::interrupted(number, AT).add_to(&mut notes);
    }
    let numbers = |notes: &[AttemptNote]| notes.iter().map(|n| n.number).collect::<Vec<_>>();
    assert_eq!(numbers(&notes), (1..=20).collect::<Vec<_>>());
    AttemptNote::interrupted(21, AT).add_to(&mut notes);
    assert_eq!(numbers(&notes)[..4], [1, 2, 3, 5]);
    for number in 22..=1_000 {
        AttemptNote::interrupted(number, AT).add_to(&mut notes);
    }
    assert_eq!(notes.len(), ATTEMPTS_KEPT);
    assert_eq!(numbers(&notes)[..4], [1, 2, 3, 984]);
    assert_eq!(numbers(&notes)[19], 1_000);
}

#[test]
fn a_note_says_what_came_back_and_whether_it_is_known() {
    let answered = attempt(
        Ok((409, json!("key was used\nfor another order"))),
        Verdict::Rejected {
            why: "status 409".into(),
        },
    );
    assert_eq!(
        AttemptNote::of(1, AT, &answered),
        AttemptNote {
            number: 1,
            at: AT,
            cause: "status 409".into(),
            status: Some(409),
            answer: Some("key was used for another order".into()),
            unknown: false,
        }
    );
    let lost = attempt(
        Err(Fault::Timeout(Duration::from_secs(45))),
        Verdict::Again {
            why: "no answer within 45s".into(),
            after: None,
            unknown: true,
        },
    );
    let note = AttemptNote::of(2, AT, &lost);
    assert_eq!((note.status, note.answer, note.unknown), (None, None, true));
    assert!(AttemptNote::interrupted(3, AT).unknown);
}

#[test]
fn an_excerpt_of_five_hundred_characters_is_whole_and_of_one_more_is_cut() {
    let text = |chars: usize| json!("ä".repeat(chars));
    assert_eq!(excerpt(&text(500)), Some("ä".repeat(500)));
    let cut = excerpt(&text(501)).unwrap();
    assert_eq!(cut, format!("{}\u{2026}", "ä".repeat(499)));
    assert_eq!(excerpt(&Value::Null), None);
    assert_eq!(excerpt(&json!({"a": [1]})).as_deref(), Some(r#"{"a":[1]}"#));
}

#[test]
fn a_decision_closes_a_letter_and_a_later_round_opens_it_again() {
    let mut letters = Letters::default();
    let first = letter("crm", "a1", 1);
    assert!(letters.take(1, &entry(&first)));
    assert_eq!(open(&letters), [("crm", "a1", 1, 1)]);
    let retried = decide(&first, 1, Choice::Retry, "ann", AT);
    let retry = Entry::Decision(retried.clone());
    assert!(letters.take(2, &retry));
    assert_eq!(open(&letters), []);
    assert_eq!(letters.case("crm", "a1"), Some(&Case::Closed(retried)));
    let second = letter("crm", "a1", 2);
    assert!(letters.take(3, &entry(&second)));
    assert_eq!(open(&letters), [("crm", "a1", 3, 2)]);
    // What was decided about the round before says nothing about this one.
    assert!(!letters.take(4, &retry));
    assert_eq!(open(&letters), [("crm", "a1", 3, 2)]);
    assert!(letters.take(
        5,
        &Entry::Decision(decide(&second, 3, Choice::Drop, "ben", AT))
    ));
    assert_eq!(open(&letters), []);
}

#[test]
fn repetitions_and_decisions_that_came_second_change_nothing() {
    let mut letters = Letters::default();
    let one = letter("crm", "a1", 1);
    assert!(letters.take(1, &entry(&one)));
    // Stored a second time after the log's window: the first one's place stays.
    assert!(!letters.take(2, &entry(&one)));
    assert_eq!(open(&letters), [("crm", "a1", 1, 1)]);
    assert!(letters.take(
        3,
        &Entry::Decision(decide(&one, 1, Choice::Drop, "ann", AT))
    ));
    assert!(!letters.take(
        4,
        &Entry::Decision(decide(&one, 1, Choice::Retry, "ben", AT))
    ));
    assert!(!letters.take(5, &entry(&one)));
    assert_eq!(open(&letters), []);
    let closed = letters.case("crm", "a1");
    assert_eq!(
        closed,
        Some(&Case::Closed(decide(&one, 1, Choice::Drop, "ann", AT)))
    );
}

#[test]
fn a_decision_whose_letter_is_gone_keeps_a_repetition_of_it_closed() {
    let mut letters = Letters::default();
    let one = letter("crm", "a1", 1);
    assert!(letters.take(
        9,
        &Entry::Decision(decide(&one, 1, Choice::Drop, "ann", AT))
    ));
    assert!(!letters.take(10, &entry(&one)));
    assert_eq!(open(&letters), []);
    assert!(letters.take(11, &entry(&letter("crm", "a1", 2))));
    assert_eq!(open(&letters), [("crm", "a1", 11, 2)]);
}

#[test]
fn destinations_have_cases_of_their_own() {
    let mut letters = Letters::default();
    let one = letter("crm", "a1", 1);
    assert!(letters.take(1, &entry(&one)));
    assert!(letters.take(2, &entry(&letter("slack", "a1", 1))));
    assert!(letters.take(
        3,
        &Entry::Decision(decide(&one, 1, Choice::Drop, "ann", AT))
    ));
    assert_eq!(open(&letters), [("slack", "a1", 2, 1)]);
}

/// A letter about an alert, after two attempts.
fn letter(destination: &str, output_id: &str, round: u32) -> Letter {
    let busy = attempt(
        Ok((503, json!({"error": "busy"}))),
        Verdict::Again {
            why: "status 503".into(),
            after: None,
            unknown: false,
        },
    );
    let lost = attempt(
        Err(Fault::Timeout(Duration::from_secs(45))),
        Verdict::Again {
            why: "no answer within 45s".into(),
            after: None,
            unknown: true,
        },
    );
    Letter {
        destination: destination.into(),
        round,
        reason: Reason::Unknown,
        detail: "no answer within 45s".into(),
        at: AT,
        not_retryable: None,
        attempts_total: 2,
        attempts: vec![
            AttemptNote::of(1, AT, &busy),
            AttemptNote::of(2, AT.plus_ms(1_000), &lost),
        ],
        output: Output {
            seq: 42,
            id: output_id.into(),
            kind: Kind::Alert,
            event_type: "alert.raised".into(),
            subject: "agent/päivi m".into(),
            stored_at: AT,
            attributes: BTreeMap::from([("cause".into(), "/crm 7".into())]),
            data: Some(json!({"csat": 1})),
        },
    }
}

fn attempt(result: Result<(u16, Value), Fault>, verdict: Verdict) -> Attempt {
    Attempt {
        result: result.map(|(status, body)| Answer {
            status,
            headers: BTreeMap::new(),
            body,
        }),
        verdict,
        handle: None,
        kept: Default::default(),
        status: None,
        response: None,
        progress: None,
        said: None,
        lanes: Vec::new(),
    }
}

fn entry(letter: &Letter) -> Entry {
    Entry::Letter(Box::new(letter.clone()))
}

fn decide(letter: &Letter, seq: Seq, choice: Choice, by: &str, at: LogTime) -> Decision {
    Open::of(seq, letter).decide(choice, by, at)
}

/// The open letters: destination, output, sequence, round.
fn open(letters: &Letters) -> Vec<(&str, &str, Seq, u32)> {
    let open = letters.open();
    open.map(|open| (&*open.destination, &*open.output_id, open.seq, open.round))
        .collect()
}

fn stored(line: &str, seq: Seq, entry: &NewDead) -> StoredDead {
    StoredDead {
        seq,
        time: AT,
        place: DeadPlace::Delivery(line.into()),
        message_id: entry.message_id.clone(),
        headers: entry.headers.clone(),
        payload: entry.payload.clone(),
    }
}
