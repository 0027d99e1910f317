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
use aftercall_actors::{contract::time::EventTime, rules::RuleSet};

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
    // It stands by as soon as it sees the newer one, so that hardly a commit of its own is fenced.
    let fenced = older.figures("aftercall_fenced_commits_total").await;
    assert!(fenced[0].1 <= 16, "{fenced:?}");
    // It says so before all its partitions are released.
    loop {
        let actors = older.figures("aftercall_actors").await;
        if actors.iter().all(|(_, held)| *held == 0) {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{actors:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(matches!(newer.readiness().await, Some((200, _))));
    for mut service in [older, newer] {
        let (status, _) = service.stop().await;
        assert!(status.success());
    }
}

/// One has all of it, whichever it is; the others stand by and say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_programs_started_at_once_one_has_everything() {
    for round in 0..4 {
        let server = Nats::start();
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path.display().to_string()
        };
        // Nothing listens there; a destination has a line to be taken over all the same.
        let destinations = file(
            "destinations.toml",
            r#"
[[destination]]
name = "alerts"
on = ["alert.raised"]
channel = "http"
method = "POST"
url = "http://127.0.0.1:9/alerts"
body = """
{ "alert": {{ data.alert_id }} }
"""
"#,
        );
        let fields = file(
            "fields.toml",
            "[destination.alerts]\nalert_id = \"plain\"\n",
        );
        let config = file(
            "aftercall.toml",
            &format!("[deliver]\ndestinations = {destinations:?}\nfields = {fields:?}\n"),
        );
        let rules = RuleSet::default_rules().text().to_owned();
        let url = server.url();
        let arguments = ["--nats", &url, "--config", &config];
        let services = ["one", "two", "three"].into_iter().take(2 + round % 2);
        let mut services: Vec<Service> = services
            .map(|name| Service::new(folder.path(), name, &arguments, &rules))
            .collect();
        for service in &mut services {
            service.start();
            // At once, and a little apart.
            tokio::time::sleep(Duration::from_millis(round as u64 * 60)).await;
        }
        let connected = loop {
            match JetStreamLog::connect(Settings::new(server.url())).await {
                Ok(log) => break log,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        let log: Log = Arc::new(connected);
        let mut traffic = Traffic::new(5, 20, 40);
        let since = Instant::now();
        let mut settled = 0;
        while settled < 30 {
            // With events and without.
            if round < 2 {
                feed(&log, &mut traffic, 5).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut ready = 0;
            let mut all = Vec::new();
            for service in &services {
                let readiness = service.readiness().await;
                ready += usize::from(matches!(readiness, Some((200, _))));
                all.push(readiness);
            }
            settled = if ready == 1 { settled + 1 } else { 0 };
            assert!(since.elapsed() < PATIENCE * 2, "{ready} are ready: {all:?}");
        }
        let last = feed(&log, &mut traffic, 50).await;
        let mut has_all = 0;
        for (number, service) in services.iter().enumerate() {
            let (status, text) = service.readiness().await.expect("an answer");
            if status == 200 {
                has_all = number;
                until_applied(service, last, &[]).await;
            } else {
                assert!(text.contains("another process has taken over"), "{text}");
                assert!(text.contains("destination alerts"), "{text}");
            }
        }
        if round == 3 {
            assert!(services.remove(has_all).kill());
            another_takes_over(&services, &log, &mut traffic).await;
        }
    }
}

/// With nothing to do, or with something, one of those that stood by has everything.
async fn another_takes_over(services: &[Service], log: &Log, traffic: &mut Traffic) {
    let since = Instant::now();
    let next = loop {
        let mut ready = Vec::new();
        for service in services {
            if matches!(service.readiness().await, Some((200, _))) {
                ready.push(service);
            }
        }
        if let [one] = ready[..] {
            break one;
        }
        assert!(since.elapsed() < PATIENCE * 2, "{} are ready", ready.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let last = feed(log, traffic, 50).await;
    until_applied(next, last, &[]).await;
}

/// What would be written into a file that is no longer there is not taken, and the service ends and says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_removed_or_replaced_under_it_stops_the_program() {
    for replaced in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("data");
        let rules = RuleSet::default_rules().text().to_owned();
        let path = dir.display().to_string();
        let mut service = Service::new(folder.path(), "run", &["--dir", &path], &rules).started();
        service.until_ready().await;
        assert_eq!(post(&service, 1).await, Some(202));
        std::fs::rename(&dir, folder.path().join("elsewhere")).expect("moved");
        if replaced {
            drop(SqliteLog::open(&dir, SqliteSettings::default()).expect("another log"));
        }
        let since = Instant::now();
        let mut number = 1;
        while service.is_running() {
            number += 1;
            let status = post(&service, number).await;
            assert_ne!(status, Some(202), "{number} was taken");
            if let Some((status, text)) = service.readiness().await {
                assert_eq!(status, 503, "{text}");
            }
            assert!(since.elapsed() < PATIENCE, "{}", service.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = service.log();
        assert!(
            log.contains("while it was open: nothing written since is kept"),
            "{log}"
        );
        let (status, _) = service.stop_of_itself().await;
        assert_eq!(status.code(), Some(1));
    }
}

async fn post(service: &Service, number: u64) -> Option<u16> {
    let event = serde_json::json!({
        "specversion": "1.0", "id": format!("e-{number}"), "source": "program", "type": "survey.response.created",
        "data": {
            "response_id": format!("r-{number}"), "interaction_id": "i-1", "submitted_at": "2026-11-20T09:30:00Z",
            "csat": 1, "comment": "", "routing": { "agent_id": "a-1" },
        },
    });
    let sending = reqwest::Client::new()
        .post(service.url("/v1/events"))
        .bearer_auth(crate::service::TOKEN)
        .header("Content-Type", "application/cloudevents+json")
        .timeout(Duration::from_secs(20))
        .body(event.to_string())
        .send();
    sending.await.ok().map(|answer| answer.status().as_u16())
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
