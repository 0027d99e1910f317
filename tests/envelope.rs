//! Every kind of bad event gets the reason and the words it should, and every good one decodes, in each mode.

use aftercall::{
    envelope::{Incoming, Reason, decode},
    log::{Headers, RawEvent, Route, Speaker},
};
use aftercall_actors::contract::{
    event::{Body, Event},
    key::Key,
    time::LogTime,
};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

const PARTITIONS: u16 = 8;

#[test]
fn a_structured_event_decodes_whatever_the_order_of_its_keys() {
    let direct = structured(&survey().to_string()).expect("decodes");
    let late = r#"{"data": DATA, "x": [1], "type": "survey.response.created", "id": "e1",
        "source": "cx/survey", "specversion": "1.0"}"#
        .replace("DATA", &survey()["data"].to_string());
    assert_eq!(structured(&late).expect("decodes"), direct);
    assert_eq!((&*direct.source, &*direct.id), ("cx/survey", "e1"));
    let Body::SurveyResponse(body) = direct.body else {
        panic!("another type: {direct:?}");
    };
    assert_eq!(body.routing.agent_id.as_deref(), Some("a1"));
    assert_eq!(body.csat.map(|c| c.0), Some(2));
}

#[test]
fn binary_mode_and_base64_data_decode_to_the_same_event() {
    let direct = structured(&survey().to_string()).expect("decodes");
    let headers = Headers::from_pairs([
        ("Content-Type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "%651"),
        ("CE-Source", "\"cx/survey\""),
        ("ce-type", "survey.response.created"),
    ]);
    let binary = decode_in(&headers, survey()["data"].to_string(), pair("a1"));
    assert_eq!(binary, Ok(direct.clone()));

    let mut base64 = survey();
    let object = base64.as_object_mut().expect("object");
    object.remove("data");
    // {"response_id":"r1","interaction_id":"i1","submitted_at":0}
    let data = "eyJyZXNwb25zZV9pZCI6InIxIiwiaW50ZXJhY3Rpb25faWQiOiJpMSIsInN1Ym1pdHRlZF9hdCI6MH0=";
    object.insert("data_base64".into(), data.into());
    let event =
        decode_in(&Headers::Empty, base64.to_string(), route(Key::Unassigned)).expect("decodes");
    assert_eq!(event.body.owner(), Some(Key::Unassigned));
}

/// Issue 9: what anyone publishes under the public subjects says nothing in the service's name, and no time that
/// cannot be; in a log from before both are what they were, since its states rest on them.
#[test]
fn s3_07_s1_07_what_counts_of_an_event_depends_on_whose_place_it_stands_in() {
    let seconds = json!({
        "specversion": "1.0", "id": "e-p-s", "source": "survey/eu", "type": "survey.response.created",
        "data": {
            "response_id": "p-s", "interaction_id": "i-p-s", "submitted_at": 1_795_167_000, "csat": 5,
            "routing": {"agent_id": "a1"}
        },
    });
    let inexact = json!({
        "specversion": "1.0", "id": "m", "source": "wfm", "type": "wfm.metric.recorded",
        "data": {"agent_id": "a1", "date": "2026-11-20", "metric": "points", "value": 1e16},
    });
    let outcome = json!({
        "specversion": "1.0", "id": "o", "source": "aftercall/deliver/rewards", "type": "reward.outcome",
        "data": {"output_id": "r", "subject": "agent/a1", "status": "rejected"},
    });
    for (event, reason) in [
        (seconds, Reason::OutOfRange),
        (inexact, Reason::OutOfRange),
        (outcome, Reason::ReservedType),
    ] {
        let from = |speaker| {
            let raw = RawEvent {
                speaker,
                ..raw(Headers::Empty, event.to_string().into(), pair("a1"))
            };
            decode(&raw, PARTITIONS).map_err(|reject| reject.reason)
        };
        assert_eq!(from(Speaker::Anyone).expect_err("refused"), reason);
        for speaker in [Speaker::Service, Speaker::Unknown] {
            assert!(from(speaker).is_ok(), "{speaker:?}: {event}");
        }
    }
}

#[test]
fn a_content_type_decides_the_mode_before_any_attribute_header() {
    let headers = Headers::from_pairs([
        (
            "content-type",
            "Application/CloudEvents+JSON; charset=utf-8",
        ),
        ("ce-id", "other"),
    ]);
    let event = decode_in(&headers, survey().to_string(), pair("a1")).expect("decodes");
    assert_eq!(&*event.id, "e1");

    let batch = Headers::from_pairs([("content-type", "application/cloudevents-batch+json")]);
    let reject = decode_in(&batch, "[]".into(), pair("a1")).expect_err("refused");
    assert_eq!(reject.reason, Reason::NotCloudevent);

    // A header that is no attribute changes nothing: any NATS client may publish structured events.
    let other = Headers::from_pairs([("Nats-Msg-Id", "cx/survey e1"), ("traceparent", "00-1")]);
    assert!(decode_in(&other, survey().to_string(), pair("a1")).is_ok());

    // One attribute header makes it binary, and then all four are needed.
    let one = Headers::from_pairs([("ce-type", "tick")]);
    let reject = decode_in(&one, survey().to_string(), pair("a1")).expect_err("refused");
    assert_eq!(
        (reject.reason, reject.detail.as_str()),
        (
            Reason::MissingField,
            "header ce-specversion: required in binary mode, but missing"
        )
    );
}

/// Each with the event it is made from, what replaces a part of its text, and the whole answer.
#[test]
fn every_kind_of_bad_event_is_named_with_its_place() {
    let cases: &[(&str, &str, Reason, &str)] = &[
        (
            r#""csat":2"#,
            r#""csat":6"#,
            Reason::OutOfRange,
            "data.csat: csat is a whole number from 1 to 5, not 6",
        ),
        (
            r#""csat":2"#,
            r#""csat":2.5"#,
            Reason::WrongType,
            "data.csat: found floating point `2.5`, expected a whole number",
        ),
        (
            r#""csat":2"#,
            r#""csat":1e400"#,
            Reason::OutOfRange,
            "data.csat: a number is too large",
        ),
        (
            r#""csat":2"#,
            r#""csat":"2""#,
            Reason::WrongType,
            "data.csat: found string \"2\", expected a whole number",
        ),
        (
            r#""agent_id":"a1""#,
            r#""agent_id":7"#,
            Reason::WrongType,
            "data.routing.agent_id: found integer `7`, expected a string",
        ),
        (
            r#""agent_id":"a1""#,
            r#""agent_id":"""#,
            Reason::OutOfRange,
            "data.routing.agent_id: an id must not be empty",
        ),
        (
            r#""response_id":"r1","#,
            "",
            Reason::MissingField,
            "data.response_id: required, but missing",
        ),
        (
            r#""response_id":"r1","#,
            r#""response_id":"r1","response_id":"r2","#,
            Reason::DuplicateField,
            "data.response_id: stands there twice, but may only once",
        ),
        (
            r#""id":"e1","#,
            r#""id":"e1","id":"e1","#,
            Reason::DuplicateField,
            "id: stands there twice, but may only once",
        ),
        (
            r#""id":"e1","#,
            "",
            Reason::MissingField,
            "id: required in a CloudEvent, but missing",
        ),
        (
            r#""id":"e1","#,
            r#""id":null,"#,
            Reason::MissingField,
            "id: required in a CloudEvent, but missing",
        ),
        (
            r#""id":"e1","#,
            r#""id":5,"#,
            Reason::WrongType,
            "id: found integer `5`, expected a string",
        ),
        (
            r#""id":"e1","#,
            r#""id":"a\u0000b","#,
            Reason::OutOfRange,
            "id: holds a control character",
        ),
        (
            "1.0",
            "0.3",
            Reason::NotCloudevent,
            "specversion: `0.3` is not read here, only `1.0` is",
        ),
        (
            "survey.response.created",
            "survey.response.create",
            Reason::UnknownType,
            "type: `survey.response.create` is not known, did you mean `survey.response.created`?",
        ),
        (
            "survey.response.created",
            "weather",
            Reason::UnknownType,
            "type: `weather` is none of interaction.started",
        ),
        (
            "2026-11-20T08:00:00Z",
            "2026-11-20T08:00:00",
            Reason::OutOfRange,
            "data.submitted_at: `2026-11-20T08:00:00` is not an RFC 3339 time with an offset",
        ),
        (
            r#""comment":"slow""#,
            r#""comment":"slow"#,
            Reason::NotJson,
            "not JSON: ",
        ),
        (
            r#""comment":"slow""#,
            r#""comment":"\ud800""#,
            Reason::NotJson,
            "data.comment: not JSON",
        ),
        (
            "slow",
            "sl\u{0}ow",
            Reason::NotJson,
            "not JSON: control character",
        ),
    ];
    let good = SURVEY;
    assert!(structured(good).is_ok());
    for (from, to, reason, detail) in cases {
        assert!(good.contains(from), "{from}");
        // Both orders: data parsed in place, and data kept as text until the type is known.
        let changed = good.replacen(from, to, 1);
        for text in [changed.clone(), data_first(&changed)] {
            let reject = structured(&text).expect_err(to);
            assert_eq!(reject.reason, *reason, "{to}: {reject}");
            assert!(reject.detail.starts_with(detail), "{to}: {reject}");
        }
    }
}

#[test]
fn what_is_no_event_at_all_is_named_too() {
    let deep = SURVEY.replace(
        "\"slow\"",
        &format!("{}1{}", "[".repeat(500), "]".repeat(500)),
    );
    let deep = deep
        .replace("\"comment\":", "\"answers\":{\"q\":")
        .replace("]]],", "]]]},");
    let large = SURVEY.replace("slow", &"x".repeat(5 * 1024 * 1024));
    let cases: &[(&[u8], Reason, &str)] = &[
        (b"", Reason::NotJson, "not JSON: EOF"),
        (b"hello", Reason::NotJson, "not JSON: "),
        (
            b"{\"id\":\"\xff\"}",
            Reason::NotJson,
            "not UTF-8 from byte 7 on",
        ),
        (
            b"[]",
            Reason::NotCloudevent,
            "a CloudEvent is a JSON object",
        ),
        (
            b"null",
            Reason::NotCloudevent,
            "a CloudEvent is a JSON object",
        ),
        (b"{}", Reason::MissingField, "specversion: required"),
        (large.as_bytes(), Reason::TooLarge, "52"),
        (deep.as_bytes(), Reason::TooDeep, "data.answers.q[0]"),
    ];
    for (bytes, reason, detail) in cases {
        let raw = raw(Headers::Empty, Bytes::copy_from_slice(bytes), pair("a1"));
        let reject = decode(&raw, PARTITIONS).expect_err(detail);
        assert_eq!(reject.reason, *reason, "{reject}");
        assert!(reject.detail.starts_with(detail), "{reject}");
        // However long the way there, what is wrong is still said.
        if *reason == Reason::TooDeep {
            assert!(reject.detail.contains("at most 127 levels"), "{reject}");
        }
    }
}

#[test]
fn in_binary_mode_data_that_ends_too_early_is_named_as_the_data() {
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "crm"),
        ("ce-type", "survey.response.created"),
    ];
    let bytes = Bytes::from_static(b"{");
    let raw = raw(Headers::from_pairs(headers), bytes, pair("a1"));
    let reject = decode(&raw, PARTITIONS).expect_err("not JSON");
    assert_eq!(reject.reason, Reason::NotJson);
    assert!(reject.detail.starts_with("data: not JSON: "), "{reject}");
}

#[test]
fn s1_07_only_a_whole_score_from_0_to_10_is_taken() {
    let answer = |score: &str| {
        let data = format!(
            r#"{{"response_id":"r","agent_id":"a1","score":{score},"category":"promoter","submitted_at":0}}"#
        );
        let event = envelope("enps.response.submitted", &data);
        structured(&event).map_err(|reject| reject.reason)
    };
    for (score, reason) in [
        ("-1", Some(Reason::OutOfRange)),
        ("0", None),
        ("10", None),
        ("11", Some(Reason::OutOfRange)),
        ("9.5", Some(Reason::WrongType)),
        // As the schema has it, and as many a language writes whole numbers.
        ("9.0", None),
        ("1e1", None),
        ("10.000001", Some(Reason::WrongType)),
        ("11.0", Some(Reason::OutOfRange)),
        ("1e300", Some(Reason::WrongType)),
        ("\"9\"", Some(Reason::WrongType)),
        ("null", Some(Reason::WrongType)),
    ] {
        assert_eq!(answer(score).err(), reason, "{score}");
    }
}

#[test]
fn s2_04_a_score_out_of_1_to_5_is_for_quarantine() {
    for (csat, reason) in [
        ("0", Some(Reason::OutOfRange)),
        ("1", None),
        ("5", None),
        ("6", Some(Reason::OutOfRange)),
        ("0.0", Some(Reason::OutOfRange)),
        ("5.0", None),
        ("2.5", Some(Reason::WrongType)),
    ] {
        let event = SURVEY.replace(r#""csat":2"#, &format!(r#""csat":{csat}"#));
        assert_eq!(
            structured(&event).map_err(|r| r.reason).err(),
            reason,
            "{csat}"
        );
    }
}

#[test]
fn whole_numbers_end_where_their_type_does() {
    for (revision, reason) in [
        ("-1", Some(Reason::OutOfRange)),
        ("0", None),
        ("1.0", None),
        ("4294967295", None),
        // A time in milliseconds is a revision too.
        ("1795168800000", None),
        ("9007199254740991", None),
    ] {
        let event = SURVEY.replace(r#""csat":2"#, &format!(r#""csat":2,"revision":{revision}"#));
        let found = structured(&event).map_err(|reject| reject.reason).err();
        assert_eq!(found, reason, "{revision}");
    }
}

#[test]
fn s4_07_a_summary_of_1000_characters_is_taken_and_one_more_is_not() {
    let answer = |characters: usize| {
        let data = format!(
            r#"{{"interaction_id":"i","channel":"voice","agent_id":"a1","started_at":0,"ended_at":0,"summary":"{}"}}"#,
            "é".repeat(characters)
        );
        structured(&envelope("interaction.completed", &data))
    };
    assert!(answer(1_000).is_ok());
    let reject = answer(1_001).expect_err("refused");
    assert_eq!(
        (reject.reason, reject.detail.as_str()),
        (
            Reason::OutOfRange,
            "data.summary: a summary has at most 1000 characters, this one has 1001"
        )
    );
}

#[test]
fn a_length_below_zero_is_out_of_range_and_zero_is_not() {
    let completed = |s: &str| {
        let data = format!(
            r#"{{"interaction_id":"i","channel":"voice","agent_id":"a1","started_at":0,"ended_at":0,"duration_s":{s}}}"#
        );
        structured(&envelope("interaction.completed", &data))
    };
    assert!(completed("0").is_ok());
    assert!(completed("-0.0").is_ok());
    let reject = completed("-0.001").expect_err("refused");
    assert_eq!(
        (reject.reason, reject.detail.as_str()),
        (
            Reason::OutOfRange,
            "data.duration_s: a length in seconds is 0 or more, not -0.001"
        )
    );
}

#[test]
fn an_event_stands_where_its_data_says_or_is_refused() {
    let right = Key::Agent("a1").partition(PARTITIONS);
    for agent in 0..PARTITIONS {
        // A survey has no part on the customers' side, so any customer partition will do.
        let route = Route::Pair { agent, customer: 5 };
        let answer = decode_in(&Headers::Empty, SURVEY.into(), route);
        match answer {
            Ok(_) => assert_eq!(agent, right),
            Err(reject) => {
                assert_ne!(agent, right);
                assert_eq!(reject.reason, Reason::WrongSubject);
                let detail = format!(
                    "subject leads to partition agent.{agent}, but the data is for agent/a1, whose token `a1` is in agent.{right}"
                );
                assert_eq!(reject.detail, detail);
            }
        }
    }
    let all = decode_in(&Headers::Empty, SURVEY.into(), Route::All).expect_err("refused");
    assert_eq!(all.reason, Reason::WrongSubject);
    let tick = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "tick"}).to_string();
    let one = decode_in(&Headers::Empty, tick.clone(), pair("a1")).expect_err("refused");
    assert_eq!(one.reason, Reason::WrongSubject);
    let tick = decode_in(&Headers::Empty, tick, Route::All).expect("decodes");
    assert_eq!(tick.body, Body::Tick);
}

#[test]
fn both_sides_of_a_completion_are_checked() {
    let text = r#"{"specversion":"1.0","id":"1","source":"s","type":"interaction.started","data":{
        "interaction_id":"i","channel":"chat","queue_id":"q","started_at":0,
        "customer":{"customer_id":"c1"}}}"#;
    let agent = Key::Queue("q").partition(PARTITIONS);
    let right = Key::Customer("c1").partition(PARTITIONS);
    for customer in 0..PARTITIONS {
        let route = Route::Pair { agent, customer };
        let answer = decode_in(&Headers::Empty, text.into(), route);
        assert_eq!(answer.is_ok(), customer == right, "{answer:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), header in ".*") {
        let payload = Bytes::from(bytes);
        let _ = decode(&raw(Headers::Empty, payload.clone(), Route::All), PARTITIONS);
        let headers = Headers::from_pairs([
            ("ce-specversion", "1.0"), ("ce-id", header.as_str()),
            ("ce-source", "s"), ("ce-type", "survey.response.created"),
        ]);
        let _ = decode(&raw(headers, payload, Route::All), PARTITIONS);
    }

    /// Whatever comes in over HTTP is refused, or stored as one JSON object whose reader takes it as well.
    #[test]
    fn what_is_taken_at_the_door_is_an_event_for_the_reader(
        kind in "(application/json|application/cloudevents(-batch)?\\+json)?",
        (name, value) in ("ce-[a-z_]{0,4}", any::<Vec<u8>>()),
        body in prop_oneof![
            Just(SURVEY.as_bytes().to_vec()),
            Just(survey()["data"].to_string().into_bytes()),
            any::<Vec<u8>>(),
        ],
    ) {
        let headers = [
            ("content-type", kind.as_bytes()),
            ("ce-specversion", b"1.0"),
            ("ce-id", b"e1"),
            ("ce-source", b"cx/survey"),
            ("ce-type", b"survey.response.created"),
            (name.as_str(), value.as_slice()),
        ];
        for event in Incoming::from_http(headers.into_iter(), body.into()).unwrap_or_default() {
            if let Ok(event) = event.into_new_event() {
                let raw = raw(event.headers, event.payload, pair("a1"));
                prop_assert!(decode(&raw, PARTITIONS).is_ok());
            }
        }
    }

    /// A good event with a few bytes changed: refused with a bounded sentence, or still an event of the contract.
    #[test]
    fn no_change_of_a_good_event_makes_it_panic(
        changes in proptest::collection::vec((0..SURVEY.len(), any::<u8>()), 1..4)
    ) {
        let mut bytes = SURVEY.as_bytes().to_vec();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        let raw = raw(Headers::Empty, bytes.into(), pair("a1"));
        match decode(&raw, PARTITIONS) {
            Ok(event) => prop_assert!(!event.id.is_empty()),
            Err(reject) => {
                prop_assert!(!reject.detail.is_empty());
                prop_assert!(reject.detail.len() < 500);
            }
        }
    }
}

const SURVEY: &str = r#"{"specversion":"1.0","id":"e1","source":"cx/survey","type":"survey.response.created","data":{"response_id":"r1","interaction_id":"i1","submitted_at":"2026-11-20T08:00:00Z","csat":2,"comment":"slow","routing":{"queue_id":"q1","agent_id":"a1"}}}"#;

fn envelope(event_type: &str, data: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"{event_type}","data":{data}}}"#)
}

fn survey() -> Value {
    serde_json::from_str(SURVEY).expect("the fixture is JSON")
}

/// The same text with its data before everything else.
fn data_first(text: &str) -> String {
    match text.split_once(r#","data":"#) {
        Some((head, data)) => {
            let data = &data[..data.len() - 1];
            format!(r#"{{"data":{data},{}}}"#, &head[1..])
        }
        None => text.to_owned(),
    }
}

fn structured(text: &str) -> Result<Event, aftercall::envelope::Reject> {
    decode_in(&Headers::Empty, text.to_owned(), pair("a1"))
}

fn decode_in(
    headers: &Headers,
    text: String,
    route: Route,
) -> Result<Event, aftercall::envelope::Reject> {
    decode(&raw(headers.clone(), text.into(), route), PARTITIONS)
}

fn raw(headers: Headers, payload: Bytes, route: Route) -> RawEvent {
    RawEvent {
        position: 1,
        time: LogTime(0),
        route,
        // As in a log from before whose an event is was kept; of the others see `speakers`.
        speaker: Speaker::Unknown,
        headers,
        payload,
    }
}

fn pair(agent: &str) -> Route {
    route(Key::Agent(agent))
}

fn route(owner: Key<'_>) -> Route {
    Route::Pair {
        agent: owner.partition(PARTITIONS),
        customer: 0,
    }
}
