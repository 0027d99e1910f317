//! What parts of `destinations.toml` say once they are checked, whatever the channel: texts and requests, credentials and
//! certificates, what answers mean, how people are found.

use std::{path::PathBuf, time::Duration};

use super::{
    expression::{Condition, Expression},
    secret_ref::SecretRef,
    template::Template,
};

/// One HTTP request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Address, with `http://` or `https://`.
    pub url: Text,
    /// Headers by name as written, in the order of their names; names are unique whatever their case.
    pub headers: Vec<(String, Text)>,
    /// Body.
    pub body: Body,
}

impl Request {
    /// Its address and headers, each with the end of its key.
    #[must_use]
    pub fn texts(&self) -> Vec<(String, &Text)> {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, text)| (format!("headers.{name}"), text));
        std::iter::once(("url".to_owned(), &self.url))
            .chain(headers)
            .collect()
    }
}

/// Method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// As it stands on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether it carries the data where no body is written.
    #[must_use]
    pub const fn has_body(self) -> bool {
        match self {
            Self::Post | Self::Put | Self::Patch => true,
            Self::Get | Self::Delete => false,
        }
    }
}

/// Body of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// None.
    None,
    /// The output's data, as the field policy leaves it, as JSON.
    Data,
    /// A template. Where `json`, the result must be JSON, else the output is not sent.
    Template {
        /// The template.
        template: Template,
        /// Whether the content type says that it is JSON.
        json: bool,
    },
}

/// Text that goes out.
#[derive(Clone, Debug, PartialEq)]
pub enum Text {
    /// Written in the configuration.
    Template(Template),
    /// Kept elsewhere.
    Secret(SecretRef),
}

/// How long an attempt may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// Until the answer is complete; at least `connect`.
    pub total: Duration,
}

/// What is shown to be let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthSpec {
    /// Nothing.
    #[default]
    None,
    /// `Authorization: Bearer`.
    Bearer {
        /// The token.
        token: SecretRef,
    },
    /// `Authorization: Basic`, or the login of a mail server.
    Basic {
        /// Name; a reference or the name itself.
        user: Identity,
        /// Password.
        password: SecretRef,
    },
    /// OAuth 2 client credentials (RFC 6749, 4.4); the token is kept until shortly before it expires.
    OAuth2 {
        /// Token endpoint; `vars` are filled in.
        token_url: String,
        /// Client id; a reference or the id itself.
        client_id: Identity,
        /// Client secret.
        client_secret: SecretRef,
        /// Scopes, separated by spaces.
        scope: Option<String>,
        /// Where id and secret stand in the token request.
        credentials_in: CredentialsIn,
    },
    /// Signed as Standard Webhooks have it.
    StandardWebhooks {
        /// Signing secret, `whsec_...`.
        secret: SecretRef,
    },
}

/// A name that need not be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The name itself.
    Plain(String),
    /// Kept elsewhere.
    Reference(SecretRef),
}

/// Where client id and secret stand in a token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialsIn {
    /// `Authorization: Basic`, which every server has to take.
    Header,
    /// `client_id` and `client_secret` in the form.
    Body,
}

/// Whom to trust, and what to be trusted by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSpec {
    /// Certificates (PEM) to trust besides the system's own.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, for mutual TLS (S3.06).
    pub identity: Option<TlsIdentity>,
}

/// A certificate of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The certificate and what leads to its root (PEM).
    pub cert_file: PathBuf,
    /// Its private key (PEM).
    pub key_file: PathBuf,
}

/// What an answer means. The variables are `status`, `headers`, `body`, `in_doubt`, and those of the output.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Holds if it was done.
    pub success: Condition,
    /// Holds if another attempt is worth it, where `success` does not.
    pub again: Condition,
    /// Holds if our credentials are not accepted, where neither of those does (S3.16).
    pub unauthorized: Condition,
    /// Which answers besides these refuse for good.
    pub refusals: Refusals,
    /// The outcome event's `status`; `None`: the word of the outcome rule.
    pub status: Option<Expression>,
    /// The outcome event's `response`, an object; `None`: none.
    pub response: Option<Expression>,
    /// The destination's own ids in an answer, by name.
    pub keep: Vec<(String, Expression)>,
}

/// Which answers are a no, of those that are no yes, not worth another attempt, and not about our credentials.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusals {
    /// All of them.
    Rest,
    /// A 200 or 201 whose `body.status` is another than `success` asks for and says that it is decided (S3.07). Money
    /// hangs on a no here, so nothing else is one (S3.16).
    OtherStatus,
    /// Those this holds for, and no others.
    When(Condition),
}

/// A request tried after certain answers to the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct Fallback {
    /// Holds for the answers it is tried after; variables as of a judgement.
    pub when: Condition,
    /// The request: what the fallback does not say is as the destination says.
    pub request: Request,
}

/// A question about one output whose outcome nobody knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Inquiry {
    /// A `GET` without a body.
    pub request: Request,
    /// Over what it said: `{status, body}`, the answer that the output's own request would have got; `null` if the
    /// destination does not know the output. Variables as of a judgement.
    pub answer: Expression,
}

/// A question for all rewards a destination knows, page by page.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// A `GET` without a body. Variables: `vars`, `from` and `to` (RFC 3339), and `cursor` from the second page on.
    pub request: Request,
    /// Over a page: the list of its rewards, `{id, status, points?, order?}`. Variables as of the request, and those
    /// of an answer; `cursor` is null for the first page.
    pub items: Expression,
    /// Over a page: the cursor of the next one, or null. `None`: there is one page.
    pub next: Option<Expression>,
}

/// One way to find the people a message is for.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipientStep {
    /// Outputs it is for; `None`: all.
    pub when: Option<Condition>,
    /// Whom to ask; `None`: `people` needs no answer.
    pub lookup: Option<Lookup>,
    /// List of people `{name, email, slack}`, over the answer and the output. An empty list: the next step is asked.
    pub people: Expression,
}

/// A request for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// Address, asked with GET.
    pub url: Template,
    /// What is shown to be let in.
    pub auth: AuthSpec,
    /// Whom to trust, and what to be trusted by.
    pub tls: TlsSpec,
    /// Until the answer is complete.
    pub timeout: Duration,
    /// How long an answer is used again; zero: it is not.
    pub cache: Duration,
}
