//! An output that is needed once more, after it was taken: what the log or its dead letter still has of it.

use futures::StreamExt as _;

use super::{
    dead_letter::Entry,
    parcel::Parcel,
    record::{Sighting, Taken},
};
use crate::log::{Kept, Log, LogError, StoredDead, retry::read};

/// What has become of an output that could not be read: one that was lost with the log's end comes again. `None` if that
/// cannot be known.
pub async fn what_became(log: &Log, taken: &Taken) -> Option<Kept> {
    let sighting = taken.spot.map(|spot| Sighting {
        spot,
        at: taken.stands_at(),
        stored_ms: None,
    });
    let (partition, lane, mark) = sighting?.asked()?;
    read(|| log.output_kept(partition, lane, mark)).await.ok()
}

/// What a destination's letter about an output has of it.
pub async fn letter_of(log: &Log, destination: &str, taken: &Taken) -> Option<Parcel> {
    let mut found = None;
    let look = |entry: StoredDead| {
        if let Ok(Entry::Letter(letter)) = Entry::read(&entry)
            && letter.output.seq == taken.seq
            && letter.output.id == taken.id
        {
            found = letter.output.parcel().or(found.take());
        }
    };
    each_dead(log, destination, look).await.ok()?;
    found
}

/// Shows the dead letters and decisions of a destination in order, once more from the first where the log could not be
/// read on.
///
/// # Errors
/// If the log cannot be read for good.
pub async fn each_dead(
    log: &Log,
    destination: &str,
    mut look: impl FnMut(StoredDead),
) -> Result<(), LogError> {
    'reading: loop {
        let mut entries = read(|| log.dead_scan(Some(destination))).await?;
        while let Some(entry) = entries.next().await {
            match entry {
                Ok(entry) => look(entry),
                Err(error) if error.is_transient() => continue 'reading,
                Err(error) => return Err(error),
            }
        }
        return Ok(());
    }
}
