//! `aftercall ledger verify`: the book against the stored agents, the outputs, and what providers list.

use std::path::PathBuf;

use aftercall_actors::rules::RuleSet;
use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::{
    app::Bus,
    cli::{Failure, LogArgs, Setting, publish::style, terminal::Out},
    delivery::policy::OutcomeRule,
    ledger::verify::{Discrepancy, Summary, verify},
    sinks::{client::install_provider, courier::Courier, load},
};

/// Recompute every balance and reward from the log, and compare with the state, the outputs and the providers
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  aftercall ledger verify --nats nats://127.0.0.1:4222
  aftercall ledger verify --destinations destinations.toml --fields fields.toml --json

The book is worked out anew from the first event, and held against
  books     each agent after each event: the lines come to its balance, and what was earned is what is left, expired
            and spent
  claims    each claim: its points are the threshold of its tier under the rules of that moment
  state     each agent as it is stored: points by workday and source, claims, rewards, debt, and every byte besides
  outcomes  each reward.outcome: the delivery records of the destination that it names prove that it told it
  outputs   each reward.requested and reward.reversal.requested: in the output stream once, with the book's data
  deliveries  each request that a destination is past: it is delivering it, or has told what became of it
  provider  each destination with [destination.list]: every reward issued is there once, for as many points, and none
            that was not

Nothing is written, and a service may run meanwhile: what is on its way (requested, in review, being taken back, not
published yet) is counted as open and is no difference. The event log has to be held from its first event on.

One line a difference, or a JSON object a line, and a summary at the end. Exit code 1 if anything differs.")]
pub(in super::super) struct Verify {
    #[command(flatten)]
    log: LogArgs,
    /// Destinations: those with a list are asked, and the records are read of those that rewards are asked of [default: deliver.destinations of the configuration]
    #[arg(long, value_name = "FILE")]
    destinations: Option<PathBuf>,
    /// Field policy [default: deliver.fields of the configuration; not set: nothing may leave]
    #[arg(long, value_name = "FILE")]
    fields: Option<PathBuf>,
    /// Ask no provider
    #[arg(long, conflicts_with = "destinations")]
    offline: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// One line of `--json`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Difference(&'a Discrepancy),
    Summary(&'a Summary),
}

impl Verify {
    pub(in super::super) fn run(&self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        let setting = setting.with_log(&self.log)?;
        let couriers = self.couriers(&setting)?;
        let mut out = Out::new();
        let mut written = Ok(());
        let bar = ProgressBar::new(0).with_style(style(
            "ledger  {bar:40} {pos}/{len} events  {per_sec}  {eta} left",
        ));
        let summary = bus.block_on(async {
            let log = bus.open_existing_log(&setting.config.log).await?;
            let report = |discrepancy: Discrepancy| {
                if written.is_ok() {
                    written = bar.suspend(|| self.difference(&mut out, &discrepancy));
                }
            };
            let progress = |position, until| {
                bar.set_length(until);
                bar.set_position(position);
            };
            let genesis = RuleSet::default_rules();
            let verified = verify(&log, &genesis, &couriers, report, progress).await;
            verified.context("the ledger cannot be verified")
        });
        bar.finish_and_clear();
        written?;
        let summary = match summary {
            Ok(summary) => summary,
            Err(error) => {
                out.flush()?;
                return Err(error.into());
            }
        };
        if self.json {
            out.json(&Line::Summary(&summary))?;
        } else {
            self.summary(&mut out, &summary)?;
        }
        out.flush()?;
        match summary.differences {
            0 => Ok(()),
            1 => Err(anyhow::anyhow!("1 difference").into()),
            n => Err(anyhow::anyhow!("{n} differences").into()),
        }
    }

    fn difference(&self, out: &mut Out, discrepancy: &Discrepancy) -> anyhow::Result<()> {
        if self.json {
            out.json(&Line::Difference(discrepancy))?;
        } else {
            out.line(discrepancy)?;
        }
        out.flush()
    }

    fn summary(&self, out: &mut Out, summary: &Summary) -> anyhow::Result<()> {
        let Summary {
            position,
            agents,
            actors,
            entries,
            points,
            rewards,
            issued,
            open,
            outputs,
            unpublished,
            providers,
            differences,
        } = summary;
        out.line(format_args!("book      {entries} entries of {agents} agents, {points} points, up to position {position}"))?;
        out.line(format_args!("state     {actors} actors"))?;
        out.line(format_args!(
            "rewards   {rewards}: {issued} issued, {open} open"
        ))?;
        out.line(format_args!(
            "outputs   {outputs} of rewards, {unpublished} not published yet"
        ))?;
        for (name, listed) in providers {
            out.line(format_args!(
                "provider  {name}: {} orders, {} rewards compared, {} open",
                listed.orders, listed.compared, listed.open
            ))?;
        }
        if providers.is_empty() {
            out.line("provider  none was asked")?;
        }
        let text = match differences {
            0 => "no difference".to_owned(),
            1 => "1 difference".to_owned(),
            n => format!("{n} differences"),
        };
        out.line(text)
    }

    /// The destinations that can be asked.
    fn couriers(&self, setting: &Setting) -> Result<Vec<Courier>, Failure> {
        let configured = &setting.config.deliver;
        let path = self
            .destinations
            .as_ref()
            .or(configured.destinations.as_ref());
        let Some(path) = path else {
            return Ok(Vec::new());
        };
        let fields = self.fields.as_ref().or(configured.fields.as_ref());
        let mut loaded = load::load(path, fields.map(PathBuf::as_path)).map_err(Failure::usage)?;
        let destinations = &mut loaded.checked.destinations.destinations;
        destinations.retain_mut(|destination| {
            destination.list.take_if(|_| self.offline);
            let rule = destination.policy.outcome.as_ref();
            destination.list.is_some() || rule.is_some_and(OutcomeRule::is_of_rewards)
        });
        install_provider();
        loaded.couriers().map_err(Failure::usage)
    }
}
