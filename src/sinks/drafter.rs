//! What channels need to make a message of an output: what may be seen of it, its variables, the people it is for, and
//! the secrets in addresses and headers.

use std::{collections::BTreeMap, sync::Arc};

use aftercall_actors::contract::output::Kind;
use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{
    client,
    message::{Message, outside::each, shortened_words},
    recipients::{Found, Person, Recipients},
    scope::Scope,
    secret::Secret,
    secret_ref::SecretRef,
    spec::Text,
    template::Template,
};
use crate::delivery::{attempt::Fault, parcel::Parcel};

/// An output as a destination may see it.
pub struct View {
    /// Its data and subject are what may leave.
    pub parcel: Parcel,
    /// The output's own subject, whatever of it may leave: for our log.
    pub subject: String,
    /// The variables of templates: what may leave.
    pub scope: Scope,
    /// All of it, for decisions that stay here.
    pub inside: Scope,
}

/// Makes what leaves for one destination.
pub struct Drafter {
    /// The destination, for our log.
    pub name: String,
    /// Largest body sent. Unit: bytes.
    pub body_bytes_max: usize,
    vars: Arc<BTreeMap<String, String>>,
    scope: Scope,
    recipients: Arc<Recipients>,
    secrets: BTreeMap<SecretRef, Secret>,
}

impl Drafter {
    /// For a destination whose addresses and headers are `texts`. Reads no secret yet.
    pub fn new<'t>(
        (name, body_bytes_max): (&str, usize),
        texts: impl Iterator<Item = &'t Text>,
        vars: Arc<BTreeMap<String, String>>,
        recipients: Arc<Recipients>,
    ) -> Self {
        let secrets = texts.filter_map(|text| match text {
            Text::Secret(reference) => Some((reference.clone(), Secret::new(reference.clone()))),
            Text::Template(_) => None,
        });
        Self {
            name: name.to_owned(),
            body_bytes_max,
            scope: Scope::of_vars(&vars),
            secrets: secrets.collect(),
            vars,
            recipients,
        }
    }

    /// Of the secrets in addresses and headers, as they can be read now.
    pub fn fingerprint(&self) -> u64 {
        let secrets = self.secrets.values().map(Secret::fingerprint);
        secrets.fold(0, |all, one| all.wrapping_mul(31) ^ one)
    }

    /// The operator's own variables.
    pub fn vars(&self) -> Scope {
        self.scope.clone()
    }

    /// What an output says to people; `missing` could not be found out about them.
    pub fn compose(&self, view: &View, missing: &[String]) -> Message {
        Message::compose(&view.parcel, &self.vars, missing)
    }

    /// What identifies what a message made of `templates` says; `None` for what is no alert.
    pub fn identity(&self, templates: &[&Template], view: &View) -> Option<u64> {
        if view.parcel.kind != Kind::Alert {
            return None;
        }
        let message = Message::compose(&view.parcel, &self.vars, &[]).identity();
        let scope = view
            .scope
            .clone()
            .with("recipients", Value::Array(Vec::new()));
        // One that cannot be rendered without recipients is no reason to say it twice, nor to keep it back.
        let written = templates
            .iter()
            .map(|template| template.render(&scope).unwrap_or_default());
        let all = written.fold(message.to_string(), |all, text| all + "\n" + &text);
        Some(xxhash_rust::xxh3::xxh3_64(all.as_bytes()))
    }

    /// The people that a message is for, if it is they who say where it goes (`asked`) or one of its templates names
    /// them: also as the variable `recipients`, whose fields are empty where nothing is known.
    pub async fn people(
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

    /// A post of JSON to a webhook.
    ///
    /// # Errors
    /// As [`Self::text`], and if what comes of it is no address.
    pub fn hook(&self, url: &Text, scope: &Scope, body: String) -> Result<client::Request, Fault> {
        let url_text = self.text(url, scope)?;
        Ok(json_request(address(&url_text)?, is_secret(url), body))
    }

    /// A text as it goes out now.
    ///
    /// # Errors
    /// If a template has no value, or a secret cannot be read.
    pub fn text(&self, text: &Text, scope: &Scope) -> Result<String, Fault> {
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

/// Whether what it says must not be shown.
pub const fn is_secret(text: &Text) -> bool {
    match text {
        Text::Secret(_) => true,
        Text::Template(_) => false,
    }
}

/// The variables of templates whose words people read: everything that came from outside, made by `make` what may stand
/// there.
pub fn for_people(scope: &Scope, make: &impl Fn(&str) -> String) -> Scope {
    let outside = ["id", "subject", "data", "recipients"];
    outside.into_iter().fold(scope.clone(), |scope, name| {
        match scope.get(name).cloned() {
            Some(value) => scope.with(name, each(value, make)),
            None => scope,
        }
    })
}

pub fn render(template: &Template, scope: &Scope) -> Result<String, Fault> {
    template
        .render(scope)
        .map_err(|error| Fault::Unsendable(error.to_string()))
}

pub fn rendered_json(template: &Template, scope: &Scope) -> Result<Value, Fault> {
    serde_json::from_str(&render(template, scope)?)
        .map_err(|error| Fault::Unsendable(format!("{} is not JSON: {error}", template.key())))
}

/// Why nothing was sent: of those found, none has `what` it takes.
pub fn nobody(what: &str, missing: &[String]) -> Fault {
    let mut text = format!("nobody with {what} was found for it");
    if !missing.is_empty() {
        text.push_str(&format!(" (not known: {})", missing.join(", ")));
    }
    Fault::NotReady(text)
}

/// An alert's data in which the longest of what people wrote in their own words is cut by about so many bytes; nothing if
/// there is nothing left to cut. It may stand in a message more than once, or take more room there: so step by step.
pub fn shortened_data(data: &Value, excess: usize) -> Option<Value> {
    /// The fields that people write in their own words.
    const WORDS: [&str; 2] = ["comment", "summary"];
    /// What is shorter stays as it is. Unit: bytes.
    const WORDS_BYTES_MIN: usize = 100;
    let texts = WORDS.into_iter().filter_map(|name| {
        let text = data.get(name)?.as_str()?;
        Some((text.len(), name, text))
    });
    let (bytes, name, text) = texts.max().filter(|(bytes, ..)| *bytes > WORDS_BYTES_MIN)?;
    let budget = bytes.saturating_sub(excess).max(bytes / 2);
    let short = shortened_words(text, budget.max(WORDS_BYTES_MIN));
    (short.len() < bytes).then(|| {
        let mut data = data.clone();
        data[name] = Value::String(short);
        data
    })
}

/// An address to send to. Not repeated in the error: it may be a secret.
pub fn address(text: &str) -> Result<Url, Fault> {
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

/// A post of JSON.
pub fn json_request(url: Url, url_is_secret: bool, body: String) -> client::Request {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    client::Request {
        method: Method::POST,
        url,
        url_is_secret,
        headers,
        body: body.into_bytes(),
    }
}
