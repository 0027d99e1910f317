//! The bound on memory that all partitions of a process share.
//!
//! Actors are never evicted: what they remember decides about money. So when they reach the bound, the quiet ones of each
//! partition go to the disk (`shelf`), where a state costs memory no more, and come back with their next event. What is
//! left then are keys and places. If these alone are too many, `/readyz` says so, no event is taken by HTTP, and reading
//! goes on slowly: a partition that stood still would help nobody, after a restart neither.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::log::{Finding, Level, PartitionId};
use aftercall_actors::{contract::key::Side, responses::Shared, rules::Settings};

/// Bytes of resident actors, by partition, against a bound.
#[derive(Debug)]
pub struct MemoryBound {
    partitions: Vec<AtomicU64>,
    count: u16,
    bytes_max: u64,
    folder: PathBuf,
    responses: Mutex<BTreeMap<u64, Shared>>,
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
            responses: Mutex::default(),
        }
    }

    /// The one copy of a segment's items that all partitions of the agents' side hold.
    #[must_use]
    pub fn share(&self, items: Shared) -> Shared {
        // Nothing under this lock panics half way through a change.
        let mut held = self
            .responses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, shared| !shared.is_alone());
        let known = held.entry(items.fingerprint());
        let known = known.or_insert_with(|| items.clone());
        if *known == items {
            known.clone()
        } else {
            items
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

/// Bytes that a remembered completion takes of a quiet customer: its key, and its contact in the history.
const COMPLETION_BYTES: f64 = 19.0;
const CONTACT_BYTES: f64 = 23.0;

/// Bytes that a remembered survey response takes: what all partitions share, the owner's key, what its owner remembers;
/// and in each partition of the agents' side the way to find it.
const RESPONSE_BYTES: f64 = 32.0 + 55.0 + 20.0;
const RESPONSE_BYTES_EACH: f64 = 8.0;

/// A usual mix: half of all events are completions, a fifth survey responses.
const COMPLETIONS: f64 = 0.5;
const SURVEYS: f64 = 0.2;

/// Events a second, in a steady stream of the usual mix, whose windows fill `bytes_max` of memory: above it quiet actors
/// go to the disk. `actors/tests/moved.rs` and the benches hold what a remembered thing takes.
#[must_use]
pub fn rate_carried(bytes_max: u64, partition_count: u16, settings: &Settings) -> u64 {
    /// Contacts are held for as long at least.
    const WEEK_MS: i64 = 7 * 24 * 3_600_000;
    let seconds = |ms: i64| ms as f64 / 1e3;
    let completion = COMPLETION_BYTES * seconds(settings.completion_dedupe_ms)
        + CONTACT_BYTES * seconds(settings.history_window_ms.max(WEEK_MS));
    let response = RESPONSE_BYTES + RESPONSE_BYTES_EACH * f64::from(partition_count);
    let survey = response * seconds(settings.survey_dedupe_ms);
    let bytes_each = COMPLETIONS * completion + SURVEYS * survey;
    // Far below what a double holds exactly.
    (bytes_max as f64 / bytes_each) as u64
}

/// What `doctor` says of the bound.
#[must_use]
pub fn finding(bytes_max: u64, partition_count: u16, settings: &Settings) -> Finding {
    let mebibytes = bytes_max >> 20;
    let rate = rate_carried(bytes_max, partition_count, settings);
    Finding {
        level: Level::Good,
        subject: "memory".into(),
        text: format!(
            "engine.memory_max is {mebibytes} MiB: with the windows of these rules it holds what about {rate} events a second, \
             day and night, leave to be remembered; beyond that quiet actors go to the disk, and nothing waits while their \
             keys fit (some 200 bytes an actor)"
        ),
    }
}

#[cfg(test)]
mod tests {
    use aftercall_actors::{
        contract::{event::Body, time::LogTime},
        responses::{Arrival, Facts, Responses, SEGMENT_MAX},
        rules::RuleSet,
    };

    use super::*;

    #[test]
    fn what_a_bound_carries_grows_with_it_and_shrinks_with_windows() {
        let rules = RuleSet::default_rules();
        let settings = rules.settings();
        let rate = |bytes_max, settings: &Settings| rate_carried(bytes_max, 8, settings);
        let usual = rate(1 << 30, settings);
        assert!((80..140).contains(&usual), "{usual}");
        assert!(rate(2 << 30, settings).abs_diff(2 * usual) <= 1);
        let longer = Settings {
            survey_dedupe_ms: settings.survey_dedupe_ms * 7,
            ..settings.clone()
        };
        assert!(rate(1 << 30, &longer) < usual / 2);
        assert!(
            finding(1 << 30, 8, settings)
                .text
                .contains(&format!("about {usual} events"))
        );
    }

    #[test]
    fn what_all_partitions_hold_is_held_once() {
        let memory = MemoryBound::new(1, 1, PathBuf::new());
        let mut alike: Vec<Responses> = (0..4).map(|_| filled()).collect();
        let apart: u64 = alike.iter().map(Responses::bytes).sum();
        for responses in &mut alike {
            responses.share(|items| memory.share(items));
        }
        let shared: u64 = alike.iter().map(Responses::bytes).sum();
        assert!(shared * 2 < apart, "{shared} of {apart}");
        assert_eq!(alike[0], filled());
        alike.clear();
        let mut other = filled();
        other.share(|items| memory.share(items));
        assert_eq!(memory.responses.lock().unwrap().len(), 3);
    }

    fn filled() -> Responses {
        let mut responses = Responses::default();
        for number in 0..3 * SEGMENT_MAX + 7 {
            let data = serde_json::json!({
                "response_id": format!("r{number}"), "interaction_id": "i", "submitted_at": 0, "csat": 5,
            });
            let body = Body::SurveyResponse(serde_json::from_value(data).unwrap());
            let facts = Facts::of(&body).unwrap();
            responses.judge(
                &facts,
                Arrival {
                    now: LogTime(number as i64),
                    ttl_ms: 1 << 40,
                    local: None,
                },
                &mut Vec::new(),
            );
        }
        responses
    }
}
