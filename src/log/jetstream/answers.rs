//! What an answer of the server, or its absence, says about what is stored.
//!
//! Only three things may follow: another write stands there, certainly nothing was stored, or nobody knows. What
//! is not known to be one of the first two is the third, because reading the head again is always safe.

use async_nats::{
    header::{HeaderMap, HeaderName},
    jetstream::{
        self, ErrorCode,
        context::{PublishError, PublishErrorKind},
        stream::{LastRawMessageErrorKind, RawMessageError},
    },
};

use crate::log::{AppendError, CommitError, Headers, LogError};

/// The server's own error inside a failed publish.
pub fn publish(error: &PublishError) -> CommitError {
    let answer = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<jetstream::Error>());
    if let Some(answer) = answer {
        return refusal(answer);
    }
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => CommitError::Refused(error.to_string()),
        PublishErrorKind::WrongLastSequence => CommitError::Fenced,
        PublishErrorKind::StreamNotFound
        | PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::MaxAckPending
        | PublishErrorKind::Other => CommitError::Unknown(error.to_string()),
    }
}

/// What an error the server answered a publish with means.
pub fn refusal(answer: &jetstream::Error) -> CommitError {
    match answer.error_code() {
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => {
            CommitError::Fenced
        }
        // Bad requests by number, but they pass: an account over its limit for now, and a batch some of whose
        // messages were lost with the connection.
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED | ErrorCode::ATOMIC_PUBLISH_INCOMPLETE_BATCH => {
            CommitError::Unknown(answer.to_string())
        }
        // These come with 400 as well: 10163, a write on the same subject is still on its way; and 10070, somebody else's
        // message came between those of a chain, of which a beginning may be stored.
        ErrorCode::STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_NOT_READY
        | ErrorCode::STREAM_WRONG_LAST_MESSAGE_ID => CommitError::Unknown(answer.to_string()),
        _ if answer.code() == 400 => CommitError::Refused(answer.to_string()),
        _ => CommitError::Unknown(answer.to_string()),
    }
}

/// A failed publish without a fence.
pub fn append(error: CommitError) -> AppendError {
    match error {
        CommitError::Fenced => AppendError::Unknown("fenced without a fence".to_owned()),
        CommitError::Unknown(text) => AppendError::Unknown(text),
        CommitError::Refused(text) => AppendError::Refused(text),
    }
}

/// A failed read of one stored message; `None` if there is no such message.
pub fn read(error: &RawMessageError) -> Option<LogError> {
    match error.kind() {
        LastRawMessageErrorKind::NoMessageFound => None,
        LastRawMessageErrorKind::JetStream(answer)
            if answer.error_code() == ErrorCode::NO_MESSAGE_FOUND
                || answer.error_code() == ErrorCode::SEQUENCE_NOT_FOUND =>
        {
            None
        }
        LastRawMessageErrorKind::InvalidSubject
        | LastRawMessageErrorKind::JetStream(_)
        | LastRawMessageErrorKind::Other => Some(unreachable(error)),
    }
}

/// A failed request, with its cause.
pub fn unreachable(error: &(dyn std::error::Error + 'static)) -> LogError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // The client's errors mostly repeat their cause.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    LogError::Unreachable(text)
}

/// A value fit for a header: a line break would forge another header, and the client would refuse it loudly.
pub fn header_value(text: &str) -> String {
    if text.contains(['\r', '\n']) {
        text.replace(['\r', '\n'], " ")
    } else {
        text.to_owned()
    }
}

/// Headers as the client wants them. The server's own (`Nats-...`) are left out: an event read from a log and
/// stored again must not bring its old message id, and no producer may set a fence or a lifetime.
pub fn header_map(headers: &Headers) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    if matches!(headers, Headers::Empty) {
        return Ok(map);
    }
    for (name, value) in headers.pairs() {
        if name
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case("nats-"))
        {
            continue;
        }
        let key = HeaderName::try_from(name.as_str())
            .map_err(|_| format!("`{name}` is not a header name"))?;
        map.append(key, header_value(&value));
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, err_code: u64) -> jetstream::Error {
        let text = format!(r#"{{"code":{code},"err_code":{err_code},"description":"x"}}"#);
        serde_json::from_str(&text).expect("an answer")
    }

    #[test]
    fn an_answer_is_a_fence_a_refusal_or_unknown() {
        let outcome = |code, err_code| match refusal(&answer(code, err_code)) {
            CommitError::Fenced => "fenced",
            CommitError::Unknown(_) => "unknown",
            CommitError::Refused(_) => "refused",
        };
        for (code, err_code, expected) in [
            (400, 10071, "fenced"),
            (400, 10164, "fenced"),
            (400, 10163, "unknown"),
            (400, 10070, "unknown"),
            (400, 10054, "refused"),
            (400, 10097, "refused"),
            (400, 10199, "refused"),
            (400, 10002, "unknown"),
            (400, 10176, "unknown"),
            (409, 10158, "unknown"),
            (429, 10167, "unknown"),
            (503, 10077, "unknown"),
            (500, 10047, "unknown"),
        ] {
            assert_eq!(outcome(code, err_code), expected, "{err_code}");
        }
    }

    #[test]
    fn a_header_of_the_servers_own_is_left_out_and_a_line_break_becomes_a_space() {
        let headers =
            Headers::from_pairs([("ce-id", "1"), ("nats-msg-id", "2"), ("Nats-TTL", "1s")]);
        let map = header_map(&headers).expect("good names");
        assert_eq!(map.len(), 1);
        assert_eq!(map.get("ce-id").map(|v| v.as_str()), Some("1"));
        assert_eq!(header_value("a\r\nb"), "a  b");
        assert!(header_map(&Headers::from_pairs([("bad name", "x")])).is_err());
    }
}
