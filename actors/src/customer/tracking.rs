//! How interactions of a resolved customer ended, told to the customer data platform once that is final, and again when
//! it changes (S5.06, S5.07, S5.13).
//!
//! A completion may come before the answer to who the customer is, and agents choose a disposition when they wrap up,
//! often after the completion was reported. So it waits for both; when the time is over it goes out without a
//! disposition, since a late outcome is worth more than none, and without a customer not at all. What was told is
//! remembered for a while: a disposition that changes is told again under an id of its own. Events overtake each other,
//! so a disposition that comes before its completion is remembered too. Used by `customer`, which sees that each
//! completion comes once.

use prost::Message as _;

use crate::{
    contract::{
        event::{Channel, InteractionCompleted, InteractionUpdated},
        output::{InteractionOutcome, Output, output_id},
        time::{EventTime, LogTime},
        value::Id,
    },
    effect::{Effect, Ignored},
    stored::{
        state::{StoredCustomer, StoredEarly, StoredTracked},
        wire,
    },
    turn::Turn,
};

/// Most completions of one customer that wait; above it the oldest goes out as it is.
pub const WAITING_MAX: usize = 64;

/// Most outcomes of one customer that are remembered for changes; above it the oldest is forgotten.
pub const TOLD_MAX: usize = 16;

/// Most dispositions of one customer that are remembered for completions to come; above it the oldest is forgotten.
pub const EARLY_MAX: usize = 16;

/// Longest disposition that is remembered, in bytes.
pub const DISPOSITION_BYTES_MAX: usize = 256;

/// A completion whose outcome waits to be told, or was told.
#[derive(Clone, Debug, PartialEq)]
struct Leg {
    /// As it was or will be told; without a user id while the customer is not known.
    outcome: InteractionOutcome,
    started_at: EventTime,
    /// Event time as of which the disposition stands; `None` without one.
    as_of: Option<EventTime>,
    /// When it goes out as it is; of one that was told, when it is forgotten.
    until: LogTime,
}

/// A disposition that no completion waited for.
#[derive(Clone, Debug, PartialEq)]
struct Early {
    interaction_id: Box<str>,
    disposition: Box<str>,
    /// Event time of the change; `None` if it was stored before that was kept.
    as_of: Option<EventTime>,
    /// When it is forgotten.
    until: LogTime,
}

/// Completions that wait, in the order in which they came, those that were told, and dispositions without a completion.
///
/// Clock: log time. Boundary: what comes before the completion's arrival plus the wait goes with it; what changes
/// before the telling plus `changes` is told again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tracking(Option<Box<Held>>);

/// In a box: most customers have none, most of the time.
#[derive(Clone, Debug, Default, PartialEq)]
struct Held {
    waiting: Vec<Leg>,
    told: Vec<Leg>,
    early: Vec<Early>,
}

impl Tracking {
    /// Tells how an interaction ended, now or once its disposition, as of the time with it, and the user are known.
    pub fn complete(
        &mut self,
        turn: &mut Turn<'_>,
        (event, as_of): (&InteractionCompleted, Option<EventTime>),
        user_id: Option<&Id>,
    ) {
        let (now, settings) = (turn.now, turn.settings());
        let leg = Leg::of(event, as_of, user_id, now.plus_ms(settings.outcome_wait_ms));
        let held = self.0.get_or_insert_default();
        held.complete(turn, leg);
        self.expire(now);
    }

    /// Gives a disposition to the completions that wait for it, tells again where it changes one that was told, and
    /// keeps it for one to come.
    pub fn update(&mut self, turn: &mut Turn<'_>, event: &InteractionUpdated) {
        let (now, settings) = (turn.now, turn.settings());
        let held = self.0.get_or_insert_default();
        held.send_due(turn);
        if let Some(disposition) = settings.said(event.disposition.as_deref()) {
            held.update(turn, (event, disposition));
        }
        self.expire(now);
    }

    /// Goes on with the completions that wait for who the customer is: the platform has answered, and asks for no other
    /// answer if `user_id` is none.
    pub fn identify(&mut self, turn: &mut Turn<'_>, user_id: Option<&Id>) {
        let now = turn.now;
        if let Some(held) = &mut self.0 {
            held.send_due(turn);
            held.identify(turn, user_id);
        }
        self.expire(now);
    }

    /// Sends what has waited long enough.
    pub fn wake(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        if let Some(held) = &mut self.0 {
            held.send_due(turn);
        }
        self.expire(now);
    }

    /// When the next goes out as it is.
    #[must_use]
    pub fn deadline(&self) -> Option<LogTime> {
        let waiting = &self.0.as_ref()?.waiting;
        waiting.iter().map(|leg| leg.until).min()
    }

    /// The disposition that came before its completion, or after its end, and when it was chosen.
    #[must_use]
    pub fn early(
        &self,
        now: LogTime,
        event: &InteractionCompleted,
        has_own: bool,
    ) -> Option<(&str, EventTime)> {
        let mut early = self.0.as_ref()?.early.iter();
        let early = early
            .find(|early| early.until > now && *early.interaction_id == *event.interaction_id)?;
        let as_of = early.as_of.unwrap_or(event.ended_at);
        (!has_own || as_of > event.ended_at).then_some((&*early.disposition, as_of))
    }

    /// Whether nothing waits, and nothing is remembered at `now`.
    #[must_use]
    pub fn is_blank(&self, now: LogTime) -> bool {
        self.0.as_ref().is_none_or(|held| {
            held.waiting.is_empty()
                && held.told.iter().all(|told| told.until <= now)
                && held.early.iter().all(|early| early.until <= now)
        })
    }

    /// Forgets what was told long ago, and dispositions whose completions did not come.
    pub fn expire(&mut self, now: LogTime) {
        if let Some(held) = &mut self.0 {
            held.told.retain(|told| told.until > now);
            held.early.retain(|early| early.until > now);
            if **held == Held::default() {
                self.0 = None;
            }
        }
    }
}

impl Held {
    fn complete(&mut self, turn: &mut Turn<'_>, leg: Leg) {
        let now = turn.now;
        // It waits and is remembered for longer than completions are.
        let told = self.told.iter().filter(|told| told.until > now);
        if self
            .waiting
            .iter()
            .chain(told)
            .any(|other| other.is_same(&leg))
        {
            return turn.ignore(Ignored::Duplicate);
        }
        if leg.until <= now || leg.is_complete() {
            return self.tell(turn, leg);
        }
        self.waiting.push(leg);
        if self.waiting.len() > WAITING_MAX {
            turn.ignore(Ignored::WaitOverflow);
            let oldest = self.waiting.remove(0);
            self.tell(turn, oldest);
        }
    }

    fn update(&mut self, turn: &mut Turn<'_>, (event, disposition): (&InteractionUpdated, &str)) {
        let (now, settings) = (turn.now, turn.settings());
        let mut is_news = true;
        for leg in self
            .told
            .iter_mut()
            .filter(|leg| leg.until > now && leg.is_of(event))
        {
            match leg.take(event, disposition) {
                Taken::Changed => turn.effects.push(leg.told_again(event.updated_at)),
                Taken::Same => {}
                Taken::Older => is_news = false,
            }
        }
        for leg in self.waiting.iter_mut().filter(|leg| leg.is_of(event)) {
            is_news &= leg.take(event, disposition) != Taken::Older;
        }
        self.tell_complete(turn);
        let is_older = |early: &&Early| {
            *early.interaction_id == *event.interaction_id
                && early.as_of.is_some_and(|as_of| as_of > event.updated_at)
        };
        if !is_news || self.early.iter().any(|early| is_older(&early)) {
            return turn.ignore(Ignored::Superseded);
        }
        let stays =
            |early: &Early| early.until > now && *early.interaction_id != *event.interaction_id;
        self.early.retain(stays);
        if disposition.len() > DISPOSITION_BYTES_MAX {
            return turn.ignore(Ignored::TooLarge);
        }
        // Even if one has just gone: the interaction may go on after a transfer, and end again.
        self.early.push(Early {
            interaction_id: (*event.interaction_id).into(),
            disposition: disposition.into(),
            as_of: Some(event.updated_at),
            until: now.plus_ms(settings.outcome_wait_ms),
        });
        if self.early.len() > EARLY_MAX {
            self.early.remove(0);
        }
    }

    fn identify(&mut self, turn: &mut Turn<'_>, user_id: Option<&Id>) {
        match user_id {
            Some(user_id) => {
                for leg in self.waiting.iter_mut().filter(|leg| !leg.has_user()) {
                    leg.outcome.user_id = user_id.to_string();
                }
                self.tell_complete(turn);
            }
            None => {
                let unknown = self.waiting.extract_if(.., |leg| !leg.has_user());
                turn.effects
                    .extend(unknown.map(|_| Effect::Ignore(Ignored::NoUser)));
            }
        }
    }

    fn tell_complete(&mut self, turn: &mut Turn<'_>) {
        let complete: Vec<Leg> = self
            .waiting
            .extract_if(.., |leg| leg.is_complete())
            .collect();
        for leg in complete {
            self.tell(turn, leg);
        }
    }

    fn send_due(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        let due: Vec<Leg> = self
            .waiting
            .extract_if(.., |leg| leg.until <= now)
            .collect();
        for leg in due {
            self.tell(turn, leg);
        }
    }

    /// Tells it as it is, if there is a user to tell it of, and remembers it for changes.
    fn tell(&mut self, turn: &mut Turn<'_>, mut leg: Leg) {
        let (now, settings) = (turn.now, turn.settings());
        if !leg.has_user() {
            return turn.ignore(Ignored::NoUser);
        }
        turn.effects.push(leg.told());
        leg.until = now.plus_ms(settings.outcome_changes_ms);
        if leg.until > now {
            self.told.push(leg);
        }
        if self.told.len() > TOLD_MAX {
            self.told.remove(0);
        }
    }
}

/// What a disposition was to a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// Another one than it had.
    Changed,
    /// The one it had.
    Same,
    /// Chosen before the one it has, or with it.
    Older,
}

impl Leg {
    fn of(
        event: &InteractionCompleted,
        as_of: Option<EventTime>,
        user_id: Option<&Id>,
        until: LogTime,
    ) -> Self {
        let took_ms = event.ended_at.0.saturating_sub(event.started_at.0);
        Self {
            outcome: InteractionOutcome {
                user_id: user_id.map(Id::to_string).unwrap_or_default(),
                interaction_id: event.interaction_id.to_string(),
                interaction_type: event.channel,
                outcome: event.disposition.clone(),
                // A difference of two times in milliseconds is exact as a double.
                duration_s: event
                    .duration_s
                    .or_else(|| (took_ms >= 0).then(|| took_ms as f64 / 1_000.0)),
                agent_id: event.agent_id.as_deref().map(str::to_owned),
                timestamp: event.ended_at,
            },
            started_at: event.started_at,
            as_of,
            until,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.outcome.interaction_id == other.outcome.interaction_id
            && self.started_at == other.started_at
    }

    fn is_of(&self, event: &InteractionUpdated) -> bool {
        *self.outcome.interaction_id == *event.interaction_id
    }

    const fn has_user(&self) -> bool {
        !self.outcome.user_id.is_empty()
    }

    const fn is_complete(&self) -> bool {
        self.has_user() && self.outcome.outcome.is_some()
    }

    fn take(&mut self, event: &InteractionUpdated, disposition: &str) -> Taken {
        let is_same = self.outcome.outcome.as_deref() == Some(disposition);
        if self.as_of > Some(event.updated_at) || self.as_of == Some(event.updated_at) && !is_same {
            return Taken::Older;
        }
        self.as_of = Some(event.updated_at);
        if is_same {
            return Taken::Same;
        }
        self.outcome.outcome = Some(disposition.to_owned());
        Taken::Changed
    }

    /// Named after the completion's business key: an interaction that goes on after a transfer ends again.
    fn told(&self) -> Effect {
        let started_ms = self.started_at.0.to_string();
        Effect::Emit {
            id: output_id("outcome", &[&self.outcome.interaction_id, &started_ms]),
            output: Output::InteractionOutcome(self.outcome.clone()),
        }
    }

    /// Named after the change's business key as well.
    fn told_again(&self, updated_at: EventTime) -> Effect {
        let started_ms = self.started_at.0.to_string();
        let updated_ms = updated_at.0.to_string();
        let parts = [&*self.outcome.interaction_id, &started_ms, &updated_ms];
        Effect::Emit {
            id: output_id("outcome", &parts),
            output: Output::InteractionOutcome(self.outcome.clone()),
        }
    }
}

/// Tags of the lists in the stored customer.
const WAITING: u32 = 47;
const EARLY: u32 = 48;
const TOLD: u32 = 49;

impl Tracking {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let Some(held) = &self.0 else {
            return;
        };
        for leg in &held.waiting {
            wire::bytes(WAITING, &leg.stored().encode_to_vec(), into);
        }
        for early in &held.early {
            let stored = StoredEarly {
                interaction_id: early.interaction_id.to_string(),
                disposition: early.disposition.to_string(),
                until: early.until.0,
                as_of: early.as_of.map(|as_of| as_of.0),
            };
            wire::bytes(EARLY, &stored.encode_to_vec(), into);
        }
        for leg in &held.told {
            wire::bytes(TOLD, &leg.stored().encode_to_vec(), into);
        }
    }

    /// `None` if a part is none that is ever written.
    pub(crate) fn decode(stored: &mut StoredCustomer) -> Option<Self> {
        let early = |stored: StoredEarly| Early {
            interaction_id: stored.interaction_id.into(),
            disposition: stored.disposition.into(),
            as_of: stored.as_of.map(EventTime),
            until: LogTime(stored.until),
        };
        let legs = |stored: Vec<StoredTracked>| {
            let legs = stored.into_iter().map(Leg::from_stored);
            legs.collect::<Option<Vec<Leg>>>()
        };
        let earlies = std::mem::take(&mut stored.early).into_iter();
        let held = Held {
            waiting: legs(std::mem::take(&mut stored.tracked))?,
            told: legs(std::mem::take(&mut stored.told))?,
            early: earlies.map(early).collect(),
        };
        Some(Self((held != Held::default()).then(|| Box::new(held))))
    }
}

impl Leg {
    fn stored(&self) -> StoredTracked {
        let outcome = &self.outcome;
        StoredTracked {
            user_id: outcome.user_id.clone(),
            interaction_id: outcome.interaction_id.clone(),
            channel: outcome.interaction_type.name().to_owned(),
            duration_s: outcome.duration_s,
            agent_id: outcome.agent_id.clone(),
            ended_at: outcome.timestamp.0,
            started_at: self.started_at.0,
            until: self.until.0,
            outcome: outcome.outcome.clone(),
            as_of: self.as_of.map(|as_of| as_of.0),
        }
    }

    fn from_stored(stored: StoredTracked) -> Option<Self> {
        let mut channels = Channel::ALL.into_iter();
        let channel = channels.find(|channel| channel.name() == stored.channel)?;
        let is_length = |s: f64| s.is_finite() && s >= 0.0;
        stored.duration_s.is_none_or(is_length).then_some(Self {
            outcome: InteractionOutcome {
                user_id: stored.user_id,
                interaction_id: stored.interaction_id,
                interaction_type: channel,
                outcome: stored.outcome,
                duration_s: stored.duration_s,
                agent_id: stored.agent_id,
                timestamp: EventTime(stored.ended_at),
            },
            started_at: EventTime(stored.started_at),
            as_of: stored.as_of.map(EventTime),
            until: LogTime(stored.until),
        })
    }
}
