//! What the log has failed at, and since when: one account for all who use it.
//!
//! Whoever gets no answer from the log tries again until it has one, so a fault that lasts would be silent, or a line
//! for each try. Here each kind of work has one account: a warning with the log's own words once it has failed for
//! [`WARN_AFTER`], one line when it works again, and, once it has failed for [`STALL`], a complaint in `/readyz`.
//! [`super::watched`] keeps it, at the one place through which every call goes.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{LogError, PartitionId};
use crate::telemetry::metrics;

/// Work that has failed for this long is a complaint, and so is a partition that has not advanced.
pub const STALL: Duration = Duration::from_secs(10);

/// What passes within this time is not worth a line: a reconnect, a new leader.
const WARN_AFTER: Duration = Duration::from_secs(1);

/// Failures that are closer together than this say nothing about how long a fault lasted, if no other try followed.
const LASTING: Duration = Duration::from_secs(5);

/// A fault that was not tried again for this long is forgotten: whoever met it has given up, or waits for something else.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15);

/// The same for what is tried rarely: a snapshot each half minute.
const FORGOTTEN_LATE: Duration = Duration::from_secs(60);

/// Kinds of work, by what of the log they use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Asking how far the events go: whether the log answers at all.
    Reach,
    /// Reading events.
    ReadEvents,
    /// Storing events: those from outside, outcomes, ticks.
    StoreEvents,
    /// Reading journal records.
    ReadJournal,
    /// Committing.
    Commit,
    /// Reading outputs and how far their lanes are.
    ReadOutputs,
    /// Publishing committed outputs.
    Publish,
    /// Reading delivery records.
    ReadDeliveries,
    /// Writing delivery records.
    WriteDeliveries,
    /// Reading snapshots.
    ReadSnapshots,
    /// Writing and trimming snapshots.
    WriteSnapshots,
    /// Reading dead letters.
    ReadDead,
    /// Writing dead letters and quarantined input.
    WriteDead,
}

impl Work {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Reach,
        Self::ReadEvents,
        Self::StoreEvents,
        Self::ReadJournal,
        Self::Commit,
        Self::ReadOutputs,
        Self::Publish,
        Self::ReadDeliveries,
        Self::WriteDeliveries,
        Self::ReadSnapshots,
        Self::WriteSnapshots,
        Self::ReadDead,
        Self::WriteDead,
    ];

    /// The label in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reach => "reach",
            Self::ReadEvents => "read_events",
            Self::StoreEvents => "store_events",
            Self::ReadJournal => "read_journal",
            Self::Commit => "commit",
            Self::ReadOutputs => "read_outputs",
            Self::Publish => "publish",
            Self::ReadDeliveries => "read_deliveries",
            Self::WriteDeliveries => "write_deliveries",
            Self::ReadSnapshots => "read_snapshots",
            Self::WriteSnapshots => "write_snapshots",
            Self::ReadDead => "read_dead",
            Self::WriteDead => "write_dead",
        }
    }

    /// As the subject of a sentence.
    const fn what(self) -> &'static str {
        match self {
            Self::Reach => "reaching the log",
            Self::ReadEvents => "reading events",
            Self::StoreEvents => "storing events",
            Self::ReadJournal => "reading the journal",
            Self::Commit => "committing to the journal",
            Self::ReadOutputs => "reading outputs",
            Self::Publish => "publishing outputs",
            Self::ReadDeliveries => "reading delivery records",
            Self::WriteDeliveries => "writing delivery records",
            Self::ReadSnapshots => "reading snapshots",
            Self::WriteSnapshots => "writing snapshots",
            Self::ReadDead => "reading dead letters",
            Self::WriteDead => "writing dead letters and quarantined input",
        }
    }

    /// Whether nothing goes on without it. What is kept for later (snapshots, dead letters) is a note, no complaint.
    const fn is_essential(self) -> bool {
        match self {
            Self::Reach
            | Self::ReadEvents
            | Self::StoreEvents
            | Self::ReadJournal
            | Self::Commit
            | Self::ReadOutputs
            | Self::Publish
            | Self::ReadDeliveries
            | Self::WriteDeliveries => true,
            Self::ReadSnapshots | Self::WriteSnapshots | Self::ReadDead | Self::WriteDead => false,
        }
    }
}

/// For whom something was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who<'a> {
    /// For everyone alike: one success is everyone's.
    All,
    /// For a partition.
    Partition(PartitionId),
    /// For a destination.
    Destination(&'a str),
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Partition(partition) => partition.fmt(f),
            Self::Destination(name) => f.write_str(name),
        }
    }
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// The log answered and did it, or said that another write stands there.
    Done,
    /// It was not done, or nobody knows; trying again can help. The log's words.
    Failed(&'a str),
    /// It was not done, and trying again does not help: told elsewhere. Or the log was not asked yet.
    Refused,
}

impl<'a> Outcome<'a> {
    /// What a read came to.
    pub fn of<T>(result: &'a Result<T, LogError>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(LogError::Unreachable(words)) => Self::Failed(words),
            Err(
                LogError::Gap { .. }
                | LogError::RolledBack(_)
                | LogError::Trimmed { .. }
                | LogError::Corrupt(_)
                | LogError::Settings(_),
            ) => Self::Refused,
        }
    }
}

/// The accounts of all kinds of work.
#[derive(Debug, Default)]
pub struct Health {
    accounts: [Mutex<Account>; Work::ALL.len()],
}

#[derive(Debug, Default)]
struct Account {
    tries: u64,
    /// Tries without an answer yet, oldest first.
    open: BTreeMap<u64, Instant>,
    /// For whom it fails.
    failing: BTreeMap<String, Failing>,
    /// Whether the warning was given.
    warned: bool,
}

#[derive(Debug)]
struct Failing {
    /// When the first try that failed began,
    since: Instant,
    /// and by the clock on the wall, for people.
    at: jiff::Timestamp,
    /// When the last one failed.
    last: Instant,
    failures: u64,
    words: String,
}

impl Health {
    /// Notes that something is tried. The answer belongs to [`Try::ended`]; a try that is dropped after a while without
    /// one has failed.
    #[must_use]
    pub fn begin<'a>(&'a self, work: Work, who: Who<'a>) -> Try<'a> {
        let began = Instant::now();
        let mut account = self.account(work);
        account.tries += 1;
        let number = account.tries;
        account.open.insert(number, began);
        Try {
            health: self,
            work,
            who,
            number,
            began,
        }
    }

    /// Notes a success that no try began: an item of a stream, say.
    pub fn succeeded(&self, work: Work, who: Who<'_>) {
        let lines = self.account(work).succeed(work, who);
        if let Some(line) = lines {
            tracing::info!("{line}");
        }
    }

    /// Notes a failure that no try began.
    pub fn failed(&self, work: Work, who: Who<'_>, words: &str) {
        metrics().log_failures(work.name()).inc();
        let now = Instant::now();
        let mut account = self.account(work);
        account.fail(who, now, now, words);
        let warning = account.warning(work, now);
        drop(account);
        if let Some(line) = warning {
            tracing::warn!("{line}");
        }
    }

    /// Looks once a second: a try that hangs fails without a word.
    pub fn look(&self) {
        let now = Instant::now();
        // While the log cannot be reached, whoever waits for that tries nothing else.
        let is_reached = !self.is_failing(Work::Reach);
        for work in Work::ALL {
            let mut account = self.account(work);
            let forgotten = is_reached.then(|| account.forget(work, now)).flatten();
            let warning = account.warning(work, now);
            let is_failing = account.complaint(work, now).is_some();
            drop(account);
            metrics()
                .log_failing(work.name())
                .set(i64::from(is_failing));
            if let Some(line) = forgotten {
                tracing::info!("{line}");
            }
            if let Some(line) = warning {
                tracing::warn!("{line}");
            }
        }
    }

    /// Whether this work fails now, for however short a time.
    #[must_use]
    pub fn is_failing(&self, work: Work) -> bool {
        !self.account(work).failing.is_empty()
    }

    /// What has failed for [`STALL`] and nothing goes on without: what, for whom, since when, in whose words.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.standing(true)
    }

    /// What else has failed for [`STALL`].
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.standing(false)
    }

    fn standing(&self, essential: bool) -> Vec<String> {
        let now = Instant::now();
        let kinds = Work::ALL.into_iter();
        kinds
            .filter(|work| work.is_essential() == essential)
            .filter_map(|work| self.account(work).complaint(work, now))
            .collect()
    }

    fn account(&self, work: Work) -> MutexGuard<'_, Account> {
        // Plain values: whatever panicked while holding them left them readable.
        self.accounts[work as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn fail(&mut self, who: Who<'_>, began: Instant, now: Instant, words: &str) {
        let failing = self
            .failing
            .entry(who.to_string())
            .or_insert_with(|| Failing {
                since: began,
                at: jiff::Timestamp::now(),
                last: now,
                failures: 0,
                words: String::new(),
            });
        failing.last = now;
        failing.failures += 1;
        if failing.words != words {
            words.clone_into(&mut failing.words);
        }
    }

    /// The line that says it works again, if it was said that it does not.
    fn succeed(&mut self, work: Work, who: Who<'_>) -> Option<String> {
        let last = match (who, self.failing.len()) {
            (_, 0) => return None,
            (Who::All, _) => {
                let all = std::mem::take(&mut self.failing);
                all.into_values().min_by_key(|failing| failing.since)
            }
            _ => self.failing.remove(&who.to_string()),
        };
        if !self.failing.is_empty() {
            return None;
        }
        let failing = last?;
        std::mem::take(&mut self.warned).then(|| {
            format!(
                "{} works again, after {} s",
                work.what(),
                failing.since.elapsed().as_secs()
            )
        })
    }

    fn forget(&mut self, work: Work, now: Instant) -> Option<String> {
        if self.failing.is_empty() || !self.open.is_empty() {
            return None;
        }
        let after = match work.is_essential() {
            true => FORGOTTEN_AFTER,
            false => FORGOTTEN_LATE,
        };
        self.failing
            .retain(|_, failing| now.duration_since(failing.last) < after);
        let over = self.failing.is_empty() && std::mem::take(&mut self.warned);
        over.then(|| format!("{} was not tried again for {after:?}", work.what()))
    }

    /// The warning, once for a fault.
    fn warning(&mut self, work: Work, now: Instant) -> Option<String> {
        if self.warned {
            return None;
        }
        let lasted = |failing: &Failing| now.duration_since(failing.since) >= WARN_AFTER;
        if self.failing.values().any(lasted) || self.hanging(now).is_some() {
            self.warned = true;
            return Some(self.say(work, now));
        }
        None
    }

    /// What has failed for [`STALL`], if it has.
    fn complaint(&self, work: Work, now: Instant) -> Option<String> {
        let is_tried = !self.open.is_empty();
        let stalled = |failing: &Failing| {
            now.duration_since(failing.since) >= STALL
                && (is_tried || failing.last.duration_since(failing.since) >= LASTING)
        };
        (self.failing.values().any(stalled) || self.hanging(now).is_some())
            .then(|| self.say(work, now))
    }

    /// How long the oldest try has had no answer, if that is too long.
    fn hanging(&self, now: Instant) -> Option<Duration> {
        let (_, began) = self.open.first_key_value()?;
        let waited = now.duration_since(*began);
        (waited >= STALL).then_some(waited)
    }

    fn say(&self, work: Work, now: Instant) -> String {
        let what = work.what();
        let oldest = self.failing.iter().min_by_key(|(_, failing)| failing.since);
        let Some((who, failing)) = oldest else {
            let waited = self.hanging(now).unwrap_or_default().as_secs();
            return format!("{what}: no answer for {waited} s");
        };
        let seconds = now.duration_since(failing.since).as_secs();
        let at = failing.at.strftime("%Y-%m-%dT%H:%M:%SZ");
        let (words, failures) = (&failing.words, failing.failures);
        let whom = match (who.as_str(), self.failing.len() - 1) {
            ("", _) => String::new(),
            (who, 0) => format!(" ({who})"),
            (who, others) => format!(" ({who} and {others} more)"),
        };
        format!("{what}{whom} fails since {at}, for {seconds} s and {failures} times: {words}")
    }
}

/// Something that is being tried.
#[derive(Debug)]
pub struct Try<'a> {
    health: &'a Health,
    work: Work,
    who: Who<'a>,
    number: u64,
    began: Instant,
}

impl Try<'_> {
    /// How it ended.
    pub fn ended(self, outcome: Outcome<'_>) {
        self.end(outcome);
    }

    fn end(&self, outcome: Outcome<'_>) {
        let now = Instant::now();
        let mut account = self.health.account(self.work);
        if account.open.remove(&self.number).is_none() {
            return;
        }
        let (mut warning, mut news) = (None, None);
        match outcome {
            Outcome::Done => news = account.succeed(self.work, self.who),
            Outcome::Failed(words) => {
                account.fail(self.who, self.began, now, words);
                warning = account.warning(self.work, now);
            }
            Outcome::Refused => {}
        }
        drop(account);
        if matches!(outcome, Outcome::Failed(_)) {
            metrics().log_failures(self.work.name()).inc();
        }
        if let Some(line) = warning {
            tracing::warn!("{line}");
        }
        if let Some(line) = news {
            tracing::info!("{line}");
        }
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        let waited = self.began.elapsed();
        if waited >= WARN_AFTER {
            self.end(Outcome::Failed("no answer, and no more waiting for one"));
        } else {
            self.end(Outcome::Refused);
        }
    }
}

#[cfg(test)]
mod tests {
    use aftercall_actors::contract::key::Side;
    use tokio::time::{advance, pause};

    use super::*;

    const A: Who<'_> = Who::Partition(PartitionId {
        side: Side::Agent,
        index: 0,
    });
    const B: Who<'_> = Who::Partition(PartitionId {
        side: Side::Agent,
        index: 1,
    });

    fn attempt(health: &Health, who: Who<'_>, outcome: Outcome<'_>) {
        health.begin(Work::Commit, who).ended(outcome);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn work_that_has_failed_for_ten_seconds_is_one_complaint_until_it_works_for_everyone() {
        pause();
        let health = Health::default();
        for _ in 0..99 {
            attempt(&health, A, Outcome::Failed("maximum bytes exceeded"));
            attempt(&health, B, Outcome::Failed("maximum bytes exceeded"));
            advance(Duration::from_millis(100)).await;
            assert_eq!(health.complaints(), Vec::<String>::new());
        }
        advance(Duration::from_millis(100)).await;
        let complaints = health.complaints();
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(
            complaints[0]
                .starts_with("committing to the journal (agent.0 and 1 more) fails since 20")
                && complaints[0].ends_with("for 10 s and 99 times: maximum bytes exceeded"),
            "{complaints:?}"
        );
        attempt(&health, A, Outcome::Done);
        assert_eq!(health.complaints().len(), 1, "the other one still fails");
        attempt(&health, B, Outcome::Done);
        assert_eq!(health.complaints(), Vec::<String>::new());
        assert!(!health.is_failing(Work::Commit));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_failure_that_nobody_repeats_is_no_complaint_and_is_forgotten() {
        pause();
        let health = Health::default();
        attempt(&health, A, Outcome::Failed("timed out"));
        for _ in 0..14 {
            advance(Duration::from_secs(1)).await;
            health.look();
            assert_eq!(health.complaints(), Vec::<String>::new());
        }
        assert!(health.is_failing(Work::Commit));
        advance(Duration::from_secs(1)).await;
        health.look();
        assert!(!health.is_failing(Work::Commit));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_try_without_an_answer_is_a_complaint_and_given_up_it_has_failed() {
        pause();
        let health = Health::default();
        let hanging = health.begin(Work::Commit, A);
        advance(Duration::from_millis(9_999)).await;
        assert_eq!(health.complaints(), Vec::<String>::new());
        advance(Duration::from_millis(1)).await;
        assert_eq!(
            health.complaints(),
            ["committing to the journal: no answer for 10 s"]
        );
        drop(hanging);
        assert!(health.is_failing(Work::Commit));
        drop(health.begin(Work::Publish, A));
        assert!(!health.is_failing(Work::Publish), "given up at once");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_kept_for_later_is_a_note_and_what_is_refused_is_told_elsewhere() {
        pause();
        let health = Health::default();
        for _ in 0..11 {
            health.failed(Work::WriteDead, A, "maximum bytes exceeded");
            attempt(&health, A, Outcome::Refused);
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!(health.complaints(), Vec::<String>::new());
        assert_eq!(health.notes().len(), 1);
        health.succeeded(Work::WriteDead, Who::All);
        assert_eq!(health.notes(), Vec::<String>::new());
    }

    #[test]
    fn every_kind_has_its_place_and_its_own_name() {
        for (place, work) in Work::ALL.into_iter().enumerate() {
            assert_eq!(work as usize, place);
        }
        let names: std::collections::BTreeSet<_> = Work::ALL.map(Work::name).into();
        assert_eq!(names.len(), Work::ALL.len());
    }
}
