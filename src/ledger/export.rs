//! A book for other programs: CSV, NDJSON or Parquet, line by line.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use super::{
    columns::{COLUMNS, Cell},
    entry::Entry,
    parquet::Parquet,
};

/// How a book is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, with a header, as RFC 4180 has it.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Parquet.
    Parquet,
}

/// Writes a book's lines.
pub enum Export<W: Write + Send> {
    /// As CSV.
    Csv(Box<csv::Writer<W>>),
    /// As JSON.
    Ndjson(W),
    /// As Parquet.
    Parquet(Box<Parquet<W>>),
}

impl<W: Write + Send> Export<W> {
    /// Begins.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(format: Format, into: W) -> io::Result<Self> {
        Ok(match format {
            Format::Csv => {
                let mut csv = csv::WriterBuilder::new()
                    .terminator(csv::Terminator::CRLF)
                    .from_writer(into);
                csv.write_record(COLUMNS.iter().map(|column| column.name))?;
                Self::Csv(Box::new(csv))
            }
            Format::Ndjson => Self::Ndjson(into),
            Format::Parquet => Self::Parquet(Box::new(Parquet::new(into)?)),
        })
    }

    /// One line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        match self {
            Self::Csv(csv) => {
                for column in &COLUMNS {
                    csv.write_field(field((column.cell)(entry)).as_ref())?;
                }
                Ok(csv.write_record(None::<&[u8]>)?)
            }
            Self::Ndjson(into) => {
                serde_json::to_writer(&mut *into, entry)?;
                into.write_all(b"\n")
            }
            Self::Parquet(parquet) => parquet.write(entry),
        }
    }

    /// Ends: what is not ended is not whole.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> io::Result<W> {
        let mut into = match self {
            Self::Csv(csv) => csv.into_inner().map_err(|error| error.into_error())?,
            Self::Ndjson(into) => into,
            Self::Parquet(parquet) => parquet.finish()?,
        };
        into.flush()?;
        Ok(into)
    }
}

/// A cell as CSV has it, before quotes.
///
/// Texts come from outside, and what a spreadsheet takes for a formula it runs: a text that begins like one gets an
/// apostrophe before it. So does one that begins with an apostrophe, so that the one put there can be taken off again.
fn field(cell: Cell<'_>) -> Cow<'_, str> {
    match cell {
        Cell::Number(number) => number.to_string().into(),
        Cell::Time(time) => time.to_string().into(),
        Cell::Date(Some(date)) => date.to_string().into(),
        Cell::Text(Some(text))
            if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\'']) =>
        {
            format!("'{text}").into()
        }
        Cell::Text(Some(text)) => text.into(),
        Cell::Date(None) | Cell::Text(None) => "".into(),
    }
}

#[cfg(test)]
mod tests {
    use parquet::{
        file::reader::{FileReader as _, SerializedFileReader},
        record::Field,
    };
    use proptest::prelude::*;

    use super::*;

    fn entry(number: u64, text: &str) -> Entry {
        let line = serde_json::json!({
            "position": number, "line": 0, "time": "2026-11-20T10:00:00.250Z", "agent_id": text, "kind": "adjusted",
            "points": -40, "balance": -40, "available": -40, "held": 0, "debt": 0, "workday": "1969-12-31",
            "source": "adjustment", "detail": text, "cause_source": "/x", "cause_id": "e1", "rules": "r1",
        });
        serde_json::from_value(line).unwrap()
    }

    fn written(format: Format, entries: &[Entry]) -> Vec<u8> {
        let mut export = Export::new(format, Vec::new()).unwrap();
        for entry in entries {
            export.write(entry).unwrap();
        }
        export.finish().unwrap()
    }

    #[test]
    fn s3_14_a_csv_text_is_quoted_and_is_no_formula() {
        let csv = written(Format::Csv, &[entry(7, "=cmd|' /C calc'!A0, \"x\"\nb")]);
        let csv = String::from_utf8(csv).unwrap();
        let header = "position,line,time,agent_id,kind,points,balance,available,held,debt,workday,source,program,tier,\
                      reward_id,detail,cause_source,cause_id,rules\r\n";
        let text = "\"'=cmd|' /C calc'!A0, \"\"x\"\"\nb\"";
        assert_eq!(
            csv,
            format!(
                "{header}7,0,2026-11-20T10:00:00.250Z,{text},adjusted,-40,-40,-40,0,0,1969-12-31,adjustment,,,,{text},\
                 /x,e1,r1\r\n"
            )
        );
        for begins in ["=", "+", "-", "@", "\t", "\r", "\n", "'"] {
            let text = format!("{begins}1");
            assert_eq!(field(Cell::Text(Some(&text))), format!("'{text}"));
        }
        assert_eq!(field(Cell::Text(Some("a=1"))), "a=1");
        assert_eq!(field(Cell::Number(-1)), "-1");
    }

    #[test]
    fn s3_14_an_empty_book_is_a_whole_file_in_every_format() {
        assert_eq!(written(Format::Ndjson, &[]), b"");
        let csv = String::from_utf8(written(Format::Csv, &[])).unwrap();
        assert_eq!(csv.lines().count(), 1);
        assert_eq!(
            read(written(Format::Parquet, &[])),
            Vec::<Vec<Option<String>>>::new()
        );
    }

    /// Every cell of a Parquet file, read with the format's own crate, as CSV would have it without the apostrophe.
    fn read(file: Vec<u8>) -> Vec<Vec<Option<String>>> {
        let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
        let schema = reader.metadata().file_metadata().schema().clone();
        let names: Vec<_> = schema
            .get_fields()
            .iter()
            .map(|f| f.name().to_owned())
            .collect();
        assert_eq!(names, COLUMNS.map(|column| column.name.to_owned()));
        let rows = reader.get_row_iter(None).unwrap();
        let cell = |field: &Field| match field {
            Field::Null => None,
            Field::Long(number) => Some(number.to_string()),
            Field::Str(text) => Some(text.clone()),
            Field::Date(days) => Some(
                aftercall_actors::rewards::points::Workday(*days)
                    .date()
                    .to_string(),
            ),
            Field::TimestampMillis(ms) => {
                Some(aftercall_actors::contract::time::LogTime(*ms).to_string())
            }
            other => panic!("{other:?}"),
        };
        rows.map(|row| {
            row.unwrap()
                .get_column_iter()
                .map(|(_, field)| cell(field))
                .collect()
        })
        .collect()
    }

    fn cells(entry: &Entry) -> Vec<Option<String>> {
        let cell = |column: &super::super::columns::Column| match (column.cell)(entry) {
            Cell::Number(number) => Some(number.to_string()),
            Cell::Time(time) => Some(time.to_string()),
            Cell::Date(date) => date.map(|date| date.to_string()),
            Cell::Text(text) => text.map(ToOwned::to_owned),
        };
        COLUMNS.iter().map(cell).collect()
    }

    #[test]
    fn s3_14_parquet_of_several_row_groups_is_read_back_as_it_was() {
        let entries: Vec<Entry> = (0..120_001).map(|n| entry(n, &format!("a{n}"))).collect();
        let rows = read(written(Format::Parquet, &entries));
        assert_eq!(rows.len(), entries.len());
        for (row, entry) in rows.iter().zip(&entries) {
            assert_eq!(row, &cells(entry));
        }
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let text = || prop::option::of(any::<String>());
        let one = (
            any::<i64>(),
            any::<u32>(),
            any::<String>(),
            [text(), text(), text()],
            prop::option::of(-9_000i32..30_000),
        );
        let one = one.prop_map(|(points, number, id, [source, detail, tier], day)| Entry {
            line: number,
            points,
            balance: points.wrapping_mul(3),
            source,
            detail,
            tier,
            agent_id: id,
            workday: day.map(|day| {
                aftercall_actors::contract::value::WorkDate(
                    aftercall_actors::rewards::points::Workday(day).date(),
                )
            }),
            ..entry(number.into(), "x")
        });
        prop::collection::vec(one, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn s3_14_the_formats_agree_cell_by_cell(entries in entries()) {
            let expected: Vec<_> = entries.iter().map(cells).collect();
            prop_assert_eq!(read(written(Format::Parquet, &entries)), expected.clone());

            let ndjson = written(Format::Ndjson, &entries);
            let again: Vec<Entry> = serde_json::Deserializer::from_slice(&ndjson).into_iter().map(Result::unwrap).collect();
            prop_assert_eq!(&again, &entries);

            let csv = written(Format::Csv, &entries);
            let mut reader = csv::Reader::from_reader(csv.as_slice());
            let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
            prop_assert_eq!(rows.len(), expected.len());
            for (row, cells) in rows.iter().zip(&expected) {
                for ((found, cell), column) in row.iter().zip(cells).zip(&COLUMNS) {
                    let is_text = (column.sort) == super::super::columns::Sort::Text;
                    let found = if is_text { found.strip_prefix('\'').unwrap_or(found) } else { found };
                    prop_assert_eq!(found, cell.as_deref().unwrap_or(""));
                }
            }
        }
    }
}
