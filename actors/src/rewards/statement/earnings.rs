//! What a period brought an agent: the line of a leaderboard.

use crate::{agent::Agent, contract::time::EventTime, rewards::points::Workday};
use jiff::tz::TimeZone;

/// Workdays, both ends included, and whose rewards count in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// The first.
    pub from: Workday,
    /// The last.
    pub to: Workday,
    /// The program whose rewards count; all of them if there is none.
    pub program: Option<String>,
}

/// What an agent got in a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earnings {
    /// Points its workdays gave, whatever was taken out of them since.
    pub points: i64,
    /// Rewards issued in it and not taken back since.
    pub rewards: u32,
    /// What these cost.
    pub redeemed: i64,
}

impl Agent {
    /// What this agent got in `period`; nothing if it neither earned, lost nor was given anything.
    ///
    /// A reward is of the workday, in `zone`, of the outcome that said it was issued. Boundary: only what the agent still
    /// holds is seen, so a period must begin no earlier than the points window does.
    #[must_use]
    pub fn earnings(&self, period: &Period, zone: &TimeZone) -> Option<Earnings> {
        let rewards = self.rewards();
        let of_program = |tier: usize| {
            let program = rewards.tiers().get(tier).map(|tier| &*tier.program);
            period.program.is_none() || program == period.program.as_deref()
        };
        let given = rewards.issued().iter().filter(|given| {
            let day = Workday::of(EventTime(given.at.0), zone);
            given.standing.counts()
                && (period.from..=period.to).contains(&day)
                && of_program(given.tier)
        });
        let (mut count, mut redeemed) = (0u32, 0i64);
        for given in given {
            count = count.saturating_add(1);
            redeemed = redeemed.saturating_add(given.claim.points);
        }
        let points = self.window().earned_between(period.from, period.to);
        (points.is_some() || count > 0).then(|| Earnings {
            points: points.unwrap_or(0),
            rewards: count,
            redeemed,
        })
    }
}
