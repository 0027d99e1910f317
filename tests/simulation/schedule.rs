//! What happens in a run, drawn from its seed: few actors, many collisions.

use std::sync::LazyLock;

use aftercall::{
    envelope,
    log::{
        Destination, Headers, NewEvent,
        memory::{Faults, Outage, Part},
    },
};
use aftercall_actors::{
    contract::{
        event::CustomerRef,
        key::Key,
        time::{EventTime, LogTime},
    },
    rewards::redemption::{REVERSE, reward_id},
    rules::RuleSet,
};
use serde_json::{Value, json};

use crate::stories::Draws;

/// What a schedule does next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Appends an event (trying until the log answers).
    Publish(Box<NewEvent>),
    /// Starts a process, whoever else runs.
    Start,
    /// Ends a process at whatever await it is.
    Crash,
    /// Ends a process as SIGTERM would.
    Stop,
    /// Lets time pass.
    Wait { ms: u64 },
    /// Lets time pass in which part of the log is of no use.
    Outage {
        what: Outage,
        ms: u64,
        /// Appended while it lasts.
        during: Option<Box<NewEvent>>,
    },
    /// Sets the machine's clock off by so much.
    Clock { off_ms: i64 },
}

/// Faults of a run: one seed in five has none.
pub fn faults(seed: u64, draws: &mut Draws) -> Faults {
    if draws.one_in(5) {
        return Faults {
            seed,
            ..Faults::default()
        };
    }
    Faults {
        seed,
        delay_ms_max: draws.below(40),
        lose_answer_per_mille: draws.below(80) as u32,
        drop_request_per_mille: draws.below(80) as u32,
        late_store_per_mille: draws.below(60) as u32,
        reader_disconnect_per_mille: draws.below(30) as u32,
        duplicate_append_per_mille: draws.below(60) as u32,
    }
}

/// A whole run's steps.
pub fn steps(draws: &mut Draws) -> Vec<Step> {
    let count = 40 + draws.below(80);
    let jumps = draws.one_in(3);
    let mut steps = vec![Step::Start];
    let mut sent: Vec<NewEvent> = Vec::new();
    for number in 0..count {
        match draws.below(24) {
            0 => steps.push(Step::Start),
            1 => steps.push(Step::Crash),
            2 => steps.push(Step::Stop),
            3 => steps.extend([Step::Crash, Step::Start]),
            4 => steps.push(Step::Wait {
                ms: 5_000 + draws.below(40_000),
            }),
            5 | 6 if !sent.is_empty() => {
                // The same event again, under another message id: the log stores it, the actor must not mind.
                let mut again = sent[draws.below(sent.len() as u64) as usize].clone();
                again.message_id = format!("again-{number}");
                steps.push(Step::Publish(Box::new(again)));
            }
            _ => {
                let event = event(number, draws);
                sent.push(event.clone());
                steps.push(Step::Publish(Box::new(event)));
            }
        }
        if draws.one_in(25) {
            let what = Outage::ALL[draws.below(Outage::ALL.len() as u64) as usize];
            let ms = 1_000 + draws.below(40_000);
            // Events that come while it lasts, but where none can.
            let sent_before = !matches!(what, Outage::Full(Part::Events) | Outage::Unreachable);
            let during = sent_before.then(|| {
                let event = event(1_000 + number, draws);
                sent.push(event.clone());
                Box::new(event)
            });
            steps.push(Step::Outage { what, ms, during });
        }
        if jumps && draws.one_in(12) {
            steps.extend(jump(number, draws));
        }
        if draws.one_in(100) {
            steps.extend(crowd(number, draws));
        }
        if draws.one_in(3) {
            steps.push(Step::Wait {
                ms: draws.below(3_000),
            });
        }
    }
    steps
}

/// Many customers, whose profiles are to be updated together, more than a small record takes; and another owner while
/// they wait for it, or while it is being said.
fn crowd(number: u64, draws: &mut Draws) -> Vec<Step> {
    const CUSTOMERS: u64 = 40;
    let publish = |event| Step::Publish(Box::new(event));
    let twice = (0..2 * CUSTOMERS).map(|contact| {
        let customer = format!("k{}", contact % CUSTOMERS);
        let at = EventTime(BEGAN.0 + 1_000 * number as i64);
        let data = json!({
            "interaction_id": format!("k{number}-{contact}"), "channel": "chat",
            "customer": { "customer_id": customer }, "started_at": at.to_string(), "ended_at": at.to_string(),
        });
        let number = 1_000_000 + 100 * number + contact;
        publish(NewEvent {
            destination: destination(
                Key::Unassigned.token(),
                Key::Customer(&customer).token(),
                "interaction.completed",
            ),
            ..actors_event(number, "", &customer, "interaction.completed", data)
        })
    });
    let mut steps = Vec::new();
    // Where nobody is there meanwhile, they are due all at once.
    if draws.one_in(2) {
        steps.push(Step::Crash);
    }
    steps.extend(twice);
    // Of agents: all that comes for the customers' side then are positions.
    let agents = (0..draws.below(4)).map(|event| {
        let number = 2_000_000 + 100 * number + event;
        let data = json!({
            "response_id": format!("e{number}"), "agent_id": "a0", "score": 9, "submitted_at": BEGAN.0,
        });
        publish(owners_event(number, Key::Agent("a0"), "enps.response.submitted", data))
    });
    steps.extend(agents);
    steps.extend([
        Step::Wait {
            ms: draws.below(4_000),
        },
        Step::Start,
        Step::Wait {
            ms: draws.below(1_500),
        },
        Step::Crash,
        Step::Start,
    ]);
    steps
}

/// The clock jumps, something happens meanwhile, and it is set right again: after seconds, or, where it was so far ahead
/// that nobody would follow, after longer.
fn jump(number: u64, draws: &mut Draws) -> [Step; 5] {
    const HOUR_MS: i64 = 3_600_000;
    let (off_ms, ms) = match draws.below(3) {
        0 => (HOUR_MS, 1_000 + draws.below(5_000)),
        1 => (-HOUR_MS, 1_000 + draws.below(90_000)),
        _ => (200 * 24 * HOUR_MS, 1_000 + draws.below(90_000)),
    };
    let happens = |at| Step::Publish(Box::new(event(1_000 + 2 * number + at, &mut draws.clone())));
    [
        Step::Clock { off_ms },
        happens(0),
        Step::Wait { ms },
        happens(1),
        Step::Clock { off_ms: 0 },
    ]
}

/// Dispositions of completions, of which some say nothing, and what they change to.
const DISPOSITIONS: [&str; 4] = ["resolved", "", "No Disposition", "open"];
const CHANGES: [&str; 2] = ["sold", "cancellation"];

fn event(number: u64, draws: &mut Draws) -> NewEvent {
    let at = |back_s: u64| {
        EventTime(1_767_225_600_000 + 1_000 * (number as i64) - 1_000 * back_s as i64)
    };
    let agent = format!("a{}", draws.below(3));
    let customer = format!("c{}", draws.below(4));
    let interaction = format!("i{}", draws.below(20));
    let started = at(draws.below(600)).to_string();
    let (event_type, data) = match draws.below(46) {
        0..=6 => (
            "survey.response.created",
            json!({
                "response_id": format!("r{}", draws.below(12)),
                "revision": draws.below(3),
                "interaction_id": interaction,
                "submitted_at": started,
                "csat": 1 + draws.below(5),
                "comment": if draws.one_in(4) { "a LAWSUIT, then" } else { "fine" },
                "routing": { "agent_id": agent, "queue_id": "q" },
            }),
        ),
        7..=12 => (
            "interaction.completed",
            json!({
                "interaction_id": interaction, "channel": "chat", "agent_id": agent,
                "customer": { "customer_id": customer, "cdp_user_id": draws.one_in(3).then_some("u") },
                "started_at": started, "ended_at": at(0).to_string(),
                "sentiment": draws.below(20) as f64 / 10.0 - 1.0,
                "summary": format!("contact {number}"),
                "disposition": DISPOSITIONS[draws.below(4) as usize],
            }),
        ),
        13..=15 => (
            "enps.response.submitted",
            json!({
                "response_id": format!("e{number}"), "agent_id": agent,
                "score": draws.below(9), "submitted_at": at(0).to_string(),
            }),
        ),
        16 => (
            "wfm.metric.recorded",
            json!({
                "agent_id": agent, "date": "2026-01-01", "metric": "points", "value": draws.below(50),
            }),
        ),
        17 => return rules(number, draws),
        18 => (
            "survey.response.created",
            json!({ "response_id": "broken", "csat": 9 }),
        ),
        20..=22 => (
            "interaction.started",
            json!({
                "interaction_id": format!("i{}", draws.below(4)), "channel": "voice", "agent_id": agent,
                "customer": { "customer_id": customer }, "started_at": started,
            }),
        ),
        23 => (
            "interaction.wrapup",
            json!({ "interaction_id": interaction, "agent_id": agent, "status": "ended" }),
        ),
        24..=26 => (
            "interaction.updated",
            json!({
                "interaction_id": interaction, "updated_at": at(draws.below(9)).to_string(),
                "disposition": CHANGES[draws.below(2) as usize],
                "customer": { "customer_id": customer },
            }),
        ),
        27..=36 => outcome(&agent, &customer, draws),
        37 if number.is_multiple_of(2) => {
            let data = json!({
                "import_id": format!("i{}", draws.below(2)), "source": "wfm/sim", "file": "a.csv", "rows": 9,
                "bad": 1, "first": "line 2: wrong_width", "at": at(0).to_string(),
            });
            return nobodys_event(number, "import.quarantined", data);
        }
        37 => {
            let data = json!({
                "destination": format!("d{}", draws.below(2)), "reason": "timeout", "count": 3,
                "output_id": "o", "at": at(0).to_string(),
            });
            return nobodys_event(number, "delivery.dead_lettered", data);
        }
        38 => (
            "points.adjusted",
            json!({
                "adjustment_id": format!("x{}", draws.below(40)), "agent_id": agent,
                "points": draws.below(120) as i64 - 60, "kind": "correction", "reason": "sim",
                "effective_at": started,
            }),
        ),
        39..=41 => {
            // Of rewards that were asked for, and of some that never were.
            let reward = reward_id("recognition", &agent, "bronze", draws.below(6) as u32);
            let (suffix, done) = match draws.one_in(3) {
                true => (REVERSE, "reversed"),
                false => ("", "issued"),
            };
            let status = ["rejected", "needs_review", done, done][draws.below(4) as usize];
            (
                "reward.outcome",
                json!({
                    "output_id": format!("{reward}{suffix}"), "subject": format!("agent/{agent}"),
                    "status": status, "attempts": 1,
                }),
            )
        }
        // Of few responses, so that owners change, now and then before the agent is known and under one revision.
        42..=44 => return moved(number, draws),
        _ => ("interaction.vanished", json!({})),
    };
    let is_about_customer = [
        "interaction.started",
        "interaction.completed",
        "interaction.updated",
    ];
    if is_about_customer.contains(&event_type) && draws.one_in(4) {
        return callers_event(number, &agent, event_type, data, draws);
    }
    actors_event(number, &agent, &customer, event_type, data)
}

/// The number of one of two callers without a customer id.
fn number_of(caller: u64) -> String {
    format!("+49 30 5550{caller}")
}

/// The same of a customer of whom only a number is known: on the bus, of no customer.
fn callers_event(
    number: u64,
    agent: &str,
    event_type: &str,
    mut data: Value,
    draws: &mut Draws,
) -> NewEvent {
    data["customer"] = json!({ "phone": number_of(draws.below(2)) });
    let event = actors_event(number, agent, "", event_type, data);
    NewEvent {
        destination: destination(
            Key::Agent(agent).token(),
            Key::Unassigned.token(),
            event_type,
        ),
        ..event
    }
}

/// A survey or eNPS response of any owner.
fn moved(number: u64, draws: &mut Draws) -> NewEvent {
    let submitted_at = BEGAN.0;
    let agent = format!("a{}", draws.below(3));
    if draws.one_in(3) {
        let data = json!({
            "response_id": format!("m{}", draws.below(3)), "agent_id": agent, "score": draws.below(11),
            "submitted_at": submitted_at,
        });
        return owners_event(number, Key::Agent(&agent), "enps.response.submitted", data);
    }
    let (routing, owner) = match draws.below(4) {
        0 => (json!({}), Key::Unassigned),
        1 => (json!({ "queue_id": "q" }), Key::Queue("q")),
        _ => (
            json!({ "queue_id": "q", "agent_id": agent }),
            Key::Agent(&agent),
        ),
    };
    let csat = [1, 2, 5][draws.below(3) as usize];
    let data = json!({
        "response_id": format!("m{}", draws.below(3)),
        "revision": if draws.one_in(2) { 0 } else { 1_767_225_600_000 + number },
        "interaction_id": "i", "submitted_at": submitted_at, "csat": csat,
        "comment": if draws.one_in(4) { "a LAWSUIT, then" } else { "fine" },
        "routing": routing,
    });
    owners_event(number, owner, "survey.response.created", data)
}

/// What became of something that may have been asked.
fn outcome(agent: &str, customer: &str, draws: &mut Draws) -> (&'static str, Value) {
    let response = json!({
        "url": "https://r", "summary": "s", "user_id": "u",
        "confidence_score": 0.85 + draws.below(2) as f64 / 10.0,
    });
    let (event_type, subject, output_id) = match draws.below(4) {
        0 => (
            "identity.outcome",
            format!("customer/{customer}"),
            format!("identity:i{}", draws.below(4)),
        ),
        _ => (
            "enrichment.outcome",
            format!("agent/{agent}"),
            format!(
                "enrich:low_csat:r{}:{}:{}",
                draws.below(12),
                ["recording", "summary"][draws.below(2) as usize],
                1 + draws.below(2),
            ),
        ),
    };
    let status = match event_type {
        "identity.outcome" => ["resolved", "resolved", "failed", "x"],
        _ => ["available", "pending", "deleted", "unknown"],
    };
    let status = status[draws.below(4) as usize];
    let subject = match event_type {
        "identity.outcome" if draws.one_in(3) => {
            let caller = CustomerRef {
                phone: Some(number_of(draws.below(2))),
                ..CustomerRef::default()
            };
            caller
                .caller()
                .map_or(subject, |hash| Key::Caller(hash).to_string())
        }
        _ => subject,
    };
    (
        event_type,
        json!({
            "output_id": output_id, "subject": subject, "status": status, "attempts": 1,
            "response": response,
        }),
    )
}

/// Outcomes, dead letters and what imports left out are said by the service itself.
fn destination(owner: String, customer: String, event_type: &str) -> Destination {
    let event_type = event_type.to_owned();
    let is_own = [".outcome", ".dead_lettered", ".quarantined", ".decided"]
        .iter()
        .any(|ending| event_type.ends_with(ending));
    match is_own {
        true => Destination::Own {
            owner,
            customer,
            event_type,
        },
        false => Destination::Actors {
            owner,
            customer,
            event_type,
        },
    }
}

fn nobodys_event(number: u64, event_type: &str, data: Value) -> NewEvent {
    owners_event(number, Key::Unassigned, event_type, data)
}

fn owners_event(number: u64, owner: Key<'_>, event_type: &str, data: Value) -> NewEvent {
    let event = actors_event(number, "", "", event_type, data);
    NewEvent {
        destination: destination(owner.token(), "_".to_owned(), event_type),
        ..event
    }
}

fn actors_event(
    number: u64,
    agent: &str,
    customer: &str,
    event_type: &str,
    data: Value,
) -> NewEvent {
    let id = format!("n{number}");
    let is_callers = data["subject"]
        .as_str()
        .is_some_and(|s| s.starts_with("caller/"));
    let customer = match is_callers {
        true => Key::Unassigned,
        false => Key::Customer(customer),
    };
    let whole = json!({
        "specversion": "1.0", "id": id, "source": "sim", "type": event_type, "data": data,
    });
    NewEvent {
        destination: destination(Key::Agent(agent).token(), customer.token(), event_type),
        headers: Headers::Empty,
        payload: whole.to_string().into_bytes().into(),
        message_id: id,
    }
}

/// The shipped rules without their comments, which only cost time here, with waits that end within a run, and with
/// rewards that are given, and for little.
pub fn genesis() -> RuleSet {
    static GENESIS: LazyLock<RuleSet> = LazyLock::new(|| {
        let shipped = RuleSet::default_rules();
        let lines = shipped
            .text()
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        let mut text = lines.collect::<Vec<_>>().join("\n");
        let shorter = [
            ("every = \"30s\"", "every = \"2s\""),
            ("for = \"5m\"", "for = \"20s\""),
        ];
        for (from, to) in shorter
            .into_iter()
            .chain([("wait = \"15m\"", "wait = \"7s\"")])
        {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        for (from, to) in [
            ("enabled = false", "enabled = true"),
            ("threshold = 500", "threshold = 30"),
        ] {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        RuleSet::parse(&text, "sim").expect("the shipped rules do not live in comments")
    });
    GENESIS.clone()
}

/// A new rule set: mostly good, sometimes one that does not compile.
fn rules(number: u64, draws: &mut Draws) -> NewEvent {
    let text = match draws.below(4) {
        0 => "[[rule]]\nname = 1".to_owned(),
        _ => genesis().text().replace(
            "event.csat < 3",
            &format!("event.csat < {}", 2 + draws.below(3)),
        ),
    };
    let version = format!("sim-{number}");
    let mut event = envelope::rules_activated_event(&version, &text, BEGAN).expect("short enough");
    event.message_id = format!("rules-{number}");
    event
}

/// Log time of a run's beginning, for stories.
pub const BEGAN: LogTime = LogTime(1_767_225_600_000);
