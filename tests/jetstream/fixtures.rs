//! A server with a log on it, and the small things the tests write.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aftercall::log::{
    Destination, EventReader, Headers, Lane, LogError, NewEvent, NewOutput, PartitionId, RawEvent,
    jetstream::{JetStreamLog, Settings},
};
use aftercall_actors::contract::{
    key::{Key, Side},
    output::Kind,
};
use bytes::Bytes;

use crate::nats::Nats;

/// A log that does not get on fails its test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(30);
pub const PARTITION: PartitionId = PartitionId {
    side: Side::Agent,
    index: 3,
};
pub const ALERT: Lane = Lane::Out(Kind::Alert);
pub const REWARD: Lane = Lane::Out(Kind::Reward);

pub async fn connect(server: &Nats) -> Arc<JetStreamLog> {
    let log = JetStreamLog::connect(Settings::new(server.url())).await;
    Arc::new(log.expect("a log"))
}

/// A connection without our own code between.
pub async fn plain(server: &Nats) -> async_nats::jetstream::Context {
    let client = async_nats::connect(server.url()).await;
    async_nats::jetstream::new(client.expect("a connection"))
}

pub fn event(id: &str) -> NewEvent {
    event_for("a-1", "c-1", id)
}

pub fn event_for(agent: &str, customer: &str, id: &str) -> NewEvent {
    NewEvent {
        destination: Destination::Actors {
            owner: Key::Agent(agent).token(),
            customer: Key::Customer(customer).token(),
            event_type: "survey.response.created".to_owned(),
        },
        headers: Headers::from_pairs([("ce-id", id)]),
        payload: Bytes::copy_from_slice(id.as_bytes()),
        message_id: id.to_owned(),
    }
}

pub fn output(lane: Lane, commit: u64, ordinal: u32) -> NewOutput {
    NewOutput {
        lane,
        commit,
        ordinal,
        attributes: vec![("ce-id", format!("{}:{commit}:{ordinal}", lane.name()))],
        payload: Bytes::from_static(b"{}"),
    }
}

/// Reads `count` events, over as many interruptions as there are, and checks that positions are contiguous.
pub async fn take(reader: &mut dyn EventReader, count: usize) -> Vec<RawEvent> {
    let since = Instant::now();
    let mut events: Vec<RawEvent> = Vec::new();
    while events.len() < count {
        assert!(
            since.elapsed() < PATIENCE,
            "{} of {count} events",
            events.len()
        );
        match reader.next(count - events.len()).await {
            Ok(more) => events.extend(more),
            Err(LogError::Unreachable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    for pair in events.windows(2) {
        assert_eq!(pair[0].position + 1, pair[1].position);
    }
    events
}

pub fn texts(events: &[RawEvent]) -> Vec<&str> {
    events
        .iter()
        .map(|event| std::str::from_utf8(&event.payload).expect("text"))
        .collect()
}
