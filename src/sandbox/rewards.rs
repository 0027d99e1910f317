//! The reward marketplace, as the guide's section on the reward API describes it (S3.06 to S3.12).
//!
//! What bites: a 200 may say `REJECTED`; the same key brings the original answer, also a rejection; the same key with
//! another body is a conflict; a reversal is idempotent too and can be refused.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    call::{Call, Reply},
    replays::{Known, Replays},
    shape::Shape,
    store::Store,
};

/// How long a key is remembered: longer than any run.
const KEY_MS: i64 = 30 * 86_400_000;

/// Most points one reward can cost.
const POINTS_MAX: i64 = 1_000_000;

/// Where things are.
const ROUTES: &str = "POST /v1/rewards/issue, GET /v1/rewards, GET and DELETE /v1/rewards/{id}";

/// The marketplace.
#[derive(Debug)]
pub struct Rewards {
    rewards: Store<Reward>,
    /// The marketplace's id by the sender's key.
    ids: Store<String>,
    replays: Replays,
    control: Control,
}

#[derive(Debug)]
struct Reward {
    key: String,
    status: &'static str,
    reason: Option<&'static str>,
    agent: String,
    kind: String,
    points: i64,
}

/// What `POST /control/rewards` sets: what is absent is as in the beginning.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// How many are left, by reward type; of types not named there are always enough.
    inventory: BTreeMap<String, u64>,
    /// Agents that get nothing, for reasons of policy.
    barred_agents: BTreeSet<String>,
    /// Agents who have redeemed what they got: it is not taken back (409).
    redeemed_agents: BTreeSet<String>,
    /// With which status reversals are refused: 409 (redeemed already) or 422 (policy).
    refuse_reversals: Option<u16>,
    /// Answers a key it knows with 409 instead of the first answer, as some do: issued already, or refused already.
    conflict_on_repeat: bool,
    /// Forgets a reward that it has taken back: asked for again, it answers 404.
    forget_reversed: bool,
    /// Knows rewards by its own ids alone, as some do, and says nothing of the sender's.
    own_ids_only: bool,
}

impl Rewards {
    /// Remembers so many rewards.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            rewards: Store::new(keep),
            ids: Store::new(keep),
            replays: Replays::new(keep, KEY_MS),
            control: Control::default(),
        }
    }

    /// Answers a call whose token is good.
    #[must_use]
    pub fn answer(&mut self, call: &Call) -> Reply {
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("POST", ["v1", "rewards", "issue"]) => self.issue(call),
            ("GET", ["v1", "rewards"]) => {
                let rewards: Vec<Value> = self
                    .rewards
                    .iter()
                    .map(|(id, reward)| self.shown(id, reward))
                    .collect();
                Reply::json(200, &json!({ "total": rewards.len(), "rewards": rewards }))
            }
            ("GET", ["v1", "rewards", id]) => match self.find(id) {
                Some((id, reward)) => Reply::json(200, &self.shown(&id, reward)),
                None => unknown(id),
            },
            ("DELETE", ["v1", "rewards", id]) => self.reverse(id),
            _ => Reply::no_route(call, ROUTES),
        }
    }

    fn issue(&mut self, call: &Call) -> Reply {
        for name in ["x-integration-id", "x-request-id", "idempotency-key"] {
            if call.header(name).is_none_or(str::is_empty) {
                let detail = format!("header {name} is missing");
                return Reply::problem(400, "missing_header", detail);
            }
        }
        let key = call.header("idempotency-key").unwrap_or_default();
        match self.replays.look(key, call) {
            Known::Same(_) if self.control.conflict_on_repeat => {
                let detail = "a reward was asked for with this key before";
                return Reply::problem(409, "duplicate_request", detail);
            }
            Known::Same(reply) => return reply,
            Known::Other(_) => {
                let detail = "the key was used before, with another body";
                return Reply::problem(409, "idempotency_conflict", detail);
            }
            Known::New => {}
        }
        let body = match call.json() {
            Ok(body) => body,
            Err(detail) => return Reply::problem(400, "malformed", detail),
        };
        if let Err(detail) = check_order(&body) {
            return Reply::problem(400, "invalid_body", detail);
        }
        let agent = body["agent_id"].as_str().unwrap_or_default();
        let kind = body["reward_type"].as_str().unwrap_or_default();
        let left = self.control.inventory.get_mut(kind);
        let refused = if call.is_lied_to || self.control.barred_agents.contains(agent) {
            Some("POLICY_VIOLATION")
        } else if left.as_ref().is_some_and(|left| **left == 0) {
            Some("INSUFFICIENT_INVENTORY")
        } else {
            None
        };
        if refused.is_none()
            && let Some(left) = left
        {
            *left -= 1;
        }
        let id = format!("rw_{:032x}", xxh3_128(key.as_bytes()));
        let reward = Reward {
            key: key.to_owned(),
            status: if refused.is_some() {
                "REJECTED"
            } else {
                "ISSUED"
            },
            reason: refused,
            agent: agent.to_owned(),
            kind: kind.to_owned(),
            points: body["points_consumed"].as_i64().unwrap_or_default(),
        };
        let shown = self.shown(&id, &reward);
        self.ids.insert(key, id.clone());
        self.rewards.insert(&id, reward);
        let reply = match refused {
            Some(_) => Reply::json(200, &shown),
            None => Reply::json(201, &shown).executed(key),
        };
        self.replays.keep(key, call, reply)
    }

    fn reverse(&mut self, id: &str) -> Reply {
        let Some((id, reward)) = self.find(id) else {
            return unknown(id);
        };
        match reward.status {
            "REVERSED" if self.control.forget_reversed => unknown(&id),
            "REVERSED" => Reply::json(200, &self.shown(&id, reward)).again(),
            "ISSUED" => match self.refusal(&reward.agent) {
                Some(status) => {
                    let (code, detail) = match status {
                        409 => ("already_redeemed", "the reward was redeemed"),
                        _ => ("not_reversible", "policy forbids to reverse this reward"),
                    };
                    Reply::problem(status, code, detail)
                }
                None => {
                    let Some(reward) = self.rewards.get_mut(&id) else {
                        return unknown(&id);
                    };
                    reward.status = "REVERSED";
                    let key = format!("reversal:{}", reward.key);
                    Reply::json(200, &reward.to_json(&id)).executed(key)
                }
            },
            _ => Reply::problem(409, "never_issued", "the reward was rejected"),
        }
    }

    /// With which status a reward of this agent is not taken back, if it is not.
    fn refusal(&self, agent: &str) -> Option<u16> {
        let redeemed = self.control.redeemed_agents.contains(agent);
        redeemed.then_some(409).or(self.control.refuse_reversals)
    }

    /// By the marketplace's id, or by the sender's key.
    fn find(&self, id: &str) -> Option<(String, &Reward)> {
        let own = match self.control.own_ids_only {
            true => None,
            false => self.ids.get(id),
        };
        let id = own.map_or(id, String::as_str);
        Some((id.to_owned(), self.rewards.get(id)?))
    }

    fn shown(&self, id: &str, reward: &Reward) -> Value {
        let mut shown = reward.to_json(id);
        if self.control.own_ids_only
            && let Some(shown) = shown.as_object_mut()
        {
            shown.remove("reference");
        }
        shown
    }

    /// Sets what the control endpoint asks for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn control(&mut self, control: Control) -> Result<(), String> {
        if let Some(status) = control.refuse_reversals
            && ![409, 422].contains(&status)
        {
            return Err(format!("refuse_reversals is 409 or 422, not {status}"));
        }
        self.control = control;
        Ok(())
    }
}

impl Reward {
    fn to_json(&self, id: &str) -> Value {
        let mut shown = json!({
            "reward_id": id,
            "reference": self.key,
            "status": self.status,
            "agent_id": self.agent,
            "reward_type": self.kind,
            "points_consumed": self.points,
        });
        if let Some(reason) = self.reason {
            shown["reason"] = reason.into();
        }
        shown
    }
}

fn unknown(id: &str) -> Reply {
    Reply::problem(404, "unknown_reward", format!("there is no reward {id}"))
}

/// S3.06: these fields and no others.
fn check_order(body: &Value) -> Result<(), String> {
    let mut shape = Shape::of(body);
    shape.only(&[
        "agent_id",
        "reward_type",
        "points_consumed",
        "transaction_timestamp",
        "metadata",
    ]);
    shape.text("agent_id");
    shape.text("reward_type");
    shape.integer("points_consumed", 1..=POINTS_MAX);
    shape.time("transaction_timestamp");
    let mut metadata = shape.object("metadata");
    metadata.only(&["source_platform", "wfm_export_version"]);
    metadata.text("source_platform");
    metadata.text_or_none("wfm_export_version");
    shape.take(metadata);
    shape.verdict()
}
