//! Known bugs that the simulation must find. Only in builds with the feature `planted-bugs`, which the tests turn
//! on and no release does; and even there nothing is wrong until a test plants one, for its own thread.

/// A bug, and where it bites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A commit that is fenced is written again behind whatever stands there.
    CommitWithoutFence,
    /// A snapshot is written before the journal has reached its position.
    SnapshotAheadOfMark,
    /// Recovery forgets what a snapshot remembered, dedupe memory and all.
    DedupeForgottenOnRestart,
    /// Replay passes over the states stored with what was said, and says it again.
    OutputAgainOnReplay,
    /// The owner that a response had before keeps what it gave, and does not update its alert.
    FormerOwnerForgotten,
    /// A log that lost its end while it was read is read on as if nothing had been.
    LostEndNotNoticed,
    /// Numbers of commits that the journal has lost are given to others.
    LostCommitsNumberedAgain,
    /// What stood when it was said again is taken to stand, whatever the log has lost since.
    StoodTakenToStand,
    /// Outputs that the log has lost are taken to stand.
    LostOutputsStayLost,
    /// Lag is measured up to what was read, not up to the log's end.
    LagUpToWhatWasRead,
    /// What is not committed is passed over, by who judges progress and by who keeps account of failures.
    UncommittedPassesOver,
    /// A record leaves out states that do not fit, and does not say so.
    LeftOutUnsaid,
    /// A state that a record left out counts as written, and changes are folded over whatever there is.
    LeftOutMarked,
    /// Log time follows the machine's clock wherever it jumps.
    ClockFollowed,
    /// An actor that was passivated and has changed is stored by what has changed since it was read again.
    PassivatedKeepsChanges,
    /// What is for other partitions is passed over only with the next event of one's own, and not before those who are due
    /// are woken.
    PassedOverLate,
    /// Those whom a former owner had woken are woken anew, and heard.
    WokenAgain,
    /// Delivery tells of a verdict before the commit that holds it.
    ToldBeforeCommit,
    /// Delivery sends an attempt before the commit that counts it.
    SentBeforeCommit,
    /// Delivery waits at its place, whatever the log has lost.
    PlaceNotFoundAgain,
    /// Delivery takes the copy of an output that the log had lost for another one.
    CopiesDelivered,
    /// Delivery takes the copy of an output that came to its former place for the output itself.
    CopyForOriginal,
    /// Delivery waits at its place among dead letters and decisions, whatever the log has lost.
    DeadPlaceKept,
    /// A dead letter does not wait for its output, which the log has lost.
    LetterWithoutOutput,
    /// Behind a lost end of its line delivery goes on without saying again what the lost records said.
    LostRecordsNotWrittenAnew,
    /// Delivery goes on writing behind another owner's record.
    DeliveryWithoutFence,
    /// An attempt whose credentials are not accepted counts among those that failed.
    MisconfiguredCounts,
    /// An answer that nobody can read, of an attempt that may have been done, is taken for a rejection.
    UnreadableRejects,
}

impl Bug {
    /// Those of the shards.
    pub const ALL: [Self; 13] = [
        Self::CommitWithoutFence,
        Self::SnapshotAheadOfMark,
        Self::DedupeForgottenOnRestart,
        Self::OutputAgainOnReplay,
        Self::FormerOwnerForgotten,
        Self::LagUpToWhatWasRead,
        Self::UncommittedPassesOver,
        Self::LeftOutUnsaid,
        Self::ClockFollowed,
        Self::LeftOutMarked,
        Self::PassivatedKeepsChanges,
        Self::PassedOverLate,
        Self::WokenAgain,
    ];

    /// Those of a log that loses its ends.
    pub const OF_LOSS: [Self; 5] = [
        Self::SnapshotAheadOfMark,
        Self::StoodTakenToStand,
        Self::LostEndNotNoticed,
        Self::LostOutputsStayLost,
        Self::LostCommitsNumberedAgain,
    ];

    /// Those of delivery.
    pub const OF_DELIVERY: [Self; 11] = [
        Self::ToldBeforeCommit,
        Self::SentBeforeCommit,
        Self::DeliveryWithoutFence,
        Self::MisconfiguredCounts,
        Self::UnreadableRejects,
        Self::PlaceNotFoundAgain,
        Self::CopiesDelivered,
        Self::CopyForOriginal,
        Self::DeadPlaceKept,
        Self::LetterWithoutOutput,
        Self::LostRecordsNotWrittenAnew,
    ];
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
    static DIVERGENCES: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    static STATE_ROOM: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

/// Lets records of this thread hold no more than so many bytes of states: what a simulation has of actors is small.
#[cfg(feature = "planted-bugs")]
pub fn set_state_room(bytes: usize) {
    STATE_ROOM.set(bytes);
}

/// Counts words that replay was not to say, for a simulation.
#[cfg(feature = "planted-bugs")]
pub fn note_divergences(count: u64) {
    DIVERGENCES.set(DIVERGENCES.get() + count);
}

/// Words that replay was not to say in this thread, since this was last asked.
#[cfg(feature = "planted-bugs")]
#[must_use]
pub fn take_divergences() -> u64 {
    DIVERGENCES.replace(0)
}

/// Nobody looks at them in a build without the feature but the metrics.
#[cfg(not(feature = "planted-bugs"))]
pub const fn note_divergences(_: u64) {}

/// Most bytes of states that a record may hold besides what the log allows.
#[cfg(feature = "planted-bugs")]
#[must_use]
pub fn state_room() -> usize {
    STATE_ROOM.get()
}

/// As many as the log allows, in a build without the feature.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
pub const fn state_room() -> usize {
    usize::MAX
}

/// Where a test can have the program panic, on whatever thread that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PanicIn {
    /// While a partition is taken over.
    TakeOver,
    /// In a partition's loop.
    Partition,
    /// In the reader of the log.
    Reader,
    /// In what moves time on.
    Ticker,
    /// In what looks whether work gets done.
    Overseer,
    /// In what looks which process has the log.
    Owning,
    /// While a request is answered.
    Request,
    /// While a file of the watched folder is imported.
    Import,
    /// While the watched folder is looked at.
    Folder,
}

#[cfg(feature = "planted-bugs")]
static PANICS: std::sync::Mutex<Vec<(PanicIn, Option<std::thread::ThreadId>)>> =
    std::sync::Mutex::new(Vec::new());

/// Has the next task that comes to this place panic, in the whole process: for tests that are alone in it.
#[cfg(feature = "planted-bugs")]
pub fn plant_panic(place: PanicIn) {
    panics().push((place, None));
}

/// The same for the next task of this thread.
#[cfg(feature = "planted-bugs")]
pub fn plant_panic_here(place: PanicIn) {
    panics().push((place, Some(std::thread::current().id())));
}

#[cfg(feature = "planted-bugs")]
fn panics() -> std::sync::MutexGuard<'static, Vec<(PanicIn, Option<std::thread::ThreadId>)>> {
    PANICS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Panics if a test wants it here.
#[cfg(feature = "planted-bugs")]
pub fn panic_if_planted(place: PanicIn) {
    let mut panics = panics();
    let here = std::thread::current().id();
    let wanted = panics
        .iter()
        .position(|(wanted, thread)| *wanted == place && thread.is_none_or(|at| at == here));
    if let Some(wanted) = wanted {
        panics.remove(wanted);
        drop(panics);
        panic!("planted in {place:?}");
    }
}

/// Never, in a build without the feature.
#[cfg(not(feature = "planted-bugs"))]
pub const fn panic_if_planted(_: PanicIn) {}

/// Plants a bug in this thread, or removes it.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether the bug is planted in this thread.
#[cfg(feature = "planted-bugs")]
#[must_use]
pub fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Never, in a build without the feature.
#[cfg(not(feature = "planted-bugs"))]
#[must_use]
pub const fn is_planted(_: Bug) -> bool {
    false
}
