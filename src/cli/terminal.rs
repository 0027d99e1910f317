//! Standard output for what is to be read, standard error for the rest; and a reader that goes away is no error.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;

/// Nobody reads our standard output any more: `| head` has seen enough.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub struct Closed;

/// Standard output, buffered until [`Out::flush`] or the end.
pub struct Out {
    stdout: io::BufWriter<io::StdoutLock<'static>>,
}

impl Out {
    /// Takes standard output for itself.
    pub fn new() -> Self {
        Self {
            stdout: io::BufWriter::new(io::stdout().lock()),
        }
    }

    /// One line.
    ///
    /// # Errors
    /// [`Closed`], or that the output cannot be written.
    pub fn line(&mut self, text: impl Display) -> anyhow::Result<()> {
        checked(writeln!(self.stdout, "{text}"))
    }

    /// One JSON value on one line.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(value)?;
        self.line(text)
    }

    /// One JSON value, laid out for people.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn json_pretty(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(text)
    }

    /// Bytes as they are.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        checked(self.stdout.write_all(bytes))
    }

    /// Makes what was written visible.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn flush(&mut self) -> anyhow::Result<()> {
        checked(self.stdout.flush())
    }
}

fn checked(result: io::Result<()>) -> anyhow::Result<()> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Closed.into(),
        _ => anyhow::Error::new(error).context("cannot write to standard output"),
    })
}

/// Whether a command ended only because nobody read its output any more.
pub fn is_closed(error: &anyhow::Error) -> bool {
    error.is::<Closed>()
}

/// One line to standard error. If that is closed as well, there is nobody to tell.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether standard output is a terminal that can be painted over.
pub fn is_screen() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
