//! Counts an engine makes while it applies: added to the metrics once a batch, so that no event touches one.

use aftercall_actors::{effect::Ignored, key::Side};

use crate::{envelope::Reject, telemetry::metrics};

/// What happened since the last hand-over.
#[derive(Debug, Default)]
pub struct Tally {
    /// Events applied.
    pub applied: u64,
    /// Words of actors in a replay that must be silent.
    pub divergences: u64,
    ignored: [u64; Ignored::ALL.len()],
    quarantined: Vec<&'static str>,
    failed_rules: Vec<(Box<str>, Box<str>)>,
}

impl Tally {
    /// Counts an event that changed nothing.
    pub fn ignore(&mut self, reason: Ignored) {
        self.ignored[reason as usize] += 1;
    }

    /// Counts an event set aside.
    pub fn quarantine(&mut self, reject: &Reject) {
        tracing::warn!(reason = reject.reason.name(), "event quarantined");
        self.quarantined.push(reject.reason.name());
    }

    /// Counts a condition that could not be evaluated.
    pub fn rule_failed(&mut self, rule: Box<str>, why: Box<str>) {
        self.failed_rules.push((rule, why));
    }

    /// Adds everything to the metrics and starts again from zero.
    pub fn flush(&mut self, side: Side) {
        let taken = std::mem::take(self);
        let metrics = metrics();
        if taken.applied > 0 {
            metrics.applied(side).inc_by(taken.applied);
        }
        for reason in Ignored::ALL
            .into_iter()
            .filter(|reason| taken.ignored[*reason as usize] > 0)
        {
            metrics
                .ignored(reason)
                .inc_by(taken.ignored[reason as usize]);
        }
        for reason in taken.quarantined {
            metrics.quarantined(reason).inc();
        }
        for (rule, why) in taken.failed_rules {
            tracing::debug!(
                rule = &*rule,
                why = &*why,
                "condition could not be evaluated"
            );
            metrics.rule_failure(&rule).inc();
        }
        if taken.divergences > 0 {
            tracing::error!(
                count = taken.divergences,
                "replay differs from what was committed"
            );
            metrics.replay_divergence.inc_by(taken.divergences);
        }
    }
}
