//! `aftercall dead ls`: one line each.

use aftercall_actors::contract::time::LogTime;
use clap::Args;
use serde_json::{Value, json};

use super::{Failure, Filter, LogArgs, Setting, book::Book};
use crate::{
    app::Bus,
    cli::{render, terminal::Out},
    delivery::dead_letter::fold::Open,
};

/// The place of what is no destination's.
const EVENT: &str = "event";

#[derive(Debug, Args)]
pub(super) struct Ls {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    filter: Filter,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// A line of the list.
struct Row {
    at: LogTime,
    cells: [String; 7],
    json: Value,
}

const TITLES: [&str; 7] = [
    "ID", "WHERE", "GIVEN UP", "REASON", "TRIES", "RETRY", "OUTPUT",
];

impl Ls {
    pub(super) fn run(&self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        let config = setting.with_log(&self.log)?.config;
        let book = bus.block_on(async {
            let log = bus.open_existing_log(&config.log).await?;
            Book::read(&log, self.filter.line()).await
        })?;
        let rows = self.rows(&book);
        let mut out = Out::new();
        if self.json {
            for row in &rows {
                out.json(&row.json)?;
            }
        } else if rows.is_empty() {
            out.line("no dead letters")?;
        } else {
            table(&mut out, &rows)?;
        }
        out.flush()?;
        left_out(&book)
    }

    /// What is wanted, oldest first.
    fn rows(&self, book: &Book) -> Vec<Row> {
        let letters = book
            .letters
            .open()
            .filter(|open| {
                self.filter
                    .takes(Some(&open.destination), open.reason.name())
            })
            .map(letter);
        let events = book
            .quarantined
            .iter()
            .filter(|event| self.filter.takes(None, &event.reason))
            .map(|event| Row {
                at: event.at,
                cells: [
                    event.id.clone(),
                    EVENT.to_owned(),
                    event.at.to_string(),
                    event.reason.clone(),
                    "-".to_owned(),
                    "no".to_owned(),
                    event.detail.clone(),
                ],
                json: json!({
                    "id": event.id, "where": EVENT, "at": event.at.to_string(), "reason": event.reason,
                    "detail": event.detail, "retryable": false,
                }),
            });
        let mut rows: Vec<Row> = letters.chain(events).collect();
        rows.sort_by_key(|row| row.at);
        rows
    }
}

fn letter(open: &Open) -> Row {
    let retryable = open.not_retryable.is_none();
    let Open {
        output_id,
        event_type,
        subject,
        ..
    } = open;
    Row {
        at: open.at,
        cells: [
            open.seq.to_string(),
            open.destination.clone(),
            open.at.to_string(),
            open.reason.name().to_owned(),
            open.attempts_total.to_string(),
            if retryable { "yes" } else { "no" }.to_owned(),
            format!("{event_type} {subject} {output_id}: {}", open.detail),
        ],
        json: json!({
            "id": open.seq, "where": open.destination, "at": open.at.to_string(), "reason": open.reason,
            "detail": open.detail, "attempts": open.attempts_total, "round": open.round, "retryable": retryable,
            "not_retryable": open.not_retryable,
            "output": {"id": output_id, "seq": open.output_seq, "type": event_type, "subject": subject},
        }),
    }
}

/// Columns as wide as their widest cell; the last one is cut to a line's length.
fn table(out: &mut Out, rows: &[Row]) -> Result<(), Failure> {
    let mut widths = TITLES.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(&row.cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[&str; 7]| {
        let last = cells.len() - 1;
        let padded = cells.iter().zip(widths).enumerate();
        let padded = padded.map(|(n, (cell, width))| match n == last {
            true => render::cut(cell),
            false => format!("{cell:<width$}"),
        });
        render::printable(&padded.collect::<Vec<_>>().join("  "))
    };
    out.line(line(&TITLES))?;
    for row in rows {
        out.line(line(&row.cells.each_ref().map(String::as_str)))?;
    }
    Ok(())
}

/// Entries that could not be read are told, not passed over.
pub(super) fn left_out(book: &Book) -> Result<(), Failure> {
    let Some(first) = book.unreadable.first() else {
        return Ok(());
    };
    Err(Failure::bad_input(format!(
        "{} entries of the dead-letter stream were left out; {first}",
        book.unreadable.len()
    )))
}
