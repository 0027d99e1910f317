//! Random histories against ten-line references: outputs once, sums exact, stored states that go on alike.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::{
    actor::Actor,
    contract::{
        event::{Body, OutcomeKind},
        output::Output,
    },
    effect::{Effect, Effects},
};
use common::*;
use proptest::prelude::*;
use serde_json::json;

/// Applies to an actor and to one that is stored and read before each event; both must do the same.
struct Twins {
    stage: Stage,
    read: Stage,
}

impl Twins {
    fn new(make: impl Fn() -> Stage) -> Self {
        let (stage, read) = (make(), make());
        Self { stage, read }
    }

    fn both(&mut self, act: impl Fn(&mut Stage) -> Effects) -> Effects {
        let bytes = self.stage.encoded();
        self.read.actor = Actor::decode(self.stage.key.side(), "twin", &bytes).unwrap();
        assert_eq!(self.read.actor, self.stage.actor);
        let effects = act(&mut self.stage);
        assert_eq!(act(&mut self.read), effects);
        assert_eq!(self.read.actor, self.stage.actor);
        effects
    }
}

#[derive(Clone, Debug)]
enum Told {
    Survey {
        id: u8,
        revision: u8,
        csat: u8,
        keyword: bool,
        days_ago: i64,
    },
    Enps {
        id: u8,
        score: u8,
        hours_ago: i64,
    },
    Wfm {
        day: u8,
        value: i32,
        recorded: Option<i64>,
    },
    Adjusted {
        id: u8,
        points: i32,
        days_ago: i64,
    },
    Started {
        id: u8,
    },
    Wrapup {
        id: u8,
    },
    DeadLettered {
        destination: u8,
    },
    /// What became of something an agent asked for.
    Enriched {
        id: u8,
        summary: bool,
        number: u8,
        status: u8,
    },
    Token {
        id: u8,
        ready: bool,
    },
    /// What became of a question who a customer is.
    Identified {
        id: u8,
        tenths: u8,
        resolved: bool,
    },
}

/// Statuses of lookups: found, not yet, lost, failed.
const STATUSES: [&str; 5] = ["available", "pending", "failed", "deleted", "unknown"];

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        4 => (0u8..8, 0u8..3, 1u8..=5, any::<bool>(), 0i64..5).prop_map(|(id, revision, csat, keyword, days_ago)| {
            Told::Survey { id, revision, csat, keyword, days_ago }
        }),
        3 => (0u8..16, 0u8..=10, -5i64..200).prop_map(|(id, score, hours_ago)| Told::Enps { id, score, hours_ago }),
        2 => (10u8..20, -9i32..9, prop::option::of(0i64..9))
            .prop_map(|(day, value, recorded)| Told::Wfm { day, value, recorded }),
        1 => (0u8..6, -50i32..50, 0i64..5).prop_map(|(id, points, days_ago)| Told::Adjusted { id, points, days_ago }),
        1 => (0u8..7).prop_map(|id| Told::Started { id }),
        1 => (0u8..7).prop_map(|id| Told::Wrapup { id }),
        1 => (0u8..3).prop_map(|destination| Told::DeadLettered { destination }),
        4 => (0u8..8, any::<bool>(), 1u8..5, 0u8..5).prop_map(|(id, summary, number, status)| {
            Told::Enriched { id, summary, number, status }
        }),
        1 => (0u8..7, any::<bool>()).prop_map(|(id, ready)| Told::Token { id, ready }),
        2 => (0u8..7, 7u8..11, any::<bool>())
            .prop_map(|(id, tenths, resolved)| Told::Identified { id, tenths, resolved }),
    ]
}

fn body_of(told: &Told) -> Body {
    match *told {
        Told::Survey {
            id,
            revision,
            csat,
            keyword,
            days_ago,
        } => {
            let comment = if keyword { "A lawsuit!" } else { "Thanks" };
            let submitted_at = NOW_MS - days_ago * DAY_MS;
            let fields = json!({
                "revision": revision, "csat": csat, "comment": comment, "submitted_at": submitted_at,
            });
            survey(&id.to_string(), fields)
        }
        Told::Enps {
            id,
            score,
            hours_ago,
        } => enps(&id.to_string(), score, -hours_ago * HOUR_MS),
        Told::Wfm {
            day,
            value,
            recorded,
        } => wfm(
            &format!("2026-11-{day}"),
            "points",
            f64::from(value),
            recorded,
        ),
        Told::Adjusted {
            id,
            points,
            days_ago,
        } => adjusted(&id.to_string(), points, NOW_MS - days_ago * DAY_MS),
        Told::Started { id } => started(&id.to_string()),
        Told::Wrapup { id } => wrapup(&id.to_string(), "ended"),
        Told::DeadLettered { destination } => dead_lettered(&destination.to_string(), 1, "x"),
        Told::Enriched {
            id,
            summary,
            number,
            status,
        } => {
            let field = if summary { "summary" } else { "recording" };
            let id = format!("enrich:low_csat:{id}:{field}:{number}");
            let found = json!({ "url": "u", "summary": "s" });
            let status = STATUSES[usize::from(status)];
            outcome(OutcomeKind::Enrichment, "agent/a1", &id, status, found)
        }
        Told::Token { id, ready } => {
            let id = format!("survey_token:a1:{id}");
            let status = if ready { "ready" } else { "unavailable" };
            outcome(OutcomeKind::SurveyToken, "agent/a1", &id, status, json!({}))
        }
        Told::Identified {
            id,
            tenths,
            resolved,
        } => {
            let id = format!("identity:{id}");
            let status = if resolved { "resolved" } else { "failed" };
            let answer = json!({ "confidence_score": f64::from(tenths) / 10.0, "user_id": format!("u{tenths}") });
            outcome(OutcomeKind::Identity, "customer/c1", &id, status, answer)
        }
    }
}

/// A survey response, as of its last version.
#[derive(Default)]
struct Response {
    revision: u8,
    /// Scores, whether there is a keyword, and days ago: what this revision has said so far.
    said: Vec<(u8, bool, i64)>,
    /// What the last of that gave.
    given: i64,
}

/// What the points must sum up to, nothing being old enough to leave.
#[derive(Default)]
struct Ledger {
    surveys: BTreeMap<u8, Response>,
    rows: BTreeMap<u8, (i64, Option<i64>)>,
    adjustments: BTreeMap<u8, i64>,
}

impl Ledger {
    fn note(&mut self, told: &Told) {
        match *told {
            Told::Survey {
                id,
                revision,
                csat,
                keyword,
                days_ago,
            } => {
                let given = if csat == 5 { 10 } else { 0 };
                let content = (csat, keyword, days_ago);
                let seen = self.surveys.entry(id).or_default();
                if revision > seen.revision {
                    *seen = Response {
                        revision,
                        said: vec![content],
                        given,
                    };
                } else if revision == seen.revision && !seen.said.contains(&content) {
                    seen.said.push(content);
                    seen.given = given;
                }
            }
            Told::Wfm {
                day,
                value,
                recorded,
            } => {
                let row = self.rows.entry(day).or_default();
                if recorded.is_none() || recorded >= row.1 {
                    *row = (i64::from(value), recorded);
                }
            }
            Told::Adjusted { id, points, .. } => {
                self.adjustments.entry(id).or_insert(i64::from(points));
            }
            Told::Enps { .. }
            | Told::Started { .. }
            | Told::Wrapup { .. }
            | Told::DeadLettered { .. }
            | Told::Enriched { .. }
            | Told::Token { .. }
            | Told::Identified { .. } => {}
        }
    }

    fn sum(&self) -> i64 {
        let surveys = self.surveys.values().map(|seen| seen.given);
        let rows = self.rows.values().map(|row| row.0);
        surveys
            .chain(rows)
            .chain(self.adjustments.values().copied())
            .sum()
    }
}

proptest! {
    /// Forty events at most half an hour apart, a few of them earlier than the one before: all within a day.
    #[test]
    fn s2_05_s3_01_an_agent_speaks_once_and_sums_exactly(
        history in prop::collection::vec((told(), -5i64..30), 1..40),
    ) {
        let mut twins = Twins::new(Stage::asking_agent);
        let (mut ledger, mut spoken, mut after_ms) = (Ledger::default(), BTreeSet::new(), 0);
        for (told, minutes) in history {
            after_ms += minutes * 60 * SECOND_MS;
            let mut effects = Vec::new();
            if twins.stage.deadline().is_some_and(|due| due <= after_ms) {
                effects.extend(twins.both(|stage| stage.wake(after_ms)));
                prop_assert!(twins.stage.deadline().is_none_or(|due| due > after_ms));
            }
            effects.extend(twins.both(|stage| stage.apply(after_ms, body_of(&told))));
            for effect in effects {
                match effect {
                    // One alert a response, whichever rule it is under; and one for the dead letters.
                    Effect::Emit { output: Output::AlertRaised(alert), .. } => {
                        prop_assert!(spoken.insert(alert.response_id.unwrap_or_default()));
                    }
                    // A wrap-up is forgotten within the day.
                    Effect::Emit { output: Output::SurveyTokenRequested(_), .. } => {}
                    Effect::Emit { id, .. } => prop_assert!(spoken.insert(id)),
                    Effect::Ignore(_) => {}
                    Effect::RuleFailed { .. } => prop_assert!(false, "{effect:?}"),
                }
            }
            ledger.note(&told);
            prop_assert_eq!(twins.stage.points(), ledger.sum());
        }
        // In the end everything is forgotten, and the agent is as new.
        twins.both(|stage| stage.wake(200 * DAY_MS));
        prop_assert!(twins.stage.is_blank(200 * DAY_MS));
    }

    /// Completions some of which come again, with wakes when they are due, and at the end.
    #[test]
    fn s4_04_s4_05_a_customer_is_updated_once_in_time_and_nothing_is_lost(
        history in prop::collection::vec((0u8..30, 0u8..3, -1.0f64..1.0, 0i64..4_000), 1..60),
    ) {
        let mut twins = Twins::new(Stage::customer);
        let (mut contacts, mut updates, mut after_ms) = (BTreeSet::new(), Vec::new(), 0);
        for (id, disposition, sentiment, passed_ms) in history {
            after_ms += passed_ms;
            if twins.stage.deadline().is_some_and(|due| due <= after_ms) {
                let effects = twins.both(|stage| stage.wake(after_ms));
                prop_assert!(twins.stage.deadline().is_none_or(|due| due > after_ms));
                updates.extend(effects.into_iter().map(|effect| (after_ms, effect)));
            }
            contacts.insert(id);
            let disposition = ["resolved", "complaint", "upgrade_inquiry"][usize::from(disposition)];
            let fields = json!({ "disposition": disposition, "sentiment": sentiment });
            let body = completed(&id.to_string(), i64::from(id), fields);
            let effects = twins.both(|stage| stage.apply(after_ms, body.clone()));
            updates.extend(effects.into_iter().map(|effect| (after_ms, effect)));
        }
        let end = after_ms + 5 * SECOND_MS;
        updates.extend(twins.both(|stage| stage.wake(end)).into_iter().map(|effect| (end, effect)));
        updates.retain(|(_, effect)| matches!(effect, Effect::Emit { .. }));
        let ids: BTreeSet<&str> = updates.iter().flat_map(|(_, effect)| ids(std::slice::from_ref(effect))).collect();
        prop_assert_eq!(ids.len(), updates.len(), "an id came twice");
        prop_assert!(updates.windows(2).all(|two| two[1].0 - two[0].0 >= 5 * SECOND_MS));
        let newest = data(std::slice::from_ref(&updates[updates.len() - 1].1));
        prop_assert_eq!(&newest["attributes"]["contacts_7d"], contacts.len());
        prop_assert!(!twins.stage.is_blank(end));
        prop_assert!(twins.stage.deadline().is_none_or(|due| due >= 7 * DAY_MS));
    }

    /// A host that forgets actors as soon as they are blank hears the same as one that never does.
    #[test]
    fn a_blank_actor_acts_as_a_new_one(
        history in prop::collection::vec((told(), 0u8..3, 0i64..400), 1..30),
    ) {
        for make in [Stage::asking_agent, rewarded, Stage::asking_customer] {
            let (mut kept, mut dropped, mut after_ms) = (make(), make(), 0);
            for (n, (told, disposition, hours)) in history.iter().enumerate() {
                // Mostly a few hours, now and then weeks, so that everything leaves at times.
                after_ms += HOUR_MS * if hours % 5 == 0 { *hours } else { hours % 30 };
                if kept.deadline().is_some_and(|due| due <= after_ms) {
                    prop_assert_eq!(kept.wake(after_ms), dropped.wake(after_ms));
                }
                if dropped.is_blank(after_ms) {
                    dropped = make();
                }
                prop_assert_eq!(kept.deadline(), dropped.deadline());
                let mut bodies = vec![body_of(told)];
                let disposition = ["resolved", "complaint", "upgrade_inquiry"][usize::from(*disposition)];
                // Some of them from before the window, some without a summary.
                let ended = after_ms - if hours % 4 == 0 { hours * HOUR_MS } else { 0 };
                let fields = if n % 2 == 0 { json!({ "summary": n.to_string() }) } else { json!({ "sentiment": -0.5 }) };
                let mut fields = fields.as_object().unwrap().clone();
                fields.insert("disposition".into(), disposition.into());
                bodies.push(completed(&(n % 7).to_string(), ended, fields.into()));
                bodies.push(updated(&(n % 5).to_string(), after_ms, disposition));
                for body in bodies {
                    prop_assert_eq!(kept.apply(after_ms, body.clone()), dropped.apply(after_ms, body));
                }
            }
        }
    }

    /// Damaged anywhere, a state is refused or works, and is stored again as it was read.
    #[test]
    fn a_damaged_state_makes_nothing_panic(
        history in prop::collection::vec(told(), 0..20),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (mut agent, mut customer) = (Stage::asking_agent(), Stage::asking_customer());
        // One reward issued and being taken back, the next one asked for.
        let mut rewarded = rewarded();
        rewarded.apply(0, adjusted("grant", 500, NOW_MS));
        rewarded.apply(0, reward_outcome(&id(0), "issued"));
        rewarded.apply(0, adjusted("loss", -300, NOW_MS));
        rewarded.apply(0, adjusted("again", 900, NOW_MS));
        for (n, told) in history.iter().enumerate() {
            let n = n as i64;
            agent.apply(n, body_of(told));
            customer.apply(n, body_of(told));
            customer.apply(n, updated(&(n + 1).to_string(), n, "sold"));
            customer.apply(n, completed(&n.to_string(), n, json!({ "summary": "s", "sentiment": 0.5 })));
        }
        for stage in [&mut agent, &mut rewarded, &mut customer] {
            let mut bytes = stage.encoded();
            for (index, byte) in &damage {
                let place = index.index(bytes.len());
                bytes[place] = *byte;
            }
            if let Ok(actor) = Actor::decode(stage.key.side(), "x1", &bytes) {
                stage.actor = actor;
                let again = Actor::decode(stage.key.side(), "x1", &stage.encoded()).unwrap();
                prop_assert_eq!(&again, &stage.actor);
                for told in &history {
                    stage.apply(0, body_of(told));
                }
                stage.apply(0, completed("other", 0, json!({})));
                stage.apply(0, updated("1", 0, "sold"));
                for (output, word) in [(id(0) + ":reverse", "rejected"), (id(0) + ":reverse", "reversed"), (id(1), "rejected"), (id(1), "issued")] {
                    stage.apply(DAY_MS, reward_outcome(&output, word));
                    stage.apply(2 * DAY_MS, adjusted("more", -2_000, NOW_MS));
                }
                stage.wake(0);
                stage.wake(HOUR_MS);
                stage.is_blank(0);
            }
        }
    }
}
