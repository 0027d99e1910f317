//! A backlog worked off: events a second, with every commit and output, as ratios to the yardstick.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aftercall::{
    log::{
        Log, NewEvent,
        jetstream::{JetStreamLog, Settings},
        sqlite::{SqliteLog, SqliteSettings},
    },
    traffic::Traffic,
};
use aftercall_actors::contract::time::EventTime;

use crate::{
    nats::Nats,
    service::{Service, unmerged_rules, usage},
    yardstick,
};

/// Events published at once.
const CHUNK: usize = 2_000;

/// 2026-11-20, and a few milliseconds an event from there.
const BEGAN_MS: i64 = 1_795_000_000_000;

/// Appends `count` made-up events.
pub async fn fill(log: &Log, count: u64, agents: u32, customers: u32) {
    let mut traffic = Traffic::new(42, agents, customers);
    let mut left = count;
    let mut number = 0;
    while left > 0 {
        let size = left.min(CHUNK as u64);
        let events: Vec<NewEvent> = (0..size)
            .map(|_| {
                number += 1;
                traffic
                    .next_event(EventTime(BEGAN_MS + number * 3))
                    .into_new_event()
            })
            .collect();
        left -= size;
        for stored in log.append(events).await {
            stored.expect("every event is stored");
        }
    }
}

pub async fn run(events: u64, merged: bool, embedded_only: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = unmerged_rules(folder.path());
    let rules = rules.to_str().expect("a plain path");
    let rules: &[&str] = if merged { &[] } else { &["--rules", rules] };
    let mut jetstream_rate = None;
    if !embedded_only {
        let server = Nats::start();
        let log: Log = Arc::new(
            JetStreamLog::connect(Settings::new(server.url()))
                .await
                .expect("a log"),
        );
        let began = Instant::now();
        fill(&log, events, 1_000, 100_000).await;
        println!(
            "backlog: {events} events, published at {:.0}/s",
            rate(events, began.elapsed())
        );
        let before = yardstick::run(&server.url(), 1, events, |_| {}).await;
        println!(
            "yardstick                      {:>9.0} events/s",
            rate(events, before)
        );

        let server_cpu = usage(server.pid()).cpu_s;
        let began = Instant::now();
        let url = server.url();
        let service = Service::start(&[&["--nats", url.as_str()], rules].concat());
        let outputs = service.worked_off(events, Duration::from_secs(300)).await;
        let took = began.elapsed();
        let used = service.usage();
        println!(
            "aftercall on JetStream         {:>9.0} events/s   {} outputs, {:.1} CPU s/million events (server {:.1}), peak {:.0} MiB",
            rate(events, took),
            outputs.values().sum::<f64>(),
            used.cpu_s * 1e6 / events as f64,
            (usage(server.pid()).cpu_s - server_cpu) * 1e6 / events as f64,
            used.peak_mib,
        );
        println!("{outputs:?}");
        println!(
            "SIGTERM to exit                {:>9.2} s",
            service.stop().as_secs_f64()
        );
        let after = yardstick::run(&server.url(), 1, events, |_| {}).await;
        println!(
            "yardstick again                {:>9.0} events/s",
            rate(events, after)
        );
        let yard = (rate(events, before) + rate(events, after)) / 2.0;
        println!(
            "ratio JetStream / yardstick    {:>9.2}",
            rate(events, took) / yard
        );
        jetstream_rate = Some(rate(events, took));
    }

    let data = folder.path().join("data");
    let log: Log = Arc::new(SqliteLog::open(&data, SqliteSettings::default()).expect("a log"));
    let began = Instant::now();
    fill(&log, events, 1_000, 100_000).await;
    println!(
        "embedded: published at {:.0}/s",
        rate(events, began.elapsed())
    );
    assert_eq!(log.bounds().await.expect("bounds").last, events);
    drop(log);
    let began = Instant::now();
    let data = data.to_str().expect("a plain path");
    let service = Service::start(&[&["--dir", data], rules].concat());
    let outputs = service.worked_off(events, Duration::from_secs(300)).await;
    let took = began.elapsed();
    let used = service.usage();
    println!(
        "aftercall embedded             {:>9.0} events/s   {} outputs, {:.1} CPU s/million events, peak {:.0} MiB",
        rate(events, took),
        outputs.values().sum::<f64>(),
        used.cpu_s * 1e6 / events as f64,
        used.peak_mib,
    );
    if let Some(jetstream) = jetstream_rate {
        println!(
            "ratio embedded / JetStream     {:>9.2}",
            rate(events, took) / jetstream
        );
    }
    service.stop();
}

fn rate(events: u64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}
