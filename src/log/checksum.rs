//! Checksums on stored messages: journal records, snapshot pieces and delivery records.
//!
//! The journal's hashes find a damaged record through the one that follows it, so not the newest one, and nothing
//! follows a snapshot piece. nats-server sums what it stores; SQLite and a careless copy do not. The sum stands in a
//! field of its own behind all others, so any tool that reads protobuf still reads the message.

use bytes::Bytes;

/// Key of field 15, a fixed number of 8 bytes. No stored message may use 15 for anything else.
const KEY: u8 = 15 << 3 | 1;

/// Bytes of the field: its key and its number.
const FIELD_BYTES: usize = 1 + 8;

/// An encoded message with its checksum behind it.
#[must_use]
pub fn add(mut message: Vec<u8>) -> Bytes {
    let sum = xxhash_rust::xxh3::xxh3_64(&message);
    message.reserve_exact(FIELD_BYTES);
    message.push(KEY);
    message.extend_from_slice(&sum.to_le_bytes());
    message.into()
}

/// Whether a message is as it was when its checksum was added.
#[must_use]
pub fn holds(bytes: &[u8]) -> bool {
    let Some((message, field)) = bytes.split_last_chunk::<FIELD_BYTES>() else {
        return false;
    };
    let sum = xxhash_rust::xxh3::xxh3_64(message).to_le_bytes();
    field[0] == KEY && field[1..] == sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let bytes = add(b"some message".to_vec());
        assert!(holds(&bytes));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!holds(&damaged), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(!holds(&bytes[..length]), "{length} bytes");
        }
    }
}
