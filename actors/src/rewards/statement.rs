//! What an agent is told of its points and rewards: the state as plain data, brought up to a moment of the log.
//!
//! Only for looking at. An agent's windows move with its own events, so between two of them it still holds workdays
//! that have left since; a statement is made from a copy that is brought up to `now`, and changes nothing. What a
//! person may decide about a reward is `statement/decision.rs`'s, what a period brought `statement/earnings.rs`'s.
//! Public: `GET /v1/agents/{id}/points` answers with it.

mod decision;
mod earnings;

use schemars::JsonSchema;
use serde::Serialize;

pub use self::{
    decision::{Judgement, RewardState, Verdict},
    earnings::{Earnings, Period},
};
use crate::{
    agent::Agent,
    contract::{
        time::{EventTime, LogTime},
        value::WorkDate,
    },
    rewards::{
        points::{PointsWindow, Workday},
        programs::{Amount, Limit, Program},
        redemption::{IssuedStatus, Rewards, Stage, TierState, reward_id},
    },
    rules::Settings,
};

/// An agent's points and rewards at a moment of log time.
///
/// Unit: whole points. Source: REQUIREMENTS S3.03, S3.04, S3.12, S3.13.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Statement {
    /// What the agent has: `available` and `held`, less `debt`.
    pub balance: i64,
    /// Points in the window, for the next reward; the `points` of all `days`.
    pub available: i64,
    /// Points that open claims hold.
    pub held: i64,
    /// Points owed for rewards that could not be taken back; later points pay it first.
    pub debt: i64,
    /// The workdays that count.
    pub window: Window,
    /// By workday, oldest first; only those that gave something, or of which something was taken.
    pub days: Vec<Day>,
    /// The programs in force, in file order.
    pub programs: Vec<ProgramStanding>,
    /// Rewards that are claimed and not issued, in the order of the tiers' first claims.
    pub locks: Vec<Lock>,
    /// Rewards that were issued, the latest first: those of the points window, and of the longest period of a limit.
    pub history: Vec<Issued>,
}

/// The workdays whose points count, both ends included, as dates in the business unit's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Window {
    /// The oldest.
    pub from: WorkDate,
    /// Today.
    pub to: WorkDate,
    /// Workdays before today that count.
    pub days: u16,
}

impl Window {
    /// The window at `now`.
    #[must_use]
    pub fn at(now: LogTime, settings: &Settings) -> Self {
        let days = settings.points_window_days;
        let today = Workday::of(EventTime(now.0), &settings.time_zone);
        Self {
            from: WorkDate(today.window_start(days).date()),
            to: WorkDate(today.date()),
            days,
        }
    }
}

/// What a workday did to the balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Day {
    /// The workday.
    pub date: WorkDate,
    /// What it still holds: `earned` less `taken`.
    pub points: i64,
    /// What it gave.
    pub earned: Vec<Earned>,
    /// What rewards, claims and debts took out of it; negative where points came back or a lack was settled.
    pub taken: i64,
}

/// Points of one source on one workday.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Earned {
    /// A metric's name, `survey` or `adjustment`.
    pub source: String,
    /// Points; may be negative.
    pub points: i64,
}

/// How an agent stands in a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProgramStanding {
    /// The program.
    pub name: String,
    /// Whether it requests rewards; false: points, claims and debts are kept, and nothing is requested.
    pub enabled: bool,
    /// The agent's share of the budget, if there is one.
    pub budget: Option<Allowance>,
    /// Its tiers, the lowest threshold first.
    pub tiers: Vec<TierStanding>,
    /// The lowest tier that points are missing to.
    pub next_tier: Option<String>,
}

/// How an agent stands in a tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TierStanding {
    /// The tier.
    pub name: String,
    /// Points that reach it, and that it costs.
    pub threshold: u32,
    /// What is given, in the provider's words.
    pub reward_type: String,
    /// Points missing to it, the debt paid first; 0 if there are enough.
    pub missing: i64,
    /// How far its reward has come.
    pub stage: StageName,
    /// What one agent may have of it, if that is limited.
    pub cap: Option<Allowance>,
}

/// A limit, and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Allowance {
    /// What it counts.
    pub unit: AllowanceUnit,
    /// How many.
    pub most: u32,
    /// How many are left now.
    pub left: i64,
    /// Length of its period: what was requested less long ago counts.
    pub period_s: i64,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AllowanceUnit {
    /// Points redeemed.
    Points,
    /// Rewards.
    Rewards,
}

/// How far a tier has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageName {
    /// Points count towards the threshold.
    Open,
    /// Claimed; a person is to agree.
    Awaiting,
    /// Requested; the provider is being asked.
    Locked,
    /// Requested; whether it was issued is not known.
    NeedsReview,
    /// Not given; its points are back.
    Rejected,
}

impl From<&Stage> for StageName {
    fn from(stage: &Stage) -> Self {
        match stage {
            Stage::Open => Self::Open,
            Stage::Awaiting(_) => Self::Awaiting,
            Stage::Locked(_) => Self::Locked,
            Stage::Review(_) => Self::NeedsReview,
            Stage::Rejected { .. } => Self::Rejected,
        }
    }
}

/// A reward that is claimed and not issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Lock {
    /// Its id.
    pub reward_id: String,
    /// The program.
    pub program: String,
    /// The tier.
    pub tier: String,
    /// What it costs; held for as long as it is not `rejected`.
    pub points: i64,
    /// How far it has come.
    pub stage: StageName,
    /// Log time of the claim, or of the request once it was made.
    pub since: EventTime,
}

/// A reward that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Issued {
    /// Its id.
    pub reward_id: String,
    /// The program.
    pub program: String,
    /// The tier.
    pub tier: String,
    /// What it cost.
    pub points: i64,
    /// Log time of the outcome that said so.
    pub issued_at: EventTime,
    /// What became of it.
    pub standing: StandingName,
}

/// What became of an issued reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StandingName {
    /// It is the agent's.
    Issued,
    /// The provider is asked to take it back.
    Reversing,
    /// Whether it was taken back is not known.
    NeedsReview,
    /// Taken back; its points came back.
    Reversed,
    /// Not taken back; what was lacking is a debt.
    Debt,
    /// Its provider says that the agent does not have it after all; a person is to decide.
    Held,
    /// The agent does not have it after all; its points came back.
    Cancelled,
}

impl From<IssuedStatus> for StandingName {
    fn from(standing: IssuedStatus) -> Self {
        match standing {
            IssuedStatus::Issued => Self::Issued,
            IssuedStatus::Reversing => Self::Reversing,
            IssuedStatus::Review => Self::NeedsReview,
            IssuedStatus::Reversed => Self::Reversed,
            IssuedStatus::Debt => Self::Debt,
            IssuedStatus::Held { .. } => Self::Held,
            IssuedStatus::Cancelled { .. } => Self::Cancelled,
        }
    }
}

impl Agent {
    /// What `agent`, whose state this is, has and may hope for at `now`.
    #[must_use]
    pub fn statement(&self, agent: &str, now: LogTime, settings: &Settings) -> Statement {
        let today = Workday::of(EventTime(now.0), &settings.time_zone);
        let mut points = self.window().clone();
        points.expire(today.window_start(settings.points_window_days));
        let rewards = self.rewards();
        let (available, held, debt) = (points.sum(), rewards.held(), rewards.debt());
        let programs = settings.programs.iter();
        Statement {
            balance: available.saturating_add(held).saturating_sub(debt),
            available,
            held,
            debt,
            window: Window::at(now, settings),
            days: days(&points),
            programs: programs
                .map(|program| standing(program, rewards, available.saturating_sub(debt), now))
                .collect(),
            locks: rewards
                .tiers()
                .iter()
                .filter_map(|tier| lock(tier, agent))
                .collect(),
            history: history(rewards, agent),
        }
    }
}

fn days(points: &PointsWindow) -> Vec<Day> {
    let days = points.days().into_iter().map(|day| {
        let earned = day.earned.iter().map(|(source, points)| Earned {
            source: (*source).to_owned(),
            points: *points,
        });
        let sum = day.earned.iter().map(|(_, points)| points);
        Day {
            date: WorkDate(day.day.date()),
            points: sum
                .fold(0i64, |sum, points| sum.wrapping_add(*points))
                .wrapping_sub(day.taken),
            earned: earned.collect(),
            taken: day.taken,
        }
    });
    days.collect()
}

/// `has` is what counts towards a threshold.
fn standing(program: &Program, rewards: &Rewards, has: i64, now: LogTime) -> ProgramStanding {
    let known = |tier: &str| {
        let mut known = rewards.tiers().iter();
        known.find(|known| *known.program == *program.name && *known.tier == *tier)
    };
    let tiers = program.tiers.iter().rev().map(|tier| TierStanding {
        name: tier.name.clone(),
        threshold: tier.threshold,
        reward_type: tier.reward_type.clone(),
        missing: i64::from(tier.threshold).saturating_sub(has).max(0),
        stage: known(&tier.name).map_or(StageName::Open, |known| (&known.stage).into()),
        cap: allowance(tier.cap, rewards.cap_left(now, program, tier)),
    });
    let tiers: Vec<TierStanding> = tiers.collect();
    let next = tiers.iter().find(|tier| tier.missing > 0);
    ProgramStanding {
        name: program.name.clone(),
        enabled: program.enabled,
        budget: allowance(program.share, rewards.share_left(now, program)),
        next_tier: next.map(|tier| tier.name.clone()),
        tiers,
    }
}

fn allowance(limit: Option<Limit>, left: Option<i64>) -> Option<Allowance> {
    let (limit, left) = limit.zip(left)?;
    let (unit, most) = match limit.most {
        Amount::Points(most) => (AllowanceUnit::Points, most),
        Amount::Rewards(most) => (AllowanceUnit::Rewards, most),
    };
    let period_s = limit.period_ms / 1_000;
    Some(Allowance {
        unit,
        most,
        left,
        period_s,
    })
}

fn lock(tier: &TierState, agent: &str) -> Option<Lock> {
    let claim = tier.stage.claim()?;
    Some(Lock {
        reward_id: reward_id(&tier.program, agent, &tier.tier, claim.ordinal),
        program: tier.program.to_string(),
        tier: tier.tier.to_string(),
        points: claim.points,
        stage: (&tier.stage).into(),
        since: EventTime(claim.at.0),
    })
}

fn history(rewards: &Rewards, agent: &str) -> Vec<Issued> {
    let given = rewards.issued().iter().rev().filter_map(|given| {
        let tier = rewards.tiers().get(given.tier)?;
        Some(Issued {
            reward_id: reward_id(&tier.program, agent, &tier.tier, given.claim.ordinal),
            program: tier.program.to_string(),
            tier: tier.tier.to_string(),
            points: given.claim.points,
            issued_at: EventTime(given.at.0),
            standing: given.standing.into(),
        })
    });
    given.collect()
}
