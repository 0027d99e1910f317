//! The built program on a real nats-server at a steady rate, with one fault after the other, under the eyes of a watcher.
//!
//! At the end every output stands once, as the plain model has it, and what the actors remember is what the model
//! remembers; on the way the service was never ready while nothing advanced, and what it held in memory stayed level. Which
//! faults there are is in `faults`, what the watcher judges in `watcher`.
//!
//! Three minutes in the ordinary run. Half an hour, with a fault each minute:
//! `SOAK_MINUTES=30 SOAK_RATE=2000 cargo test --test soak -- --nocapture`

#[path = "soak/faults.rs"]
mod faults;
#[path = "kill/feeder.rs"]
#[allow(dead_code, reason = "here events go straight to the log")]
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
#[allow(dead_code, reason = "here is no second run to compare with")]
mod verdict;
#[path = "soak/watcher.rs"]
mod watcher;

use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use aftercall::log::{
    Log,
    jetstream::{JetStreamLog, Settings},
};
use aftercall_actors::rules::RuleSet;

use faults::{Fault, Scene};
use feeder::Feeder;
use nats::Nats;
use service::Service;
use watcher::Watcher;

/// A number from the environment, or what the ordinary run takes.
fn setting<T: FromStr>(name: &str, ordinary: T) -> T {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(ordinary)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_output_is_exact_after_a_fault_each_minute_and_ready_meant_working_throughout() {
    let minutes: u32 = setting("SOAK_MINUTES", 3);
    let rate: usize = setting("SOAK_RATE", 500);
    let span = Duration::from_secs(60) * minutes;
    // All faults have their turn, at most one a minute where there is time for that.
    let pause = (span / (Fault::ALL.len() as u32 + 1)).min(Duration::from_secs(60));

    let server = Nats::start();
    let folder = tempfile::tempdir().expect("a folder");
    let rules = RuleSet::default_rules().text().to_owned();
    let service = Service::new(folder.path(), "run", &["--nats", &server.url()], &rules);
    let log = JetStreamLog::connect(Settings::new(server.url())).await;
    let log: Log = Arc::new(log.expect("a log"));
    let mut service = service.started();
    service.until_ready().await;

    let watcher = Watcher::of(&service, Arc::clone(&log));
    let feeder = Feeder::to_the_log(Arc::clone(&log));
    let feeding = tokio::spawn(feeder.feed(rate * span.as_secs() as usize, span));
    let began = Instant::now();
    let mut scene = Scene {
        server,
        service,
        log: Arc::clone(&log),
    };
    for (number, fault) in Fault::ALL.iter().cycle().enumerate() {
        let due = pause * (number as u32 + 1);
        if due >= span {
            break;
        }
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        println!("{:>4} s: {fault:?}", began.elapsed().as_secs());
        fault.strike(&mut scene).await;
    }
    let acknowledged = feeding.await.expect("the feeder ends");
    let seen = watcher.end().await;
    println!("{seen}");
    lives::end(&mut scene.service, &log).await;
    let story = verdict::read(&log).await;
    verdict::acknowledged_events_stand(&story, &acknowledged);
    verdict::outputs_equal_the_model(&story, &rules);
    verdict::states_equal_the_model(&log, &story, &rules).await;
    seen.ready_meant_working();
    seen.memory_stayed_level();
}
