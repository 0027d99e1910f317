//! Input that would make a record larger than the log takes: it is cut or set aside, and its partition goes on, after a
//! restart as well. What stopped a partition for good before is played as it came.

use std::time::Duration;

use aftercall::{
    log::{Destination, EventLog as _, Headers, Lane, NewEvent, PartitionId, memory::World},
    shard::{
        board::State,
        drive::Ended,
        engine::Engine,
        record::{Record, StateRecord, link},
        recovery::recover,
    },
};
use aftercall_actors::{
    alerts::NAME_CHARS_MAX,
    contract::key::{Key, Side},
    dedupe::DEDUPE_ENTRIES_MAX,
    rules::RuleSet,
};
use serde_json::{Value, json};

use crate::{
    fixtures::{Centre, PARTITIONS, SOON, in_virtual_time},
    process::Process,
    states::states_equal_the_model,
};

const AGENT: &str = "busy";

fn partition() -> PartitionId {
    PartitionId {
        side: Side::Agent,
        index: Key::Agent(AGENT).partition(PARTITIONS),
    }
}

fn event(number: usize, event_type: &str, data: &Value) -> NewEvent {
    let id = format!("{event_type}-{number}");
    let whole = json!({
        "specversion": "1.0", "id": id, "source": "test", "type": event_type, "data": data,
    });
    raw(&id, event_type, whole.to_string().into_bytes())
}

fn raw(id: &str, event_type: &str, payload: Vec<u8>) -> NewEvent {
    NewEvent {
        destination: Destination::Actors {
            owner: Key::Agent(AGENT).token(),
            customer: Key::Unassigned.token(),
            event_type: event_type.to_owned(),
        },
        headers: Headers::Empty,
        payload: payload.into(),
        message_id: id.to_owned(),
    }
}

/// Log time at which the tests begin.
const BEGAN_MS: i64 = 1_767_225_600_000;

fn survey(number: usize, name: &str) -> NewEvent {
    let data = json!({
        "response_id": format!("r{number}"), "interaction_id": format!("i{number}"), "csat": 1,
        "submitted_at": BEGAN_MS, "routing": { "agent_id": AGENT, "agent_name": name },
    });
    event(number, "survey.response.created", &data)
}

async fn append(world: &World, events: impl IntoIterator<Item = NewEvent>) {
    for answer in world.client().append(events.into_iter().collect()).await {
        answer.expect("stored");
    }
}

/// Everyone runs and has applied everything.
async fn goes_on(world: &World, process: &Process) {
    tokio::time::sleep(SOON * 10).await;
    let last = world.events().len() as u64;
    for status in process.board.partitions() {
        assert_eq!(status.state, State::Running, "{status:?}");
        assert_eq!(status.applied, last, "{status:?}");
        assert!(status.committed >= last, "{status:?}");
    }
}

/// A restart, in order or not, and one survey more.
async fn goes_on_after_a_restart(centre: &Centre, process: Process, crash: bool) {
    if crash {
        process.crash();
    } else {
        for ended in process.stop().await {
            assert!(matches!(ended, Ended::AsAsked), "{ended}");
        }
    }
    let process = centre.start();
    let said = centre.world.outputs().len();
    append(&centre.world, [survey(900_000 + said, "Ann")]).await;
    goes_on(&centre.world, &process).await;
    assert!(centre.world.outputs().len() > said);
    process.crash();
    let client = centre.world.client();
    states_equal_the_model(&client, &centre.world.events(), &RuleSet::default_rules()).await;
}

fn alerts(world: &World) -> Vec<Value> {
    let outputs = world.outputs().into_iter();
    let data = outputs.map(|stored| serde_json::from_slice(&stored.output.payload).expect("JSON"));
    data.filter(|data: &Value| data["rule"] == "low_csat")
        .collect()
}

#[test]
fn surveys_with_an_agents_name_of_200_kilobytes_stop_no_partition() {
    for crash in [false, true] {
        in_virtual_time(async |centre: Centre| {
            let process = centre.start();
            let name = "é".repeat(100_000);
            append(&centre.world, (0..8).map(|n| survey(n, &name))).await;
            goes_on(&centre.world, &process).await;
            let alerts = alerts(&centre.world);
            assert_eq!(alerts.len(), 8);
            for alert in alerts {
                let shown = alert["agent_name"].as_str().expect("a name");
                assert_eq!(shown.chars().count(), NAME_CHARS_MAX);
            }
            goes_on_after_a_restart(&centre, process, crash).await;
        });
    }
}

#[test]
fn a_message_of_250000_control_characters_is_set_aside_and_stops_no_partition() {
    for crash in [false, true] {
        in_virtual_time(async |centre: Centre| {
            let process = centre.start();
            for (number, byte) in [(1, 1u8), (2, b'"'), (3, 0xff)] {
                let id = format!("bad-{number}");
                append(&centre.world, [raw(&id, "noise", vec![byte; 250_000])]).await;
            }
            goes_on(&centre.world, &process).await;
            let outputs = centre.world.outputs();
            let dead = outputs
                .iter()
                .filter(|stored| stored.output.lane == Lane::Dead);
            let sizes: Vec<usize> = dead.map(|stored| stored.output.payload.len()).collect();
            assert_eq!(sizes.len(), 3);
            assert!(sizes.iter().all(|bytes| *bytes < 340_000), "{sizes:?}");
            goes_on_after_a_restart(&centre, process, crash).await;
        });
    }
}

/// Texts that are stored, each far too long: refused where they are read, and kept with the reason.
#[test]
fn a_text_that_is_too_long_to_be_kept_is_set_aside_with_its_field() {
    in_virtual_time(async |centre: Centre| {
        let process = centre.start();
        let long = "x".repeat(100_000);
        let wrapup = json!({
            "interaction_id": "i", "agent_id": AGENT, "status": "ended", "wrap_up_code": long,
        });
        let metric = json!({
            "agent_id": AGENT, "date": "2026-01-01", "metric": "points", "value": 1,
            "export_version": long,
        });
        let adjusted = json!({
            "adjustment_id": "x", "agent_id": AGENT, "points": 1, "kind": "grant", "reason": long,
            "effective_at": BEGAN_MS,
        });
        for (number, (event_type, data)) in [
            ("interaction.wrapup", wrapup),
            ("wfm.metric.recorded", metric),
            ("points.adjusted", adjusted),
        ]
        .into_iter()
        .enumerate()
        {
            append(&centre.world, [event(number, event_type, &data)]).await;
        }
        goes_on(&centre.world, &process).await;
        let outputs = centre.world.outputs();
        let details: Vec<String> = outputs
            .iter()
            .map(|stored| {
                let data: Value = serde_json::from_slice(&stored.output.payload).expect("JSON");
                assert_eq!(data["reason"], "out_of_range");
                data["detail"].as_str().expect("a detail").to_owned()
            })
            .collect();
        let [code, version, reason] = &details[..] else {
            panic!("{details:?}");
        };
        assert_eq!(
            code,
            "data.wrap_up_code: at most 256 bytes are taken here, this text has 100000"
        );
        assert!(version.starts_with("data.export_version: at most 256 bytes"));
        assert!(reason.starts_with("data.reason: at most 4096 bytes"));
    });
}

/// Ordinary events of one agent, as many as it remembers of each sort.
async fn busy_days(world: &World) {
    for number in 0..DEDUPE_ENTRIES_MAX + 10 {
        let wrapup = json!({
            "interaction_id": format!("i{number}"), "agent_id": AGENT, "status": "ended",
        });
        let adjusted = json!({
            "adjustment_id": format!("x{number}"), "agent_id": AGENT, "points": 1, "kind": "grant",
            "reason": "r", "effective_at": BEGAN_MS,
        });
        let events = [
            survey(number, "Ann"),
            event(number, "interaction.wrapup", &wrapup),
            event(number, "points.adjusted", &adjusted),
        ];
        append(world, events).await;
    }
    for number in 0..700 {
        let data = json!({
            "response_id": format!("{number:0>36}"), "agent_id": AGENT, "score": 0,
            "submitted_at": BEGAN_MS,
        });
        append(world, [event(number, "enps.response.submitted", &data)]).await;
    }
}

#[test]
fn one_busy_agent_stops_no_partition_and_costs_what_it_says() {
    in_virtual_time(async |centre: Centre| {
        let process = centre.start();
        busy_days(&centre.world).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        goes_on(&centre.world, &process).await;
        let before = journal_bytes(&centre.world);
        let said = centre.world.outputs().len();
        // One by one, so that each is a record.
        for number in 100_000..100_100 {
            append(&centre.world, [survey(number, "Ann")]).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        goes_on(&centre.world, &process).await;
        let outputs = centre.world.outputs();
        let bytes = outputs[said..]
            .iter()
            .map(|stored| stored.output.payload.len());
        let (said_bytes, written) = (bytes.sum::<usize>(), journal_bytes(&centre.world) - before);
        assert!(
            written < 6 * said_bytes,
            "{written} bytes of journal for {said_bytes} of outputs"
        );
        goes_on_after_a_restart(&centre, process, true).await;
    });
}

fn journal_bytes(world: &World) -> usize {
    let records = world.journal(partition()).into_iter();
    records.map(|stored| stored.bytes.len()).sum()
}

/// A state just below the largest record, as an older program stored it: the next word was its last.
#[test]
fn a_partition_that_was_stuck_with_a_large_state_goes_on() {
    in_virtual_time(async |centre: Centre| {
        let process = centre.start();
        busy_days(&centre.world).await;
        goes_on(&centre.world, &process).await;
        process.crash();
        // The states of all, whole, in one record that the older program could still write.
        let client = centre.world.client();
        let rules = RuleSet::default_rules();
        let recovered = recover(&client, partition(), (&rules).into()).await;
        let mut engine = Engine::new(recovered.expect("recovered").start);
        let state = engine
            .states()
            .remove(&format!("agent/{AGENT}"))
            .expect("an agent");
        assert!(state.len() > 850_000, "{}", state.len());
        let head = client
            .journal_head(partition())
            .await
            .expect("read")
            .expect("a record");
        let last = Record::read(&head.bytes).expect("a record");
        let whole = Record {
            format: 1,
            commit: last.commit + 1,
            previous: link(&head.bytes),
            states: vec![StateRecord {
                key: format!("agent/{AGENT}"),
                state: state.into(),
                ..StateRecord::default()
            }],
            ..last
        };
        let appended = client
            .journal_append(partition(), head.seq, whole.to_bytes())
            .await;
        appended.expect("as the older program did");
        let process = centre.start();
        goes_on_after_a_restart(&centre, process, true).await;
        let process = centre.start();
        goes_on_after_a_restart(&centre, process, false).await;
    });
}

/// The embedded journal is no longer than from the last full generation but one, and recovery needs no more.
#[test]
fn a_journal_is_trimmed_behind_snapshots() {
    in_virtual_time(async |mut centre: Centre| {
        for _ in 0..4 {
            let process = centre.start();
            for _ in 0..40 {
                centre.feed(20).await;
                tokio::time::sleep(Duration::from_secs(31)).await;
            }
            process.stop().await;
        }
        for partition in PartitionId::all(PARTITIONS) {
            let (ever, held) = (
                centre.world.journal(partition).len(),
                centre.world.journal_held(partition),
            );
            assert!(
                held.len() * 2 < ever,
                "{partition}: {} of {ever}",
                held.len()
            );
            let first = Record::read(&held[0].bytes).expect("a record");
            assert_eq!(first.commit, 1, "the rules it began with stay");
        }
        let process = centre.start();
        goes_on(&centre.world, &process).await;
        process.crash();
        let client = centre.world.client();
        states_equal_the_model(&client, &centre.world.events(), &RuleSet::default_rules()).await;
    });
}

/// So little memory that every actor goes to the disk after each batch, and keys alone are too many: everything is applied
/// and said as ever, after a restart as well, and `/readyz` says what is wrong.
#[test]
fn what_the_memory_bound_holds_up_goes_on() {
    in_virtual_time(async |mut centre: Centre| {
        let rules = RuleSet::default_rules();
        let started = |centre: &Centre| Process::start_within(&centre.world, rules.clone(), 2_000);
        let mut process = started(&centre);
        for restart in [false, true, false] {
            centre.feed(300).await;
            tokio::time::sleep(Duration::from_secs(40)).await;
            goes_on(&centre.world, &process).await;
            assert!(process.board.is_crowded());
            let complaints = process.board.complaints(Duration::from_secs(10));
            assert!(
                complaints
                    .iter()
                    .any(|text| text.contains("engine.memory_max")),
                "{complaints:?}"
            );
            if restart {
                process.crash();
            } else {
                process.stop().await;
            }
            process = started(&centre);
        }
        tokio::time::sleep(SOON * 10).await;
        process.crash();
        let client = centre.world.client();
        states_equal_the_model(&client, &centre.world.events(), &rules).await;
        // With room again nothing is held up.
        let process = centre.start();
        centre.feed(20).await;
        goes_on(&centre.world, &process).await;
        assert!(!process.board.is_crowded());
    });
}
