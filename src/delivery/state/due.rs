//! Which of the items that may start goes first: by class, then by when, then by their place in line.

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::contract::time::LogTime;

use crate::{delivery::record::Item, log::Seq};

/// What goes first where several may start: an alert's first message before updates of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    First,
    Update,
}

impl Class {
    pub fn of(item: &Item) -> Self {
        match item.taken.event_type.as_str() {
            "alert.updated" => Self::Update,
            _ => Self::First,
        }
    }
}

/// Items that may start, by class and by when.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Due {
    by_time: BTreeSet<(Class, LogTime, u64, Seq)>,
    by_seq: BTreeMap<Seq, (Class, LogTime, u64)>,
}

impl Due {
    pub fn insert(&mut self, seq: Seq, at: LogTime, place: u64, class: Class) {
        self.remove(seq);
        self.by_seq.insert(seq, (class, at, place));
        self.by_time.insert((class, at, place, seq));
    }

    pub fn remove(&mut self, seq: Seq) {
        if let Some((class, at, place)) = self.by_seq.remove(&seq) {
            self.by_time.remove(&(class, at, place, seq));
        }
    }

    /// When the first item may start.
    pub fn first_at(&self) -> Option<LogTime> {
        let of = |class| Some(self.of_class(class).next()?.0);
        let (first, update) = (of(Class::First), of(Class::Update));
        first.into_iter().chain(update).min()
    }

    /// The items that may start at `now`, in the order in which they do.
    pub fn ready(&self, now: LogTime) -> impl Iterator<Item = Seq> {
        let ready = move |class| {
            let due = self.of_class(class);
            due.take_while(move |(at, _)| *at <= now)
        };
        let all = ready(Class::First).chain(ready(Class::Update));
        all.map(|(_, seq)| seq)
    }

    /// All items, with when they may start.
    pub fn all(&self) -> impl Iterator<Item = (LogTime, Seq)> {
        self.by_time.iter().map(|(_, at, _, seq)| (*at, *seq))
    }

    fn of_class(&self, class: Class) -> impl Iterator<Item = (LogTime, Seq)> {
        let from = (class, LogTime(i64::MIN), 0, 0);
        let due = self.by_time.range(from..);
        due.take_while(move |(of, ..)| *of == class)
            .map(|(_, at, _, seq)| (*at, *seq))
    }
}
