//! A customer: recent history, segments, merged profile (S4.01 to S4.05), and who they are to the customer data
//! platform, which hears how their interactions ended (S5.01 to S5.03, S5.06, S5.07).
//!
//! Each completion is taken into the history, segment rules are asked again, and the profile goes out, merged
//! by `profile`. Segments end with the rules that no longer hold at a later completion, or, when none comes,
//! with the last contact's leaving the history window: conditions over the event cannot be asked again then,
//! so all end together. What is known of a customer is their recent history; when the last contact is gone,
//! so is the summary, and a host may forget the actor.

use crate::{
    actor::Context,
    dedupe::{Dedupe, KeyHash},
    effect::{Effect, Effects, Ignored},
    event::{Body, Event, InteractionCompleted, InteractionUpdated, OutcomeKind},
    history::History,
    identity::{Identity, Resolution},
    key::Key,
    output::{Output, ProfileAttributes, ProfileUpdate},
    profile::{Cause, Merge},
    rules::{Hit, Settings},
    segments::Segments,
    state::{self, DecodeError, StoredCustomer},
    time::{EventTime, LogTime},
    tracking::Tracking,
    value::Id,
    wire,
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
    /// Applies one event that is for `key`.
    pub fn apply(
        &mut self,
        key: Key<'_>,
        context: &Context<'_>,
        event: &Event,
        effects: &mut Effects,
    ) {
        let (now, settings) = (context.now, context.rules.settings());
        // So that one who was kept is stored as one who was forgotten in between.
        self.tracking.expire(now);
        match &event.body {
            Body::InteractionStarted(started) => {
                if let Some(customer) = &started.customer {
                    self.identity.ask(now, started, customer, settings, effects);
                }
            }
            Body::InteractionCompleted(completed) => {
                let is_listed = is_listed(completed, settings);
                if !is_listed {
                    effects.push(Effect::Ignore(Ignored::NotListed));
                    // How it ended is told all the same, if there is somebody to tell it of.
                    if !settings.outcome_tracked {
                        return;
                    }
                    if self.user_id(completed, context).is_none() {
                        return effects.push(Effect::Ignore(Ignored::NoUser));
                    }
                }
                if !self.admit(completed, context, effects) {
                    return;
                }
                if is_listed {
                    self.take_in(completed, context, effects);
                    let figures = self.history.figures(now, settings);
                    let mut hits = Vec::new();
                    context.rules.matching(event, &figures, &mut hits, effects);
                    self.complete(key, completed, &hits, context, effects);
                }
                self.track(completed, context, effects);
            }
            Body::InteractionUpdated(updated) => {
                if settings.outcome_tracked {
                    let wait_ms = settings.outcome_wait_ms;
                    self.tracking.update(now, updated, wait_ms, effects);
                }
                self.update(updated, context, effects);
            }
            Body::Outcome(kind, outcome) => match kind {
                OutcomeKind::Identity => self.identity.answer(now, outcome, settings, effects),
                // Owners of interactions ask for these.
                OutcomeKind::Reward
                | OutcomeKind::SurveyToken
                | OutcomeKind::Alert
                | OutcomeKind::Enrichment => effects.push(Effect::Ignore(Ignored::NoPart)),
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

    /// Lets segments end and sends the merged update, where `context.now` has come to that.
    pub fn wake(&mut self, key: Key<'_>, context: &Context<'_>, effects: &mut Effects) {
        let (now, settings) = (context.now, context.rules.settings());
        if let Some(until) = self.segments_until.filter(|until| *until <= now) {
            self.segments_until = self.history.empty_at(now, settings);
            if self.segments_until.is_none() {
                self.segments.clear();
                let left = Cause::Left { at: until };
                let cause = self.merge.offer(now, left, settings.profile_merge_ms);
                self.send(key, now, cause, effects);
            }
        }
        let cause = self.merge.take_due(now, settings.profile_merge_ms);
        self.send(key, now, cause, effects);
        self.tracking.wake(now, effects);
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

    /// Remembers a completion. False if it was seen before.
    fn admit(
        &mut self,
        event: &InteractionCompleted,
        context: &Context<'_>,
        effects: &mut Effects,
    ) -> bool {
        let (now, settings) = (context.now, context.rules.settings());
        self.expire(now, settings);
        // Milliseconds as they are: one number for one time, whatever its sign.
        let key = KeyHash::of(&event.interaction_id, event.started_at.0 as u64);
        if self.seen.get(key).is_some() {
            effects.push(Effect::Ignore(Ignored::Duplicate));
            return false;
        }
        if !self.seen.add(now, key, ()) {
            effects.push(Effect::Ignore(Ignored::DedupeOverflow));
        }
        true
    }

    /// Takes a completion into the history.
    fn take_in(
        &mut self,
        event: &InteractionCompleted,
        context: &Context<'_>,
        effects: &mut Effects,
    ) {
        let (now, settings) = (context.now, context.rules.settings());
        if let Err(ignored) = self.history.add(now, event, settings) {
            effects.push(Effect::Ignore(ignored));
        }
        if let Some(text) = &event.summary {
            self.set_summary(text, event.ended_at.min(EventTime(now.0)));
        }
    }

    /// Tells the platform how an interaction ended, now or when that is final (S5.06, S5.07).
    fn track(
        &mut self,
        event: &InteractionCompleted,
        context: &Context<'_>,
        effects: &mut Effects,
    ) {
        let (now, settings) = (context.now, context.rules.settings());
        if !settings.outcome_tracked {
            return;
        }
        match self.user_id(event, context) {
            Some(user_id) => {
                let wait_ms = settings.outcome_wait_ms;
                self.tracking
                    .complete(now, event, &user_id, wait_ms, effects);
            }
            None => effects.push(Effect::Ignore(Ignored::NoUser)),
        }
    }

    /// The platform's id of the customer: as the event has it, else as the platform was sure of.
    fn user_id(&mut self, event: &InteractionCompleted, context: &Context<'_>) -> Option<Id> {
        self.identity.expire(context.now, context.rules.settings());
        let named = event.customer.as_ref()?.cdp_user_id.as_ref();
        named.or_else(|| self.identity.user_id()).cloned()
    }

    /// Puts the customer into the segments of the rules that hold, and updates the profile.
    fn complete(
        &mut self,
        key: Key<'_>,
        event: &InteractionCompleted,
        hits: &[Hit<'_>],
        context: &Context<'_>,
        effects: &mut Effects,
    ) {
        let (now, settings) = (context.now, context.rules.settings());
        self.segments.set(hits);
        let empty_at = self.history.empty_at(now, settings);
        if empty_at.is_none() {
            // The completion is from before the window, and alone.
            self.segments.clear();
        }
        self.segments_until = empty_at.filter(|_| !self.segments.is_empty());
        let cause = self
            .merge
            .offer(now, Cause::of(event), settings.profile_merge_ms);
        self.send(key, now, cause, effects);
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

    /// Notes a disposition that changed after the call. No figure rests on it yet, so no segment can change.
    fn update(&mut self, event: &InteractionUpdated, context: &Context<'_>, effects: &mut Effects) {
        let (now, settings) = (context.now, context.rules.settings());
        self.expire(now, settings);
        let Some(disposition) = &event.disposition else {
            return;
        };
        if !self.history.knows(&event.interaction_id) {
            return;
        }
        // Complemented, so that an update is never taken for a completion that began when it was made.
        let key = KeyHash::of(&event.interaction_id, !(event.updated_at.0 as u64));
        if self.seen.get(key).is_some() {
            return effects.push(Effect::Ignore(Ignored::Duplicate));
        }
        if !self.seen.add(now, key, ()) {
            effects.push(Effect::Ignore(Ignored::DedupeOverflow));
        }
        self.history
            .set_disposition(&event.interaction_id, disposition);
    }

    fn send(&self, key: Key<'_>, now: LogTime, cause: Option<Cause<'_>>, effects: &mut Effects) {
        // The host routes by side, so a customer's key is one.
        let (Some(cause), Key::Customer(customer_id)) = (cause, key) else {
            return;
        };
        effects.push(Effect::Emit {
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
        let history = History::decode(
            &stored.ended_at,
            &stored.interactions,
            &stored.dispositions,
            &stored.sentiments,
        )
        .ok_or(DecodeError::Columns("history"))?;
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
            merge: Merge::decode(
                stored.merge_until,
                stored.pending_interaction,
                stored.pending_started_at,
                stored.pending_left_at,
            )
            .ok_or(DecodeError::Columns("merge"))?,
            identity,
            tracking,
        })
    }
}
