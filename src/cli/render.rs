//! An output on one line, for people at a terminal.

use std::borrow::Cow;

use aftercall_actors::contract::output::{Alert, Kind};

use super::terminal::tamed_line;
use crate::log::{Headers, Lane, StoredOutput};

/// Longest line of data, in characters.
const DATA_CHARS_MAX: usize = 160;

/// `2026-11-20T08:30:00.250Z  alert.raised      agent/a1  critical low-csat: 1/5 "..."`
pub(super) fn line(output: &StoredOutput) -> String {
    let kind = match output.lane {
        Lane::Out(_) => attribute(output, "ce-type"),
        Lane::Dead => Cow::Borrowed("(quarantined)"),
    };
    let subject = attribute(output, "ce-subject");
    let text = format!("{}  {kind:<22} {subject:<16} {}", output.time, data(output));
    printable(&text)
}

/// The value of an attribute's header, decoded; `-` without one.
pub(super) fn attribute<'a>(output: &'a StoredOutput, header: &str) -> Cow<'a, str> {
    decoded(&output.headers, header)
}

/// The value of a header, decoded; `-` without one.
pub(super) fn decoded<'a>(headers: &'a Headers, header: &str) -> Cow<'a, str> {
    let value = headers.get(header).unwrap_or("-");
    percent_encoding::percent_decode_str(value).decode_utf8_lossy()
}

/// What matters of the data: an alert in words, the rest as JSON.
fn data(output: &StoredOutput) -> String {
    let is_alert = output.lane == Lane::Out(Kind::Alert);
    match serde_json::from_slice::<Alert>(&output.payload) {
        Ok(alert) if is_alert => words(&alert),
        Ok(_) | Err(_) => cut(&String::from_utf8_lossy(&output.payload)),
    }
}

fn words(alert: &Alert) -> String {
    let mut text = format!("{:?} {}", alert.severity, alert.rule).to_lowercase();
    if let Some(csat) = alert.csat {
        text.push_str(&format!(" {csat}/5"));
    }
    if !alert.keywords.is_empty() {
        text.push_str(&format!(" [{}]", alert.keywords.join(", ")));
    }
    if let Some(comment) = &alert.comment {
        text.push_str(&format!(" \u{201c}{comment}\u{201d}"));
    }
    cut(&text)
}

/// The text's beginning.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(DATA_CHARS_MAX) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text.to_owned(),
    }
}

/// On one line, and without characters that would steer the terminal or turn the text around: those are escapes.
pub(super) fn printable(text: &str) -> String {
    tamed_line(text).into_owned()
}

#[cfg(test)]
mod tests {
    use aftercall_actors::contract::{key::Side, time::LogTime};
    use bytes::Bytes;

    use super::*;
    use crate::log::PartitionId;

    #[test]
    fn an_alert_is_told_in_words_and_cannot_steer_the_terminal() {
        let payload = br#"{"alert_id":"x","rule":"low-csat","severity":"critical","owner":"agent/a1","csat":1,
            "comment":"\u001b[2Jlawsuit","keywords":["lawsuit"],"recording":{"status":"pending"},
            "missing":[],"raised_at":"2026-11-20T08:30:00Z"}"#;
        let output = StoredOutput {
            commit: 1,
            ordinal: 0,
            seq: 1,
            time: LogTime(1_795_163_400_250),
            lane: Lane::Out(Kind::Alert),
            partition: PartitionId {
                side: Side::Agent,
                index: 0,
            },
            headers: Headers::from_pairs([("ce-type", "alert.raised"), ("ce-subject", "agent/a1")]),
            payload: Bytes::from_static(payload),
        };
        assert_eq!(
            line(&output),
            "2026-11-20T08:30:00.250Z  alert.raised           agent/a1         critical low-csat 1/5 [lawsuit] \
             \u{201c}\\u{1b}[2Jlawsuit\u{201d}"
        );
    }
}
