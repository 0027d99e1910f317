//! Points and rewards over HTTP, as a page or a script uses them: what an agent has, what a person decides, who leads.
//!
//! A whole service in this process: HTTP, hosts, partitions, on the memory log. What a statement says at each moment is
//! proved in `actors/tests/statement.rs`; here it is that it comes out, that decisions go in, and how mistakes are answered.

#[path = "rewards_http/centre.rs"]
mod centre;
#[path = "rewards_http/decisions.rs"]
mod decisions;
#[path = "rewards_http/leaderboard.rs"]
mod leaderboard;

use centre::{KIM, TOKEN, problem, program, with_centre, with_desk_alone};
use reqwest::Method;
use serde_json::json;

#[test]
fn s3_03_points_are_told_by_workday_of_the_business_unit_and_what_has_left_is_not_told() {
    with_centre(&program("recognition", ""), |centre| async move {
        // The night in which summer time ends: 2025-11-02 has 25 hours.
        for (points, at) in [
            (1, "2025-11-02T03:59:59.999Z"),
            (2, "2025-11-02T04:00:00Z"),
            (4, "2025-11-03T04:59:59.999Z"),
            (8, "2025-11-03T05:00:00Z"),
        ] {
            centre.adjust("a1", points, at).await;
        }
        // It is still 2025-12-31 there.
        centre.row("a1", "2025-10-02", 16).await;
        centre.row("a1", "2025-10-01", 32).await;
        let told = centre.points("a1").await;
        let day = |date: &str, points: i64, source: &str| {
            json!({
                "date": date, "points": points, "earned": [{ "source": source, "points": points }], "taken": 0,
            })
        };
        assert_eq!(
            told["days"],
            json!([
                day("2025-10-02", 16, "points"),
                day("2025-11-01", 1, "adjustment"),
                day("2025-11-02", 6, "adjustment"),
                day("2025-11-03", 8, "adjustment"),
            ])
        );
        assert_eq!(
            told["window"],
            json!({ "from": "2025-10-02", "to": "2025-12-31", "days": 90 })
        );
        assert_eq!(
            (&told["agent_id"], &told["balance"]),
            (&json!("a1"), &json!(31))
        );
        assert!(
            told["at"]
                .as_str()
                .unwrap()
                .starts_with("2026-01-01T00:00:")
        );
        assert_eq!(told["programs"][0]["tiers"][0]["missing"], 469);
    });
}

#[test]
fn s3_03_whoever_was_never_seen_has_nothing_and_an_id_may_hold_any_character() {
    with_centre(&program("recognition", ""), |centre| async move {
        let told = centre.points("nobody").await;
        assert_eq!((&told["balance"], &told["days"]), (&json!(0), &json!([])));
        assert_eq!(told["programs"][0]["next_tier"], "bronze");
        for (agent, path) in [
            ("a/1", "a%2F1"),
            ("100%", "100%25"),
            ("%2F", "%252F"),
            ("é b.c+d", "%C3%A9%20b.c+d"),
            ("_", "_"),
        ] {
            centre.row(agent, "2025-12-30", 7).await;
            let told = centre.points(path).await;
            assert_eq!(
                (&told["agent_id"], &told["balance"]),
                (&json!(agent), &json!(7))
            );
        }
        let long = "a".repeat(257);
        let path = format!("/v1/agents/{long}/points");
        let refused = problem(centre.ask(&path).await, 422, "invalid-parameter").await;
        assert_eq!(refused["errors"][0]["name"], "id");
    });
}

#[test]
fn nothing_is_told_without_a_token_by_another_method_or_before_partitions_are_taken_over() {
    with_desk_alone(|centre| async move {
        for path in ["/v1/agents/a1/points", "/v1/leaderboard"] {
            let unsigned = centre.request(Method::GET, path).send().await.unwrap();
            problem(unsigned, 401, "unauthorized").await;
            let posted = centre
                .request(Method::POST, path)
                .bearer_auth(TOKEN)
                .send()
                .await
                .unwrap();
            assert_eq!(posted.headers()["allow"], "GET, HEAD");
            problem(posted, 405, "method-not-allowed").await;
            let early = centre.ask(path).await;
            assert_eq!(early.headers()["retry-after"], "1");
            problem(early, 503, "no-answer").await;
        }
        let early = centre
            .request(Method::POST, "/v1/rewards/r1/approve")
            .bearer_auth(KIM);
        let early = early.json(&json!({ "by": "kim" })).send().await.unwrap();
        problem(early, 503, "no-answer").await;
        let labels = centre
            .request(Method::GET, "/metrics")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        for route in [
            "/v1/agents/{id}/points",
            "/v1/leaderboard",
            "/v1/rewards/{id}/approve",
        ] {
            assert!(
                labels.contains(&format!("route=\"{route}\",status=\"503\"")),
                "{route}"
            );
        }
    });
}
