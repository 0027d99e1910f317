//! The command line: arguments, one file a command, and what the exit code says.
//!
//! Every command returns `Result<(), Failure>`; a failure knows its exit code. What a command prints for reading goes
//! to stdout through [`terminal::Out`], which ends quietly when nobody reads any more; logs, progress and errors go to
//! stderr.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, CommandFactory, Parser, Subcommand, builder::TypedValueParser, error::ErrorKind};

use crate::{
    app,
    config::{Config, Place, ServerUrl},
    supervise,
    telemetry::logging::{self, LogFormat},
};

mod check;
mod completions;
mod dead;
mod demo;
mod doctor;
mod fields;
mod import;
mod latency;
mod ledger;
mod load;
mod probe;
mod publish;
mod render;
mod run;
mod sandbox;
mod schema;
mod send;
mod tap;
mod terminal;

/// Exit codes, as `--help` documents them.
pub mod exit {
    /// Done.
    pub const OK: u8 = 0;
    /// A fault at run time: the log cannot be reached, a disk is full, `doctor` found something bad.
    pub const FAULT: u8 = 1;
    /// Wrong usage, configuration or rules. Nothing was started.
    pub const USAGE: u8 = 2;
    /// Done, but some of the input was bad and was left out.
    pub const BAD_INPUT: u8 = 3;
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a fault at run time (log unreachable, disk full), or doctor or ledger verify found something bad
  2  wrong usage, configuration or rules; nothing was started
  3  done, but some of the input was bad and was left out

Environment:
  AFTERCALL_CONFIG  configuration file (--config)
  AFTERCALL_NATS    NATS servers (--nats)
  AFTERCALL_TOKENS  bearer tokens of /v1 (events in, points out; deciding takes http.token_file), separated by commas
  RUST_LOG          log filter, such as info,aftercall::shard=debug

First steps:
  aftercall demo                    everything at once on this machine, nothing else needed
  aftercall run                     the service on the embedded log in ./data
  aftercall publish events.ndjson   events from a file
  aftercall tap --kind alert        what comes out";

/// Turns contact-centre events into alerts, rewards and profile updates, each committed exactly once.
#[derive(Debug, Parser)]
#[command(name = "aftercall", version, after_long_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Configuration file [default: ./aftercall.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "AFTERCALL_CONFIG")]
    config: Option<PathBuf>,
    /// How log lines are written to stderr [default: telemetry.log_format]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Demo(demo::Demo),
    Publish(publish::Publish),
    Import(import::Import),
    Tap(tap::Tap),
    Dead(dead::Dead),
    Ledger(ledger::Ledger),
    Check(check::Check),
    Doctor(doctor::Doctor),
    Load(load::Load),
    Send(send::Send),
    Fields(fields::Fields),
    Sandbox(sandbox::Sandbox),
    Schema(schema::Schema),
    Completions(completions::Completions),
}

/// Which log a command works on, if not the configured one.
#[derive(Clone, Debug, Default, Args)]
struct LogArgs {
    /// NATS servers with JetStream, several separated by commas [env: AFTERCALL_NATS]
    #[arg(long, value_name = "URL", value_parser = Servers)]
    nats: Option<ServerUrl>,
    /// Directory of the embedded log
    #[arg(long, value_name = "DIR", conflicts_with = "nats")]
    dir: Option<PathBuf>,
}

fn server_url(text: &str) -> Result<ServerUrl, String> {
    ServerUrl::new(text).map_err(|allowed| format!("allowed: {allowed}"))
}

/// Reads `--nats`. An address that cannot be read is not shown: a password may stand in it.
#[derive(Clone, Copy, Debug)]
struct Servers;

impl TypedValueParser for Servers {
    type Value = ServerUrl;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<ServerUrl, clap::Error> {
        let read = value.to_str().ok_or_else(|| "allowed: UTF-8".to_owned());
        read.and_then(server_url).map_err(|allowed| {
            let text = format!(
                "invalid value for '--nats <URL>' (not shown, it may hold a password): {allowed}\n"
            );
            clap::Error::raw(ErrorKind::ValueValidation, text).with_cmd(command)
        })
    }
}

/// The arguments, or what is wrong with them, without the passwords of addresses that stand in a wrong place.
fn arguments() -> Result<Cli, ExitCode> {
    let error = match Cli::try_parse() {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    let plain = error.to_string();
    let shown = terminal::without_logins(&plain);
    if shown == plain || !error.use_stderr() {
        error.exit();
    }
    terminal::complain(shown.trim_end());
    Err(ExitCode::from(exit::USAGE))
}

/// Why a command did not do all it should.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// Wrong usage, configuration or rules.
    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: exit::USAGE,
            error: error.into(),
        }
    }

    /// Some of the input was bad.
    fn bad_input(text: String) -> Self {
        Self {
            code: exit::BAD_INPUT,
            error: anyhow::Error::msg(text),
        }
    }
}

/// A fault at run time, unless said otherwise.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            code: exit::FAULT,
            error: error.into(),
        }
    }
}

/// With its causes.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// What every command is given.
struct Setting {
    config: Config,
    /// The file it came from.
    config_file: Option<PathBuf>,
}

impl Setting {
    fn load(file: Option<&Path>) -> Result<Self, Failure> {
        let (config, config_file) = Config::load(file).map_err(Failure::usage)?;
        Ok(Self {
            config,
            config_file,
        })
    }

    /// The configuration, with another log if the arguments or the environment name one.
    fn with_log(self, args: &LogArgs) -> Result<Self, Failure> {
        let servers = std::env::var("AFTERCALL_NATS").ok();
        self.with_log_from(args, servers.as_deref())
    }

    /// What is said on the command line wins over the environment: a variable that is always set must not forbid
    /// `--dir`, so it is not left to the parser of arguments.
    fn with_log_from(mut self, args: &LogArgs, servers: Option<&str>) -> Result<Self, Failure> {
        let servers = servers.filter(|text| !text.is_empty());
        if let Some(dir) = &args.dir {
            self.config.log.place = Place::Embedded(dir.clone());
        } else if let Some(url) = &args.nats {
            self.config.log.place = Place::Nats(url.clone());
        } else if let Some(text) = servers {
            self.config.log.place = Place::Nats(of_environment(text)?);
        }
        Ok(self)
    }
}

/// The servers that the environment names, if it does.
fn servers_of_environment() -> Result<Option<ServerUrl>, Failure> {
    let servers = std::env::var("AFTERCALL_NATS").ok();
    let servers = servers.filter(|text| !text.is_empty());
    servers.as_deref().map(of_environment).transpose()
}

fn of_environment(text: &str) -> Result<ServerUrl, Failure> {
    server_url(text).map_err(|allowed| Failure::usage(anyhow::anyhow!("AFTERCALL_NATS: {allowed}")))
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match arguments() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) if terminal::is_closed(&failure.error) => ExitCode::from(exit::OK),
        Err(failure) => {
            terminal::complain(&format!("aftercall: {failure}"));
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    // What needs no configuration must work where there is a broken one.
    match &cli.command {
        Command::Schema(command) => return command.run(),
        Command::Completions(command) => return command.run(&mut Cli::command()),
        Command::Check(command) => return command.run(&cli.global),
        Command::Fields(command) => return command.run(cli.global.config.as_deref()),
        Command::Sandbox(command) => return command.run(),
        Command::Run(_)
        | Command::Demo(_)
        | Command::Publish(_)
        | Command::Import(_)
        | Command::Tap(_)
        | Command::Dead(_)
        | Command::Ledger(_)
        | Command::Doctor(_)
        | Command::Load(_)
        | Command::Send(_) => {}
    }
    let setting = Setting::load(cli.global.config.as_deref())?;
    let telemetry = &setting.config.telemetry;
    let is_default = telemetry.log_filter == Config::default().telemetry.log_filter;
    let filter = match &cli.command {
        // What the user of a command looks at is what it prints; a filter that was set on purpose still counts.
        Command::Demo(_) if is_default => "error",
        Command::Publish(_)
        | Command::Import(_)
        | Command::Tap(_)
        | Command::Dead(_)
        | Command::Ledger(_)
        | Command::Doctor(_)
        | Command::Load(_)
        | Command::Send(_)
            if is_default =>
        {
            "warn"
        }
        Command::Run(_)
        | Command::Demo(_)
        | Command::Publish(_)
        | Command::Import(_)
        | Command::Tap(_)
        | Command::Dead(_)
        | Command::Ledger(_)
        | Command::Check(_)
        | Command::Doctor(_)
        | Command::Sandbox(_)
        | Command::Load(_)
        | Command::Fields(_)
        | Command::Send(_)
        | Command::Schema(_)
        | Command::Completions(_) => telemetry.log_filter.as_str(),
    };
    logging::start(
        filter,
        cli.global.log_format.unwrap_or(telemetry.log_format),
    )
    .map_err(Failure::usage)?;
    supervise::install();
    let bus = app::Bus::new()?;
    match cli.command {
        Command::Run(command) => command.run(setting, &bus),
        Command::Demo(command) => command.run(setting, &bus),
        Command::Publish(command) => command.run(setting, &bus),
        Command::Import(command) => command.run(setting, &bus),
        Command::Tap(command) => command.run(setting, &bus),
        Command::Dead(command) => command.run(setting, &bus),
        Command::Ledger(command) => command.run(setting, &bus),
        Command::Doctor(command) => command.run(setting, &bus),
        Command::Load(command) => command.run(setting, &bus),
        Command::Send(command) => command.run(setting, &bus),
        // Done above.
        Command::Schema(_)
        | Command::Completions(_)
        | Command::Check(_)
        | Command::Fields(_)
        | Command::Sandbox(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_an_example() {
        let mut cli = Cli::command();
        cli.build();
        for command in cli.get_subcommands().filter(|c| c.get_name() != "help") {
            let help = command.clone().render_long_help().to_string();
            let example = format!("aftercall {}", command.get_name());
            let shown = help
                .split_once("Example")
                .is_some_and(|(_, rest)| rest.contains(&example));
            assert!(shown, "{help}");
        }
    }

    #[test]
    fn a_directory_on_the_command_line_wins_over_servers_in_the_environment() {
        let setting = || Setting {
            config: Config::default(),
            config_file: None,
        };
        let place = |args: &LogArgs, servers| {
            setting()
                .with_log_from(args, servers)
                .map(|setting| setting.config.log.place)
        };
        let dir = LogArgs {
            nats: None,
            dir: Some("d".into()),
        };
        let nats = LogArgs {
            nats: ServerUrl::new("nats://n1").ok(),
            dir: None,
        };
        let none = LogArgs::default();
        let shown = |args: &LogArgs, servers| match place(args, servers) {
            Ok(Place::Embedded(dir)) => dir.display().to_string(),
            Ok(Place::Nats(url)) => url.to_string(),
            Err(failure) => failure.to_string(),
        };
        assert_eq!(shown(&dir, Some("nats://n2")), "d");
        assert_eq!(shown(&nats, Some("nats://n2")), "nats://n1:4222");
        assert_eq!(shown(&none, Some("nats://n2")), "nats://n2:4222");
        assert_eq!(shown(&none, Some("")), "./data");
        assert_eq!(shown(&none, None), "./data");
        assert!(
            shown(&none, Some("nats://:x")).starts_with("AFTERCALL_NATS: allowed: a NATS address")
        );
    }
}
