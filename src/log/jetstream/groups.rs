//! Group commit for outputs: what many partitions have to say at the same time goes out as one atomic batch.
//!
//! A batch costs the server some milliseconds whatever is in it (it stages a folder and syncs it), and batches go one
//! after the other. So while one is under way the parts of all partitions gather, and the next one takes them
//! together, up to the server's limit. Each partition's part stays fenced by the first message of each of its lanes.
//! A batch is all or nothing; if one part's fence is wrong, all are told to look where they stand, and the next ones
//! go alone, so that a partition that has lost its place holds up nobody else's for long.
//!
//! Pipelining single messages with predicted fences would be quicker and is wrong: another writer's message can stand
//! just where ours was predicted, and what follows ours is then stored behind it.

use std::collections::VecDeque;

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{atomic, link::Link};
use crate::log::{CommitError, Seq};

/// One message of a group.
#[derive(Debug)]
pub struct Message {
    /// Where it goes.
    pub subject: Subject,
    /// Its headers, without fences.
    pub headers: HeaderMap,
    /// Its body.
    pub payload: Bytes,
    /// The sequence its lane's last message must have, on the first message of a lane.
    pub fence: Option<Seq>,
}

/// Where a part's first sequence is waited for.
type Done = oneshot::Sender<Result<Seq, CommitError>>;

/// Messages of one partition, in order, and who waits for them.
#[derive(Debug)]
struct Part {
    messages: Vec<Message>,
    bytes: usize,
    done: Done,
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
        let (parts, arriving) = mpsc::unbounded_channel();
        let writer = Writer {
            link,
            waiting: VecDeque::new(),
            alone: 0,
        };
        tokio::spawn(writer.run(arriving));
        Self { parts }
    }

    /// Stores all of `messages` or none, and returns the sequence of the first; the others follow it closely.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] if a fence is wrong; after any error the caller must read where its lanes stand.
    pub async fn store(&self, messages: Vec<Message>, bytes: usize) -> Result<Seq, CommitError> {
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
    /// So many parts more go alone, since parts that went together were refused.
    alone: usize,
}

impl Writer {
    async fn run(mut self, mut arriving: mpsc::UnboundedReceiver<Part>) {
        while let Some(part) = arriving.recv().await {
            self.waiting.push_back(part);
            while !self.waiting.is_empty() {
                while let Ok(part) = arriving.try_recv() {
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
        let mut messages = Vec::new();
        let mut waiting: Vec<(u64, Done)> = Vec::with_capacity(together);
        for Part {
            messages: part,
            done,
            ..
        } in parts
        {
            waiting.push((part.len() as u64, done));
            messages.extend(part);
        }
        match atomic::send(&self.link, messages).await {
            Ok(mut next) => {
                for (len, done) in waiting {
                    // If nobody waits any more, that partition has ended.
                    let _ = done.send(Ok(next));
                    next += len;
                }
            }
            Err(error) => {
                let error = match error {
                    // Somebody's fence is wrong, or a message: each goes alone once, and finds out.
                    CommitError::Fenced | CommitError::Refused(_) if together > 1 => {
                        self.alone = together;
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
}
