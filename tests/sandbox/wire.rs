//! Over real HTTP: the ledger as it is read, many requests at once, and what cannot be taken.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use aftercall::sandbox::{self, Settings, Spawned, TOKEN, call::Vendor, ledger::Filter};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::fixtures::order;

/// Longer than any answer takes that is not held back.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn spawn(settings: Settings) -> Spawned {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    sandbox::spawn(listen, settings).expect("a free port")
}

pub fn client(timeout: Duration) -> Client {
    // It wants to know whose cryptography it is to use, even where it needs none.
    aftercall::sinks::client::install_provider();
    Client::builder()
        .timeout(timeout)
        .build()
        .expect("a client")
}

/// An order under a key.
pub fn issue(client: &Client, sandbox: &Spawned, key: &str) -> RequestBuilder {
    let url = format!("{}/v1/rewards/issue", sandbox.url(Vendor::Rewards));
    client
        .post(url)
        .bearer_auth(TOKEN)
        .header("X-Integration-ID", "aftercall")
        .header("X-Request-ID", key)
        .header("Idempotency-Key", key)
        .json(&order(key))
}

pub fn own(sandbox: &Spawned, path: &str) -> String {
    format!("http://{}{path}", sandbox.address)
}

pub async fn body(answer: Response) -> Value {
    answer.json().await.expect("JSON")
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
