//! `aftercall doctor`: what the log in use survives, what it does not, and what to change.

use clap::Args;

use super::{Failure, LogArgs, Setting, terminal::Out};
use crate::{
    app::{self, Bus},
    log::{Level, LogError, clock},
    shard::memory,
};

/// Look at the log's version, durability, replicas and retention, and say what it survives
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  aftercall doctor --nats nats://127.0.0.1:4222

Exit code 1 if anything is bad; a risk alone is no failure.")]
pub(super) struct Doctor {
    #[command(flatten)]
    log: LogArgs,
    /// Print the findings as a JSON array
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(&self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        let config = setting.with_log(&self.log)?.config;
        let rules = app::load_rules(config.rules.file.as_deref()).map_err(Failure::usage)?;
        let findings = bus.block_on(async {
            let log = bus.open_existing_log(&config.log).await?;
            let mut findings = log.findings().await?;
            findings.push(clock::finding(&*log).await?);
            let bytes_max = config.engine.memory_max.0;
            findings.push(memory::finding(
                bytes_max,
                log.partition_count(),
                rules.settings(),
            ));
            Ok::<_, LogError>(findings)
        })?;
        let mut out = Out::new();
        if self.json {
            out.json_pretty(&findings)?;
        } else {
            let width = findings
                .iter()
                .map(|f| f.subject.chars().count())
                .max()
                .unwrap_or(0);
            for finding in &findings {
                let level = level_name(finding.level);
                out.line(format_args!(
                    "{level:<4}  {:<width$}  {}",
                    finding.subject, finding.text
                ))?;
            }
        }
        out.flush()?;
        let bad = findings.iter().filter(|f| f.level == Level::Bad).count();
        if bad > 0 {
            return Err(
                anyhow::anyhow!("{bad} of {} findings must be put right", findings.len()).into(),
            );
        }
        Ok(())
    }
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Good => "good",
        Level::Risk => "risk",
        Level::Bad => "BAD",
    }
}
