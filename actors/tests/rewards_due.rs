//! Rewards that time alone brings: a loss that leaves the window, a limit's period that ends (S3.04).
//!
//! Whoever would get nothing by waiting is not woken; that is half of what is shown here.

mod common;

use aftercall_actors::{
    contract::key::Key, effect::Effect, rewards::points::Workday, rules::RuleSet,
};
use common::*;
use jiff::tz::TimeZone;

/// From 10:00 to midnight.
const MIDNIGHT: i64 = 14 * HOUR_MS;

#[test]
fn s3_04_a_reward_over_its_cap_is_requested_when_the_period_ends_and_not_a_tick_before() {
    let cap = "cap = { rewards = 1, per = \"2d\" }\n";
    let mut agent = Stage::new(Key::Agent("a1"), program("approval = \"none\"\n", cap));
    agent.apply(7, points("a", 1_000));
    assert_eq!(
        agent.deadline(),
        None,
        "locked: its outcome is waited for, not a time"
    );
    assert_eq!(agent.apply(8, reward_outcome(&id(0), "issued")), []);
    let ends = 7 + 2 * DAY_MS;
    assert_eq!(agent.deadline(), Some(ends));
    let before = agent.encoded();
    assert_eq!(agent.wake(ends - 1), []);
    assert_eq!(agent.encoded(), before, "not due");
    assert_eq!(requests(&agent.wake(ends)), [id(1)]);
    assert_eq!(agent.deadline(), None);
}

#[test]
fn s3_04_a_reward_over_the_budget_is_requested_when_enough_of_it_is_free_again() {
    // 1,499 points for each: two rewards, and the first has to be past for a third.
    let budget = "approval = \"none\"\nbudget = { points = 2_998, per = \"1d\", agents = 2 }\n";
    let mut agent = Stage::new(Key::Agent("a1"), program(budget, ""));
    agent.apply(0, points("a", 1_500));
    agent.apply(5, reward_outcome(&id(0), "issued"));
    assert_eq!(agent.apply(9, reward_outcome(&id(1), "issued")), []);
    assert_eq!(agent.deadline(), Some(DAY_MS));
    assert_eq!(agent.wake(DAY_MS - 1), []);
    assert_eq!(requests(&agent.wake(DAY_MS)), [id(2)]);
}

#[test]
fn s3_04_of_what_waits_for_a_person_nobody_is_woken() {
    let cap = "cap = { rewards = 1, per = \"2d\" }\n";
    let mut agent = Stage::new(Key::Agent("a1"), program("approval = \"over_cap\"\n", cap));
    agent.apply(0, points("a", 1_000));
    agent.apply(1, reward_outcome(&id(0), "issued"));
    assert_eq!(rewards(&agent).held(), 500, "the second one waits");
    assert_eq!(agent.deadline(), None);
}

/// Points have left meanwhile, so the claim is given up; when the loss has left too, the threshold is reached again.
#[test]
fn s3_04_a_decision_that_comes_too_late_leaves_an_agent_that_is_woken_when_its_loss_has_left() {
    for word in ["approve", "reject"] {
        let always = program("approval = \"always\"\n", "");
        let mut agent = Stage::new(Key::Agent("a1"), always);
        agent.apply(0, points("a", 500));
        agent.apply(1, wfm("2026-08-22", "points", 10.0, None));
        agent.apply(2, wfm("2026-08-23", "points", -10.0, None));
        assert_eq!((rewards(&agent).held(), agent.deadline()), (500, None));
        let late = agent.apply(MIDNIGHT, decided(&id(0), word));
        assert!(matches!(late[..], [Effect::Ignore(_)]), "{late:?}");
        assert_eq!((agent.points(), rewards(&agent).held()), (490, 0));
        let leaves = MIDNIGHT + DAY_MS;
        assert_eq!(agent.deadline(), Some(leaves), "{word}");
        let asked = format!("reward_awaiting_approval:{}", id(1));
        assert_eq!(ids(&agent.wake(leaves)), [asked.as_str()]);
    }
}

#[test]
fn s3_04_a_threshold_reached_because_a_loss_left_is_claimed_at_that_midnight() {
    let mut agent = rewarded();
    agent.apply(0, wfm("2026-08-22", "points", -1.0, None));
    assert_eq!(agent.apply(1, points("a", 500)), []);
    assert_eq!((agent.points(), agent.deadline()), (499, Some(MIDNIGHT)));
    let before = agent.encoded();
    assert_eq!(agent.wake(MIDNIGHT - 1), []);
    assert_eq!(agent.encoded(), before, "not due");
    assert_eq!(requests(&agent.wake(MIDNIGHT)), [id(0)]);
    assert_eq!((agent.points(), agent.deadline()), (500, None));
}

#[test]
fn s3_04_only_a_loss_whose_leaving_reaches_the_threshold_sets_a_deadline() {
    for (first, second, today, due) in [
        (-1, 0, 500, Some(MIDNIGHT)),
        (-1, 0, 499, None),
        // A gain that leaves later has still counted; one that leaves before has not.
        (-1, 1, 499, Some(MIDNIGHT)),
        (1, -1, 499, None),
        (1, -2, 499, None),
        (1, -2, 500, Some(MIDNIGHT + DAY_MS)),
    ] {
        let mut agent = rewarded();
        agent.apply(0, wfm("2026-08-22", "points", f64::from(first), None));
        agent.apply(1, wfm("2026-08-23", "points", f64::from(second), None));
        assert_eq!(agent.apply(2, points("a", today)), []);
        assert_eq!(agent.deadline(), due, "{first} {second} {today}");
    }
}

#[test]
fn s3_04_the_day_is_the_first_on_which_what_stays_is_enough() {
    let mut agent = rewarded();
    // The losses leave on the two next midnights, and between them a gain.
    agent.apply(0, wfm("2026-08-22", "points", -10.0, None));
    agent.apply(1, wfm("2026-08-23", "points", 5.0, None));
    agent.apply(2, wfm("2026-08-24", "points", -10.0, None));
    agent.apply(3, points("a", 505));
    assert_eq!((agent.points(), agent.deadline()), (490, Some(MIDNIGHT)));
    // 500 at the first midnight. With one point less, only the third will do.
    assert_eq!(agent.apply(4, points("b", -1)), []);
    assert_eq!(agent.deadline(), Some(MIDNIGHT + 2 * DAY_MS));
    assert_eq!(agent.wake(MIDNIGHT + 2 * DAY_MS - 1), []);
    assert_eq!(requests(&agent.wake(MIDNIGHT + 2 * DAY_MS)), [id(0)]);
    assert_eq!(agent.points(), 504);
}

#[test]
fn s3_03_s3_04_the_midnight_is_that_of_the_business_units_zone_where_it_is_skipped_too() {
    // In Santiago 2027-09-05 begins at one in the morning.
    let zone = "time_zone = \"America/Santiago\"";
    let text = enabled().text().replace("time_zone = \"UTC\"", zone);
    let mut agent = Stage::new(Key::Agent("a1"), RuleSet::parse(&text, "test").unwrap());
    // 90 workdays before it; four hours behind UTC in winter.
    let begins = at("2027-09-05T04:00:00Z");
    let earlier = begins - 30 * DAY_MS;
    agent.apply(earlier, wfm("2027-06-06", "points", -1.0, None));
    agent.apply(earlier, adjusted("a", 500, NOW_MS + earlier));
    assert_eq!(agent.deadline(), Some(begins));
    assert_eq!(agent.wake(begins - 1), []);
    assert_eq!(requests(&agent.wake(begins)), [id(0)]);
}

#[test]
fn s3_04_who_lost_nothing_is_below_no_limit_or_has_no_program_is_never_woken() {
    let mut agent = rewarded();
    agent.apply(0, points("a", 499));
    assert_eq!(agent.deadline(), None);
    agent.apply(1, points("b", 500));
    assert_eq!(agent.deadline(), None, "locked");
    agent.apply(2, reward_outcome(&id(0), "rejected"));
    assert_eq!(
        agent.deadline(),
        None,
        "rejected: new points are waited for"
    );
    let mut switched_off = Stage::agent();
    switched_off.apply(0, wfm("2026-08-22", "points", -1.0, None));
    switched_off.apply(1, points("a", 500));
    assert_eq!(switched_off.deadline(), None);
    let mut queue = Stage::new(Key::Queue("a1"), enabled());
    queue.apply(0, wfm("2026-08-22", "points", -1.0, None));
    queue.apply(1, points("a", 500));
    assert_eq!(queue.deadline(), None);
}

#[test]
fn s3_04_the_kill_switch_holds_at_a_deadline_and_it_is_not_asked_for_again() {
    let mut agent = rewarded();
    agent.apply(0, wfm("2026-08-22", "points", -1.0, None));
    agent.apply(1, points("a", 500));
    agent.rules = RuleSet::default_rules();
    assert_eq!(agent.wake(MIDNIGHT), []);
    assert_eq!((agent.points(), agent.deadline()), (500, None));
    agent.rules = enabled();
    assert_eq!(
        requests(&agent.apply(MIDNIGHT + 1, points("b", 0))),
        [id(0)]
    );
}

#[test]
fn s3_04_a_deadline_is_stored_and_what_is_woken_late_does_what_is_due() {
    let mut agent = rewarded();
    agent.apply(0, wfm("2026-08-22", "points", -1.0, None));
    agent.apply(1, points("a", 500));
    let bytes = agent.encoded();
    agent.actor = aftercall_actors::actor::Actor::decode(agent.key.side(), "a1", &bytes).unwrap();
    assert_eq!(agent.deadline(), Some(MIDNIGHT));
    assert_eq!(requests(&agent.wake(MIDNIGHT + 30 * DAY_MS)), [id(0)]);
}

#[test]
fn s3_03_a_workday_leaves_at_a_midnight_and_beyond_the_calendar_never() {
    let zone = TimeZone::get("America/New_York").unwrap();
    let day = Workday::from_date(jiff::civil::date(2026, 11, 1));
    let left = day.leaves_at(0, &zone).unwrap();
    assert_eq!(left.to_string(), "2026-11-02T05:00:00.000Z");
    assert_eq!(Workday(i32::MAX).leaves_at(730, &zone), None);
}

/// After [`NOW_MS`].
fn at(text: &str) -> i64 {
    let at: jiff::Timestamp = text.parse().unwrap();
    at.as_millisecond() - NOW_MS
}
