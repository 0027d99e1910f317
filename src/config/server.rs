//! Addresses of NATS servers, and the login they may be written with.

use std::fmt;

use secrecy::SecretString;

/// Addresses of NATS servers, and the login they were written with (`nats://user:password@host`), which is kept apart:
/// what is shown or passed on as an address never holds it.
#[derive(Clone, Debug)]
pub struct ServerUrl {
    addresses: String,
    login: Option<UrlLogin>,
}

/// What stood before the `@`.
#[derive(Clone, Debug)]
pub enum UrlLogin {
    /// `user:password@`
    Password {
        /// Name.
        user: String,
        /// Password.
        password: SecretString,
    },
    /// `token@`
    Token(SecretString),
}

impl ServerUrl {
    /// Takes one address, or several separated by commas. The first login counts for all.
    ///
    /// # Errors
    /// What an address looks like.
    pub fn new(text: &str) -> Result<Self, String> {
        let form = "a NATS address such as \"nats://127.0.0.1:4222\", or several with commas";
        let mut addresses = Vec::new();
        let mut login = None;
        for part in text.split(',') {
            let part = part.trim();
            // The parser takes `nats:/user:password@host` for a host and a path, and the path would be passed over.
            let authority = part.split_once("://").map_or(part, |(_, rest)| rest);
            if authority.trim_end_matches('/').contains('/') {
                return Err(form.to_owned());
            }
            let server: async_nats::ServerAddr = part.parse().map_err(|_| form)?;
            let scheme = if server.tls_required() { "tls" } else { "nats" };
            addresses.push(format!("{scheme}://{}:{}", server.host(), server.port()));
            login = login.or_else(|| UrlLogin::of(&server));
        }
        Ok(Self {
            addresses: addresses.join(","),
            login,
        })
    }

    /// The login, if the addresses held one.
    #[must_use]
    pub const fn login(&self) -> Option<&UrlLogin> {
        self.login.as_ref()
    }
}

impl UrlLogin {
    fn of(server: &async_nats::ServerAddr) -> Option<Self> {
        let decoded = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        let user = server
            .username()
            .map(decoded)
            .filter(|user| !user.is_empty())?;
        Some(match server.password() {
            Some(password) => Self::Password {
                user,
                password: decoded(password).into(),
            },
            None => Self::Token(user.into()),
        })
    }
}

/// Addresses are equal if they lead to the same servers, whoever asks.
impl PartialEq for ServerUrl {
    fn eq(&self, other: &Self) -> bool {
        self.addresses == other.addresses
    }
}

/// Without the login.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.addresses)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::config::{Config, Place};

    #[test]
    fn s1_10_a_password_in_an_address_shows_nowhere() {
        let config =
            Config::parse("[log]\nurl = \"nats://joe:h%40ush@n1:4222,tls://n2\"", "a").unwrap();
        let Place::Nats(url) = &config.log.place else {
            panic!("{config:?}");
        };
        assert_eq!(url.to_string(), "nats://n1:4222,tls://n2:4222");
        let Some(UrlLogin::Password { user, password }) = url.login() else {
            panic!("{url:?}");
        };
        assert_eq!((user.as_str(), password.expose_secret()), ("joe", "h@ush"));
        assert!(!format!("{config:?}").contains("ush"));
        let token = ServerUrl::new("nats://secret@n1").unwrap();
        assert!(
            matches!(token.login(), Some(UrlLogin::Token(token)) if token.expose_secret() == "secret")
        );
        let wrong = Config::parse("[http]\ntoken_env = \"hush, I am a token\"", "a").unwrap_err();
        assert!(!wrong.to_string().contains("hush"), "{wrong}");
    }
}
