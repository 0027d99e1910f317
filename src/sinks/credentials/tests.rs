//! Credentials against a real HTTP server that plays token endpoint and destination.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use futures::future::join_all;
use reqwest::{Method, header::HeaderMap};

use super::*;
use crate::sinks::{
    client::Settings,
    spec::{CredentialsIn, TlsSpec},
};

mod answers;

pub(super) const SECRET: &str = "planted-s3cr&t";

/// What the endpoint is to do, and what it saw.
struct Endpoint {
    delay: Duration,
    expires_in: u64,
    status: u16,
    /// Gives the first token for ever.
    repeats: bool,
    /// Answers with these, content type and body, whatever it is asked.
    raw: Option<(&'static str, Vec<u8>)>,
    /// `Authorization` and body of every token request.
    asked: Vec<(Option<String>, String)>,
}

type Shared = Arc<Mutex<Endpoint>>;

struct Server {
    endpoint: Shared,
    url: String,
    handle: ServerHandle,
    secret: PathBuf,
    _dir: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let endpoint: Shared = Arc::new(Mutex::new(Endpoint {
            delay: Duration::from_millis(50),
            expires_in: 3600,
            status: 200,
            repeats: false,
            raw: None,
            asked: Vec::new(),
        }));
        let data = web::Data::from(endpoint.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route("/oauth/token", web::post().to(token))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
        let address = server.addrs()[0];
        let running = server.run();
        let handle = running.handle();
        tokio::spawn(running);
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        fs::write(&secret, SECRET).unwrap();
        Self {
            endpoint,
            url: format!("http://{address}/oauth/token"),
            handle,
            secret,
            _dir: dir,
        }
    }

    fn set(&self, change: impl FnOnce(&mut Endpoint)) {
        change(&mut locked(&self.endpoint));
    }

    fn asked(&self) -> usize {
        locked(&self.endpoint).asked.len()
    }

    fn credentials(&self) -> Credentials {
        self.credentials_in(CredentialsIn::Header, None)
    }

    fn credentials_in(&self, credentials_in: CredentialsIn, scope: Option<&str>) -> Credentials {
        let spec = AuthSpec::OAuth2 {
            token_url: self.url.clone(),
            client_id: Identity::Plain("client:1".to_owned()),
            client_secret: SecretRef::File(self.secret.clone()),
            scope: scope.map(str::to_owned),
            credentials_in,
        };
        Credentials::new(&spec, connector(TlsSpec::default(), Duration::from_secs(5)))
    }

    async fn stop(self) {
        self.handle.stop(false).await;
    }
}

fn locked(endpoint: &Mutex<Endpoint>) -> std::sync::MutexGuard<'_, Endpoint> {
    endpoint.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tokens are numbered, so that one can be told from the next.
async fn token(
    endpoint: web::Data<Mutex<Endpoint>>,
    request: HttpRequest,
    body: String,
) -> HttpResponse {
    let authorization = request
        .headers()
        .get("authorization")
        .map(|value| value.to_str().unwrap().to_owned());
    let (number, delay, expires_in, status) = {
        let mut endpoint = locked(&endpoint);
        endpoint.asked.push((authorization, body.clone()));
        let number = if endpoint.repeats {
            1
        } else {
            endpoint.asked.len()
        };
        (number, endpoint.delay, endpoint.expires_in, endpoint.status)
    };
    tokio::time::sleep(delay).await;
    if let Some((content_type, body)) = locked(&endpoint).raw.clone() {
        let status = actix_web::http::StatusCode::from_u16(status).unwrap();
        return HttpResponse::build(status)
            .content_type(content_type)
            .body(body);
    }
    if status != 200 {
        let said = format!("no client with client_secret={SECRET}");
        let status = actix_web::http::StatusCode::from_u16(status).unwrap();
        return HttpResponse::build(status).json(
            serde_json::json!({"error": "invalid_client", "error_description": said, "echo": body}),
        );
    }
    HttpResponse::Ok().json(serde_json::json!({
        "access_token": format!("planted-token-{number}"), "token_type": "bearer", "expires_in": expires_in,
    }))
}

pub(super) fn connector(tls: TlsSpec, total_timeout: Duration) -> Arc<Connector> {
    let settings = Settings {
        connect_timeout: total_timeout,
        total_timeout,
        answer_bytes_max: 64 * 1024,
        roots_pem: None,
        identity_pem: None,
    };
    Arc::new(Connector::new(tls, settings).unwrap())
}

fn request() -> Request {
    Request {
        method: Method::POST,
        url: "http://127.0.0.1/".parse().unwrap(),
        url_is_secret: false,
        headers: HeaderMap::new(),
        body: b"{}".to_vec(),
    }
}

/// Applies and says what the header is then.
pub(super) async fn apply(credentials: &Credentials) -> Result<(String, Grant), Fault> {
    let mut request = request();
    let grant = credentials.apply(&mut request, "out-1").await?;
    let value = &request.headers[AUTHORIZATION];
    assert!(value.is_sensitive());
    Ok((value.to_str().unwrap().to_owned(), grant))
}

pub(super) async fn header(credentials: &Credentials) -> String {
    apply(credentials).await.unwrap().0
}

#[actix_web::test]
async fn s1_02_fifty_requests_at_once_fetch_one_token() {
    let server = Server::start().await;
    let credentials = server.credentials();
    let headers = join_all((0..50).map(|_| header(&credentials))).await;
    assert_eq!(headers, vec!["Bearer planted-token-1"; 50]);
    assert_eq!(server.asked(), 1);
    assert_eq!(header(&credentials).await, "Bearer planted-token-1");
    assert_eq!(server.asked(), 1, "kept");
    server.stop().await;
}

#[actix_web::test]
async fn s1_02_a_token_is_replaced_before_it_ends_and_nobody_waits_for_it() {
    let server = Server::start().await;
    server.set(|endpoint| endpoint.expires_in = 5);
    let credentials = server.credentials();
    let begun = Instant::now();
    assert_eq!(header(&credentials).await, "Bearer planted-token-1");
    // Fresh for four seconds of five.
    tokio::time::sleep(Duration::from_millis(3_500).saturating_sub(begun.elapsed())).await;
    let early = header(&credentials).await;
    if begun.elapsed() < Duration::from_secs(4) {
        assert_eq!(
            (early.as_str(), server.asked()),
            ("Bearer planted-token-1", 1)
        );
    }
    server.set(|endpoint| endpoint.delay = Duration::from_millis(200));
    tokio::time::sleep(Duration::from_millis(4_100).saturating_sub(begun.elapsed())).await;
    let asked_at = Instant::now();
    let headers = join_all((0..50).map(|_| header(&credentials))).await;
    assert_eq!(headers, vec!["Bearer planted-token-1"; 50]);
    assert!(
        asked_at.elapsed() < Duration::from_millis(200),
        "somebody waited"
    );
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(header(&credentials).await, "Bearer planted-token-2");
    assert_eq!(server.asked(), 2, "one for all fifty");
    server.stop().await;
}

#[actix_web::test]
async fn s1_02_a_token_that_has_ended_is_not_used() {
    let server = Server::start().await;
    server.set(|endpoint| endpoint.expires_in = 1);
    let credentials = server.credentials();
    assert_eq!(header(&credentials).await, "Bearer planted-token-1");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(header(&credentials).await, "Bearer planted-token-2");
    // One that ends at once serves those who waited for it, and nobody later.
    server.set(|endpoint| endpoint.expires_in = 0);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(header(&credentials).await, "Bearer planted-token-3");
    assert_eq!(header(&credentials).await, "Bearer planted-token-4");
    server.stop().await;
}

#[actix_web::test]
async fn s1_10_after_a_401_one_fetch_serves_all_who_were_refused() {
    let server = Server::start().await;
    let credentials = server.credentials();
    let (_, grant) = apply(&credentials).await.unwrap();
    let again = join_all((0..50).map(|_| credentials.refuse(&grant))).await;
    assert_eq!(again, vec![Ok(true); 50]);
    assert_eq!(server.asked(), 2);
    // One that comes late with the old token finds the new one.
    assert_eq!(credentials.refuse(&grant).await, Ok(true));
    assert_eq!(server.asked(), 2);
    assert_eq!(header(&credentials).await, "Bearer planted-token-2");
    server.stop().await;
}

#[actix_web::test]
async fn s1_10_the_same_token_again_is_not_worth_another_request() {
    let server = Server::start().await;
    server.set(|endpoint| endpoint.repeats = true);
    let credentials = server.credentials();
    let (_, grant) = apply(&credentials).await.unwrap();
    assert_eq!(credentials.refuse(&grant).await, Ok(false));
    assert_eq!(server.asked(), 2);
    // A token endpoint that is down must not turn a 401 into a rejection.
    server.set(|endpoint| endpoint.status = 503);
    assert!(matches!(
        credentials.refuse(&grant).await,
        Err(Fault::NotReady(_))
    ));
    server.stop().await;
}

#[actix_web::test]
async fn s1_10_a_failure_is_asked_for_once_says_nothing_secret_and_ends_with_a_new_secret() {
    let server = Server::start().await;
    server.set(|endpoint| endpoint.status = 401);
    let credentials = server.credentials();
    let failed = Err(Fault::Misconfigured(
        "the token endpoint gives none, status 401: invalid_client: no client with client_secret=***".to_owned(),
    ));
    let all = join_all((0..50).map(|_| async { apply(&credentials).await.map(|_| ()) })).await;
    let begun = Instant::now();
    assert_eq!(all, vec![failed.clone(); 50]);
    assert_eq!(server.asked(), 1);
    let at_once = apply(&credentials).await.map(|_| ());
    if begun.elapsed() < Duration::from_secs(1) {
        assert_eq!((at_once, server.asked()), (failed, 1));
    }
    fs::write(&server.secret, "the-new-one\n").unwrap();
    server.set(|endpoint| {
        endpoint.status = 200;
        endpoint.asked.clear();
    });
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(header(&credentials).await, "Bearer planted-token-1");
    let sent = locked(&server.endpoint).asked[0].0.clone().unwrap();
    assert_eq!(
        sent,
        format!("Basic {}", BASE64_STANDARD.encode("client%3A1:the-new-one"))
    );
    server.stop().await;
}

#[actix_web::test]
async fn s1_02_one_who_gives_up_takes_nothing_from_the_others() {
    let server = Server::start().await;
    server.set(|endpoint| endpoint.delay = Duration::from_millis(300));
    let credentials = Arc::new(server.credentials());
    let first = credentials.clone();
    let first = tokio::spawn(async move { header(&first).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = credentials.clone();
    let second = tokio::spawn(async move { header(&second).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    first.abort();
    assert_eq!(second.await.unwrap(), "Bearer planted-token-1");
    assert_eq!(server.asked(), 1);
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn s1_02_an_endpoint_that_hangs_is_waited_for_ten_seconds_and_no_more() {
    // Takes connections into its backlog, and never an answer out of it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    let spec = AuthSpec::OAuth2 {
        token_url: format!("http://{}/", listener.local_addr().unwrap()),
        client_id: Identity::Plain("id".to_owned()),
        client_secret: SecretRef::File(secret),
        scope: None,
        credentials_in: CredentialsIn::Header,
    };
    let credentials = Credentials::new(
        &spec,
        connector(TlsSpec::default(), Duration::from_secs(60)),
    );
    let begun = tokio::time::Instant::now();
    let fault = apply(&credentials).await.unwrap_err();
    assert!(
        matches!(&fault, Fault::NotReady(why) if why.contains("10s")),
        "{fault}"
    );
    let waited = begun.elapsed();
    assert!(
        waited >= Credentials::WAIT_MAX && waited < Duration::from_secs(11),
        "{waited:?}"
    );
}

#[actix_web::test]
async fn s1_02_id_and_secret_go_as_a_header_or_in_the_form_and_never_in_the_address() {
    let server = Server::start().await;
    header(&server.credentials_in(CredentialsIn::Header, Some("survey:read survey:write"))).await;
    header(&server.credentials_in(CredentialsIn::Body, None)).await;
    let basic = BASE64_STANDARD.encode("client%3A1:planted-s3cr%26t");
    assert_eq!(
        locked(&server.endpoint).asked,
        [
            (
                Some(format!("Basic {basic}")),
                "grant_type=client_credentials&scope=survey%3Aread%20survey%3Awrite".to_owned()
            ),
            (
                None,
                "grant_type=client_credentials&client_id=client%3A1&client_secret=planted-s3cr%26t"
                    .to_owned()
            ),
        ]
    );
    server.stop().await;
}

#[actix_web::test]
async fn s1_10_bearer_and_basic_follow_their_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    let reference = SecretRef::File(file.clone());
    let plain = || connector(TlsSpec::default(), Duration::from_secs(1));
    let bearer = Credentials::new(
        &AuthSpec::Bearer {
            token: reference.clone(),
        },
        plain(),
    );
    let basic = Credentials::new(
        &AuthSpec::Basic {
            user: Identity::Plain("aladdin".to_owned()),
            password: reference,
        },
        plain(),
    );
    let missing = apply(&bearer).await.unwrap_err();
    assert_eq!(
        missing,
        Fault::Misconfigured(format!("secret file:{}: there is none", file.display()))
    );
    fs::write(&file, "opensesame\n").unwrap();
    let (shown, grant) = apply(&bearer).await.unwrap();
    assert_eq!(shown, "Bearer opensesame");
    // The example of RFC 7617.
    assert_eq!(header(&basic).await, "Basic YWxhZGRpbjpvcGVuc2VzYW1l");
    assert_eq!(
        bearer.refuse(&grant).await,
        Ok(false),
        "nothing else to try"
    );
    fs::write(&file, "open barley\n").unwrap();
    assert_eq!(
        bearer.refuse(&grant).await,
        Ok(true),
        "exchanged in the meantime"
    );
    assert_eq!(header(&bearer).await, "Bearer open barley");
    fs::write(&file, "planted\nsecond line").unwrap();
    let unfit = bearer.refuse(&grant).await.unwrap_err();
    assert!(matches!(unfit, Fault::Misconfigured(_)) && !unfit.to_string().contains("planted"));
    let nothing = Credentials::new(&AuthSpec::None, plain());
    let mut request = request();
    let grant = nothing.apply(&mut request, "x").await.unwrap();
    assert!(request.headers.is_empty());
    assert_eq!(nothing.refuse(&grant).await, Ok(false));
}

#[actix_web::test]
async fn s1_10_nothing_shown_of_credentials_holds_a_secret() {
    let server = Server::start().await;
    let credentials = server.credentials();
    let mut request = request();
    let grant = credentials.apply(&mut request, "out-1").await.unwrap();
    let panic = std::panic::catch_unwind(|| panic!("{credentials:?}")).unwrap_err();
    for shown in [
        format!("{credentials:?}"),
        format!("{grant:?}"),
        format!("{request:?}"),
        panic.downcast_ref::<String>().unwrap().clone(),
    ] {
        assert!(!shown.contains("planted"), "{shown}");
    }
    server.stop().await;
}
