//! Rows of the spreadsheet, read from stored events as plain JSON, not by the product's own reading, and written so.

#![allow(dead_code, reason = "each test uses its part of this")]

use std::{borrow::Cow, collections::BTreeMap};

use aftercall::log::{Headers, Log, RawEvent};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::calendar::{self, Day};

/// What an event means for points.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    Row {
        agent: String,
        day: Day,
        metric: String,
        value: f64,
        recorded_ms: i64,
    },
    Adjusted {
        agent: String,
        id: String,
        points: i64,
        at_ms: i64,
    },
    Survey {
        agent: String,
        response: String,
        revision: u64,
        csat: u8,
        at_ms: i64,
    },
    Outcome {
        agent: String,
        output: String,
        status: String,
    },
    Decided {
        agent: String,
        reward: String,
        approve: bool,
    },
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    /// Stands on a row that was set aside.
    #[serde(borrow, rename = "importreason")]
    flaw: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data<'a> {
    #[serde(borrow)]
    agent_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    date: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metric: Option<Cow<'a, str>>,
    value: Value,
    #[serde(borrow)]
    recorded_at: Option<Cow<'a, str>>,
    adjustment_id: Option<String>,
    points: Option<i64>,
    effective_at: Option<String>,
    response_id: Option<String>,
    revision: u64,
    csat: Option<u8>,
    submitted_at: Option<String>,
    routing: BTreeMap<String, String>,
    output_id: Option<String>,
    subject: Option<String>,
    status: Option<String>,
    reward_id: Option<String>,
    decision: Option<String>,
}

/// A stored event, as far as it is about points.
#[derive(Debug, PartialEq)]
pub enum Read {
    Entry(Entry),
    /// A row that the import has set aside.
    BadRow,
    /// About something else.
    Other,
}

/// Reads a structured CloudEvent.
pub fn read(payload: &[u8]) -> Read {
    const THERE: &str = "what the contract asks for";
    let event: Event<'_> = serde_json::from_slice(payload).expect("a structured event");
    if event.flaw.is_some() {
        return Read::BadRow;
    }
    let data = event.data;
    let agent = data.agent_id.map(Cow::into_owned);
    Read::Entry(match &*event.kind {
        "wfm.metric.recorded" => Entry::Row {
            agent: agent.expect(THERE),
            day: calendar::read(&data.date.expect(THERE)),
            metric: data.metric.expect(THERE).into_owned(),
            value: data.value.as_f64().expect(THERE),
            recorded_ms: calendar::instant_ms(&data.recorded_at.expect(THERE)),
        },
        "points.adjusted" => Entry::Adjusted {
            agent: agent.expect(THERE),
            id: data.adjustment_id.expect(THERE),
            points: data.points.expect(THERE),
            at_ms: calendar::instant_ms(&data.effective_at.expect(THERE)),
        },
        "survey.response.created" => Entry::Survey {
            agent: data.routing.get("agent_id").expect(THERE).clone(),
            response: data.response_id.expect(THERE),
            revision: data.revision,
            csat: data.csat.expect(THERE),
            at_ms: calendar::instant_ms(&data.submitted_at.expect(THERE)),
        },
        "reward.outcome" => Entry::Outcome {
            agent: agent_of(&data.subject.expect(THERE)).expect(THERE),
            output: data.output_id.expect(THERE),
            status: data.status.expect(THERE),
        },
        "reward.decided" => Entry::Decided {
            agent: agent.expect(THERE),
            reward: data.reward_id.expect(THERE),
            approve: data.decision.expect(THERE) == "approve",
        },
        _ => return Read::Other,
    })
}

/// The agent in a subject.
pub fn agent_of(subject: &str) -> Option<String> {
    subject.strip_prefix("agent/").map(str::to_owned)
}

impl Entry {
    pub fn agent(&self) -> &str {
        match self {
            Self::Row { agent, .. }
            | Self::Adjusted { agent, .. }
            | Self::Survey { agent, .. }
            | Self::Outcome { agent, .. }
            | Self::Decided { agent, .. } => agent,
        }
    }
}

/// Hands over every event a log holds, in order.
pub async fn each_event(log: &Log, mut take: impl FnMut(&RawEvent)) {
    let last = log.bounds().await.expect("bounds").last;
    let mut reader = log.read(1).await.expect("a reader");
    let mut read = 0;
    while read < last {
        for raw in reader.next(2_000).await.expect("events") {
            assert!(
                matches!(raw.headers, Headers::Empty) || raw.headers.get("ce-type").is_none(),
                "an event of another form: {raw:?}"
            );
            read = raw.position;
            take(&raw);
        }
    }
}

/// The event that tells of an entry.
pub fn event(id: &str, entry: &Entry) -> Value {
    let (event_type, data) = match entry {
        Entry::Row {
            agent,
            day,
            metric,
            value,
            recorded_ms,
        } => {
            let data = json!({
                "agent_id": agent, "date": calendar::written(*day), "metric": metric, "value": value,
                "recorded_at": calendar::instant(*recorded_ms),
            });
            ("wfm.metric.recorded", data)
        }
        Entry::Adjusted {
            agent,
            id,
            points,
            at_ms,
        } => {
            let kind = match points {
                ..-100 => "violation",
                -100..=20 => "correction",
                21.. => "grant",
            };
            let data = json!({
                "adjustment_id": id, "agent_id": agent, "points": points, "kind": kind, "reason": "as planned",
                "effective_at": calendar::instant(*at_ms),
            });
            ("points.adjusted", data)
        }
        Entry::Survey {
            agent,
            response,
            revision,
            csat,
            at_ms,
        } => {
            let data = json!({
                "response_id": response, "revision": revision, "interaction_id": format!("i-{response}"),
                "submitted_at": calendar::instant(*at_ms), "csat": csat, "routing": { "agent_id": agent },
            });
            ("survey.response.created", data)
        }
        Entry::Outcome {
            agent,
            output,
            status,
        } => {
            let data = json!({
                "output_id": output, "subject": format!("agent/{agent}"), "status": status, "attempts": 1,
            });
            ("reward.outcome", data)
        }
        Entry::Decided {
            agent,
            reward,
            approve,
        } => {
            let data = json!({
                "reward_id": reward, "agent_id": agent, "decision": if *approve { "approve" } else { "reject" },
                "by": "office", "at": "2020-01-01T00:00:00Z",
            });
            ("reward.decided", data)
        }
    };
    json!({ "specversion": "1.0", "id": id, "source": "office", "type": event_type, "data": data })
}
