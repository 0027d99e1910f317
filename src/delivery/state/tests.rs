//! The rules of delivery, one by one, each one tick to either side of its boundary.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use aftercall_actors::{
    breaker::{self, Trip},
    contract::{event::Kept, output::Kind},
};
use serde_json::json;

use super::*;
use crate::delivery::{
    attempt::{Answer, Attempt, Fault, Verdict},
    policy::{Limits, Merge, OutcomeRule, Rate, Retry},
    record::{FinalStatus, Reason},
    transport::Turn,
};

mod access;
mod attempts;
mod awaited;
mod clocks;
mod lanes;
mod lives;
mod order;
mod places;
mod unclear;

const SECOND: i64 = 1_000;
const DAY: i64 = 24 * 3_600 * SECOND;

/// A machine, the attempts it asked for, and what operators would have heard.
struct Run {
    machine: Machine,
    letters: usize,
}

impl Run {
    fn new(policy: Policy) -> Self {
        let state = State::new(policy, Cursor::default());
        Self {
            machine: Machine::resume(state, LogTime(0)),
            letters: 0,
        }
    }

    fn take(&mut self, seq: Seq, thread: Option<&str>) {
        self.take_at(0, seq, thread);
    }

    fn take_at(&mut self, now: i64, seq: Seq, thread: Option<&str>) {
        self.machine.take(LogTime(now), find(seq, thread));
    }

    /// The attempts that begin at this time: output and number.
    fn sends(&mut self, now: i64) -> Vec<(Seq, u32)> {
        self.machine.decide(LogTime(now));
        let actions = self.machine.batch(usize::MAX).actions;
        actions
            .into_iter()
            .filter_map(|action| match action {
                Action::Send { seq, turn, .. } => Some((seq, turn.number)),
                Action::Report { item } => {
                    let settled = item.settled.expect("a verdict");
                    self.letters += usize::from(settled.has_letter());
                    None
                }
                Action::Alarm(_) => None,
            })
            .collect()
    }

    fn alarms(&mut self, now: i64) -> Vec<Action> {
        self.machine.decide(LogTime(now));
        let mut actions = self.machine.batch(usize::MAX).actions;
        actions.retain(|action| matches!(action, Action::Alarm(_)));
        actions
    }

    fn finish(&mut self, now: i64, seq: Seq, attempt: &Attempt) {
        self.machine.finished(LogTime(now), seq, attempt);
    }

    fn due(&self, seq: Seq) -> i64 {
        self.machine.state().items()[&seq].due_at_ms
    }

    /// The same destination in another process, from the checkpoint of this one.
    fn restart(mut self, now: i64) -> Self {
        let policy = self.machine.state.policy.clone();
        let mut state = State::new(policy, Cursor::default());
        for step in self.machine.checkpoint().0 {
            state
                .apply(&step.fact.expect("a fact"))
                .expect("a checkpoint fits");
        }
        Self {
            machine: Machine::resume(state, LogTime(now)),
            letters: 0,
        }
    }
}

fn item_notes(run: &Run, seq: Seq) -> Vec<AttemptRecord> {
    run.machine.state().items()[&seq].notes.clone()
}

fn find(seq: Seq, thread: Option<&str>) -> Find {
    Find {
        spot: None,
        at: 0,
        seq,
        id: format!("out-{seq}"),
        kind: Kind::Reward,
        event_type: "reward.requested".into(),
        subject: "agent/7".into(),
        stored_at: LogTime(0),
        thread: Ok(thread.map(str::to_owned)),
    }
}

fn taken(seq: Seq, thread: Option<&str>, at_ms: i64) -> Fact {
    Fact::Taken(Taken {
        spot: None,
        at: 0,
        seq,
        id: format!("out-{seq}"),
        subject: "agent/7".into(),
        thread: thread.map(str::to_owned),
        stored_at_ms: 0,
        at_ms,
        event_type: "reward.requested".into(),
        kind: Kind::Reward.index() as u32,
    })
}

fn started(seq: Seq, at_ms: i64) -> Fact {
    Fact::Started(Started {
        seq,
        at_ms,
        probe: false,
        lanes: Vec::new(),
    })
}

fn send(seq: Seq, attempt: u32) -> Action {
    Action::Send {
        seq,
        turn: Turn {
            number: attempt,
            ..Turn::default()
        },
        handle: None,
    }
}

/// A lookup's policy: three attempts in all, six failures in ten seconds open.
fn policy() -> Policy {
    Policy {
        limits: Limits {
            concurrency: NonZeroU32::new(64).expect("not zero"),
            rate: None,
            by_lane: false,
        },
        retry: Retry {
            attempts: NonZeroU32::new(3).expect("not zero"),
            first: Duration::from_millis(500),
            factor: NonZeroU32::new(2).expect("not zero"),
            max: Duration::from_secs(30),
            deadline: Duration::from_secs(24 * 3_600),
            unknown_counts: true,
        },
        breaker: breaker::Policy {
            trip: Trip::Failures {
                failures: NonZeroU32::new(6).expect("not zero"),
                within_ms: 10_000,
            },
            open_ms: 30_000,
        },
        merge: None,
        outcome: None,
    }
}

/// The marketplace's: four attempts, timeouts aside, and the actor hears.
fn rewards() -> Policy {
    let policy = policy();
    Policy {
        retry: Retry {
            attempts: NonZeroU32::new(4).expect("not zero"),
            unknown_counts: false,
            ..policy.retry
        },
        breaker: breaker::Policy {
            trip: Trip::FailingFor { ms: 2 * DAY },
            open_ms: 60_000,
        },
        outcome: Some(OutcomeRule {
            event_type: "reward.outcome".into(),
            delivered: "issued".into(),
            rejected: "rejected".into(),
            failed: "needs_review".into(),
        }),
        ..policy
    }
}

/// The customer system's: one call a customer in five seconds.
fn profiles() -> Policy {
    Policy {
        merge: Some(Merge {
            every: Duration::from_secs(5),
        }),
        ..policy()
    }
}

fn answer(status: u16) -> Answer {
    Answer {
        status,
        headers: BTreeMap::new(),
        body: json!(null),
    }
}

fn attempt(result: Result<Answer, Fault>, verdict: Verdict) -> Attempt {
    Attempt {
        result,
        verdict,
        handle: None,
        kept: Default::default(),
        status: None,
        response: None,
        progress: None,
        said: None,
        lanes: Vec::new(),
    }
}

fn delivered() -> Attempt {
    attempt(Ok(answer(200)), Verdict::Delivered)
}

fn rejected(status: u16) -> Attempt {
    let why = format!("status {status}");
    attempt(Ok(answer(status)), Verdict::Rejected { why })
}

/// Not let in: `alone` is what it means if others are.
fn shut_out(status: u16, alone: FinalStatus) -> Attempt {
    let verdict = Verdict::Misconfigured {
        why: format!("status {status}"),
        alone: Some(alone),
    };
    attempt(Ok(answer(status)), verdict)
}

fn unclear(status: u16) -> Attempt {
    let verdict = Verdict::Unclear {
        why: format!("status {status}"),
        unknown: status == 409,
    };
    attempt(Ok(answer(status)), verdict)
}

/// A success that nobody can read.
fn unread() -> Attempt {
    let verdict = Verdict::Again {
        why: "status 200 with a page".to_owned(),
        after: None,
        unknown: true,
    };
    attempt(Ok(answer(200)), verdict)
}

fn again(status: u16, after: Option<Duration>) -> Attempt {
    let verdict = Verdict::Again {
        why: format!("status {status}"),
        after,
        unknown: false,
    };
    attempt(Ok(answer(status)), verdict)
}

fn unavailable() -> Attempt {
    again(503, None)
}

fn unreached() -> Attempt {
    let fault = Fault::Connect("refused".into());
    let verdict = Verdict::Again {
        why: fault.to_string(),
        after: None,
        unknown: false,
    };
    attempt(Err(fault), verdict)
}

fn timed_out() -> Attempt {
    let fault = Fault::Timeout(Duration::from_secs(45));
    let verdict = Verdict::Again {
        why: fault.to_string(),
        after: None,
        unknown: true,
    };
    attempt(Err(fault), verdict)
}
