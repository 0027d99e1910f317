//! `aftercall load`: made-up traffic at a fixed rate, and how long it takes until alerts can be seen.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;

use super::{
    Failure, LogArgs, Setting,
    latency::Percentiles,
    probe::{self, Pace, Probe},
    terminal::{self, Out},
};
use crate::{
    app::Bus,
    config::units::Span,
    log::{Lane, Log},
    traffic::Traffic,
};

/// Publish made-up traffic at a fixed rate and report the latency from publish to visible alert
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  aftercall load --rate 5000 --for 60s --nats nats://127.0.0.1:4222

An `aftercall run` must be running on the same log. Latencies count from when an event was due on the schedule to
when its alert was seen by a subscriber, so a slow log cannot hide behind sending less. Exit code 1 if events were
not confirmed or no output came at all.")]
pub(super) struct Load {
    #[command(flatten)]
    log: LogArgs,
    /// Events a second
    #[arg(long, value_name = "R", default_value_t = 1_000.0, value_parser = rate)]
    rate: f64,
    /// How long, such as 30s or 5m
    #[arg(long = "for", value_name = "D", default_value = "30s")]
    length: Span,
    /// Agents in the made-up centre
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    agents: u32,
    /// Customers in the made-up centre
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    customers: u32,
    /// Seed of the traffic [default: another one each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Events a second that a rate may ask for.
const RATE_MAX: f64 = 1_000_000.0;

pub(super) fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| (0.1..=RATE_MAX).contains(rate))
        .ok_or_else(|| format!("allowed: a number from 0.1 to {RATE_MAX}"))
}

/// After the last event: how long without any output until all are taken to have come, and how long at most.
const QUIET: Duration = Duration::from_secs(2);
const DRAIN_MAX: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct Report {
    log: &'static str,
    rate_wanted: f64,
    rate_achieved: f64,
    seconds: f64,
    published: u64,
    failed: u64,
    outputs: BTreeMap<&'static str, u64>,
    /// From when a survey was due to when its alert was seen.
    publish_to_alert: Option<Percentiles>,
}

impl Load {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        let config = setting.with_log(&self.log)?.config;
        let report = bus.block_on(async {
            let log = bus.open_log(&config.log).await?;
            self.measure(&log).await
        })?;
        let mut out = Out::new();
        if self.json {
            out.json_pretty(&report)?;
        } else {
            for line in report.lines() {
                out.line(line)?;
            }
        }
        out.flush()?;
        if report.failed > 0 {
            return Err(anyhow::anyhow!("{} events were not confirmed", report.failed).into());
        }
        if report.outputs.values().all(|n| *n == 0) {
            return Err(
                anyhow::anyhow!("no output came: is `aftercall run` running on this log?").into(),
            );
        }
        Ok(())
    }

    async fn measure(&self, log: &Log) -> anyhow::Result<Report> {
        let probe = Probe::new()?;
        let outputs = probe::tail(log).await?;
        let watching = tokio::spawn({
            let probe = Arc::clone(&probe);
            async move { probe.watch(outputs).await }
        });
        let seed = self.seed.unwrap_or_else(probe::fresh_seed);
        let traffic = Traffic::new(seed, self.agents, self.customers);
        let started = Instant::now();
        let publishing = tokio::task::spawn_blocking({
            let (probe, log) = (Arc::clone(&probe), Arc::clone(log));
            let pace = Pace {
                rate: self.rate,
                length: Some(self.length.duration()),
                stop: Arc::default(),
            };
            let runtime = tokio::runtime::Handle::current();
            move || probe.publish(&log, traffic, pace, &runtime)
        });
        self.show_progress(&probe, started, &publishing).await;
        publishing.await?;
        let elapsed = started.elapsed();
        drain(&probe).await;
        if watching.is_finished() {
            watching.await??;
        } else {
            watching.abort();
        }
        Ok(Report {
            log: log.name(),
            rate_wanted: self.rate,
            rate_achieved: probe.published() as f64 / elapsed.as_secs_f64(),
            seconds: elapsed.as_secs_f64(),
            published: probe.published(),
            failed: probe.failed(),
            outputs: Lane::all()
                .map(|lane| (lane.name(), probe.outputs(lane)))
                .collect(),
            publish_to_alert: probe.latencies(),
        })
    }

    /// A line a second to standard error, until publishing ends.
    async fn show_progress(
        &self,
        probe: &Probe,
        started: Instant,
        publishing: &tokio::task::JoinHandle<()>,
    ) {
        let mut next = 1;
        while !publishing.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if started.elapsed() < Duration::from_secs(next) || self.json {
                continue;
            }
            next += 1;
            let latency = probe.recent_latencies();
            let latency = latency.map_or_else(|| "no alert".to_owned(), |p| p.to_string());
            terminal::complain(&format!(
                "{:>4.0} s  {} published, {} outputs, {latency}",
                started.elapsed().as_secs_f64(),
                probe.published(),
                probe.outputs_all()
            ));
        }
    }
}

/// Waits until outputs have stopped coming.
async fn drain(probe: &Probe) {
    let deadline = Instant::now() + DRAIN_MAX;
    let mut last = (probe.outputs_all(), Instant::now());
    while last.1.elapsed() < QUIET && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = probe.outputs_all();
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
}

impl Report {
    fn lines(&self) -> Vec<String> {
        let outputs: Vec<_> = self
            .outputs
            .iter()
            .filter(|(_, n)| **n > 0)
            .map(|(kind, n)| format!("{kind} {n}"))
            .collect();
        vec![
            format!(
                "published   {} events in {:.1} s on {}: {:.0}/s of {:.0}/s wanted, {} not confirmed",
                self.published,
                self.seconds,
                self.log,
                self.rate_achieved,
                self.rate_wanted,
                self.failed
            ),
            format!(
                "outputs     {}",
                if outputs.is_empty() {
                    "none".to_owned()
                } else {
                    outputs.join(", ")
                }
            ),
            format!(
                "to alert    {}",
                self.publish_to_alert
                    .map_or_else(|| "no alert seen".to_owned(), |p| p.to_string())
            ),
        ]
    }
}
