//! A service of one process on the memory log, whose clock begins at 2026-01-01T00:00:00Z: hosts, HTTP, and short ways to
//! tell it things and to ask it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix::System;
use aftercall::{
    config::Config,
    desk::{self, Desk, access::Role, tokens::Tokens},
    envelope,
    log::{
        EventLog as _,
        memory::{Faults, World},
    },
    shard::{HostSettings, Hosts},
};
use aftercall_actors::{
    contract::event::OutcomeKind, rewards::redemption::reward_id, rules::RuleSet,
};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

/// Of a token that names no holder: it hands in events and reads.
pub const TOKEN: &str = "a token of the tests";

/// Of kim, who decides.
pub const KIM: &str = "the token of kim";

/// Of lou, who decides and reads.
pub const LOU: &str = "the token of lou";

/// Of a marketplace that answers in a destination's place.
pub const MARKET: &str = "the token of the marketplace";

/// Partitions a side: agents of one test are in several.
const PARTITIONS: u16 = 4;

const PATIENCE: Duration = Duration::from_secs(30);

pub struct Centre {
    address: SocketAddr,
    world: World,
    client: Client,
}

/// Runs a test on a service under the shipped rules with `programs` in the place of theirs, in New York.
pub fn with_centre<F: Future<Output = ()>>(programs: &str, test: impl FnOnce(Arc<Centre>) -> F) {
    with_rules(Some(rules(programs)), test);
}

/// Runs a test on a service none of whose partitions was taken over.
pub fn with_desk_alone<F: Future<Output = ()>>(test: impl FnOnce(Arc<Centre>) -> F) {
    with_rules(None, test);
}

fn with_rules<F: Future<Output = ()>>(rules: Option<RuleSet>, test: impl FnOnce(Arc<Centre>) -> F) {
    // The client wants to know whose cryptography it is to use, even where it needs none.
    aftercall::sinks::client::install_provider();
    System::new().block_on(async move {
        let world = World::new(PARTITIONS, Faults::default());
        let config = Config::default().http;
        let desk = Desk::new(Arc::new(world.client()), Arc::new(tokens()), &config);
        let running = desk::start(Arc::clone(&desk), ([127, 0, 0, 1], 0).into()).unwrap();
        let mut hosts = None;
        if let Some(rules) = rules {
            let settings = HostSettings {
                actor_bytes_max: u64::MAX,
                shelf_folder: std::env::temp_dir(),
            };
            let owner = Arc::new(aftercall::log::owner::Owner::this_process());
            let started = Hosts::start(Arc::new(world.client()), settings, rules, owner).await;
            let started = started.unwrap();
            desk.set_board(started.board());
            desk.set_asker(started.asker());
            hosts = Some(started);
        }
        let centre = Centre {
            address: running.addresses[0],
            world,
            client: Client::new(),
        };
        test(Arc::new(centre)).await;
        running.stop().await;
        if let Some(hosts) = hosts {
            hosts.stop().await;
        }
    });
}

fn tokens() -> Tokens {
    let answer = Role::Answer(OutcomeKind::Reward);
    let tokens = Tokens::one(TOKEN).and("kim", &[Role::Decide], KIM);
    let tokens = tokens.and_then(|tokens| tokens.and("lou", &[Role::Decide, Role::Read], LOU));
    let tokens = tokens.and_then(|tokens| tokens.and("market", &[answer], MARKET));
    tokens.unwrap()
}

fn rules(programs: &str) -> RuleSet {
    let text = include_str!("../../config/rules.toml");
    let (head, tail) = text.split_once("[[program]]").unwrap();
    let (_, rules) = tail.split_once("# Rules.").unwrap();
    let head = head.replace("\"UTC\"", "\"America/New_York\"");
    RuleSet::parse(&format!("{head}{programs}\n# Rules.{rules}"), "test").unwrap()
}

/// A program of one tier, 500 points, that is switched on unless the keys say otherwise.
pub fn program(name: &str, keys: &str) -> String {
    let enabled = if keys.contains("enabled") {
        ""
    } else {
        "enabled = true\n"
    };
    format!(
        "[[program]]\nname = \"{name}\"\n{enabled}{keys}\n[[program.tier]]\nname = \"bronze\"\nthreshold = 500\n\
         reward_type = \"gift_card_25\"\n"
    )
}

/// Id of an agent's reward of the program `recognition`.
pub fn id(agent: &str, ordinal: u32) -> String {
    reward_id("recognition", agent, "bronze", ordinal)
}

impl Centre {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    /// Stores an event, which must be taken.
    pub async fn tell(&self, event_type: &str, data: Value) {
        let token = match event_type {
            "reward.outcome" => MARKET,
            _ => TOKEN,
        };
        let answer = self.send(token, event_type, data).await;
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    }

    /// Sends an event with a token.
    pub async fn send(&self, token: &str, event_type: &str, data: Value) -> Response {
        let number = self.world.events().len();
        let event = json!({
            "specversion": "1.0", "id": format!("e{number}"), "source": "tests", "type": event_type, "data": data,
        });
        let request = self.request(Method::POST, "/v1/events").bearer_auth(token);
        let request = request.header("content-type", "application/cloudevents+json");
        request.body(event.to_string()).send().await.unwrap()
    }

    /// A metric worth `points` on a workday.
    pub async fn row(&self, agent: &str, date: &str, points: i64) {
        let data = json!({ "agent_id": agent, "date": date, "metric": "points", "value": points });
        self.tell("wfm.metric.recorded", data).await;
    }

    pub async fn adjust(&self, agent: &str, points: i64, effective_at: &str) {
        let number = self.world.events().len();
        let data = json!({
            "adjustment_id": format!("a{number}"), "agent_id": agent, "points": points, "kind": "correction",
            "reason": "test", "effective_at": effective_at,
        });
        self.tell("points.adjusted", data).await;
    }

    /// What a provider made of a reward or a reversal.
    pub async fn outcome(&self, agent: &str, output_id: &str, status: &str) {
        let data = json!({
            "output_id": output_id, "subject": format!("agent/{agent}"), "status": status, "attempts": 1,
        });
        self.tell("reward.outcome", data).await;
    }

    /// Asks until everything stored by now is in the answer.
    pub async fn get(&self, path: &str) -> Value {
        let last = self.world.events().len() as u64;
        let began = tokio::time::Instant::now();
        loop {
            let answer = self.ask(path).await;
            let status = answer.status();
            let body: Value = answer.json().await.unwrap();
            // Partitions replay what they were started with before they answer.
            if status == StatusCode::OK && body["as_of"].as_u64() >= Some(last) {
                return body;
            }
            assert!(
                matches!(status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE),
                "{body}"
            );
            assert!(began.elapsed() < PATIENCE, "never up to {last}: {body}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Asks once.
    pub async fn ask(&self, path: &str) -> Response {
        let request = self.request(Method::GET, path).bearer_auth(TOKEN);
        request.send().await.unwrap()
    }

    pub async fn points(&self, agent: &str) -> Value {
        self.get(&format!("/v1/agents/{agent}/points")).await
    }

    /// Decides about a reward once all that was stored is known, with the token of whom the body names, or else kim's.
    pub async fn decide(&self, reward: &str, decision: &str, body: Value) -> Response {
        self.get("/v1/leaderboard").await;
        let path = format!("/v1/rewards/{reward}/{decision}");
        let token = match body["by"].as_str() {
            Some("lou") => LOU,
            _ => KIM,
        };
        let request = self.request(Method::POST, &path).bearer_auth(token);
        request.json(&body).send().await.unwrap()
    }

    /// Type and id of every reward request that stands in the output stream, in the order of their commits.
    pub async fn requests(&self, expected: usize) -> Vec<(String, String)> {
        let began = tokio::time::Instant::now();
        loop {
            let outputs = self.world.outputs();
            let attributes = outputs.iter().map(|stored| &stored.output.attributes);
            let found: Vec<_> = attributes
                .filter_map(|attributes| {
                    let of = |name| {
                        let mut attributes = attributes.iter();
                        attributes.find(|(n, _)| *n == name).map(|(_, v)| v.clone())
                    };
                    let event_type = of("ce-type")?;
                    event_type
                        .starts_with("reward.")
                        .then_some((event_type, of("ce-id")?))
                })
                .collect();
            if found.len() >= expected || began.elapsed() > PATIENCE {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Sets other programs in force.
    pub async fn activate(&self, programs: &str, version: &str) {
        let text = rules(programs).text().to_owned();
        let event = envelope::rules_activated_event(version, &text, self.world.now()).unwrap();
        for stored in self.world.client().append(vec![event]).await {
            stored.unwrap();
        }
    }

    pub fn stored(&self) -> usize {
        self.world.events().len()
    }

    /// The data of the newest event.
    pub fn newest(&self) -> Value {
        let events = self.world.events();
        serde_json::from_slice(&events.last().unwrap().payload).unwrap()
    }
}

/// A problem of this status and kind.
pub async fn problem(answer: Response, status: u16, kind: &str) -> Value {
    let found = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(found, status, "{body}");
    assert_eq!(
        body["type"],
        format!("urn:aftercall:problem:{kind}"),
        "{body}"
    );
    assert_eq!(body["status"], status, "{body}");
    body
}

/// The parameters a problem names.
pub fn named(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().unwrap().iter();
    errors
        .map(|error| error["name"].as_str().unwrap())
        .collect()
}
