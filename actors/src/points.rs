//! Points of one agent in a rolling window of workdays.
//!
//! A sum alone would not do: a re-export replaces what it gave before (S3.01), points leave with their
//! workday (S3.03), and a redemption takes the oldest first (S3.13). So points are kept where they came from,
//! in cells by workday and source; sparse, in one sorted vector, and in columns when stored. `agent` decides
//! what goes in; this part knows neither rules nor events.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{time::EventTime, wire};

const DAY_S: i64 = 24 * 60 * 60;

/// A workday: a calendar date in the business unit's zone.
///
/// Unit: days since 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Workday(pub i32);

impl Workday {
    /// The workday in which `at` falls in `zone`.
    #[must_use]
    pub fn of(at: EventTime, zone: &TimeZone) -> Self {
        let instant = Timestamp::from_millisecond(at.0).unwrap_or(if at.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        });
        let local_s = instant.as_millisecond().div_euclid(1_000)
            + i64::from(zone.to_offset(instant).seconds());
        Self::from_seconds(local_s)
    }

    /// The workday with this date.
    #[must_use]
    pub fn from_date(date: Date) -> Self {
        // A date at midnight UTC is always an instant, save at the two ends of the calendar.
        Self::from_seconds(
            TimeZone::UTC
                .to_timestamp(date.at(0, 0, 0, 0))
                .map_or(0, Timestamp::as_second),
        )
    }

    fn from_seconds(seconds: i64) -> Self {
        // Four digits of years are under four million days.
        Self(seconds.div_euclid(DAY_S) as i32)
    }

    /// The oldest workday in a window of `days` on this day.
    ///
    /// Boundary: a workday leaves at its end plus the window's length (S3.03), so the window holds today and
    /// the `days` workdays before it.
    #[must_use]
    pub const fn window_start(self, days: u16) -> Self {
        Self(self.0.saturating_sub(days as i32))
    }
}

/// Where accumulating points come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Responses, to customer surveys and eNPS.
    Survey,
    /// Adjustments by a person or process.
    Adjustment,
}

impl Source {
    const fn number(self) -> u8 {
        match self {
            Self::Survey => 0,
            Self::Adjustment => 1,
        }
    }
}

/// Number of the first metric among the sources.
const METRICS_FROM: u8 = 2;

/// Most metrics that can hold points of one agent at a time: with the two others, one bit each.
pub const METRICS_MAX: usize = 62;

/// What became of a metric's points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// They stand now.
    Stored,
    /// They stood already, with the same time of record.
    Unchanged,
    /// A newer record stands.
    Superseded,
    /// No rule gives any, and none did on another workday; or there are [`METRICS_MAX`] others that have some.
    Unknown,
}

/// What one source gave on one workday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    points: i64,
    /// When the export recorded it, in milliseconds of event time, or [`UNRECORDED`].
    recorded_at: i64,
    day: Workday,
    source: u8,
}

/// No time of record. Cheaper than an option: there are hundreds of cells.
const UNRECORDED: i64 = i64::MIN;

/// Points an agent holds in the rolling window, oldest workday first.
///
/// Unit: whole points, summed exactly. Workdays are dates in the business unit's time zone. Workdays still
/// to come are kept and count from the start. Source: REQUIREMENTS S3.01, S3.03.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PointsWindow {
    cells: Vec<Cell>,
    /// Names of metrics; the place of one plus [`METRICS_FROM`] is its source number.
    metrics: Vec<Box<str>>,
    /// Of all cells.
    sum: i64,
}

impl PointsWindow {
    /// All points in the window.
    #[must_use]
    pub const fn sum(&self) -> i64 {
        self.sum
    }

    /// Whether no workday holds anything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Whether nothing would be left after [`Self::expire`].
    #[must_use]
    pub fn is_blank(&self, start: Workday) -> bool {
        self.cells.last().is_none_or(|newest| newest.day < start)
    }

    /// Lets the workdays before `start` leave.
    pub fn expire(&mut self, start: Workday) {
        if self.cells.first().is_none_or(|oldest| oldest.day >= start) {
            return;
        }
        let left = self.cells.partition_point(|cell| cell.day < start);
        for cell in self.cells.drain(..left) {
            self.sum = self.sum.wrapping_sub(cell.points);
        }
        self.forget_metrics_if_empty();
    }

    /// Adds `points`, which may be negative, to what `source` has given on `day`.
    pub fn add(&mut self, day: Workday, source: Source, points: i64) {
        if points == 0 {
            return;
        }
        self.sum = self.sum.wrapping_add(points);
        match self.position(day, source.number()) {
            Ok(index) => {
                let cell = &mut self.cells[index];
                cell.points = cell.points.wrapping_add(points);
                if cell.points == 0 {
                    self.cells.remove(index);
                    self.forget_metrics_if_empty();
                }
            }
            Err(index) => self.cells.insert(
                index,
                Cell {
                    points,
                    recorded_at: UNRECORDED,
                    day,
                    source: source.number(),
                },
            ),
        }
    }

    /// Puts `points` in the place of what `metric` gave on `day`, unless a newer record stands there.
    ///
    /// "Newer" is by time of record where both have one, else by arrival. Without a rule that gives any
    /// (`None`) they are zero, and are kept as such only if the metric has given some on any workday: so an
    /// older record that comes late cannot stand in for them, and a metric no rule knows takes no room.
    pub fn replace(
        &mut self,
        day: Workday,
        metric: &str,
        points: Option<i64>,
        recorded_at: Option<EventTime>,
    ) -> Replaced {
        let Some(source) = self.source_of(metric, points.is_some()) else {
            return Replaced::Unknown;
        };
        let points = points.unwrap_or(0);
        let recorded_at = recorded_at.map_or(UNRECORDED, |at| at.0);
        let cell = Cell {
            points,
            recorded_at,
            day,
            source,
        };
        match self.position(day, source) {
            Ok(index) => {
                let old = self.cells[index];
                if old == cell {
                    return Replaced::Unchanged;
                }
                if recorded_at != UNRECORDED && recorded_at < old.recorded_at {
                    return Replaced::Superseded;
                }
                self.sum = self.sum.wrapping_sub(old.points);
                self.cells[index] = cell;
            }
            Err(index) => self.cells.insert(index, cell),
        }
        self.sum = self.sum.wrapping_add(points);
        Replaced::Stored
    }

    fn position(&self, day: Workday, source: u8) -> Result<usize, usize> {
        self.cells
            .binary_search_by_key(&(day, source), |cell| (cell.day, cell.source))
    }

    /// The number of a metric; a new one if `make` and there is room.
    fn source_of(&mut self, metric: &str, make: bool) -> Option<u8> {
        let known = self.metrics.iter().position(|name| **name == *metric);
        let place = match known {
            Some(place) => place,
            None if !make => return None,
            None if self.metrics.len() < METRICS_MAX => {
                self.metrics.push(metric.into());
                self.metrics.len() - 1
            }
            None => {
                let place = (0..METRICS_MAX).find(|&place| self.is_unused(place))?;
                self.metrics[place] = metric.into();
                place
            }
        };
        // Below `METRICS_MAX`.
        Some(place as u8 + METRICS_FROM)
    }

    fn is_unused(&self, place: usize) -> bool {
        let source = place as u8 + METRICS_FROM;
        self.cells.iter().all(|cell| cell.source != source)
    }

    fn forget_metrics_if_empty(&mut self) {
        if self.cells.is_empty() {
            self.metrics.clear();
        }
    }
}

/// Tags of the columns in the stored agent.
const METRICS: u32 = 19;
const DAYS: u32 = 20;
const SOURCES: u32 = 21;
const POINTS: u32 = 22;
const RECORDED: u32 = 23;

/// The stored form: for each workday a bit per source, for each cell its points, for each cell of a metric
/// its time of record, every time as the difference to the one before.
impl PointsWindow {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        for metric in &self.metrics {
            wire::bytes(METRICS, metric.as_bytes(), into);
        }
        let days = self.cells.chunk_by(|a, b| a.day == b.day);
        let numbers = days.clone().map(|cells| i64::from(cells[0].day.0));
        wire::sints(DAYS, wire::deltas(numbers), into);
        let bits = |cells: &[Cell]| cells.iter().fold(0, |bits, cell| bits | 1 << cell.source);
        wire::uints(SOURCES, days.map(bits), into);
        wire::sints(POINTS, self.cells.iter().map(|cell| cell.points), into);
        let metrics = self.cells.iter().filter(|cell| cell.source >= METRICS_FROM);
        let recorded = metrics.scan(0i64, |last, cell| {
            Some(if cell.recorded_at == UNRECORDED {
                0
            } else {
                let delta = cell.recorded_at.wrapping_sub(*last);
                *last = cell.recorded_at;
                wire::zigzag(delta).wrapping_add(1)
            })
        });
        wire::uints(RECORDED, recorded, into);
    }

    /// `None` if the columns do not fit together.
    pub(crate) fn decode(
        metrics: Vec<String>,
        days: &[i64],
        sources: &[u64],
        points: &[i64],
        recorded: &[u64],
    ) -> Option<Self> {
        let mut window = Self {
            cells: Vec::with_capacity(points.len()),
            metrics: metrics.into_iter().map(Into::into).collect(),
            sum: 0,
        };
        let sources_max = window.metrics.len() + usize::from(METRICS_FROM);
        let (mut points, mut recorded, mut last) = (points.iter(), recorded.iter(), 0i64);
        if days.len() != sources.len() || window.metrics.len() > METRICS_MAX {
            return None;
        }
        for (day, bits) in wire::undelta(days).zip(sources) {
            let day = Workday(i32::try_from(day).ok()?);
            let is_later = window.cells.last().is_none_or(|before| before.day < day);
            if !is_later || *bits == 0 || 64 - bits.leading_zeros() as usize > sources_max {
                return None;
            }
            for source in (0u8..64).filter(|source| bits >> source & 1 == 1) {
                let points = *points.next()?;
                let recorded_at = match source {
                    METRICS_FROM.. => match recorded.next()? {
                        0 => UNRECORDED,
                        coded => {
                            last = last.wrapping_add(wire::unzigzag(coded - 1));
                            last
                        }
                    },
                    _ => UNRECORDED,
                };
                window.sum = window.sum.wrapping_add(points);
                window.cells.push(Cell {
                    points,
                    recorded_at,
                    day,
                    source,
                });
            }
        }
        (points.next().is_none() && recorded.next().is_none()).then_some(window)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::state::StoredAgent;

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
}
