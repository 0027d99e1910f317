//! By what a destination knows its place among the outputs, should the log lose its end and give sequences out again.
//!
//! A sequence alone proves nothing then. A lane's outputs are stored in the order of commit and ordinal, whichever process
//! publishes them, so the last one looked at in each lane tells what is new and what is a copy of what was seen.

use prost::Message;

use crate::log::{Kept, Lane, OutputMark, PartitionId, Seq, StoredOutput};
use aftercall_actors::contract::{key::Side, output::Kind};

/// What identifies an output, wherever it stands.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Spot {
    /// Place of its partition's side in `Side::ALL`.
    #[prost(uint32, tag = "1")]
    pub side: u32,
    /// Its partition's number.
    #[prost(uint32, tag = "2")]
    pub partition: u32,
    /// Place of its kind in `Kind::ALL`.
    #[prost(uint32, tag = "3")]
    pub kind: u32,
    /// Its commit.
    #[prost(uint64, tag = "4")]
    pub commit: u64,
    /// Its place in that commit.
    #[prost(uint32, tag = "5")]
    pub ordinal: u32,
}

/// A lane: side, partition, kind.
pub type LaneKey = (u32, u32, u32);

impl Spot {
    /// That of a stored output, if it says.
    #[must_use]
    pub fn of(stored: &StoredOutput) -> Option<Self> {
        let Lane::Out(kind) = stored.lane else {
            return None;
        };
        (stored.commit > 0).then(|| Self {
            side: stored.partition.side as u32,
            partition: stored.partition.index.into(),
            kind: u32::try_from(kind.index()).unwrap_or(u32::MAX),
            commit: stored.commit,
            ordinal: stored.ordinal,
        })
    }

    /// Its lane.
    #[must_use]
    pub const fn lane(&self) -> LaneKey {
        (self.side, self.partition, self.kind)
    }

    /// Its place in the lane.
    #[must_use]
    pub const fn place(&self) -> (u64, u32) {
        (self.commit, self.ordinal)
    }
}

/// The last output of a lane that was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Sighting {
    /// Which.
    #[prost(message, required, tag = "1")]
    pub spot: Spot,
    /// Where it stood among the outputs.
    #[prost(uint64, tag = "2")]
    pub at: Seq,
    /// When the log stored it there, in milliseconds: a copy that came to the same place has another time. Not set where
    /// that is not known.
    #[prost(int64, optional, tag = "3")]
    pub stored_ms: Option<i64>,
}

impl Sighting {
    /// How the log is asked for it; `None` if this program knows no such lane.
    #[must_use]
    pub fn asked(&self) -> Option<(PartitionId, Lane, OutputMark)> {
        let Spot {
            side,
            partition,
            kind,
            commit,
            ordinal,
        } = self.spot;
        let side = Side::ALL.into_iter().find(|known| *known as u32 == side)?;
        let kind = Kind::ALL.get(usize::try_from(kind).ok()?)?;
        let index = u16::try_from(partition).ok()?;
        let mark = OutputMark {
            seq: self.at,
            commit,
            ordinal,
        };
        Some((PartitionId { side, index }, Lane::Out(*kind), mark))
    }
}

/// The last outputs looked at, of lanes in which there were new ones.
#[derive(Clone, PartialEq, Message)]
pub struct Sighted {
    /// One for each lane.
    #[prost(message, repeated, tag = "1")]
    pub lanes: Vec<Sighting>,
    /// When the log stored the last dead letter or decision that was looked at, in milliseconds.
    #[prost(int64, optional, tag = "2")]
    pub dead_ms: Option<i64>,
}

/// The log had lost its end: places are found again.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Moved {
    /// Outputs are looked at again behind this sequence; not set if theirs were not lost.
    #[prost(uint64, optional, tag = "1")]
    pub output: Option<Seq>,
    /// The same of dead letters.
    #[prost(uint64, optional, tag = "2")]
    pub dead: Option<Seq>,
    /// Lanes of which the journal has lost the end as well: no more than this of them was seen.
    #[prost(message, repeated, tag = "3")]
    pub lanes: Vec<Sighting>,
    /// Log time at which it was noticed, in milliseconds; 0 if that was not kept.
    #[prost(int64, tag = "4")]
    pub at_ms: i64,
}

/// A copy of an item's output was found, which the log had lost.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Found {
    /// The item.
    #[prost(uint64, tag = "1")]
    pub seq: Seq,
    /// Where its output stands now.
    #[prost(uint64, tag = "2")]
    pub at: Seq,
    /// What identifies it now, where it was said anew: the journal had lost its commit as well.
    #[prost(message, optional, tag = "3")]
    pub spot: Option<Spot>,
}

/// Whether a log that has this of an output still is what it was.
#[must_use]
pub const fn holds(kept: Kept) -> bool {
    match kept {
        Kept::Stands | Kept::Removed => true,
        Kept::Lost => false,
    }
}
