//! An agent, bot or queue, or unassigned work: surveys and alerts, eNPS, points and rewards, and what is asked of others.
//!
//! Puts the parts together: brings them up to `now`, asks the rules with the figures that result, and hands
//! each part what it is to apply. Of interactions only their wrap-up leaves a trace.

mod changes;
pub mod enps;
pub mod survey_requests;
pub mod surveys;

use self::{enps::Enps, survey_requests::SurveyRequests, surveys::Surveys};
use crate::{
    alerts::{
        enrichment::Enrichment,
        operator::{dead_letters::DeadLetterAlerts, imports::ImportAlerts},
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
    effect::{Effect, Ignored},
    responses::Share,
    rewards::{
        points::{PointsWindow, Replaced, Source, Workday},
        redemption::Rewards,
    },
    rules::{Figures, Hit, Settings},
    stored::{
        state::{self, DecodeError, StoredAgent},
        wire,
    },
    turn::Turn,
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
    tokens: SurveyRequests,
    storms: DeadLetterAlerts,
    imports: ImportAlerts,
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

/// Whether points of this owner become rewards: an agent's do, those of a bot, a queue or unassigned work do not.
const fn is_rewarded(key: Key<'_>) -> bool {
    matches!(key, Key::Agent(_))
}

impl Agent {
    /// Applies one event that is for the owner whose turn it is.
    pub fn apply(&mut self, turn: &mut Turn<'_>, event: &Event) {
        match &event.body {
            // Without a word of whose it is, it is this owner's alone, and new if nothing here says otherwise.
            Body::SurveyResponse(_) | Body::EnpsResponse(_) => {
                self.respond(turn, event, Share::WHOLE);
            }
            Body::WfmMetric(metric) => {
                let start = self.expire(turn);
                let before = self.points.sum();
                if Workday::from_date(metric.date.0) < start {
                    return turn.ignore(Ignored::TooOld);
                }
                let hits = self.hits(turn, event);
                self.record(turn, metric, &hits);
                self.redeem(turn, before);
            }
            Body::PointsAdjusted(adjusted) => {
                let start = self.expire(turn);
                let before = self.points.sum();
                self.adjust(turn, adjusted, start);
                self.redeem(turn, before);
            }
            Body::RewardDecided(decided) => {
                self.expire(turn);
                if is_rewarded(turn.key) {
                    self.rewards.decided(turn, decided, &mut self.points);
                }
            }
            // The customer side never hears of it, or not in order to update a profile, so it is counted here.
            Body::InteractionCompleted(_) => {
                if !matches!(event.body.customer(), Some(Key::Customer(_))) {
                    turn.ignore(Ignored::NoCustomer);
                }
            }
            Body::InteractionWrapup(wrapup) => self.tokens.request(turn, wrapup),
            Body::Outcome(kind, outcome) => {
                self.answer(turn, *kind, outcome);
            }
            Body::DeadLettered(told) => self.storms.tell(turn, event, told),
            Body::ImportQuarantined(told) => self.imports.tell(turn, told),
            // Nothing to do yet, and nothing to remember.
            Body::InteractionStarted(_)
            | Body::InteractionUpdated(_)
            | Body::AlertAcknowledged(_)
            | Body::Tick
            | Body::RulesActivated(_) => {}
        }
    }

    /// Applies this owner's share of a version of a survey or eNPS response, which the event is about.
    pub fn respond(&mut self, turn: &mut Turn<'_>, event: &Event, share: Share) {
        match &event.body {
            Body::SurveyResponse(response) => {
                self.survey(turn, (event, response), share);
            }
            Body::EnpsResponse(response) => {
                self.score(turn, (event, response), share);
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
            | Body::RulesActivated(_) => turn.ignore(Ignored::NoPart),
        }
    }

    fn survey(
        &mut self,
        turn: &mut Turn<'_>,
        (event, response): (&Event, &SurveyResponse),
        share: Share,
    ) {
        let (now, settings) = (turn.now, turn.settings());
        self.surveys.expire(now, settings);
        self.enrichment.expire(now, settings);
        if share.version.is_first
            && let Err(ignored) = self.surveys.admit(response)
        {
            return turn.ignore(ignored);
        }
        self.expire(turn);
        let before = self.points.sum();
        let hits = match share.counts || share.alerts {
            true => self.hits(turn, event),
            false => Vec::new(),
        };
        let version = surveys::Judged {
            response,
            share,
            hits: &hits,
        };
        let (points, enrichment) = (&mut self.points, &mut self.enrichment);
        self.surveys.apply(turn, &version, points, enrichment);
        self.redeem(turn, before);
    }

    fn score(
        &mut self,
        turn: &mut Turn<'_>,
        (event, response): (&Event, &EnpsResponse),
        share: Share,
    ) {
        let settings = turn.settings();
        let start = self.expire(turn);
        let before = self.points.sum();
        if share.version.is_first
            && let Err(ignored) = self.enps.admit(response)
        {
            return turn.ignore(ignored);
        }
        self.enps.take_back(response, start, &mut self.points);
        if share.counts {
            self.enps.score(turn, response, share.version);
            let hits = self.hits(turn, event);
            self.enps.coach(turn, response, share.version, &hits);
            let given = surveys::points_of(&hits).unwrap_or(0);
            let day = Workday::of(response.submitted_at, &settings.time_zone);
            if day >= start {
                self.enps.give(response, given, day, &mut self.points);
            } else if given != 0 {
                turn.ignore(Ignored::TooOld);
            }
        }
        self.redeem(turn, before);
    }

    /// Claims and takes back what follows from the points, after an event at whose beginning they were `before`.
    fn redeem(&mut self, turn: &mut Turn<'_>, before: i64) {
        let change = self.points.sum().wrapping_sub(before);
        if is_rewarded(turn.key) {
            self.rewards.follow(turn, change, &mut self.points);
        }
    }

    /// Goes on with lookups, and claims what time alone has brought; other windows are brought up to date by the
    /// next event.
    pub fn wake(&mut self, turn: &mut Turn<'_>) {
        self.enrichment.wake(turn);
        let is_due = |due: LogTime| due <= turn.now;
        if self.rewards.deadline().is_some_and(is_due) && is_rewarded(turn.key) {
            self.expire(turn);
            self.rewards.look(turn, &mut self.points);
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
    fn expire(&mut self, turn: &mut Turn<'_>) -> Workday {
        let start = turn.window_start();
        self.points.expire(start);
        if self.points.is_empty() {
            self.rewards.forget_export();
        }
        self.enps.expire(turn.now, turn.settings());
        start
    }

    fn hits<'a>(&self, turn: &mut Turn<'a>, event: &Event) -> Vec<Hit<'a>> {
        let (responses, detractors, detractor_share) = self.enps.figures();
        let figures = Figures::Agent {
            points: self.points(),
            responses,
            detractors,
            detractor_share,
        };
        let mut hits = Vec::new();
        turn.rules
            .matching(event, &figures, &mut hits, turn.effects);
        hits
    }

    /// Puts a metric's points in the place of what it gave on that workday before.
    fn record(&mut self, turn: &mut Turn<'_>, event: &WfmMetric, hits: &[Hit<'_>]) {
        // A value that gives nothing is recorded where another one might have: an older one may come late.
        let nothing = || turn.rules.gives_points_for(&event.metric).then_some(0);
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
        turn.effects.extend(match replaced {
            Replaced::Stored => None,
            Replaced::Unchanged => Some(Effect::Ignore(Ignored::Duplicate)),
            Replaced::Superseded => Some(Effect::Ignore(Ignored::Superseded)),
            Replaced::Unknown => Some(Effect::Ignore(Ignored::UnknownMetric)),
        });
    }

    /// Takes what became of something this agent asked for or said.
    fn answer(&mut self, turn: &mut Turn<'_>, kind: OutcomeKind, outcome: &Outcome) {
        let (now, settings) = (turn.now, turn.settings());
        match kind {
            OutcomeKind::Enrichment => self.enrichment.answer(turn, outcome),
            OutcomeKind::SurveyToken => self.tokens.answer(turn, outcome),
            OutcomeKind::Alert => {
                self.surveys.expire(now, settings);
                let id = &outcome.output_id;
                let is_known = self.surveys.has_alerted(id)
                    || self.storms.has_alerted(now, id)
                    || self.imports.has_alerted(now, id)
                    || matches!(turn.key, Key::Agent(agent) if self.rewards.has_alerted(agent, id));
                if !is_known {
                    turn.ignore(Ignored::UnknownRequest);
                }
            }
            // Customers ask who they are.
            OutcomeKind::Identity => turn.ignore(Ignored::NoPart),
            OutcomeKind::Reward => {
                self.expire(turn);
                match is_rewarded(turn.key) {
                    true => self.rewards.outcome(turn, outcome, &mut self.points),
                    false => turn.ignore(Ignored::UnknownRequest),
                }
            }
        }
    }

    fn adjust(&mut self, turn: &mut Turn<'_>, event: &PointsAdjusted, start: Workday) {
        let (now, settings) = (turn.now, turn.settings());
        self.adjustments.expire(now, adjustment_dedupe_ms(settings));
        let key = KeyHash::of(&event.adjustment_id, 0);
        if self.adjustments.get(key).is_some() {
            return turn.ignore(Ignored::Duplicate);
        }
        let day = Workday::of(event.effective_at, &settings.time_zone);
        if day < start {
            return turn.ignore(Ignored::TooOld);
        }
        // One still to take effect is remembered from then on, as its points stay for longer.
        let from = now.max(LogTime(event.effective_at.0));
        if !self.adjustments.add(from, key, ()) {
            turn.ignore(Ignored::DedupeOverflow);
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
        let tokens = SurveyRequests::decode(&stored).ok_or(DecodeError::Columns("tokens"))?;
        let storms = DeadLetterAlerts::decode(&stored).ok_or(DecodeError::Columns("storms"))?;
        let imports = ImportAlerts::decode(&stored).ok_or(DecodeError::Columns("imports"))?;
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
