//! The version of the export that a reward's points came from, in what is asked of its provider (S3.06).

mod common;

use aftercall_actors::{
    contract::{event::Body, output::Output},
    effect::Effect,
    rewards::redemption::REVERSE,
};
use common::*;
use serde_json::json;

/// Points of a workday, as the export of this version has them.
fn row(date: &str, value: f64, version: Option<&str>) -> Body {
    let data = json!({
        "agent_id": "a1", "date": date, "metric": "points", "value": value, "export_version": version,
    });
    Body::WfmMetric(serde_json::from_value(data).unwrap())
}

/// What the one request says of its export.
fn version(effects: &[Effect]) -> Option<String> {
    let mut requests = effects.iter().filter_map(|effect| match effect {
        Effect::Emit {
            output: Output::RewardRequested(reward) | Output::RewardReversalRequested(reward),
            ..
        } => Some(reward.metadata.get("wfm_export_version").cloned()),
        Effect::Emit { .. } | Effect::Ignore(_) | Effect::RuleFailed { .. } => None,
    });
    let found = requests.next().expect("a request");
    assert_eq!(requests.next(), None);
    found
}

#[test]
fn s3_06_the_version_is_there_where_an_export_gave_the_points_and_only_there() {
    let v = |version: &str| Some(version.to_owned());
    let v1 = Some("v1");
    // A grant of another day does not come from the export that a later row names.
    let mut agent = rewarded();
    agent.apply(0, row("2026-11-20", 499.0, v1));
    assert_eq!(version(&agent.apply(1, points("a", 1))), v("v1"));
    let mut agent = rewarded();
    let old = adjusted("a", 500, NOW_MS - 5 * DAY_MS);
    agent.rules = common::alone();
    agent.apply(0, row("2026-11-20", 100.0, v1));
    agent.apply(1, old);
    agent.rules = enabled();
    assert_eq!(
        version(&agent.apply(2, points("b", 1))),
        None,
        "the oldest points are the grant's"
    );
    // Surveys and grants alone.
    let mut agent = rewarded();
    assert_eq!(version(&agent.apply(0, points("a", 500))), None);
    // An export that names no version.
    let mut agent = rewarded();
    assert_eq!(
        version(&agent.apply(0, row("2026-11-19", 500.0, None))),
        None
    );
}

#[test]
fn s3_06_the_version_is_known_though_the_program_was_off_when_the_points_came() {
    let mut agent = Stage::new(aftercall_actors::contract::key::Key::Agent("a1"), alone());
    agent.apply(0, row("2026-11-18", 300.0, Some("v1")));
    agent.apply(1, row("2026-11-19", 300.0, Some("v2")));
    agent.rules = enabled();
    let effects = agent.apply(2, points("a", 1));
    assert_eq!(
        version(&effects),
        Some("v2".to_owned()),
        "the newest of its exports"
    );
    // What is left came with v2; then a re-export replaces that.
    agent.apply(3, reward_outcome(&id(0), "issued"));
    agent.apply(4, row("2026-11-19", 301.0, Some("v3")));
    assert_eq!(
        version(&agent.apply(5, points("b", 399))),
        Some("v3".to_owned())
    );
}

#[test]
fn s3_06_a_claim_that_waits_and_its_reversal_say_what_the_claim_was_made_of() {
    let mut agent = Stage::new(
        aftercall_actors::contract::key::Key::Agent("a1"),
        program("approval = \"always\"\n", ""),
    );
    agent.apply(0, row("2026-11-19", 500.0, Some("v1")));
    agent.apply(1, row("2026-11-20", 10.0, Some("v2")));
    let asked = agent.apply(2, decided(&id(0), "approve"));
    assert_eq!(version(&asked), Some("v1".to_owned()));
    agent.apply(3, reward_outcome(&id(0), "issued"));
    let back = agent.apply(4, points("x", -11));
    assert_eq!(ids(&back), [format!("{}{REVERSE}", id(0))]);
    assert_eq!(version(&back), Some("v1".to_owned()));
}

#[test]
fn s3_06_points_that_came_back_to_another_workday_keep_a_version() {
    let mut agent = rewarded();
    agent.apply(0, row("2026-11-19", 500.0, Some("v1")));
    // The workday has left the window when the provider says no; its points are on the oldest that counts.
    let later = 100 * DAY_MS;
    agent.apply(later, reward_outcome(&id(0), "rejected"));
    let next = later + DAY_MS;
    let effects = agent.apply(next, adjusted("a", 1, NOW_MS + next));
    // They left with that midnight; so nothing is asked for.
    assert_eq!(ids(&effects), NONE);
    agent.apply(next + 1, adjusted("b", 500, NOW_MS + next));
    assert_eq!(agent.points(), 501);
}

#[test]
fn s3_06_versions_that_no_points_came_with_any_more_are_forgotten() {
    let mut agent = rewarded();
    for hour in 0..500i64 {
        let version = format!("hourly-{hour:04}");
        agent.apply(
            hour,
            row("2026-11-19", 1.0 + (hour % 400) as f64, Some(&version)),
        );
    }
    let encoded = agent.encoded();
    let text = String::from_utf8_lossy(&encoded);
    // Of the row that stands; and the last one that was seen.
    assert!(text.matches("hourly-").count() <= 2, "{text}");
}
