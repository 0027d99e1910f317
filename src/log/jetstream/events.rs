//! Events: storing them, and reading them back in order without a hole.
//!
//! The stream denies deletion, so positions are contiguous, and the reader holds the server to that: a jump is
//! looked into by reading the missing position itself. Only if the server does not have it is it a loss.

use std::{collections::VecDeque, sync::Arc};

use async_nats::{
    HeaderMap,
    header::NATS_MESSAGE_ID,
    jetstream::{
        message::StreamMessage,
        stream::{RawMessage, Stream},
    },
};
use async_trait::async_trait;
use bytes::Bytes;

use super::{
    answers,
    follower::{Delivery, Follower, Prefetch, log_time},
    link::{Answer, Link},
    subjects,
};
use crate::log::{
    AppendError, Appended, Bounds, CommitError, EventReader, Headers, LogError, NewEvent, Position,
    RawEvent,
};

/// Publishes on their way at a time: enough to hide the way to the server.
const IN_FLIGHT_MAX: usize = 1_000;
/// A consumer of events asks for this much ahead.
const PREFETCH: Prefetch = Prefetch {
    messages: 10_000,
    bytes: 32 << 20,
};

/// The events stream.
#[derive(Clone, Debug)]
pub struct Events {
    link: Link,
    stream: Arc<Stream<()>>,
    partitions: u16,
}

impl Events {
    /// The events stream on a server where it is known to stand.
    pub fn new(link: Link, stream: Stream<()>, partitions: u16) -> Self {
        Self {
            link,
            stream: Arc::new(stream),
            partitions,
        }
    }

    /// Stores events in order, many on their way at a time.
    ///
    /// Once one has had no answer the others are not waited for in turn: what has not been answered by then is
    /// unknown, and what has not been sent stays unsent.
    pub async fn append(&self, events: Vec<NewEvent>) -> Vec<Result<Appended, AppendError>> {
        let mut done: Vec<Option<Result<Appended, AppendError>>> = vec![None; events.len()];
        let mut in_flight: VecDeque<(usize, Answer)> = VecDeque::with_capacity(IN_FLIGHT_MAX);
        let mut broken = None;
        for (index, event) in events.into_iter().enumerate() {
            if in_flight.len() >= IN_FLIGHT_MAX
                && let Some((oldest, answer)) = in_flight.pop_front()
            {
                done[oldest] = Some(appended(answer.wait().await, &mut broken));
            }
            if let Some(text) = &broken {
                done[index] = Some(Err(AppendError::Unknown(format!("not sent: {text}"))));
                continue;
            }
            match self.send(event).await {
                Ok(answer) => in_flight.push_back((index, answer)),
                Err(error) => done[index] = Some(appended(Err(error), &mut broken)),
            }
        }
        for (index, answer) in in_flight {
            let outcome = if let Some(text) = &broken {
                let now = futures::FutureExt::now_or_never(answer.wait());
                now.unwrap_or_else(|| Err(CommitError::Unknown(text.clone())))
            } else {
                answer.wait().await
            };
            done[index] = Some(appended(outcome, &mut broken));
        }
        done.into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| Err(AppendError::Unknown("lost".to_owned()))))
            .collect()
    }

    async fn send(&self, event: NewEvent) -> Result<Answer, CommitError> {
        let subject =
            subjects::event(&event.destination, self.partitions).map_err(CommitError::Refused)?;
        let mut headers = answers::header_map(&event.headers).map_err(CommitError::Refused)?;
        headers.insert(NATS_MESSAGE_ID, answers::header_value(&event.message_id));
        self.link.send(subject.into(), headers, event.payload).await
    }

    /// First and last event.
    pub async fn bounds(&self) -> Result<Bounds, LogError> {
        let state = self
            .stream
            .get_info()
            .await
            .map_err(|error| answers::unreachable(&error))?
            .state;
        Ok(Bounds {
            first: state.first_sequence.max(1),
            last: state.last_sequence,
        })
    }

    /// One event, read from the stream's leader.
    pub async fn at(&self, position: Position) -> Result<Option<RawEvent>, LogError> {
        if position == 0 {
            return Ok(None);
        }
        match self.stream.get_raw_message(position).await {
            Ok(message) => self
                .event(
                    message.sequence,
                    log_time(message.time.unix_timestamp_nanos()),
                    &message.subject,
                    some(message.headers),
                    message.payload,
                )
                .map(Some),
            Err(error) => match answers::read(&error) {
                None => Ok(None),
                Some(error) => self.without_headers(position, error).await.map(Some),
            },
        }
    }

    /// One event whose headers the client cannot read, as if it had none: what then cannot be decoded is
    /// quarantined, and does not stop the log. If this is not what went wrong, it is still `error`.
    async fn without_headers(
        &self,
        position: Position,
        error: LogError,
    ) -> Result<RawEvent, LogError> {
        let request = format!("STREAM.MSG.GET.{}", subjects::EVENTS);
        let answer: Result<Held, _> = self
            .link
            .api
            .request(request, &serde_json::json!({ "seq": position }))
            .await;
        let Ok(Held { mut message }) = answer else {
            return Err(error);
        };
        message.headers = None;
        let message = StreamMessage::try_from(message).map_err(|_| error)?;
        self.event(
            message.sequence,
            log_time(message.time.unix_timestamp_nanos()),
            &message.subject,
            None,
            message.payload,
        )
    }

    /// A reader from `from` on.
    pub async fn read(&self, from: Position) -> Result<Box<dyn EventReader>, LogError> {
        let next = from.max(1);
        let reader = Reader {
            follower: Follower::new(
                self.link.clone(),
                subjects::EVENTS,
                Vec::new(),
                next,
                PREFETCH,
            ),
            events: self.clone(),
            next,
            seen: false,
        };
        reader.check_bounds().await?;
        Ok(Box::new(reader))
    }

    fn event(
        &self,
        position: Position,
        time: aftercall_actors::contract::time::LogTime,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<RawEvent, LogError> {
        // The stream takes nothing else, as was checked at the start.
        let (route, speaker) = subjects::route(subject, self.partitions).ok_or_else(|| {
            LogError::Corrupt(format!("position {position} has the subject `{subject}`"))
        })?;
        Ok(RawEvent {
            position,
            time,
            route,
            speaker,
            headers: headers.map_or(Headers::Empty, Headers::Nats),
            payload,
        })
    }
}

/// The server's answer when it holds a message.
#[derive(serde::Deserialize)]
struct Held {
    message: RawMessage,
}

fn some(headers: HeaderMap) -> Option<HeaderMap> {
    (!headers.is_empty()).then_some(headers)
}

/// The answer to an append; the first unknown one sets `broken`.
fn appended(
    outcome: Result<async_nats::jetstream::publish::PublishAck, CommitError>,
    broken: &mut Option<String>,
) -> Result<Appended, AppendError> {
    match outcome {
        Ok(ack) => Ok(Appended {
            position: ack.sequence,
            duplicate: ack.duplicate,
        }),
        Err(error) => {
            let error = answers::append(error);
            if let AppendError::Unknown(text) = &error {
                broken.get_or_insert_with(|| text.clone());
            }
            Err(error)
        }
    }
}

/// Events in order, without a hole.
struct Reader {
    events: Events,
    follower: Follower,
    next: Position,
    /// Whether the event before `next` was read here, so that the log cannot be shorter.
    seen: bool,
}

impl Reader {
    /// Refuses to read what is gone, or to go on behind the end of a log that has become shorter.
    async fn check_bounds(&self) -> Result<Bounds, LogError> {
        let bounds = self.events.bounds().await?;
        if self.next < bounds.first {
            return Err(LogError::Trimmed {
                wanted: self.next,
                first: bounds.first,
            });
        }
        if self.seen && self.next > bounds.last + 1 {
            return Err(LogError::Gap {
                expected: self.next,
                found: bounds.last + 1,
            });
        }
        Ok(bounds)
    }

    /// The first of the next events, or `None` if there is none yet.
    async fn first(&mut self) -> Result<Option<RawEvent>, LogError> {
        if !self.follower.is_open() {
            let bounds = self.check_bounds().await?;
            // Two consumers found no way past this position: perhaps the message itself is at fault (headers that the
            // client cannot read end its connection). Read on its own it harms nothing.
            if self.follower.barren() >= 2 && self.next <= bounds.last {
                return self.missing(None).await.map(Some);
            }
        }
        let Some(delivery) = self.follower.wait().await? else {
            // Quiet. Healthy but not advancing is a fault too.
            if self.check_bounds().await?.last >= self.next {
                tracing::warn!(position = self.next, "consumer of events stands still");
                self.follower.restart(self.next);
            }
            return Ok(None);
        };
        if delivery.seq < self.next && !self.seen {
            // The reader began beyond the end, and the log is not there yet.
            return Ok(None);
        }
        if delivery.seq != self.next {
            return self.missing(Some(delivery.seq)).await.map(Some);
        }
        self.accept(delivery).map(Some)
    }

    /// Reads the next event by itself, since the consumer did not bring it but perhaps `found`.
    async fn missing(&mut self, found: Option<Position>) -> Result<RawEvent, LogError> {
        self.follower.restart(self.next);
        let event = match self.events.at(self.next).await? {
            Some(event) => event,
            None => {
                self.check_bounds().await?;
                return Err(LogError::Gap {
                    expected: self.next,
                    found: found.unwrap_or(self.next + 1),
                });
            }
        };
        tracing::warn!(
            position = self.next,
            "event was not delivered and is read by itself"
        );
        self.seen = true;
        self.next += 1;
        self.follower.restart(self.next);
        Ok(event)
    }

    fn accept(&mut self, delivery: Delivery) -> Result<RawEvent, LogError> {
        let message = delivery.message;
        let event = self.events.event(
            delivery.seq,
            delivery.time,
            &message.subject,
            message.headers,
            message.payload,
        )?;
        self.seen = true;
        self.next = delivery.seq + 1;
        Ok(event)
    }
}

#[async_trait]
impl EventReader for Reader {
    async fn next(&mut self, max: usize) -> Result<Vec<RawEvent>, LogError> {
        let first = loop {
            match self.first().await {
                Ok(Some(event)) => break event,
                Ok(None) => {}
                Err(error) => {
                    self.follower.restart(self.next);
                    return Err(error);
                }
            }
        };
        // From here on nothing waits, so a caller that gives up loses nothing.
        let mut batch = Vec::with_capacity(max.clamp(1, 512));
        batch.push(first);
        while batch.len() < max {
            match self.follower.ready() {
                Ok(Some(delivery)) if delivery.seq == self.next => {
                    match self.accept(delivery) {
                        Ok(event) => batch.push(event),
                        // Told by the next call, which comes upon it again.
                        Err(_) => {
                            self.follower.restart(self.next);
                            break;
                        }
                    }
                }
                // A jump: looked into by the next call, whose consumer begins with the missing one.
                Ok(Some(_)) => {
                    self.follower.restart(self.next);
                    break;
                }
                // A fault is told by the next call, if it lasts.
                Ok(None) | Err(_) => break,
            }
        }
        Ok(batch)
    }
}
