//! What messages say and how much of it, one character each side of each limit.

use std::collections::BTreeMap;

use aftercall_actors::contract::{output::Kind, time::LogTime};
use serde_json::{Value, json};

use super::*;
use crate::sinks::{email::message as email, slack::message as slack, teams::card};

mod inert;

#[test]
fn s2_07_an_alert_names_agent_score_comment_interaction_recording_summary_and_rule() {
    let message = Message::compose(&alert("alert.updated", full()), &vars(), &[]);
    assert_eq!(
        message,
        Message {
            occasion: Occasion::Update,
            tone: Tone::Critical,
            headline: "Critical alert: 1/5 for Ines Kowalczyk (agent-0417)".to_owned(),
            facts: facts(&[
                ("Agent", "Ines Kowalczyk (agent-0417)"),
                ("Score", "1/5"),
                ("Queue", "billing-emea"),
                ("Rule", "critical_keyword"),
                ("Severity", "critical"),
                ("Keywords", "lawsuit, fraud"),
                ("Interaction", "7c9e/6679"),
                ("Raised", "2026-11-20T08:45:12.310Z"),
            ]),
            passages: facts(&[
                ("Comment", "Third call about the same fee."),
                ("Summary", "Customer disputed a late fee."),
            ]),
            links: vec![
                // The id is one segment of the address, whatever stands in it.
                web(
                    "Open the interaction",
                    "https://cx.example.com/i/7c9e%2F6679"
                ),
                web(
                    "Listen to the recording",
                    "https://recordings.example.com/7c9e"
                ),
                web("Take up the alert", "https://desk.example.com/a/k%3Arsp-1"),
            ],
            notes: vec![],
            reference: "k:rsp-1".to_owned(),
        }
    );
}

#[test]
fn s2_10_whoever_handled_it_is_named() {
    let said = |data: Value, subject: &str| {
        let mut parcel = alert("alert.raised", data);
        parcel.subject = subject.to_owned();
        let message = Message::compose(&parcel, &BTreeMap::new(), &[]);
        let agent = message.facts.into_iter().next();
        (
            message.headline,
            agent.map(|fact| format!("{}: {}", fact.label, fact.text)),
        )
    };
    let agent = |text: &str| Some(text.to_owned());
    let cases = [
        (
            json!({"agent_id": "agent-9", "agent_name": "Bo"}),
            "agent/agent-9",
            "Alert for Bo (agent-9)",
            agent("Agent: Bo (agent-9)"),
        ),
        // Left the company: no name any more.
        (
            json!({"agent_id": "agent-9", "agent_name": ""}),
            "agent/agent-9",
            "Alert for agent-9",
            agent("Agent: agent-9"),
        ),
        (
            json!({"owner": "bot/concierge"}),
            "bot/concierge",
            "Alert for bot concierge",
            agent("Handled by: bot concierge"),
        ),
        (
            json!({"owner": "queue/billing"}),
            "queue/billing",
            "Alert for an unassigned interaction",
            agent("Agent: unassigned"),
        ),
        (
            json!({"owner": "queue/_", "interaction_id": "i-1"}),
            "queue/_",
            "Alert for an unassigned interaction",
            agent("Agent: unassigned"),
        ),
        // A destination gave up: there was no interaction to assign.
        (
            json!({"owner": "queue/_", "rule": "dead_letters"}),
            "queue/_",
            "Alert: dead letters",
            agent("Rule: dead_letters"),
        ),
        // The policy lets neither id nor owner leave: nor does the envelope's subject.
        (json!({}), "agent/agent-9", "Alert", None),
    ];
    for (data, subject, headline, fact) in cases {
        assert_eq!(said(data, subject), (headline.to_owned(), fact));
    }
}

#[test]
fn s2_12_what_is_pending_or_missing_is_said_and_the_rest_goes_out() {
    let notes = |data: Value, more: &[&str]| {
        let more: Vec<String> = more.iter().map(|name| (*name).to_owned()).collect();
        Message::compose(&alert("alert.raised", data), &vars(), &more).notes
    };
    let pending = json!({
        "recording": {"status": "pending"},
        "missing": ["recording", "summary", "agent_name"],
    });
    assert_eq!(
        notes(pending, &["supervisor of the queue", "summary"]),
        [
            "Recording pending",
            "Not known yet: summary, agent name, supervisor of the queue"
        ]
    );
    let none = json!({"interaction_id": "i-1", "recording": {"status": "unavailable"}});
    assert_eq!(notes(none, &[]), ["Recording unavailable"]);
    let no_interaction = json!({"rule": "dead_letters", "recording": {"status": "unavailable"}});
    assert_eq!(notes(no_interaction, &[]), [""; 0]);
    // Nothing at all is known: there is an alert all the same.
    let bare = Message::compose(&alert("alert.raised", Value::Null), &vars(), &[]);
    assert_eq!(bare.headline, "Alert");
    assert_eq!(bare.reference, "out-1");
}

#[test]
fn an_address_that_is_none_makes_no_link() {
    for url in [
        "javascript:alert(1)",
        "https://x.example.com/\"onclick=\"",
        "data:text/html,x",
        "not an address",
    ] {
        let mut data = full();
        data["recording"]["url"] = json!(url);
        let message = Message::compose(&alert("alert.raised", data), &BTreeMap::new(), &[]);
        for link in message.links {
            assert!(
                link.url.starts_with("https://") && !link.url.contains('"'),
                "{link:?}"
            );
        }
    }
}

#[test]
fn any_other_output_shows_its_fields_in_words() {
    let mut parcel = alert(
        "coaching.requested",
        json!({"agent_id": "agent-9", "reason": "detractor spike", "evidence": ["r1", "r2"], "note": "x".repeat(201)}),
    );
    parcel.id = "coaching:9".to_owned();
    let message = Message::compose(&parcel, &vars(), &[]);
    assert_eq!(message.headline, "Coaching requested: agent-9");
    assert_eq!(
        message.facts,
        facts(&[
            ("Agent id", "agent-9"),
            ("Evidence", "r1, r2"),
            ("Reason", "detractor spike"),
        ])
    );
    assert_eq!(message.passages, facts(&[("Note", &"x".repeat(201))]));
    assert_eq!(message.reference, "coaching:9");
}

#[test]
fn s2_11_slack_text_cannot_mention_or_forge() {
    let mut data = full();
    data["comment"] = json!("<!channel> & <https://evil.example|your bank>\nsecond line");
    let message = Message::compose(&alert("alert.raised", data), &vars(), &[]);
    let written = slack::write(&message, usize::MAX);
    assert_eq!(
        written["blocks"][3]["text"],
        json!({ "type": "mrkdwn", "text": "*Comment*", "verbatim": true })
    );
    // Shown as it stands: there is no markup in a text of this type.
    assert_eq!(
        written["blocks"][4]["text"],
        json!({
            "type": "plain_text", "emoji": false,
            "text": "<!channel> & <https://evil.example|your bank>\nsecond line",
        })
    );
    assert_eq!(
        written["text"],
        "🔴 Critical alert: 1/5 for Ines Kowalczyk (agent-0417)"
    );
}

#[test]
fn s2_11_slack_blocks_stay_within_their_limits_and_lose_no_comment() {
    for (length, blocks) in [(3_000, 1), (3_001, 2), (4_000, 2)] {
        let comment = "x".repeat(length);
        let texts = slack_comment(&comment);
        assert_eq!(texts.len(), blocks, "{length}");
        let kept: usize = texts.iter().map(|text| text.matches('x').count()).sum();
        assert_eq!(kept, length);
    }
    // No block ends within what a reader sees as one character.
    let texts = slack_comment(&"e\u{301}".repeat(2_000));
    assert!(texts.iter().all(|text| text.starts_with('e')), "{texts:?}");
    // Far more than there can be: cut, with all that follows still there.
    let mut data = full();
    data["comment"] = json!("<".repeat(200_000));
    data["agent_name"] = json!("n".repeat(5_000));
    let message = Message::compose(&alert("alert.raised", data), &vars(), &[]);
    let written = slack::write(&message, usize::MAX);
    let blocks = written["blocks"].as_array().expect("blocks");
    assert!(blocks.len() <= slack::BLOCKS_MAX, "{}", blocks.len());
    assert!(blocks.iter().any(|block| {
        block["text"]["text"]
            .as_str()
            .is_some_and(|text| text.contains("|Open the interaction>"))
    }));
    for text in texts_of(&written["blocks"]) {
        assert!(text.chars().count() <= slack::TEXT_CHARS_MAX);
    }
    let header = written["blocks"][0]["text"]["text"].as_str().expect("text");
    assert_eq!(header.chars().count(), slack::HEADER_CHARS_MAX);
}

#[test]
fn s2_11_a_card_is_shortened_to_28_kilobytes_and_never_refused() {
    let size = |comment: &str| {
        let mut data = full();
        data["comment"] = json!(comment);
        let message = Message::compose(&alert("alert.raised", data), &vars(), &[]);
        let card = card::write(&message, usize::MAX);
        let shown = texts_of(&card)
            .iter()
            .map(|text| text.matches('x').count())
            .max()
            .unwrap_or(0);
        (card.to_string().len(), shown)
    };
    let (empty, _) = size("x");
    let fits = card::BYTES_MAX - (empty - 1);
    assert_eq!(size(&"x".repeat(fits)), (card::BYTES_MAX, fits));
    let (bytes, shown) = size(&"x".repeat(fits + 1));
    assert!(bytes <= card::BYTES_MAX && shown < fits + 1 && shown > fits - 100);
    // Characters that take six bytes each in JSON.
    let (bytes, _) = size(&"\u{1}".repeat(100_000));
    assert!(bytes <= card::BYTES_MAX, "{bytes}");
    // Many fields, none of them long.
    let fields: serde_json::Map<String, Value> = (0..5_000)
        .map(|n| (format!("field_{n}"), json!(n)))
        .collect();
    let parcel = alert("enps.scored", Value::Object(fields));
    let message = Message::compose(&parcel, &vars(), &[]);
    assert!(card::write(&message, usize::MAX).to_string().len() <= card::BYTES_MAX);
}

#[test]
fn s2_12_what_a_destination_allows_shortens_a_message_and_never_refuses_it() {
    let mut data = full();
    data["comment"] = json!("&".repeat(4_000));
    let message = Message::compose(&alert("alert.raised", data), &vars(), &[]);
    for most in [10 * 1024, 6 * 1024] {
        let blocks = slack::write(&message, most).to_string();
        assert!(blocks.len() <= most && blocks.contains("billing-emea"));
        let card = card::write(&message, most).to_string();
        assert!(card.len() <= most && card.contains("billing-emea"));
        let email = email::write(&message, most);
        assert!(email.html.len() + email.text.len() <= most);
        assert!(email.html.contains("billing-emea"));
    }
}

#[test]
fn s2_11_an_email_escapes_text_and_its_subject_is_one_line() {
    let mut data = full();
    data["agent_name"] = json!("Bo\r\nBcc: all@example.com");
    data["comment"] = json!("<script>alert('x')</script> & more");
    let message = Message::compose(&alert("alert.raised", data), &vars(), &[]);
    let email = email::write(&message, usize::MAX);
    assert_eq!(
        email.subject,
        "Critical alert: 1/5 for Bo Bcc: all@example.com (agent-0417)"
    );
    assert!(!email.html.contains("<script"));
    assert!(
        email
            .html
            .contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; more")
    );
    assert!(email.text.contains("> <script>alert('x')</script> & more"));
    assert!(
        email
            .html
            .contains("<a href=\"https://cx.example.com/i/7c9e%2F6679\">")
    );
    assert_eq!(email::subject(&"x".repeat(150)), "x".repeat(150));
    assert_eq!(
        email::subject(&"x".repeat(151)),
        format!("{}…", "x".repeat(149))
    );
}

/// Texts of the blocks that hold the comment.
fn slack_comment(comment: &str) -> Vec<String> {
    let mut data = full();
    data["comment"] = json!(comment);
    data["summary"] = Value::Null;
    let message = Message::compose(&alert("alert.raised", data), &BTreeMap::new(), &[]);
    let written = slack::write(&message, usize::MAX);
    let texts: Vec<String> = written["blocks"]
        .as_array()
        .expect("blocks")
        .iter()
        .skip_while(|block| block["text"]["text"] != "*Comment*")
        .skip(1)
        .take_while(|block| block["text"]["type"] == "plain_text")
        .filter_map(|block| block["text"]["text"].as_str())
        .map(ToOwned::to_owned)
        .collect();
    for text in &texts {
        assert!(text.chars().count() <= slack::TEXT_CHARS_MAX);
    }
    texts
}

/// Every string under a key `text`.
fn texts_of(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(text) if name == "text" => vec![text.clone()],
                _ => texts_of(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(texts_of).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    }
}

fn full() -> Value {
    json!({
        "alert_id": "k:rsp-1",
        "rule": "critical_keyword",
        "severity": "critical",
        "owner": "agent/agent-0417",
        "agent_id": "agent-0417",
        "agent_name": "Ines Kowalczyk",
        "queue_id": "billing-emea",
        "interaction_id": "7c9e/6679",
        "csat": 1,
        "comment": "Third call about the same fee.",
        "keywords": ["lawsuit", "fraud"],
        "recording": {"status": "available", "url": "https://recordings.example.com/7c9e"},
        "summary": "Customer disputed a late fee.",
        "missing": [],
        "raised_at": "2026-11-20T08:45:12.310Z",
    })
}

fn alert(event_type: &str, data: Value) -> Parcel {
    Parcel {
        seq: 1,
        id: "out-1".to_owned(),
        kind: Kind::Alert,
        event_type: event_type.to_owned(),
        subject: "agent/agent-0417".to_owned(),
        stored_at: LogTime(0),
        attributes: BTreeMap::new(),
        data,
    }
}

fn vars() -> BTreeMap<String, String> {
    [
        ("interaction_link", "https://cx.example.com/i/{id}"),
        ("alert_link", "https://desk.example.com/a/{id}"),
    ]
    .map(|(name, url)| (name.to_owned(), url.to_owned()))
    .into()
}

fn facts(pairs: &[(&str, &str)]) -> Vec<Fact> {
    pairs
        .iter()
        .map(|(label, text)| Fact {
            label: (*label).to_owned(),
            text: (*text).to_owned(),
        })
        .collect()
}

fn web(label: &str, url: &str) -> Link {
    Link {
        label: label.to_owned(),
        url: url.to_owned(),
    }
}
