//! Slack's manners: which call to make, where the next one goes, and when an edit has to become a new message.
//!
//! `chat.postMessage` has no idempotency key, so a repeat after an unknown outcome may show twice; the output's id goes
//! along as message metadata, by which a repeat can be told. A later output about the same thing edits the first message
//! in place; where Slack will not have that, it is said in the thread below instead.

use serde_json::{Map, Value, json};

use crate::{delivery::attempt::Answer, sinks::message::Occasion};

/// Where an earlier message stands: what a delivery hands to the next of its thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Channel, as Slack named it in its answer.
    pub channel: String,
    /// Timestamp, which is the message's name there.
    pub ts: String,
}

/// A call of the Web API.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Method, the last part of the address.
    pub method: &'static str,
    /// Arguments.
    pub body: Value,
}

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// `text` and perhaps `blocks`.
    pub fields: Map<String, Value>,
    /// Identity of the output.
    pub output_id: String,
    /// Which message about one thing it is.
    pub occasion: Occasion,
}

impl Place {
    /// From a handle, if it is one of ours.
    #[must_use]
    pub fn of_handle(handle: &Value) -> Option<Self> {
        let text = |name| handle.get(name)?.as_str().map(str::to_owned);
        Some(Self {
            channel: text("channel")?,
            ts: text("ts")?,
        })
    }

    /// All of a handle, which holds one place or several.
    #[must_use]
    pub fn all_of_handle(handle: &Value) -> Vec<Self> {
        match handle.get("places").and_then(Value::as_array) {
            Some(places) => places.iter().filter_map(Self::of_handle).collect(),
            None => Self::of_handle(handle).into_iter().collect(),
        }
    }

    /// Places as a handle; nothing, if there are none.
    #[must_use]
    pub fn handle_of_all(places: &[Self]) -> Option<Value> {
        match places {
            [] => None,
            [place] => Some(place.handle()),
            places => {
                let places: Vec<Value> = places.iter().map(Self::handle).collect();
                Some(json!({ "places": places }))
            }
        }
    }

    /// From the answer to a post.
    #[must_use]
    pub fn of_answer(answer: &Answer) -> Option<Self> {
        Self::of_handle(&answer.body)
    }

    /// As a handle.
    #[must_use]
    pub fn handle(&self) -> Value {
        json!({ "channel": self.channel, "ts": self.ts })
    }
}

impl Content {
    /// A message of its own.
    #[must_use]
    pub fn post(&self, channel: &str) -> Call {
        let mut body = self.body();
        body.insert("channel".to_owned(), channel.into());
        Self::quiet(&mut body);
        Call {
            method: "chat.postMessage",
            body: Value::Object(body),
        }
    }

    /// A message in the thread of an earlier one; an escalation shows in the channel too.
    #[must_use]
    pub fn follow_up(&self, place: &Place) -> Call {
        let mut call = self.post(&place.channel);
        call.body["thread_ts"] = place.ts.as_str().into();
        if self.occasion == Occasion::Escalation {
            call.body["reply_broadcast"] = true.into();
        }
        call
    }

    /// This in place of an earlier message.
    #[must_use]
    pub fn update(&self, place: &Place) -> Call {
        let mut body = self.body();
        body.insert("channel".to_owned(), place.channel.as_str().into());
        body.insert("ts".to_owned(), place.ts.as_str().into());
        Call {
            method: "chat.update",
            body: Value::Object(body),
        }
    }

    /// For an incoming webhook, which knows its channel.
    #[must_use]
    pub fn hook(&self) -> Value {
        let mut body = self.fields.clone();
        Self::quiet(&mut body);
        Value::Object(body)
    }

    fn body(&self) -> Map<String, Value> {
        let mut body = self.fields.clone();
        body.insert(
            "metadata".to_owned(),
            json!({ "event_type": "aftercall_output", "event_payload": { "id": self.output_id } }),
        );
        body
    }

    /// No previews of what links lead to.
    fn quiet(body: &mut Map<String, Value>) {
        body.insert("unfurl_links".to_owned(), false.into());
        body.insert("unfurl_media".to_owned(), false.into());
    }
}

/// Slack's error code, if the answer is a refusal in a 200.
#[must_use]
pub fn error(answer: &Answer) -> Option<&str> {
    if answer.body.get("ok")?.as_bool()? {
        return None;
    }
    answer.body.get("error")?.as_str()
}

/// Whether an update failed for a reason that a new message does not have.
#[must_use]
pub fn is_uneditable(error: &str) -> bool {
    matches!(
        error,
        "message_not_found"
            | "cant_update_message"
            | "cant_update"
            | "edit_window_closed"
            | "update_failed"
            | "is_inactive"
    )
}
