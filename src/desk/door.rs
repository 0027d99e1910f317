//! Connections, before anything of HTTP is done with them: how many there may be, and heads that end their lines wrongly.
//!
//! A process has few descriptors where `ulimit -n` is low. They are not all for connections: beyond a bound a new one is
//! told 503 and closed, so that the log, rule files and destinations always get theirs.
//!
//! The parser behind this takes a line feed without a carriage return for the end of a line in a request's head. A proxy
//! in front may not, and of two who see different heads one can be led around the other. So heads are followed here, and
//! such a line feed is handed on as a byte that no head may hold: the request is refused as any other broken one, before
//! it is a request. What a broken one costs is a counter.

use std::{
    io, mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::telemetry::metrics;

/// Connections at a time where the system does not say how many descriptors there are.
const CONNECTIONS: usize = 25_000;

/// How many connections there are, and may be.
#[derive(Clone, Debug)]
pub struct Door {
    open: Arc<AtomicUsize>,
    max: usize,
}

impl Door {
    /// A door for as many connections as the process's descriptors allow, with enough left for everything else.
    #[must_use]
    pub fn by_descriptors() -> Self {
        Self::for_at_most(connections_max(descriptors()))
    }

    /// A door for at most so many connections.
    #[must_use]
    pub fn for_at_most(max: usize) -> Self {
        Self {
            open: Arc::default(),
            max,
        }
    }

    /// Lets a connection in, or tells it that there are too many.
    ///
    /// # Errors
    /// If there are; it is closed.
    pub fn enter(&self, stream: TcpStream) -> io::Result<Guarded> {
        const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n";
        let place = Place(Arc::clone(&self.open));
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.max {
            metrics().http_connections_refused.inc();
            // A courtesy: what a socket that nothing was sent to yet has no room for is not worth a wait.
            let _ = stream.try_write(FULL);
            drop(place);
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Ok(Guarded {
            stream,
            heads: Heads::default(),
            _place: place,
        })
    }
}

/// A quarter where there are few, half where there are many.
fn connections_max(descriptors: Option<u64>) -> usize {
    let max = descriptors.map_or(CONNECTIONS, |descriptors| {
        let share = if descriptors < 256 { 4 } else { 2 };
        usize::try_from(descriptors / share).unwrap_or(CONNECTIONS)
    });
    max.clamp(4, CONNECTIONS)
}

/// Files and connections that this process may have open, as many as the system grants it.
fn descriptors() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let most = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        let granted = match setrlimit(Resource::Nofile, most) {
            Ok(()) => limit.maximum,
            Err(_) => limit.current,
        };
        // Not said means without bound.
        granted.or(Some(u64::MAX))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// A connection's place among those there may be.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that was let in.
#[derive(Debug)]
pub struct Guarded {
    stream: TcpStream,
    heads: Heads,
    _place: Place,
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(new) = buffer.filled_mut().get_mut(before..) {
            self.heads.follow(new);
        }
        polled
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(polled, Poll::Ready(Ok(_))) && is_refusal_of_a_head(bytes) {
            metrics().http_broken.inc();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Whether these bytes begin with the answer to a head that cannot be read. Those of routes are never empty.
fn is_refusal_of_a_head(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.1 4")
        && bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .is_some_and(|end| {
                bytes
                    .get(end + 1..)
                    .is_some_and(|rest| rest.starts_with(b"content-length: 0\r\n"))
            })
}

/// Stands for a line feed that may not stand there; in a head no byte of this value may.
const REFUSED: u8 = 0;

/// Longest beginning of a line that is kept: those that say how long a body is are short.
const LINE_BYTES_MAX: usize = 256;

/// Where in the requests of a connection its bytes are.
#[derive(Debug, Default)]
struct Heads {
    at: At,
    line: Vec<u8>,
    /// Whether the head has a line yet: empty ones before it count for nothing.
    any: bool,
    length: u64,
    chunked: bool,
    last: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// In a head.
    #[default]
    Head,
    /// In a body of which so many bytes are to come.
    Body(u64),
    /// In the line with a chunk's length.
    ChunkLength,
    /// In a chunk of which so many bytes are to come, the line break behind it included.
    Chunk(u64),
    /// Behind the last chunk.
    Trailers,
}

impl Heads {
    /// Follows what has been read, and changes what must not be taken for the end of a line.
    fn follow(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = match &mut self.at {
                At::Body(left) | At::Chunk(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= taken as u64;
                    match self.at {
                        At::Body(0) => self.begin_head(),
                        At::Chunk(0) => self.at = At::ChunkLength,
                        _ => {}
                    }
                    taken
                }
                At::Head | At::ChunkLength | At::Trailers => {
                    if let Some(byte) = rest.first_mut() {
                        self.step(byte);
                    }
                    1
                }
            };
            rest = rest.get_mut(taken..).unwrap_or_default();
        }
    }

    fn step(&mut self, byte: &mut u8) {
        let before = mem::replace(&mut self.last, *byte);
        if *byte != b'\n' {
            if self.line.len() < LINE_BYTES_MAX {
                self.line.push(*byte);
            }
            return;
        }
        if before != b'\r' && self.at == At::Head {
            *byte = REFUSED;
            return;
        }
        let line = mem::take(&mut self.line);
        let line = line.trim_ascii();
        match self.at {
            At::Head if line.is_empty() && self.any => self.end_head(),
            At::Head if line.is_empty() => {}
            At::Head => {
                self.any = true;
                self.note(line);
            }
            At::ChunkLength => {
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                let digits = str::from_utf8(digits.trim_ascii()).unwrap_or_default();
                self.at = match u64::from_str_radix(digits, 16) {
                    Ok(0) => At::Trailers,
                    Ok(length) => At::Chunk(length.saturating_add(2)),
                    // It is refused, and the connection closed.
                    Err(_) => At::Body(u64::MAX),
                };
            }
            At::Trailers if line.is_empty() => self.begin_head(),
            At::Trailers | At::Body(_) | At::Chunk(_) => {}
        }
    }

    /// What a header says of the body. Heads that say two things are refused behind this.
    fn note(&mut self, line: &[u8]) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            return;
        };
        let value = value.trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = str::from_utf8(value).unwrap_or_default();
            self.length = value.parse().unwrap_or(u64::MAX);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = value.to_ascii_lowercase().ends_with(b"chunked");
        }
    }

    fn end_head(&mut self) {
        match (self.chunked, self.length) {
            (true, _) => self.at = At::ChunkLength,
            (false, 0) => self.begin_head(),
            (false, length) => self.at = At::Body(length),
        }
    }

    fn begin_head(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is handed on of these bytes, read in pieces of every size.
    fn followed(text: &str) -> String {
        let whole = |size: usize| {
            let (mut heads, mut bytes) = (Heads::default(), text.as_bytes().to_vec());
            for piece in bytes.chunks_mut(size) {
                heads.follow(piece);
            }
            String::from_utf8(bytes).unwrap()
        };
        let at_once = whole(text.len());
        for size in 1..text.len() {
            assert_eq!(whole(size), at_once, "in pieces of {size}");
        }
        at_once
    }

    #[test]
    fn a_line_feed_alone_is_refused_in_a_head_and_nowhere_else() {
        for good in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\n\nbGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n3;x=y\r\n\na\n\r\n0\r\nt: 1\r\n\r\nGET /\r\n\r\n",
        ] {
            assert_eq!(followed(good), good);
        }
        for (bad, handed) in [
            (
                "GET / HTTP/1.1\nHost: a\r\n\r\n",
                "GET / HTTP/1.1\0Host: a\r\n\r\n",
            ),
            ("\nGET / HTTP/1.1\r\n\r\n", "\0GET / HTTP/1.1\r\n\r\n"),
            (
                "GET / HTTP/1.1\r\nA: b\n\r\n",
                "GET / HTTP/1.1\r\nA: b\0\r\n",
            ),
            ("GET / HTTP/1.1\r\n\n", "GET / HTTP/1.1\r\n\0"),
            (
                "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\nGET / HTTP/1.1\n",
                "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\nGET / HTTP/1.1\0",
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\nGET /\n",
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\nGET /\0",
            ),
        ] {
            assert_eq!(followed(bad), handed);
        }
    }

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        for (descriptors, connections) in [
            (Some(8), 4),
            (Some(64), 16),
            (Some(255), 63),
            (Some(256), 128),
            (Some(1 << 20), 25_000),
            (None, 25_000),
        ] {
            assert_eq!(connections_max(descriptors), connections, "{descriptors:?}");
        }
    }

    #[test]
    fn only_an_empty_refusal_is_one_of_a_head() {
        assert!(is_refusal_of_a_head(
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        ));
        assert!(!is_refusal_of_a_head(
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 17\r\n\r\n"
        ));
        assert!(!is_refusal_of_a_head(
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        ));
    }
}
