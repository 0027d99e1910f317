//! Whom the bench delivers to: the sandbox as a process, and a server that only notes when a request came.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Instant,
};

use aftercall::sandbox::TOKEN;
use tokio::sync::mpsc;

/// `aftercall sandbox`. Ends when it is dropped.
pub struct Sandbox {
    pub url: String,
    pub token: PathBuf,
    process: Child,
    _secrets: tempfile::TempDir,
}

impl Sandbox {
    pub fn start(arguments: &[&str]) -> Self {
        let secrets = tempfile::tempdir().expect("a directory");
        let token = secrets.path().join("token");
        std::fs::write(&token, TOKEN).expect("a file");
        let mut process = Command::new(env!("CARGO_BIN_EXE_aftercall"))
            .args([
                "sandbox",
                "--counts-only",
                "--no-limits",
                "--keep",
                "1000000",
            ])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the built program");
        let mut said = BufReader::new(process.stdout.take().expect("piped"));
        let mut url = None;
        while url.is_none() {
            let mut line = String::new();
            assert!(
                said.read_line(&mut line).expect("readable") > 0,
                "no address"
            );
            let ledger = line.trim().strip_prefix("ledger");
            url = ledger
                .and_then(|rest| rest.trim().strip_suffix("/ledger/summary"))
                .map(str::to_owned);
        }
        // What it says later must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self {
            url: url.expect("found above"),
            token,
            process,
            _secrets: secrets,
        }
    }

    /// Makes each request of a vendor fail.
    pub async fn fault(&self, vendor: &str, fault: &str) {
        let body = serde_json::json!({ "vendor": vendor, "fault": fault }).to_string();
        let client = reqwest::Client::new();
        let request = client
            .post(format!("{}/control/faults", self.url))
            .body(body);
        let answer = request.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
    }

    pub async fn clear_faults(&self) {
        let client = reqwest::Client::new();
        let request = client.delete(format!("{}/control/faults", self.url));
        request.send().await.expect("an answer");
    }

    /// What a vendor did, and how much of it more than once.
    pub async fn done(&self, vendor: &str) -> String {
        let url = format!("{}/ledger/summary", self.url);
        let answer = reqwest::get(url).await.expect("an answer");
        let summary: serde_json::Value = answer.json().await.expect("JSON");
        let vendor = &summary[vendor];
        let vendor = if vendor.is_null() {
            &summary["vendors"]
        } else {
            vendor
        };
        format!(
            "{} requests, {} done, {} more than once",
            vendor["calls"], vendor["executions"], vendor["keys_repeated"]
        )
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server that notes when a request has arrived and answers at once, or, below `/hang`, never. Blocking threads of its
/// own, so that nothing of the bench's runtime delays its clock.
pub struct Wire {
    address: SocketAddr,
    arrived: tokio::sync::Mutex<mpsc::UnboundedReceiver<Instant>>,
}

impl Wire {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, arrived) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                std::thread::Builder::new()
                    .stack_size(64 << 10)
                    .spawn(move || serve(stream, &sender))
                    .expect("a thread");
            }
        });
        Self {
            address,
            arrived: tokio::sync::Mutex::new(arrived),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// When the next request came.
    pub async fn next(&self, _: &str) -> Instant {
        self.arrived.lock().await.recv().await.expect("a request")
    }
}

fn serve(mut stream: TcpStream, sender: &mpsc::UnboundedSender<Instant>) {
    let mut held = Vec::new();
    let mut chunk = [0_u8; 8_192];
    loop {
        let Ok(read @ 1..) = stream.read(&mut chunk) else {
            return;
        };
        held.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&held);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")?
                    .trim()
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        if body.len() < length {
            continue;
        }
        let at = Instant::now();
        if head.starts_with("POST /hang") {
            std::thread::park();
            return;
        }
        held.clear();
        if sender.send(at).is_err()
            || stream
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .is_err()
        {
            return;
        }
    }
}
