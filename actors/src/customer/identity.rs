//! Who a customer is to the customer data platform: asked when an interaction starts, held while it is sure
//! (S5.01 to S5.03, S5.11).
//!
//! The platform answers with a confidence. Only above [`CONFIDENCE_MIN`] is the profile taken for the customer's;
//! else nothing of it is kept, and the desktop asks to verify. A lookup that fails leaves what was known, marked
//! stale. Used by `customer`; `tracking` needs the user id.
//!
//! A destination takes `identity.requested` and answers with `identity.outcome`: status `resolved`, with
//! `response.confidence_score`, `response.user_id` and, if anything is to be shown, `response.attributes`; any other
//! status is a lookup that failed.

mod stored;

use crate::{
    contract::{
        event::{CustomerRef, InteractionStarted, Outcome},
        identifier::IdentifierType,
        output::{IdentityRequest, Output, output_id},
        time::LogTime,
        value::Id,
    },
    dedupe::{Dedupe, KeyHash},
    effect::{Effect, Effects, Ignored},
    rules::Settings,
    turn::Turn,
};

/// Confidence above which, up to 1, a profile is the customer's (S5.02).
pub const CONFIDENCE_MIN: f64 = 0.9;

/// Most bytes of attributes that are kept, as JSON (S5.05: summary fields only).
pub const ATTRIBUTES_BYTES_MAX: usize = 2_048;

/// The status of an outcome in which the platform answered.
const RESOLVED: &str = "resolved";

/// What is known of who a customer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// Nothing.
    #[default]
    Guest,
    /// The platform was not sure enough: to be verified by a person (`verify_identity`).
    Verify,
    /// The platform was sure.
    Known(Known),
}

/// A customer whom the platform knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The platform's id.
    pub user_id: Id,
    /// Summary fields, as the text of a JSON object, if there are any.
    pub attributes: Option<Box<str>>,
    /// Whether a later lookup failed.
    pub stale: bool,
}

/// Who a customer is, and the questions that are out.
///
/// Clock: log time. Boundary: what a question brought holds until `keep` after that question. A question is open
/// until it is answered or its interaction is forgotten (`completion.dedupe`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity(Option<Box<Asked>>, Unmarked);

/// In a box: most customers of a centre without such a platform have none.
#[derive(Clone, Debug, Default, PartialEq)]
struct Asked {
    /// Questions by output id, and whether they are answered.
    questions: Dedupe<bool>,
    resolution: Resolution,
    /// When the question was put that brought it.
    asked_at: LogTime,
}

impl Identity {
    /// Asks who the customer of a new interaction is, unless that has been asked.
    pub fn ask(&mut self, turn: &mut Turn<'_>, event: &InteractionStarted, customer: &CustomerRef) {
        let (now, settings) = (turn.now, turn.settings());
        if !settings.identity_requested {
            return;
        }
        self.expire(now, settings);
        let named = |of: &IdentifierType| customer.identifier(*of).map(|text| (*of, text));
        let Some((identifier_type, identifier)) = settings.identify_by.iter().find_map(named)
        else {
            return turn.ignore(Ignored::NoIdentifier);
        };
        let id = output_id("identity", &[&event.interaction_id]);
        let key = KeyHash::of(&id, 0);
        let asked = self.0.get_or_insert_default();
        if asked.questions.get(key).is_some() {
            return turn.ignore(Ignored::Duplicate);
        }
        if !asked.questions.add(now, key, false) {
            turn.ignore(Ignored::DedupeOverflow);
        }
        turn.effects.push(Effect::Emit {
            id,
            output: Output::IdentityRequested(IdentityRequest {
                interaction_id: event.interaction_id.to_string(),
                channel: event.channel,
                identifier: identifier.into_owned(),
                identifier_type,
                customer: customer.clone(),
            }),
        });
    }

    /// Takes what became of a question. That of a newer one holds, whichever comes first.
    pub fn answer(&mut self, turn: &mut Turn<'_>, outcome: &Outcome) {
        let (now, settings) = (turn.now, turn.settings());
        self.expire(now, settings);
        let key = KeyHash::of(&outcome.output_id, 0);
        let asked = self.0.as_deref_mut();
        let Some((asked_at, asked)) = asked.and_then(|asked| {
            let (at, answered) = asked.questions.get_mut(key)?;
            (!std::mem::replace(answered, true)).then_some((at, asked))
        }) else {
            return turn.ignore(Ignored::UnknownRequest);
        };
        if asked.resolution != Resolution::Guest && asked_at < asked.asked_at {
            return turn.ignore(Ignored::Superseded);
        }
        match resolution_of(outcome, turn.effects) {
            Some(resolution) => {
                asked.resolution = resolution;
                asked.asked_at = asked_at;
            }
            None => {
                turn.ignore(Ignored::LookupFailed);
                if let Resolution::Known(known) = &mut asked.resolution {
                    known.stale = true;
                }
            }
        }
    }

    /// Who the customer is, as of the last event.
    #[must_use]
    pub fn resolution(&self) -> &Resolution {
        self.0
            .as_ref()
            .map_or(&Resolution::Guest, |asked| &asked.resolution)
    }

    /// The platform's id of the customer, if it was sure.
    #[must_use]
    pub fn user_id(&self) -> Option<&Id> {
        match self.resolution() {
            Resolution::Known(known) => Some(&known.user_id),
            Resolution::Guest | Resolution::Verify => None,
        }
    }

    /// Whether a question is out.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        let asked = self.0.as_ref();
        asked.is_some_and(|asked| asked.questions.iter().any(|question| !question.value))
    }

    /// Forgets what no longer holds.
    pub fn expire(&mut self, now: LogTime, settings: &Settings) {
        let Some(asked) = self.0.as_deref_mut() else {
            return;
        };
        asked.questions.expire(now, settings.completion_dedupe_ms);
        if asked.is_past(now, settings) {
            asked.resolution = Resolution::Guest;
            asked.asked_at = LogTime::default();
        }
        if *asked == Asked::default() {
            (self.0, self.1) = (None, Unmarked(true));
        }
    }

    /// Whether nothing is known or asked at `now`.
    #[must_use]
    pub fn is_blank(&self, now: LogTime, settings: &Settings) -> bool {
        self.0.as_ref().is_none_or(|asked| {
            asked.questions.is_blank(now, settings.completion_dedupe_ms)
                && (asked.resolution == Resolution::Guest || asked.is_past(now, settings))
        })
    }
}

/// Whether there was nothing in between, since this was stored: what had been forgotten by then is listed no more. It is
/// no part of what is known.
#[derive(Clone, Copy, Debug, Default)]
struct Unmarked(bool);

impl PartialEq for Unmarked {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What is stored of it by changes; `customer` puts them together.
impl Identity {
    pub(crate) fn mark(&mut self) {
        self.1 = Unmarked(false);
        if let Some(asked) = &mut self.0 {
            asked.questions.mark();
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        let asked = self.0.as_ref();
        asked.is_some_and(|asked| asked.questions.is_lost())
    }

    /// Whether there was nothing in between, so that all questions there are have come since.
    pub(crate) const fn was_blank(&self) -> bool {
        self.1.0
    }

    pub(crate) fn gone(&self) -> &[KeyHash] {
        self.0.as_ref().map_or(&[], |asked| asked.questions.gone())
    }

    /// The questions that are new or answered, without what came of them.
    pub(crate) fn news(&self) -> Self {
        let questions = self.0.as_ref().map(|asked| asked.questions.news());
        Self::of(questions.unwrap_or_default(), &Asked::default())
    }

    /// What came of the questions, without them.
    pub(crate) fn answer_only(&self) -> Self {
        let asked = self.0.as_ref();
        asked.map_or_else(Self::default, |asked| Self::of(Dedupe::default(), asked))
    }

    /// The same with these questions.
    pub(crate) fn with_questions_of(self, other: Self) -> Self {
        let questions = other.0.map(|asked| asked.questions).unwrap_or_default();
        Self::of(questions, &self.0.unwrap_or_default())
    }

    /// Brings the questions up to the mark at which the others were taken.
    pub(crate) fn fold(&mut self, gone: &[KeyHash], news: &Self) {
        let mut questions = std::mem::take(self);
        let news = news.0.as_ref().map(|asked| asked.questions.clone());
        let mut asked = questions.0.take().unwrap_or_default();
        asked.questions.fold(gone, news.unwrap_or_default());
        let held = std::mem::take(&mut asked.questions);
        *self = Self::of(held, &asked);
    }

    fn of(questions: Dedupe<bool>, answer: &Asked) -> Self {
        let asked = Asked {
            questions,
            resolution: answer.resolution.clone(),
            asked_at: answer.asked_at,
        };
        let is_any = asked != Asked::default();
        Self(is_any.then(|| Box::new(asked)), Unmarked::default())
    }
}

impl Asked {
    fn is_past(&self, now: LogTime, settings: &Settings) -> bool {
        now.since_ms(self.asked_at) >= settings.identity_keep_ms
    }
}

/// What the platform said; `None` if it said nothing that can be used.
fn resolution_of(outcome: &Outcome, effects: &mut Effects) -> Option<Resolution> {
    if *outcome.status != *RESOLVED {
        return None;
    }
    let field = |name: &str| outcome.response.as_ref()?.get(name);
    let confidence = field("confidence_score").and_then(serde_json::Value::as_f64);
    // Beyond one it is no confidence: a percentage, perhaps, and perhaps of something else.
    let is_sure = |confidence| confidence > CONFIDENCE_MIN && confidence <= 1.0;
    if !confidence.is_some_and(is_sure) {
        return Some(Resolution::Verify);
    }
    let user_id = Id::new(field("user_id")?.as_str()?).ok()?;
    let attributes = field("attributes").filter(|value| value.is_object());
    let attributes = attributes.map(|object| object.to_string().into_boxed_str());
    let attributes = match attributes {
        Some(text) if text.len() > ATTRIBUTES_BYTES_MAX => {
            effects.push(Effect::Ignore(Ignored::TooLarge));
            None
        }
        attributes => attributes,
    };
    Some(Resolution::Known(Known {
        user_id,
        attributes,
        stale: false,
    }))
}
