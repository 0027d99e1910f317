//! A spreadsheet of points and rewards: the requirements' rules (S3) in maps and sums, to hold the product to.
//!
//! It takes the events in the order in which the log holds them and decides by itself what is claimed, taken back and
//! owed; what providers and people said are inputs like all others. It shares nothing with the product but the name of
//! a reward ([`Terms::name`]). `terms` is what holds for everybody, `entry` reads its rows, `compare` holds an agent of
//! the product to a sheet.

#![allow(dead_code, reason = "each test uses its part of this")]

use std::collections::BTreeMap;

pub use crate::terms::{Slip, Stands, Terms, Tier};
use crate::{
    calendar::{DAY_MS, Day},
    entry::Entry,
};

#[derive(Clone, Debug)]
pub struct Reward {
    pub id: String,
    pub tier: usize,
    pub ordinal: u32,
    pub cost: i64,
    pub stands: Stands,
    /// When it was claimed, or asked for after somebody agreed.
    pub asked_ms: i64,
    /// When it was issued, and as which one.
    pub issued: (i64, u32),
    /// The day its points came from, and how many.
    parts: Vec<(Day, i64)>,
    rejected_on: Day,
    /// When another claim took the place of this one, which was rejected.
    replaced_ms: Option<i64>,
}

/// One agent's page.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    agent: String,
    /// By workday and metric: points, and when they were recorded.
    rows: BTreeMap<(Day, String), (i64, i64)>,
    /// Points by workday that nothing has taken.
    pub days: BTreeMap<Day, i64>,
    adjustments: BTreeMap<String, (Day, i64)>,
    /// By response: revision, workday and points.
    surveys: BTreeMap<String, (u64, Day, i64)>,
    pub rewards: Vec<Reward>,
    pub debt: i64,
    pub earned: i64,
    pub expired: i64,
    issues: u32,
    today: Day,
    start: Day,
    pub now_ms: i64,
    /// When rewards that are past were last looked through.
    pub balanced_ms: i64,
}

impl Sheet {
    // What there is.

    pub fn free(&self) -> i64 {
        self.days.values().sum()
    }

    pub fn held(&self) -> i64 {
        self.costs(&[Stands::Awaiting, Stands::Locked, Stands::Review])
    }

    pub fn balance(&self) -> i64 {
        self.free() + self.held() - self.debt
    }

    /// Points that are spent for good.
    pub fn consumed(&self) -> i64 {
        use Stands::{Debt, Issued, ReversalReview, Reversing};
        self.costs(&[Issued, Reversing, ReversalReview, Debt])
    }

    /// What rows, surveys and adjustments of the window give together.
    pub fn given(&self) -> i64 {
        let rows = self.rows.values().map(|row| row.0);
        let surveys = self.surveys.values().map(|survey| (survey.1, survey.2));
        let others = surveys.chain(self.adjustments.values().copied());
        let others = others.filter(|(day, _)| *day >= self.start);
        rows.sum::<i64>() + others.map(|other| other.1).sum::<i64>()
    }

    fn costs(&self, stands: &[Stands]) -> i64 {
        let those = self.rewards.iter().filter(|r| stands.contains(&r.stands));
        those.map(|r| r.cost).sum()
    }

    /// The balance if every claim failed and every reversal succeeded.
    fn covered(&self) -> i64 {
        let coming = self.costs(&[Stands::Reversing, Stands::ReversalReview]);
        self.free() + self.held() + coming
    }

    // What happens.

    /// Enters one event; `now_ms` is when the log took it.
    pub fn enter(&mut self, terms: &Terms, now_ms: i64, entry: &Entry) {
        self.wait(terms, now_ms);
        self.now_ms = now_ms;
        if let Entry::Survey {
            response, revision, ..
        } = entry
            && let Some(seen) = self.surveys.get(response)
            && *revision <= seen.0
        {
            return;
        }
        self.pass_time(terms);
        let before = self.free();
        match entry {
            Entry::Row {
                day,
                metric,
                value,
                recorded_ms,
                ..
            } => {
                if *day < self.start {
                    return;
                }
                self.row(terms, *day, metric, *value, *recorded_ms);
            }
            Entry::Adjusted {
                id, points, at_ms, ..
            } => {
                let day = terms.workday(*at_ms);
                let is_known =
                    self.adjustments.contains_key(id) && terms.slip != Some(Slip::AdjustmentsTwice);
                if day >= self.start && !is_known {
                    self.adjustments.insert(id.clone(), (day, *points));
                    self.earn(day, *points);
                }
            }
            Entry::Survey {
                response,
                revision,
                csat,
                at_ms,
                ..
            } => {
                if let Some((_, day, points)) = self.surveys.get(response).copied()
                    && day >= self.start
                {
                    self.earn(day, -points);
                }
                let day = terms.workday(*at_ms);
                let points = if *csat == 5 && day >= self.start {
                    10
                } else {
                    0
                };
                self.earn(day, points);
                self.surveys
                    .insert(response.clone(), (*revision, day, points));
            }
            Entry::Outcome { output, status, .. } => return self.told(terms, output, status),
            Entry::Decided {
                reward, approve, ..
            } => return self.decided(terms, reward, *approve),
        }
        let change = self.free() - before;
        self.put_in_order(terms, change > 0, change < 0);
    }

    /// Lets midnights pass: with a loss that leaves the window, what stays may be enough for a reward.
    pub fn wait(&mut self, terms: &Terms, now_ms: i64) {
        if self.now_ms == 0 {
            return;
        }
        for day in terms.workday(self.now_ms) + 1..=terms.workday(now_ms) {
            let start = day - terms.window_days;
            let left: i64 = self.days.range(..start).map(|day| day.1).sum();
            let stays = self.free() - left;
            let is_due = |tier: &usize| {
                // A debt is paid first; where there is no reward, with the next event.
                stays >= terms.tiers[*tier].cost + self.debt
                    && !self.is_rejected(*tier)
                    && self.is_open(*tier, false)
            };
            if (0..terms.tiers.len()).any(|tier| is_due(&tier)) {
                self.now_ms = terms.zone.midnight_ms(day);
                self.pass_time(terms);
                self.put_in_order(terms, false, false);
            }
        }
    }

    fn is_rejected(&self, tier: usize) -> bool {
        let last = self.rewards.iter().rfind(|r| r.tier == tier);
        last.is_some_and(|last| last.stands == Stands::Rejected)
    }

    fn pass_time(&mut self, terms: &Terms) {
        self.today = terms.workday(self.now_ms);
        let short = i64::from(terms.slip == Some(Slip::WindowTooShort));
        self.start = self.today - terms.window_days + short;
        if self
            .days
            .first_key_value()
            .is_some_and(|day| *day.0 < self.start)
        {
            let kept = self.days.split_off(&self.start);
            let left = std::mem::replace(&mut self.days, kept);
            self.expired += left.values().sum::<i64>();
            if terms.slip == Some(Slip::ExpiryForgetsRewards) {
                let rows = self.rows.iter().filter(|row| row.0.0 < self.start);
                let given: i64 = rows.map(|row| row.1.0).sum();
                let today = self.days.entry(self.today).or_default();
                *today += left.values().sum::<i64>() - given;
            }
        }
        if self
            .rows
            .first_key_value()
            .is_some_and(|row| row.0.0 < self.start)
        {
            self.rows = self.rows.split_off(&(self.start, String::new()));
        }
    }

    fn earn(&mut self, day: Day, points: i64) {
        if points != 0 {
            self.earned += points;
            *self.days.entry(day).or_default() += points;
        }
    }

    /// The newest record counts; of two of the same time, the one that came last.
    fn row(&mut self, terms: &Terms, day: Day, metric: &str, value: f64, recorded_ms: i64) {
        let points = (terms.points)(metric, value);
        let key = (day, metric.to_owned());
        let (old, at_ms) = self.rows.get(&key).copied().unwrap_or((0, i64::MIN));
        if recorded_ms < at_ms && terms.slip != Some(Slip::LastArrivalCounts) {
            return;
        }
        let old = if terms.slip == Some(Slip::ReexportAdds) {
            0
        } else {
            old
        };
        self.rows.insert(key, (points, recorded_ms));
        self.earn(day, points - old);
    }

    fn told(&mut self, terms: &Terms, output: &str, status: &str) {
        use Stands::*;
        let (id, is_reversal) = match output.strip_suffix(":reverse") {
            Some(id) => (id, true),
            None => (output, false),
        };
        let Some(place) = self.rewards.iter().position(|r| r.id == id) else {
            return;
        };
        let next = match (self.rewards[place].stands, is_reversal, status) {
            (Locked | Review, false, "issued") => Issued,
            (Closed, false, "issued") if self.is_remembered(terms, place) => {
                let cost = self.rewards[place].cost;
                self.rewards[place].parts = self.take(terms, cost);
                Issued
            }
            (Rejected, false, "issued") => {
                // It had counted as not given: its points are still to be taken.
                let cost = self.rewards[place].cost;
                self.rewards[place].parts = self.take(terms, cost);
                Issued
            }
            (Locked | Review, false, "rejected") => Rejected,
            (Locked, false, "needs_review") => Review,
            (Reversing | ReversalReview | Debt, true, "reversed") => Reversed,
            (Reversing | ReversalReview, true, "refused") => Debt,
            (Reversing, true, "needs_review") => ReversalReview,
            _ => return,
        };
        self.becomes(terms, place, next);
    }

    /// Whether a claim that another one replaced is still known: for as long as a reward that was issued.
    fn is_remembered(&self, terms: &Terms, place: usize) -> bool {
        let replaced = self.rewards[place].replaced_ms;
        replaced.is_some_and(|at_ms| self.balanced_ms - at_ms < terms.keep_ms())
    }

    /// What is not covered any more is given up first, and what follows from that follows whatever was decided.
    fn decided(&mut self, terms: &Terms, id: &str, approve: bool) {
        let awaiting = |sheet: &Self| {
            let rewards = sheet.rewards.iter();
            rewards.filter(|r| r.stands == Stands::Awaiting).count()
        };
        let before = awaiting(self);
        self.withdraw();
        let is_withdrawn = awaiting(self) != before;
        self.decide(terms, id, approve);
        if is_withdrawn {
            self.put_in_order(terms, false, false);
        }
    }

    fn decide(&mut self, terms: &Terms, id: &str, approve: bool) {
        use Stands::*;
        let id = id.strip_suffix(":reverse").unwrap_or(id);
        let Some(place) = self.rewards.iter().position(|r| r.id == id) else {
            return;
        };
        let next = match (self.rewards[place].stands, approve) {
            (Awaiting, true) => Locked,
            (Awaiting | Review, false) => Rejected,
            (Review, true) => Issued,
            (Rejected, true) => {
                self.rewards[place].replaced_ms = Some(self.now_ms);
                Closed
            }
            (ReversalReview, true) => Reversed,
            (ReversalReview, false) => Debt,
            _ => return,
        };
        self.becomes(terms, place, next);
    }

    fn becomes(&mut self, terms: &Terms, place: usize, next: Stands) {
        use Stands::*;
        let (now_ms, today) = (self.now_ms, self.today);
        let reward = &mut self.rewards[place];
        reward.stands = next;
        match next {
            Review | ReversalReview => return,
            Locked => {
                reward.asked_ms = now_ms;
                return;
            }
            Issued => {
                self.issues += 1;
                reward.issued = (now_ms, self.issues);
            }
            Rejected => {
                reward.rejected_on = today;
                self.give_back(place);
            }
            Reversed => self.give_back(place),
            Debt if terms.slip != Some(Slip::NoDebt) => {
                let lacking = (-self.covered()).max(0);
                self.settle();
                self.draw(-1, lacking, false);
                self.debt += lacking;
            }
            Debt | Awaiting | Closed | Reversing => {}
        }
        self.put_in_order(terms, false, matches!(next, Issued | Reversed));
    }

    // What follows: debt first, then what is not earned any more, then what is.

    fn put_in_order(&mut self, terms: &Terms, gained: bool, claws_back: bool) {
        self.balanced_ms = self.now_ms;
        let paid = self.debt.min(self.free()).max(0);
        if paid > 0 {
            self.take(terms, paid);
            self.debt -= paid;
        }
        self.withdraw();
        while claws_back && self.covered() < 0 {
            let window_ms = terms.window_days * DAY_MS;
            let recent = self
                .rewards
                .iter_mut()
                .filter(|r| r.stands == Stands::Issued && self.now_ms - r.issued.0 < window_ms);
            match recent.max_by_key(|r| r.issued.1) {
                Some(latest) => latest.stands = Stands::Reversing,
                None => break,
            }
        }
        for tier in 0..terms.tiers.len() {
            if self.free() >= terms.tiers[tier].cost && self.is_open(tier, gained) {
                self.claim(terms, tier);
            }
        }
    }

    /// Nobody was asked for them yet, and they are not covered any more.
    fn withdraw(&mut self) {
        let tier_of = |place: usize| self.rewards[place].tier;
        let first = |tier| self.rewards.iter().position(|r| r.tier == tier);
        let mut awaiting: Vec<usize> = (0..self.rewards.len())
            .filter(|place| self.rewards[*place].stands == Stands::Awaiting)
            .collect();
        awaiting.sort_by_key(|place| first(tier_of(*place)));
        for place in awaiting {
            if self.free() < 0 {
                self.rewards[place].stands = Stands::Closed;
                self.give_back(place);
            }
        }
    }

    fn is_open(&self, tier: usize, gained: bool) -> bool {
        let last = self.rewards.iter().rfind(|r| r.tier == tier);
        last.is_none_or(|last| match last.stands {
            Stands::Awaiting | Stands::Locked | Stands::Review => false,
            Stands::Rejected => gained && self.today > last.rejected_on,
            _settled => true,
        })
    }

    fn claim(&mut self, terms: &Terms, tier: usize) {
        use Stands::*;
        let Tier { name, cost, cap } = terms.tiers[tier];
        let had = |within_ms: i64| {
            let counts = |r: &&Reward| {
                let stands = matches!(
                    r.stands,
                    Locked | Review | Issued | Reversing | ReversalReview | Debt
                );
                r.tier == tier && stands && self.now_ms - r.asked_ms < within_ms
            };
            self.rewards.iter().filter(counts).count()
        };
        let is_over = cap.is_some_and(|(most, within_ms)| had(within_ms) >= most);
        for old in self.rewards.iter_mut().filter(|r| r.tier == tier) {
            if old.stands == Rejected {
                old.stands = Closed;
                old.replaced_ms = Some(self.now_ms);
            }
        }
        let ordinal = self.rewards.iter().filter(|r| r.tier == tier).count();
        let ordinal = u32::try_from(ordinal).expect("few rewards");
        let parts = self.take(terms, cost);
        self.rewards.push(Reward {
            id: (terms.name)(&self.agent, name, ordinal),
            tier,
            ordinal,
            cost,
            stands: if is_over { Awaiting } else { Locked },
            asked_ms: self.now_ms,
            issued: (0, 0),
            parts,
            rejected_on: 0,
            replaced_ms: None,
        });
    }

    // Moving points.

    /// Moves up to `most` points off the days with this sign, and says from where.
    fn draw(&mut self, sign: i64, most: i64, newest_first: bool) -> Vec<(Day, i64)> {
        let mut days: Vec<(&Day, &mut i64)> = self.days.iter_mut().collect();
        if newest_first {
            days.reverse();
        }
        let (mut left, mut parts) = (most, Vec::new());
        for (day, points) in days {
            let part = (*points * sign).clamp(0, left);
            if part > 0 {
                *points -= part * sign;
                left -= part;
                parts.push((*day, part));
            }
        }
        parts
    }

    /// Days on which more was taken away than given are paid from the oldest points.
    fn settle(&mut self) {
        let gains: i64 = self.days.values().map(|points| (*points).max(0)).sum();
        let losses: i64 = self.days.values().map(|points| (-points).max(0)).sum();
        let paid = gains.min(losses);
        if paid > 0 {
            self.draw(1, paid, false);
            self.draw(-1, paid, false);
        }
    }

    /// Takes points, the oldest first; what is lacking is charged to today.
    fn take(&mut self, terms: &Terms, points: i64) -> Vec<(Day, i64)> {
        self.settle();
        let mut parts = self.draw(1, points, terms.slip == Some(Slip::NewestFirst));
        let lacking = points - parts.iter().map(|part| part.1).sum::<i64>();
        if lacking > 0 {
            *self.days.entry(self.today).or_default() -= lacking;
            parts.push((self.today, lacking));
        }
        parts
    }

    /// Puts a reward's points back; those of days that have left come back on the oldest that counts.
    fn give_back(&mut self, place: usize) {
        for (day, points) in std::mem::take(&mut self.rewards[place].parts) {
            *self.days.entry(day.max(self.start)).or_default() += points;
        }
    }
}

/// All pages.
pub struct Book {
    pub terms: Terms,
    pub sheets: BTreeMap<String, Sheet>,
}

impl Book {
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            sheets: BTreeMap::new(),
        }
    }

    /// Enters one event on its agent's page.
    pub fn enter(&mut self, now_ms: i64, entry: &Entry) {
        let agent = entry.agent();
        if !self.sheets.contains_key(agent) {
            let sheet = Sheet {
                agent: agent.to_owned(),
                ..Sheet::default()
            };
            self.sheets.insert(agent.to_owned(), sheet);
        }
        if let Some(sheet) = self.sheets.get_mut(agent) {
            sheet.enter(&self.terms, now_ms, entry);
        }
    }
}
