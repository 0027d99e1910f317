//! The plan as it is written: exports as files, everything else as CloudEvents.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Map, Value, json};

use crate::{
    calendar,
    entry::Entry,
    plan::{Export, Flaw, METRICS, Plan, Row},
};

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub rows: u64,
    pub values: u64,
    pub bad: u64,
}

/// Writes an export, last written when it was recorded; `None` if there is nothing to write. The form goes round: CSV
/// and NDJSON, with gzip and without.
pub fn export(plan: &Plan, export: Export, folder: &Path) -> Option<(PathBuf, Counts)> {
    let (is_csv, is_packed) = match (export.month + export.kind as i64) % 4 {
        0 => (true, false),
        1 => (false, true),
        2 => (true, true),
        _ => (false, false),
    };
    let form = if is_csv { "csv" } else { "ndjson" };
    let packed = if is_packed { ".gz" } else { "" };
    let name = format!("{:02}-{:?}.{form}{packed}", export.month, export.kind);
    let path = folder.join(name.to_lowercase());
    let file = File::create(&path).expect("a file");
    let mut into: Box<dyn Write> = if is_packed {
        Box::new(GzEncoder::new(BufWriter::new(file), Compression::fast()))
    } else {
        Box::new(BufWriter::new(file))
    };
    if is_csv {
        writeln!(into, "agentId,date,{}", METRICS.join(",")).expect("written");
    }
    let mut counts = Counts::default();
    for agent in 0..plan.agents {
        let name = Plan::name(agent);
        for row in plan.rows(export, agent) {
            counts.rows += 1;
            match row.flaw {
                Some(_) => counts.bad += 1,
                None => counts.values += row.values.iter().flatten().count() as u64,
            }
            let line = if is_csv {
                csv(&name, &row)
            } else {
                object(&name, &row)
            };
            writeln!(into, "{line}").expect("written");
        }
    }
    into.flush().expect("written");
    drop(into);
    let recorded_ms = u64::try_from(plan.recorded_ms(export)).expect("after 1970");
    let file = File::options().append(true).open(&path).expect("the file");
    let written = UNIX_EPOCH + Duration::from_millis(recorded_ms);
    file.set_modified(written).expect("its time is set");
    (counts.rows > 0).then_some((path, counts))
}

/// Agent, date and fields of a row, as wrong as it is.
fn fields(agent: &str, row: &Row) -> (String, String, [Option<String>; 2]) {
    let mut date = calendar::written(row.day);
    let mut agent = agent.to_owned();
    let mut values = row.values.map(|value| value.map(|value| value.to_string()));
    match row.flaw {
        None | Some(Flaw::Contradiction) => {}
        Some(Flaw::NoAgent) => agent = String::new(),
        Some(Flaw::NoDate) => date = "31.02.".to_owned(),
        Some(Flaw::NoNumber) => values[0] = Some("n/a".to_owned()),
        Some(Flaw::StillToCome) => date = calendar::written(row.day + 400),
    }
    (agent, date, values)
}

fn csv(agent: &str, row: &Row) -> String {
    let (agent, date, values) = fields(agent, row);
    let agent = match agent.contains([',', '"']) {
        true => format!("\"{}\"", agent.replace('"', "\"\"")),
        false => agent,
    };
    let [csat, adherence] = values.map(Option::unwrap_or_default);
    format!("{agent},{date},{csat},{adherence}")
}

fn object(agent: &str, row: &Row) -> String {
    let (agent, date, values) = fields(agent, row);
    let mut object = Map::new();
    object.insert("agentId".to_owned(), agent.into());
    object.insert("date".to_owned(), date.into());
    for (metric, value) in METRICS.into_iter().zip(values) {
        let value = value.map(|value| match value.parse::<f64>() {
            Ok(number) => json!(number),
            Err(_) => json!(value),
        });
        object.extend(value.map(|value| (metric.to_owned(), value)));
    }
    Value::Object(object).to_string()
}

/// The event that tells of an entry.
pub fn event(id: &str, entry: &Entry) -> Value {
    let (event_type, data) = match entry {
        Entry::Row {
            agent,
            day,
            metric,
            value,
            recorded_ms,
        } => {
            let data = json!({
                "agent_id": agent, "date": calendar::written(*day), "metric": metric, "value": value,
                "recorded_at": calendar::instant(*recorded_ms),
            });
            ("wfm.metric.recorded", data)
        }
        Entry::Adjusted {
            agent,
            id,
            points,
            at_ms,
        } => {
            let kind = match points {
                ..-100 => "violation",
                -100..=20 => "correction",
                21.. => "grant",
            };
            let data = json!({
                "adjustment_id": id, "agent_id": agent, "points": points, "kind": kind, "reason": "as planned",
                "effective_at": calendar::instant(*at_ms),
            });
            ("points.adjusted", data)
        }
        Entry::Survey {
            agent,
            response,
            revision,
            csat,
            at_ms,
        } => {
            let data = json!({
                "response_id": response, "revision": revision, "interaction_id": format!("i-{response}"),
                "submitted_at": calendar::instant(*at_ms), "csat": csat, "routing": { "agent_id": agent },
            });
            ("survey.response.created", data)
        }
        Entry::Outcome {
            agent,
            output,
            status,
        } => {
            let data = json!({
                "output_id": output, "subject": format!("agent/{agent}"), "status": status, "attempts": 1,
            });
            ("reward.outcome", data)
        }
        Entry::Decided {
            agent,
            reward,
            approve,
        } => {
            let data = json!({
                "reward_id": reward, "agent_id": agent, "decision": if *approve { "approve" } else { "reject" },
                "by": "office", "at": "2026-01-01T00:00:00Z",
            });
            ("reward.decided", data)
        }
    };
    json!({ "specversion": "1.0", "id": id, "source": "year", "type": event_type, "data": data })
}
