//! What an import says at its end: what was done, what was left out, and where to look. As lines for people, and as JSON
//! for `--json` and for HTTP.

use serde::Serialize;

use super::{BadGroup, Tally, preview::Changes};

/// What became of one file.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The file.
    pub file: String,
    /// When its export was made.
    pub recorded_at: String,
    /// Its version, as events name it.
    pub export_version: Option<String>,
    /// Whether nothing was to be stored.
    pub dry_run: bool,
    /// Whether an earlier run had imported it whole; then nothing was read.
    pub imported_before: bool,
    /// What was found in it.
    #[serde(flatten)]
    pub found: Tally,
    /// Rows that an earlier run had stored.
    pub rows_before: u64,
    /// Values stored by this run.
    pub stored: u64,
    /// Values that the log held already.
    pub duplicates: u64,
    /// Values that the log would not take.
    pub refused: u64,
    /// Whether all of it has been read, and is stored if it was to be.
    pub done: bool,
    /// Length of this run.
    pub seconds: f64,
    /// The import's id, which the alert names, if operators were told of it.
    pub import_id: Option<String>,
    /// What would change, of a dry run.
    pub changes: Option<Changes>,
}

impl Report {
    /// As people read it.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let file = &self.file;
        if self.imported_before {
            let rows = counted(self.rows_before, "row", "rows");
            return vec![format!(
                "{file}: imported before ({rows}); --again imports it again"
            )];
        }
        let found = &self.found;
        let mut lines = vec![format!(
            "{file}: {}, {} of {}, {}{}; recorded {}",
            counted(found.rows, "row", "rows"),
            counted(found.metrics, "value", "values"),
            counted(found.by_metric.len() as u64, "metric", "metrics"),
            counted(found.agents as u64, "agent", "agents"),
            found
                .dates
                .as_ref()
                .map_or_else(String::new, |(first, last)| format!(", {first} to {last}")),
            self.recorded_at,
        )];
        lines.push(self.what_was_done());
        lines.extend(found.by_metric.iter().map(|(m, n)| format!("  {m}: {n}")));
        if found.bad > 0 {
            lines.push(self.what_was_left_out());
            lines.extend(found.bad_by_reason.iter().map(group));
        }
        lines.extend(self.changes.iter().flat_map(Changes::lines));
        lines
    }

    fn what_was_done(&self) -> String {
        if self.dry_run {
            return "  dry run: nothing was stored".to_owned();
        }
        let mut text = format!(
            "  {} stored, {} already there, {:.1} s",
            self.stored, self.duplicates, self.seconds
        );
        if self.found.repeated > 0 {
            text += &format!("; {} stand in the file again", self.found.repeated);
        }
        if self.refused > 0 {
            text += &format!("; {} refused by the log", self.refused);
        }
        if self.rows_before > 0 {
            text += &format!("; {} rows were stored by a run before", self.rows_before);
        }
        if !self.done {
            text += "; not finished, run it again to go on";
        }
        text
    }

    fn what_was_left_out(&self) -> String {
        let Tally {
            bad, quarantined, ..
        } = self.found;
        let rows = counted(bad, "row", "rows");
        match (self.dry_run, quarantined) {
            (true, _) => format!("  {rows} would be left out"),
            (false, n) if n == bad => {
                format!("  {rows} left out, in quarantine (aftercall dead ls)")
            }
            (false, n) => {
                format!("  {rows} left out, the first {n} in quarantine (aftercall dead ls)")
            }
        }
    }
}

fn group(group: &BadGroup) -> String {
    let column = group
        .column
        .as_ref()
        .map_or_else(String::new, |column| format!(" in column {column}"));
    let lines: Vec<String> = group.first_lines.iter().map(u64::to_string).collect();
    let noun = if lines.len() == 1 { "line" } else { "lines" };
    let more = if group.rows > lines.len() as u64 {
        ", ..."
    } else {
        ""
    };
    format!(
        "    {} {}{column}: {noun} {}{more}: {}",
        group.rows,
        group.reason,
        lines.join(", "),
        group.example
    )
}

fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
