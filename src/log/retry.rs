//! Appending until it is known what became of every event, and reading until the log can be reached.
//!
//! An append without an answer may have been stored. Sent again under the same message id it is stored once, within
//! the log's two minutes; so whoever takes events from outside (HTTP, files) repeats those, and only those.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::{AppendError, Appended, EventLog, LogError, NewEvent};

/// First pause before trying again; doubled each time up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Appends events, in order, and repeats those without an answer until `patience` has run out. An event that was
/// repeated never counts as a duplicate: what already stood there was most likely its own first attempt.
pub async fn append(
    log: &dyn EventLog,
    events: Vec<NewEvent>,
    patience: Duration,
) -> Vec<Result<Appended, AppendError>> {
    if events.is_empty() {
        return Vec::new();
    }
    let deadline = Instant::now() + patience;
    let mut answers: Vec<Result<Appended, AppendError>> = Vec::new();
    let mut open: Vec<usize> = (0..events.len()).collect();
    let mut pause = PAUSE;
    loop {
        let again = !answers.is_empty();
        let sent = open
            .iter()
            .filter_map(|i| events.get(*i).cloned())
            .collect();
        let found = timeout_at(deadline, log.append(sent))
            .await
            .unwrap_or_else(|_| {
                let late = AppendError::Unknown(format!("none within {patience:?}"));
                vec![Err(late); open.len()]
            });
        if again {
            for (place, answer) in open.iter().zip(found) {
                let own = answer.map(|appended| Appended {
                    duplicate: false,
                    ..appended
                });
                if let Some(slot) = answers.get_mut(*place) {
                    *slot = own;
                }
            }
        } else {
            answers = found;
        }
        open.retain(|i| matches!(answers.get(*i), Some(Err(AppendError::Unknown(_)))));
        // What a log that is gone did not take, it never will.
        let is_over = log.fault().is_some() || Instant::now() + pause >= deadline;
        if open.is_empty() || is_over {
            return answers;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Pause between tries to read while the log cannot be reached.
pub const READ_PAUSE: Duration = Duration::from_millis(100);

/// Repeats a read for as long as the log cannot be reached.
///
/// # Errors
/// Those that trying again does not help against.
pub async fn read<T, F, Fut>(mut call: F) -> Result<T, LogError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, LogError>>,
{
    loop {
        match call().await {
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "waiting for the log");
                sleep(READ_PAUSE).await;
            }
            other => return other,
        }
    }
}
