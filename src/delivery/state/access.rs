//! Whether the destination accepts our credentials (S3.16).
//!
//! 401, 403, 407 and a missing secret are about us and the same for every output, so none is judged by them: all wait,
//! and one attempt a minute finds out whether somebody has mended it. But 403 can also be about one thing that we may
//! not touch. The two are told apart by the others: who is refused a second time, though another was let in after the
//! first, is meant alone.

use std::time::Duration;

use aftercall_actors::contract::time::LogTime;

use super::pace::ms;
use crate::delivery::record::{BreakerSignal, Ended, Misconfigured, Seen};

/// Between attempts while credentials are not accepted.
pub const PROBE_EVERY: Duration = Duration::from_secs(60);

/// What the answers so far say of our credentials.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// They are missing or not accepted.
    pub misconfigured: Option<Misconfigured>,
    /// When the newest attempt began that was let in.
    pub let_in_from: Option<LogTime>,
}

impl Access {
    /// Takes in the end of an attempt that began at `began`. The answer is since when nothing could be delivered, if
    /// that is over now.
    pub fn learn(&mut self, began: LogTime, ended: &Ended, output_id: &str) -> Option<LogTime> {
        let at = LogTime(ended.note.ended_at_ms);
        if let Some(probe_at_ms) = ended.probe_at_ms {
            let before = self.misconfigured.take();
            let is_refused = ended.note.seen() == Seen::Misconfigured;
            let mut now = before.unwrap_or(Misconfigured {
                since_ms: at.0,
                ..Misconfigured::default()
            });
            now.probe_at_ms = now.probe_at_ms.max(probe_at_ms);
            if is_refused {
                now.why.clone_from(&ended.note.why);
                output_id.clone_into(&mut now.output_id);
            }
            self.misconfigured = Some(now);
        }
        if ended.sign() != BreakerSignal::Up {
            return None;
        }
        self.let_in_from = self.let_in_from.max(Some(began));
        // What began before says nothing of how it is since.
        let is_over = |now: &mut Misconfigured| began.0 >= now.since_ms;
        let over = self.misconfigured.take_if(is_over)?;
        Some(LogTime(over.since_ms))
    }

    /// What began later than now began now, and the next attempt may be made by `probe_at` at the latest.
    pub fn bound(&mut self, now: LogTime, probe_at: LogTime) {
        self.let_in_from = self.let_in_from.map(|from| from.min(now));
        if let Some(misconfigured) = &mut self.misconfigured {
            misconfigured.since_ms = misconfigured.since_ms.min(now.0);
            misconfigured.probe_at_ms = misconfigured.probe_at_ms.min(probe_at.0);
        }
    }

    /// Operators are told.
    pub fn alarmed(&mut self) {
        if let Some(misconfigured) = &mut self.misconfigured {
            misconfigured.alarmed = true;
        }
    }

    /// Whether an attempt was let in that began at or after this: one that began before may have met other times.
    pub fn was_let_in_since(&self, at: LogTime) -> bool {
        self.let_in_from.is_some_and(|from| from >= at)
    }

    /// No attempt is made before, and no two at once, if this is known.
    pub fn probe_at(&self) -> Option<LogTime> {
        let misconfigured = self.misconfigured.as_ref()?;
        Some(LogTime(misconfigured.probe_at_ms))
    }

    /// When the next attempt may be made, after one that was begun at `began` and ended at `now` without being let in.
    pub fn probe_after(&self, began: LogTime, now: LogTime) -> LogTime {
        match &self.misconfigured {
            // It was out when that showed.
            Some(misconfigured) if began.0 < misconfigured.since_ms => {
                LogTime(misconfigured.probe_at_ms)
            }
            Some(_) | None => now.plus_ms(ms(PROBE_EVERY)),
        }
    }

    /// A deadline that counts from `first` counts from then instead: it does not run while nothing can be delivered.
    pub fn counting_from(&self, first: LogTime, now: LogTime) -> LogTime {
        match &self.misconfigured {
            Some(misconfigured) => {
                let since = LogTime(misconfigured.since_ms).max(first);
                first.plus_ms(now.since_ms(since).max(0))
            }
            None => first,
        }
    }
}
