//! Reward programs: what points can be redeemed for, as a rule file says it (`[[program]]`).
//!
//! Programs stand with the rules because they decide payouts, so they change at a position of the log.
//! `rules` reads them, `redemption` acts on them.
//!
//! What is exact where: an agent's actor knows only its own rewards. A tier's cap is one agent's, so it is exact
//! here. A program's budget spans agents of many partitions; no actor sees their sum, and one that asked would be no
//! function of its own events any more. So a budget is divided by the number of agents it is meant for, and each
//! agent is held to its share exactly: as long as there are no more agents than said, the budget holds without a
//! count across agents. What one agent leaves of a share is not another's; a claim beyond the share waits for a person
//! (`approval = "over_cap"`), who does see the sum, or for the period to pass.

/// Most programs of a rule file, and most tiers of a program.
pub const PROGRAMS_MAX: usize = 16;
/// Most points of a threshold, most points or rewards of a limit.
pub const LIMIT_MAX: u32 = 1_000_000_000;

/// A program: tiers, and what holds for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Unique in its file. Part of each reward's identity, so a program that is renamed is another one.
    pub name: String,
    /// The kill switch: while false nothing is requested, and everything is kept. Outcomes are still taken in, and
    /// rewards still taken back.
    pub enabled: bool,
    /// Whether a person has to agree.
    pub approval: Approval,
    /// What an issued reward that its provider then cancels, or cannot deliver, does to the points.
    pub on_cancelled: OnCancelled,
    /// What each agent's share of the budget allows.
    pub share: Option<Limit>,
    /// The highest threshold first: of several tiers that are reached, the highest is claimed.
    pub tiers: Vec<Tier>,
}

/// One tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Unique in its program. Part of each reward's identity.
    pub name: String,
    /// Points that reach it, and that it costs.
    pub threshold: u32,
    /// What is given, in the provider's words.
    pub reward_type: String,
    /// What one agent may have of it.
    pub cap: Option<Limit>,
}

/// When a claim waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// Never; what is over a limit waits until the limit's period has passed.
    Unneeded,
    /// When it is over a limit.
    OverCap,
    /// Always.
    Always,
}

/// What becomes of the points of an issued reward that its provider cancels, or that bounces or fails there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCancelled {
    /// They come back at once. Its tier is claimed again, under another id, with new points on a later workday.
    Free,
    /// They stay spent until a person decides: whether money was spent is not known.
    Hold,
}

/// How much an agent may have within a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How much.
    pub most: Amount,
    /// Length of the period, in milliseconds of log time. A reward requested at `t` counts while `now - t < period`.
    pub period_ms: i64,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Points redeemed.
    Points(u32),
    /// Rewards.
    Rewards(u32),
}

impl Limit {
    /// Whether one more reward for `points` fits, besides those that count, given as their points.
    #[must_use]
    pub fn admits(&self, points: i64, others: impl Iterator<Item = i64>) -> bool {
        match self.most {
            Amount::Points(most) => others.fold(points, i64::saturating_add) <= i64::from(most),
            Amount::Rewards(most) => others.count() < most as usize,
        }
    }

    /// What the limit leaves besides those that count, given as their points: points or rewards, as it counts them.
    #[must_use]
    pub fn left(&self, others: impl Iterator<Item = i64>) -> i64 {
        let (most, used) = match self.most {
            Amount::Points(most) => (most, others.fold(0, i64::saturating_add)),
            Amount::Rewards(most) => (most, i64::try_from(others.count()).unwrap_or(i64::MAX)),
        };
        i64::from(most).saturating_sub(used).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_04_a_limit_admits_up_to_its_amount_and_not_one_more() {
        let limit = |most| Limit { most, period_ms: 1 };
        let two = [500, 500];
        let admits = |most| limit(most).admits(500, two.into_iter());
        assert!(!admits(Amount::Points(1_499)));
        assert!(admits(Amount::Points(1_500)));
        assert!(!admits(Amount::Rewards(2)));
        assert!(admits(Amount::Rewards(3)));
        let left = |most| limit(most).left(two.into_iter());
        assert_eq!(left(Amount::Points(1_499)), 499);
        assert_eq!(left(Amount::Points(999)), 0);
        assert_eq!((left(Amount::Rewards(3)), left(Amount::Rewards(1))), (1, 0));
    }
}
