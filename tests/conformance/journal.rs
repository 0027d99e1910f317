//! Rules of the journal: one writer at a time, and what was written comes back.

use aftercall::log::{CommitError, Log, PartitionId, Seq, Stored};
use bytes::Bytes;
use futures::TryStreamExt;

use crate::{
    Factory,
    fixtures::{AGENT_0, AGENT_3, CUSTOMER_0, pattern, soon},
};

pub async fn an_empty_journal_has_no_head_and_nothing_to_scan(factory: &dyn Factory) {
    let log = factory.open().await;
    assert_eq!(soon(log.journal_head(AGENT_0)).await.unwrap(), None);
    assert_eq!(scan(&log, AGENT_0, 1, u64::MAX).await, []);
}

pub async fn the_head_is_the_last_record(factory: &dyn Factory) {
    let log = factory.open().await;
    let other = factory.open().await;
    let mut head = 0;
    for n in 0..10 {
        let record = Bytes::from(format!("record {n}"));
        let seq = soon(log.journal_append(AGENT_0, head, record.clone())).await;
        let seq = seq.unwrap();
        assert!(seq > head);
        head = seq;
        let stored = Some(Stored { seq, bytes: record });
        assert_eq!(soon(log.journal_head(AGENT_0)).await.unwrap(), stored);
        assert_eq!(soon(other.journal_head(AGENT_0)).await.unwrap(), stored);
    }
}

pub async fn journal_fence_of_zero_holds_on_an_empty_journal_only(factory: &dyn Factory) {
    let log = factory.open().await;
    let first = soon(log.journal_append(AGENT_0, 0, Bytes::from_static(b"1"))).await;
    assert!(first.unwrap() > 0);
    let second = soon(log.journal_append(AGENT_0, 0, Bytes::from_static(b"2"))).await;
    assert!(matches!(second, Err(CommitError::Fenced)), "{second:?}");
    assert_eq!(scan(&log, AGENT_0, 1, u64::MAX).await.len(), 1);
}

pub async fn journal_fence_lets_one_of_two_win(factory: &dyn Factory) {
    let (one, two) = (factory.open().await, factory.open().await);
    let mut head = 0;
    for round in 0..20 {
        let record = |who| Bytes::from(format!("{who} in {round}"));
        let (a, b) = tokio::join!(
            one.journal_append(AGENT_0, head, record("one")),
            two.journal_append(AGENT_0, head, record("two")),
        );
        let (seq, winner) = match (a, b) {
            (Ok(seq), Err(CommitError::Fenced)) => (seq, "one"),
            (Err(CommitError::Fenced), Ok(seq)) => (seq, "two"),
            other => panic!("one wins and the other is fenced, not {other:?}"),
        };
        let stored = soon(one.journal_head(AGENT_0)).await.unwrap().unwrap();
        assert_eq!((stored.seq, stored.bytes), (seq, record(winner)));
        head = seq;
    }
    assert_eq!(scan(&one, AGENT_0, 1, u64::MAX).await.len(), 20);
}

pub async fn journal_fence_refuses_an_older_head_and_one_never_given(factory: &dyn Factory) {
    let log = factory.open().await;
    let first = append(&log, AGENT_0, 0, b"1").await;
    let second = append(&log, AGENT_0, first, b"2").await;
    for expected in [first, second + 1, second + 1_000] {
        let late = soon(log.journal_append(AGENT_0, expected, Bytes::new())).await;
        assert!(matches!(late, Err(CommitError::Fenced)), "{late:?}");
    }
    let head = soon(log.journal_head(AGENT_0)).await.unwrap().unwrap();
    assert_eq!((head.seq, &head.bytes[..]), (second, &b"2"[..]));
    append(&log, AGENT_0, second, b"3").await;
}

pub async fn journals_of_partitions_are_independent(factory: &dyn Factory) {
    let log = factory.open().await;
    let partitions = [AGENT_0, AGENT_3, CUSTOMER_0];
    let mut heads = [0; 3];
    for round in 0..5_u8 {
        for (partition, head) in partitions.into_iter().zip(&mut heads) {
            let name = partition.to_string();
            let mut record = name.into_bytes();
            record.push(round);
            *head = append(&log, partition, *head, &record).await;
        }
    }
    for (partition, head) in partitions.into_iter().zip(heads) {
        let records = scan(&log, partition, 1, head).await;
        let contents: Vec<_> = records.iter().map(|record| &record.bytes[..]).collect();
        let expected: Vec<_> = (0..5_u8)
            .map(|round| [partition.to_string().as_bytes(), &[round]].concat())
            .collect();
        assert_eq!(contents, expected);
    }
}

pub async fn a_scan_gives_both_ends_and_what_is_between(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut seqs: Vec<Seq> = vec![0];
    for n in 0..6_u8 {
        seqs.push(append(&log, AGENT_0, seqs[seqs.len() - 1], &[n]).await);
        // Another partition in between, so that sequences may have holes.
        let other = soon(log.journal_head(AGENT_3)).await.unwrap();
        append(&log, AGENT_3, other.map_or(0, |head| head.seq), b"other").await;
    }
    let found = |records: Vec<Stored>| records.iter().map(|r| r.bytes[0]).collect::<Vec<_>>();
    assert_eq!(
        found(scan(&log, AGENT_0, seqs[2], seqs[4]).await),
        [1, 2, 3]
    );
    assert_eq!(found(scan(&log, AGENT_0, seqs[3], seqs[3]).await), [2]);
    assert_eq!(found(scan(&log, AGENT_0, 0, seqs[1]).await), [0]);
    assert_eq!(
        found(scan(&log, AGENT_0, seqs[5], seqs[6] + 1_000).await),
        [4, 5]
    );
    assert_eq!(scan(&log, AGENT_0, seqs[6] + 1, u64::MAX).await, []);
    assert_eq!(scan(&log, AGENT_0, seqs[4], seqs[4] - 1).await, []);
}

pub async fn a_long_scan_is_whole_and_in_order(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut head = 0;
    for n in 0..300_u32 {
        let record = [&n.to_be_bytes()[..], &pattern(3_000)].concat();
        head = append(&log, AGENT_0, head, &record).await;
    }
    let records = scan(&log, AGENT_0, 1, head).await;
    assert!(records.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    let numbers: Vec<_> = records
        .iter()
        .map(|record| u32::from_be_bytes(record.bytes[..4].try_into().unwrap()))
        .collect();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    assert!(
        records
            .iter()
            .all(|record| record.bytes[4..] == pattern(3_000))
    );
}

pub async fn journal_content_comes_back_byte_for_byte(factory: &dyn Factory) {
    let log = factory.open().await;
    let records = [
        Bytes::new(),
        Bytes::from_static(&[0, 255, 13, 10, 0]),
        pattern(64 << 10),
        pattern(256 << 10),
    ];
    let mut head = 0;
    for record in &records {
        head = append(&log, CUSTOMER_0, head, record).await;
    }
    let hashes = |records: Vec<Bytes>| {
        let hash = |bytes: Bytes| xxhash_rust::xxh3::xxh3_128(&bytes);
        records.into_iter().map(hash).collect::<Vec<_>>()
    };
    let read = scan(&log, CUSTOMER_0, 1, head).await;
    let read = read.into_iter().map(|record| record.bytes).collect();
    assert_eq!(hashes(read), hashes(records.to_vec()));
}

pub async fn a_record_of_the_largest_size_is_taken_and_one_above_refused(factory: &dyn Factory) {
    let log = factory.open().await;
    let largest = pattern(log.record_bytes_max());
    let seq = append(&log, AGENT_0, 0, &largest).await;
    let above = pattern(log.record_bytes_max() + 1);
    let refused = soon(log.journal_append(AGENT_0, seq, above.clone())).await;
    assert!(
        matches!(refused, Err(CommitError::Refused(_))),
        "{refused:?}"
    );
    assert!(soon(log.snapshot_append(AGENT_0, above)).await.is_err());
    soon(log.snapshot_append(AGENT_0, largest.clone()))
        .await
        .unwrap();
    let head = soon(log.journal_head(AGENT_0)).await.unwrap().unwrap();
    assert!(head.seq == seq && head.bytes == largest);
}

/// A log with a retention of its own keeps all of it.
pub async fn a_trimmed_journal_keeps_its_first_record_and_its_fence(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut seqs = Vec::new();
    for number in 0..6u8 {
        let head = seqs.last().copied().unwrap_or(0);
        seqs.push(append(&log, AGENT_0, head, &[number]).await);
    }
    let other = append(&log, CUSTOMER_0, 0, b"other").await;
    soon(log.journal_trim(AGENT_0, seqs[3])).await.unwrap();
    let records = scan(&log, AGENT_0, 1, u64::MAX).await;
    let held: Vec<Seq> = records.iter().map(|record| record.seq).collect();
    match log.name() {
        "jetstream" => assert_eq!(held, seqs),
        _ => assert_eq!(held, [seqs[0], seqs[3], seqs[4], seqs[5]]),
    }
    assert_eq!(scan(&log, CUSTOMER_0, 1, other).await.len(), 1);
    let stale = soon(log.journal_append(AGENT_0, seqs[4], Bytes::new())).await;
    assert!(matches!(stale, Err(CommitError::Fenced)), "{stale:?}");
    append(&log, AGENT_0, seqs[5], b"next").await;
}

pub async fn the_journal_survives_a_restart(factory: &dyn Factory) {
    let log = factory.open().await;
    let first = append(&log, AGENT_3, 0, b"one").await;
    let second = append(&log, AGENT_3, first, b"two").await;
    drop(log);
    factory.restart().await;
    let log = factory.open().await;
    let records = scan(&log, AGENT_3, 1, u64::MAX).await;
    assert_eq!(
        records.iter().map(|r| r.seq).collect::<Vec<_>>(),
        [first, second]
    );
    let stale = soon(log.journal_append(AGENT_3, first, Bytes::new())).await;
    assert!(matches!(stale, Err(CommitError::Fenced)), "{stale:?}");
    append(&log, AGENT_3, second, b"three").await;
}

async fn append(log: &Log, partition: PartitionId, expected: Seq, record: &[u8]) -> Seq {
    let record = Bytes::copy_from_slice(record);
    soon(log.journal_append(partition, expected, record))
        .await
        .expect("the fence holds")
}

async fn scan(log: &Log, partition: PartitionId, from: Seq, to: Seq) -> Vec<Stored> {
    let records = soon(log.journal_scan(partition, from, to)).await.unwrap();
    soon(records.try_collect()).await.unwrap()
}
