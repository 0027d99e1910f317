//! Looks at the service from outside, several times a second, as a load balancer and an operator would.

use std::{
    fmt,
    time::{Duration, Instant},
};

use aftercall::log::Log;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::service::{Service, figures};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(2);

/// While events come in all the time, nothing that works stands still for so long.
const STILL_MAX: Duration = Duration::from_secs(15);

/// What a restart, a burst and the allocator may add to what is held.
const SLACK_BYTES: u64 = 64 << 20;

/// What an event may add for as long as it is remembered. Unit: bytes.
const EVENT_BYTES_MAX: u64 = 100;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    looks: u32,
    ready: u32,
    /// The longest time of which each answer said that it is ready, and nothing advanced.
    longest_still: Duration,
    /// What was said then.
    said: String,
    /// Resident memory with the number of events in the log, in time.
    memory: Vec<(u64, u64)>,
}

/// Looks on until it is ended.
pub struct Watcher {
    looking: JoinHandle<Seen>,
    ending: watch::Sender<bool>,
}

/// One look: how far it is, and what it says of itself.
struct Look {
    is_ready: bool,
    /// Positions of the partitions, all together, and outputs published.
    progress: (u64, u64),
    /// Resident memory. Unit: bytes.
    memory: u64,
    said: String,
}

impl Watcher {
    /// Of a service. Its process may be another after each start.
    pub fn of(service: &Service, log: Log) -> Self {
        let (ending, ended) = watch::channel(false);
        let place = Place {
            readyz: service.url("/readyz"),
            metrics: service.url("/metrics"),
            log,
        };
        let looking = tokio::spawn(look_on(place, ended));
        Self { looking, ending }
    }

    /// Stops looking.
    pub async fn end(self) -> Seen {
        self.ending.send_replace(true);
        self.looking.await.expect("the watcher ends")
    }
}

struct Place {
    readyz: String,
    metrics: String,
    log: Log,
}

async fn look_on(place: Place, ended: watch::Receiver<bool>) -> Seen {
    let client = reqwest::Client::new();
    let mut seen = Seen::default();
    let mut still: Option<(Instant, (u64, u64))> = None;
    while !*ended.borrow() {
        let look = timeout(PATIENCE, place.look(&client)).await.ok().flatten();
        seen.looks += 1;
        if seen.looks % 20 == 0
            && let Some(look) = &look
            && let Ok(Ok(bounds)) = timeout(PATIENCE, place.log.bounds()).await
        {
            seen.memory.push((bounds.last, look.memory));
        }
        match look {
            Some(look) if look.is_ready => {
                seen.ready += 1;
                match still {
                    Some((since, progress)) if progress == look.progress => {
                        if since.elapsed() > seen.longest_still {
                            seen.longest_still = since.elapsed();
                            seen.said = look.said;
                        }
                    }
                    Some(_) | None => still = Some((Instant::now(), look.progress)),
                }
            }
            // It says that something is wrong, or it does not answer: nobody is misled.
            Some(_) | None => still = None,
        }
        tokio::time::sleep(PAUSE).await;
    }
    seen
}

impl Place {
    async fn look(&self, client: &reqwest::Client) -> Option<Look> {
        let answer = client.get(&self.readyz).send().await.ok()?;
        let is_ready = answer.status().is_success();
        let said = answer.text().await.ok()?;
        let metrics = client.get(&self.metrics).send().await.ok()?;
        let metrics = metrics.text().await.ok()?;
        let positions = sum(&metrics, "aftercall_partition_position");
        let outputs = sum(&metrics, "aftercall_outputs_total");
        let memory = sum(&metrics, "process_resident_memory_bytes");
        Some(Look {
            is_ready,
            progress: (positions, outputs),
            memory,
            said,
        })
    }
}

/// All figures of a metric together.
fn sum(metrics: &str, metric: &str) -> u64 {
    let figures = figures(metrics, metric).into_iter();
    figures.map(|(_, figure)| figure).sum()
}

impl Seen {
    /// Ready was never said for as long as nothing advanced.
    pub fn ready_meant_working(&self) {
        assert!(self.ready > self.looks / 2, "{self}");
        assert!(
            self.longest_still < STILL_MAX,
            "for {:?} it said that it is ready, and nothing advanced: {}",
            self.longest_still,
            self.said
        );
    }

    /// What is held after the first third is all that will be held, but for what events add within their windows. The middle
    /// one of the figures tells: a partition that is taken over is there twice for a moment.
    pub fn memory_stayed_level(&self) {
        let third = self.memory.len() / 3;
        let (first, last) = (&self.memory[..third], &self.memory[third * 2..]);
        let middle = |of: &[(u64, u64)]| {
            let mut bytes: Vec<u64> = of.iter().map(|(_, bytes)| *bytes).collect();
            bytes.sort_unstable();
            bytes.get(bytes.len() / 2).copied().unwrap_or(0)
        };
        let event = |of: &[(u64, u64)]| of.last().map_or(0, |(event, _)| *event);
        let events = event(last) - event(first);
        let bound = middle(first) + SLACK_BYTES + events * EVENT_BYTES_MAX;
        assert!(
            middle(last) <= bound,
            "{} bytes in the last third, {} in the first, {events} events between: {:?}",
            middle(last),
            middle(first),
            self.memory
        );
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory.iter().map(|(_, bytes)| bytes >> 20);
        write!(
            f,
            "{} looks, ready in {}; ready and still for at most {:?}; resident {:?} MiB",
            self.looks,
            self.ready,
            self.longest_still,
            memory.collect::<Vec<_>>()
        )
    }
}
