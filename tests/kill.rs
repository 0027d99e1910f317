//! The built program under `kill -9`, on both logs, and the nats-server under it as well.
//!
//! The simulation proves the same with every interleaving a seed can think of, but on a log in memory and with
//! tasks instead of processes. Here nothing is played: `aftercall run` as users start it, a real nats-server or a
//! real SQLite file, 20,000 events, and a signal that no program can answer.
//!
//! The comparison is exact, log time included: a run that was never interrupted would have seen other time
//! stamps, so the reference is computed from the event log that the killed program worked on. Once by the plain
//! model that the simulation uses as well; on SQLite also by the program itself, uninterrupted, on a copy of the
//! file with nothing but the events left. Every acknowledged event must stand in that log, and every output of
//! either reference must stand in the outputs once, in its order, byte for byte; what the actors remember at the end
//! must be what the model remembers. `KILL_SEED=7 cargo test --test kill` kills at other moments.

#[path = "kill/feeder.rs"]
mod feeder;
#[path = "kill/lives.rs"]
mod lives;
#[path = "support/nats.rs"]
mod nats;
#[path = "support/reference.rs"]
mod reference;
#[path = "support/service.rs"]
mod service;
#[path = "support/states.rs"]
mod states;
#[path = "kill/verdict.rs"]
mod verdict;

use std::{path::Path, sync::Arc, time::Duration};

use aftercall::log::{
    Log,
    jetstream::{JetStreamLog, Settings},
    sqlite::{SqliteLog, SqliteSettings},
};
use aftercall_actors::rules::RuleSet;

use feeder::Feeder;
use nats::Nats;
use service::Service;

/// Events of a run, without what is sent twice.
const EVENTS: usize = 20_000;

/// Shipped rules, but changed profiles are sent after a second, so that many deadlines fall between a kill and a
/// restart, and coaching comes easily, so that its lane is not empty.
fn rules() -> String {
    let mut text = RuleSet::default_rules().text().to_owned();
    for (shipped, wanted) in [
        ("merge = \"5s\"", "merge = \"1s\""),
        ("detractor_share >= 0.5", "detractor_share >= 0.1"),
    ] {
        assert!(text.contains(shipped), "the shipped rules say {shipped}");
        text = text.replace(shipped, wanted);
    }
    text
}

/// The moments of the kills; another seed in `KILL_SEED` gives others.
fn seed() -> u64 {
    let seed = std::env::var("KILL_SEED").ok();
    seed.and_then(|text| text.parse().ok()).unwrap_or(1)
}

async fn sqlite(dir: &Path) -> Log {
    let dir = dir.to_owned();
    let opening =
        tokio::task::spawn_blocking(move || SqliteLog::open(&dir, SqliteSettings::default()));
    Arc::new(opening.await.expect("opened").expect("a log"))
}

async fn jetstream(server: &Nats) -> Log {
    let log = JetStreamLog::connect(Settings::new(server.url())).await;
    Arc::new(log.expect("a log"))
}

/// Events come over HTTP from the very process that is killed, so each `202` is a promise of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_twenty_times_on_sqlite_every_event_counts_and_every_output_stands_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("data");
    let service = Service::new(folder.path(), "run", &["--dir", &text(&dir)], &rules());
    let mut service = service.started();
    // The program makes the file; a second process may have it open then.
    service.until_ready().await;
    let log = sqlite(&dir).await;

    let feeder = Feeder::over_http(Arc::clone(&log), &service);
    let feeding = tokio::spawn(feeder.feed(EVENTS, Duration::from_secs(22)));
    lives::kill_often(&mut service, 20, seed()).await;
    let acknowledged = feeding.await.expect("the feeder ends");
    lives::end(&mut service, &log).await;
    let story = verdict::read(&log).await;
    verdict::acknowledged_events_stand(&story, &acknowledged);
    verdict::outputs_equal_the_model(&story, &rules());
    verdict::states_equal_the_model(&log, &story, &rules()).await;

    let copy = folder.path().join("copy");
    verdict::copy_of_the_events(&dir, &copy);
    let again = Service::new(folder.path(), "again", &["--dir", &text(&copy)], &rules());
    let mut again = again.started();
    let log = sqlite(&copy).await;
    lives::end(&mut again, &log).await;
    verdict::same_outputs(&story, &verdict::read(&log).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_twenty_times_on_nats_every_event_counts_and_every_output_stands_once() {
    let server = Nats::start();
    let folder = tempfile::tempdir().expect("a folder");
    let service = Service::new(folder.path(), "run", &["--nats", &server.url()], &rules());
    let log = jetstream(&server).await;
    let mut service = service.started();

    let feeder = Feeder::to_the_log(Arc::clone(&log));
    let feeding = tokio::spawn(feeder.feed(EVENTS, Duration::from_secs(22)));
    lives::kill_often(&mut service, 20, seed() + 1).await;
    let acknowledged = feeding.await.expect("the feeder ends");
    lives::end(&mut service, &log).await;
    let story = verdict::read(&log).await;
    verdict::acknowledged_events_stand(&story, &acknowledged);
    verdict::outputs_equal_the_model(&story, &rules());
    verdict::states_equal_the_model(&log, &story, &rules()).await;
}

/// The other way round: the program lives on, and what it writes to is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_server_killed_three_times_loses_nothing_and_the_program_goes_on() {
    let mut server = Nats::start();
    let folder = tempfile::tempdir().expect("a folder");
    let service = Service::new(folder.path(), "run", &["--nats", &server.url()], &rules());
    let log = jetstream(&server).await;
    let mut service = service.started();
    service.until_ready().await;

    let feeder = Feeder::to_the_log(Arc::clone(&log));
    let feeding = tokio::spawn(feeder.feed(EVENTS / 4, Duration::from_secs(6)));
    for down in [Duration::ZERO, Duration::from_millis(700), Duration::ZERO] {
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        server.kill();
        tokio::time::sleep(down).await;
        server = tokio::task::spawn_blocking(move || {
            server.start_again();
            server
        })
        .await
        .expect("the server starts again");
    }
    let acknowledged = feeding.await.expect("the feeder ends");
    assert!(service.is_running(), "{}", service.log());
    lives::end(&mut service, &log).await;
    let story = verdict::read(&log).await;
    verdict::acknowledged_events_stand(&story, &acknowledged);
    verdict::outputs_equal_the_model(&story, &rules());
    verdict::states_equal_the_model(&log, &story, &rules()).await;
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
