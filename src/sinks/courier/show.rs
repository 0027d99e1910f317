//! What would leave, for people to look at: exactly as it would, but for credentials, which show as `***`.

use std::fmt;

use super::draft::Draft;
use crate::{
    delivery::attempt::Fault,
    sinks::{
        client,
        conceal::CONCEALED,
        destination::{AuthSpec, Channel, Destination, Text},
    },
};

/// One request or email.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// `POST https://...`, or the envelope of an email.
    pub first_line: String,
    /// Names and values, in the order they are sent.
    pub headers: Vec<(String, String)>,
    /// Body as text.
    pub body: String,
    /// Bytes of the body.
    pub body_bytes: usize,
}

pub(super) fn shown(destination: &Destination, draft: Draft) -> Result<Shown, Fault> {
    match draft {
        Draft::Web(request) => Ok(web(destination, &request)),
        // The others get the same.
        Draft::Slack(slack) => match slack.targets.first() {
            Some(target) => Ok(web(destination, &slack.request(&slack.first(target))?)),
            None => Ok(Shown::default()),
        },
        Draft::Mail { letter, .. } => {
            let to: Vec<String> = letter.to.iter().map(ToString::to_string).collect();
            let text = String::from_utf8_lossy(&letter.bytes).into_owned();
            Ok(Shown {
                first_line: format!("from {} to {}", letter.from, to.join(", ")),
                headers: Vec::new(),
                body_bytes: letter.bytes.len(),
                body: text,
            })
        }
    }
}

fn web(destination: &Destination, request: &client::Request) -> Shown {
    // A webhook's address is a credential itself.
    let url = match &destination.channel {
        Channel::Http(configured) => &configured.url,
        Channel::Slack { api: url, .. }
        | Channel::SlackWebhook { url, .. }
        | Channel::Teams { url, .. } => url,
        Channel::Email { .. } => return Shown::default(),
    };
    let url = match url {
        Text::Secret(_) => CONCEALED,
        Text::Template(_) => request.url.as_str(),
    };
    let mut headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|(name, value)| {
            let value = match value.is_sensitive() {
                true => CONCEALED.to_owned(),
                false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            };
            (name.to_string(), value)
        })
        .collect();
    let added: &[&str] = match destination.auth {
        AuthSpec::None => &[],
        AuthSpec::Bearer { .. } | AuthSpec::Basic { .. } | AuthSpec::OAuth2 { .. } => {
            &["authorization"]
        }
        AuthSpec::StandardWebhooks { .. } => {
            &["webhook-id", "webhook-timestamp", "webhook-signature"]
        }
    };
    for name in added {
        headers.push(((*name).to_owned(), CONCEALED.to_owned()));
    }
    Shown {
        first_line: format!("{} {url}", request.method),
        headers,
        body_bytes: request.body.len(),
        body: String::from_utf8_lossy(&request.body).into_owned(),
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.first_line)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        if self.headers.is_empty() && self.body.is_empty() {
            return Ok(());
        }
        write!(f, "\n{}", self.body)
    }
}
