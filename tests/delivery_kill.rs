//! The built program under `kill -9` while it delivers: 5,000 outputs to a marketplace and a CRM that fail, hang,
//! throttle, lie, lose and garble their answers, know a key only as a conflict, and do not let us in for a while.
//!
//! Nothing is played on our side: `aftercall run` as users start it, a real log, HTTP to a sandbox that keeps a ledger
//! of what it executed. At the end each output has one verdict; each order was executed at most once, and exactly once
//! where the verdict says so; what was given up is a dead letter; no agent waits for an outcome.
//! `rewards` is a story of its own, about money: fifty kills, and it ends for each agent as it ends without.
//! `KILL_SEED=7 cargo test --test delivery_kill` kills at other moments.

#[path = "support/calendar.rs"]
mod calendar;
#[path = "delivery_kill/centre.rs"]
mod centre;
#[path = "support/compare.rs"]
mod compare;
#[path = "support/entry.rs"]
mod entry;
#[path = "delivery_kill/judge.rs"]
mod judge;
#[path = "kill/lives.rs"]
mod lives;
#[path = "support/marketplace.rs"]
mod marketplace;
#[path = "support/nats.rs"]
mod nats;
#[path = "delivery_kill/rewards.rs"]
mod rewards;
#[path = "delivery_kill/script.rs"]
mod script;
#[path = "support/service.rs"]
mod service;
#[path = "support/spreadsheet.rs"]
mod spreadsheet;
#[path = "support/terms.rs"]
mod terms;

use std::{path::Path, sync::Arc, time::Duration};

use aftercall::{
    log::{
        Log,
        jetstream::{JetStreamLog, Settings},
        sqlite::{SqliteLog, SqliteSettings},
    },
    sandbox::{
        self, Spawned,
        call::Vendor,
        faults::{Fault, Garbling, Rule},
    },
};

use nats::Nats;
use service::Service;

/// Rewards, and as many profile updates.
const EACH: usize = 2_500;

/// What the vendors do to one request in so many.
fn make_unreliable(sandbox: &Spawned) {
    let faults = [
        (
            Vendor::Rewards,
            Fault::Status {
                status: 503,
                retry_after: None,
            },
            0.10,
        ),
        (
            Vendor::Rewards,
            Fault::Status {
                status: 429,
                retry_after: Some(0),
            },
            0.02,
        ),
        (Vendor::Rewards, Fault::Lost, 0.06),
        (Vendor::Rewards, Fault::Late, 0.03),
        (Vendor::Rewards, Fault::Hang, 0.03),
        (Vendor::Rewards, Fault::Drop, 0.04),
        (Vendor::Rewards, Fault::Lie, 0.05),
        (Vendor::Rewards, Fault::Slow { ms: 300 }, 0.05),
        (
            Vendor::Crm,
            Fault::Status {
                status: 500,
                retry_after: None,
            },
            0.15,
        ),
        (
            Vendor::Crm,
            Fault::Status {
                status: 429,
                retry_after: Some(0),
            },
            0.05,
        ),
        (Vendor::Crm, Fault::Lost, 0.06),
        (Vendor::Crm, Fault::Late, 0.02),
        (Vendor::Crm, Fault::Hang, 0.02),
        (Vendor::Crm, Fault::Drop, 0.05),
        (Vendor::Crm, Fault::Slow { ms: 300 }, 0.05),
    ];
    let garbled = Garbling::ALL.into_iter().flat_map(|garbling| {
        [Vendor::Rewards, Vendor::Crm].map(|vendor| (vendor, Fault::Garbled(garbling), 0.01))
    });
    for (place, (vendor, fault, chance)) in faults.into_iter().chain(garbled).enumerate() {
        // Of orders it may say no; what it says of an order that it is asked about is so.
        let method = matches!(fault, Fault::Lie).then(|| "POST".to_owned());
        let rule = Rule {
            method,
            probability: Some(chance),
            // Of its own, so that one fault does not decide about the next.
            seed: Some(place as u64),
            ..Rule::always(vendor, fault)
        };
        sandbox.sandbox.add_fault(rule).expect("a fault");
    }
}

fn seed() -> u64 {
    let seed = std::env::var("KILL_SEED").ok();
    seed.and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn vendors() -> Spawned {
    let settings = sandbox::Settings {
        keep: 1_000_000,
        ..sandbox::Settings::default()
    };
    let listen = "127.0.0.1:0".parse().expect("an address");
    let sandbox = sandbox::spawn(listen, settings).expect("a sandbox");
    make_unreliable(&sandbox);
    let told = sandbox
        .sandbox
        .control("/control/rewards", &marketplace::quirks());
    told.expect("the marketplace is told");
    sandbox
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_09_killed_twenty_times_on_sqlite_each_output_has_one_verdict_and_each_order_is_executed_once()
 {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("data");
    let sandbox = vendors();
    let arguments = ["--dir", &text(&dir)].map(str::to_owned);
    let mut service = centre::service(folder.path(), &arguments, &sandbox).started();
    // The program makes the file; a second process may have it open then.
    service.until_ready().await;
    let opening =
        tokio::task::spawn_blocking(move || SqliteLog::open(&dir, SqliteSettings::default()));
    let log: Log = Arc::new(opening.await.expect("opened").expect("a log"));
    story(&mut service, &log, &sandbox, (seed(), folder.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_09_killed_twenty_times_on_nats_each_output_has_one_verdict_and_each_order_is_executed_once()
 {
    let server = Nats::start();
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = vendors();
    let arguments = ["--nats", &server.url()].map(str::to_owned);
    let mut service = centre::service(folder.path(), &arguments, &sandbox).started();
    service.until_ready().await;
    let log = JetStreamLog::connect(Settings::new(server.url())).await;
    let log: Log = Arc::new(log.expect("a log"));
    story(&mut service, &log, &sandbox, (seed() + 1, folder.path())).await;
}

async fn story(service: &mut Service, log: &Log, sandbox: &Spawned, (seed, folder): (u64, &Path)) {
    let feeding = tokio::spawn(centre::feed(Arc::clone(log), EACH, Duration::from_secs(20)));
    let folder = folder.to_owned();
    let shutting_out = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(6)).await;
        marketplace::shut_out(&folder, Duration::from_secs(4)).await;
    });
    lives::kill_often(service, 20, seed).await;
    shutting_out.await.expect("the token is right again");
    feeding.await.expect("the feeder ends");
    marketplace::until_settled(service, centre::PATIENCE).await;
    lives::end(service, log).await;
    judge::judge(log, sandbox, EACH).await;
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
