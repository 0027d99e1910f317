//! Responses that came one after the other, and their stored form.
//!
//! Nearly every response comes once, as revision 0, so an item holds just that; what more there is to know of the others
//! stands beside, by place. A response that comes again is put behind the last one, and its old item is found no more: so
//! a full segment never changes. Every partition of the agents' side has the same items, and only names are its own: so
//! the items of a full segment can be held once for all of them ([`Shared`]).

use std::{ops::Deref, sync::Arc};

use prost::Message as _;
use xxhash_rust::xxh3::xxh3_64;

use super::{Facts, SEGMENT_MAX, VERSIONS_MAX};
use crate::{
    contract::time::LogTime,
    dedupe::KeyHash,
    stored::{
        state::{FORMAT, StoredResponses, StoredVersion},
        wire,
    },
};

/// A response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    pub(super) key: KeyHash,
    /// When its last version was applied.
    pub(super) at: LogTime,
    /// Hash of that version's content.
    content: u32,
    /// The owner that its first event named.
    home: u32,
}

/// The items of a full segment, which others may hold as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared(Arc<[Item]>);

impl Shared {
    /// Tells items apart, nearly always.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let keys = self.0.iter().flat_map(|item| item.key.to_bytes());
        xxh3_64(&keys.collect::<Vec<u8>>())
    }

    /// Whether this is the only copy held in the process.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

/// The remembered responses of a segment, in the order of the log; those of a full segment never change again.
#[derive(Clone, Debug)]
pub(super) enum Items {
    Growing(Vec<Item>),
    Full(Shared),
}

impl Deref for Items {
    type Target = [Item];

    fn deref(&self) -> &[Item] {
        match self {
            Self::Growing(items) => items,
            Self::Full(Shared(items)) => items,
        }
    }
}

/// By their content, held alone or shared.
impl PartialEq for Items {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Default for Items {
    fn default() -> Self {
        Self::Growing(Vec::new())
    }
}

/// What is known of a response besides.
#[derive(Clone, Debug, PartialEq)]
struct More {
    revision: u64,
    /// Hashes of what the same revision said before, oldest first.
    earlier: Vec<u32>,
    /// The owner that its last event named, and its key as in [`Owner`].
    last: u32,
    last_name: Option<Box<str>>,
}

/// An owner of a response.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Owner {
    pub(super) mark: u32,
    /// Its key, if its actor lives in this partition.
    pub(super) name: Option<Box<str>>,
}

/// A response, unpacked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) key: KeyHash,
    pub(super) at: LogTime,
    pub(super) revision: u64,
    /// Hash of what its last event said.
    pub(super) content: u32,
    /// Hashes of what the same revision said before, oldest first.
    pub(super) earlier: Vec<u32>,
    pub(super) home: Owner,
    pub(super) last: Owner,
}

impl Known {
    /// After the first version.
    pub(super) fn first(now: LogTime, facts: &Facts, name: Option<Box<str>>) -> Self {
        let home = Owner {
            mark: facts.owner,
            name,
        };
        Self {
            key: facts.key,
            at: now,
            revision: facts.revision,
            content: facts.content,
            earlier: Vec::new(),
            last: home.clone(),
            home,
        }
    }

    /// Whether its revision has said this.
    pub(super) fn has_said(&self, content: u32) -> bool {
        self.content == content || self.earlier.contains(&content)
    }

    /// After another version.
    pub(super) fn next(mut self, now: LogTime, facts: &Facts, name: Option<Box<str>>) -> Self {
        if facts.revision == self.revision {
            self.earlier.push(self.content);
            if self.earlier.len() >= VERSIONS_MAX {
                self.earlier.remove(0);
            }
        } else {
            self.earlier.clear();
        }
        self.content = facts.content;
        self.at = now;
        self.revision = facts.revision;
        self.last = Owner {
            mark: facts.owner,
            name,
        };
        self
    }
}

/// Up to [`SEGMENT_MAX`] responses.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Segment {
    pub(super) items: Items,
    /// Keys of the owners that first events named, if their actors live in this partition; by place, ascending.
    names: Vec<(u16, Box<str>)>,
    /// What there is to know besides; by place, ascending.
    more: Vec<(u16, More)>,
}

/// The entry for a place in a list that is ordered by place.
fn at<T>(list: &[(u16, T)], place: usize) -> Option<&T> {
    let found = list.binary_search_by_key(&place, |(place, _)| usize::from(*place));
    found.ok().and_then(|at| list.get(at)).map(|(_, what)| what)
}

impl Segment {
    pub(super) const EMPTY: Self = Self {
        items: Items::Growing(Vec::new()),
        names: Vec::new(),
        more: Vec::new(),
    };

    pub(super) fn known(&self, place: usize) -> Option<Known> {
        let item = self.items.get(place)?;
        let home = Owner {
            mark: item.home,
            name: at(&self.names, place).cloned(),
        };
        let (revision, earlier, last) = match at(&self.more, place) {
            Some(more) => {
                let last = Owner {
                    mark: more.last,
                    name: more.last_name.clone(),
                };
                (more.revision, more.earlier.clone(), last)
            }
            None => (0, Vec::new(), home.clone()),
        };
        Some(Known {
            key: item.key,
            at: item.at,
            revision,
            content: item.content,
            earlier,
            home,
            last,
        })
    }

    /// Puts a response behind the others. One that is full takes none.
    pub(super) fn push(&mut self, known: Known) {
        let Items::Growing(items) = &mut self.items else {
            return;
        };
        let Known {
            key,
            at,
            revision,
            content,
            earlier,
            home,
            last,
        } = known;
        // Below `SEGMENT_MAX`.
        let place = items.len() as u16;
        items.push(Item {
            key,
            at,
            content,
            home: home.mark,
        });
        if revision != 0 || !earlier.is_empty() || last.mark != home.mark {
            let last_name = match last.mark == home.mark {
                true => home.name.clone(),
                false => last.name,
            };
            let more = More {
                revision,
                earlier,
                last: last.mark,
                last_name,
            };
            self.more.push((place, more));
        }
        if let Some(name) = home.name {
            self.names.push((place, name));
        }
        if items.len() >= SEGMENT_MAX {
            self.items = Items::Full(Shared(std::mem::take(items).into()));
            self.names.shrink_to_fit();
            self.more.shrink_to_fit();
        }
    }

    /// About how many bytes it takes; of what others hold as well its share.
    pub(super) fn bytes(&self) -> u64 {
        // Of an allocation: what the allocator adds.
        const EACH: usize = 16;
        let names = self
            .names
            .iter()
            .map(|(_, name)| size_of::<(u16, Box<str>)>() + EACH + name.len());
        let holders = match &self.items {
            Items::Growing(_) => 1,
            Items::Full(Shared(items)) => Arc::strong_count(items),
        };
        let bytes = self.items.len() * size_of::<Item>() / holders
            + self.more.len() * (size_of::<(u16, More)>() + EACH)
            + names.sum::<usize>();
        bytes as u64
    }

    /// The stored form; `first` is the number of the first segment that is still remembered.
    pub(super) fn encode(&self, first: u64) -> Vec<u8> {
        let items = || self.items.iter();
        let places = self.names.iter().map(|(place, _)| i64::from(*place));
        let names = self.names.iter().map(|(_, name)| name.to_string());
        let more = self.more.iter().filter_map(|(place, more)| {
            let item = self.items.get(usize::from(*place))?;
            let has_moved = more.last != item.home;
            let last_name = more.last_name.as_deref().filter(|_| has_moved);
            Some(StoredVersion {
                place: u32::from(*place),
                revision: more.revision,
                earlier: more.earlier.clone(),
                last: has_moved.then_some(more.last),
                last_name: last_name.map(str::to_owned),
            })
        });
        StoredResponses {
            format: FORMAT,
            first,
            keys: items().flat_map(|item| item.key.to_bytes()).collect(),
            at: wire::deltas(items().map(|item| item.at.0)).collect(),
            contents: items().map(|item| item.content).collect(),
            homes: items().map(|item| item.home).collect(),
            named: wire::deltas(places).collect(),
            names: names.collect(),
            more: more.collect(),
        }
        .encode_to_vec()
    }

    /// Reads the stored form, and the number that stands in it.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, u64), String> {
        let stored = StoredResponses::decode(bytes).map_err(|error| error.to_string())?;
        crate::stored::state::check_format(stored.format).map_err(|error| error.to_string())?;
        let first = stored.first;
        let segment = Self::from_stored(stored);
        let segment = segment.ok_or_else(|| "the columns do not fit together".to_owned())?;
        Ok((segment, first))
    }

    fn from_stored(stored: StoredResponses) -> Option<Self> {
        let (keys, rest) = stored.keys.as_chunks::<16>();
        let count = keys.len();
        let fits = rest.is_empty()
            && count <= SEGMENT_MAX
            && [stored.at.len(), stored.contents.len(), stored.homes.len()] == [count; 3]
            && stored.named.len() == stored.names.len();
        if !fits {
            return None;
        }
        let mut names = vec![None; count];
        for (at, name) in wire::undelta(&stored.named).zip(stored.names) {
            *names.get_mut(usize::try_from(at).ok()?)? = Some(name.into_boxed_str());
        }
        let mut more = stored.more.into_iter().peekable();
        let mut segment = Self::default();
        let columns = keys.iter().zip(wire::undelta(&stored.at));
        let columns = columns.zip(stored.contents).zip(stored.homes);
        for ((((key, at), content), home), (place, name)) in columns.zip((0u32..).zip(names)) {
            let home = Owner { mark: home, name };
            let mut known = Known {
                key: KeyHash::from_bytes(*key),
                at: LogTime(at),
                revision: 0,
                content,
                earlier: Vec::new(),
                last: home.clone(),
                home,
            };
            if let Some(more) = more.next_if(|more| more.place == place) {
                known.revision = more.revision;
                known.earlier = more.earlier;
                if let Some(mark) = more.last {
                    let name = more.last_name.map(String::into_boxed_str);
                    known.last = Owner { mark, name };
                }
            }
            segment.push(known);
        }
        more.next().is_none().then_some(segment)
    }
}
