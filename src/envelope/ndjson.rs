//! Events from a file or a pipe, one JSON object a line, in bounded memory.

use std::io::{self, BufRead, Read};

use bytes::Bytes;

use super::{EVENT_BYTES_MAX, Incoming, Reject, structured};

/// Some programs open a text with this mark.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A line that is not blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// Where the next one begins: all before it has been read.
    pub end: u64,
    /// The event, not yet checked; or the refusal of a line longer than an event may be.
    pub event: Result<Incoming, Reject>,
}

/// The lines of a reader. Blank ones are counted and skipped; a line longer than [`EVENT_BYTES_MAX`] is passed over
/// without being held in memory.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    number: u64,
    offset: u64,
    failed: bool,
}

impl<R: BufRead> Lines<R> {
    /// Lines from the start of a file.
    pub const fn new(reader: R) -> Self {
        Self::resume(reader, 0, 0)
    }

    /// Lines from a place a former run had reached; `reader` already stands there.
    pub const fn resume(reader: R, number: u64, offset: u64) -> Self {
        Self {
            reader,
            number,
            offset,
            failed: false,
        }
    }

    /// The next line, blank or not; `None` at the end.
    fn line(&mut self) -> io::Result<Option<Line>> {
        let offset = self.offset;
        let mut bytes = Vec::new();
        // Room for a line break of two bytes.
        let bound = EVENT_BYTES_MAX as u64 + 2;
        let read = (&mut self.reader)
            .take(bound)
            .read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        let mut length = read as u64;
        if !bytes.ends_with(b"\n") && length == bound {
            length += skip_line(&mut self.reader)?;
        }
        self.offset += length;
        self.number += 1;
        let start = if offset == 0 && bytes.starts_with(BOM) {
            BOM.len()
        } else {
            0
        };
        let text = bytes[start..].trim_ascii();
        let event = if length > bound || text.len() > EVENT_BYTES_MAX {
            Err(structured::too_large(
                usize::try_from(length).unwrap_or(usize::MAX),
            ))
        } else {
            Ok(Incoming::structured(Bytes::copy_from_slice(text)))
        };
        Ok(Some(Line {
            number: self.number,
            offset,
            end: self.offset,
            event,
        }))
    }
}

/// Reads up to the next line break and returns how many bytes that were.
fn skip_line(reader: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = match reader.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = buffer.iter().position(|b| *b == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        let done = end.is_some() || used == 0;
        reader.consume(used);
        skipped += used as u64;
        if done {
            return Ok(skipped);
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    /// The next line that is not blank. After an error of the reader there are no more.
    fn next(&mut self) -> Option<io::Result<Line>> {
        while !self.failed {
            match self.line() {
                Ok(Some(line)) if line.is_blank() => {}
                Ok(line) => return line.map(Ok),
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl Line {
    fn is_blank(&self) -> bool {
        self.event
            .as_ref()
            .is_ok_and(|event| event.as_bytes().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;
    use crate::envelope::Reason;

    #[test]
    fn lines_have_their_number_and_place_and_blank_ones_are_skipped() {
        let text = "\u{feff}{\"a\":1}\r\n\n  \n{\"b\":2}";
        assert_eq!(
            read(text.as_bytes()),
            [
                (1, 0, 12, Ok("{\"a\":1}".into())),
                (4, 16, 23, Ok("{\"b\":2}".into())),
            ]
        );
        assert_eq!(read(b""), []);
        assert_eq!(read(b"\n\n"), []);
    }

    #[test]
    fn a_line_of_the_longest_length_is_taken_and_one_byte_more_is_passed_over() {
        for end in ["\n", "\r\n"] {
            let longest = "x".repeat(EVENT_BYTES_MAX);
            let longer = "y".repeat(EVENT_BYTES_MAX + 1);
            let far = "z".repeat(3 * EVENT_BYTES_MAX);
            let text = format!("{longest}{end}{longer}{end}{far}{end}last");
            let lines = read(text.as_bytes());
            let events: Vec<_> = lines
                .iter()
                .map(|(number, _, _, e)| (*number, e.clone()))
                .collect();
            assert_eq!(
                events,
                [
                    (1, Ok(longest)),
                    (2, Err(Reason::TooLarge)),
                    (3, Err(Reason::TooLarge)),
                    (4, Ok("last".into())),
                ]
            );
            assert_eq!(lines[3].2, text.len() as u64);
            for pair in lines.windows(2) {
                assert_eq!(pair[0].2, pair[1].1, "no byte is lost between two lines");
            }
        }
    }

    #[test]
    fn a_second_run_goes_on_where_the_first_one_was() {
        let text = "{\"a\":1}\n{\"b\":2}\n";
        let first = Lines::new(text.as_bytes())
            .next()
            .expect("one")
            .expect("read");
        let rest = &text.as_bytes()[usize::try_from(first.end).expect("small")..];
        let second = Lines::resume(rest, first.number, first.end).next();
        let second = second.expect("one").expect("read");
        assert_eq!((second.number, second.offset, second.end), (2, 8, 16));
    }

    #[test]
    fn an_error_of_the_reader_comes_once() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        let mut lines = Lines::new(BufReader::new(Broken));
        assert!(lines.next().is_some_and(|line| line.is_err()));
        assert!(lines.next().is_none());
    }

    type Read3 = (u64, u64, u64, Result<String, Reason>);

    fn read(bytes: &[u8]) -> Vec<Read3> {
        // A small buffer, so that lines cross it.
        Lines::new(BufReader::with_capacity(7, bytes))
            .map(|line| line.expect("reads"))
            .map(|line| {
                let event = line.event.map_err(|reject| reject.reason);
                let text = event.map(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
                (line.number, line.offset, line.end, text)
            })
            .collect()
    }
}
