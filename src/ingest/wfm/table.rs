//! CSV: a header, then one row a record, with commas, semicolons or tabs between the fields.
//!
//! A header is checked before the first row: a column that is missing makes every row bad, and is a mistake of the
//! mapping. A quotation mark that is never closed makes one record of the rest of the file, so records are bounded.

use std::{
    cell::Cell as Shared,
    collections::BTreeSet,
    io::{self, BufRead, Cursor, Read},
    rc::Rc,
    sync::Arc,
};

use csv::{ByteRecord, ReaderBuilder, Terminator};
use serde_json::json;

use super::{BadRow, COLUMNS_MAX, Cell, Flaw, ROW_BYTES_MAX, ReadError, Row, rows::Source, shown};
use crate::config::{WfmColumns, document::unknown};

/// The records of a CSV file.
pub(super) struct Table {
    reader: csv::Reader<Bounded>,
    left: Rc<Shared<usize>>,
    record: ByteRecord,
    header: Vec<Arc<str>>,
    /// Lines before the header.
    lines_before: u64,
}

impl Table {
    /// Reads the header, which stands on `line`.
    pub(super) fn open(
        mut source: Source,
        line: u64,
        columns: &WfmColumns,
    ) -> Result<Self, ReadError> {
        let mut first = Vec::new();
        // One more than fits, to tell a line that is too long.
        let most = ROW_BYTES_MAX as u64 + 1;
        source.by_ref().take(most).read_until(b'\n', &mut first)?;
        let form = |why: String| ReadError::Form { line, why };
        if first.len() > ROW_BYTES_MAX {
            return Err(form(
                "no header: the first line is longer than any header is".into(),
            ));
        }
        let delimiter = delimiter(&first);
        let left = Rc::new(Shared::new(0));
        let bounded = Bounded {
            // So that the last record ends as all others do, which `line` rests on.
            inner: Box::new(Cursor::new(first).chain(source).chain(&b"\n"[..])),
            left: Rc::clone(&left),
        };
        let mut table = Self {
            reader: ReaderBuilder::new()
                .delimiter(delimiter)
                // A carriage return before it goes with the other space around a field.
                .terminator(Terminator::Any(b'\n'))
                .has_headers(false)
                .flexible(true)
                .from_reader(bounded),
            left,
            record: ByteRecord::new(),
            header: Vec::new(),
            lines_before: line - 1,
        };
        table.advance()?;
        for field in &table.record {
            let name = str::from_utf8(field).map_err(|_| form("header: not UTF-8".into()))?;
            table.header.push(name.trim().into());
        }
        check(&table.header, columns).map_err(form)?;
        Ok(table)
    }

    /// The next row; `None` at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<Result<Row, BadRow>>, ReadError> {
        while self.advance()? {
            let is_blank = self.record.as_slice().trim_ascii().is_empty();
            if self.record.len() > 1 || !is_blank {
                return Ok(Some(self.row(self.line())));
            }
        }
        Ok(None)
    }

    fn advance(&mut self) -> Result<bool, ReadError> {
        self.left.set(ROW_BYTES_MAX);
        let from = self.lines_before + self.reader.position().line();
        match self.reader.read_byte_record(&mut self.record) {
            Ok(found) => Ok(found),
            Err(error) => match error.into_kind() {
                csv::ErrorKind::Io(error) if is_too_long(&error) => Err(ReadError::Broken {
                    line: from,
                    why: format!(
                        "the row has more than {ROW_BYTES_MAX} bytes; is a quotation mark not closed?"
                    ),
                }),
                csv::ErrorKind::Io(error) => Err(error.into()),
                kind => Err(ReadError::Broken {
                    line: from,
                    why: format!("{kind:?}"),
                }),
            },
        }
    }

    /// The line on which the record begins. Told from its end: the reader takes empty lines before a record for a part
    /// of it.
    fn line(&self) -> u64 {
        let breaks = self.record.as_slice().iter().filter(|b| **b == b'\n');
        let end = self.reader.position().line();
        self.lines_before + end.saturating_sub(1 + breaks.count() as u64)
    }

    fn row(&self, line: u64) -> Result<Row, BadRow> {
        let bad = |flaw, detail: String| {
            let fields: Vec<_> = self.record.iter().map(String::from_utf8_lossy).collect();
            BadRow {
                line,
                column: None,
                flaw,
                detail,
                data: json!({ "row": fields }),
            }
        };
        if self.record.len() != self.header.len() {
            let (found, right) = (self.record.len(), self.header.len());
            let detail = format!("found {found} fields, the header has {right}");
            return Err(bad(Flaw::WrongWidth, detail));
        }
        let mut cells = Vec::with_capacity(self.header.len());
        for (name, field) in self.header.iter().zip(&self.record) {
            let Ok(text) = str::from_utf8(field) else {
                let detail = format!("column {}: not UTF-8", shown(name));
                return Err(bad(Flaw::Unreadable, detail));
            };
            let cell = match text.trim() {
                "" => Cell::Empty,
                text => Cell::Text(text.to_owned()),
            };
            cells.push((Arc::clone(name), cell));
        }
        Ok(Row { line, cells })
    }
}

/// The delimiter that stands most often in the header outside quotation marks; the comma if none does.
fn delimiter(header: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in header {
        quoted ^= *byte == b'"';
        for (delimiter, count) in &mut counts {
            *count += usize::from(!quoted && byte == delimiter);
        }
    }
    // The first of those that are equal.
    let most = counts.into_iter().rev().max_by_key(|(_, count)| *count);
    most.map_or(b',', |(delimiter, _)| delimiter)
}

/// Whether the mapping's columns are there, each once.
fn check(header: &[Arc<str>], columns: &WfmColumns) -> Result<(), String> {
    if header.len() > COLUMNS_MAX {
        let found = header.len();
        return Err(format!(
            "header: {found} columns; at most {COLUMNS_MAX} are read"
        ));
    }
    let mut seen = BTreeSet::new();
    for name in header.iter().filter(|name| !name.is_empty()) {
        if !seen.insert(&**name) {
            return Err(format!("header: column {} stands there twice", shown(name)));
        }
    }
    let known: Vec<&str> = seen.into_iter().collect();
    let metrics = columns.metrics.iter();
    let wanted = [("agent", &columns.agent), ("date", &columns.date)]
        .into_iter()
        .chain(metrics.map(|(column, _)| ("metrics", column)));
    for (key, column) in wanted {
        if let Some(hint) = unknown(column, &known) {
            return Err(format!(
                "header: no column {} ({key} in [import.wfm]){hint}",
                shown(column)
            ));
        }
    }
    if columns.metrics.is_empty() && known.len() <= 2 {
        return Err("header: no column besides agent and date, so no metric".into());
    }
    Ok(())
}

/// A reader that gives no more than `left` bytes, which is set again for each record.
struct Bounded {
    inner: Box<dyn Read>,
    left: Rc<Shared<usize>>,
}

#[derive(Debug, thiserror::Error)]
#[error("a record is too long")]
struct TooLong;

fn is_too_long(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<TooLong>())
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            return Err(io::Error::other(TooLong));
        }
        let read = self.inner.read(into)?;
        self.left.set(self.left.get().saturating_sub(read));
        Ok(read)
    }
}
