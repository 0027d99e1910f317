//! Reads `destinations.toml`: every mistake at once, with its line, key, and what would be right.
//!
//! A destination is found wrong here or by its first customer, so this goes further than types: rules between keys are
//! checked, and `rehearsal` renders every template over the example of every output type it is for, with and without
//! the optional fields. The reference of all keys is `config/destinations.toml`; a test holds it to what is read here.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    destination::{Destination, Destinations},
    reader::{Reader, sounds_secret},
    rehearsal::{self, Note, Rehearsed},
    secret_ref::SecretRef,
};
use crate::config::document::{ConfigErrors, Document, Problem};

mod auth;
mod cross;
mod entry;
mod outcome;
mod policy;
mod recipient;

/// A file without mistakes.
#[derive(Debug)]
pub struct Checked {
    /// What it says.
    pub destinations: Destinations,
    warnings: Vec<Problem>,
    origin: String,
    /// Line of each template and expression, by its key.
    lines: BTreeMap<String, usize>,
    /// Every key that could have been set: `destination.retry.first`.
    pub known: BTreeSet<String>,
}

/// Checks a document; `origin` names it in messages.
///
/// # Errors
/// All its mistakes. What is rehearsed is only what is well formed, so those mistakes come in a second round.
pub fn parse(text: &str, origin: &str) -> Result<Checked, ConfigErrors> {
    let mut document = Document::parse(text);
    let mut reader = Reader {
        vars: document.names("vars", var),
        lines: BTreeMap::new(),
    };
    let recipients = document.list("recipient", |s, _| recipient::read(&mut reader, s));
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let destinations = document.list("destination", |s, _| {
        let read = entry::read(&mut reader, s);
        if let Some(destination) = &read {
            let before = names.insert(destination.name.clone(), s.line("name"));
            if let Some(line) = before {
                s.conflict(
                    "name",
                    format!("the destination of line {line} has this name too"),
                );
            }
            if recipients.is_empty() && destination.channel.sink().needs_recipients() {
                let why =
                    "where the message goes, or entries [[recipient]] that find people for it";
                s.missing("to", why);
            }
        }
        read
    });
    let finished = document.finish(origin)?;
    let destinations = Destinations {
        vars: reader.vars,
        // None is missing: each that could not be read left a problem.
        recipients: recipients.into_iter().flatten().collect(),
        destinations: destinations.into_iter().flatten().collect(),
    };
    let told_twice = told_twice(&destinations.destinations, &reader.lines);
    let mut checked = Checked {
        warnings: finished.warnings,
        known: finished.known,
        origin: origin.to_owned(),
        lines: reader.lines,
        destinations,
    };
    checked.warnings.extend(told_twice);
    checked.rehearse(&rehearsal::everything)?;
    Ok(checked)
}

impl Checked {
    /// Tries every template on the examples again, over what `leaves` lets through of them. Adds to the warnings.
    ///
    /// # Errors
    /// Everything that would fail.
    pub fn rehearse(&mut self, leaves: &rehearsal::Leaves<'_>) -> Result<(), ConfigErrors> {
        self.note(rehearsal::rehearse(&self.destinations, leaves))
    }

    /// Puts what was found where it belongs in the file: warnings among the warnings.
    ///
    /// # Errors
    /// The mistakes.
    pub(super) fn note(&mut self, found: Rehearsed) -> Result<(), ConfigErrors> {
        let place = |note: Note| Problem {
            line: self.line(&note.key),
            key: note.key,
            text: note.text,
        };
        let mut problems: Vec<Problem> = found.mistakes.into_iter().map(place).collect();
        let warnings: Vec<Problem> = found.warnings.into_iter().map(place).collect();
        self.warnings.extend(warnings);
        let by_line = |a: &Problem, b: &Problem| (a.line, &a.key).cmp(&(b.line, &b.key));
        self.warnings.sort_by(by_line);
        self.warnings.dedup();
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort_by(by_line);
        problems.dedup();
        Err(ConfigErrors {
            origin: self.origin.clone(),
            problems,
        })
    }

    /// Line of a key, or of the nearest thing around it whose place is known.
    fn line(&self, key: &str) -> usize {
        let around = std::iter::successors(Some(key), |key| Some(key.rsplit_once('.')?.0));
        let mut lines = around.filter_map(|key| self.lines.get(key));
        lines.next().copied().unwrap_or(1)
    }

    /// What is allowed and still unwise, in words, by line.
    pub fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        let origin = &self.origin;
        self.warnings
            .iter()
            .map(move |Problem { line, key, text }| format!("{origin}:{line}: {key}: {text}"))
    }
}

/// One of `[vars]`: no secret, since templates print it and `check` shows what they print.
fn var(name: &str, text: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        return Err("a name of a-z, 0-9 and _, as templates can write it".to_owned());
    }
    if sounds_secret(name) || SecretRef::is_meant(text) {
        return Err(format!(
            "no place for a secret (its value is not shown); where one is used, write {}",
            SecretRef::FORM
        ));
    }
    Ok(())
}

/// Types of which two destinations report the outcome: the actor would hear of one output twice.
fn told_twice(destinations: &[Destination], lines: &BTreeMap<String, usize>) -> Vec<Problem> {
    let tells = |d: &Destination| d.policy.outcome.is_some() && d.selector.when().is_none();
    let problem = |(i, later): (usize, &Destination)| {
        let earlier = destinations.iter().take(i).find(|earlier| {
            tells(earlier)
                && tells(later)
                && later
                    .selector
                    .types()
                    .any(|t| earlier.selector.types().any(|e| e == t))
        })?;
        let key = format!("destination {:?}.outcome", later.name);
        Some(Problem {
            line: lines.get(&key).copied().unwrap_or(1),
            key,
            text: format!(
                "{:?} reports the outcome of the same outputs, so their actor hears of each twice",
                earlier.name
            ),
        })
    };
    destinations
        .iter()
        .enumerate()
        .filter_map(problem)
        .collect()
}

#[cfg(test)]
mod tests;
