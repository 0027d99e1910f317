//! Points become a reward at the marketplace, and the next one costs as many again (S3).

use aftercall::sandbox::{
    call::Vendor,
    faults::{Fault, Rule},
};
use serde_json::{Value, json};

use crate::{
    centre::{Centre, Place, Plan},
    program,
};

const PLAN: Plan = Plan {
    destinations: &["rewards", "slack"],
    changes: &[],
    rules: &[("enabled = false", "enabled = true")],
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_04_s3_05_s3_07_points_are_redeemed_once_and_a_rejection_is_told() {
    story(Place::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_04_s3_05_s3_07_the_same_on_a_real_nats_server() {
    story(Place::Nats).await;
}

async fn story(place: Place) {
    let centre = Centre::open(place, &PLAN).await;
    grant(&centre, "first", "a-17", 500).await;
    let first = centre.until_outputs("reward.requested", 1).await.remove(0);
    let told = centre.until_told(&first.id).await;
    assert_eq!((&*told.status, told.attempts), ("issued", 1));

    // The reward took its 500: 499 are not enough, and the one that makes them 500 is.
    grant(&centre, "almost", "a-17", 499).await;
    grant(&centre, "enough", "a-17", 1).await;
    let requests = centre.until_outputs("reward.requested", 2).await;
    let causes: Vec<&str> = requests
        .iter()
        .map(|request| request.attributes["cause"].as_str())
        .collect();
    assert_eq!(causes, ["centre first", "centre enough"]);
    centre.until_told(&requests[1].id).await;
    for request in &requests {
        centre.until_done(Vendor::Rewards, &request.id).await;
        assert_eq!(request.data["points_consumed"], 500);
    }
    assert_ne!(requests[0].id, requests[1].id);
    let orders = centre.calls(Vendor::Rewards);
    let keys: Vec<&Value> = orders.iter().map(|order| &order["key"]).collect();
    assert_eq!(keys, [&requests[0].id, &requests[1].id], "one order each");
    assert_eq!(centre.outputs_of("alert.raised").await, []);

    // A success that says no.
    let lie = Rule {
        count: Some(1),
        ..Rule::always(Vendor::Rewards, Fault::Lie)
    };
    centre.sandbox.sandbox.add_fault(lie).expect("a fault");
    grant(&centre, "unlucky", "a-18", 500).await;
    let rejected = centre.until_outputs("reward.requested", 3).await.remove(2);
    let told = centre.until_told(&rejected.id).await;
    assert_eq!((&*told.status, told.attempts), ("rejected", 1));
    let message = centre
        .until("an alert", async || {
            let mut messages = centre.slack_messages().into_iter();
            messages.find(|message| message["channel"] == "C0REWARDS")
        })
        .await;
    assert_eq!(
        message["text"], "🟠 Warning alert: reward rejected for a-18",
        "to administration, not to the agent's manager"
    );
    // It is a dead letter as well, and operators hear of those.
    let alerts = centre.until_outputs("alert.raised", 2).await;
    let rules: Vec<(&Value, &str)> = alerts
        .iter()
        .map(|alert| (&alert.data["rule"], alert.subject.as_str()))
        .collect();
    let of_agent = (&json!("reward_rejected"), "agent/a-18");
    let of_nobody = (&json!("dead_letters"), "queue/_");
    assert_eq!(rules.len(), 2, "{rules:?}");
    assert!(
        rules.contains(&of_agent) && rules.contains(&of_nobody),
        "{rules:?}"
    );
    assert_eq!(
        centre
            .sandbox
            .sandbox
            .executions(Vendor::Rewards, &rejected.id),
        0
    );

    // The actor knows: what it makes of it is its affair, so the letter is not to be sent again.
    let letters = centre
        .until("the letter", async || {
            let letters = centre.dead(&["ls", "--destination", "rewards", "--json"]);
            (!letters.is_empty()).then_some(letters)
        })
        .await;
    let about: Vec<Value> = letters
        .iter()
        .map(|letter| {
            json!([
                letter["output"]["id"],
                letter["reason"],
                letter["retryable"]
            ])
        })
        .collect();
    assert_eq!(about, [json!([rejected.id, "rejected", false])]);
    centre.close().await;
}

/// Gift cards, at a vendor that can be asked what became of an order.
const GIFT_CARDS: Plan = Plan {
    destinations: &["tremendous", "slack"],
    changes: &[(
        "tremendous",
        r#"timeout = { connect = "2s", total = "2s" }
           retry = { attempts = 4, first = "10ms", max = "200ms", unknown = "until_deadline" }"#,
    )],
    rules: &[
        ("enabled = false", "enabled = true"),
        ("name = \"recognition\"", "name = \"gift_cards\""),
    ],
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_09_an_order_whose_answer_was_lost_is_found_and_issued_once() {
    let centre = Centre::open(Place::Embedded, &GIFT_CARDS).await;
    let strike = |method: &str, fault, count| {
        let rule = Rule {
            method: Some(method.to_owned()),
            count,
            ..Rule::always(Vendor::Tremendous, fault)
        };
        centre.sandbox.sandbox.add_fault(rule).expect("a fault");
    };
    // Done, and nobody hears of it; and for a while nobody can be asked either.
    strike("POST", Fault::Lost, Some(1));
    let unavailable = Fault::Status {
        status: 503,
        retry_after: None,
    };
    strike("GET", unavailable, None);
    grant(&centre, "first", "a-17", 500).await;
    let request = centre.until_outputs("reward.requested", 1).await.remove(0);
    let asked = async || {
        let calls = centre.calls(Vendor::Tremendous);
        let asked = calls.iter().filter(|call| call["method"] == "GET").count();
        // More than the four attempts that a certain failure would have.
        (asked >= 6).then_some(())
    };
    centre.until("six questions", asked).await;
    // Unknown stays unknown: no word to the actor, so the tier stays locked, and no alert for it alone.
    assert!(centre.outcomes(&request.id).await.is_empty());
    grant(&centre, "more", "a-17", 600).await;
    assert_eq!(centre.outputs_of("reward.requested").await.len(), 1);
    assert_eq!(centre.outputs_of("alert.raised").await, []);

    centre.sandbox.sandbox.clear_faults();
    let told = centre.until_told(&request.id).await;
    assert_eq!(&*told.status, "issued");
    centre.until_done(Vendor::Tremendous, &request.id).await;
    // The tier is free again: the points that came meanwhile are the next reward.
    let requests = centre.until_outputs("reward.requested", 2).await;
    assert_ne!(requests[0].id, requests[1].id);
    centre.until_told(&requests[1].id).await;
    let sent: Vec<Value> = centre
        .calls(Vendor::Tremendous)
        .into_iter()
        .filter(|call| call["method"] == "POST")
        .collect();
    assert_eq!(sent.len(), 2, "one request a reward");
    assert_eq!(centre.outputs_of("alert.raised").await, []);
    centre.close().await;
}

/// A marketplace that knows rewards by its own ids alone: to take one back, and in its list.
const OWN_IDS: Plan = Plan {
    destinations: &["rewards", "reward-reversals", "slack"],
    changes: &[(
        "rewards",
        r#"[list]
           url = "{{ vars.rewards }}/v1/rewards"
           items = """
           body.rewards.map(r, {
             'kept': {'reward': r.reward_id}, 'points': r.points_consumed,
             'status': r.status == 'ISSUED' ? 'issued' : r.status == 'REVERSED' ? 'reversed' : 'rejected'
           })"""
        "#,
    )],
    rules: &[("enabled = false", "enabled = true")],
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_12_s3_14_the_marketplaces_own_id_goes_from_its_answer_to_the_reversal_and_the_list() {
    let mut centre = Centre::open(Place::Embedded, &OWN_IDS).await;
    let quirk = json!({ "own_ids_only": true });
    let set = centre.sandbox.sandbox.control("/control/rewards", &quirk);
    set.expect("a quirk");
    for agent in ["a-17", "a-18"] {
        grant(&centre, agent, agent, 500).await;
    }
    let requests = centre.until_outputs("reward.requested", 2).await;
    for request in &requests {
        let told = centre.until_told(&request.id).await;
        assert!(told.kept["reward"].starts_with("rw_"), "{told:?}");
    }
    grant(&centre, "mistaken", "a-17", -1).await;
    let reversal = centre
        .until_outputs("reward.reversal.requested", 1)
        .await
        .remove(0);
    let reward = &reversal.data["reward_id"];
    let told = centre.until_told(reward.as_str().expect("an id")).await;
    assert_eq!(reversal.data["kept"], json!(told.kept));
    let told = centre.until_told(&reversal.id).await;
    assert_eq!(&*told.status, "reversed");
    centre.stop().await;
    let verified = centre.run(&["ledger", "verify"]);
    let text = program::text(&verified);
    assert!(
        verified.status.success(),
        "{text}{}",
        program::errors(&verified)
    );
    assert!(text.contains("2 orders"), "{text}");
}

async fn grant(centre: &Centre, id: &str, agent: &str, points: i64) {
    let data = json!({
        "adjustment_id": id, "agent_id": agent, "points": points, "kind": "grant", "reason": "quarter",
        "effective_at": centre.now(),
    });
    centre.post(&[("points.adjusted", id, data)]).await;
}
