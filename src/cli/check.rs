//! `aftercall check`: the configuration, the rules and the destinations, before anything runs on them.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Global, servers_of_environment, terminal::Out};
use crate::{
    app,
    config::{Config, Place},
    sinks::{
        alarms,
        file::Checked,
        load,
        payout::{self, Payer},
    },
    telemetry::logging,
};

/// Check the configuration, the rules and the destinations; all mistakes with file and line
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  aftercall check --config aftercall.toml --rules rules.toml
  aftercall check --destinations destinations.toml --fields fields.toml

What run takes from the environment counts here too: AFTERCALL_CONFIG, AFTERCALL_NATS, AFTERCALL_TOKENS, RUST_LOG.
Templates of destinations are rendered over an example of every output they are for, with and without its optional
fields, and over what the field policy leaves of it. Certificates have to be there. A secret that cannot be read is a
warning only, since it may be there where the service runs. So is a program that is switched on and whose rewards no
destination answers, or more than one; and a destination whose alarm could go through itself alone. Exit code 2 if anything is wrong, 0 otherwise; a warning is not wrong. Nothing is
started, nothing is sent and no log is touched.")]
pub(super) struct Check {
    /// Rule file [default: rules.file of the configuration, else the rules that ship with the program]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Destinations [default: deliver.destinations of the configuration; not set: none are checked]
    #[arg(long, value_name = "FILE")]
    destinations: Option<PathBuf>,
    /// Field policy [default: deliver.fields of the configuration; not set: nothing may leave]
    #[arg(long, value_name = "FILE")]
    fields: Option<PathBuf>,
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
    destinations: Option<String>,
    fields: Option<String>,
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Check {
    pub(super) fn run(&self, global: &Global) -> Result<(), Failure> {
        let mut errors = Vec::new();
        let lines = |error: String| error.lines().map(str::to_owned).collect::<Vec<_>>();
        let (mut config, config_found) = match Config::load(global.config.as_deref()) {
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
        // As `run` does, from the environment.
        match servers_of_environment() {
            Ok(Some(url)) => config.log.place = Place::Nats(url),
            Ok(None) => {}
            Err(failure) => errors.push(failure.to_string()),
        }
        let filter = logging::in_force(&config.telemetry.log_filter);
        if let Err(error) = logging::check(&filter) {
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
        let destinations = self.destinations.clone().or(config.deliver.destinations);
        let fields = self.fields.clone().or(config.deliver.fields);
        let checked = delivery(destinations.as_deref(), fields.as_deref(), &mut errors);
        let mut warnings: Vec<String> = checked
            .as_ref()
            .map_or_else(Vec::new, |checked| checked.warnings().collect());
        if let Some(checked) = &checked {
            warnings.extend(alarms::warnings(&checked.destinations.destinations));
        }
        // Broken destinations say nothing about who pays.
        let found = match (&destinations, &checked) {
            (None, _) => Some(Vec::new()),
            (Some(_), checked) => checked.as_ref().map(|checked| {
                let payers = checked.destinations.destinations.iter().map(Payer::from);
                payers.collect()
            }),
        };
        if let (Some(rules), Some(payers)) = (&rules, found) {
            warnings.extend(payout::warnings(rules, &payers));
        }
        let shown = |path: &PathBuf| path.display().to_string();
        let report = Report {
            ok: errors.is_empty(),
            config: config_found
                .map_or_else(|| "(defaults)".to_owned(), |p| p.display().to_string()),
            rules: file.map_or_else(|| "(shipped)".to_owned(), |p| p.display().to_string()),
            rules_version: rules.map(|rules| rules.version().to_owned()),
            destinations: destinations.as_ref().map(shown),
            fields: fields.as_ref().map(shown),
            errors,
            warnings,
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
            if let (Some(file), Some(checked)) = (&report.destinations, &checked) {
                let count = checked.destinations.destinations.len();
                out.line(format_args!("destinations {file}: good, {count} of them"))?;
            }
            if let Some(file) = &report.fields {
                out.line(format_args!("fields {file}: good"))?;
            }
        }
        if !self.json {
            for warning in &report.warnings {
                out.line(format_args!("warning: {warning}"))?;
            }
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

/// Checks both files, the templates over what the policy leaves, and what the files point at. Mistakes go to `errors`.
fn delivery(
    destinations: Option<&Path>,
    fields: Option<&Path>,
    errors: &mut Vec<String>,
) -> Option<Checked> {
    let mut note = |error: String| errors.extend(error.lines().map(str::to_owned));
    let Some(destinations) = destinations else {
        if let Some(Err(error)) = fields.map(load::policy) {
            note(error.to_string());
        }
        return None;
    };
    match load::load(destinations, fields) {
        Ok(mut loaded) => {
            if let Err(error) = loaded.look_around() {
                note(error.to_string());
            }
            Some(loaded.checked)
        }
        Err(error) => {
            note(error.to_string());
            None
        }
    }
}
