//! The bare pipeline: async-nats consumer, serde_json into the product's types, two hash maps, one fenced 64 KB
//! commit per at most 500 events, one in flight. No rules, no state to speak of, no outputs, no recovery.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use aftercall_actors::contract::event::{
    EnpsResponse, InteractionCompleted, InteractionStarted, SurveyResponse, WfmMetric,
};
use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
        stream,
    },
};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::value::RawValue;

const COMMIT_EVENTS_MAX: usize = 500;
const COMMIT_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    event_type: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The two maps.
#[derive(Default)]
pub struct Maps {
    agents: HashMap<String, u64>,
    customers: HashMap<String, u64>,
}

impl Maps {
    /// Decodes an event and counts it; the answer is its CloudEvents id.
    pub fn take(&mut self, payload: &[u8]) -> Option<String> {
        let envelope: Envelope<'_> = serde_json::from_slice(payload).ok()?;
        let data = envelope.data.get();
        let (agent, customer) = match &*envelope.event_type {
            "interaction.started" => {
                let event: InteractionStarted = serde_json::from_str(data).ok()?;
                (event.agent_id, event.customer.and_then(|c| c.customer_id))
            }
            "interaction.completed" => {
                let event: InteractionCompleted = serde_json::from_str(data).ok()?;
                (event.agent_id, event.customer.and_then(|c| c.customer_id))
            }
            "survey.response.created" => {
                let event: SurveyResponse = serde_json::from_str(data).ok()?;
                (
                    event.routing.agent_id,
                    event.customer.and_then(|c| c.customer_id),
                )
            }
            "enps.response.submitted" => {
                let event: EnpsResponse = serde_json::from_str(data).ok()?;
                (Some(event.agent_id), None)
            }
            "wfm.metric.recorded" => {
                let event: WfmMetric = serde_json::from_str(data).ok()?;
                (Some(event.agent_id), None)
            }
            _ => (None, None),
        };
        for (map, key) in [(&mut self.agents, agent), (&mut self.customers, customer)] {
            if let Some(key) = key {
                match map.get_mut(&*key) {
                    Some(count) => *count += 1,
                    None => {
                        map.insert(key.to_string(), 1);
                    }
                }
            }
        }
        Some(envelope.id.into_owned())
    }
}

/// Reads `count` events from the first on; `seen` hears the ids of each commit once it stands.
pub async fn run(url: &str, from: u64, count: u64, mut seen: impl FnMut(&[String])) -> Duration {
    let client = async_nats::ConnectOptions::new()
        .subscription_capacity(262_144)
        .connect(url)
        .await
        .expect("the server is there");
    let js = jetstream::new(client);
    let name = format!("YARDSTICK{from}");
    js.create_stream(stream::Config {
        name: name.clone(),
        subjects: vec![format!("yardstick.{from}")],
        ..Default::default()
    })
    .await
    .expect("the yardstick's stream");
    let events = js.get_stream("CX_EVENTS").await.expect("the events");
    let consumer: PullConsumer = events
        .create_consumer(pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: from,
            },
            ack_policy: AckPolicy::None,
            memory_storage: true,
            ..Default::default()
        })
        .await
        .expect("a consumer");
    let mut messages = consumer
        .stream()
        .max_messages_per_batch(10_000)
        .expires(Duration::from_secs(5))
        .heartbeat(Duration::from_secs(1))
        .messages()
        .await
        .expect("messages");
    let record = Bytes::from(vec![b'x'; COMMIT_BYTES]);
    let mut maps = Maps::default();
    let began = Instant::now();
    let (mut done, mut head) = (0, 0u64);
    let mut pending = Vec::with_capacity(COMMIT_EVENTS_MAX);
    let mut in_flight: Option<(tokio::task::JoinHandle<u64>, Vec<String>)> = None;
    while done < count || in_flight.is_some() || !pending.is_empty() {
        tokio::select! {
            biased;
            sequence = async { (&mut in_flight.as_mut().expect("guarded").0).await },
                if in_flight.is_some() =>
            {
                head = sequence.expect("a commit");
                seen(&in_flight.take().expect("guarded").1);
            }
            message = messages.next(), if done < count && pending.len() < COMMIT_EVENTS_MAX => {
                pending.extend(maps.take(&message.expect("more").expect("a message").payload));
                done += 1;
                while pending.len() < COMMIT_EVENTS_MAX && done < count {
                    let Some(Some(Ok(message))) = messages.next().now_or_never() else { break };
                    pending.extend(maps.take(&message.payload));
                    done += 1;
                }
            }
        }
        if in_flight.is_none() && !pending.is_empty() {
            let ids = std::mem::take(&mut pending);
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Expected-Last-Subject-Sequence", head.to_string());
            let (js, record) = (js.clone(), record.clone());
            let subject = format!("yardstick.{from}");
            let commit = tokio::spawn(async move {
                let ack = js.publish_with_headers(subject, headers, record).await;
                ack.expect("sent").await.expect("stored").sequence
            });
            in_flight = Some((commit, ids));
        }
    }
    let took = began.elapsed();
    js.delete_stream(name).await.expect("gone");
    took
}
