//! Times that cannot be, or lie too far ahead, are refused at the door with what would be right.

use aftercall_actors::contract::plausible::AheadMax;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{
    problem, receipt,
    server::{BATCH, STRUCTURED, with_server},
};

fn survey(id: &str, submitted_at: Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "survey/eu", "type": "survey.response.created",
        "data": {
            "response_id": id, "interaction_id": "i-p-s", "submitted_at": submitted_at, "csat": 5,
            "routing": {"agent_id": "a-17"}
        }
    })
}

fn of(event_type: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "id": "e", "source": "s", "type": event_type, "data": data})
}

fn metric(date: &str, value: Value) -> Value {
    let data = json!({"agent_id": "a", "date": date, "metric": "points", "value": value});
    of("wfm.metric.recorded", data)
}

fn adjusted(effective_at: &str) -> Value {
    let data = json!({
        "adjustment_id": "a", "agent_id": "a", "points": 500, "kind": "grant", "reason": "r",
        "effective_at": effective_at,
    });
    of("points.adjusted", data)
}

#[test]
fn s1_07_a_time_that_cannot_be_or_lies_far_ahead_is_422_and_nothing_is_stored() {
    with_server(|server| async move {
        // The first is the case of issue 9: seconds where milliseconds are meant.
        for (event, reason, detail) in [
            (
                survey("e-p-s", json!(1_795_167_000)),
                "out_of_range",
                "as seconds it would be 2026-11-20T09:30:00.000Z",
            ),
            (
                survey("r", json!("1999-12-31T23:59:59Z")),
                "out_of_range",
                "data.submitted_at",
            ),
            (
                survey("r", json!("-000001-01-01T00:00:00Z")),
                "out_of_range",
                "data.submitted_at",
            ),
            (
                survey("r", json!("12026-11-20T09:30:00Z")),
                "out_of_range",
                "data.submitted_at",
            ),
            (
                survey("r", json!(1_795_167_000_000_000_i64)),
                "out_of_range",
                "data.submitted_at",
            ),
            (
                survey("r", json!("2026-11-20T12:20:00Z")),
                "in_future",
                "`time` in [ahead]",
            ),
            (
                survey("r", json!("2027-11-20T09:30:00Z")),
                "in_future",
                "data.submitted_at",
            ),
            (
                metric("2026-11-22", json!(5)),
                "in_future",
                "`workday` in [ahead]",
            ),
            (metric("2099-01-01", json!(5)), "in_future", "data.date"),
            (metric("0026-11-19", json!(5)), "out_of_range", "data.date"),
            (
                metric("2026-11-19", json!(9_007_199_254_740_993_i64)),
                "out_of_range",
                "data.value",
            ),
            (
                metric("2026-11-19", json!(-1e300)),
                "out_of_range",
                "data.value",
            ),
            (
                adjusted("2099-01-01T00:00:00Z"),
                "in_future",
                "`effective` in [ahead]",
            ),
        ] {
            let answer = server.post(STRUCTURED, event.to_string()).await;
            let refused = problem(answer, StatusCode::UNPROCESSABLE_ENTITY, "invalid-event").await;
            let error = &refused["errors"][0];
            assert_eq!(error["reason"], reason, "{refused}");
            assert!(
                error["detail"].as_str().unwrap().contains(detail),
                "{refused}"
            );
        }
        assert!(server.stored().is_empty());

        // One of a batch is named by its place.
        let batch = json!([
            survey("r1", json!("2026-11-20T09:30:00Z")),
            metric("2099-01-01", json!(1))
        ]);
        let answer = server.post(BATCH, batch.to_string()).await;
        let refused = problem(answer, StatusCode::UNPROCESSABLE_ENTITY, "invalid-event").await;
        assert_eq!(refused["errors"][0]["index"], 1);
    });
}

#[test]
fn s1_07_history_today_and_a_little_ahead_are_taken_and_the_rules_say_how_far() {
    with_server(|server| async move {
        let batch = json!([
            survey("r1", json!("2000-01-01T00:00:00Z")),
            survey("r2", json!(1_795_167_000_000_i64)),
            survey("r3", json!("2026-11-20T12:10:00Z")),
            metric("2003-05-01", json!(9_007_199_254_740_991_i64)),
        ]);
        let answer = server.post(BATCH, batch.to_string()).await;
        assert_eq!(
            receipt(answer).await,
            json!({"accepted": 4, "duplicates": 0})
        );

        server.desk.set_ahead_max(AheadMax {
            time_ms: 0,
            workday_ms: 3 * 86_400_000,
            ..AheadMax::default()
        });
        let late = survey("r4", json!("2026-11-20T12:10:00Z")).to_string();
        let refused = problem(
            server.post(STRUCTURED, late).await,
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-event",
        );
        refused.await;
        let taken = server
            .post(STRUCTURED, metric("2026-11-23", json!(5)).to_string())
            .await;
        assert_eq!(taken.status(), StatusCode::ACCEPTED);
    });
}
