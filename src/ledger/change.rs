//! What of an agent's money one step changed: the difference between before and after, as lines for the book.
//!
//! The difference says what moved; the event only gives it a name where the same difference has two (a person or a
//! provider can free a claim). So nothing here decides anything, and `book` finds out if it explains too little: what
//! the lines come to is compared with the agent.
//!
//! Lines stand in the order in which the agent does it: what expires, what the event gives, what becomes of the reward
//! it is about, then what follows (debt, withdrawals, reversals, new claims).

use std::collections::BTreeMap;

use aftercall_actors::{
    agent::Agent,
    event::{AdjustmentKind, Body, Decision, Event, Outcome, OutcomeKind, RewardDecided},
    points::{Origin, Part, PointsWindow, Workday},
    redemption::{Claim, Given, REVERSE, Rewards, Stage, Standing, Standings, reward_id},
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

/// An issued reward as it was, and its standing now; `None` if it is forgotten.
type Pair<'a> = (&'a Given, Option<Standing>);

impl<'a> Diff<'a> {
    fn body(&self) -> Option<&'a Body> {
        self.cause.event.map(|event| &event.body)
    }

    fn decided(&self) -> Option<&'a RewardDecided> {
        match self.body() {
            Some(Body::RewardDecided(decided)) => Some(decided),
            Some(_) | None => None,
        }
    }

    fn outcome(&self) -> Option<&'a Outcome> {
        match self.body() {
            Some(Body::Outcome(OutcomeKind::Reward, outcome)) => Some(outcome),
            Some(_) | None => None,
        }
    }

    /// What the provider answered, as the outcome tells it.
    fn answer(&self) -> Option<String> {
        let outcome = self.outcome()?;
        let status: &str = &outcome.status;
        Some(match &outcome.response {
            Some(response) => format!("{status} {response}"),
            None => status.to_owned(),
        })
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
                let line = self.points(origin, was.is_some());
                self.lines.push(line.available(points).on(day));
            }
        }
    }

    fn points(&self, origin: Origin<'_>, is_known: bool) -> Change {
        let (kind, detail) = match origin {
            Origin::Metric(_) if is_known => (Kind::Replaced, None),
            Origin::Survey if self.is_revision() => (Kind::Replaced, None),
            Origin::Metric(_) | Origin::Survey => (Kind::Earned, None),
            Origin::Adjustment => (Kind::Adjusted, self.reason()),
        };
        Change {
            source: Some(origin.name().to_owned()),
            detail,
            ..Change::new(kind)
        }
    }

    /// Responses of a workday share a cell, so the event has to say whether it came before.
    fn is_revision(&self) -> bool {
        matches!(self.body(), Some(Body::SurveyResponse(response)) if response.revision > 0)
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

    fn line(&self, kind: Kind, tier: &Standings, claim: &Claim) -> Change {
        let Standings { program, tier, .. } = tier;
        let reward = Reward {
            program: program.to_string(),
            tier: tier.to_string(),
            id: reward_id(program, self.cause.agent, tier, claim.ordinal),
        };
        Change {
            reward: Some(reward),
            ..Change::new(kind)
        }
    }

    /// A line with what a person has to do with it, if that is so.
    fn push_decision(&mut self, kind: Kind, tier: &Standings, claim: &Claim) {
        if let Some(decided) = self.decided() {
            let line = self.line(kind, tier, claim);
            let by: &str = &decided.by;
            self.lines.push(line.saying(Some(format!("by {by}"))));
        }
    }

    /// A claim whose points are available again.
    fn push_free(&mut self, kind: Kind, tier: &Standings, claim: &Claim, detail: Option<String>) {
        let line = self.line(kind, tier, claim).held(-claim.points);
        let line = line.available(sum_of(&claim.parts));
        self.lines.push(line.saying(detail));
    }

    /// Claims given up before anybody was asked.
    fn withdraw(&mut self) {
        for (tier, is) in self.before.tiers().iter().zip(self.after.tiers()) {
            if let Stage::Awaiting(claim) = &tier.stage
                && stage_of(is, claim).is_none()
            {
                self.push_free(Kind::Withdrawn, tier, claim, None);
            }
        }
    }

    /// Issued rewards that were there before, as they stand now, and those that are new. The agent only ever adds at
    /// the end and leaves out, so one walk pairs them.
    fn pair_given(&self) -> (Vec<Pair<'a>>, &'a [Given]) {
        let mut rest = self.after.given();
        let pairs = self.before.given().iter().map(|was| {
            let is_it = |is: &Given| (is.tier, is.claim.ordinal) == (was.tier, was.claim.ordinal);
            match rest.split_first() {
                Some((is, behind)) if is_it(is) => {
                    rest = behind;
                    (was, Some(is.standing))
                }
                Some(_) | None => (was, None),
            }
        });
        (pairs.collect(), rest)
    }

    /// What became of claims that were there before.
    fn turn_claims(&mut self, fresh: &[Given]) {
        let tiers = self.before.tiers().iter().zip(self.after.tiers());
        for (place, (tier, is)) in tiers.enumerate() {
            let Some(claim) = tier.stage.claim() else {
                continue;
            };
            let mut fresh = fresh.iter();
            let given = fresh.any(|g| (g.tier, g.claim.ordinal) == (place, claim.ordinal));
            match (&tier.stage, stage_of(is, claim)) {
                (Stage::Awaiting(_), Some(Stage::Locked(_))) => {
                    self.push_decision(Kind::Approved, tier, claim);
                    let line = self.line(Kind::Requested, tier, claim);
                    self.lines.push(line);
                }
                (
                    Stage::Awaiting(_) | Stage::Locked(_) | Stage::Review(_),
                    Some(Stage::Rejected { .. }),
                ) => {
                    let (kind, detail) = match self.decided() {
                        Some(decided) => (Kind::Declined, Some(format!("by {}", &*decided.by))),
                        None => (Kind::Rejected, self.answer()),
                    };
                    self.push_free(kind, tier, claim, detail);
                }
                (Stage::Locked(_), Some(Stage::Review(_))) => {
                    let line = self.line(Kind::NeedsReview, tier, claim);
                    self.lines.push(line.saying(self.answer()));
                }
                (Stage::Locked(_) | Stage::Review(_), None) if given => {
                    self.push_decision(Kind::Approved, tier, claim);
                    let line = self.line(Kind::Issued, tier, claim);
                    self.lines
                        .push(line.held(-claim.points).saying(self.answer()));
                }
                // It had counted as rejected, so its points are taken out of what is available.
                (Stage::Rejected { .. }, None) if given => {
                    let line = self.line(Kind::Issued, tier, claim);
                    self.lines
                        .push(line.available(-claim.points).saying(self.answer()));
                }
                // A person lets it be asked for again; without one, new points have taken its place.
                (Stage::Rejected { .. }, None) => self.push_decision(Kind::Approved, tier, claim),
                // `withdraw` has it.
                (Stage::Awaiting(_), None)
                // Nothing became of it.
                | (Stage::Open, _)
                | (Stage::Awaiting(_), Some(Stage::Open | Stage::Awaiting(_) | Stage::Review(_)))
                | (
                    Stage::Locked(_) | Stage::Review(_),
                    None | Some(Stage::Open | Stage::Awaiting(_) | Stage::Locked(_)),
                )
                | (Stage::Review(_), Some(Stage::Review(_)))
                | (
                    Stage::Rejected { .. },
                    Some(
                        Stage::Open
                        | Stage::Awaiting(_)
                        | Stage::Locked(_)
                        | Stage::Review(_)
                        | Stage::Rejected { .. },
                    ),
                ) => {}
            }
        }
    }

    /// What became of issued rewards.
    fn turn_given(&mut self, pairs: &[Pair<'_>]) {
        for (was, is) in pairs {
            let Some(tier) = self.before.tiers().get(was.tier) else {
                continue;
            };
            let is = is.or_else(|| self.settled(tier, was));
            match (was.standing, is) {
                (
                    Standing::Reversing | Standing::Review | Standing::Debt,
                    Some(Standing::Reversed),
                ) => {
                    self.push_decision(Kind::Approved, tier, &was.claim);
                    let line = self.line(Kind::Reversed, tier, &was.claim);
                    let line = line.available(sum_of(&was.claim.parts));
                    self.lines.push(line.saying(self.answer()));
                }
                (Standing::Reversing | Standing::Review, Some(Standing::Debt)) => {
                    self.push_decision(Kind::Declined, tier, &was.claim);
                    let lacking = self.owes_more().max(0);
                    let line = self.line(Kind::ReversalRefused, tier, &was.claim);
                    let line = line.available(lacking).debt(lacking);
                    self.lines.push(line.saying(self.answer()));
                }
                (Standing::Reversing, Some(Standing::Review)) => {
                    let line = self.line(Kind::ReversalNeedsReview, tier, &was.claim);
                    self.lines.push(line.saying(self.answer()));
                }
                // `ask_back` has what becomes of an issued one; the rest stands, or is forgotten.
                (
                    Standing::Issued
                    | Standing::Reversing
                    | Standing::Review
                    | Standing::Reversed
                    | Standing::Debt,
                    _,
                ) => {}
            }
        }
    }

    /// What became of a reward that is not remembered any more. One that is coming back is remembered until that is
    /// settled, so it was now; one that is settled is forgotten by itself, unless the event was about it.
    fn settled(&self, tier: &Standings, was: &Given) -> Option<Standing> {
        let id = reward_id(
            &tier.program,
            self.cause.agent,
            &tier.tier,
            was.claim.ordinal,
        );
        let is_reversed = match (self.outcome(), self.decided()) {
            (Some(outcome), _) => {
                let about = outcome.output_id.strip_suffix(REVERSE);
                about == Some(&id) && &*outcome.status == "reversed"
            }
            (None, Some(decided)) => decided.decision == Decision::Approve,
            (None, None) => false,
        };
        match was.standing {
            Standing::Reversing | Standing::Review if is_reversed => Some(Standing::Reversed),
            Standing::Reversing | Standing::Review => Some(Standing::Debt),
            Standing::Debt if is_reversed && self.outcome().is_some() => Some(Standing::Reversed),
            Standing::Issued | Standing::Reversed | Standing::Debt => None,
        }
    }

    fn owes_more(&self) -> i64 {
        self.after.debt().saturating_sub(self.before.debt())
    }

    /// Points that paid off a debt. A refusal that leaves a debt leaves no points to pay it with, so never both.
    fn pay(&mut self) {
        let paid = self.owes_more().saturating_neg();
        if paid > 0 {
            let line = Change::new(Kind::DebtPaid).available(-paid).debt(-paid);
            self.lines.push(line);
        }
    }

    /// Issued rewards that the provider is asked to take back, the latest first.
    fn ask_back(&mut self, pairs: &[Pair<'_>], fresh: &[Given]) {
        let was_issued = |pair: &&Pair<'_>| matches!(pair.0.standing, Standing::Issued);
        let known = pairs.iter().filter(was_issued);
        let known = known.filter_map(|(was, is)| Some((*was, (*is)?)));
        let fresh = fresh.iter().map(|given| (given, given.standing));
        for (given, is) in known.chain(fresh).rev() {
            if let (Standing::Reversing, Some(tier)) = (is, self.after.tiers().get(given.tier)) {
                let line = self.line(Kind::ReversalRequested, tier, &given.claim);
                self.lines.push(line);
            }
        }
    }

    /// Thresholds that were reached.
    fn claim(&mut self) {
        for (place, tier) in self.after.tiers().iter().enumerate() {
            let known = self.before.tiers().get(place);
            let (Some(claim), true) = (
                tier.stage.claim(),
                tier.claimed > known.map_or(0, |was| was.claimed),
            ) else {
                continue;
            };
            let line = self.line(Kind::Claimed, tier, claim);
            let line = line
                .available(-sum_of(&claim.parts))
                .held(tier.stage.held());
            self.lines
                .push(line.saying(Some(claim.reward_type.to_string())));
            let next = match &tier.stage {
                Stage::Awaiting(_) => Some(Kind::Awaiting),
                Stage::Locked(_) => Some(Kind::Requested),
                // A new claim waits or is asked for: the books would not add up.
                Stage::Open | Stage::Review(_) | Stage::Rejected { .. } => None,
            };
            let line = next.map(|kind| self.line(kind, tier, claim));
            self.lines.extend(line);
        }
    }
}

/// The stage, if it is still about this claim.
fn stage_of<'a>(tier: &'a Standings, claim: &Claim) -> Option<&'a Stage> {
    let same = tier.stage.claim()?.ordinal == claim.ordinal;
    same.then_some(&tier.stage)
}

fn sum_of(parts: &[Part]) -> i64 {
    let points = parts.iter().map(|part| part.points);
    points.fold(0, i64::saturating_add)
}
