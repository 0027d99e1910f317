//! The events of an import: a metric's, and a bad row's, which the engine will put into quarantine.
//!
//! An event's id follows from all it says, so the same row of the same export is the same event, and another value or
//! a later export another one. A bad row becomes an event that no reader of the log takes: what could be read stands in
//! its data under the contract's names, the rest and the place in the file beside it. So it is counted, kept and shown
//! by what does that for every other event.

use aftercall_actors::contract::{
    event::WfmMetric,
    time::EventTime,
    value::{Id, WorkDate},
};
use jiff::{civil::Date, tz::TimeZone};
use serde::Serialize;
use serde_json::json;
use xxhash_rust::xxh3::Xxh3;

use super::{
    BadRow, Flaw,
    columns::{Metric, Reading},
};
use crate::{
    envelope::{Incoming, JSON, SPECVERSION},
    log::NewEvent,
};

/// The contract's type for a metric.
const EVENT_TYPE: &str = "wfm.metric.recorded";

/// Most of a bad row that goes into quarantine, in bytes of JSON.
const DATA_BYTES_MAX: usize = 16 * 1024;

/// Most of a text in an attribute, in bytes.
const ATTRIBUTE_BYTES_MAX: usize = 400;

/// One export: what holds for all of its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The system it comes from; the source of its events is `wfm/<name>`.
    pub name: String,
    /// The file's name, for whoever looks for a bad row.
    pub file: String,
    /// Its version, which rewards name (S3.06).
    pub version: Option<String>,
    /// When it was made (event time). Of two values for the same agent, workday and metric the later one counts
    /// (S3.01).
    pub recorded_at: EventTime,
}

impl Export {
    /// The last workday it can hold: somewhere on Earth it is already tomorrow.
    pub(super) fn newest(&self) -> Date {
        let today = self.recorded_at.day_in(&TimeZone::UTC);
        today.tomorrow().unwrap_or(today)
    }

    fn source(&self) -> String {
        format!("wfm/{}", self.name)
    }
}

#[derive(Serialize)]
struct Envelope<'a, D> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    event_type: &'static str,
    time: EventTime,
    datacontenttype: &'static str,
    #[serde(flatten)]
    place: Option<Place<'a>>,
    data: &'a D,
}

/// Where a bad row stands and what is wrong with it, as extensions of its event.
#[derive(Serialize)]
struct Place<'a> {
    #[serde(rename = "importfile")]
    file: &'a str,
    #[serde(rename = "importline")]
    line: u64,
    #[serde(rename = "importcolumn", skip_serializing_if = "Option::is_none")]
    column: Option<&'a str>,
    #[serde(rename = "importreason")]
    reason: &'static str,
    #[serde(rename = "importdetail")]
    detail: &'a str,
}

/// The event of one metric of a row.
///
/// # Errors
/// If no reader of the log would take it; what it says has been checked, so that is not to be expected.
pub(super) fn of_metric(
    export: &Export,
    reading: &Reading,
    metric: &Metric,
) -> Result<NewEvent, BadRow> {
    let data = WfmMetric {
        agent_id: reading.agent.clone(),
        date: WorkDate(reading.day),
        metric: metric.name.clone(),
        value: metric.value,
        export_version: export.version.clone(),
        recorded_at: Some(export.recorded_at),
    };
    let mut hash = key(&reading.agent, reading.day, &metric.name);
    hash.update(&metric.value.to_bits().to_le_bytes());
    hash.update(&export.recorded_at.0.to_le_bytes());
    hash.update(export.version.as_deref().unwrap_or_default().as_bytes());
    let id = format!("{}:{:032x}", reading.day, hash.digest128());
    payload(export, &id, None, &data)
        .and_then(|payload| {
            let event = Incoming::structured(payload.into()).into_new_event();
            event.map_err(|reject| reject.to_string())
        })
        .map_err(|why| BadRow {
            line: reading.line,
            column: Some(metric.column.clone()),
            flaw: Flaw::BadValue,
            detail: cut(&why).to_owned(),
            data: json!({}),
        })
}

/// The event of a bad row; `None` if readers of the log would take it, which is not to be expected: what it lacks is
/// what is wrong with it.
pub(super) fn of_bad_row(export: &Export, bad: &BadRow) -> Option<NewEvent> {
    let mut hash = Xxh3::new();
    for text in [&*export.file, bad.flaw.name(), &*bad.detail] {
        part(&mut hash, text);
    }
    hash.update(&export.recorded_at.0.to_le_bytes());
    let id = format!("line:{}:{:032x}", bad.line, hash.digest128());
    let text = bad.data.to_string();
    let data = if text.len() > DATA_BYTES_MAX {
        let start = &text[..text.floor_char_boundary(DATA_BYTES_MAX)];
        json!({ "row_start": start })
    } else {
        bad.data.clone()
    };
    let place = Place {
        file: cut(&export.file),
        line: bad.line,
        column: bad.column.as_deref().map(cut),
        reason: bad.flaw.name(),
        detail: cut(&bad.detail),
    };
    let payload = payload(export, &id, Some(place), &data).ok()?;
    Incoming::structured(payload.into()).into_refused_event(EVENT_TYPE)
}

fn payload(
    export: &Export,
    id: &str,
    place: Option<Place<'_>>,
    data: &impl Serialize,
) -> Result<Vec<u8>, String> {
    let envelope = Envelope {
        specversion: SPECVERSION,
        id,
        source: &export.source(),
        event_type: EVENT_TYPE,
        time: export.recorded_at,
        datacontenttype: JSON,
        place,
        data,
    };
    serde_json::to_vec(&envelope).map_err(|error| error.to_string())
}

/// A hash of what a later value replaces: agent, workday and metric (S3.01).
pub(super) fn key(agent: &Id, day: Date, metric: &Id) -> Xxh3 {
    let mut hash = Xxh3::new();
    part(&mut hash, agent);
    part(&mut hash, metric);
    hash.update(&day.year().to_le_bytes());
    hash.update(&[day.month().unsigned_abs(), day.day().unsigned_abs()]);
    hash
}

/// With its length, so that one text never runs into the next.
fn part(hash: &mut Xxh3, text: &str) {
    hash.update(&(text.len() as u64).to_le_bytes());
    hash.update(text.as_bytes());
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(ATTRIBUTE_BYTES_MAX)]
}
