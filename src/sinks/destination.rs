//! What `destinations.toml` says, checked: each value here is in range, each template and expression parses and uses
//! variables that exist. `file` makes them; the driver reads `policy`, the courier the rest.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use aftercall_actors::contract::output::Severity;

use super::{
    expression::{Condition, Expression},
    secret_ref::SecretRef,
    selector::Selector,
    template::Template,
};
use crate::delivery::policy::{Policy, Start};

/// Everything that outputs are delivered to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Destinations {
    /// The operator's own words for templates: `{{ vars.crm }}`.
    pub vars: BTreeMap<String, String>,
    /// How the people a message is for are found, in the order they are asked (S2.09, S2.10).
    pub recipients: Vec<RecipientStep>,
    /// The destinations, in the order of the file; names are unique.
    pub destinations: Vec<Destination>,
}

/// One place that outputs go to.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// Its name, `[a-z0-9_-]{1,40}`: part of subjects in the log, label of metrics. Fixed once it has delivered.
    pub name: String,
    /// Which outputs it takes.
    pub selector: Selector,
    /// Where it begins the first time it ever runs.
    pub start: Start,
    /// What is sent, and how.
    pub channel: Channel,
    /// Outputs that render to the same text here go one at a time, in their order; `None`: each on its own.
    pub thread: Option<Template>,
    /// How it is driven.
    pub policy: Policy,
    /// How much it matters to operators that it gives up on outputs; `None`: they are not told.
    pub alarm: Option<Severity>,
    /// How long an attempt may take.
    pub timeouts: Timeouts,
    /// What is shown to be let in.
    pub auth: AuthSpec,
    /// Whom to trust, and what to be trusted by.
    pub tls: TlsSpec,
    /// Largest body sent (S4.07). Unit: bytes.
    pub body_bytes_max: usize,
    /// Largest answer taken (S5.05). Unit: bytes.
    pub answer_bytes_max: usize,
    /// What an answer means.
    pub judgement: Judgement,
    /// What is tried in the same attempt after certain answers, in this order (S4.06).
    pub fallbacks: Vec<Fallback>,
    /// How it is asked what became of an attempt (S3.09); `None`: it cannot be, and the same is sent again.
    pub lookup: Option<Inquiry>,
    /// How it is asked for all rewards it knows, for `ledger verify`; `None`: it cannot be.
    pub list: Option<Listing>,
}

/// What is sent, and how.
#[derive(Clone, Debug, PartialEq)]
pub enum Channel {
    /// Any HTTP system.
    Http(Request),
    /// Slack's Web API: `chat.postMessage`, and `chat.update` for later outputs of a thread.
    Slack {
        /// Base of the API; `https://slack.com/api` unless set.
        api: Text,
        /// Channel or user ids, each of which is told; `None`: those of the recipients.
        to: Option<Template>,
        /// Plain text, also the notification; `None`: the built-in words.
        text: Option<Template>,
        /// Block Kit blocks, a JSON array; `None`: the built-in message.
        blocks: Option<Template>,
    },
    /// A Slack incoming webhook, which cannot update.
    SlackWebhook {
        /// The webhook, in most cases a secret itself.
        url: Text,
        /// As of `Slack`.
        text: Option<Template>,
        /// As of `Slack`.
        blocks: Option<Template>,
    },
    /// A Microsoft Teams Workflows webhook.
    Teams {
        /// The webhook, in most cases a secret itself.
        url: Text,
        /// Adaptive Card, a JSON object; `None`: the built-in card.
        card: Option<Template>,
    },
    /// Mail over SMTP.
    Email {
        /// The server.
        smtp: SmtpServer,
        /// Sender.
        from: Template,
        /// A list of addresses; `None`: those of the recipients.
        to: Option<Template>,
        /// Subject line; `None`: the built-in one.
        subject: Option<Template>,
        /// HTML part; `None`: the built-in one.
        html: Option<Template>,
        /// Text part; `None`: the built-in one.
        text: Option<Template>,
    },
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpServer {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is secured.
    pub security: SmtpSecurity,
    /// The name said in EHLO; `None`: the machine's.
    pub ehlo: Option<String>,
}

/// How a connection to a mail server is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS from the first byte (`smtps://`).
    Tls,
    /// `STARTTLS`, or nothing is sent.
    StartTls,
    /// None.
    Off,
}

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
