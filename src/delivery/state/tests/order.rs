//! Order and merging of outputs about the same thing, and how many are taken.

use super::*;

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
        turn: Turn {
            number: 1,
            ..Turn::default()
        },
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
