//! The stored form of an actor: protobuf messages, field by field.
//!
//! These definitions are the format: fields may be added, never renumbered or given another meaning, and
//! golden files of every format version stay in the tests. Lists are stored as columns (all keys, then all
//! times), which halves their size; times as the difference to the one before. Reading goes through these
//! types; writing is done by the parts themselves through `wire`, without a copy.

/// Format written, and the newest that is understood.
pub const FORMAT: u32 = 1;

/// Tag of the format number in both messages.
pub(crate) const FORMAT_TAG: u32 = 1;

/// A stored state that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are no message.
    #[error(transparent)]
    Wire(#[from] prost::DecodeError),
    /// A newer program wrote it, or no program did.
    #[error("format {0} is not understood, only {FORMAT}")]
    Format(u32),
    /// Columns that belong together differ in length or order.
    #[error("the columns of {0} do not fit together")]
    Columns(&'static str),
}

/// Checks the format number.
pub(crate) fn check_format(format: u32) -> Result<(), DecodeError> {
    match format {
        FORMAT => Ok(()),
        other => Err(DecodeError::Format(other)),
    }
}

/// An agent, bot or queue, or unassigned work.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredAgent {
    #[prost(uint32, tag = "1")]
    pub format: u32,
    /// Survey responses: 16 bytes each.
    #[prost(bytes = "vec", tag = "2")]
    pub survey_keys: Vec<u8>,
    /// Log time of each, as differences.
    #[prost(sint64, repeated, tag = "3")]
    pub survey_at: Vec<i64>,
    /// Places of those whose revision is not 0, as differences; then these revisions.
    #[prost(sint64, repeated, tag = "4")]
    pub survey_revised: Vec<i64>,
    #[prost(uint64, repeated, tag = "5")]
    pub survey_revisions: Vec<u64>,
    /// Places of those that have alerted, as differences.
    #[prost(sint64, repeated, tag = "6")]
    pub survey_alerted: Vec<i64>,
    /// Places of those that gave points, as differences; the workdays, as differences; the points.
    #[prost(sint64, repeated, tag = "7")]
    pub survey_giving: Vec<i64>,
    #[prost(sint64, repeated, tag = "8")]
    pub survey_given_days: Vec<i64>,
    #[prost(sint64, repeated, tag = "9")]
    pub survey_given: Vec<i64>,
    /// eNPS responses that were scored: 16 bytes each; log time of each, as differences.
    #[prost(bytes = "vec", tag = "10")]
    pub enps_keys: Vec<u8>,
    #[prost(sint64, repeated, tag = "11")]
    pub enps_at: Vec<i64>,
    /// eNPS responses in the window: event time, as differences; one byte each for the category.
    #[prost(sint64, repeated, tag = "12")]
    pub enps_submitted: Vec<i64>,
    #[prost(bytes = "vec", tag = "13")]
    pub enps_categories: Vec<u8>,
    /// Response id of each detractor among them.
    #[prost(string, repeated, tag = "14")]
    pub enps_detractors: Vec<String>,
    /// Coaching rules that hold, and the log time at which each fired last.
    #[prost(string, repeated, tag = "15")]
    pub coaching_rules: Vec<String>,
    #[prost(sint64, repeated, tag = "16")]
    pub coaching_at: Vec<i64>,
    /// Adjustments: 16 bytes each; log time of each, as differences.
    #[prost(bytes = "vec", tag = "17")]
    pub adjustment_keys: Vec<u8>,
    #[prost(sint64, repeated, tag = "18")]
    pub adjustment_at: Vec<i64>,
    /// Names of metrics with points.
    #[prost(string, repeated, tag = "19")]
    pub metrics: Vec<String>,
    /// Workdays with points, as differences; a bit per source: survey, adjustment, then the metrics.
    #[prost(sint64, repeated, tag = "20")]
    pub point_days: Vec<i64>,
    #[prost(uint64, repeated, tag = "21")]
    pub point_sources: Vec<u64>,
    /// Points of each bit.
    #[prost(sint64, repeated, tag = "22")]
    pub points: Vec<i64>,
    /// For each bit of a metric: 0, or 1 plus the zigzag difference of the time of record to the last one.
    #[prost(uint64, repeated, tag = "23")]
    pub recorded: Vec<u64>,
    /// Of each eNPS response that was scored: event time in the window, as differences; one byte for the category, 3 if it
    /// is not in the window. None in states from before responses could be corrected.
    #[prost(sint64, repeated, tag = "24")]
    pub enps_scored_at: Vec<i64>,
    #[prost(bytes = "vec", tag = "25")]
    pub enps_scored_as: Vec<u8>,
    /// Places of those that gave points, as differences; the workdays, as differences; the points.
    #[prost(sint64, repeated, tag = "26")]
    pub enps_giving: Vec<i64>,
    #[prost(sint64, repeated, tag = "27")]
    pub enps_given_days: Vec<i64>,
    #[prost(sint64, repeated, tag = "28")]
    pub enps_given: Vec<i64>,
    /// Alerts whose lookups go on.
    #[prost(message, repeated, tag = "40")]
    pub enrichments: Vec<StoredEnrichment>,
    /// Survey tokens asked for: 16 bytes each; log time of each, as differences.
    #[prost(bytes = "vec", tag = "41")]
    pub token_keys: Vec<u8>,
    #[prost(sint64, repeated, tag = "42")]
    pub token_at: Vec<i64>,
    /// Storms of dead letters that go on.
    #[prost(message, repeated, tag = "43")]
    pub storms: Vec<StoredStorm>,
    /// Events about dead letters: 16 bytes each; log time of each, as differences.
    #[prost(bytes = "vec", tag = "44")]
    pub dead_letter_keys: Vec<u8>,
    #[prost(sint64, repeated, tag = "45")]
    pub dead_letter_at: Vec<i64>,
    /// Alerts about imports: 16 bytes each; log time of each, as differences.
    #[prost(bytes = "vec", tag = "46")]
    pub import_alert_keys: Vec<u8>,
    #[prost(sint64, repeated, tag = "47")]
    pub import_alert_at: Vec<i64>,
    /// Alerts whose lookups are over.
    #[prost(message, repeated, tag = "48")]
    pub told: Vec<StoredTold>,
    // Tags 60 to 79: rewards.
    /// Workdays out of which points were taken, as differences; how many of each.
    #[prost(sint64, repeated, tag = "60")]
    pub spent_days: Vec<i64>,
    #[prost(sint64, repeated, tag = "61")]
    pub spent: Vec<i64>,
    /// Tiers of which a reward was ever claimed, by program and name.
    #[prost(message, repeated, tag = "62")]
    pub tiers: Vec<StoredTier>,
    /// Rewards that were issued, in that order.
    #[prost(message, repeated, tag = "63")]
    pub given: Vec<StoredGiven>,
    /// Points owed for rewards that could not be taken back.
    #[prost(sint64, tag = "64")]
    pub debt: i64,
    /// Version of the export that points came from last.
    #[prost(string, optional, tag = "65")]
    pub export_version: Option<String>,
    /// Log time at which time alone may bring a reward.
    #[prost(sint64, optional, tag = "66")]
    pub reward_due: Option<i64>,
    /// Claims that were not given, and are past.
    #[prost(message, repeated, tag = "67")]
    pub replaced: Vec<StoredReplaced>,
    /// Versions of exports that points came with; for each cell of a metric the number of its own, from 1, or 0.
    #[prost(string, repeated, tag = "68")]
    pub exports: Vec<String>,
    #[prost(uint32, repeated, tag = "69")]
    pub cell_exports: Vec<u32>,
}

/// An alert whose lookups go on.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredEnrichment {
    /// The alert as JSON, as it would go out.
    #[prost(bytes = "vec", tag = "1")]
    pub alert: Vec<u8>,
    /// Whether it is still to be raised.
    #[prost(bool, tag = "2")]
    pub held: bool,
    /// Updates that went out.
    #[prost(uint32, tag = "3")]
    pub updates: u32,
    /// Log time at which the lookups end.
    #[prost(sint64, tag = "4")]
    pub ends_at: i64,
    /// Lookup of the recording: 0 over, 1 asked, 2 waiting; the last question's number; when it went, or the next goes.
    #[prost(uint32, tag = "5")]
    pub recording: u32,
    #[prost(uint32, tag = "6")]
    pub recording_asks: u32,
    #[prost(sint64, tag = "7")]
    pub recording_at: i64,
    /// The same of the summary.
    #[prost(uint32, tag = "8")]
    pub summary: u32,
    #[prost(uint32, tag = "9")]
    pub summary_asks: u32,
    #[prost(sint64, tag = "10")]
    pub summary_at: i64,
    /// Log time of the last version of its response, if that is not the first.
    #[prost(sint64, optional, tag = "11")]
    pub revised_at: Option<i64>,
}

/// An alert whose lookups are over, as far as a later version of its response needs it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredTold {
    /// Hash of the response's id, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// Log time from which it is remembered.
    #[prost(sint64, tag = "2")]
    pub at: i64,
    /// The rule in the alert's id, and the one it names, if that is another.
    #[prost(string, tag = "3")]
    pub raised_under: String,
    #[prost(string, optional, tag = "4")]
    pub rule: Option<String>,
    /// 0 info, 1 warning, 2 critical.
    #[prost(uint32, tag = "5")]
    pub severity: u32,
    /// Updates that went out.
    #[prost(uint32, tag = "6")]
    pub updates: u32,
    #[prost(sint64, tag = "7")]
    pub raised_at: i64,
    /// The recording: 0 pending, 1 available, 2 unavailable; where it is.
    #[prost(uint32, tag = "8")]
    pub recording: u32,
    #[prost(string, optional, tag = "9")]
    pub url: Option<String>,
    #[prost(string, optional, tag = "10")]
    pub summary: Option<String>,
    /// Hash of what it said of its response last.
    #[prost(fixed64, tag = "11")]
    pub said: u64,
    /// What was looked up and not found: 1 the recording, 2 the summary, 3 both.
    #[prost(uint32, tag = "12")]
    pub missing: u32,
}

/// What has changed in an actor since it was stored.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredChanges {
    #[prost(uint32, tag = "1")]
    pub format: u32,
    /// An actor that holds what was added to its memories, and the parts that differ.
    #[prost(bytes = "vec", tag = "2")]
    pub part: Vec<u8>,
    /// A bit for each part that stands there whole.
    #[prost(uint32, tag = "3")]
    pub whole: u32,
    /// What memories have forgotten.
    #[prost(message, repeated, tag = "4")]
    pub gone: Vec<StoredGone>,
    /// Ids of alerts whose lookups have ended.
    #[prost(string, repeated, tag = "5")]
    pub ended: Vec<String>,
}

/// Keys that a memory has forgotten.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredGone {
    /// Number of the memory.
    #[prost(uint32, tag = "1")]
    pub memory: u32,
    /// 16 bytes each.
    #[prost(bytes = "vec", tag = "2")]
    pub keys: Vec<u8>,
}

/// A segment of the responses of all owners.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredResponses {
    #[prost(uint32, tag = "1")]
    pub format: u32,
    /// Number of the first segment that is remembered.
    #[prost(uint64, tag = "2")]
    pub first: u64,
    /// Responses: 16 bytes each; log time of each, as differences.
    #[prost(bytes = "vec", tag = "3")]
    pub keys: Vec<u8>,
    #[prost(sint64, repeated, tag = "4")]
    pub at: Vec<i64>,
    /// Hashes of each one's last content, and of the owner its first event named.
    #[prost(fixed32, repeated, tag = "5")]
    pub contents: Vec<u32>,
    #[prost(fixed32, repeated, tag = "6")]
    pub homes: Vec<u32>,
    /// Places of those whose first owner's actor lives in this partition, as differences; these owners' keys.
    #[prost(sint64, repeated, tag = "7")]
    pub named: Vec<i64>,
    #[prost(string, repeated, tag = "8")]
    pub names: Vec<String>,
    /// Those that came as another revision than 0, in several versions, or for several owners; by place.
    #[prost(message, repeated, tag = "9")]
    pub more: Vec<StoredVersion>,
}

/// A response that is more than its first version.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredVersion {
    #[prost(uint32, tag = "1")]
    pub place: u32,
    #[prost(uint64, tag = "2")]
    pub revision: u64,
    /// Hashes of what the same revision said before.
    #[prost(fixed32, repeated, tag = "3")]
    pub earlier: Vec<u32>,
    /// Hash of the owner its last event named, if that is another than the first; that owner's key, if its actor lives
    /// in this partition.
    #[prost(fixed32, optional, tag = "4")]
    pub last: Option<u32>,
    #[prost(string, optional, tag = "5")]
    pub last_name: Option<String>,
}

/// A storm of dead letters.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredStorm {
    #[prost(string, tag = "1")]
    pub destination: String,
    #[prost(string, tag = "2")]
    pub alert_id: String,
    /// Log time of the last word of it.
    #[prost(sint64, tag = "3")]
    pub last_at: i64,
    /// Whether it is about credentials, not about dead letters.
    #[prost(bool, tag = "4")]
    pub is_misconfigured: bool,
}

/// One tier of a program, as far as the agent has come in it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredTier {
    #[prost(string, tag = "1")]
    pub program: String,
    #[prost(string, tag = "2")]
    pub tier: String,
    /// Rewards claimed so far: the next one's ordinal.
    #[prost(uint32, tag = "3")]
    pub claimed: u32,
    #[prost(uint32, tag = "4")]
    pub stage: u32,
    /// What it is about, in each stage but the first.
    #[prost(message, optional, tag = "5")]
    pub claim: Option<StoredClaim>,
    /// Workday on which the claim was rejected.
    #[prost(sint32, optional, tag = "6")]
    pub rejected_on: Option<i32>,
}

/// A reward that is, or was, to be had.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredClaim {
    #[prost(uint32, tag = "1")]
    pub ordinal: u32,
    #[prost(string, tag = "2")]
    pub reward_type: String,
    #[prost(sint64, tag = "3")]
    pub points: i64,
    /// Log time of the claim, or of the request once it was made.
    #[prost(sint64, tag = "4")]
    pub at: i64,
    /// Workdays its points came from, as differences; how many of each.
    #[prost(sint64, repeated, tag = "5")]
    pub part_days: Vec<i64>,
    #[prost(sint64, repeated, tag = "6")]
    pub part_points: Vec<i64>,
    /// Version of the export its points came with.
    #[prost(string, optional, tag = "7")]
    pub export_version: Option<String>,
    /// Ids that the provider has given it, by name.
    #[prost(btree_map = "string, string", tag = "8")]
    pub kept: std::collections::BTreeMap<String, String>,
}

/// A reward that was issued.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredGiven {
    /// Place of its tier.
    #[prost(uint32, tag = "1")]
    pub tier: u32,
    #[prost(message, optional, tag = "2")]
    pub claim: Option<StoredClaim>,
    /// Log time of the outcome.
    #[prost(sint64, tag = "3")]
    pub at: i64,
    #[prost(uint32, tag = "4")]
    pub standing: u32,
    /// Of one that is held or cancelled: whether its reversal was refused before.
    #[prost(bool, tag = "5")]
    pub owed: bool,
    /// Of one that is cancelled: the workday since which its tier waits.
    #[prost(sint32, optional, tag = "6")]
    pub waits: Option<i32>,
    #[prost(uint32, tag = "7")]
    pub doubts: u32,
}

/// A claim that was not given, and is past.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredReplaced {
    /// Place of its tier.
    #[prost(uint32, tag = "1")]
    pub tier: u32,
    #[prost(message, optional, tag = "2")]
    pub claim: Option<StoredClaim>,
    /// Log time since when.
    #[prost(sint64, tag = "3")]
    pub at: i64,
}

/// A customer.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredCustomer {
    #[prost(uint32, tag = "1")]
    pub format: u32,
    /// Completions and updates seen: 16 bytes each; log time of each, as differences.
    #[prost(bytes = "vec", tag = "2")]
    pub seen_keys: Vec<u8>,
    #[prost(sint64, repeated, tag = "3")]
    pub seen_at: Vec<i64>,
    /// Contacts: end in event time, as differences; hash of the interaction id.
    #[prost(sint64, repeated, tag = "4")]
    pub ended_at: Vec<i64>,
    #[prost(fixed64, repeated, tag = "5")]
    pub interactions: Vec<u64>,
    /// Hash of the disposition, 0 for none; absent if no contact has one.
    #[prost(fixed32, repeated, tag = "6")]
    pub dispositions: Vec<u32>,
    /// Not a number for none; absent if no contact has one.
    #[prost(double, repeated, tag = "7")]
    pub sentiments: Vec<f64>,
    #[prost(string, optional, tag = "8")]
    pub summary: Option<String>,
    /// End of the interaction it is of, as difference to that of the newest contact.
    #[prost(sint64, optional, tag = "9")]
    pub summary_at: Option<i64>,
    #[prost(string, repeated, tag = "10")]
    pub segments: Vec<String>,
    /// Log time at which the segments end.
    #[prost(sint64, optional, tag = "11")]
    pub segments_until: Option<i64>,
    /// End of the merge time after the last update.
    #[prost(sint64, optional, tag = "12")]
    pub merge_until: Option<i64>,
    /// The update that waits: for a completion, or for the time at which the segments ended.
    #[prost(string, optional, tag = "13")]
    pub pending_interaction: Option<String>,
    #[prost(sint64, optional, tag = "14")]
    pub pending_started_at: Option<i64>,
    #[prost(sint64, optional, tag = "15")]
    pub pending_left_at: Option<i64>,
    #[prost(sint64, optional, tag = "16")]
    pub pending_updated_at: Option<i64>,
    /// The completion that decided the segments: how many contacts are newer; event time as of which its disposition
    /// stands, if it has one, as difference to the end of the newest; what segment rules read of it, as JSON, if they
    /// read more than the disposition.
    #[prost(uint64, optional, tag = "17")]
    pub decided_by: Option<u64>,
    #[prost(sint64, optional, tag = "18")]
    pub decided_as_of: Option<i64>,
    #[prost(string, optional, tag = "19")]
    pub decided_on: Option<String>,
    /// Questions who the customer is: 16 bytes each; log time of each, as differences; places of those answered, as
    /// differences.
    #[prost(bytes = "vec", tag = "40")]
    pub question_keys: Vec<u8>,
    #[prost(sint64, repeated, tag = "41")]
    pub question_at: Vec<i64>,
    #[prost(sint64, repeated, tag = "42")]
    pub questions_answered: Vec<i64>,
    /// Who the customer is: 1 to be verified, 2 known, 3 known and stale; the platform's id; attributes as JSON; log
    /// time of the question that brought it.
    #[prost(uint64, optional, tag = "43")]
    pub resolution: Option<u64>,
    #[prost(string, optional, tag = "44")]
    pub user_id: Option<String>,
    #[prost(string, optional, tag = "45")]
    pub attributes: Option<String>,
    #[prost(sint64, optional, tag = "46")]
    pub asked_at: Option<i64>,
    /// Completions that wait for their dispositions.
    #[prost(message, repeated, tag = "47")]
    pub tracked: Vec<StoredTracked>,
    /// Dispositions that came before their completions.
    #[prost(message, repeated, tag = "48")]
    pub early: Vec<StoredEarly>,
    /// Outcomes that were told, while a change of their dispositions is told again.
    #[prost(message, repeated, tag = "49")]
    pub told: Vec<StoredTracked>,
}

/// A disposition that came before its completion.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredEarly {
    #[prost(string, tag = "1")]
    pub interaction_id: String,
    #[prost(string, tag = "2")]
    pub disposition: String,
    /// Log time at which it is forgotten.
    #[prost(sint64, tag = "3")]
    pub until: i64,
    /// Event time of its event; not in records from before it was kept.
    #[prost(sint64, optional, tag = "4")]
    pub as_of: Option<i64>,
}

/// A completion whose outcome waits to be told, or was.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StoredTracked {
    /// Empty while the customer is not known.
    #[prost(string, tag = "1")]
    pub user_id: String,
    #[prost(string, tag = "2")]
    pub interaction_id: String,
    /// By its name on the wire.
    #[prost(string, tag = "3")]
    pub channel: String,
    #[prost(double, optional, tag = "4")]
    pub duration_s: Option<f64>,
    #[prost(string, optional, tag = "5")]
    pub agent_id: Option<String>,
    /// Event times.
    #[prost(sint64, tag = "6")]
    pub ended_at: i64,
    #[prost(sint64, tag = "7")]
    pub started_at: i64,
    /// Log time at which it goes out as it is; of one that was told, at which it is forgotten.
    #[prost(sint64, tag = "8")]
    pub until: i64,
    /// Disposition.
    #[prost(string, optional, tag = "9")]
    pub outcome: Option<String>,
    /// Event time as of which it stands.
    #[prost(sint64, optional, tag = "10")]
    pub as_of: Option<i64>,
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn golden(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    /// So what `wire` writes is what these definitions say, with no field they do not know.
    #[test]
    fn the_messages_write_what_the_parts_write() {
        for agent in [
            include_str!("../../tests/golden/agent-1.hex"),
            include_str!("../../tests/golden/agent-1-rewards.hex"),
            include_str!("../../tests/golden/agent-1-debt.hex"),
            include_str!("../../tests/golden/agent-1-requests.hex"),
            include_str!("../../tests/golden/agent-1-responses.hex"),
            include_str!("../../tests/golden/agent-1-exports.hex"),
        ] {
            let agent = golden(agent);
            let read = StoredAgent::decode(&*agent).unwrap();
            assert_eq!(read.encode_to_vec(), agent);
        }
        for customer in [
            include_str!("../../tests/golden/customer-1.hex"),
            include_str!("../../tests/golden/customer-1-requests.hex"),
            include_str!("../../tests/golden/customer-1-decided.hex"),
            include_str!("../../tests/golden/customer-1-told.hex"),
        ] {
            let customer = golden(customer);
            let read = StoredCustomer::decode(&*customer).unwrap();
            assert_eq!(read.encode_to_vec(), customer);
        }
    }
}
