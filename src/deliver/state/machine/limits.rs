//! What time alone brings: items that have lasted too long, and alarms that are due.

use aftercall_actors::time::LogTime;

use super::{ALARM_EVERY_MS, Machine};
use crate::{
    deliver::{
        record::{Alarmed, Ending, Fact, Reason, Seen, Sign},
        state::{Action, conclusion::Conclusion, pace::ms},
    },
    log::Seq,
};

impl Machine {
    /// Gives up items whose deadline has passed (S3.09). An attempt that is out is waited for: its result decides.
    pub(super) fn expire(&mut self, now: LogTime) {
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
            let last = item.notes.last().map_or("", |note| note.why.as_str());
            let deadline = self.state.policy.retry.deadline;
            let why = format!("not delivered within {deadline:?}: {last}");
            let reason = Reason::given_up(item.unknown);
            let conclusion = Conclusion {
                ending: Some((Ending::Failed, reason)),
                ..Conclusion::new(Seen::Unknown, Sign::Withdrawn, why)
            };
            self.settle(now, seq, &conclusion);
        }
    }

    pub(super) fn alarm(&mut self, now: LogTime) {
        let unalarmed = &self.state.unalarmed;
        let since_ms = now.since_ms(LogTime(unalarmed.at_ms));
        if unalarmed.count == 0 || self.state.alarm.is_some() || since_ms < ALARM_EVERY_MS {
            return;
        }
        let alarmed = Alarmed {
            number: unalarmed.number + 1,
            at_ms: now.0,
            ..unalarmed.clone()
        };
        let action = Action::Alarm(alarmed.clone());
        self.commit(Fact::Alarmed(alarmed), Some(action));
    }
}
