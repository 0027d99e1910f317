//! What a careful operator would still be caught by: pieces that are each right and do not go together.

use aftercall_actors::contract::output::Kind;

use crate::{
    config::document::Section,
    delivery::policy::Policy,
    sinks::{selector::Selector, sink::Sink},
};

/// Looks at a destination as a whole.
pub(super) fn check(
    s: &mut Section<'_, '_>,
    selector: &Selector,
    policy: &Policy,
    sink: Option<&dyn Sink>,
) {
    let types: Vec<&str> = selector.types().collect();
    if let Some(outcome) = &policy.outcome {
        for event_type in &types {
            let fits = reported_with(event_type);
            if fits != Some(outcome.event_type.as_str()) {
                let waits = match fits {
                    Some(fits) => format!("it is reported with {fits:?}"),
                    None => "nothing waits for its outcome".to_owned(),
                };
                s.conflict(
                    "outcome",
                    format!(
                        "{:?} does not fit {event_type:?}: {waits}",
                        outcome.event_type
                    ),
                );
            }
        }
    } else {
        let waiting = |name: &&&str| matches!(Kind::of(name), Some(Kind::Reward | Kind::Request));
        if let Some(event_type) = types.iter().find(waiting) {
            let event = reported_with(event_type).unwrap_or_default();
            s.warn(
                "outcome",
                format!("not set, but the actor of {event_type:?} waits for a {event:?}"),
            );
        }
    }
    if let Some(sink) = sink {
        sink.warn(s, &types);
    }
}

/// The event that an output's actor waits for.
fn reported_with(event_type: &str) -> Option<&'static str> {
    match event_type {
        "alert.raised" | "alert.updated" | "alert.escalated" => Some("alert.outcome"),
        "reward.requested" | "reward.reversal.requested" => Some("reward.outcome"),
        "survey_token.requested" => Some("survey_token.outcome"),
        "identity.requested" => Some("identity.outcome"),
        "enrichment.requested" => Some("enrichment.outcome"),
        _ => None,
    }
}
