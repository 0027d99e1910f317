//! Configuration: one TOML file, in which every key has a default, then flags and environment on top.
//!
//! Parsed, not validated: what is in a [`Config`] is in range, and nothing else can be made from a file. All mistakes
//! of a file are reported at once, with line, key, what was found and what is allowed. `config/default.toml` explains
//! every key, and a test holds it to the defaults below. A leaf, as `telemetry` is, whose log formats it names.
//! Secrets are kept out of what a configuration shows of itself.

use std::{
    fs, io,
    net::SocketAddr,
    num::NonZeroU16,
    path::{Path, PathBuf},
};

pub mod document;
pub mod import;
pub mod server;
pub mod units;

use document::{ConfigErrors, Document, Section};
pub use import::{ImportConfig, WfmColumns};
pub use server::{ServerUrl, UrlLogin};
use units::{ByteSize, Span};

/// The file looked for if none is named.
pub const DEFAULT_FILE: &str = "aftercall.toml";

/// Everything an operator can set.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where events, journal and outputs are kept.
    pub log: LogConfig,
    /// What the engine may use.
    pub engine: EngineConfig,
    /// The HTTP server.
    pub http: HttpConfig,
    /// The rules.
    pub rules: RulesConfig,
    /// Where outputs go.
    pub deliver: DeliverConfig,
    /// What files from outside mean.
    pub import: ImportConfig,
    /// What the process says of itself.
    pub telemetry: TelemetryConfig,
}

/// Section `[log]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// Which log, and where.
    pub place: Place,
    /// Partitions a side. Counts when the log is made; afterwards it has to agree.
    pub partitions: NonZeroU16,
    /// Copies of each message in a NATS cluster: 1, 3 or 5.
    pub replicas: u8,
    /// Events older than this are removed; `None` keeps them for ever.
    pub retention_age: Option<Span>,
    /// The oldest events are removed when all take more than this; `None` sets no bound.
    pub retention_bytes: Option<ByteSize>,
    /// File with NATS credentials (`.creds`).
    pub credentials_file: Option<PathBuf>,
    /// Certificates to trust besides the system's own (PEM), for `tls://`.
    pub ca_file: Option<PathBuf>,
    /// HTTP monitoring address of the nats-server, for what only it tells (the sync mode).
    pub monitoring_url: Option<String>,
}

/// Which log.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// A nats-server or a cluster of them.
    Nats(ServerUrl),
    /// One file in this directory.
    Embedded(PathBuf),
}

impl Place {
    /// Where files go that last no longer than the process.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Nats(_) => std::env::temp_dir(),
            Self::Embedded(dir) => dir.clone(),
        }
    }

    /// The name under which notes beside files know it, whatever directory they are read from.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Nats(url) => url.to_string(),
            Self::Embedded(dir) => {
                let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
                dir.display().to_string()
            }
        }
    }
}

/// Section `[engine]`.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineConfig {
    /// Bound on the memory of resident actors. Reached, reading waits.
    pub memory_max: ByteSize,
}

/// Section `[http]`.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// Environment variable with bearer tokens, separated by commas.
    pub token_env: Option<String>,
    /// File with bearer tokens, one a line; read again when it changes.
    pub token_file: Option<PathBuf>,
    /// Largest request body.
    pub body_max: ByteSize,
    /// Largest single event in it.
    pub event_max: ByteSize,
    /// Requests that may wait for the log at once; more are answered 429.
    pub waiting_max: usize,
    /// How long a request waits for the log before it is answered 503.
    pub append_timeout: Span,
    /// Largest file that is imported.
    pub import_max: ByteSize,
}

/// Section `[rules]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RulesConfig {
    /// Rule file, watched for changes; `None` for the rules that ship with the program.
    pub file: Option<PathBuf>,
}

/// Section `[deliver]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliverConfig {
    /// Destinations; `None`: nothing is delivered.
    pub destinations: Option<PathBuf>,
    /// What may leave for each destination; `None`: nothing may.
    pub fields: Option<PathBuf>,
}

/// Section `[telemetry]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryConfig {
    /// Which log lines are written; `RUST_LOG` wins.
    pub log_filter: String,
    /// `text` or `json`.
    pub log_format: crate::telemetry::logging::LogFormat,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: LogConfig {
                place: Place::Embedded(PathBuf::from("./data")),
                partitions: const { NonZeroU16::new(8).unwrap() },
                replicas: 1,
                retention_age: None,
                retention_bytes: None,
                credentials_file: None,
                ca_file: None,
                monitoring_url: None,
            },
            engine: EngineConfig {
                memory_max: ByteSize::mib(1024),
            },
            http: HttpConfig {
                listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
                token_env: Some("AFTERCALL_TOKENS".to_owned()),
                token_file: None,
                body_max: ByteSize::mib(1),
                event_max: ByteSize::kib(256),
                waiting_max: 256,
                append_timeout: Span::seconds(10),
                import_max: ByteSize::mib(256),
            },
            rules: RulesConfig { file: None },
            deliver: DeliverConfig::default(),
            import: ImportConfig::default(),
            telemetry: TelemetryConfig {
                log_filter: "info,actix_server=warn".to_owned(),
                log_format: crate::telemetry::logging::LogFormat::Text,
            },
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why. Part of the message, so no source: a chain would say it twice.
        why: io::Error,
    },
    /// The file holds mistakes.
    #[error(transparent)]
    Mistakes(#[from] ConfigErrors),
}

impl Config {
    /// Reads `file`, or `./aftercall.toml` if there is one, or takes the defaults. Also says which file it was.
    ///
    /// # Errors
    /// If a named file cannot be read, or a file holds mistakes.
    pub fn load(file: Option<&Path>) -> Result<(Self, Option<PathBuf>), ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok((Self::default(), None));
            }
            Err(why) => {
                return Err(ConfigError::Unreadable {
                    path: path.to_owned(),
                    why,
                });
            }
        };
        let config = Self::parse(&text, &path.display().to_string())?;
        Ok((config, Some(path.to_owned())))
    }

    /// Checks a document; `origin` names it in errors.
    ///
    /// # Errors
    /// All mistakes of the document.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigErrors> {
        let mut document = Document::parse(text);
        let config = Self::read(&mut document);
        document.finish(origin)?;
        Ok(config)
    }

    fn read(document: &mut Document<'_>) -> Self {
        let default = Self::default();
        Self {
            log: document.section("log", |s| LogConfig::read(s, default.log)),
            engine: document.section("engine", |s| EngineConfig {
                memory_max: s.string("memory_max", default.engine.memory_max, |text| {
                    let size: ByteSize = text.parse()?;
                    let least = ByteSize::mib(16);
                    if size >= least {
                        Ok(size)
                    } else {
                        Err(format!("{} of at least {least}", ByteSize::FORM))
                    }
                }),
            }),
            http: document.section("http", |s| HttpConfig::read(s, default.http)),
            rules: document.section("rules", |s| RulesConfig {
                file: s.string("file", default.rules.file, path_or_none),
            }),
            deliver: document.section("deliver", |s| DeliverConfig::read(s, default.deliver)),
            import: document.section("import", ImportConfig::read),
            telemetry: document.section("telemetry", |s| TelemetryConfig {
                log_filter: s.string("log_filter", default.telemetry.log_filter, log_filter),
                log_format: s.string("log_format", default.telemetry.log_format, |text| {
                    clap::ValueEnum::from_str(text, false)
                        .map_err(|_| "\"text\" or \"json\"".to_owned())
                }),
            }),
        }
    }
}

impl LogConfig {
    fn read(section: &mut Section<'_, '_>, default: Self) -> Self {
        let url = section.private("url", None, |text| match text {
            "" => Ok(None),
            text => ServerUrl::new(text).map(Some),
        });
        let dir = section.string("dir", PathBuf::from("./data"), |text| match text {
            "" => Err("a directory".to_owned()),
            text => Ok(PathBuf::from(text)),
        });
        let partitions = section.integer("partitions", default.partitions.get().into(), 1..=1024);
        let replicas = section.integer("replicas", default.replicas.into(), 1..=5);
        if !matches!(replicas, 1 | 3 | 5) {
            section.conflict(
                "replicas",
                format!("found {replicas}, allowed: 1, 3 or 5 (an even number survives no more than one less)"),
            );
        }
        Self {
            place: url.map_or(Place::Embedded(dir), Place::Nats),
            partitions: u16::try_from(partitions)
                .ok()
                .and_then(NonZeroU16::new)
                .unwrap_or(default.partitions),
            replicas: u8::try_from(replicas).unwrap_or(default.replicas),
            retention_age: section.string("retention_age", default.retention_age, |text| {
                limit(text, Span::FORM)
            }),
            retention_bytes: section.string("retention_bytes", default.retention_bytes, |text| {
                limit(text, ByteSize::FORM)
            }),
            credentials_file: section.string(
                "credentials_file",
                default.credentials_file,
                path_or_none,
            ),
            ca_file: section.string("ca_file", default.ca_file, path_or_none),
            monitoring_url: section.private("monitoring_url", default.monitoring_url, |text| {
                match text {
                    "" => Ok(None),
                    text if text.starts_with("http://") || text.starts_with("https://") => {
                        Ok(Some(text.trim_end_matches('/').to_owned()))
                    }
                    _ => Err("an address such as \"http://127.0.0.1:8222\"".to_owned()),
                }
            }),
        }
    }
}

impl HttpConfig {
    fn read(section: &mut Section<'_, '_>, default: Self) -> Self {
        let read = Self {
            listen: section.string("listen", default.listen, |text| {
                text.parse()
                    .map_err(|_| "an address and port such as \"127.0.0.1:8080\"".to_owned())
            }),
            token_env: section.private("token_env", default.token_env, |text| match text {
                "" => Ok(None),
                text if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                    Ok(Some(text.to_owned()))
                }
                // Someone who puts the token itself here must not see it in an error.
                _ => Err("the name of an environment variable, never a token".to_owned()),
            }),
            token_file: section.string("token_file", default.token_file, path_or_none),
            body_max: section.string("body_max", default.body_max, |text| {
                size_within(text, ByteSize::mib(64))
            }),
            import_max: section.string("import_max", default.import_max, |text| {
                size_within(text, ByteSize::mib(16 * 1024))
            }),
            event_max: section.string("event_max", default.event_max, |text| {
                size_within(text, EVENT_MAX)
            }),
            waiting_max: usize::try_from(section.integer(
                "waiting_max",
                default.waiting_max as u64,
                1..=100_000,
            ))
            .unwrap_or(default.waiting_max),
            append_timeout: section.string("append_timeout", default.append_timeout, |text| {
                let span: Span = text.parse()?;
                if (100..=60_000).contains(&span.0) {
                    Ok(span)
                } else {
                    Err(format!("{} from 100ms to 60s", Span::FORM))
                }
            }),
        };
        if read.event_max > read.body_max {
            section.conflict(
                "event_max",
                format!(
                    "found {}, allowed: at most http.body_max, which is {}",
                    read.event_max, read.body_max
                ),
            );
        }
        read
    }
}

impl DeliverConfig {
    fn read(section: &mut Section<'_, '_>, default: Self) -> Self {
        let read = Self {
            destinations: section.string("destinations", default.destinations, path_or_none),
            fields: section.string("fields", default.fields, path_or_none),
        };
        if read.destinations.is_some() && read.fields.is_none() {
            section.conflict(
                "fields",
                "needed where destinations are set: what is declared for no destination never leaves".to_owned(),
            );
        }
        read
    }
}

fn path_or_none(text: &str) -> Result<Option<PathBuf>, String> {
    Ok(Some(text)
        .filter(|text| !text.is_empty())
        .map(PathBuf::from))
}

/// `unlimited`, or an amount above 0.
fn limit<T: std::str::FromStr + PartialEq + ToString>(
    text: &str,
    form: &str,
) -> Result<Option<T>, String> {
    let allowed = || format!("{form} above 0, or \"unlimited\"");
    match text {
        "unlimited" => Ok(None),
        text if text.starts_with('0') => Err(allowed()),
        text => text.parse().map(Some).map_err(|_| allowed()),
    }
}

/// Largest event the engine takes: `envelope::EVENT_BYTES_MAX`.
const EVENT_MAX: ByteSize = ByteSize::kib(256);

fn size_within(text: &str, most: ByteSize) -> Result<ByteSize, String> {
    let least = ByteSize::kib(1);
    text.parse()
        .ok()
        .filter(|size| (least..=most).contains(size))
        .ok_or_else(|| format!("{} from {least} to {most}", ByteSize::FORM))
}

fn log_filter(text: &str) -> Result<String, String> {
    match text.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) if !text.is_empty() => Ok(text.to_owned()),
        Ok(_) | Err(_) => {
            Err("a log filter such as \"info\" or \"info,aftercall::shard=debug\"".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLAINED: &str = include_str!("../config/default.toml");

    #[test]
    fn the_explained_file_holds_every_key_and_equals_the_defaults() {
        let mut document = Document::parse(EXPLAINED);
        let config = Config::read(&mut document);
        let finished = document.finish("config/default.toml").unwrap();
        assert_eq!(finished.absent, Vec::<String>::new());
        assert_eq!(config, Config::default());
        assert_eq!(Config::parse("", "empty").unwrap(), Config::default());
        assert_eq!(EVENT_MAX.as_usize(), crate::envelope::EVENT_BYTES_MAX);
    }

    #[test]
    fn all_mistakes_are_reported_at_once_with_line_key_finding_and_what_is_allowed() {
        let text = "[log]\nurl = \"nats://user:secret@:x\"\nreplicas = 2\npartitions = 0\n\n\
                    [engine]\nmemory_mx = \"1GiB\"\nmemory_max = 5\n\n[htp]\nlisten = \"x\"\n\n\
                    [http]\nlisten = \"here\"\nbody_max = \"100KiB\"\nevent_max = \"200KiB\"\ncolour = 1\n";
        let errors = Config::parse(text, "a.toml").unwrap_err();
        let size = ByteSize::FORM;
        assert_eq!(
            errors.to_string().lines().collect::<Vec<_>>(),
            [
                "a.toml:2: log.url: found something else (not shown, it may be secret), allowed: a NATS address such \
                 as \"nats://127.0.0.1:4222\", or several with commas",
                "a.toml:3: log.replicas: found 2, allowed: 1, 3 or 5 (an even number survives no more than one less)",
                "a.toml:4: log.partitions: found 0, allowed: a whole number from 1 to 1024",
                "a.toml:7: engine.memory_mx: unknown key; did you mean `memory_max`? (known: memory_max)",
                &format!("a.toml:8: engine.memory_max: found 5, allowed: {size}"),
                "a.toml:10: htp: unknown section; did you mean `http`? (known: log, engine, http, rules, \
                 deliver, import, telemetry)",
                "a.toml:14: http.listen: found \"here\", allowed: an address and port such as \"127.0.0.1:8080\"",
                "a.toml:16: http.event_max: found 200KiB, allowed: at most http.body_max, which is 100KiB",
                "a.toml:17: http.colour: unknown key (known: listen, token_env, token_file, body_max, import_max, \
                 event_max, waiting_max, append_timeout)",
            ]
        );
    }
}
