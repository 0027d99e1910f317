//! What is measured of imports that run inside the service: by HTTP and from the watched folder.

use prometheus::IntCounterVec;

use super::Maker;

/// Handles to the metrics of imports.
pub struct ImportMetrics {
    rows: IntCounterVec,
    imports: IntCounterVec,
}

/// How an import ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportResult {
    /// All of the file is dealt with.
    Done,
    /// It could be read up to a place only.
    CutOff,
    /// The file as a whole was refused.
    Refused,
    /// It did not come to its end; the same again goes on.
    Interrupted,
}

impl ImportResult {
    const ALL: [Self; 4] = [Self::Done, Self::CutOff, Self::Refused, Self::Interrupted];

    const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::CutOff => "cut_off",
            Self::Refused => "refused",
            Self::Interrupted => "interrupted",
        }
    }
}

impl ImportMetrics {
    pub(super) fn new(make: &Maker) -> Self {
        let metrics = Self {
            rows: make.counters(
                "aftercall_import_rows_total",
                "Rows of imports that have ended, by result (good, bad)",
                &["result"],
            ),
            imports: make.counters(
                "aftercall_imports_total",
                "Imports by HTTP or from the watched folder, by result (done, cut_off, refused, interrupted)",
                &["result"],
            ),
        };
        // There from the start, so that a rate can be asked for before the first.
        metrics.rows(0, 0);
        for result in ImportResult::ALL {
            metrics.imports.with_label_values(&[result.name()]);
        }
        metrics
    }

    /// Counts the rows of an import that has ended.
    pub fn rows(&self, good: u64, bad: u64) {
        self.rows.with_label_values(&["good"]).inc_by(good);
        self.rows.with_label_values(&["bad"]).inc_by(bad);
    }

    /// Counts an import.
    pub fn ended(&self, result: ImportResult) {
        self.imports.with_label_values(&[result.name()]).inc();
    }
}
