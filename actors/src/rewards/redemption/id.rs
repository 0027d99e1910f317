//! A reward's identity (S3.05): a UUID that follows from what the reward is, so every attempt has the same.

use xxhash_rust::xxh3::xxh3_128;

/// First of what is hashed: ids of ours meet no others made by the same function.
const NAMESPACE: &[u8] = b"aftercall reward\0";

/// Length of a reward's id.
pub(super) const REWARD_ID_BYTES: usize = 36;

/// What the id of a reversal ends with.
pub const REVERSE: &str = ":reverse";

/// Id of an agent's `ordinal`th reward of a tier, from 0.
///
/// A UUID of version 8 (RFC 9562: the bits are the maker's affair), whose bits are the 128-bit xxh3 of the parts.
/// Each text stands behind its length, so that no two rewards are written alike. Version 5 would need SHA-1, which
/// buys nothing: the names are not secret, and who could choose them for a collision would only go without a reward.
#[must_use]
pub fn reward_id(program: &str, agent: &str, tier: &str, ordinal: u32) -> String {
    let mut name = NAMESPACE.to_vec();
    for part in [program, agent, tier] {
        // Names and ids have at most 256 bytes.
        name.extend_from_slice(&(part.len() as u64).to_le_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    name.extend_from_slice(&ordinal.to_le_bytes());
    let version = 8 << 76;
    let variant = 0b10 << 62;
    let bits = xxh3_128(&name) & !(0xf << 76 | 0b11 << 62) | version | variant;
    let hex = format!("{bits:032x}");
    let (a, b, c, d, e) = (
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    );
    format!("{a}-{b}-{c}-{d}-{e}")
}
