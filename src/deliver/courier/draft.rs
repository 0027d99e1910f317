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

use super::{
    mailer::{addresses, sender},
    slack::{Slack, fields, ids, mentions},
};
use crate::deliver::{
    answer::Fault,
    channel::{
        email::{Letter, Sealed},
        http,
        slack::{Content, Place},
    },
    destination::{self, Body, Channel, Destination, Text},
    message::{
        Message, Occasion, card, email,
        outside::{each, isolated, plain},
    },
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

/// An output as a destination may see it.
pub(super) struct View {
    /// Its data and subject are what may leave.
    pub(super) parcel: Parcel,
    /// The variables of templates: what may leave.
    pub(super) scope: Scope,
    /// All of it, for decisions that stay here.
    pub(super) inside: Scope,
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
        let asked = [
            destination.lookup.as_ref().map(|lookup| &lookup.request),
            destination.list.as_ref().map(|list| &list.request),
        ];
        texts.extend(asked.into_iter().flatten().flat_map(texts_of));
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

    /// What would leave of an output for `destination`.
    pub(super) async fn draft(
        &self,
        destination: &Destination,
        view: &View,
        handle: Option<&Value>,
    ) -> Result<Draft, Fault> {
        let (parcel, scope) = (&view.parcel, &view.scope);
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
                let templates = [to.as_ref(), text.as_ref(), blocks.as_ref()];
                let asked = to.is_none() && place.is_none();
                let has_id = |person: &Person| person.slack.is_some();
                let (scope, Found { people, missing }) =
                    self.people(view, asked, &templates, has_id).await;
                let ids: Vec<String> = match (&place, to) {
                    // Its readers may have changed shifts; the message has not moved.
                    (Some(place), _) => vec![place.channel.clone()],
                    (None, Some(to)) => ids(&render(to, &scope)?),
                    (None, None) => people.into_iter().filter_map(|p| p.slack).collect(),
                };
                let Some((channel, others)) = ids.split_first() else {
                    return Err(nobody("a Slack id", &missing));
                };
                let named = mentions(others);
                let mut message = Message::compose(parcel, &self.vars, &missing);
                if place.is_some() && message.occasion == Occasion::Update {
                    // In place of the first message there is nothing to be the update of.
                    message.occasion = Occasion::First;
                }
                let content = |fields| Content {
                    fields,
                    output_id: parcel.id.clone(),
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
                let fields = fields(
                    (text.as_ref(), blocks.as_ref()),
                    &scope,
                    &message,
                    bytes_max.saturating_sub(around),
                    &named,
                )?;
                Ok(Draft::Slack(Slack {
                    api: self.text(api, &scope)?,
                    api_is_secret: is_secret(api),
                    content: content(fields),
                    channel: channel.clone(),
                    place,
                }))
            }
            Channel::SlackWebhook { url, text, blocks } => {
                let texts = (text.as_ref(), blocks.as_ref());
                let templates = [text.as_ref(), blocks.as_ref()];
                let (scope, Found { missing, .. }) =
                    self.people(view, false, &templates, |_| true).await;
                let message = Message::compose(parcel, &self.vars, &missing);
                let room = bytes_max.saturating_sub(64);
                let content = Content {
                    fields: fields(texts, &scope, &message, room, "")?,
                    output_id: parcel.id.clone(),
                    occasion: message.occasion,
                };
                self.hook(url, &scope, content.hook().to_string())
            }
            Channel::Teams { url, card } => {
                let templates = [card.as_ref()];
                let (scope, Found { missing, .. }) =
                    self.people(view, false, &templates, |_| true).await;
                let body = match card {
                    Some(template) => {
                        let scope = for_people(&scope, &card::escaped);
                        card::envelope(rendered_json(template, &scope)?)
                    }
                    None => {
                        let message = Message::compose(parcel, &self.vars, &missing);
                        card::write(&message, bytes_max)
                    }
                };
                self.hook(url, &scope, body.to_string())
            }
            Channel::Email {
                from,
                to,
                subject,
                html,
                text,
                ..
            } => {
                let templates = [to, subject, html, text].map(Option::as_ref);
                let has_address = |person: &Person| person.mailbox().is_some();
                let (scope, Found { people, missing }) = self
                    .people(view, to.is_none(), &templates, has_address)
                    .await;
                let to: Vec<Mailbox> = match to {
                    Some(to) => addresses(&render(to, &scope)?)?,
                    None => people.iter().filter_map(Person::mailbox).collect(),
                };
                if to.is_empty() {
                    return Err(nobody("an email address", &missing));
                }
                let message = Message::compose(parcel, &self.vars, &missing);
                let mut email = email::write(&message, bytes_max);
                let words = for_people(&scope, &|text| isolated(&plain(text)));
                for (template, part) in [
                    (subject, &mut email.subject),
                    (html, &mut email.html),
                    (text, &mut email.text),
                ] {
                    if let Some(template) = template {
                        *part = render(template, &words)?;
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
                    from: sender(&render(from, &scope)?)?,
                    to,
                    output_id: parcel.id.clone(),
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

    /// The people that a message is for, if it is they who say where it goes (`asked`) or one of its templates names
    /// them: also as the variable `recipients`, whose fields are empty where nothing is known.
    async fn people(
        &self,
        view: &View,
        asked: bool,
        templates: &[Option<&Template>],
        usable: impl Fn(&Person) -> bool,
    ) -> (Scope, Found) {
        let mut named = templates.iter().flatten();
        if !asked && !named.any(|template| template.uses("recipients")) {
            return (view.scope.clone(), Found::default());
        }
        let found = self
            .recipients
            .find(&view.inside, &view.scope, usable)
            .await;
        let people = found.people.iter().map(|person| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            serde_json::json!({
                "name": text(&person.name),
                "email": text(&person.email),
                "slack": text(&person.slack),
            })
        });
        let scope = view.scope.clone().with("recipients", people.collect());
        (scope, found)
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
            url_is_secret: is_secret(&request.url),
            headers,
            body: body.into_bytes(),
        })
    }

    fn hook(&self, url: &Text, scope: &Scope, body: String) -> Result<Draft, Fault> {
        let url_text = self.text(url, scope)?;
        let url_is_secret = is_secret(url);
        let request = json_request(address(&url_text)?, url_is_secret, body);
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

const fn is_secret(text: &Text) -> bool {
    match text {
        Text::Secret(_) => true,
        Text::Template(_) => false,
    }
}

fn texts_of(request: &destination::Request) -> impl Iterator<Item = &Text> {
    request
        .headers
        .iter()
        .map(|(_, text)| text)
        .chain([&request.url])
}

/// The variables of templates whose words people read: everything that came from outside, made by `make` what may stand
/// there.
pub(super) fn for_people(scope: &Scope, make: &impl Fn(&str) -> String) -> Scope {
    let outside = ["id", "subject", "data", "recipients"];
    outside.into_iter().fold(scope.clone(), |scope, name| {
        match scope.get(name).cloned() {
            Some(value) => scope.with(name, each(value, make)),
            None => scope,
        }
    })
}

pub(super) fn render(template: &Template, scope: &Scope) -> Result<String, Fault> {
    template
        .render(scope)
        .map_err(|error| Fault::Unsendable(error.to_string()))
}

pub(super) fn rendered_json(template: &Template, scope: &Scope) -> Result<Value, Fault> {
    serde_json::from_str(&render(template, scope)?)
        .map_err(|error| Fault::Unsendable(format!("{} is not JSON: {error}", template.key())))
}

/// An address to send to. Not repeated in the error: it may be a secret.
pub(super) fn address(text: &str) -> Result<Url, Fault> {
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

pub(super) fn json_request(url: Url, url_is_secret: bool, body: String) -> http::Request {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    http::Request {
        method: Method::POST,
        url,
        url_is_secret,
        headers,
        body: body.into_bytes(),
    }
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

fn nobody(what: &str, missing: &[String]) -> Fault {
    let mut text = format!("nobody with {what} was found for it");
    if !missing.is_empty() {
        text.push_str(&format!(" (not known: {})", missing.join(", ")));
    }
    Fault::NotReady(text)
}
