//! Three real servers of one cluster, streams with three replicas: nothing that is published kills a stream.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aftercall::log::{
    EventLog as _, Lane, LaneFences, Level, NewOutput, PartitionId, TailFrom,
    jetstream::{JetStreamLog, Settings},
};
use aftercall_actors::contract::{key::Side, output::Kind};
use async_nats::{
    HeaderMap,
    jetstream::{self, stream::Stream},
};
use futures::StreamExt as _;

use crate::{
    fixtures::{ALERT, REWARD, output},
    nats::Nats,
};

const PATIENCE: Duration = Duration::from_secs(120);

const PROFILE: Lane = Lane::Out(Kind::Profile);

/// Commits of each partition, and outputs of each in each of three lanes.
const COMMITS: u64 = 250;
const EACH: u32 = 4;

fn urls(servers: &[Nats]) -> String {
    let urls: Vec<String> = servers.iter().map(Nats::url).collect();
    urls.join(",")
}

async fn connect(servers: &[Nats]) -> Arc<JetStreamLog> {
    let since = Instant::now();
    loop {
        let settings = Settings {
            replicas: NonZeroUsize::new(3).expect("three"),
            ..Settings::new(urls(servers))
        };
        match JetStreamLog::connect(settings).await {
            Ok(log) => return Arc::new(log),
            Err(error) => assert!(since.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn said() -> Vec<NewOutput> {
    let mut all = Vec::new();
    for commit in 1..=COMMITS {
        let lanes = [ALERT, REWARD, PROFILE].into_iter().cycle();
        all.extend(
            (0..3 * EACH)
                .zip(lanes)
                .map(|(ordinal, lane)| output(lane, commit, ordinal)),
        );
    }
    all
}

/// What a relay does: reads the marks, publishes what is missing, and reads them again when it is not sure.
async fn relay(log: Arc<JetStreamLog>, partition: PartitionId) {
    let since = Instant::now();
    'again: loop {
        assert!(since.elapsed() < PATIENCE, "{partition} does not get on");
        let mut fences: LaneFences = [0; Lane::COUNT];
        let mut missing = said();
        for lane in [ALERT, REWARD, PROFILE] {
            let Ok(mark) = log.output_mark(partition, lane).await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue 'again;
            };
            if let Some(mark) = mark {
                fences[lane.index()] = mark.seq;
                missing.retain(|output| {
                    output.lane != lane
                        || (output.commit, output.ordinal) > (mark.commit, mark.ordinal)
                });
            }
        }
        let mut rest = &missing[..];
        while !rest.is_empty() {
            // Few and many, as they come in life.
            let some = rest
                .len()
                .min(if rest.len().is_multiple_of(2) { 7 } else { 120 });
            match log
                .outputs_append(partition, &mut fences, &rest[..some])
                .await
            {
                Ok(stored) => rest = &rest[stored..],
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue 'again;
                }
            }
        }
        return;
    }
}

async fn leader(servers: &[Nats], stream: &str) -> Option<usize> {
    let client = async_nats::connect(urls(servers).split(',').collect::<Vec<_>>())
        .await
        .ok()?;
    let stream = jetstream::new(client).get_stream(stream).await.ok()?;
    let name = stream.cached_info().cluster.as_ref()?.leader.clone()?;
    name.strip_prefix('n')?
        .parse::<usize>()
        .ok()
        .map(|number| number - 1)
}

/// Two owners of each partition publish the same, another client writes in between, and the stream's leader is killed
/// twice. Each output stands once and in order, and the stream lives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_replicas_survives_a_foreign_writer_takeovers_and_killed_leaders() {
    let mut servers = Nats::cluster();
    let (first, second) = (connect(&servers).await, connect(&servers).await);
    let over = Arc::new(AtomicBool::new(false));
    let foreign = tokio::spawn({
        let (over, urls) = (Arc::clone(&over), urls(&servers));
        async move {
            let client = async_nats::connect(urls.split(',').collect::<Vec<_>>()).await;
            let client = client.expect("a connection");
            while !over.load(Ordering::Relaxed) {
                // It waits for no answer.
                let _ = client.publish("cx.out.foreign.x", "y".into()).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let partitions: Vec<PartitionId> = PartitionId::of(Side::Agent, 3).collect();
    let relays = partitions.iter().flat_map(|partition| {
        [&first, &second].map(|log| tokio::spawn(relay(Arc::clone(log), *partition)))
    });
    let relays: Vec<_> = relays.collect();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        if let Some(leading) = leader(&servers, "CX_OUT").await {
            servers[leading].kill();
            tokio::time::sleep(Duration::from_secs(2)).await;
            servers[leading].start_again();
        }
    }
    for relay in relays {
        relay.await.expect("it gets on");
    }
    over.store(true, Ordering::Relaxed);
    foreign.await.expect("it ends");

    let mut standing: BTreeMap<(PartitionId, Lane), Vec<(u64, u32)>> = BTreeMap::new();
    let mut tail = first
        .outputs_tail(&[ALERT, REWARD, PROFILE], TailFrom::Start)
        .await;
    let tail = tail.as_mut().expect("a tail");
    let total = partitions.len() * said().len();
    let since = Instant::now();
    let mut count = 0;
    while count < total {
        assert!(since.elapsed() < PATIENCE, "{count} of {total}");
        if let Some(Ok(stored)) = tail.next().await {
            count += 1;
            let lane = standing.entry((stored.partition, stored.lane)).or_default();
            lane.push((stored.commit, stored.ordinal));
        }
    }
    for ((partition, lane), found) in standing {
        let wanted = said().into_iter().filter(|output| output.lane == lane);
        let wanted: Vec<_> = wanted
            .map(|output| (output.commit, output.ordinal))
            .collect();
        assert_eq!(found, wanted, "{partition} {}", lane.name());
    }
    let found = first.findings().await.expect("findings");
    assert!(
        found.iter().all(|finding| finding.level != Level::Bad),
        "{found:?}"
    );
}

/// What an older version did to such a stream: `doctor` knows it, and what it says of the content is so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_an_older_version_killed_is_recognised_and_its_content_can_be_saved() {
    let servers = Nats::cluster();
    let log = connect(&servers).await;
    let acknowledged = kill_as_older_versions_did(&servers).await;
    let since = Instant::now();
    let text = loop {
        let findings = log.findings().await.unwrap_or_default();
        let bad = findings
            .into_iter()
            .find(|finding| finding.level == Level::Bad);
        if let Some(bad) = bad {
            break format!("{}: {}", bad.subject, bad.text);
        }
        assert!(since.elapsed() < PATIENCE, "nothing bad is found");
    };
    assert!(
        text.starts_with("CX_OUT leader: none of its 3 replicas leads"),
        "{text}"
    );
    assert!(text.contains("nats-server -js -sd COPY"), "{text}");
    // As it says.
    let client = async_nats::connect(urls(&servers).split(',').collect::<Vec<_>>()).await;
    let editing = jetstream::new(client.expect("a connection"));
    let stream = editing.get_stream("CX_OUT").await.expect("it is known");
    let mut config = stream.cached_info().config.clone();
    config.num_replicas = 1;
    let _times_out = editing.update_stream(&config).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut servers = servers;
    for server in &mut servers {
        server.kill();
    }
    let mut logs = String::new();
    let mut missing = Vec::new();
    for server in &servers {
        let alone = server.alone_on_a_copy();
        let client = async_nats::connect(alone.url())
            .await
            .expect("a connection");
        match jetstream::new(client).get_stream("CX_OUT").await {
            Ok(stream) => missing.push(missing_of(&acknowledged, &stream).await),
            Err(_) => logs += &alone.log(),
        }
    }
    assert!(!missing.is_empty(), "no server has it: {logs}");
    assert!(acknowledged.len() > 10, "{acknowledged:?}");
    assert!(missing.contains(&0), "{missing:?} are missing");
}

/// How many of the messages a stream does not hold.
async fn missing_of(acknowledged: &BTreeMap<u64, String>, stream: &Stream) -> usize {
    let mut missing = 0;
    for (seq, payload) in acknowledged {
        let message = stream.get_raw_message(*seq).await;
        missing += usize::from(message.map_or(true, |message| message.payload != *payload));
    }
    missing
}

/// Chains of last message ids beside another client. What was acknowledged, by its sequence.
async fn kill_as_older_versions_did(servers: &[Nats]) -> BTreeMap<u64, String> {
    let mut acknowledged = BTreeMap::new();
    let client = async_nats::connect(urls(servers).split(',').collect::<Vec<_>>()).await;
    let client = client.expect("a connection");
    let mut number: usize = 0;
    let mut before: Option<String> = None;
    let since = Instant::now();
    loop {
        assert!(since.elapsed() < PATIENCE, "the stream lives");
        let mut answers = Vec::new();
        for _ in 0..500 {
            number += 1;
            let id = format!("a-{number}");
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", id.as_str());
            if let Some(before) = before.take() {
                headers.insert("Nats-Expected-Last-Msg-Id", before);
            }
            before = Some(id);
            let request = async_nats::Request::new()
                .headers(headers)
                .payload(number.to_string().into())
                .timeout(Some(Duration::from_secs(3)));
            answers.push(client.send_request("cx.out.alert.agent.1", request));
            if number.is_multiple_of(20) {
                let _ = client.publish("cx.out.foreign.x", "y".into()).await;
            }
        }
        let answers = futures::future::join_all(answers).await;
        before = None;
        if answers.iter().all(Result::is_err) {
            return acknowledged;
        }
        for (place, answer) in answers.into_iter().enumerate() {
            let said = answer.map_or(serde_json::Value::Null, |answer| {
                serde_json::from_slice(&answer.payload).expect("JSON")
            });
            if let Some(seq) = said["seq"].as_u64().filter(|_| said["error"].is_null()) {
                acknowledged.insert(seq, (number - 499 + place).to_string());
            }
        }
    }
}
