//! Bad surveys of agents who have no other: what must stand for each in the end is plain, one alert.

use aftercall::log::{Destination, Headers, NewEvent};
use aftercall_actors::contract::key::Key;
use serde_json::json;

/// A bad survey with the response id `id`, of the agent `of-<id>`.
pub fn bad_survey(id: &str, source: &str) -> NewEvent {
    let agent = format!("of-{id}");
    let data = json!({
        "response_id": id, "interaction_id": id, "submitted_at": "2026-01-01T00:00:00Z", "csat": 1,
        "comment": "Nobody called back.", "routing": { "agent_id": agent, "queue_id": "q" },
    });
    NewEvent {
        destination: Destination::Actors {
            owner: Key::Agent(&agent).token(),
            customer: "_".to_owned(),
            event_type: "survey.response.created".to_owned(),
        },
        headers: Headers::from_pairs([
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-source", source),
            ("ce-type", "survey.response.created"),
        ]),
        payload: data.to_string().into(),
        message_id: id.to_owned(),
    }
}
