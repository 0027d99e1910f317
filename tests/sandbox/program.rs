//! The command: what it prints, that it answers, and that it ends when told.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aftercall::sandbox::TOKEN;

use super::wire::{PATIENCE, client};

/// Ends with the test, whatever becomes of it.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(arguments: &[&str]) -> (Program, Vec<String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .arg("sandbox")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    let stdout = child.stdout.take().expect("piped");
    let program = Program(child);
    let mut printed = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.expect("text");
        let is_last = line.contains("Ctrl-C ends");
        printed.push(line);
        if is_last {
            break;
        }
    }
    (program, printed)
}

fn url(printed: &[String], name: &str) -> String {
    let line = printed.iter().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {printed:?}"));
    line.rsplit(' ').next().expect("an address").to_owned()
}

#[tokio::test]
async fn the_command_prints_addresses_that_answer_and_ends_when_interrupted() {
    let (mut program, printed) = start(&["--latency", "1ms", "--token", "mine"]);
    let client = client(PATIENCE);
    let crm = format!("{}/v1/customers", url(&printed, "crm"));
    let status = async |token: &str| {
        let answer = client.get(&crm).bearer_auth(token).send().await;
        answer.expect("an answer").status().as_u16()
    };
    assert_eq!((status("mine").await, status(TOKEN).await), (200, 401));
    let ledger = client.get(url(&printed, "ledger")).send().await;
    let ledger = ledger.expect("an answer").text().await.expect("a text");
    assert!(ledger.contains("\"calls\":2"), "{ledger}");
    assert!(printed.iter().any(|line| line.contains("/control/faults")));
    let id = program.0.id().to_string();
    let told = Command::new("kill").args(["-INT", &id]).status();
    assert!(told.expect("kill").success());
    let ended = program.0.wait().expect("its end");
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn a_port_that_is_taken_is_said_and_starts_nothing() {
    let (_first, printed) = start(&[]);
    let address = url(&printed, "crm");
    let address = address
        .trim_start_matches("http://")
        .trim_end_matches("/crm");
    let second = Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .args(["sandbox", "--listen", address])
        .output()
        .expect("the program");
    assert_eq!(second.status.code(), Some(2));
    let told = String::from_utf8_lossy(&second.stderr);
    assert!(told.contains(address), "{told}");
}

/// A run with many timeouts must not use up the descriptors: what hangs goes with its client.
#[cfg(target_os = "linux")]
#[test]
fn what_hangs_is_freed_when_its_client_goes_away() {
    let (program, printed) = start(&[]);
    let address = url(&printed, "crm");
    let address = address
        .trim_start_matches("http://")
        .trim_end_matches("/crm");
    let open = || {
        let folder = format!("/proc/{}/fd", program.0.id());
        std::fs::read_dir(folder).expect("a process").count()
    };
    let before = open();
    let request = "GET /crm/v1/customers HTTP/1.1\r\nhost: x\r\nx-sandbox-fault: hang\r\n\r\n";
    let clients: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut client = TcpStream::connect(address).expect("a connection");
            client.write_all(request.as_bytes()).expect("sent");
            client
        })
        .collect();
    // Two descriptors a connection, and a few that the server opens with its first one.
    wait_until(|| open() >= before + 100);
    drop(clients);
    wait_until(|| open() < before + 50);
}

#[cfg(target_os = "linux")]
fn wait_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
