//! Both tables, pair by pair, and the identity of a reward.

use super::{
    id::reward_id,
    issued::{self, IssuedStatus},
    stage::{Claim, Input, Stage, Step},
};
use crate::{
    contract::{event::Kept, time::LogTime},
    rewards::points::{Part, Workday},
};

const NOW: LogTime = LogTime(9);
const TODAY: Workday = Workday(30);

fn claim(ordinal: u32, at: LogTime) -> Claim {
    let part = Part {
        day: Workday(7),
        points: 500,
    };
    Claim {
        ordinal,
        reward_type: "card".into(),
        points: 500,
        at,
        parts: vec![part],
        export_version: None,
        kept: Kept::new(),
    }
}

fn old() -> Claim {
    claim(1, LogTime(1))
}

fn new() -> Claim {
    claim(2, NOW)
}

/// A rejected claim holds no points.
fn rejected(on: Workday) -> Stage {
    let claim = Claim {
        parts: Vec::new(),
        ..old()
    };
    Stage::Rejected { claim, on }
}

const BEFORE: Workday = Workday(29);

#[test]
fn s3_04_every_pair_of_stage_and_input() {
    use Stage::{Awaiting, Locked, Open, Review};
    let reached = |approval| Input::Reached {
        claim: new(),
        approval,
    };
    let requested = Claim { at: NOW, ..old() };
    let late = Claim {
        parts: Vec::new(),
        ..old()
    };
    let table = [
        (Open, reached(false), Locked(new()), Step::Request),
        (Open, reached(true), Awaiting(new()), Step::Ask),
        (Open, Input::Issued, Open, Step::Ignore),
        (Open, Input::Rejected, Open, Step::Ignore),
        (Open, Input::Unclear, Open, Step::Ignore),
        (Open, Input::Approved, Open, Step::Ignore),
        (Open, Input::Declined, Open, Step::Ignore),
        (Open, Input::Short, Open, Step::Stay),
        (
            Awaiting(old()),
            reached(false),
            Awaiting(old()),
            Step::Ignore,
        ),
        (
            Awaiting(old()),
            reached(true),
            Awaiting(old()),
            Step::Ignore,
        ),
        (
            Awaiting(old()),
            Input::Issued,
            Awaiting(old()),
            Step::Ignore,
        ),
        (
            Awaiting(old()),
            Input::Rejected,
            Awaiting(old()),
            Step::Ignore,
        ),
        (
            Awaiting(old()),
            Input::Unclear,
            Awaiting(old()),
            Step::Ignore,
        ),
        (
            Awaiting(old()),
            Input::Approved,
            Locked(requested),
            Step::Request,
        ),
        (
            Awaiting(old()),
            Input::Declined,
            rejected(TODAY),
            Step::Release(old()),
        ),
        (Awaiting(old()), Input::Short, Open, Step::Release(old())),
        (Locked(old()), reached(false), Locked(old()), Step::Ignore),
        (Locked(old()), reached(true), Locked(old()), Step::Ignore),
        (Locked(old()), Input::Issued, Open, Step::Give(old())),
        (
            Locked(old()),
            Input::Rejected,
            rejected(TODAY),
            Step::Refuse(old()),
        ),
        (Locked(old()), Input::Unclear, Review(old()), Step::Park),
        (Locked(old()), Input::Approved, Locked(old()), Step::Ignore),
        (Locked(old()), Input::Declined, Locked(old()), Step::Ignore),
        (Locked(old()), Input::Short, Locked(old()), Step::Stay),
        (Review(old()), reached(false), Review(old()), Step::Ignore),
        (Review(old()), reached(true), Review(old()), Step::Ignore),
        (Review(old()), Input::Issued, Open, Step::Give(old())),
        (
            Review(old()),
            Input::Rejected,
            rejected(TODAY),
            Step::Refuse(old()),
        ),
        (Review(old()), Input::Unclear, Review(old()), Step::Ignore),
        (Review(old()), Input::Approved, Open, Step::Give(old())),
        (
            Review(old()),
            Input::Declined,
            rejected(TODAY),
            Step::Release(old()),
        ),
        (Review(old()), Input::Short, Review(old()), Step::Stay),
        (
            rejected(BEFORE),
            reached(false),
            Locked(new()),
            Step::Request,
        ),
        (rejected(BEFORE), reached(true), Awaiting(new()), Step::Ask),
        (
            rejected(BEFORE),
            Input::Issued,
            Open,
            Step::GiveLate(late.clone()),
        ),
        (
            rejected(BEFORE),
            Input::Rejected,
            rejected(BEFORE),
            Step::Ignore,
        ),
        (
            rejected(BEFORE),
            Input::Unclear,
            rejected(BEFORE),
            Step::Ignore,
        ),
        (
            rejected(BEFORE),
            Input::Approved,
            Open,
            Step::Reopen(late.clone()),
        ),
        (
            rejected(BEFORE),
            Input::Declined,
            rejected(BEFORE),
            Step::Ignore,
        ),
        (rejected(BEFORE), Input::Short, rejected(BEFORE), Step::Stay),
    ];
    // Five stages; seven inputs, one of them in two ways.
    assert_eq!(table.len(), 5 * 8);
    for (stage, input, expected, step) in table {
        let shown = format!("{stage:?}, {input:?}");
        assert_eq!(stage.after(input, TODAY, NOW), (expected, step), "{shown}");
    }
}

#[test]
fn s3_12_s3_16_every_pair_of_standing_and_input() {
    use IssuedStatus::{Debt, Issued, Reversed, Reversing, Review};
    use issued::{
        Input::{Approved, Declined, Refused, Short, TakenBack, Unclear, Undelivered},
        Step::{Doubt, Free, Ignore, Keep, Owe, Park, Reopen, Restore, Retake, Return, Reverse},
    };
    let inputs = [
        Short,
        TakenBack { frees: false },
        TakenBack { frees: true },
        Refused,
        Unclear,
        Undelivered { frees: false },
        Undelivered { frees: true },
        issued::Input::Issued,
        Approved,
        Declined,
    ];
    let held = |owed| IssuedStatus::Held { owed };
    let waiting = |owed, waits| IssuedStatus::Cancelled { owed, waits };
    let cancelled = |owed| waiting(owed, Some(TODAY));
    let before = Some(BEFORE);
    let mut table = vec![
        (
            Issued,
            [
                (Reversing, Reverse),
                (held(false), Doubt),
                (cancelled(false), Free),
                (Issued, Ignore),
                (Issued, Ignore),
                (held(false), Doubt),
                (cancelled(false), Free),
                (Issued, Ignore),
                (Issued, Ignore),
                (Issued, Ignore),
            ],
        ),
        (
            Reversing,
            [
                (Reversing, Ignore),
                (Reversed, Return),
                (Reversed, Return),
                (Debt, Owe),
                (Review, Park),
                (Reversing, Ignore),
                (Reversing, Ignore),
                (Reversing, Ignore),
                (Reversing, Ignore),
                (Reversing, Ignore),
            ],
        ),
        (
            Review,
            [
                (Review, Ignore),
                (Reversed, Return),
                (Reversed, Return),
                (Debt, Owe),
                (Review, Ignore),
                (Review, Ignore),
                (Review, Ignore),
                (Review, Ignore),
                (Reversed, Return),
                (Debt, Owe),
            ],
        ),
        (
            Debt,
            [
                (Debt, Ignore),
                (Reversed, Return),
                (Reversed, Return),
                (Debt, Ignore),
                (Debt, Ignore),
                (held(true), Doubt),
                (cancelled(true), Free),
                (Debt, Ignore),
                (Debt, Ignore),
                (Debt, Ignore),
            ],
        ),
        (Reversed, [(Reversed, Ignore); 10]),
        (
            held(false),
            [
                (held(false), Ignore),
                (held(false), Ignore),
                (cancelled(false), Free),
                (held(false), Ignore),
                (held(false), Ignore),
                (held(false), Ignore),
                (cancelled(false), Free),
                (Issued, Restore),
                (Issued, Keep),
                (cancelled(false), Return),
            ],
        ),
        // Its reversal was refused before, so it is never asked back again.
        (
            held(true),
            [
                (held(true), Ignore),
                (Reversed, Return),
                (Reversed, Return),
                (held(true), Ignore),
                (held(true), Ignore),
                (held(true), Ignore),
                (cancelled(true), Free),
                (Debt, Restore),
                (Debt, Keep),
                (cancelled(true), Return),
            ],
        ),
    ];
    for (owed, kept) in [(false, Issued), (true, Debt)] {
        for waits in [None, before] {
            let stands = waiting(owed, waits);
            let mut row = [(stands, Ignore); 10];
            row[7] = (kept, Retake);
            if waits.is_some() {
                row[8] = (waiting(owed, None), Reopen);
            }
            table.push((stands, row));
        }
    }
    // Seven standings, one of them in two ways and one in four.
    assert_eq!(table.len(), 5 + 2 + 4);
    for (standing, row) in table {
        for (input, expected) in inputs.into_iter().zip(row) {
            let found = standing.after(input, TODAY);
            assert_eq!(found, expected, "{standing:?}, {input:?}");
        }
    }
}

#[test]
fn s3_05_an_id_is_a_uuid_of_version_8_and_never_changes() {
    let ids = [
        reward_id("recognition", "agent-0417", "bronze", 0),
        reward_id("recognition", "agent-0417", "bronze", 1),
        reward_id("recognition", "agent-0417", "silver", 0),
        // The same letters, divided otherwise.
        reward_id("recognitio", "nagent-0417", "bronze", 0),
        reward_id("r", "\u{dc}n\u{ef} \u{1f44d}", "t", u32::MAX),
    ];
    assert_eq!(
        ids,
        [
            "0bb764a1-2fbd-86ce-8c5e-866fce82a61d",
            "a812a449-aab5-863e-852c-894570681d91",
            "13b1c48c-cae1-88ae-a122-5240f7fb7c30",
            "0cc1681d-44cf-84d9-b964-0fe59047bb42",
            "67711550-cba8-8529-a71c-9a4471de8fa6",
        ]
    );
    let example = include_str!("../../../../config/examples/reward.requested.json");
    let example: serde_json::Value = serde_json::from_str(example).unwrap();
    assert_eq!(example["data"]["reward_id"], ids[0]);
}

#[test]
fn s3_05_ids_of_a_hundred_thousand_rewards_differ_and_are_well_formed() {
    let mut ids: Vec<String> = Vec::new();
    for agent in 0..100 {
        for tier in ["bronze", "silver", "gold", "b"] {
            for ordinal in 0..250 {
                ids.push(reward_id("recognition", &agent.to_string(), tier, ordinal));
            }
        }
    }
    for id in &ids {
        let dashes: Vec<usize> = id.match_indices('-').map(|(at, _)| at).collect();
        assert_eq!((id.len(), dashes), (36, vec![8, 13, 18, 23]), "{id}");
        // RFC 9562: the version, and two bits of variant.
        assert_eq!(id.as_bytes()[14], b'8', "{id}");
        assert!(
            matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'),
            "{id}"
        );
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 100 * 4 * 250);
}
