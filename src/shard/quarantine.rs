//! Input that cannot be processed: set aside with its reason, in the same commit as everything else.
//!
//! A quarantine entry is an output like any other (its lane is `dead`), so it stands there once, whatever
//! crashes, and the original is never lost: "bad event: quarantine with reason; never a panic, never a stop".

use aftercall_actors::{
    key::{Key, Side},
    time::LogTime,
};

use crate::{
    envelope::Reject,
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
#[must_use]
pub fn output(entry: &Entry, reject: &Reject, now: LogTime, rules: &str) -> OutputRecord {
    let (headers, body) = match &entry.original {
        Some((headers, body)) => (headers.pairs(), String::from_utf8_lossy(body).into_owned()),
        None => (Vec::new(), String::new()),
    };
    let data = serde_json::json!({
        "reason": reject.reason.name(),
        "detail": reject.detail,
        "attempts": 1,
        "position": entry.position,
        "stored_at": entry.time.to_string(),
        "original": { "headers": headers, "body": body },
    });
    OutputRecord {
        lane: Lane::Dead.index() as u32,
        id: format!("dead:{}", entry.position),
        output_type: EVENT_TYPE.to_owned(),
        subject: Key::Nobody.to_string(),
        time_ms: now.0,
        cause_source: entry.name().0.to_owned(),
        cause_id: entry.name().1.to_owned(),
        rules: rules.to_owned(),
        data: data.to_string().into_bytes().into(),
    }
}
