//! What has changed in an actor since it was last stored: what a journal record holds of one that is large.
//!
//! What an actor remembers of things it has seen grows with what happens to it; what one event changes does not. So its
//! memories list what was added and forgotten since the last [`Mark`], as do the alerts whose lookups go on; of the rest
//! each part is written whole if it differs from then. The changes are written as an actor that holds nothing else, so
//! there is one form and one reader.
//!
//! Folding is done over the state as of the mark or any later one up to the changes themselves, since a snapshot is made
//! in between: what such a state has seen already changes nothing. `agent` and `customer` have their own parts.

use prost::Message as _;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    dedupe::KeyHash,
    stored::state::{self, DecodeError, StoredChanges, StoredGone},
};

/// Most parts of an actor that are written whole.
pub(crate) const PARTS: usize = 4;

/// Writes a part in its stored form.
pub(crate) type Writer<'a> = dyn Fn(&mut Vec<u8>) + 'a;

/// An actor's parts as they were stored: a hash of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(pub(crate) [u64; PARTS]);

impl Mark {
    /// Of an actor's parts, each as its writer has it.
    pub(crate) fn of(parts: [&Writer<'_>; PARTS]) -> Self {
        let mut scratch = Vec::new();
        Self(parts.map(|write| {
            scratch.clear();
            write(&mut scratch);
            xxh3_64(&scratch)
        }))
    }

    /// The parts in which `now` differs, a bit each; all of them if it is not known how they were.
    pub(crate) fn differing(before: Option<&Self>, now: &Self) -> u32 {
        let all = (1 << PARTS) - 1;
        before.map_or(all, |before| {
            let parts = before.0.iter().zip(&now.0).enumerate();
            parts.fold(0, |bits, (part, (then, now))| {
                bits | u32::from(then != now) << part
            })
        })
    }
}

/// Changes, as they are stored and read.
#[derive(Debug)]
pub(crate) struct Changes {
    stored: StoredChanges,
}

impl Changes {
    /// Changes of which `part` holds what was added, and, of the parts in `whole`, all.
    pub(crate) const fn new(part: Vec<u8>, whole: u32, ended: Vec<String>) -> Self {
        Self {
            stored: StoredChanges {
                format: state::FORMAT,
                part,
                whole,
                gone: Vec::new(),
                ended,
            },
        }
    }

    /// Adds the keys that a memory has forgotten.
    pub(crate) fn add_gone(&mut self, memory: u32, keys: &[KeyHash]) {
        if !keys.is_empty() {
            let keys = keys.iter().flat_map(|key| key.to_bytes()).collect();
            self.stored.gone.push(StoredGone { memory, keys });
        }
    }

    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        // Writing into a vector cannot fail.
        let written = self.stored.encode(into);
        debug_assert!(written.is_ok(), "a vector takes all that is written");
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let stored = StoredChanges::decode(bytes)?;
        state::check_format(stored.format)?;
        if stored.gone.iter().any(|gone| gone.keys.len() % 16 != 0) {
            return Err(DecodeError::Columns("forgotten keys"));
        }
        Ok(Self { stored })
    }

    /// The actor that holds what was added.
    pub(crate) fn part(&self) -> &[u8] {
        &self.stored.part
    }

    /// Whether a part stands there whole.
    pub(crate) const fn is_whole(&self, part: usize) -> bool {
        self.stored.whole >> part & 1 == 1
    }

    /// What a memory has forgotten.
    pub(crate) fn gone(&self, memory: u32) -> Vec<KeyHash> {
        let gone = self.stored.gone.iter().filter(|gone| gone.memory == memory);
        let keys = gone.flat_map(|gone| gone.keys.as_chunks::<16>().0);
        keys.map(|key| KeyHash::from_bytes(*key)).collect()
    }

    /// Ids of the alerts whose lookups have ended.
    pub(crate) fn ended(&self) -> &[String] {
        &self.stored.ended
    }
}

/// Lets a part of an actor store its memory by what has changed in it.
macro_rules! stores_changes_of {
    ($memory:ident of $part:ty) => {
        impl $part {
            pub(crate) fn mark(&mut self) {
                self.$memory.mark();
            }

            pub(crate) fn is_lost(&self) -> bool {
                self.$memory.is_lost()
            }

            pub(crate) fn gone(&self) -> &[$crate::dedupe::KeyHash] {
                self.$memory.gone()
            }

            /// Nothing but what is new in the memory.
            pub(crate) fn news(&self) -> Self {
                let mut news = Self::default();
                news.$memory = self.$memory.news();
                news
            }

            pub(crate) fn fold(&mut self, gone: &[$crate::dedupe::KeyHash], news: Self) {
                self.$memory.fold(gone, news.$memory);
            }
        }
    };
}
pub(crate) use stores_changes_of;
