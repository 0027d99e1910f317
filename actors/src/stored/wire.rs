//! Writes the stored form of an actor straight from its live parts, in the protobuf wire format.
//!
//! An actor is encoded for each output it makes, so the columns are written from where they stand; building
//! the message types of `state` first would copy every string and vector. Reading goes through those types,
//! which also are the definition of the format: a test of `state` holds both directions together.

/// Wire types of protobuf that we write.
const VARINT: u32 = 0;
const LENGTH_DELIMITED: u32 = 2;

/// Appends a variable-length integer.
pub(crate) fn varint(mut value: u64, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Bytes that [`varint`] takes.
fn varint_len(value: u64) -> u64 {
    u64::from(64 - (value | 1).leading_zeros()).div_ceil(7)
}

/// Maps small negative numbers to small positive ones, as `sint64` does.
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Field of type `uint32` or `uint64`.
pub(crate) fn uint(tag: u32, value: u64, into: &mut Vec<u8>) {
    varint(u64::from(tag << 3 | VARINT), into);
    varint(value, into);
}

/// Field of type `optional sint64`.
pub(crate) fn optional_sint(tag: u32, value: Option<i64>, into: &mut Vec<u8>) {
    if let Some(value) = value {
        uint(tag, zigzag(value), into);
    }
}

/// Field of type `bytes` or `string`, written even if empty.
pub(crate) fn bytes(tag: u32, value: &[u8], into: &mut Vec<u8>) {
    header(tag, value.len() as u64, into);
    into.extend_from_slice(value);
}

/// Packed `repeated uint64`; nothing if empty.
pub(crate) fn uints(tag: u32, values: impl Iterator<Item = u64> + Clone, into: &mut Vec<u8>) {
    let length = values.clone().map(varint_len).sum();
    if length > 0 {
        header(tag, length, into);
        values.for_each(|value| varint(value, into));
    }
}

/// Packed `repeated sint64`; nothing if empty.
pub(crate) fn sints(tag: u32, values: impl Iterator<Item = i64> + Clone, into: &mut Vec<u8>) {
    uints(tag, values.map(zigzag), into);
}

/// `bytes`, or a packed column of fixed-width values, from pieces of `N` bytes; nothing if empty.
pub(crate) fn pieces<const N: usize>(
    tag: u32,
    values: impl ExactSizeIterator<Item = [u8; N]>,
    into: &mut Vec<u8>,
) {
    if values.len() > 0 {
        let length = values.len() * N;
        header(tag, length as u64, into);
        into.reserve(length);
        values.for_each(|value| into.extend_from_slice(&value));
    }
}

fn header(tag: u32, length: u64, into: &mut Vec<u8>) {
    varint(u64::from(tag << 3 | LENGTH_DELIMITED), into);
    varint(length, into);
}

/// Each value as the difference to the one before it, the first to zero. Total: wraps at the ends.
pub(crate) fn deltas(
    values: impl Iterator<Item = i64> + Clone,
) -> impl Iterator<Item = i64> + Clone {
    values.scan(0i64, |last, value| {
        let delta = value.wrapping_sub(*last);
        *last = value;
        Some(delta)
    })
}

/// The inverse of [`deltas`].
pub(crate) fn undelta(values: &[i64]) -> impl Iterator<Item = i64> {
    values.iter().scan(0i64, |last, delta| {
        *last = last.wrapping_add(*delta);
        Some(*last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_takes_one_byte_more_at_each_seventh_bit() {
        for (value, length) in [
            (0, 1),
            (127, 1),
            (128, 2),
            (16_383, 2),
            (16_384, 3),
            (u64::MAX, 10),
        ] {
            let mut written = Vec::new();
            varint(value, &mut written);
            assert_eq!(
                (written.len() as u64, varint_len(value)),
                (length, length),
                "{value}"
            );
        }
    }

    #[test]
    fn zigzag_and_deltas_come_back_at_the_ends_of_the_range() {
        let values = [0, -1, 1, i64::MIN, i64::MAX, -2];
        assert!(values.iter().all(|&value| unzigzag(zigzag(value)) == value));
        let there: Vec<i64> = deltas(values.iter().copied()).collect();
        assert_eq!(undelta(&there).collect::<Vec<_>>(), values);
    }
}
