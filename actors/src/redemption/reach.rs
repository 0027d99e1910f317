//! Which tiers are reached, and what limits allow (S3.04).
//!
//! A limit counts what was requested within its period and was not rejected or taken back: what is being asked for,
//! and what was issued. A claim that only waits for approval counts for nothing yet; whoever approves it knows why
//! it waits.

use super::{Claim, DAY_MS, Moment, Rewards, Stage, Standings, stage::Input};
use crate::{
    effect::Effects,
    points::PointsWindow,
    programs::{Approval, Limit, Program, Tier},
    time::LogTime,
};

impl Rewards {
    /// Claims what is reached: programs in file order, in each the highest tier first.
    pub(super) fn evaluate(
        &mut self,
        moment: Moment<'_>,
        has_new_points: bool,
        points: &mut PointsWindow,
        effects: &mut Effects,
    ) {
        for program in moment.settings.programs.iter().filter(|p| p.enabled) {
            for tier in &program.tiers {
                let threshold = i64::from(tier.threshold);
                if points.sum() < threshold {
                    continue;
                }
                let is_it = |s: &Standings| *s.program == *program.name && *s.tier == *tier.name;
                let known = self.tiers.iter().position(is_it);
                let is_evaluated = known.is_none_or(|place| {
                    let stage = &self.tiers[place].stage;
                    stage.is_evaluated(moment.today, has_new_points)
                });
                if !is_evaluated {
                    continue;
                }
                let fits = self.fits(moment, program, tier, known);
                let approval = match (program.approval, fits) {
                    (Approval::Unneeded, false) => continue,
                    (Approval::Unneeded, true) | (Approval::OverCap, true) => false,
                    (Approval::OverCap, false) | (Approval::Always, _) => true,
                };
                let place = known.unwrap_or_else(|| {
                    self.tiers.push(Standings {
                        program: program.name.as_str().into(),
                        tier: tier.name.as_str().into(),
                        claimed: 0,
                        stage: Stage::Open,
                    });
                    self.tiers.len() - 1
                });
                let claim = Claim {
                    ordinal: self.tiers[place].claimed,
                    reward_type: tier.reward_type.as_str().into(),
                    points: threshold,
                    at: moment.now,
                    parts: points.take(threshold, moment.today),
                };
                let claimed = &mut self.tiers[place].claimed;
                *claimed = claimed.saturating_add(1);
                let reached = Input::Reached { claim, approval };
                self.step(moment, place, reached, points, effects);
            }
        }
    }

    /// Whether one more reward of this tier is within the agent's cap and share.
    fn fits(
        &self,
        moment: Moment<'_>,
        program: &Program,
        tier: &Tier,
        place: Option<usize>,
    ) -> bool {
        let cost = i64::from(tier.threshold);
        let is_here = |other: usize| *self.tiers[other].program == *program.name;
        let allows = |limit: Option<Limit>, counts: &dyn Fn(usize) -> bool| {
            limit.is_none_or(|limit| limit.admits(cost, self.counted(moment.now, limit, counts)))
        };
        allows(tier.cap, &|other| Some(other) == place) && allows(program.share, &is_here)
    }

    /// Points of each reward that a limit counts at `now`, of the tiers that `counts` names by their places.
    fn counted(
        &self,
        now: LogTime,
        limit: Limit,
        counts: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = i64> {
        let issued = self.given.iter().filter(|given| given.standing.counts());
        let issued = issued.map(|given| (given.tier, &given.claim));
        let asked = self.tiers.iter().enumerate();
        let asked = asked.filter_map(|(n, tier)| Some((n, tier.stage.requested()?)));
        let all = issued
            .chain(asked)
            .filter(move |(tier, claim)| counts(*tier) && now.since_ms(claim.at) < limit.period_ms);
        all.map(|(_, claim)| claim.points)
    }

    /// What an agent's cap of a tier leaves at `now`; nothing if it has no cap.
    #[must_use]
    pub fn cap_left(&self, now: LogTime, program: &Program, tier: &Tier) -> Option<i64> {
        let is_it = |place: usize| {
            let known = &self.tiers[place];
            *known.program == *program.name && *known.tier == *tier.name
        };
        tier.cap
            .map(|limit| limit.left(self.counted(now, limit, is_it)))
    }

    /// What an agent's share of a program's budget leaves at `now`; nothing if it has no budget.
    #[must_use]
    pub fn share_left(&self, now: LogTime, program: &Program) -> Option<i64> {
        let is_here = |place: usize| *self.tiers[place].program == *program.name;
        program
            .share
            .map(|limit| limit.left(self.counted(now, limit, is_here)))
    }

    /// Forgets issued rewards that can no longer matter.
    pub(super) fn forget(&mut self, moment: Moment<'_>) {
        let window_ms = i64::from(moment.settings.points_window_days) * DAY_MS;
        let programs = moment.settings.programs.iter();
        let limits = programs.flat_map(|p| {
            p.share
                .into_iter()
                .chain(p.tiers.iter().filter_map(|t| t.cap))
        });
        let keep_ms = limits.fold(window_ms, |ms, limit| ms.max(limit.period_ms));
        self.given
            .retain(|given| given.standing.is_coming() || moment.now.since_ms(given.at) < keep_ms);
    }
}
