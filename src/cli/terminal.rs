//! Standard output for what is to be read, standard error for the rest; and a reader that goes away is no error.

use std::{
    borrow::Cow,
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

    /// One line, or several. What stands in texts of others cannot steer the terminal.
    ///
    /// # Errors
    /// [`Closed`], or that the output cannot be written.
    pub fn line(&mut self, text: impl Display) -> anyhow::Result<()> {
        let text = text.to_string();
        checked(writeln!(self.stdout, "{}", tamed(&text)))
    }

    /// One JSON value on one line.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(value)?;
        checked(writeln!(self.stdout, "{}", json_tamed(&text)))
    }

    /// One JSON value, laid out for people.
    ///
    /// # Errors
    /// As [`Out::line`].
    pub fn json_pretty(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        checked(writeln!(self.stdout, "{}", json_tamed(&text)))
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

/// One line to standard error. If that is closed as well, there is no one to tell.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", tamed(text));
}

/// Whether a character does something to a terminal instead of being shown: controls, and what turns the order of
/// characters around, which makes a line read otherwise than it is.
#[must_use]
pub fn is_unruly(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

/// Text with its unruly characters as escapes, but for line breaks and tabs.
#[must_use]
pub fn tamed(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |c| is_unruly(c) && !matches!(c, '\n' | '\t'),
        |c| format!("\\u{{{:x}}}", u32::from(c)),
    )
}

/// Text on one line, with all of its unruly characters as escapes.
#[must_use]
pub fn tamed_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_unruly, |c| format!("\\u{{{:x}}}", u32::from(c)))
}

/// JSON that says the same in characters that are all shown. Where it is laid out, its line breaks stay.
fn json_tamed(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |c| is_unruly(c) && c != '\n',
        |c| {
            // All of them are below U+10000; in a document they stand in strings only.
            format!("\\u{:04x}", u32::from(c))
        },
    )
}

fn escaped(
    text: &str,
    is_bad: impl Fn(char) -> bool,
    escape: impl Fn(char) -> String,
) -> Cow<'_, str> {
    if !text.chars().any(&is_bad) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_bad(c) {
            shown.push_str(&escape(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Text in which addresses have lost what stood before their `@`: it may be a password.
#[must_use]
pub fn without_logins(text: &str) -> String {
    let ends_word = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`');
    let mut shown = String::with_capacity(text.len());
    for word in text.split_inclusive(ends_word) {
        // Not only behind `://`: one of the two slashes is what people leave out.
        match word
            .rsplit_once('@')
            .map(|(login, rest)| (login.find(':'), login, rest))
        {
            Some((Some(colon), login, rest)) => {
                let scheme = login.get(..=colon).unwrap_or_default();
                let is_scheme = login.get(colon + 1..).is_some_and(|l| l.starts_with('/'));
                shown.push_str(if is_scheme { scheme } else { "" });
                shown.push_str(if is_scheme { "//***@" } else { "***@" });
                shown.push_str(rest);
            }
            Some((None, ..)) | None => shown.push_str(word),
        }
    }
    shown
}

/// Whether standard output is a terminal that can be painted over.
pub fn is_screen() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_or_turns_text_around_is_shown_as_an_escape() {
        let text = "a\u{1b}[2J\u{9b}31m\u{7f}\r\u{202e}b\u{2066}\u{200f}\u{feff}é\n\t";
        let shown = "a\\u{1b}[2J\\u{9b}31m\\u{7f}\\u{d}\\u{202e}b\\u{2066}\\u{200f}\\u{feff}é";
        assert_eq!(tamed(text), format!("{shown}\n\t"));
        assert_eq!(tamed_line(text), format!("{shown}\\u{{a}}\\u{{9}}"));
        let json = serde_json::to_string_pretty(&serde_json::json!({ "text": text })).unwrap();
        let tamed = json_tamed(&json);
        assert!(!tamed.chars().any(|c| is_unruly(c) && c != '\n'), "{tamed}");
        let back: serde_json::Value = serde_json::from_str(&tamed).unwrap();
        assert_eq!(back["text"], text, "it says the same");
    }

    #[test]
    fn s1_10_a_login_in_a_wrong_place_is_not_shown() {
        for (text, shown) in [
            (
                "error: unexpected argument 'nats://joe:hush@n1:4222' found",
                "error: unexpected argument 'nats://***@n1:4222' found",
            ),
            ("'nats:/joe:hush@n1' x@y", "'nats://***@n1' x@y"),
            ("joe:hush@n1,nats://b:hush2@n2", "***@n2"),
            ("nothing here", "nothing here"),
        ] {
            assert_eq!(without_logins(text), shown);
        }
    }
}
