//! `fields.toml`: every mistake at once, with its line, what was found and what is allowed.
//!
//! The keys under a destination are paths and types that the file's author chose, so it is walked here instead of
//! being asked for key by key as `config::document` does. Its words for mistakes are used.

use std::ops::Range;

use aftercall_actors::contract::output::Output;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Action, Declared, FieldPolicy, Keys, Scrub, tree::Tree};
use crate::{
    config::document::{ConfigErrors, Problem, line_of, shown, unknown},
    sinks::{secret::Secret, secret_ref::SecretRef},
};

const SECTIONS: [&str; 3] = ["keys", "scrub", "destination"];
const KEYS: [&str; 3] = ["current", "hash", "encrypt"];
const SCRUB: [&str; 1] = ["names"];

/// Most segments of a path.
const SEGMENTS_MAX: usize = 16;

type Found<'d, 't> = &'d Spanned<DeValue<'t>>;

/// Reads the file.
pub fn parse(text: &str, origin: &str) -> Result<FieldPolicy, ConfigErrors> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        text,
        problems: Vec::new(),
        hash_at: None,
        encrypt_at: None,
    };
    for error in errors {
        let span = error.span().unwrap_or_default();
        reader.problem(&span, "", format!("not valid TOML: {}", error.message()));
    }
    let root = root.get_ref();
    for (name, _) in root {
        reader.known(name, &SECTIONS, "section");
    }
    let policy = FieldPolicy {
        destinations: reader
            .table(root, "destination", "destination")
            .into_iter()
            .flatten()
            .map(|(name, found)| {
                let declared = reader.destination(name, found);
                (name.get_ref().to_string(), declared)
            })
            .collect(),
        keys: reader.keys(root),
        scrub: reader.scrub(root),
    };
    reader.needed(&policy.keys);
    if reader.problems.is_empty() {
        return Ok(policy);
    }
    reader
        .problems
        .sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
    Err(ConfigErrors {
        origin: origin.to_owned(),
        problems: reader.problems,
    })
}

struct Reader<'t> {
    text: &'t str,
    problems: Vec<Problem>,
    /// Where a field is first declared as one that needs the key.
    hash_at: Option<(Range<usize>, String)>,
    encrypt_at: Option<(Range<usize>, String)>,
}

impl<'t> Reader<'t> {
    fn problem(&mut self, span: &Range<usize>, key: &str, text: String) {
        self.problems.push(Problem {
            line: line_of(self.text, span.start),
            key: key.to_owned(),
            text,
        });
    }

    fn wrong(&mut self, found: Found<'_, 't>, key: &str, allowed: &str) {
        let text = format!("found {}, allowed: {allowed}", shown(found));
        self.problem(&found.span(), key, text);
    }

    fn known(&mut self, name: &Spanned<std::borrow::Cow<'t, str>>, known: &[&str], what: &str) {
        if let Some(hint) = unknown(name.get_ref(), known) {
            self.problem(
                &name.span(),
                name.get_ref(),
                format!("unknown {what}{hint}"),
            );
        }
    }

    /// A table below `parent`, if it is there.
    fn table<'d>(
        &mut self,
        parent: &'d DeTable<'t>,
        name: &str,
        key: &str,
    ) -> Option<&'d DeTable<'t>> {
        let found = parent.get(name)?;
        let table = found.get_ref().as_table();
        if table.is_none() {
            self.wrong(found, key, &format!("a section `[{key}]`"));
        }
        table
    }

    fn keys(&mut self, root: &DeTable<'t>) -> Keys {
        let Some(section) = self.table(root, "keys", "keys") else {
            return Keys::default();
        };
        for (name, _) in section {
            self.known(name, &KEYS, "key of [keys]");
        }
        let mut keys = Keys {
            hash: section
                .get("hash")
                .and_then(|found| self.secret(found, "keys.hash")),
            ..Keys::default()
        };
        let encrypt = self.table(section, "encrypt", "keys.encrypt");
        for (id, found) in encrypt.into_iter().flatten() {
            let name: &str = id.get_ref();
            if !is_key_id(name) {
                let text = "not a key id, allowed: 1 to 40 of letters, digits, - and _".to_owned();
                self.problem(&id.span(), &format!("keys.encrypt.{name}"), text);
            }
            if let Some(secret) = self.secret(found, &format!("keys.encrypt.{name}")) {
                keys.encrypt.insert(name.to_owned(), secret);
            }
        }
        let ids: Vec<&str> = encrypt
            .into_iter()
            .flatten()
            .map(|(id, _)| -> &str { id.get_ref() })
            .collect();
        match section.get("current") {
            None if ids.is_empty() => {}
            None => {
                let span = section.get("encrypt").map_or(0..0, Spanned::span);
                let text = "missing: it names the key of [keys.encrypt] that seals".to_owned();
                self.problem(&span, "keys.current", text);
            }
            Some(found) => match found.get_ref().as_str() {
                Some(id) if ids.contains(&id) => keys.current = Some(id.to_owned()),
                Some(_) | None => {
                    let allowed = match ids.as_slice() {
                        [] => "an id of [keys.encrypt], which has none".to_owned(),
                        ids => format!("an id of [keys.encrypt]: {}", ids.join(", ")),
                    };
                    self.wrong(found, "keys.current", &allowed);
                }
            },
        }
        keys
    }

    /// A reference. What was found instead may be the key itself, so it is not shown.
    fn secret(&mut self, found: Found<'_, 't>, key: &str) -> Option<Secret> {
        let text = found.get_ref().as_str().unwrap_or_default();
        match text.parse::<SecretRef>() {
            Ok(reference) => Some(Secret::new(reference)),
            Err(allowed) => {
                let text = format!(
                    "found something else (not shown, it may be secret), allowed: {allowed}"
                );
                self.problem(&found.span(), key, text);
                None
            }
        }
    }

    fn scrub(&mut self, root: &DeTable<'t>) -> Scrub {
        const ALLOWED: &str = "a list of field names, such as [\"maiden_name\"]";
        let Some(section) = self.table(root, "scrub", "scrub") else {
            return Scrub::default();
        };
        for (name, _) in section {
            self.known(name, &SCRUB, "key of [scrub]");
        }
        let mut names = Vec::new();
        if let Some(found) = section.get("names") {
            match found.get_ref().as_array() {
                None => self.wrong(found, "scrub.names", ALLOWED),
                Some(items) => {
                    for item in items {
                        match item.get_ref().as_str() {
                            Some(name) if name.chars().any(char::is_alphanumeric) => {
                                names.push(name);
                            }
                            Some(_) | None => self.wrong(item, "scrub.names", ALLOWED),
                        }
                    }
                }
            }
        }
        Scrub::with(names.into_iter())
    }

    fn destination(
        &mut self,
        name: &Spanned<std::borrow::Cow<'t, str>>,
        found: Found<'_, 't>,
    ) -> Declared {
        let key = format!("destination.{}", name.get_ref());
        if !is_destination(name.get_ref()) {
            let text = "not a destination's name, allowed: 1 to 40 of a-z, 0-9, - and _".to_owned();
            self.problem(&name.span(), &key, text);
        }
        let Some(table) = found.get_ref().as_table() else {
            self.wrong(found, &key, &format!("a section `[{key}]`"));
            return Declared::default();
        };
        let mut declared = Declared::default();
        // A section that holds nothing but sections of types says nothing of other types.
        let is_section_of_types = table.iter().next().is_some()
            && table
                .iter()
                .all(|(name, _)| Output::TYPES.contains(&&**name.get_ref()));
        let mut others = Tree::default();
        for (name, found) in table {
            let below = format!("{key}.{}", quoted(name.get_ref()));
            match found.get_ref().as_table() {
                Some(fields) if name.get_ref().contains('.') => {
                    if let Some(hint) = unknown(name.get_ref(), &Output::TYPES) {
                        self.problem(&name.span(), &below, format!("unknown output type{hint}"));
                    }
                    let mut tree = Tree::default();
                    self.fields(&mut tree, &[], fields, &below);
                    declared.types.insert(name.get_ref().to_string(), tree);
                }
                Some(_) | None => self.field(&mut others, &[], name, found, &key),
            }
        }
        declared.others = (!is_section_of_types).then_some(others);
        declared
    }

    fn fields(&mut self, tree: &mut Tree, above: &[&str], table: &DeTable<'t>, key: &str) {
        for (name, found) in table {
            self.field(tree, above, name, found, key);
        }
    }

    fn field(
        &mut self,
        tree: &mut Tree,
        above: &[&str],
        name: &Spanned<std::borrow::Cow<'t, str>>,
        found: Found<'_, 't>,
        key: &str,
    ) {
        let below = format!("{key}.{}", quoted(name.get_ref()));
        let mut path = above.to_vec();
        path.extend(name.get_ref().split('.'));
        let joined = path.join(".");
        if path.len() > SEGMENTS_MAX || path.iter().any(|segment| !is_segment(segment)) {
            let text = format!(
                "not a path, allowed: at most {SEGMENTS_MAX} names with dots between, `*` alone for every key or item"
            );
            return self.problem(&name.span(), &below, text);
        }
        if Output::TYPES.contains(&joined.as_str()) && found.get_ref().as_table().is_some() {
            let text = format!("an output type is written in quotes: `\"{joined}\"`");
            return self.problem(&name.span(), &below, text);
        }
        if let Some(table) = found.get_ref().as_table() {
            return self.fields(tree, &path, table, &below);
        }
        let names = Action::NAMES.map(|(name, _)| name);
        let action = found.get_ref().as_str().and_then(|text| {
            Action::NAMES
                .into_iter()
                .find_map(|(name, action)| (name == text).then_some(action))
        });
        let Some(action) = action else {
            let hint = found
                .get_ref()
                .as_str()
                .and_then(|text| unknown(text, &names))
                .filter(|hint| hint.contains("did you mean"))
                .and_then(|hint| hint.split_once(" (").map(|(hint, _)| hint.to_owned()))
                .unwrap_or_default();
            return self.wrong(found, &below, &format!("{}{hint}", names.join(", ")));
        };
        let first = match action {
            Action::Hash => Some(&mut self.hash_at),
            Action::Encrypt => Some(&mut self.encrypt_at),
            Action::Plain | Action::Mask | Action::Omit => None,
        };
        if let Some(first) = first {
            first.get_or_insert_with(|| (found.span(), below.clone()));
        }
        if !tree.declare(path, action) {
            self.problem(&name.span(), &below, format!("declared twice: {joined}"));
        }
    }

    /// Whether there is a key for every field that needs one.
    fn needed(&mut self, keys: &Keys) {
        let has_said =
            |reader: &Self, key: &str| reader.problems.iter().any(|p| p.key.starts_with(key));
        if let Some((span, key)) = self.hash_at.take()
            && keys.hash.is_none()
            && !has_said(self, "keys.hash")
        {
            let text = "found \"hash\", which needs a key: set keys.hash".to_owned();
            self.problem(&span, &key, text);
        }
        if let Some((span, key)) = self.encrypt_at.take()
            && keys.current.is_none()
            && !has_said(self, "keys.")
        {
            let text = "found \"encrypt\", which needs a key: set [keys.encrypt] and keys.current"
                .to_owned();
            self.problem(&span, &key, text);
        }
    }
}

/// A key as TOML would have it.
fn quoted(name: &str) -> String {
    let is_bare = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if is_bare && !name.is_empty() {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

fn is_segment(segment: &str) -> bool {
    segment == super::tree::ANY
        || (!segment.is_empty() && !segment.contains('*') && !segment.chars().any(char::is_control))
}

fn is_key_id(id: &str) -> bool {
    (1..=40).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn is_destination(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests;
