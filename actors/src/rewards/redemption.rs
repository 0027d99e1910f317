//! Points become rewards: claimed at a threshold, requested once, paid for when issued, taken back when points are
//! missing (S3.04 to S3.09, S3.12, S3.13).
//!
//! `stage` is how far a tier has come and `issued` what becomes of a reward once it is issued, both as tables of
//! every pair; here is what spans tiers: which is reached, what limits allow, which reward is the latest, the debt.
//! A claim takes its points out of the window at once (`points`), so neither expiry nor another tier can have them
//! while the provider is asked; the balance counts them until the reward is issued. Programs come with the rules
//! (`programs`), `messages` writes what is emitted, `stored` the state.
//!
//! Looked at whenever points may have changed, whenever an outcome or a decision comes, and when time alone reaches a
//! threshold (`due`). A change of the rules wakes no agent: what a program gives that is switched on, or a limit that
//! is raised, is noticed at the agent's next such event.

mod due;
mod id;
mod issued;
mod messages;
mod reach;
mod stage;
mod stored;
#[cfg(test)]
mod tests;

pub use self::{
    id::{REVERSE, reward_id},
    issued::{IssuedReward, IssuedStatus},
    stage::{Claim, Stage},
};
use self::{issued::Input as IssuedInput, messages::Message, stage::Input};
use crate::{
    contract::{
        event::{Decision, Outcome, RewardDecided},
        key::Key,
        time::LogTime,
    },
    effect::Ignored,
    rewards::{points::PointsWindow, programs::OnCancelled},
    turn::Turn,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Most issued rewards remembered of one agent. Above it the oldest that is settled is forgotten early.
pub const ISSUED_MAX: usize = 4_096;

/// Most rejected claims remembered of one agent whose tiers were claimed again. Above it the oldest is forgotten early.
const REPLACED_MAX: usize = 1_024;

/// One tier of which this agent ever claimed a reward. Stays for good: its ordinals are in the ids of rewards.
#[derive(Clone, Debug, PartialEq)]
pub struct TierState {
    /// The program's name.
    pub program: Box<str>,
    /// The tier's name.
    pub tier: Box<str>,
    /// Rewards claimed so far: the next one's ordinal.
    pub claimed: u32,
    /// How far it has come now.
    pub stage: Stage,
}

/// A claim that was not given, after its tier was claimed again or may be. Its provider may still say that it was.
#[derive(Clone, Debug, PartialEq)]
struct Replaced {
    /// Place of its tier in the agent's list.
    tier: usize,
    claim: Claim,
    /// Log time since when.
    at: LogTime,
}

/// An agent's rewards.
///
/// Clock: log time; workdays only say which points are taken. What was issued is remembered for the points window or
/// the longest period of a limit, whichever is longer; only within the points window it is taken back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rewards {
    /// In the order of their first claims.
    tiers: Vec<TierState>,
    /// In the order in which they were issued.
    issued: Vec<IssuedReward>,
    /// In the order in which they were replaced; remembered as long as what was issued.
    replaced: Vec<Replaced>,
    /// Points owed for rewards that could not be taken back; later points pay it first.
    debt: i64,
    /// Version of the export that points came from last: for points of which it is not known otherwise.
    export_version: Option<Box<str>>,
    /// When time alone may bring a reward, as of the last look.
    due: Option<LogTime>,
}

impl Rewards {
    /// Points out of the window for claims that stand.
    #[must_use]
    pub fn held(&self) -> i64 {
        let held = self.tiers.iter().map(|tier| tier.stage.held());
        held.fold(0, i64::saturating_add)
    }

    /// Points owed.
    #[must_use]
    pub const fn debt(&self) -> i64 {
        self.debt
    }

    /// Tiers that were ever claimed.
    #[must_use]
    pub fn tiers(&self) -> &[TierState] {
        &self.tiers
    }

    /// Issued rewards that are remembered, oldest first.
    #[must_use]
    pub fn issued(&self) -> &[IssuedReward] {
        &self.issued
    }

    /// When to [`Self::look`] without an event.
    #[must_use]
    pub const fn deadline(&self) -> Option<LogTime> {
        self.due
    }

    /// Whether no reward was ever claimed. From the first on never again: ordinals outlive every window, else two
    /// rewards would have one id.
    #[must_use]
    pub const fn is_blank(&self) -> bool {
        self.tiers.is_empty() && self.issued.is_empty() && self.debt == 0
    }

    /// Whether an alert with this id was about a reward claimed here.
    #[must_use]
    pub fn has_alerted(&self, agent: &str, alert_id: &str) -> bool {
        let Some((rule, id)) = alert_id.split_once(':') else {
            return false;
        };
        // What stands behind it says of a reversal, or which time.
        let id = id.get(..id::REWARD_ID_BYTES).unwrap_or(id);
        let is_one = |tier: &TierState| {
            // It is only for counting, so the latest are enough.
            let mut ordinals = (0..tier.claimed).rev().take(ISSUED_MAX);
            ordinals.any(|n| reward_id(&tier.program, agent, &tier.tier, n) == id)
        };
        messages::RULES.contains(&rule) && self.tiers.iter().any(is_one)
    }

    /// Notes which export the points of a row came with.
    pub fn note_export(&mut self, version: Option<&str>) {
        if version.is_some() && self.export_version.as_deref() != version {
            self.export_version = version.map(Into::into);
        }
    }

    /// An empty window came from no export.
    pub fn forget_export(&mut self) {
        self.export_version = None;
    }

    /// Forgets which export the points of any claim came with.
    pub(crate) fn forget_all_exports(&mut self) {
        self.export_version = None;
        let tiers = self.tiers.iter_mut();
        let stages = tiers.filter_map(|tier| tier.stage.claim_mut());
        let given = self.issued.iter_mut().map(|given| &mut given.claim);
        let replaced = self.replaced.iter_mut().map(|replaced| &mut replaced.claim);
        for claim in stages.chain(given).chain(replaced) {
            claim.export_version = None;
        }
    }

    /// Follows an event that changed the window's sum by `change`.
    pub fn follow(&mut self, turn: &mut Turn<'_>, change: i64, points: &mut PointsWindow) {
        let idle = turn
            .settings()
            .programs
            .iter()
            .all(|program| !program.enabled);
        if idle && self.is_blank() {
            self.due = None;
            return;
        }
        // Only what is taken away claws back; points that leave with their workday do not.
        self.balance(turn, change > 0, change < 0, points);
    }

    /// Follows the time alone, once it is [`Self::deadline`].
    pub fn look(&mut self, turn: &mut Turn<'_>, points: &mut PointsWindow) {
        self.balance(turn, false, false, points);
    }

    /// Takes in what became of a request or a reversal.
    pub fn outcome(&mut self, turn: &mut Turn<'_>, outcome: &Outcome, points: &mut PointsWindow) {
        let id: &str = &outcome.output_id;
        let status: &str = &outcome.status;
        let (place, is_reversal) = match id.strip_suffix(REVERSE) {
            Some(id) => (self.place(turn.key, id), true),
            None => (self.place(turn.key, id), false),
        };
        let claim = match place {
            Some(Place::Tier(place)) => self.tiers[place].stage.claim_mut(),
            Some(Place::Issued(place)) => Some(&mut self.issued[place].claim),
            Some(Place::Replaced(place)) => Some(&mut self.replaced[place].claim),
            None => None,
        };
        if let Some(claim) = claim {
            claim.keep(&outcome.kept);
        }
        match (place, is_reversal) {
            (Some(Place::Tier(place)), false) => {
                let input = match status {
                    "issued" => Input::Issued,
                    "rejected" => Input::Rejected,
                    // `needs_review`, and whatever else is made of an answer: a person can read it.
                    _ => Input::Unclear,
                };
                let reason = outcome.reason.as_deref();
                self.advance(turn, place, (input, reason), points);
            }
            (Some(Place::Issued(place)), true) => {
                let frees = self.frees(turn, self.issued[place].tier);
                let input = match status {
                    "reversed" => IssuedInput::TakenBack { frees },
                    "rejected" | "refused" => IssuedInput::Refused,
                    _ => IssuedInput::Unclear,
                };
                self.advance_issued(turn, (place, input), status, points);
            }
            (Some(Place::Issued(place)), false) => {
                let frees = self.frees(turn, self.issued[place].tier);
                let input = match status {
                    "issued" => IssuedInput::Issued,
                    "cancelled" | "canceled" | "reversed" => IssuedInput::TakenBack { frees },
                    "bounced" | "failed" => IssuedInput::Undelivered { frees },
                    // It does not go with `issued`: which of the two holds is for a person to find out.
                    _ => IssuedInput::Undelivered { frees: false },
                };
                self.advance_issued(turn, (place, input), status, points);
            }
            (Some(Place::Replaced(place)), false) if status == "issued" => {
                let Replaced { tier, claim, .. } = self.replaced.remove(place);
                self.give_late(turn, tier, claim, points);
                self.balance(turn, false, true, points);
            }
            // A reversal of what was never issued, more words about a claim that is past, or a reward of another agent's.
            (Some(Place::Tier(_) | Place::Replaced(_)), _) | (None, _) => {
                turn.ignore(Ignored::UnknownRequest);
            }
        }
    }

    /// Whether the program of a tier frees the points of what its provider cancels.
    fn frees(&self, turn: &Turn<'_>, tier: usize) -> bool {
        let name = &*self.tiers[tier].program;
        let mut programs = turn.settings().programs.iter();
        programs.any(|p| p.name == *name && p.on_cancelled == OnCancelled::Free)
    }

    /// Takes in what a person decided.
    pub fn decided(
        &mut self,
        turn: &mut Turn<'_>,
        decided: &RewardDecided,
        points: &mut PointsWindow,
    ) {
        // Points may have left since the last event: what is not covered any more cannot be approved.
        let held = self.held();
        self.withdraw(turn, points);
        let is_withdrawn = self.held() != held;
        self.decide(turn, decided, points);
        // Its tier is free again, and its points are back, even if the decision comes too late to be taken.
        if is_withdrawn {
            self.balance(turn, false, false, points);
        }
    }

    fn decide(&mut self, turn: &mut Turn<'_>, decided: &RewardDecided, points: &mut PointsWindow) {
        let id: &str = &decided.reward_id;
        let reversed = id.strip_suffix(REVERSE);
        match self.place(turn.key, reversed.unwrap_or(id)) {
            Some(Place::Tier(place)) => {
                let input = match decided.decision {
                    Decision::Approve => Input::Approved,
                    Decision::Reject => Input::Declined,
                };
                let tier = &self.tiers[place];
                let is_stopped = || {
                    let mut programs = turn.settings().programs.iter();
                    !programs.any(|program| program.enabled && program.name == *tier.program)
                };
                // The decision is not kept for later: what a person agreed to was a request now.
                if matches!((&tier.stage, &input), (Stage::Awaiting(_), Input::Approved))
                    && is_stopped()
                {
                    return turn.ignore(Ignored::ProgramStopped);
                }
                self.advance(turn, place, (input, None), points);
            }
            // There is no reversal that it could be about.
            Some(Place::Issued(place)) if reversed.is_some() && self.is_said_gone(place) => {
                turn.ignore(Ignored::UnknownRequest);
            }
            Some(Place::Issued(place)) => {
                let input = match decided.decision {
                    Decision::Approve => IssuedInput::Approved,
                    Decision::Reject => IssuedInput::Declined,
                };
                self.advance_issued(turn, (place, input), "", points);
            }
            Some(Place::Replaced(_)) | None => {
                turn.ignore(Ignored::UnknownRequest);
            }
        }
    }

    /// Whether the provider said of an issued reward that the agent does not have it.
    fn is_said_gone(&self, given: usize) -> bool {
        match self.issued[given].standing {
            IssuedStatus::Held { .. } | IssuedStatus::Cancelled { .. } => true,
            IssuedStatus::Issued
            | IssuedStatus::Reversing
            | IssuedStatus::Review
            | IssuedStatus::Reversed
            | IssuedStatus::Debt => false,
        }
    }

    /// Which of this agent's rewards has this id, of those that something can still happen to.
    fn place(&self, key: Key<'_>, id: &str) -> Option<Place> {
        let Key::Agent(agent) = key else {
            return None;
        };
        let is_it = |tier: &TierState, claim: &Claim| {
            reward_id(&tier.program, agent, &tier.tier, claim.ordinal) == id
        };
        let mut tiers = self.tiers.iter();
        if let Some(place) =
            tiers.position(|tier| tier.stage.claim().is_some_and(|claim| is_it(tier, claim)))
        {
            return Some(Place::Tier(place));
        }
        let mut given = self.issued.iter();
        given
            .rposition(|given| is_it(&self.tiers[given.tier], &given.claim))
            .map(Place::Issued)
            .or_else(|| {
                let mut replaced = self.replaced.iter();
                replaced
                    .position(|replaced| is_it(&self.tiers[replaced.tier], &replaced.claim))
                    .map(Place::Replaced)
            })
    }

    /// Gives a tier an input and does what follows. With it comes why it was not done, if delivery says so.
    fn advance(
        &mut self,
        turn: &mut Turn<'_>,
        place: usize,
        input: (Input, Option<&str>),
        points: &mut PointsWindow,
    ) {
        let claws_back = match self.step(turn, place, input, points) {
            Followed::Nothing => return,
            Followed::Moved => false,
            Followed::Spent => true,
        };
        self.balance(turn, false, claws_back, points);
    }

    fn step(
        &mut self,
        turn: &mut Turn<'_>,
        place: usize,
        (input, reason): (Input, Option<&str>),
        points: &mut PointsWindow,
    ) -> Followed {
        let tier = &mut self.tiers[place];
        let stage = std::mem::take(&mut tier.stage);
        let (stage, step) = stage.after(input, turn.today(), turn.now);
        tier.stage = stage;
        let tier = &*tier;
        let message = |claim| Message { tier, claim };
        let claim = tier.stage.claim().map(message);
        match step {
            stage::Step::Ignore => {
                turn.ignore(Ignored::LateOutcome);
                Followed::Nothing
            }
            stage::Step::Stay => Followed::Nothing,
            stage::Step::Ask => {
                claim.into_iter().for_each(|claim| claim.awaiting(turn));
                Followed::Nothing
            }
            stage::Step::Request => {
                claim.into_iter().for_each(|claim| claim.request(turn));
                Followed::Nothing
            }
            stage::Step::Park => {
                claim
                    .into_iter()
                    .for_each(|claim| claim.review(turn, reason));
                Followed::Nothing
            }
            stage::Step::Refuse(claim) => {
                message(&claim).rejected(turn);
                points.give_back(&claim.parts, turn.window_start());
                Followed::Moved
            }
            stage::Step::Release(claim) => {
                points.give_back(&claim.parts, turn.window_start());
                Followed::Moved
            }
            stage::Step::Reopen(claim) => {
                self.replace(turn, place, claim);
                Followed::Moved
            }
            stage::Step::Give(claim) => {
                self.give(turn, place, claim);
                Followed::Spent
            }
            stage::Step::GiveLate(claim) => {
                self.give_late(turn, place, claim, points);
                Followed::Spent
            }
        }
    }

    /// Remembers a claim that was not given, for the case that it was.
    fn replace(&mut self, turn: &Turn<'_>, tier: usize, claim: Claim) {
        if self.replaced.len() >= REPLACED_MAX {
            self.replaced.remove(0);
        }
        let at = turn.now;
        self.replaced.push(Replaced { tier, claim, at });
    }

    /// Gives what had counted as not given: its points are taken now, whether they are there or not, and administration
    /// hears of it.
    fn give_late(
        &mut self,
        turn: &mut Turn<'_>,
        tier: usize,
        mut claim: Claim,
        points: &mut PointsWindow,
    ) {
        claim.parts = points.take(claim.points, turn.today());
        let message = Message {
            tier: &self.tiers[tier],
            claim: &claim,
        };
        message.issued_after_all(turn, 0);
        self.give(turn, tier, claim);
    }

    fn give(&mut self, turn: &Turn<'_>, tier: usize, claim: Claim) {
        if self.issued.len() >= ISSUED_MAX
            && let Some(oldest) = self.issued.iter().position(|g| !g.standing.is_coming())
        {
            self.issued.remove(oldest);
        }
        self.issued.push(IssuedReward {
            tier,
            claim,
            at: turn.now,
            standing: IssuedStatus::Issued,
            doubts: 0,
        });
    }

    /// Gives an issued reward an input and does what follows. `word` is the provider's, if it has said one.
    fn advance_issued(
        &mut self,
        turn: &mut Turn<'_>,
        (place, input): (usize, IssuedInput),
        word: &str,
        points: &mut PointsWindow,
    ) {
        let given = &mut self.issued[place];
        let (standing, step) = given.standing.after(input, turn.today());
        given.standing = standing;
        let tier = &self.tiers[given.tier];
        let message = |claim| Message { tier, claim };
        match step {
            issued::Step::Ignore => turn.ignore(Ignored::LateOutcome),
            issued::Step::Reverse => message(&given.claim).reversal(turn),
            issued::Step::Park => message(&given.claim).review_reversal(turn),
            issued::Step::Doubt => {
                message(&given.claim).doubted(turn, word, given.doubts);
                given.doubts = given.doubts.saturating_add(1);
            }
            issued::Step::Free => {
                message(&given.claim).cancelled(turn, word, given.doubts);
                given.doubts = given.doubts.saturating_add(1);
                self.give_back(turn, place, points);
            }
            issued::Step::Return => self.give_back(turn, place, points),
            issued::Step::Owe => {
                message(&given.claim).reversal_refused(turn);
                let lacking = self.covered(points).saturating_neg().max(0);
                points.write_off(lacking);
                self.debt = self.debt.saturating_add(lacking);
                self.balance(turn, false, false, points);
            }
            // What was lacking meanwhile may have waited for this one.
            issued::Step::Keep => self.balance(turn, false, true, points),
            issued::Step::Restore => {
                message(&given.claim).issued_after_all(turn, given.doubts);
                self.balance(turn, false, true, points);
            }
            issued::Step::Retake => {
                given.claim.parts = points.take(given.claim.points, turn.today());
                message(&given.claim).issued_after_all(turn, given.doubts);
                self.balance(turn, false, true, points);
            }
            issued::Step::Reopen => self.balance(turn, false, false, points),
        }
    }

    /// Puts the points of an issued reward back.
    fn give_back(&mut self, turn: &mut Turn<'_>, place: usize, points: &mut PointsWindow) {
        let parts = std::mem::take(&mut self.issued[place].claim.parts);
        points.give_back(&parts, turn.window_start());
        // One that came back may not have been enough.
        self.balance(turn, false, true, points);
    }

    /// What the balance would be if every claim failed and every reversal succeeded, the debt aside.
    fn covered(&self, points: &PointsWindow) -> i64 {
        let coming = self
            .issued
            .iter()
            .filter(|given| given.standing.is_coming());
        let coming = coming.fold(0i64, |sum, given| sum.saturating_add(given.claim.points));
        points
            .sum()
            .saturating_add(self.held())
            .saturating_add(coming)
    }

    /// Puts everything in order after points have moved: debt first, then what is not earned any more, then what is.
    fn balance(
        &mut self,
        turn: &mut Turn<'_>,
        has_new_points: bool,
        claws_back: bool,
        points: &mut PointsWindow,
    ) {
        self.forget(turn);
        let paid = self.debt.min(points.sum());
        if paid > 0 {
            points.take(paid, turn.today());
            self.debt -= paid;
        }
        self.withdraw(turn, points);
        if claws_back {
            self.claw_back(turn, points);
        }
        self.evaluate(turn, has_new_points, points);
        self.due = self.next_due(turn, points);
    }

    /// Withdraws the claims of which no provider was asked yet, until the rest is covered.
    fn withdraw(&mut self, turn: &mut Turn<'_>, points: &mut PointsWindow) {
        for place in 0..self.tiers.len() {
            if points.sum() < 0 {
                self.step(turn, place, (Input::Short, None), points);
            }
        }
    }

    /// Asks back the latest rewards of the points window, as many as cover what is lacking.
    fn claw_back(&mut self, turn: &mut Turn<'_>, points: &mut PointsWindow) {
        let window_ms = i64::from(turn.settings().points_window_days) * DAY_MS;
        for place in (0..self.issued.len()).rev() {
            let given = &self.issued[place];
            let is_recent = turn.now.since_ms(given.at) < window_ms;
            if self.covered(points) < 0
                && is_recent
                && matches!(given.standing, IssuedStatus::Issued)
            {
                self.advance_issued(turn, (place, IssuedInput::Short), "", points);
            }
        }
    }
}

/// Where a reward is found.
enum Place {
    /// The claim of a tier.
    Tier(usize),
    /// An issued reward.
    Issued(usize),
    /// A claim that was not given, and is past.
    Replaced(usize),
}

/// What a step did to the points.
enum Followed {
    /// Nothing.
    Nothing,
    /// Some came back, or a tier is free again.
    Moved,
    /// Some are spent for good.
    Spent,
}
