//! An event on its way in: whichever form it came in, it is checked here and stored in structured mode.
//!
//! The bytes of a structured event are stored as they came, so that extensions and fields not known here stay.
//! Structured, because headers cost a reader of the log more than attributes in the payload do.

use std::collections::BTreeMap;

use aftercall_actors::contract::{
    event::{Body, Event},
    key::{Key, UNASSIGNED},
};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    BATCH, JSON, Reason, Reject, STRUCTURED, attribute,
    decode::{self, starts_with},
    structured,
};
use crate::log::{Destination, Headers, NewEvent, Speaker};

/// A CloudEvent before it is stored: one JSON object in structured mode, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    payload: Bytes,
}

/// An event that can be read, before anyone has said whether it is taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    event: Event,
    payload: Bytes,
}

impl Checked {
    /// What it says.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.event.body
    }

    /// The event with the place it goes to, as anyone may publish it.
    ///
    /// # Errors
    /// What only the service says is refused, as a reader of the log would, and what cannot be.
    pub fn into_new_event(self) -> Result<NewEvent, Reject> {
        decode::check_speaker(&self.event.body, Speaker::Anyone)?;
        let (owner, customer) = self.tokens();
        let event_type = self.event.body.type_name().to_owned();
        Ok(self.at(Destination::Actors {
            owner,
            customer,
            event_type,
        }))
    }

    /// The event with its place among what only the service says: for the service itself, and for whoever it has let
    /// speak in its place.
    ///
    /// # Errors
    /// What is for all partitions is made by the service alone.
    pub fn into_own_event(self) -> Result<NewEvent, Reject> {
        let event_type = self.event.body.type_name().to_owned();
        if self.event.body.is_for_all() {
            return Err(decode::reserved(&event_type));
        }
        let (owner, customer) = self.tokens();
        Ok(self.at(Destination::Own {
            owner,
            customer,
            event_type,
        }))
    }

    fn tokens(&self) -> (String, String) {
        let token = |key: Option<Key<'_>>| key.map_or_else(|| UNASSIGNED.to_owned(), Key::token);
        let body = &self.event.body;
        (token(body.owner()), token(body.customer()))
    }

    fn at(self, destination: Destination) -> NewEvent {
        NewEvent {
            destination,
            headers: Headers::Empty,
            message_id: message_id(&self.event.source, &self.event.id),
            payload: self.payload,
        }
    }
}

impl Incoming {
    /// An event in structured mode: the text of one JSON object.
    #[must_use]
    pub const fn structured(payload: Bytes) -> Self {
        Self { payload }
    }

    /// The events of an HTTP request, in whichever mode its content type names: structured, batch, or else binary.
    /// Names are compared without case.
    ///
    /// # Errors
    /// If the request as a whole is no CloudEvent. A single event of a batch is refused by
    /// [`Incoming::into_new_event`].
    pub fn from_http<'a>(
        headers: impl Iterator<Item = (&'a str, &'a [u8])> + Clone,
        body: Bytes,
    ) -> Result<Vec<Self>, Reject> {
        let kind = headers
            .clone()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let kind = kind.and_then(|(_, value)| std::str::from_utf8(value).ok());
        match kind {
            Some(kind) if starts_with(kind, BATCH) => Self::batch(&body),
            Some(kind) if starts_with(kind, STRUCTURED) => Ok(vec![Self::structured(body)]),
            Some(_) | None => Self::binary(headers, &body).map(|event| vec![event]),
        }
    }

    /// An event in binary mode: attributes in `ce-*` headers, `body` its data.
    ///
    /// # Errors
    /// If a header is not as the binding says, or the data is not JSON.
    pub fn binary<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        body: &[u8],
    ) -> Result<Self, Reject> {
        let data: &RawValue = serde_json::from_str(structured::text(body)?)
            .map_err(|error| Reject::from_json("data", &error))?;
        let mut attributes = BTreeMap::new();
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            let Some(attribute) = attribute_name(&name)? else {
                continue;
            };
            let value = std::str::from_utf8(value).map_err(|_| {
                Reject::new(
                    Reason::NotCloudevent,
                    format!("header {name}: not UTF-8; percent-encode it"),
                )
            })?;
            let value = attribute::from_header(&name, value)?.into_owned();
            if attributes.insert(attribute.to_owned(), value).is_some() {
                return Err(Reject::new(
                    Reason::DuplicateField,
                    format!("header {name}: stands there twice, but may only once"),
                ));
            }
        }
        let content_type = attributes.get(DATACONTENTTYPE).map_or(JSON, |kind| kind);
        if !is_json(content_type) {
            return Err(Reject::new(
                Reason::NotCloudevent,
                format!(
                    "header content-type: data of type `{content_type}` is not read, only {JSON} is"
                ),
            ));
        }
        Ok(Self::structured(assemble(attributes, data).into()))
    }

    /// The events of a batch: a JSON array of structured events.
    ///
    /// # Errors
    /// If it is not a JSON array of objects.
    pub fn batch(body: &Bytes) -> Result<Vec<Self>, Reject> {
        let text = structured::utf8(body)?;
        let events: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|error| Reject::from_json("", &error))?;
        Ok(events
            .into_iter()
            .map(|event| Self::structured(body.slice_ref(event.get().as_bytes())))
            .collect())
    }

    /// Its text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.payload
    }

    /// Checks the event as a reader of the log will, and says where it goes.
    ///
    /// # Errors
    /// What [`super::decode`] would say of it, where anyone may publish.
    pub fn into_new_event(self) -> Result<NewEvent, Reject> {
        self.check()?.into_new_event()
    }

    /// Reads the event as a reader of the log will.
    ///
    /// # Errors
    /// What [`super::decode`] would say of it.
    pub fn check(self) -> Result<Checked, Reject> {
        Ok(Checked {
            event: structured::parse(&self.payload)?,
            payload: self.payload,
        })
    }

    /// The event as it stands, to be stored although readers of the log will refuse it: they put it into quarantine,
    /// where it is counted and kept like any other input that is wrong. `None` if they would take it, or cannot tell
    /// its name.
    #[must_use]
    pub fn into_refused_event(self, event_type: &str) -> Option<NewEvent> {
        if self.clone().into_new_event().is_ok() {
            return None;
        }
        let (source, id) = super::name(&Headers::Empty, &self.payload)?;
        Some(NewEvent {
            destination: Destination::Actors {
                owner: UNASSIGNED.to_owned(),
                customer: UNASSIGNED.to_owned(),
                event_type: event_type.to_owned(),
            },
            headers: Headers::Empty,
            message_id: message_id(&source, &id),
            payload: self.payload,
        })
    }
}

const DATACONTENTTYPE: &str = "datacontenttype";

/// The attribute a header stands for; `None` if it is no attribute.
fn attribute_name(header: &str) -> Result<Option<&str>, Reject> {
    if header == "content-type" {
        return Ok(Some(DATACONTENTTYPE));
    }
    let Some(name) = header.strip_prefix("ce-") else {
        return Ok(None);
    };
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    // `data` would be a second body, and the content type has a header of its own.
    if plain && name != "data" && name != DATACONTENTTYPE {
        return Ok(Some(name));
    }
    Err(Reject::new(
        Reason::NotCloudevent,
        format!("header {header}: no attribute can have this name; it is made of a-z and 0-9"),
    ))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(JSON) || essence.to_ascii_lowercase().ends_with("+json")
}

/// One structured event, `data` last and as it came.
fn assemble(attributes: BTreeMap<String, String>, data: &RawValue) -> Vec<u8> {
    let mut json = Vec::with_capacity(data.get().len() + 64 * attributes.len());
    json.push(b'{');
    for (name, value) in attributes {
        json.push(b'"');
        json.extend_from_slice(name.as_bytes());
        json.extend_from_slice(b"\":");
        json.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes());
        json.push(b',');
    }
    json.extend_from_slice(b"\"data\":");
    json.extend_from_slice(data.get().as_bytes());
    json.push(b'}');
    json
}

/// `<source> <id>`, each encoded as in a header, so that the space between them is the only one.
pub(super) fn message_id(source: &str, id: &str) -> String {
    format!(
        "{} {}",
        attribute::to_header(source),
        attribute::to_header(id)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_structured_event_is_stored_as_it_came_and_goes_where_its_data_says() {
        let text = r#"{ "specversion":"1.0", "id":"1 ü", "source":"s", "type":"interaction.started",
            "traceparent":"00-1", "data":{"interaction_id":"i", "channel":"chat", "started_at":1795167000000,
            "queue_id":"q.1", "customer":{"customer_id":"c 1"}, "unknown":[1]} }"#;
        let event = Incoming::structured(text.into())
            .into_new_event()
            .expect("taken");
        assert_eq!(
            event.destination,
            Destination::Actors {
                owner: "queue:q%2E1".into(),
                customer: "c%201".into(),
                event_type: "interaction.started".into(),
            }
        );
        assert_eq!(event.payload, text);
        assert_eq!(event.message_id, "s 1%20%C3%BC");
        assert!(matches!(event.headers, Headers::Empty));
    }

    #[test]
    fn binary_mode_becomes_structured_with_its_extensions() {
        let headers = [
            ("Content-Type", &b"application/json; charset=utf-8"[..]),
            ("CE-SpecVersion", b"1.0"),
            ("ce-id", b"e%201"),
            ("ce-source", b"wfm"),
            ("ce-type", b"wfm.metric.recorded"),
            ("ce-traceparent", b"\"a \\\"b\\\"\""),
            ("authorization", b"Bearer x"),
        ];
        let body = br#" {"agent_id":"a", "date":"2026-11-20","metric":"csat","value":1.50} "#;
        let events = Incoming::from_http(headers.into_iter(), body.to_vec().into()).expect("read");
        let [event] = events.try_into().expect("one");
        let stored = event.into_new_event().expect("taken");
        assert_eq!(stored.message_id, "wfm e%201");
        assert!(
            stored.payload.ends_with(br#""value":1.50}}"#),
            "data as it came"
        );
        let value: Value = serde_json::from_slice(&stored.payload).expect("JSON");
        assert_eq!(
            value,
            json!({
                "specversion": "1.0", "id": "e 1", "source": "wfm", "type": "wfm.metric.recorded",
                "traceparent": "a \"b\"", "datacontenttype": "application/json; charset=utf-8",
                "data": { "agent_id": "a", "date": "2026-11-20", "metric": "csat", "value": 1.5 },
            })
        );
    }

    #[test]
    fn a_batch_is_taken_event_by_event() {
        let body = format!("[{WRAPUP}, {{}}, 7]");
        let headers = [("content-type", &b"application/cloudevents-batch+json"[..])];
        let events = Incoming::from_http(headers.into_iter(), body.into()).expect("an array");
        let answers: Vec<_> = events
            .into_iter()
            .map(|event| {
                event
                    .into_new_event()
                    .map(|e| e.message_id)
                    .map_err(|r| r.reason)
            })
            .collect();
        assert_eq!(
            answers,
            [
                Ok("s 1".to_owned()),
                Err(Reason::MissingField),
                Err(Reason::NotCloudevent),
            ]
        );
        let refused = Incoming::batch(&Bytes::from_static(b"{}")).expect_err("no array");
        assert_eq!(
            refused,
            Reject::new(Reason::WrongType, "found map, expected an array")
        );
        let refused = Incoming::batch(&Bytes::from_static(b"[{},")).expect_err("cut");
        assert_eq!(refused.reason, Reason::NotJson);
        assert_eq!(Incoming::batch(&Bytes::from_static(b"[]")), Ok(Vec::new()));
    }

    #[test]
    fn s3_07_the_types_of_the_system_itself_are_refused_from_outside() {
        let mut own = Vec::new();
        for name in Body::TYPES {
            let text = std::fs::read(format!("config/examples/{name}.json")).expect("an example");
            let event = Incoming::structured(text.into()).check().expect(name);
            let answer = event.clone().into_new_event();
            if !event.body().is_own() {
                let destination = answer.expect(name).destination;
                assert_eq!(destination.speaker(), Speaker::Anyone, "{name}");
                continue;
            }
            own.push(name);
            assert_eq!(answer.expect_err(name).reason, Reason::ReservedType);
            let for_all = event.body().is_for_all();
            match event.into_own_event() {
                Ok(event) => assert_eq!(event.destination.speaker(), Speaker::Service),
                Err(reject) => assert!(for_all && reject.reason == Reason::ReservedType, "{name}"),
            }
        }
        let expected = [
            "reward.decided",
            "reward.outcome",
            "identity.outcome",
            "survey_token.outcome",
            "alert.outcome",
            "enrichment.outcome",
            "delivery.dead_lettered",
            "import.quarantined",
            "tick",
            "rules.activated",
        ];
        assert_eq!(own, expected);
    }

    #[test]
    fn a_header_that_is_not_as_the_binding_says_is_named() {
        // Header, its value, the body; what is answered.
        type Case = (
            &'static str,
            &'static [u8],
            &'static [u8],
            Reason,
            &'static str,
        );
        let cases: [Case; 7] = [
            (
                "ce-data",
                b"{}",
                b"{}",
                Reason::NotCloudevent,
                "header ce-data: no attribute",
            ),
            (
                "ce-a_b",
                b"1",
                b"{}",
                Reason::NotCloudevent,
                "header ce-a_b: no attribute",
            ),
            (
                "ce-x",
                b"\xff",
                b"{}",
                Reason::NotCloudevent,
                "header ce-x: not UTF-8",
            ),
            (
                "ce-id",
                b"2",
                b"{}",
                Reason::DuplicateField,
                "header ce-id: stands there twice",
            ),
            (
                "content-type",
                b"text/xml",
                b"{}",
                Reason::NotCloudevent,
                "header content-type: ",
            ),
            ("x", b"", b"<a/>", Reason::NotJson, "data: not JSON"),
            (
                "x",
                b"",
                b"{} {}",
                Reason::NotJson,
                "data: not JSON: trailing characters",
            ),
        ];
        for (name, value, body, reason, detail) in cases {
            let headers = [("ce-id", &b"1"[..]), (name, value)];
            let refused = Incoming::binary(headers, body).expect_err(detail);
            assert_eq!(refused.reason, reason, "{refused}");
            assert!(refused.detail.starts_with(detail), "{refused}");
        }
    }

    const WRAPUP: &str = r#"{"specversion":"1.0","id":"1","source":"s","type":"interaction.wrapup","data":{"interaction_id":"i","agent_id":"a","status":"ended"}}"#;
}
