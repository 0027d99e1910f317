//! Warnings, and what the field policy makes of templates.

use super::*;
use crate::sinks::fields::{FieldPolicy, SHIPPED};

fn warnings(text: &str) -> Vec<String> {
    let checked = parse(text, "d.toml").unwrap_or_else(|e| panic!("{e}"));
    checked.warnings().collect()
}

#[test]
fn what_is_allowed_and_unwise_is_a_warning() {
    let bearer = "auth = { kind = \"bearer\", token = \"env:T\" }";
    let warned = |on: &str, keys: &str| warnings(&entry(on, keys));
    for host in ["localhost:1", "127.0.0.1", "[::1]:80", "a.localhost"] {
        let keys = format!("channel = \"http\"\nurl = \"http://{host}/\"\n{bearer}");
        assert_eq!(warned("enps", &keys), Vec::<String>::new(), "{host}");
    }
    assert_eq!(
        warned(
            "enps",
            &format!("channel = \"http\"\nurl = \"http://a.example/\"\n{bearer}")
        ),
        [
            "d.toml:5: destination \"x\".url: credentials over http to another machine can be read on the way; use https"
        ]
    );
    let header =
        "channel = \"http\"\nurl = \"http://a.example/\"\nheaders = { X-Api-Key = \"env:K\" }";
    assert_eq!(warned("enps", header).len(), 1);
    assert_eq!(
        warned("enps", "channel = \"http\"\nurl = \"http://a.example/\""),
        Vec::<String>::new()
    );
    assert_eq!(
        warned(
            "alert.raised",
            "channel = \"teams\"\nurl = \"https://a.example/hook\""
        ),
        [
            "d.toml:5: destination \"x\".url: the address of a webhook lets anyone post: keep it as \"env:NAME\" or \"file:/path\""
        ]
    );
    assert_eq!(
        warned(
            "reward.requested",
            "channel = \"http\"\nurl = \"https://a.example/\"\nbody = \"{}\""
        ),
        [
            "d.toml:1: destination \"x\".headers: neither address, headers nor body hold `id` or `data.reward_id`: the \
             destination cannot tell a repeated request from a second reward",
            "d.toml:1: destination \"x\".outcome: not set, but the actor of \"reward.requested\" waits for a \
             \"reward.outcome\"",
        ]
    );
    let slack = format!("channel = \"slack\"\nto = \"C1\"\n{bearer}");
    assert_eq!(
        warned("alert", &slack),
        [
            "d.toml:1: destination \"x\".thread: not set, so later news of an alert become new messages instead of updates; \
          write \"{{ data.alert_id }}\""
        ]
    );
    assert_eq!(warned("alert.raised", &slack), Vec::<String>::new());
    let told =
        "channel = \"http\"\nurl = \"https://a.example/\"\noutcome = { event = \"alert.outcome\" }";
    let twice = entry("alert.raised", told) + &entry("alert", told).replace("\"x\"", "\"y\"");
    assert_eq!(
        warnings(&twice),
        [
            "d.toml:12: destination \"y\".outcome: \"x\" reports the outcome of the same outputs, so their actor hears of \
          each twice"
        ]
    );
}

#[test]
fn s3_11_the_reference_works_with_what_the_shipped_policy_leaves() {
    use std::io::Write;
    let mut key = tempfile::NamedTempFile::new().unwrap();
    key.write_all(b"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=")
        .unwrap();
    let key = format!("file:{}", key.path().display());
    let policy = SHIPPED
        .replace("env:AFTERCALL_HASH_KEY", &key)
        .replace("env:AFTERCALL_FIELD_KEY", &key);
    let policy = FieldPolicy::parse(&policy, "fields.toml").unwrap();
    let mut checked = parse(REFERENCE, "config/destinations.toml").unwrap();
    checked
        .rehearse(&rehearsal::by_policy(&policy))
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(checked.warnings().collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn s3_11_a_template_that_needs_what_may_not_leave_is_found_before_it_runs() {
    let on_file = |body: &str| {
        entry(
            "enps",
            &format!("channel = \"http\"\nurl = \"https://a.example/\"\nbody = '{body}'"),
        )
    };
    let policy = |text: &str| FieldPolicy::parse(text, "f.toml").unwrap();
    let tried = |body: &str, fields: &str| {
        let mut checked = parse(&on_file(body), "d.toml").unwrap();
        checked
            .rehearse(&rehearsal::by_policy(&policy(fields)))
            .map_err(|e| e.to_string())
    };
    let plain = "[destination.x]\nagent_id = \"plain\"\n";
    assert_eq!(tried("{\"a\": {{ data.agent_id }}}", plain), Ok(()));
    let error = tried("{\"a\": {{ data.raw_score }}}", plain).unwrap_err();
    assert!(
        error.starts_with("d.toml:6: destination \"x\".body: over the example of enps.scored")
            && error.contains("`data.raw_score` is absent"),
        "{error}"
    );
    let error = tried("{}", "[destination.y]\nagent_id = \"plain\"\n").unwrap_err();
    assert!(
        error.contains("destination \"x\".on") && error.contains("no section"),
        "{error}"
    );
}
