//! How interactions of a resolved customer ended, told to the customer data platform once that is final
//! (S5.06, S5.07).
//!
//! Agents choose a disposition when they wrap up, often after the completion was reported. A completion that has none
//! waits for it, and goes out as it is when the time is over: a late outcome is worth more than none. Events overtake
//! each other, so a disposition that comes before its completion is remembered for as long. Used by `customer`, which
//! sees that each completion comes once.

use prost::Message as _;

use crate::{
    effect::{Effect, Effects, Ignored},
    event::{Channel, InteractionCompleted, InteractionUpdated},
    output::{InteractionOutcome, Output, output_id},
    state::{StoredCustomer, StoredEarly, StoredTracked},
    time::{EventTime, LogTime},
    value::Id,
    wire,
};

/// Most completions of one customer that wait; above it the oldest goes out as it is.
pub const WAITING_MAX: usize = 64;

/// Most dispositions of one customer that are remembered for completions to come; above it the oldest is forgotten.
pub const EARLY_MAX: usize = 16;

/// Longest disposition that is remembered, in bytes.
pub const DISPOSITION_BYTES_MAX: usize = 256;

/// A completion that waits for its disposition.
#[derive(Clone, Debug, PartialEq)]
struct Waiting {
    outcome: InteractionOutcome,
    started_at: EventTime,
    /// When it goes out as it is.
    until: LogTime,
}

/// A disposition that no completion waited for.
#[derive(Clone, Debug, PartialEq)]
struct Early {
    interaction_id: Box<str>,
    disposition: Box<str>,
    /// When it is forgotten.
    until: LogTime,
}

/// Completions that wait for their dispositions, in the order in which they came, and the other way round.
///
/// Clock: log time. Boundary: a disposition that comes before the completion's arrival plus the wait goes with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tracking(Option<Box<Held>>);

/// In a box: most customers have none, most of the time.
#[derive(Clone, Debug, Default, PartialEq)]
struct Held {
    waiting: Vec<Waiting>,
    early: Vec<Early>,
}

impl Tracking {
    /// Tells how an interaction ended, now or when its disposition is known.
    pub fn complete(
        &mut self,
        now: LogTime,
        event: &InteractionCompleted,
        user_id: &Id,
        wait_ms: i64,
        effects: &mut Effects,
    ) {
        let held = self.0.get_or_insert_default();
        held.complete(now, event, user_id, wait_ms, effects);
        self.expire(now);
    }

    /// Gives a disposition to the completions that wait for it, or keeps it for one to come.
    pub fn update(
        &mut self,
        now: LogTime,
        event: &InteractionUpdated,
        wait_ms: i64,
        effects: &mut Effects,
    ) {
        let held = self.0.get_or_insert_default();
        held.update(now, event, wait_ms, effects);
        self.expire(now);
    }

    /// Sends what has waited long enough.
    pub fn wake(&mut self, now: LogTime, effects: &mut Effects) {
        if let Some(held) = &mut self.0 {
            held.send_due(now, effects);
        }
        self.expire(now);
    }

    /// When the next goes out as it is.
    #[must_use]
    pub fn deadline(&self) -> Option<LogTime> {
        let waiting = &self.0.as_ref()?.waiting;
        waiting.iter().map(|waiting| waiting.until).min()
    }

    /// Whether nothing waits, and no disposition is remembered at `now`.
    #[must_use]
    pub fn is_blank(&self, now: LogTime) -> bool {
        self.0.as_ref().is_none_or(|held| {
            held.waiting.is_empty() && held.early.iter().all(|early| early.until <= now)
        })
    }

    /// Forgets dispositions whose completions did not come.
    pub fn expire(&mut self, now: LogTime) {
        if let Some(held) = &mut self.0 {
            held.early.retain(|early| early.until > now);
            if **held == Held::default() {
                self.0 = None;
            }
        }
    }
}

impl Held {
    fn complete(
        &mut self,
        now: LogTime,
        event: &InteractionCompleted,
        user_id: &Id,
        wait_ms: i64,
        effects: &mut Effects,
    ) {
        let took_ms = event.ended_at.0.saturating_sub(event.started_at.0);
        let outcome = InteractionOutcome {
            user_id: user_id.to_string(),
            interaction_id: event.interaction_id.to_string(),
            interaction_type: event.channel,
            outcome: said(&event.disposition).or_else(|| self.early_of(&event.interaction_id, now)),
            // A difference of two times in milliseconds is exact as a double.
            duration_s: event
                .duration_s
                .or_else(|| (took_ms >= 0).then(|| took_ms as f64 / 1_000.0)),
            agent_id: event.agent_id.as_deref().map(str::to_owned),
            timestamp: event.ended_at,
        };
        let waiting = Waiting {
            outcome,
            started_at: event.started_at,
            until: now.plus_ms(wait_ms),
        };
        if waiting.outcome.outcome.is_some() || waiting.until <= now {
            return effects.push(waiting.into_effect());
        }
        let is_same = |other: &Waiting| {
            other.outcome.interaction_id == waiting.outcome.interaction_id
                && other.started_at == waiting.started_at
        };
        // It waits for longer than completions are remembered.
        if self.waiting.iter().any(is_same) {
            return effects.push(Effect::Ignore(Ignored::Duplicate));
        }
        self.waiting.push(waiting);
        if self.waiting.len() > WAITING_MAX {
            effects.push(Effect::Ignore(Ignored::WaitOverflow));
            effects.push(self.waiting.remove(0).into_effect());
        }
    }

    fn update(
        &mut self,
        now: LogTime,
        event: &InteractionUpdated,
        wait_ms: i64,
        effects: &mut Effects,
    ) {
        self.send_due(now, effects);
        let Some(disposition) = said(&event.disposition) else {
            return;
        };
        let is_of_it =
            |waiting: &mut Waiting| *waiting.outcome.interaction_id == *event.interaction_id;
        for mut waiting in self.waiting.extract_if(.., is_of_it) {
            waiting.outcome.outcome = Some(disposition.clone());
            effects.push(waiting.into_effect());
        }
        let stays =
            |early: &Early| early.until > now && *early.interaction_id != *event.interaction_id;
        self.early.retain(stays);
        if disposition.len() > DISPOSITION_BYTES_MAX {
            return effects.push(Effect::Ignore(Ignored::TooLarge));
        }
        // Even if one has just gone: the interaction may go on after a transfer, and end again.
        self.early.push(Early {
            interaction_id: (*event.interaction_id).into(),
            disposition: disposition.into(),
            until: now.plus_ms(wait_ms),
        });
        if self.early.len() > EARLY_MAX {
            self.early.remove(0);
        }
    }

    fn send_due(&mut self, now: LogTime, effects: &mut Effects) {
        let due = self.waiting.extract_if(.., |waiting| waiting.until <= now);
        effects.extend(due.map(Waiting::into_effect));
    }

    fn early_of(&self, interaction_id: &str, now: LogTime) -> Option<String> {
        let mut early = self.early.iter().filter(|early| early.until > now);
        let early = early.find(|early| *early.interaction_id == *interaction_id)?;
        Some(early.disposition.clone().into_string())
    }
}

impl Waiting {
    /// Named after the completion's business key: an interaction that goes on after a transfer ends again.
    fn into_effect(self) -> Effect {
        let started_ms = self.started_at.0.to_string();
        Effect::Emit {
            id: output_id("outcome", &[&self.outcome.interaction_id, &started_ms]),
            output: Output::InteractionOutcome(self.outcome),
        }
    }
}

/// A disposition that says something.
fn said(disposition: &Option<String>) -> Option<String> {
    disposition.clone().filter(|text| !text.trim().is_empty())
}

/// Tags of the lists in the stored customer.
const WAITING: u32 = 47;
const EARLY: u32 = 48;

impl Tracking {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let Some(held) = &self.0 else {
            return;
        };
        for waiting in &held.waiting {
            let outcome = &waiting.outcome;
            let stored = StoredTracked {
                user_id: outcome.user_id.clone(),
                interaction_id: outcome.interaction_id.clone(),
                channel: outcome.interaction_type.name().to_owned(),
                duration_s: outcome.duration_s,
                agent_id: outcome.agent_id.clone(),
                ended_at: outcome.timestamp.0,
                started_at: waiting.started_at.0,
                until: waiting.until.0,
            };
            wire::bytes(WAITING, &stored.encode_to_vec(), into);
        }
        for early in &held.early {
            let stored = StoredEarly {
                interaction_id: early.interaction_id.to_string(),
                disposition: early.disposition.to_string(),
                until: early.until.0,
            };
            wire::bytes(EARLY, &stored.encode_to_vec(), into);
        }
    }

    /// `None` if a part is none that is ever written.
    pub(crate) fn decode(stored: &mut StoredCustomer) -> Option<Self> {
        let waiting = |stored: StoredTracked| {
            let channel = Channel::ALL
                .into_iter()
                .find(|channel| channel.name() == stored.channel)?;
            let is_length = |s: f64| s.is_finite() && s >= 0.0;
            stored.duration_s.is_none_or(is_length).then_some(Waiting {
                outcome: InteractionOutcome {
                    user_id: stored.user_id,
                    interaction_id: stored.interaction_id,
                    interaction_type: channel,
                    outcome: None,
                    duration_s: stored.duration_s,
                    agent_id: stored.agent_id,
                    timestamp: EventTime(stored.ended_at),
                },
                started_at: EventTime(stored.started_at),
                until: LogTime(stored.until),
            })
        };
        let waiting = std::mem::take(&mut stored.tracked).into_iter().map(waiting);
        let early = |stored: StoredEarly| Early {
            interaction_id: stored.interaction_id.into(),
            disposition: stored.disposition.into(),
            until: LogTime(stored.until),
        };
        let earlies = std::mem::take(&mut stored.early).into_iter();
        let held = Held {
            waiting: waiting.collect::<Option<_>>()?,
            early: earlies.map(early).collect(),
        };
        Some(Self((held != Held::default()).then(|| Box::new(held))))
    }
}
