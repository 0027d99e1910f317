//! One output of each type, to try templates and conditions on before any real one comes.
//!
//! The files are the ones that document the contract; tests hold them against the schemas.

use aftercall_actors::contract::{output::Kind, time::LogTime};
use serde_json::Value;

use crate::{delivery::parcel::Parcel, schema};

/// Type and file.
const FILES: [(&str, &str); 12] = [
    (
        "alert.raised",
        include_str!("../../config/examples/alert.raised.json"),
    ),
    (
        "alert.updated",
        include_str!("../../config/examples/alert.updated.json"),
    ),
    (
        "alert.escalated",
        include_str!("../../config/examples/alert.escalated.json"),
    ),
    (
        "reward.requested",
        include_str!("../../config/examples/reward.requested.json"),
    ),
    (
        "reward.reversal.requested",
        include_str!("../../config/examples/reward.reversal.requested.json"),
    ),
    (
        "profile.updated",
        include_str!("../../config/examples/profile.updated.json"),
    ),
    (
        "interaction.outcome",
        include_str!("../../config/examples/interaction.outcome.json"),
    ),
    (
        "enps.scored",
        include_str!("../../config/examples/enps.scored.json"),
    ),
    (
        "coaching.requested",
        include_str!("../../config/examples/coaching.requested.json"),
    ),
    (
        "survey_token.requested",
        include_str!("../../config/examples/survey_token.requested.json"),
    ),
    (
        "identity.requested",
        include_str!("../../config/examples/identity.requested.json"),
    ),
    (
        "enrichment.requested",
        include_str!("../../config/examples/enrichment.requested.json"),
    ),
];

/// The example of an output type, as a destination would see it; `None` if there is no such type.
#[must_use]
pub fn of(event_type: &str) -> Option<Parcel> {
    let (_, text) = FILES.iter().find(|(name, _)| *name == event_type)?;
    let event: Value = serde_json::from_str(text).ok()?;
    let text = |name: &str| Some(event.get(name)?.as_str()?.to_owned());
    Some(Parcel {
        seq: 1,
        id: text("id")?,
        kind: Kind::of(event_type)?,
        event_type: event_type.to_owned(),
        subject: text("subject")?,
        stored_at: LogTime(0),
        attributes: event
            .as_object()?
            .iter()
            .filter(|(name, _)| !["id", "type", "subject", "data"].contains(&name.as_str()))
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
        data: event.get("data")?.clone(),
    })
}

/// The example without what its schema does not require: as bare as an output of the type can be.
#[must_use]
pub fn bare(event_type: &str) -> Option<Parcel> {
    let mut parcel = of(event_type)?;
    let schema = schema::of(event_type)?;
    let data = schema.pointer("/properties/data")?;
    strip(&mut parcel.data, data, &schema);
    Some(parcel)
}

/// Removes from `value` what `schema` does not require.
fn strip(value: &mut Value, schema: &Value, root: &Value) {
    let schema = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|pointer| root.pointer(pointer.trim_start_matches('#')))
        .unwrap_or(schema);
    let (Value::Object(fields), Some(properties)) = (value, schema.get("properties")) else {
        return;
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    fields.retain(|name, _| required.contains(&name.as_str()));
    for (name, field) in fields {
        if let Some(schema) = properties.get(name) {
            strip(field, schema, root);
        }
    }
}

#[cfg(test)]
mod tests {
    use aftercall_actors::contract::output::Output;

    use super::*;

    #[test]
    fn every_output_type_has_an_example_and_a_bare_one() {
        for event_type in Output::TYPES {
            let parcel = of(event_type).unwrap_or_else(|| panic!("{event_type}"));
            assert_eq!(parcel.event_type, event_type);
            assert!(parcel.attributes.contains_key("time"), "{event_type}");
            bare(event_type).unwrap_or_else(|| panic!("{event_type}"));
        }
        assert_eq!(of("interaction.completed"), None);
        let bare = bare("alert.raised").unwrap().data;
        let names: Vec<&String> = bare.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            [
                "alert_id",
                "keywords",
                "missing",
                "owner",
                "raised_at",
                "recording",
                "rule",
                "severity"
            ]
        );
        assert_eq!(bare["recording"], serde_json::json!({"status": "pending"}));
    }
}
