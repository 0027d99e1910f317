//! Lookups under any outcomes, in any order, late, repeated or never: no alert lost, one question at a time, an end.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::{
    actor::Actor,
    contract::{
        event::OutcomeKind,
        key::{Key, Side},
        output::{Alert, Output, RecordingStatus},
    },
    effect::{Effect, Effects},
    rules::RuleSet,
};
use common::*;
use proptest::prelude::*;
use serde_json::json;

const EVERY_MS: i64 = 30 * SECOND_MS;
const FOR_MS: i64 = 300 * SECOND_MS;

/// A host wakes an actor at most this long after its deadline: a tick comes once a second.
const LATE_MS: i64 = SECOND_MS;

#[derive(Clone, Debug)]
enum Step {
    Survey {
        id: u8,
        revision: u32,
        voice: bool,
    },
    /// Answers the last question, one before it, or one never asked.
    Answer {
        id: u8,
        summary: bool,
        back: i64,
        status: &'static str,
        text: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop::sample::select(vec![
        "available",
        "available",
        "pending",
        "pending",
        "pending",
        "failed",
        "deleted",
        "unknown",
        "503",
    ]);
    prop_oneof![
        1 => (0u8..6, 0u32..3, any::<bool>())
            .prop_map(|(id, revision, voice)| Step::Survey { id, revision, voice }),
        4 => (0u8..6, any::<bool>(), prop::sample::select(vec![0, 0, 0, 1, -1]), status, any::<bool>())
            .prop_map(|(id, summary, back, status, text)| Step::Answer { id, summary, back, status, text }),
    ]
}

/// What is known of one alert from outside.
#[derive(Debug, Default)]
struct Seen {
    /// When its response arrived, and when it was raised.
    came_ms: Option<i64>,
    raised_ms: Option<i64>,
    /// Of each field, the last question's number and time, and whether it is answered.
    questions: BTreeMap<String, (i64, i64, bool)>,
    updates: u32,
    last: Option<Alert>,
}

struct Run {
    stage: Stage,
    hold: bool,
    now_ms: i64,
    alerts: BTreeMap<String, Seen>,
    ids: BTreeSet<String>,
}

impl Run {
    fn new(hold: bool) -> Self {
        let rules = match hold {
            true => asking_with("mode = \"send_then_update\"", "mode = \"hold\""),
            false => RuleSet::default_rules(),
        };
        Self {
            stage: Stage::new(Key::Agent("a1"), rules),
            hold,
            now_ms: 0,
            alerts: BTreeMap::new(),
            ids: BTreeSet::new(),
        }
    }

    /// Lets time pass, woken where something is due, and stored and read each time.
    fn pass(&mut self, ms: i64, late_ms: i64) {
        let until_ms = self.now_ms + ms;
        while let Some(due) = self.stage.deadline().filter(|due| *due <= until_ms) {
            self.now_ms = self.now_ms.max((due + late_ms).min(until_ms));
            let at_ms = self.now_ms;
            self.act(|stage| stage.wake(at_ms));
            assert!(self.stage.deadline().is_none_or(|due| due > at_ms));
        }
        self.now_ms = until_ms;
    }

    fn act(&mut self, act: impl FnOnce(&mut Stage) -> Effects) {
        let read = Actor::decode(Side::Agent, "a1", &self.stage.encoded()).unwrap();
        assert_eq!(read, self.stage.actor);
        self.stage.actor = read;
        for effect in act(&mut self.stage) {
            if let Effect::Emit { id, output } = effect {
                assert!(self.ids.insert(id.clone()), "{id} came twice");
                self.note(&id, output);
            }
        }
    }

    fn note(&mut self, id: &str, output: Output) {
        let now_ms = self.now_ms;
        match output {
            Output::AlertRaised(alert) => {
                let seen = self.alerts.entry(alert.alert_id.clone()).or_default();
                let came_ms = *seen.came_ms.get_or_insert(now_ms);
                assert_eq!(seen.raised_ms.replace(now_ms), None, "raised twice");
                assert!(self.hold || now_ms == came_ms);
                seen.say(alert, now_ms);
            }
            Output::AlertUpdated(alert) => {
                let seen = self.alerts.get_mut(&alert.alert_id).unwrap();
                assert!(!self.hold && seen.raised_ms.is_some());
                seen.updates += 1;
                assert_eq!(id, format!("{}:u{}", alert.alert_id, seen.updates));
                seen.say(alert, now_ms);
            }
            Output::EnrichmentRequested(request) => {
                let seen = self.alerts.entry(request.alert_id).or_default();
                let came_ms = *seen.came_ms.get_or_insert(now_ms);
                assert!(now_ms < came_ms + FOR_MS, "asked after the end");
                let [field] = &request.fields[..] else {
                    panic!("one field a question");
                };
                let number = match seen.questions.get(field) {
                    None => 1,
                    Some((number, at_ms, answered)) => {
                        assert!(*answered, "two questions at once");
                        assert!(now_ms - at_ms >= EVERY_MS, "too early");
                        number + 1
                    }
                };
                seen.questions
                    .insert(field.clone(), (number, now_ms, false));
            }
            other => panic!("{other:?}"),
        }
    }

    fn take(&mut self, step: &Step) {
        let now_ms = self.now_ms;
        match *step {
            Step::Survey {
                id,
                revision,
                voice,
            } => {
                let channel = if voice { "voice" } else { "chat" };
                let fields = json!({ "csat": 1, "revision": revision, "channel": channel });
                self.act(|stage| stage.apply(now_ms, survey(&id.to_string(), fields)));
            }
            Step::Answer {
                id,
                summary,
                back,
                status,
                text,
            } => {
                let field = if summary { "summary" } else { "recording" };
                let alert_id = format!("low_csat:{id}");
                let seen = self.alerts.get_mut(&alert_id);
                let last = seen.and_then(|seen| seen.questions.get_mut(field));
                let number = match last {
                    None => 1,
                    Some((number, _, answered)) => {
                        *answered |= back == 0;
                        *number - back
                    }
                };
                let response = if text {
                    json!({ "url": "u", "summary": "s" })
                } else {
                    json!({})
                };
                let id = format!("enrich:{alert_id}:{field}:{number}");
                let body = outcome(OutcomeKind::Enrichment, "agent/a1", &id, status, response);
                self.act(|stage| stage.apply(now_ms, body));
            }
        }
    }
}

impl Seen {
    /// What an alert says never becomes less, and not after its end.
    fn say(&mut self, alert: Alert, now_ms: i64) {
        let came_ms = self.came_ms.unwrap();
        assert!(now_ms <= came_ms + FOR_MS + LATE_MS, "said after its end");
        assert_eq!(alert.raised_at.0, NOW_MS + came_ms);
        let is_found = alert.recording.status == RecordingStatus::Available;
        assert_eq!(is_found, alert.recording.url.is_some());
        let is_missing = |name: &str| alert.missing.iter().any(|missing| missing == name);
        assert_eq!(is_found, !is_missing("recording"));
        if let Some(last) = &self.last {
            assert!(last.recording.url.is_none() || last.recording == alert.recording);
            assert!(last.summary.is_none() || last.summary == alert.summary);
        }
        self.last = Some(alert);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn s2_08_s2_12_no_alert_is_lost_and_each_comes_to_an_end(
        hold in any::<bool>(),
        steps in prop::collection::vec((step(), 0i64..20_000, prop_oneof![Just(0), 0..=LATE_MS]), 1..60),
    ) {
        let mut run = Run::new(hold);
        let mut responses = BTreeSet::new();
        for (step, passed_ms, late_ms) in &steps {
            run.pass(*passed_ms, *late_ms);
            run.take(step);
            if let Step::Survey { id, .. } = step {
                responses.insert(format!("low_csat:{id}"));
            }
        }
        run.pass(FOR_MS + LATE_MS, LATE_MS);
        let raised = run.alerts.iter().filter(|(_, seen)| seen.raised_ms.is_some());
        let raised: BTreeSet<String> = raised.map(|(id, _)| id.clone()).collect();
        prop_assert_eq!(raised, responses);
        prop_assert_eq!(run.stage.deadline(), None);
        // At its end an alert says what became of its recording: the last word is never `pending` by omission.
        for seen in run.alerts.values().filter(|_| !hold) {
            let last = seen.last.as_ref().unwrap();
            if last.recording.status == RecordingStatus::Pending {
                prop_assert!(seen.updates > 0, "never said to be final");
            }
        }
        // Nothing follows, whatever comes late.
        let said = run.ids.len();
        for (step, ..) in steps.iter().filter(|(step, ..)| matches!(step, Step::Answer { .. })) {
            run.take(step);
        }
        prop_assert_eq!(run.ids.len(), said);
    }
}
