//! Survey responses of one owner: each counts once, a later version anew (S2.05, S2.15).
//!
//! For each response it keeps whether it has alerted, and the points it was given, so that a later version can take these
//! back. Which versions are new, and what of one is this owner's, `responses` has decided; the revision is kept for
//! responses from before it did. Of one that has moved, points and alert are two owners': then the figures in the
//! conditions of alerts are those of the first owner, and in those of points the last one's. Used by `agent`; `alert`
//! makes the alert.

use crate::{
    alerts::{self, enrichment::Enrichment},
    contract::{event::SurveyResponse, output::Severity, time::LogTime},
    dedupe::{Dedupe, KeyHash},
    effect::Ignored,
    responses::Share,
    rewards::points::{PointsWindow, Source, Workday},
    rules::{Action, Hit, Settings},
    stored::{changes::stores_changes_of, state::StoredAgent, wire},
    turn::Turn,
};

/// What is known of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Response {
    revision: u64,
    alerted: bool,
    /// Points it was given, in the survey cell of `day`.
    given: i64,
    day: Workday,
}

/// A version of a response that is to be applied.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// The version.
    pub response: &'a SurveyResponse,
    /// What of it is this owner's.
    pub share: Share,
    /// The rules that hold for it.
    pub hits: &'a [Hit<'a>],
}

/// Survey responses seen within the dedupe time.
///
/// Clock: log time, from the last revision that was applied; so a response alerts once within the dedupe time,
/// and a repeated delivery does not prolong it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surveys {
    responses: Dedupe<Response>,
}

impl Surveys {
    /// Forgets the responses whose time has passed.
    pub fn expire(&mut self, now: LogTime, settings: &Settings) {
        self.responses.expire(now, settings.survey_dedupe_ms);
    }

    /// Whether this revision is new, as far as is known here.
    ///
    /// # Errors
    /// If it, or a later one, was applied before.
    pub fn admit(&self, event: &SurveyResponse) -> Result<(), Ignored> {
        match self.responses.get(key_of(event)) {
            Some(seen) if event.revision == seen.revision => Err(Ignored::Duplicate),
            Some(seen) if event.revision < seen.revision => Err(Ignored::Superseded),
            Some(_) | None => Ok(()),
        }
    }

    /// Applies this owner's share of a version: its points go into `points`; an alert goes out, and is updated, through
    /// `enrichment`.
    pub fn apply(
        &mut self,
        turn: &mut Turn<'_>,
        version: &Judged<'_>,
        points: &mut PointsWindow,
        enrichment: &mut Enrichment,
    ) {
        let Judged {
            response: event,
            share,
            hits,
        } = *version;
        let (now, start) = (turn.now, turn.window_start());
        let id = key_of(event);
        let seen = self.responses.get(id).copied();
        let mut response = seen.unwrap_or_default();
        response.revision = event.revision;
        if share.alerts {
            let foremost = alerts::foremost(hits).map(|(rule, severity)| (&*rule.name, severity));
            if response.alerted {
                let draft = alerts::alert(
                    turn,
                    // A version under which nothing alerts any more changes what the alert says, and not its rank.
                    foremost.unwrap_or(("", Severity::Info)),
                    event,
                    hits,
                );
                let is_news = enrichment.revise(turn, id, draft);
                if !is_news && foremost.is_some() {
                    turn.ignore(Ignored::AlreadyAlerted);
                }
            } else if let Some(foremost) = foremost {
                let alert = alerts::alert(turn, foremost, event, hits);
                response.alerted = true;
                enrichment.raise(turn, alert);
            }
        }
        // What left the window with its workday is not taken back again.
        if response.given != 0 && response.day >= start {
            points.add(response.day, Source::Survey, response.given.wrapping_neg());
        }
        (response.given, response.day) = (0, Workday::default());
        let given = match share.counts {
            true => points_of(hits).unwrap_or(0),
            false => 0,
        };
        if given != 0 {
            let day = Workday::of(event.submitted_at, &turn.settings().time_zone);
            if day >= start {
                points.add(day, Source::Survey, given);
                (response.given, response.day) = (given, day);
            } else {
                turn.ignore(Ignored::TooOld);
            }
        }
        if !share.counts && !share.alerts {
            self.responses.forget(id);
            return;
        }
        let fits = match seen {
            Some(_) => self.responses.remember(now, id, response),
            None => self.responses.add(now, id, response),
        };
        if !fits {
            turn.ignore(Ignored::DedupeOverflow);
        }
    }

    /// Whether the output of this id is an alert of a response that is remembered, or an update of one.
    #[must_use]
    pub fn has_alerted(&self, output_id: &str) -> bool {
        let Some((_rule, name)) = output_id.split_once(':') else {
            return false;
        };
        let alerted = |name: &str| {
            let hashed = name.strip_prefix('#').filter(|hash| hash.len() == 32);
            let hashed = hashed.and_then(|hash| u128::from_str_radix(hash, 16).ok());
            let keys = [Some(KeyHash::of(name, 0)), hashed.map(KeyHash::from_u128)];
            let mut seen = keys
                .into_iter()
                .flatten()
                .filter_map(|key| self.responses.get(key));
            seen.any(|response| response.alerted)
        };
        // An id may end like an update's without being one.
        let updated = name.rsplit_once(":u").map(|(name, _number)| name);
        alerted(name) || updated.is_some_and(alerted)
    }

    /// Whether nothing is remembered at `now`.
    #[must_use]
    pub fn is_blank(&self, now: LogTime, settings: &Settings) -> bool {
        self.responses.is_blank(now, settings.survey_dedupe_ms)
    }
}

stores_changes_of!(responses of Surveys);

fn key_of(event: &SurveyResponse) -> KeyHash {
    KeyHash::of(&event.response_id, 0)
}

/// Points that the rules give together; `None` if none of them gives points at all.
pub(crate) fn points_of(hits: &[Hit<'_>]) -> Option<i64> {
    let given = hits.iter().filter_map(|hit| match &hit.rule.action {
        Action::Points { .. } => Some(i64::from(hit.points)),
        Action::Alert { .. } | Action::Coaching { .. } | Action::Segment { .. } => None,
    });
    given.fold(None, |sum, points| Some(sum.unwrap_or(0) + points))
}

/// Tags of the columns in the stored agent.
const KEYS: u32 = 2;
const AT: u32 = 3;
const REVISED: u32 = 4;
const REVISIONS: u32 = 5;
const ALERTED: u32 = 6;
const GIVING: u32 = 7;
const GIVEN_DAYS: u32 = 8;
const GIVEN: u32 = 9;

/// The stored form: most responses are first revisions that neither alerted nor gave points, so what differs
/// from that is stored by place.
impl Surveys {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        self.responses.encode(KEYS, AT, into);
        let responses = || self.responses.iter().map(|entry| &entry.value).enumerate();
        let place = |(place, _): (usize, &Response)| place as i64;
        let revised = responses().filter(|(_, r)| r.revision != 0);
        wire::sints(REVISED, wire::deltas(revised.clone().map(place)), into);
        wire::uints(REVISIONS, revised.map(|(_, r)| r.revision), into);
        let alerted = responses().filter(|(_, r)| r.alerted);
        wire::sints(ALERTED, wire::deltas(alerted.map(place)), into);
        let giving = responses().filter(|(_, r)| r.given != 0);
        wire::sints(GIVING, wire::deltas(giving.clone().map(place)), into);
        let days = giving.clone().map(|(_, r)| i64::from(r.day.0));
        wire::sints(GIVEN_DAYS, wire::deltas(days), into);
        wire::sints(GIVEN, giving.map(|(_, r)| r.given), into);
    }

    /// `None` if the columns do not fit together.
    pub(crate) fn decode(stored: &StoredAgent) -> Option<Self> {
        let mut responses = Dedupe::decode(&stored.survey_keys, &stored.survey_at)?;
        let mut values: Vec<&mut Response> = responses.values_mut().collect();
        if stored.survey_revised.len() != stored.survey_revisions.len()
            || stored.survey_giving.len() != stored.survey_given.len()
            || stored.survey_giving.len() != stored.survey_given_days.len()
        {
            return None;
        }
        let place = |place: i64| usize::try_from(place).ok();
        for (at, revision) in wire::undelta(&stored.survey_revised).zip(&stored.survey_revisions) {
            values.get_mut(place(at)?)?.revision = *revision;
        }
        for at in wire::undelta(&stored.survey_alerted) {
            values.get_mut(place(at)?)?.alerted = true;
        }
        let days = wire::undelta(&stored.survey_given_days);
        let giving = wire::undelta(&stored.survey_giving).zip(days);
        for ((at, day), given) in giving.zip(&stored.survey_given) {
            let response = values.get_mut(place(at)?)?;
            (response.given, response.day) = (*given, Workday(i32::try_from(day).ok()?));
        }
        Some(Self { responses })
    }
}
