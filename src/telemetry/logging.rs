//! Logs: to stderr, so that stdout stays free for what a command prints; as text or as JSON lines.
//!
//! What may be logged is the callers' duty: identifiers and fixed lower-case messages; per-event lines at `trace`;
//! customers' data never above `debug`, and then masked (STYLE.md).

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// A filter that is not one, or a second set-up in one process.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter's text cannot be read.
    #[error("log filter `{filter}` is not valid: {why} (example: info,aftercall::shard=debug)")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong.
        why: String,
    },
    /// Something else already receives this process's logs.
    #[error("logs are already set up: {0}")]
    Taken(String),
}

/// Libraries that give a line to each broken request, which costs a counter (`desk::door`), and to each try to reach a
/// server, which is told once (`log::health`). Whoever wants their lines can name them in the filter.
const QUIET: [(&str, &str); 2] = [("actix_http", "off"), ("async_nats", "warn")];

/// Whether the filter can be read.
///
/// # Errors
/// If not.
pub fn check(filter: &str) -> Result<(), LoggingError> {
    read(filter).map(drop)
}

fn read(filter: &str) -> Result<EnvFilter, LoggingError> {
    filter.parse().map_err(|why| LoggingError::Filter {
        why: format!("{why}"),
        filter: filter.to_owned(),
    })
}

/// The filter, with what it does not name and says too much made quiet.
fn quieted(filter: &str) -> Result<EnvFilter, LoggingError> {
    read(filter)?;
    let mut all = filter.to_owned();
    for (library, level) in QUIET {
        if !filter.contains(library) {
            all.push_str(&format!(",{library}={level}"));
        }
    }
    read(&all)
}

/// The filter of the environment, if there is one, or else this one.
#[must_use]
pub fn in_force(filter: &str) -> String {
    let set = std::env::var("RUST_LOG").ok();
    set.filter(|text| !text.is_empty())
        .unwrap_or_else(|| filter.to_owned())
}

/// Sends this process's logs to stderr. `RUST_LOG`, if set, wins over `filter`.
///
/// # Errors
/// If the filter cannot be read, or logs were set up before.
pub fn start(filter: &str, format: LogFormat) -> Result<(), LoggingError> {
    let filter = in_force(filter);
    let parsed = quieted(&filter)?;
    let registry = tracing_subscriber::registry().with(parsed);
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => registry
            .with(lines.with_ansi(std::io::stderr().is_terminal()))
            .try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    }
    .map_err(|error| LoggingError::Taken(error.to_string()))
}
