//! Writes whose answer is lost: what is unknown is never called refused, and reading the head settles it.

use std::time::{Duration, Instant};

use aftercall::log::{
    AppendError, CommitError, EventLog, LogError, Seq, Stored, jetstream::JetStreamLog,
};
use bytes::Bytes;
use futures::TryStreamExt as _;

use crate::{
    fixtures::{PARTITION, connect, event},
    nats::Nats,
};

/// The head, asked for until the server answers.
async fn head(log: &JetStreamLog) -> Option<Stored> {
    loop {
        match log.journal_head(PARTITION).await {
            Ok(head) => return head,
            Err(LogError::Unreachable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_unknown_and_its_head_tells() {
    let server = Nats::start();
    let log = connect(&server).await;
    let first = log
        .journal_append(PARTITION, 0, Bytes::from_static(b"first"))
        .await
        .expect("stored");
    server.pause();
    let lost = log
        .journal_append(PARTITION, first, Bytes::from_static(b"second"))
        .await;
    assert!(matches!(lost, Err(CommitError::Unknown(_))), "{lost:?}");
    server.resume();
    // The server had it in its socket: it stores it now, or, if the connection was given up, never.
    let deadline = Instant::now() + Duration::from_secs(10);
    let stored = loop {
        let stored = head(&log).await.expect("at least the first");
        if stored.seq != first || Instant::now() > deadline {
            break stored;
        }
    };
    assert_eq!(stored.bytes, Bytes::from_static(b"second"));
    // To do it again would be to do it twice, and the fence says so.
    let again = log
        .journal_append(PARTITION, first, Bytes::from_static(b"second"))
        .await;
    assert!(matches!(again, Err(CommitError::Fenced)), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_ends_the_wait_for_answers_at_once() {
    let mut server = Nats::start();
    let log = connect(&server).await;
    server.pause();
    let waiting = {
        let log = log.clone();
        tokio::spawn(async move {
            let events = (0..50).map(|n| event(&n.to_string())).collect();
            let commit = log.journal_append(PARTITION, 0, Bytes::from_static(b"x"));
            let answers = futures::future::join(log.append(events), commit).await;
            (answers, Instant::now())
        })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let killed = Instant::now();
    server.kill();
    let ((appended, committed), ended) = waiting.await.expect("answers");
    // Well before the two seconds after which a standing connection is not waited for any longer.
    assert!(ended - killed < Duration::from_millis(1_500));
    assert_eq!(appended.len(), 50);
    for answer in appended {
        assert!(matches!(answer, Err(AppendError::Unknown(_))), "{answer:?}");
    }
    assert!(
        matches!(committed, Err(CommitError::Unknown(_))),
        "{committed:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_without_a_connection_is_not_kept_for_later() {
    let mut server = Nats::start();
    let log = connect(&server).await;
    server.kill();
    // Until the client has noticed, a write may still be put on its way; from then on none is.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..3 {
        let lost = log
            .journal_append(PARTITION, 0, Bytes::from_static(b"late"))
            .await;
        assert!(matches!(lost, Err(CommitError::Unknown(_))), "{lost:?}");
        let lost = log.append(vec![event("late")]).await;
        assert!(matches!(lost[0], Err(AppendError::Unknown(_))), "{lost:?}");
    }
    server.start_again();
    assert_eq!(head(&log).await, None);
    assert_eq!(log.bounds().await.expect("bounds").last, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_committer_over_a_dying_server_writes_each_record_once() {
    const RECORDS: u64 = 1_500;
    let mut server = Nats::start();
    let log = connect(&server).await;
    let committer = {
        let log = log.clone();
        tokio::spawn(async move { commit_all(&log, RECORDS).await })
    };
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        server.restart();
    }
    let unknown = committer.await.expect("all committed");
    let last = head(&log).await.expect("a head").seq;
    let stored: Vec<Stored> = log
        .journal_scan(PARTITION, 1, last)
        .await
        .expect("a scan")
        .try_collect()
        .await
        .expect("records");
    let numbers: Vec<u64> = stored.iter().map(|record| number(&record.bytes)).collect();
    assert_eq!(numbers, (1..=RECORDS).collect::<Vec<_>>());
    assert!(unknown > 0, "no answer was lost: nothing was shown");
}

/// Commits the numbers from 1 on, as the engine does: after any doubt it reads the head and compares. Returns how
/// often there was doubt.
async fn commit_all(log: &JetStreamLog, count: u64) -> u32 {
    let mut unknown = 0;
    let mut fence: Seq = 0;
    let mut next = 1;
    while next <= count {
        let record = Bytes::copy_from_slice(&next.to_be_bytes());
        match log.journal_append(PARTITION, fence, record).await {
            Ok(seq) => (fence, next) = (seq, next + 1),
            Err(CommitError::Refused(text)) => panic!("{text}"),
            Err(CommitError::Unknown(_) | CommitError::Fenced) => {
                unknown += 1;
                if let Some(head) = head(log).await {
                    (fence, next) = (head.seq, number(&head.bytes) + 1);
                }
            }
        }
    }
    unknown
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("eight bytes"))
}
