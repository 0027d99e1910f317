//! The keys of each channel: `url`, `headers`, `body` of HTTP, `to`, `text`, `card` and the like of the others.

use super::{
    Reader,
    auth::sounds_secret,
    entry::{Via, one_of},
    template, text_or_secret,
};
use crate::{
    config::document::Section,
    sinks::{
        destination::{
            AuthSpec, Body, Channel, Fallback, Method, Request, SmtpSecurity, SmtpServer, Text,
        },
        expression::Condition,
        scope::{ANSWER, MESSAGE, REQUEST},
        template::{Escape, Template},
    },
};

/// Every key that not all channels have.
const KEYS: [&str; 17] = [
    "url", "method", "headers", "body", "fallback", "to", "text", "blocks", "card", "smtp",
    "starttls", "ehlo", "from", "subject", "html", "lookup", "list",
];

const fn keys_of(via: Via) -> (&'static str, &'static [&'static str]) {
    match via {
        Via::Http => (
            "http",
            &[
                "url", "method", "headers", "body", "fallback", "lookup", "list",
            ],
        ),
        Via::Slack => ("slack", &["url", "to", "text", "blocks"]),
        Via::SlackWebhook => ("slack_webhook", &["url", "text", "blocks"]),
        Via::Teams => ("teams", &["url", "card"]),
        Via::Email => (
            "email",
            &[
                "smtp", "starttls", "ehlo", "from", "to", "subject", "html", "text",
            ],
        ),
    }
}

/// Reads the channel's own keys, and refuses those of others.
pub(super) fn read(reader: &mut Reader, s: &mut Section<'_, '_>, via: Via) -> Option<Channel> {
    let (name, own) = keys_of(via);
    for key in KEYS {
        if !own.contains(&key) {
            s.refuse(
                &[key],
                &format!(
                    "channel {name:?} has no such key (it has {})",
                    own.join(", ")
                ),
            );
        }
    }
    match via {
        Via::Http => request(reader, s, None).map(Channel::Http),
        Via::Slack => {
            let api = if s.has("url") {
                reader.text(s, "url", Escape::Url, &REQUEST)
            } else {
                reader.text(s, "url", Escape::Url, &REQUEST);
                template("slack api", "https://slack.com/api", Escape::Url, &[])
                    .ok()
                    .map(Text::Template)
            };
            let to = reader.template(s, "to", Escape::Text, &MESSAGE);
            let (text, blocks) = slack_message(reader, s);
            Some(Channel::Slack {
                api: api?,
                to,
                text,
                blocks,
            })
        }
        Via::SlackWebhook => {
            let url = webhook(reader, s);
            let (text, blocks) = slack_message(reader, s);
            Some(Channel::SlackWebhook {
                url: url?,
                text,
                blocks,
            })
        }
        Via::Teams => {
            let url = webhook(reader, s);
            let card = reader.template(s, "card", Escape::Json, &MESSAGE);
            Some(Channel::Teams { url: url?, card })
        }
        Via::Email => email(reader, s),
    }
}

fn slack_message(
    reader: &mut Reader,
    s: &mut Section<'_, '_>,
) -> (Option<Template>, Option<Template>) {
    (
        reader.template(s, "text", Escape::Text, &MESSAGE),
        reader.template(s, "blocks", Escape::Json, &MESSAGE),
    )
}

fn webhook(reader: &mut Reader, s: &mut Section<'_, '_>) -> Option<Text> {
    let url = reader.text(s, "url", Escape::Url, &REQUEST);
    if !s.has("url") {
        s.missing(
            "url",
            "the webhook, best as a reference such as \"env:NAME\": who knows it can post",
        );
    }
    url
}

fn email(reader: &mut Reader, s: &mut Section<'_, '_>) -> Option<Channel> {
    let starttls = s.string("starttls", SmtpSecurity::StartTls, |text| {
        one_of(
            text,
            &[
                ("required", SmtpSecurity::StartTls),
                ("off", SmtpSecurity::Off),
            ],
        )
    });
    let ehlo = s.word("ehlo", host);
    let smtp = s.word("smtp", |text| server(text, starttls));
    if !s.has("smtp") {
        s.missing("smtp", SERVER_FORM);
    }
    let from = reader.template(s, "from", Escape::Text, &REQUEST);
    if !s.has("from") {
        s.missing(
            "from",
            "the sender, such as \"aftercall <aftercall@example.com>\"",
        );
    }
    let to = reader.template(s, "to", Escape::Text, &MESSAGE);
    let subject = reader.template(s, "subject", Escape::Text, &MESSAGE);
    let html = reader.template(s, "html", Escape::Html, &MESSAGE);
    let text = reader.template(s, "text", Escape::Text, &MESSAGE);
    Some(Channel::Email {
        smtp: SmtpServer { ehlo, ..smtp? },
        from: from?,
        to,
        subject,
        html,
        text,
    })
}

/// A host's name, or an address in brackets, as EHLO has it (RFC 5321, 4.1.1.1).
fn host(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(plain)
    };
    let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let is_host = match inside {
        Some(address) => address
            .strip_prefix("IPv6:")
            .unwrap_or(address)
            .parse::<std::net::IpAddr>()
            .is_ok(),
        None => text.len() <= 253 && text.split('.').all(is_label),
    };
    match is_host {
        true => Ok(text.to_owned()),
        false => Err(
            "a host name such as \"aftercall.example.com\", or an address such as \"[192.0.2.1]\""
                .to_owned(),
        ),
    }
}

const SERVER_FORM: &str =
    "a mail server such as \"smtp://mail.example.com:587\" or \"smtps://mail.example.com\"";

fn server(text: &str, starttls: SmtpSecurity) -> Result<SmtpServer, String> {
    let form = || SERVER_FORM.to_owned();
    let (scheme, rest) = text.split_once("://").ok_or_else(form)?;
    let (security, port) = match scheme {
        "smtp" => (starttls, 587),
        "smtps" => (SmtpSecurity::Tls, 465),
        _ => return Err(form()),
    };
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        // Within the brackets of an IPv6 address a colon is no port.
        Some((host, digits)) if !digits.ends_with(']') => {
            let port = digits.parse().ok().filter(|port| *port > 0);
            (host, port.ok_or_else(form)?)
        }
        Some(_) | None => (rest, port),
    };
    let odd = |c: char| c.is_whitespace() || "/@?#".contains(c);
    if host.is_empty() || host.contains(odd) {
        return Err(form());
    }
    Ok(SmtpServer {
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        security,
        ehlo: None,
    })
}

/// Reads `method`, `url`, `headers` and `body`. What a fallback does not say is as `base` says.
fn request(
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
pub(super) fn headers(
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
                crate::sinks::secret_ref::SecretRef::FORM
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
pub(super) fn fallbacks(
    reader: &mut Reader,
    s: &mut Section<'_, '_>,
    channel: Option<&Channel>,
) -> Vec<Fallback> {
    let base = match channel {
        Some(Channel::Http(request)) => request,
        Some(
            Channel::Slack { .. }
            | Channel::SlackWebhook { .. }
            | Channel::Teams { .. }
            | Channel::Email { .. },
        )
        | None => {
            // Without the request that they fall back from they cannot be read; what is wrong with it is noted.
            s.tables("fallback", |entry| entry.take_all());
            return Vec::new();
        }
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
pub(super) fn names_the_reward(request: &Request) -> bool {
    let texts = request.headers.iter().map(|(_, text)| text);
    let mut templates = texts.chain([&request.url]).filter_map(|text| match text {
        Text::Template(template) => Some(template),
        Text::Secret(_) => None,
    });
    templates.any(|t| t.uses("id") || t.source().contains("reward_id"))
}

/// Whether the credentials are of a kind that the channel can show.
pub(super) fn check_auth(s: &mut Section<'_, '_>, via: Via, auth: Option<&AuthSpec>) {
    let Some(auth) = auth else {
        return;
    };
    let problem = match (via, auth) {
        (Via::Slack, AuthSpec::Bearer { .. }) => None,
        (Via::Slack, AuthSpec::None) => Some(
            "channel \"slack\" needs auth = { kind = \"bearer\", token = \"env:...\" }, the bot token",
        ),
        (Via::Slack, _) => Some("channel \"slack\" takes kind = \"bearer\" only, the bot token"),
        (Via::SlackWebhook | Via::Teams, AuthSpec::None) => None,
        (Via::SlackWebhook | Via::Teams, _) => {
            Some("a webhook is let in by its address, so there is nothing to show besides")
        }
        (Via::Email, AuthSpec::None | AuthSpec::Basic { .. }) => None,
        (Via::Email, _) => Some("channel \"email\" takes kind = \"basic\" only"),
        (Via::Http, _) => None,
    };
    if let Some(problem) = problem {
        s.conflict("auth", problem.to_owned());
    }
}
