//! The file: its mistakes, and the one that ships.

use std::{collections::BTreeMap, fs, io::Write};

use serde_json::Value;

use crate::sinks::fields::{FieldPolicy, SHIPPED};

#[test]
fn s3_11_all_mistakes_are_reported_at_once_with_line_key_finding_and_what_is_allowed() {
    let text = "[keys]\ncurrent = \"k9\"\nhash = \"planted-hash-key\"\ncolour = 1\n[keys.encrypt]\n\
                k1 = \"planted\"\n\"k.2\" = \"env:K\"\n\n\
                [scrub]\nnames = [\"ok\", 5]\nname = []\n\n\
                [destination.Rewards]\nagent_id = \"hsah\"\npoints = 5\n\"a..b\" = \"plain\"\n\"a.**\" = \"plain\"\n\
                a.b = \"plain\"\n\"a.b\" = \"mask\"\n\n\
                [destination.crm.\"profile.updatd\"]\nx = \"plain\"\n\n\
                [destination.crm.profile.updated]\nx = \"plain\"\n\n\
                [destination]\nx = 1\n\n[destinatoin.x]\n";
    let errors = FieldPolicy::parse(text, "f.toml").unwrap_err().to_string();
    let actions = "plain, hash, encrypt, mask, omit";
    let types = aftercall_actors::contract::output::Output::TYPES.join(", ");
    let secret = "found something else (not shown, it may be secret), allowed: a reference to a secret: \"env:NAME\", \
                  \"file:/path\" or \"credential:NAME\", never the secret itself";
    let path =
        "not a path, allowed: at most 16 names with dots between, `*` alone for every key or item";
    assert_eq!(
        errors.lines().collect::<Vec<_>>(),
        [
            "f.toml:2: keys.current: found \"k9\", allowed: an id of [keys.encrypt]: k.2, k1".to_owned(),
            format!("f.toml:3: keys.hash: {secret}"),
            "f.toml:4: colour: unknown key of [keys] (known: current, hash, encrypt)".to_owned(),
            format!("f.toml:6: keys.encrypt.k1: {secret}"),
            "f.toml:7: keys.encrypt.k.2: not a key id, allowed: 1 to 40 of letters, digits, - and _".to_owned(),
            "f.toml:10: scrub.names: found 5, allowed: a list of field names, such as [\"maiden_name\"]".to_owned(),
            "f.toml:11: name: unknown key of [scrub]; did you mean `names`? (known: names)".to_owned(),
            "f.toml:13: destination.Rewards: not a destination's name, allowed: 1 to 40 of a-z, 0-9, - and _"
                .to_owned(),
            format!(
                "f.toml:14: destination.Rewards.agent_id: found \"hsah\", allowed: {actions}; did you mean `hash`?"
            ),
            format!("f.toml:15: destination.Rewards.points: found 5, allowed: {actions}"),
            format!("f.toml:16: destination.Rewards.\"a..b\": {path}"),
            format!("f.toml:17: destination.Rewards.\"a.**\": {path}"),
            "f.toml:19: destination.Rewards.\"a.b\": declared twice: a.b".to_owned(),
            format!(
                "f.toml:21: destination.crm.\"profile.updatd\": unknown output type; did you mean `profile.updated`? \
                 (known: {types})"
            ),
            "f.toml:24: destination.crm.profile.updated: an output type is written in quotes: `\"profile.updated\"`"
                .to_owned(),
            "f.toml:28: destination.x: found 1, allowed: a section `[destination.x]`".to_owned(),
            "f.toml:30: destinatoin: unknown section; did you mean `destination`? (known: keys, scrub, destination)"
                .to_owned(),
        ]
    );
    assert!(!errors.contains("planted"));
}

#[test]
fn s3_11_a_declaration_that_needs_a_key_says_so_where_it_stands() {
    let text = "[destination.d]\na = \"plain\"\nb = \"hash\"\nc = \"encrypt\"\nd = \"hash\"\n";
    let errors = FieldPolicy::parse(text, "f.toml").unwrap_err().to_string();
    assert_eq!(
        errors.lines().collect::<Vec<_>>(),
        [
            "f.toml:3: destination.d.b: found \"hash\", which needs a key: set keys.hash",
            "f.toml:4: destination.d.c: found \"encrypt\", which needs a key: set [keys.encrypt] and keys.current",
        ]
    );
    let text = "[keys.encrypt]\nk = \"env:K\"\n[destination.d]\nc = \"encrypt\"\n";
    let errors = FieldPolicy::parse(text, "f.toml").unwrap_err().to_string();
    assert_eq!(
        errors,
        "f.toml:1: keys.current: missing: it names the key of [keys.encrypt] that seals"
    );
}

#[test]
fn a_file_that_is_no_toml_is_reported_with_its_line() {
    let error = FieldPolicy::parse("[destination.d]\na = \n", "f.toml")
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("f.toml:2: not valid TOML: "), "{error}");
    assert!(FieldPolicy::parse("", "f.toml").is_ok());
}

fn examples() -> BTreeMap<String, Value> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let examples = aftercall_actors::contract::output::Output::TYPES
        .into_iter()
        .map(|name| {
            let text = fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
            let event: Value = serde_json::from_str(&text).unwrap();
            (name.to_owned(), event["data"].clone())
        });
    examples.collect()
}

/// Paths of single values, list items as `*`.
fn paths(value: &Value, above: &str, into: &mut Vec<String>) {
    let join = |name: &str| {
        if above.is_empty() {
            name.to_owned()
        } else {
            format!("{above}.{name}")
        }
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, v)| paths(v, &join(name), into)),
        Value::Array(items) => items.iter().for_each(|v| paths(v, &join("*"), into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            into.push(above.to_owned());
        }
    }
    into.sort();
    into.dedup();
}

fn paths_of(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    paths(value, "", &mut found);
    found
}

/// A path with a typing mistake lets nothing leave, and nobody would notice before the vendor does.
#[test]
fn s3_11_every_path_of_the_shipped_policy_leads_to_a_field_of_an_output() {
    let mut known = vec!["subject".to_owned()];
    for data in examples().values() {
        paths(data, "", &mut known);
    }
    let file: toml::Table = SHIPPED.parse().unwrap();
    let mut strangers = Vec::new();
    for (destination, section) in file["destination"].as_table().unwrap() {
        let section = serde_json::to_value(section).unwrap();
        let declared = paths_of(&section);
        assert!(!declared.is_empty(), "{destination}");
        strangers.extend(
            declared
                .into_iter()
                .filter(|path| !known.contains(path))
                .map(|path| format!("{destination}: {path}")),
        );
    }
    assert_eq!(strangers, Vec::<String>::new());
}

#[test]
fn s3_06_the_shipped_policy_lets_leave_what_the_rows_list() {
    let mut key = tempfile::NamedTempFile::new().unwrap();
    key.write_all(b"MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=")
        .unwrap();
    let key = format!("file:{}", key.path().display());
    let text = SHIPPED.replace("env:AFTERCALL_HASH_KEY", &key);
    let policy = FieldPolicy::parse(&text, "fields.toml").unwrap();
    let examples = examples();
    let allowed = |destination: &str, event_type: &str| {
        policy
            .allow_data(
                destination,
                event_type,
                "id",
                "agent/7",
                &examples[event_type],
            )
            .unwrap()
            .data
    };
    let left = |destination: &str, event_type: &str| paths_of(&allowed(destination, event_type));
    // The body's fields and the idempotency key (S3.06).
    assert_eq!(
        left("rewards", "reward.requested"),
        [
            "agent_id",
            "metadata.source_platform",
            "metadata.wfm_export_version",
            "points_consumed",
            "reward_id",
            "reward_type",
            "transaction_timestamp",
        ]
    );
    assert_eq!(
        left("reward-reversals", "reward.reversal.requested"),
        ["kept.reward", "reward_id"]
    );
    // S1.02, S1.08
    assert_eq!(
        left("survey-tokens", "survey_token.requested"),
        ["agent_id", "interaction_id"]
    );
    assert_eq!(
        left("warehouse", "enps.scored"),
        [
            "agent_id",
            "category",
            "interaction_id",
            "metadata.queue_id",
            "metadata.wrap_up_code",
            "raw_score",
            "submitted_at",
        ]
    );
    // S4.03
    assert_eq!(
        left("crm", "profile.updated"),
        [
            "attributes.last_interaction_summary",
            "attributes.segmentation_tags.*",
            "attributes.sentiment",
            "customer_id",
            "idempotency_key",
            "last_updated",
        ]
    );
    // S5.01, S5.06: one identifier, and no other.
    assert_eq!(
        left("identity", "identity.requested"),
        ["channel", "identifier"]
    );
    assert_eq!(
        left("track", "interaction.outcome"),
        [
            "agent_id",
            "duration_s",
            "interaction_type",
            "outcome",
            "timestamp",
            "user_id"
        ]
    );
    // Vendors know an agent by the same hash (S3.15), except where the gift card goes to the agent's own address.
    let hashed = "155368e5c4177acda58d91f39d884d51cc1df9111ea77d9df912fca1977b885c";
    for (destination, event_type, agent) in [
        ("rewards", "reward.requested", hashed),
        ("warehouse", "enps.scored", hashed),
        ("tremendous", "reward.requested", "agent-0417"),
    ] {
        let data = allowed(destination, event_type);
        assert_eq!(data["agent_id"], agent, "{destination}");
    }
}
