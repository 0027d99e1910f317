//! A real mail server for tests: aiosmtpd, with a certificate made for the occasion.

#![allow(dead_code, reason = "each test uses its part of this")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use serde_json::Value;

use super::python;

/// The server that is fetched.
const PACKAGE: &str = "aiosmtpd==1.4.6";

/// Wait for what the server should say.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; ends when it goes.
pub struct MailServer {
    process: Child,
    said: Receiver<Value>,
    directory: tempfile::TempDir,
    /// Where it listens, on the loopback.
    pub port: u16,
}

impl MailServer {
    /// Starts one; see the script for the arguments.
    pub fn start(arguments: &[&str]) -> Self {
        let library = python::package(PACKAGE);
        let directory = tempfile::tempdir().expect("a directory for the certificate");
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
            .expect("a certificate");
        let (cert, key) = (
            directory.path().join("cert.pem"),
            directory.path().join("key.pem"),
        );
        fs::write(&cert, made.cert.pem()).expect("the certificate's file");
        fs::write(&key, made.signing_key.serialize_pem()).expect("the key's file");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/smtp_server.py");
        let mut process = Command::new("python3")
            .arg(script)
            .args([&cert, &key])
            .args(arguments)
            .env("PYTHONPATH", library)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let (tell, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let value: Value = serde_json::from_str(&line).expect("a JSON line");
                // Nobody listens any more once the test is over.
                let _ = tell.send(value);
            }
        });
        let first = said.recv_timeout(PATIENCE).expect("the server starts");
        let port = first["port"].as_u64().expect("a port");
        Self {
            process,
            said,
            directory,
            port: u16::try_from(port).expect("a port"),
        }
    }

    /// The certificate to trust.
    pub fn cert_file(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    /// The next message it was handed.
    pub fn next_message(&self) -> Value {
        self.said.recv_timeout(PATIENCE).expect("a message")
    }

    /// Whether it was handed nothing that has not been asked for.
    pub fn is_quiet(&self) -> bool {
        self.said.try_recv().is_err()
    }

    /// Ends it.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.kill();
    }
}
