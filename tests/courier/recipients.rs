//! Who is told: the steps in their order, and what happens when one of them fails (S2.09, S2.10, S2.12).

use std::time::{Duration, Instant};

use aftercall::delivery::attempt::{Fault, Verdict};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{
    fixtures::{Office, example},
    vendor::{Reply, Vendor},
};

const QUEUE: &str = "GET /queues/billing-emea/supervisors";
const MANAGER: &str = "GET /users/agent-0417/superiors";

#[tokio::test]
async fn s2_09_the_queues_supervisors_else_the_manager_else_the_default() {
    let vendor = Vendor::start().await;
    let office = office(&vendor, "0s");
    let people = |ids: &[&str]| {
        let people: Vec<Value> = ids
            .iter()
            .map(|id| json!({"name": id, "slack": id}))
            .collect();
        Reply::Json(200, json!({ "entities": people }))
    };
    vendor.on(
        QUEUE,
        vec![
            people(&["U1", "U2"]),
            people(&[]),
            Reply::Json(404, json!({})),
        ],
    );
    vendor.on(MANAGER, vec![people(&["U9"]), people(&[])]);
    let (channel, said) = told(&office, &vendor).await;
    assert_eq!(channel, "U1");
    // The second supervisor is named in it.
    assert!(said.contains("<@U2>") && !said.contains("recipients from"));
    assert_eq!(told(&office, &vendor).await.0, "U9");
    let (channel, said) = told(&office, &vendor).await;
    assert_eq!(channel, "C0DUTY");
    // Nobody failed: there was nobody.
    assert!(!said.contains("recipients from"));
}

#[tokio::test]
async fn s2_10_bots_and_unassigned_interactions_have_people_of_their_own() {
    let vendor = Vendor::start().await;
    let office = office(&vendor, "0s");
    vendor.on(
        "GET /queues/billing-emea/supervisors",
        vec![Reply::Json(200, json!({"entities": [{"slack": "U1"}]}))],
    );
    let mut bot = example("alert.raised");
    bot.subject = "bot/concierge".to_owned();
    assert_eq!(office.attempt(&bot).await.verdict, Verdict::Delivered);
    let received = vendor.only();
    assert_eq!(received.json()["channel"], "C0BOTS");
    let mut unassigned = example("alert.raised");
    unassigned.subject = "queue/billing-emea".to_owned();
    unassigned.data["owner"] = json!("queue/billing-emea");
    for field in ["agent_id", "agent_name"] {
        unassigned
            .data
            .as_object_mut()
            .expect("fields")
            .remove(field);
    }
    assert_eq!(
        office.attempt(&unassigned).await.verdict,
        Verdict::Delivered
    );
    let received = vendor.take().pop().expect("a message");
    assert_eq!(received.json()["channel"], "U1");
    assert!(received.body.contains("an unassigned interaction"));
}

#[tokio::test]
async fn s2_12_a_lookup_that_fails_or_hangs_loses_no_alert_and_is_told_of() {
    let vendor = Vendor::start().await;
    let office = office(&vendor, "0s");
    let failures = [
        Reply::Json(500, json!({})),
        Reply::Json(401, json!({})),
        Reply::Json(200, json!({"unexpected": []})),
        Reply::Text(200, "not JSON"),
        Reply::Break,
        Reply::Hang,
    ];
    for failure in failures {
        vendor.on(QUEUE, vec![failure.clone()]);
        vendor.on(MANAGER, vec![Reply::Json(200, json!({"entities": []}))]);
        let since = Instant::now();
        let (channel, said) = told(&office, &vendor).await;
        assert_eq!(channel, "C0DUTY", "{failure:?}");
        assert!(
            said.contains("recipients from 127.0.0.1"),
            "{failure:?}: {said}"
        );
        // Its own timeout, not the destination's.
        assert!(since.elapsed() < Duration::from_secs(2), "{failure:?}");
    }
}

#[tokio::test]
async fn s2_09_many_at_once_ask_once_and_a_failure_is_not_kept() {
    let vendor = Vendor::start().await;
    let office = office(&vendor, "5m");
    vendor.on(
        QUEUE,
        vec![
            Reply::Json(503, json!({})),
            Reply::Json(200, json!({"entities": [{"slack": "U1"}]})),
        ],
    );
    assert_eq!(told(&office, &vendor).await.0, "C0DUTY");
    let parcel = example("alert.raised");
    let attempts = join_all((0..20).map(|_| office.attempt(&parcel))).await;
    assert!(attempts.iter().all(|a| a.verdict == Verdict::Delivered));
    let lines = vendor.lines();
    assert_eq!(lines.iter().filter(|line| *line == QUEUE).count(), 1);
    assert_eq!(lines.len(), 21);
}

#[tokio::test]
async fn s2_12_nobody_at_all_is_for_later_and_no_rejection() {
    let vendor = Vendor::start().await;
    let office = Office::new(&format!(
        "[[recipient]]\npeople = \"[{{'name': 'No address'}}]\"\n{}",
        slack(&vendor)
    ));
    let attempt = office.attempt(&example("alert.raised")).await;
    assert_eq!(
        attempt.result,
        Err(Fault::NotReady(
            "nobody with a Slack id was found for it".to_owned()
        ))
    );
    assert!(matches!(
        attempt.verdict,
        Verdict::Again { unknown: false, .. }
    ));
}

#[tokio::test]
async fn s3_07_s3_16_what_ships_tells_administration_and_operations_and_not_the_superior() {
    let vendor = Vendor::start().await;
    let people = Reply::Json(200, json!({"entities": [{"name": "Ute", "slack": "U1"}]}));
    vendor.on(
        "GET /api/v2/routing/queues/billing-emea/supervisors",
        vec![people],
    );
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/config/destinations.toml");
    let shipped = std::fs::read_to_string(file).expect("the reference");
    let named = "name = \"slack\"\n";
    let (before, after) = shipped.split_once(named).expect("it ships");
    let text = format!("{before}{named}url = \"{}/api\"\n{after}", vendor.url());
    let text = text.replace(
        "people = \"https://people.example.com\"",
        &format!("people = \"{}\"", vendor.url()),
    );
    slack(&vendor);
    let office = Office::new(&text);
    let channel = async |audience: Option<&str>| {
        let mut parcel = example("alert.raised");
        if let Some(audience) = audience {
            parcel.data["audience"] = json!(audience);
        }
        let attempt = office.courier("slack").attempt(&parcel, None, 1).await;
        assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
        let message = vendor.take().pop().expect("a message");
        message.json()["channel"].as_str().map(str::to_owned)
    };
    assert_eq!(
        channel(Some("administration")).await.as_deref(),
        Some("C0REWARDS")
    );
    assert_eq!(
        channel(Some("operations")).await.as_deref(),
        Some("C0OPERATIONS")
    );
    assert_eq!(channel(Some("supervisor")).await.as_deref(), Some("U1"));
    assert_eq!(channel(None).await.as_deref(), Some("U1"));
    // Where one address serves a whole floor, only what is the floor's.
    for (name, takes) in [
        ("teams", false),
        ("slack-webhook", false),
        ("slack", true),
        ("email", true),
    ] {
        for audience in ["administration", "operations"] {
            let mut parcel = example("alert.raised");
            parcel.data["audience"] = json!(audience);
            let destination = office.courier(name).destination();
            assert_eq!(
                destination.selector.selects(&parcel),
                takes,
                "{name} {audience}"
            );
        }
        let parcel = example("alert.raised");
        assert!(
            office.courier(name).destination().selector.selects(&parcel),
            "{name}"
        );
    }
}

/// The channel of the message about an alert, and the message.
async fn told(office: &Office, vendor: &Vendor) -> (String, String) {
    let attempt = office.attempt(&example("alert.raised")).await;
    assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
    let message = vendor.take().pop().expect("a message");
    assert_eq!(message.line, "POST /api/chat.postMessage");
    let channel = message.json()["channel"]
        .as_str()
        .expect("a channel")
        .to_owned();
    (channel, message.body)
}

fn office(vendor: &Vendor, cache: &str) -> Office {
    let url = vendor.url();
    let people = "body.entities.map(p, {'name': has(p.name) ? p.name : null, 'slack': p.slack})";
    let text = format!(
        "[[recipient]]\nwhen = \"subject.startsWith('bot/')\"\npeople = \"[{{'slack': 'C0BOTS'}}]\"\n\
         [[recipient]]\nwhen = \"has(data.queue_id)\"\nurl = \"{url}/queues/{{{{ data.queue_id }}}}/supervisors\"\n\
         people = \"{people}\"\ntimeout = \"500ms\"\ncache = \"{cache}\"\n\
         [[recipient]]\nwhen = \"has(data.agent_id)\"\nurl = \"{url}/users/{{{{ data.agent_id }}}}/superiors\"\n\
         people = \"{people}\"\ntimeout = \"500ms\"\ncache = \"{cache}\"\n\
         [[recipient]]\npeople = \"[{{'slack': 'C0DUTY'}}]\"\n{}",
        slack(vendor)
    );
    Office::new(&text)
}

fn slack(vendor: &Vendor) -> String {
    vendor.on(
        "POST /api/chat.postMessage",
        vec![Reply::Json(
            200,
            json!({"ok": true, "channel": "C1", "ts": "1.2"}),
        )],
    );
    format!(
        "[[destination]]\nname = \"slack\"\non = [\"alert\"]\nchannel = \"slack\"\nurl = \"{}/api\"\n\
         auth = {{ kind = \"bearer\", token = \"env:SLACK\" }}\n",
        vendor.url()
    )
}
