//! Group commit for outputs: what all partitions of the process have to say goes out together, by one writer.
//!
//! Every message is fenced by the sequence of the one before it in its lane. Of the first in a lane that is known;
//! of the others it is predicted: as long as this process is the only writer, sequences follow each other. So a
//! group is pipelined without waiting, and if a prediction fails (another writer, a lost message) nothing behind it
//! in that lane is stored either: what stands is a prefix, never a hole, and no server's dedupe window is needed.
//!
//! Where that does not work, an atomic batch does: if somebody else writes into the stream as well, or if the server
//! syncs each message to disk, which a batch does once. It costs two milliseconds on an idle disk and many on a busy
//! one, which is why it is not the first choice.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, Subject, header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::{atomic, link::Link};
use crate::log::{CommitError, Lane, PartitionId, Seq};

/// Up to so many messages are stored one after the other where predictions do not hold.
const SINGLES_MAX: usize = 24;

/// How long predictions or pipelines are left alone once they failed or were slow.
const AVOIDED: Duration = Duration::from_secs(10);

/// Slower than this for each message, and the server is taken to sync each of them.
const SLOW: Duration = Duration::from_micros(70);

/// From so many messages on, the time of a group tells something.
const TELLING: usize = 64;

/// One message of a group.
#[derive(Debug)]
pub struct Message {
    /// The line it belongs to.
    pub line: (PartitionId, Lane),
    /// Where it goes.
    pub subject: Subject,
    /// Its headers, without fences.
    pub headers: HeaderMap,
    /// Its body.
    pub payload: Bytes,
    /// The sequence its lane's last message must have, on the first message of a lane.
    pub fence: Option<Seq>,
}

/// Messages of one partition, in order, and who waits for their sequences.
#[derive(Debug)]
struct Part {
    messages: Vec<Message>,
    bytes: usize,
    done: oneshot::Sender<Result<Vec<Seq>, CommitError>>,
}

/// Gathers parts and writes them into one stream.
#[derive(Clone, Debug)]
pub struct Groups {
    link: Link,
    waiting: Arc<Mutex<Vec<Part>>>,
    /// Held by whoever writes for all.
    turn: Arc<tokio::sync::Mutex<Turn>>,
}

/// What the writers tell each other.
#[derive(Debug, Default)]
struct Turn {
    /// The stream's next sequence, if nobody else writes into it.
    next: Option<Seq>,
    /// Until when others are taken to write into the stream.
    shared_until: Option<Instant>,
    /// Until when the server is taken to sync each message.
    slow_until: Option<Instant>,
    /// So many parts more go alone, since parts that went together were refused.
    alone: usize,
}

impl Groups {
    /// Groups over this connection.
    pub fn new(link: Link) -> Self {
        Self {
            link,
            waiting: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// Stores `messages` and returns their sequences.
    ///
    /// # Errors
    /// After any error the caller must read where its lanes stand: a prefix may have been stored.
    pub async fn store(
        &self,
        messages: Vec<Message>,
        bytes: usize,
    ) -> Result<Vec<Seq>, CommitError> {
        let (done, mut answer) = oneshot::channel();
        self.parts().push(Part {
            messages,
            bytes,
            done,
        });
        let mut turn = self.turn.lock().await;
        loop {
            match answer.try_recv() {
                Ok(answer) => return answer,
                Err(oneshot::error::TryRecvError::Empty) => {
                    // Not sent along by an earlier writer: write until it is.
                    let parts = self.take(&mut turn);
                    self.write(&mut turn, parts).await;
                }
                Err(oneshot::error::TryRecvError::Closed) => {
                    // The writer that took it ended with its task.
                    turn.next = None;
                    return Err(CommitError::Unknown("the writer was given up".to_owned()));
                }
            }
        }
    }

    fn parts(&self) -> MutexGuard<'_, Vec<Part>> {
        // A list is a list, whoever panicked while holding it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts that fit one group, oldest first; at least one.
    fn take(&self, turn: &mut Turn) -> Vec<Part> {
        let mut waiting = self.parts();
        if turn.alone > 0 {
            turn.alone -= 1;
            let first = waiting.len().min(1);
            return waiting.drain(..first).collect();
        }
        let (mut messages, mut bytes) = (0, 0);
        let fitting = waiting
            .iter()
            .take_while(|part| {
                messages += part.messages.len();
                bytes += part.bytes;
                messages <= atomic::MESSAGES_MAX && bytes <= atomic::BYTES_MAX
            })
            .count();
        let fitting = fitting.max(1).min(waiting.len());
        waiting.drain(..fitting).collect()
    }

    async fn write(&self, turn: &mut Turn, parts: Vec<Part>) {
        let together = parts.len();
        let (contents, waiting): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .map(|part| (part.messages, part.done))
            .unzip();
        let lengths: Vec<usize> = contents.iter().map(Vec::len).collect();
        let messages: Vec<Message> = contents.into_iter().flatten().collect();
        match self.send(turn, messages).await {
            Ok(seqs) => {
                let mut rest = seqs.as_slice();
                for (done, len) in waiting.into_iter().zip(lengths) {
                    let (mine, others) = rest.split_at(len.min(rest.len()));
                    // If nobody waits any more, that partition has ended.
                    let _ = done.send(Ok(mine.to_vec()));
                    rest = others;
                }
            }
            Err(error) => {
                // Where the stream stands now is anybody's guess.
                turn.next = None;
                let error = match error {
                    CommitError::Fenced | CommitError::Refused(_) if together > 1 => {
                        turn.alone = together;
                        CommitError::Unknown("went together with a part that was refused".into())
                    }
                    alone => alone,
                };
                for done in waiting {
                    let _ = done.send(Err(error.clone()));
                }
            }
        }
    }

    async fn send(&self, turn: &mut Turn, messages: Vec<Message>) -> Result<Vec<Seq>, CommitError> {
        let now = Instant::now();
        let is_shared = turn.shared_until.is_some_and(|until| now < until);
        let is_slow = turn.slow_until.is_some_and(|until| now < until);
        let len = messages.len();
        if (is_shared || is_slow) && len > SINGLES_MAX {
            turn.next = None;
            return atomic::send(&self.link, messages).await;
        }
        if is_shared {
            turn.next = None;
        }
        let outcome = self.pipeline(turn, messages, !is_shared).await;
        if outcome.is_ok()
            && len >= TELLING
            && now.elapsed() > SLOW * u32::try_from(len).unwrap_or(1)
        {
            turn.slow_until = Some(Instant::now() + AVOIDED);
        }
        outcome
    }

    /// Sends the messages one behind the other, and waits only where a sequence cannot be predicted.
    async fn pipeline(
        &self,
        turn: &mut Turn,
        messages: Vec<Message>,
        predict: bool,
    ) -> Result<Vec<Seq>, CommitError> {
        // A group has few lines: a list is quicker than a map.
        let mut lines: Vec<((PartitionId, Lane), Seq)> = Vec::new();
        let mut seqs = Vec::with_capacity(messages.len());
        let mut answers = Vec::with_capacity(messages.len());
        for message in messages {
            let Message {
                line,
                subject,
                mut headers,
                payload,
                fence,
            } = message;
            let known = lines.iter_mut().find(|(other, _)| *other == line);
            let fence = match (&known, fence) {
                (Some((_, seq)), _) => *seq,
                (None, Some(fence)) => fence,
                (None, None) => {
                    return Err(CommitError::Refused("a lane without a fence".to_owned()));
                }
            };
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, fence.to_string());
            let answer = self.link.send(subject, headers, payload).await?;
            let seq = match turn.next {
                Some(seq) if predict => {
                    turn.next = Some(seq + 1);
                    answers.push(answer);
                    seq
                }
                Some(_) | None => {
                    let seq = answer.wait().await?.sequence;
                    turn.next = Some(seq + 1);
                    seq
                }
            };
            seqs.push(seq);
            match known {
                Some(known) => known.1 = seq,
                None => lines.push((line, seq)),
            }
        }
        let predicted = seqs.len() - answers.len();
        for (answer, seq) in answers.into_iter().zip(&seqs[predicted..]) {
            match answer.wait().await {
                Ok(ack) if ack.sequence == *seq => {}
                Ok(_) => {
                    turn.shared_until = Some(Instant::now() + AVOIDED);
                    return Err(CommitError::Unknown(
                        "another writer's message came between".into(),
                    ));
                }
                Err(error) => {
                    if matches!(error, CommitError::Fenced) {
                        turn.shared_until = Some(Instant::now() + AVOIDED);
                    }
                    return Err(error);
                }
            }
        }
        Ok(seqs)
    }
}
