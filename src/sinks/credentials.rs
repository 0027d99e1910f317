//! How a request shows who sends it: OAuth 2 tokens, bearer, basic, and signatures over the body.
//!
//! Secrets are read when they are needed, so exchanging one needs no restart (S1.10). What is missing may come back,
//! so it is never the end of an output: the destination waits for it ([`Fault::Misconfigured`]). Mutual TLS is no header and belongs to the client
//! (`channel::tls`). Headers made here are marked sensitive: nothing prints them.
//!
//! | file | idea |
//! |---|---|
//! | `oauth` | tokens: fetched once for all who wait, before the old one ends |
//! | `webhooks` | signatures as Standard Webhooks has them |

use std::{fmt, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, zeroize::Zeroizing};

pub mod exchange;
mod oauth;
mod webhooks;

use super::{
    client::{Request, tls::Connector},
    conceal::Conceal,
    secret::{Secret, SecretError},
    secret_ref::SecretRef,
    spec::{AuthSpec, Identity},
};
use crate::delivery::attempt::Fault;
use oauth::Tokens;
use webhooks::Signer;

/// What one destination is shown.
#[derive(Debug)]
pub struct Credentials {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    None,
    Bearer { token: Secret },
    Basic { user: Name, password: Secret },
    OAuth2(Tokens),
    StandardWebhooks(Signer),
}

/// What a request was given: [`Credentials::refuse`] wants it back if it was not good enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant(Option<HeaderValue>);

impl Credentials {
    /// Reads nothing and connects to nothing yet. `connector` is the destination's own: its token endpoint is asked
    /// under the same certificates.
    #[must_use]
    pub fn new(spec: &AuthSpec, connector: Arc<Connector>) -> Self {
        let kind = match spec {
            AuthSpec::None => Kind::None,
            AuthSpec::Bearer { token } => Kind::Bearer {
                token: Secret::new(token.clone()),
            },
            AuthSpec::Basic { user, password } => Kind::Basic {
                user: Name::new(user),
                password: Secret::new(password.clone()),
            },
            AuthSpec::OAuth2 {
                token_url,
                client_id,
                client_secret,
                scope,
                credentials_in,
            } => Kind::OAuth2(Tokens::new(
                oauth::Endpoint {
                    url: token_url.clone(),
                    client_id: Name::new(client_id),
                    client_secret: Secret::new(client_secret.clone()),
                    scope: scope.clone(),
                    credentials_in: *credentials_in,
                },
                connector,
            )),
            AuthSpec::StandardWebhooks { secret } => {
                Kind::StandardWebhooks(Signer::new(Secret::new(secret.clone())))
            }
        };
        Self { kind }
    }

    /// Gives a request what it needs to be let in. After everything else: a signature covers the body as it is then.
    /// `id` is the output's, the same on every attempt.
    ///
    /// # Errors
    /// [`Fault::Misconfigured`] without a secret or if the token endpoint refuses it, [`Fault::NotReady`] if a token
    /// cannot be had for now; it never waits longer than
    /// [`Credentials::WAIT_MAX`] for one.
    pub async fn apply(&self, request: &mut Request, id: &str) -> Result<Grant, Fault> {
        if let Kind::StandardWebhooks(signer) = &self.kind {
            signer.sign(request, id)?;
            return Ok(Grant(None));
        }
        let shown = match &self.kind {
            Kind::OAuth2(tokens) => Some(tokens.get().await?),
            Kind::None | Kind::Bearer { .. } | Kind::Basic { .. } | Kind::StandardWebhooks(_) => {
                self.kept(Secret::read)?
            }
        };
        if let Some(header) = &shown {
            request.headers.insert(AUTHORIZATION, header.clone());
        }
        Ok(Grant(shown))
    }

    /// The destination answered 401 to a request with this grant. True if there is another to try now: a token fetched
    /// anew, by one for all whose requests were refused, or a secret that has changed. Ask once an attempt: who is
    /// refused twice is not let in.
    ///
    /// # Errors
    /// As [`Credentials::apply`].
    pub async fn refuse(&self, grant: &Grant) -> Result<bool, Fault> {
        let Grant(Some(refused)) = grant else {
            return Ok(false);
        };
        match &self.kind {
            Kind::OAuth2(tokens) => Ok(tokens.get_other_than(refused).await? != *refused),
            Kind::None | Kind::Bearer { .. } | Kind::Basic { .. } | Kind::StandardWebhooks(_) => {
                Ok(self.kept(Secret::read_now)?.as_ref() != Some(refused))
            }
        }
    }

    /// Of the secrets as they can be read now: another number once one is another.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        match &self.kind {
            Kind::None => 0,
            Kind::Bearer { token } => token.fingerprint(),
            Kind::Basic { user, password } => {
                user.fingerprint().wrapping_mul(31) ^ password.fingerprint()
            }
            Kind::OAuth2(tokens) => tokens.fingerprint(),
            Kind::StandardWebhooks(signer) => signer.fingerprint(),
        }
    }

    /// Notes what must not come back of them, beside the headers of a request: a name that is kept as a secret.
    pub fn conceal(&self, conceal: &mut Conceal) {
        match &self.kind {
            Kind::Basic {
                user: Name::Kept(secret),
                ..
            } => {
                // One that cannot be read was not shown.
                if let Ok(name) = secret.read() {
                    conceal.add(name.expose_secret());
                }
            }
            Kind::None
            | Kind::Bearer { .. }
            | Kind::Basic { .. }
            | Kind::OAuth2(_)
            | Kind::StandardWebhooks(_) => {}
        }
    }

    /// Longest wait for a token.
    pub const WAIT_MAX: std::time::Duration = oauth::WAIT_MAX;

    /// The header made of secrets alone.
    fn kept(
        &self,
        read: impl Fn(&Secret) -> Result<secrecy::SecretString, SecretError>,
    ) -> Result<Option<HeaderValue>, Fault> {
        match &self.kind {
            Kind::Bearer { token } => {
                let value = read(token).map_err(missing)?;
                bearer(value.expose_secret())
                    .map(Some)
                    .ok_or_else(|| unfit(token.reference()))
            }
            Kind::Basic { user, password } => {
                let name = user.read(&read).map_err(missing)?;
                let value = read(password).map_err(missing)?;
                basic(&name, value.expose_secret())
                    .map(Some)
                    .ok_or_else(|| unfit(password.reference()))
            }
            Kind::None | Kind::OAuth2(_) | Kind::StandardWebhooks(_) => Ok(None),
        }
    }
}

/// A name that need not be secret, and is treated as if it were.
enum Name {
    Plain(String),
    Kept(Secret),
}

impl Name {
    fn new(identity: &Identity) -> Self {
        match identity {
            Identity::Plain(name) => Self::Plain(name.clone()),
            Identity::Reference(reference) => Self::Kept(Secret::new(reference.clone())),
        }
    }

    fn fingerprint(&self) -> u64 {
        match self {
            Self::Plain(_) => 0,
            Self::Kept(secret) => secret.fingerprint(),
        }
    }

    fn read(
        &self,
        read: impl Fn(&Secret) -> Result<secrecy::SecretString, SecretError>,
    ) -> Result<Zeroizing<String>, SecretError> {
        Ok(Zeroizing::new(match self {
            Self::Plain(name) => name.clone(),
            Self::Kept(secret) => read(secret)?.expose_secret().to_owned(),
        }))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Name"),
            Self::Kept(secret) => secret.fmt(f),
        }
    }
}

fn bearer(token: &str) -> Option<HeaderValue> {
    sensitive(&Zeroizing::new(format!("Bearer {token}")))
}

/// RFC 7617; a name with a colon would end where the password begins.
fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    if user.contains(':') {
        return None;
    }
    let both = Zeroizing::new(format!("{user}:{password}"));
    sensitive(&Zeroizing::new(format!(
        "Basic {}",
        BASE64_STANDARD.encode(both.as_bytes())
    )))
}

/// `None` if there are characters in it that a header cannot have.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn missing(error: SecretError) -> Fault {
    Fault::Misconfigured(error.to_string())
}

fn unfit(reference: &SecretRef) -> Fault {
    Fault::Misconfigured(format!(
        "secret {reference}: it, or the user's name, has characters that a header cannot have"
    ))
}

#[cfg(test)]
#[path = "credentials/mutual_tls/tests.rs"]
mod mutual_tls_tests;
#[cfg(test)]
mod tests;
