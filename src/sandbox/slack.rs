//! Slack: `chat.postMessage`, `chat.update` and incoming webhooks, as docs.slack.dev describes them.
//!
//! What bites: errors come as a 200 with `ok: false`; one message a second and channel, then a real 429 with
//! `Retry-After`; a message is named by channel and timestamp together; only who posted it may update it; webhooks
//! answer in plain words.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    call::{Call, Reply},
    limiter::Limiter,
    oauth::Refusal,
    seen::Seen,
    store::Store,
};

mod blocks;

/// Characters of `text` beyond which `chat.postMessage` cuts off.
const POST_TEXT_MAX: usize = 40_000;

/// Characters of `text` beyond which `chat.update` refuses.
const UPDATE_TEXT_MAX: usize = 4_000;

/// Updates a minute (tier 3), all at once if need be.
const UPDATES_A_MINUTE: f64 = 50.0;

/// Where things are.
const ROUTES: &str = "POST /api/chat.postMessage, POST /api/chat.update, POST /services/{hook}";

/// One workspace.
#[derive(Debug)]
pub struct Slack {
    /// By channel and timestamp.
    messages: Store<Message>,
    last_ts: (i64, u32),
    posting: Limiter,
    updating: Limiter,
    control: Control,
}

#[derive(Debug)]
struct Message {
    channel: String,
    ts: String,
    /// Who posted it.
    by: u64,
    content: Value,
    /// How often it was updated.
    updates: u64,
}

/// What `POST /control/slack` sets: what is absent is as in the beginning. Without it every channel and hook is there.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// Channels that do not exist.
    missing: BTreeSet<String>,
    /// Channels that are archived.
    archived: BTreeSet<String>,
    /// Channels the app was not invited to.
    not_in: BTreeSet<String>,
    /// Webhooks that were taken down.
    no_service: BTreeSet<String>,
    /// Webhooks whose workspace forbids posting.
    prohibited: BTreeSet<String>,
}

/// Holder of messages that came by webhook: no token's.
const WEBHOOK: u64 = u64::MAX;

impl Slack {
    /// Remembers so many messages.
    #[must_use]
    pub fn new(keep: usize, has_limits: bool) -> Self {
        let rate = |rate| if has_limits { rate } else { 0.0 };
        Self {
            messages: Store::new(keep),
            last_ts: (0, 0),
            posting: Limiter::new(1.0, rate(1.0)),
            updating: Limiter::new(UPDATES_A_MINUTE, rate(UPDATES_A_MINUTE / 60.0)),
            control: Control::default(),
        }
    }

    /// Answers a call.
    #[must_use]
    pub fn answer(&mut self, call: &Call, token: Result<u64, Refusal>) -> Reply {
        let (method, path) = call.route();
        match (method, path.as_slice()) {
            ("POST", ["services", ..]) => self.webhook(call),
            ("POST", ["api", name @ ("chat.postMessage" | "chat.update")]) => {
                let holder = match token {
                    Ok(holder) => holder,
                    Err(refusal) => return error(refusal_name(refusal), &[]),
                };
                let fields = match fields_of(call) {
                    Ok(fields) => fields,
                    Err(name) => return error(name, &[]),
                };
                match *name {
                    "chat.update" => self.update(call, &fields, holder),
                    _ => self.post(call, &fields, holder),
                }
            }
            ("POST", ["api", _]) => error("unknown_method", &[]),
            _ => Reply::no_route(call, ROUTES),
        }
    }

    fn post(&mut self, call: &Call, fields: &Map<String, Value>, holder: u64) -> Reply {
        let channel = match self.channel(fields) {
            Ok(channel) => channel.to_owned(),
            Err(name) => return error(name, &[]),
        };
        let content = match content_of(fields, POST_TEXT_MAX) {
            Ok(content) => content,
            Err(Bad { name, messages }) => return error(name, &messages),
        };
        if let Err(seconds) = self.posting.take(&channel, call.at_ms) {
            return limited(seconds);
        }
        let ts = self.stamp(call.at_ms);
        let executed = key_of(call, &content).unwrap_or_else(|| place(&channel, &ts));
        let body = json!({
            "ok": true,
            "channel": channel,
            "ts": ts,
            "message": shown(&content, &ts),
        });
        self.keep(Message {
            channel,
            ts,
            by: holder,
            content,
            updates: 0,
        });
        Reply::json(200, &body).executed(executed)
    }

    fn update(&mut self, call: &Call, fields: &Map<String, Value>, holder: u64) -> Reply {
        let channel = match self.channel(fields) {
            Ok(channel) => channel,
            Err(name) => return error(name, &[]),
        };
        let ts = fields.get("ts").and_then(Value::as_str).unwrap_or_default();
        let Some(message) = self.messages.get_mut(&place(channel, ts)) else {
            return error("message_not_found", &[]);
        };
        if message.by != holder {
            return error("cant_update_message", &[]);
        }
        let content = match content_of(fields, UPDATE_TEXT_MAX) {
            Ok(content) => content,
            Err(Bad { name, messages }) => return error(name, &messages),
        };
        if let Err(seconds) = self.updating.take("", call.at_ms) {
            return limited(seconds);
        }
        message.updates += 1;
        let executed =
            key_of(call, &content).unwrap_or_else(|| format!("{channel}/{ts}#{}", message.updates));
        let body = json!({
            "ok": true,
            "channel": channel,
            "ts": ts,
            "text": content["text"],
            "message": shown(&content, ts),
        });
        message.content = content;
        Reply::json(200, &body).executed(executed)
    }

    fn webhook(&mut self, call: &Call) -> Reply {
        let hook = call.segments[1..].join("/");
        if hook.is_empty() || self.control.no_service.contains(&hook) {
            return Reply::text(404, "no_service");
        }
        if self.control.prohibited.contains(&hook) {
            return Reply::text(403, "action_prohibited");
        }
        if self.control.missing.contains(&hook) {
            return Reply::text(404, "channel_not_found");
        }
        if self.control.archived.contains(&hook) {
            return Reply::text(410, "channel_is_archived");
        }
        let fields = match payload_of(call) {
            Some(Value::Object(fields)) => fields,
            Some(_) | None => return Reply::text(400, "invalid_payload"),
        };
        let content = match content_of(&fields, POST_TEXT_MAX) {
            Ok(content) => content,
            Err(bad) => return Reply::text(400, bad.name),
        };
        if let Err(seconds) = self.posting.take(&hook, call.at_ms) {
            return Reply::text(429, "rate_limited").with("Retry-After", seconds);
        }
        let ts = self.stamp(call.at_ms);
        let executed = key_of(call, &content).unwrap_or_else(|| place(&hook, &ts));
        self.keep(Message {
            channel: hook,
            ts,
            by: WEBHOOK,
            content,
            updates: 0,
        });
        Reply::text(200, "ok").executed(executed)
    }

    /// The channel of a request, if messages can be posted there.
    fn channel<'a>(&self, fields: &'a Map<String, Value>) -> Result<&'a str, &'static str> {
        let channel = fields
            .get("channel")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let is_id = channel.len() >= 2
            && channel.starts_with(['C', 'D', 'G', 'U', 'W'])
            && channel
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        let is_name = channel.len() >= 2 && channel.starts_with('#');
        if !(is_id || is_name) || self.control.missing.contains(channel) {
            Err("channel_not_found")
        } else if self.control.archived.contains(channel) {
            Err("is_archived")
        } else if self.control.not_in.contains(channel) {
            Err("not_in_channel")
        } else {
            Ok(channel)
        }
    }

    /// A timestamp no message has yet: seconds and six digits.
    fn stamp(&mut self, now_ms: i64) -> String {
        let seconds = now_ms / 1_000;
        let (last, count) = self.last_ts;
        self.last_ts = if seconds > last {
            (seconds, 1)
        } else if count < 999_999 {
            (last, count + 1)
        } else {
            (last + 1, 1)
        };
        format!("{}.{:06}", self.last_ts.0, self.last_ts.1)
    }

    fn keep(&mut self, message: Message) {
        let place = place(&message.channel, &message.ts);
        self.messages.insert(&place, message);
    }

    /// Sets what the control endpoint asks for.
    pub fn control(&mut self, control: Control) {
        self.control = control;
    }

    /// The messages as they stand now, oldest first; of one channel or hook, or all.
    #[must_use]
    pub fn messages(&self, channel: Option<&str>) -> Value {
        let messages = self
            .messages
            .iter()
            .map(|(_, message)| message)
            .filter(|message| channel.is_none_or(|channel| channel == message.channel))
            .map(|message| {
                let mut shown = shown(&message.content, &message.ts);
                shown["channel"] = message.channel.clone().into();
                shown["updates"] = message.updates.into();
                shown["seen"] = Seen::in_slack(&message.content).to_json();
                shown
            });
        messages.collect()
    }
}

/// Slack knows no keys: a header, or an id that the sender put into the metadata of the message, shows what was posted
/// twice.
fn key_of(call: &Call, content: &Value) -> Option<String> {
    let id = content["metadata"]["event_payload"]["id"].as_str();
    call.key().or(id).map(str::to_owned)
}

fn place(channel: &str, ts: &str) -> String {
    format!("{channel}/{ts}")
}

/// A message as Slack shows it.
fn shown(content: &Value, ts: &str) -> Value {
    let mut message = content.clone();
    message["type"] = "message".into();
    message["subtype"] = "bot_message".into();
    message["bot_id"] = "B0SANDBOX".into();
    message["ts"] = ts.into();
    message
}

fn error(name: &str, messages: &[String]) -> Reply {
    let mut body = json!({ "ok": false, "error": name });
    if !messages.is_empty() {
        body["response_metadata"] = json!({ "messages": messages });
    }
    Reply::json(200, &body)
}

fn limited(seconds: u64) -> Reply {
    Reply::json(429, &json!({ "ok": false, "error": "ratelimited" })).with("Retry-After", seconds)
}

const fn refusal_name(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Missing => "not_authed",
        Refusal::Unknown => "invalid_auth",
        Refusal::Expired => "token_expired",
        Refusal::Revoked => "token_revoked",
    }
}

/// Arguments as JSON or as a form, in which lists are JSON in a string.
fn fields_of(call: &Call) -> Result<Map<String, Value>, &'static str> {
    match call.content_type().as_str() {
        "application/json" => match serde_json::from_slice(&call.body) {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(_) => Err("json_not_object"),
            Err(_) => Err("invalid_json"),
        },
        "application/x-www-form-urlencoded" => {
            let fields = call.form().into_iter().map(|(name, value)| {
                let value = match name.as_str() {
                    "blocks" | "attachments" | "metadata" => {
                        serde_json::from_str(&value).unwrap_or(Value::String(value))
                    }
                    _ => Value::String(value),
                };
                (name, value)
            });
            Ok(fields.collect())
        }
        _ => Err("invalid_post_type"),
    }
}

/// The payload of a webhook: JSON, or a form whose field `payload` is JSON.
fn payload_of(call: &Call) -> Option<Value> {
    if call.content_type() == "application/x-www-form-urlencoded" {
        let form = call.form();
        let (_, payload) = form.iter().find(|(name, _)| name == "payload")?;
        return serde_json::from_str(payload).ok();
    }
    serde_json::from_slice(&call.body).ok()
}

/// Why a content is refused.
struct Bad {
    name: &'static str,
    messages: Vec<String>,
}

/// Text, blocks and attachments, checked.
fn content_of(fields: &Map<String, Value>, text_max: usize) -> Result<Value, Bad> {
    let bad = |name| Bad {
        name,
        messages: Vec::new(),
    };
    let mut content = Map::new();
    let text = fields.get("text").and_then(Value::as_str);
    let list = |name: &str| {
        let list = fields.get(name).filter(|value| !value.is_null());
        match list.map(Value::as_array) {
            None => Ok(None),
            Some(Some(list)) if list.is_empty() => Ok(None),
            Some(Some(list)) => Ok(Some(list)),
            Some(None) => Err(()),
        }
    };
    let blocks = list("blocks").map_err(|()| bad("invalid_blocks_format"))?;
    let attachments = list("attachments").map_err(|()| bad("invalid_attachments"))?;
    let has_text = text.is_some_and(|text| !text.is_empty());
    if !has_text && blocks.is_none() && attachments.is_none() {
        return Err(bad("no_text"));
    }
    if let Some(text) = text {
        let length = text.chars().count();
        if length > text_max && text_max == UPDATE_TEXT_MAX {
            return Err(bad("msg_too_long"));
        }
        let text: String = text.chars().take(text_max).collect();
        content.insert("text".to_owned(), text.into());
    }
    if let Some(blocks) = blocks {
        let messages = blocks::check(blocks);
        if !messages.is_empty() {
            return Err(Bad {
                name: "invalid_blocks",
                messages,
            });
        }
        content.insert("blocks".to_owned(), blocks.clone().into());
    }
    if let Some(attachments) = attachments {
        // docs.slack.dev: more than a hundred are refused.
        if attachments.len() > 100 {
            return Err(bad("too_many_attachments"));
        }
        content.insert("attachments".to_owned(), attachments.clone().into());
    }
    for name in ["thread_ts", "metadata"] {
        if let Some(value) = fields.get(name) {
            content.insert(name.to_owned(), value.clone());
        }
    }
    Ok(Value::Object(content))
}
