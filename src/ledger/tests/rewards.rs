//! What the book says of a reward, from its claim to what becomes of it.

use super::*;

#[test]
fn s3_04_s3_14_a_claim_is_held_from_the_threshold_on_and_names_its_reward() {
    let mut till = Till::new(enabled());
    assert_eq!(
        till.told(0, taken("grant", -499)),
        [(Kind::Adjusted, 499, 499, 0, 0)]
    );
    let (lines, _) = till.act(1, taken("one", -1));
    let kinds: Vec<Kind> = lines.iter().map(|line| line.kind).collect();
    assert_eq!(kinds, [Kind::Adjusted, Kind::Claimed, Kind::Requested]);
    let named = |line: &Entry| [&line.program, &line.tier, &line.reward_id].map(Clone::clone);
    assert_eq!(named(&lines[0]), [None, None, None]);
    for line in &lines[1..] {
        let expected = ["recognition", "bronze", &id(0)].map(|text| Some(text.to_owned()));
        assert_eq!(named(line), expected);
    }
    assert_eq!(lines[1].detail.as_deref(), Some("gift_card_25"));
    // The next one is claimed in the step that frees the tier.
    till.told(2, taken("more", -600));
    assert_eq!(
        till.told(3, reward_outcome(&id(0), "issued")),
        [
            (Kind::Issued, -500, 600, 0, 0),
            (Kind::Claimed, 0, 100, 500, 0),
            (Kind::Requested, 0, 100, 500, 0),
        ]
    );
    assert_eq!(till.closed().accounts["a1"].consumed, 500);
}

#[test]
fn s3_07_s3_08_s3_14_what_a_provider_answers_is_kept_with_what_it_led_to() {
    let outcome = |status: &str| {
        let data = json!({
            "output_id": id(0), "subject": "agent/a1", "status": status,
            "response": {"status": "OUT_OF_STOCK"},
        });
        let outcome = serde_json::from_value(data).unwrap();
        Body::Outcome(
            aftercall_actors::contract::event::OutcomeKind::Reward,
            outcome,
        )
    };
    let locked = || {
        let mut till = Till::new(enabled());
        till.told(0, taken("grant", -500));
        till
    };
    for (status, kind, held) in [
        ("rejected", Kind::Rejected, 0),
        ("needs_review", Kind::NeedsReview, 500),
        ("issued", Kind::Issued, 0),
    ] {
        let mut till = locked();
        let (lines, _) = till.act(1, outcome(status));
        assert_eq!((lines[0].kind, lines[0].held, lines.len()), (kind, held, 1));
        let said = format!("{status} {{\"status\":\"OUT_OF_STOCK\"}}");
        assert_eq!(lines[0].detail.as_deref(), Some(said.as_str()));
        assert_eq!(lines[0].reward_id, Some(id(0)));
        // Of a reward that was issued it may mean that something became of it; of the others it comes too late.
        let later = till.told(2, outcome("needs_review"));
        match kind {
            Kind::Issued => assert_eq!(later, [(Kind::CancellationNeedsReview, 0, 0, 0, 0)]),
            _ => assert_eq!(later, [], "too late"),
        }
        till.closed();
    }
    // Rejected, and given all the same: its points are free by then.
    let mut till = locked();
    till.told(1, outcome("rejected"));
    assert_eq!(
        till.told(2, outcome("issued")),
        [(Kind::Issued, -500, 0, 0, 0)]
    );
    assert_eq!(till.closed().accounts["a1"].consumed, 500);
}

#[test]
fn s3_14_what_a_person_decides_is_said_before_what_it_leads_to() {
    let review = || {
        let mut till = Till::new(enabled());
        till.told(0, taken("grant", -500));
        till.told(1, reward_outcome(&id(0), "needs_review"));
        till
    };
    let mut till = review();
    let (lines, _) = till.act(2, decided(&id(0), "approve"));
    assert_eq!(lines[0].detail.as_deref(), Some("by admin"));
    let kinds: Vec<_> = lines.iter().map(|line| (line.kind, line.points)).collect();
    assert_eq!(kinds, [(Kind::Approved, 0), (Kind::Issued, -500)]);
    till.closed();

    let mut till = review();
    let (lines, _) = till.act(2, decided(&id(0), "reject"));
    assert_eq!((lines[0].kind, lines[0].available), (Kind::Declined, 500));
    assert_eq!(lines[0].detail.as_deref(), Some("by admin"));
    // Asked for again, because a person says so.
    assert_eq!(
        till.told(3, decided(&id(0), "approve")),
        [
            (Kind::Approved, 0, 500, 0, 0),
            (Kind::Claimed, 0, 0, 500, 0),
            (Kind::Requested, 0, 0, 500, 0),
        ]
    );
    till.closed();
}

#[test]
fn s3_04_s3_14_a_claim_waits_for_a_person_and_is_withdrawn_when_its_points_go() {
    let awaiting = || {
        let mut till = Till::new(program("approval = \"always\"\n", ""));
        assert_eq!(
            till.told(0, taken("grant", -500)),
            [
                (Kind::Adjusted, 500, 500, 0, 0),
                (Kind::Claimed, 0, 0, 500, 0),
                (Kind::Awaiting, 0, 0, 500, 0),
            ]
        );
        till
    };
    let mut till = awaiting();
    assert_eq!(
        till.told(1, decided(&id(0), "approve")),
        [
            (Kind::Approved, 0, 0, 500, 0),
            (Kind::Requested, 0, 0, 500, 0)
        ]
    );
    till.closed();

    let mut till = awaiting();
    assert_eq!(
        till.told(1, decided(&id(0), "reject")),
        [(Kind::Declined, 0, 500, 0, 0)]
    );
    till.closed();

    let mut till = awaiting();
    assert_eq!(
        till.told(1, taken("x", 1)),
        [
            (Kind::Adjusted, -1, -1, 500, 0),
            (Kind::Withdrawn, 0, 499, 0, 0)
        ]
    );
    till.closed();

    // Gone with their workday: noticed before the decision, which then finds nothing to approve.
    let mut till = Till::new(program("approval = \"always\"\n", ""));
    till.told(0, wfm("2026-11-19", "points", 500.0, None));
    till.told(1, wfm("2026-08-22", "points", 20.0, None));
    till.told(2, taken("x", 20));
    assert_eq!(
        till.told(14 * HOUR_MS, decided(&id(0), "approve")),
        [
            (Kind::Expired, -20, -20, 500, 0),
            (Kind::Withdrawn, 0, 480, 0, 0)
        ]
    );
    till.closed();
}

#[test]
fn s3_12_s3_14_a_reward_is_asked_back_below_zero_and_its_points_return() {
    let mut till = issued();
    till.told(2, taken("ten", -10));
    assert_eq!(
        till.told(3, taken("x", 10)),
        [(Kind::Adjusted, -10, 0, 0, 0)]
    );
    assert_eq!(
        till.told(4, taken("y", 1)),
        [
            (Kind::Adjusted, -1, -1, 0, 0),
            (Kind::ReversalRequested, 0, -1, 0, 0)
        ]
    );
    assert_eq!(till.told(5, reverse(0)), [(Kind::Reversed, 500, 499, 0, 0)]);
    assert_eq!(till.told(6, reverse(0)), [], "too late");
    let account = till.closed().accounts["a1"].clone();
    assert_eq!((account.earned, account.consumed), (499, 0));

    // Missing while it was locked: asked back in the step that issues it.
    let mut till = Till::new(enabled());
    till.told(0, taken("grant", -500));
    till.told(1, taken("x", 1));
    assert_eq!(
        till.told(2, reward_outcome(&id(0), "issued")),
        [
            (Kind::Issued, -500, -1, 0, 0),
            (Kind::ReversalRequested, 0, -1, 0, 0)
        ]
    );
    till.closed();
}

#[test]
fn s3_12_s3_14_a_refusal_becomes_a_debt_and_later_points_pay_it() {
    let mut till = issued();
    till.told(2, taken("x", 30));
    assert_eq!(
        till.told(3, reversal(0, "rejected")),
        [(Kind::ReversalRefused, 0, 0, 0, 30)]
    );
    assert_eq!(
        till.told(4, taken("a", -29)),
        [
            (Kind::Adjusted, 29, 29, 0, 30),
            (Kind::DebtPaid, 0, 0, 0, 1)
        ]
    );
    assert_eq!(
        till.told(5, taken("b", -2)),
        [(Kind::Adjusted, 2, 2, 0, 1), (Kind::DebtPaid, 0, 1, 0, 0)]
    );
    // Done all the same.
    assert_eq!(
        till.told(6, reverse(0)),
        [
            (Kind::Reversed, 500, 501, 0, 0),
            (Kind::Claimed, 0, 1, 500, 0),
            (Kind::Requested, 0, 1, 500, 0),
        ]
    );
    till.closed();

    // Made up for meanwhile: refused, and nothing is owed.
    let mut till = issued();
    till.told(2, taken("x", 30));
    till.told(3, taken("more", -40));
    assert_eq!(
        till.told(4, reversal(0, "refused")),
        [(Kind::ReversalRefused, 0, 10, 0, 0)]
    );
    till.closed();
}

#[test]
fn s3_12_s3_14_a_reversal_nobody_knows_of_waits_for_a_person() {
    for (decision, expected) in [
        (
            "approve",
            [
                (Kind::Approved, 0, -30, 0, 0),
                (Kind::Reversed, 500, 470, 0, 0),
            ],
        ),
        (
            "reject",
            [
                (Kind::Declined, 0, -30, 0, 0),
                (Kind::ReversalRefused, 0, 0, 0, 30),
            ],
        ),
    ] {
        let mut till = issued();
        till.told(2, taken("x", 30));
        assert_eq!(
            till.told(3, reversal(0, "needs_review")),
            [(Kind::ReversalNeedsReview, 0, -30, 0, 0)]
        );
        assert_eq!(till.told(4, decided(&id(0), decision)), expected);
        till.closed();
    }
}

#[test]
fn s3_12_s3_14_a_reversal_is_booked_though_its_reward_is_forgotten_in_the_same_step() {
    // Remembered for the window, and for as long as it is coming back.
    let long = 200 * DAY_MS;
    for (settle, expected) in [
        (
            reverse(0),
            vec![
                (Kind::Expired, 30, 0, 0, 0),
                (Kind::Reversed, 500, 500, 0, 0),
            ],
        ),
        (
            reversal(0, "rejected"),
            vec![
                (Kind::Expired, 30, 0, 0, 0),
                (Kind::ReversalRefused, 0, 0, 0, 0),
            ],
        ),
    ] {
        let mut till = issued();
        till.told(2, taken("x", 30));
        let told = till.told(long, settle);
        assert_eq!(told[..2], expected);
        assert_eq!(till.agent().rewards().issued(), []);
        till.closed();
    }
    // A debt that is forgotten, and one that is reversed after all just before it would be.
    let debtor = || {
        let mut till = issued();
        till.told(2, taken("x", 30));
        till.told(3, reversal(0, "rejected"));
        till
    };
    let mut till = debtor();
    assert_eq!(till.told(long, taken("y", 0)), []);
    assert_eq!(till.agent().rewards().issued(), []);
    till.closed();
    let mut till = debtor();
    assert_eq!(
        till.told(long, reverse(0)),
        [
            (Kind::Reversed, 500, 500, 0, 30),
            (Kind::DebtPaid, 0, 470, 0, 0),
        ]
    );
    till.closed();
}

#[test]
fn s3_14_a_program_that_is_switched_off_claims_nothing_and_its_outcomes_are_booked() {
    let mut till = Till::new(enabled());
    till.told(0, taken("grant", -500));
    till.rules = common::alone();
    assert_eq!(
        till.told(1, taken("more", -700)),
        [(Kind::Adjusted, 700, 700, 500, 0)]
    );
    assert_eq!(
        till.told(2, reward_outcome(&id(0), "issued")),
        [(Kind::Issued, -500, 700, 0, 0)]
    );
    assert_eq!(
        till.told(3, taken("x", 701)),
        [
            (Kind::Adjusted, -701, -1, 0, 0),
            (Kind::ReversalRequested, 0, -1, 0, 0)
        ]
    );
    till.rules = enabled();
    assert_eq!(
        till.told(4, reverse(0)),
        [(Kind::Reversed, 500, 499, 0, 0)],
        "below the threshold"
    );
    till.closed();
}

#[test]
fn s3_14_s3_16_a_cancelled_reward_is_a_line_and_so_is_what_comes_of_it() {
    let held = || {
        let mut till = issued();
        let (lines, _) = till.act(2, reward_outcome(&id(0), "bounced"));
        let line = &lines[0];
        assert_eq!((line.kind, line.points), (Kind::CancellationNeedsReview, 0));
        assert_eq!(line.detail.as_deref(), Some("bounced"));
        assert_eq!(line.reward_id, Some(id(0)));
        till
    };
    for (settle, expected) in [
        (
            decided(&id(0), "approve"),
            vec![(Kind::Approved, 0, 0, 0, 0), (Kind::Restored, 0, 0, 0, 0)],
        ),
        (
            decided(&id(0), "reject"),
            vec![
                (Kind::Declined, 0, 0, 0, 0),
                (Kind::Cancelled, 500, 500, 0, 0),
            ],
        ),
        (
            reward_outcome(&id(0), "issued"),
            vec![(Kind::Restored, 0, 0, 0, 0)],
        ),
    ] {
        let mut till = held();
        assert_eq!(till.told(3, settle), expected);
        till.closed();
    }
    // Freed by the program, issued again, and meanwhile spent otherwise.
    let mut till = issued();
    till.rules = program("on_cancelled = \"free\"\napproval = \"none\"\n", "");
    assert_eq!(
        till.told(2, reward_outcome(&id(0), "cancelled")),
        [(Kind::Cancelled, 500, 500, 0, 0)]
    );
    assert_eq!(
        till.told(3, decided(&id(0), "approve")),
        [
            (Kind::Approved, 0, 500, 0, 0),
            (Kind::Claimed, 0, 0, 500, 0),
            (Kind::Requested, 0, 0, 500, 0),
        ]
    );
    till.told(4, reward_outcome(&id(1), "issued"));
    assert_eq!(
        till.told(5, reward_outcome(&id(0), "issued")),
        [
            (Kind::Issued, -500, -500, 0, 0),
            (Kind::ReversalRequested, 0, -500, 0, 0),
        ]
    );
    let account = till.closed().accounts["a1"].clone();
    assert_eq!((account.earned, account.consumed), (500, 1_000));
}

#[test]
fn s3_14_s3_16_a_rejected_claim_that_was_claimed_again_and_is_issued_is_paid_for() {
    let mut till = Till::new(enabled());
    till.told(0, taken("grant", -1_100));
    till.told(1, reward_outcome(&id(0), "rejected"));
    till.told(2, decided(&id(0), "approve"));
    assert_eq!(
        till.told(3, reward_outcome(&id(0), "issued")),
        [(Kind::Issued, -500, 100, 500, 0)]
    );
    assert_eq!(
        till.told(4, reward_outcome(&id(1), "issued")),
        [(Kind::Issued, -500, 100, 0, 0)]
    );
    assert_eq!(till.closed().accounts["a1"].consumed, 1_000);
}

#[test]
fn s3_14_s3_16_a_cancellation_long_after_is_booked_and_its_tier_waits_all_the_same() {
    let long = 200 * DAY_MS;
    let free = || program("on_cancelled = \"free\"\napproval = \"none\"\n", "");
    for (word, kind, points) in [
        ("bounced", Kind::Cancelled, 500),
        ("cancelled", Kind::Cancelled, 500),
    ] {
        let mut till = issued();
        till.rules = free();
        let told = till.told(long, reward_outcome(&id(0), word));
        assert_eq!(told, [(kind, points, 500, 0, 0)]);
        assert_eq!(till.agent().rewards().issued().len(), 1, "its tier waits");
        till.closed();
    }
    for (settle, expected) in [
        (decided(&id(0), "approve"), (Kind::Restored, 0, 0, 0, 0)),
        (decided(&id(0), "reject"), (Kind::Cancelled, 500, 500, 0, 0)),
        (
            reward_outcome(&id(0), "issued"),
            (Kind::Restored, 0, 0, 0, 0),
        ),
    ] {
        let mut till = issued();
        till.told(2, reward_outcome(&id(0), "bounced"));
        let told = till.told(long, settle);
        assert_eq!(told.last(), Some(&expected));
        let waits = usize::from(expected.0 == Kind::Cancelled);
        assert_eq!(till.agent().rewards().issued().len(), waits);
        till.closed();
    }
}
