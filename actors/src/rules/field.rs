//! What a condition can ask about: the fields of each event type rules listen to, and the actor's own figures.
//!
//! One table per event type, a row per field of the contract (EVENTS.md), so that a path is resolved once, at
//! load, to a function pointer, and nothing is built for an event whose fields no rule asks for. `condition`
//! looks paths up here, `eval` calls `get`; a test holds the tables against the types' own JSON Schemas.

use std::collections::BTreeMap;

use super::Figures;
use crate::contract::{
    event::{Body, CustomerRef, EnpsResponse, InteractionCompleted, SurveyResponse, WfmMetric},
    time::EventTime,
    value::{Id, WorkDate},
};

/// The event types that rules listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// `survey.response.created`
    Survey,
    /// `enps.response.submitted`
    Enps,
    /// `wfm.metric.recorded`
    Wfm,
    /// `interaction.completed`
    Completed,
}

impl Topic {
    /// Every topic, in the order of their index.
    pub const ALL: [Self; 4] = [Self::Survey, Self::Enps, Self::Wfm, Self::Completed];

    /// The CloudEvents type.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Survey => "survey.response.created",
            Self::Enps => "enps.response.submitted",
            Self::Wfm => "wfm.metric.recorded",
            Self::Completed => "interaction.completed",
        }
    }

    /// The topic of an event; `None` if no rule can listen to its type.
    pub const fn of(body: &Body) -> Option<Self> {
        match body {
            Body::SurveyResponse(_) => Some(Self::Survey),
            Body::EnpsResponse(_) => Some(Self::Enps),
            Body::WfmMetric(_) => Some(Self::Wfm),
            Body::InteractionCompleted(_) => Some(Self::Completed),
            Body::InteractionStarted(_)
            | Body::InteractionWrapup(_)
            | Body::InteractionUpdated(_)
            | Body::PointsAdjusted(_)
            | Body::RewardDecided(_)
            | Body::AlertAcknowledged(_)
            | Body::Outcome(..)
            | Body::DeadLettered(_)
            | Body::ImportQuarantined(_)
            | Body::Tick
            | Body::RulesActivated(_) => None,
        }
    }

    /// The fields of `event`.
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Survey => SURVEY,
            Self::Enps => ENPS,
            Self::Wfm => WFM,
            Self::Completed => COMPLETED,
        }
    }

    /// The name of the actor's variable, and its figures.
    pub const fn figures(self) -> (&'static str, &'static [Field]) {
        match self {
            Self::Survey | Self::Enps | Self::Wfm => ("agent", AGENT),
            Self::Completed => ("customer", CUSTOMER),
        }
    }

    /// Whether the actor that applies the event is of the family whose figures the rules of this topic know.
    pub const fn is_for(self, figures: &Figures) -> bool {
        matches!(
            (self, figures),
            (Self::Survey | Self::Enps | Self::Wfm, Figures::Agent { .. })
                | (Self::Completed, Figures::Customer { .. })
        )
    }
}

/// What a condition is evaluated against.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The event's data.
    pub body: &'a Body,
    /// The actor's figures.
    pub figures: &'a Figures,
}

/// A value while a condition is evaluated. Borrowed throughout: evaluation allocates nothing.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Text.
    Text(&'a str),
    /// A calendar date as text, `2026-11-20`: written out on the stack, the event holds it as a date.
    Day([u8; 10]),
    /// A list of texts.
    Texts(&'a [String]),
    /// The answers of a survey, by question.
    Answers(&'a BTreeMap<String, serde_json::Value>),
    /// A list or object inside an answer, or its null.
    Json(&'a serde_json::Value),
    /// A part of the event that has fields of its own and is there.
    Object,
}

/// The type of a value, as far as it is known at load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A floating-point number.
    Double,
    /// Text.
    Text,
    /// A list of texts.
    Texts,
    /// The answers of a survey, by question.
    Answers,
    /// A part of the event that has fields of its own: it can be asked for with `has`, and nothing else.
    Object,
    /// An answer: known when the event is there.
    Any,
}

impl Kind {
    /// For error messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "a bool",
            Self::Int => "an int",
            Self::Double => "a double",
            Self::Text => "a string",
            Self::Texts => "a list of strings",
            Self::Answers => "a map of answers",
            Self::Object => "an object",
            Self::Any => "an answer of any type",
        }
    }
}

/// One field that conditions can name.
#[derive(Debug)]
pub struct Field {
    /// Path below `event`, `agent` or `customer`.
    pub path: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Reads it; `None` if this event or actor does not have it.
    pub get: for<'a> fn(&Scope<'a>) -> Option<Value<'a>>,
}

const fn field(
    path: &'static str,
    kind: Kind,
    get: for<'a> fn(&Scope<'a>) -> Option<Value<'a>>,
) -> Field {
    Field { path, kind, get }
}

const SURVEY: &[Field] = &[
    field("response_id", Kind::Text, |s| id(&survey(s)?.response_id)),
    field("revision", Kind::Int, |s| {
        int(i64::try_from(survey(s)?.revision).ok()?)
    }),
    field("survey_id", Kind::Text, |s| {
        id(survey(s)?.survey_id.as_ref()?)
    }),
    field("interaction_id", Kind::Text, |s| {
        id(&survey(s)?.interaction_id)
    }),
    field("channel", Kind::Text, |s| {
        Some(Value::Text(survey(s)?.channel?.name()))
    }),
    field("submitted_at", Kind::Int, |s| time(survey(s)?.submitted_at)),
    field("csat", Kind::Int, |s| int(survey(s)?.csat?.0)),
    field("comment", Kind::Text, |s| {
        text(survey(s)?.comment.as_ref()?)
    }),
    field("answers", Kind::Answers, |s| {
        Some(Value::Answers(&survey(s)?.answers))
    }),
    field("routing", Kind::Object, |s| {
        survey(s).map(|_| Value::Object)
    }),
    field("routing.queue_id", Kind::Text, |s| {
        id(survey(s)?.routing.queue_id.as_ref()?)
    }),
    field("routing.agent_id", Kind::Text, |s| {
        id(survey(s)?.routing.agent_id.as_ref()?)
    }),
    field("routing.agent_name", Kind::Text, |s| {
        text(survey(s)?.routing.agent_name.as_ref()?)
    }),
    field("routing.bot_id", Kind::Text, |s| {
        id(survey(s)?.routing.bot_id.as_ref()?)
    }),
    field("customer", Kind::Object, |s| {
        reference(s).map(|_| Value::Object)
    }),
    field("customer.customer_id", Kind::Text, |s| {
        id(reference(s)?.customer_id.as_ref()?)
    }),
    field("customer.phone", Kind::Text, |s| {
        text(reference(s)?.phone.as_ref()?)
    }),
    field("customer.email", Kind::Text, |s| {
        text(reference(s)?.email.as_ref()?)
    }),
    field("customer.cdp_user_id", Kind::Text, |s| {
        id(reference(s)?.cdp_user_id.as_ref()?)
    }),
];

const ENPS: &[Field] = &[
    field("response_id", Kind::Text, |s| id(&enps(s)?.response_id)),
    field("agent_id", Kind::Text, |s| id(&enps(s)?.agent_id)),
    field("score", Kind::Int, |s| int(enps(s)?.score.0)),
    field("comment", Kind::Text, |s| text(enps(s)?.comment.as_ref()?)),
    field("submitted_at", Kind::Int, |s| time(enps(s)?.submitted_at)),
    field("interaction_id", Kind::Text, |s| {
        id(enps(s)?.interaction_id.as_ref()?)
    }),
    field("queue_id", Kind::Text, |s| {
        id(enps(s)?.queue_id.as_ref()?)
    }),
    field("wrap_up_code", Kind::Text, |s| {
        text(enps(s)?.wrap_up_code.as_ref()?)
    }),
];

const WFM: &[Field] = &[
    field("agent_id", Kind::Text, |s| id(&wfm(s)?.agent_id)),
    field("date", Kind::Text, |s| Some(day(wfm(s)?.date))),
    field("metric", Kind::Text, |s| id(&wfm(s)?.metric)),
    field("value", Kind::Double, |s| double(wfm(s)?.value)),
    field("export_version", Kind::Text, |s| {
        text(wfm(s)?.export_version.as_ref()?)
    }),
    field("recorded_at", Kind::Int, |s| time(wfm(s)?.recorded_at?)),
];

const COMPLETED: &[Field] = &[
    field("interaction_id", Kind::Text, |s| {
        id(&completed(s)?.interaction_id)
    }),
    field("channel", Kind::Text, |s| {
        text(completed(s)?.channel.name())
    }),
    field("queue_id", Kind::Text, |s| {
        id(completed(s)?.queue_id.as_ref()?)
    }),
    field("skills", Kind::Texts, |s| {
        Some(Value::Texts(&completed(s)?.skills))
    }),
    field("agent_id", Kind::Text, |s| {
        id(completed(s)?.agent_id.as_ref()?)
    }),
    field("bot_id", Kind::Text, |s| {
        id(completed(s)?.bot_id.as_ref()?)
    }),
    field("customer", Kind::Object, |s| {
        reference(s).map(|_| Value::Object)
    }),
    field("customer.customer_id", Kind::Text, |s| {
        id(reference(s)?.customer_id.as_ref()?)
    }),
    field("customer.phone", Kind::Text, |s| {
        text(reference(s)?.phone.as_ref()?)
    }),
    field("customer.email", Kind::Text, |s| {
        text(reference(s)?.email.as_ref()?)
    }),
    field("customer.cdp_user_id", Kind::Text, |s| {
        id(reference(s)?.cdp_user_id.as_ref()?)
    }),
    field("started_at", Kind::Int, |s| time(completed(s)?.started_at)),
    field("ended_at", Kind::Int, |s| time(completed(s)?.ended_at)),
    field("duration_s", Kind::Double, |s| {
        double(completed(s)?.duration_s?)
    }),
    field("disposition", Kind::Text, |s| {
        text(completed(s)?.disposition.as_ref()?)
    }),
    field("wrap_up_code", Kind::Text, |s| {
        text(completed(s)?.wrap_up_code.as_ref()?)
    }),
    field("summary", Kind::Text, |s| {
        text(completed(s)?.summary.as_ref()?)
    }),
    field("sentiment", Kind::Double, |s| {
        double(completed(s)?.sentiment?.0)
    }),
    field("tags", Kind::Texts, |s| {
        Some(Value::Texts(&completed(s)?.tags))
    }),
];

const AGENT: &[Field] = &[
    field("points", Kind::Int, |s| match s.figures {
        Figures::Agent { points, .. } => Some(Value::Int(*points)),
        Figures::Customer { .. } => None,
    }),
    field("responses", Kind::Int, |s| match s.figures {
        Figures::Agent { responses, .. } => int(*responses),
        Figures::Customer { .. } => None,
    }),
    field("detractors", Kind::Int, |s| match s.figures {
        Figures::Agent { detractors, .. } => int(*detractors),
        Figures::Customer { .. } => None,
    }),
    field("detractor_share", Kind::Double, |s| match s.figures {
        Figures::Agent {
            detractor_share, ..
        } => double(*detractor_share),
        Figures::Customer { .. } => None,
    }),
];

const CUSTOMER: &[Field] = &[
    field("contacts", Kind::Int, |s| match s.figures {
        Figures::Customer { contacts, .. } => int(*contacts),
        Figures::Agent { .. } => None,
    }),
    field("contacts_7d", Kind::Int, |s| match s.figures {
        Figures::Customer { contacts_7d, .. } => int(*contacts_7d),
        Figures::Agent { .. } => None,
    }),
    field("sentiment", Kind::Double, |s| match s.figures {
        Figures::Customer { sentiment, .. } => sentiment.and_then(double),
        Figures::Agent { .. } => None,
    }),
    field("sentiment_avg", Kind::Double, |s| match s.figures {
        Figures::Customer { sentiment_avg, .. } => sentiment_avg.and_then(double),
        Figures::Agent { .. } => None,
    }),
];

fn survey<'a>(scope: &Scope<'a>) -> Option<&'a SurveyResponse> {
    match scope.body {
        Body::SurveyResponse(data) => Some(data),
        _other_type => None,
    }
}

fn enps<'a>(scope: &Scope<'a>) -> Option<&'a EnpsResponse> {
    match scope.body {
        Body::EnpsResponse(data) => Some(data),
        _other_type => None,
    }
}

fn wfm<'a>(scope: &Scope<'a>) -> Option<&'a WfmMetric> {
    match scope.body {
        Body::WfmMetric(data) => Some(data),
        _other_type => None,
    }
}

fn completed<'a>(scope: &Scope<'a>) -> Option<&'a InteractionCompleted> {
    match scope.body {
        Body::InteractionCompleted(data) => Some(data),
        _other_type => None,
    }
}

fn reference<'a>(scope: &Scope<'a>) -> Option<&'a CustomerRef> {
    survey(scope)
        .map(|data| &data.customer)
        .or_else(|| completed(scope).map(|data| &data.customer))?
        .as_ref()
}

// The rows above read `id(..)`, `int(..)`: each returns an option so that a row needs no more than `?`.

fn id(id: &Id) -> Option<Value<'_>> {
    Some(Value::Text(id))
}

fn text(text: &str) -> Option<Value<'_>> {
    Some(Value::Text(text))
}

fn int<'a>(number: impl Into<i64>) -> Option<Value<'a>> {
    Some(Value::Int(number.into()))
}

fn double<'a>(number: f64) -> Option<Value<'a>> {
    Some(Value::Double(number))
}

/// A moment as conditions see it: whole milliseconds since the Unix epoch.
fn time<'a>(time: EventTime) -> Option<Value<'a>> {
    Some(Value::Int(time.0))
}

fn day<'a>(WorkDate(date): WorkDate) -> Value<'a> {
    let digit = |number: i16, place: i16| b'0' + (number / place % 10).unsigned_abs() as u8;
    let (year, month, day) = (date.year(), date.month().into(), date.day().into());
    Value::Day([
        digit(year, 1000),
        digit(year, 100),
        digit(year, 10),
        digit(year, 1),
        b'-',
        digit(month, 10),
        digit(month, 1),
        b'-',
        digit(day, 10),
        digit(day, 1),
    ])
}
