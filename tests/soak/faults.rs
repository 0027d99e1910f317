//! What goes wrong in a soak: processes, the server's streams, and input that nobody sends on purpose.

use std::time::Duration;

use aftercall::log::{Destination, Headers, Log, NewEvent, retry};
use aftercall_actors::contract::time::EventTime;
use async_nats::jetstream::{self, stream::DiscardPolicy};
use serde_json::{Value, json};

use crate::{nats::Nats, service::Service};

/// How long a stream is full, or a server does not answer.
const SPELL: Duration = Duration::from_secs(6);

/// What is sent meanwhile is taken within this time.
const PATIENCE: Duration = Duration::from_secs(40);

/// What stands on the stage.
pub struct Scene {
    pub server: Nats,
    pub service: Service,
    pub log: Log,
}

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// `kill -9` of the service.
    ServiceKilled,
    /// `kill -9` of the server, which is back after a second.
    ServerKilled,
    /// Connections stand, and the server answers nothing.
    ServerFrozen,
    /// A stream takes nothing more for a while.
    Full(&'static str),
    /// A power loss takes the end of a stream.
    EndLost(&'static str),
    /// Fields of hundreds of kilobytes, and payloads of control characters.
    HugeInput,
    /// Thousands of events about one agent within moments.
    HotAgent,
}

impl Fault {
    /// Each of them.
    pub const ALL: [Self; 11] = [
        Self::ServiceKilled,
        Self::Full("CX_OUT"),
        Self::HugeInput,
        Self::ServerKilled,
        Self::EndLost("CX_OUT"),
        Self::Full("CX_JOURNAL"),
        Self::HotAgent,
        Self::ServerFrozen,
        Self::EndLost("CX_SNAPSHOT"),
        Self::Full("CX_DEAD"),
        Self::EndLost("CX_JOURNAL"),
    ];

    /// Lets it happen, and go by as far as it goes by.
    pub async fn strike(self, scene: &mut Scene) {
        match self {
            Self::ServiceKilled => {
                let was_alive = scene.service.kill();
                assert!(was_alive, "it ended by itself: {}", scene.service.log());
                scene.service.start();
            }
            Self::ServerKilled => {
                scene.server.kill();
                tokio::time::sleep(Duration::from_secs(1)).await;
                scene.server.start_again();
            }
            Self::ServerFrozen => {
                scene.server.pause();
                tokio::time::sleep(SPELL).await;
                scene.server.resume();
            }
            Self::Full(stream) => full(&scene.server, stream).await,
            Self::EndLost(stream) => {
                scene.server.kill();
                let copy = scene.server.copy_stream(stream);
                scene.server.start_again();
                tokio::time::sleep(Duration::from_secs(3)).await;
                scene.server.kill();
                scene.server.put_back(stream, &copy);
                scene.server.start_again();
            }
            Self::HugeInput => huge_input(&scene.log).await,
            Self::HotAgent => hot_agent(&scene.log).await,
        }
    }
}

/// The stream's limit is what it holds, until the spell is over.
async fn full(server: &Nats, stream: &str) {
    let client = async_nats::connect(server.url()).await.expect("connected");
    let context = jetstream::new(client);
    let mut found = context.get_stream(stream).await.expect("a stream");
    let info = found.info().await.expect("its state").clone();
    let mut config = info.config.clone();
    config.max_messages = i64::try_from(info.state.messages.max(1)).expect("a number");
    config.discard = DiscardPolicy::New;
    context.update_stream(&config).await.expect("a limit");
    tokio::time::sleep(SPELL).await;
    context
        .update_stream(&info.config)
        .await
        .expect("its limits");
}

async fn huge_input(log: &Log) {
    let now = EventTime(log.now().0);
    let name = "N".repeat(200_000);
    let survey = |number: u32| {
        let id = format!("huge-{}-{number}", now.0);
        let data = json!({
            "response_id": id, "csat": 1, "submitted_at": now,
            "comment": "lawsuit",
            "routing": { "agent_id": "a-huge", "agent_name": name },
        });
        event("survey.response.created", "a-huge", &id, data)
    };
    let mut events: Vec<NewEvent> = (0..5).map(survey).collect();
    events.push(NewEvent {
        destination: to("a-huge", "interaction.completed"),
        headers: Headers::Empty,
        payload: vec![1; 250_000].into(),
        message_id: format!("control {}", now.0),
    });
    append(log, events).await;
}

async fn hot_agent(log: &Log) {
    let now = log.now().0;
    for chunk in 0..20 {
        let number = |n: i64| now - 60_000 + chunk * 100 + n;
        let completed = |n: i64| {
            let id = format!("hot-{now}-{chunk}-{n}");
            let data = json!({
                "interaction_id": id, "agent_id": "a-hot", "channel": "chat",
                "wrap_up_code": "billing_dispute", "ended_at": EventTime(number(n)),
            });
            event("interaction.completed", "a-hot", &id, data)
        };
        append(log, (0..100).map(completed).collect()).await;
    }
}

fn event(event_type: &str, owner: &str, id: &str, data: Value) -> NewEvent {
    let event = json!({
        "specversion": "1.0", "id": id, "source": "https://cx.example.com/soak", "type": event_type,
        "datacontenttype": "application/json", "data": data,
    });
    NewEvent {
        destination: to(owner, event_type),
        headers: Headers::Empty,
        payload: event.to_string().into(),
        message_id: format!("https://cx.example.com/soak {id}"),
    }
}

fn to(owner: &str, event_type: &str) -> Destination {
    Destination::Actors {
        owner: owner.to_owned(),
        customer: "_".to_owned(),
        event_type: event_type.to_owned(),
    }
}

async fn append(log: &Log, events: Vec<NewEvent>) {
    for answer in retry::append(log.as_ref(), events, PATIENCE).await {
        answer.expect("events are stored in the end");
    }
}
