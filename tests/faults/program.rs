//! Two of the faults once more with the built program, asked as an operator would: `/readyz` and `/metrics`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aftercall::{
    log::jetstream::{JetStreamLog, Settings},
    log::{
        Log, Position,
        sqlite::{self, SqliteLog, SqliteSettings},
    },
    traffic::Traffic,
};
use aftercall_actors::{rules::RuleSet, time::EventTime};

use crate::{nats::Nats, service::Service};

/// A busy machine may take so long; what is measured is measured in virtual time.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_in_the_file_stops_its_partition_and_the_others_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("data");
    let mut traffic = Traffic::new(3, 20, 40);
    let rules = RuleSet::default_rules().text().to_owned();
    let path = dir.display().to_string();
    let mut service = Service::new(folder.path(), "run", &["--dir", &path], &rules).started();
    service.until_ready().await;
    let opened = SqliteLog::open(&dir, SqliteSettings::default()).expect("a log");
    let log: Log = Arc::new(opened);
    let last = feed(&log, &mut traffic, 300).await;
    until_applied(&service, last, &[]).await;
    assert!(service.kill());

    let file = rusqlite::Connection::open(dir.join(sqlite::FILE)).expect("the file");
    let (seq, mut bytes): (i64, Vec<u8>) = file
        .query_row(
            "SELECT seq, bytes FROM journal WHERE partition = 'customer.5' ORDER BY seq DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("a record");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    file.execute("UPDATE journal SET bytes = ?1 WHERE seq = ?2", (bytes, seq))
        .expect("damaged");

    service.start();
    let last = feed(&log, &mut traffic, 300).await;
    until_applied(&service, last, &["customer.5"]).await;
    let (status, text) = service.readiness().await.expect("an answer");
    assert_eq!(status, 503, "{text}");
    let complaint =
        format!("partition customer.5 is stopped: journal record {seq}: journal record is damaged");
    assert!(text.contains(&complaint), "{text}");
    assert_eq!(text.matches("partition ").count(), 1, "{text}");
    let stopped = service.figures("aftercall_stopped_partitions").await;
    assert_eq!(stopped, [(String::new(), 1)]);
    let (status, _) = service.stop().await;
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_programs_on_one_server_the_newer_goes_on_and_the_older_says_so() {
    let server = Nats::start();
    let folder = tempfile::tempdir().expect("a folder");
    let rules = RuleSet::default_rules().text().to_owned();
    let url = server.url();
    let service = |name| Service::new(folder.path(), name, &["--nats", &url], &rules);
    let mut older = service("older").started();
    older.until_ready().await;
    let connected = JetStreamLog::connect(Settings::new(server.url())).await;
    let log: Log = Arc::new(connected.expect("a log"));
    let mut traffic = Traffic::new(4, 20, 40);
    let last = feed(&log, &mut traffic, 300).await;
    until_applied(&older, last, &[]).await;
    let mut newer = service("newer").started();
    newer.until_ready().await;

    let last = feed(&log, &mut traffic, 300).await;
    until_applied(&newer, last, &[]).await;
    let since = Instant::now();
    loop {
        let (status, text) = older.readiness().await.expect("an answer");
        if status == 503 && text.matches("has another owner").count() == 16 {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{status} {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let fenced = older.figures("aftercall_fenced_commits_total").await;
    assert_eq!(fenced, [(String::new(), 16)]);
    let actors = older.figures("aftercall_actors").await;
    assert!(actors.iter().all(|(_, held)| *held == 0), "{actors:?}");
    assert!(matches!(newer.readiness().await, Some((200, _))));
    for mut service in [older, newer] {
        let (status, _) = service.stop().await;
        assert!(status.success());
    }
}

pub async fn feed(log: &Log, traffic: &mut Traffic, count: usize) -> Position {
    let at = |number: usize| EventTime(1_767_225_600_000 + 1_000 * number as i64);
    let events = (0..count).map(|number| traffic.next_event(at(number)).into_new_event());
    let mut last = 0;
    for answer in log.append(events.collect()).await {
        last = answer.expect("stored").position;
    }
    last
}

/// Waits until every partition but those `without` has applied the event at `last`.
pub async fn until_applied(service: &Service, last: Position, without: &[&str]) {
    let since = Instant::now();
    loop {
        let positions = service.figures("aftercall_partition_position").await;
        let rest = positions
            .iter()
            .filter(|(labels, _)| !without.iter().any(|name| labels.contains(name)));
        let rest: Vec<_> = rest.collect();
        if rest.len() == 16 - without.len() && rest.iter().all(|(_, applied)| *applied >= last) {
            return;
        }
        assert!(
            since.elapsed() < PATIENCE,
            "{positions:?}: {}",
            service.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
