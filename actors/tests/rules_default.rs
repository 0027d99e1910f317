//! The shipped rules: what they are, and one tick each side of each of their boundaries.

use aftercall_actors::{
    contract::event::{Body, Event},
    effect::{Effect, Effects},
    rewards::programs::{Approval, OnCancelled, Program, Tier},
    rules::{Figures, RuleSet, Settings},
};
use serde_json::{Value, json};

#[test]
fn the_shipped_rules_are_right() {
    let rules = RuleSet::default_rules();
    let names: Vec<&str> = rules
        .rules()
        .iter()
        .map(|rule| rule.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "low_csat",
            "critical_keyword",
            "five_star",
            "wfm_points",
            "detractor_spike",
            "churn_risk",
            "upsell_opportunity",
            "repeat_contact",
        ]
    );
    assert_eq!(rules.version().len(), 16);
    assert_eq!(rules.text(), include_str!("../../config/rules.toml"));
}

#[test]
fn the_shipped_file_shows_every_setting_with_its_default() {
    let rules = RuleSet::default_rules();
    let programs = rules.settings().programs.clone();
    let shown = Settings {
        programs: Vec::new(),
        ..rules.settings().clone()
    };
    assert_eq!(shown, Settings::default());
    // S3.04, and switched off: without a destination, a request would lock its tier for good.
    let tier = Tier {
        name: "bronze".into(),
        threshold: 500,
        reward_type: "gift_card_25".into(),
        cap: None,
    };
    let program = Program {
        on_cancelled: OnCancelled::Hold,
        name: "recognition".into(),
        enabled: false,
        approval: Approval::OverCap,
        share: None,
        tiers: vec![tier],
    };
    assert_eq!(programs, [program]);
}

#[test]
fn the_examples_in_the_shipped_file_are_right_too() {
    let text = include_str!("../../config/rules.toml");
    let examples = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(code) if code.starts_with("[[rule]]") || code.contains(" = ") => code,
        _comment => line,
    });
    // Only from the first example on: above, keys are explained in prose.
    let at = text.find("# [[rule]]").unwrap();
    let skipped = text[..at].lines().count();
    let text: Vec<&str> = text
        .lines()
        .take(skipped)
        .chain(examples.skip(skipped))
        .collect();
    let rules = RuleSet::parse(&text.join("\n"), "examples").unwrap();
    assert_eq!(rules.rules().len(), 14);
}

#[test]
fn only_types_with_rules_are_listened_to() {
    let rules = RuleSet::default_rules();
    let listened: Vec<&str> = Body::TYPES
        .into_iter()
        .filter(|name| rules.listens(name))
        .collect();
    assert_eq!(
        listened,
        [
            "interaction.completed",
            "survey.response.created",
            "enps.response.submitted",
            "wfm.metric.recorded",
        ]
    );
}

#[test]
fn s2_04_a_score_below_three_is_low_and_three_is_not() {
    assert_eq!(
        hits(survey(json!({ "csat": 1 })), agent(0, 0)),
        ["low_csat"]
    );
    assert_eq!(
        hits(survey(json!({ "csat": 2 })), agent(0, 0)),
        ["low_csat"]
    );
    assert_eq!(hits(survey(json!({ "csat": 3 })), agent(0, 0)), NONE);
    assert_eq!(hits(survey(json!({})), agent(0, 0)), NONE);
}

#[test]
fn s2_04_a_critical_keyword_fires_whatever_the_score_and_is_named() {
    let with = |comment| json!({ "csat": 4, "comment": comment });
    assert_eq!(
        hits(survey(with("A LAWSUIT. Unprofessional!")), agent(0, 0)),
        ["critical_keyword lawsuit unprofessional"]
    );
    assert_eq!(hits(survey(with("no lawsuits here")), agent(0, 0)), NONE);
    assert_eq!(
        hits(
            survey(json!({ "csat": 2, "comment": "lawsuit" })),
            agent(0, 0)
        ),
        ["low_csat", "critical_keyword lawsuit"]
    );
}

#[test]
fn s3_03_five_stars_give_ten_points_and_four_give_none() {
    assert_eq!(
        hits(survey(json!({ "csat": 5 })), agent(0, 0)),
        ["five_star +10"]
    );
    assert_eq!(hits(survey(json!({ "csat": 4 })), agent(0, 0)), NONE);
}

#[test]
fn s3_03_points_of_the_export_count_as_they_are_rounded_half_away_from_zero() {
    let points = |metric, value| hits(wfm(metric, value), agent(0, 0));
    assert_eq!(points("points", json!(7)), ["wfm_points +7"]);
    assert_eq!(points("points", json!(2.5)), ["wfm_points +3"]);
    assert_eq!(points("points", json!(2.49)), ["wfm_points +2"]);
    assert_eq!(points("points", json!(-2.5)), ["wfm_points -3"]);
    assert_eq!(
        points("points", json!(2147483647)),
        ["wfm_points +2147483647"]
    );
    // Issue 9: what is more than can be counted is not counted as less.
    for beyond in [2_147_483_648.0, -2_147_483_649.0, 1e12, -1e12] {
        let rules = RuleSet::default_rules();
        let (found, effects) = matched(&rules, wfm("points", json!(beyond)), agent(0, 0));
        assert_eq!(found, NONE, "{beyond}");
        let why = "points are beyond -2147483648 to 2147483647".into();
        let rule = "wfm_points".into();
        assert_eq!(effects, [Effect::RuleFailed { rule, why }], "{beyond}");
    }
    assert_eq!(points("points", json!(0)), ["wfm_points"]);
    assert_eq!(points("adherence", json!(1)), NONE);
}

/// The rules that the shipped file shows behind `#`, as if they were switched on.
fn examples() -> RuleSet {
    let text = include_str!("../../config/rules.toml");
    let (mut shown, mut is_in_one) = (String::new(), false);
    for line in text.lines() {
        is_in_one = line == "# [[rule]]" || is_in_one && line.contains(" = ");
        if is_in_one {
            shown += line.strip_prefix("# ").unwrap();
            shown.push('\n');
        }
    }
    RuleSet::parse(&shown, "examples").unwrap()
}

#[test]
fn s3_03_the_examples_in_the_shipped_file_give_fixed_points_by_ranges_and_per_unit() {
    let rules = examples();
    let names: Vec<&str> = rules.rules().iter().map(|rule| &*rule.name).collect();
    assert_eq!(
        names,
        [
            "aht_compliance",
            "adherence_good",
            "adherence_best",
            "absences",
            "csat_count",
            "calls_handled"
        ]
    );
    for (metric, value, expected) in [
        ("aht_compliance", 0.899_999, &[][..]),
        ("aht_compliance", 0.9, &["aht_compliance +5"]),
        ("adherence", 0.899_999, &[]),
        ("adherence", 0.9, &["adherence_good +5"]),
        ("adherence", 0.949_999, &["adherence_good +5"]),
        ("adherence", 0.95, &["adherence_best +10"]),
        ("absence_hours", 1.0, &["absences"]),
        ("absence_hours", 1.01, &["absences -5"]),
        ("absence_hours", 4.0, &["absences -5"]),
        ("absence_hours", 4.01, &["absences -20"]),
        ("csat", 0.0, &["csat_count"]),
        ("csat", 7.0, &["csat_count +70"]),
        ("csat", 0.149, &["csat_count +1"]),
        ("csat", 0.25, &["csat_count +3"]),
        ("csat", -0.25, &["csat_count -3"]),
        ("calls_handled", 99.0, &["calls_handled +50"]),
        ("calls_handled", 98.9, &["calls_handled +49"]),
        ("calls_handled", 1_000.0, &["calls_handled +50"]),
        ("points", 1.0, &[]),
    ] {
        let found = hits_under(&rules, wfm(metric, json!(value)), agent(0, 0));
        assert_eq!(found, expected, "{metric} {value}");
    }
}

#[test]
fn s1_09_three_detractors_that_are_half_of_the_responses_are_a_spike() {
    let spike = |responses, detractors| hits(enps(0), agent(responses, detractors));
    assert_eq!(spike(6, 3), ["detractor_spike"]);
    assert_eq!(spike(3, 3), ["detractor_spike"]);
    assert_eq!(spike(2, 2), NONE);
    assert_eq!(spike(7, 3), NONE);
    assert_eq!(spike(1_000_001, 500_000), NONE);
    assert_eq!(spike(1_000_000, 500_000), ["detractor_spike"]);
}

#[test]
fn s4_02_segments_follow_disposition_contacts_and_sentiment() {
    let completed =
        |disposition, contacts, average| hits(completed(disposition), customer(contacts, average));
    assert_eq!(completed(json!("complaint"), 1, None), ["churn_risk"]);
    assert_eq!(
        completed(json!("resolved"), 3, Some(-0.01)),
        ["churn_risk", "repeat_contact"]
    );
    assert_eq!(
        completed(json!("resolved"), 3, Some(0.0)),
        ["repeat_contact"]
    );
    assert_eq!(completed(json!("resolved"), 2, Some(-0.01)), NONE);
    // Neither a disposition nor a sentiment: what does not need them still counts.
    assert_eq!(completed(Value::Null, 3, None), ["repeat_contact"]);
    assert_eq!(
        completed(Value::Null, 3, Some(-0.01)),
        ["churn_risk", "repeat_contact"]
    );
    assert_eq!(
        completed(json!("upgrade_inquiry"), 1, Some(0.3)),
        ["upsell_opportunity"]
    );
    assert_eq!(completed(json!("upgrade_inquiry"), 1, Some(0.29)), NONE);
    assert_eq!(completed(json!("upgrade_inquiry"), 1, None), NONE);
}

#[test]
fn the_agents_side_of_a_completion_has_no_rules() {
    assert_eq!(hits(completed(json!("complaint")), agent(0, 0)), NONE);
    assert_eq!(hits(survey(json!({ "csat": 1 })), customer(0, None)), NONE);
}

const NONE: [&str; 0] = [];

/// Names of the shipped rules that hold, with the keywords found and the points given.
fn hits(body: Body, figures: Figures) -> Vec<String> {
    hits_under(&RuleSet::default_rules(), body, figures)
}

fn hits_under(rules: &RuleSet, body: Body, figures: Figures) -> Vec<String> {
    let (hits, effects) = matched(rules, body, figures);
    assert_eq!(effects, []);
    hits
}

/// The same, and what was said beside it.
fn matched(rules: &RuleSet, body: Body, figures: Figures) -> (Vec<String>, Effects) {
    let event = Event {
        source: "/test".into(),
        id: "1".into(),
        body,
    };
    let (mut hits, mut effects) = (Vec::new(), Effects::new());
    rules.matching(&event, &figures, &mut hits, &mut effects);
    let shown = hits.into_iter().map(|hit| {
        let mut shown = vec![hit.rule.name.clone()];
        shown.extend(hit.keywords);
        if hit.points != 0 {
            shown.push(format!("{:+}", hit.points));
        }
        shown.join(" ")
    });
    (shown.collect(), effects)
}

fn agent(responses: u32, detractors: u32) -> Figures {
    Figures::Agent {
        points: 0,
        responses,
        detractors,
        detractor_share: f64::from(detractors) / f64::from(responses.max(1)),
    }
}

fn customer(contacts_7d: u32, sentiment_avg: Option<f64>) -> Figures {
    Figures::Customer {
        contacts: contacts_7d,
        contacts_7d,
        sentiment: None,
        sentiment_avg,
    }
}

fn survey(fields: Value) -> Body {
    let mut data = json!({
        "response_id": "r1", "interaction_id": "i1", "submitted_at": "2026-11-20T10:00:00Z",
    });
    merge(&mut data, fields);
    Body::SurveyResponse(serde_json::from_value(data).unwrap())
}

fn enps(score: u8) -> Body {
    let data = json!({
        "response_id": "r1", "agent_id": "a1", "score": score, "submitted_at": "2026-11-20T10:00:00Z",
    });
    Body::EnpsResponse(serde_json::from_value(data).unwrap())
}

fn wfm(metric: &str, value: Value) -> Body {
    let data = json!({ "agent_id": "a1", "date": "2026-11-20", "metric": metric, "value": value });
    Body::WfmMetric(serde_json::from_value(data).unwrap())
}

fn completed(disposition: Value) -> Body {
    let data = json!({
        "interaction_id": "i1", "channel": "chat", "disposition": disposition,
        "started_at": "2026-11-20T10:00:00Z", "ended_at": "2026-11-20T10:05:00Z",
    });
    Body::InteractionCompleted(serde_json::from_value(data).unwrap())
}

fn merge(into: &mut Value, fields: Value) {
    if let (Value::Object(into), Value::Object(fields)) = (into, fields) {
        into.extend(fields);
    }
}
