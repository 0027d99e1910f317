//! A contact centre on a real nats-server that loses what it had confirmed.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use aftercall_actors::rules::RuleSet;
use async_nats::jetstream::{
    self,
    consumer::{DeliverPolicy, pull},
};
use futures::StreamExt as _;
use serde_json::json;

use crate::{nats::Nats, receiver::Receiver, service::Service};

/// Anything that is waited for happens within this time, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(90);

const STREAMS: [&str; 6] = [
    "CX_EVENTS",
    "CX_JOURNAL",
    "CX_SNAPSHOT",
    "CX_OUT",
    "CX_DELIVERY",
    "CX_DEAD",
];

/// How one stream loses its end.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    pub stream: &'static str,
    /// Whether the service runs meanwhile.
    pub running: bool,
    /// Events published before the service comes to it.
    pub refilled: u32,
}

pub struct Centre {
    server: Nats,
    service: Service,
    receiver: Receiver,
    folder: tempfile::TempDir,
    sent: u32,
    broken: u32,
}

impl Centre {
    pub async fn open() -> Self {
        let server = Nats::start();
        let receiver = Receiver::start();
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a file");
            path.display().to_string()
        };
        let destinations = file(
            "destinations.toml",
            &format!(
                r#"
[[destination]]
name = "alerts"
on = ["alert.raised"]
start = "beginning"
channel = "http"
method = "POST"
url = "http://{}/alerts"
headers = {{ Idempotency-Key = "{{{{ id }}}}" }}
body = """
{{ "alert": {{{{ data.alert_id }}}} }}
"""
"#,
                receiver.address
            ),
        );
        let fields = file(
            "fields.toml",
            "[destination.alerts]\nalert_id = \"plain\"\n",
        );
        let config = file(
            "aftercall.toml",
            &format!("[deliver]\ndestinations = {destinations:?}\nfields = {fields:?}\n"),
        );
        let url = server.url();
        let arguments = ["--nats", &url, "--config", &config];
        let rules = RuleSet::default_rules().text().to_owned();
        let mut service = Service::new(folder.path(), "run", &arguments, &rules).started();
        service.until_ready().await;
        Self {
            server,
            service,
            receiver,
            folder,
            sent: 0,
            broken: 0,
        }
    }

    /// Everything up to the loss, the loss, and what comes after it.
    pub async fn live_through(&mut self, loss: &Loss) {
        println!("{loss:?} in {}", self.folder.path().display());
        self.feed(20).await;
        self.until_delivered().await;
        self.server.kill();
        let copy = self.server.copy_stream(loss.stream);
        self.server.start_again();
        self.feed(20).await;
        self.until_delivered().await;
        // Marks, checkpoints.
        tokio::time::sleep(Duration::from_secs(2)).await;
        if !loss.running {
            assert!(self.service.kill(), "{}", self.service.log());
        }
        self.server.kill();
        self.server.put_back(loss.stream, &copy);
        self.server.start_again();
        self.feed(loss.refilled).await;
        if !loss.running {
            self.service.start();
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        self.service.until_ready().await;
        self.feed(10).await;
    }

    /// All streams lose their ends, each at another place.
    pub async fn lose_everything(&mut self, running: bool) {
        self.feed(10).await;
        self.until_delivered().await;
        let mut copies = Vec::new();
        for stream in STREAMS {
            self.feed(5).await;
            self.until_delivered().await;
            self.server.kill();
            copies.push((stream, self.server.copy_stream(stream)));
            self.server.start_again();
        }
        self.feed(10).await;
        self.until_delivered().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        if !running {
            assert!(self.service.kill());
        }
        self.server.kill();
        for (stream, copy) in &copies {
            self.server.put_back(stream, copy);
        }
        self.server.start_again();
        self.feed(20).await;
        if !running {
            self.service.start();
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        self.service.until_ready().await;
        self.feed(10).await;
    }

    /// The stream of the dead takes nothing more for a while, over a restart.
    pub async fn full_of_the_dead(&mut self) {
        self.feed(10).await;
        self.until_delivered().await;
        self.limit_dead(1).await;
        // Many more than wait anywhere.
        self.feed(400).await;
        self.until_delivered().await;
        self.receiver.refuse(true);
        self.feed(20).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.receiver.refuse(false);
        self.feed(20).await;
        self.until_delivered().await;
        self.until_noted("writing dead letters and quarantined input")
            .await;
        let warnings = self.service.said();
        let warnings = warnings.matches("WARN aftercall::log::health: writing dead letters");
        assert_eq!(warnings.count(), 1);
        let figures = self
            .service
            .figures("aftercall_quarantine_untold_total")
            .await;
        assert!(figures[0].1 > 0, "{figures:?}");
        assert!(self.service.kill());
        self.service.start();
        self.service.until_ready().await;
        self.feed(50).await;
        self.until_delivered().await;
        let standing = self.payloads("CX_DEAD").await.len();
        assert!(standing <= 3, "{standing} stand in a full stream");
        self.limit_dead(-1).await;
        let since = Instant::now();
        loop {
            let dead = self.payloads("CX_DEAD").await;
            let letters = dead
                .iter()
                .filter(|(subject, _)| subject.starts_with("cx.dead.delivery."));
            if letters.count() >= 20 {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{}", self.service.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// `/readyz` comes to say so, and is ready all the time.
    async fn until_noted(&self, words: &str) {
        let since = Instant::now();
        loop {
            let (status, text) = self.service.readiness().await.expect("an answer");
            assert_eq!(status, 200, "{text}");
            if text.contains(words) {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{words} is not in {text}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn limit_dead(&self, messages: i64) {
        let log = self.jetstream().await;
        let stream = log.get_stream("CX_DEAD").await.expect("the stream");
        let mut config = stream.cached_info().config.clone();
        config.max_messages = match messages {
            -1 => -1,
            more => stream.cached_info().state.messages as i64 + more,
        };
        log.update_stream(&config).await.expect("another limit");
    }

    /// Bad surveys, each of an agent of its own, and with every fifth something that cannot be read.
    async fn feed(&mut self, count: u32) {
        if count == 0 {
            return;
        }
        let log = self.jetstream().await;
        for _ in 0..count {
            self.sent += 1;
            let id = format!("r-{}", self.sent);
            let data = json!({
                "specversion": "1.0", "id": id, "source": "losses", "type": "survey.response.created",
                "data": {
                    "response_id": id, "interaction_id": id, "submitted_at": "2026-11-20T09:30:00Z", "csat": 1,
                    "comment": "Nobody called back.", "routing": { "agent_id": format!("a-{}", self.sent) },
                },
            });
            let subject = format!("cx.events.a-{}._.survey.response.created", self.sent);
            publish(&log, subject, &id, data.to_string()).await;
            if self.sent.is_multiple_of(5) {
                self.broken += 1;
                let id = format!("broken-{}", self.broken);
                let subject = "cx.events.a-1._.survey.response.created".to_owned();
                publish(&log, subject, &id, format!("{{ {id}")).await;
            }
        }
    }

    async fn jetstream(&self) -> jetstream::Context {
        let since = Instant::now();
        loop {
            match async_nats::connect(self.server.url()).await {
                Ok(client) => return jetstream::new(client),
                Err(error) => assert!(since.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The payloads of a stream.
    async fn payloads(&self, stream: &str) -> Vec<(String, bytes::Bytes)> {
        let log = self.jetstream().await;
        let stream = log.get_stream(stream).await.expect("the stream");
        let state = stream.get_info().await.expect("its state").state;
        let config = pull::Config {
            deliver_policy: DeliverPolicy::All,
            ack_policy: jetstream::consumer::AckPolicy::None,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.expect("a consumer");
        let mut messages = consumer.messages().await.expect("messages");
        let mut all = Vec::new();
        while (all.len() as u64) < state.messages {
            let message = messages
                .next()
                .await
                .expect("a message")
                .expect("it is good");
            all.push((message.subject.to_string(), message.payload.clone()));
        }
        all
    }

    /// Alerts by what stands in the event log: the response ids of the bad surveys.
    async fn expected(&self) -> Vec<String> {
        let events = self.payloads("CX_EVENTS").await;
        let ids = events.iter().filter_map(|(_, payload)| {
            let event: serde_json::Value = serde_json::from_slice(payload).ok()?;
            let id = event["data"]["response_id"].as_str()?;
            Some(format!("low_csat:{id}"))
        });
        ids.collect()
    }

    async fn until_delivered(&mut self) {
        let since = Instant::now();
        loop {
            let expected = self.expected().await;
            let taken = self.receiver.taken();
            let missing: Vec<_> = expected
                .iter()
                .filter(|id| !taken.contains_key(*id))
                .collect();
            if missing.is_empty() {
                return;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "not delivered: {missing:?}\n{:?}\n{}",
                self.service.readiness().await,
                self.service.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn each_alert_is_delivered(&mut self) {
        self.until_delivered().await;
        self.service.until_ready().await;
    }

    pub async fn each_alert_is_delivered_once(&mut self, loss: &Loss) {
        self.until_delivered().await;
        // Time for what must not come.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let twice: BTreeMap<_, _> = self
            .receiver
            .taken()
            .into_iter()
            .filter(|(_, count)| *count > 1)
            .collect();
        assert!(
            twice.is_empty(),
            "{loss:?}: {twice:?}\n{}",
            self.service.log()
        );
        self.service.until_ready().await;
    }

    /// Each alert of each event stands once in the output stream.
    pub async fn each_alert_stands_once(&self) {
        let mut standing: BTreeMap<String, u32> = BTreeMap::new();
        for (subject, payload) in self.payloads("CX_OUT").await {
            if subject.starts_with("cx.out.alert.") {
                let alert: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
                let id = alert["alert_id"].as_str().expect("an id").to_owned();
                // A destination that gives up raises an alert as well, which no event of ours asked for.
                if id.starts_with("low_csat:") {
                    *standing.entry(id).or_insert(0) += 1;
                }
            }
        }
        let expected = self.expected().await;
        for alert in &expected {
            assert_eq!(
                standing.get(alert),
                Some(&1),
                "{alert}\n{}",
                self.service.log()
            );
        }
        assert_eq!(standing.len(), expected.len());
    }

    /// Everything that could not be read stands among the dead.
    pub async fn everything_set_aside_stands(&self) {
        let since = Instant::now();
        loop {
            let dead = self.payloads("CX_DEAD").await;
            let all: String = dead
                .iter()
                .map(|(_, payload)| String::from_utf8_lossy(payload).into_owned())
                .collect();
            let missing = (1..=self.broken).find(|number| !holds(&all, *number));
            let Some(missing) = missing else { return };
            assert!(
                since.elapsed() < PATIENCE,
                "broken-{missing} is not in {all}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// `/readyz` says so.
    pub async fn notes(&self, words: &str, loss: &Loss) {
        let (status, text) = self.service.readiness().await.expect("an answer");
        assert_eq!(status, 200, "{text}");
        assert!(text.contains(words), "{loss:?}: {text}");
    }

    pub async fn figure(&self, metric: &str) -> u64 {
        let (name, label) = metric.split_once('{').expect("a label");
        let figures = self.service.figures(name).await;
        let mut found = figures.iter().filter(|(labels, _)| labels.contains(label));
        found.next().map_or(0, |(_, value)| *value)
    }
}

/// Whether the original of a message is in a text: in base64, as binary data is kept, or plain.
fn holds(all: &str, number: u32) -> bool {
    let text = format!("{{ broken-{number}");
    all.contains(&text) || all.contains(&format!("broken-{number}\""))
}

async fn publish(log: &jetstream::Context, subject: String, id: &str, body: String) {
    let since = Instant::now();
    loop {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("losses {id}"));
        let sent = log
            .publish_with_headers(subject.clone(), headers, body.clone().into())
            .await;
        if let Ok(answer) = sent
            && answer.await.is_ok()
        {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{id} is not taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
