//! Finds a response's place by its key: open addressing over places alone, as a key stands where the place leads to.
//!
//! A `BTreeMap` would take five times the room, and this is held once a partition. It is never iterated, so decisions
//! cannot depend on the order of its slots.

use crate::dedupe::KeyHash;

/// A table begins with so many slots.
const SLOTS_MIN: usize = 16;

/// Places by key. Equal to any other: it follows from what it finds.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// 0 for an empty slot, else a place and [`USED`]; a power of two of them, at most three quarters full.
    slots: Vec<u32>,
    len: usize,
}

impl PartialEq for Index {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What marks a slot that is taken. Places are smaller.
const USED: u32 = 1 << 31;

/// Places count modulo this and 1.
pub(super) const PLACE_MAX: u32 = USED - 1;

impl Index {
    pub(super) fn bytes(&self) -> u64 {
        (self.slots.len() * size_of::<u32>()) as u64
    }

    /// The place under which `key` was put last.
    pub(super) fn find(&self, key: KeyHash, key_at: impl Fn(u32) -> KeyHash) -> Option<u32> {
        let slot = self.slot_of(key, key_at)?;
        self.slots.get(slot).map(|slot| slot & PLACE_MAX)
    }

    /// Puts the key of this place there, instead of where it was.
    pub(super) fn insert(&mut self, place: u32, key_at: impl Fn(u32) -> KeyHash) {
        let key = key_at(place);
        if let Some(slot) = self.slot_of(key, &key_at) {
            self.slots[slot] = USED | place;
            return;
        }
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            let size = (self.slots.len() * 2).max(SLOTS_MIN);
            let old = std::mem::replace(&mut self.slots, vec![0; size]);
            for slot in old.into_iter().filter(|slot| *slot != 0) {
                self.put(slot, key_at(slot & PLACE_MAX));
            }
        }
        self.put(USED | place, key);
        self.len += 1;
    }

    /// Forgets a key.
    pub(super) fn remove(&mut self, key: KeyHash, key_at: impl Fn(u32) -> KeyHash) {
        let Some(mut gap) = self.slot_of(key, &key_at) else {
            return;
        };
        self.slots[gap] = 0;
        self.len -= 1;
        // What was put behind because the gap was taken moves up, or it would not be found any more.
        let mask = self.slots.len() - 1;
        let mut next = (gap + 1) & mask;
        while self.slots[next] != 0 {
            let home = self.home(key_at(self.slots[next] & PLACE_MAX));
            let is_behind = next.wrapping_sub(home) & mask >= next.wrapping_sub(gap) & mask;
            if is_behind {
                self.slots[gap] = std::mem::take(&mut self.slots[next]);
                gap = next;
            }
            next = (next + 1) & mask;
        }
    }

    /// Keys are hashes: any part of one spreads them.
    fn home(&self, key: KeyHash) -> usize {
        key.low() as usize & (self.slots.len() - 1)
    }

    fn put(&mut self, value: u32, key: KeyHash) {
        let mut at = self.home(key);
        while self.slots[at] != 0 {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = value;
    }

    fn slot_of(&self, key: KeyHash, key_at: impl Fn(u32) -> KeyHash) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.home(key);
        while self.slots[at] != 0 {
            if key_at(self.slots[at] & PLACE_MAX) == key {
                return Some(at);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        None
    }
}
