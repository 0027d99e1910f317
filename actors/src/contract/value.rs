//! Checked values of the public contract: what has one of these types is in range.

use std::{borrow::Cow, fmt, ops::Deref};

use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Unexpected, Visitor},
};

use crate::contract::key::{Key, UNASSIGNED};

/// An identifier: 1 to 256 bytes of UTF-8 (EVENTS.md).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Id(Box<str>);

/// Longest identifier, in bytes.
pub const ID_BYTES_MAX: usize = 256;

impl Id {
    /// Takes `text` as an identifier if it is one.
    ///
    /// # Errors
    /// If it is empty or longer than [`ID_BYTES_MAX`].
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, String> {
        let text = text.into();
        match text.len() {
            0 => Err("an id must not be empty".into()),
            1..=ID_BYTES_MAX => Ok(Self(text)),
            n => Err(format!(
                "an id has at most {ID_BYTES_MAX} bytes, this one has {n}"
            )),
        }
    }
}

impl Deref for Id {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Box::<str>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": ID_BYTES_MAX })
    }
}

/// Name of a delivery destination: 1 to 40 of `a-z`, `0-9`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DestinationName(Box<str>);

/// Longest name of a destination, in bytes.
pub const DESTINATION_BYTES_MAX: usize = 40;

impl DestinationName {
    /// Takes `text` as a name if it is one.
    ///
    /// # Errors
    /// If it is empty, too long, or holds another character.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, String> {
        let text = text.into();
        let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if (1..=DESTINATION_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text));
        }
        let shown: String = text.chars().take(DESTINATION_BYTES_MAX).collect();
        Err(format!(
            "`{shown}` is no destination: a name is 1 to {DESTINATION_BYTES_MAX} of a-z, 0-9, `_`, `-`"
        ))
    }
}

impl Deref for DestinationName {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DestinationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DestinationName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Box::<str>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for DestinationName {
    fn schema_name() -> Cow<'static, str> {
        "DestinationName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z0-9_-]{1,40}$" })
    }
}

/// Customer satisfaction, a whole number from 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Csat(pub u8);

impl<'de> Deserialize<'de> for Csat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match whole(deserializer)? {
            n @ 1..=5 => Ok(Self(n as u8)),
            n => Err(D::Error::custom(format!(
                "csat is a whole number from 1 to 5, not {n}"
            ))),
        }
    }
}

impl JsonSchema for Csat {
    fn schema_name() -> Cow<'static, str> {
        "Csat".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 5 })
    }
}

/// Reads a whole number, also one written `3.0` or `3e0`: to JSON, and to the published schema, it is the same number,
/// and many a language writes no other.
///
/// # Errors
/// If the value is no number or none that is whole.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Whole;

    impl Visitor<'_> for Whole {
        type Value = i64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }

        fn visit_i64<E: Error>(self, n: i64) -> Result<i64, E> {
            Ok(n)
        }

        fn visit_u64<E: Error>(self, n: u64) -> Result<i64, E> {
            i64::try_from(n).map_err(|_| E::invalid_value(Unexpected::Unsigned(n), &self))
        }

        fn visit_f64<E: Error>(self, n: f64) -> Result<i64, E> {
            // Up to here every whole number has a double of its own.
            const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
            if n.fract() == 0.0 && n.abs() <= EXACT_MAX {
                Ok(n as i64)
            } else {
                Err(E::invalid_type(Unexpected::Float(n), &self))
            }
        }
    }

    deserializer.deserialize_i64(Whole)
}

/// A whole number that fits, as [`whole`] reads it.
pub(crate) fn whole_u32<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let n = whole(deserializer)?;
    u32::try_from(n).map_err(|_| outside(n, 0, u32::MAX.into()))
}

/// A whole number that is not negative, as [`whole`] reads it.
pub(crate) fn whole_u64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let n = whole(deserializer)?;
    u64::try_from(n).map_err(|_| outside(n, 0, i64::MAX))
}

/// A whole number that fits, as [`whole`] reads it.
pub(crate) fn whole_i32<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    let n = whole(deserializer)?;
    i32::try_from(n).map_err(|_| outside(n, i32::MIN.into(), i32::MAX.into()))
}

fn outside<E: Error>(n: i64, min: i64, max: i64) -> E {
    E::custom(format!(
        "a whole number from {min} to {max} is needed, not {n}"
    ))
}

/// An eNPS score, a whole number from 0 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Score(pub u8);

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match whole(deserializer)? {
            n @ 0..=10 => Ok(Self(n as u8)),
            n => Err(D::Error::custom(format!(
                "score is a whole number from 0 to 10, not {n}"
            ))),
        }
    }
}

impl JsonSchema for Score {
    fn schema_name() -> Cow<'static, str> {
        "Score".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": 10 })
    }
}

/// Sentiment of an interaction, -1 (bad) to 1 (good).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Sentiment(pub f64);

impl<'de> Deserialize<'de> for Sentiment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        if (-1.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(D::Error::custom(format!(
                "sentiment is a number from -1 to 1, not {value}"
            )))
        }
    }
}

impl JsonSchema for Sentiment {
    fn schema_name() -> Cow<'static, str> {
        "Sentiment".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": -1, "maximum": 1 })
    }
}

/// Longest code, label or version, in bytes: what a system gives a thing to tell it by, and that is no id of it.
pub const LABEL_BYTES_MAX: usize = 256;

/// Longest disposition that is taken, in bytes; some systems write a sentence.
pub const DISPOSITION_BYTES_MAX: usize = 1_024;

/// Most skills or tags of one interaction.
pub const LABELS_MAX: usize = 64;

/// Longest address by which a customer is reached, in bytes; no mail address may be longer.
pub const ADDRESS_BYTES_MAX: usize = 320;

/// Longest sentence for people that an event brings besides a comment, in bytes.
pub const NOTE_BYTES_MAX: usize = 4_096;

/// Reads a text of at most `MAX` bytes.
///
/// # Errors
/// If it is longer.
pub(crate) fn text<'de, const MAX: usize, D>(deserializer: D) -> Result<String, D::Error>
where
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    match text.len() {
        bytes if bytes <= MAX => Ok(text),
        bytes => Err(D::Error::custom(format!(
            "at most {MAX} bytes are taken here, this text has {bytes}"
        ))),
    }
}

struct Text<const MAX: usize>(String);

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::<MAX, D>(deserializer).map(Self)
    }
}

/// Reads a text as [`text`] does, or nothing from `null`.
pub(crate) fn optional_text<'de, const MAX: usize, D>(
    deserializer: D,
) -> Result<Option<String>, D::Error>
where
    D: Deserializer<'de>,
{
    let found = Option::<Text<MAX>>::deserialize(deserializer)?;
    Ok(found.map(|text| text.0))
}

/// Reads up to [`LABELS_MAX`] labels.
///
/// # Errors
/// If there are more, or one is longer than [`LABEL_BYTES_MAX`].
pub(crate) fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let found = Vec::<Text<LABEL_BYTES_MAX>>::deserialize(deserializer)?;
    match found.len() {
        0..=LABELS_MAX => Ok(found.into_iter().map(|label| label.0).collect()),
        count => Err(D::Error::custom(format!(
            "at most {LABELS_MAX} are taken here, there are {count}"
        ))),
    }
}

/// A summary of an interaction, at most 1,000 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Summary(Box<str>);

/// Longest summary, in characters.
pub const SUMMARY_CHARS_MAX: usize = 1_000;

impl Deref for Summary {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Summary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<str>::deserialize(deserializer)?;
        // Bytes bound characters from above, so most summaries are never counted.
        if text.len() > SUMMARY_CHARS_MAX {
            let chars = text.chars().count();
            if chars > SUMMARY_CHARS_MAX {
                return Err(D::Error::custom(format!(
                    "a summary has at most {SUMMARY_CHARS_MAX} characters, this one has {chars}"
                )));
            }
        }
        Ok(Self(text))
    }
}

impl JsonSchema for Summary {
    fn schema_name() -> Cow<'static, str> {
        "Summary".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": SUMMARY_CHARS_MAX })
    }
}

/// A workday: a calendar date, `2026-11-20`, in the business unit's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkDate(pub Date);

impl Serialize for WorkDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WorkDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        match text.parse() {
            Ok(date) if plain => Ok(Self(date)),
            _ => Err(D::Error::custom(format!(
                "`{text}` is not a date like 2026-11-20"
            ))),
        }
    }
}

impl JsonSchema for WorkDate {
    fn schema_name() -> Cow<'static, str> {
        "WorkDate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date" })
    }
}

/// An actor, named as in a CloudEvents `subject`: `agent/<id>`, `bot/<id>`, `queue/<id>`, `customer/<id>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ActorRef(Box<str>);

impl ActorRef {
    /// The key this names.
    #[must_use]
    pub fn key(&self) -> Key<'_> {
        // Checked when it was made; a reference cannot hold anything else.
        key_of(&self.0).unwrap_or(Key::Unassigned)
    }
}

impl<'a> From<Key<'a>> for ActorRef {
    fn from(key: Key<'a>) -> Self {
        Self(key.to_string().into())
    }
}

/// The key a text like `agent/17` names.
#[must_use]
pub fn key_of(text: &str) -> Option<Key<'_>> {
    let (kind, id) = text.split_once('/')?;
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return None;
    }
    match kind {
        "agent" => Some(Key::Agent(id)),
        "bot" => Some(Key::Bot(id)),
        "queue" if id == UNASSIGNED => Some(Key::Unassigned),
        "queue" => Some(Key::Queue(id)),
        "customer" => Some(Key::Customer(id)),
        "caller" => caller_of(id),
        _ => None,
    }
}

/// As `Key` writes it, and no other spelling: a key is compared as text.
fn caller_of(hash: &str) -> Option<Key<'_>> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_hash = hash.len() == 32 && hash.bytes().all(is_digit);
    is_hash.then(|| u128::from_str_radix(hash, 16).ok().map(Key::Caller))?
}

impl<'de> Deserialize<'de> for ActorRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<str>::deserialize(deserializer)?;
        match key_of(&text) {
            Some(_) => Ok(Self(text)),
            None => Err(D::Error::custom(format!(
                "`{text}` names no actor: it is agent/<id>, bot/<id>, queue/<id>, customer/<id> or caller/<hash>"
            ))),
        }
    }
}

impl JsonSchema for ActorRef {
    fn schema_name() -> Cow<'static, str> {
        "ActorRef".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^((agent|bot|queue|customer)/.|caller/[0-9a-f]{32}$)" })
    }
}
