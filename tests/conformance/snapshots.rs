//! Rules of the snapshots: chunks in order, until they are trimmed.

use aftercall::log::{Log, PartitionId, Stored};
use bytes::Bytes;
use futures::TryStreamExt;

use crate::{
    Factory,
    fixtures::{AGENT_0, AGENT_3, CUSTOMER_0, pattern, soon},
};

pub async fn snapshot_chunks_come_back_in_order(factory: &dyn Factory) {
    let log = factory.open().await;
    assert_eq!(scan(&log, AGENT_0).await, []);
    let mut written = Vec::new();
    for n in 0..10_u8 {
        let bytes = Bytes::from(vec![n; 10]);
        let seq = soon(log.snapshot_append(AGENT_0, bytes.clone())).await;
        let seq = seq.unwrap();
        written.push(Stored { seq, bytes });
    }
    assert!(written[0].seq > 0);
    assert!(written.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert_eq!(scan(&log, AGENT_0).await, written);
}

pub async fn snapshots_of_partitions_are_independent(factory: &dyn Factory) {
    let log = factory.open().await;
    for name in ["a", "b", "c"] {
        for partition in [AGENT_0, AGENT_3, CUSTOMER_0] {
            let chunk = Bytes::from(format!("{partition} {name}"));
            soon(log.snapshot_append(partition, chunk)).await.unwrap();
        }
    }
    soon(log.snapshot_trim(AGENT_3, u64::MAX)).await.unwrap();
    let expected = ["agent.0 a", "agent.0 b", "agent.0 c"];
    assert_eq!(contents(&scan(&log, AGENT_0).await), expected);
    assert_eq!(scan(&log, AGENT_3).await, []);
    let expected = ["customer.0 a", "customer.0 b", "customer.0 c"];
    assert_eq!(contents(&scan(&log, CUSTOMER_0).await), expected);
}

pub async fn a_trim_keeps_the_chunk_it_names(factory: &dyn Factory) {
    let log = factory.open().await;
    let mut seqs = Vec::new();
    for name in ["a", "b", "c", "d"] {
        seqs.push(
            soon(log.snapshot_append(AGENT_0, name.into()))
                .await
                .unwrap(),
        );
    }
    soon(log.snapshot_trim(AGENT_0, seqs[0])).await.unwrap();
    assert_eq!(contents(&scan(&log, AGENT_0).await), ["a", "b", "c", "d"]);
    soon(log.snapshot_trim(AGENT_0, seqs[2])).await.unwrap();
    let left = scan(&log, AGENT_0).await;
    assert_eq!(contents(&left), ["c", "d"]);
    assert_eq!((left[0].seq, left[1].seq), (seqs[2], seqs[3]));
    drop(log);
    factory.restart().await;
    assert_eq!(scan(&factory.open().await, AGENT_0).await, left);
}

pub async fn sequences_go_on_after_every_chunk_was_trimmed(factory: &dyn Factory) {
    let log = factory.open().await;
    let before = soon(log.snapshot_append(AGENT_0, "a".into()))
        .await
        .unwrap();
    soon(log.snapshot_trim(AGENT_0, before + 1)).await.unwrap();
    assert_eq!(scan(&log, AGENT_0).await, []);
    drop(log);
    factory.restart().await;
    let log = factory.open().await;
    let after = soon(log.snapshot_append(AGENT_0, "b".into()))
        .await
        .unwrap();
    assert!(after > before, "{after} after {before}");
}

pub async fn a_large_generation_comes_back_whole(factory: &dyn Factory) {
    let log = factory.open().await;
    let chunk = pattern(512 << 10);
    for _ in 0..20 {
        soon(log.snapshot_append(CUSTOMER_0, chunk.clone()))
            .await
            .unwrap();
    }
    let chunks = scan(&log, CUSTOMER_0).await;
    assert_eq!(chunks.len(), 20);
    assert!(chunks.iter().all(|stored| stored.bytes == chunk));
}

fn contents(chunks: &[Stored]) -> Vec<String> {
    let text = |stored: &Stored| String::from_utf8_lossy(&stored.bytes).into_owned();
    chunks.iter().map(text).collect()
}

async fn scan(log: &Log, partition: PartitionId) -> Vec<Stored> {
    let chunks = soon(log.snapshot_scan(partition)).await.unwrap();
    soon(chunks.try_collect()).await.unwrap()
}
