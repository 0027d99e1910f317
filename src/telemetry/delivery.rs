//! What is measured of deliveries. Destinations are few and named by the operator, so they may be labels.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::Maker;

/// Handles to the metrics of all destinations.
pub struct DeliveryMetrics {
    attempts: IntCounterVec,
    verdicts: IntCounterVec,
    dead_letters: IntCounterVec,
    merged: IntCounterVec,
    pauses: IntCounterVec,
    untold: IntCounterVec,
    unreadable: IntCounterVec,
    restarts: IntCounterVec,
    attempt_seconds: HistogramVec,
    delivered_seconds: HistogramVec,
    /// From sending a delivery record to the log's answer.
    pub commit_seconds: Histogram,
    lag: IntGaugeVec,
    unfinished: IntGaugeVec,
    in_flight: IntGaugeVec,
    breaker: IntGaugeVec,
    state: IntGaugeVec,
}

impl DeliveryMetrics {
    pub(super) fn new(make: &Maker) -> Self {
        let by_destination = &["destination"];
        Self {
            attempts: make.counters(
                "aftercall_delivery_attempts_total",
                "Attempts that ended, by destination and result",
                &["destination", "result"],
            ),
            verdicts: make.counters(
                "aftercall_deliveries_total",
                "Outputs that got their verdict (delivered, rejected, failed), by destination",
                &["destination", "verdict"],
            ),
            dead_letters: make.counters(
                "aftercall_delivery_dead_letters_total",
                "Outputs given up, by destination and reason",
                &["destination", "reason"],
            ),
            merged: make.counters(
                "aftercall_delivery_merged_total",
                "Outputs that a newer one about the same thing made needless, by destination",
                by_destination,
            ),
            pauses: make.counters(
                "aftercall_delivery_pauses_total",
                "Times a destination asked to be left alone for a while, by destination",
                by_destination,
            ),
            untold: make.counters(
                "aftercall_delivery_untold_total",
                "Times the log refused an outcome, a dead letter or an alarm, by destination",
                by_destination,
            ),
            unreadable: make.counters(
                "aftercall_delivery_unreadable_total",
                "Stored outputs that could not be read and were passed over, by destination",
                by_destination,
            ),
            restarts: make.counters(
                "aftercall_delivery_restarts_total",
                "Times a destination's driver was started again after a panic, by destination",
                by_destination,
            ),
            attempt_seconds: make.histograms(
                "aftercall_delivery_attempt_seconds",
                "Seconds an attempt took, from its start to its result, by destination",
                by_destination,
            ),
            delivered_seconds: make.histograms(
                "aftercall_delivery_seconds",
                "Seconds from an output's log time to its delivery, by destination",
                by_destination,
            ),
            commit_seconds: make.histogram(
                "aftercall_delivery_commit_seconds",
                "Seconds from sending a delivery record to the log's answer",
            ),
            lag: make.gauges(
                "aftercall_delivery_lag_seconds",
                "Age of the oldest output that is taken and has no verdict, by destination; 0 if there is none",
                by_destination,
            ),
            unfinished: make.gauges(
                "aftercall_delivery_unfinished",
                "Outputs taken and not yet told of, by destination",
                by_destination,
            ),
            in_flight: make.gauges(
                "aftercall_delivery_in_flight",
                "Attempts that are out, by destination",
                by_destination,
            ),
            breaker: make.gauges(
                "aftercall_delivery_breaker",
                "1 for the state a destination's breaker is in (closed, open, half_open), 0 for the others",
                &["destination", "state"],
            ),
            state: make.gauges(
                "aftercall_delivery_state",
                "1 for the state a destination's driver is in (starting, running, misconfigured, fenced, stopped), 0 for the others",
                &["destination", "state"],
            ),
        }
    }

    /// The metrics of one destination, each looked up once.
    #[must_use]
    pub fn of(&self, destination: &str) -> DestinationMetrics {
        let labels = [destination];
        DestinationMetrics {
            merged: self.merged.with_label_values(&labels),
            pauses: self.pauses.with_label_values(&labels),
            unreadable: self.unreadable.with_label_values(&labels),
            attempt_seconds: self.attempt_seconds.with_label_values(&labels),
            delivered_seconds: self.delivered_seconds.with_label_values(&labels),
            lag: self.lag.with_label_values(&labels),
            unfinished: self.unfinished.with_label_values(&labels),
            in_flight: self.in_flight.with_label_values(&labels),
        }
    }

    /// Attempts with this result.
    #[must_use]
    pub fn attempts(&self, destination: &str, result: &'static str) -> IntCounter {
        self.attempts.with_label_values(&[destination, result])
    }

    /// Outputs with this verdict.
    #[must_use]
    pub fn verdicts(&self, destination: &str, verdict: &'static str) -> IntCounter {
        self.verdicts.with_label_values(&[destination, verdict])
    }

    /// Outputs given up for this reason.
    #[must_use]
    pub fn dead_letters(&self, destination: &str, reason: &'static str) -> IntCounter {
        self.dead_letters.with_label_values(&[destination, reason])
    }

    /// Outcomes, letters and alarms the log refused.
    #[must_use]
    pub fn untold(&self, destination: &str) -> IntCounter {
        self.untold.with_label_values(&[destination])
    }

    /// Drivers started again after a panic.
    #[must_use]
    pub fn restarts(&self, destination: &str) -> IntCounter {
        self.restarts.with_label_values(&[destination])
    }

    /// 1 for the state of a breaker.
    #[must_use]
    pub fn breaker(&self, destination: &str, state: &'static str) -> IntGauge {
        self.breaker.with_label_values(&[destination, state])
    }

    /// 1 for the state of a driver.
    #[must_use]
    pub fn state(&self, destination: &str, state: &'static str) -> IntGauge {
        self.state.with_label_values(&[destination, state])
    }
}

/// What is measured of one destination all the time.
pub struct DestinationMetrics {
    /// Outputs a newer one made needless.
    pub merged: IntCounter,
    /// Times the destination asked to be left alone.
    pub pauses: IntCounter,
    /// Stored outputs that could not be read.
    pub unreadable: IntCounter,
    /// From an attempt's start to its result.
    pub attempt_seconds: Histogram,
    /// From an output's log time to its delivery.
    pub delivered_seconds: Histogram,
    /// Age of the oldest output without a verdict, in seconds.
    pub lag: IntGauge,
    /// Outputs taken and not finished.
    pub unfinished: IntGauge,
    /// Attempts that are out.
    pub in_flight: IntGauge,
}
