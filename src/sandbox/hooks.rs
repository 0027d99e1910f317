//! Any system that takes signed webhooks, as standardwebhooks.com has it: signature over id, time and body; five minutes
//! of tolerance; the same id again is acknowledged and ignored.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;

use super::{
    call::{Call, Reply},
    store::Store,
};

/// How far the time of a request may be from ours, in seconds.
const TOLERANCE_SECONDS: i64 = 300;

/// The receivers.
#[derive(Debug)]
pub struct Hooks {
    /// As configured, with its prefix.
    secret: String,
    /// Ids taken.
    taken: Store<()>,
}

/// What `POST /control/hooks` sets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Another signing secret: the old one is refused from now on.
    secret: String,
}

impl Hooks {
    /// Remembers so many ids.
    #[must_use]
    pub fn new(keep: usize, secret: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            taken: Store::new(keep),
        }
    }

    /// Answers a call. The signature is the credential.
    #[must_use]
    pub fn answer(&mut self, call: &Call) -> Reply {
        let (method, path) = call.route();
        if method != "POST" || path.is_empty() {
            return Reply::no_route(call, "POST /{name}");
        }
        let id = match self.check(call) {
            Ok(id) => id,
            Err(detail) => return Reply::problem(401, "bad_signature", detail),
        };
        let taken = format!("{}/{id}", path.join("/"));
        let reply = Reply::json(200, &json!({ "status": "received" }));
        if self.taken.get(&taken).is_some() {
            return reply.again();
        }
        self.taken.insert(&taken, ());
        reply.executed(id)
    }

    /// The id of a request that is signed by whoever has our secret.
    fn check<'c>(&self, call: &'c Call) -> Result<&'c str, &'static str> {
        let header = |name| call.header(name).filter(|text| !text.is_empty());
        let id = header("webhook-id").ok_or("webhook-id is missing")?;
        let time = header("webhook-timestamp").ok_or("webhook-timestamp is missing")?;
        let signatures = header("webhook-signature").ok_or("webhook-signature is missing")?;
        let seconds: i64 = time.parse().map_err(|_| "webhook-timestamp is no number")?;
        if (call.at_ms / 1_000 - seconds).abs() > TOLERANCE_SECONDS {
            return Err("webhook-timestamp is more than five minutes from our clock");
        }
        let is_ours = signatures
            .split(' ')
            .filter_map(|signature| signature.strip_prefix("v1,"))
            .filter_map(|signature| BASE64_STANDARD.decode(signature).ok())
            .any(|signature| self.is_signature(&signature, id, time, &call.body));
        if is_ours {
            Ok(id)
        } else {
            Err("no signature is ours")
        }
    }

    fn is_signature(&self, signature: &[u8], id: &str, time: &str, body: &[u8]) -> bool {
        let text = self.secret.strip_prefix("whsec_").unwrap_or(&self.secret);
        let Ok(key) = BASE64_STANDARD.decode(text) else {
            return false;
        };
        let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(&key) else {
            return false;
        };
        for part in [id.as_bytes(), b".", time.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac.verify_slice(signature).is_ok()
    }

    /// Sets what the control endpoint asks for.
    pub fn control(&mut self, control: Control) {
        self.secret = control.secret;
    }
}
