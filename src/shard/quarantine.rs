//! Input that cannot be processed: set aside with its reason, in the same commit as everything else.
//!
//! A quarantine entry is an output like any other (its lane is `dead`), so it stands there once, whatever
//! crashes, and the original is never lost: "bad event: quarantine with reason; never a panic, never a stop".

use aftercall_actors::contract::{event::Body, key::Side, time::LogTime};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    envelope::{self, Reject},
    log::{Headers, Lane, PartitionId},
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

/// The entry: reason, detail, place in the log and the original message, in at most `bytes_max` bytes.
///
/// It is no actor's, so it has no subject. A body that is not UTF-8, or that JSON would make longer than base64 does,
/// stands in `body_base64`, so that what came can be had back byte by byte; headers likewise, as lines, in
/// `headers_base64`. Of an original that is too long still the beginning stands there, with `cut`, its length in `bytes`
/// and its `sha256`: the log has all of it at `position`.
#[must_use]
pub fn output(
    entry: &Entry,
    reject: &Reject,
    now: LogTime,
    rules: &str,
    bytes_max: usize,
) -> OutputRecord {
    let (cause_source, cause_id) = cause(entry);
    let data = serde_json::json!({
        "reason": reject.reason.name(),
        "detail": reject.detail,
        "attempts": 1,
        "position": entry.position,
        "stored_at": entry.time.to_string(),
        "original": original(entry, bytes_max.saturating_sub(ENTRY_BYTES)),
    });
    OutputRecord {
        stood: None,
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

/// What an entry takes besides the original: a detail, which may be all escapes, a source, two ids and the names.
const ENTRY_BYTES: usize = 6 * 1024;

fn cause(entry: &Entry) -> (String, String) {
    match (&entry.event, &entry.original) {
        (Err(_), Some((headers, body))) => envelope::name(headers, body).unwrap_or_default(),
        (Ok(_), _) | (Err(_), None) => {
            let (source, id) = entry.name();
            (source.to_owned(), id.to_owned())
        }
    }
}

fn original(entry: &Entry, bytes_max: usize) -> Value {
    match (&entry.original, &entry.event) {
        (Some((headers, body)), _) => message(headers, body, bytes_max),
        // Rules that do not compile: the message was good, what it carries is not.
        (None, Ok(event)) => match &event.body {
            Body::RulesActivated(activated) => {
                let data = json!(activated);
                let text = data.to_string();
                match text.len() <= bytes_max {
                    true => json!({ "data": data }),
                    false => Value::Object(cut(Map::new(), text.as_bytes(), bytes_max)),
                }
            }
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

/// So much more is not worth a form that nobody reads at a glance.
const FEW_BYTES: usize = 1_024;

fn message(headers: &Headers, body: &[u8], bytes_max: usize) -> Value {
    let mut original = Map::new();
    let pairs = headers.pairs();
    let texts = || pairs.iter().flat_map(|(name, value)| [name, value]);
    let plain: usize = texts().map(|text| text.len()).sum();
    let written = texts().map(|text| written(text) + 4).sum::<usize>();
    let in_base64 = base64_len(plain + 4 * pairs.len());
    let is_plain = written <= in_base64 + FEW_BYTES;
    let mut used = if is_plain { written } else { in_base64 };
    // What the body leaves, which has a quarter at least.
    let room = bytes_max - base64_len(body.len()).min(bytes_max / 4);
    if used > room {
        let block = headers.to_block();
        let head = &block[..block.len().min(room / 4 * 3)];
        original.insert("headers_base64".into(), BASE64_STANDARD.encode(head).into());
        original.insert("headers_bytes".into(), block.len().into());
        used = base64_len(head.len());
    } else if !is_plain {
        let block = BASE64_STANDARD.encode(headers.to_block());
        original.insert("headers_base64".into(), block.into());
    } else {
        original.insert("headers".into(), json!(pairs));
    }
    let room = bytes_max.saturating_sub(used);
    let text = str::from_utf8(body).ok();
    // What JSON would make longer than base64 does stands in base64.
    match text.filter(|text| self::written(text) <= base64_len(body.len()) + FEW_BYTES) {
        Some(text) if self::written(text) <= room => {
            original.insert("body".into(), text.into());
        }
        None if base64_len(body.len()) <= room => {
            original.insert("body_base64".into(), BASE64_STANDARD.encode(body).into());
        }
        Some(_) | None => original = cut(original, body, room),
    }
    Value::Object(original)
}

/// The beginning of a body that is too long, and what tells the whole.
fn cut(mut original: Map<String, Value>, body: &[u8], room: usize) -> Map<String, Value> {
    let head = &body[..body.len().min(room / 4 * 3)];
    original.insert("body_base64".into(), BASE64_STANDARD.encode(head).into());
    original.insert("cut".into(), true.into());
    original.insert("bytes".into(), body.len().into());
    let digest = Sha256::digest(body);
    let digits = digest.iter().map(|byte| format!("{byte:02x}"));
    original.insert("sha256".into(), digits.collect::<String>().into());
    original
}

const fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Bytes that a text takes in JSON.
fn written(text: &str) -> usize {
    let byte = |byte: u8| match byte {
        b'\n' | b'\r' | b'\t' | 8 | 12 | b'"' | b'\\' => 2,
        0..0x20 => "\\u0000".len(),
        _plain => 1,
    };
    text.bytes().map(byte).sum::<usize>() + 2
}

#[cfg(test)]
mod tests {
    use aftercall_actors::contract::event::{Event, RulesActivated};
    use aftercall_actors::contract::value::Id;

    use super::*;
    use crate::{
        envelope::Reason,
        log::{RawEvent, Route, Speaker},
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
        let output = output(&entry, &reject, LogTime(0), "v1", 400_000);
        let data: Value = serde_json::from_slice(&output.data).unwrap();
        assert_eq!(output.cause(), "ops r1");
        assert_eq!(
            data["original"],
            json!({ "data": { "version": "v2", "rules": "nonsense [" } })
        );
    }

    /// 250,000 control characters came to six times as many.
    #[test]
    fn an_original_never_grows_by_more_than_a_third() {
        let controls = "\u{1}".repeat(250_000);
        let quotes = "\"".repeat(250_000);
        let words = format!("{{{}", "word \" ".repeat(40_000));
        for body in [controls.as_str(), &quotes, &words] {
            for headers in [&[][..], &[("x-note", "plain")]] {
                let (output, data) = set_aside(headers, body.as_bytes());
                assert!(output.data.len() <= body.len() / 3 * 4 + 2_048);
                assert_eq!(data["original"].get("cut"), None);
                let original = &data["original"];
                let back = match original["body"].as_str() {
                    Some(text) => text.as_bytes().to_vec(),
                    None => BASE64_STANDARD
                        .decode(original["body_base64"].as_str().unwrap())
                        .unwrap(),
                };
                assert_eq!(back, body.as_bytes());
            }
        }
        let (output, data) = set_aside(&[("x-note", &controls)], b"{");
        assert!(output.data.len() < 350_000);
        let block = data["original"]["headers_base64"].as_str().unwrap();
        let block = BASE64_STANDARD.decode(block).unwrap();
        assert_eq!(block, format!("x-note: {controls}\r\n").as_bytes());
    }

    #[test]
    fn of_one_that_is_too_long_the_beginning_stands_there_with_its_length_and_hash() {
        let body = vec![b'x'; 900_000];
        for headers in [&[][..], &[("x-note", "\u{1}".repeat(800_000).as_str())]] {
            let (output, data) = set_aside(headers, &body);
            assert!(output.data.len() <= 400_000, "{}", output.data.len());
            let original = &data["original"];
            assert_eq!(original["cut"], true);
            assert_eq!(original["bytes"], 900_000);
            assert_eq!(
                original["sha256"],
                "5f76430825cb79355393da5e44236d8c0a236476af2decfd1e49ca8050de9c93"
            );
            let head = BASE64_STANDARD.decode(original["body_base64"].as_str().unwrap());
            assert!(body.starts_with(&head.unwrap()));
        }
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
        let output = output(&entry, reject, LogTime(0), "v1", 400_000);
        let data = serde_json::from_slice(&output.data).unwrap();
        (output, data)
    }
}
