//! One line of the book: the public format of `aftercall ledger`, stable in its names.

use std::fmt;

use aftercall_actors::contract::{time::LogTime, value::WorkDate};
use serde::{Deserialize, Serialize};

use crate::log::Position;

/// One change of one agent's money, or of how a reward stands.
///
/// `(position, line)` names it: an event is one agent's. Unit: whole points. Clock: log time. Source: REQUIREMENTS
/// S3.14.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the event log of the event that caused it.
    pub position: Position,
    /// Number within that event, from 0.
    pub line: u32,
    /// Log time of that event.
    #[serde(with = "rfc3339")]
    pub time: LogTime,
    /// The agent.
    pub agent_id: String,
    /// What happened.
    pub kind: Kind,
    /// What it changed the balance by.
    pub points: i64,
    /// The balance after it: `available + held - debt`.
    pub balance: i64,
    /// Points in the window that no claim holds.
    pub available: i64,
    /// Points that claims hold until their outcome is known.
    pub held: i64,
    /// Points owed.
    pub debt: i64,
    /// The workday the points count in, or left with; in the business unit's time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workday: Option<WorkDate>,
    /// Where points came from: the metric's name, `survey`, or `adjustment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The reward's program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Its tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Its id, the same at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_id: Option<String>,
    /// An adjustment's kind and reason; what a provider answered; who decided; a claim's type of reward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// CloudEvents `source` of the event.
    pub cause_source: String,
    /// CloudEvents `id` of the event.
    pub cause_id: String,
    /// Version of the rules in force.
    pub rules: String,
}

/// What a line is about. Where `points` is 0, what moves is named: the balance counts it before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A source gave points on a workday for the first time.
    Earned,
    /// A re-export or a later version of a response: the difference to what stood there (S3.01), with the owner whose the
    /// response is now, if that is another (S2.15).
    Replaced,
    /// A person or process gave or took points (S3.12).
    Adjusted,
    /// A workday left the window with what it still held: booked at the agent's next event (S3.03).
    Expired,
    /// A threshold was reached: its points are held, 0 (S3.04).
    Claimed,
    /// A person has to agree, 0.
    Awaiting,
    /// The provider is asked, 0 (S3.05).
    Requested,
    /// A person agreed, 0.
    Approved,
    /// A person did not; points held are available again, 0.
    Declined,
    /// The reward is the agent's: what it cost is spent (S3.07).
    Issued,
    /// The provider refused; points held are available again, 0 (S3.07).
    Rejected,
    /// Not covered any more before anybody was asked; points held are available again, 0.
    Withdrawn,
    /// Whether it was issued is not known, 0 (S3.08).
    NeedsReview,
    /// The provider is asked to take an issued reward back, 0 (S3.12).
    ReversalRequested,
    /// Taken back: what it cost comes back.
    Reversed,
    /// Whether it was taken back is not known, 0.
    ReversalNeedsReview,
    /// Not taken back: what is lacking is a debt now instead of a lack, 0.
    ReversalRefused,
    /// Points paid off a debt: available and debt fall together, 0.
    DebtPaid,
    /// An issued reward is cancelled, has bounced or failed, its provider says; a person has to decide, 0.
    CancellationNeedsReview,
    /// The agent does not have an issued reward after all: what it cost comes back.
    Cancelled,
    /// The agent has it all the same, 0.
    Restored,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 21] = [
        Self::Earned,
        Self::Replaced,
        Self::Adjusted,
        Self::Expired,
        Self::Claimed,
        Self::Awaiting,
        Self::Requested,
        Self::Approved,
        Self::Declined,
        Self::Issued,
        Self::Rejected,
        Self::Withdrawn,
        Self::NeedsReview,
        Self::ReversalRequested,
        Self::Reversed,
        Self::ReversalNeedsReview,
        Self::ReversalRefused,
        Self::DebtPaid,
        Self::CancellationNeedsReview,
        Self::Cancelled,
        Self::Restored,
    ];

    /// The name in exports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Earned => "earned",
            Self::Replaced => "replaced",
            Self::Adjusted => "adjusted",
            Self::Expired => "expired",
            Self::Claimed => "claimed",
            Self::Awaiting => "awaiting",
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Declined => "declined",
            Self::Issued => "issued",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::NeedsReview => "needs_review",
            Self::ReversalRequested => "reversal_requested",
            Self::Reversed => "reversed",
            Self::ReversalNeedsReview => "reversal_needs_review",
            Self::ReversalRefused => "reversal_refused",
            Self::DebtPaid => "debt_paid",
            Self::CancellationNeedsReview => "cancellation_needs_review",
            Self::Cancelled => "cancelled",
            Self::Restored => "restored",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Log time as it is written everywhere else.
mod rfc3339 {
    use aftercall_actors::contract::time::{EventTime, LogTime};
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(time: &LogTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LogTime, D::Error> {
        EventTime::deserialize(deserializer).map(|time| LogTime(time.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s3_14_a_kind_has_one_name_wherever_it_is_written() {
        for kind in Kind::ALL {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
            assert_eq!(serde_json::from_str::<Kind>(&json).unwrap(), kind);
        }
    }

    #[test]
    fn s3_14_a_line_is_written_and_read_back() {
        let line = r#"{"position":7,"line":0,"time":"2026-11-20T10:00:00.000Z","agent_id":"a1","kind":"earned","points":10,"balance":30,"available":20,"held":15,"debt":5,"workday":"2026-11-19","source":"csat","cause_source":"/wfm","cause_id":"e1","rules":"r1"}"#;
        let entry: Entry = serde_json::from_str(line).unwrap();
        assert_eq!(entry.time, LogTime(1_795_168_800_000));
        assert_eq!(entry.balance, entry.available + entry.held - entry.debt);
        assert_eq!(serde_json::to_string(&entry).unwrap(), line);
    }
}
