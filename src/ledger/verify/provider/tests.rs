//! Every standing against every word of a provider's, and lists that are not as they should be.

use super::*;

fn provider(own: &[&str], orders: &[(&str, &str, Option<i64>, Option<&str>)]) -> Provider {
    let mut all: BTreeMap<Box<str>, Vec<Order>> = BTreeMap::new();
    for (id, status, points, order) in orders {
        all.entry((*id).into()).or_default().push(Order {
            id: (*id).to_owned(),
            status: (*status).to_owned(),
            points: *points,
            order: order.map(str::to_owned),
        });
    }
    Provider {
        name: "vendor".to_owned(),
        selector: Selector::new(Vec::new(), None),
        count: orders.len() as u64,
        orders: all,
        own: own.iter().map(|id| (*id).into()).collect(),
    }
}

fn reward(standing: Standing) -> Reward {
    Reward {
        agent: "a".into(),
        points: 500,
        standing,
        position: 10,
    }
}

/// What is found of a reward `r`, and what is told of it.
fn compared(
    standing: Standing,
    orders: &[(&str, &str, Option<i64>, Option<&str>)],
    settled: Position,
) -> (Listed, Vec<String>) {
    let rewards = BTreeMap::from([("r".into(), reward(standing))]);
    let mut told = Vec::new();
    let listed = provider(&["r"], orders).compare(&rewards, settled, &mut |found| {
        told.push(found.to_string());
    });
    (listed, told)
}

#[test]
fn s3_14_every_standing_against_every_word() {
    use Standing::{Asked, Claimed, Issued, Refused, TakenBack, TakingBack};
    let words = [
        None,
        Some("issued"),
        Some("reversed"),
        Some("rejected"),
        Some("open"),
    ];
    for (standing, differs) in [
        (Claimed, [false, true, false, false, true]),
        (Asked, [false; 5]),
        (Issued, [true, false, true, true, true]),
        (TakingBack, [false; 5]),
        (TakenBack, [false, true, false, false, true]),
        (Refused, [false, true, false, false, true]),
    ] {
        for (word, differs) in words.into_iter().zip(differs) {
            let order = word.map(|word| ("r", word, Some(500), Some("O1")));
            let orders: Vec<_> = order.into_iter().collect();
            let (listed, told) = compared(standing, &orders, 10);
            assert_eq!(
                told.len(),
                usize::from(differs),
                "{standing:?} {word:?}: {told:?}"
            );
            assert_eq!(listed.compared + listed.open, 1);
            assert_eq!(listed.open == 1, standing.is_open());
        }
    }
}

#[test]
fn s3_14_what_moved_after_the_list_was_asked_for_is_left_out_and_not_a_position_earlier() {
    let nothing: [(&str, &str, Option<i64>, Option<&str>); 0] = [];
    let (listed, told) = compared(Standing::Issued, &nothing, 9);
    assert_eq!((listed.open, told.len()), (1, 0));
    let (listed, told) = compared(Standing::Issued, &nothing, 10);
    assert_eq!(
        (listed.compared, told.as_slice()),
        (
            1,
            &[
                "provider vendor, agent a, reward r, position 10: the book says issued for 500 points; found no such order"
                    .to_owned()
            ][..]
        )
    );
}

#[test]
fn s3_14_other_points_a_stranger_and_a_reward_that_was_given_twice_are_told() {
    let text = |told: Vec<String>| told.join("\n");
    let (_, told) = compared(Standing::Issued, &[("r", "issued", Some(499), None)], 10);
    assert!(
        text(told).ends_with("the book says issued for 500 points; found issued for 499 points")
    );
    // Who does not say what it cost is taken at its word.
    let (_, told) = compared(Standing::Issued, &[("r", "issued", None, None)], 10);
    assert_eq!(told, Vec::<String>::new());
    let (_, told) = compared(
        Standing::Issued,
        &[
            ("r", "issued", Some(500), None),
            ("x", "issued", Some(20), None),
        ],
        10,
    );
    assert_eq!(
        told,
        [
            "provider vendor, reward x: the book says that there is no such reward; found issued for 20 points"
        ]
    );
    let (_, told) = compared(
        Standing::Issued,
        &[
            ("r", "issued", Some(500), Some("O1")),
            ("r", "issued", Some(500), Some("O2")),
        ],
        10,
    );
    assert_eq!(
        told,
        [
            "provider vendor, agent a, reward r, position 10: the book says one reward; found 2 orders O1, O2"
        ]
    );
}
