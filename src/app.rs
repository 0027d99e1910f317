//! The running service: a log opened, hosts and HTTP started on it, rules kept up to date, all of it stopped again.
//! `run` and `demo` are two ways to drive it.
//!
//! Two runtimes, for a reason. actix gives each arbiter (and so each host and each HTTP worker) a runtime of its own
//! thread: right for actors, wrong for a connection that all of them share, since whatever a thread is busy with would
//! hold up everybody's messages. So the log is opened on a runtime of its own, the [`Bus`], which lives as long as the
//! process: the NATS client's reader and writer tasks, its timers and reconnects run there. Futures of the log's port
//! can be awaited anywhere. Commands without actors (publish, tap, doctor) run on the bus alone.

use std::{
    fs,
    future::Future,
    io::{self, Read, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aftercall_actors::{
    contract::time::LogTime,
    rules::{RuleErrors, RuleSet},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    config::{Config, DeliverConfig, LogConfig, Place, UrlLogin, units::Span},
    delivery::{host::Deliveries, status::DestinationBoard, transport::Transport},
    desk::{self, Desk, imports::Imports, tokens::Tokens},
    envelope,
    ingest::wfm::{
        service::Importer,
        watch::{WatchError, Watching},
    },
    log::{
        AppendError, Finding, Level, Log, LogError, Position,
        jetstream::{self, JetStreamLog, Login},
        owner::Owner,
        private,
        sqlite::{self, SqliteLog, SqliteSettings},
        watched::WatchedLog,
    },
    shard::{HostSettings, Hosts, board::Board},
    sinks::{
        load,
        payout::{self, Payer},
    },
};

pub mod watch;

/// Threads of the bus. One keeps the connection going while the other one runs a callback or a blocking log.
const BUS_THREADS: usize = 2;

/// How long stopping may take in all, so that a supervisor's patience (and the requirement of 5 s) is never tried.
const STOP_TIMEOUT: Duration = Duration::from_millis(4_500);

/// The runtime on which logs are opened and live.
pub struct Bus {
    runtime: Option<tokio::runtime::Runtime>,
    handle: tokio::runtime::Handle,
}

impl Bus {
    /// Starts it.
    ///
    /// # Errors
    /// If the system grants no threads.
    pub fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(BUS_THREADS)
            .thread_name("bus")
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Runs a future on it and waits.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.handle.block_on(future)
    }

    /// A handle to it, for threads of their own.
    #[must_use]
    pub const fn handle(&self) -> &tokio::runtime::Handle {
        &self.handle
    }

    /// Runs a future on it beside whatever else goes on.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.handle.spawn(future)
    }

    /// Opens the log that the configuration names. May be awaited on any runtime; the log lives on this one.
    ///
    /// # Errors
    /// If it cannot be reached, or its version or settings do not allow the guarantees.
    pub async fn open_log(&self, config: &LogConfig) -> Result<Log, LogError> {
        self.open(config, true).await
    }

    /// Opens the log as it stands, and makes nothing.
    ///
    /// # Errors
    /// As [`Bus::open_log`], and if there is no log yet.
    pub async fn open_existing_log(&self, config: &LogConfig) -> Result<Log, LogError> {
        self.open(config, false).await
    }

    async fn open(&self, config: &LogConfig, make: bool) -> Result<Log, LogError> {
        let opening = self.handle.spawn(open(config.clone(), make));
        let opened = opening
            .await
            .unwrap_or_else(|error| Err(LogError::Corrupt(format!("opening broke off: {error}"))));
        // Whoever waits for it, a service or a command, says what for.
        opened.map(WatchedLog::around)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // A log's thread that still sleeps must not hold up the end of the process.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_millis(200));
        }
    }
}

async fn open(config: LogConfig, make: bool) -> Result<Log, LogError> {
    match config.place {
        Place::Nats(url) => {
            let login = match (config.credentials_file, url.login().cloned()) {
                (Some(file), _) => Login::CredentialsFile(file),
                (None, Some(UrlLogin::Password { user, password })) => {
                    Login::Password { user, password }
                }
                (None, Some(UrlLogin::Token(token))) => Login::Token(token),
                (None, None) => Login::Anonymous,
            };
            let settings = jetstream::Settings {
                login,
                root_certificates: config.ca_file,
                partitions: config.partitions,
                replicas: NonZeroUsize::new(config.replicas.into()).unwrap_or(NonZeroUsize::MIN),
                max_age: config.retention_age.map(Span::duration),
                max_bytes: config.retention_bytes.map(|size| size.0),
                monitoring_url: config.monitoring_url,
                make,
                ..jetstream::Settings::new(url.to_string())
            };
            Ok(Arc::new(JetStreamLog::connect(settings).await?))
        }
        Place::Embedded(dir) => {
            if !make && !dir.join(sqlite::FILE).exists() {
                return Err(LogError::Settings(format!(
                    "there is no log in {} yet; `aftercall run` makes one",
                    dir.display()
                )));
            }
            let settings = SqliteSettings {
                partition_count: Some(config.partitions),
            };
            let opening = tokio::task::spawn_blocking(move || SqliteLog::open(&dir, settings));
            let opened = opening
                .await
                .map_err(|error| LogError::Corrupt(error.to_string()))?;
            Ok(Arc::new(opened?))
        }
    }
}

/// Rules that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why. Part of the message, so no source: a chain would say it twice.
        why: io::Error,
    },
    /// The file holds mistakes.
    #[error(transparent)]
    Mistakes(#[from] RuleErrors),
    /// They are more than the log takes at once.
    #[error("{origin}: {why}")]
    TooLarge {
        /// The file.
        origin: String,
        /// How much there is, and may be.
        why: String,
    },
}

/// Reads a rule file, or takes the rules that ship with the program.
///
/// # Errors
/// If the file cannot be read or holds mistakes; all of them.
pub fn load_rules(file: Option<&Path>) -> Result<RuleSet, RulesError> {
    let Some(path) = file else {
        return Ok(RuleSet::default_rules());
    };
    let text = fs::read_to_string(path).map_err(|why| RulesError::Unreadable {
        path: path.to_owned(),
        why,
    })?;
    parse_rules(&text, &path.display().to_string())
}

/// Rules that can be set in force: without mistakes, and no more than the log takes.
///
/// # Errors
/// All mistakes, or how much it is.
pub fn parse_rules(text: &str, origin: &str) -> Result<RuleSet, RulesError> {
    let rules = RuleSet::parse(text, origin)?;
    // The time only makes its id.
    match envelope::rules_activated_event(rules.version(), rules.text(), LogTime(0)) {
        Ok(_) => Ok(rules),
        Err(reject) => Err(RulesError::TooLarge {
            origin: origin.to_owned(),
            why: reject.detail,
        }),
    }
}

/// What takes outputs to the configured destinations; nothing, if none are configured.
///
/// # Errors
/// If a file cannot be read or holds mistakes; all of them.
pub fn load_couriers(config: &DeliverConfig) -> Result<Vec<Arc<dyn Transport>>, load::LoadErrors> {
    let Some(destinations) = &config.destinations else {
        return Ok(Vec::new());
    };
    let loaded = load::load(destinations, config.fields.as_deref())?;
    for warning in loaded.checked.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(loaded.transports()?)
}

/// Why an embedded log's directory could not be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// It is another process's.
    #[error(
        "another aftercall{} already runs on {}; stop it first, or name another directory with --dir",
        if owner.is_empty() { String::new() } else { format!(" (process {owner})") },
        dir.display()
    )]
    Taken {
        /// The directory.
        dir: PathBuf,
        /// The process's number; empty if it has not been written yet.
        owner: String,
    },
    /// The lock file cannot be made.
    #[error("{}: cannot be locked: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why. Part of the message, so no source: a chain would say it twice.
        why: io::Error,
    },
}

/// Claims the directory of an embedded log for one service, as long as the file is held; the system frees it with the
/// process, however that ends.
///
/// The fence alone would keep the log right, but it lets the second service win and leaves the first without work: on
/// one machine that is a slip, and better refused. Publishing and looking on need no claim. A log on NATS has none: there,
/// taking over is how a service is replaced.
///
/// # Errors
/// If another process holds it, or the file cannot be made.
pub fn claim(log: &LogConfig) -> Result<Option<fs::File>, ClaimError> {
    let Place::Embedded(dir) = &log.place else {
        return Ok(None);
    };
    let path = dir.join("aftercall.lock");
    let unusable = |why| ClaimError::Unusable {
        path: path.clone(),
        why,
    };
    private::make_dir(dir).map_err(unusable)?;
    let mut file = private::open(&path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Only to help whoever looks for it.
            let _ = file.read_to_string(&mut owner);
            return Err(ClaimError::Taken {
                dir: dir.clone(),
                owner: owner.trim().to_owned(),
            });
        }
        Err(fs::TryLockError::Error(why)) => return Err(unusable(why)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(unusable)?;
    Ok(Some(file))
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The HTTP address cannot be had.
    #[error(transparent)]
    Listen(#[from] io::Error),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The rules could not be set in force.
    #[error("rules could not be activated: {0}")]
    Rules(#[from] AppendError),
    /// The folder of exports cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The log is not fit for the guarantees.
    #[error("the log is not fit for use: {0}; `aftercall doctor` tells all")]
    Unfit(String),
}

/// Hosts, deliveries, HTTP and imports, running.
pub struct Engine {
    log: Log,
    hosts: Hosts,
    deliveries: Deliveries,
    transports: Vec<Arc<dyn Transport>>,
    desk: Arc<Desk>,
    server: desk::Running,
    importer: Arc<Importer>,
    watching: Option<Watching>,
}

impl Engine {
    /// Starts HTTP, takes over the destinations and the partitions, and sets the rules in force. Within an actix system.
    ///
    /// HTTP comes first: events are taken, and probes answered, while partitions recover. Destinations come before
    /// partitions: one that is new begins with the outputs made from then on, so its place must stand before the first
    /// of them.
    ///
    /// # Errors
    /// If the address is taken, the log unfit or unreadable, or the rules cannot be activated.
    pub async fn start(
        log: &Log,
        config: &Config,
        rules: RuleSet,
        tokens: Arc<Tokens>,
        destinations: Vec<Arc<dyn Transport>>,
    ) -> Result<Self, StartError> {
        report(&log.findings().await?)?;
        let log = &WatchedLog::around(Arc::clone(log));
        let desk = Desk::new(Arc::clone(log), tokens, &config.http);
        let outcomes = destinations.iter().filter_map(|destination| {
            let outcome = destination.policy().outcome.as_ref()?;
            Some(outcome.event_type.clone())
        });
        desk.set_answered(outcomes.collect());
        let server = desk::start(Arc::clone(&desk), config.http.listen)?;
        for address in &server.addresses {
            tracing::info!(%address, "http listens");
        }
        let owner = Arc::new(Owner::this_process());
        let deliveries = Deliveries::start(log, destinations.clone(), &owner);
        deliveries.settled().await;
        desk.set_deliveries(deliveries.board());
        let settings = HostSettings {
            actor_bytes_max: config.engine.memory_max.0,
            shelf_folder: config.log.place.folder(),
        };
        let hosts = Hosts::start(Arc::clone(log), settings, rules.clone(), owner).await?;
        desk.set_board(hosts.board());
        desk.set_asker(hosts.asker());
        // The thread of `run` has little else to do, and no partition waits for it.
        let runtime = tokio::runtime::Handle::current();
        let columns = config.import.wfm.clone();
        let importer = Importer::new(log, config.log.place.name(), columns, runtime);
        let file_bytes_max = config.http.import_max.0;
        desk.set_imports(Imports::new(Arc::clone(&importer), file_bytes_max));
        let mut engine = Self {
            log: Arc::clone(log),
            hosts,
            deliveries,
            transports: destinations,
            desk,
            server,
            importer: Arc::clone(&importer),
            watching: None,
        };
        engine.activate(&rules).await?;
        if let Some(folder) = &config.import.wfm_watch {
            engine.watching = Some(Watching::start(importer, folder.clone())?);
        }
        tracing::info!(
            log = log.name(),
            partitions = log.partition_count(),
            rules = rules.version(),
            "running"
        );
        Ok(engine)
    }

    /// Sets rules in force at a position of the log, unless they already are.
    ///
    /// # Errors
    /// If the log did not confirm; the same call again is safe.
    pub async fn activate(&self, rules: &RuleSet) -> Result<Option<Position>, AppendError> {
        let position = self.hosts.activate(rules).await?;
        self.desk.set_ahead_max(rules.settings().ahead_max);
        let payers = self
            .transports
            .iter()
            .map(|transport| Payer::from(transport.as_ref()));
        for warning in payout::warnings(rules, &payers.collect::<Vec<_>>()) {
            tracing::warn!("{warning}");
        }
        if let Some(position) = position {
            tracing::info!(version = rules.version(), position, "rules activated");
        }
        Ok(position)
    }

    /// Why the process has to stop, if it has to: nothing that is written is kept, or HTTP has ended.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let server = || {
            let has_ended = self.server.has_ended();
            has_ended.then(|| "the HTTP server has ended by itself".to_owned())
        };
        self.log.fault().or_else(server)
    }

    /// How the partitions are.
    #[must_use]
    pub fn board(&self) -> Arc<Board> {
        self.hosts.board()
    }

    /// How the destinations are.
    #[must_use]
    pub fn deliveries(&self) -> Arc<DestinationBoard> {
        self.deliveries.board()
    }

    /// Where HTTP is reached.
    #[must_use]
    pub fn addresses(&self) -> &[std::net::SocketAddr] {
        &self.server.addresses
    }

    /// Stops HTTP, finishes what is in hand, snapshots, checkpoints, releases. Takes under 5 s: what is not finished by then is
    /// what recovery is for.
    pub async fn stop(self) {
        self.desk.set_stopping();
        self.importer.stop();
        let watching = async {
            if let Some(watching) = self.watching {
                watching.stop().await;
            }
        };
        let all = futures::future::join4(
            self.server.stop(),
            self.hosts.stop(),
            self.deliveries.stop(),
            watching,
        );
        let log = self.log;
        let all = async {
            all.await;
            if let Err(error) = log.close().await {
                tracing::info!(%error, "the write-ahead log stays beside the log; the next start folds it in");
            }
        };
        match tokio::time::timeout(STOP_TIMEOUT, all).await {
            Ok(()) => tracing::info!("stopped"),
            Err(_) => {
                tracing::warn!("stopped before everything was finished; recovery will catch up")
            }
        }
    }
}

/// Says once what the log survives.
fn report(findings: &[Finding]) -> Result<(), StartError> {
    for Finding {
        level,
        subject,
        text,
    } in findings
    {
        match level {
            Level::Good => tracing::info!(%subject, "log: {text}"),
            Level::Risk => tracing::warn!(%subject, "log: {text}"),
            Level::Bad => tracing::error!(%subject, "log: {text}"),
        }
    }
    let bad: Vec<_> = findings
        .iter()
        .filter(|finding| finding.level == Level::Bad)
        .map(|finding| format!("{}: {}", finding.subject, finding.text))
        .collect();
    if bad.is_empty() {
        Ok(())
    } else {
        Err(StartError::Unfit(bad.join("; ")))
    }
}

/// Signals that ask a service for something else than to stop.
pub struct Requests {
    hangup: Signal,
    // Only so that it does not end the process: a file that may not grow is a disk without room, which is told.
    _file_size: Signal,
}

impl Requests {
    /// Listens from now on. Without it the system would end the process.
    ///
    /// # Errors
    /// If the system grants no signal handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(FILE_SIZE_SIGNAL))?,
        })
    }

    /// Waits for SIGHUP: watched files are to be looked at now.
    pub async fn look(&mut self) {
        if self.hangup.recv().await.is_none() {
            // No more will come.
            std::future::pending().await
        }
    }
}

/// SIGXFSZ, the same number on Linux and macOS.
const FILE_SIZE_SIGNAL: i32 = 25;

/// Waits for SIGINT or SIGTERM and says which it was.
///
/// # Errors
/// If the system grants no signal handler.
pub async fn stop_signal() -> io::Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    })
}
