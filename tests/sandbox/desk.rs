//! Genesys, survey tokens, the warehouse, coaching tasks and signed webhooks.

use serde_json::{Value, json};

use super::fixtures::{START_MS, Vendors};

fn recording(vendors: &mut Vendors, id: &str) -> Value {
    let answer = vendors.get(&format!("/genesys/api/v2/conversations/{id}/recordings"));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body[0].clone()
}

#[test]
fn s2_08_a_recording_is_uploading_for_a_while_and_then_has_a_link() {
    let mut vendors = Vendors::new();
    vendors.control("/control/genesys", &json!({ "recording_after_ms": 30_000 }));
    assert_eq!(
        vendors.get("/genesys/api/v2/conversations/i1").body["id"],
        "i1"
    );
    vendors.now_ms = START_MS + 29_999;
    let early = recording(&mut vendors, "i1");
    assert_eq!(early["fileState"], "UPLOADING");
    assert!(early.get("mediaUris").is_none());
    vendors.now_ms = START_MS + 30_000;
    let there = recording(&mut vendors, "i1");
    assert_eq!(
        (&there["fileState"], &there["conversationId"]),
        (&json!("AVAILABLE"), &json!("i1"))
    );
    let link = there["mediaUris"]["S"]["mediaUri"].as_str();
    assert!(link.is_some_and(|link| link.starts_with("https://")));
}

#[test]
fn s2_08_a_recording_can_fail_be_deleted_or_never_have_been() {
    let mut vendors = Vendors::new();
    let told = json!({ "recordings": {
        "a": "available", "f": "failed", "d": "deleted", "n": "none", "u": "unknown",
    } });
    vendors.control("/control/genesys", &told);
    assert_eq!(recording(&mut vendors, "a")["fileState"], "AVAILABLE");
    assert_eq!(recording(&mut vendors, "f")["fileState"], "ERROR");
    assert_eq!(recording(&mut vendors, "d")["fileState"], "DELETED");
    assert_eq!(recording(&mut vendors, "n"), Value::Null);
    for path in ["", "/recordings"] {
        let answer = vendors.get(&format!("/genesys/api/v2/conversations/u{path}"));
        assert_eq!((answer.status, answer.code()), (404, "not.found"));
    }
    let wrong = json!({ "recordings": { "a": "lost" } });
    assert_eq!(vendors.control_status("/control/genesys", &wrong), 400);
}

#[test]
fn s2_07_a_summary_is_there_still_being_made_or_unknown() {
    let mut vendors = Vendors::new();
    let told = json!({
        "summaries": { "i1": "A refund.", "i2": null }, "recordings": { "u": "unknown" },
    });
    vendors.control("/control/genesys", &told);
    let of = |id: &str| format!("/genesys/api/v2/conversations/{id}/summaries");
    assert_eq!(vendors.get(&of("i1")).body["summary"]["text"], "A refund.");
    assert_eq!(vendors.get(&of("i2")).status, 202);
    let made_up = vendors.get(&of("i3"));
    assert!(
        made_up.body["summary"]["text"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    assert_eq!(vendors.get(&of("u")).status, 404);
}

#[test]
fn s2_09_supervisors_are_a_page_and_superiors_a_list() {
    let mut vendors = Vendors::new();
    let ann = json!({ "id": "u1", "name": "Ann", "email": "ann@example.com", "slack": "U01" });
    let bob = json!({ "id": "u2", "name": "Bob" });
    let told =
        json!({ "supervisors": { "q1": [ann], "q0": [] }, "superiors": { "a1": [ann, bob] } });
    vendors.control("/control/genesys", &told);
    let of = |queue: &str| format!("/genesys/api/v2/routing/queues/{queue}/supervisors");
    let page = vendors.get(&of("q1")).body;
    assert_eq!(
        (&page["entities"], &page["total"]),
        (&json!([ann]), &json!(1))
    );
    assert_eq!(vendors.get(&of("q0")).body["entities"], json!([]));
    let made_up = vendors.get(&of("q-9")).body["entities"][0].clone();
    assert_eq!(made_up["slack"], "C0Q9");
    assert_eq!(made_up["email"], "supervisor.q9@example.com");
    let chain = vendors.get("/genesys/api/v2/users/a1/superiors").body;
    assert_eq!(chain, json!([ann, bob]));
    let stray = vendors.get("/genesys/api/v2/interactions/i1");
    assert_eq!((stray.status, stray.code()), (404, "no_such_path"));
}

fn request(agent: &str, interaction: &str) -> Value {
    json!({
        "grant_type": "client_credentials",
        "scope": "survey:read survey:write",
        "claims": { "sub": agent, "interaction_id": interaction, "exp_offset_seconds": 300 },
    })
}

fn redeem(vendors: &mut Vendors, token: &Value, agent: &str, interaction: &str) -> (u16, String) {
    let body = json!({ "token": token, "agent_id": agent, "interaction_id": interaction });
    let answer = vendors.post("/survey/v1/tokens/redeem", &body);
    (answer.status, answer.code().to_owned())
}

const GENERATE: &str = "/survey/v1/tokens/generate";

#[test]
fn s1_04_a_survey_token_is_for_one_agent_and_interaction_and_works_once() {
    let mut vendors = Vendors::new();
    let given = vendors.post(GENERATE, &request("a1", "i1"));
    assert_eq!((given.status, given.executed()), (201, Some("a1/i1")));
    assert_eq!(given.body["expires_at"], "2025-11-20T01:05:00.000Z");
    let token = given.body["token"].clone();
    let refused = |status, code: &str| (status, code.to_owned());
    assert_eq!(
        redeem(&mut vendors, &token, "a2", "i1"),
        refused(403, "not_yours")
    );
    assert_eq!(
        redeem(&mut vendors, &token, "a1", "i2"),
        refused(403, "not_yours")
    );
    assert_eq!(
        redeem(&mut vendors, &json!("x"), "a1", "i1"),
        refused(404, "unknown_token")
    );
    assert_eq!(
        redeem(&mut vendors, &token, "a1", "i1"),
        (200, String::new())
    );
    assert_eq!(
        redeem(&mut vendors, &token, "a1", "i1"),
        refused(409, "used")
    );
}

#[test]
fn s1_04_a_survey_token_is_invalid_after_300_seconds() {
    let mut vendors = Vendors::new();
    let one = vendors.post(GENERATE, &request("a1", "i1")).body["token"].clone();
    let two = vendors.post(GENERATE, &request("a1", "i2")).body["token"].clone();
    vendors.now_ms = START_MS + 299_999;
    assert_eq!(redeem(&mut vendors, &one, "a1", "i1").0, 200);
    vendors.now_ms = START_MS + 300_000;
    assert_eq!(
        redeem(&mut vendors, &two, "a1", "i2"),
        (410, "expired".to_owned())
    );
}

#[test]
fn s1_02_a_token_request_that_is_not_in_shape_is_refused() {
    let mut vendors = Vendors::new();
    let change = |pointer: &str, value: Value| {
        let mut body = request("a1", "i1");
        *body.pointer_mut(pointer).expect("a field") = value;
        body
    };
    for body in [
        change("/grant_type", json!("password")),
        change("/scope", json!("survey:read")),
        change("/claims", Value::Null),
        change("/claims/sub", json!("")),
        change("/claims/interaction_id", Value::Null),
        change("/claims/exp_offset_seconds", json!(0)),
        change("/claims/exp_offset_seconds", json!(3_601)),
    ] {
        let answer = vendors.post(GENERATE, &body);
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid_body"),
            "{body}"
        );
    }
}

const EVENTS: &str = "/warehouse/api/v1/enps_events";

fn scored(score: i64, category: &str) -> Value {
    json!({
        "event_type": "enps_submission", "agent_id": "a1", "interaction_id": "i1",
        "raw_score": score, "category": category, "submitted_at": "2026-11-20T09:00:00Z",
        "metadata": { "queue_id": "q1", "wrap_up_code": null },
    })
}

#[test]
fn s1_08_a_row_is_stored_once_and_never_changed() {
    let mut vendors = Vendors::new();
    let first = vendors.post(EVENTS, &scored(9, "promoter"));
    assert_eq!(
        (first.status, first.executed()),
        (201, Some("a1/i1/2026-11-20T09:00:00Z"))
    );
    let again = vendors.post(EVENTS, &scored(9, "promoter"));
    assert_eq!(
        (again.status, &again.body["status"], again.executed()),
        (200, &json!("duplicate"), None)
    );
    let changed = vendors.post(EVENTS, &scored(10, "promoter"));
    assert_eq!((changed.status, changed.code()), (409, "immutable"));
    for method in ["PUT", "PATCH", "DELETE"] {
        let answer =
            vendors.json_with(method, &format!("{EVENTS}/1"), &[], &scored(10, "promoter"));
        assert_eq!(
            (answer.status, answer.header("Allow")),
            (405, Some("GET, POST")),
            "{method}"
        );
    }
    let rows = vendors.get(EVENTS).body;
    assert_eq!(
        rows,
        json!({ "total": 1, "events": [scored(9, "promoter")] })
    );
    let keyed = vendors.json_with(
        "POST",
        EVENTS,
        &[("idempotency-key", "k")],
        &scored(9, "promoter"),
    );
    assert_eq!(
        keyed.executed(),
        Some("k"),
        "a key of its own is another event"
    );
}

#[test]
fn s1_08_score_and_category_must_agree() {
    let mut vendors = Vendors::new();
    for (score, right, wrong) in [
        (0, "detractor", "passive"),
        (6, "detractor", "passive"),
        (7, "passive", "detractor"),
        (8, "passive", "promoter"),
        (9, "promoter", "passive"),
        (10, "promoter", "detractor"),
    ] {
        let key = score.to_string();
        let mut send = |category: &str| {
            let headers = [("idempotency-key", key.as_str())];
            vendors
                .json_with("POST", EVENTS, &headers, &scored(score, category))
                .status
        };
        assert_eq!((send(wrong), send(right)), (422, 201), "{score}");
    }
    assert_eq!(vendors.post(EVENTS, &scored(11, "promoter")).status, 422);
}

#[test]
fn s2_11_a_coaching_task_is_created_once_a_key() {
    let mut vendors = Vendors::new();
    let path = "/coaching/v1/tasks";
    let task = |reason: &str| json!({ "agent_id": "a1", "reason": reason, "rule": "spike" });
    let key = [("idempotency-key", "k")];
    let first = vendors.json_with("POST", path, &key, &task("detractors"));
    assert_eq!((first.status, first.executed()), (201, Some("k")));
    let again = vendors.json_with("POST", path, &key, &task("detractors"));
    assert_eq!(
        (again.status, &again.body, again.executed()),
        (201, &first.body, None)
    );
    assert_eq!(
        vendors.json_with("POST", path, &key, &task("other")).status,
        409
    );
    assert_eq!(vendors.post(path, &json!({ "agent_id": "a1" })).status, 422);
    assert_eq!(
        vendors.post(path, &task("detractors")).status,
        201,
        "without a key, another one"
    );
    assert_eq!(vendors.get(path).body["total"], 2);
}

/// Signed with `sandbox::WEBHOOK_SECRET`, computed by another program: `hmac.new(b"sandbox-sandbox-sandbox", ...)` of
/// Python over `msg_1.1763600400.{}`.
const SIGNATURE: &str = "v1,2AJ/YIsAaX63t5YxvnjXBlj0V2YzdgV5os+IAaysLLs=";

fn hook(vendors: &mut Vendors, id: &str, time: &str, signature: &str, body: &str) -> (u16, bool) {
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", time),
        ("webhook-signature", signature),
    ];
    let answer = vendors.send("POST", "/hooks/aftercall", &headers, body);
    (answer.status, answer.executed() == Some(id))
}

#[test]
fn a_signed_webhook_is_taken_once_and_an_unsigned_one_never() {
    let mut vendors = Vendors::new();
    let time = "1763600400";
    for (id, time, signature, body) in [
        ("msg_2", time, SIGNATURE, "{}"),
        ("msg_1", "1763600401", SIGNATURE, "{}"),
        ("msg_1", time, SIGNATURE, "[]"),
        ("msg_1", time, "v1,AAAA", "{}"),
        ("msg_1", time, "v2,abc", "{}"),
        ("msg_1", "soon", SIGNATURE, "{}"),
        ("", time, SIGNATURE, "{}"),
        ("msg_1", "", SIGNATURE, "{}"),
        ("msg_1", time, "", "{}"),
    ] {
        assert_eq!(
            hook(&mut vendors, id, time, signature, body),
            (401, false),
            "{id} {time} {body}"
        );
    }
    let among_others = format!("v1,AAAA {SIGNATURE}");
    assert_eq!(
        hook(&mut vendors, "msg_1", time, &among_others, "{}"),
        (200, true)
    );
    assert_eq!(
        hook(&mut vendors, "msg_1", time, SIGNATURE, "{}"),
        (200, false),
        "again"
    );
    vendors.control("/control/hooks", &json!({ "secret": "whsec_bmV4dA==" }));
    assert_eq!(
        hook(&mut vendors, "msg_1", time, SIGNATURE, "{}"),
        (401, false)
    );
}

#[test]
fn a_signature_is_good_for_five_minutes_either_way() {
    for (offset_ms, status) in [
        (-301_000, 401),
        (-300_000, 200),
        (300_999, 200),
        (301_000, 401),
    ] {
        let mut vendors = Vendors::new();
        vendors.now_ms = START_MS + offset_ms;
        let answer = hook(&mut vendors, "msg_1", "1763600400", SIGNATURE, "{}");
        assert_eq!(answer.0, status, "{offset_ms}");
    }
}
