//! Random lives of an agent against a spreadsheet (`common/ledger`): rows and re-exports, surveys and their revisions,
//! grants and violations, answers of providers and of people, repeated and out of place, changes of the rules,
//! crashes, jumps of time.

mod common;
#[path = "common/ledger.rs"]
mod ledger;
#[path = "common/life.rs"]
mod life;

use std::collections::BTreeSet;

use life::{Family, Happens, Life, WINDOW, WORDS, families};
use proptest::{prelude::*, strategy::ValueTree as _};

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (-3i64..WINDOW + 3, -40i32..160, prop::option::of(0i64..6))
            .prop_map(|(back, value, recorded)| Happens::Row { back, value, recorded }),
        // Few workdays, so that they are exported again.
        2 => (0i64..3, -40i32..160, prop::option::of(0i64..6))
            .prop_map(|(back, value, recorded)| Happens::Row { back, value, recorded }),
        4 => (0u8..24, -160i32..120, -20i64..WINDOW + 3)
            .prop_map(|(id, points, back)| Happens::Adjusted { id, points, back }),
        3 => (any::<bool>(), -1i64..=1).prop_map(|(is_loss, more)| Happens::Edge { is_loss, more }),
        2 => (0u8..4, 0u8..3, any::<bool>())
            .prop_map(|(id, revision, delights)| Happens::Survey { id, revision, delights }),
        5 => (0usize..4, any::<bool>(), 0usize..WORDS.len())
            .prop_map(|(nth, is_reversal, word)| Happens::Answer { nth, is_reversal, word }),
        2 => (0usize..3, any::<bool>()).prop_map(|(nth, approve)| Happens::Decided { nth, approve }),
        4 => Just(Happens::Settled),
        1 => (0usize..WORDS.len()).prop_map(|word| Happens::Stranger { word }),
        2 => Just(Happens::Again),
        2 => any::<usize>().prop_map(Happens::Rules),
        2 => (0i64..12 * 24).prop_map(Happens::Hours),
        1 => (0i64..60 * 24).prop_map(Happens::Hours),
        2 => Just(Happens::UntilDue),
        1 => Just(Happens::Stored),
        2 => any::<usize>().prop_map(Happens::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]
    /// S3.01 to S3.13: the balance is the spreadsheet's, no reward is claimed below its threshold, over a limit or
    /// twice, and of each workday consumed, remaining, expired and owed points are the earned ones.
    #[test]
    fn s3_04_s3_12_s3_13_a_life_adds_up(
        family in any::<prop::sample::Index>(),
        life in prop::collection::vec(happens(), 1..60),
    ) {
        thread_local!(static FAMILIES: Vec<Family> = families());
        FAMILIES.with(|families| {
            let mut agent = Life::new(family.get(families));
            for happens in &life {
                agent.live(happens);
            }
        });
    }
}

/// So that the property is about something: every way a reward can go is gone in a thousand lives.
#[test]
fn lives_see_every_entry_and_every_rule() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let families = families();
    let lives = (0..families.len(), prop::collection::vec(happens(), 40..60));
    let (mut entries, mut said, mut seen) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for _ in 0..1_000 {
        let (family, life) = lives.new_tree(&mut runner).unwrap().current();
        let mut agent = Life::new(&families[family]);
        for happens in &life {
            agent.live(happens);
            let rewards = agent.ledger.rewards.iter();
            entries.extend(rewards.map(|reward| format!("{:?}", reward.entry)));
        }
        let ids = agent.said.iter();
        said.extend(ids.filter_map(|id| Some(id.split_once(':')?.0.to_owned())));
        seen.extend(agent.seen);
    }
    assert_eq!(entries.len(), 13, "{entries:?}");
    said.retain(|rule| rule.starts_with("reward_"));
    let alerts = [
        "reward_awaiting_approval",
        "reward_cancelled",
        "reward_issued_after_all",
        "reward_needs_review",
        "reward_rejected",
        "reward_reversal_refused",
    ];
    assert_eq!(said, alerts.map(str::to_owned).into());
    let all = [
        "a correction",
        "a re-export",
        "a repetition",
        "a revision",
        "an older record",
        "approved while it is stopped",
        "woken at the end of a limit",
        "woken when a loss left",
    ];
    assert_eq!(seen, all.into());
}
