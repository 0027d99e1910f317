//! What others may see: files of the log, passwords in arguments, and what stands in events on a terminal.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::{
    program::{command, done, errors, run, run_in, text, write},
    service::Service,
};

fn rights(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn s1_10_the_log_is_its_owners_alone_also_one_from_before() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let run = ["run", "--listen", "127.0.0.1:0", "--dir", "data"];
    let service = Service::start(dir.path(), &run);
    let files = || {
        let found = fs::read_dir(&data)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        found.collect::<Vec<_>>()
    };
    assert_eq!(rights(&data), 0o700);
    assert!(files().len() >= 3, "{:?}", files());
    for file in files() {
        assert_eq!(rights(&file), 0o600, "{}", file.display());
    }
    drop(service);
    // As older versions made them.
    for file in files() {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let service = Service::start(dir.path(), &run);
    for file in files() {
        assert_eq!(rights(&file), 0o600, "{}", file.display());
    }
    assert_eq!(
        rights(&data),
        0o755,
        "what an operator was given or gave is the operator's"
    );
    let findings = text(&done(&["doctor", "--dir", &data.display().to_string()]));
    assert!(
        findings.contains("can be looked into by other users"),
        "{findings}"
    );
    service.stop();
}

#[test]
fn s1_10_a_malformed_address_is_refused_without_the_password_in_it() {
    for arguments in [
        &["run", "--nats", "nats://joe:hush@:x"][..],
        &["run", "--nats", "nats:/joe:hush@n1"],
        &["run", "--nats", "joe:hush"],
        &["tap", "--nats=https://joe:hush@n1"],
        &["run", "nats://joe:hush@n1:4222"],
        &["publish", "--nat", "nats://joe:hush@n1:4222"],
        &["dead", "ls", "--nats", "nats://joe:hush@n1:99999"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = errors(&output) + &text(&output);
        assert!(!said.contains("hush"), "{said}");
        assert!(said.contains("--nats") || said.contains("***@n1"), "{said}");
    }
    let dir = tempfile::tempdir().unwrap();
    let from_environment = command(dir.path(), &["check"])
        .env("AFTERCALL_NATS", "nats://joe:hush@:x")
        .output()
        .unwrap();
    assert_eq!(from_environment.status.code(), Some(2));
    let said = errors(&from_environment);
    assert!(
        said.contains("AFTERCALL_NATS: allowed: ") && !said.contains("hush"),
        "{said}"
    );
    let file = write(
        dir.path(),
        "a.toml",
        "[log]\nmonitoring_url = \"http:/joe:hush@n1\"",
    );
    let said = errors(&run(&["check", "--config", &file]));
    assert!(
        said.contains("log.monitoring_url") && !said.contains("hush"),
        "{said}"
    );
}

#[test]
fn what_customers_wrote_cannot_steer_the_terminal_of_tap_and_dead_show() {
    let dir = tempfile::tempdir().unwrap();
    let run = ["run", "--listen", "127.0.0.1:0", "--dir", "data"];
    let service = Service::start(dir.path(), &run);
    let event = |id: &str, kind: &str, comment: &str| {
        serde_json::json!({
            "specversion": "1.0", "id": id, "source": "tests", "type": kind,
            "data": {
                "response_id": id, "interaction_id": id, "submitted_at": "2026-11-20T08:30:00Z", "csat": 1,
                "comment": comment, "routing": {"agent_id": "a1", "queue_id": "q1"},
            },
        })
    };
    let unruly = "\u{1b}[2J\u{9b}1mx\u{202e}txt.exe\u{2066}\u{200f}";
    let input = format!("{}\n", event("r1", "survey.response.created", unruly));
    let published = run_in(dir.path(), &["publish", "--dir", "data", "-"], &input);
    assert!(published.status.success(), "{}", errors(&published));
    let tap = [
        "tap", "--dir", "data", "--kind", "alert", "--from", "start", "--count", "1",
    ];
    for more in [&[][..], &["--json"]] {
        let shown = text(&run_in(dir.path(), &[&tap[..], more].concat(), ""));
        assert!(shown.contains("txt.exe"), "{shown}");
        tame(&shown);
        assert!(shown.contains("202e"), "{shown}");
        if let Some(line) = shown.lines().next().filter(|line| line.starts_with('{')) {
            let output: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(output["data"]["comment"], unruly, "JSON says the same");
        }
    }
    service.stop();
}

fn tame(shown: &str) {
    let unruly = shown.chars().find(|c| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200f}')
    });
    assert_eq!(unruly, None, "{shown:?}");
}
