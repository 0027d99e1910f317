//! What is looked at before anything is written: the server's version, and streams somebody else may have made.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    num::NonZeroU16,
    time::Duration,
};

use aftercall::log::{
    AppendError, EventLog as _, Finding, Level, LogError,
    jetstream::{JetStreamLog, Login, Settings},
};
use async_nats::jetstream::stream::Config;
use bytes::Bytes;

use crate::{
    fixtures::{connect, event, plain},
    nats::Nats,
};

/// The refusal to use `config` in the place of a stream of ours.
async fn refusal(config: Config) -> String {
    let server = Nats::start();
    let context = plain(&server).await;
    context.create_stream(config).await.expect("a stream");
    match JetStreamLog::connect(Settings::new(server.url())).await {
        Err(LogError::Settings(text)) => text,
        other => panic!("expected a refusal, not {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_can_be_deleted_from_is_refused() {
    let text = refusal(Config {
        name: "CX_JOURNAL".to_owned(),
        subjects: vec!["cx.journal.>".to_owned()],
        deny_purge: true,
        ..Config::default()
    })
    .await;
    assert_eq!(
        text,
        "stream CX_JOURNAL: deny_delete is false, but true is needed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_events_stream_without_our_transform_is_refused() {
    let text = refusal(Config {
        name: "CX_EVENTS".to_owned(),
        subjects: vec!["cx.events.*.*.>".to_owned(), "cx.control.>".to_owned()],
        deny_delete: true,
        deny_purge: true,
        ..Config::default()
    })
    .await;
    assert!(
        text.starts_with(
            "stream CX_EVENTS: subject_transform is missing, but `cx.events.*.*.>` to"
        ),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_without_atomic_batches_are_refused() {
    let text = refusal(Config {
        name: "CX_OUT".to_owned(),
        subjects: vec!["cx.out.>".to_owned()],
        ..Config::default()
    })
    .await;
    assert_eq!(
        text,
        "stream CX_OUT: allow_atomic is false, but true is needed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subject_that_belongs_to_another_stream_is_refused() {
    let text = refusal(Config {
        name: "OTHER".to_owned(),
        subjects: vec!["cx.out.alert.>".to_owned()],
        ..Config::default()
    })
    .await;
    assert!(
        text.starts_with("stream CX_OUT: subjects overlap"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_partition_count_of_a_log_that_exists_stays() {
    let server = Nats::start();
    connect(&server).await;
    let wish = Settings {
        partitions: NonZeroU16::new(16).expect("not zero"),
        ..Settings::new(server.url())
    };
    let log = JetStreamLog::connect(wish).await.expect("a log");
    assert_eq!(log.partition_count(), 8);
    let findings = log.findings().await.expect("findings");
    let risk = level(&findings, "CX_EVENTS partitions");
    assert_eq!(risk, Some(Level::Risk), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_at_the_same_time_agree_on_the_streams() {
    let server = Nats::start();
    let settings = Settings {
        // Shorter than the window in which the server knows a message id again.
        max_age: Some(Duration::from_secs(60)),
        max_bytes: Some(1 << 30),
        ..Settings::new(server.url())
    };
    let starts = (0..4).map(|_| JetStreamLog::connect(settings.clone()));
    for log in futures::future::join_all(starts).await {
        let findings = log.expect("a log").findings().await.expect("findings");
        assert_eq!(level(&findings, "retention"), Some(Level::Good));
        let differences = findings.iter().filter(|f| f.subject.starts_with("CX_"));
        assert_eq!(differences.count(), 0, "{findings:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_10_a_wrong_token_is_a_fault_of_the_settings_and_not_shown() {
    let server = Nats::start_guarded("authorization { token: \"right-token\" }");
    let with = |token: &str| Settings {
        login: Login::Token(token.into()),
        ..Settings::new(server.url())
    };
    assert!(!format!("{:?}", with("right-token")).contains("right-token"));
    JetStreamLog::connect(with("right-token"))
        .await
        .expect("let in");
    let refused = JetStreamLog::connect(with("wrong-token")).await;
    let Err(LogError::Settings(text)) = refused else {
        panic!("expected a refusal, not {refused:?}");
    };
    assert!(text.contains("authorization"), "{text}");
    assert!(!text.contains("wrong-token"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_server_is_refused_with_both_versions() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || old_server(&listener));
    let settings = Settings::new(format!("nats://{address}"));
    let refused = JetStreamLog::connect(settings).await;
    let Err(LogError::Settings(text)) = refused else {
        panic!("expected a refusal, not {refused:?}");
    };
    assert_eq!(
        text,
        "nats-server 2.13.9 is too old: 2.14.0 or newer is needed"
    );
}

/// As much of a server as a client needs to find out how old it is.
fn old_server(listener: &TcpListener) {
    while let Ok((mut socket, _)) = listener.accept() {
        let info = "INFO {\"server_id\":\"x\",\"version\":\"2.13.9\",\"max_payload\":1048576,\"headers\":true}\r\n";
        if socket.write_all(info.as_bytes()).is_err() {
            continue;
        }
        let Ok(input) = socket.try_clone() else {
            continue;
        };
        for line in BufReader::new(input).lines().map_while(Result::ok) {
            if line.starts_with("PING") && socket.write_all(b"PONG\r\n").is_err() {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_server_is_unreachable_and_not_a_fault_of_the_settings() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let refused = JetStreamLog::connect(Settings::new(format!("nats://{address}"))).await;
    assert!(
        matches!(refused, Err(LogError::Unreachable(_))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_the_largest_size_is_taken_and_one_byte_more_is_refused() {
    let server = Nats::start();
    let log = connect(&server).await;
    let sized = |id: &str, payload: usize| {
        let mut event = event(id);
        event.payload = Bytes::from(vec![b'x'; payload]);
        event
    };
    // Status line, our header, the message id, and an empty line.
    let headers = "NATS/1.0\r\nce-id: 1\r\nNats-Msg-Id: 1\r\n\r\n".len();
    let room = 256 * 1024 - headers;
    let answers = log
        .append(vec![sized("1", room), sized("2", room + 1)])
        .await;
    assert!(answers[0].is_ok(), "{answers:?}");
    assert!(
        matches!(answers[1], Err(AppendError::Refused(_))),
        "{answers:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn findings_tell_what_the_server_survives() {
    let server = Nats::start_with("sync_interval: always");
    let mut settings = Settings::new(server.url());
    let log = JetStreamLog::connect(settings.clone()).await;
    let blind = log.expect("a log").findings().await.expect("findings");
    assert_eq!(level(&blind, "sync mode"), Some(Level::Risk));
    assert_eq!(level(&blind, "server version"), Some(Level::Good));
    assert_eq!(level(&blind, "replicas"), Some(Level::Risk));
    assert_eq!(level(&blind, "topology"), Some(Level::Risk));
    assert_eq!(level(&blind, "retention"), Some(Level::Risk));
    assert_eq!(level(&blind, "storage"), Some(Level::Good));

    settings.monitoring_url = Some(server.monitoring_url());
    let log = JetStreamLog::connect(settings.clone()).await;
    let seen = log.expect("a log").findings().await.expect("findings");
    assert_eq!(level(&seen, "sync mode"), Some(Level::Good), "{seen:?}");

    let default = Nats::start();
    settings.url = default.url();
    settings.monitoring_url = Some(default.monitoring_url());
    let log = JetStreamLog::connect(settings).await;
    let seen = log.expect("a log").findings().await.expect("findings");
    assert_eq!(level(&seen, "sync mode"), Some(Level::Risk), "{seen:?}");
}

fn level(findings: &[Finding], subject: &str) -> Option<Level> {
    let found = findings.iter().find(|finding| finding.subject == subject);
    found.map(|finding| finding.level)
}
