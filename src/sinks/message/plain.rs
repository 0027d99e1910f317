//! What any output says that has no words of its own: its type as the headline, its fields as facts. So every output
//! can be sent to people from the first day, and a new field shows without a change here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Fact, LinkVar, Message, Occasion, Parcel, Tone, link,
    outside::{isolated, line, one_line},
    words,
};

/// Longest text that stands beside its label; a longer one gets a paragraph. Unit: characters.
const FACT_CHARS_MAX: usize = 200;

pub(super) fn compose(
    parcel: &Parcel,
    vars: &BTreeMap<String, String>,
    missing: &[String],
) -> Message {
    let mut facts = Vec::new();
    let mut passages = Vec::new();
    if let Value::Object(fields) = &parcel.data {
        for (name, value) in fields {
            let Some(text) = words::text(value) else {
                continue;
            };
            let is_long = text.chars().count() > FACT_CHARS_MAX;
            let fact = Fact {
                label: words::label(name),
                text: if is_long { text } else { one_line(&text) },
            };
            if is_long { &mut passages } else { &mut facts }.push(fact);
        }
    }
    let field = |name: &str| parcel.data.get(name).and_then(words::text);
    let who = field("agent_name").or_else(|| field("agent_id"));
    let what = words::label(&parcel.event_type);
    let links = field("interaction_id").and_then(|id| {
        link(
            vars,
            LinkVar::Interaction,
            Some(&id),
            "Open the interaction",
        )
    });
    Message {
        occasion: Occasion::First,
        tone: Tone::Calm,
        headline: match who {
            Some(who) => format!("{what}: {}", isolated(&one_line(&who))),
            None => what,
        },
        facts,
        passages,
        links: links.into_iter().collect(),
        notes: match missing.is_empty() {
            true => Vec::new(),
            false => vec![format!("Not known yet: {}", line(&missing.join(", ")))],
        },
        reference: line(&parcel.id),
    }
}
