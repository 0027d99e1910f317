//! `aftercall run` as its users start it: the built binary, watched through `/metrics`.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A running service.
pub struct Service {
    child: Child,
    address: String,
    client: reqwest::Client,
}

/// What a process has used, from /proc.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub cpu_s: f64,
    pub rss_mib: f64,
    pub peak_mib: f64,
}

/// CPU time and memory of a process.
pub fn usage(pid: u32) -> Usage {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ticks: f64 = stat
        .rsplit(')')
        .next()
        .map(|rest| {
            rest.split_whitespace()
                .skip(11)
                .take(2)
                .filter_map(|n| n.parse::<f64>().ok())
                .sum()
        })
        .unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = |name: &str| {
        status
            .lines()
            .find_map(|line| {
                line.strip_prefix(name)?
                    .trim()
                    .trim_end_matches(" kB")
                    .parse::<f64>()
                    .ok()
            })
            .unwrap_or_default()
    };
    Usage {
        cpu_s: ticks / 100.0,
        rss_mib: kib("VmRSS:") / 1024.0,
        peak_mib: kib("VmHWM:") / 1024.0,
    }
}

/// The shipped rules with merging off: each completion makes an output.
pub fn unmerged_rules(folder: &Path) -> PathBuf {
    let text = include_str!("../../config/rules.toml").replace("merge = \"5s\"", "merge = \"0s\"");
    assert!(
        text.contains("merge = \"0s\""),
        "the shipped rules merge for 5 s"
    );
    let path = folder.join("unmerged.toml");
    fs::write(&path, text).expect("the rules can be written");
    path
}

impl Service {
    /// Starts it with these arguments behind `run`.
    pub fn start(arguments: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port");
        let address = free.to_string();
        let child = Command::new(env!("CARGO_BIN_EXE_aftercall"))
            .arg("run")
            .args(arguments)
            .args(["--listen", &address])
            .stdout(Stdio::null())
            .stderr(if std::env::var_os("SHOW").is_some() {
                Stdio::inherit()
            } else {
                Stdio::null()
            })
            .spawn()
            .expect("the binary starts");
        // The client wants to know whose cryptography it is to use, even where it needs none.
        aftercall::sinks::client::install_provider();
        Self {
            child,
            address,
            client: reqwest::Client::new(),
        }
    }

    pub fn usage(&self) -> Usage {
        usage(self.child.id())
    }

    /// Every sample of `/metrics`, by name and labels.
    pub async fn metrics(&self) -> BTreeMap<String, f64> {
        let answer = self
            .client
            .get(format!("http://{}/metrics", self.address))
            .send()
            .await;
        let Ok(answer) = answer else {
            return BTreeMap::new();
        };
        let text = answer.text().await.unwrap_or_default();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let (name, value) = line.rsplit_once(' ')?;
                Some((name.to_owned(), value.parse().ok()?))
            })
            .collect()
    }

    /// Waits until every partition has applied `last` and every output is published; returns outputs by kind.
    pub async fn worked_off(&self, last: u64, patience: Duration) -> BTreeMap<String, f64> {
        let began = Instant::now();
        let mut calm = 0;
        loop {
            let metrics = self.metrics().await;
            let of = |name: &'static str| {
                metrics
                    .iter()
                    .filter(move |(sample, _)| sample.starts_with(name))
                    .map(|(_, value)| *value)
            };
            let applied = of("aftercall_partition_position{").fold(f64::MAX, f64::min);
            let backlog: f64 = of("aftercall_relay_backlog_outputs{").sum();
            let done = !metrics.is_empty()
                && applied < f64::MAX
                && applied >= last as f64
                && backlog == 0.0;
            calm = if done { calm + 1 } else { 0 };
            // Twice in a row: between a commit and its relay there is a moment without backlog.
            if calm >= 2 {
                return metrics
                    .iter()
                    .filter(|(sample, _)| sample.starts_with("aftercall_outputs_total"))
                    .map(|(sample, value)| (sample.clone(), *value))
                    .collect();
            }
            assert!(
                began.elapsed() < patience,
                "not worked off in {patience:?}: at {applied} of {last}, {backlog} outputs waiting"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGTERM, and how long it took.
    pub fn stop(mut self) -> Duration {
        let began = Instant::now();
        let _ = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        let _ = self.child.wait();
        began.elapsed()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
