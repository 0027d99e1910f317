//! A message as Slack's Block Kit has it.
//!
//! Text of others stands in `plain_text` without emoji codes, which Slack shows as it is: in `mrkdwn` a comment could
//! mention a channel, forge a link, or turn bold what it likes. Only our own labels and links are `mrkdwn`. Where there
//! is no `plain_text` (the notification, an operator's own templates) what would be markup is shown as a character that
//! looks like it: Slack knows no escape for it. A long comment goes on in further blocks; only what the block count
//! forbids is cut, never the alert.

use aftercall_actors::alerts::SHORTENED;
use serde_json::{Value, json};

use crate::sinks::message::{
    Fact, Message, Tone, cut,
    outside::{isolated, one_line, plain},
    shortened,
};

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
const FACT_BLOCKS_MAX: usize = 20;
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
    // Two to a fact: Slack shows them side by side.
    for facts in message.facts.chunks(FIELDS_MAX / 2).take(FACT_BLOCKS_MAX) {
        let fields: Vec<Value> = facts.iter().flat_map(fields_of).collect();
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    for passage in &message.passages {
        if blocks.len() + 2 <= BLOCKS_MAX - BLOCKS_AFTER {
            blocks.push(section(bold(&passage.label)));
            let room = BLOCKS_MAX - BLOCKS_AFTER - blocks.len();
            // The last block says that there was more.
            let text = cut(&passage.text, room * TEXT_CHARS_MAX, SHORTENED, |_| 1);
            blocks.extend(paragraphs(&text).map(section));
        }
    }
    if !message.links.is_empty() {
        let links: Vec<String> = message
            .links
            .iter()
            .map(|link| format!("<{}|{}>", entities(&link.url), entities(&link.label)))
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
            blocks.push(section(mrkdwn(&text)));
        }
    }
    if !message.notes.is_empty() {
        let notes = shortened(&message.notes.join("\n"), TEXT_CHARS_MAX, |_| 1);
        blocks.push(section(verbatim(&notes)));
    }
    let reference = shortened(&one_line(&message.reference), FIELD_CHARS_MAX, |_| 1);
    if !reference.is_empty() {
        blocks.push(json!({ "type": "context", "elements": [verbatim(&reference)] }));
    }
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
    format!("{mark}{}", inert(&line))
}

/// Text for a place that reads `mrkdwn`: plain, nothing in it markup, a mention, a link or an emoji code, and what reads
/// from right to left kept apart.
#[must_use]
pub fn escaped(text: &str) -> String {
    inert(&isolated(&plain(text)))
}

/// The same of what is plain already.
fn inert(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut before, mut begins) = (None, true);
    for (at, c) in text.char_indices() {
        let after = text[at + c.len_utf8()..].chars().next();
        let in_word = [before, after]
            .into_iter()
            .all(|c| c.is_some_and(char::is_alphanumeric));
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            // At the beginning of a line it quotes, escaped or not.
            '>' if begins => out.push('›'),
            '>' => out.push_str("&gt;"),
            // Within a word they mean nothing to Slack, and ids have them there.
            '*' | '_' | '~' if in_word => out.push(c),
            '*' => out.push('∗'),
            '_' => out.push('＿'),
            '~' => out.push('∼'),
            '`' => out.push('ˋ'),
            _ => out.push(c),
        }
        begins = c == '\n' || (begins && matches!(c, ' ' | '\u{2068}'));
        before = Some(c);
    }
    without_emoji_codes(&out)
}

/// Text in which no name stands between two colons: both are shown as ratio signs. Judged by what will be written, not
/// by what was given, because a character that looks like markup can be a letter: `ˋ` is one.
fn without_emoji_codes(text: &str) -> String {
    let pieces: Vec<&str> = text.split(':').collect();
    let is_code = |at: usize| at > 0 && at + 1 < pieces.len() && is_emoji_name(pieces[at]);
    let mut out = String::with_capacity(text.len());
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 {
            let acts = is_code(at - 1) || is_code(at);
            out.push(if acts { '∶' } else { ':' });
        }
        out.push_str(piece);
    }
    out
}

/// Whether an emoji can have this name. Workspaces name their own in any script. The minutes of a time are no emoji.
fn is_emoji_name(name: &str) -> bool {
    let is_minutes = name.len() == 2 && name.bytes().all(|b| b.is_ascii_digit());
    let is_name = name
        .chars()
        .all(|c| c.is_alphanumeric() || "_-+'".contains(c));
    !name.is_empty() && is_name && !is_minutes
}

/// `&`, `<` and `>` as Slack wants them, of what is our own.
fn entities(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Characters that a character becomes.
const fn cost(c: char) -> usize {
    match c {
        '&' => 5,
        '<' | '>' => 4,
        _ => 1,
    }
}

fn section(text: Value) -> Value {
    json!({ "type": "section", "text": text })
}

fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

/// Text of others: shown as it is.
fn verbatim(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

fn bold(label: &str) -> Value {
    let label = inert(&shortened(&one_line(label), 100, cost));
    mrkdwn(&format!("*{label}*"))
}

/// Label and text of a fact.
fn fields_of(fact: &Fact) -> [Value; 2] {
    let text = shortened(&one_line(&fact.text), FIELD_CHARS_MAX, |_| 1);
    [bold(&fact.label), verbatim(&text)]
}

/// A passage in as many texts as it needs; none is cut within what a reader sees as one character.
fn paragraphs(text: &str) -> impl Iterator<Item = Value> {
    let mut texts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let text = cut(rest, TEXT_CHARS_MAX, "", |_| 1);
        if text.is_empty() {
            break;
        }
        rest = &rest[text.len()..];
        texts.push(text);
    }
    let texts = texts.into_iter().filter(|text| !text.trim().is_empty());
    texts.map(|text| verbatim(&text))
}
