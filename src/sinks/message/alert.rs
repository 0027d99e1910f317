//! What an alert says: who, what score, in whose words, by which rule, where to look, and what is not known (S2.07,
//! S2.10, S2.12).

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Fact, Link, LinkVar, Message, Occasion, Parcel, Tone, link,
    outside::{isolated, line, one_line},
    web_address, words,
};

pub(super) fn compose(
    parcel: &Parcel,
    vars: &BTreeMap<String, String>,
    missing: &[String],
) -> Message {
    let alert = Alert(&parcel.data);
    let severity = alert.text("severity");
    let reference = alert.line("alert_id").unwrap_or_else(|| line(&parcel.id));
    Message {
        occasion: match parcel.event_type.as_str() {
            "alert.updated" => Occasion::Update,
            "alert.escalated" => Occasion::Escalation,
            _ => Occasion::First,
        },
        tone: match severity.as_deref() {
            Some("critical") => Tone::Critical,
            Some("info") => Tone::Calm,
            _ => Tone::Warning,
        },
        headline: alert.headline(severity.as_deref(), &parcel.subject),
        facts: alert.facts(&parcel.subject),
        passages: alert.passages(),
        links: alert.links(vars),
        notes: alert.notes(vars, missing),
        reference,
    }
}

/// An alert's data as it may leave: any field may be masked, or not there.
struct Alert<'a>(&'a Value);

impl Alert<'_> {
    fn text(&self, field: &str) -> Option<String> {
        words::text(self.0.get(field)?)
    }

    /// A text as one line.
    fn line(&self, field: &str) -> Option<String> {
        Some(line(&self.text(field)?))
    }

    fn recording(&self, field: &str) -> Option<&str> {
        self.0.get("recording")?.get(field)?.as_str()
    }

    /// Whether it is about an interaction: whichever of an interaction's fields may leave, one of them is there.
    fn is_of_interaction(&self) -> bool {
        let fields = ["interaction_id", "response_id", "csat", "comment"];
        fields.iter().any(|field| self.text(field).is_some())
    }

    /// Whether a lookup was made for it: what was lost stays named as missing. Where `missing` may not leave, it is
    /// assumed.
    fn was_looked_for(&self, name: &str) -> bool {
        let missing = self.0.get("missing").and_then(Value::as_array);
        missing.is_none_or(|missing| missing.iter().any(|missing| missing == name))
    }

    fn headline(&self, severity: Option<&str>, subject: &str) -> String {
        let kind = match severity {
            Some(severity) => format!("{} alert", words::label(severity)),
            None => "Alert".to_owned(),
        };
        let what = match (self.line("csat"), self.line("rule")) {
            (Some(csat), _) => format!("{csat}/5"),
            (None, Some(rule)) => words::spaced(&rule),
            (None, None) => String::new(),
        };
        let who = self.who(subject);
        match (what.as_str(), who) {
            ("", None) => kind,
            ("", Some(who)) => format!("{kind} for {who}"),
            (what, None) => format!("{kind}: {what}"),
            (what, Some(who)) => format!("{kind}: {what} for {who}"),
        }
    }

    /// Who handled it: an agent by name and id, or by the id alone if the name is not known any more; a bot; nobody.
    ///
    /// Of the envelope's subject only bots and queues are told: an agent's id that the policy keeps back must not leave
    /// by another door. Source: S2.10.
    fn who(&self, subject: &str) -> Option<String> {
        match (self.line("agent_name"), self.line("agent_id")) {
            (Some(name), Some(id)) if name != id => {
                return Some(format!("{} ({})", isolated(&name), isolated(&id)));
            }
            (Some(who), _) | (None, Some(who)) => return Some(isolated(&who)),
            (None, None) => {}
        }
        let owner = self.text("owner");
        match owner.as_deref().unwrap_or(subject).split_once('/') {
            Some(("bot", id)) => Some(format!("bot {}", isolated(&line(id)))),
            // Of nobody, and about nothing that somebody could have handled: dead letters.
            Some(("queue", "_")) if !self.is_of_interaction() => None,
            Some(("queue", _)) => Some("an unassigned interaction".to_owned()),
            _ => None,
        }
    }

    fn facts(&self, subject: &str) -> Vec<Fact> {
        let owner = self.text("owner");
        let is_bot = owner.as_deref().unwrap_or(subject).starts_with("bot/")
            && self.text("agent_id").is_none();
        let who = self.who(subject).map(|who| match is_bot {
            true => ("Handled by", who),
            false if self.text("agent_id").is_none() && self.text("agent_name").is_none() => {
                ("Agent", "unassigned".to_owned())
            }
            false => ("Agent", who),
        });
        let facts = [
            who,
            self.text("csat").map(|csat| ("Score", format!("{csat}/5"))),
            self.text("queue_id").map(|queue| ("Queue", queue)),
            self.text("rule").map(|rule| ("Rule", rule)),
            self.text("severity").map(|severity| ("Severity", severity)),
            self.text("keywords").map(|keywords| ("Keywords", keywords)),
            self.text("interaction_id").map(|id| ("Interaction", id)),
            self.text("raised_at").map(|at| ("Raised", at)),
        ];
        let fact = |(label, text): (&str, String)| Fact {
            label: label.to_owned(),
            text: one_line(&text),
        };
        facts.into_iter().flatten().map(fact).collect()
    }

    fn passages(&self) -> Vec<Fact> {
        let passages = [
            ("Comment", self.text("comment")),
            ("Summary", self.text("summary")),
        ];
        let said = |(label, text): (&str, Option<String>)| {
            Some(Fact {
                label: label.to_owned(),
                text: text?,
            })
        };
        passages.into_iter().filter_map(said).collect()
    }

    /// The way to the recording, once it is there.
    fn recording_link(&self, vars: &BTreeMap<String, String>) -> Option<Link> {
        let interaction = self.text("interaction_id");
        match self.recording("status") {
            Some("available") => self
                .recording("url")
                .and_then(web_address)
                .map(|url| Link {
                    label: "Listen to the recording".to_owned(),
                    url,
                })
                .or_else(|| {
                    let id = interaction.as_deref()?;
                    link(
                        vars,
                        LinkVar::Recording,
                        Some(id),
                        "Listen to the recording",
                    )
                }),
            _ => None,
        }
    }

    fn links(&self, vars: &BTreeMap<String, String>) -> Vec<Link> {
        let alert = self.text("alert_id");
        let recording = self.recording_link(vars);
        let interaction = self.text("interaction_id").and_then(|id| {
            link(
                vars,
                LinkVar::Interaction,
                Some(&id),
                "Open the interaction",
            )
        });
        let alert = alert.and_then(|id| link(vars, LinkVar::Alert, Some(&id), "Take up the alert"));
        [interaction, recording, alert]
            .into_iter()
            .flatten()
            .collect()
    }

    fn notes(&self, vars: &BTreeMap<String, String>, more: &[String]) -> Vec<String> {
        let mut notes = Vec::new();
        match self.recording("status") {
            Some("pending") => notes.push("Recording pending".to_owned()),
            // Its address may not leave, or is none.
            Some("available") if self.recording_link(vars).is_none() => {
                notes.push("Recording available".to_owned());
            }
            // A reward has none, nor has a destination that gave up; and with lookups off none was looked for.
            Some("unavailable") if self.is_of_interaction() && self.was_looked_for("recording") => {
                notes.push("Recording unavailable".to_owned());
            }
            Some(_) | None => {}
        }
        let listed = self.0.get("missing").and_then(Value::as_array);
        let listed = listed.into_iter().flatten().filter_map(Value::as_str);
        let mut missing: Vec<String> = Vec::new();
        for name in listed
            .map(words::spaced)
            .chain(more.iter().map(|more| line(more)))
        {
            // Said already, in words of its own.
            if name != "recording" && !missing.contains(&name) {
                missing.push(name);
            }
        }
        if !missing.is_empty() {
            notes.push(format!("Not known yet: {}", missing.join(", ")));
        }
        notes
    }
}
