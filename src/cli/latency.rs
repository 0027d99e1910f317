//! Latencies as `load` and `demo` report them: from when an event was due to be sent to when its output was seen.
//!
//! From when it was due, not from when it was sent: a publisher that a slow log holds up would otherwise send less just
//! when it matters and report the few that went well (coordinated omission).

use std::{fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest latency told apart; a longer one counts as this.
const MICROS_MAX: u64 = 3_600_000_000;

/// Latencies seen so far.
pub(super) struct Latencies {
    micros: Histogram<u64>,
}

/// What is said of them. Unit: milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Percentiles {
    /// How many there were.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 90 %.
    pub p90_ms: f64,
    /// 99 %.
    pub p99_ms: f64,
    /// 99.9 %.
    pub p999_ms: f64,
    /// Longest.
    pub max_ms: f64,
}

impl Latencies {
    /// None yet.
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            micros: Histogram::new_with_bounds(1, MICROS_MAX, 3)?,
        })
    }

    /// One more.
    pub(super) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.micros.saturating_record(micros.max(1));
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.micros.reset();
    }

    /// What is said of them; nothing if there were none.
    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        let at = |quantile| self.micros.value_at_quantile(quantile) as f64 / 1_000.0;
        (!self.micros.is_empty()).then(|| Percentiles {
            count: self.micros.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: self.micros.max() as f64 / 1_000.0,
        })
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count,
            p50_ms,
            p90_ms,
            p99_ms,
            p999_ms,
            max_ms,
        } = self;
        write!(
            f,
            "p50 {p50_ms:.2} ms, p90 {p90_ms:.2} ms, p99 {p99_ms:.2} ms, p99.9 {p999_ms:.2} ms, max {max_ms:.2} ms \
             ({count} seen)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_recorded_and_nothing_of_nothing() {
        let mut latencies = Latencies::new().unwrap();
        assert_eq!(latencies.percentiles(), None);
        for ms in 1..=1_000 {
            latencies.record(Duration::from_millis(ms));
        }
        let found = latencies.percentiles().unwrap();
        let near =
            |found: f64, wanted: f64| assert!((found / wanted - 1.0).abs() < 0.002, "{found}");
        assert_eq!(found.count, 1_000);
        near(found.p50_ms, 500.0);
        near(found.p99_ms, 990.0);
        near(found.p999_ms, 999.0);
        near(found.max_ms, 1_000.0);
        latencies.clear();
        latencies.record(Duration::from_secs(1_000_000));
        near(latencies.percentiles().unwrap().max_ms, 3_600_000.0);
    }
}
