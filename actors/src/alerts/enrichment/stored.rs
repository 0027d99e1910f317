//! The stored form of lookups that go on.
//!
//! The alert is stored as it goes out: its JSON is a public contract, and so is kept readable anyway.

use prost::Message as _;

use super::{Enrichment, Left, Lookup, Open, Touched, bytes_of, told::Told};
use crate::{
    alerts,
    contract::{output::Alert, time::LogTime},
    stored::{
        state::{StoredEnrichment, StoredTold},
        wire,
    },
};

/// Tag of the list in the stored agent.
const OPEN: u32 = 40;

/// Tag of the list of those that are over.
const TOLD: u32 = 48;

impl Enrichment {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        for open in &self.open {
            wire::bytes(OPEN, &open.stored().encode_to_vec(), into);
        }
    }

    /// Those whose lookups are over, whose tag comes later.
    pub(crate) fn encode_told(&self, into: &mut Vec<u8>) {
        for told in &self.told {
            wire::bytes(TOLD, &told.stored().encode_to_vec(), into);
        }
    }

    /// `None` if a part is missing or is none that is ever written.
    pub(crate) fn decode(open: &[StoredEnrichment], told: &[StoredTold]) -> Option<Self> {
        let open = open.iter().map(Open::from_stored);
        let told = told.iter().map(Told::from_stored);
        Some(Self {
            open: open.collect::<Option<_>>()?,
            told: told.collect::<Option<_>>()?,
            left: Left::default(),
        })
    }
}

impl Open {
    fn stored(&self) -> StoredEnrichment {
        let alert = serde_json::to_vec(&self.alert);
        debug_assert!(alert.is_ok(), "plain data is always representable as JSON");
        let (recording, recording_asks, recording_at) = self.recording.stored();
        let (summary, summary_asks, summary_at) = self.summary.stored();
        StoredEnrichment {
            alert: alert.unwrap_or_default(),
            held: self.held,
            updates: self.updates,
            ends_at: self.ends_at.0,
            recording,
            recording_asks,
            recording_at,
            summary,
            summary_asks,
            summary_at,
            revised_at: (self.revised_at != self.raised_at()).then_some(self.revised_at.0),
        }
    }

    fn raised_at(&self) -> LogTime {
        LogTime(self.alert.raised_at.0)
    }

    fn from_stored(stored: &StoredEnrichment) -> Option<Self> {
        let lookup = Lookup::from_stored;
        let mut alert: Alert = serde_json::from_slice(&stored.alert).ok()?;
        // Older programs stored it at any length.
        alert.agent_name = alert.agent_name.map(alerts::name);
        let raised_at = alert.raised_at.0;
        Some(Self {
            bytes: bytes_of(&alert),
            alert,
            touched: Touched::default(),
            revised_at: LogTime(stored.revised_at.unwrap_or(raised_at)),
            held: stored.held,
            updates: stored.updates,
            ends_at: LogTime(stored.ends_at),
            recording: lookup(stored.recording, stored.recording_asks, stored.recording_at)?,
            summary: lookup(stored.summary, stored.summary_asks, stored.summary_at)?,
        })
    }
}

/// Numbers of the states.
const OVER: u32 = 0;
const ASKED: u32 = 1;
const WAITING: u32 = 2;

impl Lookup {
    /// State, number of questions, and the time that goes with the state.
    const fn stored(self) -> (u32, u32, i64) {
        match self {
            Self::Over => (OVER, 0, 0),
            Self::Asked { number, at } => (ASKED, number, at.0),
            Self::Waiting { number, next_at } => (WAITING, number, next_at.0),
        }
    }

    const fn from_stored(state: u32, number: u32, at_ms: i64) -> Option<Self> {
        let at = LogTime(at_ms);
        match state {
            OVER => Some(Self::Over),
            ASKED => Some(Self::Asked { number, at }),
            WAITING => Some(Self::Waiting {
                number,
                next_at: at,
            }),
            _unknown => None,
        }
    }
}
