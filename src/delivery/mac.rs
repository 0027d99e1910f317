//! HMAC-SHA256, for hashes of fields and signatures of requests.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Bytes of a block of SHA-256, to which HMAC brings its key.
const BLOCK_BYTES: usize = 64;

/// HMAC-SHA256 over the parts, one after the other as if they were one.
#[must_use]
pub fn hmac_sha256<'p>(key: &[u8], parts: impl IntoIterator<Item = &'p [u8]>) -> [u8; 32] {
    // Brought to the length of a block here (RFC 2104: hashed if longer, then filled with zeros): with a key of that
    // type nothing can fail.
    let mut block = [0; BLOCK_BYTES];
    match block.get_mut(..key.len()) {
        Some(start) => start.copy_from_slice(key),
        None => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the general constructor, which takes any length, on both sides of the block's.
    #[test]
    fn a_key_of_any_length_gives_the_mac_of_the_standard() {
        for length in [0, 1, 32, 63, 64, 65, 131] {
            let key = vec![0xaa; length];
            let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).unwrap();
            mac.update(b"what is said");
            let expected: [u8; 32] = mac.finalize().into_bytes().into();
            assert_eq!(hmac_sha256(&key, [&b"what "[..], b"is said"]), expected);
        }
    }
}
