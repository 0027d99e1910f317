//! A request with credentials, and their one renewal: what a destination and a lookup for recipients have in common.

use std::sync::Arc;

use lettre::transport::smtp::authentication::Credentials as SmtpCredentials;
use reqwest::StatusCode;
use secrecy::ExposeSecret;

use crate::{
    delivery::attempt::{Answer, Fault},
    sinks::{
        client::{
            NoAnswer, Request, Settings,
            tls::{Connector, TlsError},
        },
        conceal::Conceal,
        credentials::Credentials,
        secret::Secret,
        spec::{AuthSpec, Identity, TlsSpec},
    },
    telemetry,
};

/// Client and credentials of one place.
#[derive(Debug)]
pub struct Exchange {
    /// The destination, in metrics.
    name: String,
    connector: Arc<Connector>,
    credentials: Credentials,
}

impl Exchange {
    /// Prepares client and credentials; connects to nothing and reads no secret yet.
    ///
    /// # Errors
    /// If a certificate or key cannot be read.
    pub fn new(
        name: &str,
        settings: Settings,
        tls: TlsSpec,
        auth: &AuthSpec,
    ) -> Result<Self, TlsError> {
        let connector = Arc::new(Connector::new(tls, settings)?);
        Ok(Self {
            name: name.to_owned(),
            credentials: Credentials::new(auth, Arc::clone(&connector)),
            connector,
        })
    }

    /// Of the credentials as they can be read now: another number once one is another.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.credentials.fingerprint()
    }

    /// Sends a request with credentials; `id` is the output's. Refused with 401, it goes once more with fresh ones: a
    /// token may have been withdrawn before its time, and nothing was done.
    ///
    /// # Errors
    /// As `Client::send`, where an answer too long is counted, and [`Fault::Misconfigured`] or [`Fault::NotReady`] without credentials.
    pub async fn send(&self, request: Request, id: &str) -> Result<Answer, Fault> {
        let mut authorised = request.clone();
        let grant = self.credentials.apply(&mut authorised, id).await?;
        let answer = self.ask(authorised).await?;
        if answer.status != StatusCode::UNAUTHORIZED.as_u16()
            || !self.credentials.refuse(&grant).await?
        {
            return Ok(answer);
        }
        let mut authorised = request;
        self.credentials.apply(&mut authorised, id).await?;
        self.ask(authorised).await
    }

    async fn ask(&self, request: Request) -> Result<Answer, Fault> {
        let client = self.connector.client()?;
        let conceal = self.shown(&request);
        match client.ask(request).await {
            Ok(answer) => Ok(conceal.answer(answer)),
            Err(NoAnswer::Fault(fault)) => Err(conceal.fault(fault)),
            Err(NoAnswer::TooLong) => {
                telemetry::metrics().answers_refused(&self.name).inc();
                Err(client.too_long())
            }
        }
    }

    /// What must not come back of a request.
    fn shown(&self, request: &Request) -> Conceal {
        let mut conceal = Conceal::default();
        conceal.add_headers(&request.headers);
        if request.url_is_secret {
            conceal.add_address(&request.url);
        }
        self.credentials.conceal(&mut conceal);
        conceal
    }
}

/// A login for a mail server.
pub struct Login {
    user: Name,
    password: Secret,
}

enum Name {
    Plain(String),
    Secret(Secret),
}

impl Login {
    /// Of a destination's credentials; `None` where none are configured. What is no login (a bearer token) was refused
    /// when the configuration was read.
    #[must_use]
    pub fn of(auth: &AuthSpec) -> Option<Self> {
        match auth {
            AuthSpec::Basic { user, password } => Some(Self {
                user: match user {
                    Identity::Plain(name) => Name::Plain(name.clone()),
                    Identity::Reference(reference) => Name::Secret(Secret::new(reference.clone())),
                },
                password: Secret::new(password.clone()),
            }),
            AuthSpec::None
            | AuthSpec::Bearer { .. }
            | AuthSpec::OAuth2 { .. }
            | AuthSpec::StandardWebhooks { .. } => None,
        }
    }

    /// As [`Exchange::fingerprint`].
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let name = match &self.user {
            Name::Plain(_) => 0,
            Name::Secret(secret) => secret.fingerprint(),
        };
        name.wrapping_mul(31) ^ self.password.fingerprint()
    }

    /// Name and password as they are now, and what must not come back of them.
    ///
    /// # Errors
    /// [`Fault::Misconfigured`] if one cannot be read.
    pub fn credentials(&self) -> Result<(SmtpCredentials, Conceal), Fault> {
        let read = |secret: &Secret| {
            let value = secret
                .read()
                .map_err(|error| Fault::Misconfigured(error.to_string()))?;
            Ok(value.expose_secret().to_owned())
        };
        let mut conceal = Conceal::default();
        let user = match &self.user {
            Name::Plain(name) => name.clone(),
            Name::Secret(secret) => {
                let name = read(secret)?;
                conceal.add(&name);
                name
            }
        };
        let password = read(&self.password)?;
        conceal.add(&password);
        // As `AUTH PLAIN` has them (RFC 4616).
        conceal.add(&format!("\0{user}\0{password}"));
        Ok((SmtpCredentials::new(user, password), conceal))
    }
}
