//! The program as its users meet it: arguments in, text and exit codes out; and the service as a whole (`service`).

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

#[path = "cli/check.rs"]
mod check;
#[path = "cli/dead.rs"]
mod dead;
#[path = "cli/fields.rs"]
mod fields;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/ledger.rs"]
mod ledger;
#[path = "support/nats.rs"]
mod nats;
#[path = "cli/private.rs"]
mod private;
#[path = "cli/program.rs"]
mod program;
#[path = "support/reference.rs"]
mod reference;
#[path = "cli/send.rs"]
mod send;
#[path = "cli/service.rs"]
mod service;

use program::{command, done, errors, run, run_in, start_in, survey, text, wait_for, write};

const COMMANDS: [&str; 15] = [
    "run",
    "demo",
    "publish",
    "import",
    "tap",
    "dead",
    "ledger",
    "check",
    "doctor",
    "load",
    "send",
    "fields",
    "sandbox",
    "schema",
    "completions",
];

#[test]
fn help_names_every_command_and_exit_code() {
    let help = text(&done(&["--help"]));
    for command in COMMANDS {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command}:\n{help}"
        );
        let own = text(&done(&[command, "--help"]));
        assert!(own.contains("Example"), "{own}");
    }
    for code in ["  0  ", "  1  ", "  2  ", "  3  "] {
        assert!(help.contains(code), "{help}");
    }
    assert_eq!(run(&["no-such-command"]).status.code(), Some(2));
    assert_eq!(run(&["publish"]).status.code(), Some(2));
}

#[test]
fn check_finds_the_shipped_configuration_good_and_names_every_mistake_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let explained = concat!(env!("CARGO_MANIFEST_DIR"), "/config/default.toml");
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rules.toml");
    let good = text(&done(&["check", "--config", explained, "--rules", rules]));
    assert_eq!(good.lines().count(), 2, "{good}");
    assert!(good.lines().all(|line| line.contains(": good")), "{good}");

    let bad_config = write(
        dir.path(),
        "bad.toml",
        "[log]\nreplica = 3\n[http]\nlisten = 80\n",
    );
    let output = run(&["check", "--config", &bad_config]);
    assert_eq!(output.status.code(), Some(2));
    let errors = errors(&output);
    assert!(
        errors.contains("bad.toml:2: log.replica: unknown key; did you mean `replicas`?"),
        "{errors}"
    );
    assert!(
        errors.contains("bad.toml:4: http.listen: found 80, allowed: an address and port"),
        "{errors}"
    );

    let bad_rules = write(
        dir.path(),
        "rules.toml",
        "[[rule]]\nname = \"x\"\non = \"survey.response.crated\"\n",
    );
    let output = run(&[
        "check", "--config", explained, "--rules", &bad_rules, "--json",
    ]);
    assert_eq!(output.status.code(), Some(2));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let first = report["errors"][0].as_str().unwrap();
    assert!(first.contains("rules.toml:"), "{report}");

    let missing = run(&["check", "--config", "no/such/file.toml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(self::errors(&missing).contains("no/such/file.toml: cannot be read"));
}

#[test]
fn check_finds_mistakes_in_destinations_and_tells_warnings_apart() {
    let dir = tempfile::tempdir().unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/destinations.toml");
    let fields = concat!(env!("CARGO_MANIFEST_DIR"), "/config/fields.toml");
    let files = ["check", "--destinations", shipped, "--fields", fields];
    let good = text(&done(&files));
    assert!(good.contains("config/destinations.toml: good, "), "{good}");
    assert!(good.contains("config/fields.toml: good"), "{good}");
    let mut warnings = good.lines().filter(|line| line.starts_with("warning:"));
    // Nothing but what is not here: secrets, and fields that they would make.
    assert!(
        warnings.all(
            |line| line.contains("there is none, here and now") || line.contains("not tried: ")
        ),
        "{good}"
    );
    // What the service would refuse is not called good here.
    let output = run(&files[..3]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors(&output).contains("so nothing may leave for it"),
        "{}",
        errors(&output)
    );

    let plain = write(
        dir.path(),
        "f.toml",
        "[destination.crm]\ncustomer_id = \"plain\"\n",
    );
    let entry = |keys: &str| {
        format!("[[destination]]\nname = \"crm\"\non = [\"profile\"]\nchannel = \"http\"\n{keys}\n")
    };
    let unwise =
        "url = \"http://crm.example.com/\"\nauth = { kind = \"bearer\", token = \"env:T\" }";
    let unwise = write(dir.path(), "unwise.toml", &entry(unwise));
    let warned = text(&done(&[
        "check",
        "--destinations",
        &unwise,
        "--fields",
        &plain,
    ]));
    assert!(
        warned.contains("warning: ")
            && warned.contains("unwise.toml:5: destination \"crm\".url: credentials over http"),
        "{warned}"
    );

    let bad = "url = \"https://crm.example.com/{{ data.customer }}\"\nauth = { kind = \"bearer\", token = \"hunter2\" }";
    let bad = write(dir.path(), "bad.toml", &entry(bad));
    let bad_fields = write(
        dir.path(),
        "bad_fields.toml",
        "[destination.crm]\ncustomer_id = \"plian\"\n",
    );
    let output = run(&["check", "--destinations", &bad, "--fields", &bad_fields]);
    assert_eq!(output.status.code(), Some(2));
    let errors = errors(&output);
    assert!(
        errors.contains("bad.toml:6: destination \"crm\".auth.token: a literal is not taken"),
        "{errors}"
    );
    assert!(!errors.contains("hunter2"), "{errors}");
    assert!(
        errors.contains("bad_fields.toml:2: destination.crm.customer_id"),
        "both at once: {errors}"
    );

    let config = write(
        dir.path(),
        "aftercall.toml",
        "[deliver]\ndestinations = \"no/such/destinations.toml\"\nfields = \"no/such/fields.toml\"\n",
    );
    let output = run(&["check", "--config", &config, "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = report["errors"].to_string();
    assert!(
        said.contains("no/such/destinations.toml: cannot be read")
            && said.contains("no/such/fields.toml: cannot be read"),
        "{report}"
    );
}

#[test]
fn a_broken_configuration_stops_every_command_that_needs_one_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let config = write(dir.path(), "a.toml", "[engine]\nmemory_max = \"1\"\n");
    for command in [&["run"][..], &["doctor"], &["tap"], &["publish", "-"]] {
        let output = run_in(dir.path(), &[&["--config", &config], command].concat(), "");
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert!(errors(&output).contains("a.toml:2: engine.memory_max: found \"1\""));
    }
    assert!(run(&["--config", &config, "schema"]).status.success());
    assert!(!dir.path().join("data").exists(), "nothing was started");
}

#[test]
fn schema_prints_one_all_or_the_names_and_suggests_the_nearest() {
    let one: Value =
        serde_json::from_slice(&done(&["schema", "survey.response.created"]).stdout).unwrap();
    assert!(one.to_string().contains("response_id"));
    let names = text(&done(&["schema"]));
    let all: Value = serde_json::from_slice(&done(&["schema", "--all"]).stdout).unwrap();
    let all = all.as_object().unwrap();
    assert_eq!(names.lines().count(), all.len());
    assert!(names.lines().all(|name| all[name].is_object()));
    let output = run(&["schema", "alert.rased"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("did you mean `alert.raised`?"));
}

#[test]
fn completions_are_made_for_shells() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&done(&["completions", shell])).contains("publish"));
    }
    assert_eq!(run(&["completions", "cmd.exe"]).status.code(), Some(2));
}

#[test]
fn doctor_tells_what_the_embedded_log_survives() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let too_early = run(&["doctor", "--dir", &data]);
    assert_eq!(too_early.status.code(), Some(1));
    let said = errors(&too_early);
    assert!(
        said.contains("there is no log in") && said.contains("`aftercall run` makes one"),
        "{said}"
    );
    assert!(!dir.path().join("data").exists(), "looking makes nothing");

    done(&["publish", "--dir", &data, "-"]);
    let table = text(&done(&["doctor", "--dir", &data]));
    assert!(table.lines().count() > 1, "{table}");
    let findings: Value =
        serde_json::from_slice(&done(&["doctor", "--dir", &data, "--json"]).stdout).unwrap();
    let findings = findings.as_array().unwrap();
    assert_eq!(findings.len(), table.lines().count());
    assert!(
        findings
            .iter()
            .all(|f| f["level"] == "good" || f["level"] == "risk"),
        "{findings:?}"
    );

    let nobody = command(dir.path(), &["doctor"])
        .env("AFTERCALL_NATS", "nats://127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        errors(&nobody).contains("log unreachable"),
        "{}",
        errors(&nobody)
    );
    let directory_wins = command(dir.path(), &["doctor", "--dir", "data"])
        .env("AFTERCALL_NATS", "nats://127.0.0.1:1")
        .output()
        .unwrap();
    assert!(text(&directory_wins).contains("data/aftercall.db"));
}

#[test]
fn a_file_is_published_once_bad_lines_are_named_and_a_second_run_adds_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines: Vec<String> = (0..1_200).map(|n| survey(&format!("r{n}"), 4)).collect();
    lines[3] = "{".to_owned();
    lines[700] = survey("r700", 6);
    write(dir.path(), "events.ndjson", &(lines.join("\n") + "\n"));
    let args = ["publish", "events.ndjson", "--dir", "data", "--json"];

    let first = run_in(dir.path(), &args, "");
    assert_eq!(first.status.code(), Some(3), "{}", errors(&first));
    let summary: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!(
        (&summary["stored"], &summary["bad"]),
        (&1_198.into(), &2.into()),
        "{summary}"
    );
    assert_eq!(summary["done"], true);
    let errors = errors(&first);
    assert!(errors.contains("events.ndjson:4: not_json"), "{errors}");
    assert!(
        errors.contains("events.ndjson:701: out_of_range: data.csat"),
        "{errors}"
    );

    let second = run_in(dir.path(), &args, "");
    assert_eq!(second.status.code(), Some(0));
    let summary: Value = serde_json::from_slice(&second.stdout).unwrap();
    assert_eq!(
        (&summary["stored"], &summary["duplicates"]),
        (&0.into(), &0.into()),
        "{summary}"
    );

    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(dir.path().join("events.ndjson"))
        .unwrap();
    writeln!(file, "{}", survey("r-later", 4)).unwrap();
    let third: Value = serde_json::from_slice(&run_in(dir.path(), &args, "").stdout).unwrap();
    assert_eq!(
        (&third["stored"], &third["resumed_after_line"]),
        (&1.into(), &1_200.into()),
        "{third}"
    );

    fs::write(dir.path().join("events.ndjson"), lines[5..].join("\n")).unwrap();
    let changed = run_in(dir.path(), &args, "");
    assert_eq!(changed.status.code(), Some(2));
    assert!(self::errors(&changed).contains("changed in what was already published"));
}

#[test]
fn an_interrupted_publish_goes_on_and_every_event_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    const COUNT: usize = 30_000;
    let lines: Vec<String> = (0..COUNT).map(|n| survey(&format!("r{n}"), 4)).collect();
    write(dir.path(), "events.ndjson", &lines.join("\n"));
    let args = ["publish", "events.ndjson", "--dir", "data", "--json"];
    let mut first = start_in(dir.path(), &args);
    let note = dir.path().join("events.ndjson.progress");
    wait_for("the first acknowledged batch", || note.exists());
    first.kill().unwrap();
    first.wait().unwrap();

    let second = run_in(dir.path(), &args, "");
    assert!(second.status.success(), "{}", errors(&second));
    let summary: Value = serde_json::from_slice(&second.stdout).unwrap();
    assert!(
        summary["resumed_after_line"].as_u64().unwrap() >= 500,
        "{summary}"
    );
    assert_eq!(summary["done"], true);
    // Sent again in full: every event already stands there, none is missing.
    fs::remove_file(&note).unwrap();
    let again: Value = serde_json::from_slice(&run_in(dir.path(), &args, "").stdout).unwrap();
    assert_eq!(
        (&again["stored"], &again["duplicates"]),
        (&0.into(), &COUNT.into()),
        "{again}"
    );
}

/// Issue 9: what only aftercall says is not published with the rest by the way.
#[test]
fn s3_07_an_outcome_is_published_only_if_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = json!({
        "specversion": "1.0", "id": "o1", "source": "/tests", "type": "reward.outcome",
        "data": {"output_id": "r", "subject": "agent/a1", "status": "rejected"},
    });
    let input = format!("{}\n{outcome}", survey("r1", 1));
    let output = run_in(dir.path(), &["publish", "-", "--dir", "data"], &input);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        errors(&output)
            .contains("-:2: reserved_type: type: `reward.outcome` is said by aftercall alone"),
        "{}",
        errors(&output)
    );
    assert!(text(&output).starts_with("1 events stored, 0 already there, 1 lines bad"));
    let args = ["publish", "--own", "-", "--dir", "data"];
    let output = run_in(dir.path(), &args, &outcome.to_string());
    assert!(
        text(&output).starts_with("1 events stored"),
        "{}",
        text(&output)
    );
}

#[test]
fn from_standard_input_nothing_is_kept_and_nothing_needs_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let input = format!("{}\n\n{}", survey("r1", 1), survey("r2", 5));
    let output = run_in(dir.path(), &["publish", "-", "--dir", "data"], &input);
    assert!(output.status.success(), "{}", errors(&output));
    assert!(
        text(&output).starts_with("2 events stored, 0 already there, 0 lines bad"),
        "{}",
        text(&output)
    );
    let files: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    assert_eq!(files, ["data"]);
    let missing = run_in(dir.path(), &["publish", "no-such-file"], "");
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let mut child = start_in(Path::new("."), &["schema", "--all"]);
    drop(child.stdout.take());
    let mut errors = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), errors.as_str()),
        (Some(0), "")
    );
}

#[test]
fn the_demo_ends_by_itself_with_a_summary_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .args([
            "demo",
            "--for",
            "4s",
            "--rate",
            "300",
            "--listen",
            "127.0.0.1:0",
        ])
        .current_dir(dir.path())
        .env("TMPDIR", dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let shown = text(&output);
    let summary = shown
        .lines()
        .find(|line| line.starts_with("1200 events in"))
        .unwrap_or_else(|| panic!("{shown}"));
    assert!(summary.contains(" alert"), "{shown}");
    assert!(shown.contains("from event to alert: p50 "), "{shown}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
