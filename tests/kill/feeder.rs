//! Events at a steady rate, whoever dies meanwhile: what is not acknowledged is sent again.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use aftercall::{
    log::{Destination, Headers, Log, NewEvent},
    traffic::{GeneratedEvent, Traffic},
};
use aftercall_actors::contract::time::EventTime;

use crate::{
    lives::Random,
    service::{Service, TOKEN},
};

/// Events sent at once.
const BATCH: usize = 50;

/// A batch must be taken within this time, whatever is being killed.
const PATIENCE: Duration = Duration::from_secs(40);

/// Seed of the traffic.
const SEED: u64 = 42;

/// Time from one made-up event to the next: they are the last hours of a centre, whose windows they fill.
const APART: Duration = Duration::from_millis(700);

/// Sends events.
pub struct Feeder {
    log: Log,
    events_url: Option<String>,
    client: reqwest::Client,
}

impl Feeder {
    /// Over HTTP, to the service that is killed.
    pub fn over_http(log: Log, service: &Service) -> Self {
        Self {
            log,
            events_url: Some(service.url("/v1/events")),
            client: reqwest::Client::new(),
        }
    }

    /// Straight to the log.
    pub fn to_the_log(log: Log) -> Self {
        Self {
            log,
            events_url: None,
            client: reqwest::Client::new(),
        }
    }

    /// Sends `count` made-up events over `span`, in batches, each until it is acknowledged, and some of them a second
    /// time under another message id, as a producer's retry after the log's memory would, and some that nobody can read.
    /// The answer holds what was acknowledged: `source id`.
    pub async fn feed(self, count: usize, span: Duration) -> BTreeSet<String> {
        let mut traffic = Traffic::new(SEED, 60, 1_000);
        let mut random = Random(SEED);
        let mut acknowledged = BTreeSet::new();
        let mut earlier: Vec<GeneratedEvent> = Vec::new();
        let began = Instant::now();
        let first = self.log.now().0 - count as i64 * APART.as_millis() as i64;
        for number in (0..count).step_by(BATCH) {
            let due = span.mul_f64(number as f64 / count as f64);
            tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
            let batch: Vec<GeneratedEvent> = (number..count.min(number + BATCH))
                .map(|number| first + number as i64 * APART.as_millis() as i64)
                .map(|at| traffic.next_event(EventTime(at)))
                .collect();
            match &self.events_url {
                Some(url) => self.post(url, &batch).await,
                None => {
                    self.append(batch.iter().cloned().map(GeneratedEvent::into_new_event))
                        .await;
                }
            }
            acknowledged.extend(batch.iter().map(|event| event.message_id.clone()));
            earlier.extend(batch);
            let again = &earlier[random.below(earlier.len() as u64) as usize];
            let mut again = again.clone().into_new_event();
            again.message_id = format!("again {number}");
            self.append([again, broken(number)].into_iter()).await;
        }
        acknowledged
    }

    async fn post(&self, url: &str, batch: &[GeneratedEvent]) {
        let events: Vec<&str> = batch.iter().map(|event| event.event.as_str()).collect();
        let body = format!("[{}]", events.join(","));
        let since = Instant::now();
        loop {
            let request = self.client.post(url).bearer_auth(TOKEN);
            let request = request.header("content-type", "application/cloudevents-batch+json");
            let answer = request.body(body.clone()).send().await;
            match answer.map(|answer| answer.status().as_u16()) {
                Ok(200..=299) => return,
                // Busy, or stopping: try again.
                Ok(429 | 503) | Err(_) => {}
                Ok(status) => panic!("events answered {status}"),
            }
            assert!(since.elapsed() < PATIENCE, "a batch is never taken");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn append(&self, events: impl Iterator<Item = NewEvent>) {
        let answers =
            aftercall::log::retry::append(self.log.as_ref(), events.collect(), PATIENCE).await;
        for answer in answers {
            answer.expect("events are stored in the end");
        }
    }
}

/// An event that can only be set aside.
fn broken(number: usize) -> NewEvent {
    NewEvent {
        destination: Destination::Actors {
            owner: format!("broken-{number}"),
            customer: "_".to_owned(),
            event_type: "interaction.completed".to_owned(),
        },
        headers: Headers::Empty,
        payload: format!("no event {number}").into_bytes().into(),
        message_id: format!("broken {number}"),
    }
}
