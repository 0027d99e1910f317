//! A consumer that is made anew from the next sequence whenever it breaks.
//!
//! Positions live in our journal, so the server keeps nothing for us: the consumer is ephemeral, in memory and
//! without acknowledgements. What breaks one (a lost connection, missed heartbeats, a restarted server, messages the
//! client had to drop) is told once and mended by the next call.

use std::time::Duration;

use async_nats::jetstream::consumer::{
    AckPolicy, DeliverPolicy, PullConsumer,
    pull::{self, MessagesError},
};
use futures::{FutureExt as _, StreamExt as _};

use aftercall_actors::contract::time::LogTime;

use super::{
    answers,
    link::{Link, Watch},
};
use crate::log::{LogError, Seq};

/// How long nothing may come before [`Follower::wait`] says so, and its owner looks whether something should have.
const QUIET: Duration = Duration::from_secs(2);
/// A pull request is renewed after this time.
const PULL_EXPIRES: Duration = Duration::from_secs(5);
/// The server shows this often that it is there; twice as long without is a fault.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The server removes a consumer nobody has pulled from for this long.
const INACTIVE: Duration = Duration::from_secs(30);
/// Pause before a fault is told, so that a caller that tries again at once does not spin.
const FAULT_PAUSE: Duration = Duration::from_millis(50);

/// How much is asked for ahead of use.
#[derive(Clone, Copy, Debug)]
pub struct Prefetch {
    /// Messages.
    pub messages: usize,
    /// Bytes: the bound on memory.
    pub bytes: usize,
}

/// A message as it came.
pub struct Delivery {
    /// Its sequence in the stream.
    pub seq: Seq,
    /// When it was stored.
    pub time: LogTime,
    /// The message.
    pub message: async_nats::Message,
}

/// Messages of a stream from a sequence on.
pub struct Follower {
    link: Link,
    stream: &'static str,
    filters: Vec<String>,
    prefetch: Prefetch,
    next: Seq,
    open: Option<Open>,
    /// Consumers made since a message last came.
    barren: u32,
}

struct Open {
    _consumer: Made,
    messages: pull::Stream,
    /// How many came from this consumer; they are numbered by the server.
    delivered: u64,
    /// What the server sent into a connection that went down never comes, and on a quiet stream nothing later
    /// would show it.
    watch: Watch,
}

impl Follower {
    /// Follows `stream` from `next` on: all of it, or what the filters say.
    pub fn new(
        link: Link,
        stream: &'static str,
        filters: Vec<String>,
        next: Seq,
        prefetch: Prefetch,
    ) -> Self {
        Self {
            link,
            stream,
            filters,
            prefetch,
            next,
            open: None,
            barren: 0,
        }
    }

    /// The sequence after the last one delivered.
    pub const fn next(&self) -> Seq {
        self.next
    }

    /// Whether a consumer stands.
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How many consumers were made for this place and brought nothing.
    pub const fn barren(&self) -> u32 {
        self.barren
    }

    /// Drops the consumer; the following call makes one that begins with `next`.
    pub fn restart(&mut self, next: Seq) {
        self.open = None;
        if self.next != next {
            self.next = next;
            self.barren = 0;
        }
    }

    /// The next message, waited for; `None` if none came for a while.
    ///
    /// # Errors
    /// [`LogError::Unreachable`]; the next call mends what can be mended.
    pub async fn wait(&mut self) -> Result<Option<Delivery>, LogError> {
        if self.open.is_none() {
            let watch = self.link.watch();
            match self.consumer().await {
                Ok((made, messages)) => {
                    self.open = Some(Open {
                        _consumer: made,
                        messages,
                        delivered: 0,
                        watch,
                    });
                    self.barren += 1;
                }
                Err(error) => {
                    tokio::time::sleep(FAULT_PAUSE).await;
                    return Err(error);
                }
            }
        }
        if let Some(delivery) = self.ready()? {
            return Ok(Some(delivery));
        }
        let Some(open) = self.open.as_mut() else {
            return Ok(None);
        };
        tokio::select! {
            biased;
            item = tokio::time::timeout(QUIET, open.messages.next()) => match item {
                Ok(item) => self.take(item).map(Some),
                Err(_) => Ok(None),
            },
            () = open.watch.lost() => {
                self.open = None;
                Err(LogError::Unreachable("the connection was lost".to_owned()))
            }
        }
    }

    /// The next message if it is here already.
    ///
    /// # Errors
    /// As [`Follower::wait`].
    pub fn ready(&mut self) -> Result<Option<Delivery>, LogError> {
        let Some(open) = self.open.as_mut() else {
            return Ok(None);
        };
        // Without `unconstrained` the runtime would pretend after 128 messages that nothing more is here.
        match tokio::task::unconstrained(open.messages.next()).now_or_never() {
            Some(item) => self.take(item).map(Some),
            None => Ok(None),
        }
    }

    fn take(
        &mut self,
        item: Option<Result<async_nats::jetstream::Message, MessagesError>>,
    ) -> Result<Delivery, LogError> {
        let taken = match (item, self.open.as_mut()) {
            (Some(Ok(message)), Some(open)) => accept(message, &mut open.delivered),
            (Some(Err(error)), _) => Err(answers::unreachable(&error)),
            (None, _) | (_, None) => Err(LogError::Unreachable("the consumer ended".to_owned())),
        };
        match &taken {
            Ok(delivery) => (self.next, self.barren) = (delivery.seq + 1, 0),
            Err(_) => {
                self.open = None;
                self.link.doubt();
            }
        }
        taken
    }

    async fn consumer(&self) -> Result<(Made, pull::Stream), LogError> {
        self.link.up().await?;
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: self.next.max(1),
            },
            ack_policy: AckPolicy::None,
            filter_subjects: self.filters.clone(),
            memory_storage: true,
            inactive_threshold: INACTIVE,
            ..pull::Config::default()
        };
        let consumer: PullConsumer = self
            .link
            .api
            .create_consumer_on_stream(config, self.stream)
            .await
            .map_err(|error| answers::unreachable(&error))?;
        let made = Made {
            link: self.link.clone(),
            stream: self.stream,
            name: consumer.cached_info().name.clone(),
        };
        let messages = consumer
            .stream()
            .max_messages_per_batch(self.prefetch.messages)
            .max_bytes_per_batch(self.prefetch.bytes)
            .expires(PULL_EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(|error| answers::unreachable(&error))?;
        Ok((made, messages))
    }
}

/// A consumer on the server, which goes with this: it would go by itself, but only [`INACTIVE`] later, and a server has
/// so many at most.
struct Made {
    link: Link,
    stream: &'static str,
    name: String,
}

impl Drop for Made {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let request = format!("CONSUMER.DELETE.{}.{}", self.stream, self.name);
        let link = self.link.clone();
        runtime.spawn(async move {
            // If it does not arrive, the server does it.
            let _: Result<serde_json::Value, _> =
                link.api.request(request, &serde_json::json!({})).await;
        });
    }
}

fn accept(
    message: async_nats::jetstream::Message,
    delivered: &mut u64,
) -> Result<Delivery, LogError> {
    let (seq, number, published) = {
        let info = message
            .info()
            .map_err(|error| LogError::Unreachable(format!("a message without place: {error}")))?;
        (info.stream_sequence, info.consumer_sequence, info.published)
    };
    *delivered += 1;
    if number != *delivered {
        return Err(LogError::Unreachable(format!(
            "{} messages were lost on the way",
            number.abs_diff(*delivered)
        )));
    }
    Ok(Delivery {
        seq,
        time: log_time(published.unix_timestamp_nanos()),
        message: message.message,
    })
}

/// A server's time stamp in whole milliseconds, rounded down, however it was read.
pub fn log_time(nanos: i128) -> LogTime {
    LogTime(i64::try_from(nanos.div_euclid(1_000_000)).unwrap_or(i64::MAX))
}
