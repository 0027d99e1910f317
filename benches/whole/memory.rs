//! Memory with a million customers, and a restart with them behind a gap.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aftercall::log::{
    Destination, Headers, Log, NewEvent,
    jetstream::{JetStreamLog, Settings},
};
use aftercall_actors::contract::key::Key;
use serde_json::json;

use crate::{backlog, nats::Nats, service::Service};

const AGENTS: u64 = 10_000;
const WORKDAYS: u64 = 90;

pub async fn run(customers: u64, gap: u64) {
    let server = Nats::start();
    let log: Log = Arc::new(
        JetStreamLog::connect(Settings::new(server.url()))
            .await
            .expect("a log"),
    );
    let began = Instant::now();
    let mut events = Vec::new();
    let mut stored = 0;
    let agents = (0..AGENTS * WORKDAYS).map(|n| workday(n % AGENTS, n / AGENTS));
    for event in agents.chain((0..customers).map(completion)) {
        events.push(event);
        if events.len() == 2_000 {
            stored += store(&log, std::mem::take(&mut events)).await;
        }
    }
    stored += store(&log, events).await;
    println!(
        "memory: {stored} events published in {:.0} s",
        began.elapsed().as_secs_f64()
    );

    let url = server.url();
    let began = Instant::now();
    let service = Service::start(&["--nats", &url]);
    service.worked_off(stored, Duration::from_secs(600)).await;
    println!("worked off in {:.1} s", began.elapsed().as_secs_f64());
    tokio::time::sleep(Duration::from_secs(35)).await;
    let metrics = service.metrics().await;
    for name in [
        "aftercall_actors{side=\"agent\"}",
        "aftercall_actors{side=\"customer\"}",
        "aftercall_actor_bytes",
    ] {
        println!("{name} {}", metrics.get(name).copied().unwrap_or(f64::NAN));
    }
    let used = service.usage();
    println!(
        "resident {:.0} MiB, peak {:.0} MiB",
        used.rss_mib, used.peak_mib
    );
    service.kill();

    backlog::fill(&log, gap, 1_000, 100_000).await;
    let last = log.bounds().await.expect("bounds").last;
    let began = Instant::now();
    let service = Service::start(&["--nats", &url]);
    service.worked_off(last, Duration::from_secs(120)).await;
    println!(
        "restart behind a gap of {gap}: caught up in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let used = service.usage();
    println!(
        "resident {:.0} MiB, peak {:.0} MiB",
        used.rss_mib, used.peak_mib
    );
    println!("SIGTERM to exit {:.2} s", service.stop().as_secs_f64());
}

async fn store(log: &Log, events: Vec<NewEvent>) -> u64 {
    let count = events.len() as u64;
    for stored in log.append(events).await {
        stored.expect("every event is stored");
    }
    count
}

fn workday(agent: u64, day: u64) -> NewEvent {
    let date = jiff::civil::date(2026, 11, 19).saturating_sub(jiff::Span::new().days(day as i64));
    let agent_id = format!("agent-{agent:05}");
    let data =
        json!({ "agent_id": agent_id, "date": date, "metric": "points", "value": 10 + day % 7 });
    event(
        Key::Agent(&agent_id),
        None,
        "wfm.metric.recorded",
        &format!("w{agent}-{day}"),
        &data,
    )
}

fn completion(customer: u64) -> NewEvent {
    let customer_id = format!("customer-{customer:07}");
    let data = json!({
        "interaction_id": format!("i-{customer}"), "channel": "voice", "queue_id": "support",
        "customer": { "customer_id": customer_id },
        "started_at": "2026-11-20T09:00:00Z", "ended_at": "2026-11-20T09:06:00Z",
        "disposition": "resolved", "sentiment": 0.25,
        "summary": "The customer asked for a copy of the latest invoice and it was sent by email during the call.",
    });
    let owner = Key::Queue("support");
    event(
        owner,
        Some(Key::Customer(&customer_id)),
        "interaction.completed",
        &format!("c{customer}"),
        &data,
    )
}

fn event(
    owner: Key<'_>,
    customer: Option<Key<'_>>,
    event_type: &str,
    id: &str,
    data: &serde_json::Value,
) -> NewEvent {
    let whole = json!({
        "specversion": "1.0", "type": event_type, "source": "bench", "id": id, "data": data,
    });
    NewEvent {
        destination: Destination::Actors {
            owner: owner.token(),
            customer: customer.map_or_else(|| "_".to_owned(), Key::token),
            event_type: event_type.to_owned(),
        },
        headers: Headers::Empty,
        payload: whole.to_string().into_bytes().into(),
        message_id: format!("bench {id}"),
    }
}
