//! What monitoring reads: `/livez`, `/readyz`, `/metrics`. Open to whoever can reach the port, and free of customers'
//! data: partitions, positions and counts only.

use actix_web::{HttpResponse, web};
use aftercall_actors::contract::key::Side;
use serde::Serialize;

use super::{Desk, problem::Problem};
use crate::{
    shard::board::{Board, State},
    telemetry,
};

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    complaints: Vec<String>,
    /// What somebody has to mend, though this process does its work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// The process runs and answers.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("alive\n")
}

/// Whether the process does its work; if not, why.
pub async fn readyz(desk: web::Data<Desk>) -> HttpResponse {
    let complaints = desk.complaints();
    let notes = desk.notes();
    if complaints.is_empty() {
        HttpResponse::Ok().json(Readiness {
            status: "ready",
            complaints,
            notes,
        })
    } else {
        HttpResponse::ServiceUnavailable().json(Readiness {
            status: "not_ready",
            complaints,
            notes,
        })
    }
}

/// Everything, for Prometheus.
pub async fn metrics(desk: web::Data<Desk>) -> HttpResponse {
    if let Some(board) = desk.board() {
        mirror(board);
    }
    match telemetry::metrics().render() {
        Ok(text) => HttpResponse::Ok()
            .content_type(telemetry::CONTENT_TYPE)
            .body(text),
        Err(error) => Problem::Internal(format!("metrics cannot be written: {error}")).response(),
    }
}

/// Copies the partitions' accounts into gauges.
fn mirror(board: &Board) {
    let metrics = telemetry::metrics();
    let end = board.log_end();
    let mut stopped = 0;
    let mut bytes = 0;
    let mut actors = Side::ALL.map(|_| 0);
    for status in board.partitions() {
        let name = status.partition.to_string();
        metrics.partition_position(&name).set(gauge(status.applied));
        metrics
            .partition_lag(&name)
            .set(gauge(end.saturating_sub(status.applied)));
        for state in [
            State::Recovering,
            State::Running,
            State::Fenced,
            State::Stopped,
        ] {
            let held = i64::from(state == status.state);
            metrics.partition_state(&name, state_name(state)).set(held);
        }
        stopped += i64::from(status.state == State::Stopped);
        actors[status.partition.side as usize] += status.actors;
        bytes += status.actor_bytes;
    }
    metrics.stopped_partitions.set(stopped);
    metrics.actor_bytes.set(gauge(bytes));
    for side in Side::ALL {
        metrics.actors(side).set(gauge(actors[side as usize]));
    }
}

/// The state's name as a label: the same word `/readyz` and JSON use.
#[must_use]
pub const fn state_name(state: State) -> &'static str {
    match state {
        State::Recovering => "recovering",
        State::Running => "running",
        State::Fenced => "fenced",
        State::Stopped => "stopped",
    }
}

fn gauge(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
