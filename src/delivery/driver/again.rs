//! A log that may have lost its end: whether what was looked at still stands, and where to go on if it does not.
//!
//! Of each lane the last output looked at is known by its commit, its place and when it was stored there, so what is
//! published again, and what stands where something else stood, is told apart from what was seen; nothing is passed over
//! and nothing taken twice. Dead letters and decisions are not written again by anything: what is left of them is what
//! stood before, and what is stored later is new.

use std::{collections::BTreeMap, mem, sync::Arc};

use futures::FutureExt as _;

use super::Driver;
use crate::{
    delivery::{
        journal::{Journal, JournalError},
        original::each_dead,
        record::{Cursor, Moved, Sighting, Spot, holds},
        state::{Batch, Places},
    },
    log::{Log, LogError, PartitionId, Seq, Stored, StoredDead, mark, retry::read},
    planted::{Bug, is_planted},
    telemetry::metrics,
};

impl Driver {
    /// Whether the log may have lost its end since it was last looked at. What comes from it then is not taken in, and is
    /// read again later.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.looking.is_some() || self.log.doubts() != self.doubts
    }

    /// Looks again where there is cause for doubt.
    pub(super) fn watch_log(&mut self) {
        let doubts = self.log.doubts();
        if self.looking.is_some() || doubts == self.doubts {
            return;
        }
        self.doubts = doubts;
        // What is under way was read from a log that may be no more.
        self.outputs.close();
        self.decisions.close();
        let (log, destination) = (Arc::clone(&self.log), Arc::clone(&self.destination));
        let (places, follows) = (self.machine.places(), self.machine.follows());
        let journal_head = self.journal.as_ref().map(Journal::head);
        let looking = async move {
            let moved = look(&log, &destination, places, follows).await?;
            let head = read(|| log.delivery_head(&destination)).await?;
            Ok(Seen {
                moved,
                journal_head,
                head,
            })
        };
        self.looking = Some(looking.boxed_local());
    }

    /// Goes on from where the look has found the place.
    ///
    /// # Errors
    /// If another owner writes the journal now.
    pub(super) fn looked_again(&mut self, seen: Seen) -> Result<(), JournalError> {
        drop(mem::take(&mut self.looking));
        if let Some(moved) = seen.moved {
            self.machine.moved(self.log.now(), moved);
        }
        // A record that is under way finds out by itself; one that was written meanwhile stands behind what was read.
        if self.journal.as_ref().map(Journal::head) != seen.journal_head {
            self.doubts = self.doubts.wrapping_sub(u64::from(self.journal.is_some()));
            return Ok(());
        }
        if let (Some(journal), Some(head)) = (&self.journal, &seen.head)
            && journal.is_anothers(head)
        {
            let why = format!("delivery record {} is not ours", head.seq);
            return Err(JournalError::Fenced(why));
        }
        let head = seen.head.map_or(0, |head| head.seq);
        if let Some(journal) = self.journal.take_if(|journal| journal.is_behind(head)) {
            self.write_anew(journal, head, Batch::default());
        }
        Ok(())
    }
}

/// What a look has found.
pub(super) struct Seen {
    moved: Option<Moved>,
    /// Where the journal of this owner ended when the look began; `None` if a record was under way.
    journal_head: Option<Seq>,
    /// The newest record of the journal.
    head: Option<Stored>,
}

/// Where to go on, if the log no longer holds what was looked at.
///
/// # Errors
/// If the log cannot be read for good.
pub async fn look(
    log: &Log,
    destination: &str,
    places: Places,
    follows: Cursor,
) -> Result<Option<Moved>, LogError> {
    if is_planted(Bug::PlaceNotFoundAgain) {
        return Ok(None);
    }
    let output = outputs(log, &places, follows.output).await?;
    let moved = Moved {
        lanes: match output {
            Some(behind) => unsaid(log, &places, behind).await?,
            None => Vec::new(),
        },
        output,
        dead: dead(log, destination, &places, follows.dead).await?,
        at_ms: 0,
    };
    if let Some(behind) = moved.output {
        metrics().log_losses("outputs").inc();
        tracing::error!(
            destination,
            looked_at = follows.output,
            behind,
            "the log had lost outputs that were looked at: they are looked for again from there, and none is delivered twice"
        );
    }
    if let Some(behind) = moved.dead {
        metrics().log_losses("dead letters").inc();
        tracing::error!(
            destination,
            looked_at = follows.dead,
            behind,
            "the log had lost dead letters or decisions that were looked at"
        );
    }
    let has_moved = moved.output.is_some() || moved.dead.is_some();
    Ok(has_moved.then_some(moved))
}

/// The last sequence up to which outputs are those that were looked at; nothing if that is all of them.
async fn outputs(log: &Log, places: &Places, cursor: Seq) -> Result<Option<Seq>, LogError> {
    let newest_first = places.newest_first();
    let mut is_first = true;
    // What was seen behind the place was lost before, and its copy has not come by since.
    for sighting in newest_first.iter().filter(|some| some.at <= cursor) {
        match stands(log, sighting).await? {
            Some(true) => return Ok((!is_first).then_some(sighting.at)),
            Some(false) => is_first = false,
            None => {}
        }
    }
    if !is_first {
        return Ok(Some(0));
    }
    // A journal from before lanes were noted: all that can be seen is that the log has become shorter.
    let last = read(|| log.outputs_last()).await?;
    Ok((last < cursor).then_some(last))
}

/// Whether an output is the one that was looked at, in its place; `None` if this program knows no such lane. By chance its
/// copy may come to stand there, and something unseen before it: the copy has another time.
async fn stands(log: &Log, sighting: &Sighting) -> Result<Option<bool>, LogError> {
    let Some((partition, lane, output)) = sighting.asked() else {
        return Ok(None);
    };
    if !holds(mark::kept(&**log, partition, lane, output).await?) {
        return Ok(Some(false));
    }
    let Some(stored_ms) = sighting.stored_ms else {
        return Ok(Some(true));
    };
    let stored = read(|| log.output_at(sighting.at)).await?;
    let is_it = stored.is_none_or(|stored| stored.time.0 == stored_ms);
    Ok(Some(is_it || is_planted(Bug::CopyForOriginal)))
}

/// Lanes of which the journal has lost the newest commits as well: what is said anew has other numbers, so that nothing
/// above the journal's end counts as seen.
async fn unsaid(log: &Log, places: &Places, behind: Seq) -> Result<Vec<Sighting>, LogError> {
    let mut ends: BTreeMap<PartitionId, u64> = BTreeMap::new();
    let mut lanes = Vec::new();
    for sighting in places.newest_first() {
        let Some((partition, ..)) = sighting.asked().filter(|_| sighting.at > behind) else {
            continue;
        };
        let end = match ends.get(&partition) {
            Some(end) => *end,
            None => {
                let head = read(|| log.journal_head(partition)).await?;
                // One that cannot be read stops its partition, and says nothing new.
                let end = head.map_or(0, |head| {
                    mark::Sealing::of(&head.bytes).map_or(u64::MAX, |sealing| sealing.commit)
                });
                ends.insert(partition, end);
                end
            }
        };
        if end < sighting.spot.commit {
            lanes.push(Sighting {
                spot: Spot {
                    commit: end,
                    ordinal: u32::MAX,
                    ..sighting.spot
                },
                at: behind,
                stored_ms: None,
            });
        }
    }
    Ok(lanes)
}

/// The same of dead letters and decisions.
async fn dead(
    log: &Log,
    destination: &str,
    places: &Places,
    cursor: Seq,
) -> Result<Option<Seq>, LogError> {
    if cursor == 0 || is_planted(Bug::DeadPlaceKept) {
        return Ok(None);
    }
    let entry = read(|| log.dead_at(cursor)).await?;
    match (entry, places.dead_at()) {
        (Some(entry), Some(at)) if entry.time != at => return Ok(Some(0)),
        (Some(_), _) => return Ok(None),
        (None, _) => {}
    }
    // Removed, or lost. In its place and behind it there may be new ones already, which are later.
    let seen = places.dead_at();
    let (mut last, mut end) = (0, 0);
    let look = |entry: StoredDead| {
        end = end.max(entry.seq);
        if seen.is_none_or(|seen| entry.time <= seen) {
            last = last.max(entry.seq);
        }
    };
    each_dead(log, destination, look).await?;
    Ok((end < cursor).then_some(last))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aftercall_actors::contract::{key::Side, output::Kind};

    use super::*;
    use crate::log::{
        Lane, NewOutput,
        memory::{Faults, World},
    };

    async fn publish(log: &Log, partition: PartitionId) {
        let output = NewOutput {
            commit: 1,
            ordinal: 0,
            lane: Lane::Out(Kind::Alert),
            attributes: Vec::new(),
            payload: "{}".into(),
        };
        let stored = log
            .outputs_append(partition, &mut [0; Lane::COUNT], &[output])
            .await;
        assert_eq!(stored.expect("it is stored"), 1);
    }

    /// What stood at 1 and 2 was looked at. Now another stands at 1, and at 2 what stood there before.
    #[tokio::test(start_paused = true)]
    async fn a_copy_that_stands_where_its_original_stood_proves_nothing() {
        let world = World::new(3, Faults::default());
        let log: Log = Arc::new(world.client());
        let partitions: Vec<PartitionId> = PartitionId::of(Side::Agent, 3).collect();
        publish(&log, partitions[0]).await;
        publish(&log, partitions[1]).await;
        let mut places = Places::default();
        for at in [1, 2] {
            let stored = log.output_at(at).await.expect("a log").expect("an output");
            places.see(Sighting {
                spot: Spot::of(&stored).expect("it says"),
                at,
                stored_ms: Some(stored.time.0),
            });
        }
        assert_eq!(outputs(&log, &places, 2).await.expect("a place"), None);
        world.lose_outputs_after(0);
        tokio::time::sleep(Duration::from_secs(1)).await;
        publish(&log, partitions[2]).await;
        publish(&log, partitions[1]).await;
        assert_eq!(outputs(&log, &places, 2).await.expect("a place"), Some(0));
    }
}
