//! The service as a stranger meets it: a nats-server, `aftercall run`, and a client in another language that has only
//! read the documents (`outside/nats_py.py`, with the Python package nats-py, fetched once into `target/cache`).

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nats::Nats;

#[path = "support/nats.rs"]
mod nats;

/// The client library that is fetched.
const PACKAGE: &str = "nats-py==2.16.0";

#[test]
fn s2_04_s2_05_s2_10_a_client_in_another_language_sees_each_alert_once_and_bad_input_set_aside() {
    let library = library();
    let server = Nats::start();
    let (service, address) = start(&server.url());
    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/nats_py.py"))
        .args([&server.url(), &address])
        .env("PYTHONPATH", &library)
        .output()
        .expect("python3");
    drop(service);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A running service; killed when it goes.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the service and says where its HTTP is.
fn start(url: &str) -> (Service, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .args(["run", "--nats", url, "--listen", "127.0.0.1:0"])
        .current_dir(std::env::temp_dir())
        .env_remove("AFTERCALL_CONFIG")
        .env_remove("RUST_LOG")
        .stderr(Stdio::piped())
        .spawn()
        .expect("aftercall");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let service = Service(child);
    let (mut seen, mut address) = (String::new(), None);
    for line in lines.by_ref().map_while(Result::ok) {
        if let Some((_, found)) = line.split_once("http listens address=") {
            address = Some(found.trim().to_owned());
        }
        if line.contains("running log=") {
            break;
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    let address = address.unwrap_or_else(|| panic!("the service did not start:\n{seen}"));
    // Its log goes on being read, so that it never waits for us.
    std::thread::spawn(move || lines.for_each(drop));
    (service, address)
}

/// The folder of the client library; fetched under another name first, so that half a library is never taken for one.
fn library() -> PathBuf {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cache");
    let library = cache.join(PACKAGE.replace("==", "-"));
    if library.is_dir() {
        return library;
    }
    let part = cache.join(format!("nats-py.part-{}", std::process::id()));
    let status = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
        .arg(&part)
        .arg(PACKAGE)
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "pip cannot fetch {PACKAGE}, which this test needs"
    );
    if fs::rename(&part, &library).is_err() {
        // Another run was faster.
        let _ = fs::remove_dir_all(&part);
    }
    assert!(library.is_dir(), "{} is not there", library.display());
    library
}
