//! Message ids of the last two minutes, so that a retried append does not store its event twice.
//!
//! The truth is the table `message_id`; this is what the writer remembers of it, and what other processes have
//! added is read before each transaction that appends. Two generations make forgetting cheap: when the younger one
//! is two minutes old it becomes the older one, and the older one is dropped. So an id is known for two to four
//! minutes, or for the newest [`IDS_MAX`] events if they come so fast; that bounds the memory to about 50 MB a
//! generation, and the guarantee against repetition is the actor's own dedupe anyway.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    mem,
};

use aftercall_actors::contract::time::LogTime;

use crate::log::Position;

/// How long an id is remembered at least, in log time.
pub(super) const WINDOW_MS: i64 = 120_000;

/// Ids a generation holds at most: what fits the table of two million slots it then has.
const IDS_MAX: usize = 1_800_000;

/// Bytes of an id in the table.
pub(super) const ID_BYTES: usize = 16;

/// 128 bits of a message id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct MessageId(u64, u64);

impl MessageId {
    pub(super) fn of(text: &str) -> Self {
        Self::from_bytes(xxhash_rust::xxh3::xxh3_128(text.as_bytes()).to_be_bytes())
    }

    pub(super) fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
        let value = u128::from_be_bytes(bytes);
        // Both halves, as two words: a 16-byte word would pad each entry of the map to 32 bytes.
        Self((value >> 64) as u64, value as u64)
    }

    pub(super) fn to_bytes(self) -> [u8; ID_BYTES] {
        ((u128::from(self.0) << 64) | u128::from(self.1)).to_be_bytes()
    }
}

/// The ids are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.rotate_left(5) ^ word;
    }
}

type Generation = HashMap<MessageId, Position, BuildHasherDefault<AlreadyHashed>>;

/// What the writer remembers.
#[derive(Debug, Default)]
pub(super) struct MessageIds {
    young: Generation,
    old: Generation,
    young_since: LogTime,
    /// Last position whose id was looked at: the table's rows after it are another process's.
    pub(super) known_to: Position,
}

impl MessageIds {
    pub(super) fn position_of(&self, id: MessageId) -> Option<Position> {
        self.young.get(&id).or_else(|| self.old.get(&id)).copied()
    }

    pub(super) fn remember(&mut self, id: MessageId, position: Position, time: LogTime) {
        let age_ms = time.since_ms(self.young_since);
        if age_ms > WINDOW_MS || self.young.len() >= IDS_MAX {
            let aged = mem::take(&mut self.young);
            // After a long quiet time the young ones are too old themselves.
            self.old = if age_ms > 2 * WINDOW_MS {
                Generation::default()
            } else {
                aged
            };
            self.young_since = time;
        }
        self.young.insert(id, position);
        self.known_to = position;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_for_its_window_and_forgotten_after_two() {
        let at = LogTime;
        let mut ids = MessageIds::default();
        let [first, second, third] = ["first", "second", "third"].map(MessageId::of);
        ids.remember(first, 1, at(1_000_000));
        ids.remember(second, 2, at(1_000_000 + WINDOW_MS));
        assert_eq!(ids.position_of(first), Some(1));
        ids.remember(third, 3, at(1_000_001 + WINDOW_MS));
        assert_eq!(ids.position_of(first), Some(1));
        assert_eq!(ids.position_of(second), Some(2));
        ids.remember(MessageId::of("4"), 4, at(1_000_001 + 2 * WINDOW_MS));
        assert_eq!(ids.position_of(second), Some(2));
        ids.remember(MessageId::of("5"), 5, at(1_000_002 + 2 * WINDOW_MS));
        assert_eq!(ids.position_of(first), None);
        assert_eq!(ids.position_of(second), None);
        assert_eq!(ids.position_of(third), Some(3));
        assert_eq!(ids.known_to, 5);
    }

    #[test]
    fn an_id_is_the_same_after_its_way_through_the_table() {
        let id = MessageId::of("/vendor#1");
        assert_eq!(MessageId::from_bytes(id.to_bytes()), id);
        assert_ne!(MessageId::of("/vendor#2"), id);
    }
}
