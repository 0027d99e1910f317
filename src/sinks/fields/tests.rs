//! What holds for a whole policy: the file, the walk, the keys and the scrubber together.

use std::{collections::BTreeMap, fs};

use aftercall_actors::contract::output::Kind;
use serde_json::json;

use super::*;

/// 32 bytes each, in base64.
const KEY_1: &str = "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=";
const KEY_2: &str = "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjI=";

/// The example of the contract, with what must not leave beside it.
fn reward() -> Parcel {
    parcel(
        "reward.requested",
        json!({
            "reward_id": "0bb764a1-2fbd-86ce-8c5e-866fce82a61d",
            "agent_id": "agent-0417",
            "reward_type": "gift_card_25",
            "points_consumed": 500,
            "metadata": {"source_platform": "aftercall", "note": "card 4111 1111 1111 1111"},
            "phone": "+49 30 5550 1234",
            "evidence": ["r-1", "r-2"],
            "customer": {"email": "m@example.org"},
            "none": null,
        }),
    )
}

fn parcel(event_type: &str, data: Value) -> Parcel {
    Parcel {
        seq: 7,
        id: "3f1c2f0a".to_owned(),
        kind: Kind::Reward,
        event_type: event_type.to_owned(),
        subject: "agent/agent-0417".to_owned(),
        stored_at: aftercall_actors::contract::time::LogTime(1_763_628_312_310),
        attributes: BTreeMap::new(),
        data,
    }
}

/// Files with keys, and the `[keys]` that names them.
struct KeyFiles(tempfile::TempDir);

impl KeyFiles {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, key) in [("k1", KEY_1), ("k2", KEY_2)] {
            fs::write(dir.path().join(name), format!("{key}\n")).unwrap();
        }
        Self(dir)
    }

    fn section(&self, current: &str, ids: &[&str]) -> String {
        let dir = self.0.path().display();
        let keys: String = ids
            .iter()
            .map(|id| format!("{id} = \"file:{dir}/{id}\"\n"))
            .collect();
        format!(
            "[keys]\ncurrent = \"{current}\"\nhash = \"file:{dir}/k1\"\n[keys.encrypt]\n{keys}\n"
        )
    }

    fn policy(&self, current: &str, ids: &[&str], rest: &str) -> FieldPolicy {
        policy(&format!("{}{rest}", self.section(current, ids)))
    }
}

fn policy(text: &str) -> FieldPolicy {
    FieldPolicy::parse(text, "fields.toml").unwrap()
}

fn dropped(allowed: &Allowed) -> Vec<(&str, DropCause)> {
    allowed
        .dropped
        .iter()
        .map(|dropped| (dropped.path.as_str(), dropped.cause))
        .collect()
}

#[test]
fn s3_11_only_declared_fields_leave_each_in_its_form_and_the_rest_is_named() {
    let keys = KeyFiles::new();
    let policy = keys.policy(
        "k1",
        &["k1"],
        "[destination.rewards]\nagent_id = \"hash\"\nreward_type = \"plain\"\npoints_consumed = \"plain\"\n\
         metadata.source_platform = \"plain\"\nphone = \"mask\"\nreward_id = \"omit\"\ncustomer = \"plain\"\n\
         none = \"hash\"\n\"evidence.*\" = \"plain\"\nabsent = \"plain\"\n",
    );
    let allowed = policy.allow("rewards", &reward()).unwrap();
    // printf agent-0417 | openssl dgst -sha256 -mac HMAC -macopt key:1111... (32 bytes)
    let agent = "155368e5c4177acda58d91f39d884d51cc1df9111ea77d9df912fca1977b885c";
    assert_eq!(
        allowed.data,
        json!({
            "agent_id": agent,
            "reward_type": "gift_card_25",
            "points_consumed": 500,
            "metadata": {"source_platform": "aftercall"},
            "phone": "************1234",
            "evidence": ["r-1", "r-2"],
            "none": null,
        })
    );
    assert_eq!(allowed.subject, None);
    assert_eq!(
        dropped(&allowed),
        [
            ("customer", DropCause::NotOneValue),
            ("metadata.note", DropCause::Undeclared),
            ("reward_id", DropCause::Omitted),
        ]
    );
}

#[test]
fn s3_11_an_empty_section_lets_nothing_leave() {
    let policy = policy("[destination.rewards]\n");
    let allowed = policy.allow("rewards", &reward()).unwrap();
    assert_eq!(allowed.data, json!({}));
    assert_eq!(allowed.dropped.len(), 9);
    for data in [json!(null), json!([1]), json!("x")] {
        let allowed = policy.allow("rewards", &parcel("x", data.clone())).unwrap();
        assert_eq!(allowed.data, json!({}));
        assert_eq!(allowed.dropped.len(), usize::from(!data.is_null()));
    }
}

#[test]
fn s3_11_a_destination_or_a_type_without_a_section_is_refused_and_never_sent_empty() {
    let policy = policy("[destination.crm.\"profile.updated\"]\ncustomer_id = \"plain\"\n");
    let unknown = policy.allow("crn", &reward()).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "the field policy has no section [destination.crn], so nothing may leave for it"
    );
    assert!(matches!(unknown.fault(), Fault::Unsendable(_)));
    assert_eq!(
        policy.allow("crm", &reward()).unwrap_err().to_string(),
        "the field policy has no section [destination.crm.\"reward.requested\"], so nothing of it may leave"
    );
    assert_eq!(policy.declares("crm", "profile.updated"), Ok(()));
    assert!(policy.declares("crm", "reward.requested").is_err());
    assert_eq!(policy.destinations().collect::<Vec<_>>(), ["crm"]);
}

#[test]
fn s3_11_a_section_of_a_type_stands_alone() {
    let policy = policy(
        "[destination.rewards]\nagent_id = \"plain\"\n\
         [destination.rewards.\"reward.requested\"]\nreward_type = \"plain\"\n",
    );
    let of_type = policy.allow("rewards", &reward()).unwrap();
    assert_eq!(of_type.data, json!({"reward_type": "gift_card_25"}));
    let other = parcel("reward.reversal.requested", reward().data);
    let other = policy.allow("rewards", &other).unwrap();
    assert_eq!(other.data, json!({"agent_id": "agent-0417"}));
}

#[test]
fn s3_11_the_subject_leaves_only_if_it_is_declared_and_in_its_form() {
    let keys = KeyFiles::new();
    let subject = |action: &str| {
        let text = format!("[destination.d]\nsubject = \"{action}\"\n");
        keys.policy("k1", &["k1"], &text)
            .allow("d", &parcel("x", json!({})))
            .unwrap()
    };
    assert_eq!(subject("plain").subject, Some(json!("agent/agent-0417")));
    assert_eq!(subject("mask").subject, Some(json!("************0417")));
    let omitted = subject("omit");
    assert_eq!(omitted.subject, None);
    assert_eq!(dropped(&omitted), [("subject", DropCause::Omitted)]);
}

#[test]
fn s3_11_a_sealed_field_opens_with_its_key_for_its_place_and_nowhere_else() {
    let keys = KeyFiles::new();
    let sealing = "[destination.crm]\nphone = \"encrypt\"\ncustomer = \"encrypt\"\npoints_consumed = \"encrypt\"\n";
    let policy = keys.policy("k1", &["k1"], sealing);
    let data = policy.allow("crm", &reward()).unwrap().data;
    let sealed = |field: &str| data[field].as_str().unwrap().to_owned();
    let form: Vec<_> = sealed("phone").split('.').map(str::to_owned).collect();
    assert_eq!(form[..2], ["v1", "k1"]);
    assert!(!form[2].contains(['+', '/', '=']), "base64url: {}", form[2]);
    assert_eq!(form.len(), 3);
    // Nonce, the JSON string with its quotes, tag; in base64.
    assert_eq!(form[2].len(), (12 + 18 + 16_usize).div_ceil(3) * 4 - 2);
    let open = |destination: &str, path: &str, text: &str| policy.open(destination, path, text);
    assert_eq!(
        open("crm", "phone", &sealed("phone")),
        Ok(json!("+49 30 5550 1234"))
    );
    assert_eq!(
        open("crm", "customer", &sealed("customer")),
        Ok(json!({"email": "m@example.org"}))
    );
    assert_eq!(
        open("crm", "points_consumed", &sealed("points_consumed")),
        Ok(json!(500))
    );
    let refused = Err(FieldError::Sealing("opened"));
    assert_eq!(open("warehouse", "phone", &sealed("phone")), refused);
    assert_eq!(open("crm", "customer", &sealed("phone")), refused);
    let mut changed = sealed("phone").into_bytes();
    let last = changed.len() - 3;
    changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
    assert_eq!(
        open("crm", "phone", &String::from_utf8(changed).unwrap()),
        refused
    );
    for text in [
        "",
        "v1.k1",
        "v1.k1.",
        "v1.k9.AAAA",
        "v2.k1.AAAA",
        "v1.k1.AAAA.x",
        "v1.k1.!",
    ] {
        assert_eq!(open("crm", "phone", text), refused, "{text}");
    }
}

#[test]
fn s3_11_after_a_rotation_the_new_key_seals_and_the_old_one_opens() {
    let keys = KeyFiles::new();
    let sealing = "[destination.crm]\nphone = \"encrypt\"\n";
    let sealed = |policy: &FieldPolicy| {
        let data = policy.allow("crm", &reward()).unwrap().data;
        data["phone"].as_str().unwrap().to_owned()
    };
    let before = sealed(&keys.policy("k1", &["k1"], sealing));
    let both = keys.policy("k2", &["k1", "k2"], sealing);
    let after = sealed(&both);
    assert!(before.starts_with("v1.k1.") && after.starts_with("v1.k2."));
    for text in [&before, &after] {
        assert_eq!(
            both.open("crm", "phone", text),
            Ok(json!("+49 30 5550 1234"))
        );
    }
    let gone = keys.policy("k2", &["k2"], sealing);
    assert_eq!(
        gone.open("crm", "phone", &before),
        Err(FieldError::Sealing("opened"))
    );
}

/// A vendor that compares bodies under one idempotency key refuses the second attempt of a body that changed (S3.08).
#[test]
fn s3_05_a_second_attempt_has_the_body_of_the_first_and_no_nonce_serves_two_messages() {
    let keys = KeyFiles::new();
    let policy = keys.policy(
        "k1",
        &["k1"],
        "[destination.a]\nx = \"encrypt\"\ny = \"encrypt\"\n[destination.b]\nx = \"encrypt\"\n",
    );
    let sealed = |destination: &str, id: &str, field: &str, value: &str| {
        let mut parcel = parcel("t", json!({ field: value }));
        parcel.id = id.to_owned();
        let data = policy.allow(destination, &parcel).unwrap().data;
        data[field].as_str().unwrap().to_owned()
    };
    let first = sealed("a", "1", "x", "v");
    assert_eq!(sealed("a", "1", "x", "v"), first);
    let nonce = |sealed: &str| sealed["v1.k1.".len()..][..16].to_owned();
    let others = [
        sealed("a", "2", "x", "v"),
        sealed("a", "1", "y", "v"),
        sealed("a", "1", "x", "w"),
        sealed("b", "1", "x", "v"),
    ];
    let mut nonces: Vec<_> = others.iter().map(|sealed| nonce(sealed)).collect();
    nonces.push(nonce(&first));
    nonces.sort();
    nonces.dedup();
    assert_eq!(nonces.len(), 5);
}

#[test]
fn s5_09_plain_text_loses_card_and_ssn_shapes_and_identifiers_keep_their_digits() {
    let policy = policy(
        "[destination.d]\ncomment = \"plain\"\norder_id = \"plain\"\nidempotency_key = \"plain\"\n\
         raised_at = \"plain\"\n\"answers.*\" = \"plain\"\n\"tags.*\" = \"plain\"\nn = \"plain\"\n",
    );
    let card = "4111111111111111";
    let data = json!({
        "comment": format!("card {card}, ssn 123-45-6789"), "order_id": card, "idempotency_key": card,
        "raised_at": "2026-11-20T08:45:12.310Z", "answers": {"q": card, card: "x"}, "tags": [card],
        "n": 4_111_111_111_111_111_u64,
    });
    assert_eq!(
        policy.allow("d", &parcel("t", data)).unwrap().data,
        json!({
            "comment": "card ************1111, ssn ***-**-****", "order_id": card, "idempotency_key": card,
            "raised_at": "2026-11-20T08:45:12.310Z",
            "answers": {"q": "************1111", "************1111": "x"}, "tags": ["************1111"],
            "n": "************1111",
        })
    );
}

#[test]
fn s3_11_objects_in_lists_are_filtered_item_by_item() {
    let policy =
        policy("[destination.d]\n\"people.*.name\" = \"plain\"\n\"people.*.id\" = \"omit\"\n");
    let data =
        json!({"people": [{"name": "a", "id": 1, "x": 2}, {"name": "b", "y": 3}, "z"], "m": {}});
    let allowed = policy.allow("d", &parcel("t", data)).unwrap();
    assert_eq!(
        allowed.data,
        json!({"people": [{"name": "a"}, {"name": "b"}]})
    );
    assert_eq!(
        dropped(&allowed),
        [
            ("m", DropCause::Undeclared),
            ("people.*", DropCause::Undeclared),
            ("people.*.id", DropCause::Omitted),
            ("people.*.x", DropCause::Undeclared),
            ("people.*.y", DropCause::Undeclared),
        ]
    );
}

#[test]
fn s1_10_a_key_that_is_missing_or_none_is_named_and_may_yet_come() {
    let keys = KeyFiles::new();
    let text = "[destination.d]\nphone = \"encrypt\"\nagent_id = \"hash\"\n";
    let policy = keys.policy("k1", &["k1"], text);
    let file = keys.0.path().join("k1");
    for (content, why) in [
        ("MTEx", "a key is at least 32 bytes in base64"),
        ("planted secret", "a key is at least 32 bytes in base64"),
        ("", "it is empty"),
    ] {
        fs::write(&file, content).unwrap();
        let error = policy.allow("d", &reward()).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains(why) && said.contains(&file.display().to_string()),
            "{said}"
        );
        assert!(!said.contains("planted") && !format!("{error:?}").contains("planted"));
        assert!(matches!(error.fault(), Fault::Misconfigured(_)));
        std::thread::sleep(crate::sinks::secret::LOOK_EVERY);
    }
    // 33 bytes are a key for hashes, and none for AES-256.
    fs::write(&file, "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTEx").unwrap();
    let said = policy.allow("d", &reward()).unwrap_err().to_string();
    assert!(said.contains("a key is 32 bytes in base64"), "{said}");
    std::thread::sleep(crate::sinks::secret::LOOK_EVERY);
    fs::write(&file, KEY_1).unwrap();
    assert!(policy.allow("d", &reward()).is_ok(), "without a restart");
    // A policy that seals nothing needs no key.
    fs::remove_file(&file).unwrap();
    let plain = keys.policy("k1", &["k1"], "[destination.d]\nagent_id = \"plain\"\n");
    assert!(plain.allow("d", &reward()).is_ok());
}

#[test]
fn s1_10_nothing_shown_of_a_policy_holds_a_key() {
    let keys = KeyFiles::new();
    let policy = keys.policy(
        "k1",
        &["k1"],
        "[destination.d]\nphone = \"encrypt\"\nagent_id = \"hash\"\n",
    );
    policy.allow("d", &reward()).unwrap();
    let shown = format!("{policy:?}");
    assert!(
        shown.contains("file:") && !shown.contains(KEY_1) && !shown.contains("1111"),
        "{shown}"
    );
}
