//! Tremendous: orders of gift cards (developers.tremendous.com, orders).
//!
//! What bites: `external_id` alone makes an order idempotent; the same one again is answered 201 with the first
//! order's data, whatever else the body says; without one, each request is another order. A list shows ten orders
//! unless asked for more, and a hundred at most, the newest first: one that is made meanwhile pushes the others on.

use serde::Deserialize;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    call::{Call, Reply},
    oauth::Refusal,
    shape::Shape,
    store::Store,
};

/// Where things are.
const ROUTES: &str = "POST and GET /api/v2/orders, GET /api/v2/orders/{id or external_id}";

/// One organisation's orders.
#[derive(Debug)]
pub struct Tremendous {
    /// By our own id.
    orders: Store<Value>,
    /// Our own id by external id.
    ids: Store<String>,
    placed: u64,
}

/// What `POST /control/tremendous` does: somebody's work in the dashboard.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Orders that are canceled, by external id.
    cancel: Vec<String>,
}

impl Tremendous {
    /// Remembers so many orders.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            orders: Store::new(keep),
            ids: Store::new(keep),
            placed: 0,
        }
    }

    /// Answers a call.
    #[must_use]
    pub fn answer(&mut self, call: &Call, token: Result<u64, Refusal>) -> Reply {
        if let Err(refusal) = token {
            return error(401, refusal.detail());
        }
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("POST", ["api", "v2", "orders"]) => self.place(call),
            ("GET", ["api", "v2", "orders"]) => self.list(call),
            ("GET", ["api", "v2", "orders", id]) => match self.find(id) {
                Some(order) => Reply::json(200, &json!({ "order": order })),
                None => error(404, "the order was not found"),
            },
            _ => Reply::no_route(call, ROUTES),
        }
    }

    fn list(&self, call: &Call) -> Reply {
        let number = |name: &str, default: usize, most: usize| {
            let Some(text) = call.query.get(name) else {
                return Ok(default);
            };
            let number = text.parse().ok().filter(|number| *number <= most);
            number
                .ok_or_else(|| format!("{name} is a whole number of at most {most}, not `{text}`"))
        };
        let (offset, limit) = match (number("offset", 0, usize::MAX), number("limit", 10, 100)) {
            (Ok(offset), Ok(limit)) => (offset, limit),
            (Err(detail), _) | (_, Err(detail)) => return error(400, &detail),
        };
        let wanted = call.query.get("external_id");
        let mut orders: Vec<&Value> = self
            .orders
            .iter()
            .map(|(_, order)| order)
            .filter(|order| wanted.is_none_or(|id| order["external_id"] == **id))
            .collect();
        orders.reverse();
        let page: Vec<&Value> = orders.iter().skip(offset).take(limit).copied().collect();
        Reply::json(200, &json!({ "total_count": orders.len(), "orders": page }))
    }

    /// Does what the control endpoint asks for.
    ///
    /// # Errors
    /// If there is no such order.
    pub fn control(&mut self, control: &Control) -> Result<(), String> {
        for external_id in &control.cancel {
            let id = self.ids.get(external_id).cloned();
            let order = id.and_then(|id| self.orders.get_mut(&id));
            let order = order.ok_or_else(|| format!("there is no order {external_id}"))?;
            order["status"] = "CANCELED".into();
        }
        Ok(())
    }

    fn find(&self, id: &str) -> Option<&Value> {
        let id = self.ids.get(id).map_or(id, String::as_str);
        self.orders.get(id)
    }

    fn place(&mut self, call: &Call) -> Reply {
        let body = match call.json() {
            Ok(body) => body,
            Err(detail) => return error(400, &detail),
        };
        let external_id = body["external_id"].as_str().filter(|id| !id.is_empty());
        if let Some(order) = external_id.and_then(|id| self.find(id)) {
            return Reply {
                is_replay: true,
                ..Reply::json(201, &json!({ "order": order }))
            };
        }
        let total = match check(&body) {
            Ok(total) => total,
            Err(detail) => return error(422, &detail),
        };
        self.placed += 1;
        let name = |kind: &str| {
            let digest = xxh3_64(format!("{kind}{}", self.placed).as_bytes());
            format!("{digest:016X}")[..12].to_owned()
        };
        let id = name("order");
        let mut reward = match body.get("rewards").and_then(Value::as_array) {
            Some(rewards) => rewards.first().cloned().unwrap_or_default(),
            None => body["reward"].clone(),
        };
        reward["id"] = name("reward").into();
        reward["order_id"] = id.clone().into();
        let order = json!({
            "id": id,
            "external_id": external_id,
            "status": "EXECUTED",
            "channel": "API",
            "payment": { "subtotal": total, "total": total, "fees": 0.0 },
            "rewards": [reward],
        });
        let reply = Reply::json(201, &json!({ "order": order }));
        if let Some(external_id) = external_id {
            self.ids.insert(external_id, id.clone());
        }
        self.orders.insert(&id, order);
        reply.executed(external_id.unwrap_or(&id))
    }
}

fn error(status: u16, message: &str) -> Reply {
    let body = json!({ "errors": { "message": message, "payload": {} } });
    Reply::json(status, &body)
}

/// The amount of an order that is complete.
fn check(body: &Value) -> Result<f64, String> {
    let mut shape = Shape::of(body);
    shape.text_or_none("external_id");
    let mut payment = shape.object("payment");
    payment.text("funding_source_id");
    shape.take(payment);
    if shape.has("rewards") {
        let rewards = shape.list("rewards");
        shape.demand(rewards.len() == 1, "rewards", "a list of one reward");
        let mut total = 0.0;
        if let [one] = rewards {
            let mut reward = Shape::of(one);
            total = check_reward(&mut reward);
            shape.take(reward);
        }
        return shape.verdict().map(|()| total);
    }
    let mut reward = shape.object("reward");
    let total = check_reward(&mut reward);
    shape.take(reward);
    shape.verdict().map(|()| total)
}

fn check_reward(reward: &mut Shape<'_>) -> f64 {
    let mut value = reward.object("value");
    let amount = value.number("denomination");
    value.demand(amount > 0.0, "denomination", "more than 0");
    value.text_or_none("currency_code");
    reward.take(value);
    let mut recipient = reward.object("recipient");
    let has_address = recipient.has("email") || recipient.has("phone");
    recipient.text_or_none("name");
    recipient.text_or_none("email");
    recipient.text_or_none("phone");
    recipient.demand(has_address, "email", "given, or phone");
    reward.take(recipient);
    let has_products = reward.has("campaign_id") || reward.has("products");
    reward.demand(has_products, "campaign_id", "given, or products");
    amount
}
