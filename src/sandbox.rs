//! Vendor clouds played over real HTTP, with their documented quirks and with faults on demand, for the demo, the tests
//! and the measurements; and a ledger of every call, the judge of "once".
//!
//! | file | idea |
//! |---|---|
//! | `call` | a request as a vendor sees it, and its answer, as plain data |
//! | `world` | all vendors, faults and ledger behind one lock: each request is decided in one step |
//! | `faults`, `ledger`, `control` | what goes wrong on purpose; what was received and done; setting and reading both |
//! | `server`, `smtp` | HTTP and SMTP: reading, delaying, dropping, hanging |
//! | `store`, `limiter`, `replays`, `shape` | bounded memory, rate limits, answers by key, bodies checked field by field |
//! | `seen` | what people see of a message |
//! | one file a vendor | what that vendor does |
//!
//! It stands beside the rest: nothing of the product is used by it, so it cannot share the product's mistakes.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use actix_web::{dev::ServerHandle, rt};
use serde_json::Value;

pub mod call;
mod cdp;
mod coaching;
mod control;
mod crm;
pub mod faults;
mod garble;
mod genesys;
mod hooks;
pub mod ledger;
mod limiter;
mod mail;
mod oauth;
mod replays;
mod rewards;
mod salesforce;
pub mod seen;
mod server;
mod shape;
mod slack;
mod smtp;
mod store;
mod survey;
mod teams;
mod tremendous;
mod warehouse;
pub mod world;

use call::{Call, Reply, Vendor};
use faults::Rule;
use ledger::{Entry, Filter, Summary};
use world::{Plan, World};

/// How the vendors are set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of chance in faults and of tokens given out.
    pub seed: u64,
    /// Id of the one OAuth client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Secret that webhooks to `/hooks` are signed with (Standard Webhooks).
    pub webhook_secret: String,
    /// Bearer tokens that are always good, for clients configured with one.
    pub tokens: Vec<String>,
    /// Wait before each answer. Costs no thread.
    pub latency: Duration,
    /// Whether vendors limit rates as documented (Slack one message a second and channel, Teams four a second).
    pub has_limits: bool,
    /// How long a recording is being uploaded, from when its conversation was first asked for.
    pub recording_after: Duration,
    /// Calls, messages, customers and keys remembered at most, of each.
    pub keep: usize,
    /// Keep counts of calls only, not the calls: for measurements.
    pub counts_only: bool,
    /// Threads that serve HTTP.
    pub workers: usize,
    /// Where mail is taken.
    pub smtp: SocketAddr,
}

/// The token that is always good, for configurations and tests.
pub const TOKEN: &str = "sandbox-token";

/// Another one, in the form of Slack's.
pub const SLACK_TOKEN: &str = "xoxb-sandbox";

/// The secret that webhooks are signed with, unless another is set.
pub const WEBHOOK_SECRET: &str = "whsec_c2FuZGJveC1zYW5kYm94LXNhbmRib3g=";

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            client_id: "aftercall".to_owned(),
            client_secret: "sandbox-secret".to_owned(),
            webhook_secret: WEBHOOK_SECRET.to_owned(),
            tokens: vec![TOKEN.to_owned(), SLACK_TOKEN.to_owned()],
            latency: Duration::ZERO,
            has_limits: true,
            recording_after: Duration::from_secs(45),
            keep: 100_000,
            counts_only: false,
            workers: 1,
            smtp: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

/// The vendors, shared with whoever wants to look at them or make them fail.
#[derive(Debug)]
pub struct Sandbox {
    world: Mutex<World>,
    started: Instant,
    started_ms: i64,
}

impl Sandbox {
    /// Vendors to whom nothing has happened yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Arc<Self> {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Arc::new(Self {
            world: Mutex::new(World::new(settings)),
            started: Instant::now(),
            started_ms: since_epoch.as_millis() as i64,
        })
    }

    /// A vendor receives a request.
    #[must_use]
    pub fn receive(&self, call: Call) -> Plan {
        let now_ms = self.now_ms();
        self.world().receive(call, now_ms)
    }

    /// A vendor receives a request that cannot be taken at all.
    fn refuse(&self, mut call: Call, reply: Reply) -> Plan {
        call.at_ms = self.now_ms();
        self.world().refuse(call, reply)
    }

    /// A request to the sandbox itself: `/ledger` and `/control`, as over HTTP.
    #[must_use]
    pub fn own(&self, call: &Call) -> Reply {
        self.world().own(call)
    }

    /// Sets something as the control endpoint at `path` does, such as `/control/crm`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn control(&self, path: &str, body: &Value) -> Result<(), String> {
        let body = body.to_string().into();
        let reply = self.own(&Call::new("POST", path, BTreeMap::new(), body));
        if reply.status < 300 {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&reply.body).into_owned())
    }

    /// Turns a fault on; its number.
    ///
    /// # Errors
    /// As [`Rule::check`].
    pub fn add_fault(&self, rule: Rule) -> Result<u64, String> {
        self.world().faults.add(rule)
    }

    /// Turns all faults off.
    pub fn clear_faults(&self) {
        self.world().faults.clear();
    }

    /// Sets the wait before each answer.
    pub fn set_latency(&self, latency: Duration) {
        self.world().latency = latency;
    }

    /// The calls that a filter takes, in order of arrival.
    #[must_use]
    pub fn entries(&self, filter: &Filter) -> Vec<Arc<Entry>> {
        self.world().ledger.entries(filter)
    }

    /// What each vendor received and did.
    #[must_use]
    pub fn summary(&self) -> BTreeMap<&'static str, Summary> {
        self.world().ledger.summary()
    }

    /// How often a vendor did something under a key.
    #[must_use]
    pub fn executions(&self, vendor: Vendor, key: &str) -> u64 {
        self.world().ledger.executions(vendor, key)
    }

    /// Forgets calls and counts.
    pub fn clear_ledger(&self) {
        self.world().ledger.clear();
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A panic within would be a bug of one request; the others are still answered.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> i64 {
        self.started_ms + self.started.elapsed().as_millis() as i64
    }
}

/// A sandbox that answers.
pub struct Running {
    /// Where, with the real port.
    pub address: SocketAddr,
    /// Where mail is taken, with the real port.
    pub smtp: SocketAddr,
    /// Its insides, to look at and to make fail.
    pub sandbox: Arc<Sandbox>,
    handle: ServerHandle,
}

impl Running {
    /// The base URL of a vendor.
    #[must_use]
    pub fn url(&self, vendor: Vendor) -> String {
        url(self.address, vendor)
    }

    /// Ends it at once; connections are cut.
    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

/// The base URL of a vendor at an address.
#[must_use]
pub fn url(address: SocketAddr, vendor: Vendor) -> String {
    format!("http://{address}/{}", vendor.name())
}

/// Starts the server. Must be called within an actix system; [`spawn`] brings its own.
///
/// # Errors
/// If the address cannot be listened on.
pub fn start(listen: SocketAddr, settings: &Settings) -> io::Result<Running> {
    let (running, _) = open(listen, settings)?;
    Ok(running)
}

/// Listens for both, and serves; the second part ends with the server.
fn open(
    listen: SocketAddr,
    settings: &Settings,
) -> io::Result<(Running, rt::task::JoinHandle<io::Result<()>>)> {
    let sandbox = Sandbox::new(settings);
    let mail = std::net::TcpListener::bind(settings.smtp).map_err(|error| {
        let text = format!("cannot take mail on {}: {error}", settings.smtp);
        io::Error::new(error.kind(), text)
    })?;
    mail.set_nonblocking(true)?;
    let smtp = mail.local_addr()?;
    let mail = rt::net::TcpListener::from_std(mail)?;
    let (server, address) = server::bind(&sandbox, listen, settings.workers)?;
    let handle = server.handle();
    rt::spawn(smtp::serve(mail, Arc::clone(&sandbox)));
    let running = Running {
        address,
        smtp,
        sandbox,
        handle,
    };
    Ok((running, rt::spawn(server)))
}

/// A sandbox on a thread of its own. Ends when it is dropped.
pub struct Spawned {
    /// Where, with the real port.
    pub address: SocketAddr,
    /// Where mail is taken, with the real port.
    pub smtp: SocketAddr,
    /// Its insides, to look at and to make fail.
    pub sandbox: Arc<Sandbox>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Spawned {
    /// The base URL of a vendor.
    #[must_use]
    pub fn url(&self, vendor: Vendor) -> String {
        url(self.address, vendor)
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // The order goes out with the call; the future only waits for it.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has ended as well.
            let _ = thread.join();
        }
    }
}

/// Starts the server on a thread and a system of its own, from anywhere.
///
/// # Errors
/// If the address cannot be listened on, or no thread can be made.
pub fn spawn(listen: SocketAddr, settings: Settings) -> io::Result<Spawned> {
    let (sender, receiver) = mpsc::channel();
    let run = move || {
        rt::System::new().block_on(async move {
            match open(listen, &settings) {
                Ok((running, server)) => {
                    if sender.send(Ok(running)).is_ok()
                        && let Ok(Err(error)) = server.await
                    {
                        tracing::warn!(%error, "sandbox ended");
                    }
                }
                Err(error) => {
                    // Whoever asked has gone away: nobody is left to tell.
                    let _ = sender.send(Err(error));
                }
            }
        });
    };
    let thread = std::thread::Builder::new()
        .name("sandbox".to_owned())
        .spawn(run)?;
    let Running {
        address,
        smtp,
        sandbox,
        handle,
    } = receiver
        .recv()
        .map_err(|_| io::Error::other("the sandbox's thread ended before it listened"))??;
    Ok(Spawned {
        address,
        smtp,
        sandbox,
        handle,
        thread: Some(thread),
    })
}
