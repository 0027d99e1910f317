//! Reading sources as text: which files there are, and what of a file is code.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The eyes of the checks: what they must see, and what they must not.
#[test]
fn the_reading_of_sources_is_right() {
    let text = "//! std::fs is not used\nuse std::{\n    fs::File, // std::env\n    io::{self, Read},\n};\n\
                let url = \"nats://x\"; std::net::lookup();\n#[cfg(test)]\nmod tests {\n    use std::thread;\n}\nuse std::env;\n";
    let code = code_of(text);
    assert_eq!(roots_after(&code, "std::"), ["fs", "io", "net", "env"]);
    assert_eq!(roots_after("my_std::a std::b", "std::"), ["b"]);
    assert!(has_word("async fn x", "async") && !has_word("asynchronous", "async"));
    assert!(has_word("use crate::a::HashMap;", "HashMap") && !has_word("XHashMap", "HashMap"));
    assert_eq!(module_of("src/log/memory/store.rs"), "log");
    assert_eq!(module_of("src/log.rs"), "log");
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

pub fn all_sources() -> Vec<String> {
    sources(&[
        "src",
        "tests",
        "benches",
        "actors/src",
        "actors/tests",
        "actors/benches",
    ])
}

/// Rust files in these places, in order, as paths from the root.
pub fn sources(places: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = places.iter().map(|place| root().join(place)).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a readable folder");
            open.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let path = path.strip_prefix(root()).expect("below the root");
            found.push(path.to_str().expect("plain names").to_owned());
        }
    }
    found.sort();
    assert!(!found.is_empty(), "nothing in {places:?}");
    found
}

/// Files that are part of the tests as a whole.
pub fn is_test_file(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/") || file == "actors/src/rules/oracle.rs"
}

pub fn module_of(file: &str) -> String {
    let file = file.strip_prefix("src/").unwrap_or(file);
    let module = file.split('/').next().unwrap_or(file);
    module.strip_suffix(".rs").unwrap_or(module).to_owned()
}

/// A file without its comments and without its module of tests.
pub fn code_of(text: &str) -> String {
    let text = match text.split_once("#[cfg(test)]\nmod tests {") {
        // As rustfmt has it, the next brace in the first column closes the module.
        Some((before, rest)) => {
            let after = rest.split_once("\n}\n").map_or("", |(_, after)| after);
            format!("{before}{after}")
        }
        None => text.to_owned(),
    };
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        // The `//` of an address is no comment.
        let comment = line
            .match_indices("//")
            .map(|(at, _)| at)
            .find(|at| !line[..*at].ends_with(':'));
        code.push_str(&line[..comment.unwrap_or(line.len())]);
        code.push('\n');
    }
    code
}

/// The names that directly follow `root` (`std::`) anywhere in `code`, each item of braces included.
pub fn roots_after(code: &str, root: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(root) {
        if code[..at].ends_with(is_name_part) {
            continue;
        }
        let rest = &code[at + root.len()..];
        match rest.strip_prefix('{') {
            Some(items) => found.extend(items_of(items).into_iter().map(first_name)),
            None => found.push(first_name(rest)),
        }
    }
    found
}

/// The items up to the brace that closes, as they stand.
pub fn items_of(text: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut items) = (0_u32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' if depth > 0 => {}
            ',' | '}' => {
                items.push(text[begin..at].trim());
                begin = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

pub fn first_name(text: &str) -> String {
    text.chars().take_while(|c| is_name_part(*c)).collect()
}

pub fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` stands in `text` on its own.
pub fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_name_part) && !text[at + word.len()..].starts_with(is_name_part)
    })
}
