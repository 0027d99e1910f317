//! What becomes of a task that panics: it is noticed, counted and told, and its work ends in order or begins again.
//!
//! A panic ends the task it happens in and nothing else, so a loop that has one would be missing without a word. Code that
//! starts a loop either makes an outcome of its panic ([`caught`]) and stops what depends on it, or, where the loop has no
//! state that could be half changed, has it begin anew ([`restarted`]). [`install`] gives every panic of the process its
//! line and its count, wherever it is caught.
//!
//! Nothing here asks for unwind safety: what tasks share are plain values behind locks that are read though poisoned,
//! and the state of a task that panicked is dropped.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use backoff::{BackoffBuilder, ExponentialBuilder};
use futures::FutureExt as _;
use tokio::time::{Instant, sleep};

use crate::telemetry::metrics;

/// Pauses before a loop that panicked begins anew: 200 ms, doubled up to 30 s.
const RESTART: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(200))
    .with_max_delay(Duration::from_secs(30))
    .without_max_times();

/// A loop that has gone on for this long has got over whatever it was.
const SOUND_AFTER: Duration = Duration::from_secs(60);

/// Most characters of a panic's message that are shown.
const SHOWN_MAX: usize = 200;

/// A task has panicked. Its text may be shown to anyone: what the message quotes is left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {0}")]
pub struct Panicked(String);

impl Panicked {
    /// From what a panic carries.
    #[must_use]
    pub fn of(payload: &(dyn Any + Send)) -> Self {
        let literal = payload.downcast_ref::<&str>().copied();
        let formatted = || payload.downcast_ref::<String>().map(String::as_str);
        Self(shown(
            literal.or_else(formatted).unwrap_or("without a message"),
        ))
    }
}

impl From<tokio::task::JoinError> for Panicked {
    fn from(error: tokio::task::JoinError) -> Self {
        match error.try_into_panic() {
            Ok(payload) => Self::of(&*payload),
            // Its runtime has ended, and with it all that could show this.
            Err(error) => Self(error.to_string()),
        }
    }
}

/// A panic's message without what it may quote of events: only its first line (a failed assertion has both values
/// behind it), nothing within double quotes (as debug output writes texts), and nothing behind the text that could not be
/// cut.
fn shown(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line
        .split_once(" of `")
        .map_or(line, |(before, _text)| before);
    let mut quoted = false;
    let mut shown = String::new();
    for letter in line.chars() {
        match letter {
            '"' if quoted => shown.push_str("...\""),
            '"' => shown.push('"'),
            _ if quoted => continue,
            _ => shown.push(letter),
        }
        if letter == '"' {
            quoted = !quoted;
        }
    }
    shown.chars().take(SHOWN_MAX).collect()
}

/// Runs a future, and makes an outcome of its panic.
///
/// # Errors
/// If it panics.
pub async fn caught<T>(task: impl Future<Output = T>) -> Result<T, Panicked> {
    let outcome = AssertUnwindSafe(task).catch_unwind().await;
    outcome.map_err(|payload| Panicked::of(&*payload))
}

/// Runs a piece of work, and makes an outcome of its panic.
///
/// # Errors
/// If it panics.
pub fn caught_in<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panicked::of(&*payload))
}

/// Runs a loop until it ends by itself; one that panics begins anew after a pause that grows. `told` hears of the panic,
/// and of nothing once the loop runs again. Dropped with the loop.
pub async fn restarted<F: Future<Output = ()>>(
    name: &'static str,
    told: impl Fn(Option<&Panicked>),
    mut task: impl FnMut() -> F,
) {
    let mut pauses = RESTART.build();
    loop {
        let began = Instant::now();
        let Err(panicked) = caught(task()).await else {
            return;
        };
        metrics().restarts(name).inc();
        tracing::error!(task = name, %panicked, "the task begins anew");
        told(Some(&panicked));
        if began.elapsed() >= SOUND_AFTER {
            pauses = RESTART.build();
        }
        sleep(pauses.next().unwrap_or(SOUND_AFTER)).await;
        told(None);
    }
}

/// From now on every panic of this process is a line of its log and a count, and nothing on stderr besides. With
/// `RUST_BACKTRACE` set the line says where it came from.
pub fn install() {
    panic::set_hook(Box::new(|panic| {
        metrics().panics.inc();
        let panicked = panic
            .payload_as_str()
            .map_or_else(|| Panicked::of(&()), |text| Panicked(shown(text)));
        let at = panic.location().map(ToString::to_string);
        let thread = std::thread::current();
        let backtrace = Backtrace::capture();
        let backtrace = match backtrace.status() {
            BacktraceStatus::Captured => Some(backtrace.to_string()),
            _ => None,
        };
        tracing::error!(
            at,
            thread = thread.name(),
            backtrace,
            "a task of this program {panicked}"
        );
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_panic_becomes_an_outcome_with_its_message() {
        let said = |work: fn()| caught_in(work).unwrap_err().to_string();
        assert_eq!(said(|| panic!("out of luck")), "panicked: out of luck");
        assert_eq!(said(|| panic!("out of {}", 7)), "panicked: out of 7");
        assert_eq!(said(|| panic::panic_any(7)), "panicked: without a message");
        assert_eq!(caught_in(|| 7), Ok(7));
    }

    #[test]
    fn what_a_message_quotes_of_events_is_not_shown() {
        let said = |work: &dyn Fn()| caught_in(work).unwrap_err().to_string();
        let text = "Zoé's card 4111";
        let all = [
            said(&|| drop(text[..3].to_owned())),
            said(&|| assert_eq!(text, "nothing")),
            said(&|| {
                let _: u32 = text.parse().map_err(|_| text).unwrap();
            }),
            said(&|| panic!("no rule for {text:?}, {text:?}")),
        ];
        for said in &all {
            assert!(!said.contains("4111") && !said.contains("card"), "{said}");
        }
        assert!(all[0].contains("char boundary"), "{}", all[0]);
        assert_eq!(all[3], r#"panicked: no rule for "...", "...""#);
        let long = "x".repeat(10_000);
        assert!(said(&|| panic!("{long}")).len() < 300);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_panics_begins_anew_after_pauses_that_double_and_ends_when_it_says_so() {
        let told = Mutex::new(Vec::new());
        let begins = Mutex::new(Vec::new());
        let start = Instant::now();
        let tell = |panicked: Option<&Panicked>| {
            told.lock().unwrap().push(panicked.map(ToString::to_string));
        };
        restarted("test", tell, || async {
            let mut begins = begins
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            begins.push(start.elapsed().as_millis());
            assert!(begins.len() > 11, "number {}", begins.len());
        })
        .await;
        let begins = begins
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let pauses: Vec<_> = begins.windows(2).map(|two| two[1] - two[0]).collect();
        let doubled = [
            200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 30_000,
        ];
        assert_eq!(pauses.len(), doubled.len());
        for (pause, expected) in pauses.iter().zip(doubled) {
            assert!(pause.abs_diff(expected) <= 1, "{pauses:?}");
        }
        let told = told.into_inner().unwrap();
        assert_eq!(told.len(), 22);
        assert_eq!(told[0].as_deref(), Some("panicked: number 1"));
        assert_eq!(told[1], None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_was_sound_for_a_minute_is_begun_anew_soon() {
        let begins = Mutex::new(Vec::new());
        let start = Instant::now();
        restarted(
            "test",
            |_| {},
            || async {
                let number = {
                    let mut begins = begins.lock().unwrap();
                    begins.push(start.elapsed().as_secs());
                    begins.len()
                };
                match number {
                    1..=5 => panic!("again"),
                    6 => {
                        sleep(Duration::from_secs(60)).await;
                        panic!("again")
                    }
                    _ => {}
                }
            },
        )
        .await;
        // 0.2 + 0.4 + 0.8 + 1.6 + 3.2 s, and then a minute and 0.2 s.
        assert_eq!(begins.into_inner().unwrap(), [0, 0, 0, 1, 3, 6, 66]);
    }
}
