//! `aftercall run`, fed by `publish` and by HTTP, looked at with `tap` and over HTTP, stopped by a signal.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    nats::Nats,
    program::{command, errors, run_in, survey, wait_for},
};

#[test]
fn s2_04_on_the_embedded_log_surveys_become_alerts_once_each() {
    let dir = tempfile::tempdir().unwrap();
    surveys_become_alerts(dir.path(), &["--dir", "data"]);
}

#[test]
fn s2_04_on_a_real_nats_server_surveys_become_alerts_once_each() {
    let dir = tempfile::tempdir().unwrap();
    let server = Nats::start();
    surveys_become_alerts(dir.path(), &["--nats", &server.url()]);
}

/// Feeds the service by file and by HTTP, restarts it in between, and counts what came out.
fn surveys_become_alerts(dir: &Path, log: &[&str]) {
    let run = [&["run", "--listen", "127.0.0.1:0"], log].concat();
    let service = Service::start(dir, &run);
    let input = format!("{}\n{}\n", survey("r1", 2), survey("r2", 3));
    let published = run_in(dir, &[&["publish", "-"], log].concat(), &input);
    assert!(published.status.success(), "{}", errors(&published));
    assert_eq!(alerts(dir, log, 1), ["r1"]);

    wait_for("readiness", || {
        service.get("/readyz").starts_with("HTTP/1.1 200")
    });
    let metrics = service.get("/metrics");
    assert!(
        metrics.contains("aftercall_outputs_total{kind=\"alert\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("aftercall_stopped_partitions 0"),
        "{metrics}"
    );
    assert!(
        metrics.contains("aftercall_quarantined_total{reason=\"not_json\"} 0"),
        "{metrics}"
    );
    // What is out is no backlog, also when nothing comes after it.
    wait_for("an empty backlog", || {
        let metrics = service.get("/metrics");
        let mut lines = metrics
            .lines()
            .filter(|line| line.starts_with("aftercall_relay_backlog_outputs"))
            .peekable();
        lines.peek().is_some() && lines.all(|line| line.ends_with(" 0"))
    });
    service.stop();

    let service = Service::start(dir, &run);
    let refused = service.post("wrong", &survey("r3", 1));
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let taken = service.post(TOKEN, &survey("r4", 1));
    assert!(taken.starts_with("HTTP/1.1 202"), "{taken}");
    let again = service.post(TOKEN, &survey("r1", 2));
    assert!(again.starts_with("HTTP/1.1 202"), "{again}");
    let taken = service.post(TOKEN, &survey("r5", 1));
    assert!(taken.starts_with("HTTP/1.1 202"), "{taken}");
    assert_eq!(alerts(dir, log, 3), ["r1", "r4", "r5"]);
    service.stop();
}

#[test]
fn a_second_service_on_one_directory_is_refused_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let run = ["run", "--listen", "127.0.0.1:0", "--dir", "data"];
    let service = Service::start(dir.path(), &run);
    let refused = run_in(dir.path(), &run, "");
    assert_eq!(refused.status.code(), Some(1));
    let told = errors(&refused);
    let owner = format!("another aftercall (process {})", service.process.id());
    assert!(
        told.contains(&owner) && told.contains("--dir"),
        "{told}, {owner}"
    );
    wait_for("readiness of the first", || {
        service.get("/readyz").starts_with("HTTP/1.1 200")
    });
    // A crash leaves the file, not the claim.
    drop(service);
    Service::start(dir.path(), &run).stop();
}

#[test]
fn a_changed_rule_file_takes_effect_and_a_bad_one_is_refused_while_the_old_stays() {
    let dir = tempfile::tempdir().unwrap();
    let rules = |below: u8| {
        format!(
            "[[rule]]\nname = \"low\"\non = \"survey.response.created\"\nwhen = \"event.csat < {below}\"\n\
             alert = {{ severity = \"warning\" }}\n"
        )
    };
    let file = dir.path().join("rules.toml");
    let log = ["--dir", "data"];
    fs::write(&file, rules(3)).unwrap();
    let service = Service::start(
        dir.path(),
        &[
            "run",
            "--listen",
            "127.0.0.1:0",
            "--dir",
            "data",
            "--rules",
            "rules.toml",
        ],
    );
    assert!(
        service
            .post(TOKEN, &survey("before", 4))
            .starts_with("HTTP/1.1 202")
    );
    assert!(
        service
            .post(TOKEN, &survey("low", 2))
            .starts_with("HTTP/1.1 202")
    );
    assert_eq!(alerts(dir.path(), &log, 1), ["low"]);

    let refused = "aftercall_rule_files_refused_total";
    fs::write(&file, "[[rule]]\nname = \"broken\"\n").unwrap();
    wait_for("the refusal", || {
        service.get("/metrics").contains(&format!("{refused} 1\n"))
    });
    assert!(
        service
            .post(TOKEN, &survey("still-old", 4))
            .starts_with("HTTP/1.1 202")
    );
    assert!(service.get("/readyz").starts_with("HTTP/1.1 200"));

    fs::write(&file, rules(5)).unwrap();
    // In force from its position on: a survey that comes after it is judged by it.
    wait_for("the new rules", || {
        let id = format!("probe-{}", std::process::id());
        let tries = service.sent.get();
        assert!(
            service
                .post(TOKEN, &survey(&format!("{id}-{tries}"), 4))
                .starts_with("HTTP/1.1 202")
        );
        !service.get("/metrics").contains(
            "aftercall_outputs_total{kind=\"alert\"} 1
",
        )
    });
    assert_eq!(
        alerts(dir.path(), &log, 1),
        ["low"],
        "what came before keeps its verdict"
    );
    service.stop();
}

#[test]
fn a_clean_stop_leaves_the_embedded_log_whole_in_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start(
        dir.path(),
        &["run", "--listen", "127.0.0.1:0", "--dir", "data"],
    );
    for number in 0..50 {
        let taken = service.post(TOKEN, &survey(&format!("r{number}"), 1));
        assert!(taken.starts_with("HTTP/1.1 202"), "{taken}");
    }
    service.stop();
    let wal = dir.path().join("data/aftercall.db-wal");
    let left = fs::metadata(wal).map_or(0, |found| found.len());
    assert_eq!(left, 0, "bytes of the write-ahead log");
    // The one file, moved elsewhere, has everything.
    let moved = dir.path().join("moved");
    fs::create_dir(&moved).unwrap();
    fs::copy(
        dir.path().join("data/aftercall.db"),
        moved.join("aftercall.db"),
    )
    .unwrap();
    let tap = [
        "tap", "--dir", "moved", "--kind", "alert", "--from", "start", "--count", "50",
    ];
    let tapped = run_in(dir.path(), &tap, "");
    assert_eq!(String::from_utf8_lossy(&tapped.stdout).lines().count(), 50);
}

#[test]
fn sighup_has_watched_files_looked_at_and_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (kim, other) = ("token-of-kim-for-the-tests", "token-of-lee-for-the-tests");
    fs::write(dir.path().join("tokens"), format!("kim ingest {kim}\n")).unwrap();
    fs::write(
        dir.path().join("a.toml"),
        "[http]\ntoken_file = \"tokens\"\n",
    )
    .unwrap();
    let run = [
        "run",
        "--listen",
        "127.0.0.1:0",
        "--dir",
        "data",
        "--config",
        "a.toml",
    ];
    let mut service = Service::start(dir.path(), &run);
    fs::write(
        dir.path().join("tokens"),
        format!("kim ingest {kim}\nlee ingest {other}\n"),
    )
    .unwrap();
    let id = service.process.id().to_string();
    for _ in 0..3 {
        let sent = Command::new("kill").args(["-HUP", &id]).status().unwrap();
        assert!(sent.success());
    }
    wait_for("the new token", || {
        service
            .post(other, &survey("r1", 5))
            .starts_with("HTTP/1.1 202")
    });
    assert!(service.process.try_wait().unwrap().is_none(), "it goes on");
    service.stop();
}

#[test]
fn with_few_descriptors_new_connections_are_refused_and_files_and_log_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let rules = "[[rule]]\nname = \"low\"\non = \"survey.response.created\"\nwhen = \"event.csat < 3\"\n\
                 alert = { severity = \"warning\" }\n";
    fs::write(dir.path().join("rules.toml"), rules).unwrap();
    let program = env!("CARGO_BIN_EXE_aftercall");
    let script = format!(
        "ulimit -n 96 && exec {program} run --listen 127.0.0.1:0 --dir data --rules rules.toml"
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(dir.path());
    let service = Service::of(&mut shell);
    wait_for("readiness", || {
        service.get("/readyz").starts_with("HTTP/1.1 200")
    });

    let mut first = TcpStream::connect(&service.address).unwrap();
    first
        .write_all(b"GET /livez HTTP/1.1\r\nHost: t\r\n\r\n")
        .unwrap();
    // It is in before the others come.
    let mut begun = [0; 12];
    first.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    let mut held = vec![first];
    for _ in 0..200 {
        held.push(TcpStream::connect(&service.address).unwrap());
    }
    // Those that were not let in hear so.
    let mut refused = held.pop().unwrap();
    refused
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let mut answer = String::new();
    // A reset is as good.
    let _ = refused.read_to_string(&mut answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 503"),
        "{answer}"
    );

    // The log is written and its files are opened: by the connection that is in, and by a rule file that changes.
    fs::write(dir.path().join("rules.toml"), rules.replace("< 3", "< 5")).unwrap();
    let stream = &mut held[0];
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let event = survey("r1", 2);
    write!(
        stream,
        "POST /v1/events HTTP/1.1\r\nHost: t\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/cloudevents+json\r\nContent-Length: {}\r\n\r\n{event}",
        event.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("HTTP/1.1 202"), "{answer}");
    assert_eq!(alerts(dir.path(), &["--dir", "data"], 1), ["r1"]);
    drop(held);
    wait_for("the changed rules", || {
        let id = format!("probe-{}", service.sent.get());
        let taken = service.post(TOKEN, &survey(&id, 4));
        assert!(taken.starts_with("HTTP/1.1 202"), "{taken}");
        !service
            .get("/metrics")
            .contains("aftercall_outputs_total{kind=\"alert\"} 1\n")
    });
    service.stop();
}

#[test]
fn rules_that_are_more_than_the_log_takes_are_found_by_check_refused_at_a_start_and_counted_while_running()
 {
    let dir = tempfile::tempdir().unwrap();
    let rules = |filling: usize| {
        format!(
            "# {}\n[[rule]]\nname = \"low\"\non = \"survey.response.created\"\nwhen = \"event.csat < 3\"\n\
             alert = {{ severity = \"warning\" }}\n",
            // A quotation mark is two bytes as JSON: the file itself is smaller than what the log takes.
            "\"".repeat(filling)
        )
    };
    let file = dir.path().join("rules.toml");
    fs::write(&file, rules(131_000)).unwrap();
    assert!(fs::metadata(&file).unwrap().len() < 140_000);
    let check = run_in(dir.path(), &["check", "--rules", "rules.toml"], "");
    assert_eq!(check.status.code(), Some(2));
    let said = errors(&check);
    let words = "rules.toml: the event that sets these rules in force has 262";
    assert!(
        said.contains(words) && said.contains("the log takes 261120"),
        "{said}"
    );
    let run = [
        "run",
        "--listen",
        "127.0.0.1:0",
        "--dir",
        "data",
        "--rules",
        "rules.toml",
    ];
    let refused = run_in(dir.path(), &run, "");
    assert_eq!(refused.status.code(), Some(2), "{}", errors(&refused));
    assert!(errors(&refused).contains(words));

    fs::write(&file, rules(1)).unwrap();
    let service = Service::start(dir.path(), &run);
    fs::write(&file, rules(140_000)).unwrap();
    let count = || {
        service
            .get("/metrics")
            .contains("aftercall_rule_files_refused_total 1\n")
    };
    wait_for("the refusal", count);
    std::thread::sleep(Duration::from_secs(3));
    assert!(count(), "once, and not each second");
    service.stop();
}

#[test]
fn broken_requests_of_strangers_cost_a_counter_and_no_line_each() {
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_aftercall");
    let script =
        format!("exec {program} run --listen 127.0.0.1:0 --dir data 2> >(tee run.log >&2)");
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(dir.path());
    let service = Service::of(&mut shell);
    let lines = || {
        fs::read_to_string(dir.path().join("run.log"))
            .unwrap()
            .lines()
            .count()
    };
    wait_for("readiness", || {
        service.get("/readyz").starts_with("HTTP/1.1 200")
    });
    let before = lines();
    for number in 0..300 {
        let broken = match number % 3 {
            0 => "\0\0\0\r\n\r\n",
            1 => "GET /livez HTTP/1.1\nHost: t\n\n",
            _ => "POST /v1/events HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n",
        };
        let answer = service.ask(broken);
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let counted = "aftercall_http_broken_requests_total 300\n";
    assert!(
        service.get("/metrics").contains(counted),
        "{}",
        service.get("/metrics")
    );
    assert!(
        lines() <= before + 2,
        "{}",
        fs::read_to_string(dir.path().join("run.log")).unwrap()
    );
    service.stop();
}

const TOKEN: &str = "a token of the tests";

/// A running service. Ends with the test that started it.
pub struct Service {
    process: Child,
    address: String,
    sent: std::cell::Cell<u32>,
}

impl Service {
    pub fn start(dir: &Path, args: &[&str]) -> Self {
        Self::of(&mut command(dir, args))
    }

    /// What this command starts.
    fn of(command: &mut Command) -> Self {
        let mut process = command
            .env("AFTERCALL_TOKENS", format!("another one of them,{TOKEN}"))
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        let address = lines.by_ref().map(|line| line.unwrap()).find_map(|line| {
            seen.push_str(&line);
            seen.push('\n');
            let (_, address) = line.split_once("http listens address=")?;
            Some(address.trim().to_owned())
        });
        let address = address.unwrap_or_else(|| panic!("the service did not start:\n{seen}"));
        // Its log goes on being read, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            address,
            sent: std::cell::Cell::new(0),
        }
    }

    pub fn get(&self, path: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
        ))
    }

    fn post(&self, token: &str, event: &str) -> String {
        self.sent.set(self.sent.get() + 1);
        self.ask(&format!(
            "POST /v1/events HTTP/1.1\r\nHost: t\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/cloudevents+json\r\nContent-Length: {}\r\n\r\n{event}",
            event.len()
        ))
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// As a supervisor of processes does it.
    pub fn stop(mut self) {
        let asked = Instant::now();
        let id = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        let status = self.process.wait().unwrap();
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{:?}",
            asked.elapsed()
        );
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Gone already, if it was stopped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The response ids of the alerts in the log, as `tap` shows them from the start, sorted; waits for `count`.
fn alerts(dir: &Path, log: &[&str], count: usize) -> Vec<String> {
    let count = count.to_string();
    let args = [
        "tap", "--kind", "alert", "--from", "start", "--count", &count, "--json",
    ];
    let tap = run_in(dir, &[&args, log].concat(), "");
    assert!(tap.status.success(), "{}", errors(&tap));
    let mut ids: Vec<String> = tap
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice::<Value>(line).unwrap())
        .map(|alert| {
            assert_eq!(alert["type"], "alert.raised");
            alert["data"]["response_id"].as_str().unwrap().to_owned()
        })
        .collect();
    ids.sort_unstable();
    ids
}
