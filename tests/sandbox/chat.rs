//! Slack and Teams: their limits, their refusals, and what stands in the channels.

use aftercall::sandbox::Settings;
use serde_json::{Value, json};

use super::fixtures::{Answer, START_MS, Vendors};

fn post(vendors: &mut Vendors, body: &Value) -> Answer {
    vendors.post("/slack/api/chat.postMessage", body)
}

fn update(vendors: &mut Vendors, body: &Value) -> Answer {
    vendors.post("/slack/api/chat.update", body)
}

fn hello(channel: &str) -> Value {
    json!({ "channel": channel, "text": "hello" })
}

/// Vendors without rate limits.
fn patient() -> Vendors {
    Vendors::with(&Settings {
        has_limits: false,
        ..Settings::default()
    })
}

fn ok(answer: &Answer) -> bool {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["ok"] == true
}

fn refusal(answer: &Answer) -> &str {
    assert!(
        !ok(answer) && answer.executed().is_none(),
        "{}",
        answer.body
    );
    answer.body["error"].as_str().expect("an error")
}

#[test]
fn s2_11_slack_takes_one_message_a_second_and_channel() {
    let mut vendors = Vendors::new();
    assert!(ok(&post(&mut vendors, &hello("C01"))));
    vendors.now_ms = START_MS + 999;
    let limited = post(&mut vendors, &hello("C01"));
    assert_eq!(
        (limited.status, &limited.body["error"]),
        (429, &json!("ratelimited"))
    );
    assert_eq!(limited.header("Retry-After"), Some("1"));
    assert!(ok(&post(&mut vendors, &hello("C02"))), "another channel");
    vendors.now_ms = START_MS + 1_000;
    assert!(ok(&post(&mut vendors, &hello("C01"))));
}

#[test]
fn s2_11_slack_updates_in_place_by_channel_and_timestamp() {
    let mut vendors = patient();
    let first = post(&mut vendors, &hello("C01"));
    let second = post(&mut vendors, &hello("C01"));
    let ts = first.body["ts"].clone();
    assert_ne!(ts, second.body["ts"], "a timestamp names one message");
    assert_eq!(first.body["message"]["bot_id"], "B0SANDBOX");
    let change = json!({ "channel": "C01", "ts": ts, "text": "recording available" });
    let updated = update(&mut vendors, &change);
    assert!(ok(&updated));
    assert_eq!(
        (&updated.body["ts"], &updated.body["channel"]),
        (&ts, &json!("C01"))
    );
    let shown = vendors.shown("/control/slack/messages?channel=C01");
    let texts: Vec<&Value> = shown
        .as_array()
        .expect("a list")
        .iter()
        .map(|message| &message["text"])
        .collect();
    assert_eq!(texts, ["recording available", "hello"]);
    assert_eq!(
        (&shown[0]["updates"], &shown[1]["updates"]),
        (&json!(1), &json!(0))
    );
    let elsewhere = json!({ "channel": "C02", "ts": ts, "text": "x" });
    assert_eq!(
        refusal(&update(&mut vendors, &elsewhere)),
        "message_not_found"
    );
    let never = json!({ "channel": "C01", "ts": "1.000001", "text": "x" });
    assert_eq!(refusal(&update(&mut vendors, &never)), "message_not_found");
}

#[test]
fn slack_messages_posted_twice_are_seen_by_the_id_in_their_metadata() {
    let mut vendors = patient();
    let mut body = hello("C01");
    body["metadata"] = json!({ "event_type": "aftercall_output", "event_payload": { "id": "o1" } });
    assert_eq!(post(&mut vendors, &body).executed(), Some("o1"));
    assert_eq!(
        post(&mut vendors, &body).executed(),
        Some("o1"),
        "Slack posts it again"
    );
    let summary = vendors.shown("/ledger/summary");
    assert_eq!(summary["slack"]["repeated"], json!({ "o1": 2 }));
}

#[test]
fn slack_lets_only_who_posted_a_message_update_it() {
    let mut vendors = patient();
    let ts = post(&mut vendors, &hello("C01")).body["ts"].clone();
    let change = json!({ "channel": "C01", "ts": ts, "text": "x" }).to_string();
    let headers = [
        ("authorization", "Bearer xoxb-sandbox"),
        ("content-type", "application/json; charset=utf-8"),
    ];
    let answer = vendors.send("POST", "/slack/api/chat.update", &headers, &change);
    assert_eq!(refusal(&answer), "cant_update_message");
}

#[test]
fn slack_updates_fifty_a_minute_and_then_waits() {
    let mut vendors = Vendors::new();
    let ts = post(&mut vendors, &hello("C01")).body["ts"].clone();
    let change = json!({ "channel": "C01", "ts": ts, "text": "x" });
    for _ in 0..50 {
        assert!(ok(&update(&mut vendors, &change)));
    }
    let limited = update(&mut vendors, &change);
    assert_eq!(
        (limited.status, limited.header("Retry-After")),
        (429, Some("2"))
    );
    vendors.now_ms += 1_200;
    assert!(ok(&update(&mut vendors, &change)));
}

#[test]
fn slack_refuses_channels_in_its_own_words() {
    let mut vendors = patient();
    let control = json!({ "missing": ["C01"], "archived": ["C02"], "not_in": ["C03"] });
    vendors.control("/control/slack", &control);
    for (channel, error) in [
        ("C01", "channel_not_found"),
        ("C02", "is_archived"),
        ("C03", "not_in_channel"),
        ("general", "channel_not_found"),
        ("c04", "channel_not_found"),
        ("", "channel_not_found"),
    ] {
        assert_eq!(
            refusal(&post(&mut vendors, &hello(channel))),
            error,
            "{channel}"
        );
    }
    for channel in ["C04", "D01", "G01", "U01", "#alerts"] {
        assert!(ok(&post(&mut vendors, &hello(channel))), "{channel}");
    }
}

#[test]
fn slack_refuses_content_in_its_own_words() {
    let mut vendors = patient();
    let header = |length| {
        let text = "x".repeat(length);
        json!({ "channel": "C01", "blocks": [
            { "type": "header", "text": { "type": "plain_text", "text": text } },
        ] })
    };
    assert_eq!(
        refusal(&post(&mut vendors, &json!({ "channel": "C01" }))),
        "no_text"
    );
    let empty = json!({ "channel": "C01", "text": "", "blocks": [] });
    assert_eq!(refusal(&post(&mut vendors, &empty)), "no_text");
    let no_list = json!({ "channel": "C01", "blocks": "[]" });
    assert_eq!(
        refusal(&post(&mut vendors, &no_list)),
        "invalid_blocks_format"
    );
    assert!(ok(&post(&mut vendors, &header(150))));
    let long = post(&mut vendors, &header(151));
    assert_eq!(refusal(&long), "invalid_blocks");
    let messages = &long.body["response_metadata"]["messages"];
    assert!(
        messages[0]
            .as_str()
            .is_some_and(|text| text.contains("/blocks/0/text"))
    );
    let many = json!({ "channel": "C01", "attachments": vec![json!({}); 101] });
    assert_eq!(refusal(&post(&mut vendors, &many)), "too_many_attachments");
    let headers = |kind| {
        [
            ("authorization", "Bearer xoxb-sandbox"),
            ("content-type", kind),
        ]
    };
    let path = "/slack/api/chat.postMessage";
    for (kind, body, error) in [
        ("application/json", "{", "invalid_json"),
        ("application/json", "[]", "json_not_object"),
        ("text/plain", "{}", "invalid_post_type"),
    ] {
        let answer = vendors.send("POST", path, &headers(kind), body);
        assert_eq!(refusal(&answer), error);
    }
    let unknown = vendors.post("/slack/api/chat.shout", &hello("C01"));
    assert_eq!(refusal(&unknown), "unknown_method");
    let invalid = [("authorization", "Bearer xoxb-other")];
    let answer = vendors.send("POST", path, &invalid, "");
    assert_eq!(refusal(&answer), "invalid_auth");
}

#[test]
fn slack_cuts_a_long_post_and_refuses_a_long_update() {
    let mut vendors = patient();
    let long = json!({ "channel": "C01", "text": "x".repeat(40_001) });
    let posted = post(&mut vendors, &long);
    let text = posted.body["message"]["text"].as_str().expect("a text");
    assert_eq!(text.len(), 40_000);
    let change =
        |length| json!({ "channel": "C01", "ts": posted.body["ts"], "text": "x".repeat(length) });
    assert!(ok(&update(&mut vendors, &change(4_000))));
    assert_eq!(
        refusal(&update(&mut vendors, &change(4_001))),
        "msg_too_long"
    );
}

#[test]
fn slack_takes_forms_with_lists_as_json() {
    let mut vendors = patient();
    let headers = [
        ("authorization", "Bearer xoxb-sandbox"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let body = "channel=C01&text=hello+there&blocks=%5B%7B%22type%22%3A%22divider%22%7D%5D";
    let answer = vendors.send("POST", "/slack/api/chat.postMessage", &headers, body);
    assert!(ok(&answer));
    assert_eq!(answer.body["message"]["text"], "hello there");
    assert_eq!(
        answer.body["message"]["blocks"],
        json!([{ "type": "divider" }])
    );
}

#[test]
fn slack_webhooks_answer_in_plain_words() {
    let mut vendors = patient();
    let control = json!({
        "no_service": ["T/B/down"], "prohibited": ["T/B/no"], "missing": ["T/B/gone"], "archived": ["T/B/old"],
    });
    vendors.control("/control/slack", &control);
    let header = "x".repeat(151);
    let long = json!({ "blocks": [{ "type": "header", "text": { "type": "plain_text", "text": header } }] });
    let hello = json!({ "text": "hello" }).to_string();
    for (hook, body, status, text) in [
        ("T/B/x", hello.as_str(), 200, "ok"),
        ("T/B/x", "{", 400, "invalid_payload"),
        ("T/B/x", "[]", 400, "invalid_payload"),
        ("T/B/x", "{}", 400, "no_text"),
        ("T/B/x", &long.to_string(), 400, "invalid_blocks"),
        ("T/B/down", &hello, 404, "no_service"),
        ("T/B/no", &hello, 403, "action_prohibited"),
        ("T/B/gone", &hello, 404, "channel_not_found"),
        ("T/B/old", &hello, 410, "channel_is_archived"),
    ] {
        let path = format!("/slack/services/{hook}");
        let headers = [("content-type", "application/json")];
        let answer = vendors.send("POST", &path, &headers, body);
        assert_eq!(
            (answer.status, answer.text()),
            (status, text),
            "{hook} {body}"
        );
        assert_eq!(answer.executed().is_some(), status == 200);
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let payload = "payload=%7B%22text%22%3A%22hi%22%7D";
    assert_eq!(
        vendors
            .send("POST", "/slack/services/y", &form, payload)
            .text(),
        "ok"
    );
    let shown = vendors.shown("/control/slack/messages?channel=T/B/x");
    assert_eq!(shown.as_array().map(Vec::len), Some(1));
}

#[test]
fn slack_webhooks_take_one_message_a_second() {
    let mut vendors = Vendors::new();
    let body = json!({ "text": "hello" });
    assert_eq!(vendors.post("/slack/services/x", &body).status, 200);
    let limited = vendors.post("/slack/services/x", &body);
    assert_eq!((limited.status, limited.text()), (429, "rate_limited"));
    assert_eq!(limited.header("Retry-After"), Some("1"));
}

fn card(text: &str) -> Value {
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": { "type": "AdaptiveCard", "version": "1.4", "body": [{ "type": "TextBlock", "text": text }] },
        }],
    })
}

#[test]
fn s2_11_teams_takes_four_requests_a_second() {
    let mut vendors = Vendors::new();
    let path = "/teams/workflows/w1";
    for _ in 0..4 {
        let answer = vendors.post(path, &card("x"));
        assert_eq!((answer.status, answer.text()), (202, ""));
    }
    let limited = vendors.post(path, &card("x"));
    assert_eq!(
        (limited.status, limited.header("Retry-After")),
        (429, Some("1"))
    );
    assert_eq!(vendors.post("/teams/workflows/w2", &card("x")).status, 202);
    vendors.now_ms += 250;
    assert_eq!(vendors.post(path, &card("x")).status, 202);
    let summary = vendors.shown("/ledger/summary");
    assert_eq!(summary["teams"]["executions"], 6);
    assert_eq!(
        summary["teams"]["bodies_repeated"], 5,
        "the same card again and again"
    );
}

#[test]
fn s2_11_teams_takes_28_kb_and_not_a_byte_more() {
    let mut vendors = Vendors::new();
    let overhead = card("").to_string().len();
    let path = "/teams/workflows/w";
    let largest = card(&"x".repeat(28 * 1_024 - overhead));
    assert_eq!(vendors.post(path, &largest).status, 202);
    let larger = card(&"x".repeat(28 * 1_024 - overhead + 1));
    assert_eq!(vendors.post(path, &larger).status, 413);
}

#[test]
fn teams_takes_adaptive_cards_in_their_envelope_only() {
    let mut vendors = patient();
    let path = "/teams/workflows/w";
    let change = |pointer: &str, value: Value| {
        let mut body = card("x");
        *body.pointer_mut(pointer).expect("a field") = value;
        body
    };
    let content = "/attachments/0/content";
    for body in [
        json!({ "@type": "MessageCard", "text": "x" }),
        json!({ "text": "x" }),
        change("/type", json!("text")),
        change("/attachments", json!([])),
        change("/attachments/0/contentType", json!("application/json")),
        change(&format!("{content}/type"), json!("Card")),
        change(&format!("{content}/version"), json!("1.6")),
        change(&format!("{content}/body"), json!([])),
    ] {
        let answer = vendors.post(path, &body);
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.body["error"]["code"], "InvalidRequestContent");
    }
    let control = json!({ "missing": ["gone"], "disabled": ["off"] });
    vendors.control("/control/teams", &control);
    assert_eq!(
        vendors.post("/teams/workflows/gone", &card("x")).status,
        404
    );
    assert_eq!(vendors.post("/teams/workflows/off", &card("x")).status, 400);
    assert_eq!(vendors.post(path, &card("seen")).status, 202);
    let shown = vendors.shown("/control/teams/messages?hook=w");
    assert_eq!(shown, json!([{ "hook": "w", "body": card("seen") }]));
}
