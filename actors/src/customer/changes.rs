//! A customer by what has changed in it. Only its memories grow with what happens to it: the history has a bound that is
//! low, and is written with the rest.

use super::Customer;
use crate::{
    dedupe::Dedupe,
    stored::{
        changes::{Changes, Mark},
        state::DecodeError,
    },
};

/// Numbers of the memories. Stored.
const SEEN: u32 = 0;
const QUESTIONS: u32 = 1;

/// Numbers of what is written whole: all but the memories; the questions, when there were none in between. Stored.
const REST: usize = 0;
const ALL_QUESTIONS: usize = 1;

impl Customer {
    /// All but the memories.
    fn rest(&self) -> Self {
        Self {
            seen: Dedupe::default(),
            history: self.history.clone(),
            summary: self.summary.clone(),
            segments: self.segments.clone(),
            segments_until: self.segments_until,
            merge: self.merge.clone(),
            decided: self.decided.clone(),
            identity: self.identity.answer_only(),
            tracking: self.tracking.clone(),
        }
    }

    fn parts(&self) -> Mark {
        Mark::of([&|into| self.rest().encode(into), &|_| {}, &|_| {}, &|_| {}])
    }

    /// From here on changes are counted anew.
    pub(crate) fn mark(&mut self) -> Mark {
        self.seen.mark();
        self.identity.mark();
        self.parts()
    }

    /// Appends what has changed since a mark; false if that is not known any more. `before` is what the mark found, if
    /// nothing else was stored since.
    pub(crate) fn encode_changes(&self, before: Option<&Mark>, into: &mut Vec<u8>) -> bool {
        if self.seen.is_lost() || self.identity.is_lost() {
            return false;
        }
        let is_rest = Mark::differing(before, &self.parts()) >> REST & 1 == 1;
        let mut part = match is_rest {
            true => self.rest(),
            false => Self::default(),
        };
        part.seen = self.seen.news();
        let questions = self.identity.news();
        part.identity = part.identity.with_questions_of(questions);
        let all_questions = self.identity.was_blank();
        let whole = u32::from(is_rest) << REST | u32::from(all_questions) << ALL_QUESTIONS;
        let mut bytes = Vec::new();
        part.encode(&mut bytes);
        let mut changes = Changes::new(bytes, whole, Vec::new());
        changes.add_gone(SEEN, self.seen.gone());
        changes.add_gone(QUESTIONS, self.identity.gone());
        changes.encode(into);
        true
    }

    /// Brings this customer, as of the mark or later, to where the changes were written.
    ///
    /// # Errors
    /// If the bytes are no changes of a customer. It is then of no further use.
    pub(crate) fn fold(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let changes = Changes::decode(bytes)?;
        let mut part = Self::decode(changes.part())?;
        let mut questions = std::mem::take(&mut self.identity);
        if changes.is_whole(ALL_QUESTIONS) {
            questions = questions.answer_only();
        }
        let mut seen = std::mem::take(&mut self.seen);
        seen.fold(&changes.gone(SEEN), std::mem::take(&mut part.seen));
        questions.fold(&changes.gone(QUESTIONS), &part.identity);
        if changes.is_whole(REST) {
            let answer = part.identity.answer_only();
            *self = part;
            questions = answer.with_questions_of(questions);
        }
        questions.mark();
        (self.seen, self.identity) = (seen, questions);
        Ok(())
    }
}
