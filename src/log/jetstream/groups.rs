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
    collections::VecDeque,
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, Subject, header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{atomic, link::Link};
use crate::log::{CommitError, Lane, PartitionId, Seq};

/// Up to so many messages are stored one after the other where predictions do not hold.
const SINGLES_MAX: usize = 24;

/// How long predictions or pipelines are left alone once they failed or were slow.
const AVOIDED: Duration = Duration::from_secs(10);

/// Slower than this for each message, and the server is taken to sync each of them.
const SLOW: Duration = Duration::from_micros(100);

/// One slow group is an accident, so many are not.
const SLOW_GROUPS: u32 = 3;

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

/// The way to the one writer of a stream.
#[derive(Clone, Debug)]
pub struct Groups {
    parts: mpsc::UnboundedSender<Part>,
}

impl Groups {
    /// Starts the writer on the current runtime: the connection's, where no actor's work holds it up.
    pub fn new(link: Link) -> Self {
        // Each partition has one part under way at most: the channel is bounded by its users.
        let (parts, waiting) = mpsc::unbounded_channel();
        tokio::spawn(Writer::new(link).run(waiting));
        Self { parts }
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
        let (done, answer) = oneshot::channel();
        let gone = || CommitError::Unknown("the connection's runtime has ended".to_owned());
        self.parts
            .send(Part {
                messages,
                bytes,
                done,
            })
            .map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Writes what has gathered, group after group.
#[derive(Debug)]
struct Writer {
    link: Link,
    waiting: VecDeque<Part>,
    /// The stream's next sequence, if nobody else writes into it.
    next: Option<Seq>,
    /// Until when others are taken to write into the stream.
    shared_until: Option<Instant>,
    /// Until when the server is taken to sync each message.
    slow_until: Option<Instant>,
    /// Slow groups in a row.
    slow_groups: u32,
    /// So many parts more go alone, since parts that went together were refused.
    alone: usize,
}

impl Writer {
    fn new(link: Link) -> Self {
        Self {
            link,
            waiting: VecDeque::new(),
            next: None,
            shared_until: None,
            slow_until: None,
            slow_groups: 0,
            alone: 0,
        }
    }

    async fn run(mut self, mut parts: mpsc::UnboundedReceiver<Part>) {
        while let Some(part) = parts.recv().await {
            self.waiting.push_back(part);
            while !self.waiting.is_empty() {
                while let Ok(part) = parts.try_recv() {
                    self.waiting.push_back(part);
                }
                let group = self.take();
                self.write(group).await;
            }
        }
    }

    /// The parts that fit one group, oldest first; at least one.
    fn take(&mut self) -> Vec<Part> {
        if self.alone > 0 {
            self.alone -= 1;
            return self.waiting.pop_front().into_iter().collect();
        }
        let (mut messages, mut bytes) = (0, 0);
        let fitting = self
            .waiting
            .iter()
            .take_while(|part| {
                messages += part.messages.len();
                bytes += part.bytes;
                messages <= atomic::MESSAGES_MAX && bytes <= atomic::BYTES_MAX
            })
            .count();
        self.waiting.drain(..fitting.max(1)).collect()
    }

    async fn write(&mut self, parts: Vec<Part>) {
        let together = parts.len();
        let (contents, waiting): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .map(|part| (part.messages, part.done))
            .unzip();
        let lengths: Vec<usize> = contents.iter().map(Vec::len).collect();
        let messages: Vec<Message> = contents.into_iter().flatten().collect();
        match self.send(messages).await {
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
                self.next = None;
                let error = match error {
                    CommitError::Fenced | CommitError::Refused(_) if together > 1 => {
                        self.alone = together;
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

    async fn send(&mut self, messages: Vec<Message>) -> Result<Vec<Seq>, CommitError> {
        let now = Instant::now();
        let is_shared = self.shared_until.is_some_and(|until| now < until);
        let is_slow = self.slow_until.is_some_and(|until| now < until);
        let len = messages.len();
        if (is_shared || is_slow) && len > SINGLES_MAX {
            self.next = None;
            let outcome = atomic::send(&self.link, messages).await;
            tracing::trace!(len, took_us = now.elapsed().as_micros(), "atomic batch");
            return outcome;
        }
        if is_shared {
            self.next = None;
        }
        let outcome = self.pipeline(messages, !is_shared).await;
        tracing::trace!(
            len,
            took_us = now.elapsed().as_micros(),
            ok = outcome.is_ok(),
            "pipelined group"
        );
        if outcome.is_ok() && len >= TELLING {
            let slow = now.elapsed() > SLOW * u32::try_from(len).unwrap_or(1);
            self.slow_groups = if slow { self.slow_groups + 1 } else { 0 };
            if self.slow_groups >= SLOW_GROUPS {
                self.slow_until = Some(Instant::now() + AVOIDED);
            }
        }
        outcome
    }

    /// Sends the messages one behind the other, and waits only where a sequence cannot be predicted.
    async fn pipeline(
        &mut self,
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
            let seq = match self.next {
                Some(seq) if predict => {
                    self.next = Some(seq + 1);
                    answers.push(answer);
                    seq
                }
                Some(_) | None => {
                    let seq = answer.wait().await?.sequence;
                    self.next = Some(seq + 1);
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
                    self.shared_until = Some(Instant::now() + AVOIDED);
                    return Err(CommitError::Unknown(
                        "another writer's message came between".into(),
                    ));
                }
                Err(error) => {
                    if matches!(error, CommitError::Fenced) {
                        self.shared_until = Some(Instant::now() + AVOIDED);
                    }
                    return Err(error);
                }
            }
        }
        Ok(seqs)
    }
}
