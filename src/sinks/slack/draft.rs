//! A message for Slack's Web API: what it says, where, which call it begins with, whom it names.

use serde_json::{Map, Value, json};

use crate::{
    delivery::attempt::Fault,
    sinks::{
        client,
        drafter::{address, for_people, json_request, render, rendered_json},
        message::{Message, Occasion},
        scope::Scope,
        slack::{
            call::{Call, Content, Place},
            message,
        },
        template::Template,
    },
};

/// The lane of edits: they have a limit of their own, which is the workspace's.
const EDITS: &str = "chat.update";

/// A message, ready to be sent.
pub(super) struct Draft {
    pub(super) api: String,
    pub(super) api_is_secret: bool,
    pub(super) content: Content,
    /// Where it goes, each for itself.
    pub(super) targets: Vec<Target>,
    /// Where messages of the thread stand already.
    pub(super) places: Vec<Place>,
}

/// One of the places a message goes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) channel: String,
    /// The thread's first message there, if there is one.
    pub(super) place: Option<Place>,
}

impl Target {
    /// A channel or user that has heard nothing yet.
    pub(super) const fn new(channel: String) -> Self {
        Self {
            channel,
            place: None,
        }
    }

    pub(super) fn at(place: &Place) -> Self {
        Self {
            channel: place.channel.clone(),
            place: Some(place.clone()),
        }
    }

    /// As an attempt leaves it for the next.
    pub(super) fn json(&self) -> Value {
        match &self.place {
            Some(place) => place.handle(),
            None => json!({ "channel": self.channel }),
        }
    }

    pub(super) fn of_json(value: &Value) -> Option<Self> {
        match Place::of_handle(value) {
            Some(place) => Some(Self::at(&place)),
            None => Some(Self::new(value.get("channel")?.as_str()?.to_owned())),
        }
    }
}

impl Draft {
    /// Whether the first call to a target edits: an escalation has to be noticed, so it never does.
    pub(super) fn edits(&self, target: &Target) -> bool {
        target.place.is_some() && self.content.occasion != Occasion::Escalation
    }

    /// The call to begin with.
    pub(super) fn first(&self, target: &Target) -> Call {
        match &target.place {
            Some(place) if self.edits(target) => self.content.update(place),
            Some(place) => self.content.follow_up(place),
            None => self.content.post(&target.channel),
        }
    }

    /// What the rate counts by: messages by channel, edits together.
    pub(super) fn lane(&self, target: &Target) -> String {
        match self.edits(target) {
            true => EDITS.to_owned(),
            false => target.channel.clone(),
        }
    }

    /// The lanes of all targets, each once.
    pub(super) fn lanes(&self) -> Vec<String> {
        let mut lanes: Vec<String> = self.targets.iter().map(|t| self.lane(t)).collect();
        lanes.sort();
        lanes.dedup();
        lanes
    }

    pub(super) fn request(&self, call: &Call) -> Result<client::Request, Fault> {
        let url = format!("{}/{}", self.api.trim_end_matches('/'), call.method);
        let body = call.body.to_string();
        Ok(json_request(address(&url)?, self.api_is_secret, body))
    }
}

/// `text` and `blocks`: the built-in ones, or those of the templates, into which data comes escaped for Slack.
pub(super) fn fields(
    (text, blocks): (Option<&Template>, Option<&Template>),
    scope: &Scope,
    message: &Message,
    bytes_max: usize,
    mentions: &str,
) -> Result<Map<String, Value>, Fault> {
    let mut fields = Map::new();
    if text.is_none() && blocks.is_none() {
        let room = bytes_max.saturating_sub(mentions.len() * 2);
        if let Value::Object(built) = message::write(message, room) {
            fields = built;
        }
        if !mentions.is_empty()
            && let Some(Value::Array(blocks)) = fields.get_mut("blocks")
        {
            blocks.push(serde_json::json!({
                "type": "context",
                "elements": [{ "type": "mrkdwn", "text": mentions }],
            }));
        }
        return Ok(fields);
    }
    let scope = for_people(scope, &message::escaped);
    let words = match text {
        Some(text) => render(text, &scope)?,
        None => message::text(message),
    };
    fields.insert("text".to_owned(), words.into());
    if let Some(blocks) = blocks {
        fields.insert("blocks".to_owned(), rendered_json(blocks, &scope)?);
    }
    Ok(fields)
}

/// Ids separated by commas or semicolons, each once.
pub(super) fn ids(text: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for id in text.split([',', ';', '\n']).map(str::trim) {
        if !id.is_empty() && !ids.iter().any(|known| known == id) {
            ids.push(id.to_owned());
        }
    }
    ids
}

/// Where a message to the people found goes, and who is named in it. A channel tells those it names; where there is none,
/// each gets a message of their own, the first last, for it names those who have theirs.
pub(super) fn of_people(ids: Vec<String>) -> (Vec<Target>, Vec<String>) {
    let is_channel = |id: &String| id.starts_with(['C', 'G', '#']);
    let (channels, users): (Vec<String>, Vec<String>) = ids.into_iter().partition(is_channel);
    if !channels.is_empty() {
        return (channels.into_iter().map(Target::new).collect(), users);
    }
    let named = match users.as_slice() {
        [_, _, ..] => users.clone(),
        _ => Vec::new(),
    };
    let targets = users.into_iter().rev().map(Target::new).collect();
    (targets, named)
}

/// Users to name in a message, so that Slack tells them or the reader knows who else was told.
pub(super) fn mentions(others: &[String]) -> String {
    /// Most people named.
    const MOST: usize = 10;
    let is_user = |id: &&String| {
        id.starts_with(['U', 'W'])
            && id.len() <= 20
            && id.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let named: Vec<String> = others
        .iter()
        .filter(is_user)
        .take(MOST)
        .map(|id| format!("<@{id}>"))
        .collect();
    named.join(" ")
}
