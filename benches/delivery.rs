//! What a destination's driver costs, everything but the network: on one thread, commits included.
//!
//! - drain: outputs that wait in the log, to a destination that answers in 20 ms
//! - idle: from an output's being stored to its attempt, one at a time
//! - behind an open breaker: memory with 100,000 outputs that nobody takes
//!
//! `cargo bench --bench delivery`

#[path = "../tests/support/outputs.rs"]
mod outputs;

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use aftercall::{
    deliver::{
        answer::{Answer, Attempt, Fault, Verdict},
        board::Board,
        carry::Carry,
        destination::Start,
        driver::drive,
        parcel::Parcel,
        policy::{Limits, Policy, Retry},
    },
    log::{
        Lane, Log,
        memory::{Faults, World},
        sqlite::{SqliteLog, SqliteSettings},
    },
};
use aftercall_actors::{
    breaker::{self, Trip},
    output::Kind,
};
use async_trait::async_trait;
use hdrhistogram::Histogram;
use outputs::Outputs;
use serde_json::{Value, json};
use tokio::sync::watch;

const DRAINED: usize = 5_000;
const IDLE: usize = 300;
const BACKLOG: usize = 100_000;

fn main() {
    for name in ["memory", "sqlite"] {
        let dir = tempfile::tempdir().expect("a directory");
        let log: Log = match name {
            "memory" => Arc::new(World::new(1, Faults::default()).client()),
            _ => {
                let settings = SqliteSettings {
                    partition_count: std::num::NonZeroU16::new(1),
                };
                Arc::new(SqliteLog::open(dir.path(), settings).expect("a log"))
            }
        };
        println!("{name}:");
        on_one_thread(drain(Arc::clone(&log)));
        on_one_thread(idle(Arc::clone(&log)));
        on_one_thread(backlog(log));
    }
}

async fn drain(log: Log) {
    let mut writer = Outputs::new(Kind::Reward, "reward.requested");
    fill(&log, &mut writer, DRAINED).await;
    let vendor = Vendor::new("drain", Kind::Reward, Duration::from_millis(20));
    let cpu = cpu_seconds();
    let began = Instant::now();
    let (stop, driving) = start(&log, &vendor);
    vendor.until(DRAINED as u64).await;
    let elapsed = began.elapsed().as_secs_f64();
    println!(
        "  drain: {:.0} deliveries/s to a destination of 20 ms, {:.0} us of CPU each",
        DRAINED as f64 / elapsed,
        (cpu_seconds() - cpu) * 1e6 / DRAINED as f64
    );
    stop.send_replace(true);
    let _ended = driving.await;
}

async fn idle(log: Log) {
    let vendor = Vendor::new("idle", Kind::Alert, Duration::ZERO);
    let (stop, driving) = start(&log, &vendor);
    let mut writer = Outputs::new(Kind::Alert, "alert.raised");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut latencies = Histogram::<u64>::new(3).expect("three digits");
    for number in 0..IDLE {
        writer.store(&*log, &[output(number)]).await;
        let stored = Instant::now();
        vendor.until(number as u64 + 1).await;
        let called = *vendor.called_at.lock().expect("not poisoned");
        let latency = called.map_or(Duration::ZERO, |at| at.saturating_duration_since(stored));
        latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    println!(
        "  idle: stored to attempt {} us at p50, {} us at p99",
        latencies.value_at_quantile(0.5),
        latencies.value_at_quantile(0.99)
    );
    stop.send_replace(true);
    let _ended = driving.await;
}

async fn backlog(log: Log) {
    let vendor = Vendor {
        fails: true,
        ..Vendor::new("backlog", Kind::Profile, Duration::ZERO)
    };
    let (stop, driving) = start(&log, &vendor);
    let mut writer = Outputs::new(Kind::Profile, "profile.updated");
    fill(&log, &mut writer, 2_000).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = resident_kib();
    let calls = vendor.calls.load(Ordering::Relaxed);
    fill(&log, &mut writer, BACKLOG - 2_000).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!(
        "  open breaker: {BACKLOG} outputs wait; memory grew by {} KiB while they came (the memory log's own included), \
         {calls} calls before it opened",
        resident_kib().saturating_sub(before)
    );
    stop.send_replace(true);
    let _ended = driving.await;
}

async fn fill(log: &Log, writer: &mut Outputs, count: usize) {
    let outputs: Vec<_> = (0..count).map(output).collect();
    for some in outputs.chunks(500) {
        writer.store(&**log, some).await;
    }
}

fn output(number: usize) -> (String, Value) {
    let data = json!({ "agent_id": "a7", "points_consumed": number, "reward_type": "voucher" });
    (format!("reward:program:agent-{number}:gold:1"), data)
}

fn start(
    log: &Log,
    vendor: &Vendor,
) -> (
    watch::Sender<bool>,
    tokio::task::JoinHandle<aftercall::deliver::driver::Ended>,
) {
    let (stop, stopping) = watch::channel(false);
    let carry: Arc<dyn Carry> = Arc::new(vendor.clone());
    let board = Arc::new(Board::new([vendor.name]));
    let driving = tokio::task::spawn_local(drive(Arc::clone(log), carry, board, 1, stopping));
    (stop, driving)
}

fn on_one_thread(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, story);
}

#[derive(Clone)]
struct Vendor {
    name: &'static str,
    kind: Kind,
    takes: Duration,
    fails: bool,
    policy: Policy,
    calls: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
    called_at: Arc<Mutex<Option<Instant>>>,
}

impl Vendor {
    fn new(name: &'static str, kind: Kind, takes: Duration) -> Self {
        let some = |number| NonZeroU32::new(number).expect("not zero");
        Self {
            name,
            kind,
            takes,
            fails: false,
            policy: Policy {
                limits: Limits {
                    concurrency: some(64),
                    rate: None,
                },
                retry: Retry {
                    attempts: some(1_000_000),
                    first: Duration::from_secs(1),
                    factor: some(2),
                    max: Duration::from_secs(30),
                    deadline: Duration::from_secs(86_400),
                    unknown_counts: true,
                },
                breaker: breaker::Policy {
                    trip: Trip::Failures {
                        failures: some(6),
                        within_ms: 10_000,
                    },
                    open_ms: 3_600_000,
                },
                merge: None,
                outcome: None,
            },
            calls: Arc::default(),
            done: Arc::default(),
            called_at: Arc::default(),
        }
    }

    async fn until(&self, done: u64) {
        while self.done.load(Ordering::Relaxed) < done {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[async_trait]
impl Carry for Vendor {
    fn name(&self) -> &str {
        self.name
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn start(&self) -> Start {
        Start::Beginning
    }

    fn lanes(&self) -> Vec<Lane> {
        vec![Lane::Out(self.kind)]
    }

    fn selects(&self, _: &Parcel) -> bool {
        true
    }

    fn thread(&self, _: &Parcel) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    async fn attempt(&self, _: &Parcel, _: Option<&Value>, _: u32) -> Attempt {
        *self.called_at.lock().expect("not poisoned") = Some(Instant::now());
        self.calls.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.takes).await;
        self.done.fetch_add(1, Ordering::Relaxed);
        let (status, verdict) = if self.fails {
            let why = "status 503".to_owned();
            let (after, unknown) = (None, false);
            (
                503,
                Verdict::Again {
                    why,
                    after,
                    unknown,
                },
            )
        } else {
            (200, Verdict::Delivered)
        };
        Attempt {
            result: Ok(Answer {
                status,
                headers: BTreeMap::new(),
                body: Value::Null,
            }),
            verdict,
            handle: None,
            status: None,
            response: None,
        }
    }
}

/// CPU time of this process; 0 where `/proc` is not.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks as f64 / 100.0
}

/// Resident memory of this process; 0 where `/proc` is not.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
