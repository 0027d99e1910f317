//! Responses whose owner becomes known later, or is corrected (S2.15): in one partition and over several.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::{
    actor::{Actor, Context},
    effect::{Effect, Ignored},
    event::{Body, Event, OutcomeKind},
    key::{Key, Side},
    output::{Alert, Output},
    responses::{Facts, RESPONSES_MAX, Responses, SEGMENT_MAX, number_of},
    rules::RuleSet,
    time::LogTime,
    value::key_of,
};
use common::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// All owners of a contact centre, in some partitions, each of which judges for itself.
struct Centre {
    rules: RuleSet,
    partitions: Vec<(Responses, BTreeMap<String, Actor>)>,
}

/// What was said or counted, by the actor's key; `` where it was ignored before any actor.
type Said = Vec<(String, Effect)>;

impl Centre {
    fn new(count: u16, rules: RuleSet) -> Self {
        let partitions = (0..count).map(|_| Default::default()).collect();
        Self { rules, partitions }
    }

    fn apply(&mut self, after_ms: i64, body: Body) -> Said {
        let event = Event {
            source: "/test".into(),
            id: "1".into(),
            body,
        };
        let rules = self.rules.clone();
        let context = Context {
            now: LogTime(NOW_MS + after_ms),
            rules: &rules,
        };
        let owner = event.body.owner().unwrap();
        let count = self.partitions.len() as u16;
        let ttl_ms = rules.settings().survey_dedupe_ms;
        let mut said = Said::new();
        for (number, (responses, actors)) in (0u16..).zip(&mut self.partitions) {
            let local = Some(owner).filter(|owner| owner.partition(count) == number);
            let actor = |key: Key<'_>| key.to_string();
            let Some(facts) = Facts::of(&event.body) else {
                if let Some(key) = local {
                    let mut effects = Vec::new();
                    let agent = actors.entry(actor(key)).or_insert_with(new_actor);
                    agent.apply(key, &context, &event, &mut effects);
                    said.extend(effects.into_iter().map(|effect| (actor(key), effect)));
                }
                continue;
            };
            let mut effects = Vec::new();
            let turn = responses.judge(context.now, ttl_ms, &facts, local, &mut effects);
            said.extend(effects.drain(..).map(|effect| (String::new(), effect)));
            let Some(turn) = turn else { continue };
            let owner = local.map(|key| (actor(key), turn.owner));
            let others = turn.others.into_iter();
            let others = others.map(|(name, share)| (name.to_string(), share));
            for (name, share) in owner.into_iter().chain(others) {
                let key = key_of(&name).unwrap();
                assert_eq!(key.partition(count), number, "{name} lives elsewhere");
                let agent = actors.entry(name.clone()).or_insert_with(new_actor);
                agent.respond(key, &context, &event, share, &mut effects);
                said.extend(effects.drain(..).map(|effect| (name.clone(), effect)));
            }
        }
        said
    }

    /// As if every partition had been stored and read.
    fn store_and_read(&mut self) {
        for (responses, actors) in &mut self.partitions {
            let read = read_again(responses);
            assert_eq!(read, *responses);
            *responses = read;
            for (key, actor) in actors {
                let mut bytes = Vec::new();
                actor.encode(&mut bytes);
                let read = Actor::decode(Side::Agent, key, &bytes).unwrap();
                assert_eq!(read, *actor);
                *actor = read;
            }
        }
    }

    fn agent(&self, id: &str) -> Option<&aftercall_actors::agent::Agent> {
        let key = format!("agent/{id}");
        let mut found = self.partitions.iter().filter_map(|(_, all)| all.get(&key));
        match found.next() {
            Some(Actor::Agent(agent)) => Some(agent),
            Some(Actor::Customer(_)) | None => None,
        }
    }

    fn points(&self, id: &str) -> i64 {
        self.agent(id).map_or(0, |agent| agent.points())
    }

    /// Responses in the eNPS window, and detractors among them.
    fn enps(&self, id: &str) -> (u32, u32) {
        let figures = self.agent(id).map(|agent| agent.enps().figures());
        figures.map_or((0, 0), |(responses, detractors, _)| (responses, detractors))
    }
}

fn new_actor() -> Actor {
    Actor::new(Side::Agent)
}

fn read_again(responses: &Responses) -> Responses {
    let stored: BTreeMap<u64, Vec<u8>> = responses
        .segments_from(0)
        .map(|(number, segment)| (number, segment.encode()))
        .collect();
    let stored = stored.iter().map(|(number, bytes)| (*number, &bytes[..]));
    Responses::restore(stored).unwrap()
}

/// Who did what.
fn lines(said: &Said) -> Vec<String> {
    let line = |(key, effect): &(String, Effect)| {
        let told = told(std::slice::from_ref(effect)).remove(0);
        format!("{key} {told}").trim_start().to_owned()
    };
    said.iter().map(line).collect()
}

fn alert(said: &Said) -> Value {
    let output = said.iter().find_map(|(_, effect)| match effect {
        Effect::Emit { output, .. } => Some(json_of(output)),
        Effect::Ignore(_) | Effect::RuleFailed { .. } => None,
    });
    output.expect("something was said")
}

fn of(routing: Value, more: Value) -> Body {
    let Value::Object(mut fields) = more else {
        panic!("not an object")
    };
    fields.insert("routing".to_owned(), routing);
    survey("r1", fields.into())
}

fn agent_of(id: &str, more: Value) -> Body {
    of(json!({ "agent_id": id }), more)
}

fn enps_of(agent: &str, score: u8) -> Body {
    let data =
        json!({ "response_id": "e1", "agent_id": agent, "score": score, "submitted_at": NOW_MS });
    Body::EnpsResponse(serde_json::from_value(data).unwrap())
}

/// One partition, several, and so many that nearly every owner has one alone.
const PARTITIONS: [u16; 3] = [1, 3, 64];

#[test]
fn s2_15_a_response_whose_agent_becomes_known_later_alerts_once_and_is_updated() {
    for count in PARTITIONS {
        let mut centre = Centre::new(count, alone());
        let said = centre.apply(
            0,
            of(json!({ "queue_id": "billing" }), json!({ "csat": 1 })),
        );
        assert_eq!(lines(&said), ["queue/billing alert.raised low_csat:r1"]);
        centre.store_and_read();
        let known = || {
            let routing = json!({ "queue_id": "billing", "agent_id": "a-17", "agent_name": "Ada" });
            of(routing, json!({ "csat": 1 }))
        };
        let said = centre.apply(60_000, known());
        assert_eq!(lines(&said), ["queue/billing alert.updated low_csat:r1:u1"]);
        assert_eq!(
            alert(&said),
            json!({
                "alert_id": "low_csat:r1", "rule": "low_csat", "severity": "warning",
                "owner": "queue/billing", "agent_id": "a-17", "agent_name": "Ada",
                "queue_id": "billing", "interaction_id": "i1", "response_id": "r1", "csat": 1,
                "keywords": [], "recording": { "status": "pending" },
                "missing": ["recording", "summary"], "raised_at": "2026-11-20T10:00:00.000Z",
            })
        );
        // Both come again, in either order: counted once each, by one partition.
        let first = || of(json!({ "queue_id": "billing" }), json!({ "csat": 1 }));
        for again in [known(), first(), known()] {
            let said = centre.apply(61_000, again);
            assert_eq!(lines(&said), ["ignored duplicate"], "{count}");
        }
        // What became of the alert finds it where it was raised.
        let outcome = outcome(
            OutcomeKind::Alert,
            "queue/billing",
            "low_csat:r1:u1",
            "delivered",
            json!({}),
        );
        assert_eq!(centre.apply(62_000, outcome), []);
    }
}

#[test]
fn s2_15_points_are_the_last_owners_alone() {
    for count in PARTITIONS {
        let mut centre = Centre::new(count, alone());
        let five =
            |agent: &str, revision: u8| agent_of(agent, json!({ "csat": 5, "revision": revision }));
        let points = |centre: &Centre| ["p-3", "p-4", "p-5"].map(|id| centre.points(id));
        assert_eq!(centre.apply(0, five("p-3", 0)), []);
        assert_eq!(points(&centre), [10, 0, 0]);
        assert_eq!(centre.apply(1, five("p-4", 1)), []);
        assert_eq!(points(&centre), [0, 10, 0]);
        centre.store_and_read();
        // On to a third, by a late one that is superseded, back to the first.
        assert_eq!(centre.apply(2, five("p-5", 2)), []);
        assert_eq!(points(&centre), [0, 0, 10]);
        assert_eq!(
            lines(&centre.apply(3, five("p-3", 1))),
            ["ignored superseded"]
        );
        assert_eq!(points(&centre), [0, 0, 10]);
        assert_eq!(centre.apply(4, five("p-3", 3)), []);
        assert_eq!(points(&centre), [10, 0, 0]);
        assert_eq!(
            centre.apply(5, agent_of("p-3", json!({ "csat": 4, "revision": 4 }))),
            []
        );
        assert_eq!(points(&centre), [0, 0, 0]);
    }
}

#[test]
fn s2_15_a_moved_response_that_newly_qualifies_alerts_where_it_came_first() {
    for count in PARTITIONS {
        let mut centre = Centre::new(count, alone());
        assert_eq!(centre.apply(0, of(json!({}), json!({ "csat": 4 }))), []);
        assert_eq!(centre.apply(1, agent_of("a-1", json!({ "csat": 4 }))), []);
        let said = centre.apply(2, agent_of("a-2", json!({ "csat": 1 })));
        assert_eq!(lines(&said), ["queue/_ alert.raised low_csat:r1"]);
        assert_eq!(alert(&said)["agent_id"], "a-2");
        let worse = json!({ "csat": 1, "comment": "lawsuit" });
        let said = centre.apply(3, agent_of("a-1", worse));
        assert_eq!(lines(&said), ["queue/_ alert.updated low_csat:r1:u1"]);
        let alert = alert(&said);
        assert_eq!(
            (
                &alert["agent_id"],
                &alert["severity"],
                &alert["rule"],
                &alert["owner"]
            ),
            (
                &json!("a-1"),
                &json!("critical"),
                &json!("critical_keyword"),
                &json!("queue/_")
            )
        );
    }
}

#[test]
fn s2_15_after_the_dedupe_time_a_response_begins_anew_with_whoever_has_it_then() {
    for (after_ms, expected) in [
        (DAY_MS - 1, "agent/a-1 alert.updated low_csat:r1:u1"),
        (DAY_MS, "agent/a-2 alert.raised low_csat:r1"),
    ] {
        let mut centre = Centre::new(3, alone());
        centre.apply(0, agent_of("a-1", json!({ "csat": 1 })));
        let said = centre.apply(after_ms, agent_of("a-2", json!({ "csat": 1 })));
        assert_eq!(lines(&said), [expected]);
    }
}

#[test]
fn s2_15_points_that_move_away_below_an_issued_reward_have_it_taken_back() {
    let mut centre = Centre::new(3, enabled());
    let points = json!({
        "adjustment_id": "x", "agent_id": "a1", "points": 490, "kind": "grant", "reason": "test",
        "effective_at": NOW_MS,
    });
    centre.apply(
        0,
        Body::PointsAdjusted(serde_json::from_value(points).unwrap()),
    );
    let said = centre.apply(1, agent_of("a1", json!({ "csat": 5 })));
    assert_eq!(
        lines(&said),
        [format!("agent/a1 reward.requested {}", id(0))]
    );
    centre.apply(2, reward_outcome(&id(0), "issued"));
    let said = centre.apply(3, agent_of("a2", json!({ "csat": 5 })));
    let reversal = format!("agent/a1 reward.reversal.requested {}:reverse", id(0));
    assert_eq!(lines(&said), [reversal]);
    assert_eq!((centre.points("a1"), centre.points("a2")), (-10, 10));
}

#[test]
fn s1_07_an_enps_response_of_another_agent_moves_and_of_another_score_is_corrected() {
    for count in PARTITIONS {
        let mut centre = Centre::new(count, alone());
        let said = centre.apply(0, enps_of("a-1", 3));
        assert_eq!(lines(&said), ["agent/a-1 enps.scored enps:e1"]);
        assert_eq!([centre.enps("a-1"), centre.enps("a-2")], [(1, 1), (0, 0)]);
        let said = centre.apply(1, enps_of("a-2", 3));
        let moved = lines(&said).remove(0);
        assert!(
            moved.starts_with("agent/a-2 enps.scored enps:e1:"),
            "{moved}"
        );
        assert_eq!(said.len(), 1);
        assert_eq!([centre.enps("a-1"), centre.enps("a-2")], [(0, 0), (1, 1)]);
        centre.store_and_read();
        let said = centre.apply(2, enps_of("a-2", 9));
        let corrected = lines(&said).remove(0);
        assert!(corrected.starts_with("agent/a-2 enps.scored enps:e1:"));
        assert_ne!(corrected, moved, "an id of two bodies");
        assert_eq!(alert(&said)["category"], "promoter");
        assert_eq!([centre.enps("a-1"), centre.enps("a-2")], [(0, 0), (1, 0)]);
        for again in [enps_of("a-1", 3), enps_of("a-2", 3), enps_of("a-2", 9)] {
            assert_eq!(lines(&centre.apply(3, again)), ["ignored duplicate"]);
        }
    }
}

#[test]
fn s1_09_a_spike_that_a_moved_response_makes_is_told_under_an_id_of_its_own() {
    let mut centre = Centre::new(3, alone());
    for agent in ["a-1", "a-2"] {
        for n in 0..2 {
            let data = json!({
                "response_id": format!("{agent}-{n}"), "agent_id": agent, "score": 0, "submitted_at": NOW_MS,
            });
            centre.apply(0, Body::EnpsResponse(serde_json::from_value(data).unwrap()));
        }
    }
    let first = lines(&centre.apply(1, enps_of("a-1", 0)));
    assert_eq!(
        first,
        [
            "agent/a-1 enps.scored enps:e1",
            "agent/a-1 coaching.requested coaching:detractor_spike:e1"
        ]
    );
    let second = lines(&centre.apply(2, enps_of("a-2", 0)));
    assert_eq!(second.len(), 2);
    assert!(second[1].starts_with("agent/a-2 coaching.requested coaching:detractor_spike:e1:"));
}

#[test]
fn s1_07_a_survey_and_an_enps_answer_may_have_the_same_id() {
    let mut centre = Centre::new(1, alone());
    centre.apply(0, survey("e1", json!({ "csat": 5 })));
    let said = centre.apply(1, enps_of("a1", 9));
    assert_eq!(lines(&said), ["agent/a1 enps.scored enps:e1"]);
    assert_eq!(centre.points("a1"), 10);
}

#[test]
fn s2_15_points_of_enps_rules_move_and_are_replaced_too() {
    let rules = rules_and(
        r#"
        [[rule]]
        name = "promoter"
        on = "enps.response.submitted"
        when = "event.score >= 9"
        points = 7
        "#,
    );
    let mut centre = Centre::new(3, rules);
    centre.apply(0, enps_of("a-1", 9));
    assert_eq!((centre.points("a-1"), centre.points("a-2")), (7, 0));
    centre.apply(1, enps_of("a-2", 9));
    centre.store_and_read();
    assert_eq!((centre.points("a-1"), centre.points("a-2")), (0, 7));
    centre.apply(2, enps_of("a-2", 8));
    assert_eq!((centre.points("a-1"), centre.points("a-2")), (0, 0));
}

#[test]
fn s2_15_more_responses_than_are_remembered_forget_the_oldest_and_say_so() {
    let mut responses = Responses::default();
    let mut judge = |n: usize| {
        let mut effects = Vec::new();
        let body = survey(&n.to_string(), json!({ "csat": 4 }));
        let facts = Facts::of(&body).unwrap();
        let turn = responses.judge(
            LogTime(0),
            DAY_MS,
            &facts,
            Some(Key::Agent("a1")),
            &mut effects,
        );
        (turn.is_some(), effects)
    };
    // Bodies take long to make: a few are enough to fill the register with.
    assert!(RESPONSES_MAX.is_multiple_of(SEGMENT_MAX));
    for n in 0..4 * SEGMENT_MAX {
        assert_eq!(judge(n), (true, vec![]));
    }
    assert_eq!(judge(0), (false, ignored(Ignored::Duplicate)));
    let bytes = responses.bytes() / (4 * SEGMENT_MAX as u64);
    // What README says it costs: of an owner in this partition, with its key.
    assert!(bytes <= 100, "{bytes} bytes a response");
    let stored: usize = responses
        .segments_from(0)
        .map(|(_, segment)| segment.encode().len())
        .sum();
    let stored = stored / (4 * SEGMENT_MAX);
    assert!(stored <= 50, "{stored} bytes a stored response");
}

#[test]
fn s2_15_stored_responses_with_a_hole_or_cut_short_are_refused_by_name() {
    let mut responses = Responses::default();
    for n in 0..2 * SEGMENT_MAX + 1 {
        let facts = Facts::of(&survey(&n.to_string(), json!({}))).unwrap();
        responses.judge(LogTime(0), DAY_MS, &facts, None, &mut Vec::new());
    }
    let stored: Vec<(u64, Vec<u8>)> = responses
        .segments_from(0)
        .map(|(number, segment)| (number, segment.encode()))
        .collect();
    assert_eq!(stored.len(), 3);
    let read = |of: &[&(u64, Vec<u8>)]| {
        let of = of.iter().map(|(number, bytes)| (*number, &bytes[..]));
        Responses::restore(of).map_err(|error| error.to_string())
    };
    let [first, second, third] = &stored[..] else {
        panic!("three segments")
    };
    assert_eq!(read(&[first, second, third]), Ok(responses));
    let missing = "state of responses/1 cannot be read: it is missing";
    assert_eq!(read(&[first, third]), Err(missing.to_owned()));
    let cut = (third.0, third.1[..third.1.len() - 1].to_vec());
    assert!(
        read(&[first, second, &cut])
            .unwrap_err()
            .starts_with("state of responses/2")
    );
    assert_eq!(number_of("responses/2"), Some(2));
    assert_eq!(number_of("agent/responses/2"), None);
}

#[derive(Clone, Debug)]
struct Told {
    enps: bool,
    response: u8,
    owner: u8,
    revision: u8,
    score: u8,
    keyword: bool,
    passed_ms: i64,
}

fn told_of() -> impl Strategy<Value = Told> {
    let passed = prop_oneof![6 => 0i64..HOUR_MS, 1 => 0i64..2 * DAY_MS];
    (
        any::<bool>(),
        0u8..4,
        0u8..5,
        0u8..3,
        1u8..=5,
        prop::bool::weighted(0.3),
        passed,
    )
        .prop_map(
            |(enps, response, owner, revision, score, keyword, passed_ms)| Told {
                enps,
                response,
                owner,
                revision,
                score,
                keyword,
                passed_ms,
            },
        )
}

/// Routing and key of an owner.
fn owner_of(number: u8) -> (Value, String) {
    match number {
        0 => (json!({}), "queue/_".to_owned()),
        1 => (json!({ "queue_id": "q" }), "queue/q".to_owned()),
        n => (
            json!({ "queue_id": "q", "agent_id": format!("a{n}") }),
            format!("agent/a{n}"),
        ),
    }
}

impl Told {
    fn body(&self) -> Body {
        let comment = if self.keyword { "A lawsuit" } else { "Hm" };
        if self.enps {
            let data = json!({
                "response_id": self.response.to_string(), "agent_id": format!("a{}", self.agent()),
                "score": self.score * 2, "comment": comment, "submitted_at": NOW_MS,
            });
            return Body::EnpsResponse(serde_json::from_value(data).unwrap());
        }
        let fields = json!({
            "csat": self.score, "comment": comment, "revision": self.revision,
            "routing": owner_of(self.owner).0,
        });
        survey(&self.response.to_string(), fields)
    }

    /// Only agents answer eNPS.
    fn agent(&self) -> u8 {
        2 + self.owner % 3
    }

    fn owner(&self) -> String {
        match self.enps {
            true => format!("agent/a{}", self.agent()),
            false => owner_of(self.owner).1,
        }
    }

    /// All that it says.
    fn content(&self) -> (String, u8, bool) {
        (self.owner(), self.score, self.keyword)
    }
}

/// A response in the plainest way.
#[derive(Debug)]
struct Plain {
    at_ms: i64,
    home: String,
    revision: u8,
    contents: Vec<(String, u8, bool)>,
    last: Told,
    alerted: bool,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Against a list of responses: one alert, of the first owner, that says what the last version says; points and eNPS
    /// figures with the last owner; the same in one partition as in several, stored and read in between or not.
    #[test]
    fn s2_15_s1_07_a_response_is_the_last_owners_and_alerts_once(
        history in prop::collection::vec(told_of(), 1..60),
        count in prop::sample::select(vec![1u16, 2, 5]),
        reads in any::<bool>(),
    ) {
        let mut centre = Centre::new(count, alone());
        let mut plain: BTreeMap<(bool, u8), Plain> = BTreeMap::new();
        let (mut now_ms, mut ids) = (0, BTreeSet::new());
        let mut shown: BTreeMap<u8, (String, Alert)> = BTreeMap::new();
        for told in &history {
            now_ms += told.passed_ms;
            if reads {
                centre.store_and_read();
            }
            let said = centre.apply(now_ms, told.body());
            let revision = if told.enps { 0 } else { told.revision };
            let slot = (told.enps, told.response);
            if plain.get(&slot).is_some_and(|known| now_ms - known.at_ms >= DAY_MS) {
                plain.remove(&slot);
                if !told.enps {
                    shown.remove(&told.response);
                }
                ids.retain(|id: &String| !id.contains(&format!(":{}", told.response)));
            }
            let is_new = match plain.get_mut(&slot) {
                None => {
                    plain.insert(slot, Plain {
                        at_ms: now_ms,
                        home: told.owner(),
                        revision,
                        contents: vec![told.content()],
                        last: told.clone(),
                        alerted: false,
                    });
                    true
                }
                Some(known) if revision < known.revision => false,
                Some(known) if revision == known.revision && known.contents.contains(&told.content()) => false,
                Some(known) => {
                    if revision > known.revision {
                        known.contents.clear();
                    }
                    known.contents.push(told.content());
                    (known.at_ms, known.revision, known.last) = (now_ms, revision, told.clone());
                    true
                }
            };
            // More versions of one revision than are told apart: what comes of them is not judged here.
            prop_assume!(plain[&slot].contents.len() <= 8);
            let mut outputs = 0;
            for (key, effect) in said {
                match effect {
                    Effect::Emit { id, output } => {
                        outputs += 1;
                        prop_assert!(ids.insert(id.clone()), "{} came twice", id);
                        match output {
                            Output::AlertRaised(alert) => {
                                prop_assert!(shown.insert(told.response, (key, alert)).is_none(), "raised twice");
                            }
                            Output::AlertUpdated(alert) => {
                                let before = shown.insert(told.response, (key.clone(), alert.clone()));
                                let (home, before) = before.unwrap();
                                prop_assert_eq!(home, key);
                                prop_assert_eq!(&before.alert_id, &alert.alert_id);
                                prop_assert!(before.severity <= alert.severity);
                                prop_assert!(before != alert, "an update that says nothing");
                            }
                            Output::EnpsScored(scored) => {
                                prop_assert_eq!(key, format!("agent/{}", scored.agent_id));
                            }
                            Output::CoachingRequested(_) => {}
                            other => prop_assert!(false, "{:?}", other),
                        }
                    }
                    Effect::Ignore(Ignored::Duplicate | Ignored::Superseded) => prop_assert!(!is_new),
                    Effect::Ignore(Ignored::AlreadyAlerted | Ignored::TooOld) => prop_assert!(is_new),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            prop_assert!(is_new || outputs == 0);
            if !told.enps {
                let known = plain.get_mut(&slot).unwrap();
                known.alerted |= is_new && (told.score < 3 || told.keyword);
                prop_assert_eq!(known.alerted, shown.contains_key(&told.response));
                if let Some((home, alert)) = shown.get(&told.response) {
                    prop_assert_eq!(home, &known.home);
                    let owner = known.last.owner();
                    let agent = owner.strip_prefix("agent/").map(str::to_owned);
                    prop_assert_eq!(&alert.agent_id, &agent);
                    prop_assert_eq!(alert.csat, Some(known.last.score));
                    prop_assert_eq!(alert.keywords.len(), usize::from(known.last.keyword));
                }
            }
            for agent in ["a2", "a3", "a4"] {
                let theirs = |known: &&Plain| known.last.owner() == format!("agent/{agent}");
                let all = || plain.values().filter(theirs);
                // Survey points stay when the response is forgotten: only what is remembered can be compared.
                if now_ms < DAY_MS {
                    let stars = all().filter(|known| !known.last.enps && known.last.score == 5).count();
                    prop_assert_eq!(centre.points(agent), 10 * stars as i64);
                    let answers = all().filter(|known| known.last.enps);
                    let detractors = answers.clone().filter(|known| known.last.score * 2 < 7).count();
                    prop_assert_eq!(centre.enps(agent), (answers.count() as u32, detractors as u32));
                }
            }
        }
    }

    /// Long enough for several segments, with a memory so short that they go again; against an ordered map.
    #[test]
    fn s2_15_responses_are_found_as_in_a_plain_map(
        seed in any::<u64>(),
        ttl_ms in 500i64..4_000,
        spread in 200u64..6_000,
    ) {
        let bodies: Vec<Facts> = (0..spread)
            .flat_map(|n| [1, 2].map(|csat| Facts::of(&survey(&n.to_string(), json!({ "csat": csat }))).unwrap()))
            .collect();
        let mut responses = Responses::default();
        let mut plain: BTreeMap<u64, (i64, BTreeSet<u64>)> = BTreeMap::new();
        let mut draw = seed | 1;
        for now_ms in 0..6_000i64 {
            draw ^= draw << 13;
            draw ^= draw >> 7;
            draw ^= draw << 17;
            let (n, content) = ((draw >> 20) % spread, draw >> 60 & 1);
            let facts = &bodies[(2 * n + content) as usize];
            let turn = responses.judge(LogTime(now_ms), ttl_ms, facts, None, &mut Vec::new());
            let known = plain.entry(n).or_insert((now_ms, BTreeSet::new()));
            if now_ms - known.0 >= ttl_ms {
                *known = (now_ms, BTreeSet::new());
            }
            let (is_first, is_new) = (known.1.is_empty(), known.1.insert(content));
            if is_new {
                known.0 = now_ms;
            }
            prop_assert_eq!(turn.is_some(), is_new);
            if let Some(turn) = turn {
                prop_assert_eq!(turn.owner.version.is_first, is_first);
            }
            if now_ms % 1_999 == 0 {
                let read = read_again(&responses);
                prop_assert_eq!(&read, &responses);
                responses = read;
            }
        }
    }
}
