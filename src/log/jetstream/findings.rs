//! What this log survives and what it does not, for `doctor` and the start of `run`.
//!
//! Everything but one thing can be seen from a client: how often the server writes to the disk for good. That is read
//! from the server's monitoring port where one is given.

use std::time::Duration;

use async_nats::{ServerInfo, jetstream::stream::Info};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Settings, streams::Difference};
use crate::log::{Finding, Level, LogError};

/// Oldest server with everything we use.
const VERSION_MIN: (u32, u32, u32) = (2, 14, 0);
/// Server we test with.
const VERSION_TESTED: (u32, u32, u32) = (2, 15, 1);
/// Replicas that survive the loss of one server.
const REPLICAS_SAFE: usize = 3;
/// Wait for the monitoring port.
const MONITORING_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest answer read from the monitoring port, in bytes.
const MONITORING_BYTES_MAX: u64 = 1 << 20;

/// Refuses a server that is too old.
///
/// # Errors
/// [`LogError::Settings`] with the version found and the one needed.
pub fn check_version(version: &str) -> Result<(), LogError> {
    match parse_version(version) {
        Some(found) if found >= VERSION_MIN => Ok(()),
        Some(_) | None => Err(LogError::Settings(format!(
            "nats-server {version} is too old: {} or newer is needed",
            show(VERSION_MIN)
        ))),
    }
}

fn parse_version(version: &str) -> Option<(u32, u32, u32)> {
    // A preview of a version (`2.14.0-RC.1`) has what the version has.
    let plain = version.split(['-', '+']).next()?;
    let mut parts = plain.trim_start_matches('v').split('.');
    let mut number = || parts.next()?.parse().ok();
    Some((number()?, number()?, number()?))
}

fn show((major, minor, patch): (u32, u32, u32)) -> String {
    format!("{major}.{minor}.{patch}")
}

fn finding(level: Level, subject: &str, text: String) -> Finding {
    Finding {
        level,
        subject: subject.to_owned(),
        text,
    }
}

/// Findings on the server itself.
pub fn server(info: &ServerInfo) -> Vec<Finding> {
    let version = if parse_version(&info.version).is_some_and(|found| found >= VERSION_TESTED) {
        finding(
            Level::Good,
            "server version",
            format!("nats-server {}", info.version),
        )
    } else {
        finding(
            Level::Risk,
            "server version",
            format!(
                "nats-server {}; the newest patch is recommended, {} or later",
                info.version,
                show(VERSION_TESTED)
            ),
        )
    };
    let topology = match &info.cluster {
        Some(name) => finding(
            Level::Good,
            "topology",
            format!("cluster `{name}`, connected to `{}`", info.server_name),
        ),
        None => finding(
            Level::Risk,
            "topology",
            "a single server: while it is down nothing is processed, and a lost disk is a lost log"
                .to_owned(),
        ),
    };
    vec![version, topology]
}

/// Findings on what is kept, how often and for how long: from the events stream and those that hold money.
pub fn streams(infos: &[Info]) -> Vec<Finding> {
    let mut list = Vec::new();
    let fewest = infos.iter().min_by_key(|info| info.config.num_replicas);
    if let Some(info) = fewest {
        let (replicas, name) = (info.config.num_replicas, &info.config.name);
        list.push(if replicas >= REPLICAS_SAFE {
            finding(
                Level::Good,
                "replicas",
                format!("{replicas}: the loss of one server loses nothing"),
            )
        } else {
            finding(
                Level::Risk,
                "replicas",
                format!("{replicas} (stream {name}); {REPLICAS_SAFE} are recommended for money"),
            )
        });
    }
    list.push(finding(
        Level::Good,
        "storage",
        "in files, in every stream".to_owned(),
    ));
    if let Some(events) = infos.first() {
        let config = &events.config;
        let age = if config.max_age.is_zero() {
            "no limit of age".to_owned()
        } else {
            format!("{} h", config.max_age.as_secs() / 3_600)
        };
        let size = if config.max_bytes > 0 {
            format!("{} MB", config.max_bytes / 1_000_000)
        } else {
            "no limit of size".to_owned()
        };
        let limited = !config.max_age.is_zero() || config.max_bytes > 0;
        list.push(if limited {
            finding(
                Level::Good,
                "retention",
                format!(
                    "events are kept for {age}, {size}; a reader further behind is stopped, and once the first \
                     event is gone there is no ledger"
                ),
            )
        } else {
            finding(
                Level::Risk,
                "retention",
                "events are kept without limit, as the ledger needs them: watch the disk".to_owned(),
            )
        });
        list.push(finding(
            Level::Good,
            "duplicate window",
            format!(
                "{} s: an event sent again within it is stored once; later the actor's own dedupe decides",
                config.duplicate_window.as_secs()
            ),
        ));
    }
    list
}

/// Streams with replicas and no leader: such a one takes nothing and gives nothing out.
pub fn leaderless(infos: &[Info]) -> Vec<Finding> {
    let silent = infos.iter().filter(|info| has_no_leader(info));
    let mut list = Vec::new();
    for info in silent {
        let (name, replicas) = (&info.config.name, info.config.num_replicas);
        list.push(finding(
            Level::Bad,
            &format!("{name} leader"),
            format!(
                "none of its {replicas} replicas leads, so nothing can be written or read. While most of its servers are down \
                 that passes. If all are up, look for `critical write error` in their logs: older versions of aftercall could \
                 stop a replicated stream for good (last message ids, which this one does not use there). Its content is on \
                 the servers' disks: keep a copy of every store; then `nats stream edit {name} --replicas 1` (it times out, \
                 and is noted all the same), stop the servers, and start `nats-server -js -sd COPY` by itself on a copy of one \
                 store after the other until one has the stream; take it from there (`nats stream backup`), delete it in the \
                 cluster, and put it back (`nats stream restore`)"
            ),
        ));
    }
    list
}

/// Whether a stream of a cluster has replicas and none of them leads.
pub fn has_no_leader(info: &Info) -> bool {
    let leader = info
        .cluster
        .as_ref()
        .and_then(|cluster| cluster.leader.as_ref());
    info.config.num_replicas > 1 && leader.is_none_or(String::is_empty)
}

/// Findings on settings that serve but are not as wished.
pub fn differences(list: &[Difference]) -> Vec<Finding> {
    list.iter()
        .map(|difference| {
            let subject = format!("{} {}", difference.stream, difference.field);
            let text = format!(
                "{}, where {} was wished; the stream's is used",
                difference.found, difference.wanted
            );
            finding(Level::Risk, &subject, text)
        })
        .collect()
}

/// How often the server writes to the disk for good.
pub async fn sync_mode(settings: &Settings) -> Finding {
    let subject = "sync mode";
    let advice = "set `sync_interval: always` for money, or use three replicas";
    let Some(url) = &settings.monitoring_url else {
        return finding(
            Level::Risk,
            subject,
            format!(
                "cannot be seen from here; the default flushes every two minutes, so a power loss can take \
                 acknowledged writes with it: {advice}"
            ),
        );
    };
    let jetstream = match varz(url).await {
        Ok(jetstream) => jetstream,
        Err(error) => {
            return finding(
                Level::Risk,
                subject,
                format!("monitoring at {url} gives no answer ({error}); {advice}"),
            );
        }
    };
    if jetstream.sync_always {
        return finding(
            Level::Good,
            subject,
            "always: acknowledged means on the disk".to_owned(),
        );
    }
    let interval = jetstream.sync_interval.map_or_else(
        || "at intervals".to_owned(),
        |nanos| format!("every {} s", nanos / 1_000_000_000),
    );
    finding(
        Level::Risk,
        subject,
        format!(
            "{interval}: a power loss can take acknowledged writes of that time with it; {advice}"
        ),
    )
}

/// The part of `/varz` that counts.
#[derive(serde::Deserialize)]
struct SyncConfig {
    #[serde(default)]
    sync_always: bool,
    /// Nanoseconds.
    sync_interval: Option<u64>,
}

#[derive(serde::Deserialize)]
struct Varz {
    jetstream: JetStreamVarz,
}

#[derive(serde::Deserialize)]
struct JetStreamVarz {
    config: SyncConfig,
}

/// Asks the monitoring port. One plain request needs no HTTP client.
async fn varz(url: &str) -> Result<SyncConfig, String> {
    let authority = url
        .strip_prefix("http://")
        .ok_or_else(|| "the url must begin with http://".to_owned())?
        .split('/')
        .next()
        .unwrap_or_default();
    let ask = async {
        let mut socket = tokio::net::TcpStream::connect(authority).await?;
        let request = format!("GET /varz HTTP/1.0\r\nHost: {authority}\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        socket
            .take(MONITORING_BYTES_MAX)
            .read_to_end(&mut answer)
            .await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(MONITORING_TIMEOUT, ask)
        .await
        .map_err(|_| "no answer in time".to_owned())?
        .map_err(|error| error.to_string())?;
    parse_varz(&answer)
}

fn parse_varz(answer: &[u8]) -> Result<SyncConfig, String> {
    let text = std::str::from_utf8(answer).map_err(|error| error.to_string())?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| "not an HTTP answer".to_owned())?;
    if head.split(' ').nth(1) != Some("200") {
        let line = head.lines().next().unwrap_or_default();
        return Err(format!("answered `{line}`"));
    }
    serde_json::from_str::<Varz>(body)
        .map(|varz| varz.jetstream.config)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_2_14_0_is_taken_and_2_13_9_is_refused_with_both_versions() {
        for good in ["2.14.0", "2.14.0-RC.1", "v2.15.1", "3.0.0"] {
            assert!(check_version(good).is_ok(), "{good}");
        }
        for bad in ["2.13.9", "1.99.99", "2.14", "", "x.y.z"] {
            let error = check_version(bad).expect_err(bad).to_string();
            assert!(error.contains(bad) && error.contains("2.14.0"), "{error}");
        }
    }

    #[test]
    fn the_newest_tested_version_is_good_and_an_older_one_a_risk() {
        let level = |version: &str| {
            let info = ServerInfo {
                version: version.to_owned(),
                ..ServerInfo::default()
            };
            server(&info)[0].level
        };
        assert_eq!(level("2.15.1"), Level::Good);
        assert_eq!(level("2.15.0"), Level::Risk);
        assert_eq!(level("2.14.9"), Level::Risk);
    }

    #[test]
    fn the_sync_mode_is_read_from_the_monitoring_answer() {
        let answer = |config: &str| {
            let text =
                format!("HTTP/1.0 200 OK\r\nX: y\r\n\r\n{{\"jetstream\":{{\"config\":{config}}}}}");
            parse_varz(text.as_bytes())
        };
        assert!(
            answer(r#"{"sync_always":true,"sync_interval":120000000000}"#)
                .is_ok_and(|c| c.sync_always)
        );
        assert!(
            answer(r#"{"sync_interval":120000000000}"#)
                .is_ok_and(|c| !c.sync_always && c.sync_interval == Some(120_000_000_000))
        );
        assert!(parse_varz(b"HTTP/1.0 404 Not Found\r\n\r\n").is_err());
        assert!(parse_varz(b"").is_err());
    }
}
