//! Reading templates, references to secrets and expressions out of `destinations.toml`, and remembering where each
//! stands, so that what is found out later is said of its line.

use std::collections::BTreeMap;

use super::{
    expression::{Condition, Expression},
    scope::REQUEST,
    secret_ref::SecretRef,
    spec::Text,
    template::{Escape, Template},
};
use crate::config::{document::Section, units::Span};

/// What all parts of the file are read with.
pub(super) struct Reader {
    pub(super) vars: BTreeMap<String, String>,
    /// Line of each template and expression, by its key.
    pub(super) lines: BTreeMap<String, usize>,
}

impl Reader {
    /// Notes where a key stands, and says how errors name it.
    pub(super) fn place(&mut self, s: &Section<'_, '_>, key: &str) -> String {
        let path = format!("{}.{key}", s.path());
        self.lines.insert(path.clone(), s.line(key));
        path
    }

    pub(super) fn template(
        &mut self,
        s: &mut Section<'_, '_>,
        key: &'static str,
        escape: Escape,
        known: &[&str],
    ) -> Option<Template> {
        let path = self.place(s, key);
        s.text(key, |text| template(&path, text, escape, known))
    }

    /// A template, or a reference to what is written elsewhere.
    pub(super) fn text(
        &mut self,
        s: &mut Section<'_, '_>,
        key: &'static str,
        escape: Escape,
        known: &[&str],
    ) -> Option<Text> {
        let path = self.place(s, key);
        s.text(key, |text| text_or_secret(&path, text, escape, known))
    }

    pub(super) fn expression(
        &mut self,
        s: &mut Section<'_, '_>,
        key: &'static str,
        known: &[&str],
    ) -> Option<Expression> {
        self.place(s, key);
        s.text(key, |text| {
            Expression::parse(text, known).map_err(|error| error.to_string())
        })
    }

    pub(super) fn condition(
        &mut self,
        s: &mut Section<'_, '_>,
        key: &'static str,
        known: &[&str],
    ) -> Option<Condition> {
        self.place(s, key);
        s.text(key, |text| {
            Condition::parse(text, known).map_err(|error| error.to_string())
        })
    }

    /// `url` of a webhook.
    pub(super) fn webhook(&mut self, s: &mut Section<'_, '_>) -> Option<Text> {
        let url = self.text(s, "url", Escape::Url, &REQUEST);
        if !s.has("url") {
            s.missing(
                "url",
                "the webhook, best as a reference such as \"env:NAME\": who knows it can post",
            );
        }
        url
    }
}

pub(super) fn template(
    path: &str,
    text: &str,
    escape: Escape,
    known: &[&str],
) -> Result<Template, String> {
    Template::parse(path, text, escape, known)
        .map_err(|error| format!("in line {} of the template: {}", error.line, error.why))
}

pub(super) fn text_or_secret(
    path: &str,
    text: &str,
    escape: Escape,
    known: &[&str],
) -> Result<Text, String> {
    if SecretRef::is_meant(text) {
        let reference = text.parse().map_err(|form| format!("allowed: {form}"))?;
        return Ok(Text::Secret(reference));
    }
    template(path, text, escape, known).map(Text::Template)
}

/// The value that `text` names among `known`.
pub(super) fn one_of<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    let found = known.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<String> = known.iter().map(|(name, _)| format!("{name:?}")).collect();
        match names.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => String::new(),
        }
    })
}

/// A duration between two bounds, both included.
pub(super) fn span(
    s: &mut Section<'_, '_>,
    key: &'static str,
    default: Span,
    bounds: (Span, Span),
) -> Span {
    s.string(key, default, |text| {
        let (least, most) = bounds;
        text.parse()
            .ok()
            .filter(|span| (least..=most).contains(span))
            .ok_or_else(|| format!("{} from {least} to {most}", Span::FORM))
    })
}

/// Whether the name of a header or variable says that its value lets someone in.
pub(super) fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let whole = ["authorization", "proxy_authorization", "cookie"];
    let parts = [
        "token",
        "secret",
        "password",
        "passwd",
        "api_key",
        "apikey",
        "private_key",
    ];
    whole.contains(&name.as_str()) || parts.iter().any(|part| name.contains(part))
}

/// Whether a rendered address can be asked: `http` or `https`, a host, and no login within.
pub(super) fn address(url: &str) -> Result<(), String> {
    let form = "not an address such as \"https://crm.example.com/v1\"";
    let parsed = reqwest::Url::parse(url).map_err(|_| form.to_owned())?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return Err(form.to_owned());
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("an address with a login in it (not shown); write it as `auth`".to_owned());
    }
    Ok(())
}

/// Whether what goes to a rendered address can be read on the way: `http` to another machine.
pub(super) fn is_exposed(url: &str) -> bool {
    let Ok(parsed) = reqwest::Url::parse(url) else {
        return false;
    };
    let host = parsed.host_str().unwrap_or_default();
    let ip = host.trim_start_matches('[').trim_end_matches(']');
    let local = host == "localhost"
        || host.ends_with(".localhost")
        || ip
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    parsed.scheme() == "http" && !local
}
