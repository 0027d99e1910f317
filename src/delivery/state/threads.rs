//! Outputs about the same thing: one at a time, in the order in which they were taken, with what the destination
//! wants handed from one to the next (S2.08: a message is updated in place).
//!
//! A thread with nothing left to deliver is remembered for what the next output needs: the handle, when the last
//! attempt began (S4.05), and which output was the newest. That memory is bounded by age and by number.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use aftercall_actors::contract::time::LogTime;

use super::pace::ms;
use crate::{delivery::record::Memory, log::Seq};

/// Quiet threads that are remembered; beyond it the one quiet for longest is forgotten.
const QUIET_MAX: usize = 16_384;

/// A quiet thread is forgotten this long after it was last of use. Unit: milliseconds of log time.
const QUIET_MS: i64 = 24 * 3_600 * 1_000;

#[derive(Clone, Debug, PartialEq)]
pub struct Threads {
    /// At most one attempt within this; set where the newest output wins.
    every: Option<Duration>,
    by_key: BTreeMap<String, Thread>,
    /// Keys of threads with an empty queue, the longest quiet first.
    quiet: BTreeSet<(LogTime, String)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Thread {
    /// Items without a verdict, in order.
    queue: VecDeque<Seq>,
    handle: Option<String>,
    said: Option<u64>,
    started: Option<LogTime>,
    newest: Seq,
    touched: LogTime,
}

impl Threads {
    pub const fn new(every: Option<Duration>) -> Self {
        Self {
            every,
            by_key: BTreeMap::new(),
            quiet: BTreeSet::new(),
        }
    }

    pub fn join(&mut self, key: &str, seq: Seq) {
        let thread = self.wake(key);
        thread.queue.push_back(seq);
        thread.newest = thread.newest.max(seq);
    }

    /// Takes an item out of its thread; the answer is the item that is first now.
    pub fn leave(&mut self, key: &str, seq: Seq, at: LogTime) -> Option<Seq> {
        let thread = self.by_key.get_mut(key)?;
        thread.queue.retain(|other| *other != seq);
        if let Some(first) = thread.queue.front() {
            return Some(*first);
        }
        thread.touched = thread.touched.max(at);
        if thread.handle.is_none() && thread.said.is_none() && self.every.is_none() {
            self.by_key.remove(key);
        } else {
            self.quiet.insert((thread.touched, key.to_owned()));
            self.forget(at);
        }
        None
    }

    pub fn started(&mut self, key: &str, at: LogTime) {
        if self.every.is_some()
            && let Some(thread) = self.by_key.get_mut(key)
        {
            thread.started = Some(at);
        }
    }

    /// What began later than now began now.
    pub fn bound(&mut self, now: LogTime) {
        for thread in self.by_key.values_mut() {
            thread.started = thread.started.map(|started| started.min(now));
        }
    }

    pub fn set_handle(&mut self, key: &str, handle: &str, at: LogTime) {
        if let Some(thread) = self.by_key.get_mut(key) {
            thread.handle = Some(handle.to_owned());
            thread.touched = thread.touched.max(at);
        }
    }

    /// What identifies the content that an output of the thread said last.
    pub fn said(&self, key: &str) -> Option<u64> {
        self.by_key.get(key)?.said
    }

    pub fn set_said(&mut self, key: &str, said: u64, at: LogTime) {
        if let Some(thread) = self.by_key.get_mut(key) {
            thread.said = Some(said);
            thread.touched = thread.touched.max(at);
        }
    }

    pub fn handle(&self, key: &str) -> Option<&str> {
        self.by_key.get(key)?.handle.as_deref()
    }

    /// Whether an item is the one of its thread that may be attempted.
    pub fn is_first(&self, key: &str, seq: Seq) -> bool {
        self.by_key
            .get(key)
            .is_some_and(|thread| thread.queue.front() == Some(&seq))
    }

    /// The next attempt of a thread may begin then (S4.05). Boundary: exactly `every` after the last one began.
    pub fn free_at(&self, key: &str) -> LogTime {
        match (self.every, self.by_key.get(key).and_then(|t| t.started)) {
            (Some(every), Some(started)) => started.plus_ms(ms(every)),
            (Some(_), None) | (None, _) => LogTime(i64::MIN),
        }
    }

    /// The items of a thread that are not settled, in order.
    pub fn queue(&self, key: &str) -> impl Iterator<Item = Seq> {
        let thread = self.by_key.get(key);
        thread.into_iter().flat_map(|t| t.queue.iter().copied())
    }

    /// The newest output of a thread ever taken, as far as is remembered.
    pub fn newest(&self, key: &str) -> Seq {
        self.by_key.get(key).map_or(0, |thread| thread.newest)
    }

    pub fn remember(&mut self, memory: &Memory) {
        let thread = self.wake(&memory.key);
        thread.handle.clone_from(&memory.handle);
        thread.said = memory.said;
        thread.started = memory.started_at_ms.map(LogTime);
        thread.newest = memory.newest;
        thread.touched = LogTime(memory.touched_ms);
        if thread.queue.is_empty() {
            let quiet = (thread.touched, memory.key.clone());
            self.quiet.insert(quiet);
        }
    }

    /// What is remembered of every thread, the items of its queue aside.
    pub fn memories(&self) -> impl Iterator<Item = Memory> {
        self.by_key.iter().map(|(key, thread)| Memory {
            key: key.clone(),
            handle: thread.handle.clone(),
            said: thread.said,
            started_at_ms: thread.started.map(|at| at.0),
            newest: thread.newest,
            touched_ms: thread.touched.0,
        })
    }

    /// The thread, no longer quiet.
    fn wake(&mut self, key: &str) -> &mut Thread {
        let thread = self.by_key.entry(key.to_owned()).or_default();
        if thread.queue.is_empty() {
            self.quiet.remove(&(thread.touched, key.to_owned()));
        }
        thread
    }

    fn forget(&mut self, now: LogTime) {
        while let Some((touched, _)) = self.quiet.first() {
            if self.quiet.len() <= QUIET_MAX && now.since_ms(*touched) < QUIET_MS {
                return;
            }
            if let Some((_, key)) = self.quiet.pop_first() {
                self.by_key.remove(&key);
            }
        }
    }
}
