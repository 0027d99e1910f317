//! An output as a CloudEvent: its attributes in NATS binary mode, and the whole as one object for people.
//!
//! | attribute | value |
//! |---|---|
//! | `source` | `aftercall/<side>/<partition>`: with `id` it names the output |
//! | `id` | given by the actor, derived from what the output means |
//! | `subject` | the actor's key, `agent/<id>` |
//! | `time` | log time of the cause |
//! | `cause` | [`cause`]: source and id of the event that caused it |
//! | `rulesversion` | the rule set in force |
//! | `partition` | `<side>.<partition>`, as in the subjects |
//! | `commit` | number of the commit that made it, in that partition |

use aftercall_actors::contract::time::LogTime;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

use super::{JSON, SPECVERSION, attribute};
use crate::log::{PartitionId, StoredOutput};

/// Where an output comes from: what its attributes say beside type and id.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The partition that made it.
    pub partition: PartitionId,
    /// The actor, as `Key` displays it.
    pub subject: &'a str,
    /// Log time of the cause.
    pub time: LogTime,
    /// The event that caused it, as [`cause`] writes it.
    pub cause: &'a str,
    /// Version of the rule set in force.
    pub rules_version: &'a str,
    /// Number of the commit.
    pub commit: u64,
}

/// Names an event in one string: `<source> <id>`.
///
/// The first space is the separator, since a space or percent sign of the source (neither belongs into a URI
/// reference unescaped) is percent-encoded; the id stands as it is. So no two events share one.
#[must_use]
pub fn cause(source: &str, id: &str) -> String {
    let mut text = String::with_capacity(source.len() + 1 + id.len());
    for c in source.chars() {
        match c {
            ' ' => text.push_str("%20"),
            '%' => text.push_str("%25"),
            c => text.push(c),
        }
    }
    text.push(' ');
    text.push_str(id);
    text
}

/// The CloudEvents `source` of a partition's outputs: `aftercall/agent/3`.
#[must_use]
pub fn output_source(partition: PartitionId) -> String {
    format!("aftercall/{}/{}", partition.side, partition.index)
}

/// The headers of an output in NATS binary mode, its data being the payload. Values are percent-encoded as the
/// binding says. An attribute that would be empty is left out, as CloudEvents demands: a quarantine entry is no
/// actor's, and its cause may be unreadable.
#[must_use]
pub fn output_attributes(
    event_type: &str,
    id: &str,
    origin: &Origin<'_>,
) -> Vec<(&'static str, String)> {
    let encoded = |value: &str| attribute::to_header(value).into_owned();
    let mut attributes = vec![
        ("ce-specversion", SPECVERSION.to_owned()),
        ("ce-id", encoded(id)),
        ("ce-source", output_source(origin.partition)),
        ("ce-type", encoded(event_type)),
        ("ce-subject", encoded(origin.subject)),
        ("ce-time", origin.time.to_string()),
        ("ce-cause", encoded(origin.cause)),
        ("ce-rulesversion", encoded(origin.rules_version)),
        ("ce-partition", origin.partition.to_string()),
        ("ce-commit", origin.commit.to_string()),
        ("content-type", JSON.to_owned()),
    ];
    attributes.retain(|(_, value)| !value.is_empty());
    attributes
}

/// A stored output as one structured CloudEvent, for `tap --json`. Attribute values are strings; data that is not
/// JSON stands in `data_base64`.
#[must_use]
pub fn structured_output(output: &StoredOutput) -> Value {
    let mut object = Map::new();
    for (name, value) in output.headers.pairs() {
        let name = name.to_ascii_lowercase();
        let attribute = match name.strip_prefix("ce-") {
            Some(attribute) => attribute,
            None if name == "content-type" => "datacontenttype",
            None => continue,
        };
        // A header that does not decode is shown as it stands: this is for looking, not for acting.
        let text = attribute::from_header(&name, &value).map_or(value.clone(), |v| v.into_owned());
        object.insert(attribute.to_owned(), Value::String(text));
    }
    match serde_json::from_slice(&output.payload) {
        Ok(data) => object.insert("data".into(), data),
        Err(_) => object.insert(
            "data_base64".into(),
            Value::String(BASE64_STANDARD.encode(&output.payload)),
        ),
    };
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use aftercall_actors::contract::{key::Side, output::Kind};
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::log::{Headers, Lane};

    #[test]
    fn a_cause_is_unambiguous() {
        assert_eq!(cause("crm/eu", "42"), "crm/eu 42");
        assert_eq!(cause("a b%", "c d"), "a%20b%25 c d");
        assert_eq!(cause("ä b", "1"), "ä%20b 1");
        assert_ne!(cause("a", "b c"), cause("a b", "c"));
        assert_ne!(cause("a%20b", "c"), cause("a b", "c"));
    }

    #[test]
    fn attributes_are_all_there_encoded_and_read_back_as_structured() {
        let attributes = output_attributes("alert.raised", "low-csat:r1", &ORIGIN);
        assert_eq!(
            attributes,
            [
                ("ce-specversion", "1.0"),
                ("ce-id", "low-csat:r1"),
                ("ce-source", "aftercall/agent/3"),
                ("ce-type", "alert.raised"),
                ("ce-subject", "agent/J%C3%B6rg"),
                ("ce-time", "2026-11-20T08:30:00.250Z"),
                ("ce-cause", "survey/eu%20r1"),
                ("ce-rulesversion", "7"),
                ("ce-partition", "agent.3"),
                ("ce-commit", "12"),
                ("content-type", "application/json"),
            ]
            .map(|(name, value)| (name, value.to_owned()))
        );
        assert_eq!(
            structured_output(&stored(&attributes, br#"{"csat":1}"#)),
            json!({
                "specversion": "1.0", "id": "low-csat:r1", "source": "aftercall/agent/3",
                "type": "alert.raised", "subject": "agent/Jörg", "time": "2026-11-20T08:30:00.250Z",
                "cause": "survey/eu r1", "rulesversion": "7", "partition": "agent.3", "commit": "12",
                "datacontenttype": "application/json", "data": { "csat": 1 },
            })
        );
    }

    #[test]
    fn data_that_is_not_json_is_shown_as_base64() {
        let shown = structured_output(&stored(&[], b"\xff\x00"));
        assert_eq!(shown, json!({ "data_base64": "/wA=" }));
    }

    const ORIGIN: Origin<'static> = Origin {
        partition: PartitionId {
            side: Side::Agent,
            index: 3,
        },
        subject: "agent/Jörg",
        time: LogTime(1_795_163_400_250),
        cause: "survey/eu r1",
        rules_version: "7",
        commit: 12,
    };

    fn stored(attributes: &[(&'static str, String)], payload: &'static [u8]) -> StoredOutput {
        StoredOutput {
            commit: 1,
            ordinal: 0,
            seq: 1,
            time: LogTime(0),
            lane: Lane::Out(Kind::Alert),
            partition: ORIGIN.partition,
            headers: Headers::from_pairs(attributes.iter().map(|(n, v)| (*n, v.as_str()))),
            payload: Bytes::from_static(payload),
        }
    }
}
