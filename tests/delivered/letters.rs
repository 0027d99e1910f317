//! A CRM that refuses, and one that does not answer: dead letters, what operators do about them, and everybody else.

use std::collections::BTreeSet;

use aftercall::sandbox::{call::Vendor, faults::Fault};
use serde_json::{Value, json};

use crate::{
    centre::{Centre, Place, Plan},
    customers::{completion, profile_key},
};

/// Outputs that are given up, or wait.
const COUNT: usize = 8;

/// As many customers, each with a completed interaction.
async fn complete_some(centre: &Centre) -> [String; COUNT] {
    let interactions: [String; COUNT] = std::array::from_fn(|number| format!("i-{number}"));
    let events: Vec<(&str, &str, Value)> = interactions
        .iter()
        .map(|id| {
            (
                "interaction.completed",
                id.as_str(),
                completion(id, &format!("customer-of-{id}")),
            )
        })
        .collect();
    centre.post(&events).await;
    interactions.map(|id| profile_key(&id))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_08_s4_08_refused_outputs_are_letters_told_of_once_and_delivered_when_operators_say_so()
{
    let plan = Plan {
        destinations: &["crm", "slack"],
        ..Plan::default()
    };
    let centre = Centre::open(Place::Embedded, &plan).await;
    let refused = Fault::Status {
        status: 400,
        retry_after: None,
    };
    centre.break_down(Vendor::Crm, refused);
    let keys = complete_some(&centre).await;
    let letters = centre
        .until("the letters", async || {
            let letters = centre.dead(&["ls", "--json"]);
            (letters.len() >= COUNT).then_some(letters)
        })
        .await;
    let updates = centre.outputs_of("profile.updated").await;
    let ids: BTreeSet<&str> = updates.iter().map(|update| update.id.as_str()).collect();
    let listed: BTreeSet<&str> = letters
        .iter()
        .filter_map(|letter| letter["output"]["id"].as_str())
        .collect();
    assert_eq!((listed, letters.len()), (ids, COUNT));
    for letter in &letters {
        let about =
            ["where", "reason", "attempts", "round", "retryable"].map(|name| letter[name].clone());
        assert_eq!(
            about,
            [
                json!("crm"),
                json!("rejected"),
                json!(1),
                json!(1),
                json!(true)
            ],
            "{letter}"
        );
    }
    let message = centre
        .until("an alert", async || {
            centre.slack_messages().into_iter().next()
        })
        .await;
    assert_eq!(
        message["channel"], "C0OPERATIONS",
        "they are no supervisor's: {message}"
    );
    assert_eq!(message["text"], "🔴 Critical alert: dead letters");

    centre.sandbox.sandbox.clear_faults();
    let decided = centre.dead(&[
        "retry",
        "--destination",
        "crm",
        "--all",
        "--json",
        "--by",
        "ann",
    ]);
    assert_eq!(decided.len(), COUNT);
    for key in &keys {
        centre.until_done(Vendor::Crm, key).await;
    }
    for key in &keys {
        let calls = centre.calls(Vendor::Crm);
        let calls = calls.iter().filter(|call| call["key"] == **key);
        let tries: Vec<Value> = calls
            .map(|call| json!([call["method"], call["status"]]))
            .collect();
        let expected = [
            json!(["PUT", 400]),
            json!(["PUT", 404]),
            json!(["POST", 201]),
        ];
        assert_eq!(tries, expected, "{key}");
    }
    assert_eq!(centre.dead(&["ls", "--json"]), [json!(null); 0]);

    let alerts = centre.outputs_of("alert.raised").await;
    let rules: Vec<&Value> = alerts.iter().map(|alert| &alert.data["rule"]).collect();
    assert_eq!(rules, ["dead_letters"]);
    assert_eq!(centre.slack_messages().len(), 1);
    centre.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_08_a_destination_that_hangs_keeps_its_backlog_and_delays_nobody() {
    let plan = Plan {
        destinations: &["crm", "teams", "survey-tokens", "identity"],
        changes: &[
            ("crm", r#"timeout = { connect = "100ms", total = "200ms" }"#),
            (
                "crm",
                r#"retry = { first = "50ms", max = "200ms", attempts = 100 }"#,
            ),
            // Open as long as anybody looks.
            (
                "crm",
                r#"breaker = { failures = 6, within = "1h", open = "1h" }"#,
            ),
        ],
        ..Plan::default()
    };
    let centre = Centre::open(Place::Embedded, &plan).await;
    centre.break_down(Vendor::Crm, Fault::Hang);
    complete_some(&centre).await;
    centre
        .until("the breaker to open", async || {
            let open = centre
                .figure("aftercall_delivery_breaker", "crm", Some("open"))
                .await;
            (open == Some(1)).then_some(())
        })
        .await;

    // Everybody else goes on behind that backlog.
    let now = centre.now();
    for number in 0..COUNT {
        let [survey, start, wrapup] =
            ["survey", "start", "wrapup"].map(|what| format!("{what}-{number}"));
        let interaction = format!("later-{number}");
        centre
            .post(&[
                ("interaction.completed", &interaction, completion(&interaction, "customer-1")),
                ("survey.response.created", &survey, json!({
                    "response_id": survey, "interaction_id": interaction, "submitted_at": now, "csat": 1,
                    "routing": { "agent_id": "a-17", "queue_id": "billing" },
                })),
                ("interaction.started", &start, json!({
                    "interaction_id": interaction, "channel": "voice", "started_at": now,
                    "customer": { "customer_id": "customer-1" },
                })),
                ("interaction.wrapup", &wrapup, json!({
                    "interaction_id": interaction, "session_id": "desktop-1", "agent_id": "a-17",
                    "queue_id": "billing", "status": "code_selected", "wrap_up_code": "done",
                })),
            ])
            .await;
    }
    for number in 0..COUNT {
        let token = centre
            .until_told(&format!("survey_token:a-17:later-{number}"))
            .await;
        assert_eq!(&*token.status, "ready");
        let identity = centre.until_told(&format!("identity:later-{number}")).await;
        assert_eq!(&*identity.status, "resolved");
    }
    centre
        .until("the cards", async || {
            let cards = centre.calls(Vendor::Teams);
            let done = cards.iter().filter(|card| !card["executed"].is_null());
            (done.count() >= COUNT).then_some(())
        })
        .await;

    // All of that while the other one stood still, and known to.
    let open = centre
        .figure("aftercall_delivery_breaker", "crm", Some("open"))
        .await;
    assert_eq!(open, Some(1));
    for healthy in ["teams", "survey-tokens", "identity"] {
        let closed = centre
            .figure("aftercall_delivery_breaker", healthy, Some("closed"))
            .await;
        assert_eq!(closed, Some(1), "{healthy}");
    }
    let waiting = centre
        .figure("aftercall_delivery_unfinished", "crm", None)
        .await;
    assert!(
        waiting.is_some_and(|waiting| waiting >= COUNT as u64),
        "{waiting:?}"
    );
    let (status, text) = centre.readiness().await;
    assert_eq!(
        status, 200,
        "an unwell destination is no fault of ours: {text}"
    );
    assert_eq!(centre.sandbox.sandbox.summary()["crm"].executions, 0);
    centre.close().await;
}
