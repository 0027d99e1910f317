//! A vendor's own list of rewards.

use aftercall::{
    sandbox::{call::Vendor, faults::Fault},
    sinks::http::listing::{Counted, ListingError, Named, Order},
};

use super::office::{Office, PATIENCE, reward};

const FROM: &str = "2026-01-01T00:00:00Z";
const TO: &str = "2026-12-31T00:00:00Z";

fn office() -> Office {
    Office::open(&format!("{}ms", PATIENCE.as_millis()), |_| {})
}

fn id(n: usize) -> String {
    format!("0192e4a7-0000-8000-8000-{n:012}")
}

async fn list(office: &Office) -> (Vec<Order>, Result<Counted, ListingError>) {
    let mut orders = Vec::new();
    let courier = office.courier("tremendous");
    let ended = courier.list(FROM, TO, |order| orders.push(order)).await;
    (orders, ended.expect("it has a list"))
}

#[tokio::test]
async fn s3_14_every_page_of_a_vendors_list_is_read_as_it_documents_them() {
    let office = office();
    for n in 0..205 {
        let mut reward = reward(&id(n), "gift_cards");
        // 24.95 has no exact binary form.
        reward.data["points_consumed"] = if n == 0 { 499.into() } else { 500.into() };
        office.turn("tremendous", &reward, 1, false).await;
    }
    let (orders, ended) = list(&office).await;
    let counted = Counted {
        pages: 3,
        orders: 205,
    };
    assert_eq!(ended.expect("the list"), counted);
    let ids: Vec<&str> = orders.iter().map(ours).collect();
    let newest_first: Vec<String> = (0..205).rev().map(id).collect();
    assert_eq!(ids, newest_first);
    let shown = |order: &Order| (order.status.clone(), order.points, order.order.is_some());
    assert_eq!(shown(&orders[0]), ("issued".to_owned(), Some(500), true));
    assert_eq!(shown(&orders[204]), ("issued".to_owned(), Some(499), true));
    let paths: Vec<String> = office
        .calls(Vendor::Tremendous)
        .into_iter()
        .filter(|(method, _)| method == "GET")
        .map(|(_, path)| path)
        .collect();
    let page = |offset| format!("/tremendous/api/v2/orders?limit=100&offset={offset}");
    assert_eq!(paths, [page(0), page(100), page(200)]);
}

#[tokio::test]
async fn s3_14_a_page_that_is_refused_for_a_while_is_read_later_and_one_that_stays_refused_is_an_error()
 {
    let office = office();
    let reward = reward(&id(1), "gift_cards");
    office.turn("tremendous", &reward, 1, false).await;
    let unavailable = Fault::Status {
        status: 503,
        retry_after: None,
    };
    office.fault(Vendor::Tremendous, "GET", 2, unavailable);
    let (orders, ended) = list(&office).await;
    assert_eq!((orders.len(), ended.expect("the list").orders), (1, 1));
    let refused = Fault::Status {
        status: 403,
        retry_after: None,
    };
    office.fault(Vendor::Tremendous, "GET", 1, refused);
    let (orders, ended) = list(&office).await;
    assert_eq!(orders, []);
    assert!(
        matches!(
            ended,
            Err(ListingError::Refused {
                page: 1,
                status: 403
            })
        ),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_destination_without_a_list_has_none() {
    let office = office();
    let listed = office.courier("rewards").list(FROM, TO, |_| {}).await;
    assert!(listed.is_none());
}

/// The reward's id, as it was sent.
fn ours(order: &Order) -> &str {
    match &order.of {
        Named::Ours(id) => id,
        Named::Theirs(kept) => panic!("named {kept:?}"),
    }
}
