//! Which tiers are reached, and what limits allow (S3.04).
//!
//! A limit counts what was requested within its period and was not rejected or taken back: what is being asked for,
//! and what was issued. A claim that only waits for approval counts for nothing yet; the person who approves it knows
//! why it waits.

use super::{Claim, DAY_MS, IssuedStatus, Rewards, Stage, TierState, stage::Input};
use crate::{
    contract::{event::Kept, time::LogTime},
    rewards::{
        points::{PointsWindow, Workday},
        programs::{Approval, Limit, Program, Tier},
    },
    turn::Turn,
};

impl Rewards {
    /// Claims what is reached: programs in file order, in each the highest tier first.
    pub(super) fn evaluate(
        &mut self,
        turn: &mut Turn<'_>,
        has_new_points: bool,
        points: &mut PointsWindow,
    ) {
        let (now, today, settings) = (turn.now, turn.today(), turn.settings());
        for program in settings.programs.iter().filter(|p| p.enabled) {
            for tier in &program.tiers {
                let threshold = i64::from(tier.threshold);
                if points.sum() < threshold {
                    continue;
                }
                let known = self.known(program, tier);
                let is_evaluated = known.is_none_or(|place| {
                    let stage = &self.tiers[place].stage;
                    stage.is_evaluated(today, has_new_points)
                        && !self.waits(place, today, has_new_points)
                });
                if !is_evaluated {
                    continue;
                }
                let fits = self.fits(now, program, tier, known);
                let approval = match (program.approval, fits) {
                    (Approval::Unneeded, false) => continue,
                    (Approval::Unneeded, true) | (Approval::OverCap, true) => false,
                    (Approval::OverCap, false) | (Approval::Always, _) => true,
                };
                let place = known.unwrap_or_else(|| {
                    self.tiers.push(TierState {
                        program: program.name.as_str().into(),
                        tier: tier.name.as_str().into(),
                        claimed: 0,
                        stage: Stage::Open,
                    });
                    self.tiers.len() - 1
                });
                let parts = points.take(threshold, today);
                let last = self.export_version.as_deref();
                let claim = Claim {
                    ordinal: self.tiers[place].claimed,
                    reward_type: tier.reward_type.as_str().into(),
                    kept: Kept::new(),
                    points: threshold,
                    at: now,
                    export_version: points.export_of(&parts, last).map(Into::into),
                    parts,
                };
                let claimed = &mut self.tiers[place].claimed;
                *claimed = claimed.saturating_add(1);
                self.pass(turn, place);
                let reached = Input::Reached { claim, approval };
                self.step(turn, place, (reached, None), points);
            }
        }
    }

    /// Whether a tier waits, because its last reward was cancelled; as after a rejection, for new points on a later
    /// workday.
    pub(super) fn waits(&self, tier: usize, today: Workday, has_new_points: bool) -> bool {
        let mut given = self.issued.iter().filter(|given| given.tier == tier);
        given.any(|given| {
            let since = given.standing.waits();
            since.is_some_and(|since| !has_new_points || today <= since)
        })
    }

    /// A tier that is claimed again waits for nothing any more, and what was rejected in it is past.
    fn pass(&mut self, turn: &Turn<'_>, tier: usize) {
        for given in self.issued.iter_mut().filter(|given| given.tier == tier) {
            if let IssuedStatus::Cancelled { waits, .. } = &mut given.standing {
                *waits = None;
            }
        }
        if let Stage::Rejected { claim, .. } = &self.tiers[tier].stage {
            let claim = claim.clone();
            self.replace(turn, tier, claim);
        }
    }

    /// Place of a tier that was ever claimed.
    pub(super) fn known(&self, program: &Program, tier: &Tier) -> Option<usize> {
        let is_it = |s: &TierState| *s.program == *program.name && *s.tier == *tier.name;
        self.tiers.iter().position(is_it)
    }

    /// Whether one more reward of this tier is within the agent's cap and share.
    fn fits(&self, now: LogTime, program: &Program, tier: &Tier, place: Option<usize>) -> bool {
        let cost = i64::from(tier.threshold);
        self.limits(program, tier, place).all(|(limit, scope)| {
            let counted = self.counted(now, limit, scope);
            limit.admits(cost, counted.map(|claim| claim.points))
        })
    }

    /// What limits a tier, and whose rewards each limit counts. `place` is the tier's, if it was ever claimed.
    pub(super) fn limits<'a>(
        &self,
        program: &'a Program,
        tier: &Tier,
        place: Option<usize>,
    ) -> impl Iterator<Item = (Limit, Scope<'a>)> + use<'a> {
        let cap = tier.cap.map(|limit| (limit, Scope::Tier(place)));
        let share = program.share.map(|limit| (limit, Scope::Program(program)));
        cap.into_iter().chain(share)
    }

    /// The claims that a limit counts at `now`.
    pub(super) fn counted(
        &self,
        now: LogTime,
        limit: Limit,
        scope: Scope<'_>,
    ) -> impl Iterator<Item = &Claim> {
        let issued = self.issued.iter().filter(|given| given.standing.counts());
        let issued = issued.map(|given| (given.tier, &given.claim));
        let asked = self.tiers.iter().enumerate();
        let asked = asked.filter_map(|(place, tier)| Some((place, tier.stage.requested()?)));
        issued.chain(asked).filter_map(move |(place, claim)| {
            let is_its = match scope {
                Scope::Tier(tier) => tier == Some(place),
                Scope::Program(program) => *self.tiers[place].program == *program.name,
            };
            let counts = is_its && now.since_ms(claim.at) < limit.period_ms;
            counts.then_some(claim)
        })
    }

    /// What an agent's cap of a tier leaves at `now`; nothing if it has no cap.
    #[must_use]
    pub fn cap_left(&self, now: LogTime, program: &Program, tier: &Tier) -> Option<i64> {
        let scope = Scope::Tier(self.known(program, tier));
        tier.cap.map(|limit| self.left(now, limit, scope))
    }

    /// What an agent's share of a program's budget leaves at `now`; nothing if it has no budget.
    #[must_use]
    pub fn share_left(&self, now: LogTime, program: &Program) -> Option<i64> {
        let scope = Scope::Program(program);
        program.share.map(|limit| self.left(now, limit, scope))
    }

    fn left(&self, now: LogTime, limit: Limit, scope: Scope<'_>) -> i64 {
        limit.left(self.counted(now, limit, scope).map(|claim| claim.points))
    }

    /// Forgets issued rewards that can no longer matter.
    pub(super) fn forget(&mut self, turn: &mut Turn<'_>) {
        let (now, start, settings) = (turn.now, turn.window_start(), turn.settings());
        let window_ms = i64::from(settings.points_window_days) * DAY_MS;
        let programs = settings.programs.iter();
        let limits = programs.flat_map(|p| {
            p.share
                .into_iter()
                .chain(p.tiers.iter().filter_map(|t| t.cap))
        });
        let keep_ms = limits.fold(window_ms, |ms, limit| ms.max(limit.period_ms));
        // One that was cancelled long after it was issued still keeps its tier from asking again at once.
        let waits = |standing: IssuedStatus| standing.waits().is_some_and(|day| day >= start);
        self.issued.retain(|given| {
            given.standing.is_coming() || waits(given.standing) || now.since_ms(given.at) < keep_ms
        });
        self.replaced
            .retain(|replaced| now.since_ms(replaced.at) < keep_ms);
    }
}

/// Whose rewards a limit counts.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    /// Those of the tier at this place; none if it was never claimed.
    Tier(Option<usize>),
    /// Those of a program.
    Program(&'a Program),
}
