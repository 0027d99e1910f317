//! The keys of a mail: its server, its sender, and the templates of its parts.

use super::smtp::{SmtpSecurity, SmtpServer};
use crate::{
    config::document::Section,
    sinks::{
        reader::{Reader, one_of},
        scope::{MESSAGE, REQUEST},
        template::{Escape, Template},
    },
};

/// A letter.
#[derive(Clone, Debug, PartialEq)]
pub struct Email {
    /// The server.
    pub smtp: SmtpServer,
    /// Sender.
    pub from: Template,
    /// A list of addresses; `None`: those of the recipients.
    pub to: Option<Template>,
    /// Subject line; `None`: the built-in one.
    pub subject: Option<Template>,
    /// HTML part; `None`: the built-in one.
    pub html: Option<Template>,
    /// Text part; `None`: the built-in one.
    pub text: Option<Template>,
}

pub(in crate::sinks) fn read(reader: &mut Reader, s: &mut Section<'_, '_>) -> Option<Email> {
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
    Some(Email {
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
