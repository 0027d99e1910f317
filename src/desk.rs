//! The HTTP server: events and exports in, points and rewards out, and what monitoring reads.
//!
//! An event is answered 2xx only when the log holds it durably; everything else is an RFC 9457 problem. The server
//! knows the log's port, the partitions' board and the way to ask them (`shard::ask`), nothing of the hosts: it keeps taking events while partitions
//! recover, and stops being ready when they stand still. Neighbours: `envelope` reads CloudEvents, `app` starts it.

use std::{
    collections::BTreeSet,
    future::ready,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_http::{HttpService, error::DispatchError};
use actix_server::{Server, ServerHandle};
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::{
    App, HttpRequest, HttpResponse, Resource,
    dev::{AppConfig, Service, ServiceFactory, ServiceRequest, ServiceResponse},
    error::InternalError,
    guard,
    http::{Method, header},
    rt::net::TcpStream,
    web,
};
use aftercall_actors::contract::plausible::AheadMax;
use tokio::{sync::Semaphore, task::JoinHandle};

use crate::{
    config::HttpConfig,
    delivery::status::DestinationBoard,
    log::{Log, health::STALL},
    planted::{PanicIn, panic_if_planted},
    shard::{ask::Asker, board::Board},
    supervise::caught,
    telemetry,
};

pub mod access;
mod decisions;
mod door;
mod events;
pub mod imports;
mod intake;
mod leaderboard;
mod logins;
mod parameters;
mod points;
pub mod problem;
pub mod scrape;
pub mod tokens;

use access::{Grant, Route};
use door::Door;
use imports::Imports;
use logins::{Failed, Logins};
use problem::Problem;
use tokens::Tokens;

/// What the routes work with. Shared by all worker threads.
pub struct Desk {
    log: Log,
    tokens: Arc<Tokens>,
    logins: Arc<Logins>,
    /// How far ahead events may be dated, by the rules that this process puts in force.
    ahead_max: RwLock<AheadMax>,
    /// Types of outcome that destinations report themselves.
    answered: OnceLock<BTreeSet<String>>,
    limits: Limits,
    waiting: Arc<Semaphore>,
    waiting_max: usize,
    board: OnceLock<Arc<Board>>,
    deliveries: OnceLock<Arc<DestinationBoard>>,
    imports: OnceLock<Imports>,
    asker: OnceLock<Asker>,
    door: Door,
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
            logins: Arc::default(),
            ahead_max: RwLock::default(),
            answered: OnceLock::new(),
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
            door: Door::by_descriptors(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Tells the desk where the partitions give account of themselves. Counts once.
    pub fn set_board(&self, board: Arc<Board>) {
        // A second board would be of the same hosts; the first one stays.
        let _ = self.board.set(board);
    }

    /// Tells the desk where the destinations give account of themselves. Counts once.
    pub fn set_deliveries(&self, board: Arc<DestinationBoard>) {
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

    /// Tells the desk how far ahead events may be dated: what readers of the log would set aside is refused at once.
    pub fn set_ahead_max(&self, limits: AheadMax) {
        *self
            .ahead_max
            .write()
            .unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Tells the desk which types of outcome destinations report, so that no token may. Counts once; before it none are.
    pub fn set_answered(&self, types: BTreeSet<String>) {
        // As for partitions.
        let _ = self.answered.set(types);
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

    /// Whose request it is, if the token it carries may use this route.
    ///
    /// # Errors
    /// 401 for no valid token, after a while for an unknown one; 429 where too many of those are tried; 403 for one
    /// without the role.
    async fn admit(&self, request: &HttpRequest, route: Route) -> Result<Grant, Problem> {
        let failed = |why: Failed| telemetry::metrics().login_failed(why.name()).inc();
        let Some(authorization) = request.headers().get(header::AUTHORIZATION) else {
            failed(Failed::Missing);
            return Err(Problem::Unauthorized);
        };
        let Some(token) = authorization.to_str().ok().and_then(tokens::bearer) else {
            failed(Failed::Malformed);
            return Err(Problem::Unauthorized);
        };
        let address = request.peer_addr();
        let address = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
        if self.logins.is_full(address) {
            failed(Failed::Slowed);
            return Err(Problem::TooManyLogins);
        }
        let Some(grant) = self.tokens.grant(token) else {
            let Some(held) = self.logins.hold(address) else {
                failed(Failed::Slowed);
                return Err(Problem::TooManyLogins);
            };
            failed(Failed::Unknown);
            tokio::time::sleep(logins::HELD_FOR).await;
            drop(held);
            return Err(Problem::Unauthorized);
        };
        if grant.roles.has_any(route.roles()) {
            return Ok(grant);
        }
        let what = format!("{} {}", route.method(), route.path());
        Err(self.forbid(&grant, &what, route.roles()))
    }

    /// The answer to someone who is known and may not: `what` needs one of `needed`.
    fn forbid(&self, grant: &Grant, what: &str, needed: access::Roles) -> Problem {
        telemetry::metrics()
            .login_failed(Failed::Forbidden.name())
            .inc();
        Problem::forbidden(grant, what, needed)
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
    fn complaints(&self) -> Vec<String> {
        if self.stopping.load(Ordering::Relaxed) {
            return vec!["the process is stopping".to_owned()];
        }
        if let Some(fault) = self.log.fault() {
            return vec![fault];
        }
        let mut complaints = match self.board() {
            Some(board) => board.complaints(STALL),
            None => vec!["partitions are not taken over yet".to_owned()],
        };
        if let Some(board) = self.deliveries.get() {
            complaints.extend(board.complaints());
        }
        if let Some(health) = self.log.health() {
            complaints.extend(health.complaints());
        }
        complaints
    }

    /// What somebody has to mend, though this process does its work.
    fn notes(&self) -> Vec<String> {
        let mut notes = self.board().map_or_else(Vec::new, Board::notes);
        if let Some(board) = self.deliveries.get() {
            notes.extend(board.notes());
        }
        if let Some(health) = self.log.health() {
            notes.extend(health.notes());
        }
        notes.extend(self.log.clock_note());
        notes
    }
}

/// A server that answers.
pub struct Running {
    /// Addresses it listens on; the port is the real one where 0 was asked for.
    pub addresses: Vec<SocketAddr>,
    handle: ServerHandle,
    serving: JoinHandle<io::Result<()>>,
}

impl Running {
    /// Whether it has ended though it was not stopped: nothing can be sent or asked any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.serving.is_finished()
    }

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
    let serving = actix_web::rt::spawn(server);
    Ok(Running {
        addresses,
        handle,
        serving,
    })
}

fn bind(desk: Arc<Desk>, listen: SocketAddr) -> io::Result<(Server, Vec<SocketAddr>)> {
    let door = desk.door.clone();
    let data = web::Data::from(desk);
    let listener = TcpListener::bind(listen).map_err(|error| {
        let hint = "another address can be set with http.listen or --listen";
        io::Error::new(
            error.kind(),
            format!("cannot listen on {listen}: {error}; {hint}"),
        )
    })?;
    let address = listener.local_addr()?;
    let builder = Server::build()
        .workers(WORKERS)
        .shutdown_timeout(STOP_SECONDS)
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let server = builder.listen("http", listener, move || {
        let (data, stopping, door) = (data.clone(), stopping.clone(), door.clone());
        let app = map_config(app(data), |()| AppConfig::default())
            .map_err(|error: actix_web::Error| error.error_response());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEAD_TIMEOUT)
            .local_addr(address)
            .h1(app);
        fn_service(move |stream: TcpStream| {
            let entered = stream
                .peer_addr()
                .and_then(|peer| Ok((door.enter(stream)?, Some(peer))));
            ready(entered.map_err(DispatchError::Io))
        })
        .and_then(http)
    })?;
    Ok((server.run(), vec![address]))
}

/// The routes, and the count of what they answer.
fn app(
    data: web::Data<Desk>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(data)
        .wrap_fn(|request, service| {
            let route = route_name(request.request());
            let answer = service.call(request);
            async move {
                let answer = caught(async {
                    panic_if_planted(PanicIn::Request);
                    answer.await
                });
                // Without an answer the client would only see the connection go.
                let answer = answer.await.unwrap_or_else(|panicked| {
                    let problem = Problem::Internal("answering the request broke off".into());
                    Err(InternalError::from_response(panicked, problem.response()).into())
                });
                let status = match &answer {
                    Ok(answer) => answer.status(),
                    Err(error) => error.as_response_error().status_code(),
                };
                let status = status.as_u16();
                telemetry::metrics().http_request(route, status).inc();
                answer
            }
        })
        .service(read_only("/livez").route(get().to(scrape::livez)))
        .service(read_only("/readyz").route(get().to(scrape::readyz)))
        .service(read_only("/metrics").route(get().to(scrape::metrics)))
        .service(resource(Route::Events, web::post().to(events::post)))
        .service(resource(Route::ImportsWfm, web::post().to(imports::post)))
        .service(resource(Route::Points, get().to(points::get)))
        .service(resource(Route::Leaderboard, get().to(leaderboard::get)))
        .service(resource(Route::Approve, web::post().to(decisions::approve)))
        .service(resource(Route::Reject, web::post().to(decisions::reject)))
        .default_service(web::to(not_found))
}

/// A resource of the table of routes.
fn resource(route: Route, handler: actix_web::Route) -> Resource {
    let resource = match route.method() {
        Method::GET => read_only(route.path()),
        _ => write_only(route.path()),
    };
    resource.route(handler)
}

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
    let open = ["/livez", "/readyz", "/metrics"].into_iter();
    open.chain(Route::ALL.map(Route::path))
        .find(|route| pattern.as_deref() == Some(*route))
        .unwrap_or("other")
}
