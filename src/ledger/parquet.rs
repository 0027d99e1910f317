//! A book as a Parquet file, written in one pass.
//!
//! Parquet's own crate would cost a clean release build 37 s of CPU time for what is little here: flat columns, no
//! nesting, no index. So the few structures of the format that such a file needs are written by hand: pages of version
//! 1 with plain values, compressed with gzip (which is here already), and a footer in Thrift's compact protocol. The
//! tests read it back with that crate.
//!
//! Layout: `PAR1`, then row groups of a page a column, then the footer, its length, `PAR1`. Nothing is ever gone back
//! to, so it may be a pipe.

use std::io::{self, Write};

use flate2::{Compression, write::GzEncoder};
use jiff::civil::Date;

use super::{
    columns::{COLUMNS, Cell, Column, Sort},
    entry::Entry,
};

const MAGIC: &[u8; 4] = b"PAR1";

/// Most lines of a row group.
const ROWS_MAX: usize = 50_000;

/// A row group is closed early once its values come to this many bytes.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// Writes lines into a Parquet file.
pub struct Parquet<W> {
    into: W,
    written: u64,
    pages: Vec<Page>,
    rows: usize,
    groups: Vec<Group>,
}

/// Values of one column, not written yet.
struct Page {
    column: &'static Column,
    values: Vec<u8>,
    /// Of an optional column: whether each line has a value.
    present: Vec<bool>,
}

/// A row group that is written.
struct Group {
    rows: usize,
    chunks: Vec<Chunk>,
}

/// Where a column of it is.
struct Chunk {
    offset: u64,
    values: usize,
    /// With the page's header.
    packed_bytes: u64,
    plain_bytes: u64,
}

impl<W: Write> Parquet<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(mut into: W) -> io::Result<Self> {
        into.write_all(MAGIC)?;
        let page = |column| Page {
            column,
            values: Vec::new(),
            present: Vec::new(),
        };
        Ok(Self {
            into,
            written: MAGIC.len() as u64,
            pages: COLUMNS.iter().map(page).collect(),
            rows: 0,
            groups: Vec::new(),
        })
    }

    /// One line.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut bytes = 0;
        for page in &mut self.pages {
            page.push(entry);
            bytes += page.values.len();
        }
        self.rows += 1;
        if self.rows >= ROWS_MAX || bytes >= BYTES_MAX {
            self.close_group()?;
        }
        Ok(())
    }

    /// Writes what is left and the footer. Without it the file is none.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.close_group()?;
        let footer = footer(&self.groups);
        self.into.write_all(&footer)?;
        let length = u32::try_from(footer.len()).map_err(|_| too_long())?;
        self.into.write_all(&length.to_le_bytes())?;
        self.into.write_all(MAGIC)?;
        Ok(self.into)
    }

    fn close_group(&mut self) -> io::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut chunks = Vec::with_capacity(self.pages.len());
        for page in &mut self.pages {
            let plain = page.take_body();
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(&plain)?;
            let packed = packed.finish()?;
            let header = page_header(self.rows, plain.len(), packed.len())?;
            self.into.write_all(&header)?;
            self.into.write_all(&packed)?;
            let chunk = Chunk {
                offset: self.written,
                values: self.rows,
                packed_bytes: (header.len() + packed.len()) as u64,
                plain_bytes: (header.len() + plain.len()) as u64,
            };
            self.written += chunk.packed_bytes;
            chunks.push(chunk);
        }
        let rows = std::mem::take(&mut self.rows);
        self.groups.push(Group { rows, chunks });
        Ok(())
    }
}

fn too_long() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        "a part of the file is too long for Parquet",
    )
}

impl Page {
    fn push(&mut self, entry: &Entry) {
        let into = &mut self.values;
        let is_there = match (self.column.cell)(entry) {
            Cell::Number(number) => {
                into.extend_from_slice(&number.to_le_bytes());
                true
            }
            Cell::Time(time) => {
                into.extend_from_slice(&time.0.to_le_bytes());
                true
            }
            Cell::Date(Some(date)) => {
                into.extend_from_slice(&days(date).to_le_bytes());
                true
            }
            Cell::Text(Some(text)) => {
                // A field of an event is never as long as four thousand million bytes.
                into.extend_from_slice(&(text.len() as u32).to_le_bytes());
                into.extend_from_slice(text.as_bytes());
                true
            }
            Cell::Date(None) | Cell::Text(None) => false,
        };
        if self.column.optional {
            self.present.push(is_there);
        }
    }

    /// The page's body: which lines have a value, where not all have to, then the values.
    fn take_body(&mut self) -> Vec<u8> {
        let values = std::mem::take(&mut self.values);
        if !self.column.optional {
            return values;
        }
        let mut levels = Vec::new();
        for run in self.present.chunk_by(|a, b| a == b) {
            // A run of the same level: its length, and the level in one byte.
            varint(&mut levels, (run.len() as u64) << 1);
            levels.push(u8::from(run[0]));
        }
        self.present.clear();
        // At most two bytes a line.
        let mut body = (levels.len() as u32).to_le_bytes().to_vec();
        body.extend_from_slice(&levels);
        body.extend_from_slice(&values);
        body
    }
}

/// Days since 1970-01-01.
fn days(date: Date) -> i32 {
    let epoch = jiff::civil::date(1970, 1, 1);
    // Without a unit to round to, a difference of dates is in days.
    date.since(epoch).map_or(0, |span| span.get_days())
}

/// Thrift's compact protocol, as far as it is needed: a structure's fields in ascending order.
struct Struct<'a> {
    into: &'a mut Vec<u8>,
    last: u8,
}

const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;
const TRUE: u8 = 1;

impl<'a> Struct<'a> {
    fn new(into: &'a mut Vec<u8>) -> Self {
        Self { into, last: 0 }
    }

    /// A field's number is the distance to the one before, which is under 16 in all structures here.
    fn field(&mut self, number: u8, kind: u8) -> &mut Vec<u8> {
        self.into.push((number - self.last) << 4 | kind);
        self.last = number;
        self.into
    }

    fn int(&mut self, number: u8, value: i32) -> &mut Self {
        zigzag(self.field(number, I32), value.into());
        self
    }

    fn long(&mut self, number: u8, value: i64) -> &mut Self {
        zigzag(self.field(number, I64), value);
        self
    }

    fn text(&mut self, number: u8, text: &str) -> &mut Self {
        put_text(self.field(number, BINARY), text);
        self
    }

    fn yes(&mut self, number: u8) -> &mut Self {
        self.field(number, TRUE);
        self
    }

    fn nested(&mut self, number: u8, fill: impl FnOnce(&mut Struct<'_>)) -> &mut Self {
        put_struct(self.field(number, STRUCT), fill);
        self
    }

    fn list(&mut self, number: u8, kind: u8, length: usize) -> &mut Vec<u8> {
        let into = self.field(number, LIST);
        match u8::try_from(length) {
            Ok(length) if length < 15 => into.push(length << 4 | kind),
            Ok(_) | Err(_) => {
                into.push(0xf0 | kind);
                varint(into, length as u64);
            }
        }
        into
    }
}

fn put_struct(into: &mut Vec<u8>, fill: impl FnOnce(&mut Struct<'_>)) {
    fill(&mut Struct::new(into));
    into.push(0);
}

fn put_text(into: &mut Vec<u8>, text: &str) {
    varint(into, text.len() as u64);
    into.extend_from_slice(text.as_bytes());
}

fn varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

fn zigzag(into: &mut Vec<u8>, value: i64) {
    varint(into, ((value << 1) ^ (value >> 63)) as u64);
}

// Numbers of the format's enumerations.
const TYPE_INT32: i32 = 1;
const TYPE_INT64: i32 = 2;
const TYPE_BYTE_ARRAY: i32 = 6;
const REQUIRED: i32 = 0;
const OPTIONAL: i32 = 1;
const CONVERTED_UTF8: i32 = 0;
const CONVERTED_DATE: i32 = 6;
const CONVERTED_TIMESTAMP_MILLIS: i32 = 9;
const DATA_PAGE: i32 = 0;
const PLAIN: i32 = 0;
const RLE: i32 = 3;
const GZIP: i32 = 2;

const fn type_of(sort: Sort) -> i32 {
    match sort {
        Sort::Number | Sort::Time => TYPE_INT64,
        Sort::Date => TYPE_INT32,
        Sort::Text => TYPE_BYTE_ARRAY,
    }
}

fn page_header(rows: usize, plain: usize, packed: usize) -> io::Result<Vec<u8>> {
    let size = |bytes: usize| i32::try_from(bytes).map_err(|_| too_long());
    let (rows, plain, packed) = (size(rows)?, size(plain)?, size(packed)?);
    let mut header = Vec::new();
    put_struct(&mut header, |page| {
        page.int(1, DATA_PAGE).int(2, plain).int(3, packed);
        page.nested(5, |data| {
            data.int(1, rows).int(2, PLAIN).int(3, RLE).int(4, RLE);
        });
    });
    Ok(header)
}

fn footer(groups: &[Group]) -> Vec<u8> {
    let rows: usize = groups.iter().map(|group| group.rows).sum();
    let mut bytes = Vec::new();
    put_struct(&mut bytes, |file| {
        file.int(1, 1);
        let schema = file.list(2, STRUCT, COLUMNS.len() + 1);
        put_struct(schema, |root| {
            root.text(4, "ledger").int(5, COLUMNS.len() as i32);
        });
        for column in &COLUMNS {
            put_struct(schema, |element| put_element(element, column));
        }
        file.long(3, rows as i64);
        let list = file.list(4, STRUCT, groups.len());
        for group in groups {
            put_struct(list, |row_group| put_group(row_group, group));
        }
        file.text(6, concat!("aftercall version ", env!("CARGO_PKG_VERSION")));
    });
    bytes
}

fn put_element(element: &mut Struct<'_>, column: &Column) {
    let repetition = if column.optional { OPTIONAL } else { REQUIRED };
    element
        .int(1, type_of(column.sort))
        .int(3, repetition)
        .text(4, column.name);
    // What it means, for older readers and for newer ones.
    match column.sort {
        Sort::Number => {}
        Sort::Text => {
            element.int(6, CONVERTED_UTF8);
            element.nested(10, |logical| {
                logical.nested(1, |_| {});
            });
        }
        Sort::Date => {
            element.int(6, CONVERTED_DATE);
            element.nested(10, |logical| {
                logical.nested(6, |_| {});
            });
        }
        Sort::Time => {
            element.int(6, CONVERTED_TIMESTAMP_MILLIS);
            element.nested(10, |logical| {
                logical.nested(8, |timestamp| {
                    // In UTC; in milliseconds.
                    timestamp.yes(1).nested(2, |unit| {
                        unit.nested(1, |_| {});
                    });
                });
            });
        }
    }
}

fn put_group(row_group: &mut Struct<'_>, group: &Group) {
    let columns = row_group.list(1, STRUCT, group.chunks.len());
    for (column, chunk) in COLUMNS.iter().zip(&group.chunks) {
        put_struct(columns, |into| {
            into.long(2, chunk.offset as i64);
            into.nested(3, |meta| {
                meta.int(1, type_of(column.sort));
                let encodings = meta.list(2, I32, 2);
                zigzag(encodings, PLAIN.into());
                zigzag(encodings, RLE.into());
                put_text(meta.list(3, BINARY, 1), column.name);
                meta.int(4, GZIP)
                    .long(5, chunk.values as i64)
                    .long(6, chunk.plain_bytes as i64)
                    .long(7, chunk.packed_bytes as i64)
                    .long(9, chunk.offset as i64);
            });
        });
    }
    let bytes: u64 = group.chunks.iter().map(|chunk| chunk.plain_bytes).sum();
    row_group.long(2, bytes as i64).long(3, group.rows as i64);
}
