//! Each fault as a client meets it over real HTTP, and how faults are switched.

use std::time::{Duration, Instant};

use aftercall::sandbox::{
    Settings, TOKEN,
    call::Vendor,
    faults::{Fault, Rule},
};
use reqwest::StatusCode;
use serde_json::json;

use super::wire::{PATIENCE, body, client, issue, own, spawn};

/// Shorter than what hangs.
const IMPATIENCE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn each_fault_is_met_as_it_is_named() {
    let sandbox = spawn(Settings::default());
    let patient = client(PATIENCE);
    let impatient = client(IMPATIENCE);
    let struck = |fault: &'static str| {
        let client = if matches!(fault, "hang" | "late") {
            &impatient
        } else {
            &patient
        };
        issue(client, &sandbox, fault).header("X-Sandbox-Fault", fault)
    };
    let done = |key: &str| sandbox.sandbox.executions(Vendor::Rewards, key);

    let answer = struck("status=503;retry_after=2")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "2");
    assert_eq!(done("status=503;retry_after=2"), 0);

    let answer = struck("throttle").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()["retry-after"], "1");

    for (fault, executions) in [("drop", 0), ("lost", 1)] {
        let error = struck(fault).send().await.expect_err(fault);
        assert!(
            !error.is_timeout() && !error.is_connect(),
            "{fault}: {error:?}"
        );
        assert_eq!(done(fault), executions, "{fault}");
    }
    for (fault, executions) in [("hang", 0), ("late", 1)] {
        let error = struck(fault).send().await.expect_err(fault);
        assert!(error.is_timeout(), "{fault}: {error:?}");
        assert_eq!(done(fault), executions, "{fault}");
    }

    let begun = Instant::now();
    let answer = struck("slow=400").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert!(begun.elapsed() >= Duration::from_millis(400));

    let answer = struck("lie").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(body(answer).await["status"], "REJECTED");
    assert_eq!(done("lie"), 0);

    let answer = struck("oversize").send().await.expect("an answer");
    let text = answer.text().await.expect("a text");
    assert!(text.len() > 10_240 && text.contains("ISSUED"));

    let answer = struck("explode").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(body(answer).await["code"], "unknown_fault");

    // What was done without an answer: the same key brings it.
    let again = issue(&patient, &sandbox, "lost")
        .send()
        .await
        .expect("an answer");
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(done("lost"), 1);

    let summary = sandbox.sandbox.summary();
    let rewards = &summary["rewards"];
    assert_eq!((rewards.calls, rewards.keys_repeated), (11, 0));
    assert_eq!(rewards.statuses["none"], 4);
    assert_eq!(rewards.faults.len(), 9);
}

#[tokio::test]
async fn what_is_slow_is_done_at_once_and_only_answered_later() {
    let sandbox = spawn(Settings::default());
    let request = issue(&client(IMPATIENCE), &sandbox, "k").header("X-Sandbox-Fault", "slow=5000");
    let error = request.send().await.expect_err("too slow");
    assert!(error.is_timeout());
    assert_eq!(sandbox.sandbox.executions(Vendor::Rewards, "k"), 1);
}

#[tokio::test]
async fn every_vendor_lies_in_its_own_words_and_does_nothing() {
    let sandbox = spawn(Settings::default());
    let client = client(PATIENCE);
    for (path, method) in [
        ("/slack/api/chat.postMessage", "POST"),
        ("/slack/services/x", "POST"),
        ("/teams/workflows/x", "POST"),
        ("/tremendous/api/v2/orders", "POST"),
        ("/crm/v1/customers/c1", "PUT"),
        ("/cdp/v1/interactions/track", "POST"),
        ("/survey/v1/tokens/generate", "POST"),
        ("/warehouse/api/v1/enps_events", "POST"),
        ("/coaching/v1/tasks", "POST"),
        ("/rewards/v1/rewards/x", "DELETE"),
        (
            "/salesforce/services/data/v62.0/composite/sobjects/Contact/Id__c",
            "PATCH",
        ),
        ("/hooks/x", "POST"),
    ] {
        let method = method.parse().expect("a method");
        let request = client.request(method, own(&sandbox, path));
        let answer = request
            .bearer_auth(TOKEN)
            .header("X-Sandbox-Fault", "lie")
            .json(&json!({}))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let text = answer.text().await.expect("a text");
        let is_refusal = ["false", "fail", "FAILED", "error", "REJECTED"]
            .iter()
            .any(|word| text.contains(word));
        assert!(is_refusal, "{path}: {text}");
    }
    let executions: u64 = sandbox
        .sandbox
        .summary()
        .values()
        .map(|s| s.executions)
        .sum();
    assert_eq!(executions, 0);
}

#[tokio::test]
async fn faults_are_switched_over_http() {
    let sandbox = spawn(Settings::default());
    let client = client(PATIENCE);
    let faults = own(&sandbox, "/control/faults");
    let rule = json!({ "vendor": "rewards", "method": "POST", "fault": "status=503", "count": 2 });
    let answer = client
        .post(&faults)
        .json(&rule)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(body(answer).await, json!({ "id": 1 }));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let answer = issue(&client, &sandbox, "k")
            .send()
            .await
            .expect("an answer");
        statuses.push(answer.status().as_u16());
    }
    assert_eq!(statuses, [503, 503, 201]);
    let listed = body(client.get(&faults).send().await.expect("an answer")).await;
    let expected = json!([{
        "id": 1, "vendor": "rewards", "method": "POST", "fault": "status=503", "count": 2, "struck": 2,
    }]);
    assert_eq!(listed, expected);
    for expected in [204, 404] {
        let answer = client
            .delete(format!("{faults}/1"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), expected);
    }
    for wrong in [
        json!({ "fault": "explode" }),
        json!({ "vendor": "acme", "fault": "hang" }),
        json!({ "fault": "hang", "probability": 2 }),
        json!({ "fault": "hang", "chance": 1 }),
        json!({}),
    ] {
        let answer = client
            .post(&faults)
            .json(&wrong)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{wrong}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    let rule = json!({ "fault": "throttle" });
    client
        .post(&faults)
        .json(&rule)
        .send()
        .await
        .expect("an answer");
    let answer = issue(&client, &sandbox, "k2")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        client
            .delete(&faults)
            .send()
            .await
            .expect("an answer")
            .status(),
        204
    );
    let answer = issue(&client, &sandbox, "k2")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn the_same_seed_brings_the_same_faults_to_the_same_orders() {
    let mut luck = Vec::new();
    for _ in 0..2 {
        let sandbox = spawn(Settings {
            seed: 7,
            ..Settings::default()
        });
        let rule = Rule {
            probability: Some(0.5),
            ..Rule::always(Vendor::Rewards, Fault::Lost)
        };
        sandbox.sandbox.add_fault(rule).expect("a rule");
        let client = client(PATIENCE);
        let mut hit = Vec::new();
        for key in 0..40 {
            let answer = issue(&client, &sandbox, &key.to_string()).send().await;
            hit.push(answer.is_err());
        }
        assert!(hit.contains(&true) && hit.contains(&false));
        sandbox.sandbox.clear_faults();
        assert!(issue(&client, &sandbox, "calm").send().await.is_ok());
        luck.push(hit);
    }
    assert_eq!(luck[0], luck[1]);
}
