//! The faults do what their names say, damage shows, and a seed is a run. What the log does without faults is
//! shown by the conformance suite.

use std::time::Duration;

use aftercall_actors::contract::{key::Side, output::Kind};
use futures::TryStreamExt;
use tokio::time::{advance, sleep};

use super::*;
use crate::log::{Destination, Headers};

mod delivery;

const PARTITION: PartitionId = PartitionId {
    side: Side::Agent,
    index: 0,
};
const ALERT: Lane = Lane::Out(Kind::Alert);

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leaves_the_write() {
    let world = World::new(2, only(|f| f.lose_answer_per_mille = 1000));
    let log = world.client();
    unknown_append(&log, "e").await;
    assert!(matches!(
        commit(&log, 0).await,
        Err(CommitError::Unknown(_))
    ));
    assert!(log.snapshot_append(PARTITION, "s".into()).await.is_err());
    assert_eq!(counts(&world), [1, 1, 1, 0]);
    // The same again is found under its id, and fenced by itself.
    world.set_faults(Faults::default());
    let again = log.append(vec![event("e")]).await.remove(0).unwrap();
    assert_eq!((again.position, again.duplicate), (1, true));
    assert!(matches!(commit(&log, 0).await, Err(CommitError::Fenced)));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_leaves_nothing() {
    let world = World::new(2, only(|f| f.drop_request_per_mille = 1000));
    let log = world.client();
    unknown_append(&log, "e").await;
    assert!(matches!(
        commit(&log, 0).await,
        Err(CommitError::Unknown(_))
    ));
    let mut fences = [0; Lane::COUNT];
    let answer = log
        .outputs_append(PARTITION, &mut fences, &outputs(2))
        .await;
    assert!(matches!(answer, Err(CommitError::Unknown(_))));
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(counts(&world), [0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_late_write_is_stored_later_if_its_fence_still_holds() {
    let late = only(|f| {
        f.late_store_per_mille = 1000;
        f.delay_ms_max = 50;
    });
    let world = World::new(2, late);
    let log = world.client();
    unknown_append(&log, "e").await;
    assert!(matches!(
        commit(&log, 0).await,
        Err(CommitError::Unknown(_))
    ));
    sleep(Duration::from_secs(5)).await;
    assert_eq!(counts(&world), [1, 1, 0, 0]);
    // Overtaken by another writer, it changes nothing any more.
    let head = world.journal(PARTITION)[0].seq;
    assert!(matches!(
        commit(&log, head).await,
        Err(CommitError::Unknown(_))
    ));
    world.set_faults(Faults::default());
    let overtaken = world.journal(PARTITION).len() == 1 && commit(&log, head).await.is_ok();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(world.journal(PARTITION).len(), 2);
    assert!(overtaken, "with this seed the late one is the later one");
}

#[tokio::test(start_paused = true)]
async fn a_disconnected_reader_goes_on_where_it_stopped() {
    let world = World::new(2, Faults::default());
    let log = world.client();
    for name in ["a", "b", "c"] {
        log.append(vec![event(name)]).await.remove(0).unwrap();
    }
    let mut reader = log.read(1).await.unwrap();
    assert_eq!(names(&reader.next(2).await.unwrap()), ["a", "b"]);
    world.set_faults(only(|f| f.reader_disconnect_per_mille = 1000));
    let error = reader.next(2).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(log.journal_head(PARTITION).await.is_err());
    assert!(log.bounds().await.is_err());
    world.set_faults(Faults::default());
    assert_eq!(names(&reader.next(2).await.unwrap()), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn a_duplicated_append_stands_twice() {
    let world = World::new(2, only(|f| f.duplicate_append_per_mille = 1000));
    let log = world.client();
    log.append(vec![event("e")]).await.remove(0).unwrap();
    sleep(Duration::from_secs(5)).await;
    let events = world.events();
    assert_eq!(names(&events), ["e", "e"]);
    assert_eq!(events[1].position, 2);
}

#[tokio::test(start_paused = true)]
async fn outputs_may_be_stored_in_parts_and_the_parts_make_the_whole() {
    // A fault that never touches a write, so that only the parts show.
    let world = World::new(2, only(|f| f.reader_disconnect_per_mille = 1));
    let log = world.client();
    let outputs = outputs(100);
    let mut fences = [0; Lane::COUNT];
    let (mut done, mut calls) = (0, 0);
    while done < outputs.len() {
        done += log
            .outputs_append(PARTITION, &mut fences, &outputs[done..])
            .await
            .unwrap();
        calls += 1;
    }
    assert!(calls > 1);
    let stored = world.outputs();
    let stored: Vec<_> = stored.into_iter().map(|stored| stored.output).collect();
    assert_eq!(stored, outputs);
}

#[tokio::test(start_paused = true)]
async fn a_message_id_is_known_for_two_minutes_to_the_millisecond() {
    for (waited_ms, duplicate) in [(120_000, true), (120_001, false)] {
        let log = World::new(2, Faults::default()).client();
        let began = log.now();
        log.append(vec![event("e")]).await.remove(0).unwrap();
        advance(Duration::from_millis(waited_ms)).await;
        assert_eq!(log.now().since_ms(began), waited_ms.cast_signed());
        let again = log.append(vec![event("e")]).await.remove(0).unwrap();
        assert_eq!(again.duplicate, duplicate, "after {waited_ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_event_is_a_gap_for_every_reader() {
    let world = World::new(2, Faults::default());
    let log = world.client();
    for name in ["a", "b", "c", "d"] {
        log.append(vec![event(name)]).await.remove(0).unwrap();
    }
    assert!(world.lose_event(3) && !world.lose_event(3));
    let mut reader = log.read(1).await.unwrap();
    assert_eq!(names(&reader.next(10).await.unwrap()), ["a", "b"]);
    for _ in 0..2 {
        let gap = reader.next(10).await.unwrap_err();
        assert!(
            matches!(
                gap,
                LogError::Gap {
                    expected: 3,
                    found: 4
                }
            ),
            "{gap}"
        );
    }
    world.lose_event(4);
    let gap = reader.next(10).await.unwrap_err();
    assert!(
        matches!(
            gap,
            LogError::Gap {
                expected: 3,
                found: 5
            }
        ),
        "{gap}"
    );
}

#[tokio::test(start_paused = true)]
async fn positions_lost_with_the_power_are_given_again() {
    let world = World::new(2, Faults::default());
    let log = world.client();
    for name in ["a", "b", "c"] {
        log.append(vec![event(name)]).await.remove(0).unwrap();
    }
    world.lose_events_after(1);
    let bounds = log.bounds().await.unwrap();
    assert_eq!(bounds, Bounds { first: 1, last: 1 });
    let stored = log.append(vec![event("other")]).await.remove(0).unwrap();
    assert_eq!(stored.position, 2);
    assert_eq!(names(&world.events()), ["a", "other"]);
}

#[tokio::test(start_paused = true)]
async fn damage_to_the_journal_is_what_a_client_reads() {
    let world = World::new(2, Faults::default());
    let log = world.client();
    let first = commit(&log, 0).await.unwrap();
    let second = commit(&log, first).await.unwrap();
    let third = commit(&log, second).await.unwrap();
    assert!(world.corrupt_journal(PARTITION, first));
    assert!(world.lose_journal(PARTITION, second));
    assert!(!world.corrupt_journal(PARTITION, second));
    assert!(!world.lose_journal(PARTITION, second));
    let records = log.journal_scan(PARTITION, 1, u64::MAX).await.unwrap();
    let records: Vec<_> = records.try_collect().await.unwrap();
    let seqs: Vec<_> = records.iter().map(|record| record.seq).collect();
    assert_eq!(seqs, [first, third]);
    assert_eq!(&records[0].bytes[..], b"recnrd");
    assert_eq!(&records[1].bytes[..], b"record");
}

#[tokio::test(start_paused = true)]
async fn a_task_ended_at_an_await_crashes_before_or_after_the_effect() {
    let mut seen = [false; 2];
    for seed in 0..200 {
        let faults = only(|f| {
            f.seed = seed;
            f.delay_ms_max = 10;
        });
        let world = World::new(2, faults);
        let log = world.client();
        let task = tokio::spawn(async move { commit(&log, 0).await });
        sleep(Duration::from_millis(10)).await;
        let answered = task.is_finished();
        task.abort();
        sleep(Duration::from_secs(1)).await;
        if !answered {
            seen[world.journal(PARTITION).len()] = true;
        }
    }
    assert_eq!(seen, [true, true], "both before and after the effect");
}

#[tokio::test(start_paused = true)]
async fn a_seed_is_a_run() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let faults = Faults {
            seed,
            delay_ms_max: 20,
            lose_answer_per_mille: 50,
            drop_request_per_mille: 50,
            late_store_per_mille: 50,
            reader_disconnect_per_mille: 50,
            duplicate_append_per_mille: 50,
        };
        runs.push(transcript(World::new(2, faults)).await);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

/// What two clients do to a world and what they are told, line by line.
async fn transcript(world: World) -> Vec<String> {
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let tasks = ["one", "two"].map(|name| {
        let (log, lines) = (world.client(), std::sync::Arc::clone(&lines));
        let began = log.now();
        tokio::spawn(async move {
            let say = |text: String| {
                let at_ms = log.now().since_ms(began);
                lines.lock().unwrap().push(format!("{at_ms} {name} {text}"));
            };
            let mut reader = log.read(1).await;
            for n in 0..60 {
                say(format!(
                    "{:?}",
                    log.append(vec![event(&format!("{name}{n}"))]).await
                ));
                let head = log.journal_head(PARTITION).await;
                let expected = head.ok().flatten().map_or(0, |head| head.seq);
                say(format!("{:?}", commit(&log, expected).await));
                match &mut reader {
                    Ok(reader) => say(format!("{:?}", reader.next(5).await)),
                    Err(_) => reader = log.read(1).await,
                }
            }
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
    sleep(Duration::from_secs(60)).await;
    let mut lines = std::mem::take(&mut *lines.lock().unwrap());
    lines.push(format!("{:?}", names(&world.events())));
    lines.push(format!("{:?}", counts(&world)));
    lines
}

fn only(set: impl FnOnce(&mut Faults)) -> Faults {
    let mut faults = Faults {
        seed: 1,
        ..Faults::default()
    };
    set(&mut faults);
    faults
}

fn event(name: &str) -> NewEvent {
    NewEvent {
        destination: Destination::All {
            event_type: "tick".into(),
        },
        headers: Headers::Empty,
        payload: Bytes::copy_from_slice(name.as_bytes()),
        message_id: name.to_owned(),
    }
}

fn outputs(count: u32) -> Vec<NewOutput> {
    let output = |ordinal| NewOutput {
        lane: ALERT,
        commit: 1,
        ordinal,
        attributes: vec![("ce-id", format!("alert:{ordinal}"))],
        payload: Bytes::from_static(b"{}"),
    };
    (0..count).map(output).collect()
}

fn names(events: &[RawEvent]) -> Vec<&str> {
    events
        .iter()
        .map(|event| std::str::from_utf8(&event.payload).unwrap())
        .collect()
}

async fn unknown_append(log: &MemoryLog, name: &str) {
    let answer = log.append(vec![event(name)]).await.remove(0);
    assert!(matches!(answer, Err(AppendError::Unknown(_))), "{answer:?}");
}

async fn commit(log: &MemoryLog, expected: Seq) -> Result<Seq, CommitError> {
    log.journal_append(PARTITION, expected, Bytes::from_static(b"record"))
        .await
}

/// Events, journal records, snapshot chunks and outputs that stand in the world.
fn counts(world: &World) -> [usize; 4] {
    [
        world.events().len(),
        world.journal(PARTITION).len(),
        world.snapshots(PARTITION).len(),
        world.outputs().len(),
    ]
}
