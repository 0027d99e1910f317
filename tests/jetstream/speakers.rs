//! Whose place an event stands in: what only the service says, what anyone publishes, what a log from before holds.

use aftercall::{
    envelope::{self, Incoming, Reason},
    log::{
        EventLog as _, Level, RawEvent, Route, Speaker,
        jetstream::{JetStreamLog, Login, Settings},
    },
};
use aftercall_actors::contract::key::Key;
use async_nats::jetstream::{
    self,
    stream::{Config, SubjectTransform},
};
use serde_json::{Value, json};

use crate::{
    fixtures::{connect, event, plain, take},
    nats::Nats,
};

const SAMPLE: &str = include_str!("../../config/nats-permissions.conf");

fn outcome(id: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "aftercall/deliver/rewards", "type": "reward.outcome",
        "data": { "output_id": "r", "subject": "agent/a-1", "status": "rejected", "attempts": 1 },
    })
}

fn own(id: &str) -> aftercall::log::NewEvent {
    let event = Incoming::structured(outcome(id).to_string().into()).check();
    event
        .and_then(|event| event.into_own_event())
        .expect("an outcome")
}

fn reason(raw: &RawEvent) -> Option<Reason> {
    envelope::decode(raw, 8).err().map(|reject| reject.reason)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_07_an_outcome_counts_from_the_services_own_subjects_alone() {
    let server = Nats::start();
    let log = connect(&server).await;
    let answers = log.append(vec![own("o1")]).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let context = plain(&server).await;
    let forged = context.publish(
        "cx.events.a-1._.reward.outcome",
        outcome("o2").to_string().into(),
    );
    forged.await.expect("sent").await.expect("stored");
    let mut reader = log.read(1).await.expect("a reader");
    let read = take(&mut *reader, 2).await;
    let route = Route::Pair {
        agent: Key::Agent("a-1").partition(8),
        customer: Key::Unassigned.partition(8),
    };
    let found: Vec<_> = read
        .iter()
        .map(|raw| (raw.speaker, raw.route, reason(raw)))
        .collect();
    assert_eq!(
        found,
        [
            (Speaker::Service, route, None),
            (Speaker::Anyone, route, Some(Reason::ReservedType)),
        ]
    );
    // Read by itself it is the same.
    let again = log.event_at(2).await.expect("read").expect("there");
    assert_eq!((again.speaker, reason(&again)), (found[1].0, found[1].2));
}

/// As versions before made it.
fn stream_of_before() -> Config {
    Config {
        name: "CX_EVENTS".to_owned(),
        subjects: vec!["cx.events.*.*.>".to_owned(), "cx.control.>".to_owned()],
        subject_transform: Some(SubjectTransform {
            source: "cx.events.*.*.>".to_owned(),
            destination: "cx.ev.{{partition(4,1)}}.{{partition(4,2)}}.>".to_owned(),
        }),
        deny_delete: true,
        deny_purge: true,
        max_message_size: 256 * 1024,
        ..Config::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_from_before_keeps_what_it_holds_and_tells_speakers_apart_from_then_on() {
    let server = Nats::start();
    let context = plain(&server).await;
    context
        .create_stream(stream_of_before())
        .await
        .expect("a stream");
    let publish = async |id: &str| {
        let sent = context.publish(
            "cx.events.a-1._.reward.outcome",
            outcome(id).to_string().into(),
        );
        sent.await.expect("sent").await.expect("stored");
    };
    publish("before").await;

    let log = connect(&server).await;
    assert_eq!(log.partition_count(), 4);
    let stream = context.get_stream("CX_EVENTS").await.expect("there");
    let transform = stream.cached_info().config.subject_transform.clone();
    assert_eq!(
        transform.map(|transform| transform.destination).as_deref(),
        Some("cx.in.{{partition(4,1)}}.{{partition(4,2)}}.>")
    );
    publish("after").await;
    log.append(vec![own("own")])
        .await
        .remove(0)
        .expect("stored");
    let mut reader = log.read(1).await.expect("a reader");
    let read = take(&mut *reader, 3).await;
    let found: Vec<_> = read
        .iter()
        .map(|raw| {
            (
                raw.speaker,
                envelope::decode(raw, 4).err().map(|reject| reject.reason),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (Speaker::Unknown, None),
            (Speaker::Anyone, Some(Reason::ReservedType)),
            (Speaker::Service, None),
        ]
    );
    let findings = log.findings().await.expect("findings");
    assert!(
        findings
            .iter()
            .all(|f| f.subject != "CX_EVENTS subject_transform"),
        "{findings:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_from_before_that_is_only_looked_at_stays_as_it_is_and_says_so() {
    let server = Nats::start();
    connect(&server).await;
    let context = plain(&server).await;
    let mut config = context
        .get_stream("CX_EVENTS")
        .await
        .expect("there")
        .cached_info()
        .config
        .clone();
    let destination = "cx.ev.{{partition(8,1)}}.{{partition(8,2)}}.>".to_owned();
    config.subject_transform = Some(SubjectTransform {
        source: "cx.events.*.*.>".to_owned(),
        destination: destination.clone(),
    });
    context.update_stream(&config).await.expect("as before");
    let settings = Settings {
        make: false,
        ..Settings::new(server.url())
    };
    let log = JetStreamLog::connect(settings).await.expect("a log");
    let findings = log.findings().await.expect("findings");
    let found = findings
        .iter()
        .find(|f| f.subject == "CX_EVENTS subject_transform");
    let found = found.unwrap_or_else(|| panic!("{findings:?}"));
    assert_eq!(found.level, Level::Risk);
    assert!(
        found.text.contains("`aftercall run` brings it up to date"),
        "{}",
        found.text
    );
    let stands = context.get_stream("CX_EVENTS").await.expect("there");
    let stands = stands.cached_info().config.subject_transform.clone();
    assert_eq!(
        stands.map(|transform| transform.destination),
        Some(destination)
    );
}

/// A server with the sample's users, all with one password.
fn guarded() -> Nats {
    let mut lines = SAMPLE.to_owned();
    for user in ["AFTERCALL", "PRODUCERS", "SUBSCRIBERS", "IDENTITY"] {
        lines = lines.replace(&format!("${user}_NATS_PASSWORD"), "\"a password\"");
    }
    Nats::start_guarded(&lines)
}

fn as_user(server: &Nats, user: &str) -> Settings {
    Settings {
        login: Login::Password {
            user: user.to_owned(),
            password: "a password".to_owned().into(),
        },
        ..Settings::new(server.url())
    }
}

async fn client(server: &Nats, user: &str) -> async_nats::Client {
    let options = async_nats::ConnectOptions::with_user_and_password(
        user.to_owned(),
        "a password".to_owned(),
    )
    .custom_inbox_prefix(format!("_INBOX_{user}"));
    options.connect(server.url()).await.expect("let in")
}

/// Whether a publish is stored.
async fn stored(client: &async_nats::Client, subject: &'static str) -> bool {
    let context = jetstream::context::ContextBuilder::new()
        .timeout(std::time::Duration::from_secs(1))
        .ack_timeout(std::time::Duration::from_secs(1))
        .build(client.clone());
    match context.publish(subject, "{}".into()).await {
        Ok(answer) => answer.await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_07_with_the_sample_of_permissions_only_the_service_speaks_for_itself() {
    use futures::StreamExt as _;

    let server = guarded();
    let anonymous = async_nats::connect(server.url()).await;
    assert!(anonymous.is_err(), "no login, no connection");

    // The service does all of its work as its user.
    let log = JetStreamLog::connect(as_user(&server, "aftercall"))
        .await
        .expect("a log");
    for answer in log.append(vec![own("o1"), event("e1")]).await {
        answer.expect("stored");
    }
    let mut reader = log.read(1).await.expect("a reader");
    assert_eq!(take(&mut *reader, 2).await.len(), 2);
    let findings = log.findings().await.expect("findings");
    let found = findings
        .iter()
        .find(|f| f.subject == "own events")
        .expect("looked at");
    assert_eq!(found.level, Level::Good, "{}", found.text);

    let producers = client(&server, "producers").await;
    assert!(stored(&producers, "cx.events.a-1._.survey.response.created").await);
    for forbidden in [
        "cx.control.3.6.reward.outcome",
        "cx.control.tick",
        "cx.out.reward.agent.3",
    ] {
        assert!(!stored(&producers, forbidden).await, "{forbidden}");
    }
    let identity = client(&server, "identity").await;
    assert!(stored(&identity, "cx.control.0.3.identity.outcome").await);
    for forbidden in [
        "cx.control.3.0.reward.outcome",
        "cx.events.a-1._.survey.response.created",
    ] {
        assert!(!stored(&identity, forbidden).await, "{forbidden}");
    }

    // Outputs reach those who read them, and what an answerer sent is in the service's own place.
    let subscribers = client(&server, "subscribers").await;
    let mut outputs = subscribers
        .subscribe("cx.out.alert.>")
        .await
        .expect("subscribed");
    subscribers.flush().await.expect("known to the server");
    assert!(!stored(&subscribers, "cx.events.a-1._.survey.response.created").await);
    let service =
        async_nats::ConnectOptions::with_user_and_password("aftercall".into(), "a password".into());
    let service = service.connect(server.url()).await.expect("let in");
    service
        .publish("cx.out.alert.agent.3", "{}".into())
        .await
        .expect("sent");
    let came = tokio::time::timeout(std::time::Duration::from_secs(10), outputs.next()).await;
    assert!(came.is_ok_and(|message| message.is_some()));
    let answered = log.event_at(4).await.expect("read").expect("there");
    let route = Route::Pair {
        agent: 0,
        customer: 3,
    };
    assert_eq!(
        (answered.speaker, answered.route),
        (Speaker::Service, route)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_07_doctor_says_who_may_speak_for_the_service() {
    let level = async |settings: Settings| {
        let log = JetStreamLog::connect(settings).await.expect("a log");
        let findings = log.findings().await.expect("findings");
        let found = findings.into_iter().find(|f| f.subject == "own events");
        found
            .map(|found| (found.level, found.text))
            .expect("looked at")
    };
    let open = Nats::start();
    let (found, text) = level(Settings::new(open.url())).await;
    assert_eq!(found, Level::Risk);
    assert!(
        text.contains("without a login") && text.contains("config/nats-permissions.conf"),
        "{text}"
    );

    // Whoever looks may do all but speak for the service.
    let server = Nats::start_guarded(
        "authorization { users: [ { user: looker, password: \"a password\", permissions: { \
         publish: { deny: \"cx.control.>\" } } } ] }",
    );
    let (found, text) = level(as_user(&server, "looker")).await;
    assert_eq!(found, Level::Bad, "{text}");
}
