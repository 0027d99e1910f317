//! The actix actor of one partition: a bounded mailbox in front of the loop in `drive.rs`.
//!
//! A feed is answered when the partition has taken it in, so a full partition holds the reader back instead of
//! letting its mailbox grow. A question is answered by that loop too (`answering`), or refused at once if too many wait.
//!
//! A loop that panics has stopped its partition, as a record that cannot be read would: the others go on, feeds for it
//! are refused, and a release does not wait for it.

use actix::prelude::*;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use super::{
    answering::QUESTIONS_MAX,
    ask::{Answer, Ask, AskFault, Asked},
    batch::Feed,
    drive::{Acquired, Ended, Surroundings, acquire, drive},
    reader::Inlet,
};
use crate::{
    log::{EventMark, PartitionId, Position},
    supervise::caught,
};

/// Feeds a partition takes in ahead of what it applies.
const FEEDS_MAX: usize = 2;

/// Messages the mailbox holds.
const MAILBOX_MAX: usize = 8;

/// The host of one partition.
pub struct PartitionHost {
    partition: PartitionId,
    around: Surroundings,
    acquired: Option<Acquired>,
    feeds: Option<mpsc::Sender<Feed>>,
    questions: Option<mpsc::Sender<Asked>>,
    ended: tokio::sync::watch::Sender<bool>,
}

impl PartitionHost {
    /// A host that has taken nothing over yet.
    #[must_use]
    pub fn new(partition: PartitionId, around: Surroundings) -> Self {
        Self {
            partition,
            around,
            acquired: None,
            feeds: None,
            questions: None,
            ended: tokio::sync::watch::Sender::new(false),
        }
    }
}

impl Actor for PartitionHost {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
    }
}

/// Takes the partition over; the answer is the position behind which replay begins and the event at the committed one, or
/// nothing if it must not run.
#[derive(Message)]
#[rtype(result = "Option<(Position, EventMark)>")]
pub struct TakeOver;

impl Handler<TakeOver> for PartitionHost {
    type Result = ResponseActFuture<Self, Option<(Position, EventMark)>>;

    fn handle(&mut self, _: TakeOver, _: &mut Self::Context) -> Self::Result {
        let around = self.around.clone();
        let partition = self.partition;
        let taking = async move {
            let acquired = caught(acquire(&around, partition)).await;
            acquired.unwrap_or_else(|panicked| Err(panicked.into()))
        };
        Box::pin(
            taking
                .into_actor(self)
                .map(|outcome, host, _| match outcome {
                    Ok(acquired) => {
                        let begins = (acquired.floor, acquired.committed);
                        host.acquired = Some(acquired);
                        Some(begins)
                    }
                    Err(ended) => {
                        ended.show(&host.around.board, host.partition);
                        None
                    }
                }),
        )
    }
}

/// Begins to apply feeds.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Begin;

impl Handler<Begin> for PartitionHost {
    type Result = ();

    fn handle(&mut self, _: Begin, _: &mut Self::Context) {
        let Some(acquired) = self.acquired.take() else {
            return;
        };
        let (feeds, inlet) = mpsc::channel(FEEDS_MAX);
        self.feeds = Some(feeds);
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        self.questions = Some(questions);
        // It may have run before.
        self.ended.send_replace(false);
        let (around, partition, ended) = (self.around.clone(), self.partition, self.ended.clone());
        actix::spawn(async move {
            let outcome = caught(drive(around.clone(), acquired, inlet, asked)).await;
            if outcome.is_err() {
                // What it held is gone with it.
                around.memory.set(partition, 0);
            }
            let outcome = outcome.unwrap_or_else(Ended::from);
            outcome.show(&around.board, partition);
            ended.send_replace(true);
        });
    }
}

/// Events for the partition; the answer comes when it has taken them in, `false` if it has ended.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct Take(pub Feed);

impl Handler<Take> for PartitionHost {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, Take(feed): Take, _: &mut Self::Context) -> Self::Result {
        let feeds = self.feeds.clone();
        Box::pin(async move {
            match feeds {
                Some(feeds) => feeds.send(feed).await.is_ok(),
                None => false,
            }
        })
    }
}

impl Handler<Ask> for PartitionHost {
    type Result = ResponseFuture<Result<Answer, AskFault>>;

    fn handle(&mut self, Ask(question): Ask, _: &mut Self::Context) -> Self::Result {
        let questions = self.questions.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let asked = Asked { question, reply };
            // A partition with that many questions is not given more to remember.
            match questions.map(|questions| questions.try_send(asked)) {
                Some(Ok(())) => answer.await.unwrap_or(Err(AskFault::NotRunning)),
                Some(Err(TrySendError::Full(_))) => Err(AskFault::Busy),
                Some(Err(TrySendError::Closed(_))) | None => Err(AskFault::NotRunning),
            }
        })
    }
}

/// Ends the partition: what was taken in is applied, committed, published and packed before the answer comes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Release;

impl Handler<Release> for PartitionHost {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Release, _: &mut Self::Context) -> Self::Result {
        let runs = self.feeds.take().is_some();
        let mut ended = self.ended.subscribe();
        Box::pin(async move {
            if runs {
                // The sender lives in the host, which outlives this answer.
                let _ = ended.wait_for(|ended| *ended).await;
            }
        })
    }
}

/// Feeds go to the host's mailbox.
pub struct HostInlet(pub Addr<PartitionHost>);

impl Inlet for HostInlet {
    fn feed(&self, feed: Feed) -> futures::future::LocalBoxFuture<'static, bool> {
        let sending = self.0.send(Take(feed));
        Box::pin(async move { sending.await.unwrap_or(false) })
    }
}
