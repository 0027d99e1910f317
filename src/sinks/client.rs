//! HTTP to one destination: a request out, a bounded answer or an exactly named fault back.
//!
//! The name of a fault decides over money: what was certainly not sent may be given up, of what may have been sent
//! nobody knows the outcome (S3.09). So a fault is a [`Fault::Connect`] only if the connection itself failed, be it by
//! its own timeout; everything later is unknown. Redirects are answers like others: to follow one would take
//! credentials and personal data to an address that nobody configured.

pub mod body;
pub mod tls;

use std::{collections::BTreeMap, error::Error as _, time::Duration};

use crate::delivery::attempt::{Answer, Fault};
use body::Declared;
use reqwest::{
    Certificate, Client as Inner, Identity, Method, Response, Url, header::HeaderMap, redirect,
};

/// A request, ready to leave.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Whether whoever knows the address is let in.
    pub url_is_secret: bool,
    /// Headers; those that hold credentials are marked sensitive.
    pub headers: HeaderMap,
    /// Body; empty for none.
    pub body: Vec<u8>,
}

/// How a client connects.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Longest wait for a connection, its TLS included.
    pub connect_timeout: Duration,
    /// Longest wait for the whole, from connecting to the end of the answer.
    pub total_timeout: Duration,
    /// Longest answer that is read. Unit: bytes.
    pub answer_bytes_max: usize,
    /// Certificates to trust besides the system's, in PEM.
    pub roots_pem: Option<Vec<u8>>,
    /// Our own certificate and its key, in PEM, for servers that ask who we are.
    pub identity_pem: Option<Vec<u8>>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What should be certificates to trust is none.
    #[error("the certificates to trust cannot be read: {0}")]
    Roots(String),
    /// What should be our certificate and key is none.
    #[error("the own certificate and key cannot be read: {0}")]
    Identity(String),
    /// They cannot be used together.
    #[error("no HTTP client: {0}")]
    Client(String),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// There was one, longer than is taken (S5.05). The destination may have done it.
    TooLong,
    /// There was none.
    Fault(Fault),
}

/// The client of one destination.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Inner,
    total_timeout: Duration,
    answer_bytes_max: usize,
}

impl Client {
    /// Makes a client. Connects to nothing yet.
    ///
    /// # Errors
    /// If certificates or key are none.
    pub fn new(settings: &Settings) -> Result<Self, ClientError> {
        install_provider();
        let mut builder = Inner::builder()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.total_timeout)
            .redirect(redirect::Policy::none())
            .tcp_nodelay(true)
            .user_agent(concat!("aftercall/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &settings.roots_pem {
            let roots = Certificate::from_pem_bundle(pem)
                .map_err(|error| ClientError::Roots(chain(&error)))?;
            if roots.is_empty() {
                return Err(ClientError::Roots("no certificate in it".to_owned()));
            }
            builder = builder.tls_certs_merge(roots);
        }
        if let Some(pem) = &settings.identity_pem {
            let identity =
                Identity::from_pem(pem).map_err(|error| ClientError::Identity(chain(&error)))?;
            builder = builder.identity(identity);
        }
        Ok(Self {
            inner: builder
                .build()
                .map_err(|error| ClientError::Client(chain(&error)))?,
            total_timeout: settings.total_timeout,
            answer_bytes_max: settings.answer_bytes_max,
        })
    }

    /// Sends a request once and reads the whole answer.
    ///
    /// # Errors
    /// [`Fault::Connect`] if there was no connection to send it on; [`Fault::Timeout`] and [`Fault::Lost`] if it may
    /// have arrived, [`Fault::TooLong`] for an answer longer than `answer_bytes_max` (S5.05).
    pub async fn send(&self, request: Request) -> Result<Answer, Fault> {
        self.ask(request).await.map_err(|error| match error {
            NoAnswer::TooLong => self.too_long(),
            NoAnswer::Fault(fault) => fault,
        })
    }

    /// What an answer that is too long means: done perhaps, so not a failure.
    #[must_use]
    pub fn too_long(&self) -> Fault {
        Fault::TooLong(self.answer_bytes_max)
    }

    /// As [`Client::send`], for who counts answers that are too long.
    ///
    /// # Errors
    /// As there.
    pub async fn ask(&self, request: Request) -> Result<Answer, NoAnswer> {
        let mut built = reqwest::Request::new(request.method, request.url);
        *built.headers_mut() = request.headers;
        if !request.body.is_empty() {
            *built.body_mut() = Some(request.body.into());
        }
        let response = self
            .inner
            .execute(built)
            .await
            .map_err(|error| NoAnswer::Fault(self.fault(&error)))?;
        self.read(response).await
    }

    async fn read(&self, mut response: Response) -> Result<Answer, NoAnswer> {
        let limit = self.answer_bytes_max as u64;
        if response.content_length().is_some_and(|bytes| bytes > limit) {
            return Err(NoAnswer::TooLong);
        }
        let status = response.status().as_u16();
        let headers: BTreeMap<String, String> = response
            .headers()
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| NoAnswer::Fault(self.fault(&error)))?
        {
            if body.len() + chunk.len() > self.answer_bytes_max {
                return Err(NoAnswer::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let said = |name: &str| headers.get(name).map_or("", String::as_str);
        let declared = Declared {
            content_type: said("content-type"),
            content_encoding: said("content-encoding"),
        };
        let body = body::read(declared, &body, self.answer_bytes_max)
            .map_err(|body::TooLong| NoAnswer::TooLong)?;
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    fn fault(&self, error: &reqwest::Error) -> Fault {
        if error.is_connect() {
            Fault::Connect(chain(error))
        } else if error.is_timeout() {
            Fault::Timeout(self.total_timeout)
        } else if error.is_builder() {
            Fault::Unsendable(chain(error))
        } else {
            Fault::Lost(chain(error))
        }
    }
}

/// An error with its causes, but without the address: a webhook's is a secret.
fn chain(error: &reqwest::Error) -> String {
    let mut words = if error.is_connect() {
        "connection".to_owned()
    } else if error.is_body() || error.is_decode() {
        "body".to_owned()
    } else if error.is_builder() {
        "request".to_owned()
    } else {
        "exchange".to_owned()
    };
    let mut source = error.source();
    let mut last = String::new();
    while let Some(error) = source {
        let text = error.to_string();
        // Errors of errors repeat each other.
        if !text.is_empty() && text != last {
            words.push_str(": ");
            words.push_str(&text);
            last = text;
        }
        source = error.source();
    }
    words
}

/// TLS of the whole process rests on `ring`; whoever is first installs it.
pub fn install_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been faster, with the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
