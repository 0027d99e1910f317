//! Values in and out, what is refused, and that nothing overflows or runs on.

use serde_json::json;

use super::*;
use crate::sinks::scope::ANSWER;

fn evaluate(text: &str, body: Value) -> Result<Value, String> {
    let expression = Expression::parse(text, &["body"]).map_err(|e| e.to_string())?;
    expression
        .evaluate(&Scope::default().with("body", body))
        .map_err(|e| e.to_string())
}

fn refused(text: &str) -> String {
    match Expression::parse(text, &["body", "status"]) {
        Err(ExpressionError::Malformed(why)) => why,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn numbers_strings_lists_and_maps_go_in_and_out_as_json_has_them() {
    let body = json!({"n": 3, "f": 0.9, "big": u64::MAX, "ok": true, "none": null,
        "list": [{"name": "a", "on": true}, {"name": "b", "on": false}]});
    for (text, expected) in [
        ("body.n + 1", json!(4)),
        ("body.n > 2.5 && body.f < 1", json!(true)),
        ("body.f > 0.9", json!(false)),
        ("body.big > 1", json!(true)),
        ("body.none == null", json!(true)),
        ("has(body.nothing) ? 1 : 2", json!(2)),
        (
            "body.list.filter(p, p.on).map(p, {'name': p.name})",
            json!([{"name": "a"}]),
        ),
        ("body.list.exists(p, p.name == 'b')", json!(true)),
        ("body.list.all(p, p.on)", json!(false)),
        ("size(body.list) == 2", json!(true)),
        ("body['ok']", json!(true)),
        ("string(body.n) + 'x'", json!("3x")),
        ("type(body.n) == int", json!(true)),
    ] {
        assert_eq!(evaluate(text, body.clone()), Ok(expected), "{text}");
    }
}

#[test]
fn what_has_no_value_is_an_error_that_names_the_key_and_no_value() {
    let body = json!({"secret": "hunter2", "n": 1});
    for (text, expected) in [
        (
            "body.id == 1",
            "`body.id == 1` has no value: `id` is absent; ask `has(...)` before",
        ),
        (
            "body[3]",
            "`body[3]` has no value: `3` is absent; ask `has(...)` before",
        ),
    ] {
        assert_eq!(
            evaluate(text, body.clone()),
            Err(expected.to_owned()),
            "{text}"
        );
    }
    for text in [
        "body.secret + 1",
        "body.secret > 1",
        "-body.secret",
        "int(body.secret)",
        "body.secret.map(x, x)",
        "{body: 1}",
        "body.n / 0",
        "9223372036854775807 + body.n",
    ] {
        let error = evaluate(text, body.clone()).unwrap_err();
        assert!(
            error.contains("has no value") && !error.contains("hunter2"),
            "{error}"
        );
    }
    let condition = Condition::parse("body.n", &["body"]).unwrap();
    let error = condition
        .holds(&Scope::default().with("body", body))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`body.n` has no value: it is neither true nor false"
    );
}

#[test]
fn what_cannot_work_is_refused_before_it_runs() {
    assert_eq!(
        refused("stats == 200"),
        "unknown variable `stats` (known: body, status)"
    );
    assert!(refused("body.x.matches('a+')").starts_with("unknown function `matches` (known: "));
    assert!(refused("sise(body) == 1").starts_with("unknown function `sise`"));
    assert_eq!(refused(" "), "a CEL expression, not nothing");
    assert!(refused("status ==").starts_with("not a CEL expression (line 1, column "));
    assert!(refused("status == 'a").starts_with("not a CEL expression"));
    let long = format!("'{}'", "x".repeat(EXPRESSION_BYTES_MAX));
    assert!(refused(&long).contains("at most 2000 bytes"));
    let three = "body.map(a, body.map(b, body.map(c, c)))";
    assert_eq!(refused(three), "at most 2 list macros within each other");
    assert!(Expression::parse("body.map(x, x + y)", &["body"]).is_err());
    assert!(Expression::parse("body.map(x, x) == [x]", &["body"]).is_err());
}

#[test]
fn no_expression_overflows_the_stack_of_a_worker() {
    let nested =
        |open: &str, n: usize, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
    let worst = std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(move || {
            assert!(Expression::parse(&nested("(", NESTING_MAX, ")"), &[]).is_ok());
            assert!(Expression::parse(&nested("[", NESTING_MAX, "]"), &[]).is_ok());
            for n in [NESTING_MAX + 1, 20, 100, 999] {
                assert!(Expression::parse(&nested("(", n, ")"), &[]).is_err());
                assert!(Expression::parse(&nested("[", n, "]"), &[]).is_err());
                assert!(Expression::parse(&nested("{1:", n.min(400), "}"), &[]).is_err());
            }
            for n in [20, 100, 400] {
                assert!(Expression::parse(&nested("true?1:", n.min(280), ""), &[]).is_err());
                // Brackets the guard cannot see: it takes them for part of a string.
                let hidden = format!(r"r'' + {} + '", nested("(", n, ")"));
                assert!(Expression::parse(&hidden, &[]).is_err());
                let closed = format!("')))))))))))' + {}", nested("(", n, ")"));
                assert!(Expression::parse(&closed, &[]).is_err());
            }
            let mut evaluated = 0;
            for text in [
                "1+".repeat(900),
                "1-".repeat(190),
                "!".repeat(1900),
                "-".repeat(1900),
                "true&&".repeat(300),
            ] {
                let text = if text.starts_with('!') || text.starts_with("true") {
                    text + "true"
                } else {
                    text + "1"
                };
                if let Ok(expression) = Expression::parse(&text, &[]) {
                    evaluated += 1;
                    drop(expression.evaluate(&Scope::default()));
                }
            }
            for text in [
                format!("body{}", ".a".repeat(390)),
                format!("body{}", "[0]".repeat(190)),
            ] {
                let expression = Expression::parse(&text, &["body"]).unwrap();
                evaluated += 1;
                drop(expression.evaluate(&Scope::default().with("body", json!({}))));
            }
            evaluated
        });
    assert!(worst.unwrap().join().unwrap() >= 3);
}

#[test]
fn s5_05_an_evaluation_takes_a_bounded_number_of_steps() {
    let many = json!((0..5_000).collect::<Vec<_>>());
    assert!(evaluate("body.map(x, x + 1)", many.clone()).is_ok());
    let error = evaluate("body.map(x, body.exists(y, y > x))", many).unwrap_err();
    assert!(
        error.ends_with("macros over 5001 values would take more than 5000000 steps"),
        "{error}"
    );
}

#[test]
fn s3_16_an_expression_knows_whether_it_looks_into_a_body() {
    let reads = |text: &str| Expression::parse(text, &ANSWER).unwrap().reads_body();
    for text in [
        "body.status == 'ISSUED'",
        "has(body.token)",
        "body['status'] == 'x'",
        "status == 200 && body.all(r, r.success)",
        "type(body) == list",
        "size(body) == 0",
        "'ok' in body",
        "body == 'ok' && body.x == 1",
        "[1].all(r, body.x == r)",
    ] {
        assert!(reads(text), "{text}");
    }
    for text in [
        "status in [200, 201]",
        "body == 'ok'",
        "'ok' == body",
        "body != null",
        "body.contains('done')",
        "body.startsWith('ok') || string(body) == '1'",
        "headers['x'] == 'body'",
        "data.body == 1",
        "[1].all(body, body > 0)",
    ] {
        assert!(!reads(text), "{text}");
    }
}
