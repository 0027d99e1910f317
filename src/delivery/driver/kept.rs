//! Which delivery records may go. A checkpoint says again what stands before it; but a log that can lose its end can lose
//! the checkpoint, and a destination whose journal is gone altogether begins where one begins that never ran.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::log::Seq;

/// Records stay this long behind the checkpoint that makes them needless: longer than nats-server by default takes to
/// sync it, two minutes.
const KEPT_FOR: Duration = Duration::from_secs(150);

/// Checkpoints that stay at most, so that a busy journal stays short.
const KEPT_MAX: usize = 16;

/// The checkpoints of a journal that stay.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    can_lose_end: bool,
    /// With the time at which each was written, oldest first.
    checkpoints: VecDeque<(Seq, Instant)>,
}

impl Kept {
    /// Those of a journal that is taken over now: as old as this, as far as is known.
    pub(super) fn new(can_lose_end: bool, now: Instant) -> Self {
        Self {
            can_lose_end,
            checkpoints: VecDeque::from([(0, now)]),
        }
    }

    /// The sequence before which records may go once there is this checkpoint; none if there are no more such than before.
    pub(super) fn before(&mut self, checkpoint: Seq, now: Instant) -> Option<Seq> {
        if !self.can_lose_end {
            return Some(checkpoint);
        }
        self.checkpoints.push_back((checkpoint, now));
        let mut before = None;
        while let Some((seq, written)) = self.checkpoints.get(1).copied()
            && (now.duration_since(written) >= KEPT_FOR || self.checkpoints.len() > KEPT_MAX)
        {
            self.checkpoints.pop_front();
            before = Some(seq);
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stay_for_a_while_behind_their_checkpoint() {
        let began = Instant::now();
        let mut kept = Kept::new(true, began);
        let at = |secs| began + Duration::from_secs(secs);
        assert_eq!(
            kept.before(10, at(10)),
            None,
            "the line of the process before"
        );
        assert_eq!(kept.before(20, at(20)), None);
        assert_eq!(kept.before(30, at(159)), None);
        assert_eq!(kept.before(40, at(160)), Some(10));
        assert_eq!(kept.before(50, at(700)), Some(40));
    }

    #[test]
    fn a_busy_line_stays_short() {
        let now = Instant::now();
        let mut kept = Kept::new(true, now);
        let gone: Vec<Seq> = (1..=20).filter_map(|seq| kept.before(seq, now)).collect();
        assert_eq!(gone, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_log_that_cannot_lose_its_end_keeps_nothing() {
        let now = Instant::now();
        assert_eq!(Kept::new(false, now).before(7, now), Some(7));
    }
}
