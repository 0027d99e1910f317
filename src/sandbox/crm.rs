//! The CRM: one record a customer (S4.03 to S4.07).
//!
//! What bites: `PUT` does not create; an erased customer stays erased; bodies over 10 KB are refused; a key seen in
//! the last hour brings the record as it is and changes nothing; too many requests are told how long to wait.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    call::{Call, Reply},
    limiter::Limiter,
    replays::{Known, Replays},
    shape::Shape,
    store::Store,
};

/// Largest body, in bytes.
const BODY_MAX: usize = 10 * 1_024;

/// How long an idempotency key is remembered.
const KEY_MS: i64 = 3_600_000;

/// Where things are.
const ROUTES: &str = "GET and POST /v1/customers, GET and PUT /v1/customers/{id}";

/// The CRM.
#[derive(Debug)]
pub struct Crm {
    customers: Store<Customer>,
    erased: BTreeSet<String>,
    replays: Replays,
    limiter: Limiter,
}

#[derive(Debug)]
struct Customer {
    /// As it was last written.
    record: Value,
    /// How often it was written.
    writes: u64,
    /// The key it was last written under.
    last_key: Option<String>,
}

/// What `POST /control/crm` does.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// Customers there are from now on, with no attributes.
    create: Vec<String>,
    /// Customers erased for good.
    erase: Vec<String>,
    /// Requests a second before 429; 0 is without limit, as in the beginning.
    rate: Option<f64>,
}

impl Crm {
    /// Remembers so many customers, and none yet.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            customers: Store::new(keep),
            erased: BTreeSet::new(),
            replays: Replays::new(keep, KEY_MS),
            limiter: Limiter::new(1.0, 0.0),
        }
    }

    /// Answers a call whose token is good.
    #[must_use]
    pub fn answer(&mut self, call: &Call) -> Reply {
        if let Err(seconds) = self.limiter.take("", call.at_ms) {
            return Reply::problem(429, "too_many_requests", "slow down")
                .with("Retry-After", seconds);
        }
        if call.body.len() > BODY_MAX {
            let detail = format!("{} bytes, at most {BODY_MAX} are taken", call.body.len());
            return Reply::problem(413, "too_large", detail);
        }
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("GET", ["v1", "customers"]) => {
                let customers: Vec<Value> = self
                    .customers
                    .iter()
                    .filter(|(id, _)| !self.erased.contains(*id))
                    .map(|(_, customer)| customer.to_json())
                    .collect();
                let body = json!({ "total": customers.len(), "customers": customers });
                Reply::json(200, &body)
            }
            ("GET", ["v1", "customers", id]) => match self.customers.get(id) {
                _ if self.erased.contains(*id) => gone(id),
                Some(customer) => Reply::json(200, &customer.to_json()),
                None => unknown(id),
            },
            ("PUT", ["v1", "customers", id]) => self.write(call, Some(id)),
            ("POST", ["v1", "customers"]) => self.write(call, None),
            _ => Reply::no_route(call, ROUTES),
        }
    }

    /// Updates the customer of the path, or creates the one of the body.
    fn write(&mut self, call: &Call, path_id: Option<&str>) -> Reply {
        let body = match call.json() {
            Ok(body) => body,
            Err(detail) => return Reply::problem(400, "malformed", detail),
        };
        let id = match check_record(&body) {
            Ok(id) => id,
            Err(detail) => return Reply::problem(422, "invalid_body", detail),
        };
        if path_id.is_some_and(|path_id| path_id != id) {
            let detail = "the id of the body is not the one of the path";
            return Reply::problem(422, "invalid_body", detail);
        }
        if self.erased.contains(id) {
            return gone(id);
        }
        let key = call.header("idempotency-key").filter(|key| !key.is_empty());
        if let Some(key) = key {
            match self.replays.look(key, call) {
                // Whatever the body: the record as it was written under the key.
                Known::Same(reply) | Known::Other(reply) => return reply,
                Known::New => {}
            }
        }
        let writes = match (self.customers.get(id), path_id) {
            (None, Some(_)) => return unknown(id),
            (Some(_), None) => {
                let detail = format!("customer {id} exists; PUT updates it");
                return Reply::problem(409, "exists", detail);
            }
            (None, None) => 1,
            (Some(customer), Some(_)) => customer.writes + 1,
        };
        let customer = Customer {
            writes,
            last_key: key.map(str::to_owned),
            record: body.clone(),
        };
        let status = if path_id.is_some() { 200 } else { 201 };
        let done = key.map_or_else(|| format!("{id}#{writes}"), str::to_owned);
        let reply = Reply::json(status, &customer.to_json()).executed(done);
        self.customers.insert(id, customer);
        match key {
            Some(key) => self.replays.keep(key, call, reply),
            None => reply,
        }
    }

    /// Does what the control endpoint asks for.
    pub fn control(&mut self, control: Control) {
        for id in control.create {
            let customer = Customer {
                record: json!({ "id": id, "attributes": {}, "last_updated": null }),
                writes: 0,
                last_key: None,
            };
            self.erased.remove(&id);
            self.customers.insert(&id, customer);
        }
        self.erased.extend(control.erase);
        if let Some(rate) = control.rate {
            self.limiter = Limiter::new(rate, rate);
        }
    }
}

impl Customer {
    fn to_json(&self) -> Value {
        let mut shown = self.record.clone();
        shown["writes"] = self.writes.into();
        shown["last_key"] = self.last_key.clone().into();
        shown
    }
}

fn unknown(id: &str) -> Reply {
    let detail = format!("there is no customer {id}; POST /v1/customers creates one");
    Reply::problem(404, "unknown_customer", detail)
}

fn gone(id: &str) -> Reply {
    let detail = format!("customer {id} was erased on request and must not come back");
    Reply::problem(410, "erased", detail)
}

/// S4.03: the id, the attributes there are, and when.
fn check_record(body: &Value) -> Result<&str, String> {
    let mut shape = Shape::of(body);
    shape.only(&["id", "attributes", "last_updated"]);
    let id = shape.text("id");
    shape.time("last_updated");
    let attributes = shape.object("attributes");
    shape.take(attributes);
    shape.verdict().map(|()| id)
}
