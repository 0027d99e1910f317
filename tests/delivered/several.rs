//! Many alerts at once, and messages for several (S2.08, S2.11): with what ships, at the pace the vendors allow.

use std::time::Instant;

use aftercall::sandbox::call::Vendor;
use serde_json::{Value, json};

use crate::centre::{Centre, Place, Plan};

fn survey(centre: &Centre, id: &str, queue: &str) -> Value {
    json!({
        "response_id": id, "interaction_id": format!("i-{id}"), "channel": "voice", "submitted_at": centre.now(),
        "csat": 1, "comment": "Nobody called back.",
        "routing": { "agent_id": "a-17", "agent_name": "Ada Byron", "queue_id": queue },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_11_a_storm_in_one_channel_delays_no_other_and_no_first_message_waits_for_an_update() {
    let plan = Plan {
        destinations: &["slack"],
        rules: &[("mode = \"send_then_update\"", "mode = \"off\"")],
        ..Plan::default()
    };
    let centre = Centre::open(Place::Embedded, &plan).await;
    let ids: Vec<String> = (0..32).map(|n| format!("r-{n}")).collect();
    let mut events: Vec<(&str, &str, Value)> = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        // One queue complains twenty times, twelve others once.
        let queue = match n {
            0..20 => "storm".to_owned(),
            n => format!("q{n}"),
        };
        events.push(("survey.response.created", id, survey(&centre, id, &queue)));
    }
    let since = Instant::now();
    centre.post(&events).await;
    let is_calm = |message: &Value| message["channel"] != "C0STORM";
    let calm = centre
        .until("the calm channels", async || {
            let messages = centre.slack_messages();
            (messages.iter().filter(|m| is_calm(m)).count() == 12).then_some(messages)
        })
        .await;
    // Twenty in one channel take nineteen seconds at least; those of the others did not wait for them.
    let storm = calm.len() - 12;
    assert!(storm < 15, "{storm} after {:?}", since.elapsed());
    centre
        .until("the storm", async || {
            (centre.slack_messages().len() == 32).then_some(())
        })
        .await;
    assert!(since.elapsed().as_secs() >= 19);
    centre.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_11_each_of_several_is_told_once_and_who_cannot_be_is_named_in_the_outcome() {
    let plan = Plan {
        destinations: &["slack", "email"],
        changes: &[
            (
                "slack",
                "to = \"C0AAA, C0BBB; U0CCC\"\noutcome = { event = \"alert.outcome\" }",
            ),
            (
                "email",
                "to = 'Ann Byron <ann@example.com>, greylisted@example.com; unknown@example.com, \
                 joerg@münchen.example'\nretry = { first = \"100ms\" }",
            ),
        ],
        rules: &[("mode = \"send_then_update\"", "mode = \"off\"")],
    };
    let centre = Centre::open(Place::Embedded, &plan).await;
    centre
        .sandbox
        .sandbox
        .control("/control/slack", &json!({ "not_in": ["C0BBB"] }))
        .expect("told");
    let event = survey(&centre, "r-1", "billing");
    centre
        .post(&[("survey.response.created", "s-1", event)])
        .await;
    let outcome = centre.until_told("low_csat:r-1").await;
    assert_eq!(&*outcome.status, "delivered");
    let response = serde_json::to_value(&outcome.response).expect("JSON");
    assert_eq!(response["refused"][0]["to"], "C0BBB", "{response}");
    let messages = centre.slack_messages();
    let mut channels: Vec<&str> = messages
        .iter()
        .filter_map(|m| m["channel"].as_str())
        .collect();
    channels.sort_unstable();
    assert_eq!(channels, ["C0AAA", "U0CCC"]);
    assert!(
        messages
            .iter()
            .all(|message| !message.to_string().contains("Recording"))
    );
    let letters = centre
        .until("both letters", async || {
            let letters = centre.calls(Vendor::Mail);
            (letters.len() >= 2).then_some(letters)
        })
        .await;
    let to: Vec<&str> = letters
        .iter()
        .filter_map(|letter| letter["headers"]["to"].as_str())
        .collect();
    assert_eq!(
        to,
        [
            "ann@example.com, joerg@xn--mnchen-3ya.example",
            "greylisted@example.com"
        ]
    );
    assert_eq!(centre.dead(&["ls", "--json"]), [json!(null); 0]);
    centre.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_08_mail_and_the_webhook_get_what_is_found_later_and_no_news_that_are_none() {
    let plan = Plan {
        destinations: &["slack-webhook", "email", "teams", "recordings", "summaries"],
        changes: &[("slack-webhook", "when = \"true\"")],
        rules: &[
            ("every = \"30s\"", "every = \"1s\""),
            ("for = \"5m\"", "for = \"4s\""),
        ],
    };
    let centre = Centre::open(Place::Embedded, &plan).await;
    let events = ["found", "never"].map(|id| {
        (
            "survey.response.created",
            id,
            survey(&centre, id, "billing"),
        )
    });
    let told = json!({ "recordings": { "i-found": "available" } });
    centre
        .sandbox
        .sandbox
        .control("/control/genesys", &told)
        .expect("told");
    centre.post(&events).await;
    // The last word about the one that is never found has gone through every destination.
    let last = centre
        .until("the end of both lookups", async || {
            let updates = centre.outputs_of("alert.updated").await;
            let of = |id: &str| {
                updates
                    .iter()
                    .filter(|u| u.data["response_id"] == id)
                    .count()
            };
            (of("found") >= 1 && of("never") >= 1).then(|| updates.last().map(|u| u.seq))
        })
        .await;
    assert!(last.is_some());
    for name in ["slack-webhook", "email", "teams"] {
        centre
            .until(format_args!("{name} to be through"), async || {
                let open = centre
                    .figure("aftercall_delivery_unfinished", name, None)
                    .await;
                (open == Some(0)).then_some(())
            })
            .await;
    }
    let count = |calls: &[Value], id: &str, words: &str| {
        let texts = calls.iter().map(Value::to_string);
        texts
            .filter(|text| text.contains(id) && text.contains(words))
            .count()
    };
    let mail = centre.calls(Vendor::Mail);
    assert_eq!(
        (
            count(&mail, "low_csat:found", ""),
            count(&mail, "low_csat:never", "")
        ),
        (2, 1)
    );
    assert_eq!(count(&mail, "In-Reply-To", "Listen to the recording"), 1);
    let cards = centre.calls(Vendor::Teams);
    assert_eq!(
        (
            count(&cards, "low_csat:found", ""),
            count(&cards, "low_csat:never", "")
        ),
        (2, 1)
    );
    let hook = centre.slack_messages();
    assert_eq!(
        (
            count(&hook, "low_csat:found", ""),
            count(&hook, "low_csat:never", "")
        ),
        (2, 1)
    );
    assert_eq!(count(&hook, "low_csat:found", "Update: "), 1);
    centre.close().await;
}
