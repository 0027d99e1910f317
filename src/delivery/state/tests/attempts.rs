//! Attempts: when each is made, what its end means, and when there are no more.

use super::*;

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
                    note: AttemptRecord {
                        attempt: 1,
                        started_at_ms: 0,
                        ended_at_ms: 20,
                        seen: Seen::Delivered.into(),
                        status: 200,
                        why: String::new(),
                        answer: None,
                    },
                    sign: BreakerSignal::Up.into(),
                    ..Ended::default()
                }),
                Fact::Settled(Settled {
                    seq: 7,
                    at_ms: 20,
                    ending: FinalStatus::Delivered.into(),
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
fn s1_02_three_attempts_in_all_half_a_second_apart_then_twice_that() {
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
    assert!((250..=500).contains(&waits[0]), "{waits:?}");
    assert!((500..=1_000).contains(&waits[1]), "{waits:?}");
    assert_eq!(run.sends(now), [(1, 3)]);
    run.finish(now + 10, 1, &unavailable());
    let item = &run.machine.state().items()[&1];
    let settled = item.settled.clone().expect("given up");
    assert_eq!(
        (settled.ending(), settled.reason(), settled.why.as_str()),
        (FinalStatus::Failed, Reason::Failed, "status 503")
    );
    assert_eq!(run.sends(now + 100_000), []);
    let attempts: Vec<u32> = item_notes(&run, 1)
        .iter()
        .map(|note| note.attempt)
        .collect();
    assert_eq!(attempts, [1, 2, 3], "each is on the letter");
}

#[test]
fn s1_02_waits_are_spread_over_the_upper_half_of_their_step_and_always_the_same() {
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
        let (low, high) = (*low.expect("some"), *high.expect("some"));
        let spread = longest / 50;
        let least = longest / 2;
        assert!((least..=least + spread).contains(&low), "{attempt}: {low}");
        assert!(
            (longest - spread..=longest).contains(&high),
            "{attempt}: {high}"
        );
    }
}

#[test]
fn s1_02_too_many_requests_without_a_retry_after_waits_half_a_step_too() {
    for after in [None, Some(Duration::ZERO)] {
        for seq in 1..=100 {
            let mut run = Run::new(policy());
            run.take(seq, None);
            run.sends(0);
            run.finish(10, seq, &again(429, after));
            assert_eq!(run.sends(10 + 249), []);
            let due = run.due(seq);
            assert!((260..=510).contains(&due), "{due}");
            assert_eq!(run.sends(due), [(seq, 2)]);
        }
    }
}

#[test]
fn s1_02_an_odd_step_is_not_halved_below_its_half() {
    let retry = Retry {
        first: Duration::from_millis(11),
        ..policy().retry
    };
    let waits = (0..500).map(|n| pace::ms(pace::backoff(&retry, &format!("o{n}"), 1)));
    let waits: std::collections::BTreeSet<i64> = waits.collect();
    assert_eq!(waits.into_iter().collect::<Vec<_>>(), [6, 7, 8, 9, 10, 11]);
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
    let reported = run.machine.state().items()[&1].settled.clone();
    let settled = reported.expect("given up after the fourth");
    assert_eq!(settled.reason(), Reason::Failed);
    assert_eq!(settled.outcome.as_deref(), Some("needs_review"));
    assert_eq!(run.sends(DAY), []);
}

#[test]
fn s3_08_waits_double_between_the_four_attempts_and_none_comes_a_tick_early() {
    let mut policy = rewards();
    policy.retry.first = Duration::from_secs(1);
    let mut longest = [0; 3];
    // Waits are spread over their intervals, by the output's id.
    for seq in 1..=200 {
        let mut run = Run::new(policy.clone());
        run.take(seq, None);
        let mut now = 0;
        for (number, longest) in (1..).zip(&mut longest) {
            assert_eq!(run.sends(now), [(seq, number)]);
            run.finish(now, seq, &again(503, None));
            let due = run.due(seq);
            assert_eq!(run.sends(due - 1), [], "attempt {}", number + 1);
            *longest = (*longest).max(due - now);
            now = due;
        }
        assert_eq!(run.sends(now), [(seq, 4)]);
    }
    for (longest, most) in longest.into_iter().zip([1_000, 2_000, 4_000]) {
        assert!(
            (most / 10 * 9..=most).contains(&longest),
            "{longest} of {most}"
        );
    }
}

#[test]
fn s3_07_a_refusal_is_never_retried() {
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.sends(0);
    run.finish(5, 1, &rejected(200));
    let settled = run.machine.state().items()[&1].settled.clone();
    let settled = settled.expect("a verdict");
    assert_eq!(settled.ending(), FinalStatus::Rejected);
    assert_eq!(settled.outcome.as_deref(), Some("rejected"));
    assert_eq!(run.sends(DAY), []);
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
fn s3_09_an_attempt_is_in_doubt_from_the_first_unknown_outcome_on() {
    let doubts = |run: &mut Run, now| -> Vec<bool> {
        run.machine.decide(LogTime(now));
        let actions = run.machine.batch(usize::MAX).actions.into_iter();
        let doubt = |action| match action {
            Action::Send { turn, .. } => Some(turn.in_doubt),
            Action::Report { .. } | Action::Alarm(_) => None,
        };
        actions.filter_map(doubt).collect()
    };
    let mut run = Run::new(rewards());
    run.take(1, None);
    assert_eq!(doubts(&mut run, 0), [false]);
    // What was certainly not done leaves no doubt.
    run.finish(10, 1, &unavailable());
    let due = run.due(1);
    assert_eq!(doubts(&mut run, due), [false]);
    run.finish(due + 10, 1, &timed_out());
    let due = run.due(1);
    assert_eq!(doubts(&mut run, due), [true]);
    // Nor does a later certainty take the doubt about an earlier one away, not over a restart either.
    run.finish(due + 10, 1, &unavailable());
    let due = run.due(1);
    let mut run = run.restart(due);
    assert_eq!(doubts(&mut run, due), [true]);
    // A process that ended during the first attempt.
    let mut run = Run::new(rewards());
    run.take(1, None);
    assert_eq!(doubts(&mut run, 0), [false]);
    let mut run = run.restart(50);
    let due = run.due(1);
    assert_eq!(doubts(&mut run, due), [true]);
}

#[test]
fn s3_09_an_operators_retry_is_in_doubt() {
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.sends(0);
    run.finish(5, 1, &rejected(400));
    let decision = Decision {
        seq: 10,
        case: Case {
            output: 1,
            round: 1,
        },
        retry: Some(find(1, None)),
    };
    run.machine.decided(LogTime(10), decision);
    run.machine.decide(LogTime(10));
    let actions = run.machine.batch(usize::MAX).actions;
    // Asked about, as far as it can be; but what an answer would mean after an attempt of this round, it does not.
    let turn = Turn {
        number: 1,
        in_doubt: true,
        ..Turn::default()
    };
    let send = Action::Send {
        seq: 1,
        turn,
        handle: None,
    };
    assert!(actions.contains(&send), "{actions:?}");
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
        (delivered(), FinalStatus::Delivered),
        (timed_out(), FinalStatus::Failed),
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
fn s2_11_concurrency_and_rate_are_kept() {
    let mut run = Run::new(Policy {
        limits: Limits {
            concurrency: NonZeroU32::new(2).expect("not zero"),
            rate: Some(Rate {
                count: NonZeroU32::MIN,
                per: Duration::from_secs(1),
            }),
            by_lane: false,
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
    assert_eq!(ended.sign(), BreakerSignal::Withdrawn);
    assert!(ended.counts, "this policy counts them");
    assert_eq!(run.sends(run.due(1)), [(1, 2)], "the count goes on");
}

#[test]
fn s3_12_what_is_kept_of_an_answer_is_at_hand_for_the_next_attempt_and_with_the_verdict() {
    let one = |name: &str, id: &str| Kept::from([(name.to_owned(), id.to_owned())]);
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.sends(0);
    let pending = Attempt {
        kept: one("order", "O1"),
        ..unread()
    };
    run.finish(5, 1, &pending);
    let due = run.due(1);
    let mut run = run.restart(due);
    run.machine.decide(LogTime(due));
    let [Action::Send { turn, .. }] = &run.machine.batch(usize::MAX).actions[..] else {
        panic!("one attempt");
    };
    assert_eq!(turn.kept, one("order", "O1"));
    let done = Attempt {
        kept: one("card", "C7"),
        ..delivered()
    };
    run.finish(due + 5, 1, &done);
    let actions = run.machine.batch(usize::MAX).actions;
    let [Action::Report { item }] = &actions[..] else {
        panic!("{actions:?}");
    };
    let both = [("order", "O1"), ("card", "C7")];
    let both: Kept = both
        .map(|(name, id)| (name.to_owned(), id.to_owned()))
        .into();
    assert_eq!(item.kept, both);
}
