//! A CloudEvent in structured mode: one JSON object, its keys in any order.
//!
//! If `type` came before `data`, the data is parsed in place; else its text is kept and parsed at the end. An
//! event that does not parse is walked again slowly, to name the field that is wrong.

use std::{borrow::Cow, fmt};

use aftercall_actors::contract::event::{Body, Event};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    EVENT_BYTES_MAX, Reason, Reject, SPECVERSION, attribute,
    body::{self, EventType},
};

/// Parses a structured event.
///
/// # Errors
/// With the path of the attribute or field that is wrong.
pub fn parse(bytes: &[u8]) -> Result<Event, Reject> {
    let text = text(bytes)?;
    match read(text, Pass::Direct) {
        Ok(parts) => parts.into_event(),
        Err(error) => Err(explain(text, &error)),
    }
}

/// The bytes as text, if they are few enough.
///
/// # Errors
/// If they are too many, or not UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, Reject> {
    if bytes.len() > EVENT_BYTES_MAX {
        return Err(too_large(bytes.len()));
    }
    utf8(bytes)
}

/// The bytes as text, however many. Once for the whole is faster than string by string, and covers skipped fields.
///
/// # Errors
/// If they are not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, Reject> {
    std::str::from_utf8(bytes).map_err(|error| {
        Reject::new(
            Reason::NotJson,
            format!("not UTF-8 from byte {} on", error.valid_up_to()),
        )
    })
}

/// The refusal of an event of this many bytes.
pub fn too_large(bytes: usize) -> Reject {
    Reject::new(
        Reason::TooLarge,
        format!("{bytes} bytes, at most {EVENT_BYTES_MAX} are taken"),
    )
}

fn read(text: &str, pass: Pass) -> Result<Parts<'_>, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let parts = (&mut json).deserialize_map(PartsVisitor(pass))?;
    json.end()?;
    Ok(parts)
}

/// Parses again with the data left as text, to tell which of the two is wrong, and where.
fn explain(text: &str, error: &serde_json::Error) -> Reject {
    let mut json = serde_json::Deserializer::from_str(text);
    let mut track = serde_path_to_error::Track::new();
    let watched = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let parts = watched
        .deserialize_map(PartsVisitor(Pass::KeepText))
        .and_then(|parts| json.end().map(|()| parts));
    match parts {
        // The envelope is right, so the data is not.
        Ok(parts) => match parts.into_event() {
            Err(reject) => reject,
            Ok(_) => Reject::from_json("data", error),
        },
        Err(error) if error.is_data() => match path(&track.path()) {
            path if path.is_empty() && error.to_string().starts_with("invalid type") => {
                Reject::new(
                    Reason::NotCloudevent,
                    "a CloudEvent is a JSON object, this is another value",
                )
            }
            path => Reject::from_json(&path, &error),
        },
        Err(error) => Reject::from_json("", &error),
    }
}

fn path(path: &serde_path_to_error::Path) -> String {
    match path.iter().len() {
        0 => String::new(),
        _ => path.to_string(),
    }
}

/// How the data is met.
#[derive(Clone, Copy)]
enum Pass {
    /// Parsed in place, if its type is known by then.
    Direct,
    /// Kept as text.
    KeepText,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Name {
    Specversion,
    Id,
    Source,
    Type,
    Data,
    #[serde(rename = "data_base64")]
    DataBase64,
    #[serde(other)]
    Other,
}

/// What of a structured event matters here, borrowed where no escape stands in the way.
#[derive(Default)]
struct Parts<'de> {
    specversion: Option<Cow<'de, str>>,
    id: Option<Cow<'de, str>>,
    source: Option<Cow<'de, str>>,
    event_type: Option<Cow<'de, str>>,
    data: Option<Data<'de>>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, on the stack; a box would cost an allocation an event"
)]
enum Data<'de> {
    Parsed(Body),
    Text(&'de RawValue),
    Base64(Cow<'de, str>),
}

impl Parts<'_> {
    fn into_event(self) -> Result<Event, Reject> {
        let specversion = required("specversion", self.specversion)?;
        check_specversion(&specversion)?;
        let id = required("id", self.id)?;
        attribute::check_id(&id)?;
        let source = required("source", self.source)?;
        attribute::check_source(&source)?;
        let event_type = EventType::named(&required("type", self.event_type)?)?;
        let body = match (self.data, event_type) {
            (Some(Data::Parsed(body)), _) => {
                body::check(&body)?;
                body
            }
            (Some(Data::Text(data)), _) => body::from_text(event_type, data.get())?,
            (Some(Data::Base64(data)), _) => {
                let bytes = BASE64_STANDARD.decode(&*data).map_err(|error| {
                    Reject::new(Reason::OutOfRange, format!("data_base64: {error}"))
                })?;
                body::from_text(event_type, text(&bytes)?)?
            }
            (None, EventType::Tick) => Body::Tick,
            (None, _) => return Err(missing("data")),
        };
        Ok(Event {
            source: source.into(),
            id: id.into(),
            body,
        })
    }
}

fn required<'a>(name: &str, value: Option<Cow<'a, str>>) -> Result<Cow<'a, str>, Reject> {
    value.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Reject {
    Reject::new(
        Reason::MissingField,
        format!("{name}: required in a CloudEvent, but missing"),
    )
}

/// Checks that the version is the one there is.
pub fn check_specversion(version: &str) -> Result<(), Reject> {
    if version == SPECVERSION {
        return Ok(());
    }
    Err(Reject::new(
        Reason::NotCloudevent,
        format!("specversion: `{version}` is not read here, only `{SPECVERSION}` is"),
    ))
}

struct PartsVisitor(Pass);

impl<'de> Visitor<'de> for PartsVisitor {
    type Value = Parts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CloudEvent, which is an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts<'de>, A::Error> {
        let mut parts = Parts::default();
        while let Some(name) = map.next_key()? {
            match name {
                Name::Specversion => {
                    set(&mut parts.specversion, "specversion", map.next_value()?)?;
                }
                Name::Id => set(&mut parts.id, "id", map.next_value()?)?,
                Name::Source => set(&mut parts.source, "source", map.next_value()?)?,
                Name::Type => set(&mut parts.event_type, "type", map.next_value()?)?,
                Name::Data if parts.data.is_some() => {
                    return Err(A::Error::duplicate_field("data"));
                }
                Name::Data => {
                    // An unknown type is refused at the end; until then its data is text.
                    let known = match (self.0, parts.event_type.as_deref()) {
                        (Pass::Direct, Some(name)) => EventType::named(name).ok(),
                        (Pass::Direct, None) | (Pass::KeepText, _) => None,
                    };
                    parts.data = Some(match known {
                        Some(event_type) => Data::Parsed(map.next_value_seed(event_type)?),
                        None => Data::Text(map.next_value()?),
                    });
                }
                Name::DataBase64 => {
                    if let Text(Some(data)) = map.next_value()? {
                        if parts.data.is_some() {
                            return Err(A::Error::duplicate_field("data_base64"));
                        }
                        parts.data = Some(Data::Base64(data));
                    }
                }
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(parts)
    }
}

fn set<'de, E: Error>(
    slot: &mut Option<Cow<'de, str>>,
    name: &'static str,
    value: Text<'de>,
) -> Result<(), E> {
    match (&slot, value.0) {
        (Some(_), _) => Err(E::duplicate_field(name)),
        (None, value) => {
            *slot = value;
            Ok(())
        }
    }
}

/// A string attribute; `null` is the same as none (CloudEvents JSON format, 2.2).
struct Text<'de>(Option<Cow<'de, str>>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
        Ok(Text(None))
    }
}
