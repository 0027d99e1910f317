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
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, Subject, header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{
    atomic,
    link::{Answer, Link},
};
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

/// Groups whose answers may be on their way at once.
const GROUPS_MAX: u32 = 4;

/// Where a part's sequences are waited for.
type Done = oneshot::Sender<Result<Vec<Seq>, CommitError>>;

/// A lane of a partition.
type Line = (PartitionId, Lane);

/// One message of a group.
#[derive(Debug)]
pub struct Message {
    /// The line it belongs to.
    pub line: Line,
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
    slow_groups: Arc<AtomicU32>,
    /// Room for groups whose answers are on their way.
    in_flight: Arc<Semaphore>,
    /// What went wrong with one of those.
    broken: Arc<Mutex<Option<Broken>>>,
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
            slow_groups: Arc::default(),
            in_flight: Arc::new(Semaphore::new(GROUPS_MAX as usize)),
            broken: Arc::default(),
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

    /// Writes one group. While its answers are on their way the next one may follow, unless a wait is needed to
    /// know where the stream stands.
    async fn write(&mut self, parts: Vec<Part>) {
        let mut messages = Vec::new();
        let mut waiting = Vec::new();
        for Part {
            messages: part,
            done,
            ..
        } in parts
        {
            waiting.push((part.len(), done));
            messages.extend(part);
        }
        if self.is_broken() {
            self.settle().await;
        }
        let now = Instant::now();
        let is_shared = self.shared_until.is_some_and(|until| now < until);
        let is_slow = self.slow_until.is_some_and(|until| now < until);
        if (is_shared || is_slow) && messages.len() > SINGLES_MAX {
            self.settle().await;
            let outcome = atomic::send(&self.link, messages).await;
            answer(waiting, outcome, &self.broken);
        } else if is_shared || self.next.is_none() {
            self.settle().await;
            let outcome = self.one_by_one(messages).await;
            answer(waiting, outcome, &self.broken);
        } else {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&self.in_flight).acquire_owned().await else {
                return;
            };
            let launched = self.launch(messages).await;
            let broken = Arc::clone(&self.broken);
            let slow = Arc::clone(&self.slow_groups);
            tokio::spawn(async move {
                let outcome = match launched {
                    Ok(launched) => landed(launched, now, &slow).await,
                    Err(error) => Err(error),
                };
                answer(waiting, outcome, &broken);
                drop(permit);
            });
            if self.slow_groups.load(Ordering::Relaxed) >= SLOW_GROUPS {
                self.slow_groups.store(0, Ordering::Relaxed);
                self.slow_until = Some(Instant::now() + AVOIDED);
            }
        }
    }

    fn is_broken(&self) -> bool {
        lock(&self.broken).is_some()
    }

    /// Waits until nothing is on its way; what was predicted beyond that no longer counts.
    async fn settle(&mut self) {
        // The semaphore is never closed.
        drop(self.in_flight.acquire_many(GROUPS_MAX).await);
        self.next = None;
        match lock(&self.broken).take() {
            Some(Broken {
                error: CommitError::Fenced,
                together,
            }) => {
                self.shared_until = Some(Instant::now() + AVOIDED);
                self.alone = if together > 1 { together } else { 0 };
            }
            Some(Broken {
                error: CommitError::Refused(_),
                together,
            }) => {
                self.alone = if together > 1 { together } else { 0 };
            }
            Some(Broken {
                error: CommitError::Unknown(_),
                ..
            })
            | None => {}
        }
    }

    /// Waits for each answer before the next message: no prediction is needed.
    async fn one_by_one(&mut self, messages: Vec<Message>) -> Result<Vec<Seq>, CommitError> {
        let mut fences = Fences::default();
        let mut seqs = Vec::with_capacity(messages.len());
        for message in messages {
            let (line, sent) = fences.send(&self.link, message).await?;
            let seq = sent.wait().await?.sequence;
            fences.note(line, seq);
            self.next = Some(seq + 1);
            seqs.push(seq);
        }
        Ok(seqs)
    }

    /// Sends all messages, each fenced by what its lane's last one is predicted to be.
    async fn launch(&mut self, messages: Vec<Message>) -> Result<Vec<(Seq, Answer)>, CommitError> {
        let mut fences = Fences::default();
        let mut launched = Vec::with_capacity(messages.len());
        for message in messages {
            let Some(seq) = self.next else {
                return Err(CommitError::Unknown(
                    "where the stream stands is not known".into(),
                ));
            };
            let (line, sent) = match fences.send(&self.link, message).await {
                Ok(sent) => sent,
                Err(error) => {
                    self.next = None;
                    return Err(error);
                }
            };
            self.next = Some(seq + 1);
            fences.note(line, seq);
            launched.push((seq, sent));
        }
        Ok(launched)
    }
}

/// The answers to a group, which must be as predicted.
async fn landed(
    launched: Vec<(Seq, Answer)>,
    since: Instant,
    slow_groups: &AtomicU32,
) -> Result<Vec<Seq>, CommitError> {
    let len = launched.len();
    let mut seqs = Vec::with_capacity(len);
    for (seq, sent) in launched {
        if sent.wait().await?.sequence != seq {
            // Another writer's message came between; what follows in this lane was refused.
            return Err(CommitError::Fenced);
        }
        seqs.push(seq);
    }
    if len >= TELLING {
        let slow = since.elapsed() > SLOW * u32::try_from(len).unwrap_or(1);
        match slow {
            true => slow_groups.fetch_add(1, Ordering::Relaxed),
            false => slow_groups.swap(0, Ordering::Relaxed),
        };
    }
    tracing::trace!(len, took_us = since.elapsed().as_micros(), "group");
    Ok(seqs)
}

/// Why groups may not simply follow each other any more.
#[derive(Debug)]
struct Broken {
    error: CommitError,
    /// Parts that went together.
    together: usize,
}

/// Tells each part of a group what became of it.
fn answer(
    waiting: Vec<(usize, Done)>,
    outcome: Result<Vec<Seq>, CommitError>,
    broken: &Mutex<Option<Broken>>,
) {
    let together = waiting.len();
    match outcome {
        Ok(seqs) => {
            let mut rest = seqs.as_slice();
            for (len, done) in waiting {
                let (mine, others) = rest.split_at(len.min(rest.len()));
                // If nobody waits any more, that partition has ended.
                let _ = done.send(Ok(mine.to_vec()));
                rest = others;
            }
        }
        Err(error) => {
            let told = if together > 1 {
                CommitError::Unknown(format!("went together with a part that failed: {error}"))
            } else {
                error.clone()
            };
            lock(broken).get_or_insert(Broken { error, together });
            for (_, done) in waiting {
                let _ = done.send(Err(told.clone()));
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is ever left half done in it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last sequence of each lane of a group, known or predicted. A group has few: a list is quicker than a map.
#[derive(Debug, Default)]
struct Fences(Vec<(Line, Seq)>);

impl Fences {
    async fn send(&self, link: &Link, message: Message) -> Result<(Line, Answer), CommitError> {
        let Message {
            line,
            subject,
            mut headers,
            payload,
            fence,
        } = message;
        let before = self
            .0
            .iter()
            .find(|(other, _)| *other == line)
            .map(|(_, seq)| *seq);
        let fence = before
            .or(fence)
            .ok_or_else(|| CommitError::Refused("a lane without a fence".to_owned()))?;
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, fence.to_string());
        Ok((line, link.send(subject, headers, payload).await?))
    }

    fn note(&mut self, line: Line, seq: Seq) {
        match self.0.iter_mut().find(|(other, _)| *other == line) {
            Some(known) => known.1 = seq,
            None => self.0.push((line, seq)),
        }
    }
}
