//! Whether operators hear of a destination that gives up: its alarm is an alert, and alerts go through destinations.
//!
//! One that would have to tell of itself tells nothing while it fails. That shows only in all destinations together, so
//! `check` looks at them; it is a warning, since alerts may be read from the bus as well.

use aftercall_actors::contract::output::{Audience, Severity};
use serde_json::json;

use super::{destination::Destination, examples};
use crate::delivery::parcel::Parcel;

/// What is amiss, a line each.
#[must_use]
pub fn warnings(destinations: &[Destination]) -> Vec<String> {
    let told = destinations.iter().filter_map(|destination| {
        let alarm = alarm_of(destination)?;
        let mut takers = destinations.iter();
        takers
            .any(|other| other.selector.selects(&alarm))
            .then_some((destination, alarm))
    });
    let alone = told.filter(|(destination, alarm)| {
        let mut takers = destinations
            .iter()
            .filter(|other| other.selector.selects(alarm));
        takers.all(|taker| taker.name == destination.name)
    });
    let warning = |(destination, _): (&Destination, Parcel)| {
        let name = &destination.name;
        format!(
            "destination {name} is the only one that takes the alert that {name} gives up, so that is not heard of while it \
             fails: let a second one take alerts of operations, as with `when = \"has(data.audience) && data.audience == \
             'operations'\"`, or say `alarm = \"off\"`"
        )
    };
    alone.map(warning).collect()
}

/// The alert that a destination gives up, if it raises one.
fn alarm_of(destination: &Destination) -> Option<Parcel> {
    let severity = match destination.alarm? {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let mut parcel = examples::of("alert.raised")?;
    let raised_at = parcel.data.get("raised_at")?.clone();
    "queue/_".clone_into(&mut parcel.subject);
    parcel.data = json!({
        "alert_id": format!("dead_letters:{}:1", destination.name),
        "rule": "dead_letters",
        "severity": severity,
        "audience": Audience::Operations.name(),
        "owner": "queue/_",
        "keywords": [],
        "recording": { "status": "unavailable" },
        "summary": format!("destination {} has given up on 1 output", destination.name),
        "missing": [],
        "raised_at": raised_at,
    });
    Some(parcel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::load;

    const FIELDS: &str = "[destination.a]\nrule = \"plain\"\n[destination.b]\nrule = \"plain\"\n";

    fn destination(name: &str, on: &str, more: &str) -> String {
        format!(
            "[[destination]]\nname = \"{name}\"\non = [\"{on}\"]\nchannel = \"http\"\n\
             url = \"https://{name}.example.com/\"\n{more}\n"
        )
    }

    fn warned(destinations: &[String]) -> Vec<String> {
        let loaded = load::parse((&destinations.concat(), "d"), Some((FIELDS, "f"))).unwrap();
        warnings(&loaded.destinations().destinations)
    }

    #[test]
    fn s3_08_s3_16_a_destination_that_would_have_to_tell_of_itself_is_warned_of() {
        let alerts = destination("a", "alert", "");
        let said = warned(&[
            alerts.clone(),
            destination("b", "reward", "outcome = { event = \"reward.outcome\" }"),
        ]);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0]
                .starts_with("destination a is the only one that takes the alert that a gives up")
        );
        // A second one that takes such alerts; by itself each would be deaf.
        let operations = "when = \"has(data.audience) && data.audience == 'operations'\"";
        let second = destination("b", "alert.raised", operations);
        assert_eq!(warned(&[alerts.clone(), second]), [""; 0]);
        let supervisors = "when = \"!has(data.audience) || data.audience == 'supervisor'\"";
        let second = destination("b", "alert.raised", supervisors);
        assert_eq!(warned(&[alerts, second.clone()]).len(), 1);
        // Who has no alarm, or tells operations of nothing, is not meant.
        assert_eq!(
            warned(&[destination("a", "alert", "alarm = \"off\"")]),
            [""; 0]
        );
        assert_eq!(warned(&[second]), [""; 0]);
    }

    #[test]
    fn s3_16_the_severity_of_the_alarm_is_the_destinations() {
        // The critical ones reach another, the warnings only itself.
        let critical = destination("b", "alert", "when = \"data.severity == 'critical'\"");
        let quiet = destination("a", "alert", "alarm = \"warning\"");
        assert_eq!(warned(&[quiet, critical]).len(), 1);
    }
}
