//! Requests over HTTP as they are configured, rendered.

use aftercall_actors::contract::output::Kind;
use reqwest::{
    Method, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{Draft, Drafter, View, is_secret, render};
use crate::{
    delivery::attempt::Fault,
    sinks::{
        client,
        destination::{self, Body, Text},
        message::shortened_words,
        scope::Scope,
    },
};

/// An alert's data in which the longest of what people wrote in their own words is cut by about so many bytes; nothing if
/// there is nothing left to cut. It may stand in a message more than once, or take more room there: so step by step.
pub(super) fn shortened_data(data: &Value, excess: usize) -> Option<Value> {
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

impl Drafter {
    /// A configured request, in which what people wrote at length is shortened until its body fits: an alert with half a
    /// comment is an alert. Nothing else is: what does not fit even so is refused before it is sent (S4.07).
    pub(in crate::sinks::courier) fn fitting_request(
        &self,
        request: &destination::Request,
        view: &View,
        scope: &Scope,
        bytes_max: usize,
    ) -> Result<client::Request, Fault> {
        let mut written = self.request(request, scope)?;
        if view.parcel.kind != Kind::Alert {
            return Ok(written);
        }
        let mut data = view.parcel.data.clone();
        while written.body.len() > bytes_max {
            let Some(shorter) = shortened_data(&data, written.body.len() - bytes_max) else {
                break;
            };
            data = shorter;
            written = self.request(request, &scope.clone().with("data", data.clone()))?;
        }
        Ok(written)
    }

    /// A configured request, rendered.
    pub(in crate::sinks::courier) fn request(
        &self,
        request: &destination::Request,
        scope: &Scope,
    ) -> Result<client::Request, Fault> {
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
        Ok(client::Request {
            method: method(request.method),
            url: address(&self.text(&request.url, scope)?)?,
            url_is_secret: is_secret(&request.url),
            headers,
            body: body.into_bytes(),
        })
    }

    pub(super) fn hook(&self, url: &Text, scope: &Scope, body: String) -> Result<Draft, Fault> {
        let url_text = self.text(url, scope)?;
        let url_is_secret = is_secret(url);
        let request = json_request(address(&url_text)?, url_is_secret, body);
        Ok(Draft::Web(request))
    }

    pub(super) fn text(&self, text: &Text, scope: &Scope) -> Result<String, Fault> {
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

/// An address to send to. Not repeated in the error: it may be a secret.
pub(in crate::sinks::courier) fn address(text: &str) -> Result<Url, Fault> {
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

pub(in crate::sinks::courier) fn json_request(
    url: Url,
    url_is_secret: bool,
    body: String,
) -> client::Request {
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

const fn method(method: destination::Method) -> Method {
    match method {
        destination::Method::Get => Method::GET,
        destination::Method::Post => Method::POST,
        destination::Method::Put => Method::PUT,
        destination::Method::Patch => Method::PATCH,
        destination::Method::Delete => Method::DELETE,
    }
}
