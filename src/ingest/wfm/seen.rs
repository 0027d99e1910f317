//! Which values of a file have been taken, and where: a table that stays small beside millions of them.
//!
//! An entry is 16 bytes: 64 bits of the key's hash, the line, and a hash of the value. Twelve more bits of the key
//! choose one of many small tables, each of which grows by itself and by a quarter: so there is never an old table and
//! one of twice its size side by side, which would cost as much as all the rest of an import.
//!
//! Hashes can meet. What rests on them is chosen so that no value is lost without a word: a value that seems to stand
//! there already is given to the log all the same, which knows it by 128 bits of all it says; and one that seems to
//! contradict another is a bad row that everybody sees. With 76 bits that happens once in ten thousand million files
//! of three million values.

/// Bits of the key that choose a table.
const TABLES_BITS: u32 = 12;

/// One value that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// The line it stands on, from 1; 0 marks an empty place.
    pub(super) line: u32,
    /// A hash of it.
    pub(super) value: u32,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    key: u64,
    taken: Taken,
}

#[derive(Default)]
struct Table {
    /// Either none, or at least one of them empty.
    entries: Box<[Entry]>,
    used: usize,
}

/// Values by the hash of agent, workday and metric.
pub(super) struct Seen {
    tables: Vec<Table>,
}

impl Seen {
    pub(super) fn new() -> Self {
        let mut tables = Vec::new();
        tables.resize_with(1 << TABLES_BITS, Table::default);
        Self { tables }
    }

    /// What was taken under `key`, if anything was.
    pub(super) fn get(&self, key: u128) -> Option<Taken> {
        let table = self.tables.get(table_of(key))?;
        let place = table.place(key as u64)?;
        let taken = table.entries.get(place)?.taken;
        (taken.line != 0).then_some(taken)
    }

    /// Notes a value under a key that has none.
    pub(super) fn insert(&mut self, key: u128, taken: Taken) {
        if let Some(table) = self.tables.get_mut(table_of(key)) {
            table.insert(key as u64, taken);
        }
    }
}

fn table_of(key: u128) -> usize {
    // The upper bits; the lower half is the key within.
    (key >> (128 - TABLES_BITS)) as usize
}

impl Table {
    /// Where `key` stands, or would stand; `None` if there is no place at all.
    fn place(&self, key: u64) -> Option<usize> {
        let count = self.entries.len();
        if count == 0 {
            return None;
        }
        // As far into the table as the key is into all keys.
        let mut place = ((u128::from(key) * count as u128) >> 64) as usize;
        loop {
            let entry = self.entries.get(place)?;
            if entry.taken.line == 0 || entry.key == key {
                return Some(place);
            }
            place = if place + 1 == count { 0 } else { place + 1 };
        }
    }

    fn insert(&mut self, key: u64, taken: Taken) {
        // At most seven eighths, so that a place is found in few steps, and always.
        if self.used * 8 >= self.entries.len() * 7 {
            self.grow();
        }
        if let Some(place) = self.place(key)
            && let Some(entry) = self.entries.get_mut(place)
        {
            self.used += usize::from(entry.taken.line == 0);
            *entry = Entry { key, taken };
        }
    }

    fn grow(&mut self) {
        let count = (self.entries.len() * 5 / 4).max(16);
        let larger = vec![Entry::default(); count].into_boxed_slice();
        let old = std::mem::replace(&mut self.entries, larger);
        for entry in old.iter().filter(|entry| entry.taken.line != 0) {
            if let Some(place) = self.place(entry.key)
                && let Some(free) = self.entries.get_mut(place)
            {
                *free = *entry;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    #[test]
    fn it_holds_what_a_map_holds_however_it_grows() {
        let mut seen = Seen::new();
        let mut model = BTreeMap::new();
        for number in 0..200_000_u32 {
            // Every third key again, so that there are hits too.
            let key = xxh3_128(&(number / 3 * 2 + number % 2).to_le_bytes());
            assert_eq!(seen.get(key), model.get(&key).copied(), "{number}");
            let taken = Taken {
                line: number + 1,
                value: number ^ 7,
            };
            model.entry(key).or_insert_with(|| {
                seen.insert(key, taken);
                taken
            });
        }
        assert!(
            model
                .iter()
                .all(|(key, taken)| seen.get(*key) == Some(*taken))
        );
        assert_eq!(
            seen.tables.iter().map(|table| table.used).sum::<usize>(),
            model.len()
        );
    }

    #[test]
    fn keys_side_by_side_and_at_the_end_of_a_table_are_told_apart() {
        let mut seen = Seen::new();
        let keys: Vec<u128> = (0..500).map(|n| u128::from(u64::MAX) - n).collect();
        let taken = |place: usize| Taken {
            line: place as u32 + 1,
            value: 0,
        };
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(seen.get(*key), None);
            seen.insert(*key, taken(place));
        }
        for (place, key) in keys.iter().enumerate() {
            assert_eq!(seen.get(*key), Some(taken(place)));
        }
        assert_eq!(seen.get(u128::from(u64::MAX) - 500), None);
    }

    #[test]
    fn three_million_values_take_less_than_eighty_megabytes_whenever_they_are_weighed() {
        let mut seen = Seen::new();
        let mut most = 0.0_f64;
        for number in 1..=3_000_000_u32 {
            let key = xxh3_128(&number.to_le_bytes());
            seen.insert(
                key,
                Taken {
                    line: number,
                    value: 0,
                },
            );
            if number % 250_000 == 0 {
                let places: usize = seen.tables.iter().map(|table| table.entries.len()).sum();
                most = most.max((places * size_of::<Entry>()) as f64 / f64::from(number));
            }
        }
        assert!(most < 25.0, "{most} bytes a value");
        assert_eq!(size_of::<Entry>(), 16);
    }
}
