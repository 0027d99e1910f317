//! Group commit for outputs: what the partitions of a process have to say goes out together, by one writer.
//!
//! A group is a chain, sent without waiting: each message names itself (`Nats-Msg-Id`, never used twice) and is only
//! stored if the stream's last message is the one before it in the chain. So whatever goes wrong (another writer in
//! between, a message refused or lost), what stands of a group is a prefix: no hole, no order but ours. The first
//! message of each lane is fenced by the lane's last sequence as well. No dedupe window is needed for any of this.
//! (Fences by predicted sequences would do without ids and are wrong: another writer's message can stand just where
//! ours was predicted.)
//!
//! Where another client writes into the stream too, chains keep breaking; and a server that syncs each message makes
//! them slow. Then few messages go one by one in each lane and many as an atomic batch, which costs the server some
//! milliseconds, staging a folder and syncing it, whatever is in it.
//!
//! A stream with replicas never sees a chain: its replicas check the last message id only when they apply a message, and
//! one refusal there is a write error to them, which stops all of them for good. What fences a lane is checked before a
//! message is proposed, and is harmless.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{
    HeaderMap, Subject,
    header::{NATS_EXPECTED_LAST_MESSAGE_ID, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID},
    jetstream::stream::Stream,
};
use bytes::Bytes;
use futures::future::join_all;
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use super::{atomic, link::Link};
use crate::{
    log::{CommitError, Lane, PartitionId, Seq},
    supervise::caught,
};

/// Up to so many messages go one by one where chains do not work.
const SINGLES_MAX: usize = 24;

/// How long chains are left alone once one broke or several were slow.
const AVOIDED: Duration = Duration::from_secs(10);

/// How long it is trusted how many replicas the stream has.
const REPLICAS_KNOWN: Duration = Duration::from_secs(2);

/// Slower than this for each message, and the server is taken to sync each of them.
const SLOW: Duration = Duration::from_micros(110);

/// From so many messages on, the time of a group tells something,
const TELLING: usize = 64;

/// and so many slow groups in a row are no accident.
const SLOW_GROUPS: u32 = 4;

/// Pause after a group that panicked: the next one may do so as well.
const PANIC_PAUSE: Duration = Duration::from_millis(200);

/// One message of a group.
#[derive(Debug)]
pub struct Message {
    /// Its lane.
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

/// A lane, among all lanes of the process.
type Line = (PartitionId, Lane);

/// A message with its place in its group.
type Numbered = (usize, Message);

/// Where a part's sequences are waited for.
type Done = oneshot::Sender<Result<Vec<Seq>, CommitError>>;

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
    /// Starts the writer of a stream on the current runtime: the connection's, where no actor's work holds it up.
    pub fn new(link: Link, stream: Arc<Stream<()>>) -> Self {
        // Each partition has one part under way at most: the channel is bounded by its users.
        let (parts, arriving) = mpsc::unbounded_channel();
        let inbox = link.client.new_inbox();
        let writer = Writer {
            // Unique, whoever else writes.
            name: inbox.rsplit('.').next().unwrap_or(&inbox).to_owned(),
            link,
            sent: 0,
            stream,
            alone_as_of: None,
            waiting: VecDeque::new(),
            alone: 0,
            avoided_until: None,
            slow_groups: 0,
        };
        tokio::spawn(writer.run_on(arriving));
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
    /// With the number of messages sent, a name for each that nobody else uses.
    name: String,
    sent: u64,
    stream: Arc<Stream<()>>,
    /// Whether the stream has one replica, as of when, and of which doubts.
    alone_as_of: Option<(bool, Instant, u64)>,
    waiting: VecDeque<Part>,
    /// So many parts more go alone, since parts that went together were refused.
    alone: usize,
    /// Until when chains are left alone.
    avoided_until: Option<Instant>,
    /// Slow groups in a row.
    slow_groups: u32,
}

impl Writer {
    /// Writes until nothing more can come. The parts of a group that panics get no answer, as when a connection is lost:
    /// their lanes are read before anything else is written to them.
    async fn run_on(mut self, mut arriving: mpsc::UnboundedReceiver<Part>) {
        while caught(self.run(&mut arriving)).await.is_err() {
            self.waiting.clear();
            sleep(PANIC_PAUSE).await;
        }
    }

    async fn run(&mut self, arriving: &mut mpsc::UnboundedReceiver<Part>) {
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
        let mut waiting: Vec<(usize, Done)> = Vec::with_capacity(together);
        for Part {
            messages: part,
            done,
            ..
        } in parts
        {
            waiting.push((part.len(), done));
            messages.extend(part);
        }
        match self.send(messages).await {
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

    async fn send(&mut self, messages: Vec<Message>) -> Result<Vec<Seq>, CommitError> {
        let (began, len) = (Instant::now(), messages.len());
        let is_avoided = self.avoided_until.is_some_and(|until| began < until);
        if is_avoided || !self.is_without_replicas().await {
            return if len > SINGLES_MAX {
                let first = atomic::send(&self.link, messages).await?;
                Ok((first..).take(len).collect())
            } else {
                self.one_by_one(messages).await
            };
        }
        let began = Instant::now();
        let outcome = self.chain(messages).await;
        let slow = len >= TELLING && began.elapsed() > SLOW * u32::try_from(len).unwrap_or(1);
        self.slow_groups = if slow { self.slow_groups + 1 } else { 0 };
        let broke = matches!(outcome, Err(CommitError::Unknown(_)));
        if broke || self.slow_groups >= SLOW_GROUPS {
            self.avoided_until = Some(Instant::now() + AVOIDED);
            self.slow_groups = 0;
        }
        tracing::trace!(
            len,
            took_us = began.elapsed().as_micros(),
            ok = outcome.is_ok(),
            "chain"
        );
        outcome
    }

    /// Whether the stream stands on one server. An operator may give it replicas at any time, so this is asked often; where
    /// it cannot be told, it has.
    async fn is_without_replicas(&mut self) -> bool {
        let doubts = self.link.doubts();
        if let Some((is_alone, at, known)) = self.alone_as_of
            && at.elapsed() < REPLICAS_KNOWN
            && known == doubts
        {
            return is_alone;
        }
        let info = self.stream.get_info().await;
        let is_alone = info.is_ok_and(|info| info.config.num_replicas <= 1);
        self.alone_as_of = Some((is_alone, Instant::now(), doubts));
        is_alone
    }

    /// Sends all messages, each only to be stored behind the one before; then waits for the answers.
    async fn chain(&mut self, messages: Vec<Message>) -> Result<Vec<Seq>, CommitError> {
        let mut before: Option<String> = None;
        let mut answers = Vec::with_capacity(messages.len());
        for Message {
            subject,
            mut headers,
            payload,
            fence,
            ..
        } in messages
        {
            self.sent += 1;
            let id = format!("{}-{}", self.name, self.sent);
            headers.insert(NATS_MESSAGE_ID, id.as_str());
            if let Some(before) = before {
                headers.insert(NATS_EXPECTED_LAST_MESSAGE_ID, before);
            }
            if let Some(fence) = fence {
                headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, fence.to_string());
            }
            answers.push(self.link.send(subject, headers, payload).await?);
            before = Some(id);
        }
        let mut seqs = Vec::with_capacity(answers.len());
        for answer in answers {
            seqs.push(answer.wait().await?.sequence);
        }
        Ok(seqs)
    }

    /// Waits in each lane for each answer before the next message, which it fences. Lanes do not wait for each other.
    async fn one_by_one(&self, messages: Vec<Message>) -> Result<Vec<Seq>, CommitError> {
        let len = messages.len();
        // A group has few lines: a list is quicker than a map.
        let mut lines: Vec<(Line, Vec<Numbered>)> = Vec::new();
        for (number, message) in messages.into_iter().enumerate() {
            match lines.iter_mut().find(|(line, _)| *line == message.line) {
                Some((_, messages)) => messages.push((number, message)),
                None => lines.push((message.line, vec![(number, message)])),
            }
        }
        let writing = lines
            .into_iter()
            .map(|(_, messages)| self.one_line(messages));
        let mut seqs = vec![0; len];
        for stored in join_all(writing).await {
            for (number, seq) in stored? {
                seqs[number] = seq;
            }
        }
        Ok(seqs)
    }

    async fn one_line(&self, messages: Vec<Numbered>) -> Result<Vec<(usize, Seq)>, CommitError> {
        let mut seqs: Vec<(usize, Seq)> = Vec::with_capacity(messages.len());
        for (number, message) in messages {
            let Message {
                subject,
                mut headers,
                payload,
                fence,
                ..
            } = message;
            let before = seqs.last().map(|(_, seq)| *seq);
            let fence = before.or(fence).unwrap_or(0);
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, fence.to_string());
            let ack = self.link.publish(subject, headers, payload).await?;
            seqs.push((number, ack.sequence));
        }
        Ok(seqs)
    }
}
