//! A spreadsheet of one agent's points: what the actor's balance must equal, whatever happens to it.
//!
//! It decides nothing. It books what comes in, and follows what the actor says, checking that each claim is covered,
//! allowed and the highest there is, and each reversal called for.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;

/// How a reward stands in the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
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
    /// Said to be gone, and a person has to decide.
    Held,
    /// Gone after all.
    Cancelled,
    /// Given or taken back, too long ago to be known.
    Forgotten,
}

impl Entry {
    /// Whether limits count it.
    const fn counts(self) -> bool {
        use Entry::{Debt, Held, Issued, Locked, ReversalReview, Reversing, Review};
        matches!(
            self,
            Locked | Review | Issued | Reversing | ReversalReview | Debt | Held
        )
    }
}

/// A tier as the rules in force have it: names of program and tier, threshold, rewards allowed in a time.
#[derive(Clone, Copy, Debug)]
pub struct Tier {
    pub program: &'static str,
    pub name: &'static str,
    pub cost: i64,
    pub cap: Option<(usize, i64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    None,
    OverCap,
    Always,
}

/// What the rules in force say, in the reference's own words. The highest tier first.
#[derive(Clone, Debug)]
pub struct Rules {
    pub approval: Approval,
    /// Of enabled programs only.
    pub tiers: Vec<Tier>,
    /// Points of one agent in a time, over all tiers.
    pub share: Option<(i64, i64)>,
}

#[derive(Clone, Debug)]
pub struct Booked {
    pub id: String,
    pub program: &'static str,
    pub tier: &'static str,
    pub cost: i64,
    pub entry: Entry,
    /// Where its points came from.
    pub parts: Vec<(i64, i64)>,
    /// When it was claimed or, where a person had to agree, requested; in milliseconds.
    pub at_ms: i64,
    /// When it was issued, in milliseconds, and as which one.
    pub issued: (i64, usize),
    /// Workday of its rejection, or on which it was cancelled.
    pub rejected_on: i64,
    /// Whether, cancelled, it keeps its tier from being claimed again.
    pub waits: bool,
    /// Whether its reversal was refused.
    pub refused: bool,
    /// Never given, and when it was past; whoever gave it can still be told so.
    pub closed_ms: Option<i64>,
}

type Days = BTreeMap<i64, i64>;

/// Points by workday that are free, rewards in the order they were claimed, and what became of points by workday.
#[derive(Clone, Default)]
pub struct Ledger {
    pub days: Days,
    pub rewards: Vec<Booked>,
    pub debt: i64,
    pub earned: Days,
    pub expired: Days,
    /// Moved off a workday to another one, or to pay a debt; negative where it was moved to.
    pub moved: Days,
    /// Debts that arose, less what was paid.
    pub owed: i64,
    pub issues: usize,
    pub start: i64,
    pub today: i64,
    pub now_ms: i64,
}

impl Ledger {
    // The ten lines: what is free, what is held, what is owed.
    pub fn free(&self) -> i64 {
        self.days.values().sum()
    }

    pub fn held(&self) -> i64 {
        let holds =
            |r: &&Booked| matches!(r.entry, Entry::Awaiting | Entry::Locked | Entry::Review);
        self.rewards.iter().filter(holds).map(|r| r.cost).sum()
    }

    pub fn balance(&self) -> i64 {
        self.free() + self.held() - self.debt
    }

    /// Each workday's points are free, gone with it, part of a reward, or moved; and what was moved paid debts.
    pub fn check(&self) {
        let mut found = self.days.clone();
        let taken = self.rewards.iter().flat_map(|reward| &reward.parts);
        let gone = self.expired.iter().chain(&self.moved);
        for (day, points) in gone.chain(taken.map(|(day, points)| (day, points))) {
            *found.entry(*day).or_default() += points;
        }
        found.retain(|_, points| *points != 0);
        let mut earned = self.earned.clone();
        earned.retain(|_, points| *points != 0);
        assert_eq!(earned, found, "by workday");
        assert_eq!(self.moved.values().sum::<i64>(), -self.owed);
        assert_eq!(self.owed, self.debt);
    }

    pub fn pass_time(&mut self, now_ms: i64, today: i64, window: i64) {
        (self.now_ms, self.today, self.start) = (now_ms, today, today - window);
        let kept = self.days.split_off(&self.start);
        for (day, points) in std::mem::replace(&mut self.days, kept) {
            *self.expired.entry(day).or_default() += points;
        }
    }

    /// What is settled and was issued so long ago is not known any more.
    pub fn forget(&mut self, keep_ms: i64) {
        for reward in &mut self.rewards {
            let is_settled = matches!(
                reward.entry,
                Entry::Issued | Entry::Reversed | Entry::Debt | Entry::Cancelled
            );
            let waits = reward.waits && reward.rejected_on >= self.start;
            if is_settled && !waits && self.now_ms - reward.issued.0 >= keep_ms {
                reward.entry = Entry::Forgotten;
            }
            if reward
                .closed_ms
                .is_some_and(|at| self.now_ms - at >= keep_ms)
            {
                reward.closed_ms = None;
            }
        }
    }

    pub fn earn(&mut self, day: i64, points: i64) {
        *self.earned.entry(day).or_default() += points;
        *self.days.entry(day).or_default() += points;
    }

    /// Moves up to `most` points off the days with this sign, oldest first.
    fn draw(&mut self, sign: i64, most: i64) -> Vec<(i64, i64)> {
        let (mut left, mut parts) = (most, Vec::new());
        for (day, points) in &mut self.days {
            let part = (*points * sign).clamp(0, left);
            if part > 0 {
                *points -= part * sign;
                left -= part;
                parts.push((*day, part));
            }
        }
        parts
    }

    fn note_moved(&mut self, parts: &[(i64, i64)], sign: i64) {
        for (day, points) in parts {
            *self.moved.entry(*day).or_default() += points * sign;
        }
    }

    fn settle(&mut self) {
        let of = |sign: i64| {
            self.days
                .values()
                .map(move |p| (p * sign).max(0))
                .sum::<i64>()
        };
        let paid = of(1).min(of(-1));
        for sign in [1, -1] {
            let parts = self.draw(sign, paid);
            self.note_moved(&parts, sign);
        }
    }

    fn take(&mut self, points: i64) -> Vec<(i64, i64)> {
        self.settle();
        let mut parts = self.draw(1, points);
        let lacking = points - parts.iter().map(|part| part.1).sum::<i64>();
        if lacking > 0 {
            *self.days.entry(self.today).or_default() -= lacking;
            parts.push((self.today, lacking));
        }
        parts
    }

    fn give_back(&mut self, place: usize) {
        for (day, points) in std::mem::take(&mut self.rewards[place].parts) {
            let to = day.max(self.start);
            *self.days.entry(to).or_default() += points;
            self.note_moved(&[(day, points)], 1);
            self.note_moved(&[(to, points)], -1);
        }
    }

    pub fn pay_debt(&mut self) {
        let paid = self.debt.min(self.free()).max(0);
        if paid > 0 {
            let parts = self.take(paid);
            self.note_moved(&parts, 1);
            self.debt -= paid;
            self.owed -= paid;
        }
    }

    /// What nobody has been asked for yet is not claimed any more, once it is not covered: the tiers in the order in
    /// which they were first claimed.
    pub fn withdraw(&mut self) {
        let mut tiers: Vec<(&str, &str)> = Vec::new();
        for reward in &self.rewards {
            if !tiers.contains(&(reward.program, reward.tier)) {
                tiers.push((reward.program, reward.tier));
            }
        }
        for tier in tiers {
            let mut waits = self.rewards.iter();
            let waits =
                waits.position(|r| (r.program, r.tier) == tier && r.entry == Entry::Awaiting);
            if let (Some(place), true) = (waits, self.free() < 0) {
                self.give_back(place);
                self.rewards[place].entry = Entry::Closed;
            }
        }
    }

    fn of_tier<'a>(&'a self, tier: &'a Tier) -> impl Iterator<Item = &'a Booked> {
        let is_its = |r: &&Booked| (r.program, r.tier) == (tier.program, tier.name);
        self.rewards.iter().filter(is_its)
    }

    /// Whether a tier's threshold would be acted on.
    fn is_open(&self, tier: &Tier, gained: bool) -> bool {
        self.of_tier(tier).all(|r| match r.entry {
            Entry::Awaiting | Entry::Locked | Entry::Review => false,
            Entry::Rejected => gained && self.today > r.rejected_on,
            Entry::Cancelled if r.waits => gained && self.today > r.rejected_on,
            _settled => true,
        })
    }

    /// Whether one more is within the limits.
    pub fn fits(&self, rules: &Rules, tier: &Tier) -> bool {
        let counts = |r: &&Booked, ms: i64| r.entry.counts() && self.now_ms - r.at_ms < ms;
        let is_under_cap = tier
            .cap
            .is_none_or(|(most, ms)| self.of_tier(tier).filter(|r| counts(r, ms)).count() < most);
        let is_in_share = rules.share.is_none_or(|(most, ms)| {
            let had = self.rewards.iter().filter(|r| r.program == tier.program);
            let had: i64 = had.filter(|r| counts(r, ms)).map(|r| r.cost).sum();
            had + tier.cost <= most
        });
        is_under_cap && is_in_share
    }

    /// Whether this tier has to be claimed now.
    pub fn is_due(&self, rules: &Rules, tier: &Tier, gained: bool) -> bool {
        let is_reached = self.is_open(tier, gained) && self.free() >= tier.cost;
        is_reached && (rules.approval != Approval::None || self.fits(rules, tier))
    }

    pub fn claim(
        &mut self,
        rules: &Rules,
        name: (&str, &str),
        (id, entry): (&str, Entry),
        gained: bool,
    ) {
        let mut tiers = rules.tiers.iter();
        let place = tiers.position(|tier| (tier.program, tier.name) == name);
        let place = place.unwrap_or_else(|| panic!("{id}: {name:?} is switched off, or no tier"));
        let tier = &rules.tiers[place];
        assert!(self.is_open(tier, gained), "{id} claimed while locked");
        let (cost, free) = (tier.cost, self.free());
        assert!(free >= cost, "{id}: {cost} claimed, {free} there");
        assert!(
            self.rewards.iter().all(|r| r.id != id),
            "{id} claimed twice"
        );
        let waits = match rules.approval {
            Approval::None => false,
            Approval::OverCap => !self.fits(rules, tier),
            Approval::Always => true,
        };
        assert_eq!(waits, entry == Entry::Awaiting, "{id}: who has to agree");
        assert!(waits || self.fits(rules, tier), "{id} is over a limit");
        for higher in &rules.tiers[..place] {
            assert!(
                !self.is_due(rules, higher, gained),
                "{id} claimed before {higher:?}"
            );
        }
        for other in &mut self.rewards {
            let is_its = (other.program, other.tier) == (tier.program, tier.name);
            if is_its && other.entry == Entry::Rejected {
                other.entry = Entry::Closed;
                other.closed_ms = Some(self.now_ms);
            }
            other.waits &= !is_its;
        }
        let parts = self.take(cost);
        self.rewards.push(Booked {
            id: id.to_owned(),
            program: tier.program,
            tier: tier.name,
            cost,
            entry,
            parts,
            at_ms: self.now_ms,
            issued: (0, 0),
            rejected_on: 0,
            waits: false,
            refused: false,
            closed_ms: None,
        });
    }

    /// Free points, those that may come back, and those that already will.
    pub fn covered(&self) -> i64 {
        let coming = |r: &&Booked| {
            matches!(
                r.entry,
                Entry::Reversing | Entry::ReversalReview | Entry::Held
            )
        };
        let coming: i64 = self.rewards.iter().filter(coming).map(|r| r.cost).sum();
        self.free() + self.held() + coming
    }

    /// The latest reward that can be taken back.
    pub fn latest(&self, window_ms: i64) -> Option<usize> {
        let issued = self.rewards.iter().enumerate();
        let issued = issued
            .filter(|(_, r)| r.entry == Entry::Issued && self.now_ms - r.issued.0 < window_ms);
        issued
            .max_by_key(|(_, r)| r.issued.1)
            .map(|(place, _)| place)
    }

    /// Books an outcome or a decision. False if it is about nothing that waits for it. `frees` is what the rules say of
    /// a reward that its provider cancels.
    pub fn answer(&mut self, place: usize, is_reversal: bool, word: &str, frees: bool) -> bool {
        use Entry::*;
        let Booked { entry, refused, .. } = self.rewards[place];
        let kept = if refused { Debt } else { Issued };
        let back = matches!(word, "cancelled" | "canceled" | "reversed");
        let back = if is_reversal {
            word == "reversed"
        } else {
            back
        };
        let lost = back || !is_reversal && matches!(word, "bounced" | "failed");
        let next = match (entry, is_reversal, word) {
            (Closed, false, "issued") if self.rewards[place].closed_ms.is_some() => Issued,
            (Held, false, "issued" | "approve") => kept,
            (Held, false, "reject") => Cancelled,
            (Held, _, _) if back && refused => Reversed,
            (Held, _, _) if lost && frees => Cancelled,
            (Cancelled, false, "issued") => kept,
            (Cancelled, false, "approve") if self.rewards[place].waits => Cancelled,
            (Reversing | ReversalReview | Debt, _, _) if back => Reversed,
            (Issued | Debt, _, _) if lost && frees => Cancelled,
            (Issued | Debt, _, _) if lost => Held,
            (Issued | Debt, false, "rejected" | "needs_review" | "PENDING") => Held,
            (Awaiting, false, "approve") => Locked,
            (Awaiting, false, "reject") => Rejected,
            (Locked, false, "issued") => Issued,
            (Locked, false, "rejected") => Rejected,
            // Not a person's: those decide about what waits for them.
            (Locked, false, word) if !matches!(word, "approve" | "reject") => Review,
            (Review, false, "issued" | "approve") => Issued,
            (Review, false, "rejected" | "reject") => Rejected,
            (Reversing, true, "rejected") => Debt,
            (Reversing, true, _) => ReversalReview,
            (ReversalReview, false, "approve") => Reversed,
            (ReversalReview, true, "rejected") | (ReversalReview, false, "reject") => Debt,
            (Rejected, false, "approve") => Closed,
            (Rejected, false, "issued") => Issued,
            _ => return false,
        };
        if matches!(entry, Rejected | Closed | Cancelled) && matches!(next, Issued | Debt) {
            self.rewards[place].parts = self.take(self.rewards[place].cost);
        }
        match next {
            // It stands as before.
            Issued | Debt if matches!(entry, Held | Cancelled) => {
                self.rewards[place].entry = next;
                self.rewards[place].waits = false;
                return true;
            }
            Cancelled if entry == Cancelled => self.rewards[place].waits = false,
            Cancelled => {
                self.give_back(place);
                self.rewards[place].rejected_on = self.today;
                self.rewards[place].waits = true;
            }
            Closed => self.rewards[place].closed_ms = Some(self.now_ms),
            Issued => {
                self.issues += 1;
                self.rewards[place].issued = (self.now_ms, self.issues);
            }
            Rejected => {
                self.give_back(place);
                self.rewards[place].rejected_on = self.today;
            }
            Reversed => self.give_back(place),
            Locked => self.rewards[place].at_ms = self.now_ms,
            Debt => self.rewards[place].refused = true,
            Review | Reversing | ReversalReview | Held | Awaiting | Forgotten => {}
        }
        self.rewards[place].entry = next;
        if next == Debt {
            self.settle();
            let owed = (-self.covered()).max(0);
            let parts = self.draw(-1, owed);
            self.note_moved(&parts, -1);
            self.debt += owed;
            self.owed += owed;
        }
        true
    }
}
