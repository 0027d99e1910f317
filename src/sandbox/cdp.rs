//! The customer data platform: who a customer is, with how much confidence, and what became of their contacts
//! (S5.01 to S5.06).
//!
//! What bites: a confidence of exactly 0.9, a low one, or none at all; a 200 with another status than `success`; answers
//! with card and social security numbers in
//! them; answers beyond 10 KB; an outcome without a user.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    call::{Call, Reply},
    replays::{Known, Replays},
    shape::Shape,
    store::Store,
};

/// How long the key of a tracked outcome is remembered.
const KEY_MS: i64 = 86_400_000;

/// Where things are.
const ROUTES: &str = "POST /v1/profiles/resolve, POST /v1/interactions/track";

/// Orders in an oversized profile: beyond 10 KB.
const ORDERS_OVERSIZE: usize = 1_000;

/// Longest `duration` of a tracked interaction, in seconds.
const DURATION_MAX: i64 = 30 * 86_400;

/// One workspace.
#[derive(Debug)]
pub struct Cdp {
    told: Control,
    replays: Replays,
    tracked: Store<Value>,
    tracked_total: u64,
}

/// How an identifier resolves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Match {
    /// With this confidence.
    Sure(f64),
    /// The answer says nothing of confidence.
    Silent,
    /// Nobody has it.
    Nobody,
}

/// What `POST /control/cdp` sets; what was set before stays unless it is set anew.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// Confidence by identifier; `null` leaves it out of the answer.
    confidence: BTreeMap<String, Option<f64>>,
    /// Identifiers nobody has.
    unknown: BTreeSet<String>,
    /// Identifiers whose profiles are beyond 10 KB.
    oversize: BTreeSet<String>,
    /// `status` of the answer by identifier, in place of `success`; empty leaves it out.
    status: BTreeMap<String, String>,
}

impl Cdp {
    /// Remembers so many outcomes.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            told: Control::default(),
            replays: Replays::new(keep, KEY_MS),
            tracked: Store::new(keep),
            tracked_total: 0,
        }
    }

    /// Answers a call whose token is good.
    #[must_use]
    pub fn answer(&mut self, call: &Call) -> Reply {
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("POST", ["v1", "profiles", "resolve"]) => self.resolve(call),
            ("POST", ["v1", "interactions", "track"]) => self.track(call),
            _ => Reply::no_route(call, ROUTES),
        }
    }

    fn resolve(&self, call: &Call) -> Reply {
        let body = match call.json() {
            Ok(body) => body,
            Err(detail) => return Reply::problem(400, "malformed", detail),
        };
        let mut shape = Shape::of(&body);
        shape.only(&["identifier", "channel", "source"]);
        let identifier = shape.text("identifier");
        shape.text("channel");
        shape.text("source");
        if let Err(detail) = shape.verdict() {
            return Reply::problem(400, "invalid_body", detail);
        }
        let confidence = match self.find(identifier) {
            Match::Sure(confidence) => Some(confidence),
            Match::Silent => None,
            Match::Nobody => {
                return Reply::problem(404, "unknown_profile", "nobody has this identifier");
            }
        };
        let is_oversize = self.told.oversize.contains(identifier);
        let mut found = json!({ "profile": profile(identifier, is_oversize) });
        let status = self.told.status.get(identifier);
        let status = status.map_or("success", String::as_str);
        if !status.is_empty() {
            found["status"] = status.into();
        }
        if let Some(confidence) = confidence {
            found["confidence_score"] = confidence.into();
        }
        Reply::json(200, &found)
    }

    /// As told; else by the last character, so that every case can be had without telling.
    fn find(&self, identifier: &str) -> Match {
        if self.told.unknown.contains(identifier) {
            return Match::Nobody;
        }
        match self.told.confidence.get(identifier) {
            Some(Some(confidence)) => Match::Sure(*confidence),
            Some(None) => Match::Silent,
            None => match identifier.chars().last() {
                Some('9') => Match::Sure(0.9),
                Some('8') => Match::Sure(0.42),
                Some('7') => Match::Silent,
                Some('6') => Match::Nobody,
                Some(_) | None => Match::Sure(0.95),
            },
        }
    }

    fn track(&mut self, call: &Call) -> Reply {
        let body = match call.json() {
            Ok(body) => body,
            Err(detail) => return Reply::problem(400, "malformed", detail),
        };
        let mut shape = Shape::of(&body);
        shape.only(&[
            "userId",
            "interactionType",
            "outcome",
            "duration",
            "agentId",
            "timestamp",
        ]);
        shape.text("userId");
        shape.text("interactionType");
        shape.text_or_none("outcome");
        shape.integer("duration", 0..=DURATION_MAX);
        shape.text_or_none("agentId");
        shape.time("timestamp");
        if let Err(detail) = shape.verdict() {
            return Reply::problem(400, "invalid_body", detail);
        }
        let key = call.header("idempotency-key").filter(|key| !key.is_empty());
        if let Some(key) = key {
            match self.replays.look(key, call) {
                Known::Same(reply) | Known::Other(reply) => return reply,
                Known::New => {}
            }
        }
        self.tracked_total += 1;
        let number = self.tracked_total.to_string();
        self.tracked.insert(&number, body);
        let executed = key.map_or_else(|| format!("track#{number}"), str::to_owned);
        let reply = Reply::json(200, &json!({ "status": "success" })).executed(executed);
        match key {
            Some(key) => self.replays.keep(key, call, reply),
            None => reply,
        }
    }

    /// Sets what the control endpoint asks for.
    pub fn control(&mut self, control: Control) {
        self.told.confidence.extend(control.confidence);
        self.told.unknown.extend(control.unknown);
        self.told.oversize.extend(control.oversize);
        self.told.status.extend(control.status);
    }

    /// The outcomes tracked, oldest first.
    #[must_use]
    pub fn tracked(&self) -> Value {
        self.tracked.iter().map(|(_, body)| body.clone()).collect()
    }
}

/// Somebody, the same for the same identifier; with fields that must not leave the service that asks.
fn profile(identifier: &str, is_oversize: bool) -> Value {
    let digest = xxh3_64(identifier.as_bytes());
    let orders = match is_oversize {
        true => ORDERS_OVERSIZE,
        false => (digest % 4) as usize,
    };
    let orders: Vec<String> = (0..orders)
        .map(|order| format!("ORD-{:06}-{order:03}", digest % 1_000_000))
        .collect();
    let tiers = ["bronze", "silver", "gold"];
    json!({
        "cdp_user_id": format!("usr_{digest:016x}"),
        "tier": tiers[(digest % 3) as usize],
        "lifetime_value": digest % 20_000,
        "preferred_channel": "chat",
        "recent_order_count": orders.len(),
        "recent_orders": orders,
        "sentiment_score": 0.85,
        "credit_card_number": "4111 1111 1111 1111",
        "ssn": "078-05-1120",
        "note": "paid with 5500 0000 0000 0004, ssn 219-09-9999",
    })
}
