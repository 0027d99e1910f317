//! Routes as the server computes them, and a reader that nothing makes skip an event.

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use aftercall::log::{EventLog as _, LogError, Route};
use aftercall_actors::contract::key::Key;
use async_nats::jetstream::stream::Config;

use crate::{
    fixtures::{connect, event, event_for, plain, take, texts},
    nats::Nats,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_partition_of_a_token_is_ours() {
    const ENDINGS: [&str; 8] = ["", ".", "é", " ", "%", ":", "*", "_"];
    let server = Nats::start();
    let log = connect(&server).await;
    let ids: Vec<(String, String)> = (0..200_u64)
        .map(|n| {
            let mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n << 7);
            let ending = ENDINGS[usize::try_from(n % 8).expect("small")];
            (
                format!("{mixed:x}{ending}"),
                format!("c{ending}{}", mixed % 1_000_003),
            )
        })
        .collect();
    let events = ids
        .iter()
        .zip(0..)
        .map(|((agent, customer), n)| event_for(agent, customer, &n.to_string()));
    for answer in log.append(events.collect()).await {
        answer.expect("stored");
    }
    let mut reader = log.read(1).await.expect("a reader");
    let read = take(&mut *reader, ids.len()).await;
    for (event, (agent, customer)) in read.iter().zip(&ids) {
        let expected = Route::Pair {
            agent: Key::Agent(agent).partition(8),
            customer: Key::Customer(customer).partition(8),
        };
        assert_eq!(event.route, expected, "{agent} {customer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_another_client_is_read_with_its_headers() {
    let server = Nats::start();
    let log = connect(&server).await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("ce-id", "7");
    let publishing = plain(&server).await;
    let sent = publishing
        .publish_with_headers("cx.events.a1.c1.t", headers, "x".into())
        .await;
    sent.expect("sent").await.expect("stored");
    let sent = publishing.publish("cx.control.tick", "".into()).await;
    sent.expect("sent").await.expect("stored");
    let mut reader = log.read(1).await.expect("a reader");
    let read = take(&mut *reader, 2).await;
    assert_eq!(read[0].headers.get("ce-id"), Some("7"));
    assert_eq!(read[1].headers.pairs(), []);
    assert_eq!(read[1].route, Route::All);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_goes_on_after_its_server_was_killed() {
    let mut server = Nats::start();
    let log = connect(&server).await;
    let mut reader = log.read(1).await.expect("a reader");
    let mut expected = 0_u64;
    for round in 0..3 {
        let ids: Vec<String> = (0..200).map(|n| format!("{round}/{n}")).collect();
        // What was stored without an answer is found again under its message id.
        let mut open: Vec<&String> = ids.iter().collect();
        while !open.is_empty() {
            let answers = log.append(open.iter().map(|id| event(id)).collect()).await;
            let mut answers = answers.into_iter();
            open.retain(|_| !matches!(answers.next(), Some(Ok(_))));
        }
        // Half is read before the server goes, half after.
        let half = take(&mut *reader, 100).await;
        server.restart();
        let rest = take(&mut *reader, 100).await;
        let read: Vec<&str> = texts(&half).into_iter().chain(texts(&rest)).collect();
        assert_eq!(read, ids);
        expected += 200;
    }
    assert_eq!(log.bounds().await.expect("bounds").last, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_goes_on_after_its_server_stood_still() {
    let server = Nats::start();
    let log = connect(&server).await;
    log.append(vec![event("1")]).await;
    let mut reader = log.read(1).await.expect("a reader");
    take(&mut *reader, 1).await;
    server.pause();
    let error = reader.next(1).await.expect_err("missed heartbeats");
    assert!(matches!(error, LogError::Unreachable(_)), "{error}");
    server.resume();
    while log.append(vec![event("2")]).await[0].is_err() {}
    assert_eq!(texts(&take(&mut *reader, 1).await), ["2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_in_the_log_is_a_gap_and_not_skipped() {
    let server = Nats::start();
    let log = connect(&server).await;
    // Positions 1, 3 and 4 share a subject; keeping one message a subject removes 1 and 3.
    let events = [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")];
    let answers = log
        .append(events.map(|(agent, id)| event_for(agent, "c", id)).to_vec())
        .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let context = plain(&server).await;
    let stream = context.get_stream("CX_EVENTS").await.expect("the stream");
    let config = Config {
        max_messages_per_subject: 1,
        ..stream.cached_info().config.clone()
    };
    context.update_stream(config).await.expect("a hole");
    let mut reader = log.read(2).await.expect("a reader");
    assert_eq!(texts(&take(&mut *reader, 1).await), ["2"]);
    let gap = LogError::Gap {
        expected: 3,
        found: 4,
    };
    for _ in 0..2 {
        let error = reader.next(10).await.expect_err("a gap");
        assert_eq!(error.to_string(), gap.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_has_become_shorter_is_a_gap() {
    let server = Nats::start();
    let log = connect(&server).await;
    let events = (1..=5).map(|n| event(&n.to_string()));
    log.append(events.collect()).await;
    let mut reader = log.read(1).await.expect("a reader");
    take(&mut *reader, 5).await;
    let context = plain(&server).await;
    context.delete_stream("CX_EVENTS").await.expect("deleted");
    connect(&server).await.append(vec![event("other")]).await;
    let gap = LogError::Gap {
        expected: 6,
        found: 2,
    };
    let error = loop {
        match reader.next(10).await.expect_err("a gap") {
            LogError::Unreachable(_) => {}
            error => break error,
        }
    };
    assert_eq!(error.to_string(), gap.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_headers_the_client_cannot_read_stops_nothing() {
    let server = Nats::start();
    let log = connect(&server).await;
    log.append(vec![event("1")]).await;
    publish_broken_headers(&server);
    while log.bounds().await.expect("bounds").last < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    log.append(vec![event("3")]).await;
    let mut reader = log.read(1).await.expect("a reader");
    let read = take(&mut *reader, 3).await;
    assert_eq!(texts(&read), ["1", "broken", "3"]);
    assert_eq!(read[1].headers.pairs(), []);
}

/// Speaks the protocol itself, since no client would send this.
fn publish_broken_headers(server: &Nats) {
    let address = server.url().replace("nats://", "");
    let mut socket = std::net::TcpStream::connect(address).expect("a connection");
    let headers = b"NATS/1.0\r\nno colon \xff\xfe here\r\n\r\n";
    let payload = b"broken";
    let mut message = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n".to_vec();
    let total = headers.len() + payload.len();
    message.extend(format!("HPUB cx.events.a.c.t {} {total}\r\n", headers.len()).bytes());
    message.extend(headers);
    message.extend(payload);
    message.extend(b"\r\nPING\r\n");
    socket.write_all(&message).expect("sent");
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.windows(4).any(|part| part == b"PONG") {
        let count = socket.read(&mut buffer).expect("an answer");
        assert!(count > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend(&buffer[..count]);
    }
}
