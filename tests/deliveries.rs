//! Destinations as a process runs them: an actor each, on arbiters, supervised. What they decide is proved by
//! `src/delivery/state/tests.rs` and the simulation; here it is that they live, end and do not hold each other up.

#[path = "support/outputs.rs"]
mod outputs;

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use aftercall::{
    delivery::{
        attempt::{Answer, Attempt, Fault, Verdict},
        host::Deliveries,
        parcel::Parcel,
        policy::{Limits, Policy, Retry, Start},
        status::{DestinationBoard, DriverState},
        transport::{Transport, Turn},
    },
    log::{
        Lane, Log,
        memory::{Faults, World},
        owner::Owner,
    },
};
use aftercall_actors::{
    breaker::{self, Trip},
    contract::output::Kind,
};
use async_trait::async_trait;
use outputs::Outputs;
use serde_json::{Value, json};

#[test]
fn a_driver_that_panics_is_started_again_and_goes_on_where_it_was() {
    let (panicking, sound) = (
        carrier("panicking", Manner::PanicsOnce),
        carrier("sound", Manner::Works),
    );
    run(&[&panicking, &sound], |log, board| async move {
        store(&log, 0..20).await;
        until(&board, "panicking", |status| status.delivered == 20).await;
        until(&board, "sound", |status| status.delivered == 20).await;
    });
    let calls = panicking.calls();
    let first: Vec<u32> = calls
        .iter()
        .filter(|(id, _)| id == "out-0")
        .map(|(_, number)| *number)
        .collect();
    assert_eq!(first, [1, 2], "the attempt that panicked is on record");
    assert_eq!(sound.calls().len(), 20);
    let mut ids: Vec<_> = calls.into_iter().map(|(id, _)| id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20, "none is lost");
}

#[test]
fn s4_08_a_destination_that_hangs_holds_up_no_other() {
    let (hanging, sound) = (
        carrier("hanging", Manner::Hangs),
        carrier("sound", Manner::Works),
    );
    run(&[&hanging, &sound], |log, board| async move {
        let began = Instant::now();
        store(&log, 0..200).await;
        until(&board, "sound", |status| status.delivered == 200).await;
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        let hanging = status(&board, "hanging");
        assert_eq!(hanging.delivered, 0);
        assert_eq!(hanging.in_flight, 8, "as many as may be out");
    });
}

#[test]
fn stopping_waits_for_what_is_out_and_the_next_start_repeats_nothing() {
    let slow = carrier("slow", Manner::Slow);
    let world = World::new(1, Faults::default());
    run_on(&world, &[&slow], |log, board| async move {
        store(&log, 0..4).await;
        until(&board, "slow", |status| status.in_flight == 4).await;
    });
    assert_eq!(slow.calls().len(), 4);
    run_on(&world, &[&slow], |_, board| async move {
        until(&board, "slow", |status| {
            status.state == DriverState::Running
        })
        .await;
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(status(&board, "slow").unfinished, 0);
    });
    assert_eq!(
        slow.calls().len(),
        4,
        "what was out was waited for and is on record"
    );
    assert_eq!(
        world.delivery("slow").len(),
        1,
        "a checkpoint says all there is to say"
    );
}

#[test]
fn a_destination_that_starts_now_takes_what_comes_and_not_what_was() {
    let late = Carrier {
        start: Start::Now,
        ..carrier("late", Manner::Works)
    };
    let world = World::new(1, Faults::default());
    let client = world.client();
    within_system(async move {
        let mut outputs = Outputs::new(Kind::Reward, "reward.requested");
        outputs.store(&client, &[("old".into(), json!({}))]).await;
        let log: Log = Arc::new(client);
        let deliveries = Deliveries::start(&log, vec![Arc::new(late.clone())], &owner());
        let board = deliveries.board();
        until(&board, "late", |status| {
            status.state == DriverState::Running
        })
        .await;
        outputs.store(&*log, &[("new".into(), json!({}))]).await;
        until(&board, "late", |status| status.delivered == 1).await;
        deliveries.stop().await;
        assert_eq!(late.calls(), [("new".to_owned(), 1)]);
    });
}

/// How a destination behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Works,
    /// 300 ms for each.
    Slow,
    Hangs,
    /// At the very first attempt.
    PanicsOnce,
}

#[derive(Clone)]
struct Carrier {
    name: &'static str,
    manner: Manner,
    start: Start,
    policy: Policy,
    calls: Arc<Mutex<Vec<(String, u32)>>>,
}

impl Carrier {
    fn calls(&self) -> Vec<(String, u32)> {
        self.calls.lock().expect("not poisoned").clone()
    }
}

fn carrier(name: &'static str, manner: Manner) -> Carrier {
    let some = |number| NonZeroU32::new(number).expect("not zero");
    Carrier {
        name,
        manner,
        start: Start::Beginning,
        policy: Policy {
            limits: Limits {
                concurrency: some(8),
                rate: None,
                by_lane: false,
            },
            retry: Retry {
                attempts: some(4),
                first: Duration::from_millis(50),
                factor: some(2),
                max: Duration::from_secs(1),
                deadline: Duration::from_secs(3_600),
                unknown_counts: true,
            },
            breaker: breaker::Policy {
                trip: Trip::FailingFor { ms: 300_000 },
                open_ms: 1_000,
            },
            merge: None,
            outcome: None,
        },
        calls: Arc::default(),
    }
}

#[async_trait]
impl Transport for Carrier {
    fn name(&self) -> &str {
        self.name
    }

    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn start(&self) -> Start {
        self.start
    }

    fn lanes(&self) -> Vec<Lane> {
        vec![Lane::Out(Kind::Reward)]
    }

    fn selects(&self, _: &Parcel) -> bool {
        true
    }

    fn thread(&self, _: &Parcel) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    async fn attempt(&self, parcel: &Parcel, _: Option<&Value>, turn: Turn) -> Attempt {
        let first = {
            let mut calls = self.calls.lock().expect("not poisoned");
            calls.push((parcel.id.clone(), turn.number));
            calls.len() == 1
        };
        match self.manner {
            Manner::Works => {}
            Manner::Slow => tokio::time::sleep(Duration::from_millis(300)).await,
            Manner::Hangs => std::future::pending().await,
            Manner::PanicsOnce => assert!(!first, "the panic of this test"),
        }
        Attempt {
            result: Ok(Answer {
                status: 200,
                headers: BTreeMap::new(),
                body: Value::Null,
            }),
            verdict: Verdict::Delivered,
            handle: None,
            kept: Default::default(),
            status: None,
            response: None,
            progress: None,
            said: None,
            lanes: Vec::new(),
        }
    }
}

/// Runs destinations on a log of their own while the story lasts, then stops them.
fn run<S, F>(transports: &[&Carrier], story: S)
where
    S: FnOnce(Log, Arc<DestinationBoard>) -> F,
    F: Future<Output = ()>,
{
    run_on(&World::new(1, Faults::default()), transports, story);
}

fn run_on<S, F>(world: &World, transports: &[&Carrier], story: S)
where
    S: FnOnce(Log, Arc<DestinationBoard>) -> F,
    F: Future<Output = ()>,
{
    within_system(async {
        let log: Log = Arc::new(world.client());
        let transports = transports
            .iter()
            .map(|c| Arc::new((*c).clone()) as Arc<dyn Transport>);
        let deliveries = Deliveries::start(&log, transports.collect(), &owner());
        story(log, deliveries.board()).await;
        deliveries.stop().await;
    });
}

fn within_system(story: impl Future<Output = ()>) {
    actix::System::new().block_on(story);
}

async fn store(log: &Log, numbers: std::ops::Range<u32>) {
    let outputs: Vec<(String, Value)> = numbers
        .map(|n| (format!("out-{n}"), json!({ "n": n })))
        .collect();
    Outputs::new(Kind::Reward, "reward.requested")
        .store(&**log, &outputs)
        .await;
}

fn status(board: &DestinationBoard, name: &str) -> aftercall::delivery::status::DestinationStatus {
    let mut all = board.destinations();
    all.retain(|status| status.destination == name);
    all.remove(0)
}

async fn until(
    board: &DestinationBoard,
    name: &str,
    holds: impl Fn(&aftercall::delivery::status::DestinationStatus) -> bool,
) {
    let began = Instant::now();
    while !holds(&status(board, name)) {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{:?}",
            status(board, name)
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn owner() -> Arc<Owner> {
    Arc::new(Owner::this_process())
}
