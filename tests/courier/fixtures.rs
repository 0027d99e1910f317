//! Couriers made of configuration text, as the program makes them, with secrets in files.

use std::{collections::BTreeSet, fs, sync::Arc};

use aftercall::{
    delivery::{
        attempt::{Answer, Attempt, Verdict},
        parcel::Parcel,
    },
    sinks::{
        courier::{Courier, couriers},
        examples,
        fields::FieldPolicy,
        file,
    },
};
use aftercall_actors::contract::output::Output;
use serde_json::Value;

/// Couriers and the secrets they read.
pub struct Office {
    couriers: Vec<Courier>,
    _secrets: tempfile::TempDir,
}

impl Office {
    /// Of the text of a `destinations.toml`. Each secret `env:NAME` is one in a file, and is `secret-NAME`. All fields
    /// of the examples may leave, for every destination.
    pub fn new(text: &str) -> Self {
        let secrets = tempfile::tempdir().expect("a directory for secrets");
        let mut rewritten = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("\"env:") {
            let (name, after) = after.split_once('"').expect("a name");
            let file = secrets.path().join(name);
            fs::write(&file, format!("secret-{name}\n")).expect("a secret");
            rewritten.push_str(before);
            rewritten.push_str(&format!("\"file:{}\"", file.display()));
            rest = after;
        }
        rewritten.push_str(rest);
        let checked = file::parse(&rewritten, "destinations.toml")
            .unwrap_or_else(|errors| panic!("{errors}"));
        let names: Vec<String> = checked
            .destinations
            .destinations
            .iter()
            .map(|destination| destination.name.clone())
            .collect();
        let fields = FieldPolicy::parse(&all_fields(&names), "fields.toml")
            .unwrap_or_else(|errors| panic!("{errors}"));
        Self {
            couriers: couriers(checked.destinations, &Arc::new(fields)).expect("couriers"),
            _secrets: secrets,
        }
    }

    pub fn courier(&self, name: &str) -> &Courier {
        self.couriers
            .iter()
            .find(|courier| courier.destination().name == name)
            .unwrap_or_else(|| panic!("no destination {name}"))
    }

    /// A first attempt at the only, or first, destination.
    pub async fn attempt(&self, parcel: &Parcel) -> Attempt {
        self.couriers[0].attempt(parcel, None, 1).await
    }

    /// An attempt at a later output of a thread.
    pub async fn next(&self, parcel: &Parcel, handle: &Value) -> Attempt {
        self.couriers[0].attempt(parcel, Some(handle), 1).await
    }
}

/// The example of an output type.
pub fn example(event_type: &str) -> Parcel {
    examples::of(event_type).expect("an example")
}

/// The answer of an attempt that had one.
pub fn answer(attempt: &Attempt) -> &Answer {
    attempt.result.as_ref().expect("an answer")
}

pub fn rejected(attempt: &Attempt) -> &str {
    match &attempt.verdict {
        Verdict::Rejected { why } => why,
        verdict => panic!("{verdict:?}"),
    }
}

/// A policy that lets every field of the examples leave for each of these.
fn all_fields(destinations: &[String]) -> String {
    let mut paths = BTreeSet::from(["subject".to_owned()]);
    for event_type in Output::TYPES {
        leaves(&example(event_type).data, String::new(), &mut paths);
    }
    let mut text = String::new();
    for destination in destinations {
        text.push_str(&format!("[destination.{destination}]\n"));
        for path in &paths {
            text.push_str(&format!("{path:?} = \"plain\"\n"));
        }
    }
    text
}

fn leaves(value: &Value, path: String, paths: &mut BTreeSet<String>) {
    let below = |name: &str| match path.is_empty() {
        true => name.to_owned(),
        false => format!("{path}.{name}"),
    };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                leaves(value, below(name), paths);
            }
        }
        Value::Array(_) => {
            paths.insert(below("*"));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            paths.insert(path);
        }
    }
}
