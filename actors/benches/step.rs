//! What one event costs an actor: decoded events through the shipped rules, and storing and reading actors.
//!
//! `step` is the workload of the whole-path benches without log and codec: half completions, a quarter starts,
//! a fifth surveys, the rest workforce rows and eNPS; 1,000 agents, 100,000 customers; each event applied to
//! its owner and to its customer, 5,000 of them a second of log time. Events are made outside the measured
//! time, and actors start anew after two million, so that histories are as long as in such a backlog. Figures
//! are events a second on one core; `responses` is what a host adds to it for each survey and eNPS answer:
//! `cargo bench -p aftercall-actors --bench step`.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench has a clock; what it measures has none"
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use aftercall_actors::{
    actor::Actor,
    contract::{
        event::{Body, Event},
        key::{Key, Side},
        time::LogTime,
    },
    responses::{Arrival, Facts, Responses},
    rules::RuleSet,
    turn::Turn,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};

const AGENTS: u64 = 1_000;
const CUSTOMERS: u64 = 100_000;
const EVENTS_MAX: u64 = 2_000_000;
/// Made, then applied, at a time: as many as a commit takes.
const BATCH: u64 = 500;
/// 2026-11-20T10:00:00Z
const START_MS: i64 = 1_795_168_800_000;

const DISPOSITIONS: [&str; 5] = [
    "resolved",
    "resolved",
    "resolved",
    "complaint",
    "upgrade_inquiry",
];
const SCORES: [u8; 10] = [1, 2, 3, 3, 4, 4, 4, 5, 5, 5];
const METRICS: [&str; 2] = ["points", "adherence"];

/// The same sequence in every run (SplitMix64).
fn random(n: u64) -> u64 {
    let mut x = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

struct Made {
    event: Event,
    now: LogTime,
    agent: usize,
    customer: usize,
}

/// The `n`th event.
fn make(n: u64) -> Made {
    let r = random(n);
    let (agent, customer) = ((r >> 8) % AGENTS, (r >> 24) % CUSTOMERS);
    let pick = (r >> 50) as usize;
    let now_ms = START_MS + (n / 5) as i64;
    let agent_id = format!("agent-{agent:04}");
    let id = format!("7f3b1c52-9d7e-4c1a-8e62-{n:012}");
    let customer_ref =
        json!({ "customer_id": format!("customer-{customer:06}"), "phone": "+49 30 1234567" });
    let body = match r % 100 {
        0..50 => Body::InteractionCompleted(read(json!({
            "interaction_id": id, "channel": "voice", "queue_id": "billing",
            "skills": ["german", "billing"], "agent_id": agent_id, "customer": customer_ref,
            "started_at": now_ms - 300_000, "ended_at": now_ms - 20, "duration_s": 299.98,
            "disposition": DISPOSITIONS[pick % 5],
            "wrap_up_code": "done", "sentiment": ((r >> 40) % 200) as f64 / 100.0 - 1.0,
            "summary": "The customer asked about the last invoice, which was higher than \
                        expected; the agent explained the roaming charges.",
            "tags": ["invoice"],
        }))),
        50..75 => Body::InteractionStarted(read(json!({
            "interaction_id": id, "channel": "voice", "queue_id": "billing",
            "agent_id": agent_id, "customer": customer_ref, "started_at": now_ms - 20,
        }))),
        75..95 => Body::SurveyResponse(read(json!({
            "response_id": id, "interaction_id": id, "survey_id": "csat",
            "submitted_at": now_ms - 50, "csat": SCORES[pick % 10],
            "comment": "Took a while, but the agent was friendly and knew what to do.",
            "routing": { "agent_id": agent_id, "agent_name": "A. Gent", "queue_id": "billing" },
            "answers": { "recommend": 8 },
        }))),
        95..98 => Body::WfmMetric(read(json!({
            "agent_id": agent_id, "metric": METRICS[pick % 2],
            "date": format!("2026-{:02}-{:02}", 9 + (r >> 52) % 2, 1 + (r >> 54) % 28),
            "value": (r >> 40) % 20, "recorded_at": now_ms - 1_000,
        }))),
        _ => Body::EnpsResponse(read(json!({
            "response_id": id, "agent_id": agent_id, "score": (r >> 40) % 11,
            "submitted_at": now_ms - 10, "queue_id": "billing",
        }))),
    };
    Made {
        event: Event {
            source: "/bench".into(),
            id: id.into(),
            body,
        },
        now: LogTime(now_ms),
        agent: agent as usize,
        customer: customer as usize,
    }
}

fn read<T: serde::de::DeserializeOwned>(data: Value) -> T {
    serde_json::from_value(data).unwrap()
}

struct Centre {
    agents: Vec<Actor>,
    customers: Vec<Actor>,
    next: u64,
}

impl Centre {
    fn new() -> Self {
        Self {
            agents: (0..AGENTS).map(|_| Actor::new(Side::Agent)).collect(),
            customers: (0..CUSTOMERS).map(|_| Actor::new(Side::Customer)).collect(),
            next: 0,
        }
    }

    /// Applies the next `events` and says how long that took, making them excluded.
    fn run(&mut self, events: u64, rules: &RuleSet) -> Duration {
        let (mut spent, mut effects) = (Duration::ZERO, Vec::new());
        let end = self.next + events;
        while self.next < end {
            let batch: Vec<Made> = (self.next..end.min(self.next + BATCH)).map(make).collect();
            self.next += batch.len() as u64;
            let began = Instant::now();
            for made in &batch {
                if let Some(key) = made.event.body.owner() {
                    let mut turn = Turn::new(key, made.now, rules, &mut effects);
                    self.agents[made.agent].apply(&mut turn, &made.event);
                }
                if let Some(key) = made.event.body.customer() {
                    let mut turn = Turn::new(key, made.now, rules, &mut effects);
                    self.customers[made.customer].apply(&mut turn, &made.event);
                }
                black_box(&effects);
                effects.clear();
            }
            spent += began.elapsed();
        }
        spent
    }
}

fn step(c: &mut Criterion) {
    let text = RuleSet::default_rules().text().to_owned();
    let unmerged = text.replace("merge = \"5s\"", "merge = \"0s\"");
    let mut group = c.benchmark_group("step");
    group.throughput(Throughput::Elements(1)).sample_size(20);
    for (name, text) in [("default rules", text), ("merging off", unmerged)] {
        let rules = RuleSet::parse(&text, name).unwrap();
        let mut centre = Centre::new();
        group.bench_function(name, |b| {
            b.iter_custom(|events| {
                if centre.next + events > EVENTS_MAX {
                    centre = Centre::new();
                }
                centre.run(events, &rules)
            });
        });
    }
    group.finish();
}

/// What a response costs besides: its facts once, and the judgement in each partition, among as many as a large centre
/// has in a day.
fn responses(c: &mut Criterion) {
    const REMEMBERED: u64 = 200_000;
    const TTL_MS: i64 = 24 * 60 * 60 * 1_000;
    let surveys: Vec<Body> = (0..)
        .map(|n| make(n).event.body)
        .filter(|body| matches!(body, Body::SurveyResponse(_)))
        .take(1_000)
        .collect();
    let mut group = c.benchmark_group("responses");
    group.throughput(Throughput::Elements(1));
    let mut next = surveys.iter().cycle();
    group.bench_function("facts", |b| {
        b.iter(|| Facts::of(black_box(next.next().unwrap())));
    });
    let numbered = |n: u64| {
        let id = format!("7f3b1c52-9d7e-4c1a-8e62-{n:012}");
        let data = json!({
            "response_id": id, "interaction_id": id, "submitted_at": START_MS,
            "routing": { "agent_id": "agent-0001" },
        });
        Facts::of(&Body::SurveyResponse(read(data))).unwrap()
    };
    let facts: Vec<Facts> = (0..2 * REMEMBERED).map(numbered).collect();
    let mut effects = Vec::new();
    for (name, local) in [
        ("judge another partition's", None),
        ("judge its own", Some(Key::Agent("agent-0001"))),
    ] {
        let (mut responses, mut n) = (Responses::default(), 0u64);
        let mut judge = || {
            n += 1;
            // Each comes again only when it is forgotten.
            let now = LogTime(START_MS + (n as i64) * (TTL_MS / REMEMBERED as i64));
            let facts = &facts[(n % (2 * REMEMBERED)) as usize];
            responses.judge(
                facts,
                Arrival {
                    now,
                    ttl_ms: TTL_MS,
                    local,
                },
                &mut effects,
            )
        };
        for _ in 0..REMEMBERED {
            judge();
        }
        group.bench_function(name, |b| b.iter(&mut judge));
        println!(
            "{name}: {} bytes each in memory, {} stored",
            responses.bytes() / REMEMBERED,
            stored_bytes(&responses) / REMEMBERED
        );
    }
    group.finish();
}

fn stored_bytes(responses: &Responses) -> u64 {
    let segments = responses.segments_from(0);
    segments
        .map(|(_, segment)| segment.encode().len() as u64)
        .sum()
}

/// One customer after ten completions and one agent after 900 events of their own, and back.
fn state(c: &mut Criterion) {
    let rules = RuleSet::default_rules();
    let (mut customer, mut agent) = (Actor::new(Side::Customer), Actor::new(Side::Agent));
    let (mut completions, mut others, mut effects) = (0, 0, Vec::new());
    for made in (0..).map(make) {
        match made.event.body {
            Body::InteractionCompleted(_) if completions < 10 => {
                completions += 1;
                let mut turn = Turn::new(Key::Customer("c"), made.now, &rules, &mut effects);
                customer.apply(&mut turn, &made.event);
            }
            Body::InteractionCompleted(_) => {}
            _ if others < 900 => {
                others += 1;
                let mut turn = Turn::new(Key::Agent("a"), made.now, &rules, &mut effects);
                agent.apply(&mut turn, &made.event);
            }
            _ => break,
        }
    }
    let mut group = c.benchmark_group("state");
    for (name, side, actor) in [
        ("customer", Side::Customer, customer),
        ("agent", Side::Agent, agent),
    ] {
        let mut bytes = Vec::new();
        actor.encode(&mut bytes);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let mut into = Vec::with_capacity(bytes.len());
        group.bench_function(format!("encode {name}"), |b| {
            b.iter(|| {
                into.clear();
                black_box(&actor).encode(&mut into);
            });
        });
        group.bench_function(format!("decode {name}"), |b| {
            b.iter(|| Actor::decode(side, name, black_box(&bytes)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, step, responses, state);
criterion_main!(benches);
