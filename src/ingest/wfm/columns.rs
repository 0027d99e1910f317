//! What a row says: whose, which workday, which metrics, by the mapping of the configuration.
//!
//! A row counts whole or not at all: half a row would have to be mended by someone who knows which half.

use aftercall_actors::contract::{plausible, value::Id};
use jiff::civil::Date;
use serde_json::{Value, json};

use super::{BadRow, Cell, Flaw, Row, shown};
use crate::config::{WfmColumns, import::Decimal};

/// One metric of one agent on one workday.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Metric {
    /// Its column.
    pub column: String,
    /// Its name, as rules know it.
    pub name: Id,
    /// Its value; finite, and never -0.
    pub value: f64,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    pub line: u64,
    pub agent: Id,
    pub day: Date,
    /// Those that stand there; an empty field says nothing.
    pub metrics: Vec<Metric>,
}

/// Reads a row. `newest` is the last workday that can be in the export.
pub(super) fn read(row: &Row, columns: &WfmColumns, newest: Date) -> Result<Reading, BadRow> {
    let cell = |column: &str| {
        let found = row.cells.iter().find(|(name, _)| **name == *column);
        found.map_or(&Cell::Empty, |(_, cell)| cell)
    };
    let bad = |flaw, column: &str, detail: String, data: Value| BadRow {
        line: row.line,
        column: Some(column.to_owned()),
        flaw,
        detail,
        data: with_row(data, row),
    };
    let agent = agent(cell(&columns.agent))
        .map_err(|why| bad(Flaw::BadAgent, &columns.agent, why, json!({})))?;
    let day = day(cell(&columns.date), columns).map_err(|why| {
        let data = json!({ "agent_id": agent });
        bad(Flaw::BadDate, &columns.date, why, data)
    })?;
    if day > newest {
        let why = format!("{day} had not begun when the export was recorded");
        let data = json!({ "agent_id": agent, "date": day.to_string() });
        return Err(bad(Flaw::FutureDate, &columns.date, why, data));
    }
    let mut metrics = Vec::with_capacity(row.cells.len());
    for (column, cell) in &row.cells {
        let Some(name) = metric_of(column, columns) else {
            continue;
        };
        let wrong = |why| {
            let mut data = json!({ "agent_id": agent, "date": day.to_string(), "metric": name });
            if let (Some(data), Some(found)) = (data.as_object_mut(), row.to_json().get(&**column))
            {
                data.insert("value".into(), found.clone());
            }
            bad(Flaw::BadValue, column, why, data)
        };
        let name = Id::new(name).map_err(|why| wrong(format!("as a metric's name: {why}")))?;
        if let Some(value) = value(cell, columns).map_err(wrong)? {
            metrics.push(Metric {
                column: column.to_string(),
                name,
                value,
            });
        }
    }
    Ok(Reading {
        line: row.line,
        agent,
        day,
        metrics,
    })
}

/// What is known of a bad row, and the row as it stood there.
fn with_row(mut data: Value, row: &Row) -> Value {
    if let Some(data) = data.as_object_mut() {
        data.insert("row".into(), row.to_json());
    }
    data
}

/// The metric that a column holds.
fn metric_of<'a>(column: &'a str, columns: &'a WfmColumns) -> Option<&'a str> {
    if column == columns.agent || column == columns.date || column.is_empty() {
        return None;
    }
    if columns.metrics.is_empty() {
        return Some(column);
    }
    let named = columns.metrics.iter().find(|(name, _)| name == column);
    named.map(|(_, metric)| &**metric)
}

fn agent(cell: &Cell) -> Result<Id, String> {
    let text = match cell {
        Cell::Text(text) => text.clone(),
        // Some systems number their agents.
        Cell::Number(number) if !number.is_f64() => number.to_string(),
        Cell::Number(number) => return Err(format!("found {number}, expected an id")),
        Cell::Empty => return Err("missing, expected the agent's id".into()),
        Cell::Other(kind) => return Err(format!("found {kind}, expected an id")),
    };
    Id::new(text)
}

fn day(cell: &Cell, columns: &WfmColumns) -> Result<Date, String> {
    const PLAIN: &str = "%Y-%m-%d";
    let formats = &columns.date_formats;
    let expected = || match formats.as_slice() {
        [] => "expected a date like 2026-11-20 (date_formats in [import.wfm] allows others)".into(),
        formats => format!("expected a date as {}", formats.join(" or ")),
    };
    let text = match cell {
        Cell::Text(text) => text.clone(),
        // 20261120 is a number in JSON.
        Cell::Number(number) => number.to_string(),
        Cell::Empty => return Err(format!("missing, {}", expected())),
        Cell::Other(kind) => return Err(format!("found {kind}, {}", expected())),
    };
    let found = if formats.is_empty() {
        Date::strptime(PLAIN, &text)
            .ok()
            .filter(|_| text.len() == 10)
    } else {
        formats
            .iter()
            .filter_map(|format| Date::strptime(format, &text).ok())
            .find(|day| plausible::is_workday(*day))
    };
    // A year of two digits that was read as one of four is none.
    found
        .filter(|day| plausible::is_workday(*day))
        .ok_or_else(|| format!("found {}, {}", shown(&text), expected()))
}

/// The number in a field; `None` if there is none.
fn value(cell: &Cell, columns: &WfmColumns) -> Result<Option<f64>, String> {
    let number = match cell {
        Cell::Empty => return Ok(None),
        Cell::Number(number) => number.as_f64(),
        Cell::Text(text) => number(text, columns.decimal),
        Cell::Other(kind) => return Err(format!("found {kind}, expected a number")),
    };
    if let Some(number) = number.filter(|number| number.is_finite())
        && !plausible::is_exact(number)
    {
        return Err(format!(
            "found {number}, expected at most {} either way: beyond, numbers are not exact",
            plausible::EXACT_MAX
        ));
    }
    match (number.filter(|number| number.is_finite()), cell) {
        // -0 is 0.
        (Some(number), _) => Ok(Some(number + 0.0)),
        (None, Cell::Text(text)) => Err(format!(
            "found {}, expected {}",
            shown(text),
            hint(text, columns)
        )),
        (None, _) => Err("expected a finite number".into()),
    }
}

/// Digits with at most one sign, mark and exponent; nothing that groups, and no words.
fn number(text: &str, decimal: Decimal) -> Option<f64> {
    let (mark, other) = match decimal {
        Decimal::Point => ('.', ','),
        Decimal::Comma => (',', '.'),
    };
    let fits = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | 'e' | 'E') || c == mark;
    if text.contains(other) || !text.chars().all(fits) {
        return None;
    }
    match decimal {
        Decimal::Point => text.parse().ok(),
        Decimal::Comma => text.replacen(mark, ".", 1).parse().ok(),
    }
}

fn hint(text: &str, columns: &WfmColumns) -> String {
    let (form, other, mark) = match columns.decimal {
        Decimal::Point => ("a number like 0.95", Decimal::Comma, ","),
        Decimal::Comma => ("a number like 0,95", Decimal::Point, "."),
    };
    if text.contains(mark) && number(text, other).is_some() {
        return format!("{form} (decimal = \"{mark}\" in [import.wfm] allows this)");
    }
    if columns.metrics.is_empty() {
        return format!("{form} (metrics in [import.wfm] says which columns hold metrics)");
    }
    form.to_owned()
}

#[cfg(test)]
mod tests;
