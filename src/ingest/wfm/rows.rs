//! The rows of a file, one after the other: whether it is compressed, and which form it has, is told from its first
//! bytes, never from its name, which says nothing on a pipe.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use super::{
    BadRow, ReadError, Row,
    json::{Elements, Lines},
    packed::{Unpacked, located},
    table::Table,
};
use crate::config::WfmColumns;

/// Bytes read at once.
const BUFFER: usize = 1 << 18;

/// What rows are read from.
pub(super) type Source = Box<dyn BufRead>;

/// The rows of one file.
pub struct Rows {
    form: Form,
    /// The last line on which a row began.
    line: u64,
}

enum Form {
    /// CSV with a header.
    Table(Table),
    /// One JSON array of objects.
    Elements(Elements),
    /// One JSON object a line.
    Lines(Lines),
}

impl Rows {
    /// Looks at the first bytes of `input`, and at the header if there is one.
    ///
    /// # Errors
    /// If there is nothing in it, or its columns are not those of the mapping.
    pub fn open(input: impl Read + 'static, columns: &WfmColumns) -> Result<Self, ReadError> {
        let form = Self::form(input, columns).map_err(|error| located(error, 0))?;
        Ok(Self { form, line: 0 })
    }

    fn form(input: impl Read + 'static, columns: &WfmColumns) -> Result<Form, ReadError> {
        let mut source = plain(input)?;
        let first = first_byte(&mut source)?;
        Ok(match first {
            Some((line, b'[')) => Form::Elements(Elements::new(source, line)),
            Some((line, b'{')) => Form::Lines(Lines::new(source, line)),
            Some((line, _)) => Form::Table(Table::open(source, line, columns)?),
            None => {
                return Err(ReadError::Form {
                    line: 1,
                    why: "nothing in it; a CSV has at least a header, JSON at least []".into(),
                });
            }
        })
    }

    /// The next row, good or bad; `None` at the end.
    ///
    /// # Errors
    /// If it cannot be read further.
    pub fn next_row(&mut self) -> Result<Option<Result<Row, BadRow>>, ReadError> {
        let row = match &mut self.form {
            Form::Table(table) => table.next_row(),
            Form::Elements(elements) => elements.next_row(),
            Form::Lines(lines) => lines.next_row(),
        };
        match &row {
            Ok(Some(Ok(row))) => self.line = row.line,
            Ok(Some(Err(bad))) => self.line = bad.line,
            Ok(None) | Err(_) => {}
        }
        row.map_err(|error| located(error, self.line))
    }
}

/// The text of the file: unpacked, without a byte order mark.
fn plain(input: impl Read + 'static) -> Result<Source, ReadError> {
    let (head, input) = peek(input, 2)?;
    let unpacked: Box<dyn Read> = if head == [0x1f, 0x8b] {
        Box::new(Unpacked::new(input, BUFFER))
    } else {
        Box::new(input)
    };
    let (head, mut text) = peek(unpacked, 3)?;
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return Err(ReadError::Form {
            line: 1,
            why: "UTF-16; only UTF-8 is read: save it as \"CSV UTF-8\"".into(),
        });
    }
    if head == [0xef, 0xbb, 0xbf] {
        text.read_exact(&mut [0; 3])?;
    }
    Ok(Box::new(BufReader::with_capacity(BUFFER, text)))
}

/// The first `count` bytes, or all there are, and a reader that gives them again.
fn peek(mut input: impl Read, count: u64) -> io::Result<(Vec<u8>, impl Read)> {
    let mut head = Vec::new();
    input.by_ref().take(count).read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(input)))
}

/// The first byte that is no space, still to be read, and the line it is on.
fn first_byte(source: &mut Source) -> io::Result<Option<(u64, u8)>> {
    let mut line = 1;
    loop {
        let Some(&byte) = source.fill_buf()?.first() else {
            return Ok(None);
        };
        match byte {
            b'\n' => line += 1,
            b' ' | b'\r' => {}
            _ => return Ok(Some((line, byte))),
        }
        source.consume(1);
    }
}

#[cfg(test)]
mod tests;
