//! What the rules share: events, outputs, partitions, and patience with an end.

use std::{future::Future, time::Duration};

use aftercall::log::{
    Destination, EventReader, Headers, Lane, Log, NewEvent, NewOutput, PartitionId, RawEvent,
};
use aftercall_actors::contract::{
    key::{Key, Side},
    output::Kind,
};
use bytes::Bytes;

use crate::{Factory, PARTITION_COUNT};

pub const AGENT_0: PartitionId = PartitionId {
    side: Side::Agent,
    index: 0,
};
pub const AGENT_3: PartitionId = PartitionId {
    side: Side::Agent,
    index: 3,
};
pub const CUSTOMER_0: PartitionId = PartitionId {
    side: Side::Customer,
    index: 0,
};
pub const ALERT: Lane = Lane::Out(Kind::Alert);
pub const REWARD: Lane = Lane::Out(Kind::Reward);

/// Waits, but not for ever: a log that never answers fails its test instead of hanging it.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("an answer within 20 s")
}

/// Asserts that nothing comes for a while.
pub async fn nothing_from<T: std::fmt::Debug>(future: impl Future<Output = T>) {
    let waited = tokio::time::timeout(Duration::from_millis(150), future).await;
    assert!(waited.is_err(), "expected to wait, got {waited:?}");
}

/// An event with payload and message id `name`, for one agent and no customer.
pub fn event(name: &str) -> NewEvent {
    NewEvent {
        destination: Destination::Actors {
            owner: Key::Agent("a-1").token(),
            customer: Key::Unassigned.token(),
            event_type: "interaction.started".into(),
        },
        headers: Headers::from_pairs([("ce-id", name), ("ce-type", "interaction.started")]),
        payload: Bytes::copy_from_slice(name.as_bytes()),
        message_id: name.to_owned(),
    }
}

/// Appends events named `<prefix><number>`, numbers from 1 to `count`.
pub async fn append_named(log: &Log, prefix: &str, count: usize) {
    let events = (1..=count).map(|n| event(&format!("{prefix}{n}")));
    for answer in soon(log.append(events.collect())).await {
        assert!(!answer.expect("stored").duplicate);
    }
}

/// Reads exactly `count` events, in chunks of at most 1,000, and checks that their positions are contiguous.
pub async fn take(reader: &mut dyn EventReader, count: usize) -> Vec<RawEvent> {
    let mut events: Vec<RawEvent> = Vec::new();
    while events.len() < count {
        let max = (count - events.len()).min(1_000);
        let more = soon(reader.next(max)).await.expect("events");
        assert!((1..=max).contains(&more.len()), "{} of {max}", more.len());
        events.extend(more);
    }
    for pair in events.windows(2) {
        assert_eq!(pair[0].position + 1, pair[1].position);
    }
    events
}

/// The payloads of events, as text.
pub fn names(events: &[RawEvent]) -> Vec<String> {
    events
        .iter()
        .map(|event| String::from_utf8_lossy(&event.payload).into_owned())
        .collect()
}

/// An output of one small payload.
pub fn output(lane: Lane, commit: u64, ordinal: u32) -> NewOutput {
    NewOutput {
        lane,
        commit,
        ordinal,
        attributes: vec![
            ("ce-id", format!("{}-{commit}-{ordinal}", lane.name())),
            ("ce-type", "alert.raised".into()),
        ],
        payload: Bytes::from(format!("{{\"commit\":{commit}}}")),
    }
}

/// Bytes in which a lost or swapped part shows.
pub fn pattern(length: usize) -> Bytes {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

pub async fn the_log_names_itself_and_accounts_for_its_durability(factory: &dyn Factory) {
    let log = factory.open().await;
    assert!(["jetstream", "sqlite", "memory"].contains(&log.name()));
    assert_eq!(log.partition_count(), PARTITION_COUNT);
    assert!(log.record_bytes_max() >= 256 << 10, "room for a commit");
    let findings = soon(log.findings()).await.expect("findings");
    assert!(!findings.is_empty());
    for finding in findings {
        assert!(!finding.subject.is_empty() && !finding.text.is_empty());
    }
}
