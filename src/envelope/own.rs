//! The events the system itself puts into the log: time moving on and rules, for every partition; what became of an
//! output, for the actor that emitted it; what a person decided, for the agent whose reward it is; dead letters and rows
//! that an import left out, for nobody's actor, who raises the alarm.

use aftercall_actors::contract::{
    event::{Decision, ImportQuarantined, Kept, RewardDecided, RulesActivated},
    output::Severity,
    time::LogTime,
    value::Id,
};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    EVENT_BYTES_MAX, EVENT_ID_BYTES_MAX, Incoming, JSON, Reason, Reject, SPECVERSION, attribute,
    incoming::message_id,
};
use crate::log::{Destination, Headers, NewEvent, Position};

/// CloudEvents `source` of what the system says itself.
const SOURCE: &str = "aftercall";

/// Moves log time on in every partition.
///
/// `now` only names the event: actors see the time the log stamps on it. Ticks of one second share an id, so that
/// of several owners who each want one, one is stored (DESIGN: at most one a second).
#[must_use]
pub fn tick_event(now: LogTime) -> NewEvent {
    let id = format!("tick-{}", now.0.div_euclid(1_000));
    own_event("tick", id, now, &json!({}))
}

/// Puts a rule set in force in every partition from its position on.
///
/// `now` is a part of the id: going back to a rule set that held a minute ago is an activation of its own, not a
/// repeat of the first.
///
/// # Errors
/// If the version is empty or too long to be stamped on outputs, or the text too long for an event.
pub fn rules_activated_event(version: &str, text: &str, now: LogTime) -> Result<NewEvent, Reject> {
    /// What stands beside the data in a message of the log: headers, and its id.
    const HEADER_BYTES: usize = 1_024;
    let id = format!("rules-{}-{version}", now.0);
    attribute::check_id(&id)?;
    let version = Id::new(version).map_err(|why| Reject::new(Reason::OutOfRange, why))?;
    let data = RulesActivated {
        version,
        rules: text.to_owned(),
    };
    let event = own_event("rules.activated", id, now, &data);
    let (bytes, bytes_max) = (event.payload.len(), EVENT_BYTES_MAX - HEADER_BYTES);
    if bytes > bytes_max {
        let text = format!(
            "the event that sets these rules in force has {bytes} bytes as JSON, and the log takes {bytes_max}; comments \
             and spaces in the file count as well"
        );
        return Err(Reject::new(Reason::TooLarge, text));
    }
    Ok(event)
}

/// What became of an output at a destination.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// The destination.
    pub destination: &'a str,
    /// The event's type: `reward.outcome`, ...
    pub event_type: &'a str,
    /// CloudEvents id of the output.
    pub output_id: &'a str,
    /// CloudEvents subject of the output: the actor that hears of it.
    pub subject: &'a str,
    /// 1, and one more for every time an operator had it retried: each round has an outcome of its own.
    pub round: u32,
    /// The verdict, in the configuration's words.
    pub status: &'a str,
    /// Attempts made.
    pub attempts: u32,
    /// Why it was not done; `None` if it was.
    pub reason: Option<&'a str>,
    /// The ids that the vendor has given it.
    pub kept: &'a Kept,
    /// What the vendor said.
    pub response: Option<Value>,
    /// That the destination said so.
    pub proof: Option<String>,
    /// Log time of the verdict.
    pub at: LogTime,
}

/// Tells an actor what became of its output. The id follows from destination, output and round alone, so telling
/// again after a crash is a repeat of the same event.
///
/// # Errors
/// If a reader of the log would refuse it: the type is none of ours, the status no id, the response too long.
pub fn outcome_event(told: &Told<'_>) -> Result<NewEvent, Reject> {
    let id = outcome_id(told.destination, told.round, told.output_id);
    let mut data = json!({
        "output_id": told.output_id,
        "subject": told.subject,
        "status": told.status,
        "attempts": told.attempts,
    });
    if let Some(reason) = told.reason {
        data["reason"] = reason.into();
    }
    if !told.kept.is_empty() {
        data["kept"] = json!(told.kept);
    }
    if let Some(response) = &told.response {
        data["response"] = response.clone();
    }
    if let (Some(proof), Some(data)) = (&told.proof, data.as_object_mut()) {
        data.insert("proof".into(), proof.as_str().into());
    }
    actors_event(
        &source(told.destination),
        &id,
        told.event_type,
        told.at,
        &data,
    )
}

/// Dead letters of a destination that operators have not heard of yet.
#[derive(Clone, Debug)]
pub struct Storm<'a> {
    /// The destination.
    pub destination: &'a str,
    /// Consecutive in the destination.
    pub number: u64,
    /// Why the newest was given up; or `misconfigured`.
    pub reason: &'a str,
    /// What the destination said of our credentials, where `reason` is `misconfigured`.
    pub detail: Option<&'a str>,
    /// How many.
    pub count: u64,
    /// CloudEvents id of the newest one's output.
    pub output_id: &'a str,
    /// How much it matters.
    pub severity: Severity,
    /// Log time.
    pub at: LogTime,
}

/// Tells nobody's actor of dead letters: it alerts the operators.
///
/// # Errors
/// As [`outcome_event`].
pub fn dead_lettered_event(storm: &Storm<'_>) -> Result<NewEvent, Reject> {
    let id = named("dead_lettered", storm.destination, storm.number, "");
    let mut data = json!({
        "destination": storm.destination,
        "reason": storm.reason,
        "count": storm.count,
        "output_id": storm.output_id,
        "severity": storm.severity,
        "at": storm.at.to_string(),
    });
    if let Some(detail) = storm.detail {
        data["detail"] = detail.into();
    }
    let event_type = "delivery.dead_lettered";
    actors_event(&source(storm.destination), &id, event_type, storm.at, &data)
}

/// Tells nobody's actor what an import left out: it alerts the operators. The id follows from the import's, so telling
/// again after a crash is a repeat of the same event.
///
/// # Errors
/// If a reader of the log would refuse it.
pub fn import_quarantined_event(
    told: &ImportQuarantined,
    now: LogTime,
) -> Result<NewEvent, Reject> {
    let id = named("import", "quarantined", 0, &told.import_id);
    let data = serde_json::to_value(told)
        .map_err(|error| Reject::new(Reason::NotJson, error.to_string()))?;
    let source = format!("{SOURCE}/import");
    actors_event(&source, &id, "import.quarantined", now, &data)
}

/// CloudEvents `source` of decisions that people made over HTTP.
const DESK: &str = "aftercall/desk";

/// Tells an agent's actor what a person decided about a reward.
///
/// `as_of` is the position at which that person saw it waiting: deciding the same again about the same state is a repeat
/// of the same event, deciding about a later state is another one.
///
/// # Errors
/// As [`outcome_event`].
pub fn reward_decided_event(decided: &RewardDecided, as_of: Position) -> Result<NewEvent, Reject> {
    let what = match decided.decision {
        Decision::Approve => "approved",
        Decision::Reject => "rejected",
    };
    let id = named(what, &decided.reward_id, as_of, &decided.agent_id);
    let data = serde_json::to_value(decided)
        .map_err(|error| Reject::new(Reason::NotJson, error.to_string()))?;
    actors_event(DESK, &id, "reward.decided", LogTime(decided.at.0), &data)
}

/// CloudEvents `id` of an outcome: of a destination's verdict on one round of an output.
#[must_use]
pub fn outcome_id(destination: &str, round: u32, output_id: &str) -> String {
    named("outcome", destination, round.into(), output_id)
}

/// The destination that an outcome's CloudEvents `source` names, if it names one.
#[must_use]
pub fn outcome_source(source: &str) -> Option<&str> {
    source.strip_prefix(SOURCE)?.strip_prefix("/deliver/")
}

fn source(destination: &str) -> String {
    format!("{SOURCE}/deliver/{destination}")
}

/// An id that says what it is about, or its hash where that would be too long for an id.
fn named(what: &str, destination: &str, number: u64, output_id: &str) -> String {
    let id = format!("{what}:{destination}:{number}:{output_id}");
    if id.len() <= EVENT_ID_BYTES_MAX {
        return id;
    }
    let digest = Sha256::digest(id.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{what}:{destination}:{number}:{hex}")
}

/// An event for whichever actors its data names, checked as one from outside is.
fn actors_event(
    source: &str,
    id: &str,
    event_type: &str,
    now: LogTime,
    data: &Value,
) -> Result<NewEvent, Reject> {
    let envelope = Envelope {
        specversion: SPECVERSION,
        id,
        source,
        event_type,
        time: now.to_string(),
        datacontenttype: JSON,
        data,
    };
    let payload = serde_json::to_vec(&envelope)
        .map_err(|error| Reject::new(Reason::NotJson, error.to_string()))?;
    Incoming::structured(payload.into())
        .check()?
        .into_own_event()
}

/// Field order as every SDK writes it: what decodes in one pass.
#[derive(Serialize)]
struct Envelope<'a, D> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: &'a D,
}

fn own_event(event_type: &str, id: String, now: LogTime, data: &impl Serialize) -> NewEvent {
    let envelope = Envelope {
        specversion: SPECVERSION,
        id: &id,
        source: SOURCE,
        event_type,
        time: now.to_string(),
        datacontenttype: JSON,
        data,
    };
    let payload = serde_json::to_vec(&envelope);
    debug_assert!(
        payload.is_ok(),
        "plain data is always representable as JSON"
    );
    NewEvent {
        destination: Destination::All {
            event_type: event_type.to_owned(),
        },
        headers: Headers::Empty,
        payload: Bytes::from(payload.unwrap_or_default()),
        message_id: message_id(SOURCE, &id),
    }
}

#[cfg(test)]
mod tests {
    use aftercall_actors::contract::event::Body;

    use super::*;
    use crate::{
        envelope::{EVENT_BYTES_MAX, decode},
        log::RawEvent,
    };

    #[test]
    fn a_tick_decodes_and_is_one_a_second() {
        assert_eq!(decoded(tick_event(LogTime(1_999))), Body::Tick);
        let id = |ms| tick_event(LogTime(ms)).message_id;
        assert_eq!(id(1_000), "aftercall tick-1");
        assert_eq!(id(1_999), id(1_000));
        assert_ne!(id(2_000), id(1_999));
    }

    #[test]
    fn an_activation_decodes_and_a_later_one_of_the_same_rules_is_another() {
        let event = |now| rules_activated_event("v1+0a", "x = \"é\"\n", LogTime(now));
        let first = event(1).expect("made");
        assert_eq!(
            decoded(first.clone()),
            Body::RulesActivated(RulesActivated {
                version: Id::new("v1+0a").expect("an id"),
                rules: "x = \"é\"\n".into(),
            })
        );
        assert_ne!(first.message_id, event(2).expect("made").message_id);
    }

    #[test]
    fn an_activation_that_could_not_be_read_back_is_not_made() {
        let made = |version: &str, text: &str| rules_activated_event(version, text, LogTime(1));
        assert_eq!(
            made("", "x").map_err(|e| e.reason).err(),
            Some(Reason::OutOfRange)
        );
        let long = "x".repeat(EVENT_BYTES_MAX);
        assert_eq!(
            made("1", &long).map_err(|e| e.reason).err(),
            Some(Reason::TooLarge)
        );
    }

    #[test]
    fn an_outcome_reaches_the_actor_of_the_output_under_an_id_of_its_own() {
        let kept = Kept::from([("order".to_owned(), "O1".to_owned())]);
        let told_why = |round, output_id, reason| {
            let told = Told {
                destination: "rewards",
                event_type: "reward.outcome",
                output_id,
                subject: "agent/7",
                round,
                status: "issued",
                attempts: 2,
                reason,
                kept: &kept,
                response: Some(json!({ "reward_id": "R1" })),
                proof: Some("0a".to_owned()),
                at: LogTime(1_000),
            };
            outcome_event(&told).expect("an event")
        };
        let told = |round, output_id| told_why(round, output_id, None);
        let Body::Outcome(_, failed) = decoded(told_why(1, "a", Some("unreached"))) else {
            panic!("an outcome");
        };
        assert_eq!(failed.reason.as_deref(), Some("unreached"));
        let event = told(1, "reward:a");
        let Body::Outcome(_, outcome) = decoded(event.clone()) else {
            panic!("{event:?}");
        };
        assert_eq!((&*outcome.output_id, outcome.attempts), ("reward:a", 2));
        assert_eq!(outcome.reason, None);
        assert_eq!(outcome.kept, kept);
        assert_eq!(
            outcome.subject.key(),
            aftercall_actors::contract::key::Key::Agent("7")
        );
        assert_eq!(outcome.response, Some(json!({ "reward_id": "R1" })));
        assert_eq!(outcome.proof.as_deref(), Some("0a"));
        assert_eq!(event.message_id, told(1, "reward:a").message_id);
        assert_ne!(event.message_id, told(2, "reward:a").message_id);
        let long = "x".repeat(EVENT_ID_BYTES_MAX);
        assert_ne!(told(1, &long).message_id, told(2, &long).message_id);
    }

    #[test]
    fn dead_letters_reach_nobodys_actor() {
        let storm = Storm {
            destination: "rewards",
            number: 3,
            reason: "misconfigured",
            detail: Some("answered 401"),
            count: 12,
            output_id: "reward:a",
            severity: Severity::Critical,
            at: LogTime(1_000),
        };
        let event = dead_lettered_event(&storm).expect("an event");
        let Body::DeadLettered(told) = decoded(event.clone()) else {
            panic!("dead letters");
        };
        assert_eq!(told.detail.as_deref(), Some("answered 401"));
        let Destination::Own { owner, .. } = event.destination else {
            panic!("for all");
        };
        assert_eq!(owner, "_");
    }

    #[test]
    fn s3_02_what_an_import_left_out_reaches_nobodys_actor_under_one_id_an_import() {
        let told = |import_id: &str| {
            let told = ImportQuarantined {
                import_id: Id::new(import_id).expect("an id"),
                source: Id::new("wfm/emea").expect("an id"),
                file: "a.csv".into(),
                rows: 10,
                bad: 1,
                first: Some("line 3: wrong_width".into()),
                unread: None,
                at: aftercall_actors::contract::time::EventTime(1_000),
            };
            (
                import_quarantined_event(&told, LogTime(2_000)).expect("an event"),
                told,
            )
        };
        let (event, data) = told("i1");
        assert_eq!(decoded(event.clone()), Body::ImportQuarantined(data));
        let Destination::Own { owner, .. } = &event.destination else {
            panic!("for all");
        };
        assert_eq!(owner, "_");
        assert_eq!(told("i1").0.message_id, event.message_id);
        assert_ne!(told("i2").0.message_id, event.message_id);
        let long = "x".repeat(EVENT_ID_BYTES_MAX);
        assert_ne!(told(&long).0.message_id, event.message_id);
    }

    fn decoded(event: NewEvent) -> Body {
        let raw = RawEvent {
            position: 1,
            time: LogTime(0),
            route: event.destination.route(8),
            speaker: event.destination.speaker(),
            headers: event.headers,
            payload: event.payload,
        };
        decode(&raw, 8).expect("decodes").body
    }
}
