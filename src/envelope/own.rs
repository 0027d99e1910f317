//! The two events the system itself puts into the log, for every partition: time moving on, and rules.

use aftercall_actors::{event::RulesActivated, time::LogTime, value::Id};
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use super::{JSON, Reason, Reject, SPECVERSION, attribute, incoming::message_id, structured};
use crate::log::{Destination, Headers, NewEvent};

/// CloudEvents `source` of what the system says itself.
const SOURCE: &str = "aftercall";

/// Moves log time on in every partition.
///
/// `now` only names the event: actors see the time the log stamps on it. Ticks of one second share an id, so that
/// of several owners who each want one, one is stored (DESIGN: at most one a second).
#[must_use]
pub fn tick_event(now: LogTime) -> NewEvent {
    let id = format!("tick-{}", now.0.div_euclid(1_000));
    own_event("tick", id, now, &json!({}))
}

/// Puts a rule set in force in every partition from its position on.
///
/// `now` is a part of the id: going back to a rule set that held a minute ago is an activation of its own, not a
/// repeat of the first.
///
/// # Errors
/// If the version is empty or too long to be stamped on outputs, or the text too long for an event.
pub fn rules_activated_event(version: &str, text: &str, now: LogTime) -> Result<NewEvent, Reject> {
    let id = format!("rules-{}-{version}", now.0);
    attribute::check_id(&id)?;
    let version = Id::new(version).map_err(|why| Reject::new(Reason::OutOfRange, why))?;
    let data = RulesActivated {
        version,
        rules: text.to_owned(),
    };
    let event = own_event("rules.activated", id, now, &data);
    structured::text(&event.payload)?;
    Ok(event)
}

/// Field order as every SDK writes it: what decodes in one pass.
#[derive(Serialize)]
struct Envelope<'a, D> {
    specversion: &'static str,
    id: &'a str,
    source: &'static str,
    #[serde(rename = "type")]
    event_type: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: &'a D,
}

fn own_event(event_type: &str, id: String, now: LogTime, data: &impl Serialize) -> NewEvent {
    let envelope = Envelope {
        specversion: SPECVERSION,
        id: &id,
        source: SOURCE,
        event_type,
        time: now.to_string(),
        datacontenttype: JSON,
        data,
    };
    let payload = serde_json::to_vec(&envelope);
    debug_assert!(
        payload.is_ok(),
        "plain data is always representable as JSON"
    );
    NewEvent {
        destination: Destination::All {
            event_type: event_type.to_owned(),
        },
        headers: Headers::Empty,
        payload: Bytes::from(payload.unwrap_or_default()),
        message_id: message_id(SOURCE, &id),
    }
}

#[cfg(test)]
mod tests {
    use aftercall_actors::event::Body;

    use super::*;
    use crate::{
        envelope::{EVENT_BYTES_MAX, decode},
        log::{RawEvent, Route},
    };

    #[test]
    fn a_tick_decodes_and_is_one_a_second() {
        assert_eq!(decoded(tick_event(LogTime(1_999))), Body::Tick);
        let id = |ms| tick_event(LogTime(ms)).message_id;
        assert_eq!(id(1_000), "aftercall tick-1");
        assert_eq!(id(1_999), id(1_000));
        assert_ne!(id(2_000), id(1_999));
    }

    #[test]
    fn an_activation_decodes_and_a_later_one_of_the_same_rules_is_another() {
        let event = |now| rules_activated_event("v1+0a", "x = \"é\"\n", LogTime(now));
        let first = event(1).expect("made");
        assert_eq!(
            decoded(first.clone()),
            Body::RulesActivated(RulesActivated {
                version: Id::new("v1+0a").expect("an id"),
                rules: "x = \"é\"\n".into(),
            })
        );
        assert_ne!(first.message_id, event(2).expect("made").message_id);
    }

    #[test]
    fn an_activation_that_could_not_be_read_back_is_not_made() {
        let made = |version: &str, text: &str| rules_activated_event(version, text, LogTime(1));
        assert_eq!(
            made("", "x").map_err(|e| e.reason).err(),
            Some(Reason::OutOfRange)
        );
        let long = "x".repeat(EVENT_BYTES_MAX);
        assert_eq!(
            made("1", &long).map_err(|e| e.reason).err(),
            Some(Reason::TooLarge)
        );
    }

    fn decoded(event: NewEvent) -> Body {
        let raw = RawEvent {
            position: 1,
            time: LogTime(0),
            route: Route::All,
            headers: event.headers,
            payload: event.payload,
        };
        decode(&raw, 8).expect("decodes").body
    }
}
