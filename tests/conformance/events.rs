//! Rules of the event log: positions, time, dedupe, reading, retention, routes.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use aftercall::log::{
    AppendError, Bounds, Destination, Headers, LogError, NewEvent, Position, Route,
};
use aftercall_actors::contract::key::Key;
use bytes::Bytes;

use crate::{
    Factory, PARTITION_COUNT,
    fixtures::{append_named, event, names, nothing_from, pattern, soon, take},
};

pub async fn an_append_of_nothing_answers_nothing(factory: &dyn Factory) {
    let log = factory.open().await;
    assert!(soon(log.append(Vec::new())).await.is_empty());
    assert_eq!(soon(log.bounds()).await.unwrap().last, 0);
}

pub async fn an_empty_log_holds_from_one_to_zero(factory: &dyn Factory) {
    let log = factory.open().await;
    let bounds = soon(log.bounds()).await.unwrap();
    assert_eq!(bounds, Bounds { first: 1, last: 0 });
    assert!(soon(log.event_at(1)).await.unwrap().is_none());
}

pub async fn positions_are_contiguous_and_in_order(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut positions: Vec<Position> = Vec::new();
    for batch in 0..3 {
        let events = (0..20).map(|n| event(&format!("{batch}-{n}"))).collect();
        let answers = soon(log.append(events)).await;
        positions.extend(answers.into_iter().map(|a| a.unwrap().position));
    }
    assert_eq!(positions, (1..=60).collect::<Vec<_>>());
    let mut reader = soon(log.read(1)).await.unwrap();
    let events = take(&mut *reader, 60).await;
    assert_eq!(events[0].position, 1);
    assert_eq!(names(&events)[19..22], ["0-19", "1-0", "1-1"]);
    let bounds = soon(log.bounds()).await.unwrap();
    assert_eq!(bounds, Bounds { first: 1, last: 60 });
}

pub async fn log_time_never_runs_backwards_and_is_about_now(factory: &dyn Factory) {
    let log = factory.open().await;
    let before = log.now();
    for n in 0..5 {
        append_named(&log, &format!("{n}-"), 3).await;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let after = log.now();
    let mut reader = soon(log.read(1)).await.unwrap();
    let events = take(&mut *reader, 15).await;
    assert!(events.windows(2).all(|pair| pair[0].time <= pair[1].time));
    // The clocks of a client and of a server may differ a little.
    assert!(events[0].time.since_ms(before) >= -1_000);
    assert!(events[14].time.since_ms(after) <= 1_000);
    assert!(events[14].time.since_ms(events[0].time) >= 10);
}

pub async fn the_same_message_id_is_stored_once(factory: &dyn Factory) {
    let log = factory.open().await;
    append_named(&log, "e", 3).await;
    let mut again = event("e2");
    again.payload = Bytes::from_static(b"other content, same id");
    let other = factory.open().await;
    let answers = soon(other.append(vec![again, event("new")])).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!((answers[0].position, answers[0].duplicate), (2, true));
    assert_eq!((answers[1].position, answers[1].duplicate), (4, false));
    let mut reader = soon(log.read(1)).await.unwrap();
    let events = take(&mut *reader, 4).await;
    assert_eq!(names(&events), ["e1", "e2", "e3", "new"]);
}

pub async fn the_same_message_id_in_one_append_is_stored_once(factory: &dyn Factory) {
    let log = factory.open().await;
    let events = ["a", "b", "a", "c"].map(event).to_vec();
    let answers = soon(log.append(events)).await;
    let answers: Vec<_> = answers
        .into_iter()
        .map(Result::unwrap)
        .map(|answer| (answer.position, answer.duplicate))
        .collect();
    assert_eq!(answers, [(1, false), (2, false), (1, true), (3, false)]);
}

pub async fn a_read_begins_where_it_is_told_to(factory: &dyn Factory) {
    let log = factory.open().await;
    append_named(&log, "e", 9).await;
    let mut reader = soon(log.read(4)).await.unwrap();
    assert_eq!(
        names(&take(&mut *reader, 6).await),
        ["e4", "e5", "e6", "e7", "e8", "e9"]
    );
}

pub async fn a_read_waits_for_what_is_not_there_yet(factory: &dyn Factory) {
    let log = factory.open().await;
    append_named(&log, "e", 2).await;
    let mut reader = soon(log.read(1)).await.unwrap();
    take(&mut *reader, 2).await;
    let waiting = tokio::spawn(async move { take(&mut *reader, 1).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    // From another client, as from another process.
    append_named(&factory.open().await, "late", 1).await;
    assert_eq!(names(&soon(waiting).await.unwrap()), ["late1"]);
}

pub async fn a_read_beyond_the_end_waits_for_its_position(factory: &dyn Factory) {
    let log = factory.open().await;
    append_named(&log, "e", 1).await;
    let mut reader = soon(log.read(3)).await.unwrap();
    nothing_from(reader.next(10)).await;
    append_named(&log, "f", 3).await;
    assert_eq!(names(&take(&mut *reader, 2).await), ["f2", "f3"]);
}

pub async fn a_read_takes_what_has_arrived_and_no_more_than_asked(factory: &dyn Factory) {
    let log = factory.open().await;
    append_named(&log, "e", 25).await;
    let mut reader = soon(log.read(1)).await.unwrap();
    let mut got = Vec::new();
    // What is on its way may arrive in pieces.
    for max in [1, 7].into_iter().chain(std::iter::repeat(100)) {
        if got.len() >= 25 {
            break;
        }
        let events = soon(reader.next(max)).await.unwrap();
        assert!(
            (1..=max).contains(&events.len()),
            "{} of {max}",
            events.len()
        );
        got.extend(names(&events));
    }
    let expected: Vec<_> = (1..=25).map(|n| format!("e{n}")).collect();
    assert_eq!(got, expected);
    nothing_from(reader.next(100)).await;
}

pub async fn a_read_given_up_while_waiting_loses_nothing(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut reader = soon(log.read(1)).await.unwrap();
    for round in 0..5 {
        nothing_from(reader.next(10)).await;
        append_named(&log, &format!("{round}-"), 2).await;
        let events = take(&mut *reader, 2).await;
        assert_eq!(names(&events), [format!("{round}-1"), format!("{round}-2")]);
    }
}

pub async fn two_readers_see_the_same(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut one = soon(log.read(1)).await.unwrap();
    let mut two = soon(factory.open().await.read(1)).await.unwrap();
    append_named(&log, "e", 50).await;
    let (one, two) = (take(&mut *one, 50).await, take(&mut *two, 50).await);
    assert_eq!(names(&one), names(&two));
}

pub async fn a_read_of_trimmed_events_is_refused(factory: &dyn Factory) {
    let log = factory.open().await;
    append_named(&log, "e", 10).await;
    factory.trim_events(6).await;
    let bounds = soon(log.bounds()).await.unwrap();
    assert_eq!(bounds, Bounds { first: 6, last: 10 });
    let refused = soon(log.read(5)).await.err();
    assert!(
        matches!(
            refused,
            Some(LogError::Trimmed {
                wanted: 5,
                first: 6
            })
        ),
        "{refused:?}"
    );
    assert!(soon(log.event_at(5)).await.unwrap().is_none());
    let mut reader = soon(log.read(6)).await.unwrap();
    assert_eq!(names(&take(&mut *reader, 5).await)[0], "e6");
}

pub async fn a_reader_overtaken_by_trimming_says_so(factory: &dyn Factory) {
    let log = factory.open().await;
    append_named(&log, "e", 10).await;
    let mut reader = soon(log.read(1)).await.unwrap();
    take(&mut *reader, 2).await;
    let more = factory.read_ahead();
    append_named(&log, "f", more).await;
    let kept = more as Position + 8;
    factory.trim_events(kept).await;
    // Events fetched ahead of the trimming may still come; then the reader must stop, and not jump.
    let mut next = 3;
    loop {
        match soon(reader.next(100)).await {
            Ok(events) => {
                assert_eq!(events[0].position, next);
                next += events.len() as u64;
            }
            Err(LogError::Trimmed { wanted, first }) => {
                assert_eq!((wanted, first), (next, kept));
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

pub async fn positions_go_on_after_everything_was_trimmed(factory: &dyn Factory) {
    let log = factory.open().await;
    append_named(&log, "e", 4).await;
    factory.trim_events(5).await;
    let bounds = soon(log.bounds()).await.unwrap();
    assert_eq!(bounds, Bounds { first: 5, last: 4 });
    drop(log);
    factory.restart().await;
    let log = factory.open().await;
    let answers = soon(log.append(vec![event("next")])).await;
    assert_eq!(answers[0].as_ref().unwrap().position, 5);
}

pub async fn an_event_is_found_by_its_position(factory: &dyn Factory) {
    let log = factory.open().await;
    append_named(&log, "e", 3).await;
    let found = soon(log.event_at(2)).await.unwrap().expect("held");
    assert_eq!((found.position, &found.payload[..]), (2, &b"e2"[..]));
    assert!(soon(log.event_at(4)).await.unwrap().is_none());
    assert!(soon(log.event_at(0)).await.unwrap().is_none());
}

pub async fn an_event_comes_back_as_it_was_written(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut rich = event("rich");
    let pairs = [
        ("ce-id", "rich"),
        ("ce-source", "/vendor/päth?q=a: b"),
        ("content-type", "application/json"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ];
    rich.headers = Headers::from_pairs(pairs);
    rich.payload = pattern(800);
    let mut bare = event("bare");
    bare.headers = Headers::Empty;
    bare.payload = Bytes::new();
    let written = [rich.clone(), bare];
    for answer in soon(log.append(written.to_vec())).await {
        answer.unwrap();
    }
    let mut reader = soon(log.read(1)).await.unwrap();
    let events = take(&mut *reader, 2).await;
    for (name, value) in pairs {
        assert_eq!(events[0].headers.get(name), Some(value), "{name}");
    }
    assert_eq!(events[0].headers.get("CE-Source"), Some(pairs[1].1));
    assert_eq!(events[0].payload, rich.payload);
    assert_eq!(events[1].headers.get("ce-id"), None);
    assert!(events[1].payload.is_empty());
    let single = soon(log.event_at(1)).await.unwrap().expect("held");
    assert_eq!(single.payload, rich.payload);
    assert_eq!(single.headers.get("ce-source"), Some(pairs[1].1));
    assert_eq!(
        (single.time, single.route),
        (events[0].time, events[0].route)
    );
}

pub async fn routes_are_the_partitions_of_the_keys(factory: &dyn Factory) {
    const IDS: [&str; 9] = [
        "a-1",
        "100%",
        "two words",
        "päivi.mäkinen@example.com",
        "*",
        ">",
        "_",
        "顧客",
        "x%20y",
    ];
    let log = factory.open().await;
    let owners = IDS.iter().flat_map(|id| {
        [Key::Agent(id), Key::Bot(id), Key::Queue(id)]
            .into_iter()
            .chain([Key::Unassigned])
    });
    let customers = IDS.map(Key::Customer).into_iter().chain([Key::Unassigned]);
    let pairs: Vec<_> = owners.zip(customers.cycle()).collect();
    let events = pairs.iter().enumerate().map(|(n, (owner, customer))| {
        let destination = Destination::Actors {
            owner: owner.token(),
            customer: customer.token(),
            event_type: "survey.response.created".into(),
        };
        NewEvent {
            destination,
            ..event(&format!("e{n}"))
        }
    });
    for answer in soon(log.append(events.collect())).await {
        answer.unwrap();
    }
    let mut reader = soon(log.read(1)).await.unwrap();
    let routes: Vec<_> = take(&mut *reader, pairs.len())
        .await
        .iter()
        .map(|event| event.route)
        .collect();
    let expected: Vec<_> = pairs
        .iter()
        .map(|(owner, customer)| Route::Pair {
            agent: owner.partition(PARTITION_COUNT),
            customer: customer.partition(PARTITION_COUNT),
        })
        .collect();
    assert_eq!(routes, expected);
}

pub async fn an_event_for_all_goes_to_every_partition(factory: &dyn Factory) {
    let log = factory.open().await;
    let events = ["tick", "rules.activated"].map(|event_type| NewEvent {
        destination: Destination::All {
            event_type: event_type.into(),
        },
        ..event(event_type)
    });
    for answer in soon(log.append(events.to_vec())).await {
        answer.unwrap();
    }
    let mut reader = soon(log.read(1)).await.unwrap();
    let events = take(&mut *reader, 2).await;
    assert_eq!(names(&events), ["tick", "rules.activated"]);
    assert!(events.iter().all(|event| event.route == Route::All));
}

pub async fn an_event_that_is_too_large_is_refused_alone(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut large = event("large");
    large.payload = Bytes::from(vec![b'x'; log.record_bytes_max() * 2]);
    let answers = soon(log.append(vec![event("a"), large, event("b")])).await;
    assert_eq!(answers[0].as_ref().unwrap().position, 1);
    assert!(
        matches!(answers[1], Err(AppendError::Refused(_))),
        "{:?}",
        answers[1]
    );
    assert_eq!(answers[2].as_ref().unwrap().position, 2);
    let mut reader = soon(log.read(1)).await.unwrap();
    assert_eq!(names(&take(&mut *reader, 2).await), ["a", "b"]);
}

pub async fn appends_from_four_tasks_are_all_kept(factory: &dyn Factory) {
    let shared = factory.open().await;
    let mut tasks = Vec::new();
    for task in 0..4 {
        // Two tasks share a client, two have their own.
        let log = if task < 2 {
            Arc::clone(&shared)
        } else {
            factory.open().await
        };
        tasks.push(tokio::spawn(async move {
            let mut given = Vec::new();
            for batch in 0..25 {
                let events = (0..8).map(|n| event(&format!("{task}/{batch}/{n}")));
                let answers = log.append(events.collect()).await;
                for (n, answer) in answers.into_iter().enumerate() {
                    given.push((answer.unwrap().position, format!("{task}/{batch}/{n}")));
                }
            }
            given
        }));
    }
    let mut given = BTreeSet::new();
    for task in tasks {
        let positions = soon(task).await.unwrap();
        assert!(positions.is_sorted(), "one task's events keep their order");
        given.extend(positions);
    }
    let mut reader = soon(shared.read(1)).await.unwrap();
    let events = take(&mut *reader, 800).await;
    let stored: BTreeSet<_> = events
        .iter()
        .map(|e| e.position)
        .zip(names(&events))
        .collect();
    assert_eq!(stored.len(), 800);
    assert_eq!(stored, given);
}

pub async fn events_survive_a_restart(factory: &dyn Factory) {
    let log = factory.open().await;
    append_named(&log, "e", 100).await;
    let time = soon(log.event_at(100)).await.unwrap().expect("held").time;
    drop(log);
    factory.restart().await;
    let log = factory.open().await;
    append_named(&log, "f", 1).await;
    let mut reader = soon(log.read(1)).await.unwrap();
    let events = take(&mut *reader, 101).await;
    assert_eq!(names(&events)[98..], ["e99", "e100", "f1"]);
    assert_eq!(events[99].time, time);
    assert!(events[100].time >= time);
}
