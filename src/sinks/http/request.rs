//! Requests over HTTP as they are configured, rendered.

use aftercall_actors::contract::output::Kind;
use reqwest::{
    Method,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use crate::{
    delivery::attempt::Fault,
    sinks::{
        client,
        drafter::{Drafter, address, is_secret, render, shortened_data},
        scope::Scope,
        sending::Sending,
        spec::{self, Body, Text},
    },
};

/// A configured request, in which what people wrote at length is shortened until its body fits: an alert with half a
/// comment is an alert. Nothing else is: what does not fit even so is refused before it is sent (S4.07).
pub fn fitting_request(
    out: Sending<'_>,
    request: &spec::Request,
    scope: &Scope,
) -> Result<client::Request, Fault> {
    let Sending { drafter, view, .. } = out;
    let mut written = request_of(drafter, request, scope)?;
    if view.parcel.kind != Kind::Alert {
        return Ok(written);
    }
    let bytes_max = drafter.body_bytes_max;
    let mut data = view.parcel.data.clone();
    while written.body.len() > bytes_max {
        let Some(shorter) = shortened_data(&data, written.body.len() - bytes_max) else {
            break;
        };
        data = shorter;
        written = request_of(drafter, request, &scope.clone().with("data", data.clone()))?;
    }
    Ok(written)
}

/// A configured request, rendered.
pub fn request_of(
    drafter: &Drafter,
    request: &spec::Request,
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
        let value = drafter.text(text, scope)?;
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
        url: address(&drafter.text(&request.url, scope)?)?,
        url_is_secret: is_secret(&request.url),
        headers,
        body: body.into_bytes(),
    })
}

const fn method(method: spec::Method) -> Method {
    match method {
        spec::Method::Get => Method::GET,
        spec::Method::Post => Method::POST,
        spec::Method::Put => Method::PUT,
        spec::Method::Patch => Method::PATCH,
        spec::Method::Delete => Method::DELETE,
    }
}
