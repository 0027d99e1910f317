//! `GET /v1/agents/{id}/points`: what an agent has, where it comes from, and what it is good for (S3.03, S3.04).
//!
//! An agent is there as soon as somebody names it, as everywhere in the system: one who has nothing yet, or nothing any
//! more, is answered with zeros, not 404. State is asked from the partition (`shard::ask`); `as_of` says which events are in it.

use actix_web::{HttpRequest, HttpResponse, web};
use aftercall_actors::{
    contract::{time::EventTime, value::Id},
    rewards::statement::Statement,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Desk, access::Route, parameters, problem::Problem};
use crate::{
    log::Position,
    shard::ask::{Answer, Found, Question},
};

/// An agent's points and rewards.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AgentPoints {
    /// The agent.
    pub agent_id: Id,
    /// Last position of the log that is in it: an event answered with a greater one may not be.
    pub as_of: Position,
    /// Log time it was made for.
    pub at: EventTime,
    /// The rest.
    #[serde(flatten)]
    pub statement: Statement,
}

/// The handler.
pub async fn get(
    request: HttpRequest,
    path: web::Path<String>,
    desk: web::Data<Desk>,
) -> HttpResponse {
    match points(&request, &path, &desk).await {
        Ok(points) => HttpResponse::Ok().json(points),
        Err(problem) => problem.response(),
    }
}

async fn points(request: &HttpRequest, id: &str, desk: &Desk) -> Result<AgentPoints, Problem> {
    desk.admit(request, Route::Points).await?;
    let agent_id = parameters::id("id", id)?;
    let question = Question::Statement(agent_id.clone());
    let Answer { as_of, at, found } = desk.asker()?.about(&agent_id, question).await?;
    let Found::Statement(statement) = found else {
        return Err(Problem::Internal(
            "a partition answered something else".into(),
        ));
    };
    Ok(AgentPoints {
        agent_id,
        as_of,
        at: EventTime(at.0),
        statement: *statement,
    })
}
