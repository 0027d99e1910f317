//! Section `[import]`: what the columns of an export mean, and where exports are looked for. `ingest` reads rows by it.

use std::path::PathBuf;

use jiff::{civil::Date, fmt::strtime};

use super::{document::Section, path_or_none};

/// Section `[import]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportConfig {
    /// Exports of workforce management.
    pub wfm: WfmColumns,
    /// Directory that `run` takes exports of workforce management from; `None`: from none. How a file is read does not
    /// depend on it, so it is no part of the columns.
    pub wfm_watch: Option<PathBuf>,
}

/// Section `[import.wfm]`: the columns of a workforce management export (REQUIREMENTS S3.01).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WfmColumns {
    /// The export's name, part of every event's source: `wfm/<export>`.
    pub export: String,
    /// Column with the agent's id.
    pub agent: String,
    /// Column with the workday.
    pub date: String,
    /// How a workday may be written, in the words of strftime; tried in order. Empty: as `2026-11-20`.
    pub date_formats: Vec<String>,
    /// How numbers in text are written.
    pub decimal: Decimal,
    /// Column and metric, for each column that holds one; empty: all columns but the two above, under their own names.
    pub metrics: Vec<(String, String)>,
}

/// What stands before the decimals of a number in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decimal {
    /// `0.95`
    Point,
    /// `0,95`
    Comma,
}

impl Default for WfmColumns {
    fn default() -> Self {
        Self {
            export: "export".to_owned(),
            agent: "agentId".to_owned(),
            date: "date".to_owned(),
            date_formats: Vec::new(),
            decimal: Decimal::Point,
            metrics: Vec::new(),
        }
    }
}

impl ImportConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let (wfm, wfm_watch) = section.table("wfm", |section| {
            let columns = WfmColumns::read(section);
            (columns, section.string("watch", None, path_or_none))
        });
        Self { wfm, wfm_watch }
    }
}

impl WfmColumns {
    fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let read = Self {
            export: section.string("export", default.export, export_name),
            agent: section.string("agent", default.agent, column),
            date: section.string("date", default.date, column),
            date_formats: section.words("date_formats", date_format),
            decimal: section.string("decimal", default.decimal, |text| match text {
                "." => Ok(Decimal::Point),
                "," => Ok(Decimal::Comma),
                _ => Err("\".\" or \",\"".to_owned()),
            }),
            metrics: section.pairs("metrics", |name, metric| {
                let metric = column(metric).map_err(|allowed| format!("allowed: {allowed}"))?;
                Ok((name.trim().to_owned(), metric))
            }),
        };
        if read.agent == read.date {
            section.conflict("date", "the same column as agent".to_owned());
        }
        for (place, (name, metric)) in read.metrics.iter().enumerate() {
            if read
                .metrics
                .iter()
                .take(place)
                .any(|(_, other)| other == metric)
            {
                let text = format!("two columns for the metric `{metric}`");
                section.conflict("metrics", text);
            }
            if *name == read.agent || *name == read.date {
                let text = format!("`{name}` is the column of agent or date, and no metric");
                section.conflict("metrics", text);
            }
        }
        read
    }
}

/// An export's name: what may stand in a URI reference as it is.
///
/// # Errors
/// What is allowed.
pub fn export_name(text: &str) -> Result<String, String> {
    let fits = |b: u8| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.');
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 of a-z, A-Z, 0-9, `_`, `-` and `.`".to_owned())
    }
}

fn column(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("a name".to_owned()),
        name if name.len() > 256 => Err("a name of at most 256 bytes".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// A format is right if it tells every day: what is written with it reads as the same day again.
fn date_format(text: &str) -> Result<String, String> {
    let days = [Date::constant(2026, 11, 20), Date::constant(1999, 2, 1)];
    let tells = |day: &Date| {
        let written = strtime::format(text, *day).ok();
        written.and_then(|written| Date::strptime(text, written).ok()) == Some(*day)
    };
    if days.iter().all(tells) {
        Ok(text.to_owned())
    } else {
        Err("a date in the words of strftime, such as \"%d.%m.%Y\"".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn columns_formats_and_metrics_are_read_and_their_mistakes_named() {
        let text = "[import.wfm]\nwatch = \"in\"\nexport = \"emea\"\nagent = \"Agent ID\"\ndate = \"Day\"\n\
                    date_formats = [\"%d.%m.%Y\", \"%Y%m%d\"]\ndecimal = \",\"\n\
                    metrics = { \"Adherence %\" = \"adherence\", Points = \"points\" }\n";
        let config = Config::parse(text, "a.toml").unwrap();
        let wanted = WfmColumns {
            export: "emea".into(),
            agent: "Agent ID".into(),
            date: "Day".into(),
            date_formats: vec!["%d.%m.%Y".into(), "%Y%m%d".into()],
            decimal: Decimal::Comma,
            metrics: vec![
                ("Adherence %".into(), "adherence".into()),
                ("Points".into(), "points".into()),
            ],
        };
        assert_eq!(config.import.wfm, wanted);
        assert_eq!(config.import.wfm_watch, Some("in".into()));

        let text = "[import.wfm]\nexport = \"a/b\"\nagent = \"\"\ndate_formats = [\"%d.%m\"]\n\
                    decimal = \";\"\nmetrics = { date = \"x\", y = \"x\" }\n";
        let errors = Config::parse(text, "a.toml").unwrap_err();
        assert_eq!(
            errors.to_string().lines().collect::<Vec<_>>(),
            [
                "a.toml:2: import.wfm.export: found \"a/b\", allowed: 1 to 64 of a-z, A-Z, 0-9, `_`, `-` and `.`",
                "a.toml:3: import.wfm.agent: found \"\", allowed: a name",
                "a.toml:4: import.wfm.date_formats: found \"%d.%m\", allowed: a date in the words of strftime, such \
                 as \"%d.%m.%Y\"",
                "a.toml:5: import.wfm.decimal: found \";\", allowed: \".\" or \",\"",
                "a.toml:6: import.wfm.metrics: `date` is the column of agent or date, and no metric",
                "a.toml:6: import.wfm.metrics: two columns for the metric `x`",
            ]
        );
    }
}
