//! A breaker's state as it is stored.

use aftercall_actors::{breaker, contract::time::LogTime};
use prost::Message;

/// A breaker's state.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct BreakerRecord {
    /// Times of the failures that count, in milliseconds; of a closed one.
    #[prost(int64, repeated, tag = "1")]
    pub failures_ms: Vec<i64>,
    /// When a probe may go, in milliseconds; of an open one.
    #[prost(int64, optional, tag = "2")]
    pub open_until_ms: Option<i64>,
    /// A probe is out.
    #[prost(bool, tag = "3")]
    pub half_open: bool,
}

impl From<&breaker::Breaker> for BreakerRecord {
    fn from(breaker: &breaker::Breaker) -> Self {
        let mut record = Self::default();
        match breaker {
            breaker::Breaker::Closed { failures } => {
                record.failures_ms = failures.iter().map(|at| at.0).collect();
            }
            breaker::Breaker::Open { until } => record.open_until_ms = Some(until.0),
            breaker::Breaker::HalfOpen => record.half_open = true,
        }
        record
    }
}

impl From<&BreakerRecord> for breaker::Breaker {
    fn from(record: &BreakerRecord) -> Self {
        match record.open_until_ms {
            Some(until) => Self::Open {
                until: LogTime(until),
            },
            None if record.half_open => Self::HalfOpen,
            None => Self::Closed {
                failures: record.failures_ms.iter().map(|at| LogTime(*at)).collect(),
            },
        }
    }
}
