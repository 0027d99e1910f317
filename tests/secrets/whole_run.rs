//! A whole run of the program with every kind of credential there is, against vendors that refuse, fail and repeat what
//! they were shown; afterwards nothing it wrote, said or stored holds any of them (S1.10).

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command},
    time::{Duration, Instant},
};

use aftercall::sandbox::{
    self, Settings,
    call::Vendor,
    faults::{Fault, Rule},
    ledger::Filter,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    echo::Echo,
    planted::Planted,
    program::{command, errors, survey, text, write},
};

/// Destinations that refuse what they get, and what their letters say of the reason.
const REFUSING: [(&str, &str); 12] = [
    ("basic", "rejected"),
    ("bearer", "rejected"),
    ("bearer-500", "failed"),
    ("header", "rejected"),
    ("hook-slack", "failed"),
    ("hook-teams", "rejected"),
    ("mail", "rejected"),
    ("mail-login", "failed"),
    ("oauth", "rejected"),
    ("oauth-none", "failed"),
    ("sandbox-crm", "rejected"),
    ("signed", "rejected"),
];

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
    std::thread::sleep(aftercall::deliver::secret::LOOK_EVERY);
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
    for (name, _) in REFUSING {
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

/// Vendors, configuration and secrets of the run.
struct World {
    dir: tempfile::TempDir,
    echo: Echo,
    sandbox: sandbox::Spawned,
    /// By their name; each stands in a file of that name and in a variable `PLANTED_NAME`.
    secrets: Vec<(&'static str, Planted)>,
    /// Other forms of them that must not show either.
    derived: Vec<Planted>,
    tokens: Planted,
}

impl World {
    fn new() -> Self {
        let closed = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let signing = |text: &str| Planted::of(format!("whsec_{}", BASE64_STANDARD.encode(text)));
        let mut secrets: Vec<(&'static str, Planted)> = [
            "bearer",
            "user",
            "password",
            "oauth-id",
            "oauth-secret",
            "access-token",
            "header",
            "lookup",
            "rotating-1",
            "rotating-2",
            "mail-user",
            "mail-password",
            "sandbox-secret",
        ]
        .map(|name| (name, Planted::new(name)))
        .into();
        let echo = Echo::start(
            &found(&secrets, "rotating-1").value,
            &found(&secrets, "access-token").value,
        );
        let keys = ["signed-1", "signed-sandbox-1", "signed-sandbox-2"];
        let key = |name: &str| format!("planted-{name}-q8Zr4Tn1Xw6Kp3Vb");
        secrets.extend(keys.map(|name| (name, signing(&key(name)))));
        let hooks = [("hook-teams", echo.http), ("hook-slack", closed)];
        secrets.extend(hooks.map(|(name, address)| {
            let path = Planted::new(name).value;
            (
                name,
                Planted::of(format!("http://{address}/hooks/{path}?sig={path}")),
            )
        }));
        let hash = BASE64_STANDARD.encode("planted-hash-key-of-32-bytes-q8Z");
        secrets.push(("hash-key", Planted::of(hash)));
        let mut derived: Vec<Planted> = keys.map(|name| Planted::of(key(name))).into();
        derived.extend(hooks.map(|(name, _)| Planted::new(name)));

        let settings = Settings {
            client_secret: found(&secrets, "sandbox-secret").value.clone(),
            webhook_secret: found(&secrets, "signed-sandbox-1").value.clone(),
            has_limits: false,
            ..Settings::default()
        };
        let sandbox = sandbox::spawn(SocketAddr::from(([127, 0, 0, 1], 0)), settings).unwrap();
        // The survey vendor refuses whatever comes, and the coaching system the first of all.
        let rule = |vendor, status| {
            Rule::always(
                vendor,
                Fault::Status {
                    status,
                    retry_after: None,
                },
            )
        };
        sandbox.sandbox.add_fault(rule(Vendor::Crm, 401)).unwrap();
        let first = Rule {
            count: Some(1),
            ..rule(Vendor::Hooks, 503)
        };
        sandbox.sandbox.add_fault(first).unwrap();

        let world = Self {
            dir: tempfile::tempdir().unwrap(),
            echo,
            sandbox,
            secrets,
            derived,
            tokens: Planted::new("http-token"),
        };
        fs::create_dir(world.path("secrets")).unwrap();
        for (name, planted) in &world.secrets {
            fs::write(world.file(name), format!("{}\n", planted.value)).unwrap();
        }
        for name in ["rotating", "signed-sandbox"] {
            fs::copy(world.file(&format!("{name}-1")), world.file(name)).unwrap();
        }
        write(world.dir.path(), "destinations.toml", &world.destinations());
        write(world.dir.path(), "fields.toml", &world.fields());
        write(
            world.dir.path(),
            "aftercall.toml",
            "[deliver]\ndestinations = \"destinations.toml\"\nfields = \"fields.toml\"\n",
        );
        world
    }

    fn destinations(&self) -> String {
        let Echo { http, smtp, .. } = &self.echo;
        let http_entry = |name: &str, path: &str, more: &str| {
            (
                name.to_owned(),
                format!("channel = \"http\"\nurl = \"http://{http}{path}\"\n{more}"),
            )
        };
        let file = |name: &str| format!("file:{}", self.file(name).display());
        let mail = format!(
            "channel = \"email\"\nsmtp = \"smtp://{smtp}\"\nstarttls = \"off\"\nfrom = \"a@example.com\"\n\
             to = \"b@example.com\"\nauth = {{ kind = \"basic\", user = \"env:PLANTED_MAIL_USER\", password = \"{}\" }}",
            file("mail-password")
        );
        let entries = [
            http_entry("bearer", "/bearer", "auth = { kind = \"bearer\", token = \"env:PLANTED_BEARER\" }\n\
                outcome = { event = \"alert.outcome\", status = \"status == 400 ? 'rejected' : 'failed'\", response = \"{'said': body, 'headers': headers}\" }"),
            http_entry("bearer-500", "/500", "auth = { kind = \"bearer\", token = \"env:PLANTED_BEARER\" }"),
            http_entry("basic", "/401", &format!("auth = {{ kind = \"basic\", user = \"env:PLANTED_USER\", password = \"{}\" }}", file("password"))),
            http_entry("oauth", "/403", &format!("auth = {{ kind = \"oauth2\", token_url = \"http://{http}/token\", client_id = \"env:PLANTED_OAUTH_ID\", client_secret = \"{}\" }}", file("oauth-secret"))),
            http_entry("oauth-none", "/oauth", &format!("auth = {{ kind = \"oauth2\", token_url = \"http://{http}/token/none\", client_id = \"env:PLANTED_OAUTH_ID\", client_secret = \"{}\", credentials_in = \"body\" }}", file("oauth-secret"))),
            http_entry("header", "/header", "headers = { X-Api-Key = \"env:PLANTED_HEADER\" }"),
            http_entry("signed", "/signed", "auth = { kind = \"standard_webhooks\", secret = \"env:PLANTED_SIGNED_1\" }"),
            http_entry("rotating", "/rotating", &format!("auth = {{ kind = \"bearer\", token = \"{}\" }}", file("rotating"))),
            ("hook-teams".to_owned(), format!("channel = \"teams\"\nurl = \"{}\"", file("hook-teams"))),
            ("hook-slack".to_owned(), "channel = \"slack_webhook\"\nurl = \"env:PLANTED_HOOK_SLACK\"\nlimit = { rate = \"unlimited\" }".to_owned()),
            ("mail".to_owned(), mail.clone()),
            (
                "mail-login".to_owned(),
                mail.replace("env:PLANTED_MAIL_USER", "nobody"),
            ),
            ("sandbox-crm".to_owned(), format!(
                "channel = \"http\"\nmethod = \"PUT\"\nurl = \"{}/v1/customers/x\"\nauth = {{ kind = \"oauth2\", token_url = \"{}/token\", client_id = \"aftercall\", client_secret = \"{}\" }}",
                self.sandbox.url(Vendor::Crm), self.sandbox.url(Vendor::Oauth), file("sandbox-secret"))),
            ("sandbox-signed".to_owned(), format!(
                "channel = \"http\"\nurl = \"{}/in\"\nauth = {{ kind = \"standard_webhooks\", secret = \"{}\" }}",
                self.sandbox.url(Vendor::Hooks), file("signed-sandbox"))),
            ("sandbox-mail".to_owned(), format!(
                "channel = \"email\"\nsmtp = \"smtp://{}\"\nstarttls = \"off\"\nfrom = \"a@example.com\"",
                self.sandbox.smtp)),
        ];
        let mut text = format!(
            "[[recipient]]\nurl = \"http://{http}/people/401\"\nauth = {{ kind = \"bearer\", token = \"env:PLANTED_LOOKUP\" }}\npeople = \"body\"\n\
             [[recipient]]\npeople = \"[{{'name': 'N', 'email': 'n@example.com', 'slack': null}}]\"\n"
        );
        for (name, more) in entries {
            text.push_str(&format!(
                "[[destination]]\nname = \"{name}\"\non = [\"alert.raised\"]\nwhen = \"data.rule != 'dead_letters'\"\ntimeout = {{ connect = \"1s\", total = \"2s\" }}\n\
                 retry = {{ attempts = 2, first = \"10ms\", max = \"20ms\", deadline = \"60s\" }}\n\
                 breaker = {{ failures = 1000, within = \"10s\", open = \"10s\" }}\n{more}\n"
            ));
        }
        text
    }

    fn fields(&self) -> String {
        let names = REFUSING.map(|(name, _)| name);
        let mut text = "[keys]\nhash = \"env:PLANTED_HASH_KEY\"\n".to_owned();
        for name in names
            .iter()
            .chain(&["rotating", "sandbox-signed", "sandbox-mail"])
        {
            text.push_str(&format!("[destination.{name}]\nagent_id = \"hash\"\nrule = \"plain\"\nalert_id = \"plain\"\n"));
        }
        text
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path("secrets").join(name)
    }

    fn secret(&self, name: &str) -> &Planted {
        found(&self.secrets, name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = command(self.dir.path(), args);
        command
            .env("RUST_LOG", "trace")
            .env("AFTERCALL_TOKENS", &self.tokens.value);
        for (name, planted) in &self.secrets {
            let name = format!("PLANTED_{}", name.replace('-', "_").to_uppercase());
            command.env(name, &planted.value);
        }
        command
    }

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
    fn run(&self, args: &[&str], input: &str) -> std::process::Output {
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

    /// Fails if `text` holds any of them.
    fn search(&self, what: &str, text: &str) {
        for planted in self.all() {
            planted.is_absent_from(what, text);
        }
    }

    /// Fails if a file holds any of them, but for the files that they were put in.
    fn nothing_stored(&self) {
        let log = fs::read_dir(self.path("data")).unwrap();
        let log: Vec<u8> = log
            .flat_map(|file| fs::read(file.unwrap().path()).unwrap())
            .collect();
        // What the vendors said is kept, in letters and in the outcome that is told: so it was worth searching.
        let log = String::from_utf8_lossy(&log);
        for kept in ["x-you-said", "alert.outcome"] {
            assert!(log.contains(kept), "{kept} is not stored");
        }
        for planted in self.all() {
            planted.is_absent_below(self.dir.path(), &[&self.path("secrets")]);
        }
    }

    fn all(&self) -> impl Iterator<Item = &Planted> {
        let secrets = self.secrets.iter().map(|(_, planted)| planted);
        secrets.chain(&self.derived).chain([&self.tokens])
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

fn found<'a>(secrets: &'a [(&str, Planted)], name: &str) -> &'a Planted {
    &secrets.iter().find(|(known, _)| *known == name).unwrap().1
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
