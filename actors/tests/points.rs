//! Metrics and adjustments in, the points window (S3.01, S3.03, S3.12).

mod common;

use aftercall_actors::{effect::Ignored, key::Key};
use common::*;

#[test]
fn s3_01_a_re_export_replaces_the_points_of_its_workday_and_metric() {
    let mut agent = Stage::agent();
    let row =
        |value: f64, recorded: i64| wfm("2026-11-19", "points", value, Some(NOW_MS + recorded));
    assert_eq!(agent.apply(0, row(7.0, 0)), []);
    assert_eq!(agent.apply(1, row(7.0, 0)), ignored(Ignored::Duplicate));
    assert_eq!(agent.apply(2, row(5.0, -1)), ignored(Ignored::Superseded));
    assert_eq!(agent.points(), 7);
    assert_eq!(agent.apply(3, row(0.0, 1)), []);
    assert_eq!(agent.points(), 0);
    assert_eq!(agent.apply(4, row(7.0, 0)), ignored(Ignored::Superseded));
    assert_eq!(agent.points(), 0);
    agent.apply(5, wfm("2026-11-18", "points", 3.0, None));
    assert_eq!(agent.points(), 3);
}

#[test]
fn s3_01_a_first_row_of_no_points_is_not_undone_by_an_older_one_that_comes_late() {
    let mut agent = Stage::agent();
    assert_eq!(
        agent.apply(0, wfm("2026-11-19", "points", 0.0, Some(2))),
        []
    );
    let late = agent.apply(1, wfm("2026-11-19", "points", 9.0, Some(1)));
    assert_eq!(late, ignored(Ignored::Superseded));
    assert_eq!(agent.points(), 0);
}

#[test]
fn s3_01_a_metric_without_a_rule_leaves_no_trace() {
    let mut agent = Stage::agent();
    let effects = agent.apply(0, wfm("2026-11-19", "adherence", 1.0, None));
    assert_eq!(effects, ignored(Ignored::UnknownMetric));
    assert_eq!(agent.actor, Stage::agent().actor);
}

#[test]
fn s3_03_a_workday_leaves_at_its_end_plus_the_window_in_the_business_units_zone() {
    let rules = rules_with("time_zone = \"UTC\"", "time_zone = \"America/New_York\"");
    let mut agent = Stage::new(Key::Agent("a1"), rules);
    // 2026-11-20T05:00Z is midnight there; 90 workdays before 11-20 is 08-22.
    let midnight = -5 * HOUR_MS;
    agent.apply(midnight, wfm("2026-08-22", "points", 1.0, None));
    assert_eq!(agent.points(), 1);
    let one_older = agent.apply(midnight, wfm("2026-08-21", "points", 1.0, None));
    assert_eq!(one_older, ignored(Ignored::TooOld));
    agent.apply(midnight - 1, wfm("2026-08-21", "points", 1.0, None));
    assert_eq!(agent.points(), 2);
    agent.apply(midnight, wfm("2026-11-20", "points", 1.0, None));
    assert_eq!(agent.points(), 2);
}

#[test]
fn s3_03_a_workday_still_to_come_counts_from_the_start() {
    let mut agent = Stage::agent();
    agent.apply(0, wfm("2026-12-24", "points", 4.0, None));
    assert_eq!(agent.points(), 4);
}

#[test]
fn s3_12_an_adjustment_counts_once_and_may_be_negative() {
    let mut agent = Stage::agent();
    assert_eq!(agent.apply(0, adjusted("x", -30, NOW_MS)), []);
    assert_eq!(
        agent.apply(1, adjusted("x", -30, NOW_MS)),
        ignored(Ignored::Duplicate)
    );
    assert_eq!(agent.points(), -30);
    let end = 90 * DAY_MS;
    assert_eq!(
        agent.apply(end, adjusted("x", -30, NOW_MS)),
        ignored(Ignored::Duplicate)
    );
    // After its workday has left, it is too old or a duplicate; in no case does it count again.
    for days in 91..100 {
        let again = agent.apply(days * DAY_MS, adjusted("x", -30, NOW_MS));
        assert!(matches!(
            again[..],
            [aftercall_actors::effect::Effect::Ignore(_)]
        ));
        assert_eq!(agent.points(), 0);
    }
}

#[test]
fn s3_12_an_adjustment_still_to_take_effect_counts_once_for_as_long_as_its_points_stay() {
    for ahead in [0, 1, 30, 400] {
        let mut agent = Stage::agent();
        let grant = || adjusted("x", 30, NOW_MS + ahead * DAY_MS);
        assert_eq!(agent.apply(0, grant()), []);
        // Its workday leaves at the midnight that ends the 90th day after it.
        let leaves = (ahead + 90) * DAY_MS + 14 * HOUR_MS;
        for (after_ms, points) in [(94 * DAY_MS, 30), (leaves - 1, 30), (leaves, 0)] {
            if after_ms > leaves {
                continue;
            }
            let again = agent.apply(after_ms, grant());
            assert!(
                matches!(again[..], [aftercall_actors::effect::Effect::Ignore(_)]),
                "{ahead} days ahead, again after {after_ms} ms"
            );
            assert_eq!(agent.points(), points, "{ahead} days ahead");
        }
    }
}

#[test]
fn s3_03_sums_are_exact_beyond_32_bits() {
    let mut agent = Stage::agent();
    for n in 0..4 {
        agent.apply(0, adjusted(&n.to_string(), i32::MAX, NOW_MS));
    }
    assert_eq!(agent.points(), 4 * i64::from(i32::MAX));
}
