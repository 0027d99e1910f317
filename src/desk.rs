//! The HTTP server: events and exports in, points and rewards out, and what monitoring reads.
//!
//! An event is answered 2xx only when the log holds it durably; everything else is an RFC 9457 problem. The server
//! knows the log's port, the partitions' board and the way to ask them (`shard::ask`), nothing of the hosts: it keeps taking events while partitions
//! recover, and stops being ready when they stand still. Neighbours: `envelope` reads CloudEvents, `app` starts it.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, Resource,
    dev::{Server, ServerHandle, Service},
    guard,
    http::header::{self, HeaderMap},
    web,
};
use tokio::sync::Semaphore;

use crate::{
    config::HttpConfig,
    deliver::board::Board as DeliveryBoard,
    log::Log,
    shard::{ask::Asker, board::Board},
    telemetry,
};

mod decisions;
mod events;
pub mod imports;
mod intake;
mod leaderboard;
mod parameters;
mod points;
pub mod problem;
pub mod scrape;
pub mod tokens;

use imports::Imports;
use problem::Problem;
use tokens::Tokens;

/// What the routes work with. Shared by all worker threads.
pub struct Desk {
    log: Log,
    tokens: Arc<Tokens>,
    limits: Limits,
    waiting: Arc<Semaphore>,
    waiting_max: usize,
    board: OnceLock<Arc<Board>>,
    deliveries: OnceLock<Arc<DeliveryBoard>>,
    imports: OnceLock<Imports>,
    asker: OnceLock<Asker>,
    stopping: AtomicBool,
}

/// Bounds on what is taken.
#[derive(Clone, Copy, Debug)]
struct Limits {
    body_bytes_max: usize,
    event_bytes_max: usize,
    append_timeout: Duration,
}

/// Threads that serve HTTP. Reading a request is little work beside storing it.
const WORKERS: usize = 2;

/// How long a request being answered may take to finish when the server stops.
const STOP_SECONDS: u64 = 2;

/// How long a client may take for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

impl Desk {
    /// A desk that stores into `log` and is not ready yet.
    #[must_use]
    pub fn new(log: Log, tokens: Arc<Tokens>, config: &HttpConfig) -> Arc<Self> {
        Arc::new(Self {
            log,
            tokens,
            limits: Limits {
                body_bytes_max: config.body_max.as_usize(),
                event_bytes_max: config.event_max.as_usize(),
                append_timeout: config.append_timeout.duration(),
            },
            waiting: Arc::new(Semaphore::new(config.waiting_max)),
            waiting_max: config.waiting_max,
            board: OnceLock::new(),
            deliveries: OnceLock::new(),
            imports: OnceLock::new(),
            asker: OnceLock::new(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Tells the desk where the partitions give account of themselves. Counts once.
    pub fn set_board(&self, board: Arc<Board>) {
        // A second board would be of the same hosts; the first one stays.
        let _ = self.board.set(board);
    }

    /// Tells the desk where the destinations give account of themselves. Counts once.
    pub fn set_deliveries(&self, board: Arc<DeliveryBoard>) {
        // As for partitions.
        let _ = self.deliveries.set(board);
    }

    /// Lets files be imported. Counts once; before it they are answered 503.
    pub fn set_imports(&self, imports: Imports) {
        // As for partitions.
        let _ = self.imports.set(imports);
    }

    /// Tells the desk how to ask the partitions. Counts once.
    pub fn set_asker(&self, asker: Asker) {
        // As for the board.
        let _ = self.asker.set(asker);
    }

    /// From now on the process says that it is not ready, so that no more work is sent its way.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Requests with events being read or stored now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting_max
            .saturating_sub(self.waiting.available_permits())
    }

    /// Whether a request carries a valid token.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let authorization = headers.get(header::AUTHORIZATION);
        if self
            .tokens
            .admits(authorization.and_then(|value| value.to_str().ok()))
        {
            Ok(())
        } else {
            Err(Problem::Unauthorized)
        }
    }

    fn asker(&self) -> Result<&Asker, Problem> {
        let asker = self.asker.get();
        asker.ok_or_else(|| Problem::NoAnswer("partitions are not taken over yet".into()))
    }

    /// Imports by HTTP being received or carried out now.
    #[must_use]
    pub fn importing(&self) -> usize {
        self.imports.get().map_or(0, Imports::under_way)
    }

    fn board(&self) -> Option<&Board> {
        self.board.get().map(Arc::as_ref)
    }

    /// Why this process is not ready; empty if it is.
    fn complaints(&self, stall: Duration) -> Vec<String> {
        if self.stopping.load(Ordering::Relaxed) {
            return vec!["the process is stopping".to_owned()];
        }
        let mut complaints = match self.board() {
            Some(board) => board.complaints(stall),
            None => vec!["partitions are not taken over yet".to_owned()],
        };
        if let Some(board) = self.deliveries.get() {
            complaints.extend(board.complaints());
        }
        complaints
    }

    /// What somebody has to mend, though this process does its work.
    fn notes(&self) -> Vec<String> {
        let board = self.deliveries.get();
        board.map_or_else(Vec::new, |board| board.notes())
    }
}

/// A server that answers.
pub struct Running {
    /// Addresses it listens on; the port is the real one where 0 was asked for.
    pub addresses: Vec<SocketAddr>,
    handle: ServerHandle,
}

impl Running {
    /// Takes no more connections, lets requests in hand finish, returns.
    pub async fn stop(self) {
        self.handle.stop(true).await;
    }
}

/// Starts the server. Must be called within an actix system.
///
/// # Errors
/// If the address cannot be listened on.
pub fn start(desk: Arc<Desk>, listen: SocketAddr) -> io::Result<Running> {
    let (server, addresses) = bind(desk, listen)?;
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(Running { addresses, handle })
}

fn bind(desk: Arc<Desk>, listen: SocketAddr) -> io::Result<(Server, Vec<SocketAddr>)> {
    let data = web::Data::from(desk);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .wrap_fn(|request, service| {
                let answer = service.call(request);
                async move {
                    let answer = answer.await?;
                    let route = route_name(answer.request());
                    let status = answer.status().as_u16();
                    telemetry::metrics().http_request(route, status).inc();
                    Ok(answer)
                }
            })
            .service(read_only("/livez").route(get().to(scrape::livez)))
            .service(read_only("/readyz").route(get().to(scrape::readyz)))
            .service(read_only("/metrics").route(get().to(scrape::metrics)))
            .service(write_only(EVENTS).route(web::post().to(events::post)))
            .service(write_only(IMPORTS_WFM).route(web::post().to(imports::post)))
            .service(read_only(POINTS).route(get().to(points::get)))
            .service(read_only(LEADERBOARD).route(get().to(leaderboard::get)))
            .service(write_only(APPROVE).route(web::post().to(decisions::approve)))
            .service(write_only(REJECT).route(web::post().to(decisions::reject)))
            .default_service(web::to(not_found))
    })
    .workers(WORKERS)
    .client_request_timeout(HEAD_TIMEOUT)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(STOP_SECONDS)
    .disable_signals()
    .bind(listen)
    .map_err(|error| {
        let hint = "another address can be set with http.listen or --listen";
        io::Error::new(
            error.kind(),
            format!("cannot listen on {listen}: {error}; {hint}"),
        )
    })?;
    let addresses = server.addrs();
    Ok((server.run(), addresses))
}

const EVENTS: &str = "/v1/events";
const IMPORTS_WFM: &str = "/v1/imports/wfm";
const POINTS: &str = "/v1/agents/{id}/points";
const LEADERBOARD: &str = "/v1/leaderboard";
const APPROVE: &str = "/v1/rewards/{id}/approve";
const REJECT: &str = "/v1/rewards/{id}/reject";

/// A resource that only takes.
fn write_only(path: &'static str) -> Resource {
    web::resource(path).default_service(web::to(|| async { not_allowed("POST") }))
}

/// A resource that can only be looked at.
fn read_only(path: &'static str) -> Resource {
    web::resource(path).default_service(web::to(|| async { not_allowed("GET, HEAD") }))
}

fn get() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

fn not_allowed(allow: &'static str) -> HttpResponse {
    Problem::MethodNotAllowed { allow }.response()
}

async fn not_found(request: HttpRequest) -> HttpResponse {
    let path: String = request.path().chars().take(100).collect();
    Problem::NotFound(path).response()
}

/// The route as a label: one of a known few, whatever path was asked for.
fn route_name(request: &HttpRequest) -> &'static str {
    let pattern = request.match_pattern();
    let known = [
        "/livez",
        "/readyz",
        "/metrics",
        EVENTS,
        IMPORTS_WFM,
        POINTS,
        LEADERBOARD,
        APPROVE,
        REJECT,
    ];
    known
        .into_iter()
        .find(|route| pattern.as_deref() == Some(*route))
        .unwrap_or("other")
}
