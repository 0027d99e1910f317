//! Asking actors how they stand, without acting on them.
//!
//! A question goes to the partition's mailbox like everything else and is answered by its loop between batches, so no
//! state is ever shared between threads. Looking changes nothing: a quiet actor is decoded for the answer and stays
//! quiet, none is marked as changed. What spans all actors is folded slice by slice, a turn of the loop each, so that a
//! question holds up no event for longer than a slice takes. Neighbours: `host` takes questions in, `drive` gives
//! `answering` its turns; `src/desk` asks, and knows only what stands here.

use std::{fmt, sync::Arc, time::Duration};

use actix::{MailboxError, Message, Recipient};
use aftercall_actors::{
    contract::{
        event::{Decision, RewardDecided},
        key::{Key, Side},
        time::LogTime,
        value::Id,
    },
    rewards::statement::{Earnings, Judgement, Period, Statement, Window},
};
use tokio::sync::oneshot;

use crate::log::{PartitionId, Position};

/// How long an answer may take before the asker gives up: a partition that long without a turn is in trouble.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something to be known of a partition's actors.
#[derive(Clone, Debug)]
pub enum Question {
    /// What counts now: the window, and the programs in force.
    Terms,
    /// An agent's statement; that of one who has nothing if none of this id is held.
    Statement(Id),
    /// What became of a decision about a reward, were it made now.
    Reward(Wish),
    /// The agents who earned most.
    Ranking {
        /// Workdays, and whose rewards count.
        period: Arc<Period>,
        /// How many of them.
        limit: usize,
    },
}

/// What a person wants done with a reward.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The reward, or its reversal.
    pub reward_id: Id,
    /// Its agent, if that is known; else all are asked.
    pub agent_id: Option<Id>,
    /// What is to be done.
    pub decision: Decision,
    /// Who wants it.
    pub by: Id,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Everything up to this position is in it.
    pub as_of: Position,
    /// Log time it was made for.
    pub at: LogTime,
    /// What was asked for.
    pub found: Found,
}

/// What was found.
#[derive(Clone, Debug)]
pub enum Found {
    /// To [`Question::Terms`].
    Terms(Terms),
    /// To [`Question::Statement`].
    Statement(Box<Statement>),
    /// To [`Question::Reward`]: the decision as it would be made, and what its agent would make of it; nothing if no
    /// agent here ever claimed such a reward.
    Reward(Option<Box<(RewardDecided, Judgement)>>),
    /// To [`Question::Ranking`].
    Ranking(Ranking),
}

/// What counts at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The workdays whose points count.
    pub window: Window,
    /// Names of the programs in force, switched on or not.
    pub programs: Vec<String>,
}

/// The agents of a partition who earned most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    /// Most points first, then by id; at most as many as asked for.
    pub best: Vec<(String, Earnings)>,
    /// How many agents earned, lost or were given anything.
    pub agents: u64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct AskError {
    /// The partition asked.
    pub partition: PartitionId,
    /// What kept it.
    pub fault: AskFault,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition {} {}", self.partition, self.fault)
    }
}

/// What keeps a partition from answering.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskFault {
    /// It has not begun, or has ended.
    #[error("is not running")]
    NotRunning,
    /// It replays, so what it holds is of the past.
    #[error("is recovering")]
    Recovering,
    /// Too many questions wait.
    #[error("has too many questions waiting")]
    Busy,
    /// It took too long.
    #[error("did not answer in time")]
    Late,
    /// A stored actor cannot be read: the partition will stop at that actor's next event.
    #[error("holds a state that cannot be read: {0}")]
    Unreadable(String),
}

impl AskFault {
    /// Whether the same question can be answered later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::NotRunning | Self::Recovering | Self::Busy | Self::Late => true,
            Self::Unreadable(_) => false,
        }
    }
}

/// A question in a host's mailbox.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Result<Answer, AskFault>")]
pub struct Ask(pub Question);

/// A question in a partition's loop, and where its answer goes.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub question: Question,
    /// Whoever waits.
    pub reply: oneshot::Sender<Result<Answer, AskFault>>,
}

/// The way to the partitions of agents of this process. Clones lead to the same.
#[derive(Clone)]
pub struct Asker {
    /// By number.
    hosts: Arc<[Recipient<Ask>]>,
}

impl Asker {
    /// A way to these hosts: those of the agents' partitions, by number.
    #[must_use]
    pub fn new(hosts: Vec<Recipient<Ask>>) -> Self {
        Self {
            hosts: hosts.into(),
        }
    }

    /// Asks the partition that holds `agent`.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn about(&self, agent: &str, question: Question) -> Result<Answer, AskError> {
        let count = u16::try_from(self.hosts.len()).unwrap_or(u16::MAX);
        self.ask(Key::Agent(agent).partition(count), question).await
    }

    /// Asks the first partition: what holds in all of them.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn any(&self, question: Question) -> Result<Answer, AskError> {
        self.ask(0, question).await
    }

    /// Asks every partition.
    ///
    /// # Errors
    /// If one does not answer: half an answer would look like a whole one.
    pub async fn all(&self, question: &Question) -> Result<Vec<Answer>, AskError> {
        let count = u16::try_from(self.hosts.len()).unwrap_or(u16::MAX);
        let asking = (0..count).map(|index| self.ask(index, question.clone()));
        futures::future::try_join_all(asking).await
    }

    async fn ask(&self, index: u16, question: Question) -> Result<Answer, AskError> {
        let failed = |fault| AskError {
            partition: PartitionId {
                side: Side::Agent,
                index,
            },
            fault,
        };
        let Some(host) = self.hosts.get(usize::from(index)) else {
            return Err(failed(AskFault::NotRunning));
        };
        match tokio::time::timeout(PATIENCE, host.send(Ask(question))).await {
            Ok(Ok(answer)) => answer.map_err(failed),
            Ok(Err(MailboxError::Closed)) => Err(failed(AskFault::NotRunning)),
            Ok(Err(MailboxError::Timeout)) | Err(_) => Err(failed(AskFault::Late)),
        }
    }
}
