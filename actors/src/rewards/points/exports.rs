//! Which export the points of a metric came with: what a request for a reward says of its points (S3.06).
//!
//! A version is kept once, and each cell of a metric knows the number of its own; so a year of daily exports costs a name
//! a day, and an export format that never changes its version costs one name.

use super::{Cell, METRICS_FROM, Part, PointsWindow, UNNAMED, Workday};
use crate::stored::wire;

impl PointsWindow {
    /// Notes the version of the export that what stands for `metric` on `day` came with.
    pub fn came_with(&mut self, day: Workday, metric: &str, version: Option<&str>) {
        let Some(place) = self.metrics.iter().position(|name| **name == *metric) else {
            return;
        };
        // Below `METRICS_MAX`.
        let Ok(index) = self.position(day, place as u8 + METRICS_FROM) else {
            return;
        };
        let export = match version {
            Some(version) => self.export_number(version),
            None => UNNAMED,
        };
        let old = std::mem::replace(&mut self.cells[index].export, export);
        if old != UNNAMED && old != export {
            self.forget_exports();
        }
    }

    /// The version of the newest of the exports that `parts` came from; nothing if no export gave any of them. `last` is
    /// for points of which it is not known: an export without a version gave them, or they came back to a workday that
    /// is not their own.
    #[must_use]
    pub fn export_of<'a>(&'a self, parts: &[Part], last: Option<&'a str>) -> Option<&'a str> {
        let days = parts.iter().rev().map(|part| self.of_day(part.day));
        let mut stray = false;
        for cells in days {
            let gave = |cell: &&Cell| cell.points > 0;
            let metrics = cells.iter().filter(|cell| cell.source >= METRICS_FROM);
            if let Some(newest) = metrics.filter(gave).max_by_key(|cell| cell.recorded_at) {
                return self.export_name(newest.export).or(last);
            }
            stray |= !cells.iter().any(|cell| cell.points > 0);
        }
        last.filter(|_| stray)
    }

    fn of_day(&self, day: Workday) -> &[Cell] {
        let from = self.cells.partition_point(|cell| cell.day < day);
        let to = self.cells.partition_point(|cell| cell.day <= day);
        &self.cells[from..to]
    }

    fn export_name(&self, number: u16) -> Option<&str> {
        let place = usize::from(number).checked_sub(1)?;
        self.exports.get(place).map(|name| &**name)
    }

    /// The number of a version; a new one if there is room, and there are as many as numbers.
    fn export_number(&mut self, version: &str) -> u16 {
        // Most rows are of the last export.
        let known = self.exports.iter().rposition(|name| **name == *version);
        let place = known.unwrap_or_else(|| {
            self.exports.push(version.into());
            self.exports.len() - 1
        });
        u16::try_from(place + 1).unwrap_or(UNNAMED)
    }

    /// Forgets which export any points came with.
    pub(crate) fn forget_all_exports(&mut self) {
        self.exports.clear();
        for cell in &mut self.cells {
            cell.export = UNNAMED;
        }
    }

    /// Forgets the versions that no cell came with any more.
    pub(super) fn forget_exports(&mut self) {
        if self.exports.is_empty() {
            return;
        }
        let mut used = vec![false; self.exports.len() + 1];
        for cell in &self.cells {
            if let Some(used) = used.get_mut(usize::from(cell.export)) {
                *used = true;
            }
        }
        if used.iter().skip(1).all(|used| *used) {
            return;
        }
        let mut next = UNNAMED;
        let numbers = used.iter().enumerate().map(|(number, used)| {
            next += u16::from(*used && number > 0);
            next
        });
        let numbers: Vec<u16> = numbers.collect();
        for cell in &mut self.cells {
            if cell.export != UNNAMED {
                cell.export = numbers[usize::from(cell.export)];
            }
        }
        let mut number = 0;
        self.exports.retain(|_| {
            number += 1;
            used[number]
        });
    }
}

/// Tags of the columns in the stored agent.
const EXPORTS: u32 = 68;
const CELL_EXPORTS: u32 = 69;

impl PointsWindow {
    pub(crate) fn encode_exports(&self, into: &mut Vec<u8>) {
        if self.exports.is_empty() {
            return;
        }
        for version in &self.exports {
            wire::bytes(EXPORTS, version.as_bytes(), into);
        }
        let metrics = self.cells.iter().filter(|cell| cell.source >= METRICS_FROM);
        let numbers = metrics.map(|cell| u64::from(cell.export));
        wire::uints(CELL_EXPORTS, numbers, into);
    }

    /// `None` if the columns do not fit together.
    pub(crate) fn with_exports(mut self, versions: Vec<String>, numbers: &[u32]) -> Option<Self> {
        let metrics = self.cells.iter_mut();
        let metrics: Vec<&mut Cell> = metrics.filter(|cell| cell.source >= METRICS_FROM).collect();
        if !numbers.is_empty() && numbers.len() != metrics.len() {
            return None;
        }
        for (cell, number) in metrics.into_iter().zip(numbers) {
            if *number as usize > versions.len() {
                return None;
            }
            cell.export = u16::try_from(*number).ok()?;
        }
        self.exports = versions.into_iter().map(Into::into).collect();
        Some(self)
    }
}
