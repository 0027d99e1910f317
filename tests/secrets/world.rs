//! Vendors, configuration and secrets of a whole run: every kind of credential there is, and the search for all of them.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Command,
};

use aftercall::sandbox::{
    self, Settings,
    call::Vendor,
    faults::{Fault, Rule},
};
use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    echo::Echo,
    planted::Planted,
    program::{command, write},
};

/// Destinations that refuse what they get, and what their letters say of the reason.
pub const REFUSING: [(&str, &str); 7] = [
    ("bearer", "rejected"),
    ("bearer-500", "failed"),
    ("header", "rejected"),
    ("hook-slack", "failed"),
    ("hook-teams", "rejected"),
    ("mail", "rejected"),
    ("signed", "rejected"),
];

/// Destinations that do not let us in: what is for them waits (S3.16).
pub const SHUT_OUT: [&str; 5] = ["basic", "mail-login", "oauth", "oauth-none", "sandbox-crm"];

/// Vendors, configuration and secrets of the run.
pub struct World {
    pub dir: tempfile::TempDir,
    pub echo: Echo,
    pub sandbox: sandbox::Spawned,
    /// By their name; each stands in a file of that name and in a variable `PLANTED_NAME`.
    secrets: Vec<(&'static str, Planted)>,
    /// Other forms of them that must not show either.
    derived: Vec<Planted>,
    pub tokens: Planted,
}

impl World {
    pub fn new() -> Self {
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
        // The CRM refuses whatever comes, and the receiver of webhooks the first of all.
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
                "[[destination]]\nname = \"{name}\"\non = [\"alert.raised\"]\nwhen = \"!(data.rule in ['dead_letters', 'misconfigured'])\"\ntimeout = {{ connect = \"1s\", total = \"2s\" }}\n\
                 retry = {{ attempts = 2, first = \"10ms\", max = \"20ms\", deadline = \"60s\" }}\n\
                 breaker = {{ failures = 1000, within = \"10s\", open = \"10s\" }}\n{more}\n"
            ));
        }
        text
    }

    fn fields(&self) -> String {
        let names = REFUSING.map(|(name, _)| name);
        let mut text = "[keys]\nhash = \"env:PLANTED_HASH_KEY\"\n".to_owned();
        for name in
            names
                .iter()
                .chain(&SHUT_OUT)
                .chain(&["rotating", "sandbox-signed", "sandbox-mail"])
        {
            text.push_str(&format!("[destination.{name}]\nagent_id = \"hash\"\nrule = \"plain\"\nalert_id = \"plain\"\n"));
        }
        text
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path("secrets").join(name)
    }

    pub fn secret(&self, name: &str) -> &Planted {
        found(&self.secrets, name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
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

    /// Fails if `text` holds any of them.
    pub fn search(&self, what: &str, text: &str) {
        for planted in self.all() {
            planted.is_absent_from(what, text);
        }
    }

    /// Fails if a file holds any of them, but for the files that they were put in.
    pub fn nothing_stored(&self) {
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
}

fn found<'a>(secrets: &'a [(&str, Planted)], name: &str) -> &'a Planted {
    &secrets.iter().find(|(known, _)| *known == name).unwrap().1
}
