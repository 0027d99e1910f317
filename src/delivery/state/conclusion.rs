//! What the end of an attempt means for its item: a verdict, or a wait before the next one.

use std::time::Duration;

use aftercall_actors::contract::event::Kept;
use serde_json::Value;

use super::weigh::{clip, weigh};
use crate::delivery::{
    attempt::{Attempt, Fault, Verdict},
    policy::OutcomeRule,
    record::{BreakerSignal, FinalStatus, Reason, Seen},
};

/// Pause after an attempt that was not made.
const UNMADE_PAUSE: Duration = Duration::from_millis(500);

/// What an attempt's end means.
#[derive(Clone, Debug)]
pub struct Conclusion {
    pub seen: Seen,
    pub sign: BreakerSignal,
    pub status: u32,
    pub why: String,
    pub answer: Option<String>,
    /// The item waits at least this long.
    pub after: Duration,
    /// So does everything else.
    pub pause: Duration,
    /// The verdict, if the attempt itself gives one.
    pub ending: Option<(FinalStatus, Reason)>,
    /// How the item ends if only it is not let in.
    pub alone: Option<FinalStatus>,
    pub handle: Option<String>,
    /// The ids that the destination has given the item.
    pub kept: Kept,
    pub progress: Option<String>,
    pub said: Option<u64>,
    /// The lanes that the pause is for; none: the whole destination.
    pub lanes: Vec<String>,
    pub status_word: Option<String>,
    pub response: Option<String>,
    /// No attempt was made: the log has lost the output, and it is to be published again.
    pub unmade: bool,
}

impl Conclusion {
    pub fn new(seen: Seen, sign: BreakerSignal, why: String) -> Self {
        Self {
            seen,
            sign,
            status: 0,
            why: clip(why),
            answer: None,
            after: Duration::ZERO,
            pause: Duration::ZERO,
            ending: None,
            alone: None,
            handle: None,
            kept: Kept::new(),
            progress: None,
            said: None,
            lanes: Vec::new(),
            status_word: None,
            response: None,
            unmade: false,
        }
    }

    /// The output is not there to be sent: what became of it is found out before the next attempt.
    pub fn unmade() -> Self {
        let why = "the log has lost the output, which is to be published again".to_owned();
        Self {
            unmade: true,
            after: UNMADE_PAUSE,
            ..Self::new(Seen::NotReady, BreakerSignal::Withdrawn, why)
        }
    }

    /// The process ended while the attempt was out: the destination may have acted, and its health is not known.
    pub fn interrupted() -> Self {
        let why = "the process ended during the attempt".to_owned();
        Self::new(Seen::Unknown, BreakerSignal::Withdrawn, why)
    }

    pub fn of(attempt: &Attempt) -> Self {
        let weighed = weigh(attempt);
        let ending = match &attempt.verdict {
            Verdict::Delivered => Some((FinalStatus::Delivered, Reason::None)),
            Verdict::Rejected { .. } => {
                let reason = match &attempt.result {
                    Err(Fault::Unsendable(_)) => Reason::Unsendable,
                    Ok(_) | Err(_) => Reason::Rejected,
                };
                Some((FinalStatus::Rejected, reason))
            }
            Verdict::Unclear { unknown, .. } => {
                let reason = if *unknown {
                    Reason::Unknown
                } else {
                    Reason::Rejected
                };
                Some((FinalStatus::Failed, reason))
            }
            Verdict::Misconfigured { .. } | Verdict::Again { .. } => None,
        };
        let (after, alone) = match &attempt.verdict {
            Verdict::Again { after, .. } => (*after, None),
            Verdict::Misconfigured { alone, .. } => (None, *alone),
            Verdict::Delivered | Verdict::Rejected { .. } | Verdict::Unclear { .. } => (None, None),
        };
        Self {
            seen: weighed.seen,
            sign: weighed.sign,
            status: weighed.status,
            why: weighed.why,
            answer: weighed.answer,
            after: after.unwrap_or_default(),
            pause: weighed.pause.unwrap_or_default(),
            ending,
            alone,
            handle: attempt.handle.as_ref().map(Value::to_string),
            kept: attempt.kept.clone(),
            progress: attempt.progress.as_ref().map(Value::to_string),
            said: attempt.said,
            lanes: attempt.lanes.clone(),
            status_word: attempt.status.clone(),
            response: attempt.response.as_ref().map(Value::to_string),
            unmade: false,
        }
    }

    /// Others are let in: what was said is about this output. It was not let in itself, so it shows nothing for them.
    pub fn is_alone(&mut self, ending: FinalStatus) {
        self.seen = Seen::Rejected;
        self.sign = BreakerSignal::Withdrawn;
        self.ending = Some((ending, Reason::Rejected));
    }

    /// What the outcome event is to say.
    pub fn word(&self, rule: &OutcomeRule, ending: FinalStatus) -> String {
        let (word, own) = match ending {
            FinalStatus::Delivered => (&rule.delivered, self.status_word.as_ref()),
            FinalStatus::Rejected => (&rule.rejected, self.status_word.as_ref()),
            // The last of many attempts does not speak for the others.
            FinalStatus::Failed => (&rule.failed, None),
        };
        own.unwrap_or(word).clone()
    }
}
