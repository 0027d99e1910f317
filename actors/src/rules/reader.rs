//! Walking a rule file's tables: typed values out of TOML, and a located mistake for each that is not one.
//!
//! The tables are walked by hand rather than derived, because a person who writes rules needs every mistake
//! with its line and what would be right, not the first one a deserialiser stumbles over. `settings` and `file`
//! say what is where.

use std::ops::{Range, RangeInclusive};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Located, suggest::hint};

/// Longest rule name, segment tag and version, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// A second, in milliseconds.
pub const SECOND_MS: i64 = 1_000;
/// An hour, in milliseconds.
pub const HOUR_MS: i64 = 3_600 * SECOND_MS;
/// A day of 24 hours, in milliseconds.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// A value and where it stands.
pub type Entry<'a> = Spanned<DeValue<'a>>;

/// A file being read, and what was found wrong with it so far.
pub struct Reader<'a> {
    /// All of it.
    pub text: &'a str,
    /// The rule being read, for mistakes.
    pub rule: Option<String>,
    /// In the order they were found.
    pub mistakes: Vec<Located>,
}

impl Reader<'_> {
    /// Notes a mistake at this place of the file.
    pub fn wrong(&mut self, at: &Range<usize>, what: impl Into<String>) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        self.mistakes.push(Located {
            line: before.matches('\n').count() + 1,
            rule: self.rule.clone(),
            what: what.into(),
        });
    }

    /// A section of the file, if it is there; its unknown keys are mistakes.
    pub fn section<'t>(
        &mut self,
        table: &'t DeTable<'_>,
        name: &str,
        known: &[&str],
    ) -> Option<&'t DeTable<'t>> {
        let entry = get(table, name)?;
        let Some(section) = entry.get_ref().as_table() else {
            self.wrong(&entry.span(), format!("`{name}` is a section: `[{name}]`"));
            return None;
        };
        self.known_keys(section, &format!("`[{name}]`"), known);
        Some(section)
    }

    /// Every key that is not known is a mistake.
    pub fn known_keys(&mut self, table: &DeTable<'_>, place: &str, known: &[&str]) {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let near = hint(name, known.iter().copied());
                let what = format!("unknown key `{name}` in {place}; {near}");
                self.wrong(&key.span(), what);
            }
        }
    }

    /// A text.
    pub fn text_of<'t>(&mut self, entry: &'t Entry<'_>, key: &str) -> Option<&'t str> {
        let text = entry.get_ref().as_str();
        if text.is_none() {
            let found = entry.get_ref().type_str();
            self.wrong(
                &entry.span(),
                format!("`{key}` is text in quotes, not of type {found}"),
            );
        }
        text
    }

    /// A list of texts that are not empty; if it is not there, an empty one.
    pub fn texts(&mut self, section: &DeTable<'_>, key: &str) -> Vec<String> {
        let Some(entry) = get(section, key) else {
            return Vec::new();
        };
        let Some(elements) = entry.get_ref().as_array() else {
            let what = format!("`{key}` is a list of texts, such as [\"sales\"]");
            self.wrong(&entry.span(), what);
            return Vec::new();
        };
        let texts = elements.iter().filter_map(|element| {
            let text = self.text_of(element, key)?;
            if text.is_empty() {
                self.wrong(&element.span(), format!("`{key}` holds an empty text"));
            }
            Some(text.to_owned())
        });
        texts.collect()
    }

    /// A name that may stand in an id, a metric's label or a file name.
    pub fn name(&mut self, entry: &Entry<'_>, key: &str) -> Option<String> {
        let name = self.text_of(entry, key)?;
        let version = key == "version";
        let fits = |c: char| {
            matches!(c, 'a'..='z' | '0'..='9' | '_' | '-')
                || (version && matches!(c, 'A'..='Z' | '.'))
        };
        if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(fits) {
            return Some(name.to_owned());
        }
        let allowed = if version {
            "a-z, A-Z, 0-9, `.`, `_`, `-`"
        } else {
            "a-z, 0-9, `_`, `-`"
        };
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        let what = format!("`{key}` is `{shown}`; allowed are 1 to {NAME_BYTES_MAX} of {allowed}");
        self.wrong(&entry.span(), what);
        None
    }

    /// A duration of a section, if it is there and allowed, as milliseconds.
    pub fn duration(
        &mut self,
        (name, section): (&str, &DeTable<'_>),
        key: &str,
        allowed: RangeInclusive<i64>,
    ) -> Option<i64> {
        let entry = get(section, key)?;
        let text = self.text_of(entry, key)?;
        let ms = duration_ms(text);
        match ms {
            None => {
                let what = format!(
                    "`{key}` in `[{name}]` is `{text}`; a duration is a whole number and one of ms, s, m, h, d, such as \"24h\""
                );
                self.wrong(&entry.span(), what);
            }
            Some(ms) if !allowed.contains(&ms) => {
                let (min, max) = (spelled(*allowed.start()), spelled(*allowed.end()));
                let what = format!("`{key}` in `[{name}]` is `{text}`; allowed are {min} to {max}");
                self.wrong(&entry.span(), what);
            }
            Some(_) => {}
        }
        ms.filter(|ms| allowed.contains(ms))
    }
}

/// The value of a key.
pub fn get<'t>(table: &'t DeTable<'_>, key: &str) -> Option<&'t Entry<'t>> {
    table
        .iter()
        .find(|(name, _)| name.get_ref() == key)
        .map(|(_, value)| value)
}

const UNITS: [(&str, i64); 5] = [
    ("ms", 1),
    ("d", DAY_MS),
    ("h", HOUR_MS),
    ("m", 60 * SECOND_MS),
    ("s", SECOND_MS),
];

/// `24h` as milliseconds.
fn duration_ms(text: &str) -> Option<i64> {
    let (number, unit_ms) = UNITS
        .iter()
        .find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, ms)))?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<i64>().ok()?.checked_mul(*unit_ms)
}

/// Milliseconds in the largest unit that holds them whole.
fn spelled(ms: i64) -> String {
    let unit = ["d", "h", "m", "s"]
        .iter()
        .filter_map(|unit| UNITS.iter().find(|(known, _)| known == unit))
        .find(|(_, unit_ms)| ms > 0 && ms % unit_ms == 0);
    match unit {
        Some((unit, unit_ms)) => format!("{}{unit}", ms / unit_ms),
        None if ms == 0 => "0s".into(),
        None => format!("{ms}ms"),
    }
}
