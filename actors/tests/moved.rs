//! Responses whose owner becomes known later, or is corrected (S2.15): in one partition and over several.

mod common;

use aftercall_actors::{
    contract::{
        event::{Body, OutcomeKind},
        key::Key,
        time::LogTime,
    },
    effect::{Effect, Ignored},
    responses::{Arrival, Facts, RESPONSES_MAX, Responses, SEGMENT_MAX, number_of},
};
use common::{
    centre::{Centre, Said, lines},
    *,
};
use serde_json::{Value, json};

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
                "keywords": [], "recording": { "status": "unavailable" },
                "missing": [], "raised_at": "2026-11-20T10:00:00.000Z",
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
            &facts,
            Arrival {
                now: LogTime(0),
                ttl_ms: DAY_MS,
                local: Some(Key::Agent("a1")),
            },
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
    // What `docs/rules.md` says it costs: of an owner in this partition, with its key.
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
        responses.judge(
            &facts,
            Arrival {
                now: LogTime(0),
                ttl_ms: DAY_MS,
                local: None,
            },
            &mut Vec::new(),
        );
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
