//! An atomic batch: up to a thousand messages of one stream, stored in one piece or not at all.

use async_nats::{
    header::{
        NATS_BATCH_COMMIT, NATS_BATCH_ID, NATS_BATCH_SEQUENCE, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
    },
    jetstream,
};

use super::{answers, groups::Message, link::Link};
use crate::log::{CommitError, Seq};

/// Most messages the server takes in one atomic batch.
pub const MESSAGES_MAX: usize = 1_000;

/// About the most bytes of one atomic batch.
pub const BYTES_MAX: usize = 4 << 20;

/// Stores all of `messages` or none, and returns the sequence of the first. A fence belongs on each lane's first
/// message only.
///
/// # Errors
/// [`CommitError::Fenced`] if a fence is wrong: nothing is stored.
pub async fn send(link: &Link, messages: Vec<Message>) -> Result<Seq, CommitError> {
    if !link.is_up() {
        return Err(CommitError::Unknown("not connected".to_owned()));
    }
    let watch = link.watch();
    let inbox = link.client.new_inbox();
    // Unique and short: the server takes 64 bytes.
    let id = inbox.rsplit('.').next().unwrap_or(&inbox);
    let len = messages.len();
    for (message, number) in messages.into_iter().zip(1usize..) {
        let Message {
            subject,
            mut headers,
            payload,
            fence,
            ..
        } = message;
        headers.insert(NATS_BATCH_ID, id);
        headers.insert(NATS_BATCH_SEQUENCE, number.to_string());
        if let Some(fence) = fence {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, fence.to_string());
        }
        if number == len {
            headers.insert(NATS_BATCH_COMMIT, "1");
            let answer = link.request(watch, subject, headers, payload).await?;
            return first_of_batch(&answer.payload, len);
        }
        link.client
            .publish_with_headers(subject, headers, payload)
            .await
            .map_err(|error| CommitError::Unknown(error.to_string()))?;
    }
    Err(CommitError::Refused("a batch without messages".to_owned()))
}

/// The server's answer to the end of a batch.
#[derive(serde::Deserialize)]
struct BatchAnswer {
    error: Option<jetstream::Error>,
    #[serde(default)]
    seq: Seq,
    #[serde(default)]
    count: u64,
}

/// The sequence of the first message of a batch of `len`, which the server stores in one piece.
fn first_of_batch(answer: &[u8], len: usize) -> Result<Seq, CommitError> {
    let answer: BatchAnswer = serde_json::from_slice(answer)
        .map_err(|error| CommitError::Unknown(format!("answer to a batch: {error}")))?;
    if let Some(error) = answer.error {
        return Err(answers::refusal(&error));
    }
    let len = len as u64;
    if answer.count != len || answer.seq < len {
        return Err(CommitError::Unknown(format!(
            "a batch of {len} was answered with count {} and sequence {}",
            answer.count, answer.seq
        )));
    }
    Ok(answer.seq - len + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_batch_tells_its_first_sequence() {
        let good = br#"{"stream":"CX_OUT","seq":20,"batch":"x","count":5}"#;
        assert_eq!(first_of_batch(good, 5).ok(), Some(16));
        assert!(matches!(
            first_of_batch(good, 6),
            Err(CommitError::Unknown(_))
        ));
        let fenced = br#"{"error":{"code":400,"err_code":10071,"description":"x"},"stream":"CX_OUT","seq":0}"#;
        assert!(matches!(
            first_of_batch(fenced, 5),
            Err(CommitError::Fenced)
        ));
        assert!(matches!(
            first_of_batch(b"", 5),
            Err(CommitError::Unknown(_))
        ));
    }
}
