//! The data of an event, parsed into the type its `type` names.

use std::fmt;

use aftercall_actors::contract::{
    event::{Body, OutcomeKind},
    object::object,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny},
};

use super::{Reason, Reject, reject};

/// The CloudEvents `type` of an event of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// `interaction.started`
    InteractionStarted,
    /// `interaction.wrapup`
    InteractionWrapup,
    /// `interaction.completed`
    InteractionCompleted,
    /// `interaction.updated`
    InteractionUpdated,
    /// `survey.response.created`
    SurveyResponse,
    /// `enps.response.submitted`
    EnpsResponse,
    /// `wfm.metric.recorded`
    WfmMetric,
    /// `points.adjusted`
    PointsAdjusted,
    /// `reward.decided`
    RewardDecided,
    /// `alert.acknowledged`
    AlertAcknowledged,
    /// `reward.outcome` and its siblings
    Outcome(OutcomeKind),
    /// `delivery.dead_lettered`
    DeadLettered,
    /// `import.quarantined`
    ImportQuarantined,
    /// `tick`
    Tick,
    /// `rules.activated`
    RulesActivated,
}

impl EventType {
    /// The type of this name.
    ///
    /// # Errors
    /// If there is none; the detail suggests the nearest.
    pub fn named(name: &str) -> Result<Self, Reject> {
        Ok(match name {
            "interaction.started" => Self::InteractionStarted,
            "interaction.wrapup" => Self::InteractionWrapup,
            "interaction.completed" => Self::InteractionCompleted,
            "interaction.updated" => Self::InteractionUpdated,
            "survey.response.created" => Self::SurveyResponse,
            "enps.response.submitted" => Self::EnpsResponse,
            "wfm.metric.recorded" => Self::WfmMetric,
            "points.adjusted" => Self::PointsAdjusted,
            "reward.decided" => Self::RewardDecided,
            "alert.acknowledged" => Self::AlertAcknowledged,
            "reward.outcome" => Self::Outcome(OutcomeKind::Reward),
            "identity.outcome" => Self::Outcome(OutcomeKind::Identity),
            "survey_token.outcome" => Self::Outcome(OutcomeKind::SurveyToken),
            "alert.outcome" => Self::Outcome(OutcomeKind::Alert),
            "enrichment.outcome" => Self::Outcome(OutcomeKind::Enrichment),
            "delivery.dead_lettered" => Self::DeadLettered,
            "import.quarantined" => Self::ImportQuarantined,
            "tick" => Self::Tick,
            "rules.activated" => Self::RulesActivated,
            other => return Err(unknown(other)),
        })
    }
}

fn unknown(name: &str) -> Reject {
    let near = reject::nearest(name, Body::TYPES);
    let detail = if near.is_empty() {
        format!("type: `{name}` is none of {}", Body::TYPES.join(", "))
    } else {
        format!("type: `{name}` is not known{near}")
    };
    Reject::new(Reason::UnknownType, detail)
}

/// Parses the data of an event of this type.
impl<'de> DeserializeSeed<'de> for EventType {
    type Value = Body;

    fn deserialize<D: Deserializer<'de>>(self, data: D) -> Result<Body, D::Error> {
        Ok(match self {
            Self::InteractionStarted => Body::InteractionStarted(object(data)?),
            Self::InteractionWrapup => Body::InteractionWrapup(object(data)?),
            Self::InteractionCompleted => Body::InteractionCompleted(object(data)?),
            Self::InteractionUpdated => Body::InteractionUpdated(object(data)?),
            Self::SurveyResponse => Body::SurveyResponse(object(data)?),
            Self::EnpsResponse => Body::EnpsResponse(object(data)?),
            Self::WfmMetric => Body::WfmMetric(object(data)?),
            Self::PointsAdjusted => Body::PointsAdjusted(object(data)?),
            Self::RewardDecided => Body::RewardDecided(object(data)?),
            Self::AlertAcknowledged => Body::AlertAcknowledged(object(data)?),
            Self::Outcome(kind) => Body::Outcome(kind, object(data)?),
            Self::DeadLettered => Body::DeadLettered(object(data)?),
            Self::ImportQuarantined => Body::ImportQuarantined(object(data)?),
            Self::Tick => {
                IgnoredAny::deserialize(data)?;
                Body::Tick
            }
            Self::RulesActivated => Body::RulesActivated(object(data)?),
        })
    }
}

/// What the types alone do not hold: numbers are finite, and no interaction took less than no time.
///
/// # Errors
/// The first field that is not so.
pub fn check(body: &Body) -> Result<(), Reject> {
    match body {
        Body::InteractionCompleted(e) => match e.duration_s {
            Some(s) if !s.is_finite() || s < 0.0 => Err(out_of_range(format_args!(
                "data.duration_s: a length in seconds is 0 or more, not {s}"
            ))),
            Some(_) | None => Ok(()),
        },
        Body::WfmMetric(e) if !e.value.is_finite() => Err(out_of_range(format_args!(
            "data.value: a finite number is needed, not {}",
            e.value
        ))),
        Body::InteractionStarted(_)
        | Body::InteractionWrapup(_)
        | Body::InteractionUpdated(_)
        | Body::SurveyResponse(_)
        | Body::EnpsResponse(_)
        | Body::WfmMetric(_)
        | Body::PointsAdjusted(_)
        | Body::RewardDecided(_)
        | Body::AlertAcknowledged(_)
        | Body::Outcome(..)
        | Body::DeadLettered(_)
        | Body::ImportQuarantined(_)
        | Body::Tick
        | Body::RulesActivated(_) => Ok(()),
    }
}

fn out_of_range(detail: fmt::Arguments<'_>) -> Reject {
    Reject::new(Reason::OutOfRange, detail.to_string())
}

/// Parses `data`, the text of one JSON value.
///
/// # Errors
/// With the path of the field, `data.routing.agent_id`.
pub fn from_text(event_type: EventType, data: &str) -> Result<Body, Reject> {
    let mut json = serde_json::Deserializer::from_str(data);
    let body = event_type
        .deserialize(&mut json)
        .and_then(|body| json.end().map(|()| body));
    match body {
        Ok(body) => {
            check(&body)?;
            Ok(body)
        }
        Err(error) => Err(explain(event_type, data, &error)),
    }
}

/// Decodes again, watching the path, to say where `error` is.
fn explain(event_type: EventType, data: &str, error: &serde_json::Error) -> Reject {
    if data.trim_ascii() == "null" {
        return Reject::new(Reason::MissingField, "data: required, but null");
    }
    let mut json = serde_json::Deserializer::from_str(data);
    let mut track = serde_path_to_error::Track::new();
    let watched = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    match event_type.deserialize(watched) {
        Err(error) => Reject::from_json(&at(&track.path()), &error),
        // The value is right, so what follows it is not.
        Ok(_) => Reject::from_json("data", error),
    }
}

fn at(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    // Where the text ends before a name is read, there is a segment without one.
    match path.iter().next() {
        None | Some(Segment::Unknown) => "data".into(),
        Some(Segment::Seq { .. } | Segment::Map { .. } | Segment::Enum { .. }) => {
            format!("data.{path}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_contract_is_known_and_parses_into_a_body_of_that_name() {
        for name in Body::TYPES {
            let event_type = EventType::named(name).expect("known");
            let error = from_text(event_type, "[]").map(|b| b.type_name());
            // Only a tick takes any data; the others want an object.
            match event_type {
                EventType::Tick => assert_eq!(error, Ok("tick")),
                _ => assert!(error.is_err(), "{name}"),
            }
        }
    }
}
