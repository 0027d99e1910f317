//! What `ledger verify --json` said.

use std::process::Output;

use serde_json::Value;

use crate::program;

pub struct Told {
    pub code: i32,
    /// In the order in which they were told.
    pub differences: Vec<Value>,
    pub summary: Value,
}

impl Told {
    pub fn of(output: &Output) -> Self {
        let lines: Vec<Value> = program::text(output)
            .lines()
            .map(|line| serde_json::from_str(line).expect("a JSON line"))
            .collect();
        let of = |kind: &str| {
            lines
                .iter()
                .filter(|line| line["type"] == kind)
                .cloned()
                .collect()
        };
        let summaries: Vec<Value> = of("summary");
        assert_eq!(
            summaries.len(),
            1,
            "{lines:#?}\n{}",
            program::errors(output)
        );
        let told = Self {
            code: output.status.code().expect("an exit code"),
            differences: of("difference"),
            summary: summaries[0].clone(),
        };
        assert_eq!(told.summary["differences"], told.differences.len());
        told
    }

    /// Nothing differs.
    pub fn good(self) -> Self {
        assert_eq!(
            (self.code, self.differences.len()),
            (0, 0),
            "{:#?}",
            self.differences
        );
        self
    }

    /// Check, agent and what was found, of each difference.
    pub fn found(&self) -> Vec<(String, String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert_eq!(self.code, i32::from(!self.differences.is_empty()));
        self.differences
            .iter()
            .map(|d| (text(&d["check"]), text(&d["agent_id"]), text(&d["found"])))
            .collect()
    }

    pub fn figure(&self, name: &str) -> i64 {
        self.summary[name].as_i64().expect("a figure")
    }
}
