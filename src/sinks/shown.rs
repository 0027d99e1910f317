//! What would leave, for people to look at: exactly as it would, but for credentials, which show as `***`.

use std::fmt;

use super::{client, conceal::CONCEALED, spec::AuthSpec};

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

impl Shown {
    /// A request, before credentials are added to it.
    pub(super) fn of(request: &client::Request) -> Self {
        // A webhook's address is a credential itself.
        let url = match request.url_is_secret {
            true => CONCEALED,
            false => request.url.as_str(),
        };
        let headers = request.headers.iter().map(|(name, value)| {
            let value = match value.is_sensitive() {
                true => CONCEALED.to_owned(),
                false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            };
            (name.to_string(), value)
        });
        Self {
            first_line: format!("{} {url}", request.method),
            headers: headers.collect(),
            body_bytes: request.body.len(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
        }
    }

    /// The headers that show who sends it.
    pub(super) fn add_credentials(&mut self, auth: &AuthSpec) {
        let added: &[&str] = match auth {
            AuthSpec::None => &[],
            AuthSpec::Bearer { .. } | AuthSpec::Basic { .. } | AuthSpec::OAuth2 { .. } => {
                &["authorization"]
            }
            AuthSpec::StandardWebhooks { .. } => {
                &["webhook-id", "webhook-timestamp", "webhook-signature"]
            }
        };
        for name in added {
            self.headers
                .push(((*name).to_owned(), CONCEALED.to_owned()));
        }
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
