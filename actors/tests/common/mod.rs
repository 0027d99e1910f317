//! One actor, the rules it stands under, and short ways to make events for it.
#![allow(dead_code, reason = "each test file uses its own part")]

use aftercall_actors::{
    actor::Actor,
    contract::{
        event::{Body, Event, OutcomeKind},
        key::{Key, Side},
        output::Output,
        time::LogTime,
    },
    effect::{Effect, Effects, Ignored},
    responses::{Arrival, Facts, Responses},
    rewards::redemption::{Rewards, reward_id},
    rules::RuleSet,
    turn::Turn,
};
use serde_json::{Value, json};

pub mod centre;
pub mod lookups;

pub const SECOND_MS: i64 = 1_000;
pub const HOUR_MS: i64 = 3_600 * SECOND_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// 2026-11-20T10:00:00Z
pub const NOW_MS: i64 = 1_795_168_800_000;

pub struct Stage {
    pub actor: Actor,
    pub key: Key<'static>,
    pub rules: RuleSet,
    pub responses: Responses,
}

impl Stage {
    /// Under the shipped rules, without requests to others.
    pub fn agent() -> Self {
        Self::new(Key::Agent("a1"), alone())
    }

    /// Under the shipped rules, without requests to others.
    pub fn customer() -> Self {
        Self::new(Key::Customer("c1"), alone())
    }

    /// Under the shipped rules as they are.
    pub fn asking_agent() -> Self {
        Self::new(Key::Agent("a1"), RuleSet::default_rules())
    }

    /// Under the shipped rules as they are.
    pub fn asking_customer() -> Self {
        Self::new(Key::Customer("c1"), RuleSet::default_rules())
    }

    pub fn new(key: Key<'static>, rules: RuleSet) -> Self {
        let actor = Actor::new(key.side());
        let responses = Responses::default();
        Self {
            actor,
            key,
            rules,
            responses,
        }
    }

    /// Applies one event, `after_ms` after [`NOW_MS`].
    pub fn apply(&mut self, after_ms: i64, body: Body) -> Effects {
        self.apply_as("1", after_ms, body)
    }

    /// Applies one event of this id.
    pub fn apply_as(&mut self, id: &str, after_ms: i64, body: Body) -> Effects {
        let event = Event {
            source: "/test".into(),
            id: id.into(),
            body,
        };
        let now = LogTime(NOW_MS + after_ms);
        let mut effects = Vec::new();
        let facts = Facts::of(&event.body).filter(|_| self.key.side() == Side::Agent);
        let Some(facts) = facts else {
            let mut turn = Turn::new(self.key, now, &self.rules, &mut effects);
            self.actor.apply(&mut turn, &event);
            return effects;
        };
        let ttl_ms = self.rules.settings().survey_dedupe_ms;
        let local = Some(self.key);
        let shares = self
            .responses
            .judge(&facts, Arrival { now, ttl_ms, local }, &mut effects);
        if let Some(shares) = shares {
            let mut turn = Turn::new(self.key, now, &self.rules, &mut effects);
            self.actor.respond(&mut turn, &event, shares.owner);
        }
        effects
    }

    pub fn wake(&mut self, after_ms: i64) -> Effects {
        let now = LogTime(NOW_MS + after_ms);
        let mut effects = Vec::new();
        let mut turn = Turn::new(self.key, now, &self.rules, &mut effects);
        self.actor.wake(&mut turn);
        effects
    }

    /// The deadline, after [`NOW_MS`].
    pub fn deadline(&self) -> Option<i64> {
        self.actor.deadline().map(|at| at.0 - NOW_MS)
    }

    pub fn is_blank(&self, after_ms: i64) -> bool {
        let now = LogTime(NOW_MS + after_ms);
        self.actor.is_blank(now, self.rules.settings())
    }

    pub fn points(&self) -> i64 {
        match &self.actor {
            Actor::Agent(agent) => agent.points(),
            Actor::Customer(_) => panic!("a customer has no points"),
        }
    }

    pub fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.actor.encode(&mut bytes);
        bytes
    }
}

const SHIPPED: &str = include_str!("../../../config/rules.toml");

/// The shipped rules with everything off that asks or tells others: most tests are about one thing.
pub fn alone() -> RuleSet {
    RuleSet::parse(&alone_text(), "test").unwrap()
}

fn alone_text() -> String {
    let modes = ["send_then_update", "request", "track"].map(|mode| format!("mode = \"{mode}\""));
    modes.iter().fold(SHIPPED.to_owned(), |text, mode| {
        assert!(text.contains(mode), "{mode}");
        text.replace(mode, "mode = \"off\"")
    })
}

/// [`alone`], with `from` replaced by `to`.
pub fn rules_with(from: &str, to: &str) -> RuleSet {
    replaced(&alone_text(), from, to)
}

/// The shipped rules as they are, with `from` replaced by `to`.
pub fn asking_with(from: &str, to: &str) -> RuleSet {
    replaced(SHIPPED, from, to)
}

fn replaced(text: &str, from: &str, to: &str) -> RuleSet {
    assert!(text.contains(from), "{from}");
    RuleSet::parse(&text.replace(from, to), "test").unwrap()
}

/// [`alone`] and these.
pub fn rules_and(more: &str) -> RuleSet {
    RuleSet::parse(&format!("{}\n{more}", alone_text()), "test").unwrap()
}

pub fn ignored(why: Ignored) -> Vec<Effect> {
    vec![Effect::Ignore(why)]
}

pub fn ids(effects: &[Effect]) -> Vec<&str> {
    fn id(effect: &Effect) -> Option<&str> {
        match effect {
            Effect::Emit { id, .. } => Some(id),
            Effect::Ignore(_) | Effect::RuleFailed { .. } => None,
        }
    }
    effects.iter().filter_map(id).collect()
}

/// The data of one output, which is all there is.
pub fn data(effects: &[Effect]) -> Value {
    match effects {
        [Effect::Emit { output, .. }] => json_of(output),
        other => panic!("not one output: {other:?}"),
    }
}

pub fn json_of(output: &Output) -> Value {
    let mut bytes = Vec::new();
    output.write_json(&mut bytes);
    serde_json::from_slice(&bytes).unwrap()
}

/// An object, with `more` laid over it.
fn with(mut data: Value, more: Value) -> Value {
    let (Value::Object(data_fields), Value::Object(more)) = (&mut data, more) else {
        panic!("not objects");
    };
    data_fields.extend(more);
    data
}

pub fn survey(response_id: &str, more: Value) -> Body {
    let data = json!({
        "response_id": response_id, "interaction_id": "i1", "submitted_at": NOW_MS,
        "routing": { "agent_id": "a1", "agent_name": "Ann", "queue_id": "q1" },
    });
    Body::SurveyResponse(serde_json::from_value(with(data, more)).unwrap())
}

pub fn enps(response_id: &str, score: u8, submitted_after_ms: i64) -> Body {
    let data = json!({
        "response_id": response_id, "agent_id": "a1", "score": score,
        "submitted_at": NOW_MS + submitted_after_ms, "queue_id": "q1", "wrap_up_code": "done",
    });
    Body::EnpsResponse(serde_json::from_value(data).unwrap())
}

pub fn wfm(date: &str, metric: &str, value: f64, recorded_at: Option<i64>) -> Body {
    let data = json!({
        "agent_id": "a1", "date": date, "metric": metric, "value": value, "recorded_at": recorded_at,
    });
    Body::WfmMetric(serde_json::from_value(data).unwrap())
}

pub fn adjusted(adjustment_id: &str, points: i32, effective_at_ms: i64) -> Body {
    let data = json!({
        "adjustment_id": adjustment_id, "agent_id": "a1", "points": points, "kind": "correction",
        "reason": "test", "effective_at": effective_at_ms,
    });
    Body::PointsAdjusted(serde_json::from_value(data).unwrap())
}

pub fn completed(interaction_id: &str, ended_after_ms: i64, more: Value) -> Body {
    let data = json!({
        "interaction_id": interaction_id, "channel": "chat", "queue_id": "q1", "agent_id": "a1",
        "customer": { "customer_id": "c1" },
        "started_at": NOW_MS + ended_after_ms - 300 * SECOND_MS, "ended_at": NOW_MS + ended_after_ms,
    });
    Body::InteractionCompleted(serde_json::from_value(with(data, more)).unwrap())
}

pub fn updated(interaction_id: &str, updated_after_ms: i64, disposition: &str) -> Body {
    let data = json!({
        "interaction_id": interaction_id, "updated_at": NOW_MS + updated_after_ms,
        "disposition": disposition, "customer": { "customer_id": "c1" },
    });
    Body::InteractionUpdated(serde_json::from_value(data).unwrap())
}

pub fn started(interaction_id: &str) -> Body {
    let data = json!({
        "interaction_id": interaction_id, "channel": "voice", "started_at": NOW_MS,
        "agent_id": "a1", "customer": { "customer_id": "c1" },
    });
    Body::InteractionStarted(serde_json::from_value(data).unwrap())
}

pub fn reward_outcome(output_id: &str, status: &str) -> Body {
    let data =
        json!({ "output_id": output_id, "subject": "agent/a1", "status": status, "attempts": 1 });
    Body::Outcome(OutcomeKind::Reward, serde_json::from_value(data).unwrap())
}

pub fn decided(reward_id: &str, decision: &str) -> Body {
    let data = json!({
        "reward_id": reward_id, "agent_id": "a1", "decision": decision, "by": "admin", "at": NOW_MS,
    });
    Body::RewardDecided(serde_json::from_value(data).unwrap())
}

/// Id of the agent's bronze reward.
pub fn id(ordinal: u32) -> String {
    reward_id("recognition", "a1", "bronze", ordinal)
}

/// The shipped rules, with the program switched on.
pub fn enabled() -> RuleSet {
    rules_with("enabled = false", "enabled = true")
}

/// The program with these keys instead of its approval, and these after its one tier.
pub fn program(keys: &str, tier: &str) -> RuleSet {
    let text = include_str!("../../../config/rules.toml");
    let (head, tail) = text.split_once("[[program]]").unwrap();
    let (_, rules) = tail.split_once("# Rules.").unwrap();
    let enabled = if keys.contains("enabled") {
        ""
    } else {
        "enabled = true\n"
    };
    let program = format!(
        "[[program]]\nname = \"recognition\"\n{enabled}{keys}[[program.tier]]\nname = \"bronze\"\n\
         threshold = 500\nreward_type = \"gift_card_25\"\n{tier}"
    );
    RuleSet::parse(&format!("{head}{program}# Rules.{rules}"), "test").unwrap()
}

/// An agent under the shipped rules, with the program switched on.
pub fn rewarded() -> Stage {
    Stage::new(Key::Agent("a1"), enabled())
}

/// No ids.
pub const NONE: [String; 0] = [];

/// Ids of everything that was said, where nothing else happened.
pub fn requests(effects: &[Effect]) -> Vec<String> {
    let all: Vec<String> = ids(effects).into_iter().map(str::to_owned).collect();
    assert_eq!(all.len(), effects.len(), "{effects:?}");
    all
}

/// Points that take effect now.
pub fn points(id: &str, points: i32) -> Body {
    adjusted(id, points, NOW_MS)
}

pub fn rewards(stage: &Stage) -> &Rewards {
    match &stage.actor {
        Actor::Agent(agent) => agent.rewards(),
        Actor::Customer(_) => panic!("a customer has no rewards"),
    }
}

pub fn wrapup(interaction_id: &str, status: &str) -> Body {
    let data = json!({
        "interaction_id": interaction_id, "session_id": "d1", "agent_id": "a1", "status": status,
    });
    Body::InteractionWrapup(serde_json::from_value(data).unwrap())
}

/// What became of an output of the actor `subject`.
pub fn outcome(
    kind: OutcomeKind,
    subject: &str,
    output_id: &str,
    status: &str,
    response: Value,
) -> Body {
    let data = json!({
        "output_id": output_id, "subject": subject, "status": status, "attempts": 1,
        "response": response,
    });
    Body::Outcome(kind, serde_json::from_value(data).unwrap())
}

pub fn dead_lettered(destination: &str, count: u32, reason: &str) -> Body {
    let data = json!({
        "destination": destination, "reason": reason, "count": count, "output_id": "o1", "at": NOW_MS,
    });
    Body::DeadLettered(serde_json::from_value(data).unwrap())
}

/// Type and id of each output, `ignored <reason>` for the rest: all effects, to be compared at a glance.
pub fn told(effects: &[Effect]) -> Vec<String> {
    let one = |effect: &Effect| match effect {
        Effect::Emit { id, output } => format!("{} {id}", output.type_name()),
        Effect::Ignore(why) => format!("ignored {}", why.name()),
        Effect::RuleFailed { rule, why } => format!("failed {rule} {why}"),
    };
    effects.iter().map(one).collect()
}

/// A customer whom the platform knows as `u1`.
pub fn sure() -> Stage {
    let mut customer = Stage::asking_customer();
    customer.apply(0, started("i1"));
    let response = json!({ "confidence_score": 0.95, "user_id": "u1" });
    assert_eq!(customer.apply(1, resolved("i1", response)), []);
    customer
}

pub fn resolved(interaction_id: &str, response: Value) -> Body {
    let id = format!("identity:{interaction_id}");
    outcome(
        OutcomeKind::Identity,
        "customer/c1",
        &id,
        "resolved",
        response,
    )
}

pub fn failed(interaction_id: &str) -> Body {
    let id = format!("identity:{interaction_id}");
    outcome(
        OutcomeKind::Identity,
        "customer/c1",
        &id,
        "failed",
        Value::Null,
    )
}
