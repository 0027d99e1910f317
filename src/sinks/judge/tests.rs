//! Each row of the requirements that says what an answer means, with the destinations of the reference.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::sinks::{destination::Destination, examples, file};

mod unread;

/// A destination of the reference.
fn destination(name: &str) -> Destination {
    let text = include_str!("../../../config/destinations.toml");
    let checked = file::parse(text, "config/destinations.toml").unwrap();
    let all = checked.destinations.destinations;
    all.into_iter().find(|d| d.name == name).unwrap()
}

fn answer(status: u16, body: Value) -> Answer {
    Answer {
        status,
        headers: BTreeMap::new(),
        body,
    }
}

fn with_header(mut answer: Answer, name: &str, value: &str) -> Answer {
    answer.headers.insert(name.to_owned(), value.to_owned());
    answer
}

fn now() -> SystemTime {
    httpdate::parse_http_date("Fri, 20 Nov 2026 08:00:00 GMT").unwrap()
}

fn judged(name: &str, result: Result<Answer, Fault>) -> Judged {
    let destination = destination(name);
    let parcel = examples::of(destination.selector.types().next().unwrap()).unwrap();
    let vars = BTreeMap::from([("genesys_app".to_owned(), "https://apps.example".to_owned())]);
    let output = Scope::of_vars(&vars).with_output(&parcel, parcel.data.clone());
    judge(&destination.judgement, &output, &result, now())
}

fn verdict(name: &str, status: u16, body: Value) -> Verdict {
    judged(name, Ok(answer(status, body))).verdict
}

fn again(why: &str, after_s: Option<u64>, unknown: bool) -> Verdict {
    Verdict::Again {
        why: why.to_owned(),
        after: after_s.map(Duration::from_secs),
        unknown,
    }
}

fn rejected(why: &str) -> Verdict {
    Verdict::Rejected {
        why: why.to_owned(),
    }
}

const ISSUED: &str = "which is no success by `status in [200, 201] && body.status == 'ISSUED'`";

#[test]
fn s3_07_issued_is_200_or_201_whose_body_says_so_and_another_word_is_a_rejection() {
    for status in [200, 201] {
        let body = json!({"status": "ISSUED", "reward_id": "rw_1"});
        // The original answer to a repeated request is the same answer.
        assert_eq!(verdict("rewards", status, body), Verdict::Delivered);
        assert_eq!(
            verdict("rewards", status, json!({"status": "REJECTED"})),
            rejected(&format!("answered {status} with status REJECTED, {ISSUED}"))
        );
    }
    let judged = judged(
        "rewards",
        Ok(answer(
            200,
            json!({"status": "REJECTED", "reason": "INSUFFICIENT_INVENTORY"}),
        )),
    );
    assert_eq!(
        judged.response,
        Some(json!({"status": "REJECTED", "reason": "INSUFFICIENT_INVENTORY"}))
    );
    assert_eq!(judged.status, None);
}

/// Done or not, for all anybody knows.
fn is_unknown(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Again { unknown: true, .. })
}

#[test]
fn s3_08_503_504_429_and_connection_failures_are_tried_again_and_400_and_409_reviewed() {
    for status in [408, 425, 429, 500, 502, 503, 504, 599] {
        for body in [Value::Null, json!("<html>"), json!({"status": "ISSUED"})] {
            let Verdict::Again {
                after: None,
                unknown: false,
                ..
            } = verdict("rewards", status, body.clone())
            else {
                panic!("{status} {body}");
            };
        }
    }
    for body in [
        json!("<html>"),
        Value::Null,
        json!({"status": "REJECTED", "code": "x"}),
    ] {
        for status in [300, 400, 402, 404, 405, 409, 410, 413, 422, 428, 430, 499] {
            let said = verdict("rewards", status, body.clone());
            let Verdict::Unclear { why, unknown } = said else {
                panic!("{status} {body}: {said:?}");
            };
            assert!(why.ends_with(ISSUED), "{why}");
            assert_eq!(
                unknown,
                status == 409,
                "409 may say that it was issued before"
            );
        }
        for status in [401, 403, 407] {
            let said = verdict("rewards", status, body.clone());
            let alone = Some(FinalStatus::Failed);
            assert!(
                matches!(&said, Verdict::Misconfigured { alone: a, .. } if *a == alone),
                "{status} {body}: {said:?}"
            );
        }
    }
    assert_eq!(
        judged(
            "rewards",
            Err(Fault::Misconfigured("env:X is not set".into()))
        )
        .verdict,
        Verdict::Misconfigured {
            why: "not sent, our credentials are not right: env:X is not set".to_owned(),
            alone: None,
        }
    );
    assert_eq!(
        judged("rewards", Err(Fault::Connect("refused".into()))).verdict,
        again("cannot connect: refused", None, false)
    );
    assert_eq!(
        judged("rewards", Err(Fault::NotReady("no token".into()))).verdict,
        again("not sent yet: no token", None, false)
    );
    assert_eq!(
        judged("rewards", Err(Fault::Unsendable("12KiB".into()))).verdict,
        rejected("not sent: 12KiB")
    );
}

#[test]
fn s3_09_a_timeout_and_a_lost_connection_leave_the_outcome_open() {
    assert_eq!(
        judged("rewards", Err(Fault::Timeout(Duration::from_secs(45)))),
        Judged {
            verdict: again("no answer within 45s", None, true),
            status: None,
            response: None,
            kept: Kept::new(),
        }
    );
    assert_eq!(
        judged("rewards", Err(Fault::Lost("reset".into()))).verdict,
        again("connection lost before the answer: reset", None, true)
    );
}

#[test]
fn s5_05_an_answer_that_is_too_long_is_asked_for_again_only_where_money_hangs_on_it() {
    let too_long = || Err(Fault::TooLong(10_240));
    let why = "the answer is longer than 10240 bytes and was refused";
    assert_eq!(
        judged("identity", too_long()).verdict,
        Verdict::Unclear {
            why: why.to_owned(),
            unknown: true,
        }
    );
    assert_eq!(
        judged("rewards", too_long()).verdict,
        again(why, None, true)
    );
}

#[test]
fn s1_02_retry_after_is_honoured_in_seconds_and_as_a_date() {
    let after = |value: &str| {
        retry_after(
            &with_header(answer(429, Value::Null), "retry-after", value),
            now(),
        )
    };
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!(after("0"), seconds(0));
    assert_eq!(after(" 7 "), seconds(7));
    assert_eq!(after("1.5"), seconds(2));
    assert_eq!(after("Fri, 20 Nov 2026 08:01:30 GMT"), seconds(90));
    assert_eq!(after("Fri, 20 Nov 2026 07:59:59 GMT"), seconds(0));
    for odd in ["", "soon", "-1", "NaN", "inf", "1 2"] {
        assert_eq!(after(odd), None, "{odd}");
    }
    assert_eq!(after("999999999999999999999999"), Some(RETRY_AFTER_MAX));
    assert_eq!(retry_after(&answer(429, Value::Null), now()), None);
    // Their clock is an hour ahead of ours.
    let theirs = with_header(
        answer(503, Value::Null),
        "date",
        "Fri, 20 Nov 2026 09:00:00 GMT",
    );
    let theirs = with_header(theirs, "retry-after", "Fri, 20 Nov 2026 09:00:05 GMT");
    assert_eq!(retry_after(&theirs, now()), seconds(5));
    assert_eq!(
        judged(
            "survey-tokens",
            Ok(with_header(answer(429, Value::Null), "retry-after", "7"))
        )
        .verdict,
        again("answered 429", Some(7), false)
    );
}

#[test]
fn s2_11_slack_says_no_within_a_200() {
    assert_eq!(
        verdict("slack", 200, json!({"ok": true, "ts": "1.2"})),
        Verdict::Delivered
    );
    for error in [
        "ratelimited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
    ] {
        assert_eq!(
            verdict("slack", 200, json!({"ok": false, "error": error})),
            again(&format!("answered 200 with error {error}"), None, false)
        );
    }
    let limited = with_header(
        answer(429, json!({"ok": false, "error": "ratelimited"})),
        "retry-after",
        "30",
    );
    assert_eq!(
        judged("slack", Ok(limited)).verdict,
        again("answered 429 with error ratelimited", Some(30), false)
    );
    for error in ["invalid_auth", "token_revoked", "missing_scope"] {
        let said = verdict("slack", 200, json!({"ok": false, "error": error}));
        assert!(
            matches!(said, Verdict::Misconfigured { .. }),
            "{error}: {said:?}"
        );
    }
    for error in ["channel_not_found", "msg_too_long", "is_archived"] {
        assert_eq!(
            verdict("slack", 200, json!({"ok": false, "error": error})),
            rejected(&format!(
                "answered 200 with error {error}, which is no success by `status == 200 && has(body.ok) && body.ok`"
            ))
        );
    }
    assert!(is_unknown(&verdict("slack", 200, json!("ok"))));
    assert!(matches!(
        verdict("slack", 200, json!({})),
        Verdict::Rejected { .. }
    ));
    assert!(matches!(
        verdict("slack", 502, json!("<html>")),
        Verdict::Again { .. }
    ));
}

#[test]
fn s2_11_smtp_means_4yz_for_a_while_and_5yz_for_good() {
    assert_eq!(verdict("email", 250, json!("queued")), Verdict::Delivered);
    assert_eq!(
        verdict("email", 421, json!("busy")),
        again("answered 421", None, false)
    );
    assert_eq!(
        verdict("email", 450, json!("greylisted")),
        again("answered 450", None, false)
    );
    assert!(matches!(
        verdict("email", 550, json!("no such user")),
        Verdict::Rejected { .. }
    ));
    assert!(matches!(
        verdict("email", 535, json!("bad login")),
        Verdict::Misconfigured {
            alone: Some(FinalStatus::Rejected),
            ..
        }
    ));
}

#[test]
fn s4_03_salesforce_says_of_each_record_whether_it_was_written() {
    let ok = json!({"id": "003", "success": true, "errors": []});
    let failed =
        |code: &str| json!({"success": false, "errors": [{"statusCode": code, "message": "m"}]});
    assert_eq!(verdict("salesforce", 200, json!([ok])), Verdict::Delivered);
    assert_eq!(
        verdict("salesforce", 200, json!([ok, ok])),
        Verdict::Delivered
    );
    assert_eq!(
        verdict(
            "salesforce",
            200,
            json!([ok, failed("REQUIRED_FIELD_MISSING")])
        ),
        rejected("answered 200, which is no success by `status == 200 && body.all(r, r.success)`")
    );
    assert_eq!(
        verdict("salesforce", 200, json!([failed("UNABLE_TO_LOCK_ROW")])),
        again("answered 200", None, false)
    );
    assert!(is_unknown(&verdict(
        "salesforce",
        200,
        json!({"message": "x"})
    )));
    assert!(matches!(
        verdict("salesforce", 503, Value::Null),
        Verdict::Again { .. }
    ));
}

#[test]
fn s2_08_the_state_of_a_recording_becomes_the_status_of_its_lookup() {
    let recordings = |status: u16, states: &[&str]| {
        let list: Vec<Value> = states
            .iter()
            .map(|s| json!({"id": "r", "fileState": s}))
            .collect();
        let judged = judged("recordings", Ok(answer(status, json!(list))));
        (judged.verdict, judged.status, judged.response)
    };
    let found = json!({"url":
        "https://apps.example/directory/#/engage/admin/interactions/7c9e6679-7425-40de-944b-e07fc1f90ae7"});
    for (states, status) in [
        (&["UPLOADING"][..], "pending"),
        (&["RESTORING"], "pending"),
        (&[], "pending"),
        (&["UPLOADING", "ERROR"], "pending"),
        (&["ERROR"], "failed"),
        (&["DELETED", "ERROR"], "failed"),
        (&["DELETED"], "deleted"),
        (&["DELETED", "DELETED"], "deleted"),
        (&["DELETED", "SOMETHING_NEW"], "unknown"),
    ] {
        assert_eq!(
            recordings(200, states),
            (Verdict::Delivered, Some(status.to_owned()), None),
            "{states:?}"
        );
    }
    for states in [
        &["AVAILABLE"][..],
        &["ARCHIVED"],
        &["RESTORED"],
        &["UPLOADING", "AVAILABLE"],
    ] {
        assert_eq!(
            recordings(200, states),
            (
                Verdict::Delivered,
                Some("available".to_owned()),
                Some(found.clone())
            ),
            "{states:?}"
        );
    }
    for (status, body) in [(202, Value::Null), (404, json!({"code": "not.found"}))] {
        let judged = judged("recordings", Ok(answer(status, body)));
        assert_eq!(judged.verdict, Verdict::Delivered);
        assert_eq!(
            (judged.status.as_deref(), judged.response),
            (Some("pending"), None)
        );
    }
    assert!(matches!(
        verdict("recordings", 200, json!({"x": 1})),
        Verdict::Rejected { .. }
    ));
    assert!(matches!(
        verdict("recordings", 403, Value::Null),
        Verdict::Misconfigured {
            alone: Some(FinalStatus::Rejected),
            ..
        }
    ));
}

#[test]
fn s5_02_what_the_platform_says_of_a_customer_is_cut_to_what_is_shown() {
    let body = json!({"status": "success", "confidence_score": 0.97, "profile": {
        "cdp_user_id": "usr_1", "tier": "gold", "recent_order_count": 3, "sentiment_score": 0.5, "ssn": "078-05-1120"}});
    let found = judged("identity", Ok(answer(200, body)));
    assert_eq!(found.verdict, Verdict::Delivered);
    assert_eq!(
        found.response,
        Some(json!({"user_id": "usr_1", "confidence_score": 0.97,
            "attributes": {"tier": "gold", "recent_orders": 3, "sentiment": 0.5}}))
    );
    let bare = judged("identity", Ok(answer(200, json!({"profile": {}}))));
    assert_eq!(
        bare.response,
        Some(json!({"user_id": null, "confidence_score": 0.0,
            "attributes": {"tier": null, "recent_orders": null, "sentiment": null}}))
    );
    // A customer the platform does not know is an answer too.
    let nobody = judged("identity", Ok(answer(404, json!({}))));
    let expected = (Verdict::Delivered, Some("unknown".to_owned()), None);
    assert_eq!((nobody.verdict, nobody.status, nobody.response), expected);
    assert!(matches!(
        verdict("identity", 403, json!({})),
        Verdict::Misconfigured { .. }
    ));
}

#[test]
fn s3_06_an_order_of_gift_cards_is_issued_once_executed_and_a_person_looks_at_one_that_waits() {
    let order = |status: &str| answer(201, json!({"order": {"id": "O1", "status": status}}));
    let judged_as = |status: &str| {
        let judged = judged("tremendous", Ok(order(status)));
        (judged.verdict, judged.status)
    };
    assert_eq!(
        judged_as("EXECUTED"),
        (Verdict::Delivered, Some("issued".to_owned()))
    );
    assert_eq!(judged_as("PENDING APPROVAL"), (Verdict::Delivered, None));
    assert!(matches!(
        judged_as("FAILED"),
        (Verdict::Rejected { .. }, None)
    ));
    assert!(matches!(
        verdict("tremendous", 422, json!({"errors": {"message": "x"}})),
        Verdict::Unclear { unknown: false, .. }
    ));
}

#[test]
fn what_is_said_of_an_answer_repeats_codes_and_no_prose() {
    assert_eq!(
        said(&answer(
            400,
            json!({"code": "invalid_body", "error": "Ms Okafor owes 12", "status": "BAD"})
        )),
        "answered 400 with status BAD, code invalid_body"
    );
    assert_eq!(said(&answer(400, json!(["code"]))), "answered 400");
    assert_eq!(
        said(&answer(400, json!({"code": "4111111111111111"}))),
        "answered 400"
    );
}

#[test]
fn s3_12_ids_that_a_destination_calls_its_own_are_kept() {
    let kept = |name: &str, status: u16, body: Value| judged(name, Ok(answer(status, body))).kept;
    let order = |id: Value| {
        kept(
            "tremendous",
            201,
            json!({"order": {"id": id, "status": "EXECUTED"}}),
        )
    };
    let one = |name: &str, id: &str| Kept::from([(name.to_owned(), id.to_owned())]);
    assert_eq!(order(json!("O1")), one("order", "O1"));
    assert_eq!(order(json!(4711)), one("order", "4711"));
    // Also of an answer that decides nothing yet.
    let pending = json!({"status": "PENDING", "reward_id": "rw_1"});
    assert_eq!(kept("rewards", 201, pending), one("reward", "rw_1"));
    for none in [
        json!(null),
        json!(""),
        json!({}),
        json!(true),
        json!("x\n"),
        json!("x".repeat(201)),
    ] {
        assert_eq!(order(none.clone()), Kept::new(), "{none}");
    }
    assert_eq!(order(json!("x".repeat(200))).len(), 1);
    assert_eq!(kept("rewards", 503, Value::Null), Kept::new());
    assert_eq!(
        judged("rewards", Err(Fault::Lost("x".into()))).kept,
        Kept::new()
    );
}
