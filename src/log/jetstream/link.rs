//! The connection to the server: how it is made, and what its loss means for an answer still awaited.
//!
//! The client reconnects by itself and keeps what is published meanwhile for later. A request in flight when the
//! connection went down is never answered, though, so waiting ends with the connection and not with a timeout.

use std::{
    future::Future,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr, Subject,
    connection::State,
    header::HeaderMap,
    jetstream::{Context, context::ContextBuilder, publish::PublishAck},
};
use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;

use super::{Settings, answers};
use crate::log::{CommitError, LogError};

/// Wait for the answer to a publish.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);
/// Wait for the answer to any other request. Making a consumer on a long stream takes its time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait for a lost connection to come back before a call says that the log is unreachable.
const RECONNECT_WAIT: Duration = Duration::from_secs(2);
/// Messages the client holds for one subscription before it drops them: above every prefetch of ours.
const SUBSCRIPTION_CAPACITY: usize = 262_144;

/// How the server knows us.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// Not at all.
    #[default]
    Anonymous,
    /// By a file with a JWT and a seed.
    CredentialsFile(PathBuf),
    /// By name and password.
    Password {
        /// Name.
        user: String,
        /// Password.
        password: SecretString,
    },
    /// By a token.
    Token(SecretString),
}

/// A connection and the contexts on it.
#[derive(Clone, Debug)]
pub struct Link {
    /// The connection.
    pub client: Client,
    /// For requests to the JetStream API.
    pub api: Context,
    publishing: Context,
    /// How often the connection was lost.
    losses: watch::Receiver<u64>,
    /// How often there was cause to doubt that the server still holds what it had confirmed: it comes back from a power
    /// loss without what it had not synced.
    doubts: Arc<AtomicU64>,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// [`LogError::Unreachable`] if no server answers, [`LogError::Settings`] if it does not let us in.
    pub async fn connect(settings: &Settings) -> Result<Self, LogError> {
        let servers = servers(&settings.url)?;
        let (count, losses) = watch::channel(0);
        let doubts = Arc::new(AtomicU64::new(0));
        let doubted = Arc::clone(&doubts);
        let said = Mutex::new(String::new());
        let options = options(settings)
            .await?
            .name("aftercall")
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .request_timeout(Some(REQUEST_TIMEOUT))
            .ping_interval(Duration::from_secs(5))
            .reconnect_delay_callback(|_| Duration::from_millis(50))
            .event_callback(move |event| {
                if note(&event, &count, &said) {
                    doubted.fetch_add(1, Ordering::Relaxed);
                }
                std::future::ready(())
            });
        let shown = shown(&servers);
        let client = options.connect(servers).await.map_err(|error| {
            let text = format!("{shown}: {error}");
            match error.kind() {
                ConnectErrorKind::ServerParse
                | ConnectErrorKind::Authentication
                | ConnectErrorKind::AuthorizationViolation
                | ConnectErrorKind::Tls => LogError::Settings(text),
                ConnectErrorKind::Dns
                | ConnectErrorKind::TimedOut
                | ConnectErrorKind::Io
                | ConnectErrorKind::MaxReconnects => LogError::Unreachable(text),
            }
        })?;
        Ok(Self {
            api: ContextBuilder::new()
                .timeout(REQUEST_TIMEOUT)
                .build(client.clone()),
            publishing: ContextBuilder::new()
                .timeout(PUBLISH_TIMEOUT)
                .ack_timeout(PUBLISH_TIMEOUT)
                .build(client.clone()),
            client,
            losses,
            doubts,
        })
    }

    /// How often there was cause for doubt.
    pub fn doubts(&self) -> u64 {
        self.doubts.load(Ordering::Relaxed)
    }

    /// There is: a server of a cluster can be away while the connection stands.
    pub fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the connection stands.
    pub fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits for a lost connection to come back, for a while.
    ///
    /// # Errors
    /// [`LogError::Unreachable`] if it does not.
    pub async fn up(&self) -> Result<(), LogError> {
        let since = Instant::now();
        while !self.is_up() {
            if since.elapsed() >= RECONNECT_WAIT {
                return Err(LogError::Unreachable("not connected".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// From here on, a loss of the connection ends [`Watch::unless_lost`].
    pub fn watch(&self) -> Watch {
        let mut losses = self.losses.clone();
        losses.mark_unchanged();
        Watch(losses)
    }

    /// Hands a message to the connection; the answer is awaited separately.
    ///
    /// While there is no connection nothing is sent: the client would keep the message and store it at some later
    /// time, when nobody expects it any more.
    pub async fn send(
        &self,
        subject: Subject,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Answer, CommitError> {
        if !self.is_up() {
            return Err(CommitError::Unknown("not connected".to_owned()));
        }
        let watch = self.watch();
        self.publishing
            .publish_with_headers(subject, headers, payload)
            .await
            .map(|ack| Answer { ack, watch })
            .map_err(|error| answers::publish(&error))
    }

    /// Publishes one message and waits until it is stored.
    pub async fn publish(
        &self,
        subject: Subject,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<PublishAck, CommitError> {
        self.send(subject, headers, payload).await?.wait().await
    }

    /// Sends the request that ends a batch.
    pub async fn request(
        &self,
        watch: Watch,
        subject: Subject,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<async_nats::Message, CommitError> {
        let request = async_nats::Request::new()
            .headers(headers)
            .payload(payload)
            .timeout(Some(REQUEST_TIMEOUT));
        watch
            .unless_lost(self.client.send_request(subject, request))
            .await?
            .map_err(|error| match error.kind() {
                async_nats::RequestErrorKind::MaxPayloadExceeded
                | async_nats::RequestErrorKind::InvalidSubject => {
                    CommitError::Refused(error.to_string())
                }
                async_nats::RequestErrorKind::TimedOut
                | async_nats::RequestErrorKind::NoResponders
                | async_nats::RequestErrorKind::Other => CommitError::Unknown(error.to_string()),
            })
    }
}

/// How the server knows us, and what we trust.
///
/// # Errors
/// [`LogError::Settings`] if the credentials cannot be read.
pub async fn options(settings: &Settings) -> Result<ConnectOptions, LogError> {
    let options = match &settings.login {
        Login::Anonymous => ConnectOptions::new(),
        Login::CredentialsFile(path) => {
            let options = ConnectOptions::new().credentials_file(path).await;
            options.map_err(|error| {
                LogError::Settings(format!("credentials file {}: {error}", path.display()))
            })?
        }
        Login::Password { user, password } => ConnectOptions::new()
            .user_and_password(user.clone(), password.expose_secret().to_owned()),
        Login::Token(token) => ConnectOptions::new().token(token.expose_secret().to_owned()),
    };
    Ok(trusting(options, settings))
}

/// What we trust, whoever we are.
pub fn trusting(options: ConnectOptions, settings: &Settings) -> ConnectOptions {
    match &settings.root_certificates {
        Some(path) => options.add_root_certificates(path.clone()),
        None => options,
    }
}

/// Notices a loss of the connection since it was made.
#[derive(Debug)]
pub struct Watch(watch::Receiver<u64>);

impl Watch {
    /// Waits for a loss.
    pub async fn lost(&mut self) {
        // An error means that the client is gone altogether.
        let _ = self.0.changed().await;
    }

    /// Waits for `answer`, unless the connection is lost first.
    pub async fn unless_lost<T>(
        mut self,
        answer: impl Future<Output = T>,
    ) -> Result<T, CommitError> {
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            () = self.lost() => Err(CommitError::Unknown("the connection was lost".to_owned())),
        }
    }
}

/// The answer to a publish, on its way.
pub struct Answer {
    ack: async_nats::jetstream::context::PublishAckFuture,
    watch: Watch,
}

impl Answer {
    /// Waits for it, at most [`PUBLISH_TIMEOUT`].
    pub async fn wait(self) -> Result<PublishAck, CommitError> {
        self.watch
            .unless_lost(self.ack.into_future())
            .await?
            .map_err(|error| answers::publish(&error))
    }
}

/// Notes what happens to the connection, and says whether it gives cause for doubt. The same fault at every try to come
/// back is one line.
fn note(event: &Event, losses: &watch::Sender<u64>, said: &Mutex<String>) -> bool {
    let is_news = |text: String| {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *said != text;
        *said = text;
        is_news
    };
    match event {
        Event::Connected => {
            is_news(String::new());
            tracing::info!("connected to nats");
            return true;
        }
        Event::Disconnected => {
            tracing::warn!("disconnected from nats");
            losses.send_modify(|count| *count += 1);
            return true;
        }
        Event::Closed => {
            // Only ever by us: attempts to reconnect are unlimited.
            tracing::info!("connection to nats closed");
            losses.send_modify(|count| *count += 1);
        }
        Event::LameDuckMode => tracing::info!("nats server is about to stop"),
        Event::Draining => tracing::info!("connection to nats is draining"),
        Event::SlowConsumer(subscription) => {
            tracing::warn!(subscription, "nats client dropped messages");
        }
        Event::ServerError(error) if is_news(error.to_string()) => {
            tracing::warn!(%error, "nats server error");
        }
        Event::ClientError(error) if is_news(error.to_string()) => {
            tracing::warn!(%error, "nats client error");
        }
        Event::ServerError(_) | Event::ClientError(_) => {}
    }
    false
}

/// The servers of an address with commas.
///
/// # Errors
/// [`LogError::Settings`] if one of them is none.
pub fn servers(url: &str) -> Result<Vec<ServerAddr>, LogError> {
    url.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            part.parse()
                // Not the URL itself: there may be a password in it.
                .map_err(|error: std::io::Error| LogError::Settings(format!("nats url: {error}")))
        })
        .collect::<Result<Vec<ServerAddr>, _>>()
        .and_then(|servers| {
            if servers.is_empty() {
                Err(LogError::Settings("nats url: it is empty".to_owned()))
            } else {
                Ok(servers)
            }
        })
}

/// The servers without user and password.
fn shown(servers: &[ServerAddr]) -> String {
    let names: Vec<String> = servers
        .iter()
        .map(|server| format!("{}://{}:{}", server.scheme(), server.host(), server.port()))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_10_a_password_in_the_url_is_not_shown() {
        let list = servers("nats://user:secret@a:4222, tls://b").expect("two servers");
        assert_eq!(shown(&list), "nats://a:4222, tls://b:4222");
        let error = servers("http://user:secret@a").expect_err("not nats");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn an_empty_url_is_an_error() {
        assert!(servers(" ,").is_err());
    }
}
