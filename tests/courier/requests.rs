//! The requests that `config/destinations.toml` makes, to the letter: method, address, headers, body.

use aftercall::delivery::attempt::{Fault, Verdict};
use serde_json::{Value, json};

use super::{
    fixtures::{Office, answer, example},
    vendor::{Received, Reply, Vendor},
};

#[tokio::test]
async fn s1_02_a_survey_token_is_asked_for_with_a_client_token() {
    let (office, vendor) = configured(&["survey"]).await;
    vendor.on("POST /oauth/token", vec![token("t-1")]);
    vendor.on(
        "POST /v1/tokens/generate",
        vec![Reply::Json(
            201,
            json!({"token": "jwt", "expires_at": "2026-11-20T08:36:09Z"}),
        )],
    );
    let courier = office.courier("survey-tokens");
    let attempt = courier
        .attempt(&example("survey_token.requested"), None, 1)
        .await;
    assert_eq!(attempt.verdict, Verdict::Delivered);
    assert_eq!(
        attempt.response,
        Some(json!({"token": "jwt", "expires_at": "2026-11-20T08:36:09Z"}))
    );
    let received = vendor.take();
    assert_eq!(received[0].line, "POST /oauth/token");
    assert_eq!(received[1].header("authorization"), "Bearer t-1");
    assert_eq!(received.len(), 2);
    assert_request(
        &received[1],
        "POST /v1/tokens/generate",
        &[],
        json!({
            "grant_type": "client_credentials",
            "scope": "survey:read survey:write",
            "claims": {
                "sub": "agent-0417",
                "interaction_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
                "exp_offset_seconds": 300,
            },
        }),
    );
}

#[tokio::test]
async fn s1_08_a_scored_answer_goes_to_the_warehouse() {
    let received = sent("warehouse", "enps.scored", 202, json!({})).await;
    assert_request(
        &received,
        "POST /api/v1/enps_events",
        &[
            ("authorization", "Bearer t-1"),
            ("idempotency-key", "enps:enps-3301"),
        ],
        json!({
            "event_type": "enps_submission",
            "agent_id": "agent-0417",
            "interaction_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
            "raw_score": 4,
            "category": "detractor",
            "submitted_at": "2026-11-20T08:32:40.000Z",
            "metadata": {"queue_id": "billing-emea", "wrap_up_code": "billing_dispute"},
        }),
    );
}

#[tokio::test]
async fn s3_06_a_reward_is_requested_with_its_keys_and_nothing_beyond() {
    let received = sent(
        "rewards",
        "reward.requested",
        201,
        json!({"status": "ISSUED"}),
    )
    .await;
    let id = "0bb764a1-2fbd-86ce-8c5e-866fce82a61d";
    assert_request(
        &received,
        "POST /v1/rewards/issue",
        &[
            ("authorization", "Bearer t-1"),
            ("x-integration-id", "aftercall"),
            ("x-request-id", id),
            ("idempotency-key", id),
        ],
        json!({
            "agent_id": "agent-0417",
            "reward_type": "gift_card_25",
            "points_consumed": 500,
            "transaction_timestamp": "2026-11-20T08:45:12.310Z",
            "metadata": {
                "source_platform": "aftercall",
                "wfm_export_version": "daily-2026-11-19-r2",
            },
        }),
    );
}

#[tokio::test]
async fn s4_03_a_profile_is_put_under_its_idempotency_key() {
    let (office, vendor) = configured(&["crm"]).await;
    vendor.on("POST /oauth/token", vec![token("t-1")]);
    vendor.on(
        "PUT /v1/customers/customer-0048213",
        vec![Reply::Json(200, json!({}))],
    );
    let courier = office.courier("crm");
    let parcel = example("profile.updated");
    assert_eq!(
        courier.thread(&parcel),
        Ok(Some("customer-0048213".to_owned()))
    );
    let attempt = courier.attempt(&parcel, None, 1).await;
    assert_eq!(attempt.verdict, Verdict::Delivered);
    let received = vendor.take();
    assert_profile(&received[1], "PUT /v1/customers/customer-0048213");
}

#[tokio::test]
async fn s4_06_an_unknown_customer_is_created_in_the_same_attempt() {
    let (office, vendor) = configured(&["crm"]).await;
    vendor.on("POST /oauth/token", vec![token("t-1")]);
    vendor.on(
        "PUT /v1/customers/customer-0048213",
        vec![Reply::Json(404, json!({"error": "unknown"}))],
    );
    vendor.on(
        "POST /v1/customers",
        vec![
            Reply::Json(201, json!({})),
            Reply::Json(503, json!({})),
            Reply::Break,
        ],
    );
    let courier = office.courier("crm");
    let parcel = example("profile.updated");
    let created = courier.attempt(&parcel, None, 1).await;
    assert_eq!(created.verdict, Verdict::Delivered);
    assert_eq!(answer(&created).status, 201);
    let received = vendor.take();
    assert_eq!(received.len(), 3);
    assert_profile(&received[1], "PUT /v1/customers/customer-0048213");
    assert_profile(&received[2], "POST /v1/customers");
    // What becomes of the second request is what becomes of the attempt.
    let busy = courier.attempt(&parcel, None, 2).await;
    assert!(matches!(
        busy.verdict,
        Verdict::Again { unknown: false, .. }
    ));
    let lost = courier.attempt(&parcel, None, 3).await;
    assert!(matches!(lost.result, Err(Fault::Lost(_))), "{lost:?}");
    assert!(matches!(lost.verdict, Verdict::Again { unknown: true, .. }));
}

#[tokio::test]
async fn s5_01_s5_02_s5_05_a_customer_is_resolved_and_only_the_summary_kept() {
    let (office, vendor) = configured(&["cdp"]).await;
    vendor.on(
        "POST /v1/profiles/resolve",
        vec![Reply::Json(
            200,
            json!({
                "profile": {"cdp_user_id": "cdp-91f3", "tier": "gold", "recent_order_count": 3,
                    "ssn": "078-05-1120", "address": "1 High Street"},
                "confidence_score": 0.93,
            }),
        )],
    );
    let courier = office.courier("identity");
    let attempt = courier
        .attempt(&example("identity.requested"), None, 1)
        .await;
    assert_eq!(attempt.verdict, Verdict::Delivered);
    let response = attempt.response.as_ref().expect("a response").to_string();
    assert!(response.contains("gold") && !response.contains("High Street"));
    // S5.09: what is kept of the answer itself has no number of a person in it.
    assert!(!answer(&attempt).body.to_string().contains("078-05-1120"));
    assert_request(
        &vendor.only(),
        "POST /v1/profiles/resolve",
        &[("authorization", "Bearer secret-CDP_TOKEN")],
        json!({"identifier": "+493055501234", "channel": "voice", "source": "genesys"}),
    );
}

#[tokio::test]
async fn s5_06_an_outcome_is_tracked() {
    let received = sent("track", "interaction.outcome", 200, json!({})).await;
    assert_request(
        &received,
        "POST /v1/interactions/track",
        &[
            ("authorization", "Bearer secret-CDP_TOKEN"),
            (
                "idempotency-key",
                "outcome:7c9e6679-7425-40de-944b-e07fc1f90ae7:1795162801000",
            ),
        ],
        json!({
            "userId": "cdp-91f3",
            "interactionType": "voice",
            "outcome": "complaint",
            "duration": 666,
            "agentId": "agent-0417",
            "timestamp": "2026-11-20T08:31:07.400Z",
        }),
    );
}

/// Every destination of the reference, with all vendors at one address.
async fn configured(vars: &[&str]) -> (Office, Vendor) {
    let vendor = Vendor::start().await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/destinations.toml");
    let mut text = std::fs::read_to_string(file).expect("the reference");
    for var in vars {
        let key = format!("\n{var} = \"");
        let (before, after) = text.split_once(&key).expect("a variable");
        let (_, after) = after.split_once('"').expect("its end");
        text = format!("{before}{key}{}\"{after}", vendor.url());
    }
    (Office::new(&text), vendor)
}

/// The one request that an example makes, answered with yes.
async fn sent(destination: &str, event_type: &str, status: u16, body: Value) -> Received {
    let (office, vendor) = configured(&["warehouse", "rewards", "cdp"]).await;
    for line in [
        "POST /api/v1/enps_events",
        "POST /v1/rewards/issue",
        "POST /v1/interactions/track",
    ] {
        vendor.on(line, vec![Reply::Json(status, body.clone())]);
    }
    vendor.on("POST /oauth/token", vec![token("t-1")]);
    let courier = office.courier(destination);
    let attempt = courier.attempt(&example(event_type), None, 1).await;
    assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
    let mut received = vendor.take();
    let request = received.pop().expect("a request");
    let before: Vec<&str> = received.iter().map(|one| one.line.as_str()).collect();
    assert!(
        matches!(before[..], [] | ["POST /oauth/token"]),
        "{before:?}"
    );
    request
}

fn token(value: &str) -> Reply {
    Reply::Json(
        200,
        json!({"access_token": value, "token_type": "Bearer", "expires_in": 3600}),
    )
}

fn assert_profile(received: &Received, line: &str) {
    assert_request(
        received,
        line,
        &[
            ("authorization", "Bearer t-1"),
            (
                "idempotency-key",
                "7c9e6679-7425-40de-944b-e07fc1f90ae7-2026-11-20T08:20:01.000Z",
            ),
        ],
        json!({
            "id": "customer-0048213",
            "attributes": {
                "last_interaction_summary": "Customer disputed a late fee on the October invoice for the third time. Agent explained the due date and filed a complaint.",
                "sentiment": -0.62,
                "segmentation_tags": ["churn_risk", "repeat_contact"],
            },
            "last_updated": "2026-11-20T08:31:07.655Z",
        }),
    );
}

fn assert_request(received: &Received, line: &str, headers: &[(&str, &str)], body: Value) {
    assert_eq!(received.line, line);
    assert_eq!(received.header("content-type"), "application/json");
    for (name, value) in headers {
        assert_eq!(received.header(name), *value, "{name}");
    }
    assert_eq!(received.json(), body);
}
