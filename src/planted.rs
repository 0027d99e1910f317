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
    /// Lag is measured up to what was read, not up to the log's end.
    LagUpToWhatWasRead,
    /// What is not committed is passed over, by who judges progress and by who keeps account of failures.
    UncommittedPassesOver,
    /// Delivery tells of a verdict before the commit that holds it.
    ToldBeforeCommit,
    /// Delivery sends an attempt before the commit that counts it.
    SentBeforeCommit,
    /// Delivery goes on writing behind another owner's record.
    DeliveryWithoutFence,
    /// An attempt whose credentials are not accepted counts among those that failed.
    MisconfiguredCounts,
    /// An answer that nobody can read, of an attempt that may have been done, is taken for a rejection.
    UnreadableRejects,
}

impl Bug {
    /// Those of the shards.
    pub const ALL: [Self; 7] = [
        Self::CommitWithoutFence,
        Self::SnapshotAheadOfMark,
        Self::DedupeForgottenOnRestart,
        Self::OutputAgainOnReplay,
        Self::FormerOwnerForgotten,
        Self::LagUpToWhatWasRead,
        Self::UncommittedPassesOver,
    ];

    /// Those of delivery.
    pub const OF_DELIVERY: [Self; 5] = [
        Self::ToldBeforeCommit,
        Self::SentBeforeCommit,
        Self::DeliveryWithoutFence,
        Self::MisconfiguredCounts,
        Self::UnreadableRejects,
    ];
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

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
