//! What delivery keeps, on a server that dies, keeps its answers, or was set up by an earlier program.

use std::{future::Future, time::Duration};

use aftercall::log::{
    AppendError, CommitError, EventLog as _, Finding, Headers, Lane, LaneFences, Level, LogError,
    NewDead, NewOutput, Seq, TailFrom,
    jetstream::{JetStreamLog, Settings},
};
use aftercall_actors::contract::output::Kind;
use async_nats::jetstream::stream::Config;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::{
    fixtures::{PARTITION, connect, plain},
    nats::Nats,
};

const CRM: &str = "crm";
const ALERT: Lane = Lane::Out(Kind::Alert);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_record_whose_answer_is_lost_is_unknown_and_its_head_tells() {
    let server = Nats::start();
    let log = connect(&server).await;
    let append = |expected, text: &'static str| {
        log.delivery_append(CRM, expected, Bytes::from_static(text.as_bytes()))
    };
    let first = append(0, "first").await.expect("stored");
    server.pause();
    let lost = append(first, "second").await;
    assert!(matches!(lost, Err(CommitError::Unknown(_))), "{lost:?}");
    server.resume();
    let stored = patiently(|| async {
        let head = log.delivery_head(CRM).await?;
        Ok(head.filter(|head| head.seq != first))
    })
    .await;
    assert_eq!(stored.bytes, Bytes::from_static(b"second"));
    let again = append(first, "second").await;
    assert!(matches!(again, Err(CommitError::Fenced)), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_whose_answer_is_lost_is_sent_again_and_stands_once() {
    let mut server = Nats::start();
    let log = connect(&server).await;
    server.pause();
    let lost = log.dead_append(CRM, letter("a")).await;
    assert!(matches!(lost, Err(AppendError::Unknown(_))), "{lost:?}");
    server.resume();
    let first = append_until_stored(&log, "a").await;
    assert_eq!(append_until_stored(&log, "a").await, first);
    // The server keeps the window over its own restart.
    server.restart();
    assert_eq!(append_until_stored(&log, "a").await, first);
    assert_eq!(names(&log).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tails_over_a_dying_server_have_no_gap_and_no_repetition() {
    const COUNT: u64 = 1_500;
    let mut server = Nats::start();
    let log = connect(&server).await;
    let mut letters = log.dead_tail(CRM, 0).await.expect("a tail");
    let mut fences: LaneFences = [0; Lane::COUNT];
    store(&log, &mut fences, 0).await;
    let after = fences[ALERT.index()];
    let mut outputs = log
        .outputs_tail(&[], TailFrom::After(after))
        .await
        .expect("a tail");
    let writer = {
        let log = log.clone();
        tokio::spawn(async move {
            for n in 1..=COUNT {
                append_until_stored(&log, &n.to_string()).await;
                store(&log, &mut fences, n).await;
            }
        })
    };
    let reader = tokio::spawn(async move {
        let (mut told, mut read) = (0, (Vec::new(), Vec::new()));
        while read.0.len() < COUNT as usize || read.1.len() < COUNT as usize {
            tokio::select! {
                entry = letters.next() => match entry.expect("goes on") {
                    Ok(entry) => read.0.push(entry.message_id),
                    Err(error) if error.is_transient() => told += 1,
                    Err(error) => panic!("{error}"),
                },
                output = outputs.next() => match output.expect("goes on") {
                    Ok(output) => read.1.push(output.headers.get("ce-id").map(str::to_owned)),
                    Err(error) if error.is_transient() => told += 1,
                    Err(error) => panic!("{error}"),
                },
            }
        }
        (told, read)
    });
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        server.restart();
    }
    writer.await.expect("all written");
    let read = tokio::time::timeout(Duration::from_secs(60), reader).await;
    let (told, (letters, outputs)) = read.expect("in time").expect("read");
    let expected: Vec<String> = (1..=COUNT).map(|n| n.to_string()).collect();
    assert_eq!(letters, expected);
    assert_eq!(outputs, expected.into_iter().map(Some).collect::<Vec<_>>());
    assert!(told > 0, "no connection was lost: nothing was shown");
}

/// Letters and quarantined input share a stream, and a relay's groups must survive the letters in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quarantined_input_stands_once_and_in_order_between_letters() {
    const COMMITS: u64 = 60;
    let server = Nats::start();
    let log = connect(&server).await;
    let sender = {
        let log = log.clone();
        tokio::spawn(async move {
            for n in 0..2_000 {
                append_until_stored(&log, &n.to_string()).await;
            }
        })
    };
    let mut fences: LaneFences = [0; Lane::COUNT];
    for commit in 1..=COMMITS {
        let outputs: Vec<_> = (0..40).map(|n| output(Lane::Dead, commit, n)).collect();
        store_all(&log, &mut fences, outputs).await;
    }
    sender.await.expect("all sent");
    let mark = log.output_mark(PARTITION, Lane::Dead).await;
    let mark = mark.expect("a mark").expect("one").commit;
    assert_eq!(mark, COMMITS);
    let tail = log.outputs_tail(&[Lane::Dead], TailFrom::Start).await;
    let stored: Vec<_> = tail
        .expect("a tail")
        .take(40 * COMMITS as usize)
        .try_collect()
        .await
        .expect("outputs");
    let ids: Vec<_> = stored
        .iter()
        .map(|output| output.headers.get("ce-id").unwrap_or_default().to_owned())
        .collect();
    let expected = (1..=COMMITS).flat_map(|c| (0..40).map(move |n| format!("{c}-{n}")));
    assert_eq!(ids, expected.collect::<Vec<_>>());
    assert_eq!(names(&log).await.len(), 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_made_before_there_was_delivery_is_completed_by_who_makes_and_named_to_who_does_not()
{
    let server = Nats::start();
    let context = plain(&server).await;
    connect(&server).await;
    context.delete_stream("CX_DELIVERY").await.expect("gone");
    let dead = context.get_stream("CX_DEAD").await.expect("the stream");
    let earlier = Config {
        duplicate_window: Duration::from_secs(1),
        ..dead.cached_info().config.clone()
    };
    context.update_stream(&earlier).await.expect("as before");

    let looking = Settings {
        make: false,
        ..Settings::new(server.url())
    };
    match JetStreamLog::connect(looking).await {
        Err(LogError::Settings(text)) => assert!(
            text.starts_with("there is no stream CX_DELIVERY on this server yet"),
            "{text}"
        ),
        other => panic!("expected to be told, not {other:?}"),
    }
    let log = connect(&server).await;
    log.delivery_append(CRM, 0, Bytes::new())
        .await
        .expect("stored");
    let findings = log.findings().await.expect("findings");
    assert_eq!(
        level(&findings, "CX_DEAD duplicate_window"),
        Some(Level::Risk)
    );
    assert_eq!(level(&findings, "CX_DELIVERY deny_purge"), None);
}

/// Another program's message in our stream is no letter of anybody's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_put_among_the_dead_is_passed_over() {
    let server = Nats::start();
    let log = connect(&server).await;
    let context = plain(&server).await;
    append_until_stored(&log, "a").await;
    for subject in [
        "cx.dead.delivery.crm.x",
        "cx.dead.other",
        "cx.dead.delivery.CRM",
    ] {
        let ack = context.publish(subject, "x".into()).await.expect("sent");
        let seq = ack.await.expect("stored").sequence;
        assert!(
            log.dead_at(seq).await.expect("asked").is_none(),
            "{subject}"
        );
    }
    append_until_stored(&log, "b").await;
    let all: Vec<_> = log
        .dead_scan(None)
        .await
        .expect("a scan")
        .try_collect()
        .await
        .expect("entries");
    let ids: Vec<_> = all.iter().map(|entry| &*entry.message_id).collect();
    assert_eq!(ids, ["a", "b"]);
}

/// As a driver does it: the same letter until the log has answered.
async fn append_until_stored(log: &JetStreamLog, name: &str) -> Seq {
    patiently(|| async move {
        match log.dead_append(CRM, letter(name)).await {
            Ok(seq) => Ok(Some(seq)),
            Err(AppendError::Unknown(text)) => Err(LogError::Unreachable(text)),
            Err(AppendError::Refused(text)) => panic!("{text}"),
        }
    })
    .await
}

/// Asks until the server answers, and with something.
async fn patiently<T, A>(ask: impl Fn() -> A) -> T
where
    A: Future<Output = Result<Option<T>, LogError>>,
{
    let asking = async {
        loop {
            match ask().await {
                Ok(Some(found)) => return found,
                Ok(None) | Err(LogError::Unreachable(_)) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asking)
        .await
        .expect("an answer within 30 s")
}

/// Stores one alert named `commit`.
async fn store(log: &JetStreamLog, fences: &mut LaneFences, commit: u64) {
    let mut alert = output(ALERT, commit, 0);
    alert.attributes = vec![("ce-id", commit.to_string())];
    store_all(log, fences, vec![alert]).await;
}

/// Stores outputs of one lane as a relay does: after any doubt the mark says what stands.
async fn store_all(log: &JetStreamLog, fences: &mut LaneFences, mut left: Vec<NewOutput>) {
    while let Some(first) = left.first() {
        let lane = first.lane;
        match log.outputs_append(PARTITION, fences, &left).await {
            Ok(stored) => drop(left.drain(..stored)),
            Err(CommitError::Refused(text)) => panic!("{text}"),
            Err(CommitError::Unknown(_) | CommitError::Fenced) => {
                let mark =
                    patiently(|| async move { log.output_mark(PARTITION, lane).await.map(Some) });
                if let Some(mark) = mark.await {
                    fences[lane.index()] = mark.seq;
                    let stands = (mark.commit, mark.ordinal);
                    left.retain(|output| (output.commit, output.ordinal) > stands);
                }
            }
        }
    }
}

fn output(lane: Lane, commit: u64, ordinal: u32) -> NewOutput {
    NewOutput {
        lane,
        commit,
        ordinal,
        attributes: vec![("ce-id", format!("{commit}-{ordinal}"))],
        payload: Bytes::from_static(b"{}"),
    }
}

fn letter(name: &str) -> NewDead {
    NewDead {
        message_id: name.to_owned(),
        headers: Headers::from_pairs([("ce-id", name)]),
        payload: Bytes::from_static(b"{}"),
    }
}

/// Message ids of the destination's letters, in order.
async fn names(log: &JetStreamLog) -> Vec<String> {
    let letters: Vec<_> = log
        .dead_scan(Some(CRM))
        .await
        .expect("a scan")
        .try_collect()
        .await
        .expect("letters");
    letters.into_iter().map(|entry| entry.message_id).collect()
}

fn level(findings: &[Finding], subject: &str) -> Option<Level> {
    let found = findings.iter().find(|finding| finding.subject == subject);
    found.map(|finding| finding.level)
}
