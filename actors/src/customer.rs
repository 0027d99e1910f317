//! A customer: recent history, segments, merged profile.

use crate::{actor::Context, effect::Effects, event::Event, key::Key, time::LogTime};

/// Placeholder of the skeleton.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Customer {}

impl Customer {
    pub fn apply(
        &mut self,
        _key: Key<'_>,
        _context: &Context<'_>,
        _event: &Event,
        _effects: &mut Effects,
    ) {
    }
    pub fn wake(&mut self, _key: Key<'_>, _context: &Context<'_>, _effects: &mut Effects) {}
    pub fn deadline(&self) -> Option<LogTime> {
        None
    }
    pub fn encode(&self, _into: &mut Vec<u8>) {}
    pub fn decode(_bytes: &[u8]) -> Result<Self, prost::DecodeError> {
        Ok(Self {})
    }
}
