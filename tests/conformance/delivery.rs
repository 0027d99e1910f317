//! Rules of delivery records: fenced like a journal, trimmed behind a checkpoint, and each destination's its own.

use aftercall::log::{AppendError, CommitError, Log, LogError, Seq, Stored};
use bytes::Bytes;
use futures::TryStreamExt;

use crate::{
    Factory,
    dead::{dead, dead_scan, ids},
    fixtures::{pattern, soon},
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
