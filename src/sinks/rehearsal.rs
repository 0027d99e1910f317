//! Tries every template and condition of a destination on the example of every output type it is for, with and without
//! the optional fields: what would fail on the first real output fails here.
//!
//! Nothing is sent. `file` rehearses over the examples' whole data; `aftercall check` again over what the field policy
//! leaves of it, since a template cannot print what may not leave.

use aftercall_actors::contract::event::Kept;
use serde_json::{Value, json};

use super::{
    destination::{Destination, Destinations},
    examples,
    fields::{Allowed, FieldPolicy},
    http::listing,
    scope::Scope,
    spec::AuthSpec,
};
use crate::delivery::{attempt::Fault, parcel::Parcel};

pub(super) mod stage;

pub use stage::{Note, Rehearsed};

use stage::{Example, Stage};

/// What may leave of an output.
pub struct Leaving {
    /// Its subject; empty if that may not leave.
    pub subject: String,
    /// Its data.
    pub data: Value,
}

/// Why it is not known what may leave.
pub enum Withheld {
    /// Nothing may, so no attempt would ever be sent.
    ForGood(String),
    /// It takes a key that is not here. It may well be where the program runs.
    ForNow(String),
}

/// What may leave for a destination: the field policy's answer, or everything.
pub type Leaves<'a> = dyn Fn(&str, &Parcel) -> Result<Leaving, Withheld> + 'a;

/// Everything leaves: what templates and conditions can see at most.
///
/// # Errors
/// None.
pub fn everything(_: &str, parcel: &Parcel) -> Result<Leaving, Withheld> {
    Ok(Leaving {
        subject: parcel.subject.clone(),
        data: parcel.data.clone(),
    })
}

/// What a field policy lets leave.
pub fn by_policy(policy: &FieldPolicy) -> impl Fn(&str, &Parcel) -> Result<Leaving, Withheld> + '_ {
    |destination, parcel| match policy.allow(destination, parcel) {
        Ok(Allowed { subject, data, .. }) => Ok(Leaving {
            subject: subject
                .as_ref()
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            data,
        }),
        Err(error) => Err(match error.fault() {
            Fault::NotReady(_) | Fault::Misconfigured(_) => Withheld::ForNow(error.to_string()),
            Fault::Unsendable(_)
            | Fault::Connect(_)
            | Fault::Timeout(_)
            | Fault::Lost(_)
            | Fault::TooLong(_)
            | Fault::InDoubt { .. } => Withheld::ForGood(error.to_string()),
        }),
    }
}

/// Rehearses all destinations and the recipients they need.
#[must_use]
pub fn rehearse(destinations: &Destinations, leaves: &Leaves<'_>) -> Rehearsed {
    let mut all = Rehearsed::default();
    for destination in &destinations.destinations {
        let mut rehearsal = Rehearsal {
            destinations,
            destination,
            leaves,
            stage: Stage {
                name: &destination.name,
                body_bytes_max: destination.body_bytes_max,
                shows: destination.auth != AuthSpec::None,
                recipients: &destinations.recipients,
                fallbacks: &destination.fallbacks,
                lookup: destination.lookup.as_ref(),
                kept: sample(destination),
                found: &mut all,
            },
        };
        rehearsal.rehearse();
    }
    all.mistakes.sort();
    all.mistakes.dedup();
    all.warnings.sort();
    all.warnings.dedup();
    all
}

struct Rehearsal<'a> {
    destinations: &'a Destinations,
    destination: &'a Destination,
    leaves: &'a Leaves<'a>,
    stage: Stage<'a>,
}

impl Rehearsal<'_> {
    fn rehearse(&mut self) {
        if let Some(list) = &self.destination.list {
            let vars = Scope::of_vars(&self.destinations.vars);
            let first = listing::scope(&vars, "2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z");
            self.stage.request(&list.request, &first, "the first page");
            let later = first.with("cursor", json!("100"));
            self.stage.request(&list.request, &later, "a later page");
        }
        let mut tried = false;
        for event_type in self.destination.selector.types() {
            let full = (
                examples::of(event_type),
                format!("the example of {event_type}"),
            );
            let bare = (
                examples::bare(event_type),
                format!("the example of {event_type} without its optional fields"),
            );
            for (parcel, name) in [full, bare] {
                if let Some(parcel) = parcel {
                    tried |= self.on(&parcel, &name, true);
                }
            }
        }
        if !tried {
            self.rehearse_unselected();
        }
    }

    /// No example is of the sort that the destination takes, so what fails on them may well work on those it takes.
    fn rehearse_unselected(&mut self) {
        let mistakes = self.stage.found.mistakes.len();
        let mut parcels = self.destination.selector.types().filter_map(examples::of);
        if let Some(parcel) = parcels.next() {
            let name = format!("the example of {}", parcel.event_type);
            self.on(&parcel, &name, false);
        }
        let doubtful = self.stage.found.mistakes.split_off(mistakes);
        self.stage
            .found
            .warnings
            .extend(doubtful.into_iter().map(|Note { key, text }| Note {
                key,
                text: format!("`when` holds for no example, so this may be right: {text}"),
            }));
    }

    /// Tries one output; false if the destination does not take it.
    fn on(&mut self, parcel: &Parcel, name: &str, only_selected: bool) -> bool {
        let parcel = &self.with_every_kept_id(parcel);
        if let Some(when) = self.destination.selector.when()
            && only_selected
        {
            let scope = Scope::default().with_output(parcel, parcel.data.clone());
            match when.holds(&scope) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    self.stage.mistake("when", format!("over {name}: {error}"));
                    return false;
                }
            }
        }
        // Whatever stays inside sees everything: threads, and who a message is for.
        let inside =
            Scope::of_vars(&self.destinations.vars).with_output(parcel, parcel.data.clone());
        if let Some(thread) = &self.destination.thread {
            self.stage.render(thread, &inside, name);
        }
        let scope = match (self.leaves)(&self.destination.name, parcel) {
            Ok(Leaving { subject, data }) => {
                let subject = Value::String(subject);
                inside.clone().with("subject", subject).with_data(data)
            }
            Err(Withheld::ForGood(why)) => {
                self.stage.mistake("on", format!("over {name}: {why}"));
                return true;
            }
            Err(Withheld::ForNow(why)) => {
                self.stage.found.warnings.push(Note {
                    key: format!("destination {:?}.on", self.destination.name),
                    text: format!("not tried: {why}"),
                });
                return true;
            }
        };
        let example = Example {
            inside: &inside,
            scope: &scope,
            name,
        };
        let sink = self.destination.channel.sink();
        sink.rehearse(&mut self.stage, example);
        true
    }

    /// Where an output has ids that were kept, those that any destination keeps: a reversal may go to another than its
    /// reward.
    fn with_every_kept_id(&self, parcel: &Parcel) -> Parcel {
        let mut parcel = parcel.clone();
        if let Some(kept) = parcel.data.get_mut("kept") {
            let all = self.destinations.destinations.iter();
            let all: Kept = all.flat_map(sample).collect();
            *kept = json!(all);
        }
        parcel
    }
}

/// What a destination may keep of an answer.
fn sample(destination: &Destination) -> Kept {
    let names = destination.judgement.keep.iter().map(|(name, _)| name);
    names
        .map(|name| (name.clone(), "SAMPLE-1".to_owned()))
        .collect()
}
