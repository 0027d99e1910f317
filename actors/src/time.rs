//! The two clocks of the system, kept apart by type.
//!
//! Log time drives deadlines and dedupe; event time drives windows (DESIGN: "clock jumps, late and
//! disordered events"). Neither is ever read from a machine's clock in this crate.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// When the event log stored an event.
///
/// Unit: milliseconds since the Unix epoch. Clock: the log's (the JetStream leader, the SQLite writer).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogTime(pub i64);

impl LogTime {
    /// The time this many milliseconds later.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time; negative if `earlier` is the later one.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_rfc3339(self.0, f)
    }
}

/// When something happened at its source.
///
/// Unit: milliseconds since the Unix epoch. Clock: the source's. On the wire RFC 3339 with an offset, or,
/// as some vendors send it, whole milliseconds since the epoch; always written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(pub i64);

/// The first and the last instant `EventTime` takes: years 0001 to 9999.
const EVENT_TIME_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_207_200_999;

impl EventTime {
    /// The calendar day in `zone` on which this instant falls.
    #[must_use]
    pub fn day_in(self, zone: &TimeZone) -> jiff::civil::Date {
        zone.to_datetime(timestamp(self.0)).date()
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_rfc3339(self.0, f)
    }
}

impl std::str::FromStr for EventTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time: Timestamp = text
            .parse()
            .map_err(|_| format!("`{text}` is not an RFC 3339 time with an offset"))?;
        Ok(Self(time.as_millisecond()))
    }
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms.clamp(*EVENT_TIME_MS.start(), *EVENT_TIME_MS.end()))
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

fn write_rfc3339(ms: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{:.3}", timestamp(ms))
}

impl Serialize for EventTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EventTimeVisitor)
    }
}

struct EventTimeVisitor;

impl de::Visitor<'_> for EventTimeVisitor {
    type Value = EventTime;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an RFC 3339 time with an offset, or milliseconds since the epoch")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<EventTime, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, ms: i64) -> Result<EventTime, E> {
        if EVENT_TIME_MS.contains(&ms) {
            Ok(EventTime(ms))
        } else {
            Err(E::custom(format!(
                "{ms} ms is outside the years 0001 to 9999"
            )))
        }
    }

    fn visit_u64<E: de::Error>(self, ms: u64) -> Result<EventTime, E> {
        self.visit_i64(i64::try_from(ms).unwrap_or(i64::MAX))
    }
}

impl JsonSchema for EventTime {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "RFC 3339 with an offset, or whole milliseconds since the Unix epoch",
            "oneOf": [{ "type": "string", "format": "date-time" }, { "type": "integer" }]
        })
    }
}
