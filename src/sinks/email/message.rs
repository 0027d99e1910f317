//! A message as an email: one subject line, HTML with every text escaped, and the same as plain text. Each text of
//! others is laid out in its own direction.

use std::fmt::Write as _;

use crate::sinks::message::{Message, Tone, outside::isolated, shortened};

/// Longest subject. Unit: characters.
pub const SUBJECT_CHARS_MAX: usize = 150;

/// The three parts of an email.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// One line, no control characters.
    pub subject: String,
    /// For those who show it.
    pub html: String,
    /// For those who do not.
    pub text: String,
}

/// Writes a message; all parts together take at most `bytes_max`, unless the form alone is longer.
#[must_use]
pub fn write(message: &Message, bytes_max: usize) -> Email {
    message.fitted(bytes_max, |message| {
        let headline = message.announcement();
        let email = Email {
            subject: subject(&headline),
            html: html(message, &headline),
            text: text(message, &headline),
        };
        let bytes = email.subject.len() + email.html.len() + email.text.len();
        (email, bytes)
    })
}

/// A subject line of any text: what could begin another header becomes a space, and a long one is cut.
#[must_use]
pub fn subject(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| match c {
            '\u{2028}' | '\u{2029}' => ' ',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    shortened(&line, SUBJECT_CHARS_MAX, |_| 1)
}

/// Text as HTML shows it, in an element or in a quoted attribute.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

fn html(message: &Message, headline: &str) -> String {
    let color = match message.tone {
        Tone::Critical => "#b3261e",
        Tone::Warning => "#8a5300",
        Tone::Calm => "#1f1f1f",
    };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body style=\"font-family:sans-serif;color:#1f1f1f\">\n<h1 dir=\"auto\" style=\"font-size:1.25em;color:{color}\">{title}</h1>\n",
        title = escaped(headline)
    );
    // Writing into a string cannot fail, here and below.
    if !message.facts.is_empty() {
        out.push_str("<table style=\"border-spacing:0 4px\">\n");
        for fact in &message.facts {
            let _ = writeln!(
                out,
                "<tr><th align=\"left\" style=\"padding-right:16px\">{}</th><td dir=\"auto\">{}</td></tr>",
                escaped(&fact.label),
                escaped(&fact.text)
            );
        }
        out.push_str("</table>\n");
    }
    for passage in &message.passages {
        let _ = writeln!(
            out,
            "<h2 style=\"font-size:1em\">{}</h2>\n<blockquote dir=\"auto\" \
             style=\"white-space:pre-wrap;unicode-bidi:plaintext;border-left:3px solid #c0c0c0;\
             margin-left:0;padding-left:12px\">{}</blockquote>",
            escaped(&passage.label),
            escaped(&passage.text)
        );
    }
    for note in &message.notes {
        let _ = writeln!(out, "<p><em>{}</em></p>", escaped(note));
    }
    for link in &message.links {
        let _ = writeln!(
            out,
            "<p><a href=\"{}\">{}</a></p>",
            escaped(&link.url),
            escaped(&link.label)
        );
    }
    let _ = writeln!(
        out,
        "<p dir=\"auto\" style=\"color:#6f6f6f;font-size:0.8em\">{}</p>\n</body></html>",
        escaped(&message.reference)
    );
    out
}

fn text(message: &Message, headline: &str) -> String {
    let mut out = format!("{headline}\n\n");
    for fact in &message.facts {
        let _ = writeln!(out, "{}: {}", fact.label, isolated(&fact.text));
    }
    for passage in &message.passages {
        let _ = writeln!(out, "\n{}:", passage.label);
        for line in passage.text.lines() {
            let _ = writeln!(out, "> {line}");
        }
    }
    if !message.notes.is_empty() {
        out.push('\n');
        for note in &message.notes {
            let _ = writeln!(out, "{note}");
        }
    }
    if !message.links.is_empty() {
        out.push('\n');
        for link in &message.links {
            let _ = writeln!(out, "{}: {}", link.label, link.url);
        }
    }
    let _ = writeln!(out, "\n{}", message.reference);
    out
}
