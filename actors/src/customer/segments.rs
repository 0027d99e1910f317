//! The segments a customer is in (S4.02).
//!
//! Set anew at each completion, so they are written over without a look at what was there: one text in one
//! place, where a list of texts would be fetched from memory one by one. Used by `customer`.

use crate::{
    rules::{Action, Hit},
    stored::wire,
};

/// Tags of segments, in the order of the rules that hold; each once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segments {
    /// Separated by line ends: a tag is a name, and has none.
    tags: String,
}

impl Segments {
    /// Those of the segment rules among `hits`.
    pub fn set(&mut self, hits: &[Hit<'_>]) {
        self.tags.clear();
        for hit in hits {
            match &hit.rule.action {
                Action::Segment { tag } => self.enter(tag),
                Action::Alert { .. } | Action::Coaching { .. } | Action::Points { .. } => {}
            }
        }
    }

    /// Leaves them all.
    pub fn clear(&mut self) {
        self.tags.clear();
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// The tags, sorted, as the profile shows them.
    #[must_use]
    pub fn sorted(&self) -> Vec<String> {
        let mut tags: Vec<String> = self.iter().map(str::to_owned).collect();
        tags.sort_unstable();
        tags
    }

    fn enter(&mut self, tag: &str) {
        if self.iter().any(|entered| entered == tag) {
            return;
        }
        if !self.tags.is_empty() {
            self.tags.push('\n');
        }
        self.tags.push_str(tag);
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.tags.split('\n').filter(|tag| !tag.is_empty())
    }
}

/// Tag of the list in the stored customer.
const SEGMENTS: u32 = 10;

impl Segments {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        for tag in self.iter() {
            wire::bytes(SEGMENTS, tag.as_bytes(), into);
        }
    }

    pub(crate) fn decode(tags: &[String]) -> Self {
        let mut segments = Self::default();
        for tag in tags.iter().flat_map(|tag| tag.split('\n')) {
            if !tag.is_empty() {
                segments.enter(tag);
            }
        }
        segments
    }
}
