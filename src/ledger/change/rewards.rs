//! What became of rewards in one step: claims, issued rewards, the debt.
//!
//! Both tables of `redemption` read backwards: from a stage or a standing before and after, what happened.

use aftercall_actors::{
    contract::event::{Body, Decision, Outcome, OutcomeKind, RewardDecided},
    rewards::{
        points::Part,
        redemption::{Claim, IssuedReward, IssuedStatus, REVERSE, Stage, TierState, reward_id},
    },
};

use super::{Change, Diff, Kind, Reward};

/// An issued reward as it was, and its standing now; `None` if it is forgotten.
pub(super) type Pair<'a> = (&'a IssuedReward, Option<IssuedStatus>);

impl<'a> Diff<'a> {
    pub(super) fn decided(&self) -> Option<&'a RewardDecided> {
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

    fn line(&self, kind: Kind, tier: &TierState, claim: &Claim) -> Change {
        let TierState { program, tier, .. } = tier;
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
    fn push_decision(&mut self, kind: Kind, tier: &TierState, claim: &Claim) {
        if let Some(decided) = self.decided() {
            let line = self.line(kind, tier, claim);
            let by: &str = &decided.by;
            self.lines.push(line.saying(Some(format!("by {by}"))));
        }
    }

    /// A claim whose points are available again.
    fn push_free(&mut self, kind: Kind, tier: &TierState, claim: &Claim, detail: Option<String>) {
        let line = self.line(kind, tier, claim).held(-claim.points);
        let line = line.available(sum_of(&claim.parts));
        self.lines.push(line.saying(detail));
    }

    /// Claims given up before anybody was asked.
    pub(super) fn withdraw(&mut self) {
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
    pub(super) fn pair_given(&self) -> (Vec<Pair<'a>>, &'a [IssuedReward]) {
        let mut rest = self.after.issued();
        let pairs = self.before.issued().iter().map(|was| {
            let is_it =
                |is: &IssuedReward| (is.tier, is.claim.ordinal) == (was.tier, was.claim.ordinal);
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
    pub(super) fn turn_claims(&mut self, fresh: &[IssuedReward]) {
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

    /// Claims that were not given and are past, and were given all the same: their points are taken out of what is
    /// available.
    pub(super) fn give_late(&mut self, fresh: &[IssuedReward]) {
        for given in fresh {
            let Some(tier) = self.before.tiers().get(given.tier) else {
                continue;
            };
            let claim = tier.stage.claim();
            if claim.is_none_or(|claim| claim.ordinal != given.claim.ordinal) {
                let line = self.line(Kind::Issued, tier, &given.claim);
                let line = line.available(-given.claim.points);
                self.lines.push(line.saying(self.answer()));
            }
        }
    }

    /// What became of issued rewards.
    pub(super) fn turn_given(&mut self, pairs: &[Pair<'_>]) {
        for (was, is) in pairs {
            let Some(tier) = self.before.tiers().get(was.tier) else {
                continue;
            };
            let is = is.or_else(|| self.settled(tier, was));
            match (was.standing, is) {
                (
                    IssuedStatus::Reversing
                    | IssuedStatus::Review
                    | IssuedStatus::Debt
                    | IssuedStatus::Held { .. },
                    Some(IssuedStatus::Reversed),
                ) => {
                    self.push_decision(Kind::Approved, tier, &was.claim);
                    let line = self.line(Kind::Reversed, tier, &was.claim);
                    let line = line.available(sum_of(&was.claim.parts));
                    self.lines.push(line.saying(self.answer()));
                }
                (IssuedStatus::Reversing | IssuedStatus::Review, Some(IssuedStatus::Debt)) => {
                    self.push_decision(Kind::Declined, tier, &was.claim);
                    let lacking = self.owes_more().max(0);
                    let line = self.line(Kind::ReversalRefused, tier, &was.claim);
                    let line = line.available(lacking).debt(lacking);
                    self.lines.push(line.saying(self.answer()));
                }
                (IssuedStatus::Reversing, Some(IssuedStatus::Review)) => {
                    let line = self.line(Kind::ReversalNeedsReview, tier, &was.claim);
                    self.lines.push(line.saying(self.answer()));
                }
                (IssuedStatus::Issued | IssuedStatus::Debt, Some(IssuedStatus::Held { .. })) => {
                    let line = self.line(Kind::CancellationNeedsReview, tier, &was.claim);
                    self.lines.push(line.saying(self.answer()));
                }
                (
                    IssuedStatus::Issued | IssuedStatus::Debt | IssuedStatus::Held { .. },
                    Some(IssuedStatus::Cancelled { .. }),
                ) => {
                    self.push_decision(Kind::Declined, tier, &was.claim);
                    let line = self.line(Kind::Cancelled, tier, &was.claim);
                    let line = line.available(sum_of(&was.claim.parts));
                    self.lines.push(line.saying(self.answer()));
                }
                // What was lacking may have waited for it: then it is asked back in the same step.
                (
                    IssuedStatus::Held { .. },
                    Some(IssuedStatus::Issued | IssuedStatus::Debt | IssuedStatus::Reversing),
                ) => {
                    self.push_decision(Kind::Approved, tier, &was.claim);
                    let line = self.line(Kind::Restored, tier, &was.claim);
                    self.lines.push(line.saying(self.answer()));
                }
                // Its points had come back, so they are taken out of what is available.
                (
                    IssuedStatus::Cancelled { .. },
                    Some(IssuedStatus::Issued | IssuedStatus::Debt | IssuedStatus::Reversing),
                ) => {
                    let line = self.line(Kind::Issued, tier, &was.claim);
                    let line = line.available(-was.claim.points);
                    self.lines.push(line.saying(self.answer()));
                }
                // A person lets its tier be claimed again; without one, new points have done so.
                (
                    IssuedStatus::Cancelled { waits: Some(_), .. },
                    Some(IssuedStatus::Cancelled { waits: None, .. }),
                ) => self.push_decision(Kind::Approved, tier, &was.claim),
                // `ask_back` has what becomes of an issued one; the rest stands, or is forgotten.
                (
                    IssuedStatus::Issued
                    | IssuedStatus::Reversing
                    | IssuedStatus::Review
                    | IssuedStatus::Reversed
                    | IssuedStatus::Debt
                    | IssuedStatus::Held { .. }
                    | IssuedStatus::Cancelled { .. },
                    _,
                ) => {}
            }
        }
    }

    /// What became of a reward that is not remembered any more. One that is coming back is remembered until that is
    /// settled, so it was now; one that is settled is forgotten by itself, unless the event was about it.
    fn settled(&self, tier: &TierState, was: &IssuedReward) -> Option<IssuedStatus> {
        let id = reward_id(
            &tier.program,
            self.cause.agent,
            &tier.tier,
            was.claim.ordinal,
        );
        let event = self.said_of(&id);
        let cancelled = IssuedStatus::Cancelled {
            owed: false,
            waits: None,
        };
        match (was.standing, event?) {
            (IssuedStatus::Reversing | IssuedStatus::Review, Said::Back | Said::Approved) => {
                Some(IssuedStatus::Reversed)
            }
            (
                IssuedStatus::Reversing | IssuedStatus::Review,
                Said::Issued | Said::Else | Said::Declined,
            ) => Some(IssuedStatus::Debt),
            (IssuedStatus::Debt | IssuedStatus::Held { owed: true }, Said::Back) => {
                Some(IssuedStatus::Reversed)
            }
            (IssuedStatus::Held { .. }, Said::Issued | Said::Approved) => {
                Some(IssuedStatus::Issued)
            }
            (IssuedStatus::Held { .. }, Said::Back | Said::Else | Said::Declined)
            | (IssuedStatus::Issued, Said::Back | Said::Else)
            | (IssuedStatus::Debt, Said::Else) => Some(cancelled),
            (IssuedStatus::Cancelled { .. }, Said::Issued) => Some(IssuedStatus::Issued),
            (IssuedStatus::Cancelled { waits: Some(_), .. }, Said::Approved) => Some(cancelled),
            (
                IssuedStatus::Issued
                | IssuedStatus::Debt
                | IssuedStatus::Reversed
                | IssuedStatus::Cancelled { .. },
                _,
            ) => None,
        }
    }

    /// What the event says of a reward, if it is about it.
    fn said_of(&self, id: &str) -> Option<Said> {
        let is_about = |named: &str| named.strip_suffix(REVERSE).unwrap_or(named) == id;
        match (self.outcome(), self.decided()) {
            (Some(outcome), _) if is_about(&outcome.output_id) => {
                let is_reversal = &*outcome.output_id != id;
                Some(match &*outcome.status {
                    "reversed" => Said::Back,
                    "cancelled" | "canceled" if !is_reversal => Said::Back,
                    "issued" if !is_reversal => Said::Issued,
                    _ => Said::Else,
                })
            }
            (None, Some(decided)) if is_about(&decided.reward_id) => Some(match decided.decision {
                Decision::Approve => Said::Approved,
                Decision::Reject => Said::Declined,
            }),
            (Some(_), _) | (None, _) => None,
        }
    }

    fn owes_more(&self) -> i64 {
        self.after.debt().saturating_sub(self.before.debt())
    }

    /// Points that paid off a debt. A refusal that leaves a debt leaves no points to pay it with, so never both.
    pub(super) fn pay(&mut self) {
        let paid = self.owes_more().saturating_neg();
        if paid > 0 {
            let line = Change::new(Kind::DebtPaid).available(-paid).debt(-paid);
            self.lines.push(line);
        }
    }

    /// Issued rewards that the provider is asked to take back, the latest first.
    pub(super) fn ask_back(&mut self, pairs: &[Pair<'_>], fresh: &[IssuedReward]) {
        let was_issued = |pair: &&Pair<'_>| match pair.0.standing {
            IssuedStatus::Issued | IssuedStatus::Held { .. } | IssuedStatus::Cancelled { .. } => {
                true
            }
            IssuedStatus::Reversing
            | IssuedStatus::Review
            | IssuedStatus::Reversed
            | IssuedStatus::Debt => false,
        };
        let known = pairs.iter().filter(was_issued);
        let known = known.filter_map(|(was, is)| Some((*was, (*is)?)));
        let fresh = fresh.iter().map(|given| (given, given.standing));
        for (given, is) in known.chain(fresh).rev() {
            if let (IssuedStatus::Reversing, Some(tier)) = (is, self.after.tiers().get(given.tier))
            {
                let line = self.line(Kind::ReversalRequested, tier, &given.claim);
                self.lines.push(line);
            }
        }
    }

    /// Thresholds that were reached.
    pub(super) fn claim(&mut self) {
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

/// What an event says of a reward.
enum Said {
    /// It is taken back, or cancelled.
    Back,
    /// It is issued.
    Issued,
    /// Anything else.
    Else,
    /// A person approves.
    Approved,
    /// A person rejects.
    Declined,
}

/// The stage, if it is still about this claim.
fn stage_of<'a>(tier: &'a TierState, claim: &Claim) -> Option<&'a Stage> {
    let same = tier.stage.claim()?.ordinal == claim.ordinal;
    same.then_some(&tier.stage)
}

fn sum_of(parts: &[Part]) -> i64 {
    let points = parts.iter().map(|part| part.points);
    points.fold(0, i64::saturating_add)
}
