//! The sandbox's own endpoints: the ledger, and everything that can be set while it runs.

use std::time::Duration;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    call::{Call, Reply, Vendor},
    faults::Rule,
    ledger::{Entry, Filter},
    world::World,
};

/// Longest latency that can be set, in milliseconds.
const LATENCY_MS_MAX: u64 = 60_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Latency {
    ms: u64,
}

/// Whether a path is the sandbox's own and no vendor's.
#[must_use]
pub fn is_own(path: &str) -> bool {
    let first = path.trim_start_matches('/').split(['/', '?']).next();
    matches!(first, Some("control" | "ledger"))
}

/// Answers a request to the sandbox itself. Such requests are not in the ledger.
#[must_use]
pub fn answer(world: &mut World, call: &Call) -> Reply {
    match attempt(world, call) {
        Ok(reply) => reply,
        Err(detail) => Reply::problem(400, "invalid", detail),
    }
}

fn attempt(world: &mut World, call: &Call) -> Result<Reply, String> {
    let (method, path) = call.route();
    let ok = |value: Value| Ok(Reply::json(200, &value));
    let done = || Ok(Reply::empty(204));
    match (method, path.as_slice()) {
        ("GET", ["ledger"]) => ledger(world, call),
        ("GET", ["ledger", "summary"]) => ok(json!(world.ledger.summary())),
        ("DELETE", ["ledger"]) => {
            world.ledger.clear();
            done()
        }
        ("GET", ["control", "faults"]) => ok(json!(world.faults.list())),
        ("POST", ["control", "faults"]) => {
            let id = world.faults.add(body::<Rule>(call)?)?;
            Ok(Reply::json(201, &json!({ "id": id })))
        }
        ("DELETE", ["control", "faults"]) => {
            world.faults.clear();
            done()
        }
        ("DELETE", ["control", "faults", id]) => {
            let id = id.parse().map_err(|_| format!("`{id}` is no number"))?;
            if world.faults.remove(id) {
                return done();
            }
            let detail = format!("there is no fault {id}");
            Ok(Reply::problem(404, "no_such_fault", detail))
        }
        ("PUT" | "POST", ["control", "latency"]) => {
            let Latency { ms } = body(call)?;
            if ms > LATENCY_MS_MAX {
                return Err(format!("ms is at most {LATENCY_MS_MAX}"));
            }
            world.latency = Duration::from_millis(ms);
            done()
        }
        ("POST", ["control", "oauth"]) => world.oauth.control(body(call)?).and_then(|()| done()),
        ("POST", ["control", "rewards"]) => {
            world.rewards.control(body(call)?).and_then(|()| done())
        }
        ("POST", ["control", "tremendous"]) => {
            world.tremendous.control(&body(call)?).and_then(|()| done())
        }
        ("POST", ["control", "crm"]) => {
            world.crm.control(body(call)?);
            done()
        }
        ("POST", ["control", "genesys"]) => {
            world.genesys.control(body(call)?);
            done()
        }
        ("POST", ["control", "slack"]) => {
            world.slack.control(body(call)?);
            done()
        }
        ("POST", ["control", "teams"]) => {
            world.teams.control(body(call)?);
            done()
        }
        ("POST", ["control", "salesforce"]) => {
            world.salesforce.control(body(call)?);
            done()
        }
        ("POST", ["control", "hooks"]) => {
            world.hooks.control(body(call)?);
            done()
        }
        ("POST", ["control", "cdp"]) => {
            world.cdp.control(body(call)?);
            done()
        }
        ("GET", ["control", "slack", "messages"]) => {
            let channel = call.query.get("channel").map(String::as_str);
            ok(world.slack.messages(channel))
        }
        ("GET", ["control", "teams", "messages"]) => {
            let hook = call.query.get("hook").map(String::as_str);
            ok(world.teams.messages(hook))
        }
        ("GET", ["control", "cdp", "tracked"]) => ok(world.cdp.tracked()),
        (_, ["control", ..] | ["ledger", ..] | []) | (_, [_, ..]) => {
            let detail = format!(
                "{method} {} is nothing; see `aftercall sandbox --help`",
                call.path
            );
            Ok(Reply::problem(404, "no_such_path", detail))
        }
    }
}

fn body<T: DeserializeOwned>(call: &Call) -> Result<T, String> {
    serde_json::from_slice(&call.body).map_err(|error| error.to_string())
}

/// The calls a query asks for: one JSON list, or one line each.
fn ledger(world: &World, call: &Call) -> Result<Reply, String> {
    let mut filter = Filter::default();
    let mut is_lines = call
        .header("accept")
        .is_some_and(|accept| accept.contains("application/x-ndjson"));
    for (name, value) in &call.query {
        let number = || format!("{name}={value} is no number");
        match name.as_str() {
            "vendor" => {
                let vendor = Vendor::named(value);
                filter.vendor = Some(vendor.ok_or_else(|| format!("there is no vendor {value}"))?);
            }
            "key" => filter.key = Some(value.clone()),
            "executed" => {
                let wrong = |_| format!("executed={value}: allowed are true and false");
                filter.executed = Some(value.parse().map_err(wrong)?);
            }
            "after" => filter.after = value.parse().map_err(|_| number())?,
            "limit" => filter.limit = Some(value.parse().map_err(|_| number())?),
            "format" if value == "ndjson" => is_lines = true,
            "format" if value == "json" => is_lines = false,
            "format" => return Err(format!("format={value}: allowed are json and ndjson")),
            _ => {
                let allowed = "vendor, key, executed, after, limit and format";
                return Err(format!("`{name}` cannot be asked; allowed are {allowed}"));
            }
        }
    }
    let entries = world.ledger.entries(&filter);
    if !is_lines {
        let lines: Vec<Value> = entries.iter().map(|entry| entry.to_json()).collect();
        return Ok(Reply::json(200, &Value::Array(lines)));
    }
    let lines: String = entries
        .iter()
        .map(|entry| format!("{}\n", Entry::to_json(entry)))
        .collect();
    Ok(Reply {
        content_type: "application/x-ndjson",
        body: lines.into(),
        ..Reply::empty(200)
    })
}
