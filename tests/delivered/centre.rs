//! A contact centre whose service runs as users start it, with the vendors around it and the log behind it.

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    process::Output,
    sync::Arc,
    time::{Duration, Instant},
};

use aftercall::{
    delivery::parcel::Parcel,
    envelope,
    log::{
        Lane, Log, TailFrom,
        jetstream::{JetStreamLog, Settings},
        sqlite::{SqliteLog, SqliteSettings},
    },
    sandbox::{
        self, Spawned,
        call::{Call, Vendor},
        faults::{Fault, Rule},
        ledger::Filter,
    },
};
use aftercall_actors::contract::{
    event::{Body, Outcome},
    output::Kind,
};
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::{
    nats::Nats,
    program,
    service::{self, Service},
    settings::{self, Change},
};

/// Anything that is waited for happens within this time, however busy the machine; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Which log it runs on.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// One file.
    Embedded,
    /// A real nats-server.
    Nats,
}

/// How a story's service differs from what ships.
#[derive(Default)]
pub struct Plan {
    /// Names of its destinations.
    pub destinations: &'static [&'static str],
    /// What to lay over a destination, by name.
    pub changes: &'static [Change],
    /// Text in the rules that ship, and what stands in its place.
    pub rules: &'static [Change],
}

/// All of it; ends when it is dropped.
pub struct Centre {
    service: Service,
    pub log: Log,
    pub sandbox: Spawned,
    client: reqwest::Client,
    log_arguments: Vec<String>,
    pub folder: tempfile::TempDir,
    _server: Option<Nats>,
}

impl Centre {
    /// Opens: the service is ready, and each destination follows what is decided from now on.
    pub async fn open(place: Place, plan: &Plan) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listen = "127.0.0.1:0".parse().expect("an address");
        let settings = sandbox::Settings {
            // A story says when.
            recording_after: Duration::from_secs(86_400),
            ..sandbox::Settings::default()
        };
        let sandbox = sandbox::spawn(listen, settings).expect("a sandbox");
        let server = match place {
            Place::Embedded => None,
            Place::Nats => Some(Nats::start()),
        };
        let dir = folder.path().join("data");
        let log_arguments = match &server {
            None => ["--dir".to_owned(), dir.display().to_string()],
            Some(server) => ["--nats".to_owned(), server.url()],
        };
        let mut service = started(folder.path(), &log_arguments, &sandbox, plan);
        service.until_ready().await;
        // The service made it; a second process may have it open then.
        let log: Log = match &server {
            None => {
                let opening = tokio::task::spawn_blocking(move || {
                    SqliteLog::open(&dir, SqliteSettings::default())
                });
                Arc::new(opening.await.expect("opened").expect("a log"))
            }
            Some(server) => {
                let log = JetStreamLog::connect(Settings::new(server.url())).await;
                Arc::new(log.expect("a log"))
            }
        };
        Self {
            service,
            log,
            sandbox,
            client: reqwest::Client::new(),
            log_arguments: log_arguments.to_vec(),
            folder,
            _server: server,
        }
    }

    /// Stops the service as a supervisor does.
    pub async fn close(mut self) {
        self.stop().await;
    }

    /// The same, and everything else stays.
    pub async fn stop(&mut self) {
        let (status, _) = self.service.stop().await;
        assert!(status.success(), "{status}: {}", self.service.log());
    }

    /// The log's time, as events write it.
    pub fn now(&self) -> String {
        self.log.now().to_string()
    }

    /// Posts events, each a type, an id and data, in one request; they are durable then.
    pub async fn post(&self, events: &[(&str, &str, Value)]) {
        let batch: Vec<Value> = events
            .iter()
            .map(|(event_type, id, data)| {
                json!({
                    "specversion": "1.0", "id": id, "source": "centre", "type": event_type, "data": data,
                })
            })
            .collect();
        let answer = self
            .client
            .post(self.service.url("/v1/events"))
            .bearer_auth(service::TOKEN)
            .header("content-type", "application/cloudevents-batch+json")
            .body(Value::Array(batch).to_string())
            .send()
            .await
            .expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("its body");
        let said: Value = serde_json::from_str(&text).expect("JSON");
        let expected = json!({ "accepted": events.len(), "duplicates": 0 });
        assert_eq!((status.as_u16(), said), (202, expected));
    }

    /// What the service has logged, a line each.
    pub fn logged(&self) -> String {
        self.service.log()
    }

    /// Waits until a look finds something.
    pub async fn until<T>(&self, what: impl fmt::Display, look: impl AsyncFn() -> Option<T>) -> T {
        let since = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "waited in vain for {what}\nvendors: {:#?}\noutputs: {:#?}\nservice: {}",
                self.sandbox.sandbox.summary(),
                self.outputs().await,
                self.service.log()
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until a vendor has done something under a key; it never does so twice.
    pub async fn until_done(&self, vendor: Vendor, key: &str) {
        let executions = || self.sandbox.sandbox.executions(vendor, key);
        self.until(format_args!("{key} at {}", vendor.name()), async || {
            (executions() > 0).then_some(())
        })
        .await;
        assert_eq!(executions(), 1, "{key} at {}", vendor.name());
    }

    /// Makes every request to a vendor fail.
    pub fn break_down(&self, vendor: Vendor, fault: Fault) {
        let added = self.sandbox.sandbox.add_fault(Rule::always(vendor, fault));
        added.expect("a fault");
    }

    /// What a vendor received, in order: `method`, `path`, `headers`, `key`, `body`, `status`, `executed`.
    pub fn calls(&self, vendor: Vendor) -> Vec<Value> {
        let filter = Filter {
            vendor: Some(vendor),
            ..Filter::default()
        };
        let entries = self.sandbox.sandbox.entries(&filter);
        entries.iter().map(|entry| entry.to_json()).collect()
    }

    /// Slack's messages as they stand now, oldest first.
    pub fn slack_messages(&self) -> Vec<Value> {
        let path = "/control/slack/messages";
        let call = Call::new("GET", path, BTreeMap::new(), Vec::new().into());
        let reply = self.sandbox.sandbox.own(&call);
        serde_json::from_slice(&reply.body).expect("messages")
    }

    /// Everything that was decided, in the order of the log.
    pub async fn outputs(&self) -> Vec<Parcel> {
        let last = self.log.outputs_last().await.expect("the last output");
        let lanes: Vec<Lane> = Kind::ALL.into_iter().map(Lane::Out).collect();
        let tail = self.log.outputs_tail(&lanes, TailFrom::Start).await;
        let mut tail = tail.expect("a tail");
        let mut outputs = Vec::new();
        // Nothing is ever removed here, and nothing else is in the stream.
        while outputs.last().map_or(0, |parcel: &Parcel| parcel.seq) < last {
            let stored = tail.next().await.expect("no end").expect("an output");
            outputs.push(Parcel::read(&stored).expect("one of ours"));
        }
        outputs
    }

    /// Those of a type.
    pub async fn outputs_of(&self, event_type: &str) -> Vec<Parcel> {
        let mut outputs = self.outputs().await;
        outputs.retain(|parcel| parcel.event_type == event_type);
        outputs
    }

    /// Waits for the outputs of a type to be so many or more.
    pub async fn until_outputs(&self, event_type: &str, count: usize) -> Vec<Parcel> {
        self.until(format_args!("{count} {event_type}"), async || {
            let outputs = self.outputs_of(event_type).await;
            (outputs.len() >= count).then_some(outputs)
        })
        .await
    }

    /// Everything the log was told about an output, in order.
    pub async fn outcomes(&self, output_id: &str) -> Vec<Outcome> {
        let last = self.log.bounds().await.expect("bounds").last;
        let mut reader = self.log.read(1).await.expect("a reader");
        let (mut outcomes, mut read) = (Vec::new(), 0);
        while read < last {
            for raw in reader.next(1_000).await.expect("events") {
                read = raw.position;
                let event = envelope::decode(&raw, self.log.partition_count()).expect("an event");
                if let Body::Outcome(_, outcome) = event.body
                    && *outcome.output_id == *output_id
                {
                    outcomes.push(outcome);
                }
            }
        }
        outcomes
    }

    /// Waits for the first of them.
    pub async fn until_told(&self, output_id: &str) -> Outcome {
        self.until(format_args!("an outcome of {output_id}"), async || {
            self.outcomes(output_id).await.into_iter().next()
        })
        .await
    }

    /// A figure of a destination's, or of one of its states.
    pub async fn figure(
        &self,
        metric: &str,
        destination: &str,
        state: Option<&str>,
    ) -> Option<u64> {
        let state = state.map_or_else(String::new, |state| format!(",state=\"{state}\""));
        let labels = format!("{{destination=\"{destination}\"{state}}}");
        let figures = self.service.figures(metric).await;
        let mut figures = figures.into_iter().filter(|(of, _)| *of == labels);
        figures.next().map(|(_, figure)| figure)
    }

    /// What `/readyz` answers.
    pub async fn readiness(&self) -> (u16, String) {
        self.service.readiness().await.expect("it answers")
    }

    /// Runs a command on the same log and with the same configuration, beside the service or after it.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let log = self.log_arguments.iter().map(String::as_str);
        let config = ["--config", "aftercall.toml"];
        let arguments: Vec<&str> = arguments.iter().copied().chain(log).chain(config).collect();
        program::run_in(self.folder.path(), &arguments, "")
    }

    /// Runs `aftercall dead`: the JSON lines it prints.
    pub fn dead(&self, arguments: &[&str]) -> Vec<Value> {
        let arguments: Vec<&str> = ["dead"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        let output = self.run(&arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            program::errors(&output)
        );
        let text = program::text(&output);
        let line = |line: &str| serde_json::from_str(line).expect("a JSON line");
        text.lines().map(line).collect()
    }
}

fn started(folder: &Path, log_arguments: &[String], sandbox: &Spawned, plan: &Plan) -> Service {
    let destinations = settings::destinations(folder, sandbox, plan.destinations, plan.changes);
    let fields = settings::fields(folder, plan.destinations);
    let config = format!("[deliver]\ndestinations = {destinations:?}\nfields = {fields:?}\n");
    let config = settings::written(folder, "aftercall.toml", &config);
    let log_arguments = log_arguments.iter().map(String::as_str);
    let arguments: Vec<&str> = log_arguments.chain(["--config", &config]).collect();
    let rules = settings::rules(plan.rules);
    Service::new(folder, "run", &arguments, &rules).started()
}
