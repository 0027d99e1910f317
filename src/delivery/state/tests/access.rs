//! Credentials that are not accepted: who waits, who finds out, and when it is over (S3.16).

use super::*;

const MINUTE: i64 = 60 * SECOND;

fn refused() -> Attempt {
    shut_out(401, FinalStatus::Failed)
}

fn settled(run: &Run, seq: Seq) -> Option<Settled> {
    run.machine.state().items().get(&seq)?.settled.clone()
}

fn is_shut_out(run: &Run) -> bool {
    run.machine.state().misconfigured().is_some()
}

#[test]
fn s3_16_outputs_wait_and_one_a_minute_finds_out() {
    let mut run = Run::new(rewards());
    for seq in 1..=3 {
        run.take(seq, None);
    }
    assert_eq!(run.sends(0).len(), 3);
    run.finish(10, 1, &refused());
    run.finish(20, 2, &refused());
    run.finish(30, 3, &timed_out());
    assert!(is_shut_out(&run));
    run.take_at(40, 4, None);
    assert_eq!(run.sends(10 + MINUTE - 1), []);
    assert_eq!(run.machine.wake_at(), Some(LogTime(10 + MINUTE)));
    // Nothing is taken meanwhile: the backlog stays in the log.
    assert!(!run.machine.wants_output(LogTime(10 + MINUTE)));
    let mut now = 10 + MINUTE;
    let mut tried = Vec::new();
    for _ in 0..8 {
        let probe = run.sends(now);
        assert_eq!(probe.len(), 1, "{probe:?}");
        assert_eq!(run.sends(now + 5 * MINUTE), [], "one at a time");
        tried.push(probe[0].0);
        run.finish(now + 50, probe[0].0, &refused());
        now += 50 + MINUTE;
        assert_eq!(run.sends(now - 1), []);
    }
    assert!(
        (1..=4).all(|seq| tried.contains(&seq)),
        "each has its turn: {tried:?}"
    );
    assert_eq!(run.letters, 0, "nothing is given up");
    for item in run.machine.state().items().values() {
        assert_eq!(item.failures, 0, "{item:?}");
        assert!(item.settled.is_none());
    }
}

#[test]
fn s3_16_it_goes_on_by_itself_once_one_is_let_in() {
    for end in [delivered(), rejected(200), unclear(400)] {
        let mut run = Run::new(rewards());
        for seq in 1..=3 {
            run.take(seq, None);
        }
        run.sends(0);
        for seq in 1..=3 {
            run.finish(10, seq, &refused());
        }
        let probe = run.sends(10 + MINUTE);
        run.finish(10 + MINUTE + 5, probe[0].0, &end);
        assert!(!is_shut_out(&run));
        assert_eq!(
            run.sends(10 + MINUTE + 5).len(),
            2,
            "all the others, at once"
        );
    }
}

#[test]
fn s3_16_what_says_nothing_of_credentials_leaves_them_as_they_were() {
    for end in [
        again(503, None),
        again(429, None),
        timed_out(),
        unread(),
        unreached(),
    ] {
        let mut run = Run::new(rewards());
        run.take(1, None);
        run.sends(0);
        run.finish(10, 1, &refused());
        run.sends(10 + MINUTE);
        run.finish(11 + MINUTE, 1, &end);
        assert!(is_shut_out(&run), "{end:?}");
        assert_eq!(run.sends(10 + 2 * MINUTE), []);
        assert_eq!(run.sends(11 + 2 * MINUTE), [(1, 3)]);
    }
}

#[test]
fn s3_16_deadlines_do_not_run_meanwhile() {
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.take(2, None);
    run.sends(0);
    run.finish(HOUR, 1, &timed_out());
    run.finish(HOUR, 2, &refused());
    // Five days later nothing has been given up.
    let mut now = HOUR + MINUTE;
    while now < 5 * DAY {
        if let [(seq, _)] = run.sends(now)[..] {
            run.finish(now, seq, &refused());
        }
        now += MINUTE;
    }
    assert!(settled(&run, 1).is_none() && settled(&run, 2).is_none());
    let mut run = run.restart(now);
    let probe = run.sends(now);
    run.finish(now + 7, probe[0].0, &unclear(400));
    assert!(!is_shut_out(&run));
    let over = now + 7;
    let other = 3 - probe[0].0;
    // An hour of its day was over when it began to wait.
    let ends = over + DAY - HOUR;
    assert_eq!(
        run.sends(over),
        [(other, run.machine.state().items()[&other].attempts)]
    );
    run.finish(over + 1, other, &timed_out());
    run.machine.state.paused_until = LogTime(9 * DAY);
    run.machine.decide(LogTime(ends - 1));
    assert!(settled(&run, other).is_none());
    run.machine.decide(LogTime(ends));
    let given_up = settled(&run, other).expect("given up");
    assert_eq!(given_up.reason(), Reason::Unknown);
}

const HOUR: i64 = 3_600 * SECOND;

#[test]
fn s3_16_operators_hear_once_of_it_and_still_of_each_dead_letter() {
    let alarm = |run: &mut Run, now| match run.alarms(now).as_slice() {
        [] => None,
        [Action::Alarm(alarmed)] => Some((alarmed.reason(), alarmed.count, alarmed.why.clone())),
        other => panic!("{other:?}"),
    };
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.sends(0);
    run.take(2, None);
    run.take(3, None);
    run.sends(1);
    run.finish(5, 1, &unclear(400));
    run.finish(6, 2, &refused());
    let first = alarm(&mut run, 7).expect("at once");
    assert_eq!(first, (Reason::Misconfigured, 3, "status 401".to_owned()));
    run.machine.alarm_told();
    assert_eq!(alarm(&mut run, 6 + MINUTE - 1), None);
    let second = alarm(&mut run, 7 + MINUTE).expect("the letter");
    assert_eq!((second.0, second.1), (Reason::Rejected, 1));
    run.machine.alarm_told();
    run.finish(8 + MINUTE, 3, &refused());
    // Refused for hours: nothing new.
    for now in (2..600).map(|n| n * MINUTE) {
        run.machine.decide(LogTime(now));
        for action in run.machine.batch(usize::MAX).actions {
            match action {
                Action::Send { seq, .. } => run.finish(now + 1, seq, &refused()),
                Action::Report { .. } => {}
                Action::Alarm(alarmed) => panic!("{alarmed:?}"),
            }
        }
    }
    // Right for a while, and wrong again: that is news.
    let now = 601 * MINUTE;
    let probe = run.sends(now)[0].0;
    run.finish(now + 1, probe, &delivered());
    run.take_at(now + 1, 9, None);
    for (seq, _) in run.sends(now + 2) {
        run.finish(now + 3, seq, &refused());
    }
    assert!(is_shut_out(&run));
    assert_eq!(
        alarm(&mut run, now + 3).map(|alarm| alarm.0),
        Some(Reason::Misconfigured)
    );
}

#[test]
fn s3_16_a_403_about_one_thing_is_that_outputs_own() {
    for (alone, ending, outcome) in [
        (FinalStatus::Failed, FinalStatus::Failed, "needs_review"),
        (FinalStatus::Rejected, FinalStatus::Rejected, "rejected"),
    ] {
        let own = shut_out(403, alone);
        let mut run = Run::new(rewards());
        run.take(1, None);
        run.sends(0);
        run.finish(10, 1, &own);
        assert!(is_shut_out(&run), "it may be about all of them");
        run.take_at(20, 2, None);
        // The first is asked first, the second is let in, and the first is refused again.
        let mut now = 10 + MINUTE;
        let mut seen = Vec::new();
        while settled(&run, 1).is_none() {
            let sent = run.sends(now);
            for (seq, _) in sent {
                let end = if seq == 1 { own.clone() } else { delivered() };
                run.finish(now + 1, seq, &end);
                seen.push(seq);
            }
            now += MINUTE + 2;
            assert!(now < 20 * MINUTE, "{seen:?}");
        }
        let verdict = settled(&run, 1).expect("its own");
        assert_eq!(
            (verdict.ending(), verdict.reason()),
            (ending, Reason::Rejected)
        );
        assert_eq!(verdict.outcome.as_deref(), Some(outcome));
        assert!(!is_shut_out(&run), "the others go on");
    }
}

#[test]
fn s3_16_a_secret_that_changes_while_attempts_are_out_is_no_outputs_fault() {
    // Begun together: one passed the door before the change, the other after it.
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.take(2, None);
    run.sends(0);
    run.finish(5, 1, &delivered());
    run.finish(6, 2, &refused());
    assert!(!is_shut_out(&run), "the other was let in meanwhile");
    let due = run.due(2);
    assert!(due >= 6 + 250, "as after any failure: {due}");
    assert_eq!(run.sends(due), [(2, 2)]);
    run.finish(due + 5, 2, &refused());
    assert!(is_shut_out(&run));
    assert!(settled(&run, 2).is_none());
    // The same, and the one that passed is answered last: it began before, so it does not speak for now.
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.take(2, None);
    run.sends(0);
    run.finish(5, 2, &refused());
    run.finish(6, 1, &delivered());
    assert!(is_shut_out(&run));
    run.sends(5 + MINUTE);
    run.finish(6 + MINUTE, 2, &refused());
    assert!(
        settled(&run, 2).is_none(),
        "nobody was let in that began later"
    );
}

#[test]
fn s3_16_it_outlives_a_restart() {
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.take(2, None);
    run.sends(0);
    run.finish(10, 1, &refused());
    let before = run.machine.state().misconfigured().cloned();
    // The other one was out.
    let mut run = run.restart(20);
    let after = run.machine.state().misconfigured().cloned();
    assert_eq!(before, after);
    assert_eq!(run.sends(10 + MINUTE - 1), []);
    assert_eq!(run.sends(10 + MINUTE).len(), 1);
    // The probe was out when the process ended: nobody knows.
    let mut run = run.restart(11 + MINUTE);
    assert_eq!(run.sends(10 + 2 * MINUTE), []);
    assert_eq!(run.sends(11 + 2 * MINUTE).len(), 1);
}

#[test]
fn s3_16_a_secret_that_was_exchanged_is_tried_at_once_and_once() {
    let mut run = Run::new(rewards());
    run.take(1, None);
    run.sends(0);
    run.finish(10, 1, &refused());
    assert_eq!(run.sends(11), []);
    run.machine.try_credentials();
    assert_eq!(run.machine.wake_at(), Some(LogTime(10)));
    assert_eq!(run.sends(20), [(1, 2)]);
    assert_eq!(run.sends(21), [], "one is out");
    run.finish(30, 1, &refused());
    assert_eq!(run.sends(30 + MINUTE - 1), [], "it was the wrong one");
    assert_eq!(run.sends(30 + MINUTE), [(1, 3)]);
}

#[test]
fn s3_16_an_idle_destination_is_tried_with_the_next_output() {
    let mut run = Run::new(policy());
    run.take(1, None);
    run.sends(0);
    // A destination nobody waits for: what it refuses alone is over at once.
    run.finish(5, 1, &shut_out(401, FinalStatus::Rejected));
    assert!(is_shut_out(&run));
    let probe_at = 5 + MINUTE;
    assert_eq!(run.sends(probe_at), [(1, 2)]);
    assert!(!run.machine.wants_output(LogTime(probe_at)), "one is out");
    run.finish(probe_at + 1, 1, &delivered());
    assert!(run.machine.wants_output(LogTime(probe_at + 1)));
}
