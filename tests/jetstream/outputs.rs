//! The relay's two ways of storing outputs: one by one, and in atomic batches.

use std::time::Duration;

use aftercall::log::{
    CommitError, EventLog as _, Lane, LaneFences, LogError, NewOutput, OutputMark, TailFrom,
    jetstream::{COMMIT_HEADER, JetStreamLog, ORDINAL_HEADER},
};
use bytes::Bytes;
use futures::StreamExt as _;

use crate::{
    fixtures::{ALERT, PARTITION, REWARD, connect, output, plain},
    nats::Nats,
};

const NO_FENCES: LaneFences = [0; Lane::COUNT];

/// Outputs of one commit, lane after lane as given.
fn outputs(commit: u64, lanes: &[Lane]) -> Vec<NewOutput> {
    lanes
        .iter()
        .zip(0..)
        .map(|(lane, ordinal)| output(*lane, commit, ordinal))
        .collect()
}

async fn mark(log: &JetStreamLog, lane: Lane) -> Option<OutputMark> {
    log.output_mark(PARTITION, lane).await.expect("a mark")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_over_two_lanes_is_fenced_in_both() {
    let server = Nats::start();
    let log = connect(&server).await;
    let mut fences = NO_FENCES;
    let many = outputs(1, &[ALERT, REWARD].repeat(15));
    let stored = log.outputs_append(PARTITION, &mut fences, &many).await;
    assert_eq!(stored.expect("stored"), 30);
    let alert = mark(&log, ALERT).await.expect("an alert");
    let reward = mark(&log, REWARD).await.expect("a reward");
    assert_eq!((alert.commit, alert.ordinal), (1, 28));
    assert_eq!((reward.commit, reward.ordinal), (1, 29));
    assert_eq!(fences[ALERT.index()], alert.seq);
    assert_eq!(fences[REWARD.index()], reward.seq);

    // The second lane has moved on behind the writer's back: what stands is a prefix, and nothing in that lane.
    let mut stale = fences;
    stale[REWARD.index()] -= 2;
    let next = outputs(2, &[ALERT, REWARD].repeat(15));
    let refused = log.outputs_append(PARTITION, &mut stale, &next).await;
    assert!(matches!(refused, Err(CommitError::Fenced)), "{refused:?}");
    assert_eq!(mark(&log, REWARD).await, Some(reward));
    let prefix = mark(&log, ALERT).await.expect("an alert");
    assert_eq!((prefix.commit, prefix.ordinal), (2, 0));

    fences[ALERT.index()] = prefix.seq;
    let stored = log.outputs_append(PARTITION, &mut fences, &next[1..]).await;
    assert_eq!(stored.expect("stored"), 29);
    let place = |mark: Option<OutputMark>| mark.map(|mark| (mark.commit, mark.ordinal));
    assert_eq!(place(mark(&log, ALERT).await), Some((2, 28)));
    assert_eq!(place(mark(&log, REWARD).await), Some((2, 29)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_ends_where_the_stream_changes_and_at_a_thousand() {
    let server = Nats::start();
    let log = connect(&server).await;
    let mut fences = NO_FENCES;
    let mut lanes = vec![ALERT; 30];
    lanes.extend([Lane::Dead; 25]);
    lanes.extend([REWARD; 1_001]);
    let all = outputs(1, &lanes);
    let mut lengths = Vec::new();
    let mut rest = &all[..];
    while !rest.is_empty() {
        let stored = log.outputs_append(PARTITION, &mut fences, rest).await;
        lengths.push(stored.expect("stored"));
        rest = &rest[lengths[lengths.len() - 1]..];
    }
    assert_eq!(lengths, [30, 25, 1_000, 1]);
    for (lane, ordinal) in [(ALERT, 29), (Lane::Dead, 54), (REWARD, 1_055)] {
        let mark = mark(&log, lane).await.expect("stored");
        assert_eq!((mark.commit, mark.ordinal), (1, ordinal));
        assert_eq!(fences[lane.index()], mark.seq, "{}", lane.name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_client_sees_an_outputs_place_and_attributes() {
    let server = Nats::start();
    let log = connect(&server).await;
    let stored = log
        .outputs_append(PARTITION, &mut NO_FENCES.clone(), &[output(ALERT, 7, 2)])
        .await;
    assert_eq!(stored.expect("stored"), 1);
    let stream = plain(&server).await.get_stream("CX_OUT").await;
    let message = stream
        .expect("the stream")
        .get_last_raw_message_by_subject("cx.out.alert.agent.3")
        .await
        .expect("the output");
    let header = |name: &str| message.headers.get(name).map(|value| value.as_str());
    assert_eq!(header(COMMIT_HEADER), Some("7"));
    assert_eq!(header(ORDINAL_HEADER), Some("2"));
    assert_eq!(header("ce-id"), Some("alert:7:2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_somebody_else_wrote_into_is_damage() {
    let server = Nats::start();
    let log = connect(&server).await;
    let publishing = plain(&server).await;
    let sent = publishing.publish("cx.out.alert.agent.3", "x".into()).await;
    sent.expect("sent").await.expect("stored");
    let damage = log.output_mark(PARTITION, ALERT).await;
    assert!(matches!(damage, Err(LogError::Corrupt(_))), "{damage:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_is_too_large_is_refused_before_anything_is_sent() {
    let server = Nats::start();
    let log = connect(&server).await;
    for count in [3, 30] {
        let mut list = outputs(1, &vec![ALERT; count]);
        list[count - 1].payload = Bytes::from(vec![0; 1 << 20]);
        let refused = log
            .outputs_append(PARTITION, &mut NO_FENCES.clone(), &list)
            .await;
        assert!(
            matches!(refused, Err(CommitError::Refused(_))),
            "{refused:?}"
        );
        assert_eq!(mark(&log, ALERT).await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_over_a_dying_server_stores_each_output_once() {
    const COMMITS: u64 = 3_000;
    let mut server = Nats::start();
    let log = connect(&server).await;
    let mut tail = log.outputs_tail(&[], TailFrom::Now).await.expect("a tail");
    let relay = {
        let log = log.clone();
        tokio::spawn(async move {
            let mut doubts = 0;
            let mut fences = NO_FENCES;
            for commit in 1..=COMMITS {
                doubts += relay(&log, &mut fences, &of_commit(commit)).await;
            }
            doubts
        })
    };
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        server.restart();
    }
    let doubts = relay.await.expect("all relayed");
    for lane in [ALERT, REWARD] {
        let expected: Vec<String> = (1..=COMMITS)
            .flat_map(of_commit)
            .filter(|output| output.lane == lane)
            .map(|output| output.attributes[0].1.clone())
            .collect();
        // A second tail sees the same as the one that lived through it all.
        let again = log.outputs_tail(&[lane], TailFrom::Start).await;
        let again = ids(&mut again.expect("a tail"), expected.len()).await;
        assert_eq!(again, expected);
    }
    let total = (1..=COMMITS).map(|commit| of_commit(commit).len()).sum();
    let mut seen = ids(&mut tail, total).await;
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), total);
    assert!(doubts > 0, "no answer was lost: nothing was shown");
}

/// Commits with few outputs, and every fourth with so many that they go as a batch.
fn of_commit(commit: u64) -> Vec<NewOutput> {
    let pairs = if commit.is_multiple_of(4) { 15 } else { 2 };
    outputs(commit, &[ALERT, REWARD].repeat(pairs))
}

/// Stores a commit's outputs as the engine does: after any doubt it reads the marks and leaves out what stands.
/// Returns how often there was doubt.
async fn relay(log: &JetStreamLog, fences: &mut LaneFences, all: &[NewOutput]) -> u32 {
    let mut doubts = 0;
    let mut rest = all.to_vec();
    while !rest.is_empty() {
        match log.outputs_append(PARTITION, fences, &rest).await {
            Ok(count) => {
                rest.drain(..count);
            }
            Err(CommitError::Refused(text)) => panic!("{text}"),
            Err(CommitError::Unknown(_) | CommitError::Fenced) => {
                doubts += 1;
                for lane in [ALERT, REWARD] {
                    let mark = loop {
                        match log.output_mark(PARTITION, lane).await {
                            Ok(mark) => break mark,
                            Err(LogError::Unreachable(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    };
                    let Some(mark) = mark else { continue };
                    fences[lane.index()] = mark.seq;
                    rest.retain(|output| {
                        output.lane != lane
                            || (output.commit, output.ordinal) > (mark.commit, mark.ordinal)
                    });
                }
            }
        }
    }
    doubts
}

type Tail = futures::stream::BoxStream<'static, Result<aftercall::log::StoredOutput, LogError>>;

/// The ids of the next `count` outputs, over as many interruptions as there are.
async fn ids(tail: &mut Tail, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        match tail.next().await.expect("a tail does not end") {
            Ok(output) => ids.push(output.headers.get("ce-id").expect("an id").to_owned()),
            Err(LogError::Unreachable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    ids
}
