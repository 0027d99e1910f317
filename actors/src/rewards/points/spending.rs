//! Points that leave the window otherwise than with their workday: taken for a reward, given back, or owed.
//!
//! What was given stays in its cell, so that a re-export or a revision still finds it; what was taken out of a
//! workday stands beside the cells and leaves with them. So expiry and a reward never take the same point twice
//! (S3.13). `redemption` decides when; here is only from which workdays.

use super::{PointsWindow, Workday};
use crate::stored::wire;

/// Points of one workday, as a part of what a reward takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The workday they came from.
    pub day: Workday,
    /// How many.
    pub points: i64,
}

impl PointsWindow {
    /// Takes points out, the oldest workday's first, and says from where.
    ///
    /// Workdays on which more was taken away than given are paid first, from the oldest points too, so what stays
    /// behind is not a loss whose points are gone. What the window lacks is charged to `today`, which makes the sum
    /// negative.
    pub fn take(&mut self, points: i64, today: Workday) -> Vec<Part> {
        self.settle();
        let (mut lacking, mut parts) = (points, Vec::new());
        for (day, held) in self.by_day() {
            if held > 0 && lacking > 0 {
                let points = held.min(lacking);
                lacking -= points;
                parts.push(Part { day, points });
            }
        }
        if lacking > 0 {
            let points = lacking;
            parts.push(Part { day: today, points });
        }
        for part in &parts {
            self.spend(part.day, part.points);
        }
        parts
    }

    /// Puts points back that [`Self::take`] took. What came from a workday before `start` comes back on that one,
    /// the oldest that counts: for as long as a reward held them they were kept from leaving, and no longer.
    pub fn give_back(&mut self, parts: &[Part], start: Workday) {
        for part in parts {
            self.spend(part.day.max(start), part.points.wrapping_neg());
        }
    }

    /// Writes off up to `points` of what the window lacks, the oldest first: the debt stands elsewhere.
    pub fn write_off(&mut self, points: i64) {
        self.settle();
        let mut left = points;
        for (day, held) in self.by_day() {
            if held < 0 && left > 0 {
                let paid = left.min(held.saturating_neg());
                left -= paid;
                self.spend(day, -paid);
            }
        }
    }

    /// Pays workdays that hold less than nothing from those that hold something, the oldest with the oldest.
    fn settle(&mut self) {
        let days = self.by_day();
        let mut payers = days.iter().filter(|(_, held)| *held > 0).copied();
        let mut payer = payers.next();
        for (day, held) in days.iter().filter(|(_, held)| *held < 0) {
            let mut owed = held.saturating_neg();
            while let Some((from, has)) = payer
                && owed > 0
            {
                let paid = owed.min(has);
                self.spend(from, paid);
                self.spend(*day, -paid);
                owed -= paid;
                payer = if has > paid {
                    Some((from, has - paid))
                } else {
                    payers.next()
                };
            }
        }
    }

    /// What each workday holds: given, less what was taken out. Oldest first; only those that hold something or lack.
    #[must_use]
    pub fn by_day(&self) -> Vec<(Workday, i64)> {
        let mut days: Vec<(Workday, i64)> = Vec::new();
        let mut add = |day: Workday, points: i64| match days.last_mut() {
            Some((last, held)) if *last == day => *held = held.wrapping_add(points),
            Some(_) | None => days.push((day, points)),
        };
        let mut spent = self.spent.iter().peekable();
        for cell in &self.cells {
            while let Some(part) = spent.next_if(|part| part.day < cell.day) {
                add(part.day, part.points.wrapping_neg());
            }
            add(cell.day, cell.points);
            // After the day's first cell: the order within a day does not matter to a sum.
            if let Some(part) = spent.next_if(|part| part.day == cell.day) {
                add(part.day, part.points.wrapping_neg());
            }
        }
        for part in spent {
            add(part.day, part.points.wrapping_neg());
        }
        days.retain(|(_, held)| *held != 0);
        days
    }

    fn spend(&mut self, day: Workday, points: i64) {
        if points == 0 {
            return;
        }
        self.sum = self.sum.wrapping_sub(points);
        match self.spent.binary_search_by_key(&day, |part| part.day) {
            Ok(place) => {
                let part = &mut self.spent[place];
                part.points = part.points.wrapping_add(points);
                if part.points == 0 {
                    self.spent.remove(place);
                }
            }
            Err(place) => self.spent.insert(place, Part { day, points }),
        }
    }

    /// What was taken out of workdays before `start` leaves with them.
    pub(super) fn expire_spent(&mut self, start: Workday) {
        let left = self.spent.partition_point(|part| part.day < start);
        for part in self.spent.drain(..left) {
            self.sum = self.sum.wrapping_add(part.points);
        }
    }
}

/// Tags of the columns in the stored agent.
const SPENT_DAYS: u32 = 60;
const SPENT: u32 = 61;

/// The stored form: workdays as differences, and what was taken out of each.
impl PointsWindow {
    pub(crate) fn encode_spent(&self, into: &mut Vec<u8>) {
        let days = self.spent.iter().map(|part| i64::from(part.day.0));
        wire::sints(SPENT_DAYS, wire::deltas(days), into);
        wire::sints(SPENT, self.spent.iter().map(|part| part.points), into);
    }

    /// `None` if the columns do not fit together.
    pub(crate) fn with_spent(mut self, days: &[i64], points: &[i64]) -> Option<Self> {
        if days.len() != points.len() {
            return None;
        }
        for (day, points) in wire::undelta(days).zip(points) {
            let day = Workday(i32::try_from(day).ok()?);
            if self.spent.last().is_some_and(|before| before.day >= day) {
                return None;
            }
            self.sum = self.sum.wrapping_sub(*points);
            let points = *points;
            self.spent.push(Part { day, points });
        }
        Some(self)
    }
}
