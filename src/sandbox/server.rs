//! The HTTP side: a request is read whole, decided under the lock, and answered, delayed, dropped or left hanging.
//!
//! Waiting costs a timer, no thread. Closing a connection without an answer needs the socket, of which each connection
//! lends a second handle.

use std::{
    any::Any,
    collections::BTreeMap,
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::AsFd,
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::{Extensions, Server},
    http::{ConnectionType, StatusCode},
    rt, web,
};

use super::{
    Sandbox,
    call::{Call, Reply},
    control,
    world::{Plan, Then},
};

/// Largest body that is read, in bytes. Vendors' own limits are lower.
const BODY_MAX: usize = 1_024 * 1_024;

/// How long a request hangs that never gets an answer: longer than any client waits.
const HANG: Duration = Duration::from_secs(600);

/// How long a client may take for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// A second handle to the socket of a connection.
struct Socket(TcpStream);

/// Binds the server; its address with the real port.
///
/// # Errors
/// If the address cannot be listened on.
pub fn bind(
    sandbox: &Arc<Sandbox>,
    listen: SocketAddr,
    workers: usize,
) -> io::Result<(Server, SocketAddr)> {
    let data = web::Data::from(Arc::clone(sandbox));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .default_service(web::to(answer))
    })
    .workers(workers.max(1))
    .client_request_timeout(HEAD_TIMEOUT)
    .keep_alive(KEEP_ALIVE)
    // A client that has gone away frees what hangs on it.
    .h1_allow_half_closed(false)
    .on_connect(lend_socket)
    .disable_signals()
    .bind(listen)
    .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}")))?;
    let address = server.addrs().first().copied().unwrap_or(listen);
    Ok((server.run(), address))
}

fn lend_socket(connection: &dyn Any, data: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<rt::net::TcpStream>() {
        // Answers are small and waited for. If that cannot be set they are only later.
        let _ = stream.set_nodelay(true);
        // Without a second handle (no descriptors left) a drop becomes an answer: the client sees a 500.
        if let Ok(handle) = stream.as_fd().try_clone_to_owned() {
            data.insert(Socket(TcpStream::from(handle)));
        }
    }
}

async fn answer(
    request: HttpRequest,
    payload: web::Payload,
    sandbox: web::Data<Sandbox>,
) -> HttpResponse {
    let path = request
        .uri()
        .path_and_query()
        .map_or_else(|| request.path().to_owned(), |path| path.to_string());
    let mut headers = BTreeMap::new();
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.insert(name.as_str().to_owned(), value);
    }
    let method = request.method().as_str();
    let (body, broken) = match payload.to_bytes_limited(BODY_MAX).await {
        // Copied: what came is a part of the connection's buffer, which the ledger would hold on to.
        Ok(Ok(body)) => (web::Bytes::copy_from_slice(&body), None),
        Ok(Err(error)) => {
            let detail = format!("the body broke off: {error}");
            let reply = Reply::problem(400, "malformed", detail);
            (web::Bytes::new(), Some(reply))
        }
        Err(_) => {
            let detail = format!("a body has at most {BODY_MAX} bytes");
            let reply = Reply::problem(413, "too_large", detail);
            (web::Bytes::new(), Some(reply))
        }
    };
    let call = Call::new(method, &path, headers, body);
    if control::is_own(&path) {
        let reply = broken.unwrap_or_else(|| sandbox.own(&call));
        return response(&reply);
    }
    let is_broken = broken.is_some();
    let Plan { delay, then } = match broken {
        None => sandbox.receive(call),
        Some(reply) => sandbox.refuse(call, reply),
    };
    if !delay.is_zero() {
        rt::time::sleep(delay).await;
    }
    match then {
        Then::Answer(reply) => {
            let mut answer = response(&reply);
            if is_broken {
                // The rest of the body is still on the connection.
                answer.head_mut().set_connection_type(ConnectionType::Close);
            }
            answer
        }
        Then::Close => close(&request),
        Then::Hang => {
            rt::time::sleep(HANG).await;
            close(&request)
        }
    }
}

/// Closes the connection: what is answered afterwards goes nowhere.
fn close(request: &HttpRequest) -> HttpResponse {
    if let Some(Socket(socket)) = request.conn_data::<Socket>() {
        // If it is closed already, that is what was wanted.
        let _ = socket.shutdown(Shutdown::Both);
    }
    let mut answer = HttpResponse::InternalServerError().finish();
    answer.head_mut().set_connection_type(ConnectionType::Close);
    answer
}

fn response(reply: &Reply) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = HttpResponse::build(status);
    for (name, value) in &reply.headers {
        answer.append_header((*name, value.as_str()));
    }
    if reply.content_type.is_empty() {
        return answer.finish();
    }
    answer
        .content_type(reply.content_type)
        .body(reply.body.clone())
}
