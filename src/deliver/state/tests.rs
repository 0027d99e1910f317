//! The rules of delivery, one by one, each one tick to either side of its boundary.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use aftercall_actors::{
    breaker::{self, Trip},
    output::Kind,
};
use serde_json::json;

use super::*;
use crate::deliver::{
    answer::{Answer, Attempt, Fault, Verdict},
    policy::{Limits, Merge, OutcomeRule, Rate, Retry},
    record::{Ending, Reason},
};

const SECOND: i64 = 1_000;
const DAY: i64 = 24 * 3_600 * SECOND;

#[test]
fn s1_02_an_output_is_on_record_before_it_is_on_the_wire() {
    let mut run = Run::new(policy());
    run.take(7, None);
    run.machine.decide(LogTime(0));
    let batch = run.machine.batch(usize::MAX);
    assert_eq!(
        batch,
        Batch {
            facts: vec![taken(7, None, 0), started(7, 0)],
            actions: vec![send(7, 1)],
        }
    );
    run.machine.finished(LogTime(20), 7, &delivered());
    let batch = run.machine.batch(usize::MAX);
    assert_eq!(
        batch,
        Batch {
            facts: vec![
                Fact::Ended(Ended {
                    seq: 7,
                    note: Note {
                        attempt: 1,
                        started_at_ms: 0,
                        ended_at_ms: 20,
                        seen: Seen::Delivered.into(),
                        status: 200,
                        why: String::new(),
                        answer: None,
                    },
                    sign: Sign::Up.into(),
                    ..Ended::default()
                }),
                Fact::Settled(Settled {
                    seq: 7,
                    at_ms: 20,
                    ending: Ending::Delivered.into(),
                    ..Settled::default()
                }),
            ],
            actions: vec![],
        }
    );
    assert!(
        run.machine.state().items().is_empty(),
        "nobody is to be told"
    );
}

#[test]
fn s1_02_three_attempts_in_all_with_waits_up_to_half_a_second_then_twice_that() {
    let mut run = Run::new(policy());
    run.take(1, None);
    let mut now = 0;
    let mut waits = Vec::new();
    for number in 1..=2 {
        assert_eq!(run.sends(now), [(1, number)]);
        run.finish(now + 10, 1, &unavailable());
        let due = run.due(1);
        waits.push(due - (now + 10));
        assert_eq!(
            run.sends(due - 1),
            [],
            "attempt {} comes too soon",
            number + 1
        );
        now = due;
    }
    assert!(waits[0] <= 500 && waits[1] <= 1_000, "{waits:?}");
    assert_eq!(run.sends(now), [(1, 3)]);
    run.finish(now + 10, 1, &unavailable());
    let item = &run.machine.state().items()[&1];
    let settled = item.settled.clone().expect("given up");
    assert_eq!(
        (settled.ending(), settled.reason(), settled.why.as_str()),
        (Ending::Failed, Reason::Failed, "status 503")
    );
    assert_eq!(run.sends(now + 100_000), []);
    let attempts: Vec<u32> = item_notes(&run, 1)
        .iter()
        .map(|note| note.attempt)
        .collect();
    assert_eq!(attempts, [1, 2, 3], "each is on the letter");
}

#[test]
fn s1_02_waits_are_spread_over_the_whole_interval_and_always_the_same() {
    let retry = policy().retry;
    let waits = |attempt| -> Vec<i64> {
        let ids = (0..1_000).map(|n| format!("output-{n}"));
        ids.map(|id| pace::ms(pace::backoff(&retry, &id, attempt)))
            .collect()
    };
    for (attempt, longest) in [(1, 500), (2, 1_000), (3, 2_000), (7, 30_000), (90, 30_000)] {
        let drawn = waits(attempt);
        assert_eq!(drawn, waits(attempt));
        let (low, high) = (drawn.iter().min(), drawn.iter().max());
        assert!(*low.expect("some") <= longest / 50, "{attempt}: {low:?}");
        let high = *high.expect("some");
        assert!(
            high <= longest && high >= longest - longest / 50,
            "{attempt}: {high}"
        );
    }
}

#[test]
fn s1_02_retry_after_is_waited_for_and_not_a_tick_less() {
    let mut run = Run::new(policy());
    run.take(1, None);
    run.sends(0);
    run.finish(10, 1, &again(503, Some(Duration::from_secs(7))));
    assert_eq!(run.sends(10 + 6_999), []);
    assert_eq!(run.sends(10 + 7_000), [(1, 2)]);
}

#[test]
fn s4_05_too_many_requests_pauses_the_destination_as_told() {
    let mut run = Run::new(policy());
    run.take(1, None);
    run.take(2, None);
    run.machine.state.policy.limits.concurrency = NonZeroU32::MIN;
    assert_eq!(run.sends(0), [(1, 1)]);
    run.finish(5, 1, &again(429, Some(Duration::from_secs(3))));
    assert_eq!(run.sends(3_004), [], "the other one waits as well");
    assert_eq!(run.machine.wake_at(), Some(LogTime(3_005)));
    assert_eq!(run.sends(3_005), [(2, 1)]);
    assert_eq!(
        run.machine.state().breaker().name(),
        "closed",
        "429 is no failure of its"
    );
    // A 503 with the same header holds up its own output only.
    let mut run = Run::new(policy());
    run.take(1, None);
    run.sends(0);
    run.finish(5, 1, &again(503, Some(Duration::from_secs(3))));
    run.take(2, None);
    assert_eq!(run.sends(6), [(2, 1)]);
}

#[test]
fn s3_08_one_attempt_and_three_retries_then_needs_review() {
    let mut run = Run::new(rewards());
    run.take(1, None);
    for number in 1..=4 {
        let now = run.due(1);
        assert_eq!(run.sends(now), [(1, number)]);
        let failure = match number {
            1 => again(503, None),
            2 => again(504, None),
            3 => again(429, None),
            _ => unreached(),
        };
        run.finish(now, 1, &failure);
    }
    let told = run.machine.state().items()[&1].settled.clone();
    let settled = told.expect("given up after the fourth");
    assert_eq!(settled.reason(), Reason::Failed);
    assert_eq!(settled.outcome.as_deref(), Some("needs_review"));
    assert_eq!(run.sends(DAY), []);
}

#[test]
fn s3_08_a_refusal_is_never_retried() {
    for status in [400, 409] {
        let mut run = Run::new(rewards());
        run.take(1, None);
        run.sends(0);
        run.finish(5, 1, &rejected(status));
        let settled = run.machine.state().items()[&1].settled.clone();
        let settled = settled.expect("a verdict");
        assert_eq!(settled.ending(), Ending::Rejected);
        assert_eq!(settled.outcome.as_deref(), Some("rejected"));
        assert_eq!(run.sends(DAY), []);
    }
}

#[test]
fn s3_09_timeouts_go_on_under_the_same_id_until_the_deadline() {
    let mut run = Run::new(rewards());
    run.take(1, None);
    let mut attempts = 0;
    let mut now = 0;
    while now < DAY {
        let sent = run.sends(now);
        if sent.is_empty() {
            break;
        }
        attempts += 1;
        assert_eq!(sent, [(1, attempts)]);
        let item = &run.machine.state().items()[&1];
        assert_eq!(item.taken.id, "out-1");
        run.finish(now + 45_000, 1, &timed_out());
        let item = &run.machine.state().items()[&1];
        if item.settled.is_some() {
            break;
        }
        now = run.due(1);
        assert!(now < DAY, "no attempt begins behind the deadline");
        assert_eq!(run.letters, 0, "no dead letter for timeouts alone");
    }
    assert!(attempts > 1_000, "{attempts} attempts in a day");
    let item = run.machine.state().items()[&1].clone();
    let settled = item.settled.expect("given up at the deadline");
    assert_eq!(settled.reason(), Reason::Unknown);
    assert_eq!(settled.outcome.as_deref(), Some("needs_review"));
    // The first few and the last ones are kept of so many.
    let numbers: Vec<u32> = item.notes.iter().map(|note| note.attempt).collect();
    assert_eq!(numbers.len(), NOTES_FIRST + NOTES_LAST);
    assert_eq!(numbers[..3], [1, 2, 3]);
    assert_eq!(numbers.last(), Some(&attempts));
}

#[test]
fn s3_09_the_deadline_counts_from_the_first_attempt_and_ends_what_waits() {
    let mut run = Run::new(rewards());
    run.take(1, None);
    let first = 5_000;
    assert_eq!(run.sends(first), [(1, 1)]);
    run.finish(first + 10, 1, &timed_out());
    // The destination is left alone until long after the deadline.
    run.machine.state.paused_until = LogTime(2 * DAY);
    run.machine.decide(LogTime(first + DAY - 1));
    assert!(run.machine.state().items()[&1].settled.is_none());
    assert_eq!(run.machine.wake_at(), Some(LogTime(first + DAY)));
    run.machine.decide(LogTime(first + DAY));
    let settled = run.machine.state().items()[&1].settled.clone();
    let settled = settled.expect("given up");
    assert_eq!(settled.reason(), Reason::Unknown);
    assert!(
        settled.why.starts_with("not delivered within 86400s: "),
        "{}",
        settled.why
    );
}

#[test]
fn s3_09_an_attempt_that_is_out_at_the_deadline_decides_itself() {
    for (result, ending) in [
        (delivered(), Ending::Delivered),
        (timed_out(), Ending::Failed),
    ] {
        let mut run = Run::new(rewards());
        run.take(1, None);
        run.sends(0);
        run.machine.decide(LogTime(DAY + 5));
        assert!(run.machine.state().items()[&1].settled.is_none());
        run.finish(DAY + 6, 1, &result);
        let settled = run.machine.state().items()[&1].settled.clone();
        assert_eq!(settled.expect("a verdict").ending(), ending);
    }
}

#[test]
fn s3_10_failing_for_more_than_five_minutes_opens_and_one_probe_goes() {
    let mut run = Run::new(Policy {
        breaker: breaker::Policy {
            trip: Trip::FailingFor { ms: 300_000 },
            open_ms: 60_000,
        },
        ..rewards()
    });
    for seq in 1..=4 {
        run.take(seq, None);
    }
    assert_eq!(run.sends(0).len(), 4);
    run.finish(0, 1, &timed_out());
    run.finish(300_000, 2, &timed_out());
    assert_eq!(run.machine.state().breaker().name(), "closed");
    run.finish(300_001, 3, &timed_out());
    assert_eq!(run.machine.state().breaker().name(), "open");
    run.finish(300_002, 4, &unreached());
    assert_eq!(run.sends(360_000), []);
    let probe = run.sends(360_001);
    assert_eq!(probe.len(), 1, "one probe: {probe:?}");
    assert_eq!(run.sends(500_000), [], "and nothing beside it");
    run.finish(500_000, probe[0].0, &delivered());
    assert_eq!(run.sends(500_000).len(), 3);
}

#[test]
fn s5_04_the_sixth_failure_within_ten_seconds_leaves_it_alone_for_thirty() {
    let mut run = Run::new(policy());
    for seq in 1..=7 {
        run.take(seq, None);
    }
    run.sends(0);
    for seq in 1..=5 {
        run.finish(100, seq, &unavailable());
    }
    assert_eq!(run.machine.state().breaker().name(), "closed");
    run.finish(9_000, 6, &unavailable());
    assert_eq!(run.machine.state().breaker().name(), "open");
    run.finish(9_001, 7, &delivered());
    assert_eq!(run.sends(38_999), []);
    assert_eq!(run.machine.wake_at(), Some(LogTime(39_000)));
    assert_eq!(run.sends(39_000).len(), 1);
}

#[test]
fn s4_08_behind_an_open_breaker_the_backlog_stays_in_the_log() {
    let mut run = Run::new(policy());
    for seq in 1..=6 {
        run.take(seq, None);
    }
    run.sends(0);
    assert!(run.machine.wants_output(LogTime(0)));
    for seq in 1..=6 {
        run.finish(0, seq, &rejected(422));
        run.take(10 + seq, None);
    }
    run.sends(0);
    for seq in 11..=16 {
        run.finish(0, seq, &unavailable());
    }
    assert_eq!(run.machine.state().breaker().name(), "open");
    assert!(!run.machine.wants_output(LogTime(29_999)));
    // One of those that wait is the probe; no other is needed.
    assert!(!run.machine.wants_output(LogTime(30_000)));
    // With none that waits, the next output is.
    let mut empty = Run::new(policy());
    empty.machine.state.breaker = Breaker::Open {
        until: LogTime(30_000),
    };
    assert!(!empty.machine.wants_output(LogTime(29_999)));
    assert!(empty.machine.wants_output(LogTime(30_000)));
}

#[test]
fn s4_08_a_thousand_unfinished_outputs_are_enough() {
    let mut run = Run::new(policy());
    for seq in 1..=999 {
        run.take(seq, None);
    }
    assert!(run.machine.wants_output(LogTime(0)));
    run.take(1_000, None);
    assert!(!run.machine.wants_output(LogTime(0)));
}

#[test]
fn s4_05_within_five_seconds_the_newest_wins_and_goes_at_their_end() {
    let mut run = Run::new(profiles());
    run.take(1, Some("c1"));
    assert_eq!(run.sends(0), [(1, 1)], "the first goes at once");
    run.take_at(1_000, 2, Some("c1"));
    run.finish(1_500, 1, &delivered());
    run.take_at(3_000, 3, Some("c1"));
    let batch = run.machine.batch(usize::MAX);
    let merged = Fact::Merged(Merged {
        seq: 2,
        by: 3,
        at_ms: 3_000,
    });
    assert_eq!(
        batch
            .facts
            .into_iter()
            .filter(|f| matches!(f, Fact::Merged(_)))
            .collect::<Vec<_>>(),
        [merged]
    );
    assert_eq!(run.sends(4_999), []);
    assert_eq!(run.machine.wake_at(), Some(LogTime(5_000)));
    assert_eq!(run.sends(5_000), [(3, 1)]);
    // Another customer does not wait.
    run.take_at(5_001, 4, Some("c2"));
    assert_eq!(run.sends(5_001), [(4, 1)]);
}

#[test]
fn s4_05_what_is_newer_replaces_a_retry_as_well() {
    let mut run = Run::new(profiles());
    run.take(1, Some("c1"));
    run.sends(0);
    run.take_at(10, 2, Some("c1"));
    run.finish(20, 1, &unavailable());
    let items: Vec<Seq> = run.machine.state().items().keys().copied().collect();
    assert_eq!(items, [2], "the older one is not tried again");
    assert_eq!(run.sends(5_000), [(2, 1)]);
    assert_eq!(run.letters, 0);
}

#[test]
fn s4_05_a_backlog_collapses_to_the_newest_of_each_customer() {
    let mut run = Run::new(profiles());
    run.machine.state.breaker = Breaker::Open {
        until: LogTime(60_000),
    };
    for seq in 1..=100_000 {
        assert!(run.machine.wants_output(LogTime(0)), "it reads on");
        run.take(seq, Some(&format!("c{}", seq % 500)));
        if seq % 100 == 0 {
            run.machine.batch(usize::MAX);
        }
    }
    assert_eq!(run.machine.state().items().len(), 500);
    let oldest = run.machine.state().items().keys().next();
    assert_eq!(oldest, Some(&99_501));
}

#[test]
fn s4_05_the_spacing_outlives_a_restart() {
    let mut run = Run::new(profiles());
    run.take(1, Some("c1"));
    run.sends(0);
    run.finish(100, 1, &delivered());
    let mut run = run.restart(1_000);
    run.take_at(1_000, 2, Some("c1"));
    assert_eq!(run.sends(4_999), []);
    assert_eq!(run.sends(5_000), [(2, 1)]);
}

#[test]
fn s2_08_outputs_of_one_thread_go_in_order_with_what_the_last_one_left() {
    let mut run = Run::new(policy());
    run.take(1, Some("alert-1"));
    run.take(2, Some("alert-1"));
    run.take(3, Some("alert-2"));
    assert_eq!(run.sends(0), [(1, 1), (3, 1)]);
    run.finish(5, 1, &unavailable());
    let due = run.due(1);
    assert_eq!(
        run.sends(due),
        [(1, 2)],
        "the second waits for the first's verdict"
    );
    let handle = json!({ "channel": "C1", "ts": "1.2" });
    let posted = Attempt {
        handle: Some(handle.clone()),
        ..delivered()
    };
    run.finish(due + 5, 1, &posted);
    run.machine.decide(LogTime(due + 5));
    let batch = run.machine.batch(usize::MAX);
    let send = Action::Send {
        seq: 2,
        attempt: 1,
        handle: Some(handle),
    };
    assert_eq!(batch.actions.last(), Some(&send));
}

#[test]
fn s2_08_a_handle_outlives_a_restart_and_a_day_of_silence_ends_it() {
    for (at, left) in [(DAY - 1, true), (DAY, false)] {
        let mut run = Run::new(policy());
        run.take(1, Some("alert-1"));
        run.sends(0);
        let posted = Attempt {
            handle: Some(json!("1.2")),
            ..delivered()
        };
        run.finish(0, 1, &posted);
        let mut run = run.restart(10);
        // Another thread that falls quiet is when the old ones are looked through.
        run.take_at(at, 2, Some("alert-2"));
        run.sends(at);
        run.finish(at, 2, &posted);
        let handle = run.machine.state().handle("alert-1");
        assert_eq!(handle.is_some(), left, "after {at} ms");
    }
}

#[test]
fn s4_04_a_thread_that_fails_does_not_hold_up_the_next_of_it() {
    let mut run = Run::new(policy());
    run.take(1, Some("t"));
    run.take(2, Some("t"));
    run.sends(0);
    run.finish(5, 1, &rejected(400));
    assert_eq!(run.sends(5), [(2, 1)]);
}

#[test]
fn s2_11_concurrency_and_rate_are_kept() {
    let mut run = Run::new(Policy {
        limits: Limits {
            concurrency: NonZeroU32::new(2).expect("not zero"),
            rate: Some(Rate {
                count: NonZeroU32::MIN,
                per: Duration::from_secs(1),
            }),
        },
        ..policy()
    });
    for seq in 1..=3 {
        run.take(seq, None);
    }
    assert_eq!(run.sends(0), [(1, 1)]);
    assert_eq!(run.sends(999), []);
    assert_eq!(run.sends(1_000), [(2, 1)]);
    assert_eq!(run.sends(2_000), [], "two are out");
    run.finish(2_500, 1, &delivered());
    assert_eq!(run.sends(2_500), [(3, 1)]);
    let mut run = run.restart(2_600);
    run.take_at(2_600, 4, None);
    run.finish(2_600, 2, &delivered());
    assert_eq!(run.sends(3_499).len(), 0, "the rate outlives a restart");
}

#[test]
fn an_attempt_that_the_process_did_not_outlive_counts_as_unknown() {
    let mut run = Run::new(policy());
    run.take(1, None);
    run.sends(0);
    let mut run = run.restart(50);
    let batch = run.machine.batch(usize::MAX);
    let [Fact::Ended(ended)] = batch.facts.as_slice() else {
        panic!("{batch:?}");
    };
    assert_eq!(ended.note.seen(), Seen::Unknown);
    assert_eq!(ended.sign(), Sign::Withdrawn);
    assert!(ended.counts, "this policy counts them");
    assert_eq!(run.sends(run.due(1)), [(1, 2)], "the count goes on");
}

#[test]
fn a_verdict_that_was_not_told_of_is_told_after_a_restart() {
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.sends(0);
    run.finish(10, 1, &delivered());
    let item = run.machine.state().items()[&1].clone();
    let mut run = run.restart(50);
    let tell = Action::Tell {
        item: Box::new(item),
    };
    assert_eq!(run.machine.batch(usize::MAX).actions, [tell]);
    run.machine.told(Case {
        output: 1,
        round: 1,
    });
    assert!(run.machine.state().items().is_empty());
    let mut run = run.restart(60);
    assert_eq!(run.machine.batch(usize::MAX), Batch::default());
}

#[test]
fn s3_06_an_operators_retry_is_a_new_round_under_the_same_id() {
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.sends(0);
    run.finish(5, 1, &rejected(400));
    let decision = |seq, round, retry: bool| Decision {
        seq,
        case: Case { output: 1, round },
        retry: retry.then(|| find(1, None)),
    };
    run.machine.decided(LogTime(6), decision(9, 7, true));
    assert!(
        run.machine.state().items()[&1].settled.is_some(),
        "it is about another round"
    );
    // Its letter is there to be decided about, so it was told of.
    run.machine.decided(LogTime(10), decision(10, 1, true));
    assert_eq!(run.sends(10), [(1, 1)]);
    run.machine.told(Case {
        output: 1,
        round: 1,
    });
    assert_eq!(
        run.machine.state().items().len(),
        1,
        "that was the round before"
    );
    let item = run.machine.state().items()[&1].clone();
    assert_eq!((item.round, item.taken.id.as_str()), (2, "out-1"));
    run.finish(20, 1, &rejected(400));
    run.machine.told(Case {
        output: 1,
        round: 2,
    });
    // The same decision stored twice, a second one about the same case.
    let mut run = run.restart(30);
    run.machine.decided(LogTime(30), decision(10, 1, true));
    run.machine.decided(LogTime(30), decision(11, 1, true));
    assert_eq!(run.sends(30), []);
    // The first decision counts.
    run.machine.decided(LogTime(31), decision(12, 2, false));
    run.machine.decided(LogTime(31), decision(13, 2, true));
    assert_eq!(run.sends(31), []);
    assert_eq!(run.machine.state().looked().dead, 13);
}

#[test]
fn s3_08_operators_hear_of_dead_letters_once_a_minute() {
    let mut run = Run::new(rewards());
    for seq in 1..=4 {
        run.take(seq, None);
    }
    run.sends(0);
    run.finish(5, 1, &rejected(400));
    let alarm = |count, number, at_ms, seq| {
        Action::Alarm(Alarmed {
            number,
            at_ms,
            count,
            reason: Reason::Rejected.into(),
            output_id: format!("out-{seq}"),
        })
    };
    assert_eq!(run.alarms(5), [alarm(1, 1, 5, 1)]);
    run.machine.alarm_told();
    run.finish(6, 2, &rejected(400));
    run.finish(7, 3, &rejected(400));
    assert_eq!(run.alarms(60_004), []);
    assert_eq!(run.machine.wake_at(), Some(LogTime(60_005)));
    assert_eq!(run.alarms(60_005), [alarm(2, 2, 60_005, 3)]);
    // Not told before the process ended: told by the next.
    let mut run = run.restart(61_000);
    let actions = run.machine.batch(usize::MAX).actions;
    assert!(actions.contains(&alarm(2, 2, 60_005, 3)), "{actions:?}");
}

#[test]
fn an_output_whose_thread_cannot_be_found_out_is_rejected_unsent() {
    let mut run = Run::new(policy());
    let faulty = Find {
        thread: Err("thread: undefined value".into()),
        ..find(1, None)
    };
    run.machine.take(LogTime(0), faulty);
    assert_eq!(run.sends(0), []);
    let item = run.machine.state().items()[&1].clone();
    let settled = item.settled.expect("a verdict");
    assert_eq!(
        (settled.ending(), settled.reason(), settled.why.as_str()),
        (
            Ending::Rejected,
            Reason::Unsendable,
            "thread: undefined value"
        )
    );
    assert_eq!(item.attempts, 0);
}

#[test]
fn outputs_passed_over_are_noted_with_whatever_is_committed_next() {
    let mut run = Run::new(policy());
    run.machine.pass(4);
    run.machine.pass(5);
    assert!(!run.machine.has_facts() && run.machine.has_passed());
    run.take(6, None);
    run.machine.pass(7);
    let looked = Looked { output: 7, dead: 0 };
    assert_eq!(
        run.machine.batch(usize::MAX).facts,
        [taken(6, None, 0), Fact::Looked(looked)]
    );
    assert!(!run.machine.has_passed());
    run.take(6, None);
    assert!(
        !run.machine.has_facts(),
        "what was looked at is not taken again"
    );
}

#[test]
fn when_stopping_nothing_begins_but_what_is_out_is_concluded() {
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.sends(0);
    run.machine.stop();
    assert!(!run.machine.wants_output(LogTime(0)) && !run.machine.wants_decision());
    run.finish(10, 1, &again(503, None));
    assert_eq!(run.sends(DAY / 2), []);
    assert_eq!(run.machine.state().flights(), 0);
}

#[test]
fn a_batch_is_cut_where_it_is_large_but_never_between_an_end_and_its_verdict() {
    let mut run = Run::new(policy());
    run.take(1, None);
    run.take(2, None);
    run.sends(0);
    run.machine.finished(LogTime(5), 1, &delivered());
    run.machine.finished(LogTime(5), 2, &delivered());
    let first = run.machine.batch(1);
    assert_eq!(first.facts.len(), 2, "{first:?}");
    assert!(matches!(first.facts[1], Fact::Settled(_)));
    assert!(run.machine.has_facts());
}

#[test]
fn a_fact_that_does_not_fit_is_refused() {
    let state = || State::new(policy(), Looked::default());
    for fact in [
        started(1, 0),
        Fact::Told(Told { seq: 1 }),
        Fact::Merged(Merged::default()),
        Fact::Settled(Settled::default()),
        Fact::Ended(Ended::default()),
    ] {
        assert!(state().apply(&fact).is_err(), "{fact:?}");
    }
    let mut once = state();
    once.apply(&taken(1, None, 0)).expect("fits");
    assert!(once.apply(&taken(1, None, 0)).is_err(), "taken twice");
    assert!(
        once.apply(&Fact::Told(Told { seq: 1 })).is_err(),
        "no verdict"
    );
}

/// Long random walks: the facts folded again, and a checkpoint folded, are the state that decided them.
#[test]
fn a_fold_of_the_facts_and_of_a_checkpoint_is_the_same_state() {
    for seed in 0..200_u64 {
        let policy = match seed % 3 {
            0 => policy(),
            1 => rewards(),
            _ => profiles(),
        };
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |sides: u64| {
            dice ^= dice >> 12;
            dice ^= dice << 25;
            dice ^= dice >> 27;
            (dice.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
        };
        let mut folded = State::new(policy.clone(), Looked::default());
        let mut machine = Machine::resume(folded.clone(), LogTime(0));
        let mut now = LogTime(0);
        let mut out: Vec<Seq> = Vec::new();
        let mut telling: Vec<Case> = Vec::new();
        for seq in 1..=150 {
            now = now.plus_ms(below(3_000) as i64);
            let thread = (below(3) > 0).then(|| format!("t{}", below(5)));
            machine.take(now, find(seq, thread.as_deref()));
            machine.decide(now);
            let batch = machine.batch(1 << 20);
            for fact in &batch.facts {
                folded.apply(fact).expect("fits");
            }
            assert_eq!(&folded, machine.state(), "seed {seed} at {seq}");
            for action in batch.actions {
                match action {
                    Action::Send { seq, .. } => out.push(seq),
                    Action::Tell { item } => telling.push(Case {
                        output: item.taken.seq,
                        round: item.round,
                    }),
                    Action::Alarm(_) => machine.alarm_told(),
                }
            }
            while !out.is_empty() && below(3) > 0 {
                let seq = out.swap_remove(below(out.len() as u64) as usize);
                let result = [delivered(), unavailable(), timed_out(), rejected(400)];
                machine.finished(now, seq, &result[below(4) as usize]);
            }
            while !telling.is_empty() && below(2) > 0 {
                machine.told(telling.swap_remove(0));
            }
        }
        let (steps, _) = machine.checkpoint();
        let mut again = State::new(policy, Looked::default());
        for step in steps {
            again.apply(&step.fact.expect("a fact")).expect("fits");
        }
        assert_eq!(&again, machine.state(), "seed {seed}");
    }
}

/// A machine, the attempts it asked for, and what operators would have heard.
struct Run {
    machine: Machine,
    letters: usize,
}

impl Run {
    fn new(policy: Policy) -> Self {
        let state = State::new(policy, Looked::default());
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
                Action::Send { seq, attempt, .. } => Some((seq, attempt)),
                Action::Tell { item } => {
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
        let mut state = State::new(policy, Looked::default());
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

fn item_notes(run: &Run, seq: Seq) -> Vec<Note> {
    run.machine.state().items()[&seq].notes.clone()
}

fn find(seq: Seq, thread: Option<&str>) -> Find {
    Find {
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
    })
}

fn send(seq: Seq, attempt: u32) -> Action {
    Action::Send {
        seq,
        attempt,
        handle: None,
    }
}

/// A lookup's policy: three attempts in all, six failures in ten seconds open.
fn policy() -> Policy {
    Policy {
        limits: Limits {
            concurrency: NonZeroU32::new(64).expect("not zero"),
            rate: None,
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
        status: None,
        response: None,
    }
}

fn delivered() -> Attempt {
    attempt(Ok(answer(200)), Verdict::Delivered)
}

fn rejected(status: u16) -> Attempt {
    let why = format!("status {status}");
    attempt(Ok(answer(status)), Verdict::Rejected { why })
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
