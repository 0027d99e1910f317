//! Who is let in: roles by route and by type of event, and what trying tokens costs.

use std::time::Instant;

use aftercall::{config::Config, desk::access::Role, desk::tokens::Tokens};
use aftercall_actors::contract::event::OutcomeKind;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    event, problem, receipt,
    server::{BATCH, STRUCTURED, Server, TOKEN, with_server, with_server_of},
};

/// A token for each role but those that [`TOKEN`] has.
fn tokens() -> Tokens {
    let roles = [
        ("desk", Role::Decide),
        ("ops", Role::Operate),
        ("cdp", Role::Answer(OutcomeKind::Identity)),
        ("market", Role::Answer(OutcomeKind::Reward)),
    ];
    let all = roles
        .into_iter()
        .try_fold(Tokens::one(TOKEN), |all, (name, role)| {
            all.and(name, &[role], &token(name))
        });
    all.unwrap()
}

fn token(name: &str) -> String {
    format!("the token of {name}")
}

async fn send(server: &Server, token: &str, kind: &str, body: &Value) -> reqwest::Response {
    let request = server
        .request(Method::POST, "/v1/events")
        .bearer_auth(token);
    let request = request.header("content-type", kind).body(body.to_string());
    request.send().await.unwrap()
}

fn of_type(event_type: &str) -> Value {
    let path = format!("config/examples/{event_type}.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn s2_02_each_type_of_event_is_taken_from_the_role_it_needs_and_403_names_it() {
    with_server_of(tokens(), Config::default().http, |server| async move {
        let cases = [
            ("reward.outcome", "market", "answer:reward"),
            ("identity.outcome", "cdp", "answer:identity"),
            ("delivery.dead_lettered", "ops", "operate"),
            ("import.quarantined", "ops", "operate"),
        ];
        let all = [
            TOKEN.to_owned(),
            token("desk"),
            token("ops"),
            token("cdp"),
            token("market"),
        ];
        for (event_type, holder, role) in cases {
            let event = of_type(event_type);
            for other in all.iter().filter(|other| **other != token(holder)) {
                let refused = send(&server, other, STRUCTURED, &event).await;
                let refused = problem(refused, StatusCode::FORBIDDEN, "forbidden").await;
                let detail = refused["detail"].as_str().unwrap();
                assert!(
                    detail.starts_with(&format!(
                        "an event of type `{event_type}` needs the role `{role}`; the token"
                    )),
                    "{detail}"
                );
            }
            let taken = send(&server, &token(holder), STRUCTURED, &event).await;
            assert_eq!(
                receipt(taken).await,
                json!({"accepted": 1, "duplicates": 0})
            );
        }
        // What answers one kind answers no other, and hands in nothing.
        for event_type in [
            "survey_token.outcome",
            "alert.outcome",
            "enrichment.outcome",
        ] {
            let refused = send(&server, &token("cdp"), STRUCTURED, &of_type(event_type)).await;
            problem(refused, StatusCode::FORBIDDEN, "forbidden").await;
        }
        let refused = send(&server, &token("cdp"), STRUCTURED, &event("r1", 1)).await;
        let refused = problem(refused, StatusCode::FORBIDDEN, "forbidden").await;
        assert!(
            refused["detail"]
                .as_str()
                .unwrap()
                .contains("of cdp has answer:identity")
        );
        // What only the service writes has no role.
        for event_type in ["tick", "rules.activated"] {
            let refused = send(&server, &token("ops"), STRUCTURED, &of_type(event_type)).await;
            let refused = problem(refused, StatusCode::UNPROCESSABLE_ENTITY, "invalid-event").await;
            assert_eq!(refused["errors"][0]["reason"], "reserved_type");
        }
        assert_eq!(server.stored().len(), cases.len());
    });
}

#[test]
fn s2_02_one_event_of_a_batch_that_needs_another_role_keeps_all_of_it_out() {
    with_server_of(tokens(), Config::default().http, |server| async move {
        let batch = json!([event("r1", 1), of_type("reward.outcome"), event("r2", 2)]);
        let refused = send(&server, TOKEN, BATCH, &batch).await;
        let refused = problem(refused, StatusCode::FORBIDDEN, "forbidden").await;
        let detail = refused["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("event 1, of type `reward.outcome`,"),
            "{detail}"
        );
        assert!(server.stored().is_empty());
    });
}

#[test]
fn s3_07_an_outcome_that_a_destination_reports_is_taken_from_no_token() {
    with_server_of(tokens(), Config::default().http, |server| async move {
        server
            .desk
            .set_answered(["reward.outcome".to_owned()].into());
        let refused = send(
            &server,
            &token("market"),
            STRUCTURED,
            &of_type("reward.outcome"),
        )
        .await;
        problem(refused, StatusCode::CONFLICT, "answered-by-destination").await;
        assert!(server.stored().is_empty());
        // That a reward was cancelled later is no answer: it comes by webhook.
        let mut news = of_type("reward.outcome");
        news["data"]["status"] = json!("cancelled");
        let taken = send(&server, &token("market"), STRUCTURED, &news).await;
        assert_eq!(taken.status(), StatusCode::ACCEPTED);
        let refused = send(&server, TOKEN, STRUCTURED, &news).await;
        problem(refused, StatusCode::FORBIDDEN, "forbidden").await;
        let taken = send(
            &server,
            &token("cdp"),
            STRUCTURED,
            &of_type("identity.outcome"),
        )
        .await;
        assert_eq!(taken.status(), StatusCode::ACCEPTED);
    });
}

#[test]
fn s2_02_trying_tokens_is_slowed_and_counted_and_a_valid_one_goes_on() {
    with_server(|server| async move {
        let count = |reason: &str| {
            aftercall::telemetry::metrics()
                .login_failed(match reason {
                    "unknown" => "unknown",
                    _ => "slowed",
                })
                .get()
        };
        let (unknown, slowed) = (count("unknown"), count("slowed"));
        let began = Instant::now();
        let one = send(
            &server,
            "not a token of the tests",
            STRUCTURED,
            &event("r1", 1),
        )
        .await;
        problem(one, StatusCode::UNAUTHORIZED, "unauthorized").await;
        assert!(began.elapsed().as_millis() >= 500, "{:?}", began.elapsed());

        let tries = (0..40).map(|n| {
            let server = std::sync::Arc::clone(&server);
            async move {
                let token = format!("guess number {n}, which is long enough");
                send(&server, &token, STRUCTURED, &event("r1", 1)).await
            }
        });
        let answers = futures::future::join_all(tries).await;
        let (mut refused, mut later) = (0, 0);
        for answer in answers {
            match answer.status() {
                StatusCode::UNAUTHORIZED => refused += 1,
                StatusCode::TOO_MANY_REQUESTS => {
                    assert_eq!(answer.headers()["retry-after"], "1");
                    problem(answer, StatusCode::TOO_MANY_REQUESTS, "too-many-logins").await;
                    later += 1;
                }
                other => panic!("{other}"),
            }
        }
        assert!(
            refused >= 8 && later >= 8,
            "{refused} refused, {later} later"
        );
        assert!(count("unknown") > unknown && count("slowed") > slowed);

        let body = event("r1", 1);
        // With fewer than that in the air a neighbour's valid token is not slowed.
        let wrong = send(&server, "not a token of the tests", STRUCTURED, &body);
        let right = async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            let began = Instant::now();
            let answer = send(&server, TOKEN, STRUCTURED, &body).await;
            assert_eq!(answer.status(), StatusCode::ACCEPTED);
            began.elapsed()
        };
        let (_, took) = futures::future::join(wrong, right).await;
        assert!(took.as_millis() < 400, "{took:?}");
    });
}
