//! Over real HTTP: each fault as a client meets it, the ledger as it is read, and many requests at once.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::Once,
    time::{Duration, Instant},
};

use aftercall::sandbox::{
    self, Settings, Spawned, TOKEN,
    call::Vendor,
    faults::{Fault, Rule},
    ledger::Filter,
};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::fixtures::order;

/// Longer than any answer takes that is not held back.
const PATIENCE: Duration = Duration::from_secs(10);

/// Shorter than what hangs.
const IMPATIENCE: Duration = Duration::from_millis(300);

fn spawn(settings: Settings) -> Spawned {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    sandbox::spawn(listen, settings).expect("a free port")
}

fn client(timeout: Duration) -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .expect("the first one");
    });
    Client::builder()
        .timeout(timeout)
        .build()
        .expect("a client")
}

/// An order under a key.
fn issue(client: &Client, sandbox: &Spawned, key: &str) -> RequestBuilder {
    let url = format!("{}/v1/rewards/issue", sandbox.url(Vendor::Rewards));
    client
        .post(url)
        .bearer_auth(TOKEN)
        .header("X-Integration-ID", "aftercall")
        .header("X-Request-ID", key)
        .header("Idempotency-Key", key)
        .json(&order(key))
}

fn own(sandbox: &Spawned, path: &str) -> String {
    format!("http://{}{path}", sandbox.address)
}

async fn body(answer: Response) -> Value {
    answer.json().await.expect("JSON")
}

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
async fn the_ledger_is_read_in_json_and_in_lines() {
    let sandbox = spawn(Settings::default());
    let client = client(PATIENCE);
    for key in ["a", "b", "a"] {
        issue(&client, &sandbox, key)
            .send()
            .await
            .expect("an answer");
    }
    client
        .get(own(&sandbox, "/crm/v1/customers/c1"))
        .bearer_auth(TOKEN)
        .send()
        .await
        .expect("an answer");
    client
        .get(own(&sandbox, "/reward/v1"))
        .send()
        .await
        .expect("an answer");
    let read = |query: &str| {
        let request = client.get(own(&sandbox, &format!("/ledger{query}")));
        async {
            request
                .send()
                .await
                .expect("an answer")
                .text()
                .await
                .expect("a text")
        }
    };
    let seqs = |text: String| -> Vec<u64> {
        let lines: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        lines
            .iter()
            .filter_map(|line| line["seq"].as_u64())
            .collect()
    };
    assert_eq!(
        seqs(read("").await),
        [1, 2, 3, 4, 5],
        "control calls are not in it"
    );
    assert_eq!(seqs(read("?vendor=rewards").await), [1, 2, 3]);
    assert_eq!(seqs(read("?vendor=nobody").await), [5]);
    assert_eq!(seqs(read("?key=a").await), [1, 3]);
    assert_eq!(seqs(read("?executed=true").await), [1, 2]);
    assert_eq!(seqs(read("?after=2&limit=2").await), [3, 4]);
    let lines = read("?vendor=rewards&format=ndjson").await;
    assert_eq!(lines.lines().count(), 3);
    let line: Value = lines
        .lines()
        .nth(2)
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .expect("a third");
    assert_eq!(
        (&line["replay"], &line["status"], &line["executed"]),
        (&json!(true), &json!(201), &Value::Null)
    );
    assert_eq!(line["headers"]["authorization"], "***");
    assert!(!lines.contains(TOKEN));
    let summary: Value = serde_json::from_str(&read("/summary").await).expect("JSON");
    assert_eq!(summary["rewards"]["executions"], 2);
    assert_eq!(summary["rewards"]["keys_repeated"], 0);
    assert_eq!(summary["crm"]["statuses"], json!({ "404": 1 }));
    for wrong in [
        "?vendor=acme",
        "?executed=yes",
        "?limit=x",
        "?format=xml",
        "?where=1",
        "/sums",
    ] {
        let request = client.get(own(&sandbox, &format!("/ledger{wrong}")));
        let status = request.send().await.expect("an answer").status();
        assert!(status.is_client_error(), "{wrong}: {status}");
    }
    let answer = client
        .delete(own(&sandbox, "/ledger"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(read("/summary").await, "{}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_hundred_at_once_under_four_keys_execute_four() {
    let sandbox = spawn(Settings {
        workers: 4,
        ..Settings::default()
    });
    let client = client(PATIENCE);
    let requests: Vec<_> = (0..400)
        .map(|n| {
            let request = issue(&client, &sandbox, &format!("k{}", n % 4));
            tokio::spawn(async move {
                let answer = request.send().await.expect("an answer");
                body(answer).await["reward_id"].as_str().map(str::to_owned)
            })
        })
        .collect();
    let mut ids = BTreeSet::new();
    for request in requests {
        ids.insert(request.await.expect("no panic").expect("an id"));
    }
    assert_eq!(ids.len(), 4, "the original answer, each time");
    let rewards = sandbox.sandbox.summary()["rewards"].clone();
    assert_eq!(
        (rewards.calls, rewards.executions, rewards.keys),
        (400, 4, 4)
    );
    assert_eq!((rewards.replays, rewards.keys_repeated), (396, 0));
    let seqs = sandbox.sandbox.entries(&Filter::default());
    let in_order = seqs.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq);
    assert!(in_order && seqs.len() == 400);
}

#[tokio::test]
async fn latency_is_waited_for_by_all_at_once() {
    let sandbox = spawn(Settings {
        latency: Duration::from_millis(500),
        ..Settings::default()
    });
    let client = client(PATIENCE);
    let begun = Instant::now();
    let requests: Vec<_> = (0..60)
        .map(|n| tokio::spawn(issue(&client, &sandbox, &n.to_string()).send()))
        .collect();
    for request in requests {
        let answer = request.await.expect("no panic").expect("an answer");
        assert_eq!(answer.status(), StatusCode::CREATED);
    }
    let took = begun.elapsed();
    // One after the other they would take 30 s.
    assert!(
        took >= Duration::from_millis(500) && took < PATIENCE,
        "{took:?}"
    );
    let latency = client.put(own(&sandbox, "/control/latency"));
    let answer = latency
        .json(&json!({ "ms": 0 }))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    sandbox.sandbox.set_latency(Duration::from_millis(60));
    let begun = Instant::now();
    issue(&client, &sandbox, "again")
        .send()
        .await
        .expect("an answer");
    assert!(begun.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn what_cannot_be_taken_is_a_clear_4xx_and_written_down() {
    let sandbox = spawn(Settings::default());
    let client = client(PATIENCE);
    let url = own(&sandbox, "/crm/v1/customers");
    let large = client.post(url).body("x".repeat(1_024 * 1_024 + 1));
    let answer = large.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(body(answer).await["code"], "too_large");
    let stray = client
        .post(own(&sandbox, "/rewardz/v1"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(stray.status(), StatusCode::NOT_FOUND);
    let text = body(stray).await["detail"].to_string();
    assert!(
        text.contains("/rewardz/v1") && text.contains("/rewards"),
        "{text}"
    );
    let crm = Filter {
        vendor: Some(Vendor::Crm),
        ..Filter::default()
    };
    assert_eq!(sandbox.sandbox.entries(&crm)[0].status, Some(413));
    let unknown = json!({ "colour": 1 });
    let refused = sandbox
        .sandbox
        .control("/control/crm", &unknown)
        .expect_err("no such setting");
    assert!(refused.contains("colour"), "{refused}");
    let nowhere = client
        .get(own(&sandbox, "/control/nowhere"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(nowhere.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn counts_only_keeps_no_call_and_counts_all() {
    let sandbox = spawn(Settings {
        counts_only: true,
        ..Settings::default()
    });
    let client = client(PATIENCE);
    for key in ["a", "b", "a"] {
        issue(&client, &sandbox, key)
            .send()
            .await
            .expect("an answer");
    }
    assert!(sandbox.sandbox.entries(&Filter::default()).is_empty());
    let rewards = sandbox.sandbox.summary()["rewards"].clone();
    assert_eq!(
        (rewards.calls, rewards.executions, rewards.replays),
        (3, 2, 1)
    );
    assert_eq!(sandbox.sandbox.executions(Vendor::Rewards, "a"), 1);
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

#[test]
fn a_dropped_sandbox_listens_no_more_and_a_taken_port_is_an_error() {
    let sandbox = spawn(Settings::default());
    let address = sandbox.address;
    assert!(std::net::TcpStream::connect(address).is_ok());
    let error = sandbox::spawn(address, Settings::default())
        .err()
        .expect("taken");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    drop(sandbox);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[actix_web::test]
async fn a_sandbox_can_run_within_a_system_that_is_there() {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let running = sandbox::start(listen, &Settings::default()).expect("a free port");
    let url = format!("{}/v1/customers", running.url(Vendor::Crm));
    let answer = client(PATIENCE)
        .get(url)
        .bearer_auth(TOKEN)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(running.sandbox.summary()["crm"].calls, 1);
    let address = running.address;
    running.stop().await;
    assert!(std::net::TcpStream::connect(address).is_err());
}
