//! The window by workday, for people to read: what each gave, by source, and what was taken out of it.
//!
//! `spending` takes points out by workday too, but only needs what a day still holds; a statement also has to say
//! where that came from. Neighbour: `statement`.

use super::{PointsWindow, Workday};

/// What a workday did to the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayOfWindow<'a> {
    /// The workday.
    pub day: Workday,
    /// Points given, by source: a metric's name, `survey` or `adjustment`. Those that gave nothing are left out.
    pub earned: Vec<(&'a str, i64)>,
    /// Points taken out; negative where more came back than was taken.
    pub taken: i64,
}

impl PointsWindow {
    /// What each workday gave and what was taken out of it, oldest first; only those with either.
    #[must_use]
    pub fn days(&self) -> Vec<DayOfWindow<'_>> {
        let mut days: Vec<DayOfWindow<'_>> = Vec::new();
        let mut spent = self.spent.iter().peekable();
        let blank = |day| DayOfWindow {
            day,
            earned: Vec::new(),
            taken: 0,
        };
        for cells in self.cells.chunk_by(|a, b| a.day == b.day) {
            let mut day = blank(cells[0].day);
            while let Some(part) = spent.next_if(|part| part.day < day.day) {
                days.push(DayOfWindow {
                    taken: part.points,
                    ..blank(part.day)
                });
            }
            if let Some(part) = spent.next_if(|part| part.day == day.day) {
                day.taken = part.points;
            }
            let gave = cells.iter().filter(|cell| cell.points != 0);
            day.earned = gave
                .map(|cell| (self.origin(cell).name(), cell.points))
                .collect();
            days.push(day);
        }
        days.extend(spent.map(|part| DayOfWindow {
            taken: part.points,
            ..blank(part.day)
        }));
        days.retain(|day| day.taken != 0 || !day.earned.is_empty());
        days
    }

    /// Points given on the workdays from `from` to `to`, both included, whatever was taken out since; nothing if none
    /// of them gave any.
    #[must_use]
    pub fn earned_between(&self, from: Workday, to: Workday) -> Option<i64> {
        let begin = self.cells.partition_point(|cell| cell.day < from);
        let cells = self.cells[begin..].iter().take_while(|cell| cell.day <= to);
        let mut gave = cells.filter(|cell| cell.points != 0).peekable();
        gave.peek()?;
        Some(gave.fold(0, |sum, cell| sum.saturating_add(cell.points)))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;

    use super::{super::Source, *};

    #[test]
    fn s3_03_days_say_what_each_gave_by_source_and_what_was_taken_and_add_up_to_the_sum() {
        let mut window = PointsWindow::default();
        window.add(Workday(3), Source::Survey, 10);
        window.add(Workday(3), Source::Adjustment, -4);
        window.replace(Workday(2), "csat", Some(20), None);
        window.replace(Workday(4), "csat", Some(0), None);
        let taken = window.take(25, Workday(5));
        let day = |day, earned, taken| DayOfWindow {
            day: Workday(day),
            earned,
            taken,
        };
        assert_eq!(
            window.days(),
            [
                day(2, vec![("csat", 20)], 20),
                day(3, vec![("survey", 10), ("adjustment", -4)], 5),
            ]
        );
        window.expire(Workday(3));
        window.give_back(&taken, Workday(3));
        assert_eq!(
            window.days(),
            [day(3, vec![("survey", 10), ("adjustment", -4)], -20)]
        );
        assert_eq!(window.sum(), 26);
        // Short of everything: charged to a day that gave nothing.
        window.take(30, Workday(5));
        assert_eq!(window.days()[1], day(5, vec![], 4));
    }

    #[test]
    fn s3_13_what_a_period_gave_counts_its_first_and_last_day_whole_and_nothing_beside_them() {
        let mut window = PointsWindow::default();
        for day in 1..=5 {
            window.add(Workday(day), Source::Survey, 10i64.pow(day as u32 - 1));
        }
        window.take(11, Workday(5));
        let earned = |from, to| window.earned_between(Workday(from), Workday(to));
        assert_eq!(earned(2, 4), Some(1_110));
        assert_eq!(earned(3, 3), Some(100));
        assert_eq!(earned(1, 5), Some(11_111));
        assert_eq!((earned(6, 9), earned(4, 3)), (None, None));
    }

    #[test]
    fn s3_03_a_workday_is_its_date() {
        let date = |day| Workday(day).date().to_string();
        assert_eq!(
            (date(0), date(-1), date(20_777)),
            (
                "1970-01-01".to_owned(),
                "1969-12-31".to_owned(),
                "2026-11-20".to_owned()
            )
        );
        assert_eq!(Workday(i32::MIN).date(), Date::MIN);
        assert_eq!(Workday(i32::MAX).date(), Date::MAX);
        for day in [-1, 0, 20_777] {
            assert_eq!(Workday::from_date(Workday(day).date()), Workday(day));
        }
    }
}
