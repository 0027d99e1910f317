//! When each of many keys was seen: open addressing over marks of keys, so that finding, adding and forgetting one costs
//! the same for a few keys and for many.
//!
//! A mark leads to a time, and entries in order of time say whether it is the key's. It is never iterated, so decisions
//! cannot depend on the order of its slots.

use super::KeyHash;
use crate::contract::time::LogTime;

/// A table begins with so many slots.
const SLOTS_MIN: usize = 1_024;

/// Mark and time of a key; the mark is 0 in an empty slot, and odd in any other.
type Slot = (u64, LogTime);

const EMPTY: Slot = (0, LogTime(0));

/// The times at which keys were seen, found by 64 bits of the key.
#[derive(Clone, Debug)]
pub(super) struct Times {
    /// A power of two of them, at most three quarters full.
    slots: Vec<Slot>,
    len: usize,
}

const fn mark_of(key: KeyHash) -> u64 {
    key.low() | 1
}

impl Times {
    /// A table of these keys and times, with room for as many again.
    pub(super) fn of(keys: impl ExactSizeIterator<Item = (KeyHash, LogTime)>) -> Self {
        let size = (keys.len() * 2).next_power_of_two().max(SLOTS_MIN);
        let mut times = Self {
            slots: vec![EMPTY; size],
            len: 0,
        };
        keys.for_each(|(key, at)| times.insert(key, at));
        times
    }

    /// The first answer that `look` gives for a time at which this key may have been seen.
    pub(super) fn find<T>(
        &self,
        key: KeyHash,
        mut look: impl FnMut(LogTime) -> Option<T>,
    ) -> Option<T> {
        let mark = mark_of(key);
        let mut place = self.home(mark);
        while self.slots[place].0 != 0 {
            let (held, at) = self.slots[place];
            if held == mark
                && let Some(found) = look(at)
            {
                return Some(found);
            }
            place = self.next(place);
        }
        None
    }

    pub(super) fn insert(&mut self, key: KeyHash, at: LogTime) {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            let size = self.slots.len() * 2;
            let old = std::mem::replace(&mut self.slots, vec![EMPTY; size]);
            for slot in old.into_iter().filter(|slot| slot.0 != 0) {
                self.put(slot);
            }
        }
        self.put((mark_of(key), at));
        self.len += 1;
    }

    /// Forgets a key that was seen at this time.
    pub(super) fn remove(&mut self, key: KeyHash, at: LogTime) {
        let slot = (mark_of(key), at);
        let mut hole = self.home(slot.0);
        while self.slots[hole] != slot {
            if self.slots[hole].0 == 0 {
                return;
            }
            hole = self.next(hole);
        }
        self.len -= 1;
        // A slot behind the hole that may stand in it moves up, so that no search ends too early.
        let mut place = self.next(hole);
        while self.slots[place].0 != 0 {
            let home = self.home(self.slots[place].0);
            let mask = self.slots.len() - 1;
            let (to_hole, to_place) = (
                hole.wrapping_sub(home) & mask,
                place.wrapping_sub(home) & mask,
            );
            if to_hole < to_place {
                self.slots[hole] = self.slots[place];
                hole = place;
            }
            place = self.next(place);
        }
        self.slots[hole] = EMPTY;
    }

    fn put(&mut self, slot: Slot) {
        let mut place = self.home(slot.0);
        while self.slots[place].0 != 0 {
            place = self.next(place);
        }
        self.slots[place] = slot;
    }

    const fn home(&self, mark: u64) -> usize {
        // The lowest bit says that it is taken.
        (mark >> 1) as usize & (self.slots.len() - 1)
    }

    const fn next(&self, place: usize) -> usize {
        (place + 1) & (self.slots.len() - 1)
    }
}
