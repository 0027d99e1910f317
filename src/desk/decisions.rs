//! `POST /v1/rewards/{id}/approve` and `/reject`: a person decides about a reward (S3.04, S3.08, S3.12).
//!
//! A decision becomes the event `reward.decided`, and the actor takes it when its turn comes. Before that the actor is asked
//! what it would make of it, so that whoever decides hears at once of a reward that does not wait. Between the two it may have
//! moved on: then the actor ignores the event and counts it. So the same request again is safe: no stage gives a second reward
//! for one claim, and what was seen in one state of the log is one event, however often it is sent.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderMap},
    web::{self, Payload},
};
use aftercall_actors::{
    contract::{
        event::{Decision, RewardDecided},
        value::Id,
    },
    rewards::statement::{Judgement, RewardState, Verdict},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Desk, access::Route, events, intake, parameters, problem::Problem};
use crate::{
    envelope::{self, JSON},
    log::Position,
    shard::ask::{Answer, Asker, Found, Question, Wish},
};

/// Most bytes of a body: two ids and their names.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// A decision that stands in the log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Decided {
    /// The reward, or its reversal.
    pub reward_id: Id,
    /// Its agent.
    pub agent_id: Id,
    /// What was decided.
    pub decision: Decision,
    /// Where the decision stands in the log: it is in every answer whose `as_of` is no less.
    pub position: Position,
}

/// The handler of `approve`.
pub async fn approve(
    request: HttpRequest,
    path: web::Path<String>,
    payload: Payload,
    desk: web::Data<Desk>,
) -> HttpResponse {
    decide(&request, &path, Route::Approve, payload, &desk).await
}

/// The handler of `reject`.
pub async fn reject(
    request: HttpRequest,
    path: web::Path<String>,
    payload: Payload,
    desk: web::Data<Desk>,
) -> HttpResponse {
    decide(&request, &path, Route::Reject, payload, &desk).await
}

async fn decide(
    request: &HttpRequest,
    id: &str,
    route: Route,
    mut payload: Payload,
    desk: &web::Data<Desk>,
) -> HttpResponse {
    let decision = match route {
        Route::Reject => Decision::Reject,
        _ => Decision::Approve,
    };
    let headers = request.headers();
    let begun = desk
        .admit(request, route)
        .await
        .and_then(|grant| {
            // Only a line of a token file grants this role, and it names a holder.
            let holder = grant.holder.clone();
            holder.ok_or_else(|| desk.forbid(&grant, "a decision without a holder", route.roles()))
        })
        .and_then(|holder| check_type(headers).map(|()| holder))
        .and_then(|holder| parameters::id("id", id).map(|id| (holder, id)))
        .and_then(|(holder, id)| {
            // Held until the log has answered: as for events.
            let permit = Arc::clone(&desk.waiting).try_acquire_owned();
            permit
                .map(|permit| (holder, id, permit))
                .map_err(|_| Problem::TooMany)
        });
    let (holder, id, permit) = match begun {
        Ok(begun) => begun,
        Err(problem) => return intake::refuse(payload, &problem).await,
    };
    let declared = events::declared_length(headers);
    let body = match intake::read(&mut payload, declared, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(problem) => return intake::refuse(payload, &problem).await,
    };
    let wish = match parameters::wish(id, decision, holder, &body) {
        Ok(wish) => wish,
        Err(problem) => return problem.response(),
    };
    // Finished even if the client has gone, as storing events is.
    let deciding = actix_web::rt::spawn({
        let desk = desk.clone();
        async move {
            let decided = carry_out(&desk, wish).await;
            drop(permit);
            decided
        }
    });
    match deciding.await {
        Ok(Ok(decided)) => HttpResponse::Accepted().json(decided),
        Ok(Err(problem)) => problem.response(),
        // The panic has a line of its own.
        Err(_) => {
            tracing::error!("storing a decision broke off");
            Problem::Internal("storing the decision broke off".into()).response()
        }
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    match essence {
        Some(essence) if essence.trim().eq_ignore_ascii_case(JSON) => Ok(()),
        Some(_) | None => Err(Problem::UnsupportedType(format!("send {JSON}"))),
    }
}

async fn carry_out(desk: &Desk, wish: Wish) -> Result<Decided, Problem> {
    let (reward_id, agent) = (wish.reward_id.clone(), wish.agent_id.clone());
    let found = judged(desk.asker()?, wish).await?;
    let (as_of, decided, judgement) = found.ok_or_else(|| {
        Problem::UnknownReward(match agent {
            Some(agent) => format!(
                "agent {agent} never claimed a reward with the id {reward_id}; without agent_id all are asked"
            ),
            None => format!("no agent ever claimed a reward with the id {reward_id}"),
        })
    })?;
    check(&decided, &judgement)?;
    let event = envelope::reward_decided_event(&decided, as_of)
        .map_err(|reject| Problem::Internal(reject.to_string()))?;
    let mut position = None;
    for stored in events::append(desk, vec![event]).await? {
        position = Some(stored.position);
    }
    let position = position.ok_or_else(|| Problem::Internal("the log gave no answer".into()))?;
    Ok(Decided {
        reward_id,
        agent_id: decided.agent_id,
        decision: decided.decision,
        position,
    })
}

/// The decision with its agent, what that makes of it, and as of which position; nothing if nobody ever claimed it.
async fn judged(
    asker: &Asker,
    wish: Wish,
) -> Result<Option<(Position, RewardDecided, Judgement)>, Problem> {
    let agent = wish.agent_id.clone();
    let question = Question::Reward(wish);
    let answers = match agent {
        Some(agent) => vec![asker.about(&agent, question).await?],
        None => asker.all(&question).await?,
    };
    for Answer { as_of, found, .. } in answers {
        match found {
            Found::Reward(Some(found)) => return Ok(Some((as_of, found.0, found.1))),
            Found::Reward(None) => {}
            Found::Terms(_) | Found::Statement(_) | Found::Ranking(_) => {
                return Err(Problem::Internal(
                    "a partition answered something else".into(),
                ));
            }
        }
    }
    Ok(None)
}

/// Whether the decision takes effect; else where the reward stands, and what is possible.
fn check(decided: &RewardDecided, judgement: &Judgement) -> Result<(), Problem> {
    let Judgement {
        state,
        program,
        verdict,
    } = judgement;
    let detail = match verdict {
        Verdict::Taken => return Ok(()),
        Verdict::Stopped => {
            return Err(Problem::ProgramStopped {
                state: state.name(),
                detail: format!(
                    "program {program} is switched off or no longer in the rules, so nothing can be requested; \
                     rejecting a claim that waits is possible"
                ),
            });
        }
        Verdict::Uncovered => {
            "its points are gone: the claim is withdrawn with the agent's next event".to_owned()
        }
        Verdict::NotWaiting => possible(*state).to_owned(),
    };
    let stage = state.name();
    Err(Problem::NotWaiting {
        state: stage,
        detail: format!("reward {} is {stage}: {detail}", decided.reward_id),
    })
}

/// What can be done about a reward that does not take a decision.
const fn possible(state: RewardState) -> &'static str {
    match state {
        RewardState::Awaiting | RewardState::NeedsReview => {
            "it is not issued, so no reversal waits; decide about the reward itself, without `:reverse`"
        }
        RewardState::Held => {
            "its provider says that the agent does not have it; decide about the reward itself, without `:reverse`: approve \
             if the agent has it, reject if not"
        }
        RewardState::Cancelled => {
            "the agent does not have it; approving it once, without `:reverse`, lets its tier be claimed again, under another id"
        }
        RewardState::Rejected => {
            "it is not given; approving it lets its tier be claimed again, under another id"
        }
        RewardState::Locked => {
            "its provider is being asked; it can be decided if that ends without an answer (needs_review) or in a rejection"
        }
        RewardState::Issued => {
            "it is the agent's; only a reversal can be decided, once one was requested and needs review"
        }
        RewardState::Reversing => {
            "its provider is asked to take it back; it can be decided if that ends without an answer"
        }
        RewardState::ReversalNeedsReview => "it waits for a decision",
        RewardState::Reversed | RewardState::Debt => "it is settled",
        RewardState::Past => {
            "it was withdrawn, or rejected and another one claimed in its place, or issued too long ago to be remembered"
        }
    }
}
