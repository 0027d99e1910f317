//! When time alone brings a reward: a loss leaves the window, or a limit's period ends (S3.04).
//!
//! Otherwise nothing is earned by waiting, and no agent is woken: the deadline is that of a tier which is free to be
//! claimed, and only where the day is known on which its threshold is reached, or the moment at which its limit gives
//! way. An agent who has never lost points and stands below each limit has none.

use super::{Rewards, Stage};
use crate::{
    contract::time::LogTime,
    rewards::{
        points::{PointsWindow, Workday},
        programs::{Approval, Program, Tier},
    },
    rules::Settings,
    turn::Turn,
};

/// Where the calendar repeats the hour before midnight, a workday may begin twice: then it is looked at again later.
const AGAIN_MS: i64 = 60 * 60 * 1_000;

impl Rewards {
    /// The next such moment, later than now.
    pub(super) fn next_due(&self, turn: &mut Turn<'_>, points: &PointsWindow) -> Option<LogTime> {
        let (now, today, settings) = (turn.now, turn.today(), turn.settings());
        let days = points.by_day();
        let has_losses = days.iter().any(|(_, held)| *held < 0);
        let programs = settings.programs.iter().filter(|p| p.enabled);
        let tiers = programs.flat_map(|program| program.tiers.iter().map(move |t| (program, t)));
        let due = tiers.filter_map(|(program, tier)| {
            let place = self.known(program, tier);
            let is_open = place.is_none_or(|place| {
                self.tiers[place].stage == Stage::Open && !self.waits(place, today, false)
            });
            if !is_open {
                return None;
            }
            let lacking = i64::from(tier.threshold).saturating_sub(points.sum());
            if lacking > 0 {
                // A debt is paid first.
                let lacking = lacking.saturating_add(self.debt);
                return has_losses.then(|| after_losses(settings, &days, lacking))?;
            }
            // Reached and still open: it is over a limit.
            self.end_of_a_limit(now, program, tier, place)
        });
        due.min().map(|due| match due > now {
            true => due,
            false => now.plus_ms(AGAIN_MS),
        })
    }

    /// When the first of the rewards that stand in this one's way counts no more.
    fn end_of_a_limit(
        &self,
        now: LogTime,
        program: &Program,
        tier: &Tier,
        place: Option<usize>,
    ) -> Option<LogTime> {
        match program.approval {
            // Its claim waits for a person, or would if it were over a limit.
            Approval::OverCap | Approval::Always => return None,
            Approval::Unneeded => {}
        }
        let limits = self.limits(program, tier, place);
        let ends = limits.flat_map(|(limit, scope)| {
            let counted = self.counted(now, limit, scope);
            counted.map(move |claim| claim.at.plus_ms(limit.period_ms))
        });
        ends.min()
    }
}

/// When so many losses have left the window that what stays is more by what is lacking; no points coming meanwhile.
fn after_losses(settings: &Settings, days: &[(Workday, i64)], mut lacking: i64) -> Option<LogTime> {
    let last = days.iter().find(|(_, held)| {
        lacking = lacking.saturating_add(*held);
        lacking <= 0
    });
    last?
        .0
        .leaves_at(settings.points_window_days, &settings.time_zone)
}
