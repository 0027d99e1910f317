//! What monitoring reads: readiness, liveness, metrics.

use std::sync::Arc;

use aftercall::{
    envelope::STRUCTURED,
    log::PartitionId,
    shard::board::{Board, State},
};
use aftercall_actors::contract::key::Side;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::server::with_server;

#[test]
fn readiness_says_why_not_and_liveness_does_not_care() {
    with_server(|server| async move {
        let ready = async || {
            let answer = server.request(Method::GET, "/readyz").send().await.unwrap();
            (
                answer.status().as_u16(),
                answer.json::<Value>().await.unwrap(),
            )
        };
        let (status, body) = ready().await;
        assert_eq!((status, &body["status"]), (503, &json!("not_ready")));

        let board = Arc::new(Board::new(1));
        server.desk.set_board(Arc::clone(&board));
        let (status, body) = ready().await;
        assert_eq!(
            (status, body["complaints"].as_array().unwrap().len()),
            (503, 2),
            "both recover"
        );

        let all: Vec<_> = PartitionId::all(1).collect();
        for partition in &all {
            board.update(*partition, |status| status.state = State::Running);
        }
        assert_eq!(
            ready().await,
            (200, json!({"status": "ready", "complaints": []}))
        );

        board.update(all[1], |status| {
            status.state = State::Stopped;
            status.reason = Some("a gap at 7".into());
        });
        assert_eq!(
            ready().await,
            (
                503,
                json!({"status": "not_ready", "complaints": ["partition customer.0 is stopped: a gap at 7"]})
            )
        );
        let alive = server.request(Method::GET, "/livez").send().await.unwrap();
        assert_eq!(alive.status(), StatusCode::OK);

        board.update(all[1], |status| status.state = State::Running);
        server.desk.set_stopping();
        assert_eq!(ready().await.0, 503);
    });
}

/// Nothing is taken that no actor has room for; sent again later, it is.
#[test]
fn without_memory_for_actors_events_are_answered_503_and_readiness_says_so() {
    with_server(|server| async move {
        let board = Arc::new(Board::new(1));
        server.desk.set_board(Arc::clone(&board));
        for partition in PartitionId::all(1) {
            board.update(partition, |status| status.state = State::Running);
        }
        let event = json!({
            "specversion": "1.0", "id": "e1", "source": "tests", "type": "interaction.wrapup",
            "data": { "interaction_id": "i1", "agent_id": "a1", "status": "ended" },
        });
        let post = || server.post(STRUCTURED, event.to_string());
        board.set_crowded(true);
        let refused = post().await;
        assert_eq!(refused.status(), 503);
        let text = refused.text().await.unwrap();
        assert!(text.contains("engine.memory_max"), "{text}");
        let ready = server.request(Method::GET, "/readyz").send().await.unwrap();
        assert_eq!(ready.status(), 503);
        let text = ready.text().await.unwrap();
        assert!(text.contains("raise engine.memory_max"), "{text}");
        assert_eq!(server.stored_ids(), [""; 0]);
        board.set_crowded(false);
        assert!(post().await.status().is_success());
        assert_eq!(server.stored_ids().len(), 1);
    });
}

/// The clock of the machine jumps: the process does its work, and says what somebody has to look at.
#[test]
fn readiness_notes_that_the_clock_jumped() {
    with_server(|server| async move {
        server.world.set_clock_off(3_600_000);
        let answer = server.request(Method::GET, "/readyz").send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        let note = body["notes"][0].as_str().unwrap_or_default();
        assert!(
            note.contains("clock jumped: it is 1 h 0 min ahead"),
            "{body}"
        );
        server.world.set_clock_off(0);
        let answer = server.request(Method::GET, "/readyz").send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body.get("notes"), None);
    });
}

#[test]
fn metrics_show_requests_by_route_and_partitions_as_the_board_has_them() {
    with_server(|server| async move {
        let board = Arc::new(Board::new(1));
        board.set_read(12);
        let partition = PartitionId {
            side: Side::Agent,
            index: 0,
        };
        board.update(partition, |status| {
            status.state = State::Stopped;
            status.applied = 10;
            status.actors = 3;
            status.actor_bytes = 400;
        });
        server.desk.set_board(board);
        server
            .request(Method::GET, "/some/other/path")
            .send()
            .await
            .unwrap();
        let answer = server
            .request(Method::GET, "/metrics")
            .send()
            .await
            .unwrap();
        assert!(
            answer.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/plain")
        );
        let text = answer.text().await.unwrap();
        for line in [
            "aftercall_partition_lag_events{partition=\"agent.0\"} 2",
            "aftercall_partition_position{partition=\"agent.0\"} 10",
            "aftercall_partition_state{partition=\"agent.0\",state=\"stopped\"} 1",
            "aftercall_partition_state{partition=\"agent.0\",state=\"running\"} 0",
            "aftercall_stopped_partitions 1",
            "aftercall_actors{side=\"agent\"} 3",
            "aftercall_actors{side=\"customer\"} 0",
            "aftercall_actor_bytes 400",
        ] {
            assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
        }
        assert!(
            text.contains("aftercall_http_requests_total{route=\"other\",status=\"404\"}"),
            "{text}"
        );
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
        assert!(!text.contains("/some/other/path"), "{text}");
    });
}
