//! What an attempt's result says: of the attempt, for people; of the destination, for its breaker; of the pace.

use std::time::Duration;

use crate::delivery::{
    attempt::{Attempt, Fault, Verdict},
    dead_letter::excerpt,
    record::{BreakerSignal, Seen},
};

/// Longest explanation that is kept of an attempt, in bytes.
const WHY_BYTES_MAX: usize = 500;

/// Longest pause that a destination can ask of all outputs at once: a mistaken header must not silence it for good.
pub const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// An attempt, weighed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighed {
    /// What came of it.
    pub seen: Seen,
    /// What it says of the destination.
    pub sign: BreakerSignal,
    /// Status of the answer; 0 without one.
    pub status: u32,
    /// In words; empty for a success.
    pub why: String,
    /// The beginning of the answer's body, unless it was a success.
    pub answer: Option<String>,
    /// The destination wants to be left alone for this long.
    pub pause: Option<Duration>,
}

/// Weighs an attempt.
///
/// A 5xx that the configuration takes for an answer (a rejection, say) is one the destination was up to; only one
/// worth another attempt is a sign of trouble. 429, what was never sent and what nobody can read say nothing of its
/// health.
pub fn weigh(attempt: &Attempt) -> Weighed {
    let status = attempt
        .result
        .as_ref()
        .map_or(0, |answer| u32::from(answer.status));
    let (seen, sign, why, pause) = match (&attempt.verdict, &attempt.result) {
        (Verdict::Delivered, _) => (Seen::Delivered, BreakerSignal::Up, String::new(), None),
        (Verdict::Rejected { why }, Err(Fault::Unsendable(_))) => (
            Seen::Unsendable,
            BreakerSignal::Withdrawn,
            why.clone(),
            None,
        ),
        (Verdict::Rejected { why }, _) => (Seen::Rejected, BreakerSignal::Up, why.clone(), None),
        (Verdict::Unclear { why, unknown }, _) => {
            let seen = if *unknown {
                Seen::Unknown
            } else {
                Seen::Rejected
            };
            (seen, BreakerSignal::Up, why.clone(), None)
        }
        (Verdict::Misconfigured { why, .. }, _) => (
            Seen::Misconfigured,
            BreakerSignal::Withdrawn,
            why.clone(),
            None,
        ),
        (
            Verdict::Again {
                why,
                after,
                unknown,
            },
            result,
        ) => {
            let (seen, sign) = match result {
                Ok(answer) if answer.status == 429 => (Seen::Throttled, BreakerSignal::Withdrawn),
                Ok(answer) if answer.status >= 500 => (Seen::Failed, BreakerSignal::Down),
                // A success that nobody can read, be it the vendor's or a proxy's page.
                Ok(_) if *unknown => (Seen::Unknown, BreakerSignal::Withdrawn),
                Ok(_) => (Seen::Failed, BreakerSignal::Up),
                Err(Fault::Timeout(_) | Fault::Lost(_) | Fault::InDoubt { is_down: true, .. }) => {
                    (Seen::Unknown, BreakerSignal::Down)
                }
                Err(Fault::TooLong(_) | Fault::InDoubt { is_down: false, .. }) => {
                    (Seen::Unknown, BreakerSignal::Withdrawn)
                }
                Err(Fault::Connect(_)) => (Seen::Unreached, BreakerSignal::Down),
                Err(Fault::NotReady(_) | Fault::Misconfigured(_) | Fault::Unsendable(_)) => {
                    (Seen::NotReady, BreakerSignal::Withdrawn)
                }
            };
            let seen = if *unknown { Seen::Unknown } else { seen };
            let pause = after.filter(|_| status == 429);
            (seen, sign, why.clone(), pause)
        }
    };
    let answer = match (&attempt.verdict, &attempt.result) {
        (Verdict::Delivered, _) | (_, Err(_)) => None,
        (
            Verdict::Rejected { .. }
            | Verdict::Unclear { .. }
            | Verdict::Misconfigured { .. }
            | Verdict::Again { .. },
            Ok(answer),
        ) => excerpt(&answer.body),
    };
    Weighed {
        answer,
        seen,
        sign,
        status,
        why: clip(why),
        pause: pause.map(|pause| pause.min(PAUSE_MAX)),
    }
}

/// Cuts a text at a character's end.
pub fn clip(mut text: String) -> String {
    if text.len() > WHY_BYTES_MAX {
        let end = (0..=WHY_BYTES_MAX)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
    }
    text
}
