//! A spreadsheet of one agent's points: what the actor's balance must equal, whatever happens to it.
//!
//! It decides nothing. It books what comes in, and follows what the actor says, checking that each claim is covered
//! and each reversal called for.
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
}

#[derive(Clone, Debug)]
pub struct Booked {
    pub id: String,
    pub cost: i64,
    pub entry: Entry,
    /// Where its points came from.
    pub parts: Vec<(i64, i64)>,
    /// When it was issued, in milliseconds, and as which one.
    pub issued: (i64, usize),
    /// Workday of its rejection.
    pub rejected_on: i64,
}

/// Points by workday that are free, rewards in the order they were claimed, and totals.
#[derive(Default)]
pub struct Ledger {
    pub days: BTreeMap<i64, i64>,
    pub rewards: Vec<Booked>,
    pub debt: i64,
    pub earned: i64,
    pub expired: i64,
    pub consumed: i64,
    pub issues: usize,
    pub start: i64,
    pub today: i64,
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

    pub fn check(&self) {
        assert_eq!(self.earned, self.balance() + self.consumed + self.expired);
    }

    pub fn pass_time(&mut self, today: i64, window: i64) {
        (self.today, self.start) = (today, today - window);
        let kept = self.days.split_off(&self.start);
        self.expired += std::mem::replace(&mut self.days, kept)
            .values()
            .sum::<i64>();
    }

    pub fn earn(&mut self, day: i64, points: i64) {
        self.earned += points;
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

    fn settle(&mut self) {
        let of = |sign: i64| {
            self.days
                .values()
                .map(move |p| (p * sign).max(0))
                .sum::<i64>()
        };
        let paid = of(1).min(of(-1));
        self.draw(1, paid);
        self.draw(-1, paid);
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
            *self.days.entry(day.max(self.start)).or_default() += points;
        }
    }

    pub fn pay_debt(&mut self) {
        let paid = self.debt.min(self.free()).max(0);
        if paid > 0 {
            self.take(paid);
            self.debt -= paid;
        }
    }

    /// What nobody has been asked for yet is not claimed any more, once it is not covered.
    pub fn withdraw(&mut self) {
        for place in 0..self.rewards.len() {
            if self.free() < 0 && self.rewards[place].entry == Entry::Awaiting {
                self.give_back(place);
                self.rewards[place].entry = Entry::Closed;
            }
        }
    }

    /// Whether a tier's threshold would be acted on.
    pub fn is_open(&self, cost: i64, gained: bool) -> bool {
        let mut of_tier = self.rewards.iter().filter(|r| r.cost == cost);
        of_tier.all(|r| match r.entry {
            Entry::Awaiting | Entry::Locked | Entry::Review => false,
            Entry::Rejected => gained && self.today > r.rejected_on,
            _settled => true,
        })
    }

    pub fn claim(&mut self, id: &str, cost: i64, entry: Entry, gained: bool) {
        assert!(self.is_open(cost, gained), "{id} claimed while locked");
        assert!(
            self.free() >= cost,
            "{id}: {cost} claimed, {} there",
            self.free()
        );
        assert!(
            self.rewards.iter().all(|r| r.id != id),
            "{id} claimed twice"
        );
        for other in self.rewards.iter_mut().filter(|r| r.cost == cost) {
            if other.entry == Entry::Rejected {
                other.entry = Entry::Closed;
            }
        }
        let parts = self.take(cost);
        self.rewards.push(Booked {
            id: id.to_owned(),
            cost,
            entry,
            parts,
            issued: (0, 0),
            rejected_on: 0,
        });
    }

    /// Free points, those that may come back, and those that already will.
    pub fn covered(&self) -> i64 {
        let coming = |r: &&Booked| matches!(r.entry, Entry::Reversing | Entry::ReversalReview);
        let coming: i64 = self.rewards.iter().filter(coming).map(|r| r.cost).sum();
        self.free() + self.held() + coming
    }

    /// The latest reward that can be taken back.
    pub fn latest(&self, now_ms: i64, window_ms: i64) -> Option<usize> {
        let issued = self.rewards.iter().enumerate();
        let issued =
            issued.filter(|(_, r)| r.entry == Entry::Issued && now_ms - r.issued.0 < window_ms);
        issued
            .max_by_key(|(_, r)| r.issued.1)
            .map(|(place, _)| place)
    }

    /// Books an outcome or a decision. False if it is about nothing that waits for it.
    pub fn answer(&mut self, place: usize, is_reversal: bool, word: &str, now_ms: i64) -> bool {
        use Entry::*;
        let entry = self.rewards[place].entry;
        let next = match (entry, is_reversal, word) {
            (Awaiting, false, "approve") => Locked,
            (Awaiting, false, "reject") => Rejected,
            (Locked, false, "issued") => Issued,
            (Locked, false, "rejected") => Rejected,
            (Locked, false, "needs_review") => Review,
            (Review, false, "issued" | "approve") => Issued,
            (Review, false, "rejected" | "reject") => Rejected,
            (Reversing, true, "reversed") => Reversed,
            (Reversing, true, "rejected") => Debt,
            (Reversing, true, "needs_review" | "issued") => ReversalReview,
            (ReversalReview, true, "reversed") | (ReversalReview, false, "approve") => Reversed,
            (ReversalReview, true, "rejected") | (ReversalReview, false, "reject") => Debt,
            (Debt, true, "reversed") => Reversed,
            (Rejected, false, "approve") => Closed,
            (Rejected, false, "issued") => {
                self.rewards[place].parts = self.take(self.rewards[place].cost);
                Issued
            }
            _ => return false,
        };
        match next {
            Issued => {
                self.consumed += self.rewards[place].cost;
                self.issues += 1;
                self.rewards[place].issued = (now_ms, self.issues);
            }
            Rejected => {
                self.give_back(place);
                self.rewards[place].rejected_on = self.today;
            }
            Reversed => {
                self.give_back(place);
                self.consumed -= self.rewards[place].cost;
            }
            Locked | Review | Reversing | ReversalReview | Debt | Awaiting | Closed => {}
        }
        self.rewards[place].entry = next;
        if next == Debt {
            self.settle();
            let owed = (-self.covered()).max(0);
            self.draw(-1, owed);
            self.debt += owed;
        }
        true
    }
}
