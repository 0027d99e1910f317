//! Messages about a reward: to the provider, and to people (S3.06 to S3.08).
//!
//! Ids follow from the reward's, so each thing is said once, whatever is retried. Alerts about rewards are no
//! customer's: they have no interaction and no recording, and their `summary` is the sentence for people.

use std::collections::BTreeMap;

use super::{Claim, REVERSE, TierState, reward_id};
use crate::{
    alerts::notice,
    contract::{
        key::Key,
        output::{Output, Reward, Severity},
        time::EventTime,
    },
    effect::Effect,
    turn::Turn,
};

const AWAITING: &str = "reward_awaiting_approval";
const REJECTED: &str = "reward_rejected";
const REVIEW: &str = "reward_needs_review";
const REFUSED: &str = "reward_reversal_refused";
const CANCELLED: &str = "reward_cancelled";
const AFTER_ALL: &str = "reward_issued_after_all";

/// What alerts about rewards are raised under.
pub const RULES: [&str; 6] = [AWAITING, REJECTED, REVIEW, REFUSED, CANCELLED, AFTER_ALL];

/// A message about a claim of the agent whose turn it is.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    pub tier: &'a TierState,
    pub claim: &'a Claim,
}

impl Message<'_> {
    /// Asks the provider for the reward.
    pub fn request(self, turn: &mut Turn<'_>) {
        let reward = self.reward(turn);
        turn.effects.push(Effect::Emit {
            id: reward.reward_id.clone(),
            output: Output::RewardRequested(reward),
        });
    }

    /// Asks the provider to take it back.
    pub fn reversal(self, turn: &mut Turn<'_>) {
        let reward = self.reward(turn);
        turn.effects.push(Effect::Emit {
            id: format!("{}{REVERSE}", reward.reward_id),
            output: Output::RewardReversalRequested(reward),
        });
    }

    /// A person is to agree.
    pub fn awaiting(self, turn: &mut Turn<'_>) {
        let what = "waits for approval";
        self.alert(turn, (AWAITING, Severity::Info), "", what);
    }

    /// The provider refused.
    pub fn rejected(self, turn: &mut Turn<'_>) {
        let what = "was rejected by its provider; its points are free again";
        self.alert(turn, (REJECTED, Severity::Warning), "", what);
    }

    /// Whether it was given is not known, or it could not be asked for; `reason` is delivery's.
    pub fn review(self, turn: &mut Turn<'_>, reason: Option<&str>) {
        let what = match reason {
            Some("unreached") => "was not requested, as its provider could not be reached",
            Some("unsendable") => "was not requested, as its request could not be made",
            Some("failed") => "was not issued, as far as its provider's answers say",
            Some("rejected") => "was refused in words that do not say whether it was issued",
            // An attempt may have done it, or the answer says nothing that is known.
            Some(_) | None => "may or may not have been issued",
        };
        let what = format!("{what}; its points stay locked until that is decided");
        self.alert(turn, (REVIEW, Severity::Critical), "", &what);
    }

    /// Whether it was taken back is not known.
    pub fn review_reversal(self, turn: &mut Turn<'_>) {
        let what = "may or may not have been taken back; that has to be decided";
        self.alert(turn, (REVIEW, Severity::Critical), REVERSE, what);
    }

    /// The provider would not take it back.
    pub fn reversal_refused(self, turn: &mut Turn<'_>) {
        let what = "was not taken back by its provider; what is lacking is a debt now";
        self.alert(turn, (REFUSED, Severity::Warning), "", what);
    }

    /// The provider says that the agent does not have an issued one; a person is to decide. `before` is how often it
    /// said so before.
    pub fn doubted(self, turn: &mut Turn<'_>, word: &str, before: u32) {
        let what = format!(
            "was issued, and now its provider says {word} of it; its points stay spent until a person decides: approve if \
             the agent has it, reject if not"
        );
        let suffix = numbered(before);
        self.alert(turn, (CANCELLED, Severity::Critical), &suffix, &what);
    }

    /// The same, and the program frees the points.
    pub fn cancelled(self, turn: &mut Turn<'_>, word: &str, before: u32) {
        let what = format!(
            "is not the agent's, as its provider says {word} of it; its points are free again"
        );
        let suffix = numbered(before);
        self.alert(turn, (CANCELLED, Severity::Warning), &suffix, &what);
    }

    /// The agent has it, though it had counted as rejected or cancelled.
    pub fn issued_after_all(self, turn: &mut Turn<'_>, doubts: u32) {
        let what = "was issued after all, its provider says; its points are spent";
        let suffix = numbered(doubts);
        self.alert(turn, (AFTER_ALL, Severity::Warning), &suffix, what);
    }

    fn id(self, turn: &Turn<'_>) -> String {
        let TierState { program, tier, .. } = self.tier;
        reward_id(program, agent(turn), tier, self.claim.ordinal)
    }

    fn reward(self, turn: &Turn<'_>) -> Reward {
        let claim = self.claim;
        let mut metadata = BTreeMap::from([("source_platform".to_owned(), "aftercall".to_owned())]);
        if let Some(version) = &claim.export_version {
            metadata.insert("wfm_export_version".to_owned(), version.to_string());
        }
        Reward {
            reward_id: self.id(turn),
            program: self.tier.program.to_string(),
            agent_id: agent(turn).to_owned(),
            tier: self.tier.tier.to_string(),
            ordinal: claim.ordinal,
            reward_type: claim.reward_type.to_string(),
            points_consumed: claim.points,
            transaction_timestamp: EventTime(turn.now.0),
            metadata,
            kept: claim.kept.clone(),
        }
    }

    fn alert(self, turn: &mut Turn<'_>, rank: (&str, Severity), suffix: &str, what: &str) {
        let reward = self.id(turn);
        let TierState { program, tier, .. } = self.tier;
        let (points, kind) = (self.claim.points, &self.claim.reward_type);
        let id = format!("{}:{reward}{suffix}", rank.0);
        let summary = format!(
            "Reward {reward} ({kind} for {points} points, tier {tier} of program {program}) {what}."
        );
        let alert = notice(turn, id.clone(), rank, summary);
        turn.effects.push(Effect::Emit {
            id,
            output: Output::AlertRaised(alert),
        });
    }
}

/// The id of the agent whose turn it is. `agent` sees to it that no other owner claims rewards.
const fn agent<'a>(turn: &Turn<'a>) -> &'a str {
    match turn.key {
        Key::Agent(id) | Key::Bot(id) | Key::Queue(id) | Key::Customer(id) => id,
        Key::Unassigned | Key::Caller(_) => "",
    }
}

/// What tells the alerts of one reward under one rule apart: nothing for the first.
fn numbered(before: u32) -> String {
    match before {
        0 => String::new(),
        before => format!(":{}", before.saturating_add(1)),
    }
}
