//! A story with faults: rewards at two vendors, lost answers, refusals, points taken back, a debt.

use std::collections::BTreeSet;

use aftercall::sandbox::{
    call::Vendor,
    faults::{Fault, Rule},
};
use serde_json::{Value, json};

use crate::{
    centre::{Centre, Place, Plan},
    program,
    told::Told,
};

/// The marketplace documents no list; its sandbox has one.
const LIST: &str = r#"
[list]
url = "{{ vars.rewards }}/v1/rewards"
items = """body.rewards.map(r, {'id': r.reference, 'order': r.reward_id, 'points': r.points_consumed, \
'status': r.status == 'ISSUED' ? 'issued' : r.status == 'REVERSED' ? 'reversed' : 'rejected'})"""
"#;

const QUICK: &str = r#"retry = { first = "10ms", max = "50ms" }"#;

/// What 500 points are too many for. Here its reversals go to the marketplace, which knows nothing of gift cards.
const GIFT_CARDS: &str = r#"
[[program]]
name = "gift_cards"
enabled = true

[[program.tier]]
name = "card"
threshold = 300
reward_type = "C1"
"#;

const PLAN: Plan = Plan {
    destinations: &["rewards", "reward-reversals", "tremendous"],
    changes: &[
        ("rewards", LIST),
        ("rewards", QUICK),
        ("reward-reversals", QUICK),
        ("reward-reversals", "when = \"true\""),
        // Gift cards were bought elsewhere: this marketplace does not know them, and what it took back it still knows.
        (
            "reward-reversals",
            "success = \"status == 200 && body.status == 'REVERSED'\"\nrejected = \"status in [404, 409, 422]\"",
        ),
        ("tremendous", QUICK),
    ],
    rules: &[
        ("enabled = false", "enabled = true"),
        ("# cap = { rewards = 2, per = \"30d\" }\n", GIFT_CARDS),
    ],
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_14_after_a_story_with_faults_nothing_differs() {
    story(Place::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_14_nor_does_it_on_a_real_nats_server() {
    story(Place::Nats).await;
}

async fn story(place: Place) {
    let mut centre = Centre::open(place, &PLAN).await;
    let chance = |vendor, fault, probability| {
        let rule = Rule {
            probability: Some(probability),
            seed: Some(7),
            ..Rule::always(vendor, fault)
        };
        centre.sandbox.sandbox.add_fault(rule).expect("a fault");
    };
    let unavailable = Fault::Status {
        status: 503,
        retry_after: None,
    };
    for vendor in [Vendor::Rewards, Vendor::Tremendous] {
        chance(vendor, Fault::Lost, 0.3);
        chance(vendor, Fault::Drop, 0.2);
        chance(vendor, unavailable, 0.1);
    }
    // One workday, whether or not midnight passes: else its second value would replace nothing.
    let day = centre.now()[..10].to_owned();
    for n in 0..12 {
        let agent = format!("a-{n}");
        let points = 280 + 40 * n;
        grant(&centre, &format!("g-{n}"), &agent, points).await;
        metric(&centre, &format!("m-{n}"), &agent, (&*day, 20 + n)).await;
    }
    let settled = settle(&centre).await;
    assert!(settled.figure("issued") >= 10, "{}", settled.summary);

    // Points taken from agents who have spent them: back from the marketplace, and a debt for gift cards, which it
    // does not know.
    for n in 0..12 {
        adjust(
            &centre,
            &format!("v-{n}"),
            &format!("a-{n}"),
            -120,
            "violation",
        )
        .await;
        // A re-export with another value.
        let value = (&*day, 25 + n);
        metric(&centre, &format!("r-{n}"), &format!("a-{n}"), value).await;
    }
    // Only who is refused while points are lacking owes something: the grants wait for the answers.
    settle(&centre).await;
    for n in 0..6 {
        grant(&centre, &format!("h-{n}"), &format!("a-{n}"), 150).await;
    }
    settle(&centre).await;
    centre.sandbox.sandbox.clear_faults();
    centre.stop().await;

    // Nothing is on its way any more.
    let told = verify(&centre).good();
    assert_eq!((told.figure("unpublished"), told.figure("open")), (0, 0));
    assert_eq!(told.figure("agents"), 12);
    let providers = &told.summary["providers"];
    for name in ["rewards", "tremendous"] {
        let listed = &providers[name];
        assert!(listed["compared"].as_i64() >= Some(1), "{providers}");
        assert!(listed["orders"].as_i64() >= listed["compared"].as_i64());
    }
    // The book as it is exported comes to the same.
    let export = centre.run(&["ledger", "export", "--format", "ndjson"]);
    assert!(export.status.success(), "{}", program::errors(&export));
    let lines: Vec<Value> = program::text(&export)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line"))
        .collect();
    assert_eq!(told.figure("entries"), lines.len() as i64);
    let sum: i64 = lines
        .iter()
        .filter_map(|line| line["points"].as_i64())
        .sum();
    assert_eq!(told.figure("points"), sum);
    let kinds: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line["kind"].as_str())
        .collect();
    let expected = [
        "adjusted",
        "claimed",
        "debt_paid",
        "earned",
        "issued",
        "replaced",
        "requested",
        "reversal_refused",
        "reversal_requested",
        "reversed",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);

    // For people.
    let output = centre.run(&["ledger", "verify"]);
    let text = program::text(&output);
    assert!(text.ends_with("no difference\n"), "{text}");
    assert!(text.contains("\nprovider  tremendous: "), "{text}");
}

fn verify(centre: &Centre) -> Told {
    Told::of(&centre.run(&["ledger", "verify", "--json"]))
}

/// Verifies beside the running service until nothing is on its way any more. At no time does anything differ.
async fn settle(centre: &Centre) -> Told {
    let look = async || {
        let output = centre.run(&["ledger", "verify", "--json"]);
        // The faults hit the questions as well, now and then each try of one.
        if program::errors(&output).contains("of its list") {
            return None;
        }
        let told = Told::of(&output).good();
        let still = told.figure("open") + told.figure("unpublished");
        let last = centre.log.bounds().await.expect("bounds").last;
        let behind = last as i64 - told.figure("position");
        (still == 0 && behind <= 1 && told.figure("rewards") > 0).then_some(told)
    };
    centre.until("rewards that stand still", look).await
}

async fn grant(centre: &Centre, id: &str, agent: &str, points: i64) {
    adjust(centre, id, agent, points, "grant").await;
}

async fn adjust(centre: &Centre, id: &str, agent: &str, points: i64, kind: &str) {
    let data = json!({
        "adjustment_id": id, "agent_id": agent, "points": points, "kind": kind, "reason": "quarter",
        "effective_at": centre.now(),
    });
    centre.post(&[("points.adjusted", id, data)]).await;
}

async fn metric(centre: &Centre, id: &str, agent: &str, (day, value): (&str, i64)) {
    let data = json!({
        "agent_id": agent, "date": day, "metric": "points", "value": value, "recorded_at": centre.now(),
    });
    centre.post(&[("wfm.metric.recorded", id, data)]).await;
}
