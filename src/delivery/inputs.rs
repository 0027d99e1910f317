//! What comes to a destination's driver from the log: outputs, and operators' decisions about dead letters.
//!
//! Both are followed from where the driver has got to, and only while it has room. A stream that breaks is opened
//! again there. Waiting for one is given up and taken up again all the time, so everything half done (the opening, the
//! look at a letter) is kept.

use std::{mem, sync::Arc};

use aftercall_actors::contract::{output::Kind, time::LogTime};
use futures::{
    StreamExt as _,
    future::{BoxFuture, FutureExt as _},
    stream::BoxStream,
};
use tokio::time::sleep;

use super::{
    dead_letter::{Choice, Decision, Entry},
    parcel::Parcel,
    record::{Case, Spot},
    state::Find,
    transport::Transport,
};
use crate::log::{
    EventLog, Lane, Log, LogError, Seq, StoredDead, StoredOutput, TailFrom,
    retry::{READ_PAUSE, read},
};

type Opened<T> = Result<BoxStream<'static, Result<T, LogError>>, LogError>;

/// Something followed from a sequence on.
pub struct Follow<T> {
    open: Box<dyn Fn(Seq) -> BoxFuture<'static, Opened<T>> + Send>,
    stage: Stage<T>,
}

enum Stage<T> {
    Closed,
    Opening(BoxFuture<'static, Opened<T>>),
    Open(BoxStream<'static, Result<T, LogError>>),
}

impl<T: Send + 'static> Follow<T> {
    fn new(open: impl Fn(Seq) -> BoxFuture<'static, Opened<T>> + Send + 'static) -> Self {
        Self {
            open: Box::new(open),
            stage: Stage::Closed,
        }
    }

    /// Waits for the next one. `after` counts where the stream has to be opened; otherwise it goes on where it was.
    ///
    /// # Errors
    /// Those that opening it again does not help against.
    pub async fn next(&mut self, after: Seq) -> Result<T, LogError> {
        loop {
            match &mut self.stage {
                Stage::Closed => self.stage = Stage::Opening((self.open)(after)),
                Stage::Opening(opening) => match opening.await {
                    Ok(stream) => self.stage = Stage::Open(stream),
                    Err(error) => self.reopen(after, error)?,
                },
                Stage::Open(stream) => match stream.next().await {
                    Some(Ok(next)) => return Ok(next),
                    Some(Err(error)) => self.reopen(after, error)?,
                    None => self.stage = Stage::Closed,
                },
            }
        }
    }

    /// Lets go of the stream: nothing is wanted for now.
    pub fn close(&mut self) {
        self.stage = Stage::Closed;
    }

    fn reopen(&mut self, after: Seq, error: LogError) -> Result<(), LogError> {
        drop(mem::replace(&mut self.stage, Stage::Closed));
        if !error.is_transient() {
            return Err(error);
        }
        tracing::debug!(%error, "following the log again");
        let opening = (self.open)(after);
        self.stage = Stage::Opening(
            async move {
                sleep(READ_PAUSE).await;
                opening.await
            }
            .boxed(),
        );
        Ok(())
    }
}

/// Follows the outputs of some lanes; of all kinds, if none is named.
#[must_use]
pub fn outputs(log: &Log, lanes: &[Lane]) -> Follow<StoredOutput> {
    let log = Arc::clone(log);
    let lanes: Vec<Lane> = match lanes {
        [] => Kind::ALL.map(Lane::Out).into(),
        lanes => lanes.to_vec(),
    };
    Follow::new(move |after| {
        let (log, lanes) = (Arc::clone(&log), lanes.clone());
        async move { log.outputs_tail(&lanes, TailFrom::After(after)).await }.boxed()
    })
}

/// What the machine needs to know of an output.
#[must_use]
pub fn find(transport: &dyn Transport, parcel: &Parcel) -> Find {
    Find {
        seq: parcel.seq,
        id: parcel.id.clone(),
        kind: parcel.kind,
        event_type: parcel.event_type.clone(),
        subject: parcel.subject.clone(),
        stored_at: parcel.stored_at,
        thread: transport.thread(parcel).map_err(|fault| fault.to_string()),
        spot: None,
        at: 0,
    }
}

/// What an entry among the dead letters asks of the driver.
#[derive(Clone, Debug)]
pub struct OperatorDecision {
    /// Its sequence.
    pub seq: Seq,
    /// When the log stored it.
    pub time: LogTime,
    /// What it asks.
    pub choice: OperatorChoice,
}

/// The output of a retry; with what identifies it, if it still stands where it did.
pub type Retried = (Box<Parcel>, Option<Spot>);

/// What an operator wants.
#[derive(Clone, Debug)]
pub enum OperatorChoice {
    /// Nothing: it is a letter, or nothing that can be carried out.
    None,
    /// To close a case.
    Drop(Case),
    /// To have an output tried again.
    Retry(Case, Retried),
}

/// Follows the decisions about a destination's dead letters.
#[must_use]
pub fn decisions(log: &Log, destination: &Arc<str>) -> Follow<OperatorDecision> {
    let (log, destination) = (Arc::clone(log), Arc::clone(destination));
    Follow::new(move |after| {
        let (log, destination) = (Arc::clone(&log), Arc::clone(&destination));
        async move {
            let entries = log.dead_tail(&destination, after).await?;
            let decisions = entries.then(move |entry| {
                let log = Arc::clone(&log);
                async move { read_decision(&*log, entry?).await }
            });
            Ok(decisions.boxed())
        }
        .boxed()
    })
}

async fn read_decision(
    log: &dyn EventLog,
    stored: StoredDead,
) -> Result<OperatorDecision, LogError> {
    let (seq, time) = (stored.seq, stored.time);
    let choice = match Entry::read(&stored) {
        Ok(Entry::Letter(_)) => OperatorChoice::None,
        Ok(Entry::Decision(decision)) => {
            let case = Case {
                output: decision.output_seq,
                round: decision.round,
            };
            match decision.choice {
                Choice::Drop => OperatorChoice::Drop(case),
                Choice::Retry => match parcel(log, &decision).await? {
                    Ok(retried) => OperatorChoice::Retry(case, retried),
                    Err(why) => {
                        tracing::warn!(
                            seq,
                            destination = decision.destination,
                            why,
                            "a retry was passed over"
                        );
                        OperatorChoice::None
                    }
                },
            }
        }
        Err(error) => {
            tracing::warn!(%error, "an entry among the dead letters was passed over");
            OperatorChoice::None
        }
    };
    Ok(OperatorDecision { seq, time, choice })
}

/// The output that is to be tried again, from the log or else from its letter; or why it is not.
async fn parcel(
    log: &dyn EventLog,
    decision: &Decision,
) -> Result<Result<Retried, String>, LogError> {
    let letter = read(|| log.dead_at(decision.letter)).await?;
    let letter = letter.as_ref().map(Entry::read);
    let letter = match letter {
        Some(Ok(Entry::Letter(letter))) if letter.output.seq == decision.output_seq => letter,
        Some(Ok(Entry::Letter(_) | Entry::Decision(_)) | Err(_)) | None => {
            return Ok(Err("its letter is not there".to_owned()));
        }
    };
    if let Some(why) = letter.not_retryable {
        return Ok(Err(why));
    }
    let stored = read(|| log.output_at(decision.output_seq)).await?;
    // A log that lost its end may have another output there.
    let standing = stored.and_then(|stored| Some((Parcel::read(&stored).ok()?, Spot::of(&stored))));
    let standing = standing.filter(|(parcel, _)| parcel.id == letter.output.id);
    let retried = standing.or_else(|| Some((letter.output.parcel()?, None)));
    let retried = retried.map(|(parcel, spot)| (Box::new(parcel), spot));
    Ok(retried.ok_or_else(|| "its output is no longer held".to_owned()))
}
