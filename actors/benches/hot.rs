//! What one event of a busy agent costs, and what is stored of it, by how much the agent remembers: both must be flat.
//!
//! A steady stream: each event is remembered for an hour, and the hour holds so many of them; so each one that comes lets
//! one go. Measured is all that an event causes in a commit of its own: applying it, writing what has changed, and
//! counting changes anew. `cargo bench -p aftercall-actors --bench hot`; the bytes are printed first.

use std::hint::black_box;

use aftercall_actors::{
    actor::Actor,
    contract::{
        event::{Body, Event},
        key::{Key, Side},
        time::LogTime,
    },
    dedupe::DEDUPE_ENTRIES_MAX,
    rules::RuleSet,
    stored::changes::Mark,
    turn::Turn,
};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;

/// 2026-11-20T10:00:00Z
const START_MS: i64 = 1_795_168_800_000;

/// The shipped rules remember a wrap-up for an hour.
const KEPT_MS: i64 = 3_600_000;

struct Busy {
    actor: Actor,
    rules: RuleSet,
    mark: Mark,
    number: u64,
    step_ms: i64,
    bytes: usize,
    stored: u64,
    buffer: Vec<u8>,
}

impl Busy {
    fn remembering(ids: usize) -> Self {
        let mut actor = Actor::new(Side::Agent);
        let mark = actor.mark();
        let mut busy = Self {
            actor,
            rules: RuleSet::default_rules(),
            mark,
            number: 0,
            step_ms: KEPT_MS / ids as i64,
            bytes: 0,
            stored: 0,
            buffer: Vec::new(),
        };
        for _ in 0..2 * ids {
            let event = busy.next();
            busy.store(&event);
        }
        (busy.bytes, busy.stored) = (0, 0);
        busy
    }

    fn next(&mut self) -> Event {
        self.number += 1;
        let id = format!("7f3b1c52-9d7e-4c1a-8e62-{:012}", self.number);
        let wrapup = json!({ "interaction_id": id, "agent_id": "a", "status": "ended" });
        Event {
            source: "/bench".into(),
            id: id.into(),
            body: Body::InteractionWrapup(serde_json::from_value(wrapup).unwrap()),
        }
    }

    fn store(&mut self, event: &Event) {
        let now = LogTime(START_MS + self.number as i64 * self.step_ms);
        let mut effects = Vec::new();
        let mut turn = Turn::new(Key::Agent("a"), now, &self.rules, &mut effects);
        self.actor.apply(&mut turn, event);
        black_box(effects);
        self.buffer.clear();
        assert!(
            self.actor
                .encode_changes(Some(&self.mark), &mut self.buffer)
        );
        self.bytes += self.buffer.len();
        self.stored += 1;
        self.mark = self.actor.mark();
    }
}

fn hot(c: &mut Criterion) {
    let mut group = c.benchmark_group("hot");
    for ids in [1, 1_000, DEDUPE_ENTRIES_MAX] {
        let mut busy = Busy::remembering(ids);
        let mut whole = Vec::new();
        busy.actor.encode(&mut whole);
        group.bench_function(format!("{ids}"), |b| {
            b.iter_batched(
                || (),
                |()| {
                    let event = busy.next();
                    busy.store(&event);
                },
                criterion::BatchSize::SmallInput,
            );
        });
        println!(
            "{ids} ids remembered: {} bytes a record, where the whole state has {}",
            busy.bytes as u64 / busy.stored.max(1),
            whole.len()
        );
    }
    group.finish();
}

criterion_group!(benches, hot);
criterion_main!(benches);
