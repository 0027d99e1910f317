//! The streams we need: made where they are missing, compared where they are there.
//!
//! Nothing that exists is changed, with one exception: an operator's stream with other settings either serves (a finding
//! says what is different) or would break a guarantee, and then the start is refused with stream, field, found and wanted.
//!
//! The exception is the transform of an events stream from before producers' events were told from the service's own.
//! Where streams are made, it is brought up to date: what is stored keeps its subject and its meaning, and from then on
//! nobody outside speaks for the service. Where the server does not allow that, a finding says so.

use std::{collections::BTreeSet, time::Duration};

use async_nats::jetstream::{
    self, ErrorCode,
    context::{CreateStreamErrorKind, GetStreamErrorKind},
    stream::{
        Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType,
        SubjectTransform,
    },
};

use super::{Settings, answers, link::Link, subjects};
use crate::log::LogError;

/// Largest event, headers included, in bytes.
pub const EVENT_BYTES_MAX: i32 = 256 * 1024;
/// Ids of outputs are never used again, so the server need not remember them: this is about its least. The ids of dead
/// letters are, after a crash, so their stream has the usual window.
const OUTPUT_ID_WINDOW: Duration = Duration::from_secs(1);
/// Within this time the server stores one message of two with the same id.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// A setting of a stream that is not as we would have made it, but serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Stream.
    pub stream: String,
    /// Its setting, by the server's name.
    pub field: &'static str,
    /// What it is.
    pub found: String,
    /// What it should be.
    pub wanted: String,
    /// Whether a guarantee falls with it.
    breaks: bool,
}

impl Difference {
    fn refused(&self) -> LogError {
        LogError::Settings(format!(
            "stream {}: {} is {}, but {} is needed",
            self.stream, self.field, self.found, self.wanted
        ))
    }
}

/// What stands on the server.
#[derive(Debug)]
pub struct Streams {
    /// Partitions a side, as the events stream's transform has it.
    pub partitions: u16,
    /// What serves but is not as wished.
    pub differences: Vec<Difference>,
}

/// Finds or makes every stream.
///
/// # Errors
/// [`LogError::Settings`] for a stream that cannot serve, [`LogError::Unreachable`] if the server does not answer.
pub async fn ensure(link: &Link, settings: &Settings) -> Result<Streams, LogError> {
    let mut partitions = settings.partitions.get();
    let mut differences = Vec::new();
    for wanted in wanted(settings) {
        let mut found = find_or_make(link, &wanted, settings.make).await?.config;
        if wanted.name == subjects::EVENTS {
            let (count, is_ours) = partition_count(&found)?;
            partitions = count;
            if !is_ours {
                let difference = match settings.make {
                    true => bring_up_to_date(link, &mut found, count).await,
                    false => Some("`aftercall run` brings it up to date".to_owned()),
                };
                differences.extend(difference.map(|why| from_before(&found, count, &why)));
            }
            if partitions != settings.partitions.get() {
                differences.push(Difference {
                    stream: wanted.name.clone(),
                    field: "partitions",
                    found: partitions.to_string(),
                    wanted: settings.partitions.to_string(),
                    breaks: false,
                });
            }
        }
        for difference in compare(&wanted, &found) {
            if difference.breaks {
                return Err(difference.refused());
            }
            differences.push(difference);
        }
    }
    Ok(Streams {
        partitions,
        differences,
    })
}

/// The streams as we would make them.
fn wanted(settings: &Settings) -> Vec<Config> {
    let base = |name: &str, subject: &str| Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        num_replicas: settings.replicas.get(),
        duplicate_window: DUPLICATE_WINDOW,
        // Without limits it says nothing; if someone sets one, the server refuses and does not delete.
        discard: DiscardPolicy::New,
        ..Config::default()
    };
    vec![
        Config {
            subjects: vec![
                subjects::EVENTS_SOURCE.to_owned(),
                subjects::CONTROL.to_owned(),
            ],
            subject_transform: Some(SubjectTransform {
                source: subjects::EVENTS_SOURCE.to_owned(),
                destination: subjects::transform_destination(settings.partitions.get()),
            }),
            discard: DiscardPolicy::Old,
            max_age: settings.max_age.unwrap_or_default(),
            // The server wants it no longer than the age.
            duplicate_window: settings
                .max_age
                .map_or(DUPLICATE_WINDOW, |age| age.min(DUPLICATE_WINDOW)),
            max_bytes: settings
                .max_bytes
                .map_or(0, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            max_message_size: EVENT_BYTES_MAX,
            deny_delete: true,
            deny_purge: true,
            ..base(subjects::EVENTS, subjects::EVENTS_SOURCE)
        },
        Config {
            deny_delete: true,
            deny_purge: true,
            ..base(subjects::JOURNAL, "cx.journal.>")
        },
        base(subjects::SNAPSHOT, "cx.snapshot.>"),
        Config {
            allow_atomic_publish: true,
            duplicate_window: OUTPUT_ID_WINDOW,
            ..base(subjects::OUT, "cx.out.>")
        },
        Config {
            allow_atomic_publish: true,
            ..base(subjects::DEAD, subjects::ALL_DEAD)
        },
        base(subjects::DELIVERY, "cx.delivery.>"),
        base(subjects::INBOX, "cx.inbox.>"),
    ]
}

async fn find_or_make(link: &Link, wanted: &Config, make: bool) -> Result<Info, LogError> {
    if let Some(info) = find(link, &wanted.name).await? {
        return Ok(info);
    }
    if !make {
        return Err(LogError::Settings(format!(
            "there is no stream {} on this server yet; `aftercall run` makes what it needs",
            wanted.name
        )));
    }
    match link.api.create_stream(wanted).await {
        Ok(stream) => {
            tracing::info!(stream = wanted.name, "stream made");
            Ok(stream.cached_info().clone())
        }
        Err(error) => match error.kind() {
            CreateStreamErrorKind::JetStream(answer) => {
                // Another process made it in between.
                if answer.error_code() == ErrorCode::STREAM_NAME_EXIST
                    && let Some(info) = find(link, &wanted.name).await?
                {
                    return Ok(info);
                }
                Err(refused(&wanted.name, &answer))
            }
            CreateStreamErrorKind::TimedOut
            | CreateStreamErrorKind::JetStreamUnavailable
            | CreateStreamErrorKind::Response
            | CreateStreamErrorKind::ResponseParse
            | CreateStreamErrorKind::NotFound => Err(answers::unreachable(&error)),
            CreateStreamErrorKind::EmptyStreamName
            | CreateStreamErrorKind::InvalidStreamName
            | CreateStreamErrorKind::DomainAndExternalSet => Err(LogError::Settings(format!(
                "stream {}: {error}",
                wanted.name
            ))),
        },
    }
}

/// Tells producers' events from the service's own from here on; if that is not possible, why.
async fn bring_up_to_date(link: &Link, found: &mut Config, count: u16) -> Option<String> {
    let transform = Some(SubjectTransform {
        source: subjects::EVENTS_SOURCE.to_owned(),
        destination: subjects::transform_destination(count),
    });
    let wanted = Config {
        subject_transform: transform,
        ..found.clone()
    };
    match link.api.update_stream(&wanted).await {
        Ok(_) => {
            tracing::info!(
                stream = found.name,
                "subject transform brought up to date: what is published there no longer speaks for aftercall"
            );
            *found = wanted;
            None
        }
        Err(error) => Some(format!("the server refused the update: {error}")),
    }
}

/// The finding that events of an older log cannot be told from the service's own.
fn from_before(found: &Config, count: u16, why: &str) -> Difference {
    let transform = found.subject_transform.as_ref();
    Difference {
        stream: found.name.clone(),
        field: "subject_transform",
        found: format!(
            "to `{}` ({why}): outcomes and decisions that anyone publishes there count as aftercall's own",
            transform.map_or("", |transform| &transform.destination)
        ),
        wanted: format!("`{}`", subjects::transform_destination(count)),
        breaks: false,
    }
}

async fn find(link: &Link, name: &str) -> Result<Option<Info>, LogError> {
    match link.api.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(answer)
                if answer.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            GetStreamErrorKind::JetStream(answer) => Err(refused(name, &answer)),
            GetStreamErrorKind::Request
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::InvalidStreamName => Err(no_jetstream(&error)),
        },
    }
}

/// The server answered a request about a stream with an error.
fn refused(name: &str, answer: &jetstream::Error) -> LogError {
    match answer.code() {
        // Not ready, or no quorum yet.
        500.. => LogError::Unreachable(format!("stream {name}: {answer}")),
        _ => LogError::Settings(format!("stream {name}: {answer}")),
    }
}

/// Nobody answers for JetStream: while a server starts this passes; without `-js` it does not, and the text says so.
fn no_jetstream(error: &(dyn std::error::Error + 'static)) -> LogError {
    let LogError::Unreachable(text) = answers::unreachable(error) else {
        return answers::unreachable(error);
    };
    LogError::Unreachable(format!(
        "{text} (is JetStream enabled? nats-server needs -js or a jetstream block)"
    ))
}

/// The count of partitions that its transform names, and whether it is as this version makes it.
fn partition_count(found: &Config) -> Result<(u16, bool), LogError> {
    let transform = found.subject_transform.as_ref();
    transform
        .filter(|transform| transform.source == subjects::EVENTS_SOURCE)
        .and_then(|transform| subjects::transform_count(&transform.destination))
        .ok_or_else(|| {
            Difference {
                stream: found.name.clone(),
                field: "subject_transform",
                found: transform.map_or_else(
                    || "missing".to_owned(),
                    |t| format!("`{}` to `{}`", t.source, t.destination),
                ),
                wanted: format!(
                    "`{}` to `{}` with a count of your choice",
                    subjects::EVENTS_SOURCE,
                    subjects::transform_destination(8)
                ),
                breaks: true,
            }
            .refused()
        })
}

/// What is different in the settings that matter, one by one.
fn compare(wanted: &Config, found: &Config) -> Vec<Difference> {
    let mut list = Comparison {
        stream: &wanted.name,
        differences: Vec::new(),
    };
    let is_events = wanted.name == subjects::EVENTS;
    let is_inbox = wanted.name == subjects::INBOX;
    let subjects =
        |config: &Config| -> BTreeSet<String> { config.subjects.iter().cloned().collect() };

    list.breaks_unless_equal("subjects", &subjects(found), &subjects(wanted));
    list.breaks_unless_equal("storage", &found.storage, &wanted.storage);
    list.breaks_unless_equal("retention", &found.retention, &wanted.retention);
    list.breaks_unless_equal("no_ack", &found.no_ack, &false);
    list.breaks_unless_equal("sealed", &found.sealed, &false);
    list.breaks_unless_equal("mirror", &found.mirror.is_some(), &false);
    let sources = found.sources.as_ref().is_some_and(|list| !list.is_empty());
    list.breaks_unless_equal("sources", &sources, &false);
    // Acknowledged before stored would make every "durable" of ours a lie.
    let persist_async = found.persist_mode == Some(PersistenceMode::Async);
    list.breaks_unless_equal("persist_mode async", &persist_async, &false);
    // A hole in the middle cannot be told from a loss.
    list.breaks_unless_equal("allow_msg_ttl", &found.allow_message_ttl, &false);
    list.breaks_if_limited(
        "max_msgs_per_subject",
        found.max_messages_per_subject,
        !is_inbox,
    );
    if !is_events {
        list.breaks_unless_equal(
            "subject_transform",
            &found.subject_transform.is_some(),
            &false,
        );
    }
    if wanted.deny_delete {
        list.breaks_unless_equal("deny_delete", &found.deny_delete, &true);
        list.breaks_unless_equal("deny_purge", &found.deny_purge, &true);
    }
    if wanted.name == subjects::SNAPSHOT || wanted.name == subjects::DELIVERY {
        // Old generations are purged, and what stands behind a checkpoint.
        list.breaks_unless_equal("deny_purge", &found.deny_purge, &false);
    }
    if wanted.allow_atomic_publish {
        list.breaks_unless_equal("allow_atomic", &found.allow_atomic_publish, &true);
    }

    if is_events {
        list.risk_unless_equal("max_age", &found.max_age, &wanted.max_age);
        list.risk_unless_equal(
            "max_bytes",
            &found.max_bytes.max(0),
            &wanted.max_bytes.max(0),
        );
        list.risk_unless_equal("max_msgs", &found.max_messages.max(0), &0);
        list.risk_unless_equal(
            "max_msg_size",
            &found.max_message_size,
            &wanted.max_message_size,
        );
        // Old events make room for new ones, and a reader that comes too late is told; with `new` the producers
        // are refused when the stream is full.
        list.risk_unless_equal("discard", &found.discard, &wanted.discard);
        list.risk_unless_equal(
            "duplicate_window",
            &found.duplicate_window,
            &wanted.duplicate_window,
        );
    } else if !is_inbox {
        // A commit or the newest output of a quiet lane that expires would be written a second time.
        let expires = found.max_age != Duration::ZERO;
        list.breaks_unless_equal("max_age set", &expires, &false);
        let deletes = found.discard == DiscardPolicy::Old;
        list.breaks_if_limited("max_bytes with discard old", found.max_bytes, deletes);
        list.breaks_if_limited("max_msgs with discard old", found.max_messages, deletes);
        list.breaks_if_limited("max_msg_size", i64::from(found.max_message_size), true);
        list.risk_unless_equal("max_bytes", &found.max_bytes.max(0), &0);
        list.risk_unless_equal("max_msgs", &found.max_messages.max(0), &0);
        // A letter repeated after it stands there twice; its readers fold it.
        if wanted.name == subjects::DEAD && found.duplicate_window < wanted.duplicate_window {
            list.risk_unless_equal(
                "duplicate_window",
                &found.duplicate_window,
                &wanted.duplicate_window,
            );
        }
    }
    if found.num_replicas < wanted.num_replicas {
        list.risk_unless_equal("num_replicas", &found.num_replicas, &wanted.num_replicas);
    }
    list.differences
}

struct Comparison<'a> {
    stream: &'a str,
    differences: Vec<Difference>,
}

impl Comparison<'_> {
    fn breaks_unless_equal<T: PartialEq + std::fmt::Debug>(
        &mut self,
        field: &'static str,
        found: &T,
        wanted: &T,
    ) {
        self.push(field, found, wanted, true);
    }

    fn risk_unless_equal<T: PartialEq + std::fmt::Debug>(
        &mut self,
        field: &'static str,
        found: &T,
        wanted: &T,
    ) {
        self.push(field, found, wanted, false);
    }

    /// The server writes "no limit" as -1 or 0.
    fn breaks_if_limited(&mut self, field: &'static str, limit: i64, matters: bool) {
        if matters && limit > 0 {
            self.push(field, &limit, &0, true);
        }
    }

    fn push<T: PartialEq + std::fmt::Debug>(
        &mut self,
        field: &'static str,
        found: &T,
        wanted: &T,
        breaks: bool,
    ) {
        if found != wanted {
            self.differences.push(Difference {
                stream: self.stream.to_owned(),
                field,
                found: format!("{found:?}"),
                wanted: format!("{wanted:?}"),
                breaks,
            });
        }
    }
}

#[cfg(test)]
mod tests;
