//! No wait is longer than its interval from now, whatever clock it was set by.
//!
//! A time that is stored was right by the clock of its moment. If that was ahead (somebody set it, another machine's is
//! off), what began then would be waited for until real time has come there: an hour ahead for three seconds would
//! silence a destination for an hour, over restarts too. So what is stored is looked at by the time it is read: what
//! began later than now began now, and what waits for longer than it can waits for as long as it can.

use aftercall_actors::{breaker::Breaker, contract::time::LogTime};

use super::{
    State,
    access::PROBE_EVERY,
    pace::{Lanes, Spacing, ms},
    weigh::PAUSE_MAX,
};
use crate::log::Seq;

impl State {
    /// Brings back what waits for longer than it can at `now`.
    pub fn bound_waits(&mut self, now: LogTime) {
        self.spacing.bound(now);
        self.lanes.bound(now);
        self.threads.bound(now);
        self.access.bound(now, now.plus_ms(ms(PROBE_EVERY)));
        self.paused_until = self.paused_until.min(now.plus_ms(ms(PAUSE_MAX)));
        self.unalarmed.at_ms = self.unalarmed.at_ms.min(now.0);
        if let Breaker::Open { until } = &mut self.breaker {
            *until = (*until).min(now.plus_ms(self.policy.breaker.open_ms));
        }
        let all: Vec<Seq> = self.items.keys().copied().collect();
        for seq in all {
            self.bound_item(seq, now);
        }
    }

    fn bound_item(&mut self, seq: Seq, now: LogTime) {
        let Some(item) = self.items.get_mut(&seq) else {
            return;
        };
        if let Some(first) = item.first_at_ms.filter(|first| *first > now.0) {
            item.first_at_ms = Some(now.0);
            if self.begun.remove(&(LogTime(first), seq)) {
                self.begun.insert((now, seq));
            }
        }
        // What it waits from: its last attempt's end, or its taking.
        let last = item.notes.last().map(|note| note.ended_at_ms);
        let from = last.unwrap_or(item.taken.at_ms);
        if from > now.0 && item.due_at_ms > now.0 {
            let wait = item.due_at_ms.saturating_sub(from).max(0);
            item.due_at_ms = now.plus_ms(wait).0;
            self.arm(seq);
        }
    }
}

impl Spacing {
    /// The next attempt may begin at the latest an interval from now.
    pub fn bound(&mut self, now: LogTime) {
        let latest_us = now
            .0
            .saturating_mul(1_000)
            .saturating_add(self.interval_us());
        self.free_at_us = self.free_at_us.min(latest_us);
    }
}

impl Lanes {
    /// As for the destination as a whole, lane by lane.
    pub fn bound(&mut self, now: LogTime) {
        let latest = now.plus_ms(ms(PAUSE_MAX));
        self.each(|spacing, paused_until| {
            spacing.bound(now);
            *paused_until = (*paused_until).min(latest);
        });
    }
}
