//! What stands between a threshold and its request: approval, caps, a program's budget (S3.04).

mod common;

use aftercall_actors::{
    contract::key::Key,
    effect::Ignored,
    rewards::redemption::{REVERSE, reward_id},
};
use common::*;

#[test]
fn s3_04_approval_holds_the_points_and_a_person_lets_the_request_go() {
    let mut agent = Stage::new(Key::Agent("a1"), program("approval = \"always\"\n", ""));
    let effects = agent.apply(0, points("a", 500));
    assert_eq!(
        ids(&effects),
        [format!("reward_awaiting_approval:{}", id(0))]
    );
    assert_eq!(agent.apply(1, points("b", 600)), []);
    assert_eq!(
        agent.apply(2, reward_outcome(&id(0), "issued")),
        ignored(Ignored::LateOutcome)
    );
    // Not while the program is stopped.
    let running = std::mem::replace(
        &mut agent.rules,
        program("approval = \"always\"\nenabled = false\n", ""),
    );
    let stopped = agent.apply(3, decided(&id(0), "approve"));
    assert_eq!(stopped, ignored(Ignored::ProgramStopped));
    agent.rules = running;
    let effects = agent.apply(4_000, decided(&id(0), "approve"));
    assert_eq!(requests(&effects), [id(0)]);
    assert_eq!(
        data(&effects)["transaction_timestamp"],
        "2026-11-20T10:00:04.000Z"
    );
    let effects = agent.apply(5_000, reward_outcome(&id(0), "issued"));
    assert_eq!(
        ids(&effects),
        [format!("reward_awaiting_approval:{}", id(1))]
    );
    assert_eq!(agent.apply(6_000, decided(&id(1), "reject")), []);
    assert_eq!((agent.points(), rewards(&agent).held()), (600, 0));
    assert_eq!(
        agent.apply(7_000, points("c", 1)),
        [],
        "waits for another day"
    );
}

#[test]
fn s3_12_a_claim_that_waits_for_approval_and_is_not_earned_any_more_is_withdrawn() {
    let mut agent = Stage::new(Key::Agent("a1"), program("approval = \"always\"\n", ""));
    agent.apply(0, points("a", 510));
    assert_eq!(agent.apply(1, points("b", -10)), []);
    assert_eq!(rewards(&agent).held(), 500, "still covered");
    assert_eq!(agent.apply(2, points("c", -1)), []);
    assert_eq!((agent.points(), rewards(&agent).held()), (499, 0));
    assert_eq!(
        agent.apply(3, decided(&id(0), "approve")),
        ignored(Ignored::UnknownRequest)
    );
    let again = agent.apply(4, points("d", 1));
    assert_eq!(ids(&again), [format!("reward_awaiting_approval:{}", id(1))]);
}

#[test]
fn s3_04_nobody_can_approve_a_claim_whose_cover_has_left_the_window() {
    for (after, approved) in [(14 * HOUR_MS - 1, true), (14 * HOUR_MS, false)] {
        let mut agent = Stage::new(Key::Agent("a1"), program("approval = \"always\"\n", ""));
        agent.apply(0, points("a", 500));
        // Old points cover a loss, and leave at midnight.
        agent.apply(1, wfm("2026-08-22", "points", 50.0, None));
        assert_eq!(agent.apply(2, points("b", -40)), []);
        let effects = agent.apply(after, decided(&id(0), "approve"));
        if approved {
            assert_eq!(requests(&effects), [id(0)]);
        } else {
            assert_eq!(effects, ignored(Ignored::UnknownRequest));
            assert_eq!((agent.points(), rewards(&agent).held()), (460, 0));
        }
    }
}

#[test]
fn s3_04_a_cap_counts_what_was_requested_within_its_period_and_waits_or_asks_above() {
    let cap = "cap = { rewards = 1, per = \"2d\" }\n";
    for (approval, asks) in [("none", false), ("over_cap", true)] {
        let approval = format!("approval = \"{approval}\"\n");
        let mut agent = Stage::new(Key::Agent("a1"), program(&approval, cap));
        agent.apply(0, points("a", 1_000));
        let over = agent.apply(1, reward_outcome(&id(0), "issued"));
        if asks {
            assert_eq!(ids(&over), [format!("reward_awaiting_approval:{}", id(1))]);
            assert_eq!(
                requests(&agent.apply(2, decided(&id(1), "approve"))),
                [id(1)]
            );
            continue;
        }
        assert_eq!(over, []);
        assert_eq!(agent.apply(2 * DAY_MS - 1, points("b", 1)), []);
        assert_eq!(requests(&agent.apply(2 * DAY_MS, points("c", 1))), [id(1)]);
    }
}

#[test]
fn s3_04_a_cap_counts_no_reward_that_was_rejected_or_taken_back() {
    let cap = "cap = { points = 999, per = \"30d\" }\n";
    let mut agent = Stage::new(Key::Agent("a1"), program("approval = \"none\"\n", cap));
    agent.apply(0, points("a", 500));
    agent.apply(1, reward_outcome(&id(0), "rejected"));
    assert_eq!(
        requests(&agent.apply(2, decided(&id(0), "approve"))),
        [id(1)]
    );
    agent.apply(3, reward_outcome(&id(1), "issued"));
    agent.apply(4, points("b", -1));
    assert_eq!(
        agent.apply(
            5,
            reward_outcome(&format!("{}{REVERSE}", id(1)), "reversed")
        ),
        []
    );
    assert_eq!(agent.points(), 499);
    assert_eq!(requests(&agent.apply(6, points("c", 1))), [id(2)]);
}

#[test]
fn s3_04_an_agent_is_held_to_its_part_of_the_budget_over_all_tiers() {
    let silver =
        "[[program.tier]]\nname = \"silver\"\nthreshold = 1_000\nreward_type = \"day_off\"\n";
    // A hundred agents share 150,000 points: 1,500 each.
    let budget =
        "budget = { points = 150_000, per = \"30d\", agents = 100 }\napproval = \"over_cap\"\n";
    let mut agent = Stage::new(Key::Agent("a1"), program(budget, silver));
    let silver = reward_id("recognition", "a1", "silver", 0);
    assert_eq!(
        requests(&agent.apply(0, points("a", 1_500))),
        [silver.clone(), id(0)]
    );
    agent.apply(1, reward_outcome(&silver, "issued"));
    agent.apply(2, reward_outcome(&id(0), "issued"));
    let over = agent.apply(3, points("b", 500));
    assert_eq!(ids(&over), [format!("reward_awaiting_approval:{}", id(1))]);
}
