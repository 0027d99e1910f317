//! A message as an Adaptive Card in the envelope that a Workflows webhook of Microsoft Teams takes.
//!
//! All text stands in `TextRun`s, which know no markup: in a `TextBlock` a comment could forge a link. Where Markdown
//! is read all the same (the fallback text, cards of the operator's own) what would be markup is shown as a character
//! that looks like it. Teams takes at most 28 KB; a longer message is shortened, its longest passage first, and never
//! refused.

use serde_json::{Value, json};

use crate::sinks::message::{
    Fact, Message, Tone,
    outside::{isolated, plain},
};

/// Most bytes of the whole request body. Teams says 28 KB and not which; so the smaller.
pub const BYTES_MAX: usize = 28_000;

/// The request body: envelope, attachment, card; at most `bytes_max` and [`BYTES_MAX`] when written as JSON, unless the
/// form alone is longer.
#[must_use]
pub fn write(message: &Message, bytes_max: usize) -> Value {
    message.fitted(bytes_max.min(BYTES_MAX), |message| {
        let card = envelope(card(message, &message.announcement()));
        let bytes = card.to_string().len();
        (card, bytes)
    })
}

/// A card as Workflows wants it.
#[must_use]
pub fn envelope(card: Value) -> Value {
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

/// Text for a place that reads Markdown: plain, nothing in it markup, and what reads from right to left kept apart.
#[must_use]
pub fn escaped(text: &str) -> String {
    inert(&isolated(&plain(text)))
}

/// The same of what is plain already.
fn inert(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let mut out = String::with_capacity(line.len());
        let start = line.trim_start_matches([' ', '\u{2068}']);
        let digits = start.bytes().take_while(u8::is_ascii_digit).count();
        // A list or a heading begins with the first character that is none of space.
        let first = line.len() - start.len();
        let mut before = None;
        for (at, c) in line.char_indices() {
            let after = line[at + c.len_utf8()..].chars().next();
            let in_word = [before, after]
                .into_iter()
                .all(|c| c.is_some_and(char::is_alphanumeric));
            out.push(match c {
                '_' if in_word => c,
                '*' => '∗',
                '_' => '＿',
                '~' => '∼',
                '`' => 'ˋ',
                '\\' => '＼',
                '[' => '［',
                ']' => '］',
                '<' => '‹',
                '|' => '❘',
                // `{{DATE(...)}}` is a function of cards.
                '{' if before == Some('{') => '｛',
                '#' if at == first => '＃',
                '>' if at == first => '›',
                '-' | '+' if at == first && after.is_none_or(|c| !c.is_alphanumeric()) => '–',
                '.' | ')' if digits > 0 && at == first + digits => '․',
                c => c,
            });
            before = Some(c);
        }
        out
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn card(message: &Message, headline: &str) -> Value {
    let (style, color) = match message.tone {
        Tone::Critical => ("attention", "attention"),
        Tone::Warning => ("warning", "warning"),
        Tone::Calm => ("default", "default"),
    };
    let mut body = vec![json!({
        "type": "Container",
        "style": style,
        "bleed": true,
        "items": [rich(vec![json!({
            "type": "TextRun", "text": headline, "size": "large", "weight": "bolder", "color": color,
        })])],
    })];
    body.extend(message.facts.iter().map(fact));
    for passage in &message.passages {
        body.push(json!({
            "type": "Container",
            "style": "emphasis",
            "items": [rich(vec![bold(&passage.label)]), rich(vec![run(&isolated(&passage.text))])],
        }));
    }
    for note in &message.notes {
        body.push(rich(vec![
            json!({ "type": "TextRun", "text": note, "italic": true }),
        ]));
    }
    body.push(rich(vec![json!({
        "type": "TextRun", "text": message.reference, "isSubtle": true, "size": "small",
    })]));
    let actions: Vec<Value> = message
        .links
        .iter()
        .map(|link| json!({ "type": "Action.OpenUrl", "title": link.label, "url": link.url }))
        .collect();
    json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": { "width": "Full" },
        "fallbackText": inert(headline),
        "body": body,
        "actions": actions,
    })
}

fn fact(fact: &Fact) -> Value {
    let mut block = rich(vec![
        bold(&format!("{}: ", fact.label)),
        run(&isolated(&fact.text)),
    ]);
    block["spacing"] = json!("small");
    block
}

fn rich(inlines: Vec<Value>) -> Value {
    json!({ "type": "RichTextBlock", "inlines": inlines })
}

fn run(text: &str) -> Value {
    json!({ "type": "TextRun", "text": text })
}

fn bold(text: &str) -> Value {
    json!({ "type": "TextRun", "text": text, "weight": "bolder" })
}
