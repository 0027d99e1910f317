//! A stored event, decoded: which mode it is in, its typed data, and whether it stands where it belongs.

use std::borrow::Cow;

use aftercall_actors::contract::{
    event::{Body, Event},
    key::Key,
    plausible,
};

use super::{
    BATCH, Reason, Reject, STRUCTURED, attribute,
    body::{self, EventType},
    structured,
};
use crate::log::{Headers, RawEvent, Route, Speaker};

/// Decodes a stored event and checks that its subject leads to the partitions its data names, of
/// `partition_count` a side.
///
/// # Errors
/// If it is not an event of the contract, or not in its place: it belongs into quarantine.
pub fn decode(raw: &RawEvent, partition_count: u16) -> Result<Event, Reject> {
    let event = match mode(&raw.headers) {
        Mode::Structured => structured::parse(&raw.payload)?,
        Mode::Binary => binary(&raw.headers, &raw.payload)?,
        Mode::Batch => {
            return Err(Reject::new(
                Reason::NotCloudevent,
                "a batch is read on HTTP only; publish its events one by one",
            ));
        }
    };
    check_route(&event.body, raw.route, partition_count)?;
    check_speaker(&event.body, raw.speaker)?;
    Ok(event)
}

/// Source and id of a message that was rejected, if both can be read: whoever sent it looks for it by them.
#[must_use]
pub fn name(headers: &Headers, payload: &[u8]) -> Option<(String, String)> {
    #[derive(serde::Deserialize)]
    struct Name {
        source: String,
        id: String,
    }
    let Name { source, id } = match mode(headers) {
        Mode::Structured => serde_json::from_slice(payload).ok()?,
        Mode::Binary => Name {
            source: attribute(headers, "ce-source").ok()?.into_owned(),
            id: attribute(headers, "ce-id").ok()?.into_owned(),
        },
        Mode::Batch => return None,
    };
    attribute::check_source(&source).ok()?;
    attribute::check_id(&id).ok()?;
    Some((source, id))
}

enum Mode {
    Structured,
    Binary,
    Batch,
}

fn mode(headers: &Headers) -> Mode {
    if matches!(headers, Headers::Empty) {
        return Mode::Structured;
    }
    match headers.get("content-type") {
        Some(kind) if starts_with(kind, BATCH) => Mode::Batch,
        Some(kind) if starts_with(kind, STRUCTURED) => Mode::Structured,
        Some(_) | None => {
            let any = ATTRIBUTES.iter().any(|name| headers.get(name).is_some());
            if any { Mode::Binary } else { Mode::Structured }
        }
    }
}

/// The headers of the required attributes.
const ATTRIBUTES: [&str; 4] = ["ce-specversion", "ce-id", "ce-source", "ce-type"];

/// Whether the content type is `kind`, whatever its case and parameters.
pub fn starts_with(content_type: &str, kind: &str) -> bool {
    content_type
        .trim_start()
        .get(..kind.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(kind))
}

fn binary(headers: &Headers, payload: &[u8]) -> Result<Event, Reject> {
    let [specversion, id, source, event_type] = ATTRIBUTES.map(|name| attribute(headers, name));
    structured::check_specversion(&specversion?)?;
    let id = id?;
    attribute::check_id(&id)?;
    let source = source?;
    attribute::check_source(&source)?;
    let event_type = EventType::named(&event_type?)?;
    let text = structured::text(payload)?;
    let body = match event_type {
        EventType::Tick if text.is_empty() => Body::Tick,
        _ => body::from_text(event_type, text)?,
    };
    Ok(Event {
        source: source.into(),
        id: id.into(),
        body,
    })
}

fn attribute<'a>(headers: &'a Headers, name: &str) -> Result<Cow<'a, str>, Reject> {
    match headers.get(name) {
        Some(value) => attribute::from_header(name, value),
        None => Err(Reject::new(
            Reason::MissingField,
            format!("header {name}: required in binary mode, but missing"),
        )),
    }
}

/// Checks that an event is such as may stand in this place of the log.
///
/// What a log from before holds is taken as it was then, since its states rest on that; the service checks itself.
///
/// # Errors
/// From anyone: what only the service says, and what cannot be.
pub(super) fn check_speaker(body: &Body, speaker: Speaker) -> Result<(), Reject> {
    match speaker {
        Speaker::Unknown | Speaker::Service => Ok(()),
        Speaker::Anyone if body.is_own() => Err(reserved(body.type_name())),
        Speaker::Anyone => plausible::check(body)
            .map_err(|found| Reject::new(Reason::OutOfRange, found.to_string())),
    }
}

/// The refusal of what only the service says.
pub(super) fn reserved(event_type: &str) -> Reject {
    Reject::new(
        Reason::ReservedType,
        format!("type: `{event_type}` is said by aftercall alone and not taken from outside"),
    )
}

/// Checks that the event is where it belongs: an actor's in its partitions, one for all in all.
fn check_route(body: &Body, route: Route, partition_count: u16) -> Result<(), Reject> {
    let wrong = |detail: String| Err(Reject::new(Reason::WrongSubject, detail));
    let name = body.type_name();
    match (route, body.is_for_all()) {
        (Route::All, true) => Ok(()),
        (Route::All, false) => wrong(format!(
            "subject leads to all partitions, but `{name}` is for one actor a side"
        )),
        (Route::Pair { .. }, true) => wrong(format!(
            "subject leads to one partition a side, but `{name}` is for all"
        )),
        (Route::Pair { agent, customer }, false) => {
            let sides = [(body.owner(), agent), (body.customer(), customer)];
            for (key, found) in sides {
                let Some(key) = key else { continue };
                let right = key.partition(partition_count);
                if right != found {
                    return wrong(misplaced(key, found, right));
                }
            }
            Ok(())
        }
    }
}

fn misplaced(key: Key<'_>, found: u16, right: u16) -> String {
    format!(
        "subject leads to partition {side}.{found}, but the data is for {key}, whose token `{token}` is in {side}.{right}",
        side = key.side(),
        token = key.token(),
    )
}
