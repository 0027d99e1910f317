//! Why an event was refused: a stable name for metrics, and a sentence for whoever has to mend it.

use std::{borrow::Cow, fmt};

/// What was wrong, as a label in metrics and in quarantine records. Names are never changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The bytes are not JSON (or not UTF-8).
    NotJson,
    /// JSON, but not a CloudEvent of version 1.0 in a mode that is read here.
    NotCloudevent,
    /// A `type` that is not in the contract.
    UnknownType,
    /// A type that only the service says (an outcome, a decision, a tick) from outside.
    ReservedType,
    /// A required attribute or field is not there.
    MissingField,
    /// A field holds another sort of value than it should.
    WrongType,
    /// A field holds the right sort of value, but none that is allowed.
    OutOfRange,
    /// A field stands there twice.
    DuplicateField,
    /// Nested deeper than is read.
    TooDeep,
    /// Larger than is taken.
    TooLarge,
    /// The subject leads to other partitions than the data.
    WrongSubject,
    /// A rule set that does not compile.
    BadRules,
    /// Dated further ahead of the log's clock than the rules allow.
    InFuture,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::NotJson,
        Self::NotCloudevent,
        Self::UnknownType,
        Self::ReservedType,
        Self::MissingField,
        Self::WrongType,
        Self::OutOfRange,
        Self::DuplicateField,
        Self::TooDeep,
        Self::TooLarge,
        Self::WrongSubject,
        Self::BadRules,
        Self::InFuture,
    ];

    /// The label in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotCloudevent => "not_cloudevent",
            Self::UnknownType => "unknown_type",
            Self::ReservedType => "reserved_type",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::DuplicateField => "duplicate_field",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::WrongSubject => "wrong_subject",
            Self::BadRules => "bad_rules",
            Self::InFuture => "in_future",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An event that is not taken: what is wrong, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Reject {
    /// What was wrong.
    pub reason: Reason,
    /// Where, and what would be right. May quote the event, so it is customer data; bounded in length.
    pub detail: String,
}

/// Longest detail, in bytes: an event may be large, what is said of it is not.
const DETAIL_BYTES_MAX: usize = 400;

impl Reject {
    /// A refusal with this detail, cut to a bounded length.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let mut detail: String = detail.into();
        if detail.len() > DETAIL_BYTES_MAX {
            detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
            detail.push('…');
        }
        Self { reason, detail }
    }

    /// What serde_json said of the value at `path` (empty: the whole), in our words.
    pub(super) fn from_json(path: &str, error: &serde_json::Error) -> Self {
        let path = &*shown(path);
        use serde_json::error::Category;
        let text = error.to_string();
        match error.classify() {
            Category::Data => Self::from_data(path, without_place(&text)),
            Category::Syntax if text.starts_with("number out of range") => Self::new(
                Reason::OutOfRange,
                format!("{}a number is too large: {text}", prefix(path)),
            ),
            Category::Syntax if text.starts_with("recursion limit") => Self::new(
                Reason::TooDeep,
                format!(
                    "{}nested too deep, at most 127 levels: {text}",
                    prefix(path)
                ),
            ),
            Category::Syntax | Category::Eof | Category::Io => {
                Self::new(Reason::NotJson, format!("{}not JSON: {text}", prefix(path)))
            }
        }
    }

    /// Sorts serde's words for a value of the wrong shape. The words are serde's defaults and a test holds them.
    fn from_data(path: &str, text: &str) -> Self {
        if let Some(field) = quoted_after(text, "missing field ") {
            let dot = if path.is_empty() { "" } else { "." };
            let detail = format!("{path}{dot}{field}: required, but missing");
            return Self::new(Reason::MissingField, detail);
        }
        if let Some(field) = quoted_after(text, "duplicate field ") {
            let dot = if path.is_empty() { "" } else { "." };
            let detail = format!("{path}{dot}{field}: stands there twice, but may only once");
            return Self::new(Reason::DuplicateField, detail);
        }
        let (reason, detail) = match text.strip_prefix("invalid type: ") {
            Some(rest) => (Reason::WrongType, found_and_expected(rest)),
            None => match text.strip_prefix("invalid value: ") {
                Some(rest) => (Reason::OutOfRange, found_and_expected(rest)),
                // Unknown variants, which list the known ones, and the words of our own checked types.
                None => (Reason::OutOfRange, text.to_owned()),
            },
        };
        Self::new(reason, format!("{}{detail}", prefix(path)))
    }
}

/// The path, or its start if it is long: what is wrong must still have room behind it.
fn shown(path: &str) -> Cow<'_, str> {
    const PATH_BYTES_MAX: usize = 120;
    if path.len() <= PATH_BYTES_MAX {
        return Cow::Borrowed(path);
    }
    let start = &path[..path.floor_char_boundary(PATH_BYTES_MAX)];
    Cow::Owned(format!("{start}…"))
}

fn prefix(path: &str) -> String {
    if path.is_empty() {
        String::new()
    } else {
        format!("{path}: ")
    }
}

/// The text without serde_json's " at line 1 column 5", which the path says better.
fn without_place(text: &str) -> &str {
    text.rsplit_once(" at line ").map_or(text, |(text, _)| text)
}

fn quoted_after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.strip_prefix(start)?
        .strip_prefix('`')?
        .strip_suffix('`')
}

/// "string \"x\", expected f64" as "found string \"x\", expected a number".
fn found_and_expected(text: &str) -> String {
    let Some((found, expected)) = text.rsplit_once(", expected ") else {
        return format!("found {text}");
    };
    let expected = match expected {
        "f64" => "a number",
        "i32" | "i64" => "a whole number",
        "u32" => "a whole number from 0 to 4294967295",
        "a map" => "an object",
        "a sequence" => "an array",
        name if name.starts_with("struct ") => "an object",
        name if name.starts_with("enum ") || name == "variant identifier" => {
            "one of the known names"
        }
        name => name,
    };
    format!("found {found}, expected {expected}")
}

/// " (did you mean `x`?)" for the known name that is nearest to `found`, if one is near at all.
pub(super) fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    // Names are short; a long one is near to nothing, and comparing it would cost.
    if found.len() > 100 {
        return String::new();
    }
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .min()
        .filter(|(distance, name)| distance * 3 <= name.len())
        .map_or_else(String::new, |(_, name)| format!(", did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_in_the_order_of_all() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
        let mut names: Vec<_> = Reason::ALL.map(Reason::name).into();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reason::ALL.len());
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let reject = Reject::new(Reason::NotJson, "é".repeat(1_000));
        assert!(reject.detail.len() <= DETAIL_BYTES_MAX + '…'.len_utf8());
        assert!(reject.detail.ends_with("é…"));
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["interaction.started", "interaction.completed"];
        assert_eq!(
            nearest("interaction.complete", known),
            ", did you mean `interaction.completed`?"
        );
        assert_eq!(nearest("weather.changed", known), "");
    }
}
