//! The survey provider: tokens that are bound to an agent and an interaction, work once and not for long (S1.02, S1.04).

use aftercall_actors::contract::time::EventTime;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::{
    call::{Call, Reply},
    shape::Shape,
    store::Store,
};

/// Longest life of a token, in seconds.
const LIFE_MAX: i64 = 3_600;

/// Where things are.
const ROUTES: &str = "POST /v1/tokens/generate, POST /v1/tokens/redeem";

/// The provider.
#[derive(Debug)]
pub struct Survey {
    tokens: Store<Token>,
    given: u64,
    seed: u64,
}

#[derive(Debug)]
struct Token {
    agent: String,
    interaction: String,
    until_ms: i64,
    is_used: bool,
}

impl Survey {
    /// Remembers so many tokens.
    #[must_use]
    pub fn new(keep: usize, seed: u64) -> Self {
        Self {
            tokens: Store::new(keep),
            given: 0,
            seed,
        }
    }

    /// Answers a call whose bearer token is good.
    #[must_use]
    pub fn answer(&mut self, call: &Call) -> Reply {
        let (method, path) = call.route();
        let act = match (method, path.as_slice()) {
            ("POST", ["v1", "tokens", "generate"]) => Self::generate,
            ("POST", ["v1", "tokens", "redeem"]) => Self::redeem,
            _ => return Reply::no_route(call, ROUTES),
        };
        match call.json() {
            Ok(body) => act(self, call, &body),
            Err(detail) => Reply::problem(400, "malformed", detail),
        }
    }

    fn generate(&mut self, call: &Call, body: &Value) -> Reply {
        let mut shape = Shape::of(body);
        shape.only(&["grant_type", "scope", "claims"]);
        let grant = shape.text("grant_type");
        shape.demand(
            grant == "client_credentials",
            "grant_type",
            "client_credentials",
        );
        let scope = shape.text("scope");
        let has = |wanted| scope.split(' ').any(|scope| scope == wanted);
        shape.demand(
            has("survey:read") && has("survey:write"),
            "scope",
            "survey:read survey:write",
        );
        let mut claims = shape.object("claims");
        claims.only(&["sub", "interaction_id", "exp_offset_seconds"]);
        let agent = claims.text("sub");
        let interaction = claims.text("interaction_id");
        let life = claims.integer("exp_offset_seconds", 1..=LIFE_MAX);
        shape.take(claims);
        if let Err(detail) = shape.verdict() {
            return Reply::problem(400, "invalid_body", detail);
        }
        self.given += 1;
        let digest = xxh3_128_with_seed(&self.given.to_le_bytes(), self.seed);
        let token = format!("svt_{digest:032x}");
        let until_ms = call.at_ms + life * 1_000;
        self.tokens.insert(
            &token,
            Token {
                agent: agent.to_owned(),
                interaction: interaction.to_owned(),
                until_ms,
                is_used: false,
            },
        );
        let body = json!({ "token": token, "expires_at": EventTime(until_ms) });
        // One token for one agent and interaction is all that should be asked for.
        Reply::json(201, &body).executed(format!("{agent}/{interaction}"))
    }

    fn redeem(&mut self, call: &Call, body: &Value) -> Reply {
        let mut shape = Shape::of(body);
        shape.only(&["token", "agent_id", "interaction_id"]);
        let name = shape.text("token");
        let agent = shape.text("agent_id");
        let interaction = shape.text("interaction_id");
        if let Err(detail) = shape.verdict() {
            return Reply::problem(400, "invalid_body", detail);
        }
        let Some(token) = self.tokens.get_mut(name) else {
            return Reply::problem(404, "unknown_token", "there is no such token");
        };
        if token.agent != agent || token.interaction != interaction {
            let detail = "the token belongs to another agent or interaction";
            return Reply::problem(403, "not_yours", detail);
        }
        if token.is_used {
            return Reply::problem(409, "used", "the token was used before");
        }
        if token.until_ms <= call.at_ms {
            return Reply::problem(410, "expired", "the token has expired");
        }
        token.is_used = true;
        let body =
            json!({ "status": "redeemed", "agent_id": agent, "interaction_id": interaction });
        Reply::json(200, &body).executed(format!("redeem:{name}"))
    }
}
