//! A mail server that keeps what it is given: SMTP (RFC 5321) as far as a submission needs it, without TLS.
//!
//! The conversation only; a message that is complete goes to the vendors as a call for `mail`, so the ledger and the
//! faults know it like any other. That email works against a mail server of somebody else's making, with STARTTLS, is
//! proved in the tests against one. By recipient: `greylisted@` is put off once with 451, `unknown@` refused with 550.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::{rt, web::Bytes};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{
    Sandbox,
    call::Call,
    world::{Plan, Then},
};

/// Largest message taken. Unit: bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Longest command line, as RFC 5321 has it with some room. Unit: bytes.
const LINE_BYTES_MAX: usize = 4_096;

/// How long an answer that never comes is waited for.
const HANG: Duration = Duration::from_secs(600);

/// Serves until the system ends.
pub async fn serve(listener: TcpListener, sandbox: Arc<Sandbox>) {
    let greylist = Arc::new(Greylist::default());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (sandbox, greylist) = (Arc::clone(&sandbox), Arc::clone(&greylist));
                rt::spawn(async move {
                    if let Err(error) = converse(stream, &sandbox, &greylist).await {
                        tracing::debug!(%error, "a mail conversation broke off");
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: it passes.
                tracing::warn!(%error, "no mail conversation taken");
                rt::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Recipients that were put off once.
#[derive(Default)]
struct Greylist(Mutex<HashSet<String>>);

impl Greylist {
    /// True the first time.
    fn puts_off(&self, recipient: &str) -> bool {
        recipient.starts_with("greylisted@")
            && self
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(recipient.to_owned())
    }
}

/// The envelope so far.
#[derive(Default)]
struct Envelope {
    from: Option<String>,
    to: Vec<String>,
}

async fn converse(stream: TcpStream, sandbox: &Sandbox, greylist: &Greylist) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    say(&mut write, "220 sandbox ESMTP").await?;
    let mut envelope = Envelope::default();
    while let Some(line) = command(&mut read).await? {
        let verb: String = line.chars().take_while(char::is_ascii_alphabetic).collect();
        let answer = match verb.to_ascii_uppercase().as_str() {
            "EHLO" => format!("250-sandbox\r\n250-8BITMIME\r\n250 SIZE {MESSAGE_BYTES_MAX}"),
            "HELO" => "250 sandbox".to_owned(),
            "NOOP" => "250 OK".to_owned(),
            "RSET" => {
                envelope = Envelope::default();
                "250 OK".to_owned()
            }
            "MAIL" => match address(&line) {
                Some(from) => {
                    envelope = Envelope {
                        from: Some(from),
                        to: Vec::new(),
                    };
                    "250 OK".to_owned()
                }
                None => "501 MAIL FROM:<address> expected".to_owned(),
            },
            "RCPT" if envelope.from.is_none() => "503 MAIL comes first".to_owned(),
            "RCPT" => match address(&line) {
                Some(to) if to.starts_with("unknown@") => "550 no such mailbox".to_owned(),
                Some(to) if greylist.puts_off(&to) => "451 try again later".to_owned(),
                Some(to) => {
                    envelope.to.push(to);
                    "250 OK".to_owned()
                }
                None => "501 RCPT TO:<address> expected".to_owned(),
            },
            "DATA" => match std::mem::take(&mut envelope) {
                Envelope {
                    from: Some(from),
                    to,
                } if !to.is_empty() => {
                    say(&mut write, "354 end with a dot on a line of its own").await?;
                    match message(&mut read).await? {
                        Some(text) => match deliver(sandbox, &from, &to, text).await {
                            Some(answer) => answer,
                            // A fault closes the connection without an answer.
                            None => return Ok(()),
                        },
                        None => "552 message too large".to_owned(),
                    }
                }
                Envelope { .. } => "503 MAIL and RCPT come first".to_owned(),
            },
            "QUIT" => {
                say(&mut write, "221 bye").await?;
                return Ok(());
            }
            _ => "502 not known here".to_owned(),
        };
        say(&mut write, &answer).await?;
    }
    Ok(())
}

async fn say(write: &mut (impl AsyncWrite + Unpin), answer: &str) -> io::Result<()> {
    write.write_all(format!("{answer}\r\n").as_bytes()).await
}

/// The next line without its end; `None` at the end of the conversation.
async fn command(
    read: &mut (impl AsyncRead + AsyncBufReadExt + Unpin),
) -> io::Result<Option<String>> {
    let line = line(read).await?;
    Ok(line.map(|line| String::from_utf8_lossy(&line).trim_end().to_owned()))
}

/// The next line with its end; an endless one is an error.
async fn line(
    read: &mut (impl AsyncRead + AsyncBufReadExt + Unpin),
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let held = read.fill_buf().await?;
        if held.is_empty() {
            return Ok(None);
        }
        let end = held.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(held.len(), |end| end + 1);
        line.extend_from_slice(&held[..taken]);
        read.consume(taken);
        if end.is_some() {
            return Ok(Some(line));
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "line too long"));
        }
    }
}

/// A message up to the lone dot; `None` if it was too large, and then read to its end all the same.
async fn message(
    read: &mut (impl AsyncRead + AsyncBufReadExt + Unpin),
) -> io::Result<Option<String>> {
    let mut text = Vec::new();
    let mut is_too_large = false;
    loop {
        let Some(line) = line(read).await? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        if line == b".\r\n" || line == b".\n" {
            break;
        }
        let line = line.strip_prefix(b".").unwrap_or(&line);
        is_too_large |= text.len() + line.len() > MESSAGE_BYTES_MAX;
        if !is_too_large {
            text.extend_from_slice(line);
        }
    }
    Ok((!is_too_large).then(|| String::from_utf8_lossy(&text).into_owned()))
}

/// Hands a message to the vendors; what to answer, or nothing and the end of the conversation.
async fn deliver(sandbox: &Sandbox, from: &str, to: &[String], text: String) -> Option<String> {
    let mut headers = BTreeMap::from([
        ("from".to_owned(), from.to_owned()),
        ("to".to_owned(), to.join(", ")),
    ]);
    if let Some(id) = message_id(&text) {
        headers.insert("message-id".to_owned(), id);
    }
    let call = Call::new("DATA", "/mail/messages", headers, Bytes::from(text));
    let Plan { delay, then } = sandbox.receive(call);
    rt::time::sleep(delay).await;
    match then {
        Then::Answer(reply) => Some(match reply.status {
            200..=299 => "250 kept".to_owned(),
            429 | 500..=599 => format!("451 put off, as HTTP would with {}", reply.status),
            _ => format!("554 refused, as HTTP would with {}", reply.status),
        }),
        Then::Close => None,
        Then::Hang => {
            rt::time::sleep(HANG).await;
            None
        }
    }
}

/// What stands between `<` and `>`.
fn address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once('<')?;
    let (address, _) = rest.split_once('>')?;
    Some(address.to_ascii_lowercase())
}

fn message_id(text: &str) -> Option<String> {
    let (headers, _) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    headers.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("message-id")
            .then(|| value.trim().to_owned())
    })
}
