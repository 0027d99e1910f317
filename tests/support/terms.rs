//! What holds for everybody in the spreadsheet, how a reward can stand, and the mistakes that it can be told to make.

#![allow(dead_code, reason = "each test uses its part of this")]

use crate::calendar::{DAY_MS, Day, Zone};

/// What a tier costs, and how many of it an agent may have in how long without anybody being asked.
#[derive(Clone, Debug)]
pub struct Tier {
    pub name: &'static str,
    pub cost: i64,
    pub cap: Option<(usize, i64)>,
}

/// What holds for everybody.
#[derive(Clone, Debug)]
pub struct Terms {
    pub zone: Zone,
    pub window_days: i64,
    /// The dearest first.
    pub tiers: Vec<Tier>,
    /// Points of a metric's value.
    pub points: fn(metric: &str, value: f64) -> i64,
    /// The id of an agent's nth reward of a tier.
    pub name: fn(agent: &str, tier: &str, ordinal: u32) -> String,
    /// A mistake to be found.
    pub slip: Option<Slip>,
}

impl Terms {
    /// How long a reward is remembered: for as long as its points or a cap can matter.
    pub fn keep_ms(&self) -> i64 {
        let caps = self.tiers.iter().filter_map(|tier| tier.cap);
        caps.fold(self.window_days * DAY_MS, |ms, cap| ms.max(cap.1))
    }

    /// The workday of an instant.
    pub fn workday(&self, at_ms: i64) -> Day {
        match (self.slip, self.zone) {
            (Some(Slip::NoSummerTime), Zone::In(city)) => Zone::East(city.hours()).day(at_ms),
            (_, zone) => zone.day(at_ms),
        }
    }
}

/// Mistakes that a spreadsheet, or a product, can make. A comparison that does not find them proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slip {
    /// A re-export adds to what it should replace.
    ReexportAdds,
    /// What arrives last counts, however old.
    LastArrivalCounts,
    /// Summer time is not known.
    NoSummerTime,
    /// The window is a day short.
    WindowTooShort,
    /// Rewards take the newest points.
    NewestFirst,
    /// The same adjustment counts twice.
    AdjustmentsTwice,
    /// What a reward took comes back when its workday leaves.
    ExpiryForgetsRewards,
    /// A refused reversal is forgotten.
    NoDebt,
}

impl Slip {
    pub const ALL: [Self; 8] = [
        Self::ReexportAdds,
        Self::LastArrivalCounts,
        Self::NoSummerTime,
        Self::WindowTooShort,
        Self::NewestFirst,
        Self::AdjustmentsTwice,
        Self::ExpiryForgetsRewards,
        Self::NoDebt,
    ];
}

/// How a reward stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stands {
    Awaiting,
    Locked,
    Review,
    Rejected,
    /// Never given, and past.
    Closed,
    Issued,
    Reversing,
    ReversalReview,
    Reversed,
    Debt,
}
