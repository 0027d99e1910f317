//! The reward marketplace and Tremendous: each order once, whatever comes twice.

use serde_json::{Value, json};

use super::fixtures::{Answer, Vendors, order};

const ISSUE: &str = "/rewards/v1/rewards/issue";

fn issue(vendors: &mut Vendors, key: &str, body: &Value) -> Answer {
    let headers = [
        ("x-integration-id", "aftercall"),
        ("x-request-id", "r"),
        ("idempotency-key", key),
    ];
    vendors.json_with("POST", ISSUE, &headers, body)
}

fn reverse(vendors: &mut Vendors, id: &str) -> Answer {
    let path = format!("/rewards/v1/rewards/{id}");
    vendors.json_with("DELETE", &path, &[], &Value::Null)
}

#[test]
fn s3_06_each_header_is_demanded() {
    let all = [
        ("x-integration-id", "aftercall"),
        ("x-request-id", "r"),
        ("idempotency-key", "k"),
    ];
    for missing in 0..all.len() {
        let mut vendors = Vendors::new();
        let mut headers = all.to_vec();
        let (name, _) = headers.remove(missing);
        let answer = vendors.json_with("POST", ISSUE, &headers, &order("a"));
        assert_eq!((answer.status, answer.code()), (400, "missing_header"));
        assert!(answer.text().contains(name), "{}", answer.text());
        assert_eq!(answer.executed(), None);
    }
}

#[test]
fn s3_06_the_body_has_these_fields_and_no_others() {
    let mut vendors = Vendors::new();
    let change = |name: &str, value: Value| {
        let mut body = order("a");
        body[name] = value;
        body
    };
    let metadata = |value: Value| change("metadata", value);
    for (at, body) in [
        change("agent_email", json!("a@example.com")),
        change("agent_id", json!("")),
        change("reward_type", Value::Null),
        change("points_consumed", json!(0)),
        change("points_consumed", json!(1.5)),
        change("points_consumed", json!("500")),
        change("transaction_timestamp", json!("yesterday")),
        metadata(Value::Null),
        metadata(json!({ "source_platform": "a", "agent_name": "Ann" })),
        json!([]),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = issue(&mut vendors, "k", &body);
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid_body"),
            "{at}"
        );
    }
    // A key of a request that was no order is still free.
    assert_eq!(issue(&mut vendors, "k", &order("a")).status, 201);
    let headers = [
        ("content-type", "text/plain"),
        ("authorization", "Bearer sandbox-token"),
        ("x-integration-id", "a"),
        ("x-request-id", "r"),
        ("idempotency-key", "k2"),
    ];
    let answer = vendors.send("POST", ISSUE, &headers, &order("a").to_string());
    assert_eq!((answer.status, answer.code()), (400, "malformed"));
}

#[test]
fn s3_07_an_order_is_issued_once_and_its_answer_replayed() {
    let mut vendors = Vendors::new();
    let first = issue(&mut vendors, "k", &order("a"));
    assert_eq!(
        (first.status, &first.body["status"]),
        (201, &json!("ISSUED"))
    );
    assert_eq!(first.executed(), Some("k"));
    let again = issue(&mut vendors, "k", &order("a"));
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(again.executed(), None);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    let other = issue(&mut vendors, "k", &order("b"));
    assert_eq!((other.status, other.code()), (409, "idempotency_conflict"));
    let summary = vendors.shown("/ledger/summary");
    assert_eq!(summary["rewards"]["executions"], 1);
    assert_eq!(summary["rewards"]["replays"], 1);
}

#[test]
fn s3_07_a_rejection_is_a_200_and_is_replayed_too() {
    let mut vendors = Vendors::new();
    let control = json!({ "inventory": { "gift_card_50_usd": 1 }, "barred_agents": ["barred"] });
    vendors.control("/control/rewards", &control);
    let barred = issue(&mut vendors, "k0", &order("barred"));
    assert_eq!(
        (barred.status, &barred.body["reason"]),
        (200, &json!("POLICY_VIOLATION"))
    );
    assert_eq!(
        issue(&mut vendors, "k1", &order("a")).status,
        201,
        "the last one"
    );
    let none_left = issue(&mut vendors, "k2", &order("b"));
    assert_eq!(
        (none_left.status, &none_left.body["status"]),
        (200, &json!("REJECTED"))
    );
    assert_eq!(none_left.body["reason"], "INSUFFICIENT_INVENTORY");
    assert_eq!(none_left.executed(), None);
    vendors.control("/control/rewards", &json!({}));
    let again = issue(&mut vendors, "k2", &order("b"));
    assert_eq!(
        (again.status, &again.body),
        (200, &none_left.body),
        "the original answer"
    );
    assert_eq!(issue(&mut vendors, "k3", &order("b")).status, 201);
}

#[test]
fn s3_07_a_lie_is_a_rejection_that_binds_but_never_denies_what_was_issued() {
    let mut vendors = Vendors::new();
    assert_eq!(issue(&mut vendors, "issued", &order("a")).status, 201);
    let rule = json!({ "vendor": "rewards", "fault": "lie", "count": 2 });
    vendors.control("/control/faults", &rule);
    assert_eq!(
        issue(&mut vendors, "issued", &order("a")).body["status"],
        "ISSUED"
    );
    let lied = issue(&mut vendors, "new", &order("b"));
    assert_eq!(
        (lied.status, &lied.body["status"]),
        (200, &json!("REJECTED"))
    );
    assert_eq!(issue(&mut vendors, "new", &order("b")).body, lied.body);
}

#[test]
fn s3_12_a_reversal_is_done_once_by_either_id() {
    let mut vendors = Vendors::new();
    let id = issue(&mut vendors, "k", &order("a")).body["reward_id"].clone();
    let id = id.as_str().expect("an id");
    let first = reverse(&mut vendors, "k");
    assert_eq!(
        (first.status, &first.body["status"]),
        (200, &json!("REVERSED"))
    );
    assert_eq!(first.executed(), Some("reversal:k"));
    let again = reverse(&mut vendors, id);
    assert_eq!((again.status, again.executed()), (200, None));
    assert_eq!(again.body, first.body);
    let shown = vendors.get(&format!("/rewards/v1/rewards/{id}"));
    assert_eq!(shown.body["status"], "REVERSED");
    assert_eq!(reverse(&mut vendors, "nobody's").status, 404);
    assert_eq!(vendors.get("/rewards/v1/rewards/nobody's").status, 404);
    let all = vendors.get("/rewards/v1/rewards");
    assert_eq!(
        (&all.body["total"], &all.body["rewards"][0]["reference"]),
        (&json!(1), &json!("k"))
    );
}

#[test]
fn s3_12_a_reversal_can_be_refused() {
    let mut vendors = Vendors::new();
    issue(&mut vendors, "k", &order("a"));
    for (status, code) in [(409, "already_redeemed"), (422, "not_reversible")] {
        vendors.control("/control/rewards", &json!({ "refuse_reversals": status }));
        let refused = reverse(&mut vendors, "k");
        assert_eq!((refused.status, refused.code()), (status, code));
        assert_eq!(refused.executed(), None);
    }
    vendors.control("/control/rewards", &json!({ "redeemed_agents": ["a"] }));
    let redeemed = reverse(&mut vendors, "k");
    assert_eq!(
        (redeemed.status, redeemed.code()),
        (409, "already_redeemed")
    );
    let wrong = json!({ "refuse_reversals": 500 });
    assert_eq!(vendors.control_status("/control/rewards", &wrong), 400);
    let barred = json!({ "barred_agents": ["b"] });
    vendors.control("/control/rewards", &barred);
    issue(&mut vendors, "rejected", &order("b"));
    let never = reverse(&mut vendors, "rejected");
    assert_eq!((never.status, never.code()), (409, "never_issued"));
}

fn gift(external_id: Option<&str>, amount: f64) -> Value {
    let mut body = json!({
        "payment": { "funding_source_id": "balance" },
        "reward": {
            "value": { "denomination": amount, "currency_code": "USD" },
            "recipient": { "name": "Ann", "email": "ann@example.com" },
            "campaign_id": "C1",
        },
    });
    if let Some(id) = external_id {
        body["external_id"] = id.into();
    }
    body
}

const ORDERS: &str = "/tremendous/api/v2/orders";

#[test]
fn tremendous_answers_a_known_external_id_with_201_and_the_first_order() {
    let mut vendors = Vendors::new();
    let first = vendors.post(ORDERS, &gift(Some("x"), 50.0));
    assert_eq!((first.status, first.executed()), (201, Some("x")));
    assert_eq!(first.body["order"]["status"], "EXECUTED");
    assert_eq!(first.body["order"]["payment"]["total"], 50.0);
    let again = vendors.post(ORDERS, &gift(Some("x"), 75.0));
    assert_eq!((again.status, again.executed()), (201, None));
    assert_eq!(again.body, first.body, "whatever else the body says");
    let id = first.body["order"]["id"].as_str().expect("an id");
    for name in ["x", id] {
        assert_eq!(vendors.get(&format!("{ORDERS}/{name}")).body, first.body);
    }
    assert_eq!(vendors.get(&format!("{ORDERS}/y")).status, 404);
}

#[test]
fn tremendous_takes_orders_without_external_id_each_time() {
    let mut vendors = Vendors::new();
    let one = vendors.post(ORDERS, &gift(None, 10.0));
    let two = vendors.post(ORDERS, &gift(None, 10.0));
    assert!(one.executed().is_some() && two.executed().is_some());
    assert_ne!(one.body["order"]["id"], two.body["order"]["id"]);
    vendors.post(ORDERS, &gift(Some("x"), 10.0));
    assert_eq!(vendors.get(ORDERS).body["total_count"], 3);
    let found = vendors.get(&format!("{ORDERS}?external_id=x"));
    assert_eq!(found.body["total_count"], 1);
    assert_eq!(found.body["orders"][0]["external_id"], "x");
}

#[test]
fn tremendous_lists_ten_orders_or_up_to_a_hundred_the_newest_first() {
    let mut vendors = Vendors::new();
    for n in 0..120 {
        vendors.post(ORDERS, &gift(Some(&format!("x{n}")), 10.0));
    }
    let mut page = |query: &str| {
        let page = vendors.get(&format!("{ORDERS}?{query}"));
        assert_eq!(page.body["total_count"], 120);
        let orders = page.body["orders"].as_array().expect("a list").clone();
        let name = |order: &Value| order["external_id"].as_str().expect("an id").to_owned();
        (
            orders.len(),
            orders.first().map(name),
            orders.last().map(name),
        )
    };
    let named = |count, first: &str, last: &str| (count, Some(first.into()), Some(last.into()));
    assert_eq!(page(""), named(10, "x119", "x110"));
    assert_eq!(page("offset=10"), named(10, "x109", "x100"));
    assert_eq!(page("limit=100"), named(100, "x119", "x20"));
    assert_eq!(page("limit=100&offset=100"), named(20, "x19", "x0"));
    assert_eq!(page("offset=120"), (0, None, None));
    for query in ["limit=101", "limit=x", "offset=-1"] {
        let refused = vendors.get(&format!("{ORDERS}?{query}"));
        assert_eq!(refused.status, 400, "{query}");
        assert!(refused.body["errors"]["message"].is_string());
    }
}

#[test]
fn tremendous_refuses_an_order_that_is_not_complete() {
    let mut vendors = Vendors::new();
    let without = |path: &str| {
        let mut body = gift(Some("x"), 10.0);
        *body.pointer_mut(path).expect("a field") = Value::Null;
        body
    };
    for body in [
        without("/payment"),
        without("/payment/funding_source_id"),
        without("/reward"),
        without("/reward/value/denomination"),
        gift(Some("x"), 0.0),
    ] {
        let answer = vendors.post(ORDERS, &body);
        assert_eq!((answer.status, answer.executed()), (422, None), "{body}");
        assert!(answer.body["errors"]["message"].is_string());
    }
    let mut listed = gift(Some("x"), 10.0);
    let reward = listed
        .as_object_mut()
        .and_then(|body| body.remove("reward"));
    listed["rewards"] = json!([reward]);
    assert_eq!(
        vendors.post(ORDERS, &listed).status,
        201,
        "rewards as a list of one"
    );
}
