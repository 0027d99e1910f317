//! When a customer's profile goes out: at most once per merge time, nothing lost (S4.05).
//!
//! The first change goes at once; changes within the merge time after it are merged into one update, sent at
//! its end through the actor's deadline, with the newest state and the newest completion's key. Used by
//! `customer`, which makes the update itself.

use crate::{
    event::InteractionCompleted,
    time::{EventTime, LogTime},
    wire,
};

/// What an update is sent for, and named after.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// A completion.
    Completion {
        /// Its interaction.
        interaction_id: Box<str>,
        /// When it began.
        started_at: EventTime,
    },
    /// Time alone: the last contact left the history window, and with it the segments.
    Left {
        /// When it left.
        at: LogTime,
    },
}

impl Cause {
    /// The completion as a cause.
    #[must_use]
    pub fn of(event: &InteractionCompleted) -> Self {
        Self::Completion {
            interaction_id: (*event.interaction_id).into(),
            started_at: event.started_at,
        }
    }

    /// Id of the output. A completion names one update; so does the moment a window emptied.
    #[must_use]
    pub fn output_id(&self, customer_id: &str) -> String {
        match self {
            Self::Completion {
                interaction_id,
                started_at,
            } => {
                format!("profile:{customer_id}:{interaction_id}:{}", started_at.0)
            }
            Self::Left { at } => format!("profile:{customer_id}:left:{}", at.0),
        }
    }

    /// `<interaction id>-<start time>` (S4.03); for time alone `<customer id>-left-<time>`.
    #[must_use]
    pub fn idempotency_key(&self, customer_id: &str) -> String {
        match self {
            Self::Completion {
                interaction_id,
                started_at,
            } => format!("{interaction_id}-{started_at}"),
            Self::Left { at } => format!("{customer_id}-left-{at}"),
        }
    }
}

/// The merge of one customer's updates.
///
/// Clock: log time. Boundary: after an update at `t` the next goes no earlier than `t` plus the merge time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merge {
    /// End of the merge time after the last update.
    until: Option<LogTime>,
    /// What the update at that end will be sent for.
    pending: Option<Box<Cause>>,
}

impl Merge {
    /// Takes a change. Returns its cause if an update is to go at once; else it waits.
    pub fn offer(&mut self, now: LogTime, cause: Cause, merge_ms: i64) -> Option<Cause> {
        let cause = match (self.pending.take(), cause) {
            // The state is newer, but the newest completion still names the update.
            (Some(completion), Cause::Left { .. })
                if matches!(*completion, Cause::Completion { .. }) =>
            {
                *completion
            }
            (_, newest) => newest,
        };
        match self.until {
            Some(until) if merge_ms > 0 && now < until => {
                // Had log time jumped back, the wait would be as long as the jump.
                self.until = Some(until.min(now.plus_ms(merge_ms)));
                self.pending = Some(Box::new(cause));
                None
            }
            Some(_) | None => {
                self.start(now, merge_ms);
                Some(cause)
            }
        }
    }

    /// The cause of the update that is due at `now`, if one is.
    pub fn take_due(&mut self, now: LogTime, merge_ms: i64) -> Option<Cause> {
        if self.deadline()? > now {
            return None;
        }
        let cause = self.pending.take()?;
        self.start(now, merge_ms);
        Some(*cause)
    }

    /// When the waiting update goes.
    #[must_use]
    pub fn deadline(&self) -> Option<LogTime> {
        self.pending.as_ref().and(self.until)
    }

    /// Whether an update waits.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether nothing waits, and the next change would go at once.
    #[must_use]
    pub fn is_blank(&self, now: LogTime) -> bool {
        self.pending.is_none() && self.until.is_none_or(|until| until <= now)
    }

    fn start(&mut self, now: LogTime, merge_ms: i64) {
        self.until = (merge_ms > 0).then(|| now.plus_ms(merge_ms));
    }
}

/// Tags in the stored customer.
const UNTIL: u32 = 12;
const PENDING_INTERACTION: u32 = 13;
const PENDING_STARTED: u32 = 14;
const PENDING_LEFT: u32 = 15;

impl Merge {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        wire::optional_sint(UNTIL, self.until.map(|until| until.0), into);
        match self.pending.as_deref() {
            Some(Cause::Completion {
                interaction_id,
                started_at,
            }) => {
                wire::bytes(PENDING_INTERACTION, interaction_id.as_bytes(), into);
                wire::optional_sint(PENDING_STARTED, Some(started_at.0), into);
            }
            Some(Cause::Left { at }) => wire::optional_sint(PENDING_LEFT, Some(at.0), into),
            None => {}
        }
    }

    /// `None` if an update waits for no time, or for half a cause.
    pub(crate) fn decode(
        until: Option<i64>,
        interaction: Option<String>,
        started: Option<i64>,
        left: Option<i64>,
    ) -> Option<Self> {
        let pending = match (interaction, started, left) {
            (None, None, None) => None,
            (Some(interaction_id), Some(started_ms), None) => Some(Cause::Completion {
                interaction_id: interaction_id.into(),
                started_at: EventTime(started_ms),
            }),
            (None, None, Some(left_ms)) => Some(Cause::Left {
                at: LogTime(left_ms),
            }),
            (Some(_), None, _) | (None, Some(_), _) | (Some(_), Some(_), Some(_)) => return None,
        };
        (pending.is_none() || until.is_some()).then(|| Self {
            until: until.map(LogTime),
            pending: pending.map(Box::new),
        })
    }
}
