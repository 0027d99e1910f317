//! The columns of an exported book: one list for every format that has columns, and for the help text.

use std::fmt::Write as _;

use aftercall_actors::contract::time::LogTime;
use jiff::civil::Date;

use super::entry::Entry;

/// What one line has in one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    /// A whole number.
    Number(i64),
    /// A moment, in milliseconds and UTC.
    Time(LogTime),
    /// A calendar date, if the line has one.
    Date(Option<Date>),
    /// Text; what is missing is not the same as empty.
    Text(Option<&'a str>),
}

/// What all lines have in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// [`Cell::Number`]
    Number,
    /// [`Cell::Time`]
    Time,
    /// [`Cell::Date`]
    Date,
    /// [`Cell::Text`]
    Text,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name, as in the JSON of an [`Entry`].
    pub name: &'static str,
    /// What it holds.
    pub sort: Sort,
    /// Whether a line may have nothing there.
    pub optional: bool,
    /// What it means, for `--help`.
    pub means: &'static str,
    /// A line's cell.
    pub cell: fn(&Entry) -> Cell<'_>,
}

const fn column(
    name: &'static str,
    sort: Sort,
    optional: bool,
    means: &'static str,
    cell: fn(&Entry) -> Cell<'_>,
) -> Column {
    Column {
        name,
        sort,
        optional,
        means,
        cell,
    }
}

const fn number(name: &'static str, means: &'static str, cell: fn(&Entry) -> Cell<'_>) -> Column {
    column(name, Sort::Number, false, means, cell)
}

const fn text(
    name: &'static str,
    optional: bool,
    means: &'static str,
    cell: fn(&Entry) -> Cell<'_>,
) -> Column {
    column(name, Sort::Text, optional, means, cell)
}

/// A position is a count of events since the log began, so it fits.
fn whole(number: u64) -> Cell<'static> {
    Cell::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Every column, in the order of exports.
pub const COLUMNS: [Column; 19] = [
    number(
        "position",
        "event of the log that caused it; with line, the line's name",
        |e| whole(e.position),
    ),
    number("line", "number within that event, from 0", |e| {
        Cell::Number(e.line.into())
    }),
    column(
        "time",
        Sort::Time,
        false,
        "when the log stored that event, UTC",
        |e| Cell::Time(e.time),
    ),
    text("agent_id", false, "the agent", |e| {
        Cell::Text(Some(&e.agent_id))
    }),
    text("kind", false, "what happened, as above", |e| {
        Cell::Text(Some(e.kind.name()))
    }),
    number("points", "what it changes the balance by", |e| {
        Cell::Number(e.points)
    }),
    number("balance", "after it: available + held - debt", |e| {
        Cell::Number(e.balance)
    }),
    number(
        "available",
        "points in the window that no claim holds",
        |e| Cell::Number(e.available),
    ),
    number("held", "points that claims hold until their outcome", |e| {
        Cell::Number(e.held)
    }),
    number("debt", "points owed", |e| Cell::Number(e.debt)),
    column(
        "workday",
        Sort::Date,
        true,
        "the day points count in or left with",
        |e| Cell::Date(e.workday.map(|day| day.0)),
    ),
    text("source", true, "metric, survey or adjustment", |e| {
        Cell::Text(e.source.as_deref())
    }),
    text("program", true, "the reward's program", |e| {
        Cell::Text(e.program.as_deref())
    }),
    text("tier", true, "its tier", |e| Cell::Text(e.tier.as_deref())),
    text("reward_id", true, "its id, the same at the provider", |e| {
        Cell::Text(e.reward_id.as_deref())
    }),
    text(
        "detail",
        true,
        "reason, answer, who decided, type of reward",
        |e| Cell::Text(e.detail.as_deref()),
    ),
    text(
        "cause_source",
        false,
        "CloudEvents source of the event",
        |e| Cell::Text(Some(&e.cause_source)),
    ),
    text("cause_id", false, "CloudEvents id of the event", |e| {
        Cell::Text(Some(&e.cause_id))
    }),
    text("rules", false, "version of the rules in force", |e| {
        Cell::Text(Some(&e.rules))
    }),
];

/// The columns in words, a line each.
#[must_use]
pub fn explained() -> String {
    let mut said = String::new();
    for column in &COLUMNS {
        let sort = match (column.sort, column.optional) {
            (Sort::Number, _) => "whole number",
            (Sort::Time, _) => "time",
            (Sort::Date, _) => "date or empty",
            (Sort::Text, true) => "text or empty",
            (Sort::Text, false) => "text",
        };
        // Writing into a string cannot fail.
        let _ = writeln!(said, "  {:<13} {sort:<14} {}", column.name, column.means);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_14_columns_are_the_fields_of_a_line_in_their_order() {
        let line = r#"{"position":7,"line":1,"time":"2026-11-20T10:00:00.000Z","agent_id":"a1","kind":"earned","points":10,"balance":30,"available":20,"held":15,"debt":5,"workday":"2026-11-19","source":"csat","program":"p","tier":"t","reward_id":"r","detail":"d","cause_source":"/wfm","cause_id":"e1","rules":"r1"}"#;
        let entry: Entry = serde_json::from_str(line).unwrap();
        let shown = COLUMNS.iter().map(|column| {
            let value = match (column.cell)(&entry) {
                Cell::Number(number) => number.to_string(),
                Cell::Time(time) => format!("\"{time}\""),
                Cell::Date(Some(date)) => format!("\"{date}\""),
                Cell::Text(Some(text)) => format!("\"{text}\""),
                Cell::Date(None) | Cell::Text(None) => panic!("{} is there", column.name),
            };
            format!("\"{}\":{value}", column.name)
        });
        let shown: Vec<String> = shown.collect();
        assert_eq!(format!("{{{}}}", shown.join(",")), line);
    }
}
