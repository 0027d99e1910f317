//! Items that may start, in the order of their times and then of their places.

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::time::LogTime;

use crate::log::Seq;

/// Items that may start, by when.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Due {
    by_time: BTreeSet<(LogTime, u64, Seq)>,
    by_seq: BTreeMap<Seq, (LogTime, u64)>,
}

impl Due {
    pub fn insert(&mut self, seq: Seq, at: LogTime, place: u64) {
        self.remove(seq);
        self.by_seq.insert(seq, (at, place));
        self.by_time.insert((at, place, seq));
    }

    pub fn remove(&mut self, seq: Seq) {
        if let Some((at, place)) = self.by_seq.remove(&seq) {
            self.by_time.remove(&(at, place, seq));
        }
    }

    /// The item that may start first, and when.
    pub fn first(&self) -> Option<(LogTime, Seq)> {
        let (at, _, seq) = self.by_time.first()?;
        Some((*at, *seq))
    }
}
