//! Claims and their thresholds, and how a reward stands after each line about it.

use aftercall_actors::contract::time::LogTime;

use super::*;

/// A line of agent `a` about reward `r` of tier `t/bronze`.
fn line(kind: Kind, available: i64, held: i64) -> Entry {
    Entry {
        position: 7,
        line: 0,
        time: LogTime(0),
        agent_id: "a".to_owned(),
        kind,
        points: 0,
        balance: available + held,
        available,
        held,
        debt: 0,
        workday: None,
        source: None,
        program: Some("t".to_owned()),
        tier: Some("bronze".to_owned()),
        reward_id: Some("r".to_owned()),
        detail: None,
        cause_source: "s".to_owned(),
        cause_id: "e".to_owned(),
        rules: "v1".to_owned(),
    }
}

/// What is told of these lines under rules by which `t/bronze` is reached at 500, and what becomes of the reward.
fn watched(lines: &[Entry]) -> (Vec<String>, Option<Reward>) {
    let told = RefCell::new(Vec::new());
    let mut watch = Watch::new(8, |found: Discrepancy| {
        told.borrow_mut().push(found.to_string());
    });
    let tiers = Tiers::from([(("t".into(), "bronze".into()), 500)]);
    watch.thresholds.insert("v1".into(), tiers);
    for line in lines {
        watch.line(line);
    }
    let mut verified = watch.finish();
    (told.into_inner(), verified.rewards.remove("r"))
}

#[test]
fn s3_04_a_claim_of_the_threshold_is_right_and_a_point_to_either_side_is_told() {
    let (told, reward) = watched(&[line(Kind::Claimed, 0, 500)]);
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(reward.map(|reward| reward.points), Some(500));
    for points in [499, 501] {
        let (told, _) = watched(&[line(Kind::Claimed, 0, points)]);
        let expected = format!(
            "claims, agent a, reward r, position 7: the book says {points} points were claimed of {points}; found a \
             threshold of 500"
        );
        assert_eq!(told, [expected]);
    }
    // The points have to be there: one less is a claim below the threshold.
    let (told, _) = watched(&[line(Kind::Claimed, -1, 500)]);
    assert_eq!(
        told,
        [
            "claims, agent a, reward r, position 7: the book says 500 points were claimed of 499; found a threshold of 500"
        ]
    );
}

#[test]
fn s3_04_what_a_claim_takes_is_what_the_agents_claims_hold_more_than_before() {
    let other = Entry {
        reward_id: Some("other".to_owned()),
        ..line(Kind::Claimed, 500, 500)
    };
    let (told, reward) = watched(&[other, line(Kind::Claimed, 0, 1_000)]);
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(reward.map(|reward| reward.points), Some(500));
    let stranger = Entry {
        rules: "v2".to_owned(),
        ..line(Kind::Claimed, 0, 500)
    };
    let (told, _) = watched(&[stranger]);
    assert!(
        told.len() == 1 && told[0].ends_with("no such tier in the rules of that moment"),
        "{told:?}"
    );
}

#[test]
fn s3_14_a_reward_stands_as_its_last_line_says() {
    use Standing::{Asked, Claimed, Doubted, Issued, Refused, TakenBack, TakingBack};
    for (kinds, expected) in [
        (&[Kind::Claimed][..], Claimed),
        (&[Kind::Claimed, Kind::Awaiting], Claimed),
        (&[Kind::Claimed, Kind::Awaiting, Kind::Declined], Refused),
        (&[Kind::Claimed, Kind::Withdrawn], Refused),
        (&[Kind::Claimed, Kind::Requested], Asked),
        (&[Kind::Claimed, Kind::Requested, Kind::NeedsReview], Asked),
        (&[Kind::Claimed, Kind::Requested, Kind::Rejected], Refused),
        (&[Kind::Claimed, Kind::Requested, Kind::Issued], Issued),
        (&[Kind::Issued, Kind::CancellationNeedsReview], Doubted),
        (
            &[
                Kind::Issued,
                Kind::CancellationNeedsReview,
                Kind::Declined,
                Kind::Cancelled,
            ],
            TakenBack,
        ),
        (
            &[
                Kind::Issued,
                Kind::CancellationNeedsReview,
                Kind::Approved,
                Kind::Restored,
            ],
            Issued,
        ),
        (&[Kind::Issued, Kind::Cancelled], TakenBack),
        (&[Kind::Issued, Kind::Cancelled, Kind::Issued], Issued),
        (&[Kind::Issued, Kind::ReversalRequested], TakingBack),
        (&[Kind::Issued, Kind::ReversalNeedsReview], TakingBack),
        (
            &[
                Kind::Issued,
                Kind::ReversalNeedsReview,
                Kind::Declined,
                Kind::ReversalRefused,
            ],
            Issued,
        ),
        (
            &[
                Kind::Issued,
                Kind::ReversalNeedsReview,
                Kind::Approved,
                Kind::Reversed,
            ],
            TakenBack,
        ),
    ] {
        let lines: Vec<Entry> = kinds.iter().map(|kind| line(*kind, 0, 500)).collect();
        let (_, reward) = watched(&lines);
        assert_eq!(
            reward.map(|reward| reward.standing),
            Some(expected),
            "{kinds:?}"
        );
    }
}
