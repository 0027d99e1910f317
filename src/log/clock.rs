//! What time it is, when the machine's clock cannot be trusted to go on evenly.
//!
//! A clock that someone sets, or a virtual machine that wakes up with a wrong one, may be an hour ahead for three seconds
//! or a year for good. Log time decides deadlines, windows and money, and what it has passed stays passed. So it goes on
//! at the pace of real time from its last value, follows the machine's clock while that is near, and takes over a leap
//! ahead only once that has stood for a while and is no longer than a day. A leap back is waited out, and never followed.
//! Whoever knows that the clock is right now starts the service again.
//!
//! [`Pace`] is the rule, as a pure value; [`Clock`] feeds it the machine's clocks.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use aftercall_actors::contract::time::LogTime;

use super::{EventLog, Finding, Level, LogError};
use crate::planted::{Bug, is_planted};

/// Up to this far off, in milliseconds, the machine's clock is followed: clocks are set right by a few seconds.
pub const NEAR_MS: i64 = 60_000;

/// A leap ahead is followed once it has stood for so long, in milliseconds,
const STANDS_MS: i64 = 60_000;

/// unless it is longer than this.
const LEAP_MS_MAX: i64 = 24 * 3_600_000;

/// A clock that goes on evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Time it was, in milliseconds since 1970, when the even clock said `at_ms`.
    base_ms: i64,
    at_ms: i64,
    leap: Option<Leap>,
}

/// The machine's clock is elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leap {
    /// How far ahead it is, in milliseconds; negative: behind.
    pub by_ms: i64,
    /// Since when, on the even clock.
    since_ms: i64,
}

impl Pace {
    /// Begins with the machine's clock.
    #[must_use]
    pub const fn new(machine_ms: i64, even_ms: i64) -> Self {
        Self {
            base_ms: machine_ms,
            at_ms: even_ms,
            leap: None,
        }
    }

    /// The time, given what the machine's clock says and one that goes evenly but from anywhere. Never goes back.
    pub fn now(&mut self, machine_ms: i64, even_ms: i64) -> LogTime {
        let passed = even_ms.saturating_sub(self.at_ms).max(0);
        let paced = self.base_ms.saturating_add(passed);
        let off = machine_ms.saturating_sub(paced);
        let is_leap = off.abs() > NEAR_MS && !is_planted(Bug::ClockFollowed);
        let mut now = paced;
        if !is_leap {
            self.leap = None;
            // Ahead by a little, it goes on more slowly until the machine's clock is there.
            now = match off {
                0.. => machine_ms,
                _ => paced.saturating_sub((passed / 10).min(-off)),
            };
        } else {
            // Another leap stands from when it was made.
            let is_same = |leap: &Leap| (off - leap.by_ms).abs() <= NEAR_MS;
            let same = self.leap.filter(is_same);
            let since_ms = same.map_or(even_ms, |leap| leap.since_ms);
            let stood = even_ms.saturating_sub(since_ms) >= STANDS_MS;
            if stood && (0..=LEAP_MS_MAX).contains(&off) {
                self.leap = None;
                now = machine_ms;
            } else {
                self.leap = Some(Leap {
                    by_ms: off,
                    since_ms,
                });
            }
        }
        (self.base_ms, self.at_ms) = (now, self.at_ms.max(even_ms));
        LogTime(now)
    }

    /// Time has come to this already: another process has stored it.
    pub fn at_least(&mut self, time: LogTime) {
        self.base_ms = self.base_ms.max(time.0);
    }

    /// The machine has slept for so long without the even clock's knowing.
    pub const fn slept(&mut self, ms: i64) {
        self.base_ms = self.base_ms.saturating_add(ms);
    }

    /// Where the machine's clock is, if it is elsewhere.
    #[must_use]
    pub const fn leap(&self) -> Option<Leap> {
        self.leap
    }
}

/// In words, for `/readyz` and for the program's log.
impl fmt::Display for Leap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.by_ms < 0 { "behind" } else { "ahead of" };
        write!(
            f,
            "this machine's clock jumped: it is {} {way} log time, which goes on evenly; set it right, or, if it is right \
             now, start the service again",
            span(self.by_ms)
        )
    }
}

/// `3 d 4 h`, `2 h 0 min`, `75 s`
fn span(ms: i64) -> String {
    let seconds = ms.unsigned_abs() / 1_000;
    match (seconds / 86_400, seconds / 3_600, seconds) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, hours, seconds) => format!("{hours} h {} min", seconds / 60 % 60),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    }
}

/// The machine's clocks, and the pace they are kept to.
#[derive(Debug)]
pub struct Clock {
    began: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    pace: Pace,
    /// How far the machine's time since it started was ahead of `began`, when that was last looked at.
    awake_ms: Option<i64>,
}

impl Clock {
    /// A clock that begins with the machine's, but not before `last`.
    #[must_use]
    pub fn starting_after(last: LogTime) -> Self {
        let mut pace = Pace::new(machine_ms(), 0);
        pace.at_least(last);
        Self {
            began: Instant::now(),
            inner: Mutex::new(Inner {
                pace,
                awake_ms: uptime_ms(),
            }),
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> LogTime {
        let mut inner = self.inner();
        let (machine, even) = (machine_ms(), self.even_ms());
        let before = inner.pace;
        let mut now = inner.pace.now(machine, even);
        match (before.leap(), inner.pace.leap()) {
            (None, Some(leap)) => {
                // A machine that was asleep is where it ought to be.
                if let (Some(then), Some(up)) = (inner.awake_ms, uptime_ms()) {
                    let slept = up.saturating_sub(even).saturating_sub(then);
                    inner.awake_ms = Some(up.saturating_sub(even));
                    if slept > 1_000 {
                        inner.pace = before;
                        inner.pace.slept(slept);
                        now = inner.pace.now(machine, even);
                    }
                }
                if inner.pace.leap().is_some() {
                    tracing::warn!("{leap}");
                }
            }
            (Some(_), None) => tracing::info!("this machine's clock and log time agree again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        now
    }

    /// Time has come to this already: another process has stored it.
    pub fn at_least(&self, time: LogTime) {
        self.inner().pace.at_least(time);
    }

    /// What is to be said of the machine's clock, if it is elsewhere.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let _ = self.now();
        self.inner().pace.leap().map(|leap| leap.to_string())
    }

    fn even_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing under this lock panics half way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the machine's clock says.
fn machine_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Since the machine started, sleep included; where the system says so.
fn uptime_ms() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split(' ').next()?.parse().ok()?;
    // Milliseconds of a machine's life are exact.
    Some((seconds * 1_000.0) as i64)
}

/// What `doctor` says: whether the log's last event is of a time that this machine has not come to.
///
/// # Errors
/// If the log cannot be read.
pub async fn finding(log: &dyn EventLog) -> Result<Finding, LogError> {
    let event = match log.bounds().await?.last {
        0 => None,
        last => log.event_at(last).await?,
    };
    let off = event.map_or(0, |event| event.time.0.saturating_sub(machine_ms()));
    let (level, text) = if off > NEAR_MS {
        let text = format!(
            "the log's last event is stamped {} ahead of this machine's clock: one of the two jumped. Log time never goes \
             back: it goes on evenly from there, and what is dated by the right clock counts as that much older",
            span(off)
        );
        (Level::Bad, text)
    } else {
        let text = "this machine's clock is not behind the log's last event".to_owned();
        (Level::Good, text)
    };
    Ok(Finding {
        level,
        subject: "clock".into(),
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;
    const START: i64 = 1_795_168_800_000;

    /// What a clock says that begins at [`START`] and is read each second while the machine's is off by `off(second)`.
    fn read(seconds: i64, off: impl Fn(i64) -> i64) -> Vec<i64> {
        let mut pace = Pace::new(START, 0);
        let at = |s: i64| s * 1_000;
        (1..=seconds)
            .map(|s| pace.now(START + at(s) + off(s), at(s)).0 - START - at(s))
            .collect()
    }

    #[test]
    fn a_leap_of_an_hour_for_three_seconds_or_of_200_days_is_not_followed() {
        for leap in [HOUR, 200 * DAY, -HOUR, -200 * DAY] {
            let off = read(30, |s| if (5..8).contains(&s) { leap } else { 0 });
            assert!(off.iter().all(|off| *off == 0), "{leap}: {off:?}");
        }
        assert!(
            read(7_200, |s| if s > 5 { 200 * DAY } else { 0 })
                .iter()
                .all(|off| *off == 0)
        );
    }

    #[test]
    fn a_leap_within_a_day_that_stands_for_a_minute_is_followed_and_then_not_taken_back() {
        let off = read(200, |s| if s >= 10 { HOUR } else { 0 });
        assert_eq!((off[68], off[69], off[199]), (0, HOUR, HOUR));
        let off = read(300, |s| if (10..100).contains(&s) { HOUR } else { 0 });
        assert_eq!(off[299], HOUR, "on it goes, at the pace of real time");
    }

    #[test]
    fn a_leap_stands_from_when_it_was_made_whatever_leap_came_before_it() {
        let off = |s| match s {
            5..60 => -HOUR,
            60..100 => HOUR,
            _ => 0,
        };
        assert!(read(200, off).iter().all(|off| *off == 0));
    }

    #[test]
    fn a_clock_that_is_set_by_some_seconds_is_followed_ahead_at_once_and_back_slowly() {
        assert_eq!(read(10, |s| if s > 4 { 5_000 } else { 0 })[5], 5_000);
        let off = read(60, |s| if s > 4 { -5_000 } else { 0 });
        assert!(off.windows(2).all(|pair| pair[1] <= pair[0]), "{off:?}");
        assert_eq!((off[4], off[59]), (-100, -5_000));
    }

    #[test]
    fn time_never_goes_back_and_begins_where_the_log_ends() {
        let mut pace = Pace::new(START, 0);
        pace.at_least(LogTime(START + 200 * DAY));
        let (mut last, mut even) = (0, 0);
        for n in 0..500i64 {
            even += n % 7 * 300;
            let wild = (n * 7_919 % 11 - 5) * 40_000;
            let now = pace.now(START + even + wild, even).0;
            assert!(now >= last);
            last = now;
        }
        assert_eq!(last, START + 200 * DAY + even, "at the pace of real time");
        assert!(pace.leap().is_some());
    }

    #[test]
    fn what_is_said_of_a_leap_names_it() {
        let said = |by_ms| Leap { by_ms, since_ms: 0 }.to_string();
        assert!(said(HOUR + 90_000).contains("it is 1 h 1 min ahead of log time"));
        assert!(said(-200 * DAY - HOUR).contains("it is 200 d 1 h behind log time"));
        assert!(said(75_000).contains("75 s ahead of"));
        let clock = Clock::starting_after(LogTime(0));
        assert_eq!(clock.note(), None);
        let ahead = Clock::starting_after(LogTime(machine_ms() + DAY));
        assert!(ahead.note().is_some_and(|note| note.contains("behind")));
    }
}
