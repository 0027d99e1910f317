//! The HTTP server over real connections, on the memory log: what is stored, what is refused and how, and that no
//! refusal spoils the connection.

use std::{
    io::{Read, Write},
    time::Duration,
};

use aftercall::{
    config::{
        Config, HttpConfig,
        units::{ByteSize, Span},
    },
    desk::tokens::Tokens,
    log::memory::Faults,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

#[path = "http/door.rs"]
mod door;
#[path = "http/imports.rs"]
mod imports;
#[path = "http/logins.rs"]
mod logins;
#[path = "http/monitoring.rs"]
mod monitoring;
#[path = "http/server.rs"]
mod server;
#[path = "http/times.rs"]
mod times;

use server::{BATCH, STRUCTURED, TOKEN, read_head, with_server, with_server_of};

#[test]
fn s2_03_every_mode_is_answered_202_once_its_events_stand_in_the_log() {
    with_server(|server| async move {
        let body = event("r1", 1).to_string();
        let answer = server.post(STRUCTURED, body.clone()).await;
        assert_eq!(
            receipt(answer).await,
            json!({"accepted": 1, "duplicates": 0})
        );
        assert_eq!(server.stored(), std::slice::from_ref(&body));

        let again = server.post(STRUCTURED, body).await;
        assert_eq!(
            receipt(again).await,
            json!({"accepted": 0, "duplicates": 1})
        );

        let binary = server
            .request(Method::POST, "/v1/events")
            .bearer_auth(TOKEN)
            .header("content-type", "application/json")
            .header("ce-specversion", "1.0")
            .header("ce-id", "r2")
            .header("ce-source", "tests")
            .header("ce-type", "survey.response.created")
            .body(event("r2", 2)["data"].to_string());
        assert_eq!(
            receipt(binary.send().await.unwrap()).await,
            json!({"accepted": 1, "duplicates": 0})
        );

        let batch = json!([event("r3", 3), event("r1", 1), event("r4", 4)]);
        let answer = server.post(BATCH, batch.to_string()).await;
        assert_eq!(
            receipt(answer).await,
            json!({"accepted": 2, "duplicates": 1})
        );
        assert_eq!(server.stored_ids(), ["r1", "r2", "r3", "r4"]);

        let none = server.post(BATCH, "[]".to_owned()).await;
        assert_eq!(receipt(none).await, json!({"accepted": 0, "duplicates": 0}));
    });
}

#[test]
fn s2_02_without_a_valid_token_the_answer_is_401_and_nothing_is_stored() {
    with_server(|server| async move {
        let unsigned = || {
            server
                .request(Method::POST, "/v1/events")
                .header("content-type", STRUCTURED)
                .body(event("r1", 1).to_string())
        };
        for request in [
            unsigned(),
            unsigned().bearer_auth("another token"),
            unsigned().bearer_auth(""),
            unsigned().basic_auth("user", Some(TOKEN)),
        ] {
            let answer = request.send().await.unwrap();
            assert_eq!(
                answer.headers()["www-authenticate"],
                "Bearer realm=\"aftercall\""
            );
            problem(answer, StatusCode::UNAUTHORIZED, "unauthorized").await;
        }
        assert!(server.stored().is_empty());
    });
}

#[test]
fn s2_02_without_any_token_configured_the_answer_is_401_to_everyone() {
    let mut config = Config::default().http;
    config.token_env = None;
    let tokens = Tokens::load(&config).unwrap();
    assert!(tokens.is_empty());
    with_server_of(tokens, config, |server| async move {
        let answer = server.post(STRUCTURED, event("r1", 1).to_string()).await;
        problem(answer, StatusCode::UNAUTHORIZED, "unauthorized").await;
        assert!(server.stored().is_empty());
    });
}

#[test]
fn what_cannot_be_read_is_400_and_another_content_type_415() {
    with_server(|server| async move {
        for (kind, body) in [
            (STRUCTURED, "{\"specversion\":"),
            (STRUCTURED, "[]"),
            (STRUCTURED, ""),
            (STRUCTURED, "\u{0}"),
            (BATCH, "{}"),
            (BATCH, "[1,"),
            ("application/json", "{}"),
        ] {
            let answer = server.post(kind, body.to_owned()).await;
            problem(answer, StatusCode::BAD_REQUEST, "malformed").await;
        }
        for kind in [
            "text/plain",
            "application/xml",
            "application/cloudevents+avro",
            "nonsense",
        ] {
            let answer = server.post(kind, event("r1", 1).to_string()).await;
            problem(
                answer,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-type",
            )
            .await;
        }
        assert!(server.stored().is_empty());
    });
}

#[test]
fn s1_07_s2_04_an_event_that_is_not_valid_is_422_naming_the_field() {
    with_server(|server| async move {
        let cases = [
            (change(event("r1", 6), &[]), "out_of_range", "csat"),
            (change(event("r1", 0), &[]), "out_of_range", "csat"),
            (
                change(event("r1", 1), &[("data/response_id", Value::Null)]),
                "wrong_type",
                "response_id",
            ),
            (
                change(event("r1", 1), &[("type", json!("survey.response.crated"))]),
                "unknown_type",
                "created",
            ),
            (
                change(event("r1", 1), &[("type", json!("tick"))]),
                "reserved_type",
                "tick",
            ),
        ];
        for (body, reason, named) in cases {
            let answer = server.post(STRUCTURED, body.to_string()).await;
            let problem = problem(answer, StatusCode::UNPROCESSABLE_ENTITY, "invalid-event").await;
            assert_eq!(problem["errors"][0]["reason"], reason, "{problem}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(named), "{detail}");
        }
        assert!(server.stored().is_empty());
    });
}

#[test]
fn a_batch_with_bad_events_is_422_with_each_index_and_nothing_is_stored() {
    with_server(|server| async move {
        let mut missing = event("r3", 1);
        missing["data"]
            .as_object_mut()
            .unwrap()
            .remove("interaction_id");
        let batch = json!([event("r1", 1), event("r2", 9), missing, event("r4", 1), 5]);
        let answer = server.post(BATCH, batch.to_string()).await;
        let problem = problem(answer, StatusCode::UNPROCESSABLE_ENTITY, "invalid-event").await;
        let errors: Vec<_> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| {
                (
                    error["index"].as_u64().unwrap(),
                    error["reason"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            errors,
            [
                (1, "out_of_range"),
                (2, "missing_field"),
                (4, "not_cloudevent")
            ]
        );
        assert!(server.stored().is_empty());
    });
}

#[test]
fn a_body_of_the_largest_size_is_taken_and_one_byte_more_is_413() {
    let limit = 64 * 1024;
    let config = HttpConfig {
        body_max: ByteSize(limit),
        event_max: ByteSize(limit),
        ..Config::default().http
    };
    with_server_of(Tokens::one(TOKEN), config, |server| async move {
        let limit = usize::try_from(limit).unwrap();
        let padded = |length: usize| {
            let text = event("r1", 1).to_string();
            format!("{text}{}", " ".repeat(length - text.len()))
        };
        let declared = server.post(STRUCTURED, padded(limit + 1)).await;
        problem(declared, StatusCode::PAYLOAD_TOO_LARGE, "too-large").await;
        let huge = server.post(STRUCTURED, padded(5_000_000)).await;
        problem(huge, StatusCode::PAYLOAD_TOO_LARGE, "too-large").await;
        let chunked = server.chunked(&padded(limit + 1)).await;
        assert!(chunked.starts_with("HTTP/1.1 413"), "{chunked}");
        assert!(server.stored().is_empty());

        let answer = server.post(STRUCTURED, padded(limit)).await;
        assert_eq!(
            receipt(answer).await,
            json!({"accepted": 1, "duplicates": 0})
        );
        let chunked = server.chunked(&padded(limit)).await;
        assert!(chunked.starts_with("HTTP/1.1 202"), "{chunked}");
    });
}

#[test]
fn an_event_over_its_own_limit_is_refused_though_the_request_is_within_its() {
    let config = HttpConfig {
        event_max: ByteSize::kib(2),
        ..Config::default().http
    };
    with_server_of(Tokens::one(TOKEN), config, |server| async move {
        let large = change(
            event("r1", 1),
            &[("data/comment", json!("x".repeat(3_000)))],
        );
        let answer = server.post(STRUCTURED, large.to_string()).await;
        problem(answer, StatusCode::PAYLOAD_TOO_LARGE, "too-large").await;
        let answer = server
            .post(BATCH, json!([event("r2", 1), large]).to_string())
            .await;
        let problem = problem(answer, StatusCode::UNPROCESSABLE_ENTITY, "invalid-event").await;
        assert_eq!(problem["errors"][0]["index"], 1);
        assert_eq!(problem["errors"][0]["reason"], "too_large");
        assert!(server.stored().is_empty());
    });
}

#[test]
fn another_route_is_404_and_another_method_405_with_what_there_is() {
    with_server(|server| async move {
        let answer = server
            .request(Method::GET, "/v2/events")
            .send()
            .await
            .unwrap();
        problem(answer, StatusCode::NOT_FOUND, "not-found").await;
        for (method, route, allow) in [
            (Method::GET, "/v1/events", "POST"),
            (Method::DELETE, "/v1/events", "POST"),
            (Method::POST, "/livez", "GET, HEAD"),
            (Method::PUT, "/metrics", "GET, HEAD"),
        ] {
            let answer = server.request(method, route).send().await.unwrap();
            assert_eq!(answer.headers()["allow"], allow);
            problem(answer, StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed").await;
        }
        let head = server.request(Method::HEAD, "/livez").send().await.unwrap();
        assert_eq!(
            (head.status(), head.text().await.unwrap()),
            (StatusCode::OK, String::new())
        );
    });
}

#[test]
fn a_request_beyond_those_that_may_wait_is_429_and_taken_again_later() {
    let config = HttpConfig {
        waiting_max: 1,
        ..Config::default().http
    };
    with_server_of(Tokens::one(TOKEN), config, |server| async move {
        let text = event("r1", 1).to_string();
        let mut slow = server.begin(&text, text.len());
        server.until_waiting_is_full().await;
        let refused = server.post(STRUCTURED, event("r2", 1).to_string()).await;
        assert_eq!(refused.headers()["retry-after"], "1");
        problem(refused, StatusCode::TOO_MANY_REQUESTS, "too-many-requests").await;

        slow.write_all(text.as_bytes()).unwrap();
        assert!(read_head(&mut slow).starts_with("HTTP/1.1 202"));
        let answer = server.post(STRUCTURED, event("r2", 1).to_string()).await;
        assert_eq!(
            receipt(answer).await,
            json!({"accepted": 1, "duplicates": 0})
        );
        assert_eq!(server.stored_ids(), ["r1", "r2"]);
    });
}

#[test]
fn a_log_that_does_not_answer_is_503_and_the_same_request_later_adds_nothing_twice() {
    let config = HttpConfig {
        append_timeout: Span(200),
        ..Config::default().http
    };
    with_server_of(Tokens::one(TOKEN), config, |server| async move {
        server.world.set_faults(Faults {
            lose_answer_per_mille: 1_000,
            ..Faults::default()
        });
        let batch = json!([event("r1", 1), event("r2", 2)]).to_string();
        let answer = server.post(BATCH, batch.clone()).await;
        assert_eq!(answer.headers()["retry-after"], "1");
        problem(answer, StatusCode::SERVICE_UNAVAILABLE, "unavailable").await;

        server.world.set_faults(Faults::default());
        assert_eq!(
            server.post(BATCH, batch).await.status(),
            StatusCode::ACCEPTED
        );
        assert_eq!(server.stored_ids(), ["r1", "r2"]);
    });
}

#[test]
fn answers_lost_now_and_then_are_hidden_from_the_sender() {
    with_server(|server| async move {
        server.world.set_faults(Faults {
            seed: 7,
            lose_answer_per_mille: 200,
            drop_request_per_mille: 200,
            ..Faults::default()
        });
        let events: Vec<_> = (0..50).map(|n| event(&format!("r{n:02}"), 3)).collect();
        let answer = server.post(BATCH, Value::from(events).to_string()).await;
        assert_eq!(
            receipt(answer).await,
            json!({"accepted": 50, "duplicates": 0})
        );
        let mut ids = server.stored_ids();
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), server.stored().len()), (50, 50));
    });
}

#[test]
fn a_connection_goes_on_after_a_refusal_before_its_body_was_read() {
    with_server(|server| async move {
        let body = "x".repeat(300_000);
        let mut stream = server.connect();
        let requests = format!(
            "POST /v1/events HTTP/1.1\r\nHost: t\r\nContent-Type: {STRUCTURED}\r\nContent-Length: {}\r\n\r\n{body}\
             GET /livez HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
            body.len()
        );
        // The server's start is driven by this thread, so blocking is for another one.
        let exchange = move || {
            stream.write_all(requests.as_bytes()).unwrap();
            let mut all = String::new();
            stream.read_to_string(&mut all).unwrap();
            all
        };
        let all = tokio::task::spawn_blocking(exchange).await.unwrap();
        let statuses: Vec<_> = all
            .match_indices("HTTP/1.1 ")
            .map(|(at, _)| &all[at + 9..at + 12])
            .collect();
        assert_eq!(statuses, ["401", "200"], "{all}");
        assert!(all.ends_with("alive\n"), "{all}");
    });
}

#[test]
fn a_client_that_goes_away_in_its_body_leaves_nothing_behind() {
    let config = HttpConfig {
        waiting_max: 1,
        ..Config::default().http
    };
    with_server_of(Tokens::one(TOKEN), config, |server| async move {
        let text = event("r1", 1).to_string();
        drop(server.begin(&text[..50], text.len()));
        // Its place is free again as soon as the server has noticed.
        for _ in 0..200 {
            let answer = server.post(STRUCTURED, event("r2", 1).to_string()).await;
            if answer.status() == StatusCode::ACCEPTED {
                assert_eq!(server.stored_ids(), ["r2"]);
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the place was never free again");
    });
}

fn event(id: &str, csat: i64) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "tests", "type": "survey.response.created",
        "data": {
            "response_id": id, "interaction_id": "i1", "submitted_at": "2026-11-20T08:30:00Z", "csat": csat,
            "routing": {"agent_id": "a1", "queue_id": "q1"}
        }
    })
}

fn change(mut event: Value, changes: &[(&str, Value)]) -> Value {
    for (path, value) in changes {
        let (parent, field) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = if parent.is_empty() {
            String::new()
        } else {
            format!("/{parent}")
        };
        event.pointer_mut(&parent).unwrap()[field] = value.clone();
    }
    event
}

async fn receipt(answer: Response) -> Value {
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    answer.json().await.unwrap()
}

async fn problem(answer: Response, status: StatusCode, kind: &str) -> Value {
    let found = answer.status();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(found, status, "{body}");
    assert_eq!(
        body["type"],
        format!("urn:aftercall:problem:{kind}"),
        "{body}"
    );
    assert_eq!(body["status"], status.as_u16(), "{body}");
    for field in ["title", "detail"] {
        assert!(
            body[field].as_str().is_some_and(|text| !text.is_empty()),
            "{body}"
        );
    }
    body
}
