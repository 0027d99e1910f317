//! The exports of the plan as files.

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
    plan::{Export, Flaw, METRICS, Plan, Row},
};

/// Days from a workday of the year to one that is still to come, however long ago the year ended.
const STILL_TO_COME: i64 = 4_000;

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
        Some(Flaw::StillToCome) => date = calendar::written(row.day + STILL_TO_COME),
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
