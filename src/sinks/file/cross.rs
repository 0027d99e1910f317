//! What a careful operator would still be caught by: pieces that are each right and do not go together.

use aftercall_actors::contract::output::Kind;

use super::channel::names_the_reward;
use crate::{
    config::document::Section,
    delivery::policy::Policy,
    sinks::{
        destination::{Body, Channel},
        selector::Selector,
    },
};

/// Looks at a destination as a whole.
pub(super) fn check(
    s: &mut Section<'_, '_>,
    selector: &Selector,
    policy: &Policy,
    channel: Option<&Channel>,
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
    let updates = types
        .iter()
        .any(|name| matches!(*name, "alert.updated" | "alert.escalated"));
    match channel {
        Some(Channel::SlackWebhook { .. } | Channel::Teams { .. } | Channel::Email { .. })
            if updates && !s.has("thread") =>
        {
            s.warn(
                "thread",
                "not set, so an update of an alert that says nothing new is sent all the same; \
                 write \"{{ data.alert_id }}\""
                    .to_owned(),
            );
        }
        Some(Channel::Slack { .. }) if updates && !s.has("thread") => s.warn(
            "thread",
            "not set, so later news of an alert become new messages instead of updates; \
             write \"{{ data.alert_id }}\""
                .to_owned(),
        ),
        Some(Channel::Http(request)) if types.iter().any(|t| Kind::of(t) == Some(Kind::Reward)) => {
            let in_body = match &request.body {
                Body::Template { template, .. } => {
                    template.uses("id") || template.source().contains("reward_id")
                }
                Body::Data => true,
                Body::None => false,
            };
            if !in_body && !names_the_reward(request) {
                s.warn(
                    "headers",
                    "neither address, headers nor body hold `id` or `data.reward_id`: the destination cannot tell a \
                     repeated request from a second reward"
                        .to_owned(),
                );
            }
        }
        Some(
            Channel::Http(_)
            | Channel::Slack { .. }
            | Channel::SlackWebhook { .. }
            | Channel::Teams { .. }
            | Channel::Email { .. },
        )
        | None => {}
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
