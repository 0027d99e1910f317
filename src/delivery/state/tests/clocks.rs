//! A clock that was ahead: what it was waited for by then is waited for no longer than its interval from now.

use super::*;

const HOUR: i64 = 3_600 * SECOND;

fn rated(by_lane: bool) -> Policy {
    Policy {
        limits: Limits {
            rate: Some(Rate {
                count: NonZeroU32::MIN,
                per: Duration::from_secs(2),
            }),
            by_lane,
            ..policy().limits
        },
        ..policy()
    }
}

/// An attempt while the clock is an hour ahead, and then right, in the same process and in the next.
#[test]
fn a_destination_with_a_rate_waits_one_interval_and_not_an_hour() {
    for restarts in [false, true] {
        let mut run = Run::new(rated(false));
        run.take(1, None);
        run.take(2, None);
        assert_eq!(run.sends(HOUR), [(1, 1)]);
        if restarts {
            run = run.restart(3 * SECOND);
        }
        assert_eq!(run.sends(3 * SECOND), []);
        assert_eq!(run.machine.wake_at(), Some(LogTime(5 * SECOND)));
        assert_eq!(run.sends(5 * SECOND).last(), Some(&(2, 1)));
    }
}

#[test]
fn lanes_pauses_breakers_and_probes_are_brought_back_too() {
    let mut state = State::new(rated(true), Cursor::default());
    let far = LogTime(200 * DAY);
    state.lanes.note(&["C0".to_owned()], far);
    state.lanes.pause(&["C1".to_owned()], far);
    state.breaker = Breaker::Open { until: far };
    state.paused_until = far;
    state.bound_waits(LogTime(0));
    assert_eq!(state.lanes.free_at(&["C0".to_owned()]), LogTime(2 * SECOND));
    assert_eq!(state.lanes.free_at(&["C1".to_owned()]), LogTime(HOUR));
    assert_eq!(state.breaker.retry_at(), Some(LogTime(30 * SECOND)));
    assert_eq!(state.paused_until, LogTime(HOUR));
}

#[test]
fn a_retry_and_a_deadline_count_from_now() {
    let mut run = Run::new(policy());
    run.take_at(200 * DAY, 1, None);
    assert_eq!(run.sends(200 * DAY), [(1, 1)]);
    run.finish(200 * DAY + 5, 1, &again(503, None));
    let wait = run.due(1) - (200 * DAY + 5);
    let run = run.restart(SECOND);
    assert_eq!(run.due(1), SECOND + wait);
    let item = &run.machine.state().items()[&1];
    assert_eq!(item.first_at_ms, Some(SECOND));
}

/// Nothing changes where the clock is as it was, however long something waits.
#[test]
fn what_waits_as_long_as_it_was_told_to_goes_on_waiting() {
    let mut run = Run::new(rated(false));
    run.take(1, None);
    run.sends(0);
    run.finish(5, 1, &again(503, None));
    let before = run.machine.state().clone();
    let run = run.restart(10);
    assert_eq!(*run.machine.state(), before);
}
