//! What becomes of an interaction: the customer's profile, the agent's survey, the platform that knows who it was
//! (S1, S4, S5).

use aftercall::sandbox::{call::Vendor, faults::Fault};
use serde_json::{Value, json};

use crate::centre::{Centre, Place, Plan};

const STARTED: &str = "2026-11-20T08:20:01.000Z";
const ENDED: &str = "2026-11-20T08:31:07.000Z";

/// An interaction that has ended.
pub fn completion(interaction: &str, customer: &str) -> Value {
    json!({
        "interaction_id": interaction, "channel": "voice", "queue_id": "billing", "agent_id": "a-17",
        "customer": { "customer_id": customer }, "started_at": STARTED, "ended_at": ENDED,
        "disposition": "solved", "summary": format!("This was {interaction}."),
    })
}

/// The key under which a CRM is told of it (S4.03).
pub fn profile_key(interaction: &str) -> String {
    format!("{interaction}-{STARTED}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_03_s4_05_s4_06_an_unknown_customer_is_created_once_and_later_updates_merge() {
    let plan = Plan {
        destinations: &["crm"],
        changes: &[
            // A down CRM is tried again and again, so that updates meet while one waits.
            (
                "crm",
                r#"retry = { first = "50ms", max = "200ms", attempts = 100 }"#,
            ),
            (
                "crm",
                r#"breaker = { failures = 10000, within = "1s", open = "30s" }"#,
            ),
            ("crm", r#"merge = "500ms""#),
        ],
        // The actor merges nothing, so that the destination has something to merge.
        rules: &[("merge = \"5s\"", "merge = \"0s\"")],
    };
    let centre = Centre::open(Place::Embedded, &plan).await;
    let [first, again] = ["i-1", "i-2"].map(profile_key);
    centre
        .post(&[("interaction.completed", "1", completion("i-1", "c-1"))])
        .await;
    centre.until_done(Vendor::Crm, &first).await;
    centre
        .post(&[("interaction.completed", "2", completion("i-2", "c-1"))])
        .await;
    centre.until_done(Vendor::Crm, &again).await;
    let expected = [
        json!(["PUT", "/crm/v1/customers/c-1", first, 404]),
        json!(["POST", "/crm/v1/customers", first, 201]),
        json!(["PUT", "/crm/v1/customers/c-1", again, 200]),
    ];
    assert_eq!(requests(&centre), expected);
    // Of whom the CRM did not have, operators find the id in the log at its ordinary level.
    let logged = centre.logged();
    let created: Vec<&str> = logged
        .lines()
        .filter(|line| line.contains("another request instead"))
        .collect();
    assert_eq!(created.len(), 1, "{logged}");
    for part in ["INFO", "customer/c-1", "crm", "POST", "404", "201"] {
        assert!(created[0].contains(part), "{part}: {}", created[0]);
    }

    let keys = ["i-3", "i-4", "i-5"].map(profile_key);
    let fault = Fault::Status {
        status: 503,
        retry_after: None,
    };
    centre.break_down(Vendor::Crm, fault);
    centre
        .post(&[("interaction.completed", "3", completion("i-3", "c-2"))])
        .await;
    centre
        .until("an attempt", async || {
            let requests = requests(&centre);
            requests
                .iter()
                .any(|request| request[2] == keys[0])
                .then_some(())
        })
        .await;
    centre
        .post(&[
            ("interaction.completed", "4", completion("i-4", "c-2")),
            ("interaction.completed", "5", completion("i-5", "c-2")),
        ])
        .await;
    centre
        .until("the older two to be merged into the newest", async || {
            let merged = centre
                .figure("aftercall_delivery_merged_total", "crm", None)
                .await;
            (merged == Some(2)).then_some(())
        })
        .await;
    centre.sandbox.sandbox.clear_faults();
    centre.until_done(Vendor::Crm, &keys[2]).await;
    let done = keys.map(|key| centre.sandbox.sandbox.executions(Vendor::Crm, &key));
    assert_eq!(done, [0, 0, 1]);
    let last = centre.calls(Vendor::Crm).pop().expect("a call");
    assert_eq!(
        (&last["method"], &last["status"]),
        (&json!("POST"), &json!(201))
    );
    let summary = &last["body"]["attributes"]["last_interaction_summary"];
    assert_eq!(summary, "This was i-5.");
    centre.close().await;
}

/// What the CRM was asked: method, path, key, status.
fn requests(centre: &Centre) -> Vec<Value> {
    let calls = centre.calls(Vendor::Crm).into_iter();
    let calls = calls.filter(|call| {
        call["path"]
            .as_str()
            .is_some_and(|path| path.contains("/v1/"))
    });
    calls
        .map(|call| json!([call["method"], call["path"], call["key"], call["status"]]))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s5_11_s5_13_a_caller_with_only_a_number_is_resolved_by_it_and_tracked() {
    let plan = Plan {
        destinations: &["identity", "track"],
        ..Plan::default()
    };
    let centre = Centre::open(Place::Embedded, &plan).await;
    let told = json!({
        "status": { "+15550002": "error", "+15550003": "partial", "+15550004": "" },
    });
    let control = centre.sandbox.sandbox.control("/control/cdp", &told);
    control.expect("statuses");
    let start = |interaction: &str, customer: Value| {
        let data = json!({
            "interaction_id": interaction, "channel": "voice", "queue_id": "billing", "customer": customer,
            "started_at": STARTED,
        });
        ("interaction.started", data)
    };
    let starts = [
        start("i-1", json!({ "phone": "+1 (555) 00-01" })),
        // A 200 that says something else than success is no answer.
        start("i-2", json!({ "phone": "+1 555 0002" })),
        start("i-3", json!({ "phone": "+1 555 0003" })),
        start("i-4", json!({ "phone": "+1 555 0004" })),
        // Of several identifiers the number comes first, and a withheld one is none.
        start(
            "i-5",
            json!({ "customer_id": "c-6", "phone": "001 555 0005" }),
        ),
        start(
            "i-6",
            json!({ "phone": "anonymous", "email": "Ann@Example.com" }),
        ),
        start("i-7", json!({ "phone": "anonymous" })),
    ];
    for (event_type, data) in starts {
        let id = data["interaction_id"].as_str().expect("an id").to_owned();
        centre.post(&[(event_type, &id, data)]).await;
    }
    for (interaction, status) in [
        ("i-1", "resolved"),
        ("i-2", "failed"),
        ("i-3", "failed"),
        ("i-4", "resolved"),
        ("i-5", "resolved"),
        ("i-6", "resolved"),
    ] {
        let outcome = centre.until_told(&format!("identity:{interaction}")).await;
        assert_eq!(&*outcome.status, status, "{interaction}");
    }
    let mut asked: Vec<Value> = centre
        .calls(Vendor::Cdp)
        .into_iter()
        .map(|call| json!([call["body"]["identifier"], call["body"]["source"]]))
        .collect();
    asked.sort_by_key(Value::to_string);
    asked.dedup();
    let names = [
        "+15550001",
        "+15550002",
        "+15550003",
        "+15550004",
        "+15550005",
        "ann@example.com",
    ];
    assert_eq!(asked, names.map(|name| json!([name, "genesys"])));

    // The end of the interaction, and its disposition later, by the same number in another spelling.
    let mut end = completion("i-1", "nobody");
    end["customer"] = json!({ "phone": "tel:+1-555-0001" });
    end["disposition"] = "No Disposition".into();
    let change = json!({
        "interaction_id": "i-1", "updated_at": "2026-11-20T08:40:00Z", "disposition": "sold",
        "customer": { "phone": "+15550001" },
    });
    centre
        .post(&[("interaction.completed", "end-1", end)])
        .await;
    centre
        .post(&[("interaction.updated", "change-1", change)])
        .await;
    let tracked = centre
        .until("a tracked outcome", async || {
            let mut calls = centre.calls(Vendor::Cdp).into_iter();
            calls.find(|call| call["path"] == "/cdp/v1/interactions/track")
        })
        .await;
    assert_eq!(tracked["body"]["outcome"], "sold");
    let outcomes = centre.outputs_of("interaction.outcome").await;
    assert_eq!(outcomes.len(), 1);
    assert!(
        outcomes[0].subject.starts_with("caller/"),
        "{:?}",
        outcomes[0]
    );
    // No profile without a customer id.
    assert_eq!(centre.outputs_of("profile.updated").await, []);
    assert!(!centre.logged().contains("5550001"), "{}", centre.logged());
    centre.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_02_s5_01_s5_02_s5_06_a_token_is_asked_for_and_outcomes_only_of_whom_the_platform_is_sure()
 {
    let plan = Plan {
        destinations: &["survey-tokens", "identity", "track"],
        ..Plan::default()
    };
    let centre = Centre::open(Place::Embedded, &plan).await;
    // The sandbox's platform goes by the last character: 9 is sure to 0.9 and no more, 6 is nobody.
    let (sure, unsure, nobody) = ("customer-1", "customer-9", "customer-6");
    let start = |interaction: &str, customer: &str| {
        json!({
            "interaction_id": interaction, "channel": "voice", "queue_id": "billing", "agent_id": "a-17",
            "customer": { "customer_id": customer }, "started_at": STARTED,
        })
    };
    let wrapup = |session: &str| {
        json!({
            "interaction_id": "i-1", "session_id": session, "agent_id": "a-17", "queue_id": "billing",
            "status": "code_selected", "wrap_up_code": "billing_dispute",
        })
    };
    centre
        .post(&[
            ("interaction.started", "start-1", start("i-1", sure)),
            ("interaction.started", "start-2", start("i-2", unsure)),
            ("interaction.started", "start-3", start("i-3", nobody)),
            // Of several triggers one asks.
            ("interaction.wrapup", "wrapup-1", wrapup("desktop-1")),
            ("interaction.wrapup", "wrapup-2", wrapup("desktop-1")),
        ])
        .await;

    let token = centre.until_told("survey_token:a-17:i-1").await;
    assert_eq!(&*token.status, "ready");
    let response = token.response.expect("a token");
    assert!(
        response["token"]
            .as_str()
            .is_some_and(|token| token.starts_with("svt_"))
    );
    assert!(response["expires_at"].is_string());
    let generated = centre.calls(Vendor::Survey);
    assert_eq!(generated.len(), 1, "{generated:?}");
    let claims = json!({ "sub": "a-17", "interaction_id": "i-1", "exp_offset_seconds": 300 });
    assert_eq!(generated[0]["body"]["claims"], claims);

    let known = centre.until_told("identity:i-1").await;
    let doubtful = centre.until_told("identity:i-2").await;
    let unknown = centre.until_told("identity:i-3").await;
    assert_eq!((&*unknown.status, unknown.response), ("unknown", None));
    assert_eq!(
        (&*known.status, &*doubtful.status),
        ("resolved", "resolved")
    );
    let known = known.response.expect("a profile");
    assert_eq!(known["confidence_score"], 0.95);
    assert_eq!(
        doubtful.response.expect("a profile")["confidence_score"],
        0.9
    );
    // What the platform sends besides never gets into the log (S5.05).
    let mut shown: Vec<&String> = known.as_object().expect("an object").keys().collect();
    shown.sort();
    assert_eq!(shown, ["attributes", "confidence_score", "user_id"]);

    // Completions after the outcomes, in the order of the log: the one who is known last.
    centre
        .post(&[
            ("interaction.completed", "end-3", completion("i-3", nobody)),
            ("interaction.completed", "end-2", completion("i-2", unsure)),
            ("interaction.completed", "end-1", completion("i-1", sure)),
        ])
        .await;
    let tracked = centre
        .until("a tracked outcome", async || {
            let calls = centre.calls(Vendor::Cdp);
            calls
                .into_iter()
                .find(|call| call["path"] == "/cdp/v1/interactions/track")
        })
        .await;
    let expected = json!({
        "userId": known["user_id"], "interactionType": "voice", "outcome": "solved", "duration": 666,
        "agentId": "a-17", "timestamp": ENDED,
    });
    assert_eq!(tracked["body"], expected);
    // Each completion updates a profile, in the same step in which it would be tracked: all have been taken.
    centre.until_outputs("profile.updated", 3).await;
    let outcomes = centre.outputs_of("interaction.outcome").await;
    let of: Vec<&str> = outcomes
        .iter()
        .map(|outcome| outcome.subject.as_str())
        .collect();
    assert_eq!(of, [format!("customer/{sure}")]);
    let tracks = centre.calls(Vendor::Cdp);
    let tracks = tracks
        .iter()
        .filter(|call| call["path"] == "/cdp/v1/interactions/track");
    assert_eq!(tracks.count(), 1);
    // Whom nobody knows is no fault of anybody's.
    assert_eq!(centre.dead(&["ls", "--json"]), [json!(null); 0]);
    assert_eq!(centre.outputs_of("alert.raised").await, []);
    centre.close().await;
}
