//! The ledger: every movement of every agent's points and rewards, from intent to outcome (S3.14).
//!
//! The event log is the append-only record; the ledger is how it reads as money. A [`Walk`] works the agents out again
//! from the first event (`shard::retrace`) and looks on (`book`): what an agent was before a step and is after it
//! differs by some lines (`change`, [`Entry`]). So no second record exists that could say something else, and a ledger
//! of last year can be made today. What it costs is that the log has to be kept for as long as its ledger is wanted.
//!
//! A line's `points` is what it changes the balance by; `balance = available + held - debt`:
//!
//! | kinds | points | moves |
//! |---|---|---|
//! | `earned`, `replaced`, `adjusted` | any | available |
//! | `expired` | as a rule below 0 | a workday leaves available with what it held |
//! | `claimed` | 0 | available to held |
//! | `awaiting`, `requested`, `approved`, `needs_review` | 0 | nothing: how the reward stands |
//! | `declined`, `rejected`, `withdrawn` | 0 | held to available |
//! | `issued` | minus the cost | held leaves; available, if it had counted as rejected or cancelled |
//! | `reversal_requested`, `reversal_needs_review` | 0 | nothing: how the reward stands |
//! | `cancellation_needs_review`, `restored` | 0 | nothing: how the reward stands |
//! | `reversed`, `cancelled` | the cost | available |
//! | `reversal_refused` | 0 | what available lacked becomes debt |
//! | `debt_paid` | 0 | available and debt fall together |
//!
//! `approved` and `declined` are a person's; what they lead to follows as a line of its own (`requested`, `issued`,
//! `reversed`, `reversal_refused`, `restored`, `cancelled`). A row that changes no points makes no line. Bots, queues and nobody have points but
//! get nothing for them: they have no account.

mod book;
mod change;
pub mod columns;
mod entry;
pub mod export;
pub mod parquet;
#[cfg(test)]
mod tests;
pub mod verify;

pub use self::{
    book::{Account, Balance, Books, DIFFERENCES_MAX, Difference},
    entry::{Entry, Kind},
};

use std::ops::ControlFlow;

use aftercall_actors::{
    contract::{
        key::{Key, Side},
        time::LogTime,
    },
    rules::RuleSet,
};

use self::book::Book;
use crate::{
    log::{Log, PartitionId, Position},
    shard::retrace::{Retrace, RetraceError},
};

/// Whose book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who<'a> {
    /// Every agent's.
    Everybody,
    /// One agent's, by id: only its partition is worked out.
    One(&'a str),
}

/// A walk through the log from the first event on.
pub struct Walk<'a> {
    /// Where the agents are: for comparing what they have come to with what is stored.
    pub retrace: Retrace,
    who: Who<'a>,
    end: Option<LogTime>,
}

impl<'a> Walk<'a> {
    /// Before the first event. `genesis` holds where a partition never had an owner.
    ///
    /// # Errors
    /// If the log cannot be read, or no longer holds its first event.
    pub async fn begin(
        log: &Log,
        genesis: &RuleSet,
        who: Who<'a>,
    ) -> Result<Walk<'a>, RetraceError> {
        let count = log.partition_count();
        let owner = match who {
            Who::Everybody => None,
            Who::One(id) => Some(Key::Agent(id).partition(count)),
        };
        let partitions: Vec<PartitionId> = PartitionId::of(Side::Agent, count)
            .filter(|partition| owner.is_none_or(|index| index == partition.index))
            .collect();
        let retrace = Retrace::anew(log, &partitions, genesis).await?;
        let end = None;
        Ok(Self { retrace, who, end })
    }

    /// Leaves out what the log stored at `end` or later.
    #[must_use]
    pub fn until(self, end: Option<LogTime>) -> Self {
        Self { end, ..self }
    }

    /// Walks to the end. Lines go to `sink` as they are made, in log order; nothing more is read once it breaks off.
    /// `progress` is told the position reached, of [`Retrace::until`].
    ///
    /// That lines do not come to what an agent has is no error here: it is in [`Books::differences`].
    ///
    /// # Errors
    /// If events are missing or cannot be read.
    pub async fn run(
        &mut self,
        sink: impl FnMut(Entry) -> ControlFlow<()>,
        progress: impl FnMut(Position),
    ) -> Result<Books, RetraceError> {
        let only = match self.who {
            Who::Everybody => None,
            Who::One(id) => Some(id),
        };
        let mut book = Book::new(only, self.end, sink);
        self.retrace.run(&mut book, progress).await?;
        Ok(book.finish())
    }
}
