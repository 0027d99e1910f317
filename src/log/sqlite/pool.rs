//! Threads that read. SQLite blocks, and the engine's threads must not: each of these has a connection of its own,
//! and answers go back through a channel that any runtime can wait for.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::file;
use crate::{log::LogError, supervise::caught_in};

/// One for the engine's reader and one for everything else that wants to look.
const THREADS: usize = 2;

type Question = Box<dyn FnOnce(&mut Connection) + Send>;

/// Hands questions to the threads. Every caller waits for its answer, so there are never more than callers.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    questions: mpsc::Sender<Question>,
}

/// An answer on its way.
pub(super) type Answer<T> = oneshot::Receiver<Result<T, LogError>>;

impl Pool {
    /// Starts the threads. They end when the last `Pool` is dropped.
    ///
    /// # Errors
    /// If the file cannot be opened, or the system gives no thread.
    pub(super) fn start(path: &Path) -> Result<Self, LogError> {
        let (questions, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for index in 0..THREADS {
            let connection = file::open_to_read(path)?;
            let waiting = Arc::clone(&waiting);
            thread::Builder::new()
                .name(format!("log-reader-{index}"))
                .spawn(move || serve(connection, &waiting))
                .map_err(|error| LogError::Unreachable(error.to_string()))?;
        }
        Ok(Self { questions })
    }

    /// Asks now, to be waited for later.
    pub(super) fn send<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Connection) -> Result<T, LogError> + Send + 'static,
    ) -> Answer<T> {
        let (caller, answer) = oneshot::channel();
        let question: Question = Box::new(move |connection| {
            // Whoever asked may have gone.
            drop(caller.send(look(connection)));
        });
        // If the threads are gone, so is the caller's end of the channel, and that is what it will see.
        drop(self.questions.send(question));
        answer
    }

    /// Asks and waits.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Connection) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        received(self.send(look).await)
    }
}

/// What an answer says; where there is none, since the read panicked, the log counts as out of reach.
pub(super) fn received<T>(
    answer: Result<Result<T, LogError>, oneshot::error::RecvError>,
) -> Result<T, LogError> {
    answer.unwrap_or_else(|_| Err(LogError::Unreachable("a read of the log broke off".into())))
}

fn serve(mut connection: Connection, waiting: &Mutex<mpsc::Receiver<Question>>) {
    loop {
        // The lock is held while waiting, so idle threads queue for it; it is free again before the work begins.
        let question = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        match question {
            // One that panics is not answered, and the thread goes on to the next.
            Ok(question) => drop(caught_in(|| question(&mut connection))),
            Err(mpsc::RecvError) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There are two threads: before, the second panic left none.
    #[tokio::test]
    async fn reads_that_panic_leave_the_threads_to_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("read.db");
        Connection::open(&path).unwrap();
        let pool = Pool::start(&path).unwrap();
        for _ in 0..2 * THREADS {
            let answer = pool.ask::<()>(|_| panic!("out of luck")).await;
            assert!(answer.unwrap_err().is_transient());
        }
        let sum = pool.ask(|connection| {
            let sum = connection.query_row("SELECT 3 + 4", [], |row| row.get::<_, i64>(0));
            sum.map_err(file::fault)
        });
        assert_eq!(sum.await.unwrap(), 7);
    }
}
