//! OAuth 2 tokens of the client credentials grant (RFC 6749, 4.4): one a destination, kept until shortly before it ends.
//!
//! Whoever finds the token due starts a fetch, or joins the one under way, so fifty attempts at once ask once. The
//! fetch is a task of its own: an attempt that is cancelled takes nothing from the others. A token that still serves
//! is used while its successor is fetched, so nobody waits unless there is none. A fetch that failed is answered with
//! the same failure for a second, or every attempt in line would ask the endpoint that is down.
//!
//! Errors say what the endpoint calls them, struck of everything that may be secret, never what was sent.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{FutureExt, future::Shared};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Method, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret, zeroize::Zeroizing};
use serde_json::Value;
use tokio::{task::JoinHandle, time::timeout};

use super::{Name, basic, bearer};
use crate::{
    delivery::attempt::{Answer, Fault},
    sinks::{
        client::{Request, tls::Connector},
        conceal::Conceal,
        fields::FieldPolicy,
        secret::Secret,
        spec::CredentialsIn,
    },
};

/// Longest wait for a token, and longest exchange with the endpoint.
pub const WAIT_MAX: Duration = Duration::from_secs(10);

/// How long a failure stands for the attempts after it.
const FAILURE_KEPT: Duration = Duration::from_secs(1);

/// Lifetime of a token whose endpoint does not say one.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(300);

/// Longest lifetime that is believed.
const LIFETIME_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// A token is exchanged this long before it ends, or a fifth of its life if that is less.
const REFRESH_BEFORE: Duration = Duration::from_secs(60);

/// It is not used this long before it ends, or a twentieth of its life: a request takes time to arrive.
const UNUSED_BEFORE: Duration = Duration::from_secs(5);

/// Characters of an endpoint's own words in an error.
const EXCERPT_CHARS: usize = 200;

/// What stands as it is in a form; everything else is percent-encoded.
const FORM: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'*');

/// Where tokens come from.
#[derive(Debug)]
pub struct Endpoint {
    /// Its address.
    pub url: String,
    /// Client id.
    pub client_id: Name,
    /// Client secret.
    pub client_secret: Secret,
    /// Scopes, separated by spaces.
    pub scope: Option<String>,
    /// Where id and secret stand in the request.
    pub credentials_in: CredentialsIn,
}

/// The token of one destination.
pub struct Tokens {
    source: Arc<Source>,
}

struct Source {
    endpoint: Endpoint,
    connector: Arc<Connector>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    fetch: Option<Fetch>,
    failed: Option<(Instant, Fault)>,
}

/// A fetch under way. Its end is also written into the state, by the task itself.
type Fetch = Shared<futures::future::BoxFuture<'static, Result<HeaderValue, Fault>>>;

#[derive(Clone)]
struct Token {
    /// `Bearer ...`, sensitive.
    header: HeaderValue,
    /// Until when nobody needs to fetch another.
    fresh_until: Instant,
    /// Until when it is used.
    used_until: Instant,
}

impl Tokens {
    /// Asks for nothing yet.
    pub fn new(endpoint: Endpoint, connector: Arc<Connector>) -> Self {
        Self {
            source: Arc::new(Source {
                endpoint,
                connector,
                state: Mutex::default(),
            }),
        }
    }

    /// Of what tokens are asked for with.
    pub fn fingerprint(&self) -> u64 {
        let endpoint = &self.source.endpoint;
        endpoint.client_id.fingerprint().wrapping_mul(31) ^ endpoint.client_secret.fingerprint()
    }

    /// The header with a token that serves.
    pub async fn get(&self) -> Result<HeaderValue, Fault> {
        let fetch = {
            let mut state = self.source.state();
            let now = Instant::now();
            let kept = state.token.as_ref().filter(|token| now < token.used_until);
            if let Some(token) = kept {
                let header = token.header.clone();
                if now >= token.fresh_until && state.failure(now).is_none() {
                    // In the background; whoever comes later finds its end in the state.
                    drop(self.source.fetch(&mut state));
                }
                return Ok(header);
            }
            if let Some(fault) = state.failure(now) {
                return Err(fault);
            }
            self.source.fetch(&mut state)
        };
        self.wait(fetch).await
    }

    /// The header with a token that was fetched after `refused` was.
    pub async fn get_other_than(&self, refused: &HeaderValue) -> Result<HeaderValue, Fault> {
        let fetch = {
            let mut state = self.source.state();
            match &state.token {
                // Another attempt was refused as well, and has fetched since.
                Some(token) if token.header != *refused => None,
                Some(_) | None => {
                    state.token = None;
                    Some(self.source.fetch(&mut state))
                }
            }
        };
        match fetch {
            Some(fetch) => self.wait(fetch).await,
            None => self.get().await,
        }
    }

    async fn wait(&self, fetch: Fetch) -> Result<HeaderValue, Fault> {
        match timeout(WAIT_MAX, fetch).await {
            Ok(fetched) => fetched,
            Err(_) => Err(Fault::NotReady(format!("no token within {WAIT_MAX:?}"))),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("endpoint", &self.source.endpoint)
            .finish_non_exhaustive()
    }
}

impl State {
    /// The failure that still stands.
    fn failure(&self, now: Instant) -> Option<Fault> {
        let (at, fault) = self.failed.as_ref()?;
        (now.saturating_duration_since(*at) < FAILURE_KEPT).then(|| fault.clone())
    }
}

impl Source {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fetch under way, begun if there is none.
    fn fetch(self: &Arc<Self>, state: &mut State) -> Fetch {
        // One whose task was ended from outside, with its runtime, must not stand in the way for ever.
        if let Some(fetch) = state.fetch.as_ref().filter(|fetch| fetch.peek().is_none()) {
            return fetch.clone();
        }
        let source = Arc::clone(self);
        let task: JoinHandle<_> = tokio::spawn(async move {
            let asked_at = Instant::now();
            let answer = timeout(WAIT_MAX, source.ask()).await.unwrap_or_else(|_| {
                let why = format!("the token endpoint took longer than {WAIT_MAX:?}");
                Err(Fault::NotReady(why))
            });
            let mut state = source.state();
            state.fetch = None;
            match answer {
                Ok((header, lifetime)) => {
                    state.failed = None;
                    state.token = Some(Token::new(header.clone(), asked_at, lifetime));
                    Ok(header)
                }
                Err(fault) => {
                    tracing::warn!(%fault, "no token");
                    state.failed = Some((Instant::now(), fault.clone()));
                    Err(fault)
                }
            }
        });
        let fetch = task
            .map(|end| {
                let ended = || Fault::NotReady("the fetch of a token was ended".to_owned());
                end.unwrap_or_else(|_| Err(ended()))
            })
            .boxed()
            .shared();
        state.fetch = Some(fetch.clone());
        fetch
    }

    /// One exchange with the endpoint: a token and how long it lives.
    async fn ask(&self) -> Result<(HeaderValue, Duration), Fault> {
        let request = self.request().map_err(Fault::Misconfigured)?;
        let conceal = self.shown(&request);
        let client = self.connector.client()?;
        let answer = client.send(request).await.map_err(|fault| {
            Fault::NotReady(format!("the token endpoint: {}", conceal.fault(fault)))
        })?;
        let token = answer.body.get("access_token").and_then(Value::as_str);
        // RFC 6749 says 200; some give a token with 201, as something they made.
        let is_given = (200..300).contains(&answer.status);
        let Some(token) = token.filter(|token| !token.is_empty() && is_given) else {
            let why = refusal(&answer, &conceal);
            return Err(match answer.status {
                408 | 425 | 429 => Fault::NotReady(why),
                400..=499 => Fault::Misconfigured(why),
                _ => Fault::NotReady(why),
            });
        };
        let kind = answer.body.get("token_type").and_then(Value::as_str);
        if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            let why = "the token endpoint gives tokens that are not of type Bearer";
            return Err(Fault::Misconfigured(why.to_owned()));
        }
        let header = bearer(token).ok_or_else(|| {
            let why = "the token endpoint gives a token that no header can have";
            Fault::Misconfigured(why.to_owned())
        })?;
        Ok((header, lifetime(answer.body.get("expires_in"))))
    }

    /// What must not come back of a request for a token.
    fn shown(&self, request: &Request) -> Conceal {
        let mut conceal = Conceal::default();
        conceal.add_headers(&request.headers);
        let kept = match &self.endpoint.client_id {
            Name::Plain(_) => None,
            Name::Kept(id) => Some(id),
        };
        for secret in kept.into_iter().chain([&self.endpoint.client_secret]) {
            // One that cannot be read was not shown.
            if let Ok(value) = secret.read() {
                conceal.add(value.expose_secret());
            }
        }
        conceal
    }

    fn request(&self) -> Result<Request, String> {
        let Endpoint {
            url,
            client_id,
            client_secret,
            scope,
            credentials_in,
        } = &self.endpoint;
        let id = client_id.read(Secret::read).map_err(|e| e.to_string())?;
        let secret = client_secret.read().map_err(|e| e.to_string())?;
        let mut form = Zeroizing::new("grant_type=client_credentials".to_owned());
        if let Some(scope) = scope {
            form.push_str("&scope=");
            form.push_str(&encoded(scope));
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        match credentials_in {
            CredentialsIn::Header => {
                // Both are encoded as in a form before they become a header (RFC 6749, 2.3.1).
                let header = basic(&encoded(&id), &encoded(secret.expose_secret()))
                    .ok_or("client id and secret cannot stand in a header")?;
                headers.insert(AUTHORIZATION, header);
            }
            CredentialsIn::Body => {
                form.push_str("&client_id=");
                form.push_str(&encoded(&id));
                form.push_str("&client_secret=");
                form.push_str(&encoded(secret.expose_secret()));
            }
        }
        Ok(Request {
            method: Method::POST,
            // Without the address in the message: it may hold what it should not.
            url: Url::parse(url).map_err(|_| "the token endpoint's address is none".to_owned())?,
            url_is_secret: false,
            headers,
            body: form.as_bytes().to_vec(),
        })
    }
}

impl Token {
    /// Its life begins when it was asked for: later by our clock than by the endpoint's, never the other way.
    fn new(header: HeaderValue, asked_at: Instant, lifetime: Duration) -> Self {
        let ends = asked_at + lifetime;
        Self {
            header,
            fresh_until: ends - REFRESH_BEFORE.min(lifetime / 5),
            used_until: ends - UNUSED_BEFORE.min(lifetime / 20),
        }
    }
}

/// `expires_in`: seconds, which some endpoints write as a string.
fn lifetime(found: Option<&Value>) -> Duration {
    let seconds = match found {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse::<f64>().ok(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    };
    match seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds.max(0.0))
            .unwrap_or(LIFETIME_MAX)
            .min(LIFETIME_MAX),
        None => LIFETIME_DEFAULT,
    }
}

/// What the endpoint says instead of giving a token: its `error` and `error_description` (RFC 6749, 5.2), no more of it,
/// and not what it was shown if it should repeat that.
fn refusal(answer: &Answer, conceal: &Conceal) -> String {
    let said = ["error", "error_description"]
        .into_iter()
        .filter_map(|name| answer.body.get(name)?.as_str())
        .collect::<Vec<_>>()
        .join(": ");
    let said: String = FieldPolicy::default()
        .scrub_text(&conceal.text(said))
        .chars()
        .filter(|c| !c.is_control())
        .take(EXCERPT_CHARS)
        .collect();
    let colon = if said.is_empty() { "" } else { ": " };
    format!(
        "the token endpoint gives none, status {}{colon}{said}",
        answer.status
    )
}

fn encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(utf8_percent_encode(text, &FORM).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn s1_02_a_lifetime_is_believed_as_a_number_or_a_string_up_to_thirty_days() {
        for (found, seconds) in [
            (Some(json!(3600)), 3600),
            (Some(json!("3600")), 3600),
            (Some(json!(0)), 0),
            (Some(json!(-5)), 0),
            (Some(json!(1e300)), LIFETIME_MAX.as_secs()),
            (Some(json!("soon")), LIFETIME_DEFAULT.as_secs()),
            (Some(json!(null)), LIFETIME_DEFAULT.as_secs()),
            (None, LIFETIME_DEFAULT.as_secs()),
        ] {
            assert_eq!(lifetime(found.as_ref()).as_secs(), seconds, "{found:?}");
        }
    }

    #[test]
    fn s1_02_a_token_is_exchanged_a_minute_or_a_fifth_of_its_life_before_it_ends() {
        let asked_at = Instant::now();
        let at = |lifetime: u64| {
            let header = HeaderValue::from_static("x");
            let token = Token::new(header, asked_at, Duration::from_secs(lifetime));
            [token.fresh_until, token.used_until].map(|until| (until - asked_at).as_millis())
        };
        assert_eq!(at(3600), [3_540_000, 3_595_000]);
        assert_eq!(at(100), [80_000, 95_000]);
        assert_eq!(at(0), [0, 0]);
    }

    #[test]
    fn s1_10_a_refusal_says_the_endpoints_words_and_nothing_secret() {
        let refused = |body: Value| {
            let answer = Answer {
                status: 401,
                headers: std::collections::BTreeMap::new(),
                body,
            };
            let mut conceal = Conceal::default();
            conceal.add("of&ours");
            refusal(&answer, &conceal)
        };
        assert_eq!(
            refused(
                json!({"error": "invalid_client", "error_description": "unknown client_secret=planted", "x": "planted"})
            ),
            "the token endpoint gives none, status 401: invalid_client: unknown client_secret=***"
        );
        assert_eq!(
            refused(json!({"error": "neither of&ours nor of%26ours"})),
            "the token endpoint gives none, status 401: neither *** nor ***"
        );
        assert_eq!(
            refused(json!("planted")),
            "the token endpoint gives none, status 401"
        );
        let long = refused(json!({"error": "x".repeat(1000)}));
        assert_eq!(
            long.len(),
            "the token endpoint gives none, status 401: ".len() + EXCERPT_CHARS
        );
    }
}
