//! Rewards of one agent: threshold, lock, issue, rejection, review, approval (S3.04 to S3.09).

mod common;

use aftercall_actors::{
    contract::{
        event::{Body, OutcomeKind},
        key::Key,
    },
    effect::Ignored,
    rewards::redemption::{REVERSE, Stage as Tier, reward_id},
    rules::RuleSet,
};
use common::*;
use serde_json::{Value, json};

#[test]
fn s3_04_one_point_short_does_nothing_and_the_threshold_locks_and_requests_at_once() {
    let mut agent = rewarded();
    assert_eq!(agent.apply(0, points("a", 499)), []);
    assert!(rewards(&agent).tiers().is_empty());
    let effects = agent.apply(1_000, points("b", 1));
    let expected = json!({
        "reward_id": id(0), "program": "recognition", "agent_id": "a1", "tier": "bronze", "ordinal": 0,
        "reward_type": "gift_card_25", "points_consumed": 500,
        "transaction_timestamp": "2026-11-20T10:00:01.000Z",
        "metadata": { "source_platform": "aftercall" },
    });
    assert_eq!(ids(&effects), [id(0)]);
    assert_eq!(data(&effects), expected);
    assert!(matches!(rewards(&agent).tiers()[0].stage, Tier::Locked(_)));
    // Locked points are the agent's until the outcome.
    assert_eq!((agent.points(), rewards(&agent).held()), (500, 500));
}

#[test]
fn s3_04_points_that_arrive_while_locked_count_at_unlock_and_rewards_follow_one_another() {
    let mut agent = rewarded();
    assert_eq!(requests(&agent.apply(0, points("a", 500))), [id(0)]);
    assert_eq!(agent.apply(1, points("b", 1_499)), []);
    assert_eq!(agent.points(), 1_999);
    // One unlock, one claim: the tier is locked again in the same effects.
    assert_eq!(
        requests(&agent.apply(2, reward_outcome(&id(0), "issued"))),
        [id(1)]
    );
    assert_eq!(agent.points(), 1_499);
    assert_eq!(
        requests(&agent.apply(3, reward_outcome(&id(1), "issued"))),
        [id(2)]
    );
    assert_eq!(agent.apply(4, reward_outcome(&id(2), "issued")), []);
    assert_eq!((agent.points(), rewards(&agent).held()), (499, 0));
    assert_eq!(requests(&agent.apply(5, points("c", 1))), [id(3)]);
}

#[test]
fn s3_04_without_an_enabled_program_points_are_counted_and_nothing_is_requested() {
    let mut agent = Stage::agent();
    assert_eq!(agent.apply(0, points("a", 5_000)), []);
    assert_eq!(agent.points(), 5_000);
    assert!(rewards(&agent).is_blank());
    // Switched on, the next event that may change points claims.
    agent.rules = enabled();
    assert_eq!(requests(&agent.apply(1, points("b", -1))), [id(0)]);
}

#[test]
fn s3_04_the_kill_switch_stops_requests_and_keeps_state_and_outcomes_are_taken() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 1_200));
    agent.rules = RuleSet::default_rules();
    assert_eq!(agent.apply(1, reward_outcome(&id(0), "issued")), []);
    assert_eq!(agent.apply(2, points("b", 1)), []);
    assert_eq!((agent.points(), rewards(&agent).held()), (701, 0));
    // What is out is still taken back.
    let effects = agent.apply(3, points("c", -702));
    assert_eq!(ids(&effects), [format!("{}{REVERSE}", id(0))]);
    agent.apply(
        4,
        reward_outcome(&format!("{}{REVERSE}", id(0)), "reversed"),
    );
    agent.rules = enabled();
    assert_eq!(requests(&agent.apply(5, points("d", 1))), [id(1)]);
}

#[test]
fn s3_04_bots_and_queues_collect_points_and_get_nothing_for_them() {
    for key in [Key::Bot("a1"), Key::Queue("a1"), Key::Unassigned] {
        let mut owner = Stage::new(key, enabled());
        assert_eq!(owner.apply(0, points("a", 5_000)), []);
        let answer = owner.apply(1, reward_outcome(&id(0), "issued"));
        assert_eq!(answer, ignored(Ignored::UnknownRequest));
    }
}

#[test]
fn s3_04_of_several_tiers_reached_the_highest_is_claimed_and_each_locks_for_itself() {
    let silver =
        "[[program.tier]]\nname = \"silver\"\nthreshold = 1_000\nreward_type = \"day_off\"\n";
    let mut agent = Stage::new(Key::Agent("a1"), program("", silver));
    let silver = |ordinal| reward_id("recognition", "a1", "silver", ordinal);
    assert_eq!(requests(&agent.apply(0, points("a", 999))), [id(0)]);
    // 499 are free; a thousand more are silver's, and 499 stay.
    assert_eq!(requests(&agent.apply(1, points("b", 1_000))), [silver(0)]);
    assert_eq!((agent.points(), rewards(&agent).held()), (1_999, 1_500));
    assert_eq!(
        requests(&agent.apply(2, reward_outcome(&id(0), "issued"))),
        NONE
    );
    let one_more = agent.apply(3, points("c", 1));
    assert_eq!(
        requests(&one_more),
        [id(1)],
        "silver is locked, bronze is not"
    );
}

#[test]
fn s3_06_the_export_points_came_from_goes_with_the_request() {
    let mut agent = rewarded();
    let row = |date: &str, value: f64, version: &str| {
        let data = json!({
            "agent_id": "a1", "date": date, "metric": "points", "value": value, "export_version": version,
        });
        Body::WfmMetric(serde_json::from_value(data).unwrap())
    };
    agent.apply(0, row("2026-11-18", 300.0, "r1"));
    agent.apply(1, row("2026-11-19", 10.0, "r2"));
    let effects = agent.apply(2, survey("s1", json!({ "csat": 5 })));
    assert_eq!(effects, []);
    let effects = agent.apply(3, points("a", 180));
    let metadata = json!({ "source_platform": "aftercall", "wfm_export_version": "r2" });
    assert_eq!(data(&effects)["metadata"], metadata);
}

#[test]
fn s3_06_an_export_is_forgotten_with_the_last_of_the_window() {
    let mut agent = rewarded();
    let row = json!({
        "agent_id": "a1", "date": "2026-11-20", "metric": "points", "value": 1, "export_version": "r1",
    });
    agent.apply(0, Body::WfmMetric(serde_json::from_value(row).unwrap()));
    let later = 91 * DAY_MS;
    assert!(!agent.is_blank(later - 10 * HOUR_MS - 1));
    assert!(agent.is_blank(later - 10 * HOUR_MS));
    let effects = agent.apply(later, adjusted("a", 500, NOW_MS + later));
    assert_eq!(
        data(&effects)["metadata"],
        json!({ "source_platform": "aftercall" })
    );
}

#[test]
fn s3_07_a_rejection_frees_the_points_alerts_and_is_not_asked_again_at_once() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 500));
    let effects = agent.apply(1_000, reward_outcome(&id(0), "rejected"));
    let alert_id = format!("reward_rejected:{}", id(0));
    assert_eq!(ids(&effects), [alert_id.as_str()]);
    let summary = format!(
        "Reward {} (gift_card_25 for 500 points, tier bronze of program recognition) was rejected by its \
         provider; its points are free again.",
        id(0)
    );
    let expected = json!({
        "alert_id": alert_id, "rule": "reward_rejected", "severity": "warning",
        "audience": "administration", "owner": "agent/a1", "agent_id": "a1", "keywords": [],
        "recording": { "status": "unavailable" }, "missing": [],
        "summary": summary, "raised_at": "2026-11-20T10:00:01.000Z",
    });
    assert_eq!(data(&effects), expected);
    assert_eq!((agent.points(), rewards(&agent).held()), (500, 0));
    // Until midnight, whatever arrives; then with new points only, not with lost ones.
    let midnight = 14 * HOUR_MS;
    assert_eq!(agent.apply(2_000, points("b", 10)), []);
    assert_eq!(agent.apply(midnight - 1, points("c", 10)), []);
    assert_eq!(agent.apply(midnight, points("d", -10)), []);
    assert_eq!(
        requests(&agent.apply(midnight + 1, points("e", 1))),
        [id(1)]
    );
}

#[test]
fn s3_07_what_became_of_an_alert_about_a_reward_is_taken_for_what_it_is() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 500));
    agent.apply(1, reward_outcome(&id(0), "rejected"));
    let alert = |alert_id: &str| {
        outcome(
            OutcomeKind::Alert,
            "agent/a1",
            alert_id,
            "delivered",
            Value::Null,
        )
    };
    assert_eq!(
        agent.apply(2, alert(&format!("reward_rejected:{}", id(0)))),
        []
    );
    for unknown in [
        format!("reward_rejected:{}", id(1)),
        format!("low_csat:{}", id(0)),
    ] {
        assert_eq!(
            agent.apply(3, alert(&unknown)),
            ignored(Ignored::UnknownRequest)
        );
    }
}

#[test]
fn s3_07_a_person_opens_a_rejected_tier_at_once() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 500));
    agent.apply(1, reward_outcome(&id(0), "rejected"));
    assert_eq!(
        requests(&agent.apply(2, decided(&id(0), "approve"))),
        [id(1)]
    );
    // Told again, it is about a reward of the past.
    assert_eq!(
        agent.apply(3, decided(&id(0), "approve")),
        ignored(Ignored::UnknownRequest)
    );
}

#[test]
fn s3_08_needs_review_parks_alerts_once_and_a_later_outcome_resolves_it() {
    for (word, balance) in [("issued", 0), ("rejected", 500)] {
        let mut agent = rewarded();
        agent.apply(0, points("a", 500));
        let effects = agent.apply(1, reward_outcome(&id(0), "needs_review"));
        assert_eq!(ids(&effects), [format!("reward_needs_review:{}", id(0))]);
        assert_eq!(data(&effects)["severity"], "critical");
        let again = agent.apply(2, reward_outcome(&id(0), "needs_review"));
        assert_eq!(again, ignored(Ignored::LateOutcome));
        assert_eq!((agent.points(), rewards(&agent).held()), (500, 500));
        let effects = agent.apply(3, reward_outcome(&id(0), word));
        assert_eq!(ids(&effects).len(), usize::from(word == "rejected"));
        assert_eq!((agent.points(), rewards(&agent).held()), (balance, 0));
    }
}

#[test]
fn s3_08_a_person_resolves_what_needs_review() {
    for (decision, balance) in [("approve", 0), ("reject", 500)] {
        let mut agent = rewarded();
        agent.apply(0, points("a", 500));
        let early = agent.apply(1, decided(&id(0), decision));
        assert_eq!(
            early,
            ignored(Ignored::LateOutcome),
            "while it is being asked for"
        );
        agent.apply(2, reward_outcome(&id(0), "needs_review"));
        assert_eq!(agent.apply(3, decided(&id(0), decision)), []);
        assert_eq!((agent.points(), rewards(&agent).held()), (balance, 0));
    }
}

#[test]
fn s3_08_a_word_nobody_knows_is_for_a_person_to_read() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 500));
    let effects = agent.apply(1, reward_outcome(&id(0), "PENDING"));
    assert_eq!(ids(&effects), [format!("reward_needs_review:{}", id(0))]);
}

#[test]
fn s3_08_a_reward_issued_after_a_person_declined_it_is_paid_for() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 700));
    agent.apply(1, reward_outcome(&id(0), "needs_review"));
    agent.apply(2, decided(&id(0), "reject"));
    assert_eq!(agent.points(), 700);
    let late = agent.apply(3, reward_outcome(&id(0), "issued"));
    assert_eq!(ids(&late), [format!("reward_issued_after_all:{}", id(0))]);
    assert_eq!(agent.points(), 200);
}

#[test]
fn s3_09_an_unknown_outcome_keeps_the_tier_locked_however_long_it_takes() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 500));
    // The workday the points came from has long left; the claim keeps them.
    for day in [30, 91, 400] {
        assert_eq!(
            agent.apply(
                day * DAY_MS,
                adjusted(&day.to_string(), 0, NOW_MS + day * DAY_MS)
            ),
            []
        );
        assert_eq!((agent.points(), rewards(&agent).held()), (500, 500));
    }
    assert_eq!(
        agent.apply(401 * DAY_MS, reward_outcome(&id(0), "issued")),
        []
    );
    assert_eq!(agent.points(), 0);
}

#[test]
fn s3_05_repeated_late_and_unknown_outcomes_change_nothing_and_are_counted() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 500));
    assert_eq!(
        agent.apply(1, reward_outcome("else", "issued")),
        ignored(Ignored::UnknownRequest)
    );
    assert_eq!(
        agent.apply(1, reward_outcome(&id(1), "issued")),
        ignored(Ignored::UnknownRequest)
    );
    let reversal = format!("{}{REVERSE}", id(0));
    assert_eq!(
        agent.apply(1, reward_outcome(&reversal, "reversed")),
        ignored(Ignored::UnknownRequest)
    );
    agent.apply(2, reward_outcome(&id(0), "issued"));
    let after = agent.encoded();
    for (output, status) in [
        (&id(0), "issued"),
        (&reversal, "needs_review"),
        (&reversal, "refused"),
    ] {
        assert_eq!(
            agent.apply(3, reward_outcome(output, status)),
            ignored(Ignored::LateOutcome)
        );
        assert_eq!(agent.encoded(), after);
    }
}

#[test]
fn s3_13_points_of_a_reward_leave_the_window_oldest_first_and_expiry_never_takes_them_twice() {
    let mut agent = rewarded();
    let day = |ago: i64, points: f64| {
        let date = if ago == 90 {
            "2026-08-22"
        } else {
            "2026-08-23"
        };
        wfm(date, "points", points, None)
    };
    agent.apply(0, day(90, 300.0));
    agent.apply(0, day(89, 300.0));
    agent.apply(0, reward_outcome(&id(0), "issued"));
    assert_eq!(agent.points(), 100);
    // The first of the two days leaves with nothing, the second with the 100 that are left of it.
    let tick = |n: i64| points(&format!("tick{n}"), 0);
    agent.apply(14 * HOUR_MS, tick(0));
    assert_eq!(agent.points(), 100);
    agent.apply(38 * HOUR_MS - 1, tick(1));
    assert_eq!(agent.points(), 100);
    agent.apply(38 * HOUR_MS, tick(2));
    assert_eq!(agent.points(), 0);
}

#[test]
fn s3_13_a_row_sent_again_and_another_queue_reset_nothing() {
    let mut agent = rewarded();
    agent.apply(0, wfm("2026-11-19", "points", 600.0, None));
    agent.apply(1, reward_outcome(&id(0), "issued"));
    let before = agent.encoded();
    let again = agent.apply(2, wfm("2026-11-19", "points", 600.0, None));
    assert_eq!(again, ignored(Ignored::Duplicate));
    agent.apply(3, completed("i9", 0, json!({ "queue_id": "another" })));
    assert_eq!(agent.encoded(), before);
    // A correction of a day that was paid for counts as its difference.
    assert_eq!(agent.apply(4, wfm("2026-11-19", "points", 650.0, None)), []);
    assert_eq!(agent.points(), 150);
}

#[test]
fn s3_05_an_agent_who_ever_claimed_is_never_blank_and_its_ordinals_go_on() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 500));
    agent.apply(1, reward_outcome(&id(0), "issued"));
    assert!(!agent.is_blank(10_000 * DAY_MS));
    let later = 1_000 * DAY_MS;
    let grant = adjusted("later", 500, NOW_MS + later);
    assert_eq!(requests(&agent.apply(later, grant)), [id(1)]);
}

#[test]
fn s3_03_conditions_see_the_balance_with_what_is_locked() {
    let rule = "[[rule]]\nname = \"rich\"\non = \"enps.response.submitted\"\nwhen = \"agent.points == 500\"\n\
                coaching = { reason = \"rich\" }\n";
    let text = enabled().text().to_owned() + rule;
    let rules = RuleSet::parse(&text, "test").unwrap();
    let mut agent = Stage::new(Key::Agent("a1"), rules);
    agent.apply(0, points("a", 500));
    let effects = agent.apply(1, enps("e1", 9, 0));
    assert_eq!(ids(&effects), ["enps:e1", "coaching:rich:e1"]);
}
