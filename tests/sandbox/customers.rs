//! CRM, Salesforce and customer data platform.

use serde_json::{Value, json};

use super::fixtures::{Answer, START_MS, Vendors, record};

const CUSTOMERS: &str = "/crm/v1/customers";

fn put(vendors: &mut Vendors, key: &str, body: &Value) -> Answer {
    let path = format!("{CUSTOMERS}/{}", body["id"].as_str().expect("an id"));
    vendors.json_with("PUT", &path, &[("idempotency-key", key)], body)
}

#[test]
fn s4_06_a_customer_is_unknown_until_it_is_created() {
    let mut vendors = Vendors::new();
    let missing = put(&mut vendors, "k", &record("c1", "x"));
    assert_eq!((missing.status, missing.code()), (404, "unknown_customer"));
    // The same key again, as a sender falls back to creating.
    let created = vendors.json_with(
        "POST",
        CUSTOMERS,
        &[("idempotency-key", "k")],
        &record("c1", "x"),
    );
    assert_eq!((created.status, created.executed()), (201, Some("k")));
    let twice = vendors.post(CUSTOMERS, &record("c1", "y"));
    assert_eq!((twice.status, twice.code()), (409, "exists"));
    let updated = put(&mut vendors, "k2", &record("c1", "y"));
    assert_eq!((updated.status, updated.executed()), (200, Some("k2")));
    let shown = vendors.get(&format!("{CUSTOMERS}/c1"));
    assert_eq!(shown.body["attributes"]["last_interaction_summary"], "y");
    assert_eq!(
        (&shown.body["writes"], &shown.body["last_key"]),
        (&json!(2), &json!("k2"))
    );
    assert_eq!(vendors.get(CUSTOMERS).body["total"], 1);
}

#[test]
fn s4_06_an_erased_customer_stays_erased() {
    let mut vendors = Vendors::new();
    vendors.control(
        "/control/crm",
        &json!({ "create": ["c1", "c2"], "erase": ["c1"] }),
    );
    assert_eq!(put(&mut vendors, "k", &record("c1", "x")).status, 410);
    assert_eq!(vendors.post(CUSTOMERS, &record("c1", "x")).status, 410);
    let shown = vendors.get(&format!("{CUSTOMERS}/c1"));
    assert_eq!((shown.status, shown.code()), (410, "erased"));
    let all = vendors.get(CUSTOMERS);
    assert_eq!(
        (&all.body["total"], &all.body["customers"][0]["id"]),
        (&json!(1), &json!("c2"))
    );
}

#[test]
fn s4_04_a_key_seen_within_the_hour_brings_the_record_and_changes_nothing() {
    let mut vendors = Vendors::new();
    vendors.control("/control/crm", &json!({ "create": ["c1"] }));
    let first = put(&mut vendors, "k", &record("c1", "x"));
    vendors.now_ms = START_MS + 3_599_999;
    let again = put(&mut vendors, "k", &record("c1", "y"));
    assert_eq!(
        (again.status, &again.body, again.executed()),
        (200, &first.body, None)
    );
    vendors.now_ms = START_MS + 3_600_000;
    assert_eq!(
        put(&mut vendors, "k", &record("c1", "y")).executed(),
        Some("k")
    );
    let summary = vendors.shown("/ledger/summary");
    assert_eq!(
        summary["crm"]["repeated"],
        json!({ "k": 2 }),
        "and the judge sees it"
    );
}

#[test]
fn s4_07_a_body_of_10_kb_is_taken_and_a_byte_more_is_not() {
    let mut vendors = Vendors::new();
    vendors.control("/control/crm", &json!({ "create": ["c1"] }));
    let overhead = record("c1", "").to_string().len();
    let largest = record("c1", &"x".repeat(10_240 - overhead));
    assert_eq!(put(&mut vendors, "a", &largest).status, 200);
    let larger = record("c1", &"x".repeat(10_241 - overhead));
    assert_eq!(put(&mut vendors, "b", &larger).status, 413);
}

#[test]
fn s4_05_too_many_requests_are_told_how_long_to_wait() {
    let mut vendors = Vendors::new();
    vendors.control("/control/crm", &json!({ "create": ["c1"], "rate": 2.0 }));
    let path = format!("{CUSTOMERS}/c1");
    assert_eq!(vendors.get(&path).status, 200);
    assert_eq!(vendors.get(&path).status, 200);
    let limited = vendors.get(&path);
    assert_eq!(
        (limited.status, limited.header("Retry-After")),
        (429, Some("1"))
    );
    vendors.now_ms += 500;
    assert_eq!(vendors.get(&path).status, 200);
}

#[test]
fn s4_03_a_record_that_is_not_in_shape_is_refused() {
    let mut vendors = Vendors::new();
    vendors.control("/control/crm", &json!({ "create": ["c1"] }));
    let change = |name: &str, value: Value| {
        let mut body = record("c1", "x");
        body[name] = value;
        body
    };
    for body in [
        change("transcript", json!("all of it")),
        change("attributes", json!([])),
        change("last_updated", json!("now")),
    ] {
        let answer = put(&mut vendors, "k", &body);
        assert_eq!(
            (answer.status, answer.code()),
            (422, "invalid_body"),
            "{body}"
        );
    }
    let path = format!("{CUSTOMERS}/c2");
    let other = vendors.json_with("PUT", &path, &[], &record("c1", "x"));
    assert_eq!(other.status, 422, "another id than the path's");
}

const RESOLVE: &str = "/cdp/v1/profiles/resolve";

fn resolve(vendors: &mut Vendors, identifier: &str) -> Answer {
    let body = json!({ "identifier": identifier, "channel": "voice", "source": "aftercall" });
    vendors.post(RESOLVE, &body)
}

#[test]
fn s5_02_confidence_is_by_identifier() {
    let mut vendors = Vendors::new();
    for (identifier, confidence) in [
        ("+15550000", json!(0.95)),
        ("ann@example.com", json!(0.95)),
        ("+15550009", json!(0.9)),
        ("+15550008", json!(0.42)),
        ("+15550007", Value::Null),
    ] {
        let answer = resolve(&mut vendors, identifier);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body["confidence_score"], confidence, "{identifier}");
        assert_eq!(answer.body["status"], "success");
    }
    assert_eq!(resolve(&mut vendors, "+15550006").status, 404);
    let told = json!({ "confidence": { "+1": 0.901, "+2": null }, "unknown": ["+3"] });
    vendors.control("/control/cdp", &told);
    assert_eq!(resolve(&mut vendors, "+1").body["confidence_score"], 0.901);
    let silent = resolve(&mut vendors, "+2");
    assert!(silent.status == 200 && silent.body.get("confidence_score").is_none());
    assert_eq!(resolve(&mut vendors, "+3").status, 404);
}

#[test]
fn s5_11_the_answer_can_say_another_status_or_none() {
    let mut vendors = Vendors::new();
    vendors.control(
        "/control/cdp",
        &json!({ "status": { "+1": "error", "+2": "" } }),
    );
    let error = resolve(&mut vendors, "+1");
    assert_eq!(
        (error.status, &error.body["status"]),
        (200, &json!("error"))
    );
    let silent = resolve(&mut vendors, "+2");
    assert!(silent.body.get("status").is_none() && silent.body["profile"].is_object());
    assert_eq!(resolve(&mut vendors, "+3").body["status"], "success");
}

#[test]
fn s5_05_a_profile_can_be_beyond_10_kb() {
    let mut vendors = Vendors::new();
    vendors.control("/control/cdp", &json!({ "oversize": ["+1"] }));
    assert!(resolve(&mut vendors, "+1").reply.body.len() > 10_240);
    assert!(resolve(&mut vendors, "+2").reply.body.len() < 1_024);
}

#[test]
fn s5_09_a_profile_carries_what_must_be_masked() {
    let mut vendors = Vendors::new();
    let profile = resolve(&mut vendors, "+1").body["profile"].clone();
    assert!(profile["credit_card_number"].is_string() && profile["ssn"].is_string());
    assert!(
        profile["note"]
            .as_str()
            .is_some_and(|note| note.contains("5500 0000"))
    );
    let again = resolve(&mut vendors, "+1").body["profile"].clone();
    assert_eq!(profile, again, "the same identifier is the same person");
    let wrong = json!({ "identifier": "", "channel": "voice", "source": "a" });
    assert_eq!(vendors.post(RESOLVE, &wrong).status, 400);
}

#[test]
fn s5_06_an_outcome_without_a_user_is_refused_and_one_with_is_tracked_once() {
    let mut vendors = Vendors::new();
    let outcome = |user: &str| {
        json!({
            "userId": user, "interactionType": "voice", "outcome": "resolved", "duration": 240,
            "agentId": "a1", "timestamp": "2026-11-20T09:00:00Z",
        })
    };
    let track = |vendors: &mut Vendors, user: &str| {
        let key = [("idempotency-key", "k")];
        vendors.json_with("POST", "/cdp/v1/interactions/track", &key, &outcome(user))
    };
    assert_eq!(track(&mut vendors, "").status, 400);
    assert_eq!(track(&mut vendors, "u1").executed(), Some("k"));
    let again = track(&mut vendors, "u1");
    assert_eq!((again.status, again.executed()), (200, None));
    assert_eq!(
        vendors.shown("/control/cdp/tracked"),
        json!([outcome("u1")])
    );
}

const UPSERT: &str = "/salesforce/services/data/v62.0/composite/sobjects/Contact/Aftercall_Id__c";

fn upsert(vendors: &mut Vendors, all_or_none: bool, ids: &[&str]) -> Answer {
    let records: Vec<Value> = ids
        .iter()
        .map(|id| {
            json!({ "attributes": { "type": "Contact" }, "Aftercall_Id__c": id, "Segments__c": "churn_risk" })
        })
        .collect();
    let body = json!({ "allOrNone": all_or_none, "records": records });
    vendors.json_with("PATCH", UPSERT, &[], &body)
}

/// Success, created and error of each record.
fn results(answer: &Answer) -> Vec<(bool, bool, String)> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let results = answer.body.as_array().expect("a list").iter();
    let told = results.map(|result| {
        let code = result["errors"][0]["statusCode"].as_str();
        let code = code.unwrap_or_default().to_owned();
        (result["success"] == true, result["created"] == true, code)
    });
    told.collect()
}

#[test]
fn s4_03_salesforce_answers_200_with_a_result_for_each_record() {
    let mut vendors = Vendors::new();
    let good = |created| (true, created, String::new());
    let bad = |code: &str| (false, false, code.to_owned());
    assert_eq!(results(&upsert(&mut vendors, false, &["c1"])), [good(true)]);
    assert_eq!(
        results(&upsert(&mut vendors, false, &["c1"])),
        [good(false)]
    );
    let failing = json!({ "failing": { "c2": "UNABLE_TO_LOCK_ROW" } });
    vendors.control("/control/salesforce", &failing);
    let some = upsert(&mut vendors, false, &["c2", "c3"]);
    assert_eq!(results(&some), [bad("UNABLE_TO_LOCK_ROW"), good(true)]);
    assert!(some.executed().is_some());
    let none = upsert(&mut vendors, true, &["c2", "c4"]);
    let rolled_back = bad("ALL_OR_NONE_OPERATION_ROLLED_BACK");
    assert_eq!(results(&none), [bad("UNABLE_TO_LOCK_ROW"), rolled_back]);
    assert_eq!(none.executed(), None);
    let of =
        |id: &str| format!("/salesforce/services/data/v62.0/sobjects/Contact/Aftercall_Id__c/{id}");
    assert_eq!(vendors.get(&of("c3")).body["Segments__c"], "churn_risk");
    assert_eq!(vendors.get(&of("c4")).status, 404);
}

#[test]
fn s4_03_salesforce_refuses_what_is_not_well_formed() {
    let mut vendors = Vendors::new();
    let two_hundred: Vec<String> = (0..201).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = two_hundred.iter().map(String::as_str).collect();
    assert_eq!(upsert(&mut vendors, false, &ids[..200]).status, 200);
    for ids in [&ids[..], &[], &[""]] {
        let answer = upsert(&mut vendors, false, ids);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.body[0]["errorCode"], "JSON_PARSER_ERROR");
    }
    let other =
        json!({ "records": [{ "attributes": { "type": "Lead" }, "Aftercall_Id__c": "c1" }] });
    assert_eq!(vendors.json_with("PATCH", UPSERT, &[], &other).status, 400);
    let stranger = vendors.send("PATCH", UPSERT, &[], "{}");
    assert_eq!(
        (stranger.status, &stranger.body[0]["errorCode"]),
        (401, &json!("INVALID_SESSION_ID"))
    );
}
