//! JSON Schema (draft 2020-12) of every event and output: the data from the serde types, the CloudEvents
//! envelope around it.
//!
//! For producers and consumers who are not written in Rust: `aftercall schema <type>`. Made from the types that
//! decode and encode, so what it says and what is done cannot drift apart; `config/examples` has one event of each,
//! which `tests/schema.rs` holds against both.

use aftercall_actors::contract::{
    event::{self, Body},
    output::{self, Output},
};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::envelope::{EVENT_ID_BYTES_MAX, EVENT_SOURCE_BYTES_MAX, SPECVERSION};

/// Every type there is a schema of: events first, then outputs, in the order of the contract.
pub fn names() -> impl Iterator<Item = &'static str> {
    Body::TYPES.into_iter().chain(Output::TYPES)
}

/// The schema of a CloudEvents type, if it is in the contract.
#[must_use]
pub fn of(event_type: &str) -> Option<Value> {
    let schema = match event_type {
        "interaction.started" => event::<event::InteractionStarted>(event_type),
        "interaction.wrapup" => event::<event::InteractionWrapup>(event_type),
        "interaction.completed" => event::<event::InteractionCompleted>(event_type),
        "interaction.updated" => event::<event::InteractionUpdated>(event_type),
        "survey.response.created" => event::<event::SurveyResponse>(event_type),
        "enps.response.submitted" => event::<event::EnpsResponse>(event_type),
        "wfm.metric.recorded" => event::<event::WfmMetric>(event_type),
        "points.adjusted" => event::<event::PointsAdjusted>(event_type),
        "reward.decided" => event::<event::RewardDecided>(event_type),
        "alert.acknowledged" => event::<event::AlertAcknowledged>(event_type),
        "reward.outcome"
        | "identity.outcome"
        | "survey_token.outcome"
        | "alert.outcome"
        | "enrichment.outcome" => event::<event::Outcome>(event_type),
        "delivery.dead_lettered" => event::<event::DeadLettered>(event_type),
        "import.quarantined" => event::<event::ImportQuarantined>(event_type),
        "tick" => tick(),
        "rules.activated" => event::<event::RulesActivated>(event_type),
        "alert.raised" | "alert.updated" | "alert.escalated" => output::<output::Alert>(event_type),
        "reward.requested" | "reward.reversal.requested" => output::<output::Reward>(event_type),
        "profile.updated" => output::<output::ProfileUpdate>(event_type),
        "interaction.outcome" => output::<output::InteractionOutcome>(event_type),
        "enps.scored" => output::<output::EnpsScored>(event_type),
        "coaching.requested" => output::<output::CoachingRequest>(event_type),
        "survey_token.requested" => output::<output::SurveyTokenRequest>(event_type),
        "identity.requested" => output::<output::IdentityRequest>(event_type),
        "enrichment.requested" => output::<output::EnrichmentRequest>(event_type),
        _ => return None,
    };
    Some(schema)
}

/// What an event has to hold to be taken.
fn event<T: JsonSchema>(event_type: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let (data, definitions) = data::<T>(settings);
    let envelope = Envelope {
        event_type,
        required: &REQUIRED,
        more: Map::new(),
    };
    envelope.around(data, definitions)
}

/// What an output holds.
fn output<T: JsonSchema>(event_type: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let (data, definitions) = data::<T>(settings);
    let extension = |what: &str| json!({ "type": "string", "minLength": 1, "description": what });
    let more = [
        (
            "cause",
            "source and id of the event that caused it, `<source> <id>`",
        ),
        ("rulesversion", "version of the rule set in force"),
        ("partition", "the partition that made it, `agent.3`"),
        (
            "commit",
            "number of the commit that made it, in that partition",
        ),
    ];
    let envelope = Envelope {
        event_type,
        required: &REQUIRED_OF_OUTPUTS,
        more: more
            .into_iter()
            .map(|(name, what)| (name.to_owned(), extension(what)))
            .collect(),
    };
    envelope.around(data, definitions)
}

/// A tick says nothing but that time has moved on.
fn tick() -> Value {
    let envelope = Envelope {
        event_type: "tick",
        required: &REQUIRED[..4],
        more: Map::new(),
    };
    envelope.around(json!({ "type": "object" }), Map::new())
}

const REQUIRED: [&str; 5] = ["specversion", "id", "source", "type", "data"];

const REQUIRED_OF_OUTPUTS: [&str; 11] = [
    "specversion",
    "id",
    "source",
    "type",
    "data",
    "subject",
    "time",
    "cause",
    "rulesversion",
    "partition",
    "commit",
];

fn data<T: JsonSchema>(settings: SchemaSettings) -> (Value, Map<String, Value>) {
    let mut generator = settings.into_generator();
    let data = generator.subschema_for::<T>();
    (data.into(), generator.take_definitions(true))
}

struct Envelope<'a> {
    event_type: &'a str,
    required: &'a [&'a str],
    more: Map<String, Value>,
}

impl Envelope<'_> {
    /// The event around its data. Other attributes (extensions) are allowed, as CloudEvents wants it.
    fn around(self, data: Value, definitions: Map<String, Value>) -> Value {
        let mut properties = json!({
            "specversion": { "const": SPECVERSION },
            "id": { "type": "string", "minLength": 1, "maxLength": EVENT_ID_BYTES_MAX,
                "description": "with `source` names the event; at most 256 bytes" },
            "source": { "type": "string", "minLength": 1, "maxLength": EVENT_SOURCE_BYTES_MAX,
                "description": "where it comes from, a URI reference" },
            "type": { "const": self.event_type },
            "subject": { "type": "string", "minLength": 1 },
            "time": { "type": "string", "format": "date-time" },
            "datacontenttype": { "type": "string" },
            "data": data,
        });
        if let Some(properties) = properties.as_object_mut() {
            properties.extend(self.more);
        }
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.event_type,
            "type": "object",
            "required": self.required,
            "properties": properties,
        });
        if !definitions.is_empty() {
            schema["$defs"] = Value::Object(definitions);
        }
        schema
    }
}
