//! Panics planted in the tasks of a service, one after the other: each is noticed and told, what depends on it stops or
//! begins anew, and the rest goes on.
//!
//! A panic is planted in the process, not in a thread, so these tests run one at a time.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix::System;
use aftercall::{
    config::Config,
    desk::{self, Desk, tokens::Tokens},
    log::{
        Lane, Log,
        memory::{Faults, World},
        owner::Owner,
    },
    planted::{PanicIn, plant_panic},
    shard::{
        HostSettings, Hosts,
        board::{Board, PartitionStatus, State},
    },
    telemetry::metrics,
};
use aftercall_actors::{contract::output::Kind, rules::RuleSet};
use reqwest::StatusCode;
use serde_json::{Value, json};

const TOKEN: &str = "a token of the tests";

/// Partitions a side.
const PARTITIONS: u16 = 2;

/// A service stalls where nothing gets on for so long.
const STALL: Duration = Duration::from_secs(10);

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_partition_whose_host_panics_stops_and_says_so_and_the_others_go_on() {
    with_centre(
        || {},
        |centre| async move {
            centre.tell(0..8).await;
            centre.until_applied().await;
            plant_panic(PanicIn::Partition);
            let stopped = centre.stopped().await;
            assert_eq!(
                stopped.reason.as_deref(),
                Some("its host panicked: planted in Partition")
            );
            assert_eq!((stopped.actors, stopped.actor_bytes), (0, 0));

            // Not only once there is something to do: a readiness that waits for work would come too late.
            let complaint = format!(
                "partition {} is stopped: its host panicked: planted in Partition",
                stopped.partition
            );
            assert_eq!(centre.complaints().await, std::slice::from_ref(&complaint));
            let metrics = centre.metrics().await;
            let state = format!(
                "aftercall_partition_state{{partition=\"{}\",state=\"stopped\"}} 1",
                stopped.partition
            );
            for line in [state.as_str(), "aftercall_stopped_partitions 1"] {
                assert!(metrics.lines().any(|found| found == line), "no {line}");
            }

            let before = stopped.committed;
            centre.tell(8..40).await;
            centre.until_applied().await;
            let now = centre.status(&stopped);
            assert_eq!((now.state, now.committed), (State::Stopped, before));
            assert_eq!(centre.complaints().await, [complaint]);
        },
    );
}

/// What was committed stands; what was not is applied by the next start, and each output stands once.
#[test]
fn a_start_after_a_panic_goes_on_where_the_partition_was() {
    let world = World::new(PARTITIONS, Faults::default());
    on(
        &world,
        || {},
        |centre| async move {
            centre.tell(0..20).await;
            plant_panic(PanicIn::Partition);
            let stopped = centre.stopped().await;
            centre.tell(20..60).await;
            centre.until_applied().await;
            assert_eq!(centre.status(&stopped).state, State::Stopped);
        },
    );
    on(
        &world,
        || {},
        |centre| async move {
            centre.until_applied().await;
            assert_eq!(centre.complaints().await, Vec::<String>::new());
            let alerts = centre.alerts(60).await;
            let mut different = alerts.clone();
            different.sort();
            different.dedup();
            assert_eq!((alerts.len(), different.len()), (60, 60));
        },
    );
}

/// Before, a release waited for an end that was never told, as long as it may take at most.
#[test]
fn a_service_with_a_partition_that_panicked_stops_without_waiting_for_it() {
    let world = World::new(PARTITIONS, Faults::default());
    let began = Mutex::new(None);
    on(
        &world,
        || {},
        |centre| {
            let began = &began;
            async move {
                plant_panic(PanicIn::Partition);
                centre.stopped().await;
                *began.lock().unwrap() = Some(Instant::now());
            }
        },
    );
    let took = began.lock().unwrap().unwrap().elapsed();
    assert!(took < Duration::from_millis(3_500), "{took:?}");
}

#[test]
fn a_partition_that_cannot_be_taken_over_for_a_panic_stops_and_the_others_run() {
    with_centre(
        || plant_panic(PanicIn::TakeOver),
        |centre| async move {
            let stopped = centre.stopped().await;
            assert_eq!(
                stopped.reason.as_deref(),
                Some("its host panicked: planted in TakeOver")
            );
            centre.tell(0..8).await;
            centre.until_applied().await;
            assert_eq!(centre.complaints().await.len(), 1);
        },
    );
}

#[test]
fn without_the_reader_of_the_log_every_partition_stops_and_says_why() {
    with_centre(
        || {},
        |centre| async move {
            centre.tell(0..8).await;
            centre.until_applied().await;
            plant_panic(PanicIn::Reader);
            // One batch is waited for already.
            centre.tell(8..9).await;
            let all = 2 * usize::from(PARTITIONS);
            centre
                .until(|board| count(board, State::Stopped) == all)
                .await;
            let why = "is stopped: the reader of the log panicked: planted in Reader";
            let complaints = centre.complaints().await;
            assert_eq!(complaints.len(), all);
            assert!(
                complaints.iter().all(|text| text.ends_with(why)),
                "{complaints:?}"
            );
        },
    );
}

#[test]
fn what_has_no_state_begins_anew_and_is_a_complaint_until_then() {
    for (place, name) in [(PanicIn::Overseer, "overseer"), (PanicIn::Owning, "owning")] {
        let before = metrics().restarts(name).get();
        with_centre(
            move || (0..4).for_each(|_| plant_panic(place)),
            |centre| async move {
                // The fourth pause is 1.6 s.
                let complaint =
                    format!("{name} panicked: planted in {place:?}; it is about to begin anew");
                centre
                    .until(|board| {
                        metrics().restarts(name).get() == before + 4
                            && board.complaints(STALL) == [complaint.as_str()]
                    })
                    .await;
                centre
                    .until(|board| board.complaints(STALL).is_empty())
                    .await;
                assert_eq!(metrics().restarts(name).get(), before + 4);
                centre.tell(0..4).await;
                centre.until_applied().await;
            },
        );
    }
}

/// Points that wait for a deadline are given though the ticker panicked, since it began anew.
#[test]
fn time_goes_on_after_a_panic_of_the_ticker() {
    let before = metrics().restarts("ticker").get();
    with_centre(
        || plant_panic(PanicIn::Ticker),
        |centre| async move {
            // Two updates of one customer: the second waits for the merge time, and no other event comes.
            centre.contact(0).await;
            centre.contact(1).await;
            centre.until_outputs(Lane::Out(Kind::Profile), 2).await;
            assert_eq!(metrics().restarts("ticker").get(), before + 1);
        },
    );
}

#[test]
fn a_request_whose_answer_panics_is_answered_500_and_counted() {
    with_centre(
        || {},
        |centre| async move {
            let count = || metrics().http_request("/livez", 500).get();
            let before = count();
            plant_panic(PanicIn::Request);
            let answer = centre.get("/livez").await;
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["status"], 500);
            assert_eq!(count(), before + 1);
            assert_eq!(centre.get("/livez").await.status(), StatusCode::OK);
        },
    );
}

struct Centre {
    address: SocketAddr,
    world: World,
    board: Arc<Board>,
}

impl Centre {
    /// Stores bad surveys of several agents: an alert each.
    async fn tell(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let agent = format!("a{}", number % 7);
            self.append(json!({
                "specversion": "1.0", "id": format!("r{number}"), "source": "tests",
                "type": "survey.response.created",
                "data": {
                    "response_id": format!("r{number}"), "interaction_id": format!("i{number}"),
                    "submitted_at": self.world.now().0, "csat": 1,
                    "routing": { "agent_id": agent, "agent_name": "Ada" },
                },
            }))
            .await;
        }
    }

    async fn contact(&self, number: u32) {
        self.append(json!({
            "specversion": "1.0", "id": format!("c{number}"), "source": "tests",
            "type": "interaction.completed",
            "data": {
                "interaction_id": format!("c{number}"), "channel": "voice",
                "customer": { "customer_id": "c1" },
                "started_at": self.world.now().0, "ended_at": self.world.now().0 + 1,
                "summary": "The customer asked for a copy of the latest invoice.",
            },
        }))
        .await;
    }

    async fn append(&self, event: Value) {
        let request = reqwest::Client::new()
            .post(format!("http://{}/v1/events", self.address))
            .bearer_auth(TOKEN)
            .header("content-type", "application/cloudevents+json")
            .body(event.to_string());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
    }

    fn status(&self, of: &PartitionStatus) -> PartitionStatus {
        let mut all = self.board.partitions().into_iter();
        all.find(|status| status.partition == of.partition).unwrap()
    }

    async fn until(&self, reached: impl Fn(&Board) -> bool) {
        let began = Instant::now();
        while !reached(&self.board) {
            let partitions = self.board.partitions();
            assert!(began.elapsed() < PATIENCE, "{partitions:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The one partition that has stopped.
    async fn stopped(&self) -> PartitionStatus {
        self.until(|board| count(board, State::Stopped) == 1).await;
        let mut all = self.board.partitions().into_iter();
        all.find(|status| status.state == State::Stopped).unwrap()
    }

    /// Until all partitions that run have applied and committed what the log holds.
    async fn until_applied(&self) {
        let end = self.world.events().len() as u64;
        self.until(|board| {
            let all = board.partitions();
            let mut alive = all.iter().filter(|status| status.state != State::Stopped);
            alive.all(|status| status.state == State::Running && status.committed >= end)
        })
        .await;
    }

    async fn until_outputs(&self, lane: Lane, count: usize) {
        let began = Instant::now();
        while self.outputs(lane).len() < count {
            assert!(began.elapsed() < PATIENCE, "{:?}", self.outputs(lane));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn alerts(&self, count: usize) -> Vec<String> {
        let lane = Lane::Out(Kind::Alert);
        self.until_outputs(lane, count).await;
        self.outputs(lane)
    }

    /// Ids of all outputs in a lane of any partition.
    fn outputs(&self, lane: Lane) -> Vec<String> {
        let outputs = self.world.outputs().into_iter();
        let outputs = outputs.filter(|stored| stored.output.lane == lane);
        outputs
            .map(|stored| {
                let mut attributes = stored.output.attributes.into_iter();
                attributes.find(|(name, _)| *name == "ce-id").unwrap().1
            })
            .collect()
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        reqwest::get(format!("http://{}{path}", self.address))
            .await
            .unwrap()
    }

    async fn complaints(&self) -> Vec<String> {
        let answer = self.get("/readyz").await;
        let status = answer.status();
        let found: Value = answer.json().await.unwrap();
        let found: Vec<String> = serde_json::from_value(found["complaints"].clone()).unwrap();
        assert_eq!(status == StatusCode::OK, found.is_empty(), "{found:?}");
        found
    }

    async fn metrics(&self) -> String {
        self.get("/metrics").await.text().await.unwrap()
    }
}

fn count(board: &Board, state: State) -> usize {
    let all = board.partitions();
    all.iter().filter(|status| status.state == state).count()
}

/// Runs a test on a service of its own; `plant` comes before its start.
fn with_centre<F: Future<Output = ()>>(plant: impl FnOnce(), test: impl FnOnce(Centre) -> F) {
    on(&World::new(PARTITIONS, Faults::default()), plant, test);
}

fn on<F: Future<Output = ()>>(world: &World, plant: impl FnOnce(), test: impl FnOnce(Centre) -> F) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    aftercall::sinks::client::install_provider();
    plant();
    System::new().block_on(async move {
        let log: Log = Arc::new(world.client());
        let config = Config::default().http;
        let tokens = Arc::new(Tokens::one(TOKEN));
        let desk = Desk::new(Arc::clone(&log), tokens, &config);
        let running = desk::start(Arc::clone(&desk), ([127, 0, 0, 1], 0).into()).unwrap();
        let settings = HostSettings {
            actor_bytes_max: u64::MAX,
            shelf_folder: std::env::temp_dir(),
        };
        let owner = Arc::new(Owner::this_process());
        let rules = RuleSet::default_rules();
        let hosts = Hosts::start(log, settings, rules, owner).await.unwrap();
        desk.set_board(hosts.board());
        let centre = Centre {
            address: running.addresses[0],
            world: world.clone(),
            board: hosts.board(),
        };
        test(centre).await;
        let _ = tokio::join!(running.stop(), hosts.stop());
    });
}
