//! `aftercall schema`: the JSON Schema of events and outputs, for producers and consumers in any language.

use std::collections::BTreeMap;

use clap::Args;

use super::{Failure, terminal::Out};
use crate::schema;

/// Print the JSON Schema of an event or output type; without one, the types there are
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  aftercall schema survey.response.created
  aftercall schema --all > schemas.json")]
pub(super) struct Schema {
    /// CloudEvents type, such as survey.response.created or alert.raised
    #[arg(value_name = "TYPE", conflicts_with = "all")]
    event_type: Option<String>,
    /// All schemas as one JSON object, by type
    #[arg(long)]
    all: bool,
}

impl Schema {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let mut out = Out::new();
        match &self.event_type {
            Some(name) => match schema::of(name) {
                Some(schema) => out.json_pretty(&schema)?,
                None => return Err(unknown(name)),
            },
            None if self.all => {
                let all: BTreeMap<_, _> = schema::names()
                    .map(|name| (name, schema::of(name)))
                    .collect();
                out.json_pretty(&all)?;
            }
            None => {
                for name in schema::names() {
                    out.line(name)?;
                }
            }
        }
        Ok(out.flush()?)
    }
}

fn unknown(name: &str) -> Failure {
    let nearest = schema::names()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min()
        .filter(|(distance, known)| distance * 3 <= known.len());
    let hint = nearest.map_or_else(String::new, |(_, known)| {
        format!("; did you mean `{known}`?")
    });
    Failure::usage(anyhow::anyhow!(
        "there is no type `{name}`{hint} (`aftercall schema` lists all)"
    ))
}
