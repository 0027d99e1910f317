//! `aftercall demo`: the whole service on the embedded log, from made-up traffic to the ledgers of made-up vendors, summed
//! up once a second.

use std::{
    io::Read,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aftercall_actors::{contract::output::Kind, rules::RuleSet};
use clap::Args;

use super::{
    Failure, Setting, load,
    probe::{self, Pace, Probe},
    terminal::{self, Out},
};
use crate::{
    app::{self, Bus, Engine, StartError},
    config::{Config, Place, units::Span},
    desk::tokens::Tokens,
    log::{Lane, Log},
    traffic::Traffic,
};

/// Show everything at once on this machine: made-up traffic in, messages and updates out to played vendors
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  aftercall demo
  aftercall demo --rate 1000 --for 30s

Alerts go to Slack, Teams and by mail, profiles to a CRM, scored answers to a warehouse: all played on this machine, over
real HTTP and SMTP. Ends with Ctrl-C or after --for, with a summary and the vendors' own ledger, in which each output
stands once. The log is kept in a temporary directory and removed, unless --dir
names one.")]
pub(super) struct Demo {
    /// Events a second
    #[arg(long, value_name = "R", default_value_t = 200.0, value_parser = load::rate)]
    rate: f64,
    /// How long, such as 30s or 5m [default: until Ctrl-C]
    #[arg(long = "for", value_name = "D")]
    length: Option<Span>,
    /// Directory of the embedded log [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Address and port of the HTTP server [default: http.listen of the configuration, or a free port if it is taken]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Seed of the traffic [default: another one each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

mod vendors;

use vendors::Vendors;

/// Who there is in the made-up centre: few enough that customers come back within a minute.
const AGENTS: u32 = 200;
const CUSTOMERS: u32 = 5_000;

impl Demo {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        let temporary = match &self.dir {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("aftercall-demo-")
                    .tempdir()?,
            ),
        };
        let mut config = setting.config;
        let dir = self
            .dir
            .clone()
            .or_else(|| temporary.as_ref().map(|t| t.path().to_owned()));
        if let Some(dir) = dir {
            config.log.place = Place::Embedded(dir);
        }
        if let Some(listen) = self.listen {
            config.http.listen = listen;
        }
        let rules = app::load_rules(config.rules.file.as_deref()).map_err(Failure::usage)?;
        let _claim = app::claim(&config.log)?;
        let result = actix::System::new().block_on(self.show(config, rules, bus));
        if let Some(temporary) = temporary {
            temporary.close()?;
        }
        Ok(result?)
    }

    async fn show(&self, config: Config, rules: RuleSet, bus: &Bus) -> anyhow::Result<()> {
        let mut stop = std::pin::pin!(app::stop_signal());
        let token = random_token()?;
        let log = bus.open_log(&config.log).await?;
        let vendors = Vendors::start()?;
        let engine = self.start(&log, config, rules, &token, &vendors).await?;
        let probe = Probe::new()?;
        let outputs = probe::tail(&log).await?;
        let traffic = Traffic::new(
            self.seed.unwrap_or_else(probe::fresh_seed),
            AGENTS,
            CUSTOMERS,
        );
        let started = Instant::now();
        let watching = bus.spawn({
            let probe = Arc::clone(&probe);
            async move { probe.watch(outputs).await }
        });
        let stop_publishing = Arc::new(AtomicBool::new(false));
        let publishing = std::thread::spawn({
            let (probe, log) = (Arc::clone(&probe), Arc::clone(&log));
            let pace = Pace {
                rate: self.rate,
                length: self.length.map(Span::duration),
                stop: Arc::clone(&stop_publishing),
            };
            let runtime = bus.handle().clone();
            move || probe.publish(&log, traffic, pace, &runtime)
        });
        let mut screen = Screen::new(&engine, &token, self.rate, &vendors)?;
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.tick().await;
        let ending = async {
            match self.length {
                // A moment longer than the traffic, so that what it caused is seen as well.
                Some(length) => {
                    tokio::time::sleep(length.duration() + Duration::from_millis(300)).await
                }
                None => std::future::pending().await,
            }
        };
        let mut ending = std::pin::pin!(ending);
        let shown = loop {
            tokio::select! {
                signal = &mut stop => break signal.map(|_| ()).map_err(Into::into),
                () = &mut ending => break Ok(()),
                _ = seconds.tick() => {
                    if let Err(error) = screen.show(&probe, &engine, started) {
                        break Err(error);
                    }
                }
            }
        };
        stop_publishing.store(true, Ordering::Relaxed);
        watching.abort();
        // It has seen the wish to stop long ago; that it panicked shows in the count of events.
        let _ = publishing.join();
        shown?;
        let lasted = started.elapsed();
        let is_finished = vendors.finish(&engine).await;
        let mut complaints = engine.board().complaints(Duration::from_secs(10));
        complaints.extend(engine.deliveries().complaints());
        screen.sum_up(&probe, lasted)?;
        let judged = vendors.sum_up(&engine, &mut screen.out);
        engine.stop().await;
        vendors.stop().await?;
        judged?;
        if !is_finished {
            terminal::complain(
                "some outputs still waited for their turn: vendors limit their rates",
            );
        }
        if !complaints.is_empty() {
            anyhow::bail!("{}", complaints.join("; "));
        }
        Ok(())
    }

    /// Starts on the configured address, or on a free port if that is taken and nobody insisted on it.
    async fn start(
        &self,
        log: &Log,
        mut config: Config,
        rules: RuleSet,
        token: &str,
        vendors: &Vendors,
    ) -> anyhow::Result<Engine> {
        let tokens = || Arc::new(Tokens::one(token));
        let couriers = vendors.couriers()?;
        match Engine::start(log, &config, rules.clone(), tokens(), couriers.clone()).await {
            Err(StartError::Listen(_)) if self.listen.is_none() => {
                config.http.listen.set_port(0);
                Ok(Engine::start(log, &config, rules, tokens(), couriers).await?)
            }
            other => Ok(other?),
        }
    }
}

/// A token for this demo alone.
fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What is shown: painted over once a second on a terminal, a line a second elsewhere.
struct Screen {
    out: Out,
    is_screen: bool,
    painted: usize,
    last: (Instant, u64, u64),
}

impl Screen {
    fn new(engine: &Engine, token: &str, rate: f64, vendors: &Vendors) -> anyhow::Result<Self> {
        let mut out = Out::new();
        out.line(format_args!(
            "aftercall demo: {rate} made-up events a second into the embedded log; Ctrl-C ends it"
        ))?;
        if let Some(address) = engine.addresses().first() {
            out.line(format_args!("  metrics  curl http://{address}/metrics"))?;
            out.line(format_args!(
                "  events   curl http://{address}/v1/events -H 'Authorization: Bearer {token}' \
                 -H 'Content-Type: application/cloudevents+json' -d @event.json"
            ))?;
        }
        out.line(format_args!("  vendors  curl {}", vendors.ledger_url()))?;
        out.line("")?;
        out.flush()?;
        Ok(Self {
            out,
            is_screen: terminal::is_screen(),
            painted: 0,
            last: (Instant::now(), 0, 0),
        })
    }

    fn show(&mut self, probe: &Probe, engine: &Engine, started: Instant) -> anyhow::Result<()> {
        let (published, outputs) = (probe.published(), probe.outputs_all());
        let seconds = self.last.0.elapsed().as_secs_f64().max(0.001);
        let events_rate = (published - self.last.1) as f64 / seconds;
        let outputs_rate = (outputs - self.last.2) as f64 / seconds;
        self.last = (Instant::now(), published, outputs);
        let latency = probe.recent_latencies().map_or_else(
            || "no alert".to_owned(),
            |p| format!("alert after p50 {:.1} ms, p99 {:.1} ms", p.p50_ms, p.p99_ms),
        );
        let actors: u64 = engine
            .board()
            .partitions()
            .iter()
            .map(|status| status.actors)
            .sum();
        let mut lines = vec![format!(
            "{:>4.0} s  {events_rate:>6.0} events/s in, {outputs_rate:>5.0} outputs/s out, {latency}, {actors} actors, \
             {} alerts",
            started.elapsed().as_secs_f64(),
            probe.outputs(Lane::Out(Kind::Alert))
        )];
        lines.extend(engine.board().complaints(Duration::from_secs(10)));
        if self.is_screen {
            lines.push("newest alerts:".to_owned());
            lines.extend(probe.alerts().into_iter().map(|alert| format!("  {alert}")));
            if self.painted > 0 {
                // Back up to where the last picture began, and away with it.
                self.out
                    .bytes(format!("\x1b[{}A\x1b[J", self.painted).as_bytes())?;
            }
            self.painted = lines.len();
        } else if let Some(alert) = probe.alerts().last() {
            lines.push(format!("        newest alert: {alert}"));
        }
        // Without wrapping while a picture is painted: each line takes one row, however narrow the terminal.
        let (before, after) = if self.is_screen {
            ("\x1b[?7l", "\x1b[?7h")
        } else {
            ("", "")
        };
        self.out.bytes(before.as_bytes())?;
        for line in lines {
            self.out.line(line)?;
        }
        self.out.bytes(after.as_bytes())?;
        self.out.flush()
    }

    fn sum_up(&mut self, probe: &Probe, lasted: Duration) -> anyhow::Result<()> {
        let outputs: Vec<_> = Lane::all()
            .map(|lane| (lane.name(), probe.outputs(lane)))
            .filter(|(_, n)| *n > 0)
            .map(|(kind, n)| format!("{n} {kind}"))
            .collect();
        let latency = probe.latencies();
        self.out.line("")?;
        self.out.line(format_args!(
            "{} events in {:.1} s, outputs: {}",
            probe.published(),
            lasted.as_secs_f64(),
            if outputs.is_empty() {
                "none".to_owned()
            } else {
                outputs.join(", ")
            }
        ))?;
        self.out.line(format_args!(
            "from event to alert: {}",
            latency.map_or_else(|| "no alert seen".to_owned(), |p| p.to_string())
        ))?;
        self.out.flush()
    }
}
