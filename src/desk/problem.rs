//! Errors as RFC 9457 problem details: a program can tell them apart by `type`, a person can read `detail`.

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::{StatusCode, header},
};
use serde::Serialize;

use super::{
    access::{Grant, Roles},
    imports::{IMPORTS_MAX, RECEIVED_MAX},
};
use crate::shard::ask::AskError;

/// Content type of every error this server answers.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What went wrong. The name of the variant, as [`Problem::kind`] spells it, ends the `type` of the answer and is part
/// of the public contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The body or the envelope cannot be read at all.
    Malformed(String),
    /// No token, or none that is valid.
    Unauthorized,
    /// A valid token whose roles do not allow this.
    Forbidden {
        /// Which role is needed, and which there are.
        detail: String,
        /// The roles of which one is needed, as `WWW-Authenticate` lists them.
        needed: String,
    },
    /// Too many unknown tokens were tried from this address.
    TooManyLogins,
    /// An outcome that a destination reports itself.
    Answered(String),
    /// No such route.
    NotFound(String),
    /// The route exists, with other methods.
    MethodNotAllowed {
        /// The methods there are, as `Allow` lists them.
        allow: &'static str,
    },
    /// The sender stopped sending within the body.
    Timeout,
    /// More bytes than are taken.
    TooLarge(String),
    /// A content type that is none of CloudEvents'.
    UnsupportedType(String),
    /// Events that can be read and are wrong. Nothing of the request was stored.
    Invalid(Vec<BadEvent>),
    /// A file that cannot be imported at all. Nothing of it was stored.
    BadFile(String),
    /// A file that can be imported up to a place only, which was done.
    CutOffFile(String),
    /// Parts of the address or the body that are wrong, all of them.
    BadParameters(Vec<BadParameter>),
    /// Nobody who was asked ever claimed a reward of this id.
    UnknownReward(String),
    /// The reward does not take this decision.
    NotWaiting {
        /// Where it stands.
        state: &'static str,
        /// What is possible.
        detail: String,
    },
    /// The reward's program requests nothing.
    ProgramStopped {
        /// Where the reward stands.
        state: &'static str,
        /// What is possible.
        detail: String,
    },
    /// Too many requests wait for the log.
    TooMany,
    /// Too many files are being imported.
    TooManyImports,
    /// The log did not confirm. Some events may be stored; sending all again with the same ids adds none twice.
    Unavailable(String),
    /// An import did not come to its end. Some of it may be stored; the same request again adds none twice.
    NotImported(String),
    /// The partitions cannot say how actors stand at the moment.
    NoAnswer(String),
    /// A mistake of this program.
    Internal(String),
}

/// One event of a request that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadEvent {
    /// Its place in the batch, from 0; 0 for a single event.
    pub index: usize,
    /// A fixed word, as in `aftercall_quarantined_total`.
    pub reason: String,
    /// What is wrong, naming the field.
    pub detail: String,
}

/// A part of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadParameter {
    /// Its name.
    pub name: String,
    /// What is wrong, and what would be right.
    pub detail: String,
}

impl BadParameter {
    /// What is wrong with the parameter of this name.
    #[must_use]
    pub fn new(name: &str, detail: impl Into<String>) -> Self {
        Self {
            // As long as any that is known, and then some.
            name: name.chars().take(40).collect(),
            detail: detail.into(),
        }
    }
}

/// Partitions that do not answer are asked again later, whatever the reason was; a state that cannot be read is a fault.
impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        if error.fault.is_transient() {
            Self::NoAnswer(error.to_string())
        } else {
            tracing::error!(%error, "an actor cannot be asked");
            Self::Internal(error.to_string())
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Errors<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Errors<'a> {
    Events(&'a [BadEvent]),
    Parameters(&'a [BadParameter]),
}

/// Seconds after which a sender that was turned away for load should come back.
const RETRY_AFTER_SECONDS: &str = "1";

impl Problem {
    /// The answer to someone who is known and may not: `what` needs one of `needed`.
    #[must_use]
    pub fn forbidden(grant: &Grant, what: &str, needed: Roles) -> Self {
        let holder = match &grant.holder {
            Some(holder) => format!("the token of {holder}"),
            None => "the token, which names no holder,".to_owned(),
        };
        Self::Forbidden {
            detail: format!(
                "{what} needs the role {}; {holder} has {}",
                needed.words(),
                grant.roles
            ),
            needed: needed.to_string().replace(',', ""),
        }
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::NotFound(_) | Self::UnknownReward(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid(_) | Self::BadFile(_) | Self::CutOffFile(_) | Self::BadParameters(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::NotWaiting { .. } | Self::ProgramStopped { .. } | Self::Answered(_) => {
                StatusCode::CONFLICT
            }
            Self::TooMany | Self::TooManyImports | Self::TooManyLogins => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::Unavailable(_) | Self::NotImported(_) | Self::NoAnswer(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::TooManyLogins => "too-many-logins",
            Self::Answered(_) => "answered-by-destination",
            Self::NotFound(_) => "not-found",
            Self::MethodNotAllowed { .. } => "method-not-allowed",
            Self::Timeout => "timeout",
            Self::TooLarge(_) => "too-large",
            Self::UnsupportedType(_) => "unsupported-type",
            Self::Invalid(_) => "invalid-event",
            Self::BadFile(_) => "invalid-file",
            Self::CutOffFile(_) => "cut-off-file",
            Self::BadParameters(_) => "invalid-parameter",
            Self::UnknownReward(_) => "unknown-reward",
            Self::NotWaiting { .. } => "reward-not-waiting",
            Self::ProgramStopped { .. } => "program-stopped",
            Self::TooMany | Self::TooManyImports => "too-many-requests",
            Self::Unavailable(_) | Self::NotImported(_) => "unavailable",
            Self::NoAnswer(_) => "no-answer",
            Self::Internal(_) => "internal",
        }
    }

    const fn title(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "The request cannot be read",
            Self::Unauthorized => "A valid bearer token is needed",
            Self::Forbidden { .. } => "The token's roles do not allow this",
            Self::TooManyLogins => "Too many tokens that are not valid were tried",
            Self::Answered(_) => "A destination answers this itself",
            Self::NotFound(_) => "There is nothing here",
            Self::MethodNotAllowed { .. } => "This method is not offered here",
            Self::Timeout => "The body did not arrive in time",
            Self::TooLarge(_) => "More than is taken at once",
            Self::UnsupportedType(_) => "This content type is not taken",
            Self::Invalid(_) => "Events are not valid, none was stored",
            Self::BadFile(_) => "The file cannot be imported, nothing was stored",
            Self::CutOffFile(_) => "The file cannot be read to its end",
            Self::NotImported(_) => "The import did not come to its end",
            Self::BadParameters(_) => "Parameters are not valid",
            Self::UnknownReward(_) => "There is no such reward",
            Self::NotWaiting { .. } => "The reward does not take this decision",
            Self::ProgramStopped { .. } => "The reward's program requests nothing",
            Self::TooMany | Self::TooManyImports => "Too many requests at once",
            Self::Unavailable(_) => "The event log did not confirm",
            Self::NoAnswer(_) => "Partitions do not answer at the moment",
            Self::Internal(_) => "A fault of the server",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Malformed(text)
            | Self::TooLarge(text)
            | Self::UnsupportedType(text)
            | Self::BadFile(text)
            | Self::CutOffFile(text)
            | Self::UnknownReward(text)
            | Self::Answered(text)
            | Self::Forbidden { detail: text, .. }
            | Self::NotWaiting { detail: text, .. }
            | Self::ProgramStopped { detail: text, .. }
            | Self::Internal(text) => text.clone(),
            Self::NoAnswer(why) => format!("{why}; ask again later"),
            Self::BadParameters(bad) => match bad.as_slice() {
                [one] => format!("{}: {}", one.name, one.detail),
                all => format!("{} parameters are not valid, see errors", all.len()),
            },
            Self::Unauthorized => {
                "send `Authorization: Bearer <token>` with a token that is configured".into()
            }
            Self::TooManyLogins => {
                "from this address; a valid token is taken again once they are answered".into()
            }
            Self::NotFound(path) => format!("no route for {path}"),
            Self::MethodNotAllowed { allow } => format!("use {allow}"),
            Self::Timeout => {
                "send the whole body without long pauses, and not all too slowly".into()
            }
            Self::Invalid(bad) => match bad.as_slice() {
                [one] => format!("event {}: {}", one.index, one.detail),
                all => format!("{} events are not valid, see errors", all.len()),
            },
            Self::TooMany => {
                "as many requests as http.waiting_max allows wait for the log; send again later"
                    .into()
            }
            Self::TooManyImports => {
                format!(
                    "{RECEIVED_MAX} files are received at a time, and {IMPORTS_MAX} imported; send this one again later"
                )
            }
            Self::NotImported(why) => {
                format!("{why}; send the same file again: nothing of it is added twice")
            }
            Self::Unavailable(why) => format!(
                "{why}; send the same again: events already stored under their ids are not added twice"
            ),
        }
    }

    /// The answer.
    #[must_use]
    pub fn response(&self) -> HttpResponse {
        let (state, errors) = match self {
            Self::Invalid(bad) => (None, Some(Errors::Events(bad))),
            Self::BadParameters(bad) => (None, Some(Errors::Parameters(bad))),
            Self::NotWaiting { state, .. } | Self::ProgramStopped { state, .. } => {
                (Some(*state), None)
            }
            Self::Malformed(_)
            | Self::Unauthorized
            | Self::Forbidden { .. }
            | Self::TooManyLogins
            | Self::Answered(_)
            | Self::NotFound(_)
            | Self::MethodNotAllowed { .. }
            | Self::Timeout
            | Self::TooLarge(_)
            | Self::UnsupportedType(_)
            | Self::BadFile(_)
            | Self::CutOffFile(_)
            | Self::UnknownReward(_)
            | Self::TooMany
            | Self::TooManyImports
            | Self::Unavailable(_)
            | Self::NotImported(_)
            | Self::NoAnswer(_)
            | Self::Internal(_) => (None, None),
        };
        let body = Body {
            r#type: format!("urn:aftercall:problem:{}", self.kind()),
            title: self.title(),
            status: self.status().as_u16(),
            detail: self.detail(),
            state,
            errors,
        };
        // Plain data with string keys always has a JSON form.
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = HttpResponseBuilder::new(self.status());
        match self {
            Self::Unauthorized => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"aftercall\""));
            }
            Self::Forbidden { needed, .. } => {
                let challenge = format!(
                    "Bearer realm=\"aftercall\", error=\"insufficient_scope\", scope=\"{needed}\""
                );
                response.insert_header((header::WWW_AUTHENTICATE, challenge));
            }
            Self::MethodNotAllowed { allow } => {
                response.insert_header((header::ALLOW, *allow));
            }
            Self::TooMany
            | Self::TooManyLogins
            | Self::TooManyImports
            | Self::Unavailable(_)
            | Self::NotImported(_)
            | Self::NoAnswer(_) => {
                response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
            }
            Self::Malformed(_)
            | Self::Answered(_)
            | Self::NotFound(_)
            | Self::Timeout
            | Self::TooLarge(_)
            | Self::UnsupportedType(_)
            | Self::Invalid(_)
            | Self::BadFile(_)
            | Self::CutOffFile(_)
            | Self::BadParameters(_)
            | Self::UnknownReward(_)
            | Self::NotWaiting { .. }
            | Self::ProgramStopped { .. }
            | Self::Internal(_) => {}
        }
        response.content_type(CONTENT_TYPE).body(text)
    }
}
