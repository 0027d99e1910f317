//! Where outputs and dead letters stand, by more than their sequences: a log that lost its end gives those out again.
//!
//! Outputs are counted on behind such a loss, so that a number never names two of them; what is subtracted from it gives
//! the sequence at which the log has it now.

use std::collections::BTreeMap;

use aftercall_actors::contract::time::LogTime;

use crate::{
    delivery::record::{Checkpoint, Cursor, Fact, LaneKey, Moved, Sighted, Sighting, Spot},
    log::Seq,
};

/// Lanes in one step of a checkpoint.
const LANES_AT_ONCE: usize = 500;

/// What is known of places.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// The last output looked at of each lane.
    lanes: BTreeMap<LaneKey, Sighting>,
    outputs_lower: Seq,
    dead_lower: Seq,
    /// When the last dead letter or decision looked at was stored.
    dead_at: Option<LogTime>,
    /// What was stored up to then was looked at before the log last lost dead letters or decisions.
    dead_seen: Option<LogTime>,
}

impl Places {
    /// How much lower outputs stand than they are counted.
    #[must_use]
    pub const fn outputs_lower(&self) -> Seq {
        self.outputs_lower
    }

    /// The same of dead letters and decisions.
    #[must_use]
    pub const fn dead_lower(&self) -> Seq {
        self.dead_lower
    }

    /// When the last dead letter or decision looked at was stored.
    #[must_use]
    pub const fn dead_at(&self) -> Option<LogTime> {
        self.dead_at
    }

    /// Up to when dead letters and decisions were looked at before the log last lost some; `None` if it never did.
    #[must_use]
    pub const fn dead_seen(&self) -> Option<LogTime> {
        self.dead_seen
    }

    /// Whether a dead letter or decision stored then was not looked at before the log lost its end. What is left of those
    /// keeps its time.
    #[must_use]
    pub fn is_new_dead(&self, at: LogTime) -> bool {
        self.dead_seen.is_none_or(|seen| at > seen)
    }

    /// Whether an output is a copy of one that was looked at.
    #[must_use]
    pub fn has_seen(&self, spot: &Spot) -> bool {
        let last = self.lanes.get(&spot.lane());
        last.is_some_and(|last| last.spot.place() >= spot.place())
    }

    /// The last outputs looked at, one of each lane, the one that stood last first.
    #[must_use]
    pub fn newest_first(&self) -> Vec<Sighting> {
        let mut lanes: Vec<Sighting> = self.lanes.values().copied().collect();
        lanes.sort_unstable_by_key(|sighting| std::cmp::Reverse(sighting.at));
        lanes
    }

    /// Takes note of an output that was looked at. Of a copy of an older one nothing is to be learnt, of a copy of the
    /// newest where it stands now.
    pub fn see(&mut self, sighting: Sighting) {
        let spot = sighting.spot;
        let last = self.lanes.entry(spot.lane()).or_insert(sighting);
        if spot.place() >= last.spot.place() {
            *last = sighting;
        }
    }

    /// Takes note of when a dead letter or a decision that was looked at was stored.
    pub fn see_dead(&mut self, at: LogTime) {
        self.dead_at = Some(at);
    }

    /// What was noted and is in no fact yet.
    pub fn take(&mut self) -> Option<Sighted> {
        let lanes: Vec<Sighting> = std::mem::take(&mut self.lanes).into_values().collect();
        let dead_ms = self.dead_at.take().map(|at| at.0);
        (!lanes.is_empty() || dead_ms.is_some()).then_some(Sighted { lanes, dead_ms })
    }

    /// What of it is not known here.
    pub(super) fn new_of(&self, mut sighted: Sighted) -> Option<Sighted> {
        let known = |sighting: &Sighting| self.lanes.get(&sighting.spot.lane()) == Some(sighting);
        sighted.lanes.retain(|sighting| !known(sighting));
        sighted.dead_ms = sighted
            .dead_ms
            .filter(|ms| self.dead_at != Some(LogTime(*ms)));
        (!sighted.lanes.is_empty() || sighted.dead_ms.is_some()).then_some(sighted)
    }

    pub(super) fn sighted(&mut self, sighted: &Sighted) {
        for sighting in &sighted.lanes {
            self.see(*sighting);
        }
        if let Some(ms) = sighted.dead_ms {
            self.see_dead(LogTime(ms));
        }
    }

    pub(super) fn moved(&mut self, cursor: Cursor, moved: &Moved) {
        for sighting in &moved.lanes {
            self.lanes.insert(sighting.spot.lane(), *sighting);
        }
        if let Some(behind) = moved.output {
            self.outputs_lower = cursor.output.saturating_sub(behind);
        }
        if let Some(behind) = moved.dead {
            self.dead_lower = cursor.dead.saturating_sub(behind);
            self.dead_seen = self.dead_seen.max(self.dead_at);
        }
    }

    pub(super) fn stand(&mut self, standing: &Checkpoint) {
        (self.outputs_lower, self.dead_lower) = (standing.outputs_lower, standing.dead_lower);
        self.dead_seen = standing.dead_seen_ms.map(LogTime);
    }

    /// Steps of a checkpoint.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let lanes: Vec<Sighting> = self.lanes.values().copied().collect();
        let dead_ms = self.dead_at.map(|at| at.0);
        let mut facts: Vec<Fact> = lanes
            .chunks(LANES_AT_ONCE)
            .map(|lanes| {
                Fact::Sighted(Sighted {
                    lanes: lanes.to_vec(),
                    dead_ms: None,
                })
            })
            .collect();
        if dead_ms.is_some() {
            facts.push(Fact::Sighted(Sighted {
                lanes: Vec::new(),
                dead_ms,
            }));
        }
        facts
    }
}
