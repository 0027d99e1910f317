//! The stored form of who a customer is.

use super::{Asked, Identity, Known, Resolution, Unmarked};
use crate::{
    contract::{time::LogTime, value::Id},
    dedupe::Dedupe,
    stored::{state::StoredCustomer, wire},
};

/// Tags in the stored customer.
const QUESTION_KEYS: u32 = 40;
const QUESTION_AT: u32 = 41;
const ANSWERED: u32 = 42;
const RESOLUTION: u32 = 43;
const USER_ID: u32 = 44;
const ATTRIBUTES: u32 = 45;
const ASKED_AT: u32 = 46;

/// Numbers of what is known; nothing is not written.
const VERIFY: u64 = 1;
const KNOWN: u64 = 2;
const STALE: u64 = 3;

impl Identity {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let Some(asked) = self.0.as_deref() else {
            return;
        };
        asked.questions.encode(QUESTION_KEYS, QUESTION_AT, into);
        let places = asked.questions.iter().enumerate();
        let answered = places.filter(|(_, entry)| entry.value);
        let answered = answered.map(|(place, _)| place as i64);
        wire::sints(ANSWERED, wire::deltas(answered), into);
        let number = match &asked.resolution {
            Resolution::Guest => return,
            Resolution::Verify => VERIFY,
            Resolution::Known(known) if known.stale => STALE,
            Resolution::Known(_) => KNOWN,
        };
        wire::uint(RESOLUTION, number, into);
        if let Resolution::Known(known) = &asked.resolution {
            wire::bytes(USER_ID, known.user_id.as_bytes(), into);
            if let Some(attributes) = &known.attributes {
                wire::bytes(ATTRIBUTES, attributes.as_bytes(), into);
            }
        }
        wire::optional_sint(ASKED_AT, Some(asked.asked_at.0), into);
    }

    /// `None` if the columns do not fit together, or someone is known without an id.
    pub(crate) fn decode(stored: &mut StoredCustomer) -> Option<Self> {
        let mut questions: Dedupe<bool> =
            Dedupe::decode(&stored.question_keys, &stored.question_at)?;
        let mut answers: Vec<&mut bool> = questions.values_mut().collect();
        for place in wire::undelta(&stored.questions_answered) {
            **answers.get_mut(usize::try_from(place).ok()?)? = true;
        }
        let known = |user_id: Option<String>, attributes: Option<String>, stale| {
            Some(Resolution::Known(Known {
                user_id: Id::new(user_id?).ok()?,
                attributes: attributes.map(String::into_boxed_str),
                stale,
            }))
        };
        let (user_id, attributes) = (stored.user_id.take(), stored.attributes.take());
        let resolution = match (stored.resolution, user_id) {
            (None, None) => Resolution::Guest,
            (Some(VERIFY), None) => Resolution::Verify,
            (Some(KNOWN), user_id) => known(user_id, attributes, false)?,
            (Some(STALE), user_id) => known(user_id, attributes, true)?,
            (None, Some(_)) | (Some(_), _) => return None,
        };
        let asked_at = match (&resolution, stored.asked_at) {
            (Resolution::Guest, None) => LogTime::default(),
            (Resolution::Verify | Resolution::Known(_), Some(at_ms)) => LogTime(at_ms),
            (Resolution::Guest, Some(_)) | (Resolution::Verify | Resolution::Known(_), None) => {
                return None;
            }
        };
        let asked = Asked {
            questions,
            resolution,
            asked_at,
        };
        let asked = (asked != Asked::default()).then(|| Box::new(asked));
        Some(Self(asked, Unmarked::default()))
    }
}
