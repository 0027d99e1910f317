//! Rules of dead letters: append only, each once, in the stream of quarantined input and not in its way.

use aftercall::log::{
    AppendError, CommitError, DeadPlace, Headers, Lane, LaneFences, Log, LogError, NewDead,
    NewOutput, PartitionId, Seq, StoredDead, StoredOutput, TailFrom,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};

use crate::{
    Factory,
    fixtures::{AGENT_0, ALERT, CUSTOMER_0, nothing_from, output, pattern, soon},
};

const CRM: &str = "crm";
const SLACK: &str = "slack-eu_2";

pub async fn a_dead_letter_comes_back_as_it_was_written(factory: &dyn Factory) {
    let log = factory.open().await;
    assert_eq!(soon(log.dead_at(1)).await.unwrap().map(|d| d.seq), None);
    let attributes = [
        ("ce-id", "dead:crm:1:alert%20r%C3%A4sp"),
        ("ce-type", "delivery.dead"),
        ("content-type", "application/json"),
    ];
    let written = NewDead {
        message_id: "dead:crm:1:alert%20r%C3%A4sp/1".into(),
        headers: Headers::from_pairs(attributes),
        payload: pattern(70_000),
    };
    let before = log.now();
    let seq = soon(log.dead_append(CRM, written.clone())).await.unwrap();
    let other = factory.open().await;
    let at = soon(other.dead_at(seq)).await.unwrap().unwrap();
    let scanned = dead_scan(&other, Some(CRM)).await.remove(0);
    let mut tail = soon(other.dead_tail(CRM, 0)).await.unwrap();
    let tailed = soon(tail.next()).await.unwrap().unwrap();
    for found in [at, scanned, tailed] {
        assert_eq!(found.seq, seq);
        assert!(found.time.since_ms(before).abs() < 10_000);
        assert_eq!(found.place, DeadPlace::Delivery(CRM.into()));
        assert_eq!(found.message_id, written.message_id);
        for (name, value) in attributes {
            assert_eq!(found.headers.get(name), Some(value), "{name}");
        }
        assert_eq!(found.payload, written.payload);
    }
    for none in [0, seq + 1, Seq::MAX >> 1] {
        assert!(soon(log.dead_at(none)).await.unwrap().is_none(), "{none}");
    }
}

pub async fn a_dead_letter_sent_again_is_stored_once_for_each_destination(factory: &dyn Factory) {
    let (log, other) = (factory.open().await, factory.open().await);
    let first = soon(log.dead_append(CRM, dead("same"))).await.unwrap();
    let again = NewDead {
        payload: Bytes::from_static(b"a later attempt at the same"),
        ..dead("same")
    };
    assert_eq!(soon(other.dead_append(CRM, again)).await.unwrap(), first);
    // Another destination's letters about the same output are its own.
    let elsewhere = soon(log.dead_append(SLACK, dead("same"))).await.unwrap();
    assert_ne!(elsewhere, first);
    soon(log.dead_append(CRM, dead("next"))).await.unwrap();
    let found = dead_scan(&log, Some(CRM)).await;
    assert_eq!(ids(&found), ["same", "next"]);
    assert_eq!(found[0].payload, dead("same").payload);
    assert_eq!(ids(&dead_scan(&log, Some(SLACK)).await), ["same"]);
}

pub async fn a_dead_letter_that_is_too_large_is_refused(factory: &dyn Factory) {
    let log = factory.open().await;
    let sized = |id: &str, bytes| NewDead {
        payload: pattern(bytes),
        ..dead(id)
    };
    let largest = log.record_bytes_max();
    soon(log.dead_append(CRM, sized("largest", largest)))
        .await
        .unwrap();
    let refused = soon(log.dead_append(CRM, sized("above", largest * 2))).await;
    assert!(
        matches!(refused, Err(AppendError::Refused(_))),
        "{refused:?}"
    );
    assert_eq!(ids(&dead_scan(&log, None).await), ["largest"]);
}

pub async fn a_scan_of_all_the_dead_gives_quarantined_events_as_well(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut fences = NO_FENCES;
    store(
        &log,
        AGENT_0,
        &mut fences,
        &[output(Lane::Dead, 1, 0), output(ALERT, 1, 1)],
    )
    .await;
    soon(log.dead_append(CRM, dead("a"))).await.unwrap();
    store(&log, AGENT_0, &mut fences, &[output(Lane::Dead, 2, 0)]).await;
    soon(log.dead_append(SLACK, dead("b"))).await.unwrap();
    store(
        &log,
        CUSTOMER_0,
        &mut NO_FENCES.clone(),
        &[output(Lane::Dead, 1, 0)],
    )
    .await;
    soon(log.dead_append(CRM, dead("c"))).await.unwrap();

    let all = dead_scan(&log, None).await;
    assert_eq!(all.len(), 6);
    let of = |place: DeadPlace| -> Vec<(String, String)> {
        let entries = all.iter().filter(|entry| entry.place == place);
        let name = |entry: &StoredDead| {
            let id = entry.headers.get("ce-id").unwrap_or_default();
            (entry.message_id.clone(), id.to_owned())
        };
        entries.map(name).collect()
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        of(DeadPlace::Delivery(CRM.into())),
        [pair("a", "a"), pair("c", "c")]
    );
    assert_eq!(of(DeadPlace::Delivery(SLACK.into())), [pair("b", "b")]);
    assert_eq!(
        of(DeadPlace::Event(AGENT_0)),
        [pair("", "dead-1-0"), pair("", "dead-2-0")]
    );
    assert_eq!(of(DeadPlace::Event(CUSTOMER_0)), [pair("", "dead-1-0")]);

    assert_eq!(ids(&dead_scan(&log, Some(CRM)).await), ["a", "c"]);
    assert_eq!(dead_scan(&log, Some("nobody")).await.len(), 0);
    // A letter is found by its sequence; quarantined input is not taken for one.
    for entry in &all {
        let found = soon(log.dead_at(entry.seq)).await.unwrap();
        if let DeadPlace::Delivery(_) = entry.place {
            assert_eq!(found.map(|f| f.message_id), Some(entry.message_id.clone()));
        } else if let Some(found) = found {
            assert_eq!(found.seq, entry.seq);
            assert!(matches!(found.place, DeadPlace::Delivery(_)), "{found:?}");
        }
    }
}

/// Letters stand in the same stream as quarantined input, and its lanes must not notice.
pub async fn dead_letters_do_not_disturb_the_marks_of_lanes(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut fences = NO_FENCES;
    for commit in 1..=3 {
        soon(log.dead_append(CRM, dead(&format!("{commit}"))))
            .await
            .unwrap();
        let outputs = [output(Lane::Dead, commit, 0), output(Lane::Dead, commit, 1)];
        store(&log, AGENT_0, &mut fences, &outputs).await;
        soon(log.dead_append(CRM, dead(&format!("{commit} again"))))
            .await
            .unwrap();
        let mark = soon(log.output_mark(AGENT_0, Lane::Dead)).await.unwrap();
        let mark = mark.map(|m| (m.seq, m.commit, m.ordinal));
        assert_eq!(mark, Some((fences[Lane::Dead.index()], commit, 1)));
    }
    let mut tail = soon(log.outputs_tail(&[Lane::Dead], TailFrom::Start))
        .await
        .unwrap();
    let quarantined = take(&mut tail, 6).await;
    assert!(quarantined.iter().all(|o| o.partition == AGENT_0));
    nothing_from(tail.next()).await;
}

pub async fn a_long_scan_of_dead_letters_is_whole_and_ends(factory: &dyn Factory) {
    let log = factory.open().await;
    let names: Vec<String> = (0..2_500).map(|n| format!("letter {n}")).collect();
    for chunk in names.chunks(50) {
        // Those of one chunk side by side: their order is the log's to choose, so it is kept per chunk only.
        let appends = chunk.iter().map(|name| log.dead_append(CRM, dead(name)));
        for stored in soon(futures::future::join_all(appends)).await {
            stored.unwrap();
        }
    }
    let mut found = ids(&dead_scan(&log, Some(CRM)).await);
    let all = ids(&dead_scan(&log, None).await);
    assert_eq!(found, all);
    let mut expected = names.clone();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

pub async fn a_dead_tail_gives_what_is_held_behind_a_sequence_and_what_comes(
    factory: &dyn Factory,
) {
    let (log, other) = (factory.open().await, factory.open().await);
    let mut seqs = Vec::new();
    for name in ["1", "2", "3"] {
        seqs.push(soon(log.dead_append(CRM, dead(name))).await.unwrap());
        soon(log.dead_append(SLACK, dead(name))).await.unwrap();
    }
    let mut whole = soon(log.dead_tail(CRM, 0)).await.unwrap();
    let mut behind = soon(log.dead_tail(CRM, seqs[1])).await.unwrap();
    let mut future = soon(log.dead_tail(CRM, seqs[2])).await.unwrap();
    assert_eq!(next_ids(&mut whole, 3).await, ["1", "2", "3"]);
    assert_eq!(next_ids(&mut behind, 1).await, ["3"]);
    nothing_from(future.next()).await;
    for name in ["4", "5"] {
        soon(other.dead_append(CRM, dead(name))).await.unwrap();
        soon(other.dead_append(SLACK, dead(name))).await.unwrap();
    }
    for tail in [&mut whole, &mut behind, &mut future] {
        assert_eq!(next_ids(tail, 2).await, ["4", "5"]);
    }
    nothing_from(whole.next()).await;
}

pub const NO_FENCES: LaneFences = [0; Lane::COUNT];

/// A letter whose message id, CloudEvents id and payload are `name`.
pub fn dead(name: &str) -> NewDead {
    NewDead {
        message_id: name.to_owned(),
        headers: Headers::from_pairs([("ce-id", name), ("ce-type", "delivery.dead")]),
        payload: Bytes::copy_from_slice(name.as_bytes()),
    }
}

pub async fn dead_scan(log: &Log, destination: Option<&str>) -> Vec<StoredDead> {
    let entries = soon(log.dead_scan(destination)).await.unwrap();
    soon(entries.try_collect()).await.unwrap()
}

pub fn ids(entries: &[StoredDead]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| entry.message_id.clone())
        .collect()
}

type DeadTail = futures::stream::BoxStream<'static, Result<StoredDead, LogError>>;

async fn next_ids(tail: &mut DeadTail, count: usize) -> Vec<String> {
    let entries: Vec<_> = soon(tail.take(count).try_collect()).await.unwrap();
    ids(&entries)
}

/// Stores all of `outputs`, in as many calls as the log wants.
pub async fn store(
    log: &Log,
    partition: PartitionId,
    fences: &mut LaneFences,
    outputs: &[NewOutput],
) {
    let mut left = outputs.to_vec();
    while !left.is_empty() {
        match soon(log.outputs_append(partition, fences, &left)).await {
            Ok(stored) => drop(left.drain(..stored)),
            // A letter broke a chain: where the lanes stand says what was stored, as it does to the relay.
            Err(CommitError::Unknown(_)) => {
                for lane in Lane::all() {
                    let mark = soon(log.output_mark(partition, lane)).await.unwrap();
                    let Some(mark) = mark else { continue };
                    fences[lane.index()] = mark.seq;
                    let stands = (mark.commit, mark.ordinal);
                    left.retain(|o| o.lane != lane || (o.commit, o.ordinal) > stands);
                }
            }
            Err(error @ (CommitError::Fenced | CommitError::Refused(_))) => panic!("{error}"),
        }
    }
}

pub type Tail = futures::stream::BoxStream<'static, Result<StoredOutput, LogError>>;

pub async fn take(tail: &mut Tail, count: usize) -> Vec<StoredOutput> {
    soon(tail.take(count).try_collect()).await.unwrap()
}
