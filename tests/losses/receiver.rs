//! A vendor that takes everything, and remembers under which identity it came.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// Deliveries by idempotency key, and how often each came.
type Taken = Arc<Mutex<BTreeMap<String, u32>>>;

pub struct Receiver {
    pub address: SocketAddr,
    taken: Taken,
    refuses: Arc<AtomicBool>,
}

impl Receiver {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let taken = Taken::default();
        let refuses = Arc::new(AtomicBool::new(false));
        let (books, refusing) = (Arc::clone(&taken), Arc::clone(&refuses));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (books, refusing) = (Arc::clone(&books), Arc::clone(&refusing));
                std::thread::spawn(move || serve(stream, &books, &refusing));
            }
        });
        Self {
            address,
            taken,
            refuses,
        }
    }

    /// From now on it takes nothing, for good, or takes everything again. What it refuses stands in the books as well.
    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    /// What came, and how often.
    pub fn taken(&self) -> BTreeMap<String, u32> {
        self.taken.lock().expect("the books").clone()
    }
}

fn serve(stream: TcpStream, books: &Taken, refuses: &AtomicBool) -> Option<()> {
    let mut answers = stream.try_clone().ok()?;
    let mut requests = BufReader::new(stream);
    loop {
        let (mut key, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if requests.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(": ") else {
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "idempotency-key" => key = value.to_owned(),
                "content-length" => length = value.parse().ok()?,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        requests.read_exact(&mut body).ok()?;
        *books.lock().expect("the books").entry(key).or_insert(0) += 1;
        let status = match refuses.load(Ordering::Relaxed) {
            true => "422 Unprocessable Content",
            false => "200 OK",
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        answers.write_all(answer.as_bytes()).ok()?;
    }
}
