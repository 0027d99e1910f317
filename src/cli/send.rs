//! `aftercall send`: one output to one destination, shown as it would leave, or sent: a mistake in a template, a
//! credential or a certificate is found by hand before the first real output finds it.
//!
//! The courier is the one of delivery, so what is shown here is what leaves there. Nothing is read from or written to
//! the log: no outcome goes back, and nothing is retried.

use std::{fs, path::PathBuf};

use aftercall_actors::contract::{
    output::{Kind, Output},
    time::LogTime,
};
use clap::Args;
use serde_json::Value;

use super::{
    Failure, Setting,
    terminal::{Out, complain},
};
use crate::{
    app::Bus,
    delivery::{
        attempt::{Attempt, Verdict},
        parcel::Parcel,
    },
    sinks::{courier::Courier, examples, load},
};

/// Show what would be sent to a destination for one output, and with --really send it
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  aftercall send slack --example alert.raised
  aftercall send crm --file output.json --really

What is shown is the first request, exactly as it would leave, with credentials as ***. The people a message is for are
looked up for it. With --really it is sent once, and the answer and what it means are shown as well; exit code 1 if it
was not delivered. The example's id is its idempotency key, so a vendor may take a second one for a repeat.")]
pub(super) struct Send {
    /// Destination, as destinations.toml names it
    #[arg(value_name = "DESTINATION")]
    destination: String,
    /// The documented example of an output type [default: of the first type the destination takes]
    #[arg(long, value_name = "TYPE", conflicts_with = "file")]
    example: Option<String>,
    /// An output as a CloudEvent in JSON, as `tap --json` prints it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Send it
    #[arg(long)]
    really: bool,
    /// Destinations [default: deliver.destinations of the configuration]
    #[arg(long, value_name = "FILE")]
    destinations: Option<PathBuf>,
    /// Field policy [default: deliver.fields of the configuration; not set: nothing may leave]
    #[arg(long, value_name = "FILE")]
    fields: Option<PathBuf>,
}

impl Send {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        let courier = self.courier(setting)?;
        let parcel = self.parcel(&courier)?;
        if !courier.destination().selector.selects(&parcel) {
            complain(&format!(
                "note: {} would not take this output (`on`, `when`)",
                self.destination
            ));
        }
        bus.block_on(self.act(&courier, &parcel))
    }

    async fn act(&self, courier: &Courier, parcel: &Parcel) -> Result<(), Failure> {
        let mut out = Out::new();
        match courier.rehearse(parcel, None).await {
            Ok(shown) => {
                out.line(&shown)?;
                complain(&format!("{} bytes of body", shown.body_bytes));
            }
            Err(fault) => return Err(anyhow::anyhow!("{fault}").into()),
        }
        out.flush()?;
        if !self.really {
            return Ok(());
        }
        let attempt = courier.attempt(parcel, None, 1).await;
        report(&mut out, &attempt)?;
        out.flush()?;
        match &attempt.verdict {
            Verdict::Delivered => Ok(()),
            Verdict::Rejected { why } => Err(anyhow::anyhow!("rejected: {why}").into()),
            Verdict::Unclear { why, .. } => {
                Err(anyhow::anyhow!("neither done nor refused: {why}").into())
            }
            Verdict::Misconfigured { why, .. } => {
                Err(anyhow::anyhow!("misconfigured: {why}").into())
            }
            Verdict::Again { why, unknown, .. } => {
                let known = match unknown {
                    true => ", and nobody knows whether it was done",
                    false => "",
                };
                Err(anyhow::anyhow!("not delivered: {why}{known}").into())
            }
        }
    }

    fn courier(&self, setting: Setting) -> Result<Courier, Failure> {
        let configured = setting.config.deliver;
        let path = self.destinations.clone().or(configured.destinations);
        let path = path.ok_or_else(|| {
            Failure::usage(anyhow::anyhow!(
                "no destinations: name a file with --destinations, or in the configuration (deliver.destinations)"
            ))
        })?;
        let fields = self.fields.clone().or(configured.fields);
        let mut loaded = load::load(&path, fields.as_deref()).map_err(Failure::usage)?;
        let destinations = &mut loaded.checked.destinations.destinations;
        let known: Vec<String> = destinations
            .iter()
            .map(|destination| destination.name.clone())
            .collect();
        destinations.retain(|destination| destination.name == self.destination);
        let found = loaded.couriers().map_err(Failure::usage)?;
        found.into_iter().next().ok_or_else(|| {
            Failure::usage(anyhow::anyhow!(
                "there is no destination `{}` (there are: {})",
                self.destination,
                known.join(", ")
            ))
        })
    }

    fn parcel(&self, courier: &Courier) -> Result<Parcel, Failure> {
        if let Some(path) = &self.file {
            let origin = path.display().to_string();
            let text = fs::read_to_string(path)
                .map_err(|error| Failure::bad_input(format!("{origin}: {error}")))?;
            return given(&text).map_err(|why| Failure::bad_input(format!("{origin}: {why}")));
        }
        let event_type = match &self.example {
            Some(event_type) => event_type.as_str(),
            None => courier
                .destination()
                .selector
                .types()
                .next()
                .unwrap_or_default(),
        };
        examples::of(event_type).ok_or_else(|| {
            Failure::usage(anyhow::anyhow!(
                "there is no output type `{event_type}` (there are: {})",
                Output::TYPES.join(", ")
            ))
        })
    }
}

fn report(out: &mut Out, attempt: &Attempt) -> anyhow::Result<()> {
    out.line("")?;
    match &attempt.result {
        Ok(answer) => {
            out.line(format_args!("answer: {}", answer.status))?;
            for (name, value) in &answer.headers {
                out.line(format_args!("{name}: {value}"))?;
            }
            out.line("")?;
            out.json_pretty(&answer.body)?;
        }
        Err(fault) => out.line(format_args!("no answer: {fault}"))?,
    }
    out.line("")?;
    let verdict = match &attempt.verdict {
        Verdict::Delivered => "delivered".to_owned(),
        Verdict::Rejected { .. } => "rejected: to the dead letters".to_owned(),
        Verdict::Unclear { .. } => "given up: to the dead letters, for a person to look".to_owned(),
        Verdict::Misconfigured { .. } => {
            "misconfigured: all outputs wait until the credentials are right".to_owned()
        }
        Verdict::Again {
            after: Some(after), ..
        } => {
            format!("another attempt, not before {after:?}")
        }
        Verdict::Again { after: None, .. } => "another attempt".to_owned(),
    };
    out.line(format_args!("verdict: {verdict}"))?;
    if let Some(status) = &attempt.status {
        out.line(format_args!("status of the outcome: {status}"))?;
    }
    if let Some(response) = &attempt.response {
        out.line(format_args!("response of the outcome: {response}"))?;
    }
    Ok(())
}

/// An output as it was given.
fn given(text: &str) -> Result<Parcel, String> {
    let event: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let text = |name: &str| {
        let value = event.get(name).and_then(Value::as_str);
        value
            .map(str::to_owned)
            .ok_or_else(|| format!("no CloudEvent: `{name}` is missing"))
    };
    let event_type = text("type")?;
    let kind = Kind::of(&event_type).ok_or_else(|| {
        format!("`{event_type}` is no output type (`aftercall schema` lists all)")
    })?;
    let attributes = event.as_object().into_iter().flatten();
    Ok(Parcel {
        seq: 1,
        id: text("id")?,
        kind,
        subject: text("subject")?,
        stored_at: LogTime(0),
        attributes: attributes
            .filter(|(name, _)| !["id", "type", "subject", "data"].contains(&name.as_str()))
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
        data: event.get("data").cloned().ok_or("`data` is missing")?,
        event_type,
    })
}
