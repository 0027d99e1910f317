//! Tables within tables, lists of tables, and keys that some tables need and others refuse: what `destinations.toml`
//! has beyond flat sections.

use std::collections::BTreeMap;

use toml::{Spanned, de::DeValue};

use super::{Document, Problem, Section, line_of, shown};

impl<'t> Document<'t> {
    /// Reads `[[name]]`, entry by entry; the entry's number from 0 comes with it.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Section<'_, 't>, usize) -> T,
    ) -> Vec<T> {
        self.sections.push(name);
        let Some(value) = self.root.get_ref().get(name) else {
            // What an entry may hold is known all the same: the reference is checked against it.
            return Vec::new();
        };
        let Some(entries) = value.get_ref().as_array() else {
            self.notes.problems.push(Problem {
                line: line_of(self.text, value.span().start),
                key: name.to_owned(),
                text: format!("found {}, allowed: entries `[[{name}]]`", shown(value)),
            });
            return Vec::new();
        };
        let mut all = Vec::with_capacity(entries.len());
        for (i, entry) in entries.iter().enumerate() {
            let line = line_of(self.text, entry.span().start);
            let table = entry.get_ref().as_table();
            if table.is_none() {
                self.notes.problems.push(Problem {
                    line,
                    key: name.to_owned(),
                    text: format!("found {}, allowed: entries `[[{name}]]`", shown(entry)),
                });
                continue;
            }
            let mut section = Section {
                path: format!("{name} {}", i + 1),
                pattern: name.to_owned(),
                line,
                text: self.text,
                table,
                known: Vec::new(),
                takes_all: false,
                notes: &mut self.notes,
            };
            all.push(read(&mut section, i));
            section.report_unknown();
        }
        all
    }

    /// Reads `[name]` whose keys the operator chooses, as strings. `check` says what is wrong with one.
    pub fn names(
        &mut self,
        name: &'static str,
        check: impl Fn(&str, &str) -> Result<(), String>,
    ) -> BTreeMap<String, String> {
        self.sections.push(name);
        let mut all = BTreeMap::new();
        let Some(value) = self.root.get_ref().get(name) else {
            return all;
        };
        let Some(table) = value.get_ref().as_table() else {
            self.notes.problems.push(Problem {
                line: line_of(self.text, value.span().start),
                key: name.to_owned(),
                text: format!("found {}, allowed: a section `[{name}]`", shown(value)),
            });
            return all;
        };
        for (key, value) in table {
            let problem = match value.get_ref().as_str() {
                None => Some(format!(
                    "found {}, allowed: a string in quotes",
                    shown(value)
                )),
                Some(text) => check(key.get_ref(), text).err(),
            };
            if let Some(text) = problem {
                self.notes.problems.push(Problem {
                    line: line_of(self.text, value.span().start),
                    key: format!("{name}.{}", key.get_ref()),
                    text,
                });
            } else if let Some(text) = value.get_ref().as_str() {
                all.insert(key.get_ref().to_string(), text.to_owned());
            }
        }
        all
    }
}

impl<'d, 't> Section<'d, 't> {
    /// Calls the table by a name of its own in errors from here on: `destination "crm"`.
    pub fn called(&mut self, name: &str) {
        self.path = format!("{} {name:?}", self.pattern);
    }

    /// As errors name it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Line of a key, or of the table where the key is not there.
    #[must_use]
    pub fn line(&self, key: &str) -> usize {
        self.line_of_key(key)
    }

    /// Whether the table is there.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// Takes every key for known: what may stand here depends on something that is wrong.
    pub fn take_all(&mut self) {
        self.takes_all = true;
    }

    /// Whether the key is there.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// A string key that may be absent. `read` says in full what is wrong with the text, which is not repeated:
    /// templates are long, and what may be a secret stays out of messages.
    pub fn text<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let found = self.find(key)?;
        let read = match found.get_ref().as_str() {
            Some(text) => read(text),
            None => Err(format!(
                "found {}, allowed: a string in quotes",
                shown(found)
            )),
        };
        match read {
            Ok(value) => Some(value),
            Err(why) => {
                self.conflict(key, why);
                None
            }
        }
    }

    /// A string key that may be absent, with a short value: a mistake's message repeats it.
    pub fn word<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.string(key, None, |text| parse(text).map(Some))
    }

    /// A list of strings; absent it is empty.
    pub fn words<T>(
        &mut self,
        key: &'static str,
        mut parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(found) = self.find(key) else {
            return Vec::new();
        };
        let Some(items) = found.get_ref().as_array() else {
            let text = format!("found {}, allowed: a list of strings", shown(found));
            self.conflict(key, text);
            return Vec::new();
        };
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            let parsed = match item.get_ref().as_str() {
                Some(text) => parse(text),
                None => Err("a string in quotes".to_owned()),
            };
            match parsed {
                Ok(value) => all.push(value),
                Err(allowed) => {
                    let line = line_of(self.text, item.span().start);
                    self.problem(
                        line,
                        key,
                        format!("found {}, allowed: {allowed}", shown(item)),
                    );
                }
            }
        }
        all
    }

    /// A table whose keys the operator chooses, with strings, in the order of the keys. `read` gets key and value, and
    /// says in full what is wrong with them.
    pub fn pairs<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&str, &str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(found) = self.find(key) else {
            return Vec::new();
        };
        let Some(table) = found.get_ref().as_table() else {
            let text = format!("found {}, allowed: a table of strings", shown(found));
            self.conflict(key, text);
            return Vec::new();
        };
        let mut all = Vec::with_capacity(table.len());
        for (name, value) in table {
            let pair = match value.get_ref().as_str() {
                Some(text) => read(name.get_ref(), text),
                None => Err("found something else, allowed: a string in quotes".to_owned()),
            };
            match pair {
                Ok(pair) => all.push(pair),
                Err(text) => {
                    let line = line_of(self.text, value.span().start);
                    self.problem(line, &format!("{key}.{}", name.get_ref()), text);
                }
            }
        }
        all
    }

    /// A table within; `read` is also asked where it is absent, and then finds nothing.
    pub fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_, 't>) -> T,
    ) -> T {
        let found = self.find(key);
        let table = found.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (found, table) {
            let text = format!("found {}, allowed: a table {{ ... }}", shown(value));
            self.conflict(key, text);
        }
        let mut section = Section {
            path: format!("{}.{key}", self.path),
            pattern: format!("{}.{key}", self.pattern),
            line: self.line_of_key(key),
            text: self.text,
            table,
            known: Vec::new(),
            takes_all: false,
            notes: &mut *self.notes,
        };
        let read = read(&mut section);
        section.report_unknown();
        read
    }

    /// A list of tables within.
    pub fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'_, 't>) -> T,
    ) -> Vec<T> {
        let Some(found) = self.find(key) else {
            return Vec::new();
        };
        let entries: Option<Vec<&Spanned<DeValue<'t>>>> = found
            .get_ref()
            .as_array()
            .map(|entries| entries.iter().collect());
        let tables = entries.filter(|all| all.iter().all(|entry| entry.get_ref().is_table()));
        let Some(entries) = tables else {
            let text = format!("found {}, allowed: a list of tables", shown(found));
            self.conflict(key, text);
            return Vec::new();
        };
        let mut all = Vec::with_capacity(entries.len());
        for (i, entry) in entries.into_iter().enumerate() {
            let mut section = Section {
                path: format!("{}.{key}[{i}]", self.path),
                pattern: format!("{}.{key}", self.pattern),
                line: line_of(self.text, entry.span().start),
                text: self.text,
                table: entry.get_ref().as_table(),
                known: Vec::new(),
                takes_all: false,
                notes: &mut *self.notes,
            };
            all.push(read(&mut section));
            section.report_unknown();
        }
        all
    }

    /// Says that a key is needed here and is not there.
    pub fn missing(&mut self, key: &'static str, why: &str) {
        self.problem(self.line, key, format!("missing; {why}"));
    }

    /// Says that what is there is allowed and still unwise.
    pub fn warn(&mut self, key: &'static str, text: String) {
        self.notes.warnings.push(Problem {
            line: self.line_of_key(key),
            key: format!("{}.{key}", self.path),
            text,
        });
    }

    /// Refuses the keys of `keys` that are there: they belong to another kind of table. `why` says to which.
    pub fn refuse(&mut self, keys: &[&'static str], why: &str) {
        for key in keys {
            // Known, so that it is not said to be unknown as well; where it is absent nobody needs to hear of it.
            if self.has(key) {
                self.known.push(key);
                self.conflict(key, why.to_owned());
            }
        }
    }
}
