//! Made-up traffic at a fixed rate, and what comes out of it: shared by `load` and `demo`.
//!
//! Events are due on a schedule that does not wait for anybody, and an alert's latency counts from when its survey was
//! due. Where the log cannot keep up, events go out late and the latency says so.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use aftercall_actors::contract::{output::Kind, time::EventTime};
use futures::{StreamExt, stream::BoxStream};
use tokio::sync::Semaphore;

use super::{
    latency::{Latencies, Percentiles},
    render,
};
use crate::{
    log::{self, Lane, Log, LogError, NewEvent, StoredOutput, TailFrom},
    traffic::Traffic,
};

/// Events given to the log at once.
const BATCH: u64 = 500;

/// Batches on their way at once. More would only hide from the log's rate, and take memory.
const IN_FLIGHT: usize = 64;

/// How often due events are looked for. Far below the latencies to be measured.
const STEP: Duration = Duration::from_micros(100);

/// How long the log may take for a batch.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long an alert is waited for; later ones are counted without a latency.
const ALERT_MAX: Duration = Duration::from_secs(120);

/// Newest alerts kept for the demo.
const ALERTS_KEPT: usize = 5;

/// How fast and how long.
pub(super) struct Pace {
    /// Events a second.
    pub rate: f64,
    /// How long; `None` until stopped.
    pub length: Option<Duration>,
    /// Set to end early.
    pub stop: Arc<AtomicBool>,
}

/// What was sent and what came back.
pub(super) struct Probe {
    published: AtomicU64,
    failed: AtomicU64,
    outputs: [AtomicU64; Lane::COUNT],
    seen: Mutex<Seen>,
}

struct Seen {
    due: Due,
    total: Latencies,
    recent: Latencies,
    alerts: VecDeque<String>,
}

/// When surveys on their way were due, by `source id` as an output's `cause` names them.
#[derive(Default)]
struct Due {
    at: HashMap<String, Instant>,
    order: VecDeque<(Instant, String)>,
}

impl Due {
    fn add(&mut self, at: Instant, id: String) {
        while self
            .order
            .front()
            .is_some_and(|(first, _)| first.elapsed() > ALERT_MAX)
        {
            if let Some((_, id)) = self.order.pop_front() {
                self.at.remove(&id);
            }
        }
        self.at.insert(id.clone(), at);
        self.order.push_back((at, id));
    }
}

impl Probe {
    /// Nothing sent yet.
    pub(super) fn new() -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            published: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            outputs: [const { AtomicU64::new(0) }; Lane::COUNT],
            seen: Mutex::new(Seen {
                due: Due::default(),
                total: Latencies::new()?,
                recent: Latencies::new()?,
                alerts: VecDeque::new(),
            }),
        }))
    }

    /// Events the log has confirmed.
    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Events the log has not confirmed.
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Outputs seen in a lane.
    pub(super) fn outputs(&self, lane: Lane) -> u64 {
        self.outputs[lane.index()].load(Ordering::Relaxed)
    }

    /// Outputs seen in all lanes of outputs.
    pub(super) fn outputs_all(&self) -> u64 {
        Kind::ALL
            .into_iter()
            .map(|kind| self.outputs(Lane::Out(kind)))
            .sum()
    }

    /// Latencies of alerts since the start.
    pub(super) fn latencies(&self) -> Option<Percentiles> {
        self.lock().total.percentiles()
    }

    /// Latencies of alerts since this was last asked.
    pub(super) fn recent_latencies(&self) -> Option<Percentiles> {
        let mut seen = self.lock();
        let found = seen.recent.percentiles();
        seen.recent.clear();
        found
    }

    /// The newest alerts, oldest first.
    pub(super) fn alerts(&self) -> Vec<String> {
        self.lock().alerts.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of outputs until the stream ends.
    ///
    /// # Errors
    /// If the outputs cannot be read any more.
    pub(super) async fn watch(
        &self,
        mut outputs: BoxStream<'static, Result<StoredOutput, LogError>>,
    ) -> Result<(), LogError> {
        while let Some(output) = outputs.next().await {
            match output {
                Ok(output) => self.note(&output),
                Err(error) if error.is_transient() => tracing::warn!(%error, "outputs wait"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn note(&self, output: &StoredOutput) {
        self.outputs[output.lane.index()].fetch_add(1, Ordering::Relaxed);
        if output.lane != Lane::Out(Kind::Alert) {
            return;
        }
        let mut seen = self.lock();
        let cause = render::attribute(output, "ce-cause");
        if let Some(due) = seen.due.at.remove(cause.as_ref()) {
            let latency = due.elapsed();
            seen.total.record(latency);
            seen.recent.record(latency);
        }
        if seen.alerts.len() == ALERTS_KEPT {
            seen.alerts.pop_front();
        }
        let line = render::line(output);
        seen.alerts.push_back(line);
    }

    /// Sends made-up events at `rate` a second for `length`, or until `stop`. Blocks, so it needs a thread of its own:
    /// timers of a runtime tick once a millisecond, and that would be measured instead of the log. Returns once each
    /// event is answered.
    pub(super) fn publish(
        self: &Arc<Self>,
        log: &Log,
        mut traffic: Traffic,
        pace: Pace,
        runtime: &tokio::runtime::Handle,
    ) {
        let slots = Arc::new(Semaphore::new(IN_FLIGHT));
        let start = Instant::now();
        let mut sent = 0_u64;
        while !pace.stop.load(Ordering::Relaxed) {
            let elapsed = start.elapsed();
            let length = pace.length.unwrap_or(Duration::MAX);
            let due = (elapsed.min(length).as_secs_f64() * pace.rate) as u64;
            while sent < due {
                // Never closed; and where it could be, there would be nobody to send for.
                let Ok(slot) = runtime.block_on(Arc::clone(&slots).acquire_owned()) else {
                    return;
                };
                let count = (due - sent).min(BATCH);
                let events = self.make(&mut traffic, log, start, pace.rate, sent..sent + count);
                sent += count;
                let (probe, log) = (Arc::clone(self), Arc::clone(log));
                runtime.spawn(async move {
                    for answer in log::retry::append(log.as_ref(), events, PATIENCE).await {
                        let counter = if answer.is_ok() {
                            &probe.published
                        } else {
                            &probe.failed
                        };
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                    drop(slot);
                });
            }
            if elapsed >= length {
                break;
            }
            std::thread::sleep(STEP);
        }
        // All slots back: every batch has its answer.
        let all = u32::try_from(IN_FLIGHT).unwrap_or(u32::MAX);
        let _ = runtime.block_on(slots.acquire_many(all));
    }

    fn make(
        &self,
        traffic: &mut Traffic,
        log: &Log,
        start: Instant,
        rate: f64,
        numbers: std::ops::Range<u64>,
    ) -> Vec<NewEvent> {
        let now = EventTime(log.now().0);
        let mut events = Vec::with_capacity(BATCH as usize);
        let mut surveys = Vec::new();
        for number in numbers {
            let event = traffic.next_event(now);
            if event.event_type == "survey.response.created" {
                let due = start + Duration::from_secs_f64(number as f64 / rate);
                surveys.push((due, event.message_id.clone()));
            }
            events.push(event.into_new_event());
        }
        let mut seen = self.lock();
        for (due, id) in surveys {
            seen.due.add(due, id);
        }
        events
    }
}

/// The outputs `load` and `demo` look at.
///
/// # Errors
/// If the log cannot be read.
pub(super) async fn tail(
    log: &Log,
) -> Result<BoxStream<'static, Result<StoredOutput, LogError>>, LogError> {
    let lanes: Vec<Lane> = Lane::all().collect();
    log.outputs_tail(&lanes, TailFrom::Now).await
}

/// A seed that no other run has: ids of two runs never meet.
pub(super) fn fresh_seed() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.unwrap_or_default().as_nanos();
    (nanos as u64) ^ (u64::from(std::process::id()) << 48)
}
