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
use crate::log::LogError;

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

/// What an answer says; a thread that ended without one counts as a log out of reach.
pub(super) fn received<T>(
    answer: Result<Result<T, LogError>, oneshot::error::RecvError>,
) -> Result<T, LogError> {
    answer.unwrap_or_else(|_| Err(LogError::Unreachable("the log's reader has ended".into())))
}

fn serve(mut connection: Connection, waiting: &Mutex<mpsc::Receiver<Question>>) {
    loop {
        // The lock is held while waiting, so idle threads queue for it; it is free again before the work begins.
        let question = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        match question {
            Ok(question) => question(&mut connection),
            Err(mpsc::RecvError) => return,
        }
    }
}
