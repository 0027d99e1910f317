//! An agent, bot, queue or nobody: surveys and alerts, eNPS, points and rewards.
//!
//! Puts the parts together: brings them up to `now`, asks the rules with the figures that result, and hands
//! each part what it is to apply. Interactions themselves change nothing here yet, and leave no trace.

use crate::{
    actor::Context,
    dedupe::{Dedupe, KeyHash},
    effect::{Effect, Effects, Ignored},
    enps::Enps,
    event::{Body, Event, OutcomeKind, PointsAdjusted, WfmMetric},
    key::Key,
    points::{PointsWindow, Replaced, Source, Workday},
    redemption::{Moment, Rewards},
    rules::{Figures, Hit, Settings},
    state::{self, DecodeError, StoredAgent},
    surveys::{self, Surveys},
    time::{EventTime, LogTime},
    wire,
};

/// An owner of interactions, as of the last event applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agent {
    surveys: Surveys,
    enps: Enps,
    /// Adjustments seen while their workday can be in the window.
    adjustments: Dedupe<()>,
    points: PointsWindow,
    rewards: Rewards,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// How long an adjustment is remembered: what takes effect no later than it arrives has left the window by
/// then, however long its workday was, and is too old if it comes again.
const fn adjustment_dedupe_ms(settings: &Settings) -> i64 {
    (settings.points_window_days as i64 + 3) * DAY_MS
}

/// The oldest workday that counts at `now`.
fn window_start(now: LogTime, settings: &Settings) -> Workday {
    Workday::of(EventTime(now.0), &settings.time_zone).window_start(settings.points_window_days)
}

/// When and to whom; `None` for a bot, a queue or nobody: they collect points, and get nothing for them.
fn moment<'a>(key: Key<'a>, now: LogTime, settings: &'a Settings) -> Option<Moment<'a>> {
    let Key::Agent(agent) = key else {
        return None;
    };
    let today = Workday::of(EventTime(now.0), &settings.time_zone);
    Some(Moment {
        agent,
        now,
        today,
        start: today.window_start(settings.points_window_days),
        settings,
    })
}

impl Agent {
    /// Applies one event that is for `key`.
    pub fn apply(
        &mut self,
        key: Key<'_>,
        context: &Context<'_>,
        event: &Event,
        effects: &mut Effects,
    ) {
        let (now, settings) = (context.now, context.rules.settings());
        match &event.body {
            Body::SurveyResponse(response) => {
                self.surveys.expire(now, settings);
                if let Err(ignored) = self.surveys.admit(response) {
                    return effects.push(Effect::Ignore(ignored));
                }
                let start = self.expire(now, settings);
                let before = self.points.sum();
                let hits = self.hits(context, event, effects);
                self.surveys.apply(
                    key,
                    now,
                    response,
                    &hits,
                    settings,
                    start,
                    &mut self.points,
                    effects,
                );
                self.redeem(key, now, settings, before, effects);
            }
            Body::EnpsResponse(response) => {
                let start = self.expire(now, settings);
                let before = self.points.sum();
                if self.enps.score(now, response, settings, effects) {
                    let hits = self.hits(context, event, effects);
                    self.enps.coach(now, response, &hits, settings, effects);
                    let given = surveys::points_of(&hits).unwrap_or(0);
                    let day = Workday::of(response.submitted_at, &settings.time_zone);
                    if day >= start {
                        self.points.add(day, Source::Survey, given);
                    } else if given != 0 {
                        effects.push(Effect::Ignore(Ignored::TooOld));
                    }
                    self.redeem(key, now, settings, before, effects);
                }
            }
            Body::WfmMetric(metric) => {
                let start = self.expire(now, settings);
                let before = self.points.sum();
                if Workday::from_date(metric.date.0) < start {
                    return effects.push(Effect::Ignore(Ignored::TooOld));
                }
                let hits = self.hits(context, event, effects);
                self.record(metric, &hits, settings, effects);
                self.redeem(key, now, settings, before, effects);
            }
            Body::PointsAdjusted(adjusted) => {
                let start = self.expire(now, settings);
                let before = self.points.sum();
                self.adjust(now, adjusted, settings, start, effects);
                self.redeem(key, now, settings, before, effects);
            }
            Body::Outcome(OutcomeKind::Reward, outcome) => {
                self.expire(now, settings);
                match moment(key, now, settings) {
                    Some(moment) => {
                        self.rewards
                            .outcome(moment, outcome, &mut self.points, effects);
                    }
                    None => effects.push(Effect::Ignore(Ignored::UnknownReward)),
                }
            }
            Body::RewardDecided(decided) => {
                self.expire(now, settings);
                if let Some(moment) = moment(key, now, settings) {
                    self.rewards
                        .decided(moment, decided, &mut self.points, effects);
                }
            }
            // The customer side never hears of it, so it is counted here.
            Body::InteractionCompleted(_) => {
                if event.body.customer().is_none() {
                    effects.push(Effect::Ignore(Ignored::NoCustomer));
                }
            }
            // Nothing to do yet, and nothing to remember.
            Body::InteractionStarted(_)
            | Body::InteractionWrapup(_)
            | Body::InteractionUpdated(_)
            | Body::AlertAcknowledged(_)
            | Body::Outcome(
                OutcomeKind::Identity
                | OutcomeKind::SurveyToken
                | OutcomeKind::Alert
                | OutcomeKind::Enrichment,
                _,
            )
            | Body::Tick
            | Body::RulesActivated(_) => {}
        }
    }

    /// Claims and takes back what follows from the points, after an event at whose beginning they were `before`.
    fn redeem(
        &mut self,
        key: Key<'_>,
        now: LogTime,
        settings: &Settings,
        before: i64,
        effects: &mut Effects,
    ) {
        let change = self.points.sum().wrapping_sub(before);
        if let Some(moment) = moment(key, now, settings) {
            self.rewards
                .follow(moment, change, &mut self.points, effects);
        }
    }

    /// Nothing an agent does falls due yet: windows are brought up to date by the next event.
    pub fn wake(&mut self, _key: Key<'_>, _context: &Context<'_>, _effects: &mut Effects) {}

    /// Never; see [`Self::wake`].
    #[must_use]
    pub const fn deadline(&self) -> Option<LogTime> {
        None
    }

    /// Whether this agent, at `now`, will act as one who was never seen.
    #[must_use]
    pub fn is_blank(&self, now: LogTime, settings: &Settings) -> bool {
        self.surveys.is_blank(now, settings)
            && self.enps.is_blank(now, settings)
            && self
                .adjustments
                .is_blank(now, adjustment_dedupe_ms(settings))
            && self.points.is_blank(window_start(now, settings))
            && self.rewards.is_blank()
    }

    /// The balance, as of the last event that asked for it: points in the rolling window and those that claims hold,
    /// less the debt.
    #[must_use]
    pub fn points(&self) -> i64 {
        let held = self.points.sum().saturating_add(self.rewards.held());
        held.saturating_sub(self.rewards.debt())
    }

    /// Points by workday that no claim holds, oldest first.
    #[must_use]
    pub const fn window(&self) -> &PointsWindow {
        &self.points
    }

    /// Claims, issued rewards and debt.
    #[must_use]
    pub const fn rewards(&self) -> &Rewards {
        &self.rewards
    }

    /// Brings all that figures rest on up to `now`. Returns the oldest workday that counts.
    fn expire(&mut self, now: LogTime, settings: &Settings) -> Workday {
        let start = window_start(now, settings);
        self.points.expire(start);
        if self.points.is_empty() {
            self.rewards.forget_export();
        }
        self.enps.expire(now, settings);
        start
    }

    fn hits<'a>(
        &self,
        context: &Context<'a>,
        event: &Event,
        effects: &mut Effects,
    ) -> Vec<Hit<'a>> {
        let (responses, detractors, detractor_share) = self.enps.figures();
        let figures = Figures::Agent {
            points: self.points(),
            responses,
            detractors,
            detractor_share,
        };
        let mut hits = Vec::new();
        context.rules.matching(event, &figures, &mut hits, effects);
        hits
    }

    /// Puts a metric's points in the place of what it gave on that workday before.
    fn record(
        &mut self,
        event: &WfmMetric,
        hits: &[Hit<'_>],
        settings: &Settings,
        effects: &mut Effects,
    ) {
        let replaced = self.points.replace(
            Workday::from_date(event.date.0),
            &event.metric,
            surveys::points_of(hits),
            event.recorded_at,
        );
        if replaced == Replaced::Stored {
            self.rewards
                .note_export(event.export_version.as_deref(), settings);
        }
        effects.extend(match replaced {
            Replaced::Stored => None,
            Replaced::Unchanged => Some(Effect::Ignore(Ignored::Duplicate)),
            Replaced::Superseded => Some(Effect::Ignore(Ignored::Superseded)),
            Replaced::Unknown => Some(Effect::Ignore(Ignored::UnknownMetric)),
        });
    }

    fn adjust(
        &mut self,
        now: LogTime,
        event: &PointsAdjusted,
        settings: &Settings,
        start: Workday,
        effects: &mut Effects,
    ) {
        self.adjustments.expire(now, adjustment_dedupe_ms(settings));
        let key = KeyHash::of(&event.adjustment_id, 0);
        if self.adjustments.get(key).is_some() {
            return effects.push(Effect::Ignore(Ignored::Duplicate));
        }
        let day = Workday::of(event.effective_at, &settings.time_zone);
        if day < start {
            return effects.push(Effect::Ignore(Ignored::TooOld));
        }
        if !self.adjustments.add(now, key, ()) {
            effects.push(Effect::Ignore(Ignored::DedupeOverflow));
        }
        let points = i64::from(event.points);
        self.points.add(day, Source::Adjustment, points);
    }
}

/// Tags in the stored agent.
const ADJUSTMENT_KEYS: u32 = 17;
const ADJUSTMENT_AT: u32 = 18;

impl Agent {
    /// Appends the stored form; `state` defines it.
    pub fn encode(&self, into: &mut Vec<u8>) {
        wire::uint(state::FORMAT_TAG, u64::from(state::FORMAT), into);
        self.surveys.encode(into);
        self.enps.encode(into);
        self.adjustments
            .encode(ADJUSTMENT_KEYS, ADJUSTMENT_AT, into);
        self.points.encode(into);
        self.rewards.encode(into);
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// If the bytes are no stored agent.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut stored: StoredAgent = prost::Message::decode(bytes)?;
        state::check_format(stored.format)?;
        Ok(Self {
            surveys: Surveys::decode(&stored).ok_or(DecodeError::Columns("surveys"))?,
            enps: Enps::decode(&mut stored).ok_or(DecodeError::Columns("enps"))?,
            adjustments: Dedupe::decode(&stored.adjustment_keys, &stored.adjustment_at)
                .ok_or(DecodeError::Columns("adjustments"))?,
            rewards: Rewards::decode(&mut stored).ok_or(DecodeError::Columns("rewards"))?,
            points: PointsWindow::decode(
                stored.metrics,
                &stored.point_days,
                &stored.point_sources,
                &stored.points,
                &stored.recorded,
            )
            .and_then(|window| window.with_spent(&stored.spent_days, &stored.spent))
            .ok_or(DecodeError::Columns("points"))?,
        })
    }
}
