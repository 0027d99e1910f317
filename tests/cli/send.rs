//! `aftercall send`: what would leave, without a credential in it; and what came of sending it.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
};

use serde_json::Value;

use super::{
    fields::{HASHED, KEY},
    program::{command, errors, run_in, text, write},
};

#[test]
fn s3_06_s1_10_a_request_is_shown_as_it_would_leave_with_its_credentials_hidden() {
    let dir = tempfile::tempdir().unwrap();
    let (destinations, fields) = (shipped("destinations.toml"), shipped("fields.toml"));
    let files = ["--destinations", &destinations, "--fields", &fields];
    let args = [
        &["send", "rewards", "--example", "reward.requested"],
        &files[..],
    ]
    .concat();
    let output = command(dir.path(), &args)
        .env("AFTERCALL_HASH_KEY", KEY)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let shown = text(&output);
    let (head, body) = shown.split_once("\n\n").unwrap();
    let lines: Vec<&str> = head.lines().collect();
    assert_eq!(
        lines[0],
        "POST https://rewards.example.com/v1/rewards/issue"
    );
    for line in [
        "idempotency-key: 0bb764a1-2fbd-86ce-8c5e-866fce82a61d",
        "x-integration-id: aftercall",
        "content-type: application/json",
        "authorization: ***",
    ] {
        assert!(lines.contains(&line), "{line}: {head}");
    }
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["points_consumed"], 500);
    assert_eq!(body["agent_id"], HASHED);
    // Without a type: the first that the destination takes.
    let output = run_in(dir.path(), &[&["send", "crm"], &files[..]].concat(), "");
    assert!(
        text(&output).starts_with("PUT https://crm.example.com/v1/customers/customer-0048213\n"),
        "{}",
        errors(&output)
    );
}

#[test]
fn a_wrong_name_is_wrong_usage_and_says_which_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let (destinations, fields) = (shipped("destinations.toml"), shipped("fields.toml"));
    let files = ["--destinations", &destinations, "--fields", &fields];
    let output = run_in(dir.path(), &[&["send", "crn"], &files[..]].concat(), "");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors(&output).contains("there is no destination `crn` (there are: slack, "),
        "{}",
        errors(&output)
    );
    let output = run_in(
        dir.path(),
        &[&["send", "crm", "--example", "nothing"], &files[..]].concat(),
        "",
    );
    assert_eq!(output.status.code(), Some(2));
    let output = run_in(dir.path(), &["send", "crm"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("no destinations"));
}

#[test]
fn sending_it_shows_the_answer_and_says_by_its_exit_code_what_came_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let vendor = std::thread::spawn(move || {
        for answer in [
            "HTTP/1.1 201 Created\r\ncontent-length: 15\r\n\r\n{\"taken\": true}",
            "HTTP/1.1 422 No\r\ncontent-length: 0\r\n\r\n",
        ] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\"x\"}") {
                let mut part = [0; 4096];
                let read = stream.read(&mut part).unwrap();
                assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
                seen.extend_from_slice(&part[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let destinations = write(
        dir.path(),
        "destinations.toml",
        &format!(
            "[[destination]]\nname = \"in\"\non = [\"coaching\"]\nchannel = \"http\"\nurl = \"http://{address}/in\"\n"
        ),
    );
    let fields = write(
        dir.path(),
        "fields.toml",
        "[destination.in]\nreason = \"plain\"\n",
    );
    let event = write(
        dir.path(),
        "output.json",
        r#"{"id": "c-1", "type": "coaching.requested", "subject": "agent/7", "data": {"agent_id": "7", "reason": "x"}}"#,
    );
    let send = || {
        let args = [
            "send",
            "in",
            "--file",
            &event,
            "--really",
            "--destinations",
            &destinations,
            "--fields",
            &fields,
        ];
        run_in(dir.path(), &args, "")
    };
    let taken = send();
    assert_eq!(taken.status.code(), Some(0), "{}", errors(&taken));
    let said = text(&taken);
    assert!(said.contains("{\"reason\":\"x\"}"), "{said}");
    assert!(said.contains("answer: 201\n"), "{said}");
    assert!(said.contains("\"taken\": true"), "{said}");
    assert!(said.ends_with("verdict: delivered\n"), "{said}");
    let refused = send();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("answer: 422\n"));
    assert!(errors(&refused).contains("rejected: answered 422"));
    vendor.join().unwrap();
    // Nobody listens any more.
    let gone = send();
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone).contains("no answer: cannot connect"));
}

fn shipped(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    file.join(name).display().to_string()
}
