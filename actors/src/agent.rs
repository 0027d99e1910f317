//! An agent, bot, queue or nobody: surveys and alerts, eNPS, points and rewards, and what is asked of others.
//!
//! Puts the parts together: brings them up to `now`, asks the rules with the figures that result, and hands
//! each part what it is to apply. Of interactions only their wrap-up leaves a trace.

mod changes;
pub mod enps;
pub mod survey_requests;
pub mod surveys;

use self::{enps::Enps, survey_requests::Tokens, surveys::Surveys};
use crate::{
    actor::Context,
    alerts::{
        enrichment::Enrichment,
        operator::{dead_letters::Storms, imports::Imports},
    },
    contract::{
        event::{
            Body, EnpsResponse, Event, Outcome, OutcomeKind, PointsAdjusted, SurveyResponse,
            WfmMetric,
        },
        key::Key,
        time::{EventTime, LogTime},
    },
    dedupe::{Dedupe, KeyHash},
    effect::{Effect, Effects, Ignored},
    responses::Share,
    rewards::{
        points::{PointsWindow, Replaced, Source, Workday},
        redemption::{Moment, Rewards},
    },
    rules::{Figures, Hit, RuleSet, Settings},
    stored::{
        state::{self, DecodeError, StoredAgent},
        wire,
    },
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
    enrichment: Enrichment,
    tokens: Tokens,
    storms: Storms,
    imports: Imports,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// How long an adjustment is remembered, from when it takes effect or, if that is later, arrives: by then it has left
/// the window, however long its workday was, and is too old if it comes again.
const fn adjustment_dedupe_ms(settings: &Settings) -> i64 {
    (settings.points_window_days as i64 + 3) * DAY_MS
}

/// The oldest workday that counts at `now`.
#[must_use]
pub fn window_start(now: LogTime, settings: &Settings) -> Workday {
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
            // Without a word of whose it is, it is this owner's alone, and new if nothing here says otherwise.
            Body::SurveyResponse(_) | Body::EnpsResponse(_) => {
                self.respond(key, context, event, Share::WHOLE, effects);
            }
            Body::WfmMetric(metric) => {
                let start = self.expire(now, settings);
                let before = self.points.sum();
                if Workday::from_date(metric.date.0) < start {
                    return effects.push(Effect::Ignore(Ignored::TooOld));
                }
                let hits = self.hits(context, event, effects);
                self.record(metric, &hits, context.rules, effects);
                self.redeem(key, now, settings, before, effects);
            }
            Body::PointsAdjusted(adjusted) => {
                let start = self.expire(now, settings);
                let before = self.points.sum();
                self.adjust(now, adjusted, settings, start, effects);
                self.redeem(key, now, settings, before, effects);
            }
            Body::RewardDecided(decided) => {
                self.expire(now, settings);
                if let Some(moment) = moment(key, now, settings) {
                    self.rewards
                        .decided(moment, decided, &mut self.points, effects);
                }
            }
            // The customer side never hears of it, or not in order to update a profile, so it is counted here.
            Body::InteractionCompleted(_) => {
                if !matches!(event.body.customer(), Some(Key::Customer(_))) {
                    effects.push(Effect::Ignore(Ignored::NoCustomer));
                }
            }
            Body::InteractionWrapup(wrapup) => self.tokens.request(now, wrapup, settings, effects),
            Body::Outcome(kind, outcome) => {
                self.answer(key, *kind, now, outcome, settings, effects);
            }
            Body::DeadLettered(told) => self.storms.tell(key, now, event, told, effects),
            Body::ImportQuarantined(told) => self.imports.tell(key, now, told, effects),
            // Nothing to do yet, and nothing to remember.
            Body::InteractionStarted(_)
            | Body::InteractionUpdated(_)
            | Body::AlertAcknowledged(_)
            | Body::Tick
            | Body::RulesActivated(_) => {}
        }
    }

    /// Applies this owner's share of a version of a survey or eNPS response, which the event is about.
    pub fn respond(
        &mut self,
        key: Key<'_>,
        context: &Context<'_>,
        event: &Event,
        share: Share,
        effects: &mut Effects,
    ) {
        match &event.body {
            Body::SurveyResponse(response) => {
                self.survey(key, context, (event, response), share, effects);
            }
            Body::EnpsResponse(response) => {
                self.score(key, context, (event, response), share, effects);
            }
            Body::InteractionStarted(_)
            | Body::InteractionWrapup(_)
            | Body::InteractionCompleted(_)
            | Body::InteractionUpdated(_)
            | Body::WfmMetric(_)
            | Body::PointsAdjusted(_)
            | Body::RewardDecided(_)
            | Body::AlertAcknowledged(_)
            | Body::Outcome(..)
            | Body::DeadLettered(_)
            | Body::ImportQuarantined(_)
            | Body::Tick
            | Body::RulesActivated(_) => effects.push(Effect::Ignore(Ignored::NoPart)),
        }
    }

    fn survey(
        &mut self,
        key: Key<'_>,
        context: &Context<'_>,
        (event, response): (&Event, &SurveyResponse),
        share: Share,
        effects: &mut Effects,
    ) {
        let (now, settings) = (context.now, context.rules.settings());
        self.surveys.expire(now, settings);
        self.enrichment.expire(now, settings);
        if share.version.is_first
            && let Err(ignored) = self.surveys.admit(response)
        {
            return effects.push(Effect::Ignore(ignored));
        }
        let start = self.expire(now, settings);
        let before = self.points.sum();
        let hits = match share.counts || share.alerts {
            true => self.hits(context, event, effects),
            false => Vec::new(),
        };
        self.surveys.apply(
            key,
            now,
            response,
            share,
            &hits,
            settings,
            start,
            &mut self.points,
            &mut self.enrichment,
            effects,
        );
        self.redeem(key, now, settings, before, effects);
    }

    fn score(
        &mut self,
        key: Key<'_>,
        context: &Context<'_>,
        (event, response): (&Event, &EnpsResponse),
        share: Share,
        effects: &mut Effects,
    ) {
        let (now, settings) = (context.now, context.rules.settings());
        let start = self.expire(now, settings);
        let before = self.points.sum();
        if share.version.is_first
            && let Err(ignored) = self.enps.admit(response)
        {
            return effects.push(Effect::Ignore(ignored));
        }
        self.enps.take_back(response, start, &mut self.points);
        if share.counts {
            self.enps
                .score(now, response, share.version, settings, effects);
            let hits = self.hits(context, event, effects);
            self.enps
                .coach(now, response, share.version, &hits, settings, effects);
            let given = surveys::points_of(&hits).unwrap_or(0);
            let day = Workday::of(response.submitted_at, &settings.time_zone);
            if day >= start {
                self.enps.give(response, given, day, &mut self.points);
            } else if given != 0 {
                effects.push(Effect::Ignore(Ignored::TooOld));
            }
        }
        self.redeem(key, now, settings, before, effects);
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

    /// Goes on with lookups, and claims what time alone has brought; other windows are brought up to date by the
    /// next event.
    pub fn wake(&mut self, key: Key<'_>, context: &Context<'_>, effects: &mut Effects) {
        let (now, settings) = (context.now, context.rules.settings());
        self.enrichment.wake(now, effects);
        if self.rewards.deadline().is_some_and(|due| due <= now)
            && let Some(moment) = moment(key, now, settings)
        {
            self.expire(now, settings);
            self.rewards.look(moment, &mut self.points, effects);
        }
    }

    /// When a lookup goes on or ends, or a reward may come without an event.
    #[must_use]
    pub fn deadline(&self) -> Option<LogTime> {
        let due = [self.enrichment.deadline(), self.rewards.deadline()];
        due.into_iter().flatten().min()
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
            && self.enrichment.is_blank(now, settings)
            && self.tokens.is_blank(now, settings)
            && self.storms.is_blank(now)
            && self.imports.is_blank(now)
    }

    /// The balance, as of the last event that asked for it: points in the rolling window and those that claims hold,
    /// less the debt.
    #[must_use]
    pub fn points(&self) -> i64 {
        let held = self.points.sum().saturating_add(self.rewards.held());
        held.saturating_sub(self.rewards.debt())
    }

    /// This agent without what it knows of the exports its points came with: what older programs did not keep.
    #[must_use]
    pub fn without_exports(&self) -> Self {
        let mut agent = self.clone();
        agent.points.forget_all_exports();
        agent.rewards.forget_all_exports();
        agent
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

    /// eNPS, as of the last event that asked for its figures.
    #[must_use]
    pub const fn enps(&self) -> &Enps {
        &self.enps
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
        rules: &RuleSet,
        effects: &mut Effects,
    ) {
        // A value that gives nothing is recorded where another one might have: an older one may come late.
        let nothing = || rules.gives_points_for(&event.metric).then_some(0);
        let replaced = self.points.replace(
            Workday::from_date(event.date.0),
            &event.metric,
            surveys::points_of(hits).or_else(nothing),
            event.recorded_at,
        );
        if replaced == Replaced::Stored {
            let version = event.export_version.as_deref();
            let day = Workday::from_date(event.date.0);
            self.points.came_with(day, &event.metric, version);
            self.rewards.note_export(version);
        }
        effects.extend(match replaced {
            Replaced::Stored => None,
            Replaced::Unchanged => Some(Effect::Ignore(Ignored::Duplicate)),
            Replaced::Superseded => Some(Effect::Ignore(Ignored::Superseded)),
            Replaced::Unknown => Some(Effect::Ignore(Ignored::UnknownMetric)),
        });
    }

    /// Takes what became of something this agent asked for or said.
    fn answer(
        &mut self,
        key: Key<'_>,
        kind: OutcomeKind,
        now: LogTime,
        outcome: &Outcome,
        settings: &Settings,
        effects: &mut Effects,
    ) {
        match kind {
            OutcomeKind::Enrichment => self.enrichment.answer(now, outcome, settings, effects),
            OutcomeKind::SurveyToken => self.tokens.answer(now, outcome, settings, effects),
            OutcomeKind::Alert => {
                self.surveys.expire(now, settings);
                let id = &outcome.output_id;
                let is_known = self.surveys.has_alerted(id)
                    || self.storms.has_alerted(now, id)
                    || self.imports.has_alerted(now, id)
                    || moment(key, now, settings)
                        .is_some_and(|moment| self.rewards.has_alerted(moment.agent, id));
                if !is_known {
                    effects.push(Effect::Ignore(Ignored::UnknownRequest));
                }
            }
            // Customers ask who they are.
            OutcomeKind::Identity => effects.push(Effect::Ignore(Ignored::NoPart)),
            OutcomeKind::Reward => {
                self.expire(now, settings);
                match moment(key, now, settings) {
                    Some(moment) => {
                        self.rewards
                            .outcome(moment, outcome, &mut self.points, effects);
                    }
                    None => effects.push(Effect::Ignore(Ignored::UnknownRequest)),
                }
            }
        }
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
        // One still to take effect is remembered from then on, as its points stay for longer.
        let from = now.max(LogTime(event.effective_at.0));
        if !self.adjustments.add(from, key, ()) {
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
    /// Appends the stored form; `state` defines it. Tags ascend, as in what its messages write.
    pub fn encode(&self, into: &mut Vec<u8>) {
        wire::uint(state::FORMAT_TAG, u64::from(state::FORMAT), into);
        self.surveys.encode(into);
        self.enps.encode(into);
        self.adjustments
            .encode(ADJUSTMENT_KEYS, ADJUSTMENT_AT, into);
        self.points.encode(into);
        self.enps.encode_scored(into);
        self.enrichment.encode(into);
        self.tokens.encode(into);
        self.storms.encode(into);
        self.imports.encode(into);
        self.enrichment.encode_told(into);
        self.points.encode_spent(into);
        self.rewards.encode(into);
        self.points.encode_exports(into);
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// If the bytes are no stored agent.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut stored: StoredAgent = prost::Message::decode(bytes)?;
        state::check_format(stored.format)?;
        let tokens = Tokens::decode(&stored).ok_or(DecodeError::Columns("tokens"))?;
        let storms = Storms::decode(&stored).ok_or(DecodeError::Columns("storms"))?;
        let imports = Imports::decode(&stored).ok_or(DecodeError::Columns("imports"))?;
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
            .and_then(|window| window.with_exports(stored.exports, &stored.cell_exports))
            .ok_or(DecodeError::Columns("points"))?,
            enrichment: Enrichment::decode(&stored.enrichments, &stored.told)
                .ok_or(DecodeError::Columns("enrichments"))?,
            tokens,
            storms,
            imports,
        })
    }
}
