//! `aftercall fields`: what would leave, and what of it depends on keys.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::program::{command, errors, run_in, text, write};

/// For the hashes of the shipped policy.
pub const KEY: &str = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=";

/// The agent of the examples, by that key.
pub const HASHED: &str = "155368e5c4177acda58d91f39d884d51cc1df9111ea77d9df912fca1977b885c";

fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    fs::read_to_string(folder.join(format!("{name}.json"))).unwrap()
}

#[test]
fn s3_11_the_shipped_policy_lets_a_reward_leave_with_the_fields_of_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(dir.path(), &["fields", "rewards"])
        .env("AFTERCALL_HASH_KEY", KEY)
        .spawn()
        .unwrap();
    let example = example("reward.requested");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), example.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let left: Value = serde_json::from_str(&text(&output)).unwrap();
    assert_eq!(
        left,
        json!({
            "reward_id": "0bb764a1-2fbd-86ce-8c5e-866fce82a61d",
            "agent_id": HASHED,
            "reward_type": "gift_card_25",
            "points_consumed": 500,
            "transaction_timestamp": "2026-11-20T08:45:12.310Z",
            "metadata": {"source_platform": "aftercall", "wfm_export_version": "daily-2026-11-19-r2"},
        })
    );
    assert_eq!(
        errors(&output).lines().collect::<Vec<_>>(),
        [
            "by the policy that ships with the program: the configuration names none (deliver.fields)",
            "stays: ordinal (not declared)",
            "stays: program (not declared)",
            "stays: tier (not declared)",
        ]
    );
}

#[test]
fn s5_09_data_alone_is_shown_masked_as_it_would_leave() {
    let dir = tempfile::tempdir().unwrap();
    let input = r#"{"comment": "card 4111 1111 1111 1111", "phone": "1"} {"comment": "ok"}"#;
    let args = ["fields", "slack", "--type", "alert.raised"];
    let output = run_in(dir.path(), &args, input);
    let left: Vec<Value> = serde_json::Deserializer::from_str(&text(&output))
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        left,
        [
            json!({"comment": "card **** **** **** 1111"}),
            json!({"comment": "ok"})
        ]
    );
    assert!(errors(&output).contains("stays: phone (not declared)"));
}

#[test]
fn s1_10_only_a_key_that_is_needed_is_asked_for_and_named_if_it_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let policy = write(
        dir.path(),
        "f.toml",
        "[keys]\nhash = \"env:AFTERCALL_TEST_HASH_KEY\"\n[destination.d]\nagent_id = \"hash\"\ntier = \"plain\"\n",
    );
    let args = [
        "fields",
        "d",
        "--type",
        "reward.requested",
        "--fields",
        &policy,
    ];
    let without = run_in(dir.path(), &args, r#"{"tier": "gold"}"#);
    assert_eq!(text(&without), "{\n  \"tier\": \"gold\"\n}\n");
    let missing = run_in(dir.path(), &args, r#"{"agent_id": "a1"}"#);
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(
        errors(&missing),
        "aftercall: the field policy needs a key: secret env:AFTERCALL_TEST_HASH_KEY: there is none\n"
    );
    let key = KEY;
    let mut child = command(dir.path(), &args)
        .env("AFTERCALL_TEST_HASH_KEY", key)
        .spawn()
        .unwrap();
    std::io::Write::write_all(
        &mut child.stdin.take().unwrap(),
        br#"{"agent_id": "agent-0417"}"#,
    )
    .unwrap();
    let hashed = child.wait_with_output().unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&hashed.stdout).unwrap(),
        json!({"agent_id": HASHED})
    );
    assert!(!errors(&hashed).contains(key));
}

#[test]
fn s3_11_the_policy_of_the_configuration_is_the_one_that_counts() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "f.toml",
        "[destination.rewards]\ntier = \"plain\"\n",
    );
    write(
        dir.path(),
        "aftercall.toml",
        "[deliver]\nfields = \"f.toml\"\n",
    );
    let args = ["fields", "rewards", "--type", "reward.requested"];
    let output = run_in(dir.path(), &args, r#"{"agent_id": "a1", "tier": "gold"}"#);
    assert_eq!(text(&output), "{\n  \"tier\": \"gold\"\n}\n");
    assert_eq!(errors(&output), "stays: agent_id (not declared)\n");
}

#[test]
fn s3_11_wrong_use_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let broken = write(dir.path(), "f.toml", "[destination.d]\na = \"plian\"\n");
    for (args, input, code, said) in [
        (
            &["fields", "rewrads"][..],
            example("reward.requested"),
            2,
            "did you mean `rewards`?",
        ),
        (&["fields", "rewards"], "{}".to_owned(), 2, "--type"),
        (
            &["fields", "rewards", "--type", "reward.request"],
            "{}".to_owned(),
            2,
            "did you mean `reward.requested`?",
        ),
        (
            &["fields", "rewards"],
            "[1]".to_owned(),
            3,
            "is a JSON object",
        ),
        (
            &["fields", "rewards"],
            "{".to_owned(),
            3,
            "standard input: EOF",
        ),
        (&["fields", "rewards"], " ".to_owned(), 3, "no output"),
        (
            &["fields", "d", "--fields", &broken],
            "{}".to_owned(),
            2,
            "f.toml:2: destination.d.a",
        ),
        (
            &["fields", "d", "--fields", "none.toml"],
            "{}".to_owned(),
            2,
            "none.toml: cannot be read",
        ),
    ] {
        let output = run_in(dir.path(), args, &input);
        let shown = errors(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {shown}");
        assert!(shown.contains(said), "{args:?}: {shown}");
    }
}
