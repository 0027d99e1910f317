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
use aftercall_actors::{key::Side, responses::Responses, rules::RuleSet, time::LogTime};
use serde_json::json;

const CUSTOMERS: u64 = 6_000;
const BEGAN_MS: i64 = 1_795_000_000_000;

#[test]
fn s4_05_updates_that_all_come_due_after_a_pause_fit_their_records() {
    let partition = PartitionId {
        side: Side::Customer,
        index: 0,
    };
    let mut engine = Engine::new(Start {
        partition,
        table: Table::new(Side::Customer),
        responses: Responses::default(),
        rules: RuleSet::default_rules(),
        now: LogTime(i64::MIN),
        floor: 0,
        epoch: 1,
        owner: 0,
        head: Head::default(),
        committed: 0,
        mark: aftercall::log::EventMark::default(),
        lanes: Default::default(),
        said: Default::default(),
        relayed: Relayed::default(),
        left_out: std::collections::BTreeSet::new(),
    });
    // The first completion of each customer goes out at once, the second waits for the merge time.
    let mut events: Vec<RawEvent> = Vec::new();
    for round in 0..2 {
        for customer in 0..CUSTOMERS {
            events.push(completion(events.len() as u64 + 1, customer, round));
        }
    }
    let tick = envelope::tick_event(LogTime(BEGAN_MS + 60_000));
    events.push(RawEvent {
        position: events.len() as u64 + 1,
        time: LogTime(BEGAN_MS + 60_000),
        route: Route::All,
        speaker: Speaker::Service,
        headers: tick.headers,
        payload: tick.payload,
    });

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
