//! What the shipped rules cost an event: the actor step as a whole may take one microsecond.
//!
//! `cargo bench -p aftercall-actors --bench rules`

use std::hint::black_box;

use aftercall_actors::{
    contract::event::{Body, Event},
    effect::Effects,
    rules::{Figures, RuleSet},
};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;

const COMMENT: &str = "The agent was friendly, but I had to wait for twenty minutes before anyone \
    picked up, and the first answer did not solve my problem. Please train people better.";

fn matching(criterion: &mut Criterion) {
    let rules = RuleSet::default_rules();
    let mut group = criterion.benchmark_group("matching");
    for (name, event, figures) in cases() {
        group.bench_function(name, |bencher| {
            let (mut hits, mut effects) = (Vec::new(), Effects::new());
            bencher.iter(|| {
                hits.clear();
                rules.matching(
                    black_box(&event),
                    black_box(&figures),
                    &mut hits,
                    &mut effects,
                );
                hits.len()
            });
        });
    }
    group.finish();
}

fn parsing(criterion: &mut Criterion) {
    let text = RuleSet::default_rules().text().to_owned();
    criterion.bench_function("parse the shipped file", |bencher| {
        bencher.iter(|| RuleSet::parse(black_box(&text), "rules.toml"));
    });
}

fn cases() -> Vec<(&'static str, Event, Figures)> {
    let agent = Figures::Agent {
        points: 120,
        responses: 8,
        detractors: 2,
        detractor_share: 0.25,
    };
    let customer = Figures::Customer {
        contacts: 2,
        contacts_7d: 2,
        sentiment: Some(0.1),
        sentiment_avg: Some(0.2),
    };
    let survey = |csat: u8, comment: Option<&str>| {
        let data = json!({
            "response_id": "r1", "interaction_id": "i1", "submitted_at": "2026-11-20T10:00:00Z",
            "csat": csat, "comment": comment, "routing": { "queue_id": "q1", "agent_id": "a1" },
        });
        Body::SurveyResponse(serde_json::from_value(data).expect("a survey"))
    };
    let completed = json!({
        "interaction_id": "i1", "channel": "voice", "queue_id": "q1", "agent_id": "a1",
        "started_at": "2026-11-20T10:00:00Z", "ended_at": "2026-11-20T10:05:00Z", "duration_s": 300.0,
        "disposition": "resolved", "sentiment": 0.1, "customer": { "customer_id": "c1" },
    });
    let completed =
        Body::InteractionCompleted(serde_json::from_value(completed).expect("a completion"));
    let started = json!({
        "interaction_id": "i1", "channel": "voice", "started_at": "2026-11-20T10:00:00Z",
    });
    let started = Body::InteractionStarted(serde_json::from_value(started).expect("a start"));
    let wfm = json!({ "agent_id": "a1", "date": "2026-11-20", "metric": "points", "value": 12.0 });
    let wfm = Body::WfmMetric(serde_json::from_value(wfm).expect("a metric"));
    let umlauts = COMMENT.replace("friendly", "freundlich, äußerst");
    let cases = vec![
        ("survey without comment", survey(4, None), agent),
        ("survey with 5 stars", survey(5, None), agent),
        (
            "survey with comment of 155 bytes",
            survey(4, Some(COMMENT)),
            agent,
        ),
        (
            "survey with comment beyond ASCII",
            survey(4, Some(&umlauts)),
            agent,
        ),
        (
            "survey that alerts",
            survey(1, Some("I will file a lawsuit.")),
            agent,
        ),
        ("completion", completed, customer),
        ("workforce metric", wfm, agent),
        ("start, which no rule listens to", started, agent),
    ];
    let event = |body| Event {
        source: "/bench".into(),
        id: "1".into(),
        body,
    };
    cases
        .into_iter()
        .map(|(name, body, figures)| (name, event(body), figures))
        .collect()
}

criterion_group!(benches, matching, parsing);
criterion_main!(benches);
