//! A server to ask, the log behind it, and requests as no well-behaved client would send them.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use actix::System;
use aftercall::{
    config::{Config, HttpConfig, WfmColumns},
    desk::{self, Desk, Running, imports::Imports, tokens::Tokens},
    ingest::wfm::service::Importer,
    log::{
        Log,
        memory::{Faults, World},
    },
};
use aftercall_actors::contract::time::LogTime;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;

pub const TOKEN: &str = "a token of the tests";
/// 2026-11-20T12:00:00Z, when the log's clock begins.
pub const NOON_MS: i64 = 1_795_176_000_000;
pub const STRUCTURED: &str = "application/cloudevents+json";
pub const BATCH: &str = "application/cloudevents-batch+json";

/// A server and the log behind it.
pub struct Server {
    address: SocketAddr,
    pub world: World,
    pub desk: Arc<Desk>,
    pub importer: Arc<Importer>,
    client: Client,
    waiting_max: usize,
}

pub fn with_server<F: Future<Output = ()>>(test: impl FnOnce(Arc<Server>) -> F) {
    with_server_of(Tokens::one(TOKEN), Config::default().http, test);
}

pub fn with_server_of<F: Future<Output = ()>>(
    tokens: Tokens,
    config: HttpConfig,
    test: impl FnOnce(Arc<Server>) -> F,
) {
    System::new().block_on(async move {
        let world = World::beginning(LogTime(NOON_MS), 4, Faults::default());
        let log: Log = Arc::new(world.client());
        let desk = Desk::new(Arc::clone(&log), Arc::new(tokens), &config);
        let runtime = tokio::runtime::Handle::current();
        let importer = Importer::new(&log, "memory".into(), WfmColumns::default(), runtime);
        desk.set_imports(Imports::new(Arc::clone(&importer), config.import_max.0));
        let running: Running = desk::start(Arc::clone(&desk), ([127, 0, 0, 1], 0).into()).unwrap();
        let server = Server {
            address: running.addresses[0],
            world,
            desk,
            importer,
            client: client(),
            waiting_max: config.waiting_max,
        };
        test(Arc::new(server)).await;
        running.stop().await;
    });
}

impl Server {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    pub async fn post(&self, kind: &str, body: String) -> Response {
        let request = self.request(Method::POST, "/v1/events").bearer_auth(TOKEN);
        request
            .header("content-type", kind)
            .body(body)
            .send()
            .await
            .unwrap()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
    }

    /// A request whose body has begun.
    pub fn begin(&self, start: &str, length: usize) -> TcpStream {
        let mut stream = self.connect();
        let start = if start.len() == length { "" } else { start };
        write!(
            stream,
            "POST /v1/events HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {STRUCTURED}\r\n\
             Content-Length: {length}\r\n\r\n{start}"
        )
        .unwrap();
        stream
    }

    /// Sends a body without saying how long it is; the answer's head.
    pub async fn chunked(&self, body: &str) -> String {
        let mut stream = self.connect();
        write!(
            stream,
            "POST /v1/events HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {STRUCTURED}\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        )
        .unwrap();
        for part in body.as_bytes().chunks(10_000) {
            write!(stream, "{:x}\r\n", part.len()).unwrap();
            stream.write_all(part).unwrap();
            stream.write_all(b"\r\n").unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        read_head(&mut stream)
    }

    /// Until the begun request has been noticed.
    pub async fn until_waiting_is_full(&self) {
        for _ in 0..500 {
            if self.desk.waiting() == self.waiting_max {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the request was never noticed");
    }

    pub fn stored(&self) -> Vec<String> {
        let events = self.world.events();
        events
            .iter()
            .map(|event| String::from_utf8_lossy(&event.payload).into_owned())
            .collect()
    }

    pub fn stored_ids(&self) -> Vec<String> {
        let id = |text: String| {
            serde_json::from_str::<Value>(&text).unwrap()["id"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        self.stored().into_iter().map(id).collect()
    }
}

pub fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// The client wants to know whose cryptography it is to use, even where it needs none.
fn client() -> Client {
    aftercall::sinks::client::install_provider();
    Client::new()
}
