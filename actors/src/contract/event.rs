//! What comes in: one type per event of the public contract (EVENTS.md), field names as they stand there.
//!
//! A field a type does not know is kept out. A required one that is missing, and a value out of range, is an
//! error that names the field, so nothing half-read ever reaches an actor.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{
    key::Key,
    object::{object, optional_object},
    output::Severity,
    time::EventTime,
    value::{
        ADDRESS_BYTES_MAX, Csat, DISPOSITION_BYTES_MAX, DestinationName, Id, LABEL_BYTES_MAX,
        LABELS_MAX, NOTE_BYTES_MAX, Score, Sentiment, Summary, WorkDate, labels, optional_text,
        text, whole_i32, whole_u32, whole_u64,
    },
};

/// A decoded event: its CloudEvents identity and its body.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// CloudEvents `source`; with `id` it names the event.
    pub source: Box<str>,
    /// CloudEvents `id`.
    pub id: Box<str>,
    /// The typed data.
    pub body: Body,
}

/// The data of an event, by type.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// `interaction.started`
    InteractionStarted(InteractionStarted),
    /// `interaction.wrapup`
    InteractionWrapup(InteractionWrapup),
    /// `interaction.completed`
    InteractionCompleted(InteractionCompleted),
    /// `interaction.updated`
    InteractionUpdated(InteractionUpdated),
    /// `survey.response.created`
    SurveyResponse(SurveyResponse),
    /// `enps.response.submitted`
    EnpsResponse(EnpsResponse),
    /// `wfm.metric.recorded`
    WfmMetric(WfmMetric),
    /// `points.adjusted`
    PointsAdjusted(PointsAdjusted),
    /// `reward.decided`
    RewardDecided(RewardDecided),
    /// `alert.acknowledged`
    AlertAcknowledged(AlertAcknowledged),
    /// `reward.outcome`, `identity.outcome`, `survey_token.outcome`, `alert.outcome`, `enrichment.outcome`
    Outcome(OutcomeKind, Outcome),
    /// `delivery.dead_lettered`
    DeadLettered(DeadLettered),
    /// `import.quarantined`
    ImportQuarantined(ImportQuarantined),
    /// `tick`: moves time on in every partition when nothing else arrives.
    Tick,
    /// `rules.activated`: a new rule set, from this position on, in every partition.
    RulesActivated(RulesActivated),
}

/// Which request an outcome answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeKind {
    /// `reward.outcome`
    Reward,
    /// `identity.outcome`
    Identity,
    /// `survey_token.outcome`
    SurveyToken,
    /// `alert.outcome`
    Alert,
    /// `enrichment.outcome`
    Enrichment,
}

/// How a customer was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A phone call.
    Voice,
    /// Live web or app chat.
    Chat,
    /// Asynchronous messaging (SMS, WhatsApp and the like).
    Message,
    /// Email.
    Email,
    /// A call the centre placed on request.
    Callback,
    /// A video call.
    Video,
    /// Anything else.
    Other,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 7] = [
        Self::Voice,
        Self::Chat,
        Self::Message,
        Self::Email,
        Self::Callback,
        Self::Video,
        Self::Other,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Chat => "chat",
            Self::Message => "message",
            Self::Email => "email",
            Self::Callback => "callback",
            Self::Video => "video",
            Self::Other => "other",
        }
    }

    /// Whether there is a transcript of it, of which a summary can be made (S2.07); what is `Other` may have one.
    #[must_use]
    pub const fn is_digital(self) -> bool {
        match self {
            Self::Chat | Self::Message | Self::Email | Self::Other => true,
            Self::Voice | Self::Callback | Self::Video => false,
        }
    }
}

/// What is known of the customer. Without `customer_id` there is no profile to update, and who they are is asked by
/// phone number or mail address (S5.11).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerRef {
    /// The customer's key in the CRM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Id>,
    /// Phone number, as the platform gave it.
    #[schemars(length(max = ADDRESS_BYTES_MAX))]
    #[serde(
        default,
        deserialize_with = "optional_text::<ADDRESS_BYTES_MAX, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub phone: Option<String>,
    /// Email address.
    #[schemars(length(max = ADDRESS_BYTES_MAX))]
    #[serde(
        default,
        deserialize_with = "optional_text::<ADDRESS_BYTES_MAX, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub email: Option<String>,
    /// The id a customer data platform resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cdp_user_id: Option<Id>,
}

/// `interaction.started`: a customer has arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InteractionStarted {
    /// The interaction; also the business key.
    pub interaction_id: Id,
    /// Channel it came in on.
    pub channel: Channel,
    /// Queue it waits in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<Id>,
    /// Agent it was given to, if already known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<Id>,
    /// Bot that took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot_id: Option<Id>,
    /// The customer.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub customer: Option<CustomerRef>,
    /// When it began (event time).
    pub started_at: EventTime,
}

/// How far wrap-up has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WrapupStatus {
    /// Wrap-up is expected within 15 s.
    Predicted,
    /// The agent chose a wrap-up code.
    CodeSelected,
    /// Wrap-up is over.
    Ended,
}

/// `interaction.wrapup`: an agent is wrapping up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InteractionWrapup {
    /// The interaction.
    pub interaction_id: Id,
    /// The desktop session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Id>,
    /// The agent.
    pub agent_id: Id,
    /// The queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<Id>,
    /// How far wrap-up has come.
    pub status: WrapupStatus,
    /// The code chosen, if one is.
    #[schemars(length(max = LABEL_BYTES_MAX))]
    #[serde(
        default,
        deserialize_with = "optional_text::<LABEL_BYTES_MAX, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub wrap_up_code: Option<String>,
}

/// `interaction.completed`: the last participant has left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InteractionCompleted {
    /// The interaction; with `started_at` the business key.
    pub interaction_id: Id,
    /// Channel.
    pub channel: Channel,
    /// Queue it was served from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<Id>,
    /// Skills it asked for.
    #[schemars(length(max = LABELS_MAX), inner(length(max = LABEL_BYTES_MAX)))]
    #[serde(
        default,
        deserialize_with = "labels",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub skills: Vec<String>,
    /// Agent who handled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<Id>,
    /// Bot that handled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot_id: Option<Id>,
    /// The customer.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub customer: Option<CustomerRef>,
    /// When it began (event time).
    pub started_at: EventTime,
    /// When it ended (event time).
    pub ended_at: EventTime,
    /// Length in seconds.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// How it ended for the business.
    #[schemars(length(max = DISPOSITION_BYTES_MAX))]
    #[serde(
        default,
        deserialize_with = "optional_text::<DISPOSITION_BYTES_MAX, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub disposition: Option<String>,
    /// The agent's wrap-up code.
    #[schemars(length(max = LABEL_BYTES_MAX))]
    #[serde(
        default,
        deserialize_with = "optional_text::<LABEL_BYTES_MAX, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub wrap_up_code: Option<String>,
    /// At most 1,000 characters; transcripts never travel inline (S4.07).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// -1 (bad) to 1 (good).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentiment: Option<Sentiment>,
    /// Labels from the platform.
    #[schemars(length(max = LABELS_MAX), inner(length(max = LABEL_BYTES_MAX)))]
    #[serde(
        default,
        deserialize_with = "labels",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub tags: Vec<String>,
}

/// `interaction.updated`: something about a finished interaction changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InteractionUpdated {
    /// The interaction; with `updated_at` the business key.
    pub interaction_id: Id,
    /// When it changed (event time).
    pub updated_at: EventTime,
    /// The new disposition.
    #[schemars(length(max = DISPOSITION_BYTES_MAX))]
    #[serde(
        default,
        deserialize_with = "optional_text::<DISPOSITION_BYTES_MAX, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub disposition: Option<String>,
    /// The new wrap-up code.
    #[schemars(length(max = LABEL_BYTES_MAX))]
    #[serde(
        default,
        deserialize_with = "optional_text::<LABEL_BYTES_MAX, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub wrap_up_code: Option<String>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<Id>,
    /// The customer.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub customer: Option<CustomerRef>,
}

/// Who handled the interaction a survey is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Routing {
    /// Queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<Id>,
    /// Agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<Id>,
    /// Agent's name for display: of a longer one its first 200 characters are shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_name: Option<String>,
    /// Bot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot_id: Option<Id>,
}

/// `survey.response.created`: a customer answered a survey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SurveyResponse {
    /// The response; with `revision` the business key.
    pub response_id: Id,
    /// Which version this is: a higher one replaces it (score first, comment later), and may count from 0 or be a time
    /// in milliseconds. Of one revision, what comes with other content replaces too; what comes again is a repetition.
    #[serde(default, deserialize_with = "whole_u64")]
    pub revision: u64,
    /// The survey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub survey_id: Option<Id>,
    /// The interaction it is about.
    pub interaction_id: Id,
    /// Channel of that interaction, if the survey's sender knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// When it was submitted (event time).
    pub submitted_at: EventTime,
    /// Customer satisfaction, 1 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csat: Option<Csat>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whatever else was asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, serde_json::Value>,
    /// Who handled the interaction.
    #[serde(default, deserialize_with = "object")]
    pub routing: Routing,
    /// The customer.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub customer: Option<CustomerRef>,
}

/// `enps.response.submitted`: an agent answered the eNPS question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnpsResponse {
    /// The response; the business key.
    pub response_id: Id,
    /// The agent.
    pub agent_id: Id,
    /// 0 to 10.
    pub score: Score,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// When it was submitted (event time).
    pub submitted_at: EventTime,
    /// The interaction after which it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interaction_id: Option<Id>,
    /// The queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<Id>,
    /// The wrap-up code.
    #[schemars(length(max = LABEL_BYTES_MAX))]
    #[serde(
        default,
        deserialize_with = "optional_text::<LABEL_BYTES_MAX, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub wrap_up_code: Option<String>,
}

/// `wfm.metric.recorded`: one figure of one agent's workday; the newest for (agent, date, metric) replaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WfmMetric {
    /// The agent.
    pub agent_id: Id,
    /// The workday, a calendar date in the business unit's time zone.
    pub date: WorkDate,
    /// The metric's name, as rules know it.
    pub metric: Id,
    /// Its value.
    pub value: f64,
    /// Version of the export it came from.
    #[schemars(length(max = LABEL_BYTES_MAX))]
    #[serde(
        default,
        deserialize_with = "optional_text::<LABEL_BYTES_MAX, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub export_version: Option<String>,
    /// When the export recorded it (event time).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<EventTime>,
}

/// Why points were adjusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdjustmentKind {
    /// Puts a mistake right.
    Correction,
    /// A breach of policy.
    Violation,
    /// Given by a person.
    Grant,
}

/// `points.adjusted`: points given or taken by a person or a process outside the rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PointsAdjusted {
    /// The adjustment; the business key.
    pub adjustment_id: Id,
    /// The agent.
    pub agent_id: Id,
    /// Whole points, negative to take.
    #[serde(deserialize_with = "whole_i32")]
    pub points: i32,
    /// What sort.
    pub kind: AdjustmentKind,
    /// For people to read.
    #[schemars(length(max = NOTE_BYTES_MAX))]
    #[serde(deserialize_with = "text::<NOTE_BYTES_MAX, _>")]
    pub reason: String,
    /// The moment whose workday it counts in (event time).
    pub effective_at: EventTime,
}

/// What a person decided about a reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Request it; of one whose outcome is not known: it was issued, or taken back.
    Approve,
    /// Do not request it; of one whose outcome is not known: it was not issued, or not taken back.
    Reject,
}

/// `reward.decided`: a person approved or rejected a reward that waited for that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RewardDecided {
    /// The reward; also the business key: what is decided is not decided again.
    pub reward_id: Id,
    /// The agent.
    pub agent_id: Id,
    /// What was decided.
    pub decision: Decision,
    /// By whom.
    pub by: Id,
    /// When (event time).
    pub at: EventTime,
}

/// What a supervisor did with an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AcknowledgeAction {
    /// Has seen it.
    Ack,
    /// Deals with it.
    Claim,
    /// Is done with it.
    Resolve,
}

/// `alert.acknowledged`: a supervisor took note of an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertAcknowledged {
    /// The alert.
    pub alert_id: Id,
    /// The actor that raised it: the alert's `owner` field.
    pub owner: ActorRef,
    /// What was done.
    pub action: AcknowledgeAction,
    /// By whom.
    pub by: Id,
    /// When (event time).
    pub at: EventTime,
}

/// The ids that a destination has given an output on its own side (an order number), by the names of the
/// configuration's `keep`. With them it can be asked later.
pub type Kept = BTreeMap<String, String>;

/// Most of them that are kept for one output.
pub const KEPT_MAX: usize = 8;

/// The longest of them, and of their names. Unit: bytes.
pub const KEPT_BYTES_MAX: usize = 200;

/// What became of an output: `reward.outcome` and its siblings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Id of the output this answers.
    pub output_id: Id,
    /// The actor that emitted it: the output's CloudEvents `subject`.
    pub subject: ActorRef,
    /// The destination's verdict.
    pub status: Id,
    /// Attempts made in all.
    #[serde(default)]
    pub attempts: u32,
    /// Why it was not done: `rejected`; `unsendable`; `unreached`, where no attempt was more than a knock at the door;
    /// `failed`, where answers said that it was not done; `unknown`, where an attempt may have done it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ids that the vendor has given it: at most 8, of at most 200 bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: Kept,
    /// What the vendor said, as far as it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<serde_json::Value>,
    /// That a destination said so: made of what only its delivery records know, and looked at by `ledger verify`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// `delivery.dead_lettered`: a destination has given up on outputs since the last event of this type about it; or, with
/// the reason `misconfigured`, outputs wait because our credentials are missing or not accepted (REQUIREMENTS S3.16).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLettered {
    /// The destination.
    pub destination: DestinationName,
    /// Why it gave up on the last of them; or `misconfigured`.
    pub reason: String,
    /// What the destination said of our credentials, where `reason` is `misconfigured`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How many outputs.
    #[serde(deserialize_with = "whole_u32")]
    pub count: u32,
    /// Id of the last of them.
    pub output_id: String,
    /// When it gave up on it (event time).
    pub at: EventTime,
    /// How much it matters; `critical`, if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

/// `import.quarantined`: an import of a file has ended, and not all of the file is good (REQUIREMENTS S3.02).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportQuarantined {
    /// The import: the same bytes read in the same way; also the business key.
    pub import_id: Id,
    /// CloudEvents `source` of the events made of its rows.
    pub source: Id,
    /// Name of the file.
    pub file: String,
    /// Rows that were read, good and bad.
    #[serde(deserialize_with = "whole_u32")]
    pub rows: u32,
    /// Rows that were left out.
    #[serde(deserialize_with = "whole_u32")]
    pub bad: u32,
    /// Line, column and reason of the first of them, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Why the file was not read, or not to its end, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// When the import ended (event time).
    pub at: EventTime,
}

/// `rules.activated`: the rule set that holds from this position on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RulesActivated {
    /// Version, stamped on every output made under these rules.
    pub version: Id,
    /// The rule file's text.
    pub rules: String,
}

pub use crate::contract::value::ActorRef;

impl Body {
    /// Every event type of the contract, in the order of EVENTS.md, then the two of the system's own.
    pub const TYPES: [&str; 19] = [
        "interaction.started",
        "interaction.wrapup",
        "interaction.completed",
        "interaction.updated",
        "survey.response.created",
        "enps.response.submitted",
        "wfm.metric.recorded",
        "points.adjusted",
        "reward.decided",
        "alert.acknowledged",
        "reward.outcome",
        "identity.outcome",
        "survey_token.outcome",
        "alert.outcome",
        "enrichment.outcome",
        "delivery.dead_lettered",
        "import.quarantined",
        "tick",
        "rules.activated",
    ];

    /// The CloudEvents `type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::InteractionStarted(_) => "interaction.started",
            Self::InteractionWrapup(_) => "interaction.wrapup",
            Self::InteractionCompleted(_) => "interaction.completed",
            Self::InteractionUpdated(_) => "interaction.updated",
            Self::SurveyResponse(_) => "survey.response.created",
            Self::EnpsResponse(_) => "enps.response.submitted",
            Self::WfmMetric(_) => "wfm.metric.recorded",
            Self::PointsAdjusted(_) => "points.adjusted",
            Self::RewardDecided(_) => "reward.decided",
            Self::AlertAcknowledged(_) => "alert.acknowledged",
            Self::Outcome(OutcomeKind::Reward, _) => "reward.outcome",
            Self::Outcome(OutcomeKind::Identity, _) => "identity.outcome",
            Self::Outcome(OutcomeKind::SurveyToken, _) => "survey_token.outcome",
            Self::Outcome(OutcomeKind::Alert, _) => "alert.outcome",
            Self::Outcome(OutcomeKind::Enrichment, _) => "enrichment.outcome",
            Self::DeadLettered(_) => "delivery.dead_lettered",
            Self::ImportQuarantined(_) => "import.quarantined",
            Self::Tick => "tick",
            Self::RulesActivated(_) => "rules.activated",
        }
    }

    /// The agent, bot or queue this event is for, or unassigned; `None` if the agent side has no part in it.
    #[must_use]
    pub fn owner(&self) -> Option<Key<'_>> {
        match self {
            Self::InteractionStarted(e) => Some(owner(&e.agent_id, &e.bot_id, &e.queue_id)),
            Self::InteractionCompleted(e) => Some(owner(&e.agent_id, &e.bot_id, &e.queue_id)),
            Self::SurveyResponse(e) => {
                let r = &e.routing;
                Some(owner(&r.agent_id, &r.bot_id, &r.queue_id))
            }
            Self::InteractionWrapup(e) => Some(Key::Agent(&e.agent_id)),
            Self::EnpsResponse(e) => Some(Key::Agent(&e.agent_id)),
            Self::WfmMetric(e) => Some(Key::Agent(&e.agent_id)),
            Self::PointsAdjusted(e) => Some(Key::Agent(&e.agent_id)),
            Self::RewardDecided(e) => Some(Key::Agent(&e.agent_id)),
            Self::AlertAcknowledged(e) => Some(e.owner.key()),
            Self::Outcome(_, e) => {
                Some(e.subject.key()).filter(|k| k.side() == crate::contract::key::Side::Agent)
            }
            // The system's own trouble: no owner of interactions has part in it.
            Self::DeadLettered(_) | Self::ImportQuarantined(_) => Some(Key::Unassigned),
            Self::InteractionUpdated(_) | Self::Tick | Self::RulesActivated(_) => None,
        }
    }

    /// The customer this event is for: by id, else by what they came with; `None` without either or if the customer side
    /// has no part in it.
    #[must_use]
    pub fn customer(&self) -> Option<Key<'_>> {
        let reference = match self {
            Self::InteractionStarted(e) => &e.customer,
            Self::InteractionCompleted(e) => &e.customer,
            Self::InteractionUpdated(e) => &e.customer,
            Self::Outcome(_, e) => {
                return Some(e.subject.key())
                    .filter(|k| k.side() == crate::contract::key::Side::Customer);
            }
            Self::InteractionWrapup(_)
            | Self::SurveyResponse(_)
            | Self::EnpsResponse(_)
            | Self::WfmMetric(_)
            | Self::PointsAdjusted(_)
            | Self::RewardDecided(_)
            | Self::AlertAcknowledged(_)
            | Self::DeadLettered(_)
            | Self::ImportQuarantined(_)
            | Self::Tick
            | Self::RulesActivated(_) => return None,
        };
        let reference = reference.as_ref()?;
        match &reference.customer_id {
            Some(id) => Some(Key::Customer(id)),
            None => reference.caller().map(Key::Caller),
        }
    }

    /// Whether the service alone says this: what became of its own outputs, what people decided at its desk, trouble it
    /// met, and what moves all partitions on. From elsewhere it would be a claim about money without proof.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        match self {
            Self::RewardDecided(_)
            | Self::Outcome(..)
            | Self::DeadLettered(_)
            | Self::ImportQuarantined(_)
            | Self::Tick
            | Self::RulesActivated(_) => true,
            Self::InteractionStarted(_)
            | Self::InteractionWrapup(_)
            | Self::InteractionCompleted(_)
            | Self::InteractionUpdated(_)
            | Self::SurveyResponse(_)
            | Self::EnpsResponse(_)
            | Self::WfmMetric(_)
            | Self::PointsAdjusted(_)
            | Self::AlertAcknowledged(_) => false,
        }
    }

    /// Whether every partition applies this event, whichever actor it is for.
    #[must_use]
    pub const fn is_for_all(&self) -> bool {
        matches!(self, Self::Tick | Self::RulesActivated(_))
    }
}

fn owner<'a>(agent: &'a Option<Id>, bot: &'a Option<Id>, queue: &'a Option<Id>) -> Key<'a> {
    match (agent, bot, queue) {
        (Some(id), _, _) => Key::Agent(id),
        (None, Some(id), _) => Key::Bot(id),
        (None, None, Some(id)) => Key::Queue(id),
        (None, None, None) => Key::Unassigned,
    }
}
