//! An agent of the product beside its page in the spreadsheet.

#![allow(dead_code, reason = "each test uses its part of this")]

use aftercall_actors::{
    agent::Agent,
    rewards::redemption::{IssuedReward, IssuedStatus, Stage, TierState},
};

use crate::{
    calendar::Day,
    spreadsheet::{Reward, Sheet, Stands, Terms},
};

/// A reward as both sides tell of it.
type Line = (String, u32, Stands, i64);

/// What the two sides disagree about.
pub fn differences(agent: &Agent, sheet: &Sheet, terms: &Terms) -> Vec<String> {
    let mut found = Vec::new();
    let mut hold = |what: &str, product: String, sheet: String| {
        if product != sheet {
            found.push(format!("{what}: the product {product}, the sheet {sheet}"));
        }
    };
    let rewards = agent.rewards();
    let balance = (agent.points(), rewards.held(), rewards.debt());
    let booked = (sheet.balance(), sheet.held(), sheet.debt);
    hold(
        "balance, held, debt",
        format!("{balance:?}"),
        format!("{booked:?}"),
    );
    let by_day = agent.window().by_day();
    let by_day: Vec<(Day, i64)> = by_day.iter().map(|(day, n)| (day.0.into(), *n)).collect();
    let days = sheet.days.iter().filter(|(_, points)| **points != 0);
    let days: Vec<(Day, i64)> = days.map(|(day, points)| (*day, *points)).collect();
    hold("days", format!("{by_day:?}"), format!("{days:?}"));

    let claims = rewards.tiers().iter().map(claim);
    let mut claims: Vec<_> = claims.collect();
    claims.sort();
    let known = |tier: usize| sheet.rewards.iter().filter(move |r| r.tier == tier);
    let standing = (0..terms.tiers.len()).filter(|tier| known(*tier).count() > 0);
    let mut standing: Vec<_> = standing
        .map(|tier| {
            let last = known(tier).next_back();
            let open = last.filter(|last| is_claim(last.stands));
            let name = terms.tiers[tier].name.to_owned();
            (
                name,
                known(tier).count(),
                open.map(|r| (r.ordinal, r.stands)),
            )
        })
        .collect();
    standing.sort();
    hold("claims", format!("{claims:?}"), format!("{standing:?}"));

    // What is over for longer than any limit's period or the window is forgotten.
    let keep_ms = terms.keep_ms();
    let is_kept = |r: &&Reward| {
        matches!(r.stands, Stands::Reversing | Stands::ReversalReview)
            || sheet.balanced_ms - r.issued.0 < keep_ms
    };
    let given = rewards
        .issued()
        .iter()
        .map(|given| line(given, rewards.tiers()));
    let mut issued: Vec<&Reward> = sheet
        .rewards
        .iter()
        .filter(|r| is_issued(r.stands))
        .collect();
    issued.sort_by_key(|r| r.issued.1);
    let issued = issued.into_iter().filter(is_kept);
    let issued = issued.map(|r| -> Line {
        let name = terms.tiers[r.tier].name.to_owned();
        (name, r.ordinal, r.stands, r.cost)
    });
    let (given, issued): (Vec<Line>, Vec<Line>) = (given.collect(), issued.collect());
    hold("rewards", format!("{given:?}"), format!("{issued:?}"));

    let accounted = sheet.balance() + sheet.consumed() + sheet.expired;
    hold("earned", sheet.earned.to_string(), accounted.to_string());
    found
}

/// Whether a claim stands, or what was not given is remembered.
pub const fn is_claim(stands: Stands) -> bool {
    match stands {
        Stands::Awaiting | Stands::Locked | Stands::Review | Stands::Rejected => true,
        Stands::Closed
        | Stands::Issued
        | Stands::Reversing
        | Stands::ReversalReview
        | Stands::Reversed
        | Stands::Debt => false,
    }
}

/// Whether the provider gave it, whatever came after.
pub const fn is_issued(stands: Stands) -> bool {
    !is_claim(stands) && !matches!(stands, Stands::Closed)
}

/// Every reward of an agent's, given or refused, by ordinal.
pub fn rewards_of(agent: &Agent) -> Vec<(u32, Stands)> {
    let rewards = agent.rewards();
    let claims = rewards.tiers().iter().filter_map(|tier| claim(tier).2);
    let given = rewards.issued().iter();
    let given = given.map(|given| (given.claim.ordinal, line(given, rewards.tiers()).2));
    claims.chain(given).collect()
}

fn claim(tier: &TierState) -> (String, usize, Option<(u32, Stands)>) {
    let stands = match &tier.stage {
        Stage::Open => None,
        Stage::Awaiting(claim) => Some((claim.ordinal, Stands::Awaiting)),
        Stage::Locked(claim) => Some((claim.ordinal, Stands::Locked)),
        Stage::Review(claim) => Some((claim.ordinal, Stands::Review)),
        Stage::Rejected { claim, .. } => Some((claim.ordinal, Stands::Rejected)),
    };
    (tier.tier.to_string(), tier.claimed as usize, stands)
}

fn line(given: &IssuedReward, tiers: &[TierState]) -> Line {
    let stands = match given.standing {
        IssuedStatus::Issued => Stands::Issued,
        IssuedStatus::Reversing => Stands::Reversing,
        IssuedStatus::Review => Stands::ReversalReview,
        IssuedStatus::Reversed => Stands::Reversed,
        IssuedStatus::Debt => Stands::Debt,
        IssuedStatus::Held { .. } | IssuedStatus::Cancelled { .. } => {
            panic!("nothing is cancelled in these lives")
        }
    };
    let tier = tiers[given.tier].tier.to_string();
    (tier, given.claim.ordinal, stands, given.claim.points)
}
