//! An item's life beside its attempts: verdicts told, retried by operators, over restarts, and folded again.

use super::*;

#[test]
fn a_verdict_that_was_not_told_of_is_told_after_a_restart() {
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.sends(0);
    run.finish(10, 1, &delivered());
    let item = run.machine.state().items()[&1].clone();
    let mut run = run.restart(50);
    let tell = Action::Report {
        item: Box::new(item),
    };
    assert_eq!(run.machine.batch(usize::MAX).actions, [tell]);
    run.machine.reported(Case {
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
    run.machine.reported(Case {
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
    run.machine.reported(Case {
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
    assert_eq!(run.machine.state().cursor().dead, 13);
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
            why: String::new(),
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
            FinalStatus::Rejected,
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
    let cursor = Cursor { output: 7, dead: 0 };
    assert_eq!(
        run.machine.batch(usize::MAX).facts,
        [taken(6, None, 0), Fact::Cursor(cursor)]
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
    let state = || State::new(policy(), Cursor::default());
    for fact in [
        started(1, 0),
        Fact::Reported(Reported { seq: 1 }),
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
        once.apply(&Fact::Reported(Reported { seq: 1 })).is_err(),
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
        let mut folded = State::new(policy.clone(), Cursor::default());
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
                    Action::Report { item } => telling.push(Case {
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
                machine.reported(telling.swap_remove(0));
            }
        }
        let (steps, _) = machine.checkpoint();
        let mut again = State::new(policy, Cursor::default());
        for step in steps {
            again.apply(&step.fact.expect("a fact")).expect("fits");
        }
        assert_eq!(&again, machine.state(), "seed {seed}");
    }
}
