//! A book as a Parquet file, written in one pass: nothing is ever gone back to, so it may be a pipe.
//!
//! Lines wait as columns until there are enough for a row group. `columns` says what the columns are.

use std::{
    fmt::Write as _,
    io::{self, Write},
    sync::Arc,
};

use aftercall_actors::rewards::points::Workday;
use parquet::{
    basic::Compression,
    data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::parser::parse_message_type,
};

use super::{
    columns::{COLUMNS, Cell, Column, Sort},
    entry::Entry,
};

/// Most lines of a row group.
const ROWS_MAX: usize = 50_000;

/// A row group is closed early once its texts come to this many bytes.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// Writes lines into a Parquet file.
pub struct Parquet<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Waiting>,
    rows: usize,
    bytes: usize,
}

/// What waits of one column.
struct Waiting {
    values: Values,
    /// Of an optional column: 1 for each line that has a value, 0 for one that has none.
    present: Vec<i16>,
}

enum Values {
    Longs(Vec<i64>),
    Days(Vec<i32>),
    Texts(Vec<ByteArray>),
}

impl<W: Write + Send> Parquet<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(into: W) -> io::Result<Self> {
        let schema = parse_message_type(&schema()).map_err(io_error)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::GZIP(Default::default()))
            .set_created_by(concat!("aftercall ", env!("CARGO_PKG_VERSION")).to_owned());
        let properties = Arc::new(properties.build());
        let file = SerializedFileWriter::new(into, Arc::new(schema), properties);
        Ok(Self {
            file: file.map_err(io_error)?,
            columns: COLUMNS.iter().map(Waiting::of).collect(),
            rows: 0,
            bytes: 0,
        })
    }

    /// One line.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        for (waiting, column) in self.columns.iter_mut().zip(&COLUMNS) {
            self.bytes += waiting.push((column.cell)(entry), column.optional);
        }
        self.rows += 1;
        if self.rows >= ROWS_MAX || self.bytes >= BYTES_MAX {
            self.close_group().map_err(io_error)?;
        }
        Ok(())
    }

    /// Writes what is left and the footer. Without it the file is none.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.close_group()
            .and_then(|()| self.file.into_inner())
            .map_err(io_error)
    }

    fn close_group(&mut self) -> Result<(), ParquetError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for waiting in &mut self.columns {
            if let Some(column) = group.next_column()? {
                waiting.write(column)?;
            }
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

impl Waiting {
    const fn of(column: &Column) -> Self {
        let values = match column.sort {
            Sort::Number | Sort::Time => Values::Longs(Vec::new()),
            Sort::Date => Values::Days(Vec::new()),
            Sort::Text => Values::Texts(Vec::new()),
        };
        Self {
            values,
            present: Vec::new(),
        }
    }

    /// How many bytes of text that were.
    fn push(&mut self, cell: Cell<'_>, is_optional: bool) -> usize {
        let before = self.values.len();
        let mut bytes = 0;
        match (&mut self.values, cell) {
            (Values::Longs(values), Cell::Number(number)) => values.push(number),
            (Values::Longs(values), Cell::Time(time)) => values.push(time.0),
            (Values::Days(values), Cell::Date(date)) => {
                values.extend(date.map(|date| Workday::from_date(date).0));
            }
            (Values::Texts(values), Cell::Text(text)) => {
                bytes = text.map_or(0, str::len);
                values.extend(text.map(ByteArray::from));
            }
            // A column's cells are of its sort; one that is not is missing rather than wrong.
            (Values::Longs(_), Cell::Date(_) | Cell::Text(_))
            | (Values::Days(_), Cell::Number(_) | Cell::Time(_) | Cell::Text(_))
            | (Values::Texts(_), Cell::Number(_) | Cell::Time(_) | Cell::Date(_)) => {}
        }
        if is_optional {
            self.present.push(i16::from(self.values.len() > before));
        }
        bytes
    }

    fn write(&mut self, mut column: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let present = (!self.present.is_empty()).then_some(self.present.as_slice());
        match &mut self.values {
            Values::Longs(values) => {
                column
                    .typed::<Int64Type>()
                    .write_batch(values, present, None)?;
                values.clear();
            }
            Values::Days(values) => {
                column
                    .typed::<Int32Type>()
                    .write_batch(values, present, None)?;
                values.clear();
            }
            Values::Texts(values) => {
                column
                    .typed::<ByteArrayType>()
                    .write_batch(values, present, None)?;
                values.clear();
            }
        }
        self.present.clear();
        column.close()
    }
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Longs(values) => values.len(),
            Self::Days(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }
}

/// The columns in Parquet's own words.
fn schema() -> String {
    let mut text = "message ledger {".to_owned();
    for column in &COLUMNS {
        let repetition = if column.optional {
            "optional"
        } else {
            "required"
        };
        let (kind, meaning) = match column.sort {
            Sort::Number => ("int64", ""),
            Sort::Time => ("int64", " (timestamp(millis,true))"),
            Sort::Date => ("int32", " (date)"),
            Sort::Text => ("binary", " (string)"),
        };
        // Writing into a string cannot fail.
        let _ = write!(text, " {repetition} {kind} {}{meaning};", column.name);
    }
    text + " }"
}

/// The file's own fault where it was one: a closed pipe is told apart from others.
fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}
