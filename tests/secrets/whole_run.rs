//! A whole run of the program with every kind of credential there is, against vendors that refuse, fail and repeat what
//! they were shown; afterwards nothing it wrote, said or stored holds any of them (S1.10).

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Output},
    time::{Duration, Instant},
};

use aftercall::{
    sandbox::{call::Vendor, ledger::Filter},
    sinks::secret::LOOK_EVERY,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    planted::Planted,
    program::{errors, survey, text},
    world::{REFUSING, SHUT_OUT, World},
};

#[test]
fn s1_10_a_whole_run_shows_none_of_its_secrets_and_takes_a_new_one_without_restart() {
    let world = World::new();
    let mut service = world.start();
    world.until("readiness", || {
        service.get("/readyz").starts_with("HTTP/1.1 200")
    });

    service.post(&world, &survey("r1", 1));
    world.until("letters of all that refuse", || {
        world.letters() == REFUSING.map(|(name, reason)| (name.to_owned(), reason.to_owned()))
    });
    world.until("what the others take", || world.taken() == [1, 1, 1]);
    world.until("word of all that do not let us in", || {
        let ready = service.get("/readyz");
        SHUT_OUT.iter().all(|name| ready.contains(name))
    });
    assert_eq!(
        world
            .echo
            .seen(&["/rotating", &world.secret("rotating-1").value]),
        1
    );
    world.were_used();

    // Both exchanged: a vendor that refuses the old one at once, and one whose signatures are checked.
    let pid = service.process.id();
    for name in ["rotating", "signed-sandbox"] {
        fs::copy(world.file(&format!("{name}-2")), world.file(name)).unwrap();
    }
    world.echo.accept(&world.secret("rotating-2").value);
    let hooks = json!({"secret": world.secret("signed-sandbox-2").value});
    world
        .sandbox
        .sandbox
        .control("/control/hooks", &hooks)
        .unwrap();
    std::thread::sleep(LOOK_EVERY);
    service.post(&world, &survey("r2", 1));
    world.until("what is taken under the new secrets", || {
        world.taken() == [2, 2, 2]
    });
    assert_eq!(
        world
            .echo
            .seen(&["/rotating", &world.secret("rotating-2").value]),
        1
    );
    assert_eq!(service.process.id(), pid);
    assert!(
        matches!(service.process.try_wait(), Ok(None)),
        "it has ended"
    );

    let metrics = service.get("/metrics");
    let outputs: f64 = metrics
        .lines()
        .filter(|line| line.starts_with("aftercall_outputs_total{"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum();
    let count = outputs.to_string();
    world.search("/metrics", &metrics);
    world.search("/readyz", &service.get("/readyz"));

    for args in [
        &["dead", "ls", "--json", "--dir", "data"][..],
        &["dead", "ls", "--dir", "data"],
        &[
            "tap", "--from", "start", "--json", "--count", &count, "--dir", "data",
        ],
        &["tap", "--from", "start", "--count", &count, "--dir", "data"],
    ] {
        let shown = world.done(args);
        assert!(shown.contains("r1"), "{args:?}: {shown}");
    }
    for id in world.letter_ids() {
        let shown = world.done(&["dead", "show", &id, "--dir", "data"]);
        assert!(shown.contains("r1") || shown.contains("r2"), "{shown}");
        world.done(&["dead", "show", &id, "--json", "--dir", "data"]);
    }
    let files = [
        "--destinations",
        "destinations.toml",
        "--fields",
        "fields.toml",
    ];
    for args in [&["check"][..], &["check", "--json"]] {
        let said = world.done(&[args, &files].concat());
        assert!(said.contains("destinations.toml"), "{said}");
    }
    for name in REFUSING.iter().map(|(name, _)| name).chain(&SHUT_OUT) {
        let shown = world.run(&[&["send", name], &files[..]].concat(), "");
        assert!(shown.status.success(), "{name}: {}", errors(&shown));
        let sent = world.run(&[&["send", name, "--really"], &files[..]].concat(), "");
        assert_eq!(sent.status.code(), Some(1), "{name}: {}", text(&sent));
    }
    let input = r#"{"agent_id": "agent-0417", "rule": "low"}"#;
    let fields = world.run(
        &[
            "fields",
            "bearer",
            "--type",
            "alert.raised",
            "--fields",
            "fields.toml",
        ],
        input,
    );
    assert!(fields.status.success(), "{}", errors(&fields));

    service.stop();
    let said = fs::read_to_string(world.path("stderr")).unwrap();
    assert!(said.contains("TRACE"), "everything is to be logged: {said}");
    world.search("what the service said", &said);
    world.nothing_stored();
}

impl World {
    fn start(&self) -> Service {
        let stderr = fs::File::create(self.path("stderr")).unwrap();
        let args = [
            "run",
            "--config",
            "aftercall.toml",
            "--listen",
            "127.0.0.1:0",
            "--dir",
            "data",
        ];
        let process = self.command(&args).stderr(stderr).spawn().unwrap();
        let mut service = Service {
            process,
            address: String::new(),
        };
        self.until("the address", || {
            let said = fs::read_to_string(self.path("stderr")).unwrap();
            let address = said
                .lines()
                .find_map(|line| line.split_once("http listens address="));
            address.is_some_and(|(_, address)| {
                address.trim().clone_into(&mut service.address);
                true
            })
        });
        service
    }

    /// Runs a command, which may show no secret, whatever comes of it.
    fn run(&self, args: &[&str], input: &str) -> Output {
        let mut child = self.command(args).spawn().unwrap();
        // A command that reads nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        self.search(&format!("stdout of {args:?}"), &text(&output));
        self.search(&format!("stderr of {args:?}"), &errors(&output));
        output
    }

    fn done(&self, args: &[&str]) -> String {
        let output = self.run(args, "");
        assert!(output.status.success(), "{args:?}: {}", errors(&output));
        text(&output)
    }

    fn dead(&self) -> Vec<Value> {
        let list = self.done(&["dead", "ls", "--json", "--dir", "data"]);
        list.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Destinations with a letter and their reasons, each once.
    fn letters(&self) -> Vec<(String, String)> {
        let word = |letter: &Value, key: &str| letter[key].as_str().unwrap().to_owned();
        let mut found: Vec<_> = self
            .dead()
            .iter()
            .map(|letter| (word(letter, "where"), word(letter, "reason")))
            .collect();
        found.sort();
        found.dedup();
        found
    }

    fn letter_ids(&self) -> Vec<String> {
        self.dead()
            .iter()
            .map(|letter| letter["id"].to_string())
            .collect()
    }

    /// How many outputs were taken by `rotating`, by the sandbox' hooks, and by its mail server.
    fn taken(&self) -> [usize; 3] {
        let by = |vendor| {
            let filter = Filter {
                vendor: Some(vendor),
                executed: Some(true),
                ..Filter::default()
            };
            self.sandbox.sandbox.entries(&filter).len()
        };
        let rotating = ["rotating-1", "rotating-2"]
            .map(|name| self.echo.seen(&["/rotating", &self.secret(name).value]));
        [rotating.iter().sum(), by(Vendor::Hooks), by(Vendor::Mail)]
    }

    /// A secret that nobody used would prove nothing by its absence.
    fn were_used(&self) {
        let value = |name| self.secret(name).value.as_str();
        let basic =
            |user, password| BASE64_STANDARD.encode(format!("{}:{}", value(user), value(password)));
        let login = format!("\0{}\0{}", value("mail-user"), value("mail-password"));
        for (name, parts) in [
            ("bearer", vec!["POST /bearer ", value("bearer")]),
            ("basic", vec!["/401 ", &basic("user", "password")]),
            ("token", vec!["/token ", &basic("oauth-id", "oauth-secret")]),
            (
                "token in a body",
                vec!["/token/none ", value("oauth-secret")],
            ),
            ("oauth", vec!["/403 ", value("access-token")]),
            ("header", vec!["/header ", value("header")]),
            ("signed", vec!["/signed ", "webhook-signature: v1,"]),
            ("hook", vec![&Planted::new("hook-teams").value]),
            ("lookup", vec!["GET /people/401 ", value("lookup")]),
            ("mail", vec!["AUTH PLAIN ", &BASE64_STANDARD.encode(login)]),
        ] {
            assert!(self.echo.seen(&parts) > 0, "{name} was not used");
        }
    }

    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let since = Instant::now();
        while !holds() {
            let patience = since.elapsed() < Duration::from_secs(60);
            assert!(
                patience,
                "waited in vain for {what}: {:?} {:?}",
                self.letters(),
                self.taken()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The running program. Ends with the test.
struct Service {
    process: Child,
    address: String,
}

impl Service {
    fn get(&self, path: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
        ))
    }

    fn post(&self, world: &World, event: &str) {
        let answer = self.ask(&format!(
            "POST /v1/events HTTP/1.1\r\nHost: t\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/cloudevents+json\r\nContent-Length: {}\r\n\r\n{event}",
            world.tokens.value,
            event.len()
        ));
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
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

    fn stop(&mut self) {
        let id = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Gone already, if it was stopped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
