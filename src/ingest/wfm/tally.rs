//! What an import found, for a summary that an operator can act on.

use std::collections::{BTreeMap, HashSet};

use jiff::civil::Date;
use serde::Serialize;

use super::BadRow;

/// Lines named of each group of bad rows.
const LINES_SHOWN: usize = 5;

/// Bad rows named one by one.
const ROWS_SHOWN: usize = 20;

/// Most groups of bad rows, and most metrics, told apart: names come from the file.
const NAMES_MAX: usize = 500;

/// What everything beyond [`NAMES_MAX`] is counted under.
const OTHERS: &str = "(others)";

/// Counts of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Rows, good and bad.
    pub rows: u64,
    /// Rows left out.
    pub bad: u64,
    /// Of these, those that go into quarantine.
    pub quarantined: u64,
    /// Values of good rows, without those that are repeated.
    pub metrics: u64,
    /// Values that stand there again, the same as before.
    pub repeated: u64,
    /// Values by metric.
    pub by_metric: BTreeMap<String, u64>,
    /// First and last workday of good rows.
    pub dates: Option<(String, String)>,
    /// Agents in good rows.
    pub agents: usize,
    /// Bad rows by what is wrong with them.
    pub bad_by_reason: Vec<BadGroup>,
    /// The first bad rows, one by one.
    pub bad_rows: Vec<BadPlace>,
    /// Line, column and reason of the first bad row, for people.
    #[serde(skip)]
    pub first: Option<String>,
    #[serde(skip)]
    days: Option<(Date, Date)>,
    #[serde(skip)]
    agent_hashes: HashSet<u64>,
}

/// One bad row: where, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadPlace {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The column.
    pub column: Option<String>,
    /// The flaw's name.
    pub reason: &'static str,
    /// What was found, and what would be right.
    pub detail: String,
}

/// Bad rows that are wrong in the same column in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadGroup {
    /// The flaw's name.
    pub reason: &'static str,
    /// The column.
    pub column: Option<String>,
    /// How many.
    pub rows: u64,
    /// The first lines.
    pub first_lines: Vec<u64>,
    /// What is said of the first of them.
    pub example: String,
}

impl Tally {
    /// Counts a good row's agent and workday.
    pub(super) fn good(&mut self, agent: u64, day: Date) {
        self.rows += 1;
        self.agent_hashes.insert(agent);
        self.agents = self.agent_hashes.len();
        let days = self
            .days
            .map_or((day, day), |(first, last)| (first.min(day), last.max(day)));
        if self.days != Some(days) {
            self.days = Some(days);
            self.dates = Some((days.0.to_string(), days.1.to_string()));
        }
    }

    /// Counts one value.
    pub(super) fn metric(&mut self, name: &str) {
        self.metrics += 1;
        if let Some(count) = self.by_metric.get_mut(name) {
            *count += 1;
            return;
        }
        let is_known = self.by_metric.len() < NAMES_MAX;
        let name = if is_known { name } else { OTHERS };
        *self.by_metric.entry(name.to_owned()).or_default() += 1;
    }

    /// Counts a bad row.
    pub(super) fn bad(&mut self, bad: &BadRow) {
        self.rows += 1;
        self.bad += 1;
        if self.bad_rows.len() < ROWS_SHOWN {
            self.bad_rows.push(BadPlace {
                line: bad.line,
                column: bad.column.clone(),
                reason: bad.flaw.name(),
                detail: bad.detail.clone(),
            });
        }
        if self.first.is_none() {
            self.first = Some(format!("line {bad}"));
        }
        let reason = bad.flaw.name();
        let same = |group: &&mut BadGroup| group.reason == reason && group.column == bad.column;
        if let Some(group) = self.bad_by_reason.iter_mut().find(same) {
            return group.count(bad.line);
        }
        if let Some(last) = self.bad_by_reason.get_mut(NAMES_MAX) {
            return last.count(bad.line);
        }
        let is_known = self.bad_by_reason.len() < NAMES_MAX;
        self.bad_by_reason.push(BadGroup {
            reason: if is_known { reason } else { OTHERS },
            column: bad.column.clone().filter(|_| is_known),
            rows: 1,
            first_lines: vec![bad.line],
            example: bad.detail.clone(),
        });
    }
}

impl BadGroup {
    fn count(&mut self, line: u64) {
        self.rows += 1;
        if self.first_lines.len() < LINES_SHOWN {
            self.first_lines.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::Flaw, *};

    #[test]
    fn names_from_the_file_are_bounded_and_every_row_counted() {
        let mut tally = Tally::default();
        for line in 1..=600 {
            tally.metric(&format!("m{line}"));
            tally.bad(&BadRow {
                line,
                column: Some(format!("c{line}")),
                flaw: Flaw::BadValue,
                detail: String::new(),
                data: json!({}),
            });
        }
        assert_eq!(tally.by_metric.len(), NAMES_MAX + 1);
        assert_eq!(tally.by_metric.get(OTHERS), Some(&100));
        assert_eq!(tally.bad_by_reason.len(), NAMES_MAX + 1);
        let others = BadGroup {
            reason: OTHERS,
            column: None,
            rows: 100,
            first_lines: vec![501, 502, 503, 504, 505],
            example: String::new(),
        };
        assert_eq!(tally.bad_by_reason.last(), Some(&others));
        assert_eq!((tally.rows, tally.bad), (600, 600));
    }
}
