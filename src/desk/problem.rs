//! Errors as RFC 9457 problem details: a program can tell them apart by `type`, a person can read `detail`.

use actix_web::{
    HttpResponse, HttpResponseBuilder,
    http::{StatusCode, header},
};
use serde::Serialize;

use super::imports::IMPORTS_MAX;

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
    /// Too many requests wait for the log.
    TooMany,
    /// Too many files are being imported.
    TooManyImports,
    /// The log did not confirm. Some events may be stored; sending all again with the same ids adds none twice.
    Unavailable(String),
    /// An import did not come to its end. Some of it may be stored; the same request again adds none twice.
    NotImported(String),
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

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [BadEvent],
}

/// Seconds after which a sender that was turned away for load should come back.
const RETRY_AFTER_SECONDS: &str = "1";

impl Problem {
    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid(_) | Self::BadFile(_) | Self::CutOffFile(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::TooMany | Self::TooManyImports => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) | Self::NotImported(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::NotFound(_) => "not-found",
            Self::MethodNotAllowed { .. } => "method-not-allowed",
            Self::Timeout => "timeout",
            Self::TooLarge(_) => "too-large",
            Self::UnsupportedType(_) => "unsupported-type",
            Self::Invalid(_) => "invalid-event",
            Self::BadFile(_) => "invalid-file",
            Self::CutOffFile(_) => "cut-off-file",
            Self::TooMany | Self::TooManyImports => "too-many-requests",
            Self::Unavailable(_) | Self::NotImported(_) => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    const fn title(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "The request cannot be read",
            Self::Unauthorized => "A valid bearer token is needed",
            Self::NotFound(_) => "There is nothing here",
            Self::MethodNotAllowed { .. } => "This method is not offered here",
            Self::Timeout => "The body did not arrive in time",
            Self::TooLarge(_) => "More than is taken at once",
            Self::UnsupportedType(_) => "This content type is not taken",
            Self::Invalid(_) => "Events are not valid, none was stored",
            Self::BadFile(_) => "The file cannot be imported, nothing was stored",
            Self::CutOffFile(_) => "The file cannot be read to its end",
            Self::TooMany | Self::TooManyImports => "Too many requests at once",
            Self::Unavailable(_) => "The event log did not confirm",
            Self::NotImported(_) => "The import did not come to its end",
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
            | Self::Internal(text) => text.clone(),
            Self::Unauthorized => {
                "send `Authorization: Bearer <token>` with a token that is configured".into()
            }
            Self::NotFound(path) => format!("no route for {path}"),
            Self::MethodNotAllowed { allow } => format!("use {allow}"),
            Self::Timeout => "send the whole body without long pauses".into(),
            Self::Invalid(bad) => match bad.as_slice() {
                [one] => format!("event {}: {}", one.index, one.detail),
                all => format!("{} events are not valid, see errors", all.len()),
            },
            Self::TooMany => {
                "as many requests as http.waiting_max allows wait for the log; send again later"
                    .into()
            }
            Self::TooManyImports => {
                format!("{IMPORTS_MAX} files are imported at a time; send this one again later")
            }
            Self::NotImported(why) => {
                format!("{why}; send the same file again: nothing of it is added twice")
            }
            Self::Unavailable(why) => format!(
                "{why}; send the same events again: those already stored under their ids are not added twice"
            ),
        }
    }

    /// The answer.
    #[must_use]
    pub fn response(&self) -> HttpResponse {
        let body = Body {
            r#type: format!("urn:aftercall:problem:{}", self.kind()),
            title: self.title(),
            status: self.status().as_u16(),
            detail: self.detail(),
            errors: match self {
                Self::Invalid(bad) => bad,
                Self::Malformed(_)
                | Self::Unauthorized
                | Self::NotFound(_)
                | Self::MethodNotAllowed { .. }
                | Self::Timeout
                | Self::TooLarge(_)
                | Self::UnsupportedType(_)
                | Self::BadFile(_)
                | Self::CutOffFile(_)
                | Self::TooMany
                | Self::TooManyImports
                | Self::Unavailable(_)
                | Self::NotImported(_)
                | Self::Internal(_) => &[],
            },
        };
        // Plain data with string keys always has a JSON form.
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = HttpResponseBuilder::new(self.status());
        match self {
            Self::Unauthorized => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"aftercall\""));
            }
            Self::MethodNotAllowed { allow } => {
                response.insert_header((header::ALLOW, *allow));
            }
            Self::TooMany | Self::TooManyImports | Self::Unavailable(_) | Self::NotImported(_) => {
                response.insert_header((header::RETRY_AFTER, RETRY_AFTER_SECONDS));
            }
            Self::Malformed(_)
            | Self::NotFound(_)
            | Self::Timeout
            | Self::TooLarge(_)
            | Self::UnsupportedType(_)
            | Self::Invalid(_)
            | Self::BadFile(_)
            | Self::CutOffFile(_)
            | Self::Internal(_) => {}
        }
        response.content_type(CONTENT_TYPE).body(text)
    }
}
