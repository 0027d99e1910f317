//! A message as Slack's Block Kit has it.
//!
//! Text of others stands in `mrkdwn` blocks with `&`, `<` and `>` escaped and `verbatim` set, so that no comment can
//! mention a channel or forge a link. A long comment goes on in further blocks; only what the block count forbids is
//! cut, never the alert.

use serde_json::{Value, json};

use super::{Fact, Message, Tone, shortened};

/// Most characters in a text of a section block, after escaping. Source: Slack's Block Kit reference.
pub const TEXT_CHARS_MAX: usize = 3_000;
/// Most characters in a header block.
pub const HEADER_CHARS_MAX: usize = 150;
/// Most blocks of a message.
pub const BLOCKS_MAX: usize = 50;
/// Most fields of a section block.
const FIELDS_MAX: usize = 10;
/// Most characters of such a field.
const FIELD_CHARS_MAX: usize = 2_000;
/// Most sections of facts: room for ten times as many as an alert has.
const FACT_BLOCKS_MAX: usize = 10;
/// Blocks kept for what follows the passages: links, notes, reference.
const BLOCKS_AFTER: usize = 3;

/// The fields `text` (for notifications) and `blocks` of a message; at most `bytes_max` when written as JSON, unless the
/// form alone is longer.
#[must_use]
pub fn write(message: &Message, bytes_max: usize) -> Value {
    message.fitted(bytes_max, |message| {
        let fields = fields(message, &message.announcement());
        let bytes = fields.to_string().len();
        (fields, bytes)
    })
}

/// The notification alone.
#[must_use]
pub fn text(message: &Message) -> String {
    notification(message, &message.announcement())
}

fn fields(message: &Message, headline: &str) -> Value {
    let mut blocks = vec![json!({
        "type": "header",
        "text": {
            "type": "plain_text",
            "text": shortened(&one_line(headline), HEADER_CHARS_MAX, |_| 1),
            "emoji": false,
        },
    })];
    for facts in message.facts.chunks(FIELDS_MAX).take(FACT_BLOCKS_MAX) {
        let fields: Vec<Value> = facts.iter().map(field).collect();
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    for passage in &message.passages {
        for text in paragraphs(passage) {
            if blocks.len() < BLOCKS_MAX - BLOCKS_AFTER {
                blocks.push(section(&text));
            }
        }
    }
    if !message.links.is_empty() {
        let links: Vec<String> = message
            .links
            .iter()
            .map(|link| format!("<{}|{}>", escaped(&link.url), escaped(&link.label)))
            .collect();
        // Whole links only: half of one leads nowhere.
        let mut text = String::new();
        for link in links {
            if text.chars().count() + link.chars().count() + 3 <= TEXT_CHARS_MAX {
                if !text.is_empty() {
                    text.push_str(" · ");
                }
                text.push_str(&link);
            }
        }
        if !text.is_empty() {
            blocks.push(section(&text));
        }
    }
    if !message.notes.is_empty() {
        let notes = shortened(&message.notes.join("\n"), TEXT_CHARS_MAX, cost);
        blocks.push(section(&escaped(&notes)));
    }
    let reference = shortened(&one_line(&message.reference), FIELD_CHARS_MAX, cost);
    blocks.push(json!({
        "type": "context",
        "elements": [{ "type": "mrkdwn", "text": escaped(&reference), "verbatim": true }],
    }));
    json!({ "text": notification(message, headline), "blocks": blocks })
}

fn notification(message: &Message, headline: &str) -> String {
    let mark = match message.tone {
        Tone::Critical => "🔴 ",
        Tone::Warning => "🟠 ",
        Tone::Calm => "",
    };
    // The mark takes two characters.
    let line = shortened(&one_line(headline), TEXT_CHARS_MAX - 2, cost);
    format!("{mark}{}", escaped(&line))
}

/// `&`, `<` and `>` as Slack wants them; nothing else has a meaning that reaches beyond the message.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ => out.push(c),
        }
    }
    out
}

/// Characters that a character becomes.
const fn cost(c: char) -> usize {
    match c {
        '&' => 5,
        '<' | '>' => 4,
        _ => 1,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } })
}

fn field(fact: &Fact) -> Value {
    let label = escaped(&shortened(&one_line(&fact.label), 100, cost));
    // Two stars and a line break stand around the label.
    let room = FIELD_CHARS_MAX.saturating_sub(label.chars().count() + 3);
    let text = escaped(&shortened(&one_line(&fact.text), room, cost));
    json!({ "type": "mrkdwn", "text": format!("*{label}*\n{text}"), "verbatim": true })
}

/// A passage as quoted lines, in as many blocks as it needs.
fn paragraphs(passage: &Fact) -> Vec<String> {
    let mut texts = Vec::new();
    let mut text = format!("*{}*\n>", escaped(&passage.label));
    let mut used = text.chars().count();
    for c in passage.text.chars().filter(|c| *c != '\r') {
        let piece = match c {
            '\n' => "\n>".to_owned(),
            _ => escaped(c.encode_utf8(&mut [0; 4])),
        };
        let more = piece.chars().count();
        if used + more > TEXT_CHARS_MAX {
            texts.push(std::mem::replace(&mut text, ">".to_owned()));
            used = 1;
        }
        text.push_str(&piece);
        used += more;
    }
    texts.push(text);
    texts
}
