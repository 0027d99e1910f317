//! A circuit breaker: leaves a destination alone that keeps failing, and lets one attempt find out whether it is back.
//!
//! Pure: who asks brings the time, in any clock that is always the same one. Delivery keeps one a destination
//! (S3.10, S4.08, S5.04). Every pair of state and input is written out in [`Breaker::apply`].

use std::{collections::VecDeque, num::NonZeroU32};

use crate::contract::time::LogTime;

/// When to open, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What opens it.
    pub trip: Trip,
    /// How long it refuses everything before a probe may go. Unit: milliseconds.
    pub open_ms: i64,
}

/// What opens a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trip {
    /// So many failures within so long, whatever succeeds between them. Boundary: failures less than `within_ms` apart
    /// count together; the one that makes them `failures` opens.
    Failures {
        /// How many.
        failures: NonZeroU32,
        /// Unit: milliseconds.
        within_ms: i64,
    },
    /// Failing for longer than this without one success. Boundary: a failure more than `ms` after the first of an
    /// unbroken row opens; one exactly `ms` after it does not.
    FailingFor {
        /// Unit: milliseconds.
        ms: i64,
    },
}

/// An attempt's permission, to be handed back with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// One of many.
    Ordinary,
    /// The one that finds out whether the destination is back.
    Probe,
}

/// What can happen to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// An attempt with this pass succeeded: the destination answered, and was up to it.
    Succeeded(Pass),
    /// An attempt with this pass failed, or its outcome is not known.
    Failed(Pass),
    /// An attempt with this pass was given up before it said anything of the destination.
    Withdrawn(Pass),
}

/// The state of a breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// Admits everything.
    Closed {
        /// Times of the failures that count towards opening, oldest first.
        failures: VecDeque<LogTime>,
    },
    /// Admits nothing.
    Open {
        /// From then on it admits a probe.
        until: LogTime,
    },
    /// Has admitted one probe, and admits nothing else until its result is in.
    HalfOpen,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::CLOSED
    }
}

impl Breaker {
    const CLOSED: Self = Self::Closed {
        failures: VecDeque::new(),
    };

    /// Asks to make an attempt. `None`: not now. A pass must be handed back with [`Breaker::apply`].
    pub fn admit(&mut self, now: LogTime) -> Option<Pass> {
        match self {
            Self::Closed { .. } => Some(Pass::Ordinary),
            Self::Open { until } if now >= *until => {
                *self = Self::HalfOpen;
                Some(Pass::Probe)
            }
            Self::Open { .. } | Self::HalfOpen => None,
        }
    }

    /// Takes the result of an attempt.
    pub fn apply(&mut self, now: LogTime, policy: &Policy, input: Input) {
        match (&mut *self, input) {
            (Self::Closed { failures }, Input::Failed(Pass::Ordinary)) => {
                if note_failure(failures, now, policy.trip) {
                    *self = Self::open(now, policy);
                }
            }
            (Self::Closed { failures }, Input::Succeeded(Pass::Ordinary)) => match policy.trip {
                Trip::FailingFor { .. } => failures.clear(),
                Trip::Failures { .. } => {}
            },
            (Self::HalfOpen, Input::Succeeded(Pass::Probe)) => *self = Self::CLOSED,
            (Self::HalfOpen, Input::Failed(Pass::Probe)) => *self = Self::open(now, policy),
            // Nothing was found out: the next attempt is a probe again, without another wait.
            (Self::HalfOpen, Input::Withdrawn(Pass::Probe)) => *self = Self::Open { until: now },
            // Begun before it opened: the probe decides, not they.
            (
                Self::Open { .. } | Self::HalfOpen,
                Input::Succeeded(Pass::Ordinary) | Input::Failed(Pass::Ordinary),
            ) => {}
            (
                Self::Closed { .. } | Self::Open { .. } | Self::HalfOpen,
                Input::Withdrawn(Pass::Ordinary),
            ) => {}
            // There is no probe out in these states; its pass was handed back twice.
            (
                Self::Closed { .. } | Self::Open { .. },
                Input::Succeeded(Pass::Probe)
                | Input::Failed(Pass::Probe)
                | Input::Withdrawn(Pass::Probe),
            ) => {}
        }
    }

    /// When to ask again; `None` where asking now is right or the probe's result comes first.
    #[must_use]
    pub const fn retry_at(&self) -> Option<LogTime> {
        match self {
            Self::Open { until } => Some(*until),
            Self::Closed { .. } | Self::HalfOpen => None,
        }
    }

    /// The label in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half_open",
        }
    }

    const fn open(now: LogTime, policy: &Policy) -> Self {
        Self::Open {
            until: LogTime(now.0.saturating_add(policy.open_ms)),
        }
    }
}

/// Notes one more failure; true if it is the one that opens.
fn note_failure(failures: &mut VecDeque<LogTime>, now: LogTime, trip: Trip) -> bool {
    match trip {
        Trip::Failures {
            failures: enough,
            within_ms,
        } => {
            while let Some(oldest) = failures.front()
                && now.since_ms(*oldest) >= within_ms
            {
                failures.pop_front();
            }
            failures.push_back(now);
            failures.len() >= enough.get() as usize
        }
        Trip::FailingFor { ms } => {
            if failures.is_empty() {
                failures.push_back(now);
            }
            failures
                .front()
                .is_some_and(|first| now.since_ms(*first) > ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIX_IN_TEN: Policy = Policy {
        trip: Trip::Failures {
            failures: NonZeroU32::new(6).unwrap(),
            within_ms: 10_000,
        },
        open_ms: 30_000,
    };
    const FIVE_MINUTES: Policy = Policy {
        trip: Trip::FailingFor { ms: 300_000 },
        open_ms: 60_000,
    };
    const FAILED: Input = Input::Failed(Pass::Ordinary);
    const SUCCEEDED: Input = Input::Succeeded(Pass::Ordinary);

    fn after(policy: &Policy, inputs: &[(i64, Input)]) -> Breaker {
        let mut breaker = Breaker::default();
        for (at, input) in inputs {
            breaker.apply(LogTime(*at), policy, *input);
        }
        breaker
    }

    #[test]
    fn s5_04_the_sixth_failure_within_ten_seconds_opens_for_thirty() {
        let fail = |times: [i64; 6]| after(&SIX_IN_TEN, &times.map(|at| (at, FAILED)));
        let until = LogTime(9_999 + 30_000);
        assert_eq!(fail([0, 1, 2, 3, 4, 9_999]), Breaker::Open { until });
        assert_eq!(
            fail([0, 1, 2, 3, 4, 10_000]).name(),
            "closed",
            "the first has left"
        );
        let five = after(&SIX_IN_TEN, &[0, 1, 2, 3, 4].map(|at| (at, FAILED)));
        assert_eq!(five.name(), "closed", "five are not more than five");
        let mixed = [(0, FAILED), (1, FAILED), (2, FAILED), (3, SUCCEEDED)];
        let rest = [(4, FAILED), (5, FAILED), (6, FAILED)];
        let all: Vec<_> = mixed.into_iter().chain(rest).collect();
        assert_eq!(
            after(&SIX_IN_TEN, &all).name(),
            "open",
            "successes between do not help"
        );
    }

    #[test]
    fn s3_10_failing_for_more_than_five_minutes_without_a_success_opens() {
        let at = |last: i64| {
            after(
                &FIVE_MINUTES,
                &[(0, FAILED), (1_000, FAILED), (last, FAILED)],
            )
        };
        assert_eq!(at(300_000).name(), "closed");
        let until = LogTime(300_001 + 60_000);
        assert_eq!(at(300_001), Breaker::Open { until });
        let inputs = [
            (0, FAILED),
            (299_999, SUCCEEDED),
            (300_001, FAILED),
            (600_001, FAILED),
        ];
        assert_eq!(
            after(&FIVE_MINUTES, &inputs).name(),
            "closed",
            "a success begins the row anew"
        );
        let one_more = [(600_002, FAILED)];
        let all: Vec<_> = inputs.into_iter().chain(one_more).collect();
        assert_eq!(after(&FIVE_MINUTES, &all).name(), "open");
    }

    #[test]
    fn s3_10_after_the_pause_one_probe_goes_and_nothing_else() {
        let open = || Breaker::Open {
            until: LogTime(100),
        };
        assert_eq!(open().admit(LogTime(99)), None);
        let mut breaker = open();
        assert_eq!(breaker.admit(LogTime(100)), Some(Pass::Probe));
        assert_eq!(breaker, Breaker::HalfOpen);
        assert_eq!(breaker.admit(LogTime(i64::MAX)), None, "one is out");
        for (input, expected) in [
            (Input::Succeeded(Pass::Probe), Breaker::default()),
            (
                Input::Failed(Pass::Probe),
                Breaker::Open {
                    until: LogTime(60_200),
                },
            ),
            (
                Input::Withdrawn(Pass::Probe),
                Breaker::Open {
                    until: LogTime(200),
                },
            ),
            // Stragglers from before it opened.
            (SUCCEEDED, Breaker::HalfOpen),
            (FAILED, Breaker::HalfOpen),
            (Input::Withdrawn(Pass::Ordinary), Breaker::HalfOpen),
        ] {
            let mut breaker = breaker.clone();
            breaker.apply(LogTime(200), &FIVE_MINUTES, input);
            assert_eq!(breaker, expected, "{input:?}");
        }
    }

    #[test]
    fn what_a_probe_says_after_its_time_changes_nothing() {
        let closed = after(&FIVE_MINUTES, &[(5, FAILED)]);
        let open = Breaker::Open {
            until: LogTime(100),
        };
        for before in [closed, open] {
            for input in [Input::Succeeded, Input::Failed, Input::Withdrawn] {
                let mut breaker = before.clone();
                breaker.apply(LogTime(10), &FIVE_MINUTES, input(Pass::Probe));
                assert_eq!(breaker, before);
            }
        }
    }

    /// Every sequence of seven steps, held to what a breaker must never do.
    #[test]
    fn no_sequence_of_steps_lets_two_probes_out_or_admits_while_open() {
        #[derive(Clone, Copy, Debug)]
        enum Step {
            Ask,
            Tell(Input),
            Wait(i64),
        }
        let tell = [Input::Succeeded, Input::Failed, Input::Withdrawn];
        let steps: Vec<Step> = [Step::Ask, Step::Wait(1), Step::Wait(40_000)]
            .into_iter()
            .chain(tell.map(|input| Step::Tell(input(Pass::Ordinary))))
            .chain(tell.map(|input| Step::Tell(input(Pass::Probe))))
            .collect();
        let policy = Policy {
            trip: Trip::Failures {
                failures: NonZeroU32::new(2).unwrap(),
                within_ms: 10,
            },
            open_ms: 30_000,
        };
        let mut stack = vec![(Breaker::default(), LogTime(0), false, 0_u8)];
        let mut seen = 0_u32;
        while let Some((breaker, now, probe_out, depth)) = stack.pop() {
            seen += 1;
            if depth == 7 {
                continue;
            }
            for step in &steps {
                let (mut breaker, mut now, mut probe_out) = (breaker.clone(), now, probe_out);
                match step {
                    Step::Wait(ms) => now = LogTime(now.0 + ms),
                    Step::Ask => {
                        let was_open = breaker.retry_at().is_some_and(|until| now < until);
                        match breaker.admit(now) {
                            Some(_) if was_open => panic!("admitted while open"),
                            Some(Pass::Probe) if probe_out => panic!("two probes"),
                            Some(Pass::Ordinary) if probe_out => panic!("beside a probe"),
                            Some(Pass::Probe) => probe_out = true,
                            Some(Pass::Ordinary) | None => {}
                        }
                    }
                    // Passes are handed back once: a probe's only while it is out.
                    Step::Tell(
                        Input::Succeeded(Pass::Probe)
                        | Input::Failed(Pass::Probe)
                        | Input::Withdrawn(Pass::Probe),
                    ) if !probe_out => continue,
                    Step::Tell(input) => {
                        breaker.apply(now, &policy, *input);
                        if let Input::Succeeded(Pass::Probe)
                        | Input::Failed(Pass::Probe)
                        | Input::Withdrawn(Pass::Probe) = input
                        {
                            probe_out = false;
                        }
                    }
                }
                assert_eq!(breaker == Breaker::HalfOpen, probe_out, "{step:?}");
                stack.push((breaker, now, probe_out, depth + 1));
            }
        }
        assert!(seen > 100_000, "{seen}");
    }
}
