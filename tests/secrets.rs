//! Secrets planted in every place an operator may put them, rightly or by mistake, and the search for them in what the
//! program prints (S1.10).

use std::{fs, path::Path};

#[path = "secrets/echo.rs"]
mod echo;
#[path = "support/planted.rs"]
mod planted;
#[path = "cli/program.rs"]
#[expect(dead_code, reason = "shared with the tests of the command line")]
mod program;
#[path = "secrets/whole_run.rs"]
mod whole_run;
#[path = "secrets/world.rs"]
mod world;

use planted::Planted;
use program::{command, errors, run_in, text, write};

#[test]
fn the_search_finds_a_secret_in_every_form() {
    let planted = Planted::new("x");
    let value = &planted.value;
    use base64::{Engine, prelude::BASE64_STANDARD};
    for (text, form) in [
        (format!("a {value} b"), "as it is"),
        (
            format!("{:?}", Some(value.as_bytes())),
            "as a list of bytes",
        ),
        (value.replace('-', "%2D"), "percent-encoded"),
        (BASE64_STANDARD.encode(value), "in base64"),
        (BASE64_STANDARD.encode(format!("u:{value}")), "in base64"),
        (
            BASE64_STANDARD.encode(format!("user:{value}\n")),
            "in base64",
        ),
    ] {
        assert!(planted.found_in(&text).contains(&form), "{form}: {text}");
    }
    assert!(planted.found_in("planted-y-q8Zr4Tn1Xw6Kp3Vb").is_empty());
}

/// A literal where a reference belongs, and keys that are no keys: each is refused, and none is repeated.
#[test]
fn s1_10_a_secret_written_into_the_field_policy_is_refused_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let literals = ["hash", "encrypt"].map(Planted::new);
    let policy = write(
        dir.path(),
        "fields.toml",
        &format!(
            "[keys]\ncurrent = \"k\"\nhash = \"{}\"\n[keys.encrypt]\nk = \"{}\"\n[destination.d]\na = \"hash\"\n",
            literals[0].value, literals[1].value
        ),
    );
    let args = [
        "fields",
        "d",
        "--type",
        "reward.requested",
        "--fields",
        &policy,
    ];
    let output = run_in(dir.path(), &args, "{}");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(errors(&output).lines().count(), 2, "{}", errors(&output));
    for literal in &literals {
        literal.is_absent_from("stderr", &errors(&output));
        literal.is_absent_from("stdout", &text(&output));
    }
}

#[test]
fn s1_10_keys_in_the_environment_and_in_files_are_used_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    // Right keys and wrong ones: of 32 bytes in base64, and text that is none.
    let right = Planted::of("cGxhbnRlZC1rZXktb2YtMzItYnl0ZXMtcThacjRUbjE=".to_owned());
    let wrong = Planted::new("wrong");
    let file = dir.path().join("key");
    let policy = write(
        dir.path(),
        "fields.toml",
        &format!(
            "[keys]\ncurrent = \"k\"\nhash = \"env:PLANTED\"\n[keys.encrypt]\nk = \"file:{}\"\n\
             [destination.d]\nagent_id = \"hash\"\ntier = \"encrypt\"\n",
            file.display()
        ),
    );
    let args = [
        "fields",
        "d",
        "--type",
        "reward.requested",
        "--fields",
        &policy,
    ];
    for (key, in_env, code) in [
        (&right, &right, 0),
        (&wrong, &right, 1),
        (&right, &wrong, 1),
    ] {
        fs::write(&file, &key.value).unwrap();
        let mut child = command(dir.path(), &args)
            .env("PLANTED", &in_env.value)
            .env("RUST_LOG", "trace")
            .spawn()
            .unwrap();
        let input = br#"{"agent_id": "agent-0417", "tier": "gold"}"#;
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", errors(&output));
        for planted in [&right, &wrong] {
            planted.is_absent_from("stderr", &errors(&output));
            planted.is_absent_from("stdout", &text(&output));
            planted.is_absent_below(dir.path(), &[Path::new(&file)]);
        }
    }
}
