//! `aftercall check`: the configuration and the rules, before anything runs on them.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, terminal::Out};
use crate::{
    app,
    config::{Config, Place},
};

/// Check the configuration and the rules; all mistakes with file and line
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  aftercall check --config aftercall.toml --rules rules.toml

Exit code 2 if anything is wrong, 0 otherwise. Nothing is started and no log is touched.")]
pub(super) struct Check {
    /// Rule file [default: rules.file of the configuration, else the rules that ship with the program]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

#[derive(serde::Serialize)]
struct Report {
    ok: bool,
    config: String,
    rules: String,
    rules_version: Option<String>,
    errors: Vec<String>,
}

impl Check {
    pub(super) fn run(&self, config_file: Option<&Path>) -> Result<(), Failure> {
        let mut errors = Vec::new();
        let lines = |error: String| error.lines().map(str::to_owned).collect::<Vec<_>>();
        let (config, config_found) = match Config::load(config_file) {
            Ok(loaded) => loaded,
            Err(error) => {
                errors.extend(lines(error.to_string()));
                (Config::default(), None)
            }
        };
        let config_broken = !errors.is_empty();
        if !config_broken && let Err(error) = crate::desk::tokens::Tokens::load(&config.http) {
            errors.push(error.to_string());
        }
        let file = self.rules.clone().or_else(|| config.rules.file.clone());
        // A broken configuration may name another rule file than the default: then only one named here is checked.
        let rules = match &file {
            None if config_broken => None,
            file => match app::load_rules(file.as_deref()) {
                Ok(rules) => Some(rules),
                Err(error) => {
                    errors.extend(lines(error.to_string()));
                    None
                }
            },
        };
        let report = Report {
            ok: errors.is_empty(),
            config: config_found
                .map_or_else(|| "(defaults)".to_owned(), |p| p.display().to_string()),
            rules: file.map_or_else(|| "(shipped)".to_owned(), |p| p.display().to_string()),
            rules_version: rules.map(|rules| rules.version().to_owned()),
            errors,
        };
        let mut out = Out::new();
        if self.json {
            out.json_pretty(&report)?;
        } else if report.ok {
            let place = match &config.log.place {
                Place::Nats(url) => url.to_string(),
                Place::Embedded(dir) => format!("embedded in {}", dir.display()),
            };
            out.line(format_args!(
                "configuration {}: good (log: {place})",
                report.config
            ))?;
            let version = report.rules_version.as_deref().unwrap_or_default();
            out.line(format_args!(
                "rules {}: good, version {version}",
                report.rules
            ))?;
        }
        out.flush()?;
        match report.errors.as_slice() {
            [] => Ok(()),
            _ if self.json => Err(Failure::usage(anyhow::anyhow!(
                "{} mistakes",
                report.errors.len()
            ))),
            errors => Err(Failure::usage(anyhow::anyhow!("{}", errors.join("\n")))),
        }
    }
}
