//! What an actor remembers of business keys it has seen, so that the same thing counts once.
//!
//! Part of the actor's state, not a cache: it commits with what the event caused, so neither a crash nor a
//! redelivery can come between (REQUIREMENTS, "readings": dedupe). Keys are 128-bit hashes in time order, so
//! forgetting is popping the front; how a key is found depends on how many there are.
//! Used by `surveys`, `enps`, `points` and `customer`.

mod times;

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use times::Times;

use crate::{contract::time::LogTime, stored::wire};

/// Most keys one actor remembers in one memory. Above it the oldest is forgotten early, and counted.
pub const DEDUPE_ENTRIES_MAX: usize = 16_384;

/// Up to this many entries a lookup compares their keys.
const KEYS_MAX: usize = 16;

/// Up to this many it compares marks of the keys; above, a table leads from key to time.
const MARKS_MAX: usize = 512;

/// A business key, hashed: an id and a number that belongs to it (a time, a revision, a sort).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyHash {
    high: u64,
    low: u64,
}

impl KeyHash {
    /// Hashes `id` under `number`.
    #[must_use]
    pub fn of(id: &str, number: u64) -> Self {
        Self::from_u128(xxh3_128_with_seed(id.as_bytes(), number))
    }

    /// A part of it, for a hash table.
    pub(crate) const fn low(self) -> u64 {
        self.low
    }

    /// A part of it, to find candidates by.
    const fn mark(self) -> u32 {
        self.low as u32
    }

    /// The stored form.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.high) << 64 | u128::from(self.low)).to_le_bytes()
    }

    /// Reads the stored form.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::from_u128(u128::from_le_bytes(bytes))
    }

    pub(crate) const fn from_u128(hash: u128) -> Self {
        Self {
            high: (hash >> 64) as u64,
            low: hash as u64,
        }
    }
}

/// One key, and what is kept with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry<T> {
    /// The key.
    pub key: KeyHash,
    /// When it was seen; never before the entry in front of it.
    pub at: LogTime,
    /// What is kept with it.
    pub value: T,
}

/// Keys seen within a time to live, oldest first.
///
/// Clock: log time. Where it stands still or jumps back, no time has passed. Boundary: an entry stored at
/// `t` is remembered while `now - t < ttl`. Source: REQUIREMENTS S2.05, S4.04.
#[derive(Clone, Debug)]
pub struct Dedupe<T> {
    entries: VecDeque<Entry<T>>,
    index: Option<Box<Index>>,
    /// How many entries at the back are new since the last [`Self::mark`].
    fresh: usize,
    /// What else has changed since then.
    changes: Option<Box<Changes>>,
}

/// What has changed since the memory was stored, besides that keys were added.
#[derive(Clone, Debug, Default)]
struct Changes {
    /// Keys that were forgotten, new ones among them.
    gone: Vec<KeyHash>,
    /// Keys whose value was changed in its place.
    changed: Vec<KeyHash>,
    /// There were too many to list.
    is_lost: bool,
}

/// Most changes that are listed; of more the memory is stored whole, which is about as long.
const CHANGES_MAX: usize = 4_096;

/// Where to look for a key, once comparing all of them takes too long.
#[derive(Clone, Debug)]
enum Index {
    /// The mark of each entry, in their order: some hundred of them lie side by side in few cache lines.
    Marks(VecDeque<u32>),
    /// The time of each key; entries are in order of time.
    Times(Times),
}

impl<T> Default for Dedupe<T> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            index: None,
            fresh: 0,
            changes: None,
        }
    }
}

/// The index follows from the entries, and what is stored of them is no part of them: neither has a say.
impl<T: PartialEq> PartialEq for Dedupe<T> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl<T> Dedupe<T> {
    /// Forgets what is older than `ttl_ms` at `now`.
    pub fn expire(&mut self, now: LogTime, ttl_ms: i64) {
        while let Some(oldest) = self.entries.front()
            && now.since_ms(oldest.at) >= ttl_ms
        {
            self.forget_oldest();
        }
    }

    /// What is kept with `key`, if it is remembered. Ask [`Self::expire`] first.
    #[must_use]
    pub fn get(&self, key: KeyHash) -> Option<&T> {
        self.position(key).map(|index| &self.entries[index].value)
    }

    /// When `key` was seen, and what is kept with it, to change.
    pub(crate) fn get_mut(&mut self, key: KeyHash) -> Option<(LogTime, &mut T)> {
        let place = self.position(key)?;
        if place < self.entries.len() - self.fresh {
            self.list(|changes| &mut changes.changed, key);
        }
        self.entries
            .get_mut(place)
            .map(|entry| (entry.at, &mut entry.value))
    }

    /// Remembers `key` from `now` on; a key that was remembered before has its time and value replaced.
    ///
    /// Returns false if the memory was full and forgot its oldest entry early.
    pub fn remember(&mut self, now: LogTime, key: KeyHash, value: T) -> bool {
        self.forget(key);
        self.add(now, key, value)
    }

    /// Forgets `key`. What was kept with it.
    pub(crate) fn forget(&mut self, key: KeyHash) -> Option<T> {
        let place = self.position(key)?;
        self.leave(place, key);
        let entry = self.entries.remove(place)?;
        match self.index.as_deref_mut() {
            Some(Index::Marks(marks)) => {
                marks.remove(place);
            }
            Some(Index::Times(times)) => times.remove(key, entry.at),
            None => {}
        }
        if self.entries.is_empty() {
            self.index = None;
        }
        Some(entry.value)
    }

    /// [`Self::remember`] for a key that [`Self::get`] did not find.
    pub fn add(&mut self, now: LogTime, key: KeyHash, value: T) -> bool {
        let fits = self.entries.len() < DEDUPE_ENTRIES_MAX;
        if !fits {
            self.forget_oldest();
        }
        let at = self.entries.back().map_or(now, |last| last.at.max(now));
        self.push(Entry { key, at, value });
        fits
    }

    fn push(&mut self, entry: Entry<T>) {
        let Entry { key, at, .. } = entry;
        self.entries.push_back(entry);
        self.fresh += 1;
        match self.index.as_deref_mut() {
            Some(Index::Times(times)) => times.insert(key, at),
            Some(Index::Marks(marks)) if marks.len() < MARKS_MAX => marks.push_back(key.mark()),
            Some(Index::Marks(_)) => {
                let times = Times::of(self.entries.iter().map(|e| (e.key, e.at)));
                self.index = Some(Box::new(Index::Times(times)));
            }
            None if self.entries.len() > KEYS_MAX => {
                let marks = self.entries.iter().map(|e| e.key.mark()).collect();
                self.index = Some(Box::new(Index::Marks(marks)));
            }
            None => {}
        }
    }

    /// Notes that the entry at `place` is about to leave.
    fn leave(&mut self, place: usize, key: KeyHash) {
        if place >= self.entries.len() - self.fresh {
            self.fresh -= 1;
        }
        self.list(|changes| &mut changes.gone, key);
    }

    fn list(&mut self, of: impl FnOnce(&mut Changes) -> &mut Vec<KeyHash>, key: KeyHash) {
        let changes = self.changes.get_or_insert_default();
        if changes.is_lost {
            return;
        }
        of(changes).push(key);
        if changes.gone.len() + changes.changed.len() > CHANGES_MAX {
            **changes = Changes {
                is_lost: true,
                ..Changes::default()
            };
        }
    }

    /// From here on changes are counted anew: what is remembered now has been stored.
    pub(crate) fn mark(&mut self) {
        self.fresh = 0;
        self.changes = None;
    }

    /// Whether there were more changes since the last mark than are listed.
    pub(crate) fn is_lost(&self) -> bool {
        self.changes.as_ref().is_some_and(|changes| changes.is_lost)
    }

    /// Keys forgotten since the last mark.
    pub(crate) fn gone(&self) -> &[KeyHash] {
        self.changes.as_ref().map_or(&[], |changes| &changes.gone)
    }

    /// Brings a stored memory up to the mark at which `gone` and `news` were taken. Those of its changes that it has seen
    /// before change nothing.
    pub(crate) fn fold(&mut self, gone: &[KeyHash], news: Self) {
        for key in gone {
            self.forget(*key);
        }
        let mut is_behind = false;
        for entry in news.entries {
            match self.position(entry.key) {
                Some(place) if !is_behind => self.entries[place] = entry,
                // One that came after one that is missing here stands behind it.
                Some(_) => {
                    self.forget(entry.key);
                    self.push(entry);
                }
                None => {
                    is_behind = true;
                    self.push(entry);
                }
            }
        }
        self.mark();
    }

    /// Whether nothing is remembered at `now`.
    #[must_use]
    pub fn is_blank(&self, now: LogTime, ttl_ms: i64) -> bool {
        self.entries
            .back()
            .is_none_or(|newest| now.since_ms(newest.at) >= ttl_ms)
    }

    /// Entries, oldest first.
    pub fn iter(&self) -> std::collections::vec_deque::Iter<'_, Entry<T>> {
        self.entries.iter()
    }

    /// What is kept with each key, oldest first, to read it back.
    pub(crate) fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut T> {
        self.entries.iter_mut().map(|entry| &mut entry.value)
    }

    fn position(&self, key: KeyHash) -> Option<usize> {
        match self.index.as_deref() {
            None => self.entries.iter().rposition(|entry| entry.key == key),
            Some(Index::Marks(marks)) => {
                let (front, back) = marks.as_slices();
                let mark = key.mark();
                // Nearly always there is no candidate: first a test without an exit, which takes many at once.
                let has = |marks: &[u32]| marks.iter().fold(false, |has, m| has | (*m == mark));
                if !has(front) && !has(back) {
                    return None;
                }
                let mut candidates = marks.iter().enumerate().filter(|(_, m)| **m == mark);
                candidates
                    .find(|(place, _)| self.entries[*place].key == key)
                    .map(|(place, _)| place)
            }
            Some(Index::Times(times)) => times.find(key, |at| {
                let first = self.entries.partition_point(|entry| entry.at < at);
                let mut same = self.entries.range(first..).take_while(|e| e.at == at);
                same.position(|e| e.key == key).map(|offset| first + offset)
            }),
        }
    }

    fn forget_oldest(&mut self) {
        let Some((key, at)) = self.entries.front().map(|oldest| (oldest.key, oldest.at)) else {
            return;
        };
        self.leave(0, key);
        self.entries.pop_front();
        match self.index.as_deref_mut() {
            Some(Index::Marks(marks)) => {
                marks.pop_front();
            }
            Some(Index::Times(times)) => times.remove(key, at),
            None => {}
        }
        if self.entries.is_empty() {
            self.index = None;
        }
    }
}

impl<T: Clone> Dedupe<T> {
    /// The entries that are new or have another value since the last mark, in their order.
    pub(crate) fn news(&self) -> Self {
        let old = self.entries.len() - self.fresh;
        let changed = self.changes.as_ref().map(|changes| &*changes.changed);
        let changed = changed.into_iter().flatten();
        let mut places: Vec<usize> = changed
            .filter_map(|key| self.position(*key))
            .filter(|place| *place < old)
            .collect();
        places.sort_unstable();
        places.dedup();
        let places = places.into_iter().chain(old..self.entries.len());
        let entries = places.filter_map(|place| self.entries.get(place));
        entries.cloned().collect()
    }
}

/// Rebuilds a memory from entries that were stored oldest first.
impl<T> FromIterator<Entry<T>> for Dedupe<T> {
    fn from_iter<I: IntoIterator<Item = Entry<T>>>(entries: I) -> Self {
        let mut memory = Self::default();
        for Entry { key, at, value } in entries {
            memory.remember(at, key, value);
        }
        memory.mark();
        memory
    }
}

/// The stored form: keys of 16 bytes, and log times as differences. What is kept with a key, its owner stores.
impl<T> Dedupe<T> {
    pub(crate) fn encode(&self, keys: u32, times: u32, into: &mut Vec<u8>) {
        wire::pieces(keys, self.entries.iter().map(|e| e.key.to_bytes()), into);
        wire::sints(
            times,
            wire::deltas(self.entries.iter().map(|e| e.at.0)),
            into,
        );
    }
}

impl<T: Default> Dedupe<T> {
    /// `None` if the columns do not fit together.
    pub(crate) fn decode(keys: &[u8], times: &[i64]) -> Option<Self> {
        let (keys, rest) = keys.as_chunks::<16>();
        let fits = rest.is_empty() && keys.len() == times.len() && keys.len() <= DEDUPE_ENTRIES_MAX;
        fits.then(|| {
            let entry = |(key, at)| Entry {
                key: KeyHash::from_bytes(key),
                at: LogTime(at),
                value: T::default(),
            };
            keys.iter()
                .copied()
                .zip(wire::undelta(times))
                .map(entry)
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TTL_MS: i64 = 1_000;

    fn key(n: u64) -> KeyHash {
        KeyHash::of("key", n)
    }

    #[test]
    fn s2_05_an_entry_is_remembered_until_one_tick_before_its_ttl() {
        let mut memory = Dedupe::default();
        assert!(memory.remember(LogTime(5), key(1), ()));
        memory.expire(LogTime(5 + TTL_MS - 1), TTL_MS);
        assert_eq!(memory.get(key(1)), Some(&()));
        assert!(!memory.is_blank(LogTime(5 + TTL_MS - 1), TTL_MS));
        assert!(memory.is_blank(LogTime(5 + TTL_MS), TTL_MS));
        memory.expire(LogTime(5 + TTL_MS), TTL_MS);
        assert_eq!(memory, Dedupe::default());
    }

    #[test]
    fn log_time_that_jumps_back_or_to_its_ends_forgets_nothing_early_and_never_panics() {
        let mut memory = Dedupe::default();
        memory.remember(LogTime(i64::MAX), key(1), ());
        memory.expire(LogTime(i64::MIN), TTL_MS);
        memory.remember(LogTime(i64::MIN), key(2), ());
        memory.expire(LogTime(0), TTL_MS);
        assert_eq!(
            (memory.get(key(1)), memory.get(key(2))),
            (Some(&()), Some(&()))
        );
    }

    #[test]
    fn s2_05_a_full_memory_forgets_its_oldest_and_says_so() {
        let mut memory = Dedupe::default();
        for n in 0..DEDUPE_ENTRIES_MAX as u64 {
            assert!(memory.remember(LogTime(0), key(n), n));
        }
        assert!(!memory.remember(LogTime(0), key(u64::MAX), 7));
        assert_eq!(memory.get(key(0)), None);
        assert_eq!(memory.get(key(1)), Some(&1));
        assert_eq!(memory.get(key(u64::MAX)), Some(&7));
        assert_eq!(memory.iter().len(), DEDUPE_ENTRIES_MAX);
    }

    #[test]
    fn a_key_that_is_remembered_again_starts_its_time_anew() {
        let mut memory = Dedupe::default();
        memory.remember(LogTime(0), key(1), 'a');
        memory.remember(LogTime(10), key(1), 'b');
        memory.expire(LogTime(TTL_MS), TTL_MS);
        assert_eq!(memory.get(key(1)), Some(&'b'));
        assert_eq!(memory.iter().len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Long enough for each sort of index. Against a list that is searched from end to end.
        #[test]
        fn a_memory_answers_as_a_plain_list_does(steps in prop::collection::vec((0u64..2_000, -1i64..5), 1..1_500)) {
            let (mut memory, mut list, mut now) = (Dedupe::default(), Vec::<(u64, i64)>::new(), 0i64);
            for (step, (n, passed)) in steps.into_iter().enumerate() {
                now += passed;
                memory.expire(LogTime(now), TTL_MS);
                list.retain(|entry| now - entry.1 < TTL_MS);
                prop_assert_eq!(memory.get(key(n)).is_some(), list.iter().any(|entry| entry.0 == n));
                memory.remember(LogTime(now), key(n), step);
                list.retain(|entry| entry.0 != n);
                list.push((n, list.last().map_or(now, |last| last.1.max(now))));
                prop_assert_eq!(memory.get(key(n)), Some(&step));
            }
            let again: Dedupe<usize> = memory.iter().copied().collect();
            prop_assert_eq!(&again, &memory);
        }
    }
}
