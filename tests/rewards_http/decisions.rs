//! What people decide about rewards: what follows from it, and what is refused.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::centre::{KIM, LOU, TOKEN, id, named, problem, program, with_centre};

#[test]
fn s3_04_an_approved_claim_is_requested_and_the_agent_sees_each_step() {
    with_centre(&approved(), |centre| async move {
        centre.row("a1", "2025-12-30", 520).await;
        let told = centre.points("a1").await;
        assert_eq!(lock(&told), (json!(id("a1", 0)), json!("awaiting")));
        assert_eq!(sums(&told), (520, 20, 500));
        assert_eq!(told["days"][0]["taken"], 500);

        let answer = centre
            .decide(&id("a1", 0), "approve", json!({ "by": "kim" }))
            .await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let decided: Value = answer.json().await.unwrap();
        let (stored, newest) = (centre.stored(), centre.newest());
        assert_eq!(
            decided,
            json!({
                "reward_id": id("a1", 0), "agent_id": "a1", "decision": "approve", "position": stored,
            })
        );
        assert_eq!(newest["type"], "reward.decided");
        assert_eq!(
            (&newest["data"]["by"], &newest["source"]),
            (&json!("kim"), &json!("aftercall/desk"))
        );
        assert_eq!(
            lock(&centre.points("a1").await),
            (json!(id("a1", 0)), json!("locked"))
        );
        let requested = ("reward.requested".to_owned(), id("a1", 0));
        assert_eq!(centre.requests(1).await, std::slice::from_ref(&requested));

        // Once more: it does not wait any longer, and nothing is stored.
        let again = centre
            .decide(&id("a1", 0), "approve", json!({ "by": "kim" }))
            .await;
        let refused = problem(again, 409, "reward-not-waiting").await;
        assert_eq!(refused["state"], "locked");
        assert!(
            refused["detail"]
                .as_str()
                .unwrap()
                .contains("provider is being asked"),
            "{refused}"
        );
        assert_eq!(centre.stored(), stored);

        centre.outcome("a1", &id("a1", 0), "issued").await;
        let told = centre.points("a1").await;
        assert_eq!((sums(&told), &told["locks"]), ((20, 20, 0), &json!([])));
        let issued = &told["history"][0];
        assert_eq!(
            (&issued["reward_id"], &issued["standing"], &issued["points"]),
            (&json!(id("a1", 0)), &json!("issued"), &json!(500))
        );
        assert_eq!(centre.requests(1).await, [requested]);
    });
}

#[test]
fn s3_04_a_rejected_claim_gives_its_points_back_and_can_still_be_approved() {
    with_centre(&approved(), |centre| async move {
        centre.row("a1", "2025-12-30", 500).await;
        let body = json!({ "by": "kim", "agent_id": "a1" });
        let answer = centre.decide(&id("a1", 0), "reject", body.clone()).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let told = centre.points("a1").await;
        assert_eq!(lock(&told), (json!(id("a1", 0)), json!("rejected")));
        assert_eq!(sums(&told), (500, 500, 0));
        let again = centre.decide(&id("a1", 0), "reject", body.clone()).await;
        let refused = problem(again, 409, "reward-not-waiting").await;
        assert_eq!(refused["state"], "rejected");
        // Approved after all, it is claimed again: that is another reward, and waits.
        let answer = centre.decide(&id("a1", 0), "approve", body).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(
            lock(&centre.points("a1").await),
            (json!(id("a1", 1)), json!("awaiting"))
        );
        let gone = centre
            .decide(&id("a1", 0), "approve", json!({ "by": "kim" }))
            .await;
        assert_eq!(
            problem(gone, 409, "reward-not-waiting").await["state"],
            "past"
        );
        assert_eq!(centre.requests(0).await, []);
    });
}

#[test]
fn s3_08_s3_12_a_reward_and_its_reversal_in_review_are_decided_by_people() {
    with_centre(&program("recognition", ""), |centre| async move {
        let reverse = format!("{}:reverse", id("a1", 0));
        centre.row("a1", "2025-12-30", 500).await;
        centre.outcome("a1", &id("a1", 0), "needs_review").await;
        let told = centre.points("a1").await;
        assert_eq!(
            (lock(&told).1, sums(&told)),
            (json!("needs_review"), (500, 0, 500))
        );
        let early = centre
            .decide(&reverse, "approve", json!({ "by": "kim" }))
            .await;
        let refused = problem(early, 409, "reward-not-waiting").await;
        assert_eq!(refused["state"], "needs_review");
        let answer = centre
            .decide(&id("a1", 0), "approve", json!({ "by": "kim" }))
            .await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(standing(&centre.points("a1").await), "issued");

        centre.adjust("a1", -30, "2025-12-31T12:00:00Z").await;
        assert_eq!(standing(&centre.points("a1").await), "reversing");
        centre.outcome("a1", &reverse, "needs_review").await;
        let answer = centre
            .decide(&reverse, "reject", json!({ "by": "kim" }))
            .await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let told = centre.points("a1").await;
        assert_eq!(
            (standing(&told), &told["debt"], &told["balance"]),
            ("debt".to_owned(), &json!(30), &json!(-30))
        );
        let late = centre
            .decide(&reverse, "approve", json!({ "by": "kim" }))
            .await;
        assert_eq!(
            problem(late, 409, "reward-not-waiting").await["state"],
            "debt"
        );
        let kinds = centre.requests(2).await;
        assert_eq!(
            kinds,
            [
                ("reward.requested".to_owned(), id("a1", 0)),
                ("reward.reversal.requested".to_owned(), reverse),
            ]
        );
    });
}

#[test]
fn s3_04_a_reward_is_found_in_any_partition_and_only_with_its_agent_if_one_is_named() {
    with_centre(&approved(), |centre| async move {
        let agents: Vec<String> = (0..12).map(|n| format!("agent-{n}")).collect();
        for agent in &agents {
            centre.row(agent, "2025-12-30", 500).await;
        }
        for agent in &agents {
            let wrong = json!({ "by": "kim", "agent_id": "agent-12" });
            let refused = centre.decide(&id(agent, 0), "approve", wrong).await;
            problem(refused, 404, "unknown-reward").await;
            let answer = centre
                .decide(&id(agent, 0), "approve", json!({ "by": "kim" }))
                .await;
            assert_eq!(answer.status(), StatusCode::ACCEPTED);
            let decided: Value = answer.json().await.unwrap();
            assert_eq!(decided["agent_id"], *agent);
        }
        let mut requested: Vec<String> = centre
            .requests(12)
            .await
            .into_iter()
            .map(|(_, id)| id)
            .collect();
        requested.sort();
        let mut expected: Vec<String> = agents.iter().map(|agent| id(agent, 0)).collect();
        expected.sort();
        assert_eq!(requested, expected);
    });
}

#[test]
fn s3_04_two_who_approve_at_once_make_one_request() {
    with_centre(&approved(), |centre| async move {
        centre.row("a1", "2025-12-30", 1_000).await;
        let (by_kim, by_lou) = (json!({ "by": "kim" }), json!({ "by": "lou" }));
        let reward = id("a1", 0);
        let answers = futures::future::join(
            centre.decide(&reward, "approve", by_kim),
            centre.decide(&reward, "approve", by_lou),
        );
        let (one, other) = answers.await;
        let taken = [one.status(), other.status()];
        assert!(taken.contains(&StatusCode::ACCEPTED), "{taken:?}");
        centre.points("a1").await;
        assert_eq!(
            centre.requests(1).await,
            [("reward.requested".to_owned(), id("a1", 0))]
        );
    });
}

#[test]
fn s3_04_while_a_program_is_stopped_nothing_is_approved_and_a_claim_can_be_rejected() {
    with_centre(&approved(), |centre| async move {
        centre.row("a1", "2025-12-30", 500).await;
        let rules = program("recognition", "approval = \"always\"\nenabled = false\n");
        centre.activate(&rules, "stopped").await;
        let answer = centre
            .decide(&id("a1", 0), "approve", json!({ "by": "kim" }))
            .await;
        let refused = problem(answer, 409, "program-stopped").await;
        assert_eq!(refused["state"], "awaiting");
        assert!(
            refused["detail"].as_str().unwrap().contains("recognition"),
            "{refused}"
        );
        assert_eq!(centre.points("a1").await["programs"][0]["enabled"], false);
        let answer = centre
            .decide(&id("a1", 0), "reject", json!({ "by": "kim" }))
            .await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(lock(&centre.points("a1").await).1, json!("rejected"));
    });
}

#[test]
fn s3_04_a_decision_that_cannot_be_read_or_is_about_nothing_is_refused_and_nothing_is_stored() {
    with_centre(&approved(), |centre| async move {
        centre.row("a1", "2025-12-30", 500).await;
        centre.points("a1").await;
        let stored = centre.stored();
        let path = format!("/v1/rewards/{}/approve", id("a1", 0));
        let post = |kind: &'static str, body: String| {
            let request = centre.request(Method::POST, &path).bearer_auth(KIM);
            request.header("content-type", kind).body(body).send()
        };
        let by_kim = || json!({ "by": "kim" }).to_string();
        let unsigned = centre
            .request(Method::POST, &path)
            .json(&json!({ "by": "kim" }));
        problem(unsigned.send().await.unwrap(), 401, "unauthorized").await;
        problem(
            post("text/plain", by_kim()).await.unwrap(),
            415,
            "unsupported-type",
        )
        .await;
        for body in ["", "{", "[]", "\"kim\"", "{\"by\":\"kim\"} x"] {
            problem(
                post("application/json", body.to_owned()).await.unwrap(),
                400,
                "malformed",
            )
            .await;
        }
        problem(
            post("application/json", " ".repeat(4_097)).await.unwrap(),
            413,
            "too-large",
        )
        .await;
        let wrong = json!({ "by": "", "agent_id": 7, "reason": "because" }).to_string();
        let refused = problem(
            post("application/json", wrong).await.unwrap(),
            422,
            "invalid-parameter",
        )
        .await;
        assert_eq!(named(&refused), ["agent_id", "by", "reason"]);
        let refused = problem(
            post("application/json", json!({ "by": "lou" }).to_string())
                .await
                .unwrap(),
            422,
            "invalid-parameter",
        )
        .await;
        assert_eq!(named(&refused), ["by"]);
        assert!(
            refused["detail"].as_str().unwrap().contains("holder, kim"),
            "{refused}"
        );
        let answer = centre
            .request(Method::GET, &path)
            .bearer_auth(TOKEN)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["allow"], "POST");
        problem(answer, 405, "method-not-allowed").await;
        let unknown = centre
            .decide(&id("a1", 1), "approve", json!({ "by": "kim" }))
            .await;
        problem(unknown, 404, "unknown-reward").await;
        let unknown = centre
            .decide("no-id-of-ours", "reject", json!({ "by": "kim" }))
            .await;
        problem(unknown, 404, "unknown-reward").await;
        assert_eq!(centre.stored(), stored);
    });
}

#[test]
fn s3_04_a_decision_takes_the_role_and_is_the_holders() {
    with_centre(&approved(), |centre| async move {
        for agent in ["a1", "a2"] {
            centre.row(agent, "2025-12-30", 500).await;
            centre.points(agent).await;
        }
        let stored = centre.stored();
        let approve = |token: &'static str, agent: &str| {
            let path = format!("/v1/rewards/{}/approve", id(agent, 0));
            let request = centre.request(Method::POST, &path).bearer_auth(token);
            request.json(&json!({})).send()
        };
        let plain = approve(TOKEN, "a1").await.unwrap();
        assert_eq!(
            plain.headers()["www-authenticate"],
            "Bearer realm=\"aftercall\", error=\"insufficient_scope\", scope=\"decide\""
        );
        let refused = problem(plain, 403, "forbidden").await;
        assert_eq!(
            refused["detail"],
            "POST /v1/rewards/{id}/approve needs the role `decide`; the token, which names no holder, has ingest, read"
        );
        // Deciding is not reading, and reading is not deciding.
        let read = |token| {
            let request = centre.request(Method::GET, "/v1/leaderboard");
            request.bearer_auth(token).send()
        };
        problem(read(KIM).await.unwrap(), 403, "forbidden").await;
        assert_eq!(read(LOU).await.unwrap().status(), StatusCode::OK);

        // By the other door: the same role, and the same holder.
        let decided = |by: &str, agent: &str| {
            json!({
                "reward_id": id(agent, 0), "agent_id": agent, "decision": "approve", "by": by,
                "at": "2026-01-01T00:00:00Z",
            })
        };
        let refused = centre
            .send(TOKEN, "reward.decided", decided("kim", "a1"))
            .await;
        let refused = problem(refused, 403, "forbidden").await;
        assert!(
            refused["detail"].as_str().unwrap().contains("`decide`"),
            "{refused}"
        );
        let refused = centre
            .send(KIM, "reward.decided", decided("lou", "a1"))
            .await;
        let refused = problem(refused, 422, "invalid-event").await;
        assert!(
            refused["detail"].as_str().unwrap().contains("data.by"),
            "{refused}"
        );
        assert_eq!(centre.stored(), stored);

        let answer = centre
            .send(KIM, "reward.decided", decided("kim", "a1"))
            .await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let answer = approve(LOU, "a2").await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(centre.newest()["data"]["by"], "lou");
        assert_eq!(centre.requests(2).await.len(), 2);
    });
}

/// Issue 9: with the ingest token `rejected` was posted for a claim that was out, which was then approved again: two
/// gift cards.
#[test]
fn s3_07_an_outcome_is_not_taken_from_a_token_that_hands_in_events() {
    with_centre(&program("recognition", ""), |centre| async move {
        centre.row("a1", "2025-12-30", 500).await;
        assert_eq!(centre.requests(1).await.len(), 1);
        let outcome = |status: &str| {
            json!({
                "output_id": id("a1", 0), "subject": "agent/a1", "status": status, "attempts": 1,
            })
        };
        for token in [TOKEN, KIM, LOU] {
            let refused = centre
                .send(token, "reward.outcome", outcome("rejected"))
                .await;
            let refused = problem(refused, 403, "forbidden").await;
            let detail = refused["detail"].as_str().unwrap();
            assert!(detail.contains("`answer:reward`"), "{refused}");
        }
        let told = centre.points("a1").await;
        assert_eq!(lock(&told), (json!(id("a1", 0)), json!("locked")));
        centre.outcome("a1", &id("a1", 0), "issued").await;
        assert_eq!(standing(&centre.points("a1").await), "issued");
        assert_eq!(centre.requests(1).await.len(), 1);
    });
}

/// The program, with a person who has to agree.
fn approved() -> String {
    program("recognition", "approval = \"always\"\n")
}

/// Id and stage of the one claim.
fn lock(told: &Value) -> (Value, Value) {
    assert_eq!(told["locks"].as_array().unwrap().len(), 1, "{told}");
    let lock = &told["locks"][0];
    (lock["reward_id"].clone(), lock["stage"].clone())
}

/// Balance, available and held.
fn sums(told: &Value) -> (i64, i64, i64) {
    let of = |name: &str| told[name].as_i64().unwrap();
    (of("balance"), of("available"), of("held"))
}

/// Of the latest reward.
fn standing(told: &Value) -> String {
    told["history"][0]["standing"].as_str().unwrap().to_owned()
}
