//! Counts an engine makes while it applies: added to the metrics once a batch, so that no event touches one.

use aftercall_actors::effect::Ignored;

use crate::{
    envelope::{Reason, Reject},
    log::{PartitionId, Position},
    planted::note_divergences,
    telemetry::metrics,
};

/// What happened since the last hand-over.
#[derive(Debug, Default)]
pub struct Tally {
    /// Events that an actor took.
    pub applied: u64,
    /// Words of actors in a replay that must be silent.
    pub divergences: u64,
    /// States that records left out because they did not fit.
    pub left_out: u64,
    has_said_left_out: bool,
    ignored: [u64; Ignored::ALL.len()],
    /// By reason: how many, and where the last one stands.
    quarantined: [(u64, Position); Reason::ALL.len()],
    failed_rules: Vec<(Box<str>, Box<str>)>,
}

/// Shows every reason of quarantine as 0: to Prometheus, a series that begins at 1 has not risen.
pub fn show_reasons() {
    for reason in Reason::ALL {
        metrics().quarantined(reason.name());
    }
}

impl Tally {
    /// Counts an event that changed nothing.
    pub fn ignore(&mut self, reason: Ignored) {
        self.ignored[reason as usize] += 1;
    }

    /// Counts an event set aside.
    pub fn quarantine(&mut self, reject: &Reject, position: Position) {
        let (count, last) = &mut self.quarantined[reject.reason as usize];
        *count += 1;
        *last = position;
    }

    /// Counts a condition that could not be evaluated.
    pub fn rule_failed(&mut self, rule: Box<str>, why: Box<str>) {
        self.failed_rules.push((rule, why));
    }

    /// Adds everything to the metrics and starts again from zero.
    pub fn flush(&mut self, partition: PartitionId) {
        let mut taken = std::mem::take(self);
        let metrics = metrics();
        if taken.applied > 0 {
            metrics.applied(partition.side).inc_by(taken.applied);
        }
        for reason in Ignored::ALL
            .into_iter()
            .filter(|reason| taken.ignored[*reason as usize] > 0)
        {
            metrics
                .ignored(reason)
                .inc_by(taken.ignored[reason as usize]);
        }
        for (reason, (count, position)) in Reason::ALL.into_iter().zip(taken.quarantined) {
            if count > 0 {
                // A line a batch, so that a flood of them stays readable. What was wrong stands in the dead letter: it
                // may quote customers.
                tracing::warn!(%partition, position, %reason, count, "events quarantined, the last at this position");
                metrics.quarantined(reason.name()).inc_by(count);
            }
        }
        for (rule, why) in taken.failed_rules {
            tracing::debug!(
                rule = &*rule,
                why = &*why,
                "condition could not be evaluated"
            );
            metrics.rule_failure(&rule).inc();
        }
        if taken.left_out > 0 {
            metrics.states_left_out.inc_by(taken.left_out);
            if !std::mem::replace(&mut taken.has_said_left_out, true) {
                tracing::error!(
                    %partition,
                    "an actor's state does not fit into a record: the partition goes on, and a restart works it out from \
                     the events; see aftercall_states_left_out_total (said once)"
                );
            }
        }
        self.has_said_left_out = taken.has_said_left_out;
        if taken.divergences > 0 {
            tracing::error!(
                count = taken.divergences,
                "replay differs from what was committed"
            );
            metrics.replay_divergence.inc_by(taken.divergences);
            note_divergences(taken.divergences);
        }
    }
}
