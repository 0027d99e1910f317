//! How single values are written in letters: times for people, kinds by name, texts cut to size.

use super::EXCERPT_CHARS_MAX;

/// The text's beginning, without control characters: it will be shown in a terminal.
pub(super) fn cut(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut chars = text.chars();
    let mut short: String = chars.by_ref().take(EXCERPT_CHARS_MAX).map(plain).collect();
    if chars.next().is_some() {
        // The ellipsis takes the last one's place.
        short.pop();
        short.push('\u{2026}');
    }
    short
}

/// Log time as RFC 3339 with milliseconds.
pub(super) mod log_time {
    use aftercall_actors::contract::time::{EventTime, LogTime};
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &LogTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LogTime, D::Error> {
        EventTime::deserialize(deserializer).map(|time| LogTime(time.0))
    }
}

/// A kind by its name.
pub(super) mod kind {
    use aftercall_actors::contract::output::Kind;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
    pub fn serialize<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
        let name = String::deserialize(deserializer)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| D::Error::custom(format!("`{name}` is no kind of output")))
    }
}
