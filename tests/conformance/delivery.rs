//! Rules of what delivery keeps: its records, fenced like a journal; its dead letters, append only; and the ways to
//! the outputs it delivers.

use aftercall::log::{
    AppendError, CommitError, DeadPlace, Headers, Lane, LaneFences, Log, LogError, NewDead,
    NewOutput, PartitionId, Seq, Stored, StoredDead, StoredOutput, TailFrom,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};

use crate::{
    Factory,
    fixtures::{AGENT_0, AGENT_3, ALERT, CUSTOMER_0, REWARD, nothing_from, output, pattern, soon},
};

const CRM: &str = "crm";
const SLACK: &str = "slack-eu_2";

pub async fn a_destination_without_records_has_no_head_and_nothing_to_scan(factory: &dyn Factory) {
    let log = factory.open().await;
    assert_eq!(soon(log.delivery_head(CRM)).await.unwrap(), None);
    assert_eq!(scan(&log, CRM).await, []);
    soon(log.delivery_trim(CRM, 5)).await.unwrap();
    assert_eq!(append(&log, CRM, 0, b"1").await, head(&log, CRM).await);
}

pub async fn delivery_records_come_back_in_order_and_the_head_is_the_last(factory: &dyn Factory) {
    let (log, other) = (factory.open().await, factory.open().await);
    let mut expected = Vec::new();
    let mut last = 0;
    for n in 0..300_usize {
        let bytes = pattern(n * 7);
        last = append(&log, CRM, last, &bytes).await;
        expected.push(Stored { seq: last, bytes });
    }
    assert!(expected.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert_eq!(scan(&log, CRM).await, expected);
    assert_eq!(scan(&other, CRM).await, expected);
    let newest = soon(other.delivery_head(CRM)).await.unwrap();
    assert_eq!(newest.as_ref(), expected.last());
}

pub async fn delivery_fence_lets_one_of_two_win(factory: &dyn Factory) {
    let (one, two) = (factory.open().await, factory.open().await);
    let mut last = 0;
    for round in 0..10 {
        let record = |who| Bytes::from(format!("{who} in {round}"));
        let (a, b) = tokio::join!(
            one.delivery_append(CRM, last, record("one")),
            two.delivery_append(CRM, last, record("two")),
        );
        let (seq, winner) = match (a, b) {
            (Ok(seq), Err(CommitError::Fenced)) => (seq, "one"),
            (Err(CommitError::Fenced), Ok(seq)) => (seq, "two"),
            other => panic!("one wins and the other is fenced, not {other:?}"),
        };
        let stored = soon(one.delivery_head(CRM)).await.unwrap().unwrap();
        assert_eq!((stored.seq, stored.bytes), (seq, record(winner)));
        last = seq;
    }
    assert_eq!(scan(&one, CRM).await.len(), 10);
}

pub async fn delivery_fence_refuses_an_older_head_and_one_never_given(factory: &dyn Factory) {
    let log = factory.open().await;
    let first = append(&log, CRM, 0, b"1").await;
    let second = append(&log, CRM, first, b"2").await;
    for expected in [0, first, second + 1, second + 1_000] {
        let late = soon(log.delivery_append(CRM, expected, Bytes::new())).await;
        assert!(matches!(late, Err(CommitError::Fenced)), "{late:?}");
    }
    assert_eq!(head(&log, CRM).await, second);
    append(&log, CRM, second, b"3").await;
}

pub async fn destinations_have_records_of_their_own(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut heads = [0; 3];
    // One name is the beginning of another.
    let names = [CRM, SLACK, "crm-2"];
    for round in 0..4_u8 {
        for (name, head) in names.into_iter().zip(&mut heads) {
            let record = [name.as_bytes(), &[round]].concat();
            *head = append(&log, name, *head, &record).await;
        }
    }
    soon(log.delivery_trim(SLACK, heads[1])).await.unwrap();
    for (name, left) in [(CRM, 4), (SLACK, 1), ("crm-2", 4)] {
        let records = scan(&log, name).await;
        assert_eq!(records.len(), left, "{name}");
        assert!(
            records
                .iter()
                .all(|r| r.bytes[..r.bytes.len() - 1] == *name.as_bytes())
        );
    }
}

pub async fn a_delivery_trim_keeps_the_checkpoint_it_names_and_the_fence(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut seqs = vec![0];
    for n in 0..1_100_u32 {
        let last = seqs[seqs.len() - 1];
        seqs.push(append(&log, CRM, last, &n.to_be_bytes()).await);
    }
    let checkpoint = seqs[1_099];
    soon(log.delivery_trim(CRM, checkpoint)).await.unwrap();
    let left: Vec<Seq> = scan(&log, CRM).await.iter().map(|r| r.seq).collect();
    assert_eq!(left, [checkpoint, seqs[1_100]]);
    soon(log.delivery_trim(CRM, seqs[1_100])).await.unwrap();
    assert_eq!(head(&log, CRM).await, seqs[1_100]);
    let stale = soon(log.delivery_append(CRM, 0, Bytes::new())).await;
    assert!(matches!(stale, Err(CommitError::Fenced)), "{stale:?}");
    let next = append(&log, CRM, seqs[1_100], b"next").await;
    assert!(next > seqs[1_100]);
    // What is below is trimmed once; again, and with nothing below, is no fault.
    for before in [0, 1, checkpoint, seqs[1_100]] {
        soon(log.delivery_trim(CRM, before)).await.unwrap();
    }
    assert_eq!(scan(&log, CRM).await.len(), 2);
}

pub async fn a_delivery_record_of_the_largest_size_is_taken_and_one_above_refused(
    factory: &dyn Factory,
) {
    let log = factory.open().await;
    let largest = pattern(log.record_bytes_max());
    let seq = append(&log, CRM, 0, &largest).await;
    assert_eq!(scan(&log, CRM).await[0].bytes, largest);
    let above = pattern(log.record_bytes_max() + 1);
    let refused = soon(log.delivery_append(CRM, seq, above)).await;
    assert!(
        matches!(refused, Err(CommitError::Refused(_))),
        "{refused:?}"
    );
    assert_eq!(head(&log, CRM).await, seq);
}

pub async fn delivery_records_and_dead_letters_survive_a_restart(factory: &dyn Factory) {
    let log = factory.open().await;
    let first = append(&log, CRM, 0, b"1").await;
    let letter = soon(log.dead_append(CRM, dead("a"))).await.unwrap();
    drop(log);
    factory.restart().await;
    let log = factory.open().await;
    assert_eq!(head(&log, CRM).await, first);
    let second = append(&log, CRM, first, b"2").await;
    assert!(second > first);
    // The window outlives the process that wrote.
    assert_eq!(soon(log.dead_append(CRM, dead("a"))).await.unwrap(), letter);
    let next = soon(log.dead_append(CRM, dead("b"))).await.unwrap();
    assert!(next > letter);
    assert_eq!(ids(&dead_scan(&log, Some(CRM)).await), ["a", "b"]);
}

/// A name that is a filter would read, or purge, what is others'.
pub async fn a_name_that_cannot_be_a_destination_is_refused(factory: &dyn Factory) {
    let log = factory.open().await;
    let seq = append(&log, CRM, 0, b"1").await;
    soon(log.dead_append(CRM, dead("a"))).await.unwrap();
    for name in ["", "*", ">", "a.b", "CRM", "a b", &"a".repeat(41)] {
        let wrong = |answer: Option<LogError>| {
            assert!(
                matches!(answer, Some(LogError::Settings(_))),
                "{name}: {answer:?}"
            );
        };
        wrong(soon(log.delivery_head(name)).await.err());
        wrong(soon(log.delivery_scan(name)).await.err());
        wrong(soon(log.delivery_trim(name, Seq::MAX)).await.err());
        wrong(soon(log.dead_scan(Some(name))).await.err());
        wrong(soon(log.dead_tail(name, 0)).await.err());
        let append = soon(log.delivery_append(name, 0, Bytes::new())).await;
        assert!(
            matches!(append, Err(CommitError::Refused(_))),
            "{name}: {append:?}"
        );
        let append = soon(log.dead_append(name, dead("x"))).await;
        assert!(
            matches!(append, Err(AppendError::Refused(_))),
            "{name}: {append:?}"
        );
    }
    assert_eq!(head(&log, CRM).await, seq);
    assert_eq!(dead_scan(&log, None).await.len(), 1);
    append(&log, &"a".repeat(40), 0, b"1").await;
}

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

pub async fn a_tail_behind_a_sequence_gives_history_then_live_without_gap_or_repeat(
    factory: &dyn Factory,
) {
    let log = factory.open().await;
    let mut fences = NO_FENCES;
    let mut held = Vec::new();
    for commit in 1..=400 {
        let lane = if commit % 2 == 0 { ALERT } else { REWARD };
        // Quarantined input in between is not counted in.
        let outputs = [output(lane, commit, 0), output(Lane::Dead, commit, 1)];
        store(&log, AGENT_0, &mut fences, &outputs).await;
        held.push(fences[lane.index()]);
    }
    let after = held[149];
    let mut all = soon(log.outputs_tail(&[], TailFrom::After(after)))
        .await
        .unwrap();
    let mut alerts = soon(log.outputs_tail(&[ALERT], TailFrom::After(after)))
        .await
        .unwrap();
    let mut begin = soon(log.outputs_tail(&[], TailFrom::After(0)))
        .await
        .unwrap();
    // Stored while the tails are on their way: nothing may fall between history and what comes.
    let other = factory.open().await;
    let writing = async {
        for commit in 401..=800 {
            let lane = if commit % 2 == 0 { ALERT } else { REWARD };
            store(&other, AGENT_0, &mut fences, &[output(lane, commit, 0)]).await;
        }
    };
    let reading = async {
        let all = take(&mut all, 650).await;
        let alerts = take(&mut alerts, 325).await;
        (all, alerts, take(&mut begin, 800).await)
    };
    let ((), (all_found, alerts_found, begin_found)) = tokio::join!(writing, reading);
    assert_eq!(commits(&all_found), (151..=800).collect::<Vec<_>>());
    let even = (151..=800).filter(|n| n % 2 == 0);
    assert_eq!(commits(&alerts_found), even.collect::<Vec<_>>());
    assert_eq!(commits(&begin_found), (1..=800).collect::<Vec<_>>());
    assert!(all_found.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert!(all_found[0].seq > after);
    nothing_from(all.next()).await;
}

pub async fn a_tail_behind_a_sequence_to_come_waits_for_what_is_after_it(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut fences = NO_FENCES;
    store(&log, AGENT_0, &mut fences, &[output(ALERT, 1, 0)]).await;
    let last = fences[ALERT.index()];
    let mut tail = soon(log.outputs_tail(&[], TailFrom::After(last)))
        .await
        .unwrap();
    nothing_from(tail.next()).await;
    store(&log, AGENT_0, &mut fences, &[output(REWARD, 2, 0)]).await;
    assert_eq!(commits(&take(&mut tail, 1).await), [2]);
}

pub async fn quarantined_input_is_not_followed_behind_a_sequence(factory: &dyn Factory) {
    let log = factory.open().await;
    for lanes in [&[Lane::Dead][..], &[ALERT, Lane::Dead]] {
        let refused = soon(log.outputs_tail(lanes, TailFrom::After(0)))
            .await
            .err();
        assert!(
            matches!(refused, Some(LogError::Settings(_))),
            "{refused:?}"
        );
    }
}

pub async fn an_output_is_found_by_its_sequence_and_the_last_one_is_known(factory: &dyn Factory) {
    let log = factory.open().await;
    assert_eq!(soon(log.outputs_last()).await.unwrap(), 0);
    assert!(soon(log.output_at(1)).await.unwrap().is_none());
    let mut fences = NO_FENCES;
    store(&log, AGENT_0, &mut fences, &[output(ALERT, 1, 0)]).await;
    store(
        &log,
        AGENT_3,
        &mut NO_FENCES.clone(),
        &[output(REWARD, 7, 3)],
    )
    .await;
    let other = factory.open().await;
    let last = soon(other.outputs_last()).await.unwrap();
    let mut tail = soon(log.outputs_tail(&[], TailFrom::After(0)))
        .await
        .unwrap();
    let tailed = take(&mut tail, 2).await;
    assert_eq!(last, tailed[1].seq);
    for expected in tailed {
        let found = soon(other.output_at(expected.seq)).await.unwrap().unwrap();
        assert_eq!(
            (found.seq, found.time, found.lane, found.partition),
            (
                expected.seq,
                expected.time,
                expected.lane,
                expected.partition
            )
        );
        assert_eq!(found.headers.pairs(), expected.headers.pairs());
        assert_eq!(found.payload, expected.payload);
    }
    for none in [0, last + 1, Seq::MAX >> 1] {
        assert!(
            soon(other.output_at(none)).await.unwrap().is_none(),
            "{none}"
        );
    }
    // Quarantined input is no output: it moves no place, and is not found as one.
    store(&log, AGENT_0, &mut fences, &[output(Lane::Dead, 2, 0)]).await;
    assert_eq!(soon(other.outputs_last()).await.unwrap(), last);
    let dead = fences[Lane::Dead.index()];
    let found = soon(other.output_at(dead)).await.unwrap();
    assert!(found.is_none_or(|found| found.lane != Lane::Dead));
}

const NO_FENCES: LaneFences = [0; Lane::COUNT];

/// A letter whose message id, CloudEvents id and payload are `name`.
fn dead(name: &str) -> NewDead {
    NewDead {
        message_id: name.to_owned(),
        headers: Headers::from_pairs([("ce-id", name), ("ce-type", "delivery.dead")]),
        payload: Bytes::copy_from_slice(name.as_bytes()),
    }
}

async fn append(log: &Log, destination: &str, expected: Seq, record: &[u8]) -> Seq {
    let record = Bytes::copy_from_slice(record);
    let seq = soon(log.delivery_append(destination, expected, record)).await;
    seq.expect("the fence holds")
}

async fn head(log: &Log, destination: &str) -> Seq {
    let head = soon(log.delivery_head(destination)).await.unwrap();
    head.expect("a head").seq
}

async fn scan(log: &Log, destination: &str) -> Vec<Stored> {
    let records = soon(log.delivery_scan(destination)).await.unwrap();
    soon(records.try_collect()).await.unwrap()
}

async fn dead_scan(log: &Log, destination: Option<&str>) -> Vec<StoredDead> {
    let entries = soon(log.dead_scan(destination)).await.unwrap();
    soon(entries.try_collect()).await.unwrap()
}

fn ids(entries: &[StoredDead]) -> Vec<String> {
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
async fn store(log: &Log, partition: PartitionId, fences: &mut LaneFences, outputs: &[NewOutput]) {
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

type Tail = futures::stream::BoxStream<'static, Result<StoredOutput, LogError>>;

async fn take(tail: &mut Tail, count: usize) -> Vec<StoredOutput> {
    soon(tail.take(count).try_collect()).await.unwrap()
}

/// The commits of outputs as [`output`] makes them.
fn commits(outputs: &[StoredOutput]) -> Vec<u64> {
    let commit = |output: &StoredOutput| {
        let id = output.headers.get("ce-id").expect("an id");
        let mut parts = id.rsplit('-').skip(1);
        parts.next().expect("a commit").parse().expect("a number")
    };
    outputs.iter().map(commit).collect()
}
