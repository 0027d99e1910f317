//! Metrics and adjustments in, the points window (S3.01, S3.03, S3.12).

mod common;

use aftercall_actors::{contract::key::Key, effect::Ignored};
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
fn s3_01_a_first_value_outside_of_all_ranges_is_not_undone_by_an_older_one_that_comes_late() {
    let mut agent = Stage::new(Key::Agent("a1"), rules_and(RANGES));
    let row = |value: f64, recorded: i64| wfm("2026-11-19", "adherence", value, Some(recorded));
    assert_eq!(agent.apply(0, row(0.5, 2)), []);
    assert_eq!(agent.apply(1, row(0.96, 1)), ignored(Ignored::Superseded));
    assert_eq!(agent.points(), 0);
    assert_eq!(agent.apply(2, row(0.5, 2)), ignored(Ignored::Duplicate));
    assert_eq!(agent.apply(3, row(0.96, 2)), []);
    assert_eq!(agent.points(), 10);
}

#[test]
fn s3_01_of_two_values_recorded_at_once_the_one_that_arrives_last_counts() {
    let mut agent = Stage::agent();
    let row = |value: f64| wfm("2026-11-19", "points", value, Some(NOW_MS));
    for value in [7.0, 9.0, 5.0] {
        assert_eq!(agent.apply(0, row(value)), []);
        assert_eq!(agent.points(), value as i64);
    }
}

#[test]
fn s3_01_s3_12_a_value_below_zero_is_taken_and_put_right_by_its_difference() {
    let mut agent = Stage::agent();
    agent.apply(0, wfm("2026-11-18", "points", 20.0, None));
    for (value, balance) in [(-30.0, -10), (-20.0, 0), (-19.0, 1), (5.0, 25)] {
        assert_eq!(agent.apply(1, wfm("2026-11-19", "points", value, None)), []);
        assert_eq!(agent.points(), balance);
    }
}

#[test]
fn s3_01_another_metric_and_another_workday_are_values_of_their_own() {
    let rule = "[[rule]]\nname = \"calls\"\non = \"wfm.metric.recorded\"\n\
                when = 'event.metric == \"calls\"'\npoints = \"event.value\"\n";
    let mut agent = Stage::new(Key::Agent("a1"), rules_and(rule));
    for (date, metric, value) in [
        ("2026-11-18", "points", 1.0),
        ("2026-11-19", "points", 10.0),
        ("2026-11-19", "calls", 100.0),
        ("2026-11-18", "points", 2.0),
    ] {
        assert_eq!(agent.apply(0, wfm(date, metric, value, None)), []);
    }
    assert_eq!(agent.points(), 112);
}

#[test]
fn s3_01_a_metric_without_a_rule_leaves_no_trace() {
    let mut agent = Stage::agent();
    let effects = agent.apply(0, wfm("2026-11-19", "adherence", 1.0, None));
    assert_eq!(effects, ignored(Ignored::UnknownMetric));
    assert_eq!(agent.actor, Stage::agent().actor);
}

#[test]
fn s3_03_a_range_of_values_gives_its_points_from_its_lower_end_to_just_below_its_upper_one() {
    for (value, points) in [
        (0.899_999_999_999, 0),
        (0.9, 5),
        (0.949_999_999_999, 5),
        (0.95, 10),
        (1.0, 10),
    ] {
        let mut agent = Stage::new(Key::Agent("a1"), rules_and(RANGES));
        agent.apply(0, wfm("2026-11-19", "adherence", value, None));
        assert_eq!(agent.points(), points, "{value}");
        // Exported again in another range, or in none, it counts as that.
        for (other, points) in [(0.95, 10), (0.9, 5), (0.0, 0), (0.94, 5)] {
            agent.apply(1, wfm("2026-11-19", "adherence", other, None));
            assert_eq!(agent.points(), points, "{value}, then {other}");
        }
    }
}

#[test]
fn s3_03_points_per_unit_are_rounded_half_away_from_zero_after_the_product() {
    for (value, points) in [
        (3.0, 30),
        (0.149, 1),
        (0.15, 2),
        (0.05, 1),
        (0.049, 0),
        (-0.05, -1),
        (-0.049, 0),
        (-3.0, -30),
    ] {
        let mut agent = Stage::new(Key::Agent("a1"), rules_and(PER_UNIT));
        agent.apply(0, wfm("2026-11-19", "csat", value, None));
        assert_eq!(agent.points(), points, "{value}");
    }
}

#[test]
fn s3_03_rules_that_hold_together_give_their_sum() {
    let more = "[[rule]]\nname = \"perfect\"\non = \"wfm.metric.recorded\"\n\
                when = 'event.metric == \"adherence\" && event.value == 1.0'\npoints = 3\n";
    let mut agent = Stage::new(Key::Agent("a1"), rules_and(&format!("{RANGES}{more}")));
    agent.apply(0, wfm("2026-11-19", "adherence", 1.0, None));
    assert_eq!(agent.points(), 13);
    agent.apply(1, wfm("2026-11-19", "adherence", 0.999_999, None));
    assert_eq!(agent.points(), 10);
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
fn s3_03_a_workday_leaves_at_a_midnight_that_the_clocks_skip_or_come_back_to() {
    // In Santiago 2027-04-03 has 25 hours, and 2027-09-05 begins at one.
    for (oldest, leaves) in [
        ("2027-01-03", "2027-04-04T04:00:00Z"),
        ("2027-06-06", "2027-09-05T04:00:00Z"),
    ] {
        let rules = rules_with("time_zone = \"UTC\"", "time_zone = \"America/Santiago\"");
        let mut agent = Stage::new(Key::Agent("a1"), rules);
        let leaves: jiff::Timestamp = leaves.parse().unwrap();
        let leaves = leaves.as_millisecond() - NOW_MS;
        let row = || wfm(oldest, "points", 1.0, None);
        agent.apply(leaves - 2, row());
        let none = |n: i64| adjusted(&n.to_string(), 0, NOW_MS + leaves);
        agent.apply(leaves - 1, none(0));
        assert_eq!(agent.points(), 1, "{oldest}");
        agent.apply(leaves, none(1));
        assert_eq!(agent.points(), 0, "{oldest}");
        assert_eq!(agent.apply(leaves, row()), ignored(Ignored::TooOld));
    }
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

#[test]
fn s3_03_a_value_beyond_all_bounds_gives_nothing_and_nothing_panics() {
    let most = i64::from(i32::MAX);
    for (value, points) in [
        (f64::MAX, 0),
        (2_147_483_647.5, 0),
        (2_147_483_646.4, most - 1),
        (2_147_483_646.5, most),
        (-2_147_483_648.0, -most - 1),
        (f64::MIN, 0),
    ] {
        let mut agent = rewarded();
        agent.apply(0, wfm("2026-11-18", "points", value, None));
        assert_eq!(agent.points(), points, "{value}");
        agent.apply(1, wfm("2026-11-19", "points", value, None));
        agent.apply(2, reward_outcome(&id(0), "issued"));
        let issued = if points > 0 { 500 } else { 0 };
        assert_eq!(agent.points(), 2 * points - issued, "{value}");
        agent.apply(3, wfm("2026-11-18", "points", -value, None));
        agent.apply(4, wfm("2026-11-19", "points", -value, None));
        agent.wake(5);
        let again = agent.encoded();
        assert!(aftercall_actors::actor::Actor::decode(agent.key.side(), "a1", &again).is_ok());
    }
}

/// Ranges that leave no value between them, and none to two of them.
const RANGES: &str = r#"
[[rule]]
name = "adherence_good"
on = "wfm.metric.recorded"
when = 'event.metric == "adherence" && event.value >= 0.9 && event.value < 0.95'
points = 5

[[rule]]
name = "adherence_best"
on = "wfm.metric.recorded"
when = 'event.metric == "adherence" && event.value >= 0.95'
points = 10
"#;

const PER_UNIT: &str = r#"
[[rule]]
name = "csat_count"
on = "wfm.metric.recorded"
when = 'event.metric == "csat"'
points = "event.value * 10.0"
"#;
