//! Responses that came one after the other, and their stored form.
//!
//! Nearly every response comes once, as revision 0, so an item holds just that; what more there is to know of the others
//! stands beside. A response that comes again is put behind the last one, and its old item is found no more: so a full
//! segment never changes.

use prost::Message as _;

use super::{Facts, SEGMENT_MAX, VERSIONS_MAX};
use crate::{
    dedupe::KeyHash,
    state::{FORMAT, StoredResponses, StoredVersion},
    time::LogTime,
    wire,
};

/// A response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) key: KeyHash,
    /// When its last version was applied.
    pub(super) at: LogTime,
    /// Hash of that version's content.
    content: u32,
    /// The owner that its first event named.
    home: u32,
    /// That owner's key in `names`, counted from 1, if its actor lives in this partition.
    name: u32,
    /// Place in `more`, counted from 1.
    more: u32,
}

/// What is known of a response besides.
#[derive(Clone, Debug, PartialEq)]
struct More {
    revision: u64,
    /// Hashes of what the same revision said before, oldest first.
    earlier: Vec<u32>,
    /// The owner that its last event named, and its place in `names` as in an item.
    last: u32,
    name: u32,
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
    pub(super) items: Vec<Item>,
    names: Vec<Box<str>>,
    more: Vec<More>,
}

impl Segment {
    pub(super) const EMPTY: Self = Self {
        items: Vec::new(),
        names: Vec::new(),
        more: Vec::new(),
    };

    pub(super) fn known(&self, item: &Item) -> Known {
        let owner = |mark, name: u32| Owner {
            mark,
            name: place(name).and_then(|at| self.names.get(at).cloned()),
        };
        let home = owner(item.home, item.name);
        let more = place(item.more).and_then(|at| self.more.get(at));
        let (revision, earlier, last) = match more {
            Some(more) => (
                more.revision,
                more.earlier.clone(),
                owner(more.last, more.name),
            ),
            None => (0, Vec::new(), home.clone()),
        };
        Known {
            key: item.key,
            at: item.at,
            revision,
            content: item.content,
            earlier,
            home,
            last,
        }
    }

    /// Puts a response behind the others.
    pub(super) fn push(&mut self, known: Known) {
        let Known {
            key,
            at,
            revision,
            content,
            earlier,
            home,
            last,
        } = known;
        let has_more = revision != 0 || !earlier.is_empty() || last.mark != home.mark;
        let name = self.name(home.name);
        let more = if has_more {
            let last_name = match last.mark == home.mark {
                true => name,
                false => self.name(last.name),
            };
            self.more.push(More {
                revision,
                earlier,
                last: last.mark,
                name: last_name,
            });
            self.more.len() as u32
        } else {
            0
        };
        self.items.push(Item {
            key,
            at,
            content,
            home: home.mark,
            name,
            more,
        });
    }

    fn name(&mut self, name: Option<Box<str>>) -> u32 {
        let Some(name) = name else {
            return 0;
        };
        self.names.push(name);
        self.names.len() as u32
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> u64 {
        // Of an allocation: what the allocator adds.
        const EACH: usize = 16;
        let names = self
            .names
            .iter()
            .map(|name| size_of::<Box<str>>() + EACH + name.len());
        let bytes = self.items.len() * size_of::<Item>()
            + self.more.len() * (size_of::<More>() + EACH)
            + names.sum::<usize>();
        bytes as u64
    }

    /// The stored form; `first` is the number of the first segment that is still remembered.
    pub(super) fn encode(&self, first: u64) -> Vec<u8> {
        let items = || self.items.iter();
        let named = items().enumerate().filter(|(_, item)| item.name != 0);
        let places = named.clone().map(|(at, _)| at as i64);
        let mut names = Vec::new();
        for (_, item) in named {
            let name = place(item.name).and_then(|at| self.names.get(at));
            names.push(name.map(|name| name.to_string()).unwrap_or_default());
        }
        let more = items().zip(0u32..).filter_map(|(item, at)| {
            let more = self.more.get(place(item.more)?)?;
            let name = place(more.name).and_then(|at| self.names.get(at));
            Some(StoredVersion {
                place: at,
                revision: more.revision,
                earlier: more.earlier.clone(),
                last: (more.last != item.home).then_some(more.last),
                last_name: name
                    .filter(|_| more.last != item.home)
                    .map(|name| name.to_string()),
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
            names,
            more: more.collect(),
        }
        .encode_to_vec()
    }

    /// Reads the stored form, and the number that stands in it.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, u64), String> {
        let stored = StoredResponses::decode(bytes).map_err(|error| error.to_string())?;
        crate::state::check_format(stored.format).map_err(|error| error.to_string())?;
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

/// A place that is counted from 1, 0 being none.
const fn place(number: u32) -> Option<usize> {
    match number {
        0 => None,
        number => Some(number as usize - 1),
    }
}
