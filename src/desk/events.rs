//! `POST /v1/events`: CloudEvents in binary, structured or batch mode, answered when they are durable.
//!
//! A request is all or nothing as far as its events can be judged: if one is not valid, none is stored. Checked in the
//! order of cost: token, content type, load, size, content. Once storing has begun it is finished even if the client
//! has gone, so that a request is never half stored for that reason alone; and if the log fails half way, the same
//! request again adds only what is missing, because events are known by source and id.

use std::sync::{Arc, PoisonError};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderMap},
    web::{self, Bytes, Payload},
};
use aftercall_actors::{
    contract::{
        event::{Body, OutcomeKind},
        plausible,
    },
    rewards::redemption::REVERSE,
};
use serde::Serialize;

use super::{
    Desk,
    access::{Grant, Role, Roles, Route},
    intake,
    problem::{BadEvent, Problem},
};
use crate::{
    envelope::{BATCH, Incoming, JSON, Reason, Reject, STRUCTURED},
    log::{self, AppendError, Appended, NewEvent},
    telemetry,
};

/// Events given to the log at once.
const APPEND_MAX: usize = 500;

/// What became of a request's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Receipt {
    /// Stored by this request.
    accepted: usize,
    /// Already there under the same source and id.
    duplicates: usize,
}

/// The handler.
pub async fn post(request: HttpRequest, payload: Payload, desk: web::Data<Desk>) -> HttpResponse {
    let headers = request.headers();
    let grant = match desk.admit(&request, Route::Events).await {
        Ok(grant) => grant,
        Err(problem) => return intake::refuse(payload, &problem).await,
    };
    if let Err(problem) = check_mode(headers) {
        return intake::refuse(payload, &problem).await;
    }
    // Held until the log has answered, so that slow requests are bounded from their first byte on.
    let Ok(permit) = Arc::clone(&desk.waiting).try_acquire_owned() else {
        return intake::refuse(payload, &Problem::TooMany).await;
    };
    let mut payload = payload;
    let body = match intake::read(
        &mut payload,
        declared_length(headers),
        desk.limits.body_bytes_max,
    )
    .await
    {
        Ok(body) => body,
        Err(problem) => return intake::refuse(payload, &problem).await,
    };
    let events = match checked(&desk, &grant, headers, body) {
        Ok(events) => events,
        Err(problem) => return problem.response(),
    };
    let storing = actix_web::rt::spawn(async move {
        let waiting = Waiting::new();
        let stored = store(&desk, events).await;
        drop((waiting, permit));
        stored
    });
    match storing.await {
        Ok(Ok(receipt)) => HttpResponse::Accepted().json(receipt),
        Ok(Err(problem)) => problem.response(),
        // The panic has a line of its own.
        Err(_) => {
            tracing::error!("storing events broke off");
            Problem::Internal("storing the events broke off".into()).response()
        }
    }
}

/// Whether the content type is one of CloudEvents', or headers make it one.
fn check_mode(headers: &HeaderMap) -> Result<(), Problem> {
    if let Some(coding) = headers.get(header::CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(Problem::UnsupportedType(
            "a compressed body is not taken: send it without Content-Encoding".into(),
        ));
    }
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = kind
        .and_then(|kind| kind.split(';').next())
        .map(|kind| kind.trim().to_ascii_lowercase());
    let is_binary = headers.keys().any(|name| name.as_str().starts_with("ce-"));
    match essence.as_deref() {
        Some(STRUCTURED | BATCH) => Ok(()),
        None | Some(JSON) if is_binary => Ok(()),
        Some(kind) if kind.ends_with("+json") && is_binary => Ok(()),
        None => Err(Problem::UnsupportedType(format!(
            "no content type: send {STRUCTURED}, {BATCH}, or {JSON} with ce-* headers"
        ))),
        Some(JSON) => Err(Problem::Malformed(format!(
            "{JSON} without ce-* headers is no CloudEvent; for an event as one JSON object send {STRUCTURED}"
        ))),
        Some(_) => Err(Problem::UnsupportedType(format!(
            "send {STRUCTURED}, {BATCH}, or {JSON} with ce-* headers"
        ))),
    }
}

/// How long the sender says that the body is.
pub fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The request's events, every one of them valid, and such as this token may send.
fn checked(
    desk: &Desk,
    grant: &Grant,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Vec<NewEvent>, Problem> {
    let event_bytes_max = desk.limits.event_bytes_max;
    let pairs: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let is_batch = headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().to_ascii_lowercase();
        kind.starts_with(BATCH.as_bytes())
    });
    let incoming = match Incoming::from_http(pairs.into_iter(), body) {
        Ok(incoming) => incoming,
        // No event of it can be told from another.
        Err(reject) if is_batch => return Err(Problem::Malformed(reject.detail)),
        Err(reject) => return Err(whole(&reject)),
    };
    let mut events = Vec::with_capacity(incoming.len());
    let mut bad = Vec::new();
    for (index, event) in incoming.into_iter().enumerate() {
        let bytes = event.as_bytes().len();
        let event = if bytes > event_bytes_max {
            let text = format!(
                "an event has at most {event_bytes_max} bytes (http.event_max), this one has {bytes}"
            );
            Err(Reject::new(Reason::TooLarge, text))
        } else {
            event.check()
        };
        let event = match event {
            Ok(event) => {
                let place = is_batch.then_some(index);
                may_send(desk, grant, event.body(), place)?;
                by_holder(grant, event.body())
                    .and_then(|()| in_time(desk, event.body()))
                    .and_then(|()| match event.body().is_own() {
                        true => event.into_own_event(),
                        false => event.into_new_event(),
                    })
            }
            Err(reject) => Err(reject),
        };
        match event {
            Ok(event) => events.push(event),
            Err(reject) if is_batch => bad.push(BadEvent {
                index,
                reason: reject.reason.name().to_owned(),
                detail: reject.detail,
            }),
            Err(reject) => return Err(whole(&reject)),
        }
    }
    if bad.is_empty() {
        Ok(events)
    } else {
        Err(Problem::Invalid(bad))
    }
}

/// Whether the holder of the token may send events of this type.
fn may_send(desk: &Desk, grant: &Grant, body: &Body, place: Option<usize>) -> Result<(), Problem> {
    let name = body.type_name();
    let what = match place {
        Some(index) => format!("event {index}, of type `{name}`,"),
        None => format!("an event of type `{name}`"),
    };
    match Role::to_send(body) {
        Some(role) if !grant.roles.has(role) => Err(desk.forbid(grant, &what, Roles::of(&[role]))),
        Some(Role::Answer(_))
            if !is_news(body)
                && desk
                    .answered
                    .get()
                    .is_some_and(|types| types.contains(name)) =>
        {
            Err(Problem::Answered(format!(
                "{what} is not taken: a destination reports with `{name}` (outcome.event), and of two answers to one \
                 request the first would count"
            )))
        }
        // Types without a role are refused below, with that reason.
        Some(_) | None => Ok(()),
    }
}

/// Whether this is no answer to a request but news of a reward that was issued: its provider tells those by webhook, which
/// no destination hears. Of a claim that is still open it says nothing that frees points.
fn is_news(body: &Body) -> bool {
    const NEWS: [&str; 5] = ["cancelled", "canceled", "reversed", "bounced", "failed"];
    match body {
        Body::Outcome(OutcomeKind::Reward, outcome) => {
            NEWS.contains(&&*outcome.status) && !outcome.output_id.ends_with(REVERSE)
        }
        _ => false,
    }
}

/// A decision is the holder's, whichever door it comes in by.
fn by_holder(grant: &Grant, body: &Body) -> Result<(), Reject> {
    match (body, &grant.holder) {
        (Body::RewardDecided(decided), holder) if Some(&decided.by) != holder.as_ref() => {
            let holder = holder.as_ref().map_or("", |holder| holder);
            Err(Reject::new(
                Reason::OutOfRange,
                format!("data.by: must be the token's holder, `{holder}`"),
            ))
        }
        _ => Ok(()),
    }
}

/// Whether an event is dated no further ahead than the rules allow: what readers of the log would refuse is not stored.
fn in_time(desk: &Desk, body: &Body) -> Result<(), Reject> {
    let limits = *desk
        .ahead_max
        .read()
        .unwrap_or_else(PoisonError::into_inner);
    match plausible::refused(&plausible::ahead(body, desk.log.now()), &limits) {
        Some(why) if !body.is_own() => Err(Reject::new(Reason::InFuture, why)),
        Some(_) | None => Ok(()),
    }
}

/// What a refusal means for a request that is one event.
fn whole(reject: &Reject) -> Problem {
    match reject.reason {
        Reason::NotJson | Reason::NotCloudevent | Reason::TooDeep => {
            Problem::Malformed(reject.detail.clone())
        }
        Reason::TooLarge => Problem::TooLarge(reject.detail.clone()),
        Reason::UnknownType
        | Reason::ReservedType
        | Reason::MissingField
        | Reason::WrongType
        | Reason::OutOfRange
        | Reason::DuplicateField
        | Reason::WrongSubject
        | Reason::BadRules
        | Reason::InFuture => Problem::Invalid(vec![BadEvent {
            index: 0,
            reason: reject.reason.name().to_owned(),
            detail: reject.detail.clone(),
        }]),
    }
}

async fn store(desk: &Desk, events: Vec<NewEvent>) -> Result<Receipt, Problem> {
    let mut receipt = Receipt::default();
    let mut events = events.into_iter().peekable();
    while events.peek().is_some() {
        let some = events.by_ref().take(APPEND_MAX).collect();
        for stored in append(desk, some).await? {
            if stored.duplicate {
                receipt.duplicates += 1;
            } else {
                receipt.accepted += 1;
            }
        }
    }
    Ok(receipt)
}

/// Stores events, with the patience that requests are given.
///
/// # Errors
/// If the log did not confirm all of them.
pub async fn append(desk: &Desk, events: Vec<NewEvent>) -> Result<Vec<Appended>, Problem> {
    if desk.board().is_some_and(|board| board.is_crowded()) {
        let why = "no memory is left for more actors (engine.memory_max)";
        return Err(Problem::Unavailable(why.into()));
    }
    let answers = log::retry::append(desk.log.as_ref(), events, desk.limits.append_timeout).await;
    let answers = answers.into_iter().map(|answer| {
        answer.map_err(|error| match error {
            AppendError::Unknown(why) => {
                // Told once by the log's account, and not for each request.
                tracing::debug!(%why, "events from http not confirmed");
                let fault = desk.log.fault();
                Problem::Unavailable(fault.unwrap_or_else(|| "the event log did not answer".into()))
            }
            AppendError::Refused(why) => {
                tracing::error!(%why, "events from http refused by the log");
                Problem::Unavailable("the event log refuses events at the moment".into())
            }
        })
    });
    answers.collect()
}

/// Counts itself in the gauge for as long as it lives.
struct Waiting;

impl Waiting {
    fn new() -> Self {
        telemetry::metrics().http_appends_waiting.inc();
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        telemetry::metrics().http_appends_waiting.dec();
    }
}
