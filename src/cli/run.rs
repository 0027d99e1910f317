//! `aftercall run`: the service.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;

use super::{Failure, LogArgs, Setting};
use crate::{
    app::{
        self, Bus, Engine, StartError,
        watch::{RulesWatch, TokensWatch},
    },
    config::Place,
    desk::tokens::Tokens,
    ingest::wfm::watch,
};

/// Run the service: events in, alerts and profile updates out
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  aftercall run
  aftercall run --nats nats://127.0.0.1:4222 --listen 0.0.0.0:8080 --rules rules.toml

Without --nats the embedded log in ./data is used; nothing else is needed. SIGTERM and SIGINT stop it cleanly
within 5 s. The rule file is watched: a changed one takes effect at a position in the log, a bad one is refused.
SIGHUP has the rule and token files looked at at once, which happens each second anyway; everything else in the
configuration counts from the next start on.")]
pub(super) struct Run {
    #[command(flatten)]
    log: LogArgs,
    /// Rule file [default: rules.file of the configuration, else the rules that ship with the program]
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Address and port of the HTTP server [default: http.listen of the configuration]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// How often watched files are looked at.
const LOOK: Duration = Duration::from_secs(1);

impl Run {
    pub(super) fn run(self, setting: Setting, bus: &Bus) -> Result<(), Failure> {
        let setting = setting.with_log(&self.log)?;
        let mut config = setting.config;
        if let Some(listen) = self.listen {
            config.http.listen = listen;
        }
        let rules_file = self.rules.or_else(|| config.rules.file.clone());
        let rules = app::load_rules(rules_file.as_deref()).map_err(Failure::usage)?;
        let tokens = Arc::new(Tokens::load(&config.http).map_err(Failure::usage)?);
        let couriers = app::load_couriers(&config.deliver).map_err(Failure::usage)?;
        if let Some(folder) = &config.import.wfm_watch {
            watch::check(folder).map_err(Failure::usage)?;
        }
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            config = setting.config_file.as_deref().map_or("(defaults)".into(), |p| p.display().to_string()),
            log = %match &config.log.place {
                Place::Nats(url) => url.to_string(),
                Place::Embedded(dir) => dir.display().to_string(),
            },
            "aftercall starts"
        );
        if tokens.is_empty() {
            tracing::warn!(
                "/v1 (events and exports in, points and rewards out) answers 401 to everyone: no token is configured; put one into the environment \
                 variable {} or into a file named by http.token_file",
                config
                    .http
                    .token_env
                    .as_deref()
                    .unwrap_or("named by http.token_env")
            );
        }
        // Held until the process ends.
        let _claim = app::claim(&config.log).map_err(Failure::from)?;
        let mut rules_watch = RulesWatch::new(rules_file, &rules);
        let mut tokens_watch = TokensWatch::new(Arc::clone(&tokens));

        actix::System::new().block_on(async {
            // From before the start, so that no signal is missed.
            let mut stop = std::pin::pin!(app::stop_signal());
            let mut requests = app::Requests::listen()?;
            let start = async {
                let log = bus.open_log(&config.log).await?;
                let engine = Engine::start(&log, &config, rules, tokens, couriers).await?;
                Ok::<_, StartError>(engine)
            };
            let engine = tokio::select! {
                engine = start => engine?,
                signal = &mut stop => {
                    tracing::info!(signal = signal?, "stopped before the start was finished");
                    return Ok(());
                }
            };
            let mut looks = tokio::time::interval(LOOK);
            looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut fault = None;
            loop {
                tokio::select! {
                    signal = &mut stop => {
                        tracing::info!(signal = signal?, "stopping");
                        break;
                    }
                    () = requests.look() => {
                        tracing::info!(signal = "SIGHUP", "looking at the rule and token files");
                        looks.reset_immediately();
                    }
                    _ = looks.tick() => {
                        fault = engine.fault();
                        if let Some(fault) = &fault {
                            tracing::error!(%fault, "stopping");
                            break;
                        }
                        tokens_watch.look();
                        rules_watch.look(&engine).await;
                    }
                }
            }
            engine.stop().await;
            match fault {
                Some(fault) => Err(anyhow::anyhow!(fault).into()),
                None => Ok(()),
            }
        })
    }
}
