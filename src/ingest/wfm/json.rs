//! JSON: one array of objects, or one object a line.
//!
//! An array is cut into its elements by their brackets before any of them is parsed: so it needs no more memory than
//! one element, an element that is wrong is one bad row, and the line of each is known.

use std::{
    fmt,
    io::{BufRead, Read},
    sync::Arc,
};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Number, json};

use super::{BadRow, COLUMNS_MAX, Cell, Flaw, ROW_BYTES_MAX, ReadError, Row, rows::Source, shown};

/// One JSON object a line.
pub(super) struct Lines {
    source: Source,
    /// The line to be read next.
    line: u64,
    text: Vec<u8>,
}

impl Lines {
    pub(super) fn new(source: Source, line: u64) -> Self {
        Self {
            source,
            line,
            text: Vec::new(),
        }
    }

    /// The next row; `None` at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<Result<Row, BadRow>>, ReadError> {
        loop {
            self.text.clear();
            // One more than fits, to tell a line that is too long.
            let most = ROW_BYTES_MAX as u64 + 1;
            let mut bounded = self.source.by_ref().take(most);
            if bounded.read_until(b'\n', &mut self.text)? == 0 {
                return Ok(None);
            }
            let line = self.line;
            if self.text.len() > ROW_BYTES_MAX {
                return Err(too_long(line));
            }
            self.line += 1;
            if !self.text.trim_ascii().is_empty() {
                let row = parse(line, &self.text).map_err(|mut bad| {
                    bad.detail.push_str("; one JSON object a line is read here");
                    bad
                });
                return Ok(Some(row));
            }
        }
    }
}

/// One JSON array, element by element.
pub(super) struct Elements {
    source: Source,
    /// Line of the next byte.
    line: u64,
    is_open: bool,
    is_ended: bool,
    any: bool,
}

/// How an element ended.
#[derive(PartialEq, Eq)]
enum End {
    Comma,
    Bracket,
}

impl Elements {
    /// The array's bracket is the next byte of `source`.
    pub(super) fn new(source: Source, line: u64) -> Self {
        Self {
            source,
            line,
            is_open: false,
            is_ended: false,
            any: false,
        }
    }

    /// The next row; `None` at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<Result<Row, BadRow>>, ReadError> {
        if !self.is_open {
            self.source.consume(1);
            self.is_open = true;
        }
        if self.is_ended {
            return Ok(None);
        }
        let (line, text, end) = self.cut()?;
        let is_blank = text.trim_ascii().is_empty();
        if end == End::Bracket {
            self.is_ended = true;
            self.check_rest()?;
            if is_blank && !self.any {
                return Ok(None);
            }
        }
        self.any = true;
        Ok(Some(if is_blank {
            let detail = "nothing between two commas, or behind the last";
            Err(bad(line, Flaw::Unreadable, None, detail.into(), &text))
        } else {
            parse(line, &text)
        }))
    }

    /// The bytes up to the next comma or bracket that is the array's own, and the line on which the first of them that
    /// is no space stands.
    fn cut(&mut self) -> Result<(u64, Vec<u8>, End), ReadError> {
        let mut text = Vec::new();
        let mut begin = None;
        let mut depth = 0_usize;
        let (mut quoted, mut escaped) = (false, false);
        loop {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                return Err(ReadError::Broken {
                    line: begin.unwrap_or(self.line),
                    why: "the file ends within the array; was it cut off?".into(),
                });
            }
            let mut end = None;
            let mut used = 0;
            for &byte in buffer {
                used += 1;
                match byte {
                    b'\n' => self.line += 1,
                    b' ' | b'\r' | b'\t' => {}
                    _ => begin = begin.or(Some(self.line)),
                }
                if quoted {
                    quoted = escaped || byte != b'"';
                    escaped = !escaped && byte == b'\\';
                    continue;
                }
                match byte {
                    b'"' => quoted = true,
                    b'{' | b'[' => depth += 1,
                    b',' if depth == 0 => end = Some(End::Comma),
                    b']' if depth == 0 => end = Some(End::Bracket),
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if end.is_some() {
                    break;
                }
            }
            let kept = used - usize::from(end.is_some());
            text.extend_from_slice(buffer.get(..kept).unwrap_or_default());
            self.source.consume(used);
            let line = begin.unwrap_or(self.line);
            if text.len() > ROW_BYTES_MAX {
                return Err(too_long(line));
            }
            if let Some(end) = end {
                return Ok((line, text, end));
            }
        }
    }

    /// Behind the array there may be nothing but space.
    fn check_rest(&mut self) -> Result<(), ReadError> {
        loop {
            let buffer = self.source.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            for &byte in buffer {
                match byte {
                    b'\n' => self.line += 1,
                    b' ' | b'\r' | b'\t' => {}
                    _ => {
                        return Err(ReadError::Broken {
                            line: self.line,
                            why: "the array has ended, but the file has not".into(),
                        });
                    }
                }
            }
            let used = buffer.len();
            self.source.consume(used);
        }
    }
}

fn too_long(line: u64) -> ReadError {
    ReadError::Broken {
        line,
        why: format!(
            "the row has more than {ROW_BYTES_MAX} bytes; is a quotation mark or bracket not closed?"
        ),
    }
}

fn parse(line: u64, text: &[u8]) -> Result<Row, BadRow> {
    let object: Object = serde_json::from_slice(text).map_err(|error| {
        // The place within the row would be taken for one in the file.
        let error = error.to_string();
        let why = error
            .rsplit_once(" at line ")
            .map_or(&*error, |(why, _)| why);
        bad(
            line,
            Flaw::Unreadable,
            None,
            format!("not a JSON object: {why}"),
            text,
        )
    })?;
    let row = Row {
        line,
        cells: object.0,
    };
    for (place, (name, _)) in row.cells.iter().enumerate() {
        if row.cells.iter().take(place).any(|(other, _)| other == name) {
            let detail = format!("{} stands there twice", shown(name));
            return Err(bad(line, Flaw::DoubleColumn, Some(name), detail, text));
        }
    }
    Ok(row)
}

fn bad(line: u64, flaw: Flaw, column: Option<&str>, detail: String, text: &[u8]) -> BadRow {
    BadRow {
        line,
        column: column.map(str::to_owned),
        flaw,
        detail,
        data: json!({ "row": String::from_utf8_lossy(text.trim_ascii()) }),
    }
}

/// The members of an object in their order, names that stand there twice included.
struct Object(Vec<(Arc<str>, Cell)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut cells = Vec::new();
                while let Some((name, cell)) = map.next_entry::<String, Cell>()? {
                    if cells.len() == COLUMNS_MAX {
                        let why = format!("more than {COLUMNS_MAX} columns");
                        return Err(serde::de::Error::custom(why));
                    }
                    cells.push((name.trim().into(), cell));
                }
                Ok(Object(cells))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Empty)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Cell, E> {
        Ok(Cell::Other("a boolean"))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Cell, E> {
        Ok(Cell::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
        Ok(Cell::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Cell, E> {
        // A JSON number is finite; serde_json refuses one that is too large.
        Ok(Number::from_f64(number).map_or(Cell::Other("no number"), Cell::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(match text.trim() {
            "" => Cell::Empty,
            text => Cell::Text(text.to_owned()),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Cell, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Other("an array"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Other("an object"))
    }
}
