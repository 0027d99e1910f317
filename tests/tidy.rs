//! What holds for the sources as a whole, checked as text: what the pure crate may use, which way imports run, and
//! that what is promised of files, metrics, settings and the README is so.
//!
//! Each check reads the files themselves, so it fails with the file and line to look at. The compiler and clippy
//! (`.clippy.toml`, `actors/.clippy.toml`) hold the rest.

#[path = "tidy/sources.rs"]
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use sources::{
    all_sources, code_of, has_word, is_test_file, module_of, read, root, roots_after, sources,
};

/// The crates that decisions may rest on. None of them reads a clock, draws a number or does I/O as it is used
/// here: jiff without its `tz-system`, toml and serde_json on text.
const PURE: [&str; 10] = [
    "jiff",
    "prost",
    "regex-syntax",
    "schemars",
    "serde",
    "serde_json",
    "thiserror",
    "toml",
    "unicode-normalization",
    "xxhash-rust",
];

/// What the pure crate may use of the standard library.
const PURE_STD: [&str; 11] = [
    "borrow",
    "cmp",
    "collections",
    "error",
    "fmt",
    "mem",
    "num",
    "ops",
    "slice",
    "str",
    "sync",
];

/// Words that have no place in the pure crate, whatever they were imported as.
const IMPURE: [&str; 16] = [
    "async",
    "await",
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "TimeZone::system",
    "HashMap",
    "HashSet",
    "RandomState",
    "IndexMap",
    "Mutex",
    "RwLock",
    "thread",
    "unsafe",
    "println",
];

/// Which module may use which others, lowest first: a module stands below whatever uses it.
const MAY_USE: [(&str, &[&str]); 18] = [
    ("telemetry", &[]),
    ("planted", &[]),
    ("supervise", &["telemetry"]),
    ("log", &["planted", "supervise", "telemetry"]),
    ("config", &["telemetry"]),
    ("envelope", &["log"]),
    (
        "delivery",
        &["envelope", "log", "planted", "supervise", "telemetry"],
    ),
    ("schema", &["envelope"]),
    ("traffic", &["envelope", "log"]),
    (
        "shard",
        &["envelope", "log", "planted", "supervise", "telemetry"],
    ),
    (
        "sinks",
        &[
            "config",
            "delivery",
            "envelope",
            "log",
            "planted",
            "schema",
            "telemetry",
        ],
    ),
    ("ledger", &["delivery", "envelope", "log", "shard", "sinks"]),
    ("sandbox", &["telemetry"]),
    (
        "ingest",
        &[
            "config",
            "envelope",
            "log",
            "planted",
            "shard",
            "supervise",
            "telemetry",
        ],
    ),
    (
        "desk",
        &[
            "config",
            "delivery",
            "envelope",
            "ingest",
            "log",
            "planted",
            "shard",
            "supervise",
            "telemetry",
        ],
    ),
    (
        "app",
        &[
            "config",
            "delivery",
            "desk",
            "envelope",
            "ingest",
            "log",
            "shard",
            "sinks",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "config",
            "delivery",
            "desk",
            "envelope",
            "ingest",
            "ledger",
            "log",
            "sandbox",
            "schema",
            "shard",
            "sinks",
            "supervise",
            "telemetry",
            "traffic",
        ],
    ),
    ("main", &["cli"]),
];

/// Calls that would panic, where they cannot: file, how many, why.
const CERTAIN: [(&str, usize, &str); 4] = [
    ("src/config.rs", 1, "of a constant, while compiling"),
    ("src/planted.rs", 1, "where a test asks for it"),
    ("src/log/sqlite.rs", 1, "of a constant, while compiling"),
    (
        "src/telemetry.rs",
        2,
        "names of metrics are constants, and a test makes them all",
    ),
];

#[test]
fn the_pure_crate_depends_on_pure_crates_only() {
    let manifest: toml::Table = read("actors/Cargo.toml").parse().expect("TOML");
    let names: Vec<&str> = manifest["dependencies"]
        .as_table()
        .expect("a table")
        .keys()
        .map(String::as_str)
        .collect();
    let sorted: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(sorted, PURE.into_iter().collect());
    for elsewhere in ["build-dependencies", "target", "features"] {
        assert!(
            !manifest.contains_key(elsewhere),
            "[{elsewhere}] could bring in another"
        );
    }
    let jiff = &manifest["dependencies"]["jiff"];
    assert_eq!(jiff["default-features"].as_bool(), Some(false));
    let features: Vec<&str> = jiff["features"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(toml::Value::as_str)
        .collect();
    assert_eq!(
        features,
        ["std", "serde", "tzdb-bundle-always"],
        "no time zone of the machine"
    );
}

#[test]
fn the_pure_crate_asks_the_machine_for_nothing() {
    let mut found = Vec::new();
    for file in sources(&["actors/src"]) {
        if is_test_file(&file) {
            continue;
        }
        let code = code_of(&read(&file));
        for module in roots_after(&code, "std::") {
            if !PURE_STD.contains(&module.as_str()) {
                found.push(format!("{file}: std::{module}"));
            }
        }
        for (number, line) in code.lines().enumerate() {
            for word in IMPURE.iter().filter(|word| has_word(line, word)) {
                found.push(format!("{file}:{}: {word}", number + 1));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn imports_run_one_way() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> = MAY_USE
        .iter()
        .map(|(module, uses)| (*module, uses.iter().copied().collect()))
        .collect();
    let mut below = BTreeSet::new();
    for (module, uses) in MAY_USE {
        for used in uses {
            assert!(
                below.contains(used),
                "{module} uses {used}, which stands above it"
            );
        }
        below.insert(module);
    }
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for file in sources(&["src"]) {
        let module = module_of(&file);
        if module == "lib" || is_test_file(&file) {
            continue;
        }
        let code = code_of(&read(&file));
        // The binary stands beside the library and names it.
        let root = if module == "main" {
            "aftercall::"
        } else {
            "crate::"
        };
        for used in roots_after(&code, root) {
            let uses = allowed.get(module.as_str());
            if used != module && !uses.is_some_and(|uses| uses.contains(used.as_str())) {
                found.insert(format!("{file}: {module} uses {used}"));
            }
        }
        seen.insert(module);
    }
    assert_eq!(found, BTreeSet::new());
    let listed: BTreeSet<String> = allowed.keys().map(|module| (*module).to_owned()).collect();
    assert_eq!(seen, listed, "a module of src is not in the list, or gone");
    for file in sources(&["actors/src"]) {
        let code = code_of(&read(&file));
        let known = roots_after(&code, "aftercall::");
        assert_eq!(known, Vec::<String>::new(), "{file} knows the rest");
    }
}

/// A destination's queue is the same whatever takes its outputs there, so it names no protocol and no vendor.
#[test]
fn the_durable_queue_knows_no_http_and_no_vendor() {
    const FOREIGN: [&str; 11] = [
        "reqwest",
        "http",
        "lettre",
        "rustls",
        "minijinja",
        "cel",
        "slack",
        "Slack",
        "teams",
        "email",
        "smtp",
    ];
    let mut found = Vec::new();
    for file in sources(&["src/delivery", "src/delivery.rs"]) {
        if is_test_file(&file) {
            continue;
        }
        for (number, line) in code_of(&read(&file)).lines().enumerate() {
            for word in FOREIGN.iter().filter(|word| has_word(line, word)) {
                found.push(format!("{file}:{}: {word}", number + 1));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// What the channels share names none of them, so that a channel is a folder and its lines in `channel`.
#[test]
fn what_channels_share_knows_no_channel() {
    const CHANNELS: [&str; 4] = ["email", "http", "slack", "teams"];
    const SHARED: [&str; 21] = [
        "client",
        "conceal",
        "credentials",
        "drafter",
        "expression",
        "fields",
        "judge",
        "message",
        "page",
        "progress",
        "reader",
        "scope",
        "secret",
        "secret_ref",
        "selector",
        "sending",
        "shown",
        "sink",
        "spec",
        "template",
        "webhook",
    ];
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for file in sources(&["src/sinks"]) {
        let part = module_of(&file.replacen("src/sinks/", "src/", 1));
        if is_test_file(&file) || !SHARED.contains(&part.as_str()) {
            continue;
        }
        let code = code_of(&read(&file));
        for root in ["sinks::", "super::"] {
            let used = roots_after(&code, root);
            let channels = used.iter().filter(|used| CHANNELS.contains(&used.as_str()));
            found.extend(channels.map(|used| format!("{file}: {used}")));
        }
        seen.insert(part);
    }
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(seen, SHARED.map(str::to_owned).into(), "one is gone");
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<String> = all_sources()
        .into_iter()
        .filter(|file| !read(file).starts_with("//! "))
        .collect();
    assert_eq!(silent, Vec::<String>::new(), "open with `//!`");
}

#[test]
fn nothing_is_left_undone() {
    // In two halves, so that this file is not its own finding.
    let marks = [
        ("TO", "DO"),
        ("FIX", "ME"),
        ("todo", "!("),
        ("unimplemented", "!("),
        ("dbg", "!("),
    ]
    .map(|(one, other)| format!("{one}{other}"));
    let mut found = Vec::new();
    for file in all_sources() {
        for (number, line) in read(&file).lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn production_code_panics_nowhere() {
    let mut found = BTreeMap::new();
    for file in sources(&["src", "actors/src"]) {
        if is_test_file(&file) {
            continue;
        }
        let code = code_of(&read(&file));
        let calls = [".unwrap()", ".expect(\"", "panic!("]
            .iter()
            .map(|call| code.matches(call).count())
            .sum::<usize>();
        if calls > 0 {
            found.insert(file, calls);
        }
    }
    let certain = CERTAIN
        .iter()
        .map(|(file, calls, _)| ((*file).to_owned(), *calls))
        .collect();
    assert_eq!(found, certain);
}

#[test]
fn every_metric_is_in_the_docs() {
    let operations = read("docs/operations.md");
    let mut metrics = BTreeSet::new();
    for file in sources(&["src/telemetry", "src/telemetry.rs"]) {
        let code = code_of(&read(&file));
        metrics.extend(code.split('"').skip(1).step_by(2).filter_map(|text| {
            let is_name = text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            let ours = text.starts_with("aftercall_") || text.starts_with("process_");
            (is_name && ours).then(|| text.to_owned())
        }));
    }
    assert!(metrics.len() > 20, "found only {metrics:?}");
    metrics.retain(|name| !operations.contains(&format!("`{name}`")));
    assert_eq!(
        metrics,
        BTreeSet::new(),
        "metrics that docs/operations.md does not name"
    );
}

#[test]
fn every_setting_is_explained() {
    let text = read("config/default.toml");
    let mut keys = 0;
    let mut unexplained = Vec::new();
    let mut before = "";
    for line in text.lines() {
        if line.contains(" = ") && !line.starts_with('#') {
            keys += 1;
            if !before.starts_with("# ") {
                unexplained.push(line);
            }
        }
        before = line;
    }
    assert!(keys > 15, "only {keys} keys found");
    assert_eq!(
        unexplained,
        Vec::<&str>::new(),
        "say the unit, and why this value"
    );
}

#[test]
fn ci_runs_what_the_readme_says() {
    let command = "cargo test --workspace";
    assert!(read("README.md").contains(&format!("\n{command}\n")));
    assert!(read(".ci/run").ends_with(&format!("\n{command}\n")));
    assert!(read(".github/workflows/ci.yml").contains("- run: .ci/run\n"));
}

/// README, and all that it leads to.
fn docs() -> Vec<String> {
    let folder = std::fs::read_dir(root().join("docs")).expect("docs");
    let names = folder.map(|entry| entry.expect("a file").file_name());
    let mut docs: Vec<String> = names
        .map(|name| format!("docs/{}", name.to_string_lossy()))
        .collect();
    docs.sort();
    docs.extend(["README.md".to_owned(), "benches/README.md".to_owned()]);
    docs
}

#[test]
fn the_docs_name_what_exists() {
    let mut missing = Vec::new();
    for doc in docs() {
        let text = read(&doc);
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
                && [
                    "src/", "actors/", "tests/", "benches/", "config/", "docs/", ".ci/",
                ]
                .iter()
                .any(|folder| name.starts_with(folder));
            if is_path && !root().join(name).exists() {
                missing.push(format!("{doc}: {name}"));
            }
        }
        let folder = doc.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in text.split("](").skip(1) {
            let link = link.split([')', '#']).next().unwrap_or_default();
            if !link.is_empty() && !root().join(folder).join(link).exists() {
                missing.push(format!("{doc}: {link}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

/// A newcomer reads it to the end, and finds every page from there.
#[test]
fn the_readme_is_short_and_leads_to_every_page() {
    let readme = read("README.md");
    assert!(readme.len() <= 9 << 10, "{} bytes", readme.len());
    for doc in docs() {
        assert!(doc == "README.md" || readme.contains(&doc), "{doc}");
    }
}
