//! Vendors without a server, and requests to them.

use std::collections::BTreeMap;

use aftercall::sandbox::{
    Settings, TOKEN,
    call::{Call, Reply},
    world::{Plan, Then, World},
};
use serde_json::{Value, json};

/// A moment to begin at.
pub const START_MS: i64 = 1_763_600_400_000;

/// Vendors and the clock they live by.
pub struct Vendors {
    pub world: World,
    pub now_ms: i64,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub reply: Reply,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.reply.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn executed(&self) -> Option<&str> {
        self.reply.executed.as_deref()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.reply.body).expect("text")
    }

    /// The name of a refusal.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

impl Vendors {
    pub fn new() -> Self {
        Self::with(&Settings::default())
    }

    pub fn with(settings: &Settings) -> Self {
        Self {
            world: World::new(settings),
            now_ms: START_MS,
        }
    }

    /// A request exactly as given.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let headers: BTreeMap<String, String> = headers.collect();
        let call = Call::new(method, path, headers, body.to_owned().into());
        let Plan { then, .. } = self.world.receive(call, self.now_ms);
        let Then::Answer(reply) = then else {
            panic!("no answer: {then:?}");
        };
        Answer {
            status: reply.status,
            body: serde_json::from_slice(&reply.body).unwrap_or(Value::Null),
            reply,
        }
    }

    /// JSON with the token that is always good, and more headers.
    pub fn json_with(
        &mut self,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let authorization = format!("Bearer {TOKEN}");
        let mut headers = vec![
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        headers.extend_from_slice(more);
        self.send(method, path, &headers, &body.to_string())
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.json_with("POST", path, &[], body)
    }

    pub fn get(&mut self, path: &str) -> Answer {
        let authorization = format!("Bearer {TOKEN}");
        self.send("GET", path, &[("authorization", &authorization)], "")
    }

    /// Sets something at a control endpoint.
    pub fn control(&mut self, path: &str, body: &Value) {
        let status = self.control_status(path, body);
        assert!(status < 300, "{path} {body}: {status}");
    }

    pub fn control_status(&mut self, path: &str, body: &Value) -> u16 {
        let call = Call::new("POST", path, BTreeMap::new(), body.to_string().into());
        self.world.own(&call).status
    }

    /// What a control endpoint or the ledger shows.
    pub fn shown(&mut self, path: &str) -> Value {
        let call = Call::new("GET", path, BTreeMap::new(), "".into());
        let reply = self.world.own(&call);
        assert_eq!(reply.status, 200, "{path}");
        serde_json::from_slice(&reply.body).expect("JSON")
    }
}

/// A good order, as S3.06 has it.
pub fn order(agent: &str) -> Value {
    json!({
        "agent_id": agent,
        "reward_type": "gift_card_50_usd",
        "points_consumed": 500,
        "transaction_timestamp": "2026-11-20T09:00:00Z",
        "metadata": { "source_platform": "aftercall", "wfm_export_version": "v2.1" },
    })
}

/// A good record, as S4.03 has it.
pub fn record(id: &str, summary: &str) -> Value {
    json!({
        "id": id,
        "attributes": {
            "last_interaction_summary": summary,
            "sentiment": -0.4,
            "segmentation_tags": ["churn_risk"],
        },
        "last_updated": "2026-11-20T09:00:00Z",
    })
}
