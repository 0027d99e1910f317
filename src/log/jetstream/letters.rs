//! Dead letters of deliveries, in the stream of the quarantined input.
//!
//! The server stores one message of two with the same id within its window, whatever their subjects; so the id that is
//! sent names the destination as well, and one destination's letter can never swallow another's.

use std::sync::Arc;

use async_nats::{HeaderMap, header::NATS_MESSAGE_ID, jetstream::stream::Stream};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};

use aftercall_actors::contract::time::LogTime;

use super::{
    answers,
    follower::{Delivery, Follower, Prefetch, log_time},
    link::Link,
    records::Records,
    subjects,
};
use crate::log::{AppendError, DeadPlace, Headers, LogError, NewDead, Seq, StoredDead};

/// A tail asks for this much ahead. Little comes, and there is one for every destination.
const PREFETCH: Prefetch = Prefetch {
    messages: 100,
    bytes: 2 << 20,
};
/// Room for the headers of a letter.
const HEADER_BYTES: usize = 4 << 10;

/// The stream of the dead, as far as deliveries go.
#[derive(Clone, Debug)]
pub struct Letters {
    link: Link,
    stream: Arc<Stream<()>>,
    records: Records,
}

impl Letters {
    /// The dead letters on a server where their stream is known to stand.
    pub fn new(link: Link, stream: Stream<()>) -> Self {
        Self {
            records: Records::new(link.clone(), subjects::DEAD, stream.clone()),
            stream: Arc::new(stream),
            link,
        }
    }

    /// Stores a letter or a decision; see [`crate::log::EventLog::dead_append`].
    pub async fn append(&self, destination: &str, entry: NewDead) -> Result<Seq, AppendError> {
        let bytes_max = self.link.client.max_payload().saturating_sub(HEADER_BYTES);
        if entry.payload.len() > bytes_max {
            return Err(AppendError::Refused(format!(
                "a dead letter of {} bytes; at most {bytes_max} are taken",
                entry.payload.len()
            )));
        }
        let mut headers = answers::header_map(&entry.headers).map_err(AppendError::Refused)?;
        let id = format!("{destination}/{}", entry.message_id);
        headers.insert(NATS_MESSAGE_ID, answers::header_value(&id));
        let subject = subjects::letters(destination).into();
        let stored = self.link.publish(subject, headers, entry.payload).await;
        stored.map(|ack| ack.sequence).map_err(answers::append)
    }

    /// One letter or decision, read from the stream's leader.
    pub async fn at(&self, seq: Seq) -> Result<Option<StoredDead>, LogError> {
        if seq == 0 {
            return Ok(None);
        }
        let message = match self.stream.get_raw_message(seq).await {
            Ok(message) => message,
            Err(error) => return answers::read(&error).map_or(Ok(None), Err),
        };
        let time = log_time(message.time.unix_timestamp_nanos());
        Ok(match subjects::parse_dead(&message.subject) {
            Some(place @ DeadPlace::Delivery(_)) => {
                let headers = Some(message.headers);
                Some(entry(
                    message.sequence,
                    time,
                    place,
                    headers,
                    message.payload,
                ))
            }
            Some(DeadPlace::Event(_)) | None => None,
        })
    }

    /// What is held now: of one destination, or everything in the stream.
    pub async fn scan(
        &self,
        destination: Option<&str>,
    ) -> Result<BoxStream<'static, Result<StoredDead, LogError>>, LogError> {
        let filter = destination.map_or_else(|| subjects::ALL_DEAD.to_owned(), subjects::letters);
        let messages = self.records.messages(filter, 1, Seq::MAX).await?;
        let entries = messages.filter_map(|delivery| {
            // Whatever else stands in the stream is neither letter nor quarantined input.
            std::future::ready(delivery.map(dead).transpose())
        });
        Ok(entries.boxed())
    }

    /// What a destination has after `after`, and what comes.
    pub fn tail(
        &self,
        destination: &str,
        after: Seq,
    ) -> BoxStream<'static, Result<StoredDead, LogError>> {
        let filters = vec![subjects::letters(destination)];
        let next = after.saturating_add(1);
        let follower = Follower::new(self.link.clone(), subjects::DEAD, filters, next, PREFETCH);
        stream::unfold(follower, next_entry).boxed()
    }
}

/// The next entry of a tail. A fault is told, and the tail goes on behind it.
async fn next_entry(mut follower: Follower) -> Option<(Result<StoredDead, LogError>, Follower)> {
    loop {
        match follower.wait().await {
            Ok(Some(delivery)) => {
                if let Some(entry) = dead(delivery) {
                    return Some((Ok(entry), follower));
                }
            }
            Ok(None) => {}
            Err(error) => return Some((Err(error), follower)),
        }
    }
}

fn dead(delivery: Delivery) -> Option<StoredDead> {
    let message = delivery.message;
    let place = subjects::parse_dead(&message.subject)?;
    let (headers, payload) = (message.headers, message.payload);
    Some(entry(delivery.seq, delivery.time, place, headers, payload))
}

fn entry(
    seq: Seq,
    time: LogTime,
    place: DeadPlace,
    headers: Option<HeaderMap>,
    payload: Bytes,
) -> StoredDead {
    let sent_id = headers
        .as_ref()
        .and_then(|headers| headers.get(NATS_MESSAGE_ID))
        .map_or("", |id| id.as_str());
    let message_id = match &place {
        DeadPlace::Delivery(destination) => sent_id
            .strip_prefix(destination.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or(sent_id)
            .to_owned(),
        // A lane's writer names its messages for itself.
        DeadPlace::Event(_) => String::new(),
    };
    StoredDead {
        seq,
        time,
        place,
        message_id,
        headers: headers.map_or(Headers::Empty, Headers::Nats),
        payload,
    }
}
