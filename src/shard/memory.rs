//! The bound on memory that all partitions of a process share.
//!
//! Actors are never evicted: what they remember decides about money. So when they reach the bound, the quiet ones of each
//! partition go to the disk (`shelf`), where a state costs memory no more, and come back with their next event. What is
//! left then are keys and places. If these alone are too many, `/readyz` says so, no event is taken by HTTP, and reading
//! goes on slowly: a partition that stood still would help nobody, after a restart neither.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::log::PartitionId;
use aftercall_actors::key::Side;

/// Bytes of resident actors, by partition, against a bound.
#[derive(Debug)]
pub struct MemoryBound {
    partitions: Vec<AtomicU64>,
    count: u16,
    bytes_max: u64,
    folder: PathBuf,
}

impl MemoryBound {
    /// A bound for `count` partitions a side; quiet actors go to a file in `folder`.
    #[must_use]
    pub fn new(count: u16, bytes_max: u64, folder: PathBuf) -> Self {
        let partitions = PartitionId::all(count).map(|_| AtomicU64::new(0)).collect();
        Self {
            partitions,
            count,
            bytes_max,
            folder,
        }
    }

    /// Where quiet actors go when memory is short.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Notes what a partition's actors take.
    pub fn set(&self, partition: PartitionId, bytes: u64) {
        let side = match partition.side {
            Side::Agent => 0,
            Side::Customer => self.count,
        };
        if let Some(held) = self.partitions.get(usize::from(side + partition.index)) {
            held.store(bytes, Ordering::Relaxed);
        }
    }

    /// What all actors take together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.partitions
            .iter()
            .map(|bytes| bytes.load(Ordering::Relaxed))
            .sum()
    }

    /// The bound.
    #[must_use]
    pub const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Whether the bound is reached.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.bytes() >= self.bytes_max
    }
}
