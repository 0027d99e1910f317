//! What of an agent's money one step changed: the difference between before and after, as lines for the book.
//!
//! The difference says what moved; the event only gives it a name where the same difference has two (a person or a
//! provider can free a claim). So nothing here decides anything, and `book` finds out if it explains too little: what
//! the lines come to is compared with the agent.
//!
//! Lines stand in the order in which the agent does it: what expires, what the event gives, what becomes of the reward
//! it is about, then what follows (debt, withdrawals, reversals, new claims).

mod rewards;

use std::collections::BTreeMap;

use aftercall_actors::{
    agent::Agent,
    contract::{
        event::{AdjustmentKind, Body, Event},
        key::Key,
    },
    rewards::{
        points::{Origin, PointsWindow, Workday},
        redemption::Rewards,
    },
};

use super::entry::Kind;

/// An agent's money as it was before a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Money {
    window: PointsWindow,
    rewards: Rewards,
}

impl Money {
    pub(super) fn of(agent: &Agent) -> Self {
        Self {
            window: agent.window().clone(),
            rewards: agent.rewards().clone(),
        }
    }
}

/// What a step was about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause<'a> {
    /// The agent's id.
    pub(super) agent: &'a str,
    /// `None` where the agent was only woken.
    pub(super) event: Option<&'a Event>,
    /// The oldest workday that counted.
    pub(super) start: Workday,
}

/// One line that has no place in the book yet; available, held and debt are what it changes them by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) kind: Kind,
    pub(super) available: i64,
    pub(super) held: i64,
    pub(super) debt: i64,
    pub(super) workday: Option<Workday>,
    pub(super) source: Option<String>,
    pub(super) reward: Option<Reward>,
    pub(super) detail: Option<String>,
}

/// Which reward a line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reward {
    pub(super) program: String,
    pub(super) tier: String,
    pub(super) id: String,
}

impl Change {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            available: 0,
            held: 0,
            debt: 0,
            workday: None,
            source: None,
            reward: None,
            detail: None,
        }
    }

    fn available(self, available: i64) -> Self {
        Self { available, ..self }
    }

    fn held(self, held: i64) -> Self {
        Self { held, ..self }
    }

    fn debt(self, debt: i64) -> Self {
        Self { debt, ..self }
    }

    fn on(self, workday: Workday) -> Self {
        let workday = Some(workday);
        Self { workday, ..self }
    }

    fn saying(self, detail: Option<String>) -> Self {
        Self { detail, ..self }
    }
}

/// The lines of one step; none if it moved nothing.
pub(super) fn changes(before: &Money, after: &Agent, cause: Cause<'_>) -> Vec<Change> {
    // Most steps of most agents.
    if before.window == *after.window() && before.rewards == *after.rewards() {
        return Vec::new();
    }
    let mut diff = Diff {
        before: &before.rewards,
        after: after.rewards(),
        cause,
        lines: Vec::new(),
    };
    diff.expire(&before.window);
    diff.give(&before.window, after.window());
    // Before a decision the agent gives up what is not covered any more, otherwise after what the event brought.
    let first = diff.decided().is_some();
    if first {
        diff.withdraw();
    }
    let (settled, fresh) = diff.pair_given();
    diff.turn_claims(fresh);
    diff.give_late(fresh);
    diff.turn_given(&settled);
    diff.pay();
    if !first {
        diff.withdraw();
    }
    diff.ask_back(&settled, fresh);
    diff.claim();
    diff.lines
}

struct Diff<'a> {
    before: &'a Rewards,
    after: &'a Rewards,
    cause: Cause<'a>,
    lines: Vec<Change>,
}

impl<'a> Diff<'a> {
    fn body(&self) -> Option<&'a Body> {
        self.cause.event.map(|event| &event.body)
    }

    /// Workdays that left: each with what it still held, which can be less than nothing.
    fn expire(&mut self, window: &PointsWindow) {
        let start = self.cause.start;
        if window.oldest().is_none_or(|oldest| oldest >= start) {
            return;
        }
        let gone = window.by_day().into_iter().filter(|(day, _)| *day < start);
        self.lines.extend(gone.map(|(day, held)| {
            Change::new(Kind::Expired)
                .available(held.saturating_neg())
                .on(day)
        }));
    }

    /// What sources give, by workday: only what lies between the first and the last difference is looked at closely.
    fn give(&mut self, before: &PointsWindow, after: &PointsWindow) {
        let start = self.cause.start;
        let counts = |cell: &(Workday, Origin<'_>, i64)| cell.0 >= start;
        let was: Vec<_> = before.given().filter(counts).collect();
        let is: Vec<_> = after.given().collect();
        let same = was.iter().zip(&is).take_while(|(a, b)| a == b).count();
        let (was, is) = (&was[same..], &is[same..]);
        let tail = was.iter().rev().zip(is.iter().rev());
        let tail = tail.take_while(|(a, b)| a == b).count();
        let mut cells: BTreeMap<(Workday, Origin<'_>), (Option<i64>, i64)> = BTreeMap::new();
        for (day, origin, points) in &was[..was.len() - tail] {
            cells.insert((*day, *origin), (Some(*points), 0));
        }
        for (day, origin, points) in &is[..is.len() - tail] {
            cells.entry((*day, *origin)).or_insert((None, 0)).1 = *points;
        }
        for ((day, origin), (was, is)) in cells {
            let points = is.saturating_sub(was.unwrap_or(0));
            if points != 0 {
                let line = self.points(origin, was.is_some(), points);
                self.lines.push(line.available(points).on(day));
            }
        }
    }

    fn points(&self, origin: Origin<'_>, is_known: bool, points: i64) -> Change {
        let (kind, detail) = match origin {
            Origin::Metric(_) if is_known => (Kind::Replaced, None),
            Origin::Survey if self.is_later(points) => (Kind::Replaced, self.new_owner()),
            Origin::Metric(_) | Origin::Survey => (Kind::Earned, None),
            Origin::Adjustment => (Kind::Adjusted, self.reason()),
        };
        Change {
            source: Some(origin.name().to_owned()),
            detail,
            ..Change::new(kind)
        }
    }

    /// Whether points of a response are those of a later version. Responses of a workday share a cell, so the event has
    /// to say it, or that points are taken.
    fn is_later(&self, points: i64) -> bool {
        let is_revision =
            matches!(self.body(), Some(Body::SurveyResponse(response)) if response.revision > 0);
        is_revision || points < 0
    }

    /// Whose a response is now that was this agent's (S2.15).
    fn new_owner(&self) -> Option<String> {
        let owner = self.body()?.owner()?;
        (owner != Key::Agent(self.cause.agent)).then(|| format!("now of {owner}"))
    }

    fn reason(&self) -> Option<String> {
        let Some(Body::PointsAdjusted(adjusted)) = self.body() else {
            return None;
        };
        let kind = match adjusted.kind {
            AdjustmentKind::Correction => "correction",
            AdjustmentKind::Violation => "violation",
            AdjustmentKind::Grant => "grant",
        };
        Some(format!("{kind}: {}", adjusted.reason))
    }
}
