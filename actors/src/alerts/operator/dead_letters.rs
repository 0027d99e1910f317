//! Storms of dead letters: one alert to operators for each destination that gives up, not one an output.
//!
//! A destination that is down gives up on everything that is sent to it, and says so at most once a minute. The first
//! word of it raises an alert; those that follow, each within [`STORM_MS`] of the one before, belong to the same storm.
//! Outputs that wait for the right credentials are a storm of their own: nothing is given up, and an operator can help.
//! No owner of interactions has part in it, so the actor of unassigned work holds them. Used by `agent`.

use prost::Message as _;

use crate::{
    alerts,
    contract::{
        event::{DeadLettered, Event},
        output::{Alert, Output, Severity},
        time::LogTime,
        value::DestinationName,
    },
    dedupe::{Dedupe, KeyHash},
    effect::{Effect, Ignored},
    stored::{
        changes::stores_changes_of,
        state::{StoredAgent, StoredStorm},
        wire,
    },
    turn::Turn,
};

/// A storm ends this long after its last dead letter, in milliseconds of log time.
pub const STORM_MS: i64 = 15 * 60 * 1_000;

/// How long an event is remembered, in milliseconds of log time: it raises no second alert after its storm.
const DEDUPE_MS: i64 = 24 * 60 * 60 * 1_000;

/// Most of a reason that an alert repeats, in characters.
const REASON_CHARS_MAX: usize = 200;

/// Most storms at once. There are as many destinations as a file names; names from elsewhere must not fill the actor.
const STORMS_MAX: usize = 256;

/// The rule these alerts name, though no file has it.
const RULE: &str = "dead_letters";

/// What these name that are about credentials.
const MISCONFIGURED: &str = "misconfigured";

#[derive(Clone, Debug, PartialEq)]
struct Storm {
    destination: DestinationName,
    is_misconfigured: bool,
    alert_id: String,
    /// When its last dead letter was told of.
    last_at: LogTime,
}

/// Storms that go on, in the order in which they began.
///
/// Clock: log time. Boundary: what comes [`STORM_MS`] after the last begins another storm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeadLetterAlerts {
    seen: Dedupe<()>,
    storms: Vec<Storm>,
}

impl DeadLetterAlerts {
    /// Takes word of dead letters, and raises an alert if it is the first of a storm.
    pub fn tell(&mut self, turn: &mut Turn<'_>, event: &Event, told: &DeadLettered) {
        let now = turn.now;
        self.seen.expire(now, DEDUPE_MS);
        self.storms.retain(|storm| !is_over(storm, now));
        // A source and an id name an event; the length keeps the one from running into the other.
        let name = format!("{}{}", event.source, event.id);
        let seen = KeyHash::of(&name, event.source.len() as u64);
        if self.seen.get(seen).is_some() {
            return turn.ignore(Ignored::Duplicate);
        }
        if !self.seen.add(now, seen, ()) {
            turn.ignore(Ignored::DedupeOverflow);
        }
        let is_misconfigured = told.reason == MISCONFIGURED;
        let known = |storm: &&mut Storm| {
            storm.destination == told.destination && storm.is_misconfigured == is_misconfigured
        };
        if let Some(storm) = self.storms.iter_mut().find(known) {
            storm.last_at = storm.last_at.max(now);
            return turn.ignore(Ignored::AlreadyAlerted);
        }
        let alert = alert(turn, event, told);
        if self.storms.len() >= STORMS_MAX {
            self.storms.remove(0);
            turn.ignore(Ignored::WaitOverflow);
        }
        self.storms.push(Storm {
            destination: told.destination.clone(),
            is_misconfigured,
            alert_id: alert.alert_id.clone(),
            last_at: now,
        });
        turn.effects.push(Effect::Emit {
            id: alert.alert_id.clone(),
            output: Output::AlertRaised(alert),
        });
    }

    /// Whether an alert of this id was raised for a storm that goes on.
    #[must_use]
    pub fn has_alerted(&self, now: LogTime, alert_id: &str) -> bool {
        let mut going_on = self.storms.iter().filter(|storm| !is_over(storm, now));
        going_on.any(|storm| storm.alert_id == alert_id)
    }

    /// Whether nothing is remembered at `now`.
    #[must_use]
    pub fn is_blank(&self, now: LogTime) -> bool {
        self.seen.is_blank(now, DEDUPE_MS) && self.storms.iter().all(|storm| is_over(storm, now))
    }
}

stores_changes_of!(seen of DeadLetterAlerts);

impl DeadLetterAlerts {
    /// Takes the storms that go on from another.
    pub(crate) fn take_going_on(&mut self, other: &Self) {
        self.storms.clone_from(&other.storms);
    }
}

fn is_over(storm: &Storm, now: LogTime) -> bool {
    now.since_ms(storm.last_at) >= STORM_MS
}

fn alert(turn: &Turn<'_>, event: &Event, told: &DeadLettered) -> Alert {
    let DeadLettered {
        destination, count, ..
    } = told;
    let reason: String = told.reason.chars().take(REASON_CHARS_MAX).collect();
    let outputs = if *count == 1 { "output" } else { "outputs" };
    let severity = told.severity.unwrap_or(Severity::Critical);
    if told.reason == MISCONFIGURED {
        let detail = told.detail.as_deref().unwrap_or("no reason given");
        let detail: String = detail.chars().take(REASON_CHARS_MAX).collect();
        let id = alerts::alert_id(MISCONFIGURED, &format!("{destination}:{}", event.id));
        let summary = format!(
            "destination {destination} does not accept our credentials, or they are missing: {detail}; {count} {outputs} \
             and all later ones wait, none is lost, and it goes on by itself once they are right"
        );
        return alerts::notice(turn, id, (MISCONFIGURED, severity), summary);
    }
    let id = alerts::alert_id(RULE, &format!("{destination}:{}", event.id));
    let summary = format!(
        "destination {destination} has given up on {count} {outputs}; last reason: {reason}"
    );
    alerts::notice(turn, id, (RULE, severity), summary)
}

/// Tags in the stored agent.
const STORMS: u32 = 43;
const SEEN_KEYS: u32 = 44;
const SEEN_AT: u32 = 45;

impl DeadLetterAlerts {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        self.encode_going_on(into);
        self.seen.encode(SEEN_KEYS, SEEN_AT, into);
    }

    /// The storms alone.
    pub(crate) fn encode_going_on(&self, into: &mut Vec<u8>) {
        for storm in &self.storms {
            let stored = StoredStorm {
                destination: storm.destination.to_string(),
                alert_id: storm.alert_id.clone(),
                last_at: storm.last_at.0,
                is_misconfigured: storm.is_misconfigured,
            };
            wire::bytes(STORMS, &stored.encode_to_vec(), into);
        }
    }

    /// `None` if the columns do not fit together, or a destination has no name.
    pub(crate) fn decode(stored: &StoredAgent) -> Option<Self> {
        let storm = |stored: &StoredStorm| {
            Some(Storm {
                destination: DestinationName::new(&*stored.destination).ok()?,
                alert_id: stored.alert_id.clone(),
                last_at: LogTime(stored.last_at),
                is_misconfigured: stored.is_misconfigured,
            })
        };
        Some(Self {
            seen: Dedupe::decode(&stored.dead_letter_keys, &stored.dead_letter_at)?,
            storms: stored.storms.iter().map(storm).collect::<Option<_>>()?,
        })
    }
}
