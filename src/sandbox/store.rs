//! What a vendor keeps: by key, in the order it came, and never more than so much.

use std::collections::{HashMap, VecDeque};

/// Values by key. Beyond its bound the oldest goes.
#[derive(Debug)]
pub struct Store<V> {
    values: HashMap<String, V>,
    order: VecDeque<String>,
    keep: usize,
}

impl<V> Store<V> {
    /// Holds `keep` values at most, and one at least.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            values: HashMap::new(),
            order: VecDeque::new(),
            keep: keep.max(1),
        }
    }

    /// Stores a value; one that had the key is replaced in its place.
    pub fn insert(&mut self, key: &str, value: V) {
        if self.values.insert(key.to_owned(), value).is_none() {
            self.order.push_back(key.to_owned());
        }
        if self.order.len() > self.keep
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }

    /// The value under a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&V> {
        self.values.get(key)
    }

    /// The value under a key, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.values.get_mut(key)
    }

    /// All, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.order
            .iter()
            .filter_map(|key| Some((key.as_str(), self.values.get(key)?)))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_a_replaced_one_keeps_its_place() {
        let mut store = Store::new(2);
        store.insert("a", 1);
        store.insert("b", 2);
        store.insert("a", 3);
        assert_eq!(store.iter().collect::<Vec<_>>(), [("a", &3), ("b", &2)]);
        store.insert("c", 4);
        assert_eq!(store.iter().collect::<Vec<_>>(), [("b", &2), ("c", &4)]);
        assert_eq!((store.get("a"), store.len()), (None, 2));
    }
}
