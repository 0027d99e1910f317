//! OAuth 2.0 token endpoint for client credentials (RFC 6749, sections 2.3.1, 4.4, 5.1 and 5.2), and the check of its
//! tokens by the vendors that want one.
//!
//! Tokens really expire and can be revoked, so that refreshing before the end and after a 401 can both be tested.
//! Fixed tokens, for clients that are configured with one, never expire.

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use super::{
    call::{Call, Reply},
    store::Store,
};

/// Lifetime of tokens unless a request or the control endpoint asks for another, in seconds.
const EXPIRES_IN_SECONDS: u64 = 3_600;

/// Longest lifetime, in seconds.
const EXPIRES_IN_MAX: u64 = 86_400;

/// Tokens remembered at most.
const TOKENS_MAX: usize = 100_000;

/// The token endpoint.
#[derive(Debug)]
pub struct Oauth {
    client_id: String,
    client_secret: String,
    /// Tokens that are always good.
    fixed: Vec<String>,
    issued: Store<Token>,
    issued_total: u64,
    expires_in: u64,
    seed: u64,
}

#[derive(Debug)]
struct Token {
    until_ms: i64,
    is_revoked: bool,
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is none.
    Missing,
    /// It was never given out.
    Unknown,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl Refusal {
    /// For people.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Missing => "no bearer token",
            Self::Unknown => "the token was never given out",
            Self::Expired => "the token has expired",
            Self::Revoked => "the token was revoked",
        }
    }

    /// The answer of a vendor without a form of its own (RFC 6750, section 3).
    #[must_use]
    pub fn reply(self) -> Reply {
        let challenge = match self {
            Self::Missing => "Bearer".to_owned(),
            Self::Unknown | Self::Expired | Self::Revoked => format!(
                "Bearer error=\"invalid_token\", error_description=\"{}\"",
                self.detail()
            ),
        };
        Reply::problem(401, "unauthorized", self.detail()).with("WWW-Authenticate", challenge)
    }
}

/// What `POST /control/oauth` sets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Lifetime of tokens given out from now on, in seconds.
    expires_in: Option<u64>,
    /// Takes back all tokens given out so far.
    #[serde(default)]
    revoke: bool,
    /// Another secret: the old one is refused from now on.
    client_secret: Option<String>,
}

impl Oauth {
    /// One client, and tokens that are always good.
    #[must_use]
    pub fn new(client_id: &str, client_secret: &str, fixed: &[String], seed: u64) -> Self {
        Self {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            fixed: fixed.to_vec(),
            issued: Store::new(TOKENS_MAX),
            issued_total: 0,
            expires_in: EXPIRES_IN_SECONDS,
            seed,
        }
    }

    /// Whether a call carries a token that is good now; if so, who that is.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, call: &Call) -> Result<u64, Refusal> {
        let token = call.bearer().ok_or(Refusal::Missing)?;
        // The name of the holder, as far as vendors tell holders apart.
        let fixed = self.fixed.iter().find(|fixed| *fixed == token);
        if let Some(fixed) = fixed {
            return Ok(xxh3_64_with_seed(fixed.as_bytes(), 0));
        }
        match self.issued.get(token) {
            None => Err(Refusal::Unknown),
            Some(token) if token.is_revoked => Err(Refusal::Revoked),
            Some(token) if token.until_ms <= call.at_ms => Err(Refusal::Expired),
            // All issued tokens are one client's.
            Some(_) => Ok(0),
        }
    }

    /// Answers a call.
    #[must_use]
    pub fn answer(&mut self, call: &Call) -> Reply {
        match call.route() {
            ("POST", path) if path == ["token"] => self
                .token(call)
                .with("Cache-Control", "no-store")
                .with("Pragma", "no-cache"),
            _ => Reply::no_route(call, "POST /oauth/token"),
        }
    }

    fn token(&mut self, call: &Call) -> Reply {
        let refuse = |status, error: &str, description: &str| {
            let body = json!({ "error": error, "error_description": description });
            Reply::json(status, &body)
        };
        let invalid = |description: &str| refuse(400, "invalid_request", description);
        if call.content_type() != "application/x-www-form-urlencoded" {
            return invalid("the body must be application/x-www-form-urlencoded");
        }
        let form = call.form();
        for (at, (name, _)) in form.iter().enumerate() {
            if form[..at].iter().any(|(other, _)| other == name) {
                return invalid("a parameter is repeated");
            }
        }
        // Parameters without a value count as absent (RFC 6749, section 3.2).
        let field = |wanted: &str| {
            form.iter()
                .find(|(name, value)| name == wanted && !value.is_empty())
                .map(|(_, value)| value.as_str())
        };
        let basic = match call.header("authorization") {
            None => None,
            Some(text) => match basic_of(text) {
                Some(pair) => Some(pair),
                None => return invalid("the authorization header is not Basic"),
            },
        };
        let in_body = field("client_id").zip(field("client_secret"));
        let is_known = match (&basic, in_body) {
            (Some(_), Some(_)) => return invalid("more than one way of client authentication"),
            // Section 2.3.1 wants both form-encoded before they are joined; many clients do not, and many servers
            // take both.
            (Some((id, secret)), None) => {
                self.is_client(id, secret) || self.is_client(&plain(id), &plain(secret))
            }
            (None, Some((id, secret))) => self.is_client(id, secret),
            (None, None) => return refuse(401, "invalid_client", "no client authentication"),
        };
        if !is_known {
            let reply = refuse(401, "invalid_client", "unknown client, or wrong secret");
            return match basic {
                Some(_) => reply.with("WWW-Authenticate", "Basic realm=\"sandbox\""),
                None => reply,
            };
        }
        match field("grant_type") {
            Some("client_credentials") => {}
            Some(_) => {
                return refuse(400, "unsupported_grant_type", "only client_credentials");
            }
            None => return invalid("grant_type is missing"),
        }
        let scope = field("scope");
        // Section 3.3: printable ASCII without quote and backslash.
        let is_scope = |c: char| matches!(c, ' ' | '!' | '#'..='[' | ']'..='~');
        if scope.is_some_and(|scope| !scope.chars().all(is_scope)) {
            return refuse(400, "invalid_scope", "a scope has forbidden characters");
        }
        let expires_in = match field("expires_in").map(str::parse) {
            None => self.expires_in,
            Some(Ok(seconds)) => u64::min(seconds, EXPIRES_IN_MAX),
            Some(Err(_)) => return invalid("expires_in is no number of seconds"),
        };
        self.issued_total += 1;
        let digest = xxh3_128_with_seed(&self.issued_total.to_le_bytes(), self.seed);
        let access_token = format!("sbx_{digest:032x}");
        let until_ms = call.at_ms + expires_in as i64 * 1_000;
        self.issued.insert(
            &access_token,
            Token {
                until_ms,
                is_revoked: false,
            },
        );
        let mut body = json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": expires_in,
        });
        if let Some(scope) = scope {
            body["scope"] = scope.into();
        }
        Reply::json(200, &body).executed(format!("token-{}", self.issued_total))
    }

    fn is_client(&self, id: &str, secret: &str) -> bool {
        let is_id = id.as_bytes().ct_eq(self.client_id.as_bytes());
        let is_secret = secret.as_bytes().ct_eq(self.client_secret.as_bytes());
        (is_id & is_secret).into()
    }

    /// Sets what the control endpoint asks for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn control(&mut self, control: Control) -> Result<(), String> {
        if let Some(seconds) = control.expires_in {
            if seconds > EXPIRES_IN_MAX {
                return Err(format!("expires_in is at most {EXPIRES_IN_MAX} seconds"));
            }
            self.expires_in = seconds;
        }
        if let Some(secret) = control.client_secret {
            self.client_secret = secret;
        }
        if control.revoke {
            let tokens: Vec<String> = self.issued.iter().map(|(id, _)| id.to_owned()).collect();
            for token in tokens {
                if let Some(token) = self.issued.get_mut(&token) {
                    token.is_revoked = true;
                }
            }
        }
        Ok(())
    }
}

/// Id and secret of `Authorization: Basic`, as they are joined.
fn basic_of(text: &str) -> Option<(String, String)> {
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn plain(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}
