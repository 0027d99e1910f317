//! The completion that decided a customer's segments, as far as it is needed to decide again (S4.09).
//!
//! Agents change dispositions after the call, and segment rules read them. Most rule sets read nothing else of the
//! event, and then a hash of the interaction is all that is kept; of others, what they read. Used by `customer`.

use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

/// Most that is kept of what segment rules read, in bytes of JSON. Of a longer completion it is not known, and a later
/// disposition changes no segment.
pub const READ_BYTES_MAX: usize = 16 * 1024;

use crate::{
    contract::{
        event::{Channel, InteractionCompleted, InteractionUpdated},
        time::EventTime,
    },
    customer::history::History,
    rules::RuleSet,
    stored::{state::StoredCustomer, wire},
};

/// The latest completion that was taken into the history, for as long as it is in it.
///
/// Boundary: a change counts if it happened after what said the disposition before.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// Hash of the interaction's id.
    interaction: u64,
    /// Event time as of which the disposition stands; `None` without one.
    as_of: Option<EventTime>,
    /// What segment rules read of it, as the text of a JSON object, if they read more than the disposition.
    read: Option<Box<str>>,
}

impl Decided {
    /// Notes a completion under the rules that decided.
    #[must_use]
    pub fn by(event: &InteractionCompleted, as_of: Option<EventTime>, rules: &RuleSet) -> Self {
        Self {
            interaction: xxh3_64(event.interaction_id.as_bytes()),
            as_of,
            read: read_by(event, rules.segment_reads()),
        }
    }

    /// Whether it was a completion of this interaction.
    #[must_use]
    pub fn is_of(&self, interaction_id: &str) -> bool {
        self.interaction == xxh3_64(interaction_id.as_bytes())
    }

    /// Whether its contact is still held.
    #[must_use]
    pub fn is_in(&self, history: &History) -> bool {
        history.place_of(self.interaction).is_some()
    }

    /// Whether its disposition is newer than this change.
    #[must_use]
    pub fn is_newer_than(&self, event: &InteractionUpdated) -> bool {
        self.as_of.is_some_and(|as_of| as_of > event.updated_at)
    }

    /// The completion with the disposition it has now, for segment rules; `None` if they read what was not kept,
    /// because other rules held then.
    pub fn revise(
        &mut self,
        event: &InteractionUpdated,
        disposition: &str,
        rules: &RuleSet,
    ) -> Option<InteractionCompleted> {
        self.as_of = Some(event.updated_at);
        let mut read: Map<String, Value> = match &self.read {
            Some(text) => serde_json::from_str(text).ok()?,
            None => Map::new(),
        };
        if rules
            .segment_reads()
            .iter()
            .any(|name| !read.contains_key(*name))
        {
            return None;
        }
        // What no rule reads, and the type asks for.
        for (name, value) in [
            ("channel", Value::from(Channel::Other.name())),
            ("started_at", Value::from(0)),
            ("ended_at", Value::from(0)),
        ] {
            read.entry(name).or_insert(value);
        }
        read.insert("interaction_id".into(), (*event.interaction_id).into());
        read.insert("disposition".into(), disposition.into());
        serde_json::from_value(Value::Object(read)).ok()
    }
}

/// The fields of these names; `null` or an empty list for one the event does not have, which says that it was looked for.
fn read_by(event: &InteractionCompleted, names: &[&'static str]) -> Option<Box<str>> {
    if names.is_empty() {
        return None;
    }
    // Plain data with string keys: always an object.
    let Ok(Value::Object(mut all)) = serde_json::to_value(event) else {
        return None;
    };
    let read: Map<String, Value> = names
        .iter()
        .map(|name| {
            let nothing = match *name {
                "skills" | "tags" => Value::Array(Vec::new()),
                _other => Value::Null,
            };
            (String::from(*name), all.remove(*name).unwrap_or(nothing))
        })
        .collect();
    let read = Value::Object(read).to_string();
    (read.len() <= READ_BYTES_MAX).then(|| read.into_boxed_str())
}

/// Tags in the stored customer.
const BY: u32 = 17;
const AS_OF: u32 = 18;
const ON: u32 = 19;

impl Decided {
    pub(crate) fn encode(&self, history: &History, into: &mut Vec<u8>) {
        let Some(place) = history.place_of(self.interaction) else {
            return;
        };
        wire::uint(BY, place as u64, into);
        let since_newest = |as_of: EventTime| as_of.0.wrapping_sub(history.newest_ms());
        wire::optional_sint(AS_OF, self.as_of.map(since_newest), into);
        if let Some(read) = &self.read {
            wire::bytes(ON, read.as_bytes(), into);
        }
    }

    /// `None` if the history has no such contact, or something is kept of none.
    pub(crate) fn decode(stored: &mut StoredCustomer, history: &History) -> Option<Option<Self>> {
        let read = stored.decided_on.take().map(String::into_boxed_str);
        let Some(place) = stored.decided_by else {
            return (stored.decided_as_of.is_none() && read.is_none()).then_some(None);
        };
        let as_of = stored.decided_as_of;
        Some(Some(Self {
            interaction: history.interaction_at(usize::try_from(place).ok()?)?,
            as_of: as_of.map(|ms| EventTime(history.newest_ms().wrapping_add(ms))),
            read,
        }))
    }
}
