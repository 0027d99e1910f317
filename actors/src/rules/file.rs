//! Reading a rule file: TOML to settings and compiled rules, or all of its mistakes at once.
//!
//! The tables are walked by hand rather than derived, because a person who writes rules needs every mistake
//! with its line and what would be right, not the first one a deserialiser stumbles over. `condition` finds
//! the mistakes inside conditions.

use std::ops::{Range, RangeInclusive};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Action, Award, Located, Rule, Settings,
    condition::{Condition, Mistake},
    field::Topic,
    suggest::hint,
};
use crate::{event::Body, output::Severity};

/// Largest rule file, in bytes: it travels in one event, which the bus limits to a megabyte.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// Most rules in a file.
pub const RULES_MAX: usize = 200;
/// Longest rule name, segment tag and version, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

const SECOND_MS: i64 = 1_000;
const HOUR_MS: i64 = 3_600 * SECOND_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

const SECTIONS: [&str; 8] = [
    "version",
    "business_unit",
    "points",
    "survey",
    "enps",
    "completion",
    "profile",
    "rule",
];
const RULE_KEYS: [&str; 7] = [
    "name", "on", "when", "alert", "coaching", "segment", "points",
];
const ACTION_KEYS: [&str; 4] = ["alert", "coaching", "segment", "points"];

/// What a file says.
pub struct File {
    pub version: Option<String>,
    pub settings: Settings,
    pub rules: Vec<Rule>,
}

/// Reads a file.
///
/// # Errors
/// All of its mistakes, in the order of their lines.
pub fn read(text: &str) -> Result<File, Vec<Located>> {
    let mut reader = Reader {
        text,
        rule: None,
        mistakes: Vec::new(),
    };
    let file = reader.file();
    reader.mistakes.sort_by_key(|mistake| mistake.line);
    if reader.mistakes.is_empty() {
        Ok(file)
    } else {
        Err(reader.mistakes)
    }
}

struct Reader<'a> {
    text: &'a str,
    /// The rule being read, for mistakes.
    rule: Option<String>,
    mistakes: Vec<Located>,
}

type Entry<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn wrong(&mut self, at: &Range<usize>, what: impl Into<String>) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        self.mistakes.push(Located {
            line: before.matches('\n').count() + 1,
            rule: self.rule.clone(),
            what: what.into(),
        });
    }

    fn file(&mut self) -> File {
        let mut file = File {
            version: None,
            settings: Settings::default(),
            rules: Vec::new(),
        };
        let found = self.text.len();
        if found > FILE_BYTES_MAX {
            let what = format!("the file has {found} bytes; allowed are {FILE_BYTES_MAX}");
            self.wrong(&(0..0), what);
            return file;
        }
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let what = format!("not TOML: {}", error.message().replace('\n', ", "));
            self.wrong(&error.span().unwrap_or_default(), what);
        }
        // What follows a slip in the syntax may be read wrongly: better said first, alone.
        if !errors.is_empty() {
            return file;
        }
        let table = table.get_ref();
        self.known_keys(table, "the file", &SECTIONS);
        file.version = get(table, "version").and_then(|value| self.name(value, "version"));
        self.settings(table, &mut file.settings);
        if let Some(rules) = get(table, "rule") {
            self.rules(rules, &mut file.rules);
        }
        file
    }

    fn settings(&mut self, table: &DeTable<'_>, settings: &mut Settings) {
        if let Some(section) = self.section(table, "business_unit", &["time_zone"])
            && let Some(entry) = get(section, "time_zone")
        {
            self.time_zone(entry, settings);
        }
        let mut days = i64::from(settings.points_window_days) * DAY_MS;
        let mut durations = [
            // Window and dedupe memory are per actor, so each has an end that keeps an actor small.
            ("points", "window", DAY_MS..=730 * DAY_MS, &mut days),
            (
                "survey",
                "dedupe",
                60 * SECOND_MS..=30 * DAY_MS,
                &mut settings.survey_dedupe_ms,
            ),
            (
                "enps",
                "window",
                HOUR_MS..=90 * DAY_MS,
                &mut settings.enps_window_ms,
            ),
            (
                "completion",
                "dedupe",
                60 * SECOND_MS..=7 * DAY_MS,
                &mut settings.completion_dedupe_ms,
            ),
            (
                "profile",
                "merge",
                0..=HOUR_MS,
                &mut settings.profile_merge_ms,
            ),
            (
                "profile",
                "history",
                HOUR_MS..=90 * DAY_MS,
                &mut settings.history_window_ms,
            ),
        ];
        for (section, keys) in [
            ("points", &["window"][..]),
            ("survey", &["dedupe"]),
            ("enps", &["window"]),
            ("completion", &["dedupe", "queues", "skills"]),
            ("profile", &["merge", "history"]),
        ] {
            let Some(table) = self.section(table, section, keys) else {
                continue;
            };
            for (of, key, allowed, value_ms) in &mut durations {
                if *of == section
                    && let Some(entry) = get(table, key)
                    && let Some(ms) = self.duration(entry, section, key, allowed)
                {
                    **value_ms = ms;
                }
            }
        }
        if days % DAY_MS != 0
            && let Some(entry) =
                get(table, "points").and_then(|t| get(t.get_ref().as_table()?, "window"))
        {
            self.wrong(
                &entry.span(),
                "`window` in `[points]` is whole days, such as \"90d\"",
            );
        }
        settings.points_window_days = u16::try_from(days / DAY_MS).unwrap_or(u16::MAX);
        if let Some(completion) =
            get(table, "completion").and_then(|entry| entry.get_ref().as_table())
        {
            for (key, list) in [
                ("queues", &mut settings.queues),
                ("skills", &mut settings.skills),
            ] {
                if let Some(entry) = get(completion, key) {
                    *list = self.texts(entry, key);
                }
            }
        }
    }

    fn time_zone(&mut self, entry: &Entry<'_>, settings: &mut Settings) {
        let Some(name) = self.text_of(entry, "time_zone") else {
            return;
        };
        match jiff::tz::db().get(name) {
            Ok(zone) => settings.time_zone = zone,
            Err(_) => {
                let known: Vec<String> = jiff::tz::db()
                    .available()
                    .map(|zone| zone.as_str().to_owned())
                    .collect();
                let near = super::suggest::nearest(name, known.iter().map(String::as_str));
                let near = near.map_or_else(
                    || "use an IANA name, such as `Europe/Berlin`".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                self.wrong(&entry.span(), format!("unknown time zone `{name}`; {near}"));
            }
        }
    }

    fn rules(&mut self, entry: &Entry<'_>, rules: &mut Vec<Rule>) {
        let Some(entries) = entry.get_ref().as_array() else {
            let what = "`rule` is a list: begin each rule with `[[rule]]`";
            return self.wrong(&entry.span(), what);
        };
        if entries.len() > RULES_MAX {
            let found = entries.len();
            let what = format!("the file has {found} rules; allowed are {RULES_MAX}");
            return self.wrong(&entry.span(), what);
        }
        let mut names: Vec<String> = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            self.rule = Some(format!("number {}", index + 1));
            match entry.get_ref().as_table() {
                Some(table) => rules.extend(self.one_rule(entry, table, &mut names)),
                None => self.wrong(&entry.span(), "a rule is a table: begin it with `[[rule]]`"),
            }
        }
        self.rule = None;
    }

    fn one_rule(
        &mut self,
        entry: &Entry<'_>,
        table: &DeTable<'_>,
        names: &mut Vec<String>,
    ) -> Option<Rule> {
        let name = match get(table, "name") {
            Some(value) => self.name(value, "name").inspect(|name| {
                self.rule = Some(format!("`{name}`"));
                if names.contains(name) {
                    self.wrong(
                        &value.span(),
                        "another rule has this name; names are unique",
                    );
                }
                names.push(name.clone());
            }),
            None => {
                self.wrong(&entry.span(), "`name` is missing");
                None
            }
        };
        self.known_keys(table, "a rule", &RULE_KEYS);
        let topic = match get(table, "on") {
            Some(value) => self.topic(value),
            None => {
                self.wrong(
                    &entry.span(),
                    "`on` is missing: the event type it listens to",
                );
                None
            }
        };
        let when = match (get(table, "when"), topic) {
            (Some(value), _) => {
                let text = self.text_of(value, "when");
                // Without a type the names in it mean nothing, and its own mistake has been told.
                text.zip(topic).and_then(|(text, topic)| {
                    let compiled = Condition::compile(text, topic);
                    self.compiled(value, "when", text, compiled)
                })
            }
            (None, _) => {
                let what = "`when` is missing: the condition; a rule for every event says `when = \"true\"`";
                self.wrong(&entry.span(), what);
                None
            }
        };
        let action = self.action(entry, table, topic);
        Some(Rule {
            name: name?,
            topic: topic?,
            when: when?,
            action: action?,
        })
    }

    fn topic(&mut self, entry: &Entry<'_>) -> Option<Topic> {
        let name = self.text_of(entry, "on")?;
        let topic = Topic::ALL.into_iter().find(|t| t.type_name() == name);
        if topic.is_none() {
            let known = Topic::ALL.map(Topic::type_name);
            let what = if Body::TYPES.contains(&name) {
                let known = known.map(|name| format!("`{name}`")).join(", ");
                format!("rules do not listen to `{name}`; they can listen to {known}")
            } else {
                format!("unknown event type `{name}`; {}", hint(name, known))
            };
            self.wrong(&entry.span(), what);
        }
        topic
    }

    fn action(
        &mut self,
        rule: &Entry<'_>,
        table: &DeTable<'_>,
        topic: Option<Topic>,
    ) -> Option<Action> {
        let found = ACTION_KEYS
            .into_iter()
            .filter_map(|key| Some((key, get(table, key)?)));
        let (key, entry) = match found.collect::<Vec<_>>().as_slice() {
            [one] => *one,
            [] => {
                let right = topic.map_or(&ACTION_KEYS[..], actions_of);
                let right = quoted(right).join(" or ");
                self.wrong(&rule.span(), format!("it does nothing: add {right}"));
                return None;
            }
            several => {
                let keys: Vec<_> = several.iter().map(|(key, _)| *key).collect();
                let keys = quoted(&keys).join(" and ");
                let what =
                    format!("it has {keys}; a rule does one thing, so write a rule for each");
                self.wrong(&several[1].1.span(), what);
                return None;
            }
        };
        if let Some(topic) = topic
            && !actions_of(topic).contains(&key)
        {
            let right = quoted(actions_of(topic)).join(" or ");
            let what = format!(
                "`{key}` does not go with `{}`; {right} does",
                topic.type_name()
            );
            self.wrong(&entry.span(), what);
            return None;
        }
        match key {
            "alert" => self.alert(entry),
            "coaching" => self.coaching(entry),
            "segment" => {
                let tag = self.name(entry, "segment")?;
                Some(Action::Segment { tag })
            }
            _points => self.points(entry, topic?),
        }
    }

    fn alert(&mut self, entry: &Entry<'_>) -> Option<Action> {
        const SEVERITIES: [(&str, Severity); 3] = [
            ("info", Severity::Info),
            ("warning", Severity::Warning),
            ("critical", Severity::Critical),
        ];
        let value = self.only_key(
            entry,
            "alert",
            "severity",
            "alert = { severity = \"warning\" }",
        )?;
        let name = self.text_of(value, "severity")?;
        let found = SEVERITIES.iter().find(|(known, _)| *known == name);
        if found.is_none() {
            let near = hint(name, SEVERITIES.map(|(known, _)| known));
            self.wrong(&value.span(), format!("unknown severity `{name}`; {near}"));
        }
        found.map(|(_, severity)| Action::Alert {
            severity: *severity,
        })
    }

    fn coaching(&mut self, entry: &Entry<'_>) -> Option<Action> {
        let value = self.only_key(
            entry,
            "coaching",
            "reason",
            "coaching = { reason = \"...\" }",
        )?;
        let reason = self.text_of(value, "reason")?.trim();
        if reason.is_empty() || reason.len() > 1_000 {
            let what = "`reason` is what people read: 1 to 1,000 bytes of text";
            self.wrong(&value.span(), what);
            return None;
        }
        Some(Action::Coaching {
            reason: reason.to_owned(),
        })
    }

    fn points(&mut self, entry: &Entry<'_>, topic: Topic) -> Option<Action> {
        let award = match entry.get_ref() {
            DeValue::Integer(number) => {
                let points = i32::from_str_radix(number.as_str(), number.radix());
                if points.is_err() {
                    let (min, max) = (i32::MIN, i32::MAX);
                    let what = format!("`points` is {number}; allowed are {min} to {max}");
                    self.wrong(&entry.span(), what);
                }
                Award::Fixed(points.ok()?)
            }
            DeValue::String(text) => {
                let compiled = Condition::compile_points(text, topic);
                Award::Computed(self.compiled(entry, "points", text, compiled)?)
            }
            other => {
                let found = other.type_str();
                let what = format!(
                    "`points` is a whole number or an expression in quotes, such as \"event.value\", not of type {found}"
                );
                self.wrong(&entry.span(), what);
                return None;
            }
        };
        Some(Action::Points { award })
    }

    /// The value of an inline table's one key.
    fn only_key<'t>(
        &mut self,
        entry: &'t Entry<'_>,
        action: &str,
        key: &str,
        example: &str,
    ) -> Option<&'t Entry<'t>> {
        let Some(table) = entry.get_ref().as_table() else {
            self.wrong(&entry.span(), format!("`{action}` is a table: `{example}`"));
            return None;
        };
        self.known_keys(table, &format!("`{action}`"), &[key]);
        let value = get(table, key);
        if value.is_none() {
            let what = format!("`{key}` is missing in `{action}`: `{example}`");
            self.wrong(&entry.span(), what);
        }
        value
    }

    /// Places a condition's mistakes: their line in the file, their column in the condition.
    fn compiled(
        &mut self,
        entry: &Entry<'_>,
        key: &str,
        text: &str,
        compiled: Result<Condition, Vec<Mistake>>,
    ) -> Option<Condition> {
        let mistakes = match compiled {
            Ok(condition) => return Some(condition),
            Err(mistakes) => mistakes,
        };
        let span = entry.span();
        // Where the text stands in the file as it is, without escapes, its lines are the file's lines.
        let source = self.text.get(span.clone()).unwrap_or_default();
        let verbatim = source.find(text).map(|offset| span.start + offset);
        for Mistake { at, what } in mistakes {
            let Some(at) = at else {
                self.wrong(&span, format!("`{key}`: {what}"));
                continue;
            };
            let offset = text.char_indices().nth(at).map_or(text.len(), |(o, _)| o);
            let before = &text[..offset];
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            let column = before[line_start..].chars().count() + 1;
            let place = verbatim.map_or(span.start, |start| start + offset);
            self.wrong(&(place..place), format!("`{key}`, column {column}: {what}"));
        }
        None
    }

    fn section<'t>(
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

    fn known_keys(&mut self, table: &DeTable<'_>, place: &str, known: &[&str]) {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let near = hint(name, known.iter().copied());
                let what = format!("unknown key `{name}` in {place}; {near}");
                self.wrong(&key.span(), what);
            }
        }
    }

    fn text_of<'t>(&mut self, entry: &'t Entry<'_>, key: &str) -> Option<&'t str> {
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

    fn texts(&mut self, entry: &Entry<'_>, key: &str) -> Vec<String> {
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
    fn name(&mut self, entry: &Entry<'_>, key: &str) -> Option<String> {
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

    fn duration(
        &mut self,
        entry: &Entry<'_>,
        section: &str,
        key: &str,
        allowed: &RangeInclusive<i64>,
    ) -> Option<i64> {
        let text = self.text_of(entry, key)?;
        let ms = duration_ms(text);
        match ms {
            None => {
                let what = format!(
                    "`{key}` in `[{section}]` is `{text}`; a duration is a whole number and one of ms, s, m, h, d, such as \"24h\""
                );
                self.wrong(&entry.span(), what);
            }
            Some(ms) if !allowed.contains(&ms) => {
                let (min, max) = (spelled(*allowed.start()), spelled(*allowed.end()));
                let what =
                    format!("`{key}` in `[{section}]` is `{text}`; allowed are {min} to {max}");
                self.wrong(&entry.span(), what);
            }
            Some(_) => {}
        }
        ms.filter(|ms| allowed.contains(ms))
    }
}

/// The actions that go with an event type.
const fn actions_of(topic: Topic) -> &'static [&'static str] {
    match topic {
        Topic::Survey => &["alert", "points"],
        Topic::Enps => &["coaching", "points"],
        Topic::Wfm => &["points"],
        Topic::Completed => &["segment"],
    }
}

fn quoted(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("`{name}`")).collect()
}

fn get<'t>(table: &'t DeTable<'_>, key: &str) -> Option<&'t Entry<'t>> {
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
