//! What would leave for an output: its request, its Slack message, its email. Rendered from what may leave and nothing
//! else; people are looked up here, because who they are is part of what is sent.

use std::{collections::BTreeMap, sync::Arc};

use lettre::message::Mailbox;
use reqwest::{
    Method, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use crate::deliver::{
    answer::{Answer, Fault},
    channel::{
        email::{Letter, Sealed, Server, mailbox},
        exchange::Login,
        http,
        slack::{Call, Content, Place},
        tls,
    },
    destination::{self, Body, Channel, Destination, Text, TlsSpec},
    message::{Message, Occasion, card, email, slack},
    parcel::Parcel,
    recipients::{Found, Person, Recipients},
    scope::Scope,
    secret::Secret,
    secret_ref::SecretRef,
    template::Template,
};

/// What would leave.
pub(super) enum Draft {
    Web(http::Request),
    Slack(Slack),
    Mail {
        letter: Sealed,
        /// `Message-ID` of the thread's first letter, if this is not it.
        thread: Option<String>,
    },
}

/// A message for Slack's Web API.
pub(super) struct Slack {
    api: String,
    pub(super) content: Content,
    channel: String,
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
        json_request(address(&url)?, call.body.to_string(), false)
    }
}

/// Renders what is to leave for one destination.
pub(super) struct Drafter {
    vars: Arc<BTreeMap<String, String>>,
    scope: Scope,
    recipients: Arc<Recipients>,
    secrets: BTreeMap<SecretRef, Secret>,
}

impl Drafter {
    pub(super) fn new(
        destination: &Destination,
        vars: Arc<BTreeMap<String, String>>,
        recipients: Arc<Recipients>,
    ) -> Self {
        let mut texts: Vec<&Text> = Vec::new();
        match &destination.channel {
            Channel::Http(request) => texts.extend(texts_of(request)),
            Channel::Slack { api: url, .. }
            | Channel::SlackWebhook { url, .. }
            | Channel::Teams { url, .. } => texts.push(url),
            Channel::Email { .. } => {}
        }
        for fallback in &destination.fallbacks {
            texts.extend(texts_of(&fallback.request));
        }
        let secrets = texts.into_iter().filter_map(|text| match text {
            Text::Secret(reference) => Some((reference.clone(), Secret::new(reference.clone()))),
            Text::Template(_) => None,
        });
        Self {
            scope: Scope::of_vars(&vars),
            secrets: secrets.collect(),
            vars,
            recipients,
        }
    }

    /// The operator's own variables.
    pub(super) fn vars(&self) -> Scope {
        self.scope.clone()
    }

    /// What would leave of `view` for `destination`.
    pub(super) async fn draft(
        &self,
        destination: &Destination,
        view: &Parcel,
        scope: &Scope,
        handle: Option<&Value>,
    ) -> Result<Draft, Fault> {
        let bytes_max = destination.body_bytes_max;
        match &destination.channel {
            Channel::Http(request) => Ok(Draft::Web(self.request(request, scope)?)),
            Channel::Slack {
                api,
                to,
                text,
                blocks,
            } => {
                let place = handle.and_then(Place::of_handle);
                // An earlier message says where: its readers may have changed shifts, the message has not moved.
                let (channel, people, missing) = match (&place, to) {
                    (Some(place), _) => (place.channel.clone(), Vec::new(), Vec::new()),
                    (None, Some(to)) => (render(to, scope)?, Vec::new(), Vec::new()),
                    (None, None) => {
                        let Found { people, missing } =
                            self.recipients.find(scope, |p| p.slack.is_some()).await;
                        let mut ids = people.iter().filter_map(|person| person.slack.clone());
                        let channel = ids.next().ok_or_else(|| nobody("a Slack id", &missing))?;
                        (channel, people, missing)
                    }
                };
                let mut message = Message::compose(view, &self.vars, &missing);
                if place.is_some() && message.occasion == Occasion::Update {
                    // In place of the first message there is nothing to be the update of.
                    message.occasion = Occasion::First;
                }
                let content = |fields| Content {
                    fields,
                    output_id: view.id.clone(),
                    occasion: message.occasion,
                };
                // What stands around the message counts too.
                let around = Place {
                    channel: channel.clone(),
                    ts: "0000000000.000000".to_owned(),
                };
                let around = content(Map::new())
                    .follow_up(&around)
                    .body
                    .to_string()
                    .len()
                    + 64;
                let fields = slack_fields(
                    (text.as_ref(), blocks.as_ref()),
                    scope,
                    &message,
                    bytes_max.saturating_sub(around),
                    &mentions(&people),
                )?;
                Ok(Draft::Slack(Slack {
                    api: self.text(api, scope)?,
                    content: content(fields),
                    channel: channel.trim().to_owned(),
                    place,
                }))
            }
            Channel::SlackWebhook { url, text, blocks } => {
                let message = Message::compose(view, &self.vars, &[]);
                let texts = (text.as_ref(), blocks.as_ref());
                let content = Content {
                    fields: slack_fields(texts, scope, &message, bytes_max.saturating_sub(64), "")?,
                    output_id: view.id.clone(),
                    occasion: message.occasion,
                };
                self.hook(url, scope, content.hook().to_string())
            }
            Channel::Teams { url, card } => {
                let body = match card {
                    Some(template) => card::envelope(rendered_json(template, scope)?),
                    None => {
                        let message = Message::compose(view, &self.vars, &[]);
                        card::write(&message, bytes_max)
                    }
                };
                self.hook(url, scope, body.to_string())
            }
            Channel::Email {
                from,
                to,
                subject,
                html,
                text,
                ..
            } => {
                let (to, missing) = match to {
                    Some(to) => (addresses(&render(to, scope)?)?, Vec::new()),
                    None => {
                        let has_address = |person: &Person| person.mailbox().is_some();
                        let Found { people, missing } =
                            self.recipients.find(scope, has_address).await;
                        (people.iter().filter_map(Person::mailbox).collect(), missing)
                    }
                };
                if to.is_empty() {
                    return Err(nobody("an email address", &missing));
                }
                let message = Message::compose(view, &self.vars, &missing);
                let mut email = email::write(&message, bytes_max);
                for (template, part) in [
                    (subject, &mut email.subject),
                    (html, &mut email.html),
                    (text, &mut email.text),
                ] {
                    if let Some(template) = template {
                        *part = render(template, scope)?;
                    }
                }
                let bytes = email.subject.len() + email.html.len() + email.text.len();
                if bytes > bytes_max {
                    return Err(Fault::Unsendable(format!(
                        "its email has {bytes} bytes, and at most {bytes_max} may leave (body_max)"
                    )));
                }
                let thread = handle.and_then(|handle| handle.get("message_id")?.as_str());
                let letter = Letter {
                    from: sender(&render(from, scope)?)?,
                    to,
                    output_id: view.id.clone(),
                    thread: thread.map(str::to_owned),
                    email,
                };
                Ok(Draft::Mail {
                    thread: letter.thread.clone(),
                    letter: letter.seal()?,
                })
            }
        }
    }

    /// A configured request, rendered.
    pub(super) fn request(
        &self,
        request: &destination::Request,
        scope: &Scope,
    ) -> Result<http::Request, Fault> {
        let (body, content_type) = match &request.body {
            Body::None => (String::new(), None),
            Body::Data => {
                let data = scope.get("data").unwrap_or(&Value::Null);
                (data.to_string(), Some("application/json"))
            }
            Body::Template {
                template,
                json: true,
            } => {
                let body = render(template, scope)?;
                // Nobody is to find out at the vendor's that a quote was not escaped.
                serde_json::from_str::<serde::de::IgnoredAny>(&body)
                    .map_err(|error| Fault::Unsendable(format!("its body is not JSON: {error}")))?;
                (body, Some("application/json"))
            }
            Body::Template {
                template,
                json: false,
            } => (render(template, scope)?, Some("text/plain; charset=utf-8")),
        };
        let mut headers = HeaderMap::new();
        for (name, text) in &request.headers {
            let value = self.text(text, scope)?;
            let bad = || Fault::Unsendable(format!("the header {name} cannot be written"));
            let mut value = HeaderValue::from_str(&value).map_err(|_| bad())?;
            value.set_sensitive(matches!(text, Text::Secret(_)));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            headers.insert(name, value);
        }
        if let Some(content_type) = content_type {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(content_type));
        }
        headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("application/json"));
        Ok(http::Request {
            method: method(request.method),
            url: address(&self.text(&request.url, scope)?)?,
            is_url_secret: matches!(request.url, Text::Secret(_)),
            headers,
            body: body.into_bytes(),
        })
    }

    fn hook(&self, url: &Text, scope: &Scope, body: String) -> Result<Draft, Fault> {
        let url_text = self.text(url, scope)?;
        let request = json_request(address(&url_text)?, body, matches!(url, Text::Secret(_)))?;
        Ok(Draft::Web(request))
    }

    fn text(&self, text: &Text, scope: &Scope) -> Result<String, Fault> {
        match text {
            Text::Template(template) => render(template, scope),
            Text::Secret(reference) => {
                let secret = self
                    .secrets
                    .get(reference)
                    .ok_or_else(|| Fault::Unsendable(format!("{reference} was never opened")))?;
                let value = secret
                    .read()
                    .map_err(|error| Fault::NotReady(error.to_string()))?;
                Ok(value.expose_secret().trim().to_owned())
            }
        }
    }
}

/// Sends letters of one destination.
pub(super) struct Mailer {
    server: Server,
    tls: TlsSpec,
    login: Option<Login>,
}

impl Mailer {
    pub(super) fn new(server: Server, destination: &Destination) -> Self {
        Self {
            server,
            tls: destination.tls.clone(),
            login: Login::of(&destination.auth),
        }
    }

    pub(super) async fn send(&self, letter: &Sealed) -> Result<Answer, Fault> {
        let mut server = self.server.clone();
        server.roots_pem =
            tls::roots(&self.tls).map_err(|error| Fault::NotReady(error.to_string()))?;
        let login = match &self.login {
            Some(login) => Some(login.credentials()?),
            None => None,
        };
        server.send(letter, login).await
    }
}

fn texts_of(request: &destination::Request) -> impl Iterator<Item = &Text> {
    request
        .headers
        .iter()
        .map(|(_, text)| text)
        .chain([&request.url])
}

fn render(template: &Template, scope: &Scope) -> Result<String, Fault> {
    template
        .render(scope)
        .map_err(|error| Fault::Unsendable(error.to_string()))
}

fn rendered_json(template: &Template, scope: &Scope) -> Result<Value, Fault> {
    serde_json::from_str(&render(template, scope)?)
        .map_err(|error| Fault::Unsendable(format!("{} is not JSON: {error}", template.key())))
}

/// An address to send to. Not repeated in the error: it may be a secret.
fn address(text: &str) -> Result<Url, Fault> {
    let url = Url::parse(text.trim())
        .map_err(|error| Fault::Unsendable(format!("its address is none: {error}")))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(Fault::Unsendable(
            "its address is not one of http or https".to_owned(),
        ))
    }
}

fn json_request(url: Url, body: String, is_url_secret: bool) -> Result<http::Request, Fault> {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    Ok(http::Request {
        method: Method::POST,
        url,
        is_url_secret,
        headers,
        body: body.into_bytes(),
    })
}

const fn method(method: destination::Method) -> Method {
    match method {
        destination::Method::Get => Method::GET,
        destination::Method::Post => Method::POST,
        destination::Method::Put => Method::PUT,
        destination::Method::Patch => Method::PATCH,
        destination::Method::Delete => Method::DELETE,
    }
}

/// `text` and `blocks`: the built-in ones, or those of the templates, into which data comes escaped for Slack.
fn slack_fields(
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
    let data = scope.get("data").cloned().unwrap_or_default();
    let scope = scope.clone().with("data", slack_escaped(data));
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

fn slack_escaped(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(slack::escaped(&text)),
        Value::Array(items) => items.into_iter().map(slack_escaped).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, slack_escaped(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// The people beyond the first, who reads it where it is posted: named, so that Slack tells them.
fn mentions(people: &[Person]) -> String {
    /// Most people named.
    const MOST: usize = 10;
    let is_user = |id: &&str| {
        id.starts_with(['U', 'W'])
            && id.len() <= 20
            && id.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let ids = people.iter().filter_map(|person| person.slack.as_deref());
    let named: Vec<String> = ids
        .skip(1)
        .filter(is_user)
        .take(MOST)
        .map(|id| format!("<@{id}>"))
        .collect();
    named.join(" ")
}

fn addresses(text: &str) -> Result<Vec<Mailbox>, Fault> {
    text.split(',')
        .map(str::trim)
        .filter(|address| !address.is_empty())
        .map(|address| mailbox(None, address).map_err(Fault::Unsendable))
        .collect()
}

/// `a@b.example` or `Name <a@b.example>`.
fn sender(text: &str) -> Result<Mailbox, Fault> {
    let text = text.trim();
    let parts = text.strip_suffix('>').and_then(|t| t.rsplit_once('<'));
    match parts {
        Some((name, address)) => mailbox(Some(name), address),
        None => mailbox(None, text),
    }
    .map_err(|error| Fault::Unsendable(format!("its sender is {error}")))
}

fn nobody(what: &str, missing: &[String]) -> Fault {
    let mut text = format!("nobody with {what} was found for it");
    if !missing.is_empty() {
        text.push_str(&format!(" (not known: {})", missing.join(", ")));
    }
    Fault::NotReady(text)
}
