//! What each part of a process last said of itself: written by the part, read by `/readyz`, the metrics and the demo.
//!
//! Each account has a lock of its own, found by its key in one step, so that parts do not wait for each other nor search
//! among each other's. Keys are given once, at the start, and stay in that order.

use std::{
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::FixedState;
use indexmap::{Equivalent, IndexMap};

/// Accounts of type `T`, by key.
#[derive(Debug)]
pub struct StatusBoard<K, T> {
    accounts: IndexMap<K, Mutex<T>, FixedState>,
}

impl<K: Hash + Eq, T: Clone> StatusBoard<K, T> {
    /// With these accounts to begin with; of two with one key the later one counts.
    #[must_use]
    pub fn new(accounts: impl IntoIterator<Item = (K, T)>) -> Self {
        let accounts = accounts.into_iter();
        Self {
            accounts: accounts
                .map(|(key, account)| (key, Mutex::new(account)))
                .collect(),
        }
    }

    /// Changes one account; a key that was not there at the start has none.
    pub fn update<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q, change: impl FnOnce(&mut T)) {
        if let Some(account) = self.accounts.get(key) {
            change(&mut lock(account));
        }
    }

    /// One account as it is now.
    #[must_use]
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<T> {
        let account = self.accounts.get(key)?;
        Some(lock(account).clone())
    }

    /// All accounts, in the order of the start. They are read one after the other, not at one moment.
    #[must_use]
    pub fn all(&self) -> Vec<T> {
        let accounts = self.accounts.values();
        accounts.map(|account| lock(account).clone()).collect()
    }
}

fn lock<T>(account: &Mutex<T>) -> MutexGuard<'_, T> {
    // A plain value: a panic while it was held has left it readable.
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_changed_by_key_and_read_in_the_order_of_the_start() {
        let board = StatusBoard::new([("b".to_owned(), 1), ("a".to_owned(), 2)]);
        board.update("a", |number| *number += 10);
        board.update("none", |number| *number += 100);
        assert_eq!(board.all(), [1, 12]);
        assert_eq!((board.get("a"), board.get("none")), (Some(12), None));
    }

    #[test]
    fn an_account_whose_writer_panicked_is_read_and_written_all_the_same() {
        let board = StatusBoard::new([(7, 1)]);
        let write = || board.update(&7, |_| panic!("out of luck"));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(write)).unwrap_err();
        board.update(&7, |number| *number += 1);
        assert_eq!(board.get(&7), Some(2));
    }
}
