//! Atomic batches, shared by all partitions of the process.
//!
//! A batch costs the server about two milliseconds whatever is in it, and they go one after the other. So while one
//! is under way the outputs of all partitions gather, and the next one takes them together, up to the server's
//! limit: group commit. Each partition's part stays fenced by the first message of each of its lanes. A batch is all
//! or nothing; if one part's fence is wrong, all are told to look where they stand and the next ones go one by one, so
//! that a partition that has lost its place holds up nobody else's for long.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use async_nats::{
    HeaderMap, Subject,
    header::{
        NATS_BATCH_COMMIT, NATS_BATCH_ID, NATS_BATCH_SEQUENCE, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
    },
    jetstream,
};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::{answers, link::Link};
use crate::log::{CommitError, Seq};

/// Most messages the server takes in one atomic batch.
pub const MESSAGES_MAX: usize = 1_000;

/// About the most bytes of one atomic batch.
pub const BYTES_MAX: usize = 4 << 20;

/// One message of a batch.
#[derive(Clone, Debug)]
pub struct Message {
    /// Where it goes.
    pub subject: Subject,
    /// Its headers, without those of the batch.
    pub headers: HeaderMap,
    /// Its body.
    pub payload: Bytes,
    /// The sequence its subject's last message must have, on the first message of a subject.
    pub fence: Option<Seq>,
}

/// What belongs together: messages of one partition, in order. All of one part are stored, or none.
#[derive(Debug)]
struct Part {
    messages: Vec<Message>,
    len: u64,
    bytes: usize,
    done: oneshot::Sender<Result<Seq, CommitError>>,
}

/// Gathers parts and sends them as atomic batches into one stream.
#[derive(Clone, Debug)]
pub struct Batches {
    link: Link,
    waiting: Arc<Mutex<Vec<Part>>>,
    /// Held by whoever sends for all.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// So many parts more are sent alone, since parts that went together were refused.
    alone: Arc<AtomicUsize>,
}

impl Batches {
    /// Batches over this connection.
    pub fn new(link: Link) -> Self {
        Self {
            link,
            waiting: Arc::default(),
            turn: Arc::default(),
            alone: Arc::default(),
        }
    }

    /// Stores all of `messages` or none, and returns the sequence of the first; the others follow it closely.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] if a fence is wrong: nothing of it is stored.
    pub async fn store(&self, messages: Vec<Message>, bytes: usize) -> Result<Seq, CommitError> {
        let (done, mut answer) = oneshot::channel();
        let len = messages.len() as u64;
        self.parts().push(Part {
            messages,
            len,
            bytes,
            done,
        });
        let turn = self.turn.lock().await;
        // Whoever had the turn before may have sent this part along.
        if let Ok(answer) = answer.try_recv() {
            return answer;
        }
        let parts = self.take();
        self.send_all(parts).await;
        drop(turn);
        // A sender that was dropped with its task leaves the outcome open.
        answer
            .await
            .unwrap_or_else(|_| Err(CommitError::Unknown("the batch was given up".into())))
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, Vec<Part>> {
        // A list is a list, whoever panicked while holding it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts that fit one batch, oldest first; at least one.
    fn take(&self) -> Vec<Part> {
        let mut waiting = self.parts();
        let alone = self.alone.load(Ordering::Relaxed);
        if alone > 0 {
            // Only the holder of the turn comes here.
            self.alone.store(alone - 1, Ordering::Relaxed);
            let first = waiting.len().min(1);
            return waiting.drain(..first).collect();
        }
        let (mut messages, mut bytes) = (0, 0);
        let fitting = waiting
            .iter()
            .take_while(|part| {
                messages += part.messages.len();
                bytes += part.bytes;
                messages <= MESSAGES_MAX && bytes <= BYTES_MAX
            })
            .count();
        let fitting = fitting.max(1).min(waiting.len());
        waiting.drain(..fitting).collect()
    }

    async fn send_all(&self, parts: Vec<Part>) {
        let (contents, waiting): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .map(|part| (part.messages, (part.len, part.done)))
            .unzip();
        let together = contents.len();
        match self.send(contents).await {
            Ok(mut next) => {
                for (len, done) in waiting {
                    // If nobody waits any more, that partition has ended.
                    let _ = done.send(Ok(next));
                    next += len;
                }
            }
            Err(error) => {
                let error = match error {
                    // Somebody's fence is wrong, or a message: each part goes alone once, and finds out.
                    CommitError::Fenced | CommitError::Refused(_) if together > 1 => {
                        self.alone.fetch_add(together, Ordering::Relaxed);
                        CommitError::Unknown("went together with a part that was refused".into())
                    }
                    alone => alone,
                };
                for (_, done) in waiting {
                    let _ = done.send(Err(error.clone()));
                }
            }
        }
    }

    /// Sends one atomic batch and returns the sequence of its first message.
    async fn send(&self, parts: Vec<Vec<Message>>) -> Result<Seq, CommitError> {
        if !self.link.is_up() {
            return Err(CommitError::Unknown("not connected".to_owned()));
        }
        let watch = self.link.watch();
        let inbox = self.link.client.new_inbox();
        // Unique and short: the server takes 64 bytes.
        let id = inbox.rsplit('.').next().unwrap_or(&inbox);
        let len = parts.iter().map(Vec::len).sum();
        tracing::trace!(parts = parts.len(), messages = len, "batch");
        for (message, number) in parts.into_iter().flatten().zip(1usize..) {
            let Message {
                subject,
                mut headers,
                payload,
                fence,
            } = message;
            headers.insert(NATS_BATCH_ID, id);
            headers.insert(NATS_BATCH_SEQUENCE, number.to_string());
            if let Some(fence) = fence {
                headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, fence.to_string());
            }
            if number == len {
                headers.insert(NATS_BATCH_COMMIT, "1");
                let answer = self.link.request(watch, subject, headers, payload).await?;
                return first_of_batch(&answer.payload, len);
            }
            self.link
                .client
                .publish_with_headers(subject, headers, payload)
                .await
                .map_err(|error| CommitError::Unknown(error.to_string()))?;
        }
        Err(CommitError::Refused("a batch without messages".to_owned()))
    }
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
