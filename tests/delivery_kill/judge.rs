//! What must hold at the end: verdicts from the log, deeds from the vendors' ledger.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aftercall::{
    delivery::{
        dead_letter::{Entry, Reason, fold},
        parcel::Parcel,
    },
    envelope,
    log::{DeadPlace, Lane, Log, TailFrom},
    sandbox::{Spawned, call::Vendor},
};
use aftercall_actors::contract::{event::Body, output::Kind};
use futures::StreamExt as _;

/// The log answers at all within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Holds the end of a story to what was promised.
pub async fn judge(log: &Log, sandbox: &Spawned, each: usize) {
    let outputs = tokio::time::timeout(PATIENCE, outputs(log))
        .await
        .expect("outputs");
    let verdicts = tokio::time::timeout(PATIENCE, verdicts(log))
        .await
        .expect("events");
    let letters = tokio::time::timeout(PATIENCE, letters(log))
        .await
        .expect("letters");
    rewards(&outputs, &verdicts, &letters, sandbox, each);
    profiles(&outputs, &letters, sandbox, each);
    for (vendor, summary) in sandbox.sandbox.summary() {
        println!("{vendor}: {summary:?}");
        assert_eq!(summary.keys_repeated, 0, "{vendor}: {:?}", summary.repeated);
    }
}

/// Every request of a reward has one verdict, and the marketplace's ledger agrees with it.
fn rewards(
    outputs: &[Parcel],
    verdicts: &BTreeMap<String, BTreeSet<String>>,
    letters: &BTreeMap<(String, String), Reason>,
    sandbox: &Spawned,
    each: usize,
) {
    let requests: Vec<&Parcel> = of_kind(outputs, Kind::Reward);
    assert_eq!(requests.len(), each, "an agent got another reward or none");
    let mut counts = BTreeMap::<&str, usize>::new();
    for request in requests {
        let id = &request.id;
        let verdict = verdicts
            .get(id)
            .unwrap_or_else(|| panic!("{id} is in limbo"));
        assert_eq!(verdict.len(), 1, "{id} has verdicts {verdict:?}");
        let verdict = verdict.first().map_or("", String::as_str);
        let executions = sandbox.sandbox.executions(Vendor::Rewards, id);
        let letter = letters.get(&("rewards".to_owned(), id.clone()));
        let place = match (verdict, executions, letter) {
            ("issued", 1, None) => "issued",
            ("rejected", 0, Some(Reason::Rejected)) => "rejected",
            ("needs_review", 0, Some(Reason::Failed)) => "failed",
            ("needs_review", 0 | 1, Some(Reason::Unknown)) => "unknown",
            other => panic!("{id}: {other:?}"),
        };
        *counts.entry(place).or_default() += 1;
    }
    println!("rewards: {counts:?}");
    assert!(counts["issued"] > each / 2, "{counts:?}");
    assert!(counts["rejected"] > 0, "nobody lied: {counts:?}");
}

/// Every profile update is done or given up, and was done at most once.
fn profiles(
    outputs: &[Parcel],
    letters: &BTreeMap<(String, String), Reason>,
    sandbox: &Spawned,
    each: usize,
) {
    let updates = of_kind(outputs, Kind::Profile);
    assert!(updates.len() >= each);
    let mut counts = BTreeMap::<&str, usize>::new();
    for update in updates {
        let key = update.data["idempotency_key"].as_str().expect("a key");
        let executions = sandbox.sandbox.executions(Vendor::Crm, key);
        let letter = letters.get(&("crm".to_owned(), update.id.clone()));
        let place = match (executions, letter) {
            (1, None) => "delivered",
            (0, Some(Reason::Failed | Reason::Rejected)) => "failed",
            (0 | 1, Some(Reason::Unknown)) => "unknown",
            other => panic!("{}: {other:?}", update.id),
        };
        *counts.entry(place).or_default() += 1;
    }
    println!("profiles: {counts:?}");
    assert!(counts["delivered"] > each / 2, "{counts:?}");
}

fn of_kind(outputs: &[Parcel], kind: Kind) -> Vec<&Parcel> {
    outputs
        .iter()
        .filter(|parcel| parcel.kind == kind)
        .collect()
}

async fn outputs(log: &Log) -> Vec<Parcel> {
    let last = log.outputs_last().await.expect("the last output");
    let lanes: Vec<Lane> = Kind::ALL.into_iter().map(Lane::Out).collect();
    let mut tail = log
        .outputs_tail(&lanes, TailFrom::Start)
        .await
        .expect("a tail");
    let mut outputs = Vec::new();
    loop {
        let stored = tail.next().await.expect("no end").expect("an output");
        outputs.push(Parcel::read(&stored).expect("one of ours"));
        if stored.seq >= last {
            return outputs;
        }
    }
}

/// Every status that was reported of an output. The same report twice is one: events are known by source and id.
async fn verdicts(log: &Log) -> BTreeMap<String, BTreeSet<String>> {
    let last = log.bounds().await.expect("bounds").last;
    let mut reader = log.read(1).await.expect("a reader");
    let mut verdicts = BTreeMap::<String, BTreeSet<String>>::new();
    let mut read = 0;
    while read < last {
        for raw in reader.next(2_000).await.expect("events") {
            read = raw.position;
            let event = envelope::decode(&raw, log.partition_count()).expect("an event");
            if let Body::Outcome(_, outcome) = event.body {
                let statuses = verdicts.entry(outcome.output_id.to_string()).or_default();
                statuses.insert(outcome.status.to_string());
            }
        }
    }
    verdicts
}

/// Letters that nobody has decided about, by destination and output.
async fn letters(log: &Log) -> BTreeMap<(String, String), Reason> {
    let mut letters = fold::Letters::default();
    let mut scan = log.dead_scan(None).await.expect("a scan");
    while let Some(stored) = scan.next().await {
        let stored = stored.expect("a letter");
        if matches!(stored.place, DeadPlace::Delivery(_)) {
            let entry = Entry::read(&stored).expect("a readable letter");
            letters.take(stored.seq, &entry);
        }
    }
    letters
        .open()
        .map(|open| {
            (
                (open.destination.clone(), open.output_id.clone()),
                open.reason,
            )
        })
        .collect()
}
