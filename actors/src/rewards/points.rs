//! Points of one agent in a rolling window of workdays.
//!
//! A sum alone would not do: a re-export replaces what it gave before (S3.01), points leave with their
//! workday (S3.03), and a redemption takes the oldest first (S3.13). So points are kept where they came from,
//! in cells by workday and source; sparse, in one sorted vector, and in columns when stored. `agent` decides
//! what goes in, `redemption` what is taken out (`spending`); this part knows neither rules nor events.

mod days;
mod exports;
mod spending;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

pub use self::{days::DayOfWindow, spending::Part};
use crate::{
    contract::time::{EventTime, LogTime},
    stored::wire,
};

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

    /// When this workday leaves a window of `days` workdays: at the beginning of the first one that does not hold it.
    /// `None` beyond the calendar.
    #[must_use]
    pub fn leaves_at(self, days: u16, zone: &TimeZone) -> Option<LogTime> {
        let first = i64::from(self.0) + i64::from(days) + 1;
        let midnight = Timestamp::from_second(first.checked_mul(DAY_S)?).ok()?;
        let date = TimeZone::UTC.to_datetime(midnight).date();
        // Where midnight is skipped, the first instant after it.
        let begins = zone.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
        Some(LogTime(begins.as_millisecond()))
    }

    /// The calendar date; the calendar's end for a day beyond it.
    #[must_use]
    pub fn date(self) -> Date {
        let epoch = jiff::civil::date(1970, 1, 1);
        epoch.saturating_add(jiff::Span::new().days(self.0.clamp(-DATE_DAYS_MAX, DATE_DAYS_MAX)))
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

/// More days than the calendar has on either side of 1970, and within what a span takes.
const DATE_DAYS_MAX: i32 = 7_000_000;

/// Where points of a workday came from, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin<'a> {
    /// Responses, to customer surveys and eNPS.
    Survey,
    /// Adjustments by a person or process.
    Adjustment,
    /// A metric of an export.
    Metric(&'a str),
}

impl<'a> Origin<'a> {
    /// A metric's name, `survey` or `adjustment`.
    #[must_use]
    pub const fn name(self) -> &'a str {
        match self {
            Self::Survey => "survey",
            Self::Adjustment => "adjustment",
            Self::Metric(name) => name,
        }
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
            Self::Survey => SURVEY,
            Self::Adjustment => ADJUSTMENT,
        }
    }
}

const SURVEY: u8 = 0;
const ADJUSTMENT: u8 = 1;

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
    /// Place of its export's version among them plus one, or [`UNNAMED`]. It takes what padding would.
    export: u16,
}

/// No version of an export.
const UNNAMED: u16 = 0;

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
    /// Versions of exports that cells came with, each once, and none that no cell came with.
    exports: Vec<Box<str>>,
    /// What was taken out of workdays, in their order, each once; negative where more came back than was taken.
    spent: Vec<Part>,
    /// Of all cells, less what was taken out.
    sum: i64,
}

impl PointsWindow {
    /// All points in the window: given, less what was taken out.
    #[must_use]
    pub const fn sum(&self) -> i64 {
        self.sum
    }

    /// What each source gave on each workday, oldest workday first; what was taken out is not deducted.
    pub fn given(&self) -> impl Iterator<Item = (Workday, Origin<'_>, i64)> {
        let cells = self.cells.iter();
        cells.map(|cell| (cell.day, self.origin(cell), cell.points))
    }

    fn origin(&self, cell: &Cell) -> Origin<'_> {
        match cell.source {
            SURVEY => Origin::Survey,
            ADJUSTMENT => Origin::Adjustment,
            // A number without a name is refused when a window is read, and never made.
            metric => {
                let place = usize::from(metric - METRICS_FROM);
                Origin::Metric(self.metrics.get(place).map_or("", |name| name))
            }
        }
    }

    /// The oldest workday that anything is known of.
    #[must_use]
    pub fn oldest(&self) -> Option<Workday> {
        let cell = self.cells.first().map(|cell| cell.day);
        cell.into_iter()
            .chain(self.spent.first().map(|part| part.day))
            .min()
    }

    /// Whether no workday holds anything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.spent.is_empty()
    }

    /// Whether nothing would be left after [`Self::expire`].
    #[must_use]
    pub fn is_blank(&self, start: Workday) -> bool {
        self.cells.last().is_none_or(|newest| newest.day < start)
            && self.spent.last().is_none_or(|newest| newest.day < start)
    }

    /// Lets the workdays before `start` leave.
    pub fn expire(&mut self, start: Workday) {
        self.expire_spent(start);
        if self.cells.first().is_none_or(|oldest| oldest.day >= start) {
            return;
        }
        let left = self.cells.partition_point(|cell| cell.day < start);
        for cell in self.cells.drain(..left) {
            self.sum = self.sum.wrapping_sub(cell.points);
        }
        self.forget_metrics_if_empty();
        self.forget_exports();
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
                    export: UNNAMED,
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
            export: UNNAMED,
        };
        match self.position(day, source) {
            Ok(index) => {
                let old = self.cells[index];
                // Which export says it once more does not matter.
                if (old.points, old.recorded_at) == (points, recorded_at) {
                    return Replaced::Unchanged;
                }
                if recorded_at != UNRECORDED && recorded_at < old.recorded_at {
                    return Replaced::Superseded;
                }
                self.sum = self.sum.wrapping_sub(old.points);
                let export = old.export;
                self.cells[index] = Cell { export, ..cell };
            }
            Err(index) => self.cells.insert(index, cell),
        }
        self.sum = self.sum.wrapping_add(points);
        Replaced::Stored
    }

    /// What stands for `metric` on `day`; `None` if nothing does.
    #[must_use]
    pub fn of_metric(&self, day: Workday, metric: &str) -> Option<i64> {
        let place = self.metrics.iter().position(|name| **name == *metric)?;
        // Below `METRICS_MAX`.
        let found = self.position(day, place as u8 + METRICS_FROM).ok()?;
        self.cells.get(found).map(|cell| cell.points)
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
            exports: Vec::new(),
            spent: Vec::new(),
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
                    export: UNNAMED,
                });
            }
        }
        (points.next().is_none() && recorded.next().is_none()).then_some(window)
    }
}

#[cfg(test)]
mod tests;
