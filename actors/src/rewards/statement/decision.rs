//! Whether a person may decide about a reward now: asked before a decision goes into the log.
//!
//! The answer is the actor's own: the decision is applied to a copy, and what the copy makes of it is what the actor
//! would. So nothing here repeats the tables of `redemption`; only where the tables let something happen without
//! effect (a stopped program, a reversal that was not asked for) it is said here.

use crate::{
    agent::Agent,
    contract::{
        event::{Body, Decision, Event, RewardDecided},
        key::Key,
        time::LogTime,
    },
    effect::{Effect, Ignored},
    rewards::redemption::{ISSUED_MAX, IssuedStatus, REVERSE, Stage, TierState, reward_id},
    rules::RuleSet,
    turn::Turn,
};

/// Where a reward stands, from its claim to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewardState {
    /// Claimed; a person is to agree.
    Awaiting,
    /// The provider is being asked.
    Locked,
    /// Whether it was issued is not known.
    NeedsReview,
    /// Not given.
    Rejected,
    /// Issued.
    Issued,
    /// The provider is asked to take it back.
    Reversing,
    /// Whether it was taken back is not known.
    ReversalNeedsReview,
    /// Taken back.
    Reversed,
    /// Not taken back; what was lacking is a debt.
    Debt,
    /// Its provider says that the agent does not have it after all; a person is to decide.
    Held,
    /// The agent does not have it after all; its points came back.
    Cancelled,
    /// It had this id once: withdrawn, rejected with a later claim in its place, or forgotten.
    Past,
}

impl RewardState {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Awaiting => "awaiting",
            Self::Locked => "locked",
            Self::NeedsReview => "needs_review",
            Self::Rejected => "rejected",
            Self::Issued => "issued",
            Self::Reversing => "reversing",
            Self::ReversalNeedsReview => "reversal_needs_review",
            Self::Reversed => "reversed",
            Self::Debt => "debt",
            Self::Held => "held",
            Self::Cancelled => "cancelled",
            Self::Past => "past",
        }
    }
}

/// What the actor would make of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes effect.
    Taken,
    /// The reward does not wait for one of this kind.
    NotWaiting,
    /// Its program is switched off, or no longer in the rules: nothing can be requested.
    Stopped,
    /// Its points are gone: the claim will be withdrawn.
    Uncovered,
}

/// Where a reward stands, and what a decision about it would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Where it stands.
    pub state: RewardState,
    /// The program.
    pub program: String,
    /// What the decision would do.
    pub verdict: Verdict,
}

impl Agent {
    /// What this agent, `decided.agent_id`, would make of a decision now; nothing if it never claimed such a reward.
    #[must_use]
    pub fn judge(
        &self,
        now: LogTime,
        rules: &RuleSet,
        decided: &RewardDecided,
    ) -> Option<Judgement> {
        let id: &str = &decided.reward_id;
        let plain = id.strip_suffix(REVERSE);
        let (tier, state) = self.find(&decided.agent_id, plain.unwrap_or(id))?;
        let mut effects = Vec::new();
        let mut turn = Turn::new(Key::Agent(&decided.agent_id), now, rules, &mut effects);
        Some(Judgement {
            state,
            program: tier.program.to_string(),
            verdict: self.verdict(&mut turn, tier, state, decided),
        })
    }

    /// The tier of a reward, and where that stands; in the order in which `redemption` looks.
    fn find(&self, agent: &str, id: &str) -> Option<(&TierState, RewardState)> {
        let rewards = self.rewards();
        let is_it = |tier: &TierState, ordinal: u32| {
            reward_id(&tier.program, agent, &tier.tier, ordinal) == id
        };
        for tier in rewards.tiers() {
            let state = match &tier.stage {
                Stage::Open => continue,
                Stage::Awaiting(_) => RewardState::Awaiting,
                Stage::Locked(_) => RewardState::Locked,
                Stage::Review(_) => RewardState::NeedsReview,
                Stage::Rejected { .. } => RewardState::Rejected,
            };
            let claim = tier.stage.claim();
            if claim.is_some_and(|claim| is_it(tier, claim.ordinal)) {
                return Some((tier, state));
            }
        }
        for given in rewards.issued().iter().rev() {
            let Some(tier) = rewards.tiers().get(given.tier) else {
                continue;
            };
            if is_it(tier, given.claim.ordinal) {
                let state = match given.standing {
                    IssuedStatus::Issued => RewardState::Issued,
                    IssuedStatus::Reversing => RewardState::Reversing,
                    IssuedStatus::Review => RewardState::ReversalNeedsReview,
                    IssuedStatus::Reversed => RewardState::Reversed,
                    IssuedStatus::Debt => RewardState::Debt,
                    IssuedStatus::Held { .. } => RewardState::Held,
                    IssuedStatus::Cancelled { .. } => RewardState::Cancelled,
                };
                return Some((tier, state));
            }
        }
        let mut tiers = rewards.tiers().iter();
        // As many as an agent's history holds: older ones are not decided any more.
        let had = |tier: &&TierState| {
            (0..tier.claimed)
                .rev()
                .take(ISSUED_MAX)
                .any(|n| is_it(tier, n))
        };
        tiers.find(had).map(|tier| (tier, RewardState::Past))
    }

    fn verdict(
        &self,
        turn: &mut Turn<'_>,
        tier: &TierState,
        state: RewardState,
        decided: &RewardDecided,
    ) -> Verdict {
        let is_reversal = decided.reward_id.ends_with(REVERSE);
        let asks_again = match state {
            // Of a reward that is not issued, or that its provider says is gone, there is no reversal.
            RewardState::Awaiting
            | RewardState::Rejected
            | RewardState::NeedsReview
            | RewardState::Held
            | RewardState::Cancelled
                if is_reversal =>
            {
                return Verdict::NotWaiting;
            }
            RewardState::Awaiting | RewardState::Rejected | RewardState::Cancelled => {
                decided.decision == Decision::Approve
            }
            RewardState::NeedsReview
            | RewardState::Locked
            | RewardState::Issued
            | RewardState::Reversing
            | RewardState::ReversalNeedsReview
            | RewardState::Reversed
            | RewardState::Debt
            | RewardState::Held => false,
            RewardState::Past => return Verdict::NotWaiting,
        };
        let mut programs = turn.settings().programs.iter();
        if asks_again && !programs.any(|one| one.enabled && *one.name == *tier.program) {
            return Verdict::Stopped;
        }
        let event = Event {
            source: "".into(),
            id: "".into(),
            body: Body::RewardDecided(decided.clone()),
        };
        self.clone().apply(turn, &event);
        if turn
            .effects
            .contains(&Effect::Ignore(Ignored::UnknownRequest))
        {
            // It was found above: so it was withdrawn before the decision came to it.
            return Verdict::Uncovered;
        }
        let is_ignored = |effect: &Effect| matches!(effect, Effect::Ignore(_));
        if turn.effects.iter().any(is_ignored) {
            return Verdict::NotWaiting;
        }
        Verdict::Taken
    }
}
