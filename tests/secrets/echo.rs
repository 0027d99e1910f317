//! A vendor with the worst of manners: every refusal repeats the whole request, credentials and all, over HTTP and
//! over SMTP. What it was shown is taken down, so that a test knows that the secrets were really used.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

/// Part of the names that the mail server lets in, to refuse what they send.
const WELCOME: &str = "mail-user";

/// Both servers. Their threads end with the test's process.
pub struct Echo {
    pub http: SocketAddr,
    pub smtp: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Requests as they came over the wire.
    seen: Mutex<Vec<String>>,
    /// The one token that is let in at `/rotating`.
    accepted: Mutex<String>,
    /// What its token endpoint gives.
    token: String,
}

impl Echo {
    /// Listens. `accepted` is let in at `/rotating`, `token` is given at `/token`.
    pub fn start(accepted: &str, token: &str) -> Self {
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            accepted: Mutex::new(accepted.to_owned()),
            token: token.to_owned(),
        });
        Self {
            http: serve(Arc::clone(&shared), http),
            smtp: serve(Arc::clone(&shared), smtp),
            shared,
        }
    }

    /// From now on only this token is let in at `/rotating`.
    pub fn accept(&self, token: &str) {
        *self.shared.accepted.lock().unwrap() = token.to_owned();
    }

    /// How many requests held all of `parts`.
    pub fn seen(&self, parts: &[&str]) -> usize {
        let seen = self.shared.seen.lock().unwrap();
        let holds = |text: &&String| parts.iter().all(|part| text.contains(part));
        seen.iter().filter(holds).count()
    }
}

fn serve(shared: Arc<Shared>, talk: fn(TcpStream, &Shared) -> std::io::Result<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let shared = Arc::clone(&shared);
            // A client that goes away in the middle is no fault of this side.
            thread::spawn(move || stream.and_then(|stream| talk(stream, &shared)));
        }
    });
    address
}

/// One request a connection.
fn http(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = format!("{head}{}", String::from_utf8_lossy(&body));
    shared.seen.lock().unwrap().push(request.clone());
    let path = head.split(' ').nth(1).unwrap_or_default();
    let authorization = head
        .lines()
        .find_map(|line| line.strip_prefix("authorization: "))
        .unwrap_or_default();
    let accepted = format!("Bearer {}", shared.accepted.lock().unwrap());
    let (status, answer) = match path {
        "/token" => (
            200,
            json!({"access_token": shared.token, "token_type": "Bearer", "expires_in": 3600}),
        ),
        "/token/none" => (
            401,
            json!({"error": "invalid_client", "error_description": request}),
        ),
        "/rotating" if authorization == accepted => (200, json!({"taken": true})),
        _ => {
            let status = [401, 403, 500]
                .into_iter()
                .find(|s| path.contains(&s.to_string()));
            let answer = json!({"refused": request, "headers": {"authorization": authorization, "nested": [authorization]}, authorization: true});
            (status.unwrap_or(400), answer)
        }
    };
    // The word of the status line, a header and the body: each a place where it may come back.
    let answer = answer.to_string();
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status} Said\r\nx-you-said: {authorization}\r\nlocation: {path}\r\nset-cookie: s={authorization}\r\n\
         content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    )
}

/// A login is refused, or held against the mail that is sent with it.
fn smtp(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut login = String::new();
    reader.get_mut().write_all(b"220 echo\r\n")?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let answer = match line.split(' ').next().unwrap_or_default() {
            "EHLO" => "250-echo\r\n250 AUTH PLAIN".to_owned(),
            "AUTH" => {
                shared.seen.lock().unwrap().push(line.to_owned());
                line.clone_into(&mut login);
                let shown = line.rsplit(' ').next().unwrap_or_default();
                let shown = BASE64_STANDARD.decode(shown).unwrap_or_default();
                match String::from_utf8_lossy(&shown).contains(WELCOME) {
                    true => "235 come in".to_owned(),
                    false => format!("535 5.7.8 not with {line}"),
                }
            }
            "QUIT" => "221 bye".to_owned(),
            _ => format!("550 5.7.1 not after {login}"),
        };
        write!(reader.get_mut(), "{answer}\r\n")?;
    }
}
