//! An agent by what has changed in it.

use super::Agent;
use crate::{
    rewards::{points::PointsWindow, redemption::Rewards},
    stored::{
        changes::{Changes, Mark},
        state::DecodeError,
    },
};

/// Numbers of the memories. Stored.
const SURVEYS: u32 = 0;
const ENPS: u32 = 1;
const ADJUSTMENTS: u32 = 2;
const TOKENS: u32 = 3;
const DEAD_LETTERS: u32 = 4;
const IMPORTS: u32 = 5;
const TOLD: u32 = 6;

/// Numbers of the parts that are written whole. Stored.
const WINDOW: usize = 0;
const POINTS: usize = 1;
const REWARDS: usize = 2;
const STORMS: usize = 3;

impl Agent {
    /// What the whole parts are now, to tell later whether they differ.
    fn parts(&self) -> Mark {
        Mark::of([
            &|into| self.enps.encode_window(into),
            &|into| {
                self.points.encode(into);
                self.points.encode_spent(into);
                self.points.encode_exports(into);
            },
            &|into| self.rewards.encode(into),
            &|into| self.storms.encode_going_on(into),
        ])
    }

    /// From here on changes are counted anew.
    pub(crate) fn mark(&mut self) -> Mark {
        self.surveys.mark();
        self.enps.mark();
        self.adjustments.mark();
        self.tokens.mark();
        self.storms.mark();
        self.imports.mark();
        self.enrichment.mark();
        self.parts()
    }

    /// Appends what has changed since a mark; false if that is not known any more. `before` is what the mark found, if
    /// nothing else was stored since.
    pub(crate) fn encode_changes(&self, before: Option<&Mark>, into: &mut Vec<u8>) -> bool {
        let is_lost = self.surveys.is_lost()
            || self.enps.is_lost()
            || self.adjustments.is_lost()
            || self.tokens.is_lost()
            || self.storms.is_lost()
            || self.imports.is_lost()
            || self.enrichment.is_lost();
        if is_lost {
            return false;
        }
        let whole = Mark::differing(before, &self.parts());
        let is_whole = |part: usize| whole >> part & 1 == 1;
        let mut enps = self.enps.news();
        if is_whole(WINDOW) {
            enps.take_window(&self.enps);
        }
        let mut storms = self.storms.news();
        if is_whole(STORMS) {
            storms.take_going_on(&self.storms);
        }
        let part = Self {
            surveys: self.surveys.news(),
            enps,
            adjustments: self.adjustments.news(),
            points: match is_whole(POINTS) {
                true => self.points.clone(),
                false => PointsWindow::default(),
            },
            rewards: match is_whole(REWARDS) {
                true => self.rewards.clone(),
                false => Rewards::default(),
            },
            enrichment: self.enrichment.news(),
            tokens: self.tokens.news(),
            storms,
            imports: self.imports.news(),
        };
        let mut bytes = Vec::new();
        part.encode(&mut bytes);
        let mut changes = Changes::new(bytes, whole, self.enrichment.ended().to_vec());
        changes.add_gone(SURVEYS, self.surveys.gone());
        changes.add_gone(ENPS, self.enps.gone());
        changes.add_gone(ADJUSTMENTS, self.adjustments.gone());
        changes.add_gone(TOKENS, self.tokens.gone());
        changes.add_gone(DEAD_LETTERS, self.storms.gone());
        changes.add_gone(IMPORTS, self.imports.gone());
        changes.add_gone(TOLD, self.enrichment.gone());
        changes.encode(into);
        true
    }

    /// Brings this agent, as of the mark or later, to where the changes were written.
    ///
    /// # Errors
    /// If the bytes are no changes of an agent. It is then of no further use.
    pub(crate) fn fold(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let changes = Changes::decode(bytes)?;
        let part = Self::decode(changes.part())?;
        if changes.is_whole(WINDOW) {
            self.enps.take_window(&part.enps);
        }
        if changes.is_whole(POINTS) {
            self.points = part.points;
        }
        if changes.is_whole(REWARDS) {
            self.rewards = part.rewards;
        }
        if changes.is_whole(STORMS) {
            self.storms.take_going_on(&part.storms);
        }
        self.surveys.fold(&changes.gone(SURVEYS), part.surveys);
        self.enps.fold(&changes.gone(ENPS), part.enps);
        self.adjustments
            .fold(&changes.gone(ADJUSTMENTS), part.adjustments);
        self.tokens.fold(&changes.gone(TOKENS), part.tokens);
        self.storms.fold(&changes.gone(DEAD_LETTERS), part.storms);
        self.imports.fold(&changes.gone(IMPORTS), part.imports);
        self.enrichment
            .fold(changes.ended(), &changes.gone(TOLD), part.enrichment);
        Ok(())
    }
}
