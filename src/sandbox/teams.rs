//! Microsoft Teams: the webhook of a Workflows flow ("When a Teams webhook request is received").
//!
//! What bites: it answers 202 before anything is posted; messages over 28 KB are refused; four requests a second, then
//! 429; only Adaptive Cards in their envelope are taken, no message cards.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    call::{Call, Reply},
    limiter::Limiter,
    store::Store,
};

/// Largest message, in bytes.
const BODY_MAX: usize = 28 * 1_024;

/// Requests a second and hook.
const RATE: f64 = 4.0;

/// The content type of an attachment that is an Adaptive Card.
const CARD: &str = "application/vnd.microsoft.card.adaptive";

/// Versions of Adaptive Cards that Teams shows.
const VERSIONS: [&str; 6] = ["1.0", "1.1", "1.2", "1.3", "1.4", "1.5"];

/// The flows of one tenant.
#[derive(Debug)]
pub struct Teams {
    messages: Store<Message>,
    posted: u64,
    limiter: Limiter,
    control: Control,
}

#[derive(Debug)]
struct Message {
    hook: String,
    body: Value,
}

/// What `POST /control/teams` sets: what is absent is as in the beginning. Without it every hook is there.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// Flows that were deleted.
    missing: BTreeSet<String>,
    /// Flows that were switched off.
    disabled: BTreeSet<String>,
}

impl Teams {
    /// Remembers so many messages.
    #[must_use]
    pub fn new(keep: usize, has_limits: bool) -> Self {
        Self {
            messages: Store::new(keep),
            posted: 0,
            limiter: Limiter::new(RATE, if has_limits { RATE } else { 0.0 }),
            control: Control::default(),
        }
    }

    /// Answers a call. The hook itself is the credential.
    #[must_use]
    pub fn answer(&mut self, call: &Call) -> Reply {
        let (method, path) = call.route();
        let hook = match (method, path.as_slice()) {
            ("POST", ["workflows", hook @ ..]) if !hook.is_empty() => hook.join("/"),
            _ => return Reply::no_route(call, "POST /workflows/{hook}"),
        };
        if self.control.missing.contains(&hook) {
            return error(404, "WorkflowNotFound", "the workflow was not found");
        }
        if self.control.disabled.contains(&hook) {
            return error(400, "WorkflowTriggerIsNotEnabled", "the workflow is off");
        }
        if call.body.len() > BODY_MAX {
            let detail = format!("{} bytes, at most {BODY_MAX} are taken", call.body.len());
            return error(413, "RequestEntityTooLarge", &detail);
        }
        if let Err(seconds) = self.limiter.take(&hook, call.at_ms) {
            return error(429, "TooManyRequests", "at most four requests a second")
                .with("Retry-After", seconds);
        }
        let body = match call.json() {
            Ok(body) => body,
            Err(detail) => return error(400, "InvalidRequestContent", &detail),
        };
        if let Err(detail) = check(&body) {
            return error(400, "InvalidRequestContent", &detail);
        }
        self.posted += 1;
        // Teams knows no keys: without one of the sender's, only the content can show that it was posted twice.
        let executed = call
            .key()
            .map_or_else(|| format!("{hook}#{}", self.posted), str::to_owned);
        let message = Message { hook, body };
        self.messages.insert(&self.posted.to_string(), message);
        Reply::empty(202).executed(executed)
    }

    /// Sets what the control endpoint asks for.
    pub fn control(&mut self, control: Control) {
        self.control = control;
    }

    /// The messages, oldest first; of one hook, or all.
    #[must_use]
    pub fn messages(&self, hook: Option<&str>) -> Value {
        let messages = self
            .messages
            .iter()
            .map(|(_, message)| message)
            .filter(|message| hook.is_none_or(|hook| hook == message.hook))
            .map(|message| json!({ "hook": message.hook, "body": message.body }));
        messages.collect()
    }
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = json!({ "error": { "code": code, "message": message } });
    Reply::json(status, &body)
}

/// The envelope: a message whose attachments are Adaptive Cards.
fn check(body: &Value) -> Result<(), String> {
    let demand = |is_met: bool, detail: &str| {
        if is_met {
            Ok(())
        } else {
            Err(detail.to_owned())
        }
    };
    demand(
        body["@type"].is_null(),
        "message cards are not taken, Adaptive Cards only",
    )?;
    demand(body["type"] == "message", "type must be \"message\"")?;
    let attachments = body["attachments"].as_array();
    let attachments = attachments.filter(|list| !list.is_empty());
    let attachments = attachments.ok_or("attachments must be a list that is not empty")?;
    for (at, attachment) in attachments.iter().enumerate() {
        let card = &attachment["content"];
        let of = |detail: &str| format!("attachments[{at}].{detail}");
        demand(
            attachment["contentType"] == CARD,
            &of(&format!("contentType must be \"{CARD}\"")),
        )?;
        demand(
            card["type"] == "AdaptiveCard",
            &of("content.type must be \"AdaptiveCard\""),
        )?;
        let version = card["version"].as_str().unwrap_or_default();
        demand(
            VERSIONS.contains(&version),
            &of("content.version must be 1.0 to 1.5"),
        )?;
        demand(
            card["body"].as_array().is_some_and(|list| !list.is_empty()),
            &of("content.body must be a list that is not empty"),
        )?;
    }
    Ok(())
}
