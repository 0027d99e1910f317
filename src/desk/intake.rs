//! Request bodies: read up to a limit, or got rid of.
//!
//! A request that is refused before its body was read leaves bytes on the connection. Closing at once would reset it
//! and often cost the client our answer; so the rest is read and dropped, up to a bound, and the connection then goes
//! on. Where the bound does not suffice it is closed.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    http::{ConnectionType, header},
    web::{Bytes, BytesMut, Payload},
};
use futures::StreamExt;

use super::problem::Problem;

/// How long a body may take in all.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of a refused body is read and dropped, in bytes.
const DRAIN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long that may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a whole body of at most `limit` bytes.
///
/// # Errors
/// If it is larger, too slow, or ends early.
pub async fn read(
    payload: &mut Payload,
    declared: Option<usize>,
    limit: usize,
) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::TooLarge(format!(
            "a request has at most {limit} bytes (http.body_max); send several"
        ))
    };
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut body = BytesMut::with_capacity(declared.unwrap_or(8 * 1024));
    let all = async {
        while let Some(chunk) = payload.next().await {
            let chunk =
                chunk.map_err(|e| Problem::Malformed(format!("the body broke off: {e}")))?;
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(())
    };
    tokio::time::timeout(BODY_TIMEOUT, all)
        .await
        .unwrap_or(Err(Problem::Timeout))?;
    Ok(body.freeze())
}

/// Answers with `problem` and leaves the connection usable, or closes it.
pub async fn refuse(mut payload: Payload, problem: &Problem) -> HttpResponse {
    let mut left = DRAIN_BYTES_MAX;
    let drain = async {
        while let Some(chunk) = payload.next().await {
            let Some(rest) = chunk.ok().and_then(|chunk| left.checked_sub(chunk.len())) else {
                return false;
            };
            left = rest;
        }
        true
    };
    let drained = tokio::time::timeout(DRAIN_TIMEOUT, drain)
        .await
        .unwrap_or(false);
    let mut response = problem.response();
    if !drained {
        response
            .head_mut()
            .set_connection_type(ConnectionType::Close);
        response.headers_mut().insert(
            header::CONNECTION,
            header::HeaderValue::from_static("close"),
        );
    }
    response
}
