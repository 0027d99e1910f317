//! The alert that a survey response raises: one, whatever number of rules hold (S2.04, S2.07, S2.10).
//!
//! Pure function of the response and the rules that hold for it; whether it has alerted before is for
//! `surveys` to know. What only others know (recording, summary) is marked as missing; `enrichment` has it
//! looked up (S2.08, S2.12). [`notice`] is the other sort: an alert that no response and no interaction stands behind.

pub mod enrichment;
pub mod operator;

use crate::{
    contract::{
        event::{ActorRef, Channel, SurveyResponse},
        key::Key,
        output::{Alert, Audience, Recording, RecordingStatus, Severity},
        time::EventTime,
    },
    rules::{Action, Hit, Rule},
    turn::Turn,
};
use xxhash_rust::xxh3::xxh3_128;

/// Most of a comment that travels in an alert, in characters.
pub const COMMENT_CHARS_MAX: usize = 4_000;

/// Most keywords that an alert names, the first of the rules that hold.
pub const KEYWORDS_MAX: usize = 64;

/// Most of an agent's name that travels in an alert, in characters.
pub const NAME_CHARS_MAX: usize = 200;

/// What a text ends with that was cut.
pub const SHORTENED: &str = "… (shortened)";

/// Longest id of an alert, in bytes: ids of what belongs to it (questions, updates) begin with it, and are ids too.
pub const ALERT_ID_BYTES_MAX: usize = 224;

/// The rule to alert under: the most severe one, and of equals the first in the file.
#[must_use]
pub fn foremost<'a>(hits: &[Hit<'a>]) -> Option<(&'a Rule, Severity)> {
    let mut foremost: Option<(&Rule, Severity)> = None;
    for hit in hits {
        match &hit.rule.action {
            Action::Alert { severity } => {
                if foremost.is_none_or(|(_, most)| *severity > most) {
                    foremost = Some((hit.rule, *severity));
                }
            }
            Action::Coaching { .. } | Action::Segment { .. } | Action::Points { .. } => {}
        }
    }
    foremost
}

/// The alert under the rule of that name, with the keywords of all rules that hold.
#[must_use]
pub fn alert(
    turn: &Turn<'_>,
    (rule, severity): (&str, Severity),
    event: &SurveyResponse,
    hits: &[Hit<'_>],
) -> Alert {
    let text = |id: &Option<crate::contract::value::Id>| id.as_deref().map(str::to_owned);
    let routing = &event.routing;
    let mut missing = vec!["recording".to_owned()];
    if event.channel.is_none_or(Channel::is_digital) {
        missing.push("summary".to_owned());
    }
    if routing.agent_id.is_some() && routing.agent_name.is_none() {
        missing.push("agent_name".to_owned());
    }
    let mut keywords: Vec<String> = Vec::new();
    for keyword in hits.iter().flat_map(|hit| &hit.keywords) {
        if !keywords.contains(keyword) && keywords.len() < KEYWORDS_MAX {
            keywords.push(keyword.clone());
        }
    }
    Alert {
        alert_id: alert_id(rule, &event.response_id),
        rule: rule.to_owned(),
        severity,
        audience: Audience::Supervisor,
        owner: ActorRef::from(turn.key),
        agent_id: text(&routing.agent_id),
        agent_name: routing.agent_name.clone().map(name),
        queue_id: text(&routing.queue_id),
        interaction_id: Some(event.interaction_id.to_string()),
        response_id: Some(event.response_id.to_string()),
        csat: event.csat.map(|csat| csat.0),
        comment: event.comment.as_deref().map(cut),
        keywords,
        recording: Recording {
            status: RecordingStatus::Pending,
            url: None,
        },
        summary: None,
        missing,
        raised_at: EventTime(turn.now.0),
    }
}

/// An alert about no interaction: about an agent's reward, for administration, or about the system itself, for
/// operations. Its `summary` is the sentence for people.
#[must_use]
pub fn notice(
    turn: &Turn<'_>,
    alert_id: String,
    (rule, severity): (&str, Severity),
    summary: String,
) -> Alert {
    Alert {
        alert_id,
        rule: rule.to_owned(),
        severity,
        audience: match turn.key {
            Key::Agent(_) => Audience::Administration,
            Key::Bot(_) | Key::Queue(_) | Key::Unassigned | Key::Customer(_) | Key::Caller(_) => {
                Audience::Operations
            }
        },
        owner: ActorRef::from(turn.key),
        agent_id: match turn.key {
            Key::Agent(id) => Some(id.to_owned()),
            Key::Bot(_) | Key::Queue(_) | Key::Unassigned | Key::Customer(_) | Key::Caller(_) => {
                None
            }
        },
        agent_name: None,
        queue_id: None,
        interaction_id: None,
        response_id: None,
        csat: None,
        comment: None,
        keywords: Vec::new(),
        recording: Recording {
            status: RecordingStatus::Unavailable,
            url: None,
        },
        summary: Some(summary),
        missing: Vec::new(),
        raised_at: EventTime(turn.now.0),
    }
}

/// An agent's name as it is shown: of a longer one its first [`NAME_CHARS_MAX`] characters.
pub(crate) fn name(mut name: String) -> String {
    if let Some((end, _)) = name.char_indices().nth(NAME_CHARS_MAX) {
        name.truncate(end);
    }
    name
}

/// At most [`COMMENT_CHARS_MAX`] characters: of a longer comment the beginning, which says that it goes on.
fn cut(comment: &str) -> String {
    // Bytes bound characters from above, so most comments are never counted.
    if comment.len() <= COMMENT_CHARS_MAX || comment.chars().nth(COMMENT_CHARS_MAX).is_none() {
        return comment.to_owned();
    }
    let mark = SHORTENED.chars().count();
    comment
        .chars()
        .take(COMMENT_CHARS_MAX - mark)
        .chain(SHORTENED.chars())
        .collect()
}

/// `<rule>:<response id>`, which names the alert wherever it goes. Where that would be longer than an alert's id may
/// be, a hash stands in for the response id.
pub(crate) fn alert_id(rule: &str, response_id: &str) -> String {
    let id = format!("{rule}:{response_id}");
    if id.len() <= ALERT_ID_BYTES_MAX {
        id
    } else {
        format!("{rule}:#{:032x}", xxh3_128(response_id.as_bytes()))
    }
}
