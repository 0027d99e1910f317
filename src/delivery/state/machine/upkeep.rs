//! What the machine does besides attempts: closes what a newer output made needless, gives up what has lasted too long,
//! tells operators.

use aftercall_actors::contract::time::LogTime;

use super::{
    Action, BreakerSignal, Conclusion, Fact, FinalStatus, Machine, Merged, Reason, Seen, ms,
};
use crate::{delivery::record::Alarmed, log::Seq};

/// Operators hear of dead letters at most once within this. Unit: milliseconds of log time.
pub const ALARM_EVERY_MS: i64 = 60_000;

impl Machine {
    /// Newest wins (S4.05): everything of the thread that is neither out nor the newest is closed.
    pub(super) fn merge(&mut self, now: LogTime, thread: &str) {
        if self.state.policy.merge.is_none() {
            return;
        }
        let by = self.state.threads.newest(thread);
        let overtaken: Vec<Seq> = self
            .state
            .threads
            .queue(thread)
            .filter(|seq| *seq != by)
            .filter(|seq| {
                let item = self.state.items.get(seq);
                item.is_some_and(|item| item.flight.is_none())
            })
            .collect();
        for seq in overtaken {
            self.lanes.remove(&seq);
            let merged = Merged {
                seq,
                by,
                at_ms: now.0,
            };
            self.commit(Fact::Merged(merged), None);
        }
    }

    /// While our credentials are not accepted outputs wait (S3.16), unless an actor waits for them as well.
    pub(super) fn deadlines_run(&self) -> bool {
        self.state.access.misconfigured.is_none() || self.state.policy.is_awaited()
    }

    /// Gives up items whose deadline has passed (S3.09). An attempt that is out is waited for: its result decides.
    pub(super) fn expire(&mut self, now: LogTime) {
        if !self.deadlines_run() {
            return;
        }
        let deadline_ms = ms(self.state.policy.retry.deadline);
        let late: Vec<Seq> = self
            .state
            .begun
            .iter()
            .take_while(|(first, _)| now >= first.plus_ms(deadline_ms))
            .map(|(_, seq)| *seq)
            .filter(|seq| {
                let item = self.state.items.get(seq);
                item.is_some_and(|item| item.flight.is_none())
            })
            .collect();
        for seq in late {
            let Some(item) = self.state.items.get(&seq) else {
                continue;
            };
            let last = item.notes.last().map(|note| note.why.as_str());
            let last = last.unwrap_or("no attempt could be made");
            let deadline = self.state.policy.retry.deadline;
            let why = format!("not delivered within {deadline:?}: {last}");
            let reason = Reason::given_up(item.unknown);
            let conclusion = Conclusion {
                ending: Some((FinalStatus::Failed, reason)),
                ..Conclusion::new(Seen::Unknown, BreakerSignal::Withdrawn, why)
            };
            self.settle(now, seq, &conclusion);
        }
    }

    pub(super) fn alarm(&mut self, now: LogTime) {
        let unalarmed = &self.state.unalarmed;
        let since_ms = now.since_ms(LogTime(unalarmed.at_ms));
        if self.state.alarm.is_some() || since_ms < ALARM_EVERY_MS {
            return;
        }
        let alarmed = match self.state.misconfigured() {
            Some(misconfigured) if !misconfigured.alarmed => Alarmed {
                reason: Reason::Misconfigured.into(),
                count: self.state.items.len() as u64,
                output_id: misconfigured.output_id.clone(),
                why: misconfigured.why.clone(),
                ..Alarmed::default()
            },
            Some(_) | None if unalarmed.count == 0 => return,
            Some(_) | None => unalarmed.clone(),
        };
        let alarmed = Alarmed {
            number: unalarmed.number + 1,
            at_ms: now.0,
            ..alarmed
        };
        let action = Action::Alarm(alarmed.clone());
        self.commit(Fact::Alarmed(alarmed), Some(action));
    }
}
