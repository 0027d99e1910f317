//! What the embedded log carries, on the disk of this machine: appends, commits, outputs, and a backlog read back.
//!
//! Plain figures of one run instead of criterion's sampling: every write here is durable, so repeating it a
//! thousand times would measure the disk's mood and fill it. `cargo bench --bench log [-- FOLDER]`; the folder
//! should be on the disk that will hold the data.

use std::{
    num::NonZeroU16,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use aftercall::log::{
    Destination, EventLog, Headers, Lane, NewEvent, NewOutput, PartitionId,
    sqlite::{SqliteLog, SqliteSettings},
};
use aftercall_actors::contract::{key::Side, output::Kind};
use bytes::Bytes;

const EVENTS: usize = 1_000_000;
const EVENTS_PER_APPEND: usize = 500;
const PAYLOAD_BYTES: usize = 800;
const COMMITS: usize = 2_000;
const COMMIT_BYTES: usize = 64 << 10;
const OUTPUTS: usize = 200_000;
const OUTPUTS_PER_APPEND: usize = 1_000;
const OUTPUT_BYTES: usize = 600;
const SINGLES: usize = 2_000;
const PARTITION: PartitionId = PartitionId {
    side: Side::Agent,
    index: 0,
};

fn main() {
    // Cargo passes `--bench`; a folder is whatever does not look like an option.
    let folder = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let folder = folder.map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let settings = SqliteSettings {
        partition_count: NonZeroU16::new(8),
    };
    let log = SqliteLog::open(folder.path(), settings).expect("a log");
    // One thread, as a partition's arbiter has.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let log: Arc<dyn EventLog> = Arc::new(log);
        append(&*log, 1).await;
        append(&*log, 4).await;
        read(&*log).await;
        commit(&*log).await;
        outputs(&*log).await;
        publish_to_read(&log).await;
    });
}

fn event(number: usize) -> NewEvent {
    let id = format!("event-{number}");
    NewEvent {
        destination: Destination::Actors {
            owner: format!("agent-{}", number % 1_000),
            customer: format!("customer-{}", number % 100_000),
            event_type: "interaction.completed".into(),
        },
        headers: Headers::from_pairs([
            ("ce-specversion", "1.0"),
            ("ce-type", "interaction.completed"),
            ("ce-source", "/bench"),
            ("ce-id", &id),
            ("ce-time", "2026-11-20T06:00:00Z"),
            ("content-type", "application/json"),
        ]),
        payload: Bytes::from(vec![b'x'; PAYLOAD_BYTES]),
        message_id: format!("/bench#{id}"),
    }
}

/// Half of the events, with this many appends under way at a time.
async fn append(log: &dyn EventLog, concurrent: usize) {
    let offset = if concurrent == 1 { 0 } else { EVENTS / 2 };
    let mut made = Duration::ZERO;
    let mut waits = Vec::new();
    let began = Instant::now();
    let mut next = offset;
    while next < offset + EVENTS / 2 {
        let mut calls = Vec::new();
        for _ in 0..concurrent {
            let making = Instant::now();
            let events: Vec<_> = (next..next + EVENTS_PER_APPEND).map(event).collect();
            made += making.elapsed();
            calls.push(log.append(events));
            next += EVENTS_PER_APPEND;
        }
        let called = Instant::now();
        for answers in futures::future::join_all(calls).await {
            assert!(answers.iter().all(Result::is_ok));
        }
        waits.push(called.elapsed());
    }
    let name = format!("append, {EVENTS_PER_APPEND} x {PAYLOAD_BYTES} B, {concurrent} at a time");
    report(&name, next - offset, began.elapsed() - made, &mut waits);
}

async fn read(log: &dyn EventLog) {
    for max in [500, 2_000] {
        let mut reader = log.read(1).await.expect("a reader");
        let mut waits = Vec::new();
        let mut bytes = 0;
        let mut count = 0;
        let began = Instant::now();
        while count < EVENTS {
            let called = Instant::now();
            let events = reader.next(max).await.expect("events");
            waits.push(called.elapsed());
            count += events.len();
            bytes += events
                .iter()
                .map(|event| event.payload.len())
                .sum::<usize>();
        }
        assert_eq!(bytes, EVENTS * PAYLOAD_BYTES);
        report(
            &format!("read a backlog, at most {max}"),
            count,
            began.elapsed(),
            &mut waits,
        );
    }
}

async fn commit(log: &dyn EventLog) {
    let record = Bytes::from(vec![7_u8; COMMIT_BYTES]);
    let mut waits = Vec::new();
    let mut head = 0;
    let began = Instant::now();
    for _ in 0..COMMITS {
        let called = Instant::now();
        head = log
            .journal_append(PARTITION, head, record.clone())
            .await
            .expect("the fence holds");
        waits.push(called.elapsed());
    }
    report(
        "journal record of 64 KB, fenced",
        COMMITS,
        began.elapsed(),
        &mut waits,
    );
}

async fn outputs(log: &dyn EventLog) {
    let payload = Bytes::from(vec![b'y'; OUTPUT_BYTES]);
    let mut fences = [0; Lane::COUNT];
    let mut waits = Vec::new();
    let mut took = Duration::ZERO;
    for commit in 0..(OUTPUTS / OUTPUTS_PER_APPEND) as u64 {
        let outputs: Vec<_> = (0..OUTPUTS_PER_APPEND as u32)
            .map(|ordinal| NewOutput {
                lane: Lane::Out([Kind::Alert, Kind::Profile][ordinal as usize % 2]),
                commit,
                ordinal,
                attributes: vec![
                    ("ce-id", format!("profile:{commit}:{ordinal}")),
                    ("ce-type", "profile.updated".into()),
                    ("ce-subject", format!("customer/{ordinal}")),
                ],
                payload: payload.clone(),
            })
            .collect();
        let called = Instant::now();
        let stored = log.outputs_append(PARTITION, &mut fences, &outputs).await;
        assert_eq!(stored.expect("the fences hold"), OUTPUTS_PER_APPEND);
        waits.push(called.elapsed());
        took += called.elapsed();
    }
    let name = format!("outputs, {OUTPUTS_PER_APPEND} x {OUTPUT_BYTES} B");
    report(&name, OUTPUTS, took, &mut waits);
}

/// One event after the other, each timed from its append to its arrival at a waiting reader.
async fn publish_to_read(log: &Arc<dyn EventLog>) {
    let last = log.bounds().await.expect("bounds").last;
    let mut reader = log.read(last + 1).await.expect("a reader");
    let mut waits = Vec::new();
    let began = Instant::now();
    for number in 0..SINGLES {
        let called = Instant::now();
        let (stored, read) = tokio::join!(
            log.append(vec![event(10 * EVENTS + number)]),
            reader.next(10)
        );
        assert!(stored[0].is_ok() && read.is_ok());
        waits.push(called.elapsed());
    }
    report(
        "one event, append to reader",
        SINGLES,
        began.elapsed(),
        &mut waits,
    );
}

/// Processor time of this process so far, from Linux, in steps of 10 ms; what it costs even where others share
/// the machine.
fn cpu() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(11).map(str::parse::<u64>);
    let both = ticks.next()?.ok()? + ticks.next()?.ok()?;
    Some(Duration::from_millis(both * 10))
}

fn report(name: &str, count: usize, took: Duration, waits: &mut [Duration]) {
    static BEFORE: std::sync::Mutex<Duration> = std::sync::Mutex::new(Duration::ZERO);
    let now = cpu().unwrap_or_default();
    let mut before = BEFORE.lock().expect("one thread");
    let each_us = (now.saturating_sub(*before)).as_secs_f64() * 1e6 / count as f64;
    *before = now;
    waits.sort_unstable();
    let at = |part: usize| waits[(waits.len() * part / 1000).min(waits.len() - 1)];
    let rate = count as f64 / took.as_secs_f64();
    println!(
        "{name:42} {rate:>10.0}/s, cpu {each_us:.2} us each   a call: p50 {:?}, p99 {:?}, max {:?}",
        at(500),
        at(990),
        at(1000)
    );
}
