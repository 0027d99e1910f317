//! `aftercall run` as a process: started, asked, killed, stopped, started again.

#![allow(dead_code, reason = "each test uses its part of this")]

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// Bearer token for events over HTTP.
pub const TOKEN: &str = "token-of-the-kill-test";

/// A busy machine may take this long for a start; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is run, and the process if there is one.
pub struct Service {
    arguments: Vec<String>,
    log: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Service {
    /// A service named `name` on the log that `log_arguments` say, with a rule file of its own.
    pub fn new(folder: &Path, name: &str, log_arguments: &[&str], rules: &str) -> Self {
        // The client wants to know whose cryptography it is to use, even where it needs none.
        aftercall::sinks::client::install_provider();
        let rule_file = folder.join(format!("{name}.rules.toml"));
        fs::write(&rule_file, rules).expect("a rule file");
        let port = free_port();
        let mut arguments = vec!["run".to_owned()];
        arguments.extend(log_arguments.iter().map(|text| (*text).to_owned()));
        arguments.extend(["--rules".to_owned(), rule_file.display().to_string()]);
        arguments.extend(["--listen".to_owned(), format!("127.0.0.1:{port}")]);
        Self {
            arguments,
            log: folder.join(format!("{name}.log")),
            port,
            process: None,
        }
    }

    pub fn started(mut self) -> Self {
        self.start();
        self
    }

    pub fn start(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log);
        let process = Command::new(env!("CARGO_BIN_EXE_aftercall"))
            .args(&self.arguments)
            .env("AFTERCALL_TOKENS", TOKEN)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a file for what it says"))
            .spawn()
            .expect("the built program");
        self.process = Some(process);
    }

    /// Where it serves HTTP.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// `kill -9`. Says whether the process was still there to be killed.
    pub fn kill(&mut self) -> bool {
        let Some(mut process) = self.process.take() else {
            return false;
        };
        let lived = matches!(process.try_wait(), Ok(None));
        // It may have ended in between.
        let _ = process.kill();
        let _ = process.wait();
        lived
    }

    /// SIGTERM, without waiting for what comes of it.
    pub fn ask_to_stop(&self) {
        let process = self.process.as_ref().expect("a process to stop");
        let status = Command::new("kill")
            .args(["-TERM", &process.id().to_string()])
            .status();
        assert!(status.expect("the command `kill`").success());
    }

    /// SIGTERM; what it ended with, and after how long.
    pub async fn stop(&mut self) -> (ExitStatus, Duration) {
        self.ask_to_stop();
        let since = Instant::now();
        let mut process = self.process.take().expect("a process to stop");
        loop {
            if let Ok(Some(status)) = process.try_wait() {
                return (status, since.elapsed());
            }
            if since.elapsed() > PATIENCE {
                // Nobody else ends it.
                let _ = process.kill();
                panic!("it does not stop: {}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What it ended with, of itself.
    #[allow(dead_code, reason = "not every test has one that ends of itself")]
    pub async fn stop_of_itself(&mut self) -> (ExitStatus, Duration) {
        let since = Instant::now();
        let mut process = self.process.take().expect("a process");
        loop {
            if let Ok(Some(status)) = process.try_wait() {
                return (status, since.elapsed());
            }
            assert!(since.elapsed() < PATIENCE, "it goes on: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn is_running(&mut self) -> bool {
        let process = self.process.as_mut();
        process.is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// What `/readyz` says: its status, and the text.
    pub async fn readiness(&self) -> Option<(u16, String)> {
        let answer = reqwest::get(self.url("/readyz")).await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// Waits until it is ready.
    pub async fn until_ready(&mut self) {
        let since = Instant::now();
        loop {
            let readiness = self.readiness().await;
            if matches!(readiness, Some((200, _))) {
                return;
            }
            assert!(self.is_running(), "it has ended: {}", self.log());
            assert!(
                since.elapsed() < PATIENCE,
                "not ready: {readiness:?}: {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Every figure of a metric, with its labels.
    pub async fn figures(&self, metric: &str) -> Vec<(String, u64)> {
        let Ok(answer) = reqwest::get(self.url("/metrics")).await else {
            return Vec::new();
        };
        figures(&answer.text().await.unwrap_or_default(), metric)
    }

    /// Its number, while it runs.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("a process").id()
    }

    /// All that it has said.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last of what it has said.
    pub fn log(&self) -> String {
        let text = self.said();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

/// Every figure of a metric in the text of `/metrics`, with its labels.
pub fn figures(text: &str, metric: &str) -> Vec<(String, u64)> {
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let labels = name.strip_prefix(metric)?;
            // The name of another metric may begin with this one's.
            let is_this = labels.is_empty() || labels.starts_with('{');
            is_this.then_some((labels.to_owned(), value.parse::<f64>().ok()? as u64))
        })
        .collect()
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that is free now, below those the system gives to clients: a killed service finds it again, whoever connects to
/// whatever meanwhile.
fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(31) + TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = 12_000 + (number % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
