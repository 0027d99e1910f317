//! `aftercall check` on what the files point at, and that others judge the files as it does.

use std::{fs, path::Path};

use serde_json::Value;

use super::program::{command, done, errors, run_in, text, write};

const FIELDS: &str = "[destination.crm]\ncustomer_id = \"plain\"\n";

/// One destination and a lookup for recipients, each with more keys.
fn files(dir: &Path, destination: &str, recipient: &str) -> [String; 2] {
    let text = format!(
        "[[recipient]]\nurl = \"https://people.example.com/\"\npeople = \"body\"\n{recipient}\n\
         [[destination]]\nname = \"crm\"\non = [\"profile\"]\nchannel = \"http\"\nurl = \"https://crm.example.com/\"\n{destination}\n"
    );
    [
        write(dir, "destinations.toml", &text),
        write(dir, "fields.toml", FIELDS),
    ]
}

fn check([destinations, fields]: &[String; 2]) -> [&str; 6] {
    [
        "check",
        "--json",
        "--destinations",
        destinations,
        "--fields",
        fields,
    ]
}

fn said(report: &Value, of: &str) -> Vec<String> {
    let texts = report[of].as_array().unwrap().iter();
    texts
        .map(|text| {
            let text = text.as_str().unwrap();
            text.split_once("destinations.toml:").unwrap().1.to_owned()
        })
        .collect()
}

#[test]
fn s1_10_a_secret_that_is_not_here_is_a_warning_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent").display().to_string();
    let files = files(
        dir.path(),
        &format!(
            "headers = {{ X-Api-Key = \"env:CHECK_HEADER\" }}\n\
             fallback = [ {{ when = \"status == 404\", url = \"env:CHECK_URL\" }} ]\n\
             auth = {{ kind = \"basic\", user = \"env:CHECK_USER\", password = \"file:{absent}\" }}"
        ),
        "auth = { kind = \"bearer\", token = \"credential:people\" }",
    );
    let report = |set: &[&str]| -> Value {
        let mut command = command(dir.path(), &check(&files));
        for name in set {
            command.env(name, "https://planted.example.com/");
        }
        let output = command
            .env_remove("CREDENTIALS_DIRECTORY")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        assert!(!text(&output).contains("planted"), "{}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let file = format!(
        "12: destination \"crm\".auth.password: secret file:{absent}: there is none, here and now; nothing is sent without it"
    );
    let none = |line: u8, key: &str, name: &str| {
        format!(
            "{line}: {key}: secret env:{name}: there is none, here and now; nothing is sent without it"
        )
    };
    let user = none(12, "destination \"crm\".auth.user", "CHECK_USER");
    let people = "4: recipient 1.auth.token: secret credential:people: $CREDENTIALS_DIRECTORY is not set, so systemd gave this process no credentials, here and now; nothing is sent without it".to_owned();
    let header = none(10, "destination \"crm\".headers.X-Api-Key", "CHECK_HEADER");
    let url = none(11, "destination \"crm\".fallback[0].url", "CHECK_URL");
    assert_eq!(
        said(&report(&[]), "warnings"),
        [people.clone(), header, url, file.clone(), user]
    );
    let set = report(&["CHECK_HEADER", "CHECK_URL", "CHECK_USER"]);
    assert_eq!(said(&set, "warnings"), [people.clone(), file]);
    fs::write(&absent, "planted").unwrap();
    let set = report(&["CHECK_HEADER", "CHECK_URL", "CHECK_USER"]);
    assert_eq!(said(&set, "warnings"), [people]);
}

#[test]
fn s3_06_a_certificate_that_is_not_there_or_none_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["crm.example.com".to_owned()]).unwrap();
    let cert = write(dir.path(), "cert.pem", &made.cert.pem());
    let key = write(dir.path(), "key.pem", &made.signing_key.serialize_pem());
    let none = write(dir.path(), "none.pem", "no certificate");
    let absent = dir.path().join("absent.pem").display().to_string();
    let own =
        |cert: &str, key: &str| format!("tls = {{ cert_file = \"{cert}\", key_file = \"{key}\" }}");
    let ca = |file: &str| format!("tls = {{ ca_file = \"{file}\" }}");
    let not_there = format!("{absent}: No such file");
    let unread = "cannot be read: ";
    let of = |key: &str, why: &str| {
        [
            format!("10: destination \"crm\".tls.{key}: "),
            why.to_owned(),
        ]
    };
    for (destination, recipient, mistakes) in [
        (ca(&cert), ca(&cert), vec![]),
        (own(&cert, &key), own(&cert, &key), vec![]),
        (ca(&absent), String::new(), vec![of("ca_file", &not_there)]),
        (ca(&none), String::new(), vec![of("ca_file", unread)]),
        (
            own(&cert, &none),
            String::new(),
            vec![of("cert_file", unread)],
        ),
        (
            own(&absent, &absent),
            ca(&absent),
            vec![
                ["4: recipient 1.tls.ca_file: ".to_owned(), not_there.clone()],
                of("cert_file", &not_there),
                of("key_file", &not_there),
            ],
        ),
    ] {
        // Without a lookup's certificates its line is empty, so the destination's stays where it is.
        let files = files(dir.path(), &destination, &recipient);
        let output = run_in(dir.path(), &check(&files), "");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = said(&report, "errors");
        let code = if mistakes.is_empty() { 0 } else { 2 };
        assert_eq!(output.status.code(), Some(code), "{report}");
        assert_eq!(found.len(), mistakes.len(), "{found:#?}");
        for (found, [place, why]) in found.iter().zip(mistakes) {
            assert!(found.starts_with(&place) && found.contains(&why), "{found}");
        }
    }
}

#[test]
fn s3_11_send_refuses_what_check_refuses_and_both_name_the_mistakes_of_both_files() {
    let dir = tempfile::tempdir().unwrap();
    // A template that only fails over what may leave.
    let body = "body = '{\"tags\": {{ data.segment }}}'";
    let files = files(dir.path(), body, "");
    for args in [&["check"][..], &["send", "crm"]] {
        let [destinations, fields] = &files;
        let named = ["--destinations", destinations, "--fields", fields];
        let output = run_in(dir.path(), &[args, &named].concat(), "");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = errors(&output);
        assert!(
            said.contains("destinations.toml:10: destination \"crm\".body: "),
            "{args:?}: {said}"
        );

        let bad = write(
            dir.path(),
            "bad.toml",
            "[destination.crm]\ncustomer_id = \"plian\"\n",
        );
        let worse = write(
            dir.path(),
            "worse.toml",
            "[[destination]]\nname = \"crm\"\n",
        );
        let named = ["--destinations", &worse, "--fields", &bad];
        let output = run_in(dir.path(), &[args, &named].concat(), "");
        let said = errors(&output);
        assert!(
            said.contains("bad.toml:2: destination.crm.customer_id: ")
                && said.contains("worse.toml:1: destination \"crm\".on: "),
            "{args:?}: {said}"
        );
        let named = ["--destinations", "none.toml", "--fields", &bad];
        let output = run_in(dir.path(), &[args, &named].concat(), "");
        let said = errors(&output);
        assert!(
            said.contains("bad.toml:2: ") && said.contains("none.toml: cannot be read: "),
            "{args:?}: {said}"
        );
    }
}

#[test]
fn s3_11_the_help_says_what_leaves_without_a_policy() {
    for command in ["check", "send"] {
        let help = text(&done(&[command, "--help"]));
        let words: Vec<&str> = help.split_whitespace().collect();
        let words = words.join(" ");
        assert!(words.contains("not set: nothing may leave"), "{help}");
        assert!(!words.contains("everything may leave"), "{help}");
    }
}

#[test]
fn s3_04_a_program_that_nobody_pays_for_is_a_warning_and_so_is_one_that_two_would() {
    let dir = tempfile::tempdir().unwrap();
    let rules = write(
        dir.path(),
        "rules.toml",
        "[[program]]\nname = \"p\"\nenabled = true\n\
         [[program.tier]]\nname = \"t\"\nthreshold = 500\nreward_type = \"card\"\n",
    );
    let payer = |name: &str| {
        format!(
            "[[destination]]\nname = \"{name}\"\non = [\"reward\"]\nchannel = \"http\"\n\
             url = \"https://pay.example.com/\"\noutcome = {{ event = \"reward.outcome\" }}\n"
        )
    };
    let two = write(dir.path(), "two.toml", &(payer("a") + &payer("b")));
    let one = write(dir.path(), "one.toml", &payer("a"));
    let fields = write(
        dir.path(),
        "fields.toml",
        "[destination.a]\nreward_id = \"plain\"\n[destination.b]\nreward_id = \"plain\"\n",
    );
    let warnings = |more: &[&str]| {
        let arguments = [&["check", "--json", "--rules", &rules][..], more].concat();
        let output = run_in(dir.path(), &arguments, "");
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let warnings = report["warnings"].as_array().unwrap().clone();
        let of = |text: &&Value| {
            let text = text.as_str().unwrap();
            text.contains("of tier `t` of program `p`")
        };
        warnings.iter().filter(of).count()
    };
    assert_eq!(warnings(&[]), 2, "a request and a reversal");
    let with = |file: &str| warnings(&["--destinations", file, "--fields", &fields]);
    assert_eq!(with(&one), 0);
    assert_eq!(with(&two), 2);
}

#[test]
fn what_run_takes_from_the_environment_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let check = |name: &str, value: &str| {
        let output = command(dir.path(), &["check"])
            .env(name, value)
            .output()
            .unwrap();
        (output.status.code(), text(&output) + &errors(&output))
    };
    let (code, said) = check("AFTERCALL_NATS", "nats://n1");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("(log: nats://n1:4222)"), "{said}");
    for (name, value, why) in [
        (
            "AFTERCALL_NATS",
            "http://n1",
            "AFTERCALL_NATS: allowed: a NATS address",
        ),
        ("AFTERCALL_TOKENS", "short", "AFTERCALL_TOKENS"),
        (
            "RUST_LOG",
            "aftercall=loud",
            "log filter `aftercall=loud` is not valid",
        ),
        (
            "AFTERCALL_CONFIG",
            "absent.toml",
            "absent.toml: cannot be read",
        ),
    ] {
        let (code, said) = check(name, value);
        assert_eq!(code, Some(2), "{name}: {said}");
        assert!(said.contains(why), "{name}: {said}");
    }
}
