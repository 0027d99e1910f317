//! Input that cannot be processed: set aside with its reason, in the same commit as everything else.
//!
//! A quarantine entry is an output like any other (its lane is `dead`), so it stands there once, whatever
//! crashes, and the original is never lost: "bad event: quarantine with reason; never a panic, never a stop".

use aftercall_actors::{event::Body, key::Side, time::LogTime};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    envelope::{self, Reject},
    log::{Lane, PartitionId},
    shard::{batch::Entry, record::OutputRecord},
};

/// The partition that answers for events addressed to all of them.
pub const RESPONSIBLE: PartitionId = PartitionId {
    side: Side::Agent,
    index: 0,
};

/// Whether `partition` answers for events addressed to all of them.
#[must_use]
pub fn is_responsible(partition: PartitionId) -> bool {
    partition == RESPONSIBLE
}

/// CloudEvents type of a quarantine entry.
pub const EVENT_TYPE: &str = "event.quarantined";

/// The entry: reason, detail, place in the log and the original message.
///
/// It is no actor's, so it has no subject. A body that is not UTF-8 stands in `body_base64`, so that what came can be
/// had back byte by byte.
#[must_use]
pub fn output(entry: &Entry, reject: &Reject, now: LogTime, rules: &str) -> OutputRecord {
    let (cause_source, cause_id) = cause(entry);
    let data = serde_json::json!({
        "reason": reject.reason.name(),
        "detail": reject.detail,
        "attempts": 1,
        "position": entry.position,
        "stored_at": entry.time.to_string(),
        "original": original(entry),
    });
    OutputRecord {
        lane: Lane::Dead.index() as u32,
        id: format!("dead:{}", entry.position),
        output_type: EVENT_TYPE.to_owned(),
        subject: String::new(),
        time_ms: now.0,
        cause_source,
        cause_id,
        rules: rules.to_owned(),
        data: data.to_string().into_bytes().into(),
    }
}

fn cause(entry: &Entry) -> (String, String) {
    match (&entry.event, &entry.original) {
        (Err(_), Some((headers, body))) => envelope::name(headers, body).unwrap_or_default(),
        (Ok(_), _) | (Err(_), None) => {
            let (source, id) = entry.name();
            (source.to_owned(), id.to_owned())
        }
    }
}

fn original(entry: &Entry) -> Value {
    match (&entry.original, &entry.event) {
        (Some((headers, body)), _) => match str::from_utf8(body) {
            Ok(text) => json!({ "headers": headers.pairs(), "body": text }),
            Err(_) => {
                json!({ "headers": headers.pairs(), "body_base64": BASE64_STANDARD.encode(body) })
            }
        },
        // Rules that do not compile: the message was good, what it carries is not.
        (None, Ok(event)) => match &event.body {
            Body::RulesActivated(activated) => json!({ "data": activated }),
            Body::InteractionStarted(_)
            | Body::InteractionWrapup(_)
            | Body::InteractionCompleted(_)
            | Body::InteractionUpdated(_)
            | Body::SurveyResponse(_)
            | Body::EnpsResponse(_)
            | Body::WfmMetric(_)
            | Body::PointsAdjusted(_)
            | Body::RewardDecided(_)
            | Body::AlertAcknowledged(_)
            | Body::Outcome(..)
            | Body::DeadLettered(_)
            | Body::ImportQuarantined(_)
            | Body::Tick => Value::Null,
        },
        (None, Err(_)) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use aftercall_actors::event::{Event, RulesActivated};
    use aftercall_actors::value::Id;

    use super::*;
    use crate::{
        envelope::Reason,
        log::{Headers, RawEvent, Route, Speaker},
    };

    #[test]
    fn an_entry_names_its_cause_and_no_actor_and_keeps_the_original() {
        let body =
            r#"{"specversion":"1.0","id":"e 1","source":"crm","type":"weather.changed","data":{}}"#;
        let (output, data) = set_aside(&[], body.as_bytes());
        assert_eq!(
            (&*output.subject, &*output.cause(), &*output.id),
            ("", "crm e 1", "dead:7")
        );
        assert_eq!(data["reason"], "unknown_type");
        assert_eq!(data["position"], 7);
        assert_eq!(data["original"], json!({ "headers": [], "body": body }));
    }

    #[test]
    fn in_binary_mode_the_cause_is_read_from_the_headers() {
        let (output, data) = set_aside(&[("ce-id", "5%25"), ("ce-source", "crm")], b"{");
        assert_eq!(output.cause(), "crm 5%");
        assert_eq!(
            data["original"]["headers"],
            json!([["ce-id", "5%25"], ["ce-source", "crm"]])
        );
    }

    #[test]
    fn what_is_not_text_is_kept_byte_by_byte_and_has_no_cause() {
        let (output, data) = set_aside(&[], b"\xff\x00");
        assert_eq!(output.cause(), "");
        assert_eq!(
            data["original"],
            json!({ "headers": [], "body_base64": "/wA=" })
        );
    }

    #[test]
    fn rules_that_do_not_compile_are_kept_with_their_text() {
        let activated = RulesActivated {
            version: Id::new("v2").unwrap(),
            rules: "nonsense [".into(),
        };
        let entry = Entry {
            position: 7,
            time: LogTime(0),
            speaker: Speaker::Service,
            identity: 0,
            owner: 0,
            response: None,
            event: Ok(Event {
                source: "ops".into(),
                id: "r1".into(),
                body: Body::RulesActivated(activated),
            }),
            ahead: Vec::new(),
            original: None,
        };
        let reject = Reject::new(Reason::BadRules, "line 1");
        let output = output(&entry, &reject, LogTime(0), "v1");
        let data: Value = serde_json::from_slice(&output.data).unwrap();
        assert_eq!(output.cause(), "ops r1");
        assert_eq!(
            data["original"],
            json!({ "data": { "version": "v2", "rules": "nonsense [" } })
        );
    }

    fn set_aside(headers: &[(&str, &str)], body: &[u8]) -> (OutputRecord, Value) {
        let raw = RawEvent {
            position: 7,
            time: LogTime(0),
            route: Route::Pair {
                agent: 0,
                customer: 0,
            },
            speaker: Speaker::Anyone,
            headers: Headers::from_pairs(headers.iter().copied()),
            payload: body.to_vec().into(),
        };
        let entry = Entry::decode(raw, 8);
        let reject = entry.event.as_ref().unwrap_err();
        let output = output(&entry, reject, LogTime(0), "v1");
        let data = serde_json::from_slice(&output.data).unwrap();
        (output, data)
    }
}
