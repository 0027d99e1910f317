//! The contact centre of this story: its configuration, its events, and when its deliveries are done.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use aftercall::{
    log::{Destination, Headers, Log, NewEvent, retry},
    sandbox::{Spawned, TOKEN},
};
use aftercall_actors::{contract::key::Key, rules::RuleSet};
use serde_json::json;

use crate::service::Service;

/// Everything has its verdict within this time, however busy the machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Events sent at once.
const BATCH: usize = 50;

/// `SANDBOX` stands for where the vendors are.
const DESTINATIONS: &str = include_str!("destinations.toml");
const FIELDS: &str = include_str!("fields.toml");

/// A service with both destinations, and rules that give rewards.
pub fn service(folder: &Path, log_arguments: &[String], sandbox: &Spawned) -> Service {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let address = format!("http://{}", sandbox.address);
    let destinations = file(
        "destinations.toml",
        &DESTINATIONS.replace("SANDBOX", &address),
    );
    let fields = file("fields.toml", FIELDS);
    file("token", TOKEN);
    let token = folder.join("token").display().to_string();
    let destinations_text = fs::read_to_string(&destinations).expect("a file");
    fs::write(
        &destinations,
        destinations_text.replace("TOKEN_FILE", &token),
    )
    .expect("a file");
    let config = format!("[deliver]\ndestinations = {destinations:?}\nfields = {fields:?}\n");
    let config = file("aftercall.toml", &config);
    let rules = RuleSet::default_rules()
        .text()
        .replace("enabled = false", "enabled = true");
    let arguments: Vec<&str> = log_arguments
        .iter()
        .map(String::as_str)
        .chain(["--config", &config])
        .collect();
    Service::new(folder, "run", &arguments, &rules)
}

/// `count` agents get 500 points each, and as many customers complete one contact, over `span`.
pub async fn feed(log: Log, count: usize, span: Duration) {
    let began = Instant::now();
    for number in (0..count).step_by(BATCH) {
        let due = span.mul_f64(number as f64 / count as f64);
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        let now = log.now().to_string();
        let events = (number..count.min(number + BATCH))
            .flat_map(|number| [points(number, &now), completion(number, &now)])
            .collect();
        for answer in retry::append(log.as_ref(), events, PATIENCE).await {
            answer.expect("events are stored in the end");
        }
    }
}

/// The agent's name in the story.
pub fn agent(number: usize) -> String {
    format!("agent-{number}")
}

/// The customer's.
pub fn customer(number: usize) -> String {
    format!("customer-{number}")
}

fn points(number: usize, now: &str) -> NewEvent {
    let agent = agent(number);
    let data = json!({
        "adjustment_id": format!("grant-{number}"), "agent_id": agent, "points": 500, "kind": "grant",
        "reason": "quarter", "effective_at": now,
    });
    event(
        "points.adjusted",
        number,
        data,
        Key::Agent(&agent).token().to_string(),
        "_".to_owned(),
    )
}

fn completion(number: usize, now: &str) -> NewEvent {
    let customer = customer(number);
    let data = json!({
        "interaction_id": format!("i-{number}"), "channel": "voice", "queue_id": "billing",
        "customer": { "customer_id": customer }, "started_at": now, "ended_at": now, "disposition": "solved",
    });
    let owner = Key::Queue("billing").token().to_string();
    let token = Key::Customer(&customer).token().to_string();
    event("interaction.completed", number, data, owner, token)
}

fn event(
    event_type: &str,
    number: usize,
    data: serde_json::Value,
    owner: String,
    customer: String,
) -> NewEvent {
    let id = format!("{event_type}-{number}");
    let event = json!({
        "specversion": "1.0", "id": id, "source": "centre", "type": event_type, "data": data,
    });
    NewEvent {
        destination: Destination::Actors {
            owner,
            customer,
            event_type: event_type.to_owned(),
        },
        headers: Headers::Empty,
        payload: event.to_string().into(),
        message_id: format!("centre {id}"),
    }
}
