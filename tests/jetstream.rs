//! What only a real JetStream server can show: its partition function, its fences, its batches, and what is left of
//! them when it stops, dies, or keeps its answers.

#[path = "support/nats.rs"]
mod nats;

use aftercall::log::{
    Destination, EventLog, Headers, NewEvent, Route,
    jetstream::{JetStreamLog, Settings},
};
use aftercall_actors::key::Key;
use nats::Nats;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_partition_of_a_token_is_ours() {
    let server = Nats::start();
    let log = JetStreamLog::connect(Settings::new(server.url()))
        .await
        .expect("connected");
    let ids: Vec<(String, String)> = (0..200u64)
        .map(|n| {
            let x = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n << 7);
            (
                format!(
                    "{x:x}{}",
                    ["", ".", "é", " ", "%", ":", "*"][n as usize % 7]
                ),
                format!("c-{}", x % 1_000_003),
            )
        })
        .collect();
    let events = ids
        .iter()
        .enumerate()
        .map(|(n, (a, c))| NewEvent {
            destination: Destination::Actors {
                owner: Key::Agent(a).token(),
                customer: Key::Customer(c).token(),
                event_type: "survey.response.created".into(),
            },
            headers: Headers::Empty,
            payload: "x".into(),
            message_id: n.to_string(),
        })
        .collect();
    for answer in log.append(events).await {
        answer.expect("stored");
    }
    let mut reader = log.read(1).await.expect("a reader");
    let mut read = Vec::new();
    while read.len() < ids.len() {
        read.extend(reader.next(1000).await.expect("events"));
    }
    for (event, (a, c)) in read.iter().zip(&ids) {
        assert_eq!(
            event.route,
            Route::Pair {
                agent: Key::Agent(a).partition(8),
                customer: Key::Customer(c).partition(8)
            }
        );
    }
}
