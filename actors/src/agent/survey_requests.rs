//! Survey tokens of one agent: one request for each interaction that is wrapped up (S1.01, S1.03).
//!
//! A platform may say three times that a wrap-up begins: expected, code chosen, over. The first asks; no
//! event waits for the answer. Used by `agent`.

use crate::{
    contract::{
        event::{InteractionWrapup, Outcome},
        output::{Output, SurveyTokenRequest, output_id},
        time::LogTime,
    },
    dedupe::{Dedupe, KeyHash},
    effect::{Effect, Ignored},
    rules::Settings,
    stored::{changes::stores_changes_of, state::StoredAgent},
    turn::Turn,
};

/// The status of an outcome that brought a token.
const READY: &str = "ready";

/// Wrap-ups for which a token was asked for, by the id of the request.
///
/// Clock: log time. Boundary: a trigger within the dedupe time of the first asks for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SurveyRequests {
    requested: Dedupe<()>,
}

impl SurveyRequests {
    /// Asks for the token of a wrap-up, unless it has been asked for.
    pub fn request(&mut self, turn: &mut Turn<'_>, event: &InteractionWrapup) {
        let (now, settings) = (turn.now, turn.settings());
        if !settings.survey_token_requested {
            return;
        }
        self.requested.expire(now, settings.survey_token_dedupe_ms);
        let id = output_id("survey_token", &[&event.agent_id, &event.interaction_id]);
        let key = KeyHash::of(&id, 0);
        if self.requested.get(key).is_some() {
            return turn.ignore(Ignored::Duplicate);
        }
        if !self.requested.add(now, key, ()) {
            turn.ignore(Ignored::DedupeOverflow);
        }
        turn.effects.push(Effect::Emit {
            id,
            output: Output::SurveyTokenRequested(SurveyTokenRequest {
                agent_id: event.agent_id.to_string(),
                interaction_id: event.interaction_id.to_string(),
                session_id: event.session_id.as_deref().map(str::to_owned),
            }),
        });
    }

    /// Counts what became of a request: wrap-up goes on either way.
    pub fn answer(&mut self, turn: &mut Turn<'_>, outcome: &Outcome) {
        let (now, settings) = (turn.now, turn.settings());
        self.requested.expire(now, settings.survey_token_dedupe_ms);
        if self
            .requested
            .get(KeyHash::of(&outcome.output_id, 0))
            .is_none()
        {
            turn.ignore(Ignored::UnknownRequest);
        } else if *outcome.status != *READY {
            turn.ignore(Ignored::LookupFailed);
        }
    }

    /// Whether nothing is remembered at `now`.
    #[must_use]
    pub fn is_blank(&self, now: LogTime, settings: &Settings) -> bool {
        self.requested
            .is_blank(now, settings.survey_token_dedupe_ms)
    }
}

stores_changes_of!(requested of SurveyRequests);

/// Tags of the columns in the stored agent.
const KEYS: u32 = 41;
const AT: u32 = 42;

impl SurveyRequests {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        self.requested.encode(KEYS, AT, into);
    }

    /// `None` if the columns do not fit together.
    pub(crate) fn decode(stored: &StoredAgent) -> Option<Self> {
        let requested = Dedupe::decode(&stored.token_keys, &stored.token_at)?;
        Some(Self { requested })
    }
}
