//! Who leads: ranks over all partitions, and questions that cannot be answered.

use serde_json::{Value, json};

use super::centre::{id, named, problem, program, with_centre};

#[test]
fn s3_03_the_leaderboard_ranks_agents_of_all_partitions_by_what_their_workdays_earned() {
    let programs = program("recognition", "") + &program("other", "enabled = false\n");
    with_centre(&programs, |centre| async move {
        for (agent, date, points) in [
            ("ann", "2025-12-30", 300),
            ("bob", "2025-12-29", 100),
            ("bob", "2025-12-30", 200),
            ("cid", "2025-12-30", 520),
            ("dee", "2025-12-28", 40),
            ("eve", "2025-12-30", -5),
            ("fay", "2025-12-30", 300),
        ] {
            centre.row(agent, date, points).await;
        }
        // Bots collect points and are not listed.
        let bot = json!({
            "response_id": "r1", "interaction_id": "i1", "submitted_at": "2025-12-30T12:00:00Z", "csat": 5,
            "routing": { "bot_id": "bot" },
        });
        centre.tell("survey.response.created", bot).await;
        centre.outcome("cid", &id("cid", 0), "issued").await;
        let all = centre.get("/v1/leaderboard").await;
        assert_eq!(
            (&all["from"], &all["to"]),
            (&json!("2025-10-02"), &json!("2025-12-31"))
        );
        assert_eq!((&all["agents"], &all["program"]), (&json!(6), &Value::Null));
        let entry = |rank: u64, agent: &str, points: i64, rewards: i64| {
            json!({
                "rank": rank, "agent_id": agent, "points": points, "rewards": rewards,
                "points_redeemed": 500 * rewards,
            })
        };
        let ranked = [
            entry(1, "cid", 520, 1),
            entry(2, "ann", 300, 0),
            entry(2, "bob", 300, 0),
            entry(2, "fay", 300, 0),
            entry(5, "dee", 40, 0),
            entry(6, "eve", -5, 0),
        ];
        assert_eq!(all["entries"], json!(ranked));
        let two = centre
            .get("/v1/leaderboard?limit=2&program=recognition")
            .await;
        assert_eq!(
            (&two["entries"], &two["agents"]),
            (&json!(ranked[..2]), &json!(6))
        );
        // No reward of the other program, and the days from the first to the last.
        let days = "/v1/leaderboard?program=other&from=2025-12-28&to=2025-12-29";
        let days = centre.get(days).await;
        assert_eq!(
            days["entries"],
            json!([entry(1, "bob", 100, 0), entry(2, "dee", 40, 0)])
        );
        let none = centre.get("/v1/leaderboard?from=2026-03-01").await;
        assert_eq!(
            (&none["entries"], &none["to"]),
            (&json!([]), &json!("2026-03-01"))
        );
    });
}

#[test]
fn s3_13_a_leaderboard_of_days_that_have_left_or_make_no_sense_is_refused_with_what_would_be_right()
{
    with_centre(&program("recognition", ""), |centre| async move {
        let board = async |query: &str| centre.ask(&format!("/v1/leaderboard?{query}")).await;
        centre.row("a1", "2025-12-30", 10).await;
        centre
            .get("/v1/leaderboard?from=2025-10-02&to=2025-10-02")
            .await;
        let refused = problem(board("from=2025-10-01").await, 422, "invalid-parameter").await;
        assert_eq!(named(&refused), ["from"]);
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("from 2025-10-02 to 2025-12-31"), "{detail}");
        for (query, names) in [
            ("to=2025-10-01", vec!["to"]),
            ("from=2025-12-02&to=2025-12-01", vec!["to"]),
            ("program=none", vec!["program"]),
            ("program=none&from=2025-01-01", vec!["program", "from"]),
            ("limit=0", vec!["limit"]),
            ("limit=1001", vec!["limit"]),
            ("limit=1&limit=2", vec!["limit"]),
            (
                "from=yesterday&to=2025-2-1&limit=many&colour=red",
                vec!["from", "to", "limit", "colour"],
            ),
        ] {
            let refused = problem(board(query).await, 422, "invalid-parameter").await;
            assert_eq!(named(&refused), names, "{query}");
        }
        centre.get("/v1/leaderboard?limit=1000").await;
        centre.get("/v1/leaderboard?limit=1").await;
        let refused = problem(board("program=none").await, 422, "invalid-parameter").await;
        assert!(
            refused["detail"].as_str().unwrap().contains("recognition"),
            "{refused}"
        );
    });
}
