//! Random versions of responses for random owners, against a plain list of responses (S1.07, S2.15).

mod common;

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::{
    contract::{
        event::Body,
        output::{Alert, Output},
        time::LogTime,
    },
    effect::{Effect, Ignored},
    responses::{Arrival, Facts, Responses},
};
use common::{
    centre::{Centre, read_again},
    *,
};
use proptest::prelude::*;
use serde_json::{Value, json};

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
            let turn = responses.judge(facts, Arrival { now: LogTime(now_ms), ttl_ms, local: None }, &mut Vec::new());
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
