//! Appending until it is known what became of every event, and reading until the log can be reached.
//!
//! An append without an answer may have been stored. Sent again under the same message id it is stored once, within
//! the log's two minutes; so whoever takes events from outside (HTTP, files) repeats those, and only those.

use std::time::Duration;

use backoff::{
    BackoffBuilder as _, ConstantBuilder, ExponentialBackoff, ExponentialBuilder, Retryable as _,
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{AppendError, Appended, EventLog, LogError, NewEvent};

/// Pauses that begin with `first` and double up to `most`, for ever. Without jitter: those who wait for a log are few, and
/// a simulation has to repeat.
#[must_use]
pub const fn doubling(first: Duration, most: Duration) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_factor(2.0)
        .with_min_delay(first)
        .with_max_delay(most)
        .without_max_times()
}

/// The next of such pauses.
pub fn next_pause(pauses: &mut ExponentialBackoff) -> Duration {
    // They have no end.
    pauses.next().unwrap_or(Duration::ZERO)
}

/// Before events without an answer are sent again.
const PAUSES: ExponentialBuilder = doubling(Duration::from_millis(50), Duration::from_secs(1));

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
    let mut pauses = PAUSES.build();
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
        let pause = next_pause(&mut pauses);
        // What a log that is gone did not take, it never will.
        let is_over = log.fault().is_some() || Instant::now() + pause >= deadline;
        if open.is_empty() || is_over {
            return answers;
        }
        sleep(pause).await;
    }
}

/// Pause between tries to read while the log cannot be reached.
pub const READ_PAUSE: Duration = Duration::from_millis(100);

/// Repeats a read for as long as the log cannot be reached.
///
/// # Errors
/// Those that trying again does not help against.
pub async fn read<T, F, Fut>(call: F) -> Result<T, LogError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, LogError>>,
{
    let pauses = ConstantBuilder::new()
        .with_delay(READ_PAUSE)
        .without_max_times();
    call.retry(pauses)
        .when(LogError::is_transient)
        .notify(|error, _| tracing::debug!(%error, "waiting for the log"))
        .await
}
