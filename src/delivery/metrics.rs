//! A driver's account of itself, from the facts it commits: metrics, and the board.
//!
//! Counted when a fact is committed, so that nothing counts that another owner's record undid.

use std::{sync::Arc, time::Duration};

use aftercall_actors::contract::time::LogTime;
use prometheus::IntGauge;

use super::{
    record::{Ended, Fact, FinalStatus, Item, Seen, Settled},
    state::State,
    status::{DestinationBoard, DriverState},
};
use crate::telemetry::{delivery::DestinationMetrics, metrics};

/// The states a breaker can be in, as metrics name them.
const BREAKER_STATES: [&str; 3] = ["closed", "open", "half_open"];

/// Accounts for one destination.
pub struct Account {
    destination: Arc<str>,
    board: Arc<DestinationBoard>,
    metrics: DestinationMetrics,
    shown: DriverState,
    breaker: [IntGauge; BREAKER_STATES.len()],
}

impl Account {
    /// An account that begins with a driver that runs.
    #[must_use]
    pub fn new(destination: Arc<str>, board: Arc<DestinationBoard>, epoch: u64) -> Self {
        let delivery = &metrics().delivery;
        board.update(&destination, |status| {
            status.state = DriverState::Running;
            status.reason = None;
            status.epoch = epoch;
        });
        show_state(&destination, Some(DriverState::Running));
        Self {
            metrics: delivery.of(&destination),
            shown: DriverState::Running,
            breaker: BREAKER_STATES.map(|state| delivery.breaker(&destination, state)),
            destination,
            board,
        }
    }

    /// Takes note of a fact, now that it is committed. `stored_at` is when the log stored the output it is about, if that is
    /// still held.
    pub fn committed(&self, fact: &Fact, stored_at: Option<LogTime>) {
        match fact {
            Fact::Ended(ended) => self.ended(ended),
            Fact::Settled(settled) => self.settled(settled, stored_at),
            Fact::Merged(_) => {
                self.metrics.merged.inc();
                self.board
                    .update(&self.destination, |status| status.merged += 1);
            }
            Fact::Sighted(_)
            | Fact::Moved(_)
            | Fact::Found(_)
            | Fact::Cursor(_)
            | Fact::Taken(_)
            | Fact::Reopened(_)
            | Fact::Dropped(_)
            | Fact::Started(_)
            | Fact::Reported(_)
            | Fact::Alarmed(_)
            | Fact::AlarmTold(_)
            | Fact::Checkpoint(_)
            | Fact::Held(_)
            | Fact::Remembered(_) => {}
        }
    }

    fn ended(&self, ended: &Ended) {
        let seen = ended.note.seen();
        let delivery = &metrics().delivery;
        delivery.attempts(&self.destination, seen.name()).inc();
        if ended.pause_until_ms.is_some() {
            self.metrics.pauses.inc();
        }
        if seen != Seen::Delivered {
            self.board.update(&self.destination, |status| {
                status.last_trouble = Some(ended.note.why.clone());
            });
        }
    }

    fn settled(&self, settled: &Settled, stored_at: Option<LogTime>) {
        let ending = settled.ending();
        let delivery = &metrics().delivery;
        delivery.verdicts(&self.destination, ending.name()).inc();
        if settled.has_letter() {
            delivery
                .dead_letters(&self.destination, settled.reason().name())
                .inc();
            tracing::warn!(
                destination = %self.destination, output_seq = settled.seq, reason = settled.reason().name(),
                why = settled.why, "output given up"
            );
        }
        self.board.update(&self.destination, |status| match ending {
            FinalStatus::Delivered => status.delivered += 1,
            FinalStatus::Rejected => status.rejected += 1,
            FinalStatus::Failed => status.failed += 1,
        });
        if let Some(stored_at) = stored_at.filter(|_| ending == FinalStatus::Delivered) {
            let ms = LogTime(settled.at_ms).since_ms(stored_at).max(0);
            self.metrics.delivered_seconds.observe(ms as f64 / 1e3);
        }
    }

    /// Takes note of how long an attempt took.
    pub fn attempt_took(&self, elapsed: Duration) {
        self.metrics.attempt_seconds.observe(elapsed.as_secs_f64());
    }

    /// An output could not be read, and was passed over.
    pub fn unreadable(&self) {
        self.metrics.unreadable.inc();
    }

    /// Shows how things stand.
    pub fn show(&mut self, state: &State, now: LogTime) {
        let misconfigured = state.misconfigured();
        let stands = match misconfigured {
            Some(_) => DriverState::Misconfigured,
            None => DriverState::Running,
        };
        if stands != self.shown {
            self.shown = stands;
            show_state(&self.destination, Some(stands));
            match misconfigured {
                Some(now) => tracing::error!(
                    destination = %self.destination, why = now.why,
                    "credentials are not accepted: outputs wait, and one a minute is tried"
                ),
                None => tracing::info!(
                    destination = %self.destination, "credentials are accepted: deliveries go on"
                ),
            }
        }
        let oldest = state.items().values().find(|item| item.settled.is_none());
        let lag_ms = oldest.map_or(0, |item| now.since_ms(waits_since(item)).max(0));
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.lag.set(lag_ms / 1_000);
        self.metrics.unfinished.set(gauge(state.items().len()));
        self.metrics.in_flight.set(gauge(state.flights()));
        let breaker = state.breaker().name();
        for (name, shown) in BREAKER_STATES.iter().zip(&self.breaker) {
            shown.set(i64::from(*name == breaker));
        }
        self.board.update(&self.destination, |status| {
            status.state = stands;
            status.reason = misconfigured.map(|now| now.why.clone());
            // As the log counts them now.
            let lower = state.places().outputs_lower();
            status.looked = state.cursor().output.saturating_sub(lower);
            status.unfinished = state.items().len();
            status.in_flight = state.flights();
            status.breaker = breaker;
            status.lag_ms = lag_ms;
        });
    }
}

/// An output waits since the log stored it; one that an operator has retried, since then.
const fn waits_since(item: &Item) -> LogTime {
    if item.round > 1 {
        LogTime(item.taken.at_ms)
    } else {
        LogTime(item.taken.stored_at_ms)
    }
}

/// Shows in the metrics where a driver stands; nowhere, if it has ended as asked.
pub fn show_state(destination: &str, state: Option<DriverState>) {
    for other in DriverState::ALL {
        let shown = metrics().delivery.state(destination, other.name());
        shown.set(i64::from(Some(other) == state));
    }
}
