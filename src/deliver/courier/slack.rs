//! A message for Slack's Web API: what it says, which call it begins with, whom it names.

use serde_json::{Map, Value};

use super::draft::{address, for_people, json_request, render, rendered_json};
use crate::deliver::{
    answer::Fault,
    channel::{
        http,
        slack::{Call, Content, Place},
    },
    message::{Message, Occasion, slack},
    scope::Scope,
    template::Template,
};

/// A message for Slack's Web API.
pub(super) struct Slack {
    pub(super) api: String,
    pub(super) api_is_secret: bool,
    pub(super) content: Content,
    pub(super) channel: String,
    /// The thread's first message, if there is one.
    pub(super) place: Option<Place>,
}

impl Slack {
    /// Whether the first call edits: an escalation has to be noticed, so it never does.
    pub(super) fn edits(&self) -> bool {
        self.place.is_some() && self.content.occasion != Occasion::Escalation
    }

    /// The call to begin with.
    pub(super) fn first(&self) -> Call {
        match &self.place {
            Some(place) if self.edits() => self.content.update(place),
            Some(place) => self.content.follow_up(place),
            None => self.content.post(&self.channel),
        }
    }

    pub(super) fn request(&self, call: &Call) -> Result<http::Request, Fault> {
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
        if let Value::Object(built) = slack::write(message, room) {
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
    let scope = for_people(scope, &slack::escaped);
    let words = match text {
        Some(text) => render(text, &scope)?,
        None => slack::text(message),
    };
    fields.insert("text".to_owned(), words.into());
    if let Some(blocks) = blocks {
        fields.insert("blocks".to_owned(), rendered_json(blocks, &scope)?);
    }
    Ok(fields)
}

/// Ids separated by commas.
pub(super) fn ids(text: &str) -> Vec<String> {
    let ids = text.split(',').map(str::trim);
    ids.filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

/// Users besides the one or the channel it is posted to: named, so that Slack tells them.
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
