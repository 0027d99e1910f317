//! S3.16: what cannot be judged is unknown, and only what S3.07 calls a no is one where points hang on it.

use super::*;
use crate::sinks::client::body::{self, Declared};

/// A body as it came over the wire.
fn wire(content_type: &str, bytes: &[u8]) -> Value {
    let declared = Declared {
        content_type,
        content_encoding: "",
    };
    body::read(declared, bytes, 10_000).unwrap()
}

#[test]
fn s3_16_a_success_that_cannot_be_tested_is_unknown_and_says_why() {
    let untestable = |body: Value, why: &str| {
        let why = format!("answered 200, which cannot be tested: {why}");
        assert_eq!(verdict("rewards", 200, body), again(&why, None, true));
    };
    let test = "status in [200, 201] && body.status == 'ISSUED'";
    untestable(
        json!({}),
        &format!("`{test}` has no value: `status` is absent; ask `has(...)` before"),
    );
    untestable(
        json!("<html>"),
        &format!(
            "`{test}` has no value: found no matching overload for '_._' applied to '(string, string)'"
        ),
    );
    untestable(
        Value::Null,
        &format!(
            "`{test}` has no value: found no matching overload for '_._' applied to '(null_type, string)'"
        ),
    );
    for status in [200, 201, 202, 204, 206, 226] {
        for body in [
            json!("{\"status\":\"ISSUE"),
            json!([]),
            json!(1),
            json!("ISSUED"),
            json!(null),
        ] {
            assert!(
                is_unknown(&verdict("rewards", status, body.clone())),
                "{status} {body}"
            );
        }
    }
}

#[test]
fn s3_16_the_answers_of_the_field_are_read_or_unknown_and_never_a_no() {
    let issued = wire("application/json", include_bytes!("../cases/bom.body"));
    assert_eq!(verdict("rewards", 201, issued), Verdict::Delivered);
    let cut = wire("application/json", include_bytes!("../cases/cut.body"));
    assert!(is_unknown(&verdict("rewards", 201, cut)));
    let latin = wire(
        "application/json; charset=iso-8859-1",
        b"{\"status\":\"ISSUED\",\"agent\":\"Jos\xe9\"}",
    );
    assert_eq!(verdict("rewards", 201, latin), Verdict::Delivered);
    let half = wire(
        "application/json",
        br#"{"status":"ISSUED","note":"\ud83d"}"#,
    );
    assert_eq!(verdict("rewards", 200, half), Verdict::Delivered);
    let refused = wire(
        "application/json",
        "\u{feff}{\"status\":\"REJECTED\"}".as_bytes(),
    );
    assert!(matches!(
        verdict("rewards", 200, refused),
        Verdict::Rejected { .. }
    ));
    let page = wire("text/html", b"<!DOCTYPE html><title>Sign in</title>");
    for name in [
        "rewards",
        "tremendous",
        "survey-tokens",
        "slack",
        "identity",
        "salesforce",
        "recordings",
    ] {
        assert!(is_unknown(&verdict(name, 200, page.clone())), "{name}");
    }
    // Where nothing but the status is asked for, nothing else is looked at.
    for name in ["warehouse", "webhook", "coaching", "crm", "track"] {
        for body in [page.clone(), Value::Null] {
            assert_eq!(verdict(name, 200, body), Verdict::Delivered, "{name}");
        }
    }
}

#[test]
fn s3_16_a_word_that_is_no_decision_is_no_refusal() {
    for status in [
        "PENDING",
        "pending_approval",
        "Processing",
        "QUEUED",
        "DUPLICATE",
        "ALREADY_ISSUED",
        "",
    ] {
        let said = verdict("rewards", 200, json!({ "status": status }));
        assert!(is_unknown(&said), "{status}: {said:?}");
    }
    for body in [
        json!({"status": 1}),
        json!({"status": null}),
        json!({"status": {"code": "REJECTED"}}),
    ] {
        assert!(is_unknown(&verdict("rewards", 200, body.clone())), "{body}");
    }
    // Issued only with 200 or 201 (S3.07), and refused only with these as well.
    for status in [202, 203, 206] {
        for word in ["ISSUED", "REJECTED"] {
            let said = verdict("rewards", status, json!({ "status": word }));
            assert!(is_unknown(&said), "{status} {word}: {said:?}");
        }
    }
    for status in ["REJECTED", "declined", "OUT_OF_STOCK", "POLICY_VIOLATION"] {
        let said = verdict("rewards", 201, json!({ "status": status }));
        assert!(
            matches!(said, Verdict::Rejected { .. }),
            "{status}: {said:?}"
        );
    }
}

#[test]
fn s3_16_a_status_that_the_test_of_a_success_names_is_not_another_one() {
    let text = r#"
[[destination]]
name = "rewards"
on = ["reward.requested"]
channel = "http"
url = "https://r.example/{{ id }}"
success = "status == 200 && body.status == 'ISSUED' && has(body.id)"
outcome = { event = "reward.outcome" }
"#;
    let checked = file::parse(text, "d").unwrap();
    let judgement = &checked.destinations.destinations[0].judgement;
    let said =
        |body: Value| judge(judgement, &Scope::default(), &Ok(answer(200, body)), now()).verdict;
    assert!(is_unknown(&said(json!({"status": "ISSUED"}))));
    assert!(matches!(
        said(json!({"status": "VOID"})),
        Verdict::Rejected { .. }
    ));
}

#[test]
fn s3_16_a_configuration_says_itself_which_answers_refuse_and_the_rest_is_a_persons() {
    let text = r#"
[[destination]]
name = "crm"
on = ["profile.updated"]
channel = "http"
url = "https://c.example/"
success = "status == 200 && has(body.done)"
again = "status >= 500 || status == 403 && has(body.busy)"
rejected = "status == 422 || (status == 200 && has(body.refused)) || (status == 403 && has(body.barred))"
"#;
    let checked = file::parse(text, "d").unwrap();
    let judgement = &checked.destinations.destinations[0].judgement;
    let said = |status: u16, body: Value| {
        judge(
            judgement,
            &Scope::default(),
            &Ok(answer(status, body)),
            now(),
        )
        .verdict
    };
    assert_eq!(said(200, json!({"done": 1})), Verdict::Delivered);
    for (status, body) in [
        (422, Value::Null),
        (200, json!({"refused": 1})),
        (403, json!({"barred": 1})),
    ] {
        assert!(
            matches!(said(status, body.clone()), Verdict::Rejected { .. }),
            "{status} {body}"
        );
    }
    assert!(is_unknown(&said(200, json!({}))));
    assert!(matches!(
        said(403, json!({})),
        Verdict::Misconfigured {
            alone: Some(FinalStatus::Failed),
            ..
        }
    ));
    assert!(matches!(
        said(403, json!({"busy": 1})),
        Verdict::Again { unknown: false, .. }
    ));
    for (status, body, unknown) in [
        (400, Value::Null, false),
        (404, Value::Null, false),
        (409, json!({"other": 1}), true),
        (301, Value::Null, false),
    ] {
        let expected = Verdict::Unclear {
            why: format!(
                "answered {status}, which is no success by `status == 200 && has(body.done)`"
            ),
            unknown,
        };
        assert_eq!(said(status, body), expected);
    }
    // Whether a conflict refuses, or was done before, stands in its body.
    for body in [Value::Null, json!("<html>"), json!("{\"code\":\"alrea")] {
        let why = "answered 409, and its body cannot be read";
        assert_eq!(said(409, body), again(why, None, true));
    }
}

#[test]
fn s3_12_a_reward_that_is_not_there_is_taken_back_only_after_an_attempt_that_may_have_done_it() {
    let destination = destination("reward-reversals");
    let said = |status: u16, in_doubt: bool| {
        let output = Scope::default().with("in_doubt", in_doubt.into());
        judge(
            &destination.judgement,
            &output,
            &Ok(answer(status, json!({"code": "x"}))),
            now(),
        )
        .verdict
    };
    for status in [404, 410] {
        assert_eq!(said(status, true), Verdict::Delivered);
        assert!(matches!(
            said(status, false),
            Verdict::Unclear { unknown: false, .. }
        ));
    }
    assert_eq!(said(204, false), Verdict::Delivered);
    for status in [409, 422] {
        assert!(matches!(said(status, false), Verdict::Rejected { .. }));
    }
    // In doubt 409 may as well say that it was taken back before.
    assert!(matches!(
        said(409, true),
        Verdict::Unclear { unknown: true, .. }
    ));
    assert!(matches!(said(422, true), Verdict::Rejected { .. }));
}
