//! `aftercall fields`: what of an output would leave for a destination, before anything is sent anywhere.
//!
//! The decision is the one of delivery (`sinks::fields`), so what is shown here is what leaves there. No network and
//! no log; of keys only those that the fields at hand are declared to need.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use aftercall_actors::contract::output::Output;
use clap::Args;
use serde_json::Value;

use super::{
    Failure,
    terminal::{Out, complain},
};
use crate::{
    config::Config,
    sinks::{
        fields::{Allowed, FieldError, FieldPolicy, SHIPPED},
        load,
    },
};

/// Show what of an output would leave for a destination, as the field policy says
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  aftercall fields crm < output.json
  aftercall tap --kind alert --count 5 --json | aftercall fields webhook
  echo '{\"agent_id\": \"a1\"}' | aftercall fields rewards --type reward.requested

Reads outputs as JSON from standard input: CloudEvents, as `tap --json` prints them, or the data alone with --type.
What would leave is printed as JSON, what would not, and why, to stderr.")]
pub(super) struct Fields {
    /// Destination, as the field policy names it
    #[arg(value_name = "DESTINATION")]
    destination: String,
    /// Output type of data that stands alone, such as profile.updated
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Field policy [default: deliver.fields of the configuration; not set: the one that ships with the program]
    #[arg(long, value_name = "FILE")]
    fields: Option<PathBuf>,
}

/// An output as it was given.
struct Given {
    id: String,
    event_type: String,
    subject: String,
    data: Value,
}

impl Fields {
    pub(super) fn run(&self, config_file: Option<&Path>) -> Result<(), Failure> {
        let policy = self.policy(config_file)?;
        let mut text = String::new();
        io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Failure::bad_input(format!("standard input: {error}")))?;
        let mut out = Out::new();
        let mut outputs = 0;
        for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
            let value =
                value.map_err(|error| Failure::bad_input(format!("standard input: {error}")))?;
            let given = self.given(value)?;
            let allowed = policy
                .allow_data(
                    &self.destination,
                    &given.event_type,
                    &given.id,
                    &given.subject,
                    &given.data,
                )
                .map_err(|error| self.explained(&policy, error))?;
            out.json_pretty(&allowed.data)?;
            out.flush()?;
            complain(&told(&allowed));
            outputs += 1;
        }
        if outputs == 0 {
            return Err(Failure::bad_input(
                "standard input: no output, which would be a JSON object".to_owned(),
            ));
        }
        Ok(())
    }

    fn policy(&self, config_file: Option<&Path>) -> Result<FieldPolicy, Failure> {
        // A configuration that is broken elsewhere is no reason not to look at a file that is named here.
        let file = match &self.fields {
            Some(file) => Some(file.clone()),
            None => {
                let (config, _) = Config::load(config_file).map_err(Failure::usage)?;
                config.deliver.fields
            }
        };
        match file {
            None => {
                complain(
                    "by the policy that ships with the program: the configuration names none (deliver.fields)",
                );
                FieldPolicy::parse(SHIPPED, "(shipped)").map_err(Failure::usage)
            }
            Some(file) => load::policy(&file).map_err(Failure::usage),
        }
    }

    fn given(&self, value: Value) -> Result<Given, Failure> {
        let Value::Object(mut object) = value else {
            return Err(Failure::bad_input(
                "an output is a JSON object, this is another value".to_owned(),
            ));
        };
        let is_event = object.contains_key("specversion");
        let mut take = |name: &str| match object.remove(name) {
            Some(Value::String(text)) => Some(text),
            Some(_) | None => None,
        };
        let given = if is_event {
            Given {
                id: take("id").unwrap_or_default(),
                event_type: take("type").unwrap_or_default(),
                subject: take("subject").unwrap_or_default(),
                data: object.remove("data").unwrap_or_default(),
            }
        } else {
            let event_type = self.event_type.clone().ok_or_else(|| {
                Failure::usage(anyhow::anyhow!(
                    "this is no CloudEvent; for data that stands alone say its type: --type profile.updated"
                ))
            })?;
            Given {
                id: String::new(),
                event_type,
                subject: String::new(),
                data: Value::Object(object),
            }
        };
        if Output::TYPES.contains(&given.event_type.as_str()) {
            return Ok(given);
        }
        Err(Failure::usage(anyhow::anyhow!(
            "there is no output type `{}`{}",
            given.event_type,
            hint(&given.event_type, Output::TYPES)
        )))
    }

    fn explained(&self, policy: &FieldPolicy, error: FieldError) -> Failure {
        match error {
            FieldError::UnknownDestination { .. } => Failure::usage(anyhow::anyhow!(
                "{error}{}",
                hint(&self.destination, policy.destinations())
            )),
            FieldError::UnknownType { .. } => Failure::usage(error),
            FieldError::Key(_)
            | FieldError::BadKey { .. }
            | FieldError::NoKey(_)
            | FieldError::Sealing(_) => error.into(),
        }
    }
}

/// What stays, a line for each.
fn told(allowed: &Allowed) -> String {
    let mut lines = Vec::new();
    if let Some(subject) = &allowed.subject {
        lines.push(format!("leaves beside the data: subject {subject}"));
    }
    let stays = allowed
        .dropped
        .iter()
        .map(|dropped| format!("stays: {} ({})", dropped.path, dropped.cause.words()));
    lines.extend(stays);
    if allowed.dropped.is_empty() {
        lines.push("nothing stays".to_owned());
    }
    lines.join("\n")
}

fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    crate::config::document::unknown(name, &known).unwrap_or_default()
}
