//! Ready means working: whatever keeps events from being applied, committed or published is a complaint in time, said
//! once when it begins and once when it ends, and the service goes on by itself when it is over.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use aftercall::{
    log::{
        Log,
        jetstream::{JetStreamLog, Settings},
        memory::{Outage, Part},
        sqlite::{FILE, SqliteLog, SqliteSettings},
    },
    traffic::Traffic,
};
use aftercall_actors::rules::RuleSet;

use crate::{
    fixtures::{Centre, in_virtual_time},
    nats::Nats,
    program::feed,
    service::{Service, TOKEN},
};

/// What is asked for: a complaint this long after nothing advances any more.
const LATEST: Duration = Duration::from_secs(15);

/// How long a service may take to be ready again.
const AGAIN: Duration = Duration::from_secs(30);

/// Waits for a complaint that says `words`, and no longer than is asked for; a busy machine may add as much again.
async fn until_it_complains(service: &Service, words: &[&str]) -> String {
    let since = Instant::now();
    loop {
        if let Some((status, text)) = service.readiness().await
            && status == 503
            && words.iter().all(|words| text.contains(words))
        {
            return text;
        }
        assert!(
            since.elapsed() < LATEST * 2,
            "no complaint with {words:?} but {:?}: {}",
            service.readiness().await,
            service.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn until_ready_again(service: &Service) {
    let since = Instant::now();
    while !matches!(service.readiness().await, Some((200, _))) {
        assert!(
            since.elapsed() < AGAIN,
            "{:?}: {}",
            service.readiness().await,
            service.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Lines of the service's log that say this.
fn lines(service: &Service, what: &str) -> usize {
    service
        .said()
        .lines()
        .filter(|line| line.contains(what))
        .count()
}

struct OnNats {
    server: Nats,
    service: Service,
    log: Log,
    traffic: Traffic,
    _folder: tempfile::TempDir,
}

impl OnNats {
    async fn start() -> Self {
        let server = Nats::start();
        let folder = tempfile::tempdir().expect("a folder");
        let rules = RuleSet::default_rules().text().to_owned();
        let service = Service::new(folder.path(), "run", &["--nats", &server.url()], &rules);
        let mut service = service.started();
        service.until_ready().await;
        let log = JetStreamLog::connect(Settings::new(server.url())).await;
        Self {
            log: Arc::new(log.expect("a log")),
            server,
            service,
            traffic: Traffic::new(5, 20, 40),
            _folder: folder,
        }
    }

    /// Lets the stream take no more bytes than it holds, or any number.
    async fn limit(&self, stream: &str, full: bool) {
        let client = async_nats::connect(self.server.url()).await.expect("in");
        let context = async_nats::jetstream::new(client);
        let info = context.get_stream(stream).await.expect("the stream");
        let mut config = info.cached_info().config.clone();
        let held = i64::try_from(info.cached_info().state.bytes).expect("few");
        config.max_bytes = if full { held.max(1) } else { -1 };
        config.discard = match full {
            true => async_nats::jetstream::stream::DiscardPolicy::New,
            false => config.discard,
        };
        context.update_stream(config).await.expect("another limit");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_journal_is_said_in_the_servers_words_and_is_no_other_owner_not_even_at_a_start() {
    let mut centre = OnNats::start().await;
    feed(&centre.log, &mut centre.traffic, 100).await;
    centre.limit("CX_JOURNAL", true).await;
    feed(&centre.log, &mut centre.traffic, 300).await;
    let words = ["committing to the journal (", "maximum bytes exceeded"];
    let text = until_it_complains(&centre.service, &words).await;
    assert!(!text.contains("owner"), "{text}");
    // Longer than many retries.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let began = lines(&centre.service, "committing to the journal (");
    assert_eq!(began, 1, "{}", centre.service.log());

    assert!(centre.service.kill());
    centre.service.start();
    let text = until_it_complains(&centre.service, &words).await;
    assert!(!text.contains("owner"), "{text}");
    assert!(centre.service.is_running(), "{}", centre.service.log());

    centre.limit("CX_JOURNAL", false).await;
    until_ready_again(&centre.service).await;
    assert_eq!(
        lines(&centre.service, "committing to the journal works again"),
        1
    );
    let last = feed(&centre.log, &mut centre.traffic, 100).await;
    crate::program::until_applied(&centre.service, last, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_output_stream_is_said_and_so_is_one_that_takes_no_events() {
    let mut centre = OnNats::start().await;
    feed(&centre.log, &mut centre.traffic, 100).await;
    centre.limit("CX_OUT", true).await;
    feed(&centre.log, &mut centre.traffic, 300).await;
    let words = ["publishing outputs (", "maximum bytes exceeded"];
    until_it_complains(&centre.service, &words).await;
    centre.limit("CX_OUT", false).await;
    until_ready_again(&centre.service).await;
    assert_eq!(lines(&centre.service, "publishing outputs ("), 1);
    assert_eq!(lines(&centre.service, "publishing outputs works again"), 1);

    centre.limit("CX_EVENTS", true).await;
    let event = std::fs::read("config/examples/survey.response.created.json").expect("an example");
    let request = reqwest::Client::new().post(centre.service.url("/v1/events"));
    let request = request.bearer_auth(TOKEN).body(event);
    let answer = request.header("content-type", "application/cloudevents+json");
    assert_eq!(answer.send().await.expect("an answer").status(), 503);
    // Nobody else tries to store an event: the service has to find out by itself that it lasts.
    let words = ["storing events fails", "maximum bytes exceeded"];
    until_it_complains(&centre.service, &words).await;
    centre.limit("CX_EVENTS", false).await;
    until_ready_again(&centre.service).await;
    assert_eq!(lines(&centre.service, "storing events fails"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_was_deleted_is_said() {
    let mut centre = OnNats::start().await;
    feed(&centre.log, &mut centre.traffic, 100).await;
    let client = async_nats::connect(centre.server.url()).await.expect("in");
    let context = async_nats::jetstream::new(client);
    context.delete_stream("CX_JOURNAL").await.expect("deleted");
    feed(&centre.log, &mut centre.traffic, 300).await;
    until_it_complains(
        &centre.service,
        &["reading the journal fails", "stream not found"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_dead_or_stands_still_is_said_though_there_is_nothing_to_do() {
    let mut centre = OnNats::start().await;
    feed(&centre.log, &mut centre.traffic, 100).await;
    until_ready_again(&centre.service).await;
    for stands_still in [false, true] {
        let before = centre.service.said().lines().count();
        match stands_still {
            false => centre.server.kill(),
            true => centre.server.pause(),
        }
        until_it_complains(&centre.service, &["reaching the log fails"]).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let said = centre.service.said().lines().count() - before;
        assert!(said <= 16, "{said} lines: {}", centre.service.log());
        match stands_still {
            false => centre.server.start_again(),
            true => centre.server.resume(),
        }
        until_ready_again(&centre.service).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_the_embedded_log_is_said_and_the_service_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("data");
    let rules = RuleSet::default_rules().text().to_owned();
    let path = dir.display().to_string();
    let mut service = Service::new(folder.path(), "run", &["--dir", &path], &rules).started();
    service.until_ready().await;
    let opened = SqliteLog::open(&dir, SqliteSettings::default()).expect("a log");
    let log: Log = Arc::new(opened);
    let mut traffic = Traffic::new(3, 20, 40);
    feed(&log, &mut traffic, 300).await;
    // No file of the service may grow any more, as on a disk without room; those of this process may.
    limit_files(&service, "4096");
    feed(&log, &mut traffic, 300).await;
    assert!(dir.join(FILE).exists());
    until_it_complains(&service, &["committing to the journal (", "for 1"]).await;
    limit_files(&service, "unlimited");
    until_ready_again(&service).await;
    let last = feed(&log, &mut traffic, 100).await;
    crate::program::until_applied(&service, last, &[]).await;
    let (status, _) = service.stop().await;
    assert!(status.success());
}

fn limit_files(service: &Service, bytes: &str) {
    let limited = Command::new("prlimit")
        .args(["--pid", &service.pid().to_string()])
        .arg(format!("--fsize={bytes}:"))
        .status();
    assert!(limited.expect("the command `prlimit`").success());
}

#[test]
fn timers_that_stand_still_because_no_tick_is_stored_are_said() {
    in_virtual_time(async |mut centre: Centre| {
        let process = centre.start();
        centre.feed(60).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(process.complaints(), Vec::<String>::new());
        centre.world.set_outage(Some(Outage::Full(Part::Events)));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let complaints = process.complaints();
        let says = |words: &str| complaints.iter().any(|text| text.contains(words));
        assert!(says("timers of partition customer."), "{complaints:?}");
        assert!(says("storing events fails since"), "{complaints:?}");
        centre.world.set_outage(None);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(process.complaints(), Vec::<String>::new());
    });
}

/// It took 62 s while each partition made consumers of which a server has a thousand at most.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_and_twenty_four_partitions_start_within_fifteen_seconds_and_again_after_a_kill()
{
    let server = Nats::start();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("aftercall.toml");
    std::fs::write(&config, "[log]\npartitions = 1024\n").expect("a configuration");
    let config = config.display().to_string();
    let rules = RuleSet::default_rules().text().to_owned();
    let arguments = ["--nats", &server.url(), "--config", &config];
    let mut service = Service::new(folder.path(), "run", &arguments, &rules);
    let log = {
        let since = Instant::now();
        service.start();
        service.until_ready().await;
        assert!(
            since.elapsed() < Duration::from_secs(15),
            "{:?}",
            since.elapsed()
        );
        JetStreamLog::connect(Settings::new(server.url())).await
    };
    let log: Log = Arc::new(log.expect("a log"));
    // Each partition has more to read than a few records.
    let mut traffic = Traffic::new(6, 4_000, 4_000);
    for _ in 0..5 {
        feed(&log, &mut traffic, 4_000).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    assert!(service.kill());
    let since = Instant::now();
    service.start();
    service.until_ready().await;
    assert!(
        since.elapsed() < Duration::from_secs(15),
        "{:?}",
        since.elapsed()
    );
}
