//! Points taken away after a reward was issued: reversal, its refusal, debt (S3.12, S3.13).

mod common;

use aftercall_actors::{
    actor::Actor,
    contract::{
        event::Body,
        key::{Key, Side},
    },
    effect::Ignored,
    rewards::redemption::{IssuedStatus, REVERSE, reward_id},
};
use common::*;
use serde_json::json;

#[test]
fn s3_12_a_balance_of_zero_keeps_the_reward_and_one_below_reverses_it() {
    let mut agent = issued(1, 10);
    assert_eq!(agent.apply(10, taken("x", 10)), []);
    assert_eq!(agent.points(), 0);
    let effects = agent.apply(1_000, taken("y", 1));
    assert_eq!(ids(&effects), [reverse(0)]);
    let data = data(&effects);
    assert_eq!(data["reward_id"], id(0));
    assert_eq!(data["points_consumed"], 500);
    assert_eq!(data["reward_type"], "gift_card_25");
    assert_eq!(data["transaction_timestamp"], "2026-11-20T10:00:01.000Z");
    // One is on its way, which covers more.
    assert_eq!(agent.apply(1_001, taken("z", 498)), []);
    assert_eq!(agent.points(), -499);
    // Its points come back.
    assert_eq!(
        agent.apply(1_002, reward_outcome(&reverse(0), "reversed")),
        []
    );
    assert_eq!(
        (agent.points(), standing(&agent)),
        (1, vec![IssuedStatus::Reversed])
    );
}

#[test]
fn s3_12_the_latest_reward_is_reversed_first_and_as_many_as_it_takes() {
    let mut agent = issued(3, 0);
    let effects = agent.apply(10, taken("x", 500));
    assert_eq!(ids(&effects), [reverse(2)]);
    let effects = agent.apply(11, taken("y", 1));
    assert_eq!(ids(&effects), [reverse(1)]);
    assert_eq!(agent.apply(12, reward_outcome(&reverse(2), "reversed")), []);
    assert_eq!(agent.apply(13, reward_outcome(&reverse(1), "reversed")), []);
    assert_eq!(agent.points(), 499);
}

#[test]
fn s3_12_a_correction_of_a_day_that_was_paid_for_reverses_too() {
    let mut agent = rewarded();
    agent.apply(0, wfm("2026-11-19", "points", 500.0, None));
    agent.apply(1, reward_outcome(&id(0), "issued"));
    let effects = agent.apply(2, wfm("2026-11-19", "points", 499.0, None));
    assert_eq!(ids(&effects), [reverse(0)]);
    assert_eq!(agent.apply(3, reward_outcome(&reverse(0), "reversed")), []);
    assert_eq!(agent.points(), 499);
    // Put right again, it is another reward with an id of its own.
    assert_eq!(
        ids(&agent.apply(4, wfm("2026-11-19", "points", 500.0, None))),
        [id(1)]
    );
}

#[test]
fn s3_01_s3_12_a_re_export_below_the_threshold_withdraws_reverses_or_waits_for_the_outcome() {
    let row = |value: f64| wfm("2026-11-19", "points", value, None);
    // Waiting for a person: 500 are still covered, 499 are not.
    let mut agent = Stage::new(Key::Agent("a1"), program("approval = \"always\"\n", ""));
    agent.apply(0, row(501.0));
    assert_eq!(agent.apply(1, row(500.0)), []);
    assert_eq!(rewards(&agent).held(), 500);
    assert_eq!(agent.apply(2, row(499.0)), []);
    assert_eq!((agent.points(), rewards(&agent).held()), (499, 0));
    // Asked for: nothing until the outcome, and then as if it had come first.
    for (value, word, said) in [
        (500.0, "issued", vec![]),
        (499.0, "issued", vec![reverse(0)]),
        (
            499.0,
            "rejected",
            vec![format!("reward_rejected:{}", id(0))],
        ),
    ] {
        let mut agent = rewarded();
        agent.apply(0, row(510.0));
        assert_eq!(agent.apply(1, row(value)), []);
        assert_eq!(
            (agent.points(), rewards(&agent).held()),
            (value as i64, 500)
        );
        let effects = agent.apply(2, reward_outcome(&id(0), word));
        assert_eq!(ids(&effects), said, "{value} {word}");
        let spent = if word == "issued" { 500 } else { 0 };
        assert_eq!(agent.points(), value as i64 - spent);
    }
    // Issued.
    for (value, said) in [(500.0, vec![]), (499.0, vec![reverse(0)])] {
        let mut agent = rewarded();
        agent.apply(0, row(510.0));
        agent.apply(1, reward_outcome(&id(0), "issued"));
        assert_eq!(ids(&agent.apply(2, row(value))), said, "{value}");
    }
}

#[test]
fn s3_12_points_taken_while_it_is_unclear_reverse_it_when_a_person_says_it_was_issued() {
    for (taken_away, said) in [(0, vec![]), (1, vec![reverse(0)])] {
        let mut agent = rewarded();
        agent.apply(0, taken("grant", -500));
        agent.apply(1, reward_outcome(&id(0), "needs_review"));
        assert_eq!(agent.apply(2, taken("x", taken_away)), []);
        assert_eq!(ids(&agent.apply(3, decided(&id(0), "approve"))), said);
    }
}

#[test]
fn s3_12_a_reward_issued_after_it_was_declined_is_reversed_if_it_is_not_covered() {
    let told = format!("reward_issued_after_all:{}", id(0));
    for (left, said) in [
        (500, vec![told.clone()]),
        (499, vec![told.clone(), reverse(0)]),
    ] {
        let mut agent = rewarded();
        agent.apply(0, taken("grant", -500));
        agent.apply(1, reward_outcome(&id(0), "needs_review"));
        agent.apply(2, decided(&id(0), "reject"));
        agent.apply(3, taken("x", 500 - left));
        let late = agent.apply(4, reward_outcome(&id(0), "issued"));
        assert_eq!(ids(&late), said);
        assert_eq!(agent.points(), i64::from(left) - 500);
    }
}

#[test]
fn s3_12_points_taken_while_locked_reverse_the_reward_when_it_is_issued_and_not_before() {
    let mut agent = rewarded();
    agent.apply(0, taken("grant", -500));
    assert_eq!(agent.apply(1, taken("x", 1)), []);
    assert_eq!(
        ids(&agent.apply(2, reward_outcome(&id(0), "issued"))),
        [reverse(0)]
    );
    assert_eq!(agent.points(), -1);
    // Had it been rejected, the points would have covered it.
    let mut agent = rewarded();
    agent.apply(0, taken("grant", -500));
    agent.apply(1, taken("x", 1));
    let effects = agent.apply(2, reward_outcome(&id(0), "rejected"));
    assert_eq!(ids(&effects), [format!("reward_rejected:{}", id(0))]);
    assert_eq!(agent.points(), 499);
}

#[test]
fn s3_12_a_refused_reversal_is_a_debt_that_later_points_pay_off_first() {
    let mut agent = issued(1, 0);
    agent.apply(10, taken("x", 30));
    let effects = agent.apply(11, reward_outcome(&reverse(0), "rejected"));
    assert_eq!(
        ids(&effects),
        [format!("reward_reversal_refused:{}", id(0))]
    );
    assert_eq!((agent.points(), rewards(&agent).debt()), (-30, 30));
    assert_eq!(standing(&agent), [IssuedStatus::Debt]);
    // It outlives the workday it arose on.
    let later = 91 * DAY_MS;
    let grant = |n: &str, points| adjusted(n, points, NOW_MS + later);
    assert_eq!(agent.apply(later, grant("a", 29)), []);
    assert_eq!((agent.points(), rewards(&agent).debt()), (-1, 1));
    assert_eq!(agent.apply(later, grant("b", 500)), []);
    assert_eq!((agent.points(), rewards(&agent).debt()), (499, 0));
    assert_eq!(ids(&agent.apply(later, grant("c", 1))), [id(1)]);
}

#[test]
fn s3_12_a_debt_is_paid_to_the_last_point_before_anything_counts_towards_a_reward() {
    for (earned, debt, claims) in [
        (29, 1, false),
        (30, 0, false),
        (529, 0, false),
        (530, 0, true),
    ] {
        let mut agent = issued(1, 0);
        agent.apply(10, taken("x", 30));
        agent.apply(11, reward_outcome(&reverse(0), "rejected"));
        let effects = agent.apply(12, taken("later", -earned));
        assert_eq!(ids(&effects).len(), usize::from(claims), "{earned}");
        let balance = i64::from(earned) - 30;
        assert_eq!((agent.points(), rewards(&agent).debt()), (balance, debt));
    }
}

#[test]
fn s3_12_a_reversal_refused_half_paid_and_happening_all_the_same_gives_back_what_is_left() {
    let mut agent = issued(1, 0);
    agent.apply(10, taken("x", 30));
    agent.apply(11, reward_outcome(&reverse(0), "rejected"));
    agent.apply(12, taken("part", -10));
    assert_eq!((agent.points(), rewards(&agent).debt()), (-20, 20));
    assert_eq!(agent.apply(13, reward_outcome(&reverse(0), "reversed")), []);
    // 500 and 10 earned, 30 lost, nothing had.
    assert_eq!((agent.points(), rewards(&agent).debt()), (480, 0));
}

#[test]
fn s3_12_what_became_of_a_reward_is_heard_for_as_long_as_it_is_known() {
    let window = 90 * DAY_MS;
    for (after, heard) in [(window, true), (window + 1, false)] {
        // Issued one tick after `NOW_MS`.
        let mut agent = issued(1, 0);
        agent.apply(10, taken("x", 30));
        agent.apply(11, reward_outcome(&reverse(0), "rejected"));
        agent.apply(after, adjusted("later", 0, NOW_MS + after));
        let late = agent.apply(after, reward_outcome(&reverse(0), "reversed"));
        if heard {
            assert_eq!(late, []);
            assert_eq!((agent.points(), rewards(&agent).debt()), (470, 0));
        } else {
            assert_eq!(late, ignored(Ignored::UnknownRequest));
            assert_eq!((agent.points(), rewards(&agent).debt()), (-30, 30));
        }
    }
}

#[test]
fn s3_12_a_reversal_that_is_out_is_waited_for_however_long_it_takes() {
    let mut agent = issued(1, 0);
    agent.apply(10, taken("x", 30));
    let later = 400 * DAY_MS;
    agent.apply(later, adjusted("later", 0, NOW_MS + later));
    assert_eq!(standing(&agent), [IssuedStatus::Reversing]);
    let back = agent.apply(later, reward_outcome(&reverse(0), "reversed"));
    // The loss has left with its workday, so what came back is enough for another one.
    assert_eq!(ids(&back), [id(1)]);
    assert_eq!((agent.points(), standing(&agent)), (500, vec![]));
}

#[test]
fn s3_12_an_outcome_of_somebody_elses_reward_changes_nothing() {
    let mut agent = issued(1, 0);
    agent.apply(10, taken("x", 30));
    let theirs = reward_id("recognition", "a2", "bronze", 0);
    let before = agent.encoded();
    for (output, word) in [
        (theirs.clone(), "issued"),
        (theirs.clone() + REVERSE, "reversed"),
        (theirs + REVERSE, "refused"),
    ] {
        let effects = agent.apply(11, reward_outcome(&output, word));
        assert_eq!(effects, ignored(Ignored::UnknownRequest));
        assert_eq!(agent.encoded(), before);
    }
}

#[test]
fn s3_12_a_refusal_after_points_have_made_up_for_it_leaves_no_debt() {
    let mut agent = issued(1, 0);
    agent.apply(10, taken("x", 30));
    agent.apply(11, taken("more", -40));
    agent.apply(12, reward_outcome(&reverse(0), "refused"));
    assert_eq!((agent.points(), rewards(&agent).debt()), (10, 0));
}

#[test]
fn s3_12_a_reversal_that_is_refused_and_happens_all_the_same_pays_the_debt() {
    let mut agent = issued(1, 0);
    agent.apply(10, taken("x", 30));
    agent.apply(11, reward_outcome(&reverse(0), "rejected"));
    assert_eq!(agent.apply(12, reward_outcome(&reverse(0), "reversed")), []);
    assert_eq!((agent.points(), rewards(&agent).debt()), (470, 0));
    let again = agent.apply(13, reward_outcome(&reverse(0), "reversed"));
    assert_eq!(again, ignored(Ignored::LateOutcome));
    assert_eq!(agent.points(), 470);
}

#[test]
fn s3_12_a_reversal_nobody_knows_of_is_parked_and_a_person_decides() {
    for (decision, points, debt) in [("approve", 470, 0), ("reject", -30, 30)] {
        let mut agent = issued(1, 0);
        agent.apply(10, taken("x", 30));
        let effects = agent.apply(11, reward_outcome(&reverse(0), "needs_review"));
        assert_eq!(
            ids(&effects),
            [format!("reward_needs_review:{}", reverse(0))]
        );
        let again = agent.apply(12, reward_outcome(&reverse(0), "needs_review"));
        assert_eq!(again, ignored(Ignored::LateOutcome));
        agent.apply(13, decided(&id(0), decision));
        assert_eq!((agent.points(), rewards(&agent).debt()), (points, debt));
    }
}

#[test]
fn s3_12_a_reward_is_taken_back_within_the_points_window_and_not_after() {
    let window = 90 * DAY_MS;
    for (after, reversed) in [(window, true), (window + 1, false)] {
        // Issued one tick after `NOW_MS`.
        let mut agent = issued(1, 0);
        let effects = agent.apply(after, adjusted("x", -1, NOW_MS + after));
        assert_eq!(ids(&effects).len(), usize::from(reversed), "{effects:?}");
        assert_eq!(agent.points(), -1);
    }
}

#[test]
fn s3_13_points_that_leave_with_their_workday_take_nothing_back() {
    let mut agent = rewarded();
    agent.apply(0, taken("grant", -500));
    agent.apply(1, reward_outcome(&id(0), "issued"));
    // Fifty of an old workday, and a loss that they cover.
    agent.apply(2, wfm("2026-08-22", "points", 50.0, None));
    agent.apply(3, taken("x", 40));
    assert_eq!(agent.points(), 10);
    let midnight = 14 * HOUR_MS;
    assert_eq!(agent.apply(midnight, adjusted("y", 5, NOW_MS)), []);
    assert_eq!(agent.points(), -35);
}

#[test]
fn s3_13_points_that_come_back_to_a_workday_that_left_stay_until_the_next_midnight() {
    let mut agent = rewarded();
    agent.apply(0, wfm("2026-08-22", "points", 500.0, None));
    let midnight = 14 * HOUR_MS;
    let effects = agent.apply(midnight, reward_outcome(&id(0), "rejected"));
    assert_eq!(ids(&effects).len(), 1);
    assert_eq!(agent.points(), 500);
    agent.apply(midnight + DAY_MS - 1, adjusted("x", 0, NOW_MS));
    assert_eq!(agent.points(), 500);
    agent.apply(midnight + DAY_MS, adjusted("y", 0, NOW_MS));
    assert_eq!(agent.points(), 0);
}

#[test]
fn s3_12_without_a_reward_a_negative_balance_is_only_that() {
    let mut agent = Stage::new(Key::Agent("a1"), enabled());
    assert_eq!(agent.apply(0, taken("x", 30)), []);
    assert_eq!((agent.points(), rewards(&agent).debt()), (-30, 0));
    assert!(agent.is_blank(93 * DAY_MS));
}

/// So many rewards issued, and so many points left.
fn issued(count: u32, left: i32) -> Stage {
    let mut agent = rewarded();
    let grant = i32::try_from(count).unwrap() * 500 + left;
    agent.apply(0, taken("grant", -grant));
    for ordinal in 0..count {
        agent.apply(1, reward_outcome(&id(ordinal), "issued"));
    }
    assert_eq!(agent.points(), i64::from(left));
    agent
}

fn taken(id: &str, points: i32) -> Body {
    adjusted(id, -points, NOW_MS)
}

fn reverse(ordinal: u32) -> String {
    format!("{}{REVERSE}", id(ordinal))
}

fn standing(agent: &Stage) -> Vec<IssuedStatus> {
    let given = rewards(agent).issued().iter();
    given.map(|given| given.standing).collect()
}

/// The outcome, with ids that the provider has given the reward.
fn with_ids(output_id: &str, status: &str, kept: serde_json::Value) -> Body {
    let Body::Outcome(kind, mut outcome) = reward_outcome(output_id, status) else {
        panic!("an outcome");
    };
    outcome.kept = serde_json::from_value(kept).unwrap();
    Body::Outcome(kind, outcome)
}

#[test]
fn s3_12_a_reward_is_asked_back_with_the_ids_its_provider_gave_it() {
    let mut agent = rewarded();
    agent.apply(0, taken("grant", -500));
    // Before it is clear, and again once it is; of one name the newest counts.
    let first = json!({ "order": "O1", "card": "C1" });
    agent.apply(1, with_ids(&id(0), "needs_review", first));
    agent.apply(2, with_ids(&id(0), "issued", json!({ "order": "O2" })));
    // As it is read back from storage.
    let stored = Actor::decode(Side::Agent, "a1", &agent.encoded()).unwrap();
    assert_eq!(stored, agent.actor);
    agent.actor = stored;
    let effects = agent.apply(3, taken("x", 1));
    assert_eq!(ids(&effects), [reverse(0)]);
    assert_eq!(
        data(&effects)["kept"],
        json!({ "order": "O2", "card": "C1" })
    );
    // Of another reward none of them.
    agent.apply(4, reward_outcome(&reverse(0), "reversed"));
    agent.apply(5, taken("grant again", -500));
    agent.apply(6, reward_outcome(&id(1), "issued"));
    let effects = agent.apply(7, taken("y", 500));
    assert_eq!(ids(&effects), [reverse(1)]);
    assert_eq!(data(&effects).get("kept"), None);
}

#[test]
fn s3_12_a_reward_that_was_replaced_and_is_issued_after_all_has_the_ids_of_its_own_answer() {
    let mut agent = rewarded();
    agent.apply(0, taken("grant", -500));
    agent.apply(1, with_ids(&id(0), "rejected", json!({ "order": "O1" })));
    let effects = agent.apply(DAY_MS, adjusted("more", 500, NOW_MS + DAY_MS));
    assert_eq!(ids(&effects), [id(1)]);
    let late = with_ids(&id(0), "issued", json!({ "card": "C1" }));
    agent.apply(DAY_MS + 1, late);
    agent.apply(DAY_MS + 2, reward_outcome(&id(1), "rejected"));
    let effects = agent.apply(DAY_MS + 3, adjusted("z", -1_000, NOW_MS + DAY_MS));
    assert_eq!(ids(&effects), [reverse(0)], "{effects:?}");
    assert_eq!(
        data(&effects)["kept"],
        json!({ "order": "O1", "card": "C1" })
    );
}

#[test]
fn s3_12_of_ids_without_number_or_end_eight_are_kept_and_none_of_over_200_bytes() {
    let mut agent = rewarded();
    agent.apply(0, taken("grant", -500));
    let mut many: std::collections::BTreeMap<String, String> =
        (0..9).map(|n| (format!("id{n}"), n.to_string())).collect();
    many.insert("a".to_owned(), "x".repeat(201));
    agent.apply(1, with_ids(&id(0), "issued", json!(many)));
    // One that has its place already can still change.
    let newer = json!({ "id7": "x".repeat(200), "id8": "8" });
    agent.apply(2, with_ids(&id(0), "issued", newer));
    let effects = agent.apply(3, taken("x", 1));
    let kept = data(&effects)["kept"].clone();
    let names: Vec<&String> = kept.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["id0", "id1", "id2", "id3", "id4", "id5", "id6", "id7"]
    );
    assert_eq!(kept["id7"], "x".repeat(200));
}
