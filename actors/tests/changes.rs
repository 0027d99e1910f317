//! An actor stored by what has changed in it: folded over any state in between, it is the actor again; and what is
//! written of one event does not grow with what the actor remembers.

mod common;

use aftercall_actors::{
    actor::Actor,
    agent::enps::RESPONSES_MAX,
    contract::{
        event::{Body, OutcomeKind},
        key::{Key, Side},
    },
    dedupe::DEDUPE_ENTRIES_MAX,
    rules::RuleSet,
    stored::changes::Mark,
};
use common::*;
use proptest::prelude::*;
use serde_json::json;

/// As a host has it: the actor, and states of it in the log that changes may be folded over.
struct Stored {
    stage: Stage,
    side: Side,
    /// As of the last time it was stored, and as of snapshots since.
    bases: Vec<Vec<u8>>,
    mark: Option<Mark>,
}

impl Stored {
    fn new(stage: Stage) -> Self {
        let side = stage.key.side();
        let bases = vec![stage.encoded()];
        Self {
            stage,
            side,
            bases,
            mark: None,
        }
    }

    fn actor(&self, bytes: &[u8]) -> Actor {
        Actor::decode(self.side, "x1", bytes).expect("a state")
    }

    /// A snapshot takes the actor as it is: what was stored before says no more what a part is like now.
    fn pack(&mut self) {
        self.bases.push(self.stage.encoded());
        self.mark = None;
    }

    /// Length of the changes; nothing if they were too many to list.
    fn store(&mut self) -> Option<usize> {
        let mut changes = Vec::new();
        let is_known = self
            .stage
            .actor
            .encode_changes(self.mark.as_ref(), &mut changes);
        let now = self.stage.encoded();
        if is_known {
            for base in &self.bases {
                let mut folded = self.actor(base);
                folded.fold("x1", &changes).expect("changes");
                assert_eq!(folded, self.stage.actor);
                let mut bytes = Vec::new();
                folded.encode(&mut bytes);
                assert_eq!(bytes, now, "its stored form as well");
                assert_eq!(folded.deadline(), self.stage.actor.deadline());
            }
        }
        self.mark = Some(self.stage.actor.mark());
        self.bases = vec![now];
        is_known.then_some(changes.len())
    }

    /// As one that was quiet, and is read again.
    fn passivate(&mut self) {
        self.store();
        self.stage.actor = self.actor(&self.bases[0]);
        self.mark = None;
    }
}

#[derive(Clone, Debug)]
enum Does {
    Apply(Box<Body>),
    Wake,
    Pack,
    Store,
    Passivate,
}

fn agents_event() -> impl Strategy<Value = Body> {
    let text = prop_oneof![Just("fine"), Just("a lawsuit, then")];
    prop_oneof![
        (0u8..9, 1u8..6, 0u8..3, text).prop_map(|(id, csat, revision, comment)| {
            let more = json!({ "csat": csat, "revision": revision, "comment": comment });
            survey(&format!("r{id}"), more)
        }),
        (0u8..9, 0u8..11).prop_map(|(id, score)| enps(&format!("e{id}"), score, 0)),
        (0u8..5, -9i32..40).prop_map(|(id, points)| points_of(id, points)),
        (0u8..9).prop_map(|id| wrapup(&format!("i{id}"), "ended")),
        (0u8..3, 0u8..9).prop_map(|(id, value)| wfm(
            &format!("2026-11-1{id}"),
            "points",
            f64::from(value),
            None
        )),
        (0u8..9, 1u8..3, 0usize..4).prop_map(|(id, number, word)| {
            let status = ["available", "pending", "failed", "x"][word];
            let id = format!("enrich:low_csat:r{id}:recording:{number}");
            outcome(
                OutcomeKind::Enrichment,
                "agent/a1",
                &id,
                status,
                json!({ "url": "https://r" }),
            )
        }),
        (0u32..4, 0usize..3).prop_map(|(ordinal, word)| {
            reward_outcome(&id(ordinal), ["issued", "rejected", "needs_review"][word])
        }),
        (0u8..3).prop_map(|d| dead_lettered(&format!("d{d}"), 1, "timeout")),
    ]
}

fn points_of(id: u8, given: i32) -> Body {
    points(&format!("x{id}"), given)
}

fn customers_event() -> impl Strategy<Value = Body> {
    prop_oneof![
        (0u8..9, 0usize..3).prop_map(|(id, word)| {
            let disposition = ["sold", "cancellation", ""][word];
            completed(&format!("i{id}"), 0, json!({ "disposition": disposition }))
        }),
        (0u8..9, 0i64..5).prop_map(|(id, at)| updated(&format!("i{id}"), at, "sold")),
        (0u8..9).prop_map(|id| started(&format!("i{id}"))),
        (0u8..9, 0usize..2).prop_map(|(id, sure)| {
            let confidence = [0.5, 0.95][sure];
            let response = json!({ "user_id": "u", "confidence_score": confidence });
            resolved(&format!("i{id}"), response)
        }),
        (0u8..9).prop_map(|id| failed(&format!("i{id}"))),
    ]
}

fn steps(events: impl Strategy<Value = Body>) -> impl Strategy<Value = Vec<(i64, Does)>> {
    let does = prop_oneof![
        8 => events.prop_map(|body| Does::Apply(Box::new(body))),
        1 => Just(Does::Wake),
        1 => Just(Does::Pack),
        3 => Just(Does::Store),
        1 => Just(Does::Passivate),
    ];
    let after = prop_oneof![
        6 => 0i64..40_000,
        1 => Just(DAY_MS),
        1 => Just(40 * DAY_MS),
    ];
    prop::collection::vec((after, does), 1..80)
}

fn live(stage: Stage, steps: Vec<(i64, Does)>) {
    let mut stored = Stored::new(stage);
    let mut now = 0;
    for (number, (after, does)) in steps.into_iter().enumerate() {
        now += after;
        match does {
            Does::Apply(body) => {
                stored.stage.apply_as(&number.to_string(), now, *body);
            }
            Does::Wake => {
                stored.stage.wake(now);
            }
            Does::Pack => stored.pack(),
            Does::Store => {
                assert!(stored.store().is_some(), "few changes are listed");
            }
            Does::Passivate => stored.passivate(),
        }
    }
    stored.store();
}

fn giving() -> RuleSet {
    let shipped = RuleSet::default_rules().text().to_owned();
    let text = shipped
        .replace("enabled = false", "enabled = true")
        .replace("threshold = 500", "threshold = 30");
    RuleSet::parse(&text, "giving").expect("rules")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_agent_is_itself_again_whatever_it_was_folded_over(steps in steps(agents_event())) {
        live(Stage::new(Key::Agent("a1"), giving()), steps);
    }

    #[test]
    fn a_customer_is_itself_again_whatever_it_was_folded_over(steps in steps(customers_event())) {
        live(Stage::asking_customer(), steps);
    }
}

/// One that remembers all it may: responses that alert, wrap-ups, adjustments, and detractors with the longest ids.
fn full_agent() -> Stage {
    let mut agent = Stage::asking_agent();
    for n in 0..DEDUPE_ENTRIES_MAX + 5 {
        let at = n as i64;
        agent.apply(at, survey(&format!("r{n}"), json!({ "csat": 1 })));
        agent.apply(at, wrapup(&format!("i{n}"), "ended"));
        agent.apply(at, points(&format!("x{n}"), 1));
    }
    for n in 0..RESPONSES_MAX {
        let id = format!("{n:0>256}");
        agent.apply(20_000, enps(&id, 0, 20_000));
    }
    agent
}

/// What one event more takes in a record, in bytes, of an agent that has applied `events`.
fn bytes_of_one_more(mut agent: Stage) -> usize {
    let mut stored = agent.encoded().len();
    let mark = agent.actor.mark();
    let at = 30_000;
    agent.apply(at, survey("one more", json!({ "csat": 1 })));
    let mut changes = Vec::new();
    assert!(agent.actor.encode_changes(Some(&mark), &mut changes));
    stored = stored.max(changes.len());
    assert!(stored >= changes.len());
    changes.len()
}

#[test]
fn what_one_event_changes_is_no_longer_in_an_agent_filled_to_every_bound() {
    let mut new = Stage::asking_agent();
    new.apply(0, survey("first", json!({ "csat": 1 })));
    let full = full_agent();
    assert!(full.encoded().len() > 900_000, "{}", full.encoded().len());
    let (least, most) = (bytes_of_one_more(new), bytes_of_one_more(full));
    // A few dozen more for what it forgets in return, and for the oldest lookups, which end early.
    assert!(least < 800 && most < 2_000, "{least} bytes, {most} bytes");
}

#[test]
fn changes_that_are_damaged_are_refused_and_too_many_are_not_listed() {
    let mut agent = Stage::agent();
    assert!(agent.actor.fold("a1", b"\xff").is_err());
    assert!(agent.actor.fold("a1", b"").is_err(), "no format");
    for n in 0..5_000 {
        agent.apply(n, points(&format!("x{n}"), 1));
    }
    agent.actor.mark();
    // They all leave at once.
    agent.apply(400 * DAY_MS, points("y", 1));
    let mut changes = Vec::new();
    assert!(!agent.actor.encode_changes(None, &mut changes));
    assert!(changes.is_empty());
}

/// An actor, what happens to it after how many milliseconds, and how what changed was written.
type GoldenLife = (Stage, Vec<(i64, Body)>, &'static str);

/// An agent and a customer with something of each sort, at a mark and after it.
fn golden_lives() -> [GoldenLife; 2] {
    let mut agent = Stage::asking_agent();
    agent.apply(0, survey("r1", json!({ "csat": 1 })));
    agent.apply(1, points("x1", 5));
    agent.apply(2, enps("e1", 0, 2));
    let url = json!({ "url": "https://r" });
    let found = "enrich:low_csat:r1:recording:1";
    let later = vec![
        (10, survey("r2", json!({ "csat": 2, "comment": "lawsuit" }))),
        (11, survey("r1", json!({ "csat": 1, "revision": 1 }))),
        (
            12,
            outcome(OutcomeKind::Enrichment, "agent/a1", found, "available", url),
        ),
        (13, wrapup("i1", "ended")),
        (14, enps("e1", 9, 2)),
        (15, dead_lettered("d1", 1, "timeout")),
        (2 * HOUR_MS, wrapup("i2", "ended")),
    ];
    let mut customer = Stage::asking_customer();
    customer.apply(0, started("i1"));
    customer.apply(1, completed("i1", 0, json!({ "disposition": "sold" })));
    let sure = json!({ "user_id": "u7", "confidence_score": 0.95 });
    let more = vec![
        (10, resolved("i1", sure)),
        (11, completed("i2", 5, json!({ "summary": "asked" }))),
        (12, updated("i1", 6, "cancellation")),
    ];
    [
        (agent, later, include_str!("golden/agent-1-changes.hex")),
        (
            customer,
            more,
            include_str!("golden/customer-1-changes.hex"),
        ),
    ]
}

#[test]
fn changes_are_written_and_read_as_ever() {
    for (mut stage, later, golden) in golden_lives() {
        let side = stage.key.side();
        let mark = stage.actor.mark();
        let base = stage.encoded();
        for (at, body) in later {
            stage.apply(at, body);
        }
        let mut changes = Vec::new();
        assert!(stage.actor.encode_changes(Some(&mark), &mut changes));
        let hex: String = changes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            golden.trim(),
            "{side} is written otherwise than before"
        );
        let mut folded = Actor::decode(side, "x1", &base).unwrap();
        folded.fold("x1", &changes).unwrap();
        assert_eq!(folded, stage.actor, "{side}");
    }
}
