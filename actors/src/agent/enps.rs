//! eNPS of one agent: each response scored once, and a spike of detractors noticed (S1.07, S1.09).
//!
//! The window is kept to times, categories and the ids of detractors, which are a coaching task's evidence. A
//! coaching rule fires when it begins to hold, not at each response while it does. A response that comes again with
//! another score, or for another agent, is scored anew and leaves the window as what it was (S2.15): which versions are
//! new, `responses` has decided. Used by `agent`.

use std::collections::VecDeque;

use crate::{
    contract::{
        event::EnpsResponse,
        output::{Category, CoachingRequest, EnpsMetadata, EnpsScored, Output},
        time::{EventTime, LogTime},
        value::Score,
    },
    dedupe::{Dedupe, KeyHash},
    effect::{Effect, Ignored},
    responses::Version,
    rewards::points::{PointsWindow, Source, Workday},
    rules::{Action, Hit, Settings},
    stored::{changes::stores_changes_of, state::StoredAgent, wire},
    turn::Turn,
};

/// Most responses held of one agent; above it the oldest leaves early.
pub const RESPONSES_MAX: usize = 1_000;

/// Most detractors named as evidence, the newest: an output stays small.
pub const EVIDENCE_MAX: usize = 50;

/// Category of a score (S1.07).
#[must_use]
pub const fn category(score: Score) -> Category {
    match score.0 {
        9.. => Category::Promoter,
        7..=8 => Category::Passive,
        0..=6 => Category::Detractor,
    }
}

/// One response in the window.
#[derive(Clone, Debug, PartialEq)]
struct Response {
    /// When it was submitted, but never after the log time at which it arrived.
    at: EventTime,
    category: Category,
    /// Its id, if it is a detractor's.
    evidence: Option<Box<str>>,
}

/// What a scored response gave.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Scored {
    /// As in the window.
    at: EventTime,
    /// `None` if it is not in the window, or was scored before this was kept.
    category: Option<Category>,
    /// Points it was given, in the survey cell of `day`.
    given: i64,
    day: Workday,
}

/// A coaching rule that held at the last response.
#[derive(Clone, Debug, PartialEq)]
struct Firing {
    rule: Box<str>,
    /// When it fired last.
    at: LogTime,
}

/// Responses of one agent, in the order in which they were submitted.
///
/// Clock: event time against log time. Boundary: a response submitted at `t` is in the window while
/// `now - t < window`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Enps {
    scored: Dedupe<Scored>,
    window: VecDeque<Response>,
    /// Detractors in the window.
    detractors: u32,
    firing: Vec<Firing>,
}

impl Enps {
    /// Lets responses leave, and forgets ids whose time has passed.
    pub fn expire(&mut self, now: LogTime, settings: &Settings) {
        self.scored.expire(now, settings.survey_dedupe_ms);
        while let Some(oldest) = self.window.front()
            && is_past(now, oldest.at, settings)
        {
            self.drop_oldest();
        }
    }

    /// Responses in the window, detractors among them, and their share (0 of none). Expire first.
    #[must_use]
    pub fn figures(&self) -> (u32, u32, f64) {
        // At most `RESPONSES_MAX`.
        let responses = self.window.len() as u32;
        let share = f64::from(self.detractors) / f64::from(responses.max(1));
        (responses, self.detractors, share)
    }

    /// Whether this response is new, as far as is known here. Expire first.
    ///
    /// # Errors
    /// If it was scored before.
    pub fn admit(&self, event: &EnpsResponse) -> Result<(), Ignored> {
        match self.scored.get(key_of(event)) {
            Some(_) => Err(Ignored::Duplicate),
            None => Ok(()),
        }
    }

    /// Takes back what an earlier version of the response gave: its place in the window, and its points, unless their
    /// workday has left before `start`. Expire first.
    pub fn take_back(&mut self, event: &EnpsResponse, start: Workday, points: &mut PointsWindow) {
        let Some(was) = self.scored.forget(key_of(event)) else {
            return;
        };
        if was.given != 0 && was.day >= start {
            points.add(was.day, Source::Survey, was.given.wrapping_neg());
        }
        let is_it = |response: &Response| {
            let evidence = response.evidence.as_deref();
            Some(response.category) == was.category
                && response.at == was.at
                // Of others than detractors one is like the other.
                && evidence.is_none_or(|id| *id == *event.response_id)
        };
        if let Some(place) = self.window.iter().rposition(is_it)
            && let Some(left) = self.window.remove(place)
        {
            self.detractors -= u32::from(left.evidence.is_some());
        }
    }

    /// Scores a version of a response that is not in the window, and takes it in. Expire first.
    pub fn score(&mut self, turn: &mut Turn<'_>, event: &EnpsResponse, version: Version) {
        let (now, settings) = (turn.now, turn.settings());
        let category = category(event.score);
        let text = |id: &Option<crate::contract::value::Id>| id.as_deref().map(str::to_owned);
        turn.effects.push(Effect::Emit {
            id: version.output_id(format!("enps:{}", event.response_id)),
            output: Output::EnpsScored(EnpsScored {
                response_id: event.response_id.to_string(),
                agent_id: event.agent_id.to_string(),
                interaction_id: text(&event.interaction_id),
                raw_score: event.score.0,
                category,
                submitted_at: event.submitted_at,
                metadata: EnpsMetadata {
                    queue_id: text(&event.queue_id),
                    wrap_up_code: event.wrap_up_code.clone(),
                },
            }),
        });
        let at = event.submitted_at.min(EventTime(now.0));
        let is_past = is_past(now, at, settings);
        let scored = Scored {
            at,
            category: (!is_past).then_some(category),
            ..Scored::default()
        };
        if !self.scored.remember(now, key_of(event), scored) {
            turn.ignore(Ignored::DedupeOverflow);
        }
        if is_past {
            return turn.ignore(Ignored::TooOld);
        }
        let evidence = matches!(category, Category::Detractor).then(|| (*event.response_id).into());
        self.detractors += u32::from(evidence.is_some());
        let place = self.window.partition_point(|response| response.at <= at);
        let response = Response {
            at,
            category,
            evidence,
        };
        self.window.insert(place, response);
        if self.window.len() > RESPONSES_MAX {
            self.drop_oldest();
        }
    }

    /// Gives the points of a response that was scored just now.
    pub fn give(
        &mut self,
        event: &EnpsResponse,
        given: i64,
        day: Workday,
        points: &mut PointsWindow,
    ) {
        if given == 0 {
            return;
        }
        points.add(day, Source::Survey, given);
        if let Some((_, scored)) = self.scored.get_mut(key_of(event)) {
            (scored.given, scored.day) = (given, day);
        }
    }

    /// Fires the coaching rules that hold now and did not before, or last fired a window's length ago.
    pub fn coach(
        &mut self,
        turn: &mut Turn<'_>,
        event: &EnpsResponse,
        version: Version,
        hits: &[Hit<'_>],
    ) {
        let (now, settings) = (turn.now, turn.settings());
        let coaching = hits.iter().filter_map(|hit| match &hit.rule.action {
            Action::Coaching { reason } => Some((hit.rule.name.as_str(), reason)),
            Action::Alert { .. } | Action::Segment { .. } | Action::Points { .. } => None,
        });
        self.firing
            .retain(|firing| coaching.clone().any(|(rule, _)| *rule == *firing.rule));
        for (rule, reason) in coaching {
            match self.firing.iter_mut().find(|firing| *firing.rule == *rule) {
                Some(firing) if now.since_ms(firing.at) < settings.enps_window_ms => continue,
                Some(firing) => firing.at = now,
                None => self.firing.push(Firing {
                    rule: rule.into(),
                    at: now,
                }),
            }
            turn.effects.push(Effect::Emit {
                id: version.output_id(format!("coaching:{rule}:{}", event.response_id)),
                output: Output::CoachingRequested(CoachingRequest {
                    agent_id: event.agent_id.to_string(),
                    reason: reason.clone(),
                    rule: rule.to_owned(),
                    evidence: self.evidence(),
                }),
            });
        }
    }

    /// Whether this agent's responses, at `now`, are as if there had never been any.
    #[must_use]
    pub fn is_blank(&self, now: LogTime, settings: &Settings) -> bool {
        let is_over = |firing: &Firing| now.since_ms(firing.at) >= settings.enps_window_ms;
        let newest = self.window.back();
        self.scored.is_blank(now, settings.survey_dedupe_ms)
            && newest.is_none_or(|newest| is_past(now, newest.at, settings))
            && self.firing.iter().all(is_over)
    }

    /// Ids of the newest detractors, oldest first.
    fn evidence(&self) -> Vec<String> {
        let newest = self
            .window
            .iter()
            .rev()
            .filter_map(|r| r.evidence.as_deref());
        let mut ids: Vec<String> = newest.take(EVIDENCE_MAX).map(str::to_owned).collect();
        ids.reverse();
        ids
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.window.pop_front() {
            self.detractors -= u32::from(oldest.evidence.is_some());
        }
    }
}

stores_changes_of!(scored of Enps);

impl Enps {
    /// Takes the window, and which rules fire, from another.
    pub(crate) fn take_window(&mut self, other: &Self) {
        self.window.clone_from(&other.window);
        self.detractors = other.detractors;
        self.firing.clone_from(&other.firing);
    }
}

fn key_of(event: &EnpsResponse) -> KeyHash {
    KeyHash::of(&event.response_id, 0)
}

fn is_past(now: LogTime, at: EventTime, settings: &Settings) -> bool {
    now.since_ms(LogTime(at.0)) >= settings.enps_window_ms
}

/// Tags of the columns in the stored agent.
const SCORED_KEYS: u32 = 10;
const SCORED_AT: u32 = 11;
const SUBMITTED: u32 = 12;
const CATEGORIES: u32 = 13;
const DETRACTORS: u32 = 14;
const COACHING_RULES: u32 = 15;
const COACHING_AT: u32 = 16;
const WINDOW_AT: u32 = 24;
const WINDOW_AS: u32 = 25;
const GIVING: u32 = 26;
const GIVEN_DAYS: u32 = 27;
const GIVEN: u32 = 28;

/// Stands for a response that is not in the window.
const NOT_IN_WINDOW: u8 = 3;

const fn byte_of(category: Category) -> u8 {
    match category {
        Category::Promoter => 0,
        Category::Passive => 1,
        Category::Detractor => 2,
    }
}

const fn category_of(byte: u8) -> Option<Category> {
    match byte {
        0 => Some(Category::Promoter),
        1 => Some(Category::Passive),
        2 => Some(Category::Detractor),
        _ => None,
    }
}

/// The stored form: a column a field, ids for detractors only.
impl Enps {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        self.scored.encode(SCORED_KEYS, SCORED_AT, into);
        self.encode_window(into);
    }

    /// The window, and which rules fire.
    pub(crate) fn encode_window(&self, into: &mut Vec<u8>) {
        let submitted = self.window.iter().map(|response| response.at.0);
        wire::sints(SUBMITTED, wire::deltas(submitted), into);
        let categories = self
            .window
            .iter()
            .map(|response| [byte_of(response.category)]);
        wire::pieces(CATEGORIES, categories, into);
        for id in self.window.iter().filter_map(|r| r.evidence.as_deref()) {
            wire::bytes(DETRACTORS, id.as_bytes(), into);
        }
        for firing in &self.firing {
            wire::bytes(COACHING_RULES, firing.rule.as_bytes(), into);
        }
        let fired = self.firing.iter().map(|firing| firing.at.0);
        wire::sints(COACHING_AT, wire::deltas(fired), into);
    }

    /// The columns of what each scored response gave, whose tags come later.
    pub(crate) fn encode_scored(&self, into: &mut Vec<u8>) {
        let scored = || self.scored.iter().map(|entry| &entry.value);
        let at = scored().map(|scored| scored.at.0);
        wire::sints(WINDOW_AT, wire::deltas(at), into);
        let categories = scored().map(|scored| [scored.category.map_or(NOT_IN_WINDOW, byte_of)]);
        wire::pieces(WINDOW_AS, categories, into);
        let giving = scored().enumerate().filter(|(_, scored)| scored.given != 0);
        let places = giving.clone().map(|(place, _)| place as i64);
        wire::sints(GIVING, wire::deltas(places), into);
        let days = giving.clone().map(|(_, scored)| i64::from(scored.day.0));
        wire::sints(GIVEN_DAYS, wire::deltas(days), into);
        wire::sints(GIVEN, giving.map(|(_, scored)| scored.given), into);
    }

    /// What each scored response gave; older states do not say.
    fn decode_scored(stored: &StoredAgent) -> Option<Dedupe<Scored>> {
        let mut scored: Dedupe<Scored> = Dedupe::decode(&stored.enps_keys, &stored.enps_at)?;
        let (at, categories) = (&stored.enps_scored_at, &stored.enps_scored_as);
        let fits = at.len() == categories.len()
            && (at.is_empty() || at.len() == scored.iter().len())
            && stored.enps_giving.len() == stored.enps_given.len()
            && stored.enps_giving.len() == stored.enps_given_days.len();
        if !fits {
            return None;
        }
        let mut values: Vec<&mut Scored> = scored.values_mut().collect();
        for (value, (at, byte)) in values.iter_mut().zip(wire::undelta(at).zip(categories)) {
            value.at = EventTime(at);
            value.category = match *byte {
                NOT_IN_WINDOW => None,
                byte => Some(category_of(byte)?),
            };
        }
        let days = wire::undelta(&stored.enps_given_days);
        let giving = wire::undelta(&stored.enps_giving).zip(days);
        for ((place, day), given) in giving.zip(&stored.enps_given) {
            let value = values.get_mut(usize::try_from(place).ok()?)?;
            (value.given, value.day) = (*given, Workday(i32::try_from(day).ok()?));
        }
        Some(scored)
    }

    /// `None` if the columns do not fit together.
    pub(crate) fn decode(stored: &mut StoredAgent) -> Option<Self> {
        let mut ids = std::mem::take(&mut stored.enps_detractors).into_iter();
        let rules = std::mem::take(&mut stored.coaching_rules);
        let fits = stored.enps_submitted.len() == stored.enps_categories.len()
            && rules.len() == stored.coaching_at.len();
        let mut enps = Self {
            scored: Self::decode_scored(stored).filter(|_| fits)?,
            ..Self::default()
        };
        let submitted = wire::undelta(&stored.enps_submitted);
        for (at, byte) in submitted.zip(&stored.enps_categories) {
            let category = category_of(*byte)?;
            let evidence = match category {
                Category::Detractor => Some(ids.next()?.into()),
                Category::Promoter | Category::Passive => None,
            };
            enps.detractors += u32::from(evidence.is_some());
            enps.window.push_back(Response {
                at: EventTime(at),
                category,
                evidence,
            });
        }
        let fired = rules.into_iter().zip(wire::undelta(&stored.coaching_at));
        enps.firing = fired
            .map(|(rule, at)| Firing {
                rule: rule.into(),
                at: LogTime(at),
            })
            .collect();
        let in_order = enps.window.iter().is_sorted_by_key(|response| response.at);
        (in_order && ids.next().is_none()).then_some(enps)
    }
}
