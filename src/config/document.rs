//! Reading a TOML document key by key, so that one run reports every mistake with its line.
//!
//! A derived deserializer stops at the first mistake and cannot say what would have been allowed. Here each key is
//! asked for by name, with its default and what it may be; what was never asked for is unknown. Tables in tables and
//! lists of tables are read the same way (`nested`).

use std::{collections::BTreeSet, fmt};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

mod nested;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line it is on, from 1.
    pub line: usize,
    /// `engine.memory_max`; empty if the document is no TOML there.
    pub key: String,
    /// What was found, and what is allowed.
    pub text: String,
}

/// Every mistake of one document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// File, as the user named it.
    pub origin: String,
    /// In the order of their lines; never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            let Problem { line, key, text } = problem;
            let colon = if key.is_empty() { "" } else { ": " };
            write!(f, "{separator}{}:{line}: {key}{colon}{text}", self.origin)?;
        }
        Ok(())
    }
}

/// A parsed document, on its way to checked values.
pub struct Document<'t> {
    text: &'t str,
    root: Spanned<DeTable<'t>>,
    sections: Vec<&'static str>,
    notes: Notes,
}

#[derive(Default)]
struct Notes {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    absent: Vec<String>,
    known: BTreeSet<String>,
}

/// What a document without mistakes leaves to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Keys that were asked for and are not in the document.
    pub absent: Vec<String>,
    /// Every key that was asked for, there or not, without names of entries: `destination.retry.first`.
    pub known: BTreeSet<String>,
    /// What is allowed and still unwise, in the order of the lines.
    pub warnings: Vec<Problem>,
}

impl<'t> Document<'t> {
    /// Parses `text`, going on behind syntax errors.
    pub fn parse(text: &'t str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let problems = errors
            .into_iter()
            .map(|error| Problem {
                line: line_of(text, error.span().map_or(0, |span| span.start)),
                key: String::new(),
                text: format!("not valid TOML: {}", error.message()),
            })
            .collect();
        Self {
            text,
            root,
            sections: Vec::new(),
            notes: Notes {
                problems,
                ..Notes::default()
            },
        }
    }

    /// Reads one section. What `read` does not ask for is unknown.
    pub fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_, 't>) -> T,
    ) -> T {
        self.sections.push(name);
        let table = self.root.get_ref().get(name).and_then(|value| {
            let table = value.get_ref().as_table();
            if table.is_none() {
                self.notes.problems.push(Problem {
                    line: line_of(self.text, value.span().start),
                    key: name.to_owned(),
                    text: format!("found {}, allowed: a section `[{name}]`", shown(value)),
                });
            }
            table
        });
        let mut section = Section {
            path: name.to_owned(),
            pattern: name.to_owned(),
            line: 1,
            text: self.text,
            table,
            known: Vec::new(),
            takes_all: false,
            notes: &mut self.notes,
        };
        let read = read(&mut section);
        section.report_unknown();
        read
    }

    /// Ends the reading: what is left to say, or all mistakes.
    ///
    /// # Errors
    /// If there was any mistake.
    pub fn finish(mut self, origin: &str) -> Result<Finished, ConfigErrors> {
        for (name, _) in self.root.get_ref() {
            let known = &self.sections;
            let Some(hint) = unknown(name.get_ref(), known) else {
                continue;
            };
            self.notes.problems.push(Problem {
                line: line_of(self.text, name.span().start),
                key: name.get_ref().to_string(),
                text: format!("unknown section{hint}"),
            });
        }
        let Notes {
            mut problems,
            mut warnings,
            absent,
            known,
        } = self.notes;
        if problems.is_empty() {
            warnings.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
            return Ok(Finished {
                absent,
                known,
                warnings,
            });
        }
        problems.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
        Err(ConfigErrors {
            origin: origin.to_owned(),
            problems,
        })
    }
}

/// A table being read: a section, or one within.
pub struct Section<'d, 't> {
    /// As errors name it: `http`, `destination "crm".retry`.
    path: String,
    /// As the reference names it: `http`, `destination.retry`.
    pattern: String,
    /// Where it begins, for what is missing in it.
    line: usize,
    text: &'t str,
    table: Option<&'d DeTable<'t>>,
    known: Vec<&'static str>,
    /// No key is unknown.
    takes_all: bool,
    notes: &'d mut Notes,
}

impl<'d, 't> Section<'d, 't> {
    /// A string key, turned into a value by `parse`, whose error says what is allowed.
    pub fn string<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.value(key, default, shown, as_text(parse))
    }

    /// As [`Section::string`], for what may hold a secret: a mistake's message does not repeat it.
    pub fn private<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        let hidden =
            |_: &Spanned<DeValue<'_>>| "something else (not shown, it may be secret)".to_owned();
        self.value(key, default, hidden, as_text(parse))
    }

    /// A whole number between two bounds, both included.
    pub fn integer(
        &mut self,
        key: &'static str,
        default: u64,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        self.value(key, default, shown, |value| {
            value
                .as_integer()
                .and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok())
                .filter(|n| bounds.contains(n))
                .ok_or_else(|| {
                    format!("a whole number from {} to {}", bounds.start(), bounds.end())
                })
        })
    }

    /// Reports a mistake that only shows when several keys are looked at together.
    pub fn conflict(&mut self, key: &'static str, text: String) {
        self.problem(self.line_of_key(key), key, text);
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        default: T,
        shown: impl FnOnce(&Spanned<DeValue<'_>>) -> String,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        let Some(found) = self.find(key) else {
            return default;
        };
        match parse(found.get_ref()) {
            Ok(value) => value,
            Err(allowed) => {
                let line = line_of(self.text, found.span().start);
                self.problem(
                    line,
                    key,
                    format!("found {}, allowed: {allowed}", shown(found)),
                );
                default
            }
        }
    }

    /// The value of a key, which is known from then on.
    fn find(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'t>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
            self.notes.known.insert(format!("{}.{key}", self.pattern));
        }
        let found = self.table.and_then(|table| table.get(key));
        if found.is_none() {
            self.notes.absent.push(format!("{}.{key}", self.path));
        }
        found
    }

    fn line_of_key(&self, key: &str) -> usize {
        self.table
            .and_then(|table| table.get(key))
            .map_or(self.line, |value| line_of(self.text, value.span().start))
    }

    fn problem(&mut self, line: usize, key: &str, text: String) {
        self.notes.problems.push(Problem {
            line,
            key: format!("{}.{key}", self.path),
            text,
        });
    }

    fn report_unknown(&mut self) {
        if self.takes_all {
            return;
        }
        for (key, _) in self.table.into_iter().flatten() {
            if let Some(hint) = unknown(key.get_ref(), &self.known) {
                let line = line_of(self.text, key.span().start);
                self.problem(line, key.get_ref(), format!("unknown key{hint}"));
            }
        }
    }
}

fn as_text<T>(
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> impl FnOnce(&DeValue<'_>) -> Result<T, String> {
    |value| match value {
        DeValue::String(text) => parse(text),
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => Err(match parse("") {
            // Whoever wrote `memory_max = 5` wants to know what a size looks like, not that it is a string.
            Err(allowed) => allowed,
            Ok(_) => "a string in quotes".to_owned(),
        }),
    }
}

/// What to say of `name` if it is not among `known`: the nearest one, or all.
#[must_use]
pub fn unknown(name: &str, known: &[&str]) -> Option<String> {
    if known.contains(&name) {
        return None;
    }
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance * 2 <= candidate.len());
    let all = known.join(", ");
    Some(match nearest {
        Some((_, candidate)) => format!("; did you mean `{candidate}`? (known: {all})"),
        None => format!(" (known: {all})"),
    })
}

/// The line, from 1, that the byte at `offset` stands on.
#[must_use]
pub fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// A value as the message shows it: short, and never a table's content.
#[must_use]
pub fn shown(value: &Spanned<DeValue<'_>>) -> String {
    match value.get_ref() {
        DeValue::String(text) => {
            let short: String = text.chars().take(60).collect();
            let more = if short.len() < text.len() { "..." } else { "" };
            format!("{short:?}{more}")
        }
        DeValue::Integer(n) => n.to_string(),
        DeValue::Float(n) => n.to_string(),
        DeValue::Boolean(b) => b.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
