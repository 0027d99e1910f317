//! Exports of workforce management: rows of agent, workday and metrics, each metric an event (REQUIREMENTS S3.01).
//!
//! In three steps. `rows` finds the rows of a file, whichever of the forms it has; `columns` reads what a row says,
//! by the mapping of the configuration; `import` makes events of it, keeps two rows of a file from contradicting each
//! other, and counts (`tally`). A row that is wrong is a [`BadRow`] with line, column and what would be right, and the
//! rest goes on (S3.02); `event` makes events of both, a bad row's being one that the engine will quarantine.
//!
//! Around that: `job` looks at a file before its first row, `carry` brings it into the log for whoever wants it there
//! (the command, HTTP and the watched folder through `service` and `watch`), `note` and `report` say how far it came and
//! what was found, `tell` alerts operators, `preview` says what it would change.

use std::{fmt, sync::Arc};

use serde_json::{Map, Number, Value};

pub mod carry;
mod columns;
mod event;
mod import;
pub mod job;
mod json;
mod note;
mod packed;
pub mod preview;
mod report;
mod rows;
mod seen;
pub mod service;
mod table;
mod tally;
mod tell;
pub mod watch;

pub use event::Export;
pub use import::{Import, Taken};
pub use report::Report;
pub use rows::Rows;
pub use tally::{BadGroup, BadPlace, Tally};

/// Most columns of a row: a metric each makes an event each, and a row's events stay together.
pub const COLUMNS_MAX: usize = 1_000;

/// Longest row that is taken, in bytes. Real ones have hundreds; an unclosed quotation mark makes one of a whole file.
pub const ROW_BYTES_MAX: usize = 1 << 20;

/// One row, as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Line on which it begins, from 1.
    pub line: u64,
    /// Columns and what stands in them, in the order of the file.
    pub cells: Vec<(Arc<str>, Cell)>,
}

/// What stands in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing: an empty field, or null.
    Empty,
    /// Text, without spaces around it.
    Text(String),
    /// A JSON number.
    Number(Number),
    /// Another JSON value: `an array`, `an object`, `a boolean`.
    Other(&'static str),
}

impl Row {
    /// The row as JSON, for whoever has to mend it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let cells = self.cells.iter().map(|(name, cell)| {
            let value = match cell {
                Cell::Empty => Value::Null,
                Cell::Text(text) => Value::from(text.as_str()),
                Cell::Number(number) => Value::from(number.clone()),
                Cell::Other(kind) => Value::from(format!("({kind})")),
            };
            (name.to_string(), value)
        });
        Value::Object(cells.collect::<Map<_, _>>())
    }
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// Not a row at all: not UTF-8, not JSON, not an object.
    Unreadable,
    /// More or fewer fields than the header has columns.
    WrongWidth,
    /// A column stands there twice.
    DoubleColumn,
    /// No agent.
    BadAgent,
    /// No workday, or none the formats know.
    BadDate,
    /// A workday that had not begun when the export was made.
    FutureDate,
    /// A metric that is no number.
    BadValue,
    /// Another value than a row before for the same agent, workday and metric.
    Contradiction,
}

impl Flaw {
    /// The name in summaries and quarantine. Names are never changed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::WrongWidth => "wrong_width",
            Self::DoubleColumn => "double_column",
            Self::BadAgent => "bad_agent",
            Self::BadDate => "bad_date",
            Self::FutureDate => "future_date",
            Self::BadValue => "bad_value",
            Self::Contradiction => "contradiction",
        }
    }
}

/// A row that is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct BadRow {
    /// Line on which it begins, from 1.
    pub line: u64,
    /// The column that is wrong, if it is one.
    pub column: Option<String>,
    /// What is wrong.
    pub flaw: Flaw,
    /// What was found, and what would be right; bounded in length.
    pub detail: String,
    /// What could be read, under the contract's names where it is known.
    pub data: Value,
}

/// `17, column aht: bad_value: ...`, to stand behind the file's name.
impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flaw = self.flaw.name();
        match &self.column {
            Some(column) => write!(f, "{}, column {column}: {flaw}: {}", self.line, self.detail),
            None => write!(f, "{}: {flaw}: {}", self.line, self.detail),
        }
    }
}

/// Why a file cannot be read, or not to its end. Rows before that are good.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes do not come.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is none of the forms, or its columns are not those of the mapping.
    #[error("line {line}: {why}")]
    Form {
        /// Where, from 1.
        line: u64,
        /// What was found, and what would be right.
        why: String,
    },
    /// It is compressed, and what is left cannot be unpacked.
    #[error("cannot be unpacked behind line {line}, at byte {byte} of the compressed file: {why}")]
    Packed {
        /// The last line with a row that could be read; 0 if none could.
        line: u64,
        /// How much of the file was taken in by then.
        byte: u64,
        /// What is wrong: cut off, another checksum, something behind the end.
        why: String,
    },
    /// From here on nobody can tell where rows begin.
    #[error("cannot be read from line {line} on: {why}")]
    Broken {
        /// Where, from 1.
        line: u64,
        /// Why.
        why: String,
    },
}

/// A text as a message shows it: short.
fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let short: String = text.chars().take(CHARS_MAX).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("`{short}{more}`")
}
