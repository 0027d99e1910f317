//! One request as a vendor sees it, and what it answers: plain data, so that vendors are functions that need no server.

use std::{borrow::Cow, collections::BTreeMap};

use actix_web::web::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

/// A vendor cloud that is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vendor {
    /// The token endpoint of all of them.
    Oauth,
    /// Conversations, recordings, queues and users.
    Genesys,
    /// Web API and incoming webhooks.
    Slack,
    /// Workflows webhooks.
    Teams,
    /// The reward marketplace.
    Rewards,
    /// Orders of gift cards.
    Tremendous,
    /// Customer records.
    Crm,
    /// Customer data platform.
    Cdp,
    /// Survey tokens.
    Survey,
    /// Scored survey responses.
    Warehouse,
    /// Coaching tasks.
    Coaching,
    /// Records of contacts, written by the collection.
    Salesforce,
    /// Any system that takes signed webhooks.
    Hooks,
    /// A mail server, over SMTP.
    Mail,
    /// No vendor has that path: somebody's URL is wrong.
    Nobody,
}

impl Vendor {
    /// All of them, in the order reports have.
    pub const ALL: [Self; 15] = [
        Self::Oauth,
        Self::Genesys,
        Self::Slack,
        Self::Teams,
        Self::Rewards,
        Self::Tremendous,
        Self::Crm,
        Self::Cdp,
        Self::Survey,
        Self::Warehouse,
        Self::Coaching,
        Self::Salesforce,
        Self::Hooks,
        Self::Mail,
        Self::Nobody,
    ];

    /// The first segment of its paths, and its name in the ledger and in faults.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Oauth => "oauth",
            Self::Genesys => "genesys",
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::Rewards => "rewards",
            Self::Tremendous => "tremendous",
            Self::Crm => "crm",
            Self::Cdp => "cdp",
            Self::Survey => "survey",
            Self::Warehouse => "warehouse",
            Self::Coaching => "coaching",
            Self::Salesforce => "salesforce",
            Self::Hooks => "hooks",
            Self::Mail => "mail",
            Self::Nobody => "nobody",
        }
    }

    /// The vendor with that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vendor| vendor.name() == name)
    }
}

/// One request, complete.
#[derive(Clone, Debug)]
pub struct Call {
    /// Whom it is for.
    pub vendor: Vendor,
    /// Upper case.
    pub method: String,
    /// As it came, with the query.
    pub path: String,
    /// Decoded segments of the path after the vendor's.
    pub segments: Vec<String>,
    /// Decoded; of repeated names the last.
    pub query: BTreeMap<String, String>,
    /// Names in lower case; of repeated ones the last.
    pub headers: BTreeMap<String, String>,
    /// As it came.
    pub body: Bytes,
    /// Milliseconds since the Unix epoch, on a clock that never goes back.
    pub at_ms: i64,
    /// A fault wants a success whose body refuses.
    pub is_lied_to: bool,
}

impl Call {
    /// Takes a request apart. `at_ms` is set by whoever receives it.
    #[must_use]
    pub fn new(method: &str, path: &str, headers: BTreeMap<String, String>, body: Bytes) -> Self {
        let (place, query) = path.split_once('?').unwrap_or((path, ""));
        let mut segments = place
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| decoded(segment).into_owned());
        let first = segments.next().unwrap_or_default();
        let mut vendor = Vendor::named(&first).unwrap_or(Vendor::Nobody);
        let mut segments: Vec<String> = if vendor == Vendor::Nobody {
            std::iter::once(first).chain(segments).collect()
        } else {
            segments.collect()
        };
        let place: Vec<&str> = segments.iter().map(String::as_str).collect();
        let is_token = matches!(
            place.as_slice(),
            ["oauth", "token"] | ["services", "oauth2", "token"]
        );
        if is_token && vendor != Vendor::Nobody {
            // Many vendors have their token endpoint on their own host.
            vendor = Vendor::Oauth;
            segments = vec!["token".to_owned()];
        }
        Self {
            vendor,
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            segments,
            query: pairs(query),
            headers,
            body,
            at_ms: 0,
            is_lied_to: false,
        }
    }

    /// Method and segments, to match on.
    #[must_use]
    pub fn route(&self) -> (&str, Vec<&str>) {
        let segments = self.segments.iter().map(String::as_str).collect();
        (&self.method, segments)
    }

    /// A header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The token of `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim())
            .filter(|token| !token.is_empty())
    }

    /// What names the sender's intent, the same on each attempt: the idempotency key, or what serves as one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        ["idempotency-key", "webhook-id", "x-request-id"]
            .into_iter()
            .find_map(|name| self.header(name))
            .filter(|key| !key.is_empty())
    }

    /// [`Call::key`], or what stands in its place where there is none: the same request has the same one.
    #[must_use]
    pub fn identity(&self) -> Cow<'_, str> {
        self.key().map_or_else(
            || {
                let digest = xxh3_128(&self.body);
                Cow::Owned(format!("{} {} {digest:032x}", self.method, self.path))
            },
            Cow::Borrowed,
        )
    }

    /// The content type without its parameters, in lower case.
    #[must_use]
    pub fn content_type(&self) -> String {
        let text = self.header("content-type").unwrap_or_default();
        let kind = text.split(';').next().unwrap_or_default();
        kind.trim().to_ascii_lowercase()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn json(&self) -> Result<Value, String> {
        let kind = self.content_type();
        if kind != "application/json" && !kind.ends_with("+json") {
            return Err(format!(
                "content type `{kind}` found, application/json expected"
            ));
        }
        serde_json::from_slice(&self.body).map_err(|error| format!("the body is no JSON: {error}"))
    }

    /// The body as a form; of repeated names all.
    #[must_use]
    pub fn form(&self) -> Vec<(String, String)> {
        String::from_utf8_lossy(&self.body)
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(pair)
            .collect()
    }
}

fn pairs(query: &str) -> BTreeMap<String, String> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(pair)
        .collect()
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let plain = |part: &str| decoded(&part.replace('+', " ")).into_owned();
    (plain(name), plain(value))
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// What a vendor answers, and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Besides the content type.
    pub headers: Vec<(&'static str, String)>,
    /// Empty if there is no body.
    pub content_type: &'static str,
    /// As it is sent.
    pub body: Bytes,
    /// What was done for good, if something was: the key under which it must happen once.
    pub executed: Option<String>,
    /// Whether this repeats the answer to an earlier request.
    pub is_replay: bool,
}

impl Reply {
    /// No body.
    #[must_use]
    pub const fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content_type: "",
            body: Bytes::new(),
            executed: None,
            is_replay: false,
        }
    }

    /// A JSON body.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            content_type: "application/json",
            body: Bytes::from(body.to_string()),
            ..Self::empty(status)
        }
    }

    /// A body in plain words.
    #[must_use]
    pub fn text(status: u16, body: &'static str) -> Self {
        Self {
            content_type: "text/plain; charset=utf-8",
            body: Bytes::from_static(body.as_bytes()),
            ..Self::empty(status)
        }
    }

    /// A refusal as RFC 9457 has it: `code` for programs, `detail` for people.
    #[must_use]
    pub fn problem(status: u16, code: &str, detail: impl Into<String>) -> Self {
        let body = json!({
            "type": format!("urn:aftercall:sandbox:{code}"),
            "title": code.replace('_', " "),
            "status": status,
            "code": code,
            "detail": detail.into(),
        });
        Self {
            content_type: "application/problem+json",
            ..Self::json(status, &body)
        }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// Something was done for good, under this key.
    #[must_use]
    pub fn executed(mut self, key: impl Into<String>) -> Self {
        self.executed = Some(key.into());
        self
    }

    /// The same answer again; nothing is done a second time.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            executed: None,
            is_replay: true,
            ..self.clone()
        }
        .with("Idempotent-Replayed", "true")
    }

    /// No such path, at a vendor that exists.
    #[must_use]
    pub fn no_route(call: &Call, routes: &str) -> Self {
        let detail = format!(
            "{} {} is not played here; {} has: {routes}",
            call.method,
            call.path,
            call.vendor.name()
        );
        Self::problem(404, "no_such_path", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_apart() {
        let headers = BTreeMap::from([("authorization".to_owned(), "bearer abc".to_owned())]);
        let call = Call::new(
            "put",
            "/crm/v1/customers/a%2Fb?dry=1+2&dry=3",
            headers,
            Bytes::new(),
        );
        assert_eq!(call.vendor, Vendor::Crm);
        assert_eq!(call.route(), ("PUT", vec!["v1", "customers", "a/b"]));
        assert_eq!(call.query["dry"], "3");
        assert_eq!(call.bearer(), Some("abc"));
        for path in [
            "/oauth/token",
            "/crm/oauth/token",
            "/salesforce/services/oauth2/token",
        ] {
            let call = Call::new("POST", path, BTreeMap::new(), Bytes::new());
            assert_eq!(
                (call.vendor, call.route().1),
                (Vendor::Oauth, vec!["token"])
            );
        }
        let stray = Call::new("GET", "/reward/v1", BTreeMap::new(), Bytes::new());
        assert_eq!(stray.vendor, Vendor::Nobody);
        assert_eq!(stray.segments, ["reward", "v1"]);
    }

    #[test]
    fn the_same_request_without_a_key_has_the_same_identity() {
        let call = |body: &'static str| {
            Call::new("POST", "/teams/workflows/a", BTreeMap::new(), body.into())
                .identity()
                .into_owned()
        };
        assert_eq!(call("{}"), call("{}"));
        assert_ne!(call("{}"), call("[]"));
    }

    #[test]
    fn a_replay_executes_nothing() {
        let reply = Reply::empty(201).executed("k");
        let again = reply.again();
        assert_eq!((again.status, again.executed), (201, None));
        assert!(again.is_replay && !reply.is_replay);
    }
}
