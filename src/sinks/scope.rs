//! The variables that templates and expressions see: one set, so that a name means the same in both.

use std::collections::BTreeMap;

use aftercall_actors::contract::event::Kept;
use serde_json::{Map, Value};

use crate::delivery::{attempt::Answer, parcel::Parcel};

/// Names of an output's own attributes.
pub const OUTPUT: [&str; 5] = ["id", "type", "subject", "time", "data"];

/// What requests, headers and addresses are written with.
pub const REQUEST: [&str; 7] = ["id", "type", "subject", "time", "data", "kept", "vars"];

/// What messages to people are written with.
pub const MESSAGE: [&str; 7] = [
    "id",
    "type",
    "subject",
    "time",
    "data",
    "vars",
    "recipients",
];

/// What an answer is judged with.
pub const ANSWER: [&str; 11] = [
    "status", "headers", "body", "in_doubt", "id", "type", "subject", "time", "data", "kept",
    "vars",
];

/// What a list of rewards is asked for with.
pub const LISTING: [&str; 4] = ["vars", "from", "to", "cursor"];

/// What a page of such a list is read with.
pub const LISTED: [&str; 7] = ["status", "headers", "body", "vars", "from", "to", "cursor"];

/// Named JSON values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope(BTreeMap<&'static str, Value>);

impl Scope {
    /// The configuration's `[vars]` alone.
    #[must_use]
    pub fn of_vars(vars: &BTreeMap<String, String>) -> Self {
        let vars: Map<String, Value> = vars
            .iter()
            .map(|(name, value)| (name.clone(), Value::String(value.clone())))
            .collect();
        Self::default().with("vars", Value::Object(vars))
    }

    /// With the attributes of an output, and of its data what `data` holds: what the field policy lets through, or
    /// everything where nothing leaves the process (a selector).
    #[must_use]
    pub fn with_output(self, parcel: &Parcel, data: Value) -> Self {
        let text = |text: &str| Value::String(text.to_owned());
        let time = parcel.attributes.get("time").map_or("", String::as_str);
        self.with("id", text(&parcel.id))
            .with("type", text(&parcel.event_type))
            .with("subject", text(&parcel.subject))
            .with("time", text(time))
            .with_data(data)
    }

    /// With an output's data, of a reversal also the ids that its reward was given.
    #[must_use]
    pub fn with_data(self, data: Value) -> Self {
        let kept = data.get("kept").cloned().filter(Value::is_object);
        let kept = kept.unwrap_or_else(|| Value::Object(Map::new()));
        self.with("kept", kept).with("data", data)
    }

    /// With the ids that answers to attempts before have given the output.
    #[must_use]
    pub fn with_kept(self, kept: &Kept) -> Self {
        let mut all = match self.get("kept") {
            Some(Value::Object(all)) => all.clone(),
            Some(_) | None => Map::new(),
        };
        for (name, id) in kept {
            all.insert(name.clone(), Value::String(id.clone()));
        }
        self.with("kept", Value::Object(all))
    }

    /// With an answer. `in_doubt`, whether an attempt before may have been done, is false unless it was said before.
    #[must_use]
    pub fn with_answer(self, answer: &Answer) -> Self {
        let headers: Map<String, Value> = answer
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), Value::String(value.clone())))
            .collect();
        let in_doubt = self.get("in_doubt").cloned();
        self.with("status", answer.status.into())
            .with("in_doubt", in_doubt.unwrap_or(Value::Bool(false)))
            .with("headers", Value::Object(headers))
            .with("body", answer.body.clone())
    }

    /// With one more variable; of two with one name the later counts.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.insert(name, value);
        self
    }

    /// A variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}
