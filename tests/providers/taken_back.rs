//! S3.12: what each vendor makes of a reward that is to be taken back.

use aftercall::{
    delivery::{attempt::Verdict, parcel::Parcel},
    sandbox::call::Vendor,
};
use serde_json::json;

use super::office::{Office, reversal, reward};

const ID: &str = "0192e4a7-0000-8000-8000-00000000000a";

async fn status(office: &Office, name: &str, parcel: &Parcel) -> Option<String> {
    let attempt = office.turn(name, parcel, 1, false).await;
    assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
    attempt.status
}

#[tokio::test]
async fn s3_12_a_gift_card_waits_for_a_person_until_its_order_is_canceled() {
    let office = Office::open("10s", |_| {});
    office
        .turn("tremendous", &reward(ID, "gift_cards"), 1, false)
        .await;
    let back = reversal(ID, "gift_cards");
    // The word of the outcome rule: needs_review.
    assert_eq!(status(&office, "tremendous-reversals", &back).await, None);
    let cancel = json!({ "cancel": [ID] });
    let set = office
        .sandbox
        .sandbox
        .control("/control/tremendous", &cancel);
    set.expect("an order that is there");
    let told = status(&office, "tremendous-reversals", &back).await;
    assert_eq!(told.as_deref(), Some("reversed"));
    let calls = office.calls(Vendor::Tremendous);
    let looked = ("GET".to_owned(), format!("/tremendous/api/v2/orders/{ID}"));
    assert_eq!(calls[1..], [looked.clone(), looked], "nothing is changed");
}

#[tokio::test]
async fn s3_12_each_program_is_taken_back_where_it_was_issued() {
    let office = Office::open("10s", |_| {});
    for (program, name, other) in [
        ("gift_cards", "tremendous-reversals", "reward-reversals"),
        ("recognition", "reward-reversals", "tremendous-reversals"),
    ] {
        let back = reversal(ID, program);
        let takes = |name| office.courier(name).destination().selector.selects(&back);
        assert!(takes(name) && !takes(other), "{program}");
    }
}

/// A marketplace that knows rewards by its own ids alone.
#[tokio::test]
async fn s3_12_a_reward_is_taken_back_by_the_id_that_the_marketplace_gave_it() {
    let office = Office::open("10s", |_| {});
    let quirk = json!({ "own_ids_only": true });
    let set = office.sandbox.sandbox.control("/control/rewards", &quirk);
    set.expect("a quirk");
    let issued = office
        .turn("rewards", &reward(ID, "recognition"), 1, false)
        .await;
    assert_eq!(issued.verdict, Verdict::Delivered);
    let own = &issued.kept["reward"];
    assert!(own.starts_with("rw_"), "{own}");
    let mut back = reversal(ID, "recognition");
    // By our id it is not there, and without a doubt that decides nothing.
    let attempt = office.turn("reward-reversals", &back, 1, false).await;
    assert!(
        matches!(attempt.verdict, Verdict::Unclear { .. }),
        "{attempt:?}"
    );
    back.data["kept"] = json!(issued.kept);
    assert_eq!(status(&office, "reward-reversals", &back).await, None);
    let paths: Vec<String> = office
        .calls(Vendor::Rewards)
        .into_iter()
        .filter(|(method, _)| method == "DELETE")
        .map(|(_, path)| path)
        .collect();
    let path = |id: &str| format!("/rewards/v1/rewards/{id}");
    assert_eq!(paths, [path(ID), path(own)]);
}

#[test]
fn an_order_nobody_placed_cannot_be_canceled() {
    let office = Office::open("10s", |_| {});
    let cancel = json!({ "cancel": [ID] });
    let set = office
        .sandbox
        .sandbox
        .control("/control/tremendous", &cancel);
    let refused = set.expect_err("an order that is not there");
    assert!(refused.contains(&format!("there is no order {ID}")));
}
