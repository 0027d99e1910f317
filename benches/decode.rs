//! Bytes to a typed event, the route check included: what every event costs once per process.
//!
//! Goal: 2 us or less for an event of about 800 bytes in structured mode. `cargo bench --bench decode`

use std::hint::black_box;

use aftercall::{
    envelope::decode,
    log::{Headers, RawEvent, Route, Speaker},
    traffic::Traffic,
};
use aftercall_actors::contract::time::{EventTime, LogTime};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;

const PARTITIONS: u16 = 8;

fn bench(c: &mut Criterion) {
    for (name, text) in [("survey", SURVEY), ("completion", COMPLETION)] {
        let structured = stored(Headers::Empty, text.to_owned());
        let late = stored(Headers::Empty, data_first(text));
        let value: Value = serde_json::from_str(text).expect("the fixture is JSON");
        let mut map = async_nats::HeaderMap::new();
        for attribute in ["specversion", "id", "source", "type"] {
            let text = value[attribute].as_str().expect("the fixture has it");
            map.insert(format!("ce-{attribute}"), text);
        }
        map.insert("content-type", "application/json");
        let binary = stored(Headers::Nats(map), value["data"].to_string());

        let mut group = c.benchmark_group("decode");
        group.throughput(Throughput::Bytes(text.len() as u64));
        for (mode, raw) in [
            ("structured", &structured),
            ("structured, data first", &late),
            ("binary", &binary),
        ] {
            group.bench_function(format!("{name}, {mode}"), |b| {
                b.iter(|| decode(black_box(raw), PARTITIONS));
            });
        }
        group.finish();
    }
}

/// The mix the whole-path benches use, and what it costs to make it: the generator must be well ahead of the goal.
fn bench_traffic(c: &mut Criterion) {
    const EVENTS: usize = 2_000;
    let at = |n: usize| EventTime(1_795_163_400_250 + n as i64);
    let mut group = c.benchmark_group("traffic");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("generate", |b| {
        let mut traffic = Traffic::new(1, 1_000, 100_000);
        b.iter(|| {
            for n in 0..EVENTS {
                black_box(traffic.next_event(at(n)));
            }
        });
    });
    let mut traffic = Traffic::new(1, 1_000, 100_000);
    let stored: Vec<RawEvent> = (0..EVENTS)
        .map(|n| stored(Headers::Empty, traffic.next_event(at(n)).event))
        .collect();
    group.bench_function("decode", |b| {
        b.iter(|| {
            for raw in &stored {
                black_box(decode(raw, PARTITIONS)).expect("decodes");
            }
        });
    });
    group.finish();
}

/// The event as the log would hold it, its route taken from a first decoding.
fn stored(headers: Headers, payload: String) -> RawEvent {
    let mut raw = RawEvent {
        position: 1,
        time: LogTime(0),
        route: Route::All,
        speaker: Speaker::Anyone,
        headers,
        payload: Bytes::from(payload),
    };
    let routes = (0..PARTITIONS)
        .flat_map(|agent| (0..PARTITIONS).map(move |customer| Route::Pair { agent, customer }));
    for route in routes {
        raw.route = route;
        if decode(&raw, PARTITIONS).is_ok() {
            return raw;
        }
    }
    panic!("the fixture decodes in one of the partitions");
}

fn data_first(text: &str) -> String {
    let (head, data) = text
        .split_once(r#","data":"#)
        .expect("the fixture has data last");
    format!(r#"{{"data":{},{}}}"#, &data[..data.len() - 1], &head[1..])
}

const SURVEY: &str = r#"{"specversion":"1.0","id":"0f8fad5b-d9cb-469f-a165-70867728950e","source":"https://cx.example.com/surveys","type":"survey.response.created","time":"2026-11-20T08:31:07.412Z","datacontenttype":"application/json","data":{"response_id":"rsp-000000184467","revision":0,"survey_id":"post-contact-v4","interaction_id":"7c9e6679-7425-40de-944b-e07fc1f90ae7","submitted_at":"2026-11-20T08:31:07.412Z","csat":2,"comment":"I was transferred three times and had to explain my problem again every time. The last colleague was friendly but could not change the delivery address either, so I still do not know when the order arrives.","routing":{"queue_id":"billing-emea","agent_id":"agent-0417","agent_name":"Ines Kowalczyk"},"customer":{"customer_id":"customer-0048213","email":"m.okafor@example.org"}}}"#;

const COMPLETION: &str = r#"{"specversion":"1.0","id":"0f8fad5b-d9cb-469f-a165-70867728950e","source":"https://cx.example.com/interactions","type":"interaction.completed","time":"2026-11-20T08:31:07.412Z","datacontenttype":"application/json","data":{"interaction_id":"7c9e6679-7425-40de-944b-e07fc1f90ae7","channel":"voice","queue_id":"billing-emea","skills":["billing","english"],"agent_id":"agent-0417","customer":{"customer_id":"customer-0048213","phone":"+49 30 5550 1234"},"started_at":"2026-11-20T08:20:01.000Z","ended_at":"2026-11-20T08:31:07.412Z","duration_s":666.4,"disposition":"resolved","wrap_up_code":"billing_dispute","summary":"Customer disputed a late fee on the October invoice. Agent explained the due date, waived the fee once as a courtesy and confirmed the corrected balance by email.","sentiment":0.35,"tags":["fee_waived","repeat_contact"]}}"#;

criterion_group!(benches, bench, bench_traffic);
criterion_main!(benches);
