//! A customer: recent history, segments, merged profile (S4.01 to S4.05), and who they are to the customer data
//! platform, which hears how their interactions ended (S5.01 to S5.03, S5.06, S5.07).
//!
//! Each completion is taken into the history, segment rules are asked again, and the profile goes out, merged
//! by `profile`; so they are when the disposition of the last one changes (S4.09). Segments end with the rules that no longer hold at a later completion, or, when none comes,
//! with the last contact's leaving the history window: conditions over the event cannot be asked again then,
//! so all end together. What is known of a customer is their recent history; when the last contact is gone,
//! so is the summary, and a host may forget the actor.

mod changes;
pub mod decided;
pub mod history;
pub mod identity;
pub mod profile;
pub mod segments;
pub mod tracking;

use std::borrow::Cow;

use self::{
    decided::Decided,
    history::History,
    identity::{Identity, Resolution},
    profile::{Cause, Merge},
    segments::Segments,
    tracking::Tracking,
};
use crate::{
    contract::{
        event::{Body, Event, InteractionCompleted, InteractionUpdated, OutcomeKind},
        key::Key,
        output::{Output, ProfileAttributes, ProfileUpdate},
        time::{EventTime, LogTime},
        value::Id,
    },
    dedupe::{Dedupe, KeyHash},
    effect::{Effect, Ignored},
    rules::{Hit, Settings},
    stored::{
        state::{self, DecodeError, StoredCustomer},
        wire,
    },
    turn::Turn,
};

/// A customer, as of the last event applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Customer {
    /// Completions and updates seen.
    seen: Dedupe<()>,
    history: History,
    /// Summary of the latest interaction in the history that had one.
    summary: Option<Summary>,
    segments: Segments,
    /// When the history window empties and the segments end; only while in one.
    segments_until: Option<LogTime>,
    merge: Merge,
    /// The completion that the segments are by; only while the history holds it.
    decided: Option<Decided>,
    identity: Identity,
    tracking: Tracking,
}

#[derive(Clone, Debug, PartialEq)]
struct Summary {
    text: String,
    /// When the interaction ended.
    at: EventTime,
}

impl Customer {
    /// Applies one event that is for the customer whose turn it is.
    pub fn apply(&mut self, turn: &mut Turn<'_>, event: &Event) {
        let (now, settings) = (turn.now, turn.settings());
        // So that one who was kept is stored as one who was forgotten in between.
        self.tracking.expire(now);
        match &event.body {
            Body::InteractionStarted(started) => {
                if let Some(customer) = &started.customer {
                    self.identity.ask(turn, started, customer);
                }
            }
            Body::InteractionCompleted(completed) => {
                let ended = self.as_it_stands(turn, completed);
                self.completed(turn, event, &ended);
            }
            Body::InteractionUpdated(updated) => {
                if settings.outcome_tracked {
                    self.tracking.update(turn, updated);
                }
                self.update(turn, updated);
            }
            Body::Outcome(kind, outcome) => match kind {
                OutcomeKind::Identity => {
                    self.identity.answer(turn, outcome);
                    self.identified(turn);
                }
                // Owners of interactions ask for these.
                OutcomeKind::Reward
                | OutcomeKind::SurveyToken
                | OutcomeKind::Alert
                | OutcomeKind::Enrichment => turn.ignore(Ignored::NoPart),
            },
            // Nothing to do yet, and nothing to remember.
            Body::InteractionWrapup(_)
            | Body::SurveyResponse(_)
            | Body::EnpsResponse(_)
            | Body::WfmMetric(_)
            | Body::PointsAdjusted(_)
            | Body::RewardDecided(_)
            | Body::AlertAcknowledged(_)
            | Body::DeadLettered(_)
            | Body::ImportQuarantined(_)
            | Body::Tick
            | Body::RulesActivated(_) => {}
        }
    }

    /// Lets segments end and sends the merged update, where `turn.now` has come to that.
    pub fn wake(&mut self, turn: &mut Turn<'_>) {
        let (now, settings) = (turn.now, turn.settings());
        if let Some(until) = self.segments_until.filter(|until| *until <= now) {
            self.segments_until = self.history.empty_at(now, settings);
            if self.segments_until.is_none() {
                self.segments.clear();
                let left = Cause::Left { at: until };
                let cause = self.merge.offer(now, left, settings.profile_merge_ms);
                self.send(turn, cause);
            }
        }
        let cause = self.merge.take_due(now, settings.profile_merge_ms);
        self.send(turn, cause);
        self.tracking.wake(turn);
        self.expire(now, settings);
    }

    /// When segments end, the merged update goes or a completion has waited long enough, whichever is first.
    #[must_use]
    pub fn deadline(&self) -> Option<LogTime> {
        let tracking = self.tracking.deadline();
        let due = [self.segments_until, self.merge.deadline(), tracking];
        due.into_iter().flatten().min()
    }

    /// Who the customer is to the customer data platform, as of the last event.
    #[must_use]
    pub fn resolution(&self) -> &Resolution {
        self.identity.resolution()
    }

    /// Whether this customer, at `now`, will act as one who was never seen.
    #[must_use]
    pub fn is_blank(&self, now: LogTime, settings: &Settings) -> bool {
        self.seen.is_blank(now, settings.completion_dedupe_ms)
            && self.history.is_blank(now, settings)
            && self.segments.is_empty()
            && self.merge.is_blank(now)
            && self.identity.is_blank(now, settings)
            && self.tracking.is_blank(now)
    }

    /// A completion with the disposition that stands: its own, or one that was chosen later and came before it.
    fn as_it_stands<'a>(&self, turn: &Turn<'_>, event: &'a InteractionCompleted) -> Ended<'a> {
        let settings = turn.settings();
        let own = settings.said(event.disposition.as_deref());
        if let Some((early, as_of)) = self.tracking.early(turn.now, event, own.is_some()) {
            return Ended {
                event: with_disposition(event, Some(early)),
                as_of: Some(as_of),
            };
        }
        let event = match own == event.disposition.as_deref() {
            true => Cow::Borrowed(event),
            false => with_disposition(event, None),
        };
        // A change of the same millisecond is a change.
        let as_of = own.map(|_| EventTime(event.ended_at.0.saturating_sub(1)));
        Ended { event, as_of }
    }

    /// Applies a completion, which arrived as `raw`.
    fn completed(&mut self, turn: &mut Turn<'_>, raw: &Event, ended: &Ended<'_>) {
        let (now, settings, event) = (turn.now, turn.settings(), &*ended.event);
        // Without a customer id there is no profile; the owner of the interaction has counted it.
        let has_profile = matches!(turn.key, Key::Customer(_));
        let is_listed = has_profile && is_listed(event, settings);
        if !is_listed {
            if has_profile {
                turn.ignore(Ignored::NotListed);
            }
            // How it ended is told all the same, if the platform knows a user to tell it of.
            if !settings.outcome_tracked {
                return;
            }
            if !self.is_trackable(turn, event) {
                return turn.ignore(Ignored::NoUser);
            }
        }
        if !self.admit(turn, event) {
            return;
        }
        if is_listed {
            self.take_in(turn, event);
            let figures = self.history.figures(now, settings);
            let mut hits = Vec::new();
            let revised = match &ended.event {
                Cow::Borrowed(_) => None,
                Cow::Owned(event) => Some(as_event(raw, event.clone())),
            };
            let judged = revised.as_ref().unwrap_or(raw);
            turn.rules
                .matching(judged, &figures, &mut hits, turn.effects);
            let decided = Decided::by(event, ended.as_of, turn.rules);
            self.decided = Some(decided).filter(|decided| decided.is_in(&self.history));
            self.decide(turn, Cause::of(event), &hits);
        }
        self.track(turn, ended);
    }

    /// Remembers a completion. False if it was seen before.
    fn admit(&mut self, turn: &mut Turn<'_>, event: &InteractionCompleted) -> bool {
        let (now, settings) = (turn.now, turn.settings());
        self.expire(now, settings);
        // Milliseconds as they are: one number for one time, whatever its sign.
        let key = KeyHash::of(&event.interaction_id, event.started_at.0 as u64);
        if self.seen.get(key).is_some() {
            turn.ignore(Ignored::Duplicate);
            return false;
        }
        if !self.seen.add(now, key, ()) {
            turn.ignore(Ignored::DedupeOverflow);
        }
        true
    }

    /// Takes a completion into the history.
    fn take_in(&mut self, turn: &mut Turn<'_>, event: &InteractionCompleted) {
        let (now, settings) = (turn.now, turn.settings());
        if let Err(ignored) = self.history.add(now, event, settings) {
            turn.ignore(ignored);
        }
        if let Some(text) = &event.summary {
            self.set_summary(text, event.ended_at.min(EventTime(now.0)));
        }
    }

    /// Tells the platform how an interaction ended, now or once that and the user are known (S5.06, S5.07, S5.13).
    fn track(&mut self, turn: &mut Turn<'_>, ended: &Ended<'_>) {
        let settings = turn.settings();
        if !settings.outcome_tracked {
            return;
        }
        if !self.is_trackable(turn, &ended.event) {
            return turn.ignore(Ignored::NoUser);
        }
        let user_id = self.user_id(&ended.event);
        let event = (&*ended.event, ended.as_of);
        self.tracking.complete(turn, event, user_id.as_ref());
    }

    /// Whether the platform's id of the customer is known, or asked for.
    fn is_trackable(&mut self, turn: &Turn<'_>, event: &InteractionCompleted) -> bool {
        self.identity.expire(turn.now, turn.settings());
        self.user_id(event).is_some() || self.identity.is_asking()
    }

    /// The platform's id of the customer: as the event has it, else as the platform was sure of.
    fn user_id(&self, event: &InteractionCompleted) -> Option<Id> {
        let named = event.customer.as_ref()?.cdp_user_id.as_ref();
        named.or_else(|| self.identity.user_id()).cloned()
    }

    /// Goes on with completions that waited for an answer.
    fn identified(&mut self, turn: &mut Turn<'_>) {
        let user_id = self.identity.user_id();
        if user_id.is_some() || !self.identity.is_asking() {
            self.tracking.identify(turn, user_id);
        }
    }

    /// Puts the customer into the segments of the rules that hold, and updates the profile.
    fn decide(&mut self, turn: &mut Turn<'_>, cause: Cause<'_>, hits: &[Hit<'_>]) {
        let (now, settings) = (turn.now, turn.settings());
        self.segments.set(hits);
        let empty_at = self.history.empty_at(now, settings);
        if empty_at.is_none() {
            // The completion is from before the window, and alone.
            self.segments.clear();
        }
        self.segments_until = empty_at.filter(|_| !self.segments.is_empty());
        let cause = self.merge.offer(now, cause, settings.profile_merge_ms);
        self.send(turn, cause);
    }

    fn set_summary(&mut self, text: &str, at: EventTime) {
        match &mut self.summary {
            Some(summary) if summary.at > at => {}
            // Into the room it has: most summaries are about as long as the last.
            Some(summary) => {
                text.clone_into(&mut summary.text);
                summary.at = at;
            }
            None => {
                let text = text.to_owned();
                self.summary = Some(Summary { text, at });
            }
        }
    }

    /// Takes a disposition that came or changed after the call: notes it, and if it is of the completion that decided
    /// the segments, decides again (S4.09).
    fn update(&mut self, turn: &mut Turn<'_>, event: &InteractionUpdated) {
        let (now, settings) = (turn.now, turn.settings());
        self.expire(now, settings);
        let Some(disposition) = settings.said(event.disposition.as_deref()) else {
            return;
        };
        if !self.history.knows(&event.interaction_id) {
            return;
        }
        // Complemented, so that an update is never taken for a completion that began when it was made.
        let seen = KeyHash::of(&event.interaction_id, !(event.updated_at.0 as u64));
        if self.seen.get(seen).is_some() {
            return turn.ignore(Ignored::Duplicate);
        }
        if !self.seen.add(now, seen, ()) {
            turn.ignore(Ignored::DedupeOverflow);
        }
        let is_of = |decided: &&mut Decided| decided.is_of(&event.interaction_id);
        let decided = self.decided.as_mut().filter(is_of);
        if decided
            .as_ref()
            .is_some_and(|decided| decided.is_newer_than(event))
        {
            return turn.ignore(Ignored::Superseded);
        }
        let is_known = self
            .history
            .has_disposition(&event.interaction_id, disposition);
        self.history
            .set_disposition(&event.interaction_id, disposition);
        // Of older contacts no figure shows the disposition.
        let Some(decided) = decided else { return };
        let revised = decided.revise(event, disposition, turn.rules);
        if is_known {
            return;
        }
        let Some(revised) = revised else {
            return turn.ignore(Ignored::RulesChanged);
        };
        let figures = self.history.figures(now, settings);
        let mut hits = Vec::new();
        let judged = Event {
            source: "".into(),
            id: "".into(),
            body: Body::InteractionCompleted(revised),
        };
        turn.rules
            .matching(&judged, &figures, &mut hits, turn.effects);
        let cause = Cause::Updated {
            interaction_id: Cow::Borrowed(&event.interaction_id),
            updated_at: event.updated_at,
        };
        self.decide(turn, cause, &hits);
    }

    fn send(&self, turn: &mut Turn<'_>, cause: Option<Cause<'_>>) {
        let now = turn.now;
        // The host routes by side, so a customer's key is one.
        let (Some(cause), Key::Customer(customer_id)) = (cause, turn.key) else {
            return;
        };
        turn.effects.push(Effect::Emit {
            id: cause.output_id(customer_id),
            output: Output::ProfileUpdated(ProfileUpdate {
                customer_id: customer_id.to_owned(),
                attributes: ProfileAttributes {
                    last_interaction_summary: self.summary.as_ref().map(|s| s.text.clone()),
                    sentiment: self.history.latest_sentiment(),
                    segmentation_tags: self.segments.sorted(),
                    contacts_7d: self.history.contacts_7d(now),
                },
                last_updated: EventTime(now.0),
                idempotency_key: cause.idempotency_key(customer_id),
            }),
        });
    }

    fn expire(&mut self, now: LogTime, settings: &Settings) {
        self.seen.expire(now, settings.completion_dedupe_ms);
        self.history.expire(now, settings);
        self.identity.expire(now, settings);
        self.tracking.expire(now);
        // An update that waits, or segments that are still to end, will want the summary.
        if self.history.is_empty() && self.segments.is_empty() && !self.merge.is_pending() {
            self.summary = None;
        }
        let history = &self.history;
        self.decided.take_if(|decided| !decided.is_in(history));
    }
}

/// A completion as the customer takes it.
struct Ended<'a> {
    /// With the disposition that stands, if one does.
    event: Cow<'a, InteractionCompleted>,
    /// Event time as of which that disposition stands.
    as_of: Option<EventTime>,
}

fn with_disposition<'a>(
    event: &InteractionCompleted,
    disposition: Option<&str>,
) -> Cow<'a, InteractionCompleted> {
    let mut event = event.clone();
    event.disposition = disposition.map(str::to_owned);
    Cow::Owned(event)
}

/// The event that arrived, saying this.
fn as_event(raw: &Event, completed: InteractionCompleted) -> Event {
    Event {
        source: raw.source.clone(),
        id: raw.id.clone(),
        body: Body::InteractionCompleted(completed),
    }
}

/// Whether completions of this queue or one of these skills update profiles (S4.01).
fn is_listed(event: &InteractionCompleted, settings: &Settings) -> bool {
    let all = settings.queues.is_empty() && settings.skills.is_empty();
    let queue = event.queue_id.as_deref();
    all || settings.queues.iter().any(|listed| queue == Some(listed))
        || settings
            .skills
            .iter()
            .any(|listed| event.skills.contains(listed))
}

/// Tags in the stored customer.
const SEEN_KEYS: u32 = 2;
const SEEN_AT: u32 = 3;
const SUMMARY: u32 = 8;
const SUMMARY_AT: u32 = 9;
const SEGMENTS_UNTIL: u32 = 11;

impl Customer {
    /// Appends the stored form; `state` defines it.
    pub fn encode(&self, into: &mut Vec<u8>) {
        wire::uint(state::FORMAT_TAG, u64::from(state::FORMAT), into);
        self.seen.encode(SEEN_KEYS, SEEN_AT, into);
        self.history.encode(into);
        if let Some(summary) = &self.summary {
            wire::bytes(SUMMARY, summary.text.as_bytes(), into);
            let since_newest_ms = summary.at.0.wrapping_sub(self.history.newest_ms());
            wire::optional_sint(SUMMARY_AT, Some(since_newest_ms), into);
        }
        self.segments.encode(into);
        let until_ms = self.segments_until.map(|until| until.0);
        wire::optional_sint(SEGMENTS_UNTIL, until_ms, into);
        self.merge.encode(into);
        if let Some(decided) = &self.decided {
            decided.encode(&self.history, into);
        }
        self.identity.encode(into);
        self.tracking.encode(into);
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// If the bytes are no stored customer.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut stored: StoredCustomer = prost::Message::decode(bytes)?;
        state::check_format(stored.format)?;
        let identity = Identity::decode(&mut stored).ok_or(DecodeError::Columns("identity"))?;
        let tracking =
            Tracking::decode(&mut stored).ok_or(DecodeError::Columns("tracked completions"))?;
        let merge = Merge::decode(&mut stored).ok_or(DecodeError::Columns("merge"))?;
        let history = History::decode(
            &stored.ended_at,
            &stored.interactions,
            &stored.dispositions,
            &stored.sentiments,
        )
        .ok_or(DecodeError::Columns("history"))?;
        let decided = Decided::decode(&mut stored, &history)
            .ok_or(DecodeError::Columns("deciding completion"))?;
        let summary = match (stored.summary, stored.summary_at) {
            (Some(text), Some(since_newest_ms)) => Some(Summary {
                text,
                at: EventTime(history.newest_ms().wrapping_add(since_newest_ms)),
            }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(DecodeError::Columns("summary")),
        };
        Ok(Self {
            seen: Dedupe::decode(&stored.seen_keys, &stored.seen_at)
                .ok_or(DecodeError::Columns("completions"))?,
            history,
            summary,
            segments: Segments::decode(&stored.segments),
            segments_until: stored.segments_until.map(LogTime),
            merge,
            decided,
            identity,
            tracking,
        })
    }
}
