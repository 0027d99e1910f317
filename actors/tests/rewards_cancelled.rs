//! Rewards that were issued and are then cancelled, bounce or fail at their provider; and those that were refused and
//! are issued all the same (S3.08, S3.12, S3.16).

mod common;

use aftercall_actors::{
    contract::{
        key::Key,
        output::{Audience, Output, Severity},
    },
    effect::{Effect, Ignored},
    rewards::{
        points::Workday,
        redemption::{IssuedStatus, REVERSE},
        statement::{RewardState, Verdict},
    },
};
use common::*;

const FREE: &str = "on_cancelled = \"free\"\napproval = \"none\"\n";
const HOLD: &str = "on_cancelled = \"hold\"\napproval = \"none\"\n";

/// Words of providers whose reward the agent does not have.
const GONE: [&str; 5] = ["cancelled", "canceled", "bounced", "failed", "reversed"];

/// An agent whose first reward is issued, with so many points left.
fn issued(keys: &str, left: i32) -> Stage {
    let mut agent = Stage::new(Key::Agent("a1"), program(keys, ""));
    assert_eq!(requests(&agent.apply(0, points("a", 500 + left))), [id(0)]);
    assert_eq!(agent.apply(1, reward_outcome(&id(0), "issued")), []);
    assert_eq!(agent.points(), i64::from(left));
    agent
}

fn standing(agent: &Stage) -> Vec<IssuedStatus> {
    let given = rewards(agent).issued().iter();
    given.map(|given| given.standing).collect()
}

fn cancelled() -> String {
    format!("reward_cancelled:{}", id(0))
}

fn after_all() -> String {
    format!("reward_issued_after_all:{}", id(0))
}

fn on(day: i64, id: &str, points: i32) -> (i64, aftercall_actors::contract::event::Body) {
    let after_ms = day * DAY_MS;
    (after_ms, adjusted(id, points, NOW_MS + after_ms))
}

#[test]
fn s3_16_a_reward_that_its_provider_cancels_is_held_for_a_person_unless_the_program_says_otherwise()
{
    for keys in ["", HOLD] {
        for word in GONE {
            let mut agent = issued(keys, 10);
            let effects = agent.apply(2, reward_outcome(&id(0), word));
            assert_eq!(requests(&effects), [cancelled()], "{word}");
            let alert = data(&effects);
            assert_eq!(alert["severity"], "critical");
            let summary = alert["summary"].as_str().unwrap();
            assert!(summary.contains(&format!("says {word} of it")), "{summary}");
            // The points are neither free nor taken twice.
            assert_eq!((agent.points(), rewards(&agent).held()), (10, 0));
            assert_eq!(standing(&agent), [IssuedStatus::Held { owed: false }]);
            // Said again, nothing new.
            let again = agent.apply(3, reward_outcome(&id(0), word));
            assert_eq!(again, ignored(Ignored::LateOutcome));
        }
    }
}

#[test]
fn s3_16_what_does_not_go_with_issued_is_held_whatever_the_program_frees() {
    for word in ["rejected", "needs_review", "FLAGGED"] {
        for keys in [FREE, HOLD] {
            let mut agent = issued(keys, 0);
            let effects = agent.apply(2, reward_outcome(&id(0), word));
            assert_eq!(requests(&effects), [cancelled()], "{word}");
            assert_eq!(standing(&agent), [IssuedStatus::Held { owed: false }]);
        }
    }
}

#[test]
fn s3_16_a_program_that_frees_gives_the_points_back_and_tells() {
    for word in GONE {
        let mut agent = issued(FREE, 10);
        let effects = agent.apply(2, reward_outcome(&id(0), word));
        assert_eq!(requests(&effects), [cancelled()], "{word}");
        assert_eq!(data(&effects)["severity"], "warning");
        assert_eq!(agent.points(), 510);
        let again = agent.apply(3, reward_outcome(&id(0), word));
        assert_eq!(again, ignored(Ignored::LateOutcome));
        assert_eq!(agent.points(), 510);
    }
}

#[test]
fn s3_16_a_tier_whose_reward_was_cancelled_is_claimed_again_with_new_points_on_a_later_workday() {
    let mut agent = issued(FREE, 10);
    agent.apply(2, reward_outcome(&id(0), "bounced"));
    // Else a provider whose cards all bounce would be asked for one after the other.
    assert_eq!(agent.apply(3, points("b", 1)), []);
    assert_eq!(agent.deadline(), None);
    let (day, nothing) = on(1, "c", -1);
    assert_eq!(agent.apply(day, nothing), []);
    let (day, more) = on(1, "d", 1);
    assert_eq!(requests(&agent.apply(day + 1, more)), [id(1)]);
    // And once that is issued, as ever.
    let (day, more) = on(1, "e", 500);
    assert_eq!(agent.apply(day + 2, more), []);
    let next = agent.apply(day + 3, reward_outcome(&id(1), "issued"));
    assert_eq!(requests(&next), [id(2)]);
}

#[test]
fn s3_16_a_person_lets_a_cancelled_rewards_tier_be_claimed_again_at_once() {
    let mut agent = issued(FREE, 0);
    agent.apply(2, reward_outcome(&id(0), "bounced"));
    assert_eq!(
        requests(&agent.apply(3, decided(&id(0), "approve"))),
        [id(1)]
    );
    let again = agent.apply(4, decided(&id(0), "approve"));
    assert_eq!(again, ignored(Ignored::LateOutcome));
}

#[test]
fn s3_16_a_person_decides_about_a_reward_that_is_held() {
    // The agent has it.
    let mut agent = issued(HOLD, 10);
    agent.apply(2, reward_outcome(&id(0), "bounced"));
    let reversal = format!("{}{REVERSE}", id(0));
    let other = agent.apply(3, decided(&reversal, "approve"));
    assert_eq!(other, ignored(Ignored::UnknownRequest), "no reversal waits");
    assert_eq!(agent.apply(4, decided(&id(0), "approve")), []);
    assert_eq!(
        (agent.points(), standing(&agent)),
        (10, vec![IssuedStatus::Issued])
    );
    // And bounces again: that is told of under an id of its own.
    let again = agent.apply(5, reward_outcome(&id(0), "bounced"));
    assert_eq!(requests(&again), [cancelled() + ":2"]);
    // The agent does not.
    assert_eq!(agent.apply(6, decided(&id(0), "reject")), []);
    assert_eq!(agent.points(), 510);
    let waits = Some(Workday(20_777));
    assert_eq!(
        standing(&agent),
        [IssuedStatus::Cancelled { owed: false, waits }]
    );
}

#[test]
fn s3_16_issued_again_after_a_bounce_restores() {
    let mut agent = issued(HOLD, 10);
    agent.apply(2, reward_outcome(&id(0), "bounced"));
    let back = agent.apply(3, reward_outcome(&id(0), "issued"));
    assert_eq!(requests(&back), [after_all() + ":2"]);
    assert_eq!(
        (agent.points(), standing(&agent)),
        (10, vec![IssuedStatus::Issued])
    );
    // A plain repetition is one.
    let again = agent.apply(4, reward_outcome(&id(0), "issued"));
    assert_eq!(again, ignored(Ignored::LateOutcome));

    // Its points had come back: they are taken again.
    let mut agent = issued(FREE, 10);
    agent.apply(2, reward_outcome(&id(0), "bounced"));
    let back = agent.apply(3, reward_outcome(&id(0), "issued"));
    assert_eq!(requests(&back), [after_all() + ":2"]);
    assert_eq!(
        (agent.points(), standing(&agent)),
        (10, vec![IssuedStatus::Issued])
    );
}

#[test]
fn s3_12_s3_16_points_that_went_into_another_reward_meanwhile_are_asked_back() {
    let mut agent = issued(FREE, 0);
    agent.apply(2, reward_outcome(&id(0), "bounced"));
    agent.apply(3, decided(&id(0), "approve"));
    agent.apply(4, reward_outcome(&id(1), "issued"));
    assert_eq!(agent.points(), 0);
    // Two cards for the points of one: the later one is taken back.
    let back = agent.apply(5, reward_outcome(&id(0), "issued"));
    let reversal = format!("{}{REVERSE}", id(1));
    assert_eq!(requests(&back), [after_all() + ":2", reversal.clone()]);
    assert_eq!(agent.apply(6, reward_outcome(&reversal, "reversed")), []);
    assert_eq!(
        (agent.points(), standing(&agent)),
        (0, vec![IssuedStatus::Issued, IssuedStatus::Reversed])
    );
}

#[test]
fn s3_12_s3_16_a_lack_waits_for_the_decision_and_is_settled_with_it() {
    for (decision, points_after, said) in [
        ("approve", -1, vec![format!("{}{REVERSE}", id(0))]),
        ("reject", 499, vec![]),
    ] {
        let mut agent = issued(HOLD, 0);
        agent.apply(2, reward_outcome(&id(0), "cancelled"));
        // Its points may come back, so nothing is taken back for now.
        assert_eq!(agent.apply(3, points("x", -1)), []);
        let decided = agent.apply(4, decided(&id(0), decision));
        assert_eq!(requests(&decided), said);
        assert_eq!(agent.points(), points_after);
    }
}

#[test]
fn s3_12_what_is_asked_back_and_cancelled_by_its_provider_is_taken_back() {
    for (word, debt, stands) in [
        ("cancelled", 0, IssuedStatus::Reversed),
        ("reversed", 0, IssuedStatus::Reversed),
        // Not to have arrived is not to be taken back: the answer to that is waited for.
        ("bounced", 0, IssuedStatus::Reversing),
    ] {
        let mut agent = issued(HOLD, 0);
        agent.apply(2, points("x", -30));
        agent.apply(3, reward_outcome(&id(0), word));
        assert_eq!(standing(&agent), [stands], "{word}");
        assert_eq!(rewards(&agent).debt(), debt);
    }
    // Refused first.
    let mut agent = issued(HOLD, 0);
    let reversal = format!("{}{REVERSE}", id(0));
    agent.apply(2, points("x", -30));
    agent.apply(3, reward_outcome(&reversal, "refused"));
    assert_eq!((agent.points(), rewards(&agent).debt()), (-30, 30));
    let held = agent.apply(4, reward_outcome(&id(0), "bounced"));
    assert_eq!(requests(&held), [cancelled()]);
    assert_eq!(standing(&agent), [IssuedStatus::Held { owed: true }]);
    // Its points pay the debt.
    assert_eq!(agent.apply(5, decided(&id(0), "reject")), []);
    assert_eq!((agent.points(), rewards(&agent).debt()), (470, 0));
}

#[test]
fn s3_12_a_reversal_is_asked_for_once_whatever_is_said_in_between() {
    let mut agent = issued(HOLD, 0);
    let reversal = format!("{}{REVERSE}", id(0));
    assert_eq!(
        requests(&agent.apply(2, points("x", -30))),
        std::slice::from_ref(&reversal)
    );
    agent.apply(3, reward_outcome(&reversal, "refused"));
    agent.apply(4, reward_outcome(&id(0), "bounced"));
    agent.apply(5, decided(&id(0), "approve"));
    assert_eq!(standing(&agent), [IssuedStatus::Debt]);
    assert_eq!(
        agent.apply(6, points("y", -30)),
        [],
        "nothing is left to ask back"
    );
}

#[test]
fn s3_16_a_claim_is_not_free_because_its_order_is_cancelled_while_another_attempt_may_be_out() {
    for word in GONE {
        for keys in [FREE, HOLD] {
            let mut agent = Stage::new(Key::Agent("a1"), program(keys, ""));
            agent.apply(0, points("a", 500));
            let effects = agent.apply(1, reward_outcome(&id(0), word));
            assert_eq!(
                requests(&effects),
                [format!("reward_needs_review:{}", id(0))]
            );
            // However often it is said.
            let again = agent.apply(2, reward_outcome(&id(0), word));
            assert_eq!(again, ignored(Ignored::LateOutcome));
            assert_eq!((agent.points(), rewards(&agent).held()), (500, 500));
        }
    }
}

#[test]
fn s3_08_s3_16_only_an_explicit_no_leads_to_another_id() {
    // Whatever the destination says that is no `rejected`, however many days and points pass.
    for word in [
        "needs_review",
        "failed",
        "unavailable",
        "error",
        "REJECTED",
        "refused",
        "409",
    ] {
        let mut agent = rewarded();
        agent.apply(0, points("a", 500));
        agent.apply(1, reward_outcome(&id(0), word));
        for day in 1..5 {
            let (after_ms, more) = on(day, &day.to_string(), 500);
            assert_eq!(agent.apply(after_ms, more), [], "{word}");
        }
        let tiers = rewards(&agent).tiers();
        assert_eq!((tiers[0].claimed, rewards(&agent).held()), (1, 500));
    }
    // The provider's own, and a person's.
    for no in [
        reward_outcome(&id(0), "rejected"),
        decided(&id(0), "reject"),
    ] {
        let mut agent = rewarded();
        agent.apply(0, points("a", 500));
        agent.apply(1, reward_outcome(&id(0), "needs_review"));
        agent.apply(2, no);
        let (day, more) = on(1, "b", 1);
        assert_eq!(requests(&agent.apply(day, more)), [id(1)]);
    }
}

#[test]
fn s3_16_a_rejected_claim_that_was_claimed_again_and_is_then_issued_is_paid_for_and_told_of() {
    let claimed_again = || {
        let mut agent = rewarded();
        agent.apply(0, points("a", 500));
        agent.apply(1, reward_outcome(&id(0), "rejected"));
        let (day, more) = on(1, "b", 1);
        assert_eq!(requests(&agent.apply(day, more)), [id(1)]);
        agent
    };
    let late = |agent: &mut Stage| agent.apply(2 * DAY_MS, reward_outcome(&id(0), "issued"));
    // While the second is out: nothing is lacking before that is issued too.
    let mut agent = claimed_again();
    let effects = late(&mut agent);
    assert_eq!(requests(&effects), [after_all()]);
    assert_eq!(agent.points(), 1);
    let second = agent.apply(2 * DAY_MS + 1, reward_outcome(&id(1), "issued"));
    assert_eq!(requests(&second), [format!("{}{REVERSE}", id(1))]);
    assert_eq!(agent.points(), -499);
    // Once more is a repetition.
    let again = agent.apply(2 * DAY_MS + 2, reward_outcome(&id(0), "issued"));
    assert_eq!(again, ignored(Ignored::LateOutcome));
    // After it.
    let mut agent = claimed_again();
    agent.apply(DAY_MS + 1, reward_outcome(&id(1), "issued"));
    let effects = late(&mut agent);
    assert_eq!(
        requests(&effects),
        [after_all(), format!("{}{REVERSE}", id(0))]
    );
    // Other words about it change nothing.
    for word in ["rejected", "needs_review", "cancelled"] {
        let mut agent = claimed_again();
        let said = agent.apply(2 * DAY_MS, reward_outcome(&id(0), word));
        assert_eq!(said, ignored(Ignored::UnknownRequest));
    }
}

#[test]
fn s3_16_a_claim_that_a_person_let_be_claimed_again_is_known_when_it_is_issued() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 500));
    agent.apply(1, reward_outcome(&id(0), "rejected"));
    assert_eq!(
        requests(&agent.apply(2, decided(&id(0), "approve"))),
        [id(1)]
    );
    let late = agent.apply(3, reward_outcome(&id(0), "issued"));
    assert_eq!(requests(&late), [after_all()]);
    // It is known for the window, as what was issued.
    for (days, known) in [(89, true), (91, false)] {
        let mut agent = rewarded();
        agent.apply(0, points("a", 500));
        agent.apply(1, reward_outcome(&id(0), "rejected"));
        agent.apply(2, decided(&id(0), "approve"));
        let (day, more) = on(days, "b", 1);
        agent.apply(day, more);
        let late = agent.apply(day + 1, reward_outcome(&id(0), "issued"));
        let alerted = late.iter().any(|effect| {
            matches!(effect, Effect::Emit { output: Output::AlertRaised(alert), .. }
                if alert.rule == "reward_issued_after_all" && alert.severity == Severity::Warning)
        });
        assert_eq!(alerted, known, "{days}");
    }
}

#[test]
fn s3_16_outcomes_of_what_is_told_are_known() {
    let mut agent = issued(HOLD, 0);
    agent.apply(2, reward_outcome(&id(0), "bounced"));
    agent.apply(3, reward_outcome(&id(0), "issued"));
    agent.apply(4, reward_outcome(&id(0), "bounced"));
    use aftercall_actors::contract::event::OutcomeKind::Alert;
    for alert in [cancelled(), cancelled() + ":2", after_all() + ":2"] {
        let body = outcome(
            Alert,
            "agent/a1",
            &alert,
            "delivered",
            serde_json::Value::Null,
        );
        assert_eq!(agent.apply(5, body), [], "{alert}");
    }
}

#[test]
fn s3_16_a_person_is_told_what_can_be_decided() {
    let judged = |agent: &Stage, id: &str, decision: &str| {
        let aftercall_actors::contract::event::Body::RewardDecided(decided) = decided(id, decision)
        else {
            panic!("a decision");
        };
        let aftercall_actors::actor::Actor::Agent(actor) = &agent.actor else {
            panic!("an agent");
        };
        let now = aftercall_actors::contract::time::LogTime(NOW_MS + 10);
        let judgement = actor.judge(now, &agent.rules, &decided).unwrap();
        (judgement.state, judgement.verdict)
    };
    let reversal = format!("{}{REVERSE}", id(0));
    let mut agent = issued(HOLD, 0);
    agent.apply(2, reward_outcome(&id(0), "bounced"));
    for decision in ["approve", "reject"] {
        let found = judged(&agent, &id(0), decision);
        assert_eq!(found, (RewardState::Held, Verdict::Taken));
        let found = judged(&agent, &reversal, decision);
        assert_eq!(found, (RewardState::Held, Verdict::NotWaiting));
    }
    agent.apply(3, decided(&id(0), "reject"));
    let state = RewardState::Cancelled;
    assert_eq!(judged(&agent, &id(0), "approve"), (state, Verdict::Taken));
    assert_eq!(
        judged(&agent, &id(0), "reject"),
        (state, Verdict::NotWaiting)
    );
    assert_eq!(
        judged(&agent, &reversal, "approve"),
        (state, Verdict::NotWaiting)
    );
    agent.rules = program("enabled = false\n", "");
    assert_eq!(judged(&agent, &id(0), "approve"), (state, Verdict::Stopped));
}

#[test]
fn s3_16_alerts_say_whom_they_are_for() {
    let audience = |effects: &[Effect]| {
        let alerts = effects.iter().filter_map(|effect| match effect {
            Effect::Emit {
                output: Output::AlertRaised(alert),
                ..
            } => Some((alert.audience, alert.severity)),
            Effect::Emit { .. } | Effect::Ignore(_) | Effect::RuleFailed { .. } => None,
        });
        alerts.collect::<Vec<_>>()
    };
    let mut agent = issued(FREE, 0);
    let told = agent.apply(2, reward_outcome(&id(0), "bounced"));
    assert_eq!(
        audience(&told),
        [(Audience::Administration, Severity::Warning)]
    );
    assert_eq!(data(&told)["audience"], "administration");
    let told = agent.apply(3, survey("r1", serde_json::json!({ "csat": 1 })));
    assert_eq!(audience(&told), [(Audience::Supervisor, Severity::Warning)]);
    // As ever: a reader that does not know the field reads what it read before. Lookups go out beside the alert.
    assert_eq!(data(&told[..1]).get("audience"), None);
    let mut system = Stage::new(Key::Unassigned, alone());
    for (name, severity, expected) in [
        ("crm", None, Severity::Critical),
        ("tokens", Some("warning"), Severity::Warning),
        ("rewards", Some("critical"), Severity::Critical),
    ] {
        let mut told = serde_json::json!({
            "destination": name, "reason": "failed", "count": 1, "output_id": "o1", "at": NOW_MS,
        });
        if let Some(severity) = severity {
            told["severity"] = severity.into();
        }
        let told = aftercall_actors::contract::event::Body::DeadLettered(
            serde_json::from_value(told).unwrap(),
        );
        let effects = system.apply_as(name, 1, told);
        assert_eq!(
            audience(&effects),
            [(Audience::Operations, expected)],
            "{name}"
        );
    }
}

#[test]
fn s3_16_an_alert_says_may_or_may_not_only_where_that_is_so() {
    for (reason, expected) in [
        (None, "may or may not have been issued"),
        (Some("unknown"), "may or may not have been issued"),
        (
            Some("unreached"),
            "was not requested, as its provider could not be reached",
        ),
        (
            Some("unsendable"),
            "was not requested, as its request could not be made",
        ),
        (
            Some("failed"),
            "was not issued, as far as its provider's answers say",
        ),
    ] {
        let mut agent = rewarded();
        agent.apply(0, points("a", 500));
        let mut told = serde_json::json!({
            "output_id": id(0), "subject": "agent/a1", "status": "needs_review", "attempts": 4,
        });
        if let Some(reason) = reason {
            told["reason"] = reason.into();
        }
        let told = serde_json::from_value(told).unwrap();
        let kind = aftercall_actors::contract::event::OutcomeKind::Reward;
        let effects = agent.apply(
            1,
            aftercall_actors::contract::event::Body::Outcome(kind, told),
        );
        let alert = data(&effects);
        let summary = alert["summary"].as_str().unwrap();
        let expected = format!(" {expected}; its points stay locked until that is decided.");
        assert!(summary.ends_with(&expected), "{summary}");
        assert_eq!(rewards(&agent).held(), 500);
    }
}
