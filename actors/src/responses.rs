//! Whose a response is: of each survey and eNPS response, the owner that its first event named, the one that the last
//! named, and which versions of it have been applied (S1.07, S2.05, S2.15).
//!
//! The owner of a response may become known late or be corrected, and two owners can live in two partitions. To ask one
//! of them through the log would cost each alert a second hop. So the order of the log decides: each partition of the
//! agents' side judges every response in that order, whichever owner it has, and comes to the same as the others. Of a response
//! that has moved, each then tells those of its own actors that have a part in it ([`Share`]):
//!
//! - the owner that its *first* event named is its home: it alerts, and updates its alert for as long as the response is
//!   remembered, whichever owner it has by then; acknowledgements and outcomes find the alert there;
//! - the owner that the *last* event named counts it: points and eNPS;
//! - the one before, if it is another, takes back what the response gave.
//!
//! What is the same for all of them is held once in a process ([`Responses::share`]): 32 bytes a response and, in each
//! partition, up to 8 for finding it and, where its owner lives, the owner's key. Not shared, it costs at most a hundred
//! bytes a remembered response in each partition (`tests/moved.rs` holds it to that; most
//! where its owner lives, whose key is kept), and a look-up for each event about one. In return no partition waits for
//! another, one that is stopped keeps nothing from the others, and a state can be worked out again from one partition
//! alone. `segment` holds what is remembered, `index` finds it, `content` tells versions apart. Used by the host
//! (`src/shard/engine.rs`).

mod content;
mod index;
mod segment;

use std::{collections::VecDeque, sync::Arc};

use crate::{
    actor::StateError,
    contract::{event::Body, key::Key, time::LogTime},
    dedupe::KeyHash,
    effect::{Effect, Effects, Ignored},
};
use index::{Index, PLACE_MAX};
pub use segment::Shared;
use segment::{Items, Known, Segment};
use xxhash_rust::xxh3::xxh3_64;

/// Most responses that are remembered. Above it the oldest are forgotten early, and counted.
pub const RESPONSES_MAX: usize = 1 << 20;

/// Responses in a segment: one that is full does not change any more, so that a snapshot stores it once. Part of the
/// stored form.
pub const SEGMENT_MAX: usize = 1_024;

/// Most versions of one revision that are told apart from later ones; of more, the oldest are taken for new again.
const VERSIONS_MAX: usize = 8;

/// What of an event decides about its response. Worked out once for all partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    key: KeyHash,
    revision: u64,
    content: u32,
    owner: u32,
}

impl Facts {
    /// The facts of an event about a survey or eNPS response; `None` of any other.
    #[must_use]
    pub fn of(body: &Body) -> Option<Self> {
        // Ids of the two come from different systems and may be alike.
        const SURVEY: u64 = 1;
        const ENPS: u64 = 2;
        let (id, sort, revision, content) = match body {
            Body::SurveyResponse(event) => (
                &event.response_id,
                SURVEY,
                event.revision,
                content::of_survey(event),
            ),
            Body::EnpsResponse(event) => (&event.response_id, ENPS, 0, content::of_enps(event)),
            Body::InteractionStarted(_)
            | Body::InteractionWrapup(_)
            | Body::InteractionCompleted(_)
            | Body::InteractionUpdated(_)
            | Body::WfmMetric(_)
            | Body::PointsAdjusted(_)
            | Body::RewardDecided(_)
            | Body::AlertAcknowledged(_)
            | Body::Outcome(..)
            | Body::DeadLettered(_)
            | Body::ImportQuarantined(_)
            | Body::Tick
            | Body::RulesActivated(_) => return None,
        };
        Some(Self {
            key: KeyHash::of(id, sort),
            revision,
            content,
            owner: mark_of(body.owner()?),
        })
    }
}

impl Facts {
    /// Hash of all the event says, its revision aside.
    #[must_use]
    pub const fn content(&self) -> u32 {
        self.content
    }
}

/// Tells the owners of one response apart.
fn mark_of(owner: Key<'_>) -> u32 {
    xxh3_64(owner.to_string().as_bytes()) as u32
}

/// A version of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Whether it is the first that is remembered.
    pub is_first: bool,
    /// A hash of its content: no two versions of a response have the same.
    pub content: u32,
}

impl Version {
    /// What an output of this version is named by: of the first by `name` alone, so that a repetition of the event in
    /// another log is the same; of a later one by its content as well, as its body is another.
    #[must_use]
    pub fn output_id(self, name: String) -> String {
        match self.is_first {
            true => name,
            false => format!("{name}:{:08x}", self.content),
        }
    }
}

/// What an actor has to do with a version of a response. If it is neither, it takes back what the response gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whether it is the version's owner: points and eNPS are counted here.
    pub counts: bool,
    /// Whether the response's first event named it: alerts are raised and updated here.
    pub alerts: bool,
    /// The version.
    pub version: Version,
}

impl Share {
    /// All of a response's first version.
    pub(crate) const WHOLE: Self = Self {
        counts: true,
        alerts: true,
        version: Version {
            is_first: true,
            content: 0,
        },
    };
}

/// When a version comes, and whether its owner lives here.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Log time of the event.
    pub now: LogTime,
    /// How long a response is remembered, in milliseconds of log time.
    pub ttl_ms: i64,
    /// The event's owner, if its actor lives in this partition: then what is ignored is counted here.
    pub local: Option<Key<'a>>,
}

/// A version that is to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// For the event's owner.
    pub owner: Share,
    /// For other actors of this partition, by key.
    pub others: Vec<(Box<str>, Share)>,
}

/// Responses of all owners.
///
/// Clock: log time, from the last version that was applied: a repetition prolongs nothing. Boundary: a response whose
/// last version was applied at `t` is remembered while `now - t < ttl`.
#[derive(Clone, Debug)]
pub struct Responses {
    /// Oldest first, never empty; all but the last are full.
    segments: VecDeque<Arc<Segment>>,
    /// Number of the first segment.
    first: u64,
    index: Index,
    /// Number of the first segment whose items were not offered to be shared.
    unshared: u64,
}

/// Whether the items are shared says nothing of what is remembered.
impl PartialEq for Responses {
    fn eq(&self, other: &Self) -> bool {
        (self.first, &self.segments) == (other.first, &other.segments)
    }
}

impl Default for Responses {
    fn default() -> Self {
        Self {
            segments: VecDeque::from([Arc::default()]),
            first: 0,
            index: Index::default(),
            unshared: 0,
        }
    }
}

impl Responses {
    /// Takes a version of a response into account; nothing comes of one that was applied before, or that a later
    /// revision has superseded.
    pub fn judge(
        &mut self,
        facts: &Facts,
        Arrival { now, ttl_ms, local }: Arrival<'_>,
        effects: &mut Effects,
    ) -> Option<Shares> {
        let now = self.newest().map_or(now, |newest| newest.max(now));
        self.forget(now, ttl_ms);
        let found = self.find(facts.key);
        let known = found.and_then(|(segment, place)| segment.known(place));
        let known = known.filter(|known| now.since_ms(known.at) < ttl_ms);
        let name = local.map(|key| key.to_string().into_boxed_str());
        let version = |is_first| Version {
            is_first,
            content: facts.content,
        };
        let Some(known) = known else {
            self.put(now, Known::first(now, facts, name), effects);
            let owner = Share {
                counts: true,
                alerts: true,
                version: version(true),
            };
            let others = Vec::new();
            return Some(Shares { owner, others });
        };
        let ignored = match facts.revision.cmp(&known.revision) {
            std::cmp::Ordering::Less => Some(Ignored::Superseded),
            std::cmp::Ordering::Equal if known.has_said(facts.content) => Some(Ignored::Duplicate),
            std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => None,
        };
        if let Some(ignored) = ignored {
            if local.is_some() {
                effects.push(Effect::Ignore(ignored));
            }
            return None;
        }
        let version = version(false);
        let is_home = known.home.mark == facts.owner;
        let mut others = Vec::new();
        if let (false, Some(name)) = (is_home, &known.home.name) {
            let share = Share {
                counts: false,
                alerts: true,
                version,
            };
            others.push((name.clone(), share));
        }
        let has_moved = known.last.mark != facts.owner && known.last.mark != known.home.mark;
        if let (true, Some(name)) = (has_moved, &known.last.name) {
            let share = Share {
                counts: false,
                alerts: false,
                version,
            };
            others.push((name.clone(), share));
        }
        self.put(now, known.next(now, facts, name), effects);
        let owner = Share {
            counts: true,
            alerts: is_home,
            version,
        };
        Some(Shares { owner, others })
    }

    /// Offers the items of each segment that has become full to be held once a process: `share` gives back the copy to
    /// hold.
    pub fn share(&mut self, mut share: impl FnMut(Shared) -> Shared) {
        let last = self.last_number();
        while self.unshared < last {
            let place = self.unshared.checked_sub(self.first);
            let place = place.and_then(|place| usize::try_from(place).ok());
            if let Some(segment) = place.and_then(|place| self.segments.get_mut(place))
                && let Items::Full(items) = &segment.items
            {
                let shared = share(items.clone());
                Arc::make_mut(segment).items = Items::Full(shared);
            }
            self.unshared += 1;
        }
    }

    /// About how many bytes they take; of what others hold as well their share.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let segments = self.segments.iter().map(|segment| segment.bytes());
        segments.sum::<u64>() + self.index.bytes()
    }

    /// Segments from this number on, to be stored: the last one grows, the others stay as they are.
    pub fn segments_from(&self, number: u64) -> impl Iterator<Item = (u64, Stored)> {
        let numbered = (self.first..).zip(&self.segments);
        let from = numbered.filter(move |(at, _)| *at >= number);
        from.map(|(at, segment)| {
            let segment = Arc::clone(segment);
            let first = self.first;
            (at, Stored { segment, first })
        })
    }

    /// Number of the last segment.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.first + self.segments.len() as u64 - 1
    }

    /// Whether there never was a response.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.last_number() == 0 && self.newest().is_none()
    }

    /// Reads stored segments, the newest form of each, ascending by number; those before the first that the last one
    /// names are over.
    ///
    /// # Errors
    /// If one is missing or cannot be read.
    pub fn restore<'a>(
        stored: impl IntoIterator<Item = (u64, &'a [u8])>,
    ) -> Result<Self, StateError> {
        let stored: Vec<(u64, &[u8])> = stored.into_iter().collect();
        let Some(&(last, bytes)) = stored.last() else {
            return Ok(Self::default());
        };
        let error = |number: u64, why: &str| StateError {
            key: name_of(number),
            why: why.to_owned(),
        };
        let (_, first) = Segment::decode(bytes).map_err(|why| error(last, &why))?;
        let mut responses = Self {
            segments: VecDeque::new(),
            first,
            index: Index::default(),
            unshared: first,
        };
        for (number, bytes) in stored.into_iter().filter(|(number, _)| *number >= first) {
            let wanted = first + responses.segments.len() as u64;
            let (segment, _) = Segment::decode(bytes).map_err(|why| error(number, &why))?;
            if number != wanted {
                return Err(error(wanted, "it is missing"));
            }
            if number < last && segment.items.len() != SEGMENT_MAX {
                return Err(error(number, "it is not full"));
            }
            let items = segment.items.len();
            responses.segments.push_back(Arc::new(segment));
            for offset in 0..items {
                responses.reindex(place_of(number, offset));
            }
        }
        if responses.segments.is_empty() {
            return Err(error(last, "it names a first segment behind it"));
        }
        Ok(responses)
    }

    fn newest(&self) -> Option<LogTime> {
        self.segments
            .iter()
            .rev()
            .find_map(|segment| Some(segment.items.last()?.at))
    }

    /// Drops segments whose every response is forgotten.
    fn forget(&mut self, now: LogTime, ttl_ms: i64) {
        let is_over = |segment: &Segment| {
            let newest = segment.items.last();
            newest.is_some_and(|newest| now.since_ms(newest.at) >= ttl_ms)
        };
        while self.segments.front().is_some_and(|front| is_over(front)) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(front) = self.segments.front().cloned() else {
            return;
        };
        let base = place_of(self.first, 0);
        for (item, offset) in front.items.iter().zip(0u32..) {
            let place = base.wrapping_add(offset) & PLACE_MAX;
            // A response that came again later is found there.
            if self.index.find(item.key, |at| self.key_at(at)) == Some(place) {
                let Self {
                    index,
                    segments,
                    first,
                    ..
                } = self;
                index.remove(item.key, |at| key_at(segments, *first, at));
            }
        }
        self.segments.pop_front();
        self.first += 1;
        if self.segments.is_empty() {
            self.segments.push_back(Arc::default());
        }
    }

    fn find(&self, key: KeyHash) -> Option<(&Segment, usize)> {
        let place = self.index.find(key, |at| self.key_at(at))?;
        let (segment, offset) = split(self.first, place);
        Some((self.segments.get(segment)?, offset))
    }

    fn put(&mut self, now: LogTime, known: Known, effects: &mut Effects) {
        debug_assert!(
            now == known.at,
            "a version is remembered from when it is applied"
        );
        if self.tail().items.len() >= SEGMENT_MAX {
            self.segments.push_back(Arc::default());
        }
        if self.segments.len() * SEGMENT_MAX > RESPONSES_MAX {
            self.drop_oldest();
            effects.push(Effect::Ignore(Ignored::DedupeOverflow));
        }
        let place = place_of(self.last_number(), self.tail().items.len());
        if let Some(tail) = self.segments.back_mut() {
            Arc::make_mut(tail).push(known);
        }
        self.reindex(place);
    }

    /// Lets the key of the item at this place be found there.
    fn reindex(&mut self, place: u32) {
        let Self {
            index,
            segments,
            first,
            ..
        } = self;
        index.insert(place, |at| key_at(segments, *first, at));
    }

    fn tail(&self) -> &Segment {
        // There always is one.
        self.segments.back().map_or(&EMPTY, |tail| tail)
    }

    fn key_at(&self, place: u32) -> KeyHash {
        key_at(&self.segments, self.first, place)
    }
}

static EMPTY: Segment = Segment::EMPTY;

/// The place of an item, counted from the first response ever. It wraps; far fewer are remembered than would matter.
const fn place_of(number: u64, offset: usize) -> u32 {
    let segment = (number as u32).wrapping_mul(SEGMENT_MAX as u32);
    segment.wrapping_add(offset as u32) & PLACE_MAX
}

/// Segment, counted from `first`, and item in it.
const fn split(first: u64, place: u32) -> (usize, usize) {
    let offset = (place.wrapping_sub(place_of(first, 0)) & PLACE_MAX) as usize;
    (offset / SEGMENT_MAX, offset % SEGMENT_MAX)
}

fn key_at(segments: &VecDeque<Arc<Segment>>, first: u64, place: u32) -> KeyHash {
    let (segment, offset) = split(first, place);
    let item = segments.get(segment).and_then(|s| s.items.get(offset));
    // A place is only ever made by `put` and dropped with its segment.
    item.map_or(KeyHash::from_u128(0), |item| item.key)
}

/// A segment as it was when it was asked for.
#[derive(Clone, Debug)]
pub struct Stored {
    segment: Arc<Segment>,
    first: u64,
}

impl Stored {
    /// Its stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.segment.encode(self.first)
    }
}

/// The name under which a segment is stored: no actor has such a key.
#[must_use]
pub fn name_of(number: u64) -> String {
    format!("{PREFIX}{number}")
}

/// The number of the segment that is stored under this name.
#[must_use]
pub fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

const PREFIX: &str = "responses/";
