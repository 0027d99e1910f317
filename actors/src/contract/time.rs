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
const EVENT_TIME_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_207_200_000;

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
    match str::from_utf8(&rfc3339(ms)) {
        Ok(text) => f.write_str(text),
        // Digits and punctuation: always text.
        Err(_) => Err(fmt::Error),
    }
}

/// `2026-11-20T10:00:00.000Z`, in UTC. By hand: each output carries several, and the general formatter takes
/// as long as the rest of a step; a test holds it against the general one.
fn rfc3339(ms: i64) -> [u8; 24] {
    let ms = ms.clamp(*EVENT_TIME_MS.start(), *EVENT_TIME_MS.end());
    let (day, ms) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Days since 1 March of year 0, so that the leap day is a year's last; then centuries and years by their
    // mean length, and months by the pattern 31 30 31 30 31.
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let of_years = of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096;
    let year = of_years / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + next_year;

    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |at: usize, digits: usize, mut number: i64| {
        for place in text[at..at + digits].iter_mut().rev() {
            // One digit.
            *place = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, ms / 3_600_000);
    put(14, 2, ms / 60_000 % 60);
    put(17, 2, ms / 1_000 % 60);
    put(20, 3, ms % 1_000);
    text
}

impl Serialize for EventTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match str::from_utf8(&rfc3339(self.0)) {
            Ok(text) => serializer.serialize_str(text),
            // Digits and punctuation: always text.
            Err(_) => serializer.collect_str(self),
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn general(ms: i64) -> String {
        format!("{:.3}", timestamp(ms))
    }

    #[test]
    fn times_are_written_as_rfc_3339_at_the_ends_of_years_and_of_the_range() {
        let edges = [
            "1970-01-01T00:00:00.000Z",
            "2000-02-29T23:59:59.999Z",
            "1900-03-01T00:00:00.000Z",
        ];
        for text in edges {
            assert_eq!(text.parse::<EventTime>().unwrap().to_string(), text);
        }
        for ms in [
            *EVENT_TIME_MS.start(),
            *EVENT_TIME_MS.end(),
            i64::MIN,
            i64::MAX,
            -1,
            0,
        ] {
            assert_eq!(EventTime(ms).to_string(), general(ms));
        }
        assert_eq!(
            serde_json::to_string(&EventTime(-1)).unwrap(),
            "\"1969-12-31T23:59:59.999Z\""
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn times_are_written_as_the_general_formatter_writes_them(ms in EVENT_TIME_MS) {
            prop_assert_eq!(LogTime(ms).to_string(), general(ms));
        }
    }
}
