//! The program under test, run as its users run it, with nothing of the environment of whoever runs the tests.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

pub fn run(args: &[&str]) -> Output {
    run_in(Path::new("."), args, "")
}

pub fn done(args: &[&str]) -> Output {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", errors(&output));
    output
}

pub fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aftercall"));
    command
        .args(args)
        .current_dir(dir)
        .env_remove("AFTERCALL_NATS")
        .env_remove("AFTERCALL_CONFIG")
        .env_remove("AFTERCALL_TOKENS")
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub fn start_in(dir: &Path, args: &[&str]) -> Child {
    command(dir, args).spawn().unwrap()
}

pub fn run_in(dir: &Path, args: &[&str], input: &str) -> Output {
    let mut child = start_in(dir, args);
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

pub fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn survey(id: &str, csat: u8) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"tests","type":"survey.response.created","data":{{"response_id":"{id}","interaction_id":"i-{id}","submitted_at":"2026-11-20T08:30:00Z","csat":{csat},"routing":{{"agent_id":"a1","queue_id":"q1"}}}}}}"#
    )
}
