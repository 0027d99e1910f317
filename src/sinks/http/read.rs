//! The keys of an HTTP request, `url`, `method`, `headers` and `body`, and those of its fallbacks.

use crate::{
    config::document::Section,
    sinks::{
        expression::Condition,
        reader::{Reader, one_of, sounds_secret, text_or_secret},
        scope::{ANSWER, REQUEST},
        secret_ref::SecretRef,
        spec::{Body, Fallback, Method, Request, Text},
        template::Escape,
    },
};

/// Reads `method`, `url`, `headers` and `body`. What a fallback does not say is as `base` says.
pub(in crate::sinks) fn request(
    reader: &mut Reader,
    s: &mut Section<'_, '_>,
    base: Option<&Request>,
) -> Option<Request> {
    let methods = Method::ALL.map(|method| (method.name(), method));
    let method = s.string("method", base.map_or(Method::Post, |b| b.method), |text| {
        one_of(text, &methods)
    });
    let url = if s.has("url") {
        reader.text(s, "url", Escape::Url, &REQUEST)
    } else {
        reader.text(s, "url", Escape::Url, &REQUEST);
        if base.is_none() {
            s.missing(
                "url",
                "the address, such as \"{{ vars.crm }}/v1/customers\"",
            );
        }
        base.map(|b| b.url.clone())
    };
    let headers = headers(reader, s, base, &REQUEST);
    let body = body(reader, s, base, method, &headers);
    Some(Request {
        method,
        url: url?,
        headers,
        body: body?,
    })
}

/// Reads `headers`, whose templates may use the variables `known`.
pub(in crate::sinks) fn headers(
    reader: &mut Reader,
    s: &mut Section<'_, '_>,
    base: Option<&Request>,
    known: &[&str],
) -> Vec<(String, Text)> {
    let path = reader.place(s, "headers");
    let line = s.line("headers");
    let lines = &mut reader.lines;
    let own = s.pairs("headers", |name, text| {
        let path = format!("{path}.{name}");
        lines.insert(path.clone(), line);
        header(&path, name, text, known).map(|text| (name.to_owned(), text))
    });
    merged(s, base, own)
}

fn header(path: &str, name: &str, text: &str, known: &[&str]) -> Result<Text, String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err("not the name of a header".to_owned());
    }
    let ours = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
        "upgrade",
    ];
    if ours.contains(&name.to_ascii_lowercase().as_str()) {
        return Err("is set by the program itself".to_owned());
    }
    let text = text_or_secret(path, text, Escape::Text, known)?;
    match &text {
        Text::Template(template) if sounds_secret(name) && !template.has_variables() => {
            Err(format!(
                "a literal is not taken (and not shown), allowed: {}, or `auth`",
                SecretRef::FORM
            ))
        }
        Text::Template(_) | Text::Secret(_) => Ok(text),
    }
}

/// The base's headers with the own ones in their place; by name.
fn merged(
    s: &mut Section<'_, '_>,
    base: Option<&Request>,
    own: Vec<(String, Text)>,
) -> Vec<(String, Text)> {
    let mut headers: Vec<(String, Text)> = Vec::with_capacity(own.len());
    for (name, text) in own {
        if headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(&name)) {
            s.conflict(
                "headers",
                format!("{name} stands there twice; case makes no difference"),
            );
        }
        headers.push((name, text));
    }
    for (name, text) in base.into_iter().flat_map(|b| &b.headers) {
        if !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
            headers.push((name.clone(), text.clone()));
        }
    }
    headers.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    headers
}

fn body(
    reader: &mut Reader,
    s: &mut Section<'_, '_>,
    base: Option<&Request>,
    method: Method,
    headers: &[(String, Text)],
) -> Option<Body> {
    let content = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .and_then(|(_, text)| match text {
            Text::Template(template) => Some(template.source().to_ascii_lowercase()),
            Text::Secret(_) => None,
        });
    let escape = match content.as_deref() {
        None => Escape::Json,
        Some(content) if content.contains("json") => Escape::Json,
        Some(content) if content.contains("x-www-form-urlencoded") => Escape::Url,
        Some(content) if content.contains("html") || content.contains("xml") => Escape::Html,
        Some(_) => Escape::Text,
    };
    let json = escape == Escape::Json;
    let written = reader.template(s, "body", escape, &REQUEST);
    if s.has("body") {
        if !method.has_body() {
            s.conflict(
                "body",
                format!("a {} request carries no body", method.name()),
            );
        }
        return written.map(|template| Body::Template { template, json });
    }
    let inherited = base
        .map(|b| b.body.clone())
        .filter(|body| *body != Body::None);
    let body = match (method.has_body(), inherited) {
        (false, _) => Body::None,
        (true, Some(body)) => body,
        (true, None) => Body::Data,
    };
    if body == Body::Data && !json {
        s.missing(
            "body",
            "without one the data is sent as JSON, and content-type says otherwise",
        );
    }
    Some(body)
}

/// Reads `fallback`, of which each is tried after certain answers.
pub(in crate::sinks) fn fallbacks(
    reader: &mut Reader,
    s: &mut Section<'_, '_>,
    base: Option<&Request>,
) -> Vec<Fallback> {
    let Some(base) = base else {
        // Without the request that they fall back from they cannot be read; what is wrong with it is noted.
        s.tables("fallback", |entry| entry.take_all());
        return Vec::new();
    };
    let read = s.tables("fallback", |s| {
        let when: Option<Condition> = reader.condition(s, "when", &ANSWER);
        if !s.has("when") {
            s.missing(
                "when",
                "the answers after which it is tried, such as \"status == 404\"",
            );
        }
        let request = request(reader, s, Some(base));
        Some(Fallback {
            when: when?,
            request: request?,
        })
    });
    read.into_iter().flatten().collect()
}

/// Whether address or headers say which reward they are about, if templates say it at all.
pub(in crate::sinks) fn names_the_reward(request: &Request) -> bool {
    let texts = request.headers.iter().map(|(_, text)| text);
    let mut templates = texts.chain([&request.url]).filter_map(|text| match text {
        Text::Template(template) => Some(template),
        Text::Secret(_) => None,
    });
    templates.any(|t| t.uses("id") || t.source().contains("reward_id"))
}
