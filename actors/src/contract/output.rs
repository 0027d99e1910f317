//! What goes out: one type per output of the public contract (EVENTS.md), field names as they stand there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::contract::{
    event::{ActorRef, Channel, CustomerRef, Kept},
    identifier::IdentifierType,
    time::EventTime,
    value::ID_BYTES_MAX,
};
use xxhash_rust::xxh3::xxh3_128;

/// The stream's subjects tell outputs apart by kind: `cx.out.<kind>.<side>.<partition>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Alerts to supervisors.
    Alert,
    /// Money.
    Reward,
    /// Customer profiles.
    Profile,
    /// Interaction outcomes for a customer data platform.
    Outcome,
    /// Scored eNPS responses.
    Enps,
    /// Coaching tasks.
    Coaching,
    /// Lookups the system asks of others.
    Request,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Alert,
        Self::Reward,
        Self::Profile,
        Self::Outcome,
        Self::Enps,
        Self::Coaching,
        Self::Request,
    ];

    /// The subject token.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Reward => "reward",
            Self::Profile => "profile",
            Self::Outcome => "outcome",
            Self::Enps => "enps",
            Self::Coaching => "coaching",
            Self::Request => "request",
        }
    }

    /// The kind of a CloudEvents type of [`Output::TYPES`].
    #[must_use]
    pub fn of(type_name: &str) -> Option<Self> {
        match type_name {
            "alert.raised" | "alert.updated" | "alert.escalated" => Some(Self::Alert),
            "reward.requested" | "reward.reversal.requested" => Some(Self::Reward),
            "profile.updated" => Some(Self::Profile),
            "interaction.outcome" => Some(Self::Outcome),
            "enps.scored" => Some(Self::Enps),
            "coaching.requested" => Some(Self::Coaching),
            "survey_token.requested" | "identity.requested" | "enrichment.requested" => {
                Some(Self::Request)
            }
            _ => None,
        }
    }

    /// Place in [`Kind::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// An output's data, by CloudEvents type.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// `alert.raised`
    AlertRaised(Alert),
    /// `alert.updated`
    AlertUpdated(Alert),
    /// `alert.escalated`
    AlertEscalated(Alert),
    /// `reward.requested`
    RewardRequested(Reward),
    /// `reward.reversal.requested`
    RewardReversalRequested(Reward),
    /// `profile.updated`
    ProfileUpdated(ProfileUpdate),
    /// `interaction.outcome`
    InteractionOutcome(InteractionOutcome),
    /// `enps.scored`
    EnpsScored(EnpsScored),
    /// `coaching.requested`
    CoachingRequested(CoachingRequest),
    /// `survey_token.requested`
    SurveyTokenRequested(SurveyTokenRequest),
    /// `identity.requested`
    IdentityRequested(IdentityRequest),
    /// `enrichment.requested`
    EnrichmentRequested(EnrichmentRequest),
}

impl Output {
    /// Every output type, in the order of EVENTS.md.
    pub const TYPES: [&str; 12] = [
        "alert.raised",
        "alert.updated",
        "alert.escalated",
        "reward.requested",
        "reward.reversal.requested",
        "profile.updated",
        "interaction.outcome",
        "enps.scored",
        "coaching.requested",
        "survey_token.requested",
        "identity.requested",
        "enrichment.requested",
    ];

    /// The CloudEvents `type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::AlertRaised(_) => "alert.raised",
            Self::AlertUpdated(_) => "alert.updated",
            Self::AlertEscalated(_) => "alert.escalated",
            Self::RewardRequested(_) => "reward.requested",
            Self::RewardReversalRequested(_) => "reward.reversal.requested",
            Self::ProfileUpdated(_) => "profile.updated",
            Self::InteractionOutcome(_) => "interaction.outcome",
            Self::EnpsScored(_) => "enps.scored",
            Self::CoachingRequested(_) => "coaching.requested",
            Self::SurveyTokenRequested(_) => "survey_token.requested",
            Self::IdentityRequested(_) => "identity.requested",
            Self::EnrichmentRequested(_) => "enrichment.requested",
        }
    }

    /// The kind, which is the subject token.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::AlertRaised(_) | Self::AlertUpdated(_) | Self::AlertEscalated(_) => Kind::Alert,
            Self::RewardRequested(_) | Self::RewardReversalRequested(_) => Kind::Reward,
            Self::ProfileUpdated(_) => Kind::Profile,
            Self::InteractionOutcome(_) => Kind::Outcome,
            Self::EnpsScored(_) => Kind::Enps,
            Self::CoachingRequested(_) => Kind::Coaching,
            Self::SurveyTokenRequested(_)
            | Self::IdentityRequested(_)
            | Self::EnrichmentRequested(_) => Kind::Request,
        }
    }

    /// Appends the data as JSON.
    pub fn write_json(&self, into: &mut Vec<u8>) {
        // Plain data with string keys: writing it into a vector cannot fail.
        let written = match self {
            Self::AlertRaised(d) | Self::AlertUpdated(d) | Self::AlertEscalated(d) => {
                serde_json::to_writer(into, d)
            }
            Self::RewardRequested(d) | Self::RewardReversalRequested(d) => {
                serde_json::to_writer(into, d)
            }
            Self::ProfileUpdated(d) => serde_json::to_writer(into, d),
            Self::InteractionOutcome(d) => serde_json::to_writer(into, d),
            Self::EnpsScored(d) => serde_json::to_writer(into, d),
            Self::CoachingRequested(d) => serde_json::to_writer(into, d),
            Self::SurveyTokenRequested(d) => serde_json::to_writer(into, d),
            Self::IdentityRequested(d) => serde_json::to_writer(into, d),
            Self::EnrichmentRequested(d) => serde_json::to_writer(into, d),
        };
        debug_assert!(
            written.is_ok(),
            "output data is always representable as JSON"
        );
    }
}

/// Id of an output that a lookup's or delivery's outcome names: `<kind>:<part>:<part>`. Where that would be longer
/// than an id may be, a hash stands in for the parts, so that the outcome can be told apart all the same.
#[must_use]
pub fn output_id(kind: &str, parts: &[&str]) -> String {
    let parts = parts.join(":");
    let id = format!("{kind}:{parts}");
    if id.len() <= ID_BYTES_MAX {
        id
    } else {
        format!("{kind}:#{:032x}", xxh3_128(parts.as_bytes()))
    }
}

/// How much an alert matters.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

/// Whom an alert is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Who leads the agent, or looks after the queue.
    #[default]
    Supervisor,
    /// Who looks after points and rewards (REQUIREMENTS S3.07, S3.08, S3.16).
    Administration,
    /// Who runs the system: a destination that gives up, an import of which something was left out.
    Operations,
}

impl Audience {
    /// The name in the data.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Administration => "administration",
            Self::Operations => "operations",
        }
    }

    const fn is_supervisor(&self) -> bool {
        matches!(self, Self::Supervisor)
    }
}

/// Whether the recording can be listened to yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordingStatus {
    /// Not known yet, or still uploading.
    Pending,
    /// `url` leads to it.
    Available,
    /// It failed or was deleted; or lookups are off, and `missing` does not name it.
    Unavailable,
}

/// The recording of an alert's interaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recording {
    /// State.
    pub status: RecordingStatus,
    /// Where it is, once it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// `alert.raised`, `alert.updated`, `alert.escalated`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    /// Derived from rule and response.
    pub alert_id: String,
    /// The rule that fired.
    pub rule: String,
    /// How much it matters.
    pub severity: Severity,
    /// Whom it is for; a supervisor, if it is not said.
    #[serde(default, skip_serializing_if = "Audience::is_supervisor")]
    pub audience: Audience,
    /// The actor that raised it.
    pub owner: ActorRef,
    /// Agent, if one handled the interaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Agent's name, if the event carried it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_name: Option<String>,
    /// Queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<String>,
    /// Interaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interaction_id: Option<String>,
    /// Survey response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// Score, 1 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csat: Option<u8>,
    /// The customer's words, at most 4,000 characters of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Critical keywords found in the comment, as the rule spells them.
    #[serde(default)]
    pub keywords: Vec<String>,
    /// The recording.
    pub recording: Recording,
    /// Transcript summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What could not be found out, by field name.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Log time of the cause.
    pub raised_at: EventTime,
}

/// `reward.requested`, `reward.reversal.requested`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reward {
    /// UUID derived from program, agent, tier and ordinal.
    pub reward_id: String,
    /// Reward program.
    pub program: String,
    /// Agent.
    pub agent_id: String,
    /// Tier reached.
    pub tier: String,
    /// How many times this agent reached it before.
    pub ordinal: u32,
    /// What is given.
    pub reward_type: String,
    /// Points it costs.
    pub points_consumed: i64,
    /// Log time of the cause.
    pub transaction_timestamp: EventTime,
    /// Free fields for the provider.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// Of a reversal: the ids that the provider has given the reward.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: Kept,
}

/// What a profile says of a customer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileAttributes {
    /// Summary of the latest interaction that had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_interaction_summary: Option<String>,
    /// Sentiment of the latest interaction that had one, -1 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentiment: Option<f64>,
    /// Segments the customer is in, sorted.
    pub segmentation_tags: Vec<String>,
    /// Completed contacts in the last seven days.
    pub contacts_7d: u32,
}

/// `profile.updated`: the customer's profile as it is now, not a difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileUpdate {
    /// Customer.
    pub customer_id: String,
    /// The profile.
    pub attributes: ProfileAttributes,
    /// Log time of the update.
    pub last_updated: EventTime,
    /// `<interaction id>-<start time>` of the newest completion merged into this update (S4.03).
    pub idempotency_key: String,
}

/// `interaction.outcome`: a finished interaction, for the customer data platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InteractionOutcome {
    /// The platform's id of the customer.
    pub user_id: String,
    /// Interaction.
    pub interaction_id: String,
    /// Channel.
    pub interaction_type: Channel,
    /// Disposition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Length in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// Agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// When it ended (event time).
    pub timestamp: EventTime,
}

/// eNPS category (S1.07).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// 9 and 10.
    Promoter,
    /// 7 and 8.
    Passive,
    /// 0 to 6.
    Detractor,
}

/// Where an eNPS response came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnpsMetadata {
    /// Queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<String>,
    /// Wrap-up code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrap_up_code: Option<String>,
}

/// `enps.scored`: raw score and category together, unchangeable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnpsScored {
    /// Response.
    pub response_id: String,
    /// Agent.
    pub agent_id: String,
    /// Interaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interaction_id: Option<String>,
    /// 0 to 10, as submitted.
    pub raw_score: u8,
    /// Its category.
    pub category: Category,
    /// When it was submitted (event time).
    pub submitted_at: EventTime,
    /// Where it came from.
    pub metadata: EnpsMetadata,
}

/// `coaching.requested`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoachingRequest {
    /// Agent.
    pub agent_id: String,
    /// Why, for people.
    pub reason: String,
    /// The rule that fired.
    pub rule: String,
    /// Ids of the responses it rests on, oldest first.
    pub evidence: Vec<String>,
}

/// `survey_token.requested`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SurveyTokenRequest {
    /// Agent.
    pub agent_id: String,
    /// Interaction.
    pub interaction_id: String,
    /// Desktop session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
}

/// `identity.requested`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityRequest {
    /// Interaction.
    pub interaction_id: String,
    /// Channel.
    pub channel: Channel,
    /// What the customer is to be resolved by: the first in the order of the rules that is there (S5.11).
    pub identifier: String,
    /// What that is.
    pub identifier_type: IdentifierType,
    /// All that is known, as the event had it.
    pub customer: CustomerRef,
}

/// `enrichment.requested`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnrichmentRequest {
    /// The alert to complete.
    pub alert_id: String,
    /// Its interaction.
    pub interaction_id: String,
    /// What is wanted, by field name of the alert.
    pub fields: Vec<String>,
}
