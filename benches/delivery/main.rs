//! What delivery costs on the whole way: outputs from a real nats-server, over the courier, by HTTP to the sandbox.
//!
//! - drain: outputs that wait in the log, to a vendor that answers after 20 ms; everything of ours on one thread
//! - idle: from an output's being stored to its request on the wire, one at a time
//! - neighbour: the same beside a destination that hangs and has a backlog, as a ratio of p99
//! - breaker: memory while 100,000 outputs wait behind an open breaker, and the rate at which they go once it closes
//!
//! The sandbox is a process of its own. `cargo bench --bench delivery`, with a name to run one alone.

#[path = "../../tests/support/nats.rs"]
mod nats;
#[path = "../../tests/support/outputs.rs"]
mod outputs;
#[path = "vendors.rs"]
mod vendors;

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use aftercall::{
    delivery::{driver::drive, status::DestinationBoard, transport::Transport},
    log::{
        Log,
        jetstream::{JetStreamLog, Settings},
    },
    sinks::load,
};
use aftercall_actors::contract::output::Kind;
use hdrhistogram::Histogram;
use nats::Nats;
use outputs::Outputs;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};
use vendors::{Sandbox, Wire};

const DRAINED: usize = 20_000;
const IDLE: usize = 1_000;
const BACKLOG: usize = 100_000;
/// Deliveries a second that the configuration allows after the breaker.
const RATE: usize = 2_000;

const FIELDS: &str = "
[destination.drain]
agent_id = \"plain\"
points_consumed = \"plain\"
reward_type = \"plain\"
[destination.idle]
agent_id = \"plain\"
points_consumed = \"plain\"
reward_type = \"plain\"
[destination.hanging]
agent_id = \"plain\"
points_consumed = \"plain\"
reward_type = \"plain\"
";

fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|want| want == name);
    // The clients want to know whose cryptography they are to use, even where they need none.
    aftercall::sinks::client::install_provider();
    let server = Nats::start();
    // The log's connection lives on a runtime of its own, as in the service.
    let bus = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let opening = bus.spawn(JetStreamLog::connect(Settings::new(server.url())));
    let log: Log = Arc::new(bus.block_on(opening).expect("connected").expect("a log"));
    if is_wanted("drain") {
        on_one_thread(drain(Arc::clone(&log)));
    }
    if is_wanted("idle") {
        on_one_thread(idle(Arc::clone(&log)));
    }
    if is_wanted("breaker") {
        on_one_thread(breaker(log));
    }
}

/// One destination of the name, at a URL.
fn destination(name: &str, on: &str, url: &str, more: &str) -> String {
    format!(
        "[[destination]]\nname = \"{name}\"\non = [\"{on}\"]\nstart = \"beginning\"\nchannel = \"http\"\nurl = \"{url}\"\n\
         headers = {{ X-Integration-ID = \"bench\", X-Request-ID = \"{{{{ id }}}}\", Idempotency-Key = \"{{{{ id }}}}\" }}\n{more}\n"
    )
}

async fn drain(log: Log) {
    let sandbox = Sandbox::start(&["--latency", "20ms"]);
    let mut writer = Outputs::new(Kind::Coaching, "coaching.requested");
    fill(&log, &mut writer, 0..DRAINED).await;
    let url = format!("{}/coaching/v1/tasks", sandbox.url);
    let more = format!(
        "auth = {{ kind = \"bearer\", token = \"file:{}\" }}\nbody = '{{\"agent_id\": {{{{ data.agent_id }}}}, \
         \"reason\": {{{{ data.reason }}}}}}'\nlimit = {{ concurrency = 64 }}",
        sandbox.token.display()
    );
    let config = destination("drain", "coaching", &url, &more);
    let (cpu, memory) = (cpu_seconds(), resident_kib());
    let began = Instant::now();
    let running = Running::start(&log, &config, "drain");
    running.until_delivered(DRAINED as u64).await;
    let elapsed = began.elapsed().as_secs_f64();
    println!(
        "drain: {:.0} deliveries/s to a vendor of 20 ms, {:.0} us of CPU each; memory grew by {} KiB",
        DRAINED as f64 / elapsed,
        (cpu_seconds() - cpu) * 1e6 / DRAINED as f64,
        resident_kib().saturating_sub(memory)
    );
    println!(
        "drain: the vendor's ledger: {}",
        sandbox.done("coaching").await
    );
    running.stop().await;
}

async fn idle(log: Log) {
    let wire = Wire::start();
    let config = destination("idle", "alert", &wire.url("idle"), "");
    let running = Running::start(&log, &config, "idle");
    let mut writer = Outputs::new(Kind::Alert, "alert.raised");
    let alone = latencies(&log, &wire, &mut writer, 0).await;
    show("idle", &alone);

    let more = "limit = { concurrency = 1000 }\nbreaker = { failures = 10000, within = \"1s\", open = \"30s\" }\n\
                timeout = { connect = \"1s\", total = \"20s\" }";
    let hanging = destination("hanging", "profile", &wire.url("hang"), more);
    let neighbour = Running::start(&log, &hanging, "hanging");
    let mut backlog = Outputs::new(Kind::Profile, "profile.updated");
    fill(&log, &mut backlog, 0..20_000).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let beside = latencies(&log, &wire, &mut writer, IDLE).await;
    show("beside a hanging neighbour", &beside);
    let again = {
        neighbour.stop().await;
        latencies(&log, &wire, &mut writer, 2 * IDLE).await
    };
    show("alone again", &again);
    let p99 = |latencies: &Histogram<u64>| latencies.value_at_quantile(0.99) as f64;
    let before = p99(&alone).midpoint(p99(&again));
    println!(
        "neighbour: p99 beside it is {:.2} of p99 alone",
        p99(&beside) / before
    );
    running.stop().await;
}

fn show(name: &str, latencies: &Histogram<u64>) {
    println!(
        "{name}: stored to on the wire {:.2} ms at p50, {:.2} ms at p99",
        latencies.value_at_quantile(0.5) as f64 / 1e3,
        latencies.value_at_quantile(0.99) as f64 / 1e3
    );
}

/// Stores one output at a time and waits for its request.
async fn latencies(log: &Log, wire: &Wire, writer: &mut Outputs, from: usize) -> Histogram<u64> {
    let mut latencies = Histogram::<u64>::new(3).expect("three digits");
    for number in from..from + IDLE {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let began = Instant::now();
        writer.store(&**log, &[output(number)]).await;
        let stored = Instant::now();
        let arrived = wire.next("idle").await;
        // The request may overtake the answer to whoever stored the output.
        let latency = arrived.saturating_duration_since(stored.min(arrived).max(began));
        latencies.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
    }
    latencies
}

async fn breaker(log: Log) {
    let sandbox = Sandbox::start(&[]);
    sandbox.fault("rewards", "status=503").await;
    let url = format!("{}/rewards/v1/rewards/issue", sandbox.url);
    let more = format!(
        "auth = {{ kind = \"bearer\", token = \"file:{}\" }}\n\
         body = '{{\"agent_id\": {{{{ data.agent_id }}}}, \"reward_type\": {{{{ data.reward_type }}}}, \
         \"points_consumed\": {{{{ data.points_consumed }}}}, \"transaction_timestamp\": \"2026-11-20T09:00:00Z\", \
         \"metadata\": {{\"source_platform\": \"bench\", \"wfm_export_version\": \"1\"}}}}'\n\
         success = \"status in [200, 201] && body.status == 'ISSUED'\"\n\
         timeout = {{ connect = \"500ms\", total = \"900ms\" }}\nretry = {{ attempts = 100, deadline = \"1d\", max = \"2s\" }}\n\
         breaker = {{ failures = 6, within = \"10s\", open = \"1s\" }}\n\
         limit = {{ concurrency = 64, rate = \"{RATE}/s\" }}",
        sandbox.token.display()
    );
    let config = destination("drain", "reward.requested", &url, &more);
    let running = Running::start(&log, &config, "drain");
    let mut writer = Outputs::new(Kind::Reward, "reward.requested");
    fill(&log, &mut writer, 0..2_000).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = resident_kib();
    fill(&log, &mut writer, 2_000..BACKLOG).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!(
        "breaker: {BACKLOG} outputs wait behind an open one; memory grew by {} KiB while they came",
        resident_kib().saturating_sub(before)
    );
    sandbox.clear_faults().await;
    let half = BACKLOG as u64 / 2;
    running.until_delivered(half / 5).await;
    let (began, first) = (Instant::now(), running.delivered());
    running.until_delivered(half).await;
    let rate = (running.delivered() - first) as f64 / began.elapsed().as_secs_f64();
    running.until_delivered(BACKLOG as u64).await;
    println!(
        "breaker: drained at {rate:.0} a second where {RATE} are allowed; memory {} KiB above",
        resident_kib().saturating_sub(before)
    );
    println!(
        "breaker: the vendor's ledger: {}",
        sandbox.done("rewards").await
    );
    running.stop().await;
}

/// Stores the outputs of these numbers.
async fn fill(log: &Log, writer: &mut Outputs, numbers: Range<usize>) {
    let end = numbers.end;
    for from in numbers.step_by(500) {
        let outputs: Vec<_> = (from..end.min(from + 500)).map(output).collect();
        writer.store(&**log, &outputs).await;
    }
}

fn output(number: usize) -> (String, Value) {
    let data = json!({
        "agent_id": format!("a{number}"), "points_consumed": 500, "reward_type": "voucher", "reason": "three detractors",
    });
    (format!("output:{number}"), data)
}

/// A destination being driven.
struct Running {
    board: Arc<DestinationBoard>,
    stop: watch::Sender<bool>,
    driving: JoinHandle<aftercall::delivery::driver::Ended>,
}

impl Running {
    fn start(log: &Log, config: &str, name: &'static str) -> Self {
        let fields = FIELDS.replace(
            "[destination.drain]",
            "[destination.drain]\nreason = \"plain\"",
        );
        let loaded = load::parse((config, "bench"), Some((&fields, "bench")));
        let couriers = loaded.expect("good destinations").couriers();
        let courier = couriers.expect("couriers").pop().expect("one");
        let transport: Arc<dyn Transport> = Arc::new(courier);
        let (stop, stopping) = watch::channel(false);
        let board = Arc::new(DestinationBoard::new([name]));
        let driving = drive(Arc::clone(log), transport, Arc::clone(&board), 1, stopping);
        Self {
            board,
            stop,
            driving: tokio::task::spawn_local(driving),
        }
    }

    fn delivered(&self) -> u64 {
        self.board.destinations()[0].delivered
    }

    async fn until_delivered(&self, count: u64) {
        while self.delivered() < count {
            assert!(
                !self.driving.is_finished(),
                "{:?}",
                self.board.destinations()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        let _ended = self.driving.await;
    }
}

fn on_one_thread(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, story);
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
