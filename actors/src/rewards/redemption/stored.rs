//! The stored form of an agent's rewards: messages, as few agents have any, and no agent has many.

use prost::Message;

use super::{Claim, IssuedReward, IssuedStatus, Replaced, Rewards, Stage, TierState};
use crate::{
    contract::time::LogTime,
    rewards::points::{Part, Workday},
    stored::{
        state::{StoredAgent, StoredClaim, StoredGiven, StoredReplaced, StoredTier},
        wire,
    },
};

/// Tags in the stored agent.
const TIERS: u32 = 62;
const GIVEN: u32 = 63;
const DEBT: u32 = 64;
const EXPORT_VERSION: u32 = 65;
const DUE: u32 = 66;
const REPLACED: u32 = 67;

impl Rewards {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        for tier in &self.tiers {
            wire::bytes(TIERS, &stored_tier(tier).encode_to_vec(), into);
        }
        for given in &self.issued {
            let (standing, owed, waits) = parts_of(given.standing);
            let stored = StoredGiven {
                // At most `PROGRAMS_MAX * TIERS_MAX` a rule set; a number beyond four thousand million is none.
                tier: u32::try_from(given.tier).unwrap_or(u32::MAX),
                claim: Some(stored_claim(&given.claim)),
                at: given.at.0,
                standing,
                owed,
                waits: waits.map(|day| day.0),
                doubts: given.doubts,
            };
            wire::bytes(GIVEN, &stored.encode_to_vec(), into);
        }
        wire::optional_sint(DEBT, Some(self.debt).filter(|debt| *debt != 0), into);
        if let Some(version) = &self.export_version {
            wire::bytes(EXPORT_VERSION, version.as_bytes(), into);
        }
        wire::optional_sint(DUE, self.due.map(|due| due.0), into);
        for replaced in &self.replaced {
            let stored = StoredReplaced {
                tier: u32::try_from(replaced.tier).unwrap_or(u32::MAX),
                claim: Some(stored_claim(&replaced.claim)),
                at: replaced.at.0,
            };
            wire::bytes(REPLACED, &stored.encode_to_vec(), into);
        }
    }

    /// `None` if the parts do not fit together.
    pub(crate) fn decode(stored: &mut StoredAgent) -> Option<Self> {
        let tiers = std::mem::take(&mut stored.tiers).into_iter();
        let tiers: Vec<TierState> = tiers.map(tier_of).collect::<Option<_>>()?;
        let given = std::mem::take(&mut stored.given).into_iter();
        let given: Vec<IssuedReward> = given.map(given_of).collect::<Option<_>>()?;
        let replaced = std::mem::take(&mut stored.replaced).into_iter();
        let replaced: Vec<Replaced> = replaced.map(replaced_of).collect::<Option<_>>()?;
        let is_twice = |place: usize, tier: &TierState| {
            let same =
                |other: &TierState| (&other.program, &other.tier) == (&tier.program, &tier.tier);
            tiers[..place].iter().any(same)
        };
        let fits = given.iter().all(|given| given.tier < tiers.len())
            && replaced.iter().all(|claim| claim.tier < tiers.len())
            && !tiers
                .iter()
                .enumerate()
                .any(|(place, tier)| is_twice(place, tier))
            && stored.debt >= 0;
        fits.then(|| Self {
            tiers,
            issued: given,
            replaced,
            debt: stored.debt,
            export_version: stored.export_version.take().map(Into::into),
            due: stored.reward_due.map(LogTime),
        })
    }
}

fn stored_tier(tier: &TierState) -> StoredTier {
    let (stage, rejected_on) = match &tier.stage {
        Stage::Open => (0, None),
        Stage::Awaiting(_) => (1, None),
        Stage::Locked(_) => (2, None),
        Stage::Review(_) => (3, None),
        Stage::Rejected { on, .. } => (4, Some(on.0)),
    };
    StoredTier {
        program: tier.program.to_string(),
        tier: tier.tier.to_string(),
        claimed: tier.claimed,
        stage,
        claim: tier.stage.claim().map(stored_claim),
        rejected_on,
    }
}

fn tier_of(stored: StoredTier) -> Option<TierState> {
    let claim = match stored.claim {
        Some(claim) => Some(claim_of(claim)?),
        None => None,
    };
    let stage = match (stored.stage, claim, stored.rejected_on) {
        (0, None, None) => Stage::Open,
        (1, Some(claim), None) => Stage::Awaiting(claim),
        (2, Some(claim), None) => Stage::Locked(claim),
        (3, Some(claim), None) => Stage::Review(claim),
        (4, Some(claim), Some(on)) => Stage::Rejected {
            claim,
            on: Workday(on),
        },
        // A stage that no program writes, or one without what belongs to it.
        (_, _, _) => return None,
    };
    Some(TierState {
        program: stored.program.into(),
        tier: stored.tier.into(),
        claimed: stored.claimed,
        stage,
    })
}

fn stored_claim(claim: &Claim) -> StoredClaim {
    let days = claim.parts.iter().map(|part| i64::from(part.day.0));
    StoredClaim {
        ordinal: claim.ordinal,
        reward_type: claim.reward_type.to_string(),
        points: claim.points,
        at: claim.at.0,
        part_days: wire::deltas(days).collect(),
        part_points: claim.parts.iter().map(|part| part.points).collect(),
        kept: claim.kept.clone(),
        export_version: claim.export_version.as_deref().map(str::to_owned),
    }
}

fn claim_of(stored: StoredClaim) -> Option<Claim> {
    if stored.part_days.len() != stored.part_points.len() {
        return None;
    }
    let days = wire::undelta(&stored.part_days).zip(&stored.part_points);
    let part = |(day, points): (i64, &i64)| {
        let day = Workday(i32::try_from(day).ok()?);
        let points = *points;
        Some(Part { day, points })
    };
    Some(Claim {
        ordinal: stored.ordinal,
        reward_type: stored.reward_type.into(),
        points: stored.points,
        at: LogTime(stored.at),
        parts: days.map(part).collect::<Option<_>>()?,
        kept: stored.kept,
        export_version: stored.export_version.map(Into::into),
    })
}

fn given_of(stored: StoredGiven) -> Option<IssuedReward> {
    Some(IssuedReward {
        tier: usize::try_from(stored.tier).ok()?,
        claim: claim_of(stored.claim?)?,
        at: LogTime(stored.at),
        standing: standing_of(stored.standing, stored.owed, stored.waits.map(Workday))?,
        doubts: stored.doubts,
    })
}

fn replaced_of(stored: StoredReplaced) -> Option<Replaced> {
    Some(Replaced {
        tier: usize::try_from(stored.tier).ok()?,
        claim: claim_of(stored.claim?)?,
        at: LogTime(stored.at),
    })
}

/// A standing's number, and what belongs to it.
const fn parts_of(standing: IssuedStatus) -> (u32, bool, Option<Workday>) {
    match standing {
        IssuedStatus::Issued => (0, false, None),
        IssuedStatus::Reversing => (1, false, None),
        IssuedStatus::Review => (2, false, None),
        IssuedStatus::Reversed => (3, false, None),
        IssuedStatus::Debt => (4, false, None),
        IssuedStatus::Held { owed } => (5, owed, None),
        IssuedStatus::Cancelled { owed, waits } => (6, owed, waits),
    }
}

const fn standing_of(number: u32, owed: bool, waits: Option<Workday>) -> Option<IssuedStatus> {
    match number {
        0 => Some(IssuedStatus::Issued),
        1 => Some(IssuedStatus::Reversing),
        2 => Some(IssuedStatus::Review),
        3 => Some(IssuedStatus::Reversed),
        4 => Some(IssuedStatus::Debt),
        5 => Some(IssuedStatus::Held { owed }),
        6 => Some(IssuedStatus::Cancelled { owed, waits }),
        _ => None,
    }
}
