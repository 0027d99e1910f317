//! The book: looks on while agents are worked out again, writes a line for all that moves their money, and checks
//! after each step that the lines come to what the agent has.
//!
//! The book keeps its own accounts and never reads a balance off an agent to write it down: so a movement that no line
//! explains shows as a [`Difference`], at the position where it happened.

use std::{collections::BTreeMap, fmt, ops::ControlFlow};

use aftercall_actors::{
    actor::Actor,
    agent::{Agent, window_start},
    contract::{key::Key, time::LogTime, value::WorkDate},
};

use super::{
    change::{Cause, Change, Money, Reward, changes},
    entry::{Entry, Kind},
};
use crate::{
    log::Position,
    shard::witness::{Step, Witness},
};

/// The parts of a balance. Unit: whole points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Points in the window that no claim holds.
    pub available: i64,
    /// Points that claims hold.
    pub held: i64,
    /// Points owed.
    pub debt: i64,
}

impl Balance {
    /// The balance of an agent.
    #[must_use]
    pub fn of(agent: &Agent) -> Self {
        Self {
            available: agent.window().sum(),
            held: agent.rewards().held(),
            debt: agent.rewards().debt(),
        }
    }

    /// All of it: as [`Agent::points`].
    #[must_use]
    pub const fn points(self) -> i64 {
        let held = self.available.saturating_add(self.held);
        held.saturating_sub(self.debt)
    }

    fn add(&mut self, change: &Change) {
        self.available = self.available.saturating_add(change.available);
        self.held = self.held.saturating_add(change.held);
        self.debt = self.debt.saturating_add(change.debt);
    }
}

/// `340 (available 240, held 100, debt 0)`
impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            available,
            held,
            debt,
        } = self;
        let points = self.points();
        write!(
            f,
            "{points} (available {available}, held {held}, debt {debt})"
        )
    }
}

/// One agent's account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What its lines come to.
    pub balance: Balance,
    /// Points given and taken by metrics, surveys and adjustments.
    pub earned: i64,
    /// Points that left with their workday.
    pub expired: i64,
    /// Points spent on rewards that were issued and not taken back.
    pub consumed: i64,
    /// Lines written.
    pub lines: u64,
}

impl Account {
    /// Whether what was earned is what is left, what expired and what was spent.
    #[must_use]
    pub const fn adds_up(&self) -> bool {
        let spent = self.expired.saturating_add(self.consumed);
        self.earned == spent.saturating_add(self.balance.points())
    }

    fn add(&mut self, change: &Change) {
        let before = self.balance.points();
        self.balance.add(change);
        let points = self.balance.points().saturating_sub(before);
        match change.kind {
            Kind::Earned | Kind::Replaced | Kind::Adjusted => {
                self.earned = self.earned.saturating_add(points);
            }
            Kind::Expired => self.expired = self.expired.saturating_sub(points),
            Kind::Issued | Kind::Reversed | Kind::Cancelled => {
                self.consumed = self.consumed.saturating_sub(points)
            }
            // They move points between the parts of a balance, so these sums stand.
            Kind::Claimed
            | Kind::Awaiting
            | Kind::Requested
            | Kind::Approved
            | Kind::Declined
            | Kind::Rejected
            | Kind::Withdrawn
            | Kind::NeedsReview
            | Kind::ReversalRequested
            | Kind::ReversalNeedsReview
            | Kind::ReversalRefused
            | Kind::DebtPaid
            | Kind::CancellationNeedsReview
            | Kind::Restored => {}
        }
        self.lines += 1;
    }
}

/// The lines of a step do not come to what the agent has after it, or what was earned went nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{agent_id} at position {position}: the book says {book}, the agent has {agent}")]
pub struct Difference {
    /// Whose.
    pub agent_id: String,
    /// Event of the log after which it shows.
    pub position: Position,
    /// What the lines come to.
    pub book: Balance,
    /// What the agent has.
    pub agent: Balance,
}

/// Most differences kept; more are counted.
pub const DIFFERENCES_MAX: usize = 1_000;

/// What came of a walk through the log.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// An account for each agent that took a step, by id.
    pub accounts: BTreeMap<Box<str>, Account>,
    /// Where the lines did not come to what the agent had, in log order; at most [`DIFFERENCES_MAX`].
    pub differences: Vec<Difference>,
    /// How many there were in all.
    pub differences_total: u64,
    /// Lines written.
    pub lines: u64,
    /// The agent that was asked for, as it was in the end, and the log time of its last step.
    pub agent: Option<(Box<Agent>, LogTime)>,
}

/// Writes the book while a `Retrace` runs.
pub(super) struct Book<'a, S> {
    only: Option<&'a str>,
    end: Option<LogTime>,
    sink: S,
    before: Money,
    /// Partitions take their turns within a batch: lines wait until all have.
    waiting: Vec<Entry>,
    is_over: bool,
    books: Books,
}

impl<'a, S: FnMut(Entry) -> ControlFlow<()>> Book<'a, S> {
    pub(super) fn new(only: Option<&'a str>, end: Option<LogTime>, sink: S) -> Self {
        Self {
            only,
            end,
            sink,
            before: Money::default(),
            waiting: Vec::new(),
            is_over: false,
            books: Books::default(),
        }
    }

    pub(super) fn finish(mut self) -> Books {
        self.hand_over();
        self.books
    }

    fn is_wanted(&self, id: &str) -> bool {
        self.only.is_none_or(|only| only == id)
    }

    /// Gives away what waits, in log order.
    fn hand_over(&mut self) {
        self.waiting
            .sort_by_key(|entry| (entry.position, entry.line));
        for entry in self.waiting.drain(..) {
            if (self.sink)(entry).is_break() {
                self.is_over = true;
                break;
            }
        }
    }

    fn write(&mut self, step: &Step<'_>, id: &str, agent: &Agent) {
        let cause = Cause {
            agent: id,
            event: step.event,
            start: window_start(step.now, step.rules.settings()),
        };
        let lines = changes(&self.before, agent, cause);
        let account = match self.books.accounts.get_mut(id) {
            Some(account) => account,
            None => self.books.accounts.entry(id.into()).or_default(),
        };
        let (cause_source, cause_id) = step.entry.name();
        for (change, line) in lines.into_iter().zip(0u32..) {
            let before = account.balance.points();
            account.add(&change);
            let balance = account.balance;
            let (program, tier, reward_id) = match change.reward {
                Some(Reward { program, tier, id }) => (Some(program), Some(tier), Some(id)),
                None => (None, None, None),
            };
            self.books.lines += 1;
            self.waiting.push(Entry {
                position: step.entry.position,
                line,
                time: step.now,
                agent_id: id.to_owned(),
                kind: change.kind,
                points: balance.points().saturating_sub(before),
                balance: balance.points(),
                available: balance.available,
                held: balance.held,
                debt: balance.debt,
                workday: change.workday.map(|day| WorkDate(day.date())),
                source: change.source,
                program,
                tier,
                reward_id,
                detail: change.detail,
                cause_source: cause_source.to_owned(),
                cause_id: cause_id.to_owned(),
                rules: step.rules.version().to_owned(),
            });
        }
        let found = Balance::of(agent);
        if account.balance != found || !account.adds_up() {
            self.books.differences_total += 1;
            if self.books.differences.len() < DIFFERENCES_MAX {
                self.books.differences.push(Difference {
                    agent_id: id.to_owned(),
                    position: step.entry.position,
                    book: account.balance,
                    agent: found,
                });
            }
            // One fault is told once: from here on the book goes with the agent.
            account.balance = found;
            let spent = account.expired.saturating_add(account.consumed);
            account.earned = spent.saturating_add(found.points());
        }
    }
}

impl<S: FnMut(Entry) -> ControlFlow<()>> Witness for Book<'_, S> {
    fn before(&mut self, key: Key<'_>, actor: &Actor) {
        if let (Key::Agent(id), Actor::Agent(agent)) = (key, actor)
            && self.is_wanted(id)
        {
            self.before = Money::of(agent);
        }
    }

    fn after(&mut self, step: &Step<'_>) {
        if self.end.is_some_and(|end| step.now >= end) {
            self.is_over = true;
            return;
        }
        let (Key::Agent(id), Actor::Agent(agent)) = (step.key, step.actor) else {
            return;
        };
        if !self.is_wanted(id) {
            return;
        }
        self.write(step, id, agent);
        if self.only.is_some() {
            self.books.agent = Some((agent.clone(), step.now));
        }
    }

    fn passed(&mut self, _: Position) -> ControlFlow<()> {
        self.hand_over();
        match self.is_over {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
