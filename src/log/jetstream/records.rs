//! Records of a partition or a destination, each under one subject: the journal and the delivery records, which are
//! fenced, and the snapshots, which are not. And what is read up to now, of these and of the dead letters.
//!
//! The fence is the subject's last sequence: of two writers who both saw the same head, the server stores one.

use std::sync::Arc;

use async_nats::{
    HeaderMap,
    header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
    jetstream::{
        message::StreamMessage,
        stream::{PurgeErrorKind, Stream},
    },
};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    answers,
    follower::{Delivery, Follower, Prefetch, log_time},
    link::Link,
};
use crate::log::{CommitError, LogError, Seq, Stored};

/// Records are large: few of them are asked for ahead.
const PREFETCH: Prefetch = Prefetch {
    messages: 1_000,
    bytes: 8 << 20,
};

/// Records that a scan asks for one by one before it makes a consumer.
const SINGLY_MAX: usize = 4;

/// Consumers for scans at a time.
const SCANS_MAX: usize = 64;

/// A stream of records.
#[derive(Clone, Debug)]
pub struct Records {
    link: Link,
    name: &'static str,
    stream: Arc<Stream<()>>,
    /// Scans by consumers under way.
    scans: Arc<Semaphore>,
}

impl Records {
    /// The records of a stream that is known to stand.
    pub fn new(link: Link, name: &'static str, stream: Stream<()>) -> Self {
        Self {
            link,
            name,
            stream: Arc::new(stream),
            scans: Arc::new(Semaphore::new(SCANS_MAX)),
        }
    }

    /// The newest record of a subject, from the stream's leader.
    pub async fn head(&self, subject: &str) -> Result<Option<Stored>, LogError> {
        match self.stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some(Stored {
                seq: message.sequence,
                bytes: message.payload,
            })),
            Err(error) => answers::read(&error).map_or(Ok(None), Err),
        }
    }

    /// Appends a record, behind a fence if one is given.
    pub async fn append(
        &self,
        subject: String,
        fence: Option<Seq>,
        record: Bytes,
    ) -> Result<Seq, CommitError> {
        let mut headers = HeaderMap::new();
        if let Some(expected) = fence {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        }
        let ack = self.link.publish(subject.into(), headers, record).await?;
        Ok(ack.sequence)
    }

    /// The subject's records from `from` on, up to `to` or to the newest one at the time of the call.
    pub async fn scan(
        &self,
        subject: String,
        from: Seq,
        to: Seq,
    ) -> Result<BoxStream<'static, Result<Stored, LogError>>, LogError> {
        let records = self.messages(subject, from, to).await?;
        let stored = records.map(|delivery| {
            let delivery = delivery?;
            Ok(Stored {
                seq: delivery.seq,
                bytes: delivery.message.payload,
            })
        });
        Ok(stored.boxed())
    }

    /// The messages of a subject, which may be a filter, as [`Records::scan`] gives records.
    pub async fn messages(
        &self,
        subject: String,
        from: Seq,
        to: Seq,
    ) -> Result<BoxStream<'static, Result<Delivery, LogError>>, LogError> {
        let head = self.head(&subject).await?.map_or(0, |stored| stored.seq);
        let end = head.min(to);
        if end < from {
            return Ok(stream::empty().boxed());
        }
        let (few, rest) = self.first(&subject, from, end).await?;
        let few = stream::iter(few.into_iter().map(Ok));
        let Some(from) = rest else {
            return Ok(few.boxed());
        };
        let place = Arc::clone(&self.scans).acquire_owned().await;
        let follower = Follower::new(
            self.link.clone(),
            self.name,
            vec![subject.clone()],
            from,
            PREFETCH,
        );
        let scan = Scan {
            records: self.clone(),
            subject,
            follower,
            end,
            _place: place.ok(),
        };
        let rest = stream::unfold(Some(scan), |scan| async { scan?.next().await });
        Ok(few.chain(rest).boxed())
    }

    /// The first few messages, each asked for by itself, and from where on there are more. Most scans find no others,
    /// and a consumer is dear: a server has so many of them at most, and a start makes thousands of scans.
    async fn first(
        &self,
        subject: &str,
        from: Seq,
        end: Seq,
    ) -> Result<(Vec<Delivery>, Option<Seq>), LogError> {
        let (mut few, mut next) = (Vec::new(), from);
        while few.len() < SINGLY_MAX {
            let found = self.stream.get_first_raw_message_by_subject(subject, next);
            let message = match found.await {
                Ok(message) => message,
                Err(error) => match answers::read(&error) {
                    // Trimmed meanwhile.
                    None => return Ok((few, None)),
                    Some(error) => return Err(error),
                },
            };
            let seq = message.sequence;
            if seq > end {
                return Ok((few, None));
            }
            few.push(Delivery {
                seq,
                time: log_time(message.time.unix_timestamp_nanos()),
                message: plain(message),
            });
            if seq == end {
                return Ok((few, None));
            }
            next = seq + 1;
        }
        Ok((few, Some(next)))
    }

    /// Removes the subject's records with sequences below `before`.
    pub async fn trim(&self, subject: String, before: Seq) -> Result<(), LogError> {
        // The server reads 0 as "all".
        if before <= 1 {
            return Ok(());
        }
        self.stream
            .purge()
            .filter(subject)
            .sequence(before)
            .await
            .map(drop)
            .map_err(|error| match error.kind() {
                PurgeErrorKind::JetStream(answer) if answer.code() == 400 => {
                    LogError::Settings(format!("stream {}: {answer}", self.name))
                }
                PurgeErrorKind::JetStream(_)
                | PurgeErrorKind::Request
                | PurgeErrorKind::TimedOut => answers::unreachable(&error),
            })
    }
}

/// A stored message as a consumer would have brought it.
fn plain(message: StreamMessage) -> async_nats::Message {
    async_nats::Message {
        length: message.payload.len(),
        subject: message.subject,
        reply: None,
        payload: message.payload,
        headers: (!message.headers.is_empty()).then_some(message.headers),
        status: None,
        description: None,
    }
}

/// A scan that ends with a record known to be there, so that it can neither wait forever nor stop early unnoticed.
struct Scan {
    records: Records,
    subject: String,
    follower: Follower,
    end: Seq,
    /// Among the scans there may be at a time.
    _place: Option<OwnedSemaphorePermit>,
}

/// What [`stream::unfold`] takes: an item, and what the rest comes from, if there is a rest.
type Step = Option<(Result<Delivery, LogError>, Option<Scan>)>;

impl Scan {
    async fn next(mut self) -> Step {
        match self.follower.wait().await {
            Ok(Some(delivery)) if delivery.seq > self.end => None,
            Ok(Some(delivery)) => {
                let ended = delivery.seq >= self.end;
                Some((Ok(delivery), (!ended).then_some(self)))
            }
            Ok(None) => self.quiet().await.map(|error| (Err(error), None)),
            Err(error) => Some((Err(error), None)),
        }
    }

    /// Nothing came: all right only if the rest was trimmed meanwhile.
    async fn quiet(&self) -> Option<LogError> {
        match self.records.head(&self.subject).await {
            Ok(None) => None,
            Ok(Some(newest)) if newest.seq < self.follower.next() => None,
            Ok(Some(_)) => Some(LogError::Unreachable(format!(
                "stream {}: no answer while reading `{}` at {}",
                self.records.name,
                self.subject,
                self.follower.next()
            ))),
            Err(error) => Some(error),
        }
    }
}
