//! Every standing against every word of a provider's, and lists that are not as they should be.

use super::*;

fn provider(own: &[&str], orders: &[(&str, &str, Option<i64>, Option<&str>)]) -> Provider {
    let mut all: BTreeMap<Box<str>, Vec<Order>> = BTreeMap::new();
    for (id, status, points, order) in orders {
        all.entry((*id).into()).or_default().push(Order {
            of: Named::Ours((*id).to_owned()),
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
        theirs: BTreeMap::new(),
        own: own.iter().map(|id| (*id).into()).collect(),
    }
}

fn reward(standing: Standing) -> Reward {
    Reward {
        in_review: false,
        agent: "a".into(),
        points: 500,
        standing,
        position: 10,
        kept: Kept::new(),
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

#[test]
fn s3_14_orders_that_only_have_ids_of_the_provider_are_found_by_what_was_kept_of_its_answers() {
    let kept = |order: &str| Kept::from([("order".to_owned(), order.to_owned())]);
    let order = |of: Kept, status: &str| Order {
        of: Named::Theirs(of),
        status: status.to_owned(),
        points: Some(500),
        order: None,
    };
    let given = |order: Option<&str>| Reward {
        kept: order.map(kept).unwrap_or_default(),
        ..reward(Standing::Issued)
    };
    let rewards = BTreeMap::from([
        ("fine".into(), given(Some("O1"))),
        ("reversed there".into(), given(Some("O2"))),
        ("unknown there".into(), given(Some("O3"))),
        ("without an id".into(), given(None)),
        // At another provider, whose ids are its own affair.
        ("elsewhere".into(), given(Some("O9"))),
    ]);
    let own = ["fine", "reversed there", "unknown there", "without an id"];
    let mut provider = provider(&own, &[]);
    for (id, status) in [("O1", "issued"), ("O2", "reversed"), ("O9", "issued")] {
        provider
            .theirs
            .insert(kept(id), vec![order(kept(id), status)]);
    }
    let mut told = Vec::new();
    let listed = provider.compare(&rewards, 10, &mut |found| told.push(found.to_string()));
    assert_eq!(listed.compared, 4);
    let of = |id: &str, found: &str| {
        format!(
            "provider vendor, agent a, reward {id}, position 10: the book says issued for 500 points; found {found}"
        )
    };
    assert_eq!(
        told,
        [
            "provider vendor: the book says that no reward was given order O9; found issued for 500 points"
                .to_owned(),
            of("reversed there", "reversed for 500 points"),
            of("unknown there", "no such order"),
            of("without an id", "no such order"),
        ]
    );
}
