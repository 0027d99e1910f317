//! A message as an Adaptive Card in the envelope that a Workflows webhook of Microsoft Teams takes.
//!
//! All text stands in `TextRun`s, which know no markup: in a `TextBlock` a comment could forge a link. Teams takes at
//! most 28 KB; a longer message is shortened, its longest passage first, and never refused.

use serde_json::{Value, json};

use super::{Fact, Message, Tone, shortened};

/// Most bytes of the whole request body. Teams says 28 KB and not which; so the smaller.
pub const BYTES_MAX: usize = 28_000;

/// The request body: envelope, attachment, card; at most [`BYTES_MAX`] when written as JSON.
#[must_use]
pub fn write(message: &Message, headline: &str) -> Value {
    let mut message = message.clone();
    let mut headline = headline.to_owned();
    loop {
        let card = envelope(&message, &headline);
        let excess = card.to_string().len().saturating_sub(BYTES_MAX);
        if excess == 0 || !shorten(&mut message, &mut headline, excess) {
            return card;
        }
    }
}

/// Takes `excess` bytes away from the longest text, or as many as it can spare; `false` once nothing is left to take.
fn shorten(message: &mut Message, headline: &mut String, excess: usize) -> bool {
    /// What is shorter stays as it is. Unit: bytes as written in JSON.
    const TEXT_BYTES_MIN: usize = 100;
    /// About what a fact takes whose text is that short.
    const FACT_BYTES: usize = 300;
    let texts = message
        .passages
        .iter_mut()
        .chain(&mut message.facts)
        .map(|fact| &mut fact.text)
        .chain(&mut message.notes)
        .chain([&mut message.reference, headline]);
    let longest = texts
        .map(|text| (text.chars().map(bytes_in_json).sum::<usize>(), text))
        .max_by_key(|(bytes, _)| *bytes);
    if let Some((bytes, text)) = longest
        && bytes > TEXT_BYTES_MIN
    {
        let budget = bytes.saturating_sub(excess).max(TEXT_BYTES_MIN);
        *text = shortened(text, budget, bytes_in_json);
        return true;
    }
    // Many short things: the last of them go.
    let facts = message.facts.len();
    let fewer = facts.saturating_sub(excess / FACT_BYTES + 1);
    message.facts.truncate(fewer);
    facts > 0 || message.links.pop().is_some()
}

/// Bytes that a character takes in a JSON string.
const fn bytes_in_json(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        _ => c.len_utf8(),
    }
}

fn envelope(message: &Message, headline: &str) -> Value {
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card(message, headline),
        }],
    })
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
            "items": [rich(vec![bold(&passage.label)]), rich(vec![run(&passage.text)])],
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
        "fallbackText": headline,
        "body": body,
        "actions": actions,
    })
}

fn fact(fact: &Fact) -> Value {
    let mut block = rich(vec![bold(&format!("{}: ", fact.label)), run(&fact.text)]);
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
