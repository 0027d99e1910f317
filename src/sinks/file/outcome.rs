//! `outcome`: what goes back into the log once an output has its verdict.

use aftercall_actors::contract::event::Body;

use crate::{
    config::document::Section,
    delivery::policy::OutcomeRule,
    sinks::{expression::Expression, reader::Reader, scope::ANSWER},
};

/// What `outcome` says.
pub(super) struct Outcome {
    pub(super) rule: Option<OutcomeRule>,
    pub(super) status: Option<Expression>,
    pub(super) response: Option<Expression>,
}

/// Reads the table.
pub(super) fn read(reader: &mut Reader, s: &mut Section<'_, '_>) -> Outcome {
    let event = s.word("event", |text| {
        let outcomes = || {
            Body::TYPES
                .into_iter()
                .filter(|name| name.ends_with(".outcome"))
        };
        outcomes()
            .find(|name| *name == text)
            .map(str::to_owned)
            .ok_or_else(|| outcomes().collect::<Vec<_>>().join(", "))
    });
    if s.is_there() && !s.has("event") {
        s.missing(
            "event",
            "the type of event to report with, such as \"reward.outcome\"",
        );
    }
    let mut said = |key, default: &str| {
        s.string(key, default.to_owned(), |text| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if (1..=40).contains(&text.len()) && text.chars().all(plain) {
                Ok(text.to_owned())
            } else {
                Err("a status of 1 to 40 of a-z, 0-9 and _".to_owned())
            }
        })
    };
    let delivered = said("delivered", "delivered");
    let rejected = said("rejected", "rejected");
    let failed = said("failed", "failed");
    Outcome {
        rule: event.map(|event_type| OutcomeRule {
            event_type,
            delivered,
            rejected,
            failed,
        }),
        status: reader.expression(s, "status", &ANSWER),
        response: reader.expression(s, "response", &ANSWER),
    }
}
