//! A bad survey on its way to the people who have to know (S2).

use aftercall::{delivery::parcel::Parcel, sandbox::call::Vendor};
use serde_json::{Value, json};

use crate::centre::{Centre, Place, Plan};

const PLAN: Plan = Plan {
    destinations: &["slack", "teams", "email", "recordings", "summaries"],
    changes: &[],
    rules: &[("every = \"30s\"", "every = \"1s\"")],
};

/// The link that the recording's outcome brings; the way to the interaction goes there as well, in other words.
const LINK: &str = "<https://apps.mypurecloud.de/directory/#/engage/admin/interactions/i-1|Listen to the recording>";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_08_s2_09_s2_11_a_bad_survey_is_one_slack_message_updated_when_its_recording_is_there() {
    story(Place::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_08_s2_09_s2_11_the_same_on_a_real_nats_server() {
    story(Place::Nats).await;
}

async fn story(place: Place) {
    let centre = Centre::open(place, &PLAN).await;
    let survey = json!({
        "response_id": "r-1", "interaction_id": "i-1", "channel": "voice", "submitted_at": centre.now(), "csat": 1,
        "comment": "Nobody called back.",
        "routing": { "agent_id": "a-17", "agent_name": "Ada Byron", "queue_id": "billing" },
    });
    centre
        .post(&[("survey.response.created", "survey-1", survey)])
        .await;

    // At once, and to those who look after the queue.
    let first = centre
        .until("a message", async || {
            centre.slack_messages().into_iter().next()
        })
        .await;
    assert_eq!(first["channel"], "C0BILLING");
    assert!(says(&first, "Ada Byron (a-17)"), "{first}");
    assert!(says(&first, "Recording pending"), "{first}");
    assert!(!says(&first, LINK), "{first}");
    let supervisors = "/genesys/api/v2/routing/queues/billing/supervisors";
    assert!(asked(&centre, supervisors) > 0);

    // It is asked after until it is there, once a question and once an attempt of it.
    let recordings = "/genesys/api/v2/conversations/i-1/recordings?formatId=NONE";
    centre
        .until("two questions", async || {
            (asked(&centre, recordings) > 1).then_some(())
        })
        .await;
    assert!(
        !centre
            .slack_messages()
            .iter()
            .any(|message| says(message, LINK))
    );
    let told = json!({ "recordings": { "i-1": "available" } });
    centre
        .sandbox
        .sandbox
        .control("/control/genesys", &told)
        .expect("told");
    let updates = centre
        .until("everything to be known", async || {
            let updates = centre.outputs_of("alert.updated").await;
            let is_last = |update: &Parcel| update.data["missing"] == json!([]);
            updates.last().is_some_and(is_last).then_some(updates)
        })
        .await;
    let last = centre
        .until("the last update", async || {
            let mut messages = centre.slack_messages().into_iter();
            messages.find(|message| message["updates"] == updates.len())
        })
        .await;
    assert_eq!(
        (&last["channel"], &last["ts"]),
        (&first["channel"], &first["ts"])
    );
    assert!(says(&last, LINK), "{last}");
    assert!(!says(&last, "Recording pending"), "{last}");
    assert_eq!(centre.slack_messages().len(), 1, "one alert, one message");
    let raised = centre.outputs_of("alert.raised").await;
    let ids: Vec<&str> = raised.iter().map(|alert| alert.id.as_str()).collect();
    assert_eq!(ids, ["low_csat:r-1"]);

    // Teams gets a card for each word of it, and mail a letter, all of them in one conversation.
    let alerts = 1 + updates.len();
    let cards = centre
        .until("the cards", async || {
            let mut cards = centre.calls(Vendor::Teams);
            cards.retain(|call| !call["executed"].is_null());
            (cards.len() >= alerts).then_some(cards)
        })
        .await;
    assert_eq!(cards.len(), alerts);
    assert!(says(&cards[0]["body"], "Recording pending"), "{}", cards[0]);
    assert!(says(&cards[alerts - 1]["body"], "Listen to the recording"));
    let letters = centre
        .until("the letters", async || {
            let letters = centre.calls(Vendor::Mail);
            (letters.len() >= alerts).then_some(letters)
        })
        .await;
    assert_eq!(letters.len(), alerts);
    assert!(says(&letters[alerts - 1]["body"], "In-Reply-To: <"));
    assert_eq!(
        letters[0]["headers"]["to"],
        "supervisor.billing@example.com"
    );
    let text = letters[0]["body"].as_str().expect("text");
    assert!(
        text.contains("Subject: [warning] low_csat: agent/a-17\r\n"),
        "{text}"
    );
    assert_eq!(centre.dead(&["ls", "--json"]), [json!(null); 0]);
    centre.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_15_a_response_of_another_owner_is_one_message_and_its_points_move() {
    owners(Place::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_15_the_same_of_another_owner_on_a_real_nats_server() {
    owners(Place::Nats).await;
}

async fn owners(place: Place) {
    const SURVEY: &str = "survey.response.created";
    let centre = Centre::open(place, &PLAN).await;
    let response = |id: &str, csat: u8, revision: u8, routing: Value| {
        json!({
            "response_id": id, "interaction_id": format!("i-{id}"), "submitted_at": centre.now(),
            "csat": csat, "revision": revision, "routing": routing, "channel": "voice",
        })
    };
    // Only the queue is known; then the agent is.
    let mut survey = response("R1", 1, 0, json!({ "queue_id": "billing" }));
    centre.post(&[(SURVEY, "1", survey.clone())]).await;
    let first = centre
        .until("a message", async || {
            centre.slack_messages().into_iter().next()
        })
        .await;
    survey["routing"]["agent_id"] = json!("a-17");
    centre.post(&[(SURVEY, "2", survey.clone())]).await;
    let named = centre
        .until("the agent in it", async || {
            let mut messages = centre.slack_messages().into_iter();
            messages.find(|message| says(message, "a-17"))
        })
        .await;
    assert_eq!(
        (&named["channel"], &named["ts"]),
        (&first["channel"], &first["ts"])
    );
    // Another agent, and worse words; then all of it once more.
    let mut worse = survey.clone();
    worse["routing"]["agent_id"] = json!("a-18");
    worse["comment"] = json!("My lawyer says lawsuit.");
    let again = [
        (SURVEY, "3", worse),
        (SURVEY, "4", survey),
        (
            SURVEY,
            "5",
            response("X2", 5, 0, json!({ "agent_id": "p-3" })),
        ),
        (
            SURVEY,
            "6",
            response("X2", 5, 1, json!({ "agent_id": "p-4" })),
        ),
    ];
    centre.post(&again).await;
    centre
        .until("the rule that is worse", async || {
            let updates = centre.outputs_of("alert.updated").await;
            let is_worse = |update: &Parcel| {
                update.data["severity"] == "critical" && update.data["agent_id"] == "a-18"
            };
            updates.iter().any(is_worse).then_some(())
        })
        .await;
    for (agent, balance) in [("p-3", 0), ("p-4", 10)] {
        centre
            .until(format!("{balance} points of {agent}"), async || {
                let said = centre.run(&["ledger", "agent", agent]);
                let said = String::from_utf8_lossy(&said.stdout).into_owned();
                said.contains(&format!("balance  {balance} ")).then_some(())
            })
            .await;
    }
    let raised = centre.outputs_of("alert.raised").await;
    let ids: Vec<&str> = raised.iter().map(|alert| alert.id.as_str()).collect();
    assert_eq!(ids, ["low_csat:R1"]);
    let updates = centre.outputs_of("alert.updated").await;
    let mut ids: Vec<&str> = updates.iter().map(|update| update.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), updates.len(), "an id of two bodies: {ids:?}");
    assert_eq!(centre.slack_messages().len(), 1, "one alert, one message");
    let verified = centre.run(&["ledger", "verify"]);
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success(), "{said}");
    centre.close().await;
}

fn asked(centre: &Centre, path: &str) -> usize {
    let calls = centre.calls(Vendor::Genesys);
    calls.iter().filter(|call| call["path"] == path).count()
}

/// Whether these words stand in a message, wherever. Slack's escapes are not JSON's.
fn says(message: &Value, words: &str) -> bool {
    match message {
        Value::String(text) => text.contains(words),
        Value::Array(list) => list.iter().any(|part| says(part, words)),
        Value::Object(fields) => fields.values().any(|part| says(part, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
