//! Imports inside the service, with the built program on real logs: by HTTP, and from a watched folder through kills and
//! stops (S3.01, S3.02).

#[path = "support/nats.rs"]
mod nats;
#[path = "support/service.rs"]
mod service;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Output},
    sync::Arc,
    time::{Duration, Instant},
};

use aftercall::log::{
    Log,
    jetstream::{JetStreamLog, Settings},
    sqlite::{SqliteLog, SqliteSettings},
};
use aftercall_actors::rules::RuleSet;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use nats::Nats;
use serde_json::Value;
use service::{Service, TOKEN};

/// Anything that is waited for happens within this time, however busy the machine; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which log, and how programs are told.
enum Place {
    Embedded(String),
    Nats(Nats),
}

impl Place {
    fn embedded(dir: &Path) -> Self {
        Self::Embedded(dir.join("data").display().to_string())
    }

    fn arguments(&self) -> Vec<String> {
        match self {
            Self::Embedded(dir) => vec!["--dir".into(), dir.clone()],
            Self::Nats(server) => vec!["--nats".into(), server.url()],
        }
    }

    async fn open(&self) -> Log {
        match self {
            Self::Embedded(dir) => {
                let log = SqliteLog::open(Path::new(dir), SqliteSettings::default());
                Arc::new(log.expect("a log"))
            }
            Self::Nats(server) => {
                let log = JetStreamLog::connect(Settings::new(server.url())).await;
                Arc::new(log.expect("a log"))
            }
        }
    }

    /// A service whose configuration is `config`.
    fn service(&self, dir: &Path, config: &str) -> Service {
        fs::write(dir.join("aftercall.toml"), config).unwrap();
        let config = dir.join("aftercall.toml").display().to_string();
        let mut arguments = self.arguments();
        arguments.extend(["--config".to_owned(), config]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Service::new(dir, "service", &arguments, RuleSet::default_rules().text())
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aftercall"));
        let command = command.args(args).args(self.arguments());
        let command = command.env_remove("AFTERCALL_CONFIG");
        command.env_remove("AFTERCALL_NATS").output().unwrap()
    }

    /// The one alert there is.
    fn alert(&self) -> Value {
        let tap = [
            "tap", "--kind", "alert", "--from", "start", "--count", "1", "--json",
        ];
        let output = self.run(&tap);
        serde_json::from_slice(&output.stdout).expect("an alert")
    }

    /// Ids of the events of a type, in the order of the log.
    async fn ids(&self, event_type: &str) -> Vec<String> {
        let log = self.open().await;
        let bounds = log.bounds().await.unwrap();
        let mut reader = log.read(1).await.unwrap();
        let (mut ids, mut position) = (Vec::new(), 0);
        while position < bounds.last {
            for raw in reader.next(5_000).await.unwrap() {
                position = raw.position;
                let event: Value = serde_json::from_slice(&raw.payload).unwrap();
                if event["type"] == event_type && position <= bounds.last {
                    ids.push(event["id"].as_str().unwrap().to_owned());
                }
            }
        }
        ids
    }
}

fn yesterday() -> String {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    today.checked_sub(1.days()).unwrap().to_string()
}

async fn until<F: Future<Output = bool>>(what: &str, service: &Service, condition: impl Fn() -> F) {
    let since = Instant::now();
    while !condition().await {
        assert!(
            since.elapsed() < PATIENCE,
            "waited for {what}: {}",
            service.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn figure(service: &Service, metric: &str, labels: &str) -> u64 {
    let figures = service.figures(metric).await;
    let mut found = figures.into_iter().filter(|(name, _)| name == labels);
    found.next().map_or(0, |(_, figure)| figure)
}

#[tokio::test]
async fn s3_01_s3_02_by_http_on_the_embedded_log_rows_count_and_bad_ones_alert_once() {
    let dir = tempfile::tempdir().unwrap();
    by_http(dir.path(), &Place::embedded(dir.path())).await;
}

#[tokio::test]
async fn s3_01_s3_02_by_http_on_a_real_nats_server_rows_count_and_bad_ones_alert_once() {
    let dir = tempfile::tempdir().unwrap();
    by_http(dir.path(), &Place::Nats(Nats::start())).await;
}

async fn by_http(dir: &Path, place: &Place) {
    let mut service = place.service(dir, "").started();
    service.until_ready().await;
    let day = yesterday();
    let body = format!("agentId,date,points\na,{day},30\nb,{day},n/a\nc,{day},7\n");
    let post = || async {
        let url = service.url(&format!("/v1/imports/wfm?recorded_at={day}T23:00:00Z"));
        let request = reqwest::Client::new().post(url).bearer_auth(TOKEN);
        let answer = request.body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        answer.json::<Value>().await.unwrap()
    };
    let first = post().await;
    assert_eq!((&first["stored"], &first["bad"]), (&2.into(), &1.into()));
    assert_eq!(first["bad_rows"][0]["line"], 3);
    until("the alert", &service, || async {
        figure(&service, "aftercall_outputs_total", "{kind=\"alert\"}").await == 1
    })
    .await;
    let alert = place.alert();
    let id = first["import_id"].as_str().unwrap();
    assert_eq!(
        (&alert["data"]["rule"], &alert["data"]["alert_id"]),
        (&"bad_rows".into(), &format!("bad_rows:{id}").into())
    );
    let summary = alert["data"]["summary"].as_str().unwrap();
    assert!(
        summary.starts_with(
            "upload: 1 of 3 rows was left out, see the quarantine; first: line 3, column points: bad_value: found \
             `n/a`"
        ),
        "{summary}"
    );

    let again = post().await;
    assert_eq!(
        (&again["stored"], &again["duplicates"]),
        (&0.into(), &2.into())
    );
    for (metric, labels, wanted) in [
        ("aftercall_import_rows_total", "{result=\"good\"}", 4),
        ("aftercall_import_rows_total", "{result=\"bad\"}", 2),
        ("aftercall_imports_total", "{result=\"done\"}", 2),
        ("aftercall_imports_total", "{result=\"refused\"}", 0),
        ("aftercall_outputs_total", "{kind=\"alert\"}", 1),
    ] {
        assert_eq!(figure(&service, metric, labels).await, wanted, "{metric}");
    }
    assert!(service.stop().await.0.success());
    assert_eq!(place.ids("import.quarantined").await.len(), 1);
}

#[tokio::test]
async fn s3_01_s3_02_a_watched_folder_goes_on_through_kills_and_stops_on_the_embedded_log() {
    let dir = tempfile::tempdir().unwrap();
    watched(dir.path(), &Place::embedded(dir.path())).await;
}

#[tokio::test]
async fn s3_01_s3_02_a_watched_folder_goes_on_through_kills_and_stops_on_a_real_nats_server() {
    let dir = tempfile::tempdir().unwrap();
    watched(dir.path(), &Place::Nats(Nats::start())).await;
}

/// Rows of the large file: enough for the process to be ended in the middle of them.
const ROWS: usize = 60_000;

async fn watched(dir: &Path, place: &Place) {
    let folder = dir.join("in");
    fs::create_dir(&folder).unwrap();
    let config = format!("[import.wfm]\nwatch = \"{}\"\n", folder.display());
    let mut service = place.service(dir, &config).started();
    service.until_ready().await;
    fs::write(
        folder.join("holidays.csv"),
        "day,name\n2026-01-01,New Year\n",
    )
    .unwrap();
    let day = yesterday();
    let mut rows = "agentId,date,points\n".to_owned();
    for agent in 0..ROWS {
        writeln!(rows, "agent-{agent},{day},1").unwrap();
    }
    // As an upload that is renamed when it is whole.
    fs::write(folder.join("points.csv.part"), rows).unwrap();
    fs::rename(folder.join("points.csv.part"), folder.join("points.csv")).unwrap();

    // Rows that are durable, and whether these are all.
    let progress = || {
        let note = fs::read(folder.join("points.csv.imported")).unwrap_or_default();
        let note: Value = serde_json::from_slice(&note).unwrap_or_default();
        let entry = note.as_object().and_then(|logs| logs.values().next());
        entry.map_or((0, false), |entry| {
            (entry["rows"].as_u64().unwrap(), entry["done"] == true)
        })
    };
    let mut interrupted = 0;
    for is_killed in [true, false] {
        let (before, _) = progress();
        until("the import to go on", &service, || async {
            let (rows, done) = progress();
            rows > before || done
        })
        .await;
        if is_killed {
            service.kill();
        } else {
            let (status, took) = service.stop().await;
            assert!(status.success(), "{}", service.log());
            assert!(took < Duration::from_secs(5), "{took:?}");
        }
        interrupted += u32::from(!progress().1);
        service.start();
        service.until_ready().await;
    }
    assert!(interrupted > 0, "the machine is too fast for this test");
    until("the import", &service, || async { progress().1 }).await;
    until("the refusal", &service, || async {
        folder.join("holidays.csv.refused").exists()
    })
    .await;
    assert!(service.stop().await.0.success());

    let ids = place.ids("wfm.metric.recorded").await;
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ROWS);
    // The batch that was on its way may have been sent again; the log knows it.
    assert_eq!(ids.len(), ROWS);
    let alert = place.alert();
    let summary = alert["data"]["summary"].as_str().unwrap();
    assert!(
        summary.starts_with(
            "holidays.csv: refused, nothing of it was imported: line 1: header: no column `agentId`"
        ),
        "{summary}"
    );
    // Refused again at each start, since the mapping could have been another one by then; under one id, so told of once.
    let told = place.ids("import.quarantined").await;
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>().len(), 1);
}

#[test]
fn a_folder_that_is_not_there_is_a_mistake_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let config = dir.path().join("aftercall.toml");
    fs::write(
        &config,
        format!("[import.wfm]\nwatch = \"{}\"\n", missing.display()),
    )
    .unwrap();
    let place = Place::embedded(dir.path());
    let output = place.run(&["run", "--config", &config.display().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains(&format!("import.wfm.watch: {}: ", missing.display())),
        "{told}"
    );
    assert!(!dir.path().join("data").exists(), "nothing was started");
}
