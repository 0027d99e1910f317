//! Which of the processes on one log has it.
//!
//! The fence alone keeps the log right, but several processes that start at once would each end with some of the
//! partitions and some of the destinations, and none of them would be ready. So the process whose record stands last in
//! the journal of the first partition is the one that has everything: what another has taken it takes back, and the
//! others stand by.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU8, Ordering},
};

const UNKNOWN: u8 = 0;
const OURS: u8 = 1;
const ANOTHERS: u8 = 2;

/// This process, and whether it has the log. Shared by all that take something over.
#[derive(Debug)]
pub struct Owner {
    id: u64,
    standing: AtomicU8,
}

impl Owner {
    /// A process of which it is not known yet.
    #[must_use]
    pub const fn new(id: u64) -> Self {
        Self {
            id,
            standing: AtomicU8::new(UNKNOWN),
        }
    }

    /// This process.
    #[must_use]
    pub fn this_process() -> Self {
        Self::new(RandomState::new().hash_one(std::process::id()))
    }

    /// What tells it from every other: two that take something over at once must not write the same bytes.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Whether this process is known to have the log.
    #[must_use]
    pub fn is_this(&self) -> bool {
        self.standing.load(Ordering::Relaxed) == OURS
    }

    /// Whether it had it, and another process has taken it over.
    #[must_use]
    pub fn is_another(&self) -> bool {
        self.standing.load(Ordering::Relaxed) == ANOTHERS
    }

    /// This process has just taken the first partition over.
    pub fn took(&self) {
        self.stands(self.id);
    }

    /// This process is about to take over again.
    pub fn begin_anew(&self) {
        self.standing.store(UNKNOWN, Ordering::Relaxed);
    }

    /// Takes note of whose record stands last in the first partition's journal. A process that never had it learns
    /// nothing by that: it may be about to take it.
    pub fn stands(&self, id: u64) {
        if id == self.id {
            self.standing.store(OURS, Ordering::Relaxed);
        } else if self.is_this() {
            self.standing.store(ANOTHERS, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_stands_by_only_for_one_that_came_after_it() {
        let owner = Owner::new(7);
        owner.stands(9);
        assert!(!owner.is_another() && !owner.is_this());
        owner.stands(7);
        assert!(owner.is_this());
        owner.stands(9);
        assert!(owner.is_another());
        owner.stands(7);
        assert!(owner.is_this());
        owner.stands(9);
        owner.begin_anew();
        owner.stands(9);
        assert!(!owner.is_another() && !owner.is_this());
        owner.took();
        assert!(owner.is_this());
    }
}
