//! One file on its way in: each row to its events, nothing twice, and no row against another.
//!
//! All values of a file were recorded at the same time, so between two that differ nothing but chance would decide,
//! and an import that is repeated would give and take the points of both. The first counts, the second is a bad row.
//! Which values were taken is known by hashes (`seen`), so a value that stands there again is handed on as well, and
//! whoever knows events by all they say leaves it out.

use super::{
    BadRow, Export, Flaw, ReadError, Row, Rows, Tally,
    columns::{self, Reading},
    event,
    seen::{self, Seen},
};
use crate::{config::WfmColumns, log::NewEvent};

/// Most bad rows of one file that go into quarantine; the others are counted. A file that is wrong from beginning to
/// end is one mistake, not a million.
pub const QUARANTINE_MAX: u64 = 1_000;

/// An import of one file.
pub struct Import {
    rows: Rows,
    export: Export,
    columns: WfmColumns,
    /// Line and a hash of the value, for each agent, workday and metric.
    seen: Seen,
    tally: Tally,
}

/// What became of a row.
#[derive(Debug)]
pub enum Taken {
    /// Its events.
    Good {
        /// Of values that are new to the file.
        new: Vec<NewEvent>,
        /// Of values that stand in the file again, as before.
        again: Vec<NewEvent>,
    },
    /// Left out, with the event that shows it in quarantine, if there is room for it there.
    Bad(Box<BadRow>, Option<NewEvent>),
}

impl Import {
    /// Takes the rows of `export`.
    #[must_use]
    pub fn new(rows: Rows, export: Export, columns: WfmColumns) -> Self {
        Self {
            rows,
            export,
            columns,
            seen: Seen::new(),
            tally: Tally::default(),
        }
    }

    /// What was found so far.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// If the file cannot be read further. What was taken before stands.
    pub fn next_row(&mut self) -> Result<Option<Taken>, ReadError> {
        let Some(row) = self.rows.next_row()? else {
            return Ok(None);
        };
        Ok(Some(match row.and_then(|row| self.events(&row)) {
            Ok((new, again)) => Taken::Good { new, again },
            Err(bad) => {
                self.tally.bad(&bad);
                let has_room = self.tally.quarantined < QUARANTINE_MAX;
                let event = if has_room {
                    event::of_bad_row(&self.export, &bad)
                } else {
                    None
                };
                self.tally.quarantined += u64::from(event.is_some());
                Taken::Bad(Box::new(bad), event)
            }
        }))
    }

    /// Events of values that are new, and of those that stand in the file again.
    fn events(&mut self, row: &Row) -> Result<(Vec<NewEvent>, Vec<NewEvent>), BadRow> {
        let reading = columns::read(row, &self.columns, self.export.newest())?;
        let line = u32::try_from(reading.line).unwrap_or(u32::MAX);
        let mut events = Vec::with_capacity(reading.metrics.len());
        let mut new = Vec::with_capacity(reading.metrics.len());
        let mut again = Vec::new();
        for metric in &reading.metrics {
            let key = event::key(&reading.agent, reading.day, &metric.name).digest128();
            let value = short_hash(metric.value);
            let event = || event::of_metric(&self.export, &reading, metric);
            match self.seen.get(key) {
                Some(before) if before.value == value => again.push(event()?),
                Some(before) => {
                    return Err(contradiction(row, &reading, &metric.column, before.line));
                }
                None => {
                    events.push(event()?);
                    new.push((key, seen::Taken { line, value }, &metric.name));
                }
            }
        }
        self.tally.good(
            xxhash_rust::xxh3::xxh3_64(reading.agent.as_bytes()),
            reading.day,
        );
        self.tally.repeated += again.len() as u64;
        for (key, seen, name) in new {
            self.seen.insert(key, seen);
            self.tally.metric(name);
        }
        Ok((events, again))
    }
}

fn short_hash(value: f64) -> u32 {
    let hash = xxhash_rust::xxh3::xxh3_64(&value.to_bits().to_le_bytes());
    // The lower half.
    hash as u32
}

fn contradiction(row: &Row, reading: &Reading, column: &str, before: u32) -> BadRow {
    BadRow {
        line: row.line,
        column: Some(column.to_owned()),
        flaw: Flaw::Contradiction,
        detail: format!(
            "line {before} has another value for this agent and {}; it counts, this row does not",
            reading.day
        ),
        data: serde_json::json!({ "row": row.to_json() }),
    }
}

#[cfg(test)]
mod tests;
