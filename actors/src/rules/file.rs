//! Reading a rule file: TOML to settings and compiled rules, or all of its mistakes at once.
//!
//! `reader` walks tables, `settings` takes what stands beside the rules, `condition` finds the mistakes inside
//! conditions; here is what a rule consists of, and which actions go with which event type.

use toml::de::{DeTable, DeValue};

use super::{
    Action, Award, Located, Rule, Settings,
    condition::{Condition, Mistake},
    field::Topic,
    reader::{Entry, Reader, get},
    suggest::hint,
};
use crate::contract::{event::Body, output::Severity};

/// Largest rule file, in bytes: it travels in one event, which the bus limits to a megabyte.
pub const FILE_BYTES_MAX: usize = 256 * 1024;
/// Most rules in a file.
pub const RULES_MAX: usize = 200;

const SECTIONS: [&str; 14] = [
    "version",
    "business_unit",
    "ahead",
    "points",
    "survey",
    "enps",
    "completion",
    "profile",
    "program",
    "enrichment",
    "survey_token",
    "identity",
    "outcome",
    "rule",
];
const RULE_KEYS: [&str; 7] = [
    "name", "on", "when", "alert", "coaching", "segment", "points",
];
const ACTION_KEYS: [&str; 4] = ["alert", "coaching", "segment", "points"];

/// What a file says.
pub struct File {
    /// The version it gives itself.
    pub version: Option<String>,
    /// What stands beside the rules.
    pub settings: Settings,
    /// In file order.
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

impl Reader<'_> {
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
        file.settings = Settings::read(self, table);
        if let Some(rules) = get(table, "rule") {
            self.rules(rules, &mut file.rules);
        }
        file
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
