//! Gzip, and what is wrong with it: told from what is wrong with the disk or the pipe that it comes from.
//!
//! A file that is cut off, damaged, or followed by something else ends the same every time it is read: it is a bad file,
//! with the place where it cannot be unpacked any more. An error in reading it may pass.

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Read},
    rc::Rc,
};

use flate2::bufread::GzDecoder;

use super::ReadError;

/// What is wrong, on its way through readers that know nothing of it.
#[derive(Debug, thiserror::Error)]
#[error("cannot be unpacked at byte {byte}: {why}")]
struct Damaged {
    byte: u64,
    why: &'static str,
}

/// The unpacked content of gzip members, one after the other.
pub(super) struct Unpacked<R> {
    /// None for a moment while one member ends and the next one begins.
    member: Option<GzDecoder<Counted<R>>>,
    taken: Rc<Cell<u64>>,
    failed: Rc<Cell<bool>>,
    /// Members that have ended.
    ended: u32,
    given: u64,
}

/// Most that is unpacked of a file, in bytes: what has more was made to have it.
const UNPACKED_BYTES_MAX: u64 = 16 << 30;

impl<R: Read> Unpacked<R> {
    /// Unpacks `input`, taking `buffer` bytes at once.
    pub(super) fn new(input: R, buffer: usize) -> Self {
        let (taken, failed) = (Rc::default(), Rc::default());
        let counted = Counted {
            input: BufReader::with_capacity(buffer, input),
            taken: Rc::clone(&taken),
            failed: Rc::clone(&failed),
        };
        Self {
            member: Some(GzDecoder::new(counted)),
            taken,
            failed,
            ended: 0,
            given: 0,
        }
    }

    fn fault(&self, error: io::Error) -> io::Error {
        // Of the disk, not of what stands on it.
        if self.failed.get() || error.kind() == io::ErrorKind::Interrupted {
            return error;
        }
        let has_begun = self.member.as_ref().is_some_and(|m| m.header().is_some());
        self.damaged(match error.kind() {
            _ if self.ended > 0 && !has_begun => {
                "what stands behind the compressed data is none, or was cut off"
            }
            io::ErrorKind::UnexpectedEof => "it ends within the compressed data; was it cut off?",
            _ if error.to_string().contains("checksum") => {
                "the checksum is another one than that of the content; was it changed on the way?"
            }
            _ => "the compressed data is damaged",
        })
    }

    fn damaged(&self, why: &'static str) -> io::Error {
        let byte = self.taken.get();
        io::Error::other(Damaged { byte, why })
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = &mut self.member else {
                return Ok(0);
            };
            match member.read(into) {
                Ok(0) if !into.is_empty() => {}
                Ok(read) => {
                    self.given += read as u64;
                    if self.given > UNPACKED_BYTES_MAX {
                        return Err(self.damaged("more than 16 GiB come out of it"));
                    }
                    return Ok(read);
                }
                Err(error) => return Err(self.fault(error)),
            }
            self.ended += 1;
            // A member has ended, and its checksum was right.
            let Some(mut rest) = self.member.take().map(GzDecoder::into_inner) else {
                return Ok(0);
            };
            if rest.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.member = Some(GzDecoder::new(rest));
        }
    }
}

/// Counts what is taken, and remembers whether it could not be had.
struct Counted<R> {
    input: BufReader<R>,
    taken: Rc<Cell<u64>>,
    failed: Rc<Cell<bool>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let read = available.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: Read> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let failed = &self.failed;
        self.input.fill_buf().inspect_err(|_| failed.set(true))
    }

    fn consume(&mut self, amount: usize) {
        self.taken.set(self.taken.get() + amount as u64);
        self.input.consume(amount);
    }
}

/// An error in reading, with the line behind which a compressed file cannot be unpacked if that is what it is.
pub(super) fn located(error: ReadError, line: u64) -> ReadError {
    let ReadError::Io(io) = error else {
        return error;
    };
    match io
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Damaged>())
    {
        Some(Damaged { byte, why }) => ReadError::Packed {
            line,
            byte: *byte,
            why: (*why).to_owned(),
        },
        None => ReadError::Io(io),
    }
}
