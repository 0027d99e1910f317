//! The mix is as promised, every event decodes in its place, and its parts fit together.

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::contract::{event::Body, key::Key, time::LogTime};

use super::*;
use crate::{
    envelope::{Incoming, decode},
    log::{RawEvent, Route},
};

const EVENTS: usize = 10_000;
const AT: EventTime = EventTime(1_795_163_400_250);

#[test]
fn the_same_seed_makes_the_same_events_and_another_seed_others() {
    assert_eq!(run(7, 500), run(7, 500));
    let ids =
        |seed| -> BTreeSet<String> { run(seed, 500).into_iter().map(|e| e.message_id).collect() };
    assert!(ids(7).is_disjoint(&ids(8)));
}

#[test]
fn every_event_decodes_and_stands_where_the_generator_says() {
    for generated in run(1, 2_000) {
        let right = Incoming::structured(generated.event.clone().into())
            .into_new_event()
            .unwrap_or_else(|reject| panic!("{reject}: {}", generated.event));
        let made = generated.clone().into_new_event();
        assert_eq!(made.destination, right.destination);
        assert_eq!(made.message_id, right.message_id);
        assert_eq!(made.payload, right.payload);
        assert_eq!(decoded(generated.clone()).type_name(), generated.event_type);
    }
}

#[test]
fn ids_are_unique_and_business_keys_too() {
    let mut seen = BTreeSet::new();
    for generated in run(3, EVENTS) {
        assert!(seen.insert(generated.message_id.clone()));
        let key = match decoded(generated) {
            Body::InteractionCompleted(e) => format!("completed {}", e.interaction_id),
            Body::InteractionStarted(e) => format!("started {}", e.interaction_id),
            Body::SurveyResponse(e) => format!("survey {} {}", e.response_id, e.revision),
            Body::EnpsResponse(e) => format!("enps {}", e.response_id),
            _ => continue,
        };
        assert!(seen.insert(key.clone()), "{key}");
    }
}

#[test]
fn the_mix_the_scores_and_the_size_are_as_promised() {
    let mut types: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut bytes, mut low, mut keywords) = (0, 0, 0);
    for generated in run(5, EVENTS) {
        *types.entry(generated.event_type).or_default() += 1;
        bytes += generated.event.len();
        if let Body::SurveyResponse(e) = decoded(generated) {
            low += usize::from(e.csat.is_some_and(|csat| csat.0 < 3));
            let comment = e.comment.unwrap_or_default().to_lowercase();
            keywords +=
                usize::from(comment.contains("lawsuit") || comment.contains("unprofessional"));
        }
    }
    let share = |name: &str| types[name] as f64 / EVENTS as f64;
    assert!(
        (0.48..0.52).contains(&share("interaction.completed")),
        "{types:?}"
    );
    assert!(
        (0.23..0.27).contains(&share("interaction.started")),
        "{types:?}"
    );
    assert!(
        (0.18..0.22).contains(&share("survey.response.created")),
        "{types:?}"
    );
    assert!(
        (0.02..0.04).contains(&share("wfm.metric.recorded")),
        "{types:?}"
    );
    assert!(
        (0.01..0.03).contains(&share("enps.response.submitted")),
        "{types:?}"
    );
    let surveys = types["survey.response.created"] as f64;
    assert!(
        (0.08..=0.12).contains(&(low as f64 / surveys)),
        "{low} of {surveys}"
    );
    assert!(
        (0.002..0.03).contains(&(keywords as f64 / surveys)),
        "{keywords} of {surveys}"
    );
    assert!(
        (760..840).contains(&(bytes / EVENTS)),
        "{} bytes",
        bytes / EVENTS
    );
}

#[test]
fn a_survey_is_about_a_contact_that_was_completed_by_the_same_agent_before_it() {
    let mut completed = BTreeMap::new();
    let mut met = 0;
    let mut surveys = 0;
    let mut corrected = 0;
    for generated in run(9, EVENTS) {
        let owner = generated.owner.clone();
        match decoded(generated) {
            Body::InteractionCompleted(e) => {
                completed.insert(e.interaction_id, owner);
            }
            Body::SurveyResponse(e) if e.revision > 0 => corrected += 1,
            Body::SurveyResponse(e) => {
                surveys += 1;
                if let Some(by) = completed.get(&e.interaction_id) {
                    met += 1;
                    assert_eq!(*by, owner);
                }
            }
            _ => {}
        }
    }
    // Those of the first minutes are about contacts before the run.
    assert!(met * 10 > surveys * 8, "{met} of {surveys}");
    assert!(corrected * 55 > surveys, "{corrected} of {surveys}");
}

#[test]
fn one_agent_and_one_customer_are_enough() {
    let mut traffic = Traffic::new(0, 0, 0);
    for _ in 0..500 {
        let generated = traffic.next_event(EventTime(0));
        let known = ["agent-0000", "bot:assistant-1"].contains(&generated.owner.as_str())
            || generated.owner.starts_with("queue:");
        assert!(known, "{}", generated.owner);
        assert!(["_", "customer-0000000"].contains(&generated.customer.as_str()));
    }
}

fn run(seed: u64, events: usize) -> Vec<GeneratedEvent> {
    let mut traffic = Traffic::new(seed, 1_000, 100_000);
    (0..events)
        .map(|n| traffic.next_event(EventTime(AT.0 + n as i64)))
        .collect()
}

/// Decoded as from the log: so the tokens lead to the partitions the data names.
fn decoded(generated: GeneratedEvent) -> Body {
    // Tokens of made-up ids hold nothing that needs encoding, so a token is its own key.
    let partition = |token: &str| match token.split_once(':') {
        Some(("bot", id)) => Key::Bot(id).partition(8),
        Some((_, id)) => Key::Queue(id).partition(8),
        None if token == "_" => Key::Unassigned.partition(8),
        None => Key::Agent(token).partition(8),
    };
    let raw = RawEvent {
        position: 1,
        time: LogTime(0),
        route: Route::Pair {
            agent: partition(&generated.owner),
            customer: partition(&generated.customer),
        },
        speaker: crate::log::Speaker::Anyone,
        headers: crate::log::Headers::Empty,
        payload: generated.event.into(),
    };
    decode(&raw, 8)
        .unwrap_or_else(|reject| panic!("{reject}"))
        .body
}
