//! Snapshots: the quiet state of a partition, packed into few large chunks behind the events.
//!
//! A generation is either full or the difference to the one before. It is packed in slices between batches, so
//! each actor carries the position it is as of; a chunk is written only once the journal has reached that
//! position, so a snapshot is never ahead of the commits. A generation counts once its manifest stands, which
//! names every chunk; a crash in between leaves chunks that nobody reads.
//!
//! Whose responses are decides about many actors at once, so recovery needs it as of the floor and not a position later:
//! it is taken in the moment the generation begins, which is cheap, as full segments are shared and never change.

use std::collections::VecDeque;

use aftercall_actors::{
    actor::StateError,
    contract::time::LogTime,
    responses::{self, Stored},
};
use bytes::Bytes;
use prost::Message;

use crate::{
    log::{Position, Seq},
    planted::{Bug, is_planted},
    shard::{checksum, engine::Engine, table::Index},
};

/// The newest format this program knows; it is written where a chunk holds a part of a state.
pub const FORMAT: u32 = 2;

/// The format of all other pieces, which every version of the program reads.
const FORMAT_PLAIN: u32 = 1;

/// What an actor takes in a chunk besides key and state: tags, lengths, a position and a time.
const ACTOR_BYTES: usize = 48;

/// Actors packed in one slice, between two batches: well under a millisecond.
const SLICE_ACTORS: usize = 1_000;

/// The sweep rests while this many closed chunks wait to be written.
const READY_MAX: usize = 4;

/// A message of the snapshot log: a chunk or a manifest.
#[derive(Clone, PartialEq, Message)]
pub struct Piece {
    /// Format version.
    #[prost(uint32, tag = "1")]
    pub format: u32,
    /// Actors, in a chunk.
    #[prost(message, repeated, tag = "2")]
    pub actors: Vec<PackedActor>,
    /// The closing word, in a manifest.
    #[prost(message, optional, tag = "3")]
    pub manifest: Option<Manifest>,
}

/// One actor.
#[derive(Clone, PartialEq, Message)]
pub struct PackedActor {
    /// As in an output's subject; of responses the name of their segment.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Position the state is as of.
    #[prost(uint64, tag = "2")]
    pub as_of: Position,
    /// `Actor::encode`'s bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub state: Bytes,
    /// When it wants to be woken, in log time; absent for never.
    #[prost(int64, optional, tag = "4")]
    pub deadline_ms: Option<i64>,
    /// Whether the state goes on in the next one, which has the same key: a large state goes in parts.
    #[prost(bool, tag = "5")]
    pub goes_on: bool,
}

/// What makes a generation whole.
#[derive(Clone, PartialEq, Message)]
pub struct Manifest {
    /// Sequences of its chunks, in order.
    #[prost(uint64, repeated, tag = "1")]
    pub chunks: Vec<Seq>,
    /// Sequence of the manifest this one is the difference to; 0 for a full generation.
    #[prost(uint64, tag = "2")]
    pub base: Seq,
    /// Replay begins behind this position: every actor is at least as of its last event up to here.
    #[prost(uint64, tag = "3")]
    pub floor: Position,
    /// Log time at the floor, in milliseconds.
    #[prost(int64, tag = "4")]
    pub floor_time_ms: i64,
    /// Journal sequence at the floor: states in later records are newer.
    #[prost(uint64, tag = "5")]
    pub journal_seq: Seq,
    /// The rule file active at the floor.
    #[prost(string, tag = "6")]
    pub rules: String,
    /// Its origin, for errors.
    #[prost(string, tag = "7")]
    pub rules_version: String,
    /// Journal sequence of the newest commit when the generation was closed; it covers all that the actors have applied.
    /// 0 in manifests of before it was kept.
    #[prost(uint64, tag = "8")]
    pub closed_seq: Seq,
    /// SHA-256 of that record's bytes: a journal that has lost it has another one there, or none.
    #[prost(bytes = "bytes", tag = "9")]
    pub closed_link: Bytes,
}

impl Manifest {
    /// Whether it stands alone.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.base == 0
    }
}

/// A message to write, and what must be true first.
#[derive(Clone, Debug)]
pub struct Write {
    /// The message.
    pub bytes: Bytes,
    /// The journal must have reached this position.
    pub after: Position,
}

/// A generation that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Whether it is a full one.
    pub full: bool,
    /// What is still needed, after a full generation: the one before it stays, should this one be damaged.
    pub trim_before: Option<Needed>,
}

/// Where what a full generation needs begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// Its first piece.
    pub piece: Seq,
    /// The first journal record that is read after it.
    pub record: Seq,
}

/// Packs generations of one partition, one after the other.
#[derive(Debug, Default)]
pub struct Packer {
    scan: Option<Scan>,
    /// Manifest of the last whole generation this packer knows of.
    last: Option<Seq>,
    /// Bytes of the last full generation, and of the differences since.
    full_bytes: usize,
    difference_bytes: usize,
    differences: u32,
    /// Number of the first segment of responses that the last generation does not hold whole.
    segments_from: u64,
    /// What the last full generation needs.
    needed: Option<Needed>,
}

#[derive(Debug)]
struct Scan {
    full: bool,
    piece_bytes_max: usize,
    needed_from: Seq,
    cursor: Index,
    /// Segments of responses that are still to be packed.
    segments: VecDeque<(u64, Stored)>,
    floor: Position,
    floor_time: LogTime,
    journal_seq: Seq,
    rules: (String, String),
    open: Vec<PackedActor>,
    open_bytes: usize,
    open_after: Position,
    ready: VecDeque<Write>,
    written: Vec<Seq>,
    bytes: usize,
    swept: bool,
    /// A state that cannot be read: the generation is given up.
    failed: Option<StateError>,
}

/// After this many differences, or once they weigh half of the full generation, the next one is full again.
const DIFFERENCES_MAX: u32 = 16;

impl Packer {
    /// Goes on from the generation whose manifest recovery has loaded.
    #[must_use]
    pub fn after(
        manifest: Option<Seq>,
        chain_bytes: usize,
        differences: u32,
        needed: Option<Needed>,
    ) -> Self {
        Self {
            last: manifest,
            needed,
            full_bytes: chain_bytes,
            differences,
            ..Self::default()
        }
    }

    /// Whether the sweep can go on at once.
    #[must_use]
    pub fn has_more_to_sweep(&self) -> bool {
        self.scan
            .as_ref()
            .is_some_and(|scan| !scan.swept && scan.ready.len() < READY_MAX)
    }

    /// Whether a generation is being made.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.scan.is_some()
    }

    /// Begins a generation at what the engine has applied. Nothing may be pending in the engine: a full generation
    /// forgets blank actors first, and that changes their numbers.
    pub fn begin(&mut self, engine: &mut Engine) {
        let weighty =
            self.difference_bytes * 2 > self.full_bytes || self.differences >= DIFFERENCES_MAX;
        let full = self.last.is_none() || weighty;
        if full {
            engine.table.drop_blank(engine.now, engine.rules.settings());
        }
        let from = if full { 0 } else { self.segments_from };
        let segments = engine.responses.segments_from(from);
        let is_used = !engine.responses.is_untouched();
        let segments = segments.filter(|_| is_used).collect();
        self.segments_from = engine.responses.last_number();
        self.scan = Some(Scan {
            full,
            piece_bytes_max: engine.piece_bytes_max(),
            needed_from: engine.needed_from(),
            cursor: 0,
            segments,
            floor: engine.applied(),
            floor_time: engine.now,
            journal_seq: engine.head().seq,
            rules: (
                engine.rules.text().to_owned(),
                engine.rules.version().to_owned(),
            ),
            open: Vec::new(),
            open_bytes: 0,
            open_after: 0,
            ready: VecDeque::new(),
            written: Vec::new(),
            bytes: 0,
            swept: false,
            failed: None,
        });
    }

    /// Packs a slice, and gives out the next message whose time has come.
    pub fn step(&mut self, engine: &mut Engine) -> Option<Write> {
        let scan = self.scan.as_mut()?;
        if !scan.swept && scan.ready.len() < READY_MAX {
            scan.sweep(engine);
        }
        let committed = engine.committed();
        let covered =
            |write: &mut Write| write.after <= committed || is_planted(Bug::SnapshotAheadOfMark);
        scan.ready.pop_front_if(covered)
    }

    /// Whether the sweep is over and every chunk has been written, so that only the manifest is missing.
    #[must_use]
    pub fn manifest(&self, engine: &Engine) -> Option<Write> {
        let scan = self.scan.as_ref()?;
        let covered = scan.floor <= engine.committed() || is_planted(Bug::SnapshotAheadOfMark);
        let done = scan.swept && scan.ready.is_empty() && covered;
        done.then(|| {
            let manifest = Manifest {
                chunks: scan.written.clone(),
                base: if scan.full { 0 } else { self.last.unwrap_or(0) },
                floor: scan.floor,
                floor_time_ms: scan.floor_time.0,
                journal_seq: scan.journal_seq,
                rules: scan.rules.0.clone(),
                rules_version: scan.rules.1.clone(),
                closed_seq: engine.head().seq,
                closed_link: engine.head().link.clone(),
            };
            let piece = Piece {
                format: FORMAT_PLAIN,
                actors: Vec::new(),
                manifest: Some(manifest),
            };
            Write {
                bytes: checksum::add(piece.encode_to_vec()),
                after: scan.floor,
            }
        })
    }

    /// Notes that a chunk stands at `seq`. One that stands before the last one shows that the log has lost that: the
    /// generation is given up.
    pub fn chunk_written(&mut self, seq: Seq) {
        let Some(scan) = &mut self.scan else { return };
        if scan.written.last().is_some_and(|last| *last >= seq) {
            return self.abandon();
        }
        scan.written.push(seq);
    }

    /// Notes that the manifest stands at `seq`: the generation is whole.
    pub fn manifest_written(&mut self, seq: Seq) -> Option<Generation> {
        let scan = self.scan.take()?;
        self.last = Some(seq);
        if scan.full {
            (self.full_bytes, self.difference_bytes, self.differences) = (scan.bytes, 0, 0);
        } else {
            self.difference_bytes += scan.bytes;
            self.differences += 1;
        }
        let trim_before = match scan.full {
            true => self.needed.replace(Needed {
                piece: scan.written.first().copied().unwrap_or(seq),
                record: scan.needed_from,
            }),
            false => None,
        };
        Some(Generation {
            full: scan.full,
            trim_before,
        })
    }

    /// What keeps the generation from becoming whole, if something does.
    pub fn take_failure(&mut self) -> Option<StateError> {
        self.scan.as_mut()?.failed.take()
    }

    /// Gives up the generation being made: its chunks stay unread, and the next one is full.
    pub fn abandon(&mut self) {
        self.scan = None;
        self.last = None;
    }
}

impl Scan {
    fn sweep(&mut self, engine: &mut Engine) {
        if let Some((number, segment)) = self.segments.pop_front() {
            self.pack(PackedActor {
                key: responses::name_of(number),
                as_of: self.floor,
                state: segment.encode().into(),
                ..PackedActor::default()
            });
            return;
        }
        let end = engine.table.len().min(self.cursor + SLICE_ACTORS);
        while self.cursor < end {
            let index = self.cursor;
            self.cursor += 1;
            if engine.table.take_dirty(index) || self.full {
                let state = match engine.table.encode(index) {
                    Ok(state) => state,
                    Err(error) => {
                        self.failed = Some(error);
                        return;
                    }
                };
                let actor = PackedActor {
                    key: engine.table.key_text(index).to_owned(),
                    as_of: engine.table.as_of(index),
                    state: state.into(),
                    deadline_ms: engine.table.deadline(index).map(|at| at.0),
                    goes_on: false,
                };
                self.pack(actor);
            }
        }
        if self.cursor >= engine.table.len() {
            self.swept = true;
            if !self.open.is_empty() {
                self.close();
            }
        }
    }

    /// Packs an actor into the open chunk, or, where it does not fit, into the next; one that fits into none in parts.
    fn pack(&mut self, mut actor: PackedActor) {
        let rest_bytes = actor.key.len() + ACTOR_BYTES;
        let room = self.piece_bytes_max.saturating_sub(rest_bytes).max(1);
        while actor.state.len() > room {
            let part = PackedActor {
                state: actor.state.split_to(room),
                goes_on: true,
                ..actor.clone()
            };
            self.put(part);
        }
        self.put(actor);
    }

    fn put(&mut self, actor: PackedActor) {
        let bytes = actor.key.len() + actor.state.len() + ACTOR_BYTES;
        if self.open_bytes + bytes > self.piece_bytes_max && !self.open.is_empty() {
            self.close();
        }
        self.open_bytes += bytes;
        self.open_after = self.open_after.max(actor.as_of);
        self.open.push(actor);
    }

    fn close(&mut self) {
        let actors = std::mem::take(&mut self.open);
        let has_part = actors.iter().any(|actor| actor.goes_on);
        let piece = Piece {
            format: if has_part { FORMAT } else { FORMAT_PLAIN },
            actors,
            manifest: None,
        };
        let bytes = checksum::add(piece.encode_to_vec());
        self.bytes += bytes.len();
        self.ready.push_back(Write {
            bytes,
            after: self.open_after,
        });
        (self.open_bytes, self.open_after) = (0, 0);
    }
}
