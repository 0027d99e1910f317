//! An event's place in the log: whom its subject sends it to, and who may have put it there.

use aftercall_actors::contract::key::partition_of_token;

/// Which partitions a stored event belongs to, according to its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// One partition a side.
    Pair {
        /// Partition of the owner's token.
        agent: u16,
        /// Partition of the customer's token.
        customer: u16,
    },
    /// Every partition: ticks and rule activations.
    All,
}

/// Who said an event, as far as its place in the log tells.
///
/// What only the service says (outcomes, decisions, ticks) counts from the service's own place alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// Stored by a version before logs kept it: taken as it was then, so that old logs replay as they did.
    Unknown,
    /// The service, or who was given its place.
    Service,
    /// Any producer of events.
    Anyone,
}

/// Where a new event is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The partitions of an owner and a customer, by subject token (`Key::token`), `_` for none.
    Actors {
        /// Owner's token.
        owner: String,
        /// Customer's token.
        customer: String,
        /// CloudEvents type.
        event_type: String,
    },
    /// As [`Destination::Actors`], in the service's own place: for what only the service says.
    Own {
        /// Owner's token.
        owner: String,
        /// Customer's token.
        customer: String,
        /// CloudEvents type.
        event_type: String,
    },
    /// Every partition. The name is the CloudEvents type (`tick`, `rules.activated`).
    All {
        /// CloudEvents type.
        event_type: String,
    },
}

impl Destination {
    /// The partitions this leads to, of `count` a side; for the logs that have no server to work it out.
    #[must_use]
    pub fn route(&self, count: u16) -> Route {
        match self {
            Self::Actors {
                owner, customer, ..
            }
            | Self::Own {
                owner, customer, ..
            } => Route::Pair {
                agent: partition_of_token(owner, count),
                customer: partition_of_token(customer, count),
            },
            Self::All { .. } => Route::All,
        }
    }

    /// Whose place this is.
    #[must_use]
    pub const fn speaker(&self) -> Speaker {
        match self {
            Self::Actors { .. } => Speaker::Anyone,
            Self::Own { .. } | Self::All { .. } => Speaker::Service,
        }
    }
}
