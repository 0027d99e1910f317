//! Where the demo's outputs go: vendors on this machine, played by the sandbox, and what they say of it at the end.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::{
    app::Engine,
    cli::terminal::Out,
    delivery::transport::Transport,
    sandbox::{self, Running, Settings, TOKEN},
    sinks::load,
};

/// Where destinations are and what may leave for them; the places of vendors and token are written in.
const DESTINATIONS: &str = include_str!("../../../config/demo/destinations.toml");
const FIELDS: &str = include_str!("../../../config/demo/fields.toml");

/// How long the end waits for what is still on its way. Vendors limit their rates, so some of it waits its turn.
const FINISH_MAX: Duration = Duration::from_secs(15);

/// Longer than an output is on its way to its destination.
const QUIET: Duration = Duration::from_secs(1);

/// The vendors, and the secret to be let in by them.
pub(super) struct Vendors {
    running: Running,
    /// Goes with the demo.
    secrets: tempfile::TempDir,
}

impl Vendors {
    /// Opens for business. Within an actix system.
    pub(super) fn start() -> anyhow::Result<Self> {
        let secrets = tempfile::Builder::new()
            .prefix("aftercall-demo-")
            .tempdir()?;
        fs::write(secrets.path().join("token"), TOKEN)?;
        // Recordings are there at once: the demo is over before an upload would be.
        let settings = Settings {
            recording_after: Duration::ZERO,
            ..Settings::default()
        };
        let running = sandbox::start(([127, 0, 0, 1], 0).into(), &settings)?;
        Ok(Self { running, secrets })
    }

    /// Where they are listed.
    pub(super) fn ledger_url(&self) -> String {
        format!("http://{}/ledger/summary", self.running.address)
    }

    /// What takes outputs there.
    pub(super) fn couriers(&self) -> anyhow::Result<Vec<Arc<dyn Transport>>> {
        let token = self.secrets.path().join("token");
        let destinations = DESTINATIONS
            .replace("file:TOKEN", &format!("file:{}", token.display()))
            .replace(
                "http://SANDBOX",
                &format!("http://{}", self.running.address),
            )
            .replace("smtp://SMTP", &format!("smtp://{}", self.running.smtp));
        let loaded = load::parse(
            (&destinations, "config/demo/destinations.toml"),
            Some((FIELDS, "config/demo/fields.toml")),
        )?;
        Ok(loaded.transports()?)
    }

    /// Waits until nothing is left to deliver and nothing comes any more, but not for ever.
    pub(super) async fn finish(&self, engine: &Engine) -> bool {
        let since = Instant::now();
        let mut quiet_since = Instant::now();
        while since.elapsed() < FINISH_MAX {
            let destinations = engine.deliveries().destinations();
            if destinations.iter().any(|status| status.unfinished > 0) {
                quiet_since = Instant::now();
            }
            if quiet_since.elapsed() > QUIET {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// Prints what each destination did, and what each vendor says that it received.
    ///
    /// # Errors
    /// If a vendor did something twice.
    pub(super) fn sum_up(&self, engine: &Engine, out: &mut Out) -> anyhow::Result<()> {
        out.line("")?;
        out.line(format_args!(
            "{:<12}{:>10}{:>8}{:>10}{:>8}{:>10}",
            "destination", "delivered", "merged", "rejected", "failed", "waiting"
        ))?;
        for status in engine.deliveries().destinations() {
            out.line(format_args!(
                "{:<12}{:>10}{:>8}{:>10}{:>8}{:>10}",
                status.destination,
                status.delivered,
                status.merged,
                status.rejected,
                status.failed,
                status.unfinished
            ))?;
        }
        out.line("")?;
        out.line("the vendors' own ledger:")?;
        out.line(format_args!(
            "{:<12}{:>10}{:>8}{:>22}",
            "vendor", "requests", "done", "done more than once"
        ))?;
        let summary = self.running.sandbox.summary();
        for (vendor, summary) in &summary {
            out.line(format_args!(
                "{vendor:<12}{:>10}{:>8}{:>22}",
                summary.calls, summary.executions, summary.keys_repeated
            ))?;
        }
        out.flush()?;
        let twice: Vec<String> = summary
            .iter()
            .filter(|(_, summary)| summary.keys_repeated > 0)
            .map(|(vendor, summary)| format!("{vendor}: {:?}", summary.repeated))
            .collect();
        anyhow::ensure!(
            twice.is_empty(),
            "done more than once: {}",
            twice.join("; ")
        );
        Ok(())
    }

    /// Closes.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.running.stop().await;
        self.secrets.close().context("the demo's token")
    }
}
