//! The sandbox's marketplace, a service that has its rewards there, and what must hold between the two at the end.

#![allow(dead_code, reason = "each test uses its part of this")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use aftercall::{
    delivery::parcel::Parcel,
    log::{Lane, Log, PartitionId, TailFrom},
    sandbox::{
        self, Spawned, TOKEN,
        call::{Call, Vendor},
        faults::{Fault, Garbling, Rule},
    },
    shard::{retrace::Retrace, witness::Nobody},
};
use aftercall_actors::{
    actor::Actor,
    agent::Agent,
    contract::{key::Key, output::Kind},
    rules::RuleSet,
};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::{
    compare::{differences, is_issued},
    entry::{self, Read},
    service::Service,
    spreadsheet::{Book, Stands},
};

/// Everything has its verdict within this time, however busy the machine.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Longer than an output is on its way to its destination's driver.
const QUIET: Duration = Duration::from_secs(2);

/// Destinations of [`service`].
const DESTINATIONS: usize = 2;

/// `SANDBOX`, `TOKEN_FILE`, `TIMEOUT` and `ATTEMPTS` stand for what a test says.
const DESTINATIONS_FILE: &str = include_str!("../year/destinations.toml");
const FIELDS_FILE: &str = include_str!("../year/fields.toml");

/// How patient a service is with the marketplace.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub timeout: &'static str,
    pub attempts: u32,
}

/// A marketplace to which nothing has happened.
pub fn opened() -> Spawned {
    let settings = sandbox::Settings {
        keep: 1_000_000,
        ..sandbox::Settings::default()
    };
    let listen = "127.0.0.1:0".parse().expect("an address");
    sandbox::spawn(listen, settings).expect("a sandbox")
}

/// What it does to one request in so many; lies are told about orders only, and only where they may be.
pub fn make_unreliable(sandbox: &Spawned, lies: f64) {
    let status = |status, retry_after| Fault::Status {
        status,
        retry_after,
    };
    let faults = [
        (None, status(503, None), 0.15),
        (None, status(429, Some(0)), 0.02),
        (None, Fault::Lost, 0.06),
        (None, Fault::Late, 0.02),
        (None, Fault::Hang, 0.02),
        (None, Fault::Drop, 0.04),
        (None, Fault::Slow { ms: 200 }, 0.05),
        (Some("POST"), Fault::Lie, lies),
    ];
    let garbled = Garbling::ALL.map(|garbling| (None, Fault::Garbled(garbling), 0.01));
    let faults = faults.into_iter().chain(garbled);
    for (place, (method, fault, chance)) in faults.enumerate() {
        let rule = Rule {
            method: method.map(str::to_owned),
            probability: Some(chance),
            // Of its own, so that one fault does not decide about the next.
            seed: Some(place as u64),
            ..Rule::always(Vendor::Rewards, fault)
        };
        sandbox.sandbox.add_fault(rule).expect("a fault");
    }
}

/// Manners of some marketplaces, for `/control/rewards`: a key that it knows is a conflict, not the first answer again,
/// and what was taken back is not there any more.
pub fn quirks() -> Value {
    json!({ "conflict_on_repeat": true, "forget_reversed": true })
}

/// The service's token is wrong for a while: 401 to everything.
pub async fn shut_out(folder: &Path, duration: Duration) {
    let file = folder.join("token");
    fs::write(&file, "a-token-of-yesterday").expect("a file");
    tokio::time::sleep(duration).await;
    fs::write(&file, TOKEN).expect("a file");
}

/// The configuration of [`service`], beside the log's address; also for commands.
pub fn settings(folder: &Path, sandbox: &Spawned, patience: Patience) -> String {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let destinations = DESTINATIONS_FILE
        .replace("SANDBOX", &format!("http://{}", sandbox.address))
        .replace("TOKEN_FILE", &file("token", TOKEN))
        .replace("TIMEOUT", patience.timeout)
        .replace("ATTEMPTS", &patience.attempts.to_string());
    let destinations = file("destinations.toml", &destinations);
    let fields = file("fields.toml", FIELDS_FILE);
    let config = format!("[deliver]\ndestinations = {destinations:?}\nfields = {fields:?}\n");
    file("aftercall.toml", &config)
}

/// A service that asks the marketplace for rewards and asks them back.
pub fn service(
    folder: &Path,
    log_arguments: &[String],
    sandbox: &Spawned,
    patience: Patience,
    rules: &str,
) -> Service {
    let config = settings(folder, sandbox, patience);
    let log = log_arguments.iter().map(String::as_str);
    let arguments: Vec<&str> = log.chain(["--config", &config]).collect();
    Service::new(folder, "run", &arguments, rules)
}

/// Waits until nothing is left to deliver, and nothing comes for a while.
pub async fn until_settled(service: &mut Service, patience: Duration) {
    service.until_ready().await;
    let since = Instant::now();
    let mut quiet_since = None;
    loop {
        let lag = service.figures("aftercall_delivery_lag_seconds").await;
        let unfinished = service.figures("aftercall_delivery_unfinished").await;
        let is_done = |figures: &[(String, u64)]| {
            figures.len() == DESTINATIONS && figures.iter().all(|(_, figure)| *figure == 0)
        };
        if !(is_done(&lag) && is_done(&unfinished)) {
            quiet_since = None;
        } else if quiet_since.get_or_insert_with(Instant::now).elapsed() > QUIET {
            return;
        }
        assert!(
            since.elapsed() < patience,
            "lag {lag:?}, unfinished {unfinished:?}: {}",
            service.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Outputs of any kind after a sequence, in order.
pub async fn outputs_after(log: &Log, seq: u64) -> Vec<Parcel> {
    let last = log.outputs_last().await.expect("the last output");
    let lanes: Vec<Lane> = Kind::ALL.into_iter().map(Lane::Out).collect();
    let mut outputs = Vec::new();
    if seq >= last {
        return outputs;
    }
    let tail = log.outputs_tail(&lanes, TailFrom::After(seq)).await;
    let mut tail = tail.expect("a tail");
    while outputs.last().map_or(seq, |parcel: &Parcel| parcel.seq) < last {
        let stored = tail.next().await.expect("no end").expect("an output");
        outputs.push(Parcel::read(&stored).expect("one of ours"));
    }
    outputs
}

/// Every agent as stored, by the way that recovery goes.
pub async fn agents(log: &Log, rules: &RuleSet) -> BTreeMap<String, Agent> {
    let partitions: Vec<PartitionId> = PartitionId::all(log.partition_count()).collect();
    let mut retrace = Retrace::stored(log, &partitions, rules)
        .await
        .expect("stored");
    retrace.run(&mut Nobody, |_| {}).await.expect("retraced");
    let mut agents = BTreeMap::new();
    let each = |_, key: Key<'_>, actor: Actor, _| {
        if let (Key::Agent(name), Actor::Agent(agent)) = (key, actor) {
            agents.insert(name.to_owned(), *agent);
        }
    };
    retrace.actors(each).expect("readable states");
    agents
}

/// Enters the whole log; how many rows of exports were set aside.
pub async fn book(log: &Log, book: &mut Book) -> u64 {
    let mut bad = 0;
    entry::each_event(log, |raw| match entry::read(&raw.payload) {
        Read::Entry(entry) => book.enter(raw.time.0, &entry),
        Read::BadRow => bad += 1,
        Read::Other => {}
    })
    .await;
    bad
}

/// Holds every agent to its page: those there are, and to the point.
pub fn states_agree(agents: &BTreeMap<String, Agent>, book: &Book) {
    let names: BTreeSet<&String> = agents.keys().collect();
    let pages: BTreeSet<&String> = book.sheets.keys().collect();
    let strangers: Vec<_> = names.symmetric_difference(&pages).take(5).collect();
    assert!(strangers.is_empty(), "on one side only: {strangers:?}");
    let differing = agents.iter().filter_map(|(name, agent)| {
        let found = differences(agent, &book.sheets[name], &book.terms);
        (!found.is_empty()).then(|| format!("{name}: {}", found.join("\n  ")))
    });
    let differing: Vec<String> = differing.collect();
    assert!(
        differing.is_empty(),
        "{} agents differ, the first: {}",
        differing.len(),
        differing[0]
    );
}

/// Holds outputs and marketplace to the book: each reward asked for once and done once, none besides.
pub async fn marketplace_agrees(log: &Log, sandbox: &Spawned, book: &Book) {
    let mut asked = BTreeMap::<String, usize>::new();
    for output in outputs_after(log, 0).await {
        if output.kind == Kind::Reward {
            *asked.entry(output.id).or_default() += 1;
        }
    }
    let marketplace = &sandbox.sandbox;
    let (mut listed, mut executed) = (list(sandbox), 0);
    for reward in book.sheets.values().flat_map(|sheet| &sheet.rewards) {
        use Stands::*;
        let id = &reward.id;
        let reversal = format!("{id}:reverse");
        let requests = asked.remove(id).unwrap_or(0);
        let reversals = asked.remove(&reversal).unwrap_or(0);
        let was_asked = match reward.stands {
            Awaiting => requests == 0,
            // A claim that nobody had agreed to may have been withdrawn or declined.
            Closed | Rejected => requests <= 1,
            Locked | Review | Issued | Reversing | ReversalReview | Reversed | Debt => {
                requests == 1
            }
        };
        assert!(
            was_asked,
            "{id} {:?} was asked for {requests} times",
            reward.stands
        );
        let is_going = matches!(reward.stands, Reversing | ReversalReview | Reversed | Debt);
        assert_eq!(reversals, usize::from(is_going), "{id} {:?}", reward.stands);
        let done = marketplace.executions(Vendor::Rewards, id);
        let undone = marketplace.executions(Vendor::Rewards, &format!("reversal:{id}"));
        executed += done + undone;
        let (given, taken) = match reward.stands {
            Issued | Debt => (1, 0),
            Reversed => (1, 1),
            Awaiting | Rejected | Closed => (0, 0),
            other => panic!("{id} is in limbo: {other:?}"),
        };
        assert_eq!((done, undone), (given, taken), "{id} {:?}", reward.stands);
        assert_eq!(given == 1, is_issued(reward.stands));
        let status = listed.remove(id);
        let expected = match (given, taken) {
            (1, 0) => Some("ISSUED"),
            (1, 1) => Some("REVERSED"),
            // Of what it refused it keeps a note, if it ever heard of it.
            _ => status.as_deref().filter(|status| *status == "REJECTED"),
        };
        assert_eq!(status.as_deref(), expected, "{id} {:?}", reward.stands);
    }
    assert!(asked.is_empty(), "nobody earned {:?}", asked.keys().take(5));
    assert!(
        listed.is_empty(),
        "nobody asked for {:?}",
        listed.keys().take(5)
    );
    let summary = marketplace.summary();
    let summary = &summary["rewards"];
    assert_eq!((summary.executions, summary.keys_repeated), (executed, 0));
    println!("marketplace: {summary:?}");
}

/// Holds the product's own book to states, outputs and the marketplace's list: `aftercall ledger verify`. What it says
/// at its end, as JSON.
pub fn ledger_agrees(folder: &Path, log_arguments: &[&str]) -> Value {
    let config = folder.join("aftercall.toml").display().to_string();
    let arguments = ["ledger", "verify", "--json", "--config", &config];
    let output = Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .args(arguments)
        .args(log_arguments)
        .env_remove("RUST_LOG")
        .output()
        .expect("the built program");
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}: {text}{errors}", output.status);
    let last = text.lines().last().expect("a summary");
    let summary: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(summary["differences"], 0, "{summary}");
    summary
}

/// The marketplace's own list: status by our id.
fn list(sandbox: &Spawned) -> BTreeMap<String, String> {
    // Asked past its faults: they are the service's to bear.
    sandbox.sandbox.clear_faults();
    let path = "/rewards/v1/rewards";
    let token = format!("Bearer {TOKEN}");
    let headers = BTreeMap::from([("authorization".to_owned(), token)]);
    let call = Call::new("GET", path, headers, Vec::new().into());
    let aftercall::sandbox::world::Then::Answer(reply) = sandbox.sandbox.receive(call).then else {
        panic!("no answer");
    };
    let list: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let rewards = list["rewards"].as_array().expect("rewards");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let lines = rewards
        .iter()
        .map(|r| (text(&r["reference"]), text(&r["status"])));
    let count = rewards.len();
    let lines: BTreeMap<String, String> = lines.collect();
    assert_eq!(lines.len(), count, "a reward stands there twice");
    lines
}
