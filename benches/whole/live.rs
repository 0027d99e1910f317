//! Latency at a fixed rate: publish to alert seen by a subscriber, beside the yardstick's publish to commit.

use std::{
    collections::HashMap,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use aftercall::{
    log::{
        EventLog as _,
        jetstream::{JetStreamLog, Settings},
    },
    traffic::Traffic,
};
use aftercall_actors::contract::time::EventTime;
use hdrhistogram::Histogram;

use crate::{nats::Nats, service::Service, yardstick};

pub async fn run(rate: u64, seconds: u64) {
    let server = Nats::start();
    let yard = publish_to_commit(&server, rate, seconds).await;
    print("yardstick: publish to commit", &yard);

    let url = server.url();
    let service = Service::start(&["--nats", &url]);
    service
        .worked_off(rate * seconds, Duration::from_secs(60))
        .await;
    let report = Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .args([
            "load",
            "--json",
            "--nats",
            &url,
            "--rate",
            &rate.to_string(),
        ])
        .args(["--for", &format!("{seconds}s")])
        .output()
        .expect("the load runs");
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).expect("a report");
    let alert = &report["publish_to_alert"];
    println!("aftercall: publish to alert seen   {alert}");
    println!(
        "achieved {} events/s, outputs {}",
        report["rate_achieved"], report["outputs"]
    );
    let ratio = |name: &str, quantile: f64| {
        let ours = alert[format!("{name}_ms")].as_f64().unwrap_or(f64::NAN);
        ours / (yard.value_at_quantile(quantile) as f64 / 1e3)
    };
    println!(
        "ratio p50 {:.2}, p99 {:.2}",
        ratio("p50", 0.5),
        ratio("p99", 0.99)
    );
    service.stop();
}

/// Paced publishing in one task, the yardstick in another; the time from an event's due moment to its commit.
async fn publish_to_commit(server: &Nats, rate: u64, seconds: u64) -> Histogram<u64> {
    let log = Arc::new(
        JetStreamLog::connect(Settings::new(server.url()))
            .await
            .expect("a log"),
    );
    let due: Arc<Mutex<HashMap<String, Instant>>> = Arc::default();
    let publishing = tokio::spawn({
        let due = Arc::clone(&due);
        async move {
            let mut traffic = Traffic::new(7, 1_000, 100_000);
            let began = Instant::now();
            let mut waiting = tokio::task::JoinSet::new();
            let mut sent = 0;
            while sent < rate * seconds {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let should = (began.elapsed().as_secs_f64() * rate as f64) as u64;
                let mut events = Vec::new();
                while sent < should.min(rate * seconds) {
                    let moment = began + Duration::from_secs_f64(sent as f64 / rate as f64);
                    let event = traffic.next_event(EventTime(1_795_000_000_000 + sent as i64));
                    let whole: serde_json::Value =
                        serde_json::from_str(&event.event).expect("JSON");
                    let id = whole["id"].as_str().expect("an id").to_owned();
                    due.lock().expect("unpoisoned").insert(id, moment);
                    events.push(event.into_new_event());
                    sent += 1;
                }
                let log = Arc::clone(&log);
                waiting.spawn(async move { log.append(events).await });
            }
            while waiting.join_next().await.is_some() {}
        }
    });
    let mut latency = Histogram::new(3).expect("three digits");
    yardstick::run(&server.url(), 1, rate * seconds, |ids| {
        let now = Instant::now();
        let mut due = due.lock().expect("unpoisoned");
        for moment in ids.iter().filter_map(|id| due.remove(id)) {
            let us = u64::try_from((now - moment).as_micros()).unwrap_or(u64::MAX);
            latency.record(us).expect("the histogram grows");
        }
    })
    .await;
    publishing.await.expect("published");
    latency
}

fn print(what: &str, latency: &Histogram<u64>) {
    let ms = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
    println!(
        "{what}   p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
        ms(0.5),
        ms(0.99),
        ms(0.999)
    );
}
