//! An alert whose recording and summary are looked up, and what comes back.

use aftercall_actors::contract::event::{Body, OutcomeKind};
use serde_json::{Value, json};

use super::{SECOND_MS, Stage, outcome, survey};

/// How long is asked after the same thing, under the shipped rules.
pub const FOR_MS: i64 = 300 * SECOND_MS;

pub fn low(response_id: &str) -> Body {
    survey(response_id, json!({ "csat": 1 }))
}

/// An agent with an alert for a call, of which there is no transcript.
pub fn voice_alert() -> Stage {
    let mut agent = Stage::asking_agent();
    let effects = agent.apply(0, survey("r1", json!({ "csat": 1, "channel": "voice" })));
    assert_eq!(effects.len(), 2);
    agent
}

pub fn answer(field: &str, number: i64, status: &str, response: Value) -> Body {
    let output_id = format!("enrich:low_csat:r1:{field}:{number}");
    outcome(
        OutcomeKind::Enrichment,
        "agent/a1",
        &output_id,
        status,
        response,
    )
}

pub fn found_recording(number: i64) -> Body {
    answer(
        "recording",
        number,
        "available",
        json!({ "url": "https://r/1" }),
    )
}
