//! S3.09: what became of a request whose answer never came.

use aftercall::{
    delivery::attempt::{Attempt, Fault as Gone, Verdict},
    sandbox::{call::Vendor, faults::Fault},
};
use serde_json::{Value, json};

use super::office::{Office, PATIENCE, reward};

fn patience() -> String {
    format!("{}ms", PATIENCE.as_millis())
}

fn office() -> Office {
    Office::open(&patience(), |_| {})
}

fn is_unknown(attempt: &Attempt) -> bool {
    matches!(attempt.verdict, Verdict::Again { unknown: true, .. })
}

const ORDERS: &str = "/tremendous/api/v2/orders";

fn path_of(id: &str) -> (String, String) {
    ("GET".to_owned(), format!("{ORDERS}?external_id={id}"))
}

fn order() -> (String, String) {
    ("POST".to_owned(), ORDERS.to_owned())
}

#[tokio::test]
async fn s3_09_an_order_that_is_found_is_issued_without_a_second_request() {
    for fault in [Fault::Lost, Fault::Late] {
        let office = office();
        let id = "0192e4a7-0000-8000-8000-000000000001";
        let reward = reward(id, "gift_cards");
        office.fault(Vendor::Tremendous, "POST", 1, fault);
        let first = office.turn("tremendous", &reward, 1, false).await;
        assert!(is_unknown(&first), "{first:?}");
        assert_eq!(office.executions(Vendor::Tremendous, id), 1, "done unheard");

        let second = office.turn("tremendous", &reward, 2, true).await;
        assert_eq!(second.verdict, Verdict::Delivered);
        assert_eq!(second.status.as_deref(), Some("issued"));
        let response = second.response.expect("what the actor is told");
        assert_eq!(response["status"], "EXECUTED");
        assert!(response["order"].is_string());
        let calls = office.calls(Vendor::Tremendous);
        assert_eq!(calls, [order(), path_of(id)], "{fault}");
        assert_eq!(office.executions(Vendor::Tremendous, id), 1);
    }
}

#[tokio::test]
async fn s3_09_an_order_that_is_not_known_is_sent_again_under_the_same_id() {
    let office = office();
    let id = "0192e4a7-0000-8000-8000-000000000002";
    let reward = reward(id, "gift_cards");
    // Another agent's order is not taken for this one.
    let other = super::office::reward("0192e4a7-0000-8000-8000-00000000000f", "gift_cards");
    office.turn("tremendous", &other, 1, false).await;
    office.fault(Vendor::Tremendous, "POST", 1, Fault::Drop);
    let first = office.turn("tremendous", &reward, 1, false).await;
    assert!(is_unknown(&first), "{first:?}");
    assert_eq!(office.executions(Vendor::Tremendous, id), 0);

    let second = office.turn("tremendous", &reward, 2, true).await;
    assert_eq!(
        (second.verdict, second.status.as_deref()),
        (Verdict::Delivered, Some("issued"))
    );
    let calls = office.calls(Vendor::Tremendous);
    assert_eq!(calls[1..], [order(), path_of(id), order()]);
    assert_eq!(office.executions(Vendor::Tremendous, id), 1);
}

#[tokio::test]
async fn s3_09_a_question_that_fails_leaves_the_outcome_unknown_and_sends_nothing() {
    let office = office();
    let id = "0192e4a7-0000-8000-8000-000000000003";
    let reward = reward(id, "gift_cards");
    office.fault(Vendor::Tremendous, "POST", 1, Fault::Lost);
    office.turn("tremendous", &reward, 1, false).await;
    let status = |status| Fault::Status {
        status,
        retry_after: Some(3),
    };
    let faults = [
        Fault::Hang,
        Fault::Drop,
        status(503),
        status(429),
        status(400),
    ];
    for (number, fault) in (2..).zip(faults) {
        office.fault(Vendor::Tremendous, "GET", 1, fault);
        let asked = office.turn("tremendous", &reward, number, true).await;
        assert!(is_unknown(&asked), "{fault}: {asked:?}");
        let Err(Gone::InDoubt { after, .. }) = &asked.result else {
            panic!("{fault}: {asked:?}");
        };
        let told = matches!(fault, Fault::Status { .. });
        assert_eq!(
            after.map(|after| after.as_secs()),
            told.then_some(3),
            "{fault}"
        );
        assert_eq!((asked.status, asked.response), (None, None));
    }
    let posts = office.calls(Vendor::Tremendous).into_iter();
    assert_eq!(posts.filter(|call| *call == order()).count(), 1);
    // And once it answers again, all is known.
    let asked = office.turn("tremendous", &reward, 7, true).await;
    assert_eq!(asked.verdict, Verdict::Delivered);
    assert_eq!(office.executions(Vendor::Tremendous, id), 1);
}

#[tokio::test]
async fn s3_09_without_doubt_nothing_is_asked() {
    let office = office();
    let id = "0192e4a7-0000-8000-8000-000000000004";
    let reward = reward(id, "gift_cards");
    let unavailable = Fault::Status {
        status: 503,
        retry_after: None,
    };
    office.fault(Vendor::Tremendous, "POST", 1, unavailable);
    for number in 1..=2 {
        office.turn("tremendous", &reward, number, false).await;
    }
    assert_eq!(office.calls(Vendor::Tremendous), [order(), order()]);
}

#[tokio::test]
async fn s3_09_a_marketplace_that_cannot_be_asked_gets_the_same_id_again() {
    let office = office();
    let id = "0192e4a7-0000-8000-8000-000000000005";
    let reward = reward(id, "recognition");
    office.fault(Vendor::Rewards, "POST", 1, Fault::Lost);
    let first = office.turn("rewards", &reward, 1, false).await;
    assert!(is_unknown(&first), "{first:?}");
    let second = office.turn("rewards", &reward, 2, true).await;
    assert_eq!(second.verdict, Verdict::Delivered, "{second:?}");
    let issue = ("POST".to_owned(), "/rewards/v1/rewards/issue".to_owned());
    assert_eq!(office.calls(Vendor::Rewards), [issue.clone(), issue]);
    assert_eq!(office.executions(Vendor::Rewards, id), 1);
}

#[tokio::test]
async fn s3_11_a_question_sees_only_what_may_leave() {
    let lookup = |one: &mut toml::Table| {
        if one["name"].as_str() == Some("tremendous") {
            let lookup = one["lookup"].as_table_mut().expect("a table");
            let url = "{{ vars.tremendous }}/api/v2/orders?external_id={{ data.reward_id }}\
                &tier={{ data.tier | default('nothing') }}";
            lookup.insert("url".into(), url.into());
        }
    };
    let office = Office::open(&patience(), lookup);
    let id = "0192e4a7-0000-8000-8000-000000000006";
    let reward = reward(id, "gift_cards");
    assert!(reward.data["tier"].is_string(), "there is a tier to leave");
    office.turn("tremendous", &reward, 2, true).await;
    let (_, asked) = &office.calls(Vendor::Tremendous)[0];
    assert_eq!(*asked, format!("{ORDERS}?external_id={id}&tier=nothing"));
}

#[tokio::test]
async fn s3_09_an_answer_that_was_found_is_judged_as_the_request_s_own() {
    // An order that failed there is a rejection, found late or at once.
    let failed = |one: &mut toml::Table| {
        if one["name"].as_str() == Some("tremendous") {
            let lookup = one["lookup"].as_table_mut().expect("a table");
            let answer = "{'status': 201, 'body': {'order': {'id': 'O1', 'status': 'FAILED'}}}";
            lookup.insert("answer".into(), answer.into());
        }
    };
    let office = Office::open(&patience(), failed);
    let reward = reward("0192e4a7-0000-8000-8000-000000000007", "gift_cards");
    let asked = office.turn("tremendous", &reward, 2, true).await;
    assert!(
        matches!(asked.verdict, Verdict::Rejected { .. }),
        "{asked:?}"
    );
    let told: Option<Value> = asked.response;
    assert_eq!(told, Some(json!({ "order": "O1", "status": "FAILED" })));
    assert_eq!(office.calls(Vendor::Tremendous).len(), 1);
}
