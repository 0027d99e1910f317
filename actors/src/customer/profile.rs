//! When a customer's profile goes out: at most once per merge time, nothing lost (S4.05).
//!
//! The first change goes at once; changes within the merge time after it are merged into one update, sent at
//! its end through the actor's deadline, with the newest state and the newest completion's key. Used by
//! `customer`, which makes the update itself.

use std::{borrow::Cow, fmt::Write};

use crate::{
    contract::{
        event::InteractionCompleted,
        time::{EventTime, LogTime},
    },
    stored::{state::StoredCustomer, wire},
};

/// What an update is sent for, and named after.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause<'a> {
    /// A completion.
    Completion {
        /// Its interaction.
        interaction_id: Cow<'a, str>,
        /// When it began.
        started_at: EventTime,
    },
    /// A disposition that came or changed after the completion (S4.09).
    Updated {
        /// Its interaction.
        interaction_id: Cow<'a, str>,
        /// When it changed.
        updated_at: EventTime,
    },
    /// Time alone: the last contact left the history window, and with it the segments.
    Left {
        /// When it left.
        at: LogTime,
    },
}

impl<'a> Cause<'a> {
    /// The completion as a cause.
    #[must_use]
    pub fn of(event: &'a InteractionCompleted) -> Self {
        Self::Completion {
            interaction_id: Cow::Borrowed(&event.interaction_id),
            started_at: event.started_at,
        }
    }

    /// Id of the output. A completion names one update; so do a change of its disposition and the moment a window
    /// emptied.
    #[must_use]
    pub fn output_id(&self, customer_id: &str) -> String {
        let (name, end, ms) = match self {
            Self::Completion {
                interaction_id,
                started_at,
            } => (&**interaction_id, ":", started_at.0),
            Self::Updated {
                interaction_id,
                updated_at,
            } => (&**interaction_id, ":updated:", updated_at.0),
            Self::Left { at } => ("left", ":", at.0),
        };
        let length = "profile::".len() + customer_id.len() + name.len() + end.len() + TIME_BYTES;
        let mut id = String::with_capacity(length);
        for part in ["profile:", customer_id, ":", name, end] {
            id.push_str(part);
        }
        append(&mut id, ms);
        id
    }

    /// `<interaction id>-<start time>` (S4.03); for a change `<interaction id>-updated-<time>`, for time alone
    /// `<customer id>-left-<time>`.
    #[must_use]
    pub fn idempotency_key(&self, customer_id: &str) -> String {
        let (name, end, time) = match self {
            Self::Completion {
                interaction_id,
                started_at,
            } => (&**interaction_id, "-", *started_at),
            Self::Updated {
                interaction_id,
                updated_at,
            } => (&**interaction_id, "-updated-", *updated_at),
            Self::Left { at } => (customer_id, "-left-", EventTime(at.0)),
        };
        let mut key = String::with_capacity(name.len() + end.len() + TIME_BYTES);
        key.push_str(name);
        key.push_str(end);
        append(&mut key, time);
        key
    }

    fn into_owned(self) -> Cause<'static> {
        match self {
            Self::Completion {
                interaction_id,
                started_at,
            } => Cause::Completion {
                interaction_id: Cow::Owned(interaction_id.into_owned()),
                started_at,
            },
            Self::Updated {
                interaction_id,
                updated_at,
            } => Cause::Updated {
                interaction_id: Cow::Owned(interaction_id.into_owned()),
                updated_at,
            },
            Self::Left { at } => Cause::Left { at },
        }
    }
}

/// Room for a time, written out or in milliseconds.
const TIME_BYTES: usize = 24;

fn append(text: &mut String, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let written = write!(text, "{value}");
    debug_assert!(written.is_ok(), "strings take all that is written");
}

/// The merge of one customer's updates.
///
/// Clock: log time. Boundary: after an update at `t` the next goes no earlier than `t` plus the merge time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merge {
    /// End of the merge time after the last update.
    until: Option<LogTime>,
    /// What the update at that end will be sent for.
    pending: Option<Box<Cause<'static>>>,
}

impl Merge {
    /// Takes a change. Returns its cause if an update is to go at once; else it waits.
    pub fn offer<'a>(
        &mut self,
        now: LogTime,
        cause: Cause<'a>,
        merge_ms: i64,
    ) -> Option<Cause<'a>> {
        let cause = match (self.pending.take().map(|pending| *pending), cause) {
            // The state is newer, but the newest contact still names the update.
            (
                Some(contact @ (Cause::Completion { .. } | Cause::Updated { .. })),
                Cause::Left { .. },
            ) => contact,
            (_, newest) => newest,
        };
        match self.until {
            Some(until) if merge_ms > 0 && now < until => {
                // Had log time jumped back, the wait would be as long as the jump.
                self.until = Some(until.min(now.plus_ms(merge_ms)));
                self.pending = Some(Box::new(cause.into_owned()));
                None
            }
            Some(_) | None => {
                self.start(now, merge_ms);
                Some(cause)
            }
        }
    }

    /// The cause of the update that is due at `now`, if one is.
    pub fn take_due(&mut self, now: LogTime, merge_ms: i64) -> Option<Cause<'static>> {
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
const PENDING_UPDATED: u32 = 16;

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
            Some(Cause::Updated {
                interaction_id,
                updated_at,
            }) => {
                wire::bytes(PENDING_INTERACTION, interaction_id.as_bytes(), into);
                wire::optional_sint(PENDING_UPDATED, Some(updated_at.0), into);
            }
            Some(Cause::Left { at }) => wire::optional_sint(PENDING_LEFT, Some(at.0), into),
            None => {}
        }
    }

    /// `None` if an update waits for no time, or for half a cause.
    pub(crate) fn decode(stored: &mut StoredCustomer) -> Option<Self> {
        let until = stored.merge_until;
        let interaction = stored.pending_interaction.take().map(Cow::Owned);
        let times = (
            stored.pending_started_at,
            stored.pending_updated_at,
            stored.pending_left_at,
        );
        let pending = match (interaction, times) {
            (None, (None, None, None)) => None,
            (Some(interaction_id), (Some(started_ms), None, None)) => Some(Cause::Completion {
                interaction_id,
                started_at: EventTime(started_ms),
            }),
            (Some(interaction_id), (None, Some(updated_ms), None)) => Some(Cause::Updated {
                interaction_id,
                updated_at: EventTime(updated_ms),
            }),
            (None, (None, None, Some(left_ms))) => Some(Cause::Left {
                at: LogTime(left_ms),
            }),
            (Some(_), _) | (None, _) => return None,
        };
        (pending.is_none() || until.is_some()).then(|| Self {
            until: until.map(LogTime),
            pending: pending.map(Box::new),
        })
    }
}
