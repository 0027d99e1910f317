//! The stored form: what was written once stays readable, and stays small.
//!
//! `golden/` holds one agent and one customer of every format version, as hexadecimal text, and one more of each for
//! fields that were added since (`-requests`: what others are asked and told; `-decided` and `-told`: what a changed
//! disposition needs; `-exports`: cancellations and exports; `-kept`: ids of a provider's own). Where a state of today holds more, the older file is read
//! and written as it was. A change that
//! makes these tests fail would make stored states unreadable: add a field instead, and a golden file.

mod common;

use aftercall_actors::{
    actor::Actor,
    contract::{
        event::{Body, OutcomeKind},
        key::{Key, Side},
        output::Output,
    },
    effect::{Effect, Ignored},
    rewards::{
        points::Workday,
        redemption::{IssuedStatus, REVERSE, Stage as Tier, reward_id},
    },
    rules::RuleSet,
};
use common::*;
use serde_json::{Value, json};

#[test]
fn an_agent_with_versions_of_responses_is_written_and_read_as_ever() {
    let golden = include_str!("golden/agent-1-responses.hex");
    assert_golden(&an_agent_with_versions(), Side::Agent, golden);
}

/// Written before it was kept what an eNPS response gave, and what an alert said.
#[test]
fn an_agent_from_before_responses_could_be_corrected_goes_on() {
    let golden = include_str!("golden/agent-1.hex");
    let mut agent = an_agent();
    let mut older = Stage::agent();
    older.actor = Actor::decode(Side::Agent, "a1", &bytes_of(golden)).unwrap();
    assert_eq!(older.points(), agent.points());
    assert_eq!(
        Actor::decode(Side::Agent, "a1", &older.encoded()).unwrap(),
        older.actor
    );
    // What it knows as applied stays so, though nothing else remembers it.
    for body in [
        survey("r1", json!({ "csat": 1 })),
        survey("r3", json!({ "csat": 4, "revision": 3 })),
        enps("e0", 0, 0),
    ] {
        assert_eq!(older.apply(6_000, body), ignored(Ignored::Duplicate));
    }
    // A later version counts; of one alerted before, nothing is known to update.
    let worse = |revision: u8| survey("r1", json!({ "csat": 2, "revision": revision }));
    assert_eq!(
        older.apply(6_001, worse(1)),
        ignored(Ignored::AlreadyAlerted)
    );
    let fewer = survey("r2", json!({ "csat": 4, "revision": 1 }));
    older.apply(6_002, fewer.clone());
    agent.apply(6_002, fewer);
    assert_eq!(older.points(), agent.points());
}

#[test]
fn an_agent_with_rewards_of_format_1_is_written_and_read_as_ever() {
    let golden = include_str!("golden/agent-1-exports.hex");
    assert_golden(&an_agent_with_cancellations(), Side::Agent, golden);
    let golden = include_str!("golden/agent-1-debt.hex");
    assert_golden(&an_agent_in_debt(), Side::Agent, golden);
}

#[test]
fn s3_12_an_agent_with_ids_of_its_provider_is_written_and_read_as_ever() {
    let golden = include_str!("golden/agent-1-kept.hex");
    assert_golden(&an_agent_with_ids_of_its_provider(), Side::Agent, golden);
}

/// Written before it was known which of the points came with which export.
#[test]
fn s3_06_an_agent_from_before_points_knew_their_export_goes_on() {
    let bytes = bytes_of(include_str!("golden/agent-1-rewards.hex"));
    let mut agent = rewarded();
    agent.actor = Actor::decode(Side::Agent, "x1", &bytes).unwrap();
    assert_eq!(agent.encoded(), bytes);
    let now = a_rewarded_agent();
    assert_eq!(agent.points(), now.points());
    let standings = |agent: &Stage| {
        let rewards = rewards(agent).issued().iter();
        rewards.map(|given| given.standing).collect::<Vec<_>>()
    };
    assert_eq!(standings(&agent), standings(&now));
    // What it knew of all its points, its next request says.
    let effects = agent.apply(20, adjusted("x2", 1_000, NOW_MS));
    let [Effect::Emit { output, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    let Output::RewardRequested(reward) = output else {
        panic!("{output:?}");
    };
    assert_eq!(reward.metadata["wfm_export_version"], "r7");
}

#[test]
fn an_agent_from_before_there_were_rewards_goes_on() {
    let mut agent = an_agent();
    assert!(rewards(&agent).is_blank());
    agent.rules = enabled();
    // It had 297 points.
    let effects = agent.apply(6_000, adjusted("x2", 203, NOW_MS));
    assert_eq!(ids(&effects), [id(0)]);
}

#[test]
fn a_customer_of_format_1_is_written_and_read_as_ever() {
    let golden = include_str!("golden/customer-1-decided.hex");
    assert_golden(&a_customer(), Side::Customer, golden);
    let golden = include_str!("golden/customer-1.hex");
    assert_goes_on(golden, a_customer());
}

#[test]
fn an_agent_with_requests_is_written_and_read_as_ever() {
    let golden = include_str!("golden/agent-1-requests.hex");
    assert_golden(&an_asking_agent(), Side::Agent, golden);
}

#[test]
fn a_customer_with_requests_is_written_and_read_as_ever() {
    let golden = include_str!("golden/customer-1-told.hex");
    let mut customer = an_asking_customer();
    customer.apply(7, completed("i4", 7, json!({ "disposition": "sold" })));
    customer.apply(8, updated("i4", 8, "returned"));
    assert_golden(&customer, Side::Customer, golden);
    let golden = include_str!("golden/customer-1-requests.hex");
    assert_goes_on(golden, an_asking_customer());
}

/// As the messages of `state` write them, whichever parts have anything to say.
#[test]
fn parts_of_an_agent_are_written_in_the_order_of_their_tags() {
    let mut agent = an_agent_with_cancellations();
    agent.rules = RuleSet::default_rules();
    agent.apply(30, enps("e0", 9, 0));
    agent.apply(31, enps("e0", 0, 0));
    agent.apply(32, survey("r1", json!({ "csat": 2, "channel": "voice" })));
    agent.apply(33, wrapup("i1", "predicted"));
    agent.apply_as("d1", 34, dead_lettered("crm", 3, "status 503"));
    let tags = tags(&agent.encoded());
    assert!(tags.is_sorted(), "{tags:?}");
    // A part of each: responses, scores, lookups, tokens, storms, what is spent, rewards, exports.
    for tag in [2, 10, 24, 40, 41, 43, 60, 62, 63, 67, 68, 69] {
        assert!(tags.contains(&tag), "{tag} of {tags:?}");
    }
}

/// Tags of a message's fields.
fn tags(mut bytes: &[u8]) -> Vec<u64> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let length = 1 + bytes.iter().take_while(|byte| **byte >= 0x80).count();
        let (number, rest) = bytes.split_at(length);
        *bytes = rest;
        let bits = number.iter().rev().map(|byte| u64::from(byte & 0x7f));
        bits.fold(0, |number, bits| number << 7 | bits)
    }
    let mut tags = Vec::new();
    while !bytes.is_empty() {
        let field = varint(&mut bytes);
        tags.push(field >> 3);
        match field & 7 {
            0 => drop(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                bytes = &bytes[length..];
            }
            other => panic!("wire type {other}"),
        }
    }
    tags
}

#[test]
fn new_actors_are_two_bytes() {
    assert_eq!(Stage::agent().encoded(), [8, 1]);
    assert_eq!(Stage::customer().encoded(), [8, 1]);
    let read = Actor::decode(Side::Customer, "c1", &[8, 1]).unwrap();
    assert_eq!(read, Stage::customer().actor);
}

#[test]
fn a_typical_customer_takes_at_most_250_bytes() {
    // Three contacts, in no segment.
    let rules = rules_with("customer.contacts_7d >= 3", "customer.contacts_7d >= 4");
    let mut customer = Stage::new(Key::Customer("c1"), rules);
    let summary = "s".repeat(120);
    for n in 0..3i64 {
        let more = json!({ "summary": summary, "sentiment": 0.1, "disposition": "resolved" });
        let after_ms = n * 2 * DAY_MS;
        let id = format!("interaction-{n}");
        assert_eq!(
            customer
                .apply(after_ms, completed(&id, after_ms, more))
                .len(),
            1
        );
    }
    let length = customer.encoded().len();
    assert!(length <= 250, "{length} bytes");
}

#[test]
fn a_state_of_another_format_or_cut_short_is_refused_with_the_actors_name() {
    let why = |side, bytes: &[u8]| Actor::decode(side, "x1", bytes).unwrap_err().to_string();
    let unknown = "state of x1 cannot be read: format 2 is not understood, only 1";
    assert_eq!(why(Side::Agent, &[8, 2]), unknown);
    assert_eq!(why(Side::Customer, &[8, 2]), unknown);
    assert!(why(Side::Agent, &[]).contains("format 0"));
    // Fields are cut off one by one from the end; the reader may accept what is whole, but never panics.
    for (side, bytes) in [
        (Side::Agent, an_agent().encoded()),
        (Side::Agent, an_agent_with_cancellations().encoded()),
        (Side::Customer, a_customer().encoded()),
        (Side::Agent, an_asking_agent().encoded()),
        (Side::Customer, an_asking_customer().encoded()),
    ] {
        for length in 0..bytes.len() {
            if let Ok(actor) = Actor::decode(side, "x1", &bytes[..length]) {
                let mut again = Vec::new();
                actor.encode(&mut again);
                assert_eq!(Actor::decode(side, "x1", &again).unwrap(), actor);
            }
        }
    }
}

/// A customer of an older file: stored again it is the same, and from its next completion on it acts as one of today.
fn assert_goes_on(golden: &str, mut today: Stage) {
    let mut older = Stage::new(today.key, today.rules.clone());
    let bytes = bytes_of(golden);
    older.actor = Actor::decode(Side::Customer, "x1", &bytes).unwrap();
    assert_eq!(older.encoded(), bytes);
    for (after_ms, body) in [
        (10_000, updated("i0", 9_000, "sold")),
        (
            20_000,
            completed("i5", 20_000, json!({ "disposition": "complaint" })),
        ),
        (30_000, updated("i5", 30_000, "sold")),
        // What was noted without its time is forgotten by now.
        (2_000_000, updated("i0", 2_000_000, "sold")),
    ] {
        let effects = today.apply(after_ms, body.clone());
        assert_eq!(told(&older.apply(after_ms, body)), told(&effects));
        assert_eq!(older.wake(after_ms + 9_000), today.wake(after_ms + 9_000));
    }
    assert_eq!(older.actor, today.actor);
}

fn assert_golden(stage: &Stage, side: Side, golden: &str) {
    let written: String = stage.encoded().iter().map(|b| format!("{b:02x}")).collect();
    let wrapped: Vec<&str> = (0..written.len())
        .step_by(100)
        .map(|at| &written[at..written.len().min(at + 100)])
        .collect();
    assert_eq!(
        wrapped.join("\n"),
        golden.trim(),
        "written otherwise than before"
    );
    let read = Actor::decode(side, "x1", &bytes_of(golden)).unwrap();
    assert_eq!(read, stage.actor);
}

fn bytes_of(golden: &str) -> Vec<u8> {
    let digits: Vec<u8> = golden.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// With an alert that was updated and whose lookups are over, one that was updated while they go on, a revision that is a
/// time, and eNPS responses of each category, one of them corrected, one from before the window.
fn an_agent_with_versions() -> Stage {
    let mut agent = an_agent();
    agent.apply(
        6_000,
        survey("r1", json!({ "csat": 1, "comment": "lawsuit" })),
    );
    agent.apply(
        6_001,
        survey("r4", json!({ "csat": 4, "revision": NOW_MS })),
    );
    agent.apply(6_002, enps("e0", 9, 0));
    agent.apply(6_003, enps("old", 9, -8 * DAY_MS));
    agent.rules = RuleSet::default_rules();
    agent.apply(
        6_004,
        survey("r5", json!({ "csat": 2, "channel": "voice" })),
    );
    let found = json!({ "url": "https://r/5" });
    let found = outcome(
        OutcomeKind::Enrichment,
        "agent/a1",
        "enrich:low_csat:r5:recording:1",
        "available",
        found,
    );
    agent.apply(6_005, found);
    agent.apply(6_006, survey("r6", json!({ "csat": 2 })));
    agent.apply(6_007, survey("r6", json!({ "csat": 1 })));
    agent
}

/// With something in every column.
fn an_agent() -> Stage {
    let mut agent = Stage::agent();
    agent.apply(0, survey("r1", json!({ "csat": 1 })));
    agent.apply(1_000, survey("r2", json!({ "csat": 5 })));
    agent.apply(2_000, survey("r3", json!({ "csat": 4, "revision": 3 })));
    for (n, score) in [0, 3, 6, 8, 10].into_iter().enumerate() {
        agent.apply(3_000 + n as i64, enps(&format!("e{n}"), score, n as i64));
    }
    agent.apply(4_000, wfm("2026-11-18", "points", 12.0, Some(NOW_MS - 1)));
    agent.apply(4_000, wfm("2026-11-19", "points", 300.0, None));
    agent.apply(5_000, adjusted("x1", -25, NOW_MS));
    agent
}

/// With a tier in each stage and a reward in each standing.
fn a_rewarded_agent() -> Stage {
    let tiers = [
        ("awaiting", 101),
        ("locked", 102),
        ("review", 103),
        ("rejected", 104),
    ];
    let mut text = enabled().text().to_owned();
    for (name, threshold) in tiers {
        let approval = if name == "awaiting" { "always" } else { "none" };
        text += &format!(
            "[[program]]\nname = \"{name}\"\nenabled = true\napproval = \"{approval}\"\n[[program.tier]]\n\
             name = \"t\"\nthreshold = {threshold}\nreward_type = \"card\"\n"
        );
    }
    let rules = RuleSet::parse(&text, "test").unwrap();
    let mut agent = rewarded();
    agent.apply(0, wfm("2026-11-17", "points", 900.0, None));
    agent.apply(1, wfm("2026-11-18", "points", 1_600.0, None));
    for ordinal in 0..5 {
        agent.apply(
            2 + i64::from(ordinal),
            reward_outcome(&id(ordinal), "issued"),
        );
    }
    let reverse = |ordinal| format!("{}{REVERSE}", id(ordinal));
    // The latest is taken back, the next one not, of the third nobody knows, the fourth is on its way.
    agent.apply(10, adjusted("x1", -1_900, NOW_MS));
    agent.apply(11, reward_outcome(&reverse(4), "reversed"));
    agent.apply(12, reward_outcome(&reverse(3), "rejected"));
    agent.apply(13, reward_outcome(&reverse(2), "needs_review"));
    agent.rules = rules;
    let row = json!({
        "agent_id": "a1", "date": "2026-11-19", "metric": "points", "value": 1_850, "export_version": "r7",
    });
    agent.apply(14, Body::WfmMetric(serde_json::from_value(row).unwrap()));
    let tier = |name| reward_id(name, "a1", "t", 0);
    agent.apply(15, reward_outcome(&tier("review"), "needs_review"));
    agent.apply(16, reward_outcome(&tier("rejected"), "rejected"));
    let given = rewards(&agent).issued().iter().map(|given| given.standing);
    let mut given: Vec<IssuedStatus> = given.collect();
    given.dedup();
    use IssuedStatus::{Debt, Issued, Reversed, Reversing, Review};
    assert_eq!(given, [Issued, Reversing, Review, Debt, Reversed]);
    let stages = rewards(&agent).tiers().iter().map(|tier| &tier.stage);
    let stages: Vec<u8> = stages
        .map(|stage| match stage {
            Tier::Open => 0,
            Tier::Awaiting(_) => 1,
            Tier::Locked(_) => 2,
            Tier::Review(_) => 3,
            Tier::Rejected { .. } => 4,
        })
        .collect();
    assert_eq!(stages, [0, 1, 2, 3, 4]);
    agent
}

/// With what came after: a reward that is held and one that is cancelled, with and without a refused reversal before;
/// claims that are past; points that know their export.
fn an_agent_with_cancellations() -> Stage {
    let mut agent = a_rewarded_agent();
    agent.apply(20, reward_outcome(&id(0), "bounced"));
    let reverse = format!("{}{REVERSE}", id(1));
    agent.apply(21, reward_outcome(&reverse, "refused"));
    agent.apply(21, reward_outcome(&id(1), "needs_review"));
    agent.apply(22, decided(&id(1), "reject"));
    agent.apply(23, reward_outcome(&id(3), "failed"));
    agent.apply(24, decided(&reward_id("rejected", "a1", "t", 0), "approve"));
    let found = rewards(&agent).issued().iter().map(|given| given.standing);
    let found: Vec<IssuedStatus> = found.collect();
    use IssuedStatus::{Cancelled, Held, Reversed, Review};
    // 2026-11-20.
    let waits = Some(Workday(20_777));
    let expected = [
        Held { owed: false },
        Cancelled { owed: true, waits },
        Review,
        Held { owed: true },
        Reversed,
    ];
    assert_eq!(found, expected);
    agent
}

/// With ids that the provider has given a claim that is open, and a reward that is issued.
fn an_agent_with_ids_of_its_provider() -> Stage {
    let mut agent = rewarded();
    agent.apply(0, adjusted("x1", 1_000, NOW_MS));
    for (ordinal, status, kept) in [
        (0, "issued", json!({ "order": "O-7", "card": "Kärtchen 7" })),
        (1, "needs_review", json!({ "order": "O-8" })),
    ] {
        let Body::Outcome(kind, mut outcome) = reward_outcome(&id(ordinal), status) else {
            panic!("an outcome");
        };
        outcome.kept = serde_json::from_value(kept).unwrap();
        agent.apply(1 + i64::from(ordinal), Body::Outcome(kind, outcome));
    }
    agent
}

fn an_agent_in_debt() -> Stage {
    let mut agent = rewarded();
    agent.apply(0, adjusted("x1", 500, NOW_MS));
    agent.apply(1, reward_outcome(&id(0), "issued"));
    agent.apply(2, adjusted("x2", -30, NOW_MS));
    agent.apply(
        3,
        reward_outcome(&format!("{}{REVERSE}", id(0)), "rejected"),
    );
    assert_eq!(rewards(&agent).debt(), 30);
    agent
}

/// With something in every column that can be filled at once.
fn a_customer() -> Stage {
    let mut customer = Stage::customer();
    let more =
        json!({ "summary": "Wants to leave", "sentiment": -0.5, "disposition": "complaint" });
    customer.apply(0, completed("i1", 0, more));
    customer.apply(
        1_000,
        completed("i2", 900, json!({ "disposition": "cancellation" })),
    );
    customer
}

/// With something in every column of what is asked: lookups in each state, a token, a storm.
fn an_asking_agent() -> Stage {
    let mut agent = Stage::asking_agent();
    let answer = |field: &str, status: &str, response: Value| {
        let id = format!("enrich:low_csat:r1:{field}:1");
        outcome(OutcomeKind::Enrichment, "agent/a1", &id, status, response)
    };
    agent.apply(
        0,
        survey("r1", json!({ "csat": 2, "comment": "No \"answer\" 🙁" })),
    );
    agent.apply(
        1,
        answer("summary", "available", json!({ "summary": "Fee" })),
    );
    agent.apply(2, answer("recording", "pending", Value::Null));
    agent.apply(3, survey("r2", json!({ "csat": 1, "channel": "voice" })));
    agent.rules = asking_with("mode = \"send_then_update\"", "mode = \"hold\"");
    agent.apply(4, survey("r3", json!({ "csat": 1 })));
    agent.apply(5, wrapup("i1", "predicted"));
    agent.apply(6, wrapup("i2", "ended"));
    agent.apply_as("d1", 7, dead_lettered("crm", 3, "status 503"));
    agent.apply_as("d2", 8, dead_lettered("slack", 1, "status 403"));
    agent
}

/// With something in every column of what is asked: questions open and answered, who they are, a completion that
/// waits, and a disposition that does.
fn an_asking_customer() -> Stage {
    let mut customer = Stage::asking_customer();
    customer.apply(0, started("i1"));
    customer.apply(1, started("i2"));
    let response =
        json!({ "confidence_score": 0.95, "user_id": "u1", "attributes": { "tier": "gold" } });
    let resolved = |id: &str, status: &str, response: Value| {
        outcome(OutcomeKind::Identity, "customer/c1", id, status, response)
    };
    customer.apply(2, resolved("identity:i1", "resolved", response));
    customer.apply(3, started("i3"));
    customer.apply(4, resolved("identity:i3", "failed", Value::Null));
    customer.apply(5, completed("i1", 0, json!({ "duration_s": 61.25 })));
    customer.apply(6, updated("i9", 6, "sold"));
    customer
}
