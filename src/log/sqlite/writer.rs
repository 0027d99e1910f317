//! The only writer of this process: a thread that takes every write waiting, runs them in one transaction, syncs
//! once, and answers each.
//!
//! A write checks its fence inside the transaction, and before it changes anything; so one that is refused leaves no
//! trace, and the others go through. If the transaction itself fails, none of its writes was stored.

use std::{
    mem,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot, watch};

use super::{batch::Batch, checkpoint::Checkpoints, file::fault, ids::MessageIds, place::Place};
use crate::{
    log::{LogError, clock::Clock},
    supervise::caught_in,
};

/// Writes that can wait before a new one has to.
const QUEUE: usize = 1024;

/// A transaction takes no more writes once it has this much, in bytes: beyond it a sync is cheap beside the rest.
const TRANSACTION_BYTES_MAX: usize = 4 << 20;

/// How long a stop waits for other processes that read the file.
const FOLD_WAIT: Duration = Duration::from_secs(1);

/// Hands writes to the thread.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Waiting>,
}

enum Waiting {
    Write {
        bytes: usize,
        job: Box<dyn Job>,
    },
    /// Moves all that is committed into the file.
    Fold(oneshot::Sender<Result<(), LogError>>),
}

/// A write and whoever waits for its answer.
trait Job: Send {
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), LogError>;
    /// Tells the caller what came of it, once that is certain.
    fn answer(self: Box<Self>, outcome: Result<(), LogError>);
}

struct Write<F, T> {
    run: F,
    result: Option<T>,
    caller: oneshot::Sender<Result<T, LogError>>,
}

impl<F, T> Job for Write<F, T>
where
    F: FnMut(&mut Batch<'_>) -> Result<T, LogError> + Send,
    T: Send,
{
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), LogError> {
        self.result = Some((self.run)(batch)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), LogError>) {
        let not_run = || LogError::Unreachable("the transaction ended before this write".into());
        let Self { result, caller, .. } = *self;
        let answer = outcome.and_then(|()| result.ok_or_else(not_run));
        // The caller may have gone; the write stands all the same.
        drop(caller.send(answer));
    }
}

impl Writer {
    /// Starts the thread. It ends, and closes its connection, when the last `Writer` is dropped. `stored` is
    /// touched after each transaction.
    ///
    /// # Errors
    /// [`LogError::Unreachable`] if the system gives no thread.
    pub(super) fn start(
        connection: Connection,
        (checkpoints, place): (Checkpoints, Place),
        clock: Arc<Clock>,
        stored: watch::Sender<()>,
    ) -> Result<Self, LogError> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || serve(connection, waiting, (checkpoints, place), (&clock, &stored)))
            .map_err(|error| LogError::Unreachable(error.to_string()))?;
        Ok(Self { queue })
    }

    /// Runs a write in the next transaction and returns its result once that is on the disk. `bytes` is about how
    /// much it writes.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        run: impl FnMut(&mut Batch<'_>) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (caller, answer) = oneshot::channel();
        let job = Box::new(Write {
            run,
            result: None,
            caller,
        });
        let ended = || LogError::Unreachable("the log's writer has ended".into());
        let waiting = Waiting::Write { bytes, job };
        self.queue.send(waiting).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Moves all that is committed into the file, so that it is whole without its write-ahead log.
    pub(super) async fn fold(&self) -> Result<(), LogError> {
        let (caller, answer) = oneshot::channel();
        let ended = || LogError::Unreachable("the log's writer has ended".into());
        let waiting = Waiting::Fold(caller);
        self.queue.send(waiting).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

/// The write-ahead log's content goes into the file, and the log is emptied.
fn fold(connection: &Connection) -> Result<(), LogError> {
    connection.busy_timeout(FOLD_WAIT).map_err(fault)?;
    let began = Instant::now();
    loop {
        let busy: i64 = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(fault)?;
        if busy == 0 {
            return Ok(());
        }
        // SQLite waits for readers, but not for another checkpoint; ours runs beside this thread.
        if began.elapsed() > FOLD_WAIT {
            return Err(LogError::Unreachable(
                "the file is read or written elsewhere".into(),
            ));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn serve(
    mut connection: Connection,
    mut waiting: mpsc::Receiver<Waiting>,
    (mut checkpoints, place): (Checkpoints, Place),
    (clock, stored): (&Clock, &watch::Sender<()>),
) {
    let mut ids = MessageIds::default();
    let mut jobs = Vec::new();
    let mut next = None;
    while let Some(first) = next.take().or_else(|| waiting.blocking_recv()) {
        let mut bytes = match first {
            Waiting::Write { bytes, job } => {
                jobs.push(job);
                bytes
            }
            Waiting::Fold(caller) => {
                // The caller may have gone; it is done all the same.
                let _ = caller.send(fold(&connection));
                continue;
            }
        };
        while bytes < TRANSACTION_BYTES_MAX {
            match waiting.try_recv() {
                Ok(Waiting::Write { bytes: more, job }) => {
                    bytes += more;
                    jobs.push(job);
                }
                Ok(fold @ Waiting::Fold(_)) => {
                    next = Some(fold);
                    break;
                }
                Err(_) => break,
            }
        }
        // Before and after: what goes into a file that is no longer there must not be answered.
        let is_there = || {
            place
                .fault()
                .map_or(Ok(()), |fault| Err(LogError::Unreachable(fault)))
        };
        let outcome = is_there()
            .and_then(|()| {
                let transact = || transact(&mut connection, &mut ids, clock, &mut jobs);
                // The transaction is rolled back as it is dropped, and the thread goes on.
                caught_in(transact).unwrap_or_else(|panicked| {
                    Err(LogError::Unreachable(format!("the transaction {panicked}")))
                })
            })
            .and_then(|()| is_there());
        if let Err(error) = &outcome {
            // Some of what it remembers was not stored: it reads the table again.
            ids = MessageIds::default();
            tracing::debug!(%error, writes = jobs.len(), "embedded log rolled back");
        }
        for job in mem::take(&mut jobs) {
            job.answer(outcome.clone());
        }
        stored.send_replace(());
        checkpoints.written(bytes);
    }
}

fn transact(
    connection: &mut Connection,
    ids: &mut MessageIds,
    clock: &Clock,
    jobs: &mut [Box<dyn Job>],
) -> Result<(), LogError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(fault)?;
    let mut batch = Batch::begin(&transaction, ids, clock.now())?;
    // Another process may have come further.
    clock.at_least(batch.time());
    for job in jobs {
        job.run(&mut batch)?;
    }
    batch.finish()?;
    transaction.commit().map_err(fault)
}

#[cfg(test)]
mod tests {
    use crate::log::sqlite::{SqliteLog, SqliteSettings};

    /// Before, the thread was gone with the first panic, and nothing was written any more.
    #[tokio::test]
    async fn a_write_that_panics_leaves_nothing_and_the_thread_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(dir.path(), SqliteSettings::default()).unwrap();
        for _ in 0..3 {
            let answer = log.writer.write::<()>(1, |_| panic!("out of luck")).await;
            assert_eq!(
                answer.unwrap_err().to_string(),
                "log unreachable: the transaction panicked: out of luck"
            );
        }
        assert_eq!(log.writer.write(1, |_| Ok(7)).await.unwrap(), 7);
    }
}
