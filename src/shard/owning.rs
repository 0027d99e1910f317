//! Which of several processes on one log has it, and what the others do meanwhile.
//!
//! The one whose record stands last in the first partition's journal takes back what another has taken, and the others
//! stand by. One that stands by has a tick stored where nothing is committed for a while: each partition of the process
//! that has the log applies and commits it. If nothing comes of it, that process has gone, or stands still, and this one
//! takes over; should the other come back, it finds a newer record than its own, and stands by in turn.

use std::time::Duration;

use tokio::time::Instant;

use super::drive::Surroundings;
use crate::{
    envelope,
    log::{Log, LogError, PartitionId, Seq, mark::Sealing},
    planted::{PanicIn, panic_if_planted},
};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The first partition commits nothing for so long before a tick is stored,
const SILENT: Duration = Duration::from_secs(5);

/// and for so long after it no partition does, before the process that has the log is taken to have gone. One that is not
/// ready for this long has failed in any case.
const GONE: Duration = Duration::from_secs(15);

/// Looks until dropped, on a log that several processes can run on.
pub(super) async fn own(around: Surroundings) {
    panic_if_planted(PanicIn::Owning);
    let Surroundings {
        log, board, owner, ..
    } = around;
    let Some(first) = PartitionId::all(log.partition_count()).next() else {
        return;
    };
    let mut silence: Option<Silence> = None;
    let mut gone = GONE;
    while log.is_shared() {
        tokio::time::sleep(LOOK_EVERY).await;
        let Ok(Some(head)) = log.journal_head(first).await else {
            // A log that gives no answer says nothing of the other process.
            silence = None;
            continue;
        };
        let Some(sealing) = Sealing::of(&head.bytes) else {
            continue;
        };
        if owner.is_this() && sealing.commit < board.commit(first) {
            board.ask_anew(first, &"its journal has lost its end");
            continue;
        }
        let was_another = owner.is_another();
        owner.stands(sealing.owner);
        if owner.is_this() {
            board.take_back();
        } else if owner.is_another() && !was_another {
            tracing::error!("another process has taken over: this one stands by");
            board.stand_by("another process has taken over, and this one stands by");
        }
        if owner.is_this() || board.has_any_alive() {
            silence = None;
            continue;
        }
        let so_far = silence.take().filter(|silence| silence.head == head.seq);
        let mut silent = so_far.unwrap_or_else(|| Silence::behind(head.seq));
        match silent.has_gone(&log, gone).await {
            Ok(true) => {
                tracing::warn!("the process that had the log commits nothing: this one takes over");
                // Should it only have been slow to recover: two that take turns must not go on like that for ever.
                gone *= 2;
                owner.begin_anew();
                board.take_back();
            }
            Ok(false) => silence = Some(silent),
            Err(error) => tracing::debug!(%error, "it cannot be told whether the other works"),
        }
    }
}

/// The time in which the process that has the log has committed nothing.
struct Silence {
    /// The first partition's last record.
    head: Seq,
    since: Instant,
    /// When a tick was stored, and the last record of each partition then.
    asked: Option<(Instant, Vec<Seq>)>,
}

impl Silence {
    fn behind(head: Seq) -> Self {
        Self {
            head,
            since: Instant::now(),
            asked: None,
        }
    }

    async fn has_gone(&mut self, log: &Log, gone: Duration) -> Result<bool, LogError> {
        match &self.asked {
            None if self.since.elapsed() >= SILENT => {
                let heads = heads(log).await?;
                let mut stored = log.append(vec![envelope::tick_event(log.now())]).await;
                // Where no tick is stored there may be nothing to commit.
                if let Some(Ok(_)) = stored.pop() {
                    self.asked = Some((Instant::now(), heads));
                }
                Ok(false)
            }
            Some((at, before)) if at.elapsed() >= gone => {
                // The first partition alone may have stopped.
                let is_silent = heads(log).await? == *before;
                *self = Self::behind(self.head);
                Ok(is_silent)
            }
            None | Some(_) => Ok(false),
        }
    }
}

/// The last record of each partition; 0 where there is none.
async fn heads(log: &Log) -> Result<Vec<Seq>, LogError> {
    let mut heads = Vec::new();
    for partition in PartitionId::all(log.partition_count()) {
        let head = log.journal_head(partition).await?;
        heads.push(head.map_or(0, |head| head.seq));
    }
    Ok(heads)
}
