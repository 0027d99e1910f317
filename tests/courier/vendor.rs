//! A vendor of few words: takes down every request as it came over the wire, and answers as it was told to.
//!
//! Written on the socket itself, so that it can also hang, break off and lie about lengths.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// `POST /v1/x?y=z`
    pub line: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What a request is answered with.
#[derive(Clone, Debug)]
pub enum Reply {
    Json(u16, Value),
    Text(u16, &'static str),
    With(u16, Vec<(&'static str, &'static str)>, Value),
    /// The connection stays, nothing comes.
    Hang,
    /// The connection ends after the request.
    Break,
    /// The connection ends in the middle of the answer.
    Half,
}

/// A running vendor; ends with the test's runtime.
#[derive(Clone)]
pub struct Vendor {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    /// By the request's line without its query; the last of them stays.
    replies: BTreeMap<String, VecDeque<Reply>>,
}

impl Vendor {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let vendor = Self {
            address: listener.local_addr().expect("an address"),
            state: Arc::default(),
        };
        let state = Arc::clone(&vendor.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
        });
        vendor
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers requests of this line, in this order, the last of them for ever.
    pub fn on(&self, line: &str, replies: Vec<Reply>) {
        let mut state = self.state.lock().expect("the vendor");
        state.replies.insert(line.to_owned(), replies.into());
    }

    /// All requests since the last time.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.lock().expect("the vendor").received)
    }

    /// The only request since the last time.
    pub fn only(&self) -> Received {
        let mut received = self.take();
        assert_eq!(received.len(), 1, "{received:#?}");
        received.remove(0)
    }

    /// The lines of all requests since the last time.
    pub fn lines(&self) -> Vec<String> {
        self.take().into_iter().map(|r| r.line).collect()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    while let Some(received) = request(&mut stream).await {
        let key = received
            .line
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned();
        let reply = {
            let mut state = state.lock().expect("the vendor");
            state.received.push(received);
            match state.replies.get_mut(&key) {
                Some(replies) if replies.len() > 1 => replies.pop_front(),
                Some(replies) => replies.front().cloned(),
                None => None,
            }
        };
        let reply = reply.unwrap_or(Reply::Text(404, "no such thing"));
        let (status, headers, body) = match reply {
            Reply::Json(status, body) => (status, vec![], body.to_string()),
            Reply::Text(status, body) => (status, vec![], body.to_owned()),
            Reply::With(status, headers, body) => (status, headers, body.to_string()),
            Reply::Hang => std::future::pending().await,
            Reply::Break => return,
            Reply::Half => {
                let half = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"status\":";
                let _ = stream.write_all(half).await;
                return;
            }
        };
        let mut text = format!(
            "HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&body);
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn request(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head of text");
    let mut lines = head.split("\r\n");
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |length| length.parse().expect("a length"));
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[end + 4..].to_vec()).expect("a body of text");
    Some(Received {
        line,
        headers,
        body,
    })
}
