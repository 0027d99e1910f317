//! Points become rewards: claimed at a threshold, requested once, paid for when issued, taken back when points are
//! missing (S3.04 to S3.09, S3.12, S3.13).
//!
//! `stage` is how far a tier has come and `given` what becomes of a reward once it is issued, both as tables of
//! every pair; here is what spans tiers: which is reached, what limits allow, which reward is the latest, the debt.
//! A claim takes its points out of the window at once (`points`), so neither expiry nor another tier can have them
//! while the provider is asked; the balance counts them until the reward is issued. Programs come with the rules
//! (`programs`), `say` writes what is emitted, `stored` the state.
//!
//! Looked at whenever points may have changed, whenever an outcome or a decision comes, and when time alone reaches a
//! threshold (`due`). A change of the rules wakes nobody: what a program gives that is switched on, or a limit that
//! is raised, is noticed at the agent's next such event.

mod due;
mod given;
mod id;
mod reach;
mod say;
mod stage;
mod stored;
#[cfg(test)]
mod tests;

use self::{given::Input as Turn, say::Speaker, stage::Input};
pub use self::{
    given::{Given, Standing},
    id::{REVERSE, reward_id},
    stage::{Claim, Stage},
};
use crate::{
    contract::{
        event::{Decision, Outcome, RewardDecided},
        time::LogTime,
    },
    effect::{Effect, Effects, Ignored},
    rewards::{
        points::{PointsWindow, Workday},
        programs::OnCancelled,
    },
    rules::Settings,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Most issued rewards remembered of one agent. Above it the oldest that is settled is forgotten early.
pub const GIVEN_MAX: usize = 4_096;

/// Most rejected claims remembered of one agent whose tiers were claimed again. Above it the oldest is forgotten early.
const REPLACED_MAX: usize = 1_024;

/// When and to whom something happens.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The agent.
    pub agent: &'a str,
    /// Log time of the event.
    pub now: LogTime,
    /// The workday `now` falls in.
    pub today: Workday,
    /// The oldest workday that counts.
    pub start: Workday,
    /// Programs and windows.
    pub settings: &'a Settings,
}

/// One tier of which this agent ever claimed a reward. Stays for good: its ordinals are in the ids of rewards.
#[derive(Clone, Debug, PartialEq)]
pub struct Standings {
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
    tiers: Vec<Standings>,
    /// In the order in which they were issued.
    given: Vec<Given>,
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
    pub fn tiers(&self) -> &[Standings] {
        &self.tiers
    }

    /// Issued rewards that are remembered, oldest first.
    #[must_use]
    pub fn given(&self) -> &[Given] {
        &self.given
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
        self.tiers.is_empty() && self.given.is_empty() && self.debt == 0
    }

    /// Whether an alert with this id was about a reward claimed here.
    #[must_use]
    pub fn has_alerted(&self, agent: &str, alert_id: &str) -> bool {
        let Some((rule, id)) = alert_id.split_once(':') else {
            return false;
        };
        // What stands behind it says of a reversal, or which time.
        let id = id.get(..id::REWARD_ID_BYTES).unwrap_or(id);
        let is_one = |tier: &Standings| {
            // It is only for counting, so the latest are enough.
            let mut ordinals = (0..tier.claimed).rev().take(GIVEN_MAX);
            ordinals.any(|n| reward_id(&tier.program, agent, &tier.tier, n) == id)
        };
        say::RULES.contains(&rule) && self.tiers.iter().any(is_one)
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
        let given = self.given.iter_mut().map(|given| &mut given.claim);
        let replaced = self.replaced.iter_mut().map(|replaced| &mut replaced.claim);
        for claim in stages.chain(given).chain(replaced) {
            claim.export_version = None;
        }
    }

    /// Follows an event that changed the window's sum by `change`.
    pub fn follow(
        &mut self,
        moment: Moment<'_>,
        change: i64,
        points: &mut PointsWindow,
        effects: &mut Effects,
    ) {
        let idle = moment
            .settings
            .programs
            .iter()
            .all(|program| !program.enabled);
        if idle && self.is_blank() {
            self.due = None;
            return;
        }
        // Only what is taken away claws back; points that leave with their workday do not.
        self.balance(moment, change > 0, change < 0, points, effects);
    }

    /// Follows the time alone, once it is [`Self::deadline`].
    pub fn look(&mut self, moment: Moment<'_>, points: &mut PointsWindow, effects: &mut Effects) {
        self.balance(moment, false, false, points, effects);
    }

    /// Takes in what became of a request or a reversal.
    pub fn outcome(
        &mut self,
        moment: Moment<'_>,
        outcome: &Outcome,
        points: &mut PointsWindow,
        effects: &mut Effects,
    ) {
        let id: &str = &outcome.output_id;
        let status: &str = &outcome.status;
        let (place, is_reversal) = match id.strip_suffix(REVERSE) {
            Some(id) => (self.place(moment.agent, id), true),
            None => (self.place(moment.agent, id), false),
        };
        let claim = match place {
            Some(Place::Tier(place)) => self.tiers[place].stage.claim_mut(),
            Some(Place::Given(place)) => Some(&mut self.given[place].claim),
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
                self.turn(moment, place, (input, reason), points, effects);
            }
            (Some(Place::Given(place)), true) => {
                let frees = self.frees(moment, self.given[place].tier);
                let input = match status {
                    "reversed" => Turn::TakenBack { frees },
                    "rejected" | "refused" => Turn::Refused,
                    _ => Turn::Unclear,
                };
                self.turn_given(moment, (place, input), status, points, effects);
            }
            (Some(Place::Given(place)), false) => {
                let frees = self.frees(moment, self.given[place].tier);
                let input = match status {
                    "issued" => Turn::Issued,
                    "cancelled" | "canceled" | "reversed" => Turn::TakenBack { frees },
                    "bounced" | "failed" => Turn::Undelivered { frees },
                    // It does not go with `issued`: which of the two holds is for a person to find out.
                    _ => Turn::Undelivered { frees: false },
                };
                self.turn_given(moment, (place, input), status, points, effects);
            }
            (Some(Place::Replaced(place)), false) if status == "issued" => {
                let Replaced { tier, claim, .. } = self.replaced.remove(place);
                self.give_late(moment, tier, claim, points, effects);
                self.balance(moment, false, true, points, effects);
            }
            // A reversal of what was never issued, more words about a claim that is past, or a reward of another agent's.
            (Some(Place::Tier(_) | Place::Replaced(_)), _) | (None, _) => {
                effects.push(Effect::Ignore(Ignored::UnknownRequest));
            }
        }
    }

    /// Whether the program of a tier frees the points of what its provider cancels.
    fn frees(&self, moment: Moment<'_>, tier: usize) -> bool {
        let name = &*self.tiers[tier].program;
        let mut programs = moment.settings.programs.iter();
        programs.any(|p| p.name == *name && p.on_cancelled == OnCancelled::Free)
    }

    /// Takes in what a person decided.
    pub fn decided(
        &mut self,
        moment: Moment<'_>,
        decided: &RewardDecided,
        points: &mut PointsWindow,
        effects: &mut Effects,
    ) {
        // Points may have left since the last event: nobody can approve what is not covered any more.
        let held = self.held();
        self.withdraw(moment, points, effects);
        let is_withdrawn = self.held() != held;
        self.decide(moment, decided, points, effects);
        // Its tier is free again, and its points are back, even if the decision comes too late to be taken.
        if is_withdrawn {
            self.balance(moment, false, false, points, effects);
        }
    }

    fn decide(
        &mut self,
        moment: Moment<'_>,
        decided: &RewardDecided,
        points: &mut PointsWindow,
        effects: &mut Effects,
    ) {
        let id: &str = &decided.reward_id;
        let reversed = id.strip_suffix(REVERSE);
        match self.place(moment.agent, reversed.unwrap_or(id)) {
            Some(Place::Tier(place)) => {
                let input = match decided.decision {
                    Decision::Approve => Input::Approved,
                    Decision::Reject => Input::Declined,
                };
                let tier = &self.tiers[place];
                let is_stopped = || {
                    let mut programs = moment.settings.programs.iter();
                    !programs.any(|program| program.enabled && program.name == *tier.program)
                };
                // The decision is not kept for later: what a person agreed to was a request now.
                if matches!((&tier.stage, &input), (Stage::Awaiting(_), Input::Approved))
                    && is_stopped()
                {
                    return effects.push(Effect::Ignore(Ignored::ProgramStopped));
                }
                self.turn(moment, place, (input, None), points, effects);
            }
            // There is no reversal that it could be about.
            Some(Place::Given(place)) if reversed.is_some() && self.is_said_gone(place) => {
                effects.push(Effect::Ignore(Ignored::UnknownRequest));
            }
            Some(Place::Given(place)) => {
                let input = match decided.decision {
                    Decision::Approve => Turn::Approved,
                    Decision::Reject => Turn::Declined,
                };
                self.turn_given(moment, (place, input), "", points, effects);
            }
            Some(Place::Replaced(_)) | None => {
                effects.push(Effect::Ignore(Ignored::UnknownRequest));
            }
        }
    }

    /// Whether the provider said of an issued reward that the agent does not have it.
    fn is_said_gone(&self, given: usize) -> bool {
        match self.given[given].standing {
            Standing::Held { .. } | Standing::Cancelled { .. } => true,
            Standing::Issued
            | Standing::Reversing
            | Standing::Review
            | Standing::Reversed
            | Standing::Debt => false,
        }
    }

    /// Which of this agent's rewards has this id, of those that something can still happen to.
    fn place(&self, agent: &str, id: &str) -> Option<Place> {
        let is_it = |tier: &Standings, claim: &Claim| {
            reward_id(&tier.program, agent, &tier.tier, claim.ordinal) == id
        };
        let mut tiers = self.tiers.iter();
        if let Some(place) =
            tiers.position(|tier| tier.stage.claim().is_some_and(|claim| is_it(tier, claim)))
        {
            return Some(Place::Tier(place));
        }
        let mut given = self.given.iter();
        given
            .rposition(|given| is_it(&self.tiers[given.tier], &given.claim))
            .map(Place::Given)
            .or_else(|| {
                let mut replaced = self.replaced.iter();
                replaced
                    .position(|replaced| is_it(&self.tiers[replaced.tier], &replaced.claim))
                    .map(Place::Replaced)
            })
    }

    /// Gives a tier an input and does what follows. With it comes why it was not done, if delivery says so.
    fn turn(
        &mut self,
        moment: Moment<'_>,
        place: usize,
        input: (Input, Option<&str>),
        points: &mut PointsWindow,
        effects: &mut Effects,
    ) {
        let claws_back = match self.step(moment, place, input, points, effects) {
            Followed::Nothing => return,
            Followed::Moved => false,
            Followed::Spent => true,
        };
        self.balance(moment, false, claws_back, points, effects);
    }

    fn step(
        &mut self,
        moment: Moment<'_>,
        place: usize,
        (input, reason): (Input, Option<&str>),
        points: &mut PointsWindow,
        effects: &mut Effects,
    ) -> Followed {
        let tier = &mut self.tiers[place];
        let stage = std::mem::take(&mut tier.stage);
        let (stage, step) = stage.after(input, moment.today, moment.now);
        tier.stage = stage;
        let speaker = Speaker { moment, tier };
        let claim = tier.stage.claim();
        match step {
            stage::Step::Ignore => {
                effects.push(Effect::Ignore(Ignored::LateOutcome));
                Followed::Nothing
            }
            stage::Step::Stay => Followed::Nothing,
            stage::Step::Ask => {
                effects.extend(claim.map(|claim| speaker.awaiting(claim)));
                Followed::Nothing
            }
            stage::Step::Request => {
                effects.extend(claim.map(|claim| speaker.request(claim)));
                Followed::Nothing
            }
            stage::Step::Park => {
                effects.extend(claim.map(|claim| speaker.review(claim, reason)));
                Followed::Nothing
            }
            stage::Step::Refuse(claim) => {
                effects.push(speaker.rejected(&claim));
                points.give_back(&claim.parts, moment.start);
                Followed::Moved
            }
            stage::Step::Release(claim) => {
                points.give_back(&claim.parts, moment.start);
                Followed::Moved
            }
            stage::Step::Reopen(claim) => {
                self.replace(moment, place, claim);
                Followed::Moved
            }
            stage::Step::Give(claim) => {
                self.give(moment, place, claim);
                Followed::Spent
            }
            stage::Step::GiveLate(claim) => {
                self.give_late(moment, place, claim, points, effects);
                Followed::Spent
            }
        }
    }

    /// Remembers a claim that was not given, for the case that it was.
    fn replace(&mut self, moment: Moment<'_>, tier: usize, claim: Claim) {
        if self.replaced.len() >= REPLACED_MAX {
            self.replaced.remove(0);
        }
        let at = moment.now;
        self.replaced.push(Replaced { tier, claim, at });
    }

    /// Gives what had counted as not given: its points are taken now, whether they are there or not, and administration
    /// hears of it.
    fn give_late(
        &mut self,
        moment: Moment<'_>,
        tier: usize,
        mut claim: Claim,
        points: &mut PointsWindow,
        effects: &mut Effects,
    ) {
        claim.parts = points.take(claim.points, moment.today);
        let speaker = Speaker {
            moment,
            tier: &self.tiers[tier],
        };
        effects.push(speaker.issued_after_all(&claim, 0));
        self.give(moment, tier, claim);
    }

    fn give(&mut self, moment: Moment<'_>, tier: usize, claim: Claim) {
        if self.given.len() >= GIVEN_MAX
            && let Some(oldest) = self.given.iter().position(|g| !g.standing.is_coming())
        {
            self.given.remove(oldest);
        }
        self.given.push(Given {
            tier,
            claim,
            at: moment.now,
            standing: Standing::Issued,
            doubts: 0,
        });
    }

    /// Gives an issued reward an input and does what follows. `word` is the provider's, if it has said one.
    fn turn_given(
        &mut self,
        moment: Moment<'_>,
        (place, input): (usize, Turn),
        word: &str,
        points: &mut PointsWindow,
        effects: &mut Effects,
    ) {
        let given = &mut self.given[place];
        let (standing, step) = given.standing.after(input, moment.today);
        given.standing = standing;
        let speaker = Speaker {
            moment,
            tier: &self.tiers[given.tier],
        };
        match step {
            given::Step::Ignore => effects.push(Effect::Ignore(Ignored::LateOutcome)),
            given::Step::Reverse => effects.push(speaker.reversal(&given.claim)),
            given::Step::Park => effects.push(speaker.review_reversal(&given.claim)),
            given::Step::Doubt => {
                effects.push(speaker.doubted(&given.claim, word, given.doubts));
                given.doubts = given.doubts.saturating_add(1);
            }
            given::Step::Free => {
                effects.push(speaker.cancelled(&given.claim, word, given.doubts));
                given.doubts = given.doubts.saturating_add(1);
                self.give_back(moment, place, points, effects);
            }
            given::Step::Return => self.give_back(moment, place, points, effects),
            given::Step::Owe => {
                effects.push(speaker.reversal_refused(&given.claim));
                let lacking = self.covered(points).saturating_neg().max(0);
                points.write_off(lacking);
                self.debt = self.debt.saturating_add(lacking);
                self.balance(moment, false, false, points, effects);
            }
            // What was lacking meanwhile may have waited for this one.
            given::Step::Keep => self.balance(moment, false, true, points, effects),
            given::Step::Restore => {
                effects.push(speaker.issued_after_all(&given.claim, given.doubts));
                self.balance(moment, false, true, points, effects);
            }
            given::Step::Retake => {
                given.claim.parts = points.take(given.claim.points, moment.today);
                effects.push(speaker.issued_after_all(&given.claim, given.doubts));
                self.balance(moment, false, true, points, effects);
            }
            given::Step::Reopen => self.balance(moment, false, false, points, effects),
        }
    }

    /// Puts the points of an issued reward back.
    fn give_back(
        &mut self,
        moment: Moment<'_>,
        place: usize,
        points: &mut PointsWindow,
        effects: &mut Effects,
    ) {
        let parts = std::mem::take(&mut self.given[place].claim.parts);
        points.give_back(&parts, moment.start);
        // One that came back may not have been enough.
        self.balance(moment, false, true, points, effects);
    }

    /// What the balance would be if every claim failed and every reversal succeeded, the debt aside.
    fn covered(&self, points: &PointsWindow) -> i64 {
        let coming = self.given.iter().filter(|given| given.standing.is_coming());
        let coming = coming.fold(0i64, |sum, given| sum.saturating_add(given.claim.points));
        points
            .sum()
            .saturating_add(self.held())
            .saturating_add(coming)
    }

    /// Puts everything in order after points have moved: debt first, then what is not earned any more, then what is.
    fn balance(
        &mut self,
        moment: Moment<'_>,
        has_new_points: bool,
        claws_back: bool,
        points: &mut PointsWindow,
        effects: &mut Effects,
    ) {
        self.forget(moment);
        let paid = self.debt.min(points.sum());
        if paid > 0 {
            points.take(paid, moment.today);
            self.debt -= paid;
        }
        self.withdraw(moment, points, effects);
        if claws_back {
            self.claw_back(moment, points, effects);
        }
        self.evaluate(moment, has_new_points, points, effects);
        self.due = self.next_due(moment, points);
    }

    /// Gives up the claims that nobody was asked for yet, until the rest is covered.
    fn withdraw(&mut self, moment: Moment<'_>, points: &mut PointsWindow, effects: &mut Effects) {
        for place in 0..self.tiers.len() {
            if points.sum() < 0 {
                self.step(moment, place, (Input::Short, None), points, effects);
            }
        }
    }

    /// Asks back the latest rewards of the points window, as many as cover what is lacking.
    fn claw_back(&mut self, moment: Moment<'_>, points: &mut PointsWindow, effects: &mut Effects) {
        let window_ms = i64::from(moment.settings.points_window_days) * DAY_MS;
        for place in (0..self.given.len()).rev() {
            let given = &self.given[place];
            let is_recent = moment.now.since_ms(given.at) < window_ms;
            if self.covered(points) < 0 && is_recent && matches!(given.standing, Standing::Issued) {
                self.turn_given(moment, (place, Turn::Short), "", points, effects);
            }
        }
    }
}

/// Where a reward is found.
enum Place {
    /// The claim of a tier.
    Tier(usize),
    /// An issued reward.
    Given(usize),
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
