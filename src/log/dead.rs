//! What stands in the dead-letter stream, and what a destination may be called in the log.
//!
//! What a letter or a decision says is the affair of `delivery/dead_letter.rs`; here they are headers and bytes. Quarantined
//! input stands in the same stream, written by the shards through its lane (`Lane::Dead`), and is only read here.

use aftercall_actors::contract::time::LogTime;
use bytes::Bytes;

use super::{Headers, LogError, PartitionId, Seq, StoredOutput};

/// Longest name of a destination, in bytes.
pub const DESTINATION_BYTES_MAX: usize = 40;

/// Whether a text can name a destination: 1 to 40 of `a-z`, `0-9`, `_` and `-`. So it is a token of a subject as it
/// stands, and no filter that would match another's.
#[must_use]
pub fn is_destination(text: &str) -> bool {
    (1..=DESTINATION_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

/// What is wrong with a destination's name, if anything is.
pub(super) fn check_destination(text: &str) -> Result<(), String> {
    if is_destination(text) {
        return Ok(());
    }
    Err(format!(
        "`{}` cannot name a destination: allowed are 1 to {DESTINATION_BYTES_MAX} of a-z, 0-9, _ and -",
        text.escape_debug()
    ))
}

/// The same for calls that only read or trim.
pub(super) fn known_destination(text: &str) -> Result<(), LogError> {
    check_destination(text).map_err(LogError::Settings)
}

/// A dead letter or a decision to be stored.
#[derive(Clone, Debug)]
pub struct NewDead {
    /// What it is, derived from its meaning: a repetition after a crash has the same one.
    pub message_id: String,
    /// CloudEvents attributes.
    pub headers: Headers,
    /// Data.
    pub payload: Bytes,
}

/// Whose line of the dead-letter stream an entry stands in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadPlace {
    /// `cx.dead.delivery.<destination>`: letters by its driver, decisions by operators.
    Delivery(String),
    /// `cx.dead.event.<side>.<partition>`: input that could not be processed.
    Event(PartitionId),
}

/// An entry of the dead-letter stream.
#[derive(Clone, Debug)]
pub struct StoredDead {
    /// Its sequence.
    pub seq: Seq,
    /// When the log stored it.
    pub time: LogTime,
    /// Its line.
    pub place: DeadPlace,
    /// The message id it was stored under; empty for quarantined input.
    pub message_id: String,
    /// CloudEvents attributes and the rest.
    pub headers: Headers,
    /// Data.
    pub payload: Bytes,
}

impl StoredDead {
    /// Quarantined input, as it stands in its lane.
    pub(super) fn quarantined(output: StoredOutput) -> Self {
        Self {
            seq: output.seq,
            time: output.time,
            place: DeadPlace::Event(output.partition),
            message_id: String::new(),
            headers: output.headers,
            payload: output.payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_one_to_forty_letters_digits_and_dashes() {
        let longest = "a".repeat(DESTINATION_BYTES_MAX);
        for good in ["a", "rewards", "crm-eu_2", longest.as_str()] {
            assert!(is_destination(good), "{good}");
        }
        let too_long = "a".repeat(DESTINATION_BYTES_MAX + 1);
        for bad in [
            "",
            "A",
            "a.b",
            "a b",
            "*",
            ">",
            "\u{e4}",
            "a/b",
            too_long.as_str(),
        ] {
            assert!(!is_destination(bad), "{bad}");
        }
    }
}
