//! Thousands of deadlines that come due at one event: one record after the other, none too large, nobody forgotten.

use std::collections::BTreeSet;

use aftercall::{
    envelope,
    log::{Headers, PartitionId, RawEvent, Route, Speaker},
    shard::{
        batch::route,
        engine::{COMMIT_BYTES_MAX, Engine, Head, Relayed, Start},
        table::Table,
    },
};
use aftercall_actors::{
    contract::{
        key::{Key, Side},
        time::LogTime,
    },
    responses::Responses,
    rules::RuleSet,
};
use serde_json::json;

const CUSTOMERS: u64 = 6_000;
const BEGAN_MS: i64 = 1_795_000_000_000;

#[test]
fn s4_05_updates_that_all_come_due_after_a_pause_fit_their_records() {
    let mut engine = engine(0);
    let mut events = contacts();
    events.push(tick(events.len() as u64 + 1));

    let last = events.len() as u64;
    let mut ids = BTreeSet::new();
    let mut commits = 0;
    for chunk in events.chunks(2_000) {
        engine.offer(route(chunk.to_vec(), 1).swap_remove(1));
        loop {
            engine.apply().expect("states that can be read");
            if !engine.has_outputs() {
                break;
            }
            let sealed = engine.seal();
            commits += 1;
            assert!(
                sealed.bytes.len() < 4 * COMMIT_BYTES_MAX,
                "a record of {}",
                sealed.bytes.len()
            );
            for output in &sealed.outputs {
                let id = output
                    .output
                    .attributes
                    .iter()
                    .find(|(name, _)| *name == "ce-id");
                assert!(
                    ids.insert(id.expect("an id").1.clone()),
                    "{id:?} stands twice"
                );
            }
            engine.committed_at(&sealed, commits);
        }
    }
    assert_eq!(ids.len() as u64, 2 * CUSTOMERS);
    assert_eq!(engine.applied(), last);
}

/// A former owner had committed behind an event of another partition, and died before those who were due were woken: they
/// say more than a commit takes, and it can be committed.
#[test]
fn s4_05_updates_that_all_come_due_at_once_behind_a_take_over_are_committed() {
    let mut events = contacts();
    let last = events.len() as u64;
    let others = RawEvent {
        route: Route::Pair {
            agent: 0,
            customer: 1,
        },
        ..completion(last + 1, CUSTOMERS, 0)
    };
    events.extend([others, tick(last + 2)]);
    // Its own events, the other's and the tick come together.
    let (replayed, together) = events.split_at(last as usize - 100);
    let mut engine = engine(last + 1);
    let mut said = 0;
    for chunk in replayed.chunks(2_000).chain([together]) {
        engine.offer(route(chunk.to_vec(), 2).swap_remove(2));
        loop {
            engine.apply().expect("states that can be read");
            if !engine.has_outputs() {
                break;
            }
            assert!(engine.is_recovered(), "nothing can be committed");
            let sealed = engine.seal();
            said += sealed.outputs.len() as u64;
            engine.committed_at(&sealed, said);
        }
    }
    let lives_here = |customer: &u64| {
        let key = format!("c{customer}");
        Key::Customer(&key).partition(2) == 0
    };
    let here = (0..CUSTOMERS).filter(lives_here).count() as u64;
    assert!(here > 1_000, "{here}");
    assert_eq!(said, here);
    assert_eq!(engine.applied(), last + 2);
}

/// One that has been taken over, and whose former owner had committed up to there.
fn engine(committed: u64) -> Engine {
    Engine::new(Start {
        partition: PartitionId {
            side: Side::Customer,
            index: 0,
        },
        table: Table::new(Side::Customer),
        responses: Responses::default(),
        rules: RuleSet::default_rules(),
        now: LogTime(i64::MIN),
        floor: 0,
        epoch: 1,
        owner: 0,
        head: Head::default(),
        committed,
        mark: aftercall::log::EventMark::default(),
        lanes: Default::default(),
        said: Default::default(),
        relayed: Relayed::default(),
        left_out: std::collections::BTreeSet::new(),
        woken: None,
    })
}

/// Of each customer two: the first profile goes out at once, the second waits for the merge time.
fn contacts() -> Vec<RawEvent> {
    let twice = (0..2).flat_map(|round| (0..CUSTOMERS).map(move |customer| (customer, round)));
    let numbered = (1..).zip(twice);
    numbered
        .map(|(position, (customer, round))| completion(position, customer, round))
        .collect()
}

fn tick(position: u64) -> RawEvent {
    let time = LogTime(BEGAN_MS + 60_000);
    let tick = envelope::tick_event(time);
    RawEvent {
        position,
        time,
        route: Route::All,
        speaker: Speaker::Service,
        headers: tick.headers,
        payload: tick.payload,
    }
}

fn completion(position: u64, customer: u64, round: u64) -> RawEvent {
    let whole = json!({
        "specversion": "1.0", "id": format!("{round}-{customer}"), "source": "burst",
        "type": "interaction.completed",
        "data": {
            "interaction_id": format!("i{round}-{customer}"), "channel": "voice",
            "customer": { "customer_id": format!("c{customer}") },
            "started_at": BEGAN_MS, "ended_at": BEGAN_MS + 1,
            "summary": "The customer asked for a copy of the latest invoice and received it.",
        },
    });
    RawEvent {
        position,
        time: LogTime(BEGAN_MS + 1),
        route: Route::Pair {
            agent: 0,
            customer: 0,
        },
        speaker: Speaker::Anyone,
        headers: Headers::Empty,
        payload: whole.to_string().into_bytes().into(),
    }
}
