//! A message as an Adaptive Card in the envelope that a Workflows webhook of Microsoft Teams takes.
//!
//! All text stands in `TextRun`s, which know no markup: in a `TextBlock` a comment could forge a link. Teams takes at
//! most 28 KB; a longer message is shortened, its longest passage first, and never refused.

use serde_json::{Value, json};

use super::{Fact, Message, Tone};

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
