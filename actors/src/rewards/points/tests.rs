//! The window against examples, a plain map, and its stored form.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::stored::state::StoredAgent;

fn stored(window: &PointsWindow) -> Vec<u8> {
    let mut bytes = Vec::new();
    window.encode(&mut bytes);
    bytes
}

fn read(bytes: &[u8]) -> Option<PointsWindow> {
    let stored: StoredAgent = prost::Message::decode(bytes).ok()?;
    PointsWindow::decode(
        stored.metrics,
        &stored.point_days,
        &stored.point_sources,
        &stored.points,
        &stored.recorded,
    )
}

fn at(text: &str) -> EventTime {
    text.parse().unwrap()
}

#[test]
fn s3_03_a_workday_is_a_date_in_the_business_units_zone() {
    let zone = TimeZone::get("America/New_York").unwrap();
    let day = Workday::from_date(jiff::civil::date(2026, 11, 19));
    assert_eq!(Workday::of(at("2026-11-20T04:59:59.999Z"), &zone), day);
    assert_eq!(
        Workday::of(at("2026-11-20T05:00:00Z"), &zone),
        Workday(day.0 + 1)
    );
    assert_eq!(
        Workday::of(at("1969-12-31T23:59:59.999Z"), &TimeZone::UTC),
        Workday(-1)
    );
    assert!(Workday::of(EventTime(i64::MIN), &zone) < Workday::of(EventTime(i64::MAX), &zone));
}

/// Workdays of 23 and of 25 hours: where clocks change in the night, where they skip midnight, and where they come
/// back to the hour before it.
#[test]
fn s3_03_a_workday_ends_at_its_own_midnight_however_long_it_was() {
    let days = [
        ("America/New_York", "2026-03-08T05:00:00Z", 23),
        ("America/New_York", "2026-11-01T04:00:00Z", 25),
        ("America/Santiago", "2026-09-06T04:00:00Z", 23),
        ("America/Santiago", "2026-04-04T03:00:00Z", 25),
        ("Asia/Beirut", "2026-03-28T22:00:00Z", 23),
        ("Asia/Beirut", "2026-10-23T21:00:00Z", 25),
        ("Australia/Lord_Howe", "2026-10-03T13:30:00Z", 23),
        ("UTC", "2026-03-08T00:00:00Z", 24),
    ];
    for (name, begins, hours) in days {
        let zone = TimeZone::get(name).unwrap();
        let begins = at(begins);
        let half_hour_ms = if name.ends_with("Howe") { 1_800_000 } else { 0 };
        let ends = EventTime(begins.0 + hours * 3_600_000 + half_hour_ms);
        let day = Workday::of(begins, &zone);
        let of = |ms: i64| Workday::of(EventTime(ms), &zone).0 - day.0;
        let found = [of(begins.0 - 1), of(begins.0), of(ends.0 - 1), of(ends.0)];
        assert_eq!(found, [-1, 0, 0, 1], "{name}");
        // A window of no days holds today only.
        assert_eq!(day.leaves_at(0, &zone), Some(LogTime(ends.0)), "{name}");
        let before = Workday(day.0 - 1);
        assert_eq!(
            before.leaves_at(0, &zone),
            Some(LogTime(begins.0)),
            "{name}"
        );
    }
}

#[test]
fn s3_03_a_workday_leaves_at_its_end_plus_the_windows_length() {
    let mut window = PointsWindow::default();
    window.add(Workday(100), Source::Survey, 10);
    window.expire(Workday(190).window_start(90));
    assert_eq!(window.sum(), 10);
    assert!(window.is_blank(Workday(191).window_start(90)));
    window.expire(Workday(191).window_start(90));
    assert_eq!(window, PointsWindow::default());
}

#[test]
fn s3_01_a_re_export_replaces_and_an_older_record_does_not() {
    let mut window = PointsWindow::default();
    let mut put = |points: i64, at: Option<i64>| {
        let points = (points != 0).then_some(points);
        let what = window.replace(Workday(1), "csat", points, at.map(EventTime));
        (what, window.sum())
    };
    assert_eq!(put(0, Some(1)), (Replaced::Unknown, 0));
    assert_eq!(put(10, Some(5)), (Replaced::Stored, 10));
    assert_eq!(put(10, Some(5)), (Replaced::Unchanged, 10));
    assert_eq!(put(30, Some(4)), (Replaced::Superseded, 10));
    assert_eq!(put(20, Some(5)), (Replaced::Stored, 20));
    assert_eq!(put(0, Some(6)), (Replaced::Stored, 0));
    assert_eq!(put(30, Some(5)), (Replaced::Superseded, 0));
    assert_eq!(put(40, None), (Replaced::Stored, 40));
    assert_eq!(put(50, Some(1)), (Replaced::Stored, 50));
}

#[test]
fn s3_12_adjustments_and_surveys_add_up_and_leave_no_cell_at_zero() {
    let mut window = PointsWindow::default();
    window.add(Workday(1), Source::Survey, 10);
    window.add(Workday(1), Source::Adjustment, -30);
    assert_eq!(window.sum(), -20);
    window.add(Workday(1), Source::Adjustment, 30);
    window.add(Workday(1), Source::Survey, -10);
    assert_eq!(window, PointsWindow::default());
}

#[test]
fn the_metrics_an_agent_has_points_from_are_bounded_and_an_unused_name_makes_room() {
    let mut window = PointsWindow::default();
    for n in 0..METRICS_MAX {
        let day = Workday(i32::from(n > 0));
        assert_eq!(
            window.replace(day, &n.to_string(), Some(1), None),
            Replaced::Stored
        );
    }
    assert_eq!(
        window.replace(Workday(1), "more", Some(1), None),
        Replaced::Unknown
    );
    assert_eq!(read(&stored(&window)), Some(window.clone()));
    window.expire(Workday(1));
    assert_eq!(
        window.replace(Workday(1), "more", Some(1), None),
        Replaced::Stored
    );
    assert_eq!(window.sum(), METRICS_MAX as i64);
}

#[test]
fn s3_14_what_was_given_is_told_by_name_whatever_was_taken_out() {
    let mut window = PointsWindow::default();
    window.replace(Workday(2), "csat", Some(30), None);
    window.add(Workday(2), Source::Adjustment, -5);
    window.add(Workday(1), Source::Survey, 10);
    window.take(20, Workday(3));
    let given: Vec<_> = window.given().collect();
    assert_eq!(
        given,
        [
            (Workday(1), Origin::Survey, 10),
            (Workday(2), Origin::Adjustment, -5),
            (Workday(2), Origin::Metric("csat"), 30),
        ]
    );
    assert_eq!((window.sum(), window.oldest()), (15, Some(Workday(1))));
    assert_eq!(PointsWindow::default().oldest(), None);
    // A workday of which only something taken out is known counts as well.
    window.add(Workday(1), Source::Survey, -10);
    assert_eq!(window.oldest(), Some(Workday(1)));
}

#[test]
fn s3_03_a_workday_is_its_date_and_the_other_way_round() {
    for day in [-719_528, -1, 0, 1, 20_777, 2_932_894] {
        assert_eq!(Workday::from_date(Workday(day).date()), Workday(day));
    }
    assert_eq!(Workday(i32::MAX).date(), Date::MAX);
    assert_eq!(Workday(i32::MIN).date(), Date::MIN);
}

/// 90 workdays of four metrics, each recorded at a time of its own the next morning.
fn full_window() -> PointsWindow {
    let mut window = PointsWindow::default();
    for day in 20_000..20_090 {
        for (n, metric) in ["csat", "aht_compliance", "adherence", "points"]
            .iter()
            .enumerate()
        {
            let recorded_ms =
                (i64::from(day) + 1) * 86_400_000 + 3_600_000 * n as i64 + i64::from(day) % 977;
            window.replace(
                Workday(day),
                metric,
                Some(10 + 10 * n as i64),
                Some(EventTime(recorded_ms)),
            );
        }
    }
    window
}

#[test]
fn an_agent_with_90_full_workdays_stays_under_2_kib_stored_and_10_kib_live() {
    let window = full_window();
    let live = window.cells.len() * size_of::<Cell>();
    assert_eq!((window.cells.len(), window.sum()), (90 * 4, 90 * 100));
    assert!(
        stored(&window).len() < 2_048,
        "{} bytes",
        stored(&window).len()
    );
    assert!(live < 10_240, "{live} bytes");
    assert_eq!(read(&stored(&window)), Some(window));
}

#[test]
fn columns_that_do_not_fit_together_are_refused() {
    let names = || vec!["csat".to_owned()];
    let decode = |days: &[i64], sources: &[u64], points: &[i64], recorded: &[u64]| {
        PointsWindow::decode(names(), days, sources, points, recorded)
    };
    assert!(decode(&[5], &[0b101], &[1, 2], &[0]).is_some());
    assert!(
        decode(&[5, 0], &[1, 1], &[1, 2], &[]).is_none(),
        "a workday twice"
    );
    assert!(
        decode(&[5], &[], &[1], &[]).is_none(),
        "workday without sources"
    );
    assert!(
        decode(&[5], &[0b1000], &[1], &[0]).is_none(),
        "metric without a name"
    );
    assert!(
        decode(&[5], &[0b101], &[1], &[0]).is_none(),
        "points missing"
    );
    assert!(
        decode(&[5], &[0b101], &[1, 2, 3], &[0]).is_none(),
        "points left over"
    );
    assert!(
        decode(&[5], &[0b101], &[1, 2], &[]).is_none(),
        "time of record missing"
    );
    assert!(
        decode(&[i64::MAX], &[1], &[1], &[]).is_none(),
        "no such day"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Add(i32, bool, i64),
    Replace(i32, u8, i64, Option<i64>),
    Expire(i32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (-3i32..20, any::<bool>(), -50i64..50).prop_map(|(d, s, p)| Step::Add(d, s, p)),
        6 => (-3i32..20, 0u8..5, -50i64..50, prop::option::of(0i64..9)).prop_map(|(d, m, p, r)| Step::Replace(d, m, p, r)),
        1 => (-3i32..20).prop_map(Step::Expire),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn s3_01_the_sum_is_that_of_a_map_from_source_to_points(steps in steps()) {
        let mut window = PointsWindow::default();
        let mut given = BTreeMap::<(i32, String), (i64, Option<i64>)>::new();
        for step in steps {
            match step {
                Step::Add(day, survey, points) => {
                    window.add(Workday(day), if survey { Source::Survey } else { Source::Adjustment }, points);
                    given.entry((day, survey.to_string())).or_default().0 += points;
                }
                Step::Replace(day, metric, points, recorded) => {
                    window.replace(Workday(day), &metric.to_string(), Some(points), recorded.map(EventTime));
                    let old = given.entry((day, metric.to_string())).or_default();
                    if recorded.is_none() || recorded >= old.1 { *old = (points, recorded); }
                }
                Step::Expire(start) => {
                    window.expire(Workday(start));
                    given.retain(|(day, _), _| *day >= start);
                }
            }
            prop_assert_eq!(window.sum(), given.values().map(|cell| cell.0).sum::<i64>());
            let again = read(&stored(&window));
            prop_assert_eq!(again.as_ref(), Some(&window));
        }
    }
}
