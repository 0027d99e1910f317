//! A log that lost its end: places, and what waits for the copies of what was lost.

use super::*;
use crate::delivery::record::{Moved, Sighting, Spot};

fn spot(commit: u64) -> Spot {
    Spot {
        commit,
        ..Spot::default()
    }
}

/// An output as the log has it at `at`: taken, or recognised.
fn look(run: &mut Run, now: i64, commit: u64, at: Seq) -> bool {
    let sighting = Sighting {
        spot: spot(commit),
        at,
        stored_ms: Some(now),
    };
    let seq = at + run.machine.state().places().outputs_lower();
    if !run.machine.sees(sighting) {
        run.machine.pass(seq);
        return false;
    }
    let find = Find {
        id: format!("out-{commit}"),
        spot: Some(spot(commit)),
        at: if at == seq { 0 } else { at },
        ..find(seq, None)
    };
    run.machine.take(LogTime(now), find).is_some()
}

fn lose(run: &mut Run, now: i64, behind: Seq) {
    let moved = Moved {
        output: Some(behind),
        ..Moved::default()
    };
    run.machine.moved(LogTime(now), moved);
}

#[test]
fn a_copy_is_recognised_where_it_stands_and_what_is_new_before_it_is_taken() {
    let mut run = Run::new(policy());
    assert!(look(&mut run, 0, 1, 1));
    assert!(look(&mut run, 0, 2, 2));
    lose(&mut run, SECOND, 1);
    assert_eq!(run.machine.follows().output, 1);
    assert_eq!(run.machine.state().missing(), 1);
    assert_eq!(
        run.sends(SECOND),
        [(1, 1)],
        "the other one waits for its copy"
    );
    let elsewhere = Find {
        id: "out-elsewhere".to_owned(),
        at: 2,
        ..find(3, None)
    };
    assert_eq!(run.machine.take(LogTime(SECOND), elsewhere), Some(3));
    assert!(!look(&mut run, SECOND, 2, 3));
    assert_eq!(run.machine.state().missing(), 0);
    assert_eq!(run.machine.state().items()[&2].taken.stands_at(), 3);
    let mut run = run.restart(2 * SECOND);
    let sent: Vec<Seq> = run
        .sends(60 * SECOND)
        .into_iter()
        .map(|(seq, _)| seq)
        .collect();
    assert!(sent.contains(&2) && sent.contains(&3), "{sent:?}");
}

#[test]
fn a_copy_that_never_comes_is_given_up_when_an_attempt_would_be() {
    let mut run = Run::new(policy());
    assert!(look(&mut run, 0, 1, 1));
    lose(&mut run, SECOND, 0);
    let deadline = i64::try_from(policy().retry.deadline.as_millis()).expect("milliseconds");
    assert_eq!(run.sends(SECOND + deadline - 1), []);
    assert_eq!(run.letters, 0);
    assert_eq!(run.sends(SECOND + deadline), []);
    assert_eq!(run.letters, 1);
    // The letter waits for the output as well.
    assert!(!look(&mut run, SECOND + deadline, 1, 1));
    assert!(!run.machine.state().items()[&1].missing);
}

#[test]
fn the_time_of_a_copy_that_comes_runs_from_its_first_attempt() {
    let mut run = Run::new(policy());
    assert!(look(&mut run, 0, 1, 1));
    lose(&mut run, SECOND, 0);
    assert!(!look(&mut run, 2 * SECOND, 1, 1));
    assert_eq!(run.machine.state().items()[&1].first_at_ms, None);
    let late = 30 * DAY;
    assert_eq!(run.sends(late), [(1, 1)]);
    assert_eq!(run.letters, 0);
}

#[test]
fn decisions_of_one_millisecond_are_all_heard_behind_a_loss() {
    let mut run = Run::new(policy());
    assert!(run.machine.sees_dead(LogTime(10)));
    run.machine.pass_dead(5);
    let moved = Moved {
        dead: Some(0),
        ..Moved::default()
    };
    run.machine.moved(LogTime(SECOND), moved);
    let mut run = run.restart(SECOND);
    assert_eq!(run.machine.follows().dead, 0);
    assert!(!run.machine.sees_dead(LogTime(9)), "it was heard before");
    assert!(!run.machine.sees_dead(LogTime(10)), "it was heard before");
    assert!(run.machine.sees_dead(LogTime(20)));
    assert!(run.machine.sees_dead(LogTime(20)));
}

#[test]
fn an_output_whose_number_another_has_is_counted_on_behind_it() {
    let mut run = Run::new(policy());
    let retried = Decision {
        seq: 1,
        case: Case {
            output: 3,
            round: 1,
        },
        retry: Some(find(3, None)),
    };
    // Its journal was lost: it is not past what an operator has tried again.
    run.machine.decided(LogTime(0), retried);
    assert!(look(&mut run, 0, 1, 1));
    assert!(look(&mut run, 0, 2, 2));
    assert!(look(&mut run, 0, 30, 3));
    let state = run.machine.state();
    let ids: Vec<(Seq, &str)> = state
        .items()
        .iter()
        .map(|(seq, item)| (*seq, item.taken.id.as_str()))
        .collect();
    assert_eq!(
        ids,
        [(1, "out-1"), (2, "out-2"), (3, "out-3"), (4, "out-30")]
    );
    assert_eq!(state.items()[&4].taken.stands_at(), 3);
    assert_eq!(run.machine.follows().output, 3);
    run.restart(0);
}

#[test]
fn an_output_that_was_tried_again_before_it_was_looked_at_is_not_taken_twice() {
    let mut run = Run::new(policy());
    let retried = Decision {
        seq: 1,
        case: Case {
            output: 1,
            round: 1,
        },
        retry: Some(find(1, None)),
    };
    run.machine.decided(LogTime(0), retried);
    assert!(!look(&mut run, 0, 1, 1));
    assert_eq!(run.machine.state().items().len(), 1);
    assert_eq!(run.machine.state().items()[&1].taken.spot, Some(spot(1)));
    run.restart(0);
}
