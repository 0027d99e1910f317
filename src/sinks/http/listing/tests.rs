//! Pages, their end, and lists that have none.

use std::cell::RefCell;

use serde_json::json;

use super::*;
use crate::sinks::{
    expression::Expression,
    scope::{LISTED, LISTING},
    spec::{Body, Method, Request, Text},
    template::{Escape, Template},
};

const ITEMS: &str = "body.rewards.map(r, {'id': r.id, 'status': r.status, 'points': r.points})";

fn listing(items: &str, next: Option<&str>) -> Listing {
    let url = "https://a.example/?offset={{ cursor | default(0) }}&from={{ from }}";
    Listing {
        request: Request {
            method: Method::Get,
            url: Text::Template(Template::parse("url", url, Escape::Url, &LISTING).unwrap()),
            headers: Vec::new(),
            body: Body::None,
        },
        items: Expression::parse(items, &LISTED).unwrap(),
        next: next.map(|next| Expression::parse(next, &LISTED).unwrap()),
    }
}

fn answer(status: u16, body: Value) -> Answer {
    Answer {
        status,
        headers: Default::default(),
        body,
    }
}

/// What a list of these pages comes to: the addresses asked, the orders, and how it ended.
async fn read(
    listing: &Listing,
    pages: Vec<Result<Answer, Fault>>,
) -> (Vec<String>, Vec<Order>, Result<Counted, ListingError>) {
    let (asked, pages) = (RefCell::new(Vec::new()), RefCell::new(pages.into_iter()));
    let mut orders = Vec::new();
    let first = scope(&Scope::default(), "2026-01-01T00:00:00Z", "");
    let ended = all(
        listing,
        first,
        async |scope: &Scope| {
            let Text::Template(url) = &listing.request.url else {
                panic!("no template");
            };
            asked.borrow_mut().push(url.render(scope).unwrap());
            pages.borrow_mut().next().expect("a page")
        },
        |order| orders.push(order),
    )
    .await;
    (asked.into_inner(), orders, ended)
}

fn page(ids: &[&str], total: usize) -> Result<Answer, Fault> {
    let rewards: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "status": "issued", "points": 500}))
        .collect();
    Ok(answer(200, json!({"rewards": rewards, "total": total})))
}

const NEXT: &str = "(cursor == null ? 0 : int(cursor)) + size(body.rewards) < int(body.total) \
    ? (cursor == null ? 0 : int(cursor)) + size(body.rewards) : null";

#[tokio::test(start_paused = true)]
async fn pages_are_read_to_the_last_and_a_page_that_is_late_is_asked_for_again() {
    let listing = listing(ITEMS, Some(NEXT));
    let pages = vec![
        page(&["a", "b"], 5),
        Ok(answer(503, Value::Null)),
        Err(Fault::Lost("reset".into())),
        page(&["c", "d"], 5),
        page(&["e"], 5),
    ];
    let (asked, orders, ended) = read(&listing, pages).await;
    let offsets: Vec<&str> = asked
        .iter()
        .map(|url| &url["https://a.example/?offset=".len()..][..1])
        .collect();
    assert_eq!(offsets, ["0", "2", "2", "2", "4"]);
    let ids: Vec<&str> = orders.iter().map(ours).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "e"]);
    assert_eq!(orders[0].points, Some(500));
    let counted = Counted {
        pages: 3,
        orders: 5,
    };
    assert_eq!(ended.unwrap(), counted);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_be_had_is_an_error_and_no_short_list() {
    let plain = listing(ITEMS, Some(NEXT));
    let down = || Err(Fault::Connect("refused".into()));
    let (asked, _, ended) = read(&plain, vec![down(), down(), down(), down()]).await;
    assert_eq!(asked.len(), 4);
    assert!(matches!(ended, Err(ListingError::NoPage { page: 1, .. })));
    let (_, _, ended) = read(&plain, vec![Ok(answer(403, Value::Null))]).await;
    let refused = matches!(
        ended,
        Err(ListingError::Refused {
            page: 1,
            status: 403
        })
    );
    assert!(refused, "{ended:?}");
    // A page without the list, and items that are none.
    for (items, body) in [
        (ITEMS, json!({"total": 0})),
        ("body", json!({})),
        ("[{'status': 'issued'}]", json!({})),
        ("[{'id': 'a'}]", json!({})),
        (
            "[{'id': 'a', 'status': 'issued', 'points': 1.5}]",
            json!({}),
        ),
    ] {
        let (_, orders, ended) = read(&listing(items, None), vec![Ok(answer(200, body))]).await;
        let unreadable = matches!(ended, Err(ListingError::Unreadable { page: 1, .. }));
        assert!(unreadable && orders.is_empty(), "{items}: {ended:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_does_not_move_ends_the_reading() {
    let listing = listing("[]", Some("'same'"));
    let pages = vec![Ok(answer(200, json!({}))), Ok(answer(200, json!({})))];
    let (asked, _, ended) = read(&listing, pages).await;
    assert_eq!(asked.len(), 2);
    assert!(
        matches!(ended, Err(ListingError::Endless { .. })),
        "{ended:?}"
    );
}

#[test]
fn points_are_whole_numbers_however_they_are_written() {
    for (written, points) in [
        (json!(500), Some(500)),
        (json!(500.0), Some(500)),
        (json!(-1), Some(-1)),
        (json!(0.5), None),
        (json!("500"), None),
        (json!(1e17), None),
    ] {
        assert_eq!(whole(&written), points, "{written}");
    }
}

/// The reward's id, as it was sent.
fn ours(order: &Order) -> &str {
    match &order.of {
        Named::Ours(id) => id,
        Named::Theirs(kept) => panic!("named {kept:?}"),
    }
}
